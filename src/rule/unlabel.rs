//! [`Unlabel`]: the first record of each exporter goes without a label.
//!
//! A collector that others have rules for does so where it looks a sampling rate up, and its rows
//! are compared with ours. Not for anybody who does not ask for it.

use crate::base::addr::Ip;
use crate::base::intern::Sym;
use crate::record::{Batch, Field, FieldSet};
use std::collections::BTreeSet;

/// Most exporters that are remembered; those beyond keep their labels.
pub const EXPORTERS_MAX: usize = 4096;

/// Remembers exporters and their domains.
#[derive(Debug, Default)]
pub struct Unlabel {
    seen: BTreeSet<(Ip, u32)>,
}

impl Unlabel {
    /// Bytes it takes at the most.
    pub const BYTES: usize = EXPORTERS_MAX * 2 * size_of::<(Ip, u32)>();

    /// Fields it reads.
    pub fn needs() -> FieldSet {
        FieldSet::of(&[Field::PeerSrcIp, Field::ExportProtoSysid])
    }

    /// Takes the label off the records of exporters that it sees for the first time.
    pub fn run(&mut self, batch: &mut Batch) {
        for record in batch.records_mut() {
            let exporter = (record.peer_src_ip(), record.export_proto_sysid());
            if self.seen.len() < EXPORTERS_MAX && self.seen.insert(exporter) {
                record.set_label(Sym::default());
                record.present = record.present.minus(FieldSet::of(&[Field::Label]));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_record_of_each_exporter_and_domain_has_no_label() {
        let label = crate::base::intern::Interner::new(4096).intern(b"x");
        let mut batch = Batch::new(Unlabel::needs().union(FieldSet::of(&[Field::Label])));
        for (ip, domain) in [(1, 0), (1, 0), (1, 7), (2, 0), (1, 7)] {
            let record = batch.slot();
            record.set_peer_src_ip(Ip::v4([192, 0, 2, ip]));
            record.set_export_proto_sysid(domain);
            record.set_label(label);
        }
        let mut unlabel = Unlabel::default();
        unlabel.run(&mut batch);
        let has = batch.records().iter().map(|r| r.present.has(Field::Label));
        assert_eq!(has.collect::<Vec<_>>(), [false, true, false, false, true]);
        assert_eq!(batch.records()[0].label(), Sym::default());
        assert_eq!(batch.records()[1].label(), label);
    }
}
