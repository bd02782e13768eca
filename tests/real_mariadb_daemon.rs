//! weir with a real MariaDB server that comes and goes, weir that is killed, and pmacct's tables.

mod daemon;
mod host;
mod maria;

use daemon::{Daemon, column, datagrams};
use maria::{PASSWORD, Server, number, run, shown};
use mysql::prelude::Queryable;
use std::net::UdpSocket;
use std::process::Command;
use std::time::{Duration, Instant};

fn send(port: u16, all: &[Vec<u8>]) {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    for datagram in all {
        socket.send_to(datagram, ("127.0.0.1", port)).unwrap();
        std::thread::sleep(Duration::from_millis(1));
    }
}

fn sums(server: &Server) -> (u64, u64) {
    let mut db = server.ask("flows");
    let sql = "SELECT coalesce(sum(packets), 0), coalesce(sum(bytes), 0) FROM flows";
    let row: Result<Option<(u64, u64)>, _> = db.query_first(sql);
    row.ok().flatten().unwrap_or((0, 0))
}

fn until(server: &Server, want: (u64, u64), log: impl Fn() -> String) {
    let end = Instant::now() + Duration::from_secs(60);
    while sums(server) != want {
        let got = sums(server);
        assert!(Instant::now() < end, "{got:?} of {want:?}\n{}", log());
        std::thread::sleep(Duration::from_millis(50));
    }
}

fn config(server: &Server, more: &str) -> String {
    format!(
        "[aggregate.flows]\nby = [\"src_host\", \"dst_host\", \"src_port\", \"dst_port\"]\n\
         every = \"1s\"\nto = \"db\"\n[output.db]\nkind = \"mysql\"\nhost = \"127.0.0.1\"\n\
         port = {}\ndatabase = \"flows\"\npassword = \"{PASSWORD}\"\ntimeout = \"2s\"\n{more}",
        server.port
    )
}

#[test]
fn a_server_that_stops_and_starts_costs_no_row() {
    let Some(mut server) = Server::start("a_server_that_stops_and_starts_costs_no_row") else {
        return;
    };
    let all = datagrams("softflowd-v9.pcap");
    let daemon = Daemon::start(&config(&server, ""));
    // In order, and by a crash.
    for how in ["TERM", "KILL"] {
        send(daemon.port, &all);
        until(&server, daemon.decoded(), || daemon.log());
        send(daemon.port, &all[..all.len() / 2]);
        server.stop(how);
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

#[test]
fn a_daemon_that_is_killed_has_every_flushed_row_once_in_the_end() {
    let Some(mut server) =
        Server::start("a_daemon_that_is_killed_has_every_flushed_row_once_in_the_end")
    else {
        return;
    };
    let all = datagrams("softflowd-v9.pcap");
    let text = config(&server, "spool = \"DIR/spool\"\nspool_when = \"always\"\n");
    let mut daemon = Daemon::start(&text);
    let (dir, port) = (daemon.dir(), daemon.port);
    let mut due = (0, 0);
    for round in 0..6 {
        // With the server away, with it there, and in the midst of writing.
        if round % 3 == 0 {
            server.stop("TERM");
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

/// A table as pmacct's users have it: every column there may be, all of them in its key, none with
/// a default.
const ACCT: &str = "\
    CREATE TABLE acct_v9 (tag INT(4) UNSIGNED NOT NULL, class_id CHAR(16) NOT NULL, mac_src \
    CHAR(17) NOT NULL, mac_dst CHAR(17) NOT NULL, vlan INT(2) UNSIGNED NOT NULL, as_src INT(4) \
    UNSIGNED NOT NULL, as_dst INT(4) UNSIGNED NOT NULL, ip_src CHAR(45) NOT NULL, ip_dst CHAR(45) \
    NOT NULL, port_src INT(2) UNSIGNED NOT NULL, port_dst INT(2) UNSIGNED NOT NULL, tcp_flags \
    INT(4) UNSIGNED NOT NULL, ip_proto CHAR(6) NOT NULL, tos INT(4) UNSIGNED NOT NULL, packets INT \
    UNSIGNED NOT NULL, bytes BIGINT UNSIGNED NOT NULL, flows INT UNSIGNED NOT NULL, stamp_inserted \
    DATETIME NOT NULL, stamp_updated DATETIME, PRIMARY KEY (tag, class_id, mac_src, mac_dst, vlan, \
    as_src, as_dst, ip_src, ip_dst, port_src, port_dst, ip_proto, tos, stamp_inserted))";

#[test]
fn a_configuration_of_pmacct_writes_to_the_tables_that_are_there() {
    let Some(server) =
        Server::start("a_configuration_of_pmacct_writes_to_the_tables_that_are_there")
    else {
        return;
    };
    let mut db = server.ask("flows");
    run(&mut db, ACCT);
    // Before versions 8 and 9, some columns had other names.
    let mut old = ACCT.replace("acct_v9", "acct_v6");
    for (new, name) in [
        ("port_src", "src_port"),
        ("port_dst", "dst_port"),
        ("(tag", "(agent_id"),
    ] {
        old = old.replace(new, name);
    }
    run(&mut db, &old);
    let at = tempfile::tempdir().unwrap();
    let schema = at.path().join("schema.sql");
    std::fs::write(&schema, ACCT.replace("acct_v9", "Acct_%Y")).unwrap();
    let text = format!(
        "plugins: mysql[a], mysql[b], print[c], mysql[d]\n\
         aggregate: src_host, dst_host, proto, tcpflags, flows\n\
         sql_host: unix:{}\nsql_db: flows\nsql_user: weir\nsql_passwd: {PASSWORD}\n\
         sql_table_version: 9\nsql_table[b]: Acct_%Y\nsql_table_schema[b]: {}\nsql_history: 1h\n\
         sql_num_protos[b]: true\nsql_dont_try_update[b]: true\nsql_multi_values: 1000000\n\
         sql_locking_style: row\nprint_output[c]: csv\nprint_output_file[c]: {}\n\
         pcap_savefile: {}\naggregate[d]: src_port, dst_port, tag\nsql_table_version[d]: 6\npost_tag[d]: 7\n",
        server.socket().display(),
        schema.display(),
        at.path().join("rows").display(),
        daemon::data("softflowd-v9.pcap").display()
    );
    let file = at.path().join("c.conf");
    std::fs::write(&file, &text).unwrap();
    let start = || {
        let weir = Command::new("timeout")
            .args(["-k", "1", "60", env!("CARGO_BIN_EXE_weir")])
            .args(["pmacct", "nfacctd", "-f"])
            .arg(&file)
            .output();
        weir.unwrap()
    };
    let output = start();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    let want = daemon::sums(&at.path().join("rows"));
    assert!(want.0 > 0);
    let year = shown(&mut db, "SELECT DISTINCT year(stamp_inserted) FROM acct_v9");
    for (table, proto) in [
        ("acct_v9".to_string(), "udp"),
        (format!("Acct_{year}"), "17"),
    ] {
        let sum = |column| format!("SELECT sum({column}) FROM {table}");
        let got = (
            number(&mut db, &sum("packets")),
            number(&mut db, &sum("bytes")),
        );
        assert_eq!(got, want, "{table}");
        let found = format!("SELECT count(*) > 0 FROM {table} WHERE ip_proto = '{proto}'");
        assert_eq!(number(&mut db, &found), 1, "{table}");
    }
    let sum = "SELECT sum(packets) FROM acct_v6 WHERE agent_id = 7";
    assert_eq!(number(&mut db, sum), want.0);
    let ports = "SELECT count(DISTINCT src_port) > 1 FROM acct_v6";
    assert_eq!(number(&mut db, ports), 1);
    // Another run is other rows, and they are added up.
    let count = number(&mut db, "SELECT count(*) FROM acct_v9");
    std::fs::write(
        &file,
        text.replace("mysql[a], mysql[b], print[c], mysql[d]", "mysql[a]"),
    )
    .unwrap();
    let output = start();
    assert!(output.status.success(), "{output:?}");
    assert_eq!(number(&mut db, "SELECT count(*) FROM acct_v9"), count);
    let sum = number(&mut db, "SELECT sum(packets) FROM acct_v9");
    assert_eq!(sum, 2 * want.0);
    // Who wants a connection that is encrypted gets none that is not.
    std::fs::write(&file, format!("{text}sql_conn_ca_file: /etc/ssl/ca.pem\n")).unwrap();
    let output = start();
    assert!(!output.status.success());
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(said.contains("are not encrypted yet"), "{said}");
}
