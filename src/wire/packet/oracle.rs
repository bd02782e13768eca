//! Our parser against etherparse: the same values from generated frames, and no panic whatever
//! is cut off or overwritten.
#![allow(
    clippy::indexing_slicing,
    clippy::unwrap_used,
    clippy::arithmetic_side_effects
)]
#![allow(clippy::panic)]

use super::test::{plain, walked};
use super::*;
use etherparse::{
    EtherType, IpFragOffset, IpHeaders, IpNumber, Ipv4Extensions, Ipv4Header, Ipv6Extensions,
    Ipv6FragmentHeader, Ipv6Header, Ipv6RawExtHeader, LinkExtHeader, NetHeaders, PacketBuilder,
    PacketHeaders, SingleVlanHeader, TcpHeader, TransportHeader, VlanHeader, VlanId,
};
use proptest::prelude::*;

/// What a frame is built from.
#[derive(Clone, Debug)]
struct Recipe {
    tags: Vec<u16>,
    hosts: ([u8; 16], [u8; 16]),
    v6: bool,
    extensions: bool,
    fragment: Option<(u16, bool, u32)>,
    words: (u8, u32, u16, u16),
    transport: u8,
    flags: u8,
    payload: Vec<u8>,
}

fn recipe() -> impl Strategy<Value = Recipe> {
    let fragment = proptest::option::of((0u16..2000, any::<bool>(), any::<u32>()));
    (
        proptest::collection::vec(0u16..4096, 0..3),
        any::<([u8; 16], [u8; 16])>(),
        any::<(bool, bool)>(),
        fragment,
        (any::<u8>(), 0u32..1 << 20, any::<u16>(), any::<u16>()),
        (0u8..4, any::<u8>()),
        proptest::collection::vec(any::<u8>(), 0..64),
    )
        .prop_map(
            |(tags, hosts, (v6, extensions), fragment, words, l4, payload)| Recipe {
                tags,
                hosts,
                v6,
                extensions,
                fragment,
                words,
                transport: l4.0,
                flags: l4.1,
                payload,
            },
        )
}

fn network(r: &Recipe) -> IpHeaders {
    let (src, dst) = r.hosts;
    let (at, more, id) = r.fragment.unwrap_or_default();
    let at = IpFragOffset::try_new(at).unwrap();
    if r.v6 {
        let raw = || Ipv6RawExtHeader::new_raw(IpNumber::UDP, &[0; 14]).unwrap();
        let extensions = Ipv6Extensions {
            hop_by_hop_options: r.extensions.then(raw),
            destination_options: r.extensions.then(raw),
            fragment: r
                .fragment
                .map(|_| Ipv6FragmentHeader::new(IpNumber::UDP, at, more, id)),
            ..Default::default()
        };
        let header = Ipv6Header {
            traffic_class: r.words.0,
            flow_label: r.words.1.try_into().unwrap(),
            source: src,
            destination: dst,
            hop_limit: 64,
            ..Default::default()
        };
        return IpHeaders::Ipv6(header, extensions);
    }
    let four = |a: [u8; 16]| [a[0], a[1], a[2], a[3]];
    let mut header = Ipv4Header::new(0, 64, IpNumber::UDP, four(src), four(dst)).unwrap();
    header.dscp = (r.words.0 >> 2).try_into().unwrap();
    header.ecn = (r.words.0 & 3).try_into().unwrap();
    header.identification = id as u16;
    header.fragment_offset = at;
    header.more_fragments = more;
    if r.extensions {
        header.options = [1u8; 8].into();
    }
    IpHeaders::Ipv4(header, Ipv4Extensions::default())
}

fn build(r: &Recipe) -> Vec<u8> {
    let id = |n: u16| VlanId::try_new(n).unwrap();
    let tag = |n: u16| SingleVlanHeader {
        pcp: ((n & 7) as u8).try_into().unwrap(),
        drop_eligible_indicator: false,
        vlan_id: id(n),
        ether_type: EtherType(0),
    };
    let start = PacketBuilder::ethernet2([2, 0, 0, 0, 0, 5], [2, 0, 0, 0, 0, 0xd]);
    let ip = match r.tags[..] {
        [] => start.ip(network(r)),
        [one] => start.vlan(VlanHeader::Single(tag(one))).ip(network(r)),
        _ => start
            .double_vlan(id(r.tags[0]), id(r.tags[1]))
            .ip(network(r)),
    };
    let mut out = Vec::new();
    let (a, b) = (r.words.2, r.words.3);
    match r.transport {
        0 => {
            let mut tcp = TcpHeader::new(a, b, 1, 1);
            (tcp.fin, tcp.syn) = (r.flags & 1 != 0, r.flags & 2 != 0);
            (tcp.rst, tcp.psh) = (r.flags & 4 != 0, r.flags & 8 != 0);
            (tcp.ack, tcp.urg) = (r.flags & 16 != 0, r.flags & 32 != 0);
            (tcp.ece, tcp.cwr) = (r.flags & 64 != 0, r.flags & 128 != 0);
            ip.tcp_header(tcp)
                .write_to_vec(&mut out, &r.payload)
                .unwrap();
        }
        1 => ip.udp(a, b).write_to_vec(&mut out, &r.payload).unwrap(),
        2 if r.v6 => ip
            .icmpv6_echo_request(a, b)
            .write_to_vec(&mut out, &r.payload)
            .unwrap(),
        2 => ip
            .icmpv4_echo_reply(a, b)
            .write_to_vec(&mut out, &r.payload)
            .unwrap(),
        _ => ip.write_to_vec(&mut out, IpNumber(89), &r.payload).unwrap(),
    }
    out
}

/// Every value of ours against the recipe and against etherparse's reading.
fn compare(r: &Recipe, frame: &[u8]) {
    let ours = parse(Start::Ethernet, frame, frame.len() as u32, false).unwrap();
    let ip = ours.ip.unwrap();
    let theirs = PacketHeaders::from_ethernet_slice(frame).unwrap();
    let tags: Vec<u16> = theirs
        .link_exts
        .iter()
        .map(|e| match e {
            LinkExtHeader::Vlan(v) => v.vlan_id.value(),
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(ours.link.vlan, tags.first().copied());
    assert_eq!(ours.link.cvlan, tags.get(1).copied());
    let (at, more, id) = match theirs.net.unwrap() {
        NetHeaders::Ipv4(h, _) => {
            assert_eq!((ip.src, ip.dst), (Ip::v4(h.source), Ip::v4(h.destination)));
            assert_eq!(
                (ip.tos, ip.proto),
                (h.dscp.value() << 2 | h.ecn.value(), h.protocol.0)
            );
            assert_eq!((ip.bytes, ip.flow_label), (u32::from(h.total_len), 0));
            (
                h.fragment_offset.byte_offset(),
                h.more_fragments,
                u32::from(h.identification),
            )
        }
        NetHeaders::Ipv6(h, e) => {
            assert_eq!((ip.src, ip.dst), (Ip(h.source), Ip(h.destination)));
            assert_eq!(
                (ip.tos, ip.flow_label),
                (h.traffic_class, h.flow_label.value())
            );
            assert_eq!(ip.bytes, u32::from(h.payload_length) + 40);
            assert_eq!(ip.proto, e.next_header(h.next_header).unwrap().0);
            match e.fragment {
                Some(f) => (
                    f.fragment_offset.byte_offset(),
                    f.more_fragments,
                    f.identification,
                ),
                None => (0, false, 0),
            }
        }
        other => panic!("{other:?}"),
    };
    let want = (at != 0 || more).then_some(Fragment {
        id,
        offset: at,
        more,
    });
    assert_eq!(ip.fragment, want);
    assert_eq!(ip.end as usize, frame.len());
    if at != 0 {
        assert_eq!((ip.ports, ip.icmp, ip.tcp_flags), (None, None, 0));
        return;
    }
    // Of a first fragment etherparse leaves the transport alone; then the recipe is the oracle.
    let whole = [r.words.2, r.words.3];
    match theirs.transport {
        Some(TransportHeader::Udp(u)) => {
            assert_eq!(ip.ports, Some((u.source_port, u.destination_port)));
        }
        Some(TransportHeader::Tcp(t)) => {
            assert_eq!(ip.ports, Some((t.source_port, t.destination_port)));
            assert_eq!(ip.tcp_flags, t.to_bytes()[13]);
        }
        Some(TransportHeader::Icmpv4(i)) => {
            assert_eq!(ip.icmp, Some((i.to_bytes()[0], i.to_bytes()[1])))
        }
        Some(TransportHeader::Icmpv6(i)) => {
            assert_eq!(ip.icmp, Some((i.to_bytes()[0], i.to_bytes()[1])))
        }
        _ => match r.transport {
            0 | 1 => assert_eq!(ip.ports, Some((whole[0], whole[1]))),
            2 => assert_eq!(ip.icmp, Some((if r.v6 { 128 } else { 0 }, 0))),
            _ => assert_eq!((ip.ports, ip.icmp), (None, None)),
        },
    }
    assert_eq!(ip.stopped, None);
}

const STARTS: [Start; 8] = [
    Start::Ethernet,
    Start::Ip,
    Start::Null,
    Start::Ppp,
    Start::Pppoe,
    Start::Cooked,
    Start::Cooked2,
    Start::Mpls,
];

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 512,
        failure_persistence: None,
        ..Default::default()
    })]

    #[test]
    fn equal_values_from_intact_frames(r in recipe()) {
        let mut frame = build(&r);
        compare(&r, &frame);
        // Link padding must change nothing but the frame's length.
        let before = parse(Start::Ethernet, &frame, frame.len() as u32, true);
        frame.extend([0xff; 20]);
        prop_assert_eq!(before, parse(Start::Ethernet, &frame, frame.len() as u32, true));
    }

    #[test]
    fn a_cut_frame_gives_the_same_values_or_none(r in recipe()) {
        let frame = build(&r);
        let whole = parse(Start::Ethernet, &frame, frame.len() as u32, true).unwrap();
        let (link, all) = (whole.link, whole.ip.unwrap());
        for n in 0..frame.len() {
            match parse(Start::Ethernet, &frame[..n], frame.len() as u32, true) {
                Err(e) => prop_assert_eq!(e, Error::Truncated),
                Ok(cut) => {
                    let ip = cut.ip.unwrap();
                    prop_assert_eq!(cut.link, link);
                    prop_assert_eq!((ip.src, ip.dst, ip.bytes), (all.src, all.dst, all.bytes));
                    prop_assert!(ip.ports.is_none() || ip.ports == all.ports);
                    prop_assert!(ip.icmp.is_none() || ip.icmp == all.icmp);
                    prop_assert!(ip.tcp_flags == 0 || ip.tcp_flags == all.tcp_flags);
                    prop_assert!(ip.end as usize <= n && ip.payload <= ip.end);
                }
            }
        }
    }

    #[test]
    fn nothing_panics(r in recipe(), marks in proptest::collection::vec(any::<(u16, u8)>(), 0..8),
            cut in any::<u16>(), wire in any::<u32>()) {
        let mut frame = build(&r);
        for (at, value) in marks {
            let at = usize::from(at) % frame.len().min(60);
            frame[at] = value;
        }
        frame.truncate(usize::from(cut) % (frame.len() + 1));
        for start in STARTS {
            if let Ok(p) = parse(start, &frame, wire, true) && let Some(ip) = p.ip {
                prop_assert!(ip.start <= ip.payload && ip.payload <= ip.end);
                prop_assert!(ip.end as usize <= frame.len());
            }
        }
    }

    #[test]
    fn noise_does_not_panic(noise in proptest::collection::vec(any::<u8>(), 0..200)) {
        for start in STARTS {
            let _ = parse(start, &noise, noise.len() as u32, true);
        }
        // Both ways of reading a usual frame say the same.
        if let Some(p) = plain(&noise, 200) {
            prop_assert_eq!(Ok(p), walked(&noise, 200));
        }
    }

    #[test]
    fn plain_is_walk(r in recipe(), marks in proptest::collection::vec(any::<(u16, u8)>(), 0..2)) {
        let tags = r.tags.get(..1).unwrap_or_default().to_vec();
        let usual = Recipe { tags, extensions: false, fragment: None, ..r };
        let mut frame = build(&usual);
        for (at, value) in marks {
            let at = usize::from(at) % frame.len().min(60);
            frame[at] = value;
        }
        if let Some(p) = plain(&frame, frame.len() as u32) {
            prop_assert_eq!(Ok(p), walked(&frame, frame.len() as u32));
        }
    }
}
