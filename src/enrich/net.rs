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
            let has = record.present;
            if !has.has(Field::SrcNet) && has.has(Field::SrcHost) {
                // Without a mask its byte is zero, as every wanted field that nobody set.
                record.set_src_net(record.src_host().masked(record.src_mask()));
            }
            if !has.has(Field::DstNet) && has.has(Field::DstHost) {
                record.set_dst_net(record.dst_host().masked(record.dst_mask()));
            }
        }
    }
}
