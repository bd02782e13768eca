//! A queue between threads: several may send, one receives. The standard library's has three kinds
//! in one and is made for millions of messages a second; here whole tables and commands go through,
//! and the code is paid for each kind of message.

use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

struct State<T> {
    queue: VecDeque<T>,
    senders: usize,
    /// Whether the receiver is still there.
    heard: bool,
}

struct Shared<T> {
    state: Mutex<State<T>>,
    /// How many may wait.
    most: usize,
    filled: Condvar,
    emptied: Condvar,
}

impl<T> Shared<T> {
    /// Nothing is done under the lock that could leave the state half changed.
    fn lock(&self) -> MutexGuard<'_, State<T>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The end that sends.
pub struct Sender<T>(Arc<Shared<T>>);

/// The end that receives.
pub struct Receiver<T>(Arc<Shared<T>>);

/// Why nothing was received within a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Silence {
    /// The time is over.
    Timeout,
    /// Nothing will come any more.
    Closed,
}

/// A queue of any length.
pub fn channel<T>() -> (Sender<T>, Receiver<T>) {
    bounded(usize::MAX)
}

/// A queue in which so many messages may wait, one at least; who sends more waits.
pub fn bounded<T>(most: usize) -> (Sender<T>, Receiver<T>) {
    let shared = Arc::new(Shared {
        state: Mutex::new(State {
            queue: VecDeque::new(),
            senders: 1,
            heard: true,
        }),
        most: most.max(1),
        filled: Condvar::new(),
        emptied: Condvar::new(),
    });
    (Sender(shared.clone()), Receiver(shared))
}

impl<T> Sender<T> {
    /// Sends, when there is room.
    ///
    /// # Errors
    /// The message, when nobody will receive it.
    pub fn send(&self, message: T) -> Result<(), T> {
        let full = |state: &mut State<T>| state.heard && state.queue.len() >= self.0.most;
        let state = self.0.emptied.wait_while(self.0.lock(), full);
        self.put(state.unwrap_or_else(PoisonError::into_inner), message)
    }

    /// Sends, if there is room at once.
    ///
    /// # Errors
    /// The message, when there is no room or nobody will receive it.
    pub fn try_send(&self, message: T) -> Result<(), T> {
        self.put(self.0.lock(), message)
    }

    fn put(&self, mut state: MutexGuard<'_, State<T>>, message: T) -> Result<(), T> {
        if !state.heard || state.queue.len() >= self.0.most {
            return Err(message);
        }
        state.queue.push_back(message);
        drop(state);
        self.0.filled.notify_one();
        Ok(())
    }
}

impl<T> Clone for Sender<T> {
    fn clone(&self) -> Self {
        self.0.lock().senders += 1;
        Self(self.0.clone())
    }
}

impl<T> Drop for Sender<T> {
    fn drop(&mut self) {
        self.0.lock().senders -= 1;
        self.0.filled.notify_one();
    }
}

impl<T> Receiver<T> {
    /// The next message; none when nothing will come any more.
    pub fn recv(&self) -> Option<T> {
        let state = self
            .0
            .filled
            .wait_while(self.0.lock(), |state| state.waits());
        self.take(state.unwrap_or_else(PoisonError::into_inner))
    }

    /// The next message, if it is there.
    pub fn try_recv(&self) -> Option<T> {
        self.take(self.0.lock())
    }

    /// The next message, if it comes within `time`.
    ///
    /// # Errors
    /// Why none came.
    pub fn recv_timeout(&self, time: Duration) -> Result<T, Silence> {
        let (filled, state) = (&self.0.filled, self.0.lock());
        let waited = filled.wait_timeout_while(state, time, |state| state.waits());
        let (state, _) = waited.unwrap_or_else(PoisonError::into_inner);
        let silence = if state.senders > 0 {
            Silence::Timeout
        } else {
            Silence::Closed
        };
        self.take(state).ok_or(silence)
    }

    fn take(&self, mut state: MutexGuard<'_, State<T>>) -> Option<T> {
        let message = state.queue.pop_front();
        drop(state);
        self.0.emptied.notify_one();
        message
    }
}

impl<T> State<T> {
    /// Whether a message may come that is not there yet.
    fn waits(&self) -> bool {
        self.queue.is_empty() && self.senders > 0
    }
}

impl<T> Drop for Receiver<T> {
    fn drop(&mut self) {
        let mut state = self.0.lock();
        state.heard = false;
        // Outside of the lock: a message may hold an end of this queue.
        let unheard = std::mem::take(&mut state.queue);
        drop(state);
        self.0.emptied.notify_all();
        drop(unheard);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::thread;

    const SOON: Duration = Duration::from_millis(20);
    const LATE: Duration = Duration::from_secs(20);

    #[test]
    fn messages_come_in_order_and_then_the_end() {
        let (to, from) = channel();
        let also = to.clone();
        assert_eq!(from.try_recv(), None);
        assert_eq!(from.recv_timeout(SOON), Err(Silence::Timeout));
        assert_eq!((to.send(1), also.send(2)), (Ok(()), Ok(())));
        drop(to);
        assert_eq!((from.recv(), from.recv_timeout(SOON)), (Some(1), Ok(2)));
        assert_eq!(from.recv_timeout(SOON), Err(Silence::Timeout));
        drop(also);
        assert_eq!(from.recv(), None);
        assert_eq!(from.recv_timeout(LATE), Err(Silence::Closed));
    }

    #[test]
    fn who_waits_is_woken() {
        let (to, from) = channel();
        thread::scope(|scope| {
            let waits = scope.spawn(move || (from.recv(), from.recv_timeout(LATE), from.recv()));
            thread::sleep(SOON);
            to.send('a').unwrap();
            thread::sleep(SOON);
            to.send('b').unwrap();
            thread::sleep(SOON);
            drop(to);
            assert_eq!(waits.join().unwrap(), (Some('a'), Ok('b'), None));
        });
    }

    #[test]
    fn who_sends_more_than_has_room_waits() {
        let (to, from) = bounded(2);
        let senders: Vec<_> = (0..4).map(|_| to.clone()).collect();
        assert_eq!(
            (to.send(0), to.try_send(0), to.try_send(7)),
            (Ok(()), Ok(()), Err(7))
        );
        thread::scope(|scope| {
            for sender in senders {
                scope.spawn(move || (0..100).for_each(|n| sender.send(n).unwrap()));
            }
            thread::sleep(SOON);
            assert_eq!(to.try_send(7), Err(7), "nobody got in meanwhile");
            let got: Vec<i32> = (0..402).filter_map(|_| from.recv()).collect();
            assert_eq!((got.len(), got.iter().sum()), (402, 4 * 4950));
        });
        drop(to);
        assert_eq!(from.recv(), None);
    }

    #[test]
    fn without_a_receiver_nothing_is_sent() {
        let (to, from) = bounded(1);
        let held = Arc::new(());
        to.send(held.clone()).unwrap();
        thread::scope(|scope| {
            let waits = scope.spawn(|| to.send(held.clone()).is_err());
            thread::sleep(SOON);
            drop(from);
            assert!(waits.join().unwrap());
        });
        assert!(to.try_send(held.clone()).is_err());
        assert_eq!(Arc::strong_count(&held), 1, "what was not received is gone");
    }

    #[test]
    fn a_message_may_hold_an_end_of_its_queue() {
        struct Loop(#[expect(dead_code, reason = "held, no more")] Sender<Loop>);
        let (to, from) = channel();
        assert!(to.send(Loop(to.clone())).is_ok());
        drop(from);
        assert!(to.send(Loop(to.clone())).is_err());
    }
}
