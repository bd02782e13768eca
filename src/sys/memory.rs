//! How much memory the process has, and where large pieces of it come from. Not for limiting it:
//! budgets do that before.

use std::alloc::{GlobalAlloc, Layout, System};

/// The resident set of this process, in bytes; 0 where the system has no `/proc/self/statm`.
pub fn resident() -> u64 {
    let pages = std::fs::read_to_string("/proc/self/statm")
        .ok()
        .and_then(|text| text.split_ascii_whitespace().nth(1)?.parse::<u64>().ok());
    pages.unwrap_or(0).saturating_mul(page() as u64)
}

/// All memory of the system, in bytes; none where nobody says.
pub fn total() -> Option<u64> {
    #[cfg(target_os = "linux")]
    // SAFETY: sysconf only returns a number.
    let pages = unsafe { libc::sysconf(libc::_SC_PHYS_PAGES) };
    #[cfg(not(target_os = "linux"))]
    let pages: libc::c_long = 0;
    let pages = u64::try_from(pages).ok().filter(|pages| *pages > 0)?;
    Some(pages.saturating_mul(page() as u64))
}

/// The size of a memory page, in bytes.
pub fn page() -> usize {
    // SAFETY: sysconf only returns a number.
    let size = unsafe { libc::sysconf(libc::_SC_PAGESIZE) };
    usize::try_from(size)
        .ok()
        .filter(|s| s.is_power_of_two())
        .unwrap_or(4096)
}

/// From this size on a piece of memory is a mapping of its own.
const LARGE: usize = 256 << 10;

/// The system's allocator for small pieces, fresh pages for large ones: what was never written to
/// takes no memory, and what is given back goes back to the system. An allocator that fills with
/// zeroes by writing them would make every table resident that a plan has room for.
pub struct Pages;

impl Pages {
    fn is_large(layout: Layout) -> bool {
        layout.size() >= LARGE && layout.align() <= 4096
    }
}

// SAFETY: pieces are told apart by their layout alone, which is the same whenever one is handed
// back; mappings are page-aligned, zeroed, and belong to nobody else.
unsafe impl GlobalAlloc for Pages {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        if !Self::is_large(layout) {
            // SAFETY: the caller's promise.
            return unsafe { System.alloc(layout) };
        }
        let protection = libc::PROT_READ | libc::PROT_WRITE;
        let flags = libc::MAP_PRIVATE | libc::MAP_ANON;
        // SAFETY: a fresh mapping at a place of the kernel's choice.
        let at = unsafe {
            let anywhere = std::ptr::null_mut();
            libc::mmap(anywhere, layout.size(), protection, flags, -1, 0)
        };
        if at == libc::MAP_FAILED {
            return std::ptr::null_mut();
        }
        at.cast()
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller's promise; fresh pages are zeroed.
        unsafe {
            if Self::is_large(layout) {
                self.alloc(layout)
            } else {
                System.alloc_zeroed(layout)
            }
        }
    }

    unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
        // SAFETY: the caller's promise: `at` came from `alloc` with this layout.
        unsafe {
            if Self::is_large(layout) {
                libc::munmap(at.cast(), layout.size());
            } else {
                System.dealloc(at, layout);
            }
        }
    }

    unsafe fn realloc(&self, at: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        // SAFETY: the caller's promise: `at` came from `alloc` with this layout, and `size` is
        // valid for its alignment. What is copied lies within both pieces.
        unsafe {
            let new = Layout::from_size_align_unchecked(size, layout.align());
            if !Self::is_large(layout) && !Self::is_large(new) {
                return System.realloc(at, layout, size);
            }
            let to = self.alloc(new);
            if !to.is_null() {
                std::ptr::copy_nonoverlapping(at, to, layout.size().min(size));
                self.dealloc(at, layout);
            }
            to
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn large_pieces_are_zeroed_grow_shrink_and_go() {
        let layout = |size| Layout::from_size_align(size, 16).unwrap();
        let sizes = [100, LARGE - 1, LARGE, 3 * LARGE + 5, LARGE, 64];
        // SAFETY: each piece is given on with the layout it has, and freed once.
        unsafe {
            let mut at = Pages.alloc_zeroed(layout(sizes[0]));
            at.write(7);
            for pair in sizes.windows(2) {
                at = Pages.realloc(at, layout(pair[0]), pair[1]);
                assert!(!at.is_null() && at.read() == 7);
                at.add(pair[1] - 1).write(1);
            }
            Pages.dealloc(at, layout(sizes[sizes.len() - 1]));
            let zeroed = Pages.alloc_zeroed(layout(LARGE));
            let bytes = std::slice::from_raw_parts(zeroed, LARGE);
            assert!(bytes.iter().all(|b| *b == 0));
            Pages.dealloc(zeroed, layout(LARGE));
        }
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn touched_memory_shows() {
        let before = super::resident();
        let mut block = vec![0_u8; 64 << 20];
        block.iter_mut().step_by(super::page()).for_each(|b| *b = 1);
        // Other tests run beside this one and may give memory back.
        assert!(
            super::resident() >= before + (32 << 20),
            "{} {}",
            before,
            super::resident()
        );
        assert_eq!(std::hint::black_box(&block)[0], 1);
    }
}
