//! [`KeyPlan`]: from a list of fields to the packed key of a record.
//!
//! A key is the wanted words of a record, masked. Fields that lie in one word share it, so the
//! usual five-tuple is five loads and five ANDs, and a longer key costs what its words cost.

use super::field::{Field, FieldSet, Merge};
use super::flow::FlowRecord;

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

    /// Zeroes them in `record`.
    #[inline]
    pub fn clear(&self, record: &mut FlowRecord) {
        for &line in &self.0 {
            record.clear_line(usize::from(line));
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

/// A list of fields, compiled.
#[derive(Clone, Debug)]
pub struct KeyPlan {
    words: Box<[u16]>,
    /// What of each word belongs to the key.
    masks: Box<[u64]>,
    /// The first word, if all follow it without a gap; then packing needs no list.
    stretch: Option<usize>,
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
        let stretch = match (words.first(), words.last()) {
            (Some(&first), Some(&last)) if usize::from(last - first) + 1 == words.len() => {
                Some(usize::from(first))
            }
            _ => None,
        };
        Self {
            masks: words.iter().map(|at| masks[usize::from(*at)]).collect(),
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

    /// Packs the key of `record` into `key`, which has [`len`](Self::len) words. Where the
    /// compiler knows that length there is no loop left.
    #[inline(always)]
    pub fn pack(&self, record: &FlowRecord, key: &mut [u64]) {
        let (words, len) = (record.words(), key.len());
        let Some(masks) = self.masks.get(..len) else {
            return;
        };
        if let Some(first) = self.stretch
            && let Some(stretch) = words.get(first..first + len)
        {
            for ((out, mask), word) in key.iter_mut().zip(masks).zip(stretch) {
                *out = u64::from_ne_bytes(*word) & mask;
            }
            return;
        }
        for ((out, mask), at) in key.iter_mut().zip(masks).zip(&self.words) {
            let word = words.get(usize::from(*at)).copied().unwrap_or_default();
            *out = u64::from_ne_bytes(word) & mask;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::addr::Ip;
    use crate::record::FIELDS;

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

    #[test]
    fn a_key_with_gaps_packs_what_a_stretch_packs() {
        use Field::*;
        let lists: [&[Field]; 5] = [
            &[SrcHost, DstHost, SrcPort, DstPort, Proto],
            &[SrcPort],
            &[SrcHost, Proto],
            &[DstHost, Vlan, SrcMac, PeerSrcIp],
            &FIELDS.iter().map(|i| i.field).collect::<Vec<_>>(),
        ];
        let mut r = FlowRecord::new();
        for at in 0..FlowRecord::DATA {
            r.slot(at, 1)[0] = (at * 7 + 3) as u8;
        }
        for list in lists {
            let plan = KeyPlan::compile(list);
            let listed = KeyPlan {
                stretch: None,
                ..plan.clone()
            };
            let (mut key, mut other) = (vec![0; plan.len()], vec![1; plan.len()]);
            plan.pack(&r, &mut key);
            listed.pack(&r, &mut other);
            assert_eq!(key, other);
            let bytes: Vec<u8> = key.iter().flat_map(|word| word.to_ne_bytes()).collect();
            let mut left = bytes.clone();
            for field in plan.fields() {
                let (at, size) = (plan.position(*field).unwrap(), field.info().kind.size());
                assert_eq!(bytes[at..at + size], *r.bytes_at(field.info().offset, size));
                left[at..at + size].fill(0);
            }
            assert!(left.iter().all(|byte| *byte == 0), "what nobody asked for");
        }
    }

    #[test]
    fn lines_of_wanted_fields_are_cleared() {
        for info in FIELDS {
            let mut r = FlowRecord::new();
            r.slot(0, FlowRecord::DATA).fill(0xff);
            KeyLines::of(FieldSet::of(&[info.field])).clear(&mut r);
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
