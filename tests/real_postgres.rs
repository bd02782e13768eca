//! The PostgreSQL output against a real server: sums, identities, types, failures that heal.

mod batch;
mod daemon;
mod database;
mod host;
mod postgres;

use self::postgres::{Server, number, run, shown};
use batch::{of, refused, retried, rows, schema, text, usual};
use database::{Database, open};
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
    // Where a file of one's own makes the table, nothing in its name can be taken for SQL.
    let want = want.map(|w| format!("acct_{}", w.replace('%', "__ DROP TABLE x_-- ")));
    assert_eq!(got, want.join("\n"));
    let sum = |name: &str| format!("SELECT sum(packets) FROM \"{name}\"");
    let sums = want.iter().map(|name| number(&mut db, &sum(name)));
    assert_eq!(sums.sum::<u64>(), 100);
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
    sink.write(&batch).unwrap();
    // A table that goes while weir runs comes back.
    run(&mut db, "DROP TABLE talkers");
    let next = rows(&schema, 1, 300, &[(1, 2)]);
    let why = retried(sink.write(&next));
    assert!(why.contains("a table is gone"), "{why}");
    sink.write(&next).unwrap();
    assert_eq!(number(&mut db, "SELECT sum(bytes) FROM talkers"), 1000);
    // Rows that it can not hold are refused as a whole, and said to be.
    run(
        &mut db,
        "ALTER TABLE talkers ALTER COLUMN packets TYPE smallint; \
         ALTER TABLE talkers ADD CHECK (ip_src <> '192.0.2.9')",
    );
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
    if let Some(mut server) = Server::start("what_is_missing_is_named_and_waited_for") {
        database::what_is_missing_is_named(&mut server);
    }
}

#[test]
fn a_commit_whose_answer_is_lost_counts_once() {
    let Some(mut server) = Server::start("a_commit_whose_answer_is_lost_counts_once") else {
        return;
    };
    let mut sink = database::a_lost_commit_counts_once(&mut server, b"COMMIT\0");
    let (schema, mut db) = (usual(), server.ask("flows"));
    // While an earlier transaction may still be stored, nobody looks at the account.
    let mut other = server.ask("flows");
    run(
        &mut other,
        "BEGIN; SELECT pg_advisory_xact_lock(1464158546, hashtext('db'))",
    );
    let next = rows(&schema, 1, 300, &[(1, 2)]);
    let why = retried(sink.write(&next));
    assert!(why.contains("others hold what is to be written"), "{why}");
    run(&mut other, "COMMIT");
    sink.write(&next).unwrap();
    assert_eq!(number(&mut db, "SELECT sum(bytes) FROM talkers"), 2000);
}
