//! What goes on over a reload: sockets with what the kernel holds for them, templates, pages of
//! the ledger, outputs with their queues. So a reload loses no record.

use super::outlet::Outlet;
use super::saver;
use super::tray::Begun;
use super::worker::{Intaker, Worker};
use crate::base::ledger::{Account, Intake, Sifted};
use crate::config::rules::INPUT_KEYS;
use crate::config::{Config, Input, Output};
use crate::sink::BatchId;
use crate::source::Source;
use std::collections::{BTreeMap, BTreeSet, HashMap};
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
    outlets: HashMap<String, (String, Running)>,
    accounts: HashMap<String, Account>,
    /// The run that goes on; none at the first start.
    pub run: Option<u64>,
    /// Sequence of all batches that follow: behind every one before, so that the identity of none
    /// comes twice, whichever aggregation it is of now.
    sequence: u64,
    /// Places in identities, and what was delivered in part, by aggregation.
    places: BTreeMap<String, u32>,
    begun: HashMap<String, Begun>,
}

/// What must be equal for a source to go on.
fn input_mark(input: &Input) -> String {
    format!("{} {}", input.kind, input.options.mark(INPUT_KEYS))
}

fn output_mark(output: &Output) -> String {
    format!(
        "{} {} {}",
        output.kind,
        output.queue,
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

    /// Keeps what became of an aggregation's rows on their way to the outputs.
    pub fn add_sifted(&mut self, aggregate: &str, page: Sifted) {
        let account = self.accounts.entry(aggregate.into()).or_default();
        account.sifted = Some(page);
    }

    /// Keeps an output, or lends one that a command made itself.
    pub fn add_outlet(&mut self, output: &Output, running: Running) {
        self.outlets
            .insert(output.name.clone(), (output_mark(output), running));
    }

    /// Keeps the identity under which an aggregation has delivered batches, and what it has
    /// delivered in part; when its thread died, nobody knows that, so its last batch may be any.
    pub fn add_begun(&mut self, aggregate: &str, id: BatchId, begun: Option<Begun>) {
        let begun = begun.unwrap_or_else(|| Begun {
            sequence: id.sequence.saturating_add(1 << 40),
            ..Begun::default()
        });
        self.run = Some(id.run);
        self.sequence = self.sequence.max(begun.sequence);
        self.places.insert(aggregate.into(), id.aggregate);
        self.begun.insert(aggregate.into(), begun);
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

    /// The source of `input` in `worker`, if it is configured as before.
    pub fn source(&mut self, input: &Input, worker: usize) -> Option<Box<dyn Source>> {
        let key = (input.name.clone(), worker);
        let (mark, source) = self.sources.remove(&key)?;
        (mark == input_mark(input)).then_some(source)
    }

    /// The page of an input.
    pub fn ledger(&mut self, input: &Input, worker: usize) -> Intake {
        self.ledgers
            .remove(&(input.name.clone(), worker))
            .unwrap_or_default()
    }

    /// What a decoder saved.
    pub fn decoder(&mut self, input: &str, worker: usize) -> Option<Vec<u8>> {
        self.decoders.remove(&(input.to_string(), worker))
    }

    /// The running output, if it is configured as before.
    pub fn outlet(&mut self, output: &Output) -> Option<Running> {
        let (mark, _) = self.outlets.get(&output.name)?;
        if *mark != output_mark(output) {
            return None;
        }
        self.outlets
            .remove(&output.name)
            .map(|(_, running)| running)
    }

    /// The page of an aggregation and what it has delivered in part.
    pub fn aggregate(&mut self, name: &str) -> (Account, Begun) {
        (
            self.accounts.remove(name).unwrap_or_default(),
            self.begun.remove(name).unwrap_or_default(),
        )
    }

    /// Forgets sources whose settings changed, so that their addresses are free again, and ends
    /// outputs whose settings changed, so that their files are nobody else's.
    pub fn release(&mut self, config: &Config) {
        let stays = |name: &String, mark: &String| {
            let mut outputs = config.outputs.iter();
            outputs.any(|output| output.name == *name && output_mark(output) == *mark)
        };
        let changed = self
            .outlets
            .extract_if(|name, (mark, _)| !stays(name, mark));
        let changed = changed.map(|(_, (_, running))| running).collect();
        end(changed, config.stop_within);
        self.sources.retain(|(name, _), (mark, _)| {
            config
                .inputs
                .iter()
                .any(|input| input.name == *name && input_mark(input) == *mark)
        });
    }

    /// Ends outputs that nobody took over, at the most `within` from now.
    pub fn end(&mut self, within: Duration) {
        let left: Vec<Running> = self.outlets.drain().map(|(_, (_, r))| r).collect();
        end(left, within);
    }
}

fn end(running: Vec<Running>, within: Duration) {
    let give_up = Some(Instant::now() + within);
    for (outlet, _) in &running {
        outlet.hurry(give_up);
        outlet.close();
    }
    for (outlet, thread) in running {
        super::outlet::join(&outlet, thread, give_up);
    }
}
