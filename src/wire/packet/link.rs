//! From the first byte of a frame to its network layer.

use super::{Labels, LinkLayer, MAX_LABELS, MAX_LINKS, MAX_TAGS, Start};
use crate::base::addr::Mac;
use crate::base::cursor::Cursor;
use crate::wire::Error;

/// The header that comes next.
#[derive(Clone, Copy)]
enum Next {
    Ethernet,
    Type(u16),
    Llc,
    Ppp,
    Pppoe,
    Mpls,
    Ip,
    Other,
}

/// A header whose place somebody may want to know.
#[derive(Clone, Copy)]
pub(super) enum Header {
    Mac,
    Vlan,
    Mpls,
}

/// Moves `c` to the network layer and fills `link` on the way. True when that layer is IP.
pub(super) fn walk(start: Start, c: &mut Cursor<'_>, link: &mut LinkLayer) -> Result<bool, Error> {
    walk_with(start, c, link, |_, _| {})
}

/// The same, and tells `mark` where headers begin.
#[inline(always)]
pub(super) fn walk_with(
    start: Start,
    c: &mut Cursor<'_>,
    link: &mut LinkLayer,
    mut mark: impl FnMut(Header, usize),
) -> Result<bool, Error> {
    let mut next = first(start, c, link)?;
    let mut tags = 0usize;
    for _ in 0..MAX_LINKS {
        next = match next {
            Next::Ip => return Ok(true),
            Next::Other => return Ok(false),
            Next::Ethernet => {
                mark(Header::Mac, c.offset());
                ethernet(c, link)?
            }
            Next::Llc => llc(c)?,
            Next::Ppp => ppp(c)?,
            Next::Pppoe => pppoe(c)?,
            Next::Mpls => {
                mark(Header::Mpls, c.offset());
                mpls(c, link)?
            }
            Next::Type(etype) => {
                link.etype = (etype > 1500).then_some(etype);
                if is_tag(etype) {
                    tags = tags.saturating_add(1);
                    if tags > MAX_TAGS {
                        return Err(Error::Loop);
                    }
                    mark(Header::Vlan, c.offset());
                    tag(c, link)?
                } else {
                    by_type(etype, c)?
                }
            }
        };
    }
    match next {
        Next::Ip => Ok(true),
        Next::Other => Ok(false),
        _ => Err(Error::Loop),
    }
}

/// The header that opens a frame.
fn first(start: Start, c: &mut Cursor<'_>, link: &mut LinkLayer) -> Result<Next, Error> {
    Ok(match start {
        Start::Ethernet => Next::Ethernet,
        Start::Ip => Next::Ip,
        Start::Ppp => Next::Ppp,
        Start::Pppoe => Next::Pppoe,
        Start::Mpls => Next::Mpls,
        Start::Null => {
            // Families are small numbers; the one of Linux, the BSDs and macOS for IPv6 differ.
            let family = c.u32()?;
            match if family > 0xffff {
                family.swap_bytes()
            } else {
                family
            } {
                2 | 10 | 24 | 28 | 30 => Next::Ip,
                _ => Next::Other,
            }
        }
        Start::Cooked => {
            c.skip(2)?;
            let device = c.u16()?;
            let len = c.u16()?;
            let address = c.array()?;
            cooked(device, len, address, c.u16()?, link)
        }
        Start::Cooked2 => {
            let etype = c.u16()?;
            c.skip(6)?;
            let device = c.u16()?;
            c.skip(1)?;
            let len = u16::from(c.u8()?);
            cooked(device, len, c.array()?, etype, link)
        }
    })
}

/// What both versions of the cooked header say. It has one address, the sender's.
fn cooked(device: u16, len: u16, address: [u8; 8], etype: u16, link: &mut LinkLayer) -> Next {
    const NETLINK: u16 = 824;
    const LLC: u16 = 4;
    let [a, b, d, e, f, g, _, _] = address;
    if len == 6 {
        link.src_mac = Some(Mac([a, b, d, e, f, g]));
    }
    match (device, etype) {
        (NETLINK, _) => Next::Other,
        (_, LLC) => Next::Llc,
        (_, 0..=0x5ff) => Next::Other,
        _ => Next::Type(etype),
    }
}

/// Ethernet's addresses. The outermost ones stay when a frame carries a frame.
fn ethernet(c: &mut Cursor<'_>, link: &mut LinkLayer) -> Result<Next, Error> {
    let dst = c.array()?;
    let src = c.array()?;
    let etype = c.u16()?;
    link.dst_mac.get_or_insert(Mac(dst));
    link.src_mac.get_or_insert(Mac(src));
    Ok(Next::Type(etype))
}

/// IEEE 802.1Q and 802.1ad, and the numbers used before the latter.
#[inline]
fn is_tag(etype: u16) -> bool {
    matches!(etype, 0x8100 | 0x88a8 | 0x9100 | 0x9200 | 0x9300)
}

/// One VLAN tag behind its EtherType.
fn tag(c: &mut Cursor<'_>, link: &mut LinkLayer) -> Result<Next, Error> {
    let control = c.u16()?;
    let id = control & 0x0fff;
    if link.vlan.is_none() {
        link.vlan = Some(id);
        link.cos = Some((control >> 13) as u8);
    } else if link.cvlan.is_none() {
        link.cvlan = Some(id);
    }
    Ok(Next::Type(c.u16()?))
}

/// What an EtherType (or an IEEE 802.3 length) other than a VLAN tag's announces.
fn by_type(etype: u16, c: &mut Cursor<'_>) -> Result<Next, Error> {
    Ok(match etype {
        super::ETYPE_IPV4 | super::ETYPE_IPV6 => Next::Ip,
        0x8847 | 0x8848 => Next::Mpls,
        0x8864 => Next::Pppoe,
        0x880b => Next::Ppp,
        // Transparent Ethernet bridging.
        0x6558 => Next::Ethernet,
        // IEEE 802.1ah: four bytes of service tag, then the customer's frame.
        0x88e7 => {
            c.skip(4)?;
            Next::Ethernet
        }
        // VN-Tag and IEEE 802.1BR.
        0x8926 => {
            c.skip(4)?;
            Next::Type(c.u16()?)
        }
        0x893f => {
            c.skip(6)?;
            Next::Type(c.u16()?)
        }
        0x88e5 => macsec(c)?,
        0..=1500 => Next::Llc,
        _ => Next::Other,
    })
}

/// MACsec (IEEE 802.1AE §9): what is only authenticated lies open behind the tag.
fn macsec(c: &mut Cursor<'_>) -> Result<Next, Error> {
    const CHANNEL: u8 = 0x20;
    const ENCRYPTED_OR_CHANGED: u8 = 0x0c;
    let control = c.u8()?;
    c.skip(if control & CHANNEL != 0 { 13 } else { 5 })?;
    if control & ENCRYPTED_OR_CHANGED != 0 {
        return Ok(Next::Other);
    }
    Ok(Next::Type(c.u16()?))
}

/// IEEE 802.2 and its extension SNAP (RFC 1042).
fn llc(c: &mut Cursor<'_>) -> Result<Next, Error> {
    Ok(match c.array::<3>()? {
        [0xaa, 0xaa, 0x03] => match c.array::<3>()? {
            [0, 0, 0 | 0xf8] => match c.u16()? {
                0..=1500 => Next::Other,
                etype => Next::Type(etype),
            },
            // Bridged Ethernet (RFC 2684 §5.2), with its check sequence or without.
            [0, 0x80, 0xc2] if matches!(c.u16()?, 1 | 7) => Next::Ethernet,
            _ => Next::Other,
        },
        [0x06, 0x06, 0x03] => Next::Ip,
        _ => Next::Other,
    })
}

/// PPP: HDLC-like framing where it is there, then the protocol, maybe compressed to one byte.
fn ppp(c: &mut Cursor<'_>) -> Result<Next, Error> {
    match c.rest() {
        [0xff, 0x03, ..] => c.skip(2)?,
        // Cisco's HDLC has an EtherType in the place of PPP's protocol.
        [0x0f | 0x8f, 0x00, ..] => {
            c.skip(2)?;
            return Ok(match c.u16()? {
                0..=1500 => Next::Other,
                etype => Next::Type(etype),
            });
        }
        _ => {}
    }
    let head = c.u8()?;
    let protocol = if head & 1 == 1 {
        u16::from(head)
    } else {
        u16::from_be_bytes([head, c.u8()?])
    };
    Ok(match protocol {
        0x0021 | 0x0057 => Next::Ip,
        0x0281 | 0x0283 => Next::Mpls,
        _ => Next::Other,
    })
}

/// PPPoE's six bytes. Only session packets carry PPP.
fn pppoe(c: &mut Cursor<'_>) -> Result<Next, Error> {
    let [version, code] = c.array()?;
    c.skip(4)?;
    match (version, code) {
        (0x11, 0) => Ok(Next::Ppp),
        (0x11, _) => Ok(Next::Other),
        _ => Err(Error::Version),
    }
}

/// A label stack. What is below it nobody says: IP is known by its first nibble, and a nibble of
/// zero is the control word of an Ethernet pseudowire (RFC 4928, RFC 4385).
fn mpls(c: &mut Cursor<'_>, link: &mut LinkLayer) -> Result<Next, Error> {
    let mut labels = Labels::default();
    for _ in 0..MAX_LABELS {
        let entry = c.u32()?;
        labels.push(entry >> 12);
        if entry & 0x100 != 0 {
            link.labels.get_or_insert(labels);
            return Ok(match c.rest().first().ok_or(Error::Truncated)? >> 4 {
                4 | 6 => Next::Ip,
                0 => {
                    c.skip(4)?;
                    Next::Ethernet
                }
                _ => Next::Other,
            });
        }
    }
    Err(Error::Loop)
}
