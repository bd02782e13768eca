//! Enrichers add fields to records, a batch at a time. Not for I/O.

pub mod list;
pub mod net;
pub mod networks;
pub mod seconds;

use crate::record::{Batch, FieldSet};

/// Adds fields.
pub trait Enricher: Send {
    /// Fields it reads.
    fn needs(&self) -> FieldSet;
    /// Fields it sets.
    fn gives(&self) -> FieldSet;
    /// Those among them that it sets in every record, so that nobody need supply them before.
    fn replaces(&self) -> FieldSet {
        FieldSet::EMPTY
    }
    /// Sets them in every record of the batch.
    fn enrich(&mut self, batch: &mut Batch);
}

/// Enrichers in order.
#[derive(Default)]
pub struct Enrichment(Vec<Box<dyn Enricher>>);

impl Enrichment {
    /// Those of `all`, which are in order, that somebody needs for `wanted`, and the fields that
    /// must be there before them. An enricher nobody needs is left out.
    pub fn plan(mut all: Vec<Box<dyn Enricher>>, wanted: FieldSet) -> (Self, FieldSet) {
        let mut fields = wanted;
        let mut needed = Vec::with_capacity(all.len());
        while let Some(enricher) = all.pop() {
            if fields.any(enricher.gives()) {
                fields = fields.minus(enricher.replaces()).union(enricher.needs());
                needed.push(enricher);
            }
        }
        needed.reverse();
        (Self(needed), fields)
    }

    /// Whether there is nothing to do.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Fields that they may set.
    pub fn gives(&self) -> FieldSet {
        let gives = self.0.iter().map(|enricher| enricher.gives());
        gives.fold(FieldSet::EMPTY, FieldSet::union)
    }

    /// Runs them all.
    pub fn run(&mut self, batch: &mut Batch) {
        for enricher in &mut self.0 {
            enricher.enrich(batch);
        }
    }
}
