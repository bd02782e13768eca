//! The rows of one aggregation, added up by key, in bounded memory.

use crate::base::intern::Sym;
use crate::base::time::{Nanos, wall};
use crate::encode::Style;
use crate::record::schema::{Options, What};
use crate::record::{Field, Schema, Value, counter};
use crate::sink::condition::Condition;
use crate::sink::live::{Found, Query, Sort, Total};
use foldhash::fast::FixedState;
use hashbrown::HashTable;
use std::hash::BuildHasher;
use std::sync::Arc;

/// Words behind each row: when it was first and last added to.
const AGES: usize = 2;

/// Bytes of the index for each row, at the most.
const INDEX: usize = 16;

/// The rows of one aggregation.
pub struct Table {
    schema: Arc<Schema>,
    /// Words of a row, ages included.
    stride: usize,
    words: Vec<u64>,
    index: HashTable<u32>,
    seed: FixedState,
    /// The word of the key that holds the bin, where bins are not told apart.
    bin: Option<usize>,
    bins: bool,
    folded: u64,
    since: Nanos,
}

impl Table {
    /// An empty table. `seed` is drawn at each start: senders choose our keys.
    pub fn new(schema: &Arc<Schema>, bins: bool, seed: u64) -> Self {
        let bin = schema.key.position(Field::Bin).map(|at| at / 8);
        Self {
            stride: schema.row_words() + AGES,
            schema: schema.clone(),
            words: Vec::new(),
            index: HashTable::new(),
            seed: FixedState::with_seed(seed),
            bin: bin.filter(|_| !bins),
            bins,
            folded: 0,
            since: wall(),
        }
    }

    /// What its rows contain.
    pub fn schema(&self) -> &Schema {
        &self.schema
    }

    /// Rows.
    pub fn len(&self) -> usize {
        self.words.len() / self.stride
    }

    /// Bytes taken.
    pub fn bytes(&self) -> usize {
        self.words.capacity() * 8 + self.words.capacity() / self.stride * INDEX
    }

    /// Rows that found no room.
    pub fn folded(&self) -> u64 {
        self.folded
    }

    /// Whether rows carry this field.
    pub fn has(&self, field: Field) -> bool {
        let shown = field != Field::Bin || self.bins;
        shown && self.schema.column(What::Field(field)).is_some()
    }

    /// Names of its fields, for messages.
    pub fn fields(&self) -> String {
        let columns = self.schema.columns.iter();
        let names = columns.filter_map(|c| match c.what {
            What::Field(field) if self.has(field) => Some(self.schema.field_name(c.what)),
            _ => None,
        });
        names.collect::<Vec<_>>().join(", ")
    }

    /// Goes on with another schema of the same columns, as after a reload; false when it can not.
    pub fn adopt(&mut self, schema: &Arc<Schema>) -> bool {
        if Arc::ptr_eq(&self.schema, schema) {
            return true;
        }
        let what = |schema: &Schema| {
            let columns = schema.columns.iter();
            let each = columns.map(|c| (c.what, c.form, schema.field_name(c.what).to_string()));
            each.collect::<Vec<_>>()
        };
        if what(&self.schema) != what(schema) || self.schema.row_words() != schema.row_words() {
            return false;
        }
        if !Arc::ptr_eq(&self.schema.symbols, &schema.symbols) {
            self.rename(schema);
        }
        self.schema = schema.clone();
        true
    }

    /// Texts have other symbols in another store.
    fn rename(&mut self, schema: &Schema) {
        let texts = schema.columns.iter().filter(|c| c.is_symbol());
        let texts: Vec<_> = texts.copied().collect();
        if texts.is_empty() {
            return;
        }
        let mut text = Vec::new();
        for row in self.words.chunks_exact_mut(self.stride) {
            for column in &texts {
                let Value::Text(old) = self.schema.value(column, row) else {
                    continue;
                };
                text.clear();
                self.schema.symbols.read(old, &mut text);
                let new = match old {
                    Sym::EMPTY | Sym::OVERFLOW => old,
                    _ => schema.symbols.intern(&text),
                };
                column.set_number(row, new.0.into());
            }
        }
        let words = std::mem::take(&mut self.words);
        self.rebuild(words);
    }

    /// Adds a row; `free` bytes may be taken in addition. Gives what is free afterwards.
    pub fn add(&mut self, row: &[u64], now: Nanos, free: usize) -> usize {
        let keys = self.schema.key.len();
        let mut key: Vec<u64> = row.get(..keys).unwrap_or_default().to_vec();
        if let Some(bin) = self.bin.and_then(|at| key.get_mut(at)) {
            *bin = 0;
        }
        let counters = row.get(keys..).unwrap_or_default();
        let mut free = free;
        let at = match self.find(&key) {
            Some(at) => at,
            None => match self.insert(&key, now, &mut free, false) {
                Some(at) => at,
                None => {
                    self.folded = self.folded.wrapping_add(1);
                    key.fill(0);
                    let other = self.find(&key);
                    match other.or_else(|| self.insert(&key, now, &mut free, true)) {
                        Some(at) => at,
                        None => return free,
                    }
                }
            },
        };
        let start = at * self.stride + keys;
        if let Some(slot) = self.words.get_mut(start..start + counters.len() + AGES) {
            let (into, ages) = slot.split_at_mut(counters.len());
            self.schema.counter.merge(counters, into);
            if let Some(last) = ages.last_mut() {
                *last = now.0;
            }
        }
        free
    }

    fn find(&self, key: &[u64]) -> Option<usize> {
        let same = |at: &u32| {
            let start = *at as usize * self.stride;
            self.words.get(start..start + key.len()) == Some(key)
        };
        let found = self.index.find(self.seed.hash_one(key), same);
        found.map(|at| *at as usize)
    }

    /// Puts in an empty row. The row of zeroes is put in `always`: it is one, and its place was
    /// left when the table was last grown.
    fn insert(&mut self, key: &[u64], now: Nanos, free: &mut usize, always: bool) -> Option<usize> {
        let spare = if always { 0 } else { self.stride };
        let wanted = self.words.len() + self.stride + spare;
        if wanted > self.words.capacity() {
            let cost = self.stride * 8 + INDEX;
            let rows = (self.len().max(16)).min(*free / cost);
            if rows * self.stride < self.stride + spare {
                return None;
            }
            let before = self.bytes();
            let more = self.words.capacity() - self.words.len() + rows * self.stride;
            self.words.try_reserve_exact(more).ok()?;
            *free = free.saturating_sub(self.bytes() - before);
        }
        let at = self.len();
        let number = u32::try_from(at).ok()?;
        let (seed, stride) = (&self.seed, self.stride);
        let words = &self.words;
        let hash = |at: &u32| {
            let start = *at as usize * stride;
            seed.hash_one(words.get(start..start + key.len()).unwrap_or_default())
        };
        self.index.try_reserve(1, hash).ok()?;
        self.index.insert_unique(seed.hash_one(key), number, hash);
        self.words.extend_from_slice(key);
        self.words.resize((at + 1) * stride, 0);
        if let Some(first) = self.words.get_mut((at + 1) * stride - AGES) {
            *first = now.0;
        }
        Some(at)
    }

    /// Takes rows as they are; those of one key become one.
    fn rebuild(&mut self, words: Vec<u64>) {
        self.index.clear();
        self.words = words;
        let (stride, keys, mut to) = (self.stride, self.schema.key.len(), 0);
        for from in 0..self.len() {
            let start = from * stride;
            let key = self.words.get(start..start + keys).unwrap_or_default();
            if let Some(at) = self.find(key) {
                self.unite(at, from);
                continue;
            }
            let hash = self.seed.hash_one(key);
            self.words.copy_within(start..start + stride, to * stride);
            let (seed, words) = (&self.seed, &self.words);
            let hash_of = |at: &u32| {
                let start = *at as usize * stride;
                seed.hash_one(words.get(start..start + keys).unwrap_or_default())
            };
            self.index.insert_unique(hash, to as u32, hash_of);
            to += 1;
        }
        self.words.truncate(to * stride);
    }

    /// Adds row number `from` to an earlier one.
    fn unite(&mut self, at: usize, from: usize) {
        let (stride, keys) = (self.stride, self.schema.key.len());
        let (before, rest) = self.words.split_at_mut(from * stride);
        let into = before.get_mut(at * stride + keys..(at + 1) * stride);
        let row = rest.get(keys..stride);
        let (Some(into), Some(row)) = (into, row) else {
            return;
        };
        let counters = row.len() - AGES;
        let (row, ages) = row.split_at(counters);
        let (into, seen) = into.split_at_mut(counters);
        self.schema.counter.merge(row, into);
        if let ([first, last], [began, ended]) = (ages, seen) {
            (*began, *ended) = (*first.min(began), *last.max(ended));
        }
    }

    /// Keeps the rows for which `keep` says so.
    fn retain(&mut self, mut keep: impl FnMut(&[u64]) -> bool) {
        let (stride, mut to) = (self.stride, 0);
        for from in 0..self.len() {
            let start = from * stride;
            if keep(self.words.get(start..start + stride).unwrap_or_default()) {
                self.words.copy_within(start..start + stride, to * stride);
                to += 1;
            }
        }
        if to * stride < self.words.len() {
            let mut words = std::mem::take(&mut self.words);
            words.truncate(to * stride);
            self.rebuild(words);
        }
    }

    /// Removes rows last added to before `cutoff`; when the oldest left was last added to.
    pub fn expire(&mut self, cutoff: Nanos) -> Option<Nanos> {
        let mut oldest: Option<Nanos> = None;
        self.retain(|row| {
            let last = Nanos(row.last().copied().unwrap_or(0));
            if last < cutoff {
                return false;
            }
            oldest = Some(oldest.map_or(last, |o| o.min(last)));
            true
        });
        oldest
    }

    /// Copies the rows that match, and takes them out where `reset` says so.
    pub fn select(&mut self, mut conditions: Vec<Condition>, reset: bool) -> Selected {
        let schema = self.schema.clone();
        let mut words = Vec::new();
        let mut matches = |row: &[u64]| conditions.iter_mut().all(|c| c.holds(&schema, row));
        let since = self.since;
        if reset {
            self.retain(|row| {
                let taken = matches(row);
                if taken {
                    words.extend_from_slice(row);
                }
                !taken
            });
            self.since = wall();
        } else {
            for row in self
                .words
                .chunks_exact(self.stride)
                .filter(|row| matches(row))
            {
                words.extend_from_slice(row);
            }
        }
        Selected {
            schema: self.schema.clone(),
            words,
            since,
        }
    }
}

/// Copies of rows with their ages, no longer under the table's lock.
pub struct Selected {
    schema: Arc<Schema>,
    words: Vec<u64>,
    since: Nanos,
}

impl Selected {
    /// Sums by the fields that are asked for, sorts, and cuts.
    pub fn arrange(self, query: &Query, style: &Style) -> Found {
        let grouped = if query.by.is_empty() {
            self
        } else {
            self.group(&query.by)
        };
        let (schema, since) = (grouped.schema, grouped.since);
        let size = schema.row_words();
        let mut rows: Vec<&[u64]> = grouped.words.chunks_exact(size + AGES).collect();
        let number = |row: &[u64], what| match schema.column(what).map(|c| schema.value(c, row)) {
            Some(Value::Number(number)) => number,
            _ => 0,
        };
        let mut total = Total::default();
        for row in &rows {
            total.rows += 1;
            total.packets = total.packets.wrapping_add(number(row, What::Packets));
            total.bytes = total.bytes.wrapping_add(number(row, What::Bytes));
            total.flows = total.flows.wrapping_add(number(row, What::Flows));
        }
        let sort = match query.sort {
            Sort::Flows if schema.column(What::Flows).is_none() => Sort::Bytes,
            sort => sort,
        };
        rows.sort_by_key(|row| std::cmp::Reverse(number(row, sort.what())));
        rows.truncate(query.top.unwrap_or(usize::MAX));
        let mut words = Vec::with_capacity(rows.len() * size);
        let mut ages = Vec::with_capacity(rows.len());
        for row in rows {
            let (row, age) = row.split_at(size);
            words.extend_from_slice(row);
            let age = |n: usize| Nanos(age.get(n).copied().unwrap_or(0));
            ages.push((age(0), age(1)));
        }
        Found {
            schema,
            words,
            ages,
            total,
            since,
            style: style.clone(),
        }
    }

    /// Rows of fewer fields.
    fn group(self, by: &[Field]) -> Self {
        let from = &self.schema;
        let options = Options {
            flows: from.counter.flows_at().is_some(),
            ..Options::default()
        };
        let to = Schema::new(&from.name, by, options, from.symbols.clone());
        let (keys, counters) = (to.key.len(), to.counter.len());
        let mut table = Table::new(&Arc::new(to), true, self.since.0);
        for row in self.words.chunks_exact(from.row_words() + AGES) {
            let (row, ages) = row.split_at(from.row_words());
            let mut other = vec![0; keys + counters];
            for column in &table.schema.columns {
                copy(from, row, &table.schema, column.what, &mut other);
            }
            let age = |n: usize| Nanos(ages.get(n).copied().unwrap_or(0));
            table.add(&other, age(1), usize::MAX);
            table.older(other.get(..keys).unwrap_or_default(), age(0), age(1));
        }
        Self {
            schema: table.schema,
            words: table.words,
            since: self.since,
        }
    }
}

impl Table {
    /// Widens the ages of a row.
    fn older(&mut self, key: &[u64], first: Nanos, last: Nanos) {
        let Some(at) = self.find(key) else {
            return;
        };
        let end = (at + 1) * self.stride;
        if let Some([a, b]) = self.words.get_mut(end - AGES..end) {
            (*a, *b) = ((*a).min(first.0), (*b).max(last.0));
        }
    }
}

/// Copies one column of a row to a row of another schema.
fn copy(from: &Schema, row: &[u64], to: &Schema, what: What, into: &mut [u64]) {
    let counter = |schema: &Schema| {
        let at = match what {
            What::Packets => Some(counter::PACKETS),
            What::Bytes => Some(counter::BYTES),
            What::Flows => schema.counter.flows_at(),
            What::Field(field) => schema.counter.position(field),
        };
        at.map(|at| schema.key.len() + at)
    };
    if let (Some(here), Some(there)) = (counter(from), counter(to)) {
        if let (Some(word), Some(slot)) = (row.get(here), into.get_mut(there)) {
            *slot = *word;
        }
        return;
    }
    let What::Field(field) = what else {
        return;
    };
    let (Some(here), Some(there)) = (from.key.position(field), to.key.position(field)) else {
        return;
    };
    let size = from.column(what).map_or(0, |column| column.size());
    for n in 0..size {
        let byte = row
            .get((here + n) / 8)
            .map(|w| w.to_ne_bytes()[(here + n) % 8]);
        if let (Some(byte), Some(word)) = (byte, into.get_mut((there + n) / 8)) {
            let mut bytes = word.to_ne_bytes();
            bytes[(there + n) % 8] = byte;
            *word = u64::from_ne_bytes(bytes);
        }
    }
}
