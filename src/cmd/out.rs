//! How commands speak: text to standard output, messages to standard error, exit codes.
//!
//! A reader that goes away (`weir fields | head`) is no error. Not for rows: those go through
//! sinks.

use crate::base::error::Exit;
use std::io::{self, BufWriter, IsTerminal, Write};

/// Writes `text` to standard output and ends the command.
pub fn print(text: &str) -> Exit {
    write(|to| to.write_all(text.as_bytes()))
}

/// Lets `fill` write to standard output, buffered, and ends the command.
pub fn write(fill: impl FnOnce(&mut dyn Write) -> io::Result<()>) -> Exit {
    let mut to = BufWriter::new(io::stdout().lock());
    finish(fill(&mut to).and_then(|()| to.flush()))
}

/// How a command ends after writing to standard output: quietly when the reader went away.
pub fn finish(written: io::Result<()>) -> Exit {
    match written {
        Ok(()) => Exit::Fine,
        Err(e) if e.kind() == io::ErrorKind::BrokenPipe => Exit::Fine,
        Err(e) => {
            say(&format!("weir: can not write to standard output: {e}\n"));
            Exit::Failure
        }
    }
}

/// Writes `text` to standard error as it is; nobody can be told when that fails.
pub fn say(text: &str) {
    let _ = io::stderr().lock().write_all(text.as_bytes());
}

/// Reports a failure while running.
pub fn fail(message: &str) -> Exit {
    say(&format!("weir: {message}\n"));
    Exit::Failure
}

/// Reports a wrong command line: what is wrong, and one line on where to look.
pub fn usage(who: &str, message: &str, hint: &str) -> Exit {
    say(&format!("{who}: {message}\nTry `{hint}`.\n"));
    Exit::Usage
}

/// Whether standard output takes colours: a terminal, and nobody said `NO_COLOR`.
pub fn colour() -> bool {
    let set = |name| std::env::var_os(name).is_some_and(|v| !v.is_empty());
    let dumb = std::env::var_os("TERM").is_none_or(|t| t == "dumb");
    io::stdout().is_terminal() && !set("NO_COLOR") && !dumb
}
