//! Rows to tables of an SQLite database, added to the rows that are there.
//!
//! A batch is one transaction, in which its identity is stored as well ([`super::sql`]), so a batch
//! that comes again after a crash of the machine's patience (a lock, a full disk), or after a crash
//! of weir out of the spool, is counted once. Tables are created when rows come for them; all
//! fields of the key are the primary key, counters are added, flags OR-ed, times kept as the
//! smallest or largest.
//!
//! Settings, beside those of [`format::values`] and [`sql::target`]:
//!
//! - `path`: the database file.
//! - `busy_timeout`: how long to wait at a time for others who hold the database; default 5 s.
//! - `journal`: `"wal"` (default; others read while weir writes) or `"delete"` (one file, for
//!   network file systems).
//! - `cache`: memory for pages of the database; default 1 MiB.

use super::format::{self, Shape};
use super::sql::{self, BATCHES, Store, Tables, Target};
use super::{Context, Opener, Rows, Sink, SinkError};
use crate::base::options::Options;
use crate::encode::sql::{Cell, Dialect, Table};
use rusqlite::types::Value;
use rusqlite::{Connection, ErrorCode, OpenFlags, OptionalExtension, Transaction};
use rusqlite::{TransactionBehavior, params_from_iter};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Memory beside the cache of pages: statements, the schema, the journal's index.
const BESIDE: usize = 512 << 10;

struct Settings {
    path: PathBuf,
    target: Target,
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
    let target = sql::target(options, &table, Dialect::Sqlite);
    let busy = options.duration("busy_timeout");
    let journal = [("wal", true), ("delete", false)];
    let wal = options.choice("journal", &journal).unwrap_or(true);
    let cache = options.size("cache").unwrap_or(1 << 20).max(64 << 10);
    Some(Box::new(Settings {
        path: path?.into(),
        target: target?,
        busy: busy.unwrap_or(Duration::from_secs(5)),
        wal,
        cache,
        shape,
    }))
}

impl Opener for Settings {
    fn open(self: Box<Self>, context: &Context) -> Result<Box<dyn Sink>, String> {
        let style = self.shape.style(context);
        Ok(Box::new(SqliteSink {
            tables: Tables::new(self.target.clone(), style, Dialect::Sqlite),
            output: context.name.clone(),
            connection: None,
            settings: *self,
        }))
    }

    fn memory(&self) -> usize {
        usize::try_from(self.cache).map_or(usize::MAX / 4, |cache| {
            cache.saturating_add(BESIDE + self.target.memory())
        })
    }

    fn columns(&self) -> Option<&'static str> {
        self.target.columns()
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
    tables: Tables,
    /// With the file that it has open.
    connection: Option<(Connection, Option<File>)>,
}

/// Which file has a name: its device and its number there.
type File = (u64, u64);

fn file(path: &Path) -> Option<File> {
    let there = std::fs::metadata(path).ok()?;
    Some((there.dev(), there.ino()))
}

impl SqliteSink {
    /// The connection, unless its file has the name no more: rows would go to one that nobody sees,
    /// and be gone with it.
    fn kept(&mut self) -> Option<Connection> {
        let (connection, at) = self.connection.take()?;
        if at == file(&self.settings.path) {
            return Some(connection);
        }
        let path = self.settings.path.display();
        log::warn!("{path} was taken away");
        // Closing does not look for it. What its journal holds goes with it.
        let sql = "PRAGMA wal_checkpoint(TRUNCATE)";
        if let Err(e) = connection.query_row(sql, [], |_| Ok(())) {
            log::warn!("{path}: its last rows may be missing where it is now: {e}");
        }
        None
    }

    fn open(&self) -> rusqlite::Result<Connection> {
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE
            | OpenFlags::SQLITE_OPEN_CREATE
            | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let settings = &self.settings;
        if let Some(folder) = settings.path.parent() {
            // As for files. What hinders is said when the database can not be opened.
            let _ = std::fs::create_dir_all(folder);
        }
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
            "PRAGMA synchronous = FULL; PRAGMA cache_size = -{kibibytes}; {}; {}",
            sql::account(Dialect::Sqlite),
            sql::forget(Dialect::Sqlite)
        ))?;
        Ok(connection)
    }

    fn store(&mut self, rows: &Rows) -> Result<(), Trouble> {
        let mut connection = match self.kept() {
            Some(connection) => connection,
            None => self.open()?,
        };
        let (table, groups) = self.tables.sort(rows).map_err(Trouble::Rows)?;
        let mut transaction =
            connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        if !sql::stored(&mut transaction, &self.output, rows)? {
            for (name, rows_of_it) in &groups {
                add(&transaction, table, name, rows, rows_of_it)?;
            }
            sql::remember(&mut transaction, &self.output, rows)?;
        }
        transaction.commit()?;
        self.connection = Some((connection, file(&self.settings.path)));
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

/// The values of a statement of the account.
fn values(output: &str, numbers: &[i64]) -> impl Iterator<Item = Value> {
    let numbers = numbers.iter().map(|number| Value::Integer(*number));
    std::iter::once(Value::Text(output.into())).chain(numbers.collect::<Vec<_>>())
}

impl Store for Transaction<'_> {
    type Error = rusqlite::Error;
    const DIALECT: Dialect = Dialect::Sqlite;

    fn pair(
        &mut self,
        sql: &str,
        output: &str,
        numbers: &[i64],
    ) -> rusqlite::Result<Option<(i64, i64)>> {
        let values = params_from_iter(values(output, numbers));
        let found = self.query_row(sql, values, |row| Ok((row.get(0)?, row.get(1)?)));
        found.optional()
    }

    fn run(&mut self, sql: &str, output: &str, numbers: &[i64]) -> rusqlite::Result<()> {
        let values = params_from_iter(values(output, numbers));
        self.execute(sql, values).map(drop)
    }
}

/// Adds rows to one table.
fn add(
    to: &Transaction<'_>,
    table: &mut Table,
    name: &str,
    rows: &Rows,
    rows_of_it: &[&[u64]],
) -> Result<(), Trouble> {
    let unfit = |error: rusqlite::Error| match error.sqlite_error_code() {
        Some(ErrorCode::Unknown) => Trouble::Table(format!(
            "the table `{name}` is there with other columns or another key ({error}); rename it, \
             or give the output another `table`"
        )),
        _ => Trouble::Sql(error),
    };
    let quoted = Dialect::Sqlite.quoted(name);
    to.execute_batch(&table.create(&quoted, true))
        .map_err(unfit)?;
    let mut statement = to.prepare(&table.upsert(&quoted)).map_err(unfit)?;
    for row in rows_of_it {
        table.row(row, rows.flushed, |n, cell| match cell {
            Cell::Integer(number) => statement.raw_bind_parameter(n + 1, number),
            // Such are for databases that have them.
            Cell::Natural(number) => statement.raw_bind_parameter(n + 1, number as i64),
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
