//! What goes wrong with a server, in words for whoever can mend it, and whether it may heal.
//!
//! The connection is opened anew after each of these, so nothing of the failure stays.

use super::super::SinkError;
use std::time::Duration;

/// Why a batch is not stored.
#[derive(Debug)]
pub enum Trouble<E> {
    /// No host is reached; each with its reason.
    Away(Vec<(String, E)>),
    /// In the midst of it.
    Sql(E),
    /// A table can not be made.
    Create(String, E),
    /// Rows do not go into a table.
    Table(String, E),
    /// A file that the configuration names, or what somebody must change at the server.
    Setting(String),
    /// The rows can never be stored.
    Rows(String),
}

impl<E> From<E> for Trouble<E> {
    fn from(error: E) -> Self {
        Self::Sql(error)
    }
}

/// What an error of a server comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause {
    /// The connection, or there is none.
    Lost,
    /// The server wants a password.
    Password,
    /// It does not let this user in.
    Login,
    /// There is no such database.
    Database,
    /// A right is missing.
    Forbidden,
    /// Others hold what is to be written.
    Busy,
    /// A table has gone.
    Table,
    /// The server is told to end.
    Down,
    /// Its disk is full.
    Full,
    /// What was to be made is there.
    There,
    /// The columns or the key of a table.
    Shape,
    /// A number that is too large for its column.
    Large,
    /// A second row of a key.
    Twin,
    /// A text that the database can not hold.
    Text,
    /// A value that the database, its constraints or its triggers forbid.
    Value,
    /// Something that this would mend.
    Mend(&'static str),
    /// Anything else.
    Other,
}

/// An error of a server.
pub trait Failure {
    /// What the server, or the system, says.
    fn said(&self) -> String;

    /// What it comes from.
    fn cause(&self) -> Cause;

    /// What one does about it there.
    fn hint(cause: Cause, database: &str, user: &str) -> String;
}

/// Hosts with their reasons.
pub fn joined<E: Failure>(troubles: &[(String, E)]) -> String {
    let each = troubles
        .iter()
        .map(|(host, error)| format!("{host}: {}", error.said()));
    each.collect::<Vec<_>>().join("; ")
}

fn retry(why: String, seconds: u64) -> SinkError {
    SinkError::Retry {
        why,
        after: Duration::from_secs(seconds),
    }
}

impl<E: Failure> Trouble<E> {
    /// What to do about it.
    pub fn judge(self, database: &str, user: &str) -> SinkError {
        match self {
            Self::Rows(why) => SinkError::Refused(why),
            Self::Setting(why) => retry(why, 30),
            Self::Away(troubles) => away(&troubles, database, user),
            Self::Sql(error) => any(&error, database, user),
            Self::Create(name, error) => create(&name, &error, database, user),
            Self::Table(name, error) => table(&name, &error, database, user),
        }
    }
}

fn away<E: Failure>(troubles: &[(String, E)], database: &str, user: &str) -> SinkError {
    let why = joined(troubles);
    let mut causes = troubles.iter().map(|(_, error)| error.cause());
    let cause = causes.find(|cause| *cause != Cause::Lost);
    let Some(cause) = cause else {
        let hint = "is it running, and are `host` and `port` right?";
        return retry(format!("no server can be used: {why}; {hint}"), 5);
    };
    let hint = E::hint(cause, database, user);
    match cause {
        Cause::Password => retry(format!("the server wants a password: {hint} ({why})"), 30),
        Cause::Login => retry(format!("{user} is not let in: {why}; {hint}"), 30),
        Cause::Database => retry(format!("{why}; make it: {hint}"), 30),
        Cause::Forbidden => retry(format!("{why}; {hint}"), 30),
        Cause::Mend(hint) => retry(format!("no server can be used: {why}; {hint}"), 30),
        _ => retry(format!("no server can be used: {why}"), 5),
    }
}

fn any<E: Failure>(error: &E, database: &str, user: &str) -> SinkError {
    let (why, cause) = (error.said(), error.cause());
    match cause {
        Cause::Lost => retry(format!("the connection is lost: {why}"), 1),
        Cause::Forbidden => {
            let hint = E::hint(cause, database, user);
            retry(format!("{why}; {hint}"), 30)
        }
        Cause::Busy => retry(format!("others hold what is to be written: {why}"), 1),
        Cause::Table => retry(format!("a table is gone: {why}"), 1),
        Cause::Down => retry(format!("the server has gone: {why}"), 1),
        Cause::Full => retry(format!("the server's disk is full: {why}"), 10),
        Cause::Mend(hint) => retry(format!("{database}: {why}; {hint}"), 30),
        _ => retry(format!("{database}: {why}"), 10),
    }
}

fn create<E: Failure>(name: &str, error: &E, database: &str, user: &str) -> SinkError {
    match error.cause() {
        Cause::Lost => any(error, database, user),
        // Somebody else has made it meanwhile.
        Cause::There | Cause::Twin => retry(format!("`{name}`: {}", error.said()), 1),
        _ => match any(error, database, user) {
            SinkError::Retry { why, after } => SinkError::Retry {
                why: format!("the table `{name}` can not be made: {why}"),
                after,
            },
            refused => refused,
        },
    }
}

fn table<E: Failure>(name: &str, error: &E, database: &str, user: &str) -> SinkError {
    let (why, cause) = (error.said(), error.cause());
    let hint = E::hint(cause, database, user);
    match cause {
        Cause::Shape => retry(misfit(name, &why), 30),
        Cause::Large => {
            SinkError::Refused(format!("a number is too large for `{name}`: {why}; {hint}"))
        }
        Cause::Twin => {
            let hint = "mode = \"add\" adds rows of one key up";
            SinkError::Refused(format!("`{name}` has such a row: {why}; {hint}"))
        }
        Cause::Text => SinkError::Refused(format!("{database} can not hold a text: {why}; {hint}")),
        Cause::Value => SinkError::Refused(format!("`{name}`: {why}")),
        _ => any(error, database, user),
    }
}

/// What is said of a table that is not made for these rows.
pub fn misfit(name: &str, why: &str) -> String {
    format!(
        "the table `{name}` is there with other columns or another key ({why}); rename it, or give \
         the output another `table`"
    )
}
