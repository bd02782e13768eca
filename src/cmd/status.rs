//! `weir status`: what a running weir does.

use super::arg::{Args, Command, Flag, Operands, Take};
use super::out;
use crate::base::error::Exit;

/// The table of `weir status`.
pub static COMMAND: Command = Command {
    name: "status",
    doc: "Ask a running weir how it does",
    about: "Prints the ledger and the state of inputs, tables and outputs of a running weir.",
    operands: Operands::NONE,
    flags: &[
        Flag::new("socket", Take::Path, "PATH", "The control socket.")
            .short('s')
            .default("/run/weir.sock"),
    ],
    examples: &[],
    run,
};

fn run(_args: Args) -> Exit {
    out::fail("this build can not ask for status yet")
}
