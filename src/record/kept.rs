//! [`Kept`]: what fields of a batch were before somebody changed them for one reader alone.

use super::batch::Batch;
use super::field::FieldSet;
use super::flow::FlowRecord;

/// Room for the lines of some fields, for all records of a batch.
pub struct Kept {
    /// The lines, ascending.
    lines: Box<[usize]>,
    /// Their bytes, record by record.
    bytes: Box<[[u8; FlowRecord::LINE]]>,
    present: [FieldSet; Batch::SIZE],
}

impl Kept {
    /// Room for these fields.
    pub fn new(fields: FieldSet) -> Self {
        let mut lines: Vec<usize> = fields
            .iter()
            .flat_map(|field| {
                let info = field.info();
                let last = info.offset + info.kind.size() - 1;
                info.offset / FlowRecord::LINE..=last / FlowRecord::LINE
            })
            .collect();
        lines.sort_unstable();
        lines.dedup();
        Self {
            bytes: vec![[0; FlowRecord::LINE]; lines.len() * Batch::SIZE].into(),
            present: [FieldSet::EMPTY; Batch::SIZE],
            lines: lines.into(),
        }
    }

    /// Bytes it takes.
    pub fn bytes(&self) -> usize {
        size_of::<Self>() + self.bytes.len() * FlowRecord::LINE
    }

    /// Keeps them.
    pub fn keep(&mut self, batch: &Batch) {
        let mut bytes = self.bytes.iter_mut();
        for (record, present) in batch.records().iter().zip(&mut self.present) {
            *present = record.present;
            for (line, kept) in self.lines.iter().zip(&mut bytes) {
                let line = record.bytes_at(line * FlowRecord::LINE, FlowRecord::LINE);
                if let Some(line) = line.first_chunk() {
                    *kept = *line;
                }
            }
        }
    }

    /// Puts them back into the batch that they are from.
    pub fn restore(&self, batch: &mut Batch) {
        let mut bytes = self.bytes.iter();
        for (record, present) in batch.records_mut().iter_mut().zip(&self.present) {
            record.present = *present;
            for (line, kept) in self.lines.iter().zip(&mut bytes) {
                record
                    .slot(line * FlowRecord::LINE, FlowRecord::LINE)
                    .copy_from_slice(kept);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::addr::Ip;
    use crate::record::Field;

    #[test]
    fn what_was_kept_comes_back_and_nothing_else_changes() {
        let fields = FieldSet::of(&[Field::Tag, Field::SrcNet, Field::DstNet]);
        let mut batch = Batch::new(fields.union(FieldSet::of(&[Field::SrcHost])));
        for n in 0..Batch::SIZE as u64 {
            let record = batch.slot();
            record.set_tag(n);
            record.set_src_host(Ip::v4([10, 0, 0, n as u8]));
        }
        let mut kept = Kept::new(fields);
        for round in 1..3 {
            kept.keep(&batch);
            for record in batch.records_mut() {
                record.set_tag(1000);
                record.set_dst_net(Ip::v4([1; 4]));
                record.packets = round;
            }
            kept.restore(&mut batch);
            for (n, record) in batch.records().iter().enumerate() {
                assert_eq!((record.tag(), record.packets), (n as u64, round));
                assert_eq!(record.src_host(), Ip::v4([10, 0, 0, n as u8]));
                assert_eq!(record.dst_net(), Ip::default());
                assert!(!record.present.has(Field::DstNet));
            }
        }
    }
}
