//! [`Outlet`]: the bounded queue in front of a sink, and the thread that empties it.
//!
//! Rows stay in the queue until the sink has stored them. While a sink works, whoever pushes
//! waits for room; while it fails, rows past the bound are dropped and counted.

use crate::base::ledger::{Delivery, Sum};
use crate::base::time::{Nanos, wall};
use crate::sink::{Rows, Sink, SinkError};
use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// How long a sink may be at one batch before its queue counts as failing: the other outputs of
/// its aggregations must not wait for it.
const SILENCE: Duration = Duration::from_secs(10);

/// Bytes that a batch costs while it waits.
fn cost(rows: &Rows) -> usize {
    rows.words.len() * 8 + size_of::<Rows>() + 64
}

/// How long a sink may take to come back after the deadline of a stop.
const HANG: Duration = Duration::from_millis(500);

/// How an output is doing, for status and metrics.
#[derive(Clone, Debug, Default)]
pub struct Health {
    /// Its page of the ledger.
    pub delivery: Delivery,
    /// Bytes waiting and the most that may wait.
    pub queue: (usize, usize),
    /// Why the last attempt failed; none while all is well.
    pub failing: Option<String>,
    /// When rows were stored last; zero for never.
    pub last_success: Nanos,
}

#[derive(Default)]
struct State {
    rows: VecDeque<(Arc<Rows>, Sum)>,
    bytes: usize,
    health: Health,
    closed: bool,
    /// Whoever pushes waits no longer than this; a stop has a harder limit.
    press: Option<Instant>,
    give_up: Option<Instant>,
    /// Since when the sink has been at the rows at the head of the queue.
    busy: Option<Instant>,
    finished: bool,
}

impl State {
    /// Whether the sink has been at one batch for so long that it must be hanging.
    fn hangs(&self) -> bool {
        self.busy.is_some_and(|since| since.elapsed() >= SILENCE)
    }
}

/// What is said of a sink that hangs.
const MUTE: &str = "it does not answer";

/// The queue in front of one sink.
pub struct Outlet {
    /// Name in the configuration.
    pub name: String,
    bytes_max: usize,
    patient: bool,
    state: Mutex<State>,
    changed: Condvar,
}

impl Outlet {
    /// A queue of at the most `bytes_max` bytes (one batch always fits). A `patient` one never
    /// drops: it waits for room however long the sink fails.
    pub fn new(name: &str, bytes_max: usize, patient: bool) -> Arc<Self> {
        Arc::new(Self {
            name: name.into(),
            bytes_max,
            patient,
            state: Mutex::default(),
            changed: Condvar::new(),
        })
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wait<'a>(&self, state: MutexGuard<'a, State>, time: Duration) -> MutexGuard<'a, State> {
        let waited = self.changed.wait_timeout(state, time);
        waited.unwrap_or_else(PoisonError::into_inner).0
    }

    /// Puts rows into the queue, or counts them as dropped.
    pub fn push(&self, rows: Arc<Rows>) {
        let (sum, bytes) = (rows.sum(), cost(&rows));
        let mut state = self.lock();
        state.health.delivery.offered += sum;
        loop {
            let room = state.rows.is_empty() || state.bytes + bytes <= self.bytes_max;
            if room && !state.finished {
                break;
            }
            if state.health.failing.is_none() && state.hangs() {
                log::warn!("output {}: {MUTE}", self.name);
                state.health.failing = Some(MUTE.into());
            }
            let failing = state.health.failing.is_some() && !self.patient;
            let press = state.press.filter(|_| !self.patient);
            let limits = [press, state.give_up];
            let late = limits.into_iter().flatten().any(|at| Instant::now() >= at);
            if failing || late || state.finished {
                state.health.delivery.dropped += sum;
                return;
            }
            state = self.wait(state, Duration::from_secs(1));
        }
        state.bytes += bytes;
        state.health.delivery.queued += sum;
        state.rows.push_back((rows, sum));
        drop(state);
        self.changed.notify_all();
    }

    /// From `until` on, rows that find no room are dropped even though the sink is only slow, so
    /// that one that hangs can not keep a reload from its end; none ends that.
    pub fn press(&self, until: Option<Instant>) {
        self.lock().press = until;
        self.changed.notify_all();
    }

    /// From `give_up` on, what can not be stored is dropped.
    pub fn hurry(&self, give_up: Option<Instant>) {
        self.lock().give_up = give_up;
        self.changed.notify_all();
    }

    /// Nothing more will come.
    pub fn close(&self) {
        self.lock().closed = true;
        self.changed.notify_all();
    }

    /// How it is doing.
    pub fn health(&self) -> Health {
        let state = self.lock();
        let mut health = state.health.clone();
        health.queue = (state.bytes, self.bytes_max);
        if health.failing.is_none() && state.hangs() {
            health.failing = Some(MUTE.into());
        }
        health
    }

    /// Starts the thread that stores rows until the queue is closed and empty.
    ///
    /// # Errors
    /// When the system has no thread left.
    pub fn start(self: &Arc<Self>, mut sink: Box<dyn Sink>) -> std::io::Result<JoinHandle<()>> {
        let outlet = self.clone();
        std::thread::Builder::new()
            .name(format!("out {}", self.name))
            .stack_size(512 << 10)
            .spawn(move || {
                // A sink that panics must not take its queue's account with it: what waits is
                // then dropped and counted, and pushing never blocks again.
                let run = std::panic::AssertUnwindSafe(|| outlet.run(sink.as_mut()));
                if std::panic::catch_unwind(run).is_err() {
                    log::error!(
                        "output {}: stopped by a defect; its rows are dropped",
                        outlet.name
                    );
                }
                outlet.end();
            })
    }

    fn run(&self, sink: &mut dyn Sink) {
        while let Some(rows) = self.next(sink) {
            match sink.write(&rows) {
                Ok(()) => self.done(true, None),
                Err(SinkError::Refused(why)) => {
                    log::error!("output {}: {} rows refused: {why}", self.name, rows.len());
                    self.done(false, Some(why));
                }
                Err(SinkError::Retry { why, after }) => self.failed(&why, after),
            }
        }
        if let Err(SinkError::Retry { why, .. } | SinkError::Refused(why)) = sink.sync() {
            log::error!("output {}: {why}", self.name);
        }
    }

    /// The rows at the head of the queue, once there are some; none when all is done.
    fn next(&self, sink: &mut dyn Sink) -> Option<Arc<Rows>> {
        let mut state = self.lock();
        loop {
            if state
                .give_up
                .is_some_and(|at| Instant::now() >= at && state_is_stuck(&state))
            {
                return None;
            }
            if let Some((rows, _)) = state.rows.front() {
                let rows = rows.clone();
                state.busy = Some(Instant::now());
                return Some(rows);
            }
            if state.closed {
                return None;
            }
            drop(state);
            let pause = match sink.idle() {
                Ok(Some(pause)) => pause,
                Ok(None) => Duration::from_secs(3600),
                Err(SinkError::Retry { why, after }) => {
                    self.note(&why);
                    after
                }
                Err(SinkError::Refused(why)) => {
                    self.note(&why);
                    Duration::from_secs(10)
                }
            };
            state = self.lock();
            if state.rows.is_empty() && !state.closed {
                state = self.wait(state, pause);
            }
        }
    }

    fn done(&self, stored: bool, why: Option<String>) {
        let mut state = self.lock();
        state.busy = None;
        if let Some((rows, sum)) = state.rows.pop_front() {
            state.bytes = state.bytes.saturating_sub(cost(&rows));
            let delivery = &mut state.health.delivery;
            delivery.queued = delivery.queued - sum;
            if stored {
                delivery.written += sum;
            } else {
                delivery.dropped += sum;
            }
        }
        if stored {
            state.health.last_success = wall();
            if state.health.failing.take().is_some() {
                log::info!("output {}: works again", self.name);
            }
        } else {
            state.health.failing = why;
        }
        drop(state);
        self.changed.notify_all();
    }

    fn note(&self, why: &str) {
        let mut state = self.lock();
        if state.health.failing.is_none() {
            log::warn!("output {}: {why}; rows wait in the queue", self.name);
        }
        state.health.failing = Some(why.into());
    }

    fn failed(&self, why: &str, after: Duration) {
        self.note(why);
        let mut state = self.lock();
        state.busy = None;
        state.health.delivery.retries += 1;
        let until = Instant::now() + after;
        self.changed.notify_all();
        loop {
            let now = Instant::now();
            let end = state.give_up.map_or(until, |give_up| give_up.min(until));
            if now >= end {
                return;
            }
            state = self.wait(state, end - now);
        }
    }

    /// The thread is gone: what is left is dropped.
    fn end(&self) {
        let mut state = self.lock();
        let mut left = Sum::default();
        while let Some((_, sum)) = state.rows.pop_front() {
            left += sum;
        }
        if left.records > 0 {
            log::error!(
                "output {}: {} rows given up at the stop",
                self.name,
                left.records
            );
        }
        state.bytes = 0;
        let delivery = &mut state.health.delivery;
        delivery.dropped += left;
        delivery.queued = delivery.queued - left;
        state.finished = true;
        drop(state);
        self.changed.notify_all();
    }
}

/// Waits for a sink's thread, but not for one that hangs past the deadline.
pub fn join(thread: JoinHandle<()>, give_up: Option<Instant>) {
    while let Some(at) = give_up
        && !thread.is_finished()
    {
        if Instant::now() > at + HANG {
            log::error!("an output hangs; it is left behind");
            return;
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    // It has reported what went wrong.
    drop(thread.join());
}

/// Past its deadline a stop gives up only what the sink can not store.
fn state_is_stuck(state: &State) -> bool {
    state.health.failing.is_some() || state.rows.is_empty()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::intern::Interner;
    use crate::record::{Field, Schema, schema};
    use crate::sink::BatchId;
    use std::sync::mpsc::{Receiver, Sender, channel};

    /// Hangs in each write until it is told to go on, as on a FIFO that nobody reads.
    struct Hung(Sender<()>, Receiver<()>);

    impl Sink for Hung {
        fn write(&mut self, _: &Rows) -> Result<(), SinkError> {
            let _ = self.0.send(());
            let _ = self.1.recv();
            Ok(())
        }
    }

    fn rows(sequence: u64) -> Arc<Rows> {
        let symbols = Arc::new(Interner::new(0));
        let fields = [Field::SrcPort];
        let schema = Schema::new("a", &fields, schema::Options::default(), symbols);
        let words = vec![0; schema.row_words()];
        Arc::new(Rows {
            id: BatchId {
                run: 1,
                aggregate: 0,
                sequence,
            },
            schema: Arc::new(schema),
            bin: Nanos(0),
            flushed: Nanos(0),
            words,
            last: true,
        })
    }

    #[test]
    fn a_sink_that_hangs_holds_nobody_longer_than_the_pressure_allows() {
        let (begins, begun) = channel();
        let (release, released) = channel();
        let outlet = Outlet::new("x", 1, false);
        let thread = outlet.start(Box::new(Hung(begins, released))).unwrap();
        outlet.push(rows(0));
        begun.recv().unwrap();
        outlet.press(Some(Instant::now() + Duration::from_millis(50)));
        let since = Instant::now();
        outlet.push(rows(1));
        assert!(since.elapsed() >= Duration::from_millis(50));
        outlet.press(None);
        let health = outlet.health().delivery;
        assert_eq!((health.queued.records, health.dropped.records), (1, 1));
        // It goes on when it can, and nothing of what it held is lost.
        release.send(()).unwrap();
        release.send(()).unwrap();
        outlet.push(rows(2));
        outlet.close();
        thread.join().unwrap();
        let health = outlet.health().delivery;
        assert_eq!((health.written.records, health.dropped.records), (2, 1));
    }
}
