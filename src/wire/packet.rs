//! A frame from its link layer to its transport header, and one tunnel inside it.
//!
//! [`parse`] answers with a [`Packet`] of plain values: addresses, ports, flags, tags, labels. It
//! neither allocates nor keeps state; carrying ports to later fragments is the decoder's work.
//! Not for payloads, checksums or header options: nobody accounts by them.
//!
//! Most frames on most links are Ethernet with plain IP and TCP or UDP within. Those
//! are read at constant offsets behind one length check ([`Plain`]); everything else takes the
//! walk from header to header, in which each kind of nesting has a named bound.

mod ip;
mod link;
mod plain;
mod tunnel;

#[cfg(test)]
mod oracle;
#[cfg(test)]
mod test;

pub use plain::{Plain, V4, V6};

use super::Error;
use crate::base::addr::{Ip, Mac};
use crate::base::cursor::Cursor;

/// VLAN tags of one frame, at the most; one more is [`Error::Loop`].
pub const MAX_TAGS: usize = 8;
/// Entries of one MPLS label stack that are walked; one more is [`Error::Loop`].
pub const MAX_LABELS: usize = 32;
/// Entries of one MPLS label stack that are reported.
pub const KEPT_LABELS: usize = 10;
/// Link headers of one frame in all, tags included; one more is [`Error::Loop`].
pub const MAX_LINKS: usize = 16;
/// Extension headers of one IPv6 packet; behind the last, transport is not looked for.
pub const MAX_EXTENSIONS: usize = 16;

/// EtherType of IPv4.
pub const ETYPE_IPV4: u16 = 0x0800;
/// EtherType of IPv6.
pub const ETYPE_IPV6: u16 = 0x86dd;

/// What the first byte of a frame belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Start {
    /// Ethernet II or IEEE 802.3, from the destination address on.
    Ethernet,
    /// IPv4 or IPv6, told apart by the version nibble.
    Ip,
    /// BSD loopback: four bytes of address family in either byte order.
    Null,
    /// PPP (RFC 1661), with or without HDLC-like framing (RFC 1662); Cisco HDLC is recognised.
    Ppp,
    /// A PPPoE session packet (RFC 2516 §4), from its version on.
    Pppoe,
    /// Linux cooked capture, version 1.
    Cooked,
    /// Linux cooked capture, version 2.
    Cooked2,
    /// An MPLS label stack (RFC 3032).
    Mpls,
}

/// What the headers below IP say.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LinkLayer {
    /// Destination MAC; cooked captures and raw IP have none.
    pub dst_mac: Option<Mac>,
    /// Source MAC.
    pub src_mac: Option<Mac>,
    /// VLAN id of the outermost tag, 12 bits; zero is a priority tag.
    pub vlan: Option<u16>,
    /// VLAN id of the second tag (the customer's, IEEE 802.1ad).
    pub cvlan: Option<u16>,
    /// Priority code point of the outermost tag, 3 bits.
    pub cos: Option<u8>,
    /// EtherType behind all tags and labels; what IP implies where the link has none.
    pub etype: Option<u16>,
    /// The MPLS label stack.
    pub labels: Option<Labels>,
}

impl LinkLayer {
    /// Nothing read yet.
    pub const EMPTY: Self = Self {
        dst_mac: None,
        src_mac: None,
        vlan: None,
        cvlan: None,
        cos: None,
        etype: None,
        labels: None,
    };
}

/// An MPLS label stack, from the top down. Labels are 20 bits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Labels {
    kept: [u32; KEPT_LABELS],
    count: u8,
    bottom: u32,
}

impl Labels {
    /// Adds the next label downwards; beyond [`KEPT_LABELS`] only the bottom is kept.
    fn push(&mut self, label: u32) {
        if let Some(slot) = self.kept.get_mut(usize::from(self.count)) {
            *slot = label;
        }
        self.count = self.count.saturating_add(1);
        self.bottom = label;
    }

    /// The first label, which the next hop switches by.
    #[inline]
    pub fn top(&self) -> u32 {
        let [top, ..] = self.kept;
        top
    }

    /// The last label, the one with the bottom-of-stack bit.
    #[inline]
    pub fn bottom(&self) -> u32 {
        self.bottom
    }

    /// The labels, top first; at the most [`KEPT_LABELS`] of them.
    #[inline]
    pub fn stack(&self) -> &[u32] {
        self.kept
            .get(..usize::from(self.count))
            .unwrap_or(&self.kept)
    }
}

/// Which part of its datagram a fragment is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fragment {
    /// Identification: 16 bits in IPv4, 32 in IPv6.
    pub id: u32,
    /// Where its data belongs, in bytes from the begin of the datagram's payload.
    pub offset: u16,
    /// More fragments follow this one.
    pub more: bool,
}

/// What one IP header and the transport header behind it say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IpLayer {
    /// Source address.
    pub src: Ip,
    /// Destination address.
    pub dst: Ip,
    /// Length of the IP packet in bytes, header included: what the header says, even if that is
    /// more than the frame has; where it says zero, what is left of the frame on the wire.
    pub bytes: u32,
    /// Source and destination port: TCP, UDP, UDP-Lite, SCTP, DCCP. Absent in later fragments,
    /// and where the capture ends before them.
    pub ports: Option<(u16, u16)>,
    /// Type and code of ICMP or ICMPv6.
    pub icmp: Option<(u8, u8)>,
    /// Set when this is a part of a datagram.
    pub fragment: Option<Fragment>,
    /// IPv6 flow label, 20 bits; zero in IPv4.
    pub flow_label: u32,
    /// IP version, 4 or 6.
    pub version: u8,
    /// Protocol number of what follows IP and its extension headers.
    pub proto: u8,
    /// Type of service or traffic class, all eight bits.
    pub tos: u8,
    /// TCP flags, FIN in the lowest bit; zero where there are none.
    pub tcp_flags: u8,
    /// Where the IP header begins, in bytes from the begin of the frame.
    pub start: u32,
    /// Where the transport header begins; of a later fragment, its data.
    pub payload: u32,
    /// Where the packet ends in the frame as captured; link padding is behind it.
    pub end: u32,
    /// Why the transport header was not reached, where one was expected.
    pub stopped: Option<Error>,
}

/// How the inner packet is carried.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Carrier {
    /// IP in IP, 6in4, 4in6 (RFC 2003, 4213, 2473).
    Ip,
    /// GRE (RFC 2784, 2890), also PPTP's (RFC 2637) and ERSPAN; the id is the key.
    Gre,
    /// NVGRE (RFC 7637); the id is the virtual subnet.
    Nvgre,
    /// VXLAN (RFC 7348); the id is the network identifier.
    Vxlan,
    /// Geneve (RFC 8926); the id is the network identifier.
    Geneve,
    /// GTP-U version 1 (3GPP TS 29.281); the id is the tunnel endpoint.
    Gtp,
    /// Ethernet in IP (RFC 3378).
    EtherIp,
    /// MPLS in IP (RFC 4023).
    Mpls,
}

/// The packet inside the packet. A tunnel inside the tunnel is not followed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tunnel {
    /// How it is carried.
    pub carrier: Carrier,
    /// The carrier's number for the tunnel; zero where it has none.
    pub id: u32,
    /// Inner source MAC.
    pub src_mac: Option<Mac>,
    /// Inner destination MAC.
    pub dst_mac: Option<Mac>,
    /// The inner packet; absent when it is not IP, or was not captured.
    pub ip: Option<IpLayer>,
}

/// The values of one frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Packet {
    /// Below IP.
    pub link: LinkLayer,
    /// IP and transport; absent when the frame is not IP (ARP, LLDP …).
    pub ip: Option<IpLayer>,
    /// Inside; looked for only when asked.
    pub tunnel: Option<Tunnel>,
    /// Length to account, in bytes: [`IpLayer::bytes`], or of a frame that is not IP what follows
    /// its link headers on the wire.
    pub bytes: u32,
}

impl Packet {
    /// Nothing read yet.
    pub const EMPTY: Self = Self {
        link: LinkLayer::EMPTY,
        ip: None,
        tunnel: None,
        bytes: 0,
    };
}

/// Where the headers below IP begin, in bytes from the begin of the frame.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Places {
    /// The first Ethernet header.
    pub mac: Option<u32>,
    /// The first VLAN tag, behind the EtherType that announces it.
    pub vlan: Option<u32>,
    /// The first entry of the MPLS label stack.
    pub mpls: Option<u32>,
    /// What is above all link headers.
    pub network: Option<u32>,
}

/// The places of a frame's headers, as far as they can be read.
pub fn places(start: Start, frame: &[u8]) -> Places {
    let mut places = Places::default();
    let (mut c, mut link) = (Cursor::new(frame), LinkLayer::EMPTY);
    let walked = link::walk_with(start, &mut c, &mut link, |header, at| {
        let at = offset(at);
        match header {
            link::Header::Mac => places.mac.get_or_insert(at),
            link::Header::Vlan => places.vlan.get_or_insert(at),
            link::Header::Mpls => places.mpls.get_or_insert(at),
        };
    });
    places.network = walked.ok().map(|_| offset(c.offset()));
    places
}

/// Reads `frame`, which had `wire_len` bytes on the wire; `inside` asks for tunnels too.
///
/// # Errors
/// When not even addresses (or, of a frame that is not IP, the EtherType) could be read.
#[inline]
pub fn parse(start: Start, frame: &[u8], wire_len: u32, inside: bool) -> Result<Packet, Error> {
    let mut packet = Packet::EMPTY;
    parse_into(start, frame, wire_len, inside, &mut packet)?;
    Ok(packet)
}

/// As [`parse`], into memory that is used again: all of `packet` is overwritten, and worthless
/// after an error.
///
/// # Errors
/// As [`parse`].
#[inline]
pub fn parse_into(
    start: Start,
    frame: &[u8],
    wire_len: u32,
    inside: bool,
    packet: &mut Packet,
) -> Result<(), Error> {
    if start == Start::Ethernet {
        if let Some(plain) = Plain::<V4>::of(frame, wire_len)
            && !(inside && plain.is_carrier())
        {
            plain.unpack(packet);
            return Ok(());
        }
        if let Some(plain) = Plain::<V6>::of(frame, wire_len)
            && !(inside && plain.is_carrier())
        {
            plain.unpack(packet);
            return Ok(());
        }
    }
    walk(start, frame, wire_len, inside, packet)
}

/// Any frame: header after header.
#[inline(never)]
fn walk(
    start: Start,
    frame: &[u8],
    wire_len: u32,
    inside: bool,
    packet: &mut Packet,
) -> Result<(), Error> {
    packet.link = LinkLayer::EMPTY;
    packet.tunnel = None;
    let mut c = Cursor::new(frame);
    let is_ip = link::walk(start, &mut c, &mut packet.link)?;
    let captured = u32::try_from(frame.len()).unwrap_or(u32::MAX);
    packet.bytes = wire_len.max(captured).saturating_sub(offset(c.offset()));
    if !is_ip {
        packet.ip = None;
        return Ok(());
    }
    let ip = ip::parse(c.rest(), offset(c.offset()), packet.bytes, &mut packet.ip)?;
    packet.link.etype = Some(if ip.version == 4 {
        ETYPE_IPV4
    } else {
        ETYPE_IPV6
    });
    packet.bytes = ip.bytes;
    if inside && tunnel::is_carrier(ip.proto, ip.ports) {
        packet.tunnel = tunnel::parse(ip, frame);
    }
    Ok(())
}

/// A position in a frame as it is reported. Frames are far shorter than 4 GiB.
#[inline]
fn offset(at: usize) -> u32 {
    u32::try_from(at).unwrap_or(u32::MAX)
}
