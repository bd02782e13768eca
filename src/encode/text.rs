//! Tables for people: aligned columns, as wide as what is in them, numbers to the right.
//!
//! Rows are kept until [`Text::finish`], because the widths come from all of them. When more
//! come than may be kept, what is there is written and the widths only grow from then on.

use super::order::{CSV_ORDER, Out, arrange};
use super::pen::Pen;
use super::value::{Entry, Show, Style};
use crate::base::time::Nanos;
use crate::record::Schema;
use std::sync::Arc;

/// Writes the rows of one schema as a table.
#[derive(Clone, Debug)]
pub struct Text {
    schema: Arc<Schema>,
    columns: Vec<TextColumn>,
    show: Show,
    words: Vec<u64>,
    most: usize,
    flushed: Nanos,
    headed: bool,
    cell: Vec<u8>,
}

#[derive(Clone, Copy, Debug)]
struct TextColumn {
    out: Out,
    entry: Option<Entry>,
    right: bool,
    width: usize,
}

impl Text {
    /// Most bytes of rows that are kept for their widths.
    pub const KEPT_MAX: usize = 4 << 20;
    /// Widest column, in characters; a longer text shifts its line.
    pub const WIDTH_MAX: usize = 60;

    /// For rows of `schema`, as `style` says.
    pub fn new(schema: Arc<Schema>, style: &Style) -> Self {
        let columns = arrange(&schema, CSV_ORDER, style).map(|(out, column)| {
            let entry = column.map(|c| Entry::part(out, c, style));
            TextColumn {
                out,
                entry,
                right: entry.is_some_and(|e| e.leans_right()),
                width: out.heading(&schema).len(),
            }
        });
        Self {
            columns: columns.collect(),
            schema,
            show: Show::new(style),
            words: Vec::new(),
            most: Self::KEPT_MAX / 8,
            flushed: Nanos(0),
            headed: false,
            cell: Vec::new(),
        }
    }

    /// Goes on with rows of a schema that [is like](Schema::is_like) the one before; what is kept
    /// is written.
    pub fn adopt(&mut self, schema: Arc<Schema>, out: &mut Vec<u8>) {
        if self.keeps() {
            self.write(out);
        }
        self.schema = schema;
    }

    /// Whether rows are kept.
    pub fn keeps(&self) -> bool {
        !self.words.is_empty()
    }

    /// Keeps rows that lie one behind the other; writes only what it may not keep.
    pub fn rows(&mut self, words: &[u64], flushed: Nanos, out: &mut Vec<u8>) {
        self.flushed = flushed;
        for row in words.chunks_exact(self.schema.row_words().max(1)) {
            if self.words.len() + row.len() > self.most {
                self.write(out);
            }
            self.words.extend_from_slice(row);
        }
    }

    /// Writes what is kept. The next row begins a new table.
    pub fn finish(&mut self, out: &mut Vec<u8>) {
        self.write(out);
        self.forget();
    }

    /// Drops what is kept.
    pub fn forget(&mut self) {
        self.words.clear();
        self.headed = false;
        for column in &mut self.columns {
            column.width = column.out.heading(&self.schema).len();
        }
    }

    fn write(&mut self, out: &mut Vec<u8>) {
        let words = std::mem::take(&mut self.words);
        let size = self.schema.row_words().max(1);
        for row in words.chunks_exact(size) {
            for n in 0..self.columns.len() {
                let width = self.cell(n, row).min(Self::WIDTH_MAX);
                if let Some(column) = self.columns.get_mut(n) {
                    column.width = column.width.max(width);
                }
            }
        }
        let mut pen = Pen::new(out);
        if !self.headed {
            self.headed = true;
            for n in 0..self.columns.len() {
                self.cell.clear();
                let column = self.columns.get(n);
                let heading = column.map_or("", |c| c.out.heading(&self.schema));
                self.cell.extend_from_slice(heading.as_bytes());
                self.put(&mut pen, n, self.cell.len());
            }
        }
        for row in words.chunks_exact(size) {
            for n in 0..self.columns.len() {
                let width = self.cell(n, row);
                self.put(&mut pen, n, width);
            }
        }
        self.words = words;
        self.words.clear();
    }

    /// Renders a value into `self.cell`; its width in characters.
    fn cell(&mut self, n: usize, row: &[u64]) -> usize {
        self.cell.clear();
        let mut pen = Pen::new(&mut self.cell);
        match self.columns.get(n).and_then(|c| c.entry) {
            Some(entry) => {
                if self.show.value(&mut pen, &self.schema, &entry, row) {
                    printable(&mut pen, &self.show.text);
                }
                if pen.is_empty() {
                    pen.byte(b'-');
                }
            }
            None => self.show.stamp(&mut pen, self.flushed),
        }
        drop(pen);
        // Bytes that do not continue a character.
        self.cell.iter().filter(|b| **b & 0xc0 != 0x80).count()
    }

    fn put(&self, pen: &mut Pen<'_>, n: usize, width: usize) {
        let Some(column) = self.columns.get(n) else {
            return;
        };
        let last = n + 1 == self.columns.len();
        let room = column.width.saturating_sub(width);
        let before = if column.right { room } else { 0 };
        (0..before).for_each(|_| pen.byte(b' '));
        pen.raw(&self.cell);
        if last {
            return pen.byte(b'\n');
        }
        (0..room - before + 2).for_each(|_| pen.byte(b' '));
    }
}

/// A text without what would steer a terminal.
fn printable(pen: &mut Pen<'_>, text: &[u8]) {
    for c in String::from_utf8_lossy(text).chars() {
        let mut bytes = [0; 4];
        let c = if c.is_control() { '\u{fffd}' } else { c };
        pen.raw(c.encode_utf8(&mut bytes).as_bytes());
    }
}

#[cfg(test)]
mod tests {
    use super::super::sample;
    use super::*;
    use crate::record::Field::*;

    #[test]
    fn columns_are_as_wide_as_their_widest_value() {
        let (schema, row) = sample::rows(&[SrcHost, Label, DstPort, PeerDstIp], false);
        let mut text = Text::new(Arc::clone(&schema), &Style::default());
        let mut out = Vec::new();
        text.rows(&row, Nanos(1), &mut out);
        text.rows(&vec![0; schema.row_words()], Nanos(1), &mut out);
        assert!(out.is_empty());
        text.finish(&mut out);
        assert_eq!(
            String::from_utf8(out).unwrap(),
            "LABEL   PEER_DST_IP  SRC_IP     DST_PORT  PACKETS  FLOWS  BYTES\n\
             a,\"b\"\u{fffd}  -            192.0.2.1       443       12      1   9000\n\
             -       -            -                 0        0      0      0\n"
        );
    }

    #[test]
    fn what_may_not_be_kept_is_written_under_one_heading() {
        let (schema, row) = sample::rows(&[SrcHost], false);
        let mut text = Text::new(schema, &Style::default());
        text.most = row.len() * 2;
        let mut out = Vec::new();
        (0..5).for_each(|_| text.rows(&row, Nanos(1), &mut out));
        text.finish(&mut out);
        let out = String::from_utf8(out).unwrap();
        assert_eq!(out.lines().count(), 6);
        assert_eq!(out.matches("SRC_IP").count(), 1);
    }
}
