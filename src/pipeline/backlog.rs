//! [`Backlog`]: what an output has not taken, on disk. Rows become frames here and frames rows.
//!
//! Belongs to one [`Outlet`](super::outlet::Outlet), which decides what comes here and when it is
//! read. A disk that does not take rows is no failure of the output: then they stay in memory, the
//! state says why, and it is tried again.

use crate::base::intern::Interner;
use crate::base::ledger::Sum;
use crate::base::text::show_size;
use crate::base::time::wall;
use crate::base::without;
use crate::config::Output;
use crate::encode::binary::read::{Frame, Reader, Refused};
use crate::encode::binary::{self, Batch};
use crate::record::Schema;
use crate::sink::{BatchId, Rows};
use crate::spool::{Built, Keep, Log, Place, Reason, Settings, Shut, Trouble, Usage};
use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How long until a disk that took nothing, or gave nothing, is tried again.
const AGAIN: Duration = Duration::from_secs(10);

/// How long what comes new waits for rows of its flush that the disk does not give.
const WAITS: Duration = Duration::from_secs(60);

/// Flushes of earlier runs whose end is made up at the most; of more, one ends too early.
const ENDS_MAX: usize = 64;

/// Memory for a frame that is written and one that is read, beside their texts.
const FRAMES: usize = 256 << 10;

/// Batches that an output may have taken and not completed.
const DONE_MAX: usize = 1 << 14;

/// Memory of a backlog, beside texts and what the log knows.
pub const MEMORY: usize =
    FRAMES + DONE_MAX * size_of::<Place>() + ENDS_MAX * 2 * size_of::<(Flush, Rows)>();

/// Run, aggregation and bin.
type Flush = (u64, u32, u64);

/// How a backlog is doing.
#[derive(Clone, Debug, Default)]
pub struct Health {
    /// How full it is.
    pub usage: Usage,
    /// What an earlier run left in it.
    pub recovered: Sum,
    /// Why the disk takes no rows; none while it does.
    pub trouble: Option<String>,
    /// Why it gives none; none while it does.
    pub unread: Option<String>,
}

/// A disk that gives no rows for now.
struct Unread {
    why: String,
    since: Instant,
    again: Instant,
}

/// What an output has not taken, on disk.
pub struct Backlog {
    /// Without the spool there is no backlog.
    _built: Built,
    output: String,
    settings: Settings,
    /// Whether all rows go to the disk before anything else is done with them.
    pub ahead: bool,
    log: Option<Log>,
    frames: Reader,
    buffer: Vec<u8>,
    /// Flushes (run, aggregation, bin) that are on disk up to now, with more to come.
    open: BTreeSet<Flush>,
    /// After a reload, the identity of the run that goes on; flushes of all others are over.
    run: Option<u64>,
    /// Flushes of earlier runs of which rows were read, but not the last ones: these may have been
    /// in memory alone. What ends them is told when all is read, so that what collects rows (a
    /// file) is complete then.
    ends: BTreeMap<Flush, Rows>,
    /// Taken by the output, which would lose them in a crash.
    done: Vec<Place>,
    recovered: Sum,
    trouble: Option<String>,
    again: Option<Instant>,
    unread: Option<Unread>,
}

impl Backlog {
    /// Opens the spool that an output of the configuration has; none where it has none.
    ///
    /// # Errors
    /// As for [`open`](Self::open).
    pub fn of(output: &Output) -> Result<Option<Self>, String> {
        let Some(spool) = &output.spool else {
            return Ok(None);
        };
        let settings = spool.settings(&output.name);
        Self::open(&output.name, settings, spool.always).map(Some)
    }

    /// The same over a reload: what is there has flushes of `run` that go on, and rows of them
    /// that come new are for behind it.
    pub fn over_a_reload(mut self, run: u64) -> Self {
        self.run = Some(run);
        self
    }

    /// Opens the spool of an output.
    ///
    /// # Errors
    /// Why it can not be used, in words. A disk that is full or read-only is none: that is tried
    /// again.
    pub fn open(output: &str, settings: Settings, ahead: bool) -> Result<Self, String> {
        let Some(built) = Built::here() else {
            return Err(without("spool"));
        };
        let mut backlog = Self {
            _built: built,
            output: output.into(),
            settings,
            ahead,
            log: None,
            frames: Reader::default(),
            buffer: Vec::new(),
            open: BTreeSet::new(),
            run: None,
            ends: BTreeMap::new(),
            done: Vec::new(),
            recovered: Sum::default(),
            trouble: None,
            again: None,
            unread: None,
        };
        backlog.unlock()?;
        Ok(backlog)
    }

    fn unlock(&mut self) -> Result<(), String> {
        match Log::open(&self.settings, wall()) {
            Ok(log) => {
                self.recovered = log.found();
                if self.recovered.records > 0 {
                    let rows = self.recovered.records;
                    log::info!("output {}: {rows} rows of an earlier run wait", self.output);
                }
                self.log = Some(log);
                Ok(())
            }
            Err(Shut::Refused(why)) => Err(why),
            Err(Shut::Trouble(e)) => {
                self.fail(e.to_string());
                Ok(())
            }
        }
    }

    fn open_again(&mut self) {
        if let Err(why) = self.unlock() {
            self.fail(why);
        }
    }

    /// Whether there is a log; one that could not be opened is tried again.
    pub fn is_open(&self) -> bool {
        self.log.is_some()
    }

    fn fail(&mut self, why: String) {
        if self.trouble.is_none() {
            let (output, folder) = (&self.output, self.settings.folder.display());
            log::warn!("output {output}: spool {folder}: {why}; rows stay in memory");
        }
        self.trouble = Some(why);
        self.again = Some(Instant::now() + AGAIN);
    }

    /// Writes rows to the disk; none when it does not take them.
    pub fn append(&mut self, rows: &Rows, sum: Sum, keep: Keep) -> Option<Place> {
        let now = Instant::now();
        if self.again.is_some_and(|at| now < at) && !keep.at_any_cost {
            return None;
        }
        if self.log.is_none() {
            self.open_again();
        }
        let log = self.log.as_mut()?;
        self.buffer.clear();
        let written = match binary::write(&batch(rows), &mut self.buffer) {
            Ok(()) => log.append(&self.buffer, sum, wall(), keep),
            Err(binary::TooLarge) => Err(Trouble::TooLarge),
        };
        self.shrink();
        let why = match written {
            Ok(place) => {
                self.again = None;
                if self.trouble.take().is_some() {
                    log::info!("output {}: the spool takes rows again", self.output);
                }
                if !keep.held {
                    self.follow(rows);
                }
                return Some(place);
            }
            Err(Trouble::Spent) => {
                let daily = show_size(self.settings.daily.unwrap_or(0));
                format!("today's {daily} are written")
            }
            Err(Trouble::TooLarge) => "a batch is too large for it".into(),
            Err(Trouble::Io(e)) => e.to_string(),
        };
        self.fail(why);
        None
    }

    /// Frames of an unusual size are not what memory is planned for.
    fn shrink(&mut self) {
        if self.buffer.capacity() > FRAMES {
            self.buffer = Vec::new();
        }
    }

    /// Notes whether the flush that these rows belong to goes on behind them.
    pub fn follow(&mut self, rows: &Rows) {
        let flush = flush(rows);
        if rows.last {
            self.open.remove(&flush);
        } else {
            self.open.retain(|(run, ..)| *run == flush.0);
            self.open.insert(flush);
        }
    }

    /// The last rows of a flush found room nowhere: nothing of it will come.
    pub fn forget(&mut self, rows: &Rows) {
        if rows.last {
            self.open.remove(&flush(rows));
        }
    }

    /// Whether rows of the same flush lie on the disk and nowhere else, or may do so.
    pub fn precedes(&self, rows: &Rows) -> bool {
        let reads = self.unread.is_none() || self.holds_up();
        let earlier = || self.log.as_ref().is_some_and(Log::has_earlier);
        self.open.contains(&flush(rows)) || (self.run == Some(rows.id.run) && reads && earlier())
    }

    /// Whether rows of an earlier run, or the end of what it began, are there for the output to
    /// have now.
    pub fn has_some(&self) -> bool {
        let Some(log) = self.log.as_ref().filter(|_| self.pause().is_none()) else {
            return false;
        };
        // Frames, not rows: one without any may be the last of its flush.
        log.usage().frames > 0 || !self.ends.is_empty()
    }

    /// How long the disk is left alone because it could not be read.
    pub fn pause(&self) -> Option<Duration> {
        let again = self.unread.as_ref()?.again;
        let left = again.saturating_duration_since(Instant::now());
        Some(left).filter(|left| !left.is_zero())
    }

    /// Reads again at once, as after a while.
    #[cfg(test)]
    pub fn hasten(&mut self) {
        if let Some(unread) = &mut self.unread {
            unread.again = Instant::now();
        }
    }

    /// Whether rows that come new wait for earlier ones of their flush, which the disk does not
    /// give for now; not for ever, should it never do so again.
    pub fn holds_up(&self) -> bool {
        let waits = |unread: &Unread| unread.since.elapsed() < WAITS;
        self.unread.as_ref().is_some_and(waits)
    }

    /// The oldest rows that are on disk alone, or the end of a flush, which is nowhere.
    pub fn oldest(&mut self) -> Option<(Rows, Sum, Option<Place>)> {
        if self.pause().is_some() {
            return None;
        }
        loop {
            let log = self.log.as_mut()?;
            let full = self.ends.len() > ENDS_MAX;
            if (full || !log.has_earlier())
                && let Some((_, end)) = self.ends.pop_first()
            {
                return Some((end, Sum::default(), None));
            }
            let next = match log.next(&mut self.buffer) {
                Ok(next) => next,
                Err(e) => {
                    self.no_rows(&e);
                    return None;
                }
            };
            if self.unread.take().is_some() {
                log::info!("output {}: the spool gives rows again", self.output);
            }
            let (place, sum) = next?;
            let earlier = log.is_earlier(place);
            let read = self.frames.read(&self.buffer);
            self.shrink();
            match read {
                Ok(frame) => {
                    let rows = rows(frame);
                    if earlier {
                        self.note(&rows);
                    }
                    return Some((rows, sum, Some(place)));
                }
                Err(why) => self.refuse(&why, sum, place),
            }
        }
    }

    /// Remembers what will have to end the flush of rows that an earlier run wrote. It has the
    /// identity of the last rows that came of it, so that it is nothing new to who keeps those.
    fn note(&mut self, rows: &Rows) {
        let flush = flush(rows);
        if rows.last {
            self.ends.remove(&flush);
        } else if self.run != Some(rows.id.run) {
            let end = self.ends.entry(flush).or_insert_with(|| Rows {
                // Not with the texts of these rows, which would stay for it.
                schema: Arc::new(Schema {
                    symbols: Arc::new(Interner::new(0)),
                    ..Schema::clone(&rows.schema)
                }),
                words: Vec::new(),
                last: true,
                ..*rows
            });
            (end.id, end.flushed) = (rows.id, rows.flushed);
        }
    }

    /// A frame that was read and is none for this weir.
    fn refuse(&mut self, why: &Refused, sum: Sum, place: Place) {
        let Some(log) = &mut self.log else {
            return;
        };
        let (output, rows) = (&self.output, sum.records);
        if why.is_of_later() {
            log.pass(sum);
            let folder = self.settings.folder.display();
            log::error!(
                "output {output}: {rows} rows of the spool: {why}; they stay in {folder} for the \
                 weir that wrote them"
            );
        } else {
            log.lose(place, sum, Reason::Damaged);
            log::error!("output {output}: {rows} rows of the spool: {why}");
        }
    }

    /// The disk gives nothing now.
    fn no_rows(&mut self, e: &io::Error) {
        let now = Instant::now();
        let since = self.unread.as_ref().map_or(now, |unread| unread.since);
        if self.unread.is_none() {
            let (output, folder) = (&self.output, self.settings.folder.display());
            log::warn!("output {output}: spool {folder}: {e}; what is there waits");
        }
        self.unread = Some(Unread {
            why: e.to_string(),
            since,
            again: now + AGAIN,
        });
    }

    /// Whether a frame would come again after a start.
    pub fn holds(&self, place: Option<Place>) -> bool {
        let log = self.log.as_ref();
        place.is_some_and(|place| log.is_some_and(|log| log.holds(place)))
    }

    /// Rows are where they were to go; not for good as long as the output `holds` what it took.
    pub fn ack(&mut self, place: Option<Place>, holds: bool) {
        self.done.extend(place);
        if (!holds || self.done.len() >= DONE_MAX)
            && let Some(log) = &mut self.log
        {
            self.done.drain(..).for_each(|place| log.ack(place));
        }
    }

    /// Gives up what is too old; files that are to be forced to the disk now; and when to ask
    /// again. A log that could not be opened is tried again.
    pub fn keep(&mut self) -> (Vec<Arc<File>>, Option<Duration>) {
        if self.log.is_none() {
            let left = |at: Instant| at.saturating_duration_since(Instant::now());
            if let Some(left) = self.again.map(left).filter(|left| !left.is_zero()) {
                return (Vec::new(), Some(left));
            }
            self.open_again();
        }
        let Some(log) = &mut self.log else {
            return (Vec::new(), Some(AGAIN));
        };
        let now = Instant::now();
        let expire = log.expire(wall(), now);
        let (files, sync) = log.unsynced(now);
        (files, [expire, sync].into_iter().flatten().min())
    }

    /// What was forced to the disk and did not get there.
    pub fn unkept(&mut self, failed: &[(Arc<File>, io::Error)]) {
        if let Some(log) = &mut self.log {
            failed.iter().for_each(|(file, _)| log.distrust(file));
        }
        if let Some((_, e)) = failed.first() {
            self.fail(e.to_string());
        }
    }

    /// How it is doing.
    pub fn health(&self) -> Health {
        let none = Usage {
            most: self.settings.size,
            wear_most: self.settings.daily,
            ..Usage::default()
        };
        Health {
            usage: self.log.as_ref().map_or(none, Log::usage),
            recovered: self.recovered,
            trouble: self.trouble.clone(),
            unread: self.unread.as_ref().map(|unread| unread.why.clone()),
        }
    }

    /// Ends it.
    pub fn close(self) {
        if let Some(log) = self.log
            && let Err(e) = log.close()
        {
            log::error!("output {}: spool: {e}", self.output);
        }
    }
}

/// Forces all files to the disk; those that did not get there.
pub fn force(files: Vec<Arc<File>>) -> Vec<(Arc<File>, io::Error)> {
    let forced = files.into_iter().map(|file| {
        let done = file.sync_data();
        (file, done)
    });
    forced
        .filter_map(|(file, done)| Some((file, done.err()?)))
        .collect()
}

/// The rows of a frame.
fn rows(frame: Frame) -> Rows {
    let (run, aggregate, sequence) = frame.id;
    Rows {
        id: BatchId {
            run,
            aggregate,
            sequence,
        },
        schema: frame.schema,
        bin: frame.bin,
        flushed: frame.flushed,
        words: frame.words,
        last: frame.last,
    }
}

fn flush(rows: &Rows) -> Flush {
    (rows.id.run, rows.id.aggregate, rows.bin.0)
}

fn batch(rows: &Rows) -> Batch<'_> {
    Batch {
        maker: "",
        id: (rows.id.run, rows.id.aggregate, rows.id.sequence),
        schema: &rows.schema,
        bin: rows.bin,
        flushed: rows.flushed,
        last: rows.last,
        words: &rows.words,
    }
}
