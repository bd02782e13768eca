use super::*;
use crate::agg::Aggregator;
use crate::agg::Settings;
use crate::agg::full::Full;
use crate::agg::table::Added;
use crate::agg::window::RecordTime;
use crate::base::intern::Interner;
use crate::record::FlowRecord;
use crate::record::schema::Options;
use crate::sink::{Sink, SinkError};
use crate::sys::poll::{Interest, Poll};
use crate::sys::waker;
use std::collections::BTreeMap;

/// Bin and key of a row, and how often it was handed out, in order.
type Got = Arc<Mutex<Vec<(u64, u64, u64)>>>;

/// Keeps what it gets.
struct Keep(Got);

impl Sink for Keep {
    fn write(&mut self, rows: &Rows) -> Result<(), SinkError> {
        let schema = &rows.schema;
        let port = schema.column(What::Field(Field::SrcPort)).unwrap();
        let mut kept = self.0.lock().unwrap();
        for row in rows.words.chunks_exact(schema.row_words()) {
            let bytes = row[schema.key.len() + crate::record::counter::BYTES];
            kept.push((rows.bin.0, port.number(row), bytes));
        }
        Ok(())
    }
}

fn settings(memory: usize, binned: bool) -> Settings {
    let options = Options {
        binned,
        ..Options::default()
    };
    let symbols = Arc::new(Interner::new(0));
    Settings {
        schema: Arc::new(Schema::new("a", &[Field::SrcPort], options, symbols)),
        memory,
        full: Full::Flush,
        time: RecordTime::Arrival,
        prorate: false,
        renormalise: false,
        filter: None,
        seed: 7,
    }
}

/// A table with these keys, each in a bin.
fn table(settings: &Settings, keys: impl Iterator<Item = (u16, u64)>) -> Table {
    let mut table = Aggregator::table(settings);
    let schema = &settings.schema;
    for (port, bin) in keys {
        let mut record = FlowRecord::new();
        record.set_src_port(port);
        record.set_bin(Nanos(bin));
        (record.packets, record.bytes) = (1, 1);
        let mut key = vec![0; schema.key.len()];
        schema.key.pack(&record, &mut key);
        let added = table.add(table.hash(&key), &key, &record, schema);
        assert_eq!(added, Added::Counted);
    }
    table
}

/// What an output gets of the tables of as many workers.
fn handed_out(settings: &Settings, tables: Vec<Table>) -> Vec<(u64, u64, u64)> {
    let got = Got::default();
    let outlet = Outlet::new("o", 1 << 20, true);
    let thread = outlet.start(Box::new(Keep(got.clone()))).unwrap();
    let id = BatchId {
        run: 1,
        aggregate: 0,
        sequence: 0,
    };
    let spares = tables.iter().map(|_| Aggregator::table(settings)).collect();
    let (drain, trays) = drain(&settings.schema, vec![outlet.clone()], None, id, spares);
    let (waker, _woken) = waker::pair().unwrap();
    let draining = drain.start(Arc::new(waker)).unwrap();
    for (mut tray, table) in trays.into_iter().zip(tables) {
        tray.put(Drained::Table(table), Cause::Bin, Nanos(1));
    }
    draining.join();
    outlet.close();
    thread.join().unwrap();
    let got = got.lock().unwrap();
    got.clone()
}

#[test]
fn keys_of_workers_whose_tables_are_full_come_once() {
    let settings = settings(4 << 10, false);
    let room = Aggregator::table(&settings).capacity() as u16;
    let keys = |from: u16| (from..from + room).map(|port| (port, 0));
    // The second and the third share half of their keys, of which the first has none.
    let starts = [0, 1000, 1000 + room / 2];
    let tables = starts.map(|from| table(&settings, keys(from)));
    let mut want: BTreeMap<u64, u64> = BTreeMap::new();
    for (key, _) in starts.into_iter().flat_map(keys) {
        *want.entry(key.into()).or_default() += 1;
    }
    let got = handed_out(&settings, tables.into());
    let rows = got.len();
    let sums: BTreeMap<u64, u64> = got.into_iter().map(|(_, key, n)| (key, n)).collect();
    assert_eq!(rows, want.len());
    assert_eq!(sums, want);
}

#[test]
fn many_bins_come_in_order_and_rows_within_one_in_order_of_arrival() {
    let settings = settings(64 << 10, true);
    let keys = |from: u16| (0..300).map(move |n| (from + n, u64::from(n * 37 % 101) + 1));
    let tables = [0, 1000].map(|from| table(&settings, keys(from)));
    let mut want: Vec<_> = [0, 1000].into_iter().flat_map(keys).collect();
    want.sort_by_key(|(_, bin)| *bin);
    let got = handed_out(&settings, tables.into());
    let got: Vec<_> = got
        .iter()
        .map(|(bin, key, _)| (*key as u16, *bin))
        .collect();
    assert_eq!(got, want);
}

#[test]
fn who_dies_of_a_defect_wakes_whoever_waits_and_says_so() {
    let settings = settings(4 << 10, false);
    let id = BatchId {
        run: 1,
        aggregate: 0,
        sequence: 0,
    };
    let dies = |worker| {
        let spares = vec![Aggregator::table(&settings)];
        let (drain, mut trays) = drain(&settings.schema, Vec::new(), None, id, spares);
        let (waker, woken) = waker::pair().unwrap();
        let draining = drain.start(Arc::new(waker)).unwrap();
        let mut tray = trays.remove(0);
        // There is no such worker.
        tray.worker = worker;
        let table = Aggregator::table(&settings);
        tray.put(Drained::Table(table), Cause::Bin, Nanos(1));
        drop(tray);
        draining.tell(Next::default());
        let mut poll = Poll::new();
        let at = poll.add(woken.fd(), Interest::Read);
        assert!(poll.wait(Some(Duration::from_secs(10))).unwrap() && poll.ready(at));
        let died = draining.died();
        draining.join();
        died
    };
    assert!(!dies(0));
    assert!(dies(1));
}
