//! [`Listed`]: ports, protocols and ToS of which only those of a list are kept, and [`Fixed`]:
//! tags that are the same in every record.

use super::Enricher;
use crate::base::lines::{Complaints, Rows};
use crate::base::part::Shared;
use crate::base::proto;
use crate::record::{Batch, Field, FieldSet, FlowRecord};

/// What a list is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Of {
    /// Ports; others become 0.
    Ports,
    /// IP protocols; others become 255.
    Protocols,
    /// Values of ToS; others become 255.
    Tos,
}

impl Of {
    const ALL: [Self; 3] = [Self::Ports, Self::Protocols, Self::Tos];

    /// The list of this name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|of| of.name() == name)
    }

    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Ports => "ports",
            Self::Protocols => "protocols",
            Self::Tos => "tos",
        }
    }

    fn read(self, text: &str) -> Option<u16> {
        let number = text.bytes().all(|b| b.is_ascii_digit());
        let number = text.parse::<u16>().ok().filter(|_| number);
        match self {
            Self::Ports => number.filter(|n| *n > 0),
            Self::Protocols => number
                .filter(|n| *n <= 255)
                .or_else(|| proto::number(text).map(u16::from)),
            Self::Tos => number.filter(|n| *n <= 255),
        }
    }

    fn takes(self) -> &'static str {
        match self {
            Self::Ports => "a port from 1 to 65535",
            Self::Protocols => "a protocol: its number, or its name",
            Self::Tos => "a ToS from 0 to 255",
        }
    }
}

/// A list of numbers.
#[derive(Debug)]
pub struct List {
    of: Of,
    bits: Box<[u64]>,
    len: usize,
}

/// A list while its rows are read.
pub struct Reader {
    list: List,
    refused: usize,
}

impl Rows for Reader {
    fn row(&mut self, line: u32, column: u32, text: &str, complaints: &mut Complaints) {
        let of = self.list.of;
        match of.read(text) {
            Some(value) => self.list.add(value),
            None => {
                let (shown, takes) = (text.chars().take(60).collect::<String>(), of.takes());
                complaints.add(
                    line,
                    column,
                    format!("`{shown}` is no such thing; a row is {takes}"),
                );
                self.refused += 1;
            }
        }
    }
}

impl Reader {
    /// For a list of these.
    pub fn new(of: Of) -> Self {
        let values: usize = if of == Of::Ports { 1 << 16 } else { 256 };
        let list = List {
            of,
            bits: vec![0; values / 64].into(),
            len: 0,
        };
        Self { list, refused: 0 }
    }

    /// Rows that were left out so far.
    pub fn refused(&self) -> usize {
        self.refused
    }

    /// The list of all rows.
    pub fn finish(self) -> List {
        self.list
    }
}

impl List {
    fn add(&mut self, value: u16) {
        self.len += usize::from(!self.has(value));
        if let Some(bits) = self.bits.get_mut(usize::from(value) / 64) {
            *bits |= 1 << (value % 64);
        }
    }

    #[inline]
    fn has(&self, value: u16) -> bool {
        let bits = self.bits.get(usize::from(value) / 64).copied();
        bits.unwrap_or(0) >> (value % 64) & 1 == 1
    }

    /// How many values it has.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether it has none.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Bytes it takes.
    pub fn size(&self) -> usize {
        size_of::<Self>() + self.bits.len() * 8
    }
}

/// Keeps values that are in a list.
pub struct Listed(pub Shared<List>);

impl Enricher for Listed {
    fn needs(&self) -> FieldSet {
        self.gives()
    }

    fn gives(&self) -> FieldSet {
        FieldSet::of(match self.0.of {
            Of::Ports => &[Field::SrcPort, Field::DstPort],
            Of::Protocols => &[Field::Proto],
            Of::Tos => &[Field::Tos],
        })
    }

    fn enrich(&mut self, batch: &mut Batch) {
        let list = &*self.0;
        let port = |port| if list.has(port) { port } else { 0 };
        let byte = |byte: u8| if list.has(byte.into()) { byte } else { 255 };
        let change: &dyn Fn(&mut FlowRecord) = match list.of {
            Of::Ports => &|r| {
                r.set_src_port(port(r.src_port()));
                r.set_dst_port(port(r.dst_port()));
            },
            Of::Protocols => &|r| r.set_proto(byte(r.proto())),
            Of::Tos => &|r| r.set_tos(byte(r.tos())),
        };
        batch.records_mut().iter_mut().for_each(change);
    }
}

/// Sets the same tags in every record.
pub struct Fixed {
    /// The tag.
    pub tag: Option<u64>,
    /// The second one.
    pub tag2: Option<u64>,
}

impl Enricher for Fixed {
    fn needs(&self) -> FieldSet {
        FieldSet::EMPTY
    }

    fn gives(&self) -> FieldSet {
        let tags = [(Field::Tag, self.tag), (Field::Tag2, self.tag2)];
        let set = tags.iter().filter(|(_, tag)| tag.is_some());
        set.map(|(field, _)| *field).collect()
    }

    fn replaces(&self) -> FieldSet {
        self.gives()
    }

    fn enrich(&mut self, batch: &mut Batch) {
        for record in batch.records_mut() {
            if let Some(tag) = self.tag {
                record.set_tag(tag);
            }
            if let Some(tag) = self.tag2 {
                record.set_tag2(tag);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    #![cfg(feature = "rule-map")]

    use super::*;

    fn list(of: Of, rows: &[&str]) -> (List, Complaints) {
        let (mut reader, mut complaints) = (Reader::new(of), Complaints::default());
        for (n, row) in rows.iter().enumerate() {
            reader.row(n as u32 + 1, 1, row, &mut complaints);
        }
        assert_eq!(reader.refused(), complaints.count());
        (reader.finish(), complaints)
    }

    fn through(list: List, set: impl Fn(&mut FlowRecord)) -> FlowRecord {
        let mut listed = Listed(Shared::of(list).unwrap());
        let mut batch = Batch::new(listed.needs());
        set(batch.slot());
        listed.enrich(&mut batch);
        batch.records()[0]
    }

    #[test]
    fn what_is_not_listed_becomes_one_value() {
        let (ports, complaints) = list(Of::Ports, &["443", "65535", "443"]);
        assert!(complaints.is_empty() && ports.len() == 2);
        let r = through(ports, |r| {
            r.set_src_port(443);
            r.set_dst_port(444);
        });
        assert_eq!((r.src_port(), r.dst_port()), (443, 0));
        for (value, want) in [(6, 6), (17, 17), (58, 58), (1, 255), (255, 255)] {
            let (protocols, _) = list(Of::Protocols, &["tcp", "17", "ipv6-icmp"]);
            assert_eq!(through(protocols, |r| r.set_proto(value)).proto(), want);
        }
        for (value, want) in [(0, 0), (184, 184), (8, 255)] {
            let (tos, _) = list(Of::Tos, &["0", "184"]);
            assert_eq!(through(tos, |r| r.set_tos(value)).tos(), want);
        }
    }

    #[test]
    fn rows_that_are_none_are_told() {
        for (of, row, said) in [
            (Of::Ports, "0", "a port from 1 to 65535"),
            (Of::Ports, "65536", "a port"),
            (Of::Ports, "+1", "`+1`"),
            (Of::Ports, "http", "`http`"),
            (Of::Protocols, "256", "its number, or its name"),
            (Of::Protocols, "tpc", "`tpc`"),
            (Of::Tos, "256", "from 0 to 255"),
            (Of::Tos, "1 2", "`1 2`"),
        ] {
            let (list, complaints) = list(of, &[row]);
            assert!(list.is_empty());
            assert!(complaints.problems()[0].message.contains(said), "{row}");
        }
        assert_eq!(Of::named("tos"), Some(Of::Tos));
        assert_eq!(Of::named("toes"), None);
    }

    #[test]
    fn fixed_tags_take_the_place_of_others() {
        let mut fixed = Fixed {
            tag: None,
            tag2: Some(u64::MAX),
        };
        assert_eq!(fixed.gives(), FieldSet::of(&[Field::Tag2]));
        let mut batch = Batch::new(FieldSet::of(&[Field::Tag, Field::Tag2]));
        batch.slot().set_tag(1);
        fixed.enrich(&mut batch);
        let r = batch.records()[0];
        assert_eq!((r.tag(), r.tag2()), (1, u64::MAX));
    }
}
