//! Lengths of time bins as pmacct writes them: `5m`, `1h`, `300`.

/// A length.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bins {
    /// Seconds.
    Seconds(u64),
    /// Calendar months.
    Months(u64),
}

/// Longest bin, in seconds.
const LONGEST: u64 = 366 * 86_400;

/// Reads a number and a unit, seconds where there is none. Seconds above a minute are whole
/// minutes, as pmacct has it.
pub fn read(given: &str) -> Option<Bins> {
    let given = given.trim();
    let end = given.find(|c: char| !c.is_ascii_digit());
    let (digits, unit) = given.split_at(end.unwrap_or(given.len()));
    let number: u64 = digits.parse().ok().filter(|n| *n > 0)?;
    let times = match unit.trim() {
        "" | "s" if number > 60 && !number.is_multiple_of(60) => return None,
        "" | "s" => 1,
        "m" => 60,
        "h" => 3_600,
        "d" => 86_400,
        "w" => 7 * 86_400,
        "M" => return Some(Bins::Months(number)),
        _ => return None,
    };
    let seconds = number.checked_mul(times)?;
    (seconds <= LONGEST).then_some(Bins::Seconds(seconds))
}

impl Bins {
    /// As `every` has it; none where weir has no such length.
    pub fn every(self) -> Option<String> {
        match self {
            Self::Months(1) => Some("month".into()),
            Self::Months(n @ 2..=12) => Some(format!("{n} months")),
            Self::Months(_) => None,
            Self::Seconds(604_800) => Some("week".into()),
            Self::Seconds(86_400) => Some("day".into()),
            Self::Seconds(n) => Some(seconds(n)),
        }
    }

    /// Its seconds; a month has none.
    pub fn seconds(self) -> Option<u64> {
        match self {
            Self::Seconds(n) => Some(n),
            Self::Months(_) => None,
        }
    }
}

/// Seconds in the largest unit that shows them exactly.
pub fn seconds(n: u64) -> String {
    match n {
        n if n > 0 && n % 3_600 == 0 => format!("{}h", n / 3_600),
        n if n > 0 && n % 60 == 0 => format!("{}m", n / 60),
        n => format!("{n}s"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_are_read_as_pmacct_reads_them() {
        for (given, want) in [
            ("5m", Some(Bins::Seconds(300))),
            ("10s", Some(Bins::Seconds(10))),
            ("300", Some(Bins::Seconds(300))),
            ("90s", None),
            ("1 h", Some(Bins::Seconds(3600))),
            ("1d", Some(Bins::Seconds(86_400))),
            ("2M", Some(Bins::Months(2))),
            ("2y", None),
            ("0m", None),
            ("m", None),
            ("", None),
            ("99999999999999999999", None),
            ("400d", None),
        ] {
            assert_eq!(read(given), want, "{given}");
        }
        assert_eq!(Bins::Seconds(86_400).every().as_deref(), Some("day"));
        assert_eq!(Bins::Seconds(7200).every().as_deref(), Some("2h"));
        assert_eq!(Bins::Months(2).every().as_deref(), Some("2 months"));
        assert_eq!(Bins::Months(13).every(), None);
    }
}
