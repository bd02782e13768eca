//! What databases of SQL do not share: types of columns, zeroes, names, how a row meets the one
//! that is there, and how PostgreSQL takes many rows.

use super::value::{Style, Times};
use crate::record::{Column, Field, Form, Kind, schema::What};
use std::io::Write;

/// A value to bind.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Cell<'a> {
    /// A whole number.
    Integer(i64),
    /// A whole number of a database that has such without a sign.
    Natural(u64),
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
    /// MySQL and MariaDB.
    Mysql,
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
    /// Short text of ASCII.
    Name,
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
        if dialect == Dialect::Mysql {
            return self.mysql();
        }
        match self {
            Self::Integer if lite => ("INTEGER", "0"),
            Self::Integer => ("BIGINT", "0"),
            Self::Small => ("SMALLINT", "0"),
            Self::Middle => ("INTEGER", "0"),
            Self::Text | Self::Name => ("TEXT", "''"),
            Self::Real if lite => ("REAL", "0"),
            Self::Real => ("DOUBLE PRECISION", "0"),
            Self::Ip => ("INET", "'0.0.0.0'"),
            Self::Mac => ("MACADDR", "'00:00:00:00:00:00'"),
            Self::Time => ("TIMESTAMP", "'0001-01-01 00:00:00'"),
            Self::ZonedTime => ("TIMESTAMP WITH TIME ZONE", "'0001-01-01 00:00:00+00'"),
        }
    }

    /// Texts of one byte for each character, where that is enough, leave a key room for others.
    fn mysql(self) -> (&'static str, &'static str) {
        match self {
            Self::Integer => ("BIGINT UNSIGNED", "0"),
            Self::Small | Self::Middle => ("INT UNSIGNED", "0"),
            Self::Text => ("VARCHAR(255)", "''"),
            Self::Name => ("VARCHAR(40) CHARACTER SET ascii COLLATE ascii_bin", "''"),
            Self::Real => ("DOUBLE", "0"),
            Self::Ip => (
                "VARCHAR(45) CHARACTER SET ascii COLLATE ascii_bin",
                "'0.0.0.0'",
            ),
            Self::Mac => (
                "VARCHAR(17) CHARACTER SET ascii COLLATE ascii_bin",
                "'00:00:00:00:00:00'",
            ),
            Self::Time | Self::ZonedTime => ("DATETIME", "'1000-01-01 00:00:00'"),
        }
    }

    /// Most bytes that a value takes in a key of MySQL; none where its length is for the table to
    /// say.
    pub fn room(self) -> Option<usize> {
        match self {
            Self::Integer | Self::Real | Self::Time | Self::ZonedTime => Some(8),
            Self::Small | Self::Middle => Some(4),
            Self::Text => None,
            Self::Name => Some(40),
            Self::Ip => Some(45),
            Self::Mac => Some(17),
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
            (_, Kind::Ip) => Type::Ip,
            (_, Kind::Mac) => Type::Mac,
            (Self::Mysql, Kind::U8 | Kind::U16 | Kind::U32) => Type::Middle,
            (Self::Mysql, Kind::Proto) if whole => Type::Middle,
            (Self::Mysql, Kind::Proto | Kind::EtherType | Kind::Rd | Kind::Letter) => Type::Name,
            (Self::Postgres, Kind::Proto) if whole => Type::Small,
            (Self::Postgres, Kind::U8) if column.what == What::Field(Field::TcpFlags) => {
                Type::Small
            }
            (Self::Postgres, Kind::U8 | Kind::U16) => Type::Middle,
            (_, _) if whole => Type::Integer,
            (_, _) => Type::Text,
        }
    }

    /// The type of columns of times.
    pub fn time(self, style: &Style) -> Type {
        match (self, style.times) {
            (_, Times::Epoch) => Type::Integer,
            (Self::Sqlite, _) => Type::Text,
            (Self::Postgres, Times::Rfc3339) => Type::ZonedTime,
            // There is no time with its distance from UTC.
            (Self::Mysql, Times::Rfc3339) => Type::Name,
            (Self::Postgres | Self::Mysql, Times::Plain) => Type::Time,
        }
    }

    /// A statement of ours, whose places for values are written `?1`, in order.
    pub fn statement(self, sql: &str) -> String {
        match self {
            Self::Sqlite => sql.into(),
            Self::Postgres => sql.replace('?', "$"),
            Self::Mysql => {
                let mut parts = sql.split('?');
                let first = parts.next().unwrap_or_default().to_string();
                parts.fold(first, |sql, part| {
                    sql + "?" + part.trim_start_matches(|c: char| c.is_ascii_digit())
                })
            }
        }
    }

    /// What stands behind the columns of a table that is made.
    pub const MYSQL_TABLE: &'static str =
        " ENGINE=InnoDB ROW_FORMAT=DYNAMIC DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin";

    /// An identifier, quoted.
    pub fn quoted(self, name: &str) -> String {
        let quote = match self {
            Self::Mysql => '`',
            _ => '"',
        };
        let mut out = String::with_capacity(name.len() + 2);
        out.push(quote);
        for c in name.chars() {
            match c {
                '\0' => out.push('_'),
                c if c == quote => out.extend([c, c]),
                c => out.push(c),
            }
        }
        out.push(quote);
        out
    }

    /// Whether a name means the same without quotes.
    pub fn is_plain(self, name: &str) -> bool {
        let plain = |b: u8| {
            b.is_ascii_lowercase()
                || b.is_ascii_digit()
                || b == b'_'
                || (b.is_ascii_uppercase() && self == Self::Mysql)
        };
        let number = name.starts_with(|c: char| c.is_ascii_digit());
        !name.is_empty() && !number && name.bytes().all(plain)
    }

    /// Most bytes of a name of PostgreSQL's; it cuts longer ones, between characters.
    pub const NAME: usize = 63;

    /// The name of a table, as near to this one as there can be. With MySQL that is 64 characters,
    /// whose file has a name of 255 bytes at the most, none of them beyond the first plane, nothing
    /// blank at the end, and no mark of the server's own at the beginning.
    pub fn table(self, name: &str) -> String {
        match self {
            Self::Sqlite => return name.into(),
            Self::Postgres => {
                let end = name.floor_char_boundary(Self::NAME);
                return name[..end].replace('\0', "_");
            }
            Self::Mysql => {}
        }
        let mut out = String::new();
        let mut width = 0;
        for (n, c) in name.chars().enumerate() {
            width += if c.is_ascii_alphanumeric() { 1 } else { 5 };
            if n >= 64 || width > 230 {
                break;
            }
            let foreign = c == '\0' || c > '\u{ffff}' || (n == 0 && c == '#');
            out.push(if foreign { '_' } else { c });
        }
        if out.ends_with(char::is_whitespace) {
            out.pop();
            out.push('_');
        }
        out
    }

    /// What makes a query wait for those who are about to change what it finds.
    pub fn locking(self) -> &'static str {
        match self {
            Self::Mysql => " FOR UPDATE",
            _ => "",
        }
    }

    /// The value of a column, quoted already, of a row that meets one.
    pub fn fresh(self, name: &str) -> String {
        match self {
            Self::Mysql => format!("VALUES({name})"),
            _ => format!("excluded.{name}"),
        }
    }

    /// What stands between a row and what becomes of one that has its keys.
    pub fn meets(self, keys: &str) -> String {
        match self {
            Self::Mysql => "ON DUPLICATE KEY UPDATE".into(),
            _ => format!("ON CONFLICT ({keys}) DO UPDATE SET"),
        }
    }
}

/// Writes a value as PostgreSQL's `COPY` takes it, with what comes behind it. A zero byte, which
/// no text of PostgreSQL holds, becomes the character for what can not be shown.
pub fn copied(out: &mut Vec<u8>, cell: Cell<'_>, end: u8) {
    let text = match cell {
        // Writing to a vector can not fail.
        Cell::Integer(number) => return drop((write!(out, "{number}"), out.push(end))),
        Cell::Natural(number) => return drop((write!(out, "{number}"), out.push(end))),
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
        let want = "SELECT a FROM b WHERE c = ? AND d = ?";
        assert_eq!(Dialect::Mysql.statement(sql), want);
    }

    #[test]
    fn names_are_quoted_and_of_the_length_that_there_can_be() {
        assert_eq!(Dialect::Sqlite.quoted("a\"b\0"), "\"a\"\"b_\"");
        assert_eq!(Dialect::Mysql.quoted("a`\"b\0"), "`a``\"b_`");
        assert!(Dialect::Mysql.is_plain("Acct_1") && !Dialect::Postgres.is_plain("Acct_1"));
        assert!(!Dialect::Mysql.is_plain("1_a") && !Dialect::Mysql.is_plain("a-b"));
        let long = "x".repeat(90);
        for (given, want) in [
            ("acct_v9", "acct_v9"),
            (&long, &long[..64]),
            ("a\u{1f600}b\0", "a_b_"),
            ("a \t", "a _"),
            ("#mysql50#../x", "_mysql50#../x"),
            (&"-".repeat(64), &"-".repeat(46)),
        ] {
            assert_eq!(Dialect::Mysql.table(given), want);
        }
    }
}
