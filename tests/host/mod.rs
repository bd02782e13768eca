//! What tests with real servers share: a user that is not root, free ports, a server that
//! runs, a way that is cut.

#![allow(dead_code)] // Every test file uses a part of it.

use std::net::{TcpListener, TcpStream};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use tempfile::TempDir;
use weir::base::options::Raw;

/// The password of `weir` at servers.
pub const PASSWORD: &str = "se cret";

/// A server in a folder of its own, which has a port of loopback for it. It runs, or is stopped
/// for now.
pub struct Process {
    child: Option<Child>,
    dir: TempDir,
    /// The signal that ends it in order.
    end: &'static str,
    /// Where it listens on 127.0.0.1.
    pub port: u16,
}

impl Process {
    /// One that does not run yet, of this user, where that can not be root.
    pub fn of(user: &str, end: &'static str) -> Result<Self, String> {
        let dir = tempfile::tempdir().map_err(|e| e.to_string())?;
        give(dir.path(), user)?;
        Ok(Self {
            child: None,
            dir,
            end,
            port: free_port(),
        })
    }

    /// Its folder.
    pub fn folder(&self) -> &Path {
        self.dir.path()
    }

    /// Starts it, again, and waits until it is `ready`, or for so many seconds.
    pub fn run(&mut self, mut command: Command, patience: u64, ready: impl Fn(&Self) -> bool) {
        let path = self.folder().join("log");
        let log = std::fs::File::create(&path).unwrap();
        let started = command.stdout(Stdio::null()).stderr(log).spawn();
        self.child = Some(started.unwrap());
        let end = Instant::now() + Duration::from_secs(patience);
        while !ready(self) {
            let log = std::fs::read_to_string(&path).unwrap_or_default();
            assert!(Instant::now() < end, "{log}");
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// Stops it by this signal.
    pub fn stop(&mut self, how: &str) {
        if let Some(mut child) = self.child.take() {
            let pid = child.id().to_string();
            let _ = Command::new("kill").args(["-s", how, &pid]).status();
            let _ = child.wait();
        }
    }

    /// Settings of an output to the database `flows` there.
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
}

impl Drop for Process {
    fn drop(&mut self) {
        self.stop(self.end);
    }
}

/// What could be set up; or what `test` says that it is skipped for.
pub fn or_skip<T>(test: &str, server: Result<T, String>) -> Option<T> {
    if let Err(why) = &server {
        println!("{test} skipped: {why}");
    }
    server.ok()
}

/// Somebody that root can be for a server that does not run as root: the first of these who is
/// there, or nobody.
fn other(users: &[&str]) -> Option<(u32, u32)> {
    let all = std::fs::read_to_string("/etc/passwd").ok()?;
    let user = |name: &str| {
        let line = all.lines().find(|l| l.split(':').next() == Some(name))?;
        let mut parts = line.split(':').skip(2);
        Some((parts.next()?.parse().ok()?, parts.next()?.parse().ok()?))
    };
    users.iter().chain(&["nobody"]).find_map(|name| user(name))
}

fn is_root() -> bool {
    // SAFETY: a system call without arguments.
    unsafe { libc::geteuid() == 0 }
}

/// A command that runs as somebody who is not root.
pub fn command(program: &Path, user: &str) -> Option<Command> {
    let mut command = Command::new(program);
    command.stdin(Stdio::null()).current_dir("/");
    if is_root() {
        let (user, group) = other(&[user])?;
        command.uid(user).gid(group);
    }
    Some(command)
}

/// Gives a folder to that user.
pub fn give(folder: &Path, user: &str) -> Result<(), String> {
    if is_root() {
        let (user, group) = other(&[user]).ok_or("needs a user that is not root")?;
        std::os::unix::fs::chown(folder, Some(user), Some(group)).map_err(|e| e.to_string())?;
    }
    Ok(())
}

/// A port of loopback on which nobody listens.
pub fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap().port()
}

/// A port between weir and a server that passes everything on, but for the answer to the first
/// `what`: there the connection is cut.
pub fn cut_at(to: u16, what: &'static [u8]) -> u16 {
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
                let commits = buffer[..n].windows(what.len()).any(|w| w == what);
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
