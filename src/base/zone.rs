//! Zones of the system's zone database, by the `jiff` crate. Chosen when `time-zone` is built in.
//!
//! Only the question *which offset, and until when* is asked of the crate; calendar arithmetic
//! is [`civil`](super::civil)'s, so that both builds of [`Zone`] agree.

use super::offset::{self, Span};
use jiff::{Timestamp, tz::TimeZone};

/// A time zone.
#[derive(Clone, Debug)]
pub struct Zone(Kind);

#[derive(Clone, Debug)]
enum Kind {
    Fixed(i32),
    Database(TimeZone),
}

impl Zone {
    /// UTC.
    pub const UTC: Self = Self(Kind::Fixed(0));

    /// `local`, `UTC`, a name of the zone database, or an offset like `+02:00`. `local` is UTC
    /// on a system that does not say where it is.
    ///
    /// # Errors
    /// A sentence about a name that the database does not have.
    pub fn named(name: &str) -> Result<Self, String> {
        if let Some(seconds) = offset::parse(name) {
            return Ok(Self(Kind::Fixed(seconds)));
        }
        if name == "local" {
            return Ok(TimeZone::try_system().map_or(Self::UTC, |tz| Self(Kind::Database(tz))));
        }
        match TimeZone::get(name) {
            Ok(tz) => Ok(Self(Kind::Database(tz))),
            Err(_) => Err(format!(
                "time zone {name:?} is not in the system's zone database; it takes \"local\", \
                 \"UTC\", a name like \"Europe/Zurich\" or an offset like \"+02:00\""
            )),
        }
    }

    /// The offset at `seconds` since 1970, and how long it holds.
    pub fn span(&self, seconds: i64) -> Span {
        let tz = match &self.0 {
            Kind::Fixed(offset) => return Span::always(*offset),
            Kind::Database(tz) => tz,
        };
        let Ok(at) = Timestamp::from_second(seconds) else {
            return Span::always(0);
        };
        let offset = tz.to_offset(at).seconds();
        // `preceding` is strict: ask from the next second, so that a change right now counts.
        let next = Timestamp::from_second(seconds.saturating_add(1)).unwrap_or(at);
        let from = tz.preceding(next).next();
        let until = tz.following(at).next();
        Span {
            from: from.map_or(i64::MIN, |t| t.timestamp().as_second()),
            until: until.map_or(i64::MAX, |t| t.timestamp().as_second()),
            offset,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::bins::{Bins, Every};
    use super::super::time::Nanos;
    use super::*;

    // As rules rather than names: the tests do not depend on the machine's database.
    const ZURICH: &str = "CET-1CEST,M3.5.0,M10.5.0/3";
    const NEW_YORK: &str = "EST5EDT,M3.2.0,M11.1.0";
    const ST_JOHNS: &str = "NST3:30NDT,M4.1.0/0:01,M10.5.0/0:01"; // back over midnight
    const HAVANA: &str = "CST5CDT,M3.2.0/0,M11.1.0/1"; // no midnight in March

    fn zone(rule: &str) -> Zone {
        Zone(Kind::Database(TimeZone::posix(rule).unwrap()))
    }

    fn bin(every: Every, rule: &str, at: &str) -> (String, u64) {
        let seconds = |t: &str| t.parse::<Timestamp>().unwrap().as_second() as u64;
        let (start, end) = Bins::new(every, zone(rule)).of(Nanos::new(seconds(at), 5));
        let text = Timestamp::from_second(start.seconds() as i64)
            .unwrap()
            .to_string();
        (text, (end.0 - start.0) / 1_000_000_000)
    }

    #[test]
    fn days_around_a_change_have_23_or_25_hours() {
        let day = |rule, at| bin(Every::Day, rule, at);
        let hours = |h: u64| h * 3600;
        let z = "2026-03-28T23:00:00Z";
        assert_eq!(day(ZURICH, "2026-03-29T10:00:00Z"), (z.into(), hours(23)));
        assert_eq!(day(ZURICH, "2026-03-29T21:59:59Z"), (z.into(), hours(23)));
        let z = "2026-10-24T22:00:00Z";
        assert_eq!(day(ZURICH, "2026-10-25T22:59:59Z"), (z.into(), hours(25)));
        let ny = "2026-03-08T05:00:00Z";
        assert_eq!(
            day(NEW_YORK, "2026-03-08T12:00:00Z"),
            (ny.into(), hours(23))
        );
        let ny = "2026-11-01T04:00:00Z";
        assert_eq!(
            day(NEW_YORK, "2026-11-02T04:59:59Z"),
            (ny.into(), hours(25))
        );
        // The clock jumps from 00:00 to 01:00: the day begins at the jump.
        let h = "2026-03-08T05:00:00Z";
        assert_eq!(day(HAVANA, "2026-03-08T05:00:00Z"), (h.into(), hours(23)));
    }

    #[test]
    fn hours_weeks_and_months_around_a_change() {
        let hour = |at| bin(Every::Seconds(3600), ZURICH, at);
        assert_eq!(
            hour("2026-10-25T00:30:00Z"),
            ("2026-10-25T00:00:00Z".into(), 3600)
        );
        assert_eq!(
            hour("2026-10-25T01:30:00Z"),
            ("2026-10-25T01:00:00Z".into(), 3600)
        );
        let six = |at| bin(Every::Seconds(6 * 3600), ZURICH, at);
        assert_eq!(
            six("2026-10-25T01:30:00Z"),
            ("2026-10-24T22:00:00Z".into(), 7 * 3600)
        );
        assert_eq!(
            six("2026-03-29T03:59:59Z"),
            ("2026-03-28T23:00:00Z".into(), 5 * 3600)
        );
        let week = bin(Every::Week, ZURICH, "2026-03-29T12:00:00Z");
        assert_eq!(week, ("2026-03-22T23:00:00Z".into(), 7 * 86_400 - 3600));
        let month = bin(Every::Month, NEW_YORK, "2026-11-30T12:00:00Z");
        assert_eq!(month, ("2026-11-01T04:00:00Z".into(), 30 * 86_400 + 3600));
    }

    #[test]
    fn bins_cover_all_time_without_gap_or_overlap() {
        let lengths = [300, 3600, 4500, 5400, 7200, 21_600, 43_200].map(Every::Seconds);
        let all = lengths
            .into_iter()
            .chain([Every::Day, Every::Week, Every::Month]);
        for every in all {
            for rule in [ZURICH, NEW_YORK, ST_JOHNS, HAVANA] {
                let mut walk = Bins::new(every, zone(rule));
                let mut next = walk.of(Nanos::new(1_790_000_000, 0)).0;
                while next.seconds() < 1_795_000_000 {
                    let (start, end) = walk.of(next);
                    assert!(start == next && end > start, "{every:?} {rule} {next:?}");
                    let late = Bins::new(every, zone(rule)).of(Nanos(end.0 - 1));
                    assert_eq!(late, (start, end), "{every:?} {rule}");
                    next = end;
                }
            }
        }
    }
}
