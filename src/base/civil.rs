//! Calendar fields of a point in time, in the proleptic Gregorian calendar.
//!
//! Arithmetic only; what offset a zone has at an instant is the zone's business.

/// Seconds in a day.
pub const DAY: i64 = 86_400;

/// A point in time as a wall clock shows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Civil {
    /// Year, 1969 to 2554 for any [`Nanos`](super::time::Nanos).
    pub year: i32,
    /// Month, 1 to 12.
    pub month: u8,
    /// Day of the month, 1 to 31.
    pub day: u8,
    /// Hour, 0 to 23.
    pub hour: u8,
    /// Minute, 0 to 59.
    pub minute: u8,
    /// Second, 0 to 59.
    pub second: u8,
    /// Day of the week, 0 for Monday to 6 for Sunday.
    pub weekday: u8,
    /// Day of the year, 1 to 366.
    pub yearday: u16,
    /// Seconds east of UTC.
    pub offset: i32,
}

impl Civil {
    /// The fields at `seconds` since 1970 in UTC, where the clock is `offset` seconds ahead.
    pub fn new(seconds: i64, offset: i32) -> Self {
        let local = seconds + i64::from(offset);
        let (days, rest) = (local.div_euclid(DAY), local.rem_euclid(DAY));
        let (year, month, day) = date(days);
        Self {
            year,
            month,
            day,
            hour: (rest / 3600) as u8,
            minute: (rest / 60 % 60) as u8,
            second: (rest % 60) as u8,
            weekday: weekday(days),
            yearday: (days - self::days(year, 1, 1) + 1) as u16,
            offset,
        }
    }

    /// Week of the year and the year it belongs to (ISO 8601): week 1 holds the first Thursday.
    pub fn week(&self) -> (i32, u8) {
        let monday_based = i32::from(self.yearday) - 1 - i32::from(self.weekday);
        let weeks_in = |year: i32| {
            let first = weekday(days(year, 1, 1));
            let leap = days(year + 1, 1, 1) - days(year, 1, 1) == 366;
            if first == 3 || (first == 2 && leap) {
                53
            } else {
                52
            }
        };
        let week = (monday_based + 10) / 7;
        if week < 1 {
            (self.year - 1, weeks_in(self.year - 1))
        } else if week > i32::from(weeks_in(self.year)) {
            (self.year + 1, 1)
        } else {
            (self.year, week as u8)
        }
    }
}

/// Day of the week of a day number, 0 for Monday. 1970-01-01 was a Thursday.
pub fn weekday(days: i64) -> u8 {
    (days + 3).rem_euclid(7) as u8
}

/// Day number of a date, 0 for 1970-01-01. Counts years from March, so that leap days come last.
pub fn days(year: i32, month: u8, day: u8) -> i64 {
    let (month, day) = (i64::from(month), i64::from(day));
    let year = i64::from(year) - i64::from(month <= 2);
    let era = year.div_euclid(400);
    let of_era = year.rem_euclid(400);
    let of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468
}

/// Date of a day number: the inverse of [`days`].
pub fn date(days: i64) -> (i32, u8, u8) {
    let z = days + 719_468;
    let (era, of_era) = (z.div_euclid(146_097), z.rem_euclid(146_097));
    let year = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year + year / 4 - year / 100);
    let from_march = (5 * of_year + 2) / 153;
    let day = of_year - (153 * from_march + 2) / 5 + 1;
    let month = if from_march < 10 {
        from_march + 3
    } else {
        from_march - 9
    };
    let year = year + era * 400 + i64::from(month <= 2);
    (year as i32, month as u8, day as u8)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_and_day_numbers_are_inverse_and_dense() {
        assert_eq!(days(1970, 1, 1), 0);
        assert_eq!(days(2000, 2, 29), 11_016);
        let mut last = date(-400);
        for n in -399..215_000 {
            let now = date(n);
            assert_eq!(days(now.0, now.1, now.2), n);
            let next = (last.0, last.1, last.2 + 1);
            assert!(now == next || now.2 == 1, "{last:?} {now:?}");
            last = now;
        }
    }

    #[test]
    fn fields_of_known_instants() {
        let c = Civil::new(1_709_210_096, 3600); // 2024-02-29 12:34:56 UTC
        assert_eq!(
            (c.year, c.month, c.day, c.hour, c.minute, c.second),
            (2024, 2, 29, 13, 34, 56)
        );
        assert_eq!((c.weekday, c.yearday), (3, 60));
        let c = Civil::new(0, -3600);
        assert_eq!((c.year, c.month, c.day, c.hour), (1969, 12, 31, 23));
        assert_eq!(Civil::new(18_446_744_073, 0).year, 2554);
    }

    #[test]
    fn weeks_of_iso_8601() {
        let week = |y, m, d| Civil::new(days(y, m, d) * DAY, 0).week();
        assert_eq!(week(2021, 1, 3), (2020, 53));
        assert_eq!(week(2021, 1, 4), (2021, 1));
        assert_eq!(week(2024, 12, 30), (2025, 1));
        assert_eq!(week(2026, 12, 31), (2026, 53));
        assert_eq!(week(2026, 6, 15), (2026, 25));
    }
}
