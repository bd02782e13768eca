//! Rows as bytes: JSON, CSV, tables, Avro, SQL, frames. All of it is generic over a [`Schema`].
//!
//! Everything appends to a `Vec<u8>`; where the bytes go is not known here.

#[cfg(feature = "enc-avro")]
pub mod avro;
#[cfg(not(feature = "enc-avro"))]
#[path = "none.rs"]
pub mod avro;
pub mod binary;
pub mod csv;
pub mod dialect;
mod encoder;
pub mod forwarding;
pub mod json;
pub mod list;
mod literal;
pub mod order;
pub mod pen;
#[cfg(test)]
pub mod sample;
pub mod sql;
pub mod text;
pub mod value;

pub use crate::base::proto;
pub use csv::Csv;
pub use encoder::{Encoder, Format, Join};
pub use json::Json;
pub use text::Text;
pub use value::{Arrays, Style, Times};

#[cfg(doc)]
use crate::record::Schema;
