//! [`Session`]: a connection to PostgreSQL in which nothing is waited for without an end. A server
//! that accepts and is silent, or stops in the middle of something, is one that is lost.

use futures_util::SinkExt;
use std::fmt;
use std::io::Cursor;
use std::pin::Pin;
use std::time::Duration;
use tokio::runtime::{Builder, Runtime};
use tokio_postgres::types::{ToSql, Type};
use tokio_postgres::{Client, Config, CopyInSink, NoTls, Row};

/// What goes wrong in a session.
#[derive(Debug)]
pub enum Error {
    /// What the server says, or how the connection ended.
    Server(tokio_postgres::Error),
    /// The system's, before there is a connection.
    System(std::io::Error),
    /// No answer came for so long.
    Silent(Duration),
}

impl Error {
    /// The server's own code for it, where it has given one.
    pub fn code(&self) -> Option<&tokio_postgres::error::SqlState> {
        match self {
            Self::Server(error) => error.code(),
            Self::System(_) | Self::Silent(_) => None,
        }
    }
}

impl From<tokio_postgres::Error> for Error {
    fn from(error: tokio_postgres::Error) -> Self {
        Self::Server(error)
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Server(error) => error.fmt(f),
            Self::System(error) => error.fmt(f),
            Self::Silent(time) => write!(f, "no answer within {} s", time.as_secs_f32()),
        }
    }
}

/// Values of a statement, with their types.
pub type Values<'a> = [(&'a (dyn ToSql + Sync), Type)];

/// A connection. It does something while one of its methods runs, and else nothing.
pub struct Session {
    // Ends before what it runs in.
    client: Client,
    runtime: Runtime,
    patience: Duration,
}

impl Session {
    /// Connects: within `opening`, and with `patience` for each exchange that follows.
    ///
    /// # Errors
    /// Why there is no connection.
    pub fn open(config: &Config, opening: Duration, patience: Duration) -> Result<Self, Error> {
        let runtime = Builder::new_current_thread().enable_all().build();
        let runtime = runtime.map_err(Error::System)?;
        let (client, connection) = within(&runtime, opening, config.connect(NoTls))?;
        // How it ends is told to whoever asks for something next.
        drop(runtime.spawn(connection));
        Ok(Self {
            client,
            runtime,
            patience,
        })
    }

    fn wait<T>(
        &self,
        work: impl Future<Output = Result<T, tokio_postgres::Error>>,
    ) -> Result<T, Error> {
        within(&self.runtime, self.patience, work)
    }

    /// Whether there is somebody at the other end who answers within `time`.
    pub fn answers(&self, time: Duration) -> bool {
        within(&self.runtime, time, self.client.check_connection()).is_ok()
    }

    /// Statements without values, one or several.
    ///
    /// # Errors
    /// The server's.
    pub fn batch(&self, sql: &str) -> Result<(), Error> {
        self.wait(self.client.batch_execute(sql))
    }

    /// The rows of a question.
    ///
    /// # Errors
    /// The server's.
    pub fn query(&self, sql: &str, values: &Values<'_>) -> Result<Vec<Row>, Error> {
        self.wait(self.client.query_typed(sql, values))
    }

    /// A statement without an answer; how many rows it was about.
    ///
    /// # Errors
    /// The server's.
    pub fn execute(&self, sql: &str, values: &Values<'_>) -> Result<u64, Error> {
        self.wait(self.client.execute_typed(sql, values))
    }

    /// Begins a `COPY … FROM STDIN`.
    ///
    /// # Errors
    /// The server's.
    pub fn copy(&self, sql: &str) -> Result<Copy<'_>, Error> {
        let rows = self.wait(self.client.copy_in(sql))?;
        Ok(Copy {
            session: self,
            rows: Box::pin(rows),
        })
    }
}

fn within<T>(
    runtime: &Runtime,
    time: Duration,
    work: impl Future<Output = Result<T, tokio_postgres::Error>>,
) -> Result<T, Error> {
    match runtime.block_on(async { tokio::time::timeout(time, work).await }) {
        Ok(done) => done.map_err(Error::Server),
        Err(_) => Err(Error::Silent(time)),
    }
}

/// Rows on their way; without [`finish`](Self::finish) the server takes none of them.
pub struct Copy<'a> {
    session: &'a Session,
    rows: Pin<Box<CopyInSink<Cursor<Vec<u8>>>>>,
}

impl Copy<'_> {
    /// Hands over a piece, which is empty then.
    ///
    /// # Errors
    /// The server's.
    pub fn send(&mut self, piece: &mut Vec<u8>) -> Result<(), Error> {
        if piece.is_empty() {
            return Ok(());
        }
        let full = std::mem::replace(piece, Vec::with_capacity(piece.capacity()));
        self.session.wait(self.rows.send(Cursor::new(full)))
    }

    /// Ends it.
    ///
    /// # Errors
    /// The server's.
    pub fn finish(mut self) -> Result<(), Error> {
        self.session.wait(self.rows.as_mut().finish()).map(drop)
    }
}
