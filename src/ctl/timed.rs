//! [`Timed`]: a stream on which a whole conversation has to end at a fixed time, however slowly
//! the other side drips.

use std::io::{self, Read, Write};
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

/// A stream with a deadline.
pub struct Timed {
    stream: UnixStream,
    until: Instant,
}

impl Timed {
    /// Everything on `stream` has to be done `within` from now.
    pub fn new(stream: UnixStream, within: Duration) -> Self {
        Self {
            stream,
            until: Instant::now() + within,
        }
    }

    /// Gives it more time, from now on.
    pub fn extend(&mut self, within: Duration) {
        self.until = Instant::now() + within;
    }

    fn left(&self) -> io::Result<Option<Duration>> {
        let left = self.until.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(io::ErrorKind::TimedOut.into());
        }
        Ok(Some(left))
    }
}

impl Read for Timed {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        self.stream.set_read_timeout(self.left()?)?;
        self.stream.read(bytes)
    }
}

impl Write for Timed {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.stream.set_write_timeout(self.left()?)?;
        self.stream.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.stream.flush()
    }
}
