//! Rows to tables of a MySQL or MariaDB server, added to the rows that are there, or inserted.
//!
//! A batch is one transaction, in which its identity is stored as well ([`super::sql`]), so a batch
//! that comes again, after a lost connection or out of the spool, is counted once. Rows go there by
//! statements of many rows, each as long as the server allows. Whoever looks at the account waits
//! for an earlier transaction, whose connection was lost, and which may still be stored. Tables of
//! an engine without transactions are not written to: they could not take half a batch back.
//!
//! Its settings are those of [`server`]; `port` is 3306 if nobody says.

mod shape;
mod trouble;

use super::server::{self, Maker, Settings};
use super::sql::{self, BATCHES, Store, Tables};
use super::{Context, Opener, Rows, Sink, SinkError};
use crate::base::options::Options;
use crate::base::zone::Zone;
use crate::encode::sql::{Dialect, Table, literal};
use mysql::prelude::Queryable;
use mysql::{Conn, OptsBuilder, Row, Value};
use shape::Known;
use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

type Trouble = server::Trouble<mysql::Error>;

/// Bytes of a statement, and the least that a server must take.
const PIECE: usize = 256 << 10;
const PACKET: usize = 64 << 10;

/// Memory of a connection: a statement, and what the driver makes of it, twice.
const MEMORY: usize = 3 * (PIECE + (PIECE >> 1));

/// Tables that are known at a time.
const TABLES: usize = 64;

/// Most characters of an output's name, which the account keeps.
const NAME: usize = 255;

/// How much longer than a lock an answer may take, and how much longer yet a server waits for us.
const ANSWER: u32 = 6;
const SILENCE: u32 = 12;

/// Reads the settings of an output of kind `mysql`.
pub fn parse(options: &mut Options) -> Option<Box<dyn Opener>> {
    let settings = server::settings(options, Dialect::Mysql, 3306)?;
    Some(Box::new(To(settings)))
}

struct To(Settings);

impl Opener for To {
    fn open(self: Box<Self>, context: &Context) -> Result<Box<dyn Sink>, String> {
        if context.name.chars().count() > NAME {
            return Err(format!("its name has more than {NAME} characters"));
        }
        self.0.peer.warn(&context.name);
        Ok(Box::new(MysqlSink {
            tables: self.0.tables(context),
            zone: self.0.shape.style(context).zone,
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
struct MysqlSink {
    settings: Settings,
    output: String,
    zone: Zone,
    tables: Tables,
    connection: Option<Connection>,
    /// Whether rows came since it was asked whether it has anything to do.
    used: bool,
}

/// A connection, and what is known of its database.
struct Connection {
    client: Conn,
    /// Most bytes of a statement.
    most: usize,
    /// How far its wall clock is from UTC.
    offset: Option<i32>,
    /// Tables that are there, by their [mark](shape::mark).
    tables: BTreeMap<String, Known>,
}

/// A connection to the first host that takes writes.
fn connect(settings: &Settings) -> Result<Connection, Trouble> {
    let (mut client, most) = settings.first(|host, port, password| {
        let patience = settings.peer.timeout * ANSWER;
        let mut options = OptsBuilder::new()
            .user(Some(&settings.peer.user))
            .pass(password)
            .db_name(Some(&settings.database))
            .prefer_socket(false)
            .tcp_connect_timeout(Some(settings.peer.timeout))
            .tcp_keepalive_time_ms(Some(60_000))
            .read_timeout(Some(patience))
            .write_timeout(Some(patience));
        options = match (host.starts_with('/'), host.contains(':')) {
            (true, _) => options.socket(Some(host)),
            (_, true) => options.ip_or_hostname(Some(format!("[{host}]"))),
            _ => options.ip_or_hostname(Some(host)),
        };
        prepared(settings, Conn::new(options.tcp_port(port))?)
    })?;
    // An account that could not be taken back is none.
    if let Some((engine, false)) = shape::engine(&mut client, None, BATCHES)? {
        return Err(Trouble::Setting(shape::without(BATCHES, &engine)));
    }
    if most < PACKET {
        return Err(Trouble::Setting(format!(
            "the server takes statements of {most} bytes at the most; SET GLOBAL \
             max_allowed_packet = {PIECE}, or more"
        )));
    }
    Ok(Connection {
        client,
        most: most.saturating_sub(1024).min(PIECE),
        offset: None,
        tables: BTreeMap::new(),
    })
}

/// A fresh connection, with the account of batches, and the most bytes of a statement.
fn prepared(settings: &Settings, mut client: Conn) -> Result<(Conn, usize), mysql::Error> {
    let wait = settings.peer.timeout.as_secs().max(1);
    client.query_drop("SET NAMES utf8mb4")?;
    // What does not fit is an error, zeroes of times are none, whatever the server's own mode is.
    // A connection that is lost must not hold its locks for hours.
    client.query_drop(format!(
        "SET SESSION sql_mode = 'STRICT_ALL_TABLES,NO_ENGINE_SUBSTITUTION', autocommit = 1, \
         innodb_lock_wait_timeout = {wait}, lock_wait_timeout = {wait}, wait_timeout = {}",
        wait.saturating_mul(SILENCE.into())
    ))?;
    // Each output looks at rows of its own: locks of the gaps between them are in others' way.
    client.query_drop("SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED")?;
    let row: Option<Row> = client.query_first("SELECT @@max_allowed_packet, @@read_only")?;
    let most = row.as_ref().and_then(|row| row.get_opt(0)?.ok());
    let most = most.unwrap_or(PIECE);
    let locked = row
        .as_ref()
        .and_then(|row| row.get_opt::<String, _>(1)?.ok());
    // A server that follows another takes what an administrator writes, and must not.
    if locked.is_some_and(|word| !["0", "OFF"].contains(&word.as_str())) {
        return Err(trouble::read_only());
    }
    if shape::engine(&mut client, None, BATCHES)?.is_none() {
        client.query_drop(sql::account(Dialect::Mysql))?;
    }
    client.query_drop(sql::forget(Dialect::Mysql))?;
    Ok((client, most))
}

impl Maker for Conn {
    type Error = mysql::Error;

    fn there(&mut self, settings: &Settings, name: &str) -> Result<bool, mysql::Error> {
        shape::engine(self, settings.space.as_deref(), name).map(|engine| engine.is_some())
    }

    fn batch(&mut self, sql: &str) -> Result<(), mysql::Error> {
        let mut results = self.query_iter(sql)?;
        while let Some(rows) = results.iter() {
            for row in rows {
                row?;
            }
        }
        Ok(())
    }
}

impl Connection {
    /// Makes, and looks at, what a transaction needs for rows of these tables.
    fn prepare<'a>(
        &mut self,
        settings: &Settings,
        table: &Table,
        names: impl ExactSizeIterator<Item = &'a String>,
    ) -> Result<(), Trouble> {
        if self.tables.len() + names.len() > TABLES {
            self.tables.clear();
        }
        for name in names {
            let mark = shape::mark(settings, table, name);
            if self.tables.contains_key(&mark) {
                continue;
            }
            settings.create(&mut self.client, table, name)?;
            let known = shape::look(&mut self.client, settings, table, name)?;
            self.tables.insert(mark, known);
        }
        Ok(())
    }

    /// Sets the wall clock of the session, by which the server reads columns of `TIMESTAMP`.
    fn clock(&mut self, offset: i32) -> Result<(), Trouble> {
        if self.offset != Some(offset) {
            let (sign, minutes) = (if offset < 0 { '-' } else { '+' }, offset.abs() / 60);
            let (hours, minutes) = (minutes / 60, minutes % 60);
            let sql = format!("SET SESSION time_zone = '{sign}{hours:02}:{minutes:02}'");
            self.client.query_drop(sql)?;
            self.offset = Some(offset);
        }
        Ok(())
    }
}

impl MysqlSink {
    fn store(&mut self, rows: &Rows) -> Result<(), Trouble> {
        let kept = self.connection.take();
        // A server that ended a silent connection has done nothing wrong.
        let mut connection = match kept.map(|mut kept| kept.client.ping().map(|()| kept)) {
            Some(Ok(connection)) => connection,
            _ => connect(&self.settings)?,
        };
        let (table, groups) = self.tables.sort(rows).map_err(Trouble::Rows)?;
        connection.clock(self.zone.span(rows.bin.seconds() as i64).offset)?;
        connection.prepare(&self.settings, table, groups.keys())?;
        let Connection {
            client,
            tables,
            most,
            ..
        } = &mut connection;
        client.query_drop("START TRANSACTION")?;
        if !sql::stored(client, &self.output, rows)? {
            for (name, rows_of_it) in &groups {
                let mark = shape::mark(&self.settings, table, name);
                if let Some(known) = tables.get_mut(&mark) {
                    insert(client, *most, known, table, rows, rows_of_it).map_err(|e| match e {
                        Trouble::Sql(error) => Trouble::Table(name.clone(), error),
                        other => other,
                    })?;
                    known.tell(&self.output, name);
                }
            }
            sql::remember(client, &self.output, rows)?;
        }
        client.query_drop("COMMIT")?;
        self.connection = Some(connection);
        Ok(())
    }
}

/// Hands rows over, in statements of at the most so many bytes.
fn insert(
    to: &mut Conn,
    most: usize,
    known: &mut Known,
    table: &mut Table,
    rows: &Rows,
    rows_of_it: &[&[u64]],
) -> Result<(), Trouble> {
    let head = known.head.len();
    let mut sql = String::with_capacity(most + (most >> 3));
    sql.push_str(&known.head);
    let mut before = head;
    for row in rows_of_it {
        let mut start = '(';
        let done = table.row(row, rows.flushed, |n, cell| {
            sql.push(std::mem::replace(&mut start, ','));
            if let Some((fit, cut)) = known.fits.get_mut(n) {
                *cut |= !literal(&mut sql, cell, fit);
            }
            Ok::<_, std::convert::Infallible>(())
        });
        done.unwrap_or_else(|never| match never {});
        sql.push_str(&known.more);
        sql.push_str("),");
        if sql.len() + known.tail.len() > most {
            let last = sql.split_off(before);
            send(to, &mut sql, known)?;
            sql.push_str(&last);
        }
        before = sql.len();
        if before + known.tail.len() > most {
            return Err(Trouble::Rows(format!(
                "a row takes {before} bytes; SET GLOBAL max_allowed_packet to more than that"
            )));
        }
    }
    send(to, &mut sql, known)
}

/// Sends a statement, without the comma at its end, and begins the next one.
fn send(to: &mut Conn, sql: &mut String, known: &Known) -> Result<(), Trouble> {
    if sql.len() > known.head.len() {
        sql.pop();
        sql.push_str(&known.tail);
        to.query_drop(&*sql)?;
        sql.truncate(known.head.len());
    }
    Ok(())
}

/// The values of a statement of the account.
fn values(output: &str, numbers: &[i64]) -> Vec<Value> {
    let numbers = numbers.iter().map(|number| Value::Int(*number));
    std::iter::once(Value::from(output))
        .chain(numbers)
        .collect()
}

impl Store for Conn {
    type Error = mysql::Error;
    const DIALECT: Dialect = Dialect::Mysql;

    fn pair(
        &mut self,
        sql: &str,
        output: &str,
        numbers: &[i64],
    ) -> Result<Option<(i64, i64)>, mysql::Error> {
        let row: Option<Row> = self.exec_first(sql, values(output, numbers))?;
        let number = |row: &Row, n: usize| row.get_opt::<i64, _>(n)?.ok();
        Ok(row.and_then(|row| Some((number(&row, 0)?, number(&row, 1)?))))
    }

    fn run(&mut self, sql: &str, output: &str, numbers: &[i64]) -> Result<(), mysql::Error> {
        self.exec_drop(sql, values(output, numbers))
    }
}

impl Sink for MysqlSink {
    fn write(&mut self, rows: &Rows) -> Result<(), SinkError> {
        self.used = true;
        // The driver panics at some answers that no server gives; the next connection may do.
        let stored = catch_unwind(AssertUnwindSafe(|| self.store(rows)));
        let stored = stored.unwrap_or_else(|_| {
            self.connection = None;
            Err(Trouble::Setting(
                "the server gives answers that make no sense".into(),
            ))
        });
        let settings = &self.settings;
        stored.map_err(|trouble| trouble.judge(&settings.database, &settings.peer.user))
    }

    /// A server that ends a silent connection itself says in its log that something is wrong.
    fn idle(&mut self) -> Result<Option<Duration>, SinkError> {
        if std::mem::take(&mut self.used) {
            return Ok(Some(self.settings.peer.timeout * ANSWER));
        }
        self.connection = None;
        Ok(None)
    }
}
