//! Wakes a thread that sleeps in poll(2).

use std::io::{Read, Write};
use std::os::fd::{AsRawFd, RawFd};
use std::os::unix::net::UnixStream;

/// The end that wakes.
pub struct Waker(UnixStream);

/// The end that is polled.
pub struct Wakened(UnixStream);

/// A pair of both.
///
/// # Errors
/// When the system has no descriptor left.
pub fn pair() -> std::io::Result<(Waker, Wakened)> {
    let (a, b) = UnixStream::pair()?;
    a.set_nonblocking(true)?;
    b.set_nonblocking(true)?;
    Ok((Waker(a), Wakened(b)))
}

impl Waker {
    /// Wakes the other end; it is enough that one byte is waiting there.
    pub fn wake(&self) {
        let _ = (&self.0).write(&[1]);
    }
}

impl Wakened {
    /// The descriptor to poll.
    pub fn fd(&self) -> RawFd {
        self.0.as_raw_fd()
    }

    /// Forgets all wakings so far.
    pub fn clear(&self) {
        let mut bytes = [0; 64];
        while matches!((&self.0).read(&mut bytes), Ok(n) if n == bytes.len()) {}
    }
}
