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
mod test;
