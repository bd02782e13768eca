//! What databases of SQL do not share: types of columns, zeroes, and how PostgreSQL takes many
//! rows.

use super::value::{Style, Times};
use crate::record::{Column, Field, Form, Kind, schema::What};
use std::io::Write;

/// A value to bind.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Cell<'a> {
    /// A whole number.
    Integer(i64),
    /// Text, or what the database reads out of text.
    Text(&'a str),
    /// A number with decimals.
    Real(f64),
}

/// Whose SQL it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dialect {
    /// SQLite.
    Sqlite,
    /// PostgreSQL.
    Postgres,
}

/// Type of a column.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Type {
    /// A number of 64 bits, for SQLite any number.
    Integer,
    /// A number of 16 bits.
    Small,
    /// A number of 32 bits.
    Middle,
    /// Text.
    Text,
    /// A number with decimals.
    Real,
    /// An address.
    Ip,
    /// A MAC address.
    Mac,
    /// A time on some wall clock.
    Time,
    /// A time with its distance from UTC.
    ZonedTime,
}

impl Type {
    /// Whether its values are whole numbers.
    pub fn is_whole(self) -> bool {
        matches!(self, Self::Integer | Self::Small | Self::Middle)
    }

    /// Its name in SQL, and its zero.
    pub fn words(self, dialect: Dialect) -> (&'static str, &'static str) {
        let lite = dialect == Dialect::Sqlite;
        match self {
            Self::Integer if lite => ("INTEGER", "0"),
            Self::Integer => ("BIGINT", "0"),
            Self::Small => ("SMALLINT", "0"),
            Self::Middle => ("INTEGER", "0"),
            Self::Text => ("TEXT", "''"),
            Self::Real if lite => ("REAL", "0"),
            Self::Real => ("DOUBLE PRECISION", "0"),
            Self::Ip => ("INET", "'0.0.0.0'"),
            Self::Mac => ("MACADDR", "'00:00:00:00:00:00'"),
            Self::Time => ("TIMESTAMP", "'0001-01-01 00:00:00'"),
            Self::ZonedTime => ("TIMESTAMP WITH TIME ZONE", "'0001-01-01 00:00:00+00'"),
        }
    }
}

impl Dialect {
    /// The type of a column of the schema.
    pub fn column(self, column: &Column, style: &Style) -> Type {
        let whole = match column.kind {
            Kind::U8 | Kind::U16 | Kind::U32 | Kind::U64 | Kind::NumberText => true,
            Kind::Custom => column.form == Form::Number,
            Kind::Proto => style.proto_numbers,
            _ => false,
        };
        match (self, column.kind) {
            (_, Kind::Time) => self.time(style),
            (Self::Sqlite, _) if whole => Type::Integer,
            (Self::Sqlite, _) => Type::Text,
            (Self::Postgres, Kind::Ip) => Type::Ip,
            (Self::Postgres, Kind::Mac) => Type::Mac,
            (Self::Postgres, Kind::Proto) if whole => Type::Small,
            (Self::Postgres, Kind::U8) if column.what == What::Field(Field::TcpFlags) => {
                Type::Small
            }
            (Self::Postgres, Kind::U8 | Kind::U16) => Type::Middle,
            (Self::Postgres, _) if whole => Type::Integer,
            (Self::Postgres, _) => Type::Text,
        }
    }

    /// The type of columns of times.
    pub fn time(self, style: &Style) -> Type {
        match (self, style.times) {
            (_, Times::Epoch) => Type::Integer,
            (Self::Sqlite, _) => Type::Text,
            (Self::Postgres, Times::Rfc3339) => Type::ZonedTime,
            (Self::Postgres, Times::Plain) => Type::Time,
        }
    }

    /// A statement of ours, whose places for values are written `?1`.
    pub fn statement(self, sql: &str) -> String {
        match self {
            Self::Sqlite => sql.into(),
            Self::Postgres => sql.replace('?', "$"),
        }
    }
}

/// Writes a value as PostgreSQL's `COPY` takes it, with what comes behind it. A zero byte, which
/// no text of PostgreSQL holds, becomes the character for what can not be shown.
pub fn copied(out: &mut Vec<u8>, cell: Cell<'_>, end: u8) {
    let text = match cell {
        // Writing to a vector can not fail.
        Cell::Integer(number) => return drop((write!(out, "{number}"), out.push(end))),
        Cell::Real(number) => return drop((write!(out, "{number}"), out.push(end))),
        Cell::Text(text) => text,
    };
    for &byte in text.as_bytes() {
        match byte {
            b'\\' => out.extend_from_slice(b"\\\\"),
            b'\t' => out.extend_from_slice(b"\\t"),
            b'\n' => out.extend_from_slice(b"\\n"),
            b'\r' => out.extend_from_slice(b"\\r"),
            0 => out.extend_from_slice("\u{fffd}".as_bytes()),
            byte => out.push(byte),
        }
    }
    out.push(end);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_in_a_value_ends_it() {
        let mut out = Vec::new();
        copied(&mut out, Cell::Integer(i64::MIN), b'\t');
        copied(&mut out, Cell::Real(-8.5417), b'\t');
        copied(&mut out, Cell::Text("a\tb\nc\rd\\.e\0f\u{e9}"), b'\t');
        copied(&mut out, Cell::Text("\\N"), b'\n');
        let want = "-9223372036854775808\t-8.5417\ta\\tb\\nc\\rd\\\\.e\u{fffd}f\u{e9}\t\\\\N\n";
        assert_eq!(String::from_utf8(out).unwrap(), want);
    }

    #[test]
    fn places_for_values_are_written_as_the_database_has_them() {
        let sql = "SELECT a FROM b WHERE c = ?1 AND d = ?2";
        assert_eq!(Dialect::Sqlite.statement(sql), sql);
        let want = "SELECT a FROM b WHERE c = $1 AND d = $2";
        assert_eq!(Dialect::Postgres.statement(sql), want);
    }
}
