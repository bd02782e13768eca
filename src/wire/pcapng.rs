//! The pcapng file format: blocks, sections, interfaces, packets, statistics.
//!
//! Section numbers are those of draft-ietf-opsawg-pcapng. All functions work on bytes that are
//! there; `BIG` is the byte order of the section, a constant so that each order is one straight
//! loop. Not for the blocks that carry no packet and no loss: they are passed over by length.

use super::Error;
use super::savefile::{u16_of, u32_of};
use crate::base::time::{Nanos, SECOND};

/// Type of a section header block (4.1); it reads the same in both byte orders.
pub const SECTION: u32 = 0x0a0d_0d0a;
/// Type of an interface description block (4.2).
pub const INTERFACE: u32 = 1;
/// Type of the obsolete packet block (appendix A).
pub const OBSOLETE: u32 = 2;
/// Type of a simple packet block (4.4).
pub const SIMPLE: u32 = 3;
/// Type of an interface statistics block (4.6).
pub const STATISTICS: u32 = 5;
/// Type of an enhanced packet block (4.3).
pub const ENHANCED: u32 = 6;
/// Shortest block: type, length, length.
pub const SHORTEST: u32 = 12;

const NAME: u16 = 2;
const RESOLUTION: u16 = 9;
const OFFSET: u16 = 14;
const IFDROP: u16 = 5;
const OSDROP: u16 = 7;

/// Type and length of the block that `window` begins with (3.1).
///
/// # Errors
/// `Truncated` when fewer than eight bytes are there; `Length` when it is less than
/// [`SHORTEST`] or no multiple of four.
#[inline(always)]
pub fn head<const BIG: bool>(window: &[u8]) -> Result<(u32, u32), Error> {
    let &[t0, t1, t2, t3, l0, l1, l2, l3] = window.first_chunk::<8>().ok_or(Error::Truncated)?;
    let len = u32_of::<BIG>([l0, l1, l2, l3]);
    if len < SHORTEST || len & 3 != 0 {
        return Err(Error::Length);
    }
    Ok((u32_of::<BIG>([t0, t1, t2, t3]), len))
}

/// What is between the two lengths of a whole block.
///
/// # Errors
/// `Length` when the second length is not the first.
#[inline(always)]
pub fn body<const BIG: bool>(block: &[u8], len: u32) -> Result<&[u8], Error> {
    let (_, rest) = block.split_first_chunk::<8>().ok_or(Error::Truncated)?;
    let (body, again) = rest.split_last_chunk::<4>().ok_or(Error::Truncated)?;
    if u32_of::<BIG>(*again) == len {
        Ok(body)
    } else {
        Err(Error::Length)
    }
}

/// Byte order of the section whose header block `window` begins with: true is big-endian.
///
/// # Errors
/// `Truncated` when fewer than 16 bytes are there; `Type` when it is no section header or its
/// byte-order magic is none; `Version` other than 1.
pub fn section(window: &[u8]) -> Result<bool, Error> {
    let &[t0, t1, t2, t3, _, _, _, _, m0, m1, m2, m3, v0, v1, _, _] =
        window.first_chunk::<16>().ok_or(Error::Truncated)?;
    let big = match [m0, m1, m2, m3] {
        [0x1a, 0x2b, 0x3c, 0x4d] => true,
        [0x4d, 0x3c, 0x2b, 0x1a] => false,
        _ => return Err(Error::Type),
    };
    if u32::from_be_bytes([t0, t1, t2, t3]) != SECTION {
        return Err(Error::Type);
    }
    let major = if big {
        u16::from_be_bytes([v0, v1])
    } else {
        u16::from_le_bytes([v0, v1])
    };
    if major == 1 {
        Ok(big)
    } else {
        Err(Error::Version)
    }
}

/// How an interface counts time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Clock {
    /// Nanoseconds in a tick; zero when there is more to it.
    scale: u64,
    /// `if_tsresol`: a negative power of ten, or of two when the highest bit is set.
    resolution: u8,
    /// `if_tsoffset`: seconds to add.
    offset: i64,
}

impl Clock {
    /// From the two options' values; absent ones are 6 and 0.
    pub fn new(resolution: u8, offset: i64) -> Self {
        let scale = match resolution {
            0..=9 if offset == 0 => 10u64.pow(u32::from(9u8.saturating_sub(resolution))),
            _ => 0,
        };
        Self {
            scale,
            resolution,
            offset,
        }
    }

    /// A count of ticks as a point in time; saturates at both ends.
    #[inline(always)]
    pub fn nanos(&self, ticks: u64) -> Nanos {
        if self.scale != 0 {
            Nanos(ticks.saturating_mul(self.scale))
        } else {
            self.odd(ticks)
        }
    }

    #[cold]
    fn odd(&self, ticks: u64) -> Nanos {
        let wide = u128::from(ticks);
        let exponent = u32::from(self.resolution & 0x7f);
        let nanos = if self.resolution & 0x80 != 0 {
            // 2^64 ticks of a second are less than 2^94 nanoseconds, so this never overflows.
            wide.wrapping_mul(u128::from(SECOND)).wrapping_shr(exponent)
        } else if exponent <= 9 {
            wide.wrapping_mul(10u128.pow(9u32.saturating_sub(exponent)))
        } else {
            let divisor = 10u64.checked_pow(exponent.saturating_sub(9));
            u128::from(divisor.and_then(|d| ticks.checked_div(d)).unwrap_or(0))
        };
        let shift = i128::from(self.offset).wrapping_mul(i128::from(SECOND));
        let sum = i128::try_from(nanos)
            .unwrap_or(i128::MAX)
            .saturating_add(shift);
        Nanos(u64::try_from(sum.max(0)).unwrap_or(u64::MAX))
    }
}

/// An interface description (4.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Interface<'a> {
    /// Number of the LINKTYPE registry.
    pub linktype: u16,
    /// Most bytes kept of a frame; zero is "no limit".
    pub snaplen: u32,
    /// How its packets count time.
    pub clock: Clock,
    /// `if_name`, in UTF-8 as the standard has it; empty when absent.
    pub name: &'a [u8],
}

/// Reads the body of an interface description block.
///
/// # Errors
/// `Truncated` when the fixed part is not there. Options that end too early end the list.
pub fn interface<const BIG: bool>(body: &[u8]) -> Result<Interface<'_>, Error> {
    let (&[l0, l1, _, _, s0, s1, s2, s3], options) =
        body.split_first_chunk::<8>().ok_or(Error::Truncated)?;
    let (mut resolution, mut offset, mut name) = (6, 0, &[][..]);
    for (code, value) in (Options::<BIG> { rest: options }) {
        match code {
            NAME => name = value,
            RESOLUTION => resolution = value.first().copied().unwrap_or(resolution),
            OFFSET => offset = u64_of::<BIG>(value).map_or(0, |n| n as i64),
            _ => (),
        }
    }
    Ok(Interface {
        linktype: u16_of::<BIG>([l0, l1]),
        snaplen: u32_of::<BIG>([s0, s1, s2, s3]),
        clock: Clock::new(resolution, offset),
        name,
    })
}

/// A packet, of whichever block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Packet<'a> {
    /// Number of its interface in the section, from zero.
    pub iface: u32,
    /// When, in ticks of the interface's [`Clock`]; zero in a simple packet block.
    pub ticks: u64,
    /// Length on the wire, in bytes, as stated: it may be less than what was captured.
    pub wire_len: u32,
    /// The captured bytes; `None` when the block is shorter than the length it states.
    pub bytes: Option<&'a [u8]>,
    /// Packets lost between the one before it and this one; only the obsolete block tells.
    pub lost: u16,
}

/// Reads the body of an enhanced packet block (4.3).
///
/// # Errors
/// `Truncated` when the fixed part is not there.
#[inline(always)]
pub fn enhanced<const BIG: bool>(body: &[u8]) -> Result<Packet<'_>, Error> {
    let (fixed, rest) = body.split_first_chunk::<20>().ok_or(Error::Truncated)?;
    let &[
        i0,
        i1,
        i2,
        i3,
        h0,
        h1,
        h2,
        h3,
        l0,
        l1,
        l2,
        l3,
        c0,
        c1,
        c2,
        c3,
        w0,
        w1,
        w2,
        w3,
    ] = fixed;
    let high = u64::from(u32_of::<BIG>([h0, h1, h2, h3]));
    let caplen = u32_of::<BIG>([c0, c1, c2, c3]);
    Ok(Packet {
        iface: u32_of::<BIG>([i0, i1, i2, i3]),
        ticks: (high << 32) | u64::from(u32_of::<BIG>([l0, l1, l2, l3])),
        wire_len: u32_of::<BIG>([w0, w1, w2, w3]),
        bytes: usize::try_from(caplen).ok().and_then(|n| rest.get(..n)),
        lost: 0,
    })
}

/// Reads the body of an obsolete packet block (appendix A).
///
/// # Errors
/// `Truncated` when the fixed part is not there.
pub fn obsolete<const BIG: bool>(body: &[u8]) -> Result<Packet<'_>, Error> {
    let (&[i0, i1, d0, d1], _) = body.split_first_chunk::<4>().ok_or(Error::Truncated)?;
    // From its fifth byte on it has the enhanced block's form.
    let packet = enhanced::<BIG>(body)?;
    let lost = u16_of::<BIG>([d0, d1]);
    let lost = if lost == u16::MAX { 0 } else { lost };
    Ok(Packet {
        iface: u32::from(u16_of::<BIG>([i0, i1])),
        lost,
        ..packet
    })
}

/// Reads the body of a simple packet block (4.4), which belongs to interface 0 and has no time.
/// `snaplen` is that interface's.
///
/// # Errors
/// `Truncated` when the fixed part is not there.
pub fn simple<const BIG: bool>(body: &[u8], snaplen: u32) -> Result<Packet<'_>, Error> {
    let (wire_len, rest) = body.split_first_chunk::<4>().ok_or(Error::Truncated)?;
    let wire_len = u32_of::<BIG>(*wire_len);
    let caplen = if snaplen == 0 {
        wire_len
    } else {
        wire_len.min(snaplen)
    };
    let bytes = usize::try_from(caplen).ok().and_then(|n| rest.get(..n));
    Ok(Packet {
        iface: 0,
        ticks: 0,
        wire_len,
        bytes,
        lost: 0,
    })
}

/// Reads the body of an interface statistics block (4.6): the number of the interface and the
/// packets that it and the operating system dropped since the capture began, where stated.
///
/// # Errors
/// `Truncated` when the fixed part is not there.
pub fn statistics<const BIG: bool>(body: &[u8]) -> Result<(u32, Option<u64>), Error> {
    let (&[i0, i1, i2, i3, ..], options) =
        body.split_first_chunk::<12>().ok_or(Error::Truncated)?;
    let mut dropped: Option<u64> = None;
    for (code, value) in (Options::<BIG> { rest: options }) {
        if let (IFDROP | OSDROP, Some(n)) = (code, u64_of::<BIG>(value)) {
            dropped = Some(dropped.unwrap_or(0).saturating_add(n));
        }
    }
    Ok((u32_of::<BIG>([i0, i1, i2, i3]), dropped))
}

fn u64_of<const BIG: bool>(value: &[u8]) -> Option<u64> {
    let bytes = *value.first_chunk::<8>()?;
    Some(if BIG {
        u64::from_be_bytes(bytes)
    } else {
        u64::from_le_bytes(bytes)
    })
}

/// The options of a block (3.5), until their end mark or the first that does not fit.
struct Options<'a, const BIG: bool> {
    rest: &'a [u8],
}

impl<'a, const BIG: bool> Iterator for Options<'a, BIG> {
    type Item = (u16, &'a [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        let (&[c0, c1, l0, l1], rest) = self.rest.split_first_chunk::<4>()?;
        let code = u16_of::<BIG>([c0, c1]);
        let len = usize::from(u16_of::<BIG>([l0, l1]));
        if code == 0 {
            return None;
        }
        let value = rest.get(..len)?;
        // The last option of a sloppy writer may lack its padding.
        self.rest = rest.get(len.next_multiple_of(4)..).unwrap_or(&[]);
        Some((code, value))
    }
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
    fn heads_and_bodies() {
        let block = [6, 0, 0, 0, 16, 0, 0, 0, 1, 2, 3, 4, 16, 0, 0, 0];
        assert_eq!(head::<false>(&block), Ok((6, 16)));
        assert_eq!(body::<false>(&block, 16), Ok(&[1, 2, 3, 4][..]));
        assert_eq!(body::<false>(&block, 20), Err(Error::Length));
        assert_eq!(head::<false>(&block[..7]), Err(Error::Truncated));
        assert_eq!(head::<false>(&[6, 0, 0, 0, 8, 0, 0, 0]), Err(Error::Length));
        assert_eq!(head::<true>(&[0, 0, 0, 6, 0, 0, 0, 13]), Err(Error::Length));
    }

    #[test]
    fn sections() {
        let mut big = [
            0x0a, 0x0d, 0x0d, 0x0a, 0, 0, 0, 28, 0x1a, 0x2b, 0x3c, 0x4d, 0, 1, 0, 0, 9, 9,
        ];
        assert_eq!(section(&big), Ok(true));
        assert_eq!(section(&big[..15]), Err(Error::Truncated));
        big[13] = 2;
        assert_eq!(section(&big), Err(Error::Version));
        big[8] = 0;
        assert_eq!(section(&big), Err(Error::Type));
    }

    #[test]
    fn clocks() {
        assert_eq!(Clock::new(6, 0).nanos(1_500_000), Nanos(1_500_000_000));
        assert_eq!(Clock::new(9, 0).nanos(7), Nanos(7));
        assert_eq!(Clock::new(0, 0).nanos(7), Nanos(7_000_000_000));
        assert_eq!(Clock::new(12, 0).nanos(7_999), Nanos(7));
        assert_eq!(Clock::new(0x8a, 0).nanos(1536), Nanos(1_500_000_000));
        assert_eq!(Clock::new(0xff, 0).nanos(u64::MAX), Nanos(0));
        assert_eq!(Clock::new(127, 0).nanos(u64::MAX), Nanos(0));
        assert_eq!(Clock::new(6, 10).nanos(1), Nanos(10_000_001_000));
        assert_eq!(Clock::new(6, -10).nanos(1), Nanos(0));
        assert_eq!(Clock::new(6, i64::MAX).nanos(1), Nanos(u64::MAX));
        assert_eq!(Clock::new(0, 0).nanos(u64::MAX), Nanos(u64::MAX));
        assert_eq!(Clock::new(0x80, 0).nanos(2), Nanos(2_000_000_000));
    }

    #[test]
    fn interfaces_with_options() {
        let body = [
            0, 113, 0, 0, // link type 113
            0, 0, 0, 96, // snap length
            0, 2, 0, 5, b'b', b'r', b'-', b'l', b'1', 0, 0, 0, // if_name
            0, 9, 0, 1, 9, 0, 0, 0, // if_tsresol
            0, 14, 0, 8, 0, 0, 0, 0, 0, 0, 0, 1, // if_tsoffset
            0, 0, 0, 0, 0, 9, 0, 1, 1, 0, 0, 0, // the end, and what is behind it
        ];
        let i = interface::<true>(&body).unwrap();
        assert_eq!((i.linktype, i.snaplen, i.name), (113, 96, &b"br-l1"[..]));
        assert_eq!(i.clock, Clock::new(9, 1));
        let bare = interface::<true>(&body[..8]).unwrap();
        assert_eq!((bare.clock, bare.name), (Clock::new(6, 0), &[][..]));
        assert_eq!(interface::<true>(&body[..7]), Err(Error::Truncated));
        assert_eq!(interface::<true>(&body[..14]).unwrap().name, b"");
    }

    #[test]
    fn packets() {
        let body = [
            2, 0, 3, 0, // interface 0x30002, or 2 with three lost
            1, 0, 0, 0, 5, 0, 0, 0, // ticks
            3, 0, 0, 0, 9, 0, 0, 0, // three of nine bytes
            7, 8, 9, 0,
        ];
        let p = enhanced::<false>(&body).unwrap();
        assert_eq!(
            (p.iface, p.ticks, p.wire_len, p.lost),
            (0x30002, 0x1_0000_0005, 9, 0)
        );
        assert_eq!(p.bytes, Some(&[7, 8, 9][..]));
        let p = obsolete::<false>(&body).unwrap();
        assert_eq!((p.iface, p.lost, p.bytes), (2, 3, Some(&[7, 8, 9][..])));
        assert_eq!(enhanced::<false>(&body[..22]).unwrap().bytes, None);
        let simple_body = &body[16..];
        assert_eq!(
            simple::<false>(simple_body, 2).unwrap().bytes,
            Some(&[7, 8][..])
        );
        assert_eq!(simple::<false>(simple_body, 0).unwrap().bytes, None);
    }

    #[test]
    fn drops() {
        let body = [
            0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, // interface 1, time
            0, 5, 0, 8, 0, 0, 0, 0, 0, 0, 0, 7, // isb_ifdrop
            0, 7, 0, 8, 0, 0, 0, 0, 0, 0, 1, 0, // isb_osdrop
        ];
        assert_eq!(statistics::<true>(&body), Ok((1, Some(263))));
        assert_eq!(statistics::<true>(&body[..12]), Ok((1, None)));
    }
}
