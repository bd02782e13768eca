//! Rows as messages to a broker that speaks AMQP 0-9-1, as RabbitMQ does.
//!
//! A batch is stored once the broker has confirmed each of its messages. What of a batch is
//! confirmed is remembered while weir runs, so when it comes again, only the rest is sent; after a
//! crash, all of it is, and messages that come twice carry one `message_id`.
//!
//! The library runs a thread for each connection. Everything that is waited for here has an end:
//! a connection that does not answer is cut, by which that thread ends as well.
//!
//! Settings, beside those of [`peer`] and [`message`]:
//!
//! - `user`, `password`: default `"guest"` both. `vhost`: default `"/"`.
//! - `exchange`: default `"weir"`; `""` is the broker's own, where keys are names of queues.
//!   `exchange_type`: `"topic"` (default), `"direct"` or `"fanout"`. `declare`: whether the
//!   exchange is made if it is not there; default true.
//! - `routing_key`: a [`Pattern`](crate::base::pattern::Pattern); default `"$aggregate"`.
//!   `routing_keys`: messages go in turn to so many keys, `…_0` and on; default 0 for the key as it
//!   is.
//! - `persistent`: whether messages (and the exchange) outlive the broker; default true.
//! - `mandatory`: whether rows wait until a queue takes them; default true. Where no queue is, the
//!   broker drops them otherwise.
//! - `heartbeat`: default 30 s; 0 takes the broker's. `frame`: most bytes of a frame; default
//!   16 KiB.

mod link;
mod trouble;

use super::message::{self, Message, Messages, Number, identity};
use super::peer::{self, Peer};
use super::{BatchId, Context, Opener, Rows, Sink, SinkError};
use crate::base::options::Options;
use link::Link;
use std::collections::BTreeSet;
use trouble::Trouble;

/// Longest short string of the protocol, in bytes: keys and names.
const SHORT: usize = 255;

/// Whom a fresh broker lets in, and with which password.
const GUEST: &str = "guest";

/// Frames that the library has room for in each direction.
const FRAMES: usize = 32;

/// Memory of a connection beside its frames and what is not confirmed.
const MEMORY: usize = 256 << 10;

/// What the settings say.
#[derive(Debug)]
struct Settings {
    peer: Peer,
    vhost: String,
    exchange: String,
    exchange_type: &'static str,
    declare: bool,
    /// How many keys there are for each; 0 for the key as it is.
    keys: u32,
    persistent: bool,
    mandatory: bool,
    heartbeat: u16,
    frame: u32,
    /// What kind of text or bytes a message holds.
    content: &'static str,
}

struct To {
    settings: Settings,
    messages: message::Settings,
}

/// Reads the settings of an output of kind `amqp`.
pub fn parse(options: &mut Options) -> Option<Box<dyn Opener>> {
    let messages = message::settings(options, ("routing_key", "$aggregate"), true);
    let peer = peer::parse(options, 5672, Some(GUEST));
    peer.without_sockets(options);
    let vhost = short(options, "vhost", "/");
    let exchange = short(options, "exchange", "weir");
    let types = [
        ("topic", "topic"),
        ("direct", "direct"),
        ("fanout", "fanout"),
    ];
    let exchange_type = options.choice("exchange_type", &types);
    let declare = options.flag("declare").unwrap_or(true);
    let keys = options.number("routing_keys", 0, 1024).unwrap_or(0) as u32;
    let persistent = options.flag("persistent").unwrap_or(true);
    let mandatory = options.flag("mandatory").unwrap_or(true);
    let heartbeat = options.duration("heartbeat").map_or(30, |t| t.as_secs());
    if heartbeat > u16::MAX.into() {
        options.wrong("heartbeat", "`heartbeat` is 18 hours at the most");
    }
    let frame = options.size("frame").unwrap_or(16 << 10);
    if !(4096..=1 << 20).contains(&frame) {
        options.wrong("frame", "`frame` is from 4 KiB to 1 MiB");
    }
    let messages = messages?;
    Some(Box::new(To {
        settings: Settings {
            peer,
            vhost,
            exchange,
            exchange_type: exchange_type.unwrap_or("topic"),
            declare,
            keys,
            persistent,
            mandatory,
            heartbeat: heartbeat.min(u16::MAX.into()) as u16,
            frame: frame.clamp(4096, 1 << 20) as u32,
            content: messages.content(),
        },
        messages,
    }))
}

/// A name that the protocol has room for.
fn short(options: &mut Options, name: &'static str, default: &str) -> String {
    let text = options.text(name).unwrap_or(default.into());
    if text.len() > SHORT || text.contains('\0') {
        let message =
            format!("`{name}` is too long, or holds a zero byte: {SHORT} bytes at the most");
        options.wrong(name, message);
    }
    text
}

impl Opener for To {
    fn open(self: Box<Self>, context: &Context) -> Result<Box<dyn Sink>, String> {
        self.settings.peer.warn(&context.name);
        Ok(Box::new(AmqpSink {
            settings: self.settings,
            messages: Messages::new(self.messages, context),
            link: None,
            confirmed: None,
        }))
    }

    fn memory(&self) -> usize {
        let frames = 2 * FRAMES * self.settings.frame as usize;
        MEMORY + frames + 2 * link::WINDOW + self.messages.memory()
    }

    fn columns(&self) -> Option<&'static str> {
        self.messages.columns()
    }
}

/// Publishes rows.
struct AmqpSink {
    settings: Settings,
    messages: Messages,
    link: Option<Link>,
    /// What of a batch that is not stored the broker has confirmed.
    confirmed: Option<(BatchId, BTreeSet<Number>)>,
}

/// The key of a message, in the room that there is.
fn key(name: &str, keys: u32, turn: u64) -> String {
    let tail = match keys {
        0 => String::new(),
        keys => format!("_{}", turn % u64::from(keys)),
    };
    let most = name.floor_char_boundary(SHORT - tail.len());
    format!("{}{tail}", name.get(..most).unwrap_or_default())
}

/// Where in the turn of keys a message is: batches do not all begin with the first.
fn turn(id: &BatchId, number: Number) -> u64 {
    match number {
        Number::Rows(n) => id.sequence.wrapping_add(n.into()),
        Number::Init | Number::Close => 0,
    }
}

impl AmqpSink {
    fn store(&mut self, rows: &Rows) -> Result<(), Trouble> {
        if !self.messages.any(rows) {
            return Ok(());
        }
        let kept = self.confirmed.take().filter(|(id, _)| *id == rows.id);
        let mut done = kept.map_or_else(BTreeSet::new, |(_, done)| done);
        let sent = self.send(rows, &mut done);
        match sent {
            Ok(()) => self.messages.stored(rows),
            Err(_) => self.confirmed = Some((rows.id, done)),
        }
        sent
    }

    fn send(&mut self, rows: &Rows, done: &mut BTreeSet<Number>) -> Result<(), Trouble> {
        let Self {
            settings,
            messages,
            link,
            ..
        } = self;
        // One that was lost while nothing was sent is no trouble.
        let mut to = match link.take().filter(Link::is_up) {
            Some(link) => link,
            None => Link::open(settings)?,
        };
        let before = done.clone();
        let sent = messages.each(rows, |message: Message<'_>| {
            if before.contains(&message.number) {
                return Ok(());
            }
            let key = key(message.name, settings.keys, turn(&rows.id, message.number));
            let id = identity(&rows.id, message.number);
            to.publish(settings, &message, (key, id), rows, done)
        });
        let sent = sent.and_then(|()| to.settle(|number| identity(&rows.id, number), done));
        match sent {
            Ok(()) | Err(Trouble::Unrouted(_)) => *link = Some(to),
            // Nobody knows what is still under way, nor of what is confirmed, what was on its way
            // back.
            Err(_) if settings.mandatory => *done = before,
            Err(_) => {}
        }
        sent
    }
}

impl Sink for AmqpSink {
    fn write(&mut self, rows: &Rows) -> Result<(), SinkError> {
        self.store(rows)
            .map_err(|trouble| trouble.judge(&self.settings))
    }

    fn sync(&mut self) -> Result<(), SinkError> {
        if let Some(link) = self.link.take() {
            link.close();
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
