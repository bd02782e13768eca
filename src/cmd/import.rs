//! `weir import`: another program's configuration as weir's own.

use super::arg::{Args, Command, Flag, Operands, Take};
use super::{check, out};
use crate::base::error::Exit;
use crate::base::text::nearest;
use crate::compat::pmacct::Daemon;
use crate::compat::pmacct::compile::compile;
use crate::compat::pmacct::parse::{Line, Lines};
use crate::compat::pmacct::rows::open;
use crate::config::{native, write};
use std::path::Path;

/// The table of `weir import`.
pub static COMMAND: Command = Command {
    name: "import",
    doc: "Write a configuration of pmacct as weir's own",
    about: "Prints the weir.toml that means the same as a configuration of nfacctd, sfacctd or \
            pmacctd: both are made into the same sections, so both do the same. Comments say what \
            became of keys that have no effect or another one than they say.\n\n\
            Detaching from the terminal, files with the number of the process and the shape of \
            log lines are no part of it: `weir run` leaves these to a service manager.",
    operands: Operands {
        name: "FILE",
        least: 1,
        most: 1,
        take: Take::Path,
        doc: "the configuration; - is standard input",
    },
    flags: &[Flag::new(
        "daemon",
        Take::Text,
        "NAME",
        "Whose it is; if not given, its name and its keys tell.",
    )
    .short('d')],
    examples: &[(
        "weir import /etc/pmacct/nfacctd.conf > weir.toml",
        "writes weir's own configuration",
    )],
    run,
};

fn run(args: Args) -> Exit {
    let path = args.operand().unwrap_or_default();
    let (name, text) = match check::file(path.as_ref()) {
        Ok(read) => read,
        Err(exit) => return exit,
    };
    let lines = Lines::parse(&text);
    if lines.lines.is_empty() {
        out::say(&format!(
            "{name}: no key of pmacct's in it, so there is nothing to import\n"
        ));
        return Exit::Config;
    }
    let daemon = match whose(&args, &name, &lines.lines) {
        Ok(daemon) => daemon,
        Err(message) => return args.wrong(&message),
    };
    if let Some(missing) = daemon.missing() {
        out::say(&format!(
            "{name}: this build has no {missing} yet, so there is nothing to import for {daemon}\n"
        ));
        return Exit::Config;
    }
    let compiled = compile(daemon, lines, &open);
    let remarks = compiled.remarks(&name);
    let shown = write::show(&compiled.file, &remarks);
    let outcome = native::compile(compiled.file, compiled.problems);
    if let Err(exit) = check::plan(&name, outcome, None, &mut out::say) {
        return exit;
    }
    out::print(&format!("# What {daemon} does with {name}.\n{shown}"))
}

/// Whose configuration it is: as was said, else by the name of the file, else by its keys.
fn whose(args: &Args, name: &str, lines: &[Line]) -> Result<Daemon, String> {
    let names = || Daemon::ALL.iter().map(|d| d.name());
    if let Some(given) = args.text("daemon") {
        return Daemon::by_name(given).ok_or_else(|| {
            let near = nearest(given, names());
            let near = near.map(|near| format!("; did you mean `{near}`?"));
            let names: Vec<_> = names().collect();
            format!(
                "--daemon is `{given}`; it takes {}{}",
                names.join(", "),
                near.unwrap_or_default()
            )
        });
    }
    let file = Path::new(name)
        .file_name()
        .unwrap_or_default()
        .to_string_lossy();
    // `pmacctd` last: other names may hold it.
    let mut by_name = Daemon::ALL.iter().rev();
    if let Some(daemon) = by_name.find(|daemon| file.contains(daemon.name())) {
        return Ok(*daemon);
    }
    let keys = |daemon: &Daemon| {
        let begins = format!("{daemon}_");
        let own = lines.iter().filter(|line| {
            let only = line.key.daemons == daemon.set();
            only || line.key.name.starts_with(&begins)
        });
        own.count()
    };
    let most = Daemon::ALL.into_iter().max_by_key(keys);
    most.filter(|daemon| keys(daemon) > 0).ok_or_else(|| {
        format!("{name} does not tell whose it is: say so, as with --daemon nfacctd")
    })
}
