//! Lines to the system's log over its local datagram socket, framed as RFC 3164 §4.1 has it for
//! local senders: priority, tag, text; no host name, and no time, which the logger adds: the C
//! library's rules for local time are flash that nothing else on a router asks for. Not for remote
//! syslog.

use std::io;
use std::os::fd::{AsRawFd, RawFd};
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};

/// RFC 3164 §4.1.1, the severities weir uses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Severity {
    /// Something failed.
    Error = 3,
    /// Something is not as it should be.
    Warning = 4,
    /// Normal, and somebody asked for it.
    Notice = 5,
    /// Normal and worth knowing.
    Info = 6,
    /// For whoever is looking for a fault.
    Debug = 7,
}

/// Facilities by name, with their numbers (RFC 3164 §4.1.1).
pub const FACILITIES: &[(&str, u8)] = &[
    ("auth", 4),
    ("mail", 2),
    ("daemon", 3),
    ("kern", 0),
    ("user", 1),
    ("local0", 16),
    ("local1", 17),
    ("local2", 18),
    ("local3", 19),
    ("local4", 20),
    ("local5", 21),
    ("local6", 22),
    ("local7", 23),
];

/// The number of a facility.
pub fn facility(name: &str) -> Option<u8> {
    let found = FACILITIES.iter().find(|(known, _)| *known == name);
    found.map(|(_, number)| *number)
}

/// Where the system's logger listens, first found wins.
const PATHS: [&str; 3] = ["/dev/log", "/var/run/log", "/var/run/syslog"];

/// RFC 3164 §4.1: the whole packet is at the most this long.
const PACKET: usize = 1024;

/// An open way to the system's log.
pub struct Syslog {
    socket: UnixDatagram,
    path: PathBuf,
    facility: u8,
    tag: String,
}

impl Syslog {
    /// Connects to `path`, or to where the system usually listens.
    ///
    /// # Errors
    /// When no logger listens there.
    pub fn open(path: Option<&Path>, facility: u8, tag: &str) -> io::Result<Self> {
        let socket = UnixDatagram::unbound()?;
        // The log must never hold up what it reports on.
        socket.set_nonblocking(true)?;
        let mut last = io::Error::from(io::ErrorKind::NotFound);
        for candidate in path.map_or_else(|| PATHS.map(Path::new).to_vec(), |p| vec![p]) {
            match socket.connect(candidate) {
                Ok(()) => {
                    let path = candidate.to_path_buf();
                    return Ok(Self {
                        socket,
                        path,
                        facility,
                        tag: tag.to_owned(),
                    });
                }
                Err(e) => last = e,
            }
        }
        Err(last)
    }

    /// Its socket, and the priority of lines of this severity.
    pub fn raw(&self, severity: Severity) -> (RawFd, u32) {
        let priority = (u32::from(self.facility) << 3) | severity as u32;
        (self.socket.as_raw_fd(), priority)
    }

    /// Sends one line; what does not fit into a packet is cut off. A logger that was restarted is
    /// found again at the next line.
    ///
    /// # Errors
    /// When the line could not be handed over.
    pub fn send(&self, severity: Severity, text: &str) -> io::Result<()> {
        let line = self.line(severity, text);
        match self.socket.send(line.as_bytes()) {
            Ok(_) => Ok(()),
            Err(e) if e.kind() == io::ErrorKind::WouldBlock => Err(e),
            Err(_) => {
                self.socket.connect(&self.path)?;
                self.socket.send(line.as_bytes()).map(|_| ())
            }
        }
    }

    fn line(&self, severity: Severity, text: &str) -> String {
        let priority = (u32::from(self.facility) << 3) | severity as u32;
        let mut line = format!("<{priority}>{}[{}]: {text}", self.tag, std::process::id());
        let mut end = line.len().min(PACKET);
        while !line.is_char_boundary(end) {
            end -= 1;
        }
        line.truncate(end);
        // A line feed would be a second message to some receivers.
        line.replace(['\n', '\r'], " ")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_line_arrives_as_one_packet() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("log");
        let logger = UnixDatagram::bind(&path).unwrap();
        let log = Syslog::open(Some(&path), facility("daemon").unwrap(), "weir").unwrap();
        log.send(Severity::Warning, "all\nis well").unwrap();
        let mut packet = [0; 2000];
        let n = logger.recv(&mut packet).unwrap();
        let text = std::str::from_utf8(&packet[..n]).unwrap();
        let id = std::process::id();
        assert_eq!(text, format!("<28>weir[{id}]: all is well"));

        drop(logger);
        std::fs::remove_file(&path).unwrap();
        let logger = UnixDatagram::bind(&path).unwrap();
        log.send(Severity::Error, &"ü".repeat(2000)).unwrap();
        let n = logger.recv(&mut packet).unwrap();
        assert!((PACKET - 1..=PACKET).contains(&n));
        assert!(std::str::from_utf8(&packet[..n]).is_ok());
    }

    #[test]
    fn no_logger_is_an_error_at_opening() {
        assert!(Syslog::open(Some(Path::new("/nonexistent/log")), 3, "weir").is_err());
        assert_eq!(facility("local7"), Some(23));
        assert_eq!(facility("lpr?"), None);
    }
}
