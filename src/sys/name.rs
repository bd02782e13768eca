//! The name of a thread. musl's own function formats a path with `printf`, for threads other than
//! the caller; that is 20 kB of a router's flash which nothing else asks for.

use std::ffi::{c_char, c_int};

/// Stands in for the C library's. The standard library calls it in each new thread, for itself.
///
/// # Safety
/// `name` must end with NUL.
#[unsafe(no_mangle)]
unsafe extern "C" fn pthread_setname_np(thread: libc::pthread_t, name: *const c_char) -> c_int {
    // SAFETY: asks who is calling and nothing else.
    if thread != unsafe { libc::pthread_self() } {
        return libc::ESRCH;
    }
    // SAFETY: the kernel reads the name up to its end, fifteen bytes at the most.
    unsafe { libc::prctl(libc::PR_SET_NAME, name) }
}
