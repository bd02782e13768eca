//! [`Group`]: rows that ask for the same bits of a record, in a hash table over those bits.

use crate::record::{FieldSet, FlowRecord};
use foldhash::SharedSeed;
use foldhash::fast::FoldHasher;
use std::collections::HashMap;
use std::hash::Hasher;

/// Keys that are compared one after the other rather than hashed.
const FEW: usize = 2;

/// Most words of a key: more than all conditions of a row together have.
const WORDS_MAX: usize = 32;

/// Most words of keys that are touched ahead.
const FIRST: usize = 5;

/// What rows of a group have in common: words with their masks, and what must be there or not.
pub(super) type Shape = (Vec<(u16, u64)>, FieldSet, FieldSet);

/// The bits that a row asks for, and its number.
pub(super) type Asked = (Box<[u64]>, u32);

/// The rows.
#[derive(Debug)]
pub(super) struct Group {
    present: FieldSet,
    absent: FieldSet,
    /// Words that are the same in all keys, with masks and values: those of IPv4 addresses that
    /// only say that they are such.
    same: Box<[(u16, u64, u64)]>,
    /// The words of a key.
    words: Box<[(u16, u64)]>,
    /// First and last of its rows.
    first: u32,
    last: u32,
    /// Numbers of entries from 1, 0 for none; a power of two of them, or none at all.
    slots: Box<[u32]>,
    /// For each key its words, then how many rows it has in the upper half of a word, and in the
    /// lower half the row, or where in `rows` they begin when there are several.
    entries: Box<[u64]>,
    /// Rows of keys that have several, ascending.
    rows: Box<[u32]>,
    seeds: SharedSeed,
}

/// Seed of the hash beside the shared ones. Whoever sends records chooses none of the keys.
const SEED: u64 = 0x9e37_79b9_7f4a_7c15;

fn hash(key: &[u64], seeds: &SharedSeed) -> usize {
    let mut hasher = FoldHasher::with_seed(SEED, seeds);
    let (pairs, rest) = key.as_chunks();
    for [low, high] in pairs {
        hasher.write_u128(u128::from(*high) << 64 | u128::from(*low));
    }
    for word in rest {
        hasher.write_u64(*word);
    }
    hasher.finish() as usize
}

impl Group {
    /// A group of `rows`, which are in the order of the file and at least one.
    pub(super) fn new((words, present, absent): Shape, rows: &[Asked]) -> Self {
        // Keys by number, in the order of their first rows, and the rows of each.
        let mut numbers: HashMap<&[u64], usize> = HashMap::new();
        let mut keys: Vec<(&[u64], Vec<u32>)> = Vec::new();
        for (key, row) in rows {
            let number = *numbers.entry(key).or_insert(keys.len());
            match keys.get_mut(number) {
                Some((_, of)) => of.push(*row),
                None => keys.push((key, vec![*row])),
            }
        }
        let (same, varied) = columns(&keys);
        let pick = |key: &[u64]| -> Vec<u64> { varied.iter().map(|at| key[*at]).collect() };
        let mut entries = Vec::with_capacity(keys.len() * (varied.len() + 1));
        let mut several = Vec::new();
        for (key, of) in &keys {
            entries.extend(pick(key));
            let place = match of.as_slice() {
                [row] => *row,
                of => {
                    several.extend_from_slice(of);
                    (several.len() - of.len()) as u32
                }
            };
            entries.push((of.len() as u64) << 32 | u64::from(place));
        }
        let seeds = SharedSeed::from_u64(SEED);
        let slots = match keys.len() {
            0..=FEW => Vec::new(),
            count => table(keys.iter().map(|(key, _)| pick(key)), count, &seeds),
        };
        let first = keys.first().map_or(&[][..], |(key, _)| key);
        let fixed = |at: &usize| (words[*at].0, words[*at].1, first[*at]);
        Self {
            present,
            absent,
            same: same.iter().map(fixed).collect(),
            words: varied.iter().map(|at| words[*at]).collect(),
            first: rows.first().map_or(u32::MAX, |(_, row)| *row),
            last: rows.last().map_or(0, |(_, row)| *row),
            slots: slots.into(),
            entries: entries.into(),
            rows: several.into(),
            seeds,
        }
    }

    /// The first of its rows.
    #[inline]
    pub(super) fn first(&self) -> u32 {
        self.first
    }

    /// The first row from `from` on whose bits the record has, and those of the same bits behind.
    #[inline]
    pub(super) fn rows(&self, record: &FlowRecord, from: u32) -> Option<(u32, &[u32])> {
        let there = record.present.all(self.present) && !record.present.any(self.absent);
        if !there || self.last < from {
            return None;
        }
        for (at, mask, value) in &self.same {
            let word = record.words().get(usize::from(*at)).copied();
            if u64::from_ne_bytes(word.unwrap_or_default()) & mask != *value {
                return None;
            }
        }
        let place = match self.words.len() {
            0 => self.entries.first().copied(),
            1 => self.probe::<1>(record),
            2 => self.probe::<2>(record),
            3 => self.probe::<3>(record),
            4 => self.probe::<4>(record),
            5 => self.probe::<5>(record),
            _ => self.probe::<WORDS_MAX>(record),
        }?;
        let (count, at) = ((place >> 32) as usize, place as u32);
        if count == 1 {
            return (at >= from).then_some((at, &[]));
        }
        let rows = self.rows.get(at as usize..at as usize + count)?;
        let (first, more) = match rows.first() {
            Some(first) if *first >= from => rows.split_first()?,
            _ => rows
                .get(rows.partition_point(|row| *row < from)..)?
                .split_first()?,
        };
        Some((*first, more))
    }

    /// Bytes that a look-up may touch any of.
    pub(super) fn spread(&self) -> usize {
        self.slots.len() * 4 + self.entries.len() * 8
    }

    /// Reads the slot that a look-up of the record will read first.
    #[inline]
    pub(super) fn touch_slot(&self, record: &FlowRecord) -> u32 {
        let (mut key, words) = ([0u64; FIRST], record.words());
        let Some(key) = key.get_mut(..self.words.len()) else {
            return 0;
        };
        for (out, (at, mask)) in key.iter_mut().zip(&self.words) {
            let word = words.get(usize::from(*at)).copied().unwrap_or_default();
            *out = u64::from_ne_bytes(word) & mask;
        }
        let slot = hash(key, &self.seeds) & self.slots.len().wrapping_sub(1);
        self.slots.get(slot).copied().unwrap_or(0)
    }

    /// Reads the entry of a slot.
    #[inline]
    pub(super) fn touch_entry(&self, number: u32) -> u64 {
        let at = (number as usize).wrapping_sub(1);
        let at = at.wrapping_mul(self.words.len() + 1);
        self.entries.get(at).copied().unwrap_or(0)
    }

    /// Where the rows are whose bits the record has. A key has `N` words, or less for the largest.
    #[inline(always)]
    fn probe<const N: usize>(&self, record: &FlowRecord) -> Option<u64> {
        let wide = if N == WORDS_MAX {
            self.words.len().min(N)
        } else {
            N
        };
        let (mut key, words) = ([0u64; N], record.words());
        for (out, (at, mask)) in key.iter_mut().zip(&self.words) {
            let word = words.get(usize::from(*at)).copied().unwrap_or_default();
            *out = u64::from_ne_bytes(word) & mask;
        }
        let key = key.get(..wide)?;
        let is = |entry: &[u64]| entry.get(..wide) == Some(key);
        if self.slots.is_empty() {
            let mut entries = self.entries.chunks_exact(wide + 1);
            return entries.find(|entry| is(entry))?.last().copied();
        }
        let mask = self.slots.len() - 1;
        let mut slot = hash(key, &self.seeds) & mask;
        loop {
            // Half of the slots are free, so this ends.
            let number = self.slots.get(slot).copied().unwrap_or(0) as usize;
            let entry = number.checked_sub(1)? * (wide + 1);
            let entry = self.entries.get(entry..entry + wide + 1)?;
            if is(entry) {
                return entry.last().copied();
            }
            slot = (slot + 1) & mask;
        }
    }

    /// Bytes it takes.
    pub(super) fn size(&self) -> usize {
        let words = self.words.len() * size_of::<(u16, u64)>() + self.entries.len() * 8;
        let same = self.same.len() * size_of::<(u16, u64, u64)>();
        size_of::<Self>() + words + same + (self.slots.len() + self.rows.len()) * 4
    }
}

/// Which words are the same in all keys, and which are not.
fn columns(keys: &[(&[u64], Vec<u32>)]) -> (Vec<usize>, Vec<usize>) {
    let first = keys.first().map_or(&[][..], |(key, _)| key);
    let alike = |at: &usize| keys.iter().all(|(key, _)| key[*at] == first[*at]);
    (0..first.len()).partition(alike)
}

/// Slots for keys, at the most half of them taken.
fn table(keys: impl Iterator<Item = Vec<u64>>, count: usize, seeds: &SharedSeed) -> Vec<u32> {
    let mut slots = vec![0u32; (2 * count).next_power_of_two()];
    let mask = slots.len() - 1;
    for (number, key) in keys.enumerate() {
        let mut slot = hash(&key, seeds) & mask;
        while slots[slot] != 0 {
            slot = (slot + 1) & mask;
        }
        slots[slot] = number as u32 + 1;
    }
    slots
}
