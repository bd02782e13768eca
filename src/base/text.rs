//! Reading what people write: sizes, durations, names that are nearly right.

use std::borrow::Cow;
use std::time::Duration;

/// One line that a terminal takes as text, of about so many bytes at the most: what comes from the
/// wire or from a server may hold controls, which are escaped.
pub fn one_line(text: &str, most: usize) -> Cow<'_, str> {
    if text.len() <= most && !text.contains(char::is_control) {
        return Cow::Borrowed(text);
    }
    let mut line = String::new();
    for c in text.chars() {
        if line.len() >= most {
            line.push('…');
            break;
        }
        match c.is_control() {
            true => line.extend(c.escape_default()),
            false => line.push(c),
        }
    }
    Cow::Owned(line)
}

/// A size in bytes: `4096`, `64k`, `16 MiB`, `1.5G`. Units are powers of 1024, with or without
/// the `i` and the `B`.
pub fn size(text: &str) -> Option<u64> {
    let (number, unit) = split(text)?;
    let unit = unit.trim_end_matches(['b', 'B']).trim_end_matches('i');
    let factor = match unit.to_ascii_lowercase().as_str() {
        "" => 1u64,
        "k" => 1 << 10,
        "m" => 1 << 20,
        "g" => 1 << 30,
        "t" => 1 << 40,
        _ => return None,
    };
    scale(number, factor)
}

/// A duration: `30s`, `5m`, `1h`, `1d`, `1w`, `250ms`; a bare number is seconds.
pub fn duration(text: &str) -> Option<Duration> {
    let (number, unit) = split(text)?;
    let millis = match unit.to_ascii_lowercase().as_str() {
        "ms" => 1u64,
        "" | "s" | "sec" | "second" | "seconds" => 1_000,
        "m" | "min" | "minute" | "minutes" => 60_000,
        "h" | "hour" | "hours" => 3_600_000,
        "d" | "day" | "days" => 86_400_000,
        "w" | "week" | "weeks" => 604_800_000,
        _ => return None,
    };
    scale(number, millis).map(Duration::from_millis)
}

fn split(text: &str) -> Option<(&str, &str)> {
    let text = text.trim();
    let at = text
        .find(|c: char| !c.is_ascii_digit() && c != '.')
        .unwrap_or(text.len());
    let (number, unit) = text.split_at(at);
    (!number.is_empty()).then_some((number, unit.trim()))
}

/// `number` × `factor`, exact for whole numbers, with up to three decimals.
fn scale(number: &str, factor: u64) -> Option<u64> {
    let (whole, part) = number.split_once('.').unwrap_or((number, ""));
    let whole: u64 = whole.parse().ok()?;
    let mut total = whole.checked_mul(factor)?;
    if !part.is_empty() {
        if part.len() > 3 {
            return None;
        }
        let digits: u64 = part.parse().ok()?;
        total = total.checked_add(digits.checked_mul(factor)? / 10u64.pow(part.len() as u32))?;
    }
    Some(total)
}

/// A size as people read it: `16.0 MiB`.
pub fn show_size(bytes: u64) -> String {
    let units = ["B", "KiB", "MiB", "GiB", "TiB"];
    let mut unit = 0;
    while bytes >> (10 * unit) >= 1024 && unit + 1 < units.len() {
        unit += 1;
    }
    if unit == 0 {
        return format!("{bytes} B");
    }
    // Without floating point, which a box has to bring along: half a tenth is added, and an exact
    // half goes to the even side.
    let shift = 10 * unit;
    let (whole, rest) = (bytes >> shift, bytes & ((1 << shift) - 1));
    let twenty = rest * 20 + (1 << shift);
    let mut tenths = whole * 10 + (twenty >> (shift + 1));
    if twenty & ((2 << shift) - 1) == 0 {
        tenths &= !1;
    }
    format!("{}.{} {}", tenths / 10, tenths % 10, units[unit])
}

/// So many of something: `1 row`, `2 rows`.
pub fn counted(count: usize, what: &str) -> String {
    let s = if count == 1 { "" } else { "s" };
    format!("{count} {what}{s}")
}

/// The name among `known` that is nearest to `given`, if it is near enough to be meant.
pub fn nearest<'a>(given: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let given = given.to_ascii_lowercase();
    let limit = (given.len() / 3).clamp(1, 3);
    known
        .into_iter()
        .map(|name| (distance(&given, &name.to_ascii_lowercase()), name))
        .filter(|(d, _)| *d <= limit)
        .min_by_key(|(d, _)| *d)
        .map(|(_, name)| name)
}

/// Edits from one word to the other: insert, delete, replace, or exchange two neighbours.
fn distance(a: &str, b: &str) -> usize {
    let (a, b): (Vec<char>, Vec<char>) =
        (a.chars().take(64).collect(), b.chars().take(64).collect());
    let mut rows = vec![vec![0; b.len() + 1]; a.len() + 1];
    for i in 0..=a.len() {
        for j in 0..=b.len() {
            rows[i][j] = if i == 0 || j == 0 {
                i + j
            } else {
                let change = usize::from(a[i - 1] != b[j - 1]);
                let mut best = (rows[i - 1][j] + 1).min(rows[i][j - 1] + 1);
                best = best.min(rows[i - 1][j - 1] + change);
                if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                    best = best.min(rows[i - 2][j - 2] + 1);
                }
                best
            };
        }
    }
    rows[a.len()][b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_strangers_say_is_one_line() {
        assert!(matches!(one_line("disk full – µ", 20), Cow::Borrowed(_)));
        let said = one_line("a\u{1b}]0;x\u{7}\n\u{9b}b", 100);
        assert_eq!(said, "a\\u{1b}]0;x\\u{7}\\n\\u{9b}b");
        assert_eq!(one_line("äöüß", 4), "äö…");
    }

    #[test]
    fn sizes_and_durations_as_people_write_them() {
        assert_eq!(size("4096"), Some(4096));
        assert_eq!(size("16 MiB"), Some(16 << 20));
        assert_eq!(size("256MiB"), Some(256 << 20));
        assert_eq!(size("1.5G"), Some(3 << 29));
        assert_eq!(size("64kb"), Some(65536));
        assert_eq!(size("5 apples"), None);
        assert_eq!(size("99999999999G"), None);
        assert_eq!(duration("30"), Some(Duration::from_secs(30)));
        assert_eq!(duration("5m"), Some(Duration::from_secs(300)));
        assert_eq!(duration("250ms"), Some(Duration::from_millis(250)));
        assert_eq!(duration("soon"), None);
        assert_eq!(show_size(16 << 20), "16.0 MiB");
    }

    #[test]
    fn the_nearest_name_is_one_that_could_be_meant() {
        let names = ["src_host", "dst_host", "proto"];
        assert_eq!(nearest("src_hots", names), Some("src_host"));
        assert_eq!(nearest("porto", names), Some("proto"));
        assert_eq!(nearest("vlan", names), None);
    }
}
