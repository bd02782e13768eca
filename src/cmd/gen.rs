//! `weir gen`: the manual page and shell completions, out of the tables.

use super::arg::{Args, Command, Operands, Take};
use super::{complete, man, out};
use crate::base::error::Exit;
use crate::base::text;

type Kind = (&'static str, fn() -> String);

/// What can be generated, and by whom.
static KINDS: &[Kind] = &[
    ("man", man::page),
    ("bash", complete::bash),
    ("zsh", complete::zsh),
    ("fish", complete::fish),
    ("pmacct-keys", super::pmacct_keys),
];

/// The table of `weir gen`.
pub static COMMAND: Command = Command {
    name: "gen",
    doc: "Generate the manual page, shell completions, tables",
    about: "Prints the manual page weir(1), the completions of a shell, or the table of what \
            becomes of pmacct's keys.",
    operands: Operands {
        name: "KIND",
        least: 1,
        most: 1,
        take: Take::Choice(&["man", "bash", "zsh", "fish", "pmacct-keys"]),
        doc: "what to generate: man, bash, zsh, fish, pmacct-keys",
    },
    flags: &[],
    examples: &[
        ("weir gen man > weir.1", "the manual page"),
        (
            "weir gen bash > /etc/bash_completion.d/weir",
            "completions for bash",
        ),
    ],
    run,
};

fn run(args: Args) -> Exit {
    let given = args.operand().unwrap_or_default();
    match KINDS.iter().find(|(name, _)| *name == given) {
        Some((_, make)) => out::print(&make()),
        None => {
            let near = text::nearest(given, KINDS.iter().map(|(name, _)| *name));
            let near = near.map(|n| format!("; did you mean `{n}`?"));
            args.wrong(&format!(
                "can not generate `{given}`; it takes man, bash, zsh, fish, pmacct-keys{}",
                near.unwrap_or_default()
            ))
        }
    }
}
