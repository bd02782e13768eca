//! [`Backlog`]: what an output has not taken, on disk. Rows become frames here and frames rows.
//!
//! Belongs to one [`Outlet`](super::outlet::Outlet), which decides what comes here and when it is
//! read. A disk that does not take rows is no failure of the output: then they stay in memory, the
//! state says why, and it is tried again.

use crate::base::ledger::Sum;
use crate::base::text::show_size;
use crate::base::time::wall;
use crate::base::without;
use crate::config::Output;
use crate::encode::binary::{self, Batch, read::Reader};
use crate::sink::{BatchId, Rows};
use crate::spool::{Built, Keep, Log, Place, Reason, Settings, Shut, Trouble, Usage};
use std::collections::BTreeSet;
use std::fs::File;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How long until a disk that took nothing is tried again.
const AGAIN: Duration = Duration::from_secs(10);

/// Memory for a frame that is written and one that is read, beside their texts.
const FRAMES: usize = 256 << 10;

/// Batches that an output may have taken and not completed.
const DONE_MAX: usize = 1 << 14;

/// Memory of a backlog, beside texts and what the log knows.
pub const MEMORY: usize = FRAMES + DONE_MAX * size_of::<Place>();

/// How a backlog is doing.
#[derive(Clone, Debug, Default)]
pub struct Health {
    /// How full it is.
    pub usage: Usage,
    /// What an earlier run left in it.
    pub recovered: Sum,
    /// Why the disk takes no rows; none while it does.
    pub trouble: Option<String>,
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
    open: BTreeSet<(u64, u32, u64)>,
    /// Taken by the output, which would lose them in a crash.
    done: Vec<Place>,
    recovered: Sum,
    trouble: Option<String>,
    again: Option<Instant>,
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
            done: Vec::new(),
            recovered: Sum::default(),
            trouble: None,
            again: None,
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
        if self.log.is_none()
            && let Err(why) = self.unlock()
        {
            self.fail(why);
        }
        let log = self.log.as_mut()?;
        self.buffer.clear();
        let written = match binary::write(&batch(rows), &mut self.buffer) {
            Ok(()) => log.append(&self.buffer, sum, wall(), keep),
            Err(binary::TooLarge) => Err(Trouble::TooLarge),
        };
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

    /// Whether rows of the same flush lie on the disk and nowhere else.
    pub fn precedes(&self, rows: &Rows) -> bool {
        self.open.contains(&flush(rows))
    }

    /// The oldest rows that are on disk alone.
    pub fn oldest(&mut self) -> Option<(Rows, Sum, Place)> {
        loop {
            let log = self.log.as_mut()?;
            let (place, sum) = log.next(&mut self.buffer)?;
            let read = self.frames.read(&self.buffer);
            if self.buffer.capacity() > FRAMES {
                self.buffer = Vec::new();
            }
            match read {
                Ok(frame) => {
                    let (run, aggregate, sequence) = frame.id;
                    let rows = Rows {
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
                    };
                    return Some((rows, sum, place));
                }
                Err(why) => {
                    let (output, rows) = (&self.output, sum.records);
                    if why.is_of_later() {
                        log.pass(sum);
                        let folder = self.settings.folder.display();
                        log::error!(
                            "output {output}: {rows} rows of the spool: {why}; they stay in \
                             {folder} for the weir that wrote them"
                        );
                    } else {
                        log.lose(place, sum, Reason::Damaged);
                        log::error!("output {output}: {rows} rows of the spool: {why}");
                    }
                }
            }
        }
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
    /// again.
    pub fn keep(&mut self) -> (Vec<Arc<File>>, Option<Duration>) {
        let Some(log) = &mut self.log else {
            return (Vec::new(), None);
        };
        let expire = log.expire(wall());
        let (files, sync) = log.unsynced(Instant::now());
        (files, [expire, sync].into_iter().flatten().min())
    }

    /// What was forced to the disk did not get there.
    pub fn unkept(&mut self, e: &std::io::Error) {
        self.fail(e.to_string());
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
        }
    }

    /// Ends it.
    pub fn close(self) {
        if let Some(log) = self.log {
            log.close();
        }
    }
}

fn flush(rows: &Rows) -> (u64, u32, u64) {
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
