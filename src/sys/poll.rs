//! Waiting on several descriptors with poll(2). Not for thousands of them.

use std::io;
use std::os::fd::RawFd;
use std::time::Duration;

/// What to wait for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Interest {
    /// Something to read, or the end.
    Read,
    /// Room to write.
    Write,
    /// Either.
    Both,
}

/// A set of descriptors that is waited on together. Keeps its memory between rounds.
#[derive(Default)]
pub struct Poll {
    fds: Vec<libc::pollfd>,
}

impl Poll {
    /// An empty set.
    pub fn new() -> Self {
        Self::default()
    }

    /// Forgets all descriptors.
    pub fn clear(&mut self) {
        self.fds.clear();
    }

    /// Adds a descriptor; the number returned is what [`Self::ready`] takes.
    pub fn add(&mut self, fd: RawFd, interest: Interest) -> usize {
        let events = match interest {
            Interest::Read => libc::POLLIN,
            Interest::Write => libc::POLLOUT,
            Interest::Both => libc::POLLIN | libc::POLLOUT,
        };
        self.fds.push(libc::pollfd {
            fd,
            events,
            revents: 0,
        });
        self.fds.len().saturating_sub(1)
    }

    /// Waits until one of them is ready or the time is over; `None` waits for ever.
    ///
    /// True when something is ready. An interrupting signal ends the wait with false: whoever
    /// cares about signals has their descriptor in the set.
    ///
    /// # Errors
    /// What poll(2) says, other than being interrupted.
    pub fn wait(&mut self, timeout: Option<Duration>) -> io::Result<bool> {
        // Rounded up, so that a wait of 0.3 ms is not a busy loop.
        let millis = timeout.map_or(-1, |t| {
            let part = t.subsec_nanos().div_ceil(1_000_000);
            let whole = t.as_secs().saturating_mul(1000);
            i32::try_from(whole.saturating_add(part.into())).unwrap_or(i32::MAX)
        });
        for fd in &mut self.fds {
            fd.revents = 0;
        }
        // SAFETY: pointer and count describe the vector, which nothing else touches meanwhile.
        let r = unsafe { libc::poll(self.fds.as_mut_ptr(), self.fds.len() as _, millis) };
        match super::check(r) {
            Ok(n) => Ok(n > 0),
            Err(e) if e.kind() == io::ErrorKind::Interrupted => Ok(false),
            Err(e) => Err(e),
        }
    }

    /// Whether any descriptor has something.
    pub fn any(&self) -> bool {
        self.fds.iter().any(|fd| fd.revents != 0)
    }

    /// Whether the descriptor added as number `index` has something, an error included.
    pub fn ready(&self, index: usize) -> bool {
        self.fds.get(index).is_some_and(|fd| fd.revents != 0)
    }

    /// Whether it may be written to without blocking.
    pub fn writable(&self, index: usize) -> bool {
        self.fds
            .get(index)
            .is_some_and(|fd| fd.revents & libc::POLLOUT != 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;
    use std::os::fd::AsRawFd;
    use std::os::unix::net::UnixStream;

    #[test]
    fn tells_which_descriptor_is_ready() {
        let (a, mut b) = UnixStream::pair().unwrap();
        let (c, _d) = UnixStream::pair().unwrap();
        let mut poll = Poll::new();
        let (i, j) = (
            poll.add(a.as_raw_fd(), Interest::Read),
            poll.add(c.as_raw_fd(), Interest::Read),
        );
        assert!(!poll.wait(Some(Duration::from_millis(1))).unwrap());
        b.write_all(b"x").unwrap();
        assert!(poll.wait(Some(Duration::from_secs(5))).unwrap());
        assert!(poll.ready(i) && !poll.ready(j));
        poll.clear();
        let k = poll.add(b.as_raw_fd(), Interest::Both);
        assert!(poll.wait(None).unwrap());
        assert!(poll.writable(k) && !poll.ready(7));
    }
}
