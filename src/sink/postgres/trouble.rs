//! What PostgreSQL says when something goes wrong.

use super::super::server::{Cause, Failure};
use super::session::Error;
use std::error::Error as _;
use tokio_postgres::error::SqlState;

/// Codes with what they come from.
const CAUSES: &[(&SqlState, Cause)] = &[
    (&SqlState::INVALID_PASSWORD, Cause::Login),
    (&SqlState::INVALID_AUTHORIZATION_SPECIFICATION, Cause::Login),
    (&SqlState::INVALID_CATALOG_NAME, Cause::Database),
    (&SqlState::INSUFFICIENT_PRIVILEGE, Cause::Forbidden),
    (&SqlState::LOCK_NOT_AVAILABLE, Cause::Busy),
    (&SqlState::T_R_SERIALIZATION_FAILURE, Cause::Busy),
    (&SqlState::T_R_DEADLOCK_DETECTED, Cause::Busy),
    (&SqlState::UNDEFINED_TABLE, Cause::Table),
    (&SqlState::DISK_FULL, Cause::Full),
    (&SqlState::DUPLICATE_TABLE, Cause::There),
    (&SqlState::DUPLICATE_OBJECT, Cause::There),
    (&SqlState::UNDEFINED_COLUMN, Cause::Shape),
    (&SqlState::INVALID_COLUMN_REFERENCE, Cause::Shape),
    (&SqlState::DATATYPE_MISMATCH, Cause::Shape),
    (&SqlState::UNDEFINED_FUNCTION, Cause::Shape),
    (&SqlState::INVALID_TEXT_REPRESENTATION, Cause::Shape),
    (&SqlState::WRONG_OBJECT_TYPE, Cause::Shape),
    (&SqlState::BAD_COPY_FILE_FORMAT, Cause::Shape),
    (&SqlState::INVALID_DATETIME_FORMAT, Cause::Shape),
    (&SqlState::DATETIME_FIELD_OVERFLOW, Cause::Shape),
    (&SqlState::NUMERIC_VALUE_OUT_OF_RANGE, Cause::Large),
    (&SqlState::UNIQUE_VIOLATION, Cause::Twin),
    (&SqlState::UNTRANSLATABLE_CHARACTER, Cause::Text),
    (&SqlState::RAISE_EXCEPTION, Cause::Value),
];

/// The beginnings of codes, where that is enough.
const CLASSES: &[(&str, Cause)] = &[
    // Shut down, or told to end.
    ("57P", Cause::Down),
    ("08", Cause::Down),
    ("22", Cause::Value),
    ("23", Cause::Value),
];

impl Failure for Error {
    fn said(&self) -> String {
        let Self::Server(error) = self else {
            return self.to_string();
        };
        if let Some(db) = error.as_db_error() {
            let detail = db.detail().map(|detail| format!(" ({detail})"));
            return format!("{}{}", db.message(), detail.unwrap_or_default());
        }
        match error.source() {
            Some(source) => source.to_string(),
            None => error.to_string(),
        }
    }

    fn cause(&self) -> Cause {
        let Some(code) = self.code() else {
            return match self.said().contains("password missing") {
                true => Cause::Password,
                false => Cause::Lost,
            };
        };
        if let Some((_, cause)) = CAUSES.iter().find(|(known, _)| *known == code) {
            return *cause;
        }
        let class = CLASSES.iter().find(|(c, _)| code.code().starts_with(c));
        class.map_or(Cause::Other, |(_, cause)| *cause)
    }

    fn hint(cause: Cause, database: &str, user: &str) -> String {
        match cause {
            Cause::Password => "set `password` or `password_file`".into(),
            Cause::Login => "set `user` and `password`, and look at pg_hba.conf".into(),
            Cause::Database => format!("CREATE DATABASE \"{database}\" OWNER \"{user}\""),
            Cause::Forbidden => format!(
                "{user} needs CREATE on the schema of {database} to make tables (and weir_batch), \
                 and SELECT, INSERT, UPDATE and DELETE on those that are there"
            ),
            Cause::Large => "ALTER TABLE … ALTER COLUMN … TYPE bigint".into(),
            Cause::Text => "make the database with ENCODING 'UTF8'".into(),
            _ => String::new(),
        }
    }
}
