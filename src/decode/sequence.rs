//! Gaps in exporters' sequence numbers: what was lost before it could reach us.
//!
//! Not for judging order within a datagram. What a number counts differs: flows in NetFlow v5,
//! datagrams in v9, data records in IPFIX.

/// What a datagram's sequence number says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Gap {
    /// As expected, or nothing was expected yet.
    None,
    /// So many units are missing before this datagram.
    Lost(u32),
    /// It came late: so many units counted as lost before are here after all.
    Late(u32),
    /// The exporter began anew.
    Reset,
}

/// Follows the sequence numbers of one exporter and domain.
///
/// A number should tell what was sent before its datagram. Some exporters (softflowd's IPFIX)
/// count the datagram's own units as well; those are recognised and taken as they mean it.
#[derive(Clone, Copy, Debug, Default)]
pub struct Sequence {
    /// The number seen last, and the one that should follow.
    last: u32,
    next: u32,
    /// Where a run of datagrams that look late would go on.
    late: Option<u32>,
    /// Units counted as lost that may still come.
    open: u32,
    known: bool,
    /// Numbers include the units of their own datagram.
    own: bool,
}

/// A jump ahead of more than this is a restart, not loss. Half an hour at 10 000 units a second.
const AHEAD: u32 = 1 << 24;
/// A step back of more than this is a restart, not reordering.
const BEHIND: u32 = 1 << 12;

impl Sequence {
    /// Takes the number of a datagram that carries `units`.
    pub fn see(&mut self, number: u32, units: u32) -> Gap {
        if !self.known {
            return self.begin(number, units, Gap::None);
        }
        let own = self.last.wrapping_add(units);
        let fits = (number == self.next, number == own);
        if fits != (false, false) {
            self.own = if fits.0 == fits.1 { self.own } else { fits.1 };
            self.go_on(number, units);
            return Gap::None;
        }
        let expected = if self.own { own } else { self.next };
        let ahead = number.wrapping_sub(expected);
        if ahead < AHEAD {
            self.go_on(number, units);
            self.open = self.open.saturating_add(ahead);
            return Gap::Lost(ahead);
        }
        let behind = expected.wrapping_sub(number);
        // Too far off, or a second datagram that goes on where a late one ended while nothing
        // is missing there: the exporter counts anew.
        let run = self.late == Some(number) && self.open == 0;
        if behind > BEHIND || run {
            return self.begin(number, units, Gap::Reset);
        }
        self.late = Some(number.wrapping_add(units));
        let found = units.min(self.open);
        self.open = self.open.saturating_sub(found);
        Gap::Late(found)
    }

    fn begin(&mut self, number: u32, units: u32, gap: Gap) -> Gap {
        *self = Self {
            known: true,
            own: self.own,
            ..Self::default()
        };
        self.go_on(number, units);
        gap
    }

    fn go_on(&mut self, number: u32, units: u32) {
        self.last = number;
        self.next = number.wrapping_add(units);
        self.late = None;
    }

    /// Forgets what is expected: the units of a datagram could not be counted.
    pub fn forget(&mut self) {
        self.known = false;
    }
}

#[cfg(test)]
#[allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects
)]
mod tests {
    use super::*;

    #[test]
    fn gaps_are_counted_and_late_ones_taken_back() {
        let mut s = Sequence::default();
        assert_eq!(s.see(100, 10), Gap::None);
        assert_eq!(s.see(110, 10), Gap::None);
        assert_eq!(s.see(140, 10), Gap::Lost(20));
        assert_eq!(s.see(120, 10), Gap::Late(10));
        assert_eq!(s.see(130, 10), Gap::Late(10));
        assert_eq!(s.see(150, 10), Gap::None);
    }

    #[test]
    fn numbers_wrap() {
        let mut s = Sequence::default();
        s.see(u32::MAX, 1);
        assert_eq!(s.see(0, 1), Gap::None);
        let mut s = Sequence::default();
        s.see(u32::MAX - 4, 2);
        assert_eq!(s.see(1, 1), Gap::Lost(4));
    }

    #[test]
    fn a_restart_is_not_a_loss() {
        let mut s = Sequence::default();
        s.see(1_000_000, 30);
        assert_eq!(s.see(0, 30), Gap::Reset);
        assert_eq!(s.see(30, 30), Gap::None);
        // A young exporter restarts: the first looks late, the second shows that it is not.
        assert_eq!(s.see(0, 30), Gap::Late(0));
        assert_eq!(s.see(30, 30), Gap::Reset);
        assert_eq!(s.see(60, 30), Gap::None);
    }

    #[test]
    fn numbers_that_count_their_own_datagram_are_understood() {
        let mut s = Sequence::default();
        for (number, units) in [(22, 22), (45, 23), (71, 26), (95, 24), (119, 24), (137, 18)] {
            assert_eq!(s.see(number, units), Gap::None);
        }
        assert_eq!(s.see(180, 20), Gap::Lost(23));
        assert_eq!(s.see(210, 30), Gap::None);
    }

    #[test]
    fn what_could_not_be_counted_is_not_guessed() {
        let mut s = Sequence::default();
        s.see(0, 5);
        s.forget();
        assert_eq!(s.see(1000, 5), Gap::None);
        assert_eq!(s.see(1005, 5), Gap::None);
    }

    #[test]
    fn duplicates_lose_nothing() {
        let mut s = Sequence::default();
        s.see(0, 1);
        assert_eq!(s.see(1, 1), Gap::None);
        assert_eq!(s.see(1, 1), Gap::Late(0));
        assert_eq!(s.see(2, 1), Gap::None);
    }
}
