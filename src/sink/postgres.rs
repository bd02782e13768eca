//! Rows to tables of a PostgreSQL server, added to the rows that are there, or inserted.
//!
//! A batch is one transaction, in which its identity is stored as well ([`super::sql`]), so a batch
//! that comes again, after a lost connection or out of the spool, is counted once. Rows go there by
//! `COPY`; where they are added up, into a temporary table first and from there to the rows that
//! have their keys. A lock for each output keeps a second transaction from looking at the account
//! while an earlier one, whose connection was lost, may still be stored.
//!
//! Its settings are those of [`server`]; `port` is 5432 if nobody says, a socket is its folder.

mod session;
mod trouble;

use super::server::{self, Maker, Settings};
use super::sql::{self, BATCHES, Store, Tables};
use super::{Context, Opener, Rows, Sink, SinkError};
use crate::base::options::Options;
use crate::encode::sql::{Dialect, Table, copied};
use session::{Copy, Error, Session};
use std::collections::BTreeMap;
use std::time::Duration;
use tokio_postgres::Config;
use tokio_postgres::config::{SslMode, TargetSessionAttrs};
use tokio_postgres::error::SqlState;
use tokio_postgres::types::{ToSql, Type};

type Trouble = server::Trouble<Error>;

/// Bytes of rows that are handed over at a time.
const PIECE: usize = 64 << 10;

/// Memory of a connection: pieces on their way, answers, statements.
const MEMORY: usize = 1 << 20;

/// Tables for rows on their way, in one connection.
const STAGES: usize = 64;

/// How much longer than a lock a connection may be silent before it is closed.
const SILENCE: u32 = 6;

/// First half of the number of weir's locks, `WEIR`.
const LOCK: i32 = 0x5745_4952;

/// Reads the settings of an output of kind `postgres`.
pub fn parse(options: &mut Options) -> Option<Box<dyn Opener>> {
    let settings = server::settings(options, Dialect::Postgres, 5432)?;
    Some(Box::new(To(settings)))
}

struct To(Settings);

impl Opener for To {
    fn open(self: Box<Self>, context: &Context) -> Result<Box<dyn Sink>, String> {
        self.0.peer.warn(&context.name);
        Ok(Box::new(PostgresSink {
            tables: self.0.tables(context),
            output: context.name.clone(),
            connection: None,
            used: false,
            settings: self.0,
        }))
    }

    fn memory(&self) -> usize {
        MEMORY + self.0.target.memory()
    }

    fn columns(&self) -> Option<&'static str> {
        self.0.target.columns()
    }
}

/// Writes rows to a server.
struct PostgresSink {
    settings: Settings,
    output: String,
    tables: Tables,
    connection: Option<Connection>,
    /// Whether rows came since it was asked whether it has anything to do.
    used: bool,
}

/// A connection, and what is known of its database.
struct Connection {
    session: Session,
    /// Tables that are there, by the statement that brings rows of these columns to them: after a
    /// reload, and out of a spool, rows of one table may have others.
    stages: BTreeMap<String, Stage>,
}

/// How rows get to a table.
struct Stage {
    /// The table for rows on their way.
    name: String,
    /// The primary key, where it has columns that these rows have not.
    primary: Option<String>,
}

/// A connection to the first host that takes writes.
fn connect(settings: &Settings) -> Result<Connection, Trouble> {
    let session = settings.first(|host, port, password| {
        let mut config = Config::new();
        config
            .host(host)
            .port(port)
            .dbname(&settings.database)
            .user(&settings.peer.user)
            .application_name("weir")
            .connect_timeout(settings.peer.timeout)
            .tcp_user_timeout(settings.peer.timeout)
            .ssl_mode(SslMode::Disable)
            .target_session_attrs(TargetSessionAttrs::ReadWrite);
        if let Some(password) = password {
            config.password(password);
        }
        let session = Session::open(
            &config,
            settings.peer.timeout,
            settings.peer.timeout * SILENCE,
        )?;
        prepared(settings, session)
    })?;
    let stages = BTreeMap::new();
    Ok(Connection { session, stages })
}

/// A fresh connection, with the account of batches.
fn prepared(settings: &Settings, session: Session) -> Result<Session, Error> {
    let wait = settings.peer.timeout.as_millis();
    // A transaction whose connection is lost must not hold its lock for hours.
    session.batch(&format!(
        "SET client_min_messages = warning; SET lock_timeout = {wait}; \
         SET idle_in_transaction_session_timeout = {wait}"
    ))?;
    if !there(&session, BATCHES)? {
        session.batch(&sql::account(Dialect::Postgres))?;
    }
    session.batch(&sql::forget(Dialect::Postgres))?;
    Ok(session)
}

impl Maker for Session {
    type Error = Error;

    fn there(&mut self, settings: &Settings, name: &str) -> Result<bool, Error> {
        there(self, &settings.named(name))
    }

    fn batch(&mut self, sql: &str) -> Result<(), Error> {
        Session::batch(self, sql)
    }
}

/// Whether a table is there.
fn there(session: &Session, name: &str) -> Result<bool, Error> {
    let sql = "SELECT to_regclass($1) IS NOT NULL";
    let rows = session.query(sql, &[(&name, Type::TEXT)])?;
    Ok(rows.first().map_or(Ok(false), |row| row.try_get(0))?)
}

/// The primary key of a table where it has all columns of the rows' key and others beside: as in
/// tables that are made for all that there may be. These keep their defaults.
fn primary(session: &Session, table: &Table, name: &str) -> Result<Option<String>, Error> {
    let sql = "SELECT a.attname::text FROM pg_index i JOIN pg_attribute a \
               ON a.attrelid = i.indrelid AND a.attnum = ANY (i.indkey) \
               WHERE i.indisprimary AND i.indrelid = to_regclass($1)";
    let rows = session.query(sql, &[(&name, Type::TEXT)])?;
    let columns: Vec<String> = rows
        .iter()
        .map(|row| row.try_get(0))
        .collect::<Result<_, _>>()?;
    let all = table.key().all(|key| columns.iter().any(|c| c == key));
    let columns: Vec<_> = columns
        .iter()
        .map(|c| Dialect::Postgres.quoted(c))
        .collect();
    Ok(all.then(|| columns.join(", ")))
}

/// The statement by which a table, and its rows, are known.
fn mark(settings: &Settings, table: &Table, name: &str) -> String {
    let full = settings.named(name);
    match settings.add {
        true => table.merge(&full, "", None),
        false => table.copy(&full),
    }
}

impl Connection {
    /// Makes what a transaction needs for rows of these tables.
    fn prepare<'a>(
        &mut self,
        settings: &Settings,
        table: &Table,
        names: impl Iterator<Item = &'a String>,
    ) -> Result<(), Trouble> {
        for name in names {
            let mark = mark(settings, table, name);
            if self.stages.contains_key(&mark) {
                continue;
            }
            settings.create(&mut self.session, table, name)?;
            let mut stage = Stage {
                name: format!("pg_temp.weir_rows_{}", self.stages.len()),
                primary: None,
            };
            if settings.add {
                let full = settings.named(name);
                let sql = table.stage(&full, &stage.name);
                let made = self.session.batch(&sql);
                stage.primary = made
                    .and_then(|()| primary(&self.session, table, &full))
                    .map_err(|error| Trouble::Table(name.clone(), error))?;
            }
            self.stages.insert(mark, stage);
        }
        Ok(())
    }

    /// Forgets tables where there are many, so that neither side keeps one for each name ever seen.
    fn tidy(&mut self) -> Result<(), Trouble> {
        if self.stages.len() > STAGES {
            let names: Vec<_> = self.stages.values().map(|s| s.name.as_str()).collect();
            let sql = format!("DROP TABLE IF EXISTS {}", names.join(", "));
            self.session.batch(&sql)?;
            self.stages.clear();
        }
        Ok(())
    }
}

impl PostgresSink {
    fn store(&mut self, rows: &Rows) -> Result<(), Trouble> {
        let (kept, timeout) = (self.connection.take(), self.settings.peer.timeout);
        // Whoever ended a silent connection, a server or what is before it, has done nothing wrong.
        let mut connection = match kept.filter(|kept| kept.session.answers(timeout)) {
            Some(connection) => connection,
            None => connect(&self.settings)?,
        };
        let (table, groups) = self.tables.sort(rows).map_err(Trouble::Rows)?;
        connection.prepare(&self.settings, table, groups.keys())?;
        // Whatever fails from here on ends the connection, and with it the transaction.
        let Connection { session, stages } = &mut connection;
        session.batch("BEGIN ISOLATION LEVEL READ COMMITTED")?;
        session.query(
            "SELECT pg_advisory_xact_lock($1, hashtext($2))",
            &[(&LOCK, Type::INT4), (&self.output, Type::TEXT)],
        )?;
        if !sql::stored(session, &self.output, rows)? {
            for (name, rows_of_it) in &groups {
                let full = self.settings.named(name);
                let mark = mark(&self.settings, table, name);
                let stage = stages.get(&mark).filter(|_| self.settings.add);
                let into = stage.map_or(&full, |stage| &stage.name);
                copy(session, table, into, rows, rows_of_it)
                    .and_then(|()| match stage {
                        Some(stage) => merge(session, table, &full, stage),
                        None => Ok(()),
                    })
                    .map_err(|error| Trouble::Table(name.clone(), error))?;
            }
            sql::remember(session, &self.output, rows)?;
        }
        session.batch("COMMIT")?;
        connection.tidy()?;
        self.connection = Some(connection);
        Ok(())
    }
}

/// Hands rows over.
fn copy(
    to: &Session,
    table: &mut Table,
    into: &str,
    rows: &Rows,
    rows_of_it: &[&[u64]],
) -> Result<(), Error> {
    let mut writer: Copy<'_> = to.copy(&table.copy(into))?;
    let last = table.names().count().saturating_sub(1);
    let mut piece = Vec::with_capacity(PIECE + (PIECE >> 3));
    for row in rows_of_it {
        let done = table.row(row, rows.flushed, |n, cell| {
            copied(&mut piece, cell, if n == last { b'\n' } else { b'\t' });
            Ok::<_, std::convert::Infallible>(())
        });
        done.unwrap_or_else(|never| match never {});
        if piece.len() >= PIECE {
            writer.send(&mut piece)?;
        }
    }
    writer.send(&mut piece)?;
    writer.finish()
}

/// Adds the rows of `stage` to those of a table. Where several have one key, as texts do that
/// differ in nothing that can be shown, one statement can not add them all.
fn merge(to: &Session, table: &Table, full: &str, stage: &Stage) -> Result<(), Error> {
    let (name, primary) = (&stage.name, stage.primary.as_deref());
    let sql = format!("SAVEPOINT weir; {}", table.merge(full, name, primary));
    match to.batch(&sql) {
        Err(error) if error.code() == Some(&SqlState::CARDINALITY_VIOLATION) => {}
        done => return done,
    }
    to.batch("ROLLBACK TO SAVEPOINT weir")?;
    for round in 1.. {
        let sql = table.merge_round(full, name, primary, round);
        if to.execute(&sql, &[])? == 0 {
            break;
        }
    }
    Ok(())
}

/// The values of a statement of the account.
fn values<'a>(output: &'a &str, numbers: &'a [i64]) -> Vec<(&'a (dyn ToSql + Sync), Type)> {
    let output: (&(dyn ToSql + Sync), Type) = (output, Type::TEXT);
    let numbers = numbers.iter().map(|number| {
        let number: &(dyn ToSql + Sync) = number;
        (number, Type::INT8)
    });
    std::iter::once(output).chain(numbers).collect()
}

impl Store for Session {
    type Error = Error;
    const DIALECT: Dialect = Dialect::Postgres;

    fn pair(
        &mut self,
        sql: &str,
        output: &str,
        numbers: &[i64],
    ) -> Result<Option<(i64, i64)>, Error> {
        let rows = self.query(sql, &values(&output, numbers))?;
        let pair = rows
            .first()
            .map(|row| Ok((row.try_get(0)?, row.try_get(1)?)));
        pair.transpose()
    }

    fn run(&mut self, sql: &str, output: &str, numbers: &[i64]) -> Result<(), Error> {
        self.execute(sql, &values(&output, numbers)).map(drop)
    }
}

impl Sink for PostgresSink {
    fn write(&mut self, rows: &Rows) -> Result<(), SinkError> {
        self.used = true;
        let stored = self.store(rows);
        let settings = &self.settings;
        stored.map_err(|trouble| trouble.judge(&settings.database, &settings.peer.user))
    }

    /// A silent connection may be cut by what it goes through, and is one that others can not have.
    fn idle(&mut self) -> Result<Option<Duration>, SinkError> {
        if std::mem::take(&mut self.used) {
            return Ok(Some(self.settings.peer.timeout * SILENCE));
        }
        self.connection = None;
        Ok(None)
    }
}
