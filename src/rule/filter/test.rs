use super::sample::{Dice, Sample};
use super::*;
use crate::base::addr::Ip;
use crate::base::time::Nanos;
use crate::source::Peer;

/// Expressions that a record can answer as its frame does.
const HEADERS: &[&str] = &[
    "ip",
    "ip6",
    "tcp",
    "udp",
    "icmp",
    "icmp6",
    "sctp",
    "not tcp",
    "ip proto 47",
    "ip6 proto 17",
    "ip proto 89 or esp",
    "host 10.0.0.1",
    "src host 192.0.2.53 and dst net 10.0.0.0/8",
    "host 2001:db8:0:1::35",
    "ip6 net fe80::/10 or dst net 2001:db8::/32",
    "net 10.0.0.0 mask 255.255.255.0",
    "not net 192.168.1.0/24 and not net 10.9.8.0/24",
    "src or dst host 192.168.1.255",
    "src and dst net 10.0.0.0/16",
    "port 53",
    "src port 443 or dst port 80",
    "tcp dst port 22",
    "udp port 5060 and not src net 10.9.8.0/24",
    "portrange 5000-9000",
    "udp src portrange 1-1023",
    "sctp port 8080",
    "not port 443 and not (udp and port 53)",
    "host 10.0.0.1 and (port 80 or port 8080 or icmp)",
    "ether host 02:00:00:00:00:01",
    "ether src 02:00:00:00:00:02 and ether dst 02:00:00:00:00:01",
    "ether broadcast",
    "ether multicast",
    "ether proto 0x0800",
    "ether proto \\ip6",
    "multicast",
    "ip multicast",
    "ip6 multicast",
    "vlan",
    "vlan 100",
    "vlan 100 and tcp port 443",
    "vlan and vlan 200",
    "not vlan",
    "vlan and udp",
    "vlan 4094 and mpls and ip",
    "mpls",
    "mpls 100000",
    "mpls and ip6",
    "mpls 16 and host 10.0.0.53",
    "mpls 100000 and mpls 1016 and ip",
    "mpls and udp port 53",
    "greater 500",
    "less 100",
    "len > 60 and len < 160",
    "len = 43 or len = 142",
    "ip[2:2] > 576",
    "ip[1] & 0xfc = 0xb8",
    "ip[9] = 6 or ip[12] = 192",
    "ip[0] & 0xf = 5 and ip[6:2] & 0x1fff = 0",
    "ip6[6] = 58",
    "(ip6[0:4] >> 20) & 0xff > 128",
    "ip6[4:2] < 100",
    "tcp[tcpflags] & (tcp-syn|tcp-fin) != 0",
    "tcp[tcpflags] == tcp-syn",
    "tcp[13] & 0x12 = 0x12",
    "tcp[0:2] > 1024 and tcp[2:2] <= 1024",
    "udp[2:2] = 53 and udp[4:2] > 100",
    "icmp[icmptype] = 0",
    "icmp[1] = 53 or icmp6[1] = 80",
    "ether[0] & 1 = 0 and ether[12:2] = 0x8100",
    "tcp[2:2] % 10 = 3",
    "ip[2:2] / 100 = 1 or ip[8] * 2 - 1 ^ 127 = 0",
    "ip[12:4] = ip[16:4]",
    "src host 10.0.0.1 or 10.0.0.2 or 10.9.8.1 or 192.0.2.200",
];

/// Expressions on what a record does not keep.
const BYTES: &[&str] = &[
    "arp",
    "rarp or arp",
    "arp host 10.0.0.1",
    "ether proto 0x888e",
    "pppoes",
    "pppoes and host 10.0.0.1",
    "pppoes 7 and ip6",
    "vlan and pppoes and udp",
    "ip[6:2] & 0x1fff != 0",
    "ip[0] & 0xf > 5",
    "tcp[((tcp[12] & 0xf0) >> 2):4] = 0xa5a5a5a5",
    "udp[8] = 0xa5",
    "icmp[8:4] = 0xa5a5a5a5",
    "ip[20] = 1",
    "ether[60] = 0xa5",
    "llc",
    "stp",
    "ip6[40] = 58",
    "link[len - 1] = 0xa5",
    "ip broadcast or ether broadcast",
];

/// Whether there is a libpcap; where there is none, every expression says so.
fn without_libpcap() -> bool {
    let Err(missing) = pcap::available() else {
        return false;
    };
    let error = Filter::compile("tcp", Link::Ethernet).unwrap_err();
    assert_eq!(error, FilterError::Missing(missing.to_string()));
    assert!(error.to_string().contains("libpcap"));
    true
}

fn frames(count: usize) -> Vec<(Vec<u8>, usize)> {
    let mut dice = Dice(20_261_123);
    (0..count)
        .map(|_| Sample::wild(&mut dice).frame())
        .collect()
}

/// Our verdict is libpcap's, on `frames` and on each of them cut somewhere; returns how many of
/// the verdicts were "yes".
fn agree(expression: &str, link: Link, frames: &[Vec<u8>]) -> usize {
    let insns = instructions(expression, link).unwrap();
    let filter = Filter::compile(expression, link).unwrap();
    let mut dice = Dice(7);
    let mut yes = 0;
    for frame in frames {
        let wire_len = frame.len() as u32;
        let cut = dice.roll(wire_len + 1).min(dice.roll(200)) as usize;
        for bytes in [frame, &frame[..cut]] {
            let theirs = pcap::oracle(&insns, bytes, wire_len).unwrap() != 0;
            let ours = filter.matches(bytes, wire_len);
            assert_eq!(ours, theirs, "{expression} {link:?} {bytes:02x?}");
            yes += usize::from(ours);
        }
    }
    yes
}

#[test]
fn verdicts_on_frames_are_libpcaps() {
    if without_libpcap() {
        return;
    }
    let frames: Vec<_> = frames(6000).into_iter().map(|(frame, _)| frame).collect();
    // One that always says the same would prove nothing; spanning tree is not generated.
    let mut mute = Vec::new();
    for expression in HEADERS.iter().chain(BYTES) {
        let yes = agree(expression, Link::Ethernet, &frames);
        if *expression != "stp" && (yes == 0 || yes == 2 * frames.len()) {
            mute.push(expression);
        }
    }
    assert!(mute.is_empty(), "{mute:?}");
}

/// The network layer behind another link's header.
fn behind(link: Link, etype: u16, network: &[u8]) -> Vec<u8> {
    let six = etype == 0x86dd;
    let [high, low] = etype.to_be_bytes();
    let family: u32 = if six { 30 } else { 2 };
    let header = match link {
        Link::Raw => vec![],
        Link::Null => family.to_ne_bytes().to_vec(),
        Link::Loop => family.to_be_bytes().to_vec(),
        Link::Ppp => vec![0xff, 3, 0, if six { 0x57 } else { 0x21 }],
        Link::PppEther => vec![0x11, 0, 0, 7, 0, 0, 0, if six { 0x57 } else { 0x21 }],
        Link::LinuxSll => vec![0, 0, 0, 1, 0, 6, 2, 0, 0, 0, 0, 1, 0, 0, high, low],
        _ => vec![
            high, low, 0, 0, 0, 0, 0, 1, 0, 1, 0, 6, 2, 0, 0, 0, 0, 1, 0, 0,
        ],
    };
    [&header, network].concat()
}

#[test]
fn verdicts_on_other_links_are_libpcaps() {
    if without_libpcap() {
        return;
    }
    let links = LINKS.into_iter().filter(|l| *l != Link::Ethernet);
    let expressions = [
        "ip",
        "ip6",
        "tcp port 443",
        "host 10.0.0.1 or net 2001:db8::/32",
        "udp and not src net 192.0.2.0/24",
        "icmp or icmp6",
        "portrange 50-100",
        "tcp[tcpflags] & tcp-syn != 0",
        "ip[6:2] & 0x1fff != 0",
        "greater 400",
    ];
    for link in links {
        let mut dice = Dice(99);
        let samples = (0..1000).map(|_| Sample::wild(&mut dice));
        let samples = samples.filter(|s| matches!(s.etype, 0x0800 | 0x86dd));
        let frames: Vec<_> = samples
            .map(|s| behind(link, s.etype, &s.network()))
            .collect();
        for expression in expressions {
            let yes = agree(expression, link, &frames);
            assert!(
                yes > 0 && yes < 2 * frames.len(),
                "{expression} {link:?}: {yes}"
            );
        }
    }
}

#[test]
fn verdicts_on_records_are_those_on_their_frames() {
    if without_libpcap() {
        return;
    }
    let mut dice = Dice(4711);
    let samples: Vec<_> = (0..2000).map(|_| Sample::plain(&mut dice)).collect();
    for expression in HEADERS {
        let filter = Filter::compile(expression, Link::Datagram).unwrap();
        let mut yes = 0;
        for sample in &samples {
            let (frame, _) = sample.frame();
            let expected = filter.matches(&frame, frame.len() as u32);
            let record = sample.record(u64::from(dice.roll(1000)) + 1);
            assert!(record.present.intersection(filter.needs()) == record.present);
            assert_eq!(
                filter.matches_record(&record),
                expected,
                "{expression} {sample:?}"
            );
            yes += usize::from(expected);
        }
        assert!(yes > 0 && yes < samples.len(), "{expression}: {yes}");
    }
}

#[test]
fn headers_of_a_record_are_those_of_the_frame() {
    let mut dice = Dice(1);
    for _ in 0..2000 {
        let sample = Sample::plain(&mut dice);
        let headers = header::Headers::of(&sample.record(3));
        let (frame, _) = sample.frame();
        let len = headers.bytes().len();
        assert_eq!(headers.bytes(), &frame[..len], "{sample:?}");
        assert_eq!(headers.wire_len() as usize, frame.len());
        assert_eq!(len + sample.payload, frame.len());
    }
}

#[test]
fn a_record_with_little_in_it_still_is_a_frame() {
    let bytes = |r: &FlowRecord| header::Headers::of(r).bytes().to_vec();
    let mut record = FlowRecord::new();
    assert_eq!(bytes(&record), [0; 14]);
    // A protocol alone is taken for IPv4, without counters the lengths are those of the headers.
    record.set_proto(17);
    assert_eq!(
        bytes(&record)[12..24],
        [8, 0, 0x45, 0, 0, 20, 0, 0, 0, 0, 64, 17]
    );
    assert_eq!(header::Headers::of(&record).wire_len(), 42);
    // One address tells the family of the other.
    record.set_dst_host(Ip::v4([192, 0, 2, 1]));
    assert_eq!(bytes(&record)[26..34], [0, 0, 0, 0, 192, 0, 2, 1]);
    let mut six = FlowRecord::new();
    six.set_src_host(Ip([0x20; 16]));
    assert_eq!(
        bytes(&six)[12..22],
        [0x86, 0xdd, 0x60, 0, 0, 0, 0, 0, 0, 64]
    );
    // Zero means "no tag" and "no label" to exporters.
    record.set_vlan(0);
    record.set_mpls_label_top(0);
    assert_eq!(bytes(&record)[12..14], [8, 0]);
    // What does not fit into the header's length is cut; the length itself is not.
    (record.packets, record.bytes) = (1, 100_000);
    assert_eq!(bytes(&record)[16..18], [0xff, 0xff]);
    assert_eq!(header::Headers::of(&record).wire_len(), 100_014);
    (record.packets, record.bytes) = (1, u64::MAX);
    assert_eq!(header::Headers::of(&record).wire_len(), u32::MAX);
    // The most there can be fits.
    let full = Sample {
        vlans: vec![1, 2],
        labels: vec![16, 17],
        etype: 0x86dd,
        proto: 6,
        ..Sample::default()
    };
    assert_eq!(bytes(&full.record(1)).len(), 90);
}

#[test]
fn the_empty_expression_is_everything_and_needs_nothing() {
    for filter in [
        Filter::compile("", Link::Ethernet).unwrap(),
        Filter::compile("  ", Link::Datagram).unwrap(),
        Filter::everywhere("\t").unwrap(),
        Filter::ALL,
    ] {
        assert!(filter.is_all() && filter.matches(&[], 0) && filter.knows(Link::Other(147)));
        assert!(filter.matches_record(&FlowRecord::new()));
        assert_eq!(filter.needs(), FieldSet::EMPTY);
    }
}

#[test]
fn each_frame_is_asked_in_the_terms_of_its_link() {
    if without_libpcap() {
        return;
    }
    let sample = Sample {
        etype: 0x0800,
        proto: 17,
        ports: [53, 53],
        ..Sample::default()
    };
    let (ethernet, begin) = sample.frame();
    let frame = |link, bytes| {
        let (wire_len, time, from) = (bytes_len(bytes), Nanos(0), Peer::NONE);
        Frame {
            bytes,
            wire_len,
            link,
            time,
            from,
        }
    };
    let mut filter = Filter::everywhere("udp port 53").unwrap();
    assert!(filter.matches_frame(&frame(Link::Ethernet, &ethernet)));
    // A long expression takes libpcap seconds: only what comes is compiled for.
    assert!(!filter.knows(Link::Raw) && filter.learn(Link::Raw));
    assert!(filter.matches_frame(&frame(Link::Raw, &ethernet[begin..])));
    assert!(!filter.matches_frame(&frame(Link::Raw, &ethernet)));
    assert!(filter.matches_frame(&frame(Link::Datagram, &[])));
    assert!(filter.matches_record(&sample.record(1)));
    assert_eq!(filter.expression(), "udp port 53");

    // Raw IP has no Ethernet addresses, so there the expression is no error but matches nothing.
    let mut macs = Filter::everywhere("ether src 00:00:00:00:00:00").unwrap();
    assert!(macs.knows(Link::Ethernet) && !macs.learn(Link::Raw));
    assert!(macs.matches_frame(&frame(Link::Ethernet, &ethernet)));
    assert!(!macs.matches_frame(&frame(Link::Raw, &ethernet[begin..])));
    // A filter on one link type also is one on records.
    let raw = Filter::compile("udp port 53", Link::Raw).unwrap();
    assert!(raw.matches(&ethernet[begin..], 28) && raw.matches_record(&sample.record(1)));
}

#[test]
fn a_link_type_is_learnt_when_it_comes() {
    if without_libpcap() {
        return;
    }
    let frame = |link, bytes: &'static [u8]| Frame {
        bytes,
        wire_len: bytes_len(bytes),
        link,
        time: Nanos(0),
        from: Peer::NONE,
    };
    // IEEE 802.11: data to the distribution system, LLC and SNAP, IPv4.
    const WLAN: &[u8] = &[
        0x08, 0x01, 0, 0, 1, 1, 1, 1, 1, 1, 2, 2, 2, 2, 2, 2, 3, 3, 3, 3, 3, 3, 0, 0, //
        0xaa, 0xaa, 3, 0, 0, 0, 8, 0, //
        0x45, 0, 0, 20, 0, 0, 0, 0, 1, 17, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2,
    ];
    let (wlan, usb) = (Link::Other(105), Link::Other(189));
    let mut filter = Filter::everywhere("host 10.0.0.2").unwrap();
    let mut other = Filter::everywhere("host 10.0.0.3").unwrap();
    assert_eq!(filter.judge(&frame(wlan, WLAN)), None);
    assert!(filter.learn(wlan) && other.learn(wlan));
    assert_eq!(filter.judge(&frame(wlan, WLAN)), Some(true));
    assert_eq!(other.judge(&frame(wlan, WLAN)), Some(false));
    // USB has no hosts: known from then on, and no error.
    assert!(!filter.learn(usb) && !filter.learn(usb));
    assert_eq!(filter.judge(&frame(usb, WLAN)), Some(false));
    let mut long = Filter::everywhere("len > 40").unwrap();
    assert!(long.learn(usb) && long.matches_frame(&frame(usb, WLAN)));
    // What has a meaning only where weir does not decode is a filter too, on no record.
    let beacons = Filter::everywhere("type data").unwrap();
    assert!(beacons.knows(wlan) && !beacons.knows(Link::Datagram));
    assert!(beacons.matches_frame(&frame(wlan, WLAN)));
    assert_eq!(beacons.judge(&frame(Link::Ethernet, WLAN)), Some(false));
    // Numbers of the file format that are others of libpcap's: RFC 1483 is 100 and 11.
    let mut ip = Filter::everywhere("ip").unwrap();
    assert!(ip.learn(Link::Other(100)));
    // IPv4 alone has no version to look at.
    assert!(ip.learn(Link::Other(228)));
    assert!(ip.matches_frame(&frame(Link::Other(228), &[0x65])));
    // Which number means IPv6 depends on who wrote the file.
    let mut six = Filter::everywhere("ip6").unwrap();
    assert!(six.learn(Link::Null) && six.learn(Link::Loop));
    for family in [24u32, 28, 30] {
        for (link, order) in [
            (Link::Null, family.to_ne_bytes()),
            (Link::Loop, family.to_be_bytes()),
        ] {
            let bytes = [&order[..], &[0x60; 40]].concat().leak();
            assert!(six.matches_frame(&frame(link, bytes)), "{link:?} {family}");
        }
    }
    // Nobody's numbers fill no memory.
    for n in 1000..4000 {
        assert!(!ip.learn(Link::Other(n)));
    }
    assert_eq!(ip.judge(&frame(Link::Other(4001), WLAN)), Some(false));
    assert_eq!(ip.judge(&frame(Link::Other(100), &[0xaa])), Some(false));
}

fn bytes_len(bytes: &[u8]) -> u32 {
    bytes.len() as u32
}

#[test]
fn bad_expressions_give_libpcaps_words() {
    if without_libpcap() {
        return;
    }
    let message = |text: &str, link| match Filter::compile(text, link).unwrap_err() {
        FilterError::Expression { message, .. } => message,
        other => panic!("{other:?}"),
    };
    assert!(message("tcp prot 80", Link::Ethernet).contains("syntax error"));
    assert!(message("net 10.0.0.1/8", Link::Ethernet).contains("non-network bits set"));
    assert!(message("port 65536", Link::Ethernet).contains("65536"));
    assert!(!message("tcp", Link::Other(999)).is_empty());
    let shown = Filter::everywhere("host 1.2.3.4.5")
        .unwrap_err()
        .to_string();
    assert!(shown.starts_with("filter `host 1.2.3.4.5`: "), "{shown}");
    // Expressions that loop are none for us.
    let looping = Filter::compile("ip6 protochain 6", Link::Ethernet).unwrap_err();
    let FilterError::Program {
        error: ProgramError::Jump(_),
        ..
    } = looping
    else {
        panic!("{looping:?}");
    };
}
