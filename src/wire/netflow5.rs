//! NetFlow v5: one header of 24 bytes, then records of 48 bytes each. IPv4 only.
//!
//! Views on bytes. Not for v1, v7 or v8, and not for choosing what becomes of a value.

use super::Error;
use crate::base::cursor::Cursor;

/// Bytes of the header.
pub const HEADER: usize = 24;
/// Bytes of one record.
pub const RECORD: usize = 48;

/// The header of a NetFlow v5 datagram.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// Records that the exporter says follow.
    pub count: u16,
    /// Milliseconds since the exporter started; wraps after 49.7 days.
    pub uptime: u32,
    /// Seconds since 1970 at export.
    pub seconds: u32,
    /// Nanoseconds past `seconds`.
    pub nanos: u32,
    /// Flows exported before this datagram.
    pub sequence: u32,
    /// Type of the switching engine (high byte) and its slot (low byte).
    pub engine: u16,
    /// Two bits of sampling mode, fourteen bits of sampling interval.
    pub sampling: u16,
}

impl Header {
    /// Reads the header; the version must be 5.
    ///
    /// # Errors
    /// `Truncated` and `Version`.
    #[inline]
    pub fn read(bytes: &[u8]) -> Result<Self, Error> {
        let mut c = Cursor::new(bytes.get(..HEADER).ok_or(Error::Truncated)?);
        if c.u16()? != 5 {
            return Err(Error::Version);
        }
        Ok(Self {
            count: c.u16()?,
            uptime: c.u32()?,
            seconds: c.u32()?,
            nanos: c.u32()?,
            sequence: c.u32()?,
            engine: c.u16()?,
            sampling: c.u16()?,
        })
    }

    /// One packet in how many was looked at; zero when the exporter does not say.
    #[inline]
    pub fn sampling_rate(&self) -> u32 {
        u32::from(self.sampling & 0x3fff)
    }
}

/// One record, as it lies in the datagram.
#[derive(Clone, Copy, Debug)]
pub struct Record<'a>(&'a [u8; RECORD]);

macro_rules! fields {
    ($($(#[$doc:meta])* $name:ident: [$($i:literal)+] -> $t:ty;)+) => {
        impl Record<'_> {
            $(
                $(#[$doc])*
                #[inline(always)]
                // Constant positions in an array of known length: no check is left to fail.
                #[allow(clippy::indexing_slicing)]
                pub fn $name(&self) -> $t {
                    <$t>::from_be_bytes([$(self.0[$i]),+])
                }
            )+
        }
    };
}

fields! {
    /// Packets of the flow.
    packets: [16 17 18 19] -> u32;
    /// IP bytes of the flow.
    octets: [20 21 22 23] -> u32;
    /// Uptime in milliseconds at the first packet.
    first: [24 25 26 27] -> u32;
    /// Uptime in milliseconds at the last packet.
    last: [28 29 30 31] -> u32;
    /// ifIndex of the input.
    input: [12 13] -> u16;
    /// ifIndex of the output.
    output: [14 15] -> u16;
    /// Source port.
    src_port: [32 33] -> u16;
    /// Destination port; ICMP type and code for ICMP.
    dst_port: [34 35] -> u16;
    /// OR of the TCP flags.
    flags: [37] -> u8;
    /// IP protocol.
    proto: [38] -> u8;
    /// Type of service.
    tos: [39] -> u8;
    /// AS of the source, origin or peer as the exporter is set.
    src_as: [40 41] -> u16;
    /// AS of the destination.
    dst_as: [42 43] -> u16;
    /// Prefix length of the source.
    src_mask: [44] -> u8;
    /// Prefix length of the destination.
    dst_mask: [45] -> u8;
}

impl Record<'_> {
    /// Source address, network order.
    #[inline(always)]
    pub fn src(&self) -> [u8; 4] {
        let [a, b, c, d, ..] = *self.0;
        [a, b, c, d]
    }

    /// Destination address, network order.
    #[inline(always)]
    pub fn dst(&self) -> [u8; 4] {
        let [_, _, _, _, a, b, c, d, ..] = *self.0;
        [a, b, c, d]
    }

    /// Address of the next hop, network order.
    #[inline(always)]
    pub fn next_hop(&self) -> [u8; 4] {
        let [_, _, _, _, _, _, _, _, a, b, c, d, ..] = *self.0;
        [a, b, c, d]
    }
}

/// The whole records behind the header: no more than the header counts, no more than the bytes
/// hold.
#[inline]
pub fn records<'a>(bytes: &'a [u8], header: &Header) -> impl Iterator<Item = Record<'a>> {
    let body = bytes.get(HEADER..).unwrap_or_default();
    body.as_chunks::<RECORD>()
        .0
        .iter()
        .take(usize::from(header.count))
        .map(Record)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing)]
mod tests {
    use super::*;

    #[rustfmt::skip]
    const ONE: [u8; 72] = [
        0, 5, 0, 1, 0, 0, 0x27, 0x10, 0x65, 0, 0, 0, 0, 0, 0, 9, 0, 0, 1, 0, 1, 2, 0x40, 100,
        10, 0, 0, 1, 192, 0, 2, 7, 10, 0, 0, 254, 0, 3, 0, 4, 0, 0, 0, 5, 0, 0, 2, 0,
        0, 0, 0x13, 0x88, 0, 0, 0x1f, 0x40, 0x30, 0x39, 1, 0xbb, 0, 0x1b, 6, 0xb8,
        0xfd, 0xe8, 0xfd, 0xe9, 24, 16, 0, 0,
    ];

    #[test]
    fn every_field_is_where_the_format_says() {
        let h = Header::read(&ONE).unwrap();
        assert_eq!(
            (h.count, h.uptime, h.seconds, h.nanos),
            (1, 10_000, 0x6500_0000, 9)
        );
        assert_eq!(
            (h.sequence, h.engine, h.sampling_rate()),
            (256, 0x0102, 100)
        );
        let r = records(&ONE, &h).next().unwrap();
        assert_eq!((r.src(), r.dst()), ([10, 0, 0, 1], [192, 0, 2, 7]));
        assert_eq!(
            (r.next_hop(), r.input(), r.output()),
            ([10, 0, 0, 254], 3, 4)
        );
        assert_eq!(
            (r.packets(), r.octets(), r.first(), r.last()),
            (5, 512, 5000, 8000)
        );
        assert_eq!((r.src_port(), r.dst_port(), r.flags()), (12345, 443, 0x1b));
        assert_eq!((r.proto(), r.tos()), (6, 0xb8));
        assert_eq!(
            (r.src_as(), r.dst_as(), r.src_mask(), r.dst_mask()),
            (65000, 65001, 24, 16)
        );
    }

    #[test]
    fn a_count_that_lies_gives_what_is_there() {
        let mut many = ONE;
        many[3] = 30;
        let h = Header::read(&many).unwrap();
        assert_eq!(records(&many, &h).count(), 1);
        assert_eq!(records(&many[..71], &h).count(), 0);
        many[3] = 0;
        let h = Header::read(&many).unwrap();
        assert_eq!(records(&many, &h).count(), 0);
    }

    #[test]
    fn other_versions_and_short_headers_are_refused() {
        assert_eq!(Header::read(&ONE[..23]), Err(Error::Truncated));
        let mut v7 = ONE;
        v7[1] = 7;
        assert_eq!(Header::read(&v7), Err(Error::Version));
    }
}
