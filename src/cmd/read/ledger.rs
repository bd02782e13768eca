//! The ledger line of `weir read`: what was seen, counted, dropped; as text or one JSON object.

use crate::base::ledger::{Account, Intake, Reason, Sum};
use crate::pipeline::View;
use std::fmt::Write;

/// The totals of one run.
pub struct Ledger {
    intake: Intake,
    account: Account,
    undelivered: Sum,
    frames: bool,
    balanced: bool,
}

/// Reasons that lose a detail of a record, not the record.
const DETAILS: [Reason; 3] = [Reason::FragmentTable, Reason::SymbolStore, Reason::Savefile];

impl Ledger {
    /// From the last numbers of a pipeline with one aggregation. `packets`: its records are
    /// packets, so frames can be accounted one by one. `lost`: the rows could not be written.
    pub fn new(view: &View, packets: bool, lost: bool) -> Self {
        let mut intake = Intake::default();
        view.inputs
            .iter()
            .for_each(|input| intake.add(&input.ledger));
        let account = view.aggregates.first().map(|a| a.0).unwrap_or_default();
        let decoded = intake.decoded;
        let offered = (decoded.records, decoded.packets, decoded.bytes)
            == (
                account.offered.records,
                account.offered.packets,
                account.offered.bytes,
            );
        let emptied = account.open == Sum::default() && account.mismatches == 0;
        let delivered = view.outputs.iter().all(|out| {
            let d = &out.delivery;
            d.imbalance() == Sum::default()
                && d.queued == Sum::default()
                && (d.offered.packets, d.offered.bytes)
                    == (account.flushed.packets, account.flushed.bytes)
        });
        let undelivered = match lost {
            true => account.flushed,
            false => Sum::default(),
        };
        let framed = !packets || {
            let detail: u64 = DETAILS.iter().map(|r| intake.dropped(*r).units).sum();
            let outside =
                intake.dropped(Reason::Oversize).units + intake.dropped(Reason::Refused).units;
            intake.frames + outside + detail == decoded.records + intake.dropped_units()
        };
        let balanced = offered && emptied && delivered && framed && account.imbalance() == (0, 0);
        Self {
            intake,
            account,
            undelivered,
            frames: packets,
            balanced,
        }
    }

    /// Whether all that was seen is accounted for.
    pub fn balanced(&self) -> bool {
        self.balanced
    }

    /// What to try when nothing was found although there were frames.
    pub fn hint(&self) -> Option<&'static str> {
        if self.intake.frames == 0 || self.intake.decoded.records > 0 || self.frames {
            return None;
        }
        let foreign = self.intake.dropped(Reason::NotExport).units
            + self.intake.dropped(Reason::Version).units;
        (foreign >= self.intake.frames).then_some("no export datagrams in it; is --decode right?")
    }

    /// Whether anything was not counted that should have been; what no filter passes and what is
    /// no IP is as it was asked for.
    pub fn lost(&self) -> bool {
        let meant = [Reason::NotIp, Reason::Filter];
        let meant: u64 = meant.iter().map(|r| self.intake.dropped(*r).units).sum();
        self.intake.dropped_units() > meant
            || self.missing() > 0
            || self.account.refused.records > 0
            || self.undelivered.records > 0
            || !self.balanced
    }

    fn missing(&self) -> u64 {
        self.intake.sequence_lost + self.intake.agent_lost + self.intake.kernel_lost
    }

    fn counted(&self) -> Sum {
        let a = &self.account;
        a.offered - (a.filtered + a.refused + a.folded)
    }

    /// The drops: reason, unit of the count, count, bytes, and packets where they are known.
    fn drops(&self) -> Vec<(&'static str, Drop)> {
        let mut all = Vec::new();
        for reason in Reason::ALL {
            let dropped = self.intake.dropped(*reason);
            if dropped.units == 0 && dropped.bytes == 0 {
                continue;
            }
            let unit = if self.frames || whole(*reason) {
                "frames"
            } else {
                "units"
            };
            all.push((
                reason.name(),
                Drop::Units(unit, dropped.units, dropped.bytes),
            ));
        }
        if self.account.filtered.records > 0 {
            all.push((Reason::Filter.name(), Drop::Sum(self.account.filtered)));
        }
        if self.account.refused.records > 0 {
            all.push(("table_full", Drop::Sum(self.account.refused)));
        }
        if self.undelivered.records > 0 {
            all.push(("output", Drop::Sum(self.undelivered)));
        }
        all
    }

    /// One line of text.
    pub fn text(&self) -> String {
        let (intake, counted) = (&self.intake, self.counted());
        let mut line = format!(
            "ledger: seen {} frames, {} bytes; counted {} records, {} packets, {} bytes",
            intake.frames, intake.frame_bytes, counted.records, counted.packets, counted.bytes
        );
        if self.account.folded.records > 0 {
            let _ = write!(line, "; folded {}", words(self.account.folded));
        }
        for (name, drop) in self.drops() {
            let _ = match drop {
                Drop::Units(_, count, 0) => write!(line, "; dropped {name} {count}"),
                Drop::Units(unit, count, bytes) => {
                    write!(line, "; dropped {name} {count} {unit}, {bytes} bytes")
                }
                Drop::Sum(sum) => write!(line, "; dropped {name} {}", words(sum)),
            };
        }
        let state = if self.balanced {
            "balanced"
        } else {
            "NOT BALANCED"
        };
        let _ = write!(line, "; missing {}; {state}", self.missing());
        line
    }

    /// One JSON object.
    pub fn json(&self) -> String {
        let (intake, decoded) = (&self.intake, self.intake.decoded);
        let mut line = format!(
            "{{\"seen\":{{\"frames\":{},\"frame_bytes\":{},\"records\":{},\"packets\":{},\"bytes\":{}}}",
            intake.frames, intake.frame_bytes, decoded.records, decoded.packets, decoded.bytes
        );
        let counted = self.counted();
        let frames = if self.frames {
            format!("\"frames\":{},", counted.records)
        } else {
            String::new()
        };
        let _ = write!(line, ",\"counted\":{{{frames}{}}}", members(counted));
        let _ = write!(
            line,
            ",\"folded\":{{{}}},\"dropped\":{{",
            members(self.account.folded)
        );
        for (n, (name, drop)) in self.drops().into_iter().enumerate() {
            let comma = if n > 0 { "," } else { "" };
            let _ = match drop {
                Drop::Units(unit, count, bytes) => {
                    write!(
                        line,
                        "{comma}\"{name}\":{{\"{unit}\":{count},\"frame_bytes\":{bytes}}}"
                    )
                }
                Drop::Sum(sum) => write!(line, "{comma}\"{name}\":{{{}}}", members(sum)),
            };
        }
        let _ = write!(
            line,
            "}},\"missing\":{},\"balanced\":{}}}",
            self.missing(),
            self.balanced
        );
        line
    }
}

enum Drop {
    Units(&'static str, u64, u64),
    Sum(Sum),
}

/// Whether a reason always takes a whole frame.
fn whole(reason: Reason) -> bool {
    matches!(
        reason,
        Reason::LinkType | Reason::NotExport | Reason::Fragment | Reason::Version | Reason::Filter
    )
}

fn words(sum: Sum) -> String {
    format!(
        "{} records, {} packets, {} bytes",
        sum.records, sum.packets, sum.bytes
    )
}

fn members(sum: Sum) -> String {
    format!(
        "\"records\":{},\"packets\":{},\"bytes\":{}",
        sum.records, sum.packets, sum.bytes
    )
}
