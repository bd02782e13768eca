//! The heart: the table of fields, the record, and the plans derived from lists of fields.
//!
//! Not for knowing where records come from or where rows go.

pub mod batch;
pub mod counter;
pub mod field;
pub mod flow;
pub mod kept;
pub mod key;
pub mod schema;

pub use batch::Batch;
pub use counter::CounterPlan;
pub use field::{FIELDS, Field, FieldSet, Giver, Info, Kind, Merge};
pub use flow::FlowRecord;
pub use kept::Kept;
pub use key::{KeyLines, KeyPlan};
pub use schema::{Column, Schema, Value};
