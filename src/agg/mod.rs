//! Aggregation: records in, sums by key, in memory of a fixed size.
//!
//! Not for knowing where rows go: a full or finished table is handed to the pipeline.

pub mod full;
pub mod prorate;
pub mod sieve;
pub mod table;
pub mod window;

pub use table::Table;
pub use window::{Aggregator, Drained, Settings};
