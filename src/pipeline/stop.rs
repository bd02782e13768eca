//! The end of a pipeline, for good or to make room for the next one.

use super::outlet::{self, Health, Outlet};
use super::reload::Kept;
use super::tray::Draining;
use super::worker::{Command, InputView, Worker};
use super::{Pipeline, View, saver};
use std::sync::{Arc, PoisonError};
use std::time::{Duration, Instant};

impl Pipeline {
    /// Ends all workers after they have read what the kernel holds; gives their parts.
    pub(super) fn join_workers(&mut self) -> Vec<(usize, Worker)> {
        self.tell(|| Command::Stop);
        let mut all = Vec::new();
        for (at, worker) in std::mem::take(&mut self.workers).into_iter().enumerate() {
            match worker.handle.join() {
                Ok(Some(mut parts)) => {
                    parts.saver = None;
                    all.push((at, parts));
                }
                // It was never given anything.
                Ok(None) => {}
                Err(_) => log::error!("a worker stopped by a defect; what its tables held is lost"),
            }
        }
        // Nobody hands it anything any more.
        if let Some(thread) = self.saver.take() {
            drop(thread.join());
        }
        all
    }

    /// What hurries the outputs while somebody else waits for the pipeline.
    pub fn brake(&self) -> Brake {
        Brake(self.outlets.clone())
    }

    /// Stops reading, delivers everything, and waits for the outputs at the most `within`, or
    /// until a [`Brake`] says.
    pub fn stop(mut self, within: Option<Duration>) -> View {
        if within.is_some() {
            self.brake().pull(within);
        }
        let mut total = View {
            inputs: vec![InputView::default(); self.config.inputs.len()],
            aggregates: vec![Default::default(); self.config.aggregates.len()],
            ..View::default()
        };
        for (at, mut worker) in self.join_workers() {
            worker.finish();
            saver::save(&self.config, &worker, at);
            let snapshot = worker
                .view
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .clone();
            total.add(snapshot);
        }
        // The trays went with the workers, so the drain threads come to their end, and then the
        // outlets have got all they will get.
        self.drains.drain(..).for_each(Draining::join);
        self.add_pages(&mut total);
        self.outlets.iter().for_each(|outlet| outlet.close());
        let outlets = self.outlets.clone().into_iter();
        for (outlet, thread) in outlets.zip(self.sinks.drain(..)) {
            outlet::join(&outlet, thread);
        }
        total.outputs = self.brake().outputs();
        total.symbols = self.plan.symbols.usage();
        total
    }

    /// Stops the data plane for a moment: tables are handed out, all else is kept for the next
    /// pipeline. Outputs that have no room get the configured time of a stop to make some, while
    /// that reads already.
    pub fn pause(mut self) -> Kept {
        let mut kept = Kept::default();
        let limit = Some(Instant::now() + self.config.stop_within);
        self.outlets.iter().for_each(|outlet| outlet.press(limit));
        for (at, mut worker) in self.join_workers() {
            worker.hand_out();
            kept.add_worker(&self.config, worker, at);
        }
        let drains = self.drains.drain(..).zip(&self.ids);
        for (aggregate, (drain, id)) in self.config.aggregates.iter().zip(drains) {
            kept.add_drain(&aggregate.name, *id, drain);
        }
        for (aggregate, page) in self.config.aggregates.iter().zip(&self.pages) {
            if let Some(page) = page {
                kept.add_page(&aggregate.name, page.clone());
            }
        }
        let outlets = std::mem::take(&mut self.outlets);
        let running = outlets.into_iter().zip(std::mem::take(&mut self.sinks));
        for (output, running) in self.config.outputs.iter().zip(running) {
            kept.add_outlet(output, self.mark(output), running);
        }
        kept
    }
}

/// The outputs of a pipeline, for whoever does not want to wait for them for ever.
pub struct Brake(Vec<Arc<Outlet>>);

impl Brake {
    /// From now on outputs have no longer than `within`.
    pub fn pull(&self, within: Option<Duration>) {
        let give_up = within.map(|time| Instant::now() + time);
        self.0.iter().for_each(|outlet| outlet.hurry(give_up));
    }

    /// How they are doing.
    pub fn outputs(&self) -> Vec<Health> {
        self.0.iter().map(|outlet| outlet.health()).collect()
    }
}
