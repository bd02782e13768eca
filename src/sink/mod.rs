//! Sinks take rows. Each lives on its own thread, may block, may fail, may be slow.
//!
//! Adding one: a file here, a line in the registry, a line in `Cargo.toml`. Queueing, retries,
//! and the ledger come from outside.

#[cfg(feature = "sink-file")]
mod access;
#[cfg(feature = "sink-file")]
mod child;
pub mod condition;
pub mod format;
#[cfg(any(
    feature = "sink-sqlite",
    feature = "sink-postgres",
    feature = "sink-mysql",
    feature = "sink-amqp",
    feature = "sink-mqtt"
))]
mod group;
pub mod live;
#[cfg(any(feature = "sink-amqp", feature = "sink-mqtt"))]
pub mod message;
pub mod name;
#[cfg(feature = "sink-file")]
mod part;
#[cfg(any(
    feature = "sink-postgres",
    feature = "sink-mysql",
    feature = "sink-amqp",
    feature = "sink-mqtt"
))]
pub mod peer;
pub mod registry;
#[cfg(any(feature = "sink-postgres", feature = "sink-mysql"))]
pub mod server;
#[cfg(any(
    feature = "sink-sqlite",
    feature = "sink-postgres",
    feature = "sink-mysql"
))]
pub mod sql;

use crate::base::ledger::Sum;
use crate::base::time::Nanos;
use crate::record::{Schema, counter};
use std::sync::Arc;
use std::time::Duration;

pub use registry::{Context, Kind, Opener, parse};

macro_rules! registry {
    ($($name:literal: $module:ident if $feature:literal;)*) => {
        $(#[cfg(feature = $feature)] pub mod $module;)*

        /// Every kind of sink, built in or not.
        pub static KINDS: &[Kind] = &[$(Kind {
            name: $name,
            feature: $feature,
            #[cfg(feature = $feature)]
            parse: Some($module::parse),
            #[cfg(not(feature = $feature))]
            parse: None,
        }),*];
    };
}

registry! {
    "print": print if "sink-print";
    "file": file if "sink-file";
    "memory": memory if "sink-memory";
    "sqlite": sqlite if "sink-sqlite";
    "postgres": postgres if "sink-postgres";
    "mysql": mysql if "sink-mysql";
    "amqp": amqp if "sink-amqp";
    "mqtt": mqtt if "sink-mqtt";
}

/// Identity of a batch of rows: a batch that is delivered again carries the same one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct BatchId {
    /// Drawn at each start of the daemon; it goes on over a reload.
    pub run: u64,
    /// Place of the aggregation in the configuration, which it keeps over reloads.
    pub aggregate: u32,
    /// Counts up from 0 for each aggregation; with a reload it may leave numbers out.
    pub sequence: u64,
}

/// Rows of one aggregation and one time bin, or a part of them.
#[derive(Clone, Debug)]
pub struct Rows {
    /// Which batch this is.
    pub id: BatchId,
    /// What the rows contain.
    pub schema: Arc<Schema>,
    /// Start of the time bin; the time of the flush where there are no bins.
    pub bin: Nanos,
    /// When the rows left the table (`stamp_updated`).
    pub flushed: Nanos,
    /// Rows one behind the other, each of [`Schema::row_words`] words.
    pub words: Vec<u64>,
    /// Whether these are the last rows of this flush for this bin: what collects rows (a file)
    /// is complete now.
    pub last: bool,
}

impl Rows {
    /// One row after the other: key words, then counter words.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = &[u64]> {
        self.words.chunks_exact(self.schema.row_words().max(1))
    }

    /// Number of rows.
    pub fn len(&self) -> usize {
        self.words.len() / self.schema.row_words().max(1)
    }

    /// Whether there is no row.
    pub fn is_empty(&self) -> bool {
        self.words.is_empty()
    }

    /// Rows, packets and bytes.
    pub fn sum(&self) -> Sum {
        self.sum_of(&self.words)
    }

    /// Of some of the rows.
    pub fn sum_of(&self, words: &[u64]) -> Sum {
        let keys = self.schema.key.len();
        let count = |row: &[u64], at| row.get(keys + at).copied().unwrap_or(0);
        let rows = words.chunks_exact(self.schema.row_words().max(1));
        rows.fold(Sum::default(), |sum, row| {
            sum + Sum::one(count(row, counter::PACKETS), count(row, counter::BYTES))
        })
    }
}

/// Why rows were not stored.
#[derive(Debug)]
pub enum SinkError {
    /// It may work later: full disk, locked database, lost connection. The rows stay queued.
    Retry {
        /// What happened, for log and status.
        why: String,
        /// How long to wait before the next attempt.
        after: Duration,
    },
    /// These rows can never be stored (say, a value the backend refuses). They are dropped and
    /// counted.
    Refused(String),
}

/// Takes rows. May block; lives on its own thread.
pub trait Sink: Send {
    /// Stores all rows, or none: after `Retry` the same rows come again, with the same identity,
    /// and must not count twice where the backend can tell.
    ///
    /// # Errors
    /// Why the rows are not stored, and whether to try again.
    fn write(&mut self, rows: &Rows) -> Result<(), SinkError>;

    /// Asked once, after [`write`](Self::write) has stored a batch: what of it can never be stored
    /// (say, in a file whose name is a folder's), and why. That is dropped and counted.
    fn refused(&mut self) -> Option<(Sum, String)> {
        None
    }

    /// Nothing more will come: everything written so far must survive a crash from here on, and
    /// be where whoever comes next looks for it.
    ///
    /// # Errors
    /// As for [`write`](Self::write).
    fn sync(&mut self) -> Result<(), SinkError> {
        Ok(())
    }

    /// Whether rows it has taken would be lost if weir died now, as those in a file that is not
    /// complete: then the spool keeps them until this is no longer so.
    fn holds(&self) -> bool {
        false
    }

    /// Called when the queue has run empty: for timeouts and housekeeping. Gives the time after
    /// which it wants to be called again; none when it has nothing to do until rows come.
    ///
    /// # Errors
    /// As for [`write`](Self::write).
    fn idle(&mut self) -> Result<Option<Duration>, SinkError> {
        Ok(None)
    }
}
