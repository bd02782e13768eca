//! [`Life`]: whether a thread of the data path still runs, and how it has come to its end.

use crate::sys::waker::Waker;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// What others know of a thread.
pub struct Life {
    over: AtomicBool,
    /// Whether its work was done then.
    orderly: AtomicBool,
    waker: Arc<Waker>,
}

impl Life {
    /// Of a thread that is about to begin. Its end wakes whoever waits for that.
    pub fn new(waker: Arc<Waker>) -> Arc<Self> {
        Arc::new(Self {
            over: AtomicBool::new(false),
            orderly: AtomicBool::new(false),
            waker,
        })
    }

    /// Does the thread's work.
    pub fn of<T>(&self, work: impl FnOnce() -> T) -> T {
        let _end = End(self);
        let done = work();
        self.orderly.store(true, Ordering::Release);
        done
    }

    /// Whether it has ended, in whichever way.
    pub fn is_over(&self) -> bool {
        self.over.load(Ordering::Acquire)
    }

    /// Whether it has died of a defect.
    pub fn is_cut_short(&self) -> bool {
        self.is_over() && !self.orderly.load(Ordering::Acquire)
    }
}

/// Dropped when the thread ends, be it by a defect.
struct End<'a>(&'a Life);

impl Drop for End<'_> {
    fn drop(&mut self) {
        // In this order, so that whoever is woken sees it: the thread itself may live on for as
        // long as the system likes.
        self.0.over.store(true, Ordering::Release);
        self.0.waker.wake();
    }
}
