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
    /// So many calendar months, counted from January where they divide a year.
    Months(u8),
}

/// Where bins of a length in seconds begin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Align {
    /// With each minute of the wall clock, and from there on; so are the others.
    Minute,
    /// With each hour.
    Hour,
    /// At midnight.
    Day,
    /// On Monday.
    Week,
    /// On the first of the month.
    Month,
}

impl Align {
    /// The words of the configuration.
    pub const WORDS: &[(&str, Self)] = &[
        ("minute", Self::Minute),
        ("hour", Self::Hour),
        ("day", Self::Day),
        ("week", Self::Week),
        ("month", Self::Month),
    ];

    /// Its word.
    pub fn word(self) -> &'static str {
        let found = Self::WORDS.iter().find(|(_, align)| *align == self);
        found.map_or("", |(word, _)| word)
    }

    /// Its length in seconds; of a month, the shortest.
    fn seconds(self) -> i64 {
        match self {
            Self::Minute => 60,
            Self::Hour => 3600,
            Self::Day => DAY,
            Self::Week => 7 * DAY,
            Self::Month => 28 * DAY,
        }
    }

    /// Whether bins of `n` seconds can begin with it: they fit into it, or it into them.
    pub fn suits(self, n: u32) -> bool {
        let (n, own) = (i64::from(n), self.seconds());
        n < own || (self != Self::Month && n % own == 0)
    }
}

/// The bins of one length in one zone.
#[derive(Clone, Debug)]
pub struct Bins {
    every: Every,
    align: Option<Align>,
    /// Seconds by which they begin later.
    offset: i64,
    wall: Wall,
    current: (Nanos, Nanos),
}

impl Bins {
    /// Bins of length `every` by the wall clock of `zone`.
    pub fn new(every: Every, zone: Zone) -> Self {
        Self {
            every,
            align: None,
            offset: 0,
            wall: Wall::new(zone),
            current: (Nanos(0), Nanos(0)),
        }
    }

    /// Makes bins of a length in seconds begin with each `align`, and end with it where they do
    /// not come out even; and all bins `offset` seconds later.
    pub fn placed(mut self, align: Option<Align>, offset: u32) -> Self {
        (self.align, self.offset) = (align, i64::from(offset));
        self
    }

    /// Start of the bin that `time` lies in, and start of the next one. A day may have 23 or 25
    /// hours. Before 1970 there is nothing: a bin that began earlier begins at zero.
    #[inline]
    pub fn of(&mut self, time: Nanos) -> (Nanos, Nanos) {
        if time < self.current.0 || time >= self.current.1 {
            let (start, end) = self.find(time.seconds() as i64 - self.offset);
            self.current = (nanos(start + self.offset), nanos(end + self.offset));
        }
        self.current
    }

    fn find(&mut self, at: i64) -> (i64, i64) {
        let span = self.wall.span(at);
        let local = at + i64::from(span.offset);
        match self.every {
            Every::Seconds(n) => {
                let n = i64::from(n.max(1));
                if let Some(align) = self.align {
                    return self.aligned(at, n, align);
                }
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
            Every::Months(n) => {
                let n = i32::from(n.max(1));
                let (year, month, _) = date(local.div_euclid(DAY));
                let all = year * 12 + i32::from(month) - 1;
                let first = all - all.rem_euclid(n);
                let start = days(first.div_euclid(12), first.rem_euclid(12) as u8 + 1, 1) * DAY;
                self.between(at, start, |local| {
                    (0..n).fold(local, |local, _| next_month(local))
                })
            }
        }
    }

    /// Bins of `n` seconds counted from the begin of each `align`, or several of those at a time.
    fn aligned(&mut self, at: i64, n: i64, align: Align) -> (i64, i64) {
        let span = self.wall.span(at);
        let local = at + i64::from(span.offset);
        let floor = |unit: i64, from: i64| local - (local - from).rem_euclid(unit);
        // The first Monday of 1970 was the fifth day.
        let monday = if align == Align::Week { 4 * DAY } else { 0 };
        let own = align.seconds();
        if n >= own {
            return self.between(at, floor(n, monday), |local| local + n);
        }
        let (start, end) = match align {
            // Where the clock goes back over an hour, both of it begin anew.
            Align::Minute | Align::Hour => {
                let start = floor(own, 0) - i64::from(span.offset);
                (start.max(span.from), (start + own).min(span.until))
            }
            Align::Day | Align::Week => self.between(at, floor(own, monday), |local| local + own),
            Align::Month => {
                let (year, month, _) = date(local.div_euclid(DAY));
                self.between(at, days(year, month, 1) * DAY, next_month)
            }
        };
        let start = start + (at - start).div_euclid(n) * n;
        (start, (start + n).min(end))
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
    use proptest::prelude::*;

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
        let mut quarter = Bins::new(Every::Months(3), Zone::UTC);
        let last = quarter.of(at(2025, 12, 31, 86_399));
        assert_eq!(last, (at(2025, 10, 1, 0), at(2026, 1, 1, 0)));
        assert_eq!(quarter.of(at(2026, 1, 1, 0)).0, last.1);
        let mut week = Bins::new(Every::Week, Zone::UTC);
        let turn = week.of(at(2026, 1, 1, 5));
        assert_eq!(turn, (at(2025, 12, 29, 0), at(2026, 1, 5, 0)));
    }

    #[test]
    fn aligned_bins_begin_with_the_hour_the_day_the_week_the_month() {
        let bins = |n, zone: &str, align| {
            Bins::new(Every::Seconds(n), Zone::named(zone).unwrap()).placed(Some(align), 0)
        };
        // Seven minutes: nine in an hour, the last one short.
        let mut seven = bins(420, "UTC", Align::Hour);
        let noon = at(2026, 3, 1, 43_200);
        let second = (Nanos(noon.0 + 420 * SECOND), Nanos(noon.0 + 840 * SECOND));
        assert_eq!(seven.of(Nanos(noon.0 + 500 * SECOND)), second);
        let last = seven.of(Nanos(noon.0 + 3599 * SECOND));
        assert_eq!(
            last,
            (at(2026, 3, 1, 43_200 + 8 * 420), at(2026, 3, 1, 46_800))
        );
        assert_eq!(seven.of(at(2026, 3, 1, 46_800)).0, at(2026, 3, 1, 46_800));
        // An hour that begins at half past, where the zone is half an hour off.
        let mut ten = bins(600, "+05:30", Align::Hour);
        assert_eq!(ten.of(at(2026, 3, 1, 1799)).0, at(2026, 3, 1, 1200));
        // 2026-01-01 was a Thursday; two days at a time from Monday on, then Sunday alone.
        let mut two = bins(2 * 86_400, "UTC", Align::Week);
        assert_eq!(
            two.of(at(2026, 1, 1, 5)),
            (at(2025, 12, 31, 0), at(2026, 1, 2, 0))
        );
        assert_eq!(
            two.of(at(2026, 1, 4, 5)),
            (at(2026, 1, 4, 0), at(2026, 1, 5, 0))
        );
        let mut ten = bins(10 * 86_400, "UTC", Align::Month);
        assert_eq!(
            ten.of(at(2026, 2, 27, 0)),
            (at(2026, 2, 21, 0), at(2026, 3, 1, 0))
        );
        // Multiples: fortnights from a Monday, two days from local midnight.
        let mut fortnight = bins(14 * 86_400, "UTC", Align::Week);
        let (start, end) = fortnight.of(at(2026, 1, 1, 5));
        assert_eq!(end.0 - start.0, 14 * 86_400 * SECOND);
        assert_eq!(weekday(start.seconds() as i64 / DAY), 0);
        let mut two = bins(2 * 86_400, "-03:00", Align::Day);
        assert_eq!(two.of(at(2026, 1, 1, 5)).0.seconds() % 86_400, 3 * 3600);
        assert!(Align::Hour.suits(7200) && Align::Hour.suits(420) && !Align::Hour.suits(5400));
        assert!(Align::Month.suits(86_400) && !Align::Month.suits(28 * 86_400));
    }

    #[test]
    fn bins_with_an_offset_begin_later() {
        let mut hour = Bins::new(Every::Seconds(3600), Zone::UTC).placed(None, 300);
        let noon = at(2026, 3, 1, 43_200);
        let (start, end) = hour.of(noon);
        assert_eq!(
            (start, end),
            (at(2026, 3, 1, 39_900), at(2026, 3, 1, 43_500))
        );
        assert_eq!(hour.of(end).0, end);
        let mut month = Bins::new(Every::Month, Zone::UTC).placed(None, 6 * 3600);
        assert_eq!(month.of(at(2026, 3, 1, 0)).0, at(2026, 2, 1, 6 * 3600));
    }

    proptest! {
        #[test]
        fn bins_follow_each_other_without_a_gap(
            n in 1u32..40 * 86_400,
            align in 0..Align::WORDS.len(),
            offset in 0u32..100_000,
            zone in prop::sample::select(vec!["UTC", "+05:30", "-12:00"]),
            time in 0u64..4_000_000_000,
        ) {
            let align = Align::WORDS[align].1;
            let own = align.seconds() as u32;
            let n = match align {
                _ if align.suits(n) => n,
                Align::Month => n % own + 1,
                _ => n - n % own,
            };
            prop_assert!(align.suits(n));
            let bins = Bins::new(Every::Seconds(n), Zone::named(zone).unwrap());
            let mut bins = bins.placed(Some(align), offset);
            let time = Nanos::new(time, 0);
            let (start, end) = bins.of(time);
            prop_assert!(start <= time && time < end);
            prop_assert!(end.0 - start.0 <= u64::from(n) * SECOND);
            prop_assert_eq!(bins.of(end).0, end);
            prop_assert_eq!(bins.of(Nanos(end.0 - 1)), (start, end));
            prop_assert_eq!(bins.of(start), (start, end));
        }
    }

    #[test]
    fn absurd_times_have_a_bin() {
        for every in [
            Every::Seconds(0),
            Every::Seconds(u32::MAX),
            Every::Day,
            Every::Week,
            Every::Month,
            Every::Months(5),
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
