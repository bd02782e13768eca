//! The table of `weir read`: top talkers with their share, the others, the total.

use super::rows::{Format, Total, Wanted};
use crate::encode::order::{CSV_ORDER, Out, arrange};
use crate::encode::pen::Pen;
use crate::encode::value::{Entry, Show, Style};
use crate::record::Schema;
use crate::record::counter::BYTES;
use crate::record::schema::What;
use std::io::Write;

/// Blocks of a bar, from empty to one whole character.
const BLOCKS: [&str; 9] = ["", "▏", "▎", "▍", "▌", "▋", "▊", "▉", "█"];

/// Characters of a full bar.
const BAR: usize = 20;

/// One table.
pub struct Page<'a> {
    /// What rows contain.
    pub schema: &'a Schema,
    /// How they are wanted.
    pub wanted: &'a Wanted,
    /// Rows that are not shown.
    pub rest: Total,
    /// All rows.
    pub total: Total,
}

impl Page<'_> {
    /// Writes heading, rows, the others and the total. Rows are gone through twice, for the widths
    /// and for the text, of which `spill` is given what is ready.
    pub fn write<'a>(
        &self,
        rows: impl Iterator<Item = &'a [u64]> + Clone,
        out: &mut Vec<u8>,
        spill: &mut dyn FnMut(&mut Vec<u8>),
    ) {
        let style = &self.wanted.style;
        let columns: Vec<(Out, Entry)> = arrange(self.schema, CSV_ORDER, style)
            .filter_map(|(out, column)| Some((out, Entry::part(out, column?, style))))
            .collect();
        let name = if self.wanted.both_ends {
            "total (both ends)"
        } else {
            "total"
        };
        // Without a key all there is is the total; without fields its name has no column.
        let keyed = !self.schema.key.is_empty();
        let named = columns
            .iter()
            .any(|(_, e)| matches!(e.column.what, What::Field(_)));
        let first = (!named).then(|| name.to_owned());
        let mut show = Show::new(style);
        let mut cells = |row: &[u64]| -> Vec<String> {
            let of = |(_, entry): &(Out, Entry)| cell(self.schema, &mut show, entry, row);
            first
                .clone()
                .into_iter()
                .chain(columns.iter().map(of))
                .collect()
        };
        let rows = rows.filter(|_| keyed);
        let mut sums: Vec<(Vec<String>, u64)> = Vec::new();
        let mut sum = |label: String, sum: Total| {
            let cells = self.sums(&columns, label, sum).into_iter();
            sums.push((first.clone().into_iter().chain(cells).collect(), sum.bytes));
        };
        if self.rest.rows > 0 {
            sum(format!("other ({} rows)", self.rest.rows), self.rest);
        }
        sum(name.into(), self.total);
        let lead = usize::from(!named);
        let mut head = vec![String::new(); lead];
        head.extend(columns.iter().map(|(o, _)| o.heading(self.schema).into()));
        let mut numbers = vec![false; lead];
        numbers.extend(columns.iter().map(|(_, e)| e.leans_right()));
        let mut widths: Vec<usize> = head.iter().map(String::len).collect();
        let mut widen = |cells: &[String]| {
            for (width, cell) in widths.iter_mut().zip(cells) {
                *width = cell.chars().count().max(*width);
            }
        };
        rows.clone().for_each(|row| widen(&cells(row)));
        sums.iter().for_each(|(cells, _)| widen(cells));
        self.line(&numbers, &widths, &head, None, "1", out);
        let bytes_at = self.schema.key.len() + BYTES;
        for row in rows {
            let bytes = row.get(bytes_at).copied().unwrap_or(0);
            self.line(&numbers, &widths, &cells(row), Some(bytes), "", out);
            spill(out);
        }
        for (cells, bytes) in &sums {
            self.line(&numbers, &widths, cells, Some(*bytes), "2", out);
        }
    }

    /// The cells of a line of sums: its name in the first column that is no counter.
    fn sums(&self, columns: &[(Out, Entry)], name: String, sum: Total) -> Vec<String> {
        let mut name = Some(name);
        let cells = columns.iter().map(|(_, entry)| match entry.column.what {
            What::Packets => sum.packets.to_string(),
            What::Bytes => sum.bytes.to_string(),
            What::Flows => sum.flows.to_string(),
            What::Field(_) => name.take().unwrap_or_default(),
        });
        cells.collect()
    }

    fn line(
        &self,
        numbers: &[bool],
        widths: &[usize],
        cells: &[String],
        bytes: Option<u64>,
        colour: &str,
        out: &mut Vec<u8>,
    ) {
        let paint = self.wanted.colour && !colour.is_empty();
        if paint {
            // Writing to memory does not fail.
            let _ = write!(out, "\x1b[{colour}m");
        }
        for ((number, width), cell) in numbers.iter().zip(widths).zip(cells) {
            let pad = width.saturating_sub(cell.chars().count());
            let (left, right) = if *number { (pad, 0) } else { (0, pad) };
            let _ = write!(out, "{:left$}{cell}{:right$}  ", "", "");
        }
        match bytes {
            None => out.extend_from_slice(b" SHARE"),
            Some(bytes) => {
                let total = self.total.bytes.max(1);
                // Bits that a thousand times it has beyond 64: without them it is near enough.
                let over = 11u32.saturating_sub(total.leading_zeros());
                let (bytes, total) = (bytes >> over, (total >> over).max(1));
                let mille = (bytes * 1000 + total / 2) / total;
                let _ = write!(out, "{:>3}.{} %", mille / 10, mille % 10);
                if self.wanted.colour && colour.is_empty() {
                    let _ = write!(out, "  \x1b[36m{}\x1b[0m", bar(mille as usize));
                }
            }
        }
        if paint {
            out.extend_from_slice(b"\x1b[0m");
        }
        while out.last() == Some(&b' ') {
            out.pop();
        }
        out.push(b'\n');
    }
}

/// A bar of `mille` thousandths.
fn bar(mille: usize) -> String {
    let eighths = (mille.min(1000) * BAR * 8).div_ceil(1000);
    format!("{}{}", BLOCKS[8].repeat(eighths / 8), BLOCKS[eighths % 8])
}

fn cell(schema: &Schema, show: &mut Show, entry: &Entry, row: &[u64]) -> String {
    let mut bytes = Vec::new();
    let mut pen = Pen::new(&mut bytes);
    let text = show.value(&mut pen, schema, entry, row);
    drop(pen);
    let bytes = if text { &show.text } else { &bytes };
    // What a terminal would obey is not printed.
    String::from_utf8_lossy(bytes)
        .chars()
        .filter(|c| !c.is_control())
        .collect()
}

/// The two lines behind `--top` in formats that machines read.
pub fn ends(schema: &Schema, format: Format, rest: Total, total: Total, out: &mut Vec<u8>) {
    for (name, sum) in [("other", rest), ("total", total)] {
        if format == Format::Json {
            let flows = schema.counter.flows_at();
            let flows = flows.map(|_| format!("\"flows\":{},", sum.flows));
            let flows = flows.unwrap_or_default();
            let _ = writeln!(
                out,
                "{{\"event_type\":\"{name}\",\"rows\":{},{flows}\"packets\":{},\"bytes\":{}}}",
                sum.rows, sum.packets, sum.bytes
            );
            continue;
        }
        let mut name = Some(name);
        let cells = arrange(schema, CSV_ORDER, &Style::default()).map(|(_, column)| {
            match column.map(|c| c.what) {
                Some(What::Packets) => sum.packets.to_string(),
                Some(What::Bytes) => sum.bytes.to_string(),
                Some(What::Flows) => sum.flows.to_string(),
                _ => name.take().unwrap_or_default().to_string(),
            }
        });
        let _ = writeln!(out, "{}", cells.collect::<Vec<_>>().join(","));
    }
}
