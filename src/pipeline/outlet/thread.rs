//! The threads of an outlet: how they begin, what one of them waits for before it does, and how one
//! waits for their end.

use super::super::backlog::Backlog;
use super::Outlet;
use crate::sink::Sink;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// How long a sink may take to come back after the deadline of a stop.
const HANG: Duration = Duration::from_millis(700);

/// Opens a spool.
pub type Open = Box<dyn FnOnce() -> Result<Option<Backlog>, String> + Send>;

impl Outlet {
    /// Starts the thread that stores rows until the queue is closed and empty.
    ///
    /// # Errors
    /// When the system has no thread left.
    pub fn start(self: &Arc<Self>, sink: Box<dyn Sink>) -> std::io::Result<JoinHandle<()>> {
        self.start_after(Vec::new(), None, sink)
    }

    /// The same, once these outlets, which write to the same place, have come to their end. Where
    /// they have the spool as well, it is opened then.
    ///
    /// # Errors
    /// When the system has no thread left.
    pub fn start_after(
        self: &Arc<Self>,
        before: Vec<Arc<Self>>,
        spool: Option<Open>,
        mut sink: Box<dyn Sink>,
    ) -> std::io::Result<JoinHandle<()>> {
        if self.lock().backlog.is_some() {
            self.start_keeper()?;
        }
        let outlet = self.clone();
        std::thread::Builder::new()
            .name(format!("out {}", self.name))
            .stack_size(512 << 10)
            .spawn(move || {
                for before in &before {
                    while !before.wait_for_end() {
                        if outlet.lock().abandoned {
                            return outlet.end(false);
                        }
                    }
                }
                drop(before);
                if let Some(open) = spool {
                    outlet.open_spool(open);
                }
                // A sink that panics must not take its queue's account with it: what waits is
                // then dropped or spooled and counted, and pushing never blocks again.
                let run = std::panic::AssertUnwindSafe(|| outlet.run(sink.as_mut()));
                let died = std::panic::catch_unwind(run).is_err();
                if died {
                    log::error!("output {}: stopped by a defect", outlet.name);
                }
                outlet.end(died);
            })
    }

    /// Ends it after a start that failed: nothing has come and nothing will. One that waits for
    /// others does not wait any more, for they go on.
    pub fn abandon(&self, thread: Option<JoinHandle<()>>) {
        let mut state = self.lock();
        (state.closed, state.abandoned) = (true, true);
        self.release(state);
        match thread {
            // It has reported what went wrong.
            Some(thread) => drop(thread.join()),
            None => self.end(false),
        }
    }

    /// Starts the thread that looks after the spool.
    fn start_keeper(self: &Arc<Self>) -> std::io::Result<()> {
        let outlet = self.clone();
        let builder = std::thread::Builder::new().name(format!("spool {}", self.name));
        let run = move || outlet.keep();
        builder.stack_size(128 << 10).spawn(run).map(drop)
    }

    /// Opens the spool that another outlet had until now.
    fn open_spool(self: &Arc<Self>, open: Open) {
        match open() {
            Ok(backlog) => {
                let mut state = self.lock();
                state.backlog = backlog;
                self.release(state);
                if let Err(e) = self.start_keeper() {
                    log::error!("output {}: {e}", self.name);
                }
            }
            Err(why) => log::error!("output {}: spool: {why}; it has none", self.name),
        }
    }
}

/// Waits for a sink's thread, but not for one that hangs past the deadline that
/// [`hurry`](Outlet::hurry) has set.
pub fn join(outlet: &Outlet, thread: JoinHandle<()>) {
    while !thread.is_finished() {
        let state = outlet.lock();
        if state.give_up.is_some_and(|at| Instant::now() > at + HANG) {
            let rows = state.health.delivery.queued.records;
            let how = if state.hangs() {
                "hangs"
            } else {
                "is too slow"
            };
            drop(state);
            let name = &outlet.name;
            log::error!("output {name}: {how}; it is left behind with {rows} rows");
            outlet.end(false);
            return;
        }
        // It tells when it ends; what it has left to do then is soon done.
        let finished = state.finished;
        let pause = Duration::from_millis(if finished { 1 } else { 50 });
        drop(outlet.wait(state, pause));
    }
    // It has reported what went wrong.
    drop(thread.join());
}
