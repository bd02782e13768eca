//! What the records of one flow sample say, read as far as somebody wants it.

use super::{Extended, Want};
use crate::base::ledger::Reason;
use crate::record::FlowRecord;
use crate::wire::Error;
use crate::wire::packet::{self, Packet, Start};
use crate::wire::sflow::record::{
    Ethernet, Gateway, Inet, Mpls, Nat, NatPort, RawHeader, Router, Switch, VlanTunnel, format,
    protocol,
};
use crate::wire::sflow::{Records, Xdr};

/// Bytes of an Ethernet header and its checksum.
const ETHERNET_FRAMING: u32 = 18;

/// The header of a sample, if no extended record is in it that is wanted. Where none is wanted at
/// all, the first header settles it and what follows is not read.
#[inline]
pub(super) fn header_alone<'a>(
    records: Records<'a>,
    wanted: Extended,
) -> Result<Option<RawHeader<'a>>, Error> {
    let mut header = None;
    for record in records {
        let record = record?;
        match record.format {
            format::RAW_HEADER => {
                header = Some(record.body);
                if wanted.is_empty() {
                    break;
                }
            }
            other if wanted.has(other) => return Ok(None),
            _ => {}
        }
    }
    header.map(RawHeader::parse).transpose()
}

/// The records of a sample, the last of each kind.
#[derive(Clone, Copy, Default)]
pub(super) struct Seen<'a> {
    header: Option<RawHeader<'a>>,
    inet: Option<Inet>,
    ethernet: Option<Ethernet>,
    switch: Option<Switch>,
    router: Option<Router>,
    pub gateway: Option<Gateway<'a>>,
    mpls: Option<Mpls<'a>>,
    nat: Option<Nat>,
    nat_port: Option<NatPort>,
    tunnel: Option<VlanTunnel<'a>>,
    vni: Option<u32>,
}

/// The best description of the packet that a sample has.
pub(super) enum Described {
    /// The header, parsed.
    Packet(Packet),
    /// IP values.
    Inet(Inet),
    /// Ethernet values.
    Ethernet(Ethernet),
}

impl<'a> Seen<'a> {
    /// Reads the records.
    pub fn read(&mut self, records: Records<'a>, want: &Want) -> Result<(), Error> {
        for record in records {
            let record = record?;
            match record.format {
                format::RAW_HEADER => self.header = Some(RawHeader::parse(record.body)?),
                format::ETHERNET => self.ethernet = Some(Ethernet::parse(record.body)?),
                format::IPV4 => self.inet = Some(Inet::parse_v4(record.body)?),
                format::IPV6 => self.inet = Some(Inet::parse_v6(record.body)?),
                other if want.extended.has(other) => {
                    self.read_extended(record.format, record.body)?;
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// Reads one of the extended records. What the packet had before the device goes before what
    /// it had behind it.
    fn read_extended(&mut self, format: u32, mut body: Xdr<'a>) -> Result<(), Error> {
        match format {
            format::SWITCH => self.switch = Some(Switch::parse(body)?),
            format::ROUTER => self.router = Some(Router::parse(body)?),
            format::GATEWAY => self.gateway = Some(Gateway::parse(body)?),
            format::MPLS => self.mpls = Some(Mpls::parse(body)?),
            format::NAT => self.nat = Some(Nat::parse(body)?),
            format::NAT_PORT => self.nat_port = Some(NatPort::parse(body)?),
            format::VLAN_TUNNEL => self.tunnel = Some(VlanTunnel::parse(body)?),
            format::VNI_INGRESS => self.vni = Some(body.u32()?),
            format::VNI_EGRESS => {
                let vni = body.u32()?;
                self.vni.get_or_insert(vni);
            }
            _ => {}
        }
        Ok(())
    }

    /// Chooses the best description. A packet that is not IP counts only when somebody wants
    /// what is below IP.
    pub fn describe(&self, want: &Want) -> Result<Described, Reason> {
        let mut why = Reason::NotIp;
        if let Some(header) = &self.header
            && let Some(start) = start(header.protocol)
        {
            let length = header.frame_length.saturating_sub(header.stripped);
            match want.header.parse(start, header.header, length) {
                Ok(packet) if want.header.keeps(&packet) => {
                    return Ok(Described::Packet(packet));
                }
                Ok(_) => {}
                Err(error) => why = error.into(),
            }
        }
        match (self.inet, self.ethernet) {
            (Some(inet), _) => Ok(Described::Inet(inet)),
            (None, Some(ethernet)) if want.link => Ok(Described::Ethernet(ethernet)),
            _ => Err(why),
        }
    }

    /// The header of the sample, and where it begins.
    pub fn sampled(&self) -> Option<(Start, &'a [u8])> {
        let header = self.header.as_ref()?;
        Some((start(header.protocol)?, header.header))
    }

    /// Bytes to account: of layer 3, or of the frame as the agent counts it.
    pub fn bytes(&self, described: &Described, frame: bool) -> u32 {
        if frame {
            if let Some(header) = &self.header {
                return header.frame_length;
            }
            if let Some(ethernet) = &self.ethernet {
                return ethernet.length;
            }
        }
        match described {
            Described::Packet(packet) => packet.bytes,
            Described::Inet(inet) => inet.length,
            Described::Ethernet(ethernet) => ethernet.length.saturating_sub(ETHERNET_FRAMING),
        }
    }

    /// The label stack of the MPLS record, the incoming one if there is one.
    pub fn labels(&self) -> impl DoubleEndedIterator<Item = u32> + use<'a> {
        let stack = self.mpls.map_or(&[][..], |m| {
            if m.input.is_empty() {
                m.output
            } else {
                m.input
            }
        });
        stack
            .iter()
            .take(packet::KEPT_LABELS)
            .map(|entry| u32::from_be_bytes(*entry) >> 12)
    }

    /// Sets the fields of the extended records, before those of the header. The next hop of IP is
    /// one where `next_hop` says so and BGP has none.
    pub fn put_extended(&self, record: &mut FlowRecord, next_hop: bool) {
        self.put_tags(record);
        if let Some(router) = &self.router {
            record.set_src_mask(router.src_mask.min(128) as u8);
            record.set_dst_mask(router.dst_mask.min(128) as u8);
            if let Some(hop) = router.next_hop {
                record.set_next_hop(hop);
            }
            if let Some(hop) = router.next_hop.filter(|_| next_hop) {
                record.set_peer_dst_ip(hop);
            }
        }
        if let Some(gateway) = &self.gateway {
            put_gateway(record, gateway);
        }
        if self.mpls.is_some() {
            if let Some(top) = self.labels().next() {
                record.set_mpls_label_top(top);
            }
            if let Some(bottom) = self.labels().next_back() {
                record.set_mpls_label_bottom(bottom);
            }
        }
        if let Some(nat) = &self.nat {
            if let Some(src) = nat.src {
                record.set_post_nat_src_host(src);
            }
            if let Some(dst) = nat.dst {
                record.set_post_nat_dst_host(dst);
            }
        }
        if let Some(port) = &self.nat_port {
            record.set_post_nat_src_port(port.src as u16);
            record.set_post_nat_dst_port(port.dst as u16);
        }
        if let Some(vni) = self.vni {
            record.set_vxlan(vni);
        }
    }

    /// VLANs and priorities: of the switch, then of tags that were taken off.
    fn put_tags(&self, record: &mut FlowRecord) {
        if let Some(switch) = &self.switch {
            let (input, output) = (vlan(switch.src_vlan), vlan(switch.dst_vlan));
            if let Some(id) = output {
                record.set_out_vlan(id);
            }
            if let Some(id) = input {
                record.set_in_vlan(id);
            }
            if let Some(id) = input.filter(|id| *id != 0).or(output) {
                record.set_vlan(id);
            }
            let known = |priority: &u32| *priority <= 7;
            let priorities = [switch.src_priority, switch.dst_priority];
            if let Some(cos) = priorities.into_iter().find(known) {
                record.set_cos(cos as u8);
            }
        }
        let mut tags = self.tunnel.map_or(&[][..], |t| t.tags).iter();
        if let Some([_, _, a, b]) = tags.next() {
            let tci = u16::from_be_bytes([*a, *b]);
            record.set_vlan(tci & 0xfff);
            record.set_in_vlan(tci & 0xfff);
            record.set_cos((tci >> 13) as u8);
        }
        if let Some([_, _, a, b]) = tags.next() {
            record.set_in_cvlan(u16::from_be_bytes([*a, *b]) & 0xfff);
        }
    }
}

/// A VLAN number, unless it says "unknown".
fn vlan(number: u32) -> Option<u16> {
    u16::try_from(number).ok().filter(|id| *id <= 0xfff)
}

/// The route: its first AS is the neighbour, its last the destination's own.
fn put_gateway(record: &mut FlowRecord, gateway: &Gateway<'_>) {
    record.set_src_as(gateway.src_as);
    record.set_peer_src_as(gateway.src_peer_as);
    record.set_peer_dst_as(gateway.path.first().unwrap_or(0));
    record.set_dst_as(gateway.path.origin().unwrap_or(0));
    record.set_local_pref(gateway.local_pref);
    if let Some(hop) = gateway.next_hop {
        record.set_peer_dst_ip(hop);
    }
}

/// Where the packet parser begins.
#[inline]
pub(super) fn start(number: u32) -> Option<Start> {
    if number == protocol::ETHERNET {
        return Some(Start::Ethernet);
    }
    match number {
        protocol::IPV4 | protocol::IPV6 => Some(Start::Ip),
        protocol::PPP | protocol::POS => Some(Start::Ppp),
        protocol::MPLS => Some(Start::Mpls),
        _ => None,
    }
}

/// Sets the fields of sampled IP values.
pub(super) fn put_inet(record: &mut FlowRecord, inet: &Inet) {
    let proto = inet.protocol as u8;
    record.set_etype(if inet.src.as_v4().is_some() {
        0x0800
    } else {
        0x86dd
    });
    record.set_src_host(inet.src);
    record.set_dst_host(inet.dst);
    record.set_proto(proto);
    record.set_tos(inet.tos as u8);
    if matches!(proto, 6 | 17) {
        record.set_src_port(inet.src_port as u16);
        record.set_dst_port(inet.dst_port as u16);
    }
    if proto == 6 {
        record.set_tcp_flags(inet.tcp_flags as u8);
    }
}

/// Sets the fields of sampled Ethernet values.
pub(super) fn put_ethernet(record: &mut FlowRecord, ethernet: &Ethernet) {
    record.set_src_mac(ethernet.src);
    record.set_dst_mac(ethernet.dst);
    record.set_etype(ethernet.etype as u16);
}
