//! Where drained tables go: one thread for each aggregation takes them from all workers, merges
//! them by key, sifts the rows where that is asked for, cuts them into batches, and gives the
//! tables back empty.

use super::life::Life;
use super::outlet::Outlet;
use crate::agg::full::Full;
use crate::agg::sieve::Sieve;
use crate::agg::window::{Cause, Drained, EVICTED_ROWS, Tray};
use crate::agg::{Settings, Table};
use crate::base::channel::{Receiver, Sender, Silence, bounded, channel};
use crate::base::ledger::Sifted;
use crate::base::sorted::Sorted;
use crate::base::time::Nanos;
use crate::record::schema::What;
use crate::record::{Field, Schema, Value};
use crate::sink::{BatchId, Rows};
use crate::sys::waker::Waker;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

/// Bytes of rows in one batch, at the most: small beside any queue, large beside a system call.
const BATCH_BYTES: usize = 64 << 10;

/// Drained tables and row blocks that may wait for the thread, for each worker.
const WAITING: usize = 2;

/// What a worker may put beside those: evicted rows with a table, and both once more at a reload,
/// which must not wait for an output.
const BESIDE: usize = 3;

/// Bytes of rows on their way from the tables of so many workers to the queues of outputs: a batch
/// for each lane, and blocks of evicted rows that workers fill, that wait, and that is cut up.
pub fn memory(settings: &Settings, workers: usize, lanes: usize) -> usize {
    let block = EVICTED_ROWS * settings.schema.row_words() * 8;
    let blocks = match settings.full {
        Full::Evict => workers * (1 + WAITING + BESIDE) + 1,
        Full::Flush | Full::Fold => 0,
    };
    lanes * BATCH_BYTES + blocks * block
}

/// Places of the lanes of rows that pass, and of those that do not.
const PASSED: usize = 0;
const REJECTED: usize = 1;

/// Bins for each of which all rows are looked at; with more of them they are sorted.
const WALKS: usize = 2;

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
    to: Sender<Message>,
    waiting: Arc<AtomicUsize>,
    on_way: Arc<AtomicUsize>,
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
        self.on_way.fetch_add(1, Ordering::Relaxed);
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
            self.back.recv()
        } else {
            self.back.try_recv()
        }
    }

    fn ready(&self) -> bool {
        self.waiting.load(Ordering::Relaxed) < WAITING
    }
}

/// What a drain thread has delivered in part, for the one that goes on with its aggregation after
/// a reload.
#[derive(Debug, Default)]
pub struct Begun {
    /// Bins of which the last rows are to come.
    bins: Sorted<Nanos>,
    /// The same where rows have no bins.
    unbinned: Option<Nanos>,
}

/// Who goes on with an aggregation: the outlets of each lane, and where it waits for what has
/// begun.
#[derive(Default)]
pub struct Next {
    outlets: [Vec<Arc<Outlet>>; 2],
    to: Option<Sender<Begun>>,
}

/// A running drain thread. Once no worker has a tray of it, it comes to its end; after a reload it
/// waits there to be told who is next.
pub struct Draining {
    thread: JoinHandle<()>,
    life: Arc<Life>,
    on_way: Arc<AtomicUsize>,
    then: Sender<Next>,
}

impl Draining {
    /// Whether the outlets have all that workers have put here, and what the thread before had.
    pub fn is_idle(&self) -> bool {
        self.on_way.load(Ordering::Acquire) == 0
    }

    /// Whether it has died of a defect.
    pub fn died(&self) -> bool {
        self.life.is_cut_short()
    }

    /// Tells it who is next.
    pub fn tell(&self, next: Next) {
        // Gone by a defect, it has nothing to leave.
        let _ = self.then.send(next);
    }

    /// Waits for its end; nobody is next, if it has not been told.
    pub fn join(self) {
        drop(self.then);
        if self.thread.join().is_err() {
            log::error!("an aggregation's thread stopped by a defect; rows are lost");
        }
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
    /// Tables and row blocks that the outlets do not have yet; one more until the thread before has
    /// come to its end.
    on_way: Arc<AtomicUsize>,
    id: BatchId,
    begun: Begun,
    /// Where the thread before leaves what it has.
    before: Option<Receiver<Begun>>,
    /// Time of the last flush.
    now: Nanos,
}

/// A drain thread's parts: itself, and a tray for each worker, filled with that worker's spare.
/// `id` is the identity of the first batch.
pub fn drain(
    schema: &Arc<Schema>,
    outlets: Vec<Arc<Outlet>>,
    sifting: Option<Sifting>,
    id: BatchId,
    spares: Vec<Table>,
) -> (Drain, Vec<WorkerTray>) {
    let (to, from) = bounded(spares.len() * (WAITING + BESIDE));
    let (mut back, mut trays, mut waiting) = (Vec::new(), Vec::new(), Vec::new());
    let on_way = Arc::new(AtomicUsize::new(0));
    for (worker, spare) in spares.into_iter().enumerate() {
        let (give, take) = channel();
        let count = Arc::new(AtomicUsize::new(0));
        back.push(give);
        waiting.push(count.clone());
        trays.push(WorkerTray {
            worker,
            to: to.clone(),
            waiting: count,
            on_way: on_way.clone(),
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
        sequence: id.sequence,
    };
    let drain = Drain {
        schema: schema.clone(),
        lanes: [lane(outlets), lane(rejects)],
        sieve,
        from,
        back,
        waiting,
        on_way,
        id,
        begun: Begun::default(),
        before: None,
        now: Nanos(0),
    };
    (drain, trays)
}

impl Drain {
    /// Lets it go on, once it runs, with what the thread before leaves; gives what that must be
    /// told.
    pub fn follow(&mut self) -> Next {
        let (to, before) = channel();
        self.before = Some(before);
        self.on_way.fetch_add(1, Ordering::Relaxed);
        Next {
            outlets: self.lanes.each_ref().map(|lane| lane.outlets.clone()),
            to: Some(to),
        }
    }

    /// Starts the thread; it ends when every worker's tray is gone, which wakes `waker`.
    ///
    /// # Errors
    /// When the system has no thread left.
    pub fn start(mut self, waker: Arc<Waker>) -> std::io::Result<Draining> {
        let name = format!("agg {}", self.schema.name);
        let (then, next) = channel();
        let on_way = self.on_way.clone();
        let life = Life::new(waker);
        let its = life.clone();
        let work = move || {
            self.take_over();
            self.run();
            if let Some(next) = next.recv() {
                self.leave(next);
            }
        };
        let run = move || its.of(work);
        let builder = std::thread::Builder::new().name(name);
        let thread = builder.stack_size(256 << 10).spawn(run)?;
        Ok(Draining {
            thread,
            life,
            on_way,
            then,
        })
    }

    /// Waits until the thread before has handed out all it has, so that rows keep their order, and
    /// goes on where it ended.
    fn take_over(&mut self) {
        let Some(before) = self.before.take() else {
            return;
        };
        self.begun = before.recv().unwrap_or_default();
        if let Some((sieve, page)) = &mut self.sieve {
            sieve.page = *page.lock().unwrap_or_else(PoisonError::into_inner);
        }
        self.arrived(1);
    }

    /// So many tables or row blocks are with the outlets.
    fn arrived(&self, parts: usize) {
        self.on_way.fetch_sub(parts, Ordering::Release);
    }

    /// Leaves what there is to whoever is next. Outlets that get nothing more of this aggregation
    /// are told so: what collects rows (a file) is complete then.
    fn leave(mut self, next: Next) {
        for (lane, outlets) in self.lanes.iter_mut().zip(&next.outlets) {
            let stays = |outlet: &Arc<Outlet>| outlets.iter().any(|o| Arc::ptr_eq(o, outlet));
            // One that is gone itself completes what it has.
            (lane.outlets).retain(|outlet| !stays(outlet) && !outlet.hurries());
        }
        let bins = self.begun.bins.members().to_vec();
        let bins = bins.into_iter().chain(self.begun.unbinned);
        bins.for_each(|bin| self.end(bin));
        if let Some(to) = next.to {
            // Whoever was next is gone if its start failed.
            let _ = to.send(self.begun);
        }
    }

    /// Ends a bin of which all rows are handed out.
    fn end(&mut self, bin: Nanos) {
        for lane in [PASSED, REJECTED] {
            if !self.lanes[lane].outlets.is_empty() {
                self.send(lane, bin, Vec::new(), true, self.now);
            }
        }
    }

    fn run(&mut self) {
        let workers = self.back.len();
        let mut met: Vec<Option<Table>> = (0..workers).map(|_| None).collect();
        let mut when = When::default();
        loop {
            let some = met.iter().any(Option::is_some);
            let message = if some {
                match self.from.recv_timeout(MEET) {
                    Ok(message) => Some(message),
                    Err(Silence::Timeout) => None,
                    Err(Silence::Closed) => {
                        return self.deliver(&mut met, Cause::Bin, when);
                    }
                }
            } else {
                match self.from.recv() {
                    Some(message) => Some(message),
                    None => return,
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
        // Rows that find no room stay where they are; tried with every table before, so that each
        // key is there once.
        for at in 1..tables.len() {
            let (before, rest) = tables.split_at_mut(at);
            if let Some((_, from)) = rest.first_mut() {
                (before.iter_mut()).for_each(|(_, into)| from.pour(into, &self.schema));
            }
        }
        if !tables.is_empty() {
            self.cut(&mut tables, cause, when);
        }
        self.arrived(tables.len());
        for (worker, mut table) in tables {
            table.clear();
            if let Some(back) = self.back.get(worker) {
                // A worker that has ended needs no table.
                let _ = back.send(table);
            }
        }
    }

    /// Evicted rows.
    fn rows(&mut self, rows: &[u64], when: When) {
        let words = self.schema.row_words().max(1);
        let all = || rows.chunks_exact(words);
        match self.bin_of() {
            None => self.whole(all, Cause::Early, when),
            Some(bin_of) => {
                let bins = self.due(all().map(&bin_of).collect(), Cause::Early, when);
                for &bin in bins.members() {
                    let rows = || all().filter(|row| bin_of(row) == bin);
                    self.bin(bin, rows, Cause::Early, when.now);
                }
            }
        }
        self.arrived(1);
    }

    /// Rows by bin, in order of bins and within one in order of arrival, in batches.
    fn cut(&mut self, tables: &mut [(usize, Table)], cause: Cause, when: When) {
        let Some(bin_of) = self.bin_of() else {
            let rows = || tables.iter().flat_map(|(_, table)| table.rows());
            return self.whole(rows, cause, when);
        };
        let all = tables.iter().flat_map(|(_, table)| table.rows());
        let bins = self.due(all.map(&bin_of).collect(), cause, when);
        let bins = bins.members();
        if bins.len() > WALKS {
            // Whoever states times must not choose how often all rows are looked at.
            (tables.iter_mut()).for_each(|(_, table)| table.sort(|row| bin_of(row).0));
            for &bin in bins {
                let run = |table| Table::run(table, |row| bin_of(row).0, bin.0);
                let rows = || tables.iter().flat_map(|(_, table)| run(table));
                self.bin(bin, rows, cause, when.now);
            }
            return;
        }
        for &bin in bins {
            let all = || tables.iter().flat_map(|(_, table)| table.rows());
            let rows = || all().filter(|row| bin_of(row) == bin);
            self.bin(bin, rows, cause, when.now);
        }
    }

    /// What gives the bin of a row; none where rows have no bins.
    fn bin_of(&self) -> Option<impl Fn(&[u64]) -> Nanos + use<>> {
        let schema = self.schema.clone();
        let column = *schema.column(What::Field(Field::Bin))?;
        schema
            .binned
            .then_some(move |row: &[u64]| match schema.value(&column, row) {
                Value::Time(bin) => bin,
                _ => Nanos(0),
            })
    }

    /// The bins of which rows are to be handed out, or the end told; these are those of the rows.
    fn due(&mut self, mut bins: Sorted<Nanos>, cause: Cause, when: When) -> Sorted<Nanos> {
        self.now = when.now;
        if cause == Cause::Bin {
            let begun = std::mem::take(&mut self.begun.bins);
            begun.members().iter().for_each(|bin| bins.insert(*bin));
            self.begun
                .unbinned
                .take()
                .into_iter()
                .for_each(|bin| bins.insert(bin));
        } else {
            bins.members()
                .iter()
                .for_each(|bin| self.begun.bins.insert(*bin));
        }
        bins
    }

    /// Rows that have no bins.
    fn whole<'a, I: Iterator<Item = &'a [u64]>>(
        &mut self,
        rows: impl Fn() -> I,
        cause: Cause,
        When { now, began }: When,
    ) {
        self.now = now;
        let bin = match began {
            Nanos(0) => *self.begun.unbinned.get_or_insert(now),
            began => began,
        };
        self.bin(bin, rows, cause, now);
        let left = std::mem::take(&mut self.begun);
        if cause == Cause::Early {
            self.begun = Begun {
                unbinned: Some(bin),
                ..left
            };
        } else {
            // There are others only where a reload has changed the bins.
            let others = left.bins.members().iter().copied().chain(left.unbinned);
            others.filter(|b| *b != bin).for_each(|b| self.end(b));
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

#[cfg(test)]
mod tests;
