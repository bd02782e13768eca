//! Names made of time and values: `talkers-%Y%m%d-%H%M.csv`, `$peer_src_ip/%Y-%m-%d.json`.
//!
//! What a variable stands for is the caller's business. Not for anything that opens files.

use super::civil::Civil;
use super::time::Nanos;

/// A name with places for times and values.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pattern {
    parts: Vec<Part>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Part {
    Literal(String),
    Time(char),
    Variable(String),
}

/// Letters that may follow a percent sign.
const LETTERS: &str = "YmdHMSsjyVGuwWFTz";

impl Pattern {
    /// Most characters of a pattern.
    pub const LEN_MAX: usize = 4096;

    /// Reads a pattern. `%Y %m %d %H %M %S` are the parts of the time, `%s` seconds since 1970,
    /// `%j` day of the year, `%y` year of the century, `%G` and `%V` year and week of ISO 8601,
    /// `%u` day of the week from 1 for Monday, `%w` from 0 for Sunday, `%W` week of the year by its
    /// Mondays, `%F` is `%Y-%m-%d`, `%T` is `%H%M%S`, `%z` the
    /// offset from UTC; `%%` is a percent sign. `$name` and `${name}` are values; `$$` is a dollar
    /// sign.
    ///
    /// # Errors
    /// A sentence that says which part is wrong.
    pub fn parse(text: &str) -> Result<Self, String> {
        if text.is_empty() || text.len() > Self::LEN_MAX || text.contains('\0') {
            return Err("it is empty, too long, or holds a zero byte".into());
        }
        let mut parts = Vec::new();
        let mut literal = String::new();
        let mut rest = text.chars().peekable();
        while let Some(c) = rest.next() {
            let part = match c {
                '%' => match rest.next() {
                    Some('%') => {
                        literal.push('%');
                        continue;
                    }
                    Some(letter) if LETTERS.contains(letter) => Part::Time(letter),
                    Some(other) => {
                        let known: Vec<_> = LETTERS.chars().map(|l| format!("%{l}")).collect();
                        let known = known.join(" ");
                        return Err(format!("it has no `%{other}`; there are {known} and %%"));
                    }
                    None => return Err("it ends in a percent sign; write %% for one".into()),
                },
                '$' => {
                    let braces = rest.next_if_eq(&'{').is_some();
                    if !braces && rest.next_if_eq(&'$').is_some() {
                        literal.push('$');
                        continue;
                    }
                    let mut name = String::new();
                    while let Some(c) = rest.next_if(|c| c.is_ascii_alphanumeric() || *c == '_') {
                        name.push(c);
                    }
                    if name.is_empty() || (braces && rest.next() != Some('}')) {
                        return Err("a `$` has no name behind it; write $$ for a dollar".into());
                    }
                    Part::Variable(name)
                }
                plain => {
                    literal.push(plain);
                    continue;
                }
            };
            if !literal.is_empty() {
                parts.push(Part::Literal(std::mem::take(&mut literal)));
            }
            parts.push(part);
        }
        if !literal.is_empty() {
            parts.push(Part::Literal(literal));
        }
        Ok(Self { parts })
    }

    /// Names of the variables, in order; one that stands twice comes twice.
    pub fn variables(&self) -> impl Iterator<Item = &str> {
        self.parts.iter().filter_map(|part| match part {
            Part::Variable(name) => Some(name.as_str()),
            _ => None,
        })
    }

    /// Whether the name depends on a time.
    pub fn has_time(&self) -> bool {
        self.parts.iter().any(|p| matches!(p, Part::Time(_)))
    }

    /// The name at `time`, which the clock shows as `civil`, with `values` for the variables in
    /// their order. Values are [made safe](safe).
    pub fn expand<'a>(
        &self,
        time: Nanos,
        civil: &Civil,
        values: impl IntoIterator<Item = &'a [u8]>,
    ) -> String {
        let mut values = values.into_iter();
        let mut out = String::new();
        for part in &self.parts {
            match part {
                Part::Literal(text) => out.push_str(text),
                Part::Time(letter) => out.push_str(&field(*letter, time, civil)),
                Part::Variable(_) => out.push_str(&safe(values.next().unwrap_or_default())),
            }
        }
        if out.split('/').any(|name| name.len() > NAME_MAX) {
            let names: Vec<_> = out.split('/').map(|name| cut(name, NAME_MAX)).collect();
            out = names.join("/");
        }
        out
    }
}

fn field(letter: char, time: Nanos, c: &Civil) -> String {
    match letter {
        'Y' => format!("{:04}", c.year),
        'm' => format!("{:02}", c.month),
        'd' => format!("{:02}", c.day),
        'H' => format!("{:02}", c.hour),
        'M' => format!("{:02}", c.minute),
        'S' => format!("{:02}", c.second),
        'j' => format!("{:03}", c.yearday),
        'y' => format!("{:02}", c.year.rem_euclid(100)),
        'G' => format!("{:04}", c.week().0),
        'V' => format!("{:02}", c.week().1),
        'u' => format!("{}", c.weekday + 1),
        'w' => format!("{}", (c.weekday + 1) % 7),
        'W' => format!("{:02}", (c.yearday + 6 - u16::from(c.weekday)) / 7),
        'F' => format!("{:04}-{:02}-{:02}", c.year, c.month, c.day),
        'T' => format!("{:02}{:02}{:02}", c.hour, c.minute, c.second),
        'z' => {
            let sign = if c.offset < 0 { '-' } else { '+' };
            let minutes = c.offset.unsigned_abs() / 60;
            format!("{sign}{:02}{:02}", minutes / 60, minutes % 60)
        }
        _ => time.seconds().to_string(),
    }
}

/// Most bytes of each name in a path: what file systems take, less what is put around a name
/// while the file is written.
const NAME_MAX: usize = 240;

/// The beginning of `name`, and its end, where usually its kind stands, in no more than `most`
/// bytes.
fn cut(name: &str, most: usize) -> String {
    if name.len() <= most {
        return name.into();
    }
    let end = name.rsplit_once('.').map_or("", |(_, end)| end);
    let end = if end.len() < 16 { end } else { "" };
    let head = name.floor_char_boundary(most - end.len() - 1);
    let dot = if end.is_empty() { "" } else { "." };
    format!("{}{dot}{end}", &name[..head])
}

/// Most bytes of a value in a name.
const VALUE_MAX: usize = 100;

/// A value as a part of a file name that can not lead elsewhere: slashes, control characters and
/// a leading dot become underscores, an empty value `null`, a long one is cut.
pub fn safe(value: &[u8]) -> String {
    if value.is_empty() {
        return "null".into();
    }
    let mut out = String::new();
    for (n, c) in String::from_utf8_lossy(value).chars().enumerate() {
        if out.len() + c.len_utf8() > VALUE_MAX {
            break;
        }
        let dot = c == '.' && (n == 0 || out.ends_with('.'));
        let bad = dot || c == '/' || c == '\\' || c.is_control();
        out.push(if bad { '_' } else { c });
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn expand(pattern: &str, values: &[&[u8]]) -> String {
        let time = Nanos::new(1_709_210_096, 0); // 2024-02-29 12:34:56 UTC, a Thursday
        let civil = Civil::new(time.seconds() as i64, 3600);
        let pattern = Pattern::parse(pattern).unwrap();
        pattern.expand(time, &civil, values.iter().copied())
    }

    #[test]
    fn times_and_values_take_their_places() {
        assert_eq!(expand("t-%Y%m%d-%H%M%S.csv", &[]), "t-20240229-133456.csv");
        assert_eq!(
            expand("%F_%T %y %j %G-W%V-%u %s %z %%", &[]),
            "2024-02-29_133456 24 060 2024-W09-4 1709210096 +0100 %"
        );
        assert_eq!(expand("%w %W", &[]), "4 09");
        assert_eq!(expand("$a-${b}c/$$x", &[b"1", b"two"]), "1-twoc/$x");
        let pattern = Pattern::parse("$peer_src_ip/$tag-%H").unwrap();
        assert!(pattern.variables().eq(["peer_src_ip", "tag"]) && pattern.has_time());
        assert!(!Pattern::parse("a%%b").unwrap().has_time());
    }

    #[test]
    fn what_is_wrong_is_said() {
        for (text, part) in [
            ("", "empty"),
            ("a%", "percent"),
            ("%Q", "%Q"),
            ("a$-", "$$"),
            ("${a", "$$"),
        ] {
            let message = Pattern::parse(text).unwrap_err();
            assert!(message.contains(part), "{text}: {message}");
        }
    }

    #[test]
    fn values_lead_nowhere_else() {
        assert_eq!(expand("$a", &[b"../../etc/passwd"]), "_._.__etc_passwd");
        assert_eq!(expand("$a", &[b".hidden\0"]), "_hidden_");
        assert_eq!(expand("$a", &[b""]), "null");
        assert_eq!(expand("$a", &[b"a....b"]), "a._._b");
        assert_eq!(expand("$a", &[b"192.0.2.1"]), "192.0.2.1");
        assert_eq!(expand("$a", &[&[b'x'; 500]]).len(), 100);
        // Several long ones make no name that the file system refuses for ever.
        let long = expand(
            "d/$a$b$c.csv",
            &[&[b'x'; 99], "é".repeat(99).as_bytes(), b"z"],
        );
        assert_eq!(long.len(), 2 + 99 + 100 + 1 + 4);
        let long = expand(
            "d/$a$b$c$d.csv",
            &[&[b'x'; 99], &[b'y'; 99], "é".repeat(50).as_bytes(), b"z"],
        );
        assert!(
            long.len() <= 242 && long.ends_with(".csv") && long.starts_with("d/xx"),
            "{long}"
        );
    }

    proptest! {
        #[test]
        fn no_value_is_a_path(value: Vec<u8>) {
            let name = safe(&value);
            prop_assert!(!name.contains(['/', '\0']) && !name.contains(".."));
            prop_assert!(!name.starts_with('.') && !name.is_empty());
        }

        #[test]
        fn no_pattern_panics(text in "[%$a-zA-Z{}é]{0,12}", n: u64) {
            if let Ok(pattern) = Pattern::parse(&text) {
                let civil = Civil::new(Nanos(n).seconds() as i64, -3600);
                let _ = pattern.expand(Nanos(n), &civil, [b"v".as_slice()]);
            }
        }
    }
}
