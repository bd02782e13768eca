use super::record::*;
use super::*;
use crate::base::addr::Mac;

/// Numbers as XDR has them.
fn xdr(words: &[u32]) -> Vec<u8> {
    words.iter().flat_map(|w| w.to_be_bytes()).collect()
}

/// A datagram of agent 192.0.2.7, sub-agent 3, sequence 9, with the given samples.
fn datagram(samples: &[(u32, Vec<u8>)]) -> Vec<u8> {
    let mut out = xdr(&[5, 1, 0xc000_0207, 3, 9, 1000, samples.len() as u32]);
    for (format, body) in samples {
        out.extend(xdr(&[*format, body.len() as u32]));
        out.extend(body);
    }
    out
}

#[test]
fn the_header_of_both_families() {
    let bytes = datagram(&[]);
    let d = Datagram::parse(&bytes).unwrap();
    assert_eq!(d.agent, Some(Ip::v4([192, 0, 2, 7])));
    assert_eq!(
        (d.sub_agent, d.sequence, d.uptime, d.samples.left()),
        (3, 9, 1000, 0)
    );
    let bytes = xdr(&[5, 2, 0x2001_0db8, 0, 0, 1, 0, 1, 2, 0]);
    let d = Datagram::parse(&bytes).unwrap();
    assert_eq!(d.agent.unwrap().to_string(), "2001:db8::1");
    assert_eq!(
        Datagram::parse(&xdr(&[4, 1, 0, 0, 0, 0, 0])).err(),
        Some(Error::Version)
    );
    assert_eq!(
        Datagram::parse(&xdr(&[5, 3, 0, 0, 0, 0, 0])).err(),
        Some(Error::Type)
    );
    assert_eq!(
        Datagram::parse(&xdr(&[5, 1, 0, 0, 0, 0])).err(),
        Some(Error::Truncated)
    );
}

#[test]
fn samples_are_passed_by_their_length() {
    let bytes = datagram(&[
        (77 << 12 | 1, xdr(&[1, 2, 3])),
        (sample::COUNTER, xdr(&[8, 5, 0])),
    ]);
    let all: Vec<_> = Datagram::parse(&bytes)
        .unwrap()
        .samples
        .map(Result::unwrap)
        .collect();
    assert_eq!(all.len(), 2);
    assert_eq!(all[0].format, 77 << 12 | 1);
    let counters = CounterSample::parse(all[1].body).unwrap();
    assert_eq!(counters.sequence, 8);
    assert_eq!(counters.source, Source { class: 0, index: 5 });
}

#[test]
fn a_wrong_length_ends_the_samples() {
    let mut bytes = datagram(&[(2, xdr(&[8, 5, 0])), (2, xdr(&[9, 5, 0]))]);
    bytes[32..36].copy_from_slice(&u32::MAX.to_be_bytes());
    let mut samples = Datagram::parse(&bytes).unwrap().samples;
    assert_eq!(samples.next().unwrap().err(), Some(Error::Length));
    assert!(samples.next().is_none());
}

#[test]
fn a_count_is_only_a_bound() {
    let bytes = xdr(&[5, 1, 0, 0, 0, 0, u32::MAX, 9, 0, 9, 0]);
    let all: Vec<_> = Datagram::parse(&bytes).unwrap().samples.collect();
    assert_eq!(all.len(), 3);
    assert!(all[0].is_ok() && all[1].is_ok());
    assert_eq!(all[2].as_ref().err(), Some(&Error::Truncated));
}

#[test]
fn flow_samples_of_both_widths_are_alike() {
    let compact = xdr(&[7, 1 << 24 | 12, 400, 9000, 2, 12, 0x4000_0102, 0]);
    let a = FlowSample::parse(Xdr::new(&compact)).unwrap();
    let wide = xdr(&[7, 1, 12, 400, 9000, 2, 0, 12, 1, 258, 0]);
    let b = FlowSample::parse_expanded(Xdr::new(&wide)).unwrap();
    for s in [a, b] {
        assert_eq!((s.sequence, s.rate, s.pool, s.drops), (7, 400, 9000, 2));
        assert_eq!(
            s.source,
            Source {
                class: 1,
                index: 12
            }
        );
        assert_eq!(
            (s.input.interface(), s.output.interface()),
            (Interface::Index(12), Interface::Discarded(258))
        );
        assert_eq!(s.input.index(), 12);
        assert_eq!(s.output.index(), 0);
    }
}

#[test]
fn interfaces_that_are_none_or_many() {
    let wide = |format, value| Port { format, value }.interface();
    assert_eq!(Port::compact(0x3fff_ffff).interface(), Interface::Internal);
    assert_eq!(
        Port::compact(0x8000_0003).interface(),
        Interface::Multiple(3)
    );
    assert_eq!(Port::compact(0xc000_0003).interface(), Interface::Unknown);
    assert_eq!(wide(0, u32::MAX), Interface::Internal);
    assert_eq!(wide(0, 0x4000_0000), Interface::Index(0x4000_0000));
}

#[test]
fn padding_belongs_to_the_value_before_it() {
    let mut body = xdr(&[1, 64, 4, 3]);
    body.extend([0xaa, 0xbb, 0xcc, 0]);
    let raw = RawHeader::parse(Xdr::new(&body)).unwrap();
    assert_eq!((raw.protocol, raw.frame_length, raw.stripped), (1, 64, 4));
    assert_eq!(raw.header, [0xaa, 0xbb, 0xcc]);
    body[15] = 5;
    assert_eq!(RawHeader::parse(Xdr::new(&body)).err(), Some(Error::Length));
    // A record whose length leaves the padding out is read the same way.
    body[15] = 3;
    let mut list = xdr(&[1, 19]);
    list.extend(&body);
    list.extend(xdr(&[2, 0]));
    let mut records = Records {
        xdr: Xdr::new(&list),
        count: 2,
    };
    let first = records.next().unwrap().unwrap();
    assert_eq!(
        RawHeader::parse(first.body).unwrap().header,
        [0xaa, 0xbb, 0xcc]
    );
    assert_eq!(records.next().unwrap().unwrap().format, 2);
}

#[test]
fn header_values_without_a_header() {
    let body = xdr(&[
        90,
        0x0200_0000,
        0x0001_0000,
        0x0200_0000,
        0x0002_0000,
        0x0806,
    ]);
    let e = Ethernet::parse(Xdr::new(&body)).unwrap();
    assert_eq!((e.length, e.etype), (90, 0x0806));
    assert_eq!(
        (e.src, e.dst),
        (Mac([2, 0, 0, 0, 0, 1]), Mac([2, 0, 0, 0, 0, 2]))
    );

    let body = xdr(&[1500, 6, 0x0a00_0001, 0x0a00_0002, 443, 50000, 0x18, 0xb8]);
    let v4 = Inet::parse_v4(Xdr::new(&body)).unwrap();
    assert_eq!(
        (v4.length, v4.protocol, v4.tcp_flags, v4.tos),
        (1500, 6, 0x18, 0xb8)
    );
    assert_eq!((v4.src, v4.src_port), (Ip::v4([10, 0, 0, 1]), 443));
    assert_eq!((v4.dst, v4.dst_port), (Ip::v4([10, 0, 0, 2]), 50000));

    let body = xdr(&[
        80,
        17,
        0x2001_0db8,
        0,
        0,
        1,
        0x2001_0db8,
        0,
        0,
        2,
        53,
        9,
        0,
        4,
    ]);
    let v6 = Inet::parse_v6(Xdr::new(&body)).unwrap();
    assert_eq!(
        (v6.src.to_string(), v6.dst.to_string().as_str()),
        ("2001:db8::1".into(), "2001:db8::2")
    );
    assert_eq!(
        (v6.length, v6.protocol, v6.src_port, v6.dst_port, v6.tos),
        (80, 17, 53, 9, 4)
    );
}

#[test]
fn what_a_switch_and_a_router_add() {
    let s = Switch::parse(Xdr::new(&xdr(&[10, 5, 20, 6]))).unwrap();
    assert_eq!(
        (s.src_vlan, s.src_priority, s.dst_vlan, s.dst_priority),
        (10, 5, 20, 6)
    );
    let r = Router::parse(Xdr::new(&xdr(&[1, 0xc000_0201, 24, 16]))).unwrap();
    assert_eq!(
        (r.next_hop, r.src_mask, r.dst_mask),
        (Some(Ip::v4([192, 0, 2, 1])), 24, 16)
    );
    let r = Router::parse(Xdr::new(&xdr(&[0, 24, 16]))).unwrap();
    assert_eq!(r.next_hop, None);
    assert_eq!(
        Router::parse(Xdr::new(&xdr(&[9, 24, 16]))).err(),
        Some(Error::Type)
    );
}

#[test]
fn the_path_of_a_gateway() {
    let body = xdr(&[
        1,
        0xc000_0201,
        64500,
        64501,
        64502,
        2, // next hop, ASes, two segments
        2,
        2,
        64510,
        64511, // sequence
        1,
        2,
        64520,
        64521, // set
        2,
        0xfbf4_0001,
        0xfbf4_0002,
        150, // communities, local preference
    ]);
    let g = Gateway::parse(Xdr::new(&body)).unwrap();
    assert_eq!(g.next_hop, Some(Ip::v4([192, 0, 2, 1])));
    assert_eq!(
        (g.own_as, g.src_as, g.src_peer_as, g.local_pref),
        (64500, 64501, 64502, 150)
    );
    assert_eq!(
        (g.path.first(), g.path.origin()),
        (Some(64510), Some(64521))
    );
    let sets: Vec<_> = g.path.map(|s| (s.set, s.numbers.len())).collect();
    assert_eq!(sets, [(false, 2), (true, 2)]);
    assert_eq!(g.communities, [[0xfb, 0xf4, 0, 1], [0xfb, 0xf4, 0, 2]]);

    let local = xdr(&[0, 64500, 0, 0, 0, 0, 100]);
    let g = Gateway::parse(Xdr::new(&local)).unwrap();
    assert_eq!(
        (g.path.first(), g.path.origin(), g.next_hop),
        (None, None, None)
    );
    let huge = xdr(&[0, 64500, 0, 0, u32::MAX, 2, u32::MAX, 100]);
    assert_eq!(Gateway::parse(Xdr::new(&huge)).err(), Some(Error::Count));
}

#[test]
fn labels_tags_and_translations() {
    let m = xdr(&[0, 2, 16 << 12, 17 << 12 | 0x100, 0]);
    let m = Mpls::parse(Xdr::new(&m)).map(|m| (m.next_hop, m.input.len(), m.output.len()));
    assert_eq!(m, Ok((None, 2, 0)));
    let n = Nat::parse(Xdr::new(&xdr(&[1, 0x0a00_0001, 2, 0x2001_0db8, 0, 0, 1]))).unwrap();
    assert_eq!(n.src, Some(Ip::v4([10, 0, 0, 1])));
    assert_eq!(n.dst.unwrap().to_string(), "2001:db8::1");
    let p = NatPort::parse(Xdr::new(&xdr(&[1024, 80])));
    assert_eq!(p, Ok(NatPort { src: 1024, dst: 80 }));
    let t = xdr(&[1, 0x8100_0064]);
    assert_eq!(
        VlanTunnel::parse(Xdr::new(&t)).unwrap().tags,
        [[0x81, 0, 0, 100]]
    );
}

#[test]
fn counters_of_an_interface() {
    let mut words: Vec<u32> = vec![7, 6, 0, 1_000_000_000, 1, 3];
    words.extend([1, 2, 3, 4, 5, 6, 7, 8]); // in: octets in two words, …, unknown protocols
    words.extend([0, 9, 10, 11, 12, 13, 14, 2]); // out: …, promiscuous
    let body = xdr(&words);
    assert_eq!(body.len(), 88);
    let c = IfCounters::parse(Xdr::new(&body)).unwrap();
    assert_eq!(
        (c.index, c.kind, c.speed, c.direction, c.status),
        (7, 6, 1_000_000_000, 1, 3)
    );
    assert_eq!(
        (c.input.octets, c.input.unicast, c.input.errors),
        (1 << 32 | 2, 3, 7)
    );
    assert_eq!((c.unknown_protocols, c.promiscuous), (8, 2));
    assert_eq!(
        (c.output.octets, c.output.unicast, c.output.errors),
        (9, 10, 14)
    );
    assert!(IfCounters::parse(Xdr::new(&body[..84])).is_err());
}
