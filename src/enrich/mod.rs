//! Enrichers add fields to records, a batch at a time. Not for I/O.

pub mod net;

use crate::record::{Batch, FieldSet};

/// Adds fields.
pub trait Enricher: Send {
    /// Fields it reads.
    fn needs(&self) -> FieldSet;
    /// Fields it sets.
    fn gives(&self) -> FieldSet;
    /// Sets them in every record of the batch.
    fn enrich(&self, batch: &mut Batch);
}

/// The enrichers of one input, in order.
#[derive(Default)]
pub struct Enrichment(Vec<Box<dyn Enricher>>);

impl Enrichment {
    /// Those enrichers that somebody needs for `wanted`, and all fields that decoders must supply
    /// then. An enricher nobody needs is not built.
    pub fn plan(wanted: FieldSet) -> (Self, FieldSet) {
        let mut fields = wanted;
        let mut list: Vec<Box<dyn Enricher>> = Vec::new();
        let net = net::Nets;
        if fields.any(net.gives()) {
            fields = fields.union(net.needs());
            list.push(Box::new(net));
        }
        (Self(list), fields)
    }

    /// Whether there is nothing to do.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Runs them all.
    pub fn run(&self, batch: &mut Batch) {
        for enricher in &self.0 {
            enricher.enrich(batch);
        }
    }
}
