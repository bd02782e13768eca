//! Which keys a table must have, and what its columns take.

use super::*;
use crate::base::intern::Interner;
use crate::encode::Style;
use crate::encode::sql::Dialect;
use crate::record::{Field, Schema, schema};
use std::sync::Arc;

fn table() -> Table {
    let options = schema::Options {
        binned: true,
        ..schema::Options::default()
    };
    let fields = [Field::SrcHost, Field::Label];
    let schema = Schema::new("t", &fields, options, Arc::new(Interner::new(4096)));
    Table::new(Arc::new(schema), &Style::default(), Dialect::Mysql).unwrap()
}

fn column(name: &str, kind: &str) -> Column {
    Column {
        name: name.into(),
        kind: kind.into(),
        most: usize::MAX,
        set: None,
        bare: true,
        nullable: false,
        counts: false,
    }
}

#[test]
fn rows_meet_by_a_key_that_has_all_of_theirs_and_nothing_that_changes() {
    let table = table();
    let mut there: Vec<_> = table.names().map(|name| column(name, "int")).collect();
    there.push(column("more", "int"));
    let mut id = column("id", "bigint");
    id.counts = true;
    let mut may = column("may", "int");
    may.nullable = true;
    there.extend([id, may]);
    let key = |names: &[&str]| -> Key {
        names
            .iter()
            .map(|name| (name.trim_end_matches('*').to_string(), name.ends_with('*')))
            .collect()
    };
    let (full, wider) = (
        ["label", "IP_SRC", "stamp_inserted"],
        ["label", "ip_src", "stamp_inserted", "more"],
    );
    for (keys, want) in [
        (vec![key(&full)], ""),
        (vec![key(&wider)], ""),
        (vec![key(&["id"]), key(&full)], ""),
        (vec![], "no primary key"),
        (vec![key(&["id"])], "no primary key"),
        (
            vec![key(&["label", "ip_src", "stamp_inserted", "may"])],
            "no primary key",
        ),
        (
            vec![key(&["label*", "ip_src", "stamp_inserted"])],
            "`label` is not in its key",
        ),
        (
            vec![key(&full), key(&["ip_src"])],
            "`label` is not in its key",
        ),
        (
            vec![key(&["label", "ip_src", "stamp_inserted", "bytes"])],
            "`bytes` is in its key",
        ),
    ] {
        let said = adds(&table, &there, &keys).err().unwrap_or_default();
        assert_eq!(said.is_empty(), want.is_empty(), "{said}");
        assert!(said.contains(want), "{want}: {said}");
    }
}

#[test]
fn columns_take_what_their_characters_allow() {
    let of = |kind: &str, set: Option<&str>, most, value| {
        let mut column = column("c", kind);
        (column.set, column.most) = (set.map(String::from), most);
        fit(&column, value).map(|fit| (fit.most, fit.set))
    };
    assert_eq!(
        of("varchar", Some("utf8mb4"), 9, Type::Text),
        Ok((9, Set::All))
    );
    assert_eq!(
        of("char", Some("latin1"), 21, Type::Text),
        Ok((21, Set::Ascii))
    );
    assert_eq!(
        of("char", Some("utf8mb3"), 6, Type::Name),
        Ok((6, Set::Plane))
    );
    assert_eq!(of("varbinary", None, 9, Type::Text), Ok((9, Set::Bytes)));
    assert_eq!(of("timestamp", None, 99, Type::Time), Ok((99, Set::Stamp)));
    assert!(
        of("char", Some("latin1"), 15, Type::Ip)
            .unwrap_err()
            .contains("15 characters")
    );
    assert!(of("char", Some("latin1"), 45, Type::Ip).is_ok());
}
