//! Live tables by name: sinks that keep rows to be asked for, and what one may ask them.
//!
//! A sink registers itself when it is opened and is forgotten when it is dropped. Always there,
//! so that whoever asks need not know which sinks are built in. Not for printing rows.

use crate::base::time::Nanos;
use crate::encode::Style;
use crate::record::schema::What;
use crate::record::{Field, Schema};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

/// What rows are sorted by, largest first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Sort {
    /// Bytes.
    #[default]
    Bytes,
    /// Packets.
    Packets,
    /// Flows; bytes where none are counted.
    Flows,
}

impl Sort {
    /// The words of requests and command lines.
    pub const CHOICES: &'static [(&'static str, Self)] = &[
        ("bytes", Self::Bytes),
        ("packets", Self::Packets),
        ("flows", Self::Flows),
    ];

    /// The words alone.
    pub const WORDS: [&'static str; 3] =
        [Self::CHOICES[0].0, Self::CHOICES[1].0, Self::CHOICES[2].0];

    /// The one of this word.
    pub fn named(word: &str) -> Option<Self> {
        let found = Self::CHOICES.iter().find(|(known, _)| *known == word);
        found.map(|(_, sort)| *sort)
    }

    /// Its word.
    pub fn word(self) -> &'static str {
        let found = Self::CHOICES.iter().find(|(_, sort)| *sort == self);
        found.map_or("", |(word, _)| word)
    }

    /// The column that is meant.
    pub fn what(self) -> What {
        match self {
            Self::Bytes => What::Bytes,
            Self::Packets => What::Packets,
            Self::Flows => What::Flows,
        }
    }
}

/// A question for rows.
#[derive(Clone, Debug, Default)]
pub struct Query {
    /// Conditions like `src_host=10.0.0.0/8` or `proto!=udp`; all must hold.
    pub conditions: Vec<String>,
    /// Fields to sum by; empty for those of the table.
    pub by: Vec<Field>,
    /// What comes first.
    pub sort: Sort,
    /// How many rows at the most.
    pub top: Option<usize>,
    /// Whether the rows that match are taken out of the table.
    pub reset: bool,
}

/// Rows of one aggregation that were found.
#[derive(Clone, Debug)]
pub struct Found {
    /// What the rows contain.
    pub schema: Arc<Schema>,
    /// Rows one behind the other.
    pub words: Vec<u64>,
    /// For each row, when it was first and last added to.
    pub ages: Vec<(Nanos, Nanos)>,
    /// Rows, packets, bytes and flows of all that match, with those beyond `top`.
    pub total: Total,
    /// Since when the table counts: its beginning, or the last time it was emptied.
    pub since: Nanos,
    /// How values are shown.
    pub style: Style,
}

/// What rows hold together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Total {
    /// Rows.
    pub rows: u64,
    /// Packets.
    pub packets: u64,
    /// Bytes.
    pub bytes: u64,
    /// Flows, where they are counted.
    pub flows: u64,
}

/// How full a live table is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// Rows.
    pub rows: usize,
    /// Bytes taken.
    pub used: usize,
    /// Bytes allowed.
    pub most: usize,
    /// Rows that found no room and were counted in the row of zeroes.
    pub folded: u64,
}

/// A table that can be asked.
pub trait Live: Send + Sync {
    /// The rows that are asked for, of each aggregation that the table holds.
    ///
    /// # Errors
    /// What is wrong with the question.
    fn query(&self, query: &Query) -> Result<Vec<Found>, String>;

    /// How full it is.
    fn usage(&self) -> Usage;
}

type Registry = Vec<(String, Weak<dyn Live>)>;

static TABLES: Mutex<Registry> = Mutex::new(Vec::new());

fn tables() -> MutexGuard<'static, Registry> {
    let mut tables = TABLES.lock().unwrap_or_else(PoisonError::into_inner);
    tables.retain(|(_, table)| table.strong_count() > 0);
    tables
}

/// Makes a table known under the name of its output, in place of one before it.
pub fn register(name: &str, table: &Arc<dyn Live>) {
    let mut tables = tables();
    tables.retain(|(known, _)| known != name);
    tables.push((name.into(), Arc::downgrade(table)));
    tables.sort_by(|a, b| a.0.cmp(&b.0));
}

/// The table of the output `name`.
pub fn find(name: &str) -> Option<Arc<dyn Live>> {
    let tables = tables();
    let found = tables.iter().find(|(known, _)| known == name);
    found.and_then(|(_, table)| table.upgrade())
}

/// Names of all tables.
pub fn names() -> Vec<String> {
    tables().iter().map(|(name, _)| name.clone()).collect()
}
