//! A real MariaDB server in a folder of its own, on its socket and a port of loopback.

#![allow(dead_code)] // Every test file uses a part of it.

use crate::host;
use mysql::prelude::Queryable;
use mysql::{Conn, OptsBuilder, Row, Value};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use tempfile::TempDir;
use weir::base::options::Raw;

/// The password of `weir`, who may do everything in databases but administer.
pub const PASSWORD: &str = "se cret";

/// Who it runs as, where that can not be root.
const USER: &str = "mysql";

/// Small, and not safe from a power cut.
const SMALL: &[&str] = &[
    "--innodb-log-file-size=4M",
    "--innodb-flush-method=nosync",
    "--innodb-doublewrite=0",
    "--sync-frm=0",
    "--skip-name-resolve",
];

/// A running server, or one that is stopped for now.
pub struct Server {
    child: Option<Child>,
    dir: TempDir,
    more: Vec<&'static str>,
    /// Where it listens on 127.0.0.1.
    pub port: u16,
}

fn program(name: &str) -> Option<PathBuf> {
    let folders = ["/usr/sbin", "/usr/bin", "/usr/local/sbin", "/usr/local/bin"];
    let mut paths = folders.iter().map(|folder| Path::new(folder).join(name));
    paths.find(|path| path.exists())
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
        let without = "needs a MariaDB server, package mariadb-server";
        let install = program("mariadb-install-db").ok_or(without)?;
        program("mariadbd").ok_or(without)?;
        let dir = tempfile::tempdir().map_err(|e| e.to_string())?;
        host::give(dir.path(), USER)?;
        let mut install = host::command(&install, USER).ok_or("needs a user that is not root")?;
        let made = install
            .arg("--no-defaults")
            .arg(format!("--datadir={}", dir.path().join("data").display()))
            .arg(format!("--tmpdir={}", dir.path().display()))
            .args(["--auth-root-authentication-method=normal", "--skip-test-db"])
            .args(SMALL)
            .output()
            .map_err(|e| e.to_string())?;
        assert!(made.status.success(), "{made:?}");
        let mut server = Self {
            child: None,
            dir,
            more: Vec::new(),
            port: host::free_port(),
        };
        server.resume();
        let mut root = server.client("root", "", "mysql").unwrap();
        for sql in [
            "CREATE DATABASE flows CHARACTER SET latin1",
            &format!("CREATE USER weir@'%' IDENTIFIED BY '{PASSWORD}'"),
            "GRANT ALL ON *.* TO weir@'%' WITH GRANT OPTION",
        ] {
            root.query_drop(sql).unwrap();
        }
        Ok(server)
    }

    /// Starts it with these arguments from now on.
    pub fn restart(&mut self, more: &[&'static str]) {
        self.more = more.to_vec();
        self.stop("TERM");
        self.resume();
    }

    /// Starts it, again.
    pub fn resume(&mut self) {
        let log = std::fs::File::create(self.dir.path().join("log")).unwrap();
        let at = |name: &str| self.dir.path().join(name).display().to_string();
        let child = host::command(&program("mariadbd").unwrap(), USER)
            .unwrap()
            .arg("--no-defaults")
            .arg(format!("--datadir={}", at("data")))
            // Servers clear away what others have in a folder of them all.
            .arg(format!("--tmpdir={}", self.dir.path().display()))
            .arg(format!("--socket={}", at("sock")))
            .arg(format!("--pid-file={}", at("pid")))
            .arg(format!("--port={}", self.port))
            .args(["--bind-address=127.0.0.1", "--innodb-buffer-pool-size=16M"])
            .args(SMALL)
            .args(&self.more)
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .unwrap();
        self.child = Some(child);
        let end = Instant::now() + Duration::from_secs(90);
        while self.client("root", "", "mysql").is_err() {
            let log = self.dir.path().join("log");
            let log = std::fs::read_to_string(log).unwrap_or_default();
            assert!(Instant::now() < end, "{log}");
            std::thread::sleep(Duration::from_millis(50));
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

    fn client(&self, user: &str, password: &str, database: &str) -> Result<Conn, mysql::Error> {
        let socket = self.socket();
        let options = OptsBuilder::new()
            .socket(socket.to_str())
            .user(Some(user))
            .pass((!password.is_empty()).then_some(password))
            .db_name(Some(database));
        let mut client = Conn::new(options)?;
        client.query_drop("SET NAMES utf8mb4")?;
        Ok(client)
    }

    /// A connection.
    pub fn ask(&self, database: &str) -> Conn {
        self.client("weir", PASSWORD, database).unwrap()
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

    /// Its socket.
    pub fn socket(&self) -> PathBuf {
        self.dir.path().join("sock")
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop("TERM");
    }
}

/// A statement.
pub fn run(db: &mut Conn, sql: &str) {
    db.query_drop(sql).unwrap_or_else(|e| panic!("{sql}: {e}"));
}

/// What a query finds, in lines.
pub fn shown(db: &mut Conn, sql: &str) -> String {
    let rows: Vec<Row> = db.query(sql).unwrap_or_else(|e| panic!("{sql}: {e}"));
    let cell = |value: Value| match value {
        Value::NULL => "NULL".to_string(),
        Value::Bytes(bytes) => String::from_utf8(bytes).unwrap(),
        other => other.as_sql(true),
    };
    let line = |row: Row| row.unwrap().into_iter().map(cell).collect::<Vec<_>>();
    let lines = rows.into_iter().map(|row| line(row).join(" "));
    lines.collect::<Vec<_>>().join("\n")
}

/// The one number that a query finds.
pub fn number(db: &mut Conn, sql: &str) -> u64 {
    let text = shown(db, sql);
    text.parse().unwrap_or_else(|_| panic!("{sql}: {text}"))
}
