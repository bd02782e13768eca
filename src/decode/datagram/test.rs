//! Datagrams from frames.
#![allow(
    clippy::indexing_slicing,
    clippy::unwrap_used,
    clippy::arithmetic_side_effects
)]

use super::*;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// An IPv4 packet from 192.0.2.`host`.
fn v4(host: u8, id: u8, proto: u8, place: u16, body: &[u8]) -> Vec<u8> {
    let [l, m] = ((20 + body.len()) as u16).to_be_bytes();
    let [f, g] = place.to_be_bytes();
    let head = [
        0x45, 0, l, m, 0, id, f, g, 64, proto, 0, 0, 192, 0, 2, host, 198, 51, 100, 2,
    ];
    [&head[..], body].concat()
}

/// A UDP datagram from port 4096 to port 2055.
fn udp(payload: &[u8]) -> Vec<u8> {
    let [l, m] = ((8 + payload.len()) as u16).to_be_bytes();
    [&[0x10, 0, 8, 7, l, m, 0, 0][..], payload].concat()
}

fn frame(bytes: &[u8], seconds: u64) -> Frame<'_> {
    let wire_len = bytes.len() as u32;
    let time = Nanos::new(seconds, 0);
    Frame {
        bytes,
        wire_len,
        link: Link::Raw,
        time,
        from: Peer::NONE,
    }
}

/// The payload, or nothing; and the ledger.
fn feed(u: &mut Unwrap, ledger: &mut Intake, packet: &[u8], seconds: u64) -> Option<Vec<u8>> {
    let got = u.unwrap(&frame(packet, seconds), ledger)?;
    assert_eq!((got.link, got.from.port), (Link::Datagram, 4096));
    Some(got.bytes.to_vec())
}

#[test]
fn a_whole_datagram() {
    let (mut u, mut l) = (Unwrap::default(), Intake::default());
    let packet = v4(1, 0, 17, 0, &udp(b"export"));
    let got = u.unwrap(&frame(&packet, 9), &mut l).unwrap();
    assert_eq!(
        (got.bytes, got.wire_len, got.time),
        (&b"export"[..], 6, Nanos::new(9, 0))
    );
    assert_eq!(got.from.ip, IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1)));
    // From a socket: as it is.
    let socket = Frame {
        link: Link::Datagram,
        ..frame(b"abc", 1)
    };
    assert_eq!(u.unwrap(&socket, &mut l).unwrap().bytes, b"abc");
    // UDP lengths that lie; padding stays out.
    for length in [[0, 0], [0xff, 0xff], [0, 8]] {
        let mut packet = v4(1, 0, 17, 0, &udp(b"export"));
        packet[24..26].copy_from_slice(&length);
        packet.extend([0; 10]);
        assert_eq!(feed(&mut u, &mut l, &packet, 1).unwrap(), b"export");
    }
    // Cut by the snap length: what is there, and how long it was.
    let cut = Frame {
        bytes: &packet[..31],
        ..frame(&packet, 1)
    };
    let got = u.unwrap(&cut, &mut l).unwrap();
    assert_eq!((got.bytes, got.wire_len), (&b"exp"[..], 6));
    assert_eq!(l.dropped_units(), 0);
}

#[test]
fn what_is_no_datagram_is_counted() {
    let (mut u, mut l) = (Unwrap::default(), Intake::default());
    assert_eq!(feed(&mut u, &mut l, &v4(1, 0, 6, 0, &[0; 20]), 1), None);
    assert_eq!(feed(&mut u, &mut l, &v4(1, 0, 1, 0, &[]), 1), None);
    assert_eq!(l.dropped(Reason::NotExport).units, 2);
    assert_eq!(feed(&mut u, &mut l, &v4(1, 0, 17, 0, &[0; 5]), 1), None);
    assert_eq!(feed(&mut u, &mut l, &[0x45, 0], 1), None);
    assert_eq!(l.dropped(Reason::Truncated).units, 2);
    let mut other = frame(&[0; 60], 1);
    other.link = Link::Other(127);
    assert!(u.unwrap(&other, &mut l).is_none());
    assert_eq!(l.dropped(Reason::LinkType).units, 1);
}

#[test]
fn fragments_come_together_in_any_order() {
    let payload: Vec<u8> = (0..3000u32).map(|n| n as u8).collect();
    let whole = udp(&payload);
    let parts = |host| {
        [
            v4(host, 7, 17, 0x2000, &whole[..1000]),
            v4(host, 7, 17, 0x2000 | 125, &whole[1000..2000]),
            v4(host, 7, 17, 250, &whole[2000..]),
        ]
    };
    for order in [[0, 1, 2], [2, 1, 0], [1, 2, 0], [0, 2, 1]] {
        let (mut u, mut l) = (Unwrap::default(), Intake::default());
        let [p, q] = [parts(1), parts(2)];
        for n in &order[..2] {
            assert_eq!(feed(&mut u, &mut l, &p[*n], 1), None);
            assert_eq!(feed(&mut u, &mut l, &q[*n], 1), None);
            // Twice the same changes nothing.
            assert_eq!(feed(&mut u, &mut l, &p[*n], 1), None);
        }
        assert_eq!(u.usage(), (2, DATAGRAMS_MAX));
        assert_eq!(feed(&mut u, &mut l, &p[order[2]], 1).unwrap(), payload);
        assert_eq!(feed(&mut u, &mut l, &q[order[2]], 1).unwrap(), payload);
        assert_eq!((u.usage().0, l.dropped_units()), (0, 0));
    }
}

#[test]
fn six_fragments_too() {
    let whole = udp(&[9; 100]);
    let part = |place: u16, body: &[u8]| {
        let [l, m] = ((8 + body.len()) as u16).to_be_bytes();
        let [f, g] = place.to_be_bytes();
        let mut packet = vec![0x60, 0, 0, 0, l, m, 44, 64];
        packet.extend(Ipv6Addr::LOCALHOST.octets());
        packet.extend(Ipv6Addr::LOCALHOST.octets());
        packet.extend([17, 0, f, g, 1, 2, 3, 4]);
        packet.extend(body);
        packet
    };
    let (mut u, mut l) = (Unwrap::default(), Intake::default());
    assert_eq!(feed(&mut u, &mut l, &part(64, &whole[64..]), 1), None);
    assert_eq!(
        feed(&mut u, &mut l, &part(1, &whole[..64]), 1).unwrap(),
        [9; 100]
    );
}

#[test]
fn the_bounds_hold() {
    let (mut u, mut l) = (Unwrap::default(), Intake::default());
    for host in 0..100 {
        assert_eq!(
            feed(&mut u, &mut l, &v4(host, 1, 17, 0x2000, &[0; 64]), 1),
            None
        );
    }
    assert_eq!(u.usage(), (16, 16));
    assert_eq!(l.dropped(Reason::Fragment).units, 84);
    assert_eq!(l.dropped(Reason::Fragment).bytes, 84 * 64);
    u.finish(&mut l);
    assert_eq!((u.usage().0, l.dropped(Reason::Fragment).units), (0, 100));
    // Past the end of what a datagram can be, ragged, empty, behind the end.
    let (mut u, mut l) = (Unwrap::default(), Intake::default());
    for (place, body) in [(0x1fff, &[0; 64][..]), (0x2000, &[0; 63]), (1, &[])] {
        assert_eq!(feed(&mut u, &mut l, &v4(1, 1, 17, place, body), 1), None);
    }
    assert_eq!(feed(&mut u, &mut l, &v4(1, 2, 17, 1, &[0; 8]), 1), None);
    assert_eq!(
        feed(&mut u, &mut l, &v4(1, 2, 17, 0x2002, &[0; 8]), 1),
        None
    );
    assert_eq!(l.dropped(Reason::Length).units, 4);
    // The end is told before what came already: no whole datagram is made of holes and of what an
    // earlier one, from elsewhere, left in the buffer.
    let (mut u, mut l) = (Unwrap::default(), Intake::default());
    assert_eq!(
        feed(&mut u, &mut l, &v4(9, 1, 17, 0x2000, &udp(&[7; 72])), 1),
        None
    );
    let other = feed(&mut u, &mut l, &v4(9, 1, 17, 10, &[7; 8]), 1);
    assert_eq!(other.unwrap(), [7; 72]);
    for (place, body) in [(0x2000 | 125, &[0; 80][..]), (9, &[0; 8])] {
        assert_eq!(feed(&mut u, &mut l, &v4(1, 1, 17, place, body), 1), None);
    }
    assert_eq!(l.dropped(Reason::Length).units, 1);
    // A fragment that the capture cut short can not be used.
    let packet = v4(1, 3, 17, 0x2000, &[0; 64]);
    let cut = Frame {
        bytes: &packet[..60],
        ..frame(&packet, 1)
    };
    assert!(u.unwrap(&cut, &mut l).is_none());
    assert_eq!(l.dropped(Reason::Fragment).units, 1);
    // Half of one, and the rest much too late.
    let (mut u, mut l) = (Unwrap::default(), Intake::default());
    assert_eq!(
        feed(&mut u, &mut l, &v4(1, 1, 17, 0x2000, &udp(&[0; 56])), 1),
        None
    );
    assert_eq!(feed(&mut u, &mut l, &v4(1, 1, 17, 8, &[0; 8]), 100), None);
}
