//! Where log lines go, standard error, a file or the system's log, and what they look like.
//!
//! A line that repeats is held back by the place in the code it comes from, so that trouble on
//! the wire can not fill a disk. Not for per-packet trouble: that is a counter.

use crate::base::offset::Wall;
use crate::base::text::one_line;
use crate::base::time::{self, Nanos, SECOND};
use crate::base::zone::Zone;
use crate::sys::poll::{Interest, Poll};
use crate::sys::syslog::{Severity, Syslog};
use crate::sys::{crash, fifo};
use log::{Level, LevelFilter, Log, Metadata, Record};
use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::fd::AsRawFd;
use std::panic::{self, PanicHookInfo};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

/// Most bytes of a line's text, so that a pipe takes the line whole (`PIPE_BUF`).
const LINE: usize = 3840;

/// How long somebody who reads standard error slowly is waited for.
const PATIENCE: Duration = Duration::from_millis(100);

/// Lines that one place may write in a [`WINDOW`].
pub const LINES: u32 = 10;

/// How long a place is counted for, in nanoseconds.
pub const WINDOW: u64 = 10 * SECOND;

/// Places that are counted at a time; the oldest makes room for a new one.
pub const PLACES: usize = 64;

/// Where lines go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Target<'a> {
    /// Standard error.
    Stderr,
    /// A file that lines are added to; [`reopen`] opens it anew.
    File(&'a Path),
    /// The system's log, with this facility number (RFC 3164 §4.1.1).
    Syslog {
        /// The socket; `None` is where the system usually has it.
        path: Option<&'a Path>,
        /// 3 is *daemon*.
        facility: u8,
        /// What lines begin with.
        ident: &'a str,
    },
}

/// How a program that weir stands in for writes its lines: `LEVEL ( name/type ): text`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Names {
    /// Name and type of what is no output.
    pub core: String,
    /// Names and types of outputs, by their names in the configuration.
    pub outputs: Vec<(String, String)>,
}

/// What lines look like.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Shape {
    /// Whether lines to standard error begin with the time; in files they always do.
    pub stamp: bool,
    /// The other program's lines.
    pub names: Option<Names>,
}

/// The target of lines that somebody asked for: they matter more than others of level info, and
/// none is held back.
pub const NOTICE: &str = "notice";

/// The target of lines of a list that is told once, so that none of them is held back.
pub const LIST: &str = "list";

fn logger() -> &'static Logger {
    static LOGGER: OnceLock<Logger> = OnceLock::new();
    LOGGER.get_or_init(Logger::default)
}

/// Sets up logging, or changes what was set up before.
///
/// # Errors
/// When the file can not be opened or the system's log not be reached; then nothing has changed.
pub fn init(target: Target<'_>, level: LevelFilter) -> io::Result<()> {
    let to = match target {
        Target::Stderr => To::Stderr,
        Target::File(path) => To::File(path.into(), open(path)?),
        Target::Syslog {
            path,
            facility,
            ident,
        } => To::Syslog(Syslog::open(path, facility, ident)?),
    };
    let logger = logger();
    to.follow();
    logger.state().out.to = to;
    // Fails from the second time on, when it is in place already.
    let _ = log::set_logger(logger);
    log::set_max_level(level);
    Ok(())
}

/// Changes what lines look like from now on.
pub fn shape(shape: Shape) {
    logger().state().out.shape = shape;
}

/// Opens the file anew, after somebody has put the old one away.
///
/// # Errors
/// When it can not be opened; lines go on to the old one then.
pub fn reopen() -> io::Result<()> {
    let state = &mut *logger().state();
    if let To::File(path, file) = &mut state.out.to {
        *file = open(path)?;
        state.out.to.follow();
    }
    Ok(())
}

/// From now on the log has a line on what kills weir: a defect with its place in the code, a
/// signal with the address where it struck. Where panics end in an instruction that faults at
/// once, the address is all there is.
pub fn guard() {
    if !crash::BUILT {
        return;
    }
    if let Err(e) = crash::listen() {
        log::debug!("signals of crashes: {e}");
    }
    let before = panic::take_hook();
    panic::set_hook(Box::new(move |info| {
        let text = defect(info);
        match logger().state.try_lock() {
            Ok(mut state) => state
                .out
                .line(time::wall(), Said::Level(Level::Error), &text),
            // The defect is in here, or another thread writes just now.
            Err(_) => drop(io::stderr().write_all(format!("weir: error: {text}\n").as_bytes())),
        }
        if cfg!(panic = "abort") {
            crash::said();
        }
        if std::env::var_os("RUST_BACKTRACE").is_some() {
            before(info);
        }
    }));
}

fn defect(info: &PanicHookInfo<'_>) -> String {
    let message = info.payload_as_str().unwrap_or("no message");
    let place = info.location().map(ToString::to_string).unwrap_or_default();
    let thread = std::thread::current();
    let thread = thread.name().unwrap_or("without a name");
    let version = env!("CARGO_PKG_VERSION");
    format!("a defect at {place}, thread {thread}, weir {version}: {message}")
}

fn open(path: &Path) -> io::Result<File> {
    if fifo::is(path) {
        // Whoever reads it slowly, or not at all, would hold up all that has something to say.
        return Err(io::Error::other("a named pipe can not be a log"));
    }
    OpenOptions::new().append(true).create(true).open(path)
}

/// Writes how many lines were held back in windows that are over; call it now and then. A place
/// that falls silent would otherwise never say so.
pub fn flush() {
    log::logger().flush();
}

#[derive(Default)]
struct Logger {
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    limit: Limit,
    out: Out,
}

impl Logger {
    fn state(&self) -> MutexGuard<'_, State> {
        // Half a line is no reason to be silent from then on.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Log for Logger {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.level() <= log::max_level()
    }

    fn log(&self, record: &Record<'_>) {
        if !self.enabled(record.metadata()) {
            return;
        }
        let place = Place {
            file: record.file_static(),
            line: record.line().unwrap_or(0),
        };
        let now = time::wall();
        let State { limit, out } = &mut *self.state();
        limit.over(now, |level, held| out.held_back(now, level, held));
        let free = [NOTICE, LIST].contains(&record.target());
        let mut report = |level, held| out.held_back(now, level, held);
        if free || limit.pass(place, record.level(), now, &mut report) {
            let level = match record.level() {
                Level::Info if record.target() == NOTICE => Said::Notice,
                level => Said::Level(level),
            };
            out.line(now, level, &record.args().to_string());
        }
    }

    fn flush(&self) {
        let now = time::wall();
        let State { limit, out } = &mut *self.state();
        limit.over(now, |level, held| out.held_back(now, level, held));
    }
}

#[derive(Default)]
enum To {
    #[default]
    Stderr,
    File(PathBuf, File),
    Syslog(Syslog),
}

impl To {
    /// The last line of a crash goes there too.
    fn follow(&self) {
        match self {
            Self::Stderr => crash::log_to(2, None),
            Self::File(_, file) => crash::log_to(file.as_raw_fd(), None),
            Self::Syslog(syslog) => {
                let (fd, priority) = syslog.raw(Severity::Error);
                crash::log_to(fd, Some(priority));
            }
        }
    }
}

/// How much a line matters.
#[derive(Clone, Copy)]
enum Said {
    Level(Level),
    Notice,
}

impl Said {
    fn severity(self) -> Severity {
        match self {
            Self::Level(Level::Error) => Severity::Error,
            Self::Level(Level::Warn) => Severity::Warning,
            Self::Notice => Severity::Notice,
            Self::Level(Level::Info) => Severity::Info,
            Self::Level(Level::Debug | Level::Trace) => Severity::Debug,
        }
    }

    /// As lines of weir's own have it, and as lines of the other program.
    fn words(self) -> (&'static str, &'static str) {
        match self {
            Self::Level(Level::Error) => ("error", "ERROR"),
            Self::Level(Level::Warn) => ("warning", "WARN"),
            Self::Notice => ("notice", "NOTICE"),
            Self::Level(Level::Info) => ("info", "INFO"),
            Self::Level(Level::Debug | Level::Trace) => ("debug", "DEBUG"),
        }
    }
}

#[derive(Default)]
struct Out {
    to: To,
    shape: Shape,
    /// The zone of stamps, known from the first one on.
    wall: Option<Wall>,
    /// Lines that found no room at standard error.
    unread: u32,
}

impl Out {
    fn line(&mut self, now: Nanos, said: Said, text: &str) {
        let text = &*one_line(text, LINE);
        let line = match &self.shape.names {
            None => format!("{}: {text}", said.words().0),
            Some(names) => names.line(said, text),
        };
        // In one write, so that lines of several threads do not mix; and there is nobody to tell
        // when standard error is gone, or the disk full.
        let named = if self.shape.names.is_some() {
            ""
        } else {
            "weir: "
        };
        match &self.to {
            To::Stderr => {
                let stamp = self.stamp(now, self.shape.stamp);
                let line = format!("{stamp}{named}{line}\n");
                self.say(&line);
            }
            To::File(..) => {
                let line = format!("{}{named}{line}\n", self.stamp(now, true));
                if let To::File(_, file) = &mut self.to {
                    let _ = file.write_all(line.as_bytes());
                }
            }
            To::Syslog(syslog) if self.shape.names.is_none() => {
                // The level is in the priority.
                let _ = syslog.send(said.severity(), text);
            }
            To::Syslog(syslog) => {
                let _ = syslog.send(said.severity(), &line);
            }
        }
    }

    /// To standard error, where there is room: a reader that has stopped must not stop all that has
    /// something to say. Lines it did not take are told of once it goes on.
    fn say(&mut self, line: &str) {
        // Waited for once, not at each line.
        let patience = match self.unread {
            0 => PATIENCE,
            _ => Duration::ZERO,
        };
        let mut poll = Poll::new();
        poll.add(io::stderr().as_raw_fd(), Interest::Write);
        if let Ok(false) = poll.wait(Some(patience)) {
            self.unread = self.unread.saturating_add(1);
            return;
        }
        let mut to = io::stderr().lock();
        let unread = std::mem::take(&mut self.unread);
        if unread > 0 {
            let _ = writeln!(
                to,
                "weir: warning: {unread} lines before this were not taken"
            );
        }
        let _ = to.write_all(line.as_bytes());
    }

    /// `2026-01-02T03:04:05+01:00 `, where wanted.
    fn stamp(&mut self, now: Nanos, wanted: bool) -> String {
        if !wanted {
            return String::new();
        }
        let local = || Wall::new(Zone::named("local").unwrap_or(Zone::UTC));
        let c = self.wall.get_or_insert_with(local).civil(now);
        let (sign, minutes) = (
            if c.offset < 0 { '-' } else { '+' },
            c.offset.unsigned_abs() / 60,
        );
        let zone = match minutes {
            0 => "Z".into(),
            _ => format!("{sign}{:02}:{:02}", minutes / 60, minutes % 60),
        };
        format!(
            "{:04}-{:02}-{:02}T{:02}:{:02}:{:02}{zone} ",
            c.year, c.month, c.day, c.hour, c.minute, c.second
        )
    }

    fn held_back(&mut self, now: Nanos, level: Level, held: Held) {
        let Held { place, count } = held;
        let (file, line) = (place.file.unwrap_or("?"), place.line);
        self.line(
            now,
            Said::Level(level),
            &format!("… suppressed {count} more lines from {file}:{line}"),
        );
    }
}

impl Names {
    /// A line; what is said of an output is said by it.
    fn line(&self, said: Said, text: &str) -> String {
        let mut outputs = self.outputs.iter();
        let by = outputs.find_map(|(output, name)| {
            let rest = text
                .strip_prefix("output ")?
                .strip_prefix(output.as_str())?;
            Some((name.as_str(), rest.strip_prefix(": ")?))
        });
        let (name, text) = by.unwrap_or((&self.core, text));
        format!("{} ( {name} ): {text}", said.words().1)
    }
}

/// A place in the code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Place {
    file: Option<&'static str>,
    line: u32,
}

/// What a place was not allowed to write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Held {
    place: Place,
    count: u32,
}

struct Entry {
    place: Place,
    level: Level,
    since: Nanos,
    lines: u32,
}

impl Entry {
    fn held(&self) -> Option<Held> {
        let count = self.lines.checked_sub(LINES).filter(|n| *n > 0)?;
        Some(Held {
            place: self.place,
            count,
        })
    }
}

/// Counts lines by place. Bounded: [`PLACES`] entries.
#[derive(Default)]
struct Limit {
    entries: Vec<Entry>,
}

impl Limit {
    /// Forgets the windows that are over and reports what they held back.
    fn over(&mut self, now: Nanos, mut report: impl FnMut(Level, Held)) {
        self.entries.retain(|entry| {
            // A clock that was set back must not keep a place silent.
            let open = now >= entry.since && now.0.saturating_sub(entry.since.0) < WINDOW;
            if let Some(held) = entry.held().filter(|_| !open) {
                report(entry.level, held);
            }
            open
        });
    }

    /// Whether a line from this place may be written now.
    fn pass(
        &mut self,
        place: Place,
        level: Level,
        now: Nanos,
        mut report: impl FnMut(Level, Held),
    ) -> bool {
        if let Some(entry) = self.entries.iter_mut().find(|entry| entry.place == place) {
            entry.lines = entry.lines.saturating_add(1);
            return entry.lines <= LINES;
        }
        if self.entries.len() >= PLACES {
            // The first is the oldest: entries are only ever appended.
            let oldest = self.entries.remove(0);
            if let Some(held) = oldest.held() {
                report(oldest.level, held);
            }
        }
        self.entries.push(Entry {
            place,
            level,
            since: now,
            lines: 1,
        });
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::net::UnixDatagram;

    const HERE: Place = Place {
        file: Some("here.rs"),
        line: 1,
    };

    fn at(seconds: u64) -> Nanos {
        Nanos::new(seconds, 0)
    }

    #[test]
    fn a_place_is_silenced_and_says_so_once() {
        let mut limit = Limit::default();
        let passed = (0..25)
            .filter(|_| limit.pass(HERE, Level::Warn, at(100), |_, _| ()))
            .count();
        assert_eq!(passed, LINES as usize);
        let mut reports = Vec::new();
        limit.over(at(109), |level, held| reports.push((level, held)));
        assert_eq!(reports, []);
        limit.over(at(110), |level, held| reports.push((level, held)));
        limit.over(at(110), |level, held| reports.push((level, held)));
        assert_eq!(
            reports,
            [(
                Level::Warn,
                Held {
                    place: HERE,
                    count: 15
                }
            )]
        );
        assert!(limit.pass(HERE, Level::Warn, at(110), |_, _| ()));
        // The clock goes back: the place is free again.
        limit.over(at(5), |_, _| panic!("nothing was held back"));
        assert!(limit.entries.is_empty());
    }

    #[test]
    fn a_defect_has_its_place_thread_and_version() {
        // The hook belongs to the process, and other tests to it as well: what it says is told
        // where its thread has the name of this test.
        let (tell, told) = std::sync::mpsc::channel();
        let before = panic::take_hook();
        panic::set_hook(Box::new(move |info| {
            if std::thread::current().name() == Some("worker 7") {
                let _ = tell.send(defect(info));
            } else {
                before(info);
            }
        }));
        let thread = std::thread::Builder::new().name("worker 7".into());
        let died = thread.spawn(|| panic!("what {}", "happened")).unwrap();
        assert!(died.join().is_err());
        let line = told.recv().unwrap();
        assert!(line.starts_with("a defect at src/ctl/log.rs:"), "{line}");
        let version = env!("CARGO_PKG_VERSION");
        assert!(line.ends_with(&format!(", thread worker 7, weir {version}: what happened")));
    }

    #[test]
    fn the_table_is_bounded_and_reports_what_it_forgets() {
        let mut limit = Limit::default();
        for _ in 0..12 {
            limit.pass(HERE, Level::Error, at(1), |_, _| panic!("not yet"));
        }
        let mut reports = Vec::new();
        for line in 0..1000 {
            let place = Place {
                file: Some("there.rs"),
                line,
            };
            assert!(limit.pass(place, Level::Info, at(2), |level, held| {
                reports.push((level, held));
            }));
            assert!(limit.entries.len() <= PLACES);
        }
        assert_eq!(
            reports,
            [(
                Level::Error,
                Held {
                    place: HERE,
                    count: 2
                }
            )]
        );
    }

    #[test]
    fn lines_take_the_shape_of_the_other_program() {
        let names = Names {
            core: "default/core".into(),
            outputs: vec![("a".into(), "a/print".into())],
        };
        let line = |said, text| names.line(said, text);
        let info = Said::Level(Level::Info);
        assert_eq!(line(info, "runs"), "INFO ( default/core ): runs");
        assert_eq!(
            line(Said::Level(Level::Warn), "output a: full"),
            "WARN ( a/print ): full"
        );
        assert_eq!(
            line(Said::Notice, "output ab: x"),
            "NOTICE ( default/core ): output ab: x"
        );
    }

    #[test]
    fn a_file_is_added_to_and_opened_anew() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("log");
        std::fs::write(&path, "before\n").unwrap();
        let mut out = Out {
            to: To::File(path.clone(), open(&path).unwrap()),
            ..Out::default()
        };
        out.line(at(1_000_000_000), Said::Notice, "one");
        let text = std::fs::read_to_string(&path).unwrap();
        assert!(text.starts_with("before\n2001-09-") && text.ends_with(" weir: notice: one\n"));
        assert!(open(&dir.path().join("none/log")).is_err());
    }

    #[test]
    fn a_named_pipe_is_no_log() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("pipe");
        let made = std::process::Command::new("mkfifo").arg(&path).status();
        assert!(made.unwrap().success());
        let why = open(&path).unwrap_err().to_string();
        assert!(why.contains("named pipe"), "{why}");
    }

    #[test]
    fn lines_reach_the_system_log() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("log");
        let logger = UnixDatagram::bind(&path).unwrap();
        logger.set_nonblocking(true).unwrap();
        let none = dir.path().join("none");
        assert!(
            init(
                Target::Syslog {
                    path: Some(&none),
                    facility: 3,
                    ident: "weir"
                },
                LevelFilter::Info
            )
            .is_err()
        );
        init(
            Target::Syslog {
                path: Some(&path),
                facility: 3,
                ident: "weir",
            },
            LevelFilter::Info,
        )
        .unwrap();
        for i in 0..14 {
            log::warn!(target: "test", "line {i}");
        }
        log::debug!("not this one");
        log::info!("nor is this the last");
        init(Target::Stderr, LevelFilter::Warn).unwrap();
        log::info!("switched off");
        let mut lines = Vec::new();
        let mut packet = [0; 1024];
        while let Ok(n) = logger.recv(&mut packet) {
            lines.push(String::from_utf8(packet[..n].to_vec()).unwrap());
        }
        // Other tests may log meanwhile.
        let ours: Vec<_> = lines.iter().filter(|l| l.contains("line ")).collect();
        assert_eq!(ours.len(), 10);
        assert!(
            ours[0].starts_with("<28>") && ours[9].ends_with("]: line 9"),
            "{ours:?}"
        );
        assert!(
            lines
                .iter()
                .any(|l| l.starts_with("<30>") && l.ends_with("nor is this the last"))
        );
        assert!(
            !lines
                .iter()
                .any(|l| l.contains("not this one") || l.contains("switched off"))
        );
    }
}
