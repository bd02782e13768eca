//! [`Outlet`]: the bounded queue in front of a sink, and the thread that empties it.
//!
//! Rows stay in the queue until the sink has stored them. While a sink works, whoever pushes
//! waits for room; while it fails, rows past the bound are dropped and counted.
//!
//! With a [`Backlog`] they go to the disk instead: all of them, or those that come while the sink
//! fails or the queue is more than half full. What is on the disk alone is read again, oldest
//! first and in turn with what comes new, so that neither waits for the other. Within a flush the
//! order stays: rows never overtake earlier ones of the same aggregation and bin.

mod thread;

use super::backlog::{self, Backlog};
use crate::base::ledger::{Delivery, Sum};
use crate::base::time::{Nanos, wall};
use crate::sink::{Rows, Sink, SinkError};
use crate::spool::{Keep, Place};
use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
pub use thread::{Open, join};

/// How long a sink may be at one batch before its queue counts as failing: the other outputs of
/// its aggregations must not wait for it.
const SILENCE: Duration = Duration::from_secs(10);

/// The share of the time of a stop, or of a reload, that a sink may be at one batch: whoever waits
/// for room in its queue has rows for the others as well.
const SHARE: u32 = 4;

/// How long after the deadline of a stop a sink that works goes on; then it completes what it has.
const GRACE: Duration = Duration::from_millis(200);

/// Longest pause before a sink is tried again once the end has been asked for.
const HURRIED: Duration = Duration::from_secs(1);

/// How long whoever pushes waits until it looks again whether the sink hangs.
const PAUSE: Duration = Duration::from_secs(1);

/// What is said of a sink that hangs.
const MUTE: &str = "it does not answer";

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
    /// Its spool, where it has one.
    pub spool: Option<backlog::Health>,
}

/// Rows on their way.
struct Item {
    rows: Arc<Rows>,
    sum: Sum,
    /// Where they are on the disk as well.
    place: Option<Place>,
    /// Earlier rows of their flush are on the disk and go first.
    after: bool,
    /// From the spool, not from the queue.
    replayed: bool,
}

impl Item {
    /// Bytes that it costs while it waits.
    fn cost(&self) -> usize {
        self.rows.words.len() * 8 + size_of::<Rows>() + 64
    }

    /// Whether it is of the same flush as the other one, and was there before.
    fn precedes(&self, other: &Self) -> bool {
        let flush = |item: &Self| (item.rows.id.run, item.rows.id.aggregate, item.rows.bin);
        flush(self) == flush(other) && self.rows.id.sequence < other.rows.id.sequence
    }
}

#[derive(Default)]
struct State {
    rows: VecDeque<Item>,
    /// Bytes of the queue, with what of it is in hand.
    bytes: usize,
    /// What the sink is at.
    hand: Option<Item>,
    /// Read from the spool, for its turn.
    replay: Option<Item>,
    /// Whether what came new had the last turn.
    turn: bool,
    backlog: Option<Backlog>,
    health: Health,
    /// Why rows were refused last: the sink works, and whoever asks is told.
    refusing: Option<String>,
    closed: bool,
    /// Closed before anything came; those it would have waited for go on.
    abandoned: bool,
    /// Whoever pushes waits no longer than this; a stop has a harder limit.
    press: Option<Instant>,
    give_up: Option<Instant>,
    /// How long the sink may be at one batch meanwhile.
    patience: [Option<Duration>; 2],
    /// Since when the sink has been at the rows in hand.
    busy: Option<Instant>,
    finished: bool,
}

impl State {
    /// Whether the sink has been at one batch for so long that it must be hanging.
    fn hangs(&self) -> bool {
        self.busy
            .is_some_and(|since| since.elapsed() >= self.patience())
    }

    fn patience(&self) -> Duration {
        let meanwhile = self.patience.iter().flatten().min();
        meanwhile.map_or(SILENCE, |time| SILENCE.min(*time))
    }

    fn fails(&self) -> bool {
        self.health.failing.is_some() || self.hangs() || self.finished
    }

    /// Whether so many bytes more stay within `most`; one batch always does.
    fn fits(&self, cost: usize, most: usize) -> bool {
        self.bytes == 0 || self.bytes + cost <= most
    }

    /// Takes rows into the queue or onto the disk; gives them back when neither has room.
    fn take(&mut self, mut item: Item, most: usize, patient: bool) -> Result<(), Item> {
        let (cost, sum) = (item.cost(), item.sum);
        let easy = self.fits(cost, most / 2) && !self.finished;
        let wanted = !patient && (self.fails() || !easy);
        if let Some(backlog) = &mut self.backlog {
            let follows = backlog.precedes(&item.rows);
            if backlog.ahead || follows || wanted {
                let held = easy && !follows;
                let keep = Keep {
                    held,
                    at_any_cost: false,
                };
                item.place = backlog.append(&item.rows, sum, keep);
                if item.place.is_some() && !held {
                    self.health.delivery.offered += sum;
                    return Ok(());
                }
                item.after = follows;
            }
        }
        if self.finished || !self.fits(cost, most) {
            return Err(item);
        }
        if item.after
            && let Some(backlog) = &mut self.backlog
        {
            backlog.follow(&item.rows);
        }
        self.bytes += cost;
        self.health.delivery.offered += sum;
        self.health.delivery.queued += sum;
        self.rows.push_back(item);
        Ok(())
    }

    /// The rows whose turn it is; they are in hand until they are done with.
    fn pick(&mut self, most: usize) -> Option<Arc<Rows>> {
        if self.hand.is_none() {
            self.look();
            let replay = match (&self.replay, self.rows.front()) {
                (None, None) => return None,
                (replay, None) => replay.is_some(),
                (None, Some(live)) if live.after && (self.closed || self.held_up()) => {
                    return None;
                }
                (None, Some(_)) => false,
                (Some(old), Some(live)) => {
                    let turn = self.turn && self.bytes <= most / 2;
                    (live.after || turn || old.precedes(live)) && !self.overtakes(old)
                }
            };
            self.hand = match replay {
                true => self.replay.take(),
                false => self.rows.pop_front(),
            };
            self.turn = !replay;
        }
        self.hand.as_ref().map(|item| item.rows.clone())
    }

    /// Reads ahead what the spool has, but for a stop: then that is for the next run.
    fn look(&mut self) {
        if self.closed || self.replay.is_some() {
            return;
        }
        if let Some(backlog) = &mut self.backlog
            && let Some((rows, sum, place)) = backlog.oldest()
        {
            self.health.delivery.queued += sum;
            self.replay = Some(Item {
                rows: Arc::new(rows),
                sum,
                place,
                after: false,
                replayed: true,
            });
        }
    }

    /// Whether the disk does not give what goes before these rows.
    fn held_up(&self) -> bool {
        let backlog = self.backlog.as_ref();
        backlog.is_some_and(Backlog::holds_up)
    }

    /// Whether rows of the queue were there before these of the same aggregation.
    fn overtakes(&self, old: &Item) -> bool {
        let id = old.rows.id;
        let earlier = |item: &Item| {
            let live = item.rows.id;
            (live.run, live.aggregate) == (id.run, id.aggregate) && live.sequence < id.sequence
        };
        self.rows.iter().any(earlier)
    }

    /// Writes what waits in memory to the disk as well.
    fn cover(&mut self, at_any_cost: bool) {
        let Some(backlog) = &mut self.backlog else {
            return;
        };
        let keep = Keep {
            held: true,
            at_any_cost,
        };
        for item in self.hand.iter_mut().chain(&mut self.rows) {
            if item.place.is_none() {
                item.place = backlog.append(&item.rows, item.sum, keep);
                if item.place.is_none() {
                    return;
                }
            }
        }
    }

    /// Brings the numbers that others see up to date.
    fn tell(&mut self, most: usize) {
        self.health.queue = (self.bytes, most);
        if let Some(backlog) = &self.backlog {
            let spool = backlog.health();
            let delivery = &mut self.health.delivery;
            delivery.recovered = spool.recovered;
            delivery.spooled = spool.usage.waiting;
            let given_up = spool.usage.given_up.into_iter();
            delivery.given_up = given_up.fold(Sum::default(), |all, sum| all + sum);
            self.health.spool = Some(spool);
        }
    }
}

/// The queue in front of one sink.
pub struct Outlet {
    /// Name in the configuration.
    pub name: String,
    bytes_max: usize,
    patient: bool,
    state: Mutex<State>,
    changed: Condvar,
    /// For the thread that looks after the spool.
    kept: Condvar,
    /// A copy for whoever asks, so that nobody who asks waits for a disk; and since when the sink
    /// has been at what it is at.
    seen: Mutex<(Health, Option<Instant>)>,
}

impl Outlet {
    /// A queue of at the most `bytes_max` bytes (one batch always fits). A `patient` one never
    /// drops: it waits for room however long the sink fails.
    pub fn new(name: &str, bytes_max: usize, patient: bool) -> Arc<Self> {
        Self::with(name, bytes_max, patient, None)
    }

    /// The same, with a spool.
    pub fn with(
        name: &str,
        bytes_max: usize,
        patient: bool,
        backlog: Option<Backlog>,
    ) -> Arc<Self> {
        let outlet = Self {
            name: name.into(),
            bytes_max,
            patient,
            state: Mutex::default(),
            changed: Condvar::new(),
            kept: Condvar::new(),
            seen: Mutex::default(),
        };
        let mut state = outlet.lock();
        state.backlog = backlog;
        outlet.release(state);
        Arc::new(outlet)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Publishes what has changed, and wakes who waits for it.
    fn release(&self, mut state: MutexGuard<'_, State>) {
        self.show(&mut state);
        drop(state);
        self.changed.notify_all();
    }

    fn show(&self, state: &mut State) {
        state.tell(self.bytes_max);
        let mut health = state.health.clone();
        health.failing = health.failing.or_else(|| state.refusing.clone());
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        *seen = (health, state.busy);
    }

    fn wait<'a>(&self, mut state: MutexGuard<'a, State>, time: Duration) -> MutexGuard<'a, State> {
        self.show(&mut state);
        let waited = self.changed.wait_timeout(state, time);
        waited.unwrap_or_else(PoisonError::into_inner).0
    }

    /// Puts rows into the queue or the spool, or counts them as dropped.
    pub fn push(&self, rows: Arc<Rows>) {
        let mut item = Item {
            sum: rows.sum(),
            rows,
            place: None,
            after: false,
            replayed: false,
        };
        let mut state = self.lock();
        loop {
            item = match state.take(item, self.bytes_max, self.patient) {
                Ok(()) => break,
                Err(item) => item,
            };
            if state.health.failing.is_none() && state.hangs() {
                log::warn!("output {}: {MUTE}", self.name);
                state.health.failing = Some(MUTE.into());
            }
            let hurries = !self.patient || state.give_up.is_some();
            let failing = state.health.failing.is_some() && hurries;
            let press = state.press.filter(|_| !self.patient);
            let limits = [press, state.give_up];
            let late = limits.into_iter().flatten().any(|at| Instant::now() >= at);
            if failing || late || state.finished {
                state.health.delivery.offered += item.sum;
                state.health.delivery.dropped += item.sum;
                if let Some(backlog) = &mut state.backlog {
                    backlog.forget(&item.rows);
                }
                break;
            }
            let pause = (state.patience() / 8).clamp(Duration::from_millis(5), PAUSE);
            state = self.wait(state, pause);
        }
        let spool = state.backlog.is_some();
        self.release(state);
        if spool {
            self.kept.notify_all();
        }
    }

    /// From `until` on, rows that find no room are dropped even though the sink is only slow, so
    /// that one that hangs can not keep a reload from its end; none ends that.
    pub fn press(&self, until: Option<Instant>) {
        let mut state = self.lock();
        state.press = until;
        state.patience[0] = until.map(share);
        drop(state);
        self.changed.notify_all();
    }

    /// From `give_up` on, what can not be stored is dropped, or left to the spool.
    pub fn hurry(&self, give_up: Option<Instant>) {
        let mut state = self.lock();
        state.give_up = give_up;
        state.patience[1] = give_up.map(share);
        drop(state);
        self.changed.notify_all();
    }

    /// Waits a moment until nothing is done with the rows any more: all are stored, or given up.
    /// Whether that has come.
    fn wait_for_end(&self) -> bool {
        let mut state = self.lock();
        if !state.finished {
            state = self.wait(state, PAUSE);
        }
        state.finished
    }

    /// Whether it has been told to come to its end.
    pub fn hurries(&self) -> bool {
        self.lock().give_up.is_some()
    }

    /// Nothing more will come.
    pub fn close(&self) {
        self.lock().closed = true;
        self.changed.notify_all();
    }

    /// How it is doing.
    pub fn health(&self) -> Health {
        let seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        let (mut health, busy) = seen.clone();
        if health.failing.is_none() && busy.is_some_and(|since| since.elapsed() >= SILENCE) {
            health.failing = Some(MUTE.into());
        }
        health
    }

    fn run(&self, sink: &mut dyn Sink) {
        while let Some(rows) = self.next(sink) {
            match sink.write(&rows) {
                Ok(()) => {
                    let refused = sink.refused().map_or_else(Sum::default, |(sum, why)| {
                        let rows = sum.records;
                        log::error!("output {}: {rows} rows refused: {why}", self.name);
                        sum
                    });
                    self.done(Ok(refused), sink.holds());
                }
                Err(SinkError::Refused(why)) => {
                    log::error!("output {}: {} rows refused: {why}", self.name, rows.len());
                    self.done(Err(why), sink.holds());
                }
                Err(SinkError::Retry { why, after }) => self.failed(&why, after),
            }
        }
        if let Err(SinkError::Retry { why, .. } | SinkError::Refused(why)) = sink.sync() {
            log::error!("output {}: {why}", self.name);
        } else if let Some(backlog) = &mut self.lock().backlog {
            // All that it has taken is where it was to go.
            backlog.ack(None, sink.holds());
        }
    }

    /// The rows that are next, once there are some; none when all is done.
    fn next(&self, sink: &mut dyn Sink) -> Option<Arc<Rows>> {
        let mut state = self.lock();
        loop {
            if stuck(&state) {
                return None;
            }
            if let Some(rows) = state.pick(self.bytes_max) {
                state.busy = Some(Instant::now());
                self.release(state);
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
            if !state.closed && !state.has_some() {
                let again = state.backlog.as_ref().and_then(Backlog::pause);
                state = self.wait(state, again.map_or(pause, |again| again.min(pause)));
            }
        }
    }

    /// Rows are stored but for those that were refused, or none of them ever will be.
    fn done(&self, stored: Result<Sum, String>, holds: bool) {
        let mut state = self.lock();
        state.busy = None;
        // Nothing is in hand when the stop has not waited for the sink.
        if let Some(item) = state.hand.take() {
            if !item.replayed {
                state.bytes = state.bytes.saturating_sub(item.cost());
            }
            let delivery = &mut state.health.delivery;
            delivery.queued = delivery.queued - item.sum;
            let refused = stored.as_ref().map_or(item.sum, |refused| *refused);
            delivery.written += item.sum - refused;
            delivery.dropped += refused;
            if let Some(backlog) = &mut state.backlog {
                backlog.ack(item.place, holds);
            }
        }
        let failed = state.health.failing.take().is_some();
        let refused = state.refusing.take().is_some();
        match stored {
            Ok(_) => {
                state.health.last_success = wall();
                if failed || refused {
                    log::info!("output {}: works again", self.name);
                }
            }
            Err(why) => state.refusing = Some(why),
        }
        self.release(state);
    }

    fn note(&self, why: &str) {
        let mut state = self.lock();
        // Of one that only did not answer the reason is news.
        let known = state.health.failing.as_deref();
        if known.is_none_or(|known| known == MUTE) {
            let spool = state.backlog.is_some();
            let place = if spool { "spool" } else { "queue" };
            log::warn!("output {}: {why}; rows wait in the {place}", self.name);
        }
        state.health.failing = Some(why.into());
        self.release(state);
    }

    fn failed(&self, why: &str, after: Duration) {
        self.note(why);
        let mut state = self.lock();
        state.busy = None;
        state.health.delivery.retries += 1;
        if !self.patient {
            state.cover(false);
        }
        let failed = Instant::now();
        self.changed.notify_all();
        self.kept.notify_all();
        loop {
            let now = Instant::now();
            let hurried = state.give_up.map_or(after, |_| after.min(HURRIED));
            let until = failed + hurried;
            if now >= until || stuck(&state) {
                self.release(state);
                return;
            }
            let give_up = state.give_up.filter(|at| *at > now);
            let end = give_up.map_or(until, |at| at.min(until));
            state = self.wait(state, end - now);
        }
    }

    /// The thread of the sink is gone: what is left is for the spool, or dropped. When it `died`,
    /// so are the rows it died of, or it would die of them over and over.
    fn end(&self, died: bool) {
        let mut state = self.lock();
        if state.finished {
            return;
        }
        let mut left = Sum::default();
        if died && let Some(item) = state.hand.take() {
            left += item.sum;
            if let Some(backlog) = &mut state.backlog {
                backlog.ack(item.place, false);
            }
        }
        state.cover(true);
        let mut kept = Sum::default();
        let (hand, replay) = (state.hand.take(), state.replay.take());
        let rest = std::mem::take(&mut state.rows).into_iter();
        for item in hand.into_iter().chain(replay).chain(rest) {
            // What was written once may have been given up since, to make room.
            let backlog = state.backlog.as_ref();
            match backlog.is_some_and(|backlog| backlog.holds(item.place)) {
                true => kept += item.sum,
                false => left += item.sum,
            }
        }
        state.bytes = 0;
        state.busy = None;
        state.finished = true;
        state.health.delivery.dropped += left;
        state.health.delivery.queued = Sum::default();
        if died {
            state.health.failing = Some("stopped by a defect".into());
        }
        state.tell(self.bytes_max);
        let spooled = state.health.delivery.spooled + kept;
        if let Some(backlog) = state.backlog.take() {
            backlog.close();
            state.health.delivery.spooled = spooled;
        }
        for (rows, what) in [
            (left.records, "given up at the stop"),
            (spooled.records, "wait in the spool for the next start"),
        ] {
            if rows > 0 {
                log::warn!("output {}: {rows} rows {what}", self.name);
            }
        }
        self.release(state);
        self.kept.notify_all();
    }

    /// Looks after the spool: forces it to the disk in time, gives up what is too old.
    fn keep(&self) {
        let mut state = self.lock();
        while let Some(backlog) = &mut state.backlog {
            let shut = !backlog.is_open();
            let (files, pause) = backlog.keep();
            if shut && backlog.is_open() {
                // What an earlier run left is for the sink.
                self.changed.notify_all();
            }
            if files.is_empty() {
                self.show(&mut state);
                let pause = pause.unwrap_or(Duration::from_secs(3600));
                let waited = self.kept.wait_timeout(state, pause);
                state = waited.unwrap_or_else(PoisonError::into_inner).0;
                continue;
            }
            // Nobody waits for the disk meanwhile.
            drop(state);
            let failed = backlog::force(files);
            state = self.lock();
            if let Some(backlog) = &mut state.backlog {
                backlog.unkept(&failed);
            }
        }
    }
}

impl State {
    /// Whether there is something for the sink now.
    fn has_some(&self) -> bool {
        let after = self.rows.front().map(|live| live.after);
        let live = after.is_some_and(|after| !after || !self.held_up());
        let backlog = self.backlog.as_ref();
        live || self.replay.is_some() || backlog.is_some_and(Backlog::has_some)
    }
}

/// How long a sink may be at one batch, when all must be done at `until`.
fn share(until: Instant) -> Duration {
    until.saturating_duration_since(Instant::now()) / SHARE
}

/// Past its deadline a stop gives up only what the sink can not store; what the spool keeps it
/// need not even wait for. Without a deadline everything waits. Who has nothing to do waits as
/// well, until nothing more will come: others may have held up what is on its way.
fn stuck(state: &State) -> bool {
    let fails = state.health.failing.is_some();
    let past = |time| {
        let at = state.give_up.map(|at| at + time);
        at.is_some_and(|at| Instant::now() >= at)
    };
    let late = past(Duration::ZERO);
    match state.backlog {
        Some(_) => state.closed && (late || (fails && state.give_up.is_some())),
        None => (late && fails) || (state.closed && past(GRACE)),
    }
}

#[cfg(test)]
mod tests;
