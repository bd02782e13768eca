//! The command line: one table of commands and flags.
//!
//! Parsing, help, the manual page and the completions of three shells are all derived from the
//! tables that each command's file holds. Adding a command is a file here and a line in
//! [`COMMANDS`]. Not for doing the work: a command reads its arguments and calls the layers above.

pub mod arg;
pub mod check;
#[cfg(feature = "compat-pmacct")]
pub mod client;
#[cfg(feature = "cmd-gen")]
pub mod complete;
#[cfg(feature = "cmd-fields")]
pub mod fields;
#[cfg(feature = "cmd-gen")]
#[path = "gen.rs"]
pub mod generate;
pub mod help;
#[cfg(feature = "compat-pmacct")]
pub mod import;
#[cfg(feature = "cmd-gen")]
pub mod licence;
#[cfg(not(feature = "cmd-gen"))]
#[path = "licence/absent.rs"]
pub mod licence;
#[cfg(feature = "cmd-gen")]
pub mod man;
pub mod out;
#[cfg(feature = "compat-pmacct")]
pub mod pmacct;
pub mod query;
pub mod read;
pub mod run;
pub mod socket;
pub mod status;
#[cfg(feature = "cmd-top")]
pub mod top;
pub mod version;
mod wait;

use crate::base::error::Exit;
use crate::base::{text, without};
#[cfg(feature = "compat-uci")]
use crate::compat::uci;
use crate::config::native;
use arg::{Args, Command};
use std::ffi::OsString;
use std::path::Path;

/// Reads a configuration in another syntax than TOML: whether a text is in it, and its reader.
type Foreign = (fn(&str) -> bool, fn(&str) -> native::Outcome);
/// The syntax of OpenWrt, in builds that have it.
#[cfg(feature = "compat-uci")]
const UCI: Option<Foreign> = Some((uci::is, |text| {
    let network = std::fs::read_to_string(uci::NETWORK).unwrap_or_default();
    uci::parse(text, &network)
}));
/// `None` in a build that has not.
#[cfg(not(feature = "compat-uci"))]
const UCI: Option<Foreign> = None;

/// Every command of this build, in the order of the help.
pub static COMMANDS: &[&Command] = &[
    &read::COMMAND,
    &run::COMMAND,
    &check::COMMAND,
    #[cfg(feature = "compat-pmacct")]
    &pmacct::COMMAND,
    #[cfg(feature = "compat-pmacct")]
    &import::COMMAND,
    &query::COMMAND,
    #[cfg(feature = "cmd-top")]
    &top::COMMAND,
    &status::COMMAND,
    #[cfg(feature = "cmd-fields")]
    &fields::COMMAND,
    #[cfg(feature = "cmd-gen")]
    &generate::COMMAND,
    &version::COMMAND,
    &help::COMMAND,
];

/// Commands that exist, whether built in or not, with the feature that each needs.
static NEEDING: &[(&str, &str)] = &[
    ("top", "cmd-top"),
    ("fields", "cmd-fields"),
    ("gen", "cmd-gen"),
    ("pmacct", "compat-pmacct"),
    ("import", "compat-pmacct"),
];

/// The page of pmacct's keys.
#[cfg(all(feature = "cmd-gen", feature = "compat-pmacct"))]
fn pmacct_keys() -> String {
    crate::compat::pmacct::doc::page()
}

/// The page of pmacct's keys, in a build that knows none.
#[cfg(all(feature = "cmd-gen", not(feature = "compat-pmacct")))]
fn pmacct_keys() -> String {
    format!("{}\n", without("compat-pmacct"))
}

/// The command of this name.
pub fn find(name: &str) -> Option<&'static Command> {
    COMMANDS.iter().copied().find(|c| c.name == name)
}

/// Runs the command line; `args` begins with the name of the program.
pub fn main(args: Vec<OsString>) -> Exit {
    let mut args = args.into_iter();
    let called = args.next();
    #[cfg(feature = "compat-pmacct")]
    if let Some(name) = called
        .as_ref()
        .and_then(|c| Path::new(c).file_name()?.to_str())
        && pmacct::is_program(name)
    {
        return pmacct::program(name, args.collect());
    }
    drop(called);
    let Some(first) = args.next() else {
        out::say(&help::short());
        return Exit::Usage;
    };
    let rest: Vec<OsString> = args.collect();
    // The options behind it are another program's.
    #[cfg(feature = "compat-pmacct")]
    if first == "pmacct" {
        return pmacct::main(rest);
    }
    let name = match first.to_str() {
        Some("-h" | "--help") => "help",
        Some("-V" | "--version") => "version",
        Some(name) => name,
        None => "",
    };
    let Some(command) = find(name) else {
        return out::usage("weir", &unknown(&first), "weir help");
    };
    match Args::parse(command, rest) {
        Ok(args) if args.help => out::print(&help::of(command)),
        Ok(args) => (command.run)(args),
        Err(message) => {
            let name = format!("weir {}", command.name);
            out::usage(&name, &message, &format!("{name} --help"))
        }
    }
}

/// What to say about a first word that is no command.
fn unknown(first: &OsString) -> String {
    let word = first.to_string_lossy();
    if let Some((_, feature)) = NEEDING.iter().find(|(name, _)| *name == word) {
        return format!("`{word}` exists, but {}", without(feature));
    }
    if word.starts_with('-') {
        return format!("no option `{word}` before a command");
    }
    if let Some(near) = text::nearest(&word, COMMANDS.iter().map(|c| c.name)) {
        return format!("no command `{word}`; did you mean `{near}`?");
    }
    if Path::new(first).exists() {
        return format!("no command `{word}`; to read a savefile of that name: weir read {word}");
    }
    let names: Vec<_> = COMMANDS.iter().map(|c| c.name).collect();
    format!("no command `{word}`; there are {}", names.join(", "))
}
