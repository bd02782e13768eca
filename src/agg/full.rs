//! What happens when a table is full.

use super::table::{Added, Table};
use crate::record::counter::BYTES;
use crate::record::{Field, FlowRecord, Schema};

/// The policies.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Full {
    /// Everything is delivered early and the table starts anew.
    #[default]
    Flush,
    /// New keys are counted in one visible row of zeroes (one for each bin).
    Fold,
    /// The smallest rows are delivered early to make room.
    Evict,
}

/// Entries kept free for fold rows: one for each bin that may be open at a time.
pub const FOLD_ROWS: usize = 8;

/// Rows an eviction looks at before it takes the smallest.
const CANDIDATES: usize = 8;

/// Counts `record` in the fold row of its bin. With more bins open than there are fold rows the
/// row without a bin takes it; that one always exists.
pub fn fold(table: &mut Table, key: &mut [u64], record: &FlowRecord, schema: &Schema) -> Added {
    let bin = schema.key.position(Field::Bin).map(|at| at / 8);
    for (at, word) in key.iter_mut().enumerate() {
        if Some(at) != bin {
            *word = 0;
        }
    }
    // The last place is kept for the row without a bin.
    if bin.is_some() && table.add_reserved(key, record, schema, 1) == Added::Counted {
        return Added::Counted;
    }
    key.fill(0);
    table.add_reserved(key, record, schema, 0)
}

/// Takes the smallest (by bytes) of a few rows out of the table and appends it to `out`; `hand`
/// goes round the table, so every row is looked at in turn.
pub fn evict(table: &mut Table, hand: &mut usize, schema: &Schema, out: &mut Vec<u64>) -> bool {
    if table.is_empty() {
        return false;
    }
    let bytes_at = schema.key.len() + BYTES;
    let size = |n: usize| table.row(n).get(bytes_at).copied().unwrap_or(0);
    let start = *hand % table.len();
    let candidates = (start..start + CANDIDATES.min(table.len())).map(|n| n % table.len());
    let Some(victim) = candidates.min_by_key(|n| size(*n)) else {
        return false;
    };
    *hand = start + CANDIDATES;
    out.extend_from_slice(table.row(victim));
    table.remove(victim);
    true
}
