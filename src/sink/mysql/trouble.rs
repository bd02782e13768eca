//! What MySQL and MariaDB say when something goes wrong.

use super::super::server::{Cause, Failure};
use mysql::{DriverError, Error, MySqlError};

/// Numbers of errors with what they come from.
const CAUSES: &[(u16, Cause)] = &[
    (1045, Cause::Login),
    (1130, Cause::Login),
    (1251, Cause::Login),
    (1524, Cause::Login),
    (1698, Cause::Login),
    (1820, Cause::Login),
    (1862, Cause::Login),
    (4151, Cause::Login),
    (1049, Cause::Database),
    (1044, Cause::Forbidden),
    (1142, Cause::Forbidden),
    (1143, Cause::Forbidden),
    (1227, Cause::Forbidden),
    (1370, Cause::Forbidden),
    // Locks, deadlocks, rows that changed meanwhile, statements that took too long.
    (1020, Cause::Busy),
    (1205, Cause::Busy),
    (1213, Cause::Busy),
    (1969, Cause::Busy),
    (3024, Cause::Busy),
    (3572, Cause::Busy),
    (1051, Cause::Table),
    (1146, Cause::Table),
    (1053, Cause::Down),
    (1077, Cause::Down),
    (1078, Cause::Down),
    (1079, Cause::Down),
    (1152, Cause::Down),
    (1184, Cause::Down),
    (1317, Cause::Down),
    (1927, Cause::Down),
    (4031, Cause::Down),
    (1021, Cause::Full),
    (1114, Cause::Full),
    (1050, Cause::There),
    (1054, Cause::Shape),
    (1136, Cause::Shape),
    (1265, Cause::Shape),
    (1288, Cause::Shape),
    (1292, Cause::Shape),
    (1347, Cause::Shape),
    (1364, Cause::Shape),
    (1366, Cause::Shape),
    (1471, Cause::Shape),
    (1264, Cause::Large),
    (1690, Cause::Large),
    (1062, Cause::Twin),
    (1586, Cause::Twin),
    // Too long, null, foreign keys, checks, signals of triggers.
    (1048, Cause::Value),
    (1406, Cause::Value),
    (1452, Cause::Value),
    (1644, Cause::Value),
    (3819, Cause::Value),
    (4025, Cause::Value),
    (1040, Cause::Mend("raise max_connections")),
    (1070, Cause::Mend("take fewer fields, or mode = \"insert\"")),
    (1071, Cause::Mend("take fewer fields, or mode = \"insert\"")),
    (1118, Cause::Mend("take fewer fields")),
    (1153, Cause::Mend("raise max_allowed_packet")),
    (1206, Cause::Mend("raise innodb_buffer_pool_size")),
    (
        1290,
        Cause::Mend("name a server that takes writes in `host`"),
    ),
    (1526, Cause::Mend("add a partition")),
    (1665, Cause::Mend("SET GLOBAL binlog_format = 'ROW'")),
    (1785, Cause::Mend("let the table be of InnoDB")),
    (
        1792,
        Cause::Mend("name a server that takes writes in `host`"),
    ),
    (
        1836,
        Cause::Mend("name a server that takes writes in `host`"),
    ),
];

/// What is said of a server that follows another.
pub fn read_only() -> Error {
    Error::MySqlError(MySqlError {
        state: "HY000".into(),
        code: 1290,
        message: "the server is read-only".into(),
    })
}

impl Failure for Error {
    fn said(&self) -> String {
        match self {
            Self::MySqlError(error) => format!("{} ({})", error.message, error.code),
            Self::IoError(error) if error.kind() == std::io::ErrorKind::WouldBlock => {
                "no answer in time".into()
            }
            Self::IoError(error) => error.to_string(),
            Self::DriverError(DriverError::CouldNotConnect(Some((_, why, _)))) => why.clone(),
            Self::DriverError(DriverError::ConnectTimeout) => "no answer in time".into(),
            Self::DriverError(error) => error.to_string(),
            other => other.to_string(),
        }
    }

    fn cause(&self) -> Cause {
        let error = match self {
            Self::MySqlError(error) => error,
            Self::DriverError(
                DriverError::UnknownAuthPlugin(_)
                | DriverError::CleartextPluginDisabled
                | DriverError::OldMysqlPasswordDisabled,
            ) => return Cause::Login,
            Self::FromRowError(_) | Self::FromValueError(_) | Self::UrlError(_) => {
                return Cause::Other;
            }
            _ => return Cause::Lost,
        };
        // A text that is no number is another column than ours; one with characters that the
        // column has not is a value.
        if error.code == 1366 && error.message.contains("string value") {
            return Cause::Text;
        }
        if [1021, 1026, 1030].contains(&error.code) && error.message.contains("28") {
            return Cause::Full;
        }
        let known = CAUSES.iter().find(|(code, _)| *code == error.code);
        known.map_or(Cause::Other, |(_, cause)| *cause)
    }

    fn hint(cause: Cause, database: &str, user: &str) -> String {
        match cause {
            Cause::Login => format!(
                "set `user` and `password`, and see that the server lets {user} in from here, with \
                 a password (mysql_native_password, caching_sha2_password)"
            ),
            Cause::Database => format!(
                "CREATE DATABASE `{database}` CHARACTER SET utf8mb4; GRANT ALL ON `{database}`.* TO \
                 '{user}'@'…'"
            ),
            Cause::Forbidden => format!(
                "{user} needs CREATE on `{database}` to make tables (and weir_batch), and SELECT, \
                 INSERT, UPDATE and DELETE on those that are there"
            ),
            Cause::Large => "ALTER TABLE … MODIFY … BIGINT UNSIGNED".into(),
            Cause::Text => "ALTER TABLE … CONVERT TO CHARACTER SET utf8mb4".into(),
            _ => String::new(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_number_has_one_cause_and_texts_tell_two_apart() {
        for (n, (code, _)) in CAUSES.iter().enumerate() {
            assert!(
                CAUSES.iter().skip(n + 1).all(|(other, _)| other != code),
                "{code}"
            );
        }
        let said = |code, message: &str| {
            Error::MySqlError(MySqlError {
                state: "HY000".into(),
                code,
                message: message.into(),
            })
        };
        let of = |code, message| said(code, message).cause();
        assert_eq!(
            of(1366, "Incorrect string value: '\\xF0' for column"),
            Cause::Text
        );
        assert_eq!(
            of(1366, "Incorrect integer value: 'a' for column"),
            Cause::Shape
        );
        assert_eq!(of(1030, "Got error 28 from storage engine"), Cause::Full);
        assert_eq!(of(1213, "Deadlock found"), Cause::Busy);
        assert_eq!(of(9999, "new"), Cause::Other);
        assert_eq!(Error::server_disconnected().cause(), Cause::Lost);
    }
}
