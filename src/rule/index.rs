//! [`Index`]: the first of many rows that a record matches, without looking at all of them.
//!
//! Rows that ask for the same bits of a record are a group with a hash table over those bits, so
//! a record costs one look-up for each group, however many rows the group has. What a table can
//! not answer (negations, filters) is asked of the rows it finds; a row that has nothing else is
//! in a group of its own kind, which is walked. Groups come in the order of their first rows and
//! are left as soon as an earlier row has been found, so the order of the file is kept.

use super::filter::Filter;
use super::pattern::Pattern;
use crate::record::{FieldSet, FlowRecord};
use foldhash::SharedSeed;
use foldhash::fast::FoldHasher;
use std::collections::HashMap;
use std::hash::Hasher;
use std::sync::Arc;

/// Keys of a group that are compared one after the other rather than hashed.
const FEW: usize = 2;

/// What records may be like.
#[derive(Clone, Debug, Default)]
pub struct Like {
    /// Any of these,
    pub any: Vec<Pattern>,
    /// but not this.
    pub but: Option<Pattern>,
}

impl Like {
    /// Whether the record is.
    fn matches(&self, record: &FlowRecord) -> bool {
        let but = || self.but.as_ref().is_some_and(|p| p.matches(record));
        self.any.iter().any(|p| p.matches(record)) && !but()
    }

    fn patterns(&self) -> impl Iterator<Item = &Pattern> {
        self.any.iter().chain(&self.but)
    }
}

/// What can only be asked of a row at a time.
#[derive(Clone, Debug)]
pub enum Test {
    /// The record must not be like this.
    Not(Like),
    /// The frame that the record tells of passes.
    Filter(Arc<Filter>),
}

impl Test {
    fn holds(&self, record: &FlowRecord) -> bool {
        match self {
            Self::Not(like) => !like.matches(record),
            Self::Filter(filter) => filter.matches_record(record),
        }
    }

    /// Fields it looks at.
    pub fn needs(&self) -> FieldSet {
        match self {
            Self::Not(like) => {
                let needs = like.patterns().map(Pattern::needs);
                needs.fold(FieldSet::EMPTY, FieldSet::union)
            }
            Self::Filter(filter) => filter.needs(),
        }
    }

    fn size(&self) -> usize {
        let inner = match self {
            Self::Not(like) => like.patterns().map(Pattern::size).sum(),
            Self::Filter(_) => 0,
        };
        size_of::<Self>() + inner
    }
}

/// The conditions of a row: one of the patterns and all of the tests.
#[derive(Clone, Debug)]
pub struct Conditions {
    /// Alternatives; there is at least one in a row that can match.
    pub patterns: Vec<Pattern>,
    /// What must hold besides.
    pub tests: Vec<Test>,
}

impl Conditions {
    /// What every record fulfils.
    pub fn none() -> Self {
        Self {
            patterns: vec![Pattern::ANY],
            tests: Vec::new(),
        }
    }

    /// The record must be like this as well. False when that contradicts what is there already.
    pub fn like(&mut self, like: &Like) -> bool {
        let with = |old: &Pattern| like.any.iter().filter_map(|new| old.and(new)).collect();
        let both: Vec<Vec<Pattern>> = self.patterns.iter().map(with).collect();
        self.patterns = both.into_iter().flatten().collect();
        self.tests.extend(like.but.iter().map(|but| {
            Test::Not(Like {
                any: vec![but.clone()],
                but: None,
            })
        }));
        !self.patterns.is_empty()
    }

    /// Fields they look at.
    pub fn needs(&self) -> FieldSet {
        let patterns = self.patterns.iter().map(Pattern::needs);
        let tests = self.tests.iter().map(Test::needs);
        patterns.chain(tests).fold(FieldSet::EMPTY, FieldSet::union)
    }
}

/// What rows of a group have in common: words with their masks, and what must be there or not.
type Shape = (Vec<(u16, u64)>, FieldSet, FieldSet);

/// The bits that a row asks for, and its number.
type Asked = (Box<[u64]>, u32);

/// Rows that ask for the same bits.
#[derive(Debug)]
struct Group {
    present: FieldSet,
    absent: FieldSet,
    words: Box<[(u16, u64)]>,
    /// First and last of its rows.
    first: u32,
    last: u32,
    /// Numbers of keys from 1, 0 for none; a power of two of them, or none at all.
    slots: Box<[u32]>,
    /// The keys, one after the other.
    keys: Box<[u64]>,
    /// Where the rows of each key end.
    ends: Box<[u32]>,
    /// The rows of each key, ascending.
    rows: Box<[u32]>,
}

/// Rows by what they ask for.
#[derive(Debug)]
pub struct Index {
    groups: Vec<Group>,
    /// For each row the place of its tests, from 1; empty where no row has any.
    tested: Box<[u32]>,
    tests: Box<[Box<[Test]>]>,
    needs: FieldSet,
    rows: usize,
    seed: u64,
    seeds: SharedSeed,
}

/// An index while rows are added to it.
#[derive(Default)]
pub struct Builder {
    groups: HashMap<Shape, Vec<Asked>>,
    tested: Vec<u32>,
    tests: Vec<Box<[Test]>>,
    needs: FieldSet,
    rows: u32,
}

impl Builder {
    /// Adds the next row. There may be as many as a number of 32 bits can count.
    pub fn push(&mut self, conditions: Conditions) {
        self.needs = self.needs.union(conditions.needs());
        for pattern in &conditions.patterns {
            let words = pattern.words();
            let (present, absent) = pattern.presence();
            let shape = words.iter().map(|(at, mask, _)| (*at, *mask)).collect();
            let key = words.iter().map(|(_, _, value)| *value).collect();
            let group = self.groups.entry((shape, present, absent)).or_default();
            group.push((key, self.rows));
        }
        self.tested.push(if conditions.tests.is_empty() {
            0
        } else {
            self.tests.push(conditions.tests.into());
            self.tests.len() as u32
        });
        self.rows += 1;
    }

    /// The rows so far.
    pub fn len(&self) -> usize {
        self.rows as usize
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.rows == 0
    }

    /// The index of all rows.
    pub fn build(self) -> Index {
        let mut index = Index {
            groups: Vec::new(),
            tested: if self.tests.is_empty() {
                Box::default()
            } else {
                self.tested.into()
            },
            tests: self.tests.into(),
            needs: self.needs,
            rows: self.rows as usize,
            seed: 0x9e37_79b9_7f4a_7c15,
            seeds: SharedSeed::from_u64(u64::from(self.rows)),
        };
        for (shape, rows) in self.groups {
            let group = index.group(shape, rows);
            index.groups.push(group);
        }
        index.groups.sort_by_key(|group| group.first);
        index
    }
}

impl Index {
    /// `rows` are in the order of the file.
    fn group(&self, (words, present, absent): Shape, rows: Vec<Asked>) -> Group {
        // Which key each row has, by number, and how many rows each key has.
        let mut numbers: HashMap<&[u64], u32> = HashMap::new();
        let (mut of, mut ends, mut keys) = (Vec::new(), Vec::<u32>::new(), Vec::new());
        for (key, _) in &rows {
            let next = numbers.len() as u32;
            let number = *numbers.entry(key).or_insert(next);
            if number == next {
                ends.push(0);
                keys.extend_from_slice(key);
            }
            ends[number as usize] += 1;
            of.push(number);
        }
        let mut at = 0;
        let mut starts: Vec<u32> = Vec::with_capacity(ends.len());
        for end in &mut ends {
            starts.push(at);
            at += *end;
            *end = at;
        }
        let mut sorted = vec![0; rows.len()];
        for ((_, row), number) in rows.iter().zip(&of) {
            let start = &mut starts[*number as usize];
            sorted[*start as usize] = *row;
            *start += 1;
        }
        let count = numbers.len();
        let mut slots = vec![
            0u32;
            if count > FEW {
                (2 * count).next_power_of_two()
            } else {
                0
            }
        ];
        for (number, key) in keys.chunks_exact(words.len().max(1)).enumerate() {
            if slots.is_empty() {
                break;
            }
            let mut slot = self.hash(key.iter().copied()) as usize & (slots.len() - 1);
            while slots[slot] != 0 {
                slot = (slot + 1) & (slots.len() - 1);
            }
            slots[slot] = number as u32 + 1;
        }
        Group {
            present,
            absent,
            words: words.into(),
            first: rows.first().map_or(u32::MAX, |(_, row)| *row),
            last: rows.last().map_or(0, |(_, row)| *row),
            slots: slots.into(),
            keys: keys.into(),
            ends: ends.into(),
            rows: sorted.into(),
        }
    }

    #[inline(always)]
    fn hash(&self, key: impl Iterator<Item = u64>) -> u64 {
        let mut hasher = FoldHasher::with_seed(self.seed, &self.seeds);
        key.for_each(|word| hasher.write_u64(word));
        hasher.finish()
    }

    /// The first row from number `from` on that the record matches.
    #[inline]
    pub fn first(&self, record: &FlowRecord, from: u32) -> Option<u32> {
        let mut best = u32::MAX;
        for group in &self.groups {
            if group.first >= best {
                break;
            }
            let there = record.present.all(group.present) && !record.present.any(group.absent);
            if there && group.last >= from {
                for row in self.rows_of(group, record, from) {
                    if *row >= best {
                        break;
                    }
                    if self.holds(*row, record) {
                        best = *row;
                        break;
                    }
                }
            }
        }
        (best != u32::MAX).then_some(best)
    }

    /// The rows of a group whose bits the record has, from `from` on.
    #[inline(always)]
    fn rows_of<'a>(&self, group: &'a Group, record: &FlowRecord, from: u32) -> &'a [u32] {
        let words = record.words();
        let word = |(at, mask): &(u16, u64)| {
            let word = words.get(usize::from(*at)).copied().unwrap_or_default();
            u64::from_ne_bytes(word) & mask
        };
        let wide = group.words.len();
        let is = |number: usize| {
            let key = group.keys.get(number * wide..(number + 1) * wide);
            let words = group.words.iter().map(word);
            key.is_some_and(|key| key.iter().copied().eq(words))
        };
        let found = if group.slots.is_empty() {
            (0..group.ends.len()).find(|number| is(*number))
        } else {
            let mask = group.slots.len() - 1;
            let mut slot = self.hash(group.words.iter().map(word)) as usize & mask;
            loop {
                // Half of the slots are free, so this ends.
                match group.slots.get(slot).copied().unwrap_or(0) {
                    0 => break None,
                    number if is(number as usize - 1) => break Some(number as usize - 1),
                    _ => slot = (slot + 1) & mask,
                }
            }
        };
        let Some(number) = found else {
            return &[];
        };
        let end = |number: usize| group.ends.get(number).copied().unwrap_or(0) as usize;
        let start = number.checked_sub(1).map_or(0, end);
        let rows = group.rows.get(start..end(number)).unwrap_or_default();
        match rows.first() {
            Some(first) if *first < from => {
                let at = rows.partition_point(|row| *row < from);
                rows.get(at..).unwrap_or_default()
            }
            _ => rows,
        }
    }

    #[inline]
    fn holds(&self, row: u32, record: &FlowRecord) -> bool {
        match self.tested.get(row as usize) {
            None | Some(0) => true,
            Some(at) => {
                let tests = self.tests.get(*at as usize - 1);
                tests.is_none_or(|tests| tests.iter().all(|test| test.holds(record)))
            }
        }
    }

    /// Fields that its rows look at.
    pub fn needs(&self) -> FieldSet {
        self.needs
    }

    /// How many rows it has.
    pub fn len(&self) -> usize {
        self.rows
    }

    /// Whether it has none.
    pub fn is_empty(&self) -> bool {
        self.rows == 0
    }

    /// Bytes it takes; what filters take, which rows may share, is not among them.
    pub fn size(&self) -> usize {
        let group = |g: &Group| {
            let words = g.words.len() * size_of::<(u16, u64)>() + g.keys.len() * 8;
            let numbers = g.slots.len() + g.ends.len() + g.rows.len();
            size_of::<Group>() + words + numbers * 4
        };
        let tests = self.tests.iter().flat_map(|tests| tests.iter());
        let tests: usize = tests.map(Test::size).sum();
        self.groups.iter().map(group).sum::<usize>() + self.tested.len() * 4 + tests
    }
}
