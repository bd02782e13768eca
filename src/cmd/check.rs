//! `weir check`: is the configuration right, and what does it mean?

use super::arg::{Args, Command, Flag, Operands, Take};
use super::out;
use crate::base::error::Exit;

/// The table of `weir check`.
pub static COMMAND: Command = Command {
    name: "check",
    doc: "Check a configuration: all mistakes at once, the plan, the memory",
    about: "Reads a configuration and reports everything that is wrong with it, each with file, \
            line and column, and the nearest name that would be right. If nothing is wrong it \
            prints the configuration in effect, defaults filled in, and how the memory is divided.",
    operands: Operands {
        name: "FILE",
        least: 0,
        most: 1,
        take: Take::Path,
        doc: "the configuration, as with --config",
    },
    flags: &[
        Flag::new("config", Take::Path, "FILE", "The configuration.")
            .short('c')
            .default("/etc/weir/weir.toml"),
        Flag::switch("quiet", "Only say what is wrong.").short('q'),
    ],
    examples: &[(
        "weir check weir.toml",
        "what is wrong with it, or what it means",
    )],
    run,
};

fn run(_args: Args) -> Exit {
    out::fail("this build can not check yet")
}
