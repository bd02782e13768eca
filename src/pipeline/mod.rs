//! Joins the parts into a running whole: plan, workers, drain threads, outlets.

pub mod backlog;
pub mod maps;
pub mod outlet;
mod output;
pub mod plan;
pub mod reload;
pub mod rules;
pub mod saver;
pub mod stage;
mod stop;
mod suits;
pub mod tray;
pub mod worker;

use crate::agg::Aggregator;
use crate::agg::sieve::Sieve;
use crate::base::Sieves;
use crate::base::channel::{Sender, channel};
use crate::base::error::Exit;
use crate::base::ledger::{Account, Reason};
use crate::config::Config;
use crate::decode;
use crate::record::FieldSet;
use crate::sink::BatchId;
use crate::source::{Loss, SourceError};
use crate::sys::poll::{Interest, Poll};
use crate::sys::waker::{self, Wakened, Waker};
use outlet::{Health, Outlet};
use output::Opened;
pub use plan::Plan;
use reload::Kept;
use rules::{Rules, Seat};
use saver::{Pages, Saver};
use std::hash::{BuildHasher, RandomState};
use std::io::ErrorKind;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;
pub use stop::Brake;
use tray::{Draining, Page, Sifting};
use worker::{Command, InputView, Intaker, Snapshot, Worker};

/// How a pipeline is run beyond what its configuration says.
#[derive(Clone, Copy, Debug)]
pub struct Mode {
    /// A full table or queue waits (files) rather than refuses (live input).
    pub patient: bool,
    /// Drawn at each start; part of every batch's identity.
    pub run: u64,
}

impl Mode {
    /// For what must not be guessed while live, and must be the same for the same files.
    fn seed(&self) -> u64 {
        if self.patient { 0 } else { self.run.max(1) }
    }
}

/// Totals of all workers, by place in the configuration.
#[derive(Clone, Debug, Default)]
pub struct View {
    /// Inputs.
    pub inputs: Vec<InputView>,
    /// Aggregations: page of the ledger, entries used and most.
    pub aggregates: Vec<(Account, (usize, usize))>,
    /// Outputs.
    pub outputs: Vec<Health>,
    /// Texts: bytes used, most, and how many found no room.
    pub symbols: (usize, usize, u64),
    /// Position in a file being read and its size.
    pub position: Option<(u64, Option<u64>)>,
}

struct Thread {
    handle: JoinHandle<Worker>,
    commands: Sender<Command>,
    waker: Waker,
    view: Arc<Mutex<Snapshot>>,
    /// Whether the worker has come to its end rather than to a defect.
    orderly: Arc<AtomicBool>,
    ended: Arc<AtomicBool>,
}

/// Wakes who waits for a worker when its thread ends, in whichever way.
struct Done(Arc<Waker>, Arc<AtomicBool>);

impl Drop for Done {
    fn drop(&mut self) {
        // In this order, so that whoever is woken sees it: the thread itself may live on for as
        // long as the system likes.
        self.1.store(true, Ordering::Release);
        self.0.wake();
    }
}

impl Thread {
    fn ended(&self) -> bool {
        self.ended.load(Ordering::Acquire)
    }
}

/// A running pipeline.
pub struct Pipeline {
    /// What it was built from.
    pub config: Config,
    /// What that means.
    pub plan: Plan,
    /// How it is run.
    pub mode: Mode,
    /// Woken when a worker ends, and how one waits for that.
    done: (Arc<Waker>, Wakened),
    /// The rules in force: those of the plan, until maps are read again.
    rules: Mutex<Arc<Rules>>,
    workers: Vec<Thread>,
    /// Commands given to the workers so far.
    told: Mutex<usize>,
    drains: Vec<Draining>,
    /// Of each aggregation, the identity of its first batch.
    ids: Vec<BatchId>,
    /// What became of rows before they were handed to the outputs, by aggregation.
    pages: Vec<Option<Page>>,
    outlets: Vec<Arc<Outlet>>,
    sinks: Vec<JoinHandle<()>>,
    /// The thread that writes templates.
    saver: Option<JoinHandle<()>>,
}

impl Pipeline {
    /// Builds and starts everything. `kept` are the parts of the pipeline before, for a reload.
    ///
    /// # Errors
    /// When something can not be opened; it has been logged.
    pub fn start(config: Config, plan: Plan, mode: Mode, kept: &mut Kept) -> Result<Self, Exit> {
        let (done, wakened) = waker::pair().map_err(|e| {
            log::error!("pipeline: {e}");
            Exit::Failure
        })?;
        let mut pipeline = Self {
            done: (Arc::new(done), wakened),
            workers: Vec::new(),
            told: Mutex::new(0),
            drains: Vec::new(),
            pages: Vec::new(),
            outlets: Vec::new(),
            sinks: Vec::new(),
            saver: None,
            rules: Mutex::new(plan.rules.clone()),
            ids: kept.ids(&config, mode.run),
            config,
            mode: Mode {
                run: kept.run.unwrap_or(mode.run),
                ..mode
            },
            plan,
        };
        let (mut sources, mut sinks) = (Vec::new(), Vec::new());
        if let Err(exit) = pipeline.open(&mut sources, &mut sinks, kept) {
            pipeline.give_back(sources, sinks, kept);
            return Err(exit);
        }
        let aggregators = pipeline.aggregators(kept)?;
        pipeline.start_sinks(sinks)?;
        let (pages, saver) = saver::start(&pipeline.config).map_err(|e| {
            log::error!("templates: {e}");
            Exit::Failure
        })?;
        pipeline.saver = saver;
        for (at, mine) in aggregators.into_iter().enumerate() {
            let inputs = sources.extract_if(.., |(worker, _)| *worker == at);
            let inputs = inputs.map(|(_, input)| input).collect();
            pipeline.start_worker(at, inputs, mine, &pages)?;
        }
        Ok(pipeline)
    }

    /// Opens, or takes over, the sources of all workers and all outputs.
    fn open(
        &mut self,
        sources: &mut Vec<(usize, Intaker)>,
        sinks: &mut Vec<Opened>,
        kept: &mut Kept,
    ) -> Result<(), Exit> {
        for (at, inputs) in self.plan.workers.iter().enumerate() {
            for input in inputs {
                sources.push((at, self.open_source(*input, at, kept)?));
            }
        }
        self.open_sinks(sinks, kept)
    }

    /// After a start that failed: what it had taken over goes back, with the sources it had opened,
    /// for the start of the configuration before.
    fn give_back(self, sources: Vec<(usize, Intaker)>, sinks: Vec<Opened>, kept: &mut Kept) {
        for (worker, input) in sources {
            kept.add_input(&self.config, input, worker);
        }
        let outlets = self.outlets.into_iter().zip(sinks);
        for (output, (outlet, opened)) in self.config.outputs.iter().zip(outlets) {
            if let Opened::Runs(thread) = opened {
                kept.add_outlet(output, (outlet, thread));
            }
        }
        kept.forget_next();
    }

    /// Opens the source of one input for one worker, or takes over the one from before.
    fn open_source(&self, at: usize, worker: usize, kept: &mut Kept) -> Result<Intaker, Exit> {
        let (input, planned) = (&self.config.inputs[at], &self.plan.inputs[at]);
        let opener = planned.opener.clone();
        let reopen = Box::new(move || opener.open());
        // A file that can not be opened is told of like one that can not be read to its end: the
        // other files are read all the same.
        let source = match kept.source(&self.config, at, worker, reopen.as_ref()) {
            Ok(source) => Some(source),
            Err(e) => {
                log::error!("input {}: {e}", input.name);
                if planned.opener.live() {
                    return Err(match e {
                        SourceError::Io(e) if e.kind() == ErrorKind::PermissionDenied => {
                            Exit::Permission
                        }
                        _ => Exit::Failure,
                    });
                }
                None
            }
        };
        let mut decoder = decode::build(planned.decode, planned.opener.datagrams(), &planned.setup)
            .map_err(|feature| {
                log::error!("input {}: this build has no `{feature}`", input.name);
                Exit::Failure
            })?;
        if let Some(saved) = kept.decoder(&input.name, worker)
            && let Err(why) = decoder.load(&saved)
        {
            log::warn!("input {}: {why}", input.name);
        }
        // What the page says of sources before this one, so that its numbers never fall.
        let broken = source.is_none();
        let mut ledger = kept.ledger(input, worker);
        if broken {
            ledger.drop(Reason::Savefile, 0);
        }
        let loss = source.as_ref().map(|s| s.loss()).unwrap_or_default();
        let dropped = |reason| ledger.dropped(reason).units;
        let past_loss = Loss {
            kernel: ledger.kernel_lost.saturating_sub(loss.kernel),
            refused: dropped(Reason::Refused).saturating_sub(loss.refused),
            oversize: dropped(Reason::Oversize).saturating_sub(loss.oversize),
        };
        Ok(Intaker {
            input: at,
            name: input.name.clone(),
            live: planned.opener.live(),
            source,
            reopen,
            saved: decoder.news(),
            decoder,
            frame_filters: planned.frame_filters.clone(),
            record_filters: planned.record_filters.clone(),
            gate: planned.gate.clone(),
            must_pass: planned.must_pass,
            stage: Default::default(),
            ledger,
            past_loss,
            ended: broken,
            broken,
            retry_at: Default::default(),
        })
    }

    /// The aggregators of each worker, joined to their drain threads.
    fn aggregators(&mut self, kept: &mut Kept) -> Result<Vec<Vec<(usize, Aggregator)>>, Exit> {
        let mut mine: Vec<Vec<(usize, Aggregator)>> = Vec::new();
        mine.resize_with(self.plan.workers.len(), Vec::new);
        // Senders choose the keys, so they must not be able to guess this.
        let seed = RandomState::new().hash_one(self.mode.run);
        for (at, planned) in self.plan.aggregates.iter().enumerate() {
            let mut settings = planned.settings.clone();
            settings.seed = seed;
            let outlets = planned
                .outputs
                .iter()
                .map(|o| self.outlets[*o].clone())
                .collect();
            let name = settings.schema.name.clone();
            let (mut account, page) = kept.aggregate(&name);
            let sifting = self.sifting(at, page);
            self.pages.push(sifting.as_ref().map(|s| s.page.clone()));
            let planned = &self.plan.aggregates[at];
            let spares = planned
                .workers
                .iter()
                .map(|_| Aggregator::table(&settings))
                .collect();
            let id = self.ids[at];
            let (mut drain, trays) = tray::drain(&settings.schema, outlets, sifting, id, spares);
            if kept.has_drain(&name) {
                kept.add_next(&name, drain.follow());
            }
            for (worker, tray) in planned.workers.iter().zip(trays) {
                let table = Aggregator::table(&settings);
                let (settings, bins) = (settings.clone(), planned.bins.clone());
                let pace = planned.pace.clone();
                let tray = Box::new(tray);
                let patient = self.mode.patient;
                let mut aggregator = Aggregator::new(settings, bins, table, tray, patient);
                if let Some(pace) = pace {
                    aggregator = aggregator.paced(pace);
                }
                aggregator.resume(std::mem::take(&mut account));
                mine[*worker].push((at, aggregator));
            }
            self.drains.push(drain.start().map_err(|e| {
                log::error!("aggregate {name}: {e}");
                Exit::Failure
            })?);
        }
        Ok(mine)
    }

    /// What judges the rows of an aggregation; it goes on with the page of the one before.
    fn sifting(&self, at: usize, page: Option<Page>) -> Option<Sifting> {
        let planned = &self.plan.aggregates[at];
        let page = page.unwrap_or_default();
        let told = *page.lock().unwrap_or_else(PoisonError::into_inner);
        let (here, (rules, rejects)) = (Sieves::get()?, planned.sieve.as_ref()?);
        let schema = &planned.settings.schema;
        let sieve = Sieve::new(here, rules.clone(), schema, self.mode.seed(), told);
        let rejects = rejects.iter().map(|o| self.outlets[*o].clone());
        Some(Sifting {
            sieve,
            page,
            rejects: rejects.collect(),
        })
    }

    fn start_worker(
        &mut self,
        at: usize,
        inputs: Vec<Intaker>,
        aggregates: Vec<(usize, Aggregator)>,
        pages: &Pages,
    ) -> Result<(), Exit> {
        let mut wanted = FieldSet::EMPTY;
        for input in &inputs {
            wanted = wanted.union(self.plan.inputs[input.input].touched);
        }
        for (_, aggregate) in &aggregates {
            let schema = &aggregate.settings().schema;
            wanted = wanted
                .union(schema.key.needs())
                .union(schema.counter.needs());
        }
        let report = |e: std::io::Error| {
            log::error!("worker {at}: {e}");
            Exit::Failure
        };
        let (waker, wakened) = waker::pair().map_err(report)?;
        let (commands, receiver) = channel();
        let view = Arc::new(Mutex::new(Snapshot::default()));
        let live = inputs.iter().any(|i| i.live);
        let aggregates = aggregates.into_iter().map(|(at, a)| (at, a, None));
        let workers = self.plan.workers.len();
        let mut worker = Worker {
            inputs,
            aggregates: aggregates.collect(),
            seat: Seat {
                worker: at,
                workers,
            },
            symbols: self.plan.symbols.clone(),
            batch: Worker::batch(wanted),
            cache: Default::default(),
            live,
            commands: (wakened, receiver),
            obeyed: 0,
            stay: self.config.stay,
            rested: false,
            view: view.clone(),
            saver: Saver::new(&self.config, at, pages),
        };
        worker.follow(&self.rules());
        let builder = std::thread::Builder::new().name(format!("worker {at}"));
        // Dropped when the thread ends, be it by a defect.
        let ended = Arc::new(AtomicBool::new(false));
        let done = Done(self.done.0.clone(), ended.clone());
        let orderly = Arc::new(AtomicBool::new(false));
        let said = orderly.clone();
        let run = move || {
            let _done = done;
            let worker = worker.run();
            said.store(true, Ordering::Release);
            worker
        };
        let handle = builder.stack_size(512 << 10).spawn(run).map_err(report)?;
        self.workers.push(Thread {
            handle,
            commands,
            waker,
            view,
            orderly,
            ended,
        });
        Ok(())
    }

    /// Whether every worker has ended by itself (all inputs were files).
    pub fn ended(&self) -> bool {
        self.workers.iter().all(Thread::ended)
    }

    /// Whether a worker has died of a defect.
    pub fn crashed(&self) -> bool {
        let died = |w: &Thread| w.ended() && !w.orderly.load(Ordering::Acquire);
        self.workers.iter().any(died)
    }

    /// Waits until every worker has ended, `also` is readable, or the time is over; true when
    /// every worker has ended.
    pub fn wait(&self, also: Option<i32>, time: Option<Duration>) -> bool {
        if self.ended() {
            return true;
        }
        let mut poll = Poll::new();
        poll.add(self.done.1.fd(), Interest::Read);
        poll.add(also.unwrap_or(-1), Interest::Read);
        if let Err(e) = poll.wait(time) {
            log::error!("poll: {e}");
        }
        if poll.ready(0) {
            self.done.1.clear();
        }
        self.ended()
    }

    fn tell(&self, command: impl Fn() -> Command) {
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        *told = told.wrapping_add(1);
        for worker in &self.workers {
            // A worker that has ended needs no command.
            let _ = worker.commands.send(command());
            worker.waker.wake();
        }
    }

    /// Whether the workers have done all that they were told, and published their numbers after.
    pub fn obeyed(&self) -> bool {
        let told = *self.told.lock().unwrap_or_else(PoisonError::into_inner);
        self.workers.iter().all(|worker| {
            let view = worker.view.lock().unwrap_or_else(PoisonError::into_inner);
            view.obeyed == told || worker.ended()
        })
    }

    /// Tells the workers to end after what they are reading now.
    pub fn halt(&self) {
        self.tell(|| Command::Stop);
    }

    /// Hands out what all tables hold; bins go on.
    pub fn flush(&self) {
        let all: Vec<usize> = (0..self.config.aggregates.len()).collect();
        self.tell(|| Command::Flush(all.clone()));
    }

    /// Hands out what is on its way to the live table of an output, for whoever asks for it now:
    /// the aggregations whose rows go to outputs of kind `memory` alone, since other outputs
    /// would get their rows in pieces. False when there is none.
    pub fn flush_to(&self, output: &str) -> bool {
        let config = &self.config;
        let live = |name: &String| {
            let mut outputs = config.outputs.iter();
            outputs.any(|o| o.name == *name && o.kind == "memory")
        };
        let aggregates = config.aggregates.iter().enumerate();
        // Rows that are judged are judged whole.
        let meant = aggregates.filter(|(_, a)| {
            let whole = a.preprocess.is_none();
            whole && a.to.iter().any(|to| to == output) && a.to.iter().all(live)
        });
        let meant: Vec<usize> = meant.map(|(at, _)| at).collect();
        if meant.is_empty() {
            return false;
        }
        self.tell(|| Command::Flush(meant.clone()));
        true
    }

    /// The rules in force.
    pub fn rules(&self) -> Arc<Rules> {
        let rules = self.rules.lock().unwrap_or_else(PoisonError::into_inner);
        rules.clone()
    }

    /// Lets sources read again what they have from files beside their settings.
    pub fn refresh_sources(&self) {
        self.tell(|| Command::Refresh);
    }

    /// Remembers that maps could not be read again.
    pub fn stale(&self) {
        let mut rules = self.rules.lock().unwrap_or_else(PoisonError::into_inner);
        let stale = Rules::clone(&rules).stale();
        *rules = Arc::new(stale);
    }

    /// Goes on with the rules of a plan that was made anew of the same configuration, if that is
    /// possible while the workers run: when no field is wanted that was not before, and when maps
    /// have room. The workers take them up between two batches.
    pub fn follow(&self, plan: &Plan) -> bool {
        let inputs = self.plan.inputs.iter().zip(&plan.inputs);
        let mut inputs = inputs.map(|(old, new)| {
            let wanted = old.setup.wanted.all(new.setup.wanted);
            wanted && old.touched.all(new.touched)
        });
        let same = Arc::ptr_eq(&self.plan.symbols, &plan.symbols) && inputs.all(|fits| fits);
        if !same || !self.plan.rules.has_room_for(&self.rules(), &plan.rules) {
            return false;
        }
        let rules = plan.rules.clone();
        *self.rules.lock().unwrap_or_else(PoisonError::into_inner) = rules.clone();
        self.tell(|| Command::Rules(rules.clone()));
        true
    }

    /// Asks the workers for fresh numbers; [`view`](Self::view) has them when
    /// [`obeyed`](Self::obeyed) says so.
    pub fn refresh(&self) {
        self.tell(|| Command::Publish);
    }

    /// All numbers, as published last.
    pub fn view(&self) -> View {
        let mut view = View {
            inputs: vec![InputView::default(); self.config.inputs.len()],
            aggregates: vec![Default::default(); self.config.aggregates.len()],
            outputs: self.outlets.iter().map(|o| o.health()).collect(),
            symbols: self.plan.symbols.usage(),
            position: None,
        };
        for worker in &self.workers {
            let snapshot = worker
                .view
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .clone();
            view.add(snapshot);
        }
        self.add_pages(&mut view);
        view
    }

    /// Adds what became of rows on their way to the outputs.
    fn add_pages(&self, view: &mut View) {
        for ((account, _), page) in view.aggregates.iter_mut().zip(&self.pages) {
            let page = page.as_ref().map(|page| page.lock());
            account.sifted = page.map(|page| *page.unwrap_or_else(PoisonError::into_inner));
        }
    }
}

impl View {
    fn add(&mut self, snapshot: Snapshot) {
        for view in snapshot.inputs {
            let Some(slot) = self.inputs.get_mut(view.input) else {
                continue;
            };
            slot.input = view.input;
            slot.ledger.add(&view.ledger);
            slot.open |= view.open;
            slot.failed |= view.failed;
            for (name, used, most) in view.usage {
                match slot.usage.iter_mut().find(|(known, ..)| *known == name) {
                    Some(sum) => (sum.1, sum.2) = (sum.1 + used, sum.2 + most),
                    None => slot.usage.push((name, used, most)),
                }
            }
        }
        for (at, account, usage) in snapshot.aggregates {
            if let Some(slot) = self.aggregates.get_mut(at) {
                slot.0.add(&account);
                slot.1 = (slot.1.0 + usage.0, slot.1.1 + usage.1);
            }
        }
        self.position = self.position.or(snapshot.position);
    }
}
