//! Avro: rows as records of a schema, in an object container file or as JSON with Avro's wrapping
//! of unions.
//!
//! The record is `acct_data`; its fields are the keys of JSON, its whole numbers `long`. A field
//! that a row may lack is a union with null: stamps, the times of stitching, counters (`flows`
//! is always in the schema). With markers a file holds three kinds of records, so its schema is a
//! union of `acct_data`, `acct_init` and `acct_close`. Not for reading: that is the business of
//! whoever takes the file, but for [`container`], which finds the end of one to go on from.

pub mod container;

use super::Join;
use super::json::{self, Frame, Json, Part, Parts};
use super::list;
use super::order::{AVRO_ORDER, Out};
use super::pen::Pen;
use super::value::{Entry, Show, Style};
use crate::base::time::Nanos;
use crate::record::schema::What;
use crate::record::{Field, Schema};
use std::sync::Arc;

/// Bytes of rows in one block of a container, about.
const BLOCK: usize = 64 << 10;

/// Place of each record in the union of a file with markers.
const INIT: i64 = 1;
const CLOSE: i64 = 2;

/// Type of a field, apart from whether it may be null.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Int,
    Long,
    Double,
    Text,
    Array,
    Map,
}

/// One field of the record.
#[derive(Clone, Debug)]
struct Slot {
    key: Box<str>,
    kind: Kind,
    /// Whether it is a union with null.
    optional: bool,
    /// Whether it is a counter.
    counts: bool,
    /// Where its value comes from; none is null in every row.
    part: Option<Part>,
}

impl Slot {
    fn new(key: &str, part: Part) -> Self {
        let what = match part {
            Part::Plain(entry) => Some(entry.column.what),
            _ => None,
        };
        let kind = match part {
            Part::Plain(entry) if entry.is_number() => match what {
                Some(What::Field(Field::FlowLabel | Field::TunnelFlowLabel)) => Kind::Int,
                _ => Kind::Long,
            },
            Part::Real(_) => Kind::Double,
            Part::Items(..) | Part::Flags(_) => Kind::Array,
            Part::Pairs(_) => Kind::Map,
            Part::Plain(_) | Part::Origin(_) | Part::Updated => Kind::Text,
        };
        let stitched = [Field::Bin, Field::TimestampMin, Field::TimestampMax];
        let stamp = stitched.map(|field| Some(What::Field(field)));
        Self {
            key: key.into(),
            kind,
            optional: matches!(part, Part::Updated) || stamp.contains(&what),
            counts: false,
            part: Some(part),
        }
    }

    fn describe(&self) -> String {
        let kind = match self.kind {
            Kind::Int => "\"int\"",
            Kind::Long => "\"long\"",
            Kind::Double => "\"double\"",
            Kind::Text => "\"string\"",
            Kind::Array => "{\"type\":\"array\",\"items\":\"string\"}",
            Kind::Map => "{\"type\":\"map\",\"values\":\"string\"}",
        };
        let key = &self.key;
        if self.optional {
            format!("{{\"name\":\"{key}\",\"type\":[\"null\",{kind}]}}")
        } else {
            format!("{{\"name\":\"{key}\",\"type\":{kind}}}")
        }
    }
}

/// The fields of `acct_data`.
fn slots(schema: &Schema, style: &Style) -> Vec<Slot> {
    let parts = json::parts(schema, AVRO_ORDER, style).into_iter();
    let mut slots: Vec<Slot> = parts.map(|(key, part)| Slot::new(key, part)).collect();
    // Counters are in every schema; what is not counted is null.
    for what in [What::Packets, What::Flows, What::Bytes] {
        let column = schema.column(what).filter(|_| style.counters);
        slots.push(Slot {
            key: Out::Row(what).json(schema).into(),
            kind: Kind::Long,
            optional: true,
            counts: true,
            part: column.map(|column| Part::Plain(Entry::new(*column, style))),
        });
    }
    slots
}

fn record(name: &str, fields: &[String]) -> String {
    format!(
        "{{\"type\":\"record\",\"name\":\"{name}\",\"fields\":[{}]}}",
        fields.join(",")
    )
}

fn marker(name: &str, more: &[(&str, &str)]) -> String {
    let fields = [("event_type", "string"), ("writer_id", "string")];
    let fields = fields.iter().chain(more);
    let fields = fields.map(|(key, kind)| format!("{{\"name\":\"{key}\",\"type\":\"{kind}\"}}"));
    record(name, &fields.collect::<Vec<_>>())
}

/// The schema of rows of `schema`, as JSON; with markers that of all records of a file.
pub fn describe(schema: &Schema, style: &Style) -> Option<String> {
    let fields: Vec<_> = slots(schema, style).iter().map(Slot::describe).collect();
    let data = record("acct_data", &fields);
    if style.markers.is_none() {
        return Some(data);
    }
    let init = marker("acct_init", &[]);
    let counts = [
        ("purged_entries", "long"),
        ("total_entries", "long"),
        ("duration", "int"),
    ];
    Some(format!("[{data},{init},{}]", marker("acct_close", &counts)))
}

/// Rows as lines of JSON in Avro's encoding: a value of a union is wrapped in the name of its
/// type.
pub fn json(schema: Arc<Schema>, style: &Style) -> Option<Json> {
    Some(Json::of(schema, style, object))
}

/// What stands around the values of a row in Avro's encoding.
fn object(schema: &Schema, style: &Style) -> Parts {
    let mut frame = Frame::default();
    for slot in slots(schema, style) {
        let Some(part) = slot.part else {
            frame.lead.push_str(&format!("\"{}\":null,", slot.key));
            continue;
        };
        let (open, close) = part.ends();
        let wrap = match slot.kind {
            Kind::Long => "{\"long\":",
            _ => "{\"string\":",
        };
        if slot.optional {
            let (before, behind) = (format!("{wrap}{open}"), format!("{close}}}"));
            frame.add(&slot.key, &before, part, &behind);
        } else {
            frame.add(&slot.key, open, part, close);
        }
    }
    frame.end()
}

/// Writes the rows of one schema as an object container file.
#[derive(Clone, Debug)]
pub struct Avro {
    schema: Arc<Schema>,
    slots: Box<[Slot]>,
    describe: String,
    sync: [u8; 16],
    show: Show,
    /// Whether records are branches of a union, the rows the first.
    union: bool,
    /// Whether records stand alone, with nothing around them.
    bare: bool,
    /// Records of the block that is open, and how many.
    block: Vec<u8>,
    count: i64,
}

impl Avro {
    /// For rows of `schema`, as `style` says.
    pub fn new(schema: Arc<Schema>, style: &Style) -> Option<Self> {
        let describe = describe(&schema, style)?;
        Some(Self {
            slots: slots(&schema, style).into(),
            sync: container::sync(&describe, style.seed),
            describe,
            show: Show::new(style),
            union: style.markers.is_some(),
            bare: false,
            block: Vec::new(),
            count: 0,
            schema,
        })
    }

    /// The same without the frame of a file: records one behind the other, as messages have them.
    /// Marks are records of schemas of their own.
    pub fn bare(schema: Arc<Schema>, style: &Style) -> Option<Self> {
        let style = Style {
            markers: None,
            ..style.clone()
        };
        let bare = true;
        Self::new(schema, &style).map(|avro| Self { bare, ..avro })
    }

    /// Goes on with rows of a schema that [is like](Schema::is_like) the one before.
    pub fn adopt(&mut self, schema: Arc<Schema>) {
        self.schema = schema;
    }

    /// What stands behind each block.
    pub fn border(&self) -> [u8; 16] {
        self.sync
    }

    /// Goes on with a file in which this stands behind each block.
    pub fn border_with(&mut self, marker: [u8; 16]) {
        self.sync = marker;
    }

    /// What a file begins with.
    pub fn header(&self, out: &mut Vec<u8>) {
        if self.bare {
            return;
        }
        container::header(&self.describe, &self.sync, out);
    }

    /// Whether a file holds such rows, and its end, to go on from there.
    ///
    /// # Errors
    /// When it can not be read.
    pub fn join(
        &mut self,
        file: &mut (impl std::io::Read + std::io::Seek),
        len: u64,
    ) -> std::io::Result<Join> {
        let Some((sync, end)) = container::end(file, len, &self.describe)? else {
            return Ok(Join::Foreign);
        };
        self.sync = sync;
        Ok(Join::Whole(end))
    }

    /// Rows that lie one behind the other.
    pub fn rows(&mut self, words: &[u64], flushed: Nanos, out: &mut Vec<u8>) {
        for rows in words.chunks(self.schema.row_words().max(1) * 64) {
            self.some(rows, flushed);
            if self.block.len() >= BLOCK {
                self.settle(out);
            }
        }
    }

    fn some(&mut self, words: &[u64], flushed: Nanos) {
        let Self {
            schema,
            slots,
            show,
            union,
            block,
            count,
            ..
        } = self;
        let mut pen = Pen::new(block);
        for row in words.chunks_exact(schema.row_words().max(1)) {
            if *union {
                pen.byte(0);
            }
            *count += 1;
            // Counters of what is no traffic mean nothing.
            let counts = schema.counts(row);
            for slot in slots.iter() {
                let Some(part) = slot.part.filter(|_| counts || !slot.counts) else {
                    pen.byte(0); // null
                    continue;
                };
                if slot.optional {
                    long(&mut pen, 1);
                }
                value(&mut pen, show, schema, &part, row, flushed);
            }
        }
    }

    /// The record that marks the beginning of a flush.
    pub fn init(&mut self, writer: &str) {
        self.marker(INIT, "purge_init", writer, &[]);
    }

    /// The record that marks the end of a flush.
    pub fn close(&mut self, writer: &str, rows: u64, seconds: u64) {
        let rows = i64::try_from(rows).unwrap_or(i64::MAX);
        let seconds = i32::try_from(seconds).unwrap_or(i32::MAX);
        self.marker(CLOSE, "purge_close", writer, &[rows, rows, seconds.into()]);
    }

    fn marker(&mut self, branch: i64, event: &str, writer: &str, numbers: &[i64]) {
        let mut pen = Pen::new(&mut self.block);
        if self.union {
            long(&mut pen, branch);
        }
        text(&mut pen, event.as_bytes());
        text(&mut pen, writer.as_bytes());
        numbers.iter().for_each(|number| long(&mut pen, *number));
        self.count += 1;
    }

    /// Ends the block that is open.
    pub fn settle(&mut self, out: &mut Vec<u8>) {
        if self.bare {
            out.extend_from_slice(&self.block);
        } else if self.count > 0 {
            container::block(self.count, &self.block, &self.sync, out);
        }
        self.forget();
    }

    /// Drops the block that is open.
    pub fn forget(&mut self) {
        self.block = Vec::new();
        self.count = 0;
    }
}

fn value(
    pen: &mut Pen<'_>,
    show: &mut Show,
    schema: &Schema,
    part: &Part,
    row: &[u64],
    flushed: Nanos,
) {
    match part {
        Part::Plain(entry) if entry.is_number() => {
            let number = entry.number(row);
            // Keys above 2^63 become negative, which keeps them distinct; counters stop there.
            long(
                pen,
                match entry.column.what {
                    What::Field(_) => number as i64,
                    _ => i64::try_from(number).unwrap_or(i64::MAX),
                },
            );
        }
        Part::Plain(entry) if entry.is_text() => {
            show.value(pen, schema, entry, row);
            text(pen, &show.text);
        }
        Part::Plain(entry) => {
            let place = pen.place();
            show.value(pen, schema, entry, row);
            close(pen, place);
        }
        Part::Updated => {
            let place = pen.place();
            show.stamp(pen, flushed);
            close(pen, place);
        }
        Part::Origin(entry) => text(pen, json::origin(entry, row).as_bytes()),
        Part::Real(entry) => {
            let real = show.degree(schema, entry, row).real();
            pen.raw(&real.to_le_bytes());
        }
        Part::Flags(entry) => {
            let value = entry.column.number(row);
            count(pen, list::flags(value).count());
            list::flags(value).for_each(|name| text(pen, name.as_bytes()));
            pen.byte(0);
        }
        Part::Items(entry, counted) => {
            show.value(pen, schema, entry, row);
            items(pen, &show.text, *counted);
        }
        Part::Pairs(entry) => {
            show.value(pen, schema, entry, row);
            count(pen, list::pairs(&show.text).count());
            for (key, value) in list::pairs(&show.text) {
                text(pen, key);
                text(pen, value);
            }
            pen.byte(0);
        }
    }
}

/// Begins the block of an array or map. A byte of zero ends either; an empty one is just that.
fn count(pen: &mut Pen<'_>, count: usize) {
    if count > 0 {
        long(pen, count as i64);
    }
}

fn items(pen: &mut Pen<'_>, joined: &[u8], counted: bool) {
    count(pen, list::items(joined).count());
    for (n, item) in list::items(joined).enumerate() {
        if counted {
            let position = format!("{n}-");
            long(pen, (position.len() + item.len()) as i64);
            pen.raw(position.as_bytes());
            pen.raw(item);
        } else {
            text(pen, item);
        }
    }
    pen.byte(0);
}

/// A number of variable length, small ones of either sign first.
#[inline]
fn long(pen: &mut Pen<'_>, number: i64) {
    let mut rest = (number << 1 ^ number >> 63) as u64;
    while rest >= 0x80 {
        pen.byte(rest as u8 | 0x80);
        rest >>= 7;
    }
    pen.byte(rest as u8);
}

fn text(pen: &mut Pen<'_>, text: &[u8]) {
    long(pen, text.len() as i64);
    pen.raw(text);
}

/// Writes the length of what stands behind `place`: never a text from outside, so it is short
/// enough for one byte.
fn close(pen: &mut Pen<'_>, place: usize) {
    let len = pen.len() - place - 1;
    debug_assert!(len < 64, "{len}");
    pen.fill(place, (len as u8) << 1);
}

#[cfg(test)]
mod tests;
