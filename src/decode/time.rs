//! Times in export protocols, turned into nanoseconds since 1970.
//!
//! Not for the clock of this machine: nothing here reads it.

use crate::base::time::{Nanos, SECOND};

const MILLI: u64 = 1_000_000;
/// Seconds from 1900, where NTP counts from, to 1970.
const NTP: u64 = 2_208_988_800;
/// Milliseconds by which a flow may end after its header was written, over a wrap of the uptime.
const MOMENT: u32 = 600_000;

/// What a datagram says about time.
#[derive(Clone, Copy, Debug, Default)]
pub struct Clock {
    /// When it was exported.
    pub export: Nanos,
    /// The exporter's uptime then, in milliseconds, where the header has it.
    pub uptime: Option<u32>,
    /// When the uptime was zero, in nanoseconds since 1970; zero when not known.
    pub boot: u64,
    /// Uptimes are whole seconds; where the header has none, they count from a start that the
    /// record itself says, and from no other.
    pub whole: bool,
}

impl Clock {
    /// The time at which the uptime was `at` milliseconds; zero when that can not be known.
    ///
    /// The uptime wraps after 49.7 days, and a flow may end a moment after the header was
    /// written. So what is less than the header's uptime is past, however long, unless it is
    /// nearly a whole turn away; what is more is ahead or, when that is nearer, of the turn before.
    /// Where the header has no uptime, it began at `boot`, or else when options said.
    #[inline]
    pub fn at_uptime(&self, at: u32, boot: u64) -> u64 {
        if let Some(uptime) = self.uptime {
            let millis = match uptime.checked_sub(at) {
                Some(ago) if ago <= u32::MAX.wrapping_sub(MOMENT) => i64::from(ago),
                _ => i64::from(uptime.wrapping_sub(at) as i32),
            };
            let ago = match self.whole {
                true => (millis / 1000).wrapping_mul(SECOND as i64),
                false => millis.wrapping_mul(MILLI as i64),
            };
            return self.export.0.saturating_sub_signed(ago);
        }
        let since = u64::from(at).saturating_mul(MILLI);
        let whole = |nanos: u64| nanos.saturating_sub(nanos % SECOND);
        match (boot, self.boot) {
            (0, _) if self.whole => 0,
            (boot, _) if self.whole => whole(boot).saturating_add(whole(since)),
            (0, 0) => 0,
            (0, boot) | (boot, _) => boot.saturating_add(since),
        }
    }

    /// So many microseconds before the export (elements 158, 159); zero when beyond 1970.
    pub fn before_export(&self, micros: u64) -> u64 {
        let ago = micros.checked_mul(1000);
        ago.and_then(|ago| self.export.0.checked_sub(ago))
            .unwrap_or(0)
    }
}

/// Milliseconds since 1970 in nanoseconds; zero when they can not be counted.
#[inline]
pub fn milli(n: u64) -> u64 {
    n.checked_mul(MILLI).unwrap_or(0)
}

/// An NTP timestamp, seconds since 1900 and their 2^32nd parts (RFC 7011 §6.1.9, §6.1.10), in
/// nanoseconds since 1970; zero stays zero.
pub fn ntp(n: u64) -> u64 {
    let (mut seconds, parts) = (n >> 32, n & 0xffff_ffff);
    if n == 0 {
        return 0;
    }
    if seconds < NTP {
        // The second era began in 2036.
        seconds = seconds.saturating_add(1 << 32);
    }
    let nanos = parts.wrapping_mul(SECOND) >> 32;
    seconds
        .saturating_sub(NTP)
        .saturating_mul(SECOND)
        .saturating_add(nanos)
}

#[cfg(test)]
#[allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects
)]
mod tests {
    use super::*;

    #[test]
    fn uptimes_wrap() {
        let export = Nanos(1_700_000_000 * SECOND);
        let clock = Clock {
            export,
            uptime: Some(5),
            ..Clock::default()
        };
        assert_eq!(clock.at_uptime(u32::MAX - 4, 0), export.0 - 10 * MILLI);
        assert_eq!(clock.at_uptime(7, 0), export.0 + 2 * MILLI);
        // A flow of a month is past, not ahead; and the header may be from just before the wrap.
        let month = 2_592_000_000;
        let at = |uptime| Clock {
            uptime: Some(uptime),
            ..clock
        };
        let begun = export.0 - u64::from(month) * MILLI;
        assert_eq!(at(month).at_uptime(0, 0), begun);
        assert_eq!(at(u32::MAX).at_uptime(4, 0), export.0 + 5 * MILLI);
        let turn = u64::from(u32::MAX) * MILLI;
        assert_eq!(at(u32::MAX).at_uptime(0, 0), export.0 + MILLI);
        assert_eq!(
            at(u32::MAX - MOMENT).at_uptime(0, 0),
            export.0 - turn + u64::from(MOMENT) * MILLI
        );
        let whole = Clock {
            whole: true,
            uptime: Some(5000),
            ..clock
        };
        assert_eq!(whole.at_uptime(3001, 0), export.0 - SECOND);
        assert_eq!(whole.at_uptime(4001, 0), export.0);
        assert_eq!(whole.at_uptime(6000, 0), export.0 + SECOND);
        let clock = Clock {
            export,
            uptime: None,
            ..Clock::default()
        };
        assert_eq!(clock.at_uptime(7, 0), 0);
        let export = Clock {
            whole: true,
            boot: SECOND,
            ..clock
        };
        assert_eq!(export.at_uptime(7, 0), 0);
        assert_eq!(export.at_uptime(1999, 5 * SECOND + 999 * MILLI), 6 * SECOND);
        let clock = Clock {
            boot: SECOND,
            ..clock
        };
        assert_eq!(clock.at_uptime(7, 0), SECOND + 7 * MILLI);
        assert_eq!(clock.at_uptime(7, 9 * SECOND), 9 * SECOND + 7 * MILLI);
    }

    #[test]
    fn units_agree_on_a_moment() {
        let clock = Clock {
            export: Nanos(1_700_000_001 * SECOND),
            ..Clock::default()
        };
        let want = 1_700_000_000 * SECOND;
        let stamp = (1_700_000_000u64 + NTP) << 32;
        assert_eq!(milli(1_700_000_000_000), want);
        assert_eq!(ntp(stamp), want);
        assert_eq!(ntp(stamp | 1 << 31), want + SECOND / 2);
        assert_eq!(clock.before_export(1_000_000), want);
        assert_eq!(
            (milli(u64::MAX), clock.before_export(u64::MAX), ntp(0)),
            (0, 0, 0)
        );
        // Past 2036 the seconds begin again.
        assert_eq!(ntp(100 << 32), ((1u64 << 32) + 100 - NTP) * SECOND);
    }
}
