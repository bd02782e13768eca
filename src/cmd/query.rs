//! `weir query`: rows of a live table.

use super::arg::{Args, Command, Flag, Operands, Take};
use super::{out, socket};
use crate::base::error::Exit;
use crate::ctl::frame::Request;
use crate::sink::live::Sort;

/// The table of `weir query`.
pub static COMMAND: Command = Command {
    name: "query",
    doc: "Ask a running weir for the rows of a live table",
    about: "Prints rows of an output of kind `memory` of a running weir, largest first. What is \
            still in the table of an aggregation that leads there is handed out first, so the \
            rows are up to date.\n\n\
            Conditions compare a field with a value; `=` is equal, `!=` is not. Addresses take \
            prefixes. Fields go by their names in configurations or in JSON.",
    operands: Operands {
        name: "OUTPUT",
        least: 0,
        most: 1,
        take: Take::Text,
        doc: "name of the output of kind memory; not needed where there is one only",
    },
    flags: &[
        socket::SOCKET,
        socket::CONFIG,
        Flag::new(
            "match",
            Take::List,
            "CONDITIONS",
            "Only rows for which all of these hold, like src_host=10.0.0.0/8,proto!=udp.",
        )
        .short('m'),
        Flag::new(
            "by",
            Take::Fields,
            "LIST",
            "Sum the rows by these fields only.",
        )
        .short('b'),
        Flag::new(
            "sort",
            Take::Choice(&Sort::WORDS),
            "COLUMN",
            "What comes first.",
        )
        .default("bytes"),
        Flag::new("top", Take::Number, "N", "The first N rows only.").short('n'),
        Flag::switch(
            "totals",
            "What the rows hold together, and since when, in place of the rows.",
        )
        .alias("total")
        .short('t'),
        Flag::switch("age", "When each row was first and last added to.").short('a'),
        Flag::switch(
            "reset",
            "Take the rows that match out of the table; they are printed one last time.",
        ),
        Flag::new(
            "format",
            Take::Choice(&["table", "csv", "json"]),
            "FORMAT",
            "How rows are written.",
        )
        .default("table"),
    ],
    examples: &[
        ("weir query --top 10", "the ten largest rows"),
        (
            "weir query live --by src_host --match dst_port=443 --format json",
            "who talks to port 443, and how much",
        ),
        (
            "weir query --totals --reset",
            "what there was since the last time",
        ),
    ],
    run,
};

fn run(args: Args) -> Exit {
    let mut request = Request::new("query");
    let mut add = |name: &str, value: &str| request = request.clone().with(name, value);
    if let Some(output) = args.operand() {
        add("output", output);
    }
    for condition in args.list("match") {
        add("match", &condition);
    }
    let by = args.list("by").join(",");
    if !by.is_empty() {
        add("by", &by);
    }
    for name in ["sort", "top", "format"] {
        if let Some(value) = args.text(name) {
            add(name, value);
        }
    }
    for (flag, name) in [("totals", "total"), ("age", "age"), ("reset", "reset")] {
        if args.flag(flag) {
            add(name, "");
        }
    }
    let mut empty = false;
    let exit = socket::print(&args, &request, &mut |answer| empty = answer.is_empty());
    if exit == Exit::Fine && empty && args.text("format") != Some("json") {
        let narrowed = !args.list("match").is_empty();
        out::say(if narrowed {
            "weir: no rows, or none that match: rows come at the end of each bin\n"
        } else {
            "weir: no rows yet: rows come at the end of each bin\n"
        });
    }
    exit
}
