//! What the targets share. A fuzz input is a sequence: each part has two bytes of length (little
//! end first), one byte that says from whom or on which link, and its bytes. So one input is a
//! whole conversation with a decoder that remembers, not one datagram.

#[path = "../../tests/rig/mod.rs"]
pub mod rig;

use rig::{Rig, Want};
use std::net::{IpAddr, Ipv4Addr};
use weir::agg::full::Full;
use weir::base::time::Nanos;
use weir::decode::Decode;
use weir::record::Field;
use weir::source::{Frame, Link, Peer};

/// The parts of an input: the byte beside each, and its bytes. The last may be cut short.
pub fn parts(input: &[u8]) -> impl Iterator<Item = (u8, &[u8])> {
    let mut rest = input;
    std::iter::from_fn(move || {
        let (head, tail) = rest.split_first_chunk::<3>()?;
        let len = usize::from(u16::from_le_bytes([head[0], head[1]])).min(tail.len());
        let (part, tail) = tail.split_at(len);
        rest = tail;
        Some((head[2], part))
    })
}

/// A part, as [`parts`] reads it.
pub fn part(beside: u8, bytes: &[u8]) -> Vec<u8> {
    let len = u16::try_from(bytes.len()).expect("a part is at most 64 kB");
    [&len.to_le_bytes()[..], &[beside], bytes].concat()
}

/// Aggregations that between them want every field, fill up, and count in every way.
pub fn wants() -> Vec<Want> {
    let small = |full| Want {
        memory: 16 << 10,
        full,
        every: Some(60),
        ..Want::everything()
    };
    vec![
        Want {
            both_ends: true,
            ..Want::by(&[Field::SrcHost])
        },
        small(Full::Flush),
        small(Full::Fold),
        small(Full::Evict),
    ]
}

/// A datagram from one of sixteen exporters.
pub fn datagram(from: u8, bytes: &[u8]) -> Frame<'_> {
    let ip = IpAddr::V4(Ipv4Addr::new(192, 0, 2, from % 16));
    let peer = Peer {
        ip,
        port: 2055,
        iface: 0,
    };
    frame(Link::Datagram, peer, bytes)
}

/// A frame, a minute after the one that `bytes` would have been if shorter: time moves about.
pub fn frame(link: Link, from: Peer, bytes: &[u8]) -> Frame<'_> {
    let seconds = 1_700_000_000 + bytes.len() as u64 * 7;
    let time = Nanos(seconds * 1_000_000_000);
    Frame {
        bytes,
        wire_len: bytes.len() as u32,
        link,
        time,
        from,
    }
}

/// Feeds a conversation of datagrams to a decoder and checks what must hold.
pub fn converse(decode: Decode, input: &[u8]) -> Rig {
    let mut rig = Rig::new(decode, true, &wants());
    rig.feed(
        parts(input)
            .take(64)
            .map(|(from, bytes)| datagram(from, bytes)),
    );
    rig.finish();
    rig
}
