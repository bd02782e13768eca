//! What the spool costs: rows through the disk and back, and the memory that takes.
//!
//! `cargo bench --bench spool [DIR]` prints rows per second, processor time for each row, bytes on
//! disk for each row, and the most memory that was resident beside what is planned; and how late
//! new rows come to an output that is also given what waits on disk. The folder is where the spool
//! is made; default is the system's for temporary files. For instructions run the binary it names
//! with `write COUNT` or `read COUNT` (batches) under callgrind, twice, and divide the difference.

#[allow(dead_code, reason = "others use the rest of it")]
mod rounds;

use rounds::TUPLE;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use weir::base::addr::Ip;
use weir::base::intern::Interner;
use weir::base::ledger::Sum;
use weir::base::time::{Nanos, wall};
use weir::encode::binary::{self, Batch, read::Reader};
use weir::pipeline::backlog::{self, Backlog};
use weir::pipeline::outlet::Outlet;
use weir::record::schema::Options;
use weir::record::{FlowRecord, Schema};
use weir::sink::{BatchId, Rows, Sink, SinkError};
use weir::spool::{Settings, Sync};

/// Rows of one run.
const ROWS: u64 = 3_000_000;

/// Bytes of one batch in memory, as the drain thread cuts them.
const BATCH: usize = 64 << 10;

fn schema() -> Arc<Schema> {
    let options = Options {
        binned: true,
        flows: true,
        ..Options::default()
    };
    Arc::new(Schema::new(
        "bench",
        &TUPLE,
        options,
        Arc::new(Interner::new(0)),
    ))
}

/// A batch of rows of flows of their own.
fn rows(schema: &Arc<Schema>, sequence: u64) -> Arc<Rows> {
    let count = BATCH / 8 / schema.row_words();
    let mut words = Vec::with_capacity(count * schema.row_words());
    for n in 0..count as u64 {
        let mixed = (sequence * 1_000_003 + n).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let mut r = FlowRecord::new();
        r.set_src_host(Ip::v4((mixed as u32).to_be_bytes()));
        r.set_dst_host(Ip::v4([198, 18, (mixed >> 40) as u8, (mixed >> 48) as u8]));
        r.set_src_port((mixed >> 32) as u16);
        r.set_dst_port(443);
        r.set_proto(6);
        r.set_bin(Nanos::new(1_767_322_800, 0));
        (r.packets, r.bytes, r.flows) = (mixed >> 54, mixed >> 44, 1);
        let mut row = vec![0; schema.row_words()];
        let (key, counters) = row.split_at_mut(schema.key.len());
        schema.key.pack(&r, key);
        schema.counter.add(&r, counters);
        words.extend(row);
    }
    Arc::new(Rows {
        id: BatchId {
            run: 1,
            aggregate: 0,
            sequence,
        },
        schema: schema.clone(),
        bin: Nanos::new(1_767_322_800, 0),
        flushed: Nanos::new(1_767_322_860, 0),
        words,
        last: true,
    })
}

fn batch(rows: &Rows) -> Batch<'_> {
    Batch {
        maker: "",
        id: (rows.id.run, rows.id.aggregate, rows.id.sequence),
        schema: &rows.schema,
        bin: rows.bin,
        flushed: rows.flushed,
        last: rows.last,
        words: &rows.words,
    }
}

/// Takes rows while it is switched on, and counts them.
#[derive(Clone, Default)]
struct Counter(Arc<(AtomicBool, AtomicU64)>);

impl Sink for Counter {
    fn write(&mut self, rows: &Rows) -> Result<(), SinkError> {
        if !self.0.0.load(Ordering::Relaxed) {
            return Err(SinkError::Retry {
                why: "away".into(),
                after: Duration::from_millis(100),
            });
        }
        self.0.1.fetch_add(rows.len() as u64, Ordering::Relaxed);
        Ok(())
    }
}

/// Takes so many rows a second, and notes how many of each run and how late those of the second.
#[derive(Clone, Default)]
struct Slow {
    on: Arc<AtomicBool>,
    rows: Arc<[AtomicU64; 2]>,
    late: Arc<Mutex<Vec<Duration>>>,
    due: Option<Instant>,
}

/// Rows that such a sink takes in a second.
const SLOW: u64 = 400_000;

impl Sink for Slow {
    fn write(&mut self, rows: &Rows) -> Result<(), SinkError> {
        if !self.on.load(Ordering::Relaxed) {
            return Err(SinkError::Retry {
                why: "away".into(),
                after: Duration::from_millis(100),
            });
        }
        let due = self
            .due
            .map_or_else(Instant::now, |due| due.max(Instant::now()));
        std::thread::sleep(due.saturating_duration_since(Instant::now()));
        let pause = Duration::from_nanos(1_000_000_000 / SLOW * rows.len() as u64);
        self.due = Some(due + pause);
        let live = rows.id.run == 2;
        if live {
            let late = Duration::from_nanos(wall().0.saturating_sub(rows.flushed.0));
            self.late.lock().expect("a lock").push(late);
        }
        self.rows[usize::from(live)].fetch_add(rows.len() as u64, Ordering::Relaxed);
        Ok(())
    }
}

/// What waits on the disk comes back while new rows come, to a sink that takes four times as many.
fn beside(dir: &std::path::Path) {
    let settings = settings(dir, Sync::Every(Duration::from_secs(5)));
    let folder = settings.folder.clone();
    let backlog = Backlog::open("bench", settings, false).expect("a spool");
    let outlet = Outlet::with("bench", 1 << 20, false, Some(backlog));
    let sink = Slow::default();
    let thread = outlet.start(Box::new(sink.clone())).expect("a thread");
    let schema = schema();
    let made: Vec<_> = (0..64).map(|n| rows(&schema, n)).collect();
    let push = |run, sequence: u64| {
        let mut one = Rows::clone(&made[sequence as usize % made.len()]);
        (one.id.run, one.id.sequence, one.flushed) = (run, sequence, wall());
        let count = one.len() as u64;
        outlet.push(Arc::new(one));
        count
    };
    let mut old = 0;
    while old < ROWS {
        old += push(1, old);
    }
    sink.on.store(true, Ordering::Relaxed);
    let (start, mut new, mut sequence) = (Instant::now(), 0, 0);
    while sink.rows[0].load(Ordering::Relaxed) < old {
        new += push(2, sequence);
        sequence += 1;
        let due = Duration::from_secs_f64(new as f64 / 100_000.0);
        std::thread::sleep(due.saturating_sub(start.elapsed()));
    }
    let took = start.elapsed().as_secs_f64();
    outlet.close();
    drop(thread.join());
    let page = outlet.health().delivery;
    assert_eq!(page.imbalance(), Sum::default());
    assert_eq!(page.written.records + page.spooled.records, old + new);
    let mut late = std::mem::take(&mut *sink.late.lock().expect("a lock"));
    late.sort_unstable();
    println!(
        "beside new rows        out {:>9.0} rows/s, new {:.0} rows/s, half of them after {:.1?}, \
         99 % after {:.1?}, all after {:.1?}",
        old as f64 / took,
        sink.rows[1].load(Ordering::Relaxed) as f64 / took,
        late[late.len() / 2],
        late[late.len() * 99 / 100],
        late[late.len() - 1],
    );
    let _ = std::fs::remove_dir_all(folder);
}

fn settings(dir: &std::path::Path, sync: Sync) -> Settings {
    let settings = Settings {
        folder: dir.join("weir-bench-spool"),
        size: 1 << 30,
        age: None,
        sync,
        daily: None,
    };
    let _ = std::fs::remove_dir_all(&settings.folder);
    settings
}

/// A line of `/proc/self/status`, in KiB.
fn resident(name: &str) -> u64 {
    let text = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = text.lines().find_map(|l| l.strip_prefix(name));
    let number = line.and_then(|l| l.split_whitespace().nth(1)?.parse().ok());
    number.unwrap_or(0)
}

/// Processor time of this process so far.
fn processor() -> Duration {
    let text = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let rest = text.rsplit_once(')').map_or("", |r| r.1);
    let ticks = rest.split_whitespace().skip(11).take(2);
    let ticks: u64 = ticks.filter_map(|t| t.parse::<u64>().ok()).sum();
    Duration::from_millis(ticks * 10)
}

/// All rows to the disk while the sink is away, at the most `pace` a second; then back.
fn through(name: &str, dir: &std::path::Path, sync: Sync, pace: Option<u64>) {
    let settings = settings(dir, sync);
    let folder = settings.folder.clone();
    let planned = (1 << 20) + backlog::MEMORY + settings.memory();
    let backlog = Backlog::open("bench", settings, false).expect("a spool");
    let outlet = Outlet::with("bench", 1 << 20, false, Some(backlog));
    let sink = Counter::default();
    let thread = outlet.start(Box::new(sink.clone())).expect("a thread");
    let schema = schema();
    // What there is to push is made before, so that making it is not measured.
    let made: Vec<_> = (0..64).map(|n| rows(&schema, n)).collect();
    let before = resident("VmRSS");
    let (start, cpu) = (Instant::now(), processor());
    let (mut pushed, mut sequence, mut late) = (0, 0, Duration::ZERO);
    while pushed < ROWS {
        let mut one = Rows::clone(&made[sequence as usize % made.len()]);
        one.id.sequence = sequence;
        pushed += one.len() as u64;
        sequence += 1;
        let before = Instant::now();
        outlet.push(Arc::new(one));
        late = late.max(before.elapsed());
        if let Some(pace) = pace {
            let due = Duration::from_secs_f64(pushed as f64 / pace as f64);
            std::thread::sleep(due.saturating_sub(start.elapsed()));
        }
    }
    let (took, used) = (start.elapsed(), processor() - cpu);
    let usage = outlet.health().spool.expect("a spool").usage;
    let per = |time: Duration| time.as_nanos() as u64 / ROWS;
    println!(
        "{name:22} in  {:>9.0} rows/s, {:>4} ns cpu a row, {:>5.1} bytes a row, a push at the most {:.1?}",
        pushed as f64 / took.as_secs_f64(),
        per(used),
        usage.wear as f64 / pushed as f64,
        late
    );
    let (start, cpu) = (Instant::now(), processor());
    sink.0.0.store(true, Ordering::Relaxed);
    while sink.0.1.load(Ordering::Relaxed) < pushed {
        std::thread::sleep(Duration::from_millis(1));
    }
    let (took, used) = (start.elapsed(), processor() - cpu);
    println!(
        "{:22} out {:>9.0} rows/s, {:>4} ns cpu a row, {} KiB more than before were resident at \
         the most so far, {} are planned",
        "",
        pushed as f64 / took.as_secs_f64(),
        per(used),
        resident("VmHWM").saturating_sub(before),
        planned >> 10
    );
    outlet.close();
    drop(thread.join());
    let page = outlet.health().delivery;
    assert_eq!(page.imbalance(), Sum::default());
    assert_eq!(page.written.records, pushed);
    let _ = std::fs::remove_dir_all(folder);
}

/// So many batches written or read and nothing else, for callgrind.
fn bare(what: &str, count: u64) {
    let schema = schema();
    let made = rows(&schema, 1);
    let mut bytes = Vec::new();
    binary::write(&batch(&made), &mut bytes).expect("it fits");
    let mut reader = Reader::default();
    for _ in 0..count {
        if what == "write" {
            bytes.clear();
            binary::write(&batch(&made), &mut bytes).expect("it fits");
        } else {
            let frame = reader.read(&bytes).expect("a frame");
            assert_eq!(frame.words.len(), made.words.len());
        }
    }
    println!(
        "{what}: {count} batches of {} rows, {} bytes",
        made.len(),
        bytes.len()
    );
}

fn main() {
    let given: Vec<String> = std::env::args()
        .skip(1)
        .filter(|a| a != "--bench")
        .collect();
    if let [what, count] = given.as_slice() {
        return bare(what, count.parse().expect("a number of batches"));
    }
    let dir = given.first().map_or_else(std::env::temp_dir, PathBuf::from);
    println!("{} KiB resident before", resident("VmRSS"));
    let second = Sync::Every(Duration::from_secs(1));
    through(
        "at 100 000 a second",
        &dir,
        Sync::Every(Duration::from_secs(5)),
        Some(100_000),
    );
    beside(&dir);
    through("sync never", &dir, Sync::Never, None);
    through("sync every second", &dir, second, None);
    through("sync always", &dir, Sync::Always, None);
}
