//! The language of the control socket: one line asks, a line and counted pieces answer.
//!
//! ```text
//! weir/1 <tab> query <tab> output=live <tab> top=10 <newline>
//! weir/1 ok <newline> 5 <newline> hello 0 <newline>
//! weir/1 error no output of that name <newline>
//! ```
//!
//! An answer ends with a piece of length 0, so an answer that was cut is known as such. Not for
//! what the words mean: that is `socket`'s and the commands' business.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

/// What every line begins with: name and version of the language.
pub const VERSION: &str = "weir/1";

/// Longest line, in bytes.
pub const LINE_MAX: usize = 8192;

/// Largest piece of an answer, in bytes.
const PIECE_MAX: usize = 64 << 10;

/// How long a client waits for the next bytes of an answer.
const PATIENCE: Duration = Duration::from_secs(20);

/// A question: a word, and names with values.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Request {
    /// What to do: `status`, `query`.
    pub word: String,
    /// Names with values; a name may come several times.
    pub values: Vec<(String, String)>,
}

impl Request {
    /// A question without values.
    pub fn new(word: &str) -> Self {
        Self {
            word: word.into(),
            values: Vec::new(),
        }
    }

    /// Adds a value.
    pub fn with(mut self, name: &str, value: &str) -> Self {
        self.values.push((name.into(), value.into()));
        self
    }

    /// The first value of this name.
    pub fn value(&self, name: &str) -> Option<&str> {
        self.all(name).next()
    }

    /// All values of this name.
    pub fn all<'a>(&'a self, name: &str) -> impl Iterator<Item = &'a str> {
        let found = self.values.iter().filter(move |(n, _)| n == name);
        found.map(|(_, value)| value.as_str())
    }

    /// The line, with its newline.
    ///
    /// # Errors
    /// When a value holds what would end it, or the line is too long.
    pub fn line(&self) -> Result<String, String> {
        let mut line = format!("{VERSION}\t{}", self.word);
        for (name, value) in &self.values {
            if value.contains(['\t', '\n', '\r', '\0']) {
                return Err(format!("{value:?} holds a tab or a newline"));
            }
            line.push_str(&format!("\t{name}={value}"));
        }
        line.push('\n');
        if line.len() > LINE_MAX {
            return Err(format!("a question takes {LINE_MAX} bytes at the most"));
        }
        Ok(line)
    }

    /// Reads a line without its newline.
    ///
    /// # Errors
    /// What is wrong with it, for whoever asked.
    pub fn parse(line: &str) -> Result<Self, String> {
        let mut parts = line.split('\t');
        if parts.next() != Some(VERSION) {
            return Err(format!("this weir speaks {VERSION}"));
        }
        let mut request = Self::new(parts.next().unwrap_or_default());
        for part in parts {
            let (name, value) = part.split_once('=').unwrap_or((part, ""));
            request.values.push((name.into(), value.into()));
        }
        Ok(request)
    }
}

/// An answer as it is written: pieces with their lengths. Bytes wait until a piece is full.
pub struct Answer<'a> {
    to: &'a mut dyn Write,
    piece: Vec<u8>,
}

impl<'a> Answer<'a> {
    /// Begins an answer that all is well.
    ///
    /// # Errors
    /// What the system says.
    pub fn begin(to: &'a mut dyn Write) -> io::Result<Self> {
        to.write_all(format!("{VERSION} ok\n").as_bytes())?;
        Ok(Self {
            to,
            piece: Vec::new(),
        })
    }

    /// Answers that something is wrong.
    ///
    /// # Errors
    /// What the system says.
    pub fn refuse(to: &mut dyn Write, why: &str) -> io::Result<()> {
        let why = why.replace('\n', " ");
        to.write_all(format!("{VERSION} error {why}\n").as_bytes())
    }

    /// Ends the answer.
    ///
    /// # Errors
    /// What the system says.
    pub fn end(mut self) -> io::Result<()> {
        self.flush()?;
        self.to.write_all(b"0\n")?;
        self.to.flush()
    }
}

impl Write for Answer<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let room = PIECE_MAX.saturating_sub(self.piece.len());
        let bytes = bytes.get(..room).unwrap_or(bytes);
        self.piece.extend_from_slice(bytes);
        if self.piece.len() >= PIECE_MAX {
            self.flush()?;
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        if !self.piece.is_empty() {
            writeln!(self.to, "{}", self.piece.len())?;
            self.to.write_all(&self.piece)?;
            self.piece.clear();
        }
        Ok(())
    }
}

/// Why a question has no answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Unanswered {
    /// Nobody there, or no permission, or the answer broke off.
    Failed(String),
    /// weir says what is wrong with the question.
    Refused(String),
}

impl From<Unanswered> for String {
    fn from(why: Unanswered) -> Self {
        match why {
            Unanswered::Failed(why) | Unanswered::Refused(why) => why,
        }
    }
}

impl From<String> for Unanswered {
    fn from(why: String) -> Self {
        Self::Failed(why)
    }
}

/// Asks the weir behind the socket `path`; the answer goes to `out`.
///
/// # Errors
/// A sentence for the user: nobody there, no permission, what weir said.
pub fn ask(path: &Path, request: &Request, out: &mut dyn Write) -> Result<(), Unanswered> {
    let line = request.line()?;
    let name = path.display();
    let mut stream = UnixStream::connect(path).map_err(|e| match e.kind() {
        io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused => {
            format!("no weir answers at {name}; is it running, with `control` set to that path?")
        }
        io::ErrorKind::PermissionDenied => format!("{name}: you may not ask this weir"),
        _ => format!("{name}: {e}"),
    })?;
    let talk = |e: io::Error| match e.kind() {
        io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut => format!("{name}: no answer"),
        _ => format!("{name}: {e}"),
    };
    stream.set_read_timeout(Some(PATIENCE)).map_err(talk)?;
    stream.set_write_timeout(Some(PATIENCE)).map_err(talk)?;
    stream.write_all(line.as_bytes()).map_err(talk)?;
    let mut from = BufReader::new(stream);
    let head = read_line(&mut from).map_err(talk)?;
    match head.strip_prefix(VERSION).map(str::trim_start) {
        Some("ok") => {}
        Some(words) if words.starts_with("error ") => {
            return Err(Unanswered::Refused(words["error ".len()..].into()));
        }
        _ => return Err(format!("{name}: not a weir of this version answers there").into()),
    }
    receive(&mut from, out).map_err(|e| format!("{name}: {e}").into())
}

/// Copies the pieces of an answer.
fn receive(from: &mut impl BufRead, out: &mut dyn Write) -> io::Result<()> {
    let cut = || io::Error::new(io::ErrorKind::UnexpectedEof, "the answer was cut");
    loop {
        let line = read_line(from)?;
        let length: u64 = line.parse().map_err(|_| cut())?;
        if length == 0 {
            return Ok(());
        }
        if io::copy(&mut from.by_ref().take(length), out)? < length {
            return Err(cut());
        }
    }
}

/// A line without its end, of bounded length.
///
/// # Errors
/// What the system says; `InvalidData` when it is too long or no text.
pub fn read_line(from: &mut impl BufRead) -> io::Result<String> {
    let mut line = Vec::new();
    from.take(LINE_MAX as u64).read_until(b'\n', &mut line)?;
    if line.pop() != Some(b'\n') {
        let what = "the line has no end";
        return Err(io::Error::new(io::ErrorKind::InvalidData, what));
    }
    String::from_utf8(line).map_err(|_| io::Error::new(io::ErrorKind::InvalidData, "no text"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_question_survives_its_line() {
        let asked = Request::new("query")
            .with("output", "live")
            .with("match", "src_host=10.0.0.0/8")
            .with("match", "proto!=udp");
        let line = asked.line().unwrap();
        assert_eq!(Request::parse(line.trim_end()), Ok(asked.clone()));
        assert_eq!(asked.all("match").count(), 2);
        assert!(asked.clone().with("a", "b\tc").line().is_err());
        assert!(asked.with("a", &"x".repeat(LINE_MAX)).line().is_err());
        assert!(Request::parse("weir/9\tstatus").is_err());
        assert!(Request::parse("GET / HTTP/1.1").is_err());
    }

    #[test]
    fn an_answer_comes_in_pieces_and_a_cut_one_is_known() {
        let mut wire = Vec::new();
        let mut answer = Answer::begin(&mut wire).unwrap();
        let text: Vec<u8> = (0..200_000u32).map(|n| n as u8).collect();
        answer.write_all(&text).unwrap();
        answer.end().unwrap();
        let mut from = BufReader::new(wire.as_slice());
        assert_eq!(read_line(&mut from).unwrap(), "weir/1 ok");
        let mut got = Vec::new();
        receive(&mut from, &mut got).unwrap();
        assert!(got == text);
        let head = "weir/1 ok\n".len();
        for cut in [head, head + 3, wire.len() / 2, wire.len() - 1] {
            let mut from = BufReader::new(&wire[head..cut]);
            assert!(receive(&mut from, &mut Vec::new()).is_err(), "{cut}");
        }
    }
}
