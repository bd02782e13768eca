//! Rows to tables of a PostgreSQL server, added to the rows that are there, or inserted.
//!
//! A batch is one transaction, in which its identity is stored as well ([`super::sql`]), so a batch
//! that comes again, after a lost connection or out of the spool, is counted once. Rows go there by
//! `COPY`; where they are added up, into a temporary table first and from there to the rows that
//! have their keys. A lock for each output keeps a second transaction from looking at the account
//! while an earlier one, whose connection was lost, may still be stored.
//!
//! Settings, beside those of [`format::values`] and [`sql::target`]:
//!
//! - `host`: one or several, each a name, an address, either with `:port`, or the folder of a
//!   socket; the first that takes writes is used; default `"localhost"`. `port`: default 5432.
//! - `database`; `user`: default `"weir"`; `password`, or `password_file` with it in its first
//!   line.
//! - `mode`: `"add"` (default) or `"insert"`.
//! - `schema`: a file with SQL that makes a table, in place of weir's own.
//! - `timeout`: for connections, locks, and what a peer does not acknowledge; default 10 s.

mod trouble;

use super::format::{self, Shape};
use super::sql::{self, BATCHES, Store, Tables, Target};
use super::{Context, Opener, Rows, Sink, SinkError, name};
use crate::base::options::{Options, Place};
use crate::encode::sql::{Dialect, Table, copied, quoted};
use postgres::config::{SslMode, TargetSessionAttrs};
use postgres::error::SqlState;
use postgres::types::{ToSql, Type};
use postgres::{Client, Config, CopyInWriter, IsolationLevel, NoTls, Transaction};
use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::path::PathBuf;
use std::time::Duration;
use trouble::Trouble;

/// Bytes of rows that are handed over at a time.
const PIECE: usize = 64 << 10;

/// Memory of a connection: pieces on their way, answers, statements.
const MEMORY: usize = 1 << 20;

/// Tables for rows on their way, in one connection.
const STAGES: usize = 64;

/// Most bytes of a password file, or a file with a schema.
const FILE: u64 = 1 << 20;

/// First half of the number of weir's locks, `WEIR`.
const LOCK: i32 = 0x5745_4952;

struct Settings {
    hosts: Vec<(String, u16)>,
    database: String,
    user: String,
    password: Option<String>,
    password_file: Option<PathBuf>,
    /// Name of the schema in the database that tables are in.
    space: Option<String>,
    /// `table`, as it was given.
    given: String,
    target: Target,
    add: bool,
    schema: Option<PathBuf>,
    timeout: Duration,
    shape: Shape,
}

/// Reads the settings of an output of kind `postgres`.
pub fn parse(options: &mut Options) -> Option<Box<dyn Opener>> {
    // The protocol is a number of pmacct's tables, and of ours where nobody wants a name.
    let numbers = !options.has("protocols");
    let shape = format::values(options);
    let port = options.number("port", 1, 65_535).unwrap_or(5432) as u16;
    let hosts = hosts(options, port);
    let database = options.required("database", "flows");
    let user = options.text("user").unwrap_or("weir".into());
    let password = options.text("password");
    let password_file = options.text("password_file");
    if password.is_some() && password_file.is_some() {
        options.wrong("password", "`password` or `password_file`, not both");
    }
    let given = options.text("table").unwrap_or("$aggregate".into());
    let (space, given) = match given.split_once('.') {
        Some((space, table)) if !space.is_empty() && !space.contains(['$', '%']) => {
            (Some(space.to_string()), table.to_string())
        }
        _ => (None, given),
    };
    let target = sql::target(options, &given, Dialect::Postgres);
    let add = options.choice("mode", &[("add", true), ("insert", false)]);
    let schema = options.text("schema").map(PathBuf::from);
    let timeout = options.duration("timeout");
    Some(Box::new(Settings {
        hosts,
        database: database?,
        user,
        password,
        password_file: password_file.map(PathBuf::from),
        space,
        given,
        target: target?,
        add: add.unwrap_or(true),
        schema,
        timeout: timeout.unwrap_or(Duration::from_secs(10)),
        shape: if numbers { shape.numbers() } else { shape },
    }))
}

/// The hosts, each with its port.
fn hosts(options: &mut Options, port: u16) -> Vec<(String, u16)> {
    let given = options.list("host");
    let given = given.unwrap_or_else(|| vec![("localhost".into(), Place::default())]);
    if given.is_empty() {
        options.wrong("host", "`host` is empty; it takes one host or more");
    }
    let mut hosts = Vec::new();
    for (host, place) in given {
        match host_port(&host, port) {
            Some(pair) => hosts.push(pair),
            None => options.problem(
                place,
                format!(
                    "`host` holds {host:?}; it takes \"db.example\", \"192.0.2.1:5433\", \
                     \"[2001:db8::1]:5433\", or the folder of a socket"
                ),
            ),
        }
    }
    hosts
}

fn host_port(host: &str, port: u16) -> Option<(String, u16)> {
    if host.starts_with('/') {
        return Some((host.into(), port));
    }
    let (name, port) = match host.strip_prefix('[') {
        Some(rest) => match rest.split_once(']')? {
            (name, "") => (name, port),
            (name, rest) => (name, rest.strip_prefix(':')?.parse().ok()?),
        },
        None => match host.split_once(':') {
            // Several colons are an address of IPv6.
            Some((name, rest)) if !rest.contains(':') => (name, rest.parse().ok()?),
            _ => (host, port),
        },
    };
    let fine = !name.is_empty() && !name.contains(|c: char| c.is_whitespace() || c == '\0');
    (fine && port > 0).then(|| (name.into(), port))
}

impl Opener for Settings {
    fn open(self: Box<Self>, context: &Context) -> Result<Box<dyn Sink>, String> {
        let style = self.shape.style(context);
        Ok(Box::new(PostgresSink {
            tables: Tables::new(self.target.clone(), style, Dialect::Postgres),
            output: context.name.clone(),
            connection: None,
            settings: *self,
        }))
    }

    fn memory(&self) -> usize {
        MEMORY + self.target.memory()
    }

    fn columns(&self) -> Option<&'static str> {
        (!name::tells_apart(&self.target.table)).then_some("table")
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

impl Settings {
    /// A connection to the first host that takes writes.
    fn connect(&self) -> Result<Connection, Trouble> {
        let password = self.password()?;
        let mut troubles = Vec::new();
        for (host, port) in &self.hosts {
            let mut config = Config::new();
            config
                .host(host)
                .port(*port)
                .dbname(&self.database)
                .user(&self.user)
                .application_name("weir")
                .connect_timeout(self.timeout)
                .tcp_user_timeout(self.timeout)
                .ssl_mode(SslMode::Disable)
                .target_session_attrs(TargetSessionAttrs::ReadWrite);
            if let Some(password) = &password {
                config.password(password);
            }
            match config.connect(NoTls).and_then(|c| self.prepared(c)) {
                Ok(client) => {
                    if !troubles.is_empty() {
                        log::warn!("{}; {host}:{port} is used", trouble::joined(&troubles));
                    }
                    let stages = BTreeMap::new();
                    return Ok(Connection { client, stages });
                }
                Err(error) => troubles.push((format!("{host}:{port}"), error)),
            }
        }
        Err(Trouble::Away(troubles))
    }

    fn password(&self) -> Result<Option<String>, Trouble> {
        let Some(path) = &self.password_file else {
            return Ok(self.password.clone());
        };
        let text = read(path).map_err(Trouble::Setting)?;
        Ok(Some(text.lines().next().unwrap_or_default().into()))
    }

    /// A fresh connection, with the account of batches.
    fn prepared(&self, mut client: Client) -> Result<Client, postgres::Error> {
        let wait = self.timeout.as_millis();
        // A transaction whose connection is lost must not hold its lock for hours.
        client.batch_execute(&format!(
            "SET client_min_messages = warning; SET lock_timeout = {wait}; \
             SET idle_in_transaction_session_timeout = {wait}"
        ))?;
        if !there(&mut client, BATCHES)? {
            client.batch_execute(&sql::account(Dialect::Postgres))?;
        }
        client.batch_execute(&sql::forget())?;
        Ok(client)
    }

    /// A table as statements name it.
    fn named(&self, name: &str) -> String {
        match &self.space {
            Some(space) => format!("{}.{}", quoted(space), quoted(name)),
            None => quoted(name),
        }
    }

    /// Makes a table that is not there.
    fn create(&self, client: &mut Client, table: &Table, name: &str) -> Result<(), Trouble> {
        let full = self.named(name);
        let failed = |error| Trouble::Create(name.into(), error);
        if there(client, &full).map_err(failed)? {
            return Ok(());
        }
        let Some(path) = &self.schema else {
            let sql = table.create(&full, self.add);
            return client.batch_execute(&sql).map_err(failed);
        };
        let text = read(path).map_err(Trouble::Setting)?;
        let sql = self.filled(&text, name);
        client.batch_execute(&sql).map_err(failed)?;
        if there(client, &full).map_err(failed)? {
            return Ok(());
        }
        Err(Trouble::Setting(format!(
            "{} makes no table {full}; write `$table` where its name belongs",
            path.display()
        )))
    }

    /// The SQL of a schema file with the table's name where it says `$table`, or what `table` says.
    fn filled(&self, text: &str, name: &str) -> String {
        let plain = |name: &str| {
            let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_';
            let number = name.starts_with(|c: char| c.is_ascii_digit());
            !name.is_empty() && !number && name.bytes().all(plain)
        };
        // A name with values of rows in it may hold anything.
        let shown = if plain(name) {
            name.into()
        } else {
            quoted(name)
        };
        let whole = match &self.space {
            Some(space) => format!("{}.{shown}", quoted(space)),
            None => shown.clone(),
        };
        let text = text.replace("$table", &whole);
        if !self.given.contains(['$', '%']) {
            return text;
        }
        let bare = self.given.replace("${", "$").replace('}', "");
        let mut text = text;
        for given in [&self.given, &bare] {
            text = replaced(&text, &quoted(given), &quoted(name));
            text = replaced(&text, given, &shown);
        }
        text
    }
}

/// `text` with `new` wherever it says `old`. The case of letters is no matter, as it is none to the
/// server, but for those of times.
fn replaced(mut text: &str, old: &str, new: &str) -> String {
    let folded = |text: &str| {
        let mut time = false;
        let fold = |byte: u8| {
            let letter = std::mem::replace(&mut time, byte == b'%');
            if letter {
                byte
            } else {
                byte.to_ascii_lowercase()
            }
        };
        text.bytes().map(fold).collect::<Vec<_>>()
    };
    let wanted = folded(old);
    let mut out = String::with_capacity(text.len());
    while let Some(first) = text.chars().next() {
        let part = text.get(..old.len());
        if part.is_some_and(|part| !part.is_empty() && folded(part) == wanted) {
            out.push_str(new);
            text = text.get(old.len()..).unwrap_or_default();
        } else {
            out.push(first);
            text = text.get(first.len_utf8()..).unwrap_or_default();
        }
    }
    out
}

/// A file of the administrator's, which must be a short one.
fn read(path: &PathBuf) -> Result<String, String> {
    let told = |e: std::io::Error| format!("{}: {e}", path.display());
    let file = std::fs::File::open(path).map_err(told)?;
    let mut text = String::new();
    file.take(FILE).read_to_string(&mut text).map_err(told)?;
    Ok(text)
}

/// Whether a table is there. To ask takes no right to make one.
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
    let columns: Vec<_> = columns.iter().map(|c| quoted(c)).collect();
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
            None => self.settings.connect()?,
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

    fn pair(
        &mut self,
        sql: &str,
        output: &str,
        numbers: &[i64],
    ) -> Result<Option<(i64, i64)>, postgres::Error> {
        let sql = Dialect::Postgres.statement(sql);
        let row = self.query_typed_opt(&sql, &values(&output, numbers))?;
        row.map(|row| Ok((row.try_get(0)?, row.try_get(1)?)))
            .transpose()
    }

    fn run(&mut self, sql: &str, output: &str, numbers: &[i64]) -> Result<(), postgres::Error> {
        let sql = Dialect::Postgres.statement(sql);
        self.execute_typed(&sql, &values(&output, numbers))
            .map(drop)
    }
}

impl Sink for PostgresSink {
    fn write(&mut self, rows: &Rows) -> Result<(), SinkError> {
        let settings = &self.settings;
        let (user, database) = (settings.user.clone(), settings.database.clone());
        self.store(rows)
            .map_err(|trouble| trouble.judge(&database, &user))
    }
}

#[cfg(test)]
mod tests;
