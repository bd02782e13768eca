//! A configuration's sections as TOML: what another syntax was taken for, in weir's own.
//!
//! Not for defaults: what the sections do not say is not written.

use super::explain::{quote, raw};
use super::tree::{File, Section};
use crate::base::options::{Options, Raw};
use std::fmt::Write;

/// What is to be known of a section, beside what it says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Remark {
    /// The section: `input.routers`; empty for the top of the file.
    pub section: String,
    /// One line.
    pub text: String,
}

/// The file as text that [`toml::parse`](super::toml::parse) takes apart to the same sections.
/// Remarks stand as comments above their section; those of no section that is there, on top.
pub fn show(file: &File, remarks: &[Remark]) -> String {
    let mut text = String::new();
    let named = |family: &'static str, sections: &[Section]| {
        let names = sections.iter().map(|s| format!("{family}.{}", s.name));
        names.collect::<Vec<_>>()
    };
    let mut known = named("primitive", &file.primitives);
    known.extend(named("input", &file.inputs));
    known.extend(named("aggregate", &file.aggregates));
    known.extend(named("output", &file.outputs));
    known.extend(file.log.is_some().then(|| "log".to_string()));
    known.extend(file.limits.is_some().then(|| "limits".to_string()));
    for remark in remarks.iter().filter(|r| !known.contains(&r.section)) {
        comment(&mut text, remark);
    }
    settings(&mut text, &file.top);
    for (name, options) in [("log", &file.log), ("limits", &file.limits)] {
        if let Some(options) = options {
            section(&mut text, name, options, remarks);
        }
    }
    let families = [
        ("primitive", &file.primitives),
        ("input", &file.inputs),
        ("aggregate", &file.aggregates),
        ("output", &file.outputs),
    ];
    for (family, sections) in families {
        for one in sections {
            let name = format!("{family}.{}", one.name);
            section(&mut text, &name, &one.options, remarks);
        }
    }
    text
}

/// A comment has one line, and nothing in it that TOML forbids there.
fn comment(text: &mut String, remark: &Remark) {
    let plain = |c: char| if c.is_control() { ' ' } else { c };
    let line: String = remark.text.chars().map(plain).collect();
    let _ = writeln!(text, "# {line}");
}

fn section(text: &mut String, name: &str, options: &Options, remarks: &[Remark]) {
    if !text.is_empty() {
        text.push('\n');
    }
    for remark in remarks.iter().filter(|r| r.section == name) {
        comment(text, remark);
    }
    let _ = writeln!(text, "[{name}]");
    settings(text, options);
}

fn settings(text: &mut String, options: &Options) {
    for (name, value) in options.given() {
        // What TOML can not say was never taken by a setting either.
        if !matches!(value, Raw::Other(_)) {
            let _ = writeln!(text, "{} = {}", key(name), raw(value));
        }
    }
}

fn key(name: &str) -> String {
    if super::tree::is_name(name) {
        name.into()
    } else {
        quote(name)
    }
}

#[cfg(test)]
mod tests {
    use super::super::toml;
    use super::*;

    #[test]
    fn what_is_written_is_read_as_the_same_sections() {
        let text = "memory = \"8 MiB\"\n\"odd key\" = 1.5\n\n[log]\nlevel = \"warn\"\n\n[limits]\n\
            templates = 7\n\n[input.a]\nkind = \"udp\"\nallow = [\"192.0.2.1\", \"::/0\"]\n\n\
            [aggregate.b-c]\nby = [\"src_host\"]\nrenormalise = true\n\n[output.d]\n\
            path = \"a\\\\b\\\"\\u0007é\"\n";
        let mut problems = Vec::new();
        let file = toml::parse(text, &mut problems);
        let shown = show(&file, &[]);
        let again = toml::parse(&shown, &mut problems);
        assert!(problems.is_empty(), "{problems:?}\n{shown}");
        assert_eq!(shown, show(&again, &[]));
        assert_eq!(shown, text);
    }

    #[test]
    fn remarks_stand_above_their_sections_or_on_top() {
        let file = toml::parse("memory = 1\n[input.a]\nkind = \"udp\"\n", &mut Vec::new());
        let remark = |section: &str, text: &str| Remark {
            section: section.into(),
            text: text.into(),
        };
        let remarks = [remark("input.a", "one"), remark("output.z", "two")];
        let shown = show(&file, &remarks);
        let want = "# two\nmemory = 1\n\n# one\n[input.a]\nkind = \"udp\"\n";
        assert_eq!(shown, want);
    }
}
