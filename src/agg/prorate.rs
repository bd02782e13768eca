//! Splitting a flow's counters over the bins that it spans.
//!
//! Shares are as long as their parts of the flow, and what rounding leaves goes to the later bin,
//! so that the parts add up to the whole. Not for whether a stated time is believed.

use crate::base::time::Nanos;

/// Most bins a flow is split over: whoever states times must not choose how many rows a record
/// makes.
pub const BINS_MAX: u64 = 100;

/// A flow's counters, to be taken share by share.
#[derive(Clone, Copy, Debug)]
pub struct Shares {
    start: u64,
    length: u64,
    total: [u64; 2],
    given: [u64; 2],
}

impl Shares {
    /// Of a flow from `start` to `end` with so many packets and bytes; none when it has no length.
    pub fn new(start: Nanos, end: Nanos, total: [u64; 2]) -> Option<Self> {
        let length = end.0.checked_sub(start.0).filter(|length| *length > 0)?;
        Some(Self {
            start: start.0,
            length,
            total,
            given: [0; 2],
        })
    }

    /// The share up to `until`, without those taken before. From the flow's end on it is the rest.
    pub fn up_to(&mut self, until: Nanos) -> [u64; 2] {
        let part = until.0.saturating_sub(self.start).min(self.length);
        let mut share = [0; 2];
        for ((share, total), given) in share.iter_mut().zip(self.total).zip(&mut self.given) {
            let sum = part_of(total, part, self.length);
            *share = sum.saturating_sub(*given);
            *given += *share;
        }
        share
    }
}

/// `total` × `part` ÷ `length`, where `part` is not more than `length`. Bit by bit, since a
/// library's division of 128 bits takes room in a small program and nothing else needs it.
fn part_of(total: u64, part: u64, length: u64) -> u64 {
    let mut rest = u128::from(total) * u128::from(part);
    let mut sum = 0;
    for bit in (0..64).rev() {
        let step = u128::from(length) << bit;
        if step <= rest {
            rest -= step;
            sum |= 1 << bit;
        }
    }
    sum
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn shares_are_as_long_as_the_parts() {
        // A minute and a half over two bins, of which the second has a minute.
        let mut shares = Shares::new(Nanos(30), Nanos(120), [9, 900]).unwrap();
        assert_eq!(shares.up_to(Nanos(60)), [3, 300]);
        assert_eq!(shares.up_to(Nanos(120)), [6, 600]);
        let mut one = Shares::new(Nanos(0), Nanos(3), [1, 40]).unwrap();
        let all = [1, 2, 3].map(|at| one.up_to(Nanos(at)));
        assert_eq!(all, [[0, 13], [0, 13], [1, 14]]);
        assert!(Shares::new(Nanos(5), Nanos(5), [1, 1]).is_none());
        assert!(Shares::new(Nanos(5), Nanos(4), [1, 1]).is_none());
    }

    proptest! {
        #[test]
        fn a_part_is_what_division_gives(total: u64, length in 1u64.., part: u64) {
            let part = part.min(length);
            let sum = u128::from(total) * u128::from(part) / u128::from(length);
            prop_assert_eq!(u128::from(part_of(total, part, length)), sum);
        }

        #[test]
        fn shares_add_up(
            start in 0u64..1 << 62,
            length in 1u64..1 << 50,
            packets: u64,
            bytes: u64,
            mut cuts in prop::collection::vec(0u64..1 << 50, 0..20),
        ) {
            let end = Nanos(start + length);
            let mut shares = Shares::new(Nanos(start), end, [packets, bytes]).unwrap();
            cuts.sort_unstable();
            let mut sum = [0u64; 2];
            for at in cuts.into_iter().map(|cut| Nanos(start + cut)).chain([end]) {
                let share = shares.up_to(at);
                sum = [sum[0] + share[0], sum[1] + share[1]];
            }
            prop_assert_eq!(sum, [packets, bytes]);
        }
    }
}
