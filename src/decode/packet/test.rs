//! Records from frames.
#![allow(
    clippy::indexing_slicing,
    clippy::unwrap_used,
    clippy::arithmetic_side_effects
)]

use super::*;
use crate::base::addr::{Ip, Mac};
use crate::base::intern::{Interner, SymCache};
use crate::base::ledger::Intake;
use crate::base::time::Nanos;
use crate::record::custom::{Layer, Pointer, Shape};
use crate::record::{Batch, Custom, Customs, FIELDS, Form};
use crate::source::Peer;
use std::sync::Arc;

const ETHERNET: [u8; 12] = [2, 0, 0, 0, 0, 0xd, 2, 0, 0, 0, 0, 5];

/// 192.0.2.1 → 198.51.100.2, ToS 0xb8, id 7.
fn v4(proto: u8, place: u16, body: &[u8]) -> Vec<u8> {
    let [l, m] = ((20 + body.len()) as u16).to_be_bytes();
    let [f, g] = place.to_be_bytes();
    let head = [
        0x45, 0xb8, l, m, 0, 7, f, g, 64, proto, 0, 0, 192, 0, 2, 1, 198, 51, 100, 2,
    ];
    [&head[..], body].concat()
}

fn tcp() -> Vec<u8> {
    v4(
        6,
        0,
        &[
            0x30, 0x39, 1, 0xbb, 0, 0, 0, 1, 0, 0, 0, 2, 0x50, 0x12, 1, 0, 0, 0, 0, 0,
        ],
    )
}

fn ethernet(tail: &[&[u8]]) -> Vec<u8> {
    [&ETHERNET, &tail.concat()[..]].concat()
}

fn frame(bytes: &[u8], link: Link) -> Frame<'_> {
    Frame {
        bytes,
        wire_len: bytes.len() as u32,
        link,
        time: Nanos(1_700_000_000_123_456_789),
        from: Peer {
            iface: 3,
            ..Peer::NONE
        },
    }
}

struct Bench {
    decoder: PacketDecoder,
    batch: Batch,
    ledger: Intake,
    symbols: Interner,
    cache: SymCache,
}

impl Bench {
    fn new(wanted: FieldSet) -> Self {
        Self::with(&Setup::new(wanted))
    }

    fn with(setup: &Setup) -> Self {
        Self {
            decoder: PacketDecoder::new(setup),
            batch: Batch::new(setup.wanted),
            ledger: Intake::default(),
            symbols: Interner::new(4096),
            cache: SymCache::default(),
        }
    }

    fn decode(&mut self, frame: &Frame<'_>) -> Result<(), wire::Error> {
        let mut run = |b: &mut Batch, _: &mut Intake| b.clear();
        let mut out = Emit::new(
            &mut self.batch,
            &mut run,
            &mut self.ledger,
            &self.symbols,
            &mut self.cache,
        );
        out.time = frame.time;
        self.decoder.decode(frame, &mut out)
    }

    /// The only record made of this frame.
    fn one(&mut self, bytes: &[u8], link: Link) -> FlowRecord {
        self.batch.clear();
        self.decode(&frame(bytes, link)).unwrap();
        assert_eq!(self.batch.records().len(), 1);
        self.batch.records()[0]
    }
}

fn everything() -> FieldSet {
    FIELDS.iter().map(|i| i.field).collect()
}

#[test]
fn a_plain_packet() {
    let mut b = Bench::new(everything());
    let r = b.one(&ethernet(&[&[8, 0], &tcp(), &[0; 6]]), Link::Ethernet);
    assert_eq!(
        (r.src_host(), r.dst_host()),
        (Ip::v4([192, 0, 2, 1]), Ip::v4([198, 51, 100, 2]))
    );
    assert_eq!(
        (r.src_port(), r.dst_port(), r.proto(), r.tos()),
        (12345, 443, 6, 0xb8)
    );
    assert_eq!((r.tcp_flags(), r.etype(), r.in_iface()), (0x12, 0x800, 3));
    assert_eq!(r.src_mac(), Mac([2, 0, 0, 0, 0, 5]));
    assert_eq!(r.dst_mac(), Mac([2, 0, 0, 0, 0, 0xd]));
    assert_eq!((r.packets, r.bytes, r.flows), (1, 40, 0));
    let t = Nanos(1_700_000_000_123_456_789);
    assert_eq!((r.time, r.timestamp_start(), r.timestamp_end()), (t, t, t));
    assert_eq!((r.timestamp_arrival(), r.timestamp_min()), (t, t));
    let absent = [
        Field::Vlan,
        Field::Vxlan,
        Field::TunnelSrcHost,
        Field::MplsLabelTop,
    ];
    assert!(!r.present.any(FieldSet::of(&absent)));
}

#[test]
fn what_nobody_wants_is_not_there() {
    let mut b = Bench::new(FieldSet::of(&[Field::SrcHost]));
    let r = b.one(&ethernet(&[&[8, 0], &tcp()]), Link::Ethernet);
    let not = [
        Field::SrcPort,
        Field::TcpFlags,
        Field::SrcMac,
        Field::InIface,
        Field::Etype,
    ];
    assert!(r.present.has(Field::SrcHost) && !r.present.any(FieldSet::of(&not)));
}

#[test]
fn only_tcp_and_udp_have_ports() {
    let mut b = Bench::new(everything());
    let body = [0x14, 0xe9, 0, 53, 0, 12, 0, 0, 0, 0, 0, 0];
    for (proto, ports) in [(17, (5353, 53)), (132, (0, 0)), (136, (0, 0)), (1, (0, 0))] {
        let r = b.one(&v4(proto, 0, &body), Link::Raw);
        assert_eq!((r.src_port(), r.dst_port()), ports, "{proto}");
        assert_eq!(r.present.has(Field::SrcPort), proto == 17);
    }
}

#[test]
fn labels_tags_and_tunnels() {
    let mut b = Bench::new(everything());
    let head = [
        0x81, 0, 0x60, 100, 0x81, 0, 0, 7, 0x88, 0x47, 0, 6, 0x40, 64, 0, 1, 0x81, 64,
    ];
    let r = b.one(&ethernet(&[&head, &tcp()]), Link::Ethernet);
    assert_eq!(
        (r.vlan(), r.in_vlan(), r.in_cvlan(), r.cos()),
        (100, 100, 7, 3)
    );
    assert_eq!((r.mpls_label_top(), r.mpls_label_bottom()), (100, 24));
    let mut text = Vec::new();
    b.symbols.read(r.mpls_label_stack(), &mut text);
    assert_eq!(text, b"100_24");

    let inner = ethernet(&[&[8, 0], &tcp()]);
    let vxlan = [
        0xc0, 0, 0x12, 0xb5, 0, 0, 0, 0, 8, 0, 0, 0, 0, 0x12, 0x34, 0,
    ];
    let r = b.one(&v4(17, 0, &[&vxlan[..], &inner].concat()), Link::Raw);
    assert_eq!((r.dst_port(), r.vxlan(), r.proto()), (4789, 0x1234, 17));
    assert_eq!(
        (r.tunnel_proto(), r.tunnel_tos(), r.tunnel_tcp_flags()),
        (6, 0xb8, 0x12)
    );
    assert_eq!((r.tunnel_src_port(), r.tunnel_dst_port()), (12345, 443));
    assert_eq!(r.tunnel_src_host(), Ip::v4([192, 0, 2, 1]));
    assert_eq!(r.tunnel_src_mac(), Mac([2, 0, 0, 0, 0, 5]));
    let nvgre = [0x20, 0, 0x65, 0x58, 0, 0, 9, 0];
    let r = b.one(&v4(47, 0, &[&nvgre[..], &inner].concat()), Link::Raw);
    assert_eq!((r.nvgre(), r.vxlan(), r.tunnel_dst_port()), (9, 0, 443));
}

#[test]
fn ports_reach_later_fragments() {
    let mut b = Bench::new(FieldSet::of(&[Field::SrcPort]));
    let first = v4(17, 0x2000, &[0x14, 0xe9, 0, 53, 0, 99, 0, 0]);
    let later = v4(17, 0x0001, &[0; 30]);
    assert!(!b.one(&later, Link::Raw).present.has(Field::SrcPort));
    assert_eq!(b.one(&first, Link::Raw).src_port(), 5353);
    let r = b.one(&later, Link::Raw);
    assert_eq!((r.src_port(), r.dst_port(), r.bytes), (5353, 53, 50));
    assert_eq!(b.decoder.usage(), [("fragments", 1, 256)]);
}

#[test]
fn what_is_not_ip_is_counted_or_kept() {
    let arp = ethernet(&[&[8, 6], &[0; 46]]);
    let mut b = Bench::new(FieldSet::of(&[Field::SrcHost, Field::Vlan]));
    b.decode(&frame(&arp, Link::Ethernet)).unwrap();
    b.decode(&frame(&arp, Link::Other(127))).unwrap();
    assert!(b.batch.is_empty());
    assert_eq!(b.ledger.dropped(Reason::NotIp).units, 1);
    assert_eq!(b.ledger.dropped(Reason::NotIp).bytes, 60);
    assert_eq!(b.ledger.dropped(Reason::LinkType).units, 1);
    assert_eq!(
        b.decode(&frame(&arp[..9], Link::Ethernet)),
        Err(wire::Error::Truncated)
    );
    let mut b = Bench::new(FieldSet::of(&[Field::Etype, Field::SrcHost]));
    let r = b.one(&arp, Link::Ethernet);
    assert_eq!(
        (r.etype(), r.present.has(Field::SrcHost), r.bytes),
        (0x806, false, 46)
    );
}

/// Primitives at these places, three bytes in hex each, of the usual layers.
fn pointed(places: &[(Layer, Option<u16>, u16)]) -> (Setup, Vec<Field>) {
    let customs = places
        .iter()
        .enumerate()
        .map(|(n, (layer, proto, offset))| Custom {
            name: format!("p{n}"),
            shape: Shape::Raw,
            form: Form::ShortRaw(3),
            length: Some(3),
            element: None,
            options: false,
            pointers: vec![Pointer {
                layer: *layer,
                proto: *proto,
                offset: *offset,
            }],
            field: Field::custom(n).unwrap(),
        });
    let customs: Vec<Custom> = customs.collect();
    let fields: Vec<Field> = customs.iter().map(|c| c.field).collect();
    let setup = Setup {
        customs: Arc::new(Customs::new(customs)),
        ..Setup::new(fields.iter().copied().chain([Field::SrcPort]).collect())
    };
    (setup, fields)
}

/// Three bytes of a primitive, or nothing.
fn three(record: &FlowRecord, field: Field) -> Option<[u8; 3]> {
    let at = field.info().offset;
    let word = u64::from_ne_bytes(record.bytes_at(at, 8).try_into().unwrap());
    let [a, b, c, ..] = word.to_be_bytes();
    record.present.has(field).then_some([a, b, c])
}

#[test]
fn primitives_of_the_configuration_lie_in_layers() {
    use Layer::*;
    let (setup, fields) = pointed(&[
        (Packet, None, 0),
        (Mac, None, 6),
        (Vlan, None, 0),
        (Mpls, None, 0),
        (L3, None, 8),
        (L3, Some(0x86dd), 8),
        (L4, None, 13),
        (L4, Some(17), 4),
        (Payload, Some(6), 0),
        (L3, Some(0x800), 38),
    ]);
    let mut b = Bench::with(&setup);
    let values = |r: &FlowRecord| fields.iter().map(|f| three(r, *f)).collect::<Vec<_>>();
    let body = [&tcp()[..], b"weir"].concat();
    let mut body = body;
    body[3] = 44;
    let labelled: &[&[u8]] = &[&[0x88, 0x47, 0, 6, 0x41, 64], &body];
    let tagged: &[&[u8]] = &[&[0x81, 0, 0x20, 7, 8, 0], &body];
    let r = b.one(&ethernet(tagged), Link::Ethernet);
    assert_eq!(r.src_port(), 12345);
    let some = |bytes: &[u8; 3]| Some(*bytes);
    assert_eq!(
        values(&r),
        [
            some(&[2, 0, 0]),
            some(&[2, 0, 0]),
            some(&[0x20, 7, 8]),
            None,
            some(&[64, 6, 0]),
            None,
            some(&[0x12, 1, 0]),
            None,
            some(b"wei"),
            some(&[0, 0, b'w']),
        ]
    );
    let r = b.one(&ethernet(labelled), Link::Ethernet);
    let got = values(&r);
    assert_eq!(
        (got[2], got[3], got[4]),
        (None, some(&[0, 6, 0x41]), some(&[64, 6, 0]))
    );
    // Without Ethernet there is no MAC header; a later fragment has no transport header.
    let r = b.one(&v4(17, 0, &[0, 53, 0, 53, 0, 8, 9, 9]), Link::Raw);
    let got = values(&r);
    assert_eq!((got[1], got[7]), (None, some(&[0, 8, 9])));
    let r = b.one(&v4(17, 1, &[0, 53, 0, 53, 0, 8, 9, 9]), Link::Raw);
    let got = values(&r);
    assert_eq!(
        (got[4], got[6], got[7], got[8]),
        (some(&[64, 17, 0]), None, None, None)
    );
    // Link padding is none of the packet's bytes.
    let mut padded = ethernet(&[&[8, 0], &tcp(), &[7; 6]]);
    padded[14 + 3] = 40;
    assert_eq!(values(&b.one(&padded, Link::Ethernet))[9], None);
}

#[test]
fn texts_in_packets_end_with_a_zero_or_the_packet() {
    let (mut setup, _) = pointed(&[]);
    let host = Custom {
        name: "host".into(),
        shape: Shape::Text,
        form: Form::Text,
        length: None,
        element: None,
        options: false,
        pointers: vec![Pointer {
            layer: Layer::Payload,
            proto: None,
            offset: 1,
        }],
        field: Field::Custom0,
    };
    setup.wanted.insert(Field::Custom0);
    setup.customs = Arc::new(Customs::new(vec![host]));
    let mut b = Bench::with(&setup);
    for (payload, want) in [(&b"xweir\0y"[..], "weir"), (b"xweir", "weir"), (b"x", "")] {
        let udp = [&[0, 53, 0, 53, 0, 8, 0, 0], payload].concat();
        let r = b.one(&ethernet(&[&[8, 0], &v4(17, 0, &udp)]), Link::Ethernet);
        let mut text = Vec::new();
        b.symbols.read(Sym(r.custom_0() as u32), &mut text);
        assert_eq!(text, want.as_bytes());
    }
}

proptest::proptest! {
    #[test]
    fn places_never_lead_out_of_a_frame(
        bytes in proptest::collection::vec(proptest::prelude::any::<u8>(), 0..120),
        offset in 0u16..130,
        plain: bool,
    ) {
        use Layer::*;
        let all = [Packet, Mac, Vlan, Mpls, L3, L4, Payload];
        let places: Vec<_> = all.iter().map(|layer| (*layer, None, offset)).collect();
        let (setup, _) = pointed(&places);
        let mut b = Bench::with(&setup);
        let frame_bytes = if plain { ethernet(&[&[8, 0], &tcp(), &bytes]) } else { bytes };
        for link in [Link::Ethernet, Link::Raw, Link::LinuxSll] {
            let _ = b.decode(&frame(&frame_bytes, link));
        }
    }
}
