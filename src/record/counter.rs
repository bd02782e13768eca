//! [`CounterPlan`]: what is summed, OR-ed, or kept as smallest, largest or last for each key.

use super::field::{Field, FieldSet, Merge};
use super::flow::FlowRecord;
use super::schema::Slot;

/// Positions of the counters that every row has.
pub const PACKETS: usize = 0;
/// See [`PACKETS`].
pub const BYTES: usize = 1;

/// One merged field: how, and where its value lies in the record.
#[derive(Clone, Copy, Debug)]
struct Merged {
    field: Field,
    how: Merge,
    slot: Slot,
    /// Where the record does not say, it is when it arrived.
    or_arrival: bool,
}

/// The counters behind each key, as words of eight bytes: packets, bytes, flows if wanted, then
/// one word for each merged field.
#[derive(Clone, Debug)]
pub struct CounterPlan {
    flows: bool,
    merged: Vec<Merged>,
}

impl CounterPlan {
    /// The plan for those of `fields` that are merged, with or without a count of flows.
    pub fn compile(fields: &[Field], flows: bool) -> Self {
        let mut merged: Vec<Merged> = Vec::new();
        for field in fields {
            let info = field.info();
            if info.merge != Merge::Key && !merged.iter().any(|m| m.field == *field) {
                merged.push(Merged {
                    field: *field,
                    how: info.merge,
                    slot: Slot::at(info.offset, info.kind.size()),
                    or_arrival: matches!(field, Field::TimestampMin | Field::TimestampMax),
                });
            }
        }
        Self { flows, merged }
    }

    /// Number of words.
    pub fn len(&self) -> usize {
        2 + usize::from(self.flows) + self.merged.len()
    }

    /// Never: packets and bytes are always there.
    pub fn is_empty(&self) -> bool {
        false
    }

    /// Word of the flow counter.
    pub fn flows_at(&self) -> Option<usize> {
        self.flows.then_some(2)
    }

    /// Word of a merged field.
    pub fn position(&self, field: Field) -> Option<usize> {
        let at = self.merged.iter().position(|m| m.field == field)?;
        Some(2 + usize::from(self.flows) + at)
    }

    /// Fields whose values are merged.
    pub fn needs(&self) -> FieldSet {
        self.merged.iter().map(|m| m.field).collect()
    }

    /// Adds one record to the counters of its key.
    #[inline(always)]
    pub fn add(&self, record: &FlowRecord, counters: &mut [u64]) {
        let Some((base, rest)) = counters.split_first_chunk_mut::<2>() else {
            return;
        };
        base[PACKETS] = base[PACKETS].wrapping_add(record.packets);
        base[BYTES] = base[BYTES].wrapping_add(record.bytes);
        if !rest.is_empty() {
            self.add_more(record, rest);
        }
    }

    /// Counters that not every row has.
    fn add_more(&self, record: &FlowRecord, rest: &mut [u64]) {
        if self.flows
            && let Some(flows) = rest.first_mut()
        {
            *flows = flows.wrapping_add(record.flows);
        }
        for (at, plan) in (usize::from(self.flows)..).zip(&self.merged) {
            let word = record.words().get(plan.slot.word).copied();
            let value = match plan.slot.cut(u64::from_ne_bytes(word.unwrap_or_default())) {
                0 if plan.or_arrival => record.time.0,
                value => value,
            };
            if let Some(slot) = rest.get_mut(at) {
                *slot = meet(plan.how, *slot, value);
            }
        }
    }

    /// Adds the counters of another row with the same key.
    pub fn merge(&self, from: &[u64], into: &mut [u64]) {
        let plain = 2 + usize::from(self.flows);
        for (at, (slot, value)) in into.iter_mut().zip(from).enumerate() {
            let how = at.checked_sub(plain).and_then(|m| self.merged.get(m));
            *slot = meet(how.map_or(Merge::Add, |m| m.how), *slot, *value);
        }
    }
}

/// What becomes of `old` when `new` arrives; a zero in `old` means that nothing came before.
#[inline]
fn meet(how: Merge, old: u64, new: u64) -> u64 {
    match how {
        Merge::Add => old.wrapping_add(new),
        Merge::Or => old | new,
        Merge::Min if old == 0 => new,
        Merge::Min if new == 0 => old,
        Merge::Min => old.min(new),
        Merge::Max => old.max(new),
        Merge::Key | Merge::Last => new,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::time::Nanos;

    #[test]
    fn counters_add_and_merged_fields_meet() {
        let fields = [
            Field::TcpFlags,
            Field::TimestampMin,
            Field::TimestampMax,
            Field::SrcHost,
        ];
        let plan = CounterPlan::compile(&fields, true);
        assert_eq!(plan.len(), 6);
        let mut counters = vec![0; plan.len()];
        for (flags, start, end) in [(2u8, 50, 60), (16, 40, 45), (1, 70, 90)] {
            let mut r = FlowRecord::new();
            r.set_tcp_flags(flags);
            r.set_timestamp_start(Nanos(start));
            r.set_timestamp_end(Nanos(end));
            (r.packets, r.bytes, r.flows) = (1, 100, 1);
            plan.add(&r, &mut counters);
        }
        assert_eq!(counters, [3, 300, 3, 19, 40, 90]);
        // A flow without times began and ended when it came.
        let mut late = FlowRecord::new();
        (late.packets, late.time) = (0, Nanos(95));
        plan.add(&late, &mut counters);
        assert_eq!(counters, [3, 300, 3, 19, 40, 95]);
        let other = [1, 1, 1, 32, 10, 20];
        plan.merge(&other, &mut counters);
        assert_eq!(counters, [4, 301, 4, 51, 10, 95]);
    }
}
