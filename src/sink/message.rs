//! What outputs to message brokers share: rows of a batch become messages, each with a name (a
//! routing key, a topic) and an identity.
//!
//! The messages of a batch, their order and their numbers follow from the batch and the settings
//! alone, so that one that comes again carries the identity that it had.
//!
//! Settings, beside those of [`format::text`]:
//!
//! - `format`: default `"json"`; no `"table"`. Records of Avro stand without the frame of a file.
//! - `message_rows`: most rows of a message; default 1. `message_size`: a message of several rows
//!   ends before it would be larger; default 64 KiB. With the second alone, there may be as many
//!   rows as have room.
//! - `underscores`: whether dots and colons of values in names are `_`.
//! - `markers`: messages of their own, before and behind the rows of a flush.

use super::format::{self, SchemaFile, Shape};
use super::group::Names;
use super::name;
use super::{BatchId, Context, Rows};
use crate::base::options::Options;
use crate::base::pattern::Pattern;
use crate::base::time::Nanos;
use crate::encode::{Encoder, Format, Style};
use crate::record::Schema;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Instant;

/// Most rows of a message.
const ROWS: u64 = 65_536;

/// Sizes that messages may have.
const SIZE: std::ops::RangeInclusive<u64> = 1024..=1 << 20;

/// Flushes whose rows are counted at a time, for the marks behind them.
const FLUSHES: usize = 64;

/// Memory beside a message: names of a batch's rows, rows by name, flushes.
const BESIDE: usize = 192 << 10;

/// How rows become messages.
#[derive(Clone, Debug)]
pub struct Settings {
    shape: Shape,
    /// What messages are called.
    pub name: Pattern,
    /// The setting that says so.
    setting: &'static str,
    underscores: bool,
    rows: usize,
    size: usize,
}

/// Reads the settings; `setting` is the one with the name of messages, and what it is if nobody
/// says. `underscores` is whether values in names have them, where nobody says.
pub fn settings(
    options: &mut Options,
    (setting, default): (&'static str, &str),
    underscores: bool,
) -> Option<Settings> {
    let shape = format::text(options, Format::Json);
    if shape.format == Format::Table {
        let message = "`format` is \"table\", which is for people; it takes \"json\", \"csv\", \
                       \"avro\" or \"avro-json\"";
        options.wrong("format", message);
    }
    let text = options.text(setting).unwrap_or(default.into());
    let name = name::pattern(options, setting, &text);
    let rows = options.number("message_rows", 1, ROWS);
    let size = options.size("message_size");
    if size.is_some_and(|size| !SIZE.contains(&size)) {
        options.wrong("message_size", "`message_size` is from 1 KiB to 1 MiB");
    }
    let default = if size.is_some() { ROWS } else { 1 };
    let settings = Settings {
        shape,
        name: name?,
        setting,
        underscores: options.flag("underscores").unwrap_or(underscores),
        rows: rows.unwrap_or(default) as usize,
        size: size.map_or(64 << 10, |size| size.clamp(*SIZE.start(), *SIZE.end())) as usize,
    };
    if settings.shape.marks() && settings.by_value() {
        let message = format!(
            "`markers` need a `{setting}` without values of rows, to stand beside the rows"
        );
        options.wrong("markers", message);
    }
    Some(settings)
}

impl Settings {
    fn by_value(&self) -> bool {
        self.name.variables().any(|v| v != name::AGGREGATE)
    }

    /// The setting that says where rows go, if all go to one place that has the columns of one
    /// aggregation.
    pub fn columns(&self) -> Option<&'static str> {
        let plain = matches!(self.shape.format, Format::Json | Format::AvroJson);
        (!plain && !name::tells_apart(&self.name)).then_some(self.setting)
    }

    /// Bytes that it takes.
    pub fn memory(&self) -> usize {
        2 * self.size + BESIDE
    }

    /// What kind of text or bytes a message holds.
    pub fn content(&self) -> &'static str {
        match self.shape.format {
            Format::Json | Format::AvroJson if self.rows > 1 => "application/x-ndjson",
            Format::Json | Format::AvroJson => "application/json",
            Format::Avro => "application/avro",
            Format::Csv | Format::Table => "text/csv",
        }
    }
}

/// Which message of a batch one is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Number {
    /// The mark before a flush.
    Init,
    /// Rows, counted from 0.
    Rows(u32),
    /// The mark behind a flush.
    Close,
}

/// What is to be sent.
#[derive(Clone, Copy, Debug)]
pub struct Message<'a> {
    /// Its name: a routing key, a topic.
    pub name: &'a str,
    /// Which one of its batch it is.
    pub number: Number,
    /// Its rows.
    pub body: &'a [u8],
}

/// Identity of a message, the same when it comes again:
/// `6f1d0c2ba4e59370.0.42.7` is message 7 of batch 42 of the first aggregation in that run.
pub fn identity(id: &BatchId, number: Number) -> String {
    let number = match number {
        Number::Init => "init".into(),
        Number::Rows(n) => n.to_string(),
        Number::Close => "close".into(),
    };
    let BatchId {
        run,
        aggregate,
        sequence,
    } = id;
    format!("{run:016x}.{aggregate}.{sequence}.{number}")
}

/// A flush whose rows are on their way.
struct Flush {
    aggregate: u32,
    bin: Nanos,
    rows: u64,
    began: Instant,
}

/// Makes messages of rows.
pub struct Messages {
    settings: Settings,
    style: Style,
    names: Names,
    schema: SchemaFile,
    /// What writes the rows of each aggregation.
    known: Vec<(u32, Arc<Schema>, Encoder)>,
    flushes: Vec<Flush>,
}

impl Messages {
    /// As `settings` say.
    pub fn new(settings: Settings, context: &Context) -> Self {
        let style = settings.shape.style(context);
        let fit: fn(&mut [u8]) = match settings.underscores {
            true => name::underscored,
            false => |_| {},
        };
        let names = Names::new(settings.name.clone(), &style, usize::MAX, fit);
        Self {
            names,
            schema: SchemaFile::new(&settings.shape),
            style,
            settings,
            known: Vec::new(),
            flushes: Vec::new(),
        }
    }

    /// Gives the messages of a batch, one after the other.
    ///
    /// # Errors
    /// Those of `give`, which ends it.
    pub fn each<E>(
        &mut self,
        rows: &Rows,
        mut give: impl FnMut(Message<'_>) -> Result<(), E>,
    ) -> Result<(), E> {
        let plain = Style {
            markers: None,
            ..self.style.clone()
        };
        self.schema.note(rows, self.settings.shape.format, &plain);
        let groups = self.names.of(rows, &mut BTreeSet::new());
        let at = self.flushes.iter().position(|f| f.is_of(rows));
        let flush = at.and_then(|at| self.flushes.get(at));
        let (before, began) = flush.map_or((0, None), |f| (f.rows, Some(f.began)));
        let Settings {
            rows: most, size, ..
        } = self.settings;
        let text = self.settings.shape.format != Format::Avro;
        let cut = Cut { most, size, text };
        let marks = self.style.markers.is_some();
        let encoder = self.encoder(rows);
        let mut body = Vec::new();
        let name = groups.keys().next().cloned().unwrap_or_default();
        if marks && began.is_none() && !rows.is_empty() {
            encoder.begin(false, &mut body);
            encoder.settle(&mut body);
            cut.mark(&name, Number::Init, &body, &mut give)?;
            body.clear();
        }
        cut.rows(encoder, rows, &groups, &mut give)?;
        let all = before + rows.len() as u64;
        if marks && rows.last && all > 0 {
            let seconds = began.map_or(0, |began| began.elapsed().as_secs());
            encoder.end(all, seconds, &mut body);
            encoder.settle(&mut body);
            cut.mark(&name, Number::Close, &body, &mut give)?;
        }
        Ok(())
    }

    /// Whether there is anything to send of a batch.
    pub fn any(&self, rows: &Rows) -> bool {
        let marks = self.style.markers.is_some();
        let ends = marks && rows.last && self.flushes.iter().any(|f| f.is_of(rows));
        ends || !rows.is_empty()
    }

    /// The rows of a batch are where they were to go.
    pub fn stored(&mut self, rows: &Rows) {
        if self.style.markers.is_none() {
            return;
        }
        let at = self.flushes.iter().position(|f| f.is_of(rows));
        match at {
            Some(at) if rows.last => drop(self.flushes.remove(at)),
            Some(at) => {
                if let Some(flush) = self.flushes.get_mut(at) {
                    flush.rows += rows.len() as u64;
                }
            }
            None if rows.last => {}
            None => {
                if self.flushes.len() >= FLUSHES {
                    self.flushes.remove(0);
                }
                self.flushes.push(Flush {
                    aggregate: rows.id.aggregate,
                    bin: rows.bin,
                    rows: rows.len() as u64,
                    began: Instant::now(),
                });
            }
        }
    }

    fn encoder(&mut self, rows: &Rows) -> &mut Encoder {
        let aggregate = rows.id.aggregate;
        let found = self.known.iter().position(|(known, schema, _)| {
            *known == aggregate && Arc::ptr_eq(schema, &rows.schema)
        });
        let at = found.unwrap_or_else(|| {
            self.known.retain(|(known, ..)| *known != aggregate);
            let format = self.settings.shape.format;
            let encoder = Encoder::bare(format, rows.schema.clone(), &self.style);
            self.known.push((aggregate, rows.schema.clone(), encoder));
            self.known.len() - 1
        });
        &mut self.known[at].2
    }
}

impl Flush {
    fn is_of(&self, rows: &Rows) -> bool {
        self.aggregate == rows.id.aggregate && self.bin == rows.bin
    }
}

/// Where a message ends.
struct Cut {
    /// Most rows.
    most: usize,
    /// Most bytes of several rows.
    size: usize,
    /// Whether rows are lines.
    text: bool,
}

impl Cut {
    /// Rows as a message holds them: of the last line, the end is left out.
    fn body<'a>(&self, rows: &'a [u8]) -> &'a [u8] {
        match rows.strip_suffix(b"\n") {
            Some(line) if self.text => line,
            _ => rows,
        }
    }

    /// Gives a mark.
    fn mark<E>(
        &self,
        name: &str,
        number: Number,
        body: &[u8],
        give: &mut impl FnMut(Message<'_>) -> Result<(), E>,
    ) -> Result<(), E> {
        let body = self.body(body);
        give(Message { name, number, body })
    }

    /// Gives the rows.
    fn rows<E>(
        &self,
        encoder: &mut Encoder,
        rows: &Rows,
        groups: &BTreeMap<String, Vec<&[u64]>>,
        give: &mut impl FnMut(Message<'_>) -> Result<(), E>,
    ) -> Result<(), E> {
        let mut body = Vec::new();
        let mut numbers = (0..).map(Number::Rows);
        for (name, group) in groups {
            let mut count = 0;
            let mut send = |body: &[u8]| {
                let number = numbers.next().unwrap_or(Number::Rows(u32::MAX));
                let body = self.body(body);
                give(Message { name, number, body })
            };
            for row in group {
                let before = body.len();
                encoder.rows(row, rows.flushed, &mut body);
                encoder.settle(&mut body);
                if count > 0 && self.body(&body).len() > self.size {
                    send(body.get(..before).unwrap_or_default())?;
                    body.drain(..before);
                    count = 0;
                }
                count += 1;
                if count >= self.most {
                    send(&body)?;
                    body.clear();
                    count = 0;
                }
            }
            if count > 0 {
                send(&body)?;
                body.clear();
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
