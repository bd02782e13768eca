//! [`Index`]: the first of many rows that a record matches, without looking at all of them.
//!
//! Rows that ask for the same bits of a record are a group with a hash table over those bits, so
//! a record costs one look-up for each group, however many rows the group has. What a table can
//! not answer (negations, filters) is asked of the rows it finds; a row that has nothing else is
//! in a group of its own kind, which is walked. Groups come in the order of their first rows and
//! are left as soon as an earlier row has been found, so the order of the file is kept.

mod group;

use super::filter::Filter;
use super::pattern::Pattern;
use crate::record::{Batch, FieldSet, FlowRecord};
use group::{Asked, Group, Shape};
use std::collections::HashMap;
use std::sync::Arc;

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

/// Rows by what they ask for.
#[derive(Debug)]
pub struct Index {
    groups: Vec<Group>,
    /// For each row the place of its tests, from 1; empty where no row has any.
    tested: Box<[u32]>,
    tests: Box<[Box<[Test]>]>,
    needs: FieldSet,
    rows: usize,
    /// The group that is larger than a fast cache, if any is; the largest.
    large: Option<usize>,
}

/// Bytes of a group that are too many for a fast cache.
const LARGE: usize = 128 << 10;

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
        let mut groups: Vec<Group> = (self.groups.into_iter())
            .map(|(shape, rows)| Group::new(shape, &rows))
            .collect();
        groups.sort_by_key(Group::first);
        let places = 0..groups.len();
        let largest = places.max_by_key(|at| groups[*at].spread());
        Index {
            large: largest.filter(|at| groups[*at].spread() > LARGE),
            groups,
            tested: if self.tests.is_empty() {
                Box::default()
            } else {
                self.tested.into()
            },
            tests: self.tests.into(),
            needs: self.needs,
            rows: self.rows as usize,
        }
    }
}

impl Index {
    /// The first row from number `from` on that the record matches.
    #[inline]
    pub fn first(&self, record: &FlowRecord, from: u32) -> Option<u32> {
        let mut best = u32::MAX;
        for group in &self.groups {
            if group.first() >= best {
                break;
            }
            let Some((row, more)) = group.rows(record, from) else {
                continue;
            };
            if row < best && self.holds(row, record) {
                best = row;
                continue;
            }
            let holds = |row: &u32| self.holds(*row, record);
            let earlier = more.iter().copied().take_while(|row| *row < best);
            if let Some(row) = earlier.into_iter().find(holds) {
                best = row;
            }
        }
        (best != u32::MAX).then_some(best)
    }

    /// Reads what look-ups of all these records will need, so that waiting for memory overlaps.
    /// Gives a number that depends on it, for the caller to keep.
    #[inline]
    pub fn touch(&self, records: &[FlowRecord]) -> u64 {
        let group = self.large.and_then(|at| self.groups.get(at));
        let Some(group) = group else {
            return 0;
        };
        let mut numbers = [0; Batch::SIZE];
        for (number, record) in numbers.iter_mut().zip(records) {
            *number = group.touch_slot(record);
        }
        let entries = numbers.iter().map(|number| group.touch_entry(*number));
        entries.fold(0, |all, entry| all ^ entry)
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
        let tests = self.tests.iter().flat_map(|tests| tests.iter());
        let tests: usize = tests.map(Test::size).sum();
        self.groups.iter().map(Group::size).sum::<usize>() + self.tested.len() * 4 + tests
    }
}
