//! Rules decide which frames and records count.
//!
//! Not for what a record contains: that is `enrich`.

pub mod bpf;
pub mod filter;
