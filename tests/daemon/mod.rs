//! A real `weir run` in a folder of its own, with a UDP input on loopback.
#![allow(dead_code)] // Every test file uses a part of it.

use std::io::Read;
use std::net::UdpSocket;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::rc::Rc;
use std::time::{Duration, Instant};
use tempfile::TempDir;
use weir::base::ledger::Intake;
use weir::decode::datagram::Unwrap;
use weir::source::savefile::SavefileSource;
use weir::source::{Progress, Source};

/// A file of `tests/data`.
pub fn data(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/data")
        .join(name)
}

/// Waits at the most ten seconds for `done`.
pub fn wait_for(mut done: impl FnMut() -> bool) {
    let end = Instant::now() + Duration::from_secs(10);
    while !done() && Instant::now() < end {
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// The export datagrams in a capture.
pub fn datagrams(name: &str) -> Vec<Vec<u8>> {
    let mut source = SavefileSource::open(data(name)).unwrap();
    let (mut unwrap, mut ledger, mut all) = (Unwrap::default(), Intake::default(), Vec::new());
    let mut keep = |frame: &weir::source::Frame<'_>| {
        all.extend(unwrap.unwrap(frame, &mut ledger).map(|f| f.bytes.to_vec()));
    };
    while source.read(&mut keep).unwrap() != Progress::End {}
    all
}

/// Packets and bytes in the rows of a CSV file; nothing where there is none.
pub fn sums(file: &Path) -> (u64, u64) {
    let text = std::fs::read_to_string(file).unwrap_or_default();
    let mut lines = text.lines();
    let head: Vec<&str> = lines.next().unwrap_or_default().split(',').collect();
    let at = |name| head.iter().position(|h| *h == name);
    let (Some(packets), Some(bytes)) = (at("PACKETS"), at("BYTES")) else {
        return (0, 0);
    };
    let number = |cells: &[&str], n: usize| cells[n].parse::<u64>().unwrap_or(0);
    lines
        .map(|line| line.split(',').collect::<Vec<_>>())
        .fold((0, 0), |sum, cells| {
            (
                sum.0 + number(&cells, packets),
                sum.1 + number(&cells, bytes),
            )
        })
}

/// Packets and bytes of a line of the first output, in a status.
pub fn column(status: &str, name: &str) -> (u64, u64) {
    let outputs = status.split("\"outputs\":").nth(1).unwrap_or_default();
    let part = outputs.split(&format!("\"{name}\":{{")).nth(1);
    let number = |what: &str| {
        let text = part.and_then(|p| p.split(&format!("\"{what}\":")).nth(1));
        let text = text.unwrap_or_default();
        let end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(0);
        text[..end].parse::<u64>().unwrap_or(0)
    };
    (number("packets"), number("bytes"))
}

/// A running daemon.
pub struct Daemon {
    child: Child,
    dir: Rc<TempDir>,
    /// Where its UDP input listens on 127.0.0.1.
    pub port: u16,
}

impl Daemon {
    /// Starts `weir run`; `DIR` in `rest` of the configuration is the daemon's folder.
    pub fn start(rest: &str) -> Self {
        let dir = Rc::new(tempfile::tempdir().unwrap());
        let port = UdpSocket::bind("127.0.0.1:0")
            .unwrap()
            .local_addr()
            .unwrap()
            .port();
        Self::start_in(dir, port, rest)
    }

    /// Starts it in a folder and on a port that are known already.
    pub fn start_in(dir: Rc<TempDir>, port: u16, rest: &str) -> Self {
        Self::configure(&dir, port, rest);
        Self::spawn(dir, port)
    }

    /// Starts it with the configuration that is there.
    pub fn spawn(dir: Rc<TempDir>, port: u16) -> Self {
        Self::spawn_with(dir, port, &[])
    }

    /// Starts it with more arguments.
    pub fn spawn_with(dir: Rc<TempDir>, port: u16, args: &[&str]) -> Self {
        let log = std::fs::File::create(dir.path().join("log")).unwrap();
        let child = Command::new(env!("CARGO_BIN_EXE_weir"))
            .arg("run")
            .args(args)
            .arg(dir.path().join("weir.toml"))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .unwrap();
        let daemon = Self { child, dir, port };
        let log = daemon.dir.path().join("log");
        wait_for(|| std::fs::read_to_string(&log).is_ok_and(|text| text.contains("runs ")));
        daemon
    }

    /// Writes the configuration.
    pub fn configure(dir: &TempDir, port: u16, rest: &str) {
        let at = dir.path().display().to_string();
        let text = format!(
            "memory = \"8 MiB\"\ncontrol = \"{at}/sock\"\nstop_within = \"3s\"\n\
             templates = \"{at}/templates\"\n\
             [input.exports]\nkind = \"udp\"\nlisten = \"127.0.0.1:{port}\"\n{}",
            rest.replace("DIR", &at)
        );
        std::fs::write(dir.path().join("weir.toml"), text).unwrap();
    }

    /// Its process.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Its folder.
    pub fn dir(&self) -> Rc<TempDir> {
        self.dir.clone()
    }

    /// Sends the signal of this name.
    pub fn signal(&self, name: &str) {
        let pid = self.child.id().to_string();
        let status = Command::new("kill")
            .args(["-s", name, &pid])
            .status()
            .unwrap();
        assert!(status.success());
    }

    /// What it has logged.
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.dir.path().join("log")).unwrap_or_default()
    }

    /// Its status as JSON.
    pub fn status(&self) -> String {
        let out = Command::new(env!("CARGO_BIN_EXE_weir"))
            .args(["status", "--json", "--socket"])
            .arg(self.dir.path().join("sock"))
            .output()
            .unwrap();
        String::from_utf8_lossy(&out.stdout).into_owned()
    }

    /// Packets and bytes it has decoded.
    pub fn decoded(&self) -> (u64, u64) {
        let status = self.status();
        let part = status.split("\"decoded\":{").nth(1).unwrap_or_default();
        let number = |name: &str| {
            let text = part
                .split(&format!("\"{name}\":"))
                .nth(1)
                .unwrap_or_default();
            let digits: String = text.chars().take_while(char::is_ascii_digit).collect();
            digits.parse().unwrap_or(0)
        };
        (number("packets"), number("bytes"))
    }

    /// How often its threads went to sleep so far.
    pub fn switches(&self) -> u64 {
        let tasks = format!("/proc/{}/task", self.child.id());
        let tasks = std::fs::read_dir(tasks).unwrap();
        let files = tasks.map(|task| task.unwrap().path().join("status"));
        let texts = files.map(|file| std::fs::read_to_string(file).unwrap_or_default());
        let of = |text: String| {
            let line = text
                .lines()
                .find_map(|l| l.strip_prefix("voluntary_ctxt_switches:"));
            line.and_then(|n| n.trim().parse::<u64>().ok()).unwrap_or(0)
        };
        texts.map(of).sum()
    }

    /// Ends it without a warning.
    pub fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Ends it in order; gives its log.
    pub fn stop(mut self) -> String {
        self.signal("TERM");
        let mut status = None;
        wait_for(|| {
            status = self.child.try_wait().unwrap();
            status.is_some()
        });
        let log = self.log();
        assert!(status.is_some_and(|s| s.success()), "{status:?}\n{log}");
        log
    }

    /// Waits until it ends by itself; gives its exit status and its log.
    pub fn ended(mut self) -> (Option<i32>, String) {
        let mut status = None;
        wait_for(|| {
            status = self.child.try_wait().unwrap();
            status.is_some()
        });
        (status.and_then(|s| s.code()), self.log())
    }

    /// Ends it in order; gives its exit status, which may tell of a failure, its log, and how long
    /// that took.
    pub fn stop_any(mut self) -> (Option<i32>, String, Duration) {
        let started = Instant::now();
        self.signal("TERM");
        let mut status = None;
        wait_for(|| {
            status = self.child.try_wait().unwrap();
            status.is_some()
        });
        (status.and_then(|s| s.code()), self.log(), started.elapsed())
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        // Ended already, when all went well.
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking() {
            let mut text = String::new();
            if let Ok(mut log) = std::fs::File::open(self.dir.path().join("log")) {
                let _ = log.read_to_string(&mut text);
            }
            eprintln!("the daemon's log:\n{text}");
        }
    }
}
