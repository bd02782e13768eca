//! Rows to tables of an SQLite database, added to the rows that are there.
//!
//! A batch is one transaction. In the same transaction its identity is stored in the table
//! `weir_batch`, so a batch that comes again after a crash of the machine's patience (a lock, a
//! full disk), or after a crash of weir out of the spool, is counted once. Batches of a run may
//! come in any order, so what is stored are stretches of sequence numbers. Tables are created when
//! rows come for them; all fields of the key are the primary key, counters are added, flags OR-ed,
//! times kept as the smallest or largest.
//!
//! Settings, beside those of [`format::values`]:
//!
//! - `path`: the database file.
//! - `table`: the table, a [`Pattern`]: `"acct_%Y%m"`, with the start of the bin as its time, and
//!   `$peer_src_ip`-like values of primitives of the rows, or `$aggregate`, which is the default.
//! - `tables`: most tables of one bin; rows with further values go to one where every value is
//!   `other`; default 256.
//! - `busy_timeout`: how long to wait at a time for others who hold the database; default 5 s.
//! - `journal`: `"wal"` (default; others read while weir writes) or `"delete"` (one file, for
//!   network file systems).
//! - `cache`: memory for pages of the database; default 1 MiB.

use super::format::{self, Shape};
use super::group::Names;
use super::name;
use super::{Context, Opener, Rows, Sink, SinkError};
use crate::base::options::Options;
use crate::base::pattern::Pattern;
use crate::base::time::wall;
use crate::encode::Style;
use crate::encode::sql::{Cell, Table};
use crate::record::Schema;
use rusqlite::{Connection, ErrorCode, OpenFlags, OptionalExtension, Transaction};
use rusqlite::{TransactionBehavior, params};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

/// The table of batches that are stored.
const BATCHES: &str = "weir_batch";

/// How long the batch of a run that is over is remembered, in seconds: 30 days.
const REMEMBER: i64 = 30 * 86_400;

/// Memory beside the cache of pages: statements, the schema, the journal's index.
const BESIDE: usize = 512 << 10;

struct Settings {
    path: PathBuf,
    table: Pattern,
    tables_max: usize,
    busy: Duration,
    wal: bool,
    cache: u64,
    shape: Shape,
}

/// Reads the settings of an output of kind `sqlite`.
pub fn parse(options: &mut Options) -> Option<Box<dyn Opener>> {
    let shape = format::values(options);
    let path = options.required("path", "/var/lib/weir/weir.db");
    let table = options.text("table").unwrap_or("$aggregate".into());
    if reserved(&table) {
        let message = format!("`table` is {table:?}; that name is taken");
        options.wrong("table", message);
    }
    let table = name::pattern(options, "table", &table);
    let tables_max = options.number("tables", 1, 65_536).unwrap_or(256) as usize;
    let busy = options.duration("busy_timeout");
    let journal = [("wal", true), ("delete", false)];
    let wal = options.choice("journal", &journal).unwrap_or(true);
    let cache = options.size("cache").unwrap_or(1 << 20).max(64 << 10);
    Some(Box::new(Settings {
        path: path?.into(),
        table: table?,
        tables_max,
        busy: busy.unwrap_or(Duration::from_secs(5)),
        wal,
        cache,
        shape,
    }))
}

/// Whether a table can not have this name: it is SQLite's or ours.
fn reserved(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    name.starts_with("sqlite_") || name == BATCHES
}

impl Opener for Settings {
    fn open(self: Box<Self>, context: &Context) -> Result<Box<dyn Sink>, String> {
        let style = self.shape.style(context);
        Ok(Box::new(SqliteSink {
            names: Names::new(self.table.clone(), &style, self.tables_max),
            output: context.name.clone(),
            style,
            connection: None,
            tables: Vec::new(),
            taken: (0, Vec::new()),
            settings: *self,
        }))
    }

    fn memory(&self) -> usize {
        usize::try_from(self.cache).map_or(usize::MAX / 4, |cache| cache + BESIDE)
    }
}

/// Why a batch is not stored.
enum Trouble {
    Sql(rusqlite::Error),
    /// A table does not fit.
    Table(String),
    /// The rows can never be stored.
    Rows(String),
}

impl From<rusqlite::Error> for Trouble {
    fn from(e: rusqlite::Error) -> Self {
        Self::Sql(e)
    }
}

/// Writes rows to a database.
struct SqliteSink {
    settings: Settings,
    output: String,
    style: Style,
    names: Names,
    connection: Option<Connection>,
    /// Statements for the rows of each aggregation.
    tables: Vec<(u32, Arc<Schema>, Table)>,
    /// Tables of the present bin.
    taken: (u64, Vec<String>),
}

impl SqliteSink {
    fn open(&self) -> rusqlite::Result<Connection> {
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE
            | OpenFlags::SQLITE_OPEN_CREATE
            | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let settings = &self.settings;
        let connection = Connection::open_with_flags(&settings.path, flags)?;
        connection.busy_timeout(settings.busy)?;
        let mode = if settings.wal { "WAL" } else { "DELETE" };
        let pragma = format!("PRAGMA journal_mode = {mode}");
        // Where the mode can not be had, the one there is will do.
        let _: String = connection.query_row(&pragma, [], |row| row.get(0))?;
        // What an earlier layout knows are runs that are over and had no spool.
        let sql = "SELECT count(*) FROM pragma_table_info(?1) WHERE name = 'sequence'";
        if connection.query_row(sql, [BATCHES], |row| row.get::<_, i64>(0))? > 0 {
            connection.execute_batch(&format!("DROP TABLE {BATCHES}"))?;
        }
        let kibibytes = settings.cache >> 10;
        connection.execute_batch(&format!(
            "PRAGMA synchronous = FULL; PRAGMA cache_size = -{kibibytes};
             CREATE TABLE IF NOT EXISTS {BATCHES} (
               output TEXT NOT NULL, run INTEGER NOT NULL, aggregate INTEGER NOT NULL,
               first INTEGER NOT NULL, last INTEGER NOT NULL, stored INTEGER NOT NULL,
               PRIMARY KEY (output, run, aggregate, first)
             ) WITHOUT ROWID"
        ))?;
        let old = wall().seconds() as i64 - REMEMBER;
        let prune = format!("DELETE FROM {BATCHES} WHERE stored < ?1");
        connection.execute(&prune, [old])?;
        Ok(connection)
    }

    /// The statements for rows of this schema.
    fn table(&mut self, rows: &Rows) -> Result<usize, Trouble> {
        let aggregate = rows.id.aggregate;
        let found = self.tables.iter().position(|(known, schema, _)| {
            *known == aggregate && Arc::ptr_eq(schema, &rows.schema)
        });
        if let Some(at) = found {
            return Ok(at);
        }
        let table = Table::new(rows.schema.clone(), &self.style).map_err(Trouble::Rows)?;
        self.tables.retain(|(known, ..)| *known != aggregate);
        self.tables.push((aggregate, rows.schema.clone(), table));
        Ok(self.tables.len() - 1)
    }

    fn store(&mut self, rows: &Rows) -> Result<(), Trouble> {
        let mut connection = match self.connection.take() {
            Some(connection) => connection,
            None => self.open()?,
        };
        let at = self.table(rows)?;
        if self.taken.0 != rows.bin.0 {
            self.taken = (rows.bin.0, Vec::new());
        }
        let groups = self.names.of(rows, &mut self.taken.1);
        let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        if stored(&transaction, &self.output, rows)? {
            log::debug!(
                "output {}: a batch came again and is there already",
                self.output
            );
        } else {
            for (name, rows_of_it) in &groups {
                if let Some((_, _, table)) = self.tables.get_mut(at) {
                    add(&transaction, table, name, rows, rows_of_it)?;
                }
            }
            remember(&transaction, &self.output, rows)?;
        }
        transaction.commit()?;
        self.connection = Some(connection);
        Ok(())
    }

    /// What to do about it. The connection is opened anew, so nothing of the failure stays.
    fn judge(&self, trouble: Trouble) -> SinkError {
        let path = self.settings.path.display();
        let retry = |why: String, seconds| SinkError::Retry {
            why,
            after: Duration::from_secs(seconds),
        };
        let error = match trouble {
            Trouble::Rows(why) => return SinkError::Refused(why),
            Trouble::Table(why) => return retry(format!("{path}: {why}"), 30),
            Trouble::Sql(error) => error,
        };
        let code = error.sqlite_error_code();
        match code {
            Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => {
                retry(format!("{path} is locked by another program"), 1)
            }
            Some(ErrorCode::DiskFull) => retry(format!("{path}: the disk is full"), 10),
            Some(ErrorCode::CannotOpen) => retry(
                format!("{path} can not be opened; is its folder there, and may weir write to it?"),
                10,
            ),
            Some(ErrorCode::ReadOnly | ErrorCode::PermissionDenied) => {
                retry(format!("{path} may not be written to"), 10)
            }
            Some(ErrorCode::NotADatabase | ErrorCode::DatabaseCorrupt) => retry(
                format!("{path} is no database, or a damaged one; move it away ({error})"),
                30,
            ),
            Some(ErrorCode::ConstraintViolation | ErrorCode::TypeMismatch | ErrorCode::TooBig) => {
                SinkError::Refused(format!("{path}: {error}"))
            }
            _ => retry(format!("{path}: {error}"), 10),
        }
    }
}

/// The stretch of sequence numbers that begins at `at` or before, if there is one.
fn stretch(
    of: &Transaction<'_>,
    output: &str,
    rows: &Rows,
    at: i64,
) -> rusqlite::Result<Option<(i64, i64)>> {
    let sql = format!(
        "SELECT first, last FROM {BATCHES} WHERE output = ?1 AND run = ?2 AND aggregate = ?3 \
         AND first <= ?4 ORDER BY first DESC LIMIT 1"
    );
    let key = params![output, rows.id.run as i64, rows.id.aggregate, at];
    of.query_row(&sql, key, |row| Ok((row.get(0)?, row.get(1)?)))
        .optional()
}

/// Whether this batch is there.
fn stored(to: &Transaction<'_>, output: &str, rows: &Rows) -> rusqlite::Result<bool> {
    let sequence = rows.id.sequence as i64;
    let found = stretch(to, output, rows, sequence)?;
    Ok(found.is_some_and(|(_, last)| last >= sequence))
}

/// Adds this batch to the stretches, and joins those that it fills the gap between.
fn remember(to: &Transaction<'_>, output: &str, rows: &Rows) -> rusqlite::Result<()> {
    let (run, sequence) = (rows.id.run as i64, rows.id.sequence as i64);
    let aggregate = rows.id.aggregate;
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
        to.execute(&sql, params![output, run, aggregate, behind])?;
    }
    let sql = format!("INSERT OR REPLACE INTO {BATCHES} VALUES (?1, ?2, ?3, ?4, ?5, ?6)");
    let now = wall().seconds() as i64;
    to.execute(&sql, params![output, run, aggregate, first, last, now])?;
    Ok(())
}

/// Adds rows to one table.
fn add(
    to: &Transaction<'_>,
    table: &mut Table,
    name: &str,
    rows: &Rows,
    rows_of_it: &[&[u64]],
) -> Result<(), Trouble> {
    // A value that somebody sent must not cost the rows beside it.
    let free = reserved(name).then(|| format!("_{name}"));
    let name = free.as_deref().unwrap_or(name);
    let unfit = |error: rusqlite::Error| match error.sqlite_error_code() {
        Some(ErrorCode::Unknown) => Trouble::Table(format!(
            "the table `{name}` is there with other columns or another key ({error}); rename it, \
             or give the output another `table`"
        )),
        _ => Trouble::Sql(error),
    };
    to.execute_batch(&table.create(name)).map_err(unfit)?;
    let mut statement = to.prepare(&table.upsert(name)).map_err(unfit)?;
    for row in rows_of_it {
        table.row(row, rows.flushed, |n, cell| match cell {
            Cell::Integer(number) => statement.raw_bind_parameter(n + 1, number),
            Cell::Text(text) => statement.raw_bind_parameter(n + 1, text),
            Cell::Real(real) => statement.raw_bind_parameter(n + 1, real),
        })?;
        statement.raw_execute()?;
    }
    Ok(())
}

impl Sink for SqliteSink {
    fn write(&mut self, rows: &Rows) -> Result<(), SinkError> {
        self.store(rows).map_err(|trouble| self.judge(trouble))
    }
}
