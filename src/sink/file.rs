//! Rows to files, whose names are made of time and values.
//!
//! A file is written under another name beside its own and renamed when the last rows of its
//! flush are in it, so nobody reads half a file; with `append`, rows go to the file itself.
//!
//! Settings, beside those of [`format::text`]:
//!
//! A named pipe that is there is written to as it is, once somebody reads it.
//!
//! - `path`: the name, a [`Pattern`]: `"/var/log/weir/%Y%m%d-%H%M.csv"`, with the start of the
//!   bin as its time, and `$peer_src_ip`-like values of primitives of the rows, or `$aggregate`.
//! - `format`: default `"csv"`.
//! - `underscores`: whether dots and colons of values in names are `_`; default false.
//! - `append`: whether rows are appended to the file; default true where `path` has no time.
//! - `existing`: what becomes of a file of that name, when not appended to: `"continue"` (default;
//!   the new file holds its rows too), `"replace"` (if it is from an earlier run), or
//!   `"overwrite"` (each flush begins the file anew).
//! - `empty_files`: whether a flush without rows makes a file; default false.
//! - `mode`: permissions in octal, like `"0640"`; `owner`, `group`: whose files are, by name or
//!   number.
//! - `latest`: a symbolic link that always leads to the file completed last; a [`Pattern`] with
//!   variables of `path`.
//! - `trigger`: a command for `sh -c`, run when a file is complete, with its name in `WEIR_FILE`.
//! - `triggers`: most commands running at a time; default 4.
//! - `sync`: whether a complete file is forced to the disk; default false.
//! - `open`: most files open at a time; default 32.
//! - `files`: most files of one flush; rows with further values go to one file where every value
//!   is `other`; default 1024.

use super::access::{self, Access};
use super::child::Trigger;
use super::format::{self, SchemaFile, Shape};
use super::name::{self, Variables};
use super::part::{Manner, Mode, Part, Whose};
use super::{BatchId, Context, Opener, Rows, Sink, SinkError};
use crate::base::ledger::Sum;
use crate::base::offset::Wall;
use crate::base::options::Options;
use crate::base::pattern::Pattern;
use crate::base::sorted::Sorted;
use crate::base::time::Nanos;
use crate::base::{Triggers, without};
use crate::encode::Format;
use crate::encode::value::Show;
use crate::sys::process;
use std::collections::BTreeMap;
use std::hash::BuildHasher;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, LazyLock, Mutex, PoisonError};
use std::time::Duration;

#[cfg(test)]
mod tests;

/// Paths that are remembered: those of this run, so that `replace` spares them, and those that
/// links lead to.
const OURS_MAX: usize = 16_384;

/// Memory of one file of many: its names, values and length, and what is remembered of it.
const PART: usize = 1 << 10;

/// Memory of one that is open, beside that: what writes its rows.
const OPEN: usize = 4 << 10;

/// What this run has written, whichever of its outputs it was: after a reload the next one goes on
/// with it. Hashes of paths: a path that looks like another is gone on with, too.
struct Ours {
    seed: foldhash::fast::RandomState,
    /// Files that `replace` spares.
    whole: Sorted<u64>,
    /// Files that were completed in the middle of a flush: they are gone on with.
    parts: Sorted<u64>,
}

impl Ours {
    /// Does something with what this run has written.
    fn with<T>(path: &Path, what: impl FnOnce(&mut Self, u64) -> T) -> T {
        static OURS: LazyLock<Mutex<Ours>> = LazyLock::new(|| {
            Mutex::new(Ours {
                seed: Default::default(),
                whole: Sorted::new(),
                parts: Sorted::new(),
            })
        });
        let mut ours = OURS.lock().unwrap_or_else(PoisonError::into_inner);
        let hash = ours.seed.hash_one(path);
        what(&mut ours, hash)
    }
}

/// How long until commands that run are looked after again.
const REAP: Duration = Duration::from_secs(1);

/// How long to wait after the system refused something.
const AFTER: Duration = Duration::from_secs(5);

/// What becomes of a file that is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Existing {
    /// The new one holds its rows too.
    Continue,
    /// It goes, if it is from an earlier run.
    Replace,
    /// It goes.
    Overwrite,
}

/// What the settings say.
#[derive(Clone, Debug)]
struct Settings {
    path: Pattern,
    underscores: bool,
    shape: Shape,
    append: bool,
    existing: Existing,
    empty: bool,
    access: Access,
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

    fn columns(&self) -> Option<&'static str> {
        let plain = matches!(self.shape.format, Format::Json | Format::AvroJson);
        (!plain && !name::tells_apart(&self.path)).then_some("path")
    }

    fn memory(&self) -> usize {
        self.most() * PART + self.open_most() * OPEN
    }
}

/// Files that are written at a time, at the most, where names have no values of rows: one for each
/// bin; and how many of them are open.
const FEW: usize = 64;
const FEW_OPEN: usize = 8;

impl Settings {
    /// Whether rows of one flush may go to several files.
    fn by_value(&self) -> bool {
        self.path.variables().any(|v| v != name::AGGREGATE)
    }

    /// Most files that are written at a time: each flush may have one more, for what its other
    /// files have no room for.
    fn most(&self) -> usize {
        match self.by_value() {
            true => self.files_max.max(FEW) + 1,
            false => FEW + 1,
        }
    }

    /// Most files that are open.
    fn open_most(&self) -> usize {
        match self.by_value() {
            true => self.open_max,
            false => self.open_max.min(FEW_OPEN),
        }
    }
}

/// Writes rows to files.
pub struct FileSink {
    settings: Settings,
    manner: Arc<Manner>,
    wall: Wall,
    show: Show,
    trigger: Option<Trigger>,
    parts: BTreeMap<PathBuf, Part>,
    written: Option<BatchId>,
    /// Rows of the batch that can never be stored, and why.
    refused: Option<(Sum, String)>,
    clock: u64,
    /// Bin of the file that each link leads to.
    newest: BTreeMap<u64, Nanos>,
    schema: SchemaFile,
}

/// Reads the settings of an output of kind `file`.
pub fn parse(options: &mut Options) -> Option<Box<dyn Opener>> {
    let shape = format::text(options, Format::Csv);
    let path = options.required("path", "/var/log/weir/%Y%m%d-%H%M.csv");
    let path = path.and_then(|text| name::pattern(options, "path", &text));
    let latest = options.text("latest");
    let latest = latest.and_then(|text| name::pattern(options, "latest", &text));
    if let (Some(path), Some(latest)) = (&path, &latest) {
        let mut of_path = path.variables();
        let mut variables = latest.variables();
        if let Some(other) = variables.find(|v| !of_path.any(|p| p == *v)) {
            let message = format!("`latest` has `${other}`, which is not in `path`");
            options.wrong("latest", message);
        }
    }
    let underscores = options.flag("underscores").unwrap_or(false);
    let append = options.flag("append");
    let existing = [
        ("continue", Existing::Continue),
        ("replace", Existing::Replace),
        ("overwrite", Existing::Overwrite),
    ];
    let existing = options.choice("existing", &existing);
    let trigger = options.text("trigger");
    if trigger.is_some() && Triggers::get().is_none() {
        options.wrong("trigger", without("sink-trigger"));
    }
    let triggers_max = options.number("triggers", 1, 256).unwrap_or(4) as usize;
    let sync = options.flag("sync").unwrap_or(false);
    let open_max = options.number("open", 1, 4096).unwrap_or(32) as usize;
    // The others are for inputs, other outputs, and whoever asks.
    let open_max = open_max.min((process::files() / 4).max(1));
    let files_max = options.number("files", 1, 65_536).unwrap_or(1024) as usize;
    let empty = options.flag("empty_files").unwrap_or(false);
    let access = access::parse(options);
    let path = path?;
    if empty && path.variables().any(|v| v != name::AGGREGATE) {
        let message = "`empty_files` needs a `path` without values of rows: no rows, no values";
        options.wrong("empty_files", message);
    }
    // Who says what becomes of a file that is there does not want to append to it.
    let append = append.unwrap_or(!path.has_time() && existing.is_none());
    if append && existing.is_some() {
        options.wrong(
            "existing",
            "`existing` is for files that are not appended to",
        );
    }
    Some(Box::new(Settings {
        append,
        existing: existing.unwrap_or(Existing::Continue),
        empty,
        access,
        path,
        underscores,
        shape,
        latest,
        sync,
        open_max,
        files_max,
        trigger,
        triggers_max,
    }))
}

impl FileSink {
    fn new(settings: Settings, context: &Context) -> Self {
        let style = settings.shape.style(context);
        let most = settings.triggers_max;
        Self {
            wall: Wall::new(style.zone.clone()),
            show: Show::new(&style),
            trigger: (settings.trigger.clone().zip(Triggers::get()))
                .map(|(command, here)| Trigger::new(here, command, most)),
            schema: SchemaFile::new(&settings.shape),
            manner: Arc::new(Manner {
                format: settings.shape.format,
                style,
                access: settings.access,
                again: context.again,
                asides: Default::default(),
            }),
            settings,
            parts: BTreeMap::new(),
            written: None,
            refused: None,
            clock: 0,
            newest: BTreeMap::new(),
        }
    }

    /// Puts rows into their files; on an error the caller rolls all files back.
    fn store(&mut self, rows: &Rows) -> io::Result<()> {
        let size = rows.schema.row_words().max(1);
        self.refused = None;
        let variables = Variables::new(&self.settings.path, &rows.schema, &self.manner.style);
        // Rows whose values are equal lie together often enough: one look-up for a run of them.
        let (mut start, mut current) = (0, None::<Vec<Vec<u8>>>);
        let by_row = variables.by_row();
        let step = if by_row { size } else { size * 256 };
        let mut at = 0;
        while at < rows.words.len() {
            let end = (at + step).min(rows.words.len());
            let row = rows.words.get(at..end).unwrap_or_default();
            let mut values = variables.of(&mut self.show, &rows.schema, row, false);
            if self.settings.underscores {
                values.iter_mut().for_each(|value| name::underscored(value));
            }
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
        if self.settings.empty && rows.last && self.done(rows).next().is_none() {
            let values = variables.of(&mut self.show, &rows.schema, &[], false);
            self.run(rows, 0..0, values)?;
        }
        let touched: Vec<PathBuf> = self.touched().map(|p| p.path.clone()).collect();
        for path in touched {
            self.use_of(&path, Part::flush)?;
        }
        Ok(())
    }

    /// Files that the last rows of a flush make complete.
    fn done(&self, rows: &Rows) -> impl Iterator<Item = &Part> {
        let (name, bin) = (&rows.schema.name, rows.bin);
        (self.parts.values()).filter(move |p| p.whose.schema.name == *name && p.bin == bin)
    }

    fn run(
        &mut self,
        rows: &Rows,
        range: std::ops::Range<usize>,
        values: Vec<Vec<u8>>,
    ) -> io::Result<()> {
        let mut path = self.name(rows.bin, &values);
        let mut values = values;
        if !self.parts.contains_key(&path) && self.parts.len() >= self.settings.files_max {
            for (value, name) in values.iter_mut().zip(self.settings.path.variables()) {
                if name != name::AGGREGATE {
                    *value = b"other".to_vec();
                }
            }
            path = self.name(rows.bin, &values);
        }
        let same = (self.parts.get_mut(&path)).map(|p| p.goes_on(rows));
        if same != Some(true) {
            match same {
                // Two aggregations write to one file, or one has changed with a reload: the
                // columns change in the middle.
                Some(_) => self.complete(&path)?,
                None => self.make_room()?,
            }
            self.begin(&path, rows, values, same.is_some());
        }
        let words = rows.words.get(range).unwrap_or_default();
        let (bin, flushed) = (rows.bin, rows.flushed);
        let put = self.use_of(&path, |part| {
            part.bin = bin;
            part.put(words, flushed)
        });
        match put {
            Err(e) if self.is_for_ever(&path, &e) => {
                self.refuse(&path, rows, words, &e);
                Ok(())
            }
            put => put,
        }
    }

    /// Whether a file can never be: its name has values of rows that no file can have.
    fn is_for_ever(&self, path: &Path, e: &io::Error) -> bool {
        use io::ErrorKind::{InvalidFilename, IsADirectory};
        let new = self.parts.get(path).is_some_and(|p| !p.is_committed());
        new && self.settings.by_value() && matches!(e.kind(), InvalidFilename | IsADirectory)
    }

    /// Counts rows that can never be stored, so that those beside them are.
    fn refuse(&mut self, path: &Path, rows: &Rows, words: &[u64], e: &io::Error) {
        if let Some(mut part) = self.parts.remove(path) {
            part.abandon();
        }
        let sum = rows.sum_of(words);
        let (all, _) = self
            .refused
            .get_or_insert_with(|| (Sum::default(), e.to_string()));
        *all += sum;
    }

    /// Before one more file is begun: where there are as many as there may be, the one that rests
    /// longest is completed. It is gone on with when more rows come.
    fn make_room(&mut self) -> io::Result<()> {
        while self.parts.len() >= self.settings.most() {
            let idle = self.parts.values().filter(|p| !p.is_touched());
            let Some(path) = idle.min_by_key(|p| p.used).map(|p| p.path.clone()) else {
                return Ok(());
            };
            self.interrupt(&path)?;
        }
        Ok(())
    }

    /// Completes a file in the middle of a flush.
    fn interrupt(&mut self, path: &Path) -> io::Result<()> {
        let some = self.parts.get(path).is_some_and(Part::is_committed);
        self.complete(path)?;
        if !some {
            return Ok(());
        }
        Ours::with(path, |ours, hash| {
            // Which one is forgotten does not matter: these are hashes.
            if let Some(first) = ours.parts.members().first().copied()
                && ours.parts.len() >= OURS_MAX
            {
                ours.parts.remove(first);
            }
            ours.parts.insert(hash);
        });
        Ok(())
    }

    fn name(&mut self, bin: Nanos, values: &[Vec<u8>]) -> PathBuf {
        let civil = self.wall.civil(bin);
        let values = values.iter().map(Vec::as_slice);
        self.settings.path.expand(bin, &civil, values).into()
    }

    /// Begins a file, or goes on with the one that was just ended.
    fn begin(&mut self, path: &Path, rows: &Rows, values: Vec<Vec<u8>>, again: bool) {
        let (foreign, again) = Ours::with(path, |ours, hash| {
            let foreign = ours.whole.len() < OURS_MAX && !ours.whole.contains(hash);
            (foreign, ours.parts.remove(hash) || again)
        });
        let mode = match self.settings.existing {
            _ if self.settings.append => Mode::Append,
            _ if again => Mode::Continue,
            Existing::Replace if foreign => Mode::Replace,
            Existing::Overwrite => Mode::Replace,
            _ => Mode::Continue,
        };
        let whose = Whose {
            schema: rows.schema.clone(),
            values,
        };
        let part = Part::new(path.into(), whose, mode, self.manner.clone());
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
        if !here && open >= self.settings.open_most() {
            let oldest = self.parts.values_mut().filter(|p| p.is_open());
            if let Some(oldest) = oldest.min_by_key(|p| p.used) {
                oldest.close().map_err(|e| named(&oldest.path, &e))?;
            }
        }
        let clock = self.clock;
        match self.parts.get_mut(path) {
            Some(part) => {
                part.used = clock;
                what(part).map_err(|e| named(path, &e))
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
        if self.settings.existing == Existing::Replace {
            Ours::with(path, |ours, hash| {
                if ours.whole.len() < OURS_MAX {
                    ours.whole.insert(hash);
                }
            });
        }
        if let Err(e) = self.link(&part) {
            log::warn!("link to {}: {e}", part.path.display());
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
        let values = latest.variables().map(|variable| {
            let at = self.settings.path.variables().position(|v| v == variable);
            let value = at.and_then(|at| part.whose.values.get(at));
            value.map_or(&[][..], Vec::as_slice)
        });
        let link = PathBuf::from(latest.expand(part.bin, &civil, values));
        let hash = Ours::with(&link, |_, hash| hash);
        if self.newest.get(&hash).is_some_and(|bin| *bin > part.bin) {
            return Ok(());
        }
        if self.newest.len() >= OURS_MAX {
            self.newest.clear();
        }
        self.newest.insert(hash, part.bin);
        let beside = link.parent() == part.path.parent();
        let target = match part.path.file_name() {
            Some(name) if beside => PathBuf::from(name),
            _ => std::path::absolute(&part.path)?,
        };
        lead(&link, &target).map_err(|e| named(&link, &e))
    }
}

/// Makes a symbolic link, in place of one before it.
fn lead(link: &Path, target: &Path) -> io::Result<()> {
    if std::fs::symlink_metadata(link).is_ok_and(|m| !m.is_symlink()) {
        return Err(io::Error::other("it is there and no link"));
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
    std::fs::rename(&work, link)
}

/// What the system says, with the file it speaks of, and what to do about it.
fn named(path: &Path, e: &io::Error) -> io::Error {
    use io::ErrorKind::*;
    let advice = match e.kind() {
        PermissionDenied => "; let the user that runs weir write there",
        NotADirectory => "; a part of its path is a file: move that, or change `path`",
        IsADirectory => "; a folder has this name: move it, or change `path`",
        StorageFull | QuotaExceeded => "; make room, or write elsewhere",
        ReadOnlyFilesystem => "; make it writable, or write elsewhere",
        InvalidFilename => "; shorten `path`, or use fewer values in it",
        _ => "",
    };
    io::Error::new(e.kind(), format!("{}: {e}{advice}", path.display()))
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
        // Now, since its folder may be that of the files.
        (self.schema).note(rows, self.manner.format, &self.manner.style);
        if rows.last {
            let done: Vec<PathBuf> = self.done(rows).map(|p| p.path.clone()).collect();
            for path in done {
                match self.complete(&path) {
                    // It came while the file was written. What is written stays beside it.
                    Err(e)
                        if e.kind() == io::ErrorKind::IsADirectory && self.settings.by_value() =>
                    {
                        log::error!("{e}; what is written stays beside it");
                        self.parts.remove(&path);
                    }
                    done => done.map_err(|e| retry(&e))?,
                }
            }
        }
        self.idle().map(|_| ())
    }

    fn sync(&mut self) -> Result<(), SinkError> {
        let mut result = Ok(());
        // Whoever comes next knows nothing of them: they are completed in the middle of their
        // flush, each for itself.
        for path in self.parts.keys().cloned().collect::<Vec<_>>() {
            let forced = self.use_of(&path, Part::sync);
            if let Err(e) = forced.and_then(|()| self.interrupt(&path)) {
                result = Err(retry(&e));
            }
        }
        result
    }

    fn refused(&mut self) -> Option<(Sum, String)> {
        self.refused.take()
    }

    fn holds(&self) -> bool {
        self.parts.values().any(Part::is_lost_by_a_crash)
    }

    fn idle(&mut self) -> Result<Option<Duration>, SinkError> {
        let busy = self.trigger.as_mut().is_some_and(Trigger::turn);
        Ok(busy.then_some(REAP))
    }
}
