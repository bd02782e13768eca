//! A real Mosquitto broker in a folder of its own, on a port of loopback, and who reads from it.

#![allow(dead_code)] // Every test file uses a part of it.

use crate::host;
use std::io::{BufRead, BufReader};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use tempfile::TempDir;
use weir::base::options::Raw;

/// The password of `weir`.
pub const PASSWORD: &str = "se cret";

/// Who it runs as, where that can not be root.
const USER: &str = "mosquitto";

/// A running broker, or one that is stopped for now.
pub struct Server {
    child: Option<Child>,
    dir: TempDir,
    /// Where it listens on 127.0.0.1.
    pub port: u16,
}

fn program(name: &str) -> Option<PathBuf> {
    let folders = ["/usr/sbin", "/usr/bin", "/usr/local/sbin", "/usr/local/bin"];
    let mut paths = folders.iter().map(|folder| Path::new(folder).join(name));
    paths.find(|path| path.exists())
}

impl Server {
    /// A fresh broker with the users `weir` and `poor`, who may publish nothing; or what `test`
    /// says that it is skipped for.
    pub fn start(test: &str) -> Option<Self> {
        let server = Self::set_up();
        if let Err(why) = &server {
            println!("{test} skipped: {why}");
        }
        server.ok()
    }

    fn set_up() -> Result<Self, String> {
        for (name, package) in [
            ("mosquitto", "mosquitto"),
            ("mosquitto_passwd", "mosquitto"),
            ("mosquitto_sub", "mosquitto-clients"),
        ] {
            program(name).ok_or(format!("needs {name}, package {package}"))?;
        }
        let dir = tempfile::tempdir().map_err(|e| e.to_string())?;
        let port = host::free_port();
        let at = |name: &str| dir.path().join(name);
        let text = format!(
            "listener {port} 127.0.0.1\nlog_dest stderr\nallow_anonymous false\npassword_file {}\n\
             acl_file {}\npersistence true\npersistence_location {}/\nautosave_on_changes true\n\
             autosave_interval 1\n",
            at("passwords").display(),
            at("rights").display(),
            dir.path().display()
        );
        std::fs::write(at("conf"), text).unwrap();
        let rights = "user weir\ntopic readwrite #\nuser poor\ntopic read #\n";
        std::fs::write(at("rights"), rights).unwrap();
        std::fs::write(at("passwords"), "").unwrap();
        for user in ["weir", "poor"] {
            let made = Command::new(program("mosquitto_passwd").unwrap())
                .arg("-b")
                .arg(at("passwords"))
                .args([user, PASSWORD])
                .output()
                .unwrap();
            assert!(made.status.success(), "{made:?}");
        }
        for name in ["conf", "rights", "passwords"] {
            host::give(&at(name), USER)?;
        }
        host::give(dir.path(), USER)?;
        host::command(Path::new("true"), USER).ok_or("needs a user that is not root")?;
        let mut server = Self {
            child: None,
            dir,
            port,
        };
        server.resume();
        Ok(server)
    }

    /// Starts it, again.
    pub fn resume(&mut self) {
        let log = std::fs::File::create(self.dir.path().join("log")).unwrap();
        let child = host::command(&program("mosquitto").unwrap(), USER)
            .unwrap()
            .arg("-c")
            .arg(self.dir.path().join("conf"))
            .stdout(Stdio::null())
            .stderr(log)
            .spawn();
        self.child = Some(child.unwrap());
        let until = Instant::now() + Duration::from_secs(30);
        while TcpStream::connect(("127.0.0.1", self.port)).is_err() {
            let log = std::fs::read_to_string(self.dir.path().join("log"));
            assert!(Instant::now() < until, "{log:?}");
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Stops it; `how` is the signal: TERM is in order, KILL is a crash.
    pub fn stop(&mut self, how: &str) {
        if let Some(mut child) = self.child.take() {
            let pid = child.id().to_string();
            let _ = Command::new("kill").args(["-s", how, &pid]).status();
            let _ = child.wait();
        }
    }

    /// Halts it in the midst of what it does (STOP), or lets it go on (CONT).
    pub fn signal(&self, name: &str) {
        let pid = self.child.as_ref().unwrap().id().to_string();
        let done = Command::new("kill").args(["-s", name, &pid]).status();
        assert!(done.unwrap().success());
    }

    /// Settings of an output to it.
    pub fn settings(&self) -> Vec<(&'static str, Raw)> {
        let text = |text: &str| Raw::Text(text.into());
        vec![
            ("host", text("127.0.0.1")),
            ("port", Raw::Number(self.port.into())),
            ("user", text("weir")),
            ("password", text(PASSWORD)),
            ("timeout", text("2s")),
        ]
    }

    /// Somebody who reads there, and stays known while the broker is away.
    pub fn reader(&self, filter: &str) -> Reader {
        let mut child = Command::new(program("mosquitto_sub").unwrap())
            .args(["-h", "127.0.0.1", "-p", &self.port.to_string()])
            .args(["-u", "weir", "-P", PASSWORD, "-V", "5", "-q", "1"])
            .args(["-c", "-i", "reader", "-x", "600", "-t", filter])
            .args(["-F", "%t\t%P\t%r\t%p"])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let lines = Arc::new(Mutex::new(Vec::new()));
        let (to, from) = (lines.clone(), child.stdout.take().unwrap());
        std::thread::spawn(move || {
            for line in BufReader::new(from).split(b'\n') {
                let Ok(line) = line else { return };
                let line = String::from_utf8_lossy(&line).into_owned();
                to.lock().unwrap().push(line);
            }
        });
        let reader = Reader { child, lines };
        // What comes back is proof that it listens.
        let until = Instant::now() + Duration::from_secs(10);
        let hello = filter.replace(['#', '+'], "hello");
        while !reader.all().iter().any(|got| got.topic == hello) {
            assert!(Instant::now() < until, "nobody listens");
            self.publish(&hello, "hello");
            std::thread::sleep(Duration::from_millis(20));
        }
        reader
    }

    fn publish(&self, topic: &str, text: &str) {
        let sent = Command::new(program("mosquitto_pub").unwrap())
            .args(["-h", "127.0.0.1", "-p", &self.port.to_string()])
            .args([
                "-u", "weir", "-P", PASSWORD, "-q", "1", "-t", topic, "-m", text,
            ])
            .status();
        assert!(sent.unwrap().success());
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop("KILL");
    }
}

/// A message as it is read.
#[derive(Clone, Debug)]
pub struct Got {
    /// Its topic.
    pub topic: String,
    /// Its identity; empty where it has none.
    pub id: String,
    /// Whether the broker had kept it.
    pub kept: bool,
    /// What it holds.
    pub text: String,
}

/// Who reads.
pub struct Reader {
    child: Child,
    lines: Arc<Mutex<Vec<String>>>,
}

impl Reader {
    /// All that has come, once each of what has an identity.
    pub fn all(&self) -> Vec<Got> {
        let mut seen = std::collections::BTreeSet::new();
        let lines = self.lines.lock().unwrap().clone();
        let got = lines.iter().map(|line| {
            let mut parts = line.splitn(4, '\t');
            let mut part = || parts.next().unwrap_or_default().to_string();
            let (topic, id, kept, text) = (part(), part(), part(), part());
            let id = id.trim_start_matches("id:").to_string();
            Got {
                topic,
                id,
                kept: kept == "1",
                text,
            }
        });
        got.filter(|got| got.id.is_empty() || seen.insert(got.id.clone()))
            .collect()
    }

    /// Waits until what has come is as wanted.
    pub fn until(&self, log: impl Fn() -> String, done: impl Fn(&[Got]) -> bool) -> Vec<Got> {
        let end = Instant::now() + Duration::from_secs(60);
        loop {
            let all = self.all();
            if done(&all) {
                return all;
            }
            assert!(Instant::now() < end, "{} messages\n{}", all.len(), log());
            std::thread::sleep(Duration::from_millis(50));
        }
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
