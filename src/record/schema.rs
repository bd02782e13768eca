//! [`Schema`]: what the rows of an aggregation contain, and typed values back from a row.

use super::counter::{self, CounterPlan};
use super::custom::{Custom, Customs, Form};
use super::field::{Field, Info, Kind};
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
    /// The same of a primitive of the configuration; of others [`Form::Nothing`].
    pub form: Form,
    slot: Slot,
}

/// Where a value lies in a row, or in a record: the word it begins in, and how a number is cut out
/// of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Slot {
    pub(super) word: usize,
    left: u32,
    right: u32,
}

impl Slot {
    /// `size` bytes at byte `at`. A field lies in one word, an address in two.
    pub(super) fn at(at: usize, size: usize) -> Self {
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

    /// The number in its word.
    #[inline(always)]
    pub(super) fn cut(self, word: u64) -> u64 {
        (word << self.left) >> self.right
    }
}

impl Column {
    /// The value in `row` as a number: that of a symbol or a time as well.
    #[inline]
    pub fn number(&self, row: &[u64]) -> u64 {
        let word = row.get(self.slot.word).copied().unwrap_or(0);
        self.slot.cut(word)
    }

    /// Writes a number where [`number`](Self::number) reads it.
    pub fn set_number(&self, row: &mut [u64], number: u64) {
        let Slot { word, left, right } = self.slot;
        let mask = u64::MAX >> right << (right - left);
        if let Some(word) = row.get_mut(word) {
            *word = *word & !mask | (number << (right - left)) & mask;
        }
    }

    /// The value in `row` of a column that holds an address of 16 bytes.
    #[inline]
    pub fn ip(&self, row: &[u64]) -> Ip {
        let mut bytes = [0; 16];
        if let Some([high, low]) = row.get(self.slot.word..self.slot.word + 2) {
            bytes[..8].copy_from_slice(&high.to_ne_bytes());
            bytes[8..].copy_from_slice(&low.to_ne_bytes());
        }
        Ip(bytes)
    }

    /// Whether the value is a symbol.
    pub fn is_symbol(&self) -> bool {
        self.kind == Kind::Text || self.form.is_symbol()
    }

    /// Bytes the value takes in a key.
    pub fn size(&self) -> usize {
        match self.kind {
            Kind::Custom => self.form.size(),
            kind => kind.size(),
        }
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

/// The way back.
impl Column {
    /// Puts an address of 16 bytes where [`ip`](Self::ip) reads it.
    pub fn set_ip(&self, row: &mut [u64], ip: Ip) {
        let words = row.get_mut(self.slot.word..self.slot.word + 2);
        let (halves, _) = ip.0.as_chunks::<8>();
        for (word, half) in words.into_iter().flatten().zip(halves) {
            *word = u64::from_ne_bytes(*half);
        }
    }

    /// Puts an address into a column of kind [`Kind::Mac`].
    pub fn set_mac(&self, row: &mut [u64], mac: Mac) {
        let [a, b, c, d, e, f] = mac.0;
        let number = u64::from_ne_bytes([a, b, c, d, e, f, 0, 0]);
        let big = cfg!(target_endian = "big");
        self.set_number(row, if big { number >> 16 } else { number });
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
#[derive(Clone, Debug)]
pub struct Schema {
    /// Name of the aggregation.
    pub name: String,
    /// The key.
    pub key: KeyPlan,
    /// The counters.
    pub counter: CounterPlan,
    /// Whether rows belong to time bins; then [`Field::Bin`] is among the columns.
    pub binned: bool,
    /// What tells traffic, events and options apart, where that is wanted.
    pub kind: Option<Column>,
    /// Key fields in table order, then merged fields, then packets, flows, bytes.
    pub columns: Vec<Column>,
    /// Where symbols become text again.
    pub symbols: Arc<Interner>,
    /// The primitives of the configuration.
    pub customs: Arc<Customs>,
}

impl Schema {
    /// The schema of an aggregation by `fields`, which may hold keys and merged fields.
    pub fn new(name: &str, fields: &[Field], options: Options, symbols: Arc<Interner>) -> Self {
        Self::with_customs(name, fields, options, symbols, Arc::default())
    }

    /// The same where the configuration has primitives of its own, which are among the `fields`
    /// by their first slots.
    pub fn with_customs(
        name: &str,
        fields: &[Field],
        options: Options,
        symbols: Arc<Interner>,
        customs: Arc<Customs>,
    ) -> Self {
        let mut all = fields.to_vec();
        if options.binned {
            all.push(Field::Bin);
        }
        if options.kinds {
            all.push(Field::RecordKind);
        }
        let slots = customs.iter().filter(|c| fields.contains(&c.field));
        let seconds = slots.flat_map(|c| c.fields().skip(1));
        let seconds: Vec<Field> = seconds.collect();
        all.extend(&seconds);
        let mut key = KeyPlan::compile(&all);
        if options.both_ends {
            key = key.both_ends();
        }
        let counter = CounterPlan::compile(&all, options.flows || options.hidden_flows);
        all.sort();
        all.dedup();
        let mut columns: Vec<Column> = Vec::new();
        for field in all.into_iter().filter(|field| !seconds.contains(field)) {
            let mut column = Column {
                what: What::Field(field),
                kind: field.info().kind,
                form: Form::Nothing,
                slot: Slot::word(0),
            };
            if let Some(custom) = customs.of(field) {
                (column.kind, column.form) = (Kind::Custom, custom.form);
            }
            column.slot = match (key.position(field), counter.position(field)) {
                (Some(at), _) => Slot::at(at, column.size()),
                (None, Some(at)) => Slot::word(key.len() + at),
                (None, None) => continue,
            };
            columns.push(column);
        }
        let is_kind = |column: &mut Column| column.what == What::Field(Field::RecordKind);
        let kind = columns.extract_if(.., is_kind).next();
        let mut count = |what, at| {
            columns.push(Column {
                what,
                kind: Kind::U64,
                form: Form::Nothing,
                slot: Slot::word(key.len() + at),
            });
        };
        count(What::Packets, counter::PACKETS);
        if let Some(at) = counter.flows_at().filter(|_| options.flows) {
            count(What::Flows, at);
        }
        count(What::Bytes, counter::BYTES);
        Self {
            name: name.into(),
            key,
            counter,
            binned: options.binned,
            kind,
            columns,
            symbols,
            customs,
        }
    }

    /// The key of `what` in JSON.
    pub fn json_name(&self, what: What) -> &str {
        self.name_of(what, ["packets", "flows", "bytes"], |info| info.json)
    }

    /// The heading of `what` in CSV and tables.
    pub fn csv_name(&self, what: What) -> &str {
        self.name_of(what, ["PACKETS", "FLOWS", "BYTES"], |info| info.csv)
    }

    /// The column of `what` in SQL; empty where it has none.
    pub fn sql_name(&self, what: What) -> &str {
        self.name_of(what, ["packets", "flows", "bytes"], |info| info.sql)
    }

    /// The name of `what` in the configuration.
    pub fn field_name(&self, what: What) -> &str {
        self.name_of(what, ["packets", "flows", "bytes"], |info| info.name)
    }

    fn name_of(
        &self,
        what: What,
        [packets, flows, bytes]: [&'static str; 3],
        of: impl Fn(&'static Info) -> &'static str,
    ) -> &str {
        match what {
            What::Packets => packets,
            What::Flows => flows,
            What::Bytes => bytes,
            What::Field(field) => match self.custom(field) {
                Some(custom) => &custom.name,
                None => of(field.info()),
            },
        }
    }

    /// The primitive of the configuration that has a field's slot.
    pub fn custom(&self, field: Field) -> Option<&Custom> {
        field.slot().and_then(|_| self.customs.of(field))
    }

    /// Whether the counters of `row` mean something: it is traffic, not events or options, where
    /// those are kept apart.
    #[inline]
    pub fn counts(&self, row: &[u64]) -> bool {
        self.kind.is_none_or(|column| column.number(row) == 0)
    }

    /// Words of one row: key, then counters.
    pub fn row_words(&self) -> usize {
        self.key.len() + self.counter.len()
    }

    /// The column that holds `what`.
    pub fn column(&self, what: What) -> Option<&Column> {
        self.columns.iter().find(|c| c.what == what)
    }

    /// All that a row holds: the columns, then what no output shows.
    pub fn places(&self) -> Vec<Column> {
        let mut all = self.columns.clone();
        all.extend(self.kind);
        let hidden = self.column(What::Flows).is_none();
        if let Some(at) = self.counter.flows_at().filter(|_| hidden) {
            all.push(Column {
                what: What::Flows,
                kind: Kind::U64,
                form: Form::Nothing,
                slot: Slot::word(self.key.len() + at),
            });
        }
        all
    }

    /// Whether rows of both look the same word by word, but for what symbols mean.
    pub fn is_like(&self, other: &Self) -> bool {
        let named =
            |(a, b): (&Column, &Column)| self.field_name(a.what) == other.field_name(b.what);
        self.name == other.name
            && self.binned == other.binned
            && self.row_words() == other.row_words()
            && self.key.counts_both_ends() == other.key.counts_both_ends()
            && self.kind == other.kind
            && self.columns == other.columns
            && self.columns.iter().zip(&other.columns).all(named)
    }

    /// Whether rows of both mean the same word by word.
    pub fn is_same(&self, other: &Self) -> bool {
        let texts = self.columns.iter().any(Column::is_symbol);
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
            Kind::Custom if column.form == Form::Ip6 => Value::Ip(column.ip(row)),
            Kind::Custom if column.is_symbol() => Value::Text(Sym(column.number(row) as u32)),
            _ => Value::Number(column.number(row)),
        }
    }
}

/// Choices of a schema beyond its list of fields.
#[derive(Clone, Copy, Debug, Default)]
pub struct Options {
    /// Count flows.
    pub flows: bool,
    /// Count flows for what judges rows, without a column of them.
    pub hidden_flows: bool,
    /// Count each record under both of its ends.
    pub both_ends: bool,
    /// Split rows by time bin.
    pub binned: bool,
    /// Keep traffic, events and options apart.
    pub kinds: bool,
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
                Value::Ip(ip) => column.set_ip(&mut copy, ip),
                Value::Mac(mac) => column.set_mac(&mut copy, mac),
                _ => column.set_number(&mut copy, column.number(&row)),
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
