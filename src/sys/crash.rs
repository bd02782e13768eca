//! The last line of a program that dies of a signal: which one, where, in which thread.
//!
//! The handler writes what it puts together in memory of its own and does nothing else; then the
//! signal takes its usual course. Not for defects that unwind, which have a message of their own.

use super::check;
use std::io;
use std::os::fd::RawFd;
use std::sync::atomic::{AtomicBool, AtomicI32, AtomicUsize, Ordering};

/// Whether this build has it.
pub const BUILT: bool = true;

/// Signals that end a program and that nobody sends for fun.
const FATAL: &[(libc::c_int, &str)] = &[
    (libc::SIGILL, "SIGILL"),
    (libc::SIGTRAP, "SIGTRAP"),
    (libc::SIGABRT, "SIGABRT"),
    (libc::SIGBUS, "SIGBUS"),
    (libc::SIGFPE, "SIGFPE"),
    (libc::SIGSEGV, "SIGSEGV"),
    (libc::SIGSYS, "SIGSYS"),
];

/// Where the line goes.
static LOG: AtomicI32 = AtomicI32::new(2);
/// What the line begins with: the priority of syslog, plus one; zero for none.
static PRIORITY: AtomicUsize = AtomicUsize::new(0);
/// Somebody has said already why the program dies.
static SAID: AtomicBool = AtomicBool::new(false);

const VERSION: &str = env!("CARGO_PKG_VERSION");

/// Writes the line to this descriptor from now on; a datagram to a logger has a priority.
pub fn log_to(fd: RawFd, priority: Option<u32>) {
    let priority = priority.map_or(0, |p| p as usize + 1);
    PRIORITY.store(priority, Ordering::Relaxed);
    LOG.store(fd, Ordering::Relaxed);
}

/// The reason has been said; the signal that follows needs no line.
pub fn said() {
    SAID.store(true, Ordering::Relaxed);
}

/// Takes over these signals for the time that it takes to write a line.
///
/// # Errors
/// What the system says.
pub fn listen() -> io::Result<()> {
    for (number, _) in FATAL {
        // SAFETY: an all-zero sigaction is valid; the handler obeys the rules of signal handlers.
        // With RESETHAND the signal ends the program as soon as the handler returns or meets
        // another one; on the other stack, since the usual one may be what is full.
        unsafe {
            let mut new: libc::sigaction = std::mem::zeroed();
            new.sa_sigaction = handler as *const () as libc::sighandler_t;
            new.sa_flags = libc::SA_SIGINFO | libc::SA_RESETHAND | libc::SA_ONSTACK;
            libc::sigemptyset(&raw mut new.sa_mask);
            let no = std::ptr::null_mut();
            check(libc::sigaction(*number, &raw const new, no))?;
        }
    }
    Ok(())
}

/// Puts a line together without asking for memory.
struct Line {
    bytes: [u8; 160],
    used: usize,
}

impl Line {
    fn put(&mut self, text: &[u8]) {
        for byte in text {
            if let Some(free) = self.bytes.get_mut(self.used) {
                *free = *byte;
                self.used += 1;
            }
        }
    }

    fn number(&mut self, mut n: usize, base: usize) {
        let (mut digits, mut at) = ([0; 20], 20);
        loop {
            at -= 1;
            digits[at] = b"0123456789abcdef"[n % base];
            n /= base;
            if n == 0 || at == 0 {
                break;
            }
        }
        self.put(&digits[at..]);
    }
}

/// The line for a signal: where it struck, or which process sent it.
fn line(number: libc::c_int, place: Result<usize, usize>, thread: &[u8]) -> Line {
    let mut line = Line {
        bytes: [0; 160],
        used: 0,
    };
    match PRIORITY.load(Ordering::Relaxed).checked_sub(1) {
        Some(priority) => {
            line.put(b"<");
            line.number(priority, 10);
            line.put(b">weir: ");
        }
        None => line.put(b"weir: error: "),
    }
    let name = FATAL.iter().find(|(n, _)| *n == number);
    line.put(b"dies of ");
    line.put(name.map_or("a signal", |(_, name)| name).as_bytes());
    match place {
        Ok(address) => {
            line.put(b" at 0x");
            line.number(address, 16);
        }
        Err(sender) if sender == std::process::id() as usize => line.put(b", which it sent itself"),
        Err(sender) => {
            line.put(b" sent by process ");
            line.number(sender, 10);
        }
    }
    line.put(b", thread ");
    line.put(thread);
    line.put(b", weir ");
    line.put(VERSION.as_bytes());
    line.put(b"\n");
    line
}

extern "C" fn handler(number: libc::c_int, info: *mut libc::siginfo_t, _: *mut libc::c_void) {
    if !SAID.swap(true, Ordering::Relaxed) {
        // SAFETY: the kernel hands over what it knows of the signal, which is whole.
        write(number, unsafe { &*info });
    }
    // SAFETY: a fault comes again by itself, and what was sent would not. Now it has its usual
    // course, as soon as this handler has returned.
    unsafe {
        libc::raise(number);
    }
}

/// The name of this thread, up to a zero.
#[cfg(target_os = "linux")]
fn thread_name() -> [u8; 16] {
    let mut name = [0; 16];
    // SAFETY: a name has sixteen bytes at the most, with its end.
    unsafe {
        libc::prctl(libc::PR_GET_NAME, name.as_mut_ptr());
    }
    name
}

/// Other systems do not tell a handler.
#[cfg(not(target_os = "linux"))]
fn thread_name() -> [u8; 16] {
    [0; 16]
}

fn write(number: libc::c_int, info: &libc::siginfo_t) {
    // SAFETY: which of them is there follows from the code; both are numbers.
    let place = unsafe {
        match info.si_code {
            ..=0 => Err(info.si_pid() as usize),
            _ => Ok(info.si_addr() as usize),
        }
    };
    let name = thread_name();
    let end = name.iter().position(|b| *b == 0).unwrap_or(name.len());
    let line = line(number, place, &name[..end]);
    // SAFETY: write(2) may be called here; the bytes are there as far as they are used. What it
    // leaves in errno nobody looks at any more.
    unsafe {
        libc::write(
            LOG.load(Ordering::Relaxed),
            line.bytes.as_ptr().cast(),
            line.used,
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_says_signal_place_and_thread() {
        let text = |line: Line| String::from_utf8(line.bytes[..line.used].to_vec()).unwrap();
        assert_eq!(
            text(line(libc::SIGSEGV, Ok(0x1f0), b"worker 0")),
            format!("weir: error: dies of SIGSEGV at 0x1f0, thread worker 0, weir {VERSION}\n")
        );
        let long = text(line(libc::SIGABRT, Err(0), &[b'x'; 400]));
        assert!(long.starts_with("weir: error: dies of SIGABRT sent by process 0, thread x"));
        assert_eq!(long.len(), 160);
        let most = text(line(libc::SIGBUS, Ok(usize::MAX), b""));
        assert!(most.contains(&format!("0x{:x},", usize::MAX)), "{most}");
    }
}
