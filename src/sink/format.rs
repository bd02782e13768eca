//! Settings that all sinks of rows share: how values are shown; and that all sinks of text share:
//! format, separator, lists, marks around a flush.

use super::{Context, Rows, name};
use crate::base::civil::Civil;
use crate::base::intern::Interner;
use crate::base::options::Options;
use crate::base::pattern::Pattern;
use crate::base::time::Nanos;
use crate::base::zone::Zone;
use crate::base::{built, without};
use crate::encode::{Arrays, Format, Style, Times};
use crate::record::Schema;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// How rows are to be written, as far as the settings say.
#[derive(Clone, Debug)]
pub struct Shape {
    /// The format.
    pub format: Format,
    /// Where the schema of Avro is written, too.
    pub schema: Option<Pattern>,
    zone: Option<Zone>,
    style: Style,
    markers: bool,
    writer: Option<String>,
}

impl Shape {
    /// The same with protocols as numbers.
    pub fn numbers(mut self) -> Self {
        self.style.proto_numbers = true;
        self
    }

    /// Whether a flush has a mark before and behind it.
    pub fn marks(&self) -> bool {
        self.markers
    }

    /// The style, in the zone of the output or else of the configuration.
    pub fn style(&self, context: &Context) -> Style {
        let writer = self.writer.clone();
        let writer = writer.unwrap_or_else(|| format!("{}/{}", context.name, std::process::id()));
        Style {
            zone: self.zone.as_ref().unwrap_or(&context.zone).clone(),
            markers: self.markers.then_some(writer),
            seed: context.seed,
            ..self.style.clone()
        }
    }
}

/// Takes the settings of how values are shown:
///
/// - `timezone`: as the configuration's, for this output alone.
/// - `times`: `"plain"` (default, `2026-01-02 03:04:05.678901`), `"rfc3339"` or `"epoch"`.
/// - `fraction`: whether times have microseconds; default true. Stamps never have.
/// - `protocols`: `"names"` (default) or `"numbers"`.
/// - `dscp`: whether the type of service is its upper six bits; default false.
pub fn values(options: &mut Options) -> Shape {
    let zone = options.text("timezone").map(|name| Zone::named(&name));
    let zone = zone.and_then(|zone| {
        zone.map_err(|message| options.wrong("timezone", message))
            .ok()
    });
    let times = [
        ("plain", Times::Plain),
        ("rfc3339", Times::Rfc3339),
        ("epoch", Times::Epoch),
    ];
    let default = Style::default();
    let style = Style {
        times: options.choice("times", &times).unwrap_or_default(),
        fraction: options.flag("fraction").unwrap_or(default.fraction),
        proto_numbers: options
            .choice("protocols", &[("names", false), ("numbers", true)])
            .unwrap_or(default.proto_numbers),
        dscp: options.flag("dscp").unwrap_or(default.dscp),
        ..default
    };
    Shape {
        format: Format::Csv,
        schema: None,
        zone,
        style,
        markers: false,
        writer: None,
    }
}

/// Takes the format and all settings of text, those of [`values`] among them:
///
/// - `format`: `"csv"`, `"json"`, `"table"`, `"avro"` or `"avro-json"`; default `format`.
/// - `separator`: between two values in CSV; any one character, `"tab"` or `"space"`; default
///   `","`. `quotes`: whether a value that holds it is quoted; default true.
/// - `stamps`: whether rows of bins carry `stamp_inserted` and `stamp_updated`; default true.
/// - `counters`: whether rows have packets, flows and bytes; default true.
/// - `event_type`: whether JSON objects begin with `"event_type":"purge"`; default true.
/// - `fwd_status`: `"number"` (default) or `"text"`.
/// - `arrays`: lists that are arrays in JSON and Avro.
/// - `label_map`: whether labels are maps in JSON and Avro; default false.
/// - `markers`: whether a flush has a mark before and behind it; default false. `writer`: who it
///   says that writes.
/// - `schema`: where the schema of Avro is written.
pub fn text(options: &mut Options, format: Format) -> Shape {
    let mut shape = values(options);
    shape.format = options.choice("format", Format::CHOICES).unwrap_or(format);
    if shape.format.is_avro() && !built("enc-avro") {
        options.wrong("format", format!("`format`: {}", without("enc-avro")));
    }
    let structured = shape.format == Format::Json || shape.format.is_avro();
    separator(options, &mut shape);
    let style = &mut shape.style;
    style.stamps = options.flag("stamps").unwrap_or(style.stamps);
    style.counters = options.flag("counters").unwrap_or(style.counters);
    style.event_type = options.flag("event_type").unwrap_or(style.event_type);
    let words = [("number", false), ("text", true)];
    style.forwarding = options.choice("fwd_status", &words).unwrap_or(false);
    style.arrays = arrays(options);
    style.label_map = options.flag("label_map").unwrap_or(false);
    shape.markers = options.flag("markers").unwrap_or(false);
    shape.writer = options.text("writer");
    if shape.writer.is_some() && !shape.markers {
        options.wrong(
            "writer",
            "`writer` is named in markers: it needs markers = true",
        );
    }
    for (key, given) in [
        ("arrays", shape.style.arrays != Arrays::default()),
        ("label_map", shape.style.label_map),
    ] {
        if given && !structured {
            let message = format!("`{key}` is for format = \"json\", \"avro\" or \"avro-json\"");
            options.wrong(key, message);
        }
    }
    shape.schema = schema(options, shape.format);
    shape
}

fn separator(options: &mut Options, shape: &mut Shape) {
    if let Some(given) = options.text("separator") {
        match given.as_bytes() {
            b"tab" => shape.style.separator = b'\t',
            b"space" => shape.style.separator = b' ',
            [one] if one.is_ascii() && !b"\"\n\r\0".contains(one) => {
                shape.style.separator = *one;
            }
            _ => options.wrong(
                "separator",
                format!(
                    "`separator` is {given:?}; it takes \"tab\", \"space\" or one character of \
                     ASCII that is no quote and ends no line"
                ),
            ),
        }
    }
    let quotes = options.flag("quotes");
    if quotes.is_some() && shape.format != Format::Csv {
        options.wrong("quotes", "`quotes` is for format = \"csv\"");
    }
    shape.style.quotes = quotes.unwrap_or(true);
}

fn arrays(options: &mut Options) -> Arrays {
    const NAMES: [&str; 4] = ["tcpflags", "as_path", "communities", "mpls_label_stack"];
    let given = options.list("arrays").unwrap_or_default();
    for (name, place) in &given {
        if !NAMES.contains(&name.as_str()) {
            let near = crate::base::text::nearest(name, NAMES);
            let near = near.map_or_else(String::new, |n| format!("; did you mean {n:?}?"));
            let names = NAMES.map(|n| format!("{n:?}")).join(", ");
            options.problem(
                *place,
                format!("`arrays` holds {name:?}; it takes {names}{near}"),
            );
        }
    }
    let has = |name: &str| given.iter().any(|(given, _)| given == name);
    Arrays {
        tcp_flags: has("tcpflags"),
        as_path: has("as_path"),
        communities: has("communities"),
        mpls_labels: has("mpls_label_stack"),
    }
}

fn schema(options: &mut Options, format: Format) -> Option<Pattern> {
    let text = options.text("schema")?;
    if !format.is_avro() {
        let message = "`schema` is that of Avro: it needs format = \"avro\" or \"avro-json\"";
        options.wrong("schema", message);
    }
    let pattern = name::pattern(options, "schema", &text)?;
    let fixed = !pattern.has_time() && pattern.variables().all(|v| v == name::AGGREGATE);
    if !fixed {
        let message = "`schema` is one file, or one for each `$aggregate`";
        options.wrong("schema", message);
    }
    Some(pattern)
}

/// Writes the schema of rows to a file of its own, when the first of them come.
pub struct SchemaFile {
    pattern: Option<Pattern>,
    known: Vec<Written>,
    /// What went wrong last.
    failed: Option<String>,
}

/// The schema of an aggregation that is written.
struct Written {
    aggregate: u32,
    /// Without the texts of rows, which would stay for it.
    schema: Schema,
    /// When the newest of its rows left their table.
    newest: Nanos,
}

impl SchemaFile {
    /// To where `shape` says, if it does.
    pub fn new(shape: &Shape) -> Self {
        Self {
            pattern: shape.schema.clone(),
            known: Vec::new(),
            failed: None,
        }
    }

    /// Looks at rows. What goes wrong is logged and tried again.
    pub fn note(&mut self, rows: &Rows, format: Format, style: &Style) {
        let Some(pattern) = &self.pattern else {
            return;
        };
        let (id, schema) = (rows.id.aggregate, &rows.schema);
        if let Some(known) = self.known.iter_mut().find(|known| known.aggregate == id) {
            // Rows of columns that are no more may come out of a spool, in turn with new ones.
            if known.newest > rows.flushed {
                return;
            }
            known.newest = rows.flushed;
            if known.schema.is_like(schema) {
                return;
            }
        }
        let Some(mut text) = format.describe(schema, style) else {
            return;
        };
        text.push('\n');
        let names = pattern.variables().map(|_| schema.name.as_bytes());
        let path = PathBuf::from(pattern.expand(rows.bin, &Civil::new(0, 0), names));
        match write(&path, &text) {
            Ok(()) => {
                self.failed = None;
                self.known.retain(|known| known.aggregate != id);
                self.known.push(Written {
                    aggregate: id,
                    schema: Schema {
                        symbols: Arc::new(Interner::new(0)),
                        ..Schema::clone(schema)
                    },
                    newest: rows.flushed,
                });
            }
            Err(e) => {
                let why = format!("schema {}: {e}", path.display());
                if self.failed.as_ref() != Some(&why) {
                    log::warn!("{why}");
                    self.failed = Some(why);
                }
            }
        }
    }
}

/// Writes a file that nobody sees half of.
fn write(path: &Path, text: &str) -> io::Result<()> {
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder)?;
    }
    let mut new = path.as_os_str().to_owned();
    new.push("~");
    fs::write(&new, text)?;
    fs::rename(&new, path)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::options::{Place, Raw};

    fn problems(settings: &[(&str, Raw)]) -> String {
        let mut options = Options::new("output.x", Place::default());
        settings.iter().for_each(|(k, v)| options.set(k, v.clone()));
        text(&mut options, Format::Csv);
        let problems = options.finish().into_iter().map(|p| p.message);
        problems.collect::<Vec<_>>().join("; ")
    }

    fn word(text: &str) -> Raw {
        Raw::Text(text.into())
    }

    #[test]
    fn settings_that_do_nothing_are_told() {
        let json = ("format", word("json"));
        for (settings, part) in [
            (vec![("arrays", word("tcpflags"))], "`arrays` is for format"),
            (
                vec![json.clone(), ("arrays", word("tcp_flags"))],
                "did you mean \"tcpflags\"?",
            ),
            (
                vec![("label_map", Raw::Bool(true))],
                "`label_map` is for format",
            ),
            (vec![("writer", word("me"))], "needs markers = true"),
            (vec![("schema", word("x.avsc"))], "it needs format"),
            (
                vec![json.clone(), ("quotes", Raw::Bool(false))],
                "is for format = \"csv\"",
            ),
            (vec![("separator", word("\""))], "`separator` is"),
            (vec![("separator", word("é"))], "`separator` is"),
            (vec![("separator", word(";;"))], "`separator` is"),
        ] {
            let said = problems(&settings);
            assert!(said.contains(part), "{settings:?}: {said}");
        }
        for separator in ["tab", "space", ";", ".", "-", "1", "\t", " "] {
            assert_eq!(problems(&[("separator", word(separator))]), "");
        }
        assert_eq!(problems(&[json, ("label_map", Raw::Bool(true))]), "");
    }

    #[cfg(feature = "enc-avro")]
    #[test]
    fn a_file_has_the_schema_of_the_newest_rows() {
        use crate::encode::sample;
        use crate::record::Field::*;
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("in/x.avsc");
        let mut options = Options::new("output.x", Place::default());
        options.set("format", word("avro"));
        options.set("schema", word(path.to_str().unwrap()));
        let shape = text(&mut options, Format::Csv);
        let mut file = SchemaFile::new(&shape);
        let (old, new) = (&[SrcHost, DstPort][..], &[DstPort][..]);
        // The second of these comes out of a spool, behind rows that are newer.
        for (fields, flushed, want) in [(old, 1, old), (new, 3, new), (old, 2, new), (old, 4, old)]
        {
            let (schema, words) = sample::rows(fields, false);
            let rows = Rows {
                id: crate::sink::BatchId {
                    run: 1,
                    aggregate: 0,
                    sequence: flushed,
                },
                schema,
                bin: Nanos(0),
                flushed: Nanos(flushed),
                words,
                last: true,
            };
            file.note(&rows, Format::Avro, &Style::default());
            let written = fs::read_to_string(&path).unwrap();
            assert_eq!(written.contains("ip_src"), want == old, "{flushed}");
        }
    }

    #[cfg(feature = "enc-avro")]
    #[test]
    fn a_schema_has_one_file_for_each_aggregation_at_the_most() {
        let avro = ("format", word("avro"));
        let said = problems(&[avro.clone(), ("schema", word("x-$src_host"))]);
        assert!(said.contains("for each `$aggregate`"), "{said}");
        let said = problems(&[avro.clone(), ("schema", word("x-%Y"))]);
        assert!(said.contains("for each `$aggregate`"), "{said}");
        assert_eq!(problems(&[avro, ("schema", word("x-$aggregate"))]), "");
    }
}
