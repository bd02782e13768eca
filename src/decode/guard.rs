//! [`Guard`]: a bounded map for keys that strangers choose.
//!
//! Senders of datagrams can be spoofed, so a flood of new keys must neither grow the map nor
//! push out what is in use. Entries that were used since they came are *kept*; a newcomer takes
//! the place of one that was never used, or of a kept one that has been idle for long. At the
//! most three quarters are kept, so there always is room to hear a newcomer. Not for data that
//! must never be lost.

use crate::base::time::{Nanos, SECOND};
use foldhash::fast::RandomState;
use hashbrown::HashTable;
use std::hash::{BuildHasher, Hash};

/// A kept entry may be replaced when it has not been used for this long, in frame time.
const IDLE: u64 = 1800 * SECOND;
/// Kept entries looked at to find one that has been idle.
const LOOK: usize = 64;

struct Slot<K, V> {
    key: K,
    value: V,
    last: Nanos,
    /// Its place among the unkept ones, if it is one of them.
    spare: Option<u32>,
}

/// What an insertion did to the others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Placed {
    /// There was room, or the key was there already.
    Room,
    /// Another entry had to go.
    Evicted,
    /// No entry may go: the newcomer was refused.
    Refused,
}

/// A bounded map; see the module.
pub struct Guard<K, V> {
    index: HashTable<u32>,
    slots: Vec<Option<Slot<K, V>>>,
    free: Vec<u32>,
    /// Where the entries are that are not kept: a newcomer finds one of them at once, wherever
    /// the kept ones lie.
    spare: Vec<u32>,
    max: usize,
    hand: usize,
    turn: usize,
    seed: RandomState,
}

impl<K: Copy + Eq + Hash, V> Guard<K, V> {
    /// A map of at the most `max` entries.
    pub fn new(max: usize) -> Self {
        Self {
            index: HashTable::with_capacity(max),
            slots: Vec::with_capacity(max),
            free: Vec::new(),
            spare: Vec::with_capacity(max),
            max: max.max(4),
            hand: 0,
            turn: 0,
            seed: RandomState::default(),
        }
    }

    /// Bytes that a map of at the most `max` entries takes, what values point to aside: an
    /// entry, its place among the free and the unkept ones, and up to twice five bytes of index.
    pub const fn memory(max: usize) -> usize {
        max.saturating_mul(size_of::<Option<Slot<K, V>>>().saturating_add(18))
    }

    /// Entries held.
    pub fn len(&self) -> usize {
        self.index.len()
    }

    /// Whether it holds none.
    pub fn is_empty(&self) -> bool {
        self.index.is_empty()
    }

    /// Entries it may hold.
    pub fn max(&self) -> usize {
        self.max
    }

    /// Where `key` is.
    #[inline]
    pub fn find(&self, key: &K) -> Option<usize> {
        let slots = &self.slots;
        let hash = self.seed.hash_one(key);
        self.index
            .find(hash, |at| key_at(slots, *at) == Some(key))
            .map(|at| *at as usize)
    }

    /// The value at a place that [`find`](Self::find) gave.
    #[inline]
    pub fn get(&self, at: usize) -> Option<&V> {
        self.slots.get(at)?.as_ref().map(|s| &s.value)
    }

    /// The value at a place, to be changed.
    #[inline]
    pub fn get_mut(&mut self, at: usize) -> Option<&mut V> {
        self.slots.get_mut(at)?.as_mut().map(|s| &mut s.value)
    }

    /// The value of `key`.
    #[inline]
    pub fn lookup(&self, key: &K) -> Option<&V> {
        self.get(self.find(key)?)
    }

    /// Marks an entry as used at `now`; from then on it is kept, where the quota allows.
    #[inline]
    pub fn touch(&mut self, at: usize, now: Nanos) {
        let Some(Some(slot)) = self.slots.get_mut(at) else {
            return;
        };
        slot.last = now;
        if slot.spare.is_some() {
            self.keep(at, now);
        }
    }

    fn keep(&mut self, at: usize, now: Nanos) {
        let quota = self.max.saturating_sub((self.max >> 2).max(1));
        if self.len().saturating_sub(self.spare.len()) >= quota {
            let Some(other) = self.look(|slot| slot.spare.is_none() && idle(slot.last, now)) else {
                return;
            };
            self.spare(other);
        }
        self.unspare(at);
    }

    /// Enters an entry among the unkept ones.
    fn spare(&mut self, at: usize) {
        if let Some(Some(slot)) = self.slots.get_mut(at) {
            slot.spare = Some(self.spare.len() as u32);
            self.spare.push(at as u32);
        }
    }

    /// Takes an entry from among the unkept ones; the last of them gets its place.
    fn unspare(&mut self, at: usize) {
        let Some(Some(slot)) = self.slots.get_mut(at) else {
            return;
        };
        let Some(place) = slot.spare.take() else {
            return;
        };
        let last = self.spare.pop();
        let (Some(hole), Some(last)) = (self.spare.get_mut(place as usize), last) else {
            return;
        };
        *hole = last;
        if let Some(Some(moved)) = self.slots.get_mut(last as usize) {
            moved.spare = Some(place);
        }
    }

    /// Looks at some entries, going round, for one that `may`.
    fn look(&mut self, may: impl Fn(&Slot<K, V>) -> bool) -> Option<usize> {
        for _ in 0..self.slots.len().min(LOOK) {
            self.hand = self.hand.wrapping_add(1);
            if self.hand >= self.slots.len() {
                self.hand = 0;
            }
            if let Some(Some(slot)) = self.slots.get(self.hand)
                && may(slot)
            {
                return Some(self.hand);
            }
        }
        None
    }

    /// Stores `value` under `key`, replacing what was there.
    pub fn insert(&mut self, key: K, value: V, now: Nanos) -> Placed {
        if let Some(at) = self.find(&key) {
            if let Some(Some(slot)) = self.slots.get_mut(at) {
                slot.value = value;
            }
            return Placed::Room;
        }
        let mut placed = Placed::Room;
        if self.index.len() >= self.max {
            if self.evict(now).is_none() {
                return Placed::Refused;
            }
            placed = Placed::Evicted;
        }
        let slot = Some(Slot {
            key,
            value,
            last: now,
            spare: None,
        });
        let at = match self.free.pop() {
            Some(at) => at,
            None => {
                self.slots.push(None);
                self.slots.len().saturating_sub(1) as u32
            }
        };
        if let Some(place) = self.slots.get_mut(at as usize) {
            *place = slot;
        }
        self.spare(at as usize);
        let (slots, seed) = (&self.slots, &self.seed);
        self.index.insert_unique(seed.hash_one(key), at, |at| {
            key_at(slots, *at).map_or(0, |key| seed.hash_one(key))
        });
        placed
    }

    /// Makes room by one entry, which it gives back; nothing when none may go.
    pub fn evict(&mut self, now: Nanos) -> Option<V> {
        self.turn = self.turn.wrapping_add(1);
        let turn = self.turn.checked_rem(self.spare.len());
        let victim = turn
            .and_then(|turn| self.spare.get(turn))
            .map(|at| *at as usize);
        let victim = victim.or_else(|| self.look(|slot| idle(slot.last, now)));
        self.take(victim?)
    }

    /// Forgets `key`.
    pub fn remove(&mut self, key: &K) -> Option<V> {
        let at = self.find(key)?;
        self.take(at)
    }

    fn take(&mut self, at: usize) -> Option<V> {
        self.unspare(at);
        let slot = self.slots.get_mut(at)?.take()?;
        let hash = self.seed.hash_one(slot.key);
        if let Ok(entry) = self.index.find_entry(hash, |other| *other as usize == at) {
            entry.remove();
        }
        self.free.push(at as u32);
        Some(slot.value)
    }

    /// All entries, in the order of their places.
    pub fn iter(&self) -> impl Iterator<Item = (&K, &V)> {
        self.slots.iter().flatten().map(|s| (&s.key, &s.value))
    }
}

fn idle(last: Nanos, now: Nanos) -> bool {
    now.0.saturating_sub(last.0) >= IDLE
}

fn key_at<K, V>(slots: &[Option<Slot<K, V>>], at: u32) -> Option<&K> {
    slots.get(at as usize)?.as_ref().map(|s| &s.key)
}

#[cfg(test)]
#[allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects
)]
mod tests {
    use super::*;

    #[test]
    fn it_is_a_map() {
        let mut g = Guard::new(8);
        assert_eq!(g.insert(1, "a", Nanos(1)), Placed::Room);
        assert_eq!(g.insert(1, "b", Nanos(1)), Placed::Room);
        assert_eq!((g.len(), g.lookup(&1), g.lookup(&2)), (1, Some(&"b"), None));
        assert_eq!(g.remove(&1), Some("b"));
        assert_eq!((g.len(), g.remove(&1)), (0, None));
        g.insert(3, "c", Nanos(1));
        g.insert(4, "d", Nanos(1));
        assert_eq!(g.iter().map(|(k, _)| *k).collect::<Vec<_>>(), [3, 4]);
    }

    #[test]
    fn a_flood_does_not_push_out_what_is_in_use() {
        // As many in use as may be kept, and far more than are looked at for an idle one.
        for in_use in [50u64, 300] {
            let mut g = Guard::new(400);
            for key in 0..in_use {
                g.insert(key, key, Nanos(0));
                let at = g.find(&key).unwrap();
                g.touch(at, Nanos(0));
            }
            for key in 1000..50_000u64 {
                let placed = g.insert(key, key, Nanos(SECOND));
                assert_ne!(placed, Placed::Refused);
                assert!(g.len() <= 400);
                let at = g.find(&key).unwrap(); // a newcomer is heard
                g.touch(at, Nanos(SECOND));
            }
            for key in 0..in_use {
                assert_eq!(g.lookup(&key), Some(&key));
            }
        }
    }

    #[test]
    fn idle_ones_make_room_for_new_ones_in_use() {
        let mut g = Guard::new(8);
        for key in 0..8u64 {
            g.insert(key, key, Nanos(0));
            let at = g.find(&key).unwrap();
            g.touch(at, Nanos(0));
        }
        assert_eq!(g.len() - g.spare.len(), 6);
        for key in 100..108u64 {
            g.insert(key, key, Nanos(IDLE));
            let at = g.find(&key).unwrap();
            g.touch(at, Nanos(IDLE));
        }
        assert!(
            g.iter().filter(|(k, _)| **k >= 100).count() >= 6,
            "the old ones went"
        );
    }
}
