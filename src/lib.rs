//! weir: network accounting for the edge.
//!
//! weir turns frames and datagrams into fixed-size records, adds what it knows, sums them in
//! memory of a size you chose, and hands sorted batches to backends, while a ledger proves that
//! nothing went missing unnoticed.
//!
//! The layers, each of which may use those before it (`docs/ARCHITECTURE.md` has the exact arrows
//! and why, `tests/tidy.rs` checks them):
//!
//! 1. [`base`]: pieces with no opinion on networks; [`sys`]: the system, and all that is `unsafe`
//! 2. [`wire`]: formats of the wire; [`record`]: the table of fields, the record, plans of keys
//! 3. [`source`]: brings frames in; [`decode`]: turns them into records
//! 4. [`enrich`]: adds fields; [`rule`]: filters
//! 5. [`agg`]: sums records by key
//! 6. [`encode`]: rows as bytes; [`spool`]: what waits on disk; [`sink`]: takes rows
//! 7. [`config`]: what is wanted, typed; `compat`: the same from other programs' configurations
//! 8. [`pipeline`]: joins all that into threads; [`ctl`]: what others may ask of it
//! 9. [`cmd`]: the command line

pub mod agg;
pub mod base;
pub mod cmd;
#[cfg(any(feature = "compat-pmacct", feature = "compat-uci"))]
pub mod compat;
pub mod config;
pub mod ctl;
pub mod decode;
pub mod encode;
pub mod enrich;
pub mod pipeline;
pub mod record;
pub mod rule;
pub mod sink;
pub mod source;
pub mod spool;
pub mod sys;
pub mod wire;
