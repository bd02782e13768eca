//! What becomes of each element.
use super::*;
use crate::base::addr::Mac;
use crate::record::{Origin, Rd};

/// One record of an IPFIX template with these elements and values.
fn one(wanted: &[Field], fields: &[(u16, &[u8])]) -> (Rig, FlowRecord) {
    let mut rig = Rig::new(wanted);
    let specs: Vec<(u16, u16)> = fields.iter().map(|(id, v)| (*id, v.len() as u16)).collect();
    let body: Vec<u8> = fields.iter().flat_map(|(_, v)| v.to_vec()).collect();
    let all = rig.feed(&ipfix(&[set(2, &template(256, &specs)), set(256, &body)]));
    assert_eq!(all.len(), 1);
    (rig, all[0])
}

const SIX: [u8; 16] = [0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1];

#[test]
fn numbers_have_any_width() {
    for width in 1..=8usize {
        let bytes = &0x0102_0304_0506_0708u64.to_be_bytes()[8 - width..];
        let want = bytes.iter().fold(0u64, |n, b| n << 8 | u64::from(*b));
        let (_, r) = one(&[Field::InIface], &[(1, bytes), (2, bytes), (10, bytes)]);
        assert_eq!((r.bytes, r.packets), (want, want));
        assert_eq!(u64::from(r.in_iface()), want.min(u64::from(u32::MAX)));
    }
    let wide: &[u8] = &[0, 0, 0, 0, 0, 0, 0, 0, 0, 5];
    let (_, r) = one(&[Field::SrcPort], &[(1, wide), (7, &[0, 0, 1, 2])]);
    assert_eq!((r.bytes, r.src_port()), (5, 0x0102));
    let (_, r) = one(&[], &[(1, &[1; 12])]);
    assert_eq!(r.bytes, u64::MAX);
}

#[test]
fn counters_are_taken_in_order_of_preference() {
    let (_, r) = one(&[], &[(85, &[9]), (1, &[7]), (86, &[3]), (24, &[4])]);
    assert_eq!((r.bytes, r.packets), (7, 3));
    let (_, r) = one(&[], &[(23, &[9]), (1, &[0]), (3, &[5])]);
    assert_eq!((r.bytes, r.packets, r.flows), (9, 0, 5));
    let (_, r) = one(&[Field::NatEvent], &[(230, &[1])]);
    assert_eq!((r.bytes, r.packets, r.flows, r.nat_event()), (0, 0, 1, 1));
}

#[test]
fn both_families_in_one_template() {
    const ENDS: &[Field] = &[Field::SrcHost, Field::DstHost];
    let none = [0; 16];
    let (_, r) = one(ENDS, &[(27, &SIX), (28, &SIX), (8, &[0; 4]), (12, &[0; 4])]);
    assert_eq!((r.src_host(), r.dst_host()), (Ip(SIX), Ip(SIX)));
    let (_, r) = one(
        ENDS,
        &[(27, &none), (28, &none), (8, &[0; 4]), (12, &[10, 1, 1, 1])],
    );
    assert_eq!(
        (r.src_host(), r.dst_host()),
        (v4(0, 0, 0, 0), v4(10, 1, 1, 1))
    );
    let (_, r) = one(ENDS, &[(44, &[10, 0, 0, 0]), (169, &SIX)]);
    assert_eq!((r.src_host(), r.dst_host()), (v4(10, 0, 0, 0), Ip(SIX)));
}

#[test]
fn next_hops_by_preference() {
    let (_, r) = one(
        &[Field::PeerDstIp],
        &[(15, &[1, 1, 1, 1]), (18, &[2, 2, 2, 2])],
    );
    assert_eq!(r.peer_dst_ip(), v4(2, 2, 2, 2));
    let (_, r) = one(&[Field::PeerDstIp], &[(15, &[1, 1, 1, 1]), (18, &[0; 4])]);
    assert_eq!(r.peer_dst_ip(), v4(1, 1, 1, 1));
}

#[test]
fn layer_two_and_small_things() {
    use Field as F;
    let mac = [0, 1, 2, 3, 4, 5];
    let link = [
        F::SrcMac,
        F::DstMac,
        F::Vlan,
        F::InVlan,
        F::OutVlan,
        F::InCvlan,
        F::OutCvlan,
    ];
    let rest = [
        F::Cos,
        F::Etype,
        F::TcpFlags,
        F::FlowLabel,
        F::FwdStatus,
        F::SamplingDirection,
    ];
    let fields: &[(u16, &[u8])] = &[
        (56, &mac),
        (57, &mac),
        (243, &[0, 7]),
        (254, &[0, 8]),
        (245, &[0, 9]),
        (255, &[0, 10]),
        (244, &[5]),
        (256, &[0x86, 0xdd]),
        (6, &[1, 0x12]),
        (31, &[1, 2, 3]),
        (89, &[0, 64]),
        (61, &[1]),
    ];
    let (_, r) = one(&[&link[..], &rest[..]].concat(), fields);
    assert_eq!((r.src_mac(), r.dst_mac()), (Mac(mac), Mac(mac)));
    assert_eq!(
        (r.in_vlan(), r.out_vlan(), r.in_cvlan(), r.out_cvlan()),
        (7, 8, 9, 10)
    );
    assert_eq!(
        (r.vlan(), r.sampling_direction()),
        (8, b'e'),
        "the egress side was observed"
    );
    assert_eq!((r.cos(), r.etype(), r.tcp_flags()), (5, 0x86dd, 0x12));
    assert_eq!((r.flow_label(), r.fwd_status()), (0x01_0203, 64));
}

#[test]
fn a_record_that_tells_its_side_has_the_vlan_of_that_side_alone() {
    let vlan = |fields: &[(u16, &[u8])]| one(&[Field::Vlan], fields).1.vlan();
    let ingress: (u16, &[u8]) = (58, &[0, 7]);
    let egress: (u16, &[u8]) = (254, &[0, 8]);
    for (side, both) in [(0, 7), (1, 8), (255, 7)] {
        let side: (u16, &[u8]) = (61, &[side]);
        assert_eq!(vlan(&[ingress, egress, side]), both);
    }
    assert_eq!(vlan(&[ingress, (61, &[1])]), 0);
    assert_eq!(vlan(&[egress, (61, &[0])]), 0);
    assert_eq!(vlan(&[egress]), 8);
}

#[test]
fn translations_of_both_families_and_of_asa() {
    let wanted = [Field::PostNatSrcHost, Field::PostNatDstPort, Field::FwEvent];
    let (_, r) = one(&wanted, &[(281, &SIX), (228, &[1, 2]), (233, &[2])]);
    assert_eq!(
        (r.post_nat_src_host(), r.post_nat_dst_port()),
        (Ip(SIX), 0x0102)
    );
    assert_eq!(r.fw_event(), 2);
    let mut rig = Rig::new(&wanted);
    let asa = template(256, &[(40001, 4), (40004, 2), (40005, 1)]);
    let all = rig.feed(&v9(&[set(0, &asa), set(256, &[10, 9, 8, 7, 3, 4, 5, 0])]));
    let r = &all[0];
    assert_eq!(
        (r.post_nat_src_host(), r.post_nat_dst_port()),
        (v4(10, 9, 8, 7), 0x0304)
    );
    assert_eq!(r.fw_event(), 5);
}

#[test]
fn label_stacks_and_distinguishers() {
    use Field as F;
    let wanted = [
        F::MplsLabelTop,
        F::MplsLabelBottom,
        F::MplsLabelStack,
        F::MplsVpnRd,
    ];
    // Labels 69 and 24305, the second with the bottom bit; the third is behind the bottom.
    let fields: &[(u16, &[u8])] = &[
        (70, &[0x00, 0x04, 0x50]),
        (71, &[0x05, 0xef, 0x11]),
        (72, &[0x00, 0x01, 0x00]),
        (234, &[0x60, 0, 0, 1]),
    ];
    let (rig, r) = one(&wanted, fields);
    assert_eq!((r.mpls_label_top(), r.mpls_label_bottom()), (69, 24305));
    assert_eq!(rig.text(r.mpls_label_stack()), "69_24305");
    assert_eq!(r.mpls_vpn_rd(), Rd::vrf(0x6000_0001, Origin::Flow).0);
    let (_, r) = one(
        &wanted,
        &[(90, &[0, 0, 0xfd, 0xe8, 0, 0, 0, 100]), (70, &[0; 3])],
    );
    assert_eq!(r.mpls_vpn_rd(), Rd::new(65000 << 32 | 100, Origin::Flow).0);
    assert!(!r.present.has(Field::MplsLabelTop));
}

#[test]
fn of_two_packets_the_inner_one_is_the_flow_and_the_outer_one_the_tunnel() {
    let wanted = [
        Field::SrcHost,
        Field::TunnelSrcHost,
        Field::TunnelProto,
        Field::TunnelTcpFlags,
    ];
    let outer: &[(u16, &[u8])] = &[(8, &[10, 0, 0, 1]), (4, &[47]), (6, &[0])];
    let inner: &[(u16, &[u8])] = &[(8, &[10, 0, 0, 2]), (4, &[6]), (6, &[0, 0x18])];
    let (_, r) = one(&wanted, &[outer, inner].concat());
    assert_eq!(
        (r.src_host(), r.tunnel_src_host()),
        (v4(10, 0, 0, 2), v4(10, 0, 0, 1))
    );
    assert_eq!((r.tunnel_proto(), r.tunnel_tcp_flags()), (47, 0));
    // IPv4 in IPv6: the flow is what is inside.
    let outer: &[(u16, &[u8])] = &[(27, &SIX), (7, &[0, 1]), (4, &[4])];
    let inner: &[(u16, &[u8])] = &[(8, &[10, 0, 0, 2]), (7, &[0, 53]), (4, &[17])];
    let wanted = [&wanted[..], &[Field::Proto, Field::SrcPort]].concat();
    let (_, r) = one(&wanted, &[outer, inner].concat());
    assert_eq!(
        (r.src_host(), r.src_port(), r.proto()),
        (v4(10, 0, 0, 2), 53, 17)
    );
    assert_eq!((r.tunnel_src_host(), r.tunnel_proto()), (Ip(SIX), 4));
    let wanted = [Field::Vxlan, Field::Nvgre];
    let (_, r) = one(&wanted, &[(351, &[1, 0, 0, 0, 0, 0, 1, 2])]);
    assert_eq!((r.vxlan(), r.present.has(Field::Nvgre)), (0x0102, false));
    let (_, r) = one(&wanted, &[(351, &[2, 0, 0, 0, 0, 0, 1, 2])]);
    assert_eq!((r.nvgre(), r.present.has(Field::Vxlan)), (0x0102, false));
}

#[test]
fn times_in_every_unit() {
    let wanted = [Field::TimestampStart, Field::TimestampEnd];
    let base = u64::from(EXPORTED) * SECOND;
    let ms = |back: u64| ((base - back * SECOND) / 1_000_000).to_be_bytes();
    let (_, r) = one(&wanted, &[(152, &ms(9)), (153, &ms(3))]);
    assert_eq!(r.timestamp_start(), Nanos(base - 9 * SECOND));
    assert_eq!(r.timestamp_end(), Nanos(base - 3 * SECOND));
    let (_, r) = one(&wanted, &[(151, &(EXPORTED - 4).to_be_bytes())]);
    assert_eq!(r.timestamp_end(), Nanos(base - 4 * SECOND));
    assert!(!r.present.has(Field::TimestampStart));
    let (_, r) = one(&wanted, &[(158, &5_000_000u32.to_be_bytes())]);
    assert_eq!(r.timestamp_start(), Nanos(base - 5 * SECOND));
    let (_, r) = one(&wanted, &[(22, &[0, 0, 0x27, 0x10]), (160, &ms(60))]);
    assert_eq!(r.timestamp_start(), Nanos(base - 50 * SECOND));
    let mut rig = Rig::new(&wanted);
    let tpl = set(0, &template(256, &[(22, 4), (21, 4)]));
    let body = [(UPTIME - 1000).to_be_bytes(), (UPTIME + 2).to_be_bytes()].concat();
    let r = rig.feed(&v9(&[tpl, set(256, &body)]))[0];
    assert_eq!(r.timestamp_start(), Nanos(base - SECOND));
    assert_eq!(r.timestamp_end(), Nanos(base + 2_000_000));
    // An uptime of zero is a time, unless the record has a better one; so is no distance at all.
    let fields = [(22, 4), (21, 4), (153, 8)];
    let tpl = set(0, &template(257, &fields));
    let body = [&[0; 8][..], &ms(3)].concat();
    let r = rig.feed(&v9(&[tpl, set(257, &body)]))[0];
    let boot = base - u64::from(UPTIME) * 1_000_000;
    assert_eq!(r.timestamp_start(), Nanos(boot));
    assert_eq!(r.timestamp_end(), Nanos(base - 3 * SECOND));
    let (_, r) = one(&wanted, &[(158, &[0; 4]), (153, &[0; 8])]);
    assert_eq!(r.timestamp_start(), Nanos(base));
    assert!(!r.present.has(Field::TimestampEnd));
}

#[test]
fn variable_lengths_and_enterprises() {
    let mut rig = Rig::new(&[Field::Tag, Field::Label, Field::SrcHost, Field::DstPort]);
    let mut tpl = be(&[256, 5, 0x8001, 8]);
    tpl.extend(43874u32.to_be_bytes());
    tpl.extend(be(&[0x8003, 0xffff]));
    tpl.extend(43874u32.to_be_bytes());
    tpl.extend(be(&[8, 4, 371, 0xffff, 11, 2]));
    let mut body = 7u64.to_be_bytes().to_vec();
    body.extend([3, b'a', b'b', b'c', 10, 0, 0, 1, 0, 1, 0xbb]);
    body.extend(8u64.to_be_bytes());
    body.extend([255, 0, 2, b'h', b'i', 10, 0, 0, 2, 1, 9, 0, 53, 0, 0]);
    let all = rig.feed(&ipfix(&[set(2, &tpl), set(256, &body)]));
    assert_eq!(all.len(), 2);
    assert_eq!((all[0].tag(), rig.text(all[0].label())), (7, "abc".into()));
    assert_eq!(
        (all[0].src_host(), all[0].dst_port()),
        (v4(10, 0, 0, 1), 443)
    );
    assert_eq!((all[1].tag(), rig.text(all[1].label())), (8, "hi".into()));
    assert_eq!(
        (all[1].src_host(), all[1].dst_port()),
        (v4(10, 0, 0, 2), 53)
    );
    assert_eq!(rig.ledger.dropped_units(), 0);
    // Cut inside the second record, where its fewest bytes would still fit: the first stays.
    let cut = &body[..body.len() - 3];
    assert_eq!(rig.feed(&ipfix(&[set(256, cut)])).len(), 1);
    assert_eq!(rig.dropped(Reason::Truncated), 1);
}

#[test]
fn sets_of_more_records_than_a_batch_come_whole_and_in_order() {
    for len in [2, 0xffff] {
        let mut rig = Rig::new(&[Field::DstPort, Field::SrcPort]);
        let tpl = set(2, &template(256, &[(11, 2), (96, len), (7, 2)]));
        let name: &[u8] = if len == 2 { b"ab" } else { &[1, b'a'] };
        let row = |n: u16| [&n.to_be_bytes(), name, &(!n).to_be_bytes()].concat();
        let mut seen = 0u16;
        for count in [1, 31, 33, 700, 5000] {
            let body: Vec<u8> = (seen..seen + count).flat_map(row).collect();
            let sets = [tpl.clone(), set(256, &body), set(256, &row(9))];
            let all = rig.feed(&ipfix_at(u32::from(seen), 1, &sets));
            let ports: Vec<_> = all.iter().map(|r| (r.dst_port(), r.src_port())).collect();
            let want = (seen..seen + count).chain([9]).map(|n| (n, !n));
            assert_eq!(ports, want.collect::<Vec<_>>());
            assert!(all.iter().all(|r| r.flows == 1 && r.time == rig.now));
            seen += count + 1;
        }
        assert_eq!(rig.ledger.dropped_units(), 0);
        assert_eq!(rig.ledger.sequence_lost, 0);
    }
}

#[test]
fn the_way_back_of_a_biflow() {
    let wanted = [
        Field::SrcHost,
        Field::DstHost,
        Field::SrcPort,
        Field::InIface,
        Field::TcpFlags,
    ];
    let mut rig = Rig::new(&wanted);
    let mut tpl = be(&[256, 11, 8, 4, 12, 4, 7, 2, 11, 2, 10, 4, 14, 4, 6, 1, 1, 4]);
    for (id, len) in [(1u16, 4), (2, 4), (6, 1)] {
        tpl.extend(be(&[0x8000 | id, len]));
        tpl.extend(29305u32.to_be_bytes());
    }
    let mut body = vec![
        10, 0, 0, 1, 10, 0, 0, 2, 0, 80, 1, 0xbb, 0, 0, 0, 5, 0, 0, 0, 6, 2,
    ];
    body.extend([0, 0, 0, 100, 0, 0, 0, 200, 0, 0, 0, 3, 0x12]);
    let all = rig.feed(&ipfix(&[set(2, &tpl), set(256, &body)]));
    assert_eq!(all.len(), 2);
    let (there, back) = (&all[0], &all[1]);
    assert_eq!((there.bytes, there.packets, there.tcp_flags()), (100, 0, 2));
    assert_eq!((back.bytes, back.packets, back.tcp_flags()), (200, 3, 0x12));
    assert_eq!(
        (back.src_host(), back.dst_host()),
        (there.dst_host(), there.src_host())
    );
    assert_eq!((back.src_port(), back.in_iface()), (443, 6));
    let silent = [&body[..25], &[0; 9]].concat();
    assert_eq!(
        rig.feed(&ipfix(&[set(256, &silent)])).len(),
        1,
        "nothing came back"
    );
}

#[test]
fn frames_in_records_are_read_as_packets() {
    let mut frame = vec![2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 8, 0];
    frame.extend([
        0x45, 0, 0, 100, 0, 0, 0, 0, 64, 17, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2,
    ]);
    frame.extend([0, 53, 0x30, 0x39, 0, 80, 0, 0]);
    let wanted = [KEY, &[Field::SrcMac]].concat();
    let (_, r) = one(&wanted, &[(10, &[9]), (312, &[0, 114]), (315, &frame)]);
    assert_eq!(
        (r.src_host(), r.dst_host()),
        (v4(10, 0, 0, 1), v4(10, 0, 0, 2))
    );
    assert_eq!((r.src_port(), r.dst_port(), r.proto()), (53, 12345, 17));
    assert_eq!(
        (r.src_mac(), r.packets, r.bytes),
        (Mac([2, 0, 0, 0, 0, 2]), 1, 100)
    );
    let (_, r) = one(
        &wanted,
        &[(8, &[10, 0, 0, 9]), (1, &[7]), (2, &[2]), (104, &frame)],
    );
    assert_eq!(
        (r.src_host(), r.dst_host()),
        (v4(10, 0, 0, 9), v4(10, 0, 0, 2))
    );
    assert_eq!(
        (r.packets, r.bytes),
        (2, 7),
        "counters of the record are preferred"
    );
}

#[test]
fn what_is_not_wanted_is_not_compiled() {
    let mut rig = Rig::new(&[Field::SrcHost]);
    rig.feed(&ipfix(&[set(2, &template(256, FIVE))]));
    let domain = Domain {
        exporter: v4(192, 0, 2, 1),
        id: 1,
        version: 10,
    };
    let key = template::Key { domain, id: 256 };
    let compiled = rig.decoder.templates.pick(&key, Nanos(1)).unwrap();
    let What::Data(way, None) = &compiled.what else {
        unreachable!()
    };
    assert_eq!(
        way.plan.ops.len(),
        2,
        "the source, and packets and bytes at once"
    );
    assert!(way.slow.is_none());
}

#[test]
fn next_hops_and_numbers_of_vrfs_have_fields_of_their_own() {
    let wanted = [
        Field::NextHop,
        Field::PeerDstIp,
        Field::IngressVrfId,
        Field::EgressVrfId,
    ];
    let fields: &[(u16, &[u8])] = &[
        (15, &[192, 0, 2, 15]),
        (18, &[192, 0, 2, 18]),
        (234, &[0x60, 0, 0, 1]),
        (235, &[0x60, 0, 0, 2]),
    ];
    let (_, r) = one(&wanted, fields);
    assert_eq!(
        (r.next_hop(), r.peer_dst_ip()),
        (v4(192, 0, 2, 15), v4(192, 0, 2, 18))
    );
    assert_eq!(
        (r.ingress_vrf_id(), r.egress_vrf_id()),
        (0x6000_0001, 0x6000_0002)
    );
    let (_, r) = one(&wanted, &[(1, &[7])]);
    assert!(!r.present.any(wanted.into_iter().collect()));
}
