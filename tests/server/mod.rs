//! A real PostgreSQL server in a folder of its own, on a port of loopback.

use crate::host;
use postgres::{Client, NoTls};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use tempfile::TempDir;
use weir::base::options::Raw;

/// The password of its administrator, `weir`.
pub const PASSWORD: &str = "se cret";

/// Who it runs as, where that can not be root.
const USER: &str = "postgres";

/// A running server, or one that is stopped for now.
pub struct Server {
    child: Option<Child>,
    dir: TempDir,
    /// Where it listens on 127.0.0.1.
    pub port: u16,
}

/// The newest server that is installed.
fn programs() -> Option<PathBuf> {
    let versions = std::fs::read_dir("/usr/lib/postgresql").ok()?;
    let bins = versions.filter_map(|v| Some(v.ok()?.path().join("bin")));
    bins.filter(|bin| bin.join("initdb").exists()).max()
}

impl Server {
    /// A fresh server with the database `flows`; or what `test` says that it is skipped for.
    pub fn start(test: &str) -> Option<Self> {
        let server = Self::set_up();
        if let Err(why) = &server {
            println!("{test} skipped: {why}");
        }
        server.ok()
    }

    fn set_up() -> Result<Self, String> {
        let bin = programs().ok_or("needs a PostgreSQL server, package postgresql")?;
        let dir = tempfile::tempdir().map_err(|e| e.to_string())?;
        host::give(dir.path(), USER)?;
        let secret = dir.path().join("secret");
        std::fs::write(&secret, PASSWORD).unwrap();
        let mut initdb =
            host::command(&bin.join("initdb"), USER).ok_or("needs a user that is not root")?;
        let made = initdb
            .args([
                "-U",
                "weir",
                "-A",
                "scram-sha-256",
                "--no-sync",
                "--no-locale",
            ])
            .args(["-E", "UTF8", "-D"])
            .arg(dir.path().join("data"))
            .arg(format!("--pwfile={}", secret.display()))
            .output()
            .map_err(|e| e.to_string())?;
        assert!(made.status.success(), "{made:?}");
        let mut server = Self {
            child: None,
            dir,
            port: host::free_port(),
        };
        server.resume();
        server
            .ask("postgres")
            .batch_execute("CREATE DATABASE flows")
            .unwrap();
        Ok(server)
    }

    /// Starts it, again.
    pub fn resume(&mut self) {
        let log = std::fs::File::create(self.dir.path().join("log")).unwrap();
        let mut command = host::command(&programs().unwrap().join("postgres"), USER).unwrap();
        let child = command
            .arg("-D")
            .arg(self.dir.path().join("data"))
            .arg("-k")
            .arg(self.dir.path())
            .args(["-h", "127.0.0.1", "-p", &self.port.to_string()])
            .args(["-c", "fsync=off", "-c", "shared_buffers=16MB"])
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .unwrap();
        self.child = Some(child);
        let end = Instant::now() + Duration::from_secs(60);
        while self.client("postgres").is_err() {
            let log = self.dir.path().join("log");
            let log = std::fs::read_to_string(log).unwrap_or_default();
            assert!(Instant::now() < end, "{log}");
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// Stops it; `how` is the signal: INT ends connections, QUIT is as good as a crash.
    pub fn stop(&mut self, how: &str) {
        if let Some(mut child) = self.child.take() {
            let pid = child.id().to_string();
            let _ = Command::new("kill").args(["-s", how, &pid]).status();
            let _ = child.wait();
        }
    }

    fn client(&self, database: &str) -> Result<Client, postgres::Error> {
        postgres::Config::new()
            .host("127.0.0.1")
            .port(self.port)
            .user("weir")
            .password(PASSWORD)
            .dbname(database)
            .connect(NoTls)
    }

    /// A connection.
    pub fn ask(&self, database: &str) -> Client {
        self.client(database).unwrap()
    }

    /// Settings of an output to `flows` there.
    pub fn settings(&self) -> Vec<(&'static str, Raw)> {
        let text = |text: &str| Raw::Text(text.into());
        vec![
            ("host", text("127.0.0.1")),
            ("port", Raw::Number(self.port.into())),
            ("database", text("flows")),
            ("password", text(PASSWORD)),
            ("timeout", text("2s")),
        ]
    }

    /// Where its socket is.
    pub fn folder(&self) -> &Path {
        self.dir.path()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop("INT");
    }
}
