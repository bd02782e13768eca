//! Rows to tables of a PostgreSQL server, added to the rows that are there, or inserted.
//!
//! A batch is one transaction, in which its identity is stored as well ([`super::sql`]), so a batch
//! that comes again, after a lost connection or out of the spool, is counted once. Rows go there by
//! `COPY`; where they are added up, into a temporary table first and from there to the rows that
//! have their keys. A lock for each output keeps a second transaction from looking at the account
//! while an earlier one, whose connection was lost, may still be stored.
//!
//! Its settings are those of [`server`]; `port` is 5432 if nobody says, a socket is its folder.

mod trouble;

use super::server::{self, Maker, Settings};
use super::sql::{self, BATCHES, Store, Tables};
use super::{Context, Opener, Rows, Sink, SinkError};
use crate::base::options::Options;
use crate::encode::sql::{Dialect, Table, copied};
use postgres::config::{SslMode, TargetSessionAttrs};
use postgres::error::SqlState;
use postgres::types::{ToSql, Type};
use postgres::{Client, Config, CopyInWriter, IsolationLevel, NoTls, Transaction};
use std::collections::BTreeMap;
use std::io::Write;

type Trouble = server::Trouble<postgres::Error>;

/// Bytes of rows that are handed over at a time.
const PIECE: usize = 64 << 10;

/// Memory of a connection: pieces on their way, answers, statements.
const MEMORY: usize = 1 << 20;

/// Tables for rows on their way, in one connection.
const STAGES: usize = 64;

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
}

/// A connection, and what is known of its database.
struct Connection {
    client: Client,
    /// Tables that are there.
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
    let client = settings.first(|host, port, password| {
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
        config.connect(NoTls).and_then(|c| prepared(settings, c))
    })?;
    let stages = BTreeMap::new();
    Ok(Connection { client, stages })
}

/// A fresh connection, with the account of batches.
fn prepared(settings: &Settings, mut client: Client) -> Result<Client, postgres::Error> {
    let wait = settings.peer.timeout.as_millis();
    // A transaction whose connection is lost must not hold its lock for hours.
    client.batch_execute(&format!(
        "SET client_min_messages = warning; SET lock_timeout = {wait}; \
         SET idle_in_transaction_session_timeout = {wait}"
    ))?;
    if !there(&mut client, BATCHES)? {
        client.batch_execute(&sql::account(Dialect::Postgres))?;
    }
    client.batch_execute(&sql::forget(Dialect::Postgres))?;
    Ok(client)
}

impl Maker for Client {
    type Error = postgres::Error;

    fn there(&mut self, settings: &Settings, name: &str) -> Result<bool, postgres::Error> {
        there(self, &settings.named(name))
    }

    fn batch(&mut self, sql: &str) -> Result<(), postgres::Error> {
        self.batch_execute(sql)
    }
}

/// Whether a table is there.
fn there(client: &mut Client, name: &str) -> Result<bool, postgres::Error> {
    let sql = "SELECT to_regclass($1) IS NOT NULL";
    let row = client.query_typed_one(sql, &[(&name, Type::TEXT)])?;
    row.try_get(0)
}

/// The primary key of a table where it has all columns of the rows' key and others beside: as in
/// tables that are made for all that there may be. These keep their defaults.
fn primary(
    client: &mut Client,
    table: &Table,
    name: &str,
) -> Result<Option<String>, postgres::Error> {
    let sql = "SELECT a.attname::text FROM pg_index i JOIN pg_attribute a \
               ON a.attrelid = i.indrelid AND a.attnum = ANY (i.indkey) \
               WHERE i.indisprimary AND i.indrelid = to_regclass($1)";
    let rows = client.query_typed(sql, &[(&name, Type::TEXT)])?;
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

impl Connection {
    /// Makes what a transaction needs for rows of these tables.
    fn prepare<'a>(
        &mut self,
        settings: &Settings,
        table: &Table,
        names: impl Iterator<Item = &'a String>,
    ) -> Result<(), Trouble> {
        for name in names {
            if self.stages.contains_key(name) {
                continue;
            }
            settings.create(&mut self.client, table, name)?;
            let mut stage = Stage {
                name: format!("pg_temp.weir_rows_{}", self.stages.len()),
                primary: None,
            };
            if settings.add {
                let full = settings.named(name);
                let sql = table.stage(&full, &stage.name);
                let made = self.client.batch_execute(&sql);
                stage.primary = made
                    .and_then(|()| primary(&mut self.client, table, &full))
                    .map_err(|error| Trouble::Table(name.clone(), error))?;
            }
            self.stages.insert(name.clone(), stage);
        }
        Ok(())
    }

    /// Forgets tables where there are many, so that neither side keeps one for each name ever seen.
    fn tidy(&mut self) -> Result<(), Trouble> {
        if self.stages.len() > STAGES {
            let names: Vec<_> = self.stages.values().map(|s| s.name.as_str()).collect();
            let sql = format!("DROP TABLE IF EXISTS {}", names.join(", "));
            self.client.batch_execute(&sql)?;
            self.stages.clear();
        }
        Ok(())
    }
}

impl PostgresSink {
    fn store(&mut self, rows: &Rows) -> Result<(), Trouble> {
        let mut connection = match self.connection.take() {
            Some(connection) => connection,
            None => connect(&self.settings)?,
        };
        let (table, groups) = self.tables.sort(rows).map_err(Trouble::Rows)?;
        connection.prepare(&self.settings, table, groups.keys())?;
        let Connection { client, stages } = &mut connection;
        let committed = IsolationLevel::ReadCommitted;
        let transaction = client.build_transaction().isolation_level(committed);
        let mut transaction = transaction.start()?;
        transaction.query_typed(
            "SELECT pg_advisory_xact_lock($1, hashtext($2))",
            &[(&LOCK, Type::INT4), (&self.output, Type::TEXT)],
        )?;
        if !sql::stored(&mut transaction, &self.output, rows)? {
            for (name, rows_of_it) in &groups {
                let full = self.settings.named(name);
                let stage = stages.get(name).filter(|_| self.settings.add);
                let into = stage.map_or(&full, |stage| &stage.name);
                copy(&mut transaction, table, into, rows, rows_of_it)
                    .and_then(|()| match stage {
                        Some(stage) => merge(&mut transaction, table, &full, stage),
                        None => Ok(()),
                    })
                    .map_err(|error| Trouble::Table(name.clone(), error))?;
            }
            sql::remember(&mut transaction, &self.output, rows)?;
        }
        transaction.commit()?;
        connection.tidy()?;
        self.connection = Some(connection);
        Ok(())
    }
}

/// Hands rows over.
fn copy(
    to: &mut Transaction<'_>,
    table: &mut Table,
    into: &str,
    rows: &Rows,
    rows_of_it: &[&[u64]],
) -> Result<(), postgres::Error> {
    let mut writer = to.copy_in(&table.copy(into))?;
    let last = table.names().count().saturating_sub(1);
    let mut piece = Vec::with_capacity(PIECE + (PIECE >> 3));
    for row in rows_of_it {
        let done = table.row(row, rows.flushed, |n, cell| {
            copied(&mut piece, cell, if n == last { b'\n' } else { b'\t' });
            Ok::<_, std::convert::Infallible>(())
        });
        done.unwrap_or_else(|never| match never {});
        if piece.len() >= PIECE {
            send(&mut writer, &mut piece)?;
        }
    }
    send(&mut writer, &mut piece)?;
    writer.finish().map(drop)
}

fn send(writer: &mut CopyInWriter<'_>, piece: &mut Vec<u8>) -> Result<(), postgres::Error> {
    let sent = writer.write_all(piece).and_then(|()| writer.flush());
    piece.clear();
    match sent.map_err(std::io::Error::downcast::<postgres::Error>) {
        Err(Ok(error)) => Err(error),
        // The writer has no errors of its own; what it could not send shows up when it finishes.
        Ok(()) | Err(Err(_)) => Ok(()),
    }
}

/// Adds the rows of `stage` to those of a table. Where several have one key, as texts do that
/// differ in nothing that can be shown, one statement can not add them all.
fn merge(
    to: &mut Transaction<'_>,
    table: &Table,
    full: &str,
    stage: &Stage,
) -> Result<(), postgres::Error> {
    let (name, primary) = (&stage.name, stage.primary.as_deref());
    let sql = format!("SAVEPOINT weir; {}", table.merge(full, name, primary));
    match to.batch_execute(&sql) {
        Err(error) if error.code() == Some(&SqlState::CARDINALITY_VIOLATION) => {}
        done => return done,
    }
    to.batch_execute("ROLLBACK TO SAVEPOINT weir")?;
    for round in 1.. {
        let sql = table.merge_round(full, name, primary, round);
        if to.execute_typed(&sql, &[])? == 0 {
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

impl Store for Transaction<'_> {
    type Error = postgres::Error;
    const DIALECT: Dialect = Dialect::Postgres;

    fn pair(
        &mut self,
        sql: &str,
        output: &str,
        numbers: &[i64],
    ) -> Result<Option<(i64, i64)>, postgres::Error> {
        let row = self.query_typed_opt(sql, &values(&output, numbers))?;
        row.map(|row| Ok((row.try_get(0)?, row.try_get(1)?)))
            .transpose()
    }

    fn run(&mut self, sql: &str, output: &str, numbers: &[i64]) -> Result<(), postgres::Error> {
        self.execute_typed(sql, &values(&output, numbers)).map(drop)
    }
}

impl Sink for PostgresSink {
    fn write(&mut self, rows: &Rows) -> Result<(), SinkError> {
        let stored = self.store(rows);
        let settings = &self.settings;
        stored.map_err(|trouble| trouble.judge(&settings.database, &settings.peer.user))
    }
}
