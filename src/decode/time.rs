//! Times in export protocols, turned into nanoseconds since 1970.
//!
//! Not for the clock of this machine: nothing here reads it.

use super::plan::number;
use crate::base::time::{Nanos, SECOND};

const MILLI: u64 = 1_000_000;
/// Seconds from 1900, where NTP counts from, to 1970.
const NTP: u64 = 2_208_988_800;

/// What a datagram says about time.
#[derive(Clone, Copy, Debug, Default)]
pub struct Clock {
    /// When it was exported.
    pub export: Nanos,
    /// The exporter's uptime then, in milliseconds, where the header has it.
    pub uptime: Option<u32>,
    /// When the uptime was zero, in nanoseconds since 1970; zero when not known.
    pub boot: u64,
}

impl Clock {
    /// The time at which the uptime was `at`. The uptime wraps after 49.7 days, and a flow may
    /// end a moment after the header was written: the distance is taken both ways around.
    #[inline]
    pub fn at_uptime(&self, at: u32) -> u64 {
        let Some(uptime) = self.uptime else {
            if self.boot == 0 {
                return 0;
            }
            return self
                .boot
                .saturating_add(u64::from(at).saturating_mul(MILLI));
        };
        let ago = i64::from(uptime.wrapping_sub(at) as i32).saturating_mul(MILLI as i64);
        self.export.0.saturating_sub_signed(ago)
    }
}

/// How a time is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    /// Milliseconds of uptime (elements 21, 22).
    Uptime,
    /// Seconds since 1970.
    Second,
    /// Milliseconds since 1970.
    Milli,
    /// NTP timestamp: seconds since 1900 and their 2^32nd parts (RFC 7011 §6.1.9, §6.1.10).
    Ntp,
    /// Microseconds before the export (elements 158, 159).
    Delta,
}

impl Unit {
    /// Nanoseconds since 1970; zero when the value is zero or beyond what they can count.
    #[inline]
    pub fn read(self, value: &[u8], clock: &Clock) -> u64 {
        let n = number(value);
        match self {
            Self::Uptime => clock.at_uptime(n as u32),
            Self::Milli => n.checked_mul(MILLI).unwrap_or(0),
            Self::Second => n.checked_mul(SECOND).unwrap_or(0),
            Self::Ntp => ntp(n),
            Self::Delta => match n.checked_mul(1000) {
                Some(ago) => clock.export.0.saturating_sub(ago),
                None => 0,
            },
        }
    }
}

fn ntp(n: u64) -> u64 {
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
            boot: 0,
        };
        assert_eq!(clock.at_uptime(u32::MAX - 4), export.0 - 10 * MILLI);
        assert_eq!(clock.at_uptime(7), export.0 + 2 * MILLI);
        let clock = Clock {
            export,
            uptime: None,
            boot: 0,
        };
        assert_eq!(clock.at_uptime(7), 0);
        let clock = Clock {
            boot: SECOND,
            ..clock
        };
        assert_eq!(clock.at_uptime(7), SECOND + 7 * MILLI);
    }

    #[test]
    fn units_agree_on_a_moment() {
        let clock = Clock {
            export: Nanos(1_700_000_001 * SECOND),
            ..Clock::default()
        };
        let want = 1_700_000_000 * SECOND;
        let ntp = (1_700_000_000u64 + NTP) << 32;
        assert_eq!(
            Unit::Second.read(&1_700_000_000u32.to_be_bytes(), &clock),
            want
        );
        assert_eq!(
            Unit::Milli.read(&1_700_000_000_000u64.to_be_bytes(), &clock),
            want
        );
        assert_eq!(Unit::Ntp.read(&ntp.to_be_bytes(), &clock), want);
        assert_eq!(
            Unit::Ntp.read(&(ntp | 1 << 31).to_be_bytes(), &clock),
            want + SECOND / 2
        );
        assert_eq!(Unit::Delta.read(&1_000_000u32.to_be_bytes(), &clock), want);
        assert_eq!(Unit::Milli.read(&[0xff; 8], &clock), 0);
        // Past 2036 the seconds begin again.
        assert_eq!(
            Unit::Ntp.read(&(100u64 << 32).to_be_bytes(), &clock),
            ((1u64 << 32) + 100 - NTP) * SECOND
        );
    }
}
