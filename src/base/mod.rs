//! Pieces with no opinion on networks: bytes, addresses, time, counting, errors.
//!
//! Not for anything that does I/O or knows a format of the wire.

pub mod addr;
pub mod bins;
pub mod civil;
pub mod cursor;
pub mod error;
pub mod intern;
pub mod ledger;
pub mod offset;
pub mod options;
pub mod text;
pub mod time;
#[cfg(feature = "time-zone")]
pub mod zone;
#[cfg(not(feature = "time-zone"))]
#[path = "utc.rs"]
pub mod zone;
