//! A schema as a table of SQLite: columns, `CREATE TABLE`, the statement that adds a row to what
//! is there, and the values of a row.
//!
//! Column names are those of the table of fields. All keys are the primary key; counters are
//! added, flags OR-ed, times kept as the smallest or largest. Not for connections or batches.

use super::order::{JSON_ORDER, Out, arrange};
use super::pen::Pen;
use super::value::{Entry, Show, Style, Times};
use crate::base::time::Nanos;
use crate::record::schema::What;
use crate::record::{Column, Form, Kind, Merge, Schema, Value};
use std::fmt::Write;
use std::sync::Arc;

/// A value to bind.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Cell<'a> {
    /// For a column of type `INTEGER`.
    Integer(i64),
    /// For a column of type `TEXT`.
    Text(&'a str),
    /// For a column of type `REAL`.
    Real(f64),
}

/// Type of a column.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Type {
    Integer,
    Text,
    Real,
}

impl Type {
    /// Its name in SQL, and its zero.
    fn words(self) -> (&'static str, &'static str) {
        match self {
            Self::Integer => ("INTEGER", "0"),
            Self::Text => ("TEXT", "''"),
            Self::Real => ("REAL", "0"),
        }
    }
}

#[derive(Clone, Copy, Debug)]
enum From {
    Row(Entry),
    /// Microseconds of a time, beside its seconds.
    Residual(Column),
    Updated,
    /// The key of a table that has none: always zero.
    Total,
}

#[derive(Clone, Debug)]
struct SqlColumn {
    name: String,
    kind: Type,
    merge: Merge,
    from: From,
}

/// The table of one schema.
#[derive(Clone, Debug)]
pub struct Table {
    schema: Arc<Schema>,
    columns: Vec<SqlColumn>,
    times: Times,
    numbers: bool,
    dscp: bool,
    /// A time that nobody stated, as the text that it is here.
    zero: String,
    show: Show,
    text: Vec<u8>,
}

impl Table {
    /// The table for rows of `schema`. Of `style` it heeds the zone, times, fractions, numbers
    /// of protocols and the type of service; rows of bins always carry their stamps.
    ///
    /// # Errors
    /// A sentence when two columns would have one name.
    pub fn new(schema: Arc<Schema>, style: &Style) -> Result<Self, String> {
        let mut columns: Vec<SqlColumn> = Vec::new();
        let style = &Style {
            stamps: true,
            counters: true,
            forwarding: false,
            ..style.clone()
        };
        for (out, column) in arrange(&schema, JSON_ORDER, style) {
            match column {
                Some(column) => push(&schema, &mut columns, out, column, style),
                None => columns.push(SqlColumn {
                    name: "stamp_updated".into(),
                    kind: time(style),
                    merge: Merge::Last,
                    from: From::Updated,
                }),
            }
        }
        if !columns.iter().any(|c| c.merge == Merge::Key) {
            let total = SqlColumn {
                name: "total".into(),
                kind: Type::Integer,
                merge: Merge::Key,
                from: From::Total,
            };
            columns.insert(0, total);
        }
        for (n, column) in columns.iter().enumerate() {
            if columns.iter().take(n).any(|c| c.name == column.name) {
                return Err(format!(
                    "two fields of `{}` have the SQL column `{}`",
                    schema.name, column.name
                ));
            }
        }
        Ok(Self {
            schema,
            columns,
            times: style.times,
            numbers: style.proto_numbers,
            dscp: style.dscp,
            zero: zero(style),
            show: Show::new(style),
            text: Vec::new(),
        })
    }

    /// Names of the columns, in the order in which values are bound.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.columns.iter().map(|c| c.name.as_str())
    }

    fn keys(&self) -> String {
        let keys = self.columns.iter().filter(|c| c.merge == Merge::Key);
        join(keys.map(|c| quoted(&c.name)))
    }

    /// The statement that creates the table if it is not there.
    pub fn create(&self, table: &str) -> String {
        let mut sql = format!("CREATE TABLE IF NOT EXISTS {} (\n", quoted(table));
        for column in &self.columns {
            let (kind, zero) = column.kind.words();
            let name = quoted(&column.name);
            // Writing to a string can not fail.
            let _ = writeln!(sql, "  {name} {kind} NOT NULL DEFAULT {zero},");
        }
        let _ = write!(sql, "  PRIMARY KEY ({})\n) WITHOUT ROWID", self.keys());
        sql
    }

    /// The statement that inserts a row; its key must be new.
    pub fn insert(&self, table: &str) -> String {
        let names = join(self.columns.iter().map(|c| quoted(&c.name)));
        let values = join((1..=self.columns.len()).map(|n| format!("?{n}")));
        format!("INSERT INTO {} ({names}) VALUES ({values})", quoted(table))
    }

    /// The statement that inserts a row, or adds it to the row that has its key.
    pub fn upsert(&self, table: &str) -> String {
        let others = self.columns.iter().filter(|c| c.merge != Merge::Key);
        let sets = join(others.map(|c| self.meet(c)));
        let insert = self.insert(table);
        format!(
            "{insert} ON CONFLICT ({}) DO UPDATE SET {sets}",
            self.keys()
        )
    }

    /// How a column's old and new values become one.
    fn meet(&self, column: &SqlColumn) -> String {
        let name = quoted(&column.name);
        match column.merge {
            Merge::Add => format!("{name} = {name} + excluded.{name}"),
            Merge::Or => format!("{name} = {name} | excluded.{name}"),
            Merge::Key | Merge::Last => format!("{name} = excluded.{name}"),
            Merge::Min | Merge::Max => {
                let source = match column.from {
                    From::Row(entry) => entry.column,
                    From::Residual(source) => source,
                    _ => return format!("{name} = excluded.{name}"),
                };
                // A time and its microseconds are compared, and move, together.
                let parts: Vec<_> = (self.columns.iter())
                    .filter(|c| match c.from {
                        From::Row(s) => s.column.what == source.what,
                        From::Residual(s) => s.what == source.what,
                        _ => false,
                    })
                    .map(|c| quoted(&c.name))
                    .collect();
                let old = parts.join(", ");
                let new = join(parts.iter().map(|p| format!("excluded.{p}")));
                let head = parts.first().map_or(name.as_str(), String::as_str);
                let zero = if column_is_text(&self.columns, &source) {
                    format!("'{}'", self.zero)
                } else {
                    "0".into()
                };
                let sign = if column.merge == Merge::Min { '<' } else { '>' };
                format!(
                    "{name} = CASE WHEN excluded.{head} <> {zero} AND ({head} = {zero} OR \
                     ({new}) {sign} ({old})) THEN excluded.{name} ELSE {name} END"
                )
            }
        }
    }

    /// Hands the values of a row to `bind`, with the number of the column from 0.
    /// Keys above 2^63 become negative, which keeps them distinct; counters stop at 2^63 − 1.
    ///
    /// # Errors
    /// The first error of `bind`.
    pub fn row<E>(
        &mut self,
        row: &[u64],
        flushed: Nanos,
        mut bind: impl FnMut(usize, Cell<'_>) -> Result<(), E>,
    ) -> Result<(), E> {
        for (n, column) in self.columns.iter().enumerate() {
            let value = match column.from {
                From::Row(entry) if column.kind == Type::Real => {
                    bind(
                        n,
                        Cell::Real(self.show.degree(&self.schema, &entry, row).real()),
                    )?;
                    continue;
                }
                From::Row(entry) => Some((entry, self.schema.value(&entry.column, row))),
                From::Residual(source) => match self.schema.value(&source, row) {
                    Value::Time(time) => {
                        bind(n, Cell::Integer(i64::from(time.fraction() / 1000)))?;
                        continue;
                    }
                    _ => None,
                },
                From::Updated => None,
                From::Total => {
                    bind(n, Cell::Integer(0))?;
                    continue;
                }
            };
            if column.kind == Type::Integer {
                let integer = integer(value, row, flushed, column.merge);
                bind(n, Cell::Integer(integer))?;
                continue;
            }
            self.text.clear();
            let mut pen = Pen::new(&mut self.text);
            match value {
                Some((_, Value::Time(time))) => self.show.stamp(&mut pen, time),
                Some((entry, _)) => {
                    if self.show.value(&mut pen, &self.schema, &entry, row) {
                        pen.raw(&self.show.text);
                    }
                }
                None => self.show.stamp(&mut pen, flushed),
            }
            drop(pen);
            bind(n, Cell::Text(&String::from_utf8_lossy(&self.text)))?;
        }
        Ok(())
    }

    /// Whether this table suits another schema's rows as well, so that it need not be made anew.
    pub fn suits(&self, schema: &Schema, style: &Style) -> bool {
        let name = |of: &Schema, column: &Column| of.sql_name(column.what).to_string();
        let same = |(a, b): (&Column, &Column)| {
            (a.what, a.form) == (b.what, b.form) && name(schema, a) == name(&self.schema, b)
        };
        style.times == self.times
            && style.proto_numbers == self.numbers
            && style.dscp == self.dscp
            && schema.binned == self.schema.binned
            && schema.columns.len() == self.schema.columns.len()
            && schema.columns.iter().zip(&self.schema.columns).all(same)
    }
}

fn integer(value: Option<(Entry, Value)>, row: &[u64], flushed: Nanos, merge: Merge) -> i64 {
    match value {
        Some((entry, Value::Number(_))) => {
            let number = entry.number(row);
            match merge {
                Merge::Key => number as i64,
                _ => i64::try_from(number).unwrap_or(i64::MAX),
            }
        }
        Some((_, Value::Time(time))) => time.seconds() as i64,
        Some(_) => 0,
        None => flushed.seconds() as i64,
    }
}

fn column_is_text(columns: &[SqlColumn], source: &Column) -> bool {
    let found = columns.iter().find(|c| match c.from {
        From::Row(s) => s.column.what == source.what,
        _ => false,
    });
    found.is_some_and(|c| c.kind == Type::Text)
}

fn zero(style: &Style) -> String {
    let mut text = Vec::new();
    Show::new(style).stamp(&mut Pen::new(&mut text), Nanos(0));
    String::from_utf8_lossy(&text).into_owned()
}

/// The type of columns of times.
fn time(style: &Style) -> Type {
    match style.times {
        Times::Epoch => Type::Integer,
        _ => Type::Text,
    }
}

fn push(schema: &Schema, columns: &mut Vec<SqlColumn>, out: Out, column: Column, style: &Style) {
    let what = column.what;
    let (name, merge) = match (out, what) {
        (Out::Longitude(field), _) => (out.json(schema), field.info().merge),
        (_, What::Field(field)) => (schema.sql_name(what), field.info().merge),
        _ => (schema.sql_name(what), Merge::Add),
    };
    if name.is_empty() {
        return;
    }
    let entry = Entry::part(out, column, style);
    let kind = match column.kind {
        _ if entry.is_real() => Type::Real,
        Kind::U8 | Kind::U16 | Kind::U32 | Kind::U64 | Kind::NumberText => Type::Integer,
        Kind::Custom if column.form == Form::Number => Type::Integer,
        Kind::Proto if style.proto_numbers => Type::Integer,
        Kind::Time => time(style),
        _ => Type::Text,
    };
    columns.push(SqlColumn {
        name: name.into(),
        kind,
        merge,
        from: From::Row(entry),
    });
    let bin = what == What::Field(crate::record::Field::Bin);
    if column.kind == Kind::Time && !bin && style.fraction {
        columns.push(SqlColumn {
            name: format!("{name}_residual"),
            kind: Type::Integer,
            merge,
            from: From::Residual(column),
        });
    }
}

fn join(parts: impl Iterator<Item = String>) -> String {
    parts.collect::<Vec<_>>().join(", ")
}

/// An identifier of SQL, quoted.
pub fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\"").replace('\0', "_"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::addr::Ip;
    use crate::base::intern::Interner;
    use crate::record::{Field, FlowRecord, schema};

    fn table(fields: &[Field], binned: bool, style: &Style) -> Table {
        let options = schema::Options {
            flows: true,
            binned,
            ..schema::Options::default()
        };
        let schema = Schema::new("t", fields, options, Arc::new(Interner::new(4096)));
        Table::new(Arc::new(schema), style).unwrap()
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
        let create = table.create("acct");
        assert!(create.contains("\"ip_src\" TEXT NOT NULL DEFAULT '',\n"));
        assert!(create.contains("\"port_dst\" INTEGER NOT NULL DEFAULT 0,\n"));
        let keys = "(\"ip_src\", \"port_dst\", \"ip_proto\", \"stamp_inserted\")";
        assert!(
            create.ends_with(&format!("PRIMARY KEY {keys}\n) WITHOUT ROWID")),
            "{create}"
        );
        let upsert = table.upsert("acct");
        assert!(upsert.starts_with("INSERT INTO \"acct\" (\"ip_src\", \"port_dst\", "));
        assert!(upsert.contains(&format!("ON CONFLICT {keys} DO UPDATE SET ")));
        for set in [
            "\"tcp_flags\" = \"tcp_flags\" | excluded.\"tcp_flags\"",
            "\"packets\" = \"packets\" + excluded.\"packets\"",
            "\"stamp_updated\" = excluded.\"stamp_updated\"",
        ] {
            assert!(upsert.contains(set), "{upsert}");
        }
        assert_eq!(quoted("a\"b"), "\"a\"\"b\"");
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
        let mut table = Table::new(schema, &style).unwrap();
        let create = table.create("t");
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
        let mut table = Table::new(schema, &Style::default()).unwrap();
        let create = table.create("t");
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
                .create("t")
                .contains("PRIMARY KEY (\"total\")")
        );
        let twins = [Field::Class, Field::ClassFrame];
        let options = schema::Options::default();
        let schema = Schema::new("t", &twins, options, Arc::new(Interner::new(0)));
        let refused = Table::new(Arc::new(schema), &Style::default()).unwrap_err();
        assert!(refused.contains("`class`"));
    }
}
