//! The records inside sFlow samples (sFlow version 5, section 5; registry of structure numbers
//! at sflow.org). Each type is one structure; [`mod@format`] holds their numbers.
//!
//! Not here, hence skipped by length: user, URL, 802.11, outer tunnel headers (1021–1028), and
//! all records of enterprises.

use super::Xdr;
use crate::base::addr::{Ip, Mac};
use crate::wire::Error;

/// Formats of flow records with enterprise 0, and of the one counter record read here.
pub mod format {
    /// [`RawHeader`](super::RawHeader).
    pub const RAW_HEADER: u32 = 1;
    /// [`Ethernet`](super::Ethernet).
    pub const ETHERNET: u32 = 2;
    /// [`Inet`](super::Inet) with IPv4 addresses.
    pub const IPV4: u32 = 3;
    /// [`Inet`](super::Inet) with IPv6 addresses.
    pub const IPV6: u32 = 4;
    /// [`Switch`](super::Switch).
    pub const SWITCH: u32 = 1001;
    /// [`Router`](super::Router).
    pub const ROUTER: u32 = 1002;
    /// [`Gateway`](super::Gateway).
    pub const GATEWAY: u32 = 1003;
    /// [`Mpls`](super::Mpls).
    pub const MPLS: u32 = 1006;
    /// [`Nat`](super::Nat).
    pub const NAT: u32 = 1007;
    /// [`VlanTunnel`](super::VlanTunnel).
    pub const VLAN_TUNNEL: u32 = 1012;
    /// [`NatPort`](super::NatPort).
    pub const NAT_PORT: u32 = 1020;
    /// One number: the virtual network identifier behind the device (sFlow tunnel structures).
    pub const VNI_EGRESS: u32 = 1029;
    /// One number: the virtual network identifier before the device.
    pub const VNI_INGRESS: u32 = 1030;
}

/// What the first byte of a sampled header belongs to (`header_protocol`).
pub mod protocol {
    /// Ethernet, with the 14-byte header.
    pub const ETHERNET: u32 = 1;
    /// PPP (RFC 1662).
    pub const PPP: u32 = 7;
    /// IPv4, no link header.
    pub const IPV4: u32 = 11;
    /// IPv6, no link header.
    pub const IPV6: u32 = 12;
    /// MPLS label stack, no link header.
    pub const MPLS: u32 = 13;
    /// POS: PPP in HDLC framing (RFC 1662, RFC 2615).
    pub const POS: u32 = 14;
}

/// The first bytes of the sampled packet (`sampled_header`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RawHeader<'a> {
    /// What the bytes begin with; see [`protocol`].
    pub protocol: u32,
    /// Length of the packet on the network in bytes; for Ethernet with its header and checksum.
    pub frame_length: u32,
    /// Bytes of that length which were taken off before the header was copied: the checksum,
    /// tags, outer headers.
    pub stripped: u32,
    /// The copied bytes.
    pub header: &'a [u8],
}

impl<'a> RawHeader<'a> {
    /// Reads the structure.
    ///
    /// # Errors
    /// [`Error::Truncated`]; [`Error::Length`] when the header is longer than the record.
    #[inline]
    pub fn parse(mut xdr: Xdr<'a>) -> Result<Self, Error> {
        let [protocol, frame_length, stripped, len] = xdr.words()?;
        Ok(Self {
            protocol,
            frame_length,
            stripped,
            header: xdr.opaque(len)?,
        })
    }
}

/// Ethernet header values (`sampled_ethernet`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ethernet {
    /// Length of the frame in bytes, without layer 1 and padding.
    pub length: u32,
    /// Source.
    pub src: Mac,
    /// Destination.
    pub dst: Mac,
    /// EtherType.
    pub etype: u32,
}

impl Ethernet {
    /// Reads the structure; each address has two bytes of padding.
    ///
    /// # Errors
    /// [`Error::Truncated`].
    pub fn parse(mut xdr: Xdr<'_>) -> Result<Self, Error> {
        let length = xdr.u32()?;
        let src = mac(xdr.raw()?);
        let dst = mac(xdr.raw()?);
        Ok(Self {
            length,
            src,
            dst,
            etype: xdr.u32()?,
        })
    }
}

fn mac(&[[a, b, c, d], [e, f, ..]]: &[[u8; 4]; 2]) -> Mac {
    Mac([a, b, c, d, e, f])
}

/// IP header values (`sampled_ipv4`, `sampled_ipv6`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Inet {
    /// Length of the packet in bytes, without lower layers.
    pub length: u32,
    /// Protocol or next header.
    pub protocol: u32,
    /// Source.
    pub src: Ip,
    /// Destination.
    pub dst: Ip,
    /// Source port, zero where there is none.
    pub src_port: u32,
    /// Destination port, zero where there is none.
    pub dst_port: u32,
    /// Flags of TCP.
    pub tcp_flags: u32,
    /// Type of service (IPv4) or priority (IPv6).
    pub tos: u32,
}

impl Inet {
    /// Reads [`format::IPV4`].
    ///
    /// # Errors
    /// [`Error::Truncated`].
    pub fn parse_v4(mut xdr: Xdr<'_>) -> Result<Self, Error> {
        let [length, protocol] = xdr.words()?;
        let (src, dst) = (xdr.ipv4()?, xdr.ipv4()?);
        let [src_port, dst_port, tcp_flags, tos] = xdr.words()?;
        Ok(Self {
            length,
            protocol,
            src,
            dst,
            src_port,
            dst_port,
            tcp_flags,
            tos,
        })
    }

    /// Reads [`format::IPV6`].
    ///
    /// # Errors
    /// [`Error::Truncated`].
    pub fn parse_v6(mut xdr: Xdr<'_>) -> Result<Self, Error> {
        let [length, protocol] = xdr.words()?;
        let (src, dst) = (xdr.ipv6()?, xdr.ipv6()?);
        let [src_port, dst_port, tcp_flags, tos] = xdr.words()?;
        Ok(Self {
            length,
            protocol,
            src,
            dst,
            src_port,
            dst_port,
            tcp_flags,
            tos,
        })
    }
}

/// VLANs of a bridged packet (`extended_switch`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Switch {
    /// VLAN it came in by; all ones when unknown.
    pub src_vlan: u32,
    /// 802.1p priority it came in with.
    pub src_priority: u32,
    /// VLAN it left by; all ones when unknown.
    pub dst_vlan: u32,
    /// 802.1p priority it left with.
    pub dst_priority: u32,
}

impl Switch {
    /// Reads the structure.
    ///
    /// # Errors
    /// [`Error::Truncated`].
    pub fn parse(mut xdr: Xdr<'_>) -> Result<Self, Error> {
        let [src_vlan, src_priority, dst_vlan, dst_priority] = xdr.words()?;
        Ok(Self {
            src_vlan,
            src_priority,
            dst_vlan,
            dst_priority,
        })
    }
}

/// The route of a routed packet (`extended_router`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Router {
    /// Next hop.
    pub next_hop: Option<Ip>,
    /// Prefix length of the source's route.
    pub src_mask: u32,
    /// Prefix length of the destination's route.
    pub dst_mask: u32,
}

impl Router {
    /// Reads the structure.
    ///
    /// # Errors
    /// [`Error::Truncated`]; [`Error::Type`] for an unknown kind of address.
    pub fn parse(mut xdr: Xdr<'_>) -> Result<Self, Error> {
        let next_hop = xdr.address()?;
        let [src_mask, dst_mask] = xdr.words()?;
        Ok(Self {
            next_hop,
            src_mask,
            dst_mask,
        })
    }
}

/// The BGP route of a packet (`extended_gateway`).
#[derive(Clone, Copy, Debug)]
pub struct Gateway<'a> {
    /// BGP next hop of the destination.
    pub next_hop: Option<Ip>,
    /// AS of the router itself.
    pub own_as: u32,
    /// AS that the source's route originates in; zero when local.
    pub src_as: u32,
    /// AS from which the source's route was learned.
    pub src_peer_as: u32,
    /// AS path to the destination, nearest first; empty when local.
    pub path: Path<'a>,
    /// Standard communities, each a word of two numbers of 16 bits.
    pub communities: &'a [[u8; 4]],
    /// Local preference.
    pub local_pref: u32,
}

impl<'a> Gateway<'a> {
    /// Reads the structure, and all of the path once to find its end.
    ///
    /// # Errors
    /// [`Error::Truncated`]; [`Error::Type`] for an unknown kind of address; [`Error::Count`]
    /// when a list is longer than the record.
    pub fn parse(mut xdr: Xdr<'a>) -> Result<Self, Error> {
        let next_hop = xdr.address()?;
        let [own_as, src_as, src_peer_as, segments] = xdr.words()?;
        let path = Path { xdr, segments };
        for _ in 0..segments {
            xdr.u32()?;
            xdr.list()?;
        }
        let communities = xdr.list()?;
        let local_pref = xdr.u32()?;
        Ok(Self {
            next_hop,
            own_as,
            src_as,
            src_peer_as,
            path,
            communities,
            local_pref,
        })
    }
}

/// A segment of an AS path (`as_path_type`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Segment<'a> {
    /// Whether the numbers have no order (AS_SET, 1) or have one (AS_SEQUENCE, 2).
    pub set: bool,
    /// AS numbers, big-endian.
    pub numbers: &'a [[u8; 4]],
}

/// An AS path: iterates over its segments, nearest first.
#[derive(Clone, Copy, Debug)]
pub struct Path<'a> {
    xdr: Xdr<'a>,
    segments: u32,
}

impl Path<'_> {
    /// The AS next to the router, if there is any.
    pub fn first(self) -> Option<u32> {
        self.flat_map(|s| s.numbers.first())
            .next()
            .map(|n| u32::from_be_bytes(*n))
    }

    /// The AS that originates the route, if there is any.
    pub fn origin(self) -> Option<u32> {
        self.filter_map(|s| s.numbers.last())
            .last()
            .map(|n| u32::from_be_bytes(*n))
    }
}

impl<'a> Iterator for Path<'a> {
    type Item = Segment<'a>;

    fn next(&mut self) -> Option<Segment<'a>> {
        self.segments = self.segments.checked_sub(1)?;
        let kind = self.xdr.u32().ok()?;
        Some(Segment {
            set: kind == 1,
            numbers: self.xdr.list().ok()?,
        })
    }
}

/// The label-switched path of a packet (`extended_mpls`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mpls<'a> {
    /// Next hop.
    pub next_hop: Option<Ip>,
    /// Label stack it came in with, top first, entries as in RFC 3032 §2.1.
    pub input: &'a [[u8; 4]],
    /// Label stack it left with.
    pub output: &'a [[u8; 4]],
}

impl<'a> Mpls<'a> {
    /// Reads the structure.
    ///
    /// # Errors
    /// [`Error::Truncated`]; [`Error::Type`] for an unknown kind of address; [`Error::Count`]
    /// when a stack is longer than the record.
    pub fn parse(mut xdr: Xdr<'a>) -> Result<Self, Error> {
        Ok(Self {
            next_hop: xdr.address()?,
            input: xdr.list()?,
            output: xdr.list()?,
        })
    }
}

/// Translated addresses (`extended_nat`); an address that was not translated is repeated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Nat {
    /// Source behind the translation.
    pub src: Option<Ip>,
    /// Destination behind the translation.
    pub dst: Option<Ip>,
}

impl Nat {
    /// Reads the structure.
    ///
    /// # Errors
    /// [`Error::Truncated`]; [`Error::Type`] for an unknown kind of address.
    pub fn parse(mut xdr: Xdr<'_>) -> Result<Self, Error> {
        Ok(Self {
            src: xdr.address()?,
            dst: xdr.address()?,
        })
    }
}

/// Translated ports (`extended_nat_port`, port NAT structures).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NatPort {
    /// Source behind the translation.
    pub src: u32,
    /// Destination behind the translation.
    pub dst: u32,
}

impl NatPort {
    /// Reads the structure.
    ///
    /// # Errors
    /// [`Error::Truncated`].
    pub fn parse(mut xdr: Xdr<'_>) -> Result<Self, Error> {
        let [src, dst] = xdr.words()?;
        Ok(Self { src, dst })
    }
}

/// VLAN tags taken off before the header was copied (`extended_vlantunnel`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct VlanTunnel<'a> {
    /// Tags, outermost first: 16 bits of TPID, 16 bits of TCI.
    pub tags: &'a [[u8; 4]],
}

impl<'a> VlanTunnel<'a> {
    /// Reads the structure.
    ///
    /// # Errors
    /// [`Error::Truncated`]; [`Error::Count`] when the list is longer than the record.
    pub fn parse(mut xdr: Xdr<'a>) -> Result<Self, Error> {
        Ok(Self { tags: xdr.list()? })
    }
}

/// Counters of an interface (`if_counters`, RFC 2233).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IfCounters {
    /// ifIndex.
    pub index: u32,
    /// ifType.
    pub kind: u32,
    /// Bits per second.
    pub speed: u64,
    /// 0 unknown, 1 full duplex, 2 half duplex, 3 in, 4 out.
    pub direction: u32,
    /// Bit 0 administratively up, bit 1 operationally up.
    pub status: u32,
    /// What came in.
    pub input: Traffic,
    /// Packets of unknown protocols that came in.
    pub unknown_protocols: u32,
    /// What went out.
    pub output: Traffic,
    /// Whether it takes all packets.
    pub promiscuous: u32,
}

/// One direction of [`IfCounters`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Traffic {
    /// Bytes.
    pub octets: u64,
    /// Unicast packets.
    pub unicast: u32,
    /// Multicast packets.
    pub multicast: u32,
    /// Broadcast packets.
    pub broadcast: u32,
    /// Packets discarded.
    pub discards: u32,
    /// Packets with errors.
    pub errors: u32,
}

impl Traffic {
    fn parse(xdr: &mut Xdr<'_>) -> Result<Self, Error> {
        let octets = u64_of(xdr.words()?);
        let [unicast, multicast, broadcast, discards, errors] = xdr.words()?;
        Ok(Self {
            octets,
            unicast,
            multicast,
            broadcast,
            discards,
            errors,
        })
    }
}

impl IfCounters {
    /// Reads the structure.
    ///
    /// # Errors
    /// [`Error::Truncated`].
    pub fn parse(mut xdr: Xdr<'_>) -> Result<Self, Error> {
        let [index, kind] = xdr.words()?;
        let speed = u64_of(xdr.words()?);
        let [direction, status] = xdr.words()?;
        let input = Traffic::parse(&mut xdr)?;
        let unknown_protocols = xdr.u32()?;
        let output = Traffic::parse(&mut xdr)?;
        let promiscuous = xdr.u32()?;
        Ok(Self {
            index,
            kind,
            speed,
            direction,
            status,
            input,
            unknown_protocols,
            output,
            promiscuous,
        })
    }
}

/// A number of eight bytes from its two words.
fn u64_of([high, low]: [u32; 2]) -> u64 {
    u64::from(high) << 32 | u64::from(low)
}
