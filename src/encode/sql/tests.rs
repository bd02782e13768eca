//! Statements and values, by dialect.

use super::*;
use crate::base::addr::Ip;
use crate::base::intern::Interner;
use crate::encode::Times;
use crate::record::{Field, FlowRecord, schema};

fn table(fields: &[Field], binned: bool, style: &Style) -> Table {
    of(fields, binned, style, Dialect::Sqlite)
}

fn of(fields: &[Field], binned: bool, style: &Style, dialect: Dialect) -> Table {
    let options = schema::Options {
        flows: true,
        binned,
        ..schema::Options::default()
    };
    let schema = Schema::new("t", fields, options, Arc::new(Interner::new(4096)));
    Table::new(Arc::new(schema), style, dialect).unwrap()
}

#[test]
fn statements_of_a_binned_table() {
    let fields = [
        Field::SrcHost,
        Field::DstPort,
        Field::Proto,
        Field::TcpFlags,
    ];
    let table = table(&fields, true, &Style::default());
    let create = table.create("\"acct\"", true);
    assert!(create.contains("\"ip_src\" TEXT NOT NULL DEFAULT '',\n"));
    assert!(create.contains("\"port_dst\" INTEGER NOT NULL DEFAULT 0,\n"));
    let keys = "(\"ip_src\", \"port_dst\", \"ip_proto\", \"stamp_inserted\")";
    assert!(
        create.ends_with(&format!("PRIMARY KEY {keys}\n) WITHOUT ROWID")),
        "{create}"
    );
    let upsert = table.upsert("\"acct\"");
    assert!(upsert.starts_with("INSERT INTO \"acct\" (\"ip_src\", \"port_dst\", "));
    assert!(upsert.contains(&format!("ON CONFLICT {keys} DO UPDATE SET ")));
    for set in [
        "\"tcp_flags\" = \"tcp_flags\" | excluded.\"tcp_flags\"",
        "\"packets\" = \"packets\" + excluded.\"packets\"",
        "\"stamp_updated\" = excluded.\"stamp_updated\"",
    ] {
        assert!(upsert.contains(set), "{upsert}");
    }
}

#[test]
fn statements_of_mysql_have_lengths_and_set_microseconds_before_seconds() {
    let fields = [
        Field::SrcHost,
        Field::Label,
        Field::AsPath,
        Field::TcpFlags,
        Field::TimestampMin,
    ];
    let table = of(&fields, true, &Style::default(), Dialect::Mysql);
    let create = table.create("`a`", true);
    for part in [
        "`ip_src` VARCHAR(45) CHARACTER SET ascii COLLATE ascii_bin NOT NULL DEFAULT '0.0.0.0',",
        "`label` VARCHAR(255) NOT NULL DEFAULT '',",
        "`stamp_inserted` DATETIME NOT NULL DEFAULT '1000-01-01 00:00:00',",
        "`packets` BIGINT UNSIGNED NOT NULL DEFAULT 0,",
        "PRIMARY KEY (`label`, `as_path`, `ip_src`, `stamp_inserted`)\n) ENGINE=InnoDB",
    ] {
        assert!(create.contains(part), "{part}: {create}");
    }
    let (head, tail) = table.insert("`a`", &["more".into()], true);
    assert!(head.starts_with("INSERT INTO `a` (`label`, `as_path`, `ip_src`, `tcp_flags`, "));
    assert!(head.ends_with(", `bytes`, `more`) VALUES "), "{head}");
    let old = "(VALUES(`timestamp_min`), VALUES(`timestamp_min_residual`)) < (`timestamp_min`, \
               `timestamp_min_residual`)";
    for part in [
        " ON DUPLICATE KEY UPDATE ",
        "`tcp_flags` = `tcp_flags` | VALUES(`tcp_flags`)",
        "`bytes` = CASE WHEN `bytes` > 18446744073709551615 - VALUES(`bytes`) THEN \
         18446744073709551615 ELSE `bytes` + VALUES(`bytes`) END",
        "`timestamp_min` = CASE WHEN VALUES(`timestamp_min`) > '1000-01-01 00:00:00' AND \
         (`timestamp_min` <= '1000-01-01 00:00:00' OR ",
        old,
    ] {
        assert!(tail.contains(part), "{part}: {tail}");
    }
    let at = |part| tail.find(part).unwrap();
    assert!(
        at("`timestamp_min_residual` = ") < at("`timestamp_min` = "),
        "{tail}"
    );
    assert_eq!(table.insert("`a`", &[], false).1, "");
    // Many texts share the room that a key has, and those of tables without one need not.
    let texts = [
        Field::Label,
        Field::StdComm,
        Field::ExtComm,
        Field::LrgComm,
        Field::AsPath,
        Field::SrcAsPath,
    ];
    let table = of(&texts, false, &Style::default(), Dialect::Mysql);
    assert!(table.create("`a`", true).contains("`label` VARCHAR(125) "));
    assert!(table.create("`a`", false).contains("`label` VARCHAR(255) "));
}

#[test]
fn columns_have_the_names_that_somebody_wants() {
    let names = [("port_src", "src_port"), ("tag", "ip_src")];
    let names = names.map(|(name, new)| (name.to_string(), new.to_string()));
    let fields = [Field::SrcHost, Field::SrcPort, Field::Tag];
    let whole = || table(&fields, false, &Style::default());
    let renamed = whole().renamed(&names[..1]).unwrap();
    assert!(
        renamed
            .upsert("t")
            .contains("ON CONFLICT (\"tag\", \"ip_src\", \"src_port\")")
    );
    let refused = whole().renamed(&names).unwrap_err();
    assert!(refused.contains("the SQL column `ip_src`"), "{refused}");
}

#[test]
fn smallest_times_move_with_their_microseconds() {
    let table = table(
        &[Field::SrcHost, Field::TimestampMin],
        false,
        &Style::default(),
    );
    let upsert = table.upsert("t");
    assert!(
        upsert.contains(
            "\"timestamp_min_residual\" = CASE WHEN excluded.\"timestamp_min\" <> \
         '0000-00-00 00:00:00' AND (\"timestamp_min\" = '0000-00-00 00:00:00' OR \
         (excluded.\"timestamp_min\", excluded.\"timestamp_min_residual\") < \
         (\"timestamp_min\", \"timestamp_min_residual\")) THEN \
         excluded.\"timestamp_min_residual\" ELSE \"timestamp_min_residual\" END"
        ),
        "{upsert}"
    );
}

#[test]
fn a_time_that_nobody_stated_is_neither_smallest_nor_largest() {
    let style = Style {
        times: Times::Rfc3339,
        zone: crate::base::zone::Zone::named("+01:00").unwrap(),
        ..Style::default()
    };
    let upsert = table(&[Field::SrcHost, Field::TimestampMin], false, &style).upsert("t");
    let zero = "<> '0000-00-00T00:00:00+01:00' AND";
    assert!(upsert.contains(zero), "{upsert}");
}

#[test]
fn places_are_real_and_service_has_six_bits() {
    let style = Style {
        dscp: true,
        ..Style::default()
    };
    let fields = [Field::SrcHostCoords, Field::Tos, Field::DstHost];
    let (schema, row) = super::super::sample::rows(&fields, false);
    let mut table = Table::new(schema, &style, Dialect::Sqlite).unwrap();
    let create = table.create("t", true);
    assert!(
        create.contains("\"lon_ip_src\" REAL NOT NULL DEFAULT 0,"),
        "{create}"
    );
    let mut got = Vec::new();
    let mut bind = |_: usize, cell: Cell<'_>| {
        got.push(format!("{cell:?}"));
        Ok::<_, ()>(())
    };
    table.row(&row, Nanos(1), &mut bind).unwrap();
    let want = [
        "Text(\"2001:db8::1\")",
        "Real(47.3769)",
        "Real(-8.5417)",
        "Integer(11)",
    ];
    assert_eq!(got[..4], want);
}

#[test]
fn values_of_a_row_follow_the_columns() {
    let fields = [
        Field::SrcHost,
        Field::Proto,
        Field::Tag,
        Field::TimestampMin,
    ];
    let mut table = table(&fields, true, &Style::default());
    let mut r = FlowRecord::new();
    r.set_src_host(Ip::v4([192, 0, 2, 1]));
    r.set_proto(17);
    r.set_tag(u64::MAX);
    r.set_bin(Nanos::new(300, 0));
    r.set_timestamp_min(Nanos::new(301, 7_000));
    (r.packets, r.bytes, r.flows) = (3, u64::MAX, 1);
    let schema = Arc::clone(&table.schema);
    let mut row = vec![0; schema.row_words()];
    let (key, counters) = row.split_at_mut(schema.key.len());
    schema.key.pack(&r, key);
    schema.counter.add(&r, counters);
    let names: Vec<_> = table.names().map(String::from).collect();
    let mut got = Vec::new();
    let mut bind = |n: usize, cell: Cell<'_>| {
        let text = match cell {
            Cell::Integer(i) => i.to_string(),
            Cell::Natural(n) => n.to_string(),
            Cell::Text(t) => format!("'{t}'"),
            Cell::Real(r) => format!("{r:?}"),
        };
        got.push(format!("{}={text}", names[n]));
        Ok::<_, ()>(())
    };
    table.row(&row, Nanos::new(400, 9), &mut bind).unwrap();
    assert_eq!(
        got.join(" "),
        "tag=-1 ip_src='192.0.2.1' ip_proto='udp' timestamp_min='1970-01-01 00:05:01' \
         timestamp_min_residual=7 stamp_inserted='1970-01-01 00:05:00' \
         stamp_updated='1970-01-01 00:06:40' flows=1 packets=3 bytes=9223372036854775807"
    );
}

#[test]
fn primitives_of_the_configuration_are_columns() {
    let (schema, row) = crate::encode::sample::customs(true, crate::encode::sample::values);
    let mut table = Table::new(schema, &Style::default(), Dialect::Sqlite).unwrap();
    let create = table.create("t", true);
    for column in [
        "\"number\" INTEGER NOT NULL DEFAULT 0,",
        "\"hex\" TEXT NOT NULL DEFAULT '',",
        "\"ip6\" TEXT NOT NULL DEFAULT '',",
    ] {
        assert!(create.contains(column), "{create}");
    }
    assert!(!create.contains("record_kind"), "{create}");
    let mut got = Vec::new();
    let mut bind = |_, cell: Cell<'_>| {
        got.push(match cell {
            Cell::Integer(n) => n.to_string(),
            Cell::Natural(n) => n.to_string(),
            Cell::Text(text) => text.into(),
            Cell::Real(real) => real.to_string(),
        });
        Ok::<_, ()>(())
    };
    table.row(&row, Nanos(1), &mut bind).unwrap();
    assert_eq!(
        got[1..6],
        [
            "1610612736",
            "ab",
            "192.0.2.1",
            "2001:db8::9",
            "00:01:02:03:04:05"
        ]
    );
    assert_eq!(got[6..11], ["ab\"", "caf\u{e9}\n", "01-00-FF", "09-A0", ""]);
}

#[test]
fn a_grand_total_has_a_key_and_twins_are_refused() {
    assert!(
        table(&[], false, &Style::default())
            .create("t", true)
            .contains("PRIMARY KEY (\"total\")")
    );
    let twins = [Field::Class, Field::ClassFrame];
    let options = schema::Options::default();
    let schema = Schema::new("t", &twins, options, Arc::new(Interner::new(0)));
    let refused = Table::new(Arc::new(schema), &Style::default(), Dialect::Sqlite).unwrap_err();
    assert!(refused.contains("`class`"));
}
