//! Prefixes from addresses and the prefix lengths the exporter gave.

use super::Enricher;
use crate::record::{Batch, Field, FieldSet};

/// Sets `src_net` and `dst_net` where the exporter gave a mask but no prefix; without a mask they
/// are the unspecified address of the family.
pub struct Nets;

impl Enricher for Nets {
    fn needs(&self) -> FieldSet {
        FieldSet::of(&[
            Field::SrcHost,
            Field::SrcMask,
            Field::DstHost,
            Field::DstMask,
        ])
    }

    fn gives(&self) -> FieldSet {
        FieldSet::of(&[Field::SrcNet, Field::DstNet])
    }

    fn enrich(&mut self, batch: &mut Batch) {
        for record in batch.records_mut() {
            if !record.present.has(Field::SrcNet) && record.present.has(Field::SrcHost) {
                let bits = if record.present.has(Field::SrcMask) {
                    record.src_mask()
                } else {
                    0
                };
                record.set_src_net(record.src_host().masked(bits));
            }
            if !record.present.has(Field::DstNet) && record.present.has(Field::DstHost) {
                let bits = if record.present.has(Field::DstMask) {
                    record.dst_mask()
                } else {
                    0
                };
                record.set_dst_net(record.dst_host().masked(bits));
            }
        }
    }
}
