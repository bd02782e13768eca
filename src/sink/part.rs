//! A file while rows are written to it: under a name of its own until it is complete, or in
//! place when it is appended to. Its length after the last whole batch is known, and a failure
//! leads back to that length.

use super::Rows;
use super::access::Access;
use crate::base::time::Nanos;
use crate::encode::Encoder;
use crate::record::Schema;
use crate::sys::fifo;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Seek, SeekFrom, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

/// Encoded bytes that are kept before they are written.
const PENDING: usize = 64 << 10;

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

/// What a file is for.
#[derive(Clone, Debug)]
pub struct Whose {
    /// Whose rows it holds, as [`BatchId::aggregate`](super::BatchId).
    pub aggregate: u32,
    /// What they contain.
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
    access: Access,
    file: Option<File>,
    begun: bool,
    /// Length up to which the file holds what it should.
    len: u64,
    encoder: Encoder,
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
    pub fn new(path: PathBuf, whose: Whose, mode: Mode, encoder: Encoder, access: Access) -> Self {
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
            access,
            file: None,
            begun: false,
            len: 0,
            encoder,
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
        if self.whose.aggregate != rows.id.aggregate || !schema.is_like(&rows.schema) {
            return false;
        }
        if !schema.is_same(&rows.schema) {
            self.mark();
            let schema = rows.schema.clone();
            self.encoder.adopt(schema.clone(), &mut self.pending);
            self.whose.schema = schema;
        }
        true
    }

    /// Remembers what a failure leads back to, at the first rows of a batch.
    fn mark(&mut self) {
        if self.mark.is_none() {
            let kept = self.encoder.copy();
            self.mark = Some(Mark {
                len: self.len,
                kept: kept.map(|encoder| (encoder, self.whose.schema.clone())),
            });
        }
    }

    /// Whether a crash would take away what is in it.
    pub fn is_lost_by_a_crash(&self) -> bool {
        self.committed && (!self.mode.in_place() || self.encoder.keeps())
    }

    /// Whether a file descriptor is in use.
    pub fn is_open(&self) -> bool {
        self.file.is_some()
    }

    /// Whether rows of a batch that is not committed yet are in it.
    pub fn is_touched(&self) -> bool {
        self.mark.is_some()
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
        self.encoder.rows(words, flushed, &mut self.pending);
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
        self.encoder.settle(&mut self.pending);
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
            cut(file, self.len);
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
                self.encoder = *encoder;
                self.whose.schema = schema;
            }
            None => self.encoder.forget(),
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
        Ok(())
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
            self.encoder.finish(&mut self.pending);
            let seconds = self.since.elapsed().as_secs();
            self.encoder.end(self.rows, seconds, &mut self.pending);
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
        if let Some(folder) = parent(&self.path) {
            self.access.folder(folder)?;
        }
        let held = fs::metadata(&self.path).is_ok_and(|m| m.is_file() && m.len() > 0);
        if self.mode == Mode::Continue && held {
            fs::copy(&self.path, &self.work)?;
        }
        let keep = self.mode == Mode::Append || (self.mode == Mode::Continue && held);
        let mut options = OpenOptions::new();
        let options = options.write(true).create(true).truncate(!keep);
        options.mode(self.access.mode.unwrap_or(0o666));
        let mut file = options.open(&self.work)?;
        if regular(&file) {
            self.access.apply(&file, &self.work);
        }
        self.lead.clear();
        self.len = if keep && regular(&file) {
            file.seek(SeekFrom::End(0))?
        } else {
            0
        };
        let new = self.len == 0;
        if !new {
            let mut held = File::open(&self.work)?;
            let whole = self.encoder.join(&mut held, self.len, &mut self.lead)?;
            if whole < self.len {
                log::warn!("{} was not whole at its end", self.path.display());
                file.set_len(whole)?;
                self.len = file.seek(SeekFrom::End(0))?;
            }
        }
        self.encoder.begin(new, &mut self.lead);
        self.pending.splice(0..0, self.lead.iter().copied());
        self.file = Some(file);
        self.begun = true;
        Ok(())
    }

    /// Opens a named pipe. Whoever reads it gets a heading, also when another read it before.
    fn open_pipe(&mut self) -> io::Result<()> {
        self.file = Some(fifo::open(&self.work)?);
        if !self.begun {
            self.encoder.begin(true, &mut self.lead);
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
