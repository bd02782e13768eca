//! What outputs to servers of databases share: settings, the choice of a host, schema files.
//!
//! Settings, beside those of [`format::values`] and [`sql::target`]:
//!
//! - `host`: one or several, each a name, an address, either with `:port`, or the path of a
//!   socket; the first that takes writes is used; default `"localhost"`. `port`: that of the kind.
//! - `database`; `user`: default `"weir"`; `password`, or `password_file` with it in its first
//!   line.
//! - `mode`: `"add"` (default) or `"insert"`.
//! - `schema`: a file with SQL that makes a table, in place of weir's own.
//! - `timeout`: for connections, locks, and what a peer does not acknowledge; default 10 s.

mod schema;
mod trouble;

use super::Context;
use super::format::{self, Shape};
use super::sql::{self, Tables, Target};
use crate::base::options::{Options, Place};
use crate::encode::sql::{Dialect, Table};
use std::io::Read;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

pub use trouble::{Cause, Failure, Trouble, joined, misfit};

/// Most bytes of a password file, or a file with a schema.
const FILE: u64 = 1 << 20;

/// Settings of an output to a server.
#[derive(Debug)]
pub struct Settings {
    dialect: Dialect,
    /// Hosts, or sockets, each with its port.
    pub hosts: Vec<(String, u16)>,
    /// The database.
    pub database: String,
    /// Who weir is there.
    pub user: String,
    password: Option<String>,
    password_file: Option<PathBuf>,
    /// What tables are in, within the database or beside it, where that is fixed.
    pub space: Option<String>,
    /// `table`, as it was given.
    given: String,
    /// Where rows go.
    pub target: Target,
    /// Whether rows are added to those that have their key.
    pub add: bool,
    schema: Option<PathBuf>,
    /// How long a connection, a lock or an acknowledgement may take.
    pub timeout: Duration,
    /// How values are shown.
    pub shape: Shape,
}

/// Reads the settings.
pub fn settings(options: &mut Options, dialect: Dialect, port: u16) -> Option<Settings> {
    // The protocol is a number of pmacct's tables, and of ours where nobody wants a name.
    let numbers = !options.has("protocols");
    let shape = format::values(options);
    let port = options.number("port", 1, 65_535).unwrap_or(port.into()) as u16;
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
    let mut target = sql::target(options, &given, dialect);
    let add = options.choice("mode", &[("add", true), ("insert", false)]);
    let schema = options.text("schema").map(PathBuf::from);
    if let Some(target) = target
        .as_mut()
        .filter(|_| schema.is_some() && given.contains(['$', '%']))
    {
        target.fitting = schema::clean;
    }
    let timeout = options.duration("timeout");
    Some(Settings {
        dialect,
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
    })
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
                    "`host` holds {host:?}; it takes \"db.example\", \"192.0.2.1:{port}\", \
                     \"[2001:db8::1]:{port}\", or the path of a socket"
                ),
            ),
        }
    }
    hosts
}

fn host_port(host: &str, port: u16) -> Option<(String, u16)> {
    if host.starts_with('/') {
        return (!host.contains('\0')).then(|| (host.into(), port));
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

/// Whether what goes there can be read on no wire.
fn near(host: &str) -> bool {
    let loopback = |host: &str| host.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback());
    host.starts_with('/') || host == "localhost" || loopback(host)
}

/// What makes tables: a connection.
pub trait Maker {
    /// What goes wrong.
    type Error;

    /// Whether a table is there. To ask takes no right to make one.
    ///
    /// # Errors
    /// The server's.
    fn there(&mut self, settings: &Settings, name: &str) -> Result<bool, Self::Error>;

    /// Statements, one or several.
    ///
    /// # Errors
    /// The server's.
    fn batch(&mut self, sql: &str) -> Result<(), Self::Error>;
}

impl Settings {
    /// No tables so far.
    pub fn tables(&self, context: &Context) -> Tables {
        Tables::new(self.target.clone(), self.shape.style(context), self.dialect)
    }

    /// Says which connections others could read.
    pub fn warn(&self, output: &str) {
        for (host, port) in self.hosts.iter().filter(|(host, _)| !near(host)) {
            log::warn!("output {output}: what goes to {host}:{port} is not encrypted");
        }
    }

    /// The first host that takes writes, as `connect` says.
    ///
    /// # Errors
    /// What there is against each of them.
    pub fn first<C, E: Failure>(
        &self,
        mut connect: impl FnMut(&str, u16, Option<&str>) -> Result<C, E>,
    ) -> Result<C, Trouble<E>> {
        let password = self.password().map_err(Trouble::Setting)?;
        let mut troubles = Vec::new();
        for (host, port) in &self.hosts {
            match connect(host, *port, password.as_deref()) {
                Ok(connection) => {
                    if !troubles.is_empty() {
                        log::warn!("{}; {host}:{port} is used", joined(&troubles));
                    }
                    return Ok(connection);
                }
                Err(error) => troubles.push((format!("{host}:{port}"), error)),
            }
        }
        Err(Trouble::Away(troubles))
    }

    fn password(&self) -> Result<Option<String>, String> {
        let Some(path) = &self.password_file else {
            return Ok(self.password.clone());
        };
        let text = read(path)?;
        Ok(Some(text.lines().next().unwrap_or_default().into()))
    }

    /// A table as statements name it.
    pub fn named(&self, name: &str) -> String {
        let name = self.dialect.quoted(name);
        match &self.space {
            Some(space) => format!("{}.{name}", self.dialect.quoted(space)),
            None => name,
        }
    }

    /// Makes a table that is not there.
    ///
    /// # Errors
    /// Why it is not there.
    pub fn create<M: Maker>(
        &self,
        to: &mut M,
        table: &Table,
        name: &str,
    ) -> Result<(), Trouble<M::Error>> {
        let failed = |error| Trouble::Create(name.into(), error);
        if to.there(self, name).map_err(failed)? {
            return Ok(());
        }
        let full = self.named(name);
        let Some(path) = &self.schema else {
            return to.batch(&table.create(&full, self.add)).map_err(failed);
        };
        let text = read(path).map_err(Trouble::Setting)?;
        let name_in_it = schema::Name {
            dialect: self.dialect,
            space: self.space.as_deref(),
            given: &self.given,
            name,
        };
        to.batch(&name_in_it.within(&text)).map_err(failed)?;
        if to.there(self, name).map_err(failed)? {
            return Ok(());
        }
        Err(Trouble::Setting(format!(
            "{} makes no table {full}; write `$table` where its name belongs",
            path.display()
        )))
    }
}

/// A file of the administrator's, which must be a short one.
fn read(path: &Path) -> Result<String, String> {
    let told = |e: std::io::Error| format!("{}: {e}", path.display());
    let file = std::fs::File::open(path).map_err(told)?;
    let mut text = String::new();
    match file.take(FILE).read_to_string(&mut text).map_err(told)? {
        n if (n as u64) < FILE => Ok(text),
        _ => Err(format!("{}: longer than {FILE} bytes", path.display())),
    }
}

#[cfg(test)]
mod tests;
