//! Signals as something one can poll.
//!
//! The handler does one write(2) to a socket pair and nothing else; all work happens where the
//! reader is. Not for SIGCHLD or for faults.

use std::io::{self, Read};
use std::os::fd::{AsRawFd, IntoRawFd, RawFd};
use std::os::unix::net::UnixStream;
use std::sync::atomic::{AtomicI32, Ordering};

/// The signals weir listens to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Signal {
    /// SIGHUP: read the configuration again.
    Hangup,
    /// SIGTERM: end in order.
    Terminate,
    /// SIGINT: end in order, from the keyboard.
    Interrupt,
    /// SIGUSR1: write the status to the log.
    User1,
    /// SIGUSR2: read maps again.
    User2,
}

const ALL: [(Signal, libc::c_int); 5] = [
    (Signal::Hangup, libc::SIGHUP),
    (Signal::Terminate, libc::SIGTERM),
    (Signal::Interrupt, libc::SIGINT),
    (Signal::User1, libc::SIGUSR1),
    (Signal::User2, libc::SIGUSR2),
];

/// Those that a daemon is asked something with; others end it.
const ASKING: [libc::c_int; 3] = [libc::SIGHUP, libc::SIGUSR1, libc::SIGUSR2];

/// Keeps back what a daemon is asked with until [`Signals::listen`]: maps can take seconds to read,
/// and who asks for a reload meanwhile must not end the program. Before there is a second thread.
pub fn hold() {
    mask(libc::SIG_BLOCK);
}

fn mask(how: libc::c_int) {
    // SAFETY: an all-zero set is valid to be emptied; the pointers are to local variables.
    unsafe {
        let mut set: libc::sigset_t = std::mem::zeroed();
        libc::sigemptyset(&raw mut set);
        for number in ASKING {
            libc::sigaddset(&raw mut set, number);
        }
        libc::pthread_sigmask(how, &raw const set, std::ptr::null_mut());
    }
}

/// Where the handler writes to; -1 while nobody listens.
static WRITE_END: AtomicI32 = AtomicI32::new(-1);

#[cfg(any(target_os = "illumos", target_os = "solaris"))]
use libc::___errno as errno_location;
#[cfg(any(target_os = "android", target_os = "netbsd", target_os = "openbsd"))]
use libc::__errno as errno_location;
#[cfg(any(target_os = "linux", target_os = "emscripten"))]
use libc::__errno_location as errno_location;
#[cfg(any(
    target_os = "freebsd",
    target_os = "dragonfly",
    target_vendor = "apple"
))]
use libc::__error as errno_location;

extern "C" fn handler(number: libc::c_int) {
    let byte = number as u8;
    // SAFETY: write(2) and the thread's errno are all that is touched: both are async-signal-safe.
    // The descriptor is never closed once it is in WRITE_END. errno is put back as it was, since
    // the interrupted code may be about to look at it. A full pipe loses nothing that matters:
    // there are enough wake-ups in it already.
    unsafe {
        let errno = errno_location();
        let before = *errno;
        libc::write(
            WRITE_END.load(Ordering::Relaxed),
            (&raw const byte).cast(),
            1,
        );
        *errno = before;
    }
}

/// Receives signals for the whole process. There can be one.
pub struct Signals {
    read_end: UnixStream,
}

impl Signals {
    /// Takes over the handling of these signals.
    ///
    /// # Errors
    /// `AlreadyExists` when somebody has done so before, or what the system says.
    pub fn listen() -> io::Result<Self> {
        let (read_end, write_end) = UnixStream::pair()?;
        read_end.set_nonblocking(true)?;
        write_end.set_nonblocking(true)?;
        let fd = write_end.as_raw_fd();
        if WRITE_END
            .compare_exchange(-1, fd, Ordering::SeqCst, Ordering::SeqCst)
            .is_err()
        {
            return Err(io::Error::new(
                io::ErrorKind::AlreadyExists,
                "signals are handled already",
            ));
        }
        // Stays open for ever, see `handler`.
        let _ = write_end.into_raw_fd();
        for (_, number) in ALL {
            install(number, handler as *const () as libc::sighandler_t)?;
        }
        // A limit of file sizes is an error of whoever writes, as a full disk is.
        install(libc::SIGXFSZ, libc::SIG_IGN)?;
        mask(libc::SIG_UNBLOCK);
        Ok(Self { read_end })
    }

    /// The descriptor that becomes readable when a signal has come.
    pub fn fd(&self) -> RawFd {
        self.read_end.as_raw_fd()
    }

    /// The next signal that has come, without waiting.
    pub fn take(&mut self) -> Option<Signal> {
        let mut byte = [0; 1];
        match self.read_end.read(&mut byte) {
            Ok(1) => ALL
                .iter()
                .find(|(_, number)| *number == libc::c_int::from(byte[0]))
                .map(|(signal, _)| *signal),
            _ => None,
        }
    }
}

fn install(number: libc::c_int, action: libc::sighandler_t) -> io::Result<()> {
    // SAFETY: an all-zero sigaction is valid (no flags, empty mask); the handler obeys the rules
    // of signal handlers. SA_RESTART keeps other code from seeing EINTR it does not expect; poll
    // is interrupted all the same.
    unsafe {
        let mut new: libc::sigaction = std::mem::zeroed();
        new.sa_sigaction = action;
        new.sa_flags = libc::SA_RESTART;
        libc::sigemptyset(&raw mut new.sa_mask);
        super::check(libc::sigaction(
            number,
            &raw const new,
            std::ptr::null_mut(),
        ))
        .map(|_| ())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::poll::{Interest, Poll};
    use std::time::Duration;

    #[test]
    fn a_raised_signal_wakes_the_poll_and_has_its_name() {
        hold();
        // SAFETY: raises a signal that is kept back.
        unsafe { libc::raise(libc::SIGUSR2) };
        let mut signals = Signals::listen().unwrap();
        assert_eq!(signals.take(), Some(Signal::User2));
        assert!(Signals::listen().is_err());
        assert_eq!(signals.take(), None);
        for (signal, number) in [
            (Signal::Hangup, libc::SIGHUP),
            (Signal::User1, libc::SIGUSR1),
        ] {
            // SAFETY: raises a signal that has a handler.
            unsafe { libc::raise(number) };
            let mut poll = Poll::new();
            let at = poll.add(signals.fd(), Interest::Read);
            assert!(poll.wait(Some(Duration::from_secs(5))).unwrap() && poll.ready(at));
            assert_eq!(signals.take(), Some(signal));
        }
        assert_eq!(signals.take(), None);
    }
}
