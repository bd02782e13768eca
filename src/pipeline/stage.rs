//! What runs between a decoder and the tables, for one input in one worker.

use crate::agg::Aggregator;
use crate::base::ledger::Intake;
use crate::base::time::Nanos;
use crate::enrich::{Enricher, Enrichment};
use crate::record::{Batch, FlowRecord, Kept};
use crate::rule::filter::Filter;
use crate::rule::tag::Tagger;
use crate::rule::unlabel::Unlabel;
use crate::rule::verdict::Verdict;
use std::sync::Arc;

/// What all records of an input get.
#[derive(Default)]
pub struct InputStage {
    /// Rates, distinguishers, networks.
    pub enrichment: Enrichment,
    /// Tags.
    pub tags: Option<Tagger>,
    /// Takes the label off the first record of each exporter.
    pub unlabel: Option<Unlabel>,
    /// Room for records of which there are two.
    pub out: Option<Batch>,
    /// Aggregations with a map of tags of their own, which do not see the input's tags; then
    /// all others. By their places in the worker.
    pub early: Vec<usize>,
    /// See [`early`](Self::early).
    pub late: Vec<usize>,
}

/// Bytes of a batch.
const BATCH: usize = Batch::SIZE * size_of::<FlowRecord>();

impl InputStage {
    /// Bytes it takes beside its maps.
    pub fn bytes(&self) -> usize {
        let tagger = self.tags.as_ref().map_or(0, Tagger::bytes);
        let unlabel = self.unlabel.as_ref().map_or(0, |_| Unlabel::BYTES);
        tagger + unlabel + self.out.as_ref().map_or(0, |_| BATCH)
    }
}

/// What records get for one aggregation alone: done before it counts them, and undone after.
pub struct Own {
    kept: Kept,
    before: Enrichment,
    tags: Option<Tagger>,
    verdict: Option<Verdict>,
    after: Enrichment,
    out: Option<Batch>,
}

impl Own {
    /// Networks, then tags, then the verdict on them, then what changes values.
    pub fn new(
        before: Enrichment,
        tags: Option<Tagger>,
        verdict: Option<Verdict>,
        after: Enrichment,
    ) -> Self {
        let mut gives = before.gives().union(after.gives());
        if let Some(tagger) = &tags {
            gives = gives.union(tagger.gives());
        }
        let copies = tags.as_ref().filter(|tagger| tagger.copies());
        Self {
            kept: Kept::new(gives),
            out: copies.map(|_| Batch::new(Default::default())),
            before,
            tags,
            verdict,
            after,
        }
    }

    /// Bytes it takes beside its maps.
    pub fn bytes(&self) -> usize {
        let tagger = self.tags.as_ref().map_or(0, Tagger::bytes);
        let verdict = self.verdict.as_ref().map_or(0, Verdict::bytes);
        self.kept.bytes() + tagger + verdict + self.out.as_ref().map_or(0, |_| BATCH)
    }

    fn count(&mut self, aggregate: &mut Aggregator, batch: &mut Batch, now: Nanos) {
        self.kept.keep(batch);
        self.before.run(batch);
        let (verdict, after) = (&mut self.verdict, &mut self.after);
        let mut rest = |batch: &mut Batch| {
            if let Some(verdict) = verdict {
                verdict.run(batch);
            }
            after.run(batch);
            aggregate.add(batch, now);
        };
        match (&mut self.tags, &mut self.out) {
            (Some(tagger), Some(out)) => {
                let copied = tagger.copying(batch, out, &mut rest);
                aggregate.copied(copied);
            }
            (Some(tagger), None) => {
                tagger.enrich(batch);
                rest(batch);
            }
            (None, _) => rest(batch),
        }
        self.kept.restore(batch);
    }
}

/// The aggregations of a worker, each with its place in the configuration and what it has done
/// for itself.
pub type Aggregates = Vec<(usize, Aggregator, Option<Own>)>;

/// The rest of the pipeline behind a decoder, for one input.
pub struct Stage<'a> {
    /// All aggregations of the worker.
    pub aggregates: &'a mut Aggregates,
    /// Filters on records, each with its bit.
    pub filters: &'a [(u32, Arc<Filter>)],
    /// What all records get.
    pub input: &'a mut InputStage,
}

fn count(aggregates: &mut Aggregates, feeds: &[usize], batch: &mut Batch, now: Nanos) {
    for feed in feeds {
        if let Some((_, aggregate, own)) = aggregates.get_mut(*feed) {
            match own {
                None => aggregate.add(batch, now),
                Some(own) => own.count(aggregate, batch, now),
            }
        }
    }
}

impl Stage<'_> {
    /// Filters, completes and counts what is in the batch, and empties it.
    pub fn run(&mut self, batch: &mut Batch, ledger: &mut Intake) {
        let now = batch
            .records()
            .last()
            .map_or(Nanos(0), |record| record.time);
        ledger.decoded += batch.sum();
        if !self.filters.is_empty() {
            for record in batch.records_mut() {
                for (bit, filter) in self.filters {
                    if filter.matches_record(record) {
                        record.pass |= bit;
                    }
                }
            }
        }
        let InputStage {
            enrichment,
            tags,
            unlabel,
            out,
            early,
            late,
        } = &mut *self.input;
        enrichment.run(batch);
        count(self.aggregates, early, batch, now);
        match (tags, out) {
            (Some(tagger), Some(out)) => {
                let rest = &mut |batch: &mut Batch| {
                    if let Some(unlabel) = unlabel.as_mut() {
                        unlabel.run(batch);
                    }
                    count(self.aggregates, late, batch, now);
                };
                let copied = tagger.copying(batch, out, rest);
                for feed in late.iter() {
                    if let Some((_, aggregate, _)) = self.aggregates.get_mut(*feed) {
                        aggregate.copied(copied);
                    }
                }
            }
            (Some(tagger), None) => {
                tagger.enrich(batch);
                if let Some(unlabel) = unlabel {
                    unlabel.run(batch);
                }
                count(self.aggregates, late, batch, now);
            }
            (None, _) => count(self.aggregates, late, batch, now),
        }
        batch.clear();
    }
}
