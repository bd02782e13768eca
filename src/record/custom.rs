//! Primitives that the configuration defines: their names, where their bytes come from, and in
//! which form a record keeps them.
//!
//! A record has [`SLOTS`] words for them. What is not longer than a word lies there itself, an
//! IPv6 address takes two, anything longer is a symbol. Not for finding the bytes: decoders do
//! that; nor for showing values: encoders do.

use super::field::Field;
use crate::base::Primitives;
use crate::base::intern::Sym;
use crate::base::part::Witness;

/// Words of a record for primitives of the configuration.
pub const SLOTS: usize = 16;

/// Places in a packet that one primitive may name, at the most.
pub const POINTERS_MAX: usize = 8;

/// Longest value of constant length, in bytes.
pub const LENGTH_MAX: u16 = Sym::LEN_MAX as u16;

/// What the bytes of a primitive mean.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    /// Unsigned number.
    Number,
    /// Unsigned number, shown in hex digits.
    Hex,
    /// IP address.
    Ip,
    /// MAC address.
    Mac,
    /// Text; zeroes behind it are not part of it.
    Text,
    /// Bytes, shown as hex digits in capitals, joined by `-`.
    Raw,
}

/// How a record keeps the value and how it is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// Number in the word.
    Number,
    /// Number in the word, shown in hex digits without prefix or padding.
    Hex,
    /// IPv4 address: its number in the word.
    Ip4,
    /// Address of either family in two words.
    Ip6,
    /// MAC address: its number in the word.
    Mac,
    /// Text of up to eight bytes, the first of them in the highest byte of the word.
    ShortText,
    /// Text whose symbol is in the word.
    Text,
    /// So many bytes, up to seven, the first of them in the highest byte of the word; the lowest is
    /// one where they are there at all.
    ShortRaw(u8),
    /// Bytes whose symbol is in the word.
    Raw,
    /// A number of a length that none has: shown as nothing.
    Nothing,
}

impl Form {
    /// The form of values of `length` bytes, of variable length without.
    ///
    /// # Errors
    /// What lengths such a value may have, as a sentence that follows "`length`".
    pub fn new(shape: Shape, length: Option<u16>) -> Result<Self, &'static str> {
        Ok(match (shape, length) {
            (_, Some(0)) => return Err("is a byte at least"),
            (_, Some(n)) if n > LENGTH_MAX => return Err("is 1024 bytes at most"),
            (Shape::Number, Some(1 | 2 | 4 | 8)) => Self::Number,
            (Shape::Hex, Some(1 | 2 | 4 | 8)) => Self::Hex,
            (Shape::Number | Shape::Hex, Some(_)) => Self::Nothing,
            (Shape::Ip, Some(4)) => Self::Ip4,
            (Shape::Ip, Some(16)) => Self::Ip6,
            (Shape::Ip, _) => return Err("of an address is 4 or 16"),
            (Shape::Mac, Some(6)) => Self::Mac,
            (Shape::Mac, _) => return Err("of a MAC address is 6"),
            (Shape::Text, Some(..=8)) => Self::ShortText,
            (Shape::Text, _) => Self::Text,
            (Shape::Raw, Some(n @ ..=7)) => Self::ShortRaw(n as u8),
            (Shape::Raw, _) => Self::Raw,
            (_, None) => return Err("is \"variable\" for texts and raw bytes only"),
        })
    }

    /// What [`new`](Self::new) makes it from.
    pub fn made_from(self) -> (Shape, Option<u16>) {
        match self {
            Self::Number => (Shape::Number, Some(8)),
            Self::Hex => (Shape::Hex, Some(8)),
            Self::Ip4 => (Shape::Ip, Some(4)),
            Self::Ip6 => (Shape::Ip, Some(16)),
            Self::Mac => (Shape::Mac, Some(6)),
            Self::ShortText => (Shape::Text, Some(8)),
            Self::Text => (Shape::Text, None),
            Self::ShortRaw(len) => (Shape::Raw, Some(len.into())),
            Self::Raw => (Shape::Raw, None),
            Self::Nothing => (Shape::Number, Some(3)),
        }
    }

    /// Bytes it takes in a record and in a key.
    pub const fn size(self) -> usize {
        if matches!(self, Self::Ip6) { 16 } else { 8 }
    }

    /// Whether the word holds a symbol.
    pub const fn is_symbol(self) -> bool {
        matches!(self, Self::Text | Self::Raw)
    }

    /// Whether the word is the number that the bytes are, of whatever length they come.
    pub const fn is_number(self) -> bool {
        matches!(self, Self::Number | Self::Hex | Self::Ip4 | Self::Mac)
    }

    /// The word for a value's bytes; of what needs a symbol, `intern` gives one. An IPv6 address
    /// is no word and gives none.
    #[inline]
    pub fn word(self, value: &[u8], intern: impl FnOnce(&[u8]) -> Sym) -> u64 {
        match self {
            Self::Number | Self::Hex | Self::Ip4 | Self::Mac => number(value),
            Self::ShortText => left(until_zero(value)),
            Self::ShortRaw(len) => left(value.get(..usize::from(len)).unwrap_or(value)) | 1,
            Self::Text => u64::from(intern(until_zero(value)).0),
            Self::Raw => u64::from(intern(value).0),
            Self::Ip6 | Self::Nothing => 0,
        }
    }
}

/// A big-endian number; one of more than 64 bits is the largest.
fn number(value: &[u8]) -> u64 {
    let (head, tail) = value.split_at(value.len().saturating_sub(8));
    if head.iter().any(|byte| *byte != 0) {
        return u64::MAX;
    }
    tail.iter().fold(0, |sum, byte| sum << 8 | u64::from(*byte))
}

/// The word of up to eight bytes, the first of them highest.
pub fn left(value: &[u8]) -> u64 {
    let mut word = [0; 8];
    for (slot, byte) in word.iter_mut().zip(value) {
        *slot = *byte;
    }
    u64::from_be_bytes(word)
}

/// A text without the zeroes that fill it up to its length.
fn until_zero(value: &[u8]) -> &[u8] {
    let end = value.iter().position(|byte| *byte == 0);
    value.get(..end.unwrap_or(value.len())).unwrap_or(value)
}

/// An information element of IPFIX or field type of NetFlow v9.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Element {
    /// Enterprise number; zero for those of IANA.
    pub pen: u32,
    /// Its number.
    pub id: u16,
}

/// Where in a packet counting begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Layer {
    /// Its first byte.
    Packet,
    /// The first Ethernet header.
    Mac,
    /// The first VLAN tag, from its TCI on.
    Vlan,
    /// The first MPLS label.
    Mpls,
    /// The IP header.
    L3,
    /// The transport header.
    L4,
    /// What the transport header carries.
    Payload,
}

/// A place in packets: `l3:0x86dd+7`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pointer {
    /// Where counting begins.
    pub layer: Layer,
    /// The EtherType or IP protocol that the layer must have.
    pub proto: Option<u16>,
    /// Bytes from there.
    pub offset: u16,
}

/// One primitive of the configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Custom {
    /// Its name, in lower case: in `by`, as JSON key, CSV header and SQL column.
    pub name: String,
    /// What its bytes mean.
    pub shape: Shape,
    /// How its value is kept and shown.
    pub form: Form,
    /// Bytes of the value; none where they vary.
    pub length: Option<u16>,
    /// The element of NetFlow v9 and IPFIX that has it.
    pub element: Option<Element>,
    /// Whether what options say of it holds for all records of the exporter's domain.
    pub options: bool,
    /// Where packets have it; the first place that a packet has counts.
    pub pointers: Vec<Pointer>,
    /// Its slot, the first of two for an IPv6 address.
    pub field: Field,
}

impl Custom {
    /// One that no input gives: of rows that come from elsewhere.
    pub fn plain(
        name: &str,
        (shape, length): (Shape, Option<u16>),
        form: Form,
        field: Field,
    ) -> Self {
        Self {
            name: name.into(),
            shape,
            form,
            length,
            element: None,
            options: false,
            pointers: Vec::new(),
            field,
        }
    }

    /// The fields that hold its value.
    pub fn fields(&self) -> impl Iterator<Item = Field> {
        let slots = self.form.size() / 8;
        let first = self.field.slot().unwrap_or(SLOTS);
        (first..first + slots).filter_map(Field::custom)
    }

    /// As much of `value` as belongs to it.
    #[inline]
    pub fn cut<'a>(&self, value: &'a [u8]) -> &'a [u8] {
        let length = self.length.map_or(value.len(), usize::from);
        value.get(..length).unwrap_or(value)
    }
}

/// The primitives of a configuration that somebody uses.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Customs(Option<(Primitives, Vec<Custom>)>);

impl Customs {
    /// Of these; each has its slots to itself.
    pub fn new(list: Vec<Custom>) -> Self {
        Self(Primitives::get().map(|here| (here, list)))
    }

    #[inline]
    fn list(&self) -> &[Custom] {
        match &self.0 {
            Some((here, list)) => {
                here.there();
                list
            }
            None => &[],
        }
    }

    /// All of them, in the order of their slots.
    pub fn iter(&self) -> impl Iterator<Item = &Custom> {
        self.list().iter()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.list().is_empty()
    }

    /// The one that begins in a field's slot.
    pub fn of(&self, field: Field) -> Option<&Custom> {
        self.iter().find(|custom| custom.field == field)
    }

    /// By its name, in lower case.
    pub fn named(&self, name: &str) -> Option<&Custom> {
        self.iter().find(|custom| custom.name == name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn lengths_choose_the_form() {
        use Shape::*;
        for (shape, length, want) in [
            (Number, Some(4), Ok(Form::Number)),
            (Number, Some(3), Ok(Form::Nothing)),
            (Hex, Some(8), Ok(Form::Hex)),
            (Hex, Some(16), Ok(Form::Nothing)),
            (Ip, Some(4), Ok(Form::Ip4)),
            (Ip, Some(16), Ok(Form::Ip6)),
            (Mac, Some(6), Ok(Form::Mac)),
            (Text, Some(8), Ok(Form::ShortText)),
            (Text, Some(9), Ok(Form::Text)),
            (Text, None, Ok(Form::Text)),
            (Raw, Some(7), Ok(Form::ShortRaw(7))),
            (Raw, Some(8), Ok(Form::Raw)),
            (Raw, None, Ok(Form::Raw)),
        ] {
            assert_eq!(Form::new(shape, length), want, "{shape:?} {length:?}");
            let (shape, length) = want.map(Form::made_from).unwrap();
            assert_eq!(Form::new(shape, length), want);
        }
        for (shape, length) in [
            (Number, None),
            (Ip, Some(6)),
            (Ip, None),
            (Mac, Some(8)),
            (Text, Some(0)),
            (Raw, Some(1025)),
        ] {
            assert!(Form::new(shape, length).is_err(), "{shape:?} {length:?}");
        }
    }

    #[test]
    fn words_hold_numbers_to_the_right_and_bytes_to_the_left() {
        let none = |_: &[u8]| -> Sym { panic!("no symbol is needed") };
        assert_eq!(Form::Number.word(&[1, 2], none), 0x102);
        assert_eq!(Form::Number.word(&[0, 0, 0, 0, 0, 0, 0, 0, 7], none), 7);
        assert_eq!(
            Form::Number.word(&[1, 0, 0, 0, 0, 0, 0, 0, 7], none),
            u64::MAX
        );
        assert_eq!(Form::ShortText.word(b"ab\0c", none), 0x6162 << 48);
        assert_eq!(Form::ShortRaw(2).word(&[1, 2, 3], none), 0x102 << 48 | 1);
        let text = |bytes: &[u8]| Sym(bytes.len() as u32);
        assert_eq!(Form::Text.word(b"uplink\0\0\0\0", text), 6);
        assert_eq!(Form::Raw.word(b"uplink\0\0\0\0", text), 10);
    }

    #[test]
    fn an_ipv6_address_has_two_fields() {
        let custom = |form, field| Custom {
            name: "x".into(),
            shape: Shape::Ip,
            form,
            length: Some(16),
            element: None,
            options: false,
            pointers: Vec::new(),
            field,
        };
        let fields = |form| custom(form, Field::Custom3).fields().collect::<Vec<_>>();
        assert_eq!(fields(Form::Ip6), [Field::Custom3, Field::Custom4]);
        assert_eq!(fields(Form::Ip4), [Field::Custom3]);
        assert_eq!(custom(Form::Ip6, Field::SrcHost).fields().count(), 0);
        assert_eq!(custom(Form::Ip6, Field::Custom3).cut(&[7; 20]).len(), 16);
    }

    proptest! {
        #[test]
        fn short_raw_bytes_come_back(bytes in prop::collection::vec(any::<u8>(), 1..=7)) {
            let form = Form::new(Shape::Raw, Some(bytes.len() as u16)).unwrap();
            let word = form.word(&bytes, |_| Sym::EMPTY).to_be_bytes();
            prop_assert_eq!(&word[..bytes.len()], &bytes[..]);
        }
    }
}
