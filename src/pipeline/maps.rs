//! Files of rules, read when a plan is made: what they hold, compiled, and how that went.
//!
//! A file that can not be read, or of which no row is right, is a mistake when weir starts; when
//! it is read again, what was in force before stays so. Not for what is done with a map.

use crate::base::intern::Interner;
use crate::base::lines::{self, Complaints, Rows};
use crate::base::options::{Place, Problem};
use crate::base::part::{Only, Shared};
use crate::base::text;
use crate::base::{Maps, without};
use crate::config::rules::File;
use crate::enrich::{list, networks};
use crate::record::{FieldSet, TABLE};
use crate::rule::condition::Judge;
use crate::rule::map::Kind;
use crate::rule::{lookup, map, tag};
use std::io::BufReader;
use std::path::Path;
use std::sync::Arc;

/// What a file holds.
#[derive(Clone, Debug)]
pub enum Content {
    /// A map of tags.
    Tags(Shared<tag::TagMap>),
    /// A map of sampling rates or route distinguishers.
    Lookup(Shared<lookup::Lookup>),
    /// Networks.
    Networks(Shared<networks::Networks>),
    /// Ports, protocols or ToS.
    List(Shared<list::List>),
}

impl Content {
    /// How many rows it has.
    pub fn len(&self) -> usize {
        match self {
            Self::Tags(map) => map.len(),
            Self::Lookup(map) => map.len(),
            Self::Networks(networks) => networks.len(),
            Self::List(list) => list.len(),
        }
    }

    /// Whether it has none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Bytes it takes, and bytes that reading it takes besides.
    fn size(&self) -> (usize, usize) {
        match self {
            Self::Tags(map) => (map.size(), map.size()),
            Self::Lookup(map) => (map.size(), map.size()),
            Self::Networks(n) => (n.size(), n.len() * networks::Networks::READING),
            Self::List(list) => (list.size(), 0),
        }
    }
}

/// A file in force.
#[derive(Clone, Debug)]
pub struct Map {
    /// Which setting names it: `input.routers.tags`.
    pub name: String,
    /// Its path.
    pub path: String,
    /// What must be equal for it to stay in force.
    mark: String,
    /// What it holds.
    pub content: Content,
    /// Rows that were left out.
    pub refused: usize,
    /// Whether it was there when it was read last.
    pub fresh: bool,
    /// Whether another setting has the same content, which counts there.
    pub shared: bool,
}

/// Least memory planned for a map, so that a small one may grow while it is in force.
const LEAST: usize = 16 << 10;

impl Map {
    /// Bytes that it takes while it is in force.
    pub fn bytes(&self) -> usize {
        if self.shared {
            0
        } else {
            self.content.size().0
        }
    }

    /// Bytes to be planned for it: twice, because the new one is made while the old one is used,
    /// what reading takes, and a quarter more for rows to come.
    pub fn planned(&self) -> usize {
        if self.shared {
            return 0;
        }
        let (bytes, reading) = self.content.size();
        let twice = bytes.saturating_mul(2).saturating_add(bytes / 4);
        twice.saturating_add(reading).max(LEAST)
    }

    /// Whether `new` can take the place of `old` within what was planned for this one.
    pub fn has_room_for(&self, old: &Self, new: &Self) -> bool {
        let (bytes, reading) = new.content.size();
        let sum = old.content.size().0.saturating_add(bytes);
        new.shared || sum.saturating_add(reading) <= self.planned()
    }
}

/// Something about a row or a file that is no mistake of the configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Warning {
    /// The file.
    pub file: String,
    /// What, and where in it.
    pub problem: Problem,
}

/// Reads files, and takes what was in force before where one can not be read.
pub struct Loader<'a> {
    held: &'a [Map],
    symbols: Arc<Interner>,
    /// Longest file, in bytes.
    most: u64,
    /// What was read, in order.
    pub maps: Vec<Map>,
    /// Mistakes: files that must be there.
    pub problems: Vec<Problem>,
    /// Rows that were left out, and files that could not be read again.
    pub warnings: Vec<Warning>,
    /// Whether labels found no room among the texts.
    pub homeless: bool,
    /// Whether a file of which no row can be used is a map without rows, where none is in force.
    pub lenient: bool,
}

/// What was read: content, rows left out, labels without room.
type Read = (Content, usize, bool);

impl<'a> Loader<'a> {
    /// A loader for files of at the most `most` bytes; `held` is in force.
    pub fn new(held: &'a [Map], symbols: Arc<Interner>, most: u64) -> Self {
        Self {
            held,
            symbols,
            most,
            maps: Vec::new(),
            problems: Vec::new(),
            warnings: Vec::new(),
            homeless: false,
            lenient: false,
        }
    }

    /// Where texts are kept.
    pub fn symbols(&self) -> &Arc<Interner> {
        &self.symbols
    }

    /// A map of tags for records that have the fields `given` by `giver`.
    pub fn tags(
        &mut self,
        name: String,
        file: &File,
        given: FieldSet,
        giver: &str,
    ) -> Option<Shared<tag::TagMap>> {
        let here = Maps::get()?;
        let (symbols, most) = (self.symbols.clone(), self.most);
        let mark = format!("tags {given:?}");
        let content = self.load(name, file, mark, |complaints| {
            let mut compiler = tag::Compiler::new(Judge::new(given, giver), symbols);
            read(file.path.as_ref(), most, complaints, &mut compiler)?;
            let (refused, homeless) = (compiler.refused(), compiler.homeless());
            let map = compiler.finish(complaints);
            Ok((
                Content::Tags(Only::new(here, Arc::new(map))),
                refused,
                homeless,
            ))
        })?;
        match content {
            Content::Tags(map) => Some(map),
            _ => None,
        }
    }

    /// A map of this kind, likewise.
    pub fn lookup(
        &mut self,
        name: String,
        file: &File,
        kind: &'static Kind,
        given: FieldSet,
        giver: &str,
    ) -> Option<Shared<lookup::Lookup>> {
        let (here, most) = (Maps::get()?, self.most);
        let mark = format!("{} {given:?}", kind.name);
        let content = self.load(name, file, mark, |complaints| {
            let mut compiler = lookup::Compiler::new(kind, Judge::new(given, giver));
            read(file.path.as_ref(), most, complaints, &mut compiler)?;
            let refused = compiler.refused();
            let map = Arc::new(compiler.finish());
            Ok((Content::Lookup(Only::new(here, map)), refused, false))
        })?;
        match content {
            Content::Lookup(map) => Some(map),
            _ => None,
        }
    }

    /// A networks file.
    pub fn networks(&mut self, name: String, file: &File) -> Option<Shared<networks::Networks>> {
        let (here, most) = (Maps::get()?, self.most);
        let content = self.load(name, file, "networks".into(), |complaints| {
            let mut reader = networks::Reader::default();
            read(file.path.as_ref(), most, complaints, &mut reader)?;
            let (networks, refused) = reader.finish(complaints);
            let networks = Only::new(here, Arc::new(networks));
            Ok((Content::Networks(networks), refused, false))
        })?;
        match content {
            Content::Networks(networks) => Some(networks),
            _ => None,
        }
    }

    /// A list of values.
    pub fn list(&mut self, name: String, file: &File, of: list::Of) -> Option<Shared<list::List>> {
        let (here, most) = (Maps::get()?, self.most);
        let content = self.load(name, file, of.name().into(), |complaints| {
            let mut reader = list::Reader::new(of);
            read(file.path.as_ref(), most, complaints, &mut reader)?;
            let refused = reader.refused();
            let list = Arc::new(reader.finish());
            Ok((Content::List(Only::new(here, list)), refused, false))
        })?;
        match content {
            Content::List(list) => Some(list),
            _ => None,
        }
    }

    /// Reads a file, unless another setting has read the same one for the same records.
    fn load(
        &mut self,
        name: String,
        file: &File,
        mark: String,
        compile: impl FnOnce(&mut Complaints) -> Result<Read, String>,
    ) -> Option<Content> {
        let path = file.path.clone();
        let same = |map: &&Map| map.path == path && map.mark == mark;
        if let Some(known) = self.maps.iter().find(same) {
            let map = Map {
                name,
                shared: true,
                ..known.clone()
            };
            let content = map.content.clone();
            self.maps.push(map);
            return Some(content);
        }
        let mut complaints = Complaints::default();
        let read = compile(&mut complaints);
        let vain = read
            .as_ref()
            .ok()
            .and_then(|read| useless(read, &complaints));
        let new = !self.held.iter().any(|map| map.name == name);
        let read = match vain {
            Some(why) if self.lenient && new => {
                self.warn(&path, why);
                read
            }
            Some(why) => Err(why),
            None => read,
        };
        let map = match read {
            Ok((content, refused, homeless)) => {
                self.homeless |= homeless;
                self.complain(&path, &complaints);
                Map {
                    name,
                    path,
                    mark,
                    content,
                    refused,
                    fresh: true,
                    shared: false,
                }
            }
            Err(why) => self.stay(name, file, &mark, &why)?,
        };
        let content = map.content.clone();
        self.maps.push(map);
        Some(content)
    }

    /// What was in force before, instead of a file that can not be used.
    fn stay(&mut self, name: String, file: &File, mark: &str, why: &str) -> Option<Map> {
        let same = |map: &&Map| map.name == name && map.path == file.path && map.mark == mark;
        let held = self.held.iter().find(same).cloned();
        let held = held.and_then(|map| match map.content {
            Content::Tags(tags) => {
                let content = Content::Tags(tags.and_then(|map| map.moved(&self.symbols))?);
                Some(Map { content, ..map })
            }
            _ => Some(map),
        });
        match held {
            Some(map) => {
                self.warn(
                    &file.path,
                    format!("{why}; what was read before stays in force"),
                );
                Some(Map {
                    fresh: false,
                    shared: false,
                    ..map
                })
            }
            None => {
                let message = format!("{name} is {:?}: {why}", file.path);
                self.problems.push(Problem {
                    place: file.place,
                    message,
                });
                None
            }
        }
    }

    fn warn(&mut self, file: &str, message: String) {
        self.warnings.push(Warning {
            file: file.into(),
            problem: Problem {
                place: Place::default(),
                message,
            },
        });
    }

    fn complain(&mut self, file: &str, complaints: &Complaints) {
        for problem in complaints.problems() {
            self.warnings.push(Warning {
                file: file.into(),
                problem: problem.clone(),
            });
        }
        let more = complaints.count() - complaints.problems().len();
        if more > 0 {
            self.warn(file, format!("and {more} more"));
        }
    }
}

/// Why a file of which no row is right is taken for another one by mistake.
fn useless(read: &Read, complaints: &Complaints) -> Option<String> {
    let first = complaints
        .problems()
        .first()
        .filter(|_| read.0.is_empty())?;
    Some(format!(
        "none of its rows can be used; line {}: {}",
        first.place.line, first.message
    ))
}

/// Gives `rows` the rows of a file.
fn read(
    path: &Path,
    most: u64,
    complaints: &mut Complaints,
    rows: &mut dyn Rows,
) -> Result<(), String> {
    let said = |e: std::io::Error| e.to_string();
    // What is no file may keep a start waiting, as a FIFO does, or never end.
    if !std::fs::metadata(path).map_err(said)?.is_file() {
        return Err("it is no file".into());
    }
    let file = std::fs::File::open(path).map_err(said)?;
    match lines::each(&mut BufReader::new(file), most, complaints, rows) {
        Ok(true) => Ok(()),
        Ok(false) => Err("it is longer than all of `memory`".into()),
        Err(e) => Err(said(e)),
    }
}

/// Kinds of files that [`check`] takes.
pub fn kinds() -> impl Iterator<Item = &'static str> {
    let lists = ["networks", "ports", "protocols", "tos"];
    map::KINDS.iter().map(|kind| kind.name).chain(lists)
}

/// A kind by its name here where it has another elsewhere.
fn named(kind: &str) -> &str {
    match kind {
        "networks_file" => "networks",
        "ports_file" => "ports",
        "protos_file" => "protocols",
        "tos_file" => "tos",
        kind => kind,
    }
}

/// Whether there is such a kind of files.
///
/// # Errors
/// Which there are.
pub fn known(kind: &str) -> Result<(), String> {
    let name = named(kind);
    if name == "networks" || list::Of::named(name).is_some() || map::kind(name).is_some() {
        return Ok(());
    }
    let near = text::nearest(kind, kinds());
    let hint = match near {
        Some(near) => format!("did you mean `{near}`?"),
        None => format!("there are {}", kinds().collect::<Vec<_>>().join(", ")),
    };
    Err(format!("no kind of maps `{kind}`; {hint}"))
}

/// Longest file that is checked by itself.
const CHECKED: u64 = 1 << 30;

/// Judges a file by itself, as far as that can be done without knowing what records there will
/// be: its rows, and what is wrong with them.
///
/// # Errors
/// It can not be read, or there is no such kind of files.
pub fn check(kind: &str, path: &Path) -> Result<(usize, Complaints), String> {
    let Some(_here) = Maps::get() else {
        return Err(without("rule-map"));
    };
    let kind = named(kind);
    let mut complaints = Complaints::default();
    let judge = || Judge::new(TABLE.iter().map(|i| i.field).collect(), "weir");
    let rows = match (kind, list::Of::named(kind), map::kind(kind)) {
        ("networks", ..) => {
            let mut reader = networks::Reader::default();
            read(path, CHECKED, &mut complaints, &mut reader)?;
            reader.finish(&mut complaints).0.len()
        }
        (_, Some(of), _) => {
            let mut reader = list::Reader::new(of);
            read(path, CHECKED, &mut complaints, &mut reader)?;
            reader.finish().len()
        }
        (_, _, Some(kind)) if kind.name == "tags" => {
            let symbols = Arc::new(Interner::new(CHECKED as usize));
            let mut compiler = tag::Compiler::new(judge(), symbols);
            read(path, CHECKED, &mut complaints, &mut compiler)?;
            compiler.finish(&mut complaints).len()
        }
        (_, _, Some(kind)) if ["sampling", "rd"].contains(&kind.name) => {
            let mut compiler = lookup::Compiler::new(kind, judge());
            read(path, CHECKED, &mut complaints, &mut compiler)?;
            compiler.finish().len()
        }
        (_, _, Some(kind)) => {
            let mut rows = 0;
            let mut count = |line, column, text: &str, out: &mut Complaints| {
                rows += usize::from(kind.row(line, column, text, out).is_some());
            };
            read(path, CHECKED, &mut complaints, &mut count)?;
            rows
        }
        (name, None, None) => return known(name).map(|()| Default::default()),
    };
    Ok((rows, complaints))
}
