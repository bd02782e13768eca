use super::*;
use crate::base::intern::Interner;
use crate::record::{Field, Schema, schema};
use crate::sink::BatchId;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};

#[cfg(feature = "spool")]
mod spooled;

/// Hangs in each write until it is told to go on, as on a FIFO that nobody reads.
struct Hung(Sender<()>, Receiver<()>);

impl Sink for Hung {
    fn write(&mut self, _: &Rows) -> Result<(), SinkError> {
        let _ = self.0.send(());
        let _ = self.1.recv();
        Ok(())
    }
}

fn rows(sequence: u64) -> Arc<Rows> {
    batch(1, sequence, 0, true)
}

fn batch(run: u64, sequence: u64, bin: u64, last: bool) -> Arc<Rows> {
    let symbols = Arc::new(Interner::new(0));
    let fields = [Field::SrcPort];
    let schema = Schema::new("a", &fields, schema::Options::default(), symbols);
    let words = vec![0; schema.row_words()];
    Arc::new(Rows {
        id: BatchId {
            run,
            aggregate: 0,
            sequence,
        },
        schema: Arc::new(schema),
        bin: Nanos(bin),
        flushed: Nanos(0),
        words,
        last,
    })
}

#[test]
fn a_sink_that_hangs_holds_nobody_longer_than_the_pressure_allows() {
    let (begins, begun) = channel();
    let (release, released) = channel();
    let outlet = Outlet::new("x", 1, false);
    let thread = outlet.start(Box::new(Hung(begins, released))).unwrap();
    outlet.push(rows(0));
    begun.recv().unwrap();
    outlet.press(Some(Instant::now() + Duration::from_millis(50)));
    let since = Instant::now();
    outlet.push(rows(1));
    assert!(since.elapsed() >= Duration::from_millis(12));
    outlet.press(None);
    let health = outlet.health().delivery;
    assert_eq!((health.queued.records, health.dropped.records), (1, 1));
    // It goes on when it can, and nothing of what it held is lost.
    release.send(()).unwrap();
    release.send(()).unwrap();
    while outlet.health().delivery.written.records == 0 {
        std::thread::sleep(Duration::from_millis(1));
    }
    outlet.push(rows(2));
    outlet.close();
    thread.join().unwrap();
    let health = outlet.health().delivery;
    assert_eq!((health.written.records, health.dropped.records), (2, 1));
}

/// Keeps count of what it takes; rows of an odd sequence it refuses.
#[derive(Clone, Default)]
struct Picky(Arc<Mutex<Vec<u64>>>, Option<Sum>);

impl Sink for Picky {
    fn write(&mut self, rows: &Rows) -> Result<(), SinkError> {
        self.0.lock().unwrap().push(rows.id.sequence);
        self.1 = (rows.id.sequence % 2 == 1).then(|| rows.sum());
        Ok(())
    }

    fn refused(&mut self) -> Option<(Sum, String)> {
        Some((self.1.take()?, "odd".into()))
    }
}

#[test]
fn who_is_merely_empty_gets_what_comes_after_the_deadline() {
    let outlet = Outlet::new("x", 1 << 20, false);
    let sink = Picky::default();
    let thread = outlet.start(Box::new(sink.clone())).unwrap();
    outlet.hurry(Some(Instant::now()));
    std::thread::sleep(Duration::from_millis(100));
    // Another output has held it up for so long.
    outlet.push(rows(0));
    outlet.push(rows(2));
    outlet.close();
    join(&outlet, thread);
    assert_eq!(*sink.0.lock().unwrap(), [0, 2]);
    let page = outlet.health().delivery;
    assert_eq!((page.written.records, page.dropped.records), (2, 0));
}

#[test]
fn rows_that_are_refused_beside_others_are_dropped_and_counted() {
    let outlet = Outlet::new("x", 1 << 20, false);
    let thread = outlet.start(Box::new(Picky::default())).unwrap();
    (0..5).for_each(|n| outlet.push(rows(n)));
    outlet.close();
    join(&outlet, thread);
    let page = outlet.health().delivery;
    assert_eq!((page.written.records, page.dropped.records), (3, 2));
    assert_eq!(page.imbalance(), Sum::default());
}

/// Refuses its first rows; takes a while for all others.
struct Once(bool);

impl Sink for Once {
    fn write(&mut self, _: &Rows) -> Result<(), SinkError> {
        if !std::mem::replace(&mut self.0, true) {
            return Err(SinkError::Refused("not these".into()));
        }
        std::thread::sleep(Duration::from_millis(20));
        Ok(())
    }
}

#[test]
fn a_sink_that_refuses_rows_works_and_is_waited_for() {
    let outlet = Outlet::new("x", 1, false);
    let thread = outlet.start(Box::new(Once(false))).unwrap();
    outlet.push(rows(0));
    while outlet.health().delivery.dropped.records == 0 {
        std::thread::sleep(Duration::from_millis(1));
    }
    assert_eq!(outlet.health().failing.as_deref(), Some("not these"));
    (1..10).for_each(|n| outlet.push(rows(n)));
    outlet.close();
    join(&outlet, thread);
    let health = outlet.health();
    let page = health.delivery;
    assert_eq!((page.written.records, page.dropped.records), (9, 1));
    assert_eq!(health.failing, None);
}

#[test]
fn a_sink_that_hangs_at_a_stop_takes_the_others_a_part_of_the_time_and_all_its_rows_are_told() {
    let (begins, begun) = channel();
    let (_release, released) = channel();
    let outlet = Outlet::new("x", 3 * rows(0).words.len() * 8 + 1000, false);
    let thread = outlet.start(Box::new(Hung(begins, released))).unwrap();
    outlet.push(rows(0));
    begun.recv().unwrap();
    let began = Instant::now();
    outlet.hurry(Some(began + Duration::from_secs(2)));
    (1..100).for_each(|n| outlet.push(rows(n)));
    let held = began.elapsed();
    assert!(
        held > Duration::from_millis(400) && held < Duration::from_millis(1500),
        "{held:?}"
    );
    let page = outlet.health().delivery;
    assert!(
        page.queued.records > 0 && page.dropped.records > 90,
        "{page:?}"
    );
    outlet.close();
    join(&outlet, thread);
    let page = outlet.health().delivery;
    assert_eq!((page.queued.records, page.dropped.records), (0, 100));
    assert_eq!(page.imbalance(), Sum::default());
}

/// Takes a while for each batch; knows whether it has completed what it has.
struct Slow(Arc<AtomicBool>);

impl Sink for Slow {
    fn write(&mut self, _: &Rows) -> Result<(), SinkError> {
        std::thread::sleep(Duration::from_millis(20));
        Ok(())
    }

    fn sync(&mut self) -> Result<(), SinkError> {
        self.0.store(true, Ordering::Relaxed);
        Ok(())
    }
}

#[test]
fn a_sink_that_is_too_slow_for_the_stop_completes_what_it_has() {
    let outlet = Outlet::new("x", 1 << 20, false);
    let completed = Arc::new(AtomicBool::new(false));
    let thread = outlet.start(Box::new(Slow(completed.clone()))).unwrap();
    (0..500).for_each(|n| outlet.push(rows(n)));
    outlet.hurry(Some(Instant::now()));
    outlet.close();
    join(&outlet, thread);
    assert!(completed.load(Ordering::Relaxed));
    let page = outlet.health().delivery;
    assert!(
        page.written.records > 0 && page.dropped.records > 300,
        "{page:?}"
    );
    assert_eq!(page.imbalance(), Sum::default());
}

#[test]
fn an_output_waits_for_the_end_of_another_at_the_same_place() {
    let (begins, begun) = channel();
    let (release, released) = channel();
    let old = Outlet::new("old", 1 << 20, false);
    let ends = old.start(Box::new(Hung(begins, released))).unwrap();
    old.push(rows(0));
    begun.recv().unwrap();
    old.close();
    let new = Outlet::new("new", 1 << 20, false);
    let sink = Picky::default();
    let thread = new.start_after(vec![old.clone()], None, Box::new(sink.clone()));
    new.push(rows(2));
    std::thread::sleep(Duration::from_millis(100));
    assert!(sink.0.lock().unwrap().is_empty());
    release.send(()).unwrap();
    ends.join().unwrap();
    new.close();
    join(&new, thread.unwrap());
    assert_eq!(*sink.0.lock().unwrap(), [2]);
}

/// Fails once, for a long time as it says.
struct Late(bool);

impl Sink for Late {
    fn write(&mut self, _: &Rows) -> Result<(), SinkError> {
        if std::mem::replace(&mut self.0, true) {
            return Ok(());
        }
        Err(SinkError::Retry {
            why: "not yet".into(),
            after: Duration::from_secs(3600),
        })
    }
}

#[test]
fn who_failed_is_tried_again_soon_once_the_end_is_near() {
    let outlet = Outlet::new("x", 1 << 20, false);
    let thread = outlet.start(Box::new(Late(false))).unwrap();
    outlet.push(rows(0));
    while outlet.health().delivery.retries == 0 {
        std::thread::sleep(Duration::from_millis(1));
    }
    outlet.hurry(Some(Instant::now() + Duration::from_secs(60)));
    outlet.close();
    thread.join().unwrap();
    assert_eq!(outlet.health().delivery.written.records, 1);
}
