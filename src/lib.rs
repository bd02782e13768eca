//! weir: network accounting for the edge.
//!
//! weir turns frames and datagrams into fixed-size records, adds what it knows, sums them in
//! memory of a size you chose, and hands sorted batches to backends, while a ledger proves that
//! nothing went missing unnoticed.
//!
//! The modules below stand in the order of the layers; each may use those above it.
//! `docs/ARCHITECTURE.md` tells why, `tests/tidy.rs` checks the arrows.

pub mod agg;
pub mod base;
pub mod cmd;
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
pub mod sys;
pub mod wire;
