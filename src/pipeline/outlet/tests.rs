use super::*;
use crate::base::intern::Interner;
use crate::record::{Field, Schema, schema};
use crate::sink::BatchId;
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
    assert!(since.elapsed() >= Duration::from_millis(50));
    outlet.press(None);
    let health = outlet.health().delivery;
    assert_eq!((health.queued.records, health.dropped.records), (1, 1));
    // It goes on when it can, and nothing of what it held is lost.
    release.send(()).unwrap();
    release.send(()).unwrap();
    outlet.push(rows(2));
    outlet.close();
    thread.join().unwrap();
    let health = outlet.health().delivery;
    assert_eq!((health.written.records, health.dropped.records), (2, 1));
}
