//! Names of files and tables with times and variables, from pmacct's writing to weir's.

use super::bins;
use super::settings::Values;

/// Letters that pmacct takes behind a percent sign.
const LETTERS: &str = "dHmMsSwWYz";

/// Values of rows that may stand in a name, by pmacct's variable, and what pmacct writes where the
/// rows have no such column.
const FIELDS: &[(&str, &str, &str)] = &[
    ("$peer_src_ip", "peer_src_ip", "null"),
    ("$tag2", "tag2", "0"),
    ("$tag", "tag", "0"),
];

/// A name, translated. `by` are the primitives of the rows.
///
/// # Errors
/// What pmacct would not start with, to follow "`key` …".
pub fn translate(given: &str, values: &Values, by: &[String]) -> Result<String, String> {
    let mut out = String::new();
    let mut rest = given;
    while let Some(c) = rest.chars().next() {
        let (now, then) = match c {
            '%' => time(rest)?,
            '$' => variable(rest, values, by),
            c => (c.to_string(), &rest[c.len_utf8()..]),
        };
        out.push_str(&now);
        rest = then;
    }
    Ok(out)
}

fn time(rest: &str) -> Result<(String, &str), String> {
    match rest.chars().nth(1) {
        Some(letter) if LETTERS.contains(letter) => Ok((format!("%{letter}"), &rest[2..])),
        other => {
            let known: Vec<_> = LETTERS.chars().map(|c| format!("%{c}")).collect();
            let other = other.map(String::from).unwrap_or_default();
            Err(format!("has `%{other}`; it takes {}", known.join(" ")))
        }
    }
}

fn variable<'a>(rest: &'a str, values: &Values, by: &[String]) -> (String, &'a str) {
    // The longer name first: `$post_tag2` begins with `$post_tag`.
    let numbers = [
        ("$post_tag2", values.number("post_tag2")),
        ("$post_tag", values.number("post_tag")),
        ("$ref", Some(refresh(values))),
        ("$hst", Some(history(values))),
    ];
    for (name, number) in numbers {
        if let Some(then) = rest.strip_prefix(name) {
            return (number.unwrap_or(0).to_string(), then);
        }
    }
    if let Some(then) = rest.strip_prefix("$tzone") {
        return ("%z".into(), then);
    }
    for (name, field, without) in FIELDS {
        if let Some(then) = rest.strip_prefix(name) {
            let there = by.iter().any(|primitive| primitive == field);
            let now = if there {
                format!("${{{field}}}")
            } else {
                (*without).into()
            };
            return (now, then);
        }
    }
    // No variable of pmacct's: it stands as it is.
    ("$$".into(), &rest[1..])
}

/// Seconds between two deliveries.
pub fn refresh(values: &Values) -> u64 {
    values.number("print_refresh_time").unwrap_or(60)
}

/// Seconds of a time bin; 0 for none.
fn history(values: &Values) -> u64 {
    let bins = values.text("print_history").and_then(bins::read);
    bins.and_then(bins::Bins::seconds).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::super::daemon::Daemon;
    use super::super::parse::Lines;
    use super::super::settings::Settings;
    use super::*;

    fn of(given: &str, by: &[&str]) -> Result<String, String> {
        let text = "plugins: print\npost_tag: 7\nprint_history: 5m\nprint_refresh_time: 300\n";
        let (settings, ..) = Settings::read(Daemon::Nfacctd, Lines::parse(text));
        let by: Vec<_> = by.iter().map(|b| b.to_string()).collect();
        translate(given, &settings.plugins[0].values, &by)
    }

    #[test]
    fn times_and_variables_are_translated() {
        let name = "/d/$peer_src_ip/%Y%m%d-%H%M%S_$tag$tag2";
        assert_eq!(
            of(name, &["peer_src_ip", "tag"]).as_deref(),
            Ok("/d/${peer_src_ip}/%Y%m%d-%H%M%S_${tag}0")
        );
        assert_eq!(of("$peer_src_ip", &[]).as_deref(), Ok("null"));
        assert_eq!(
            of("$post_tag-$post_tag2-$ref-$hst-$tzone-$foo-é$", &[]).as_deref(),
            Ok("7-0-300-300-%z-$$foo-é$$")
        );
    }

    #[test]
    fn what_pmacct_refuses_is_refused() {
        assert!(of("x%Q", &[]).unwrap_err().starts_with("has `%Q`"));
        assert!(of("x%é", &[]).is_err() && of("x%", &[]).is_err());
        assert!(of("100%%", &[]).is_err());
    }
}
