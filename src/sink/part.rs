//! A file while rows are written to it: under a name of its own until it is complete, or in
//! place when it is appended to. Its length after the last whole batch is known, and a failure
//! leads back to that length.

use super::Rows;
use crate::base::time::Nanos;
use crate::encode::Encoder;
use crate::record::Schema;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

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
}

/// A file that is being written.
#[derive(Debug)]
pub struct Part {
    /// Its name when complete.
    pub path: PathBuf,
    /// Whose rows it holds, as [`BatchId::aggregate`](super::BatchId).
    pub aggregate: u32,
    /// What those rows contain.
    schema: Arc<Schema>,
    /// Bin of the rows that came last.
    pub bin: Nanos,
    /// When it was used last, in the sink's own count.
    pub used: u64,
    work: PathBuf,
    mode: Mode,
    file: Option<File>,
    begun: bool,
    /// Length up to which the file holds what it should.
    len: u64,
    encoder: Encoder,
    pending: Vec<u8>,
    /// What stands before the first row that is added: a heading, or the end of a torn line.
    lead: Vec<u8>,
    committed: bool,
    mark: Option<(u64, Option<Box<Encoder>>)>,
}

impl Part {
    /// Opens nothing yet.
    pub fn new(path: PathBuf, rows: &Rows, mode: Mode, encoder: Encoder) -> Self {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let work = match mode {
            Mode::Append => path.clone(),
            _ => path.with_file_name(format!(".{name}.part")),
        };
        Self {
            path,
            aggregate: rows.id.aggregate,
            schema: rows.schema.clone(),
            bin: Nanos(0),
            used: 0,
            work,
            mode,
            file: None,
            begun: false,
            len: 0,
            encoder,
            pending: Vec::new(),
            lead: Vec::new(),
            committed: false,
            mark: None,
        }
    }

    /// Whether these rows can follow the ones that are there. After a reload, and out of the
    /// spool, their texts are in another store, so they need an encoder of their own.
    pub fn goes_on(&mut self, rows: &Rows, encoder: impl FnOnce() -> Encoder) -> bool {
        if self.aggregate != rows.id.aggregate {
            return false;
        }
        if !self.schema.is_same(&rows.schema) {
            if matches!(self.encoder, Encoder::Table(_)) || !self.schema.is_like(&rows.schema) {
                return false;
            }
            self.encoder = encoder();
            self.schema = rows.schema.clone();
        }
        true
    }

    /// Whether a crash would take away what is in it.
    pub fn is_lost_by_a_crash(&self) -> bool {
        self.committed && self.mode != Mode::Append
    }

    /// Whether a file descriptor is in use.
    pub fn is_open(&self) -> bool {
        self.file.is_some()
    }

    /// Whether rows of a batch that is not committed yet are in it.
    pub fn is_touched(&self) -> bool {
        self.mark.is_some()
    }

    /// Adds rows of a batch.
    ///
    /// # Errors
    /// What the system says; then [`rollback`](Self::rollback) leads back.
    pub fn put(&mut self, words: &[u64], flushed: Nanos) -> io::Result<()> {
        if !self.begun {
            self.open()?;
        }
        if self.mark.is_none() {
            let kept = match &self.encoder {
                Encoder::Table(_) => Some(Box::new(self.encoder.clone())),
                _ => None,
            };
            self.mark = Some((self.len, kept));
        }
        self.encoder.rows(words, flushed, &mut self.pending);
        if self.pending.len() >= PENDING {
            self.flush()?;
        }
        Ok(())
    }

    /// Writes what is pending. It stays pending when that fails.
    ///
    /// # Errors
    /// What the system says.
    pub fn flush(&mut self) -> io::Result<()> {
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
    }

    /// Forgets the batch that is not committed.
    pub fn rollback(&mut self) {
        let Some((len, kept)) = self.mark.take() else {
            return;
        };
        self.pending.clear();
        if !self.committed {
            self.pending.extend_from_slice(&self.lead);
        }
        self.len = len;
        if let Some(kept) = kept {
            self.encoder = *kept;
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
            if self.begun && self.mode != Mode::Append {
                present(fs::remove_file(&self.work))?;
            }
            return Ok(false);
        }
        self.encoder.finish(&mut self.pending);
        self.flush()?;
        if sync {
            self.open()?;
            self.sync()?;
        }
        self.file = None;
        if self.mode != Mode::Append {
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
        if self.begun && self.reopen()? {
            return Ok(());
        }
        if let Some(folder) = parent(&self.path) {
            fs::create_dir_all(folder)?;
        }
        let held = fs::metadata(&self.path).is_ok_and(|m| m.is_file() && m.len() > 0);
        if self.mode == Mode::Continue && held {
            fs::copy(&self.path, &self.work)?;
        }
        let keep = self.mode == Mode::Append || (self.mode == Mode::Continue && held);
        let mut options = OpenOptions::new();
        let options = options.write(true).create(true).truncate(!keep);
        let mut file = options.open(&self.work)?;
        self.len = if keep && regular(&file) {
            file.seek(SeekFrom::End(0))?
        } else {
            0
        };
        self.lead.clear();
        if self.len == 0 {
            self.encoder.header(&mut self.lead);
        } else if torn(&self.work, self.len)? {
            self.lead.push(b'\n');
        }
        self.pending.splice(0..0, self.lead.iter().copied());
        self.file = Some(file);
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

/// Whether a file ends in the middle of a line, as after a crash.
fn torn(path: &Path, len: u64) -> io::Result<bool> {
    let mut file = File::open(path)?;
    file.seek(SeekFrom::Start(len - 1))?;
    let mut last = [0];
    file.read_exact(&mut last)?;
    Ok(last != *b"\n")
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
