//! Offsets from UTC: how long one holds, and a memory of the last one.

use super::civil::{Civil, DAY};
use super::time::Nanos;
use super::zone::Zone;

/// An offset from UTC and when it holds: `from` ≤ seconds since 1970 < `until`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    /// First second.
    pub from: i64,
    /// First second after.
    pub until: i64,
    /// Seconds east of UTC.
    pub offset: i32,
}

impl Span {
    /// An offset that never changes.
    pub const fn always(offset: i32) -> Self {
        Self {
            from: i64::MIN,
            until: i64::MAX,
            offset,
        }
    }
}

/// `UTC`, `Z`, or an offset like `+02:00`, `-0330`, `+1`, in seconds east.
pub fn parse(name: &str) -> Option<i32> {
    if matches!(name, "UTC" | "utc" | "Z" | "Etc/UTC") {
        return Some(0);
    }
    let (sign, rest) = match name.split_at_checked(1)? {
        ("+", rest) => (1, rest),
        ("-", rest) => (-1, rest),
        _ => return None,
    };
    if !rest.bytes().all(|b| b.is_ascii_digit() || b == b':') {
        return None;
    }
    let (hours, minutes) = match (rest.split_once(':'), rest.len()) {
        (Some((h, m)), _) if m.len() == 2 => (h, m),
        (None, 1 | 2) => (rest, "0"),
        (None, 4) => rest.split_at(2),
        _ => return None,
    };
    let (hours, minutes): (i32, i32) = (hours.parse().ok()?, minutes.parse().ok()?);
    (hours <= 18 && minutes < 60).then_some(sign * (hours * 3600 + minutes * 60))
}

/// A zone's wall clock, with a memory of the offset that held last: times of one run lie close
/// together, so the database is asked a few times in all.
#[derive(Clone, Debug)]
pub struct Wall {
    zone: Zone,
    span: Span,
}

impl Wall {
    /// The wall clock of `zone`.
    pub fn new(zone: Zone) -> Self {
        // A span that holds nowhere: the first question goes to the zone.
        let span = Span {
            from: 0,
            until: 0,
            offset: 0,
        };
        Self { zone, span }
    }

    /// The offset that holds at `seconds` since 1970.
    #[inline]
    pub fn span(&mut self, seconds: i64) -> Span {
        if seconds < self.span.from || seconds >= self.span.until {
            self.span = self.zone.span(seconds);
        }
        self.span
    }

    /// The calendar fields of `time`.
    pub fn civil(&mut self, time: Nanos) -> Civil {
        let seconds = time.seconds() as i64;
        Civil::new(seconds, self.span(seconds).offset)
    }

    /// The first instant at which the clock shows `local` (seconds since 1970-01-01 00:00 on
    /// that clock) or later: where the clock jumps over it, the jump; where it shows it twice,
    /// the first time.
    pub fn instant(&mut self, local: i64) -> i64 {
        let before = self.span(local - DAY).offset;
        let first = local - i64::from(before);
        let there = self.span(first);
        if there.offset == before {
            return first;
        }
        let second = local - i64::from(there.offset);
        if self.span(second).offset == there.offset {
            second
        } else {
            there.from
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn offsets_as_people_write_them() {
        assert_eq!(parse("UTC"), Some(0));
        assert_eq!(parse("+02:00"), Some(7200));
        assert_eq!(parse("-0330"), Some(-12_600));
        assert_eq!(parse("+1"), Some(3600));
        for wrong in ["", "+", "02:00", "+2:0", "+99:00", "+1:é", "é", "+12345"] {
            assert_eq!(parse(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn a_zone_by_name_or_a_sentence() {
        assert!(Zone::named("local").is_ok());
        let message = Zone::named("Europe/Atlantis").unwrap_err();
        assert!(message.contains("Europe/Atlantis") && message.contains("+02:00"));
        let mut wall = Wall::new(Zone::named("+05:30").unwrap());
        let c = wall.civil(Nanos::new(0, 0));
        assert_eq!((c.hour, c.minute, c.offset), (5, 30, 19_800));
    }
}
