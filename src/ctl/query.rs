//! Rows of live tables, as text: what a `query` on the control socket is answered with.
//!
//! Not for finding rows: the tables do that.

use super::Shared;
use super::frame::Request;
use super::socket::Reply;
use crate::base::text::nearest;
use crate::base::time::Nanos;
use crate::base::zone::Zone;
use crate::encode::pen::Pen;
use crate::encode::value::Watch;
use crate::encode::{Encoder, Format, Style, Times};
use crate::sink::condition;
use crate::sink::live::{self, Found, Live, Query, Sort};
use std::io::{self, Write};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How long a query waits for rows that are on their way to the table.
const ARRIVE: Duration = Duration::from_secs(2);

/// Rows encoded at a time.
const STEP: usize = 256;

/// Reads a question from the socket and finds its rows.
///
/// # Errors
/// What is wrong with the question.
pub fn answer(request: &Request, shared: &Shared) -> Result<Reply, String> {
    let (name, table) = table(request.value("output"))?;
    let query = read(request)?;
    let shape = Shape::read(request)?;
    fresh(shared, &name);
    let mut found = table.query(&query)?;
    for found in &mut found {
        dress(&mut found.style, request)?;
    }
    Ok(Box::new(move |to| write(&found, shape, to)))
}

/// The table that is meant: the only one where no name is given.
fn table(name: Option<&str>) -> Result<(String, Arc<dyn Live>), String> {
    let names = live::names();
    let name = match (name, names.as_slice()) {
        (Some(name), _) => name,
        (None, [one]) => one,
        (None, []) => return Err("no output of kind `memory` is running".into()),
        (None, several) => {
            return Err(format!("which output? There are {}", several.join(", ")));
        }
    };
    live::find(name)
        .map(|table| (name.to_string(), table))
        .ok_or_else(|| {
            let near = nearest(name, names.iter().map(String::as_str));
            let near = near.map_or_else(String::new, |n| format!("; did you mean `{n}`?"));
            format!("no output `{name}` of kind `memory` is running{near}")
        })
}

fn read(request: &Request) -> Result<Query, String> {
    let mut query = Query {
        conditions: request.all("match").map(String::from).collect(),
        reset: request.value("reset").is_some(),
        ..Query::default()
    };
    for name in request.all("by").flat_map(|list| list.split(',')) {
        query.by.push(condition::field(name.trim())?);
    }
    if let Some(word) = request.value("sort") {
        let sort = Sort::named(word);
        query.sort = sort.ok_or_else(|| format!("no counter `{word}` to sort by"))?;
    }
    if let Some(number) = request.value("top") {
        let number = number.parse();
        let number = number.map_err(|_| "`top` takes a number".to_string())?;
        // As everywhere, 0 means all.
        query.top = Some(number).filter(|n| *n > 0);
    }
    Ok(query)
}

/// How values are shown, where the question has its own mind: `times`, `protocols`, `timezone`,
/// `separator`, as outputs have it.
fn dress(style: &mut Style, request: &Request) -> Result<(), String> {
    let unknown = |name: &str, word: &str| format!("`{name}` can not be `{word}`");
    if let Some(word) = request.value("times") {
        style.times = match word {
            "plain" => Times::Plain,
            "rfc3339" => Times::Rfc3339,
            "epoch" => Times::Epoch,
            _ => return Err(unknown("times", word)),
        };
    }
    if let Some(word) = request.value("protocols") {
        style.proto_numbers = match word {
            "names" => false,
            "numbers" => true,
            _ => return Err(unknown("protocols", word)),
        };
    }
    style.counters &= request.value("counters") != Some("false");
    if let Some(name) = request.value("timezone") {
        style.zone = Zone::named(name)?;
    }
    if let Some(word) = request.value("separator") {
        style.separator = match word.as_bytes() {
            b"tab" => b'\t',
            [one] if one.is_ascii() && !one.is_ascii_control() && *one != b'"' => *one,
            _ => return Err(unknown("separator", word)),
        };
    }
    Ok(())
}

/// Hands out what the tables in front of a live table hold, where nobody else gets their rows,
/// and waits a moment until it is there.
fn fresh(shared: &Shared, output: &str) {
    if shared.soon(|pipeline| pipeline.flush_to(output)) != Some(true) {
        return;
    }
    let until = Instant::now() + ARRIVE;
    while shared.with(|pipeline| pipeline.has_arrived(output)) == Some(false) {
        if Instant::now() > until {
            return;
        }
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// How an answer is written.
#[derive(Clone, Copy)]
struct Shape {
    format: Format,
    total: bool,
    age: bool,
    /// Tabs between values, whatever the style says, for programs.
    tabs: bool,
}

impl Shape {
    fn read(request: &Request) -> Result<Self, String> {
        let word = request.value("format").unwrap_or("table");
        let (word, tabs) = if word == "tabs" {
            ("csv", true)
        } else {
            (word, false)
        };
        let found = Format::TEXT.iter().find(|(known, _)| *known == word);
        Ok(Self {
            format: found.ok_or_else(|| format!("no format `{word}`"))?.1,
            total: request.value("total").is_some(),
            age: request.value("age").is_some(),
            tabs,
        })
    }
}

fn write(found: &[Found], shape: Shape, to: &mut dyn Write) -> io::Result<()> {
    for (n, found) in found.iter().enumerate() {
        if n > 0 && shape.format != Format::Json {
            to.write_all(b"\n")?;
        }
        if shape.total {
            total(found, shape, to)?;
        } else {
            rows(found, shape, to)?;
        }
    }
    Ok(())
}

fn rows(found: &Found, shape: Shape, to: &mut dyn Write) -> io::Result<()> {
    let mut style = found.style.clone();
    if shape.tabs {
        style.separator = b'\t';
    }
    let mut encoder = Encoder::new(shape.format, found.schema.clone(), &style);
    let mut out = Vec::new();
    let mut ages = Ages {
        watch: Watch::new(&style),
        shape,
        separator: style.separator,
        header: shape.format != Format::Json,
        rows: found.ages.iter(),
    };
    let size = found.schema.row_words().max(1);
    let updated = |n: usize| found.ages.get(n).map_or(Nanos(0), |(_, last)| *last);
    encoder.header(&mut out);
    // Rows that are shown with when they were written go one by one.
    let step = if style.stamps && found.schema.binned {
        1
    } else {
        STEP
    };
    for (n, chunk) in found.words.chunks(size * step).enumerate() {
        encoder.rows(chunk, updated(n * step), &mut out);
        ages.send(&mut out, to)?;
    }
    encoder.finish(&mut out);
    ages.send(&mut out, to)
}

/// Puts the ages behind encoded lines.
struct Ages<'a> {
    watch: Watch,
    shape: Shape,
    separator: u8,
    /// Whether the next line is the one with the names.
    header: bool,
    rows: std::slice::Iter<'a, (Nanos, Nanos)>,
}

impl Ages<'_> {
    fn send(&mut self, out: &mut Vec<u8>, to: &mut dyn Write) -> io::Result<()> {
        if !self.shape.age {
            to.write_all(out)?;
            out.clear();
            return Ok(());
        }
        let mut text = Vec::with_capacity(out.len() * 2);
        for line in out.split_inclusive(|b| *b == b'\n') {
            text.extend_from_slice(line.strip_suffix(b"\n").unwrap_or(line));
            self.line(&mut text);
        }
        out.clear();
        to.write_all(&text)
    }

    fn line(&mut self, text: &mut Vec<u8>) {
        let (first, last) = if std::mem::take(&mut self.header) {
            (b"FIRST_SEEN".to_vec(), b"LAST_SEEN".to_vec())
        } else {
            let (first, last) = self.rows.next().copied().unwrap_or_default();
            (self.show(first), self.show(last))
        };
        let between: [&[u8]; 3] = match self.shape.format {
            Format::Json | Format::Avro | Format::AvroJson => {
                text.pop(); // the brace
                [b",\"first_seen\":\"", b"\",\"last_seen\":\"", b"\"}\n"]
            }
            Format::Csv => [&[self.separator], &[self.separator], b"\n"],
            Format::Table => [b"  ", b"  ", b"\n"],
        };
        let width = if self.shape.format == Format::Table {
            19
        } else {
            0
        };
        for (between, value) in between.iter().zip([first, last]) {
            text.extend_from_slice(between);
            text.extend_from_slice(&value);
            text.resize(text.len() + usize::saturating_sub(width, value.len()), b' ');
        }
        text.extend_from_slice(between[2]);
    }

    fn show(&mut self, time: Nanos) -> Vec<u8> {
        let mut text = Vec::new();
        self.watch.stamp(&mut Pen::new(&mut text), time);
        text
    }
}

/// What the rows hold together, and since when.
fn total(found: &Found, shape: Shape, to: &mut dyn Write) -> io::Result<()> {
    let mut since = Vec::new();
    Watch::new(&found.style).stamp(&mut Pen::new(&mut since), found.since);
    let since = String::from_utf8_lossy(&since);
    let live::Total {
        rows,
        packets,
        bytes,
        flows,
    } = found.total;
    match shape.format {
        Format::Json | Format::Avro | Format::AvroJson => writeln!(
            to,
            "{{\"rows\":{rows},\"packets\":{packets},\"flows\":{flows},\"bytes\":{bytes},\
             \"since\":\"{since}\"}}"
        ),
        Format::Csv => {
            let s = if shape.tabs {
                '\t'
            } else {
                char::from(found.style.separator)
            };
            writeln!(to, "ROWS{s}PACKETS{s}FLOWS{s}BYTES{s}SINCE")?;
            writeln!(to, "{rows}{s}{packets}{s}{flows}{s}{bytes}{s}{since}")
        }
        Format::Table => writeln!(
            to,
            "{rows} rows, {packets} packets, {flows} flows, {bytes} bytes since {since}"
        ),
    }
}
