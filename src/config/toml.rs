//! TOML to the sections of a [`File`], with places.
//!
//! A file has two kinds of sections and settings in them, so what a parser of TOML says in turn is
//! entered at once; no tree of values is made, of which most would be thrown away. Not for what a
//! setting means.

use super::tree::{File, Section, is_name};
use crate::base::options::{Options, Place, Problem, Raw};
use crate::base::text;
use std::borrow::Cow;
use std::collections::BTreeSet;
use toml_parser::decoder::{Encoding, ScalarKind};
use toml_parser::parser::{EventReceiver, RecursionGuard, ValidateWhitespace, parse_document};
use toml_parser::{ErrorSink, ParseError, Raw as Token, Source, Span};

/// Sections that exist; those from [`NAMED`] on have a name behind a point.
const FAMILIES: [&str; 6] = ["log", "limits", "input", "aggregate", "output", "primitive"];
const NAMED: usize = 2;
/// Lists and tables within each other; more is not read.
const DEPTH: u32 = 80;

/// What a key says that stands twice: the rest of the file is as it is.
const TWICE: &str = "not TOML: duplicate key";

/// Whether a file is read as far as that could be done only: more may be in it.
pub fn is_broken(problems: &[Problem]) -> bool {
    let syntax = |p: &Problem| p.message.starts_with("not TOML: ") && p.message != TWICE;
    problems.iter().any(syntax)
}

/// Takes a file apart. Whatever can be read is read, the rest goes to `problems`.
pub fn parse(text: &str, problems: &mut Vec<Problem>) -> File {
    let source = Source::new(text);
    let tokens = source.lex().into_vec();
    let mut tree = Tree {
        text,
        lines: Lines::new(text),
        problems,
        top: Table::new(String::new(), Made::Header, Options::default()),
        sections: Default::default(),
        unknown: Vec::new(),
        header: Some(Vec::new()),
        path: Vec::new(),
        outside: Vec::new(),
        keys: Vec::new(),
        lists: Vec::new(),
        dropped: 0,
    };
    let mut errors: Vec<ParseError> = Vec::new();
    {
        let mut receiver = ValidateWhitespace::new(&mut tree, source);
        let mut receiver = RecursionGuard::new(&mut receiver, DEPTH);
        parse_document(&tokens, &mut receiver, &mut errors);
    }
    for error in errors {
        let span = error.unexpected().or(error.context());
        let place = span.map_or(Place::default(), |span| tree.lines.place(span));
        tree.wrong(place, format!("not TOML: {}", error.description()));
    }
    tree.file()
}

/// A part of a key.
#[derive(Clone)]
struct Key {
    name: String,
    place: Place,
}

/// What made a section: it can be made once.
#[derive(Clone, Copy, PartialEq)]
enum Made {
    /// The header of something in it.
    Inner,
    /// Its own header.
    Header,
    /// Settings with its name in front of theirs, or in braces.
    Keys,
}

/// A section, while it is read.
struct Table {
    name: String,
    made: Made,
    options: Options,
    /// What its options have, to be found at once: a file may have a hundred thousand.
    keys: BTreeSet<String>,
    /// Those of its settings that are tables, which none should be.
    tables: BTreeSet<String>,
}

impl Table {
    fn new(name: String, made: Made, options: Options) -> Self {
        Self {
            name,
            made,
            options,
            keys: BTreeSet::new(),
            tables: BTreeSet::new(),
        }
    }

    /// Enters a setting; false where it is there.
    fn enter(&mut self, key: &Key, value: Raw, place: Place) -> bool {
        let new = self.keys.insert(key.name.clone());
        if new {
            self.options.push(&key.name, value, key.place, place);
        }
        new
    }
}

/// What has been read.
struct Tree<'t, 'p> {
    text: &'t str,
    lines: Lines<'t>,
    problems: &'p mut Vec<Problem>,
    top: Table,
    /// As in [`FAMILIES`].
    sections: [Vec<Table>; FAMILIES.len()],
    /// Sections that do not exist, each to be told of once.
    unknown: Vec<String>,
    /// Keys of the section that goes on; none while what is read is to be dropped.
    header: Option<Vec<Key>>,
    /// Keys in front of those in braces, and how many there were outside of each pair.
    path: Vec<Key>,
    outside: Vec<usize>,
    /// The key that is being read, or whose value is.
    keys: Vec<Key>,
    /// Lists that are open, with their places.
    lists: Vec<(Vec<(Raw, Place)>, Place)>,
    /// Tables in lists that are open: nothing takes such.
    dropped: usize,
}

fn family(key: &Key) -> Option<usize> {
    FAMILIES.iter().position(|name| *name == key.name)
}

impl<'t> Tree<'t, '_> {
    fn file(self) -> File {
        let one = |tables: Vec<Table>| tables.into_iter().next().map(|table| table.options);
        let all = |tables: Vec<Table>| {
            let good = tables.into_iter().filter(|table| is_name(&table.name));
            let section = |Table { name, options, .. }| Section { name, options };
            good.map(section).collect()
        };
        let [log, limits, inputs, aggregates, outputs, primitives] = self.sections;
        File {
            top: self.top.options,
            log: one(log),
            limits: one(limits),
            primitives: all(primitives),
            inputs: all(inputs),
            aggregates: all(aggregates),
            outputs: all(outputs),
        }
    }

    fn wrong(&mut self, place: Place, message: String) {
        self.problems.push(Problem { place, message });
    }

    fn twice(&mut self, place: Place) {
        self.wrong(place, TWICE.into());
    }

    fn unknown_section(&mut self, key: &Key) {
        if self.unknown.contains(&key.name) {
            return;
        }
        self.unknown.push(key.name.clone());
        let hint = match text::nearest(&key.name, FAMILIES) {
            Some(near) => format!("did you mean [{near}]?"),
            None => {
                "there are [input.NAME], [aggregate.NAME], [output.NAME], [primitive.NAME], [log], \
                 [limits]"
                    .into()
            }
        };
        self.wrong(key.place, format!("no section [{}]; {hint}", key.name));
    }

    /// The section that these keys lead into, and those behind its own. The first `header` of them
    /// are of a header; `whole` if that is all.
    fn section<'k>(
        &mut self,
        keys: &'k [Key],
        header: usize,
        whole: bool,
    ) -> Option<(&mut Table, &'k [Key])> {
        let (first, inner) = keys.split_first()?;
        let Some(family) = family(first) else {
            self.unknown_section(first);
            return None;
        };
        let (key, rest) = match family < NAMED {
            true => (first, inner),
            false => inner.split_first()?,
        };
        let made = match keys.len() - rest.len() {
            depth if depth > header => Made::Keys,
            depth if whole && depth == header => Made::Header,
            _ => Made::Inner,
        };
        let tables = &mut self.sections[family];
        if let Some(at) = tables.iter().position(|table| table.name == key.name) {
            let before = tables[at].made;
            let again = match made {
                Made::Inner => false,
                Made::Header => before != Made::Inner,
                Made::Keys => before == Made::Header,
            };
            if again {
                self.twice(key.place);
                return None;
            }
            let table = &mut self.sections[family][at];
            if made == Made::Header {
                table.made = made;
            }
            return Some((table, rest));
        }
        let name = key.name.clone();
        let section = match family < NAMED {
            true => name.clone(),
            false => format!("{}.{name}", first.name),
        };
        if !is_name(&name) {
            let rule = "a name has letters, digits, `_` and `-`, 64 at most";
            self.wrong(key.place, format!("`{section}`: {rule}"));
        }
        let tables = &mut self.sections[family];
        tables.push(Table::new(name, made, Options::new(&section, key.place)));
        tables.last_mut().map(|table| (table, rest))
    }

    /// A table has been met: a section, or what no setting takes.
    fn table(&mut self, keys: &[Key], header: usize, whole: bool) {
        let Some((table, [key, ..])) = self.section(keys, header, whole) else {
            return;
        };
        if table.tables.contains(&key.name) {
            return;
        }
        if !table.enter(key, Raw::Other("a table"), key.place) {
            return self.twice(key.place);
        }
        table.tables.insert(key.name.clone());
    }

    /// All keys down to the one that has been read, and how many of them are the header's.
    fn take_keys(&mut self) -> Option<(Vec<Key>, usize)> {
        let own = std::mem::take(&mut self.keys);
        let mut keys = self.header.clone()?;
        let header = keys.len();
        keys.extend_from_slice(&self.path);
        keys.extend(own);
        Some((keys, header))
    }

    /// A setting has been read.
    fn set(&mut self, value: Raw, place: Place) {
        let Some((keys, header)) = self.take_keys() else {
            return;
        };
        let message = match &keys[..] {
            [key] => match family(key) {
                Some(at) if at < NAMED => format!("`{0}` is a section: write [{0}]", key.name),
                Some(_) => format!("`{0}` needs a name: write [{0}.NAME]", key.name),
                None => {
                    if !self.top.enter(key, value, place) {
                        self.twice(key.place);
                    }
                    return;
                }
            },
            [first, key] if family(first).is_some_and(|at| at >= NAMED) => format!(
                "`{}` stands in no {1}: write [{1}.NAME] above it",
                key.name, first.name
            ),
            _ => match self.section(&keys, header, false) {
                Some((table, [key])) => {
                    if !table.enter(key, value, place) {
                        self.twice(key.place);
                    }
                    return;
                }
                Some((_, [_, ..])) => return self.table(&keys, header, false),
                _ => return,
            },
        };
        if let Some(key) = keys.last() {
            self.wrong(key.place, message);
        }
    }

    /// A value has been read: one of a list, or of a setting.
    fn value(&mut self, value: Raw, place: Place) {
        match self.lists.last_mut() {
            Some((items, _)) => items.push((value, place)),
            None => self.set(value, place),
        }
    }

    fn token(&self, span: Span, encoding: Option<Encoding>) -> Token<'t> {
        let text = self.text.get(span.start()..span.end());
        Token::new_unchecked(text.unwrap_or_default(), encoding, span)
    }
}

impl EventReceiver for Tree<'_, '_> {
    fn std_table_open(&mut self, _: Span, _: &mut dyn ErrorSink) {
        self.header = None;
        self.keys.clear();
    }

    fn std_table_close(&mut self, _: Span, _: &mut dyn ErrorSink) {
        let header = std::mem::take(&mut self.keys);
        self.table(&header, header.len(), true);
        self.header = Some(header);
    }

    fn array_table_open(&mut self, span: Span, _: &mut dyn ErrorSink) {
        self.header = None;
        let place = self.lines.place(span);
        self.wrong(
            place,
            "a section stands in single brackets: [input.NAME]".into(),
        );
    }

    fn array_table_close(&mut self, _: Span, _: &mut dyn ErrorSink) {
        self.keys.clear();
    }

    fn inline_table_open(&mut self, span: Span, _: &mut dyn ErrorSink) -> bool {
        if self.dropped > 0 || !self.lists.is_empty() {
            if self.dropped == 0 {
                self.value(Raw::Other("a table"), self.lines.place(span));
            }
            self.dropped += 1;
            return true;
        }
        self.outside.push(self.path.len());
        self.path.append(&mut self.keys);
        if let Some((keys, header)) = self.take_keys() {
            self.table(&keys, header, false);
        }
        true
    }

    fn inline_table_close(&mut self, _: Span, _: &mut dyn ErrorSink) {
        if self.dropped > 0 {
            self.dropped -= 1;
            return;
        }
        self.path.truncate(self.outside.pop().unwrap_or_default());
        self.keys.clear();
    }

    fn array_open(&mut self, span: Span, _: &mut dyn ErrorSink) -> bool {
        if self.dropped == 0 {
            let place = self.lines.place(span);
            self.lists.push((Vec::new(), place));
        }
        true
    }

    fn array_close(&mut self, _: Span, _: &mut dyn ErrorSink) {
        if self.dropped == 0
            && let Some((items, place)) = self.lists.pop()
        {
            self.value(Raw::List(items), place);
        }
    }

    fn simple_key(&mut self, span: Span, kind: Option<Encoding>, error: &mut dyn ErrorSink) {
        let mut name = Cow::Borrowed("");
        self.token(span, kind).decode_key(&mut name, error);
        if self.dropped == 0 {
            let (name, place) = (name.into_owned(), self.lines.place(span));
            self.keys.push(Key { name, place });
        }
    }

    fn scalar(&mut self, span: Span, kind: Option<Encoding>, error: &mut dyn ErrorSink) {
        let mut text = Cow::Borrowed("");
        let value = match self.token(span, kind).decode_scalar(&mut text, error) {
            ScalarKind::String => Raw::Text(text.into_owned()),
            ScalarKind::Boolean(b) => Raw::Bool(b),
            ScalarKind::Integer(radix) => i64::from_str_radix(&text, radix.value())
                .map_or(Raw::Other("a number of more than 64 bits"), Raw::Number),
            ScalarKind::Float => Raw::Real(text.into_owned()),
            ScalarKind::DateTime => Raw::Other("a date"),
        };
        if self.dropped == 0 {
            self.value(value, self.lines.place(span));
        }
    }

    fn value_sep(&mut self, _: Span, _: &mut dyn ErrorSink) {
        if self.lists.is_empty() {
            self.keys.clear();
        }
    }

    fn newline(&mut self, _: Span, _: &mut dyn ErrorSink) {
        if self.lists.is_empty() && self.outside.is_empty() {
            self.keys.clear();
        }
    }
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

    fn place(&self, span: Span) -> Place {
        let line = self.starts.partition_point(|start| *start <= span.start());
        let start = self
            .starts
            .get(line.saturating_sub(1))
            .copied()
            .unwrap_or(0);
        let before = self.text.get(start..span.start()).unwrap_or_default();
        Place {
            line: line as u32,
            column: before.chars().count() as u32 + 1,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> (File, Vec<String>) {
        let mut problems = Vec::new();
        let file = parse(text, &mut problems);
        let said = |p: &Problem| format!("{}:{} {}", p.place.line, p.place.column, p.message);
        (file, problems.iter().map(said).collect())
    }

    #[test]
    fn a_section_of_a_hundred_thousand_settings_is_read_in_little_time() {
        let mut text = String::from("[input.a]\n");
        for n in 0..100_000 {
            text.push_str(&format!("k{n} = {n}\n"));
        }
        text.push_str("k7 = 1\n");
        let begun = std::time::Instant::now();
        let (file, said) = read(&text);
        assert_eq!(said, ["100002:1 not TOML: duplicate key"]);
        assert_eq!(file.inputs[0].options.given().count(), 100_000);
        // Without optimisation, on a busy machine.
        assert!(begun.elapsed().as_secs() < 20, "{:?}", begun.elapsed());
    }

    #[test]
    fn ways_to_write_a_section_are_the_same() {
        let ways = [
            "[input.a]\nkind = \"udp\"\nports = [1, 2]\n",
            "[input]\na.kind = \"udp\"\na.ports = [1, 2]\n",
            "input.a.kind = 'udp'\ninput.\"a\".ports = [\n1, # one\n2,\n]\n",
            "[input]\na = { kind = \"udp\", ports = [1, 2] }\n",
            "input = { a = { kind = \"udp\", ports = [0x1, 0b10] } }\n",
        ];
        for way in ways {
            let (file, problems) = read(way);
            assert_eq!(problems, [] as [&str; 0], "{way}");
            let [Section { name, options }] = &file.inputs[..] else {
                panic!("{way}");
            };
            assert_eq!((&name[..], &options.section[..]), ("a", "input.a"));
            let mut options = options.clone();
            assert_eq!(options.text("kind").as_deref(), Some("udp"), "{way}");
            assert!(options.has("ports"), "{way}");
        }
    }

    #[test]
    fn values_keep_their_kind_and_place() {
        let text = "a = \"x\\ty\"\nb = -1_000\nc = 1.5\nd = true\ne = 1979-05-27\n\
                    f = [[1], {g = 2, h = [3]}, 4]\nk = 99999999999999999999\n";
        let (mut file, problems) = read(text);
        assert_eq!(problems, [] as [&str; 0]);
        for (name, want) in [
            ("a", "\"x\\ty\""),
            ("b", "-1000"),
            ("c", "1.5"),
            ("d", "true"),
            ("e", "a date"),
            ("f", "[[1], a table, 4]"),
            ("k", "a number of more than 64 bits"),
        ] {
            let (raw, _) = file.top.raw(name).expect(name);
            assert_eq!(raw.show(), want, "{name}");
        }
    }

    #[test]
    fn what_is_written_twice_is_found_where_it_is() {
        for (text, want) in [
            ("a = 1\na = 2\n", "2:1 "),
            ("[log]\n[log]\n", "2:2 "),
            ("[input.a]\nx = 1\nx = 2\n", "3:1 "),
            ("[input.a]\n[input.a]\n", "2:8 "),
            ("[input.a]\n[input]\na.x = 1\n", "3:1 "),
            ("input.a.x = 1\n[input.a]\n", "2:8 "),
            ("[input.a]\nx = 1\nx.y = 2\n", "3:1 "),
            ("[input.a]\nx.y = 1\nx = 2\n", "3:1 "),
            ("log = {}\n[log]\n", "2:2 "),
        ] {
            let (_, problems) = read(text);
            let want = format!("{want}not TOML: duplicate key");
            assert_eq!(problems, [want], "{text}");
        }
    }

    #[test]
    fn a_header_may_follow_that_of_its_inner_table() {
        let (file, problems) = read("[input.a.b]\nx = 1\n[input.a]\nkind = \"udp\"\n");
        assert_eq!(problems, [] as [&str; 0]);
        let mut options = file.inputs[0].options.clone();
        let inner = options.raw("b").map(|(raw, _)| raw);
        assert_eq!(inner, Some(Raw::Other("a table")));
        assert!(options.has("kind"));
    }

    #[test]
    fn what_is_no_section_is_said_once() {
        for (text, want) in [
            (
                "[inptu.a]\nx = 1\n[inptu.b]\n",
                "1:2 no section [inptu]; did you mean [input]?",
            ),
            ("log = 3\n", "1:1 `log` is a section: write [log]"),
            (
                "input = 3\n",
                "1:1 `input` needs a name: write [input.NAME]",
            ),
            (
                "[input]\nkind = 3\n",
                "2:1 `kind` stands in no input: write [input.NAME] above it",
            ),
            (
                "[[input]]\nkind = 3\n",
                "1:1 a section stands in single brackets: [input.NAME]",
            ),
            (
                "[input.\"a b\"]\nkind = 3\n",
                "1:8 `input.a b`: a name has letters, digits, `_` and `-`, 64 at most",
            ),
        ] {
            let (file, problems) = read(text);
            assert_eq!(problems, [want], "{text}");
            assert!(file.inputs.is_empty(), "{text}");
        }
    }

    #[test]
    fn what_follows_a_mistake_is_read() {
        for broken in [
            "x = \n",
            "x\n",
            "= 3\n",
            "x = [1, 2\n",
            "x = \"a\n",
            "[log\n",
            "x = {a = 1\n",
            "x = 1 2\n",
            "x.y. = 3\n",
            "x = 01\n",
            "\u{1}\n",
        ] {
            let (file, problems) = read(&format!("{broken}\n[output.f]\nkind = \"file\"\n"));
            let said = problems.iter().any(|p| p.contains("not TOML"));
            assert!(said, "{broken}: {problems:?}");
            if !broken.contains(['[', '{']) {
                assert_eq!(file.outputs.len(), 1, "{broken}: {problems:?}");
            }
        }
    }

    #[test]
    fn depth_is_bounded() {
        for (open, close) in [("[", "]"), ("{a = ", "}")] {
            let text = format!("a = {}1{}\n", open.repeat(100_000), close.repeat(100_000));
            let (_, problems) = read(&text);
            let said = problems.iter().any(|p| p.contains("recurs"));
            assert!(said, "{:?}", problems.first());
        }
    }
}
