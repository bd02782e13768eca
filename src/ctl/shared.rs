//! [`Shared`]: the running pipeline, between the thread that runs it and those that ask it.
//!
//! While a pipeline is being rebuilt there is none; who asks waits a moment for the next one.

use super::sandbox::Confined;
use crate::base::time::{Nanos, wall};
use crate::pipeline::{Pipeline, View};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};

/// How long a question waits for a pipeline that is being rebuilt.
const REBUILD: Duration = Duration::from_secs(5);

/// A holder of the running pipeline.
pub struct Shared {
    pipeline: Mutex<Option<Arc<Pipeline>>>,
    changed: Condvar,
    started: (Nanos, Instant),
    confined: OnceLock<Arc<Confined>>,
}

impl Default for Shared {
    fn default() -> Self {
        Self::new()
    }
}

impl Shared {
    /// Without a pipeline yet; uptime counts from here.
    pub fn new() -> Self {
        Self {
            pipeline: Mutex::new(None),
            changed: Condvar::new(),
            started: (wall(), Instant::now()),
            confined: OnceLock::new(),
        }
    }

    /// Says once what was taken from the process at its start.
    pub fn confine(&self, confined: Arc<Confined>) {
        let _ = self.confined.set(confined);
    }

    /// What was taken from the process; none where nobody said.
    pub fn confined(&self) -> Option<Arc<Confined>> {
        self.confined.get().cloned()
    }

    fn lock(&self) -> MutexGuard<'_, Option<Arc<Pipeline>>> {
        self.pipeline.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Puts a pipeline in.
    pub fn set(&self, pipeline: Pipeline) {
        *self.lock() = Some(Arc::new(pipeline));
        self.changed.notify_all();
    }

    /// Takes the pipeline out, once nobody asks it any more. Not to be called inside
    /// [`with`](Self::with).
    pub fn take(&self) -> Option<Pipeline> {
        let mut held = self.lock().take()?;
        loop {
            match Arc::try_unwrap(held) {
                Ok(pipeline) => return Some(pipeline),
                Err(asked) => held = asked,
            }
            // Questions hold it for microseconds.
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    /// Lets `ask` see the pipeline, without keeping others from it. None where there is none.
    pub fn with<T>(&self, ask: impl FnOnce(&Pipeline) -> T) -> Option<T> {
        let held = self.lock().clone();
        held.map(|pipeline| ask(&pipeline))
    }

    /// As [`with`](Self::with), but waits a moment for a pipeline that is being rebuilt.
    pub fn soon<T>(&self, ask: impl FnOnce(&Pipeline) -> T) -> Option<T> {
        let held = {
            let held = self.lock();
            let waited = self
                .changed
                .wait_timeout_while(held, REBUILD, |held| held.is_none());
            waited.unwrap_or_else(PoisonError::into_inner).0.clone()
        };
        held.map(|pipeline| ask(&pipeline))
    }

    /// All numbers, as published last.
    pub fn view(&self) -> Option<View> {
        self.with(Pipeline::view)
    }

    /// When this was made, and how long ago that is.
    pub fn uptime(&self) -> (Nanos, Duration) {
        (self.started.0, self.started.1.elapsed())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_a_pipeline_there_is_nothing_to_see_or_take() {
        let shared = Shared::new();
        assert!(shared.view().is_none() && shared.take().is_none());
        assert!(shared.with(|_| ()).is_none());
    }
}
