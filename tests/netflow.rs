//! Captured export datagrams, from frame to records, against what tshark counted in them.
#![cfg(all(feature = "src-savefile", feature = "dec-netflow"))]

use std::path::Path;
use weir::base::intern::{Interner, SymCache};
use weir::base::ledger::{Intake, Reason};
use weir::decode::{Decode, Emit, Setup, build};
use weir::record::{Batch, FIELDS, FieldSet};
use weir::source::savefile::SavefileSource;
use weir::source::{Progress, Source};

/// Records, packets and bytes of a capture, and its page of the ledger.
fn read(path: &Path, wanted: FieldSet) -> ([u64; 3], Intake) {
    let mut source = SavefileSource::open(path).unwrap();
    let mut decoder = build(Decode::Netflow, false, &Setup::new(wanted))
        .ok()
        .unwrap();
    let mut sum = [0u64; 3];
    let mut run = |batch: &mut Batch, _: &mut Intake| {
        for record in batch.records() {
            sum[0] += 1;
            sum[1] += record.packets;
            sum[2] += record.bytes;
        }
        batch.clear();
    };
    let (mut batch, mut ledger) = (Batch::new(wanted), Intake::default());
    let (symbols, mut cache) = (Interner::new(1 << 16), SymCache::default());
    let mut out = Emit::new(&mut batch, &mut run, &mut ledger, &symbols, &mut cache);
    let mut each = |frame: &weir::source::Frame<'_>| {
        out.time = frame.time;
        decoder.decode(frame, &mut out).unwrap();
    };
    while source.read(&mut each).unwrap() != Progress::End {}
    out.flush();
    (sum, ledger)
}

#[test]
fn as_many_records_packets_and_bytes_as_tshark_counts() {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data");
    let totals = std::fs::read_to_string(dir.join("totals.tsv")).unwrap();
    let mut files = 0;
    for line in totals
        .lines()
        .filter(|l| l.contains("softflowd") || l.contains("ovs-ipfix"))
    {
        let columns: Vec<&str> = line.split('\t').collect();
        let want = columns[2..5].iter().map(|n| n.parse::<u64>().ok());
        let mut want: Vec<Option<u64>> = want.collect();
        let mut gap = 0;
        if columns[0].starts_with("ovs") {
            // One record of the switch is an option, not a flow; and the number of its second
            // data record is three above that of the first.
            want[0] = want[0].map(|n| n - 1);
            gap = 2;
        }
        for wanted in [FieldSet::EMPTY, FIELDS.iter().map(|i| i.field).collect()] {
            let (sum, ledger) = read(&dir.join(columns[0]), wanted);
            for (sum, want) in sum.iter().zip(&want) {
                assert!(
                    want.is_none_or(|n| n == *sum),
                    "{}: {sum}, {want:?}",
                    columns[0]
                );
            }
            assert_eq!(ledger.dropped(Reason::NoTemplate).units, 0);
            assert_eq!(
                ledger.dropped_units(),
                ledger.dropped(Reason::NotExport).units
            );
            assert_eq!(ledger.sequence_lost, gap, "{}", columns[0]);
        }
        files += 1;
    }
    assert_eq!(files, 4);
}
