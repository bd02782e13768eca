//! [`Worker`]: one thread of the data plane. It waits for its sources, decodes, and adds to its
//! own tables; nothing is shared per record.

use super::rules::{Rules, Seat};
use super::saver::Saver;
use super::stage::{Aggregates, InputStage, Stage};
use crate::agg::window::Cause;
use crate::base::channel::Receiver;
use crate::base::intern::{Interner, SymCache};
use crate::base::ledger::{Account, Intake, Reason};
use crate::base::time::{Nanos, SECOND, wall};
use crate::decode::{Decoder, Emit};
use crate::record::Batch;
use crate::rule::filter::Filter;
use crate::source::{Frame, Loss, Progress, Source, SourceError};
use crate::sys::poll::{Interest, Poll};
use crate::sys::waker::Wakened;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// Rounds over a socket that stays full before timers are looked at again.
const ROUNDS: usize = 16;

/// Looks at all sources while one of them lags behind.
const LOOKS: u32 = 10;

/// Pause before a source that failed is opened again.
const REOPEN: u64 = 2 * SECOND;

/// One input's part in a worker.
pub struct Intaker {
    /// Place of the input in the configuration.
    pub input: usize,
    /// Its name in the configuration.
    pub name: String,
    /// Whether its frames come as they happen, rather than out of a savefile.
    pub live: bool,
    /// Where frames come from; none while it is being opened again.
    pub source: Option<Box<dyn Source>>,
    /// Opens the source again after a failure.
    pub reopen: Box<dyn Fn() -> Result<Box<dyn Source>, SourceError> + Send>,
    /// What turns them into records.
    pub decoder: Box<dyn Decoder>,
    /// What the decoder's [`news`](Decoder::news) were when its templates were last saved.
    pub saved: u64,
    /// Filters on frames, each with its bit.
    pub frame_filters: Vec<(u32, Arc<Filter>)>,
    /// Filters on records, each with its bit.
    pub record_filters: Vec<(u32, Arc<Filter>)>,
    /// What all frames must pass.
    pub gate: Vec<(u32, Arc<Filter>)>,
    /// Bits of which a frame must pass one; zero when some aggregation takes every frame.
    pub must_pass: u32,
    /// What is done to its records before they are counted, and where they are.
    pub stage: InputStage,
    /// Its page of the ledger.
    pub ledger: Intake,
    /// What sources before the present one lost.
    pub past_loss: Loss,
    /// Whether the input has come to its end.
    pub ended: bool,
    /// Whether the system failed to read a file to its end.
    pub broken: bool,
    /// When to try to open it again; zero when open.
    pub retry_at: Nanos,
}

/// What others may see of a worker, published at the most once a second, and when asked.
#[derive(Clone, Debug, Default)]
pub struct Snapshot {
    /// For each of its inputs: place in the configuration, page of the ledger, bounded stores.
    pub inputs: Vec<InputView>,
    /// For each of its aggregations: place in the configuration, page, entries used and most.
    pub aggregates: Vec<(usize, Account, (usize, usize))>,
    /// Position in a file being read and its size, for a progress display.
    pub position: Option<(u64, Option<u64>)>,
    /// Commands obeyed before it was published.
    pub obeyed: usize,
}

/// One input in a [`Snapshot`].
#[derive(Clone, Debug, Default)]
pub struct InputView {
    /// Place in the configuration.
    pub input: usize,
    /// Its page of the ledger.
    pub ledger: Intake,
    /// Bounded stores of its decoder: name, used, most.
    pub usage: Vec<(&'static str, usize, usize)>,
    /// Whether its source is open.
    pub open: bool,
    /// Whether the system failed to read it to its end.
    pub failed: bool,
}

/// What a worker may be told.
pub enum Command {
    /// Hand out what the tables of these aggregations (places in the configuration) hold; their
    /// bins go on.
    Flush(Vec<usize>),
    /// Read what the kernel still holds, then end and give all parts back.
    Stop,
    /// Publish a snapshot now.
    Publish,
    /// Let sources read again what they have from files.
    Refresh,
    /// Go on with these rules, for the same inputs and aggregations.
    Rules(Arc<Rules>),
}

/// Whether it is time; a clock that was set back does not make anybody wait longer.
fn due(at: Nanos, now: Nanos) -> bool {
    now >= at || at.0 - now.0 > REOPEN
}

/// One thread of the data plane.
pub struct Worker {
    /// Inputs.
    pub inputs: Vec<Intaker>,
    /// Aggregations.
    pub aggregates: Aggregates,
    /// Which worker it is.
    pub seat: Seat,
    /// The store of texts, shared by all.
    pub symbols: Arc<Interner>,
    /// The batch in work.
    pub batch: Batch,
    /// Recent texts.
    pub cache: SymCache,
    /// Whether time comes from the clock (some source is live) or from the frames.
    pub live: bool,
    /// Commands, and what tells of them.
    pub commands: (Wakened, Receiver<Command>),
    /// Commands obeyed.
    pub obeyed: usize,
    /// Whether it stays when all its files have ended.
    pub stay: bool,
    /// Whether that has come.
    pub rested: bool,
    /// Where snapshots go.
    pub view: Arc<Mutex<Snapshot>>,
    /// Where templates go; none when they are not kept.
    pub saver: Option<Saver>,
}

impl Intaker {
    /// Bits of the filters that a frame passes.
    #[inline]
    fn judge(filters: &mut [(u32, Arc<Filter>)], frame: &Frame<'_>) -> u32 {
        let passed = filters.iter_mut().map(|(bit, filter)| {
            let passes = filter.judge(frame);
            let passes = passes.unwrap_or_else(|| Self::learn(filter, frame));
            if passes { *bit } else { 0 }
        });
        passed.fold(0, |bits, bit| bits | bit)
    }

    /// The first frame of a link type that the filter was not compiled for.
    #[cold]
    fn learn(filter: &mut Arc<Filter>, frame: &Frame<'_>) -> bool {
        let filter = Arc::make_mut(filter);
        filter.learn(frame.link);
        filter.matches_frame(frame)
    }

    /// The descriptor to wait on before it may be read, -1 when it need not wait; none when it may
    /// not be read now, being closed or a file whose `turn` it is not.
    fn fd(&self, turn: bool) -> Option<i32> {
        let source = self.source.as_ref().filter(|_| self.live || turn)?;
        Some(source.fd().unwrap_or(-1))
    }

    fn loss(&mut self) {
        let now = self
            .source
            .as_ref()
            .map(|source| source.loss())
            .unwrap_or_default();
        let (past, ledger) = (&self.past_loss, &mut self.ledger);
        ledger.kernel_lost = past.kernel.wrapping_add(now.kernel);
        let refused = past.refused.wrapping_add(now.refused);
        ledger.dropped[Reason::Refused as usize].units = refused;
        let oversize = past.oversize.wrapping_add(now.oversize);
        ledger.dropped[Reason::Oversize as usize].units = oversize;
    }

    /// Puts the source away, keeping what it had lost.
    fn shut(&mut self) {
        let Some(source) = self.source.take() else {
            return;
        };
        let loss = source.loss();
        self.past_loss.kernel = self.past_loss.kernel.wrapping_add(loss.kernel);
        self.past_loss.refused = self.past_loss.refused.wrapping_add(loss.refused);
        self.past_loss.oversize = self.past_loss.oversize.wrapping_add(loss.oversize);
    }

    fn failed(&mut self, error: &SourceError, now: Nanos) {
        match error {
            SourceError::Format(what) => {
                log::warn!("input {}: {what}", self.name);
                self.ledger.drop(Reason::Savefile, 0);
                self.ended = true;
            }
            SourceError::Io(e) if !self.live => {
                // A file would begin anew.
                let why = e.to_string();
                let own = why
                    .strip_prefix(&self.name)
                    .and_then(|w| w.strip_prefix(": "));
                log::error!("input {}: {}", self.name, own.unwrap_or(&why));
                self.broken = true;
                self.ended = true;
            }
            SourceError::Io(e) => {
                log::error!("input {}: {e}; opening it again", self.name);
                self.retry_at = Nanos(now.0 + REOPEN);
            }
        }
        self.shut();
    }

    fn try_reopen(&mut self, now: Nanos) {
        match (self.reopen)() {
            Ok(source) => {
                log::info!("input {}: open again", self.name);
                self.source = Some(source);
                self.retry_at = Nanos(0);
            }
            Err(e) => {
                log::warn!("input {}: {e}", self.name);
                self.retry_at = Nanos(now.0 + REOPEN);
            }
        }
    }
}

impl Worker {
    /// Runs until every input has ended or it is told to stop; gives itself back, with its
    /// tables as they are.
    pub fn run(mut self) -> Self {
        let mut poll = Poll::new();
        // When numbers were published last, and whether they have changed since.
        let (mut published, mut stale) = (Nanos(0), true);
        if self.live {
            let now = wall();
            self.aggregates
                .iter_mut()
                .for_each(|(_, a, _)| a.begin(now));
        }
        loop {
            let busy = self.read_ready(&poll);
            let now = self.pass_time();
            if !self.obey(now) {
                self.read_rest();
                break;
            }
            if self.inputs.iter().all(|input| input.ended) {
                if !self.stay {
                    break;
                }
                self.rest();
            }
            stale |= busy || poll.any();
            let due = Nanos(published.0.saturating_add(SECOND));
            if stale && (now >= due || now < published) {
                self.publish();
                (published, stale) = (now, false);
            }
            let saver = self.saver.as_mut();
            let save = saver.and_then(|saver| saver.run(&mut self.inputs, now));
            let due = stale.then_some(due).into_iter().chain(save).min();
            self.wait(&mut poll, busy, now, due);
        }
        self.publish();
        self
    }

    /// All files have come to their end and somebody wants to go on asking: hands out what there
    /// is, once.
    fn rest(&mut self) {
        if !std::mem::replace(&mut self.rested, true) {
            let at = self.latest();
            self.aggregates
                .iter_mut()
                .for_each(|(_, a, _)| a.finish(at));
            log::info!("all files have come to their end");
        }
    }

    /// Does all that it was told since; false when that is to stop.
    fn obey(&mut self, now: Nanos) -> bool {
        while let Some(command) = self.commands.1.try_recv() {
            match command {
                Command::Stop => return false,
                Command::Flush(which) => {
                    let at = if self.live { now } else { self.latest() };
                    let all = self.aggregates.iter_mut();
                    for (_, aggregate, _) in all.filter(|(place, ..)| which.contains(place)) {
                        aggregate.drain(Cause::Early, at);
                    }
                }
                Command::Publish => {}
                Command::Refresh => {
                    let sources = self.inputs.iter_mut().filter_map(|i| i.source.as_mut());
                    sources.for_each(|source| source.refresh());
                }
                Command::Rules(rules) => self.follow(&rules),
            }
            self.obeyed = self.obeyed.wrapping_add(1);
            self.publish();
        }
        true
    }

    /// Makes the stages anew. Nothing is under way while it is done, so no record is lost.
    pub fn follow(&mut self, rules: &Rules) {
        let place = |feed: &usize| self.aggregates.iter().position(|(at, ..)| at == feed);
        for input in &mut self.inputs {
            let (mut stage, _) = rules.input(input.input, self.seat);
            for feeds in [&mut stage.early, &mut stage.late] {
                *feeds = feeds.iter().filter_map(place).collect();
            }
            input.stage = stage;
        }
        for (at, _, own) in &mut self.aggregates {
            *own = rules.own(*at, self.seat).0;
        }
    }

    fn latest(&self) -> Nanos {
        self.aggregates
            .iter()
            .map(|(_, a, _)| a.last())
            .max()
            .unwrap_or_default()
    }

    /// Reads from every source that is ready; true when one may have more at once.
    fn read_ready(&mut self, poll: &Poll) -> bool {
        let mut busy = false;
        let turn = self.turn();
        for at in 0..self.inputs.len() {
            let fd = self
                .inputs
                .get(at)
                .and_then(|input| input.fd(turn == Some(at)));
            if fd.is_some_and(|fd| fd < 0 || poll.ready(at + 1)) {
                busy |= self.read(at);
            }
        }
        // The next file may be one that is always ready.
        let next = self.turn().and_then(|at| self.inputs.get(at));
        busy || next.is_some_and(|input| input.fd(true) == Some(-1))
    }

    /// Files are read one after the other, in the order of the configuration: whose turn it is.
    fn turn(&self) -> Option<usize> {
        let mut inputs = self.inputs.iter();
        inputs.position(|input| !input.live && input.source.is_some())
    }

    /// Reads a bounded share from one source; true when there may be more.
    fn read(&mut self, at: usize) -> bool {
        let Self {
            inputs,
            aggregates,
            symbols,
            batch,
            cache,
            ..
        } = self;
        let Some(input) = inputs.get_mut(at) else {
            return false;
        };
        let Some(source) = &mut input.source else {
            return false;
        };
        let mut stage = Stage {
            aggregates,
            filters: &input.record_filters,
            input: &mut input.stage,
        };
        let mut run = |batch: &mut Batch, ledger: &mut Intake| stage.run(batch, ledger);
        let mut emit = Emit::new(batch, &mut run, &mut input.ledger, symbols, cache);
        let (decoder, must) = (&mut input.decoder, input.must_pass);
        let (filters, gate) = (&mut input.frame_filters, &mut input.gate);
        let mut progress = Ok(Progress::More);
        for _ in 0..ROUNDS {
            progress = source.read(&mut |frame| {
                emit.ledger.frames = emit.ledger.frames.wrapping_add(1);
                let bytes = u64::from(frame.wire_len);
                emit.ledger.frame_bytes = emit.ledger.frame_bytes.wrapping_add(bytes);
                emit.time = frame.time;
                if !gate.is_empty() && Intaker::judge(gate, frame) == 0 {
                    emit.drop(Reason::Filter, frame.wire_len as usize);
                    return;
                }
                if !filters.is_empty() {
                    emit.pass = Intaker::judge(filters, frame);
                    if emit.pass & must == 0 && must != 0 {
                        emit.drop(Reason::Filter, frame.wire_len as usize);
                        return;
                    }
                }
                if let Err(error) = decoder.decode(frame, &mut emit) {
                    emit.drop(error.into(), frame.wire_len as usize);
                }
            });
            if !matches!(progress, Ok(Progress::More)) {
                break;
            }
        }
        if matches!(progress, Ok(Progress::End)) {
            decoder.finish(&mut emit);
        }
        emit.flush();
        match progress {
            Ok(Progress::More) => true,
            Ok(Progress::Idle) => false,
            Ok(Progress::End) => {
                input.loss();
                input.shut();
                input.ended = true;
                false
            }
            Err(error) => {
                input.loss();
                input.failed(&error, wall());
                false
            }
        }
    }

    /// Lets time pass: ended bins are handed out, failed sources opened again.
    fn pass_time(&mut self) -> Nanos {
        let now = wall();
        if self.live {
            self.aggregates
                .iter_mut()
                .for_each(|(_, a, _)| a.advance(now));
        }
        for input in &mut self.inputs {
            if input.source.is_none() && !input.ended && due(input.retry_at, now) {
                input.try_reopen(now);
            }
        }
        now
    }

    /// Sleeps until a source is ready, a command comes, or a deadline is there.
    fn wait(&mut self, poll: &mut Poll, busy: bool, now: Nanos, due: Option<Nanos>) {
        poll.clear();
        poll.add(self.commands.0.fd(), Interest::Read);
        let turn = self.turn();
        for (at, input) in self.inputs.iter().enumerate() {
            poll.add(input.fd(turn == Some(at)).unwrap_or(-1), Interest::Read);
        }
        let live = self
            .aggregates
            .iter()
            .filter(|_| self.live)
            .map(|(_, a, _)| a.deadline());
        let deadlines = live.chain(self.inputs.iter().map(|i| i.retry_at));
        let next = deadlines.chain(due).filter(|at| at.0 != 0).min();
        let timeout = if busy {
            Some(Duration::ZERO)
        } else {
            next.map(|at| Duration::from_nanos(at.0.saturating_sub(now.0)))
        };
        if let Err(e) = poll.wait(timeout) {
            log::error!("poll: {e}");
        }
        if poll.ready(0) {
            self.commands.0.clear();
        }
    }

    /// Reads what has arrived. Where the kernel keeps it back for a while, as in the open block of
    /// a ring, all sources are read until that is over.
    fn read_rest(&mut self) {
        let sources = self.inputs.iter().filter_map(|i| i.source.as_ref());
        let lag = sources.map(|source| source.lag()).max().unwrap_or_default();
        self.read_held();
        if !lag.is_zero() {
            for _ in 0..LOOKS {
                std::thread::sleep(lag / LOOKS);
                self.read_held();
            }
        }
    }

    /// Reads what the kernel holds, at the most for as long as a full buffer takes.
    fn read_held(&mut self) {
        for at in 0..self.inputs.len() {
            let live = |input: &Intaker| input.live && input.source.is_some();
            for _ in 0..64 {
                if !self.inputs.get(at).is_some_and(live) || !self.read(at) {
                    break;
                }
            }
        }
    }

    /// Hands every table out and waits until it is taken.
    pub fn finish(&mut self) {
        let now = if self.live { wall() } else { self.latest() };
        self.aggregates
            .iter_mut()
            .for_each(|(_, a, _)| a.finish(now));
        self.publish();
    }

    /// Hands every table out while its bin goes on, and waits until it is taken.
    pub fn hand_out(&mut self) {
        let now = if self.live { wall() } else { self.latest() };
        self.aggregates
            .iter_mut()
            .for_each(|(_, a, _)| a.hand_out(now));
        self.inputs.iter_mut().for_each(Intaker::loss);
    }

    fn publish(&mut self) {
        self.inputs.iter_mut().for_each(Intaker::loss);
        let inputs = self.inputs.iter().map(|input| InputView {
            input: input.input,
            ledger: input.ledger,
            usage: input.decoder.usage(),
            open: input.source.is_some(),
            failed: input.broken,
        });
        let aggregates = self.aggregates.iter();
        let snapshot = Snapshot {
            inputs: inputs.collect(),
            aggregates: aggregates
                .map(|(at, a, _)| (*at, a.account(), a.usage()))
                .collect(),
            position: self
                .inputs
                .iter()
                .find_map(|i| i.source.as_ref()?.position()),
            obeyed: self.obeyed,
        };
        *self.view.lock().unwrap_or_else(PoisonError::into_inner) = snapshot;
    }
}
