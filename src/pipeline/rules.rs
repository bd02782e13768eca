//! [`Rules`]: what is done to records between decoding and counting: for each input what all of
//! its records get, for each aggregation what they get for it alone.
//!
//! A plan has one of these; each worker makes its own [stages](super::stage) of it, and makes them
//! anew when maps are read again.

use super::maps::{Loader, Map};
use super::stage::{InputStage, Own};
use crate::base::Maps;
use crate::base::intern::Interner;
use crate::base::part::Shared;
use crate::config::rules::{AggregateRules, InputRules, Method, ONLY};
use crate::config::{Aggregate, Config};
use crate::enrich::list::{Fixed, List, Listed, Of};
use crate::enrich::networks::{Hidden, Located, Networks, Settings};
use crate::enrich::seconds::Seconds;
use crate::enrich::{Enricher, Enrichment, net};
use crate::record::{Batch, Field, FieldSet};
use crate::rule::lookup::{Distinguishers, Lookup, Rates};
use crate::rule::map::kind;
use crate::rule::tag::{TagMap, Tagger};
use crate::rule::unlabel::Unlabel;
use crate::rule::verdict::Verdict;
use std::sync::Arc;

/// Which worker of how many: counting tags are shared out among them.
#[derive(Clone, Copy, Debug)]
pub struct Seat {
    /// Its number.
    pub worker: usize,
    /// How many there are.
    pub workers: usize,
}

/// For all records of an input.
#[derive(Clone, Debug, Default)]
pub struct InputRule {
    sampling: Option<Shared<Lookup>>,
    sampling_rate: u32,
    rd: Option<Shared<Lookup>>,
    tags: Option<Shared<TagMap>>,
    /// Whether the first record of each exporter has no label.
    unlabel: bool,
    /// Fields that its records can have, rules included; tags that only a map gives are not.
    given: FieldSet,
    /// Aggregations that it feeds.
    feeds: Vec<usize>,
}

/// For what one aggregation counts.
#[derive(Clone, Debug, Default)]
pub struct AggregateRule {
    config: AggregateRules,
    networks: Option<Shared<Networks>>,
    tags: Option<Shared<TagMap>>,
    only: Vec<Shared<List>>,
    /// Bit of its filters, and whether the lists of tags are the only ones.
    bit: Option<(u32, bool)>,
    /// Fields that it counts.
    wanted: FieldSet,
    /// Fields that its rules may give.
    gives: FieldSet,
}

/// All rules of a configuration.
#[derive(Clone, Debug)]
pub struct Rules {
    inputs: Vec<InputRule>,
    aggregates: Vec<AggregateRule>,
    /// The files they are from.
    pub maps: Vec<Map>,
    symbols: Arc<Interner>,
}

/// What stages do to fields: those that must be there before, and all that are touched.
#[derive(Clone, Copy, Debug, Default)]
pub struct Reach {
    /// Fields that must be there before.
    pub before: FieldSet,
    /// All that are looked at or set.
    pub touched: FieldSet,
}

impl Reach {
    fn join(self, other: Self) -> Self {
        Self {
            before: self.before.union(other.before),
            touched: self.touched.union(other.touched),
        }
    }
}

/// Fields that the engine sets itself.
const ENGINE: FieldSet = FieldSet::of(&[
    Field::Bin,
    Field::SrcNet,
    Field::DstNet,
    Field::TimestampMin,
    Field::TimestampMax,
]);

/// Fields that maps of tags are for.
const TAGGED: FieldSet = FieldSet::of(&[Field::Tag, Field::Tag2, Field::Label]);

impl Rules {
    /// Reads all files. `given` has for each input what its decoder gives and which aggregations
    /// it feeds; `wanted` what each aggregation counts, and `bits` the bit of its filters and
    /// whether nobody else judges by it.
    pub fn load(
        config: &Config,
        given: Vec<(FieldSet, Vec<usize>)>,
        wanted: &[FieldSet],
        bits: &[Option<(u32, bool)>],
        loader: &mut Loader<'_>,
    ) -> Self {
        let mut rules = Self {
            inputs: Vec::new(),
            aggregates: Vec::new(),
            maps: Vec::new(),
            symbols: loader.symbols().clone(),
        };
        for (input, (given, feeds)) in config.inputs.iter().zip(given) {
            let section = format!("input.{}", input.name);
            let rule = InputRule::load(&input.rules, &section, given, feeds, loader);
            rules.inputs.push(rule);
        }
        for (at, aggregate) in config.aggregates.iter().enumerate() {
            let given = rules.fed(at).fold(ENGINE, |all, i| all.union(i.given));
            let mut rule = AggregateRule::load(aggregate, given, loader);
            rule.wanted = wanted.get(at).copied().unwrap_or_default();
            rule.bit = bits.get(at).copied().flatten();
            rules.aggregates.push(rule);
        }
        rules.maps = std::mem::take(&mut loader.maps);
        rules
    }

    fn fed(&self, aggregate: usize) -> impl Iterator<Item = &InputRule> {
        let feeds = move |input: &&InputRule| input.feeds.contains(&aggregate);
        self.inputs.iter().filter(feeds)
    }

    /// Fields that an aggregation can count.
    pub fn given(&self, aggregate: usize) -> FieldSet {
        let own = self.aggregates.get(aggregate);
        let own = own.map_or(FieldSet::EMPTY, |rule| rule.gives);
        self.fed(aggregate).fold(own.union(ENGINE), |all, i| {
            all.union(i.given).union(i.tags())
        })
    }

    /// Whether an aggregation has a map of tags of its own, so that the input's is not asked.
    fn own_tags(&self, aggregate: usize) -> bool {
        let rule = self.aggregates.get(aggregate);
        rule.is_some_and(|rule| rule.tags.is_some())
    }

    /// What is done for one aggregation, if anything is.
    pub fn own(&self, aggregate: usize, seat: Seat) -> (Option<Own>, Reach) {
        match self.aggregates.get(aggregate) {
            Some(rule) => rule.own(seat, &self.symbols),
            None => Default::default(),
        }
    }

    /// What is done to all records of an input.
    pub fn input(&self, input: usize, seat: Seat) -> (InputStage, Reach) {
        let Some(rule) = self.inputs.get(input) else {
            return Default::default();
        };
        // Aggregations with a map of tags of their own come before the input's map.
        let (mut early, mut late) = (Reach::default(), Reach::default());
        let (mut first, mut last) = (Vec::new(), Vec::new());
        for feed in &rule.feeds {
            let (_, reach) = self.own(*feed, seat);
            if self.own_tags(*feed) {
                early = early.join(reach);
                first.push(*feed);
            } else {
                late = late.join(reach);
                last.push(*feed);
            }
        }
        let tags = rule.tags.as_ref();
        let tags = tags.filter(|map| late.before.any(map.gives())).cloned();
        let mut reach = early.join(late);
        if let Some(map) = &tags {
            reach.before = reach.before.union(map.needs());
        }
        let unlabel = rule.unlabel && tags.is_some();
        if unlabel {
            reach.before = reach.before.union(Unlabel::needs());
        }
        let (enrichment, before) = Enrichment::plan(rule.enrichers(), reach.before);
        reach.touched = reach.touched.union(reach.before).union(before);
        reach.before = before;
        let stage = InputStage {
            enrichment,
            out: tags
                .as_ref()
                .filter(|map| map.copies())
                .map(|_| Batch::new(FieldSet::EMPTY)),
            tags: tags.map(|map| Tagger::new(map, seat.worker, seat.workers)),
            unlabel: unlabel.then(Unlabel::default),
            early: first,
            late: last,
        };
        (stage, reach)
    }

    /// Bytes that the stages of one worker take.
    pub fn bytes(&self, seat: Seat) -> usize {
        let own = |at| self.own(at, seat).0.map_or(0, |own| own.bytes());
        let owns: usize = (0..self.aggregates.len()).map(own).sum();
        let inputs = (0..self.inputs.len()).map(|at| self.input(at, seat).0.bytes());
        owns + inputs.sum::<usize>()
    }

    /// The same rules, of which none could be read again.
    pub fn stale(mut self) -> Self {
        self.maps.iter_mut().for_each(|map| map.fresh = false);
        self
    }

    /// Whether maps of `new` can take the place of those of `old` in the memory that was planned
    /// for these.
    pub fn has_room_for(&self, old: &Self, new: &Self) -> bool {
        let all = self.maps.iter().zip(&old.maps).zip(&new.maps);
        let count = self.maps.len();
        count == old.maps.len()
            && count == new.maps.len()
            && all.into_iter().all(|((planned, old), new)| {
                let same = planned.name == new.name && planned.shared == new.shared;
                same && planned.has_room_for(old, new)
            })
    }
}

impl InputRule {
    fn load(
        config: &InputRules,
        section: &str,
        given: FieldSet,
        feeds: Vec<usize>,
        loader: &mut Loader<'_>,
    ) -> Self {
        let mut rule = Self {
            sampling_rate: config.sampling_rate,
            unlabel: Maps::get().is_some() && config.first_unlabelled,
            given: given.union(ENGINE),
            feeds,
            ..Self::default()
        };
        let mut lookup = |name: &str, file| {
            let (file, kind) = (file?, kind(name)?);
            loader.lookup(format!("{section}.{name}"), file, kind, rule.given, section)
        };
        rule.sampling = lookup("sampling", config.sampling.as_ref());
        rule.rd = lookup("rd", config.rd.as_ref());
        if rule.sampling.is_some() || config.sampling_rate > 0 {
            rule.given.insert(Field::SamplingRate);
        }
        if rule.rd.is_some() {
            rule.given.insert(Field::MplsVpnRd);
        }
        if let Some(file) = &config.tags {
            rule.tags = loader.tags(format!("{section}.tags"), file, rule.given, section);
        }
        rule
    }

    /// Fields that its map of tags may set, if not now then when it is read again.
    fn tags(&self) -> FieldSet {
        let map = self.tags.as_ref();
        map.map_or(FieldSet::EMPTY, |_| TAGGED)
    }

    fn enrichers(&self) -> Vec<Box<dyn Enricher>> {
        let mut all: Vec<Box<dyn Enricher>> = Vec::new();
        if self.sampling.is_some() || self.sampling_rate > 0 {
            all.push(Box::new(Rates {
                map: self.sampling.clone(),
                external: self.sampling_rate,
            }));
        }
        if let Some(map) = &self.rd {
            all.push(Box::new(Distinguishers(map.clone())));
        }
        all.push(Box::new(net::Nets));
        all
    }
}

impl AggregateRule {
    fn load(aggregate: &Aggregate, mut given: FieldSet, loader: &mut Loader<'_>) -> Self {
        let (section, config) = (format!("aggregate.{}", aggregate.name), &aggregate.rules);
        let name = |key: &str| format!("{section}.{key}");
        let mut rule = Self {
            config: config.clone(),
            ..Self::default()
        };
        if let Some(file) = &config.networks {
            rule.networks = loader.networks(name("networks"), file);
        }
        if rule.locates() {
            let located = Located::new(rule.settings(), FieldSet::of(&LOCATED));
            rule.gives = located.gives();
            given = given.union(rule.gives);
        }
        if let Some(file) = &config.tags {
            let giver = format!("what {section} counts");
            rule.tags = loader.tags(name("tags"), file, given, &giver);
        }
        let lists = ONLY.iter().zip(&config.only);
        for (key, file) in lists {
            let of = key.strip_prefix("only_").and_then(Of::named);
            if let (Some(file), Some(of)) = (file, of) {
                rule.only.extend(loader.list(name(key), file, of));
            }
        }
        let tags = rule.tags.as_ref().map_or(FieldSet::EMPTY, |_| TAGGED);
        rule.gives = rule.gives.union(tags).union(rule.fixed().gives());
        rule
    }

    /// Whether networks are found in another way than from what the exporter says.
    fn locates(&self) -> bool {
        let Settings {
            net, asn, whole, ..
        } = self.settings();
        let asked = net != Method::Exporter || asn != Method::Exporter || whole;
        Maps::get().is_some() && asked
    }

    fn settings(&self) -> Settings {
        Settings {
            file: self.networks.clone(),
            net: self.config.net_from,
            asn: self.config.as_from,
            mask: self.config.networks_mask,
            no_lpm: self.config.networks_no_lpm,
            whole: self.config.networks_no_mask_if_zero,
        }
    }

    fn fixed(&self) -> Fixed {
        Fixed {
            tag: self.config.tag,
            tag2: self.config.tag2,
        }
    }

    /// What is done after the lists of tags have judged.
    fn behind(&self) -> Vec<Box<dyn Enricher>> {
        let mut all: Vec<Box<dyn Enricher>> = Vec::new();
        if !self.fixed().gives().is_empty() {
            all.push(Box::new(self.fixed()));
        }
        if let Some(networks) = self
            .networks
            .as_ref()
            .filter(|_| self.config.networks_filter)
        {
            all.push(Box::new(Hidden(networks.clone())));
        }
        for list in &self.only {
            all.push(Box::new(Listed(list.clone())));
        }
        if self.config.whole_seconds {
            all.push(Box::new(Seconds));
        }
        all
    }

    fn own(&self, seat: Seat, symbols: &Arc<Interner>) -> (Option<Own>, Reach) {
        let (after, fields) = Enrichment::plan(self.behind(), self.wanted);
        let mut touched = self.wanted.union(fields);
        let lists = &self.config.lists;
        let verdict = Maps::get().and(self.bit).filter(|_| !lists.is_empty());
        let fields = fields.union(lists.needs());
        let tags = self.tags.as_ref();
        let tags = tags.filter(|map| fields.any(map.gives())).cloned();
        let fields = match &tags {
            Some(map) => fields.union(map.needs()),
            None => fields,
        };
        touched = touched.union(fields);
        let mut ahead: Vec<Box<dyn Enricher>> = Vec::new();
        if self.locates() {
            ahead.push(Box::new(Located::new(self.settings(), fields)));
        }
        let (before, fields) = Enrichment::plan(ahead, fields);
        let reach = Reach {
            before: fields,
            touched: touched.union(fields),
        };
        if before.is_empty() && tags.is_none() && verdict.is_none() && after.is_empty() {
            return (None, reach);
        }
        let tags = tags.map(|map| Tagger::new(map, seat.worker, seat.workers));
        let verdict =
            verdict.map(|(bit, alone)| Verdict::new(lists.clone(), bit, alone, symbols.clone()));
        (Some(Own::new(before, tags, verdict, after)), reach)
    }
}

/// Fields that a networks file may tell.
const LOCATED: [Field; 9] = [
    Field::SrcNet,
    Field::DstNet,
    Field::SrcMask,
    Field::DstMask,
    Field::SrcAs,
    Field::DstAs,
    Field::PeerSrcAs,
    Field::PeerDstAs,
    Field::PeerDstIp,
];
