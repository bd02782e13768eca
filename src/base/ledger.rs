//! Counting what came in and what became of it.
//!
//! The law: what an input decoded = what lies in open tables + what was flushed + what was
//! dropped, by reason. Counters are plain numbers owned by one thread; others get copies.

use std::ops::{Add, AddAssign, Sub};

/// Records, packets and bytes of some amount of traffic.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sum {
    /// Records, or rows where rows are counted.
    pub records: u64,
    /// Packets.
    pub packets: u64,
    /// Bytes, layer 3.
    pub bytes: u64,
}

impl Sum {
    /// Of one record.
    pub fn one(packets: u64, bytes: u64) -> Self {
        Self {
            records: 1,
            packets,
            bytes,
        }
    }
}

impl Add for Sum {
    type Output = Self;
    fn add(self, o: Self) -> Self {
        Self {
            records: self.records.wrapping_add(o.records),
            packets: self.packets.wrapping_add(o.packets),
            bytes: self.bytes.wrapping_add(o.bytes),
        }
    }
}

impl AddAssign for Sum {
    fn add_assign(&mut self, o: Self) {
        *self = *self + o;
    }
}

impl Sub for Sum {
    type Output = Self;
    fn sub(self, o: Self) -> Self {
        Self {
            records: self.records.wrapping_sub(o.records),
            packets: self.packets.wrapping_sub(o.packets),
            bytes: self.bytes.wrapping_sub(o.bytes),
        }
    }
}

macro_rules! reasons {
    ($($id:ident, $name:literal, $doc:literal;)*) => {
        /// Why something that came in was not turned into a record.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[repr(u8)]
        pub enum Reason { $(#[doc = $doc] $id),* }

        impl Reason {
            /// All of them, in order.
            pub const ALL: &'static [Self] = &[$(Self::$id),*];
            /// The name in metrics, status and logs.
            pub fn name(self) -> &'static str {
                match self { $(Self::$id => $name),* }
            }
            /// One sentence for the manual.
            pub fn doc(self) -> &'static str {
                match self { $(Self::$id => $doc),* }
            }
        }
    };
}

reasons! {
    Truncated, "truncated", "It ends inside a header or value.";
    Length, "bad_length", "A length field contradicts what surrounds it.";
    Version, "bad_version", "A version or protocol that weir does not decode.";
    Type, "bad_type", "A type that must be known is not.";
    Count, "bad_count", "A count that its bytes can not hold.";
    Loop, "too_deep", "More nested headers than the limit.";
    LinkType, "link_type", "A link type that weir does not decode.";
    NotIp, "not_ip", "The frame carries no IP packet and no key wants what it has.";
    NotExport, "not_export", "The frame carries no export datagram.";
    Fragment, "fragment", "A fragment of a datagram that could not be put together.";
    FragmentTable, "fragment_table_full", "No room to remember a fragment; later ones have no ports.";
    NoTemplate, "no_template", "Data came before its template.";
    BadTemplate, "bad_template", "A template that can not be used.";
    TemplateStore, "template_store_full", "A template had to go, or was refused, for want of room.";
    OptionStore, "option_store_full", "Option data was refused for want of room.";
    ExporterStore, "exporter_store_full", "An exporter is not followed for want of room.";
    SymbolStore, "symbol_store_full", "A text found no room and is shown as an ellipsis.";
    Savefile, "savefile", "The savefile is damaged or cut from here on.";
    Oversize, "oversize", "Longer than the receive buffer.";
    Refused, "refused", "Its sender is not on the allow list.";
    Filter, "filter", "No aggregation's filter passes the frame.";
}

/// How many reasons there are.
pub const REASONS: usize = Reason::ALL.len();

/// What was dropped for one reason, as far as known.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Dropped {
    /// Units: frames, datagrams, sets or records, whichever was the smallest that could be named.
    pub units: u64,
    /// Bytes of those units on the wire.
    pub bytes: u64,
}

/// The page of one input: everything between its source and the aggregations.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Intake {
    /// Frames or datagrams read.
    pub frames: u64,
    /// Their bytes on the wire.
    pub frame_bytes: u64,
    /// Records decoded from them, before any renormalisation.
    pub decoded: Sum,
    /// What was dropped, by reason.
    pub dropped: [Dropped; REASONS],
    /// Frames the kernel dropped before us.
    pub kernel_lost: u64,
    /// Records or datagrams that gaps in exporters' sequence numbers say were lost before us.
    pub sequence_lost: u64,
    /// Samples that sFlow agents say they dropped.
    pub agent_lost: u64,
    /// Packets that sFlow agents say they could have sampled; what their samples stand for,
    /// renormalised, comes near to it when nothing is lost.
    pub agent_pool: u64,
    /// Counter samples and other items passed over by design.
    pub passed_over: u64,
}

impl Default for Intake {
    fn default() -> Self {
        Self {
            frames: 0,
            frame_bytes: 0,
            decoded: Sum::default(),
            dropped: [Dropped::default(); REASONS],
            kernel_lost: 0,
            sequence_lost: 0,
            agent_lost: 0,
            agent_pool: 0,
            passed_over: 0,
        }
    }
}

impl Intake {
    /// Counts one dropped unit of `bytes` bytes.
    #[inline]
    pub fn drop(&mut self, reason: Reason, bytes: usize) {
        let slot = &mut self.dropped[reason as usize];
        slot.units = slot.units.wrapping_add(1);
        slot.bytes = slot.bytes.wrapping_add(bytes as u64);
    }

    /// What was dropped for `reason`.
    pub fn dropped(&self, reason: Reason) -> Dropped {
        self.dropped[reason as usize]
    }

    /// Units dropped for any reason.
    pub fn dropped_units(&self) -> u64 {
        self.dropped
            .iter()
            .fold(0, |sum, d| sum.wrapping_add(d.units))
    }

    /// Adds another page, of the same input's other worker.
    pub fn add(&mut self, o: &Self) {
        self.frames = self.frames.wrapping_add(o.frames);
        self.frame_bytes = self.frame_bytes.wrapping_add(o.frame_bytes);
        self.decoded += o.decoded;
        for (mine, other) in self.dropped.iter_mut().zip(&o.dropped) {
            mine.units = mine.units.wrapping_add(other.units);
            mine.bytes = mine.bytes.wrapping_add(other.bytes);
        }
        self.kernel_lost = self.kernel_lost.wrapping_add(o.kernel_lost);
        self.sequence_lost = self.sequence_lost.wrapping_add(o.sequence_lost);
        self.agent_lost = self.agent_lost.wrapping_add(o.agent_lost);
        self.agent_pool = self.agent_pool.wrapping_add(o.agent_pool);
        self.passed_over = self.passed_over.wrapping_add(o.passed_over);
    }
}

/// The page of one aggregation.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Account {
    /// Records offered to it: all that its inputs decoded, and those copied.
    pub offered: Sum,
    /// Records among those offered that the `return` of a tag map made, before renormalisation.
    pub copied: Sum,
    /// Records its filter did not pass.
    pub filtered: Sum,
    /// What the double count of the `sum_*` primitives added.
    pub doubled: Sum,
    /// Records counted in the visible "other" row because the table was full.
    pub folded: Sum,
    /// Records turned away because the table was full and could not be emptied in time.
    pub refused: Sum,
    /// Rows evicted early, still delivered.
    pub evicted: Sum,
    /// In open tables now; `records` counts rows.
    pub open: Sum,
    /// Handed to the outputs; `records` counts rows.
    pub flushed: Sum,
    /// Flushes because the table was full.
    pub full: u64,
    /// Flushes at which the table's rows and this page disagreed: a defect of weir, logged.
    pub mismatches: u64,
    /// What those rows fell short of, in packets and bytes.
    pub unexplained: Sum,
    /// What became of flushed rows before they were handed to the outputs; none where they are
    /// handed on as they are.
    pub sifted: Option<Sifted>,
}

/// What preprocessing did to the rows of an aggregation. The law: taken + raised = removed +
/// diverted + lowered + passed, in packets and in bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sifted {
    /// Rows that were judged.
    pub taken: Sum,
    /// Rows whose counters were raised, and by how much.
    pub raised: Sum,
    /// Rows whose counters were lowered, and by how much.
    pub lowered: Sum,
    /// Rows that go nowhere.
    pub removed: Sum,
    /// Rows that go to the outputs for those that do not pass.
    pub diverted: Sum,
    /// Rows handed to the outputs, with the counters they have there.
    pub passed: Sum,
}

impl Sifted {
    /// Enters that a row's counters were changed.
    pub fn changed(&mut self, before: Sum, after: Sum) {
        for (page, less, more) in [
            (&mut self.raised, before, after),
            (&mut self.lowered, after, before),
        ] {
            let by = Sum {
                records: 0,
                packets: more.packets.saturating_sub(less.packets),
                bytes: more.bytes.saturating_sub(less.bytes),
            };
            if by != Sum::default() {
                *page += Sum { records: 1, ..by };
            }
        }
    }

    /// What the law leaves over, in packets and bytes.
    pub fn imbalance(&self) -> (u64, u64) {
        let left = self.taken + self.raised;
        let rest = left - (self.removed + self.diverted + self.lowered + self.passed);
        (rest.packets, rest.bytes)
    }

    /// Adds another page.
    pub fn add(&mut self, o: &Self) {
        self.taken += o.taken;
        self.raised += o.raised;
        self.lowered += o.lowered;
        self.removed += o.removed;
        self.diverted += o.diverted;
        self.passed += o.passed;
    }
}

impl Account {
    /// What the laws leave over, in packets and bytes; both zero when the page balances.
    pub fn imbalance(&self) -> (u64, u64) {
        let left = self.offered + self.doubled;
        let right = self.filtered + self.refused + self.open + self.flushed;
        let rest = left - right;
        let (packets, bytes) = self.sifted.unwrap_or_default().imbalance();
        (
            rest.packets.wrapping_add(packets),
            rest.bytes.wrapping_add(bytes),
        )
    }

    /// Adds another worker's page.
    pub fn add(&mut self, o: &Self) {
        self.offered += o.offered;
        self.copied += o.copied;
        self.filtered += o.filtered;
        self.doubled += o.doubled;
        self.folded += o.folded;
        self.refused += o.refused;
        self.evicted += o.evicted;
        self.open += o.open;
        self.flushed += o.flushed;
        self.full = self.full.wrapping_add(o.full);
        self.mismatches = self.mismatches.wrapping_add(o.mismatches);
        self.unexplained += o.unexplained;
        if let Some(sifted) = &o.sifted {
            self.sifted.get_or_insert_default().add(sifted);
        }
    }
}

/// The page of one output.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Delivery {
    /// Rows handed to it.
    pub offered: Sum,
    /// Rows that an earlier run was offered and left in the spool.
    pub recovered: Sum,
    /// Rows waiting in its queue.
    pub queued: Sum,
    /// Rows that wait on the disk and nowhere else.
    pub spooled: Sum,
    /// Rows it has stored.
    pub written: Sum,
    /// Rows dropped: the queue was full or the output refused them for good.
    pub dropped: Sum,
    /// Rows that the spool gave up: it was full, they were too old, or damaged.
    pub given_up: Sum,
    /// Attempts that failed and were tried again.
    pub retries: u64,
}

impl Delivery {
    /// What the law leaves over, in rows, packets and bytes.
    pub fn imbalance(&self) -> Sum {
        let kept = self.queued + self.spooled + self.written;
        self.offered + self.recovered - (kept + self.dropped + self.given_up)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_balances_until_something_is_missing() {
        let mut page = Account {
            offered: Sum::one(10, 1000),
            ..Account::default()
        };
        page.flushed = Sum::one(9, 900);
        assert_eq!(page.imbalance(), (1, 100));
        page.filtered = Sum::one(1, 100);
        assert_eq!(page.imbalance(), (0, 0));
        let mut sifted = Sifted {
            taken: Sum::one(9, 900),
            passed: Sum::one(18, 450),
            ..Sifted::default()
        };
        sifted.changed(sifted.taken, sifted.passed);
        page.sifted = Some(sifted);
        assert_eq!(page.imbalance(), (0, 0));
        assert_eq!(
            (sifted.raised, sifted.lowered),
            (Sum::one(9, 0), Sum::one(0, 450))
        );
        page.sifted = Some(Sifted {
            removed: Sum::one(1, 0),
            ..sifted
        });
        assert_eq!(page.imbalance(), (u64::MAX, 0));
    }

    #[test]
    fn drops_are_counted_by_reason_and_added_over_workers() {
        let mut a = Intake::default();
        a.drop(Reason::NoTemplate, 120);
        let mut b = a;
        b.add(&a);
        assert_eq!(
            b.dropped(Reason::NoTemplate),
            Dropped {
                units: 2,
                bytes: 240
            }
        );
        assert_eq!(b.dropped_units(), 2);
    }
}
