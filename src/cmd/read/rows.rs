//! The rows of `weir read`: streamed as they come, or collected, sorted and cut.

use super::table;
use crate::agg::Table;
use crate::agg::table::Added;
use crate::base::time::Nanos;
use crate::encode::{csv::Csv, json::Json, text::Text, value::Style};
use crate::record::counter::{BYTES, PACKETS};
use crate::record::schema::What;
use crate::record::{Column, Field, Schema, Value};
use crate::sink::{Rows, Sink, SinkError};
use std::cmp::Ordering;
use std::hash::{BuildHasher, RandomState};
use std::io::{self, Write};
use std::sync::{Arc, Mutex, PoisonError};

/// How rows are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// For people, with shares.
    Table,
    /// RFC 4180.
    Csv,
    /// JSON lines.
    Json,
    /// Aligned columns, nothing else.
    Formatted,
}

/// What is wanted of the rows.
#[derive(Clone, Debug)]
pub struct Wanted {
    /// How they are written.
    pub format: Format,
    /// The column to sort by; none keeps the order of arrival.
    pub sort: Option<What>,
    /// Only so many rows, then one for the others and the total.
    pub top: Option<usize>,
    /// Whether the table may have colour and bars.
    pub colour: bool,
    /// Whether every record is counted at both of its ends.
    pub both_ends: bool,
    /// How values are shown.
    pub style: Style,
}

/// Counters of several rows together.
#[derive(Clone, Copy, Debug, Default)]
pub struct Total {
    /// How many rows.
    pub rows: u64,
    /// Packets.
    pub packets: u64,
    /// Flows, where they are counted.
    pub flows: u64,
    /// Bytes.
    pub bytes: u64,
}

impl Total {
    fn add(&mut self, row: &[u64], schema: &Schema) {
        let word = |at: usize| row.get(schema.key.len() + at).copied().unwrap_or(0);
        self.rows += 1;
        self.packets = self.packets.wrapping_add(word(PACKETS));
        self.bytes = self.bytes.wrapping_add(word(BYTES));
        let flows = schema.counter.flows_at().map_or(0, word);
        self.flows = self.flows.wrapping_add(flows);
    }
}

/// What there is to tell when all is written.
#[derive(Debug, Default)]
pub struct Outcome {
    /// What went wrong while writing, for the exit status.
    pub trouble: Option<io::Error>,
    /// Rows that found no room to be sorted, and so are among the others.
    pub beyond: u64,
}

/// Shared with who waits for the end.
pub type Told = Arc<Mutex<Outcome>>;

/// Collected rows of which one gives way to a row that sorts before it, when there is no room.
const CANDIDATES: usize = 8;

/// The output of `weir read`.
pub struct Report {
    to: Box<dyn Write + Send>,
    wanted: Wanted,
    writer: Option<Writer>,
    collected: Option<Table>,
    memory: usize,
    /// The rows that found no room, and where the next candidates to give way are.
    beyond: Total,
    hand: usize,
    schema: Option<Arc<Schema>>,
    told: Told,
    out: Vec<u8>,
    flushed: Nanos,
}

enum Writer {
    Csv(Csv),
    Json(Json),
    Text(Text),
}

impl Writer {
    fn new(format: Format, schema: Arc<Schema>, style: &Style) -> Self {
        match format {
            Format::Json => Self::Json(Json::new(schema, style)),
            Format::Csv => Self::Csv(Csv::new(schema, style)),
            Format::Table | Format::Formatted => Self::Text(Text::new(schema, style)),
        }
    }

    fn rows(&mut self, words: &[u64], flushed: Nanos, out: &mut Vec<u8>) {
        match self {
            Self::Csv(csv) => csv.rows(words, flushed, out),
            Self::Json(json) => json.rows(words, flushed, out),
            Self::Text(text) => text.rows(words, flushed, out),
        }
    }
}

impl Report {
    /// Writes to `to`; collected rows take at the most `memory` bytes.
    pub fn new(to: Box<dyn Write + Send>, wanted: Wanted, memory: usize, told: Told) -> Self {
        Self {
            to,
            wanted,
            writer: None,
            collected: None,
            memory,
            beyond: Default::default(),
            hand: 0,
            schema: None,
            told,
            out: Vec::new(),
            flushed: Nanos(0),
        }
    }

    fn begin(&mut self, schema: &Arc<Schema>) {
        if self.schema.is_some() {
            return;
        }
        self.schema = Some(schema.clone());
        if self.wanted.sort.is_some() || self.wanted.top.is_some() {
            // Who made the capture chose the keys.
            let seed = RandomState::new().hash_one(0);
            self.collected = Some(Table::new(schema, self.memory, 0, seed));
        }
        if self.wanted.format != Format::Table {
            let writer = Writer::new(self.wanted.format, schema.clone(), &self.wanted.style);
            if let Writer::Csv(csv) = &writer {
                csv.header(&mut self.out);
            }
            self.writer = Some(writer);
        }
    }

    fn write_out(&mut self) -> Result<(), SinkError> {
        deliver(&mut *self.to, &self.told, &mut self.out)
    }

    /// Keeps rows to be sorted. When there is no more room, those that sort first stay, as far as
    /// a few candidates tell; the others are summed up.
    fn collect(&mut self, rows: &Rows) {
        let Some(table) = &mut self.collected else {
            return;
        };
        let schema = &*rows.schema;
        let order = Order::new(schema, self.wanted.sort);
        for row in rows.iter() {
            if table.merge(row, schema) != Added::Full {
                continue;
            }
            let last = (0..CANDIDATES)
                .map(|n| self.hand.wrapping_add(n) % table.len().max(1))
                .filter(|n| *n < table.len())
                .max_by(|a, b| order.compare(table.row(*a), table.row(*b)))
                .filter(|n| order.compare(row, table.row(*n)) == Ordering::Less);
            self.hand = self.hand.wrapping_add(CANDIDATES);
            if let Some(last) = last {
                self.beyond.add(table.row(last), schema);
                table.remove(last);
            }
            if last.is_none() || table.merge(row, schema) == Added::Full {
                self.beyond.add(row, schema);
            }
        }
    }

    /// Sorts and writes what was collected.
    fn end(&mut self) {
        let (Some(schema), Some(table)) = (self.schema.clone(), self.collected.take()) else {
            return;
        };
        let mut order: Vec<u32> = (0..table.len() as u32).collect();
        let by = Order::new(&schema, self.wanted.sort);
        order.sort_by(|a, b| {
            let rows = (table.row(*a as usize), table.row(*b as usize));
            by.compare(rows.0, rows.1).then(a.cmp(b))
        });
        let shown = self.wanted.top.unwrap_or(usize::MAX).min(order.len());
        let (first, others) = order.split_at(shown);
        let mut rest = self.beyond;
        let row = |n: &u32| table.row(*n as usize);
        others.iter().for_each(|n| rest.add(row(n), &schema));
        let mut total = rest;
        first.iter().for_each(|n| total.add(row(n), &schema));
        let rows = || first.iter().map(|n| table.row(*n as usize));
        let ends = self.wanted.top.is_some() || self.beyond.rows > 0;
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        told.beyond = self.beyond.rows;
        drop(told);
        let (to, told) = (&mut *self.to, &self.told);
        // Else all rows would lie in memory once more, as text.
        let mut spill = |out: &mut Vec<u8>| {
            if out.len() >= CHUNK {
                // What fails is noted, and told at the end.
                let _ = deliver(to, told, out);
            }
        };
        match (&mut self.writer, self.wanted.format) {
            (_, Format::Table) | (None, _) => {
                let page = table::Page {
                    schema: &schema,
                    wanted: &self.wanted,
                    rest,
                    total,
                };
                page.write(rows(), &mut self.out, &mut spill);
            }
            (Some(writer), format) => {
                for row in rows() {
                    writer.rows(row, self.flushed, &mut self.out);
                    spill(&mut self.out);
                }
                if ends && format != Format::Formatted {
                    table::ends(&schema, format, rest, total, &mut self.out);
                }
            }
        }
    }

    fn close(&mut self) {
        self.end();
        if let Some(Writer::Text(text)) = &mut self.writer {
            text.finish(&mut self.out);
        }
    }
}

impl Sink for Report {
    fn write(&mut self, rows: &Rows) -> Result<(), SinkError> {
        self.begin(&rows.schema);
        self.flushed = rows.flushed;
        if self.collected.is_some() {
            self.collect(rows);
            return Ok(());
        }
        if let Some(writer) = &mut self.writer {
            writer.rows(&rows.words, rows.flushed, &mut self.out);
        }
        self.write_out()
    }

    fn sync(&mut self) -> Result<(), SinkError> {
        self.close();
        self.write_out()?;
        if let Err(error) = self.to.flush() {
            let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
            told.trouble.get_or_insert(error);
        }
        self.write_out()
    }
}

/// Text that is written in one go, in bytes.
const CHUNK: usize = 64 << 10;

/// Writes what is ready; what went wrong is noted once, and nothing is written any more. Who
/// reads a pipe may have seen enough: that is no failure.
fn deliver(to: &mut dyn Write, told: &Told, out: &mut Vec<u8>) -> Result<(), SinkError> {
    let mut told = told.lock().unwrap_or_else(PoisonError::into_inner);
    if told.trouble.is_none()
        && let Err(error) = to.write_all(out)
    {
        told.trouble = Some(error);
    }
    out.clear();
    match &told.trouble {
        Some(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        Some(error) => Err(SinkError::Refused(error.to_string())),
        None => Ok(()),
    }
}

/// An order of rows: earlier bins first; within one the largest counter, or the smallest field.
struct Order<'a> {
    schema: &'a Schema,
    bin: Option<&'a Column>,
    by: Option<&'a Column>,
}

impl<'a> Order<'a> {
    fn new(schema: &'a Schema, by: Option<What>) -> Self {
        Self {
            schema,
            bin: schema.column(What::Field(Field::Bin)),
            by: by.and_then(|by| schema.column(by)),
        }
    }

    fn compare(&self, a: &[u64], b: &[u64]) -> Ordering {
        let pair = |column| (self.schema.value(column, a), self.schema.value(column, b));
        let bins = match self.bin.map(pair) {
            Some((Value::Time(a), Value::Time(b))) => a.cmp(&b),
            _ => Ordering::Equal,
        };
        let Some(by) = self.by else { return bins };
        bins.then_with(|| match pair(by) {
            (Value::Number(a), Value::Number(b)) => match by.what {
                What::Packets | What::Flows | What::Bytes => b.cmp(&a),
                _ => a.cmp(&b),
            },
            (Value::Time(a), Value::Time(b)) => a.cmp(&b),
            (Value::Ip(a), Value::Ip(b)) => a.cmp(&b),
            (Value::Mac(a), Value::Mac(b)) => a.cmp(&b),
            (Value::Text(a), Value::Text(b)) => {
                let text = |sym| {
                    let mut out = Vec::new();
                    self.schema.symbols.read(sym, &mut out);
                    out
                };
                text(a).cmp(&text(b))
            }
            _ => Ordering::Equal,
        })
    }
}
