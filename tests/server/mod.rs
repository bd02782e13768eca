//! A real PostgreSQL server in a folder of its own, on a port of loopback.

use postgres::{Client, NoTls};
use std::net::{TcpListener, TcpStream};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use tempfile::TempDir;
use weir::base::options::Raw;

/// The password of its administrator, `weir`.
pub const PASSWORD: &str = "se cret";

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

/// Somebody that root can be for a server that does not run as root.
fn nobody() -> Option<(u32, u32)> {
    let users = std::fs::read_to_string("/etc/passwd").ok()?;
    let user = |name: &str| {
        let line = users.lines().find(|l| l.split(':').next() == Some(name))?;
        let mut parts = line.split(':').skip(2);
        Some((parts.next()?.parse().ok()?, parts.next()?.parse().ok()?))
    };
    user("postgres").or_else(|| user("nobody"))
}

fn command(program: &Path) -> Option<Command> {
    let mut command = Command::new(program);
    command.stdin(Stdio::null()).current_dir("/");
    // SAFETY: a system call without arguments.
    if unsafe { libc::geteuid() } == 0 {
        let (user, group) = nobody()?;
        command.uid(user).gid(group);
    }
    Some(command)
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
        // SAFETY: a system call without arguments.
        if unsafe { libc::geteuid() } == 0 {
            let (user, group) = nobody().ok_or("needs a user that is not root")?;
            std::os::unix::fs::chown(dir.path(), Some(user), Some(group))
                .map_err(|e| e.to_string())?;
        }
        let secret = dir.path().join("secret");
        std::fs::write(&secret, PASSWORD).unwrap();
        let mut initdb = command(&bin.join("initdb")).ok_or("needs a user that is not root")?;
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
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        drop(listener);
        let mut server = Self {
            child: None,
            dir,
            port,
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
        let mut command = command(&programs().unwrap().join("postgres")).unwrap();
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

/// A port between weir and a server that passes everything on, but for the answer to the first
/// `COMMIT`: there the connection is cut.
pub fn cut_at_commit(to: u16) -> u16 {
    use std::io::{Read, Write};
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        let mut cut = false;
        for client in listener.incoming() {
            let (mut client, mut server) = (
                client.unwrap(),
                TcpStream::connect(("127.0.0.1", to)).unwrap(),
            );
            let mut back = (server.try_clone().unwrap(), client.try_clone().unwrap());
            std::thread::spawn(move || std::io::copy(&mut back.0, &mut back.1));
            let mut buffer = [0; 65_536];
            while let Ok(n @ 1..) = client.read(&mut buffer) {
                let commits = buffer[..n].windows(7).any(|w| w == b"COMMIT\0");
                if commits && !cut {
                    cut = true;
                    client.shutdown(std::net::Shutdown::Both).unwrap();
                    server.write_all(&buffer[..n]).unwrap();
                    std::thread::sleep(Duration::from_millis(200));
                    break;
                }
                if server.write_all(&buffer[..n]).is_err() {
                    break;
                }
            }
            let _ = server.shutdown(std::net::Shutdown::Both);
        }
    });
    port
}
