//! A real RabbitMQ server in a folder of its own, on ports of loopback, and who reads from it.

#![allow(dead_code)] // Every test file uses a part of it.

use crate::host;
use async_rs::SmolRuntime;
use async_rs::traits::Executor;
use lapin::options::{BasicGetOptions, QueueBindOptions, QueueDeclareOptions};
use lapin::types::FieldTable;
use lapin::{Channel, Connection, ConnectionProperties};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};
use tempfile::TempDir;
use weir::base::options::Raw;

/// The password of `weir`.
pub const PASSWORD: &str = "se cret";

/// Who it runs as, where that can not be root.
const USER: &str = "rabbitmq";

const BIN: &str = "/usr/lib/rabbitmq/bin";

/// A running server, or one that is stopped for now.
pub struct Server {
    child: Option<Child>,
    names: Option<Child>,
    dir: TempDir,
    /// Where it listens on 127.0.0.1.
    pub port: u16,
    /// Where its nodes find each other, and who tells them.
    inner: (u16, u16),
}

/// Ends a process and what it has begun.
fn end(child: Option<Child>, how: &str) {
    if let Some(mut child) = child {
        let group = format!("-{}", child.id());
        let _ = Command::new("kill")
            .args(["-s", how, "--", &group])
            .status();
        let _ = child.wait();
    }
}

impl Server {
    /// A fresh server with the user `weir`; or what `test` says that it is skipped for.
    pub fn start(test: &str) -> Option<Self> {
        let server = Self::set_up();
        if let Err(why) = &server {
            println!("{test} skipped: {why}");
        }
        server.ok()
    }

    fn set_up() -> Result<Self, String> {
        let without = "needs a RabbitMQ server, package rabbitmq-server";
        if !Path::new(BIN).join("rabbitmq-server").exists() {
            return Err(without.into());
        }
        let dir = tempfile::tempdir().map_err(|e| e.to_string())?;
        let port = host::free_port();
        let text = format!(
            "loopback_users = none\nlisteners.tcp.default = 127.0.0.1:{port}\nlog.console = true\n\
             log.console.level = info\nlog.file = false\n"
        );
        std::fs::write(dir.path().join("rabbitmq.conf"), text).unwrap();
        std::fs::write(dir.path().join("plugins"), "[].\n").unwrap();
        host::give(dir.path(), USER)?;
        let mut server = Self {
            child: None,
            names: None,
            dir,
            port,
            inner: (host::free_port(), host::free_port()),
        };
        server
            .command("true")
            .ok_or("needs a user that is not root")?;
        server.resume();
        for words in [
            &["add_user", "weir", PASSWORD][..],
            &["set_permissions", "weir", ".*", ".*", ".*"],
        ] {
            let done = server.control(words);
            assert!(done.status.success(), "{done:?}");
        }
        Ok(server)
    }

    /// A program with the surroundings of the server, in a group of its own.
    fn command(&self, program: &str) -> Option<Command> {
        use std::os::unix::process::CommandExt;
        let at = |name: &str| self.dir.path().join(name);
        let path = Path::new(BIN).join(program);
        let path = if path.exists() {
            path
        } else {
            PathBuf::from(program)
        };
        let mut command = host::command(&path, USER)?;
        let (nodes, names) = self.inner;
        command
            .process_group(0)
            .env("HOME", self.dir.path())
            .env("ERL_EPMD_PORT", names.to_string())
            .env("ERL_EPMD_ADDRESS", "127.0.0.1")
            .env("RABBITMQ_NODENAME", format!("weir{}@localhost", self.port))
            .env("RABBITMQ_DIST_PORT", nodes.to_string())
            .env("RABBITMQ_MNESIA_BASE", at("mnesia"))
            .env("RABBITMQ_LOG_BASE", at("logs"))
            .env("RABBITMQ_GENERATED_CONFIG_DIR", at("generated"))
            .env("RABBITMQ_PID_FILE", at("pid"))
            .env("RABBITMQ_ENABLED_PLUGINS_FILE", at("plugins"))
            .env("RABBITMQ_CONFIG_FILE", at("rabbitmq.conf"))
            .env("RABBITMQ_CONF_ENV_FILE", "/dev/null")
            .env(
                "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS",
                "+S 1:1 -kernel inet_dist_use_interface {127,0,0,1}",
            );
        Some(command)
    }

    /// rabbitmqctl with these words.
    pub fn control(&self, words: &[&str]) -> Output {
        let mut command = self.command("rabbitmqctl").unwrap();
        command.arg("-q").args(words).output().unwrap()
    }

    fn log(&self) -> String {
        std::fs::read_to_string(self.dir.path().join("log")).unwrap_or_default()
    }

    /// Starts it, again.
    pub fn resume(&mut self) {
        let (_, names) = self.inner;
        let epmd = self
            .command("epmd")
            .unwrap()
            .args(["-address", "127.0.0.1", "-port", &names.to_string()])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn();
        self.names = Some(epmd.unwrap());
        let log = std::fs::File::create(self.dir.path().join("log")).unwrap();
        let child = self
            .command("rabbitmq-server")
            .unwrap()
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn();
        self.child = Some(child.unwrap());
        let until = Instant::now() + Duration::from_secs(120);
        while !self.log().contains("Server startup complete") {
            assert!(Instant::now() < until, "{}", self.log());
            std::thread::sleep(Duration::from_millis(100));
        }
    }

    /// Stops it; `how` is the signal: TERM is in order, KILL is a crash.
    pub fn stop(&mut self, how: &str) {
        end(self.child.take(), how);
        end(self.names.take(), "KILL");
    }

    /// Halts it in the midst of what it does (STOP), or lets it go on (CONT).
    pub fn signal(&self, name: &str) {
        let group = format!("-{}", self.child.as_ref().unwrap().id());
        let done = Command::new("kill")
            .args(["-s", name, "--", &group])
            .status();
        assert!(done.unwrap().success());
    }

    /// Settings of an output to it.
    pub fn settings(&self) -> Vec<(&'static str, Raw)> {
        let text = |text: &str| Raw::Text(text.into());
        vec![
            ("host", text("127.0.0.1")),
            ("port", Raw::Number(self.port.into())),
            ("user", text("weir")),
            ("password", text(PASSWORD)),
            ("timeout", text("2s")),
        ]
    }

    /// Somebody who reads there.
    pub fn reader(&self) -> Reader {
        let runtime = SmolRuntime::smol();
        let uri = format!("amqp://weir:se%20cret@127.0.0.1:{}/%2f", self.port);
        let opened = runtime.block_on(async {
            let connection = Connection::connect(&uri, ConnectionProperties::default()).await?;
            let channel = connection.create_channel().await?;
            Ok::<_, lapin::Error>((connection, channel))
        });
        let (connection, channel) = opened.unwrap();
        Reader {
            runtime,
            connection,
            channel,
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop("KILL");
    }
}

/// A message as it is read.
#[derive(Clone, Debug)]
pub struct Got {
    /// Its routing key.
    pub key: String,
    /// Its identity.
    pub id: String,
    /// What kind of text it is said to hold.
    pub content: String,
    /// Whether it outlives the broker.
    pub persistent: bool,
    /// What it holds.
    pub body: Vec<u8>,
}

impl Got {
    /// The body as text.
    pub fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }
}

/// Who reads.
pub struct Reader {
    runtime: SmolRuntime,
    connection: Connection,
    channel: Channel,
}

impl Reader {
    /// A queue for what comes to an exchange with these keys.
    pub fn bind(&self, queue: &str, exchange: &str, key: &str) {
        let done = self.runtime.block_on(async {
            let options = QueueDeclareOptions {
                durable: true,
                ..QueueDeclareOptions::default()
            };
            let channel = &self.channel;
            channel
                .queue_declare(queue.into(), options, FieldTable::default())
                .await?;
            let options = QueueBindOptions::default();
            let arguments = FieldTable::default();
            channel
                .queue_bind(
                    queue.into(),
                    exchange.into(),
                    key.into(),
                    options,
                    arguments,
                )
                .await
        });
        done.unwrap();
    }

    /// Makes an exchange.
    pub fn exchange(&self, name: &str, kind: lapin::ExchangeKind, durable: bool) {
        let options = lapin::options::ExchangeDeclareOptions {
            durable,
            ..Default::default()
        };
        let arguments = FieldTable::default();
        let made = self
            .channel
            .exchange_declare(name.into(), kind, options, arguments);
        self.runtime.block_on(made).unwrap();
    }

    /// All that a queue has by now.
    pub fn take(&self, queue: &str) -> Vec<Got> {
        let mut all = Vec::new();
        loop {
            let options = BasicGetOptions { no_ack: true };
            let got = self
                .runtime
                .block_on(self.channel.basic_get(queue.into(), options));
            let Some(message) = got.unwrap() else {
                return all;
            };
            let delivery = message.delivery;
            let properties = &delivery.properties;
            let shown = |text: &Option<lapin::types::ShortString>| {
                text.as_ref().map_or(String::new(), |text| text.to_string())
            };
            all.push(Got {
                key: delivery.routing_key.to_string(),
                id: shown(properties.message_id()),
                content: shown(properties.content_type()),
                persistent: *properties.delivery_mode() == Some(2),
                body: delivery.data,
            });
        }
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        let closed = self.connection.close(200, "done".into());
        let _ = self.runtime.block_on(closed);
    }
}
