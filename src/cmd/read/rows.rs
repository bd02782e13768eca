//! The rows of `weir read`: streamed as they come, or collected, sorted and cut.

use super::table;
use crate::agg::Table;
use crate::agg::table::Added;
use crate::base::time::Nanos;
use crate::encode::{csv::Csv, json::Json, text::Text, value::Style};
use crate::record::counter::{BYTES, PACKETS};
use crate::record::schema::What;
use crate::record::{Field, Schema, Value};
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

/// What went wrong while writing, for the exit status.
pub type Trouble = Arc<Mutex<Option<io::Error>>>;

/// The output of `weir read`.
pub struct Report {
    to: Box<dyn Write + Send>,
    wanted: Wanted,
    writer: Option<Writer>,
    collected: Option<Table>,
    memory: usize,
    beyond: Total,
    schema: Option<Arc<Schema>>,
    trouble: Trouble,
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
    pub fn new(to: Box<dyn Write + Send>, wanted: Wanted, memory: usize, trouble: Trouble) -> Self {
        Self {
            to,
            wanted,
            writer: None,
            collected: None,
            memory,
            beyond: Default::default(),
            schema: None,
            trouble,
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

    /// Writes what is ready; what went wrong is noted once, and nothing is written any more. Who
    /// reads a pipe may have seen enough: that is no failure.
    fn write_out(&mut self) -> Result<(), SinkError> {
        let mut trouble = self.trouble.lock().unwrap_or_else(PoisonError::into_inner);
        if trouble.is_none()
            && let Err(error) = self.to.write_all(&self.out)
        {
            *trouble = Some(error);
        }
        self.out.clear();
        match &*trouble {
            Some(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
            Some(error) => Err(SinkError::Refused(error.to_string())),
            None => Ok(()),
        }
    }

    fn collect(&mut self, rows: &Rows) {
        let Some(table) = &mut self.collected else {
            return;
        };
        for row in rows.iter() {
            if table.merge(row, &rows.schema) == Added::Full {
                self.beyond.add(row, &rows.schema);
            }
        }
    }

    /// Sorts and writes what was collected.
    fn end(&mut self) {
        let (Some(schema), Some(table)) = (self.schema.clone(), self.collected.take()) else {
            return;
        };
        let mut order: Vec<u32> = (0..table.len() as u32).collect();
        let by = self.wanted.sort;
        order.sort_by(|a, b| {
            let rows = (table.row(*a as usize), table.row(*b as usize));
            compare(&schema, by, rows.0, rows.1).then(a.cmp(b))
        });
        let shown = self.wanted.top.unwrap_or(usize::MAX).min(order.len());
        let (first, others) = order.split_at(shown);
        let mut rest = self.beyond;
        let row = |n: &u32| table.row(*n as usize);
        others.iter().for_each(|n| rest.add(row(n), &schema));
        let mut total = rest;
        first.iter().for_each(|n| total.add(row(n), &schema));
        let rows = || first.iter().map(|n| table.row(*n as usize));
        let ends = self.wanted.top.is_some();
        match (&mut self.writer, self.wanted.format) {
            (_, Format::Table) | (None, _) => {
                let page = table::Page {
                    schema: &schema,
                    wanted: &self.wanted,
                    rest,
                    total,
                };
                page.write(rows(), &mut self.out);
            }
            (Some(writer), format) => {
                for row in rows() {
                    writer.rows(row, self.flushed, &mut self.out);
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
            let mut trouble = self.trouble.lock().unwrap_or_else(PoisonError::into_inner);
            trouble.get_or_insert(error);
        }
        self.write_out()
    }
}

/// Earlier bins first; within one the largest counter, or the smallest field.
fn compare(schema: &Schema, by: Option<What>, a: &[u64], b: &[u64]) -> Ordering {
    let value = |what, row| schema.column(what).map(|column| schema.value(column, row));
    let bin = What::Field(Field::Bin);
    let bins = match (value(bin, a), value(bin, b)) {
        (Some(Value::Time(a)), Some(Value::Time(b))) => a.cmp(&b),
        _ => Ordering::Equal,
    };
    let Some(by) = by else { return bins };
    bins.then_with(|| match (value(by, a), value(by, b)) {
        (Some(Value::Number(a)), Some(Value::Number(b))) => match by {
            What::Field(_) => a.cmp(&b),
            What::Packets | What::Flows | What::Bytes => b.cmp(&a),
        },
        (Some(Value::Time(a)), Some(Value::Time(b))) => a.cmp(&b),
        (Some(Value::Ip(a)), Some(Value::Ip(b))) => a.cmp(&b),
        (Some(Value::Mac(a)), Some(Value::Mac(b))) => a.cmp(&b),
        (Some(Value::Text(a)), Some(Value::Text(b))) => {
            let text = |sym| {
                let mut out = Vec::new();
                schema.symbols.read(sym, &mut out);
                out
            };
            text(a).cmp(&text(b))
        }
        _ => Ordering::Equal,
    })
}
