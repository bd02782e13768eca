//! The table of fields: every primitive weir knows, once.
//!
//! The configuration parser, copy plans, key plans, writers, filters, help and documentation are
//! derived from [`FIELDS`]. Adding a primitive is one row here and the line in a decoder or
//! enricher that sets it. Primitives that the configuration defines have slots here and nothing
//! else, see [`custom`](super::custom). Not for values: those live in [`FlowRecord`].

use super::custom::SLOTS;
use super::flow::FlowRecord;
use crate::base::addr::{Ip, Mac};
use crate::base::intern::Sym;
use crate::base::time::Nanos;

/// How a field's bytes are to be read and shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Unsigned number of one byte.
    U8,
    /// Unsigned number of two bytes, native order.
    U16,
    /// Unsigned number of four bytes, native order.
    U32,
    /// Unsigned number of eight bytes, native order.
    U64,
    /// Address, 16 bytes, network order, IPv4 v4-mapped.
    Ip,
    /// MAC address, six bytes.
    Mac,
    /// Symbol of interned text.
    Text,
    /// Point in time, nanoseconds since 1970, eight bytes.
    Time,
    /// IP protocol number, shown by name.
    Proto,
    /// EtherType, two bytes, shown as hex digits.
    EtherType,
    /// Route distinguisher as on the wire, eight bytes (RFC 4364 §4.2), native order number.
    Rd,
    /// One ASCII letter.
    Letter,
    /// Number of one byte that is shown as text in JSON (forwarding status, inner TCP flags).
    NumberText,
    /// A primitive that the configuration defines. Columns alone have this kind, beside a
    /// [`Form`](super::Form): in the table such a slot is a number of eight bytes.
    Custom,
}

impl Kind {
    /// Bytes the value takes in a record and in a key.
    pub const fn size(self) -> usize {
        match self {
            Self::U8 | Self::Proto | Self::Letter => 1,
            Self::U16 | Self::EtherType => 2,
            Self::U32 | Self::Text | Self::NumberText => 4,
            Self::U64 | Self::Time | Self::Rd | Self::Custom => 8,
            Self::Mac => 6,
            Self::Ip => 16,
        }
    }
}

/// What happens to a field when records of one key meet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Merge {
    /// It is part of the key, so it is equal.
    Key,
    /// Bits are OR-ed.
    Or,
    /// The smallest non-zero value stays.
    Min,
    /// The largest value stays.
    Max,
    /// The last value stays.
    Last,
    /// Values are added.
    Add,
}

/// Which part of weir can supply a field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Giver {
    /// A decoder, from the bytes of the wire.
    Wire,
    /// The aggregation itself (bins, counters).
    Engine,
    /// The routing plane: BGP, BMP or MRT routes.
    Route,
    /// RPKI validation.
    Rpki,
    /// A GeoIP database.
    Geo,
    /// Deep packet inspection.
    Dpi,
    /// A `[primitive.NAME]` of the configuration says what it is and where it comes from.
    Custom,
}

impl Giver {
    /// Why this build can not supply such a field, if it can not.
    pub fn missing(self) -> Option<&'static str> {
        match self {
            Self::Wire | Self::Engine | Self::Custom => None,
            Self::Route => Some("needs routes from BGP, BMP or MRT; weir has no routing plane yet"),
            Self::Rpki => Some("needs RPKI validation; weir has no RPKI client yet"),
            Self::Geo => Some("needs a GeoIP database; weir has no GeoIP enricher yet"),
            Self::Dpi => Some("needs nDPI; weir has no packet inspection yet"),
        }
    }
}

/// One row of [`TABLE`].
#[derive(Clone, Copy, Debug)]
pub struct Info {
    /// The field.
    pub field: Field,
    /// Name in the configuration: the primitive's token.
    pub name: &'static str,
    /// Key in JSON and Avro.
    pub json: &'static str,
    /// Header in CSV and formatted output.
    pub csv: &'static str,
    /// Column in SQL tables; empty where the field has none.
    pub sql: &'static str,
    /// How the value is held.
    pub kind: Kind,
    /// Where the value lies in the record, in bytes.
    pub offset: usize,
    /// Key, or how values meet.
    pub merge: Merge,
    /// Who supplies it.
    pub giver: Giver,
    /// IPFIX information elements that feed it, in order of preference.
    pub elements: &'static [u16],
    /// One sentence for the manual.
    pub doc: &'static str,
}

macro_rules! rust_type {
    (U8) => {
        u8
    };
    (Proto) => {
        u8
    };
    (Letter) => {
        u8
    };
    (U16) => {
        u16
    };
    (EtherType) => {
        u16
    };
    (U32) => {
        u32
    };
    (NumberText) => {
        u32
    };
    (U64) => {
        u64
    };
    (Rd) => {
        u64
    };
    (Time) => {
        Nanos
    };
    (Ip) => {
        Ip
    };
    (Mac) => {
        Mac
    };
    (Text) => {
        Sym
    };
}

macro_rules! fields {
    ($($id:ident / $set:ident / $get:ident : $kind:ident @ $off:literal,
       $name:literal, $json:literal, $csv:literal, $sql:literal,
       $merge:ident, $giver:ident, [$($ie:literal),*], $doc:literal;)*) => {
        /// Every primitive, in the order of the table.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[repr(u8)]
        pub enum Field { $(#[doc = $doc] $id),* }

        /// All fields, indexed by `Field as usize`: the [`FIELDS`], then [`HIDDEN`] ones.
        pub static TABLE: &[Info] = &[$(Info {
            field: Field::$id, name: $name, json: $json, csv: $csv, sql: $sql, kind: Kind::$kind,
            offset: $off, merge: Merge::$merge, giver: Giver::$giver, elements: &[$($ie),*],
            doc: $doc,
        }),*];

        /// Setters and getters, one pair per field; a setter marks the field as present.
        impl FlowRecord { $(
            #[doc = concat!("Sets: ", $doc)]
            #[inline]
            pub fn $set(&mut self, value: rust_type!($kind)) {
                const { assert!($off + Kind::$kind.size() <= FlowRecord::DATA) };
                self.put::<$off, { Kind::$kind.size() }>(Slot::bytes(value));
                self.present.insert(Field::$id);
            }
            #[doc = concat!("Reads: ", $doc)]
            #[inline]
            pub fn $get(&self) -> rust_type!($kind) {
                Slot::value(self.get::<$off, { Kind::$kind.size() }>())
            }
        )* }
    };
}

/// A value's form inside the record.
pub trait Slot<const N: usize>: Sized {
    /// The bytes stored.
    fn bytes(self) -> [u8; N];
    /// The value back.
    fn value(bytes: [u8; N]) -> Self;
}

macro_rules! number_slots {
    ($($t:ty, $n:literal;)*) => { $(
        impl Slot<$n> for $t {
            #[inline]
            fn bytes(self) -> [u8; $n] { self.to_ne_bytes() }
            #[inline]
            fn value(bytes: [u8; $n]) -> Self { Self::from_ne_bytes(bytes) }
        }
    )* };
}
number_slots! { u8, 1; u16, 2; u32, 4; u64, 8; }

macro_rules! wrapper_slots {
    ($($t:ident, $n:literal, $to:expr, $from:expr;)*) => { $(
        impl Slot<$n> for $t {
            #[inline]
            fn bytes(self) -> [u8; $n] { $to(self) }
            #[inline]
            fn value(bytes: [u8; $n]) -> Self { $from(bytes) }
        }
    )* };
}
wrapper_slots! {
    Ip, 16, |v: Ip| v.0, Ip;
    Mac, 6, |v: Mac| v.0, Mac;
    Sym, 4, |v: Sym| v.0.to_ne_bytes(), |b| Sym(u32::from_ne_bytes(b));
    Nanos, 8, |v: Nanos| v.0.to_ne_bytes(), |b| Nanos(u64::from_ne_bytes(b));
}

include!("table.rs");

/// Rows at the end of the [`TABLE`] that nobody can ask for by name: the layout and the kind of a
/// record, and the slots of the configuration's own primitives.
pub const HIDDEN: usize = 2 + SLOTS;

/// The table of the primitives that have names, indexed by `Field as usize`.
pub static FIELDS: &[Info] = TABLE.split_at(TABLE.len() - HIDDEN).0;

impl Field {
    /// How many there are.
    pub const COUNT: usize = TABLE.len();

    /// The row of the table.
    #[inline]
    pub fn info(self) -> &'static Info {
        &TABLE[self as usize]
    }

    /// The field of slot `n` for primitives of the configuration.
    pub fn custom(n: usize) -> Option<Self> {
        TABLE.get(TABLE.len() - SLOTS..)?.get(n).map(|i| i.field)
    }

    /// The slot of a primitive of the configuration.
    #[inline]
    pub fn slot(self) -> Option<usize> {
        (self as usize).checked_sub(Self::COUNT - SLOTS)
    }

    /// By the name used in configurations.
    pub fn by_name(name: &str) -> Option<Self> {
        FIELDS.iter().find(|i| i.name == name).map(|i| i.field)
    }

    /// By its JSON key, which is what `weir query` and filters on rows accept too.
    pub fn by_json(key: &str) -> Option<Self> {
        FIELDS.iter().find(|i| i.json == key).map(|i| i.field)
    }
}

/// A set of fields.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct FieldSet([u64; 2]);

impl FieldSet {
    /// No field.
    pub const EMPTY: Self = Self([0; 2]);

    /// The set of these fields.
    pub const fn of(fields: &[Field]) -> Self {
        let mut bits = [0u64; 2];
        let mut i = 0;
        while i < fields.len() {
            let n = fields[i] as usize;
            bits[n / 64] |= 1 << (n % 64);
            i += 1;
        }
        Self(bits)
    }

    /// Adds one.
    #[inline]
    pub fn insert(&mut self, field: Field) {
        let n = field as usize;
        self.0[n / 64] |= 1 << (n % 64);
    }

    /// Whether it is in.
    #[inline]
    pub const fn has(&self, field: Field) -> bool {
        let n = field as usize;
        self.0[n / 64] >> (n % 64) & 1 == 1
    }

    /// What is in either.
    #[inline]
    pub const fn union(self, other: Self) -> Self {
        Self([self.0[0] | other.0[0], self.0[1] | other.0[1]])
    }

    /// What is in both.
    #[inline]
    pub const fn intersection(self, other: Self) -> Self {
        Self([self.0[0] & other.0[0], self.0[1] & other.0[1]])
    }

    /// What is in this one alone.
    #[inline]
    pub const fn minus(self, other: Self) -> Self {
        Self([self.0[0] & !other.0[0], self.0[1] & !other.0[1]])
    }

    /// Whether any of `other` is in.
    #[inline]
    pub const fn any(&self, other: Self) -> bool {
        let both = self.intersection(other);
        both.0[0] | both.0[1] != 0
    }

    /// Whether all of `other` is in.
    #[inline]
    pub const fn all(&self, other: Self) -> bool {
        let rest = other.minus(*self);
        rest.0[0] | rest.0[1] == 0
    }

    /// Whether nothing is in.
    #[inline]
    pub const fn is_empty(&self) -> bool {
        self.0[0] | self.0[1] == 0
    }

    /// The fields, in the order of the table.
    pub fn iter(self) -> impl Iterator<Item = Field> {
        TABLE.iter().map(|i| i.field).filter(move |f| self.has(*f))
    }
}

impl FromIterator<Field> for FieldSet {
    fn from_iter<T: IntoIterator<Item = Field>>(fields: T) -> Self {
        let mut set = Self::EMPTY;
        fields.into_iter().for_each(|f| set.insert(f));
        set
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Pairs that share a slot on purpose: one value under two names.
    const ALIASES: &[(Field, Field)] = &[
        (Field::TimestampStart, Field::TimestampMin),
        (Field::TimestampEnd, Field::TimestampMax),
    ];

    #[test]
    fn slots_lie_inside_one_or_two_words_and_do_not_overlap() {
        for a in TABLE {
            let size = a.kind.size();
            assert!(a.offset + size <= FlowRecord::DATA, "{}", a.name);
            if size <= 8 {
                assert_eq!(
                    a.offset / 8,
                    (a.offset + size - 1) / 8,
                    "{} crosses a word",
                    a.name
                );
            } else {
                assert_eq!(a.offset % 8, 0, "{} is not aligned", a.name);
            }
            for b in TABLE.iter().filter(|b| b.field > a.field) {
                let apart = a.offset + size <= b.offset || b.offset + b.kind.size() <= a.offset;
                let alias = ALIASES.contains(&(a.field, b.field));
                assert!(apart || alias, "{} and {} overlap", a.name, b.name);
            }
        }
    }

    #[test]
    fn names_are_unique_and_rows_in_order() {
        const { assert!(Field::COUNT <= 128) };
        for (n, a) in TABLE.iter().enumerate() {
            assert_eq!(a.field as usize, n);
        }
        for (n, a) in FIELDS.iter().enumerate() {
            assert_eq!(Field::by_name(a.name), Some(a.field));
            for b in &FIELDS[n + 1..] {
                assert_ne!(a.csv, b.csv, "{} {}", a.name, b.name);
            }
        }
    }

    #[test]
    fn slots_of_the_configuration_are_fields_without_a_name() {
        for n in 0..SLOTS {
            let field = Field::custom(n).unwrap();
            assert_eq!((field.slot(), field.info().giver), (Some(n), Giver::Custom));
            assert_eq!(field.info().offset, Field::Custom0.info().offset + 8 * n);
            assert_eq!(Field::by_name(field.info().name), None);
        }
        assert_eq!(Field::custom(SLOTS), None);
        assert_eq!(
            (Field::RecordKind.slot(), Field::SrcHost.slot()),
            (None, None)
        );
        assert_eq!(Field::by_name("record_kind"), None);
        assert_eq!(Field::by_name("layout"), None);
    }

    #[test]
    fn sets_do_what_sets_do() {
        let a = FieldSet::of(&[Field::SrcHost, Field::Proto]);
        let b: FieldSet = [Field::Proto, Field::Vxlan].into_iter().collect();
        assert!(a.any(b) && !a.all(b));
        assert_eq!(a.intersection(b).iter().collect::<Vec<_>>(), [Field::Proto]);
        assert_eq!(
            a.union(b).minus(b).iter().collect::<Vec<_>>(),
            [Field::SrcHost]
        );
    }
}
