//! The SQLite output against real database files: locks, repeated batches, sums, foreign tables.

mod batch;

use batch::{retried, rows, schema, text, usual};
use rusqlite::Connection;
use std::path::Path;
use weir::base::addr::Ip;
use weir::base::options::{Options, Raw};
use weir::base::time::Nanos;
use weir::config::native;
use weir::pipeline::reload::Kept;
use weir::pipeline::{Mode, Pipeline, Plan};
use weir::record::{Field, FlowRecord};
use weir::sink::{Rows, Sink, SinkError};

fn open(name: &str, settings: &[(&str, Raw)]) -> Box<dyn Sink> {
    batch::open("sqlite", name, settings)
}

fn at(path: &Path) -> (&'static str, Raw) {
    ("path", text(path.to_str().unwrap()))
}

fn quick() -> (&'static str, Raw) {
    ("busy_timeout", text("50ms"))
}

fn number(db: &Connection, sql: &str) -> i64 {
    db.query_row(sql, [], |row| row.get(0))
        .unwrap_or_else(|e| panic!("{sql}: {e}"))
}

#[test]
fn rows_of_one_key_are_added_up_and_a_batch_counts_once() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("weir.db");
    let schema = usual();
    let mut sink = open("db", &[at(&path)]);
    let first = rows(&schema, 0, 300, &[(1, 2), (2, 16)]);
    sink.write(&first).unwrap();
    sink.write(&first).unwrap();
    sink.write(&rows(&schema, 1, 300, &[(1, 1)])).unwrap();
    sink.write(&first).unwrap();
    // Over a restart of the sink as well.
    let mut again = open("db", &[at(&path)]);
    again.write(&rows(&schema, 1, 300, &[(1, 1)])).unwrap();
    let db = Connection::open(&path).unwrap();
    assert_eq!(number(&db, "SELECT count(*) FROM talkers"), 2);
    let one = "WHERE ip_src = '192.0.2.1' AND stamp_inserted = '1970-01-01 00:05:00'";
    assert_eq!(
        number(&db, &format!("SELECT bytes FROM talkers {one}")),
        2000
    );
    assert_eq!(
        number(&db, &format!("SELECT packets FROM talkers {one}")),
        20
    );
    assert_eq!(number(&db, &format!("SELECT flows FROM talkers {one}")), 2);
    assert_eq!(
        number(&db, &format!("SELECT tcp_flags FROM talkers {one}")),
        3
    );
    // Another output to the same file has its own account.
    let mut other = open("other", &[at(&path), ("table", text("copy"))]);
    other.write(&first).unwrap();
    assert_eq!(number(&db, "SELECT sum(bytes) FROM copy"), 2000);
}

#[test]
fn batches_may_come_in_any_order_and_again() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("weir.db");
    let db = Connection::open(&path).unwrap();
    // As an earlier weir left it.
    db.execute_batch("CREATE TABLE weir_batch (output, run, aggregate, sequence, stored)")
        .unwrap();
    let schema = usual();
    let mut sink = open("db", &[at(&path)]);
    let mut order: Vec<u64> = (0..200).map(|n| n * 77 % 200).collect();
    order.extend(0..200);
    for (n, sequence) in order.into_iter().enumerate() {
        sink.write(&rows(&schema, sequence, 300, &[(1, 2)]))
            .unwrap();
        let want = (n as i64 + 1).min(200) * 1000;
        assert_eq!(number(&db, "SELECT sum(bytes) FROM talkers"), want);
    }
    assert_eq!(number(&db, "SELECT count(*) FROM weir_batch"), 1);
    assert_eq!(number(&db, "SELECT last - first FROM weir_batch"), 199);
}

#[test]
fn a_locked_database_costs_time_and_no_row() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("weir.db");
    let schema = usual();
    for journal in ["wal", "delete"] {
        let _ = std::fs::remove_file(&path);
        let mut sink = open("db", &[at(&path), quick(), ("journal", text(journal))]);
        sink.write(&rows(&schema, 0, 300, &[(1, 2)])).unwrap();
        let other = Connection::open(&path).unwrap();
        other.execute_batch("BEGIN EXCLUSIVE").unwrap();
        let late = rows(&schema, 1, 300, &[(1, 2), (3, 2)]);
        for _ in 0..3 {
            assert!(retried(sink.write(&late)).contains("locked by another program"));
        }
        other.execute_batch("COMMIT").unwrap();
        sink.write(&late).unwrap();
        assert_eq!(
            number(&other, "SELECT sum(bytes) FROM talkers"),
            3000,
            "{journal}"
        );
        drop((sink, other));
        let _ = std::fs::remove_file(dir.path().join("weir.db-wal"));
    }
}

#[test]
fn a_database_that_can_not_be_opened_yet_is_waited_for() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("later/weir.db");
    let schema = usual();
    // Something else has the name of its folder, which would be made otherwise.
    std::fs::write(dir.path().join("later"), "").unwrap();
    let mut sink = open("db", &[at(&path)]);
    let batch = rows(&schema, 0, 300, &[(1, 2)]);
    assert!(retried(sink.write(&batch)).contains("is its folder there"));
    std::fs::remove_file(dir.path().join("later")).unwrap();
    sink.write(&batch).unwrap();
    assert_eq!(
        number(
            &Connection::open(&path).unwrap(),
            "SELECT bytes FROM talkers"
        ),
        1000
    );
}

#[test]
fn what_is_no_database_is_said_so_and_left_alone() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("notes.txt");
    let notes = "my notes, and nothing else ".repeat(100);
    std::fs::write(&path, &notes).unwrap();
    let mut sink = open("db", &[at(&path)]);
    let why = retried(sink.write(&rows(&usual(), 0, 300, &[(1, 2)])));
    assert!(why.contains("is no database"), "{why}");
    assert_eq!(std::fs::read_to_string(&path).unwrap(), notes);
}

#[test]
fn a_table_of_other_columns_is_left_alone_until_it_is_renamed() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("weir.db");
    let db = Connection::open(&path).unwrap();
    db.execute_batch("CREATE TABLE talkers (a, b); INSERT INTO talkers VALUES (1, 2)")
        .unwrap();
    let mut sink = open("db", &[at(&path)]);
    let batch = rows(&usual(), 0, 300, &[(1, 2)]);
    let why = retried(sink.write(&batch));
    assert!(
        why.contains("`talkers` is there with other columns"),
        "{why}"
    );
    assert!(
        why.contains("rename it, or give the output another `table`"),
        "{why}"
    );
    db.execute_batch("ALTER TABLE talkers RENAME TO old")
        .unwrap();
    sink.write(&batch).unwrap();
    assert_eq!(number(&db, "SELECT bytes FROM talkers"), 1000);
    assert_eq!(number(&db, "SELECT b FROM old"), 2);
}

#[test]
fn rows_a_table_forbids_are_refused_as_a_whole() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("weir.db");
    let schema = usual();
    let mut sink = open("db", &[at(&path)]);
    sink.write(&rows(&schema, 0, 300, &[(1, 2)])).unwrap();
    let db = Connection::open(&path).unwrap();
    db.execute_batch(
        "CREATE TRIGGER no BEFORE INSERT ON talkers WHEN new.ip_src = '192.0.2.9'
         BEGIN SELECT RAISE(ABORT, 'not this one'); END",
    )
    .unwrap();
    let refused = sink.write(&rows(&schema, 1, 300, &[(1, 2), (9, 2)]));
    assert!(matches!(&refused, Err(SinkError::Refused(why)) if why.contains("not this one")));
    sink.write(&rows(&schema, 2, 300, &[(1, 2)])).unwrap();
    assert_eq!(number(&db, "SELECT sum(bytes) FROM talkers"), 2000);
}

#[test]
fn tables_are_named_by_time_and_value_and_their_number_is_bounded() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("weir.db");
    let schema = usual();
    let table = ("table", text("acct_$peer_src_ip\"; DROP TABLE x;-- %Y%m%d"));
    let mut sink = open("db", &[at(&path), table, ("tables", Raw::Number(2))]);
    let hosts: Vec<_> = (0..9).map(|host| (host, 2)).collect();
    sink.write(&rows(&schema, 0, 300, &hosts)).unwrap();
    sink.write(&rows(&schema, 1, 90_000, &hosts[..1])).unwrap();
    let db = Connection::open(&path).unwrap();
    let names = "SELECT name FROM sqlite_master WHERE type = 'table' AND name LIKE 'acct%'";
    let mut names = db.prepare(names).unwrap();
    let names = names.query_map([], |row| row.get::<_, String>(0)).unwrap();
    let mut names: Vec<_> = names.map(Result::unwrap).collect();
    names.sort();
    let want = [
        "10.0.0.0%19700101",
        "10.0.0.0%19700102",
        "10.0.0.1%19700101",
        "other%19700101",
    ];
    let want = want.map(|w| format!("acct_{}", w.replace('%', "\"; DROP TABLE x;-- ")));
    assert_eq!(names, want);
    let all: i64 = (names.iter())
        .map(|n| {
            number(
                &db,
                &format!("SELECT sum(packets) FROM \"{}\"", n.replace('"', "\"\"")),
            )
        })
        .sum();
    assert_eq!(all, 100);
}

#[test]
fn wrong_settings_are_named() {
    for (settings, want) in [
        (vec![], "needs `path`"),
        (
            vec![("path", text("x.db")), ("table", text("weir_batch"))],
            "that name is taken",
        ),
        (
            vec![("path", text("x.db")), ("table", text("$peer_ip"))],
            "no field",
        ),
        (
            vec![("path", text("x.db")), ("journal", text("wall"))],
            "did you mean \"wal\"?",
        ),
    ] {
        let mut options = Options::new("output.db", Default::default());
        for (key, value) in settings {
            options.set(key, value);
        }
        weir::sink::parse("sqlite", &mut options);
        let all: Vec<_> = options.finish().into_iter().map(|p| p.message).collect();
        assert!(all.len() == 1 && all[0].contains(want), "{want}: {all:?}");
    }
}

#[test]
fn a_database_that_is_taken_away_is_begun_anew() {
    let schema = usual();
    for journal in ["wal", "delete"] {
        let dir = tempfile::tempdir().unwrap();
        let (path, aside) = (dir.path().join("weir.db"), dir.path().join("old.db"));
        let mut sink = open("db", &[at(&path), ("journal", text(journal))]);
        sink.write(&rows(&schema, 0, 300, &[(1, 2)])).unwrap();
        std::fs::rename(&path, &aside).unwrap();
        sink.write(&rows(&schema, 1, 300, &[(1, 2), (2, 2)]))
            .unwrap();
        std::fs::remove_file(&path).unwrap();
        sink.write(&rows(&schema, 2, 300, &[(1, 2), (2, 2), (3, 2)]))
            .unwrap();
        drop(sink);
        for (path, want) in [(&aside, 1), (&path, 3)] {
            let db = Connection::open(path).unwrap();
            let count = number(&db, "SELECT count(*) FROM talkers");
            assert_eq!(count, want, "{journal}");
        }
    }
}

#[test]
fn batches_that_go_elsewhere_leave_no_gaps() {
    let dir = tempfile::tempdir().unwrap();
    let database = dir.path().join("weir.db");
    let text = format!(
        "timezone = \"UTC\"\n[input.a]\nkind = \"file\"\nfile = \"{}/tests/data/office.pcap\"\n\
         [aggregate.x]\nby = [\"src_host\"]\nevery = \"1s\"\npreprocess = [\"minb=5000\"]\n\
         to = \"large\"\nrejects = \"small\"\n\
         [output.large]\nkind = \"sqlite\"\npath = \"{db}\"\ntable = \"large\"\n\
         [output.small]\nkind = \"sqlite\"\npath = \"{db}\"\ntable = \"small\"\n",
        env!("CARGO_MANIFEST_DIR"),
        db = database.display(),
    );
    let read = native::parse(&text);
    assert_eq!(read.problems, []);
    let plan = Plan::new(&read.config).map_err(|p| format!("{p:?}"));
    let mode = Mode {
        patient: true,
        run: 1,
    };
    let kept = &mut Kept::default();
    let pipeline = Pipeline::start(read.config, plan.unwrap(), mode, kept).unwrap();
    while !pipeline.wait(None, None) {}
    pipeline.stop(None);
    let db = Connection::open(&database).unwrap();
    for output in ["large", "small"] {
        assert!(number(&db, &format!("SELECT count(*) FROM {output}")) > 1);
        let of = format!("FROM weir_batch WHERE output = '{output}'");
        assert_eq!(number(&db, &format!("SELECT count(*) {of}")), 1);
        assert_eq!(number(&db, &format!("SELECT first {of}")), 0);
        assert!(number(&db, &format!("SELECT last {of}")) > 1);
    }
}

#[test]
fn a_table_that_a_sender_names_like_ours_costs_no_other_row() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("weir.db");
    let schema = schema(&[Field::SrcHost, Field::Label]);
    let mut words = Vec::new();
    for (host, label) in [(1, "good"), (2, "weir_batch"), (3, "sqlite_master")] {
        let mut r = FlowRecord::new();
        r.set_src_host(Ip::v4([192, 0, 2, host]));
        r.set_label(schema.symbols.intern(label.as_bytes()));
        r.set_bin(Nanos::new(600, 0));
        (r.packets, r.bytes, r.flows) = (10, 1000, 1);
        let mut row = vec![0; schema.row_words()];
        let (key, counters) = row.split_at_mut(schema.key.len());
        schema.key.pack(&r, key);
        schema.counter.add(&r, counters);
        words.extend(row);
    }
    let batch = Rows {
        words,
        ..rows(&schema, 0, 600, &[])
    };
    let mut sink = open("db", &[at(&path), ("table", text("$label"))]);
    sink.write(&batch).unwrap();
    let db = Connection::open(&path).unwrap();
    for table in ["good", "_weir_batch", "_sqlite_master"] {
        assert_eq!(
            number(&db, &format!("SELECT SUM(packets) FROM {table}")),
            10
        );
    }
}
