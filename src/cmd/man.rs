//! The manual page weir(1), in the man(7) macros, out of the tables.

use super::COMMANDS;
use super::arg::{Command, Flag};
use super::help::{EXITS, describe, usage};
use crate::record::FIELDS;

/// The whole page.
pub fn page() -> String {
    let mut text = format!(
        ".TH WEIR 1 \"\" \"weir {}\" \"User Commands\"\n",
        env!("CARGO_PKG_VERSION")
    );
    text.push_str(
        ".SH NAME\nweir \\- network accounting for the edge\n.SH SYNOPSIS\n.B weir\n.I COMMAND\n\
         [\\fIOPTION\\fR]...\n.SH DESCRIPTION\n\
         weir turns frames and datagrams into records, sums them in memory of a size you chose,\n\
         and hands the rows to files and databases, while a ledger proves that nothing went\n\
         missing unnoticed.\n.SH COMMANDS\n",
    );
    for command in COMMANDS {
        section(&mut text, command);
    }
    text.push_str(".SH FIELDS\nThese can stand in a list of fields to sum by.\n");
    for info in FIELDS {
        tagged(
            &mut text,
            &format!("\\fB{}\\fR", escape(info.name)),
            &escape(info.doc),
        );
    }
    text.push_str(".SH EXIT STATUS\n");
    for (code, doc) in EXITS {
        tagged(&mut text, &format!("\\fB{code}\\fR"), &escape(doc));
    }
    text.push_str(".SH ENVIRONMENT\n");
    let colour = "Set to anything, it keeps colours off the terminal.";
    tagged(&mut text, "\\fBNO_COLOR\\fR", colour);
    text.push_str(".SH FILES\n");
    let config = "The configuration of \\fBweir run\\fR where none is named.";
    tagged(&mut text, "\\fI/etc/weir/weir.toml\\fR", config);
    text.push_str(".SH SEE ALSO\n.BR pcap\\-filter (7),\n.BR tcpdump (8)\n");
    text
}

fn section(text: &mut String, command: &Command) {
    text.push_str(&format!(".SS \"{}\"\n", escape(&usage(command))));
    text.push_str(&format!("{}.\n", escape(command.doc)));
    for paragraph in command.about.split("\n\n") {
        text.push_str(&format!(".PP\n{}\n", escape(paragraph)));
    }
    if !command.operands.doc.is_empty() {
        let name = format!("\\fI{}\\fR", command.operands.name);
        tagged(text, &name, &escape(command.operands.doc));
    }
    for flag in command.flags {
        tagged(text, &spell(flag), &escape(&describe(flag)));
    }
    for (line, doc) in command.examples {
        text.push_str(&format!(
            ".PP\nExample: {}:\n.PP\n.RS 4\n.nf\n{}\n.fi\n.RE\n",
            escape(doc),
            escape(line)
        ));
    }
}

fn spell(flag: &Flag) -> String {
    let short = flag
        .short
        .map_or(String::new(), |s| format!("\\fB\\-{s}\\fR, "));
    let value = if flag.value.is_empty() {
        String::new()
    } else {
        format!(" \\fI{}\\fR", flag.value)
    };
    format!("{short}\\fB\\-\\-{}\\fR{value}", escape(flag.name))
}

fn tagged(text: &mut String, tag: &str, doc: &str) {
    text.push_str(&format!(".TP\n{tag}\n{doc}\n"));
}

/// Text as roff reads it: no escapes, no requests, hyphens that can be copied.
fn escape(text: &str) -> String {
    let text = text.replace('\\', "\\e").replace('-', "\\-");
    match text.starts_with(['.', '\'']) {
        true => format!("\\&{text}"),
        false => text,
    }
}
