//! [`PacketDecoder`]: one captured frame becomes one record.
//!
//! [`HeaderPlan`] is the half that other decoders share, for the frames that sFlow samples and
//! IPFIX carry. Not for payloads, and not for flows: the aggregation makes those.

use super::custom::Pointers;
use super::fragment::{Entry, FragmentTable};
use super::{Decoder, Emit, Setup, Symbols};
use crate::base::intern::Sym;
use crate::base::ledger::Reason;
use crate::record::{Field, FieldSet, FlowRecord};
use crate::source::{Frame, Link};
use crate::wire;
use crate::wire::packet::{self, Carrier, IpLayer, Packet, Plain, Start, V4, V6};
use std::fmt::{self, Write};

const TCP: u8 = 6;
const UDP: u8 = 17;

const TUNNEL: FieldSet = FieldSet::of(&[
    Field::TunnelSrcMac,
    Field::TunnelDstMac,
    Field::TunnelSrcHost,
    Field::TunnelDstHost,
    Field::TunnelProto,
    Field::TunnelTos,
    Field::TunnelFlowLabel,
    Field::TunnelSrcPort,
    Field::TunnelDstPort,
    Field::TunnelTcpFlags,
    Field::Vxlan,
    Field::Nvgre,
]);
const LINK: FieldSet = FieldSet::of(&[
    Field::SrcMac,
    Field::DstMac,
    Field::Vlan,
    Field::InVlan,
    Field::InCvlan,
    Field::Cos,
    Field::Etype,
]);
const MPLS: FieldSet = FieldSet::of(&[
    Field::MplsLabelTop,
    Field::MplsLabelBottom,
    Field::MplsLabelStack,
]);
const FRAME: FieldSet = FieldSet::of(&[
    Field::InIface,
    Field::TimestampStart,
    Field::TimestampEnd,
    Field::TimestampArrival,
    Field::TimestampMin,
    Field::TimestampMax,
]);

/// Headers of IP and what it carries.
const IP: FieldSet = FieldSet::of(&[
    Field::SrcHost,
    Field::DstHost,
    Field::SrcPort,
    Field::DstPort,
    Field::Proto,
    Field::Tos,
    Field::FlowLabel,
    Field::TcpFlags,
]);

/// Fields that headers can supply.
pub const HEADERS: FieldSet = IP.union(LINK).union(MPLS).union(TUNNEL);

/// Fields that captured frames can supply.
pub const GIVES: FieldSet = HEADERS.union(FRAME);

/// Bytes that the stores of a decoder take.
pub fn memory(setup: &Setup) -> usize {
    setup.fragments_max.saturating_mul(size_of::<Entry>())
}

/// Where parsing begins for a link type; nothing for one that weir does not decode.
pub fn start(link: Link) -> Option<Start> {
    Some(match link {
        Link::Ethernet => Start::Ethernet,
        Link::Raw | Link::Other(228 | 229) => Start::Ip,
        Link::Null | Link::Loop => Start::Null,
        // Cisco HDLC is told from PPP by its first byte.
        Link::Ppp | Link::Other(50 | 104) => Start::Ppp,
        Link::PppEther => Start::Pppoe,
        Link::LinuxSll => Start::Cooked,
        Link::LinuxSll2 => Start::Cooked2,
        Link::Other(219) => Start::Mpls,
        Link::Datagram | Link::Other(_) => return None,
    })
}

/// Which groups of header fields somebody wants; an unwanted group costs one test.
#[derive(Clone, Copy, Debug)]
pub struct HeaderPlan {
    wanted: FieldSet,
    /// Addresses aside: ports, TCP flags.
    ports: bool,
    flags: bool,
    /// Anything below; then the groups one by one.
    more: bool,
    link: bool,
    label: bool,
    mpls: bool,
    tunnel: bool,
    /// A frame without IP still has something that is wanted: MACs or the EtherType.
    bare: bool,
}

impl HeaderPlan {
    /// The plan for these fields.
    pub fn new(wanted: FieldSet) -> Self {
        let (link, mpls, tunnel) = (wanted.any(LINK), wanted.any(MPLS), wanted.any(TUNNEL));
        let label = wanted.has(Field::FlowLabel);
        Self {
            wanted,
            ports: wanted.any(FieldSet::of(&[Field::SrcPort, Field::DstPort])),
            flags: wanted.has(Field::TcpFlags),
            more: link || mpls || tunnel || label,
            link,
            label,
            mpls,
            tunnel,
            bare: wanted.any(FieldSet::of(&[Field::SrcMac, Field::DstMac, Field::Etype])),
        }
    }

    /// The same, without frames that have no IP where that is asked for.
    pub fn only_ip(self, only: bool) -> Self {
        Self {
            bare: self.bare && !only,
            ..self
        }
    }

    /// Whether a packet that is not IP should make a record.
    #[inline]
    pub fn keeps(&self, packet: &Packet) -> bool {
        packet.ip.is_some() || self.bare
    }

    /// Parses a frame as far as this plan needs.
    ///
    /// # Errors
    /// See [`packet::parse`].
    #[inline]
    pub fn parse(&self, start: Start, frame: &[u8], wire_len: u32) -> Result<Packet, wire::Error> {
        packet::parse(start, frame, wire_len, self.tunnel)
    }

    /// Whether [`fill_plain`](Self::fill_plain) takes all that is wanted from this view. Apart from
    /// making the view, so that it stays where it was made.
    #[inline]
    pub fn suits<const IP: usize>(&self, plain: &Plain<'_, IP>) -> bool {
        !(self.tunnel && plain.is_carrier())
    }

    /// Writes the wanted header fields of a usual frame. Counters and times are the caller's.
    #[inline]
    pub fn fill_plain<const IP: usize>(&self, record: &mut FlowRecord, plain: &Plain<'_, IP>) {
        let (src, dst) = plain.hosts();
        record.set_src_host(src);
        record.set_dst_host(dst);
        record.set_proto(plain.proto());
        record.set_tos(plain.tos());
        if self.ports {
            record.set_src_port(plain.src_port());
            record.set_dst_port(plain.dst_port());
        }
        if self.flags {
            record.set_tcp_flags(plain.tcp_flags());
        }
        if self.link {
            record.set_src_mac(plain.src_mac());
            record.set_dst_mac(plain.dst_mac());
            record.set_etype(plain.etype());
            if let Some((vlan, cos)) = plain.vlan() {
                record.set_vlan(vlan);
                record.set_in_vlan(vlan);
                record.set_cos(cos);
            }
        }
        if self.label {
            record.set_flow_label(plain.flow_label());
        }
    }

    /// The symbol of the label stack, where it is wanted.
    #[inline]
    pub fn stack(&self, packet: &Packet, symbols: &mut Symbols<'_>) -> Option<Sym> {
        match packet.link.labels {
            Some(labels) if self.mpls && self.wanted.has(Field::MplsLabelStack) => {
                Some(symbols.intern(Stack::of(labels.stack()).bytes()))
            }
            _ => None,
        }
    }

    /// Writes the wanted header fields. Counters and times are the caller's.
    #[inline]
    pub fn fill(&self, record: &mut FlowRecord, packet: &Packet, stack: Option<Sym>) {
        if let Some(ip) = &packet.ip {
            record.set_src_host(ip.src);
            record.set_dst_host(ip.dst);
            record.set_proto(ip.proto);
            record.set_tos(ip.tos);
            if self.ports
                && matches!(ip.proto, TCP | UDP)
                && let Some((src, dst)) = ip.ports
            {
                record.set_src_port(src);
                record.set_dst_port(dst);
            }
            if self.flags {
                record.set_tcp_flags(ip.tcp_flags);
            }
        }
        if self.more {
            self.fill_more(record, packet, stack);
        }
    }

    /// The groups that most keys leave out.
    fn fill_more(&self, record: &mut FlowRecord, packet: &Packet, stack: Option<Sym>) {
        if self.link {
            self.fill_link(record, packet);
        }
        if self.label
            && let Some(ip) = &packet.ip
        {
            record.set_flow_label(ip.flow_label);
        }
        if self.mpls
            && let Some(labels) = &packet.link.labels
        {
            record.set_mpls_label_top(labels.top());
            record.set_mpls_label_bottom(labels.bottom());
            if let Some(sym) = stack {
                record.set_mpls_label_stack(sym);
            }
        }
        if self.tunnel
            && let Some(tunnel) = &packet.tunnel
        {
            fill_tunnel(record, tunnel);
        }
    }

    /// MACs, tags, EtherType.
    fn fill_link(&self, record: &mut FlowRecord, packet: &Packet) {
        let link = &packet.link;
        if let Some(mac) = link.src_mac {
            record.set_src_mac(mac);
        }
        if let Some(mac) = link.dst_mac {
            record.set_dst_mac(mac);
        }
        if let Some(etype) = link.etype {
            record.set_etype(etype);
        }
        if let Some(vlan) = link.vlan {
            record.set_vlan(vlan);
            record.set_in_vlan(vlan);
            record.set_cos(link.cos.unwrap_or_default());
        }
        if let Some(vlan) = link.cvlan {
            record.set_in_cvlan(vlan);
        }
    }
}

/// What is inside.
fn fill_tunnel(record: &mut FlowRecord, tunnel: &packet::Tunnel) {
    match tunnel.carrier {
        Carrier::Vxlan => record.set_vxlan(tunnel.id),
        Carrier::Nvgre => record.set_nvgre(tunnel.id),
        _ => {}
    }
    if let Some(mac) = tunnel.src_mac {
        record.set_tunnel_src_mac(mac);
    }
    if let Some(mac) = tunnel.dst_mac {
        record.set_tunnel_dst_mac(mac);
    }
    let Some(ip) = &tunnel.ip else { return };
    record.set_tunnel_src_host(ip.src);
    record.set_tunnel_dst_host(ip.dst);
    record.set_tunnel_proto(ip.proto);
    record.set_tunnel_tos(ip.tos);
    record.set_tunnel_flow_label(ip.flow_label);
    record.set_tunnel_tcp_flags(u32::from(ip.tcp_flags));
    if matches!(ip.proto, TCP | UDP)
        && let Some((src, dst)) = ip.ports
    {
        record.set_tunnel_src_port(src);
        record.set_tunnel_dst_port(dst);
    }
}

/// Labels as text, joined by underscores, without allocation.
struct Stack {
    text: [u8; 8 * packet::KEPT_LABELS],
    len: usize,
}

impl Stack {
    fn of(labels: &[u32]) -> Self {
        let mut stack = Self {
            text: [0; 8 * packet::KEPT_LABELS],
            len: 0,
        };
        for (n, label) in labels.iter().enumerate() {
            let separator = if n == 0 { "" } else { "_" };
            // A label has seven digits at the most, so there is room.
            let _ = write!(stack, "{separator}{label}");
        }
        stack
    }

    fn bytes(&self) -> &[u8] {
        self.text.get(..self.len).unwrap_or_default()
    }
}

impl Write for Stack {
    fn write_str(&mut self, s: &str) -> fmt::Result {
        let end = self.len.saturating_add(s.len());
        self.text
            .get_mut(self.len..end)
            .ok_or(fmt::Error)?
            .copy_from_slice(s.as_bytes());
        self.len = end;
        Ok(())
    }
}

/// Decodes captured frames, each into one record.
pub struct PacketDecoder {
    plan: HeaderPlan,
    /// Interface or times are wanted.
    frame: bool,
    wanted: FieldSet,
    fragments: FragmentTable,
}

impl PacketDecoder {
    /// A decoder of what `setup` wants.
    pub fn new(setup: &Setup) -> Self {
        let plan = HeaderPlan::new(setup.wanted).only_ip(setup.reading.only_ip);
        let entries = if plan.ports { setup.fragments_max } else { 0 };
        Self {
            plan,
            frame: setup.wanted.any(FRAME),
            wanted: setup.wanted,
            fragments: FragmentTable::new(entries),
        }
    }

    /// Fields of the frame itself rather than of its headers.
    fn fill_frame(&self, record: &mut FlowRecord, frame: &Frame<'_>) {
        let has = |field| self.wanted.has(field);
        if has(Field::InIface) && frame.from.iface != 0 {
            record.set_in_iface(frame.from.iface);
        }
        if has(Field::TimestampStart) {
            record.set_timestamp_start(frame.time);
        }
        if has(Field::TimestampEnd) {
            record.set_timestamp_end(frame.time);
        }
        if has(Field::TimestampMin) {
            record.set_timestamp_min(frame.time);
        }
        if has(Field::TimestampMax) {
            record.set_timestamp_max(frame.time);
        }
        if has(Field::TimestampArrival) {
            record.set_timestamp_arrival(frame.time);
        }
    }

    /// The usual Ethernet frame; false when it is not one.
    #[inline(always)]
    fn usual<const IP: usize>(&self, frame: &Frame<'_>, out: &mut Emit<'_>) -> bool {
        let view = Plain::<IP>::of(frame.bytes, frame.wire_len);
        let Some(plain) = &view else {
            return false;
        };
        if !self.plan.suits(plain) {
            return false;
        }
        let record = out.slot();
        record.packets = 1;
        record.bytes = u64::from(plain.bytes());
        self.plan.fill_plain(record, plain);
        if self.frame {
            self.fill_frame(record, frame);
        }
        true
    }

    /// Any frame.
    fn general(&mut self, frame: &Frame<'_>, out: &mut Emit<'_>) -> Result<(), wire::Error> {
        let Some(start) = start(frame.link) else {
            out.drop(Reason::LinkType, frame.wire_len as usize);
            return Ok(());
        };
        let mut packet = Packet::EMPTY;
        let wire_len = frame.wire_len;
        packet::parse_into(start, frame.bytes, wire_len, self.plan.tunnel, &mut packet)?;
        match &mut packet.ip {
            Some(ip) if ip.fragment.is_some() && self.plan.ports => self.join(ip, frame, out),
            None if !self.plan.bare => {
                out.drop(Reason::NotIp, frame.wire_len as usize);
                return Ok(());
            }
            _ => {}
        }
        let stack = self.plan.stack(&packet, &mut out.symbols());
        let record = out.slot();
        record.packets = 1;
        record.bytes = u64::from(packet.bytes);
        self.plan.fill(record, &packet, stack);
        if self.frame {
            self.fill_frame(record, frame);
        }
        Ok(())
    }

    /// Takes the ports of a first fragment, gives them to a later one.
    #[cold]
    fn join(&mut self, ip: &mut IpLayer, frame: &Frame<'_>, out: &mut Emit<'_>) {
        if self.fragments.join(ip, frame.time) {
            out.drop(Reason::FragmentTable, 0);
        }
    }
}

impl Decoder for PacketDecoder {
    fn decode(&mut self, frame: &Frame<'_>, out: &mut Emit<'_>) -> Result<(), wire::Error> {
        if frame.link == Link::Ethernet
            && (self.usual::<V4>(frame, out) || self.usual::<V6>(frame, out))
        {
            return Ok(());
        }
        self.general(frame, out)
    }

    fn usage(&self) -> Vec<(&'static str, usize, usize)> {
        let (used, most) = self.fragments.usage();
        vec![("fragments", used, most)]
    }
}

/// The same, and then primitives of the configuration out of each packet. It stands around the
/// decoder, so that who has none of them does not even ask.
pub struct PointedDecoder {
    inner: Box<dyn Decoder>,
    plan: HeaderPlan,
    pointers: Pointers,
}

impl PointedDecoder {
    /// Around a decoder of frames that `setup` has built.
    pub fn new(inner: Box<dyn Decoder>, pointers: Pointers, setup: &Setup) -> Self {
        let plan = HeaderPlan::new(setup.wanted);
        Self {
            inner,
            plan,
            pointers,
        }
    }
}

impl Decoder for PointedDecoder {
    fn decode(&mut self, frame: &Frame<'_>, out: &mut Emit<'_>) -> Result<(), wire::Error> {
        self.inner.decode(frame, out)?;
        let Some(start) = start(frame.link) else {
            return Ok(());
        };
        // It can be read, and where it is kept it has just become the last record.
        let packet = packet::parse(start, frame.bytes, frame.wire_len, false)?;
        if self.plan.keeps(&packet) {
            self.pointers.put_last(start, frame.bytes, &packet, out);
        }
        Ok(())
    }

    fn usage(&self) -> Vec<(&'static str, usize, usize)> {
        self.inner.usage()
    }
}

#[cfg(test)]
mod test;
