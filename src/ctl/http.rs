//! Metrics and health over HTTP: `/metrics`, `/healthz`, `/status`. GET alone, one answer for
//! each connection, a bounded number of them, all on one thread that sleeps until somebody asks.
//!
//! Not for anything beyond that: no keep-alive, no body, no TLS, no path that changes anything.

use super::status::Report;
use super::{Shared, metric};
use crate::sys::poll::{Interest, Poll};
use crate::sys::waker::{self, Wakened, Waker};
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream, ToSocketAddrs};
use std::os::fd::AsRawFd;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// Connections at a time; who comes then takes the place of one that has not asked yet, or waits
/// in the kernel's queue.
const CONNECTIONS: usize = 16;

/// Longest request, in bytes.
const REQUEST: usize = 4096;

/// Most header fields of a request.
const HEADERS: usize = 64;

/// Most reads of what a client sends behind its request; all others wait meanwhile.
const DRAIN: usize = 16;

/// How long a client may take for request and answer together.
const PATIENCE: Duration = Duration::from_secs(10);

/// The HTTP endpoint while it runs; dropping it ends that.
pub struct Handle {
    /// Where it listens.
    pub address: SocketAddr,
    waker: Waker,
    thread: Option<JoinHandle<()>>,
}

impl Drop for Handle {
    fn drop(&mut self) {
        self.waker.wake();
        if let Some(thread) = self.thread.take() {
            drop(thread.join());
        }
    }
}

/// Answers at `address` (`127.0.0.1:9090`, `[::1]:9090`, a name and a port) about `shared`.
///
/// # Errors
/// When the address is none or is taken.
pub fn start(address: &str, shared: Arc<Shared>) -> io::Result<Handle> {
    let wrong = |e| io::Error::new(io::ErrorKind::InvalidInput, format!("{address}: {e}"));
    let mut all = address.to_socket_addrs().map_err(wrong)?;
    let first = all
        .next()
        .ok_or_else(|| io::Error::from(io::ErrorKind::NotFound))?;
    let listener = TcpListener::bind(first)?;
    listener.set_nonblocking(true)?;
    let address = listener.local_addr()?;
    let (waker, wakened) = waker::pair()?;
    let server = Server {
        listener,
        wakened,
        shared,
        talks: Vec::new(),
    };
    let thread = std::thread::Builder::new()
        .name("http".into())
        .stack_size(256 << 10)
        .spawn(move || server.run())?;
    Ok(Handle {
        address,
        waker,
        thread: Some(thread),
    })
}

struct Server {
    listener: TcpListener,
    wakened: Wakened,
    shared: Arc<Shared>,
    talks: Vec<Talk>,
}

/// One connection.
struct Talk {
    stream: TcpStream,
    until: Instant,
    request: Vec<u8>,
    answer: Vec<u8>,
    sent: usize,
}

impl Server {
    fn run(mut self) {
        let mut poll = Poll::new();
        loop {
            poll.clear();
            poll.add(self.wakened.fd(), Interest::Read);
            let room = self.talks.len() < CONNECTIONS || self.talks.iter().any(Talk::asks);
            poll.add(
                if room { self.listener.as_raw_fd() } else { -1 },
                Interest::Read,
            );
            for talk in &self.talks {
                poll.add(talk.stream.as_raw_fd(), talk.interest());
            }
            let next = self.talks.iter().map(|t| t.until).min();
            let wait = next.map(|at| at.saturating_duration_since(Instant::now()));
            if let Err(e) = poll.wait(wait) {
                log::error!("http: {e}");
                return;
            }
            if poll.ready(0) {
                return;
            }
            let now = Instant::now();
            let mut at = 0;
            let shared = &self.shared;
            self.talks.retain_mut(|talk| {
                at += 1;
                now < talk.until && (!poll.ready(at + 1) || talk.go_on(shared))
            });
            if poll.ready(1) {
                self.accept(now);
            }
        }
    }

    fn accept(&mut self, now: Instant) {
        match self.listener.accept() {
            Ok((stream, _)) => {
                // Whoever has not asked for longest makes room: connections that stay silent
                // keep nobody out. One that asks at once is read before the next is accepted.
                if self.talks.len() >= CONNECTIONS
                    && let Some(at) = self.talks.iter().position(Talk::asks)
                {
                    self.talks.remove(at);
                }
                if stream.set_nonblocking(true).is_ok() {
                    self.talks.push(Talk {
                        stream,
                        until: now + PATIENCE,
                        request: Vec::new(),
                        answer: Vec::new(),
                        sent: 0,
                    });
                }
            }
            Err(e) if e.kind() == io::ErrorKind::WouldBlock => {}
            Err(e) => {
                log::warn!("http: {e}");
                std::thread::sleep(Duration::from_secs(1));
            }
        }
    }
}

impl Talk {
    /// Whether its request is not complete yet.
    fn asks(&self) -> bool {
        self.answer.is_empty()
    }

    fn interest(&self) -> Interest {
        if self.answer.is_empty() {
            Interest::Read
        } else {
            Interest::Write
        }
    }

    /// Reads or writes what is possible now; false when the connection is at its end.
    fn go_on(&mut self, shared: &Shared) -> bool {
        let step = if self.answer.is_empty() {
            self.receive(shared)
        } else {
            self.send()
        };
        match step {
            Ok(more) => more,
            Err(e) => {
                e.kind() == io::ErrorKind::WouldBlock || e.kind() == io::ErrorKind::Interrupted
            }
        }
    }

    fn receive(&mut self, shared: &Shared) -> io::Result<bool> {
        let mut bytes = [0; REQUEST];
        let room = REQUEST - self.request.len().min(REQUEST);
        let read = self
            .stream
            .read(bytes.get_mut(..room).unwrap_or_default())?;
        if read == 0 {
            return Ok(false);
        }
        self.request
            .extend_from_slice(bytes.get(..read).unwrap_or_default());
        let mut headers = [httparse::EMPTY_HEADER; HEADERS];
        let mut request = httparse::Request::new(&mut headers);
        self.answer = match request.parse(&self.request) {
            Ok(httparse::Status::Partial) if self.request.len() < REQUEST => return Ok(true),
            Ok(httparse::Status::Partial) => plain("431 Request Header Fields Too Large"),
            Err(_) => plain("400 Bad Request"),
            Ok(httparse::Status::Complete(_)) => {
                let path = request.path.unwrap_or_default();
                answer(request.method.unwrap_or_default(), path, shared)
            }
        };
        self.send()
    }

    fn send(&mut self) -> io::Result<bool> {
        let rest = self.answer.get(self.sent..).unwrap_or_default();
        self.sent += self.stream.write(rest)?;
        if self.sent < self.answer.len() {
            return Ok(true);
        }
        // What the client still sends must not reset the connection under the answer.
        self.stream.shutdown(std::net::Shutdown::Write)?;
        // A client that never ends has to live with the reset.
        let mut rest = [0; 4096];
        for _ in 0..DRAIN {
            if !matches!(self.stream.read(&mut rest), Ok(n) if n > 0) {
                break;
            }
        }
        Ok(false)
    }
}

fn answer(method: &str, path: &str, shared: &Shared) -> Vec<u8> {
    if method != "GET" {
        return plain("405 Method Not Allowed");
    }
    let path = path.split('?').next().unwrap_or_default();
    if !["/metrics", "/healthz", "/status"].contains(&path) {
        return plain("404 Not Found");
    }
    let Some(report) = Report::fresh(shared) else {
        return plain("503 Service Unavailable");
    };
    match path {
        "/metrics" => {
            let kind = "text/plain; version=0.0.4; charset=utf-8";
            response("200 OK", kind, &metric::text(&report))
        }
        "/status" => response("200 OK", "application/json", &report.json()),
        _ => match report.troubles() {
            none if none.is_empty() => plain("200 OK"),
            troubles => {
                let text = format!("{}\n", troubles.join("\n"));
                response(
                    "503 Service Unavailable",
                    "text/plain; charset=utf-8",
                    &text,
                )
            }
        },
    }
}

fn plain(status: &str) -> Vec<u8> {
    let words = status.split_once(' ').map_or(status, |(_, words)| words);
    response(status, "text/plain; charset=utf-8", &format!("{words}\n"))
}

fn response(status: &str, kind: &str, body: &str) -> Vec<u8> {
    let length = body.len();
    let head = format!(
        "HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {length}\r\n\
         Cache-Control: no-store\r\nConnection: close\r\n\r\n"
    );
    [head.as_bytes(), body.as_bytes()].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn talk(to: SocketAddr, request: &[u8]) -> String {
        let mut stream = TcpStream::connect(to).unwrap();
        stream
            .set_read_timeout(Some(Duration::from_secs(30)))
            .unwrap();
        stream.write_all(request).unwrap();
        let mut text = Vec::new();
        let _ = stream.read_to_end(&mut text);
        String::from_utf8(text).unwrap()
    }

    #[test]
    fn what_is_wrong_gets_its_status_and_many_clients_an_answer() {
        let handle = start("127.0.0.1:0", Arc::new(Shared::new())).unwrap();
        let at = handle.address;
        let idle: Vec<_> = (0..CONNECTIONS - 1)
            .map(|_| TcpStream::connect(at).unwrap())
            .collect();
        for (request, status) in [
            ("GET /nothing HTTP/1.1\r\nHost: x\r\n\r\n", "404"),
            ("POST /metrics HTTP/1.1\r\nHost: x\r\n\r\n", "405"),
            ("nonsense\x01\r\n\r\n", "400"),
        ] {
            let got = talk(at, request.as_bytes());
            assert!(got.starts_with(&format!("HTTP/1.1 {status} ")), "{got}");
        }
        let long = format!(
            "GET /metrics HTTP/1.1\r\nX: {}\r\n\r\n",
            "y".repeat(REQUEST)
        );
        assert!(talk(at, long.as_bytes()).starts_with("HTTP/1.1 431 "));
        drop(idle);
        drop(handle);
        assert!(TcpStream::connect(at).is_err());
    }

    #[test]
    fn neither_silence_nor_endless_talk_keeps_others_out() {
        let handle = start("127.0.0.1:0", Arc::new(Shared::new())).unwrap();
        let at = handle.address;
        let silent: Vec<_> = (0..CONNECTIONS * 3)
            .map(|_| TcpStream::connect(at).unwrap())
            .collect();
        let mut endless = TcpStream::connect(at).unwrap();
        endless.write_all(b"GET /nothing HTTP/1.1\r\n\r\n").unwrap();
        let talker = std::thread::spawn(move || {
            let begun = Instant::now();
            while begun.elapsed() < Duration::from_secs(20)
                && endless.write_all(&[b'x'; 65_536]).is_ok()
            {}
            begun.elapsed()
        });
        let begun = Instant::now();
        assert!(talk(at, b"GET /nothing HTTP/1.1\r\n\r\n").starts_with("HTTP/1.1 404 "));
        assert!(begun.elapsed() < PATIENCE / 2);
        assert!(talker.join().unwrap() < Duration::from_secs(20));
        drop(silent);
    }
}
