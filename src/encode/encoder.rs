//! [`Encoder`]: one of the formats, for the rows of one schema, with what stands before and behind
//! the rows of a flush.

use super::avro::{self, Avro};
use super::{Csv, Json, Style, Text};
use crate::base::time::Nanos;
use crate::record::Schema;
use std::io::{self, Read, Seek, SeekFrom};
use std::sync::Arc;

/// A format of rows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Format {
    /// Values with a separator between them, a header first.
    #[default]
    Csv,
    /// One JSON object per line.
    Json,
    /// Aligned columns for people.
    Table,
    /// Object container file of Avro.
    Avro,
    /// One JSON object per line, in the encoding of Avro.
    AvroJson,
}

impl Format {
    /// The words of the configuration; those of text come first.
    pub const CHOICES: &'static [(&'static str, Self)] = &[
        ("csv", Self::Csv),
        ("json", Self::Json),
        ("table", Self::Table),
        ("avro", Self::Avro),
        ("avro-json", Self::AvroJson),
    ];

    /// The words of formats that every build has.
    pub const TEXT: &'static [(&'static str, Self)] = Self::CHOICES.split_at(3).0;

    /// Whether rows have a schema of Avro.
    pub fn is_avro(self) -> bool {
        matches!(self, Self::Avro | Self::AvroJson)
    }

    /// The schema of rows of `schema` in this format, as JSON; none where it has none.
    pub fn describe(self, schema: &Schema, style: &Style) -> Option<String> {
        match self {
            Self::Avro => avro::describe(schema, style),
            // Each line is a record of its own.
            Self::AvroJson => {
                let style = Style {
                    markers: None,
                    ..style.clone()
                };
                avro::describe(schema, &style)
            }
            _ => None,
        }
    }
}

/// What a file that is there is to rows that are to be added.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Join {
    /// It holds such rows, and is whole up to this length.
    Whole(u64),
    /// It holds something else, as rows with other columns.
    Foreign,
}

/// What the mark before a flush begins with, in CSV and tables, and its most bytes.
const START: &[u8] = b"--START (";
const MARK: usize = 64;

#[derive(Clone, Debug)]
enum Writer {
    Csv(Csv),
    Json(Json),
    Table(Text),
    Avro(Avro),
}

/// Writes the rows of one schema in one format.
#[derive(Clone, Debug)]
pub struct Encoder {
    writer: Writer,
    /// Who marks beginning and end of a flush, if anybody does.
    markers: Option<String>,
}

impl Encoder {
    /// For rows of `schema`, as `style` says. A format that this build has not got is JSON; the
    /// configuration does not let anybody ask for one.
    pub fn new(format: Format, schema: Arc<Schema>, style: &Style) -> Self {
        Self::with(format, schema, style, Avro::new)
    }

    /// The same for messages, which hold rows and nothing else: those of Avro have no frame of a
    /// file around them.
    pub fn bare(format: Format, schema: Arc<Schema>, style: &Style) -> Self {
        Self::with(format, schema, style, Avro::bare)
    }

    fn with(
        format: Format,
        schema: Arc<Schema>,
        style: &Style,
        avro: fn(Arc<Schema>, &Style) -> Option<Avro>,
    ) -> Self {
        let json = || Writer::Json(Json::new(schema.clone(), style));
        let writer = match format {
            Format::Csv => Writer::Csv(Csv::new(schema, style)),
            Format::Json => json(),
            Format::Table => Writer::Table(Text::new(schema, style)),
            Format::Avro => avro(schema.clone(), style).map_or_else(json, Writer::Avro),
            Format::AvroJson => avro::json(schema.clone(), style).map_or_else(json, Writer::Json),
        };
        Self {
            writer,
            markers: style.markers.clone(),
        }
    }

    /// What a file begins with: names of the columns in CSV, a schema in Avro.
    pub fn header(&self, out: &mut Vec<u8>) {
        match &self.writer {
            Writer::Csv(csv) => csv.header(out),
            Writer::Avro(avro) => avro.header(out),
            Writer::Json(_) | Writer::Table(_) => {}
        }
    }

    /// What stands before the first row of a flush, in a file that is `new` or holds rows.
    pub fn begin(&mut self, new: bool, out: &mut Vec<u8>) {
        match (&mut self.writer, &self.markers) {
            (Writer::Avro(avro), markers) => {
                if new {
                    avro.header(out);
                }
                if let Some(writer) = markers {
                    avro.init(writer);
                    avro.settle(out);
                }
            }
            (Writer::Json(_), Some(writer)) => {
                out.extend_from_slice(b"{\"event_type\":\"purge_init\",");
                writer_id(writer, out);
                out.extend_from_slice(b"}\n");
            }
            (_, Some(_)) => {
                out.extend_from_slice(START);
                out.extend_from_slice(format!("{})--\n", std::process::id()).as_bytes());
                if new {
                    self.header(out);
                }
            }
            (_, None) => {
                if new {
                    self.header(out);
                }
            }
        }
    }

    /// Rows that lie one behind the other; a table keeps them until [`finish`](Self::finish), and
    /// Avro until a block is full or [`settle`](Self::settle) ends it.
    pub fn rows(&mut self, words: &[u64], flushed: Nanos, out: &mut Vec<u8>) {
        match &mut self.writer {
            Writer::Csv(csv) => csv.rows(words, flushed, out),
            Writer::Json(json) => json.rows(words, flushed, out),
            Writer::Table(text) => text.rows(words, flushed, out),
            Writer::Avro(avro) => avro.rows(words, flushed, out),
        }
    }

    /// Writes what can be written before more rows come, so that nothing of a batch is kept but
    /// rows of a table.
    pub fn settle(&mut self, out: &mut Vec<u8>) {
        if let Writer::Avro(avro) = &mut self.writer {
            avro.settle(out);
        }
    }

    /// Writes what was kept; the rows were the last ones.
    pub fn finish(&mut self, out: &mut Vec<u8>) {
        match &mut self.writer {
            Writer::Table(text) => text.finish(out),
            Writer::Avro(avro) => avro.settle(out),
            Writer::Csv(_) | Writer::Json(_) => {}
        }
    }

    /// What stands behind the last of the `rows` of a flush that took so many seconds.
    pub fn end(&mut self, rows: u64, seconds: u64, out: &mut Vec<u8>) {
        let Some(writer) = &self.markers else {
            return;
        };
        match &mut self.writer {
            Writer::Avro(avro) => {
                avro.close(writer, rows, seconds);
                avro.settle(out);
            }
            Writer::Json(_) => {
                out.extend_from_slice(b"{\"event_type\":\"purge_close\",");
                writer_id(writer, out);
                let counts = format!(
                    ",\"purged_entries\":{rows},\"total_entries\":{rows},\"duration\":{seconds}}}\n"
                );
                out.extend_from_slice(counts.as_bytes());
            }
            Writer::Csv(_) | Writer::Table(_) => {
                out.extend_from_slice(format!("--END ({})--\n", std::process::id()).as_bytes());
            }
        }
    }

    /// Goes on with rows of a schema that [is like](Schema::is_like) the one before; rows that
    /// were kept are written.
    pub fn adopt(&mut self, schema: Arc<Schema>, out: &mut Vec<u8>) {
        match &mut self.writer {
            Writer::Csv(csv) => csv.adopt(schema),
            Writer::Json(json) => json.adopt(schema),
            Writer::Table(text) => text.adopt(schema, out),
            Writer::Avro(avro) => avro.adopt(schema),
        }
    }

    /// Whether rows are kept that nobody has but it.
    pub fn keeps(&self) -> bool {
        match &self.writer {
            Writer::Table(text) => text.keeps(),
            Writer::Csv(_) | Writer::Json(_) | Writer::Avro(_) => false,
        }
    }

    /// A copy to go back to, where rows are kept over the end of a batch.
    pub fn copy(&self) -> Option<Box<Self>> {
        matches!(self.writer, Writer::Table(_)).then(|| Box::new(self.clone()))
    }

    /// What the blocks of a file are marked with, where they are: what goes on with the file must
    /// mark them with the same.
    pub fn border(&self) -> Option<[u8; 16]> {
        match &self.writer {
            Writer::Avro(avro) => Some(avro.border()),
            Writer::Csv(_) | Writer::Json(_) | Writer::Table(_) => None,
        }
    }

    /// Goes on with a file whose blocks are marked with this.
    pub fn border_with(&mut self, marker: [u8; 16]) {
        if let Writer::Avro(avro) = &mut self.writer {
            avro.border_with(marker);
        }
    }

    /// Drops what of a batch is kept, where that is nothing of the batches before.
    pub fn forget(&mut self) {
        if let Writer::Avro(avro) = &mut self.writer {
            avro.forget();
        }
    }

    /// Looks whether rows can be added to a file of `len` bytes, not none, and where its end is.
    /// What must stand before the next row goes to `out`.
    ///
    /// # Errors
    /// What the system says.
    pub fn join(
        &mut self,
        file: &mut (impl Read + Seek),
        len: u64,
        out: &mut Vec<u8>,
    ) -> io::Result<Join> {
        match &mut self.writer {
            Writer::Avro(avro) => return avro.join(file, len),
            Writer::Csv(csv) => {
                let mut heading = Vec::new();
                csv.header(&mut heading);
                let found = headed(file, len, &heading)?;
                if found != Join::Whole(len) {
                    return Ok(found);
                }
            }
            Writer::Json(_) | Writer::Table(_) => {}
        }
        // A file may end in the middle of a line, as after a crash.
        file.seek(SeekFrom::Start(len - 1))?;
        let mut last = [0];
        file.read_exact(&mut last)?;
        if last != *b"\n" {
            out.push(b'\n');
        }
        Ok(Join::Whole(len))
    }
}

/// Whether a file of `len` bytes begins with this heading, behind a mark where it has one. Of a
/// stranger's file no more is read than that takes.
fn headed(file: &mut (impl Read + Seek), len: u64, heading: &[u8]) -> io::Result<Join> {
    file.seek(SeekFrom::Start(0))?;
    let mut bytes = Vec::new();
    let most = (heading.len() + MARK) as u64;
    file.by_ref().take(most).read_to_end(&mut bytes)?;
    let held = match bytes.starts_with(START) {
        true => bytes.splitn(2, |b| *b == b'\n').nth(1).unwrap_or_default(),
        false => &bytes,
    };
    Ok(if held.starts_with(heading) {
        Join::Whole(len)
    } else if bytes.len() as u64 == len && heading.starts_with(held) {
        // A crash came into it.
        Join::Whole(0)
    } else {
        Join::Foreign
    })
}

fn writer_id(writer: &str, out: &mut Vec<u8>) {
    out.extend_from_slice(b"\"writer_id\":\"");
    super::json::escape(&mut super::pen::Pen::new(out), writer.as_bytes());
    out.push(b'"');
}

#[cfg(test)]
mod tests {
    use super::super::sample;
    use super::*;
    use crate::record::Field::*;

    fn written(format: Format, markers: Option<&str>, new: bool) -> String {
        let (schema, row) = sample::rows(&[SrcHost], false);
        let style = Style {
            markers: markers.map(String::from),
            ..Style::default()
        };
        let mut encoder = Encoder::new(format, schema, &style);
        let mut out = Vec::new();
        encoder.begin(new, &mut out);
        encoder.rows(&row, Nanos(1), &mut out);
        encoder.finish(&mut out);
        encoder.end(1, 7, &mut out);
        let id = format!("({})", std::process::id());
        String::from_utf8(out).unwrap().replace(&id, "(PID)")
    }

    #[test]
    fn rows_follow_their_own_heading_alone() {
        let (schema, _) = sample::rows(&[SrcHost], false);
        let mut encoder = Encoder::new(Format::Csv, schema, &Style::default());
        let head = "SRC_IP,PACKETS,FLOWS,BYTES\n";
        let mut join = |text: &str| {
            let mut out = Vec::new();
            let mut file = io::Cursor::new(text.as_bytes());
            let found = encoder.join(&mut file, text.len() as u64, &mut out);
            (found.unwrap(), out)
        };
        for (begin, whole) in [
            (head, true),
            ("--START (4294967295)--\nSRC_IP,PACKETS,FLOWS,BYTES\n", true),
            ("SRC_IP,PACKETS,FLOWS,BYTES,TAG\n", false),
            ("SRC_IP;PACKETS;FLOWS;BYTES\n", false),
            ("192.0.2.1,12,1,9000\n", false),
            ("--START (1)--\n192.0.2.1,12,1,9000\n", false),
        ] {
            for (rest, lead) in [("", ""), ("a,1,1,1\n", ""), ("a,1", "\n")] {
                let text = format!("{begin}{rest}");
                let (found, out) = join(&text);
                if whole {
                    assert_eq!(found, Join::Whole(text.len() as u64), "{text}");
                    assert_eq!(out, lead.as_bytes(), "{text}");
                } else {
                    assert_eq!((found, out.len()), (Join::Foreign, 0), "{text}");
                }
            }
        }
        // A crash came into the heading, or before it.
        for torn in [
            "S",
            "SRC_IP,PACKETS,FLOWS,BYTES",
            "--START (1",
            "--START (1)--\nSRC",
        ] {
            assert_eq!(join(torn), (Join::Whole(0), Vec::new()), "{torn}");
        }
        let long = format!("--START ({}", "1".repeat(1 << 16));
        assert_eq!(join(&long).0, Join::Foreign);
    }

    #[test]
    fn marks_before_and_behind_a_flush() {
        assert_eq!(
            written(Format::Csv, Some("w"), true),
            "--START (PID)--\nSRC_IP,PACKETS,FLOWS,BYTES\n192.0.2.1,12,1,9000\n--END (PID)--\n"
        );
        assert_eq!(
            written(Format::Csv, Some("w"), false),
            "--START (PID)--\n192.0.2.1,12,1,9000\n--END (PID)--\n"
        );
        assert_eq!(
            written(Format::Json, Some("edge \"1\"/7"), true),
            "{\"event_type\":\"purge_init\",\"writer_id\":\"edge \\\"1\\\"/7\"}\n\
             {\"event_type\":\"purge\",\"ip_src\":\"192.0.2.1\",\"flows\":1,\"packets\":12,\
             \"bytes\":9000}\n\
             {\"event_type\":\"purge_close\",\"writer_id\":\"edge \\\"1\\\"/7\",\
             \"purged_entries\":1,\"total_entries\":1,\"duration\":7}\n"
        );
        assert_eq!(
            written(Format::Table, Some("w"), true),
            "--START (PID)--\nSRC_IP     PACKETS  FLOWS  BYTES\n192.0.2.1       12      1   9000\n\
             --END (PID)--\n"
        );
        assert_eq!(
            written(Format::Csv, None, true),
            "SRC_IP,PACKETS,FLOWS,BYTES\n192.0.2.1,12,1,9000\n"
        );
        assert_eq!(written(Format::Csv, None, false), "192.0.2.1,12,1,9000\n");
    }
}
