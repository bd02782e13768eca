//! Rows to standard output, as a table, CSV, JSON or JSON in the encoding of Avro.
//!
//! Settings: those of [`format::text`]; the default format is a table. A
//! table is written when the last rows of its flush have come.

use super::format::{self, SchemaFile, Shape};
use super::{BatchId, Context, Opener, Rows, Sink, SinkError};
use crate::base::options::Options;
use crate::encode::{Encoder, Format, Style};
use crate::record::Schema;
use std::io::{ErrorKind, Write};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// What writes the rows of one aggregation.
struct Stream {
    aggregate: u32,
    schema: Arc<Schema>,
    encoder: Encoder,
    /// Rows of the flush that has begun, and since when.
    flush: Option<(u64, Instant)>,
}

/// Writes rows to `out`.
pub struct Print<W> {
    out: W,
    format: Format,
    style: Style,
    /// One for each aggregation, because their columns differ.
    streams: Vec<Stream>,
    schema: Option<SchemaFile>,
    /// Whose rows were written last.
    last: Option<u32>,
    /// Encoded and not yet written, of which batch.
    pending: Vec<u8>,
    /// With whether it was the last of its flush: an end that is made up has the identity of the
    /// rows before it.
    batch: Option<(BatchId, bool)>,
    gone: bool,
}

/// Reads the settings of an output of kind `print`.
pub fn parse(options: &mut Options) -> Option<Box<dyn Opener>> {
    let shape = format::text(options, Format::Table);
    if shape.format == Format::Avro {
        let message = "`format` is \"avro\", which is for files; \"avro-json\" can be printed";
        options.wrong("format", message);
    }
    Some(Box::new(Stdout(shape)))
}

struct Stdout(Shape);

impl Opener for Stdout {
    fn open(self: Box<Self>, context: &Context) -> Result<Box<dyn Sink>, String> {
        let style = self.0.style(context);
        let mut print = Print::new(std::io::stdout(), self.0.format, style);
        print.schema = Some(SchemaFile::new(&self.0));
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
            streams: Vec::new(),
            schema: None,
            last: None,
            pending: Vec::new(),
            batch: None,
            gone: false,
        }
    }

    /// The place of what writes such rows.
    fn stream(&mut self, rows: &Rows) -> usize {
        let id = rows.id.aggregate;
        let known = self.streams.iter().position(|s| s.aggregate == id);
        if let Some(at) = known
            && let Some(stream) = self.streams.get_mut(at)
            && stream.schema.is_like(&rows.schema)
        {
            if !stream.schema.is_same(&rows.schema) {
                // After a reload, and out of the spool, texts are in another store.
                let schema = rows.schema.clone();
                (stream.encoder).adopt(schema.clone(), &mut self.pending);
                stream.schema = schema;
            }
            return at;
        }
        let stream = Stream {
            aggregate: id,
            schema: rows.schema.clone(),
            encoder: Encoder::new(self.format, rows.schema.clone(), &self.style),
            flush: None,
        };
        let Some(at) = known else {
            self.streams.push(stream);
            return self.streams.len() - 1;
        };
        // It has changed with a reload: what the old one keeps comes out first.
        let mut old = std::mem::replace(&mut self.streams[at], stream);
        if old.flush.is_some() {
            old.encoder.finish(&mut self.pending);
        }
        self.streams[at].flush = old.flush;
        self.last = None;
        at
    }

    fn encode(&mut self, rows: &Rows) {
        if let Some(schema) = &mut self.schema {
            schema.note(rows, self.format, &self.style);
        }
        let at = self.stream(rows);
        let stream = &mut self.streams[at];
        let id = rows.id.aggregate;
        if rows.is_empty() && stream.flush.is_none() {
            return;
        }
        let table = self.format == Format::Table;
        let apart = table && self.last.is_some() && self.style.markers.is_none();
        let before = self.pending.len();
        if stream.flush.is_none() {
            let new = self.last != Some(id);
            stream.encoder.begin(new, &mut self.pending);
            stream.flush = Some((0, Instant::now()));
        } else if self.last != Some(id) {
            // Another aggregation's rows lie between those of this flush.
            stream.encoder.header(&mut self.pending);
        }
        let encoder = &mut stream.encoder;
        encoder.rows(&rows.words, rows.flushed, &mut self.pending);
        if let Some((count, _)) = &mut stream.flush {
            *count += rows.len() as u64;
        }
        if rows.last {
            encoder.finish(&mut self.pending);
            if let Some((count, since)) = stream.flush.take() {
                encoder.end(count, since.elapsed().as_secs(), &mut self.pending);
            }
        }
        if self.pending.len() > before {
            if apart {
                self.pending.insert(before, b'\n');
            }
            self.last = Some(id);
        } else if !table {
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
                // Nobody waits for these any more, nor need a spool keep them.
                self.pending = Vec::new();
                self.streams = Vec::new();
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
    fn holds(&self) -> bool {
        self.streams.iter().any(|stream| stream.encoder.keeps())
    }

    fn write(&mut self, rows: &Rows) -> Result<(), SinkError> {
        if self.gone {
            return Err(SinkError::Refused("standard output was closed".into()));
        }
        // After a failure the same rows come again: what is left of them is in `pending`.
        let batch = Some((rows.id, rows.last));
        if self.batch != batch {
            self.encode(rows);
            self.batch = batch;
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
    use std::sync::LazyLock;

    fn rows(sequence: u64, aggregate: u32, last: bool) -> Rows {
        static ROWS: LazyLock<(Arc<Schema>, Vec<u64>)> =
            LazyLock::new(|| sample::rows(&[SrcHost, DstPort], false));
        let (schema, words) = ROWS.clone();
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
    fn an_end_with_the_identity_of_the_rows_before_ends_their_flush() {
        for (format, want) in [(Format::Table, 2), (Format::Csv, 4)] {
            let mut out = Vec::new();
            let style = Style {
                markers: (format == Format::Csv).then(|| "x".into()),
                ..Style::default()
            };
            let mut print = Print::new(&mut out, format, style);
            print.write(&rows(0, 0, false)).unwrap();
            let mut end = rows(0, 0, true);
            end.words.clear();
            for _ in 0..2 {
                print.write(&end).unwrap();
                assert!(!print.holds());
            }
            let text = String::from_utf8(out).unwrap();
            assert_eq!(text.lines().count(), want, "{text}");
        }
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
    fn a_flush_is_marked_and_a_reload_changes_the_columns() {
        let mut out = Vec::new();
        let style = Style {
            markers: Some("x/1".into()),
            event_type: false,
            ..Style::default()
        };
        let mut print = Print::new(&mut out, Format::Json, style);
        print.write(&rows(0, 0, false)).unwrap();
        // The bin goes on after a reload, with other columns.
        let mut other = rows(1, 0, true);
        (other.schema, other.words) = sample::rows(&[DstPort], false);
        print.write(&other).unwrap();
        let mut none = rows(2, 0, true);
        none.words.clear();
        print.write(&none).unwrap();
        assert_eq!(
            String::from_utf8(out).unwrap(),
            "{\"event_type\":\"purge_init\",\"writer_id\":\"x/1\"}\n\
             {\"ip_src\":\"192.0.2.1\",\"port_dst\":443,\"flows\":1,\"packets\":12,\
             \"bytes\":9000}\n\
             {\"port_dst\":443,\"flows\":1,\"packets\":12,\"bytes\":9000}\n\
             {\"event_type\":\"purge_close\",\"writer_id\":\"x/1\",\"purged_entries\":2,\
             \"total_entries\":2,\"duration\":0}\n"
        );
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
        let mut print = Print::new(out, Format::Table, Style::default());
        print.write(&rows(0, 1, false)).unwrap();
        for n in 1..3 {
            let answer = print.write(&rows(n, 0, true));
            assert!(matches!(answer, Err(SinkError::Refused(_))));
            assert!(!print.holds());
        }
    }
}
