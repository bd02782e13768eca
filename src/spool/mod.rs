//! The spool: a bounded log on disk of what an output could not take yet.
//!
//! A folder of *segments*, files that grow to a fixed size and are deleted as a whole. In a
//! segment lie *frames*, each with its length, its place, what it counts (rows, packets, bytes) and
//! two checksums; beside it lies a file that says which of its frames were acknowledged. Frames
//! are read oldest first. When the log is full or frames are too old, the oldest segment is given
//! up, and what was in it is counted. `docs/SPOOL.md` has the formats byte by byte.
//!
//! What the bytes of a frame mean is not known here, nor why they are kept: that is the
//! pipeline's business, as are locks and threads. A log belongs to whoever holds it.

#[cfg(feature = "spool")]
mod folder;
#[cfg(feature = "spool")]
mod known;
#[cfg(feature = "spool")]
pub mod log;
#[cfg(feature = "spool")]
mod segment;

#[cfg(not(feature = "spool"))]
#[path = "absent.rs"]
pub mod log;

pub use log::{Built, Log};

use crate::base::ledger::Sum;
use crate::base::time::Nanos;
use std::path::PathBuf;
use std::time::{Duration, Instant};

/// When what was written is forced to the disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sync {
    /// Before a frame counts as kept.
    Always,
    /// After so long at the most.
    Every(Duration),
    /// When the system thinks it is time.
    Never,
}

/// How a log is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Its folder, which is nobody else's.
    pub folder: PathBuf,
    /// Bytes that it may take.
    pub size: u64,
    /// What is older is given up.
    pub age: Option<Duration>,
    /// When it is forced to the disk.
    pub sync: Sync,
    /// Bytes that may be written in a day (of UTC), for the sake of flash memory.
    pub daily: Option<u64>,
}

/// Segments in a full log, so that what is given up at a time is a small part of it.
const SEGMENTS: u64 = 16;

/// Segments beyond those.
const MORE: u64 = 256;

/// Smallest and largest size of a segment.
const SEGMENT: (u64, u64) = (64 << 10, 8 << 20);

impl Settings {
    /// Bytes of a segment, about.
    fn segment(&self) -> u64 {
        (self.size / SEGMENTS).clamp(SEGMENT.0, SEGMENT.1)
    }

    /// Segments that there may be. Those that are cut for their age come on top, and those of
    /// many short runs.
    fn segments(&self) -> u64 {
        self.size / self.segment() + MORE
    }

    /// Memory that knowing a full log takes, in bytes.
    pub fn memory(&self) -> usize {
        usize::try_from(log::memory(self, self.segments())).unwrap_or(usize::MAX)
    }
}

/// Since when something waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Since {
    /// By the clock that an earlier run had.
    Wall(Nanos),
    /// By one that nobody sets.
    Steady(Instant),
}

impl Since {
    /// How long that is.
    pub fn age(self, now: Nanos) -> Duration {
        match self {
            Self::Wall(at) => Duration::from_nanos(now.0.saturating_sub(at.0)),
            Self::Steady(at) => at.elapsed(),
        }
    }
}

/// Where a frame lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// Number of its segment.
    pub segment: u64,
    /// Its number in there.
    pub frame: u32,
}

/// How a frame is to be kept.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Keep {
    /// Whoever hands it over holds it in memory as well, and does not want to read it.
    pub held: bool,
    /// Even beyond what may be written in a day.
    pub at_any_cost: bool,
}

/// Why a log can not be opened.
#[derive(Debug)]
pub enum Shut {
    /// For good, or until somebody does something about it: in words.
    Refused(String),
    /// It may work later: a disk that is full or read-only.
    Trouble(std::io::Error),
}

/// Why a frame was not kept.
#[derive(Debug)]
pub enum Trouble {
    /// What may be written in a day is spent.
    Spent,
    /// It alone is larger than the log may be.
    TooLarge,
    /// What the system says.
    Io(std::io::Error),
}

/// Why frames were given up, as in metrics.
pub const REASONS: [&str; 4] = ["size", "age", "damaged", "later"];

/// Places in [`REASONS`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// The log was full.
    Size,
    /// They were too old.
    Age,
    /// They could not be read.
    Damaged,
    /// A later weir wrote them; they stay on the disk for it.
    Later,
}

/// How full a log is, and what became of what was in it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// Bytes on the disk.
    pub used: u64,
    /// Bytes that there may be.
    pub most: u64,
    /// Frames that wait to be read.
    pub frames: u64,
    /// What they count.
    pub waiting: Sum,
    /// Since when the oldest of that waits.
    pub oldest: Option<Since>,
    /// Bytes written today.
    pub wear: u64,
    /// Bytes that may be written in a day.
    pub wear_most: Option<u64>,
    /// What was given up since the log was opened, by reason.
    pub given_up: [Sum; REASONS.len()],
    /// Bytes that were damaged, be they frames or not.
    pub damaged: u64,
}
