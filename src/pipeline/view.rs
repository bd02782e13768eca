//! [`View`]: the numbers of a pipeline, as its threads published them last.

use super::Pipeline;
use super::outlet::Health;
use super::worker::{InputView, Snapshot};
use crate::base::ledger::Account;
use std::sync::PoisonError;

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

impl Pipeline {
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
    pub(super) fn add_pages(&self, view: &mut View) {
        for ((account, _), page) in view.aggregates.iter_mut().zip(&self.pages) {
            let page = page.as_ref().map(|page| page.lock());
            account.sifted = page.map(|page| *page.unwrap_or_else(PoisonError::into_inner));
        }
    }
}

impl View {
    /// Adds what a worker published.
    pub(super) fn add(&mut self, snapshot: Snapshot) {
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
