//! The configuration in effect, as text: defaults filled in, in the file's own syntax.
//!
//! What a source or sink takes by default is its own business and not shown here.

use super::{Aggregate, Config, Full, Input, LogTo, Output, Reading, RecordTime};
use super::{custom, every, preprocess, primitive, spool};
use crate::base::options::{Options, Raw};
use crate::base::text::show_size;
use std::fmt::Write;
use std::time::Duration;

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
    super::sandbox::show(config, &mut line);
    if config.stay {
        line("stay", "true".into());
    }
    if config.empty_maps {
        line("empty_maps", "true".into());
    }
    let stop = match config.stop_within {
        stop if stop.subsec_millis() == 0 => format!("{}s", stop.as_secs()),
        stop => format!("{}ms", millis(stop)),
    };
    line("stop_within", quote(&stop));
    let level = config.log.level.as_str().to_ascii_lowercase();
    let to = match &config.log.to {
        LogTo::Stderr => quote("stderr"),
        LogTo::File(path) => format!("\"file\"\nfile = {}", quote(path)),
        LogTo::Syslog { facility, ident } => {
            let (facility, ident) = (quote(facility), quote(ident));
            format!("\"syslog\"\nfacility = {facility}\nident = {ident}")
        }
    };
    let stamp = if config.log.stamp {
        "stamp = true\n"
    } else {
        ""
    };
    let level = quote(&level);
    let _ = write!(text, "\n[log]\nlevel = {level}\nto = {to}\n{stamp}");
    limits(&mut text, config);
    for primitive in config.primitives.iter() {
        let _ = writeln!(text, "\n[primitive.{}]", primitive.custom.name);
        for (key, value) in custom::show(&primitive.custom) {
            let _ = writeln!(text, "{key} = {value}");
        }
    }
    for one in &config.inputs {
        input(&mut text, one);
    }
    for aggregate in &config.aggregates {
        section(&mut text, config, aggregate);
    }
    for output in &config.outputs {
        delivery(&mut text, output);
    }
    text
}

/// A duration in whole milliseconds. `as_millis` counts in 128 bits, which costs a small program
/// their division and their digits.
pub fn millis(time: Duration) -> u64 {
    let whole = time.as_secs().saturating_mul(1000);
    whole.saturating_add(time.subsec_millis().into())
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
    let by = primitive::show(&list, &config.primitives);
    let _ = writeln!(text, "by = {}", quotes(&by));
    if aggregate.absent {
        let _ = writeln!(text, "absent = {}", quote("zero"));
    }
    if let Some(every) = aggregate.every {
        let _ = writeln!(text, "every = {}", quote(&every::show(every)));
    }
    if let Some(align) = aggregate.align {
        let _ = writeln!(text, "align = {}", quote(align.word()));
    }
    if aggregate.offset > 0 {
        let _ = writeln!(text, "offset = \"{}s\"", aggregate.offset);
    }
    if let Some(flush) = aggregate.flush {
        let _ = writeln!(text, "flush = {}", quote(&every::show(flush)));
    }
    if aggregate.flush_delay > 0 {
        let delay = every::show(super::Every::Seconds(aggregate.flush_delay));
        let _ = writeln!(text, "flush_delay = {}", quote(&delay));
    }
    let _ = writeln!(text, "time = {}", quote(time));
    for (key, value) in [
        ("prorate", aggregate.prorate),
        ("stitch", aggregate.stitch),
        ("kinds", aggregate.kinds),
    ] {
        let _ = writeln!(text, "{key} = {value}");
    }
    let filters: Vec<&str> = aggregate.filter.iter().map(String::as_str).collect();
    match filters[..] {
        [] => {}
        [one] => drop(writeln!(text, "filter = {}", quote(one))),
        _ => drop(writeln!(text, "filter = {}", quotes(&filters))),
    }
    aggregate.rules.show(text, &quote);
    if let Some(memory) = aggregate.memory {
        let _ = writeln!(text, "memory = {}", size(memory));
    }
    let _ = writeln!(text, "full = {}", quote(full));
    let _ = writeln!(text, "renormalise = {}", aggregate.renormalise);
    sifting(text, aggregate);
    let to: Vec<&str> = aggregate.to.iter().map(String::as_str).collect();
    let _ = writeln!(text, "to = {}", quotes(&to));
}

fn limits(text: &mut String, config: &Config) {
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
}

fn sifting(text: &mut String, aggregate: &Aggregate) {
    let Some(rules) = &aggregate.preprocess else {
        return;
    };
    let list = preprocess::show(rules);
    let list: Vec<&str> = list.iter().map(String::as_str).collect();
    let _ = writeln!(text, "preprocess = {}", quotes(&list));
    let kind = if rules.all { "all" } else { "any" };
    let _ = writeln!(text, "preprocess_type = {}", quote(kind));
    if !aggregate.rejects.is_empty() {
        let rejects: Vec<&str> = aggregate.rejects.iter().map(String::as_str).collect();
        let _ = writeln!(text, "rejects = {}", quotes(&rejects));
    }
}

fn input(text: &mut String, input: &Input) {
    let (name, kind) = (&input.name, quote(&input.kind));
    let _ = writeln!(text, "\n[input.{name}]\nkind = {kind}");
    let _ = writeln!(text, "decode = {}", quote(input.decode.name()));
    let _ = writeln!(text, "workers = {}", input.workers);
    reading(text, &input.reading);
    let shown = ["kind", "decode", "workers"];
    own(text, &input.options, &[&shown[..], &READING].concat());
}

/// The settings of [`Reading`], which the engine takes from an input's own.
const READING: [&str; 8] = [
    "account_options",
    "asa_biflow",
    "ignore_exporter_address",
    "use_next_hop",
    "peer_as",
    "uptime_seconds",
    "frame_bytes",
    "only_ip",
];

fn reading(text: &mut String, reading: &Reading) {
    let values = [
        reading.account_options,
        reading.asa_biflow,
        reading.ignore_exporter_address,
        reading.use_next_hop,
        reading.peer_as,
        reading.uptime_seconds,
        reading.frame_bytes,
        reading.only_ip,
    ];
    for (key, value) in READING.iter().zip(values) {
        let _ = writeln!(text, "{key} = {value}");
    }
}

/// Settings that only their owner understands, as they were given.
fn own(text: &mut String, options: &Options, shown: &[&str]) {
    for (name, value) in options.given().filter(|(name, _)| !shown.contains(name)) {
        let _ = writeln!(text, "{name} = {}", raw(value));
    }
}

/// A value as TOML.
pub(super) fn raw(value: &Raw) -> String {
    match value {
        Raw::Text(text) => quote(text),
        Raw::List(items) => {
            let items: Vec<_> = items.iter().map(|(item, _)| raw(item)).collect();
            format!("[{}]", items.join(", "))
        }
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
            account_options = true\nuse_next_hop = false\n\
            [primitive.TTL]\npacket = [\"l3:2048+8\", \"l3:0x86dd+7\"]\nlength = 1\n\
            kind = \"number\"\n[primitive.vrf]\nelement = \"637:91\"\nlength = 4\nkind = \"hex\"\n\
            [aggregate.x]\nby = [\"sum_host\", \"flows\"]\nevery = \"90m\"\nto = \"f\"\n\
            filter = 'host \"é\\'\n[aggregate.y]\nby = \"none\"\nmemory = \"3MiB\"\nto = \"f\"\n\
            preprocess = [\"adjb=18\", \"minp=10\"]\npreprocess_type = \"all\"\nrejects = \"g\"\n\
            [aggregate.z]\nby = [\"vrf\", \"tos\"]\nevery = \"420s\"\n\
            align = \"hour\"\noffset = 60\n\
            flush = \"minute\"\nflush_delay = \"90s\"\nprorate = true\nkinds = true\nto = \"f\"\n\
            [output.g]\nkind = \"print\"\n[output.f]\nkind = \"file\"\npath = \"a\\tb\"\n";
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
            "account_options = true",
            "use_next_hop = false",
            "[primitive.ttl]",
            "packet = [\"l3:0x0800+8\", \"l3:0x86dd+7\"]",
            "element = \"637:91\"",
            "by = [\"vrf\", \"tos\"]",
            "every = \"7m\"",
            "align = \"hour\"",
            "offset = \"60s\"",
            "flush = \"1m\"",
            "flush_delay = \"90s\"",
            "prorate = true",
            "kinds = true",
            "stitch = false",
            "memory = \"3 MiB\"",
            "by = [\"none\"]",
            "full = \"flush\"",
            "preprocess = [\"minp=10\", \"adjb=18\"]",
            "preprocess_type = \"all\"",
            "rejects = [\"g\"]",
            "queue = \"1 MiB\"",
            "path = \"a\\u0009b\"",
        ] {
            assert!(shown.lines().any(|l| l == line), "{line}\n{shown}");
        }
    }
}
