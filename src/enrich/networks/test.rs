#![cfg(feature = "rule-map")]

use super::*;

fn networks(text: &str) -> (Networks, Complaints) {
    let (mut reader, mut complaints) = (Reader::default(), Complaints::default());
    for (n, row) in text.lines().enumerate() {
        reader.row(n as u32 + 1, 1, row, &mut complaints);
    }
    let (networks, refused) = reader.finish(&mut complaints);
    assert_eq!(refused, complaints.count());
    (networks, complaints)
}

fn ip(text: &str) -> Ip {
    text.parse::<IpAddr>().unwrap().into()
}

const FILE: &str = "10.0.0.0/8\n\
    64500,10.1.0.0/16\n\
    64510_64501,10.1.2.0/24\n\
    192.0.2.9,64502,10.2.0.0/16\n\
    x,192.0.2.9,64510_64503,2001:db8::/32\n\
    192.0.2.7 , 64504 , 10.3.0.0/16";

#[test]
fn rows_have_a_prefix_and_what_stands_before_it() {
    let (networks, complaints) = networks(FILE);
    assert!(complaints.is_empty(), "{complaints:?}");
    assert_eq!(networks.len(), 6);
    for (address, bits, asn, peer, hop) in [
        ("10.0.0.1", 8, 0, 0, None),
        ("10.1.0.1", 16, 64500, 0, None),
        ("10.1.2.3", 24, 64501, 64510, None),
        ("10.2.0.1", 16, 64502, 0, Some("192.0.2.9")),
        ("10.3.0.1", 16, 64504, 0, Some("192.0.2.7")),
        ("2001:db8::1", 32, 64503, 64510, Some("192.0.2.9")),
    ] {
        let Found { bits: length, said } = networks.find(ip(address)).unwrap();
        assert_eq!(
            (length, said.asn, said.peer),
            (bits, asn, peer),
            "{address}"
        );
        let next = said.hop.checked_sub(1).map(|at| networks.hops[at as usize]);
        assert_eq!(next, hop.map(ip), "{address}");
    }
    assert_eq!(networks.find(ip("192.0.2.1")), None);
}

#[test]
fn bad_rows_are_told_with_their_column() {
    for (text, column, said) in [
        ("10.0.0.0/33", 1, "`10.0.0.0/33` is no prefix"),
        ("64500, 10.0.0.0", 1, ""),
        ("AS64500,10.0.0.0/8", 1, "`AS64500` is no AS number"),
        ("64500_,10.0.0.0/8", 1, "`64500_` is no AS number"),
        ("4294967296,10.0.0.0/8", 1, "is no AS number"),
        ("hop,64500,10.0.0.0/8", 1, "`hop` is no address"),
        ("192.0.2.1, x, 10.0.0.0/8", 12, "`x` is no AS number"),
        ("192.0.2.1,1,ten", 13, "`ten` is no prefix"),
    ] {
        let (networks, complaints) = networks(text);
        if said.is_empty() {
            assert_eq!(networks.len(), 1, "{text}");
            continue;
        }
        let problem = &complaints.problems()[0];
        assert!(
            problem.message.contains(said),
            "{text}: {}",
            problem.message
        );
        assert_eq!(problem.place.column, column, "{text}");
        assert!(networks.is_empty());
    }
    let (networks, complaints) = networks("1,10.0.0.0/8\n2,10.0.0.0/8");
    assert_eq!(networks.find(ip("10.0.0.1")).unwrap().said.asn, 1);
    assert!(complaints.problems()[0].message.contains("there already"));
}

/// A record as an exporter gives it: addresses, then whatever `set` adds.
fn located(settings: Settings, set: impl Fn(&mut FlowRecord)) -> FlowRecord {
    let wanted = FieldSet::of(&[
        Field::SrcNet,
        Field::DstNet,
        Field::SrcMask,
        Field::DstMask,
        Field::SrcAs,
        Field::DstAs,
        Field::PeerSrcAs,
        Field::PeerDstAs,
        Field::PeerDstIp,
    ]);
    let mut located = Located::new(settings, wanted);
    let mut batch = Batch::new(wanted.union(located.needs()));
    let record = batch.slot();
    record.set_src_host(ip("10.1.2.3"));
    record.set_dst_host(ip("10.2.0.1"));
    set(record);
    located.enrich(&mut batch);
    batch.records()[0]
}

fn settings(net: Method, asn: Method) -> Settings {
    Settings {
        file: Shared::of(networks(FILE).0),
        net,
        asn,
        ..Settings::default()
    }
}

#[test]
fn the_file_alone_says_it() {
    let r = located(settings(Method::File, Method::File), |r| {
        r.set_src_mask(30);
        r.set_src_as(1);
        r.set_dst_as(2);
        r.set_peer_dst_as(3);
        r.set_peer_dst_ip(ip("192.0.2.1"));
    });
    assert_eq!((r.src_net(), r.src_mask()), (ip("10.1.2.0"), 24));
    assert_eq!((r.src_as(), r.peer_src_as()), (64501, 64510));
    assert_eq!((r.dst_net(), r.dst_mask()), (ip("10.2.0.0"), 16));
    assert_eq!((r.dst_as(), r.peer_dst_as()), (64502, 0));
    assert_eq!(r.peer_dst_ip(), ip("192.0.2.9"));
    let unknown = |whole| {
        let settings = Settings {
            whole,
            ..settings(Method::File, Method::File)
        };
        located(settings, |r| {
            r.set_src_host(ip("198.51.100.1"));
            r.set_src_mask(24);
            r.set_src_as(1);
        })
    };
    let r = unknown(false);
    assert_eq!(
        (r.src_net(), r.src_mask(), r.src_as()),
        (ip("0.0.0.0"), 0, 0)
    );
    let r = unknown(true);
    assert_eq!((r.src_net(), r.src_mask()), (ip("198.51.100.1"), 0));
}

#[test]
fn the_longer_prefix_says_it_and_of_equal_ones_the_exporters() {
    let by = |bits: u8, no_lpm| {
        let settings = Settings {
            no_lpm,
            ..settings(Method::Longest, Method::Longest)
        };
        located(settings, |r| {
            r.set_src_mask(bits);
            r.set_src_as(1);
            r.set_peer_src_as(2);
        })
    };
    for (bits, no_lpm, net, mask, asn) in [
        (0, false, "10.1.2.0", 24, (64501, 64510)),
        (23, false, "10.1.2.0", 24, (64501, 64510)),
        (24, false, "10.1.2.0", 24, (1, 2)),
        (32, false, "10.1.2.3", 32, (1, 2)),
        (32, true, "10.1.2.0", 24, (64501, 64510)),
    ] {
        let r = by(bits, no_lpm);
        assert_eq!(
            (r.src_net(), r.src_mask()),
            (ip(net), mask),
            "{bits} {no_lpm}"
        );
        assert_eq!((r.src_as(), r.peer_src_as()), asn, "{bits} {no_lpm}");
    }
    // An exporter that does not know the AS has none to prefer, a row without one neither.
    let r = located(settings(Method::Longest, Method::Longest), |r| {
        r.set_src_mask(32);
        r.set_dst_host(ip("10.0.0.1"));
        r.set_dst_as(7);
    });
    assert_eq!((r.src_as(), r.dst_as()), (64501, 7));
    // A hop of a prefix that does not count does not count either.
    let r = located(settings(Method::Longest, Method::Exporter), |r| {
        r.set_dst_mask(24);
        r.set_peer_dst_ip(ip("192.0.2.1"));
        r.set_dst_as(5);
    });
    assert_eq!((r.peer_dst_ip(), r.dst_as()), (ip("192.0.2.1"), 5));
}

#[test]
fn a_length_that_is_configured_and_what_the_exporter_says() {
    let mask = Settings {
        net: Method::Mask,
        mask: 20,
        ..Settings::default()
    };
    let r = located(mask.clone(), |r| {
        r.set_dst_host(ip("2001:db8:1234:5678::9"))
    });
    assert_eq!((r.src_net(), r.src_mask()), (ip("10.1.0.0"), 20));
    assert_eq!(
        (r.dst_net(), r.dst_mask()),
        (ip("2001:db8::").masked(20), 20)
    );
    let whole = |whole| {
        let settings = Settings {
            whole,
            ..Settings::default()
        };
        located(settings, |r| {
            r.set_dst_net(ip("10.2.0.0"));
            r.set_dst_mask(15);
        })
    };
    assert_eq!(whole(false).src_net(), ip("0.0.0.0"));
    assert_eq!(whole(true).src_net(), ip("10.1.2.3"));
    assert_eq!(
        (whole(true).dst_net(), whole(true).dst_mask()),
        (ip("10.2.0.0"), 15)
    );
}

#[test]
fn only_what_is_wanted_is_looked_up_and_what_is_replaced_nobody_need_supply() {
    let one = |method, field| {
        let located = Located::new(settings(method, method), FieldSet::of(&[field]));
        (located.needs(), located.gives(), located.replaces())
    };
    let (needs, gives, replaces) = one(Method::File, Field::SrcAs);
    assert_eq!(needs, FieldSet::of(&[Field::SrcHost]));
    assert!(gives.has(Field::SrcNet) && !gives.has(Field::DstAs));
    assert!(replaces.has(Field::SrcAs) && replaces.has(Field::SrcMask));
    let (needs, _, replaces) = one(Method::Longest, Field::DstNet);
    assert!(needs.has(Field::DstMask) && !needs.has(Field::SrcHost));
    assert!(replaces.is_empty());
    let (needs, gives, _) = one(Method::Longest, Field::PeerDstIp);
    assert!(gives.has(Field::PeerDstIp) && needs.has(Field::PeerDstIp));
    let (_, gives, _) = one(Method::Exporter, Field::PeerDstIp);
    assert!(!gives.has(Field::PeerDstIp));
}

#[test]
fn hosts_of_no_network_are_hidden() {
    let mut hidden = Hidden(Shared::of(networks(FILE).0).unwrap());
    let mut batch = Batch::new(hidden.needs());
    let record = batch.slot();
    record.set_src_host(ip("198.51.100.1"));
    record.set_dst_host(ip("10.0.0.1"));
    hidden.enrich(&mut batch);
    let r = batch.records()[0];
    assert_eq!(
        (r.src_host(), r.dst_host()),
        (ip("0.0.0.0"), ip("10.0.0.1"))
    );
}
