//! `weir top`: the busiest rows, live.

use super::arg::{Args, Command, Flag, Operands, Take};
use super::out;
use crate::base::error::Exit;

/// The table of `weir top`.
pub static COMMAND: Command = Command {
    name: "top",
    doc: "Watch the busiest rows, live",
    about: "Shows the busiest rows of a running weir or of an interface, and keeps them up to date.",
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
    out::fail("this build can not show top yet")
}
