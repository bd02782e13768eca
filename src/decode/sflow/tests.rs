use super::*;
use crate::base::addr::Mac;
use crate::base::intern::{Interner, SymCache};
use crate::base::ledger::Intake;
use crate::base::time::Nanos;
use crate::record::Batch;
use crate::source::{Link, Peer};
use crate::wire::sflow::record::format;
use proptest::prelude::*;

/// A decoder with all that a worker would give it.
struct Rig {
    decoder: SflowDecoder,
    batch: Batch,
    symbols: Interner,
    cache: SymCache,
    ledger: Intake,
}

impl Rig {
    fn new(fields: &[Field]) -> Self {
        Self::with(Setup {
            exporters_max: 16,
            ..Setup::new(FieldSet::of(fields))
        })
    }

    fn all() -> Self {
        let wanted = crate::record::FIELDS.iter().map(|i| i.field).collect();
        Self::with(Setup {
            exporters_max: 16,
            ..Setup::new(wanted)
        })
    }

    fn with(setup: Setup) -> Self {
        Self {
            decoder: SflowDecoder::new(&setup),
            batch: Batch::new(setup.wanted),
            symbols: Interner::new(1 << 16),
            cache: SymCache::default(),
            ledger: Intake::default(),
        }
    }

    fn decode(&mut self, bytes: &[u8]) -> (Result<(), wire::Error>, Vec<FlowRecord>) {
        let mut records = Vec::new();
        let mut run = |batch: &mut Batch, _: &mut Intake| {
            records.extend_from_slice(batch.records());
            batch.clear();
        };
        let mut out = Emit::new(
            &mut self.batch,
            &mut run,
            &mut self.ledger,
            &self.symbols,
            &mut self.cache,
        );
        let from = Peer {
            ip: [198, 51, 100, 1].into(),
            port: 6343,
            iface: 0,
        };
        let frame = Frame {
            bytes,
            wire_len: bytes.len() as u32,
            link: Link::Datagram,
            time: Nanos(77),
            from,
        };
        out.time = frame.time;
        let result = self.decoder.decode(&frame, &mut out);
        out.flush();
        (result, records)
    }

    /// The one record of a datagram with one flow sample.
    fn one(&mut self, records: &[(u32, Vec<u8>)]) -> FlowRecord {
        let (result, records) = self.decode(&datagram(9, &[(1, flow(1, records))]));
        assert_eq!(result, Ok(()));
        assert_eq!((records.len(), self.ledger.dropped_units()), (1, 0));
        records[0]
    }

    fn text(&self, sym: Sym) -> String {
        let mut out = Vec::new();
        self.symbols.read(sym, &mut out);
        String::from_utf8(out).unwrap()
    }
}

fn xdr(words: &[u32]) -> Vec<u8> {
    words.iter().flat_map(|w| w.to_be_bytes()).collect()
}

/// A list of tagged structures, without its count.
fn tagged(list: &[(u32, Vec<u8>)]) -> Vec<u8> {
    let mut out = Vec::new();
    for (format, body) in list {
        out.extend(xdr(&[*format, body.len() as u32]));
        out.extend(body);
        out.resize(out.len().next_multiple_of(4), 0);
    }
    out
}

/// Agent 192.0.2.7, sub-agent 3.
fn datagram(sequence: u32, samples: &[(u32, Vec<u8>)]) -> Vec<u8> {
    let mut out = xdr(&[5, 1, 0xc000_0207, 3, sequence, 1000, samples.len() as u32]);
    out.extend(tagged(samples));
    out
}

/// A flow sample of interface 12, from interface 12 to 13, one of 400.
fn flow(sequence: u32, records: &[(u32, Vec<u8>)]) -> Vec<u8> {
    let head = [
        sequence,
        12,
        400,
        sequence * 400,
        0,
        12,
        13,
        records.len() as u32,
    ];
    let mut out = xdr(&head);
    out.extend(tagged(records));
    out
}

/// A sampled header of Ethernet, with its checksum taken off.
fn raw(frame: &[u8], wire_len: u32) -> (u32, Vec<u8>) {
    let mut out = xdr(&[1, wire_len + 4, 4, frame.len() as u32]);
    out.extend(frame);
    out.resize(out.len().next_multiple_of(4), 0);
    (format::RAW_HEADER, out)
}

const MACS: [u8; 12] = [2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1];

/// Ethernet, then `tags`, then IPv4 of 1400 bytes and TCP 10.0.0.1:443 to 10.0.0.2:50000, PSH ACK.
fn tcp(tags: &[u8]) -> Vec<u8> {
    let mut f = MACS.to_vec();
    f.extend(tags);
    f.extend([
        8, 0, 0x45, 0xb8, 5, 120, 0, 1, 0, 0, 64, 6, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2,
    ]);
    f.extend([
        1, 187, 0xc3, 0x50, 0, 0, 0, 0, 0, 0, 0, 0, 0x50, 0x18, 1, 0, 0, 0, 0, 0, 9, 9,
    ]);
    f
}

#[test]
fn a_raw_header_gives_the_flow() {
    let mut rig = Rig::all();
    let r = rig.one(&[raw(&tcp(&[]), 1414)]);
    assert_eq!((r.packets, r.bytes, r.time), (1, 1400, Nanos(77)));
    assert_eq!(
        (r.src_host(), r.dst_host()),
        (Ip::v4([10, 0, 0, 1]), Ip::v4([10, 0, 0, 2]))
    );
    assert_eq!((r.src_port(), r.dst_port(), r.proto()), (443, 50000, 6));
    assert_eq!((r.tos(), r.tcp_flags(), r.etype()), (0xb8, 0x18, 0x0800));
    assert_eq!(
        (r.src_mac(), r.dst_mac()),
        (Mac([2, 0, 0, 0, 0, 1]), Mac([2, 0, 0, 0, 0, 2]))
    );
    assert_eq!(
        (r.in_iface(), r.out_iface(), r.sampling_rate()),
        (12, 13, 400)
    );
    assert_eq!(r.sampling_direction(), b'i');
    assert_eq!(r.peer_src_ip(), Ip::v4([192, 0, 2, 7]));
    assert_eq!((r.export_proto_version(), r.export_proto_sysid()), (5, 3));
    assert_eq!(r.layout(), sample::FLOW);
    assert_eq!(
        (r.export_proto_seqno(), r.timestamp_arrival()),
        (9, Nanos(77))
    );
    assert!(!r.present.has(Field::Vlan) && !r.present.has(Field::SrcAs) && !r.exact);
}

#[test]
fn bytes_of_the_frame_when_asked_for() {
    let fields = FieldSet::of(&[Field::SrcHost]);
    let mut rig = Rig::with(Setup {
        reading: crate::decode::Reading {
            frame_bytes: true,
            ..Default::default()
        },
        ..Setup::new(fields)
    });
    assert_eq!(rig.one(&[raw(&tcp(&[]), 1414)]).bytes, 1418);
}

#[test]
fn places_in_sampled_headers() {
    use crate::record::custom::{Layer, Pointer, Shape};
    use crate::record::{Custom, Customs, Form};
    let ttl = Custom {
        name: "ttl".into(),
        shape: Shape::Number,
        form: Form::Number,
        length: Some(1),
        element: None,
        options: false,
        pointers: vec![Pointer {
            layer: Layer::L3,
            proto: Some(0x800),
            offset: 8,
        }],
        field: Field::Custom0,
    };
    // With and without an extended record that somebody wants.
    for others in [&[Field::SrcHost][..], &[Field::Vlan]] {
        let mut wanted = FieldSet::of(others);
        wanted.insert(Field::Custom0);
        let mut rig = Rig::with(Setup {
            customs: std::sync::Arc::new(Customs::new(vec![ttl.clone()])),
            ..Setup::new(wanted)
        });
        let switch = (format::SWITCH, xdr(&[7, 0, 8, 0]));
        let r = rig.one(&[raw(&tcp(&[]), 1414), switch]);
        assert_eq!((r.custom_0(), r.packets), (64, 1));
    }
}

#[test]
fn agents_and_next_hops_may_be_left_aside() {
    let fields = FieldSet::of(&[Field::PeerSrcIp, Field::PeerDstIp]);
    let router = || (format::ROUTER, xdr(&[1, 0x0a00_0001, 24, 16]));
    let mut plain = Rig::with(Setup::new(fields));
    let r = plain.one(&[raw(&tcp(&[]), 1414), router()]);
    let agent = Ip::v4([192, 0, 2, 7]);
    assert_eq!(
        (r.peer_src_ip(), r.peer_dst_ip()),
        (agent, Ip::v4([10, 0, 0, 1]))
    );
    let mut strict = Rig::with(Setup {
        reading: Reading {
            ignore_exporter_address: true,
            use_next_hop: false,
            ..Reading::default()
        },
        ..Setup::new(fields)
    });
    let r = strict.one(&[raw(&tcp(&[]), 1414), router()]);
    assert_eq!(r.peer_src_ip(), Ip::v4([198, 51, 100, 1]));
    assert_eq!(r.peer_dst_ip(), Ip::default());
}

#[test]
fn header_protocols_without_ethernet() {
    let frame = tcp(&[]);
    let mut rig = Rig::all();
    let mut record = |protocol: u32, header: &[u8]| {
        let mut out = xdr(&[protocol, 1400, 0, header.len() as u32]);
        out.extend(header);
        rig.one(&[(1, out)])
    };
    assert_eq!(record(11, &frame[14..]).src_port(), 443);
    assert_eq!(
        record(7, &[&[0xff, 3, 0, 0x21], &frame[14..]].concat()).src_port(),
        443
    );
    let labelled = record(13, &[&[0, 1, 0, 64, 0, 1, 0x11, 64], &frame[14..]].concat());
    assert_eq!(labelled.src_port(), 443);
    assert_eq!(
        (labelled.mpls_label_top(), labelled.mpls_label_bottom()),
        (16, 17)
    );
    assert_eq!(rig.text(labelled.mpls_label_stack()), "16_17");
}

#[test]
fn the_tag_of_the_header_goes_before_the_switch() {
    let switch = || (format::SWITCH, xdr(&[10, 5, 20, 6]));
    let mut rig = Rig::all();
    let r = rig.one(&[switch(), raw(&tcp(&[]), 1414)]);
    assert_eq!(
        (r.vlan(), r.in_vlan(), r.out_vlan(), r.cos()),
        (10, 10, 20, 5)
    );
    let r = rig.one(&[switch(), raw(&tcp(&[0x81, 0, 0x60, 100]), 1418)]);
    assert_eq!(
        (r.vlan(), r.in_vlan(), r.out_vlan(), r.cos()),
        (100, 100, 20, 3)
    );
    let r = rig.one(&[
        raw(&tcp(&[]), 1414),
        (format::SWITCH, xdr(&[u32::MAX, u32::MAX, 20, 6])),
    ]);
    assert_eq!((r.vlan(), r.out_vlan(), r.cos()), (20, 20, 6));
    assert!(!r.present.has(Field::InVlan));
    let tags = (format::VLAN_TUNNEL, xdr(&[2, 0x88a8_a07b, 0x8100_0007]));
    let r = rig.one(&[tags, switch(), raw(&tcp(&[]), 1414)]);
    assert_eq!(
        (r.vlan(), r.in_vlan(), r.in_cvlan(), r.out_vlan(), r.cos()),
        (123, 123, 7, 20, 5)
    );
}

#[test]
fn values_stand_in_for_a_header() {
    let mut rig = Rig::all();
    let v4 = xdr(&[1500, 6, 0x0a00_0001, 0x0a00_0002, 443, 50000, 0x18, 0xb8]);
    let r = rig.one(&[(format::IPV4, v4.clone())]);
    assert_eq!(
        (r.bytes, r.src_port(), r.tcp_flags(), r.etype()),
        (1500, 443, 0x18, 0x0800)
    );
    assert_eq!(r.dst_host(), Ip::v4([10, 0, 0, 2]));
    let v6 = xdr(&[
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
    let r = rig.one(&[(format::IPV6, v6)]);
    assert_eq!(
        (r.bytes, r.proto(), r.src_port(), r.etype(), r.tos()),
        (80, 17, 53, 0x86dd, 4)
    );
    assert_eq!(r.src_host().to_string(), "2001:db8::1");
    let mac = xdr(&[
        90,
        0x0200_0000,
        0x0001_0000,
        0x0200_0000,
        0x0002_0000,
        0x0806,
    ]);
    let r = rig.one(&[(format::ETHERNET, mac.clone())]);
    assert_eq!(
        (r.bytes, r.etype(), r.src_mac()),
        (72, 0x0806, Mac([2, 0, 0, 0, 0, 1]))
    );
    // A header of a kind that is not parsed, or too short, leaves it to the values.
    let fddi = (format::RAW_HEADER, xdr(&[4, 1500, 0, 0]));
    assert_eq!(rig.one(&[fddi, (format::IPV4, v4.clone())]).src_port(), 443);
    assert_eq!(
        rig.one(&[raw(&tcp(&[])[..20], 1414), (format::IPV4, v4)])
            .src_port(),
        443
    );
    // Nobody wants what is below IP: the frame is not counted.
    let mut rig = Rig::new(&[Field::SrcHost]);
    let (result, records) = rig.decode(&datagram(9, &[(1, flow(1, &[(format::ETHERNET, mac)]))]));
    assert_eq!((result, records.len()), (Ok(()), 0));
    assert_eq!(rig.ledger.dropped(Reason::NotIp).units, 1);
}

#[test]
fn the_route_of_a_packet() {
    let router = (format::ROUTER, xdr(&[1, 0xc000_0201, 24, 16]));
    let gateway = xdr(&[
        1,
        0xc000_02fe,
        64500,
        64501,
        64502,
        2,
        2,
        2,
        64510,
        64511,
        1,
        2,
        64520,
        64521,
        2,
        0xfbf4_0001,
        0xfbf4_0002,
        150,
    ]);
    let mut rig = Rig::all();
    let r = rig.one(&[raw(&tcp(&[]), 1414), router.clone()]);
    assert_eq!((r.src_mask(), r.dst_mask()), (24, 16));
    assert_eq!(r.peer_dst_ip(), Ip::v4([192, 0, 2, 1]));
    assert_eq!(r.next_hop(), r.peer_dst_ip());
    let r = rig.one(&[(format::GATEWAY, gateway), raw(&tcp(&[]), 1414), router]);
    assert_eq!(r.peer_dst_ip(), Ip::v4([192, 0, 2, 254]));
    assert_eq!(r.next_hop(), Ip::v4([192, 0, 2, 1]));
    assert_eq!((r.src_as(), r.peer_src_as()), (64501, 64502));
    assert_eq!(
        (r.peer_dst_as(), r.dst_as(), r.local_pref()),
        (64510, 64521, 150)
    );
    assert_eq!(rig.text(r.as_path()), "64510_64511_{64520,64521}");
    assert_eq!(rig.text(r.std_comm()), "64500:1_64500:2");
}

#[test]
fn translations_labels_and_networks() {
    let mut rig = Rig::all();
    let r = rig.one(&[
        raw(&tcp(&[]), 1414),
        (format::NAT, xdr(&[1, 0xcb00_7101, 1, 0x0a00_0002])),
        (format::NAT_PORT, xdr(&[40001, 50000])),
        (
            format::MPLS,
            xdr(&[0, 0, 2, 24000 << 12, 24001 << 12 | 0x100]),
        ),
        (format::VNI_EGRESS, xdr(&[5001])),
        (format::VNI_INGRESS, xdr(&[5000])),
        (format::VNI_EGRESS, xdr(&[5001])),
        (4413 << 12 | 1, xdr(&[1, 2, 3])),
        (1004, xdr(&[0, 0])),
    ]);
    assert_eq!(r.post_nat_src_host(), Ip::v4([203, 0, 113, 1]));
    assert_eq!(r.post_nat_dst_host(), Ip::v4([10, 0, 0, 2]));
    assert_eq!(
        (r.post_nat_src_port(), r.post_nat_dst_port()),
        (40001, 50000)
    );
    assert_eq!((r.mpls_label_top(), r.mpls_label_bottom()), (24000, 24001));
    assert_eq!(rig.text(r.mpls_label_stack()), "24000_24001");
    assert_eq!(r.vxlan(), 5000);
}

#[test]
fn what_is_inside_a_tunnel() {
    let inner = tcp(&[]);
    let mut f = MACS.to_vec();
    let total = (inner.len() + 36) as u8;
    f.extend([
        8, 0, 0x45, 0, 0, total, 0, 1, 0, 0, 64, 17, 0, 0, 192, 0, 2, 1, 192, 0, 2, 2,
    ]);
    f.extend([
        0xc0,
        0,
        0x12,
        0xb5,
        0,
        total - 20,
        0,
        0,
        8,
        0,
        0,
        0,
        0,
        0x13,
        0x88,
        0,
    ]);
    f.extend(&inner);
    let len = f.len() as u32;
    let r = Rig::all().one(&[raw(&f, len)]);
    assert_eq!((r.dst_port(), r.vxlan()), (4789, 5000));
    assert_eq!(
        (r.tunnel_src_host(), r.tunnel_src_port()),
        (Ip::v4([10, 0, 0, 1]), 443)
    );
    let r = Rig::new(&[Field::SrcHost]).one(&[raw(&f, len)]);
    assert!(!r.present.has(Field::TunnelSrcHost));
}

#[test]
fn interfaces_that_are_not_one_are_zero() {
    let mut rig = Rig::all();
    let head = |source, input, output| {
        let mut out = xdr(&[1, source, 400, 0, 0, input, output, 1]);
        out.extend(tagged(&[raw(&tcp(&[]), 1414)]));
        datagram(9, &[(1, out)])
    };
    let mut of = |source, input, output| {
        let r = rig.decode(&head(source, input, output)).1[0];
        (
            r.in_iface(),
            r.out_iface(),
            r.sampling_direction(),
            r.fwd_status(),
        )
    };
    assert_eq!(of(13, 12, 13), (12, 13, b'e', 0));
    assert_eq!(of(14, 12, 13), (12, 13, b'u', 0));
    assert_eq!(of(12, 12, 0x8000_0002), (12, 0, b'i', 0));
    assert_eq!(of(12, 12, 0x4000_0100), (12, 0, b'i', 128));
    assert_eq!(of(13, 0x3fff_ffff, 13), (0, 13, b'e', 0));
    let mut wide = xdr(&[1, 0, 0x100_0001, 400, 0, 0, 0, 0x100_0001, 0, 2, 1]);
    wide.extend(tagged(&[raw(&tcp(&[]), 1414)]));
    let r = rig.decode(&datagram(9, &[(3, wide)])).1[0];
    assert_eq!(
        (r.in_iface(), r.out_iface(), r.sampling_direction()),
        (0x100_0001, 2, b'i')
    );
    assert_eq!(r.layout(), sample::FLOW_EXPANDED);
}

#[test]
fn a_bad_record_drops_its_sample_and_a_bad_sample_the_rest() {
    let good = || (1, flow(1, &[raw(&tcp(&[]), 1414)]));
    let bad = (1, flow(1, &[(format::RAW_HEADER, xdr(&[1, 100, 0, 5000]))]));
    let mut rig = Rig::all();
    let (result, records) = rig.decode(&datagram(9, &[good(), bad.clone(), good()]));
    assert_eq!((result, records.len()), (Ok(()), 2));
    assert_eq!(rig.ledger.dropped(Reason::Length).units, 1);
    assert_eq!(rig.ledger.dropped(Reason::Length).bytes, bad.1.len() as u64);

    let mut bytes = datagram(10, &[good(), good(), good()]);
    let second = 28 + 8 + good().1.len() + 4;
    bytes[second..second + 4].copy_from_slice(&u32::MAX.to_be_bytes());
    let (result, records) = rig.decode(&bytes);
    assert_eq!((result, records.len()), (Ok(()), 1));
    // The sample that lies and what is behind it; not the one that has become a record.
    let dropped = rig.ledger.dropped(Reason::Length);
    assert_eq!(dropped.units, 2);
    let rest = bytes.len() - 28 - 8 - good().1.len();
    assert_eq!(dropped.bytes, (bad.1.len() + rest) as u64);
    let mut old = datagram(11, &[good()]);
    old[3] = 4;
    assert_eq!(rig.decode(&old).0, Err(wire::Error::Version));
}

#[test]
fn a_batch_takes_more_samples_than_it_has_places() {
    let samples: Vec<_> = (0..100)
        .map(|n| (1, flow(n, &[raw(&tcp(&[]), 1414)])))
        .collect();
    let (result, records) = Rig::all().decode(&datagram(9, &samples));
    assert_eq!((result, records.len()), (Ok(()), 100));
}

#[test]
fn losses_before_us_and_what_is_passed_over() {
    let mut rig = Rig::new(&[Field::SrcHost]);
    let sample = |sequence, pool, drops| {
        let mut out = xdr(&[sequence, 12, 400, pool, drops, 12, 13, 1]);
        out.extend(tagged(&[raw(&tcp(&[]), 1414)]));
        (1, out)
    };
    let _ = rig.decode(&datagram(
        9,
        &[sample(1, 1000, 5), (2, xdr(&[1, 12, 0])), (5, xdr(&[1]))],
    ));
    let _ = rig.decode(&datagram(10, &[]));
    let _ = rig.decode(&datagram(
        14,
        &[sample(2, 1400, 7), (4, xdr(&[1, 0, 12, 0]))],
    ));
    let ledger = &rig.ledger;
    assert_eq!((ledger.sequence_lost, ledger.agent_lost), (3, 2));
    assert_eq!(ledger.agent_pool, 400);
    assert_eq!((ledger.passed_over, ledger.dropped_units()), (3, 0));
    assert_eq!(rig.decoder.usage()[0], ("sflow_agents", 1, 16));
}

#[test]
fn an_unknown_agent_is_the_sender() {
    let mut bytes = xdr(&[5, 0, 3, 9, 1000, 1]);
    bytes.extend(tagged(&[(1, flow(1, &[raw(&tcp(&[]), 1414)]))]));
    let r = Rig::all().decode(&bytes).1[0];
    assert_eq!(r.peer_src_ip(), Ip::v4([198, 51, 100, 1]));
}

/// A datagram with a record of every kind.
fn rich() -> Vec<u8> {
    let gateway = xdr(&[1, 1, 1, 2, 3, 2, 2, 2, 4, 5, 1, 1, 6, 2, 7, 8, 150]);
    let records = [
        raw(&tcp(&[0x81, 0, 0x60, 100]), 1418),
        (format::SWITCH, xdr(&[10, 5, 20, 6])),
        (format::ROUTER, xdr(&[2, 1, 2, 3, 4, 24, 16])),
        (format::GATEWAY, gateway),
        (format::MPLS, xdr(&[0, 1, 16 << 12, 1, 17 << 12])),
        (format::NAT, xdr(&[1, 1, 1, 2])),
        (format::NAT_PORT, xdr(&[3, 4])),
        (format::VLAN_TUNNEL, xdr(&[1, 0x8100_0064])),
        (format::VNI_INGRESS, xdr(&[5000])),
        (format::IPV4, xdr(&[1500, 6, 1, 2, 443, 50000, 0x18, 0xb8])),
        (
            format::IPV6,
            xdr(&[80, 17, 1, 0, 0, 1, 2, 0, 0, 2, 53, 9, 0, 4]),
        ),
        (format::ETHERNET, xdr(&[90, 1, 2, 3, 4, 0x0806])),
        (1013, xdr(&[0, 4, 1])),
    ];
    let mut wide = xdr(&[1, 0, 12, 400, 0, 0, 0, 12, 0, 2, 1]);
    wide.extend(tagged(&[raw(&tcp(&[]), 1414)]));
    datagram(
        9,
        &[
            (1, flow(1, &records)),
            (2, xdr(&[1, 12, 0])),
            (3, wide),
            (99, xdr(&[1])),
        ],
    )
}

#[test]
fn cut_at_every_byte_it_stays_whole() {
    let whole = rich();
    let mut rig = Rig::all();
    assert_eq!(rig.decode(&whole).1.len(), 2);
    for len in 0..whole.len() {
        let before = rig.ledger.dropped_units();
        let (result, records) = rig.decode(&whole[..len]);
        // Where samples stand before the cut, the rest alone is dropped.
        let told = result.is_err() || rig.ledger.dropped_units() > before;
        assert!(told, "{len}");
        assert!(records.len() <= 2);
    }
    assert_eq!(rig.decode(&whole).1.len(), 2);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// One decoder takes whatever comes, and what it holds does not grow.
    #[test]
    fn damaged_datagrams_do_no_harm(
        damages in prop::collection::vec(
            prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6), 1..40),
        noise in prop::collection::vec(any::<u8>(), 0..300),
    ) {
        let mut rig = Rig::all();
        let whole = rich();
        for damage in &damages {
            let mut bytes = whole.clone();
            for (at, value) in damage {
                *at.get_mut(&mut bytes) = *value;
            }
            let claimed = bytes.len() / 8;
            prop_assert!(rig.decode(&bytes).1.len() <= claimed);
        }
        let _ = rig.decode(&noise);
        let _ = rig.decode(&[&whole[..28], &noise[..]].concat());
        for (name, used, max) in rig.decoder.usage() {
            prop_assert!(used <= max, "{name}");
        }
        prop_assert!(rig.decoder.text.capacity() <= Sym::LEN_MAX);
        prop_assert_eq!(rig.decode(&whole).1.len(), 2);
    }

    /// Whatever word is replaced by an extreme number, nothing is read beyond what is there.
    #[test]
    fn extreme_words_do_no_harm(at in 0usize..200, word in prop::sample::select(vec![
        0u32, 1, 2, 3, 4, 0x7fff_ffff, 0x8000_0000, u32::MAX - 3, u32::MAX,
    ])) {
        let mut bytes = rich();
        let at = at * 4 % bytes.len();
        bytes[at..at + 4].copy_from_slice(&word.to_be_bytes());
        let (_, records) = Rig::all().decode(&bytes);
        prop_assert!(records.len() <= bytes.len() / 8);
    }
}
