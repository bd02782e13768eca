//! The usual frame, read where it lies.

use super::{ETYPE_IPV4, ETYPE_IPV6, IpLayer, LinkLayer, Packet, tunnel};
use crate::base::addr::{Ip, Mac};
use std::ops::Range;

/// Length of the IPv4 header without options.
pub const V4: usize = 20;
/// Length of the IPv6 header.
pub const V6: usize = 40;

/// Ethernet II with at most one VLAN tag, IPv4 without options or fragmentation or IPv6 without
/// extension headers, TCP or UDP, the headers all captured.
///
/// A view: asking costs one load, so what nobody asks for costs nothing. `IP` is the length of
/// the IP header, [`V4`] or [`V6`], so that the code for each is straight.
#[derive(Clone, Copy, Debug)]
pub struct Plain<'a, const IP: usize> {
    link: &'a [u8; 14],
    /// Priority, drop eligibility and id of the tag.
    tag: Option<u16>,
    ip: &'a [u8; IP],
    /// The begin of TCP, or of UDP and its payload.
    transport: &'a [u8; 20],
    /// Where IP begins.
    start: u32,
    /// Length of the IP packet.
    bytes: u32,
    captured: u32,
}

/// `N` bytes of `bytes` from `AT` on. All are constants, so the check happens when compiling.
#[inline(always)]
fn at<const AT: usize, const N: usize, const LEN: usize>(bytes: &[u8; LEN]) -> [u8; N] {
    match bytes.get(AT..).and_then(|tail| tail.first_chunk::<N>()) {
        Some(found) => *found,
        None => [0; N],
    }
}

#[inline(always)]
fn u16_at<const AT: usize, const LEN: usize>(bytes: &[u8; LEN]) -> u16 {
    u16::from_be_bytes(at::<AT, 2, LEN>(bytes))
}

#[inline(always)]
fn u8_at<const AT: usize, const LEN: usize>(bytes: &[u8; LEN]) -> u8 {
    let [byte] = at::<AT, 1, LEN>(bytes);
    byte
}

impl<'a, const IP: usize> Plain<'a, IP> {
    const ETYPE: u16 = if IP == V4 { ETYPE_IPV4 } else { ETYPE_IPV6 };
    /// Bytes of a packet that this view reads, from IP on.
    const LEAST: u32 = if IP == V4 { 40 } else { 60 };

    /// The view, if `frame` is such a frame and its lengths agree with each other.
    #[inline]
    pub fn of(frame: &'a [u8], wire_len: u32) -> Option<Self> {
        let captured = u32::try_from(frame.len()).ok()?;
        let (link, mut rest) = frame.split_first_chunk::<14>()?;
        let mut etype = u16_at::<12, 14>(link);
        let (mut tag, mut start) = (None, 14u32);
        if etype == 0x8100 {
            let (behind, packet) = rest.split_first_chunk::<4>()?;
            tag = Some(u16_at::<0, 4>(behind));
            etype = u16_at::<2, 4>(behind);
            (rest, start) = (packet, 18);
        }
        if etype != Self::ETYPE {
            return None;
        }
        let (ip, rest) = rest.split_first_chunk::<IP>()?;
        let transport = rest.first_chunk::<20>()?;
        let (usual, bytes) = if IP == V4 {
            // All of flags and offset but "don't fragment" and the reserved bit.
            let whole = u16_at::<6, IP>(ip) & 0x3fff == 0;
            (
                whole && u8_at::<0, IP>(ip) == 0x45,
                u32::from(u16_at::<2, IP>(ip)),
            )
        } else {
            let payload = u32::from(u16_at::<4, IP>(ip));
            (u8_at::<0, IP>(ip) >> 4 == 6, payload.wrapping_add(40))
        };
        // At least what has been read from it, so that link padding is not taken for ports.
        let room = wire_len.max(captured).wrapping_sub(start);
        let fits = bytes >= Self::LEAST && bytes <= room;
        let plain = Self {
            link,
            tag,
            ip,
            transport,
            start,
            bytes,
            captured,
        };
        (usual && fits && matches!(plain.proto(), 6 | 17)).then_some(plain)
    }

    /// Destination MAC.
    #[inline]
    pub fn dst_mac(&self) -> Mac {
        Mac(at::<0, 6, 14>(self.link))
    }

    /// Source MAC.
    #[inline]
    pub fn src_mac(&self) -> Mac {
        Mac(at::<6, 6, 14>(self.link))
    }

    /// VLAN id and priority of the tag.
    #[inline]
    pub fn vlan(&self) -> Option<(u16, u8)> {
        self.tag.map(|tag| (tag & 0x0fff, (tag >> 13) as u8))
    }

    /// EtherType of the packet.
    #[inline]
    pub fn etype(&self) -> u16 {
        Self::ETYPE
    }

    /// Type of service or traffic class.
    #[inline]
    pub fn tos(&self) -> u8 {
        if IP == V4 {
            u8_at::<1, IP>(self.ip)
        } else {
            (u16_at::<0, IP>(self.ip) >> 4) as u8
        }
    }

    /// IPv6 flow label; zero in IPv4.
    #[inline]
    pub fn flow_label(&self) -> u32 {
        if IP == V4 {
            0
        } else {
            u32::from_be_bytes(at::<0, 4, IP>(self.ip)) & 0x000f_ffff
        }
    }

    /// Length of the IP packet, in bytes.
    #[inline]
    pub fn bytes(&self) -> u32 {
        self.bytes
    }

    /// Protocol: 6 or 17.
    #[inline]
    pub fn proto(&self) -> u8 {
        if IP == V4 {
            u8_at::<9, IP>(self.ip)
        } else {
            u8_at::<6, IP>(self.ip)
        }
    }

    /// Source and destination address.
    #[inline]
    pub fn hosts(&self) -> (Ip, Ip) {
        if IP == V4 {
            (
                Ip::v4(at::<12, 4, IP>(self.ip)),
                Ip::v4(at::<16, 4, IP>(self.ip)),
            )
        } else {
            (Ip(at::<8, 16, IP>(self.ip)), Ip(at::<24, 16, IP>(self.ip)))
        }
    }

    /// Source port.
    #[inline]
    pub fn src_port(&self) -> u16 {
        u16_at::<0, 20>(self.transport)
    }

    /// Destination port.
    #[inline]
    pub fn dst_port(&self) -> u16 {
        u16_at::<2, 20>(self.transport)
    }

    /// Where TCP or UDP lies in the frame, as far as it was captured.
    #[inline]
    pub fn payload(&self) -> Range<usize> {
        let end = self.bytes.wrapping_add(self.start).min(self.captured);
        (self.start as usize).wrapping_add(IP)..end as usize
    }

    /// TCP flags; zero of UDP.
    #[inline]
    pub fn tcp_flags(&self) -> u8 {
        if self.proto() == 6 {
            u8_at::<13, 20>(self.transport)
        } else {
            0
        }
    }

    /// Whether there may be a packet inside, which this view does not show.
    #[inline]
    pub fn is_carrier(&self) -> bool {
        tunnel::is_carrier(self.proto(), Some((self.src_port(), self.dst_port())))
    }

    /// All of it.
    #[inline]
    pub(super) fn unpack(&self, packet: &mut Packet) {
        let (version, header) = if IP == V4 { (4, 20) } else { (6, 40) };
        let (src, dst) = self.hosts();
        packet.link = LinkLayer {
            dst_mac: Some(self.dst_mac()),
            src_mac: Some(self.src_mac()),
            vlan: self.vlan().map(|(id, _)| id),
            cos: self.vlan().map(|(_, cos)| cos),
            etype: Some(self.etype()),
            ..LinkLayer::EMPTY
        };
        packet.ip = Some(IpLayer {
            src,
            dst,
            bytes: self.bytes,
            ports: Some((self.src_port(), self.dst_port())),
            icmp: None,
            fragment: None,
            flow_label: self.flow_label(),
            version,
            proto: self.proto(),
            tos: self.tos(),
            tcp_flags: self.tcp_flags(),
            start: self.start,
            payload: self.start.wrapping_add(header),
            end: self.bytes.wrapping_add(self.start).min(self.captured),
            stopped: None,
        });
        packet.tunnel = None;
        packet.bytes = self.bytes;
    }
}
