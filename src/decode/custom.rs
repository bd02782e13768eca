//! Primitives of the configuration out of exported records, options and packets.
//!
//! Numbers and addresses are copies like those of any field and belong to the
//! [`plan`](super::plan). Here is what is more: texts, which need symbols, what options say once
//! for all records, and bytes at places in packets. Not for what a value's bytes mean: see
//! [`Form`].

use super::compile::{Item, own};
use super::options::{About, Domain, Options};
use super::row::{Loc, Row};
use super::{Emit, Setup, Symbols};
use crate::base::Primitives;
use crate::base::addr::Ip;
use crate::base::part::Witness;
use crate::base::time::Nanos;
use crate::record::custom::{Layer, Pointer, SLOTS};
use crate::record::{Custom, Customs, Field, FlowRecord, Form};
use crate::wire::packet::{self, Packet, Places, Start};
use std::sync::Arc;

/// Words of the primitives, by slot, and which of them are known.
#[derive(Clone, Copy, Debug, Default)]
pub struct Words {
    words: [u64; SLOTS],
    known: u32,
}

impl Words {
    /// Writes them into a record.
    pub fn put(&self, record: &mut FlowRecord) {
        for (n, word) in self.words.iter().enumerate() {
            if self.known >> n & 1 == 1
                && let Some(field) = Field::custom(n)
            {
                record.set_word(field, *word);
            }
        }
    }
}

/// A primitive's value in an exported record.
#[derive(Clone, Copy, Debug)]
pub struct Piece {
    here: Primitives,
    loc: Loc,
    field: Field,
    form: Form,
    /// Most bytes of it.
    length: u16,
}

impl Piece {
    fn new(items: &[Item], custom: &Custom) -> Option<Self> {
        Some(Self {
            here: Primitives::get()?,
            loc: own(items, custom.element?)?,
            field: custom.field,
            form: custom.form,
            length: custom.length.unwrap_or(u16::MAX),
        })
    }

    /// Its bytes; none where the record has none.
    fn value<'a, R: Row<'a>>(&self, row: R) -> Option<&'a [u8]> {
        self.here.there();
        let value = row.value(self.loc);
        let value = match self.form.is_number() {
            true => value,
            false => value.get(..usize::from(self.length)).unwrap_or(value),
        };
        (!value.is_empty()).then_some(value)
    }
}

/// The pieces of a template that hold one of those primitives that `take` chooses.
fn pieces(items: &[Item], setup: &Setup, take: impl Fn(&Custom) -> bool) -> Box<[Piece]> {
    let customs = setup.customs.iter().filter(|custom| take(custom));
    customs.filter_map(|c| Piece::new(items, c)).collect()
}

/// What a record gets when all else of it is there.
#[derive(Clone, Debug)]
pub struct Tail {
    pieces: Box<[Piece]>,
    /// Places in the packet that the record holds a part of.
    pointers: Option<Pointers>,
}

impl Tail {
    /// `None` when a template has nothing of the kind.
    pub(super) fn new(items: &[Item], setup: &Setup) -> Option<Self> {
        let more = |form: Form| !form.is_number() && form != Form::Ip6 && form != Form::Nothing;
        let pieces = pieces(items, setup, |custom| more(custom.form));
        let section = |i: &Item| i.pen == 0 && super::compile::SECTIONS.contains(&i.id);
        let pointers = Pointers::new(setup).filter(|_| items.iter().any(section));
        (!pieces.is_empty() || pointers.is_some()).then_some(Self { pieces, pointers })
    }

    /// What an options template tells for all records of its domain.
    pub(super) fn told(items: &[Item], setup: &Setup) -> Box<[Piece]> {
        pieces(items, setup, |c| c.options && c.form != Form::Nothing)
    }

    /// Completes a record: elements first, then what they left open out of `packet`, of which the
    /// exported record holds the bytes.
    #[inline(never)]
    pub fn run<'a, R: Row<'a>>(
        &self,
        row: R,
        packet: Option<(Start, &[u8], &Packet)>,
        record: &mut FlowRecord,
        symbols: &mut Symbols<'_>,
    ) {
        for piece in &self.pieces {
            if let Some(value) = piece.value(row) {
                let word = piece.form.word(value, |bytes| symbols.intern(bytes));
                record.set_word(piece.field, word);
            }
        }
        if let (Some(pointers), Some((start, bytes, packet))) = (&self.pointers, packet) {
            pointers.put(start, bytes, packet, record, symbols);
        }
    }

    /// Bytes of memory it takes, nearly.
    pub fn size(&self) -> usize {
        let pieces = self.pieces.len().saturating_mul(size_of::<Piece>());
        pieces.saturating_add(size_of::<Self>())
    }
}

/// Remembers what one options record says of all records of its domain; false when something had
/// to go or there was no room.
pub fn learn<'a, R: Row<'a>>(
    pieces: &[Piece],
    row: R,
    (domain, now): (Domain, Nanos),
    options: &mut Options,
    symbols: &mut Symbols<'_>,
) -> bool {
    let mut room = true;
    for piece in pieces {
        let (Some(value), Some(slot)) = (piece.value(row), piece.field.slot()) else {
            continue;
        };
        let mut keep = |slot: usize, word: u64| {
            room &= options.set_custom(domain, About::Custom(slot as u64), word, now);
        };
        if piece.form != Form::Ip6 {
            keep(slot, piece.form.word(value, |bytes| symbols.intern(bytes)));
        } else if let Some(ip) = address(value) {
            let [high, low] = words(ip);
            keep(slot, high);
            keep(slot.saturating_add(1), low);
        }
    }
    room
}

/// What options said of the records of a domain.
pub fn recall(customs: &Customs, domain: Domain, now: Nanos, options: &mut Options) -> Words {
    let mut words = Words::default();
    for slot in customs
        .iter()
        .flat_map(Custom::fields)
        .filter_map(Field::slot)
    {
        if let Some(word) = options.custom(domain, About::Custom(slot as u64), now)
            && let Some(place) = words.words.get_mut(slot)
        {
            *place = word;
            words.known |= 1 << (slot & 31);
        }
    }
    words
}

/// An address of either family.
fn address(value: &[u8]) -> Option<Ip> {
    match value {
        [a, b, c, d] => Some(Ip::v4([*a, *b, *c, *d])),
        _ => <[u8; 16]>::try_from(value).ok().map(Ip),
    }
}

/// An address as the two words of a record.
fn words(ip: Ip) -> [u64; 2] {
    let number = u128::from_be_bytes(ip.0);
    [(number >> 64) as u64, number as u64].map(|n| u64::from_ne_bytes(n.to_be_bytes()))
}

/// Primitives that are found in packets.
#[derive(Clone, Debug)]
pub struct Pointers {
    here: Primitives,
    customs: Arc<Customs>,
    /// Whether some layer below IP is asked for, so that the link headers are walked again.
    link: bool,
}

impl Pointers {
    /// `None` when nobody wants one.
    pub fn new(setup: &Setup) -> Option<Self> {
        let mut all = setup.customs.iter().flat_map(|c| &c.pointers).peekable();
        all.peek()?;
        let above = [Layer::Packet, Layer::L4, Layer::Payload];
        let link = all.any(|pointer| !above.contains(&pointer.layer));
        let customs = setup.customs.clone();
        let here = Primitives::get()?;
        Some(Self {
            here,
            customs,
            link,
        })
    }

    /// [`put`](Self::put) for the last record.
    pub fn put_last(&self, start: Start, bytes: &[u8], packet: &Packet, out: &mut Emit<'_>) {
        if let Some((record, mut symbols)) = out.last_with_symbols() {
            self.put(start, bytes, packet, record, &mut symbols);
        }
    }

    /// Writes into the record what `packet`, which began with `bytes`, has and the record has not.
    #[inline(never)]
    pub fn put(
        &self,
        start: Start,
        bytes: &[u8],
        packet: &Packet,
        record: &mut FlowRecord,
        symbols: &mut Symbols<'_>,
    ) {
        self.here.there();
        let places = match self.link {
            true => packet::places(start, bytes),
            false => Places::default(),
        };
        let view = View {
            bytes,
            packet,
            places,
        };
        for custom in self.customs.iter() {
            if record.present.has(custom.field) {
                continue;
            }
            let mut found = custom.pointers.iter().filter_map(|p| view.value(p, custom));
            if let Some(value) = found.next() {
                put(custom, value, record, symbols);
            }
        }
    }
}

/// Sets a primitive of a record.
fn put(custom: &Custom, value: &[u8], record: &mut FlowRecord, symbols: &mut Symbols<'_>) {
    if custom.form == Form::Ip6 {
        let halves = address(value).map(words).unwrap_or_default();
        for (field, word) in custom.fields().zip(halves) {
            record.set_word(field, word);
        }
        return;
    }
    let word = custom.form.word(value, |bytes| symbols.intern(bytes));
    record.set_word(custom.field, word);
}

/// A packet with its bytes.
struct View<'a> {
    bytes: &'a [u8],
    packet: &'a Packet,
    places: Places,
}

impl<'a> View<'a> {
    /// The bytes of a primitive at a place, if the packet has that place and all of them.
    fn value(&self, pointer: &Pointer, custom: &Custom) -> Option<&'a [u8]> {
        let (begin, end) = self.layer(pointer)?;
        let layer = self.bytes.get(..end as usize).unwrap_or(self.bytes);
        let from = (begin as usize).checked_add(usize::from(pointer.offset))?;
        let rest = layer.get(from..)?;
        match custom.length {
            Some(length) => rest.get(..usize::from(length)),
            None => (!rest.is_empty()).then_some(rest),
        }
    }

    /// Where a layer begins, and where its packet ends.
    fn layer(&self, pointer: &Pointer) -> Option<(u32, u32)> {
        let Packet { link, ip, .. } = self.packet;
        let proto = match pointer.layer {
            Layer::L4 | Layer::Payload => ip.as_ref().map(|ip| u16::from(ip.proto)),
            _ => link.etype,
        };
        if pointer.proto.is_some() && pointer.proto != proto {
            return None;
        }
        let end = ip.as_ref().map_or(u32::MAX, |ip| ip.end);
        let begin = match pointer.layer {
            Layer::Packet => return Some((0, u32::MAX)),
            Layer::Mac => self.places.mac?,
            Layer::Vlan => self.places.vlan?,
            Layer::Mpls => self.places.mpls?,
            Layer::L3 => self.places.network?,
            Layer::L4 => self.transport()?,
            Layer::Payload => self.transport()?.checked_add(self.header()?)?,
        };
        Some((begin, end))
    }

    /// Where the transport header begins: later fragments have none.
    fn transport(&self) -> Option<u32> {
        let ip = self.packet.ip.as_ref()?;
        ip.fragment
            .is_none_or(|f| f.offset == 0)
            .then_some(ip.payload)
    }

    /// Length of the transport header.
    fn header(&self) -> Option<u32> {
        let ip = self.packet.ip.as_ref()?;
        match ip.proto {
            6 => {
                let words = self.bytes.get(ip.payload.checked_add(12)? as usize)? >> 4;
                Some(u32::from(words.max(5)).saturating_mul(4))
            }
            17 | 136 => Some(8),
            132 => Some(12),
            _ => None,
        }
    }
}
