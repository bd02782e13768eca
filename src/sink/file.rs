//! Rows to files, whose names are made of time and values.
//!
//! A file is written under another name beside its own and renamed when the last rows of its
//! flush are in it, so nobody reads half a file; with `append`, rows go to the file itself.
//!
//! Settings, beside those of [`format::text`]:
//!
//! - `path`: the name, a [`Pattern`]: `"/var/log/weir/%Y%m%d-%H%M.csv"`, with the start of the
//!   bin as its time, and `$peer_src_ip`-like values of primitives of the rows, or `$aggregate`.
//! - `format`: `"csv"` (default), `"json"` or `"table"`.
//! - `append`: whether rows are appended to the file; default true where `path` has no time.
//! - `existing`: what becomes of a file of that name from an earlier run, when not appended to:
//!   `"continue"` (default; the new file holds its rows too) or `"replace"`.
//! - `latest`: a symbolic link that always leads to the file completed last.
//! - `trigger`: a command for `sh -c`, run when a file is complete, with its name in `WEIR_FILE`.
//! - `triggers`: most commands running at a time; default 4.
//! - `sync`: whether a complete file is forced to the disk; default false.
//! - `open`: most files open at a time; default 32.
//! - `files`: most files of one flush; rows with further values go to one file where every value
//!   is `other`; default 1024.

use super::child::Trigger;
use super::format::{self, Shape};
use super::part::{Mode, Part};
use super::{BatchId, Context, Opener, Rows, Sink, SinkError};
use crate::base::offset::Wall;
use crate::base::options::Options;
use crate::base::pattern::Pattern;
use crate::base::text::nearest;
use crate::base::time::Nanos;
use crate::encode::pen::Pen;
use crate::encode::value::Show;
use crate::encode::{Encoder, Format, Style};
use crate::record::schema::What;
use crate::record::{Column, FIELDS, Field};
use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

#[cfg(test)]
mod tests;

/// The name of the aggregation, as a variable of a path.
const AGGREGATE: &str = "aggregate";

/// Paths of this run that are remembered, so that `replace` spares them.
const OURS_MAX: usize = 65_536;

/// How long until commands that run are looked after again.
const REAP: Duration = Duration::from_secs(1);

/// How long to wait after the system refused something.
const AFTER: Duration = Duration::from_secs(5);

/// What the settings say.
#[derive(Clone, Debug)]
struct Settings {
    path: Pattern,
    shape: Shape,
    append: bool,
    replace: bool,
    latest: Option<Pattern>,
    sync: bool,
    open_max: usize,
    files_max: usize,
    trigger: Option<String>,
    triggers_max: usize,
}

impl Opener for Settings {
    fn open(self: Box<Self>, context: &Context) -> Result<Box<dyn Sink>, String> {
        Ok(Box::new(FileSink::new(*self, context)))
    }
}

/// Writes rows to files.
pub struct FileSink {
    settings: Settings,
    style: Style,
    wall: Wall,
    show: Show,
    trigger: Option<Trigger>,
    parts: BTreeMap<PathBuf, Part>,
    ours: BTreeSet<PathBuf>,
    written: Option<BatchId>,
    clock: u64,
    newest: Nanos,
}

/// Reads the settings of an output of kind `file`.
pub fn parse(options: &mut Options) -> Option<Box<dyn Opener>> {
    let shape = format::text(options, Format::Csv);
    let path = options.required("path", "/var/log/weir/%Y%m%d-%H%M.csv");
    let path = path.and_then(|text| pattern(options, "path", &text));
    let latest = options.text("latest");
    let latest = latest.and_then(|text| pattern(options, "latest", &text));
    if latest
        .as_ref()
        .is_some_and(|l| l.variables().next().is_some())
    {
        options.wrong("latest", "`latest` takes times, not values");
    }
    let append = options.flag("append");
    let existing = [("continue", false), ("replace", true)];
    let replace = options.choice("existing", &existing).unwrap_or(false);
    let trigger = options.text("trigger");
    let triggers_max = options.number("triggers", 1, 256).unwrap_or(4) as usize;
    let sync = options.flag("sync").unwrap_or(false);
    let open_max = options.number("open", 1, 4096).unwrap_or(32) as usize;
    let files_max = options.number("files", 1, 65_536).unwrap_or(1024) as usize;
    let path = path?;
    Some(Box::new(Settings {
        append: append.unwrap_or(!path.has_time()),
        path,
        shape,
        replace,
        latest,
        sync,
        open_max,
        files_max,
        trigger,
        triggers_max,
    }))
}

/// Reads a pattern whose variables are names of primitives.
fn pattern(options: &mut Options, name: &str, text: &str) -> Option<Pattern> {
    let pattern = match Pattern::parse(text) {
        Ok(pattern) => pattern,
        Err(message) => {
            options.wrong(name, format!("`{name}` is {text:?}: {message}"));
            return None;
        }
    };
    let unknown = pattern
        .variables()
        .find(|v| *v != AGGREGATE && Field::by_name(v).is_none());
    if let Some(variable) = unknown {
        let names = FIELDS.iter().map(|i| i.name).chain([AGGREGATE]);
        let near = nearest(variable, names);
        let near = near.map_or_else(String::new, |n| format!("; did you mean `${n}`?"));
        let message = format!("`{name}` has `${variable}`, which is no field{near}");
        options.wrong(name, message);
        return None;
    }
    Some(pattern)
}

/// What a variable of a path stands for in the rows of one schema.
#[derive(Clone, Copy)]
enum Variable {
    Aggregate,
    Column(Column),
    Absent,
}

impl FileSink {
    fn new(settings: Settings, context: &Context) -> Self {
        let style = settings.shape.style(context);
        let most = settings.triggers_max;
        Self {
            wall: Wall::new(style.zone.clone()),
            show: Show::new(&style),
            trigger: (settings.trigger.as_ref()).map(|t| Trigger::new(t.clone(), most)),
            settings,
            style,
            parts: BTreeMap::new(),
            ours: BTreeSet::new(),
            written: None,
            clock: 0,
            newest: Nanos(0),
        }
    }

    /// Puts rows into their files; on an error the caller rolls all files back.
    fn store(&mut self, rows: &Rows) -> io::Result<()> {
        let size = rows.schema.row_words().max(1);
        let variables: Vec<Variable> = (self.settings.path.variables())
            .map(|name| match name {
                AGGREGATE => Variable::Aggregate,
                name => Field::by_name(name)
                    .and_then(|f| rows.schema.column(What::Field(f)))
                    .map_or(Variable::Absent, |c| Variable::Column(*c)),
            })
            .collect();
        // Rows whose values are equal lie together often enough: one look-up for a run of them.
        let (mut start, mut current) = (0, None::<Vec<Vec<u8>>>);
        let by_row = variables.iter().any(|v| matches!(v, Variable::Column(_)));
        let step = if by_row { size } else { size * 256 };
        let mut at = 0;
        while at < rows.words.len() {
            let end = (at + step).min(rows.words.len());
            let row = rows.words.get(at..end).unwrap_or_default();
            let values = self.values(&variables, rows, row);
            if current.as_ref().is_some_and(|c| *c != values) || at - start >= size * 256 {
                self.run(rows, start..at, current.take().unwrap_or_default())?;
                start = at;
            }
            current = Some(values);
            at = end;
        }
        if let Some(values) = current {
            self.run(rows, start..at, values)?;
        }
        let touched: Vec<PathBuf> = self.touched().map(|p| p.path.clone()).collect();
        for path in touched {
            self.use_of(&path, Part::flush)?;
        }
        Ok(())
    }

    fn values(&mut self, variables: &[Variable], rows: &Rows, row: &[u64]) -> Vec<Vec<u8>> {
        let mut out = Vec::with_capacity(variables.len());
        for variable in variables {
            let mut text = Vec::new();
            match variable {
                Variable::Aggregate => text.extend_from_slice(rows.schema.name.as_bytes()),
                Variable::Column(column) => {
                    let mut pen = Pen::new(&mut text);
                    if self.show.value(&mut pen, &rows.schema, column, row) {
                        pen.raw(&self.show.text);
                    }
                }
                Variable::Absent => {}
            }
            out.push(text);
        }
        out
    }

    fn run(
        &mut self,
        rows: &Rows,
        range: std::ops::Range<usize>,
        values: Vec<Vec<u8>>,
    ) -> io::Result<()> {
        let mut path = self.name(rows.bin, &values);
        let known = self.parts.get(&path).map(|p| p.aggregate);
        if known.is_none() && self.parts.len() >= self.settings.files_max {
            let mut values = values;
            for (value, name) in values.iter_mut().zip(self.settings.path.variables()) {
                if name != AGGREGATE {
                    *value = b"other".to_vec();
                }
            }
            path = self.name(rows.bin, &values);
        }
        let format = self.settings.shape.format;
        let encoder = || Encoder::new(format, rows.schema.clone(), &self.style);
        match self.parts.get_mut(&path).map(|p| p.goes_on(rows, encoder)) {
            Some(true) => {}
            other => {
                if other.is_some() {
                    // Two aggregations write to one file: the columns change in the middle.
                    self.complete(&path)?;
                }
                self.begin(&path, rows);
            }
        }
        let words = rows.words.get(range).unwrap_or_default();
        let (bin, flushed) = (rows.bin, rows.flushed);
        self.use_of(&path, |part| {
            part.bin = bin;
            part.put(words, flushed)
        })
    }

    fn name(&mut self, bin: Nanos, values: &[Vec<u8>]) -> PathBuf {
        let civil = self.wall.civil(bin);
        let values = values.iter().map(Vec::as_slice);
        self.settings.path.expand(bin, &civil, values).into()
    }

    fn begin(&mut self, path: &Path, rows: &Rows) {
        let settings = &self.settings;
        let mode = match (settings.append, settings.replace) {
            (true, _) => Mode::Append,
            (false, true) if self.ours.len() < OURS_MAX && !self.ours.contains(path) => {
                Mode::Replace
            }
            _ => Mode::Continue,
        };
        let encoder = Encoder::new(settings.shape.format, rows.schema.clone(), &self.style);
        let part = Part::new(path.into(), rows, mode, encoder);
        self.parts.insert(path.into(), part);
    }

    /// Does something with a file, when no more than the allowed number are open.
    fn use_of(
        &mut self,
        path: &Path,
        what: impl FnOnce(&mut Part) -> io::Result<()>,
    ) -> io::Result<()> {
        self.clock += 1;
        let open = self.parts.values().filter(|p| p.is_open()).count();
        let here = self.parts.get(path).is_some_and(Part::is_open);
        if !here && open >= self.settings.open_max {
            let oldest = self.parts.values_mut().filter(|p| p.is_open());
            if let Some(oldest) = oldest.min_by_key(|p| p.used) {
                oldest.close()?;
            }
        }
        let clock = self.clock;
        match self.parts.get_mut(path) {
            Some(part) => {
                part.used = clock;
                what(part)
            }
            None => Ok(()),
        }
    }

    fn touched(&mut self) -> impl Iterator<Item = &mut Part> {
        self.parts.values_mut().filter(|p| p.is_touched())
    }

    /// Ends a file, then tells of it.
    fn complete(&mut self, path: &Path) -> io::Result<()> {
        let sync = self.settings.sync;
        let mut is_there = false;
        self.use_of(path, |part| {
            is_there = part.complete(sync)?;
            Ok(())
        })?;
        let Some(part) = self.parts.remove(path).filter(|_| is_there) else {
            return Ok(());
        };
        if self.ours.len() < OURS_MAX && self.settings.replace {
            self.ours.insert(path.into());
        }
        if part.bin >= self.newest {
            self.newest = part.bin;
            if let Err(e) = self.link(&part) {
                log::warn!("link to {}: {e}", part.path.display());
            }
        }
        if let Some(trigger) = &mut self.trigger {
            trigger.fire(path);
        }
        Ok(())
    }

    /// Makes the link to the latest file lead to `part`.
    fn link(&mut self, part: &Part) -> io::Result<()> {
        let Some(latest) = &self.settings.latest else {
            return Ok(());
        };
        let civil = self.wall.civil(part.bin);
        let link = PathBuf::from(latest.expand(part.bin, &civil, []));
        let beside = link.parent() == part.path.parent();
        let target = match part.path.file_name() {
            Some(name) if beside => PathBuf::from(name),
            _ => std::path::absolute(&part.path)?,
        };
        if std::fs::symlink_metadata(&link).is_ok_and(|m| !m.is_symlink()) {
            return Err(io::Error::other(format!(
                "{} is there and no link",
                link.display()
            )));
        }
        if let Some(folder) = link.parent().filter(|p| !p.as_os_str().is_empty()) {
            std::fs::create_dir_all(folder)?;
        }
        let name = link.file_name().unwrap_or_default().to_string_lossy();
        let work = link.with_file_name(format!(".{name}.link"));
        match std::fs::remove_file(&work) {
            Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(e),
            _ => {}
        }
        std::os::unix::fs::symlink(target, &work)?;
        std::fs::rename(&work, &link)
    }
}

fn retry(e: &io::Error) -> SinkError {
    SinkError::Retry {
        why: e.to_string(),
        after: AFTER,
    }
}

impl Sink for FileSink {
    fn write(&mut self, rows: &Rows) -> Result<(), SinkError> {
        if self.written != Some(rows.id) {
            match self.store(rows) {
                Ok(()) => self.touched().for_each(Part::commit),
                Err(e) => {
                    self.touched().for_each(Part::rollback);
                    return Err(retry(&e));
                }
            }
            self.written = Some(rows.id);
        }
        if rows.last {
            let done = (self.parts.values())
                .filter(|p| p.aggregate == rows.id.aggregate && p.bin == rows.bin);
            let done: Vec<PathBuf> = done.map(|p| p.path.clone()).collect();
            for path in done {
                self.complete(&path).map_err(|e| retry(&e))?;
            }
        }
        self.idle().map(|_| ())
    }

    fn sync(&mut self) -> Result<(), SinkError> {
        (self.parts.values_mut())
            .try_for_each(Part::sync)
            .map_err(|e| retry(&e))
    }

    fn holds(&self) -> bool {
        self.parts.values().any(Part::is_lost_by_a_crash)
    }

    fn idle(&mut self) -> Result<Option<Duration>, SinkError> {
        let busy = self.trigger.as_mut().is_some_and(Trigger::turn);
        Ok(busy.then_some(REAP))
    }
}
