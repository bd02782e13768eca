//! [`Pattern`]: bits of a record that must have certain values, and fields that must be there.
//!
//! All that a map can ask of a record by equality is a pattern: a number, an address, a prefix,
//! one bit of a MAC address. So patterns of the same bits can share an index. A field that is not
//! there equals nothing.

use crate::base::addr::{Ip, Mac, Prefix};
use crate::record::{Field, FieldSet, FlowRecord};

/// What a record must be like.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Pattern {
    /// Words of the record, ascending, with the bits that count and their values.
    words: Vec<(u16, u64, u64)>,
    /// Fields that must be there.
    present: FieldSet,
    /// Fields that must not.
    absent: FieldSet,
}

impl Pattern {
    /// What every record is like.
    pub const ANY: Self = Self {
        words: Vec::new(),
        present: FieldSet::EMPTY,
        absent: FieldSet::EMPTY,
    };

    /// The bytes of a field, of which the bits of `mask` count.
    fn bytes(field: Field, mask: &[u8], value: &[u8]) -> Self {
        let mut pattern = Self {
            present: FieldSet::of(&[field]),
            ..Self::ANY
        };
        let start = field.info().offset;
        for (at, (mask, value)) in mask.iter().zip(value).enumerate() {
            let (word, byte) = ((start + at) / 8, (start + at) % 8);
            let (mut masks, mut values) = ([0; 8], [0; 8]);
            (masks[byte], values[byte]) = (*mask, value & mask);
            pattern.bits(
                word as u16,
                u64::from_ne_bytes(masks),
                u64::from_ne_bytes(values),
            );
        }
        pattern
    }

    /// Adds bits of a word, which must not be contradicted.
    fn bits(&mut self, word: u16, mask: u64, value: u64) -> bool {
        if mask == 0 {
            return true;
        }
        match self.words.binary_search_by_key(&word, |(at, ..)| *at) {
            Ok(at) => {
                let (_, masks, values) = &mut self.words[at];
                let fits = (*values ^ value) & *masks & mask == 0;
                *masks |= mask;
                *values |= value;
                fits
            }
            Err(at) => {
                self.words.insert(at, (word, mask, value));
                true
            }
        }
    }

    /// A number of which the bits of `mask` count.
    pub fn masked(field: Field, mask: u64, value: u64) -> Self {
        let size = field.info().kind.size().min(8);
        Self::bytes(field, &native(mask, size), &native(value, size))
    }

    /// A number.
    pub fn number(field: Field, value: u64) -> Self {
        Self::masked(field, u64::MAX, value)
    }

    /// An address.
    pub fn address(field: Field, ip: Ip) -> Self {
        Self::bytes(field, &[0xff; 16], &ip.0)
    }

    /// A MAC address.
    pub fn mac(field: Field, mac: Mac) -> Self {
        Self::bytes(field, &[0xff; 6], &mac.0)
    }

    /// A MAC address for one or for many.
    pub fn multicast(field: Field, is: bool) -> Self {
        Self::bytes(field, &[1, 0, 0, 0, 0, 0], &[u8::from(is), 0, 0, 0, 0, 0])
    }

    /// An address that begins like this; for a prefix that spans IPv4's mapped block, the
    /// addresses of that do too.
    pub fn prefix(field: Field, prefix: Prefix) -> Self {
        Self::bytes(field, &prefix.mask().0, &prefix.first().0)
    }

    /// A field that is there, or that is not.
    pub fn has(field: Field, is: bool) -> Self {
        let (one, none) = (FieldSet::of(&[field]), FieldSet::EMPTY);
        let (present, absent) = if is { (one, none) } else { (none, one) };
        Self {
            present,
            absent,
            ..Self::ANY
        }
    }

    /// What is like both; none when nothing can be.
    pub fn and(&self, other: &Self) -> Option<Self> {
        let mut both = self.clone();
        both.present = both.present.union(other.present);
        both.absent = both.absent.union(other.absent);
        let mut fits = !both.present.any(both.absent);
        for (word, mask, value) in &other.words {
            fits &= both.bits(*word, *mask, *value);
        }
        fits.then_some(both)
    }

    /// Whether the record is like this.
    #[inline]
    pub fn matches(&self, record: &FlowRecord) -> bool {
        let words = record.words();
        let alike = |(at, mask, value): &(u16, u64, u64)| {
            let word = words.get(usize::from(*at)).copied().unwrap_or_default();
            u64::from_ne_bytes(word) & mask == *value
        };
        self.fits(record) && self.words.iter().all(alike)
    }

    /// Whether the record has what must be there, and not what must not.
    #[inline]
    fn fits(&self, record: &FlowRecord) -> bool {
        record.present.all(self.present) && !record.present.any(self.absent)
    }

    /// Words with the bits that count and their values.
    pub fn words(&self) -> &[(u16, u64, u64)] {
        &self.words
    }

    /// Fields that must be there, and that must not.
    pub fn presence(&self) -> (FieldSet, FieldSet) {
        (self.present, self.absent)
    }

    /// Fields it looks at.
    pub fn needs(&self) -> FieldSet {
        self.present.union(self.absent)
    }

    /// Bytes it takes.
    pub fn size(&self) -> usize {
        size_of::<Self>() + self.words.capacity() * size_of::<(u16, u64, u64)>()
    }
}

/// The last `size` bytes of a number, in the machine's order.
fn native(number: u64, size: usize) -> Vec<u8> {
    let all = number.to_be_bytes();
    let mut bytes = all.get(all.len() - size..).unwrap_or(&all).to_vec();
    if cfg!(target_endian = "little") {
        bytes.reverse();
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    fn prefix(text: &str) -> Prefix {
        Prefix::parse(text).unwrap()
    }

    #[test]
    fn numbers_addresses_and_bits_are_compared_where_they_lie() {
        let mut r = FlowRecord::new();
        r.set_in_iface(7);
        r.set_out_iface(0x0102_0304);
        r.set_vlan(300);
        r.set_tag(u64::MAX - 1);
        r.set_dst_mac(Mac([1, 0, 0x5e, 0, 0, 9]));
        r.set_src_host(Ip::v4([192, 0, 2, 129]));
        r.set_peer_src_ip(prefix("2001:db8::1").first());
        for (pattern, want) in [
            (Pattern::number(Field::InIface, 7), true),
            (Pattern::number(Field::InIface, 8), false),
            (Pattern::number(Field::OutIface, 0x0102_0304), true),
            (Pattern::masked(Field::OutIface, 0xff00, 0x0300), true),
            (Pattern::masked(Field::OutIface, 0xff00, 0x0400), false),
            (Pattern::number(Field::Vlan, 300), true),
            (Pattern::number(Field::Tag, u64::MAX - 1), true),
            (Pattern::number(Field::Tag2, 0), false),
            (
                Pattern::mac(Field::DstMac, Mac([1, 0, 0x5e, 0, 0, 9])),
                true,
            ),
            (Pattern::multicast(Field::DstMac, true), true),
            (Pattern::multicast(Field::DstMac, false), false),
            (
                Pattern::address(Field::SrcHost, Ip::v4([192, 0, 2, 129])),
                true,
            ),
            (
                Pattern::prefix(Field::SrcHost, prefix("192.0.2.128/25")),
                true,
            ),
            (
                Pattern::prefix(Field::SrcHost, prefix("192.0.2.0/25")),
                false,
            ),
            (Pattern::prefix(Field::SrcHost, prefix("0.0.0.0/0")), true),
            (
                Pattern::prefix(Field::PeerSrcIp, prefix("0.0.0.0/0")),
                false,
            ),
            (
                Pattern::prefix(Field::PeerSrcIp, prefix("2001:db8::/61")),
                true,
            ),
            (Pattern::prefix(Field::PeerSrcIp, prefix("::/0")), true),
            (Pattern::has(Field::Vlan, true), true),
            (Pattern::has(Field::Vlan, false), false),
            (Pattern::has(Field::Tag2, false), true),
            (Pattern::ANY, true),
        ] {
            assert_eq!(pattern.matches(&r), want, "{pattern:?}");
        }
    }

    #[test]
    fn both_is_what_both_say_unless_they_contradict() {
        let input = |n| Pattern::number(Field::InIface, n);
        let both = input(7).and(&Pattern::number(Field::OutIface, 9)).unwrap();
        assert_eq!(both.words().len(), 1, "they share a word");
        let mut r = FlowRecord::new();
        r.set_in_iface(7);
        assert!(!both.matches(&r));
        r.set_out_iface(9);
        assert!(both.matches(&r));
        assert_eq!(input(7).and(&input(8)), None);
        assert_eq!(input(7).and(&input(7)), Some(input(7)));
        assert_eq!(input(7).and(&Pattern::has(Field::InIface, false)), None);
    }
}
