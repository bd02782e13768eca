//! [`Lpm`]: the value of the longest prefix that an address lies in.
//!
//! Built whole from a list, then only read. The prefixes are cut into ranges that do not overlap,
//! each with the value of the longest prefix over it, and neighbours of equal value are one; a
//! look-up is a short binary search behind an index of the first bits. A million prefixes take
//! some ten megabytes, and none of it is pointers. Not for tables that change row by row.

use super::addr::{Ip, Prefix};

/// The value of addresses in no prefix.
pub const NONE: u32 = u32::MAX;

/// Most bits of an index: four bytes for each of its places.
const INDEX_BITS: u32 = 18;

/// An address, or as much of its front as tells prefixes apart.
trait Number: Copy + Ord {
    const ZERO: Self;
    /// From the front of an address of 128 bits.
    fn front(of: u128) -> Self;
    /// The number after this one; none after the last.
    fn next(self) -> Option<Self>;
    /// Its first `bits` bits as a number; at the most 32 of them.
    fn top(self, bits: u32) -> usize;
}

macro_rules! numbers {
    ($($t:ty),*) => { $(
        impl Number for $t {
            const ZERO: Self = 0;
            fn front(of: u128) -> Self {
                (of >> (128 - <$t>::BITS)) as Self
            }
            fn next(self) -> Option<Self> {
                self.checked_add(1)
            }
            #[inline]
            fn top(self, bits: u32) -> usize {
                self.checked_shr(<$t>::BITS - bits).unwrap_or(0) as usize
            }
        }
    )* };
}
numbers!(u32, u64, u128);

/// Ranges of one family.
#[derive(Debug)]
struct Ranges<T> {
    /// First addresses, ascending, each with the value of its range; the first is zero. Next to
    /// each other, so that what a search ends at is there already.
    starts: Box<[(T, u32)]>,
    /// For each number of `bits` bits, the range in which addresses beginning with it begin; and
    /// one more at the end.
    index: Box<[u32]>,
    bits: u32,
}

impl<T: Number> Ranges<T> {
    /// Cuts prefixes, each as first and last address and value, sorted by first address and then
    /// by length, the shorter first.
    fn cut(prefixes: impl Iterator<Item = (T, T, u32)>) -> Self {
        let mut cut = Cut(vec![(T::ZERO, NONE)]);
        let mut open: Vec<(T, u32)> = Vec::new();
        for (first, last, value) in prefixes {
            while let Some((end, _)) = open.last().copied().filter(|(end, _)| *end < first) {
                cut.close(end, &mut open);
            }
            cut.push(first, value);
            open.push((last, value));
        }
        while let Some((end, _)) = open.last().copied() {
            cut.close(end, &mut open);
        }
        Self::indexed(cut.0)
    }

    fn indexed(starts: Vec<(T, u32)>) -> Self {
        let bits = starts.len().ilog2().saturating_sub(2).min(INDEX_BITS);
        let mut index = Vec::with_capacity((1 << bits) + 1);
        let mut at = 0;
        for place in 0..=1usize << bits {
            while starts
                .get(at + 1)
                .is_some_and(|(next, _)| next.top(bits) < place)
            {
                at += 1;
            }
            index.push(at as u32);
        }
        Self {
            starts: starts.into(),
            index: index.into(),
            bits,
        }
    }

    #[inline]
    fn find(&self, address: T) -> u32 {
        let place = address.top(self.bits);
        let at = |place: usize| self.index.get(place).copied().unwrap_or(0) as usize;
        let (least, most) = (at(place), at(place + 1));
        let some = self.starts.get(least..most + 1).unwrap_or_default();
        // The first of them begins before the address, or with it.
        let behind = some.partition_point(|(start, _)| *start <= address);
        let found = behind.checked_sub(1).and_then(|at| some.get(at));
        found.map_or(NONE, |(_, value)| *value)
    }

    fn size(&self) -> usize {
        self.starts.len() * size_of::<(T, u32)>() + self.index.len() * 4
    }
}

/// Ranges while they are being cut.
struct Cut<T>(Vec<(T, u32)>);

impl<T: Number> Cut<T> {
    /// From `start` on it is `value`.
    fn push(&mut self, start: T, value: u32) {
        self.0.pop_if(|(last, _)| *last == start);
        // Neighbours of equal value are one range; the first must be there in any case.
        if self.0.last().is_none_or(|(_, last)| *last != value) {
            self.0.push((start, value));
        }
    }

    /// The innermost open prefix ends with `end`; the one around it goes on.
    fn close(&mut self, end: T, open: &mut Vec<(T, u32)>) {
        open.pop();
        if let Some(next) = end.next() {
            self.push(next, open.last().map_or(NONE, |(_, value)| *value));
        }
    }
}

/// Ranges of IPv6: of whole addresses only where some prefix is longer than 64 bits.
#[derive(Debug)]
enum Six {
    Half(Ranges<u64>),
    Whole(Ranges<u128>),
}

/// Longest-prefix look-up for both families.
#[derive(Debug)]
pub struct Lpm {
    four: Ranges<u32>,
    six: Six,
}

/// First and last address of a prefix, as numbers, and its value.
fn ends((prefix, value): &(Prefix, u32)) -> (u128, u128, u32) {
    let first = u128::from_be_bytes(prefix.first().0);
    (first, first | !u128::from_be_bytes(prefix.mask().0), *value)
}

impl Lpm {
    /// Bytes for each prefix while a table is being built, beside the table itself.
    pub const BUILDING: usize = 2 * size_of::<(Prefix, u32)>();

    /// A table of `prefixes`, each with its value, which is below [`NONE`]. Of equal prefixes the
    /// first one counts.
    pub fn new(mut prefixes: Vec<(Prefix, u32)>) -> Self {
        // Stable, so that the first of equal ones stays the first.
        prefixes.sort_by_key(|(prefix, _)| (!prefix.is_v4(), *prefix));
        prefixes.dedup_by_key(|(prefix, _)| *prefix);
        let (four, six) = prefixes.split_at(prefixes.partition_point(|(p, _)| p.is_v4()));
        let low = |(first, last, value)| (first as u32, last as u32, value);
        let whole = six.iter().any(|(prefix, _)| prefix.len() > 64);
        Self {
            four: Ranges::cut(four.iter().map(ends).map(low)),
            six: if whole {
                Six::Whole(Ranges::cut(six.iter().map(ends)))
            } else {
                let high = |(first, last, value)| (u64::front(first), u64::front(last), value);
                Six::Half(Ranges::cut(six.iter().map(ends).map(high)))
            },
        }
    }

    /// The value of the longest prefix that holds `ip`, or [`NONE`].
    #[inline]
    pub fn find(&self, ip: Ip) -> u32 {
        if let Some(four) = ip.as_v4() {
            return self.four.find(u32::from_be_bytes(four));
        }
        let number = u128::from_be_bytes(ip.0);
        match &self.six {
            Six::Half(ranges) => ranges.find(u64::front(number)),
            Six::Whole(ranges) => ranges.find(number),
        }
    }

    /// Bytes it takes.
    pub fn size(&self) -> usize {
        let six = match &self.six {
            Six::Half(ranges) => ranges.size(),
            Six::Whole(ranges) => ranges.size(),
        };
        self.four.size() + six
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn prefix(text: &str) -> Prefix {
        Prefix::parse(text).unwrap()
    }

    fn ip(text: &str) -> Ip {
        prefix(text).first()
    }

    /// The same by looking at every prefix.
    fn slow(prefixes: &[(Prefix, u32)], ip: Ip) -> u32 {
        let inside = prefixes.iter().filter(|(prefix, _)| prefix.holds(ip));
        // Of equal lengths the first.
        let best = inside.rev().max_by_key(|(prefix, _)| prefix.len());
        best.map_or(NONE, |(_, value)| *value)
    }

    #[test]
    fn the_longest_prefix_wins_and_gaps_have_no_value() {
        let table = Lpm::new(vec![
            (prefix("10.0.0.0/8"), 1),
            (prefix("10.1.0.0/16"), 2),
            (prefix("10.1.2.0/24"), 3),
            (prefix("10.1.2.0/24"), 9),
            (prefix("255.255.255.255"), 4),
            (prefix("::/0"), 5),
            (prefix("2001:db8::/32"), 6),
        ]);
        for (address, want) in [
            ("10.0.0.0", 1),
            ("9.255.255.255", NONE),
            ("10.1.0.0", 2),
            ("10.1.2.255", 3),
            ("10.1.3.0", 2),
            ("10.2.0.0", 1),
            ("11.0.0.0", NONE),
            ("255.255.255.255", 4),
            ("255.255.255.254", NONE),
            ("::", 5),
            ("2001:db8:ffff::1", 6),
            ("2001:db9::", 5),
            ("ffff::", 5),
        ] {
            assert_eq!(table.find(ip(address)), want, "{address}");
        }
        assert_eq!(Lpm::new(Vec::new()).find(ip("10.0.0.1")), NONE);
        let all = Lpm::new(vec![(prefix("0.0.0.0/0"), 7)]);
        assert_eq!(all.find(ip("0.0.0.0")), 7);
        assert_eq!(all.find(ip("255.255.255.255")), 7);
        assert_eq!(all.find(ip("::1")), NONE);
    }

    /// Addresses and prefixes close enough to each other to meet.
    fn address() -> impl Strategy<Value = Ip> {
        let four = (0..4u8, 0..4u8, any::<u8>()).prop_map(|(a, b, c)| Ip::v4([10, a, b, c]));
        let six = (0..4u8, 0..4u8, 0..4u8, any::<u8>()).prop_map(|(a, b, c, d)| {
            let mut ip = [0x20, a, 0, 0, 0, 0, b, 0, 0, 0, 0, 0, 0, 0, 0, 0];
            (ip[9], ip[15]) = (c, d);
            Ip(ip)
        });
        prop_oneof![four, six]
    }

    proptest! {
        #[test]
        fn every_address_has_the_value_that_a_walk_over_all_prefixes_finds(
            list in prop::collection::vec((address(), 0..=128u8, 0..6u32), 0..60),
            asked in prop::collection::vec(address(), 50),
        ) {
            let list: Vec<_> = list
                .into_iter()
                .map(|(ip, len, value)| (Prefix::new(ip, len), value))
                .collect();
            let table = Lpm::new(list.clone());
            let edges = list.iter().flat_map(|(prefix, _)| {
                let (first, last, _) = ends(&(*prefix, 0));
                [first, last, first.wrapping_sub(1), last.wrapping_add(1)]
                    .map(|n| Ip(n.to_be_bytes()))
            });
            for ip in asked.into_iter().chain(edges) {
                prop_assert_eq!(table.find(ip), slow(&list, ip), "{}", ip);
            }
        }
    }

    #[test]
    fn scattered_prefixes_take_some_twenty_bytes_each() {
        // Both families, as scattered as can be, each with a value of its own.
        let four = (0..80_000u32).map(|n| {
            let ip = n.wrapping_mul(0x9e37_79b1).to_be_bytes();
            (Prefix::new(Ip::v4(ip), 20 + (n % 5) as u8), n)
        });
        let six = (0..20_000u32).map(|n| {
            let mut ip = [0; 16];
            ip[0] = 0x20;
            ip[2..6].copy_from_slice(&n.wrapping_mul(0x9e37_79b1).to_be_bytes());
            (Prefix::new(Ip(ip), 32 + (n % 17) as u8), n)
        });
        let list: Vec<_> = four.chain(six).collect();
        let (sample, total) = (list[12_345], list.len());
        let table = Lpm::new(list);
        assert!(table.size() < 24 * total, "{}", table.size());
        assert_ne!(table.find(sample.0.first()), NONE);
    }
}
