//! What goes wrong with a server, in words for whoever can mend it, and whether it may heal.
//!
//! The connection is opened anew after each of these, so nothing of the failure stays.

use super::super::SinkError;
use postgres::error::SqlState;
use std::error::Error as _;
use std::time::Duration;

/// Why a batch is not stored.
pub enum Trouble {
    /// No host is reached; each with its reason.
    Away(Vec<(String, postgres::Error)>),
    /// In the midst of it.
    Sql(postgres::Error),
    /// A table can not be made.
    Create(String, postgres::Error),
    /// Rows do not go into a table.
    Table(String, postgres::Error),
    /// A file that the configuration names.
    Setting(String),
    /// The rows can never be stored.
    Rows(String),
}

impl From<postgres::Error> for Trouble {
    fn from(error: postgres::Error) -> Self {
        Self::Sql(error)
    }
}

/// What the server, or the system, says.
fn said(error: &postgres::Error) -> String {
    if let Some(db) = error.as_db_error() {
        let detail = db.detail().map(|detail| format!(" ({detail})"));
        return format!("{}{}", db.message(), detail.unwrap_or_default());
    }
    match error.source() {
        Some(source) => source.to_string(),
        None => error.to_string(),
    }
}

/// Hosts with their reasons.
pub fn joined(troubles: &[(String, postgres::Error)]) -> String {
    let each = troubles
        .iter()
        .map(|(host, error)| format!("{host}: {}", said(error)));
    each.collect::<Vec<_>>().join("; ")
}

fn retry(why: String, seconds: u64) -> SinkError {
    SinkError::Retry {
        why,
        after: Duration::from_secs(seconds),
    }
}

impl Trouble {
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

fn away(troubles: &[(String, postgres::Error)], database: &str, user: &str) -> SinkError {
    let why = joined(troubles);
    let code = troubles.iter().find_map(|(_, error)| error.code());
    let Some(code) = code else {
        if why.contains("password missing") {
            let hint = "set `password` or `password_file`";
            return retry(format!("the server wants a password: {hint} ({why})"), 30);
        }
        let hint = "is it running, and are `host` and `port` right?";
        return retry(format!("no server can be used: {why}; {hint}"), 5);
    };
    if *code == SqlState::INVALID_PASSWORD || *code == SqlState::INVALID_AUTHORIZATION_SPECIFICATION
    {
        let hint = "set `user` and `password`, and look at pg_hba.conf";
        return retry(format!("{user} is not let in: {why}; {hint}"), 30);
    }
    if *code == SqlState::INVALID_CATALOG_NAME {
        let hint = format!("CREATE DATABASE \"{database}\" OWNER \"{user}\"");
        return retry(format!("{why}; make it: {hint}"), 30);
    }
    if *code == SqlState::INSUFFICIENT_PRIVILEGE {
        return retry(forbidden(&why, database, user), 30);
    }
    retry(format!("no server can be used: {why}"), 5)
}

/// What a missing right needs.
fn forbidden(why: &str, database: &str, user: &str) -> String {
    format!(
        "{why}; {user} needs CREATE on the schema of {database} to make tables (and weir_batch), and \
         SELECT, INSERT, UPDATE and DELETE on those that are there"
    )
}

fn any(error: &postgres::Error, database: &str, user: &str) -> SinkError {
    let why = said(error);
    let Some(code) = error.code() else {
        return retry(format!("the connection is lost: {why}"), 1);
    };
    if *code == SqlState::INSUFFICIENT_PRIVILEGE {
        return retry(forbidden(&why, database, user), 30);
    }
    if *code == SqlState::LOCK_NOT_AVAILABLE
        || *code == SqlState::T_R_SERIALIZATION_FAILURE
        || *code == SqlState::T_R_DEADLOCK_DETECTED
    {
        return retry(format!("others hold what is to be written: {why}"), 1);
    }
    if *code == SqlState::UNDEFINED_TABLE {
        return retry(format!("a table is gone: {why}"), 1);
    }
    // Shut down, or told to end.
    if code.code().starts_with("57P") || code.code().starts_with("08") {
        return retry(format!("the server has gone: {why}"), 1);
    }
    if *code == SqlState::DISK_FULL {
        return retry(format!("the server's disk is full: {why}"), 10);
    }
    retry(format!("{database}: {why}"), 10)
}

fn create(name: &str, error: &postgres::Error, database: &str, user: &str) -> SinkError {
    let Some(code) = error.code() else {
        return any(error, database, user);
    };
    // Somebody else has made it meanwhile.
    let there = [
        SqlState::DUPLICATE_TABLE,
        SqlState::DUPLICATE_OBJECT,
        SqlState::UNIQUE_VIOLATION,
    ];
    if there.contains(code) {
        return retry(format!("`{name}`: {}", said(error)), 1);
    }
    match any(error, database, user) {
        SinkError::Retry { why, after } => SinkError::Retry {
            why: format!("the table `{name}` can not be made: {why}"),
            after,
        },
        refused => refused,
    }
}

fn table(name: &str, error: &postgres::Error, database: &str, user: &str) -> SinkError {
    let Some(code) = error.code() else {
        return any(error, database, user);
    };
    let why = said(error);
    let shape = [
        SqlState::UNDEFINED_COLUMN,
        SqlState::INVALID_COLUMN_REFERENCE,
        SqlState::DATATYPE_MISMATCH,
        SqlState::UNDEFINED_FUNCTION,
        SqlState::INVALID_TEXT_REPRESENTATION,
        SqlState::WRONG_OBJECT_TYPE,
        SqlState::BAD_COPY_FILE_FORMAT,
        SqlState::INVALID_DATETIME_FORMAT,
        SqlState::DATETIME_FIELD_OVERFLOW,
    ];
    if shape.contains(code) {
        let hint = "rename it, or give the output another `table`";
        return retry(
            format!(
                "the table `{name}` is there with other columns or another key ({why}); {hint}"
            ),
            30,
        );
    }
    if *code == SqlState::NUMERIC_VALUE_OUT_OF_RANGE {
        let hint = "ALTER TABLE … ALTER COLUMN … TYPE bigint";
        return SinkError::Refused(format!("a number is too large for `{name}`: {why}; {hint}"));
    }
    if *code == SqlState::UNIQUE_VIOLATION {
        let hint = "mode = \"add\" adds rows of one key up";
        return SinkError::Refused(format!("`{name}` has such a row: {why}; {hint}"));
    }
    if *code == SqlState::UNTRANSLATABLE_CHARACTER {
        let hint = "make the database with ENCODING 'UTF8'";
        return SinkError::Refused(format!("{database} can not hold a text: {why}; {hint}"));
    }
    // Values that the database, its constraints or its triggers forbid.
    if code.code().starts_with("22")
        || code.code().starts_with("23")
        || *code == SqlState::RAISE_EXCEPTION
    {
        return SinkError::Refused(format!("`{name}`: {why}"));
    }
    any(error, database, user)
}
