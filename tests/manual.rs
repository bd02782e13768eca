//! The manual in `docs/` against the code: every setting, counter and metric is there, and no
//! setting is there that the code does not take. Not for whether the sentences are good.

use std::collections::{BTreeMap, BTreeSet};
use weir::base::ledger::Reason;
use weir::config::{native, setting};
use weir::{sink, source};

const CONFIG: &str = include_str!("../docs/CONFIG.md");
const LEDGER: &str = include_str!("../docs/LEDGER.md");
const MAPS: &str = include_str!("../docs/MAPS.md");

/// A name that no setting has, and that is near to none.
const NOBODY: &str = "qqqqqqqqqqqqqqqq";

/// The text under each heading of the settings.
fn parts() -> BTreeMap<&'static str, &'static str> {
    let parts = CONFIG.split("\n#").skip(1);
    parts
        .filter_map(|part| part.split_once('\n'))
        .map(|(heading, text)| (heading.trim_start_matches('#').trim(), text))
        .collect()
}

/// The settings that tables in the parts whose heading `is` it describe.
fn described(is: impl Fn(&str) -> bool) -> BTreeSet<&'static str> {
    let parts = parts();
    let texts = parts
        .iter()
        .filter(|(heading, _)| is(heading))
        .map(|p| *p.1);
    let rows = texts.flat_map(str::lines);
    rows.filter_map(|row| row.strip_prefix("| `")?.split_once("` |"))
        .map(|(name, _)| name)
        .collect()
}

/// The settings a section takes, by what it says to one that it does not take.
fn taken(text: &str) -> BTreeSet<String> {
    let outcome = native::parse(text);
    let mut problems = outcome.problems;
    problems.extend(setting::check(&outcome.config));
    let said = problems.iter().map(|p| p.message.as_str());
    let about = said.filter(|message| message.contains(NOBODY));
    let mut known = about.filter_map(|message| message.split_once("it knows "));
    let (_, known) = known
        .next_back()
        .unwrap_or_else(|| panic!("{text}: {problems:?}"));
    known.split(", ").map(String::from).collect()
}

#[track_caller]
fn same(what: &str, taken: &BTreeSet<String>, own: &BTreeSet<&str>, all: &BTreeSet<&str>) {
    for name in taken {
        assert!(
            all.contains(name.as_str()),
            "{what}: `{name}` is not in docs/CONFIG.md"
        );
    }
    for name in own {
        assert!(
            taken.contains(*name),
            "{what} takes no `{name}`, but docs/CONFIG.md has it"
        );
    }
}

#[test]
fn every_setting_is_in_the_manual_and_no_other() {
    for (what, text, heading) in [
        ("the top", format!("{NOBODY} = 1"), "Top of the file"),
        ("log", format!("[log]\n{NOBODY} = 1"), "`[log]`"),
        ("limits", format!("[limits]\n{NOBODY} = 1"), "`[limits]`"),
        (
            "a primitive",
            format!("[primitive.a]\n{NOBODY} = 1"),
            "`[primitive.NAME]`",
        ),
        (
            "an aggregation",
            format!("[aggregate.a]\n{NOBODY} = 1"),
            "`[aggregate.NAME]`",
        ),
    ] {
        let own = described(|h| h == heading);
        same(what, &taken(&text), &own, &own);
    }
}

#[test]
fn every_setting_of_every_kind_is_in_the_manual_and_no_other() {
    let sources = source::KINDS
        .iter()
        .map(|k| ("input", k.name, k.parse.is_some()));
    let sinks = sink::KINDS
        .iter()
        .map(|k| ("output", k.name, k.parse.is_some()));
    for (family, kind, _) in sources.chain(sinks).filter(|k| k.2) {
        let text = format!("[{family}.a]\nkind = \"{kind}\"\n{NOBODY} = 1");
        let mark = format!("kind = \"{kind}\"");
        // The same name may be a source and a sink; the feature behind it tells them apart.
        let feature = if family == "input" {
            "(`src-"
        } else {
            "(`sink-"
        };
        let own = described(|h| h.contains(&mark) && h.contains(feature));
        let shared = described(|h| {
            h == format!("`[{family}.NAME]`")
                || (family == "output"
                    && ["How values", "Text", "Messages", "Rows that wait"]
                        .iter()
                        .any(|of| h.starts_with(of)))
        });
        let all = own.union(&shared).copied().collect();
        same(&format!("{family} {kind}"), &taken(&text), &own, &all);
    }
}

#[test]
fn every_reason_is_in_the_manual_with_its_sentence() {
    for reason in Reason::ALL {
        let row = format!("| `{}` | {} |", reason.name(), reason.doc());
        assert!(LEDGER.contains(&row), "docs/LEDGER.md lacks {row}");
    }
}

#[test]
fn every_metric_is_in_the_manual() {
    let source = concat!(
        include_str!("../src/ctl/metric.rs"),
        include_str!("../src/ctl/spool.rs")
    );
    let names = source.split('"').filter(|text| {
        let plain = |c: char| c.is_ascii_lowercase() || c == '_';
        text.strip_prefix("weir_")
            .is_some_and(|rest| !rest.is_empty() && rest.chars().all(plain))
    });
    let mut seen = 0;
    for name in names {
        // A store is named once for its two gauges.
        let store = name.trim_end_matches("_used").trim_end_matches("_max");
        let there = [name, store]
            .iter()
            .any(|n| LEDGER.contains(&format!("`{n}")));
        assert!(there, "docs/LEDGER.md lacks `{name}`");
        seen += 1;
    }
    assert!(seen > 20, "the metrics are somewhere else now");
}

#[test]
fn every_map_and_every_key_of_it_is_in_the_manual() {
    for kind in weir::rule::map::KINDS {
        let names = [kind.name].into_iter().chain(kind.files.iter().copied());
        for name in names.chain(kind.keys.iter().map(|key| key.name)) {
            let there = MAPS.contains(&format!("`{name}`"));
            assert!(there, "docs/MAPS.md lacks `{name}` of {}", kind.name);
        }
    }
}
