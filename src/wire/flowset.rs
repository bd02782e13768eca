//! NetFlow v9 (RFC 3954) and IPFIX (RFC 7011): message header, sets, template records.
//!
//! The two formats differ in the header, in the numbers of the template sets, in enterprise
//! elements and in how an options template counts its scope; the walk is the same. Views on
//! bytes. Not for keeping templates or for reading data records: `decode` does that.

use super::Error;
use crate::base::cursor::Cursor;

/// Which of the two formats a message is in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Format {
    /// NetFlow v9, RFC 3954.
    V9,
    /// IPFIX (version 10), RFC 7011.
    Ipfix,
}

impl Format {
    /// The version number in the header.
    pub fn version(self) -> u16 {
        match self {
            Self::V9 => 9,
            Self::Ipfix => 10,
        }
    }
}

/// The message header, in one form for both formats.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// v9 or IPFIX.
    pub format: Format,
    /// v9: number of records; IPFIX: bytes of the message, header included.
    pub count: u16,
    /// v9: milliseconds since the exporter started. IPFIX has none: zero.
    pub uptime: u32,
    /// Seconds since 1970 at export.
    pub seconds: u32,
    /// v9 counts datagrams, IPFIX data records sent before this message, each modulo 2^32.
    pub sequence: u32,
    /// Source id (v9) or observation domain (IPFIX).
    pub domain: u32,
}

/// Bytes of the IPFIX header.
pub const HEADER_IPFIX: usize = 16;

/// Reads the header and hands out the sets behind it.
///
/// An IPFIX length shorter than the bytes ends the message there; a longer one is left to the
/// sets, so that those which are whole are still used.
///
/// # Errors
/// `Truncated`, `Version`, and `Length` for an IPFIX length smaller than its header.
pub fn open(bytes: &[u8]) -> Result<(Header, Sets<'_>), Error> {
    let mut c = Cursor::new(bytes);
    let format = match c.u16()? {
        9 => Format::V9,
        10 => Format::Ipfix,
        _ => return Err(Error::Version),
    };
    let count = c.u16()?;
    let uptime = if format == Format::V9 { c.u32()? } else { 0 };
    let header = Header {
        format,
        count,
        uptime,
        seconds: c.u32()?,
        sequence: c.u32()?,
        domain: c.u32()?,
    };
    let mut rest = c.rest();
    if format == Format::Ipfix {
        let body = usize::from(count)
            .checked_sub(HEADER_IPFIX)
            .ok_or(Error::Length)?;
        rest = rest.get(..body).unwrap_or(rest);
    }
    Ok((
        header,
        Sets {
            rest: Cursor::new(rest),
            format,
            cut: false,
            short: false,
        },
    ))
}

/// What a set holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Template records.
    Templates,
    /// Options template records.
    Options,
    /// Records of the template with this id, 256 or more.
    Data(u16),
    /// An id that neither RFC gives a meaning.
    Reserved(u16),
}

/// One set: what it holds and its bytes without the set header.
#[derive(Clone, Copy, Debug)]
pub struct Set<'a> {
    /// What the bytes are.
    pub kind: Kind,
    /// The records, and perhaps padding.
    pub body: &'a [u8],
}

/// Iterates over the sets of a message. After an error there is nothing more: where the next
/// set begins is not known.
#[derive(Clone, Debug)]
pub struct Sets<'a> {
    rest: Cursor<'a>,
    format: Format,
    /// The message is longer than what there is of it.
    cut: bool,
    /// The last set was handed out in part; the error is still to come.
    short: bool,
}

impl<'a> Iterator for Sets<'a> {
    type Item = Result<Set<'a>, Error>;

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        if std::mem::take(&mut self.short) {
            return Some(Err(Error::Truncated));
        }
        let left = self.rest.rest();
        // Fewer bytes than a set header can only be padding; some exporters pad with more.
        if left.len() < 4 || is_padding(left) {
            return None;
        }
        let set = self.set();
        if set.is_err() {
            self.rest = Cursor::new(&[]);
        }
        Some(set)
    }
}

/// All zero. A set id of zero is IPFIX-reserved, and a set length of zero is never valid.
#[inline]
fn is_padding(bytes: &[u8]) -> bool {
    bytes.first() == Some(&0) && bytes.iter().all(|b| *b == 0)
}

impl<'a> Sets<'a> {
    /// The same for a message of which the capture has the begin only: the set that is not all
    /// there is handed out as far as it goes, and `Truncated` behind it. Of a whole message that
    /// would be wrong, since then it is the length that lies, and what follows are other sets.
    pub fn cut(self) -> Self {
        Self { cut: true, ..self }
    }

    /// Bytes that no set has been made of yet.
    #[inline]
    pub fn left(&self) -> usize {
        self.rest.left()
    }

    #[inline]
    fn set(&mut self) -> Result<Set<'a>, Error> {
        let id = self.rest.u16()?;
        let length = usize::from(self.rest.u16()?)
            .checked_sub(4)
            .ok_or(Error::Length)?;
        let body = match self.rest.take(length) {
            Err(_) if self.cut => {
                self.short = true;
                self.rest.take(self.rest.left())?
            }
            body => body?,
        };
        let kind = match (self.format, id) {
            (_, 256..) => Kind::Data(id),
            (Format::V9, 0) | (Format::Ipfix, 2) => Kind::Templates,
            (Format::V9, 1) | (Format::Ipfix, 3) => Kind::Options,
            _ => Kind::Reserved(id),
        };
        Ok(Set { kind, body })
    }
}

/// Length in a template that says: each record carries the length (RFC 7011 §7).
pub const VARIABLE: u16 = 0xffff;

/// Enterprise number of the reverse direction of a biflow (RFC 5103 §6.1).
pub const PEN_REVERSE: u32 = 29305;

/// One field specifier of a template.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Spec {
    /// Information element; without the enterprise bit in IPFIX, all 16 bits in v9.
    pub id: u16,
    /// Bytes in each record, or [`VARIABLE`].
    pub len: u16,
    /// Private enterprise number; zero for the IANA registry and for all of v9.
    pub pen: u32,
    /// A scope of an options template. For v9 the `id` is then a scope type, not an element.
    pub scope: bool,
}

/// One template record of either kind, as it lies in the set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Template<'a> {
    /// Template id; 256 or more, but for a withdrawal, where the set's own id means all.
    pub id: u16,
    /// Field specifiers, scopes included. Zero: the template is withdrawn (IPFIX).
    pub fields: u16,
    /// How many of them, the first ones, are scopes.
    pub scopes: u16,
    /// True for an options template.
    pub options: bool,
    /// Whose rules `specs` follows.
    pub format: Format,
    /// The bytes of the field specifiers.
    pub specs: &'a [u8],
}

impl<'a> Template<'a> {
    /// The field specifiers, in order.
    pub fn iter(&self) -> Specs<'a> {
        Specs {
            rest: Cursor::new(self.specs),
            left: self.fields,
            scopes: self.scopes,
            format: self.format,
        }
    }
}

/// Iterates over the field specifiers of a template.
#[derive(Clone, Debug)]
pub struct Specs<'a> {
    rest: Cursor<'a>,
    left: u16,
    scopes: u16,
    format: Format,
}

impl Iterator for Specs<'_> {
    type Item = Spec;

    fn next(&mut self) -> Option<Spec> {
        self.left = self.left.checked_sub(1)?;
        let scope = self.scopes > 0;
        self.scopes = self.scopes.saturating_sub(1);
        let mut spec = spec(&mut self.rest, self.format).ok()?;
        spec.scope = scope;
        Some(spec)
    }
}

fn spec(c: &mut Cursor<'_>, format: Format) -> Result<Spec, Error> {
    let id = c.u16()?;
    let len = c.u16()?;
    if format == Format::Ipfix && id & 0x8000 != 0 {
        return Ok(Spec {
            id: id & 0x7fff,
            len,
            pen: c.u32()?,
            scope: false,
        });
    }
    Ok(Spec {
        id,
        len,
        pen: 0,
        scope: false,
    })
}

/// Iterates over the template records of a set.
#[derive(Clone, Debug)]
pub struct Templates<'a> {
    rest: Cursor<'a>,
    format: Format,
    options: bool,
}

/// The template records of a set of [`Kind::Templates`] or, with `options`, [`Kind::Options`].
pub fn templates(body: &[u8], format: Format, options: bool) -> Templates<'_> {
    Templates {
        rest: Cursor::new(body),
        format,
        options,
    }
}

impl<'a> Iterator for Templates<'a> {
    type Item = Result<Template<'a>, Error>;

    fn next(&mut self) -> Option<Self::Item> {
        let left = self.rest.rest();
        if left.len() < 4 || is_padding(left) {
            return None;
        }
        let template = self.template();
        if template.is_err() {
            self.rest = Cursor::new(&[]);
        }
        Some(template)
    }
}

impl<'a> Templates<'a> {
    fn template(&mut self) -> Result<Template<'a>, Error> {
        let id = self.rest.u16()?;
        let mut fields = self.rest.u16()?;
        let mut scopes = 0;
        if self.options {
            match self.format {
                Format::Ipfix if fields == 0 => {}
                Format::Ipfix => scopes = self.rest.u16()?,
                Format::V9 => {
                    // Both are lengths in bytes of four-byte specifiers (RFC 3954 §6.1).
                    let (scope, option) = (fields, self.rest.u16()?);
                    if (scope | option) & 3 != 0 {
                        return Err(Error::Length);
                    }
                    scopes = scope >> 2;
                    fields = scopes.checked_add(option >> 2).ok_or(Error::Count)?;
                }
            }
        }
        if scopes > fields {
            return Err(Error::Count);
        }
        let withdrawal = self.format == Format::Ipfix && fields == 0;
        if id < 256 && !(withdrawal && id == if self.options { 3 } else { 2 }) {
            return Err(Error::Type);
        }
        let start = self.rest.rest();
        let before = self.rest.offset();
        for _ in 0..fields {
            spec(&mut self.rest, self.format)?;
        }
        let used = self.rest.offset().saturating_sub(before);
        let specs = start.get(..used).unwrap_or_default();
        Ok(Template {
            id,
            fields,
            scopes,
            options: self.options,
            format: self.format,
            specs,
        })
    }
}

/// The next value of a data record: `len` bytes, or as many as the record says (RFC 7011 §7).
///
/// # Errors
/// `Truncated` when the record does not hold them.
#[inline]
pub fn value<'a>(c: &mut Cursor<'a>, len: u16) -> Result<&'a [u8], Error> {
    if len != VARIABLE {
        return Ok(c.take(usize::from(len))?);
    }
    let short = c.u8()?;
    let n = if short == 255 {
        c.u16()?
    } else {
        u16::from(short)
    };
    Ok(c.take(usize::from(n))?)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing)]
mod tests {
    use super::*;

    #[rustfmt::skip]
    const V9: [u8; 48] = [
        0, 9, 0, 2, 0, 0, 0, 5, 0, 0, 0, 6, 0, 0, 0, 7, 0, 0, 0, 8,
        0, 0, 0, 16, 1, 4, 0, 2, 0, 8, 0, 4, 0x9c, 0x41, 0, 1, // template 260: 8/4, 40001/1
        1, 4, 0, 12, 10, 0, 0, 1, 2, 0, 0, 0, // one record and three bytes of padding
    ];

    #[test]
    fn a_v9_message_comes_apart() {
        let (h, mut sets) = open(&V9).unwrap();
        assert_eq!(
            (h.format, h.count, h.uptime, h.seconds),
            (Format::V9, 2, 5, 6)
        );
        assert_eq!((h.sequence, h.domain), (7, 8));
        let set = sets.next().unwrap().unwrap();
        assert_eq!(set.kind, Kind::Templates);
        let t = templates(set.body, h.format, false)
            .next()
            .unwrap()
            .unwrap();
        assert_eq!((t.id, t.fields, t.scopes), (260, 2, 0));
        let specs: Vec<Spec> = t.iter().collect();
        assert_eq!(
            specs[0],
            Spec {
                id: 8,
                len: 4,
                pen: 0,
                scope: false
            }
        );
        // v9 has no enterprise bit: all sixteen bits are the type.
        assert_eq!(
            specs[1],
            Spec {
                id: 40001,
                len: 1,
                pen: 0,
                scope: false
            }
        );
        let set = sets.next().unwrap().unwrap();
        assert_eq!((set.kind, set.body.len()), (Kind::Data(260), 8));
        assert!(sets.next().is_none());
    }

    #[test]
    fn ipfix_has_enterprises_and_scopes() {
        #[rustfmt::skip]
        let m = [
            0, 10, 0, 42, 0, 0, 0, 6, 0, 0, 0, 7, 0, 0, 0, 8,
            0, 3, 0, 26, 1, 0, 0, 3, 0, 1, 0, 149, 0, 4, 0x80, 1, 0xff, 0xff, 0, 0, 0xab, 0x62,
            0, 82, 0, 16,
        ];
        let (h, mut sets) = open(&m).unwrap();
        assert_eq!(
            (h.format, h.uptime, h.seconds, h.domain),
            (Format::Ipfix, 0, 6, 8)
        );
        let set = sets.next().unwrap().unwrap();
        assert_eq!(set.kind, Kind::Options);
        let t = templates(set.body, h.format, true).next().unwrap().unwrap();
        let specs: Vec<Spec> = t.iter().collect();
        assert_eq!(
            specs[0],
            Spec {
                id: 149,
                len: 4,
                pen: 0,
                scope: true
            }
        );
        assert_eq!(
            specs[1],
            Spec {
                id: 1,
                len: VARIABLE,
                pen: 43874,
                scope: false
            }
        );
        assert_eq!(
            specs[2],
            Spec {
                id: 82,
                len: 16,
                pen: 0,
                scope: false
            }
        );
    }

    #[test]
    fn v9_options_count_bytes() {
        let body = [1, 1, 0, 4, 0, 8, 0, 1, 0, 4, 0, 34, 0, 4, 0, 35, 0, 1, 0, 0];
        let t = templates(&body, Format::V9, true).next().unwrap().unwrap();
        assert_eq!((t.id, t.fields, t.scopes), (257, 3, 1));
        let odd = [1, 1, 0, 3, 0, 8, 0, 1, 0, 4, 0, 34, 0, 4, 0, 35, 0, 1];
        assert_eq!(
            templates(&odd, Format::V9, true).next(),
            Some(Err(Error::Length))
        );
    }

    #[test]
    fn withdrawals_are_templates_without_fields() {
        let one = [1, 4, 0, 0, 0, 2, 0, 0];
        let all: Vec<_> = templates(&one, Format::Ipfix, false)
            .map(|t| t.unwrap())
            .collect();
        assert_eq!((all[0].id, all[0].fields), (260, 0));
        assert_eq!((all[1].id, all[1].fields), (2, 0));
        let body = [0, 3, 0, 0];
        let t = templates(&body, Format::Ipfix, true)
            .next()
            .unwrap()
            .unwrap();
        assert_eq!((t.id, t.fields, t.options), (3, 0, true));
        assert_eq!(
            templates(&[0, 9, 0, 0], Format::Ipfix, false).next(),
            Some(Err(Error::Type))
        );
    }

    #[test]
    fn lengths_that_lie_end_the_walk() {
        let mut m = V9;
        m[23] = 3; // a set shorter than its own header
        let (_, mut sets) = open(&m).unwrap();
        assert_eq!(sets.next().unwrap().unwrap_err(), Error::Length);
        assert!(sets.next().is_none());
        m[23] = 200; // a set longer than the datagram
        let (_, mut sets) = open(&m).unwrap();
        assert_eq!(sets.next().unwrap().unwrap_err(), Error::Truncated);
        // Of a message that was cut, what is there of it comes before the error.
        let (_, sets) = open(&m).unwrap();
        let mut sets = sets.cut();
        let set = sets.next().unwrap().unwrap();
        assert_eq!((set.kind, set.body.len()), (Kind::Templates, 24));
        assert_eq!(sets.next().unwrap().unwrap_err(), Error::Truncated);
        assert!(sets.next().is_none());
        let liar = [1, 4, 0xff, 0xff, 0, 8, 0, 4];
        let mut walk = templates(&liar, Format::V9, false);
        assert_eq!(walk.next(), Some(Err(Error::Truncated)));
        assert_eq!(walk.next(), None);
        assert_eq!(
            templates(&[0, 7, 0, 1, 0, 8, 0, 4], Format::V9, false).next(),
            Some(Err(Error::Type))
        );
    }

    #[test]
    fn variable_lengths_are_one_or_three_bytes() {
        let mut c = Cursor::new(&[2, b'a', b'b', 255, 0, 1, b'c', 9]);
        assert_eq!(value(&mut c, VARIABLE), Ok(&b"ab"[..]));
        assert_eq!(value(&mut c, VARIABLE), Ok(&b"c"[..]));
        assert_eq!(value(&mut c, VARIABLE), Err(Error::Truncated));
    }
}
