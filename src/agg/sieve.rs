//! [`Sieve`]: which rows go on when they have left the table, and with which counters.
//!
//! Rows that are handed out together are judged together: their number decides whether the sieve
//! is in the way at all, and which of them a sample of fixed size takes. Samples are taken so that
//! sums stay what they were on the average: a row that stands for others carries their bytes.
//! Everything it does is entered in its page of the ledger. Not for records: those are filtered
//! before they are counted.

use crate::base::Sieves;
use crate::base::ledger::{Sifted, Sum};
use crate::base::part::Witness;
use crate::record::counter::{BYTES, PACKETS};
use crate::record::schema::{Column, What};
use crate::record::{Kind, Merge, Schema};
use std::cmp::Reverse;
use std::collections::BinaryHeap;

/// What of a row is compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Measure {
    /// Packets.
    Packets,
    /// Flows.
    Flows,
    /// Bytes.
    Bytes,
    /// Whole bytes for each packet.
    PacketSize,
    /// Whole packets for each flow.
    FlowSize,
}

/// One check of a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Check {
    /// So much or more.
    Least(Measure, u64),
    /// Less than so much.
    Below(Measure, u64),
}

/// How rows are sampled, as one more check.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sample {
    /// Rows of so many bytes or more are taken, and of the smaller ones so many that each that
    /// is taken stands for this many bytes (threshold sampling).
    Size(u64),
    /// So many rows, large ones more likely (priority sampling).
    Count(u64),
}

/// What a sieve does.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rules {
    /// Whether a row must pass all checks rather than any.
    pub all: bool,
    /// With fewer rows together than this, all pass as they are.
    pub least_rows: u64,
    /// Checks.
    pub checks: Vec<Check>,
    /// One more check.
    pub sample: Option<Sample>,
    /// By what packets and bytes of rows that pass are multiplied; zero and one change nothing.
    pub times: u32,
    /// Bytes added to those of rows that pass, for each packet.
    pub each: i32,
}

impl Rules {
    /// Most rows that a sample of fixed size may take.
    pub const COUNT_MAX: u64 = 1 << 20;

    /// Whether flows must be counted.
    pub fn wants_flows(&self) -> bool {
        let measured = self.checks.iter().map(|check| match check {
            Check::Least(measure, _) | Check::Below(measure, _) => measure,
        });
        measured
            .into_iter()
            .any(|m| matches!(m, Measure::Flows | Measure::FlowSize))
    }

    /// Whether any row may be removed.
    pub fn removes(&self) -> bool {
        !self.checks.is_empty() || self.sample.is_some()
    }

    /// Bytes that a sieve takes.
    pub fn memory(&self) -> usize {
        match self.sample {
            Some(Sample::Count(rows)) => (rows as usize).saturating_add(1).saturating_mul(8),
            _ => 0,
        }
    }
}

/// A sample that is being taken.
#[derive(Debug)]
enum Sampler {
    /// Bytes of smaller rows that nothing stands for yet.
    Size { threshold: u64, carried: u64 },
    /// The highest priorities of rows that are together, one more than are taken.
    Count {
        rows: usize,
        highest: BinaryHeap<Reverse<u64>>,
    },
}

/// Judges the rows of one aggregation.
#[derive(Debug)]
pub struct Sieve {
    here: Sieves,
    rules: Rules,
    sampler: Option<Sampler>,
    /// Columns of the key, by which rows differ.
    keys: Vec<Column>,
    /// Words of packets, bytes and flows.
    at: (usize, usize, Option<usize>),
    seed: u64,
    /// Whether there are enough rows together.
    works: bool,
    /// What became of the rows.
    pub page: Sifted,
}

impl Sieve {
    /// For rows of `schema`. `seed` decides which rows a sample of fixed size takes.
    pub fn new(here: Sieves, rules: Rules, schema: &Schema, seed: u64, page: Sifted) -> Self {
        let key = |column: &&Column| match column.what {
            What::Field(field) => field.info().merge == Merge::Key,
            _ => false,
        };
        let words = schema.key.len();
        let sampler = rules.sample.map(|sample| match sample {
            Sample::Size(threshold) => Sampler::Size {
                threshold,
                carried: 0,
            },
            Sample::Count(rows) => Sampler::Count {
                rows: rows as usize,
                highest: BinaryHeap::with_capacity(rows as usize + 1),
            },
        });
        Self {
            here,
            sampler,
            keys: schema.columns.iter().filter(key).copied().collect(),
            at: (
                words + PACKETS,
                words + BYTES,
                schema.counter.flows_at().map(|at| words + at),
            ),
            rules,
            // Keys are small numbers, and so may seeds be.
            seed: mix(!0, seed),
            works: true,
            page,
        }
    }

    /// Looks at all rows that are handed out together, before they are judged one by one.
    pub fn gather<'a, I: Iterator<Item = &'a [u64]>>(&mut self, rows: impl Fn() -> I) {
        self.here.there();
        let enough = self.rules.least_rows;
        self.works = enough == 0 || rows().count() as u64 >= enough;
        let Some(Sampler::Count {
            rows: most,
            highest,
        }) = &mut self.sampler
        else {
            return;
        };
        let (most, mut highest) = (*most, std::mem::take(highest));
        highest.clear();
        for row in rows().filter(|row| self.open(row)) {
            let priority = self.priority(row);
            if highest.len() <= most {
                highest.push(Reverse(priority));
            } else if let Some(mut least) = highest.peek_mut()
                && priority > least.0
            {
                *least = Reverse(priority);
            }
        }
        self.sampler = Some(Sampler::Count {
            rows: most,
            highest,
        });
    }

    /// Judges a row and gives it the counters it goes on with; whether it goes on. `diverts` says
    /// that those which do not are wanted elsewhere, as they were.
    pub fn judge(&mut self, row: &mut [u64], diverts: bool) -> bool {
        self.here.there();
        let before = self.sum(row);
        self.page.taken += before;
        if self.works {
            let passes = match self.open(row) {
                true => self.sampled(row),
                // All that are asked for must pass, and one did not; or any, and one did.
                false => !self.rules.all,
            };
            if !passes {
                match diverts {
                    true => self.page.diverted += before,
                    false => self.page.removed += before,
                }
                return false;
            }
            self.adjust(row);
        }
        let after = self.sum(row);
        self.page.passed += after;
        self.page.changed(before, after);
        true
    }

    /// Whether the checks leave it to the sample.
    fn open(&self, row: &[u64]) -> bool {
        let mut checks = self.rules.checks.iter();
        match self.rules.all {
            true => checks.all(|check| self.holds(check, row)),
            false => !checks.any(|check| self.holds(check, row)),
        }
    }

    fn holds(&self, check: &Check, row: &[u64]) -> bool {
        let value = |measure: &Measure| {
            let (packets, bytes, flows) = self.counters(row);
            match measure {
                Measure::Packets => packets,
                Measure::Flows => flows,
                Measure::Bytes => bytes,
                Measure::PacketSize => bytes.checked_div(packets).unwrap_or(0),
                Measure::FlowSize => packets.checked_div(flows).unwrap_or(0),
            }
        };
        match check {
            Check::Least(measure, least) => value(measure) >= *least,
            Check::Below(measure, most) => value(measure) < *most,
        }
    }

    /// Whether the sample takes a row that is left to it; then the row stands for others.
    fn sampled(&mut self, row: &mut [u64]) -> bool {
        let (_, bytes, _) = self.counters(row);
        let stands_for = match &mut self.sampler {
            // Without a sample what is open has passed all checks, or none of any.
            None => return self.rules.all || self.rules.checks.is_empty(),
            Some(Sampler::Size { threshold, .. }) if bytes >= *threshold => bytes,
            Some(Sampler::Size { threshold, carried }) => {
                *carried += bytes;
                if *carried < *threshold {
                    return false;
                }
                *carried -= *threshold;
                *threshold
            }
            Some(Sampler::Count { rows, highest }) if highest.len() <= *rows => bytes,
            Some(Sampler::Count { highest, .. }) => {
                let limit = highest.peek().map_or(0, |least| least.0);
                if self.priority(row) <= limit {
                    return false;
                }
                bytes.max(f64::from_bits(limit) as u64)
            }
        };
        if stands_for > bytes {
            self.scale(row, bytes, stands_for);
        }
        true
    }

    /// Multiplies the counters of a row so that its bytes become `want`.
    fn scale(&self, row: &mut [u64], bytes: u64, want: u64) {
        let (packets_at, bytes_at, flows_at) = self.at;
        let scale = |n: u64| {
            let product = u128::from(n) * u128::from(want) + u128::from(bytes / 2);
            u64::try_from(product / u128::from(bytes.max(1))).unwrap_or(u64::MAX)
        };
        for at in [Some(packets_at), flows_at].into_iter().flatten() {
            if let Some(word) = row.get_mut(at) {
                *word = scale(*word);
            }
        }
        if let Some(word) = row.get_mut(bytes_at) {
            *word = want;
        }
    }

    fn adjust(&self, row: &mut [u64]) {
        let (times, each) = (u64::from(self.rules.times.max(1)), self.rules.each);
        let (packets, bytes, _) = self.counters(row);
        let (packets, mut bytes) = (packets.saturating_mul(times), bytes.saturating_mul(times));
        let more = packets.saturating_mul(each.unsigned_abs().into());
        bytes = match each {
            0.. => bytes.saturating_add(more),
            _ => bytes.saturating_sub(more),
        };
        for (at, value) in [(self.at.0, packets), (self.at.1, bytes)] {
            if let Some(word) = row.get_mut(at) {
                *word = value;
            }
        }
    }

    /// Bytes divided by a number from above zero to one that the key decides, as the bits of a
    /// positive number: in the order of the numbers themselves.
    fn priority(&self, row: &[u64]) -> u64 {
        let mut hash = self.seed;
        let mut take = |value: u64| hash = mix(hash, value);
        // By values rather than words, so that every target takes the same rows.
        for column in &self.keys {
            match column.kind {
                Kind::Ip => {
                    let ip = u128::from_be_bytes(column.ip(row).0);
                    take((ip >> 64) as u64);
                    take(ip as u64);
                }
                Kind::Mac => column
                    .mac(row)
                    .0
                    .iter()
                    .for_each(|byte| take((*byte).into())),
                _ => take(column.number(row)),
            }
        }
        let part = ((hash >> 11) + 1) as f64 / (1u64 << 53) as f64;
        let (_, bytes, _) = self.counters(row);
        (bytes as f64 / part).to_bits()
    }

    fn counters(&self, row: &[u64]) -> (u64, u64, u64) {
        let word = |at: usize| row.get(at).copied().unwrap_or(0);
        let (packets, bytes, flows) = self.at;
        (word(packets), word(bytes), flows.map_or(0, word))
    }

    fn sum(&self, row: &[u64]) -> Sum {
        let (packets, bytes, _) = self.counters(row);
        Sum::one(packets, bytes)
    }
}

/// Takes a value into a hash.
fn mix(hash: u64, value: u64) -> u64 {
    let hash = (hash ^ value).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let hash = (hash ^ hash >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    hash ^ hash >> 31
}

#[cfg(test)]
mod tests;
