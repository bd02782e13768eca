//! Zones without a zone database: UTC and fixed offsets. Chosen when `time-zone` is not built in.
//!
//! `local` is UTC here: small boxes keep their clock so, and a file name must not depend on
//! whether a database happens to be installed.

use super::offset::{self, Span};

/// A fixed offset from UTC.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Zone(i32);

impl Zone {
    /// UTC.
    pub const UTC: Self = Self(0);

    /// `local` and `UTC` (both UTC), or an offset like `+02:00`.
    ///
    /// # Errors
    /// A sentence about a name that this build does not know.
    pub fn named(name: &str) -> Result<Self, String> {
        match offset::parse(name) {
            Some(seconds) => Ok(Self(seconds)),
            None if name == "local" => Ok(Self::UTC),
            None => Err(format!(
                "time zone {name:?} needs the zone database, and this build has no `time-zone`; \
                 it takes UTC or an offset like \"+02:00\""
            )),
        }
    }

    /// The offset at `seconds` since 1970, and how long it holds.
    pub fn span(&self, _seconds: i64) -> Span {
        Span::always(self.0)
    }
}
