//! [`Aggregator`]: one aggregation inside one worker: filter, bins, tables, policy, account.

use super::full::{self, FOLD_ROWS, Full};
use super::prorate::{self, Shares};
use super::table::{Added, Table};
use crate::base::bins::Bins;
use crate::base::ledger::{Account, Sum};
use crate::base::time::{Nanos, SECOND};
use crate::record::counter::{BYTES, PACKETS};
use crate::record::{Batch, Field, FlowRecord, Schema};
use std::sync::Arc;

/// Most rows evicted before they are handed on.
pub const EVICTED_ROWS: usize = 256;

/// How far behind its arrival a record's own time may lie, in bins; one bin ahead is the other
/// end. Whoever states times must not choose how many bins are open.
const BINS_BEHIND: u64 = 1000;

/// Pause after a flush that found the other table still on its way.
const RETRY: u64 = SECOND / 10;

/// Which time puts a record into a bin.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum RecordTime {
    /// When the frame or datagram arrived; for savefiles, when it was captured.
    #[default]
    Arrival,
    /// When the flow began, as the exporter says; arrival where it does not say, or says a time
    /// more than 1000 bins before or one bin after the arrival.
    Start,
    /// When the flow ended, likewise.
    End,
}

/// How an aggregation works.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Its rows.
    pub schema: Arc<Schema>,
    /// Bytes for both tables together.
    pub memory: usize,
    /// What happens when a table is full.
    pub full: Full,
    /// Which time puts a record into a bin.
    pub time: RecordTime,
    /// Whether the counters of a flow are split over the bins that it spans.
    pub prorate: bool,
    /// Whether counters are multiplied by the sampling rate.
    pub renormalise: bool,
    /// The bit of [`FlowRecord::pass`] that admits a record; none admits all.
    pub filter: Option<u32>,
    /// Seed of the hash.
    pub seed: u64,
}

/// A table on its way out, or evicted rows.
pub enum Drained {
    /// A whole table, to be given back empty.
    Table(Table),
    /// Rows that made room for others.
    Rows(Vec<u64>),
}

/// Why a table is handed out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause {
    /// Its time bin has ended, or the input has.
    Bin,
    /// It was full, or somebody asked for the rows; the bin goes on.
    Early,
}

/// Takes drained tables; gives an empty one back when it has one.
pub trait Tray {
    /// What is taken from now on belongs to a time that began at `start`, where rows are handed out
    /// by time and not told apart by bins.
    fn began(&mut self, _start: Nanos) {}
    /// Takes `drained`. `now` is the time of the flush.
    fn put(&mut self, drained: Drained, cause: Cause, now: Nanos);
    /// An empty table, if one is there; with `wait`, blocks until one is.
    fn take(&mut self, wait: bool) -> Option<Table>;
    /// Whether [`put`](Self::put) would not block.
    fn ready(&self) -> bool;
}

/// One aggregation inside one worker.
pub struct Aggregator {
    settings: Settings,
    bins: Option<Bins>,
    /// The times between two flushes.
    pace: Option<Bins>,
    filling: Table,
    tray: Box<dyn Tray + Send>,
    wait: bool,
    account: Account,
    bin: (Nanos, Nanos),
    /// Length of the bin of the last arrival, in nanoseconds.
    length: u64,
    deadline: Nanos,
    /// Not before this time is a flush tried again.
    retry: Nanos,
    evicted: Vec<u64>,
    hand: usize,
    keys: Vec<u64>,
    folding: Vec<u64>,
    touched: u64,
    last: Nanos,
}

impl Aggregator {
    /// An aggregator with one table to fill; `tray` holds the other. With `wait` a full table
    /// waits for the other one to come back (files); without, records are refused and counted
    /// (live input, which must not be held up).
    pub fn new(
        settings: Settings,
        bins: Option<Bins>,
        filling: Table,
        tray: Box<dyn Tray + Send>,
        wait: bool,
    ) -> Self {
        let keys = vec![0; settings.schema.key.len().max(1) * Batch::SIZE];
        let folding = vec![0; settings.schema.key.len()];
        let evicted = match settings.full {
            Full::Evict => EVICTED_ROWS * settings.schema.row_words(),
            Full::Flush | Full::Fold => 0,
        };
        Self {
            evicted: Vec::with_capacity(evicted),
            settings,
            pace: bins.clone(),
            bins,
            filling,
            tray,
            wait,
            account: Account::default(),
            bin: (Nanos(0), Nanos(0)),
            length: 0,
            deadline: Nanos(0),
            retry: Nanos(0),
            hand: 0,
            keys,
            folding,
            touched: 0,
            last: Nanos(0),
        }
    }

    /// Hands rows out at another pace than that of the bins, which go on.
    pub fn paced(mut self, pace: Bins) -> Self {
        self.pace = Some(pace);
        self
    }

    /// A table as [`new`](Self::new) and its tray want it: half of the memory each.
    pub fn table(settings: &Settings) -> Table {
        let reserve = if settings.full == Full::Fold {
            FOLD_ROWS
        } else {
            0
        };
        Table::new(
            &settings.schema,
            settings.memory / 2,
            reserve,
            settings.seed,
        )
    }

    /// Adds a batch of records, which arrived at `now` or before.
    pub fn add(&mut self, batch: &mut Batch, now: Nanos) {
        let mut records = batch.records_mut();
        if self.pace.is_some() {
            if self.deadline.0 == 0 {
                self.begin(records.first().map_or(now, |record| record.time));
            }
            if now >= self.deadline {
                records = self.end_bins(records, now);
            }
            self.advance(now);
        }
        self.take(records);
        self.last = now;
    }

    /// A batch may reach over the end of a bin: what came before it is counted before the rows are
    /// handed out. Gives the records that are left.
    #[cold]
    fn end_bins<'b>(
        &mut self,
        mut records: &'b mut [FlowRecord],
        now: Nanos,
    ) -> &'b mut [FlowRecord] {
        while now >= self.deadline {
            let end = self.deadline;
            let before = records.iter().take_while(|record| record.time < end);
            let (before, rest) = records.split_at_mut(before.count());
            self.take(before);
            self.advance(rest.first().map_or(now, |record| record.time));
            records = rest;
            if self.deadline == end {
                break;
            }
        }
        records
    }

    fn take(&mut self, records: &mut [FlowRecord]) {
        if self.settings.renormalise {
            let (kept, rates) = renormalise(records);
            self.count(records);
            restore(records, &kept);
            for (record, rate) in records.iter_mut().zip(rates).filter(|(_, rate)| *rate > 1) {
                record.set_sampling_rate(rate);
            }
        } else {
            self.count(records);
        }
    }

    /// Enters records that a tag map's `return` added to those that were decoded.
    pub fn copied(&mut self, sum: Sum) {
        self.account.copied += sum;
    }

    fn count(&mut self, records: &mut [FlowRecord]) {
        if self.bins.is_none() {
            return self.admit_ends(records);
        }
        for record in &mut *records {
            let time = self.time_of(record);
            record.set_bin(self.bin_of(time));
        }
        if self.settings.prorate {
            let kept = counters(records);
            for record in &mut *records {
                self.split(record);
            }
            self.admit_ends(records);
            restore(records, &kept);
        } else {
            self.admit_ends(records);
        }
    }

    /// Adds records under their keys, where both ends count under both.
    fn admit_ends(&mut self, records: &mut [FlowRecord]) {
        self.admit(records);
        if !self.settings.schema.key.counts_both_ends() {
            return;
        }
        for record in &mut *records {
            if self.passes(record) {
                let sum = Sum::one(record.packets, record.bytes);
                self.account.doubled += Sum { records: 0, ..sum };
            }
            *record = self.settings.schema.key.swapped(record);
        }
        let offered = self.account;
        self.admit(records);
        // The second count is not a second offer.
        self.account.offered = offered.offered;
        self.account.filtered = offered.filtered;
        for record in records {
            *record = self.settings.schema.key.swapped(record);
        }
    }

    fn passes(&self, record: &FlowRecord) -> bool {
        let bit = self.settings.filter;
        bit.is_none_or(|bit| record.pass & bit != 0)
    }

    /// Adds the shares of a flow that fall into later bins than the first, and leaves the first
    /// share in the record.
    fn split(&mut self, record: &mut FlowRecord) {
        let stated = |field, time| self.believed(record, field, time);
        let (Some(start), Some(end)) = (
            stated(Field::TimestampStart, record.timestamp_start()),
            stated(Field::TimestampEnd, record.timestamp_end()),
        ) else {
            return;
        };
        let total = [record.packets, record.bytes];
        let Some(mut shares) = Shares::new(start, end, total).filter(|_| self.passes(record))
        else {
            return;
        };
        if end.0 - start.0 > self.length.saturating_mul(prorate::BINS_MAX) {
            return;
        }
        record.set_bin(self.bin_of(start));
        let [packets, bytes] = shares.up_to(self.bin.1);
        let mut piece = *record;
        (record.packets, record.bytes) = (packets, bytes);
        // The flow itself counts once, where it began.
        piece.flows = 0;
        let counted = self.account;
        while self.bin.1 < end {
            piece.set_bin(self.bin_of(self.bin.1));
            [piece.packets, piece.bytes] = shares.up_to(self.bin.1);
            if piece.packets | piece.bytes != 0 {
                self.admit_ends(std::slice::from_mut(&mut piece));
            }
        }
        self.account.offered.records = counted.offered.records;
    }

    #[inline]
    fn time_of(&self, record: &FlowRecord) -> Nanos {
        let stated = match self.settings.time {
            RecordTime::Arrival => return record.time,
            RecordTime::Start => (Field::TimestampStart, record.timestamp_start()),
            RecordTime::End => (Field::TimestampEnd, record.timestamp_end()),
        };
        let (field, time) = stated;
        self.believed(record, field, time).unwrap_or(record.time)
    }

    /// A time that a record states, unless it is too far from the arrival.
    #[inline]
    fn believed(&self, record: &FlowRecord, field: Field, time: Nanos) -> Option<Nanos> {
        let behind = record.time.0.saturating_sub(time.0);
        let ahead = time.0.saturating_sub(record.time.0);
        let near = behind <= self.length.saturating_mul(BINS_BEHIND) && ahead <= self.length;
        (record.present.has(field) && near && time.0 != 0).then_some(time)
    }

    #[inline]
    fn bin_of(&mut self, time: Nanos) -> Nanos {
        if (time < self.bin.0 || time >= self.bin.1)
            && let Some(bins) = &mut self.bins
        {
            self.bin = bins.of(time);
        }
        self.bin.0
    }

    /// Adds records to the table. The usual lengths of a key have code of their own, in which
    /// every loop over a key is straight: two addresses, the five-tuple, the same in bins.
    fn admit(&mut self, records: &[FlowRecord]) {
        match self.settings.schema.key.len() {
            4 => self.admit_words::<4>(records),
            5 => self.admit_words::<5>(records),
            6 => self.admit_words::<6>(records),
            _ => self.admit_words::<0>(records),
        }
    }

    /// Packs, hashes, touches ahead, then adds: with many flows memory latency is all that counts.
    /// Keys have `N` words, or the schema's number when that is zero.
    fn admit_words<const N: usize>(&mut self, records: &[FlowRecord]) {
        let schema = self.settings.schema.clone();
        let width = if N > 0 { N } else { schema.key.len() };
        let (mut keys, mut hashes) = (std::mem::take(&mut self.keys), [0; Batch::SIZE]);
        schema.key.pack_all(records, &mut keys);
        let (mut packets, mut bytes) = (0u64, 0u64);
        let places = keys.chunks_exact(width.max(1)).zip(&mut hashes);
        for (record, (key, hash)) in records.iter().zip(places) {
            *hash = self.filling.hash(&key[..width]);
            packets = packets.wrapping_add(record.packets);
            bytes = bytes.wrapping_add(record.bytes);
        }
        self.account.offered += Sum {
            records: records.len() as u64,
            packets,
            bytes,
        };
        if self.filling.is_large() {
            self.touch(hashes.get(..records.len()).unwrap_or_default());
        }
        let wanted = self.settings.filter.unwrap_or(0);
        let places = keys.chunks_exact(width.max(1)).zip(&hashes);
        for (record, (key, hash)) in records.iter().zip(places) {
            let key = &key[..width];
            if record.pass & wanted != wanted {
                self.account.filtered += Sum::one(record.packets, record.bytes);
            } else if self.filling.add(*hash, key, record, &schema) == Added::Full {
                self.overflow(key, record);
            }
        }
        self.keys = keys;
    }

    /// Reads what the next records will need, so that the misses of a whole batch overlap.
    fn touch(&mut self, hashes: &[u64]) {
        let mut slots = [0u32; Batch::SIZE];
        for (slot, hash) in slots.iter_mut().zip(hashes) {
            *slot = self.filling.touch_index(*hash);
        }
        let touched = slots
            .iter()
            .zip(hashes)
            .map(|(slot, _)| self.filling.touch_entry(*slot));
        self.touched = touched.fold(self.touched, |all, one| all ^ one);
    }

    /// The table is full and `record` has a new key.
    #[cold]
    fn overflow(&mut self, key: &[u64], record: &FlowRecord) {
        let sum = Sum::one(record.packets, record.bytes);
        let schema = self.settings.schema.clone();
        let counted = match self.settings.full {
            Full::Fold => {
                self.folding.copy_from_slice(key);
                let folded = full::fold(&mut self.filling, &mut self.folding, record, &schema);
                if folded == Added::Counted {
                    self.account.folded += sum;
                }
                folded
            }
            Full::Evict => {
                if self.wait || self.tray.ready() || self.evicted.len() < self.evicted_max() {
                    self.evict(&schema);
                }
                let hash = self.filling.hash(key);
                self.filling.add(hash, key, record, &schema)
            }
            Full::Flush => {
                if self.hand_over(Cause::Early, record.time, false) {
                    self.account.full += 1;
                }
                let hash = self.filling.hash(key);
                self.filling.add(hash, key, record, &schema)
            }
        };
        if counted == Added::Full {
            self.account.refused += sum;
        }
    }

    fn evict(&mut self, schema: &Schema) {
        if full::evict(&mut self.filling, &mut self.hand, schema, &mut self.evicted) {
            let row = &self.evicted[self.evicted.len() - schema.row_words()..];
            let keys = schema.key.len();
            self.account.evicted += Sum::one(row[keys + PACKETS], row[keys + BYTES]);
        }
        if self.evicted.len() >= self.evicted_max() && (self.wait || self.tray.ready()) {
            self.hand_over_evicted();
        }
    }

    fn evicted_max(&self) -> usize {
        EVICTED_ROWS * self.settings.schema.row_words()
    }

    fn hand_over_evicted(&mut self) {
        if self.evicted.is_empty() {
            return;
        }
        let room = Vec::with_capacity(self.evicted.capacity());
        let rows = std::mem::replace(&mut self.evicted, room);
        self.account.flushed += self.sum(rows.chunks_exact(self.settings.schema.row_words()));
        self.tray.put(Drained::Rows(rows), Cause::Early, self.last);
    }

    fn sum<'a>(&self, rows: impl Iterator<Item = &'a [u64]>) -> Sum {
        let keys = self.settings.schema.key.len();
        rows.fold(Sum::default(), |sum, row| {
            sum + Sum::one(row[keys + PACKETS], row[keys + BYTES])
        })
    }

    /// Lets time pass: when a bin has ended, or the time between two flushes, the table is handed
    /// out. A clock that jumped back by more than that starts anew there, so that one wrong time
    /// does not hold up all that follow.
    pub fn advance(&mut self, now: Nanos) {
        if self.deadline.0 == 0 {
            self.begin(now);
        }
        let Some(pace) = &mut self.pace else { return };
        let (start, end) = pace.of(now);
        let length = end.0.saturating_sub(start.0);
        self.measure(now);
        let jumped_back = now.0.saturating_add(length.saturating_mul(2)) < self.deadline.0;
        if now < self.deadline && !jumped_back {
            return;
        }
        let waits = now < self.retry && self.retry.0 - now.0 <= RETRY;
        if !waits && self.hand_over(Cause::Bin, now, true) {
            self.open(start, end);
        }
    }

    /// When [`advance`](Self::advance) has work next; zero when never.
    pub fn deadline(&self) -> Nanos {
        match self.pace {
            Some(_) => self.deadline.max(self.retry),
            None => Nanos(0),
        }
    }

    /// Begins the first bin without a record, so that an idle daemon's clock runs too.
    pub fn begin(&mut self, now: Nanos) {
        if let Some(pace) = &mut self.pace
            && self.deadline.0 == 0
        {
            let (start, end) = pace.of(now);
            self.open(start, end);
            self.measure(now);
        }
    }

    /// Begins the time between two flushes.
    fn open(&mut self, start: Nanos, end: Nanos) {
        self.deadline = end;
        self.tray.began(start);
    }

    /// Takes the length of the bin of an arrival.
    fn measure(&mut self, now: Nanos) {
        if let Some(bins) = &mut self.bins {
            let (start, end) = bins.of(now);
            self.length = end.0.saturating_sub(start.0);
        }
    }

    /// Hands the table out and goes on with the other one. When that is still on its way (a slow
    /// output) the table goes on filling, unless this aggregator may wait.
    /// True when it was handed out.
    pub fn drain(&mut self, cause: Cause, now: Nanos) -> bool {
        self.hand_over(cause, now, true)
    }

    /// As [`drain`](Self::drain); `settled` when no record is half counted, so that the account
    /// must agree with what lies in the table.
    fn hand_over(&mut self, cause: Cause, now: Nanos, settled: bool) -> bool {
        self.last = now;
        if self.filling.is_empty() && self.evicted.is_empty() && cause == Cause::Early {
            return true;
        }
        if !self.wait && !self.tray.ready() {
            self.retry = Nanos(now.0.saturating_add(RETRY));
            return false;
        }
        self.hand_over_evicted();
        let Some(empty) = self.tray.take(self.wait) else {
            self.retry = Nanos(now.0.saturating_add(RETRY));
            return false;
        };
        self.exchange(empty, cause, now, settled);
        true
    }

    /// Hands the table out and goes on with an empty one.
    fn exchange(&mut self, empty: Table, cause: Cause, now: Nanos, settled: bool) {
        let full = std::mem::replace(&mut self.filling, empty);
        let (sum, held) = (self.sum(full.rows()), self.held());
        if settled && (sum.packets, sum.bytes) != (held.packets, held.bytes) {
            self.account.mismatches += 1;
            self.account.unexplained += Sum {
                records: 0,
                ..held - sum
            };
            log::error!(
                "aggregate {}: the ledger does not balance: {sum:?} in the table, {held:?} owed",
                self.settings.schema.name
            );
        }
        self.account.flushed += sum;
        self.tray.put(Drained::Table(full), cause, now);
    }

    /// Hands everything out and waits for it; for the end of the input.
    pub fn finish(&mut self, now: Nanos) {
        self.wait = true;
        self.drain(Cause::Bin, now);
    }

    /// Hands everything out while the bin goes on, for a reload: nothing is counted here any more,
    /// so there is no other table to wait for.
    pub fn hand_out(&mut self, now: Nanos) {
        self.last = now;
        self.hand_over_evicted();
        if !self.filling.is_empty() {
            let empty = Table::new(&self.settings.schema, 0, 0, self.settings.seed);
            self.exchange(empty, Cause::Early, now, true);
        }
    }

    /// Goes on with the page of the aggregation before a reload.
    pub fn resume(&mut self, account: Account) {
        self.account = account;
    }

    /// The page of the ledger, with what lies in the table now.
    pub fn account(&self) -> Account {
        let mut account = self.account;
        account.open = self.held();
        account.open.records =
            (self.filling.len() + self.evicted.len() / self.settings.schema.row_words()) as u64;
        account
    }

    /// What the account says is held: all that was offered and has not left. Every flush between
    /// batches compares it with what really lies in the table.
    fn held(&self) -> Sum {
        let a = &self.account;
        (a.offered + a.doubled) - (a.filtered + a.refused + a.flushed + a.unexplained)
    }

    /// The latest time it has seen.
    pub fn last(&self) -> Nanos {
        self.last
    }

    /// Entries in the table and most entries.
    pub fn usage(&self) -> (usize, usize) {
        (self.filling.len(), self.filling.capacity())
    }

    /// How it works.
    pub fn settings(&self) -> &Settings {
        &self.settings
    }
}

/// Packets and bytes of the records of a batch.
type Counters = [(u64, u64); Batch::SIZE];

/// What the counters of records are.
fn counters(records: &[FlowRecord]) -> Counters {
    let mut kept = [(0, 0); Batch::SIZE];
    for (record, kept) in records.iter().zip(&mut kept) {
        *kept = (record.packets, record.bytes);
    }
    kept
}

/// Multiplies counters by the sampling rate, which is one from then on; gives what they were.
fn renormalise(records: &mut [FlowRecord]) -> (Counters, [u32; Batch::SIZE]) {
    let (kept, mut rates) = (counters(records), [0; Batch::SIZE]);
    for (record, kept) in records.iter_mut().zip(&mut rates) {
        let known = record.present.has(Field::SamplingRate) && !record.exact;
        let rate = if known { record.sampling_rate() } else { 0 };
        if rate > 1 {
            record.packets = record.packets.saturating_mul(u64::from(rate));
            record.bytes = record.bytes.saturating_mul(u64::from(rate));
            record.set_sampling_rate(1);
            *kept = rate;
        }
    }
    (kept, rates)
}

fn restore(records: &mut [FlowRecord], kept: &Counters) {
    for (record, kept) in records.iter_mut().zip(kept) {
        (record.packets, record.bytes) = *kept;
    }
}
