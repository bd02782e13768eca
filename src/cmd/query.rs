//! `weir query`: rows of a live table.

use super::arg::{Args, Command, Flag, Operands, Take};
use super::out;
use crate::base::error::Exit;

/// The table of `weir query`.
pub static COMMAND: Command = Command {
    name: "query",
    doc: "Ask a running weir for the rows of a live table",
    about: "Prints rows of an output of kind `memory` of a running weir.",
    operands: Operands {
        name: "OUTPUT",
        least: 0,
        most: 1,
        take: Take::Text,
        doc: "name of the output of kind memory; not needed where there is one only",
    },
    flags: &[
        Flag::new("socket", Take::Path, "PATH", "The control socket.")
            .short('s')
            .default("/run/weir.sock"),
    ],
    examples: &[],
    run,
};

fn run(_args: Args) -> Exit {
    out::fail("this build can not query yet")
}
