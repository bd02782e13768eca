//! Is somebody watching, and how wide is their window. Not for drawing.

use std::io::IsTerminal;
use std::os::fd::{AsFd, AsRawFd};

/// Whether this descriptor is a terminal.
pub fn is(fd: &impl AsFd) -> bool {
    fd.as_fd().is_terminal()
}

/// Columns of the terminal on this descriptor; else what `COLUMNS` says; else 80.
pub fn width(fd: &impl AsFd) -> usize {
    window(fd)
        .or_else(|| std::env::var("COLUMNS").ok()?.parse().ok())
        .filter(|columns| (1..=10_000).contains(columns))
        .unwrap_or(80)
}

fn window(fd: &impl AsFd) -> Option<usize> {
    let mut size = libc::winsize {
        ws_row: 0,
        ws_col: 0,
        ws_xpixel: 0,
        ws_ypixel: 0,
    };
    // SAFETY: TIOCGWINSZ fills in one winsize, which lives through the call.
    let r = unsafe { libc::ioctl(fd.as_fd().as_raw_fd(), libc::TIOCGWINSZ as _, &raw mut size) };
    (r == 0 && size.ws_col > 0).then_some(usize::from(size.ws_col))
}

#[cfg(test)]
mod tests {
    #[test]
    fn a_pipe_is_no_terminal_and_has_a_usable_width() {
        let (reader, _writer) = std::io::pipe().unwrap();
        assert!(!super::is(&reader));
        assert!(super::width(&reader) >= 1);
    }
}
