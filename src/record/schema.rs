//! [`Schema`]: what the rows of an aggregation contain, and typed values back from a row.

use super::counter::{self, CounterPlan};
use super::field::{Field, Kind};
use super::key::KeyPlan;
use crate::base::addr::{Ip, Mac};
use crate::base::intern::{Interner, Sym};
use crate::base::time::Nanos;
use std::sync::Arc;

/// What a column holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum What {
    /// A primitive.
    Field(Field),
    /// Packets.
    Packets,
    /// Flows.
    Flows,
    /// Bytes, layer 3.
    Bytes,
}

/// A column of a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Column {
    /// What it holds.
    pub what: What,
    /// How it is to be read and shown.
    pub kind: Kind,
    slot: Slot,
}

/// Where a value lies in a row: the word it begins in, and how a number is cut out of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Slot {
    word: usize,
    left: u32,
    right: u32,
}

impl Slot {
    /// `size` bytes at byte `at` of the key. A field lies in one word, an address in two.
    fn key(at: usize, size: usize) -> Self {
        let size = size.min(8);
        let (before, behind) = (at % 8 * 8, (8 - size).saturating_sub(at % 8) * 8);
        let left = if cfg!(target_endian = "big") {
            before
        } else {
            behind
        };
        Self {
            word: at / 8,
            left: left as u32,
            right: (before + behind) as u32,
        }
    }

    /// A whole word.
    fn word(word: usize) -> Self {
        Self {
            word,
            left: 0,
            right: 0,
        }
    }
}

impl Column {
    /// The value in `row` as a number: that of a symbol or a time as well.
    #[inline]
    pub fn number(&self, row: &[u64]) -> u64 {
        let word = row.get(self.slot.word).copied().unwrap_or(0);
        (word << self.slot.left) >> self.slot.right
    }

    /// The value in `row` of a column of kind [`Kind::Ip`].
    #[inline]
    pub fn ip(&self, row: &[u64]) -> Ip {
        let mut bytes = [0; 16];
        if let Some([high, low]) = row.get(self.slot.word..self.slot.word + 2) {
            bytes[..8].copy_from_slice(&high.to_ne_bytes());
            bytes[8..].copy_from_slice(&low.to_ne_bytes());
        }
        Ip(bytes)
    }

    /// The value in `row` of a column of kind [`Kind::Mac`].
    #[inline]
    pub fn mac(&self, row: &[u64]) -> Mac {
        let number = self.number(row);
        let bytes = if cfg!(target_endian = "big") {
            number << 16
        } else {
            number
        };
        let [a, b, c, d, e, f, ..] = bytes.to_ne_bytes();
        Mac([a, b, c, d, e, f])
    }
}

/// The way back: into a row whose words are still zero there.
impl Column {
    /// Puts a number into `row`: that of a symbol or a time as well. What is beyond the size of
    /// the column's kind is cut off.
    #[inline]
    pub fn put(&self, row: &mut [u64], number: u64) {
        if let Some(word) = row.get_mut(self.slot.word) {
            *word |= (number << self.slot.right) >> self.slot.left;
        }
    }

    /// Puts an address into a column of kind [`Kind::Ip`].
    #[inline]
    pub fn put_ip(&self, row: &mut [u64], ip: Ip) {
        let (high, low) = ip.0.split_at(8);
        let words = row.get_mut(self.slot.word..self.slot.word + 2);
        for (word, half) in words.into_iter().flatten().zip([high, low]) {
            let mut bytes = [0; 8];
            bytes.copy_from_slice(half);
            *word = u64::from_ne_bytes(bytes);
        }
    }

    /// Puts an address into a column of kind [`Kind::Mac`].
    #[inline]
    pub fn put_mac(&self, row: &mut [u64], mac: Mac) {
        let [a, b, c, d, e, f] = mac.0;
        let number = u64::from_ne_bytes([a, b, c, d, e, f, 0, 0]);
        let big = cfg!(target_endian = "big");
        self.put(row, if big { number >> 16 } else { number });
    }
}

/// A typed value out of a row. How a number is shown is the [`Column::kind`]'s business.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Value {
    /// Any number.
    Number(u64),
    /// An address.
    Ip(Ip),
    /// A MAC address.
    Mac(Mac),
    /// Interned text.
    Text(Sym),
    /// A point in time.
    Time(Nanos),
}

/// The columns of an aggregation's rows and the plans they come from.
#[derive(Debug)]
pub struct Schema {
    /// Name of the aggregation.
    pub name: String,
    /// The key.
    pub key: KeyPlan,
    /// The counters.
    pub counter: CounterPlan,
    /// Whether rows belong to time bins; then [`Field::Bin`] is among the columns.
    pub binned: bool,
    /// Key fields in table order, then merged fields, then packets, flows, bytes.
    pub columns: Vec<Column>,
    /// Where symbols become text again.
    pub symbols: Arc<Interner>,
}

impl Schema {
    /// The schema of an aggregation by `fields`, which may hold keys and merged fields.
    pub fn new(name: &str, fields: &[Field], options: Options, symbols: Arc<Interner>) -> Self {
        let mut all = fields.to_vec();
        if options.binned {
            all.push(Field::Bin);
        }
        let mut key = KeyPlan::compile(&all);
        if options.both_ends {
            key = key.both_ends();
        }
        let counter = CounterPlan::compile(&all, options.flows);
        all.sort();
        all.dedup();
        let mut columns: Vec<Column> = Vec::new();
        for field in all {
            let slot = match (key.position(field), counter.position(field)) {
                (Some(at), _) => Slot::key(at, field.info().kind.size()),
                (None, Some(at)) => Slot::word(key.len() + at),
                (None, None) => continue,
            };
            columns.push(Column {
                what: What::Field(field),
                kind: field.info().kind,
                slot,
            });
        }
        let mut count = |what, at| {
            columns.push(Column {
                what,
                kind: Kind::U64,
                slot: Slot::word(key.len() + at),
            });
        };
        count(What::Packets, counter::PACKETS);
        if let Some(at) = counter.flows_at() {
            count(What::Flows, at);
        }
        count(What::Bytes, counter::BYTES);
        Self {
            name: name.into(),
            key,
            counter,
            binned: options.binned,
            columns,
            symbols,
        }
    }

    /// Words of one row: key, then counters.
    pub fn row_words(&self) -> usize {
        self.key.len() + self.counter.len()
    }

    /// The column that holds `what`.
    pub fn column(&self, what: What) -> Option<&Column> {
        self.columns.iter().find(|c| c.what == what)
    }

    /// Whether rows of both look the same word by word, but for what symbols mean.
    pub fn is_like(&self, other: &Self) -> bool {
        self.name == other.name
            && self.binned == other.binned
            && self.row_words() == other.row_words()
            && self.key.counts_both_ends() == other.key.counts_both_ends()
            && self.columns == other.columns
    }

    /// Whether rows of both mean the same word by word.
    pub fn is_same(&self, other: &Self) -> bool {
        let texts = self.columns.iter().any(|c| c.kind == Kind::Text);
        self.is_like(other) && (!texts || Arc::ptr_eq(&self.symbols, &other.symbols))
    }

    /// The value of `column` in `row`.
    #[inline]
    pub fn value(&self, column: &Column, row: &[u64]) -> Value {
        match column.kind {
            Kind::Ip => Value::Ip(column.ip(row)),
            Kind::Mac => Value::Mac(column.mac(row)),
            Kind::Text => Value::Text(Sym(column.number(row) as u32)),
            Kind::Time => Value::Time(Nanos(column.number(row))),
            _ => Value::Number(column.number(row)),
        }
    }
}

/// Choices of a schema beyond its list of fields.
#[derive(Clone, Copy, Debug, Default)]
pub struct Options {
    /// Count flows.
    pub flows: bool,
    /// Count each record under both of its ends.
    pub both_ends: bool,
    /// Split rows by time bin.
    pub binned: bool,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::FlowRecord;

    #[test]
    fn values_come_back_from_a_row_as_they_were_set() {
        let fields = [
            Field::SrcHost,
            Field::SrcMac,
            Field::DstPort,
            Field::TcpFlags,
            Field::Tag,
        ];
        let options = Options {
            flows: true,
            binned: true,
            ..Options::default()
        };
        let schema = Schema::new("t", &fields, options, Arc::new(Interner::new(0)));
        let mut r = FlowRecord::new();
        r.set_src_host(Ip::v4([192, 0, 2, 1]));
        r.set_src_mac(Mac([1, 2, 3, 4, 5, 6]));
        r.set_dst_port(443);
        r.set_tcp_flags(18);
        r.set_tag(u64::MAX - 1);
        r.set_bin(Nanos(77));
        (r.packets, r.bytes, r.flows) = (3, 4000, 1);
        let mut row = vec![0; schema.row_words()];
        let (key, counters) = row.split_at_mut(schema.key.len());
        schema.key.pack(&r, key);
        schema.counter.add(&r, counters);
        let got: Vec<_> = schema
            .columns
            .iter()
            .map(|c| (c.what, schema.value(c, &row)))
            .collect();
        let field = |f| What::Field(f);
        let mut copy = vec![0; row.len()];
        for column in &schema.columns {
            match schema.value(column, &row) {
                Value::Ip(ip) => column.put_ip(&mut copy, ip),
                Value::Mac(mac) => column.put_mac(&mut copy, mac),
                _ => column.put(&mut copy, column.number(&row)),
            }
        }
        assert_eq!(copy, row);
        for want in [
            (field(Field::SrcHost), Value::Ip(Ip::v4([192, 0, 2, 1]))),
            (field(Field::SrcMac), Value::Mac(Mac([1, 2, 3, 4, 5, 6]))),
            (field(Field::DstPort), Value::Number(443)),
            (field(Field::TcpFlags), Value::Number(18)),
            (field(Field::Tag), Value::Number(u64::MAX - 1)),
            (field(Field::Bin), Value::Time(Nanos(77))),
            (What::Packets, Value::Number(3)),
            (What::Flows, Value::Number(1)),
            (What::Bytes, Value::Number(4000)),
        ] {
            assert!(got.contains(&want), "{want:?} in {got:?}");
        }
    }
}
