//! [`Seconds`]: times without their fractions, so that flows of one second are one row.

use super::Enricher;
use crate::base::time::SECOND;
use crate::record::{Batch, Field, FieldSet};

/// Times of a record; the earliest and the latest lie where start and end do.
const TIMES: FieldSet = FieldSet::of(&[
    Field::TimestampStart,
    Field::TimestampEnd,
    Field::TimestampArrival,
    Field::TimestampExport,
    Field::TimestampMin,
    Field::TimestampMax,
]);

/// Cuts times to whole seconds.
pub struct Seconds;

impl Enricher for Seconds {
    fn needs(&self) -> FieldSet {
        FieldSet::EMPTY
    }

    fn gives(&self) -> FieldSet {
        TIMES
    }

    fn enrich(&mut self, batch: &mut Batch) {
        for record in batch.records_mut() {
            for field in [
                Field::TimestampStart,
                Field::TimestampEnd,
                Field::TimestampArrival,
                Field::TimestampExport,
            ] {
                let at = field.info().offset;
                if let Some(word) = record.slot(at, 8).first_chunk_mut::<8>() {
                    let time = u64::from_ne_bytes(*word);
                    *word = (time - time % SECOND).to_ne_bytes();
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::time::Nanos;

    #[test]
    fn fractions_go_and_nothing_else() {
        let mut batch = Batch::new(TIMES);
        let record = batch.slot();
        record.set_timestamp_start(Nanos(1_700_000_000_999_999_999));
        record.set_timestamp_max(Nanos(1_700_000_001_000_000_000));
        record.set_timestamp_arrival(Nanos(5));
        Seconds.enrich(&mut batch);
        let record = &batch.records()[0];
        assert_eq!(record.timestamp_start(), Nanos(1_700_000_000_000_000_000));
        assert_eq!(record.timestamp_end(), Nanos(1_700_000_001_000_000_000));
        assert_eq!(record.timestamp_arrival(), Nanos(0));
    }
}
