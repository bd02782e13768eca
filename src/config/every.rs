//! Lengths of time bins as people write them: `"1m"`, `"1h"`, `"day"`, `"month"`.

use super::Every;
use crate::base::text;

/// Longest bin in seconds: a year. Calendar lengths have names.
const LONGEST: u64 = 366 * 86_400;

/// Reads a length.
///
/// # Errors
/// What it takes, as a sentence that continues "`every` …".
pub fn parse(given: &str) -> Result<Every, String> {
    match given {
        "minute" => return Ok(Every::Seconds(60)),
        "hour" => return Ok(Every::Seconds(3_600)),
        "day" | "1d" | "24h" => return Ok(Every::Day),
        "week" | "1w" | "7d" => return Ok(Every::Week),
        "month" => return Ok(Every::Month),
        _ => {}
    }
    if let Some(months) = given.strip_suffix("months") {
        return match months.trim().parse() {
            Ok(n @ 1..=12) => Ok(Every::Months(n)),
            _ => Err(format!("is {given:?}; it takes 1 to 12 months")),
        };
    }
    let Some(length) = text::duration(given) else {
        return Err(format!(
            "is {given:?}; it takes a duration like \"1m\", \"5m\", \"1h\", or \"day\", \"week\", \
             \"month\", \"3 months\""
        ));
    };
    if length.subsec_nanos() != 0 || length.as_secs() == 0 {
        return Err(format!(
            "is {given:?}; it takes whole seconds, at least one"
        ));
    }
    match u32::try_from(length.as_secs()) {
        Ok(seconds) if length.as_secs() <= LONGEST => Ok(Every::Seconds(seconds)),
        _ => Err(format!("is {given:?}; it takes a year at most")),
    }
}

/// A length in words again, as [`parse`] reads it.
pub fn show(every: Every) -> String {
    match every {
        Every::Day => "day".into(),
        Every::Week => "week".into(),
        Every::Month => "month".into(),
        Every::Months(n) => format!("{n} months"),
        Every::Seconds(n) if n % 3_600 == 0 => format!("{}h", n / 3_600),
        Every::Seconds(n) if n % 60 == 0 => format!("{}m", n / 60),
        Every::Seconds(n) => format!("{n}s"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_are_read_and_shown() {
        for (given, want) in [
            ("1m", Every::Seconds(60)),
            ("90", Every::Seconds(90)),
            ("90s", Every::Seconds(90)),
            ("5 min", Every::Seconds(300)),
            ("1h", Every::Seconds(3600)),
            ("2d", Every::Seconds(172_800)),
            ("1d", Every::Day),
            ("week", Every::Week),
            ("month", Every::Month),
            ("3 months", Every::Months(3)),
        ] {
            assert_eq!(parse(given), Ok(want), "{given}");
            assert_eq!(parse(&show(want)), Ok(want), "{given}");
        }
    }

    #[test]
    fn absurd_lengths_are_refused() {
        for given in [
            "0s",
            "0",
            "500ms",
            "1.5s",
            "400d",
            "soon",
            "",
            "-1m",
            "1 month",
            "0 months",
            "13 months",
            "months",
        ] {
            assert!(parse(given).is_err(), "{given}");
        }
    }
}
