//! A connection to a broker with its channel, and the messages that it has not confirmed yet.

use super::super::Rows;
use super::super::message::{Message, Number};
use super::trouble::Trouble;
use super::{SHORT, Settings};
use async_rs::SmolRuntime;
use async_rs::traits::{Executor, Reactor};
use lapin::options::{BasicPublishOptions, ConfirmSelectOptions, ExchangeDeclareOptions};
use lapin::types::{FieldTable, ShortString};
use lapin::uri::{AMQPAuthority, AMQPQueryString, AMQPScheme, AMQPUri, AMQPUserInfo};
use lapin::{AsyncTcpStream, BasicProperties, Channel, Confirmation, Connection};
use lapin::{ConnectionProperties, ExchangeKind, PublisherConfirm};
use std::collections::{BTreeSet, VecDeque};
use std::future::poll_fn;
use std::io;
use std::net::{Shutdown, TcpStream, ToSocketAddrs};
use std::pin::pin;
use std::sync::{Mutex, PoisonError};
use std::task::Poll;
use std::time::Duration;

/// Bytes of messages, and their number, that the broker may not have confirmed.
pub const WINDOW: usize = 256 << 10;
const MESSAGES: usize = 1024;

/// How long an orderly end may take.
const GOODBYE: Duration = Duration::from_secs(1);

/// A connection that messages can be published on.
pub struct Link {
    runtime: SmolRuntime,
    connection: Connection,
    channel: Channel,
    /// To cut it, so that whoever waits for the broker does not any more.
    socket: TcpStream,
    timeout: Duration,
    /// What is not confirmed, oldest first.
    pending: VecDeque<(Number, usize, PublisherConfirm)>,
    bytes: usize,
    /// What no queue takes: which, and the key of the first.
    unrouted: Option<(BTreeSet<String>, String)>,
}

/// What comes of `what`, if that is within `time`.
fn within<T>(runtime: &SmolRuntime, time: Duration, what: impl Future<Output = T>) -> Option<T> {
    runtime.block_on(async {
        let mut what = pin!(what);
        let mut sleep = pin!(runtime.sleep(time));
        poll_fn(|context| match what.as_mut().poll(context) {
            Poll::Ready(value) => Poll::Ready(Some(value)),
            Poll::Pending => sleep.as_mut().poll(context).map(|_| None),
        })
        .await
    })
}

/// A socket to the first address of a host that answers.
fn socket(host: &str, port: u16, timeout: Duration) -> io::Result<TcpStream> {
    let mut last = io::Error::new(io::ErrorKind::NotFound, "the name has no address");
    for address in (host, port).to_socket_addrs()? {
        match TcpStream::connect_timeout(&address, timeout) {
            Ok(socket) => {
                socket.set_nodelay(true)?;
                return Ok(socket);
            }
            Err(e) => last = e,
        }
    }
    Err(last)
}

/// Where that is and who weir is there, as the library has it.
fn uri(settings: &Settings, host: &str, port: u16, password: Option<String>) -> AMQPUri {
    AMQPUri {
        scheme: AMQPScheme::AMQP,
        authority: AMQPAuthority {
            userinfo: AMQPUserInfo {
                username: settings.peer.user.clone(),
                password: password.unwrap_or_default(),
            },
            host: host.into(),
            port,
        },
        vhost: settings.vhost.clone(),
        query: AMQPQueryString {
            frame_max: Some(settings.frame),
            heartbeat: Some(settings.heartbeat),
            ..AMQPQueryString::default()
        },
    }
}

impl Link {
    /// A connection to the first host that lets weir in.
    pub fn open(settings: &Settings) -> Result<Self, Trouble> {
        let password = settings.peer.password().map_err(Trouble::Setting)?;
        let mut troubles = Vec::new();
        for (host, port) in &settings.peer.hosts {
            match Self::connect(settings, host, *port, password.clone()) {
                Ok(link) => {
                    if !troubles.is_empty() {
                        let away = Trouble::joined(&troubles);
                        log::warn!("{away}; {host}:{port} is used");
                    }
                    return link.prepared(settings);
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
        password: Option<String>,
    ) -> Result<Self, Trouble> {
        let timeout = settings.peer.timeout;
        let lost = |e: io::Error| Trouble::Lost(e.to_string());
        let socket = socket(host, port, timeout).map_err(lost)?;
        let theirs = Mutex::new(Some(socket.try_clone().map_err(lost)?));
        // The library asks for a connection once: it is not told to open another one by itself.
        let given = async move |_: AMQPUri, _: SmolRuntime| {
            let mut theirs = theirs.lock().unwrap_or_else(PoisonError::into_inner);
            let gone = || io::Error::from(io::ErrorKind::NotConnected);
            let socket = theirs.take().ok_or_else(gone)?;
            Ok(AsyncTcpStream::Plain(socket.try_into()?))
        };
        let runtime = SmolRuntime::smol();
        let properties = ConnectionProperties::default()
            .with_connection_name("weir".into())
            .with_client_property("product".into(), "weir".into());
        let uri = uri(settings, host, port, password);
        let opened = within(&runtime, timeout, async {
            let connection = Connection::connector(uri, runtime.clone(), given, properties).await?;
            let channel = connection.create_channel().await?;
            Ok((connection, channel))
        });
        match opened {
            Some(Ok((connection, channel))) => Ok(Self {
                runtime,
                connection,
                channel,
                socket,
                timeout,
                pending: VecDeque::new(),
                bytes: 0,
                unrouted: None,
            }),
            Some(Err(error)) => {
                drop(socket.shutdown(Shutdown::Both));
                Err(Trouble::Said(error))
            }
            None => {
                drop(socket.shutdown(Shutdown::Both));
                Err(Trouble::Mute(timeout))
            }
        }
    }

    /// The same with confirmations, and with its exchange.
    fn prepared(self, settings: &Settings) -> Result<Self, Trouble> {
        self.wait(self.channel.confirm_select(ConfirmSelectOptions::default()))?;
        if !settings.exchange.is_empty() {
            let kind = match settings.exchange_type {
                "direct" => ExchangeKind::Direct,
                "fanout" => ExchangeKind::Fanout,
                _ => ExchangeKind::Topic,
            };
            let options = ExchangeDeclareOptions {
                durable: settings.persistent,
                // Or it is asked for alone: what it is like, nobody wants to know then.
                passive: !settings.declare,
                ..ExchangeDeclareOptions::default()
            };
            let name = name(&settings.exchange);
            let declared =
                self.channel
                    .exchange_declare(name, kind, options, FieldTable::default());
            self.wait(declared)?;
        }
        Ok(self)
    }

    /// Whether it is still there.
    pub fn is_up(&self) -> bool {
        self.connection.status().connected() && self.channel.status().connected()
    }

    /// What the broker answers, in the time that it has.
    fn wait<T>(&self, what: impl Future<Output = lapin::Result<T>>) -> Result<T, Trouble> {
        match within(&self.runtime, self.timeout, what) {
            Some(Ok(value)) => Ok(value),
            Some(Err(error)) => Err(Trouble::Said(error)),
            None if self.connection.status().blocked() => Err(Trouble::Blocked),
            None => Err(Trouble::Mute(self.timeout)),
        }
    }

    /// Publishes a message with this key and identity, once there is room for it.
    pub fn publish(
        &mut self,
        settings: &Settings,
        message: &Message<'_>,
        (key, id): (String, String),
        rows: &Rows,
        done: &mut BTreeSet<Number>,
    ) -> Result<(), Trouble> {
        while self.bytes >= WINDOW || self.pending.len() >= MESSAGES {
            self.confirm(done)?;
        }
        let mode = if settings.persistent { 2 } else { 1 };
        let properties = BasicProperties::default()
            .with_content_type(settings.content.into())
            .with_delivery_mode(mode)
            .with_message_id(name(&id))
            .with_type(name(&rows.schema.name))
            .with_timestamp(rows.flushed.seconds())
            .with_app_id("weir".into());
        let options = BasicPublishOptions {
            mandatory: settings.mandatory,
            ..BasicPublishOptions::default()
        };
        let exchange = name(&settings.exchange);
        let published =
            self.channel
                .basic_publish(exchange, name(&key), options, message.body, properties);
        let confirm = match self.wait(published) {
            Ok(confirm) => confirm,
            Err(trouble) => return Err(self.first(trouble, done)),
        };
        let bytes = message.body.len();
        self.bytes += bytes;
        self.pending.push_back((message.number, bytes, confirm));
        Ok(())
    }

    /// What came before a trouble with a message: what the broker said when it closed the channel,
    /// those that were on their way are told.
    fn first(&mut self, trouble: Trouble, done: &mut BTreeSet<Number>) -> Trouble {
        if self.is_up() {
            return trouble;
        }
        while !self.pending.is_empty() {
            if let Err(first) = self.confirm(done) {
                return first;
            }
        }
        trouble
    }

    /// Waits for the oldest message to be confirmed.
    fn confirm(&mut self, done: &mut BTreeSet<Number>) -> Result<(), Trouble> {
        let Some((number, bytes, confirm)) = self.pending.pop_front() else {
            return Ok(());
        };
        self.bytes = self.bytes.saturating_sub(bytes);
        match self.wait(confirm)? {
            Confirmation::Ack(returned) => {
                done.insert(number);
                // The library may hand one over with the answer for another.
                if let Some(message) = returned {
                    let key = message.delivery.routing_key.to_string();
                    let id = message.delivery.properties.message_id().clone();
                    let id = id.map_or(String::new(), |id| id.to_string());
                    let unrouted = &mut self.unrouted;
                    let (all, _) = unrouted.get_or_insert_with(|| (BTreeSet::new(), key));
                    all.insert(id);
                }
                Ok(())
            }
            Confirmation::Nack(_) => Err(Trouble::Unkept),
            Confirmation::NotRequested => Err(Trouble::Unkept),
        }
    }

    /// Waits until everything is confirmed.
    pub fn settle(
        &mut self,
        id: impl Fn(Number) -> String,
        done: &mut BTreeSet<Number>,
    ) -> Result<(), Trouble> {
        while !self.pending.is_empty() {
            self.confirm(done)?;
        }
        match self.unrouted.take() {
            None => Ok(()),
            Some((all, key)) => {
                done.retain(|number| !all.contains(&id(*number)));
                Err(Trouble::Unrouted(key))
            }
        }
    }

    /// Ends it in order.
    pub fn close(self) {
        let closed = self.connection.close(200, "weir stops".into());
        drop(within(&self.runtime, GOODBYE.min(self.timeout), closed));
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        drop(self.socket.shutdown(Shutdown::Both));
    }
}

/// A short string: what is longer has been cut, or refused in the settings.
fn name(text: &str) -> ShortString {
    let end = text.floor_char_boundary(SHORT);
    ShortString::try_new(text.get(..end).unwrap_or_default()).unwrap_or_default()
}
