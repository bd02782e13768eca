//! [`Table`]: sums records by key in memory taken once.
//!
//! Entries lie in order of arrival in one slab, so a flush is a linear walk and the order of rows
//! is the same on every target. The index is open addressing over `u32` slots; each slot holds
//! an entry's number and, in the bits left over, a tag of its hash, so that a probe seldom
//! touches a wrong entry. The index uses only as much of its memory as the entries need: it
//! doubles (within what was taken at start) as the table fills, which keeps a table with few
//! flows small in the cache and in resident memory.

use crate::record::{FlowRecord, Schema};
use foldhash::SharedSeed;
use foldhash::fast::FoldHasher;
use std::hash::Hasher;

/// Smallest index in slots.
const INDEX_MIN: usize = 256;

/// What became of a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Added {
    /// Counted under its key.
    Counted,
    /// Not counted: its key is new and there is no room.
    Full,
}

/// The table of one aggregation in one worker.
pub struct Table {
    slab: Vec<u64>,
    len: usize,
    capacity: usize,
    reserve: usize,
    key: usize,
    stride: usize,
    index: Vec<u32>,
    slots: usize,
    /// Bits of a slot that are an entry's number; and those bits, all set.
    bits: u32,
    numbers: u32,
    seed: u64,
    /// All of the hash is seeded, so that no sender can choose keys that collide.
    seeds: SharedSeed,
}

impl Table {
    /// A table for rows of `schema` that takes at the most `memory` bytes, with `reserve` entries
    /// kept for keys that must find room (the fold row).
    pub fn new(schema: &Schema, memory: usize, reserve: usize, seed: u64) -> Self {
        let (key, stride) = (schema.key.len(), 1 + schema.row_words());
        let capacity = Self::capacity_for(stride, memory, reserve);
        let all = capacity + reserve;
        let index = Self::index_for(all);
        let bits = usize::BITS - all.leading_zeros();
        Self {
            slab: vec![0; all * stride],
            len: 0,
            capacity,
            reserve,
            key,
            stride,
            index: vec![0; index],
            slots: INDEX_MIN.min(index),
            bits,
            numbers: (1 << bits) - 1,
            seed: spread(seed),
            seeds: SharedSeed::from_u64(seed),
        }
    }

    /// Entries that fit into `memory` bytes, index and reserve included; at least one.
    fn capacity_for(stride: usize, memory: usize, reserve: usize) -> usize {
        let fits = |n: usize| {
            let all = n + reserve;
            all * stride * 8 + Self::index_for(all) * 4 <= memory && all < 1 << 31
        };
        let (mut least, mut most) = (1, (memory / (stride * 8)).max(1));
        while least < most {
            let middle = least + (most - least).div_ceil(2);
            if fits(middle) {
                least = middle
            } else {
                most = middle - 1
            }
        }
        least
    }

    /// Slots for `entries` at the most three quarters full.
    fn index_for(entries: usize) -> usize {
        (entries * 4 / 3 + 1).next_power_of_two().max(INDEX_MIN)
    }

    /// Entries in it.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether it is empty.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Most entries, without the reserve.
    pub fn capacity(&self) -> usize {
        self.capacity
    }

    /// Bytes taken.
    pub fn memory(&self) -> usize {
        self.slab.len() * 8 + self.index.len() * 4
    }

    /// Bytes of them that hold something, or the index of it: what is touched, so what the system
    /// must provide.
    pub fn used(&self) -> usize {
        self.len * self.stride * 8 + self.slots * 4
    }

    /// Hash of a packed key.
    #[inline(always)]
    pub fn hash(&self, key: &[u64]) -> u64 {
        let mut hasher = FoldHasher::with_seed(self.seed, &self.seeds);
        let mut add = |pairs: &[[u64; 2]]| {
            for [low, high] in pairs {
                hasher.write_u128(u128::from(*high) << 64 | u128::from(*low));
            }
        };
        let (blocks, rest) = key.as_chunks::<8>();
        blocks.iter().for_each(|block| add(block.as_chunks().0));
        let (pairs, rest) = rest.as_chunks();
        add(pairs);
        for word in rest {
            hasher.write_u64(*word);
        }
        hasher.finish()
    }

    #[inline]
    fn tag(&self, hash: u64) -> u32 {
        // The index uses the low bits of the hash; the tag takes the high ones.
        ((hash >> 32) as u32).wrapping_shl(self.bits)
    }

    /// Reads what the next [`add`](Self::add) of this hash will need, so that the loads of a whole
    /// batch overlap. Gives a number that depends on them, for the caller to fold away.
    #[inline]
    pub fn touch_index(&self, hash: u64) -> u32 {
        self.index
            .get(hash as usize & (self.slots - 1))
            .copied()
            .unwrap_or(0)
    }

    /// Likewise for the entry a slot points to.
    #[inline]
    pub fn touch_entry(&self, slot: u32) -> u64 {
        let number = (slot & self.numbers) as usize;
        self.slab
            .get(number.saturating_sub(1) * self.stride)
            .copied()
            .unwrap_or(0)
    }

    /// Whether batches gain from touching ahead: the table is larger than a fast cache.
    #[inline]
    pub fn is_large(&self) -> bool {
        self.len * self.stride * 8 > 256 << 10
    }

    /// Adds a record under its packed key. Worth inlining where the compiler knows the length of
    /// the key, and small, since new keys are dealt with elsewhere.
    #[inline(always)]
    pub fn add(&mut self, hash: u64, key: &[u64], record: &FlowRecord, schema: &Schema) -> Added {
        match self.find(hash, key) {
            Ok(start) => {
                let row = start + 1 + key.len()..start + self.stride;
                if let Some(counters) = self.slab.get_mut(row) {
                    schema.counter.add(record, counters);
                }
                Added::Counted
            }
            Err(slot) => self.add_new(slot, hash, key, record, schema),
        }
    }

    /// Adds a record whose key is new, if there is room.
    #[inline(never)]
    fn add_new(
        &mut self,
        slot: usize,
        hash: u64,
        key: &[u64],
        record: &FlowRecord,
        schema: &Schema,
    ) -> Added {
        if self.len >= self.capacity {
            return Added::Full;
        }
        self.insert(slot, hash, key, |counters| {
            schema.counter.add(record, counters)
        });
        Added::Counted
    }

    /// Adds a record under `key`, using the reserve when the table is full, but for its last
    /// `keep` places.
    pub fn add_reserved(
        &mut self,
        key: &[u64],
        record: &FlowRecord,
        schema: &Schema,
        keep: usize,
    ) -> Added {
        let hash = self.hash(key);
        match self.find(hash, key) {
            Err(slot) if self.len + keep < self.capacity + self.reserve => {
                self.insert(slot, hash, key, |counters| {
                    schema.counter.add(record, counters)
                });
                Added::Counted
            }
            Err(_) => Added::Full,
            Ok(_) => self.add(hash, key, record, schema),
        }
    }

    /// Adds a whole row of another table of the same schema.
    pub fn merge(&mut self, row: &[u64], schema: &Schema) -> Added {
        let (key, counters) = row.split_at(self.key.min(row.len()));
        let hash = self.hash(key);
        match self.find(hash, key) {
            Ok(start) => {
                if let Some(into) = self.slab.get_mut(start + 1 + self.key..start + self.stride) {
                    schema.counter.merge(counters, into);
                }
                Added::Counted
            }
            Err(slot) if self.len < self.capacity => {
                self.insert(slot, hash, key, |into| into.copy_from_slice(counters));
                Added::Counted
            }
            Err(_) => Added::Full,
        }
    }

    /// Moves its rows to another table of the same schema. Those that find no room there stay, in
    /// their order.
    pub fn pour(&mut self, into: &mut Self, schema: &Schema) {
        let mut kept = 0;
        for number in 0..self.len {
            if into.merge(self.row(number), schema) == Added::Full {
                let (from, to) = (number * self.stride, kept * self.stride);
                self.slab.copy_within(from..from + self.stride, to);
                kept += 1;
            }
        }
        self.len = kept;
        self.reindex();
    }

    /// Puts rows in order by what `of` gives, equal ones in order of arrival, for
    /// [`run`](Self::run). The order takes the place of the index: from then on nothing is found or
    /// added until the table is [cleared](Self::clear).
    pub fn sort(&mut self, of: impl Fn(&[u64]) -> u64) {
        let mut order = std::mem::take(&mut self.index);
        let places = order.get_mut(..self.len).unwrap_or_default();
        for (place, number) in places.iter_mut().zip(0..) {
            *place = number;
        }
        places.sort_unstable_by_key(|number| (of(self.row(*number as usize)), *number));
        self.index = order;
    }

    /// The rows for which `of` gives `value`, in order of arrival, of a table that was
    /// [sorted](Self::sort) by it.
    pub fn run(&self, of: impl Fn(&[u64]) -> u64, value: u64) -> impl Iterator<Item = &[u64]> {
        let order = self.index.get(..self.len).unwrap_or_default();
        let at = |number: &u32| of(self.row(*number as usize));
        let start = order.partition_point(|number| at(number) < value);
        let rest = order.get(start..).unwrap_or_default();
        let end = rest.partition_point(|number| at(number) == value);
        let run = rest.get(..end).unwrap_or_default();
        run.iter().map(|number| self.row(*number as usize))
    }

    /// Where the entry of `key` begins in the slab, or the slot where it belongs.
    #[inline(always)]
    fn find(&self, hash: u64, key: &[u64]) -> Result<usize, usize> {
        let (mask, tag) = (self.slots - 1, self.tag(hash));
        let mut at = hash as usize & mask;
        loop {
            let slot = self.index[at];
            if slot == 0 {
                return Err(at);
            }
            // The number alone is left when the tag is the same.
            let number = slot ^ tag;
            if number <= self.numbers {
                let start = (number as usize - 1) * self.stride;
                if same(&self.slab[start + 1..start + 1 + key.len()], key) {
                    return Ok(start);
                }
            }
            at = (at + 1) & mask;
        }
    }

    fn insert(&mut self, slot: usize, hash: u64, key: &[u64], fill: impl FnOnce(&mut [u64])) {
        let start = self.len * self.stride;
        let entry = &mut self.slab[start..start + self.stride];
        entry[0] = hash;
        entry[1..=self.key].copy_from_slice(key);
        entry[1 + self.key..].fill(0);
        fill(&mut entry[1 + self.key..]);
        self.len += 1;
        self.index[slot] = self.tag(hash) | self.len as u32;
        if self.len * 4 > self.slots * 3 && self.slots < self.index.len() {
            self.slots *= 2;
            self.reindex();
        }
    }

    /// Builds the index anew from the hashes in the entries.
    fn reindex(&mut self) {
        self.index[..self.slots].fill(0);
        let mask = self.slots - 1;
        for number in 0..self.len {
            let hash = self.slab[number * self.stride];
            let mut at = hash as usize & mask;
            while self.index[at] != 0 {
                at = (at + 1) & mask;
            }
            self.index[at] = self.tag(hash) | (number as u32 + 1);
        }
    }

    /// Row `number`: key words, then counter words.
    #[inline]
    pub fn row(&self, number: usize) -> &[u64] {
        let start = number * self.stride;
        self.slab
            .get(start + 1..start + self.stride)
            .unwrap_or_default()
    }

    /// All rows, in order of arrival.
    pub fn rows(&self) -> impl Iterator<Item = &[u64]> {
        let used = self.slab.get(..self.len * self.stride).unwrap_or_default();
        used.chunks_exact(self.stride).map(|entry| &entry[1..])
    }

    /// Removes entry `number`; the last entry takes its place.
    pub fn remove(&mut self, number: usize) {
        let Some(last) = self.len.checked_sub(1).filter(|last| number <= *last) else {
            return;
        };
        self.unlink(number);
        if number != last {
            self.unlink(last);
            let (from, to) = (last * self.stride, number * self.stride);
            self.slab.copy_within(from..from + self.stride, to);
            self.link(number);
        }
        self.len = last;
    }

    /// Takes entry `number` out of the index, moving back what had been pushed on behind it.
    fn unlink(&mut self, number: usize) {
        let (mask, numbers) = (self.slots - 1, self.numbers);
        let mut hole = self.slab[number * self.stride] as usize & mask;
        while self.index[hole] & numbers != number as u32 + 1 {
            hole = (hole + 1) & mask;
        }
        self.index[hole] = 0;
        let mut at = (hole + 1) & mask;
        while self.index[at] != 0 {
            let entry = (self.index[at] & numbers) as usize - 1;
            let home = self.slab[entry * self.stride] as usize & mask;
            if at.wrapping_sub(home) & mask >= at.wrapping_sub(hole) & mask {
                self.index[hole] = self.index[at];
                self.index[at] = 0;
                hole = at;
            }
            at = (at + 1) & mask;
        }
    }

    fn link(&mut self, number: usize) {
        let hash = self.slab[number * self.stride];
        let mask = self.slots - 1;
        let mut at = hash as usize & mask;
        while self.index[at] != 0 {
            at = (at + 1) & mask;
        }
        self.index[at] = self.tag(hash) | (number as u32 + 1);
    }

    /// Empties it; the memory stays.
    pub fn clear(&mut self) {
        self.index[..self.slots].fill(0);
        self.len = 0;
        self.slots = INDEX_MIN.min(self.index.len());
    }
}

/// Whether two keys are the same: many words at once, since they nearly always are.
#[inline(always)]
fn same(a: &[u64], b: &[u64]) -> bool {
    let differing = |a: &[u64], b: &[u64]| a.iter().zip(b).fold(0, |d, (a, b)| d | (a ^ b));
    let ((blocks, a), (others, b)) = (a.as_chunks::<8>(), b.as_chunks::<8>());
    let blocks = blocks.iter().zip(others);
    blocks.fold(differing(a, b), |d, (a, b)| d | differing(a, b)) == 0
}

/// Every seed to one that is never zero and has bits everywhere (the finaliser of splitmix64): with
/// a zero the hash of every key that begins with zeroes, as those of IPv4 do, would be zero.
fn spread(seed: u64) -> u64 {
    let mixed = seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mixed = (mixed ^ mixed >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    match mixed ^ mixed >> 31 {
        0 => 0x9e37_79b9_7f4a_7c15,
        spread => spread,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::intern::Interner;
    use crate::record::Field;
    use crate::record::schema::Options;
    use proptest::prelude::*;
    use std::collections::HashMap;
    use std::sync::Arc;

    fn schema() -> Schema {
        let fields = [Field::SrcPort, Field::DstPort, Field::SrcAs];
        Schema::new("t", &fields, Options::default(), Arc::new(Interner::new(0)))
    }

    fn add(table: &mut Table, schema: &Schema, key: u32, bytes: u64) -> Added {
        let mut record = FlowRecord::new();
        record.set_src_as(key);
        record.set_src_port(key as u16);
        (record.packets, record.bytes) = (1, bytes);
        let mut packed = [0; 2];
        schema.key.pack(&record, &mut packed);
        table.add(table.hash(&packed), &packed, &record, schema)
    }

    fn totals(table: &Table, schema: &Schema) -> HashMap<Vec<u64>, (u64, u64)> {
        let key = schema.key.len();
        table
            .rows()
            .map(|r| (r[..key].to_vec(), (r[key], r[key + 1])))
            .collect()
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn it_agrees_with_a_naive_map(
            ops in prop::collection::vec((0u32..3000, 1u64..2000, 0u8..8), 0..4000)
        ) {
            let schema = schema();
            let mut table = Table::new(&schema, 1 << 20, 0, 7);
            let mut naive: HashMap<u32, (u64, u64)> = HashMap::new();
            let at = |r: &[u64], table: &Schema| match table.value(
                table.column(crate::record::schema::What::Field(Field::SrcAs)).unwrap(), r) {
                crate::record::Value::Number(n) => n as u32,
                _ => 0,
            };
            for (key, bytes, what) in ops {
                if what == 0 && !table.is_empty() {
                    let victim = key as usize % table.len();
                    naive.remove(&at(table.row(victim), &schema));
                    table.remove(victim);
                } else {
                    prop_assert_eq!(add(&mut table, &schema, key, bytes), Added::Counted);
                    let slot = naive.entry(key).or_default();
                    *slot = (slot.0 + 1, slot.1 + bytes);
                }
            }
            let key = schema.key.len();
            let got: HashMap<u32, (u64, u64)> =
                table.rows().map(|r| (at(r, &schema), (r[key], r[key + 1]))).collect();
            prop_assert_eq!(got, naive);
        }
    }

    #[test]
    fn keys_that_begin_with_zeroes_spread_under_every_seed() {
        use crate::base::addr::Ip;
        let fields = [Field::SrcHost, Field::DstHost];
        let schema = Schema::new("t", &fields, Options::default(), Arc::new(Interner::new(0)));
        for seed in [0, 1, 2, u64::MAX, 0x61c8_8646_80b5_83eb] {
            let table = Table::new(&schema, 1 << 16, 0, seed);
            let hashes = (0..4096u32).map(|n| {
                let mut record = FlowRecord::new();
                record.set_src_host(Ip::v4((n & 63).to_be_bytes()));
                record.set_dst_host(Ip::v4((n >> 6).to_be_bytes()));
                let mut key = [0; 4];
                schema.key.pack(&record, &mut key);
                table.hash(&key)
            });
            let low: std::collections::HashSet<u64> = hashes.map(|h| h & 0xffff).collect();
            assert!(
                low.len() > 3500,
                "{} of 4096 under seed {seed:#x}",
                low.len()
            );
        }
    }

    #[test]
    fn a_sorted_table_gives_runs_and_is_as_new_when_it_is_cleared() {
        let schema = schema();
        let mut table = Table::new(&schema, 1 << 14, 0, 1);
        let room = table.capacity() as u32;
        let words = schema.key.len();
        let bytes = |row: &[u64]| row[words + crate::record::counter::BYTES];
        for _ in 0..2 {
            for key in 0..room {
                let added = add(&mut table, &schema, key, u64::from(key * 7 % 5));
                assert_eq!(added, Added::Counted);
            }
            let arrived: Vec<Vec<u64>> = table.rows().map(<[u64]>::to_vec).collect();
            table.sort(bytes);
            for value in 0..6 {
                let want = arrived.iter().filter(|row| bytes(row) == value);
                let run: Vec<&[u64]> = table.run(bytes, value).collect();
                assert_eq!(run, want.map(Vec::as_slice).collect::<Vec<_>>());
            }
            table.clear();
        }
    }

    #[test]
    fn it_takes_what_it_was_given_and_says_when_it_is_full() {
        let schema = schema();
        for memory in [1usize << 12, 1 << 16, 1 << 20] {
            let mut table = Table::new(&schema, memory, 1, 1);
            assert!(
                table.memory() <= memory.max(2048),
                "{} > {memory}",
                table.memory()
            );
            assert!(table.capacity() * 40 > memory / 3);
            let room = table.capacity() as u32;
            for key in 0..room {
                assert_eq!(add(&mut table, &schema, key, 1), Added::Counted);
            }
            assert_eq!(add(&mut table, &schema, room, 1), Added::Full);
            assert_eq!(add(&mut table, &schema, 0, 1), Added::Counted);
            assert_eq!(totals(&table, &schema).len(), room as usize);
            table.clear();
            assert!(table.is_empty());
            assert_eq!(add(&mut table, &schema, room, 1), Added::Counted);
        }
    }
}
