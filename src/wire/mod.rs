//! Formats of the wire, one file each: views on bytes without I/O, state, allocation or `unsafe`.
//!
//! A parser here answers with values or with [`Error`]; what to drop, count or keep is decided
//! by `decode`.
#![deny(clippy::indexing_slicing, clippy::unwrap_used, clippy::expect_used)]
#![deny(clippy::arithmetic_side_effects, clippy::panic, unsafe_code)]

pub mod flowset;
pub mod netflow5;
pub mod packet;
pub mod pcapng;
pub mod savefile;
pub mod sflow;

use crate::base::cursor::Short;

/// What is wrong with the bytes. One word, so that it costs nothing to return; the ledger counts
/// by it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Error {
    /// The input ends inside a header or value.
    Truncated,
    /// A length field contradicts what surrounds it.
    Length,
    /// A version nobody here speaks.
    Version,
    /// A type nobody here knows where one must be known.
    Type,
    /// A count that the bytes cannot hold.
    Count,
    /// More nesting than the stated limit.
    Loop,
}

impl From<Short> for Error {
    fn from(_: Short) -> Self {
        Self::Truncated
    }
}
