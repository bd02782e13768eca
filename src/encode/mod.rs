//! Rows as text: JSON, CSV, tables, SQL. All of it is generic over a [`Schema`](crate::record::Schema).
//!
//! Everything appends to a `Vec<u8>`; where the bytes go is not known here.

pub mod order;
pub mod pen;
pub mod proto;
pub mod sql;
pub mod value;

pub use value::{Style, Times};
