//! Rows as bytes that any weir reads: on the disk between two runs, and from one weir to another.
//!
//! A frame holds one batch of rows and all that is needed to understand it: who made it, its
//! identity, the names and kinds of its columns, the texts that its symbols stand for. Nothing in
//! it depends on word size, byte order, or the order of the table of fields. `docs/FRAME.md` is
//! the specification; a golden frame holds this code to it. What reads frames is [`read`].
//!
//! Values lie column by column: a column in which all rows are equal (the bin, an exporter) is
//! written once, numbers are as short as they are small, times are told by their differences.
//!
//! Not for damage: whoever stores or sends a frame guards it with a checksum. A frame that is
//! damaged all the same, or made by an enemy, is refused and never more than that.

pub mod read;

use crate::base::addr::Ip;
use crate::base::intern::{Interner, Sym};
use crate::base::time::Nanos;
use crate::record::schema::What;
use crate::record::{Column, Form, Kind, Merge, Schema};
use std::collections::HashMap;

/// What a frame begins with.
pub const MAGIC: [u8; 3] = *b"WRF";

/// The version that is written, and the newest that is read.
pub const VERSION: u8 = 1;

/// Most words of rows in a frame, when they are in memory: sixteen usual batches.
pub const WORDS_MAX: usize = 1 << 17;

/// Longest name of a box, an aggregation or a column, in bytes.
pub const NAME_MAX: usize = 255;

/// Most columns.
pub const COLUMNS_MAX: usize = 256;

/// Bits of a frame's flags.
pub(super) mod flag {
    pub const LAST: u64 = 1;
    pub const FLOWS: u64 = 2;
    pub const BOTH_ENDS: u64 = 4;
    pub const BINNED: u64 = 8;
    /// Flows are counted for what judges rows, and not shown.
    pub const HIDDEN_FLOWS: u64 = 16;
    pub const ALL: u64 = 31;
}

/// How values are written, whatever is made of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Shape {
    Number = 0,
    Ip = 1,
    Mac = 2,
    Text = 3,
    Time = 4,
    /// Up to eight bytes, the first of them in the highest byte of the word.
    Bytes = 5,
}

impl Shape {
    pub(super) fn of(kind: Kind, form: Form) -> Self {
        match (kind, form) {
            (Kind::Ip, _) | (_, Form::Ip6) => Self::Ip,
            (Kind::Mac, _) => Self::Mac,
            (Kind::Text, _) | (_, Form::Text | Form::Raw) => Self::Text,
            (Kind::Time, _) => Self::Time,
            (_, Form::ShortText | Form::ShortRaw(_)) => Self::Bytes,
            _ => Self::Number,
        }
    }
}

/// How frames name the forms of primitives of the configuration, in place of a [`Shape`].
const FORMS: [(u8, Form); 9] = [
    (0x10, Form::Number),
    (0x11, Form::Hex),
    (0x12, Form::Ip4),
    (0x13, Form::Ip6),
    (0x14, Form::Mac),
    (0x15, Form::ShortText),
    (0x16, Form::Text),
    (0x17, Form::Raw),
    (0x18, Form::Nothing),
];

/// The same of bytes that are kept in the record itself, to be added to their number.
const SHORT_RAW: u8 = 0x20;

fn code(form: Form) -> u8 {
    match form {
        Form::ShortRaw(len) => SHORT_RAW + len,
        form => FORMS.iter().find(|f| f.1 == form).map_or(0, |f| f.0),
    }
}

pub(super) fn form(code: u8) -> Option<Form> {
    match code.checked_sub(SHORT_RAW) {
        Some(len @ 1..=7) => Some(Form::ShortRaw(len)),
        _ => FORMS.iter().find(|f| f.0 == code).map(|f| f.1),
    }
}

/// A column has a value for each row.
pub(super) const EACH: u8 = 0;
/// A column has one value for all rows.
pub(super) const ALIKE: u8 = 1;

/// Names of what no field has: counters, and what tells traffic, events and options apart.
pub(super) const PACKETS: &str = "packets";
pub(super) const BYTES: &str = "bytes";
pub(super) const FLOWS: &str = "flows";
pub(super) const KIND: &str = "record_kind";

/// Rows with all that a frame says of them.
#[derive(Clone, Copy, Debug)]
pub struct Batch<'a> {
    /// The weir that made them; empty where that is the one who reads.
    pub maker: &'a str,
    /// Identity: drawn at each start, the aggregation's place, counted up.
    pub id: (u64, u32, u64),
    /// What the rows contain.
    pub schema: &'a Schema,
    /// Start of their time bin.
    pub bin: Nanos,
    /// When they left the table.
    pub flushed: Nanos,
    /// Whether they are the last ones of their flush for this bin.
    pub last: bool,
    /// Rows one behind the other.
    pub words: &'a [u64],
}

/// There is more in a batch than a frame may hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TooLarge;

/// Appends the frame of `batch` to `out`, which is as before when that fails.
///
/// # Errors
/// When the batch has more rows, columns, or longer names than a frame may have.
pub fn write(batch: &Batch<'_>, out: &mut Vec<u8>) -> Result<(), TooLarge> {
    let schema = batch.schema;
    let size = schema.row_words().max(1);
    let columns = columns(schema);
    let long = |name: &str| name.len() > NAME_MAX;
    if batch.words.len() > WORDS_MAX
        || columns.len() > COLUMNS_MAX
        || long(batch.maker)
        || long(&schema.name)
        || columns.iter().any(|c| long(schema.field_name(c.what)))
    {
        return Err(TooLarge);
    }
    let flows = schema.counter.flows_at().is_some();
    let shown = schema.column(What::Flows).is_some();
    let mut flags = 0;
    for (bit, is) in [
        (flag::LAST, batch.last),
        (flag::FLOWS, flows && shown),
        (flag::HIDDEN_FLOWS, flows && !shown),
        (flag::BOTH_ENDS, schema.key.counts_both_ends()),
        (flag::BINNED, schema.binned),
    ] {
        flags |= if is { bit } else { 0 };
    }
    out.extend_from_slice(&MAGIC);
    out.push(VERSION);
    varint(out, flags);
    text(out, batch.maker.as_bytes());
    text(out, schema.name.as_bytes());
    let (run, aggregate, sequence) = batch.id;
    out.extend_from_slice(&run.to_le_bytes());
    for number in [
        u64::from(aggregate),
        sequence,
        batch.bin.0,
        batch.flushed.0,
        (batch.words.len() / size) as u64,
    ] {
        varint(out, number);
    }
    let texts = Texts::of(batch, &columns);
    texts.write(&schema.symbols, out);
    put(batch, &columns, &texts, out);
    Ok(())
}

fn put(batch: &Batch<'_>, columns: &[Column], texts: &Texts, out: &mut Vec<u8>) {
    varint(out, columns.len() as u64);
    let mut data = Vec::new();
    for column in columns {
        let shape = Shape::of(column.kind, column.form);
        data.clear();
        let alike = values(column, shape, batch, texts, &mut data);
        text(out, batch.schema.field_name(column.what).as_bytes());
        match column.what {
            What::Field(field) if column.kind == Kind::Custom => {
                let slot = field.slot().unwrap_or_default();
                out.extend_from_slice(&[code(column.form), slot as u8]);
            }
            _ => out.push(shape as u8),
        }
        out.push(if alike { ALIKE } else { EACH });
        text(out, &data);
    }
}

/// Columns in an order from which the same plans come about: merged fields as they are merged.
fn columns(schema: &Schema) -> Vec<Column> {
    let mut columns = schema.places();
    columns.sort_by_key(|column| match column.what {
        What::Field(field) if field.info().merge != Merge::Key => {
            (1, schema.counter.position(field))
        }
        What::Field(_) => (0, None),
        _ => (2, None),
    });
    columns
}

/// The values of a column; whether they are all the same and written once.
fn values(
    column: &Column,
    shape: Shape,
    batch: &Batch<'_>,
    texts: &Texts,
    out: &mut Vec<u8>,
) -> bool {
    let mut rows = batch.words.chunks_exact(batch.schema.row_words().max(1));
    let same = |row: &[u64], other: &[u64]| match shape {
        Shape::Ip => column.ip(row) == column.ip(other),
        _ => column.number(row) == column.number(other),
    };
    let first = rows.clone().next().unwrap_or_default();
    let alike = rows.len() > 1 && rows.all(|row| same(row, first));
    let count = if alike { 1 } else { usize::MAX };
    let rows = batch.words.chunks_exact(batch.schema.row_words().max(1));
    let mut before = batch.bin.0;
    for row in rows.take(count) {
        match shape {
            Shape::Number => varint(out, column.number(row)),
            Shape::Mac => out.extend_from_slice(&column.mac(row).0),
            Shape::Ip => ip(out, column.ip(row)),
            Shape::Text => varint(out, texts.place(Sym(column.number(row) as u32))),
            Shape::Bytes => {
                let bytes = column.number(row).to_be_bytes();
                let len = bytes
                    .iter()
                    .rposition(|b| *b != 0)
                    .map_or(0, |last| last + 1);
                text(out, bytes.get(..len).unwrap_or_default());
            }
            Shape::Time => {
                let time = column.number(row);
                varint(out, zigzag(time.wrapping_sub(before) as i64));
                before = time;
            }
        }
    }
    alike
}

/// The texts of a frame, each once, in order of appearance. Two symbols are the same everywhere
/// and need none: the empty text and the one that stands for all that found no room.
#[derive(Default)]
struct Texts {
    symbols: Vec<Sym>,
    places: HashMap<u32, u64>,
}

/// Place of the first text.
pub(super) const TEXTS_FROM: u64 = 2;

impl Texts {
    fn of(batch: &Batch<'_>, columns: &[Column]) -> Self {
        let mut texts = Self::default();
        let size = batch.schema.row_words().max(1);
        for column in columns.iter().filter(|c| c.is_symbol()) {
            for row in batch.words.chunks_exact(size) {
                let symbol = Sym(column.number(row) as u32);
                if symbol != Sym::EMPTY && symbol != Sym::OVERFLOW {
                    let next = texts.symbols.len() as u64 + TEXTS_FROM;
                    let place = texts.places.entry(symbol.0).or_insert(next);
                    if *place == next {
                        texts.symbols.push(symbol);
                    }
                }
            }
        }
        texts
    }

    fn place(&self, symbol: Sym) -> u64 {
        match symbol {
            Sym::EMPTY | Sym::OVERFLOW => u64::from(symbol.0),
            symbol => self.places.get(&symbol.0).copied().unwrap_or_default(),
        }
    }

    fn write(&self, store: &Interner, out: &mut Vec<u8>) {
        varint(out, self.symbols.len() as u64);
        let mut one = Vec::new();
        for symbol in &self.symbols {
            one.clear();
            store.read(*symbol, &mut one);
            text(out, &one);
        }
    }
}

/// An address behind its length: none at all where it is absent, four bytes of IPv4.
fn ip(out: &mut Vec<u8>, ip: Ip) {
    let short = match ip.0 {
        [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, ..] => ip.0.get(12..),
        bytes if bytes == [0; 16] => Some(&[][..]),
        _ => None,
    };
    text(out, short.unwrap_or(&ip.0));
}

/// Bytes behind their length.
fn text(out: &mut Vec<u8>, bytes: &[u8]) {
    varint(out, bytes.len() as u64);
    out.extend_from_slice(bytes);
}

/// A number in groups of seven bits, the least first; the high bit says that more follow.
fn varint(out: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        out.push(number as u8 | 0x80);
        number >>= 7;
    }
    out.push(number as u8);
}

/// A small difference of either sign as a small number.
fn zigzag(number: i64) -> u64 {
    ((number << 1) ^ (number >> 63)) as u64
}

#[cfg(test)]
mod tests;
