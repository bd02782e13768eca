//! A schema as a table of SQL: columns, `CREATE TABLE`, the statement that adds rows to what is
//! there, and the values of a row.
//!
//! Column names are those of the table of fields. All keys are the primary key; counters are
//! added, flags OR-ed, times kept as the smallest or largest. Not for connections or batches.

use super::dialect::Type;
use super::order::{JSON_ORDER, Out, arrange};
use super::pen::Pen;
use super::value::{Entry, Show, Style};
use crate::base::time::Nanos;
use crate::record::schema::What;
use crate::record::{Column, Kind, Merge, Schema, Value};
use std::fmt::Write;
use std::sync::Arc;

pub use super::dialect::{Cell, Dialect, copied};
pub use super::literal::{Fit, Set, literal};

/// What a row that is there is called, where it needs a name.
const OLD: &str = "old";

/// Bytes of the keys of MySQL, less some for what it adds itself, and of one character there.
const KEY: usize = 3000;
const CHARACTER: usize = 4;

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
    dialect: Dialect,
    schema: Arc<Schema>,
    columns: Vec<SqlColumn>,
    /// A time that nobody stated, as the text that it is here.
    zero: String,
    /// Most characters of a text of the key, where the database wants to know.
    room: usize,
    show: Show,
    text: Vec<u8>,
}

impl Table {
    /// The table for rows of `schema`. Of `style` it heeds the zone, times, fractions, numbers
    /// of protocols and the type of service; rows of bins always carry their stamps.
    ///
    /// # Errors
    /// A sentence when two columns would have one name.
    pub fn new(schema: Arc<Schema>, style: &Style, dialect: Dialect) -> Result<Self, String> {
        let mut columns: Vec<SqlColumn> = Vec::new();
        let style = &Style {
            stamps: true,
            counters: true,
            forwarding: false,
            ..style.clone()
        };
        for (out, column) in arrange(&schema, JSON_ORDER, style) {
            match column {
                Some(column) => push(&schema, &mut columns, (out, column), style, dialect),
                None => columns.push(SqlColumn {
                    name: "stamp_updated".into(),
                    kind: dialect.time(style),
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
        twins(&schema, &columns)?;
        let room = room(&columns);
        Ok(Self {
            dialect,
            schema,
            columns,
            room,
            zero: zero(style, dialect),
            show: Show::new(style),
            text: Vec::new(),
        })
    }

    /// The same with other names for some columns.
    ///
    /// # Errors
    /// A sentence when two columns would have one name.
    pub fn renamed(mut self, names: &[(String, String)]) -> Result<Self, String> {
        for column in &mut self.columns {
            if let Some((_, new)) = names.iter().find(|(name, _)| *name == column.name) {
                column.name.clone_from(new);
            }
        }
        twins(&self.schema, &self.columns)?;
        Ok(self)
    }

    /// Names of the columns, in the order in which values are bound.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.columns.iter().map(|c| c.name.as_str())
    }

    /// The same with their types.
    pub fn kinds(&self) -> impl Iterator<Item = (&str, Type)> {
        self.columns.iter().map(|c| (c.name.as_str(), c.kind))
    }

    /// Names of the columns of the key.
    pub fn key(&self) -> impl Iterator<Item = &str> {
        let keys = self.columns.iter().filter(|c| c.merge == Merge::Key);
        keys.map(|c| c.name.as_str())
    }

    fn keys(&self) -> String {
        join(self.key().map(|name| self.quoted(name)))
    }

    fn quoted(&self, name: &str) -> String {
        self.dialect.quoted(name)
    }

    /// The names of all columns, quoted.
    fn columns(&self) -> String {
        join(self.columns.iter().map(|c| self.quoted(&c.name)))
    }

    /// The statement that creates the table, quoted already, if it is not there; `unique` is
    /// whether there is one row of each key.
    pub fn create(&self, table: &str, unique: bool) -> String {
        let mut sql = format!("CREATE TABLE IF NOT EXISTS {table} (");
        for (n, column) in self.columns.iter().enumerate() {
            let (kind, zero) = column.kind.words(self.dialect);
            let (comma, name) = (if n > 0 { "," } else { "" }, self.quoted(&column.name));
            let short = unique && column.merge == Merge::Key && column.kind == Type::Text;
            let kind = match self.dialect {
                Dialect::Mysql if short => &format!("VARCHAR({})", self.room),
                _ => kind,
            };
            // Writing to a string can not fail.
            let _ = write!(sql, "{comma}\n  {name} {kind} NOT NULL DEFAULT {zero}");
        }
        if unique {
            let _ = write!(sql, ",\n  PRIMARY KEY ({})", self.keys());
        }
        let end = match self.dialect {
            Dialect::Sqlite if unique => " WITHOUT ROWID",
            Dialect::Mysql => Dialect::MYSQL_TABLE,
            _ => "",
        };
        sql + "\n)" + end
    }

    /// The statement that inserts a row into a table, or adds it to the row that has its key.
    pub fn upsert(&self, table: &str) -> String {
        let values = join((1..=self.columns.len()).map(|n| format!("?{n}")));
        self.adding(table, &format!("VALUES ({values})"), &self.keys())
    }

    /// The statement that does so with all rows of `stage`, a table with the same columns. `keys`
    /// is the primary key of the table where that has columns more, each with one value in all.
    pub fn merge(&self, table: &str, stage: &str, keys: Option<&str>) -> String {
        let rows = format!("SELECT {} FROM {stage}", self.columns());
        self.adding(table, &rows, keys.unwrap_or(&self.keys()))
    }

    /// The same where `stage` may have several rows of one key: with the `n`-th of each, from 1.
    pub fn merge_round(&self, table: &str, stage: &str, primary: Option<&str>, n: usize) -> String {
        let (columns, keys) = (self.columns(), self.keys());
        let rounds = format!(
            "SELECT {columns} FROM (SELECT *, row_number() OVER (PARTITION BY {keys}) AS \
             weir_round FROM {stage}) AS rounds WHERE weir_round = {n}"
        );
        self.adding(table, &rounds, primary.unwrap_or(&keys))
    }

    fn adding(&self, table: &str, rows: &str, keys: &str) -> String {
        let called = match self.dialect {
            Dialect::Postgres => format!(" AS {OLD}"),
            _ => String::new(),
        };
        let columns = self.columns();
        let end = self.adds(keys);
        format!("INSERT INTO {table}{called} ({columns}) {rows} {end}")
    }

    /// The end of such a statement.
    fn adds(&self, keys: &str) -> String {
        let others = self.columns.iter().filter(|c| c.merge != Merge::Key);
        // MySQL looks at columns that it has set already: microseconds go before their second.
        let sets = join(others.rev().map(|c| self.meet(c)));
        format!("{} {sets}", self.dialect.meets(keys))
    }

    /// The two ends of a statement that inserts rows, written by [`literal`] in brackets and with
    /// commas between, and adds them to those with their keys if `unique`. `more` are columns
    /// behind those of the rows.
    pub fn insert(&self, table: &str, more: &[String], unique: bool) -> (String, String) {
        let more = more.iter().map(|name| format!(", {}", self.quoted(name)));
        let more = more.collect::<String>();
        let head = format!("INSERT INTO {table} ({}{more}) VALUES ", self.columns());
        let tail = match unique {
            true => format!(" {}", self.adds(&self.keys())),
            false => String::new(),
        };
        (head, tail)
    }

    /// The statement that makes a table for rows on their way to `table`, with its types; it is
    /// empty after each transaction.
    pub fn stage(&self, table: &str, stage: &str) -> String {
        format!(
            "CREATE TEMPORARY TABLE {stage} ON COMMIT DELETE ROWS AS SELECT {} FROM {table} \
             WITH NO DATA",
            self.columns()
        )
    }

    /// The statement that takes rows as [`copied`] writes them.
    pub fn copy(&self, table: &str) -> String {
        format!("COPY {table} ({}) FROM STDIN", self.columns())
    }

    /// The value of a column, quoted already, of the row that is there.
    fn old(&self, name: &str) -> String {
        match self.dialect {
            Dialect::Postgres => format!("{OLD}.{name}"),
            _ => name.into(),
        }
    }

    /// How a column's old and new values become one.
    fn meet(&self, column: &SqlColumn) -> String {
        let name = self.quoted(&column.name);
        let (old, new) = (self.old(&name), self.dialect.fresh(&name));
        let most = match self.dialect {
            Dialect::Mysql => u64::MAX,
            _ => i64::MAX as u64,
        };
        match column.merge {
            Merge::Add if self.dialect == Dialect::Sqlite => format!("{name} = {old} + {new}"),
            // A sum that does not fit is an error there, which would cost all rows of the batch.
            Merge::Add => format!(
                "{name} = CASE WHEN {old} > {most} - {new} THEN {most} ELSE {old} + {new} END"
            ),
            Merge::Or => format!("{name} = {old} | {new}"),
            Merge::Key | Merge::Last => format!("{name} = {new}"),
            Merge::Min | Merge::Max => self.extreme(column, &name),
        }
    }

    /// How the smallest or largest becomes one.
    fn extreme(&self, column: &SqlColumn, name: &str) -> String {
        let source = match column.from {
            From::Row(entry) => entry.column,
            From::Residual(source) => source,
            _ => return format!("{name} = {}", self.dialect.fresh(name)),
        };
        // A time and its microseconds are compared, and move, together.
        let parts: Vec<_> = (self.columns.iter())
            .filter(|c| match c.from {
                From::Row(s) => s.column.what == source.what,
                From::Residual(s) => s.what == source.what,
                _ => false,
            })
            .map(|c| self.quoted(&c.name))
            .collect();
        let before = join(parts.iter().map(|p| self.old(p)));
        let after = join(parts.iter().map(|p| self.dialect.fresh(p)));
        let head = parts.first().map_or(name, String::as_str);
        let zero = if column_is_text(&self.columns, &source) {
            format!("'{}'", self.zero)
        } else {
            "0".into()
        };
        let sign = if column.merge == Merge::Min { '<' } else { '>' };
        // A column that is there may have a zero of its own, below ours.
        let (stated, unstated) = match self.dialect {
            Dialect::Mysql => (">", "<="),
            _ => ("<>", "="),
        };
        let (first, second) = (self.old(head), self.dialect.fresh(head));
        let (old, new) = (self.old(name), self.dialect.fresh(name));
        format!(
            "{name} = CASE WHEN {second} {stated} {zero} AND ({first} {unstated} {zero} OR \
             ({after}) {sign} ({before})) THEN {new} ELSE {old} END"
        )
    }

    /// Hands the values of a row to `bind`, with the number of the column from 0.
    /// Where numbers have a sign, keys above 2^63 become negative, which keeps them distinct, and
    /// counters stop at 2^63 − 1.
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
            if column.kind.is_whole() {
                let number = whole(value, row, flushed);
                let cell = match (self.dialect, column.merge) {
                    (Dialect::Mysql, _) => Cell::Natural(number),
                    (_, Merge::Key) => Cell::Integer(number as i64),
                    _ => Cell::Integer(i64::try_from(number).unwrap_or(i64::MAX)),
                };
                bind(n, cell)?;
                continue;
            }
            self.text.clear();
            let mut pen = Pen::new(&mut self.text);
            match value {
                Some((_, Value::Time(time))) if time.seconds() == 0 => {
                    pen.raw(self.zero.as_bytes());
                }
                Some((_, Value::Time(time))) => self.show.stamp(&mut pen, time),
                Some((entry, _)) => {
                    if self.show.value(&mut pen, &self.schema, &entry, row) {
                        pen.raw(&self.show.text);
                    }
                }
                None => self.show.stamp(&mut pen, flushed),
            }
            drop(pen);
            // No address of theirs is nothing.
            if column.kind == Type::Ip && self.text.is_empty() {
                self.text.extend_from_slice(b"0.0.0.0");
            }
            bind(n, Cell::Text(&String::from_utf8_lossy(&self.text)))?;
        }
        Ok(())
    }
}

fn twins(schema: &Schema, columns: &[SqlColumn]) -> Result<(), String> {
    for (n, column) in columns.iter().enumerate() {
        if columns.iter().take(n).any(|c| c.name == column.name) {
            return Err(format!(
                "two fields of `{}` have the SQL column `{}`",
                schema.name, column.name
            ));
        }
    }
    Ok(())
}

fn whole(value: Option<(Entry, Value)>, row: &[u64], flushed: Nanos) -> u64 {
    match value {
        Some((entry, Value::Number(_))) => entry.number(row),
        Some((_, Value::Time(time))) => time.seconds(),
        Some(_) => 0,
        None => flushed.seconds(),
    }
}

/// Most characters of each text of a key, so that MySQL takes it.
fn room(columns: &[SqlColumn]) -> usize {
    let keys = columns.iter().filter(|c| c.merge == Merge::Key);
    let (mut texts, mut taken) = (0, 0);
    for column in keys {
        match column.kind.room() {
            Some(bytes) => taken += bytes,
            None => texts += 1,
        }
    }
    (KEY.saturating_sub(taken) / CHARACTER / texts.max(1)).clamp(1, 255)
}

fn column_is_text(columns: &[SqlColumn], source: &Column) -> bool {
    let found = columns.iter().find(|c| match c.from {
        From::Row(s) => s.column.what == source.what,
        _ => false,
    });
    found.is_some_and(|c| !c.kind.is_whole())
}

/// A time that nobody stated; servers have no year 0.
fn zero(style: &Style, dialect: Dialect) -> String {
    match dialect.time(style) {
        Type::Time | Type::ZonedTime => {
            let (_, zero) = dialect.time(style).words(dialect);
            return zero.trim_matches('\'').into();
        }
        _ => {}
    }
    let mut text = Vec::new();
    Show::new(style).stamp(&mut Pen::new(&mut text), Nanos(0));
    String::from_utf8_lossy(&text).into_owned()
}

fn push(
    schema: &Schema,
    columns: &mut Vec<SqlColumn>,
    (out, column): (Out, Column),
    style: &Style,
    dialect: Dialect,
) {
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
    let kind = match entry.is_real() {
        true => Type::Real,
        false => dialect.column(&column, style),
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
            kind: match dialect {
                Dialect::Sqlite => Type::Integer,
                _ => Type::Middle,
            },
            merge,
            from: From::Residual(column),
        });
    }
}

fn join(parts: impl Iterator<Item = String>) -> String {
    parts.collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests;
