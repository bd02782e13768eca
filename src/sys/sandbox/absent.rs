//! A build or a system that can take nothing from a process.

use super::Allowed;
use std::io;

const WHY: &str = if cfg!(target_os = "linux") {
    "this build has no `sys-sandbox`"
} else {
    "not on this system"
};

/// Takes all paths from this thread but those that are allowed.
///
/// # Errors
/// Always.
pub fn limit_paths(_: &Allowed) -> io::Result<String> {
    Err(io::Error::new(io::ErrorKind::Unsupported, WHY))
}

/// Takes all system calls from this thread that weir has no use for.
///
/// # Errors
/// Always.
pub fn limit_calls(_: &Allowed) -> io::Result<String> {
    Err(io::Error::new(io::ErrorKind::Unsupported, WHY))
}
