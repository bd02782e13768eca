//! The heart: the table of fields, the record, and the plans derived from lists of fields.
//!
//! Not for knowing where records come from or where rows go.

pub mod batch;
pub mod counter;
pub mod custom;
pub mod field;
pub mod flow;
pub mod kept;
pub mod key;
pub mod rd;
pub mod schema;

pub use batch::Batch;
pub use counter::CounterPlan;
pub use custom::{Custom, Customs, Form};
pub use field::{FIELDS, Field, FieldSet, Giver, Info, Kind, Merge, TABLE};
pub use flow::{FlowRecord, RecordKind};
pub use kept::Kept;
pub use key::{KeyLines, KeyPlan};
pub use rd::{Origin, Rd};
pub use schema::{Column, Schema, Value};
