//! The headers a record tells of, as the bytes of an Ethernet frame.
//!
//! Not for sending: lengths that do not fit are cut, checksums are zero, and of a label stack
//! only the top and the bottom are there.

use crate::base::addr::Ip;
use crate::record::{Field, FlowRecord};

/// Ethernet 14, two VLAN tags 8, two MPLS labels 8, IPv6 40, TCP 20.
const ROOM: usize = 14 + 8 + 8 + 40 + 20;

const ETYPE_IPV4: u16 = 0x0800;
const ETYPE_IPV6: u16 = 0x86dd;
const ETYPE_VLAN: u16 = 0x8100;
const ETYPE_SERVICE_VLAN: u16 = 0x88a8;
const ETYPE_MPLS: u16 = 0x8847;

const ICMP: u8 = 1;
const TCP: u8 = 6;
const ICMP6: u8 = 58;
/// UDP, DCCP, SCTP, UDP-Lite: both ports first, and eight bytes at the least.
const WITH_PORTS: [u8; 4] = [17, 33, 132, 136];

/// A frame on the stack.
pub(super) struct Headers {
    buffer: [u8; ROOM],
    len: usize,
    wire_len: u32,
}

/// Values of the record; zero where it has none, whatever its bytes are.
struct Values<'a>(&'a FlowRecord);

impl Values<'_> {
    #[inline]
    fn get<T: Default>(&self, field: Field, value: impl FnOnce(&FlowRecord) -> T) -> T {
        match self.0.present.has(field) {
            true => value(self.0),
            false => T::default(),
        }
    }

    /// The EtherType and both addresses. An address that is missing is of the other's family;
    /// where both are missing, what has a protocol is taken for IPv4.
    fn network(&self) -> (u16, Ip, Ip) {
        let src = self.get(Field::SrcHost, |r| Some(r.src_host()));
        let dst = self.get(Field::DstHost, |r| Some(r.dst_host()));
        let etype = self.get(Field::Etype, FlowRecord::etype);
        let six = |ip: Option<Ip>| ip.is_some_and(|ip| ip.as_v4().is_none());
        let etype = match etype {
            0 if six(src) || six(dst) => ETYPE_IPV6,
            0 if src.or(dst).is_some() || self.0.present.has(Field::Proto) => ETYPE_IPV4,
            etype => etype,
        };
        (etype, src.unwrap_or_default(), dst.unwrap_or_default())
    }
}

impl Headers {
    /// Writes them.
    pub(super) fn of(record: &FlowRecord) -> Self {
        let mut to = Self {
            buffer: [0; ROOM],
            len: 0,
            wire_len: 0,
        };
        let from = Values(record);
        let (etype, src, dst) = from.network();
        to.link(&from, etype);
        let below = to.len;
        // Bytes of a record are those of layer 3.
        let mean = record.bytes.checked_div(record.packets).unwrap_or(0);
        let mean = u32::try_from(mean).unwrap_or(u32::MAX);
        let proto = from.get(Field::Proto, FlowRecord::proto);
        match etype {
            ETYPE_IPV4 => to.ipv4(&from, proto, mean, src, dst),
            ETYPE_IPV6 => to.ipv6(&from, proto, mean, src, dst),
            _ => {}
        }
        if etype == ETYPE_IPV4 || etype == ETYPE_IPV6 {
            to.transport(&from, proto, (to.len - below) as u32, mean);
        }
        // A record without counters still is as long as its headers.
        to.wire_len = mean.saturating_add(below as u32).max(to.len as u32);
        to
    }

    /// What is there of the frame.
    #[inline]
    pub(super) fn bytes(&self) -> &[u8] {
        self.buffer.get(..self.len).unwrap_or(&self.buffer)
    }

    /// Mean length of the record's packets as frames, without checksum.
    #[inline]
    pub(super) fn wire_len(&self) -> u32 {
        self.wire_len
    }

    #[inline]
    fn put<const N: usize>(&mut self, bytes: [u8; N]) {
        if let Some(room) = self.buffer.get_mut(self.len..self.len + N) {
            room.copy_from_slice(&bytes);
            self.len += N;
        }
    }

    #[inline]
    fn put16(&mut self, value: u16) {
        self.put(value.to_be_bytes());
    }

    #[inline]
    fn put32(&mut self, value: u32) {
        self.put(value.to_be_bytes());
    }

    /// Addresses, tags, EtherType, labels. Exporters send VLAN 0 and label 0 for "none".
    fn link(&mut self, from: &Values<'_>, etype: u16) {
        self.put(from.get(Field::DstMac, FlowRecord::dst_mac).0);
        self.put(from.get(Field::SrcMac, FlowRecord::src_mac).0);
        let vlan = from.get(Field::Vlan, FlowRecord::vlan) & 0xfff;
        let inner = match from.get(Field::InCvlan, FlowRecord::in_cvlan) & 0xfff {
            0 => from.get(Field::OutCvlan, FlowRecord::out_cvlan) & 0xfff,
            inner => inner,
        };
        if vlan != 0 {
            let cos = from.get(Field::Cos, FlowRecord::cos);
            self.put16(if inner == 0 {
                ETYPE_VLAN
            } else {
                ETYPE_SERVICE_VLAN
            });
            self.put16(u16::from(cos & 7) << 13 | vlan);
        }
        if inner != 0 {
            self.put16(ETYPE_VLAN);
            self.put16(inner);
        }
        let top = from.get(Field::MplsLabelTop, FlowRecord::mpls_label_top) & 0xf_ffff;
        let bottom = from.get(Field::MplsLabelBottom, FlowRecord::mpls_label_bottom) & 0xf_ffff;
        if top == 0 && bottom == 0 {
            self.put16(etype);
            return;
        }
        self.put16(ETYPE_MPLS);
        if top != bottom && top != 0 && bottom != 0 {
            self.put32(top << 12 | 64);
        }
        let last = if bottom == 0 { top } else { bottom };
        self.put32(last << 12 | 0x100 | 64);
    }

    fn ipv4(&mut self, from: &Values<'_>, proto: u8, mean: u32, src: Ip, dst: Ip) {
        let length = u16::try_from(mean.max(20)).unwrap_or(u16::MAX);
        self.put([0x45, from.get(Field::Tos, FlowRecord::tos)]);
        self.put16(length);
        // Identification and fragment offset, then time to live, protocol, checksum.
        self.put([0, 0, 0, 0, 64, proto, 0, 0]);
        self.put(src.as_v4().unwrap_or_default());
        self.put(dst.as_v4().unwrap_or_default());
    }

    fn ipv6(&mut self, from: &Values<'_>, proto: u8, mean: u32, src: Ip, dst: Ip) {
        let tos = from.get(Field::Tos, FlowRecord::tos);
        let label = from.get(Field::FlowLabel, FlowRecord::flow_label) & 0xf_ffff;
        let length = u16::try_from(mean.saturating_sub(40)).unwrap_or(u16::MAX);
        self.put32(6 << 28 | u32::from(tos) << 20 | label);
        self.put16(length);
        self.put([proto, 64]);
        self.put(src.0);
        self.put(dst.0);
    }

    /// `above` is the length of the IP header, `mean` that of the IP packet.
    fn transport(&mut self, from: &Values<'_>, proto: u8, above: u32, mean: u32) {
        let src = from.get(Field::SrcPort, FlowRecord::src_port);
        let dst = from.get(Field::DstPort, FlowRecord::dst_port);
        match proto {
            TCP => {
                self.put16(src);
                self.put16(dst);
                let flags = from.get(Field::TcpFlags, FlowRecord::tcp_flags);
                self.put([0, 0, 0, 0, 0, 0, 0, 0, 5 << 4, flags, 0, 0, 0, 0, 0, 0]);
            }
            // Exporters put type and code where the destination port would be.
            ICMP | ICMP6 => {
                self.put16(dst);
                self.put([0; 6]);
            }
            _ if WITH_PORTS.contains(&proto) => {
                self.put16(src);
                self.put16(dst);
                let length = mean.saturating_sub(above).max(8);
                self.put16(u16::try_from(length).unwrap_or(u16::MAX));
                self.put16(0);
            }
            _ => {}
        }
    }
}
