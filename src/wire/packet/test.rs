//! Headers as bytes, with the values under them.
#![allow(
    clippy::indexing_slicing,
    clippy::unwrap_used,
    clippy::arithmetic_side_effects
)]
#![allow(clippy::expect_used)]

use super::*;

const MACS: [u8; 12] = [0x02, 0, 0, 0, 0, 0xd, 0x02, 0, 0, 0, 0, 0x5];
const TCP: [u8; 20] = [
    0x30, 0x39, 0x01, 0xbb, 0, 0, 0, 1, 0, 0, 0, 2, 0x50, 0x12, 1, 0, 0, 0, 0, 0,
];
const UDP: [u8; 12] = [0x14, 0xe9, 0x00, 0x35, 0, 12, 0, 0, 1, 2, 3, 4];

fn cat(parts: &[&[u8]]) -> Vec<u8> {
    parts.concat()
}

/// 192.0.2.1 → 198.51.100.2 without options, id 0x1234, ToS 0xb8.
fn v4(proto: u8, place: u16, body: &[u8]) -> Vec<u8> {
    let total = ((20 + body.len()) as u16).to_be_bytes();
    let p = place.to_be_bytes();
    cat(&[
        &[0x45, 0xb8],
        &total,
        &[0x12, 0x34],
        &p,
        &[64, proto, 0, 0, 192, 0, 2, 1, 198, 51, 100, 2],
        body,
    ])
}

/// 2001:db8::1 → 2001:db8::2, traffic class 0xb8, flow label 0xabcde.
fn v6(next: u8, body: &[u8]) -> Vec<u8> {
    let mut h = vec![0x6b, 0x8a, 0xbc, 0xde];
    h.extend(((body.len()) as u16).to_be_bytes());
    h.extend([next, 64]);
    h.extend([0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1]);
    h.extend([0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2]);
    h.extend(body);
    h
}

fn eth(tail: &[&[u8]]) -> Vec<u8> {
    cat(&[&MACS, &tail.concat()])
}

fn read(start: Start, f: &[u8]) -> Result<Packet, Error> {
    parse(start, f, f.len() as u32, true)
}

/// By the fast path alone.
pub(super) fn plain(f: &[u8], wire_len: u32) -> Option<Packet> {
    let mut packet = Packet::EMPTY;
    match (Plain::<V4>::of(f, wire_len), Plain::<V6>::of(f, wire_len)) {
        (Some(plain), None) => plain.unpack(&mut packet),
        (None, Some(plain)) => plain.unpack(&mut packet),
        _ => return None,
    }
    Some(packet)
}

/// By the walk alone, into memory that held something else.
pub(super) fn walked(f: &[u8], wire_len: u32) -> Result<Packet, Error> {
    let mut packet = Packet::EMPTY;
    let _ = parse_into(Start::Ip, &v4(4, 0, &v4(6, 0, &TCP)), 60, true, &mut packet);
    walk(Start::Ethernet, f, wire_len, false, &mut packet).map(|()| packet)
}

fn ip(start: Start, f: &[u8]) -> IpLayer {
    read(start, f).unwrap().ip.unwrap()
}

/// The usual inner packet arrived intact.
fn is_tcp4(ip: &IpLayer) {
    assert_eq!(
        (ip.src, ip.dst),
        (Ip::v4([192, 0, 2, 1]), Ip::v4([198, 51, 100, 2]))
    );
    assert_eq!((ip.proto, ip.tos, ip.ports), (6, 0xb8, Some((12345, 443))));
    assert_eq!((ip.tcp_flags, ip.bytes, ip.stopped), (0x12, 40, None));
}

#[test]
fn plain_and_walk_agree() {
    let f = eth(&[&[8, 0], &v4(6, 0x4000, &TCP), &[0; 6]]);
    let p = plain(&f, 60).unwrap();
    assert_eq!(p, walked(&f, 60).unwrap());
    is_tcp4(&p.ip.unwrap());
    assert_eq!(p.link.src_mac, Some(Mac([2, 0, 0, 0, 0, 5])));
    assert_eq!(p.link.dst_mac, Some(Mac([2, 0, 0, 0, 0, 0xd])));
    assert_eq!(
        (p.link.etype, p.link.vlan, p.bytes),
        (Some(0x800), None, 40)
    );
    assert_eq!(
        (
            p.ip.unwrap().start,
            p.ip.unwrap().payload,
            p.ip.unwrap().end
        ),
        (14, 34, 54)
    );
    let f = eth(&[&[8, 0], &v4(17, 0, &[&UDP[..], &[0; 40]].concat())]);
    let p = plain(&f, f.len() as u32).unwrap();
    assert_eq!(p, walked(&f, f.len() as u32).unwrap());
    assert_eq!(
        (p.ip.unwrap().ports, p.ip.unwrap().tcp_flags),
        (Some((5353, 53)), 0)
    );
}

#[test]
fn the_usual_frames_are_read_the_short_way() {
    for tag in [&[][..], &[0x81, 0, 0x60, 100]] {
        for packet in [
            [&[8, 0], &v4(6, 0, &TCP)[..]].concat(),
            [&[0x86, 0xdd], &v6(6, &TCP)[..]].concat(),
        ] {
            let f = eth(&[tag, &packet, &[0; 6]]);
            let p = plain(&f, f.len() as u32).unwrap();
            assert_eq!(p, walked(&f, f.len() as u32).unwrap());
            assert_eq!(
                (p.link.vlan, p.link.cos),
                if tag.is_empty() {
                    (None, None)
                } else {
                    (Some(100), Some(3))
                }
            );
            assert_eq!(p.ip.unwrap().ports, Some((12345, 443)));
        }
    }
}

#[test]
fn tags_stack_and_end() {
    let f = eth(&[
        &[0x88, 0xa8, 0x60, 100, 0x81, 0, 0x20, 7, 8, 0],
        &v4(6, 0, &TCP),
    ]);
    let p = read(Start::Ethernet, &f).unwrap();
    assert_eq!(
        (p.link.vlan, p.link.cvlan, p.link.cos),
        (Some(100), Some(7), Some(3))
    );
    assert_eq!((p.link.etype, p.bytes), (Some(0x800), 40));
    is_tcp4(&p.ip.unwrap());
    let tags = [0x81, 0, 0, 1].repeat(8);
    is_tcp4(&ip(
        Start::Ethernet,
        &eth(&[&tags, &[8, 0], &v4(6, 0, &TCP)]),
    ));
    let tags = [0x81, 0, 0, 1].repeat(9);
    let f = eth(&[&tags, &[8, 0], &v4(6, 0, &TCP)]);
    assert_eq!(read(Start::Ethernet, &f), Err(Error::Loop));
    assert_eq!(
        read(Start::Ethernet, &eth(&[&[0x81, 0, 0]])),
        Err(Error::Truncated)
    );
}

#[test]
fn llc_and_snap() {
    let v = v4(6, 0, &TCP);
    let snap = [0, 48, 0xaa, 0xaa, 3, 0, 0, 0, 8, 0];
    is_tcp4(&ip(Start::Ethernet, &eth(&[&snap, &v])));
    is_tcp4(&ip(Start::Ethernet, &eth(&[&[0x81, 0, 0, 5], &snap, &v])));
    is_tcp4(&ip(Start::Ethernet, &eth(&[&[0, 43, 6, 6, 3], &v])));
    let bridged = [0, 62, 0xaa, 0xaa, 3, 0, 0x80, 0xc2, 0, 7];
    is_tcp4(&ip(
        Start::Ethernet,
        &eth(&[&bridged, &eth(&[&[8, 0], &v])]),
    ));
    let stp = read(Start::Ethernet, &eth(&[&[0, 38, 0x42, 0x42, 3], &[0; 43]])).unwrap();
    assert_eq!((stp.ip, stp.link.etype), (None, None));
    let arp = read(Start::Ethernet, &eth(&[&[8, 6], &[0; 46]])).unwrap();
    assert_eq!((arp.ip, arp.link.etype, arp.bytes), (None, Some(0x806), 46));
}

#[test]
fn macsec() {
    let v = v4(6, 0, &TCP);
    // Authenticated alone, without and with the channel's name, and below it a VLAN tag.
    let short = [0x88, 0xe5, 0x00, 0, 0, 0, 0, 1];
    let long = cat(&[&[0x88, 0xe5, 0x22, 0], &[7; 12]]);
    is_tcp4(&ip(Start::Ethernet, &eth(&[&short, &[8, 0], &v, &[9; 16]])));
    let p = read(
        Start::Ethernet,
        &eth(&[&long, &[0x81, 0, 0, 5, 8, 0], &v, &[9; 16]]),
    )
    .unwrap();
    assert_eq!((p.link.vlan, p.link.etype), (Some(5), Some(0x800)));
    is_tcp4(&p.ip.unwrap());
    // Encrypted, or changed by the cipher: nobody can say what it is.
    for control in [0x08, 0x0c, 0x04] {
        let tag = [0x88, 0xe5, control, 0, 0, 0, 0, 1];
        let p = read(Start::Ethernet, &eth(&[&tag, &[8, 0], &v])).unwrap();
        assert_eq!((p.ip, p.link.etype), (None, Some(0x88e5)));
    }
}

#[test]
fn labels() {
    let v = v4(6, 0, &TCP);
    let two = [0x88, 0x47, 0x00, 0x06, 0x40, 64, 0x00, 0x01, 0x81, 64];
    let p = read(Start::Ethernet, &eth(&[&two, &v])).unwrap();
    let l = p.link.labels.unwrap();
    assert_eq!((l.top(), l.bottom(), l.stack()), (100, 24, &[100, 24][..]));
    assert_eq!(p.link.etype, Some(0x800));
    is_tcp4(&p.ip.unwrap());
    // Twelve labels: ten are kept, and the bottom.
    let many: Vec<u8> = (1..=12u32)
        .flat_map(|n| (n << 12 | u32::from(n == 12) << 8).to_be_bytes())
        .collect();
    let l = read(Start::Mpls, &cat(&[&many, &v]))
        .unwrap()
        .link
        .labels
        .unwrap();
    assert_eq!((l.top(), l.bottom(), l.stack().len()), (1, 12, 10));
    // A pseudowire: control word, then a frame; the outer addresses stay.
    let inner = cat(&[&[9; 12], &[8, 0], &v]);
    let p = read(Start::Ethernet, &eth(&[&two, &[0, 0, 0, 1], &inner])).unwrap();
    assert_eq!(p.link.src_mac, Some(Mac([2, 0, 0, 0, 0, 5])));
    is_tcp4(&p.ip.unwrap());
    assert_eq!(read(Start::Mpls, &[0u8; 4 * 40]), Err(Error::Loop));
    assert_eq!(read(Start::Mpls, &[0u8; 8]), Err(Error::Truncated));
}

#[test]
fn ppp_in_all_its_frames() {
    let v = v4(6, 0, &TCP);
    let session = [0x88, 0x64, 0x11, 0, 0, 9, 0, 42];
    is_tcp4(&ip(Start::Ethernet, &eth(&[&session, &[0, 0x21], &v])));
    assert_eq!(
        ip(Start::Ethernet, &eth(&[&session, &[0, 0x57], &v6(6, &TCP)])).version,
        6
    );
    let lcp = read(
        Start::Ethernet,
        &eth(&[&session, &[0xc0, 0x21, 1, 1, 0, 4]]),
    )
    .unwrap();
    assert_eq!((lcp.ip, lcp.link.etype), (None, Some(0x8864)));
    let bad = eth(&[&[0x88, 0x64, 0x21, 0, 0, 9, 0, 42, 0, 0x21], &v]);
    assert_eq!(read(Start::Ethernet, &bad), Err(Error::Version));
    for head in [
        &[0xff, 3, 0, 0x21][..],
        &[0xff, 3, 0x21],
        &[0, 0x21],
        &[0x21],
        &[0x0f, 0, 8, 0],
    ] {
        is_tcp4(&ip(Start::Ppp, &cat(&[head, &v])));
    }
    let labels = cat(&[&[0x02, 0x81, 0, 6, 0x41, 64], &v]);
    is_tcp4(&ip(Start::Ppp, &labels));
    is_tcp4(&ip(Start::Pppoe, &cat(&[&session[2..], &[0, 0x21], &v])));
}

#[test]
fn captures_without_ethernet() {
    let v = v4(6, 0, &TCP);
    let cooked = [0, 0, 0, 1, 0, 6, 2, 0, 0, 0, 0, 5, 0, 0, 8, 0];
    let p = read(Start::Cooked, &cat(&[&cooked, &v])).unwrap();
    assert_eq!(
        (p.link.src_mac, p.link.dst_mac),
        (Some(Mac([2, 0, 0, 0, 0, 5])), None)
    );
    is_tcp4(&p.ip.unwrap());
    let netlink = [0, 0, 3, 0x38, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    assert_eq!(read(Start::Cooked, &cat(&[&netlink, &v])).unwrap().ip, None);
    let cooked2 = [8, 0, 0, 0, 0, 0, 0, 3, 0, 1, 0, 6, 2, 0, 0, 0, 0, 5, 0, 0];
    let p = read(Start::Cooked2, &cat(&[&cooked2, &v])).unwrap();
    assert_eq!(p.link.src_mac, Some(Mac([2, 0, 0, 0, 0, 5])));
    is_tcp4(&p.ip.unwrap());
    for family in [[0, 0, 0, 2], [2, 0, 0, 0], [0, 0, 0, 30], [24, 0, 0, 0]] {
        is_tcp4(&ip(Start::Null, &cat(&[&family, &v])));
    }
    assert_eq!(
        read(Start::Null, &cat(&[&[7, 0, 0, 0], &v])).unwrap().ip,
        None
    );
    is_tcp4(&ip(Start::Ip, &v));
    assert_eq!(read(Start::Ip, &[0x55; 40]), Err(Error::Version));
}

#[test]
fn ipv4_lengths() {
    // Options.
    let mut v = cat(&[&v4(6, 0, &[])[..20], &[1; 8], &TCP]);
    (v[0], v[3]) = (0x47, 48);
    let p = ip(Start::Ip, &v);
    assert_eq!((p.ports, p.bytes, p.payload), (Some((12345, 443)), 48, 28));
    // A header length below the header.
    v[0] = 0x44;
    assert_eq!(read(Start::Ip, &v), Err(Error::Length));
    // Total length zero: what the wire had. Too large: what the header says, for the length on
    // the wire may be the one that is wrong. Less than the header: no packet.
    let with = |total: u16| {
        let mut v = v4(6, 0, &TCP);
        v[2..4].copy_from_slice(&total.to_be_bytes());
        v
    };
    assert_eq!(parse(Start::Ip, &with(0), 1500, false).unwrap().bytes, 1500);
    assert_eq!(ip(Start::Ip, &with(0)).tcp_flags, 0x12);
    let p = ip(Start::Ip, &with(9000));
    assert_eq!((p.bytes, p.tcp_flags, p.end), (9000, 0x12, 40));
    for total in [1, 19] {
        assert_eq!(read(Start::Ip, &with(total)), Err(Error::Length));
    }
    assert_eq!(ip(Start::Ip, &with(20)).ports, None);
    // Link padding is no transport header.
    let p = ip(Start::Ethernet, &eth(&[&[8, 0], &v4(6, 0, &[]), &[7; 26]]));
    assert_eq!(
        (p.ports, p.bytes, p.stopped),
        (None, 20, Some(Error::Truncated))
    );
    assert_eq!((p.payload, p.end), (34, 34));
}

#[test]
fn a_short_capture_gives_what_is_there() {
    let f = eth(&[&[8, 0], &v4(6, 0, &TCP)]);
    for n in 0..f.len() {
        let got = parse(Start::Ethernet, &f[..n], 54, true);
        let ip = match got {
            Err(e) => {
                assert_eq!((e, n < 34), (Error::Truncated, true));
                continue;
            }
            Ok(p) => p.ip.unwrap(),
        };
        assert_eq!(
            (ip.bytes, ip.ports.is_some(), ip.tcp_flags == 0x12),
            (40, n >= 38, n >= 48)
        );
        assert_eq!((ip.stopped.is_some(), ip.end), (n < 48, n as u32));
    }
}

#[test]
fn fragments() {
    let p = ip(Start::Ip, &v4(6, 0x2000, &TCP));
    assert_eq!(
        p.fragment,
        Some(Fragment {
            id: 0x1234,
            offset: 0,
            more: true
        })
    );
    assert_eq!(p.ports, Some((12345, 443)));
    let p = ip(Start::Ip, &v4(6, 0x00b9, &TCP));
    assert_eq!(
        p.fragment,
        Some(Fragment {
            id: 0x1234,
            offset: 1480,
            more: false
        })
    );
    assert_eq!((p.ports, p.tcp_flags, p.stopped), (None, 0, None));
    let head = |place: u16| {
        let p = place.to_be_bytes();
        cat(&[&[6, 0, p[0], p[1], 0xde, 0xad, 0xbe, 0xef], &TCP])
    };
    let p = ip(Start::Ip, &v6(44, &head(1)));
    assert_eq!(
        p.fragment,
        Some(Fragment {
            id: 0xdead_beef,
            offset: 0,
            more: true
        })
    );
    assert_eq!((p.proto, p.ports), (6, Some((12345, 443))));
    let p = ip(Start::Ip, &v6(44, &head(1480)));
    assert_eq!(
        p.fragment,
        Some(Fragment {
            id: 0xdead_beef,
            offset: 1480,
            more: false
        })
    );
    assert_eq!((p.proto, p.ports, p.payload), (6, None, 48));
    let p = ip(Start::Ip, &v6(44, &head(0)));
    assert_eq!((p.fragment, p.ports), (None, Some((12345, 443))));
}

#[test]
fn ipv6_and_its_extensions() {
    let p = ip(Start::Ip, &v6(6, &TCP));
    assert_eq!(
        (p.version, p.proto, p.tos, p.flow_label),
        (6, 6, 0xb8, 0xabcde)
    );
    assert_eq!(
        (p.bytes, p.ports, p.tcp_flags),
        (60, Some((12345, 443)), 0x12)
    );
    assert_eq!(p.src.to_string(), "2001:db8::1");
    // One of each, and the authentication header with its own unit.
    let mut chain = Vec::new();
    for next in [43u8, 60, 135, 139, 140, 51] {
        chain.extend([next, 0, 0, 0, 0, 0, 0, 0]);
    }
    chain.extend([6, 4, 0, 0]);
    chain.extend([0; 20]);
    chain.extend(TCP);
    let p = ip(Start::Ip, &v6(0, &chain));
    assert_eq!((p.proto, p.ports, p.stopped), (6, Some((12345, 443)), None));
    assert_eq!(p.payload as usize, 40 + 48 + 24);
    // Too many: the packet still counts, without ports.
    let mut chain = [60u8, 0, 0, 0, 0, 0, 0, 0].repeat(17);
    chain.extend(TCP);
    let p = ip(Start::Ip, &v6(60, &chain));
    assert_eq!((p.proto, p.ports, p.stopped), (60, None, Some(Error::Loop)));
    // A header that claims more than there is.
    let p = ip(
        Start::Ip,
        &v6(0, &cat(&[&[6, 200, 0, 0, 0, 0, 0, 0], &TCP])),
    );
    assert_eq!(
        (p.proto, p.ports, p.stopped),
        (6, None, Some(Error::Truncated))
    );
    // One that the capture cuts: what follows it is known, where it begins is not.
    for (cut, proto) in [(40, 43), (41, 51), (47, 51), (48, 51), (49, 17), (63, 17)] {
        let chain = [
            51, 0, 0, 0, 0, 0, 0, 0, 17, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
        ];
        let whole = v6(43, &cat(&[&chain, &UDP]));
        let p = parse(Start::Ip, &whole[..cut], 80, false).unwrap();
        let p = p.ip.unwrap();
        assert_eq!((p.proto, p.ports), (proto, None), "{cut}");
        assert_eq!(p.stopped, Some(Error::Truncated), "{cut}");
    }
    // Length zero: a jumbogram, except when there is nothing to carry.
    let mut v = v6(6, &TCP);
    v[4..6].copy_from_slice(&[0, 0]);
    assert_eq!(parse(Start::Ip, &v, 70_000, false).unwrap().bytes, 70_000);
    v[6] = 59;
    assert_eq!(parse(Start::Ip, &v, 70, false).unwrap().bytes, 40);
}

#[test]
fn transports() {
    for proto in [17, 132, 33, 136] {
        assert_eq!(ip(Start::Ip, &v4(proto, 0, &UDP)).ports, Some((5353, 53)));
    }
    let p = ip(Start::Ip, &v4(1, 0, &[8, 0, 0, 0]));
    assert_eq!((p.icmp, p.ports), (Some((8, 0)), None));
    assert_eq!(ip(Start::Ip, &v6(58, &[134, 1, 0, 0])).icmp, Some((134, 1)));
    // UDP and TCP that lie about their own length.
    let lie = [0x14, 0xe9, 0x00, 0x35, 0xff, 0xff, 0, 0];
    assert_eq!(ip(Start::Ip, &v4(17, 0, &lie)).ports, Some((5353, 53)));
    let mut tcp = TCP;
    tcp[12] = 0xf0;
    assert_eq!(ip(Start::Ip, &v4(6, 0, &tcp)).tcp_flags, 0x12);
    // Neither ports nor a reason: GRE, ESP, OSPF.
    for proto in [47, 50, 89] {
        let p = ip(Start::Ip, &v4(proto, 0, &[0; 20]));
        assert_eq!((p.ports, p.icmp, p.stopped), (None, None, None));
    }
}

fn inside(proto: u8, body: &[u8]) -> Option<Tunnel> {
    read(Start::Ip, &v4(proto, 0, body)).unwrap().tunnel
}

#[test]
fn tunnels_in_ip() {
    let v = v4(6, 0, &TCP);
    let frame = eth(&[&[8, 0], &v]);
    let t = inside(4, &v).unwrap();
    assert_eq!((t.carrier, t.id, t.src_mac), (Carrier::Ip, 0, None));
    is_tcp4(&t.ip.unwrap());
    assert_eq!((t.ip.unwrap().start, t.ip.unwrap().end), (20, 60));
    assert_eq!(inside(41, &v6(6, &TCP)).unwrap().ip.unwrap().version, 6);
    is_tcp4(&inside(97, &cat(&[&[0x30, 0], &frame])).unwrap().ip.unwrap());
    is_tcp4(
        &inside(137, &cat(&[&[0, 6, 0x41, 64], &v]))
            .unwrap()
            .ip
            .unwrap(),
    );
    // Every option of GRE.
    let t = inside(
        47,
        &cat(&[&[0xb0, 0, 8, 0], &[0; 4], &[0, 0, 0, 77], &[0; 4], &v]),
    )
    .unwrap();
    assert_eq!((t.carrier, t.id), (Carrier::Gre, 77));
    is_tcp4(&t.ip.unwrap());
    let t = inside(47, &cat(&[&[0x20, 0, 0x65, 0x58, 0, 1, 2, 9], &frame])).unwrap();
    assert_eq!((t.carrier, t.id), (Carrier::Nvgre, 0x102));
    assert_eq!(t.src_mac, Some(Mac([2, 0, 0, 0, 0, 5])));
    is_tcp4(&t.ip.unwrap());
    let pptp = cat(&[
        &[0x30, 0x81, 0x88, 0x0b, 0, 42, 0, 9],
        &[0; 8],
        &[0xff, 3, 0, 0x21],
        &v,
    ]);
    let t = inside(47, &pptp).unwrap();
    assert_eq!(t.id, 9);
    is_tcp4(&t.ip.unwrap());
    let erspan = cat(&[&[0x10, 0, 0x88, 0xbe, 0, 0, 0, 1], &[0x10; 8], &frame]);
    is_tcp4(&inside(47, &erspan).unwrap().ip.unwrap());
    // Keepalive, source route, cut short.
    assert_eq!(inside(47, &[0, 0, 0, 0]), None);
    assert_eq!(inside(47, &cat(&[&[0x40, 0, 8, 0], &v])), None);
    assert_eq!(inside(47, &[0x20, 0, 8, 0, 1]), None);
}

#[test]
fn tunnels_in_udp() {
    let v = v4(6, 0, &TCP);
    let frame = eth(&[&[8, 0], &v]);
    let udp = |port: u16, body: &[&[u8]]| {
        let p = port.to_be_bytes();
        inside(
            17,
            &cat(&[&[0xc0, 0, p[0], p[1], 0, 0, 0, 0], &body.concat()]),
        )
    };
    let t = udp(4789, &[&[8, 0, 0, 0, 0, 0x12, 0x34, 0], &frame]).unwrap();
    assert_eq!((t.carrier, t.id), (Carrier::Vxlan, 0x1234));
    assert_eq!(t.dst_mac, Some(Mac([2, 0, 0, 0, 0, 0xd])));
    is_tcp4(&t.ip.unwrap());
    assert_eq!(udp(4789, &[&[0; 8], &frame]), None);
    let arp = udp(
        4789,
        &[&[8, 0, 0, 0, 0, 0, 9, 0], &eth(&[&[8, 6], &[0; 28]])],
    )
    .unwrap();
    assert_eq!((arp.id, arp.ip), (9, None));
    let t = udp(6081, &[&[1, 0, 0x65, 0x58, 0, 0, 5, 0], &[0; 4], &frame]).unwrap();
    assert_eq!((t.carrier, t.id), (Carrier::Geneve, 5));
    is_tcp4(&t.ip.unwrap());
    let t = udp(
        2152,
        &[
            &[0x34, 255, 0, 0, 0, 0, 0, 3, 0, 0, 0, 0x85, 1, 0, 0, 0],
            &v,
        ],
    )
    .unwrap();
    assert_eq!((t.carrier, t.id), (Carrier::Gtp, 3));
    is_tcp4(&t.ip.unwrap());
    assert_eq!(
        udp(
            2152,
            &[&[0x34, 255, 0, 0, 0, 0, 0, 3, 0, 0, 0, 0x85, 0], &v]
        ),
        None
    );
    // The fast path hands carriers over.
    let body = cat(&[
        &[0xc0, 0, 0x12, 0xb5, 0, 0, 0, 0],
        &[8, 0, 0, 0, 0, 0, 1, 0],
        &frame,
    ]);
    let f = eth(&[&[8, 0], &v4(17, 0, &body)]);
    assert_eq!(read(Start::Ethernet, &f).unwrap().tunnel.unwrap().id, 1);
    assert_eq!(
        parse(Start::Ethernet, &f, f.len() as u32, false)
            .unwrap()
            .tunnel,
        None
    );
}

#[test]
fn bombs_end() {
    let mut v = v4(6, 0, &TCP);
    for _ in 0..500 {
        v = v4(4, 0, &v);
    }
    let p = read(Start::Ip, &v).unwrap();
    assert_eq!(p.tunnel.unwrap().ip.unwrap().proto, 4);
    // Frames in frames by bridging types, without end.
    let mut f = Vec::new();
    for _ in 0..100 {
        f.extend(eth(&[&[0x65, 0x58]]));
    }
    assert_eq!(read(Start::Ethernet, &f), Err(Error::Loop));
    let mut f = MACS.to_vec();
    f.extend([0x89, 0x26, 0, 0, 0, 0].repeat(100));
    assert_eq!(read(Start::Ethernet, &f), Err(Error::Loop));
}
