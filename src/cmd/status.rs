//! `weir status`: what a running weir does.

use super::arg::{Args, Command, Flag, Operands};
use super::{out, socket};
use crate::base::error::Exit;
use crate::ctl::frame::{self, Request};

/// The table of `weir status`.
pub static COMMAND: Command = Command {
    name: "status",
    doc: "Ask a running weir how it does",
    about: "Prints the ledger and the state of inputs, tables and outputs of a running weir. The \
            exit status is 0 when all inputs are open and all outputs work, else 1.",
    operands: Operands::NONE,
    flags: &[
        socket::SOCKET,
        socket::CONFIG,
        Flag::switch("json", "As one JSON object."),
        Flag::switch("quiet", "Print nothing; the exit status says all.").short('q'),
    ],
    examples: &[
        ("weir status", "what came in and what became of it"),
        ("weir status --quiet", "a health check"),
    ],
    run,
};

/// What stands in the JSON of a weir that is well.
const WELL: &str = "\"healthy\":true";

fn run(args: Args) -> Exit {
    let format = if args.flag("json") || args.flag("quiet") {
        "json"
    } else {
        "text"
    };
    let request = Request::new("status").with("format", format);
    let mut seen = Vec::new();
    let exit = if args.flag("quiet") {
        let path = match socket::path(&args) {
            Ok(path) => path,
            Err(exit) => return exit,
        };
        match frame::ask(&path, &request, &mut seen) {
            Ok(()) => Exit::Fine,
            Err(why) => out::fail(&String::from(why)),
        }
    } else {
        socket::print(&args, &request, &mut |bytes| seen.extend_from_slice(bytes))
    };
    let seen = String::from_utf8_lossy(&seen);
    let well = match format {
        "json" => seen.contains(WELL),
        // Troubles stand on lines of their own.
        _ => !seen.lines().any(|line| line.starts_with("! ")),
    };
    match exit {
        Exit::Fine if !well => Exit::Failure,
        exit => exit,
    }
}
