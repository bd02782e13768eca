//! How much memory the process has. Not for limiting it: budgets do that before.

/// The resident set of this process, in bytes; 0 where the system has no `/proc/self/statm`.
pub fn resident() -> u64 {
    let pages = std::fs::read_to_string("/proc/self/statm")
        .ok()
        .and_then(|text| text.split_ascii_whitespace().nth(1)?.parse::<u64>().ok());
    pages.unwrap_or(0).saturating_mul(page() as u64)
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

#[cfg(test)]
mod tests {
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
