//! [`KeyPlan`]: from a list of fields to the packed key of a record.
//!
//! A key is the wanted words of a record, masked. Fields that lie in one word share it, so the
//! usual five-tuple is five loads and five ANDs, and a longer key costs what its words cost. Long
//! keys are packed by blocks of a few words, which the compiler turns into wide moves.

use super::field::{Field, FieldSet, Merge};
use super::flow::FlowRecord;
use std::slice;

/// The lines of a record that a set of fields touches; the batch zeroes them between two uses.
/// Lines rather than words: a few wide stores cost less than telling the words apart.
#[derive(Clone, Debug, Default)]
pub struct KeyLines(Box<[u16]>);

impl KeyLines {
    /// The lines of `fields`, ascending.
    pub fn of(fields: FieldSet) -> Self {
        let mut lines: Vec<u16> = fields.iter().flat_map(lines_of).collect();
        lines.sort_unstable();
        lines.dedup();
        Self(lines.into())
    }

    /// Zeroes them in `records`.
    #[inline]
    pub fn clear(&self, records: &mut [FlowRecord]) {
        for &line in &self.0 {
            for record in &mut *records {
                record.clear_line(usize::from(line));
            }
        }
    }
}

fn lines_of(field: Field) -> impl Iterator<Item = u16> {
    let (info, line) = (field.info(), FlowRecord::LINE);
    (info.offset / line..=(info.offset + info.kind.size() - 1) / line).map(|n| n as u16)
}

/// How the two ends of a flow exchange places, for the `sum_*` primitives.
const ENDS: &[(Field, Field)] = &[
    (Field::SrcHost, Field::DstHost),
    (Field::SrcNet, Field::DstNet),
    (Field::SrcPort, Field::DstPort),
    (Field::SrcAs, Field::DstAs),
    (Field::SrcMac, Field::DstMac),
];

/// Words that are packed at once.
const BLOCK: usize = 4;

/// Words of a record that follow each other, at the most [`BLOCK`]. What a shorter one writes
/// behind its words is overwritten by the block that follows.
#[derive(Clone, Copy, Debug)]
struct Block {
    masks: [u64; BLOCK],
    /// Place in the record and in the key.
    from: u16,
    to: u16,
    len: u16,
}

impl Block {
    /// Packs it for many records. Inside, the loop is a few wide loads, ANDs and stores.
    fn pack(&self, records: &[FlowRecord], keys: &mut [u64], width: usize) {
        let (from, to) = (usize::from(self.from), usize::from(self.to));
        for (record, key) in records.iter().zip(keys.chunks_exact_mut(width)) {
            let (words, len) = (record.words(), usize::from(self.len));
            let whole = (words.get(from..from + BLOCK), key.get_mut(to..to + BLOCK));
            // At the end of the record or of the key it is packed by its own length.
            let (words, key) = match whole {
                (Some(words), Some(key)) => (words, key),
                _ => (&words[from..from + len], &mut key[to..to + len]),
            };
            for ((out, word), mask) in key.iter_mut().zip(words).zip(&self.masks) {
                *out = u64::from_ne_bytes(*word) & mask;
            }
        }
    }
}

/// Cuts words, with their masks, into blocks: each run of neighbours from the front, where the
/// last block of a long run begins so early that it is a whole one.
fn blocks(words: &[u16], masks: &[u64]) -> Box<[Block]> {
    let (mut blocks, mut to) = (Vec::new(), 0);
    for run in words.chunk_by(|a, b| a + 1 == *b) {
        let len = run.len().min(BLOCK);
        for start in (0..run.len()).step_by(BLOCK) {
            let start = start.min(run.len() - len);
            let mut block = Block {
                masks: [0; BLOCK],
                from: run[start],
                to: (to + start) as u16,
                len: len as u16,
            };
            block.masks[..len].copy_from_slice(&masks[to + start..to + start + len]);
            blocks.push(block);
        }
        to += run.len();
    }
    blocks.into()
}

/// A list of fields, compiled.
#[derive(Clone, Debug)]
pub struct KeyPlan {
    words: Box<[u16]>,
    /// What of each word belongs to the key.
    masks: Box<[u64]>,
    /// The first word, if all follow it without a gap.
    stretch: Option<usize>,
    /// The words as blocks.
    blocks: Box<[Block]>,
    fields: Vec<Field>,
    swap: Vec<(Field, Field)>,
}

impl KeyPlan {
    /// Compiles `fields`; those that are merged rather than keys are left out.
    pub fn compile(fields: &[Field]) -> Self {
        let mut masks = [0u64; FlowRecord::WORDS];
        let mut keys: Vec<Field> = fields
            .iter()
            .copied()
            .filter(|f| f.info().merge == Merge::Key)
            .collect();
        keys.sort_by_key(|f| f.info().offset);
        keys.dedup();
        for field in &keys {
            let info = field.info();
            for at in info.offset..info.offset + info.kind.size() {
                let mut byte = [0u8; 8];
                byte[at % 8] = 0xff;
                masks[at / 8] |= u64::from_ne_bytes(byte);
            }
        }
        let used = |at: &usize| masks[*at] != 0;
        let words: Box<[u16]> = (0..masks.len()).filter(used).map(|at| at as u16).collect();
        let masks: Box<[u64]> = words.iter().map(|at| masks[usize::from(*at)]).collect();
        let stretch = match (words.first(), words.last()) {
            (Some(&first), Some(&last)) if usize::from(last - first) + 1 == words.len() => {
                Some(usize::from(first))
            }
            _ => None,
        };
        Self {
            blocks: blocks(&words, &masks),
            masks,
            words,
            stretch,
            fields: keys,
            swap: Vec::new(),
        }
    }

    /// Makes the plan count every record under both of its ends (`sum_host` and its sisters).
    /// The key holds the source side's fields; [`swapped`](Self::swapped) gives the other end.
    pub fn both_ends(mut self) -> Self {
        self.swap = ENDS
            .iter()
            .copied()
            .filter(|(src, _)| self.fields.contains(src))
            .collect();
        self
    }

    /// Whether each record counts twice, once under each end.
    pub fn counts_both_ends(&self) -> bool {
        !self.swap.is_empty()
    }

    /// The record with its ends exchanged, for the second count; twice gives the record back.
    pub fn swapped(&self, record: &FlowRecord) -> FlowRecord {
        let mut other = *record;
        for (src, dst) in &self.swap {
            let (src, dst) = (src.info(), dst.info());
            let len = src.kind.size();
            for (to, from) in [(src, dst), (dst, src)] {
                other
                    .slot(to.offset, len)
                    .copy_from_slice(record.bytes_at(from.offset, len));
            }
        }
        other
    }

    /// Length of a key in words of eight bytes.
    pub fn len(&self) -> usize {
        self.words.len()
    }

    /// Whether there is no key at all: one grand total.
    pub fn is_empty(&self) -> bool {
        self.words.is_empty()
    }

    /// The key fields, in the order of the record.
    pub fn fields(&self) -> &[Field] {
        &self.fields
    }

    /// Fields a record must carry for this plan: the keys, and the far ends of a double count.
    pub fn needs(&self) -> FieldSet {
        let ends = self.swap.iter().map(|(_, dst)| *dst);
        self.fields.iter().copied().chain(ends).collect()
    }

    /// Byte position of `field` inside the packed key.
    pub fn position(&self, field: Field) -> Option<usize> {
        let info = field.info();
        if !self.fields.contains(&field) {
            return None;
        }
        let word = self
            .words
            .iter()
            .position(|word| usize::from(*word) == info.offset / 8)?;
        Some(word * 8 + info.offset % 8)
    }

    /// Packs the key of `record` into `key`, which has [`len`](Self::len) words.
    pub fn pack(&self, record: &FlowRecord, key: &mut [u64]) {
        self.pack_all(slice::from_ref(record), key);
    }

    /// Packs the keys of `records` into `keys`, one behind the other. The usual lengths have code
    /// of their own: two addresses, the five-tuple, the same in bins.
    pub fn pack_all(&self, records: &[FlowRecord], keys: &mut [u64]) {
        match (self.stretch, self.len()) {
            (Some(first), 4) => self.pack_stretch::<4>(first, records, keys),
            (Some(first), 5) => self.pack_stretch::<5>(first, records, keys),
            (Some(first), 6) => self.pack_stretch::<6>(first, records, keys),
            (_, len) => {
                for block in &self.blocks {
                    block.pack(records, keys, len.max(1));
                }
            }
        }
    }

    fn pack_stretch<const N: usize>(&self, first: usize, records: &[FlowRecord], keys: &mut [u64]) {
        let Some(masks) = self.masks.first_chunk::<N>() else {
            return;
        };
        for (record, key) in records.iter().zip(keys.as_chunks_mut::<N>().0) {
            if let Some(words) = record.words().get(first..first + N) {
                // In its place: an array that is made first is copied there by small builds.
                for ((out, word), mask) in key.iter_mut().zip(words).zip(masks) {
                    *out = u64::from_ne_bytes(*word) & mask;
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::addr::Ip;
    use crate::record::FIELDS;
    use proptest::prelude::*;

    #[test]
    fn a_five_tuple_is_five_words() {
        use Field::*;
        let plan = KeyPlan::compile(&[Proto, SrcHost, DstPort, DstHost, SrcPort]);
        assert_eq!(plan.len(), 5);
        assert_eq!(plan.position(SrcHost), Some(0));
        assert_eq!(plan.position(DstPort), Some(34));
        let mut a = FlowRecord::new();
        a.set_src_host(Ip::v4([192, 0, 2, 1]));
        a.set_dst_port(443);
        a.set_proto(6);
        let mut b = a;
        b.set_tos(7); // in the same word as the ports, but not wanted
        let (mut ka, mut kb) = ([0; 5], [0; 5]);
        plan.pack(&a, &mut ka);
        plan.pack(&b, &mut kb);
        assert_eq!(ka, kb);
        b.set_src_port(1);
        plan.pack(&b, &mut kb);
        assert_ne!(ka, kb);
    }

    /// A record with other bytes everywhere.
    fn noise(seed: usize) -> FlowRecord {
        let mut record = FlowRecord::new();
        for at in 0..FlowRecord::DATA {
            record.slot(at, 1)[0] = (at * 7 + seed * 31 + 3) as u8;
        }
        record
    }

    /// A batch of records is packed to what their fields hold, and to nothing else.
    fn packs_its_fields(plan: &KeyPlan) {
        let records: Vec<_> = (0..5).map(noise).collect();
        let len = plan.len().max(1);
        let mut keys = vec![u64::MAX; records.len() * len];
        plan.pack_all(&records, &mut keys);
        for (record, key) in records.iter().zip(keys.chunks_exact(len)) {
            let mut left: Vec<u8> = key[..plan.len()]
                .iter()
                .flat_map(|word| word.to_ne_bytes())
                .collect();
            for field in plan.fields() {
                let (at, info) = (plan.position(*field).unwrap(), field.info());
                let size = info.kind.size();
                assert_eq!(left[at..at + size], *record.bytes_at(info.offset, size));
                left[at..at + size].fill(0);
            }
            assert!(left.iter().all(|byte| *byte == 0), "what nobody asked for");
        }
    }

    #[test]
    fn keys_without_a_gap_and_of_everything_pack_their_fields() {
        use Field::*;
        let lists: [&[Field]; 7] = [
            &[],
            &[SrcPort],
            &[SrcHost, DstHost],
            &[SrcHost, DstHost, SrcPort, DstPort, Proto],
            &[SrcHost, DstHost, SrcPort, DstPort, Proto, InIface],
            &[SrcHost, DstHost, SrcPort, InIface, SrcAs],
            &FIELDS.iter().map(|i| i.field).collect::<Vec<_>>(),
        ];
        for list in lists {
            packs_its_fields(&KeyPlan::compile(list));
        }
    }

    proptest! {
        #[test]
        fn any_key_packs_its_fields(
            picks in prop::collection::vec(0..FIELDS.len(), 0..60),
            run in (0..FIELDS.len(), 0..40usize),
        ) {
            let run = FIELDS.iter().skip(run.0).take(run.1);
            let fields: Vec<Field> = picks.iter().map(|n| &FIELDS[*n]).chain(run)
                .map(|info| info.field)
                .collect();
            packs_its_fields(&KeyPlan::compile(&fields));
        }
    }

    #[test]
    fn lines_of_wanted_fields_are_cleared() {
        for info in FIELDS {
            let mut r = FlowRecord::new();
            r.slot(0, FlowRecord::DATA).fill(0xff);
            KeyLines::of(FieldSet::of(&[info.field])).clear(slice::from_mut(&mut r));
            let cleared = r.bytes_at(info.offset, info.kind.size());
            assert!(cleared.iter().all(|byte| *byte == 0), "{}", info.name);
        }
    }

    #[test]
    fn a_sum_counts_the_other_end_under_the_same_field() {
        let plan = KeyPlan::compile(&[Field::SrcHost]).both_ends();
        let mut r = FlowRecord::new();
        r.set_src_host(Ip::v4([192, 0, 2, 1]));
        r.set_dst_host(Ip::v4([198, 51, 100, 2]));
        assert_eq!(plan.swapped(&r).src_host(), Ip::v4([198, 51, 100, 2]));
        let twice = plan.swapped(&plan.swapped(&r));
        let ends = (Ip::v4([192, 0, 2, 1]), Ip::v4([198, 51, 100, 2]));
        assert_eq!((twice.src_host(), twice.dst_host()), ends);
        assert!(plan.needs().has(Field::DstHost));
    }
}
