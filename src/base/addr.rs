//! Network addresses in the one form that records hold them.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// An IP address in 16 bytes, network order; IPv4 is v4-mapped (RFC 4291 §2.5.5.2).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Ip(pub [u8; 16]);

/// The first twelve bytes of every v4-mapped address.
pub const V4_MAPPED: [u8; 12] = [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff];

impl Ip {
    /// An IPv4 address from its four bytes.
    #[inline]
    pub fn v4(b: [u8; 4]) -> Self {
        Self([
            0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, b[0], b[1], b[2], b[3],
        ])
    }

    /// The IPv4 address within, if it is one.
    #[inline]
    pub fn as_v4(self) -> Option<[u8; 4]> {
        match self.0.split_last_chunk::<4>() {
            Some((head, tail)) if head == V4_MAPPED => Some(*tail),
            _ => None,
        }
    }

    /// As the standard library's type, IPv4 where it is IPv4.
    pub fn to_std(self) -> IpAddr {
        match self.as_v4() {
            Some(b) => IpAddr::V4(Ipv4Addr::from(b)),
            None => IpAddr::V6(Ipv6Addr::from(self.0)),
        }
    }
}

impl Ip {
    /// The address with all but its first `bits` bits zero, counted in its own family.
    #[inline]
    pub fn masked(self, bits: u8) -> Self {
        Prefix::new(self, bits).ip
    }
}

/// The masks of all lengths, in network order.
static MASKS: [u128; 129] = {
    let (mut masks, mut bits) = ([0; 129], 1);
    while bits < masks.len() {
        masks[bits] = (u128::MAX << (128 - bits)).to_be();
        bits += 1;
    }
    masks
};

/// The mask of the first `bits` bits of 128, as a number.
#[inline]
fn mask(bits: u8) -> u128 {
    u128::from_be(MASKS[usize::from(bits.min(128))])
}

/// All addresses of one family that begin with the same bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Prefix {
    /// The first of them.
    ip: Ip,
    /// Bits that are alike, of 128: those of IPv4 begin at 96.
    bits: u8,
}

impl Prefix {
    /// The prefix of `len` bits around `ip`, counted in its family; more than it has are all.
    #[inline]
    pub fn new(ip: Ip, len: u8) -> Self {
        let bits = match ip.as_v4() {
            Some(_) => 96 + len.min(32),
            None => len.min(128),
        };
        let number = u128::from_ne_bytes(ip.0) & MASKS[usize::from(bits)];
        Self {
            ip: Ip(number.to_ne_bytes()),
            bits,
        }
    }

    /// From `192.0.2.0/24`, `2001:db8::/32`, or an address, which is a prefix of all its bits.
    /// Bits behind the length are dropped.
    pub fn parse(text: &str) -> Option<Self> {
        let (address, len) = match text.split_once('/') {
            Some((address, len)) => (address, Some(len)),
            None => (text, None),
        };
        let ip = address.parse::<IpAddr>().ok()?;
        let most = if ip.is_ipv4() { 32 } else { 128 };
        let plain = |len: &&str| len.bytes().all(|b| b.is_ascii_digit());
        let len = match len {
            Some(len) => Some(len).filter(plain)?.parse::<u8>().ok()?,
            None => most,
        };
        // A mapped address is IPv4 in every respect, so its length counts from there.
        let mapped = ip.is_ipv6() && Ip::from(ip).as_v4().is_some();
        let len = if mapped { len.checked_sub(96)? } else { len };
        (len <= most).then(|| Self::new(ip.into(), len))
    }

    /// The first address.
    #[inline]
    pub fn first(self) -> Ip {
        self.ip
    }

    /// Whether it is one of IPv4.
    #[inline]
    pub fn is_v4(self) -> bool {
        self.bits >= 96 && self.ip.as_v4().is_some()
    }

    /// Its length, as people count it.
    #[inline]
    pub fn len(self) -> u8 {
        if self.is_v4() {
            self.bits - 96
        } else {
            self.bits
        }
    }

    /// Whether it is a whole family.
    pub fn is_empty(self) -> bool {
        self.len() == 0
    }

    /// The bits that count, as an address.
    pub fn mask(self) -> Ip {
        Ip(MASKS[usize::from(self.bits)].to_ne_bytes())
    }

    /// Whether IPv4's block of mapped addresses lies inside, which belongs to the other family.
    pub fn spans_v4(self) -> bool {
        let block = u128::from_be_bytes(Ip::v4([0; 4]).0);
        !self.is_v4() && block & mask(self.bits) == u128::from_be_bytes(self.ip.0)
    }

    /// Whether the address is in it.
    #[inline]
    pub fn holds(self, ip: Ip) -> bool {
        let inside = u128::from_be_bytes(ip.0) & mask(self.bits) == u128::from_be_bytes(self.ip.0);
        inside && (self.is_v4() || ip.as_v4().is_none())
    }
}

impl fmt::Display for Prefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.ip, self.len())
    }
}

impl From<IpAddr> for Ip {
    fn from(ip: IpAddr) -> Self {
        match ip {
            IpAddr::V4(v4) => Self::v4(v4.octets()),
            IpAddr::V6(v6) => Self(v6.octets()),
        }
    }
}

impl fmt::Display for Ip {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.to_std().fmt(f)
    }
}

/// A MAC address, in the order it is on the wire.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Mac(pub [u8; 6]);

impl Mac {
    /// From `00:1b:21:0a:0b:0c`; a group may have one digit.
    pub fn parse(text: &str) -> Option<Self> {
        let mut groups = text.split(':');
        let mut bytes = [0; 6];
        for byte in &mut bytes {
            let group = groups.next()?;
            let plain =
                (1..=2).contains(&group.len()) && group.bytes().all(|b| b.is_ascii_hexdigit());
            *byte = u8::from_str_radix(Some(group).filter(|_| plain)?, 16).ok()?;
        }
        groups.next().is_none().then_some(Self(bytes))
    }
}

impl fmt::Display for Mac {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [a, b, c, d, e, g] = self.0;
        write!(f, "{a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{g:02x}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_families_print_as_users_write_them() {
        assert_eq!(Ip::v4([192, 0, 2, 1]).to_string(), "192.0.2.1");
        assert_eq!(
            Ip::from("2001:db8::1".parse::<IpAddr>().unwrap()).to_string(),
            "2001:db8::1"
        );
        assert_eq!(
            Mac([0, 0x1b, 0x21, 10, 11, 12]).to_string(),
            "00:1b:21:0a:0b:0c"
        );
        assert_eq!(
            Mac::parse("0:1b:21:a:B:c"),
            Some(Mac([0, 0x1b, 0x21, 10, 11, 12]))
        );
        for wrong in [
            "",
            "0:1:2:3:4",
            "0:1:2:3:4:5:6",
            "0:1:2:3:4:+5",
            "0:1:2:3:4:555",
        ] {
            assert_eq!(Mac::parse(wrong), None, "{wrong}");
        }
    }

    fn ip(text: &str) -> Ip {
        text.parse::<IpAddr>().unwrap().into()
    }

    #[test]
    fn prefixes_belong_to_one_family() {
        for (given, shown) in [
            ("192.0.2.129/24", "192.0.2.0/24"),
            ("192.0.2.1", "192.0.2.1/32"),
            ("0.0.0.0/0", "0.0.0.0/0"),
            ("2001:db8:1:2::9/48", "2001:db8:1::/48"),
            ("::/0", "::/0"),
            ("::ffff:192.0.2.1/120", "192.0.2.0/24"),
        ] {
            assert_eq!(Prefix::parse(given).unwrap().to_string(), shown, "{given}");
        }
        for wrong in [
            "",
            "192.0.2.0/33",
            "::/129",
            "192.0.2/24",
            "10.0.0.0/+8",
            "10.0.0.0/",
        ] {
            assert_eq!(Prefix::parse(wrong), None, "{wrong}");
        }
        let (four, six) = (
            Prefix::parse("0.0.0.0/0").unwrap(),
            Prefix::parse("::/0").unwrap(),
        );
        assert!(four.holds(ip("192.0.2.1")) && !four.holds(ip("2001:db8::1")));
        assert!(six.holds(ip("2001:db8::1")) && !six.holds(ip("192.0.2.1")));
        assert!(six.spans_v4() && !four.spans_v4());
        assert!(!Prefix::parse("2000::/3").unwrap().spans_v4());
        assert!(
            Prefix::parse("192.0.2.0/24")
                .unwrap()
                .holds(ip("192.0.2.255"))
        );
    }

    #[test]
    fn masks_are_those_of_the_family() {
        for (address, bits, want) in [
            ("192.0.2.129", 24, "192.0.2.0"),
            ("192.0.2.129", 0, "0.0.0.0"),
            ("192.0.2.129", 200, "192.0.2.129"),
            ("2001:db8:1:2::9", 48, "2001:db8:1::"),
            ("2001:db8:1:2::9", 0, "::"),
        ] {
            assert_eq!(ip(address).masked(bits), ip(want), "{address}/{bits}");
        }
    }
}
