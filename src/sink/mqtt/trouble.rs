//! What goes wrong with a broker, in words for whoever can mend it.

use super::super::SinkError;
use super::Settings;
use rumqttc::v5;
use std::time::Duration;

/// Why a batch is not stored. None of it is for ever.
#[derive(Debug)]
pub enum Trouble {
    /// No host is reached, or none lets weir in; each with its reason.
    Away(Vec<(String, Trouble)>),
    /// There is no connection.
    Lost(String),
    /// The broker does not let weir in, for this reason.
    Shut(String),
    /// There is no answer for so long.
    Mute(Duration),
    /// The broker refuses a message with this topic, for this reason.
    Refused(String, String),
    /// The library takes no message with this topic.
    Topic(String),
    /// A file that the configuration names.
    Setting(String),
}

impl From<rumqttc::ConnectionError> for Trouble {
    fn from(error: rumqttc::ConnectionError) -> Self {
        use rumqttc::{ConnectionError as Of, StateError};
        match error {
            Of::ConnectionRefused(code) => Self::Shut(format!("{code:?}")),
            Of::Io(e) | Of::MqttState(StateError::Io(e)) => Self::Lost(e.to_string()),
            Of::NetworkTimeout | Of::FlushTimeout => Self::Lost("no answer in time".into()),
            Of::MqttState(e) => Self::Lost(e.to_string()),
            other => Self::Lost(other.to_string()),
        }
    }
}

impl From<v5::ConnectionError> for Trouble {
    fn from(error: v5::ConnectionError) -> Self {
        use v5::{ConnectionError as Of, StateError};
        match error {
            Of::ConnectionRefused(code) => Self::Shut(format!("{code:?}")),
            Of::MqttState(StateError::ConnFail { reason }) => Self::Shut(format!("{reason:?}")),
            Of::Io(e) | Of::MqttState(StateError::Io(e)) => Self::Lost(e.to_string()),
            Of::Timeout(_) => Self::Lost("no answer in time".into()),
            Of::MqttState(e) => Self::Lost(e.to_string()),
            other => Self::Lost(other.to_string()),
        }
    }
}

impl Trouble {
    /// What is said of it.
    fn said(&self) -> String {
        match self {
            Self::Away(all) => Self::joined(all),
            Self::Lost(why) | Self::Shut(why) | Self::Setting(why) => why.clone(),
            Self::Mute(time) => format!("no answer within {} s", time.as_secs_f32()),
            Self::Refused(topic, why) => format!("it refuses a message to {topic:?}: {why}"),
            Self::Topic(topic) => format!("{topic:?} is no topic to publish to"),
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
            Self::Refused(..) => {
                let hint = "give weir the right to publish there, or make `message_size` smaller";
                (format!("the broker: {said}; {hint}"), 30)
            }
            Self::Setting(_) | Self::Shut(_) | Self::Topic(_) => (said, 30),
            Self::Lost(_) | Self::Mute(_) => (format!("the connection is lost: {said}"), 1),
        };
        let after = Duration::from_secs(seconds);
        SinkError::Retry { why, after }
    }
}

/// No host can be used.
fn away(all: &[(String, Trouble)], said: &str, settings: &Settings) -> (String, u64) {
    let mut shut = all.iter().filter_map(|(_, why)| match why {
        Trouble::Shut(code) => Some(code.as_str()),
        _ => None,
    });
    let Some(code) = shut.next() else {
        let hint = "is it running, and are `host` and `port` right?";
        return (format!("no broker can be used: {said}; {hint}"), 5);
    };
    let who = match settings.peer.user.as_str() {
        "" => "weir",
        user => user,
    };
    let hint = match code {
        "BadUserNamePassword" | "NotAuthorized" => "set `user` and `password`",
        "BadClientId" | "ClientIdentifierNotValid" => "set `client_id`",
        "RefusedProtocolVersion" | "UnsupportedProtocolVersion" => "set version = \"3.1.1\"",
        _ => "it may let weir in later",
    };
    (format!("{who} is not let in: {said}; {hint}"), 30)
}
