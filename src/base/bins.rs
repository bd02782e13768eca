//! Time bins: which one a point in time lies in, by the calendar of a zone.
//!
//! [`Bins`] remembers the last bin, so the data path compares two numbers per record and comes
//! here when a record lies outside.

use super::civil::{DAY, date, days, weekday};
use super::offset::Wall;
use super::time::{Nanos, SECOND};
use super::zone::Zone;

/// Length of time bins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Every {
    /// Seconds; bins begin at multiples of it since midnight where it divides a day, else since
    /// 1970.
    Seconds(u32),
    /// From midnight to midnight in the configured zone.
    Day,
    /// From Monday to Monday.
    Week,
    /// Calendar months.
    Month,
}

/// The bins of one length in one zone.
#[derive(Clone, Debug)]
pub struct Bins {
    every: Every,
    wall: Wall,
    current: (Nanos, Nanos),
}

impl Bins {
    /// Bins of length `every` by the wall clock of `zone`.
    pub fn new(every: Every, zone: Zone) -> Self {
        Self {
            every,
            wall: Wall::new(zone),
            current: (Nanos(0), Nanos(0)),
        }
    }

    /// Start of the bin that `time` lies in, and start of the next one. A day may have 23 or 25
    /// hours. Before 1970 there is nothing: a bin that began earlier begins at zero.
    #[inline]
    pub fn of(&mut self, time: Nanos) -> (Nanos, Nanos) {
        if time < self.current.0 || time >= self.current.1 {
            let (start, end) = self.find(time.seconds() as i64);
            self.current = (nanos(start), nanos(end));
        }
        self.current
    }

    fn find(&mut self, at: i64) -> (i64, i64) {
        let span = self.wall.span(at);
        let local = at + i64::from(span.offset);
        match self.every {
            Every::Seconds(n) => {
                let n = i64::from(n.max(1));
                if DAY % n != 0 {
                    let start = at - at.rem_euclid(n);
                    return (start, start + n);
                }
                let floor = local - local.rem_euclid(n);
                if n > 3600 {
                    return self.between(at, floor, |local| local + n);
                }
                // An hour may come twice: its bins differ although the clock shows the same, so
                // a bin ends where the offset changes.
                let start = floor - i64::from(span.offset);
                (start.max(span.from), (start + n).min(span.until))
            }
            Every::Day => {
                let start = local - local.rem_euclid(DAY);
                self.between(at, start, |local| local + DAY)
            }
            Every::Week => {
                let day = local.div_euclid(DAY);
                let start = (day - i64::from(weekday(day))) * DAY;
                self.between(at, start, |local| local + 7 * DAY)
            }
            Every::Month => {
                let (year, month, _) = date(local.div_euclid(DAY));
                self.between(at, days(year, month, 1) * DAY, next_month)
            }
        }
    }

    /// The instants of a bin that begins when the clock shows `local`. Where the clock goes back
    /// over a boundary, what the clock shows may belong to the bin before.
    fn between(&mut self, at: i64, mut local: i64, next: impl Fn(i64) -> i64) -> (i64, i64) {
        let mut start = self.wall.instant(local);
        loop {
            local = next(local);
            let end = self.wall.instant(local);
            if at < end {
                return (start, end);
            }
            start = end;
        }
    }
}

/// Local start of the month after the one that begins at `local`.
fn next_month(local: i64) -> i64 {
    match date(local.div_euclid(DAY)) {
        (year, 12, _) => days(year + 1, 1, 1) * DAY,
        (year, month, _) => days(year, month + 1, 1) * DAY,
    }
}

fn nanos(seconds: i64) -> Nanos {
    Nanos(u64::try_from(seconds).unwrap_or(0).saturating_mul(SECOND))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(year: i32, month: u8, day: u8, seconds: i64) -> Nanos {
        nanos(days(year, month, day) * DAY + seconds)
    }

    #[test]
    fn bins_of_seconds_begin_at_midnight_or_in_1970() {
        let mut five = Bins::new(Every::Seconds(300), Zone::UTC);
        let noon = at(2026, 3, 1, 43_200);
        assert_eq!(
            five.of(Nanos(noon.0 + 7)),
            (noon, Nanos(noon.0 + 300 * SECOND))
        );
        assert_eq!(five.of(Nanos(noon.0 - 1)).1, noon);
        let mut six = Bins::new(Every::Seconds(6 * 3600), Zone::named("+05:30").unwrap());
        assert_eq!(six.of(noon).0, at(2026, 3, 1, 23_400));
        let mut seven = Bins::new(Every::Seconds(420), Zone::named("+05:30").unwrap());
        assert_eq!(seven.of(noon).0.seconds() % 420, 0);
    }

    #[test]
    fn months_weeks_and_leap_days() {
        let mut month = Bins::new(Every::Month, Zone::UTC);
        let leap = month.of(at(2024, 2, 29, 86_399));
        assert_eq!(leap, (at(2024, 2, 1, 0), at(2024, 3, 1, 0)));
        let december = month.of(at(2025, 12, 31, 86_399));
        assert_eq!(december, (at(2025, 12, 1, 0), at(2026, 1, 1, 0)));
        let mut week = Bins::new(Every::Week, Zone::UTC);
        let turn = week.of(at(2026, 1, 1, 5));
        assert_eq!(turn, (at(2025, 12, 29, 0), at(2026, 1, 5, 0)));
    }

    #[test]
    fn absurd_times_have_a_bin() {
        for every in [
            Every::Seconds(0),
            Every::Seconds(u32::MAX),
            Every::Day,
            Every::Week,
            Every::Month,
        ] {
            for zone in ["UTC", "+14:00", "-12:00"] {
                for time in [0, 1, u64::MAX - 1, u64::MAX] {
                    let mut bins = Bins::new(every, Zone::named(zone).unwrap());
                    let (start, end) = bins.of(Nanos(time));
                    assert!(
                        start.0 <= time && (time < end.0 || end.0 == u64::MAX),
                        "{every:?} {zone} {time}"
                    );
                }
            }
        }
    }
}
