//! The MySQL output against a real MariaDB server: sums, identities, types, failures that heal.

mod batch;
mod daemon;
mod database;
mod host;
mod maria;

use batch::{of, refused, retried, rows, schema, text, usual};
use database::{Database, hosts, open, says};
use maria::{Server, number, run, shown};
use std::time::Duration;
use weir::base::addr::{Ip, Mac};
use weir::base::options::Raw;
use weir::base::time::Nanos;
use weir::record::{Field, FlowRecord};

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
    let socket = server.socket();
    let socket = text(socket.to_str().unwrap());
    let mut again = open("db", &server, &[("host", socket)]);
    again.write(&rows(&schema, 1, 300, &[(1, 1)])).unwrap();
    // A connection that the server has ended costs nothing.
    let kill = "SELECT concat('KILL ', id) FROM information_schema.processlist WHERE id <> \
                connection_id()";
    for sql in shown(&mut db, kill).lines() {
        run(&mut db, sql);
    }
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
    let mine = "SELECT count(*) FROM information_schema.processlist WHERE command = 'Sleep'";
    assert_eq!(again.idle().unwrap(), Some(Duration::from_secs(12)));
    let before = number(&mut db, mine);
    assert_eq!(again.idle().unwrap(), None);
    daemon::wait_for(|| number(&mut db, mine) < before);
    assert!(number(&mut db, mine) < before);
    again.write(&first).unwrap();
    // Another output has its own account; and rows that are inserted stay as they are.
    let insert = [("mode", text("insert")), ("table", text("flows.copy"))];
    let mut other = open("other", &server, &insert);
    other.write(&first).unwrap();
    other.write(&first).unwrap();
    other.write(&rows(&schema, 1, 300, &[(1, 2)])).unwrap();
    assert_eq!(number(&mut db, "SELECT count(*) FROM copy"), 3);
    assert_eq!(number(&mut db, "SELECT sum(bytes) FROM copy"), 3000);
    // A batch of several statements is one batch all the same.
    let hosts: Vec<_> = (0..=255).map(|host| (host, 2)).collect();
    let many: Vec<_> = (0..40).flat_map(|_| hosts.clone()).collect();
    sink.write(&rows(&schema, 3, 600, &many)).unwrap();
    let sum = "SELECT concat(count(*), ' ', sum(packets)) FROM talkers WHERE stamp_inserted = \
               '1970-01-01 00:10:00'";
    assert_eq!(shown(&mut db, sum), "256 102400");
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
    let record = |label: &str, low: u64, bytes: u64| {
        let mut r = FlowRecord::new();
        let ip = "2001:db8::1".parse::<std::net::IpAddr>().unwrap();
        r.set_src_host(ip.into());
        r.set_src_mac(Mac([0, 0x1b, 0x21, 0xa, 0xb, 0xc]));
        r.set_proto(17);
        r.set_src_port(65_535);
        r.set_src_as(4_200_000_001);
        r.set_tag(u64::MAX);
        r.set_label(schema.symbols.intern(label.as_bytes()));
        r.set_timestamp_min(match low {
            0 => Nanos(0),
            low => Nanos::new(low, 7_000),
        });
        (r.packets, r.bytes, r.flows) = (1, bytes, 1);
        r
    };
    let odd = "tab\t '; DROP TABLE talkers;-- \\' \\ \" line\n nul\0 \u{1f600} caf\u{e9}";
    let mut sink = open("db", &server, &[]);
    let mut write = |sequence, records: Vec<FlowRecord>| {
        let batch = of(&schema, sequence, 300, records.into_iter());
        sink.write(&batch).unwrap();
    };
    let low = record("x", 400, 1);
    write(0, vec![record(odd, 0, 5), record(odd, 500, 6), low]);
    write(1, vec![record(odd, 400, 7), record("x", 0, u64::MAX)]);
    write(2, vec![record("x", 450, u64::MAX), record("X", 0, 9)]);
    let mut v4 = FlowRecord::new();
    v4.set_src_host(Ip::v4([192, 0, 2, 1]));
    v4.set_timestamp_export(Nanos::new(400, 5_000));
    write(3, vec![v4]);
    let mut db = server.ask("flows");
    let types = "SELECT group_concat(column_name, ' ', column_type ORDER BY ordinal_position \
                 SEPARATOR ', ') FROM information_schema.columns WHERE table_name = 'talkers'";
    assert_eq!(
        shown(&mut db, types),
        "tag bigint(20) unsigned, label varchar(255), mac_src varchar(17), as_src int(10) unsigned, \
         ip_src varchar(45), ip_dst varchar(45), port_src int(10) unsigned, ip_proto int(10) \
         unsigned, timestamp_min datetime, timestamp_min_residual int(10) unsigned, \
         timestamp_export datetime, timestamp_export_residual int(10) unsigned, stamp_inserted \
         datetime, stamp_updated datetime, flows bigint(20) unsigned, packets bigint(20) unsigned, \
         bytes bigint(20) unsigned"
    );
    let got = shown(
        &mut db,
        "SELECT tag, mac_src, as_src, ip_src, ip_dst, port_src, ip_proto, timestamp_export, \
         timestamp_min, timestamp_min_residual, packets, bytes FROM talkers ORDER BY packets, bytes",
    );
    let never = "1000-01-01 00:00:00";
    let key = format!(
        "{} 00:1b:21:0a:0b:0c 4200000001 2001:db8::1 :: 65535 17 {never}",
        u64::MAX
    );
    let low = "1970-01-01 00:06:40 7";
    let want = [
        format!("0 00:00:00:00:00:00 0 192.0.2.1 0.0.0.0 0 0 1970-01-01 00:06:40 {never} 0 0 0"),
        format!("{key} {never} 0 1 9"),
        format!("{key} {low} 3 18"),
        format!("{key} {low} 3 {}", u64::MAX),
    ];
    assert_eq!(got, want.join("\n"));
    let label = "SELECT label FROM talkers WHERE bytes = 18";
    assert_eq!(shown(&mut db, label), odd);
}

#[test]
fn many_texts_in_a_key_leave_room_for_each_other() {
    let Some(server) = Server::start("many_texts_in_a_key_leave_room_for_each_other") else {
        return;
    };
    let fields = [
        Field::Label,
        Field::StdComm,
        Field::ExtComm,
        Field::LrgComm,
        Field::AsPath,
        Field::SrcAsPath,
        Field::Class,
        Field::SrcHost,
        Field::DstHost,
        Field::MplsVpnRd,
        Field::Etype,
    ];
    let schema = schema(&fields);
    let long = "\u{1f600}\u{e9}".repeat(100);
    let record = |label: &str| {
        let mut r = FlowRecord::new();
        r.set_label(schema.symbols.intern(label.as_bytes()));
        r.set_src_host(Ip::v4([192, 0, 2, 1]));
        (r.packets, r.bytes, r.flows) = (1, 2, 1);
        r
    };
    let batch = |sequence, labels: &[&str]| {
        let records: Vec<_> = labels.iter().map(|label| record(label)).collect();
        of(&schema, sequence, 300, records.into_iter())
    };
    let mut sink = open("db", &server, &[]);
    let longer = format!("{long}x");
    sink.write(&batch(0, &["a", &long, &longer])).unwrap();
    let mut db = server.ask("flows");
    let labels = "SELECT char_length(label), packets FROM talkers ORDER BY 1";
    let room: usize = number(
        &mut db,
        "SELECT character_maximum_length FROM information_schema.columns WHERE table_name = \
         'talkers' AND column_name = 'label'",
    ) as usize;
    assert!((60..200).contains(&room), "{room}");
    assert_eq!(shown(&mut db, labels), format!("1 1\n{room} 2"));
    let label = "SELECT label FROM talkers WHERE packets = 2";
    let cut: String = long.chars().take(room).collect();
    assert_eq!(shown(&mut db, label), cut);
    // A table with characters of another set takes what it can.
    run(&mut db, "DELETE FROM talkers");
    run(
        &mut db,
        "ALTER TABLE talkers MODIFY label VARCHAR(9) CHARACTER SET latin1 NOT NULL",
    );
    let mut sink = open("db", &server, &[]);
    sink.write(&batch(1, &["\u{1f600}b'\\"])).unwrap();
    assert_eq!(
        number(
            &mut db,
            "SELECT count(*) FROM talkers WHERE label = '?b\\'\\\\'"
        ),
        1
    );
    // A column that would cut addresses is none for them.
    run(&mut db, "DELETE FROM talkers");
    run(
        &mut db,
        "ALTER TABLE talkers MODIFY ip_src CHAR(15) NOT NULL",
    );
    let mut sink = open("db", &server, &[]);
    let why = retried(sink.write(&batch(2, &["c"])));
    assert!(why.contains("`ip_src` takes 15 characters"), "{why}");
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
    let usual = usual();
    let hosts: Vec<_> = (0..9).map(|host| (host, 2)).collect();
    let settings = [
        ("schema", text(file.path().to_str().unwrap())),
        ("table", text("acct_$peer_src_ip`; DROP TABLE x;-- %Y%m%d")),
        ("tables", Raw::Number(2)),
        ("timezone", text("+02:00")),
    ];
    let mut sink = open("db", &server, &settings);
    let batch = rows(&usual, 0, 300, &hosts);
    std::fs::write(file.path(), "CREATE TABLE other (a INT)").unwrap();
    assert!(retried(sink.write(&batch)).contains("write `$table` where its name belongs"));
    // A mistake behind the first statement is seen as well.
    std::fs::write(file.path(), "SELECT 1; CREATE TABLE $table (a INT, a INT)").unwrap();
    let why = retried(sink.write(&batch));
    assert!(why.contains("Duplicate column name"), "{why}");
    std::fs::write(
        file.path(),
        "CREATE TABLE $table (ip_src CHAR(45), peer_ip_src CHAR(45), tcp_flags INT, packets INT NOT \
         NULL, bytes BIGINT NOT NULL, flows INT, more TEXT DEFAULT 'x', stamp_inserted TIMESTAMP \
         NOT NULL, stamp_updated TIMESTAMP NULL, PRIMARY KEY (ip_src, peer_ip_src, stamp_inserted))",
    )
    .unwrap();
    sink.write(&batch).unwrap();
    sink.write(&rows(&usual, 1, 90_000, &hosts[..1])).unwrap();
    let tables = "SELECT table_name FROM information_schema.tables WHERE table_name LIKE 'acct%' \
                  ORDER BY 1";
    let got = shown(&mut db, tables);
    let want = [
        "10.0.0.0%19700101",
        "10.0.0.0%19700102",
        "10.0.0.1%19700101",
        "other%19700101",
    ];
    // Where a file of one's own makes the table, nothing in its name can be taken for SQL.
    let want = want.map(|w| format!("acct_{}", w.replace('%', "__ DROP TABLE x_-- ")));
    assert_eq!(got, want.join("\n"));
    let sum = |name: &str| format!("SELECT sum(packets) FROM `{name}`");
    let sums = want.iter().map(|name| number(&mut db, &sum(name)));
    assert_eq!(sums.sum::<u64>(), 100);
    // Columns that know where they are have the zone of the output.
    run(&mut db, "SET time_zone = '+00:00'");
    let stamp = format!("SELECT DISTINCT stamp_inserted FROM `{}`", want[2]);
    assert_eq!(shown(&mut db, &stamp), "1970-01-01 00:05:00");
    // Names that senders choose.
    let schema = schema(&[Field::SrcHost, Field::Label]);
    let (long, blanks, wide) = ("x".repeat(90), "y ".repeat(40), "\u{e9}-".repeat(40));
    let labels = [
        "good",
        "weir_batch",
        "WEIR_batch",
        "#mysql50#../../x",
        "\u{1f600}",
        "",
        "a.b",
        "a ",
        &long,
        &blanks,
        &wide,
    ];
    let records = labels.iter().map(|label| {
        let mut r = FlowRecord::new();
        r.set_src_host(Ip::v4([192, 0, 2, 1]));
        r.set_label(schema.symbols.intern(label.as_bytes()));
        r.packets = 10;
        r
    });
    let batch = of(&schema, 0, 600, records);
    let mut sink = open("names", &server, &[("table", text("$label"))]);
    sink.write(&batch).unwrap();
    for table in [
        "good",
        "_weir_batch",
        "_WEIR_batch",
        "_mysql50#.__.__x",
        "_",
        "null",
        "a.b",
        "a_",
        &long[..64],
    ] {
        let sum = format!("SELECT sum(packets) FROM flows.`{table}`");
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
    let columns = "ip_src CHAR(45) NOT NULL, peer_ip_src CHAR(45) NOT NULL, tcp_flags INT, packets \
                   INT, bytes BIGINT, flows INT, stamp_inserted DATETIME NOT NULL, stamp_updated \
                   DATETIME";
    let key = "PRIMARY KEY (ip_src, peer_ip_src, stamp_inserted)";
    for shape in [
        "a INT, b INT".to_string(),
        columns.into(),
        format!("{columns}, PRIMARY KEY (ip_src, peer_ip_src)"),
        format!("{columns}, PRIMARY KEY (ip_src, peer_ip_src, stamp_inserted, packets)"),
        format!("{columns}, {key}").replace("ip_src CHAR(45)", "ip_src INT"),
    ] {
        run(&mut db, &format!("CREATE TABLE talkers ({shape})"));
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
        run(&mut db, "DROP TABLE talkers");
    }
    // Half a batch could not be taken back there.
    run(
        &mut db,
        &format!("CREATE TABLE talkers ({columns}, {key}) ENGINE=MyISAM"),
    );
    let why = retried(sink.write(&batch));
    assert!(
        why.contains("of engine MyISAM, which has no transactions"),
        "{why}"
    );
    assert!(why.contains("ALTER TABLE `talkers` ENGINE=InnoDB"), "{why}");
    run(&mut db, "ALTER TABLE talkers ENGINE=InnoDB");
    run(&mut db, "ALTER TABLE weir_batch ENGINE=Aria");
    let why = retried(sink.write(&batch));
    assert!(why.contains("weir_batch is of engine Aria"), "{why}");
    run(&mut db, "ALTER TABLE weir_batch ENGINE=InnoDB");
    sink.write(&batch).unwrap();
    run(&mut db, "DROP TABLE talkers");
    // A table that goes while weir runs comes back.
    let next = rows(&schema, 1, 300, &[(1, 2)]);
    let why = retried(sink.write(&next));
    assert!(why.contains("a table is gone"), "{why}");
    sink.write(&next).unwrap();
    assert_eq!(number(&mut db, "SELECT sum(bytes) FROM talkers"), 1000);
    // Rows that it can not hold are refused as a whole, and said to be.
    run(
        &mut db,
        "ALTER TABLE talkers MODIFY packets SMALLINT UNSIGNED NOT NULL",
    );
    run(
        &mut db,
        "ALTER TABLE talkers ADD CHECK (ip_src <> '192.0.2.9')",
    );
    let mut sink = open("db", &server, &[]);
    let why = refused(sink.write(&rows(&schema, 2, 300, &[(1, 2), (9, 2)])));
    assert!(why.contains("CONSTRAINT"), "{why}");
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
    // A partition that is not there yet is waited for.
    run(&mut db, "DROP TABLE talkers");
    run(
        &mut db,
        &format!(
            "CREATE TABLE talkers ({columns}, {key}) PARTITION BY RANGE COLUMNS (stamp_inserted) \
             (PARTITION a VALUES LESS THAN ('1970-01-02'))"
        ),
    );
    let mut sink = open("db", &server, &[]);
    let late = rows(&schema, 5, 90_000, &[(1, 2)]);
    let why = retried(sink.write(&late));
    assert!(why.contains("add a partition"), "{why}");
    run(
        &mut db,
        "ALTER TABLE talkers ADD PARTITION (PARTITION b VALUES LESS THAN (MAXVALUE))",
    );
    sink.write(&late).unwrap();
    assert_eq!(number(&mut db, "SELECT sum(bytes) FROM talkers"), 1000);
}

#[test]
fn what_is_missing_is_named_and_waited_for() {
    let Some(mut server) = Server::start("what_is_missing_is_named_and_waited_for") else {
        return;
    };
    database::what_is_missing_is_named(&mut server);
    let (schema, mut db) = (usual(), server.ask("flows"));
    let batch = rows(&schema, 0, 300, &[(1, 2)]);
    // A server that takes no writes is not the one, even for whoever may write there.
    let Some(mut other) = Server::start("what_is_missing_is_named_and_waited_for") else {
        return;
    };
    run(&mut db, "SET GLOBAL read_only = ON");
    says(&server, &[], "name a server that takes writes in `host`");
    let here = format!("127.0.0.1:{}", server.process().port);
    let there = format!("127.0.0.1:{}", other.process().port);
    let mut third = open("third", &server, &[("host", hosts([&here, &there]))]);
    third.write(&batch).unwrap();
    let mut at_other = other.ask("flows");
    assert_eq!(
        number(&mut at_other, "SELECT sum(bytes) FROM talkers"),
        1000
    );
    assert_eq!(number(&mut db, "SELECT sum(bytes) FROM talkers"), 2000);
    // A server whose statements are too short.
    drop(db);
    server.restart(&["--max-allowed-packet=4096"]);
    says(&server, &[], "SET GLOBAL max_allowed_packet");
    server.restart(&[
        "--max-allowed-packet=65536",
        "--binlog-format=STATEMENT",
        "--log-bin",
    ]);
    says(&server, &[], "SET GLOBAL binlog_format = 'ROW'");
    let mut db = server.ask("flows");
    run(&mut db, "SET GLOBAL binlog_format = 'ROW'");
    let hosts: Vec<_> = (0..=255).map(|host| (host, 2)).collect();
    let many: Vec<_> = (0..20).flat_map(|_| hosts.clone()).collect();
    let mut sink = open("short", &server, &[]);
    sink.write(&rows(&schema, 1, 600, &many)).unwrap();
    let sum = "SELECT sum(packets) FROM talkers WHERE stamp_inserted = '1970-01-01 00:10:00'";
    assert_eq!(number(&mut db, sum), 51_200);
}

#[test]
fn a_commit_whose_answer_is_lost_counts_once() {
    let Some(mut server) = Server::start("a_commit_whose_answer_is_lost_counts_once") else {
        return;
    };
    let mut sink = database::a_lost_commit_counts_once(&mut server, b"\x03COMMIT");
    let (schema, mut db) = (usual(), server.ask("flows"));
    let sum = "SELECT sum(bytes) FROM talkers";
    // While an earlier transaction may still be stored, nobody looks at the account.
    let mut other = server.ask("flows");
    run(&mut other, "START TRANSACTION");
    run(
        &mut other,
        "UPDATE weir_batch SET last = 1 WHERE output = 'db'",
    );
    run(&mut other, "UPDATE talkers SET bytes = bytes + 1000");
    let next = rows(&schema, 1, 300, &[(1, 2)]);
    let why = retried(sink.write(&next));
    assert!(why.contains("others hold what is to be written"), "{why}");
    run(&mut other, "COMMIT");
    sink.write(&next).unwrap();
    assert_eq!(number(&mut db, sum), 2000);
    // Two that wait for each other: one gives way, and comes again.
    let rows_of = |sequence, host| rows(&schema, sequence, 300, &[(host, 2)]);
    sink.write(&rows_of(2, 2)).unwrap();
    run(&mut other, "START TRANSACTION");
    run(
        &mut other,
        "UPDATE talkers SET packets = 0 WHERE ip_src = '192.0.2.2'",
    );
    let busy = rows(&schema, 3, 300, &[(1, 2), (2, 2)]);
    let why = retried(sink.write(&busy));
    assert!(why.contains("others hold what is to be written"), "{why}");
    run(&mut other, "ROLLBACK");
    sink.write(&busy).unwrap();
    sink.write(&busy).unwrap();
    assert_eq!(number(&mut db, sum), 5000);
}
