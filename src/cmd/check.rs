//! `weir check`: is the configuration right, and what does it mean?

use super::arg::{Args, Command, Flag, Operands, Take};
use super::out;
use crate::base::error::Exit;
use crate::base::options::{Problem, Raw};
use crate::base::text;
use crate::config::Config;
use crate::config::sandbox::{Needs, barred};
use crate::config::{explain, native};
use crate::pipeline::plan::Held;
use crate::pipeline::rules::Rules;
use crate::pipeline::{Plan, maps};
use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

/// The table of `weir check`.
pub static COMMAND: Command = Command {
    name: "check",
    doc: "Check a configuration: all mistakes at once, the plan, the memory",
    about: "Reads a configuration and reports everything that is wrong with it, each with file, \
            line and column, and the nearest name that would be right. If nothing is wrong it \
            prints the configuration in effect, defaults filled in, and how the memory is divided. \
            Maps that it names are read, too; with --map, FILE is a map.",
    operands: Operands {
        name: "FILE",
        least: 0,
        most: 1,
        take: Take::Path,
        doc: "the configuration, as with --config; - is standard input",
    },
    flags: &[
        Flag::new("config", Take::Path, "FILE", "The configuration.")
            .short('c')
            .default("/etc/weir/weir.toml"),
        Flag::switch("quiet", "Only say what is wrong.").short('q'),
        Flag::new(
            "map",
            Take::Text,
            "KIND",
            "FILE is a map of this kind, or a networks file or list.",
        ),
    ],
    examples: &[
        (
            "weir check weir.toml",
            "what is wrong with it, or what it means",
        ),
        (
            "weir check --map tags pretag.map",
            "which rows of a map can not be used, and why",
        ),
    ],
    run,
};

/// Longest configuration, in bytes; more is another file by mistake.
const LONGEST: u64 = 4 << 20;

fn run(args: Args) -> Exit {
    if let Some(kind) = args.text("map") {
        return map(&args, kind);
    }
    let (name, text) = match text(&args) {
        Ok(read) => read,
        Err(exit) => return exit,
    };
    let (config, plan) = match understand(&name, &text, &mut out::say) {
        Ok(understood) => understood,
        Err(exit) => return exit,
    };
    if let Some(user) = &config.user {
        let mut needs = Needs::of(&config);
        needs.path("the configuration".into(), &name, false);
        for (what, why) in barred(&needs, user) {
            out::say(&format!("{name}: warning: {what}: {why}\n"));
        }
    }
    report(&name, "warning: ", &absent(&config), &mut out::say);
    if args.flag("quiet") {
        return Exit::Fine;
    }
    out::print(&effect(&name, &config, &plan))
}

/// Files that are read once weir runs, and are not there now.
fn absent(config: &Config) -> Vec<Problem> {
    let inputs = config.inputs.iter().map(|i| (&i.options, &["file"][..]));
    let outputs = config.outputs.iter().map(|o| {
        let local = ["file", "print"].contains(&o.kind.as_str());
        let keys: &[&str] = if local {
            &[]
        } else {
            &["password_file", "schema"]
        };
        (&o.options, keys)
    });
    let mut problems = Vec::new();
    for (options, keys) in inputs.chain(outputs) {
        for (key, value) in options.given().filter(|(key, _)| keys.contains(key)) {
            let Raw::Text(path) = value else { continue };
            if path != "-"
                && let Err(e) = std::fs::metadata(path)
            {
                problems.push(Problem {
                    place: options.place_of(key),
                    message: format!("`{key}` is {path:?}: {e}"),
                });
            }
        }
    }
    problems
}

/// The configuration in effect, and how the memory is divided.
pub fn effect(name: &str, config: &Config, plan: &Plan) -> String {
    let shown = explain::show(config);
    let parts = plan.parts.iter();
    let parts = parts.map(|p| (p.name.as_str(), p.bytes as u64, p.holds.as_str()));
    let memory = explain::memory(config.memory, parts);
    format!(
        "# {name}: ok. In effect is:\n# (what an input or output is not shown with has its default)\n\
         {shown}\n{memory}"
    )
}

/// Judges a map by itself.
fn map(args: &Args, kind: &str) -> Exit {
    let Some(path) = args.operands.first() else {
        return args.wrong("--map needs the FILE to check");
    };
    if let Err(why) = maps::known(kind) {
        return args.wrong(&format!("--map: {why}"));
    }
    let name = path.to_string_lossy().into_owned();
    let (rows, complaints) = match maps::check(kind, path.as_ref()) {
        Ok(checked) => checked,
        Err(why) => {
            out::say(&format!("{name}: {why}\n"));
            return Exit::Config;
        }
    };
    report(&name, "", complaints.problems(), &mut out::say);
    let count = complaints.count();
    if count > 0 {
        let s = if count == 1 { "" } else { "s" };
        out::say(&format!(
            "{name}: {count} mistake{s}; {} can be used\n",
            text::counted(rows, "row")
        ));
        return Exit::Config;
    }
    if args.flag("quiet") {
        return Exit::Fine;
    }
    out::print(&format!("{name}: ok, {}\n", text::counted(rows, "row")))
}

/// A configuration's text in whichever syntax it is.
pub fn sections(text: &str) -> native::Outcome {
    match super::UCI {
        Some((is, parse)) if is(text) => parse(text),
        _ => native::parse(text),
    }
}

/// The configuration in `text` and what it means. All that is wrong with it is
/// said through `say`.
///
/// # Errors
/// How the command ends then.
pub fn understand(
    name: &str,
    text: &str,
    say: &mut dyn FnMut(&str),
) -> Result<(Config, Plan), Exit> {
    plan(name, sections(text), None, say)
}

/// What a configuration that has been read means. All that is wrong with it is said through `say`.
/// While the rules `held` are in force, what a map held that can not be read stays so.
///
/// # Errors
/// How the command ends then.
pub fn plan(
    name: &str,
    outcome: native::Outcome,
    held: Option<&Rules>,
    say: &mut dyn FnMut(&str),
) -> Result<(Config, Plan), Exit> {
    let mut problems = outcome.problems;
    let held = held.map(|rules| Held {
        rules,
        symbols: None,
    });
    let plan = match Plan::again(&outcome.config, held) {
        // What does not follow from all of it follows from nothing.
        _ if outcome.broken => None,
        Ok(plan) => {
            warn(&plan, say);
            Some(plan)
        }
        Err(more) => {
            problems.extend(more);
            None
        }
    };
    problems.sort_by(|a, b| (a.place, &a.message).cmp(&(b.place, &b.message)));
    problems.dedup();
    report(name, "warning: ", &outcome.warnings, say);
    report(name, "", &problems, say);
    match plan {
        Some(plan) if problems.is_empty() => Ok((outcome.config, plan)),
        _ => {
            let s = if problems.len() == 1 { "" } else { "s" };
            say(&format!("{name}: {} mistake{s}\n", problems.len()));
            Err(Exit::Config)
        }
    }
}

/// The configuration that a command line names, and its text. What hinders is said.
///
/// # Errors
/// How the command ends then.
pub fn text(args: &Args) -> Result<(String, String), Exit> {
    let path = args.operands.first().map(AsRef::as_ref);
    if path.is_some() && args.given("config") {
        return Err(args.wrong("FILE and --config both name a configuration"));
    }
    file(path.or(args.path("config")).unwrap_or("weir.toml".as_ref()))
}

/// A configuration by the path of its file, and its text. What hinders is said.
///
/// # Errors
/// How the command ends then.
pub fn file(path: &Path) -> Result<(String, String), Exit> {
    let name = path.display().to_string();
    let mut text = String::new();
    let read = if name == "-" {
        io::stdin().lock().take(LONGEST).read_to_string(&mut text)
    } else {
        File::open(path).and_then(|f| f.take(LONGEST).read_to_string(&mut text))
    };
    let mut exit = Exit::Config;
    let why = match read {
        Ok(n) if (n as u64) < LONGEST => return Ok((name, text)),
        Ok(_) => "too long for a configuration".to_string(),
        Err(e) if e.kind() == io::ErrorKind::InvalidData => "not text in UTF-8".into(),
        Err(e) => {
            if e.kind() == io::ErrorKind::PermissionDenied {
                exit = Exit::Permission;
            }
            e.to_string()
        }
    };
    out::say(&format!("{name}: {why}\n"));
    Err(exit)
}

/// Rows of a file that are told of one by one; the rest is counted.
const TOLD: usize = 10;

/// Says what is wrong with the files of a plan.
pub fn warn(plan: &Plan, say: &mut dyn FnMut(&str)) {
    let mut rest = plan.warnings.as_slice();
    while let Some(first) = rest.first() {
        let count = rest.iter().take_while(|w| w.file == first.file).count();
        let (of_file, others) = rest.split_at(count);
        let problems: Vec<Problem> = of_file.iter().map(|w| w.problem.clone()).collect();
        report(
            &first.file,
            "warning: ",
            problems.get(..TOLD).unwrap_or(&problems),
            say,
        );
        if let Some(more) = count.checked_sub(TOLD).filter(|more| *more > 0) {
            say(&format!("{}: warning: and {more} more\n", first.file));
        }
        rest = others;
    }
}

/// Prints problems as `file:line:column: message`.
fn report(name: &str, what: &str, problems: &[Problem], say: &mut dyn FnMut(&str)) {
    for problem in problems {
        let line = native::show(name, problem);
        let line = match line.rsplit_once(&problem.message) {
            Some((place, _)) => format!("{place}{what}{}\n", problem.message),
            None => line,
        };
        say(&line);
    }
}
