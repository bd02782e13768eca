// The rows. Columns: identifier / setter / getter : kind @ byte offset in the record, configuration
// name, JSON key, CSV header, SQL column; merge, giver, information elements, documentation.
fields! {
    // Layer 3 and 4: what most keys are made of, five words in a row.
    SrcHost / set_src_host / src_host: Ip @ 0, "src_host", "ip_src", "SRC_IP", "ip_src",
        Key, Wire, [8, 27, 44, 170, 366], "Source address.";
    DstHost / set_dst_host / dst_host: Ip @ 16, "dst_host", "ip_dst", "DST_IP", "ip_dst",
        Key, Wire, [12, 28, 45, 169], "Destination address.";
    SrcPort / set_src_port / src_port: U16 @ 32, "src_port", "port_src", "SRC_PORT", "port_src",
        Key, Wire, [7, 180, 182], "Source port of TCP or UDP.";
    DstPort / set_dst_port / dst_port: U16 @ 34, "dst_port", "port_dst", "DST_PORT", "port_dst",
        Key, Wire, [11, 181, 183], "Destination port of TCP or UDP.";
    Proto / set_proto / proto: Proto @ 36, "proto", "ip_proto", "PROTOCOL", "ip_proto",
        Key, Wire, [4], "IP protocol.";
    Tos / set_tos / tos: U8 @ 37, "tos", "tos", "TOS", "tos",
        Key, Wire, [5], "Type of service or traffic class, the whole byte.";
    Etype / set_etype / etype: EtherType @ 38, "etype", "etype", "ETYPE", "etype",
        Key, Wire, [256], "EtherType of the frame.";

    // Interfaces and autonomous systems.
    InIface / set_in_iface / in_iface: U32 @ 40, "in_iface", "iface_in", "IN_IFACE", "iface_in",
        Key, Wire, [10, 252], "Index of the input interface.";
    OutIface / set_out_iface / out_iface: U32 @ 44, "out_iface", "iface_out", "OUT_IFACE", "iface_out",
        Key, Wire, [14, 253], "Index of the output interface.";
    SrcAs / set_src_as / src_as: U32 @ 48, "src_as", "as_src", "SRC_AS", "as_src",
        Key, Wire, [16], "Autonomous system of the source.";
    DstAs / set_dst_as / dst_as: U32 @ 52, "dst_as", "as_dst", "DST_AS", "as_dst",
        Key, Wire, [17], "Autonomous system of the destination.";

    // Layer 2.
    SrcMac / set_src_mac / src_mac: Mac @ 56, "src_mac", "mac_src", "SRC_MAC", "mac_src",
        Key, Wire, [56, 81, 365], "Source MAC address.";
    Vlan / set_vlan / vlan: U16 @ 62, "vlan", "vlan", "VLAN", "vlan",
        Key, Wire, [58, 243, 59, 254], "VLAN of the ingress side, else of the egress side.";
    DstMac / set_dst_mac / dst_mac: Mac @ 64, "dst_mac", "mac_dst", "DST_MAC", "mac_dst",
        Key, Wire, [80, 57], "Destination MAC address.";
    InVlan / set_in_vlan / in_vlan: U16 @ 70, "in_vlan", "vlan_in", "IN_VLAN", "vlan_in",
        Key, Wire, [58, 243], "Ingress VLAN.";
    OutVlan / set_out_vlan / out_vlan: U16 @ 72, "out_vlan", "vlan_out", "OUT_VLAN", "vlan_out",
        Key, Wire, [59, 254], "Egress VLAN.";
    InCvlan / set_in_cvlan / in_cvlan: U16 @ 74, "in_cvlan", "cvlan_in", "IN_CVLAN", "cvlan_in",
        Key, Wire, [245], "Ingress customer VLAN, the inner tag.";
    OutCvlan / set_out_cvlan / out_cvlan: U16 @ 76, "out_cvlan", "cvlan_out", "OUT_CVLAN", "cvlan_out",
        Key, Wire, [255], "Egress customer VLAN, the inner tag.";
    Cos / set_cos / cos: U8 @ 78, "cos", "cos", "COS", "cos",
        Key, Wire, [244], "802.1p priority.";
    TcpFlags / set_tcp_flags / tcp_flags: U8 @ 79, "tcpflags", "tcp_flags", "TCP_FLAGS", "tcp_flags",
        Or, Wire, [6], "TCP flags seen, OR-ed.";

    // Exporter and next hop.
    PeerSrcIp / set_peer_src_ip / peer_src_ip: Ip @ 80, "peer_src_ip", "peer_ip_src", "PEER_SRC_IP", "peer_ip_src",
        Key, Wire, [130, 131], "Exporter or agent that reported the flow.";
    PeerDstIp / set_peer_dst_ip / peer_dst_ip: Ip @ 96, "peer_dst_ip", "peer_ip_dst", "PEER_DST_IP", "peer_ip_dst",
        Key, Wire, [18, 63, 47, 140, 15, 62], "BGP next hop, else that of MPLS, else that of IP.";

    // Prefixes, rates, classes.
    SrcNet / set_src_net / src_net: Ip @ 112, "src_net", "net_src", "SRC_NET", "net_src",
        Key, Wire, [44, 170], "Source prefix, its first address.";
    DstNet / set_dst_net / dst_net: Ip @ 128, "dst_net", "net_dst", "DST_NET", "net_dst",
        Key, Wire, [45, 169], "Destination prefix, its first address.";
    SrcMask / set_src_mask / src_mask: U8 @ 144, "src_mask", "mask_src", "SRC_MASK", "mask_src",
        Key, Wire, [9, 29], "Length of the source prefix, in bits.";
    DstMask / set_dst_mask / dst_mask: U8 @ 145, "dst_mask", "mask_dst", "DST_MASK", "mask_dst",
        Key, Wire, [13, 30], "Length of the destination prefix, in bits.";
    SamplingDirection / set_sampling_direction / sampling_direction: Letter @ 146, "sampling_direction", "sampling_direction", "SAMPLING_DIRECTION", "sampling_direction",
        Key, Wire, [61], "Where the flow was observed: i ingress, e egress, u unknown.";
    FlowLabel / set_flow_label / flow_label: U32 @ 148, "flow_label", "flow_label", "FLOW_LABEL", "flow_label",
        Key, Wire, [31], "IPv6 flow label.";
    Bin / set_bin / bin: Time @ 152, "bin", "stamp_inserted", "STAMP_INSERTED", "stamp_inserted",
        Key, Engine, [], "Start of the time bin the flow is counted in.";
    PeerSrcAs / set_peer_src_as / peer_src_as: U32 @ 160, "peer_src_as", "peer_as_src", "PEER_SRC_AS", "peer_as_src",
        Key, Wire, [129], "Neighbour autonomous system on the source side.";
    PeerDstAs / set_peer_dst_as / peer_dst_as: U32 @ 164, "peer_dst_as", "peer_as_dst", "PEER_DST_AS", "peer_as_dst",
        Key, Wire, [128], "Neighbour autonomous system on the destination side.";
    SamplingRate / set_sampling_rate / sampling_rate: U32 @ 168, "sampling_rate", "sampling_rate", "SAMPLING_RATE", "sampling_rate",
        Key, Wire, [34, 50, 305], "One packet in this many was sampled; 0 unknown, 1 after renormalisation.";
    Class / set_class / class: Text @ 172, "class", "class", "CLASS", "class",
        Key, Wire, [95], "Application name the exporter gave.";

    // Tags and names.
    Tag / set_tag / tag: U64 @ 176, "tag", "tag", "TAG", "tag",
        Key, Wire, [], "Numeric tag.";
    Tag2 / set_tag2 / tag2: U64 @ 184, "tag2", "tag2", "TAG2", "tag2",
        Key, Wire, [], "Second numeric tag.";
    Label / set_label / label: Text @ 192, "label", "label", "LABEL", "label",
        Key, Wire, [], "Text label.";
    MplsLabelTop / set_mpls_label_top / mpls_label_top: U32 @ 196, "mpls_label_top", "mpls_label_top", "MPLS_LABEL_TOP", "mpls_label_top",
        Key, Wire, [70], "Top label of the MPLS stack.";
    MplsLabelBottom / set_mpls_label_bottom / mpls_label_bottom: U32 @ 200, "mpls_label_bottom", "mpls_label_bottom", "MPLS_LABEL_BOTTOM", "mpls_label_bottom",
        Key, Wire, [71, 72, 73, 74, 75, 76, 77, 78, 79], "Bottom label of the MPLS stack.";
    MplsLabelStack / set_mpls_label_stack / mpls_label_stack: Text @ 204, "mpls_label_stack", "mpls_label_stack", "MPLS_LABEL_STACK", "mpls_label_stack",
        Key, Wire, [70, 71, 72, 73, 74, 75, 76, 77, 78, 79], "All MPLS labels, joined by underscores.";
    VrfName / set_vrf_name / vrf_name: Text @ 208, "vrf_name", "vrf_name", "VRF_NAME", "vrf_name",
        Key, Wire, [236], "Name of the ingress VRF, else of the egress VRF.";
    IngressVrfName / set_ingress_vrf_name / ingress_vrf_name: Text @ 212, "ingress_vrf_name", "ingress_vrf_name", "INGRESS_VRF_NAME", "vrf_name_ingress",
        Key, Wire, [234], "Name of the ingress VRF.";
    EgressVrfName / set_egress_vrf_name / egress_vrf_name: Text @ 216, "egress_vrf_name", "egress_vrf_name", "EGRESS_VRF_NAME", "vrf_name_egress",
        Key, Wire, [235], "Name of the egress VRF.";
    InIfaceName / set_in_iface_name / in_iface_name: Text @ 220, "in_iface_name", "iface_name_in", "IN_IFACE_NAME", "iface_name_in",
        Key, Wire, [82], "Name of the input interface, from options data.";
    OutIfaceName / set_out_iface_name / out_iface_name: Text @ 224, "out_iface_name", "iface_name_out", "OUT_IFACE_NAME", "iface_name_out",
        Key, Wire, [82], "Name of the output interface, from options data.";
    Srv6SegmentList / set_srv6_segment_list / srv6_segment_list: Text @ 228, "srv6_seg_ipv6_list", "srv6_seg_ipv6_list", "SRV6_SEG_IPV6_LIST", "srv6_seg_ipv6_list",
        Key, Wire, [497], "SRv6 segment list, segments joined by underscores.";
    MplsVpnRd / set_mpls_vpn_rd / mpls_vpn_rd: Rd @ 232, "mpls_vpn_rd", "mpls_vpn_rd", "MPLS_VPN_RD", "mpls_vpn_rd",
        Key, Wire, [90], "Route distinguisher of the layer-3 VPN.";
    MplsPwId / set_mpls_pw_id / mpls_pw_id: U32 @ 240, "mpls_pw_id", "mpls_pw_id", "MPLS_PW_ID", "mpls_pw_id",
        Key, Wire, [249], "Pseudowire identifier.";
    NatEvent / set_nat_event / nat_event: U8 @ 244, "nat_event", "nat_event", "NAT_EVENT", "nat_event",
        Key, Wire, [230], "NAT event code.";
    FwEvent / set_fw_event / fw_event: U8 @ 245, "fw_event", "fw_event", "FW_EVENT", "fw_event",
        Key, Wire, [233], "Firewall event code.";
    TunnelProto / set_tunnel_proto / tunnel_proto: Proto @ 246, "tunnel_proto", "tunnel_ip_proto", "TUNNEL_PROTOCOL", "tunnel_ip_proto",
        Key, Wire, [4], "IP protocol inside the tunnel.";
    TunnelTos / set_tunnel_tos / tunnel_tos: U8 @ 247, "tunnel_tos", "tunnel_tos", "TUNNEL_TOS", "tunnel_tos",
        Key, Wire, [5], "Type of service inside the tunnel.";
    FwdStatus / set_fwd_status / fwd_status: NumberText @ 248, "fwd_status", "fwd_status", "FWD_STATUS", "fwd_status",
        Key, Wire, [89], "Forwarding status (RFC 7270 §4.12).";
    Vxlan / set_vxlan / vxlan: U32 @ 252, "vxlan", "vxlan", "VXLAN", "vxlan",
        Key, Wire, [351], "VXLAN network identifier.";

    // Translated addresses.
    PostNatSrcHost / set_post_nat_src_host / post_nat_src_host: Ip @ 256, "post_nat_src_host", "post_nat_ip_src", "POST_NAT_SRC_IP", "post_nat_ip_src",
        Key, Wire, [225, 281], "Source address after translation.";
    PostNatDstHost / set_post_nat_dst_host / post_nat_dst_host: Ip @ 272, "post_nat_dst_host", "post_nat_ip_dst", "POST_NAT_DST_IP", "post_nat_ip_dst",
        Key, Wire, [226, 282], "Destination address after translation.";
    PostNatSrcPort / set_post_nat_src_port / post_nat_src_port: U16 @ 288, "post_nat_src_port", "post_nat_port_src", "POST_NAT_SRC_PORT", "post_nat_port_src",
        Key, Wire, [227], "Source port after translation.";
    PostNatDstPort / set_post_nat_dst_port / post_nat_dst_port: U16 @ 290, "post_nat_dst_port", "post_nat_port_dst", "POST_NAT_DST_PORT", "post_nat_port_dst",
        Key, Wire, [228], "Destination port after translation.";
    TunnelTcpFlags / set_tunnel_tcp_flags / tunnel_tcp_flags: NumberText @ 292, "tunnel_tcpflags", "tunnel_tcp_flags", "TUNNEL_TCP_FLAGS", "tunnel_tcp_flags",
        Or, Wire, [6], "TCP flags inside the tunnel, OR-ed.";

    // Tunnels.
    TunnelSrcPort / set_tunnel_src_port / tunnel_src_port: U16 @ 296, "tunnel_src_port", "tunnel_port_src", "TUNNEL_SRC_PORT", "tunnel_port_src",
        Key, Wire, [7], "Source port inside the tunnel.";
    TunnelDstPort / set_tunnel_dst_port / tunnel_dst_port: U16 @ 298, "tunnel_dst_port", "tunnel_port_dst", "TUNNEL_DST_PORT", "tunnel_port_dst",
        Key, Wire, [11], "Destination port inside the tunnel.";
    TunnelFlowLabel / set_tunnel_flow_label / tunnel_flow_label: U32 @ 300, "tunnel_flow_label", "tunnel_flow_label", "TUNNEL_FLOW_LABEL", "tunnel_flow_label",
        Key, Wire, [31], "IPv6 flow label inside the tunnel.";
    TunnelSrcHost / set_tunnel_src_host / tunnel_src_host: Ip @ 304, "tunnel_src_host", "tunnel_ip_src", "TUNNEL_SRC_IP", "tunnel_ip_src",
        Key, Wire, [8, 27], "Source address inside the tunnel.";
    TunnelDstHost / set_tunnel_dst_host / tunnel_dst_host: Ip @ 320, "tunnel_dst_host", "tunnel_ip_dst", "TUNNEL_DST_IP", "tunnel_ip_dst",
        Key, Wire, [12, 28], "Destination address inside the tunnel.";
    TunnelSrcMac / set_tunnel_src_mac / tunnel_src_mac: Mac @ 336, "tunnel_src_mac", "tunnel_mac_src", "TUNNEL_SRC_MAC", "tunnel_mac_src",
        Key, Wire, [], "Source MAC address inside the tunnel.";
    SrcRoa / set_src_roa / src_roa: Letter @ 342, "src_roa", "roa_src", "SRC_ROA", "roa_src",
        Key, Rpki, [], "RPKI state of the source prefix.";
    DstRoa / set_dst_roa / dst_roa: Letter @ 343, "dst_roa", "roa_dst", "DST_ROA", "roa_dst",
        Key, Rpki, [], "RPKI state of the destination prefix.";
    TunnelDstMac / set_tunnel_dst_mac / tunnel_dst_mac: Mac @ 344, "tunnel_dst_mac", "tunnel_mac_dst", "TUNNEL_DST_MAC", "tunnel_mac_dst",
        Key, Wire, [], "Destination MAC address inside the tunnel.";
    ExportProtoVersion / set_export_proto_version / export_proto_version: U16 @ 350, "export_proto_version", "export_proto_version", "EXPORT_PROTO_VERSION", "export_proto_version",
        Key, Wire, [], "Version of the export protocol: 5, 9, 10, or that of sFlow.";

    // Times.
    TimestampStart / set_timestamp_start / timestamp_start: Time @ 352, "timestamp_start", "timestamp_start", "TIMESTAMP_START", "timestamp_start",
        Key, Wire, [22, 150, 152, 154, 158, 323], "When the flow began.";
    TimestampEnd / set_timestamp_end / timestamp_end: Time @ 360, "timestamp_end", "timestamp_end", "TIMESTAMP_END", "timestamp_end",
        Key, Wire, [21, 151, 153, 155, 159], "When the flow ended.";
    TimestampArrival / set_timestamp_arrival / timestamp_arrival: Time @ 368, "timestamp_arrival", "timestamp_arrival", "TIMESTAMP_ARRIVAL", "timestamp_arrival",
        Key, Wire, [], "When the frame or datagram arrived here.";
    TimestampExport / set_timestamp_export / timestamp_export: Time @ 376, "timestamp_export", "timestamp_export", "TIMESTAMP_EXPORT", "timestamp_export",
        Key, Wire, [], "When the exporter sent the record.";
    TimestampMin / set_timestamp_min / timestamp_min: Time @ 352, "timestamp_min", "timestamp_min", "TIMESTAMP_MIN", "timestamp_min",
        Min, Wire, [22, 150, 152, 154], "Earliest start of all flows of a row.";
    TimestampMax / set_timestamp_max / timestamp_max: Time @ 360, "timestamp_max", "timestamp_max", "TIMESTAMP_MAX", "timestamp_max",
        Max, Wire, [21, 151, 153, 155], "Latest end of all flows of a row.";

    // Path delay and other numbers.
    PathDelayAvg / set_path_delay_avg / path_delay_avg: U32 @ 384, "path_delay_avg_usec", "path_delay_avg_usec", "PATH_DELAY_AVG_USEC", "path_delay_avg_usec",
        Last, Wire, [600, 603], "Mean path delay in microseconds, of the last flow.";
    PathDelayMin / set_path_delay_min / path_delay_min: U32 @ 388, "path_delay_min_usec", "path_delay_min_usec", "PATH_DELAY_MIN_USEC", "path_delay_min_usec",
        Min, Wire, [601], "Smallest path delay in microseconds.";
    PathDelayMax / set_path_delay_max / path_delay_max: U32 @ 392, "path_delay_max_usec", "path_delay_max_usec", "PATH_DELAY_MAX_USEC", "path_delay_max_usec",
        Max, Wire, [602], "Largest path delay in microseconds.";
    Nvgre / set_nvgre / nvgre: U32 @ 396, "nvgre", "nvgre", "NVGRE", "nvgre",
        Key, Wire, [351], "NVGRE virtual subnet identifier.";
    ExportProtoSeqno / set_export_proto_seqno / export_proto_seqno: U32 @ 400, "export_proto_seqno", "export_proto_seqno", "EXPORT_PROTO_SEQNO", "export_proto_seqno",
        Key, Wire, [], "Sequence number of the export datagram.";
    ExportProtoSysid / set_export_proto_sysid / export_proto_sysid: U32 @ 404, "export_proto_sysid", "export_proto_sysid", "EXPORT_PROTO_SYSID", "export_proto_sysid",
        Key, Wire, [], "Engine, source id, observation domain or sFlow sub-agent.";

    // Routing.
    StdComm / set_std_comm / std_comm: Text @ 408, "std_comm", "comms", "COMMS", "comms",
        Key, Wire, [], "Standard communities of the destination's route.";
    ExtComm / set_ext_comm / ext_comm: Text @ 412, "ext_comm", "ecomms", "ECOMMS", "ecomms",
        Key, Route, [], "Extended communities of the destination's route.";
    LrgComm / set_lrg_comm / lrg_comm: Text @ 416, "lrg_comm", "lcomms", "LCOMMS", "lcomms",
        Key, Route, [], "Large communities of the destination's route.";
    AsPath / set_as_path / as_path: Text @ 420, "as_path", "as_path", "AS_PATH", "as_path",
        Key, Wire, [], "AS path of the destination's route.";
    LocalPref / set_local_pref / local_pref: U32 @ 424, "local_pref", "local_pref", "PREF", "local_pref",
        Key, Wire, [], "Local preference of the destination's route.";
    Med / set_med / med: U32 @ 428, "med", "med", "MED", "med",
        Key, Route, [], "Multi-exit discriminator of the destination's route.";
    SrcStdComm / set_src_std_comm / src_std_comm: Text @ 432, "src_std_comm", "comms_src", "SRC_COMMS", "comms_src",
        Key, Route, [], "Standard communities of the source's route.";
    SrcExtComm / set_src_ext_comm / src_ext_comm: Text @ 436, "src_ext_comm", "ecomms_src", "SRC_ECOMMS", "ecomms_src",
        Key, Route, [], "Extended communities of the source's route.";
    SrcLrgComm / set_src_lrg_comm / src_lrg_comm: Text @ 440, "src_lrg_comm", "lcomms_src", "SRC_LCOMMS", "lcomms_src",
        Key, Route, [], "Large communities of the source's route.";
    SrcAsPath / set_src_as_path / src_as_path: Text @ 444, "src_as_path", "as_path_src", "SRC_AS_PATH", "as_path_src",
        Key, Route, [], "AS path of the source's route.";
    SrcLocalPref / set_src_local_pref / src_local_pref: U32 @ 448, "src_local_pref", "local_pref_src", "SRC_PREF", "local_pref_src",
        Key, Route, [], "Local preference of the source's route.";
    SrcMed / set_src_med / src_med: U32 @ 452, "src_med", "med_src", "SRC_MED", "med_src",
        Key, Route, [], "Multi-exit discriminator of the source's route.";

    // Places.
    SrcHostCountry / set_src_host_country / src_host_country: Text @ 456, "src_host_country", "country_ip_src", "SH_COUNTRY", "country_ip_src",
        Key, Geo, [], "Country of the source address, two ISO letters.";
    DstHostCountry / set_dst_host_country / dst_host_country: Text @ 460, "dst_host_country", "country_ip_dst", "DH_COUNTRY", "country_ip_dst",
        Key, Geo, [], "Country of the destination address, two ISO letters.";
    SrcHostPocode / set_src_host_pocode / src_host_pocode: Text @ 464, "src_host_pocode", "pocode_ip_src", "SH_POCODE", "pocode_ip_src",
        Key, Geo, [], "Postal code of the source address.";
    DstHostPocode / set_dst_host_pocode / dst_host_pocode: Text @ 468, "dst_host_pocode", "pocode_ip_dst", "DH_POCODE", "pocode_ip_dst",
        Key, Geo, [], "Postal code of the destination address.";
    SrcHostCoords / set_src_host_coords / src_host_coords: Text @ 472, "src_host_coords", "lat_ip_src", "SH_LAT", "lat_ip_src",
        Key, Geo, [], "Latitude and longitude of the source address.";
    DstHostCoords / set_dst_host_coords / dst_host_coords: Text @ 476, "dst_host_coords", "lat_ip_dst", "DH_LAT", "lat_ip_dst",
        Key, Geo, [], "Latitude and longitude of the destination address.";
    ClassFrame / set_class_frame / class_frame: Text @ 480, "class_frame", "class", "CLASS_FRAME", "class",
        Key, Dpi, [], "Application found by inspecting the exported frame section.";

    // What map files ask for.
    IngressVrfId / set_ingress_vrf_id / ingress_vrf_id: U32 @ 484, "ingress_vrf_id", "ingress_vrf_id", "INGRESS_VRF_ID", "vrf_id_ingress",
        Key, Wire, [234], "Number of the ingress VRF.";
    NextHop / set_next_hop / next_hop: Ip @ 488, "next_hop", "next_hop", "NEXT_HOP", "next_hop",
        Key, Wire, [15, 62], "IP next hop.";
    EgressVrfId / set_egress_vrf_id / egress_vrf_id: U32 @ 504, "egress_vrf_id", "egress_vrf_id", "EGRESS_VRF_ID", "vrf_id_egress",
        Key, Wire, [235], "Number of the egress VRF.";
    // Not primitives by name, see `HIDDEN`: what described the record, what kind it is, and the
    // slots of primitives that the configuration defines, whose names, forms and sources only it
    // knows.
    Layout / set_layout / layout: U32 @ 508, "layout", "layout", "LAYOUT", "",
        Key, Wire, [], "Template, with bit 16 for counters of both directions; format of an sFlow sample.";
    RecordKind / set_record_kind / record_kind: U8 @ 147, "record_kind", "record_kind", "RECORD_KIND", "",
        Key, Engine, [], "0 traffic, 1 an event without byte counter, 2 options data.";
    Custom0 / set_custom_0 / custom_0: U64 @ 512, "primitive 0", "primitive 0", "primitive 0", "",
        Key, Custom, [], "A primitive that the configuration defines.";
    Custom1 / set_custom_1 / custom_1: U64 @ 520, "primitive 1", "primitive 1", "primitive 1", "",
        Key, Custom, [], "A primitive that the configuration defines.";
    Custom2 / set_custom_2 / custom_2: U64 @ 528, "primitive 2", "primitive 2", "primitive 2", "",
        Key, Custom, [], "A primitive that the configuration defines.";
    Custom3 / set_custom_3 / custom_3: U64 @ 536, "primitive 3", "primitive 3", "primitive 3", "",
        Key, Custom, [], "A primitive that the configuration defines.";
    Custom4 / set_custom_4 / custom_4: U64 @ 544, "primitive 4", "primitive 4", "primitive 4", "",
        Key, Custom, [], "A primitive that the configuration defines.";
    Custom5 / set_custom_5 / custom_5: U64 @ 552, "primitive 5", "primitive 5", "primitive 5", "",
        Key, Custom, [], "A primitive that the configuration defines.";
    Custom6 / set_custom_6 / custom_6: U64 @ 560, "primitive 6", "primitive 6", "primitive 6", "",
        Key, Custom, [], "A primitive that the configuration defines.";
    Custom7 / set_custom_7 / custom_7: U64 @ 568, "primitive 7", "primitive 7", "primitive 7", "",
        Key, Custom, [], "A primitive that the configuration defines.";
    Custom8 / set_custom_8 / custom_8: U64 @ 576, "primitive 8", "primitive 8", "primitive 8", "",
        Key, Custom, [], "A primitive that the configuration defines.";
    Custom9 / set_custom_9 / custom_9: U64 @ 584, "primitive 9", "primitive 9", "primitive 9", "",
        Key, Custom, [], "A primitive that the configuration defines.";
    Custom10 / set_custom_10 / custom_10: U64 @ 592, "primitive 10", "primitive 10", "primitive 10", "",
        Key, Custom, [], "A primitive that the configuration defines.";
    Custom11 / set_custom_11 / custom_11: U64 @ 600, "primitive 11", "primitive 11", "primitive 11", "",
        Key, Custom, [], "A primitive that the configuration defines.";
    Custom12 / set_custom_12 / custom_12: U64 @ 608, "primitive 12", "primitive 12", "primitive 12", "",
        Key, Custom, [], "A primitive that the configuration defines.";
    Custom13 / set_custom_13 / custom_13: U64 @ 616, "primitive 13", "primitive 13", "primitive 13", "",
        Key, Custom, [], "A primitive that the configuration defines.";
    Custom14 / set_custom_14 / custom_14: U64 @ 624, "primitive 14", "primitive 14", "primitive 14", "",
        Key, Custom, [], "A primitive that the configuration defines.";
    Custom15 / set_custom_15 / custom_15: U64 @ 632, "primitive 15", "primitive 15", "primitive 15", "",
        Key, Custom, [], "A primitive that the configuration defines.";
}
