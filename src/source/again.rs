//! [`Again`]: a savefile that is read several times, or later.
//!
//! Waiting is a descriptor that becomes readable when the time has come, so neither other inputs
//! nor a stop are held up. Not for anything but whole files.
#![deny(clippy::indexing_slicing, clippy::unwrap_used, clippy::expect_used)]
#![deny(clippy::arithmetic_side_effects, clippy::panic)]

use super::{Frame, Loss, Progress, Source, SourceError};
use crate::sys::waker::{self, Wakened};
use std::time::{Duration, Instant};

/// How often, and after how long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Times {
    /// How often it is read; 0 is for ever.
    pub repeat: u64,
    /// How long to wait before each time.
    pub delay: Duration,
}

impl Times {
    /// Once, at once.
    pub const ONCE: Self = Self {
        repeat: 1,
        delay: Duration::ZERO,
    };
}

/// What opens the file, each time.
pub type Open = Box<dyn Fn() -> Result<Box<dyn Source>, SourceError> + Send>;

/// A source that begins anew when it has ended.
pub struct Again {
    open: Open,
    source: Option<Box<dyn Source>>,
    times: Times,
    /// How often it has ended.
    done: u64,
    pause: Option<(Instant, Wakened)>,
    /// What was lost in the times before.
    past: Loss,
}

impl Again {
    /// A source that waits before it opens anything.
    ///
    /// # Errors
    /// When it can not wait, or not be opened where it need not wait.
    pub fn new(open: Open, times: Times) -> Result<Self, SourceError> {
        let mut again = Self {
            open,
            source: None,
            times,
            done: 0,
            pause: None,
            past: Loss::default(),
        };
        again.rest()?;
        if again.pause.is_none() {
            again.source = Some((again.open)()?);
        }
        Ok(again)
    }

    /// Begins to wait, where there is something to wait for.
    fn rest(&mut self) -> Result<(), SourceError> {
        let delay = self.times.delay;
        if delay.is_zero() {
            return Ok(());
        }
        let (waker, wakened) = waker::pair()?;
        let wake = move || {
            std::thread::sleep(delay);
            waker.wake();
        };
        // Before the thread begins, or it could wake us too early, and nobody would a second time.
        let until = Instant::now().checked_add(delay);
        let thread = std::thread::Builder::new().stack_size(64 << 10);
        thread.name("delay".into()).spawn(wake)?;
        self.pause = until.map(|until| (until, wakened));
        Ok(())
    }

    /// Ends one time; what comes next.
    fn end(&mut self) -> Result<Progress, SourceError> {
        self.past = self.loss();
        self.source = None;
        self.done = self.done.saturating_add(1);
        if self.times.repeat != 0 && self.done >= self.times.repeat {
            return Ok(Progress::End);
        }
        self.rest()?;
        Ok(if self.pause.is_some() {
            Progress::Idle
        } else {
            Progress::More
        })
    }
}

impl Source for Again {
    fn fd(&self) -> Option<i32> {
        match (&self.pause, &self.source) {
            (Some((_, wakened)), _) => Some(wakened.fd()),
            (None, Some(source)) => source.fd(),
            (None, None) => None,
        }
    }

    fn read(&mut self, to: &mut dyn FnMut(&Frame<'_>)) -> Result<Progress, SourceError> {
        if let Some((until, wakened)) = &self.pause {
            wakened.clear();
            if Instant::now() < *until {
                return Ok(Progress::Idle);
            }
            self.pause = None;
        }
        if self.source.is_none() {
            self.source = Some((self.open)()?);
        }
        let Some(source) = &mut self.source else {
            return Ok(Progress::End);
        };
        match source.read(to)? {
            Progress::End => self.end(),
            other => Ok(other),
        }
    }

    fn loss(&self) -> Loss {
        let now = self.source.as_ref().map(|s| s.loss()).unwrap_or_default();
        Loss {
            kernel: self.past.kernel.saturating_add(now.kernel),
            refused: self.past.refused.saturating_add(now.refused),
            oversize: self.past.oversize.saturating_add(now.oversize),
        }
    }

    fn position(&self) -> Option<(u64, Option<u64>)> {
        self.source.as_ref().and_then(|source| source.position())
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::arithmetic_side_effects)]
mod tests {
    use super::super::savefile::SavefileSource;
    use super::*;
    use crate::sys::poll::{Interest, Poll};

    fn open() -> Open {
        Box::new(|| {
            let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden/plain/input.pcap");
            Ok(Box::new(SavefileSource::open(path)?))
        })
    }

    /// Reads to the end, waiting where that is wanted; frames and waits.
    fn read(mut source: Again) -> (usize, usize) {
        let (mut frames, mut waits) = (0, 0);
        loop {
            if let Some(fd) = source.fd() {
                let mut poll = Poll::new();
                let at = poll.add(fd, Interest::Read);
                assert!(poll.wait(Some(Duration::from_secs(5))).unwrap() && poll.ready(at));
                waits += 1;
            }
            match source.read(&mut |_| frames += 1).unwrap() {
                Progress::End => return (frames, waits),
                Progress::More | Progress::Idle => {}
            }
        }
    }

    #[test]
    fn a_file_is_read_as_often_as_is_said_and_waited_for() {
        let (once, _) = read(Again::new(open(), Times::ONCE).unwrap());
        assert!(once > 0);
        let delay = Duration::from_millis(20);
        let begun = Instant::now();
        let times = Times { repeat: 3, delay };
        let (frames, waits) = read(Again::new(open(), times).unwrap());
        assert_eq!((frames, waits), (3 * once, 3));
        assert!(begun.elapsed() >= 3 * delay);
        // However soon the pause is over, whoever waits for it is woken after it.
        let delay = Duration::from_nanos(1);
        let times = Times { repeat: 50, delay };
        let (frames, _) = read(Again::new(open(), times).unwrap());
        assert_eq!(frames, 50 * once);
        let forever = Times {
            repeat: 0,
            delay: Duration::ZERO,
        };
        let mut source = Again::new(open(), forever).unwrap();
        for _ in 0..20 {
            assert_eq!(source.read(&mut |_| ()).unwrap(), Progress::More);
        }
    }
}
