//! What a process does to itself: leave the terminal, be nicer to others.

use super::check;
use std::io;

/// Goes on in the background: in a child process, in a session of its own, with nothing on its
/// standard streams. The parent ends at once. To be called before there is any thread.
///
/// # Errors
/// What the system says; then nothing has changed.
pub fn detach() -> io::Result<()> {
    let null = std::fs::File::options()
        .read(true)
        .write(true)
        .open("/dev/null")?;
    // SAFETY: fork copies the one thread that there is; what the parent does from then on is end,
    // without running anything that was meant for the end of the whole program.
    unsafe {
        if check(libc::fork())? > 0 {
            libc::_exit(0);
        }
    }
    // SAFETY: setsid and dup2 touch descriptors and ids alone; the child leads no group yet, so
    // it may make a session.
    unsafe {
        check(libc::setsid())?;
        for standard in 0..=2 {
            check(libc::dup2(std::os::fd::AsRawFd::as_raw_fd(&null), standard))?;
        }
    }
    Ok(())
}

/// Sets the niceness of the process.
///
/// # Errors
/// What the system says.
pub fn nice(niceness: i32) -> io::Result<()> {
    // SAFETY: no memory is involved; 0 is the calling process.
    let set = unsafe { libc::setpriority(libc::PRIO_PROCESS, 0, niceness) };
    check(set).map(|_| ())
}

/// Open files that are enough for everybody: more would only keep busy what commands do with them.
const FILES: libc::rlim_t = 65_536;

/// Limits on open files: in force, and the most that takes no right.
fn limits() -> Option<libc::rlimit> {
    // SAFETY: an all-zero structure is valid, and the pointer is to it alone.
    unsafe {
        let mut limit: libc::rlimit = std::mem::zeroed();
        (libc::getrlimit(libc::RLIMIT_NOFILE, &raw mut limit) == 0).then_some(limit)
    }
}

/// Raises the limit of open files as far as no right is needed: the usual limit is for programs
/// that wait with select(2).
pub fn open_more() {
    if let Some(mut limit) = limits() {
        limit.rlim_cur = limit.rlim_cur.max(limit.rlim_max.min(FILES));
        // SAFETY: the pointer is to a local variable.
        unsafe { libc::setrlimit(libc::RLIMIT_NOFILE, &raw const limit) };
    }
}

/// How many files may be open after [`open_more`].
pub fn files() -> usize {
    let most = limits().map_or(FILES, |limit| limit.rlim_cur.max(limit.rlim_max.min(FILES)));
    usize::try_from(most).unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests {
    #[test]
    fn niceness_may_always_grow() {
        // SAFETY: no memory is involved.
        let now = unsafe { libc::getpriority(libc::PRIO_PROCESS, 0) };
        super::nice(now).unwrap();
        // SAFETY: as above.
        assert_eq!(unsafe { libc::getpriority(libc::PRIO_PROCESS, 0) }, now);
    }
}
