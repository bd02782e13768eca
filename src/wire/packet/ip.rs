//! IPv4, IPv6 with its extension headers, and the transport header behind them.

use super::{Fragment, IpLayer, MAX_EXTENSIONS, offset};
use crate::base::addr::Ip;
use crate::base::cursor::Cursor;
use crate::wire::Error;

/// Reads the IP packet that `bytes` begins with, `start` bytes into its frame. `room` is what is
/// left of the frame on the wire from here on, at least `bytes.len()`. The answer is in `to` too.
pub(super) fn parse<'a>(
    bytes: &[u8],
    start: u32,
    room: u32,
    to: &'a mut Option<IpLayer>,
) -> Result<&'a IpLayer, Error> {
    match bytes.first().ok_or(Error::Truncated)? >> 4 {
        4 => v4(bytes, start, room, to),
        6 => v6(bytes, start, room, to),
        _ => Err(Error::Version),
    }
}

/// IPv4 (RFC 791 §3.1).
fn v4<'a>(
    bytes: &[u8],
    start: u32,
    room: u32,
    to: &'a mut Option<IpLayer>,
) -> Result<&'a IpLayer, Error> {
    let mut c = Cursor::new(bytes);
    let [version, tos] = c.array()?;
    let header = u32::from(version & 0x0f).wrapping_mul(4);
    let total = u32::from(c.u16()?);
    let id = c.u16()?;
    let place = c.u16()?;
    let [_, proto] = c.array()?;
    c.skip(2)?;
    let src = Ip::v4(c.array()?);
    let dst = Ip::v4(c.array()?);
    // Zero is what segmentation offload leaves in captures; less than the header is no packet, to
    // hosts and other decoders alike. More than the frame is believed: captures that were cut
    // later often state the cut length as the one on the wire, and then only this one is right.
    if header < 20 || (1..header).contains(&total) {
        return Err(Error::Length);
    }
    let length = if total == 0 { room } else { total };
    let more = place & 0x2000 != 0;
    let at = (place & 0x1fff).wrapping_mul(8);
    let fragment = (more || at != 0).then_some(Fragment {
        id: u32::from(id),
        offset: at,
        more,
    });
    let layer = to.insert(IpLayer {
        src,
        dst,
        bytes: length,
        ports: None,
        icmp: None,
        fragment,
        flow_label: 0,
        version: 4,
        proto,
        tos,
        tcp_flags: 0,
        start,
        payload: 0,
        end: 0,
        stopped: None,
    });
    let packet = within(bytes, length);
    let body = packet.get(header as usize..).unwrap_or_default();
    place_body(layer, packet.len(), body.len());
    if at == 0 {
        transport(layer, body);
    }
    Ok(layer)
}

/// IPv6 (RFC 8200 §3).
fn v6<'a>(
    bytes: &[u8],
    start: u32,
    room: u32,
    to: &'a mut Option<IpLayer>,
) -> Result<&'a IpLayer, Error> {
    let mut c = Cursor::new(bytes);
    let head = c.u32()?;
    let payload = u32::from(c.u16()?);
    let [next, _] = c.array()?;
    let src = Ip(c.array()?);
    let dst = Ip(c.array()?);
    let total = payload.wrapping_add(40);
    // A length of zero means a jumbogram (RFC 2675) or segmentation offload, where what follows
    // can not be nothing; else it is zero.
    let unknown = payload == 0 && matches!(next, 0 | 6 | 17);
    let length = if unknown { room } else { total };
    let layer = to.insert(IpLayer {
        src,
        dst,
        bytes: length,
        ports: None,
        icmp: None,
        fragment: None,
        flow_label: head & 0x000f_ffff,
        version: 6,
        proto: next,
        tos: (head >> 20) as u8,
        tcp_flags: 0,
        start,
        payload: 0,
        end: 0,
        stopped: None,
    });
    let packet = within(bytes, length);
    let mut c = Cursor::new(packet.get(40..).unwrap_or_default());
    let walked = extensions(layer, &mut c);
    place_body(layer, packet.len(), c.left());
    match walked {
        Ok(()) if layer.fragment.is_none_or(|f| f.offset == 0) => transport(layer, c.rest()),
        Ok(()) => {}
        Err(why) => layer.stopped = Some(why),
    }
    Ok(layer)
}

/// Walks the extension headers; `layer.proto` ends as the first header that is not one of them.
/// Of a header that is not all there the first byte still says what comes behind it.
fn extensions(layer: &mut IpLayer, c: &mut Cursor<'_>) -> Result<(), Error> {
    for _ in 0..MAX_EXTENSIONS {
        let mut ahead = *c;
        match layer.proto {
            // Hop-by-hop, routing, destination options, mobility, host identity, shim6: units of
            // eight bytes, the first not counted.
            0 | 43 | 60 | 135 | 139 | 140 => {
                layer.proto = ahead.u8()?;
                let units = usize::from(ahead.u8()?);
                ahead.skip(units.saturating_mul(8).saturating_add(6))?;
            }
            // Authentication (RFC 4302 §2.2): units of four bytes, the first two not counted.
            51 => {
                layer.proto = ahead.u8()?;
                let units = usize::from(ahead.u8()?);
                ahead.skip(units.saturating_mul(4).saturating_add(6))?;
            }
            44 => {
                layer.proto = ahead.u8()?;
                ahead.skip(1)?;
                let place = ahead.u16()?;
                let id = ahead.u32()?;
                let (offset, more) = (place & 0xfff8, place & 1 != 0);
                // Neither offset nor more: a whole packet in one "atomic" fragment (RFC 6946).
                if offset != 0 || more {
                    layer.fragment = Some(Fragment { id, offset, more });
                }
                if offset != 0 {
                    *c = ahead;
                    return Ok(());
                }
            }
            _ => return Ok(()),
        }
        *c = ahead;
    }
    match layer.proto {
        0 | 43 | 44 | 51 | 60 | 135 | 139 | 140 => Err(Error::Loop),
        _ => Ok(()),
    }
}

/// The captured part of a packet of `length` bytes.
#[inline]
fn within(bytes: &[u8], length: u32) -> &[u8] {
    bytes.get(..length as usize).unwrap_or(bytes)
}

/// Notes where the packet ends and its last `body` bytes begin.
#[inline]
fn place_body(layer: &mut IpLayer, packet: usize, body: usize) {
    layer.end = layer.start.saturating_add(offset(packet));
    layer.payload = layer.end.saturating_sub(offset(body));
}

/// Ports, flags, type and code: the begin of the transport header is enough.
#[inline]
fn transport(layer: &mut IpLayer, body: &[u8]) {
    match (layer.proto, body) {
        (6, [a, b, c, d, rest @ ..]) => {
            layer.ports = Some((u16::from_be_bytes([*a, *b]), u16::from_be_bytes([*c, *d])));
            match rest.get(9) {
                Some(flags) => layer.tcp_flags = *flags,
                None => layer.stopped = Some(Error::Truncated),
            }
        }
        // DCCP, UDP, SCTP, UDP-Lite.
        (33 | 17 | 132 | 136, [a, b, c, d, ..]) => {
            layer.ports = Some((u16::from_be_bytes([*a, *b]), u16::from_be_bytes([*c, *d])));
        }
        (1 | 58, [kind, code, ..]) => layer.icmp = Some((*kind, *code)),
        (6 | 33 | 17 | 132 | 136 | 1 | 58, _) => layer.stopped = Some(Error::Truncated),
        _ => {}
    }
}
