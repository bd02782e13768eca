//! `weir help`: help texts, derived from the tables of commands and flags.

use super::arg::{Args, Command, Flag, Operands, Take};
use super::{COMMANDS, find, out};
use crate::base::error::Exit;
use crate::base::text;

/// The table of `weir help`.
pub static COMMAND: Command = Command {
    name: "help",
    doc: "Explain weir or one of its commands",
    about: "Prints what weir is and what its commands are, or everything about one command.",
    operands: Operands {
        name: "COMMAND",
        least: 0,
        most: 1,
        take: Take::Text,
        doc: "the command to explain",
    },
    flags: &[],
    examples: &[("weir help read", "explains `weir read`")],
    run,
};

fn run(args: Args) -> Exit {
    let Some(name) = args.operand() else {
        return out::print(&long());
    };
    match find(name) {
        Some(command) => out::print(&of(command)),
        None => {
            let near = text::nearest(name, COMMANDS.iter().map(|c| c.name));
            let near = near.map(|n| format!("; did you mean `{n}`?"));
            args.wrong(&format!("no command `{name}`{}", near.unwrap_or_default()))
        }
    }
}

const WIDTH: usize = 80;

/// What `weir` alone says.
pub fn short() -> String {
    let mut text = String::from(
        "weir: network accounting, from bytes on the wire to rows, in memory you chose\n\n\
         Usage: weir COMMAND [OPTION]...\n\n",
    );
    for command in COMMANDS {
        entry(&mut text, command.name, command.doc, 11);
    }
    text.push_str("\nTry `weir read FILE.pcap`, or `weir help COMMAND`.\n");
    text
}

/// What `weir --help` says.
fn long() -> String {
    let mut text = short();
    text.push_str("\nExit status:\n");
    for (code, doc) in EXITS {
        entry(&mut text, code, doc, 11);
    }
    text
}

/// Exit codes and what they mean; the manual has them too.
pub static EXITS: &[(&str, &str)] = &[
    ("0", "All was done."),
    ("1", "Something failed while running; the log says what."),
    ("2", "The command line is wrong."),
    ("3", "The configuration is wrong."),
    ("4", "The system refused a right that an input needs."),
];

/// Everything about one command.
pub fn of(command: &Command) -> String {
    let mut text = format!(
        "weir {}: {}\n\nUsage: {}\n\n",
        command.name,
        command.doc,
        usage(command)
    );
    for paragraph in command.about.split("\n\n") {
        wrap(&mut text, paragraph, 0, 0);
        text.push('\n');
    }
    if !command.operands.doc.is_empty() {
        entry(&mut text, command.operands.name, command.operands.doc, 25);
        text.push('\n');
    }
    text.push_str("Options:\n");
    for flag in command.flags {
        entry(&mut text, &spell(flag), &describe(flag), 25);
    }
    entry(&mut text, "-h, --help", "Print this.", 25);
    if !command.examples.is_empty() {
        text.push_str("\nExamples:\n");
        for (line, doc) in command.examples {
            text.push_str(&format!("  {line}\n"));
            wrap(&mut text, doc, 6, 6);
        }
    }
    text
}

/// The line that shows how a command is called.
pub fn usage(command: &Command) -> String {
    let mut text = format!("weir {}", command.name);
    if !command.flags.is_empty() {
        text.push_str(" [OPTION]...");
    }
    let operands = command.operands;
    let dots = if operands.most > 1 { "..." } else { "" };
    match (operands.least, operands.most) {
        (_, 0) => {}
        (0, _) => text.push_str(&format!(" [{}]{dots}", operands.name)),
        _ => text.push_str(&format!(" {}{dots}", operands.name)),
    }
    text
}

fn spell(flag: &Flag) -> String {
    let short = flag.short.map_or("    ".into(), |s| format!("-{s}, "));
    let value = if flag.value.is_empty() { "" } else { " " };
    format!("{short}--{}{value}{}", flag.name, flag.value)
}

/// A flag's sentence with what it takes and its default.
pub fn describe(flag: &Flag) -> String {
    let mut text = flag.doc.to_string();
    if matches!(flag.take, Take::Choice(_)) {
        text.push_str(&format!(" One of {}.", flag.words().join(", ")));
    }
    if !flag.default.is_empty() {
        text.push_str(&format!(" [default: {}]", flag.default));
    }
    text
}

/// A name on the left, its text from column `at` on.
fn entry(to: &mut String, name: &str, doc: &str, at: usize) {
    let start = to.len();
    to.push_str("  ");
    to.push_str(name);
    let used = to.len() - start;
    if used + 2 > at {
        to.push('\n');
        wrap(to, doc, at, at);
    } else {
        to.push_str(&" ".repeat(at - used));
        wrap(to, doc, at, 0);
    }
}

/// Appends `text` in lines of [`WIDTH`]; the first is indented by `first`, the others by `rest`.
fn wrap(to: &mut String, text: &str, rest: usize, first: usize) {
    to.push_str(&" ".repeat(first));
    let mut column = rest;
    let mut fresh = true;
    for word in text.split_whitespace() {
        let length = word.chars().count();
        if !fresh && column + 1 + length > WIDTH {
            to.push('\n');
            to.push_str(&" ".repeat(rest));
            column = rest;
            fresh = true;
        }
        if !fresh {
            to.push(' ');
            column += 1;
        }
        to.push_str(word);
        column += length;
        fresh = false;
    }
    to.push('\n');
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_help_fits_the_screen_and_names_every_flag() {
        for command in COMMANDS {
            let text = of(command);
            for line in text.lines() {
                assert!(line.chars().count() <= WIDTH, "{}: {line}", command.name);
            }
            for flag in command.flags {
                assert!(text.contains(&format!("--{}", flag.name)), "{}", flag.name);
            }
        }
    }

    #[test]
    fn tables_are_free_of_clashes() {
        for command in COMMANDS {
            let mut names: Vec<String> = vec!["-h".into(), "help".into()];
            for flag in command.flags {
                names.push(flag.name.into());
                names.extend((!flag.alias.is_empty()).then(|| flag.alias.to_string()));
                names.extend(flag.short.map(|s| format!("-{s}")));
                assert_eq!(
                    flag.value.is_empty(),
                    flag.take == Take::Switch,
                    "{}",
                    flag.name
                );
                assert!(flag.doc.ends_with('.'), "{} {}", command.name, flag.name);
            }
            let count = names.len();
            names.sort();
            names.dedup();
            assert_eq!(names.len(), count, "{}: {names:?}", command.name);
        }
    }
}
