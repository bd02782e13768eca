//! Rows to standard output, as a table, CSV or JSON.
//!
//! Settings: those of [`format::text`]; the default format is a table. A
//! table is written when the last rows of its flush have come.

use super::format::{self, Shape};
use super::{BatchId, Context, Opener, Rows, Sink, SinkError};
use crate::base::options::Options;
use crate::encode::{Encoder, Format, Style};
use crate::record::Schema;
use std::io::{ErrorKind, Write};
use std::sync::Arc;
use std::time::Duration;

/// Writes rows to `out`.
pub struct Print<W> {
    out: W,
    format: Format,
    style: Style,
    /// One for each aggregation, because their columns differ.
    encoders: Vec<(u32, Arc<Schema>, Encoder)>,
    /// Whose rows were written last.
    last: Option<u32>,
    /// Encoded and not yet written, of which batch.
    pending: Vec<u8>,
    batch: Option<BatchId>,
    gone: bool,
}

/// Reads the settings of an output of kind `print`.
pub fn parse(options: &mut Options) -> Option<Box<dyn Opener>> {
    Some(Box::new(Stdout(format::text(options, Format::Table))))
}

struct Stdout(Shape);

impl Opener for Stdout {
    fn open(self: Box<Self>, context: &Context) -> Result<Box<dyn Sink>, String> {
        let style = self.0.style(context);
        let print = Print::new(std::io::stdout(), self.0.format, style);
        Ok(Box::new(print))
    }
}

impl<W: Write + Send> Print<W> {
    /// Writes to `out`, which should not buffer.
    pub fn new(out: W, format: Format, style: Style) -> Self {
        Self {
            out,
            format,
            style,
            encoders: Vec::new(),
            last: None,
            pending: Vec::new(),
            batch: None,
            gone: false,
        }
    }

    fn encode(&mut self, rows: &Rows) {
        let id = rows.id.aggregate;
        let known = self.encoders.iter().position(|(who, ..)| *who == id);
        let new = || Encoder::new(self.format, rows.schema.clone(), &self.style);
        let at = known.unwrap_or_else(|| {
            self.encoders.push((id, rows.schema.clone(), new()));
            self.encoders.len() - 1
        });
        let Some((_, schema, encoder)) = self.encoders.get_mut(at) else {
            return;
        };
        if !schema.is_same(&rows.schema) {
            // After a reload, and out of the spool, texts are in another store.
            encoder.finish(&mut self.pending);
            if !schema.is_like(&rows.schema) && self.last == Some(id) {
                self.last = None;
            }
            *encoder = Encoder::new(self.format, rows.schema.clone(), &self.style);
            *schema = rows.schema.clone();
        }
        if self.last != Some(id) && self.format == Format::Csv {
            encoder.header(&mut self.pending);
        }
        let apart = self.format == Format::Table && self.last.is_some();
        let before = self.pending.len();
        encoder.rows(&rows.words, rows.flushed, &mut self.pending);
        if rows.last {
            encoder.finish(&mut self.pending);
        }
        if self.pending.len() > before {
            if apart {
                self.pending.insert(before, b'\n');
            }
            self.last = Some(id);
        } else if self.format != Format::Table {
            self.last = Some(id);
        }
    }

    fn drain(&mut self) -> Result<(), SinkError> {
        let mut done = 0;
        let result = loop {
            let Some(rest) = self.pending.get(done..).filter(|r| !r.is_empty()) else {
                break self.out.flush();
            };
            match self.out.write(rest) {
                Ok(0) => break Err(ErrorKind::WriteZero.into()),
                Ok(n) => done += n,
                Err(e) if e.kind() == ErrorKind::Interrupted => {}
                Err(e) => break Err(e),
            }
        };
        self.pending.drain(..done);
        result.map_err(|e| {
            if e.kind() == ErrorKind::BrokenPipe {
                self.gone = true;
                self.pending = Vec::new();
                return SinkError::Refused("standard output was closed".into());
            }
            SinkError::Retry {
                why: format!("standard output: {e}"),
                after: Duration::from_secs(1),
            }
        })
    }
}

impl<W: Write + Send> Sink for Print<W> {
    fn write(&mut self, rows: &Rows) -> Result<(), SinkError> {
        if self.gone {
            return Err(SinkError::Refused("standard output was closed".into()));
        }
        // After a failure the same rows come again: what is left of them is in `pending`.
        if self.batch != Some(rows.id) {
            self.encode(rows);
            self.batch = Some(rows.id);
        }
        self.drain()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::time::Nanos;
    use crate::encode::sample;
    use crate::record::Field::*;

    fn rows(sequence: u64, aggregate: u32, last: bool) -> Rows {
        let (schema, words) = sample::rows(&[SrcHost, DstPort], false);
        Rows {
            id: BatchId {
                run: 1,
                aggregate,
                sequence,
            },
            schema,
            bin: Nanos(0),
            flushed: Nanos(0),
            words,
            last,
        }
    }

    #[test]
    fn a_table_waits_for_its_last_rows() {
        let mut out = Vec::new();
        let mut print = Print::new(&mut out, Format::Table, Style::default());
        print.write(&rows(0, 0, false)).unwrap();
        assert!(print.out.is_empty());
        print.write(&rows(1, 0, true)).unwrap();
        print.write(&rows(2, 0, true)).unwrap();
        let text = String::from_utf8(out).unwrap();
        let heads = text.lines().filter(|l| l.starts_with("SRC_IP"));
        assert_eq!((text.lines().count(), heads.count()), (6, 2), "{text}");
    }

    #[test]
    fn a_header_comes_once_until_the_columns_change() {
        let mut out = Vec::new();
        let mut print = Print::new(&mut out, Format::Csv, Style::default());
        for (n, aggregate) in [0, 0, 1].into_iter().enumerate() {
            print.write(&rows(n as u64, aggregate, true)).unwrap();
        }
        let line = "192.0.2.1,443,12,1,9000\n";
        let head = "SRC_IP,DST_PORT,PACKETS,FLOWS,BYTES\n";
        let want = format!("{head}{line}{line}{head}{line}");
        assert_eq!(String::from_utf8(out).unwrap(), want);
    }

    #[test]
    fn texts_are_those_of_the_store_that_the_rows_came_with() {
        let mut out = Vec::new();
        let mut print = Print::new(&mut out, Format::Csv, Style::default());
        for (sequence, text) in [(0, "red"), (1, "green"), (2, "blue")] {
            let symbols = Arc::new(crate::base::intern::Interner::new(4096));
            let mut record = crate::record::FlowRecord::new();
            record.set_label(symbols.intern(text.as_bytes()));
            let schema = Schema::new("a", &[Label], Default::default(), symbols);
            let mut words = vec![0; schema.row_words()];
            schema.key.pack(&record, &mut words[..schema.key.len()]);
            let schema = Arc::new(schema);
            let batch = Rows {
                schema,
                words,
                ..rows(sequence, 0, true)
            };
            print.write(&batch).unwrap();
        }
        let text = String::from_utf8(out).unwrap();
        assert_eq!(text, "LABEL,PACKETS,BYTES\nred,0,0\ngreen,0,0\nblue,0,0\n");
    }

    /// Takes so many bytes, then fails until it is refilled.
    struct Narrow(Vec<u8>, usize, ErrorKind);

    impl Write for Narrow {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            if self.1 == 0 {
                return Err(self.2.into());
            }
            let n = bytes.len().min(self.1).min(7);
            self.0.extend_from_slice(&bytes[..n]);
            self.1 -= n;
            Ok(n)
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_retry_goes_on_where_it_stopped() {
        let out = Narrow(Vec::new(), 50, ErrorKind::StorageFull);
        let mut print = Print::new(out, Format::Json, Style::default());
        let first = print.write(&rows(0, 0, true));
        assert!(matches!(first, Err(SinkError::Retry { .. })));
        print.out.1 = 10_000;
        print.write(&rows(0, 0, true)).unwrap();
        let text = String::from_utf8(print.out.0).unwrap();
        assert_eq!(text.lines().count(), 1);
        assert!(text.ends_with("\"bytes\":9000}\n"));
    }

    #[test]
    fn a_closed_pipe_takes_nothing_any_more() {
        let out = Narrow(Vec::new(), 0, ErrorKind::BrokenPipe);
        let mut print = Print::new(out, Format::Csv, Style::default());
        for n in 0..2 {
            let answer = print.write(&rows(n, 0, true));
            assert!(matches!(answer, Err(SinkError::Refused(_))));
        }
    }
}
