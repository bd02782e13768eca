//! `weir pmacct PROGRAM`, and weir under the name of one of pmacct's programs: their command lines
//! and configuration files as they are.
//!
//! Not for what their keys mean: that is `compat`'s business.

use super::arg::{Command, Operands, Take};
use super::run::Manner;
use super::{check, client, out, run};
use crate::base::error::Exit;
use crate::base::options::{Place, Problem};
use crate::base::text::nearest;
use crate::compat::pmacct::Daemon;
use crate::compat::pmacct::args::{Ask, Given, help};
use crate::compat::pmacct::compile::{Compiled, Face, compile};
use crate::compat::pmacct::parse::Lines;
use crate::compat::pmacct::rows::open;
use crate::config::sandbox::Needs;
use crate::config::{native, primitive};
use crate::ctl::log::Names;
use crate::sys::{process, signal};
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};

/// The table of `weir pmacct`.
pub static COMMAND: Command = Command {
    name: "pmacct",
    doc: "Stand in for a program of pmacct",
    about: "Runs nfacctd, sfacctd or pmacctd with their own command lines and configuration \
            files, or asks a table in memory as the `pmacct` client does. The same happens when \
            weir is called by one of these names.\n\n\
            `weir import` writes such a configuration as weir's own.",
    operands: Operands {
        name: "PROGRAM",
        least: 1,
        most: usize::MAX,
        take: Take::Text,
        doc: "nfacctd, sfacctd, pmacctd, uacctd, pmbgpd, pmbmpd, pmtelemetryd or pmacct, and its \
              arguments",
    },
    flags: &[],
    examples: &[
        (
            "weir pmacct nfacctd -f /etc/pmacct/nfacctd.conf",
            "collects NetFlow and IPFIX as that file says",
        ),
        (
            "weir pmacct nfacctd -f nfacctd.conf -T config",
            "says what becomes of every key, and ends",
        ),
        (
            "weir pmacct pmacct -s -p /tmp/collect.pipe",
            "the rows of a table in memory",
        ),
    ],
    run: |_| Exit::Usage,
};

/// The client, which is no daemon.
const CLIENT: &str = "pmacct";

/// Whether weir stands in for a program of this name.
pub fn is_program(name: &str) -> bool {
    name == CLIENT || Daemon::by_name(name).is_some()
}

/// Runs what stands behind `weir pmacct`.
pub fn main(mut args: Vec<OsString>) -> Exit {
    let asks = |arg: &OsString| arg == "-h" || arg == "--help";
    if args.first().is_none_or(asks) {
        let exit = out::print(&super::help::of(&COMMAND));
        return if args.is_empty() { Exit::Usage } else { exit };
    }
    let name = args.remove(0).to_string_lossy().into_owned();
    if is_program(&name) {
        return program(&name, args);
    }
    let names = Daemon::ALL.map(Daemon::name);
    let near = nearest(&name, names.into_iter().chain([CLIENT]));
    let near = near.map(|near| format!("; did you mean `{near}`?"));
    let message = format!(
        "no program `{name}`; there are {}, {CLIENT}{}",
        names.join(", "),
        near.unwrap_or_default()
    );
    out::usage("weir pmacct", &message, "weir pmacct --help")
}

/// Runs a program with its arguments.
pub fn program(name: &str, args: Vec<OsString>) -> Exit {
    let Some(daemon) = Daemon::by_name(name) else {
        return client::main(args);
    };
    let given = match Given::parse(daemon, args) {
        Ok(given) => given,
        Err(message) => {
            return out::usage(name, &message, &format!("weir pmacct {name} -h"));
        }
    };
    match given.ask {
        Some(Ask::Help) => return out::print(&help(daemon)),
        Some(Ask::Version) => {
            let version = env!("CARGO_PKG_VERSION");
            return out::print(&format!("weir {version}, standing in for {daemon}\n"));
        }
        Some(Ask::Primitives) => return primitives(),
        None => {}
    }
    signal::hold();
    let (name, compiled) = match understand(daemon, &given) {
        Ok(understood) => understood,
        Err(exit) => return exit,
    };
    serve(&name, compiled)
}

fn primitives() -> Exit {
    let mut text = String::new();
    for word in primitive::words() {
        text.push_str(word);
        text.push('\n');
    }
    out::print(&text)
}

/// Reads the file and the options.
fn understand(daemon: Daemon, given: &Given) -> Result<(String, Compiled), Exit> {
    let (name, mut lines) = match &given.file {
        Some(path) => {
            let (name, text) = check::file(path.as_ref())?;
            (name, Lines::parse(&text))
        }
        None => ("command line".into(), Lines::default()),
    };
    given.assign(&mut lines);
    Ok((name, compile(daemon, lines, &open)))
}

/// What is said of a place in a file.
fn at(name: &str, place: Place) -> String {
    match place {
        Place { line: 0, .. } => format!("[{name}]"),
        Place { line, column } => format!("[{name}:{line}:{column}]"),
    }
}

/// What is to be known about a configuration, each with whether something is missing.
fn remarks(name: &str, compiled: &Compiled, also: &[Problem]) -> Vec<(bool, String)> {
    let warnings = compiled.warnings.iter().chain(also);
    let warnings = warnings.map(|w| (w.place, true, w.message.clone()));
    let notes = compiled.notes.iter();
    let notes = notes.map(|n| (n.place, n.missing, format!("`{}`: {}", n.key, n.text)));
    let mut all: Vec<_> = warnings.chain(notes).collect();
    all.sort_by_key(|(place, ..)| *place);
    let said = all.into_iter();
    said.map(|(place, missing, text)| (missing, format!("{} {text}", at(name, place))))
        .collect()
}

fn serve(name: &str, compiled: Compiled) -> Exit {
    let face = compiled.face.clone();
    let dry = face.dry_run == Some("config");
    let outcome = native::compile(compiled.file.clone(), compiled.problems.clone());
    let remarks = remarks(name, &compiled, &outcome.warnings);
    let mut outcome = outcome;
    outcome.warnings.clear();
    if let Some(missing) = face.daemon.missing() {
        return not_here(name, &face, &outcome.problems, &remarks, missing);
    }
    let planned = check::plan(name, outcome, None, &mut out::say);
    let (config, plan) = match planned {
        Ok(planned) if !dry => planned,
        planned => {
            tell(&face, &remarks);
            return match planned {
                Ok((config, plan)) => out::print(&check::effect(name, &config, &plan)),
                Err(exit) => exit,
            };
        }
    };
    if let Some(niceness) = face.nice
        && let Err(e) = process::nice(niceness)
    {
        return out::fail(&format!("proc_priority: {e}"));
    }
    // Before the first thread, and after all that can be found wrong without opening anything.
    if face.daemonize
        && let Err(e) = process::detach()
    {
        return out::fail(&format!("daemonize: {e}"));
    }
    let _pids = match Pids::write(&face) {
        Ok(pids) => pids,
        Err(why) => return out::fail(&why),
    };
    let mut also = Needs::default();
    if let Some(file) = &face.pidfile {
        also.path("pidfile".into(), file, true);
    }
    let manner = Manner {
        paths: also.paths,
        names: Some(names(&face)),
        reopen: true,
        fixed_maps: !face.reload,
        restart: false,
        setup: face.dry_run == Some("setup"),
        remarks,
    };
    run::start(name.into(), config, plan, manner)
}

/// A daemon that this build can not run: its options have been read all the same.
fn not_here(
    name: &str,
    face: &Face,
    problems: &[Problem],
    remarks: &[(bool, String)],
    missing: &str,
) -> Exit {
    let ours = |p: &&Problem| p.place.line > 0;
    for problem in problems.iter().filter(ours) {
        out::say(&format!(
            "{} {}\n",
            at(name, problem.place),
            problem.message
        ));
    }
    tell(face, remarks);
    out::say(&format!(
        "{}: this build has no {missing} yet, so it can not stand in for {}\n",
        face.daemon, face.daemon
    ));
    Exit::Config
}

/// Says remarks where there is no log.
fn tell(face: &Face, remarks: &[(bool, String)]) {
    for (missing, text) in remarks {
        let word = if *missing { "WARN" } else { "INFO" };
        out::say(&format!("{word} ( {}/core ): {text}\n", face.core));
    }
}

fn names(face: &Face) -> Names {
    let outputs = face.plugins.iter();
    Names {
        core: format!("{}/core", face.core),
        outputs: outputs
            .map(|p| (p.section.clone(), format!("{}/{}", p.name, p.kind)))
            .collect(),
    }
}

/// Files with the number of the process; they go when this is dropped.
struct Pids(Vec<PathBuf>);

impl Pids {
    /// One for the core, and one for each plugin.
    fn write(face: &Face) -> Result<Self, String> {
        let mut pids = Self(Vec::new());
        let Some(file) = &face.pidfile else {
            return Ok(pids);
        };
        let plugins = face.plugins.iter();
        let plugins = plugins.map(|p| format!("{file}-{}-{}", p.kind, p.name));
        for path in std::iter::once(file.clone()).chain(plugins) {
            let path = Path::new(&path);
            fs::write(path, format!("{}\n", std::process::id()))
                .map_err(|e| format!("{}: {e}", path.display()))?;
            pids.0.push(path.into());
        }
        Ok(pids)
    }
}

impl Drop for Pids {
    fn drop(&mut self) {
        for path in &self.0 {
            // Somebody has tidied up before us.
            let _ = fs::remove_file(path);
        }
    }
}
