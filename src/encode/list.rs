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

/// The first or second number of a text like `47.3769,8.5417`; zero where there is none.
pub fn degree(text: &[u8], second: bool) -> f64 {
    let mut parts = text.split(|b| *b == b',');
    let part = parts.nth(usize::from(second)).unwrap_or_default();
    let number = std::str::from_utf8(part).ok();
    let number = number.and_then(|part| part.trim().parse::<f64>().ok());
    number.filter(|degree| degree.is_finite()).unwrap_or(0.0)
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
        assert_eq!(degree(b"47.3769,-8.5", false), 47.3769);
        assert_eq!(degree(b"47.3769,-8.5", true), -8.5);
        for nothing in [&b""[..], b"x,y", b"inf,nan", b"1"] {
            assert_eq!(degree(nothing, true), 0.0);
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
