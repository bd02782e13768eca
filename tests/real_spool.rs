//! The spool on real file systems: full, read-only, and as a power cut leaves it.

mod daemon;

use daemon::{Daemon, datagrams, wait_for};
use rusqlite::Connection;
use std::fs;
use std::net::UdpSocket;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};
use weir::base::intern::Interner;
use weir::base::ledger::Sum;
use weir::base::time::Nanos;
use weir::pipeline::backlog::Backlog;
use weir::pipeline::outlet::Outlet;
use weir::record::{Field, Schema};
use weir::sink::{BatchId, Rows, Sink, SinkError};
use weir::spool::{Settings, Sync};

/// Takes a test's file system away.
struct Mounted(PathBuf);

impl Drop for Mounted {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}

fn mount(arguments: &[&str], at: &Path) -> Option<Mounted> {
    fs::create_dir_all(at).unwrap();
    let done = Command::new("mount")
        .args(arguments)
        .arg(at)
        .stderr(Stdio::null())
        .status();
    done.is_ok_and(|status| status.success())
        .then(|| Mounted(at.into()))
}

fn send(port: u16, all: &[Vec<u8>]) {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    for datagram in all {
        socket.send_to(datagram, ("127.0.0.1", port)).unwrap();
        std::thread::sleep(Duration::from_millis(1));
    }
}

fn stored(db: &Connection) -> (u64, u64) {
    let sql = "SELECT sum(packets), sum(bytes) FROM flows";
    db.query_row(sql, [], |row| {
        Ok((row.get::<_, i64>(0)? as u64, row.get::<_, i64>(1)? as u64))
    })
    .unwrap_or((0, 0))
}

/// Waits for what the spool tries again every ten seconds, on a machine that has other things to
/// do as well.
fn soon(mut done: impl FnMut() -> bool) {
    let end = Instant::now() + Duration::from_secs(90);
    while !done() && Instant::now() < end {
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn a_full_and_a_read_only_disk_are_told_of_and_rows_stay_in_memory() {
    let daemon = Daemon::start(
        "[aggregate.flows]\nby = [\"src_host\", \"dst_host\", \"src_port\", \"dst_port\"]\n\
         every = \"1s\"\nto = [\"db\"]\n\
         [output.db]\nkind = \"sqlite\"\npath = \"DIR/weir.db\"\nbusy_timeout = \"50ms\"\n\
         queue = \"1 MiB\"\nspool = \"DIR/disk/spool\"\nspool_when = \"always\"\n",
    );
    let (dir, port) = (daemon.dir(), daemon.port);
    let disk = dir.path().join("disk");
    daemon.stop();
    let Some(mounted) = mount(&["-t", "tmpfs", "-o", "size=128k", "weir-test"], &disk) else {
        println!(
            "a_full_and_a_read_only_disk_are_told_of_and_rows_stay_in_memory skipped: needs root \
             and mount"
        );
        return;
    };
    let text = fs::read_to_string(dir.path().join("weir.toml")).unwrap();
    let (_, rest) = text.split_once(&format!("127.0.0.1:{port}\"\n")).unwrap();
    let remount = |how: &str| {
        let option = format!("remount,{how}");
        let done = Command::new("mount")
            .args(["-o", &option])
            .arg(&disk)
            .status();
        assert!(done.unwrap().success());
    };
    // A root that is read-only at the start.
    remount("ro");
    let daemon = Daemon::start_in(dir.clone(), port, rest);
    let db = Connection::open(dir.path().join("weir.db")).unwrap();
    db.busy_timeout(Duration::from_secs(20)).unwrap();
    let all = datagrams("softflowd-v9.pcap");
    let log = daemon.log();
    assert!(log.contains("Read-only file system"), "{log}");
    send(port, &all);
    let want = daemon.decoded();
    soon(|| stored(&db) == want && want.0 > 0);
    assert_eq!(stored(&db), want);
    // One that fills up while the output is away.
    remount("rw");
    db.execute_batch("BEGIN EXCLUSIVE").unwrap();
    let filler = disk.join("filler");
    let mut sent = 1;
    soon(|| {
        send(port, &all);
        sent += 1;
        let _ = fs::write(&filler, vec![1; 128 << 10]);
        daemon.status().contains("No space left on device")
    });
    let status = daemon.status();
    assert!(
        status.contains("the spool takes no rows: No space left"),
        "{status}"
    );
    let want = daemon.decoded();
    db.execute_batch("COMMIT").unwrap();
    soon(|| stored(&db) == want);
    assert_eq!(stored(&db), want, "{}", daemon.log());
    // With room it goes on by itself.
    fs::remove_file(&filler).unwrap();
    soon(|| {
        send(port, &all);
        daemon.log().contains("takes rows again")
    });
    assert!(
        daemon.log().contains("takes rows again"),
        "{}",
        daemon.log()
    );
    soon(|| stored(&db) == daemon.decoded());
    let want = daemon.decoded();
    let log = daemon.stop();
    assert_eq!(stored(&db), want, "{log}");
    assert!(log.contains(" 0 dropped"), "{log}");
    drop(mounted);
}

#[test]
fn a_reload_and_a_restart_lose_nothing_while_the_output_is_away() {
    let rest = |queue: &str| {
        format!(
            "[aggregate.flows]\nby = [\"src_host\", \"dst_host\"]\nevery = \"1s\"\nto = [\"db\"]\n\
             [output.db]\nkind = \"sqlite\"\npath = \"DIR/weir.db\"\nbusy_timeout = \"50ms\"\n\
             queue = \"{queue}\"\nspool = \"DIR/spool\"\n"
        )
    };
    let mut daemon = Daemon::start(&rest("64 KiB"));
    let (dir, port) = (daemon.dir(), daemon.port);
    let db = Connection::open(dir.path().join("weir.db")).unwrap();
    db.busy_timeout(Duration::from_secs(20)).unwrap();
    db.execute_batch("BEGIN EXCLUSIVE").unwrap();
    let all = datagrams("softflowd-v9.pcap");
    let one = |daemon: &Daemon, before: u64| {
        send(port, &all);
        wait_for(|| daemon.decoded().0 >= before + 2085);
        daemon.decoded()
    };
    let first = one(&daemon, 0);
    wait_for(|| daemon.log().contains("locked by another program"));
    // The output is another one now, of the same spool.
    Daemon::configure(&dir, port, &rest("128 KiB"));
    daemon.signal("HUP");
    wait_for(|| daemon.log().contains("is in force"));
    let log = daemon.log();
    assert!(
        log.contains("is in force") && log.contains("wait in the spool"),
        "{log}"
    );
    let second = one(&daemon, first.0);
    let since = Instant::now();
    let log = daemon.stop();
    assert!(since.elapsed() < Duration::from_secs(3), "{log}");
    assert!(log.contains(" 0 dropped"), "{log}");
    daemon = Daemon::start_in(dir.clone(), port, &rest("128 KiB"));
    assert!(
        daemon.log().contains("rows of an earlier run wait"),
        "{}",
        daemon.log()
    );
    let third = one(&daemon, 0);
    db.execute_batch("COMMIT").unwrap();
    let want = (second.0 + third.0, second.1 + third.1);
    wait_for(|| stored(&db) == want);
    let log = daemon.stop();
    assert_eq!(stored(&db), want, "{log}");
}

/// A sink that is never there.
struct Away;

impl Sink for Away {
    fn write(&mut self, _: &Rows) -> Result<(), SinkError> {
        Err(SinkError::Retry {
            why: "away".into(),
            after: Duration::from_secs(1),
        })
    }
}

fn rows(schema: &Arc<Schema>, sequence: u64) -> Arc<Rows> {
    Arc::new(Rows {
        id: BatchId {
            run: 1,
            aggregate: 0,
            sequence,
        },
        schema: schema.clone(),
        bin: Nanos(0),
        flushed: Nanos(0),
        words: vec![0; schema.row_words() * 100],
        last: true,
    })
}

fn settings(disk: &Path, sync: Sync) -> Settings {
    Settings {
        folder: disk.join("spool"),
        size: 4 << 20,
        age: None,
        sync,
        daily: None,
    }
}

/// Time between two batches.
const BEAT: Duration = Duration::from_millis(10);

/// What a power cut would leave of the file system in `image`: the device's bytes, without what
/// the system still holds in memory. How many batches are in the spool then.
fn after_a_power_cut(image: &Path, dir: &Path) -> u64 {
    let (copy, at) = (dir.join("copy"), dir.join("after"));
    fs::copy(image, &copy).unwrap();
    let mounted = mount(&["-o", "loop", copy.to_str().unwrap()], &at).unwrap();
    let backlog = Backlog::open("x", settings(&at, Sync::Never), true).unwrap();
    let found = backlog.health().recovered;
    drop((backlog, mounted));
    let _ = fs::remove_file(copy);
    found.records / 100
}

/// The longest time of which a power cut takes the batches, over so many cuts.
fn window(sync: Sync, cuts: u32, between: Duration) -> Option<Duration> {
    let dir = tempfile::tempdir().unwrap();
    let image = dir.path().join("image");
    let file = fs::File::create(&image).unwrap();
    file.set_len(32 << 20).unwrap();
    let made = Command::new("mkfs.ext4")
        .args(["-q", "-F"])
        .arg(&image)
        .status();
    if !made.is_ok_and(|status| status.success()) {
        return None;
    }
    let disk = dir.path().join("disk");
    let mounted = mount(&["-o", "loop", image.to_str()?], &disk)?;
    let backlog = Backlog::open("x", settings(&disk, sync), true).unwrap();
    let outlet = Outlet::with("x", 1 << 20, false, Some(backlog));
    let thread = outlet.start(Box::new(Away)).unwrap();
    let fields = [Field::SrcHost];
    let symbols = Arc::new(Interner::new(0));
    let schema = Arc::new(Schema::new("a", &fields, Default::default(), symbols));
    let mut pushed: Vec<Instant> = Vec::new();
    let mut worst = Duration::ZERO;
    for _ in 0..cuts {
        let until = Instant::now() + between;
        while Instant::now() < until {
            outlet.push(rows(&schema, pushed.len() as u64));
            pushed.push(Instant::now());
            std::thread::sleep(BEAT);
        }
        let now = Instant::now();
        let left = after_a_power_cut(&image, dir.path()) as usize;
        assert!(left <= pushed.len());
        // What is there is all that came up to some moment, and the first that is not tells it.
        worst = worst.max(pushed.get(left).map_or(Duration::ZERO, |at| now - *at));
    }
    let page = outlet.health().delivery;
    assert_eq!(page.imbalance(), Sum::default());
    assert_eq!(page.offered.records, pushed.len() as u64 * 100);
    outlet.hurry(Some(Instant::now()));
    outlet.close();
    thread.join().unwrap();
    drop((outlet, mounted));
    Some(worst)
}

#[test]
fn a_power_cut_takes_what_the_policy_says_and_no_more() {
    // SAFETY: a system call without arguments.
    let root = unsafe { libc::geteuid() == 0 };
    let always = root.then(|| window(Sync::Always, 8, Duration::from_millis(300)));
    let Some(Some(always)) = always else {
        println!(
            "a_power_cut_takes_what_the_policy_says_and_no_more skipped: needs root, loop devices \
             and mkfs.ext4"
        );
        return;
    };
    assert_eq!(always, Duration::ZERO);
    let second = Sync::Every(Duration::from_secs(1));
    let interval = window(second, 8, Duration::from_millis(700)).unwrap();
    // The second, and as long as the disk took.
    assert!(interval < Duration::from_millis(2500), "{interval:?}");
    println!("a power cut takes: always {always:?}, every second {interval:?}");
    if let Ok(cuts) = std::env::var("POWER_CUTS") {
        let never = window(Sync::Never, cuts.parse().unwrap(), Duration::from_secs(5)).unwrap();
        println!("a power cut takes: never {never:?}");
    }
}
