//! With a spool.

use super::*;
use crate::spool::{Log, Settings};
use std::sync::atomic::{AtomicBool, Ordering};
use tempfile::TempDir;

/// Takes rows as long as the switch is on; what it has taken is in the list.
#[derive(Clone, Default)]
struct Switched {
    on: Arc<AtomicBool>,
    taken: Arc<Mutex<Vec<BatchId>>>,
    /// Rows are not safe before the last of their flush.
    collects: bool,
    held: bool,
    pause: Duration,
}

impl Switched {
    fn turn(&self, on: bool) {
        self.on.store(on, Ordering::Relaxed);
    }

    fn sequences(&self) -> Vec<u64> {
        self.taken
            .lock()
            .unwrap()
            .iter()
            .map(|id| id.sequence)
            .collect()
    }

    fn sorted(&self) -> Vec<u64> {
        let mut all = self.sequences();
        all.sort_unstable();
        all
    }

    fn await_rows(&self, count: usize) {
        let end = Instant::now() + Duration::from_secs(20);
        while self.sequences().len() < count && Instant::now() < end {
            std::thread::sleep(Duration::from_millis(5));
        }
        assert_eq!(self.sequences().len(), count);
    }
}

impl Sink for Switched {
    fn write(&mut self, rows: &Rows) -> Result<(), SinkError> {
        std::thread::sleep(self.pause);
        if !self.on.load(Ordering::Relaxed) {
            return Err(SinkError::Retry {
                why: "off".into(),
                after: Duration::from_millis(20),
            });
        }
        self.taken.lock().unwrap().push(rows.id);
        self.held = self.collects && !rows.last;
        Ok(())
    }

    fn holds(&self) -> bool {
        self.held
    }
}

/// A queue of so many batches, with a spool in `dir`.
fn spooled(dir: &TempDir, batches: usize, ahead: bool, size: u64) -> Arc<Outlet> {
    let backlog = Backlog::open("x", settings(dir, size), ahead).unwrap();
    let bytes = batches * cost();
    Outlet::with("x", bytes, false, Some(backlog))
}

fn settings(dir: &TempDir, size: u64) -> Settings {
    Settings {
        folder: dir.path().join("x"),
        size,
        age: None,
        sync: crate::spool::Sync::Never,
        daily: None,
    }
}

fn cost() -> usize {
    let rows = rows(0);
    let sum = rows.sum();
    let (place, after, replayed) = (None, false, false);
    Item {
        rows,
        sum,
        place,
        after,
        replayed,
    }
    .cost()
}

fn stop(outlet: &Outlet, thread: JoinHandle<()>) {
    outlet.hurry(Some(Instant::now() + Duration::from_secs(60)));
    outlet.close();
    thread.join().unwrap();
}

fn balanced(outlet: &Outlet) -> Delivery {
    let page = outlet.health().delivery;
    assert_eq!(page.imbalance(), Sum::default(), "{page:?}");
    page
}

fn until(outlet: &Outlet, what: impl Fn(&Health) -> bool) {
    let end = Instant::now() + Duration::from_secs(20);
    while !what(&outlet.health()) && Instant::now() < end {
        std::thread::sleep(Duration::from_millis(5));
    }
    assert!(what(&outlet.health()), "{:?}", outlet.health());
}

#[test]
fn what_a_failing_sink_does_not_take_waits_on_disk_and_comes_in_order() {
    let dir = tempfile::tempdir().unwrap();
    let outlet = spooled(&dir, 8, false, 8 << 20);
    let sink = Switched::default();
    let thread = outlet.start(Box::new(sink.clone())).unwrap();
    (0..100).for_each(|n| outlet.push(rows(n)));
    until(&outlet, |h| h.delivery.retries > 0);
    let page = balanced(&outlet);
    assert_eq!((page.dropped.records, page.offered.records), (0, 100));
    assert!(page.spooled.records >= 90, "{page:?}");
    sink.turn(true);
    sink.await_rows(100);
    assert_eq!(sink.sequences(), (0..100).collect::<Vec<_>>());
    until(&outlet, |h| h.delivery.queued.records == 0);
    assert_eq!(balanced(&outlet).written.records, 100);
    stop(&outlet, thread);
    let left = std::fs::read_dir(dir.path().join("x")).unwrap();
    assert_eq!(left.count(), 2, "lock and wear");
}

#[test]
fn nothing_touches_the_disk_while_the_sink_keeps_up() {
    let dir = tempfile::tempdir().unwrap();
    let outlet = spooled(&dir, 1000, false, 8 << 20);
    let sink = Switched::default();
    sink.turn(true);
    let thread = outlet.start(Box::new(sink.clone())).unwrap();
    (0..100).for_each(|n| outlet.push(rows(n)));
    sink.await_rows(100);
    assert_eq!(outlet.health().spool.unwrap().usage.wear, 0);
    stop(&outlet, thread);
}

#[test]
fn a_stop_leaves_to_the_spool_what_the_sink_did_not_take() {
    for ahead in [false, true] {
        let dir = tempfile::tempdir().unwrap();
        let outlet = spooled(&dir, 1000, ahead, 8 << 20);
        let sink = Switched::default();
        let thread = outlet.start(Box::new(sink)).unwrap();
        (0..50).for_each(|n| outlet.push(rows(n)));
        let since = Instant::now();
        stop(&outlet, thread);
        assert!(
            since.elapsed() < Duration::from_secs(10),
            "it need not wait"
        );
        let page = balanced(&outlet);
        assert_eq!((page.spooled.records, page.dropped.records), (50, 0));
        drop(outlet);
        let outlet = spooled(&dir, 1000, ahead, 8 << 20);
        assert_eq!(outlet.health().delivery.recovered.records, 50);
        balanced(&outlet);
        let sink = Switched::default();
        sink.turn(true);
        let thread = outlet.start(Box::new(sink.clone())).unwrap();
        outlet.push(batch(2, 0, 0, true));
        sink.await_rows(51);
        let taken = sink.taken.lock().unwrap().clone();
        let old: Vec<u64> = taken
            .iter()
            .filter(|id| id.run == 1)
            .map(|id| id.sequence)
            .collect();
        assert_eq!(old, (0..50).collect::<Vec<_>>());
        stop(&outlet, thread);
        let page = balanced(&outlet);
        assert_eq!((page.written.records, page.spooled.records), (51, 0));
    }
}

#[test]
fn a_sink_that_hangs_at_the_stop_loses_nothing_to_the_spool() {
    let dir = tempfile::tempdir().unwrap();
    let outlet = spooled(&dir, 100, false, 8 << 20);
    let (begins, begun) = channel();
    let (release, released) = channel();
    let thread = outlet.start(Box::new(Hung(begins, released))).unwrap();
    (0..10).for_each(|n| outlet.push(rows(n)));
    begun.recv().unwrap();
    let give_up = Some(Instant::now());
    outlet.hurry(give_up);
    outlet.close();
    join(&outlet, thread, give_up);
    assert_eq!(balanced(&outlet).spooled.records, 10);
    // Should it come back after all, nothing is counted twice.
    drop(release);
    std::thread::sleep(Duration::from_millis(50));
    balanced(&outlet);
    let again = spooled(&dir, 100, false, 8 << 20);
    assert_eq!(again.health().delivery.recovered.records, 10);
}

#[test]
fn what_comes_new_and_what_waits_take_turns() {
    let dir = tempfile::tempdir().unwrap();
    let outlet = spooled(&dir, 1000, false, 8 << 20);
    let sink = Switched::default();
    let thread = outlet.start(Box::new(sink)).unwrap();
    (0..200).for_each(|n| outlet.push(rows(n)));
    stop(&outlet, thread);
    let outlet = spooled(&dir, 1000, false, 8 << 20);
    let sink = Switched::default();
    (0..100).for_each(|n| outlet.push(batch(2, n, 0, true)));
    sink.turn(true);
    let thread = outlet.start(Box::new(sink.clone())).unwrap();
    sink.await_rows(300);
    let taken = sink.taken.lock().unwrap().clone();
    let new = taken.iter().take(100).filter(|id| id.run == 2).count();
    assert!((45..=55).contains(&new), "{new} of the first hundred");
    stop(&outlet, thread);
    assert_eq!(balanced(&outlet).written.records, 300);
}

#[test]
fn rows_of_a_flush_never_overtake_each_other() {
    let dir = tempfile::tempdir().unwrap();
    let outlet = spooled(&dir, 6, false, 8 << 20);
    let sink = Switched {
        pause: Duration::from_micros(300),
        ..Switched::default()
    };
    sink.turn(true);
    let thread = outlet.start(Box::new(sink.clone())).unwrap();
    // Flushes of twelve batches; the sink is slower than what comes.
    for n in 0..600 {
        outlet.push(batch(1, n, n / 12, n % 12 == 11));
        if n % 100 == 50 {
            sink.turn(false);
        } else if n % 100 == 90 {
            sink.turn(true);
            std::thread::sleep(Duration::from_millis(30));
        }
    }
    sink.await_rows(600);
    let all = sink.sequences();
    let place = |n: u64| all.iter().position(|m| *m == n).unwrap();
    for flush in 0..50 {
        for n in flush * 12..flush * 12 + 11 {
            assert!(place(n) < place(n + 1), "{n} in {all:?}");
        }
    }
    stop(&outlet, thread);
    assert_eq!(balanced(&outlet).written.records, 600);
}

#[test]
fn ahead_of_everything_a_crash_loses_nothing_and_little_comes_twice() {
    let dir = tempfile::tempdir().unwrap();
    let copy = tempfile::tempdir().unwrap();
    let outlet = spooled(&dir, 50, true, 8 << 20);
    let sink = Switched::default();
    let thread = outlet.start(Box::new(sink.clone())).unwrap();
    sink.turn(true);
    (0..40).for_each(|n| outlet.push(rows(n)));
    sink.await_rows(40);
    until(&outlet, |h| h.delivery.queued.records == 0);
    sink.turn(false);
    (40..300).for_each(|n| outlet.push(rows(n)));
    // What a process that dies now leaves behind.
    let at = copy.path().join("x");
    std::fs::create_dir(&at).unwrap();
    for entry in std::fs::read_dir(dir.path().join("x")).unwrap() {
        let entry = entry.unwrap();
        std::fs::copy(entry.path(), at.join(entry.file_name())).unwrap();
    }
    let page = balanced(&outlet);
    assert_eq!((page.offered.records, page.dropped.records), (300, 0));
    stop(&outlet, thread);
    let again = spooled(&copy, 50, true, 8 << 20);
    assert_eq!(again.health().delivery.recovered.records, 260);
    let sink = Switched::default();
    sink.turn(true);
    let thread = again.start(Box::new(sink.clone())).unwrap();
    sink.await_rows(260);
    assert_eq!(sink.sorted(), (40..300).collect::<Vec<_>>());
    stop(&again, thread);
}

#[test]
fn what_an_output_has_not_completed_comes_again() {
    let dir = tempfile::tempdir().unwrap();
    let outlet = spooled(&dir, 50, true, 8 << 20);
    let sink = Switched {
        collects: true,
        ..Switched::default()
    };
    sink.turn(true);
    let thread = outlet.start(Box::new(sink.clone())).unwrap();
    for n in 0..15 {
        outlet.push(batch(1, n, n / 10, n == 9));
    }
    sink.await_rows(15);
    until(&outlet, |h| h.delivery.queued.records == 0);
    stop(&outlet, thread);
    let again = spooled(&dir, 50, true, 8 << 20);
    assert_eq!(again.health().delivery.recovered.records, 5);
}

#[test]
fn what_a_full_spool_gives_up_is_counted() {
    let dir = tempfile::tempdir().unwrap();
    let outlet = spooled(&dir, 10, false, 1 << 20);
    let thread = outlet.start(Box::new(Switched::default())).unwrap();
    (0..20_000).for_each(|n| outlet.push(rows(n)));
    let page = balanced(&outlet);
    assert!(page.given_up.records > 5000, "{page:?}");
    assert_eq!(page.dropped.records, 0);
    stop(&outlet, thread);
    balanced(&outlet);
}

#[test]
fn what_a_later_weir_wrote_stays_for_it() {
    let dir = tempfile::tempdir().unwrap();
    let outlet = spooled(&dir, 10, true, 1 << 20);
    outlet.push(rows(0));
    let thread = outlet.start(Box::new(Switched::default())).unwrap();
    stop(&outlet, thread);
    // Another field than this weir knows.
    let mut log = Log::open(&settings(&dir, 1 << 20), Nanos(1)).unwrap();
    let mut frame = Vec::new();
    let (place, sum) = log.next(&mut frame).unwrap();
    log.ack(place);
    let at = frame.windows(8).position(|w| w == b"src_port").unwrap();
    frame[at..at + 8].copy_from_slice(b"src_mood");
    let keep = Keep::default();
    log.append(&frame, sum, Nanos(1), keep).unwrap();
    log.close();
    for _ in 0..2 {
        let outlet = spooled(&dir, 10, false, 1 << 20);
        let sink = Switched::default();
        sink.turn(true);
        let thread = outlet.start(Box::new(sink.clone())).unwrap();
        outlet.push(rows(1));
        sink.await_rows(1);
        until(&outlet, |health| health.delivery.given_up.records == 1);
        let page = balanced(&outlet);
        assert_eq!(page.recovered.records, 1);
        stop(&outlet, thread);
    }
    let mut log = Log::open(&settings(&dir, 1 << 20), Nanos(1)).unwrap();
    let mut left = Vec::new();
    assert!(log.next(&mut left).is_some());
    assert_eq!(left, frame);
}

#[test]
fn the_end_of_a_flush_comes_out_of_the_spool_without_rows() {
    let dir = tempfile::tempdir().unwrap();
    let outlet = spooled(&dir, 10, true, 1 << 20);
    let sink = Switched::default();
    let thread = outlet.start(Box::new(sink.clone())).unwrap();
    outlet.push(batch(1, 0, 7, false));
    let mut end = Rows::clone(&batch(1, 1, 7, true));
    end.words.clear();
    outlet.push(Arc::new(end));
    stop(&outlet, thread);
    assert_eq!(sink.sequences(), [0; 0]);
    let outlet = spooled(&dir, 10, true, 1 << 20);
    sink.turn(true);
    let thread = outlet.start(Box::new(sink.clone())).unwrap();
    sink.await_rows(2);
    assert_eq!(sink.sequences(), [0, 1]);
    stop(&outlet, thread);
}

#[test]
fn a_sink_that_dies_takes_only_what_it_died_of() {
    struct Dies(u64);
    impl Sink for Dies {
        fn write(&mut self, rows: &Rows) -> Result<(), SinkError> {
            assert!(rows.id.sequence < self.0, "a defect");
            Ok(())
        }
    }
    let dir = tempfile::tempdir().unwrap();
    let outlet = spooled(&dir, 100, true, 8 << 20);
    (0..10).for_each(|n| outlet.push(rows(n)));
    let thread = outlet.start(Box::new(Dies(4))).unwrap();
    thread.join().unwrap();
    let page = balanced(&outlet);
    let counts = (
        page.written.records,
        page.dropped.records,
        page.spooled.records,
    );
    assert_eq!(counts, (4, 1, 5));
    let again = spooled(&dir, 100, true, 8 << 20);
    assert_eq!(again.health().delivery.recovered.records, 5);
}
