//! The pcap file format: what a savefile's first bytes say, its file header and record headers.
//!
//! Described in draft-ietf-opsawg-pcap; pcapng is in [`super::pcapng`]. Lengths are handed out as
//! the file states them: whether one is too long to be believed is decided by who holds the
//! buffer. Not for gzip or any other packing around a savefile.

use super::Error;
use crate::base::time::Nanos;

/// What a file is, by its first four bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Magic {
    /// A pcap file.
    Pcap(Flavour),
    /// A pcapng file; its byte order is told by its first block.
    Pcapng,
    /// A gzip stream (RFC 1952).
    Gzip,
    /// Something else; a name for it where it is a well-known one.
    Other(Option<&'static str>),
}

/// Which of the pcap formats.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Flavour {
    /// Numbers are big-endian.
    pub big: bool,
    /// Nanoseconds in a unit of the fraction of a second: 1 or 1000.
    pub unit: u32,
    /// Record headers carry eight bytes more: interface, protocol and packet type.
    pub modified: bool,
}

/// Length of the file header, in bytes.
pub const HEADER: usize = 24;
/// Length of a record header, in bytes.
pub const RECORD: usize = 16;
/// More bytes in a record header of the modified format.
pub const EXTRA: usize = 8;

const MICRO: u32 = 0xa1b2_c3d4;
const NANO: u32 = 0xa1b2_3c4d;
const MODIFIED: u32 = 0xa1b2_cd34;

/// Tells a file by its first four bytes.
pub fn magic(first: [u8; 4]) -> Magic {
    let flavour = |number: u32, big: bool| match number {
        MICRO => Some(Flavour {
            big,
            unit: 1000,
            modified: false,
        }),
        NANO => Some(Flavour {
            big,
            unit: 1,
            modified: false,
        }),
        MODIFIED => Some(Flavour {
            big,
            unit: 1000,
            modified: true,
        }),
        _ => None,
    };
    let big = flavour(u32::from_be_bytes(first), true);
    if let Some(f) = big.or_else(|| flavour(u32::from_le_bytes(first), false)) {
        return Magic::Pcap(f);
    }
    match first {
        [0x0a, 0x0d, 0x0d, 0x0a] => Magic::Pcapng,
        [0x1f, 0x8b, _, _] => Magic::Gzip,
        [0x28, 0xb5, 0x2f, 0xfd] => Magic::Other(Some("zstd")),
        [0xfd, b'7', b'z', b'X'] => Magic::Other(Some("xz")),
        [b'B', b'Z', b'h', _] => Magic::Other(Some("bzip2")),
        [0x04, 0x22, 0x4d, 0x18] => Magic::Other(Some("lz4")),
        [b'P', b'K', 3, 4] => Magic::Other(Some("zip")),
        [b's', b'n', b'o', b'o'] => Magic::Other(Some("snoop")),
        [b'G', b'M', b'B', b'U'] | [b'R', b'T', b'S', b'S'] => Magic::Other(Some("netmon")),
        [0x0c, 0xa5, _, _] | [0xa5, 0x0c, _, _] => Magic::Other(Some("nfdump")),
        _ => Magic::Other(None),
    }
}

/// A number in the byte order of the file.
#[inline(always)]
pub(super) fn u32_of<const BIG: bool>(bytes: [u8; 4]) -> u32 {
    if BIG {
        u32::from_be_bytes(bytes)
    } else {
        u32::from_le_bytes(bytes)
    }
}

/// A number in the byte order of the file.
#[inline(always)]
pub(super) fn u16_of<const BIG: bool>(bytes: [u8; 2]) -> u16 {
    if BIG {
        u16::from_be_bytes(bytes)
    } else {
        u16::from_le_bytes(bytes)
    }
}

/// A pcap file's header, read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pcap {
    /// Byte order, unit of time, length of record headers.
    pub flavour: Flavour,
    /// Number of the LINKTYPE registry; `u16::MAX` where the file states more than 16 bits.
    pub linktype: u16,
    /// Most bytes that were kept of a frame, as the file says; zero is "no limit stated".
    pub snaplen: u32,
    /// Before version 2.4 the two lengths of a record may stand in the other order.
    pub old: bool,
}

/// A record header, read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Record {
    /// When the frame was captured. A fraction of more than a second is carried, not refused.
    pub time: Nanos,
    /// Bytes of the frame that follow.
    pub caplen: u32,
    /// Length of the frame on the wire, in bytes, as stated: it may be less than `caplen`.
    pub wire_len: u32,
    /// Index of the interface, in the modified format; else zero.
    pub iface: u32,
}

/// Reads the file header, of which `window` begins with the magic.
///
/// # Errors
/// `Truncated`; `Type` when it is not a pcap magic; `Version` other than 2.
pub fn header(window: &[u8]) -> Result<Pcap, Error> {
    let bytes = window.first_chunk::<HEADER>().ok_or(Error::Truncated)?;
    let (first, rest) = bytes.split_first_chunk::<4>().ok_or(Error::Truncated)?;
    let Magic::Pcap(flavour) = magic(*first) else {
        return Err(Error::Type);
    };
    if flavour.big {
        fields::<true>(flavour, rest)
    } else {
        fields::<false>(flavour, rest)
    }
}

fn fields<const BIG: bool>(flavour: Flavour, rest: &[u8]) -> Result<Pcap, Error> {
    let &[
        a,
        b,
        c,
        d,
        _,
        _,
        _,
        _,
        _,
        _,
        _,
        _,
        s0,
        s1,
        s2,
        s3,
        l0,
        l1,
        l2,
        l3,
    ] = rest.first_chunk::<20>().ok_or(Error::Truncated)?;
    let (major, minor) = (u16_of::<BIG>([a, b]), u16_of::<BIG>([c, d]));
    if major != 2 {
        return Err(Error::Version);
    }
    // The upper six bits tell of a frame check sequence, which no length of an IP packet includes.
    let link = u32_of::<BIG>([l0, l1, l2, l3]) & 0x03ff_ffff;
    Ok(Pcap {
        flavour,
        linktype: u16::try_from(link).unwrap_or(u16::MAX),
        snaplen: u32_of::<BIG>([s0, s1, s2, s3]),
        old: minor < 4,
    })
}

impl Pcap {
    /// Reads the record header that `window` begins with; beside it what follows it.
    /// `BIG` is `flavour.big`, for the compiler to make one loop of each.
    #[inline(always)]
    pub fn record<'a, const BIG: bool>(&self, window: &'a [u8]) -> Option<(Record, &'a [u8])> {
        let (head, mut rest) = window.split_first_chunk::<RECORD>()?;
        let &[
            s0,
            s1,
            s2,
            s3,
            f0,
            f1,
            f2,
            f3,
            c0,
            c1,
            c2,
            c3,
            w0,
            w1,
            w2,
            w3,
        ] = head;
        let mut caplen = u32_of::<BIG>([c0, c1, c2, c3]);
        let mut wire_len = u32_of::<BIG>([w0, w1, w2, w3]);
        let mut iface = 0;
        if self.flavour.modified {
            let (extra, behind) = rest.split_first_chunk::<EXTRA>()?;
            let &[i0, i1, i2, i3, _, _, _, _] = extra;
            iface = u32_of::<BIG>([i0, i1, i2, i3]);
            rest = behind;
        }
        if self.old && caplen > wire_len {
            (caplen, wire_len) = (wire_len, caplen);
        }
        let fraction = u64::from(u32_of::<BIG>([f0, f1, f2, f3]));
        // Neither can overflow: 2^32 seconds and 2^32 milliseconds are less than 2^63 nanoseconds.
        let time = u64::from(u32_of::<BIG>([s0, s1, s2, s3]))
            .wrapping_mul(crate::base::time::SECOND)
            .wrapping_add(fraction.wrapping_mul(u64::from(self.flavour.unit)));
        Some((
            Record {
                time: Nanos(time),
                caplen,
                wire_len,
                iface,
            },
            rest,
        ))
    }
}

/// A file header for who writes savefiles: little-endian, nanoseconds, snap length 256 KiB.
pub fn write_pcap_header(linktype: u16) -> [u8; HEADER] {
    let [a, b, c, d] = NANO.to_le_bytes();
    let [x, y] = linktype.to_le_bytes();
    [
        a, b, c, d, 2, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 4, 0, x, y, 0, 0,
    ]
}

/// A record header to go with [`write_pcap_header`]; the `caplen` bytes of the frame follow it.
/// Seconds past the year 2106 are cut to 32 bits.
pub fn write_pcap_record(time: Nanos, caplen: u32, wire_len: u32) -> [u8; RECORD] {
    let [a, b, c, d] = (time.seconds() as u32).to_le_bytes();
    let [e, f, g, h] = time.fraction().to_le_bytes();
    let [i, j, k, l] = caplen.to_le_bytes();
    let [m, n, o, p] = wire_len.to_le_bytes();
    [a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p]
}

#[cfg(test)]
#[allow(
    clippy::indexing_slicing,
    clippy::unwrap_used,
    clippy::arithmetic_side_effects,
    clippy::panic
)]
mod tests {
    use super::*;

    #[test]
    fn a_microsecond_header_in_both_orders() {
        let little = [
            0xd4, 0xc3, 0xb2, 0xa1, // magic
            2, 0, 4, 0, // version 2.4
            0, 0, 0, 0, 0, 0, 0, 0, // zone, accuracy
            0, 0, 4, 0, // snap length
            0x13, 1, 0, 0x50, // link type 275, with five bytes of check sequence stated
        ];
        let flavour = Flavour {
            big: false,
            unit: 1000,
            modified: false,
        };
        let want = Pcap {
            flavour,
            linktype: 275,
            snaplen: 262_144,
            old: false,
        };
        assert_eq!(header(&little), Ok(want));
        let big = [
            0xa1, 0xb2, 0xc3, 0xd4, 0, 2, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 4, 0, 0, 0x50, 0, 1,
            0x13,
        ];
        let flavour = Flavour {
            big: true,
            ..flavour
        };
        assert_eq!(header(&big), Ok(Pcap { flavour, ..want }));
        for n in 0..HEADER {
            assert_eq!(header(&big[..n]), Err(Error::Truncated));
        }
    }

    #[test]
    fn other_versions_and_magics() {
        let mut bytes = write_pcap_header(1);
        bytes[4] = 3;
        assert_eq!(header(&bytes), Err(Error::Version));
        bytes[0] = 0;
        assert_eq!(header(&bytes), Err(Error::Type));
        assert_eq!(magic([0x1f, 0x8b, 8, 0]), Magic::Gzip);
        assert_eq!(magic(*b"snoo"), Magic::Other(Some("snoop")));
        assert_eq!(magic([0; 4]), Magic::Other(None));
        let Magic::Pcap(f) = magic([0x34, 0xcd, 0xb2, 0xa1]) else {
            panic!()
        };
        assert_eq!(
            f,
            Flavour {
                big: false,
                unit: 1000,
                modified: true
            }
        );
    }

    #[test]
    fn a_link_type_past_sixteen_bits_is_nobodys() {
        let mut bytes = write_pcap_header(1);
        bytes[22] = 1;
        assert_eq!(header(&bytes).unwrap().linktype, u16::MAX);
    }

    #[test]
    fn records() {
        let p = header(&write_pcap_header(1)).unwrap();
        let time = Nanos::new(1_700_000_000, 123_456_789);
        let bytes = write_pcap_record(time, 60, 1500);
        let want = Record {
            time,
            caplen: 60,
            wire_len: 1500,
            iface: 0,
        };
        assert_eq!(p.record::<false>(&bytes), Some((want, &[][..])));
        assert_eq!(p.record::<false>(&bytes[..15]), None);
        // Version 2.3 knew writers that put the two lengths the other way round.
        let old = Pcap { old: true, ..p };
        let bytes = write_pcap_record(time, 1500, 60);
        assert_eq!(old.record::<false>(&bytes), Some((want, &[][..])));
    }

    #[test]
    fn an_absurd_time_is_carried() {
        let flavour = Flavour {
            big: true,
            unit: 1000,
            modified: true,
        };
        let p = Pcap {
            flavour,
            linktype: 1,
            snaplen: 0,
            old: false,
        };
        let mut bytes = [0xff; 24];
        bytes[8..20].copy_from_slice(&[0, 0, 0, 1, 0, 0, 0, 2, 0, 0, 0, 7]);
        let (r, rest) = p.record::<true>(&bytes).unwrap();
        let max = u64::from(u32::MAX);
        assert_eq!(r.time, Nanos(max * 1_000_000_000 + max * 1000));
        assert_eq!((r.caplen, r.wire_len, r.iface, rest.len()), (1, 2, 7, 0));
    }
}
