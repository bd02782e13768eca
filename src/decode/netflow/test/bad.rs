//! Input that lies.
use super::*;
use proptest::prelude::*;

#[test]
fn templates_that_would_never_end_are_refused() {
    let mut rig = Rig::new(KEY);
    let nothing = template(256, &[(8, 0), (12, 0)]);
    rig.feed(&ipfix(&[set(2, &nothing), set(256, &[0; 400])]));
    assert_eq!(
        (
            rig.dropped(Reason::BadTemplate),
            rig.dropped(Reason::NoTemplate)
        ),
        (1, 1)
    );
    rig.feed(&v9(&[set(0, &template(300, &[]))]));
    let many: Vec<(u16, u16)> = (0..300).map(|n| (n, 1)).collect();
    rig.feed(&ipfix(&[set(2, &template(257, &many))]));
    rig.feed(&ipfix(&[set(
        2,
        &template(258, &[(8, 0xfffe), (12, 0xfffe)]),
    )]));
    rig.feed(&ipfix(&[set(2, &be(&[10, 1, 8, 4]))]));
    assert_eq!(rig.dropped(Reason::BadTemplate), 5);
    assert_eq!(rig.decoder.templates.usage()[0], 0);
    // A layout that can not be used takes the place of the one that could.
    rig.feed(&ipfix(&[set(2, &template(256, FIVE))]));
    rig.feed(&ipfix(&[set(2, &nothing)]));
    assert!(rig.feed(&ipfix(&[set(256, &five(1))])).is_empty());
}

#[test]
fn templates_that_grow_stay_within_their_bytes() {
    let mut setup = Setup::new(FieldSet::of(KEY));
    setup.templates_max = 64;
    let mut rig = Rig::with(&setup);
    let long: Vec<(u16, u16)> = (0..250).map(|n| (n + 1, 1)).collect();
    for id in 0..64 {
        rig.feed(&ipfix(&[set(2, &template(256 + id, FIVE))]));
    }
    assert_eq!(rig.decoder.templates.usage()[0], 64);
    for id in 0..64 {
        rig.feed(&ipfix(&[set(2, &template(256 + id, &long))]));
        let [_, _, bytes, room] = rig.decoder.templates.usage();
        assert!(bytes <= room, "{bytes} of {room}");
    }
    assert!(rig.dropped(Reason::TemplateStore) > 0);
}

#[test]
fn a_bad_set_costs_itself_alone() {
    let mut rig = Rig::new(KEY);
    let torn = [five(1), five(2)[..9].to_vec()].concat();
    let bad = [set(9, &[1; 8]), set(777, &[1; 8]), set(256, &torn)].concat();
    let sets = [set(2, &template(256, FIVE)), bad, set(256, &five(1))];
    assert_eq!(rig.feed(&ipfix(&sets)).len(), 2);
    assert_eq!(rig.dropped(Reason::Type), 1);
    assert_eq!(rig.dropped(Reason::NoTemplate), 1);
    assert_eq!(rig.dropped(Reason::Truncated), 1);
    // A set longer than the message: what came before it stays.
    let mut cut = ipfix(&[set(256, &five(1)), set(256, &five(2))]);
    cut.truncate(cut.len() - 3);
    let before = rig.ledger.dropped(Reason::Truncated).bytes;
    assert_eq!(rig.feed(&cut).len(), 1);
    assert_eq!(rig.dropped(Reason::Truncated), 2);
    // Nor do the bytes that were dropped: the set, with its header, as far as it goes.
    let bytes = rig.ledger.dropped(Reason::Truncated).bytes - before;
    assert_eq!(bytes, set(256, &five(2)).len() as u64 - 3);
}

/// A capture with a snap length has the begin of each datagram: whole records in it count.
#[test]
fn a_datagram_cut_by_the_capture_gives_what_is_there() {
    let mut rig = Rig::new(KEY);
    rig.feed(&ipfix(&[set(2, &template(256, FIVE))]));
    let three = [five(1), five(2), five(3)].concat();
    let whole = ipfix(&[set(256, &five(9)), set(256, &three)]);
    let record = five(1).len();
    for (cut, records) in [
        (0, 4),
        (1, 3),
        (record, 3),
        (2 * record, 2),
        (3 * record, 1),
    ] {
        let bytes = &whole[..whole.len() - cut];
        let found = rig.feed_cut(bytes, whole.len() as u32);
        assert_eq!(found.len(), records, "{cut}");
        assert_eq!(rig.dropped(Reason::Truncated) > 0, cut > 0, "{cut}");
    }
}

#[test]
fn v5_gives_what_is_there() {
    let mut rig = Rig::new(KEY);
    let mut three = v5_at(0, 3);
    three.truncate(three.len() - 1);
    assert_eq!(rig.feed(&three).len(), 2);
    assert_eq!(rig.dropped(Reason::Truncated), 1);
}

#[test]
fn other_versions_are_counted() {
    let mut rig = Rig::new(KEY);
    for version in [0u16, 1, 7, 8, 11, 0x0900] {
        rig.feed(&[be(&[version]), vec![0; 40]].concat());
    }
    assert_eq!(rig.dropped(Reason::Version), 6);
    rig.feed(&[9]);
    rig.feed(&[]);
    assert_eq!(rig.dropped(Reason::Truncated), 2);
}

/// Every kind of datagram that the tests around here send.
fn samples() -> Vec<Vec<u8>> {
    let variable = template(257, &[(8, 4), (95, 0xffff), (315, 0xffff), (1, 3)]);
    let body = [&[10, 0, 0, 1, 2, 1, 2, 40][..], &[0x45; 40], &[0, 0, 9]].concat();
    let mut biflow = be(&[258, 3, 8, 4, 1, 4, 0x8001, 4]);
    biflow.extend(29305u32.to_be_bytes());
    let labels = template(
        259,
        &[
            (70, 3),
            (71, 3),
            (27, 16),
            (8, 4),
            (8, 4),
            (351, 8),
            (497, 24),
        ],
    );
    let options = options_template(400, 1, &[(302, 8), (34, 4), (82, 0xffff)]);
    let told = [&7u64.to_be_bytes()[..], &[0, 0, 0, 9, 2, b'h', b'i']].concat();
    vec![
        v5_at(0, 3),
        ipfix(&[
            set(2, &template(256, FIVE)),
            set(256, &[five(1), five(2)].concat()),
        ]),
        ipfix(&[set(2, &variable), set(257, &body)]),
        ipfix(&[set(2, &biflow), set(258, &[1; 24])]),
        ipfix(&[set(2, &labels), set(259, &[1; 58])]),
        ipfix(&[set(3, &options), set(400, &told)]),
        ipfix(&[set(2, &be(&[2, 0]))]),
        v9(&[set(0, &template(256, FIVE)), set(256, &five(1))]),
        v9(&[
            set(1, &be(&[257, 4, 8, 1, 4, 34, 4, 35, 1])),
            set(257, &[1; 13]),
        ]),
    ]
}

fn small(wanted: FieldSet) -> Rig {
    let mut setup = Setup::new(wanted);
    (setup.templates_max, setup.options_max, setup.exporters_max) = (8, 16, 8);
    Rig::with(&setup)
}

/// Values of one record: element and bytes.
type Values = Vec<(u16, Vec<u8>)>;

fn values() -> impl Strategy<Value = Values> {
    let widths = (1usize..=8, 1usize..=8);
    let numbers = (any::<u64>(), any::<u64>(), widths);
    (
        any::<[u8; 4]>(),
        any::<[u8; 4]>(),
        any::<u16>(),
        any::<u32>(),
        any::<u8>(),
        numbers,
    )
        .prop_map(|(src, dst, port, iface, tos, (bytes, packets, (bw, pw)))| {
            vec![
                (8, src.to_vec()),
                (12, dst.to_vec()),
                (7, port.to_be_bytes().to_vec()),
                (252, iface.to_be_bytes().to_vec()),
                (5, vec![tos]),
                (1, bytes.to_be_bytes()[8 - bw..].to_vec()),
                (2, packets.to_be_bytes()[8 - pw..].to_vec()),
            ]
        })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    /// A sequence of mutated datagrams through one decoder that wants everything: it never
    /// panics, its stores keep their bounds, and an exporter beside is not disturbed.
    #[test]
    fn nothing_that_is_sent_breaks_it(
        steps in prop::collection::vec(
            (0usize..9, 0u8..6, any::<u16>(), any::<u8>(), 0u8..4), 1..60),
    ) {
        let mut rig = small(crate::record::FIELDS.iter().map(|i| i.field).collect());
        let friend: IpAddr = Ipv4Addr::new(203, 0, 113, 1).into();
        rig.exporter = friend;
        rig.feed(&ipfix(&[set(2, &template(256, FIVE)), set(256, &five(1))]));
        let samples = samples();
        for (which, how, at, byte, host) in steps {
            let mut b = samples[which].clone();
            let at = usize::from(at) % (b.len() - 1);
            match how {
                0 => {}
                1 => b[at] ^= 1 << (byte % 8),
                2 => b[at] = byte,
                3 => b.truncate(at),
                4 => b.extend_from_slice(&samples[usize::from(byte) % samples.len()]),
                _ => b[at..at + 2].copy_from_slice(&[0xff, 0xff]),
            }
            rig.exporter = Ipv4Addr::new(10, 0, 0, host).into();
            rig.feed(&b);
            let [used, most, bytes, room] = rig.decoder.templates.usage();
            prop_assert!(used <= most && bytes <= room);
            prop_assert!(rig.decoder.options.usage().0 <= 16);
            prop_assert!(rig.decoder.exporters.len() <= 8);
        }
        rig.exporter = friend;
        prop_assert_eq!(rig.feed(&ipfix(&[set(256, &five(1))])).len(), 1);
    }

    /// What a template describes comes back, for any order of the elements, any widths, and
    /// with elements between them that nobody knows.
    #[test]
    fn any_layout_gives_the_values_back(
        values in values(),
        order in Just((0..7usize).collect::<Vec<_>>()).prop_shuffle(),
        pad in prop::collection::vec(0u16..20, 7),
    ) {
        let (mut specs, mut body) = (Vec::new(), Vec::new());
        for n in order {
            specs.push((values[n].0, values[n].1.len() as u16));
            body.extend_from_slice(&values[n].1);
            specs.push((9999, pad[n]));
            body.extend(vec![0xee; usize::from(pad[n])]);
        }
        let wanted = [Field::SrcHost, Field::DstHost, Field::SrcPort, Field::InIface, Field::Tos];
        let mut rig = Rig::new(&wanted);
        let all = rig.feed(&ipfix(&[set(2, &template(256, &specs)), set(256, &body)]));
        prop_assert_eq!(all.len(), 1);
        let r = &all[0];
        let number = |n: usize| values[n].1.iter().fold(0u64, |v, b| v << 8 | u64::from(*b));
        prop_assert_eq!(&r.src_host().0[12..], &values[0].1[..]);
        prop_assert_eq!(&r.dst_host().0[12..], &values[1].1[..]);
        prop_assert_eq!(u64::from(r.src_port()), number(2));
        prop_assert_eq!(u64::from(r.in_iface()), number(3));
        prop_assert_eq!(u64::from(r.tos()), number(4));
        prop_assert_eq!((r.bytes, r.packets), (number(5), number(6)));
    }
}
