//! [`Plan`]: what a configuration means: who wants which fields, which filters run where, and who
//! gets how much of the memory.
//!
//! The plan starts from the outputs and walks back, so nobody pays for a field that nobody
//! wants. It reads the files that rules are in and opens nothing else: `weir check` makes it too,
//! and prints it.

use super::backlog;
use super::maps::{Loader, Warning};
use super::rules::{Rules, Seat};
use super::suits;
use super::tray;
use crate::agg::window::RecordTime;
use crate::agg::{Settings, sieve};
use crate::base::bins::Bins;
use crate::base::intern::{Interner, SymCache};
use crate::base::options::Problem;
use crate::base::text::show_size;
use crate::base::zone::Zone;
use crate::config::{Aggregate, Config, Decode, Input, setting};
use crate::decode::{self, Setup};
use crate::record::schema::{Options, Schema};
use crate::record::{Batch, Customs, Field, FieldSet, FlowRecord};
use crate::rule::filter::Filter;
use crate::sink;
use crate::source::{self, Opener};
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
    /// All fields that are looked at or set on the way of its records.
    pub touched: FieldSet,
    /// Filters that judge its frames.
    pub frame_filters: Vec<(u32, Arc<Filter>)>,
    /// Filters that judge its records.
    pub record_filters: Vec<(u32, Arc<Filter>)>,
    /// What all its frames must pass, with a bit that means nothing; empty for nothing.
    pub gate: Vec<(u32, Arc<Filter>)>,
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
    /// When its rows are handed out, where that is not with each bin.
    pub pace: Option<Bins>,
    /// Places of its outputs.
    pub outputs: Vec<usize>,
    /// What becomes of rows on their way there, and places of the outputs for those that do not
    /// pass.
    pub sieve: Option<(sieve::Rules, Vec<usize>)>,
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
    /// What is done to records before they are counted.
    pub rules: Arc<Rules>,
    /// What is wrong with rows of files, and files that could not be read again.
    pub warnings: Vec<Warning>,
}

/// What is in force while a plan is made anew.
#[derive(Clone, Copy)]
pub struct Held<'a> {
    /// Rules; where a file can not be read, what it held stays.
    pub rules: &'a Rules,
    /// The store of texts, when it is to be kept.
    pub symbols: Option<&'a Arc<Interner>>,
}

/// The filters of an aggregation: its bit, and what it is set by beside lists of tags.
struct Bit {
    bit: u32,
    filters: Vec<Arc<Filter>>,
}

impl Plan {
    /// Plans `config`.
    ///
    /// # Errors
    /// All that is wrong with it beyond its grammar.
    pub fn new(config: &Config) -> Result<Self, Vec<Problem>> {
        Self::again(config, None)
    }

    /// Plans `config` while `held` is in force.
    ///
    /// # Errors
    /// All that is wrong with it beyond its grammar.
    pub fn again(config: &Config, held: Option<Held<'_>>) -> Result<Self, Vec<Problem>> {
        // What kinds and their own settings have to say is the registries' business.
        let mut problems = setting::check(config);
        let zone = Zone::named(&config.timezone).unwrap_or_else(|why| {
            problems.push(Problem {
                place: Default::default(),
                message: why,
            });
            Zone::UTC
        });
        let kept = held.and_then(|held| held.symbols).cloned();
        let symbols =
            kept.unwrap_or_else(|| Arc::new(Interner::new(config.limits.symbols as usize)));
        let workers = workers(config);
        let (mut aggregates, mut bits) = (Vec::new(), Vec::new());
        for (at, aggregate) in config.aggregates.iter().enumerate() {
            let used = bits.iter().filter(|b: &&Option<_>| b.is_some()).count();
            bits.push(bit(aggregate, used, &mut problems));
            let plan = plan_aggregate(config, at, &symbols, &zone, &workers);
            aggregates.push(plan);
        }
        let mut sinks = Vec::new();
        for (at, output) in config.outputs.iter().enumerate() {
            let mut options = output.options.clone();
            let opener = sink::parse(&output.kind, &mut options);
            if let Some(name) = opener.as_ref().and_then(|opener| opener.columns()) {
                suits::columns(config, &aggregates, (at, name), &mut problems);
            }
            sinks.push(opener.map_or(0, |opener| opener.memory()));
        }
        let openers = openers(config);
        let held = held.map_or(&[][..], |held| &held.rules.maps);
        let mut loader = Loader::new(held, symbols.clone(), config.memory);
        loader.lenient = config.empty_maps;
        let rules = load(config, &openers, &aggregates, &bits, &mut loader);
        problems.append(&mut loader.problems);
        let mut inputs = Vec::new();
        for (at, opener) in openers.into_iter().enumerate() {
            let gate = gate(&config.inputs[at], &mut problems);
            let planned = opener.map(|opener| plan_input(config, at, opener, &bits, &rules));
            inputs.extend(planned.map(|planned| InputPlan { gate, ..planned }));
        }
        suits::mixed(config, &inputs, &mut problems);
        if inputs.len() == config.inputs.len() {
            suits::meaningless(&inputs, &mut problems);
            suits::ungiven(config, &inputs, &rules, &mut problems);
        }
        suits::homeless(config, &loader, &mut problems);
        if !problems.is_empty() {
            return Err(problems);
        }
        for (at, plan) in aggregates.iter_mut().enumerate() {
            plan.settings.filter = bits.get(at).and_then(Option::as_ref).map(|bit| bit.bit);
        }
        let mut plan = Self {
            inputs,
            aggregates,
            workers,
            parts: Vec::new(),
            symbols,
            zone,
            rules: Arc::new(rules),
            warnings: loader.warnings,
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
        can_be_had(config)?;
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
        let each = format!("{count} × batch, recent texts, stacks");
        let symbols = usize::try_from(config.limits.symbols).unwrap_or(usize::MAX);
        let mut parts = vec![
            Part::new(
                "workers".into(),
                count * (batch + WORKER_BYTES + SymCache::BYTES),
                &each,
            ),
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
        for (aggregate, plan) in config.aggregates.iter().zip(&self.aggregates) {
            let rejects = plan.sieve.as_ref().is_some_and(|(_, to)| !to.is_empty());
            let lanes = usize::from(!plan.outputs.is_empty()) + usize::from(rejects);
            let bytes = tray::memory(&plan.settings, plan.workers.len(), lanes);
            let name = format!("aggregate.{} rows", aggregate.name);
            parts.push(Part::new(name, bytes, "rows between tables and outputs"));
            let bytes = plan.sieve.as_ref().map_or(0, |(rules, _)| rules.memory());
            if bytes > 0 {
                let name = format!("aggregate.{} sample", aggregate.name);
                parts.push(Part::new(name, bytes, "priorities of rows"));
            }
        }
        for map in self.rules.maps.iter().filter(|map| !map.shared) {
            let holds = format!("{} rows, twice while it is read again", map.content.len());
            parts.push(Part::new(map.name.clone(), map.planned(), &holds));
        }
        let seats = (0..count).map(|worker| Seat {
            worker,
            workers: count,
        });
        let rules: usize = seats.map(|seat| self.rules.bytes(seat)).sum();
        if rules > 0 {
            let holds = "values kept aside, verdicts, joined labels";
            parts.push(Part::new("rules".into(), rules, holds));
        }
        for (output, own) in config.outputs.iter().zip(sinks) {
            let queue = usize::try_from(output.queue).unwrap_or(usize::MAX);
            let name = format!("output.{}", output.name);
            let bytes = queue.saturating_add(*own);
            parts.push(Part::new(name, bytes, "rows that wait, buffers"));
            if let Some(spool) = &output.spool {
                let log = spool.settings(&output.name).memory();
                let bytes = backlog::MEMORY.saturating_add(symbols).saturating_add(log);
                let name = format!("output.{} spool", output.name);
                let disk = show_size(spool.size);
                let holds = format!("frames, texts, acknowledgements; {disk} of disk");
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

/// Whether the system has so much at all, which is asked without taking any of it: better a
/// sentence here than the end of the process where a table is made.
fn can_be_had(config: &Config) -> Result<(), Problem> {
    let size = usize::try_from(config.memory).unwrap_or(usize::MAX);
    let refused = Vec::<u8>::new().try_reserve_exact(size).is_err();
    let first = config.aggregates.first().filter(|_| refused);
    first.map_or(Ok(()), |aggregate| {
        Err(Problem {
            place: aggregate.place,
            message: format!(
                "memory = {} is more than the system can give",
                show_size(config.memory)
            ),
        })
    })
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

/// The filters of an aggregation with its bit, if it has any, or lists of tags.
fn bit(aggregate: &Aggregate, used: usize, problems: &mut Vec<Problem>) -> Option<Bit> {
    let mut wrong = |message: String| {
        problems.push(Problem {
            place: aggregate.filter_at,
            message: format!("aggregate.{}: {message}", aggregate.name),
        });
    };
    let mut filters = Vec::new();
    for text in &aggregate.filter {
        match Filter::everywhere(text) {
            Ok(filter) => filters.push(Arc::new(filter)),
            Err(why) => wrong(why.to_string()),
        }
    }
    // Any of them may pass, so one that passes everything makes the others idle.
    if filters.iter().any(|filter| filter.is_all()) {
        filters.clear();
    }
    if filters.is_empty() && aggregate.rules.lists.is_empty() {
        return None;
    }
    if used >= FILTERS_MAX {
        wrong(format!(
            "at the most {FILTERS_MAX} aggregations may have filters"
        ));
        return None;
    }
    let bit = 1 << used;
    Some(Bit { bit, filters })
}

/// What opens the sources of each input; none where its settings are wrong.
fn openers(config: &Config) -> Vec<Option<Arc<dyn Opener>>> {
    let open = |input: &Input| {
        let mut options = input.options.clone();
        source::parse(&input.kind, &mut options, input.workers.max(1) as usize)
    };
    config.inputs.iter().map(open).collect()
}

/// The rules of all inputs and aggregations.
fn load(
    config: &Config,
    openers: &[Option<Arc<dyn Opener>>],
    aggregates: &[AggregatePlan],
    bits: &[Option<Bit>],
    loader: &mut Loader<'_>,
) -> Rules {
    let inputs = config.inputs.iter().zip(openers).enumerate();
    let given = inputs.map(|(at, (input, opener))| {
        let datagrams = opener.as_ref().is_some_and(|opener| opener.datagrams());
        (decode::gives(input.decode, datagrams), feeds(config, at))
    });
    let wanted: Vec<FieldSet> = aggregates.iter().map(|a| counted(&a.settings)).collect();
    let alone = |bit: &Bit| (bit.bit, bit.filters.is_empty());
    let bits: Vec<_> = bits.iter().map(|bit| bit.as_ref().map(alone)).collect();
    Rules::load(config, given.collect(), &wanted, &bits, loader)
}

/// Fields that an aggregation looks at while it counts.
fn counted(settings: &Settings) -> FieldSet {
    let schema = &settings.schema;
    let mut wanted = schema.key.needs().union(schema.counter.needs());
    wanted = wanted.union(match settings.time {
        RecordTime::Arrival => FieldSet::EMPTY,
        RecordTime::Start => FieldSet::of(&[Field::TimestampStart]),
        RecordTime::End => FieldSet::of(&[Field::TimestampEnd]),
    });
    if settings.prorate {
        wanted.insert(Field::TimestampStart);
        wanted.insert(Field::TimestampEnd);
    }
    if settings.renormalise {
        wanted.insert(Field::SamplingRate);
    }
    wanted
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
        hidden_flows: aggregate
            .preprocess
            .as_ref()
            .is_some_and(sieve::Rules::wants_flows),
        both_ends: aggregate.both_ends,
        binned: aggregate.every.is_some(),
        kinds: aggregate.kinds,
    };
    let mut by = aggregate.by.clone();
    if aggregate.stitch {
        by.extend([Field::TimestampMin, Field::TimestampMax]);
    }
    let customs = Arc::new(config.primitives.customs());
    let schema = Schema::with_customs(&aggregate.name, &by, options, symbols.clone(), customs);
    let places = |names: &[String]| -> Vec<usize> {
        let outputs = config.outputs.iter().enumerate();
        let meant = outputs.filter(|(_, o)| names.contains(&o.name));
        meant.map(|(at, _)| at).collect()
    };
    let rules = aggregate.preprocess.clone();
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
        prorate: aggregate.prorate,
        renormalise: aggregate.renormalise,
        filter: None,
        seed: 0,
    };
    AggregatePlan {
        settings,
        bins: aggregate.bins(zone),
        pace: aggregate.pace(zone),
        outputs: places(&aggregate.to),
        sieve: rules.map(|rules| (rules, places(&aggregate.rejects))),
        workers: workers
            .iter()
            .enumerate()
            .filter(|(_, w)| fed(w))
            .map(|(at, _)| at)
            .collect(),
    }
}

/// The bit of an aggregation that has filters.
fn own(bits: &[Option<Bit>], at: usize) -> Option<&Bit> {
    let bit = bits.get(at).and_then(Option::as_ref);
    bit.filter(|bit| !bit.filters.is_empty())
}

/// The filters of these aggregations, each with its bit.
fn filters(feeds: &[usize], bits: &[Option<Bit>]) -> Vec<(u32, Arc<Filter>)> {
    let bits = feeds.iter().filter_map(|feed| own(bits, *feed));
    let each = bits.flat_map(|own| own.filters.iter().map(|filter| (own.bit, filter.clone())));
    each.collect()
}

fn plan_input(
    config: &Config,
    at: usize,
    opener: Arc<dyn Opener>,
    bits: &[Option<Bit>],
    rules: &Rules,
) -> InputPlan {
    let input = &config.inputs[at];
    let feeds = feeds(config, at);
    let datagrams = opener.datagrams();
    let judges = input.decode == Decode::Packet || (input.decode == Decode::Auto && !datagrams);
    let seat = Seat {
        worker: 0,
        workers: 1,
    };
    let (_, reach) = rules.input(at, seat);
    let (mut wanted, mut touched) = (reach.before, reach.touched);
    let filters = filters(&feeds, bits);
    let (mut frame_filters, mut record_filters, mut must_pass) = (Vec::new(), Vec::new(), 0);
    match judges {
        true => {
            // Where somebody takes all frames, none of them need pass anything.
            if feeds.iter().all(|feed| own(bits, *feed).is_some()) {
                must_pass = filters.iter().fold(0, |bits, (bit, _)| bits | bit);
            }
            frame_filters = filters;
        }
        false => {
            wanted = (filters.iter()).fold(wanted, |all, (_, filter)| all.union(filter.needs()));
            record_filters = filters;
        }
    }
    touched = touched.union(wanted);
    InputPlan {
        opener,
        decode: input.decode,
        setup: Setup {
            wanted,
            templates_max: config.limits.templates as usize,
            exporters_max: config.limits.exporters as usize,
            options_max: config.limits.options as usize,
            fragments_max: config.limits.fragments as usize,
            reading: input.reading,
            customs: Arc::new(customs(config, wanted)),
        },
        feeds,
        touched,
        frame_filters,
        record_filters,
        gate: Vec::new(),
        must_pass,
        workers: input.workers.max(1) as usize,
    }
}

/// The filter that all frames of an input must pass.
fn gate(input: &Input, problems: &mut Vec<Problem>) -> Vec<(u32, Arc<Filter>)> {
    if input.filter.is_empty() {
        return Vec::new();
    }
    match Filter::everywhere(&input.filter) {
        Ok(filter) if filter.is_all() => Vec::new(),
        Ok(filter) => vec![(1, Arc::new(filter))],
        Err(why) => {
            problems.push(Problem {
                place: input.options.place_of("filter"),
                message: format!("input.{}: {why}", input.name),
            });
            Vec::new()
        }
    }
}

/// The primitives of the configuration that are among the fields `wanted` of an input.
fn customs(config: &Config, wanted: FieldSet) -> Customs {
    let all = config.primitives.customs();
    let wanted = all.iter().filter(|custom| wanted.has(custom.field));
    Customs::new(wanted.cloned().collect())
}
