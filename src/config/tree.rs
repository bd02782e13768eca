//! [`File`]: a configuration as sections of [`Options`], with places; and the reader that makes it
//! from TOML.
//!
//! Other syntaxes make it too. Not for what a setting means.

use crate::base::options::{Options, Place, Problem, Raw};
use crate::base::text;
use std::ops::Range;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// A named section: `[input.NAME]`.
#[derive(Clone, Debug)]
pub struct Section {
    /// Its name.
    pub name: String,
    /// Its settings.
    pub options: Options,
}

/// A file, taken apart.
#[derive(Clone, Debug, Default)]
pub struct File {
    /// Settings before the first section.
    pub top: Options,
    /// `[log]`.
    pub log: Option<Options>,
    /// `[limits]`.
    pub limits: Option<Options>,
    /// `[primitive.NAME]`, in the order of the file; so are the others.
    pub primitives: Vec<Section>,
    /// `[input.NAME]`.
    pub inputs: Vec<Section>,
    /// `[aggregate.NAME]`.
    pub aggregates: Vec<Section>,
    /// `[output.NAME]`.
    pub outputs: Vec<Section>,
}

/// Sections that exist, for nearest names: plain ones, then those with a name behind a point.
const PLAIN: [&str; 2] = ["log", "limits"];
const NAMED: [&str; 4] = ["input", "aggregate", "output", "primitive"];

/// What the message of a mistake begins with that keeps the file from being read as a whole.
pub const BROKEN: &str = "not TOML: ";

/// Takes a file apart. Whatever can be read is read, the rest goes to `problems`.
pub fn parse(text: &str, problems: &mut Vec<Problem>) -> File {
    let (root, errors) = DeTable::parse_recoverable(text);
    let mut tree = Tree {
        lines: Lines::new(text),
        problems,
    };
    for error in errors {
        let place = error
            .span()
            .map_or(Place::default(), |s| tree.lines.place(s));
        tree.wrong(place, format!("{BROKEN}{}", error.message()));
    }
    let mut file = File::default();
    for (key, value) in in_order(root.get_ref()) {
        let (name, place) = (key.get_ref().as_ref(), tree.lines.place(key.span()));
        match (name, value.get_ref()) {
            ("log", DeValue::Table(t)) => file.log = Some(tree.options(name, place, t)),
            ("limits", DeValue::Table(t)) => file.limits = Some(tree.options(name, place, t)),
            ("primitive", value) => file.primitives = tree.sections(name, place, value),
            ("input", value) => file.inputs = tree.sections(name, place, value),
            ("aggregate", value) => file.aggregates = tree.sections(name, place, value),
            ("output", value) => file.outputs = tree.sections(name, place, value),
            (name, DeValue::Table(_)) => tree.unknown_section(name, place),
            (name, _) if PLAIN.contains(&name) => {
                tree.wrong(place, format!("`{name}` is a section: write [{name}]"));
            }
            (name, value_read) => {
                let raw = tree.raw(value_read);
                file.top
                    .push(name, raw, place, tree.lines.place(value.span()));
            }
        }
    }
    file
}

type Pair<'a, 'i> = (
    &'a Spanned<std::borrow::Cow<'i, str>>,
    &'a Spanned<DeValue<'i>>,
);

/// The pairs of a table in the order of the file: the table itself is sorted by name.
fn in_order<'a, 'i>(table: &'a DeTable<'i>) -> Vec<Pair<'a, 'i>> {
    let mut pairs: Vec<_> = table.iter().collect();
    pairs.sort_by_key(|(key, _)| key.span().start);
    pairs
}

struct Tree<'t, 'p> {
    lines: Lines<'t>,
    problems: &'p mut Vec<Problem>,
}

impl Tree<'_, '_> {
    fn wrong(&mut self, place: Place, message: String) {
        self.problems.push(Problem { place, message });
    }

    fn unknown_section(&mut self, name: &str, place: Place) {
        let known = PLAIN.into_iter().chain(NAMED);
        let hint = match text::nearest(name, known) {
            Some(near) => format!("did you mean [{near}]?"),
            None => {
                "there are [input.NAME], [aggregate.NAME], [output.NAME], [primitive.NAME], [log], \
                 [limits]"
                    .into()
            }
        };
        self.wrong(place, format!("no section [{name}]; {hint}"));
    }

    /// The sections `[family.NAME]`.
    fn sections(&mut self, family: &str, place: Place, value: &DeValue<'_>) -> Vec<Section> {
        let mut sections = Vec::new();
        let DeValue::Table(table) = value else {
            self.wrong(
                place,
                format!("`{family}` needs a name: write [{family}.NAME]"),
            );
            return sections;
        };
        for (key, value) in in_order(table) {
            let (name, place) = (key.get_ref().as_ref(), self.lines.place(key.span()));
            match value.get_ref() {
                DeValue::Table(_) if !is_name(name) => {
                    let message = format!(
                        "`{family}.{name}`: a name has letters, digits, `_` and `-`, 64 at most"
                    );
                    self.wrong(place, message);
                }
                DeValue::Table(table) => {
                    let options = self.options(&format!("{family}.{name}"), place, table);
                    sections.push(Section {
                        name: name.into(),
                        options,
                    });
                }
                _ => {
                    let message =
                        format!("`{name}` stands in no {family}: write [{family}.NAME] above it");
                    self.wrong(place, message);
                }
            }
        }
        sections
    }

    fn options(&mut self, section: &str, place: Place, table: &DeTable<'_>) -> Options {
        let mut options = Options::new(section, place);
        for (key, value) in in_order(table) {
            let raw = self.raw(value.get_ref());
            let (key_at, value_at) = (key.span(), value.span());
            let (key_at, value_at) = (self.lines.place(key_at), self.lines.place(value_at));
            options.push(key.get_ref(), raw, key_at, value_at);
        }
        options
    }

    /// A value; its depth is bounded by the parser.
    fn raw(&self, value: &DeValue<'_>) -> Raw {
        match value {
            DeValue::String(text) => Raw::Text(text.to_string()),
            DeValue::Boolean(b) => Raw::Bool(*b),
            DeValue::Integer(n) => i64::from_str_radix(n.as_str(), n.radix())
                .map_or(Raw::Other("a number of more than 64 bits"), Raw::Number),
            DeValue::Float(f) => Raw::Real(f.as_str().into()),
            DeValue::Array(items) => {
                let item =
                    |v: &Spanned<DeValue<'_>>| (self.raw(v.get_ref()), self.lines.place(v.span()));
                Raw::List(items.iter().map(item).collect())
            }
            DeValue::Datetime(_) => Raw::Other("a date"),
            DeValue::Table(_) => Raw::Other("a table"),
        }
    }
}

/// Whether a section may have this name: names end up in file names, table names and labels of
/// metrics.
pub fn is_name(name: &str) -> bool {
    let plain = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
    !name.is_empty() && name.len() <= 64 && name.chars().all(plain)
}

/// From byte offsets to lines and columns.
struct Lines<'t> {
    text: &'t str,
    starts: Vec<usize>,
}

impl<'t> Lines<'t> {
    fn new(text: &'t str) -> Self {
        let ends = text.bytes().enumerate().filter(|(_, b)| *b == b'\n');
        let starts = std::iter::once(0)
            .chain(ends.map(|(at, _)| at + 1))
            .collect();
        Self { text, starts }
    }

    fn place(&self, span: Range<usize>) -> Place {
        let line = self.starts.partition_point(|start| *start <= span.start);
        let start = self
            .starts
            .get(line.saturating_sub(1))
            .copied()
            .unwrap_or(0);
        let before = self.text.get(start..span.start).unwrap_or_default();
        Place {
            line: line as u32,
            column: before.chars().count() as u32 + 1,
        }
    }
}
