//! Landlock: which paths and TCP ports a thread and all that it starts may still use.
//!
//! From Linux 5.13 on; later versions of its interface can refuse more, and what the running one
//! can not is said in words.

use super::Allowed;
use crate::sys::{check, rights};
use std::ffi::CString;
use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

/// Numbers of the system calls. Those from 424 on are the same for every processor, but for what
/// MIPS adds to all of its own: `clone3` is 435, and these are 444 to 446.
const CREATE: libc::c_long = libc::SYS_clone3 + 9;
const ADD: libc::c_long = libc::SYS_clone3 + 10;
const RESTRICT: libc::c_long = libc::SYS_clone3 + 11;

const ASK_VERSION: libc::c_uint = 1;
const PATH_BENEATH: libc::c_uint = 1;
const NET_PORT: libc::c_uint = 2;

const EXECUTE: u64 = 1;
const WRITE_FILE: u64 = 1 << 1;
const READ_FILE: u64 = 1 << 2;
const READ_DIR: u64 = 1 << 3;
/// Removing and making of everything, up to symbolic links.
const CHANGE: u64 = 0b1_1111_1111 << 4;
const MAKE_CHAR: u64 = 1 << 6;
const MAKE_BLOCK: u64 = 1 << 11;
/// Renaming to another folder: version 2; before that it is always refused.
const REFER: u64 = 1 << 13;
/// Version 3.
const TRUNCATE: u64 = 1 << 14;
/// What can be allowed of a file that is not a folder.
const OF_FILES: u64 = EXECUTE | WRITE_FILE | READ_FILE | TRUNCATE;

/// Version 4.
const BIND_TCP: u64 = 1;
const CONNECT_TCP: u64 = 1 << 1;
/// Signals to processes outside: version 6.
const SIGNALS: u64 = 1 << 1;

/// `struct landlock_ruleset_attr`; older versions have less of it.
#[repr(C)]
struct Ruleset {
    files: u64,
    net: u64,
    scoped: u64,
}

/// `struct landlock_path_beneath_attr`, which is packed.
#[repr(C, packed)]
struct Beneath {
    allowed: u64,
    parent: i32,
}

/// `struct landlock_net_port_attr`.
#[repr(C)]
struct Port {
    allowed: u64,
    port: u64,
}

/// The version of the interface.
fn version() -> io::Result<u32> {
    // SAFETY: with this flag there is neither pointer nor size.
    let asked = unsafe {
        libc::syscall(
            CREATE,
            std::ptr::null::<Ruleset>(),
            0 as libc::size_t,
            ASK_VERSION,
        )
    };
    match asked {
        n if n > 0 => Ok(n as u32),
        _ => Err(match io::Error::last_os_error().raw_os_error() {
            Some(libc::ENOSYS) => {
                io::Error::new(io::ErrorKind::Unsupported, "the kernel has no Landlock")
            }
            Some(libc::EOPNOTSUPP) => io::Error::new(
                io::ErrorKind::Unsupported,
                "Landlock is switched off in the kernel (lsm=)",
            ),
            _ => io::Error::last_os_error(),
        }),
    }
}

/// The rights that a version of the interface can refuse.
fn handled(version: u32, allowed: &Allowed) -> Ruleset {
    let mut files = EXECUTE | WRITE_FILE | READ_FILE | READ_DIR | CHANGE;
    for (from, right) in [(2, REFER), (3, TRUNCATE)] {
        if version >= from {
            files |= right;
        }
    }
    let net = match version {
        4.. if allowed.connects => BIND_TCP,
        4.. => BIND_TCP | CONNECT_TCP,
        _ => 0,
    };
    let scoped = if version >= 6 { SIGNALS } else { 0 };
    Ruleset { files, net, scoped }
}

/// Takes all paths from this thread but those that are allowed, and from version 4 on TCP ports,
/// from 6 on signals to others. Says what is in force.
///
/// # Errors
/// `Unsupported` where the kernel has no Landlock.
pub fn limit_paths(allowed: &Allowed) -> io::Result<String> {
    let version = version()?;
    let rules = handled(version, allowed);
    let size = match version {
        ..=3 => 8,
        4..=5 => 16,
        _ => size_of::<Ruleset>(),
    };
    let none: libc::c_uint = 0;
    // SAFETY: the structure is at least as long as is said, and outlives the call; what comes back
    // is a descriptor of ours.
    let set = unsafe {
        let fd = check(libc::syscall(CREATE, &raw const rules, size, none) as _)?;
        OwnedFd::from_raw_fd(fd)
    };
    let program = if allowed.programs { EXECUTE } else { 0 };
    let reading = READ_FILE | READ_DIR | program;
    let writing = rules.files & !(EXECUTE | MAKE_CHAR | MAKE_BLOCK);
    let mut counts = [0, 0];
    let reads = allowed.reads.iter().map(|path| (path, reading));
    let writes = allowed.writes.iter().map(|path| (path, writing));
    for (path, rights) in reads.chain(writes) {
        if beneath(&set, path, rights & rules.files)? {
            counts[usize::from(rights == writing)] += 1;
        }
    }
    if let Some(port) = allowed.listens.filter(|_| version >= 4) {
        let port = Port {
            allowed: BIND_TCP,
            port: u64::from(port),
        };
        // SAFETY: the kernel reads the structure that this kind of rule has.
        check(unsafe {
            libc::syscall(ADD, set.as_raw_fd(), NET_PORT, &raw const port, none) as _
        })?;
    }
    rights::no_more()?;
    // SAFETY: a descriptor and a number.
    check(unsafe { libc::syscall(RESTRICT, set.as_raw_fd(), none) as _ })?;
    let [reads, writes] = counts;
    let lacks = match version {
        1 => "; lacks renaming between folders, truncation, TCP ports, signals (Linux 6.12)",
        2 => "; lacks truncation, TCP ports, signals (Linux 6.12)",
        3 => "; lacks TCP ports, signals (Linux 6.12)",
        4 | 5 => "; lacks signals (Linux 6.12)",
        _ => "",
    };
    Ok(format!(
        "version {version}, {reads} paths to read, {writes} to write{lacks}"
    ))
}

/// Allows what is at a path and below; false where nothing is there.
fn beneath(set: &OwnedFd, path: &Path, mut rights: u64) -> io::Result<bool> {
    let Ok(name) = CString::new(path.as_os_str().as_bytes()) else {
        return Ok(false);
    };
    // SAFETY: the name ends with NUL; what comes back is a descriptor of ours.
    let parent = unsafe {
        match libc::open(name.as_ptr(), libc::O_PATH | libc::O_CLOEXEC) {
            -1 => return Ok(false),
            fd => OwnedFd::from_raw_fd(fd),
        }
    };
    if !path.is_dir() {
        rights &= OF_FILES;
    }
    let rule = Beneath {
        allowed: rights,
        parent: parent.as_raw_fd(),
    };
    let none: libc::c_uint = 0;
    // SAFETY: the kernel reads the structure that this kind of rule has.
    check(unsafe {
        libc::syscall(ADD, set.as_raw_fd(), PATH_BENEATH, &raw const rule, none) as _
    })?;
    Ok(true)
}
