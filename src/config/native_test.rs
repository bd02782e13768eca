//! Tests of the native configuration: what is right, and every way to be wrong.

use super::*;
use crate::base::time::{Nanos, SECOND};
use crate::base::zone::Zone;
use crate::record::Field;

const GOOD: &str = r#"
memory = "32 MiB"
timezone = "UTC"

[input.routers]
kind = "udp"
listen = "[::]:2055"
workers = 2

[aggregate.talkers]
by = ["src_host", "dst_host", "proto"]
every = "1m"
full = "fold"
to = ["files", "db"]

[aggregate.ports]
from = ["routers"]
by = ["dst_port", "tcpflags", "flows"]
every = "day"
time = "start"
renormalise = true
memory = "4 MiB"
to = "files"

[output.files]
kind = "file"
path = "talkers-%Y%m%d-%H%M.csv"

[output.db]
kind = "sqlite"
path = "weir.db"
queue = "2 MiB"

[log]
level = "warn"
to = "syslog"

[limits]
templates = 64
symbols = "1 MiB"
"#;

#[test]
fn a_good_file_is_read_in_the_order_of_the_file() {
    let outcome = parse(GOOD);
    assert_eq!((outcome.problems, outcome.warnings), (vec![], vec![]));
    let config = outcome.config;
    assert_eq!(config.memory, 32 << 20);
    let input = &config.inputs[0];
    assert_eq!(
        (input.name.as_str(), input.kind.as_str()),
        ("routers", "udp")
    );
    assert_eq!((input.workers, input.decode), (2, Decode::Auto));
    assert_eq!(input.place, Place { line: 5, column: 8 });
    assert!(input.options.has("listen"));
    let [talkers, ports] = config.aggregates.as_slice() else {
        panic!("{:?}", config.aggregates);
    };
    assert_eq!(talkers.by, [Field::SrcHost, Field::DstHost, Field::Proto]);
    assert_eq!(talkers.to, ["files", "db"]);
    assert_eq!(talkers.every, Some(crate::config::Every::Seconds(60)));
    assert_eq!(
        (talkers.full, talkers.time),
        (Full::Fold, RecordTime::Arrival)
    );
    assert!(talkers.from.is_empty() && !talkers.renormalise && talkers.memory.is_none());
    assert_eq!((ports.full, ports.time), (Full::Flush, RecordTime::Start));
    assert!(ports.flows && ports.renormalise && !ports.both_ends);
    assert_eq!(ports.every, Some(crate::config::Every::Day));
    assert_eq!(config.outputs[1].queue, 2 << 20);
    assert_eq!(config.outputs[0].queue, QUEUE);
    assert!(matches!(config.log.to, LogTo::Syslog { .. }) && config.log.level == LevelFilter::Warn);
    assert_eq!(
        (config.limits.templates, config.limits.symbols),
        (64, 1 << 20)
    );
    assert_eq!(config.limits.exporters, Limits::default().exporters);
}

/// The good file with one piece replaced, and what is said about it then.
fn with(from: &str, to: &str) -> Vec<String> {
    assert!(GOOD.contains(from), "{from}");
    let outcome = parse(&GOOD.replacen(from, to, 1));
    outcome
        .problems
        .iter()
        .map(|p| show("weir.toml", p))
        .collect()
}

#[test]
fn each_mistake_is_named_with_its_place_and_what_is_allowed() {
    for (from, to, want) in [
        (
            "\"src_host\"",
            "\"src_hots\"",
            "weir.toml:11:7: aggregate.talkers: no field `src_hots`; did you mean `src_host`?",
        ),
        (
            "\"32 MiB\"",
            "\"much\"",
            "weir.toml:2:10: `memory` is \"much\"; it takes a size",
        ),
        (
            "memory = \"32 MiB\"",
            "memroy = 1",
            "2:1: no setting `memroy`; did you mean `memory`?",
        ),
        ("\"UTC\"", "\"Mars/Olympus\"", "3:12: time zone"),
        (
            "[input.routers]",
            "[inptu.routers]",
            "no section [inptu]; did you mean [input]?",
        ),
        ("[input.routers]", "[input.\"a b\"]", "a name has letters"),
        (
            "kind = \"udp\"",
            "kind = 7",
            "6:8: `kind` is 7; it takes text in quotes",
        ),
        (
            "kind = \"udp\"\n",
            "",
            "5:8: `input.routers` needs `kind`, for example kind = \"udp\"",
        ),
        (
            "workers = 2",
            "workers = 0",
            "8:11: `workers` is 0; it takes a whole number from 1",
        ),
        (
            "workers = 2",
            "decode = \"packets\"",
            "what a UDP socket receives",
        ),
        (
            "workers = 2",
            "decode = \"netlfow\"",
            "did you mean \"netflow\"?",
        ),
        (
            "every = \"1m\"",
            "every = \"0s\"",
            "12:9: `every` is \"0s\"; it takes whole seconds",
        ),
        (
            "every = \"1m\"",
            "flush = \"1.5s\"",
            "12:9: `flush` is \"1.5s\"; it takes whole seconds",
        ),
        (
            "every = \"1m\"",
            "align = \"hour\"",
            "12:9: `align` goes with `every`",
        ),
        (
            "every = \"1m\"",
            "every = \"90s\"\nalign = \"minute\"",
            "13:9: `align` is neither longer than `every` nor a part of it",
        ),
        (
            "every = \"1m\"",
            "every = \"month\"\nalign = \"week\"",
            "13:9: `align` goes with a duration",
        ),
        (
            "every = \"1m\"",
            "offset = 5",
            "12:10: `offset` goes with `every`",
        ),
        (
            "every = \"1m\"",
            "flush_delay = 5",
            "12:15: `flush_delay` goes with `every` or `flush`",
        ),
        (
            "every = \"1m\"",
            "every = \"1m\"\nflush_delay = \"31d\"",
            "13:15: `flush_delay` takes whole seconds, less than 31 days",
        ),
        (
            "every = \"1m\"",
            "every = \"1m\"\noffset = \"1.5s\"",
            "13:10: `offset` takes whole seconds",
        ),
        (
            "every = \"1m\"",
            "prorate = true",
            "12:11: `prorate` splits flows over bins: it needs `every`",
        ),
        (
            "every = \"1m\"",
            "every = \"1m\"\nprorate = true\nstitch = true",
            "13:11: `prorate` splits flows, and `stitch` keeps their ends",
        ),
        (
            "workers = 2",
            "asa_biflow = 1",
            "8:14: `asa_biflow` is 1; it takes true or false",
        ),
        (
            "every = \"1m\"",
            "evrey = \"1m\"",
            "no setting `evrey`; did you mean `every`?",
        ),
        (
            "full = \"fold\"",
            "full = \"flod\"",
            "did you mean \"fold\"?",
        ),
        (
            "\"files\", \"db\"",
            "\"fiels\"",
            "14:7: aggregate.talkers: no output `fiels`; did you",
        ),
        (
            "to = [\"files\", \"db\"]\n",
            "",
            "10:12: `aggregate.talkers` has no output: write to",
        ),
        (
            "to = [\"files\", \"db\"]",
            "to = []",
            "14:6: `aggregate.talkers` has no output",
        ),
        (
            "from = [\"routers\"]",
            "from = [\"router\"]",
            "no input `router`; did you mean `routers`?",
        ),
        (
            "renormalise = true",
            "renormalise = \"yes\"",
            "it takes true or false",
        ),
        (
            "time = \"start\"",
            "time = 1979-05-27",
            "`time` is a date; it takes \"arrival\"",
        ),
        (
            "memory = \"4 MiB\"",
            "memory = { a = 1 }",
            "`memory` is a table; it takes a size",
        ),
        ("[aggregate.ports]", "[aggregate.talkers]", "duplicate key"),
        ("[output.db]", "[output.db", "not TOML"),
        (
            "queue = \"2 MiB\"",
            "queue = 5",
            "`queue` is 5 bytes; it takes 16.0 KiB or more",
        ),
        (
            "level = \"warn\"",
            "level = \"wran\"",
            "did you mean \"warn\"?",
        ),
        (
            "templates = 64",
            "templates = 99999999999999999999",
            "a number of more than 64 bits",
        ),
        (
            "templates = 64",
            "template = 64",
            "`limits` has no setting `template`; did you mean",
        ),
        (
            "timezone = \"UTC\"",
            "http = \"9090\"",
            "`http` is \"9090\"; it takes an address",
        ),
        (
            "timezone = \"UTC\"",
            "stop_within = \"2h\"",
            "an hour at most",
        ),
    ] {
        let said = with(from, to);
        assert!(
            said.iter().any(|s| s.contains(want)),
            "{from} -> {to}: {said:#?}"
        );
    }
}

#[test]
fn one_mistake_is_one_message() {
    for (from, to) in [
        ("\"src_host\"", "\"src_hots\""),
        ("kind = \"udp\"\n", ""),
        ("\"files\", \"db\"", "\"files\", \"bd\""),
        ("memory = \"4 MiB\"", "memory = { a = 1 }"),
        ("workers = 2", "workers = \"two\""),
        ("every = \"1m\"", "every = [1]"),
        ("[input.routers]", "[[input]]"),
    ] {
        let said = with(from, to);
        let said: Vec<_> = said.iter().filter(|s| !s.contains("no input")).collect();
        assert_eq!(said.len(), 1, "{from} -> {to}: {said:#?}");
    }
}

#[test]
fn empty_files_say_what_to_write() {
    let said: Vec<_> = parse("").problems.into_iter().map(|p| p.message).collect();
    assert_eq!(said.len(), 2);
    let log = &parse("log = 3").problems[2];
    assert_eq!(show("w", log), "w:1:1: `log` is a section: write [log]");
    assert!(said[0].contains("[input.routers]") && said[1].contains("[aggregate.talkers]"));
}

#[test]
fn what_nobody_uses_is_a_warning() {
    let text = GOOD
        .replacen("\"files\", \"db\"", "\"files\"", 1)
        .replacen("\"1m\"", "\"7m\"", 1);
    let outcome = parse(&text);
    assert_eq!(outcome.problems, []);
    let said: Vec<_> = outcome.warnings.iter().map(|p| show("w", p)).collect();
    assert!(said[0].starts_with("w:12:9: `every` is \"7m\", which does not divide a day"));
    assert!(said[1].starts_with("w:29:9: `output.db` is used by no aggregation"));
    assert_eq!(said.len(), 2);
}

#[test]
fn columns_count_characters() {
    let said = with("\"UTC\"\n", "\"UTC\"\ntemplates = \"é\" x = 1\n");
    assert!(said[0].starts_with("weir.toml:4:17:"), "{said:?}");
}

proptest::proptest! {
    #[test]
    fn no_text_upsets_the_reader(cut in 0usize..900, junk in ".{0,8}", at in 0usize..900) {
        let mut text: String = GOOD.chars().skip(cut % 50).collect();
        let at = text.char_indices().map(|(i, _)| i).nth(at).unwrap_or(0);
        text.insert_str(at, &junk);
        let cut = text.char_indices().map(|(i, _)| i).nth(cut).unwrap_or(text.len());
        parse(&text[..cut]);
        parse(&text);
    }
}

#[test]
fn rows_are_handed_out_later_than_their_bins_end() {
    let pace = |keys: &str| {
        let text = format!(
            "[input.a]\nkind = \"udp\"\nlisten = \"[::]:2055\"\n[aggregate.x]\n{keys}\nto = \"p\"\n\
             [output.p]\nkind = \"print\"\n"
        );
        let parsed = parse(&text);
        assert_eq!(parsed.problems, [], "{keys}");
        let pace = parsed.config.aggregates[0].pace(&Zone::named("UTC").unwrap());
        pace.map(|mut pace| pace.of(Nanos(1_000_020 * SECOND)))
            .map(|(from, to)| (from.seconds(), to.seconds()))
    };
    assert_eq!(pace("every = \"5m\""), None);
    let every = |keys: &str| pace(&format!("{keys}\nflush_delay = \"50s\""));
    assert_eq!(every("every = \"5m\""), Some((999_950, 1_000_250)));
    let offset = "every = \"5m\"\noffset = 10";
    assert_eq!(every(offset), Some((999_960, 1_000_260)));
    let flush = "every = \"5m\"\noffset = 10\nflush = \"1m\"";
    assert_eq!(every(flush), Some((1_000_010, 1_000_070)));
    assert_eq!(every("flush = \"5m\""), Some((999_950, 1_000_250)));
}
