//! What is linked into this build and under which licences: for people, and as a bill of
//! materials.

use crate::base::built;
use crate::ctl::status::quote;
use std::fmt::Write;

/// Every crate that any build links: name, version, licence, and the features that bring it along;
/// none for always. `tests/licences.rs` writes it from the lock.
const CRATES: &str = include_str!("licence/crates.txt");

/// What is linked beside crates: name, licence, whether this build has it.
const OTHERS: [(&str, &str, bool); 4] = [
    ("Rust's standard library", "MIT OR Apache-2.0", true),
    ("musl", "MIT", cfg!(target_env = "musl")),
    ("SQLite", "blessing", false),
    ("libpcap", "BSD-3-Clause", false),
];

/// Name, version and licence of each crate in this build.
fn crates() -> impl Iterator<Item = (&'static str, &'static str, &'static str)> {
    CRATES.lines().filter_map(|line| {
        let mut cells = line.split('\t');
        let (name, version, licence) = (cells.next()?, cells.next()?, cells.next()?);
        let features = cells.next().unwrap_or_default();
        let here = features.is_empty() || features.split(',').any(built);
        here.then_some((name, version, licence))
    })
}

fn others() -> impl Iterator<Item = (&'static str, &'static str)> {
    let here = |name: &str, always: bool| match name {
        "SQLite" => built("sink-sqlite"),
        "libpcap" => built("rule-filter-static"),
        _ => always,
    };
    let others = OTHERS.iter().filter(move |o| here(o.0, o.2));
    others.map(|(name, licence, _)| (*name, *licence))
}

/// A line for each: `name version: licence`.
pub fn list() -> String {
    let mut text = format!("weir {}: MIT\n", env!("CARGO_PKG_VERSION"));
    for (name, version, licence) in crates() {
        let _ = writeln!(text, "{name} {version}: {licence}");
    }
    for (name, licence) in others() {
        let _ = writeln!(text, "{name}: {licence}");
    }
    text
}

/// CycloneDX 1.5, in JSON.
pub fn bill() -> String {
    let part = |name: &str, version: &str, licence: &str, more: &str| {
        let (name, version, licence) = (quote(name), quote(version), quote(licence));
        format!(
            "{{\"type\":\"library\",\"name\":{name},\"version\":{version},{more}\
             \"licenses\":[{{\"expression\":{licence}}}]}}"
        )
    };
    let crates = crates().map(|(name, version, licence)| {
        let more = format!("\"purl\":\"pkg:cargo/{name}@{version}\",");
        part(name, version, licence, &more)
    });
    let others = others().map(|(name, licence)| part(name, "", licence, ""));
    let parts: Vec<String> = crates.chain(others).collect();
    format!(
        "{{\"bomFormat\":\"CycloneDX\",\"specVersion\":\"1.5\",\"version\":1,\
         \"metadata\":{{\"component\":{{\"type\":\"application\",\"name\":\"weir\",\
         \"version\":\"{}\",\"licenses\":[{{\"expression\":\"MIT\"}}]}}}},\
         \"components\":[\n{}\n]}}\n",
        env!("CARGO_PKG_VERSION"),
        parts.join(",\n")
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_linked_is_listed() {
        let text = list();
        let has = |name: &str| text.lines().any(|l| l.starts_with(name));
        assert!(has("weir ") && has("libc 0.2") && has("toml_parser 1") && has("Rust's"));
        for (name, feature) in [
            ("rusqlite ", "sink-sqlite"),
            ("SQLite", "sink-sqlite"),
            ("tokio-postgres ", "sink-postgres"),
            ("jiff ", "time-zone"),
            ("pcap ", "src-pcap"),
            ("libpcap", "rule-filter-static"),
        ] {
            assert_eq!(has(name), built(feature), "{name}");
        }
        assert!(!has("proptest") && !has("apache-avro"), "for tests alone");
        assert!(text.lines().all(|line| line.contains(": ")), "{text}");
    }

    #[test]
    fn the_bill_names_every_part_once() {
        let bill = bill();
        assert_eq!(
            bill.matches("\"type\":\"library\"").count(),
            list().lines().count() - 1
        );
        assert!(bill.contains("\"purl\":\"pkg:cargo/log@"), "{bill}");
        let open = bill.matches(['{', '[']).count();
        assert_eq!(open, bill.matches(['}', ']']).count());
    }
}
