//! The control socket: what `weir status`, `query` and `top` ask.
//!
//! One small thread answers one client after the other, each within a bounded time. It sleeps
//! until somebody connects. Whoever may write to the socket (owner and group) may ask.

use super::frame::{self, Answer, Request};
use super::timed::Timed;
use super::{Shared, query, status};
use crate::sys::poll::{Interest, Poll};
use crate::sys::waker::{self, Waker};
use std::io::{self, BufReader, Write};
use std::os::fd::AsRawFd;
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

/// How long a client may take for its question.
const ASK: Duration = Duration::from_secs(2);

/// How long a client may take to receive the answer.
const RECEIVE: Duration = Duration::from_secs(3);

/// The control socket while it is served; dropping it ends that and removes the socket.
pub struct Handle {
    path: PathBuf,
    /// Which file it made, so that it removes no other.
    file: (u64, u64),
    waker: Waker,
    thread: Option<JoinHandle<()>>,
}

impl Drop for Handle {
    fn drop(&mut self) {
        self.waker.wake();
        if let Some(thread) = self.thread.take() {
            // It has logged what went wrong.
            drop(thread.join());
        }
        let same = std::fs::symlink_metadata(&self.path)
            .is_ok_and(|meta| (meta.dev(), meta.ino()) == self.file);
        if same && let Err(e) = std::fs::remove_file(&self.path) {
            log::warn!("{}: {e}", self.path.display());
        }
    }
}

/// Serves questions about `shared` at the socket `path`; `output` is meant by who names none. A
/// socket that nobody serves any more is
/// replaced, one that is alive is not.
///
/// # Errors
/// What the system says; `AddrInUse` when somebody serves it, or when it is no socket.
pub fn start(path: &str, output: Option<String>, shared: Arc<Shared>) -> io::Result<Handle> {
    let path = PathBuf::from(path);
    let listener = listen(&path)?;
    let meta = std::fs::symlink_metadata(&path)?;
    let (waker, wakened) = waker::pair()?;
    let thread = std::thread::Builder::new()
        .name("control".into())
        .stack_size(256 << 10)
        .spawn(move || {
            let mut poll = Poll::new();
            poll.add(wakened.fd(), Interest::Read);
            poll.add(listener.as_raw_fd(), Interest::Read);
            loop {
                if let Err(e) = poll.wait(None) {
                    log::error!("control socket: {e}");
                    return;
                }
                if poll.ready(0) {
                    return;
                }
                accept(&listener, output.as_deref(), &shared);
            }
        })?;
    Ok(Handle {
        path,
        file: (meta.dev(), meta.ino()),
        waker,
        thread: Some(thread),
    })
}

fn listen(path: &Path) -> io::Result<UnixListener> {
    let taken = |what: String| Err(io::Error::new(io::ErrorKind::AddrInUse, what));
    match std::fs::symlink_metadata(path) {
        Ok(meta) if !meta.file_type().is_socket() => {
            return taken(format!("{} is there and is no socket", path.display()));
        }
        Ok(_) if UnixStream::connect(path).is_ok() => {
            return taken(format!("{} belongs to a running weir", path.display()));
        }
        Ok(_) => std::fs::remove_file(path)?,
        Err(_) => {}
    }
    let listener = UnixListener::bind(path)?;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o660))?;
    listener.set_nonblocking(true)?;
    Ok(listener)
}

fn accept(listener: &UnixListener, output: Option<&str>, shared: &Shared) {
    match listener.accept() {
        Ok((stream, _)) => {
            if let Err(e) = serve(stream, output, shared) {
                log::debug!("control socket: {e}");
            }
        }
        Err(e) if e.kind() == io::ErrorKind::WouldBlock => {}
        Err(e) => {
            // No descriptor is left, most likely: do not spin until there is one.
            log::warn!("control socket: {e}");
            std::thread::sleep(Duration::from_secs(1));
        }
    }
}

fn serve(stream: UnixStream, output: Option<&str>, shared: &Shared) -> io::Result<()> {
    stream.set_nonblocking(false)?;
    let mut stream = Timed::new(stream, ASK);
    let line = frame::read_line(&mut BufReader::with_capacity(512, &mut stream))?;
    let request = Request::parse(&line).map(|request| match output {
        Some(output) if request.value("output").is_none() => request.with("output", output),
        _ => request,
    });
    let answer = request.and_then(|request| answer(&request, shared));
    stream.extend(RECEIVE);
    match answer {
        Ok(reply) => {
            let mut answer = Answer::begin(&mut stream)?;
            reply(&mut answer)?;
            answer.end()
        }
        Err(why) => Answer::refuse(&mut stream, &why),
    }
}

/// What writes an answer once it is known that there is one.
pub type Reply = Box<dyn FnOnce(&mut dyn Write) -> io::Result<()>>;

fn answer(request: &Request, shared: &Shared) -> Result<Reply, String> {
    match request.word.as_str() {
        "status" => {
            let report = status::Report::fresh(shared).ok_or("weir is just being rebuilt")?;
            let text = match request.value("format") {
                Some("json") => report.json(),
                _ => report.text(),
            };
            Ok(Box::new(move |to| to.write_all(text.as_bytes())))
        }
        "query" => query::answer(request, shared),
        other => Err(format!("this weir knows status and query, not `{other}`")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Read;

    fn ask(path: &Path, line: &str) -> String {
        let mut stream = UnixStream::connect(path).unwrap();
        stream.write_all(line.as_bytes()).unwrap();
        let mut text = String::new();
        stream.read_to_string(&mut text).unwrap();
        text
    }

    #[test]
    fn a_stale_socket_is_replaced_a_live_one_and_a_file_are_not() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("weir.sock");
        let name = path.to_str().unwrap();
        drop(UnixListener::bind(&path).unwrap());
        assert!(path.exists());
        let handle = start(name, None, Arc::new(Shared::new())).unwrap();
        let mode = std::fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o660);
        let second = start(name, None, Arc::new(Shared::new()));
        assert_eq!(second.err().unwrap().kind(), io::ErrorKind::AddrInUse);
        assert!(ask(&path, "GET / HTTP/1.1\r\n").contains("error this weir speaks weir/1"));
        assert!(ask(&path, "weir/1\tsing\n").contains("not `sing`"));
        drop(handle);
        assert!(!path.exists());
        std::fs::write(&path, "precious").unwrap();
        assert!(start(name, None, Arc::new(Shared::new())).is_err());
        assert_eq!(std::fs::read(&path).unwrap(), b"precious");
    }

    #[test]
    fn a_client_that_says_nothing_or_too_much_keeps_nobody_else_for_long() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("weir.sock");
        let _handle = start(path.to_str().unwrap(), None, Arc::new(Shared::new())).unwrap();
        let _silent = UnixStream::connect(&path).unwrap();
        let mut loud = UnixStream::connect(&path).unwrap();
        let _ = loud.write_all(&[b'x'; 20_000]);
        let begun = std::time::Instant::now();
        assert!(ask(&path, "weir/1\tsing\n").contains("error"));
        assert!(begun.elapsed() < Duration::from_secs(10));
    }
}
