//! With a spool.

use super::*;
use crate::spool::{Log, Settings};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
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
    join(&outlet, thread);
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
    let (place, sum) = log.next(&mut frame).unwrap().unwrap();
    log.ack(place);
    let at = frame.windows(8).position(|w| w == b"src_port").unwrap();
    frame[at..at + 8].copy_from_slice(b"src_mood");
    let keep = Keep::default();
    log.append(&frame, sum, Nanos(1), keep).unwrap();
    log.close().unwrap();
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
    assert!(log.next(&mut left).unwrap().is_some());
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

#[test]
fn what_the_ledger_calls_spooled_is_what_the_next_start_finds() {
    // A spool that gives up segments while rows of them are in memory: in the queue, in hand, or
    // read ahead.
    for (batches, more) in [(3000, 20_000), (12_000, 12_000), (12_000, 30_000)] {
        let dir = tempfile::tempdir().unwrap();
        let outlet = spooled(&dir, batches, true, 1 << 20);
        let thread = outlet.start(Box::new(Switched::default())).unwrap();
        (0..more).for_each(|n| outlet.push(rows(n)));
        balanced(&outlet);
        stop(&outlet, thread);
        let page = balanced(&outlet);
        drop(outlet);
        let again = spooled(&dir, batches, true, 1 << 20);
        assert_eq!(again.health().delivery.recovered, page.spooled, "{page:?}");
        // Of what is read ahead the same holds.
        let thread = again.start(Box::new(Switched::default())).unwrap();
        until(&again, |h| {
            h.delivery.queued.records > 0 || page.spooled.records == 0
        });
        (0..more).for_each(|n| again.push(batch(2, n, 0, true)));
        stop(&again, thread);
        let page = balanced(&again);
        drop(again);
        let again = spooled(&dir, batches, true, 1 << 20);
        assert_eq!(again.health().delivery.recovered, page.spooled, "{page:?}");
    }
}

/// What a sink was given: run, sequence, bin, rows, and whether they were the last of their flush.
type Given = (u64, u64, u64, usize, bool);

/// Takes everything and writes down what, and how often it had nothing to do.
#[derive(Clone, Default)]
struct Clerk(Arc<Mutex<(Vec<Given>, u64)>>);

impl Clerk {
    fn given(&self) -> Vec<Given> {
        self.0.lock().unwrap().0.clone()
    }

    fn idles(&self) -> u64 {
        self.0.lock().unwrap().1
    }

    fn await_batches(&self, count: usize) -> Vec<Given> {
        let end = Instant::now() + Duration::from_secs(20);
        while self.given().len() < count && Instant::now() < end {
            std::thread::sleep(Duration::from_millis(5));
        }
        self.given()
    }
}

impl Sink for Clerk {
    fn write(&mut self, rows: &Rows) -> Result<(), SinkError> {
        let (id, bin) = (rows.id, rows.bin.0);
        let given = (id.run, id.sequence, bin, rows.len(), rows.last);
        self.0.lock().unwrap().0.push(given);
        Ok(())
    }

    fn idle(&mut self) -> Result<Option<Duration>, SinkError> {
        self.0.lock().unwrap().1 += 1;
        Ok(None)
    }
}

/// A spool with rows of three flushes, of which one has come to its end.
fn left_behind(dir: &TempDir) {
    let outlet = spooled(dir, 10, true, 1 << 20);
    let thread = outlet.start(Box::new(Switched::default())).unwrap();
    for (sequence, bin, last) in [(0, 7, false), (1, 7, false), (2, 8, true), (3, 9, false)] {
        outlet.push(batch(1, sequence, bin, last));
    }
    stop(&outlet, thread);
}

#[test]
fn a_flush_of_which_an_earlier_run_left_no_end_gets_one() {
    let dir = tempfile::tempdir().unwrap();
    left_behind(&dir);
    let outlet = spooled(&dir, 10, true, 1 << 20);
    let clerk = Clerk::default();
    let thread = outlet.start(Box::new(clerk.clone())).unwrap();
    let given = clerk.await_batches(6);
    let want = [
        (1, 0, 7, 1, false),
        (1, 1, 7, 1, false),
        (1, 2, 8, 1, true),
        (1, 3, 9, 1, false),
        // Under the identity of what came last of it, so that it is nothing new to a database.
        (1, 1, 7, 0, true),
        (1, 3, 9, 0, true),
    ];
    assert_eq!(given, want);
    // What this run has on the disk is not ended by anybody else.
    outlet.push(batch(2, 0, 7, false));
    outlet.push(batch(2, 1, 7, true));
    let given = clerk.await_batches(8);
    assert_eq!(given[6..], [(2, 0, 7, 1, false), (2, 1, 7, 1, true)]);
    stop(&outlet, thread);
    let page = balanced(&outlet);
    assert_eq!((page.written.records, page.spooled.records), (6, 0));
}

#[test]
fn over_a_reload_a_flush_goes_on_behind_what_is_on_disk() {
    let dir = tempfile::tempdir().unwrap();
    left_behind(&dir);
    let backlog = Backlog::open("x", settings(&dir, 1 << 20), false).unwrap();
    let backlog = backlog.over_a_reload(1);
    let outlet = Outlet::with("x", 100 * cost(), false, Some(backlog));
    outlet.push(batch(1, 4, 7, true));
    outlet.push(batch(1, 5, 9, true));
    let clerk = Clerk::default();
    let thread = outlet.start(Box::new(clerk.clone())).unwrap();
    let given = clerk.await_batches(6);
    let sequences: Vec<u64> = given.iter().map(|g| g.1).collect();
    assert_eq!(sequences, (0..6).collect::<Vec<_>>());
    // Then what comes new goes past the disk.
    let wear = outlet.health().spool.unwrap().usage.wear;
    outlet.push(batch(1, 6, 10, true));
    assert_eq!(clerk.await_batches(7).len(), 7);
    assert_eq!(outlet.health().spool.unwrap().usage.wear, wear);
    stop(&outlet, thread);
    assert_eq!(balanced(&outlet).written.records, 7);
}

#[test]
fn a_spool_that_can_not_be_read_for_now_is_left_alone_for_a_while() {
    let dir = tempfile::tempdir().unwrap();
    left_behind(&dir);
    let outlet = spooled(&dir, 10, false, 1 << 20);
    let files = std::fs::read_dir(dir.path().join("x")).unwrap();
    let mut files = files.map(|f| f.unwrap().path());
    let segment = files.find(|f| f.extension().is_some_and(|e| e == "seg"));
    let (segment, aside) = (segment.unwrap(), dir.path().join("aside"));
    std::fs::rename(&segment, &aside).unwrap();
    std::os::unix::fs::symlink(&segment, &segment).unwrap();
    let clerk = Clerk::default();
    let thread = outlet.start(Box::new(clerk.clone())).unwrap();
    until(&outlet, |h| h.spool.as_ref().unwrap().unread.is_some());
    // What comes new is delivered meanwhile.
    outlet.push(batch(2, 0, 7, true));
    assert_eq!(clerk.await_batches(1), [(2, 0, 7, 1, true)]);
    std::thread::sleep(Duration::from_millis(300));
    assert!(clerk.idles() < 10, "{}", clerk.idles());
    let page = balanced(&outlet);
    assert_eq!((page.spooled.records, page.given_up.records), (4, 0));
    std::fs::rename(&aside, &segment).unwrap();
    outlet.lock().backlog.as_mut().unwrap().hasten();
    outlet.changed.notify_all();
    assert_eq!(clerk.await_batches(7).len(), 7);
    until(&outlet, |h| h.spool.as_ref().unwrap().unread.is_none());
    stop(&outlet, thread);
    assert_eq!(balanced(&outlet).written.records, 5);
}

#[test]
fn a_flush_whose_last_rows_find_no_room_is_forgotten() {
    let dir = tempfile::tempdir().unwrap();
    let settings = Settings {
        daily: Some(1000),
        ..settings(&dir, 1 << 20)
    };
    let backlog = Backlog::open("x", settings, false).unwrap();
    let outlet = Outlet::with("x", 2 * cost(), false, Some(backlog));
    let thread = outlet.start(Box::new(Switched::default())).unwrap();
    outlet.push(batch(1, 0, 7, false));
    until(&outlet, |h| h.delivery.retries > 0);
    let precedes = || {
        let state = outlet.lock();
        let backlog = state.backlog.as_ref();
        backlog.is_some_and(|backlog| backlog.precedes(&batch(1, 99, 7, true)))
    };
    let mut sequence = 1;
    while outlet.health().delivery.dropped.records == 0 {
        outlet.push(batch(1, sequence, 7, false));
        sequence += 1;
        assert!(sequence < 1000);
    }
    assert!(precedes());
    outlet.push(batch(1, sequence, 7, true));
    assert_eq!(balanced(&outlet).dropped.records, 2);
    assert!(!precedes());
    stop(&outlet, thread);
}

#[test]
fn all_files_are_forced_to_the_disk_though_one_fails() {
    let dir = tempfile::tempdir().unwrap();
    let open = |path: &std::path::Path| Arc::new(std::fs::File::open(path).unwrap());
    std::fs::write(dir.path().join("good"), "x").unwrap();
    let good = open(&dir.path().join("good"));
    // Nothing can be forced where there is no disk.
    let bad = [(); 2].map(|()| open("/dev/null".as_ref()));
    let files = vec![bad[0].clone(), good, bad[1].clone()];
    let failed = backlog::force(files);
    assert_eq!(failed.len(), 2);
    let same = failed.iter().zip(&bad).all(|((f, _), b)| Arc::ptr_eq(f, b));
    assert!(same);
}

#[test]
fn what_was_read_ahead_goes_before_what_came_later_of_its_flush() {
    let dir = tempfile::tempdir().unwrap();
    let outlet = spooled(&dir, 10, true, 1 << 20);
    outlet.push(batch(1, 0, 7, false));
    let thread = outlet.start(Box::new(Switched::default())).unwrap();
    stop(&outlet, thread);
    let backlog = Backlog::open("x", settings(&dir, 1 << 20), false).unwrap();
    let backlog = backlog.over_a_reload(1);
    let outlet = Outlet::with("x", 100 * cost(), false, Some(backlog));
    outlet.lock().look();
    outlet.push(batch(1, 1, 7, true));
    let clerk = Clerk::default();
    let thread = outlet.start(Box::new(clerk.clone())).unwrap();
    let given = clerk.await_batches(2);
    assert_eq!(given, [(1, 0, 7, 1, false), (1, 1, 7, 1, true)]);
    stop(&outlet, thread);
}

#[test]
fn a_log_that_could_not_be_opened_is_opened_later_and_its_rows_delivered() {
    let dir = tempfile::tempdir().unwrap();
    left_behind(&dir);
    let mut backlog = Backlog::open("x", settings(&dir, 1 << 20), false).unwrap();
    backlog.lose_log();
    let outlet = Outlet::with("x", 100 * cost(), false, Some(backlog));
    let clerk = Clerk::default();
    let thread = outlet.start(Box::new(clerk.clone())).unwrap();
    assert_eq!(clerk.await_batches(6).len(), 6);
    assert_eq!(outlet.health().spool.unwrap().trouble, None);
    stop(&outlet, thread);
    let page = balanced(&outlet);
    assert_eq!((page.recovered.records, page.written.records), (4, 4));
}

#[test]
fn the_spool_of_an_output_that_is_changed_goes_on_to_the_next_one() {
    let dir = tempfile::tempdir().unwrap();
    let old = spooled(&dir, 100, false, 8 << 20);
    let ends = old.start(Box::new(Switched::default())).unwrap();
    (0..10).for_each(|n| old.push(rows(n)));
    let new = Outlet::new("x", 1 << 20, false);
    let folder = settings(&dir, 8 << 20);
    let open: Open = Box::new(move || Backlog::open("x", folder, false).map(Some));
    let sink = Switched::default();
    sink.turn(true);
    let before = vec![old.clone()];
    let thread = new.start_after(before, Some(open), Box::new(sink.clone()));
    new.push(batch(2, 10, 0, true));
    stop(&old, ends);
    assert_eq!(balanced(&old).spooled.records, 10);
    sink.await_rows(11);
    stop(&new, thread.unwrap());
    assert_eq!(sink.sorted(), (0..11).collect::<Vec<_>>());
    let page = balanced(&new);
    assert_eq!((page.written.records, page.recovered.records), (11, 10));
}
