//! What outputs to databases share: which rows go to which table, and the account of batches
//! that are stored.
//!
//! A batch is one transaction, and in the same transaction its identity is stored in the table
//! [`BATCHES`]. Batches of a run may come in any order, so what is stored are stretches of
//! sequence numbers.

use super::group::Names;
use super::{Rows, name};
use crate::base::options::Options;
use crate::base::pattern::Pattern;
use crate::base::text::nearest;
use crate::base::time::wall;
use crate::encode::Style;
use crate::encode::sql::{Dialect, Table};
use crate::record::{FIELDS, Schema};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// The table of batches that are stored.
pub const BATCHES: &str = "weir_batch";

/// Columns that are no fields of their own.
const BESIDE: [&str; 7] = [
    "packets",
    "bytes",
    "flows",
    "stamp_updated",
    "total",
    "lon_ip_src",
    "lon_ip_dst",
];

/// How long the batch of a run that is over is remembered, in seconds: 30 days.
const REMEMBER: i64 = 30 * 86_400;

/// Where rows of an output go.
#[derive(Clone, Debug)]
pub struct Target {
    /// Name of the table.
    pub table: Pattern,
    /// Most tables of one bin.
    pub most: usize,
    /// What a name becomes before it is used.
    pub fitting: fn(&str) -> String,
    /// Columns that have other names there.
    columns: Vec<(String, String)>,
}

/// Memory of one table of many: its name, and what the database's library knows of it.
const TABLE: usize = 4 << 10;

impl Target {
    /// Bytes that it takes where rows go to tables by their values.
    pub fn memory(&self) -> usize {
        let by_value = self.table.variables().any(|v| v != name::AGGREGATE);
        if by_value { self.most * TABLE } else { 0 }
    }

    /// The setting that says where rows go, if all go to one table.
    pub fn columns(&self) -> Option<&'static str> {
        (!name::tells_apart(&self.table)).then_some("table")
    }
}

/// Takes the settings that say where rows go:
///
/// - `table`: the table, a [`Pattern`]: `"acct_%Y%m"`, with the start of the bin as its time, and
///   `$peer_src_ip`-like values of primitives of the rows, or `$aggregate`, which is the default.
/// - `tables`: most tables of one bin; rows with further values go to one where every value is
///   `other`; default 256.
/// - `columns`: columns that are called otherwise: `["port_src=src_port"]`.
pub fn target(options: &mut Options, text: &str, dialect: Dialect) -> Option<Target> {
    if free(text, dialect).is_some() {
        let message = format!("`table` is {text:?}; that name is taken");
        options.wrong("table", message);
    }
    let table = name::pattern(options, "table", text);
    let most = options.number("tables", 1, 65_536).unwrap_or(256) as usize;
    let columns = columns(options);
    Some(Target {
        table: table?,
        most,
        fitting: str::to_string,
        columns,
    })
}

/// Columns of rows, each with the name that it has in tables.
fn columns(options: &mut Options) -> Vec<(String, String)> {
    let mut all = Vec::new();
    for (pair, place) in options.list("columns").unwrap_or_default() {
        let parts = pair.split_once('=').map(|(a, b)| (a.trim(), b.trim()));
        let Some((name, new)) = parts.filter(|(_, new)| !new.is_empty()) else {
            let message =
                format!("`columns` holds {pair:?}; it takes \"port_src=src_port\" and the like");
            options.problem(place, message);
            continue;
        };
        let fields = FIELDS.iter().map(|field| field.sql);
        let known = fields.filter(|name| !name.is_empty()).chain(BESIDE);
        let known: Vec<_> = known.collect();
        if known.contains(&name.strip_suffix("_residual").unwrap_or(name)) {
            all.push((name.into(), new.into()));
            continue;
        }
        let near = nearest(name, known);
        let near = near.map_or_else(String::new, |near| format!("; did you mean {near:?}?"));
        options.problem(
            place,
            format!("`columns` holds {pair:?}: no rows have a column {name:?}{near}"),
        );
    }
    all
}

/// What a table is called that can not have this name, because it is the database's or ours: a
/// value that somebody sent must not cost the rows beside it. None where it can.
fn free(name: &str, dialect: Dialect) -> Option<String> {
    let small = name.to_ascii_lowercase();
    let taken = match dialect {
        Dialect::Sqlite => small.starts_with("sqlite_") || small == BATCHES,
        Dialect::Postgres => {
            let fitting = dialect.table(name);
            if fitting != name {
                return Some(free(&fitting, dialect).unwrap_or(fitting));
            }
            // Keys of tables have names among those of tables.
            if small.ends_with("_pkey") {
                let end = name.len().min(Dialect::NAME - 1);
                return Some(format!("{}_", &name[..end]));
            }
            small.starts_with("pg_") || small == BATCHES
        }
        Dialect::Mysql => {
            let fitting = dialect.table(name);
            if fitting != name {
                return Some(free(&fitting, dialect).unwrap_or(fitting));
            }
            small == BATCHES
        }
    };
    taken.then(|| format!("_{name}"))
}

/// Tables that rows go to, and their statements.
pub struct Tables {
    names: Names,
    fitting: fn(&str) -> String,
    columns: Vec<(String, String)>,
    style: Style,
    dialect: Dialect,
    /// Statements for the rows of each aggregation.
    known: Vec<(u32, Arc<Schema>, Table)>,
    /// Tables of the present bin.
    taken: (u64, BTreeSet<String>),
}

/// Rows by the name of their table.
pub type Sorted<'a> = BTreeMap<String, Vec<&'a [u64]>>;

impl Tables {
    /// None so far.
    pub fn new(target: Target, style: Style, dialect: Dialect) -> Self {
        Self {
            names: Names::new(target.table, &style, target.most, |_| {}),
            fitting: target.fitting,
            columns: target.columns,
            style,
            dialect,
            known: Vec::new(),
            taken: (0, BTreeSet::new()),
        }
    }

    /// The statements for these rows, and the rows by the name of their table.
    ///
    /// # Errors
    /// Why no table can hold them.
    pub fn sort<'a>(&mut self, rows: &'a Rows) -> Result<(&mut Table, Sorted<'a>), String> {
        if self.taken.0 != rows.bin.0 {
            self.taken = (rows.bin.0, BTreeSet::new());
        }
        let mut groups: Sorted<'a> = BTreeMap::new();
        for (name, rows_of_it) in self.names.of(rows, &mut self.taken.1) {
            let name = (self.fitting)(&name);
            let name = free(&name, self.dialect).unwrap_or(name);
            groups.entry(name).or_default().extend(rows_of_it);
        }
        let aggregate = rows.id.aggregate;
        let found = self.known.iter().position(|(known, schema, _)| {
            *known == aggregate && Arc::ptr_eq(schema, &rows.schema)
        });
        let at = match found {
            Some(at) => at,
            None => {
                let table = Table::new(rows.schema.clone(), &self.style, self.dialect)?;
                let table = table.renamed(&self.columns)?;
                self.known.retain(|(known, ..)| *known != aggregate);
                self.known.push((aggregate, rows.schema.clone(), table));
                self.known.len() - 1
            }
        };
        let table = self.known.get_mut(at).map(|(_, _, table)| table);
        table.map(|table| (table, groups)).ok_or_else(String::new)
    }
}

/// A transaction, as far as the account of batches needs it. The first value of each statement is
/// the name of the output, numbers follow.
pub trait Store {
    /// What goes wrong.
    type Error;

    /// Whose SQL it takes.
    const DIALECT: Dialect;

    /// Two numbers, where a row is found.
    ///
    /// # Errors
    /// The database's.
    fn pair(
        &mut self,
        sql: &str,
        output: &str,
        numbers: &[i64],
    ) -> Result<Option<(i64, i64)>, Self::Error>;

    /// A statement without an answer.
    ///
    /// # Errors
    /// The database's.
    fn run(&mut self, sql: &str, output: &str, numbers: &[i64]) -> Result<(), Self::Error>;
}

/// The statement that makes the account.
pub fn account(dialect: Dialect) -> String {
    let (number, text, end) = match dialect {
        Dialect::Sqlite => ("INTEGER", "TEXT", " WITHOUT ROWID"),
        Dialect::Postgres => ("BIGINT", "TEXT", ""),
        Dialect::Mysql => ("BIGINT", "VARCHAR(255)", Dialect::MYSQL_TABLE),
    };
    let stored = dialect.quoted("stored");
    format!(
        "CREATE TABLE IF NOT EXISTS {BATCHES} (
           output {text} NOT NULL, run {number} NOT NULL, aggregate {number} NOT NULL,
           first {number} NOT NULL, last {number} NOT NULL, {stored} {number} NOT NULL,
           PRIMARY KEY (output, run, aggregate, first)
         ){end}"
    )
}

/// The statement that forgets batches that can not come again.
pub fn forget(dialect: Dialect) -> String {
    let old = wall().seconds() as i64 - REMEMBER;
    let stored = dialect.quoted("stored");
    format!("DELETE FROM {BATCHES} WHERE {stored} < {old}")
}

/// The stretch of sequence numbers that begins at `at` or before, if there is one.
fn stretch<S: Store>(
    to: &mut S,
    output: &str,
    rows: &Rows,
    at: i64,
) -> Result<Option<(i64, i64)>, S::Error> {
    let sql = format!(
        "SELECT first, last FROM {BATCHES} WHERE output = ?1 AND run = ?2 AND aggregate = ?3 \
         AND first <= ?4 ORDER BY first DESC LIMIT 1{}",
        S::DIALECT.locking()
    );
    let (run, aggregate) = (rows.id.run as i64, i64::from(rows.id.aggregate));
    let sql = S::DIALECT.statement(&sql);
    to.pair(&sql, output, &[run, aggregate, at])
}

/// Whether this batch is there.
///
/// # Errors
/// The database's.
pub fn stored<S: Store>(to: &mut S, output: &str, rows: &Rows) -> Result<bool, S::Error> {
    let sequence = rows.id.sequence as i64;
    let found = stretch(to, output, rows, sequence)?;
    let there = found.is_some_and(|(_, last)| last >= sequence);
    if there {
        log::debug!("output {output}: a batch came again and is there already");
    }
    Ok(there)
}

/// Adds this batch to the stretches, and joins those that it fills the gap between.
///
/// # Errors
/// The database's.
pub fn remember<S: Store>(to: &mut S, output: &str, rows: &Rows) -> Result<(), S::Error> {
    let (run, sequence) = (rows.id.run as i64, rows.id.sequence as i64);
    let aggregate = i64::from(rows.id.aggregate);
    let (mut first, mut last) = (sequence, sequence);
    if let Some((before, end)) = stretch(to, output, rows, sequence)?
        && end == sequence - 1
    {
        first = before;
    }
    if let Some((behind, end)) = stretch(to, output, rows, sequence + 1)?
        && behind == sequence + 1
    {
        last = end;
        let sql = format!(
            "DELETE FROM {BATCHES} WHERE output = ?1 AND run = ?2 AND aggregate = ?3 AND first = ?4"
        );
        let sql = S::DIALECT.statement(&sql);
        to.run(&sql, output, &[run, aggregate, behind])?;
    }
    let stored = S::DIALECT.quoted("stored");
    let sets = ["last", &stored].map(|name| format!("{name} = {}", S::DIALECT.fresh(name)));
    let meets = S::DIALECT.meets("output, run, aggregate, first");
    let sql = format!(
        "INSERT INTO {BATCHES} (output, run, aggregate, first, last, {stored}) \
         VALUES (?1, ?2, ?3, ?4, ?5, ?6) {meets} {}",
        sets.join(", ")
    );
    let sql = S::DIALECT.statement(&sql);
    let now = wall().seconds() as i64;
    to.run(&sql, output, &[run, aggregate, first, last, now])
}
