//! What goes on over a reload: sockets with what the kernel holds for them, templates, pages of
//! the ledger, outputs with their queues. So a reload loses no record.

use super::outlet::{self, Outlet};
use super::saver;
use super::tray::{Draining, Next, Page};
use super::worker::{Intaker, Worker};
use crate::base::channel::channel;
use crate::base::ledger::{Account, Intake};
use crate::config::rules::INPUT_KEYS;
use crate::config::{Config, Input, Output};
use crate::sink::BatchId;
use crate::source::{Source, SourceError};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::io::ErrorKind;
use std::path::PathBuf;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// An output that goes on, with the thread that empties its queue.
pub type Running = (Arc<Outlet>, JoinHandle<()>);

/// Parts of a stopped pipeline that the next one may take over.
#[derive(Default)]
pub struct Kept {
    sources: HashMap<(String, usize), (String, Box<dyn Source>)>,
    ledgers: HashMap<(String, usize), Intake>,
    decoders: HashMap<(String, usize), Vec<u8>>,
    /// With what must be equal for it to go on.
    outlets: HashMap<String, (Output, String, Running)>,
    accounts: HashMap<String, Account>,
    /// The run that goes on; none at the first start.
    pub run: Option<u64>,
    /// Sequence of all batches that follow: behind every one before, so that the identity of none
    /// comes twice, whichever aggregation it is of now.
    sequence: u64,
    /// Places in identities by aggregation.
    places: BTreeMap<String, u32>,
    /// What became of rows on their way, by aggregation.
    pages: HashMap<String, Page>,
    /// Threads that still hand out what the tables held, and who goes on with that.
    drains: HashMap<String, Draining>,
    next: HashMap<String, Next>,
    /// All outlets, which do not keep those threads for ever.
    pressed: Vec<Arc<Outlet>>,
}

/// Sequence numbers from one reload to the next: more than there are batches.
const STRIDE: u64 = 1 << 40;

/// What is done beside the pipeline that is in force: what the one before held is handed out, and
/// outputs that are gone are emptied.
#[derive(Default)]
pub struct Ending(Option<JoinHandle<()>>);

impl Ending {
    /// Does this beside whoever goes on, or at once where the system has no thread for it: others
    /// wait for its end.
    fn of<F: FnOnce() + Send + 'static>(work: F) -> Self {
        let (give, take) = channel::<F>();
        let run = move || take.recv().into_iter().for_each(|work| work());
        let builder = std::thread::Builder::new().name("reload".into());
        match builder.stack_size(128 << 10).spawn(run) {
            Ok(thread) => {
                // It waits for this and does nothing else.
                let _ = give.send(work);
                Self(Some(thread))
            }
            Err(e) => {
                log::warn!("reload: {e}; it waits for the outputs before");
                work();
                Self(None)
            }
        }
    }

    /// Waits until it is done.
    pub fn wait(&mut self) {
        if let Some(thread) = self.0.take() {
            drop(thread.join());
        }
    }
}

/// What must be equal for a source to go on.
fn input_mark(input: &Input) -> String {
    format!("{} {}", input.kind, input.options.mark(INPUT_KEYS))
}

/// What must be equal for an output to go on: its section, what it takes from the configuration
/// around it, and whether its queue is one that waits.
pub fn output_mark(config: &Config, output: &Output, patient: bool) -> String {
    let own = output.options.has("timezone");
    format!(
        "{} {} {patient} {} {}",
        output.kind,
        output.queue,
        if own { "" } else { &config.timezone },
        output.options.mark(&[])
    )
}

impl Kept {
    /// Nothing but the templates that the file of the configuration remembers.
    pub fn from_file(config: &Config) -> Self {
        Self {
            decoders: saver::load(config),
            ..Self::default()
        }
    }

    /// Takes an input of a worker apart.
    pub fn add_input(&mut self, config: &Config, input: Intaker, at: usize) {
        let key = (input.name.clone(), at);
        if let Some(bytes) = input.decoder.save() {
            self.decoders.insert(key.clone(), bytes);
        }
        self.ledgers.insert(key.clone(), input.ledger);
        let planned = config.inputs.get(input.input);
        if let (Some(source), Some(planned)) = (input.source, planned) {
            self.sources.insert(key, (input_mark(planned), source));
        }
    }

    /// Takes worker number `at`, which has stopped, apart.
    pub fn add_worker(&mut self, config: &Config, worker: Worker, at: usize) {
        for input in worker.inputs {
            self.add_input(config, input, at);
        }
        for (_, aggregate, _) in worker.aggregates {
            let name = aggregate.settings().schema.name.clone();
            self.accounts
                .entry(name)
                .or_default()
                .add(&aggregate.account());
        }
    }

    /// Keeps the page of what became of an aggregation's rows on their way to the outputs.
    pub fn add_page(&mut self, aggregate: &str, page: Page) {
        self.pages.insert(aggregate.into(), page);
    }

    /// Keeps an output, with its [`mark`](output_mark), or lends one that a command made itself.
    pub fn add_outlet(&mut self, output: &Output, mark: String, running: Running) {
        self.pressed.push(running.0.clone());
        self.outlets
            .insert(output.name.clone(), (output.clone(), mark, running));
    }

    /// Keeps the thread that hands out what an aggregation held, and the identity that its first
    /// batch had.
    pub fn add_drain(&mut self, aggregate: &str, id: BatchId, drain: Draining) {
        self.run = Some(id.run);
        self.sequence = self.sequence.max(id.sequence.saturating_add(STRIDE));
        self.places.insert(aggregate.into(), id.aggregate);
        self.drains.insert(aggregate.into(), drain);
    }

    /// Identities of the first batches of all aggregations: of the run that goes on, or else of
    /// `run`. Those that were there before keep their place, so that a flush goes on as what it is.
    pub fn ids(&self, config: &Config, run: u64) -> Vec<BatchId> {
        let names = || config.aggregates.iter().map(|a| a.name.as_str());
        let before = |name| self.places.get(name).copied();
        let mut taken: BTreeSet<u32> = names().filter_map(before).collect();
        let mut place = |at: usize, name| {
            let free = || (at as u32..).find(|place| !taken.contains(place));
            let place = before(name).or_else(free).unwrap_or_default();
            taken.insert(place);
            place
        };
        let id = |(at, name)| BatchId {
            run: self.run.unwrap_or(run),
            aggregate: place(at, name),
            sequence: self.sequence,
        };
        names().enumerate().map(id).collect()
    }

    /// The source of input number `at` in `worker`, if it is configured as before; else one that
    /// `open` opens.
    ///
    /// # Errors
    /// As for `open`.
    pub fn source(
        &mut self,
        config: &Config,
        at: usize,
        worker: usize,
        open: &dyn Fn() -> Result<Box<dyn Source>, SourceError>,
    ) -> Result<Box<dyn Source>, SourceError> {
        if let Some(source) = (config.inputs.get(at)).and_then(|input| self.same(input, worker)) {
            return Ok(source);
        }
        match open() {
            // What an input that is gone or changed listens to is free only without it.
            Err(SourceError::Io(e)) if e.kind() == ErrorKind::AddrInUse && self.release(config) => {
                open()
            }
            opened => opened,
        }
    }

    fn same(&mut self, input: &Input, worker: usize) -> Option<Box<dyn Source>> {
        let key = (input.name.clone(), worker);
        let (mark, source) = self.sources.remove(&key)?;
        (mark == input_mark(input)).then_some(source)
    }

    /// The page of an input in `worker`, with those of workers that it does not have any more:
    /// `workers` are the ones it has.
    pub fn ledger(&mut self, input: &str, worker: usize, workers: &[usize]) -> Intake {
        let mut page = self
            .ledgers
            .remove(&(input.into(), worker))
            .unwrap_or_default();
        self.ledgers.retain(|(name, at), gone| {
            let goes = name == input && !workers.contains(at);
            if goes {
                page.add(gone);
            }
            !goes
        });
        page
    }

    /// What decoders of an input have saved that is for `worker`. Where the workers were others,
    /// that is all of it: exporters may come to another one now.
    pub fn templates(&mut self, input: &str, worker: usize, workers: &[usize]) -> Vec<Vec<u8>> {
        let own = (input.to_string(), worker);
        let saved = self.decoders.iter().filter(|((name, _), _)| name == input);
        let (mut before, mut all) = (Vec::new(), Vec::new());
        for ((_, at), bytes) in saved {
            before.push(*at);
            all.push(bytes);
        }
        if before.len() == workers.len() && before.iter().all(|at| workers.contains(at)) {
            return self.decoders.get(&own).cloned().into_iter().collect();
        }
        all.into_iter().cloned().collect()
    }

    /// The running output of this name, if its [`mark`](output_mark) is the same as before.
    pub fn outlet(&mut self, name: &str, mark: &str) -> Option<Running> {
        let (_, before, _) = self.outlets.get(name)?;
        if before != mark {
            return None;
        }
        self.outlets.remove(name).map(|(.., running)| running)
    }

    /// Outputs of before that may write to the same place as one that is new or changed, and
    /// whether they have its spool. The new one waits for their end.
    pub fn before(&self, output: &Output) -> (Vec<Arc<Outlet>>, bool) {
        let path = |output: &Output| {
            let mut given = output.options.given();
            let path = given.find(|(name, _)| *name == "path");
            path.map(|(_, path)| path.clone())
        };
        let folder = |output: &Output| {
            let spool = output.spool.as_ref();
            spool.map(|spool| spool.settings(&output.name).folder)
        };
        let same = self.outlets.values().filter(|(other, ..)| {
            let place = path(other).is_some() && path(other) == path(output);
            other.name == output.name || place || shares(folder(other), folder(output))
        });
        let same: Vec<_> = same.collect();
        let spool = same
            .iter()
            .any(|(other, ..)| shares(folder(other), folder(output)));
        let outlets = same.iter().map(|(.., (outlet, _))| outlet.clone());
        (outlets.collect(), spool)
    }

    /// The page of an aggregation, and the one of its rows on their way.
    pub fn aggregate(&self, name: &str) -> (Account, Option<Page>) {
        // Copies: a start that fails must not take them along.
        (
            self.accounts.get(name).copied().unwrap_or_default(),
            self.pages.get(name).cloned(),
        )
    }

    /// Whether an aggregation of this name still hands out what it held.
    pub fn has_drain(&self, aggregate: &str) -> bool {
        self.drains.contains_key(aggregate)
    }

    /// Notes who goes on with an aggregation.
    pub fn add_next(&mut self, aggregate: &str, next: Next) {
        self.next.insert(aggregate.into(), next);
    }

    /// Forgets who was to go on, after a start that failed.
    pub fn forget_next(&mut self) {
        self.next.clear();
    }

    /// Gives up sources that have no place in `config`; whether there were some.
    fn release(&mut self, config: &Config) -> bool {
        let before = self.sources.len();
        self.sources.retain(|(name, _), (mark, _)| {
            let mut inputs = config.inputs.iter();
            inputs.any(|input| input.name == *name && input_mark(input) == *mark)
        });
        self.sources.len() < before
    }

    /// Ends what nobody took over, at the most `within` from now, beside whoever goes on.
    pub fn end(self, within: Duration) -> Ending {
        let give_up = Some(Instant::now() + within);
        let Self {
            outlets,
            drains,
            mut next,
            pressed,
            ..
        } = self;
        for (.., (outlet, _)) in outlets.values() {
            outlet.hurry(give_up);
        }
        for (name, drain) in &drains {
            drain.tell(next.remove(name).unwrap_or_default());
        }
        let work = move || {
            drains.into_values().for_each(Draining::join);
            pressed.iter().for_each(|outlet| outlet.press(None));
            for (.., (outlet, _)) in outlets.values() {
                outlet.close();
            }
            for (.., (outlet, thread)) in outlets.into_values() {
                outlet::join(&outlet, thread);
            }
        };
        Ending::of(work)
    }
}

/// Whether both have the same folder.
fn shares(one: Option<PathBuf>, other: Option<PathBuf>) -> bool {
    one.is_some() && one == other
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::native;
    use crate::source::{Frame, Loss, Progress};

    fn config(names: &[&str]) -> Config {
        let mut text = "[input.a]\nkind = \"udp\"\nlisten = \"[::]:2055\"\n\
            [output.f]\nkind = \"file\"\npath = \"x\"\n"
            .to_string();
        for name in names {
            text += &format!("[aggregate.{name}]\nby = [\"proto\"]\nto = \"f\"\n");
        }
        let outcome = native::parse(&text);
        assert_eq!(outcome.problems, []);
        outcome.config
    }

    /// A socket, with what the kernel holds for it.
    struct Socket;

    impl Source for Socket {
        fn fd(&self) -> Option<i32> {
            None
        }

        fn read(&mut self, _: &mut dyn FnMut(&Frame<'_>)) -> Result<Progress, SourceError> {
            Ok(Progress::Idle)
        }

        fn loss(&self) -> Loss {
            Loss {
                kernel: 7,
                ..Loss::default()
            }
        }
    }

    #[test]
    fn workers_that_go_leave_their_numbers_and_templates() {
        let mut kept = Kept::default();
        for worker in 0..3 {
            let page = Intake {
                frames: 1 << worker,
                ..Intake::default()
            };
            kept.ledgers.insert(("a".into(), worker), page);
            kept.decoders
                .insert(("a".into(), worker), vec![worker as u8]);
        }
        kept.decoders.insert(("b".into(), 0), vec![9]);
        assert_eq!(kept.templates("a", 1, &[0, 1, 2]), [[1]]);
        let mut all = kept.templates("a", 0, &[0, 1]);
        all.sort();
        assert_eq!(all, [[0], [1], [2]]);
        let pages = [0, 1].map(|worker| kept.ledger("a", worker, &[0, 1]).frames);
        assert_eq!(pages, [1 + 4, 2]);
        assert_eq!(kept.ledger("a", 0, &[0, 1]).frames, 0);
    }

    #[test]
    fn an_address_that_somebody_gives_up_costs_the_others_nothing() {
        let text = |first: &str| {
            let text = format!(
                "[input.{first}]\nkind = \"udp\"\nlisten = \"[::]:2055\"\n\
                 [input.stays]\nkind = \"udp\"\nlisten = \"[::]:6343\"\n\
                 [aggregate.x]\nby = [\"proto\"]\nto = \"f\"\n\
                 [output.f]\nkind = \"file\"\npath = \"x\"\n"
            );
            native::parse(&text).config
        };
        let (before, after) = (text("old"), text("new"));
        let mut kept = Kept::default();
        for input in &before.inputs {
            let source: Box<dyn Source> = Box::new(Socket);
            let key = (input.name.clone(), 0);
            kept.sources.insert(key, (input_mark(input), source));
        }
        // It has the address of the one that is gone.
        let tries = std::cell::Cell::new(0);
        let open = || -> Result<Box<dyn Source>, SourceError> {
            tries.set(tries.get() + 1);
            match tries.get() {
                1 => Err(SourceError::Io(ErrorKind::AddrInUse.into())),
                _ => Ok(Box::new(Socket)),
            }
        };
        assert!(kept.source(&after, 0, 0, &open).is_ok());
        assert_eq!(tries.get(), 2);
        // The other one goes on, and nobody opens it anew.
        assert!(kept.source(&after, 1, 0, &open).is_ok());
        assert_eq!(tries.get(), 2);
    }

    #[test]
    fn an_output_goes_on_where_nothing_that_it_depends_on_has_changed() {
        let text = |zone: &str, own: &str| {
            let text = format!(
                "timezone = \"{zone}\"\n[input.a]\nkind = \"udp\"\nlisten = \"[::]:2055\"\n\
                 [aggregate.x]\nby = [\"proto\"]\nto = \"f\"\n\
                 [output.f]\nkind = \"file\"\npath = \"x\"\n{own}"
            );
            native::parse(&text).config
        };
        let own = "timezone = \"UTC\"\n";
        let mark = |config: &Config, patient| output_mark(config, &config.outputs[0], patient);
        let goes_on = |before: &Config, after: &Config, patient| {
            let outlet = Outlet::new("f", 1, false);
            let thread = std::thread::spawn(|| ());
            let mut kept = Kept::default();
            kept.add_outlet(&before.outputs[0], mark(before, false), (outlet, thread));
            kept.outlet("f", &mark(after, patient)).is_some()
        };
        let utc = text("UTC", "");
        assert!(goes_on(&utc, &text("UTC", ""), false));
        // Names of files and printed times follow the zone.
        assert!(!goes_on(&utc, &text("+05:00", ""), false));
        assert!(goes_on(&text("UTC", own), &text("+05:00", own), false));
        // With savefiles nothing is ever dropped, live input is never held up.
        assert!(!goes_on(&utc, &utc, true));
    }

    #[test]
    fn no_identity_comes_twice_over_reloads() {
        let mut kept = Kept::default();
        let id = |run, aggregate, sequence| BatchId {
            run,
            aggregate,
            sequence,
        };
        let first = kept.ids(&config(&["a", "b"]), 7);
        assert_eq!(first, [id(7, 0, 0), id(7, 1, 0)]);
        (kept.run, kept.sequence) = (Some(7), STRIDE);
        kept.places = [("a".to_string(), 0), ("b".to_string(), 1)].into();
        // In another order, with one more: a new run is drawn with each start, and not used.
        let second = kept.ids(&config(&["b", "c", "a"]), 8);
        assert_eq!(
            second,
            [id(7, 1, STRIDE), id(7, 2, STRIDE), id(7, 0, STRIDE)]
        );
    }
}
