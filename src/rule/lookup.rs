//! [`Lookup`]: a number for a record, from the rows of a map: its sampling rate, or the route
//! distinguisher of its VPN.

use super::condition::Judge;
use super::index::{Builder, Index};
use super::map::{Kind, Value};
use crate::base::lines::{Complaints, Rows};
use crate::base::part::Shared;
use crate::enrich::Enricher;
use crate::record::{Batch, Field, FieldSet, FlowRecord, Origin, Rd};

/// A compiled map.
#[derive(Debug)]
pub struct Lookup {
    index: Index,
    values: Box<[u64]>,
}

/// A map while its rows are read.
pub struct Compiler {
    kind: &'static Kind,
    judge: Judge,
    rows: Builder,
    values: Vec<u64>,
    refused: usize,
}

impl Rows for Compiler {
    fn row(&mut self, line: u32, column: u32, text: &str, complaints: &mut Complaints) {
        let Some(row) = self.kind.row(line, column, text, complaints) else {
            self.refused += 1;
            return;
        };
        let id = row.item("id").map(|item| &item.value);
        match (self.judge.conditions(&row), id) {
            (Ok(conditions), Some(Value::Number(id))) => {
                self.rows.push(conditions);
                self.values.push(*id);
            }
            (Err((at, why)), _) => {
                complaints.add(line, at, why);
                self.refused += 1;
            }
            (Ok(_), _) => self.refused += 1,
        }
    }
}

impl Compiler {
    /// For a map of this kind, whose rows give a number as `id`.
    pub fn new(kind: &'static Kind, judge: Judge) -> Self {
        Self {
            kind,
            judge,
            rows: Builder::default(),
            values: Vec::new(),
            refused: 0,
        }
    }

    /// Rows that were left out so far.
    pub fn refused(&self) -> usize {
        self.refused
    }

    /// The map of all rows.
    pub fn finish(self) -> Lookup {
        Lookup {
            index: self.rows.build(),
            values: self.values.into(),
        }
    }
}

impl Lookup {
    /// What the first row says that the record matches.
    #[inline]
    fn find(&self, record: &FlowRecord) -> Option<u64> {
        let row = self.index.first(record, 0)?;
        self.values.get(row as usize).copied()
    }

    /// How many rows it has.
    pub fn len(&self) -> usize {
        self.index.len()
    }

    /// Whether it has none.
    pub fn is_empty(&self) -> bool {
        self.index.is_empty()
    }

    /// Fields that its rows look at.
    pub fn needs(&self) -> FieldSet {
        self.index.needs()
    }

    /// Bytes it takes.
    pub fn size(&self) -> usize {
        size_of::<Self>() + self.index.size() + self.values.len() * 8
    }
}

/// Sets sampling rates: the map's, else what the exporter says, else one that is configured.
pub struct Rates {
    /// The map.
    pub map: Option<Shared<Lookup>>,
    /// The rate where nothing else says one; zero for none.
    pub external: u32,
}

impl Enricher for Rates {
    fn needs(&self) -> FieldSet {
        let map = self.map.as_ref().map_or(FieldSet::EMPTY, |map| map.needs());
        map.union(self.gives())
    }

    fn gives(&self) -> FieldSet {
        FieldSet::of(&[Field::SamplingRate])
    }

    fn enrich(&mut self, batch: &mut Batch) {
        for record in batch.records_mut() {
            let own = self.map.as_ref().and_then(|map| map.find(record));
            match own {
                Some(rate) => record.set_sampling_rate(u32::try_from(rate).unwrap_or(u32::MAX)),
                None if record.sampling_rate() == 0 && self.external != 0 => {
                    record.set_sampling_rate(self.external);
                }
                None => {}
            }
        }
    }
}

/// Sets route distinguishers; the map goes before what the exporter says.
pub struct Distinguishers(pub Shared<Lookup>);

impl Enricher for Distinguishers {
    fn needs(&self) -> FieldSet {
        self.0.needs().union(self.gives())
    }

    fn gives(&self) -> FieldSet {
        FieldSet::of(&[Field::MplsVpnRd])
    }

    fn enrich(&mut self, batch: &mut Batch) {
        for record in batch.records_mut() {
            if let Some(rd) = self.0.find(record) {
                record.set_mpls_vpn_rd(Rd::new(rd, Origin::Map).0);
            }
        }
    }
}
