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
    }
}
