//! A real PostgreSQL server in a folder of its own, on a port of loopback.

#![allow(dead_code)] // Every test file uses a part of it.

use crate::database::Database;
use crate::host::{self, PASSWORD, Process};
use ::postgres::{Client, Config, Error, NoTls, SimpleQueryMessage};
use std::path::{Path, PathBuf};
use weir::base::options::Raw;

/// Who it runs as, where that can not be root.
const USER: &str = "postgres";

/// A running server, or one that is stopped for now. Its administrator is `weir`.
pub struct Server(Process);

/// The newest server that is installed.
fn programs() -> Option<PathBuf> {
    let versions = std::fs::read_dir("/usr/lib/postgresql").ok()?;
    let bins = versions.filter_map(|v| Some(v.ok()?.path().join("bin")));
    bins.filter(|bin| bin.join("initdb").exists()).max()
}

fn client(at: &Process, database: &str) -> Result<Client, Error> {
    Config::new()
        .host("127.0.0.1")
        .port(at.port)
        .user("weir")
        .password(PASSWORD)
        .dbname(database)
        .connect(NoTls)
}

impl Server {
    fn set_up() -> Result<Self, String> {
        let bin = programs().ok_or("needs a PostgreSQL server, package postgresql")?;
        // The signal that ends connections as well.
        let process = Process::of(USER, Self::STOPS[0])?;
        let secret = process.folder().join("secret");
        std::fs::write(&secret, PASSWORD).unwrap();
        let mut initdb =
            host::command(&bin.join("initdb"), USER).ok_or("needs a user that is not root")?;
        let made = initdb
            .args(["-U", "weir", "-A", "scram-sha-256", "--no-sync"])
            .args(["--no-locale", "-E", "UTF8", "-D"])
            .arg(process.folder().join("data"))
            .arg(format!("--pwfile={}", secret.display()))
            .output()
            .map_err(|e| e.to_string())?;
        assert!(made.status.success(), "{made:?}");
        let mut server = Self(process);
        server.resume();
        run(&mut server.ask("postgres"), "CREATE DATABASE flows");
        Ok(server)
    }

    /// A connection.
    pub fn ask(&self, database: &str) -> Client {
        client(&self.0, database).unwrap()
    }

    /// Where its socket is.
    pub fn folder(&self) -> &Path {
        self.0.folder()
    }
}

impl Database for Server {
    const KIND: &'static str = "postgres";
    const STOPS: [&'static str; 2] = ["INT", "QUIT"];
    const LATER: &'static str = "make it: CREATE DATABASE \"later\" OWNER \"weir\"";
    const CLERK: [&'static [&'static str]; 2] = [
        &["CREATE ROLE clerk LOGIN PASSWORD 'x'"],
        &["GRANT SELECT, INSERT, UPDATE, DELETE ON talkers, weir_batch TO clerk"],
    ];

    fn start(test: &str) -> Option<Self> {
        host::or_skip(test, Self::set_up())
    }

    fn process(&mut self) -> &mut Process {
        &mut self.0
    }

    fn settings(&self) -> Vec<(&'static str, Raw)> {
        self.0.settings()
    }

    fn resume(&mut self) {
        let mut command = host::command(&programs().unwrap().join("postgres"), USER).unwrap();
        command
            .arg("-D")
            .arg(self.folder().join("data"))
            .arg("-k")
            .arg(self.folder())
            .args(["-h", "127.0.0.1", "-p", &self.0.port.to_string()])
            .args(["-c", "fsync=off", "-c", "shared_buffers=16MB"]);
        let ready = |process: &Process| client(process, "postgres").is_ok();
        self.0.run(command, 60, ready);
    }

    fn does(&self, sql: &str) {
        run(&mut self.ask("flows"), sql);
    }

    fn finds(&self, sql: &str) -> Option<u64> {
        let sql = format!("SELECT ({sql})::bigint");
        let row = client(&self.0, "flows").ok()?.query_one(&sql, &[]).ok()?;
        row.get::<_, Option<i64>>(0)?.try_into().ok()
    }
}

/// Statements.
pub fn run(db: &mut Client, sql: &str) {
    db.batch_execute(sql)
        .unwrap_or_else(|e| panic!("{sql}: {e:?}"));
}

/// What a query finds, in lines.
pub fn shown(db: &mut Client, sql: &str) -> String {
    let rows = db
        .simple_query(sql)
        .unwrap_or_else(|e| panic!("{sql}: {e:?}"));
    let line = |row| match row {
        SimpleQueryMessage::Row(row) => {
            let cells = (0..row.len()).map(|n| row.get(n).unwrap_or("NULL"));
            Some(cells.collect::<Vec<_>>().join(" "))
        }
        _ => None,
    };
    rows.into_iter()
        .filter_map(line)
        .collect::<Vec<_>>()
        .join("\n")
}

/// The one number that a query finds.
pub fn number(db: &mut Client, sql: &str) -> u64 {
    let text = shown(db, sql);
    text.parse().unwrap_or_else(|_| panic!("{sql}: {text}"))
}
