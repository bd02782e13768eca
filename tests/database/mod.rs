//! What outputs to servers of databases have to do, whichever it is: failures that heal, by hand
//! and with weir running.

#![allow(dead_code)] // Every test file uses a part of it.

use crate::batch::{self, retried, rows, text, usual};
use crate::daemon::{self, Daemon, column, datagrams};
use crate::host::{self, PASSWORD, Process};
use std::net::UdpSocket;
use std::path::Path;
use std::process::{Command, Output};
use std::time::{Duration, Instant};
use weir::base::options::Raw;
use weir::sink::Sink;

/// A server with the database `flows`, in which `weir` may do everything.
pub trait Database: Sized {
    /// The kind of output.
    const KIND: &'static str;
    /// Signals that end it in order, and as a crash does.
    const STOPS: [&'static str; 2];
    /// What is said to make the database `later` with.
    const LATER: &'static str;
    /// Statements that make the user `clerk` with the password `x`, and give him rights on rows.
    const CLERK: [&'static [&'static str]; 2];

    /// A fresh one; or what `test` says that it is skipped for.
    fn start(test: &str) -> Option<Self>;

    /// What runs.
    fn process(&mut self) -> &mut Process;

    /// Settings of an output there.
    fn settings(&self) -> Vec<(&'static str, Raw)>;

    /// Starts it, again.
    fn resume(&mut self);

    /// A statement.
    fn does(&self, sql: &str);

    /// The one number that a query finds; nothing while it can not be asked.
    fn finds(&self, sql: &str) -> Option<u64>;
}

/// An output there, with other settings of its own.
pub fn open<D: Database>(name: &str, server: &D, more: &[(&'static str, Raw)]) -> Box<dyn Sink> {
    let mut settings = server.settings();
    settings.retain(|(key, _)| more.iter().all(|(other, _)| other != key));
    settings.extend_from_slice(more);
    batch::open(D::KIND, name, &settings)
}

/// Rows that can not be stored for the reason `want`, and their output.
pub fn says<D: Database>(server: &D, more: &[(&'static str, Raw)], want: &str) -> Box<dyn Sink> {
    let mut sink = open("db", server, more);
    let why = retried(sink.write(&rows(&usual(), 0, 300, &[(1, 2)])));
    assert!(why.contains(want), "{want}: {why}");
    sink
}

/// Several hosts.
pub fn hosts<const N: usize>(hosts: [&str; N]) -> Raw {
    let hosts = hosts.map(|host| (text(host), Default::default()));
    Raw::List(hosts.into())
}

/// What is missing is named, and used when it is there: afterwards `talkers` has 2000 bytes.
pub fn what_is_missing_is_named<D: Database>(server: &mut D) {
    let batch = rows(&usual(), 0, 300, &[(1, 2)]);
    let nowhere = "127.0.0.1:1";
    for (key, value, want) in [
        ("password", "wrong", "weir is not let in"),
        ("user", "who", "who is not let in"),
        (
            "host",
            nowhere,
            "is it running, and are `host` and `port` right?",
        ),
        ("host", "none.invalid", "is it running"),
        ("host", "/nowhere/sock", "is it running"),
    ] {
        says(server, &[(key, text(value))], want);
    }
    let mut sink = says(server, &[("database", text("later"))], D::LATER);
    server.does("CREATE DATABASE later");
    sink.write(&batch).unwrap();
    // The second host, when the first is away.
    let here = format!("127.0.0.1:{}", server.process().port);
    let mut second = open("second", server, &[("host", hosts([nowhere, &here]))]);
    second.write(&batch).unwrap();
    // A user with rights on what is there, and no right to make anything.
    D::CLERK[0].iter().for_each(|sql| server.does(sql));
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), "x\n").unwrap();
    let mut settings = server.settings();
    settings.retain(|(key, _)| *key != "password");
    settings.push(("user", text("clerk")));
    settings.push(("password_file", text(file.path().to_str().unwrap())));
    let mut sink = batch::open(D::KIND, "clerk", &settings);
    let why = retried(sink.write(&batch));
    assert!(why.contains("clerk needs CREATE"), "{why}");
    D::CLERK[1].iter().for_each(|sql| server.does(sql));
    sink.write(&batch).unwrap();
    assert_eq!(server.finds("SELECT sum(bytes) FROM talkers"), Some(2000));
}

/// A batch whose connection is lost behind `commit` counts once. The output through which it went,
/// and which is called `db`.
pub fn a_lost_commit_counts_once<D: Database>(
    server: &mut D,
    commit: &'static [u8],
) -> Box<dyn Sink> {
    let port = host::cut_at(server.process().port, commit);
    let mut sink = open("db", server, &[("port", Raw::Number(port.into()))]);
    let batch = rows(&usual(), 0, 300, &[(1, 2)]);
    let why = retried(sink.write(&batch));
    assert!(why.contains("the connection is lost"), "{why}");
    let sum = "SELECT sum(bytes) FROM talkers";
    daemon::wait_for(|| server.finds(sum) == Some(1000));
    assert_eq!(server.finds(sum), Some(1000));
    sink.write(&batch).unwrap();
    assert_eq!(server.finds(sum), Some(1000));
    sink
}

fn send(port: u16, all: &[Vec<u8>]) {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    for datagram in all {
        socket.send_to(datagram, ("127.0.0.1", port)).unwrap();
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// Packets and bytes that are there.
fn sums<D: Database>(server: &D) -> (u64, u64) {
    let sum = |column| server.finds(&format!("SELECT sum({column}) FROM flows"));
    (
        sum("packets").unwrap_or_default(),
        sum("bytes").unwrap_or_default(),
    )
}

fn until<D: Database>(server: &D, want: (u64, u64), log: impl Fn() -> String) {
    let end = Instant::now() + Duration::from_secs(60);
    while sums(server) != want {
        let got = sums(server);
        assert!(Instant::now() < end, "{got:?} of {want:?}\n{}", log());
        std::thread::sleep(Duration::from_millis(50));
    }
}

fn config<D: Database>(server: &mut D, more: &str) -> String {
    format!(
        "[aggregate.flows]\nby = [\"src_host\", \"dst_host\", \"src_port\", \"dst_port\"]\n\
         every = \"1s\"\nto = \"db\"\n[output.db]\nkind = \"{}\"\nhost = \"127.0.0.1\"\n\
         port = {}\ndatabase = \"flows\"\npassword = \"{PASSWORD}\"\ntimeout = \"2s\"\n{more}",
        D::KIND,
        server.process().port
    )
}

/// A server that stops and starts, in order and by a crash, costs no row.
pub fn a_server_comes_and_goes<D: Database>(mut server: D) {
    let all = datagrams("softflowd-v9.pcap");
    let daemon = Daemon::start(&config(&mut server, ""));
    for how in D::STOPS {
        send(daemon.port, &all);
        until(&server, daemon.decoded(), || daemon.log());
        send(daemon.port, &all[..all.len() / 2]);
        server.process().stop(how);
        send(daemon.port, &all[all.len() / 2..]);
        daemon::wait_for(|| daemon.log().contains("rows wait in the queue"));
        assert!(daemon.log().contains("rows wait in the queue"));
        server.resume();
        until(&server, daemon.decoded(), || daemon.log());
    }
    let want = daemon.decoded();
    assert!(want.0 > 0);
    let log = daemon.stop();
    assert_eq!(sums(&server), want, "{log}");
    assert!(
        log.contains(" 0 dropped") && log.contains("works again"),
        "{log}"
    );
}

/// weir that is killed has every flushed row there once in the end.
pub fn weir_is_killed<D: Database>(mut server: D) {
    let all = datagrams("softflowd-v9.pcap");
    let spool = "spool = \"DIR/spool\"\nspool_when = \"always\"\n";
    let text = config(&mut server, spool);
    let mut daemon = Daemon::start(&text);
    let (dir, port) = (daemon.dir(), daemon.port);
    let mut due = (0, 0);
    for round in 0..6 {
        // With the server away, with it there, and in the midst of writing.
        if round % 3 == 0 {
            server.process().stop(D::STOPS[0]);
        }
        send(port, &all);
        let decoded = daemon.decoded();
        daemon::wait_for(|| column(&daemon.status(), "offered") == decoded);
        assert_eq!(column(&daemon.status(), "offered"), decoded);
        due = (due.0 + decoded.0, due.1 + decoded.1);
        daemon.kill();
        if round % 3 == 0 {
            server.resume();
        }
        daemon = Daemon::start_in(dir.clone(), port, &text);
        until(&server, due, || daemon.log());
    }
    let log = daemon.stop();
    assert_eq!(sums(&server), due, "{log}");
    assert!(due.0 > 0);
}

/// What weir does as pmacct's `nfacctd` with this configuration.
pub fn pmacct(file: &Path) -> Output {
    let weir = Command::new("timeout")
        .args(["-k", "1", "60", env!("CARGO_BIN_EXE_weir")])
        .args(["pmacct", "nfacctd", "-f"])
        .arg(file)
        .output();
    weir.unwrap()
}

/// Who wants a connection that is encrypted gets none that is not.
pub fn encryption_is_not_left_out(file: &Path, text: &str) {
    std::fs::write(file, format!("{text}sql_conn_ca_file: /etc/ssl/ca.pem\n")).unwrap();
    let output = pmacct(file);
    assert!(!output.status.success());
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(said.contains("are not encrypted yet"), "{said}");
}
