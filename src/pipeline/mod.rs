//! Joins the parts into a running whole: plan, workers, drain threads, outlets.

pub mod backlog;
mod life;
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
mod view;
pub mod worker;

use crate::agg::Aggregator;
use crate::agg::sieve::Sieve;
use crate::base::Sieves;
use crate::base::channel::{Receiver, Sender, channel};
use crate::base::error::Exit;
use crate::base::ledger::Reason;
use crate::config::{Aggregate, Config};
use crate::decode;
use crate::record::{Batch, FieldSet};
use crate::sink::BatchId;
use crate::source::{Loss, SourceError};
use crate::sys::poll::{Interest, Poll};
use crate::sys::waker::{self, Wakened, Waker};
use life::Life;
use outlet::Outlet;
use output::Opened;
pub use plan::Plan;
use reload::Kept;
use rules::{Rules, Seat};
use saver::{Pages, Saver};
use std::hash::{BuildHasher, RandomState};
use std::io::ErrorKind;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;
pub use stop::Brake;
use tray::{Draining, Page, Sifting};
pub use view::View;
use worker::{Command, Intaker, Snapshot, Worker};

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

struct Thread {
    /// Gives the worker's parts back, if it has got any.
    handle: JoinHandle<Option<Worker>>,
    commands: Sender<Command>,
    waker: Waker,
    view: Arc<Mutex<Snapshot>>,
    life: Arc<Life>,
}

/// The thread of a worker that has nothing to do yet.
struct Vacancy {
    commands: (Wakened, Receiver<Command>),
    give: Sender<Worker>,
}

/// All that a pipeline needs to begin: the threads of its workers, with what they aggregate, and
/// where they put templates.
struct Ready {
    workers: Vec<(Vacancy, Vec<(usize, Aggregator)>)>,
    pages: Pages,
}

/// A running pipeline.
pub struct Pipeline {
    /// What it was built from.
    pub config: Config,
    /// What that means.
    pub plan: Plan,
    /// How it is run.
    pub mode: Mode,
    /// Woken when a worker or a drain thread ends, and how one waits for that.
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
    /// A pipeline of which nothing is open.
    fn new(config: Config, plan: Plan, mode: Mode, kept: &Kept) -> Result<Self, Exit> {
        let (done, wakened) = waker::pair().map_err(|e| {
            log::error!("pipeline: {e}");
            Exit::Failure
        })?;
        Ok(Self {
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
        })
    }

    /// Builds and starts everything. `kept` are the parts of the pipeline before, for a reload.
    ///
    /// # Errors
    /// When something can not be opened; it has been logged.
    pub fn start(config: Config, plan: Plan, mode: Mode, kept: &mut Kept) -> Result<Self, Exit> {
        let mut pipeline = Self::new(config, plan, mode, kept)?;
        let (mut sources, mut sinks) = (Vec::new(), Vec::new());
        match pipeline.prepare(&mut sources, &mut sinks, kept) {
            Ok(ready) => {
                pipeline.begin(ready, sources, sinks);
                Ok(pipeline)
            }
            Err(exit) => {
                pipeline.give_back(sources, sinks, kept);
                Err(exit)
            }
        }
    }

    /// Opens everything and starts all threads. None of them has anything to do before nothing can
    /// fail any more, so that a start that fails takes nothing from anybody.
    fn prepare(
        &mut self,
        sources: &mut Vec<(usize, Intaker)>,
        sinks: &mut Vec<Opened>,
        kept: &mut Kept,
    ) -> Result<Ready, Exit> {
        self.open(sources, sinks, kept)?;
        let aggregators = self.aggregators(kept)?;
        self.start_sinks(sinks)?;
        let (pages, saver) = saver::start(&self.config, &self.plan.workers).map_err(|e| {
            log::error!("templates: {e}");
            Exit::Failure
        })?;
        self.saver = saver;
        let workers = aggregators.into_iter().enumerate();
        let workers = workers.map(|(at, mine)| Ok((self.start_worker(at)?, mine)));
        let workers = workers.collect::<Result<Vec<_>, Exit>>()?;
        Ok(Ready { workers, pages })
    }

    /// Gives the threads what they are to do.
    fn begin(&mut self, ready: Ready, mut sources: Vec<(usize, Intaker)>, sinks: Vec<Opened>) {
        let threads = sinks.into_iter().filter_map(Opened::thread);
        self.sinks.extend(threads);
        for (at, (vacancy, mine)) in ready.workers.into_iter().enumerate() {
            let inputs = sources.extract_if(.., |(worker, _)| *worker == at);
            let inputs = inputs.map(|(_, input)| input).collect();
            self.employ(at, vacancy, inputs, mine, &ready.pages);
        }
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
    /// for the start of the configuration before. The threads that it had started end.
    fn give_back(mut self, sources: Vec<(usize, Intaker)>, sinks: Vec<Opened>, kept: &mut Kept) {
        // None of the workers has begun.
        self.join_workers();
        kept.forget_next();
        self.drains.drain(..).for_each(Draining::join);
        for (worker, input) in sources {
            kept.add_input(&self.config, input, worker);
        }
        let outlets = self.outlets.iter().zip(sinks);
        for (output, (outlet, opened)) in self.config.outputs.iter().zip(outlets) {
            match opened {
                Opened::Runs(thread) => {
                    kept.add_outlet(output, self.mark(output), (outlet.clone(), thread));
                }
                opened => outlet.abandon(opened.thread()),
            }
        }
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
        let workers = self.plan.workers.iter().enumerate();
        let workers = workers.filter(|(_, inputs)| inputs.contains(&at));
        let workers: Vec<usize> = workers.map(|(worker, _)| worker).collect();
        for saved in kept.templates(&input.name, worker, &workers) {
            if let Err(why) = decoder.load(&saved) {
                log::warn!("input {}: {why}", input.name);
            }
        }
        // What the page says of sources before this one, so that its numbers never fall.
        let broken = source.is_none();
        let mut ledger = kept.ledger(&input.name, worker, &workers);
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
            self.drains
                .push(drain.start(self.done.0.clone()).map_err(|e| {
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

    /// Starts the thread of a worker, which waits there for what it is to do.
    fn start_worker(&mut self, at: usize) -> Result<Vacancy, Exit> {
        let report = |e: std::io::Error| {
            log::error!("worker {at}: {e}");
            Exit::Failure
        };
        let (waker, wakened) = waker::pair().map_err(report)?;
        let (commands, receiver) = channel();
        let (give, take) = channel::<Worker>();
        let life = Life::new(self.done.0.clone());
        let its = life.clone();
        let run = move || its.of(|| take.recv().map(Worker::run));
        let builder = std::thread::Builder::new().name(format!("worker {at}"));
        let handle = builder.stack_size(512 << 10).spawn(run).map_err(report)?;
        self.workers.push(Thread {
            handle,
            commands,
            waker,
            view: Arc::default(),
            life,
        });
        Ok(Vacancy {
            commands: (wakened, receiver),
            give,
        })
    }

    /// Gives a worker's thread what it is to do.
    fn employ(
        &self,
        at: usize,
        vacancy: Vacancy,
        inputs: Vec<Intaker>,
        aggregates: Vec<(usize, Aggregator)>,
        pages: &Pages,
    ) {
        // Fields that must be clean in every record: all that anybody wants.
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
            batch: Batch::new(wanted),
            cache: Default::default(),
            live,
            commands: vacancy.commands,
            obeyed: 0,
            stay: self.config.stay,
            rested: false,
            view: self.workers[at].view.clone(),
            saver: Saver::new(&self.config, at, pages),
        };
        worker.follow(&self.rules());
        // It waits for this and does nothing else.
        let _ = vacancy.give.send(worker);
    }

    /// Whether every worker has ended by itself (all inputs were files).
    pub fn ended(&self) -> bool {
        self.workers.iter().all(|worker| worker.life.is_over())
    }

    /// Whether a worker, or a thread that hands rows out, has died of a defect.
    pub fn crashed(&self) -> bool {
        let mut workers = self.workers.iter();
        workers.any(|worker| worker.life.is_cut_short()) || self.drains.iter().any(Draining::died)
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
            view.obeyed == told || worker.life.is_over()
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

    /// Whether nothing is on its way to an output any more: the workers have done what they were
    /// told, and what they have handed out is stored.
    pub fn has_arrived(&self, output: &str) -> bool {
        let config = &self.config;
        let feeds = |a: &Aggregate| a.to.iter().chain(&a.rejects).any(|to| to == output);
        let drains = config.aggregates.iter().zip(&self.drains);
        let mut drains = drains.filter(|(aggregate, _)| feeds(aggregate));
        let outlets = config.outputs.iter().zip(&self.outlets);
        let mut outlets = outlets.filter(|(o, _)| o.name == output);
        // In the order in which rows come.
        self.obeyed()
            && drains.all(|(_, drain)| drain.is_idle())
            && outlets.all(|(_, outlet)| outlet.health().delivery.queued.records == 0)
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
}

#[cfg(test)]
mod tests;
