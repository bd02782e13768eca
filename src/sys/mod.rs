//! Everything that talks to the kernel below what `std` offers; the only home of `unsafe`.
//!
//! Not for formats: what the bytes mean is the business of `wire` and `source`.

#[cfg(feature = "sys-crash")]
pub mod crash;
#[cfg(not(feature = "sys-crash"))]
#[path = "crash/absent.rs"]
pub mod crash;
pub mod fifo;
pub mod memory;
#[cfg(all(target_os = "linux", target_env = "musl"))]
mod name;
pub mod notify;
pub mod pcap;
#[cfg(target_os = "linux")]
pub mod plain;
pub mod poll;
pub mod process;
#[cfg(target_os = "linux")]
pub mod rights;
#[cfg(not(target_os = "linux"))]
#[path = "rights/absent.rs"]
pub mod rights;
#[cfg(target_os = "linux")]
pub mod ring;
pub mod sandbox;
pub mod signal;
pub mod syslog;
pub mod terminal;
pub mod udp;
pub mod user;
pub mod waker;

// Where libpcap's functions come from. Beside the registries and `lib.rs` this is the one place
// that asks for a feature: a foreign library is linked, looked for, or left out.
#[cfg(all(
    feature = "rule-filter",
    not(feature = "rule-filter-static"),
    not(target_feature = "crt-static")
))]
#[path = "pcap/load.rs"]
mod libpcap;
#[cfg(feature = "rule-filter-static")]
#[path = "pcap/link.rs"]
mod libpcap;
#[cfg(all(
    feature = "rule-filter",
    not(feature = "rule-filter-static"),
    target_feature = "crt-static"
))]
#[path = "pcap/fixed.rs"]
mod libpcap;
#[cfg(not(feature = "rule-filter"))]
#[path = "pcap/absent.rs"]
mod libpcap;

use std::io;
use std::os::fd::RawFd;

/// Turns the usual `-1` of a system call into the error it stands for.
fn check(result: libc::c_int) -> io::Result<libc::c_int> {
    if result < 0 {
        Err(io::Error::last_os_error())
    } else {
        Ok(result)
    }
}

/// Sets a socket option whose value is a plain old type.
fn set_option<T: Copy>(fd: RawFd, level: i32, name: i32, value: &T) -> io::Result<()> {
    // SAFETY: the pointer and the length describe `value`, which outlives the call.
    let r = unsafe {
        let size = size_of::<T>() as libc::socklen_t;
        libc::setsockopt(fd, level, name, std::ptr::from_ref(value).cast(), size)
    };
    check(r).map(|_| ())
}

/// Reads a socket option into `value`; the length is what the kernel filled in.
fn get_option<T: Copy>(fd: RawFd, level: i32, name: i32, value: &mut T) -> io::Result<usize> {
    let mut size = size_of::<T>() as libc::socklen_t;
    // SAFETY: the kernel writes at the most `size` bytes to `value`; callers pass integer types
    // and C structs of integers, for which every bit pattern is a value.
    let r = unsafe {
        libc::getsockopt(
            fd,
            level,
            name,
            std::ptr::from_mut(value).cast(),
            &raw mut size,
        )
    };
    check(r).map(|_| size as usize)
}
