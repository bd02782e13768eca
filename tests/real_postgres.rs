//! The PostgreSQL output against a real server: sums, identities, types, failures that heal.

mod batch;
mod daemon;
mod host;
mod server;

use batch::{of, refused, retried, rows, schema, text, usual};
use daemon::{Daemon, column, datagrams};
use postgres::Client;
use server::{PASSWORD, Server};
use std::net::UdpSocket;
use std::process::Command;
use std::time::{Duration, Instant};
use weir::base::addr::{Ip, Mac};
use weir::base::options::Raw;
use weir::base::time::Nanos;
use weir::record::{Field, FlowRecord};
use weir::sink::Sink;

fn open(name: &str, server: &Server, more: &[(&'static str, Raw)]) -> Box<dyn Sink> {
    let mut settings = server.settings();
    settings.retain(|(key, _)| more.iter().all(|(other, _)| other != key));
    settings.extend_from_slice(more);
    batch::open("postgres", name, &settings)
}

fn number(db: &mut Client, sql: &str) -> i64 {
    let row = db.query_one(&format!("SELECT ({sql})::bigint"), &[]);
    row.unwrap_or_else(|e| panic!("{sql}: {e:?}")).get(0)
}

fn shown(db: &mut Client, sql: &str) -> String {
    let rows = db.simple_query(sql).unwrap();
    let mut all = Vec::new();
    for row in rows {
        if let postgres::SimpleQueryMessage::Row(row) = row {
            let cells = (0..row.len()).map(|n| row.get(n).unwrap_or("NULL"));
            all.push(cells.collect::<Vec<_>>().join(" "));
        }
    }
    all.join("\n")
}

#[test]
fn rows_of_one_key_are_added_up_and_a_batch_counts_once() {
    let Some(server) = Server::start("rows_of_one_key_are_added_up_and_a_batch_counts_once") else {
        return;
    };
    let schema = usual();
    let mut db = server.ask("flows");
    let mut sink = open("db", &server, &[]);
    let first = rows(&schema, 0, 300, &[(1, 2), (2, 16)]);
    sink.write(&first).unwrap();
    sink.write(&first).unwrap();
    sink.write(&rows(&schema, 2, 360, &[(1, 2)])).unwrap();
    sink.write(&rows(&schema, 1, 300, &[(1, 1)])).unwrap();
    sink.write(&first).unwrap();
    // Over a restart of weir as well, and over a socket.
    let folder = server.folder().to_str().unwrap();
    let mut again = open("db", &server, &[("host", text(folder))]);
    again.write(&rows(&schema, 1, 300, &[(1, 1)])).unwrap();
    // A connection that the server has ended costs nothing.
    let mine = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'weir'";
    let kill = mine.replace("count(*)", "count(pg_terminate_backend(pid))");
    assert_eq!(number(&mut db, &kill), 2);
    daemon::wait_for(|| number(&mut db, mine) == 0);
    again.write(&first).unwrap();
    assert_eq!(
        shown(
            &mut db,
            "SELECT ip_src, peer_ip_src, tcp_flags, stamp_inserted, stamp_updated, flows, packets, \
             bytes FROM talkers ORDER BY 1, 4"
        ),
        "192.0.2.1 10.0.0.1 3 1970-01-01 00:05:00 1970-01-01 00:06:00 2 20 2000\n\
         192.0.2.1 10.0.0.1 2 1970-01-01 00:06:00 1970-01-01 00:07:00 1 10 1000\n\
         192.0.2.2 10.0.0.2 16 1970-01-01 00:05:00 1970-01-01 00:06:00 1 10 1000"
    );
    assert_eq!(
        shown(
            &mut db,
            "SELECT output, aggregate, first, last FROM weir_batch"
        ),
        "db 0 0 2"
    );
    // One that has nothing to do for long is closed, and comes back.
    assert_eq!(number(&mut db, mine), 1);
    assert_eq!(again.idle().unwrap(), Some(Duration::from_secs(12)));
    assert_eq!(again.idle().unwrap(), None);
    daemon::wait_for(|| number(&mut db, mine) == 0);
    assert_eq!(number(&mut db, mine), 0);
    again.write(&first).unwrap();
    // Another output has its own account; and rows that are inserted stay as they are.
    let insert = [("mode", text("insert")), ("table", text("public.copy"))];
    let mut other = open("other", &server, &insert);
    other.write(&first).unwrap();
    other.write(&first).unwrap();
    other.write(&rows(&schema, 1, 300, &[(1, 2)])).unwrap();
    assert_eq!(number(&mut db, "SELECT count(*) FROM copy"), 3);
    assert_eq!(number(&mut db, "SELECT sum(bytes) FROM copy"), 3000);
}

#[test]
fn rows_of_other_columns_come_in_turn() {
    let Some(server) = Server::start("rows_of_other_columns_come_in_turn") else {
        return;
    };
    let (wide, narrow) = (usual(), schema(&[Field::SrcHost]));
    for mode in ["add", "insert"] {
        let settings = [("mode", text(mode)), ("table", text(&format!("as_{mode}")))];
        let mut first = open(mode, &server, &settings);
        first.write(&rows(&wide, 0, 300, &[(1, 2)])).unwrap();
        // As after a reload, with rows of before in a spool.
        let mut sink = open(mode, &server, &settings);
        for (sequence, schema) in [&narrow, &wide, &narrow, &wide].into_iter().enumerate() {
            let batch = rows(schema, 1 + sequence as u64, 300, &[(1, 2), (2, 2)]);
            sink.write(&batch).unwrap();
        }
        let sums = format!(
            "SELECT peer_ip_src, sum(bytes) FROM as_{mode} WHERE ip_src = '192.0.2.1' GROUP BY 1 \
             ORDER BY 1"
        );
        let want = "0.0.0.0 2000\n10.0.0.1 3000";
        assert_eq!(shown(&mut server.ask("flows"), &sums), want);
    }
}

#[test]
fn values_of_every_kind_have_types_of_their_own() {
    let Some(server) = Server::start("values_of_every_kind_have_types_of_their_own") else {
        return;
    };
    let fields = [
        Field::SrcHost,
        Field::DstHost,
        Field::SrcMac,
        Field::Proto,
        Field::SrcPort,
        Field::SrcAs,
        Field::Tag,
        Field::Label,
        Field::TimestampExport,
        Field::TimestampMin,
    ];
    let schema = schema(&fields);
    let record = |label: &[u8], low: u64, bytes: u64| {
        let mut r = FlowRecord::new();
        let ip = "2001:db8::1".parse::<std::net::IpAddr>().unwrap();
        r.set_src_host(ip.into());
        r.set_src_mac(Mac([0, 0x1b, 0x21, 0xa, 0xb, 0xc]));
        r.set_proto(17);
        r.set_src_port(65_535);
        r.set_src_as(4_200_000_001);
        r.set_tag(u64::MAX);
        r.set_label(schema.symbols.intern(label));
        r.set_timestamp_min(if low > 0 {
            Nanos::new(low, 7_000)
        } else {
            Nanos(0)
        });
        (r.packets, r.bytes, r.flows) = (1, bytes, 1);
        r
    };
    let odd = b"tab\t back\\slash \\N line\n nul\0 \xff";
    let twin = b"tab\t back\\slash \\N line\n nul\0 \xfe";
    let mut sink = open("db", &server, &[]);
    let mut write = |sequence, records: Vec<FlowRecord>| {
        let batch = of(&schema, sequence, 300, records.into_iter());
        sink.write(&batch).unwrap();
    };
    // Two texts that look the same are one row, in one batch too.
    write(
        0,
        vec![
            record(odd, 0, 5),
            record(twin, 500, 6),
            record(b"x", 400, 1),
        ],
    );
    write(1, vec![record(odd, 400, 7), record(b"x", 0, u64::MAX)]);
    write(2, vec![record(b"x", 450, u64::MAX)]);
    let mut v4 = FlowRecord::new();
    v4.set_src_host(Ip::v4([192, 0, 2, 1]));
    v4.set_timestamp_export(Nanos::new(400, 5_000));
    write(3, vec![v4]);
    let mut db = server.ask("flows");
    let types = "SELECT string_agg(column_name || ' ' || data_type, ', ' ORDER BY ordinal_position) \
                 FROM information_schema.columns WHERE table_name = 'talkers'";
    assert_eq!(
        shown(&mut db, types),
        "tag bigint, label text, mac_src macaddr, as_src bigint, ip_src inet, ip_dst inet, \
         port_src integer, ip_proto smallint, timestamp_min timestamp without time zone, \
         timestamp_min_residual integer, timestamp_export timestamp without time zone, \
         timestamp_export_residual integer, stamp_inserted timestamp without time zone, \
         stamp_updated timestamp without time zone, flows bigint, packets bigint, bytes bigint"
    );
    let got = shown(
        &mut db,
        "SELECT tag, mac_src, as_src, ip_src, ip_dst, port_src, ip_proto, timestamp_export, \
         timestamp_min, timestamp_min_residual, packets, bytes FROM talkers ORDER BY packets, bytes",
    );
    let key = "-1 00:1b:21:0a:0b:0c 4200000001 2001:db8::1 :: 65535 17 0001-01-01 00:00:00";
    let low = "1970-01-01 00:06:40 7";
    let absent = "0 00:00:00:00:00:00 0 192.0.2.1 0.0.0.0 0 0 1970-01-01 00:06:40 \
                  0001-01-01 00:00:00 0 0 0";
    assert_eq!(
        got,
        format!("{absent}\n{key} {low} 3 18\n{key} {low} 3 {}", i64::MAX)
    );
    let label = "SELECT label FROM talkers WHERE bytes = 18";
    assert_eq!(
        shown(&mut db, label),
        "tab\t back\\slash \\N line\n nul\u{fffd} \u{fffd}"
    );
}

#[test]
fn tables_are_made_by_ones_own_schema_and_named_by_time_and_value() {
    let Some(server) =
        Server::start("tables_are_made_by_ones_own_schema_and_named_by_time_and_value")
    else {
        return;
    };
    let mut db = server.ask("flows");
    let file = tempfile::NamedTempFile::new().unwrap();
    let schema = usual();
    let hosts: Vec<_> = (0..9).map(|host| (host, 2)).collect();
    let settings = [
        ("schema", text(file.path().to_str().unwrap())),
        ("table", text("acct_$peer_src_ip\"; DROP TABLE x;-- %Y%m%d")),
        ("tables", Raw::Number(2)),
    ];
    let mut sink = open("db", &server, &settings);
    let batch = rows(&schema, 0, 300, &hosts);
    std::fs::write(file.path(), "CREATE TABLE other (a INT)").unwrap();
    assert!(retried(sink.write(&batch)).contains("write `$table` where its name belongs"));
    std::fs::write(
        file.path(),
        "CREATE TABLE $table (ip_src inet, peer_ip_src inet, tcp_flags smallint, packets INT NOT \
         NULL, bytes BIGINT NOT NULL, flows INT, more TEXT DEFAULT 'x', stamp_inserted timestamp, \
         stamp_updated timestamp, PRIMARY KEY (ip_src, peer_ip_src, stamp_inserted))",
    )
    .unwrap();
    sink.write(&batch).unwrap();
    sink.write(&rows(&schema, 1, 90_000, &hosts[..1])).unwrap();
    let tables = "SELECT table_name FROM information_schema.tables WHERE table_name LIKE 'acct%' \
                  ORDER BY 1";
    let got = shown(&mut db, tables);
    let want = [
        "10.0.0.0%19700101",
        "10.0.0.0%19700102",
        "10.0.0.1%19700101",
        "other%19700101",
    ];
    let want = want.map(|w| format!("acct_{}", w.replace('%', "\"; DROP TABLE x;-- ")));
    assert_eq!(got, want.join("\n"));
    let sum = |name: &str| format!("SELECT sum(packets) FROM \"{}\"", name.replace('"', "\"\""));
    let sums = want.iter().map(|name| number(&mut db, &sum(name)));
    assert_eq!(sums.sum::<i64>(), 100);
}

#[test]
fn a_table_that_a_sender_names_like_the_servers_costs_no_other_row() {
    let Some(server) =
        Server::start("a_table_that_a_sender_names_like_the_servers_costs_no_other_row")
    else {
        return;
    };
    let schema = schema(&[Field::SrcHost, Field::Label]);
    let long = "x".repeat(90);
    let labels = [
        "good",
        "weir_batch",
        "pg_class",
        "good_pkey",
        "weir_batch_pkey",
        "",
        "a.b",
        &long,
    ];
    let records = labels.iter().map(|label| {
        let mut r = FlowRecord::new();
        r.set_src_host(Ip::v4([192, 0, 2, 1]));
        r.set_label(schema.symbols.intern(label.as_bytes()));
        r.packets = 10;
        r
    });
    let batch = of(&schema, 0, 600, records);
    let mut sink = open("db", &server, &[("table", text("$label"))]);
    sink.write(&batch).unwrap();
    let mut db = server.ask("flows");
    for table in [
        "good",
        "_weir_batch",
        "_pg_class",
        "good_pkey_",
        "weir_batch_pkey_",
        "null",
        "a.b",
        &long[..63],
    ] {
        let sum = format!("SELECT sum(packets) FROM public.\"{table}\"");
        assert_eq!(number(&mut db, &sum), 10, "{table}");
    }
}

#[test]
fn a_table_of_another_shape_is_left_alone_and_what_it_forbids_is_refused() {
    let Some(server) =
        Server::start("a_table_of_another_shape_is_left_alone_and_what_it_forbids_is_refused")
    else {
        return;
    };
    let mut db = server.ask("flows");
    let schema = usual();
    let batch = rows(&schema, 0, 300, &[(1, 2)]);
    let mut sink = open("db", &server, &[]);
    let columns = "ip_src inet, peer_ip_src inet, tcp_flags smallint, packets INT, bytes BIGINT, \
                   flows INT, stamp_inserted timestamp, stamp_updated timestamp";
    for shape in [
        "a INT, b INT".to_string(),
        columns.into(),
        columns.replace("ip_src inet", "ip_src INT"),
    ] {
        db.batch_execute(&format!("CREATE TABLE talkers ({shape})"))
            .unwrap();
        let why = retried(sink.write(&batch));
        assert!(
            why.contains("`talkers` is there with other columns or another key"),
            "{why}"
        );
        assert!(
            why.contains("rename it, or give the output another `table`"),
            "{why}"
        );
        assert_eq!(number(&mut db, "SELECT count(*) FROM talkers"), 0);
        db.batch_execute("DROP TABLE talkers").unwrap();
    }
    sink.write(&batch).unwrap();
    // A table that goes while weir runs comes back.
    db.batch_execute("DROP TABLE talkers").unwrap();
    let next = rows(&schema, 1, 300, &[(1, 2)]);
    let why = retried(sink.write(&next));
    assert!(why.contains("a table is gone"), "{why}");
    sink.write(&next).unwrap();
    assert_eq!(number(&mut db, "SELECT sum(bytes) FROM talkers"), 1000);
    // Rows that it can not hold are refused as a whole, and said to be.
    db.batch_execute(
        "ALTER TABLE talkers ALTER COLUMN packets TYPE smallint; \
         ALTER TABLE talkers ADD CHECK (ip_src <> '192.0.2.9')",
    )
    .unwrap();
    let mut sink = open("db", &server, &[]);
    let why = refused(sink.write(&rows(&schema, 2, 300, &[(1, 2), (9, 2)])));
    assert!(why.contains("violates check constraint"), "{why}");
    let mut large = FlowRecord::new();
    large.packets = 1 << 20;
    let why = refused(sink.write(&of(&schema, 3, 300, [large].into_iter())));
    assert!(why.contains("a number is too large for `talkers`"), "{why}");
    let mut insert = open("in", &server, &[("mode", text("insert"))]);
    let why = refused(insert.write(&batch));
    assert!(
        why.contains("mode = \"add\" adds rows of one key up"),
        "{why}"
    );
    sink.write(&rows(&schema, 4, 300, &[(1, 2)])).unwrap();
    assert_eq!(number(&mut db, "SELECT sum(bytes) FROM talkers"), 2000);
}

#[test]
fn what_is_missing_is_named_and_waited_for() {
    let Some(server) = Server::start("what_is_missing_is_named_and_waited_for") else {
        return;
    };
    let mut db = server.ask("flows");
    let schema = usual();
    let batch = rows(&schema, 0, 300, &[(1, 2)]);
    let says = |more: &[(&'static str, Raw)], want: &str| {
        let mut sink = open("db", &server, more);
        let why = retried(sink.write(&batch));
        assert!(why.contains(want), "{want}: {why}");
        sink
    };
    says(&[("password", text("wrong"))], "weir is not let in");
    says(&[("user", text("who"))], "who is not let in");
    let nowhere = "127.0.0.1:1";
    says(
        &[("host", text(nowhere))],
        "is it running, and are `host` and `port` right?",
    );
    says(&[("host", text("none.invalid"))], "is it running");
    let mut sink = says(
        &[("database", text("later"))],
        "make it: CREATE DATABASE \"later\" OWNER \"weir\"",
    );
    db.batch_execute("CREATE DATABASE later").unwrap();
    sink.write(&batch).unwrap();
    // The second host, when the first is away.
    let both = Raw::List(vec![
        (text(nowhere), Default::default()),
        (
            text(&format!("127.0.0.1:{}", server.port)),
            Default::default(),
        ),
    ]);
    open("second", &server, &[("host", both)])
        .write(&batch)
        .unwrap();
    // A user with rights on what is there, and no right to make anything.
    db.batch_execute("CREATE ROLE clerk LOGIN PASSWORD 'x'")
        .unwrap();
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), "x\n").unwrap();
    let clerk = [
        ("user", text("clerk")),
        ("password_file", text(file.path().to_str().unwrap())),
    ];
    let settings: Vec<_> = (server.settings().into_iter())
        .filter(|(key, _)| *key != "password")
        .chain(clerk)
        .collect();
    let mut sink = batch::open("postgres", "clerk", &settings);
    let why = retried(sink.write(&batch));
    assert!(why.contains("clerk needs CREATE"), "{why}");
    db.batch_execute("GRANT SELECT, INSERT, UPDATE, DELETE ON talkers, weir_batch TO clerk")
        .unwrap();
    sink.write(&batch).unwrap();
    assert_eq!(number(&mut db, "SELECT sum(bytes) FROM talkers"), 2000);
}

#[test]
fn a_commit_whose_answer_is_lost_counts_once() {
    let Some(server) = Server::start("a_commit_whose_answer_is_lost_counts_once") else {
        return;
    };
    let schema = usual();
    let mut db = server.ask("flows");
    let port = host::cut_at(server.port, b"COMMIT\0");
    let mut sink = open("db", &server, &[("port", Raw::Number(port.into()))]);
    let batch = rows(&schema, 0, 300, &[(1, 2)]);
    let why = retried(sink.write(&batch));
    assert!(why.contains("the connection is lost"), "{why}");
    let sum = "SELECT coalesce(sum(bytes), 0) FROM talkers";
    daemon::wait_for(|| number(&mut db, sum) == 1000);
    assert_eq!(number(&mut db, sum), 1000);
    sink.write(&batch).unwrap();
    assert_eq!(number(&mut db, "SELECT sum(bytes) FROM talkers"), 1000);
    // While an earlier transaction may still be stored, nobody looks at the account.
    let mut other = server.ask("flows");
    other
        .batch_execute("BEGIN; SELECT pg_advisory_xact_lock(1464158546, hashtext('db'))")
        .unwrap();
    let next = rows(&schema, 1, 300, &[(1, 2)]);
    let why = retried(sink.write(&next));
    assert!(why.contains("others hold what is to be written"), "{why}");
    other.batch_execute("COMMIT").unwrap();
    sink.write(&next).unwrap();
    assert_eq!(number(&mut db, "SELECT sum(bytes) FROM talkers"), 2000);
}

fn send(port: u16, all: &[Vec<u8>]) {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    for datagram in all {
        socket.send_to(datagram, ("127.0.0.1", port)).unwrap();
        std::thread::sleep(Duration::from_millis(1));
    }
}

fn sums(server: &Server) -> (u64, u64) {
    let mut db = server.ask("flows");
    let sql = "SELECT sum(packets)::bigint, sum(bytes)::bigint FROM flows";
    db.query_one(sql, &[]).map_or((0, 0), |row| {
        let number = |n| row.get::<_, Option<i64>>(n).unwrap_or(0) as u64;
        (number(0), number(1))
    })
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
         every = \"1s\"\nto = \"db\"\n[output.db]\nkind = \"postgres\"\nhost = \"127.0.0.1\"\n\
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
    // In order, and as good as a crash.
    for how in ["INT", "QUIT"] {
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
            server.stop("INT");
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

/// A table as pmacct's users have it: every column there may be, and all of them in its key.
const ACCT: &str = "\
    CREATE TABLE acct_v9 (tag BIGINT NOT NULL DEFAULT 0, class_id CHAR(16) NOT NULL DEFAULT \
    ' ', mac_src macaddr NOT NULL DEFAULT '0:0:0:0:0:0', vlan INT NOT NULL DEFAULT 0, ip_src \
    inet NOT NULL DEFAULT '0.0.0.0', ip_dst inet NOT NULL DEFAULT '0.0.0.0', port_src INT \
    NOT NULL DEFAULT 0, port_dst INT NOT NULL DEFAULT 0, tcp_flags SMALLINT NOT NULL DEFAULT \
    0, ip_proto SMALLINT NOT NULL DEFAULT 0, tos INT NOT NULL DEFAULT 0, packets INT NOT \
    NULL, bytes BIGINT NOT NULL, flows INT NOT NULL DEFAULT 0, stamp_inserted timestamp \
    without time zone NOT NULL DEFAULT '0001-01-01 00:00:00', stamp_updated timestamp \
    without time zone, PRIMARY KEY (tag, class_id, mac_src, vlan, ip_src, ip_dst, port_src, \
    port_dst, ip_proto, tos, stamp_inserted))";

#[test]
fn a_configuration_of_pmacct_writes_to_the_tables_that_are_there() {
    let Some(server) =
        Server::start("a_configuration_of_pmacct_writes_to_the_tables_that_are_there")
    else {
        return;
    };
    let mut db = server.ask("flows");
    db.batch_execute(ACCT).unwrap();
    let at = tempfile::tempdir().unwrap();
    let schema = at.path().join("schema.sql");
    std::fs::write(&schema, ACCT.replace("acct_v9", "ACCT_%Y")).unwrap();
    let text = format!(
        "plugins: pgsql[a], pgsql[b], print[c]\naggregate: src_host, dst_host, proto, tcpflags, flows\n\
         sql_host: 127.0.0.1\nsql_port: {}\nsql_db: flows\nsql_user: weir\nsql_passwd: {PASSWORD}\n\
         sql_table_version: 9\nsql_table[b]: ACCT_%Y\nsql_table_schema[b]: {}\nsql_history: 1h\n\
         sql_use_copy[b]: true\nsql_dont_try_update[b]: true\nprint_output[c]: csv\n\
         print_output_file[c]: {}\npcap_savefile: {}\n",
        server.port,
        schema.display(),
        at.path().join("rows").display(),
        daemon::data("softflowd-v9.pcap").display()
    );
    let file = at.path().join("c.conf");
    std::fs::write(&file, &text).unwrap();
    let run = || {
        let weir = Command::new("timeout")
            .args(["-k", "1", "60", env!("CARGO_BIN_EXE_weir")])
            .args(["pmacct", "nfacctd", "-f"])
            .arg(&file)
            .output();
        weir.unwrap()
    };
    let output = run();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    let want = daemon::sums(&at.path().join("rows"));
    assert!(want.0 > 0);
    let year = shown(
        &mut db,
        "SELECT DISTINCT to_char(stamp_inserted, 'YYYY') FROM acct_v9",
    );
    for table in ["acct_v9".to_string(), format!("acct_{year}")] {
        let sum = |column| format!("SELECT sum({column}) FROM {table}");
        let got = (
            number(&mut db, &sum("packets")) as u64,
            number(&mut db, &sum("bytes")) as u64,
        );
        assert_eq!(got, want, "{table}");
    }
    // Another run is other rows, and they are added up.
    let count = number(&mut db, "SELECT count(*) FROM acct_v9");
    std::fs::write(
        &file,
        text.replace("pgsql[a], pgsql[b], print[c]", "pgsql[a]"),
    )
    .unwrap();
    let output = run();
    assert!(output.status.success(), "{output:?}");
    assert_eq!(number(&mut db, "SELECT count(*) FROM acct_v9"), count);
    let sum = number(&mut db, "SELECT sum(packets) FROM acct_v9");
    assert_eq!(sum as u64, 2 * want.0);
    // Who wants a connection that is encrypted gets none that is not.
    std::fs::write(&file, format!("{text}sql_conn_ca_file: /etc/ssl/ca.pem\n")).unwrap();
    let output = run();
    assert!(!output.status.success());
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(said.contains("are not encrypted yet"), "{said}");
}
