//! [`Plan`]: what a configuration means: who wants which fields, which filters run where, and who
//! gets how much of the memory.
//!
//! The plan starts from the outputs and walks back, so nobody pays for a field that nobody
//! wants. It opens nothing: `weir check` makes it too, and prints it.

use super::backlog;
use crate::agg::Settings;
use crate::base::bins::Bins;
use crate::base::intern::Interner;
use crate::base::options::Problem;
use crate::base::text::show_size;
use crate::base::zone::Zone;
use crate::config::{Aggregate, Config, Decode, setting};
use crate::decode::{self, Setup};
use crate::enrich::Enrichment;
use crate::record::schema::{Options, Schema};
use crate::record::{Batch, Field, FieldSet, FlowRecord};
use crate::rule::filter::Filter;
use crate::sink;
use crate::source::{self, Link, Opener};
use std::sync::Arc;

/// Bytes of stacks and other things beside the parts below, for each worker.
const WORKER_BYTES: usize = 64 << 10;

/// Aggregations that may have a filter: one bit each in a record.
const FILTERS_MAX: usize = 32;

/// Least memory of an aggregation in one worker that makes sense.
const TABLE_MIN: usize = 16 << 10;

/// One part of the memory budget.
#[derive(Clone, Debug)]
pub struct Part {
    /// What it is for.
    pub name: String,
    /// Bytes.
    pub bytes: usize,
    /// What they hold, in words.
    pub holds: String,
}

/// One input, planned.
pub struct InputPlan {
    /// What opens its sources.
    pub opener: Arc<dyn Opener>,
    /// Which decoder.
    pub decode: Decode,
    /// What the decoder is built from.
    pub setup: Setup,
    /// Places of the aggregations it feeds.
    pub feeds: Vec<usize>,
    /// Filters that judge its frames.
    pub frame_filters: Vec<(u32, Arc<Filter>)>,
    /// Filters that judge its records.
    pub record_filters: Vec<(u32, Arc<Filter>)>,
    /// Bits of which a frame must pass one; zero when some aggregation takes all.
    pub must_pass: u32,
    /// Threads that share it.
    pub workers: usize,
}

impl InputPlan {
    /// Whether its frames are packets to be accounted, not carriers of export datagrams.
    pub fn judges_frames(&self) -> bool {
        self.decode == Decode::Packet || (self.decode == Decode::Auto && !self.opener.datagrams())
    }
}

/// One aggregation, planned.
pub struct AggregatePlan {
    /// How it works; memory is that of one worker.
    pub settings: Settings,
    /// Its time bins.
    pub bins: Option<Bins>,
    /// Places of its outputs.
    pub outputs: Vec<usize>,
    /// Workers that feed it.
    pub workers: Vec<usize>,
}

/// What a configuration means.
pub struct Plan {
    /// Inputs, in the order of the configuration.
    pub inputs: Vec<InputPlan>,
    /// Aggregations, likewise.
    pub aggregates: Vec<AggregatePlan>,
    /// Inputs of each worker.
    pub workers: Vec<Vec<usize>>,
    /// The memory budget, part by part.
    pub parts: Vec<Part>,
    /// The store of texts.
    pub symbols: Arc<Interner>,
    /// The time zone.
    pub zone: Zone,
}

impl Plan {
    /// Plans `config`.
    ///
    /// # Errors
    /// All that is wrong with it beyond its grammar.
    pub fn new(config: &Config) -> Result<Self, Vec<Problem>> {
        // What kinds and their own settings have to say is the registries' business.
        let mut problems = setting::check(config);
        let zone = Zone::named(&config.timezone).unwrap_or_else(|why| {
            problems.push(Problem {
                place: Default::default(),
                message: why,
            });
            Zone::UTC
        });
        let symbols = Arc::new(Interner::new(config.limits.symbols as usize));
        let workers = workers(config);
        let mut aggregates = Vec::new();
        let mut filters = Vec::new();
        for (at, aggregate) in config.aggregates.iter().enumerate() {
            let used = filters.iter().filter(|f: &&Option<_>| f.is_some()).count();
            filters.push(filter(aggregate, used, &mut problems));
            let plan = plan_aggregate(config, at, &symbols, &zone, &workers);
            aggregates.push(plan);
        }
        let mut sinks = Vec::new();
        for output in &config.outputs {
            let mut options = output.options.clone();
            let opener = sink::parse(&output.kind, &mut options);
            sinks.push(opener.map_or(0, |opener| opener.memory()));
        }
        let mut inputs = Vec::new();
        for at in 0..config.inputs.len() {
            inputs.extend(plan_input(config, at, &aggregates, &filters));
        }
        mixed(config, &inputs, &mut problems);
        if inputs.len() == config.inputs.len() {
            ungiven(config, &inputs, &mut problems);
        }
        if !problems.is_empty() {
            return Err(problems);
        }
        for (at, plan) in aggregates.iter_mut().enumerate() {
            plan.settings.filter = filters.get(at).and_then(Option::as_ref).map(|f| f.0);
        }
        let mut plan = Self {
            inputs,
            aggregates,
            workers,
            parts: Vec::new(),
            symbols,
            zone,
        };
        plan.share_memory(config, &sinks)
            .map_err(|problem| vec![problem])?;
        Ok(plan)
    }

    /// All fields that anybody wants of any input.
    pub fn wanted(&self) -> FieldSet {
        self.inputs
            .iter()
            .fold(FieldSet::EMPTY, |all, input| all.union(input.setup.wanted))
    }

    /// Divides the memory: fixed parts first, then tables that ask for a size, the rest in equal
    /// shares. Counted in 64 bits, so that no size of the configuration can wrap.
    fn share_memory(&mut self, config: &Config, sinks: &[usize]) -> Result<(), Problem> {
        let mut parts = self.fixed_parts(config, sinks);
        let sum = |sizes: &mut dyn Iterator<Item = u64>| sizes.fold(0, u64::saturating_add);
        let fixed = sum(&mut parts.iter().map(|p| p.bytes as u64));
        let asked = sum(&mut config.aggregates.iter().filter_map(|a| a.memory));
        let taken = fixed.saturating_add(asked);
        let open = config.aggregates.iter().filter(|a| a.memory.is_none());
        let open = open.count() as u64;
        let left = config.memory.saturating_sub(taken);
        for (aggregate, plan) in config.aggregates.iter().zip(&mut self.aggregates) {
            let share = aggregate.memory.unwrap_or(left / open.max(1));
            let workers = plan.workers.len().max(1) as u64;
            let least = open
                .saturating_mul(workers)
                .saturating_mul(TABLE_MIN as u64);
            if share / workers < TABLE_MIN as u64 || taken > config.memory {
                return Err(Problem {
                    place: aggregate.place,
                    message: format!(
                        "memory = {} is too small: buffers, stores and queues take {}, the tables \
                         at least {}; make it {} or more, or lower `limits` and the outputs' \
                         `queue`",
                        show_size(config.memory),
                        show_size(fixed),
                        show_size(asked.saturating_add(least)),
                        show_size(taken.saturating_add(least))
                    ),
                });
            }
            let share = usize::try_from(share).unwrap_or(usize::MAX);
            plan.settings.memory = share / workers as usize;
            let rows = crate::agg::Aggregator::table(&plan.settings).capacity();
            let row = plan.settings.schema.row_words() * 8;
            let holds = format!("{workers} × 2 tables of {rows} rows of {row} bytes");
            parts.push(Part::new(
                format!("aggregate.{}", aggregate.name),
                share,
                &holds,
            ));
        }
        self.parts = parts;
        Ok(())
    }

    /// The parts that have their size before any table gets one.
    fn fixed_parts(&self, config: &Config, sinks: &[usize]) -> Vec<Part> {
        let batch = Batch::SIZE * size_of::<FlowRecord>();
        let count = self.workers.len();
        let each = format!("{count} × batch, stacks");
        let symbols = usize::try_from(config.limits.symbols).unwrap_or(usize::MAX);
        let mut parts = vec![
            Part::new("workers".into(), count * (batch + WORKER_BYTES), &each),
            Part::new("symbols".into(), symbols, "names, label stacks, paths"),
        ];
        for (input, plan) in config.inputs.iter().zip(&self.inputs) {
            let times = |bytes: usize| bytes.saturating_mul(plan.workers);
            let name = format!("input.{} source", input.name);
            parts.push(Part::new(
                name,
                times(plan.opener.memory()),
                "receive buffers",
            ));
            let decoder = decode::memory(plan.decode, plan.opener.datagrams(), &plan.setup);
            let name = format!("input.{} decoder", input.name);
            let holds = "templates, options, exporters, fragments";
            parts.push(Part::new(name, times(decoder), holds));
        }
        for (output, own) in config.outputs.iter().zip(sinks) {
            let queue = usize::try_from(output.queue).unwrap_or(usize::MAX);
            let name = format!("output.{}", output.name);
            let bytes = queue.saturating_add(*own);
            parts.push(Part::new(name, bytes, "rows that wait, buffers"));
            if let Some(spool) = &output.spool {
                let bytes = backlog::MEMORY.saturating_add(symbols);
                let name = format!("output.{} spool", output.name);
                let disk = show_size(spool.size);
                let holds = format!("a frame each way, texts; {disk} of disk");
                parts.push(Part::new(name, bytes, &holds));
            }
        }
        parts
    }
}

impl Part {
    fn new(name: String, bytes: usize, holds: &str) -> Self {
        let holds = holds.into();
        Self { name, bytes, holds }
    }
}

/// The inputs of each worker: the first one has all of them, each further one a share of an input
/// that asks for several.
fn workers(config: &Config) -> Vec<Vec<usize>> {
    let mut workers = vec![(0..config.inputs.len()).collect::<Vec<_>>()];
    for (at, input) in config.inputs.iter().enumerate() {
        for _ in 1..input.workers {
            workers.push(vec![at]);
        }
    }
    workers
}

/// The filter of an aggregation with its bit.
fn filter(
    aggregate: &Aggregate,
    used: usize,
    problems: &mut Vec<Problem>,
) -> Option<(u32, Arc<Filter>)> {
    if aggregate.filter.trim().is_empty() {
        return None;
    }
    match Filter::everywhere(&aggregate.filter) {
        Ok(filter) if filter.is_all() => None,
        Ok(_) if used >= FILTERS_MAX => {
            let message = format!(
                "aggregate.{}: at the most {FILTERS_MAX} aggregations may have a filter",
                aggregate.name
            );
            problems.push(Problem {
                place: aggregate.place,
                message,
            });
            None
        }
        Ok(filter) => Some((1 << used, Arc::new(filter))),
        Err(why) => {
            let message = format!("aggregate.{}: {why}", aggregate.name);
            problems.push(Problem {
                place: aggregate.place,
                message,
            });
            None
        }
    }
}

fn feeds(config: &Config, input: usize) -> Vec<usize> {
    let name = config
        .inputs
        .get(input)
        .map(|i| i.name.as_str())
        .unwrap_or_default();
    let takes = |a: &Aggregate| a.from.is_empty() || a.from.iter().any(|from| from == name);
    let all = config.aggregates.iter().enumerate();
    all.filter(|(_, a)| takes(a)).map(|(at, _)| at).collect()
}

fn plan_aggregate(
    config: &Config,
    at: usize,
    symbols: &Arc<Interner>,
    zone: &Zone,
    workers: &[Vec<usize>],
) -> AggregatePlan {
    let aggregate = &config.aggregates[at];
    let options = Options {
        flows: aggregate.flows,
        both_ends: aggregate.both_ends,
        binned: aggregate.every.is_some(),
    };
    let schema = Schema::new(&aggregate.name, &aggregate.by, options, symbols.clone());
    let outputs = config.outputs.iter().enumerate();
    let outputs = outputs
        .filter(|(_, o)| aggregate.to.contains(&o.name))
        .map(|(at, _)| at);
    let fed = |inputs: &Vec<usize>| {
        inputs
            .iter()
            .any(|input| feeds(config, *input).contains(&at))
    };
    let settings = Settings {
        schema: Arc::new(schema),
        memory: 0,
        full: aggregate.full,
        time: aggregate.time,
        renormalise: aggregate.renormalise,
        filter: None,
        seed: 0,
    };
    AggregatePlan {
        settings,
        bins: aggregate.every.map(|every| Bins::new(every, zone.clone())),
        outputs: outputs.collect(),
        workers: workers
            .iter()
            .enumerate()
            .filter(|(_, w)| fed(w))
            .map(|(at, _)| at)
            .collect(),
    }
}

fn plan_input(
    config: &Config,
    at: usize,
    aggregates: &[AggregatePlan],
    filters: &[Option<(u32, Arc<Filter>)>],
) -> Option<InputPlan> {
    let input = &config.inputs[at];
    let mut options = input.options.clone();
    let opener = source::parse(&input.kind, &mut options, input.workers.max(1) as usize);
    let opener = opener?;
    let feeds = feeds(config, at);
    let datagrams = opener.datagrams();
    let judges = input.decode == Decode::Packet || (input.decode == Decode::Auto && !datagrams);
    let (mut frame_filters, mut record_filters, mut must_pass) = (Vec::new(), Vec::new(), 0);
    let mut wanted = FieldSet::EMPTY;
    let mut all = false;
    for feed in &feeds {
        let settings = &aggregates[*feed].settings;
        wanted = wanted
            .union(settings.schema.key.needs())
            .union(settings.schema.counter.needs());
        wanted = wanted.union(match settings.time {
            crate::agg::window::RecordTime::Arrival => FieldSet::EMPTY,
            crate::agg::window::RecordTime::Start => FieldSet::of(&[Field::TimestampStart]),
            crate::agg::window::RecordTime::End => FieldSet::of(&[Field::TimestampEnd]),
        });
        if settings.renormalise {
            wanted.insert(Field::SamplingRate);
        }
        match filters.get(*feed).and_then(Option::as_ref) {
            Some((bit, filter)) if judges => {
                must_pass |= bit;
                frame_filters.push((*bit, filter.clone()));
            }
            Some((bit, filter)) => {
                wanted = wanted.union(filter.needs());
                record_filters.push((*bit, filter.clone()));
            }
            None => all = true,
        }
    }
    let (_, wanted) = Enrichment::plan(wanted);
    Some(InputPlan {
        opener,
        decode: input.decode,
        setup: Setup {
            wanted,
            templates_max: config.limits.templates as usize,
            exporters_max: config.limits.exporters as usize,
            options_max: config.limits.options as usize,
            fragments_max: config.limits.fragments as usize,
            ..Setup::new(wanted)
        },
        feeds,
        frame_filters,
        record_filters,
        must_pass: if all { 0 } else { must_pass },
        workers: input.workers.max(1) as usize,
    })
}

/// Files beside live inputs: their frames' times and the clock would fight over the bins.
fn mixed(config: &Config, inputs: &[InputPlan], problems: &mut Vec<Problem>) {
    let live = inputs.iter().filter(|input| input.opener.live()).count();
    if live == 0 || live == inputs.len() {
        return;
    }
    for input in config.inputs.iter().filter(|input| input.kind == "file") {
        let message = format!(
            "input.{}: files and live inputs need a `weir run` each: time comes with the frames \
             there, from the clock here",
            input.name
        );
        problems.push(Problem {
            place: input.place,
            message,
        });
    }
}

/// Keys that none of an aggregation's inputs can supply.
fn ungiven(config: &Config, inputs: &[InputPlan], problems: &mut Vec<Problem>) {
    for input in inputs {
        for (_, filter) in &input.record_filters {
            if !filter.knows(Link::Datagram) {
                let expression = filter.expression();
                problems.push(Problem {
                    place: Default::default(),
                    message: format!("filter `{expression}`: has no meaning on flow records"),
                });
            }
        }
    }
    for (at, aggregate) in config.aggregates.iter().enumerate() {
        let fed = inputs.iter().filter(|input| input.feeds.contains(&at));
        let given = fed.fold(engine(), |all, input| {
            all.union(decode::gives(input.decode, input.opener.datagrams()))
        });
        let mut fed = inputs.iter().filter(|input| input.feeds.contains(&at));
        if aggregate.flows && fed.all(InputPlan::judges_frames) {
            let message = format!(
                "aggregate.{}: its inputs are packets, which count no `flows`",
                aggregate.name
            );
            problems.push(Problem {
                place: aggregate.place,
                message,
            });
        }
        for field in aggregate.by.iter().filter(|field| !given.has(**field)) {
            let name = field.info().name;
            let message = format!(
                "aggregate.{}: none of its inputs gives `{name}`; `weir fields {name}` tells what does",
                aggregate.name
            );
            problems.push(Problem {
                place: aggregate.place,
                message,
            });
        }
    }
}

/// Fields that the engine sets itself.
fn engine() -> FieldSet {
    FieldSet::of(&[Field::Bin, Field::SrcNet, Field::DstNet])
}
