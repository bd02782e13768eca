//! The library, which has two of everything, behind one face.

use super::Settings;
use super::link::MESSAGES;
use super::trouble::Trouble;
use rumqttc::v5::mqttbytes::QoS as NewQos;
use rumqttc::v5::mqttbytes::v5::{LastWill as NewWill, PubAckReason, PublishProperties};
use rumqttc::{LastWill, QoS, v5};
use std::time::Duration;

/// Largest packet: a message of the largest size, its topic and what stands around it.
const PACKET: usize = (1 << 20) + (16 << 10);

/// A connection in either version.
pub enum Client {
    /// In 3.1.1.
    Old(rumqttc::Client, Box<rumqttc::Connection>),
    /// In 5.
    New(v5::Client, Box<v5::Connection>),
}

/// What happens on a connection.
pub enum Event {
    /// The broker lets weir in.
    Open,
    /// The message that was given first is under way, with this number.
    Sent(u16),
    /// One is acknowledged, or refused for this reason.
    Acked(u16, Option<String>),
    /// The connection is closed in order.
    Over,
    /// Nothing of interest.
    Other,
}

/// A message, and what is written on it.
pub struct Paper<'a> {
    /// Where it goes.
    pub topic: String,
    /// Whether the broker keeps it.
    pub retain: bool,
    /// What it holds.
    pub body: &'a [u8],
    /// What kind of text or bytes that is.
    pub content: &'a str,
    /// Its identity, for which 3.1.1 has no place.
    pub id: Option<String>,
}

impl Client {
    /// One that connects when it is first asked what happens.
    pub fn new(settings: &Settings, host: &str, port: u16, password: &str) -> Self {
        match settings.old {
            true => Self::old(settings, host, port, password),
            false => Self::newer(settings, host, port, password),
        }
    }

    fn old(settings: &Settings, host: &str, port: u16, password: &str) -> Self {
        let mut options = rumqttc::MqttOptions::new(&settings.client, host, port);
        options
            .set_keep_alive(settings.keep_alive)
            .set_inflight(MESSAGES)
            .set_max_packet_size(PACKET, PACKET);
        if !settings.peer.user.is_empty() {
            options.set_credentials(&settings.peer.user, password);
        }
        if let Some(topic) = &settings.status {
            options.set_last_will(LastWill::new(topic, "offline", QoS::AtLeastOnce, true));
        }
        let (client, mut connection) = rumqttc::Client::new(options, 2 * usize::from(MESSAGES));
        let mut network = connection.eventloop.network_options();
        network.set_connection_timeout(settings.peer.timeout.as_secs().max(1));
        network.set_tcp_nodelay(true);
        connection.eventloop.set_network_options(network);
        Self::Old(client, Box::new(connection))
    }

    fn newer(settings: &Settings, host: &str, port: u16, password: &str) -> Self {
        let mut options = v5::MqttOptions::new(&settings.client, host, port);
        options
            .set_keep_alive(settings.keep_alive)
            .set_connection_timeout(settings.peer.timeout.as_secs().max(1))
            .set_outgoing_inflight_upper_limit(MESSAGES);
        let mut network = options.network_options();
        network.set_tcp_nodelay(true);
        options.set_network_options(network);
        if !settings.peer.user.is_empty() {
            options.set_credentials(&settings.peer.user, password);
        }
        if let Some(topic) = &settings.status {
            let will = NewWill::new(topic, "offline", NewQos::AtLeastOnce, true, None);
            options.set_last_will(will);
        }
        let (client, connection) = v5::Client::new(options, 2 * usize::from(MESSAGES));
        Self::New(client, Box::new(connection))
    }

    /// Hands a message over. There is always room: there are fewer under way.
    pub fn publish(&self, paper: Paper<'_>) -> bool {
        let Paper { topic, retain, .. } = paper;
        let body = paper.body.to_vec();
        match self {
            Self::Old(client, _) => {
                let qos = QoS::AtLeastOnce;
                client.try_publish(topic, qos, retain, body).is_ok()
            }
            Self::New(client, _) => {
                let properties = PublishProperties {
                    content_type: Some(paper.content.into()),
                    user_properties: paper.id.map(|id| ("id".into(), id)).into_iter().collect(),
                    ..PublishProperties::default()
                };
                let qos = NewQos::AtLeastOnce;
                let given =
                    client.try_publish_with_properties(topic, qos, retain, body, properties);
                given.is_ok()
            }
        }
    }

    /// Asks for an orderly end.
    pub fn disconnect(&self) -> bool {
        match self {
            Self::Old(client, _) => client.try_disconnect().is_ok(),
            Self::New(client, _) => client.try_disconnect().is_ok(),
        }
    }

    /// What happens next, if anything does within `time`.
    pub fn next(&mut self, time: Duration) -> Result<Option<Event>, Trouble> {
        match self {
            Self::Old(_, connection) => match connection.recv_timeout(time) {
                Ok(event) => Ok(Some(old(&event?))),
                Err(rumqttc::RecvTimeoutError::Timeout) => Ok(None),
                Err(rumqttc::RecvTimeoutError::Disconnected) => Ok(Some(Event::Over)),
            },
            Self::New(_, connection) => match connection.recv_timeout(time) {
                Ok(event) => Ok(Some(new(&event?))),
                Err(v5::RecvTimeoutError::Timeout) => Ok(None),
                Err(v5::RecvTimeoutError::Disconnected) => Ok(Some(Event::Over)),
            },
        }
    }
}

fn old(event: &rumqttc::Event) -> Event {
    use rumqttc::{Event as Of, Outgoing, Packet};
    match event {
        Of::Incoming(Packet::ConnAck(_)) => Event::Open,
        Of::Incoming(Packet::PubAck(ack)) => Event::Acked(ack.pkid, None),
        Of::Outgoing(Outgoing::Publish(number)) => Event::Sent(*number),
        Of::Outgoing(Outgoing::Disconnect) => Event::Over,
        _ => Event::Other,
    }
}

fn new(event: &v5::Event) -> Event {
    use rumqttc::Outgoing;
    use v5::Event as Of;
    use v5::mqttbytes::v5::Packet;
    match event {
        Of::Incoming(Packet::ConnAck(_)) => Event::Open,
        Of::Incoming(Packet::PubAck(ack)) => {
            let fine = matches!(
                ack.reason,
                PubAckReason::Success | PubAckReason::NoMatchingSubscribers
            );
            Event::Acked(ack.pkid, (!fine).then(|| format!("{:?}", ack.reason)))
        }
        Of::Outgoing(Outgoing::Publish(number)) => Event::Sent(*number),
        Of::Outgoing(Outgoing::Disconnect) => Event::Over,
        _ => Event::Other,
    }
}
