//! Rows as messages to a broker that speaks MQTT, version 5 or 3.1.1.
//!
//! Messages are sent with QoS 1, and a batch is stored once the broker has acknowledged each of
//! them. What of a batch is acknowledged is remembered while weir runs; after a crash all of it is
//! sent again. The identity of a message is a property of it, which version 3.1.1 has not.
//!
//! Nothing runs beside the thread of the output: the library works while it is asked, so a
//! connection that rests is looked after between batches.
//!
//! Settings, beside those of [`peer`] and [`message`]:
//!
//! - `topic`: a [`Pattern`](crate::base::pattern::Pattern); default `"weir/$aggregate"`.
//! - `version`: `"5"` (default) or `"3.1.1"`.
//! - `client_id`: who weir is to the broker; default one that nobody else has.
//! - `keep_alive`: default 30 s. `retain`: whether the broker keeps the last message of each topic;
//!   default false.
//! - `status`: a topic where `online` stands as long as weir is connected, and `offline` when it is
//!   not; none if nobody says.

mod client;
mod link;
mod trouble;

use super::message::{self, Message, Messages, Number, identity};
use super::peer::{self, Peer};
use super::{BatchId, Context, Opener, Rows, Sink, SinkError};
use crate::base::options::Options;
use link::Link;
use std::collections::BTreeSet;
use std::time::Duration;
use trouble::Trouble;

/// Memory of a connection beside what is not acknowledged.
const MEMORY: usize = 256 << 10;

/// Longest topic, in bytes.
const TOPIC: usize = 1024;

/// How soon a connection that says that weir is there is tried again.
const AGAIN: Duration = Duration::from_secs(10);

/// What the settings say.
#[derive(Debug)]
struct Settings {
    peer: Peer,
    old: bool,
    client: String,
    keep_alive: Duration,
    retain: bool,
    status: Option<String>,
    /// What kind of text or bytes a message holds.
    content: &'static str,
}

struct To {
    settings: Settings,
    messages: message::Settings,
}

/// Reads the settings of an output of kind `mqtt`.
pub fn parse(options: &mut Options) -> Option<Box<dyn Opener>> {
    let messages = message::settings(options, ("topic", "weir/$aggregate"), false);
    let peer = peer::parse(options, 1883, Some(""));
    peer.without_sockets(options);
    // Of its fixed parts; times and values are made fit when they are known.
    let given = options.text("topic").unwrap_or_default();
    let fixed = given.split("$$").map(|part| part.replace('$', ""));
    wrong(options, "topic", &fixed.collect::<Vec<_>>().join("$"));
    let version = options.choice("version", &[("5", false), ("3.1.1", true)]);
    let client = options.text("client_id").unwrap_or_default();
    if client.len() > TOPIC || client.contains(char::is_control) {
        let message =
            format!("`client_id` has {TOPIC} bytes at the most, and no control characters");
        options.wrong("client_id", message);
    }
    let keep_alive = options.duration("keep_alive");
    let keep_alive = keep_alive.unwrap_or(Duration::from_secs(30));
    if !(5..=3600).contains(&keep_alive.as_secs()) {
        options.wrong("keep_alive", "`keep_alive` is from 5 seconds to an hour");
    }
    let retain = options.flag("retain").unwrap_or(false);
    let status = options.text("status");
    if let Some(topic) = &status {
        wrong(options, "status", &topic.clone());
    }
    let messages = messages?;
    Some(Box::new(To {
        settings: Settings {
            peer,
            old: version.unwrap_or(false),
            client,
            keep_alive: keep_alive.clamp(Duration::from_secs(5), Duration::from_secs(3600)),
            retain,
            status,
            content: messages.content(),
        },
        messages,
    }))
}

/// Says what is wrong with a topic.
fn wrong(options: &mut Options, name: &'static str, topic: &str) {
    if topic.len() > TOPIC || topic.starts_with('$') || topic.chars().any(odd) {
        let message = format!(
            "`{name}` is no topic to publish to: it has no `+` and `#`, does not begin with `$`, \
             and has {TOPIC} bytes at the most"
        );
        options.wrong(name, message);
    }
}

/// What no topic may hold, or a broker may hang up for.
fn odd(c: char) -> bool {
    let nothing = matches!(c as u32, 0xfdd0..=0xfdef) || c as u32 & 0xfffe == 0xfffe;
    matches!(c, '+' | '#') || c.is_control() || nothing
}

/// A topic that is one, whatever values it has.
fn topic(name: &str) -> String {
    let name = name
        .get(..name.floor_char_boundary(TOPIC))
        .unwrap_or_default();
    let fit = |(n, c): (usize, char)| {
        if odd(c) || (n == 0 && c == '$') {
            '_'
        } else {
            c
        }
    };
    name.char_indices().map(fit).collect()
}

impl Opener for To {
    fn open(mut self: Box<Self>, context: &Context) -> Result<Box<dyn Sink>, String> {
        self.settings.peer.warn(&context.name);
        if self.settings.client.is_empty() {
            // Two of one name throw each other out, wherever they are.
            let mix = |all: u64, byte: u8| (all ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3);
            let name = context.name.bytes().fold(context.seed, mix);
            self.settings.client = format!("weir{name:016x}");
        }
        Ok(Box::new(MqttSink {
            settings: self.settings,
            messages: Messages::new(self.messages, context),
            link: None,
            acknowledged: None,
        }))
    }

    fn memory(&self) -> usize {
        MEMORY + 3 * link::WINDOW + self.messages.memory()
    }

    fn columns(&self) -> Option<&'static str> {
        self.messages.columns()
    }
}

/// Publishes rows.
struct MqttSink {
    settings: Settings,
    messages: Messages,
    link: Option<Link>,
    /// What of a batch that is not stored the broker has acknowledged.
    acknowledged: Option<(BatchId, BTreeSet<Number>)>,
}

impl MqttSink {
    fn store(&mut self, rows: &Rows) -> Result<(), Trouble> {
        if !self.messages.any(rows) {
            return Ok(());
        }
        let kept = self.acknowledged.take().filter(|(id, _)| *id == rows.id);
        let mut done = kept.map_or_else(BTreeSet::new, |(_, done)| done);
        let sent = self.send(rows, &mut done);
        match sent {
            Ok(()) => self.messages.stored(rows),
            Err(_) => self.acknowledged = Some((rows.id, done)),
        }
        sent
    }

    fn send(&mut self, rows: &Rows, done: &mut BTreeSet<Number>) -> Result<(), Trouble> {
        // One that was lost while nothing was sent is no trouble.
        let link = self
            .link
            .take()
            .and_then(|mut link| link.rest().ok().map(|()| link));
        let mut link = match link {
            Some(link) => link,
            None => Link::open(&self.settings)?,
        };
        let before = done.clone();
        let settings = &self.settings;
        self.messages.each(rows, |message: Message<'_>| {
            if before.contains(&message.number) {
                return Ok(());
            }
            let topic = topic(message.name);
            let id = identity(&rows.id, message.number);
            link.publish(settings, (&message, topic, id), done)
        })?;
        link.settle(done)?;
        self.link = Some(link);
        Ok(())
    }
}

impl Sink for MqttSink {
    fn write(&mut self, rows: &Rows) -> Result<(), SinkError> {
        let stored = self.store(rows);
        stored.map_err(|trouble| trouble.judge(&self.settings))
    }

    fn sync(&mut self) -> Result<(), SinkError> {
        if let Some(link) = self.link.take() {
            link.close(&self.settings);
        }
        Ok(())
    }

    fn idle(&mut self) -> Result<Option<Duration>, SinkError> {
        let link = self
            .link
            .take()
            .and_then(|mut link| link.rest().ok().map(|()| link));
        self.link = match (link, &self.settings.status) {
            (None, Some(_)) => Link::open(&self.settings).ok(),
            (link, _) => link,
        };
        let lost = self.settings.status.as_ref().map(|_| AGAIN);
        Ok(match &self.link {
            Some(_) => Some(self.settings.keep_alive / 3),
            None => lost,
        })
    }
}

#[cfg(test)]
mod tests;
