//! What goes wrong with a broker, in words for whoever can mend it.

use super::super::SinkError;
use super::Settings;
use lapin::ErrorKind;
use std::time::Duration;

/// Why a batch is not stored. None of it is for ever.
#[derive(Debug)]
pub enum Trouble {
    /// No host is reached, or none lets weir in; each with its reason.
    Away(Vec<(String, Trouble)>),
    /// There is no connection.
    Lost(String),
    /// The library or the broker says so.
    Said(lapin::Error),
    /// There is no answer for so long.
    Mute(Duration),
    /// The broker takes nothing for now.
    Blocked,
    /// The broker could not keep a message.
    Unkept,
    /// No queue takes messages with this key.
    Unrouted(String),
    /// A file that the configuration names.
    Setting(String),
}

impl Trouble {
    /// What is said of it.
    fn said(&self) -> String {
        match self {
            Self::Away(all) => Self::joined(all),
            Self::Lost(why) | Self::Setting(why) => why.clone(),
            Self::Said(error) => match error.kind() {
                ErrorKind::ProtocolError(e) => e.get_message().to_string(),
                ErrorKind::IOError(e) => e.to_string(),
                _ => error.to_string(),
            },
            Self::Mute(time) => format!("no answer within {} s", time.as_secs_f32()),
            Self::Blocked => "it is short of memory or disk and takes no messages".into(),
            Self::Unkept => "it could not keep a message".into(),
            Self::Unrouted(key) => format!("no queue takes messages with the key {key:?}"),
        }
    }

    /// The code of an error of the protocol.
    fn code(&self) -> u16 {
        match self {
            Self::Said(error) => match error.kind() {
                ErrorKind::ProtocolError(e) => e.get_id(),
                _ => 0,
            },
            _ => 0,
        }
    }

    /// Hosts with their reasons.
    pub fn joined(all: &[(String, Self)]) -> String {
        let each = all
            .iter()
            .map(|(host, why)| format!("{host}: {}", why.said()));
        each.collect::<Vec<_>>().join("; ")
    }

    /// What to do about it.
    pub fn judge(&self, settings: &Settings) -> SinkError {
        let said = self.said();
        let (why, seconds) = match self {
            Self::Away(all) => away(all, &said, settings),
            Self::Unrouted(_) => (
                format!(
                    "exchange {:?}: {said}; bind one to it, or set mandatory = false for them to \
                     be dropped there",
                    settings.exchange
                ),
                10,
            ),
            Self::Setting(_) => (said, 30),
            Self::Blocked | Self::Unkept => (format!("the broker has trouble: {said}"), 5),
            Self::Lost(_) | Self::Said(_) | Self::Mute(_) => within(self.code(), &said, settings),
        };
        let after = Duration::from_secs(seconds);
        SinkError::Retry { why, after }
    }
}

/// No host can be used.
fn away(all: &[(String, Trouble)], said: &str, settings: &Settings) -> (String, u64) {
    let (user, vhost) = (&settings.peer.user, &settings.vhost);
    let mut codes = all.iter().map(|(_, why)| why.code());
    match codes.find(|code| *code != 0) {
        Some(403) => {
            let hint = if user == "guest" {
                "; a broker lets guest in from its own machine alone"
            } else {
                ""
            };
            let why = format!("{user} is not let in: {said}; set `user` and `password`{hint}");
            (why, 30)
        }
        Some(530 | 402) => {
            let why = format!(
                "{said}; rabbitmqctl add_vhost makes it, rabbitmqctl set_permissions -p {vhost:?} \
                 {user} \"^weir\" \".*\" \"\" lets {user} in"
            );
            (why, 30)
        }
        Some(_) => (format!("no broker can be used: {said}"), 10),
        None => {
            let why = format!(
                "no broker can be used: {said}; is it running, and are `host` and `port` right?"
            );
            (why, 5)
        }
    }
}

/// In the midst of it.
fn within(code: u16, said: &str, settings: &Settings) -> (String, u64) {
    let Settings { exchange, .. } = settings;
    match code {
        403 => (
            format!(
                "{said}; {} needs the rights to configure and write exchange {exchange:?}: \
                 rabbitmqctl set_permissions",
                settings.peer.user
            ),
            30,
        ),
        404 => (format!("{said}; declare = true makes the exchange"), 30),
        406 => (
            format!(
                "{said}; exchange {exchange:?} is there and is another one: set `exchange_type` and \
                 `persistent` as it is, or declare = false"
            ),
            30,
        ),
        320 => (format!("the broker has gone: {said}"), 1),
        0 => (format!("the connection is lost: {said}"), 1),
        _ => (format!("the broker refuses it: {said}"), 10),
    }
}
