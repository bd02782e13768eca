//! A real MariaDB server in a folder of its own, on its socket and a port of loopback.

#![allow(dead_code)] // Every test file uses a part of it.

use crate::database::Database;
use crate::host::{self, PASSWORD, Process};
use mysql::prelude::Queryable;
use mysql::{Conn, OptsBuilder, Row, Value};
use std::path::{Path, PathBuf};
use weir::base::options::Raw;

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

/// A running server, or one that is stopped for now. `weir` may do everything in databases but
/// administer.
pub struct Server {
    process: Process,
    more: Vec<&'static str>,
}

fn program(name: &str) -> Option<PathBuf> {
    let folders = ["/usr/sbin", "/usr/bin", "/usr/local/sbin", "/usr/local/bin"];
    let mut paths = folders.iter().map(|folder| Path::new(folder).join(name));
    paths.find(|path| path.exists())
}

impl Server {
    fn set_up() -> Result<Self, String> {
        let without = "needs a MariaDB server, package mariadb-server";
        let install = program("mariadb-install-db").ok_or(without)?;
        program("mariadbd").ok_or(without)?;
        let process = Process::of(USER, Self::STOPS[0])?;
        let dir = process.folder();
        let mut install = host::command(&install, USER).ok_or("needs a user that is not root")?;
        let made = install
            .arg("--no-defaults")
            .arg(format!("--datadir={}", dir.join("data").display()))
            .arg(format!("--tmpdir={}", dir.display()))
            .args(["--auth-root-authentication-method=normal", "--skip-test-db"])
            .args(SMALL)
            .output()
            .map_err(|e| e.to_string())?;
        assert!(made.status.success(), "{made:?}");
        let mut server = Self {
            process,
            more: Vec::new(),
        };
        server.resume();
        let mut root = client(&server.process, "root", "", "mysql").unwrap();
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
        self.process.stop("TERM");
        self.resume();
    }

    /// A connection.
    pub fn ask(&self, database: &str) -> Conn {
        client(&self.process, "weir", PASSWORD, database).unwrap()
    }

    /// Its socket.
    pub fn socket(&self) -> PathBuf {
        self.process.folder().join("sock")
    }
}

fn client(at: &Process, user: &str, password: &str, database: &str) -> Result<Conn, mysql::Error> {
    let options = OptsBuilder::new()
        .socket(at.folder().join("sock").to_str())
        .user(Some(user))
        .pass((!password.is_empty()).then_some(password))
        .db_name(Some(database));
    let mut client = Conn::new(options)?;
    client.query_drop("SET NAMES utf8mb4")?;
    Ok(client)
}

impl Database for Server {
    const KIND: &'static str = "mysql";
    const STOPS: [&'static str; 2] = ["TERM", "KILL"];
    const LATER: &'static str = "make it: CREATE DATABASE `later` CHARACTER SET utf8mb4; GRANT ALL \
                                 ON `later`.* TO 'weir'@";
    const CLERK: [&'static [&'static str]; 2] = [
        &[
            "CREATE USER clerk@'%' IDENTIFIED BY 'x'",
            "GRANT SELECT ON flows.* TO clerk@'%'",
        ],
        &[
            "GRANT SELECT, INSERT, UPDATE, DELETE ON flows.talkers TO clerk@'%'",
            "GRANT SELECT, INSERT, UPDATE, DELETE ON flows.weir_batch TO clerk@'%'",
        ],
    ];

    fn start(test: &str) -> Option<Self> {
        host::or_skip(test, Self::set_up())
    }

    fn process(&mut self) -> &mut Process {
        &mut self.process
    }

    fn settings(&self) -> Vec<(&'static str, Raw)> {
        self.process.settings()
    }

    fn resume(&mut self) {
        let at = |name: &str| self.process.folder().join(name).display().to_string();
        let mut command = host::command(&program("mariadbd").unwrap(), USER).unwrap();
        command
            .arg("--no-defaults")
            .arg(format!("--datadir={}", at("data")))
            // Servers clear away what others have in a folder of them all.
            .arg(format!("--tmpdir={}", self.process.folder().display()))
            .arg(format!("--socket={}", at("sock")))
            .arg(format!("--pid-file={}", at("pid")))
            .arg(format!("--port={}", self.process.port))
            .args(["--bind-address=127.0.0.1", "--innodb-buffer-pool-size=16M"])
            .args(SMALL)
            .args(&self.more);
        let ready = |process: &Process| client(process, "root", "", "mysql").is_ok();
        self.process.run(command, 90, ready);
    }

    fn does(&self, sql: &str) {
        run(&mut self.ask("flows"), sql);
    }

    fn finds(&self, sql: &str) -> Option<u64> {
        let mut db = client(&self.process, "weir", PASSWORD, "flows").ok()?;
        db.query_first::<Option<u64>, _>(sql).ok()??
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
