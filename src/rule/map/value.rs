//! What a key of a map takes, and values as they are read.

use crate::base::addr::{Ip, Mac, Prefix};
use std::net::IpAddr;

/// What a key takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Takes {
    /// A whole number between these.
    Number(u64, u64),
    /// A tag: a number, or `N++`, which counts up from it.
    Tag,
    /// A number in hexadecimal digits, with or without `0x`, up to this.
    Hex(u64),
    /// Any text.
    Text,
    /// `true` or `false`.
    Flag,
    /// One of these words.
    Word(&'static [&'static str]),
    /// A number between these, or one of the words.
    NumberOr(u64, u64, &'static [&'static str]),
    /// An address or a prefix.
    Prefix,
    /// An address.
    Address,
    /// A MAC address.
    Mac,
    /// A route distinguisher: `0:AS:N`, `1:ADDRESS:N`, `2:AS:N`.
    Distinguisher,
    /// A filter expression of pcap.
    Filter,
    /// At the most 16 texts with commas between them.
    Texts,
    /// Tags with commas between them, with ranges and a leading `-` for "not".
    Tags,
    /// An address and a port: `192.0.2.1:2055`, `[2001:db8::1]:2055`.
    Endpoint,
    /// Hosts and ports with commas between them.
    Endpoints,
    /// An information element: `234`, or `PEN:ID`.
    Element,
}

/// A value as it was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Value {
    /// A number.
    Number(u64),
    /// A number that grows by one with each match.
    Count(u64),
    /// Text, a filter, or what only its reader takes apart.
    Text(String),
    /// Yes or no.
    Flag(bool),
    /// A prefix.
    Prefix(Prefix),
    /// An address.
    Address(Ip),
    /// A MAC address.
    Mac(Mac),
    /// A word of a list of them.
    Word(&'static str),
}

/// Longest text, in bytes: longer ones would be cut where they are kept.
pub const TEXT_MAX: usize = crate::base::intern::Sym::LEN_MAX;

impl Takes {
    /// Reads a value.
    pub fn read(self, text: &str) -> Option<Value> {
        Some(match self {
            Self::Number(least, most) => Value::Number(number(text, least, most)?),
            Self::Tag => match text.strip_suffix("++") {
                Some(first) => Value::Count(number(first, 0, u64::MAX)?),
                None => Value::Number(number(text, 0, u64::MAX)?),
            },
            Self::Hex(most) => {
                let digits = text.strip_prefix("0x").unwrap_or(text);
                let plain = digits.bytes().all(|b| b.is_ascii_hexdigit());
                let number = u64::from_str_radix(digits, 16).ok()?;
                Value::Number(Some(number).filter(|n| plain && *n <= most)?)
            }
            Self::Text | Self::Filter => {
                let fits = !text.is_empty() && text.len() <= TEXT_MAX;
                Value::Text(Some(text).filter(|_| fits)?.into())
            }
            Self::Flag => Value::Flag(match text {
                "true" => true,
                "false" => false,
                _ => return None,
            }),
            Self::Word(words) => Value::Word(word(text, words)?),
            Self::NumberOr(least, most, words) => match word(text, words) {
                Some(word) => Value::Word(word),
                None => Value::Number(number(text, least, most)?),
            },
            Self::Prefix => Value::Prefix(Prefix::parse(text)?),
            Self::Address => Value::Address(text.parse::<IpAddr>().ok()?.into()),
            Self::Mac => Value::Mac(Mac::parse(text)?),
            Self::Distinguisher => Value::Number(distinguisher(text)?),
            Self::Texts => {
                let items = text.split(',');
                let fits = items.clone().count() <= 16 && items.clone().all(|i| !i.is_empty());
                Value::Text(Some(text).filter(|_| fits)?.into())
            }
            Self::Tags => {
                let fits = text.split(',').all(|term| range(term).is_some());
                Value::Text(Some(text).filter(|_| fits)?.into())
            }
            Self::Endpoint => {
                text.parse::<std::net::SocketAddr>().ok()?;
                Value::Text(text.into())
            }
            Self::Endpoints => {
                let fits = text.split(',').all(is_endpoint);
                Value::Text(Some(text).filter(|_| fits)?.into())
            }
            Self::Element => {
                let (pen, id) = text.split_once(':').unwrap_or(("0", text));
                number(pen, 0, u32::MAX.into())?;
                number(id, 1, 0x7fff)?;
                Value::Text(text.into())
            }
        })
    }

    /// What it takes, in words that go after "it takes".
    pub fn show(self) -> String {
        let list = |words: &[&str]| words.join(", ");
        match self {
            Self::Number(least, most) => format!("a number from {least} to {most}"),
            Self::Tag => format!("a number from 0 to {}, or N++", u64::MAX),
            Self::Hex(most) => format!("hexadecimal digits from 0 to {most:x}"),
            Self::Text => format!("a text of {TEXT_MAX} bytes at the most"),
            Self::Flag => "true or false".into(),
            Self::Word(words) => list(words),
            Self::NumberOr(least, most, words) => {
                format!("a number from {least} to {most}, or {}", list(words))
            }
            Self::Prefix => "an address or a prefix like 192.0.2.0/24".into(),
            Self::Address => "an address".into(),
            Self::Mac => "a MAC address like 00:1b:21:0a:0b:0c".into(),
            Self::Distinguisher => "0:AS:NUMBER, 1:ADDRESS:NUMBER or 2:AS:NUMBER".into(),
            Self::Filter => "a filter of pcap in quotes".into(),
            Self::Texts => "at the most 16 texts with commas between them".into(),
            Self::Tags => "tags and ranges like 1,10-19,-15".into(),
            Self::Endpoint => "an address and a port like 192.0.2.1:179".into(),
            Self::Endpoints => "hosts and ports like 192.0.2.1:2055,[2001:db8::1]:2055".into(),
            Self::Element => "the number of an element, or PEN:NUMBER".into(),
        }
    }
}

/// A plain decimal number between `least` and `most`: no sign, no blank.
pub fn number(text: &str, least: u64, most: u64) -> Option<u64> {
    let plain = text.bytes().all(|b| b.is_ascii_digit());
    let number = text.parse().ok()?;
    (plain && (least..=most).contains(&number)).then_some(number)
}

fn word(text: &str, words: &'static [&'static str]) -> Option<&'static str> {
    words.iter().copied().find(|word| *word == text)
}

/// `N`, `N-M`, or one of them behind a `-`: whether it is negated, first and last.
pub fn range(text: &str) -> Option<(bool, u64, u64)> {
    let (negated, text) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text),
    };
    let (first, last) = text.split_once('-').unwrap_or((text, text));
    let (first, last) = (number(first, 0, u64::MAX)?, number(last, 0, u64::MAX)?);
    (first <= last).then_some((negated, first, last))
}

/// A host, in brackets where it is an IPv6 address, and a port.
fn is_endpoint(text: &str) -> bool {
    let Some((host, port)) = text.rsplit_once(':') else {
        return false;
    };
    let six = host.strip_prefix('[').and_then(|h| h.strip_suffix(']'));
    let host = match six {
        Some(six) => six.parse::<std::net::Ipv6Addr>().is_ok(),
        None => {
            let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_');
            !host.is_empty() && host.chars().all(plain)
        }
    };
    host && number(port, 1, 65535).is_some()
}

/// A route distinguisher as it is on the wire (RFC 4364 §4.2).
fn distinguisher(text: &str) -> Option<u64> {
    let (kind, rest) = text.split_once(':')?;
    let (administrator, number_) = rest.rsplit_once(':')?;
    let (short, long) = (u64::from(u16::MAX), u64::from(u32::MAX));
    let own = |most| number(number_, 0, most);
    Some(match kind {
        "0" => number(administrator, 0, short)? << 32 | own(long)?,
        "1" => {
            let address: std::net::Ipv4Addr = administrator.parse().ok()?;
            1 << 48 | u64::from(u32::from(address)) << 16 | own(short)?
        }
        "2" => 2 << 48 | number(administrator, 0, long)? << 16 | own(short)?,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_of_value_is_read_and_what_is_none_is_not() {
        let text = |t: &str| Value::Text(t.into());
        let words: &[&str] = &["in", "out"];
        for (takes, given, want) in [
            (Takes::Number(0, 9), "9", Value::Number(9)),
            (Takes::Tag, "18446744073709551615", Value::Number(u64::MAX)),
            (Takes::Tag, "7++", Value::Count(7)),
            (Takes::Hex(255), "0x1b", Value::Number(27)),
            (Takes::Hex(255), "2", Value::Number(2)),
            (Takes::Flag, "true", Value::Flag(true)),
            (Takes::Word(&["in", "out"]), "out", Value::Word("out")),
            (Takes::NumberOr(0, 9, &["bgp"]), "bgp", Value::Word("bgp")),
            (Takes::NumberOr(0, 9, &["bgp"]), "3", Value::Number(3)),
            (
                Takes::Mac,
                "0:1:2:3:4:5",
                Value::Mac(Mac([0, 1, 2, 3, 4, 5])),
            ),
            (
                Takes::Address,
                "192.0.2.1",
                Value::Address(Ip::v4([192, 0, 2, 1])),
            ),
            (
                Takes::Distinguisher,
                "0:65000:203",
                Value::Number(0xfde8_0000_00cb),
            ),
            (
                Takes::Distinguisher,
                "1:10.10.0.33:203",
                Value::Number(0x1_0a0a_0021_00cb),
            ),
            (
                Takes::Distinguisher,
                "2:65536:9",
                Value::Number(0x2_0001_0000_0009),
            ),
            (Takes::Texts, "65000:1,65000:2", text("65000:1,65000:2")),
            (Takes::Tags, "1,10-19,-15,0", text("1,10-19,-15,0")),
            (
                Takes::Endpoint,
                "[2001:db8::1]:179",
                text("[2001:db8::1]:179"),
            ),
            (
                Takes::Endpoints,
                "a.example:1,[::1]:2",
                text("a.example:1,[::1]:2"),
            ),
            (Takes::Element, "9:12235", text("9:12235")),
        ] {
            assert_eq!(takes.read(given), Some(want), "{given}");
        }
        for (takes, given) in [
            (Takes::Number(0, 9), "10"),
            (Takes::Number(0, 9), "+1"),
            (Takes::Number(0, 9), ""),
            (Takes::Tag, "-1"),
            (Takes::Tag, "++"),
            (Takes::Tag, "18446744073709551616"),
            (Takes::Hex(255), "0x"),
            (Takes::Hex(255), "100"),
            (Takes::Hex(255), "+1"),
            (Takes::Text, ""),
            (Takes::Flag, "yes"),
            (Takes::Word(words), "both"),
            (Takes::Prefix, "192.0.2.0/33"),
            (Takes::Distinguisher, "0:65536:1"),
            (Takes::Distinguisher, "1:1:1"),
            (Takes::Distinguisher, "3:1:1"),
            (Takes::Texts, "1,,2"),
            (Takes::Tags, "19-10"),
            (Takes::Tags, "--1"),
            (Takes::Endpoint, "192.0.2.1"),
            (Takes::Endpoints, "::1:2055"),
            (Takes::Endpoints, "host:0"),
            (Takes::Element, "0"),
        ] {
            assert_eq!(takes.read(given), None, "{given}");
            assert!(!takes.show().is_empty());
        }
        assert_eq!(Takes::Text.read(&"x".repeat(TEXT_MAX + 1)), None);
    }
}
