//! [`FragmentTable`]: ports of a first fragment, carried to the later ones.
//!
//! Allocated once, never grown. Not for putting datagrams together: see
//! [`datagram`](super::datagram).

use crate::base::addr::Ip;
use crate::base::time::{Nanos, SECOND};
use crate::wire::packet::IpLayer;
use std::hash::BuildHasher;

/// How long a fragmented packet is followed, by the time of its frames.
pub const LIFETIME: u64 = 30 * SECOND;

/// Entries that one key may be kept in.
const WAYS: usize = 8;

/// What the fragments of one packet have in common.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Key {
    src: Ip,
    dst: Ip,
    id: u32,
    /// Protocol for IPv4 (RFC 791 §2.3); zero for IPv6, where later fragments may state another
    /// one than the first (RFC 8200 §4.5).
    proto: u8,
    version: u8,
}

impl Key {
    /// The key of a fragment.
    pub(super) fn of(ip: &IpLayer, id: u32) -> Self {
        let proto = if ip.version == 4 { ip.proto } else { 0 };
        Self {
            src: ip.src,
            dst: ip.dst,
            id,
            proto,
            version: ip.version,
        }
    }
}

/// A fragmented packet that is followed.
#[derive(Clone, Copy)]
pub struct Entry {
    key: Key,
    ports: (u16, u16),
    proto: u8,
    /// When the first fragment came; nothing for a free entry.
    seen: Option<Nanos>,
}

/// First fragments of the last seconds.
pub struct FragmentTable {
    entries: Box<[Entry]>,
    // Fixed, so that the same input gives the same output. Whoever aims at one set of entries
    // costs others their ports, no more than with any flood of fragments.
    seed: foldhash::fast::FixedState,
}

impl FragmentTable {
    /// A table of at the most `entries` packets; none turns it off.
    pub fn new(entries: usize) -> Self {
        let ip = Ip([0; 16]);
        let key = Key {
            src: ip,
            dst: ip,
            id: 0,
            proto: 0,
            version: 0,
        };
        let free = Entry {
            key,
            ports: (0, 0),
            proto: 0,
            seen: None,
        };
        Self {
            entries: vec![free; entries].into(),
            seed: foldhash::fast::FixedState::with_seed(0x6672_6167),
        }
    }

    /// Remembers the ports of a first fragment, or gives them to a later one; those whose first
    /// has not come yet stay without. True when another packet had to be forgotten for this one.
    pub fn join(&mut self, ip: &mut IpLayer, now: Nanos) -> bool {
        let Some(fragment) = ip.fragment else {
            return false;
        };
        let key = Key::of(ip, fragment.id);
        let set = self.set(&key);
        let live = |e: &Entry| e.seen.is_some_and(|t| !is_over(t, now));
        if fragment.offset != 0 {
            if let Some(e) = set.iter().find(|e| live(e) && e.key == key) {
                ip.ports = Some(e.ports);
                ip.proto = e.proto;
            }
            return false;
        }
        let (Some(ports), 6 | 17) = (ip.ports, ip.proto) else {
            return false;
        };
        let entry = Entry {
            key,
            ports,
            proto: ip.proto,
            seen: Some(now),
        };
        // Its own place, else a free one, else that of the oldest.
        let rank = |e: &Entry| match e.seen {
            Some(_) if e.key == key => 0,
            Some(t) if !is_over(t, now) => t.0.max(2),
            _ => 1,
        };
        let Some(place) = set.iter_mut().min_by_key(|e| rank(e)) else {
            return false;
        };
        let forgotten = live(place) && place.key != key;
        *place = entry;
        forgotten
    }

    /// Entries in use, and entries there are.
    pub fn usage(&self) -> (usize, usize) {
        (
            self.entries.iter().filter(|e| e.seen.is_some()).count(),
            self.entries.len(),
        )
    }

    /// The entries that `key` may be in.
    fn set(&mut self, key: &Key) -> &mut [Entry] {
        let ways = WAYS.min(self.entries.len());
        let Some(sets) = self.entries.len().checked_div(ways) else {
            return &mut [];
        };
        let hash = usize::try_from(self.seed.hash_one(key) >> 40).unwrap_or(0);
        let at = hash.checked_rem(sets).unwrap_or(0).saturating_mul(ways);
        self.entries
            .get_mut(at..at.saturating_add(ways))
            .unwrap_or_default()
    }
}

/// Whether something seen at `then` is too old now. A clock that jumps back ends it too.
pub(super) fn is_over(then: Nanos, now: Nanos) -> bool {
    then.0.abs_diff(now.0) > LIFETIME
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::arithmetic_side_effects)]
    use super::*;
    use crate::wire::packet::{Start, parse};

    /// A fragment of UDP 5353 → 53 between two hosts.
    fn fragment(host: u8, id: u16, place: u16) -> IpLayer {
        let [a, b] = id.to_be_bytes();
        let [c, d] = place.to_be_bytes();
        let head = [
            0x45, 0, 0, 28, a, b, c, d, 64, 17, 0, 0, 10, 0, 0, host, 10, 0, 0, 2,
        ];
        let frame = [&head[..], &[0x14, 0xe9, 0, 53, 0, 99, 0, 0]].concat();
        parse(Start::Ip, &frame, 28, false).unwrap().ip.unwrap()
    }

    const FIRST: u16 = 0x2000;
    const LATER: u16 = 0x0001;

    fn at(seconds: u64) -> Nanos {
        Nanos::new(seconds, 0)
    }

    #[test]
    fn later_fragments_get_the_ports_of_their_first() {
        let mut t = FragmentTable::new(64);
        let mut late = fragment(1, 7, LATER);
        assert!(!t.join(&mut late, at(100)));
        assert_eq!(late.ports, None);
        assert!(!t.join(&mut fragment(1, 7, FIRST), at(100)));
        for (host, id, when, want) in [
            (1, 7, 101, Some((5353, 53))),
            (1, 7, 130, Some((5353, 53))),
            (1, 8, 101, None),
            (2, 7, 101, None),
            (1, 7, 131, None),
            (1, 7, 60, None),
        ] {
            let mut later = fragment(host, id, LATER);
            t.join(&mut later, at(when));
            assert_eq!(later.ports, want, "{host} {id} {when}");
        }
        assert_eq!(t.usage(), (1, 64));
    }

    #[test]
    fn a_flood_forgets_the_oldest_and_says_so() {
        let mut t = FragmentTable::new(8);
        for id in 0..8 {
            assert!(!t.join(&mut fragment(1, id, FIRST), at(100 + u64::from(id))));
        }
        // The same packet again takes its own place.
        assert!(!t.join(&mut fragment(1, 3, FIRST), at(108)));
        assert!(t.join(&mut fragment(1, 8, FIRST), at(109)));
        let ports = |t: &mut FragmentTable, id| {
            let mut later = fragment(1, id, LATER);
            t.join(&mut later, at(110));
            later.ports
        };
        assert_eq!(ports(&mut t, 0), None);
        assert_eq!(ports(&mut t, 1), Some((5353, 53)));
        assert_eq!(ports(&mut t, 8), Some((5353, 53)));
        // When all are too old there is room again.
        assert!(!t.join(&mut fragment(1, 9, FIRST), at(200)));
        assert_eq!(t.usage(), (8, 8));
    }

    #[test]
    fn any_size_works() {
        for entries in [0, 1, 7, 9, 100] {
            let mut t = FragmentTable::new(entries);
            for id in 0..1000 {
                t.join(&mut fragment(1, id, FIRST), at(1));
            }
            let mut later = fragment(1, 999, LATER);
            t.join(&mut later, at(1));
            assert_eq!(later.ports.is_some(), entries > 0);
        }
    }
}
