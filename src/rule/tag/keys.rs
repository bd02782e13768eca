//! Each key of a `pre_tag_map`, with records that it matches and that it does not.

#![cfg(feature = "rule-map")]

use super::test::ip;
use crate::base::addr::Mac;
use crate::record::FlowRecord;

/// Makes a record what it has to be.
pub(super) type Set = fn(&mut FlowRecord);

/// Each key with a record that it matches and one that it does not.
pub(super) const KEYS: &[(&str, Set, Set)] = &[
    (
        "ip=192.0.2.0/24",
        |r| r.set_peer_src_ip(ip("192.0.2.9")),
        |r| r.set_peer_src_ip(ip("192.0.3.9")),
    ),
    (
        "ip=2001:db8::1",
        |r| r.set_peer_src_ip(ip("2001:db8::1")),
        |r| r.set_peer_src_ip(ip("2001:db8::2")),
    ),
    (
        "ip=0.0.0.0/0",
        |r| r.set_peer_src_ip(ip("192.0.2.9")),
        |r| r.set_peer_src_ip(ip("2001:db8::1")),
    ),
    (
        "ip=::/0",
        |r| r.set_peer_src_ip(ip("2001:db8::1")),
        |r| r.set_peer_src_ip(ip("192.0.2.9")),
    ),
    ("in=5", |r| r.set_in_iface(5), |r| r.set_in_iface(6)),
    (
        "out=70000",
        |r| r.set_out_iface(70_000),
        |r| r.set_out_iface(4464),
    ),
    (
        "engine_type=2",
        |r| engine(r, 5, 0x0203),
        |r| engine(r, 9, 0x0203),
    ),
    (
        "engine_id=3",
        |r| engine(r, 5, 0x0203),
        |r| engine(r, 5, 0x0302),
    ),
    (
        "source_id=70000",
        |r| engine(r, 9, 70_000),
        |r| engine(r, 9, 7),
    ),
    (
        "source_id=9",
        |r| engine(r, 10, 9),
        |r| engine(r, 10, 0x0209),
    ),
    ("agent_id=9", |r| engine(r, 5, 9), |r| engine(r, 10, 9)),
    ("sample_type=flow", |_| {}, |r| r.set_record_kind(1)),
    (
        "sample_type=option",
        |r| r.set_record_kind(2),
        |r| r.set_record_kind(0),
    ),
    ("sample_type=event", |r| r.set_record_kind(1), |_| {}),
    ("sample_type=0:3", |r| layout(r, 5, 3), |r| layout(r, 5, 1)),
    (
        "sample_type=9:1",
        |r| layout(r, 5, 9 << 12 | 1),
        |r| layout(r, 10, 9 << 12 | 1),
    ),
    (
        "flowset_id=256",
        |r| layout(r, 9, 256 | 1 << 16),
        |r| layout(r, 9, 257),
    ),
    (
        "flowset_id=300",
        |r| layout(r, 10, 300),
        |r| layout(r, 5, 300),
    ),
    (
        "is_bi_flow=true",
        |r| layout(r, 10, 300 | 1 << 16),
        |r| layout(r, 10, 300),
    ),
    ("is_bi_flow=false", |_| {}, |r| layout(r, 9, 300 | 1 << 16)),
    (
        "sample_type=flow-ipv4",
        |r| r.set_src_host(ip("192.0.2.1")),
        |r| r.set_src_host(ip("2001:db8::1")),
    ),
    (
        "sample_type=flow-ipv6",
        |r| r.set_src_host(ip("2001:db8::1")),
        |r| r.set_src_host(ip("192.0.2.1")),
    ),
    (
        "sample_type=flow-mpls-ipv4",
        |_| {},
        |r| r.set_record_kind(2),
    ),
    (
        "nexthop=192.0.2.1",
        |r| r.set_next_hop(ip("192.0.2.1")),
        |r| r.set_peer_dst_ip(ip("192.0.2.1")),
    ),
    (
        "bgp_nexthop=192.0.2.1",
        |r| r.set_peer_dst_ip(ip("192.0.2.1")),
        |r| r.set_next_hop(ip("192.0.2.1")),
    ),
    (
        "direction=0",
        |r| r.set_sampling_direction(b'i'),
        |r| r.set_sampling_direction(b'e'),
    ),
    (
        "direction=1",
        |r| r.set_sampling_direction(b'e'),
        |r| r.set_sampling_direction(b'u'),
    ),
    (
        "src_mac=2:0:0:0:0:1",
        |r| r.set_src_mac(Mac([2, 0, 0, 0, 0, 1])),
        |r| r.set_dst_mac(Mac([2, 0, 0, 0, 0, 1])),
    ),
    (
        "dst_mac=2:0:0:0:0:1",
        |r| r.set_dst_mac(Mac([2, 0, 0, 0, 0, 1])),
        |r| r.set_dst_mac(Mac([2, 0, 0, 0, 0, 2])),
    ),
    ("vlan=300", |r| r.set_vlan(300), |r| r.set_vlan(44)),
    ("cvlan=301", |r| r.set_in_cvlan(301), |r| r.set_vlan(301)),
    (
        "src_net=10.0.0.0/8",
        |r| r.set_src_host(ip("10.255.0.1")),
        |r| r.set_src_host(ip("11.0.0.1")),
    ),
    (
        "dst_net=2001:db8::/33",
        |r| r.set_dst_host(ip("2001:db8:7fff::1")),
        |r| r.set_dst_host(ip("2001:db8:8000::1")),
    ),
    ("ip_proto=17", |r| r.set_proto(17), |r| r.set_proto(6)),
    (
        "src_port=53",
        |r| r.set_src_port(53),
        |r| r.set_dst_port(53),
    ),
    (
        "dst_port=443",
        |r| r.set_dst_port(443),
        |r| r.set_src_port(443),
    ),
    (
        "tcp_flags=12",
        |r| r.set_tcp_flags(0x12),
        |r| r.set_tcp_flags(0x1a),
    ),
    (
        "tcp_flags=0x02",
        |r| r.set_tcp_flags(2),
        |r| r.set_tcp_flags(3),
    ),
    (
        "is_multicast=true",
        |r| r.set_dst_mac(Mac([1, 0, 0x5e, 0, 0, 1])),
        |r| r.set_dst_mac(Mac([2, 0, 0, 0, 0, 1])),
    ),
    (
        "is_multicast=false",
        |r| r.set_dst_mac(Mac([2, 0, 0, 0, 0, 1])),
        |r| r.set_dst_mac(Mac([0xff; 6])),
    ),
    ("is_nel=true", |r| r.set_nat_event(0), |_| {}),
    ("is_nsel=false", |_| {}, |r| r.set_fw_event(1)),
    (
        "fwd_status=64",
        |r| r.set_fwd_status(64),
        |r| r.set_fwd_status(128),
    ),
    (
        "mpls_vpn_id_in=1610612741",
        |r| r.set_ingress_vrf_id(1_610_612_741),
        |r| r.set_egress_vrf_id(1_610_612_741),
    ),
    (
        "mpls_vpn_id_out=7",
        |r| r.set_egress_vrf_id(7),
        |r| r.set_ingress_vrf_id(7),
    ),
    (
        "mpls_vpn_id=7",
        |r| r.set_egress_vrf_id(7),
        |r| r.set_egress_vrf_id(8),
    ),
    (
        "mpls_pw_id=7",
        |r| r.set_mpls_pw_id(7),
        |r| r.set_mpls_pw_id(8),
    ),
    (
        "mpls_label_bottom=7",
        |r| r.set_mpls_label_bottom(7),
        |r| r.set_mpls_label_top(7),
    ),
    (
        "mpls_vpn_rd=0:65000:1",
        |r| r.set_mpls_vpn_rd(3 << 60 | 65_000 << 32 | 1),
        |r| r.set_mpls_vpn_rd(65_000 << 32 | 2),
    ),
    (
        "src_as=4200000000",
        |r| r.set_src_as(4_200_000_000),
        |r| r.set_dst_as(4_200_000_000),
    ),
    (
        "dst_as=64500",
        |r| r.set_dst_as(64_500),
        |r| r.set_dst_as(64_501),
    ),
    (
        "peer_src_as=64500",
        |r| r.set_peer_src_as(64_500),
        |r| r.set_src_as(64_500),
    ),
    (
        "peer_dst_as=64500",
        |r| r.set_peer_dst_as(64_500),
        |r| r.set_dst_as(64_500),
    ),
    (
        "local_pref=150",
        |r| r.set_local_pref(150),
        |r| r.set_local_pref(100),
    ),
];

fn layout(r: &mut FlowRecord, version: u16, layout: u32) {
    r.set_export_proto_version(version);
    r.set_layout(layout);
}

fn engine(r: &mut FlowRecord, version: u16, id: u32) {
    r.set_export_proto_version(version);
    r.set_export_proto_sysid(id);
}
