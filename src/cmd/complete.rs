//! Completions for bash, zsh and fish, out of the tables.

use super::COMMANDS;
use super::arg::{Command, Flag, Take};
use crate::record::FIELDS;

/// How a shell completes a value.
enum Values {
    Words(Vec<&'static str>),
    Files,
    Nothing,
}

fn values(take: Take) -> Values {
    match take {
        Take::Choice(words) => {
            Values::Words(words.iter().filter_map(|w| w.split('|').next()).collect())
        }
        Take::Fields => Values::Words(fields()),
        Take::Path => Values::Files,
        _ => Values::Nothing,
    }
}

fn fields() -> Vec<&'static str> {
    let built = FIELDS.iter().filter(|i| i.giver.missing().is_none());
    built.map(|i| i.name).collect()
}

/// What stands where a command takes operands; `help` takes the commands.
fn operands(command: &Command) -> Values {
    match command.name {
        "help" => Values::Words(COMMANDS.iter().map(|c| c.name).collect()),
        _ => values(command.operands.take),
    }
}

/// For bash.
pub fn bash() -> String {
    let names: Vec<_> = COMMANDS.iter().map(|c| c.name).collect();
    let mut text = format!(
        "# Completions of weir for bash.\n_weir() {{\n    local cur=${{COMP_WORDS[COMP_CWORD]}} \
         prev=${{COMP_WORDS[COMP_CWORD-1]}}\n    COMPREPLY=()\n    \
         if [ \"$COMP_CWORD\" -eq 1 ]; then\n        \
         COMPREPLY=($(compgen -W \"{}\" -- \"$cur\"))\n        return\n    fi\n    \
         case ${{COMP_WORDS[1]}} in\n",
        names.join(" ")
    );
    for command in COMMANDS {
        text.push_str(&format!("    {})\n        case $prev in\n", command.name));
        for flag in command.flags.iter().filter(|f| f.take != Take::Switch) {
            let short = flag.short.map_or(String::new(), |s| format!("-{s}|"));
            let reply = bash_reply(&values(flag.take), flag.take == Take::Fields);
            text.push_str(&format!(
                "        {short}--{}) {reply}return ;;\n",
                flag.name
            ));
        }
        let long: Vec<_> = command
            .flags
            .iter()
            .map(|f| format!("--{}", f.name))
            .collect();
        text.push_str(&format!(
            "        esac\n        case $cur in\n        \
             -*) COMPREPLY=($(compgen -W \"{} --help\" -- \"$cur\")) ;;\n        \
             *) {};;\n        esac ;;\n",
            long.join(" "),
            bash_reply(&operands(command), false)
        ));
    }
    text.push_str("    esac\n}\ncomplete -o filenames -F _weir weir\n");
    text
}

/// A list with commas completes its last item.
fn bash_reply(values: &Values, list: bool) -> String {
    match values {
        Values::Words(words) if list => format!(
            "local done=${{cur%\"${{cur##*,}}\"}}; COMPREPLY=($(compgen -P \"$done\" -W \"{}\" \
             -- \"${{cur##*,}}\")); ",
            words.join(" ")
        ),
        Values::Words(words) => {
            format!(
                "COMPREPLY=($(compgen -W \"{}\" -- \"$cur\")); ",
                words.join(" ")
            )
        }
        Values::Files => "COMPREPLY=($(compgen -f -- \"$cur\")); ".into(),
        Values::Nothing => String::new(),
    }
}

/// For zsh.
pub fn zsh() -> String {
    let mut text = String::from(
        "#compdef weir\n# Completions of weir for zsh.\n_weir() {\n    local -a commands\n    \
         commands=(\n",
    );
    for command in COMMANDS {
        text.push_str(&format!(
            "        {}\n",
            quote(&format!(
                "{}:{}",
                command.name,
                command.doc.replace(':', "\\:")
            ))
        ));
    }
    text.push_str(
        "    )\n    if (( CURRENT == 2 )); then\n        _describe command commands\n        \
         return\n    fi\n    local command=$words[2]\n    shift words\n    (( CURRENT-- ))\n    \
         case $command in\n",
    );
    for command in COMMANDS {
        text.push_str(&format!(
            "    {})\n        _arguments -s \\\n",
            command.name
        ));
        for flag in command.flags {
            text.push_str(&format!("            {} \\\n", zsh_flag(flag)));
        }
        let rest = match operands(command) {
            _ if command.operands.most == 0 => "'(-h --help)'{-h,--help}'[Print help.]'".into(),
            operands => format!(
                "'(-h --help)'{{-h,--help}}'[Print help.]' \\\n            {}",
                quote(&format!(
                    "*:{}:{}",
                    command.operands.name,
                    zsh_values(&operands)
                ))
            ),
        };
        text.push_str(&format!("            {rest} ;;\n"));
    }
    text.push_str("    esac\n}\n_weir \"$@\"\n");
    text
}

fn zsh_flag(flag: &Flag) -> String {
    let doc = flag
        .doc
        .replace('[', "(")
        .replace(']', ")")
        .replace(':', "\\:");
    let value = match flag.take {
        Take::Switch => String::new(),
        Take::Fields => format!(":{}:_values -s , field {}", flag.value, fields().join(" ")),
        take => format!(":{}:{}", flag.value, zsh_values(&values(take))),
    };
    let tail = quote(&format!("[{doc}]{value}"));
    match flag.short {
        Some(short) => format!(
            "'(-{short} --{name})'{{-{short},--{name}}}{tail}",
            name = flag.name
        ),
        None => format!("--{}{tail}", flag.name),
    }
}

fn zsh_values(values: &Values) -> String {
    match values {
        Values::Words(words) => format!("({})", words.join(" ")),
        Values::Files => "_files".into(),
        Values::Nothing => " ".into(),
    }
}

/// For fish.
pub fn fish() -> String {
    let mut text = String::from("# Completions of weir for fish.\ncomplete -c weir -f\n");
    for command in COMMANDS {
        text.push_str(&format!(
            "complete -c weir -n __fish_use_subcommand -a {} -d {}\n",
            command.name,
            quote(command.doc)
        ));
    }
    for command in COMMANDS {
        let when = format!(
            "complete -c weir -n '__fish_seen_subcommand_from {}'",
            command.name
        );
        for flag in command.flags {
            let short = flag.short.map_or(String::new(), |s| format!(" -s {s}"));
            let value = match (flag.take, values(flag.take)) {
                (Take::Switch, _) => String::new(),
                (_, Values::Words(words)) => format!(" -x -a {}", quote(&words.join(" "))),
                (_, Values::Files) => " -r -F".into(),
                (_, Values::Nothing) => " -x".into(),
            };
            let name = flag.name;
            text.push_str(&format!(
                "{when}{short} -l {name}{value} -d {}\n",
                quote(flag.doc)
            ));
        }
        text.push_str(&format!("{when} -s h -l help -d 'Print help.'\n"));
        match operands(command) {
            Values::Words(words) => {
                text.push_str(&format!("{when} -a {}\n", quote(&words.join(" "))));
            }
            Values::Files => text.push_str(&format!("{when} -F\n")),
            Values::Nothing => {}
        }
    }
    text
}

/// In single quotes, as all three shells read them (fish too: it knows `\'` only inside).
fn quote(text: &str) -> String {
    format!("'{}'", text.replace('\'', "'\\''"))
}
