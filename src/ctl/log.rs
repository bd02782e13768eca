//! Where log lines go: standard error, or the system's log, or both.
//!
//! A line that repeats is held back by the place in the code it comes from, so that trouble on
//! the wire can not fill a disk. Not for per-packet trouble: that is a counter.

use crate::base::time::{self, Nanos, SECOND};
use crate::sys::syslog::{Severity, Syslog};
use log::{Level, LevelFilter, Log, Metadata, Record};
use std::io::{self, Write};
use std::path::Path;
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};

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
    /// The system's log, with this facility number (RFC 3164 §4.1.1).
    Syslog {
        /// The socket; `None` is where the system usually has it.
        path: Option<&'a Path>,
        /// 3 is *daemon*.
        facility: u8,
    },
    /// Both.
    Both {
        /// The socket; `None` is where the system usually has it.
        path: Option<&'a Path>,
        /// 3 is *daemon*.
        facility: u8,
    },
}

/// Sets up logging, or changes what was set up before.
///
/// # Errors
/// When the system's log can not be reached; then nothing has changed.
pub fn init(target: Target<'_>, level: LevelFilter) -> io::Result<()> {
    static LOGGER: OnceLock<Logger> = OnceLock::new();
    let (stderr, syslog) = match target {
        Target::Stderr => (true, None),
        Target::Syslog { path, facility } => (false, Some(Syslog::open(path, facility, "weir")?)),
        Target::Both { path, facility } => (true, Some(Syslog::open(path, facility, "weir")?)),
    };
    let logger = LOGGER.get_or_init(Logger::default);
    logger.state().out = Out { stderr, syslog };
    // Fails from the second time on, when it is in place already.
    let _ = log::set_logger(logger);
    log::set_max_level(level);
    Ok(())
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
        let pass = limit.pass(place, record.level(), now, |level, held| {
            out.held_back(now, level, held);
        });
        if pass {
            out.line(now, record.level(), &record.args().to_string());
        }
    }

    fn flush(&self) {
        let now = time::wall();
        let State { limit, out } = &mut *self.state();
        limit.over(now, |level, held| out.held_back(now, level, held));
    }
}

#[derive(Default)]
struct Out {
    stderr: bool,
    syslog: Option<Syslog>,
}

impl Out {
    fn line(&self, now: Nanos, level: Level, text: &str) {
        let (word, severity) = match level {
            Level::Error => ("error", Severity::Error),
            Level::Warn => ("warning", Severity::Warning),
            Level::Info => ("info", Severity::Info),
            Level::Debug | Level::Trace => ("debug", Severity::Debug),
        };
        if self.stderr {
            // In one write, so that lines of several threads do not mix; and there is nobody to
            // tell when standard error is gone.
            let line = format!("weir: {word}: {text}\n");
            let _ = io::stderr().lock().write_all(line.as_bytes());
        }
        if let Some(syslog) = &self.syslog {
            let _ = syslog.send(severity, now, text);
        }
    }

    fn held_back(&self, now: Nanos, level: Level, held: Held) {
        let Held { place, count } = held;
        let (file, line) = (place.file.unwrap_or("?"), place.line);
        self.line(
            now,
            level,
            &format!("… suppressed {count} more lines from {file}:{line}"),
        );
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
                    facility: 3
                },
                LevelFilter::Info
            )
            .is_err()
        );
        init(
            Target::Syslog {
                path: Some(&path),
                facility: 3,
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
