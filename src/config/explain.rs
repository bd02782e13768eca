//! The configuration in effect, as text: defaults filled in, in the file's own syntax.
//!
//! What a source or sink takes by default is its own business and not shown here.

use super::{Aggregate, Config, Decode, Full, Output, RecordTime};
use super::{every, primitive, spool};
use crate::base::options::{Options, Raw};
use crate::base::text::show_size;
use std::fmt::Write;

/// The whole configuration. Reading the text again gives the same configuration.
pub fn show(config: &Config) -> String {
    let mut text = String::new();
    let mut line = |key: &str, value: String| {
        let _ = writeln!(text, "{key} = {value}");
    };
    line("memory", size(config.memory));
    for (key, value) in [
        ("control", &config.control),
        ("http", &config.http),
        ("templates", &config.templates),
    ] {
        if let Some(value) = value {
            line(key, quote(value));
        }
    }
    line("timezone", quote(&config.timezone));
    let stop = match config.stop_within {
        stop if stop.subsec_millis() == 0 => format!("{}s", stop.as_secs()),
        stop => format!("{}ms", stop.as_millis()),
    };
    line("stop_within", quote(&stop));
    let level = config.log.level.as_str().to_lowercase();
    let to = if config.log.syslog {
        "syslog"
    } else {
        "stderr"
    };
    let _ = write!(
        text,
        "\n[log]\nlevel = {}\nto = {}\n",
        quote(&level),
        quote(to)
    );
    let limits = &config.limits;
    let _ = write!(
        text,
        "\n[limits]\ntemplates = {}\nexporters = {}\noptions = {}\nfragments = {}\nsymbols = {}\n",
        limits.templates,
        limits.exporters,
        limits.options,
        limits.fragments,
        size(limits.symbols)
    );
    for input in &config.inputs {
        let _ = write!(
            text,
            "\n[input.{}]\nkind = {}\n",
            input.name,
            quote(&input.kind)
        );
        let _ = writeln!(text, "decode = {}", quote(decode(input.decode)));
        let _ = writeln!(text, "workers = {}", input.workers);
        own(&mut text, &input.options, &["kind", "decode", "workers"]);
    }
    for aggregate in &config.aggregates {
        section(&mut text, config, aggregate);
    }
    for output in &config.outputs {
        delivery(&mut text, output);
    }
    text
}

fn delivery(text: &mut String, output: &Output) {
    let (name, kind) = (&output.name, quote(&output.kind));
    let _ = write!(text, "\n[output.{name}]\nkind = {kind}\n");
    let _ = writeln!(text, "queue = {}", size(output.queue));
    if let Some(spool) = &output.spool {
        text.push_str(&spool.show());
    }
    let shown = [&["kind", "queue"], spool::KEYS].concat();
    own(text, &output.options, &shown);
}

/// How the memory is divided, as comment lines: what each part is for, its bytes, what it holds.
pub fn memory<'a>(budget: u64, parts: impl Iterator<Item = (&'a str, u64, &'a str)>) -> String {
    let mut text = String::from("\n# Memory:\n");
    let mut used = 0u64;
    for (name, bytes, holds) in parts {
        used = used.saturating_add(bytes);
        let _ = writeln!(text, "#   {:>10}  {name:28} {holds}", show_size(bytes));
    }
    let (used, all) = (show_size(used), show_size(budget));
    let _ = writeln!(text, "#   {used:>10}  in all, of {all} configured");
    text
}

fn section(text: &mut String, config: &Config, aggregate: &Aggregate) {
    let list = primitive::List {
        by: aggregate.by.clone(),
        flows: aggregate.flows,
        both_ends: aggregate.both_ends,
    };
    let all = || config.inputs.iter().map(|i| i.name.as_str()).collect();
    let from: Vec<&str> = match aggregate.from.as_slice() {
        [] => all(),
        from => from.iter().map(String::as_str).collect(),
    };
    let time = match aggregate.time {
        RecordTime::Arrival => "arrival",
        RecordTime::Start => "start",
        RecordTime::End => "end",
    };
    let full = match aggregate.full {
        Full::Flush => "flush",
        Full::Fold => "fold",
        Full::Evict => "evict",
    };
    let _ = writeln!(text, "\n[aggregate.{}]", aggregate.name);
    let _ = writeln!(text, "from = {}", quotes(&from));
    let _ = writeln!(text, "by = {}", quotes(&primitive::show(&list)));
    if let Some(every) = aggregate.every {
        let _ = writeln!(text, "every = {}", quote(&every::show(every)));
    }
    let _ = writeln!(text, "time = {}", quote(time));
    if !aggregate.filter.is_empty() {
        let _ = writeln!(text, "filter = {}", quote(&aggregate.filter));
    }
    if let Some(memory) = aggregate.memory {
        let _ = writeln!(text, "memory = {}", size(memory));
    }
    let _ = writeln!(text, "full = {}", quote(full));
    let _ = writeln!(text, "renormalise = {}", aggregate.renormalise);
    let to: Vec<&str> = aggregate.to.iter().map(String::as_str).collect();
    let _ = writeln!(text, "to = {}", quotes(&to));
}

fn decode(decode: Decode) -> &'static str {
    match decode {
        Decode::Auto => "auto",
        Decode::Packet => "packets",
        Decode::Netflow => "netflow",
        Decode::Sflow => "sflow",
    }
}

/// Settings that only their owner understands, as they were given.
fn own(text: &mut String, options: &Options, shown: &[&str]) {
    for (name, value) in options.given().filter(|(name, _)| !shown.contains(name)) {
        let _ = writeln!(text, "{name} = {}", raw(value));
    }
}

fn raw(value: &Raw) -> String {
    match value {
        Raw::Text(text) => quote(text),
        Raw::List(items) => {
            let items: Vec<_> = items.iter().map(|(item, _)| raw(item)).collect();
            format!("[{}]", items.join(", "))
        }
        Raw::Real(number) => format!("{number:?}"),
        other => other.show(),
    }
}

fn quotes(items: &[&str]) -> String {
    let items: Vec<_> = items.iter().map(|item| quote(item)).collect();
    format!("[{}]", items.join(", "))
}

/// A basic string of TOML.
pub(super) fn quote(text: &str) -> String {
    let mut out = String::from("\"");
    for c in text.chars() {
        match c {
            '"' | '\\' => out.extend(['\\', c]),
            c if c.is_control() => {
                let _ = write!(out, "\\u{:04X}", c as u32);
            }
            c => out.push(c),
        }
    }
    out + "\""
}

/// A size in the largest unit that shows it exactly.
pub(super) fn size(bytes: u64) -> String {
    match bytes {
        0 => "0".into(),
        n if n % 1024 == 0 && crate::base::text::size(&show_size(n)) == Some(n) => {
            quote(&show_size(n).replace(".0 ", " "))
        }
        n => n.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::super::native;
    use super::*;

    #[test]
    fn the_division_of_the_memory_adds_up() {
        let parts = [
            ("symbols", 256 << 10, "names"),
            ("aggregate.x", 1 << 20, "2 tables"),
        ];
        let text = memory(16 << 20, parts.into_iter());
        assert!(
            text.lines()
                .any(|l| l.ends_with("1.2 MiB  in all, of 16.0 MiB configured"))
        );
        assert!(text.lines().all(|l| l.is_empty() || l.starts_with('#')));
        assert!(text.contains("256.0 KiB  symbols"), "{text}");
    }

    #[test]
    fn the_text_is_a_configuration_that_means_the_same() {
        let text = "memory = 10000000\nstop_within = \"1.5s\"\n[input.a]\nkind = \"udp\"\n\
            listen = \"[::]:2055\"\nallow = [\"192.0.2.0/24\", \"2001:db8::/32\"]\nreal = 1.0\n\
            [aggregate.x]\nby = [\"sum_host\", \"flows\"]\nevery = \"90m\"\nto = \"f\"\n\
            filter = 'host \"é\\'\n[aggregate.y]\nby = \"none\"\nmemory = \"3MiB\"\nto = \"f\"\n\
            [output.f]\nkind = \"file\"\npath = \"a\\tb\"\n";
        let first = native::parse(text);
        assert_eq!(first.problems, []);
        let shown = show(&first.config);
        let second = native::parse(&shown);
        assert_eq!(second.problems, [], "{shown}");
        assert_eq!(show(&second.config), shown);
        for line in [
            "memory = 10000000",
            "stop_within = \"1500ms\"",
            "allow = [\"192.0.2.0/24\", \"2001:db8::/32\"]",
            "by = [\"sum_host\", \"flows\"]",
            "every = \"90m\"",
            "memory = \"3 MiB\"",
            "by = [\"none\"]",
            "full = \"flush\"",
            "queue = \"1 MiB\"",
            "path = \"a\\u0009b\"",
        ] {
            assert!(shown.lines().any(|l| l == line), "{line}\n{shown}");
        }
    }
}
