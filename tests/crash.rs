//! What crashes leave behind: a spool cut or damaged at every byte, and the real daemon killed at
//! random instants while its database is locked by another process, which is the test.

mod daemon;

use daemon::{Daemon, column, datagrams};
use rusqlite::Connection;
use std::collections::BTreeSet;
use std::fs;
use std::net::UdpSocket;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};
use tempfile::TempDir;
use weir::base::ledger::Sum;
use weir::base::time::Nanos;
use weir::spool::{Keep, Log, Settings, Sync, Usage};

const NOW: Nanos = Nanos(1_767_322_800_000_000_000);

fn settings(folder: &Path) -> Settings {
    Settings {
        folder: folder.into(),
        size: 1 << 20,
        age: None,
        sync: Sync::Never,
        daily: None,
    }
}

fn payload(n: u64) -> Vec<u8> {
    format!("payload {n} {}", "x".repeat(n as usize * 3)).into_bytes()
}

/// A spool of eight frames of which 0, 1 and 5 are acknowledged; the end of each frame, and its
/// two files.
fn small(dir: &TempDir) -> (Vec<u64>, PathBuf, PathBuf) {
    let mut log = Log::open(&settings(dir.path()), NOW).unwrap();
    let (mut ends, mut places) = (vec![0], Vec::new());
    for n in 0..8 {
        let sum = Sum::one(n, n);
        let place = log.append(&payload(n), sum, NOW, Keep::default());
        places.push(place.unwrap());
        ends.push(log.usage().used);
    }
    let mut buffer = Vec::new();
    while log.next(&mut buffer).unwrap().is_some() {}
    for n in [0, 1, 5] {
        log.ack(places[n]);
    }
    let files = fs::read_dir(dir.path()).unwrap();
    let files: Vec<PathBuf> = files.map(|f| f.unwrap().path()).collect();
    let of = |kind: &str| {
        files
            .iter()
            .find(|f| f.extension().is_some_and(|e| e == kind))
    };
    let (segment, acks) = (of("seg").unwrap(), of("ack").unwrap());
    (ends, segment.clone(), acks.clone())
}

/// Numbers of the frames that a start finds, which must be whole and count what they should.
fn frames(folder: &Path) -> (Vec<u64>, Usage, Sum) {
    let mut log = Log::open(&settings(folder), NOW).unwrap();
    let (mut buffer, mut all) = (Vec::new(), Vec::new());
    let found = log.found();
    let mut read = Sum::default();
    while let Some((place, sum)) = log.next(&mut buffer).unwrap() {
        assert_eq!(buffer, payload(sum.packets));
        all.push(sum.packets);
        read += sum;
        log.ack(place);
    }
    let usage = log.usage();
    let given_up = usage.given_up.into_iter();
    let lost = given_up.fold(Sum::default(), |all, sum| all + sum);
    assert_eq!(read + lost, found, "the ledger of the spool");
    assert_eq!(usage.waiting, Sum::default());
    // It goes on.
    log.append(b"more", Sum::one(99, 0), NOW, Keep::default())
        .unwrap();
    assert_eq!(log.next(&mut buffer).unwrap().unwrap().1.packets, 99);
    log.close().unwrap();
    (all, usage, found)
}

const LEFT: [u64; 5] = [2, 3, 4, 6, 7];

/// A copy of the spool with one of its files changed.
fn changed(from: &TempDir, file: &Path, bytes: &[u8]) -> TempDir {
    let copy = tempfile::tempdir().unwrap();
    for entry in fs::read_dir(from.path()).unwrap() {
        let entry = entry.unwrap();
        fs::copy(entry.path(), copy.path().join(entry.file_name())).unwrap();
    }
    fs::write(copy.path().join(file.file_name().unwrap()), bytes).unwrap();
    copy
}

#[test]
fn a_spool_cut_at_any_byte_has_all_before_the_cut() {
    let dir = tempfile::tempdir().unwrap();
    let (ends, segment, acks) = small(&dir);
    let bytes = fs::read(&segment).unwrap();
    for cut in 0..=bytes.len() {
        let copy = changed(&dir, &segment, &bytes[..cut]);
        let (got, usage, _) = frames(copy.path());
        let whole = |n: &u64| ends[*n as usize + 1] <= cut as u64;
        let want: Vec<u64> = LEFT.into_iter().filter(whole).collect();
        assert_eq!(got, want, "cut at {cut}");
        let torn = !ends.contains(&(cut as u64)) && cut != 32;
        assert_eq!(usage.damaged > 0, torn, "cut at {cut}");
    }
    let bytes = fs::read(&acks).unwrap();
    for cut in 0..=bytes.len() {
        let copy = changed(&dir, &acks, &bytes[..cut]);
        let known = [0, 1, 5].into_iter().take(cut / 8).collect::<BTreeSet<_>>();
        let want: Vec<u64> = (0..8).filter(|n| !known.contains(n)).collect();
        assert_eq!(frames(copy.path()).0, want, "cut at {cut}");
    }
}

#[test]
fn a_spool_damaged_at_any_byte_loses_no_more_than_that_frame() {
    let dir = tempfile::tempdir().unwrap();
    let (ends, segment, acks) = small(&dir);
    let good = fs::read(&segment).unwrap();
    for at in 0..good.len() {
        for flip in [1, 0x80, 0xff] {
            let mut bytes = good.clone();
            bytes[at] ^= flip;
            let copy = changed(&dir, &segment, &bytes);
            let (got, usage, _) = frames(copy.path());
            let hit = ends.iter().rposition(|end| *end <= at as u64).unwrap() as u64;
            // In the header lies no frame.
            let hit = if at < 32 { u64::MAX } else { hit };
            let want: Vec<u64> = LEFT.into_iter().filter(|n| *n != hit).collect();
            assert_eq!(got, want, "byte {at}");
            assert!(usage.damaged > 0 || !LEFT.contains(&hit), "byte {at}");
        }
    }
    let good = fs::read(&acks).unwrap();
    for at in 0..good.len() {
        for flip in [1, 0x80, 0xff] {
            let mut bytes = good.clone();
            bytes[at] ^= flip;
            let copy = changed(&dir, &acks, &bytes);
            let again = [0, 1, 5][at / 8];
            let mut want = LEFT.to_vec();
            want.push(again);
            want.sort_unstable();
            assert_eq!(frames(copy.path()).0, want, "byte {at}");
        }
    }
}

#[test]
fn bytes_that_were_taken_out_or_put_in_cost_what_they_hit() {
    let dir = tempfile::tempdir().unwrap();
    let (ends, segment, _) = small(&dir);
    let good = fs::read(&segment).unwrap();
    for at in 33..good.len() {
        let hit = ends.iter().rposition(|end| *end <= at as u64).unwrap() as u64;
        let border = ends.contains(&(at as u64));
        let put = [&good[..at], &[0xf7, 0, 0], &good[at..]].concat();
        let want: Vec<u64> = LEFT.into_iter().filter(|n| border || *n != hit).collect();
        assert_eq!(
            frames(changed(&dir, &segment, &put).path()).0,
            want,
            "put in at {at}"
        );
        let end = (at + 20).min(good.len());
        let out = [&good[..at], &good[end..]].concat();
        let touched = |n: &u64| {
            let (from, to) = (ends[*n as usize], ends[*n as usize + 1]);
            from < end as u64 && to > at as u64
        };
        let want: Vec<u64> = LEFT.into_iter().filter(|n| !touched(n)).collect();
        assert_eq!(
            frames(changed(&dir, &segment, &out).path()).0,
            want,
            "out at {at}"
        );
    }
}

/// Rows to a database that others lock, through a spool that has all of them first.
const CONFIG: &str = "[aggregate.flows]\n\
    by = [\"src_host\", \"dst_host\", \"src_port\", \"dst_port\", \"proto\"]\n\
    every = \"1s\"\nto = [\"db\"]\n\
    [output.db]\nkind = \"sqlite\"\npath = \"DIR/weir.db\"\nbusy_timeout = \"50ms\"\n\
    queue = \"64 KiB\"\nspool = \"DIR/spool\"\nspool_when = \"always\"\nspool_sync = \"never\"\n";

/// Packets and bytes in the database.
fn stored(path: &Path) -> (u64, u64) {
    let Ok(db) = Connection::open(path) else {
        return (0, 0);
    };
    db.busy_timeout(Duration::from_secs(20)).unwrap();
    let sql = "SELECT coalesce(sum(packets), 0), coalesce(sum(bytes), 0) FROM flows";
    db.query_row(sql, [], |row| {
        Ok((row.get::<_, i64>(0)? as u64, row.get::<_, i64>(1)? as u64))
    })
    .unwrap_or((0, 0))
}

/// Numbers that look random and are the same each time.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, most: u64) -> u64 {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        (self.0 >> 33) % most
    }
}

fn soon(what: &str, mut done: impl FnMut() -> bool) {
    let end = Instant::now() + Duration::from_secs(60);
    while !done() {
        assert!(Instant::now() < end, "{what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

fn send(port: u16, all: &[Vec<u8>]) {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    for datagram in all {
        socket.send_to(datagram, ("127.0.0.1", port)).unwrap();
        std::thread::sleep(Duration::from_millis(1));
    }
}

#[test]
fn a_daemon_killed_at_any_instant_has_every_flushed_row_once_in_the_end() {
    let rounds = std::env::var("CRASHES").ok().and_then(|n| n.parse().ok());
    let rounds: u64 = rounds.unwrap_or(20);
    let all = datagrams("softflowd-v9.pcap");
    let mut daemon = Daemon::start(CONFIG);
    let (dir, port) = (daemon.dir(), daemon.port);
    let database = dir.path().join("weir.db");
    let mut dice = Dice(7);
    // What the database must hold: what all runs together were offered.
    let mut due = (0, 0);
    for round in 0..rounds {
        // For a while this process has the database.
        let other = Connection::open(&database).unwrap();
        other.busy_timeout(Duration::from_secs(20)).unwrap();
        let locked = dice.roll(4) > 0;
        if locked {
            other.execute_batch("BEGIN EXCLUSIVE").unwrap();
        }
        let part = &all[..1 + dice.roll(all.len() as u64) as usize];
        send(port, part);
        let mut offered = (0, 0);
        let whole = round % 2 == 0;
        if whole {
            // All that came is flushed: then the sum is known to the byte.
            soon("flushed", || {
                offered = column(&daemon.status(), "offered");
                let decoded = daemon.decoded();
                decoded.0 > 0 && offered == decoded
            });
        } else {
            std::thread::sleep(Duration::from_millis(dice.roll(1500)));
            offered = column(&daemon.status(), "offered");
        }
        if locked {
            other.execute_batch("COMMIT").unwrap();
        }
        drop(other);
        std::thread::sleep(Duration::from_micros(dice.roll(80_000)));
        let sent = daemon.decoded();
        daemon.kill();
        daemon = Daemon::start_in(dir.clone(), port, CONFIG);
        let mut status = String::new();
        soon("recovered", || {
            status = daemon.status();
            status.contains("\"outputs\"")
                && column(&status, "queued") == (0, 0)
                && column(&status, "spooled") == (0, 0)
        });
        let got = stored(&database);
        let new = (got.0 - due.0, got.1 - due.1);
        let log = daemon.log();
        if whole {
            assert_eq!(new, offered, "round {round}\n{status}\n{log}");
        } else {
            // Bins ended and were flushed after the question.
            assert!(
                new >= offered,
                "round {round}: {new:?} of {offered:?}\n{log}"
            );
            assert!(
                sent == (0, 0) || new <= sent,
                "round {round}: {new:?} of {sent:?}"
            );
        }
        due = got;
    }
    daemon.stop();
    assert_eq!(stored(&database), due);
    assert!(due.0 > 0);
    let left = fs::read_dir(dir.path().join("spool/db")).unwrap();
    let left: Vec<_> = left.map(|e| e.unwrap().file_name()).collect();
    assert_eq!(left.len(), 2, "{left:?}");
}
