//! Waiting for what may take for ever, while signals are heard.

use crate::sys::notify::{Notify, State, watchdog};
use crate::sys::poll::{Interest, Poll};
use crate::sys::signal::{Signal, Signals};
use crate::sys::waker;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::Builder;

/// Does `work` on a thread of its own and waits for it. Each signal that asks for the end is told
/// to `asked`, which says whether the work is still waited for; else it is left alone, and there is
/// nothing to give.
pub fn beside<T: Send + 'static>(
    signals: &mut Signals,
    notify: Option<&Notify>,
    mut asked: impl FnMut() -> bool,
    work: impl FnOnce() -> T + Send + 'static,
) -> Option<T> {
    let Ok((waker, wakened)) = waker::pair() else {
        return Some(work());
    };
    let work = Arc::new(Mutex::new(Some(work)));
    let task = work.clone();
    let run = move || {
        let work = task.lock().unwrap_or_else(PoisonError::into_inner).take();
        let done = work.map(|work| work());
        waker.wake();
        done
    };
    let Ok(thread) = Builder::new().name("wait".into()).spawn(run) else {
        // Then nobody hears signals, but it is done.
        let work = work.lock().unwrap_or_else(PoisonError::into_inner).take();
        return work.map(|work| work());
    };
    let pause = watchdog().map(|time| time / 2);
    while !thread.is_finished() {
        let mut poll = Poll::new();
        poll.add(wakened.fd(), Interest::Read);
        poll.add(signals.fd(), Interest::Read);
        if let Err(e) = poll.wait(pause) {
            log::error!("poll: {e}");
        }
        if let Some(notify) = notify {
            notify.send(State::Watchdog);
        }
        crate::ctl::log::flush();
        if poll.ready(0) {
            break;
        }
        if let Some(Signal::Terminate | Signal::Interrupt) = signals.take()
            && !asked()
        {
            return None;
        }
    }
    thread.join().ok().flatten()
}
