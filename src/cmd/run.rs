//! `weir run`: the daemon.

use super::arg::{Args, Command, Flag, Operands, Take};
use super::out;
use crate::base::error::Exit;

/// The table of `weir run`.
pub static COMMAND: Command = Command {
    name: "run",
    doc: "Run the inputs, aggregations and outputs of a configuration",
    about: "Runs in the foreground until SIGTERM or SIGINT, then delivers what is open and stops. \
            SIGHUP reads the configuration anew without losing a record.",
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
    ],
    examples: &[(
        "weir run -c weir.toml",
        "runs what `weir check weir.toml` explains",
    )],
    run,
};

fn run(_args: Args) -> Exit {
    out::fail("this build can not run yet")
}
