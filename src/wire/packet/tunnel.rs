//! The packet inside a packet, one level deep.
//!
//! What is wrong inside does not hurt the outer packet: it is just not reported.

use super::{Carrier, IpLayer, LinkLayer, Start, Tunnel, ip, link, offset};
use crate::base::cursor::{Cursor, Short};

const VXLAN: u16 = 4789;
const GENEVE: u16 = 6081;
const GTP: u16 = 2152;

/// True when the packet may carry another one.
#[inline]
pub(super) fn is_carrier(proto: u8, ports: Option<(u16, u16)>) -> bool {
    match proto {
        4 | 41 | 47 | 97 | 137 => true,
        17 => matches!(ports, Some((_, VXLAN | GENEVE | GTP))),
        _ => false,
    }
}

/// Reads what `outer`, a packet of `frame`, carries.
pub(super) fn parse(outer: &IpLayer, frame: &[u8]) -> Option<Tunnel> {
    if outer.fragment.is_some_and(|f| f.offset != 0) {
        return None;
    }
    let mut c = Cursor::new(frame.get(..outer.end as usize)?);
    c.skip(outer.payload as usize).ok()?;
    let (carrier, id, start) = match outer.proto {
        4 | 41 => (Carrier::Ip, 0, Start::Ip),
        137 => (Carrier::Mpls, 0, Start::Mpls),
        97 => {
            c.skip(2).ok()?;
            (Carrier::EtherIp, 0, Start::Ethernet)
        }
        47 => gre(&mut c).ok()??,
        17 => {
            c.skip(8).ok()?;
            match outer.ports? {
                (_, VXLAN) => vxlan(&mut c).ok()??,
                (_, GENEVE) => geneve(&mut c).ok()??,
                _ => gtp(&mut c).ok()??,
            }
        }
        _ => return None,
    };
    let mut inner = LinkLayer::EMPTY;
    let mut packet = None;
    if link::walk(start, &mut c, &mut inner) == Ok(true) {
        let at = offset(c.offset());
        let wire_end = outer.start.saturating_add(outer.bytes);
        let room = wire_end.saturating_sub(at).max(offset(c.left()));
        let _ = ip::parse(c.rest(), at, room, &mut packet);
    }
    Some(Tunnel {
        carrier,
        id,
        src_mac: inner.src_mac,
        dst_mac: inner.dst_mac,
        ip: packet,
    })
}

/// What a tunnel header leads to; nothing when there is no packet inside.
type Inside = Option<(Carrier, u32, Start)>;

/// GRE. A keepalive has protocol zero and nothing inside that is meant for us.
fn gre(c: &mut Cursor<'_>) -> Result<Inside, Short> {
    const CHECKSUM: u16 = 0x8000;
    const ROUTING: u16 = 0x4000;
    const KEY: u16 = 0x2000;
    const SEQUENCE: u16 = 0x1000;
    const ACK: u16 = 0x0080;
    let flags = c.u16()?;
    let protocol = c.u16()?;
    // Source routes went out with RFC 2784 and have no length of their own.
    if flags & ROUTING != 0 || flags & 7 > 1 {
        return Ok(None);
    }
    if flags & CHECKSUM != 0 {
        c.skip(4)?;
    }
    let key = if flags & KEY != 0 { c.u32()? } else { 0 };
    if flags & SEQUENCE != 0 {
        c.skip(4)?;
    }
    if flags & 7 == 1 {
        // PPTP: the key is payload length and call id.
        if flags & ACK != 0 {
            c.skip(4)?;
        }
        return Ok((protocol == 0x880b).then_some((Carrier::Gre, key & 0xffff, Start::Ppp)));
    }
    Ok(match protocol {
        super::ETYPE_IPV4 | super::ETYPE_IPV6 => Some((Carrier::Gre, key, Start::Ip)),
        0x6558 if flags & KEY != 0 => Some((Carrier::Nvgre, key >> 8, Start::Ethernet)),
        0x6558 => Some((Carrier::Gre, key, Start::Ethernet)),
        0x8847 | 0x8848 => Some((Carrier::Gre, key, Start::Mpls)),
        0x880b => Some((Carrier::Gre, key, Start::Ppp)),
        // ERSPAN type II has a header of its own, known by the sequence number; type I has not.
        0x88be => {
            if flags & SEQUENCE != 0 {
                c.skip(8)?;
            }
            Some((Carrier::Gre, key, Start::Ethernet))
        }
        // ERSPAN type III: twelve bytes, and eight more when the last bit says so.
        0x22eb => {
            let header = c.array::<12>()?;
            let [.., last] = header;
            if last & 1 == 1 {
                c.skip(8)?;
            }
            Some((Carrier::Gre, key, Start::Ethernet))
        }
        _ => None,
    })
}

/// VXLAN: valid only with the I flag (RFC 7348 §5).
fn vxlan(c: &mut Cursor<'_>) -> Result<Inside, Short> {
    let flags = c.u32()?;
    let id = c.u32()? >> 8;
    Ok((flags & 0x0800_0000 != 0).then_some((Carrier::Vxlan, id, Start::Ethernet)))
}

/// Geneve (RFC 8926 §3.4): options in units of four bytes.
fn geneve(c: &mut Cursor<'_>) -> Result<Inside, Short> {
    let [version, _] = c.array()?;
    let protocol = c.u16()?;
    let id = c.u32()? >> 8;
    c.skip(usize::from(version & 0x3f).saturating_mul(4))?;
    Ok(match (version >> 6, protocol) {
        (0, 0x6558) => Some((Carrier::Geneve, id, Start::Ethernet)),
        (0, super::ETYPE_IPV4 | super::ETYPE_IPV6) => Some((Carrier::Geneve, id, Start::Ip)),
        _ => None,
    })
}

/// GTP-U: user data is message 255; extension headers are a bounded chain (TS 29.281 §5).
fn gtp(c: &mut Cursor<'_>) -> Result<Inside, Short> {
    const MAX_EXTENSIONS: usize = 8;
    let [flags, message] = c.array()?;
    c.skip(2)?;
    let id = c.u32()?;
    if flags >> 4 != 3 || message != 255 {
        return Ok(None);
    }
    if flags & 7 != 0 {
        c.skip(3)?;
        let mut next = c.u8()?;
        if flags & 4 != 0 {
            for _ in 0..MAX_EXTENSIONS {
                if next == 0 {
                    break;
                }
                let units = usize::from(c.u8()?);
                if units == 0 {
                    return Ok(None);
                }
                c.skip(units.saturating_mul(4).saturating_sub(2))?;
                next = c.u8()?;
            }
            if next != 0 {
                return Ok(None);
            }
        }
    }
    Ok(Some((Carrier::Gtp, id, Start::Ip)))
}
