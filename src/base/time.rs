//! Points in time and where they come from.
//!
//! Time arrives with the frames: the data path never asks the system. Only [`wall`] reads the
//! clock, and only timers, live sources and outputs call it, once per batch at the most.

use std::time::{SystemTime, UNIX_EPOCH};

/// Nanoseconds since 1970-01-01 00:00:00 UTC. Zero means *not known*.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Nanos(pub u64);

/// Nanoseconds in a second.
pub const SECOND: u64 = 1_000_000_000;

impl Nanos {
    /// From whole seconds and nanoseconds; saturates.
    #[inline]
    pub fn new(seconds: u64, nanos: u32) -> Self {
        Self(
            seconds
                .saturating_mul(SECOND)
                .saturating_add(u64::from(nanos)),
        )
    }

    /// From milliseconds; saturates.
    #[inline]
    pub fn from_millis(ms: u64) -> Self {
        Self(ms.saturating_mul(1_000_000))
    }

    /// Whole seconds.
    #[inline]
    pub fn seconds(self) -> u64 {
        self.0 / SECOND
    }

    /// Nanoseconds past the whole second.
    #[inline]
    pub fn fraction(self) -> u32 {
        (self.0 % SECOND) as u32
    }
}

/// The system's wall clock, now.
pub fn wall() -> Nanos {
    let since = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    Nanos::new(since.as_secs(), since.subsec_nanos())
}
