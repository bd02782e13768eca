//! Primitives of the configuration, kinds of records, and choices of how datagrams are taken.
use super::option::{apart, data, tell};
use super::*;
use crate::encode::{Csv, Style};
use crate::record::custom::{Element, Layer, Pointer, Shape};
use crate::record::schema::Options;
use crate::record::{Custom, Form, Schema};

/// A primitive; its slot is given when all are known.
fn custom(name: &str, shape: Shape, length: Option<u16>, id: u16, pen: u32) -> Custom {
    Custom {
        name: name.into(),
        shape,
        form: Form::new(shape, length).unwrap(),
        length,
        element: Some(Element { pen, id }),
        options: (2000..3000).contains(&id),
        pointers: Vec::new(),
        field: Field::Custom0,
    }
}

/// A decoder that wants these primitives and other fields.
fn rig(customs: Vec<Custom>, others: &[Field], reading: Reading) -> Rig {
    let mut slot = 0;
    let mut wanted = FieldSet::of(others);
    let place = |mut custom: Custom| {
        custom.field = Field::custom(slot).unwrap();
        slot += custom.form.size() / 8;
        custom.fields().for_each(|field| wanted.insert(field));
        custom
    };
    let customs: Vec<Custom> = customs.into_iter().map(place).collect();
    Rig::with(&Setup {
        reading,
        customs: Arc::new(Customs::new(customs)),
        ..Setup::new(wanted)
    })
}

impl Rig {
    /// What the primitives of a record are, as text.
    fn shown(&self, record: &FlowRecord) -> Vec<String> {
        let customs = self.decoder.customs.clone();
        let by: Vec<Field> = customs.iter().map(|custom| custom.field).collect();
        let symbols = Arc::new(Interner::new(1 << 16));
        // The same symbols as the decoder's, whose store can not be shared here.
        for n in 2..200 {
            let mut text = Vec::new();
            self.symbols.read(Sym(n), &mut text);
            symbols.intern(&text);
        }
        let schema = Schema::with_customs("t", &by, Options::default(), symbols, customs);
        let schema = Arc::new(schema);
        let mut row = vec![0; schema.row_words()];
        schema.key.pack(record, &mut row[..schema.key.len()]);
        let mut out = Vec::new();
        Csv::new(schema, &Style::default()).rows(&row, Nanos(1), &mut out);
        let line = String::from_utf8(out).unwrap();
        let cells = line.trim_end().split(',').map(String::from);
        let all: Vec<String> = cells.collect();
        all[..by.len()].to_vec()
    }
}

#[test]
fn values_of_every_kind_are_read_and_shown() {
    use Shape::*;
    let mut rig = rig(
        vec![
            custom("n", Number, Some(4), 1000, 0),
            custom("h", Hex, Some(2), 1001, 0),
            custom("ip4", Ip, Some(4), 47, 0),
            custom("ip6", Ip, Some(16), 1002, 7),
            custom("mac", Mac, Some(6), 1003, 0),
            custom("short", Text, Some(6), 1004, 0),
            custom("long", Text, Some(12), 1005, 0),
            custom("raw", Raw, Some(3), 1006, 0),
            custom("longraw", Raw, Some(10), 1007, 0),
            custom("odd", Number, Some(3), 1008, 0),
            custom("absent", Number, Some(4), 1009, 0),
            custom("none", Ip, Some(4), 1010, 0),
        ],
        &[],
        Reading::default(),
    );
    // Elements of an enterprise have four bytes more in their template.
    let fields: &[(u16, &[u8])] = &[
        (1000, &[0x60, 0, 0, 1]),
        (1001, &[0, 0xab]),
        (47, &[192, 0, 2, 1]),
        (1003, &[0, 1, 2, 3, 4, 5]),
        (1004, b"ab\0\0\0\0"),
        (1005, b"hello, you\0\0"),
        (1006, &[1, 0, 0xff]),
        (1007, &[9; 10]),
        (1008, &[1, 2, 3]),
        (1, &[0, 0, 0, 5]),
    ];
    let record = data(&mut rig, fields);
    let got = rig.shown(&record);
    let want = [
        "1610612737",
        "ab",
        "192.0.2.1",
        "::",
        "00:01:02:03:04:05",
        "ab",
        "\"hello",
        " you\"",
        "01-00-FF",
        "09-09-09-09-09-09-09-09-09-09",
        "",
        "0",
    ];
    assert_eq!(got, want);
    assert_eq!(record.bytes, 5);
}

#[test]
fn elements_of_enterprises_and_of_any_length() {
    use Shape::*;
    let mut rig = rig(
        vec![
            custom("ip", Ip, Some(16), 91, 637),
            custom("name", Text, None, 92, 637),
            custom("bytes", Raw, None, 93, 0),
            custom("number", Number, Some(8), 94, 0),
        ],
        &[],
        Reading::default(),
    );
    let mut b = be(&[256, 5]);
    b.extend(be(&[0x8000 | 91, 16, 0, 637]));
    b.extend(be(&[0x8000 | 92, 0xffff, 0, 637]));
    b.extend(be(&[93, 0xffff, 94, 3, 1, 4]));
    let mut body = [0x20u8; 16].to_vec();
    body.extend([3, b'a', b'b', b'c', 2, 7, 8, 1, 0, 0, 0, 0, 0, 9]);
    // The second one has nothing of variable length.
    body.extend([0x20u8; 16]);
    body.extend([0, 0, 0, 0, 1, 0, 0, 0, 9]);
    let all = rig.feed(&ipfix(&[set(2, &b), set(256, &body)]));
    assert_eq!(all.len(), 2);
    let ip = "2020:2020:2020:2020:2020:2020:2020:2020";
    assert_eq!(rig.shown(&all[0]), [ip, "abc", "07-08", "65536"]);
    assert_eq!(rig.shown(&all[1]), [ip, "", "", "1"]);
    // IPv4 where both families may come.
    let r = data(&mut rig, &[(94, &[1])]);
    assert_eq!(rig.shown(&r), ["::", "", "", "1"]);
}

#[test]
fn what_options_say_of_an_exporter_holds_for_its_records() {
    use Shape::*;
    let customs = || {
        vec![
            custom("site", Text, None, 2000, 0),
            custom("model", Number, Some(4), 2001, 0),
            custom("hop", Ip, Some(16), 2002, 0),
        ]
    };
    let mut rig = rig(customs(), &[], Reading::default());
    let r = data(&mut rig, &[(4, &[6])]);
    assert_eq!(rig.shown(&r), ["", "0", "::"]);
    let whole: (u16, &[u8]) = (149, &[0, 0, 0, 1]);
    let hop = [0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 9];
    tell(
        &mut rig,
        &[
            whole,
            (2000, b"lab\0\0"),
            (2001, &[0, 0, 0, 7]),
            (2002, &hop),
        ],
    );
    let r = data(&mut rig, &[(4, &[6])]);
    assert_eq!(rig.shown(&r), ["lab", "7", "2001:db8::9"]);
    // What a record says itself goes before; what is about an interface is not about all.
    let r = data(&mut rig, &[(2001, &[8])]);
    assert_eq!(rig.shown(&r), ["lab", "8", "2001:db8::9"]);
    tell(&mut rig, &[(10, &[0, 0, 0, 3]), (2001, &[0, 0, 0, 9])]);
    let r = data(&mut rig, &[(4, &[6])]);
    assert_eq!(rig.shown(&r)[1], "7");
    // Another exporter said nothing.
    rig.exporter = Ipv4Addr::new(192, 0, 2, 9).into();
    let r = data(&mut rig, &[(4, &[6])]);
    assert_eq!(rig.shown(&r), ["", "0", "::"]);
}

#[test]
fn packets_in_records_have_places() {
    let mut ttl = custom("ttl", Shape::Number, Some(1), 192, 0);
    let place = |layer, proto, offset| Pointer {
        layer,
        proto,
        offset,
    };
    ttl.pointers = vec![
        place(Layer::L3, Some(0x800), 8),
        place(Layer::L3, Some(0x86dd), 7),
    ];
    let mut host = custom("host", Shape::Text, None, 60_000, 0);
    host.pointers = vec![place(Layer::Payload, Some(17), 0)];
    let mut rig = rig(vec![ttl, host], &[Field::SrcHost], Reading::default());
    let mut packet = vec![
        0x45, 0, 0, 33, 0, 7, 0, 0, 61, 17, 0, 0, 192, 0, 2, 1, 192, 0, 2, 2,
    ];
    packet.extend([0, 53, 0, 53, 0, 13, 0, 0]);
    packet.extend(b"weir\0");
    let frame = [&[2u8; 12][..], &[8, 0], &packet].concat();
    let r = data(&mut rig, &[(315, &frame)]);
    assert_eq!(rig.shown(&r), ["61", "weir"]);
    let r = data(&mut rig, &[(313, &packet)]);
    assert_eq!(rig.shown(&r), ["61", "weir"]);
    let r = data(&mut rig, &[(192, &[9]), (315, &frame)]);
    assert_eq!(rig.shown(&r), ["9", "weir"], "the element goes before");
}

#[test]
fn an_element_of_no_bytes_is_not_there() {
    let mut ttl = custom("ttl", Shape::Number, Some(1), 192, 0);
    ttl.pointers = vec![Pointer {
        layer: Layer::L3,
        proto: None,
        offset: 8,
    }];
    let field = Field::custom(0).unwrap();
    let fields = [Field::SrcHost, Field::SrcPort, Field::Proto];
    let mut rig = rig(vec![ttl], &fields, Reading::default());
    let mut packet = vec![
        0x45, 0, 0, 28, 0, 7, 0, 0, 61, 17, 0, 0, 192, 0, 2, 1, 192, 0, 2, 2,
    ];
    packet.extend([0, 53, 0, 53, 0, 8, 0, 0]);
    let b = be(&[256, 4, 192, 0xffff, 7, 0xffff, 4, 0xffff, 313, 0xffff]);
    let mut body = vec![0, 0, 1, 6, packet.len() as u8];
    body.extend(&packet);
    body.extend([1, 9, 2, 0, 7, 0, packet.len() as u8]);
    body.extend(&packet);
    let all = rig.feed(&ipfix(&[set(2, &b), set(256, &body)]));
    // Then the packet tells, as where the template has no such element.
    assert_eq!(rig.shown(&all[0]), ["61"]);
    assert!(all[0].present.has(field));
    assert_eq!(rig.shown(&all[1]), ["9"]);
    let has = |n: usize, field| all[n].present.has(field);
    assert_eq!([has(0, Field::Proto), has(1, Field::SrcPort)], [true; 2]);
    assert_eq!(all[1].src_port(), 7);
    // Without a packet nothing does.
    let b = be(&[257, 3, 192, 0xffff, 7, 0xffff, 4, 0xffff]);
    let all = rig.feed(&ipfix(&[set(2, &b), set(257, &[0, 0, 0, 0, 2, 0, 7, 0])]));
    let has = |n: usize, field| all[n].present.has(field);
    assert_eq!([has(0, field), has(0, Field::SrcPort)], [false; 2]);
    assert_eq!([has(1, field), has(1, Field::SrcPort)], [false, true]);
}

#[test]
fn records_without_a_byte_counter_are_events() {
    let kind = |rig: &mut Rig, fields: &[(u16, &[u8])]| data(rig, fields).record_kind();
    let mut rig = rig(
        vec![],
        &[Field::RecordKind, Field::NatEvent],
        Reading::default(),
    );
    assert_eq!(kind(&mut rig, &[(230, &[1]), (8, &[10, 0, 0, 1])]), 1);
    for id in [1, 23, 85, 231, 232, 352] {
        assert_eq!(
            kind(&mut rig, &[(230, &[1]), (id, &[0, 0, 0, 1])]),
            0,
            "{id}"
        );
    }
    assert_eq!(kind(&mut rig, &[(2, &[1])]), 1, "packets are no bytes");
    assert_eq!(kind(&mut rig, &[(104, &[0; 20])]), 0);
    let mut plain = Rig::new(&[Field::NatEvent]);
    assert_eq!(data(&mut plain, &[(230, &[2])]).nat_event(), 2);
}

#[test]
fn records_tell_what_template_described_them() {
    let mut rig = rig(vec![], &[Field::Layout], Reading::default());
    let bytes: &[u8] = &[0, 0, 0, 1];
    let with = |fields: &[u16]| (fields.iter().map(|id| (*id, bytes))).collect::<Vec<_>>();
    let one = data(&mut rig, &with(&[1])).layout();
    assert!((256..1 << 16).contains(&one), "{one}");
    assert_eq!(data(&mut rig, &with(&[231])).layout() >> 16, 0);
    assert_eq!(data(&mut rig, &with(&[231, 232])).layout() >> 16, 1);
    // Those of Cisco's numbers and not those of a vendor, in NetFlow 9 as well.
    let (specs, body) = apart(&with(&[231, 232]));
    let all = rig.feed(&v9(&[set(0, &template(777, &specs)), set(777, &body)]));
    assert_eq!(all[0].layout(), 777 | 1 << 16);
    let mut plain = Rig::new(&[Field::SrcPort]);
    assert!(!data(&mut plain, &with(&[1])).present.has(Field::Layout));
}

#[test]
fn options_records_are_records_where_that_is_wanted() {
    let reading = Reading {
        account_options: true,
        ..Reading::default()
    };
    let customs = vec![custom("total", Shape::Number, Some(8), 41, 0)];
    let wanted = [Field::RecordKind, Field::InIface, Field::SamplingRate];
    let mut rig = rig(customs, &wanted, reading);
    let fields: &[(u16, &[u8])] = &[
        (10, &[0, 0, 0, 3]),
        (41, &[0, 0, 0, 0, 0, 0, 1, 0]),
        (34, &[0, 0, 0, 64]),
        (1, &[0, 0, 1, 0]),
    ];
    let (specs, body) = apart(fields);
    let tpl = set(3, &options_template(400, 1, &specs));
    let all = rig.feed(&ipfix(&[tpl, set(400, &body)]));
    assert_eq!(all.len(), 1);
    let r = &all[0];
    assert_eq!((r.record_kind(), r.in_iface()), (2, 3));
    assert_eq!((r.packets, r.bytes, r.flows), (0, 0, 0));
    assert_eq!(rig.shown(r), ["256"]);
    // They still mean what they mean.
    let r = data(&mut rig, &[(10, &[0, 0, 0, 3]), (1, &[9])]);
    assert_eq!((r.sampling_rate(), r.record_kind()), (64, 0));
}

#[test]
fn readings_choose_what_is_taken() {
    let with = |reading| rig(vec![], &[Field::PeerDstIp, Field::PeerSrcIp], reading);
    let hops: &[(u16, &[u8])] = &[(15, &[10, 0, 0, 1]), (130, &[10, 9, 9, 9])];
    let mut plain = with(Reading::default());
    let r = data(&mut plain, hops);
    assert_eq!(
        (r.peer_dst_ip(), r.peer_src_ip()),
        (v4(10, 0, 0, 1), v4(10, 9, 9, 9))
    );
    // The next hop of MPLS goes before that of IP, that of BGP before both.
    let r = data(&mut plain, &[hops[0], (47, &[10, 0, 0, 2])]);
    assert_eq!(r.peer_dst_ip(), v4(10, 0, 0, 2));
    let r = data(
        &mut plain,
        &[hops[0], (47, &[10, 0, 0, 2]), (18, &[10, 0, 0, 3])],
    );
    assert_eq!(r.peer_dst_ip(), v4(10, 0, 0, 3));
    let mut strict = with(Reading {
        use_next_hop: false,
        ignore_exporter_address: true,
        ..Reading::default()
    });
    let r = data(&mut strict, hops);
    assert_eq!(
        (r.peer_dst_ip(), r.peer_src_ip()),
        (Ip::default(), v4(192, 0, 2, 1))
    );
    let told = [(149, &[0, 0, 0, 1][..]), (130, &[10, 9, 9, 9])];
    tell(&mut strict, &told);
    assert_eq!(data(&mut strict, hops).peer_src_ip(), v4(192, 0, 2, 1));
    let mut asa = with(Reading {
        asa_biflow: true,
        ..Reading::default()
    });
    let both: &[(u16, &[u8])] = &[(231, &[1, 0]), (232, &[2, 0]), (298, &[5])];
    let r = data(&mut asa, both);
    assert_eq!((r.bytes, r.packets), (256, 512));
    let r = data(&mut plain, both);
    assert_eq!((r.bytes, r.packets), (256, 5));
}

#[test]
fn a_start_that_nobody_states_is_the_export_where_times_are_those_of_nfacctd() {
    use crate::base::time::{Nanos, SECOND};
    let wanted = [
        Field::TimestampStart,
        Field::TimestampEnd,
        Field::TimestampExport,
    ];
    let times = |coarse, fields: &[(u16, &[u8])]| {
        let reading = Reading {
            uptime_seconds: coarse,
            ..Reading::default()
        };
        let mut rig = rig(vec![], &wanted, reading);
        let r = data(&mut rig, fields);
        (r.timestamp_start(), r.timestamp_end(), r.timestamp_export())
    };
    let none: &[(u16, &[u8])] = &[(2, &[1])];
    let uptimes: &[(u16, &[u8])] = &[(22, &[0, 0, 4, 0]), (21, &[0, 0, 8, 0])];
    for fields in [none, uptimes] {
        let (start, end, export) = times(true, fields);
        assert_eq!((start, end), (export, Nanos(0)));
        assert_eq!(times(false, fields).0, Nanos(0));
    }
    let stated: &[(u16, &[u8])] = &[(150, &[0, 0, 0, 9]), (151, &[0, 0, 0, 9])];
    let nine = Nanos(9 * SECOND);
    let (start, end, _) = times(true, stated);
    assert_eq!((start, end), (nine, nine));
}

#[test]
fn as_numbers_may_be_those_of_the_peers() {
    let wanted = [Field::SrcAs, Field::PeerSrcAs, Field::PeerDstAs];
    let reading = Reading {
        peer_as: true,
        ..Reading::default()
    };
    let mut peers = rig(vec![], &wanted, reading);
    let numbers: &[(u16, &[u8])] = &[(16, &[0xfd, 0xe8]), (17, &[0xfd, 0xe9])];
    let r = data(&mut peers, numbers);
    assert_eq!((r.peer_src_as(), r.peer_dst_as()), (65000, 65001));
    let r = data(&mut peers, &[numbers[0], (129, &[0, 0, 0, 7])]);
    assert_eq!((r.src_as(), r.peer_src_as()), (0, 65000));
    let mut plain = rig(vec![], &wanted, Reading::default());
    assert_eq!(data(&mut plain, numbers).peer_src_as(), 0);
}

#[test]
fn the_vrf_of_a_record_is_the_one_with_a_distinguisher() {
    use crate::record::{Origin, Rd};
    let mut rig = Rig::new(&[Field::MplsVpnRd, Field::VrfName]);
    let vrf = |n: u8| [0x60, 0, 0, n];
    let (zero, one, two) = (vrf(0), vrf(1), vrf(2));
    let number = |n: u8| [0, 0, 0xfd, 0xe8, 0, 0, 0, n];
    tell(
        &mut rig,
        &[
            (234, &zero),
            (236, b"default"),
            (90, &number(0)[..2]),
            (235, &zero),
        ],
    );
    tell(&mut rig, &[(234, &zero), (236, b"default"), (90, &[0; 8])]);
    tell(&mut rig, &[(234, &one), (236, b"red"), (90, &number(1))]);
    for (ingress, egress, name, rd) in [
        (&zero, &one, "red", Rd::new(65000 << 32 | 1, Origin::Flow)),
        (&one, &zero, "red", Rd::new(65000 << 32 | 1, Origin::Flow)),
        (&zero, &zero, "default", Rd::new(0, Origin::Flow)),
        (&two, &two, "", Rd::vrf(0x6000_0002, Origin::Flow)),
    ] {
        let r = data(&mut rig, &[(234, ingress), (235, egress)]);
        assert_eq!(rig.text(r.vrf_name()), name);
        assert_eq!(r.mpls_vpn_rd(), rd.0, "{ingress:?} {egress:?}");
    }
    // A distinguisher in the record goes before.
    let r = data(&mut rig, &[(234, &one), (90, &number(9))]);
    assert_eq!(r.mpls_vpn_rd(), Rd::new(65000 << 32 | 9, Origin::Flow).0);
}

#[test]
fn the_ethertype_follows_from_the_version_of_ip() {
    let mut rig = Rig::new(&[Field::Etype]);
    let six = [1u8; 16];
    for (fields, want) in [
        (&[(8, &[10, 0, 0, 1][..])][..], 0x800),
        (&[(27, &six[..])], 0x86dd),
        (&[(8, &[0; 4]), (27, &six)], 0x86dd),
        (&[(8, &[10, 0, 0, 1]), (27, &[0; 16])], 0x800),
        (&[(60, &[6]), (8, &[0; 4])], 0x86dd),
        (&[(56, &[1; 6])], 0),
        (&[(256, &[8, 6]), (8, &[10, 0, 0, 1])], 0x806),
        // IPv4 in IPv6: the frame is the outer packet's.
        (
            &[
                (27, &six),
                (28, &six),
                (4, &[4]),
                (8, &[10, 0, 0, 1]),
                (4, &[6]),
            ],
            0x86dd,
        ),
    ] {
        assert_eq!(data(&mut rig, fields).etype(), want, "{fields:?}");
    }
}

#[test]
fn behind_the_device_addresses_are_the_later_ones() {
    let mut rig = Rig::new(&[Field::SrcMac, Field::DstMac]);
    let macs: &[(u16, &[u8])] = &[(56, &[1; 6]), (80, &[2; 6]), (81, &[3; 6]), (57, &[4; 6])];
    let r = data(&mut rig, &[macs, &[(61, &[0])]].concat());
    assert_eq!((r.src_mac().0, r.dst_mac().0), ([1; 6], [2; 6]));
    let r = data(&mut rig, &[macs, &[(61, &[1])]].concat());
    assert_eq!((r.src_mac().0, r.dst_mac().0), ([3; 6], [4; 6]));
}

#[test]
fn uptimes_may_be_as_coarse_as_nfacctds() {
    let reading = Reading {
        uptime_seconds: true,
        ..Reading::default()
    };
    let mut rig = rig(vec![], &[Field::TimestampStart], reading);
    let flows = set(0, &template(300, &[(22, 4)]));
    let start = (UPTIME - 1999).to_be_bytes();
    let all = rig.feed(&v9(&[flows, set(300, &start)]));
    let second = |n: u32| Nanos::new(u64::from(EXPORTED - n), 0);
    assert_eq!(all[0].timestamp_start(), second(1));
    assert_eq!(data(&mut rig, &[(22, &start)]).timestamp_start(), second(0));
}
