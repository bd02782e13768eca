//! Rules decide which frames and records count, and what they are tagged with.
//!
//! Not for what else a record contains: that is `enrich`.

pub mod bpf;
pub mod condition;
pub mod filter;
pub mod index;
pub mod lookup;
pub mod map;
pub mod pattern;
pub mod tag;
pub mod unlabel;
pub mod verdict;
