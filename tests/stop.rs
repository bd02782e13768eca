//! The end of a daemon and its reloads, with outputs that hang or fail: nobody else loses a row for
//! it, and what is written is a whole file.

mod daemon;

use daemon::{Daemon, wait_for};
use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::UdpSocket;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// NetFlow v5 with thirty records, from hosts of this number on; a packet of 100 bytes each.
fn datagram(first: u32) -> Vec<u8> {
    let mut bytes = vec![0, 5, 0, 30, 0, 1, 0, 0];
    bytes.extend(1_767_322_800u32.to_be_bytes());
    bytes.extend([0; 4]);
    bytes.extend(first.to_be_bytes());
    bytes.extend([0; 4]);
    for host in first..first + 30 {
        bytes.extend((0x0a00_0000 + host).to_be_bytes());
        bytes.extend([192, 0, 2, 9, 0, 0, 0, 0, 0, 1, 0, 2]);
        bytes.extend([0, 0, 0, 1, 0, 0, 0, 100, 0, 0, 0x10, 0, 0, 0, 0x20, 0]);
        bytes.extend([0xc0, 0, 1, 0xbb, 0, 0x1b, 6, 0, 0, 0, 0, 0, 24, 24, 0, 0]);
    }
    bytes
}

/// Sends so many records, of as many hosts.
fn send(port: u16, hosts: std::ops::Range<u32>) {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    for first in hosts.step_by(30) {
        socket
            .send_to(&datagram(first), ("127.0.0.1", port))
            .unwrap();
        if first % 300 == 0 {
            std::thread::sleep(Duration::from_millis(1));
        }
    }
}

/// Takes a test's file system away.
struct Mounted(PathBuf);

impl Drop for Mounted {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}

fn pipe(path: &Path) {
    let made = Command::new("mkfifo").arg(path).status().unwrap();
    assert!(made.success());
}

/// Opens a pipe for reading, and never reads.
fn silent(path: &Path) -> std::fs::File {
    let mut options = std::fs::OpenOptions::new();
    let options = options.read(true).custom_flags(libc::O_NONBLOCK);
    options.open(path).unwrap()
}

/// Files of a folder by name; hidden ones are not complete.
fn files(folder: &Path) -> BTreeMap<String, String> {
    let all = std::fs::read_dir(folder)
        .unwrap()
        .map(|e| e.unwrap().path());
    let files = all.filter(|path| path.is_file());
    files
        .map(|path| {
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            let bytes = std::fs::read(path).unwrap();
            (name, String::from_utf8_lossy(&bytes).into_owned())
        })
        .collect()
}

/// Rows in files of a name like this.
fn lines(folder: &Path, kind: &str) -> usize {
    let files = files(folder)
        .into_iter()
        .filter(|(name, _)| name.ends_with(kind));
    files
        .map(|(_, text)| text.lines().filter(|line| !line.starts_with("SRC")).count())
        .sum()
}

/// What a line of the log says in numbers.
fn numbers(log: &str, what: &str) -> Vec<u64> {
    let line = log.lines().find(|line| line.contains(what));
    let line = line.unwrap_or_else(|| panic!("{what} in {log}"));
    let line = line.split(what).nth(1).unwrap_or_default();
    line.split(|c: char| !c.is_ascii_digit())
        .filter_map(|n| n.parse().ok())
        .collect()
}

const ONE: &str = "[aggregate.t]\nby = [\"src_host\", \"dst_host\"]\nevery = \"1h\"\n";

#[test]
fn an_output_that_hangs_at_the_stop_costs_the_others_nothing() {
    let dir = std::rc::Rc::new(tempfile::tempdir().unwrap());
    pipe(&dir.path().join("hung"));
    let _reader = silent(&dir.path().join("hung"));
    let port = UdpSocket::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .port();
    // The one that hangs comes first in half of the cases.
    for to in ["[\"ok\", \"hung\"]", "[\"hung\", \"ok\"]"] {
        let rest = format!(
            "receive_buffer = \"4 MiB\"\n{ONE}memory = \"4 MiB\"\nto = {to}\n[output.ok]\n\
             kind = \"file\"\npath = \"DIR/out/%H.csv\"\nqueue = \"64 KiB\"\n\
             existing = \"overwrite\"\n\
             [output.hung]\nkind = \"file\"\npath = \"DIR/hung\"\nqueue = \"64 KiB\"\n"
        );
        let rest = rest.replace("[input.exports]", "");
        let daemon = Daemon::start_in(dir.clone(), port, &rest);
        send(port, 0..15_000);
        wait_for(|| daemon.decoded().0 == 15_000);
        assert_eq!(daemon.decoded().0, 15_000);
        let (code, log, time) = daemon.stop_any();
        assert_eq!(code, Some(1), "{log}");
        assert!(time < Duration::from_secs(6), "{time:?}");
        assert_eq!(lines(&dir.path().join("out"), ".csv"), 15_000, "{log}");
        assert_eq!(files(&dir.path().join("out")).len(), 1, "{log}");
        assert!(numbers(&log, "output hung: hangs; it is left behind with")[0] > 0);
        assert_eq!(
            numbers(&log, "output hung: 0 rows stored,"),
            [15_000],
            "{log}"
        );
        assert_eq!(numbers(&log, "output ok:"), [15_000, 0], "{log}");
    }
}

/// A daemon that reads a savefile, whose output is a pipe that nobody reads.
fn savefile(dir: &Path, stop_within: &str) -> Child {
    pipe(&dir.join("pipe"));
    let file = daemon::data("softflowd-v9.pcap");
    let text = format!(
        "stop_within = \"{stop_within}\"\n[input.r]\nkind = \"file\"\nfile = {file:?}\n{ONE}\
         to = [\"o\"]\n[output.o]\nkind = \"file\"\npath = \"{}/pipe\"\n",
        dir.display()
    );
    std::fs::write(dir.join("weir.toml"), text).unwrap();
    let log = std::fs::File::create(dir.join("log")).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_weir"));
    let command = command
        .arg("run")
        .arg(dir.join("weir.toml"))
        .stdin(Stdio::null());
    let child = command.stdout(Stdio::null()).stderr(log).spawn().unwrap();
    wait_for(|| said(dir).contains("nobody reads it"));
    child
}

fn said(dir: &Path) -> String {
    std::fs::read_to_string(dir.join("log")).unwrap_or_default()
}

fn signal(child: &Child, name: &str) {
    let kill = ["-s", name, &child.id().to_string()];
    assert!(Command::new("kill").args(kill).status().unwrap().success());
}

fn ended(child: &mut Child) -> Option<i32> {
    let mut status = None;
    wait_for(|| {
        status = child.try_wait().unwrap();
        status.is_some()
    });
    if status.is_none() {
        child.kill().unwrap();
    }
    status.and_then(|s| s.code())
}

#[test]
fn a_signal_ends_what_waits_for_an_output_after_the_last_file() {
    let dir = tempfile::tempdir().unwrap();
    let mut child = savefile(dir.path(), "1s");
    // It would wait for ever.
    std::thread::sleep(Duration::from_millis(500));
    assert!(child.try_wait().unwrap().is_none());
    signal(&child, "TERM");
    assert_eq!(ended(&mut child), Some(1), "{}", said(dir.path()));
    let log = said(dir.path());
    let given_up = numbers(&log, "output o: 0 rows stored,");
    assert!(given_up[0] > 0, "{log}");
}

#[test]
fn a_second_signal_ends_at_once() {
    let dir = tempfile::tempdir().unwrap();
    let mut child = savefile(dir.path(), "1h");
    signal(&child, "INT");
    std::thread::sleep(Duration::from_millis(500));
    assert!(child.try_wait().unwrap().is_none());
    signal(&child, "INT");
    assert_eq!(ended(&mut child), Some(1), "{}", said(dir.path()));
    let log = said(dir.path());
    assert!(log.contains("ends at once"), "{log}");
    assert!(numbers(&log, "output o: 0 rows stored,")[0] > 0, "{log}");
}

/// What a full disk took of a batch is not there any more when the daemon has ended: the next one
/// brings the whole batch.
#[test]
fn a_full_disk_keeps_no_part_of_a_batch() {
    let name = "a_full_disk_keeps_no_part_of_a_batch";
    let daemon = Daemon::start(
        "[aggregate.a]\nby = [\"src_host\", \"dst_host\", \"src_port\", \"dst_port\"]\nevery = \"1s\"\n\
         to = [\"f\"]\n[output.f]\nkind = \"file\"\npath = \"DIR/disk/rows.json\"\n\
         format = \"json\"\nappend = true\nspool = \"DIR/spool\"\n",
    );
    let (dir, port) = (daemon.dir(), daemon.port);
    let text = std::fs::read_to_string(dir.path().join("weir.toml")).unwrap();
    let (_, rest) = text.split_once(&format!("127.0.0.1:{port}\"\n")).unwrap();
    daemon.stop();
    let disk = dir.path().join("disk");
    std::fs::create_dir_all(&disk).unwrap();
    let mount = |options: &str| {
        let options = ["-t", "tmpfs", "-o", options, "weir-test"];
        let mount = Command::new("mount").args(options).arg(&disk).status();
        mount.is_ok_and(|status| status.success())
    };
    if !mount("size=520k") {
        println!("{name} skipped: needs root and mount");
        return;
    }
    let _mounted = Mounted(disk.clone());
    let file = disk.join("rows.json");
    let rows = || {
        std::fs::read_to_string(&file)
            .unwrap_or_default()
            .lines()
            .count() as u64
    };

    let daemon = Daemon::start_in(dir.clone(), port, rest);
    send(port, 0..6000);
    wait_for(|| daemon.decoded().0 == 6000);
    wait_for(|| daemon.log().contains("No space left"));
    let log = daemon.stop();
    let first = numbers(&log, "info: output f: ")[0];
    assert!(first < 6000, "{log}");
    assert_eq!(rows(), first, "{log}");

    assert!(mount("remount,size=20m"));
    let daemon = Daemon::start_in(dir.clone(), port, rest);
    wait_for(|| rows() == 6000);
    let log = daemon.stop();
    assert_eq!(rows(), 6000, "{log}");
}

/// Standard error is a pipe that is full, and whoever has its other end does not read.
#[test]
fn a_log_that_nobody_reads_stops_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let (mut from, mut to) = std::io::pipe().unwrap();
    let page = [b'\n'; 4096];
    // As many as a pipe has room for.
    for _ in 0..16 {
        to.write_all(&page).unwrap();
    }
    let free = UdpSocket::bind("127.0.0.1:0").unwrap();
    let port = free.local_addr().unwrap().port();
    drop(free);
    let at = dir.path().display();
    let text = format!(
        "control = \"{at}/sock\"\n[input.a]\nkind = \"udp\"\nlisten = \"127.0.0.1:{port}\"\n\
         [aggregate.a]\nby = [\"proto\"]\nto = \"f\"\n\
         [output.f]\nkind = \"file\"\npath = \"{at}/rows.csv\"\n"
    );
    let file = dir.path().join("weir.toml");
    std::fs::write(&file, text).unwrap();
    let mut weir = Command::new(env!("CARGO_BIN_EXE_weir"))
        .args(["run", "-c"])
        .arg(&file)
        .stderr(to)
        .spawn()
        .unwrap();
    wait_for(|| dir.path().join("sock").exists());
    std::thread::sleep(Duration::from_millis(500));
    signal(&weir, "TERM");
    assert_eq!(ended(&mut weir), Some(0));
    // What was not taken is not said: nobody went on reading.
    let mut text = String::new();
    from.read_to_string(&mut text).unwrap();
    assert_eq!(text.trim(), "");
}

#[test]
fn a_reload_that_ends_bad_outputs_reads_meanwhile() {
    let dir = std::rc::Rc::new(tempfile::tempdir().unwrap());
    for name in ["hung", "nobody"] {
        pipe(&dir.path().join(name));
    }
    let _reader = silent(&dir.path().join("hung"));
    let port = UdpSocket::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .port();
    let ok = "[output.ok]\nkind = \"file\"\npath = \"DIR/ok.csv\"\n";
    let every = ONE.replace("1h", "1s");
    let rest = format!(
        "{every}to = [\"hung\", \"nobody\", \"ok\"]\n{ok}[output.hung]\nkind = \"file\"\n\
         path = \"DIR/hung\"\nqueue = \"64 KiB\"\n[output.nobody]\nkind = \"file\"\n\
         path = \"DIR/nobody\"\nqueue = \"64 KiB\"\n"
    );
    let daemon = Daemon::start_in(dir.clone(), port, &rest);
    let sender = std::thread::spawn(move || {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        for n in 0..2000 {
            socket
                .send_to(&datagram(n * 30), ("127.0.0.1", port))
                .unwrap();
            std::thread::sleep(Duration::from_millis(2));
        }
    });
    // Until they are full, and somebody waits for the one that hangs.
    std::thread::sleep(Duration::from_millis(2500));
    let rest = format!("{every}to = [\"ok\"]\n{ok}");
    Daemon::configure(&dir, port, &rest);
    let began = Instant::now();
    daemon.signal("HUP");
    wait_for(|| daemon.log().contains("is in force"));
    assert!(
        began.elapsed() < Duration::from_millis(1500),
        "{:?}",
        began.elapsed()
    );
    sender.join().unwrap();
    wait_for(|| daemon.decoded().0 == 60_000);
    assert_eq!(daemon.decoded().0, 60_000, "{}", daemon.status());
    wait_for(|| {
        daemon
            .log()
            .contains("output hung: hangs; it is left behind with")
    });
    let log = daemon.stop();
    assert!(
        log.contains("output nobody:") && log.contains("given up at the stop"),
        "{log}"
    );
    assert_eq!(lines(dir.path(), "ok.csv"), 60_000, "{log}");
    assert_eq!(numbers(&log, "output ok:"), [60_000, 0], "{log}");
}

#[test]
fn the_file_of_the_running_bin_goes_on_over_reloads() {
    for existing in ["continue", "replace", "overwrite"] {
        let first = format!(
            "{ONE}to = [\"f\"]\n[aggregate.gone]\nby = [\"dst_host\"]\nevery = \"1h\"\n\
             to = [\"f\"]\n[output.f]\nkind = \"file\"\npath = \"DIR/$aggregate-%H.csv\"\n\
             existing = \"{existing}\"\n"
        );
        let daemon = Daemon::start(&first);
        let dir = daemon.dir();
        send(daemon.port, 0..300);
        wait_for(|| daemon.decoded().0 == 300);
        let reload = |rest: &str, times: usize, said: &str| {
            Daemon::configure(&dir, daemon.port, rest);
            daemon.signal("HUP");
            wait_for(|| daemon.log().matches(said).count() == times);
        };
        // The same output, and an aggregation that is there no more: its file is complete.
        let [one, rest] = ["[aggregate.gone]", "[output.f]"].map(|at| first.find(at).unwrap());
        let second = format!("{}{}", &first[..one], &first[rest..]);
        reload(&second, 1, "is in force");
        let gone = |name: &String| name.starts_with("gone-") && name.ends_with(".csv");
        wait_for(|| files(dir.path()).keys().any(gone));
        assert!(files(dir.path()).keys().any(gone), "{}", daemon.log());
        send(daemon.port, 300..600);
        wait_for(|| daemon.decoded().0 == 600);
        // Another output at the same place.
        let third = second.replace("path =", "open = 7\npath =");
        reload(&third, 2, "is in force");
        send(daemon.port, 600..900);
        wait_for(|| daemon.decoded().0 == 900);
        // One that can not be: the address is taken.
        let held = UdpSocket::bind("127.0.0.1:0").unwrap();
        let held = held.local_addr().unwrap();
        let fourth = third.replace("open = 7", "open = 8");
        let fourth =
            format!("{fourth}[input.other]\nkind = \"udp\"\nlisten = \"{held}\"\nto = [\"t\"]\n");
        let fourth = fourth.replace("to = [\"t\"]\n", "");
        reload(&fourth, 1, "the configuration before goes on");
        send(daemon.port, 900..1200);
        wait_for(|| daemon.decoded().0 == 1200);
        assert_eq!(daemon.decoded().0, 1200, "{}", daemon.log());
        let log = daemon.stop();
        let all = files(dir.path());
        let names: Vec<_> = all
            .keys()
            .filter(|n| n.ends_with(".csv") || n.starts_with('.'))
            .collect();
        assert_eq!(names.len(), 2, "{existing}: {names:?}\n{log}");
        let rows = |text: &String| text.lines().filter(|l| l.contains("10.0.")).count();
        let (_, text) = all.iter().find(|(name, _)| name.starts_with("t-")).unwrap();
        assert_eq!(rows(text), 1200, "{existing}: {log}");
        let (_, text) = all
            .iter()
            .find(|(name, _)| name.starts_with("gone-"))
            .unwrap();
        assert_eq!(text.lines().count(), 2, "{existing}: {text}");
    }
}
