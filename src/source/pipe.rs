//! Savefiles that come through a FIFO, a pipe on standard input or a terminal: as they come.
//!
//! Nothing here waits: not for a writer to open the FIFO, not for the file header, not for the
//! rest of a frame. So a silent writer holds up neither the other inputs nor the stop.
#![deny(clippy::indexing_slicing, clippy::unwrap_used, clippy::expect_used)]
#![deny(clippy::arithmetic_side_effects, clippy::panic)]

use super::savefile::{Raw, SavefileSource};
use super::{Frame, Loss, Progress, Source, SourceError};
use crate::sys::poll::{Interest, Poll};
use std::fs::File;
use std::io::{ErrorKind, Read};
use std::os::fd::{AsFd, AsRawFd};
use std::os::unix::fs::OpenOptionsExt;
use std::time::Duration;

/// Frames from a savefile that is still being written, in order of their bytes.
pub struct Pipe {
    fd: i32,
    state: State,
}

enum State {
    /// What tells the format is not all there.
    Head(Raw),
    Body(SavefileSource),
    Ended,
}

/// Reads what is there, and says so where that is nothing.
struct Ready(File, Poll);

impl Read for Ready {
    fn read(&mut self, to: &mut [u8]) -> std::io::Result<usize> {
        // Asked first, because the descriptor may be one that waits, as that of standard input,
        // and because a FIFO that nobody has opened yet would look like one at its end.
        self.1.clear();
        let at = self.1.add(self.0.as_raw_fd(), Interest::Read);
        self.1.wait(Some(Duration::ZERO))?;
        if self.1.ready(at) {
            self.0.read(to)
        } else {
            Err(ErrorKind::WouldBlock.into())
        }
    }
}

/// Opens what is at `path`, `-` for standard input, without waiting for anybody.
fn open(path: &str) -> std::io::Result<File> {
    if path == "-" {
        return Ok(File::from(std::io::stdin().as_fd().try_clone_to_owned()?));
    }
    let mut options = std::fs::OpenOptions::new();
    options.read(true).custom_flags(libc::O_NONBLOCK).open(path)
}

/// Opens a savefile that may be no regular file. `-` is standard input, which may be one.
///
/// # Errors
/// `Io` when it can not be opened; for a regular file as [`SavefileSource::open`].
pub fn source(path: &str) -> Result<Box<dyn Source>, SourceError> {
    let file = open(path)?;
    let meta = file.metadata()?;
    if meta.is_file() {
        let source = SavefileSource::start(Box::new(file), Some(meta.len()))?;
        return Ok(Box::new(source));
    }
    Ok(Box::new(Pipe {
        fd: file.as_raw_fd(),
        state: State::Head(Raw::new(Box::new(Ready(file, Poll::new())))),
    }))
}

impl Pipe {
    /// Goes on with the beginning of the file; false while not all of it is there.
    fn begin(&mut self) -> Result<bool, SourceError> {
        if let State::Head(raw) = &mut self.state {
            if waits(raw.look())? {
                return Ok(false);
            }
            if let State::Head(raw) = std::mem::replace(&mut self.state, State::Ended) {
                self.state = State::Body(SavefileSource::of(raw, None)?);
            }
        }
        match &mut self.state {
            State::Body(source) if !source.begun() => Ok(!waits(source.begin())?),
            _ => Ok(true),
        }
    }
}

/// Whether it would have had to wait.
fn waits(result: Result<(), SourceError>) -> Result<bool, SourceError> {
    match result {
        Ok(()) => Ok(false),
        Err(SourceError::Io(e)) if e.kind() == ErrorKind::WouldBlock => Ok(true),
        Err(e) => Err(e),
    }
}

impl Source for Pipe {
    fn fd(&self) -> Option<i32> {
        Some(self.fd)
    }

    /// As that of [`SavefileSource`]; what is no savefile at all is an `Io` error here as well.
    fn read(&mut self, to: &mut dyn FnMut(&Frame<'_>)) -> Result<Progress, SourceError> {
        match self.begin() {
            Ok(true) => match &mut self.state {
                State::Body(source) => source.read(to),
                _ => Ok(Progress::End),
            },
            Ok(false) => Ok(Progress::Idle),
            Err(e) => {
                self.state = State::Ended;
                Err(SourceError::Io(match e {
                    SourceError::Format(what) => std::io::Error::other(what),
                    SourceError::Io(e) => e,
                }))
            }
        }
    }

    fn loss(&self) -> Loss {
        match &self.state {
            State::Body(source) => source.loss(),
            _ => Loss::default(),
        }
    }

    fn position(&self) -> Option<(u64, Option<u64>)> {
        match &self.state {
            State::Body(source) => source.position(),
            _ => Some((0, None)),
        }
    }
}
