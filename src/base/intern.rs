//! Bounded store of byte strings: equal content has an equal [`Sym`].
//!
//! Names, label stacks and paths never enter a record; their symbol does, four bytes that may be
//! part of a key. Not for anything that must be forgotten: symbols live as long as the store.

use foldhash::fast::RandomState;
use hashbrown::HashTable;
use std::hash::BuildHasher;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// A byte string's number.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Sym(pub u32);

impl Sym {
    /// The empty string, also what is absent.
    pub const EMPTY: Self = Self(0);
    /// Stands for every string that found no room; shown as `…`.
    pub const OVERFLOW: Self = Self(1);
    /// Longest string that is stored, in bytes; a longer one is cut there.
    pub const LEN_MAX: usize = 1024;
}

struct Inner {
    arena: Vec<u8>,
    ends: Vec<u32>,
    index: HashTable<u32>,
}

/// The store: all memory is taken from a budget in bytes, and when it is used up new strings
/// become [`Sym::OVERFLOW`], counted.
pub struct Interner {
    inner: Mutex<Inner>,
    budget: usize,
    /// Texts that found no room, each time they came.
    overflows: AtomicUsize,
    /// Senders choose the texts: what collides must not be known before. Symbols do not depend
    /// on it.
    seed: RandomState,
}

impl std::fmt::Debug for Interner {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Interner")
            .field("budget", &self.budget)
            .finish_non_exhaustive()
    }
}

impl Inner {
    /// Bytes taken, with what is reserved and not used yet.
    fn taken(&self) -> usize {
        let ends = self.ends.capacity() * size_of::<u32>();
        self.arena.capacity() + ends + self.index.allocation_size()
    }

    /// Makes room for one more text of `len` bytes within `budget`; whether there is.
    fn reserve(&mut self, len: usize, budget: usize, seed: &RandomState) -> bool {
        let taken = self.taken();
        if !grow(&mut self.arena, len, budget, taken) {
            return false;
        }
        let taken = self.taken();
        if !grow(&mut self.ends, 1, budget, taken) {
            return false;
        }
        if self.index.len() < self.index.capacity() {
            return true;
        }
        // It doubles, and while it does so the old one is there as well.
        let next = 2 * self.index.allocation_size() + INDEX_LEAST;
        let (arena, ends) = (&self.arena, &self.ends);
        let hash = |n: &u32| seed.hash_one(text(arena, ends, *n));
        next <= budget.saturating_sub(self.taken()) && self.index.try_reserve(1, hash).is_ok()
    }
}

/// Bytes beside its slots that an index may take, or all of its first allocation.
const INDEX_LEAST: usize = 64;

/// Most bytes by which a small store grows; a large one grows by an eighth.
const STEP: usize = 4096;

/// Makes room for `more` elements, in steps that never lead beyond `budget`, of which `taken` is
/// in use; whether there is.
fn grow<T>(of: &mut Vec<T>, more: usize, budget: usize, taken: usize) -> bool {
    let spare = of.capacity() - of.len();
    let Some(need) = more.checked_sub(spare).filter(|need| *need > 0) else {
        return true;
    };
    let left = budget.saturating_sub(taken) / size_of::<T>();
    let step = (budget / 64).min(STEP) / size_of::<T>();
    let step = step.max(of.capacity() / 8).max(need).min(left);
    step >= need && of.try_reserve_exact(spare + step).is_ok()
}

impl Interner {
    /// A store that takes at the most `budget` bytes.
    pub fn new(budget: usize) -> Self {
        let inner = Inner {
            arena: "…".as_bytes().to_vec(),
            ends: vec![0, 3],
            index: HashTable::new(),
        };
        Self {
            inner: Mutex::new(inner),
            budget,
            overflows: AtomicUsize::new(0),
            seed: RandomState::default(),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The symbol of `bytes`.
    pub fn intern(&self, bytes: &[u8]) -> Sym {
        if bytes.is_empty() {
            return Sym::EMPTY;
        }
        let bytes = bytes.get(..Sym::LEN_MAX).unwrap_or(bytes);
        let hash = self.seed.hash_one(bytes);
        let mut inner = self.lock();
        let known = |n: &u32| text(&inner.arena, &inner.ends, *n) == bytes;
        if let Some(found) = inner.index.find(hash, known) {
            return Sym(*found);
        }
        let seed = &self.seed;
        if !inner.reserve(bytes.len(), self.budget, seed) {
            self.overflowed();
            return Sym::OVERFLOW;
        }
        let Inner {
            arena, ends, index, ..
        } = &mut *inner;
        let next = ends.len() as u32;
        arena.extend_from_slice(bytes);
        ends.push(arena.len() as u32);
        index.insert_unique(hash, next, |n| seed.hash_one(text(arena, ends, *n)));
        Sym(next)
    }

    fn overflowed(&self) {
        self.overflows.fetch_add(1, Ordering::Relaxed);
    }

    /// More symbols than ever fit: each takes a byte of text, where it ends, and a slot.
    pub fn most(&self) -> usize {
        self.budget / (1 + 2 * size_of::<u32>()) + 2
    }

    /// Appends the text of `sym` to `out`.
    pub fn read(&self, sym: Sym, out: &mut Vec<u8>) {
        let inner = self.lock();
        out.extend_from_slice(text(&inner.arena, &inner.ends, sym.0));
    }

    /// Bytes taken, bytes allowed, and strings that found no room.
    pub fn usage(&self) -> (usize, usize, u64) {
        let inner = self.lock();
        let overflows = self.overflows.load(Ordering::Relaxed);
        (inner.taken(), self.budget, overflows as u64)
    }
}

fn text<'a>(arena: &'a [u8], ends: &[u32], sym: u32) -> &'a [u8] {
    let at = sym as usize;
    let end = ends.get(at).copied().unwrap_or(0) as usize;
    let start = at
        .checked_sub(1)
        .and_then(|p| ends.get(p))
        .copied()
        .unwrap_or(0) as usize;
    arena.get(start..end).unwrap_or_default()
}

/// A worker's own memory of recent symbols, so that the shared store is locked for new ones only.
/// Those that found no room there are remembered too: they never will.
pub struct SymCache {
    slots: Box<[Slot]>,
    /// Texts that have no room in a slot.
    long: Box<[Long]>,
    seed: RandomState,
}

#[derive(Clone, Copy)]
struct Slot {
    sym: Sym,
    len: u8,
    bytes: [u8; SLOT_BYTES],
}

#[derive(Clone)]
struct Long {
    sym: Sym,
    bytes: Vec<u8>,
}

const SLOT_BYTES: usize = 43;
const SLOTS: usize = 1024;
const LONG: usize = 64;

impl Default for SymCache {
    fn default() -> Self {
        let empty = Slot {
            sym: Sym::EMPTY,
            len: 0,
            bytes: [0; SLOT_BYTES],
        };
        let long = (0..LONG).map(|_| Long {
            sym: Sym::EMPTY,
            bytes: Vec::with_capacity(Sym::LEN_MAX),
        });
        Self {
            slots: vec![empty; SLOTS].into(),
            long: long.collect(),
            seed: RandomState::default(),
        }
    }
}

impl SymCache {
    /// Bytes it takes.
    pub const BYTES: usize = SLOTS * size_of::<Slot>() + LONG * (size_of::<Long>() + Sym::LEN_MAX);

    /// The symbol of `bytes`, from here or from `store`.
    pub fn intern(&mut self, bytes: &[u8], store: &Interner) -> Sym {
        if bytes.is_empty() {
            return Sym::EMPTY;
        }
        // As the store cuts it.
        let bytes = bytes.get(..Sym::LEN_MAX).unwrap_or(bytes);
        let hash = self.seed.hash_one(bytes) as usize;
        let sym = if bytes.len() > SLOT_BYTES {
            let slot = &mut self.long[hash % LONG];
            if slot.bytes != bytes {
                slot.sym = store.intern(bytes);
                slot.bytes.clear();
                slot.bytes.extend_from_slice(bytes);
                return slot.sym;
            }
            slot.sym
        } else {
            let slot = &mut self.slots[hash % SLOTS];
            if slot.bytes.get(..usize::from(slot.len)) != Some(bytes) {
                slot.sym = store.intern(bytes);
                slot.bytes[..bytes.len()].copy_from_slice(bytes);
                slot.len = bytes.len() as u8;
                return slot.sym;
            }
            slot.sym
        };
        if sym == Sym::OVERFLOW {
            store.overflowed();
        }
        sym
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_text_has_an_equal_symbol_and_comes_back() {
        let store = Interner::new(4096);
        let mut cache = SymCache::default();
        let a = cache.intern(b"uplink", &store);
        assert_eq!(a, store.intern(b"uplink"));
        assert_ne!(a, store.intern(b"downlink"));
        assert_eq!(cache.intern(b"uplink", &store), a);
        let mut out = Vec::new();
        store.read(a, &mut out);
        assert_eq!(out, b"uplink");
        assert_eq!(store.intern(b""), Sym::EMPTY);
    }

    #[test]
    fn a_full_store_overflows_and_keeps_what_it_has() {
        let store = Interner::new(300);
        let first = store.intern(b"first");
        let all: Vec<_> = (0..100u32)
            .map(|n| store.intern(&n.to_be_bytes()))
            .collect();
        assert!(all.contains(&Sym::OVERFLOW));
        assert_eq!(store.intern(b"first"), first);
        let (used, max, overflows) = store.usage();
        assert!(used <= max && overflows > 0);
    }

    #[test]
    fn once_warm_nobody_locks_the_store() {
        let store = Interner::new(20_000);
        let mut cache = SymCache::default();
        let long = |n: u8| vec![n; Sym::LEN_MAX + 10];
        let first = cache.intern(&long(1), &store);
        assert_eq!(first, store.intern(&long(1)));
        let mut n = 2;
        while cache.intern(&long(n), &store) != Sym::OVERFLOW {
            n += 1;
        }
        let short = cache.intern(b"short", &store);
        // Whoever asks the store now waits for ever.
        let (lock, before) = (store.lock(), store.overflows.load(Ordering::Relaxed));
        let mut at = 0;
        for text in [&long(n)[..], b"short", &long(n)[..]] {
            let sym = cache.intern(text, &store);
            assert!(sym == Sym::OVERFLOW || (sym == short && text == b"short"));
            at += usize::from(sym == Sym::OVERFLOW);
        }
        assert_eq!(store.overflows.load(Ordering::Relaxed), before + at);
        drop(lock);
        assert_eq!(cache.intern(&long(1), &store), first);
    }

    #[test]
    fn what_is_reserved_stays_within_the_budget_and_most_of_it_is_used() {
        for budget in [1 << 10, 10_000, 64 << 10, 256 << 10, 1 << 20] {
            let store = Interner::new(budget);
            let mut text = 0usize;
            for n in 0..60_000u32 {
                let bytes = [n.to_be_bytes(); 8].concat();
                if store.intern(&bytes) != Sym::OVERFLOW {
                    text += bytes.len();
                }
                assert!(store.usage().0 <= budget);
            }
            assert!(text >= budget / 2, "{text} of {budget}");
        }
    }
}
