//! Values that are several: items of a joined text, flags of a byte, pairs of a label, degrees.
//!
//! What they are written as is each format's business.

/// The flags of a TCP header by name. A value with bits beyond these six has none: the two bits
/// of congestion notification are no flags of a connection's state.
pub fn flags(value: u64) -> impl Iterator<Item = &'static str> {
    const NAMES: [&str; 6] = ["URG", "ACK", "PSH", "RST", "SYN", "FIN"];
    let known = value < 64;
    let names = NAMES.into_iter().enumerate();
    names.filter_map(move |(n, name)| (known && value >> (5 - n) & 1 == 1).then_some(name))
}

/// The items of a text that are joined by underscores.
pub fn items(text: &[u8]) -> impl Iterator<Item = &[u8]> {
    text.split(|b| *b == b'_').filter(|item| !item.is_empty())
}

/// The pairs of a label: `key%value,key2%value2`. A key without a value has an empty one; of two
/// pairs with one key the later stands.
pub fn pairs(text: &[u8]) -> impl Iterator<Item = (&[u8], &[u8])> {
    fn all(text: &[u8]) -> impl Iterator<Item = (&[u8], &[u8])> {
        let mut tokens = text
            .split(|b| matches!(b, b',' | b'%'))
            .filter(|token| !token.is_empty());
        std::iter::from_fn(move || {
            let key = tokens.next()?;
            Some((key, tokens.next().unwrap_or_default()))
        })
    }
    let again = move |key: &[u8], n: usize| all(text).skip(n + 1).any(|(later, _)| later == key);
    all(text)
        .enumerate()
        .filter(move |(n, (key, _))| !again(key, *n))
        .map(|(_, pair)| pair)
}

/// A number of degrees, in thousand millionths: exact, and without floating point, which a box has
/// to bring along.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Degree(i64);

impl Degree {
    const ONE: i64 = 1_000_000_000;

    /// The first or second number of a text like `47.3769,8.5417`; zero where there is none.
    pub fn read(text: &[u8], second: bool) -> Self {
        let mut parts = text.split(|b| *b == b',');
        let part = parts.nth(usize::from(second)).unwrap_or_default();
        Self(Self::parse(part.trim_ascii()).unwrap_or(0))
    }

    fn parse(text: &[u8]) -> Option<i64> {
        let (sign, digits) = match text {
            [b'-', digits @ ..] => (-1, digits),
            [b'+', digits @ ..] | digits => (1, digits),
        };
        let point = digits.iter().position(|b| *b == b'.');
        let (whole, part) = digits.split_at(point.unwrap_or(digits.len()));
        let part = part.get(1..).unwrap_or_default();
        let all = whole.iter().chain(part);
        if digits.is_empty() || whole.len() > 9 || !all.clone().all(u8::is_ascii_digit) {
            return None;
        }
        let zeros = std::iter::repeat(&b'0');
        let digits = whole.iter().chain(part.iter().chain(zeros).take(9));
        let number = digits.fold(0, |n, digit| n * 10 + i64::from(digit - b'0'));
        Some(sign * number)
    }

    /// As the nearest number of floating point.
    pub fn real(self) -> f64 {
        self.0 as f64 / Self::ONE as f64
    }

    /// With so many digits behind the point as it has, one at least.
    pub fn shortest(self) -> String {
        let text = self.signed(self.0.unsigned_abs());
        let short = text.trim_end_matches('0');
        let zero = if short.ends_with('.') { "0" } else { "" };
        format!("{short}{zero}")
    }

    /// With six digits behind the point.
    pub fn millionths(self) -> String {
        let mut text = self.signed(self.0.unsigned_abs() + 500);
        text.truncate(text.len() - 3);
        text
    }

    fn signed(self, size: u64) -> String {
        let (sign, one) = (if self.0 < 0 { "-" } else { "" }, Self::ONE as u64);
        format!("{sign}{}.{:09}", size / one, size % one)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn flags_in_the_order_of_the_header() {
        let names = |value| flags(value).collect::<Vec<_>>().join(" ");
        assert_eq!(names(0b11_1111), "URG ACK PSH RST SYN FIN");
        assert_eq!(names(0b01_0010), "ACK SYN");
        assert_eq!(names(0), "");
        // ECE or CWR set.
        assert_eq!(
            (names(64 + 16), names(0xff), names(1 << 40)),
            Default::default()
        );
    }

    #[test]
    fn pairs_of_labels() {
        let text = |label: &str| {
            let pairs = pairs(label.as_bytes());
            let pairs = pairs.map(|(k, v)| [k, b"=", v].concat());
            String::from_utf8(pairs.collect::<Vec<_>>().join(&b' ')).unwrap()
        };
        assert_eq!(
            text("nkey%NODE_ID,pkey%PLATFORM_ID"),
            "nkey=NODE_ID pkey=PLATFORM_ID"
        );
        assert_eq!(text(""), "");
        assert_eq!(text("alone"), "alone=");
        assert_eq!(text("a%1,b%2,a%3"), "b=2 a=3");
        assert_eq!(text(",,a%,b"), "a=b");
    }

    #[test]
    fn degrees() {
        let read = |text: &str, second| Degree::read(text.as_bytes(), second);
        let all = |d: Degree| (d.real(), d.shortest(), d.millionths());
        for (text, real, shortest, millionths) in [
            ("47.3769", 47.3769, "47.3769", "47.376900"),
            (" -8.5 ", -8.5, "-8.5", "-8.500000"),
            ("+8", 8.0, "8.0", "8.000000"),
            (".25", 0.25, "0.25", "0.250000"),
            ("-0.0000006", -0.0000006, "-0.0000006", "-0.000001"),
            (
                "179.1234567891",
                179.123456789,
                "179.123456789",
                "179.123457",
            ),
            ("0", 0.0, "0.0", "0.000000"),
        ] {
            let want = (real, shortest.to_string(), millionths.to_string());
            assert_eq!(all(read(text, false)), want);
            assert_eq!(all(read(&format!("1,{text}"), true)), want);
        }
        for nothing in ["", "x,y", "inf,nan", "1", "1,2.3.4", "1,1234567890", "1,-"] {
            assert_eq!(read(nothing, true), Degree::default(), "{nothing}");
        }
    }

    proptest! {
        #[test]
        fn no_key_comes_twice(label in "[abc%,]{0,24}") {
            let mut keys: Vec<_> = pairs(label.as_bytes()).map(|(k, _)| k).collect();
            let all = keys.len();
            keys.sort_unstable();
            keys.dedup();
            prop_assert_eq!(keys.len(), all);
        }
    }
}
