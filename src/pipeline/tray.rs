//! Where drained tables go: one thread for each aggregation takes them from all workers, merges
//! them by key, sifts the rows where that is asked for, cuts them into batches, and gives the
//! tables back empty.

use super::outlet::Outlet;
use crate::agg::sieve::Sieve;
use crate::agg::window::{Cause, Drained, Tray};
use crate::agg::{Table, table::Added};
use crate::base::ledger::Sifted;
use crate::base::time::Nanos;
use crate::record::schema::What;
use crate::record::{Field, Schema, Value};
use crate::sink::{BatchId, Rows};
use std::collections::BTreeSet;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, SyncSender, channel, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

/// Bytes of rows in one batch, at the most: small beside any queue, large beside a system call.
const BATCH_BYTES: usize = 64 << 10;

/// Drained tables and row blocks that may wait for the thread, for each worker.
const WAITING: usize = 2;

/// Places of the lanes of rows that pass, and of those that do not.
const PASSED: usize = 0;
const REJECTED: usize = 1;

/// How long tables of one flush wait for those of the other workers.
const MEET: Duration = Duration::from_secs(2);

struct Message {
    worker: usize,
    drained: Drained,
    cause: Cause,
    when: When,
}

/// Times of a flush.
#[derive(Clone, Copy, Default)]
struct When {
    now: Nanos,
    /// When the time began that the rows belong to, where they have no bins and nothing but time
    /// hands them out.
    began: Nanos,
}

/// A worker's end.
pub struct WorkerTray {
    worker: usize,
    to: SyncSender<Message>,
    waiting: Arc<AtomicUsize>,
    back: Receiver<Table>,
    spare: Option<Table>,
    began: Nanos,
}

impl Tray for WorkerTray {
    fn began(&mut self, start: Nanos) {
        self.began = start;
    }

    fn put(&mut self, drained: Drained, cause: Cause, now: Nanos) {
        self.waiting.fetch_add(1, Ordering::Relaxed);
        let message = Message {
            worker: self.worker,
            drained,
            cause,
            when: When {
                now,
                began: self.began,
            },
        };
        if self.to.send(message).is_err() {
            log::error!("an aggregation's thread is gone; its rows are lost");
        }
    }

    fn take(&mut self, wait: bool) -> Option<Table> {
        if let Some(table) = self.spare.take() {
            return Some(table);
        }
        if wait {
            self.back.recv().ok()
        } else {
            self.back.try_recv().ok()
        }
    }

    fn ready(&self) -> bool {
        self.waiting.load(Ordering::Relaxed) < WAITING
    }
}

/// What became of rows on their way to the outlets, for whoever asks.
pub type Page = Arc<Mutex<Sifted>>;

/// A sieve in a drain thread, where its page is told, and who gets the rows that do not pass.
pub struct Sifting {
    /// Judges rows.
    pub sieve: Sieve,
    /// Its page, as told last.
    pub page: Page,
    /// Outlets for what does not pass.
    pub rejects: Vec<Arc<Outlet>>,
}

/// Outlets and the batch on its way to them.
#[derive(Default)]
struct Lane {
    outlets: Vec<Arc<Outlet>>,
    words: Vec<u64>,
    /// Of the next batch: without gaps for those outlets.
    sequence: u64,
}

/// The thread's end.
pub struct Drain {
    schema: Arc<Schema>,
    /// For rows that pass, and for those that do not.
    lanes: [Lane; 2],
    sieve: Option<(Sieve, Page)>,
    from: Receiver<Message>,
    back: Vec<Sender<Table>>,
    waiting: Vec<Arc<AtomicUsize>>,
    id: BatchId,
    begun: Begun,
}

/// What a drain thread has delivered in part, and the identity of batches that follow.
#[derive(Clone, Debug, Default)]
pub struct Begun {
    /// Sequence of the next batch.
    pub sequence: u64,
    /// Bins of which the last rows are to come.
    pub bins: BTreeSet<Nanos>,
    /// The same where rows have no bins.
    pub unbinned: Option<Nanos>,
}

/// A drain thread's parts: itself, and a tray for each worker, filled with that worker's spare.
/// `start` is the identity of the first batch and what was delivered in part before.
pub fn drain(
    schema: &Arc<Schema>,
    outlets: Vec<Arc<Outlet>>,
    sifting: Option<Sifting>,
    start: (BatchId, Begun),
    spares: Vec<Table>,
) -> (Drain, Vec<WorkerTray>) {
    let (to, from) = sync_channel(spares.len() * (WAITING + 1));
    let (mut back, mut trays, mut waiting) = (Vec::new(), Vec::new(), Vec::new());
    for (worker, spare) in spares.into_iter().enumerate() {
        let (give, take) = channel();
        let count = Arc::new(AtomicUsize::new(0));
        back.push(give);
        waiting.push(count.clone());
        trays.push(WorkerTray {
            worker,
            to: to.clone(),
            waiting: count,
            back: take,
            spare: Some(spare),
            began: Nanos(0),
        });
    }
    let (sieve, rejects) = match sifting {
        Some(sifting) => (Some((sifting.sieve, sifting.page)), sifting.rejects),
        None => (None, Vec::new()),
    };
    let lane = |outlets| Lane {
        outlets,
        words: Vec::new(),
        sequence: start.0.sequence,
    };
    let drain = Drain {
        schema: schema.clone(),
        lanes: [lane(outlets), lane(rejects)],
        sieve,
        from,
        back,
        waiting,
        id: start.0,
        begun: start.1,
    };
    (drain, trays)
}

impl Drain {
    /// Starts the thread; it ends when every worker's tray is gone, and gives what it has delivered
    /// in part.
    ///
    /// # Errors
    /// When the system has no thread left.
    pub fn start(self) -> std::io::Result<JoinHandle<Begun>> {
        let name = format!("agg {}", self.schema.name);
        std::thread::Builder::new()
            .name(name)
            .stack_size(256 << 10)
            .spawn(move || self.run())
    }

    /// What is left when nothing more comes.
    fn rest(self) -> Begun {
        let next = self.lanes.iter().map(|lane| lane.sequence).max();
        Begun {
            sequence: next.unwrap_or_default(),
            ..self.begun
        }
    }

    fn run(mut self) -> Begun {
        let workers = self.back.len();
        let mut met: Vec<Option<Table>> = (0..workers).map(|_| None).collect();
        let mut when = When::default();
        loop {
            let some = met.iter().any(Option::is_some);
            let message = if some {
                match self.from.recv_timeout(MEET) {
                    Ok(message) => Some(message),
                    Err(RecvTimeoutError::Timeout) => None,
                    Err(RecvTimeoutError::Disconnected) => {
                        self.deliver(&mut met, Cause::Bin, when);
                        return self.rest();
                    }
                }
            } else {
                match self.from.recv() {
                    Ok(message) => Some(message),
                    Err(_) => return self.rest(),
                }
            };
            let Some(message) = message else {
                self.deliver(&mut met, Cause::Bin, when);
                continue;
            };
            if let Some(waiting) = self.waiting.get(message.worker) {
                waiting.fetch_sub(1, Ordering::Relaxed);
            }
            match (message.drained, message.cause) {
                (Drained::Rows(rows), _) => self.rows(&rows, message.when),
                (Drained::Table(table), Cause::Early) => {
                    let mut one: Vec<Option<Table>> = (0..workers).map(|_| None).collect();
                    one[message.worker] = Some(table);
                    self.deliver(&mut one, Cause::Early, message.when);
                }
                (Drained::Table(table), Cause::Bin) => {
                    when = message.when;
                    if met[message.worker].is_some() {
                        self.deliver(&mut met, Cause::Bin, when);
                    }
                    met[message.worker] = Some(table);
                    if met.iter().all(Option::is_some) {
                        self.deliver(&mut met, Cause::Bin, when);
                    }
                }
            }
        }
    }

    /// Merges what met, hands the rows out, and gives the tables back.
    fn deliver(&mut self, met: &mut [Option<Table>], cause: Cause, when: When) {
        let mut tables: Vec<(usize, Table)> = Vec::new();
        for (worker, slot) in met.iter_mut().enumerate() {
            tables.extend(slot.take().map(|table| (worker, table)));
        }
        tables.sort_by_key(|(_, table)| std::cmp::Reverse(table.len()));
        let mut left: Vec<u64> = Vec::new();
        if let Some(((_, into), others)) = tables.split_first_mut() {
            for (_, other) in others {
                for row in other.rows() {
                    if into.merge(row, &self.schema) == Added::Full {
                        left.extend_from_slice(row);
                    }
                }
                other.clear();
            }
            let words = self.schema.row_words();
            let all = || into.rows().chain(left.chunks_exact(words));
            self.cut(&all, cause, when);
        }
        for (worker, mut table) in tables {
            table.clear();
            if let Some(back) = self.back.get(worker) {
                // A worker that has ended needs no table.
                let _ = back.send(table);
            }
        }
    }

    fn rows(&mut self, rows: &[u64], when: When) {
        let words = self.schema.row_words();
        self.cut(&|| rows.chunks_exact(words), Cause::Early, when);
    }

    /// Rows by bin, in order of bins and within one in order of arrival, in batches.
    fn cut<'a, I: Iterator<Item = &'a [u64]>>(
        &mut self,
        all: &dyn Fn() -> I,
        cause: Cause,
        When { now, began }: When,
    ) {
        let schema = self.schema.clone();
        let column = schema
            .column(What::Field(Field::Bin))
            .filter(|_| schema.binned);
        let Some(column) = column else {
            let bin = match began {
                Nanos(0) => *self.begun.unbinned.get_or_insert(now),
                began => began,
            };
            self.bin(bin, all, cause, now);
            if cause == Cause::Bin {
                self.begun.unbinned = None;
            }
            return;
        };
        let bin_of = |row: &[u64]| match schema.value(column, row) {
            Value::Time(bin) => bin,
            _ => Nanos(0),
        };
        let mut bins: BTreeSet<Nanos> = all().map(&bin_of).collect();
        if cause == Cause::Bin {
            bins.append(&mut self.begun.bins);
        } else {
            self.begun.bins.extend(bins.iter().copied());
        }
        for bin in bins {
            let rows = || all().filter(|row| bin_of(row) == bin);
            self.bin(bin, rows, cause, now);
        }
    }

    /// The rows of one bin.
    fn bin<'a, I: Iterator<Item = &'a [u64]>>(
        &mut self,
        bin: Nanos,
        rows: impl Fn() -> I,
        cause: Cause,
        now: Nanos,
    ) {
        match self.sieve.take() {
            None => rows().for_each(|row| self.add(PASSED, row, bin, now)),
            Some(sieve) => self.sieve = Some(self.sift(sieve, bin, rows, now)),
        }
        for lane in [PASSED, REJECTED] {
            let last = cause == Cause::Bin && !self.lanes[lane].outlets.is_empty();
            let words = std::mem::take(&mut self.lanes[lane].words);
            if last || !words.is_empty() {
                self.send(lane, bin, words, last, now);
            }
        }
    }

    /// Judges the rows of one bin.
    fn sift<'a, I: Iterator<Item = &'a [u64]>>(
        &mut self,
        (mut sieve, page): (Sieve, Page),
        bin: Nanos,
        rows: impl Fn() -> I,
        now: Nanos,
    ) -> (Sieve, Page) {
        sieve.gather(&rows);
        let diverts = !self.lanes[REJECTED].outlets.is_empty();
        let mut row = Vec::with_capacity(self.schema.row_words());
        for original in rows() {
            row.clear();
            row.extend_from_slice(original);
            if sieve.judge(&mut row, diverts) {
                self.add(PASSED, &row, bin, now);
            } else if diverts {
                self.add(REJECTED, original, bin, now);
            }
        }
        *page.lock().unwrap_or_else(PoisonError::into_inner) = sieve.page;
        (sieve, page)
    }

    fn add(&mut self, lane: usize, row: &[u64], bin: Nanos, now: Nanos) {
        let most = BATCH_BYTES / 8 / self.schema.row_words() * self.schema.row_words();
        let words = &mut self.lanes[lane].words;
        if words.len() >= most {
            let full = std::mem::take(words);
            self.send(lane, bin, full, false, now);
        }
        let words = &mut self.lanes[lane].words;
        if words.is_empty() {
            words.reserve_exact(most);
        }
        words.extend_from_slice(row);
    }

    fn send(&mut self, lane: usize, bin: Nanos, mut words: Vec<u64>, last: bool, now: Nanos) {
        words.shrink_to_fit();
        let sequence = self.lanes[lane].sequence;
        self.lanes[lane].sequence += 1;
        let id = BatchId {
            sequence,
            ..self.id
        };
        let rows = Rows {
            id,
            schema: self.schema.clone(),
            bin,
            flushed: now,
            words,
            last,
        };
        let rows = Arc::new(rows);
        for outlet in &self.lanes[lane].outlets {
            outlet.push(rows.clone());
        }
    }
}
