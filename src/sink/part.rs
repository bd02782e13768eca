//! A file while rows are written to it: under a name of its own until it is complete, or in
//! place when it is appended to. Its length after the last whole batch is known, and a failure
//! leads back to that length.

use super::Rows;
use super::access::Access;
use crate::base::time::Nanos;
use crate::base::time::wall;
use crate::encode::{Encoder, Format, Join, Style};
use crate::record::Schema;
use crate::sys::fifo;
use std::collections::VecDeque;
use std::ffi::OsStr;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

/// Encoded bytes that are kept before they are written.
const PENDING: usize = 64 << 10;

/// Most bytes of a name in a folder.
const NAME_MAX: usize = 255;

/// What a file of an earlier run holds.
const UNDONE: &str = "rows that an earlier run did not complete";

/// How a file is begun and ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Rows are appended to the file itself.
    Append,
    /// A new file takes the name when complete, with what the file of that name held before.
    Continue,
    /// A new file takes the name when complete.
    Replace,
    /// A named pipe: somebody reads what is written, as it comes.
    Pipe,
}

impl Mode {
    /// Whether rows go to the file of that name itself.
    fn in_place(self) -> bool {
        matches!(self, Self::Append | Self::Pipe)
    }
}

/// How the files of an output are written, the same for all of them.
#[derive(Debug)]
pub struct Manner {
    /// Their format.
    pub format: Format,
    /// How values are shown.
    pub style: Style,
    /// Whose they are.
    pub access: Access,
    /// Whether rows that an earlier run left in a file that it did not complete come again, out of
    /// a spool that has all of them: then that file is not gone on with.
    pub again: bool,
    /// Files that made room, each with the name that it had.
    pub asides: Mutex<VecDeque<(PathBuf, PathBuf)>>,
}

/// Most of them that are remembered.
const ASIDES: usize = 64;

impl Manner {
    fn encoder(&self, schema: &Arc<Schema>) -> Box<Encoder> {
        Box::new(Encoder::new(self.format, schema.clone(), &self.style))
    }
}

/// What a file is for.
#[derive(Clone, Debug)]
pub struct Whose {
    /// What its rows contain, and whose they are: the name of the aggregation is in it.
    pub schema: Arc<Schema>,
    /// Values of the variables of its name.
    pub values: Vec<Vec<u8>>,
}

/// What a failure leads back to.
#[derive(Debug)]
struct Mark {
    len: u64,
    /// Where rows are kept over the end of a batch: what keeps them, and what they contain.
    kept: Option<(Box<Encoder>, Arc<Schema>)>,
}

/// A file that is being written.
#[derive(Debug)]
pub struct Part {
    /// Its name when complete.
    pub path: PathBuf,
    /// Whose rows it holds.
    pub whose: Whose,
    /// Bin of the rows that came last.
    pub bin: Nanos,
    /// When it was used last, in the sink's own count.
    pub used: u64,
    work: PathBuf,
    mode: Mode,
    manner: Arc<Manner>,
    file: Option<File>,
    begun: bool,
    /// Length up to which the file holds what it should.
    len: u64,
    /// None while the file is closed: only few of many files are open, and only those cost much.
    encoder: Option<Box<Encoder>>,
    /// What its blocks are marked with, where they are.
    border: Option<[u8; 16]>,
    pending: Vec<u8>,
    /// What stands before the first row that is added: a heading, or the end of a torn line.
    lead: Vec<u8>,
    committed: bool,
    mark: Option<Mark>,
    /// Rows of this flush, those of the batch that is not committed, and since when.
    rows: u64,
    fresh: u64,
    since: Instant,
    /// Whether what stands behind the rows is written.
    ended: bool,
}

impl Part {
    /// Opens nothing yet.
    pub fn new(path: PathBuf, whose: Whose, mode: Mode, manner: Arc<Manner>) -> Self {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let mode = if fifo::is(&path) { Mode::Pipe } else { mode };
        let work = if mode.in_place() {
            path.clone()
        } else {
            path.with_file_name(format!(".{name}.part"))
        };
        Self {
            path,
            whose,
            bin: Nanos(0),
            used: 0,
            work,
            mode,
            manner,
            file: None,
            begun: false,
            len: 0,
            encoder: None,
            border: None,
            pending: Vec::new(),
            lead: Vec::new(),
            committed: false,
            mark: None,
            rows: 0,
            fresh: 0,
            since: Instant::now(),
            ended: false,
        }
    }

    /// Whether these rows can follow the ones that are there. After a reload, and out of the
    /// spool, their texts are in another store: then the encoder goes on with that.
    pub fn goes_on(&mut self, rows: &Rows) -> bool {
        let schema = &self.whose.schema;
        if schema.name != rows.schema.name || !schema.is_like(&rows.schema) {
            return false;
        }
        if !schema.is_same(&rows.schema) {
            self.mark();
            let schema = rows.schema.clone();
            if let Some(encoder) = &mut self.encoder {
                encoder.adopt(schema.clone(), &mut self.pending);
            }
            self.whose.schema = schema;
        }
        true
    }

    /// What writes its rows, made anew where it was given back with the file.
    fn encoder(&mut self) -> &mut Encoder {
        let (manner, schema, border) = (&self.manner, &self.whose.schema, self.border);
        self.encoder.get_or_insert_with(|| {
            let mut encoder = manner.encoder(schema);
            if let Some(border) = border {
                encoder.border_with(border);
            }
            encoder
        })
    }

    /// Gives back what costs memory and is made anew when rows come; rows of a table stay.
    fn rest(&mut self) {
        self.pending = Vec::new();
        if self.manner.format != Format::Table
            && let Some(encoder) = self.encoder.take()
        {
            self.border = encoder.border();
        }
    }

    /// Remembers what a failure leads back to, at the first rows of a batch.
    fn mark(&mut self) {
        if self.mark.is_none() {
            let kept = self.encoder.as_ref().and_then(|encoder| encoder.copy());
            self.mark = Some(Mark {
                len: self.len,
                kept: kept.map(|encoder| (encoder, self.whose.schema.clone())),
            });
        }
    }

    /// Whether a crash would take away what is in it.
    pub fn is_lost_by_a_crash(&self) -> bool {
        let keeps = self.encoder.as_ref().is_some_and(|encoder| encoder.keeps());
        self.committed && (!self.mode.in_place() || keeps)
    }

    /// Whether a file descriptor is in use.
    pub fn is_open(&self) -> bool {
        self.file.is_some()
    }

    /// Whether rows of a batch that is not committed yet are in it.
    pub fn is_touched(&self) -> bool {
        self.mark.is_some()
    }

    /// Whether it holds rows that are stored.
    pub fn is_committed(&self) -> bool {
        self.committed
    }

    /// Adds rows of a batch; none are enough to have a file.
    ///
    /// # Errors
    /// What the system says; then [`rollback`](Self::rollback) leads back.
    pub fn put(&mut self, words: &[u64], flushed: Nanos) -> io::Result<()> {
        if !self.begun {
            self.open()?;
        }
        self.mark();
        self.fresh += (words.len() / self.whose.schema.row_words().max(1)) as u64;
        let mut pending = std::mem::take(&mut self.pending);
        self.encoder().rows(words, flushed, &mut pending);
        self.pending = pending;
        if self.pending.len() >= PENDING {
            self.write()?;
        }
        Ok(())
    }

    /// Writes what is there of the rows so far. It stays pending when that fails.
    ///
    /// # Errors
    /// What the system says.
    pub fn flush(&mut self) -> io::Result<()> {
        if let Some(encoder) = &mut self.encoder {
            encoder.settle(&mut self.pending);
        }
        self.write()
    }

    fn write(&mut self) -> io::Result<()> {
        if self.pending.is_empty() {
            return Ok(());
        }
        self.open()?;
        let Some(file) = &mut self.file else {
            return Ok(());
        };
        let written = file.write_all(&self.pending);
        if written.is_err() {
            // The whole batch is written again, which may be by another process.
            cut(file, self.mark.as_ref().map_or(self.len, |mark| mark.len));
            self.file = None;
            return written;
        }
        self.len += self.pending.len() as u64;
        self.pending.clear();
        Ok(())
    }

    /// The batch is complete in all files.
    pub fn commit(&mut self) {
        self.committed |= self.mark.take().is_some();
        self.rows += std::mem::take(&mut self.fresh);
        // With many files what each keeps for the next batch adds up.
        self.pending = Vec::new();
        if self.mode != Mode::Pipe {
            self.lead = Vec::new();
        }
    }

    /// Forgets the batch that is not committed.
    pub fn rollback(&mut self) {
        let Some(Mark { len, kept }) = self.mark.take() else {
            return;
        };
        self.fresh = 0;
        self.pending.clear();
        if !self.committed {
            self.pending.extend_from_slice(&self.lead);
        }
        self.len = len;
        match kept {
            Some((encoder, schema)) => {
                self.encoder = Some(encoder);
                self.whose.schema = schema;
            }
            None => {
                if let Some(encoder) = &mut self.encoder {
                    encoder.forget();
                }
            }
        }
        // The next to open the file cuts it, if this does not succeed now.
        if let Some(file) = self.file.take() {
            cut(&file, len);
        }
    }

    /// Gives the file descriptor back.
    ///
    /// # Errors
    /// What the system says of the bytes that were still pending.
    pub fn close(&mut self) -> io::Result<()> {
        self.flush()?;
        self.file = None;
        self.rest();
        Ok(())
    }

    /// Takes away what was begun and holds nothing that is stored.
    pub fn abandon(&mut self) {
        if self.begun && !self.committed && !self.mode.in_place() {
            // What stays is gone on with, or set aside, by whoever writes there next.
            let _ = fs::remove_file(&self.work);
        }
    }

    /// Writes what belongs at the end and gives the file its name. May be called again after an
    /// error. False when no row came into it, and so there is no file.
    ///
    /// # Errors
    /// What the system says.
    pub fn complete(&mut self, sync: bool) -> io::Result<bool> {
        if !self.committed {
            if self.begun && !self.mode.in_place() {
                present(fs::remove_file(&self.work))?;
            }
            return Ok(false);
        }
        if !self.ended {
            self.ended = true;
            let (rows, seconds) = (self.rows, self.since.elapsed().as_secs());
            let mut pending = std::mem::take(&mut self.pending);
            let encoder = self.encoder();
            encoder.finish(&mut pending);
            encoder.end(rows, seconds, &mut pending);
            self.pending = pending;
        }
        self.write()?;
        if sync {
            self.open()?;
            self.sync()?;
        }
        self.file = None;
        if !self.mode.in_place() {
            // Nobody can bring back what was removed while it was open: trying again for ever
            // would only hold up the rows behind it.
            if !present(fs::rename(&self.work, &self.path))? {
                log::warn!("{} was taken away while written", self.work.display());
                return Ok(false);
            }
        }
        if sync && let Some(folder) = parent(&self.path) {
            File::open(folder)?.sync_all()?;
        }
        Ok(true)
    }

    /// What is written so far survives a crash.
    ///
    /// # Errors
    /// What the system says.
    pub fn sync(&mut self) -> io::Result<()> {
        match &self.file {
            Some(file) if regular(file) => file.sync_all(),
            _ => Ok(()),
        }
    }

    fn open(&mut self) -> io::Result<()> {
        if self.file.is_some() {
            return Ok(());
        }
        if self.mode == Mode::Pipe {
            return self.open_pipe();
        }
        if self.begun && self.reopen()? {
            return Ok(());
        }
        let len = loop {
            self.lead.clear();
            let (file, keep, left) = self.create()?;
            self.file = Some(file);
            match self.stand(keep)? {
                Join::Whole(len) => break len,
                Join::Foreign => self.make_room(left)?,
            }
        };
        self.len = len;
        self.begin(len == 0);
        self.begun = true;
        Ok(())
    }

    /// One file has one set of columns: what has others gets another name.
    fn make_room(&mut self, left: bool) -> io::Result<()> {
        self.file = None;
        if left {
            return set_aside(&self.work, UNDONE).map(drop);
        }
        if !self.mode.in_place() {
            // A copy of it, which would be taken for what an earlier run left.
            fs::remove_file(&self.work)?;
        }
        let aside = set_aside(&self.path, "rows of other columns")?;
        let manner = self.manner.clone();
        let mut asides = (manner.asides.lock()).unwrap_or_else(PoisonError::into_inner);
        // Out of a spool, rows of other columns come in turn with new ones. Theirs goes on, so that
        // there is not one more file at each turn.
        let ours = asides
            .iter()
            .position(|(path, aside)| *path == self.path && self.fits(aside));
        let ours = ours.and_then(|at| asides.remove(at));
        if asides.len() >= ASIDES {
            asides.pop_front();
        }
        asides.push_back((self.path.clone(), aside));
        match ours {
            Some((_, ours)) => fs::rename(ours, &self.path),
            None => Ok(()),
        }
    }

    /// Whether rows like these can be added to a file.
    fn fits(&mut self, path: &Path) -> bool {
        let Ok(mut file) = File::open(path) else {
            return false;
        };
        let len = file.metadata().map_or(0, |m| m.len());
        let found = len > 0 && regular(&file);
        let joined = found.then(|| self.encoder().join(&mut file, len, &mut Vec::new()));
        matches!(joined, Some(Ok(Join::Whole(1..))))
    }

    /// Opens the file for the first time; whether what it holds stays, and whether that is what an
    /// earlier run left.
    fn create(&mut self) -> io::Result<(File, bool, bool)> {
        // It could not take the name when it is complete.
        if fs::metadata(&self.path).is_ok_and(|m| m.is_dir()) {
            return Err(io::ErrorKind::IsADirectory.into());
        }
        let access = self.manner.access;
        if let Some(folder) = parent(&self.path) {
            access.folder(folder)?;
        }
        let (mut keep, mut left) = (self.mode == Mode::Append, false);
        if self.mode == Mode::Continue {
            let held = fs::metadata(&self.path).is_ok_and(|m| m.is_file() && m.len() > 0);
            left = !self.manner.again && goes_on(&self.path, &self.work, held)?;
            if left {
                log::info!("{} goes on: it was not complete", self.path.display());
            } else if held {
                fs::copy(&self.path, &self.work)?;
            }
            keep = held || left;
        }
        let mut options = OpenOptions::new();
        let options = options.write(true).create(true).truncate(!keep);
        options.mode(access.mode.unwrap_or(0o666));
        let file = options.open(&self.work)?;
        if regular(&file) {
            access.apply(&file, &self.work);
        }
        Ok((file, keep, left))
    }

    /// Goes to the end of what the file holds, if that stays and is a place for these rows; gives
    /// its length.
    fn stand(&mut self, keep: bool) -> io::Result<Join> {
        let Some(mut file) = self.file.take() else {
            return Ok(Join::Whole(0));
        };
        let mut len = match keep && regular(&file) {
            true => file.seek(SeekFrom::End(0))?,
            false => 0,
        };
        if len > 0 {
            let mut held = File::open(&self.work)?;
            let mut lead = std::mem::take(&mut self.lead);
            let found = self.encoder().join(&mut held, len, &mut lead)?;
            self.lead = lead;
            let Join::Whole(whole) = found else {
                return Ok(found);
            };
            if whole < len {
                log::warn!("{} was not whole at its end", self.path.display());
                file.set_len(whole)?;
                len = file.seek(SeekFrom::End(0))?;
            }
        }
        self.file = Some(file);
        Ok(Join::Whole(len))
    }

    /// What stands before the first row.
    fn begin(&mut self, new: bool) {
        let mut lead = std::mem::take(&mut self.lead);
        self.encoder().begin(new, &mut lead);
        self.lead = lead;
        self.pending.splice(0..0, self.lead.iter().copied());
    }

    /// Opens a named pipe. Whoever reads it gets a heading, also when another read it before.
    fn open_pipe(&mut self) -> io::Result<()> {
        self.file = Some(fifo::open(&self.work)?);
        if !self.begun {
            let mut lead = std::mem::take(&mut self.lead);
            self.encoder().begin(true, &mut lead);
            self.lead = lead;
        }
        if !self.pending.starts_with(&self.lead) {
            self.pending.splice(0..0, self.lead.iter().copied());
        }
        self.begun = true;
        Ok(())
    }

    /// Opens what was begun, at its known length; false when somebody took it away.
    fn reopen(&mut self) -> io::Result<bool> {
        let mut file = match OpenOptions::new().write(true).open(&self.work) {
            Err(e) if e.kind() == io::ErrorKind::NotFound => {
                log::warn!("{} was taken away while written", self.work.display());
                self.begun = false;
                return Ok(false);
            }
            opened => opened?,
        };
        if regular(&file) {
            file.set_len(self.len)?;
            file.seek(SeekFrom::End(0))?;
        }
        self.file = Some(file);
        Ok(true)
    }
}

/// Whether an earlier run left rows in `work` that are to be gone on with. It may have begun with
/// a copy of the file that it was to take the place of, if `held`; a part of that copy is worth
/// nothing, and what is neither is put beside: nobody can tell what it is.
fn goes_on(path: &Path, work: &Path, held: bool) -> io::Result<bool> {
    let Ok(left) = fs::symlink_metadata(work) else {
        return Ok(false);
    };
    if !left.is_file() || left.len() == 0 {
        return Ok(false);
    }
    if !held {
        return Ok(true);
    }
    let len = fs::metadata(path)?.len();
    if begins_alike(path, work)? {
        return Ok(left.len() >= len);
    }
    set_aside(work, UNDONE)?;
    Ok(false)
}

/// Keeps what these rows can not go on with; its name from now on.
fn set_aside(path: &Path, what: &str) -> io::Result<PathBuf> {
    let number = format!(".{}", wall().0);
    let name = path.file_name().unwrap_or_default().as_bytes();
    let name = name.get(..NAME_MAX - number.len()).unwrap_or(name);
    let aside = path.with_file_name(OsStr::from_bytes(&[name, number.as_bytes()].concat()));
    fs::rename(path, &aside)?;
    log::warn!("{} holds {what}", aside.display());
    Ok(aside)
}

/// Whether the shorter of two files is the beginning of the longer one.
fn begins_alike(a: &Path, b: &Path) -> io::Result<bool> {
    let (mut a, mut b) = (File::open(a)?, File::open(b)?);
    let mut blocks = (vec![0; PENDING], vec![0; PENDING]);
    loop {
        let (some, others) = (fill(&mut a, &mut blocks.0)?, fill(&mut b, &mut blocks.1)?);
        let both = some.len().min(others.len());
        if some.get(..both) != others.get(..both) {
            return Ok(false);
        }
        if both < PENDING {
            return Ok(true);
        }
    }
}

/// As many bytes as there are room and file.
fn fill<'a>(file: &mut File, into: &'a mut [u8]) -> io::Result<&'a [u8]> {
    let mut read = 0;
    loop {
        match file.read(into.get_mut(read..).unwrap_or_default()) {
            Ok(0) => return Ok(into.get(..read).unwrap_or_default()),
            Ok(n) => read += n,
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            Err(e) => return Err(e),
        }
    }
}

/// Whether what was to be done away with was there.
fn present(done: io::Result<()>) -> io::Result<bool> {
    match done {
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(false),
        done => done.map(|()| true),
    }
}

fn parent(path: &Path) -> Option<&Path> {
    path.parent().filter(|p| !p.as_os_str().is_empty())
}

fn regular(file: &File) -> bool {
    file.metadata().is_ok_and(|m| m.is_file())
}

/// Cuts a file back. On a full disk this frees what half a batch took; should it fail, opening
/// the file again cuts it.
fn cut(file: &File, len: u64) {
    if regular(file)
        && let Err(e) = file.set_len(len)
    {
        log::debug!("cutting a file back: {e}");
    }
}
