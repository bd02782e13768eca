//! Where the running weir is to be found: what `query`, `status` and `top` have in common.

use super::arg::{Args, Flag, Take};
use super::{check, out};
use crate::base::error::Exit;
use crate::ctl::frame::{self, Request, Unanswered};
use std::io::{self, Write};
use std::path::PathBuf;

/// `--socket`.
pub const SOCKET: Flag = Flag::new("socket", Take::Path, "PATH", "The control socket.")
    .short('s')
    .default("/run/weir.sock");

/// `--config`, in place of `--socket`.
pub const CONFIG: Flag = Flag::new(
    "config",
    Take::Path,
    "FILE",
    "Take the control socket from this configuration.",
)
.short('c');

/// The socket that is meant.
///
/// # Errors
/// How to end; it has been said why.
pub fn path(args: &Args) -> Result<PathBuf, Exit> {
    if let Some(file) = args.path("config").filter(|_| !args.given("socket")) {
        let (name, text) = check::file(file)?;
        // What is wrong with it is the daemon's business.
        let control = check::sections(&text).config.control;
        let none = || out::fail(&format!("{name} sets no `control`, so nobody can ask"));
        return control.map(PathBuf::from).ok_or_else(none);
    }
    Ok(args.path("socket").map(PathBuf::from).unwrap_or_default())
}

/// Prints the answer to a question, once all of it is here: who reads slowly must not keep the
/// socket from others. `seen` gets it too.
pub fn print(args: &Args, request: &Request, seen: &mut dyn FnMut(&[u8])) -> Exit {
    let path = match path(args) {
        Ok(path) => path,
        Err(exit) => return exit,
    };
    let mut answer = Vec::new();
    let asked = frame::ask(&path, request, &mut answer);
    seen(&answer);
    let mut to = io::stdout().lock();
    let printed = out::finish(to.write_all(&answer).and_then(|()| to.flush()));
    match asked {
        Ok(()) => printed,
        // A weir that is just being rebuilt can be asked again; a wrong question can not.
        Err(Unanswered::Refused(why)) if request.word == "query" => args.wrong(&why),
        Err(why) => out::fail(&String::from(why)),
    }
}
