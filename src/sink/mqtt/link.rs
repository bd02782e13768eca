//! A connection to a broker in either version, and the messages that it has not acknowledged yet.

use super::super::message::{Message, Number};
use super::Settings;
use super::client::{Client, Event, Paper};
use super::trouble::Trouble;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::{SocketAddr, ToSocketAddrs};
use std::time::{Duration, Instant};

/// Bytes of messages, and their number, that the broker may not have acknowledged.
pub const WINDOW: usize = 256 << 10;
pub const MESSAGES: u16 = 64;

/// How long an orderly end may take.
const GOODBYE: Duration = Duration::from_secs(1);

/// How long a connection that rests is listened to.
const LOOK: Duration = Duration::from_millis(5);

/// A message that is not acknowledged: which, none for one that holds no rows, its topic and bytes.
type Pending = (Option<Number>, String, usize);

/// A connection that messages can be published on.
pub struct Link {
    client: Client,
    timeout: Duration,
    /// What the library has not sent.
    given: VecDeque<Pending>,
    /// What is under way.
    sent: BTreeMap<u16, Pending>,
    bytes: usize,
}

impl Link {
    /// A connection to the first host that lets weir in, which says so if it is to.
    pub fn open(settings: &Settings) -> Result<Self, Trouble> {
        let password = settings.peer.password().map_err(Trouble::Setting)?;
        let password = password.unwrap_or_default();
        let mut troubles = Vec::new();
        for (host, port) in &settings.peer.hosts {
            match Self::connect(settings, host, *port, &password) {
                Ok(link) => {
                    if !troubles.is_empty() {
                        let away = Trouble::joined(&troubles);
                        log::warn!("{away}; {host}:{port} is used");
                    }
                    return Ok(link);
                }
                Err(trouble) => troubles.push((format!("{host}:{port}"), trouble)),
            }
        }
        Err(Trouble::Away(troubles))
    }

    fn connect(
        settings: &Settings,
        host: &str,
        port: u16,
        password: &str,
    ) -> Result<Self, Trouble> {
        let lost = |e: std::io::Error| Trouble::Lost(e.to_string());
        let mut last = Trouble::Lost("the name has no address".into());
        // The library would ask for the name beside, and nobody knows for how long.
        for address in (host, port).to_socket_addrs().map_err(lost)? {
            let name = match address {
                SocketAddr::V4(of) => of.ip().to_string(),
                SocketAddr::V6(of) => format!("[{}]", of.ip()),
            };
            let mut link = Self {
                client: Client::new(settings, &name, port, password),
                timeout: settings.peer.timeout,
                given: VecDeque::new(),
                sent: BTreeMap::new(),
                bytes: 0,
            };
            match link.begin(settings) {
                Ok(()) => return Ok(link),
                Err(trouble) => last = trouble,
            }
        }
        Err(last)
    }

    /// Waits until the broker lets weir in.
    fn begin(&mut self, settings: &Settings) -> Result<(), Trouble> {
        let until = Instant::now() + self.timeout;
        while !matches!(self.next(until)?, Event::Open) {}
        if settings.status.is_some() {
            self.say(settings, "online")?;
            self.settle(&mut BTreeSet::new())?;
        }
        Ok(())
    }

    /// Leaves a word at the topic of the status.
    fn say(&mut self, settings: &Settings, word: &str) -> Result<(), Trouble> {
        let paper = Paper {
            topic: settings.status.clone().unwrap_or_default(),
            retain: true,
            body: word.as_bytes(),
            content: "text/plain",
            id: None,
        };
        self.give(paper, None)
    }

    /// Hands a message over to the library.
    fn give(&mut self, paper: Paper<'_>, number: Option<Number>) -> Result<(), Trouble> {
        let (topic, bytes) = (paper.topic.clone(), paper.body.len());
        if !self.client.publish(paper) {
            return Err(Trouble::Topic(topic));
        }
        self.bytes += bytes;
        self.given.push_back((number, topic, bytes));
        Ok(())
    }

    /// What happens next, which must be before `until`.
    fn next(&mut self, until: Instant) -> Result<Event, Trouble> {
        let time = until.saturating_duration_since(Instant::now());
        match self.client.next(time)? {
            Some(Event::Over) => Err(Trouble::Lost("it has been closed".into())),
            Some(event) => Ok(event),
            None => Err(Trouble::Mute(self.timeout)),
        }
    }

    /// Publishes a message with this topic and identity, once there is room for it.
    pub fn publish(
        &mut self,
        settings: &Settings,
        (message, topic, id): (&Message<'_>, String, String),
        done: &mut BTreeSet<Number>,
    ) -> Result<(), Trouble> {
        let many = |link: &Self| link.given.len() + link.sent.len() >= MESSAGES.into();
        while self.bytes >= WINDOW || many(self) {
            self.step(done)?;
        }
        let paper = Paper {
            topic,
            retain: settings.retain,
            body: message.body,
            content: settings.content,
            id: Some(id),
        };
        self.give(paper, Some(message.number))
    }

    /// Waits until the broker acknowledges something.
    fn step(&mut self, done: &mut BTreeSet<Number>) -> Result<(), Trouble> {
        let until = Instant::now() + self.timeout;
        loop {
            let event = self.next(until)?;
            if self.note(event, done)? {
                return Ok(());
            }
        }
    }

    /// Takes note of what has happened: whether something is acknowledged.
    fn note(&mut self, event: Event, done: &mut BTreeSet<Number>) -> Result<bool, Trouble> {
        match event {
            Event::Sent(packet) => {
                if let Some(pending) = self.given.pop_front() {
                    self.sent.insert(packet, pending);
                }
                Ok(false)
            }
            Event::Acked(packet, refused) => {
                let Some((number, topic, bytes)) = self.sent.remove(&packet) else {
                    return Ok(false);
                };
                self.bytes = self.bytes.saturating_sub(bytes);
                if let Some(why) = refused {
                    return Err(Trouble::Refused(topic, why));
                }
                done.extend(number);
                Ok(true)
            }
            Event::Over => Err(Trouble::Lost("it has been closed".into())),
            Event::Open | Event::Other => Ok(false),
        }
    }

    /// Waits until everything is acknowledged.
    pub fn settle(&mut self, done: &mut BTreeSet<Number>) -> Result<(), Trouble> {
        while !self.given.is_empty() || !self.sent.is_empty() {
            self.step(done)?;
        }
        Ok(())
    }

    /// Looks after a connection on which nothing is under way.
    pub fn rest(&mut self) -> Result<(), Trouble> {
        while let Some(event) = self.client.next(LOOK)? {
            self.note(event, &mut BTreeSet::new())?;
        }
        Ok(())
    }

    /// Ends it in order, and says so.
    pub fn close(mut self, settings: &Settings) {
        self.timeout = self.timeout.min(GOODBYE);
        if settings.status.is_some() {
            let said = self.say(settings, "offline");
            drop(said.and_then(|()| self.settle(&mut BTreeSet::new())));
        }
        let until = Instant::now() + self.timeout;
        if self.client.disconnect() {
            while self.next(until).is_ok() {}
        }
    }
}
