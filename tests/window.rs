//! One aggregation with its tables, policies and bins: rows handed out add up to the records that
//! went in, whatever the clock, the memory and the pace of whoever takes the rows.

use proptest::prelude::*;
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex};
use weir::agg::full::Full;
use weir::agg::window::{Cause, RecordTime, Tray};
use weir::agg::{Aggregator, Drained, Settings, Table};
use weir::base::addr::Ip;
use weir::base::bins::{Bins, Every};
use weir::base::intern::Interner;
use weir::base::ledger::{Account, Sum};
use weir::base::time::{Nanos, SECOND};
use weir::base::zone::Zone;
use weir::record::schema::{Options, What};
use weir::record::{Batch, Field, Schema, Value};

/// A row: bin in seconds, source address, packets, bytes.
type Row = (u64, [u8; 16], u64, u64);

#[derive(Default)]
struct Taken {
    rows: Vec<Row>,
    /// Rows of each hand-over and why it came.
    flushes: Vec<(Cause, usize)>,
    /// Rows handed over one by one, because they were evicted.
    evicted: usize,
    /// The other side is slow: tables do not come back, and nothing is ready.
    slow: bool,
    /// Hand-overs that would have blocked.
    blocked: usize,
    spare: Vec<Table>,
    away: Vec<Table>,
    /// When the times between two flushes began, in seconds.
    began: Vec<u64>,
}

/// A tray whose pace the test sets.
#[derive(Clone)]
struct Hand(Arc<Mutex<Taken>>, Arc<Schema>);

impl Hand {
    fn keep<'a>(&self, taken: &mut Taken, rows: impl Iterator<Item = &'a [u64]>) -> usize {
        let schema = &self.1;
        let column = |what| schema.column(what).unwrap();
        let mut count = 0;
        for row in rows {
            let bin = if schema.binned {
                match schema.value(column(What::Field(Field::Bin)), row) {
                    Value::Time(bin) => bin.0 / SECOND,
                    other => panic!("{other:?}"),
                }
            } else {
                0
            };
            let host = match schema.columns.iter().find(|c| is_host(c.what)) {
                Some(column) => column.ip(row).0,
                None => [0; 16],
            };
            let number = |what| column(what).number(row);
            let (packets, bytes) = (number(What::Packets), number(What::Bytes));
            taken.rows.push((bin, host, packets, bytes));
            count += 1;
        }
        count
    }

    fn slow(&self, slow: bool) {
        let mut taken = self.0.lock().unwrap();
        taken.slow = slow;
        if !slow {
            let away = std::mem::take(&mut taken.away);
            taken.spare.extend(away);
        }
    }
}

fn is_host(what: What) -> bool {
    matches!(what, What::Field(Field::SrcHost))
}

impl Tray for Hand {
    fn began(&mut self, start: Nanos) {
        self.0.lock().unwrap().began.push(start.0 / SECOND);
    }

    fn put(&mut self, drained: Drained, cause: Cause, _: Nanos) {
        let mut taken = self.0.lock().unwrap();
        taken.blocked += usize::from(taken.slow);
        match drained {
            Drained::Table(mut table) => {
                let rows = self.keep(&mut taken, table.rows());
                taken.flushes.push((cause, rows));
                table.clear();
                if taken.slow {
                    taken.away.push(table);
                } else {
                    taken.spare.push(table);
                }
            }
            Drained::Rows(rows) => {
                let count = self.keep(&mut taken, rows.chunks_exact(self.1.row_words()));
                taken.evicted += count;
            }
        }
    }

    fn take(&mut self, wait: bool) -> Option<Table> {
        if wait {
            self.slow(false);
        }
        let mut taken = self.0.lock().unwrap();
        if taken.slow { None } else { taken.spare.pop() }
    }

    fn ready(&self) -> bool {
        !self.0.lock().unwrap().slow
    }
}

/// What is tried.
#[derive(Clone, Copy, Debug)]
struct Case {
    both: bool,
    every: Option<u32>,
    flush: Option<u32>,
    time: RecordTime,
    prorate: bool,
    memory: usize,
    full: Full,
    renormalise: bool,
    filter: Option<u32>,
    wait: bool,
}

const CASE: Case = Case {
    both: false,
    every: None,
    flush: None,
    time: RecordTime::Arrival,
    prorate: false,
    memory: 1 << 20,
    full: Full::Flush,
    renormalise: false,
    filter: None,
    wait: false,
};

/// One record of a stream.
#[derive(Clone, Copy, Debug)]
struct Given {
    host: u16,
    /// Seconds.
    time: u64,
    packets: u64,
    bytes: u64,
}

fn given(host: u16, time: u64) -> Given {
    Given {
        host,
        time,
        packets: 2,
        bytes: 100 + u64::from(host),
    }
}

fn host(n: u16) -> Ip {
    Ip::from(IpAddr::from([10, 0, (n >> 8) as u8, n as u8]))
}

struct Bench {
    case: Case,
    aggregator: Aggregator,
    hand: Hand,
    batch: Batch,
}

impl Bench {
    fn new(case: Case) -> Self {
        let options = Options {
            flows: false,
            both_ends: case.both,
            binned: case.every.is_some(),
            ..Options::default()
        };
        let symbols = Arc::new(Interner::new(0));
        let schema = Arc::new(Schema::new("window", &[Field::SrcHost], options, symbols));
        let settings = Settings {
            schema: schema.clone(),
            memory: case.memory,
            full: case.full,
            time: case.time,
            prorate: case.prorate,
            renormalise: case.renormalise,
            filter: case.filter,
            seed: 5,
        };
        let mut wanted = schema.key.needs().union(schema.counter.needs());
        for field in [Field::SrcHost, Field::DstHost, Field::SamplingRate] {
            wanted.insert(field);
        }
        wanted.insert(Field::TimestampStart);
        wanted.insert(Field::TimestampEnd);
        let hand = Hand(Arc::default(), schema);
        hand.0
            .lock()
            .unwrap()
            .spare
            .push(Aggregator::table(&settings));
        let bins = case.every.map(|s| Bins::new(Every::Seconds(s), Zone::UTC));
        let filling = Aggregator::table(&settings);
        let tray = Box::new(hand.clone());
        let mut aggregator = Aggregator::new(settings, bins, filling, tray, case.wait);
        if let Some(seconds) = case.flush {
            aggregator = aggregator.paced(Bins::new(Every::Seconds(seconds), Zone::UTC));
        }
        Self {
            case,
            aggregator,
            hand,
            batch: Batch::new(wanted),
        }
    }

    /// Adds records, all in one batch, at the time of the last.
    fn add(&mut self, records: &[Given]) {
        self.add_with(records, |_| {});
    }

    fn add_with(&mut self, records: &[Given], more: impl Fn(&mut weir::record::FlowRecord)) {
        let mut now = Nanos(0);
        for one in records {
            let record = self.batch.slot();
            record.set_src_host(host(one.host));
            record.set_dst_host(host(one.host ^ 1));
            (record.packets, record.bytes) = (one.packets, one.bytes);
            record.time = Nanos(one.time * SECOND);
            now = record.time;
            more(record);
        }
        self.aggregator.add(&mut self.batch, now);
        self.batch.clear();
        self.check();
    }

    /// What holds at any time: the page balances, and says of the rows handed out what they say.
    fn check(&self) -> Account {
        let account = self.aggregator.account();
        assert_eq!(account.imbalance(), (0, 0), "{:?} {account:?}", self.case);
        assert_eq!(account.mismatches, 0, "{:?} {account:?}", self.case);
        let taken = self.hand.0.lock().unwrap();
        let out = sum(&taken.rows);
        assert_eq!(account.flushed, out, "{:?} {account:?}", self.case);
        account
    }

    fn flushes(&self) -> Vec<(Cause, usize)> {
        self.hand.0.lock().unwrap().flushes.clone()
    }

    /// Ends it: nothing is left. Gives the page and the rows.
    fn finish(&mut self) -> (Account, Vec<Row>) {
        self.aggregator.finish(Nanos(1 << 62));
        let account = self.check();
        assert_eq!(account.open, Sum::default(), "{:?}", self.case);
        (account, self.hand.0.lock().unwrap().rows.clone())
    }
}

fn sum(rows: &[Row]) -> Sum {
    rows.iter()
        .fold(Sum::default(), |all, row| all + Sum::one(row.2, row.3))
}

fn by_bin(rows: &[Row]) -> BTreeMap<u64, u64> {
    let mut bins = BTreeMap::new();
    for row in rows {
        *bins.entry(row.0).or_insert(0) += row.2;
    }
    bins
}

#[test]
fn bins_end_as_arrival_passes_them() {
    let case = Case {
        every: Some(60),
        ..CASE
    };
    let mut bench = Bench::new(case);
    bench.add(&[given(1, 600), given(2, 610), given(1, 659)]);
    assert_eq!(bench.flushes(), []);
    bench.add(&[given(1, 660)]);
    assert_eq!(bench.flushes(), [(Cause::Bin, 2)]);
    // Nothing comes for long: only time passes. The empty bins between are none.
    bench.aggregator.advance(Nanos(1000 * SECOND));
    assert_eq!(bench.flushes(), [(Cause::Bin, 2), (Cause::Bin, 1)]);
    assert_eq!(bench.aggregator.deadline(), Nanos(1020 * SECOND));
    let (_, rows) = bench.finish();
    assert_eq!(by_bin(&rows), BTreeMap::from([(600, 6), (660, 2)]));
}

#[test]
fn a_batch_that_reaches_over_the_end_of_a_bin_is_divided_there() {
    let case = Case {
        every: Some(60),
        ..CASE
    };
    let mut bench = Bench::new(case);
    bench.add(&[given(1, 659), given(1, 659)]);
    bench.add(&[
        given(1, 659),
        given(2, 659),
        given(1, 660),
        given(1, 725),
        given(1, 724),
    ]);
    // One row for each host and bin, in the order of the bins.
    assert_eq!(bench.flushes(), [(Cause::Bin, 2), (Cause::Bin, 1)]);
    let (_, rows) = bench.finish();
    let bins: Vec<_> = rows.iter().map(|row| (row.0, row.2)).collect();
    assert_eq!(bins, [(600, 6), (600, 2), (660, 2), (720, 4)]);
}

#[test]
fn rows_are_handed_out_while_their_bins_go_on() {
    let case = Case {
        every: Some(60),
        flush: Some(20),
        ..CASE
    };
    let mut bench = Bench::new(case);
    for time in [601, 619, 620, 655, 665, 700] {
        bench.add(&[given(1, time)]);
    }
    assert_eq!(bench.aggregator.deadline(), Nanos(720 * SECOND));
    let (_, rows) = bench.finish();
    // What comes late for a bin is another row of it.
    let bins: Vec<_> = rows.iter().map(|row| (row.0, row.2)).collect();
    assert_eq!(bins, [(600, 4), (600, 2), (600, 2), (660, 2), (660, 2)]);
    // Rarely, and then the rows of several bins at once.
    let case = Case {
        every: Some(10),
        flush: Some(60),
        ..CASE
    };
    let mut bench = Bench::new(case);
    bench.add(&[given(1, 601), given(1, 611), given(1, 659), given(1, 660)]);
    assert_eq!(bench.flushes(), [(Cause::Bin, 3)]);
    assert_eq!(bench.aggregator.deadline(), Nanos(720 * SECOND));
}

#[test]
fn without_bins_rows_belong_to_the_time_between_two_flushes() {
    let case = Case {
        flush: Some(20),
        ..CASE
    };
    let mut bench = Bench::new(case);
    bench.add(&[given(1, 605), given(1, 619), given(1, 620), given(1, 671)]);
    assert_eq!(bench.flushes(), [(Cause::Bin, 1), (Cause::Bin, 1)]);
    assert_eq!(bench.hand.0.lock().unwrap().began, [600, 620, 660]);
    let (_, rows) = bench.finish();
    let rows: Vec<_> = rows.iter().map(|row| (row.0, row.2)).collect();
    assert_eq!(rows, [(0, 4), (0, 2), (0, 2)]);
}

/// Sets start and end of a flow, in seconds.
fn spans(start: u64, end: u64) -> impl Fn(&mut weir::record::FlowRecord) {
    move |record| {
        record.set_timestamp_start(Nanos(start * SECOND));
        record.set_timestamp_end(Nanos(end * SECOND));
    }
}

#[test]
fn flows_are_split_over_the_bins_they_span() {
    let case = Case {
        every: Some(60),
        prorate: true,
        ..CASE
    };
    let large = Given {
        packets: 9,
        bytes: 901,
        ..given(1, 700)
    };
    let mut bench = Bench::new(case);
    // Half a minute of the first bin, all of the second.
    bench.add_with(&[large], spans(630, 720));
    let (account, rows) = bench.finish();
    assert_eq!(account.offered, Sum::one(9, 901));
    let mut rows: Vec<_> = rows.iter().map(|row| (row.0, row.2, row.3)).collect();
    rows.sort();
    assert_eq!(rows, [(600, 3, 300), (660, 6, 601)]);
    // The record is left as it was, for other aggregations.
    let record = bench.batch.slot();
    (record.packets, record.bytes) = (9, 901);
    record.time = Nanos(700 * SECOND);
    spans(630, 720)(record);
    bench.aggregator.add(&mut bench.batch, Nanos(700 * SECOND));
    let record = &bench.batch.records()[0];
    assert_eq!((record.packets, record.bytes), (9, 901));
}

#[test]
fn flows_that_can_not_be_split_count_once() {
    let case = Case {
        every: Some(60),
        prorate: true,
        ..CASE
    };
    let now = 600_040;
    let whole = [
        // Within a bin, without length, the wrong way round.
        (now - 30, now + 10),
        (now, now),
        (now, now - 50),
        // Over too many bins, from too long ago, into the future.
        (now - 101 * 60, now),
        (now - 1001 * 60, now - 1000 * 60),
        (now - 30, now + 100),
    ];
    for (start, end) in whole {
        let mut bench = Bench::new(case);
        bench.add_with(&[given(1, now)], spans(start, end));
        let (_, rows) = bench.finish();
        assert_eq!(rows, [(600_000, host(1).0, 2, 101)], "{start} {end}");
    }
    // A filter looks at the whole.
    let mut bench = Bench::new(Case {
        filter: Some(1),
        ..case
    });
    bench.add_with(&[given(1, 700)], spans(630, 720));
    let (account, rows) = bench.finish();
    assert_eq!((account.filtered, rows), (Sum::one(2, 101), vec![]));
}

#[test]
fn a_record_of_the_start_of_its_flow_goes_to_that_bin() {
    let case = Case {
        every: Some(60),
        time: RecordTime::Start,
        ..CASE
    };
    let mut bench = Bench::new(case);
    bench.add_with(&[given(1, 700), given(1, 701)], |record| {
        record.set_timestamp_start(Nanos(record.time.0 - 100 * SECOND));
    });
    // One that does not say counts when it came, and so does a start of zero.
    bench.add(&[given(1, 702)]);
    bench.add_with(&[given(1, 702)], |record| {
        record.set_timestamp_start(Nanos(0));
    });
    let (_, rows) = bench.finish();
    assert_eq!(by_bin(&rows), BTreeMap::from([(600, 4), (660, 4)]));
}

#[test]
fn clocks_that_jump_stop_nothing() {
    let case = Case {
        every: Some(60),
        ..CASE
    };
    let mut bench = Bench::new(case);
    let jumps = [
        6000,
        6001,
        1_900_000_000,
        6002,
        6061,
        5990,
        60,
        120,
        6100,
        0,
    ];
    for time in jumps {
        bench.add(&[given(1, time)]);
        // Never longer than two bins away: a wrong time does not hold up those that follow.
        let ahead = bench.aggregator.deadline().0 as i64 - (time * SECOND) as i64;
        assert!(
            ahead > 0 && ahead <= (180 * SECOND) as i64,
            "{time}: {ahead}"
        );
    }
    let (account, rows) = bench.finish();
    assert_eq!(account.offered.records, jumps.len() as u64);
    let mut want = BTreeMap::new();
    for time in jumps {
        *want.entry(time / 60 * 60).or_insert(0) += 2;
    }
    assert_eq!(by_bin(&rows), want);
}

#[test]
fn both_ends_count_twice() {
    let case = Case { both: true, ..CASE };
    let mut bench = Bench::new(case);
    // 2 sends to 3 and 3 to 2.
    bench.add(&[given(2, 10), given(3, 10)]);
    let (account, rows) = bench.finish();
    assert_eq!((account.offered.packets, account.doubled.packets), (4, 4));
    assert_eq!((account.offered.records, account.doubled.records), (2, 0));
    let both = 100 + 2 + 100 + 3;
    let want = [(0, host(2).0, 4, both), (0, host(3).0, 4, both)];
    assert_eq!(rows, want);
    // Other aggregations see the record as it was.
    let record = bench.batch.slot();
    record.set_src_host(host(2));
    record.set_dst_host(host(3));
    bench.aggregator.add(&mut bench.batch, Nanos(20 * SECOND));
    let record = &bench.batch.records()[0];
    assert_eq!((record.src_host(), record.dst_host()), (host(2), host(3)));
}

#[test]
fn what_a_filter_holds_back_is_counted_once() {
    for both in [false, true] {
        let case = Case {
            both,
            filter: Some(4),
            ..CASE
        };
        let mut bench = Bench::new(case);
        bench.add_with(&[given(2, 10), given(4, 10)], |record| {
            record.pass = if record.bytes == 102 { 4 } else { 3 };
        });
        let (account, rows) = bench.finish();
        assert_eq!(account.filtered, Sum::one(2, 104));
        let ends = if both { 2 } else { 1 };
        assert_eq!(sum(&rows).packets, 2 * ends);
    }
}

#[test]
fn renormalising_touches_neither_the_record_nor_exact_ones() {
    let case = Case {
        renormalise: true,
        ..CASE
    };
    let mut bench = Bench::new(case);
    bench.add_with(&[given(1, 10)], |record| record.set_sampling_rate(100));
    bench.add_with(&[given(1, 10)], |record| {
        record.set_sampling_rate(100);
        record.exact = true;
    });
    bench.add_with(&[given(1, 10)], |record| record.set_sampling_rate(0));
    bench.add(&[given(1, 10)]);
    let (account, rows) = bench.finish();
    assert_eq!(rows, [(0, host(1).0, 200 + 6, 10_100 + 303)]);
    assert_eq!(account.offered.packets, 206);
    // Other aggregations see the record as it was.
    let record = bench.batch.slot();
    record.set_sampling_rate(7);
    (record.packets, record.bytes) = (3, 5);
    bench.aggregator.add(&mut bench.batch, Nanos(20 * SECOND));
    let record = &bench.batch.records()[0];
    assert_eq!((record.packets, record.bytes), (3, 5));
}

/// Memory in which few rows fit, and how many.
fn tiny(full: Full, every: Option<u32>) -> (Case, u16) {
    let case = Case {
        memory: 4096,
        full,
        every,
        ..CASE
    };
    let most = Bench::new(case).aggregator.usage().1;
    assert!((4..200).contains(&most), "{most}");
    (case, most as u16)
}

#[test]
fn folding_keeps_one_row_for_each_bin() {
    let (case, most) = tiny(Full::Fold, Some(60));
    let case = Case {
        time: RecordTime::Start,
        ..case
    };
    let mut bench = Bench::new(case);
    let starts = |seconds: u64| {
        move |record: &mut weir::record::FlowRecord| {
            record.set_timestamp_start(Nanos(seconds * SECOND));
        }
    };
    for n in 0..most {
        bench.add_with(&[given(n, 1200)], starts(1200));
    }
    assert_eq!(bench.check().folded, Sum::default());
    // Known keys go on; new ones are folded, by bin.
    bench.add_with(&[given(0, 1200)], starts(1200));
    for bin in [1200, 1140, 1080] {
        for n in [1000, 1001] {
            bench.add_with(&[given(n, 1200)], starts(bin));
        }
    }
    let (account, rows) = bench.finish();
    assert_eq!((account.folded.records, account.folded.packets), (6, 12));
    assert_eq!(account.refused, Sum::default());
    let other: Vec<_> = rows.iter().filter(|r| r.1 == [0; 16]).collect();
    let bytes = 1100 + 1101;
    let want = [1200, 1140, 1080].map(|bin| (bin, [0; 16], 4, bytes));
    assert_eq!(other, want.iter().collect::<Vec<_>>());
    assert_eq!(rows[0], (1200, host(0).0, 4, 200));
}

#[test]
fn evicting_hands_the_small_out_and_keeps_the_large() {
    let (case, most) = tiny(Full::Evict, None);
    let mut bench = Bench::new(case);
    let large = Given {
        bytes: 1_000_000,
        ..given(5000, 10)
    };
    bench.add(&[large]);
    for n in 0..most * 3 {
        bench.add(&[given(n, 10)]);
    }
    let account = bench.check();
    assert_eq!(account.evicted.records, u64::from(most) * 2 + 1);
    assert_eq!(account.refused, Sum::default());
    bench.add(&[large]);
    let (account, rows) = bench.finish();
    let of_large: Vec<_> = rows.iter().filter(|r| r.1 == host(5000).0).collect();
    assert_eq!(of_large, [&(0, host(5000).0, 4, 2_000_000)]);
    assert_eq!(rows.len(), usize::from(most) * 3 + 1);
    assert_eq!(account.flushed.packets, account.offered.packets);
}

#[test]
fn a_full_table_is_handed_out_and_refuses_only_when_the_other_is_away() {
    let (case, most) = tiny(Full::Flush, None);
    let mut bench = Bench::new(case);
    for n in 0..=most {
        bench.add(&[given(n, 10)]);
    }
    assert_eq!(bench.flushes(), [(Cause::Early, usize::from(most))]);
    assert_eq!(bench.check().full, 1);
    bench.hand.slow(true);
    for n in 0..most + 9 {
        bench.add(&[given(n, 10)]);
    }
    // One key of the last round is among them.
    let account = bench.check();
    assert_eq!(account.refused.records, 9);
    assert_eq!(account.full, 1, "a flush that could not be is none");
    // What is known goes on being counted.
    bench.add(&[given(0, 10)]);
    assert_eq!(bench.check().refused.records, 9);
    bench.hand.slow(false);
    bench.add(&[given(9000, 10)]);
    assert_eq!(bench.check().full, 2);
    let (account, rows) = bench.finish();
    let sum = sum(&rows);
    assert_eq!(account.offered.packets, sum.packets + 18);
    assert_eq!(bench.hand.0.lock().unwrap().blocked, 0);
}

#[test]
fn a_slow_taker_never_blocks_live_input() {
    for full in [Full::Flush, Full::Fold, Full::Evict] {
        let (case, most) = tiny(full, Some(60));
        let mut bench = Bench::new(case);
        bench.add(&[given(0, 600)]);
        bench.hand.slow(true);
        for n in 0..most * 8 + 700 {
            bench.add(&[given(n, 600 + u64::from(n) / 8)]);
        }
        let taken = bench.hand.0.lock().unwrap();
        assert_eq!(taken.blocked, 0, "{full:?}");
        drop(taken);
        let account = bench.check();
        assert_ne!(account.open, Sum::default());
        // What could neither be kept nor handed out is said.
        if full != Full::Fold {
            assert_ne!(account.refused, Sum::default(), "{full:?}");
        }
        bench.finish();
    }
}

#[test]
fn with_more_bins_than_fold_rows_nothing_is_refused() {
    let (case, most) = tiny(Full::Fold, Some(1));
    let mut bench = Bench::new(case);
    bench.add(&[given(0, 600)]);
    bench.hand.slow(true);
    for n in 1..most + 30 {
        bench.add(&[given(n, 600 + u64::from(n))]);
    }
    let account = bench.check();
    assert_eq!((account.folded.records, account.refused.records), (30, 0));
    let (_, rows) = bench.finish();
    // Seven bins have a row of their own; the rest is in the row without one.
    assert_eq!(
        rows.last(),
        Some(&(0, [0; 16], 23 * 2, rows[rows.len() - 1].3))
    );
    assert_eq!(rows.len(), usize::from(most) + 8);
}

fn cases() -> impl Strategy<Value = Case> {
    let full = prop_oneof![Just(Full::Flush), Just(Full::Fold), Just(Full::Evict)];
    let every = prop_oneof![Just(None), Just(Some(1)), Just(Some(60)), Just(Some(7))];
    let flush = prop_oneof![Just(None), Just(Some(1)), Just(Some(30))];
    let rest = (any::<bool>(), 0usize..12_000, any::<[bool; 2]>(), flush);
    let all = (full, every, any::<bool>(), rest);
    all.prop_map(
        |(full, every, both, (wait, memory, [start, prorate], flush))| Case {
            both,
            every,
            flush,
            memory,
            full,
            wait,
            prorate: prorate && every.is_some(),
            time: if start {
                RecordTime::Start
            } else {
                RecordTime::Arrival
            },
            ..CASE
        },
    )
}

/// Batches, each with whether the other side is slow while it comes.
fn streams() -> impl Strategy<Value = Vec<(bool, Vec<Given>)>> {
    let record = (0u16..400, 0u64..300, 1u64..5, 40u64..1500);
    let record = record.prop_map(|(host, time, packets, bytes)| Given {
        host,
        time,
        packets,
        bytes,
    });
    let batch = prop::collection::vec(record, 1..=Batch::SIZE);
    prop::collection::vec((any::<bool>(), batch), 1..40)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn rows_out_are_records_in(case in cases(), stream in streams()) {
        let mut bench = Bench::new(case);
        let mut offered = Sum::default();
        for (slow, batch) in &stream {
            bench.hand.slow(*slow && !case.wait);
            if case.prorate {
                bench.add_with(batch, |record| {
                    let end = record.time.0 / SECOND;
                    spans(end.saturating_sub(record.bytes / 10), end)(record);
                });
            } else {
                bench.add(batch);
            }
            for one in batch {
                offered += Sum::one(one.packets, one.bytes);
            }
        }
        prop_assert_eq!(bench.hand.0.lock().unwrap().blocked, 0);
        let (account, rows) = bench.finish();
        prop_assert_eq!(account.offered, offered);
        let out = sum(&rows);
        let ends = if case.both { 2 } else { 1 };
        prop_assert_eq!(out.packets + account.refused.packets, offered.packets * ends);
        prop_assert_eq!(out.bytes + account.refused.bytes, offered.bytes * ends);
        if case.wait {
            prop_assert_eq!(account.refused, Sum::default());
        }
        // Without folding each key and bin has exactly what was sent to it.
        if case.full != Full::Fold && account.refused == Sum::default() {
            let mut want: BTreeMap<(u64, [u8; 16]), u64> = BTreeMap::new();
            for one in stream.iter().flat_map(|(_, batch)| batch) {
                let every = case.every.filter(|_| !case.prorate);
                let bin = every.map_or(0, |s| one.time / u64::from(s) * u64::from(s));
                *want.entry((bin, host(one.host).0)).or_default() += one.packets;
                if ends == 2 {
                    *want.entry((bin, host(one.host ^ 1).0)).or_default() += one.packets;
                }
            }
            let mut have = BTreeMap::new();
            for row in &rows {
                let bin = if case.prorate { 0 } else { row.0 };
                *have.entry((bin, row.1)).or_default() += row.2;
            }
            prop_assert_eq!(have, want);
        }
    }
}
