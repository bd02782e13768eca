//! What outputs to servers of databases share: settings, the choice of a host, schema files.
//!
//! Settings, beside those of [`format::values`] and [`sql::target`]:
//!
//! - those of [`peer`]: the first host that takes writes is used; `user` is `"weir"` if nobody
//!   says; `timeout` is that of locks as well.
//! - `database`.
//! - `mode`: `"add"` (default) or `"insert"`.
//! - `schema`: a file with SQL that makes a table, in place of weir's own.

mod schema;
mod trouble;

use super::Context;
use super::format::{self, Shape};
use super::peer::{self, Peer, read};
use super::sql::{self, Tables, Target};
use crate::base::options::Options;
use crate::encode::sql::{Dialect, Table};
use std::path::PathBuf;

pub use trouble::{Cause, Failure, Trouble, joined, misfit};

/// Settings of an output to a server.
#[derive(Debug)]
pub struct Settings {
    dialect: Dialect,
    /// Where it is, and who weir is there.
    pub peer: Peer,
    /// The database.
    pub database: String,
    /// What tables are in, within the database or beside it, where that is fixed.
    pub space: Option<String>,
    /// `table`, as it was given.
    given: String,
    /// Where rows go.
    pub target: Target,
    /// Whether rows are added to those that have their key.
    pub add: bool,
    schema: Option<PathBuf>,
    /// How values are shown.
    pub shape: Shape,
}

/// Reads the settings.
pub fn settings(options: &mut Options, dialect: Dialect, port: u16) -> Option<Settings> {
    // The protocol is a number of pmacct's tables, and of ours where nobody wants a name.
    let numbers = !options.has("protocols");
    let shape = format::values(options);
    let peer = peer::parse(options, port, None);
    let database = options.required("database", "flows");
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
    Some(Settings {
        dialect,
        peer,
        database: database?,
        space,
        given,
        target: target?,
        add: add.unwrap_or(true),
        schema,
        shape: if numbers { shape.numbers() } else { shape },
    })
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

    /// The first host that takes writes, as `connect` says.
    ///
    /// # Errors
    /// What there is against each of them.
    pub fn first<C, E: Failure>(
        &self,
        mut connect: impl FnMut(&str, u16, Option<&str>) -> Result<C, E>,
    ) -> Result<C, Trouble<E>> {
        let password = self.peer.password().map_err(Trouble::Setting)?;
        let mut troubles = Vec::new();
        for (host, port) in &self.peer.hosts {
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

#[cfg(test)]
mod tests;
