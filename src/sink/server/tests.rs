//! Settings, and the SQL of schema files.

use super::super::peer::{host_port, near};
use super::*;
use crate::base::options::{Place, Raw};

fn settings(given: &[(&str, Raw)]) -> (bool, String) {
    let mut options = Options::new("output.x", Place::default());
    options.set("database", Raw::Text("flows".into()));
    given.iter().for_each(|(k, v)| options.set(k, v.clone()));
    let fine = super::settings(&mut options, Dialect::Postgres, 5432).is_some();
    let problems = options.finish().into_iter().map(|p| p.message);
    (fine, problems.collect::<Vec<_>>().join("; "))
}

fn text(text: &str) -> Raw {
    Raw::Text(text.into())
}

#[test]
fn wrong_settings_are_named() {
    for (given, want) in [
        (vec![("host", text("a b"))], "`host` holds \"a b\""),
        (vec![("host", text("a:0"))], "`host` holds"),
        (vec![("host", text("[::1]5"))], "`host` holds"),
        (vec![("host", Raw::List(Vec::new()))], "`host` is empty"),
        (vec![("table", text("weir_batch"))], "that name is taken"),
        (
            vec![("columns", text("port_srk=x"))],
            "no rows have a column \"port_srk\"; did you mean \"port_src\"?",
        ),
        (vec![("columns", text("tag="))], "`columns` holds \"tag=\""),
        (vec![("mode", text("insrt"))], "did you mean \"insert\"?"),
        (
            vec![("password", text("a")), ("password_file", text("b"))],
            "not both",
        ),
    ] {
        let (_, said) = settings(&given);
        assert!(said.contains(want), "{want}: {said}");
    }
    let fine = [
        ("table", text("flows.acct_%Y")),
        ("columns", text("timestamp_min_residual=micros")),
    ];
    assert_eq!(settings(&fine).1, "");
}

#[test]
fn hosts_have_ports_and_sockets_have_folders() {
    for (given, want) in [
        ("db", Some(("db", 5432))),
        ("db:5433", Some(("db", 5433))),
        ("2001:db8::1", Some(("2001:db8::1", 5432))),
        ("[2001:db8::1]", Some(("2001:db8::1", 5432))),
        ("[2001:db8::1]:7", Some(("2001:db8::1", 7))),
        ("/run/postgresql", Some(("/run/postgresql", 5432))),
        ("/run/\0", None),
        ("", None),
        ("db:x", None),
        ("db:70000", None),
    ] {
        let got = host_port(given, 5432);
        let want = want.map(|(name, port): (&str, u16)| (name.to_string(), port));
        assert_eq!(got, want, "{given}");
    }
}

#[test]
fn who_can_be_read_on_a_wire_is_told_from_who_can_not() {
    for host in ["localhost", "127.0.0.9", "::1", "/run/mysqld/mysqld.sock"] {
        assert!(near(host), "{host}");
    }
    for host in ["db.example", "192.0.2.1", "2001:db8::1"] {
        assert!(!near(host), "{host}");
    }
}

fn with_table(given: &str, space: Option<&str>) -> Settings {
    let mut options = Options::new("output.x", Place::default());
    let target = sql::target(&mut options, given, Dialect::Postgres).unwrap();
    Settings {
        dialect: Dialect::Postgres,
        peer: peer::parse(&mut options, 5432, None),
        database: "flows".into(),
        space: space.map(String::from),
        given: given.into(),
        target,
        add: true,
        schema: None,
        shape: format::values(&mut options),
    }
}

#[test]
fn a_schema_has_the_name_in_place_and_no_value_becomes_sql() {
    let of = with_table("acct_%Y", None);
    let got = of.filled(
        "CREATE TABLE acct_%Y (a INT); CREATE INDEX acct_%Y_i ON $table (a)",
        "acct_2026",
    );
    assert_eq!(
        got,
        "CREATE TABLE acct_2026 (a INT); CREATE INDEX acct_2026_i ON acct_2026 (a)"
    );
    let got = of.filled(
        "CREATE TABLE Acct_%Y (b TEXT DEFAULT 'acct_%y\u{e9}')",
        "acct_2026",
    );
    assert_eq!(
        got,
        "CREATE TABLE acct_2026 (b TEXT DEFAULT 'acct_%y\u{e9}')"
    );
    let of = with_table("acct_${peer_src_ip}", None);
    let got = of.filled(
        "CREATE TABLE \"acct_$peer_src_ip\" (a INT)",
        "acct_10.0.0.1",
    );
    assert_eq!(got, "CREATE TABLE \"acct_10.0.0.1\" (a INT)");
    let of = with_table("acct_${label}", Some("s"));
    let got = of.filled("CREATE TABLE $table (a INT)", "acct_x\"; DROP TABLE y; --");
    assert_eq!(
        got,
        "CREATE TABLE \"s\".\"acct_x\"\"; DROP TABLE y; --\" (a INT)"
    );
    // A fixed name stands in the file as it is, and so does whatever looks like it.
    let of = with_table("a", None);
    assert_eq!(
        of.filled("CREATE TABLE a (bar INT)", "a"),
        "CREATE TABLE a (bar INT)"
    );
}
