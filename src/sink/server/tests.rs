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
