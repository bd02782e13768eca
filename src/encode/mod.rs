//! Rows as text (JSON, CSV, tables, SQL) and as frames. All of it is generic over a [`Schema`].
//!
//! Everything appends to a `Vec<u8>`; where the bytes go is not known here.

pub mod binary;
pub mod csv;
pub mod json;
pub mod order;
pub mod pen;
pub mod proto;
#[cfg(test)]
pub mod sample;
pub mod sql;
pub mod text;
pub mod value;

pub use csv::Csv;
pub use json::Json;
pub use text::Text;
pub use value::{Style, Times};

use crate::base::time::Nanos;
use crate::record::Schema;
use std::sync::Arc;

/// A format of text.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Format {
    /// Values with a separator between them, a header first.
    #[default]
    Csv,
    /// One JSON object per line.
    Json,
    /// Aligned columns for people.
    Table,
}

impl Format {
    /// The words of the configuration.
    pub const CHOICES: &'static [(&'static str, Self)] = &[
        ("csv", Self::Csv),
        ("json", Self::Json),
        ("table", Self::Table),
    ];
}

/// Writes the rows of one schema in one format.
#[derive(Clone, Debug)]
pub enum Encoder {
    /// See [`Csv`].
    Csv(Csv),
    /// See [`Json`].
    Json(Json),
    /// See [`Text`].
    Table(Text),
}

impl Encoder {
    /// For rows of `schema`, as `style` says.
    pub fn new(format: Format, schema: Arc<Schema>, style: &Style) -> Self {
        match format {
            Format::Csv => Self::Csv(Csv::new(schema, style)),
            Format::Json => Self::Json(Json::new(schema, style)),
            Format::Table => Self::Table(Text::new(schema, style)),
        }
    }

    /// What stands before the first row of a file: names of the columns in CSV.
    pub fn header(&self, out: &mut Vec<u8>) {
        if let Self::Csv(csv) = self {
            csv.header(out);
        }
    }

    /// Rows that lie one behind the other; a table keeps them until [`finish`](Self::finish).
    pub fn rows(&mut self, words: &[u64], flushed: Nanos, out: &mut Vec<u8>) {
        match self {
            Self::Csv(csv) => csv.rows(words, flushed, out),
            Self::Json(json) => json.rows(words, flushed, out),
            Self::Table(text) => text.rows(words, flushed, out),
        }
    }

    /// Writes what was kept; the rows were the last ones.
    pub fn finish(&mut self, out: &mut Vec<u8>) {
        if let Self::Table(text) = self {
            text.finish(out);
        }
    }
}
