//! What the kernel can take from a process besides its rights: paths and TCP ports (Landlock),
//! system calls (seccomp).
//!
//! Both hold for the thread that asks and for all that it starts, so the time is before the second
//! thread. Neither can be undone. By plain system calls: `seccompiler` knows three processors, of
//! which no router has one, and together with `landlock` it costs 53 kB.

#[cfg(not(all(target_os = "linux", feature = "sys-sandbox")))]
mod absent;
#[cfg(not(all(target_os = "linux", feature = "sys-sandbox")))]
pub use absent::{limit_calls, limit_paths};
#[cfg(all(target_os = "linux", feature = "sys-sandbox"))]
mod landlock;
#[cfg(all(target_os = "linux", feature = "sys-sandbox"))]
pub use landlock::limit_paths;
#[cfg(all(target_os = "linux", feature = "sys-sandbox"))]
mod seccomp;
#[cfg(all(target_os = "linux", feature = "sys-sandbox"))]
pub use seccomp::limit_calls;

#[cfg(all(test, target_os = "linux", feature = "sys-sandbox"))]
mod tests;

use std::path::PathBuf;

/// What stays allowed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Allowed {
    /// Files, and folders with all that is in them, that may be read.
    pub reads: Vec<PathBuf>,
    /// Files, and folders with all that is in them, that may be read, written, made and removed.
    pub writes: Vec<PathBuf>,
    /// Whether programs may be started.
    pub programs: bool,
    /// Whether frames may be captured.
    pub packets: bool,
    /// TCP port that may be listened at.
    pub listens: Option<u16>,
    /// Whether TCP connections may be made.
    pub connects: bool,
}
