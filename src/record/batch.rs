//! [`Batch`]: the unit of work of the data path.

use super::field::FieldSet;
use super::flow::{FlowRecord, Start};
use super::key::KeyLines;
use crate::base::ledger::Sum;
use std::slice;

/// A fixed array of records, filled and emptied over and over.
pub struct Batch {
    records: Box<[FlowRecord]>,
    len: usize,
    lines: KeyLines,
}

impl Batch {
    /// Records in a batch. Enough to hide the misses of the table, few enough for a small cache.
    pub const SIZE: usize = 32;

    /// A batch whose records are clean in the fields that somebody wants.
    pub fn new(wanted: FieldSet) -> Self {
        let records = vec![FlowRecord::new(); Self::SIZE].into();
        Self {
            records,
            len: 0,
            lines: KeyLines::of(wanted),
        }
    }

    /// Whether no slot is left.
    #[inline]
    pub fn is_full(&self) -> bool {
        self.len >= self.records.len()
    }

    /// Whether no record is in it.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The next free record, with wanted fields, counters and presence zeroed. When the batch is
    /// full the last slot is handed out again, so a caller must empty it first.
    #[inline]
    pub fn slot(&mut self) -> &mut FlowRecord {
        let at = self.len.min(Self::SIZE - 1);
        self.len = at + 1;
        let record = &mut self.records[at];
        self.lines.clear(slice::from_mut(record));
        record.begin(Start::default());
        record
    }

    /// The same for the next `most` records, or as many as are free; they begin with `start`.
    #[inline]
    pub fn slots(&mut self, most: usize, start: Start) -> &mut [FlowRecord] {
        let from = self.len.min(Self::SIZE - 1);
        self.len = from + most.clamp(1, Self::SIZE - from);
        let records = &mut self.records[from..self.len];
        self.lines.clear(records);
        records.iter_mut().for_each(|record| record.begin(start));
        records
    }

    /// Takes the last record back.
    #[inline]
    pub fn undo(&mut self) {
        self.len = self.len.saturating_sub(1);
    }

    /// The records in it.
    #[inline]
    pub fn records(&self) -> &[FlowRecord] {
        &self.records[..self.len]
    }

    /// The records in it, to be changed.
    #[inline]
    pub fn records_mut(&mut self) -> &mut [FlowRecord] {
        &mut self.records[..self.len]
    }

    /// What the records in it add up to.
    #[inline]
    pub fn sum(&self) -> Sum {
        let (mut packets, mut bytes) = (0u64, 0u64);
        for record in self.records() {
            packets = packets.wrapping_add(record.packets);
            bytes = bytes.wrapping_add(record.bytes);
        }
        Sum {
            records: self.len as u64,
            packets,
            bytes,
        }
    }

    /// Empties it.
    #[inline]
    pub fn clear(&mut self) {
        self.len = 0;
    }
}
