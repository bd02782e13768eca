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
use crate::record::{Batch, FIELDS};
use crate::source::Peer;

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
        Self {
            decoder: PacketDecoder::new(&Setup::new(wanted)),
            batch: Batch::new(wanted),
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
