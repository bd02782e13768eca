//! `weir read`: savefiles in, rows out, once.

use super::arg::{Args, Command, Flag, Operands, Take};
use super::out;
use crate::base::error::Exit;

/// The table of `weir read`.
pub static COMMAND: Command = Command {
    name: "read",
    doc: "Sum up savefiles: who talked to whom",
    about: "Reads savefiles (pcap or pcapng, also compressed with gzip), sums their packets or \
            the flow records in them by the fields you name, and prints the rows. The last line \
            on standard error is the ledger: what was seen, counted and dropped, and why.\n\n\
            With --decode netflow or sflow the UDP payloads in the capture are taken as export \
            datagrams; NetFlow v5, v9 and IPFIX are told apart by their version.",
    operands: Operands {
        name: "FILE",
        least: 1,
        most: usize::MAX,
        take: Take::Path,
        doc: "a savefile; - is standard input",
    },
    flags: &[
        Flag::new("by", Take::Fields, "LIST", "Fields to sum by, with commas; `weir fields` lists them.")
            .short('b')
            .default("src_host,dst_host"),
        Flag::new("decode", Take::Choice(&["auto", "packets|packet", "netflow", "sflow"]), "WHAT", "What the savefile holds.")
            .short('d')
            .default("auto"),
        Flag::new("filter", Take::Text, "EXPR", "Count only what passes this pcap filter expression.")
            .short('f'),
        Flag::new("bin", Take::Text, "TIME", "Sum by time bins of this length: 10s, 5m, 1h, day, week, month.")
            .alias("every"),
        Flag::new("sort", Take::Text, "COLUMN", "Sort by this column, largest first; bytes where --top is given."),
        Flag::new("top", Take::Number, "N", "Print the first N rows only, then one for the others and the total.")
            .short('n'),
        Flag::new("format", Take::Choice(&["table", "csv", "json", "formatted"]), "FORMAT", "How rows are written.")
            .default("table"),
        Flag::new("output", Take::Path, "FILE", "Write rows to this file instead of standard output.")
            .short('o'),
        Flag::new("memory", Take::Size, "SIZE", "Memory for tables and decoders together.")
            .short('m')
            .default("64MiB"),
        Flag::new("full", Take::Choice(&["flush", "fold", "evict"]), "POLICY", "What to do when the table is full: deliver early, fold new keys into one row, or deliver the smallest.")
            .default("flush"),
        Flag::new("timezone", Take::Text, "ZONE", "Zone of calendar bins and printed times: local, UTC, or a name of the zone database.")
            .default("local"),
        Flag::new("ledger", Take::Choice(&["text", "json"]), "FORMAT", "How the ledger is written.")
            .default("text"),
        Flag::switch("quiet", "No progress, and no ledger unless something was lost.").short('q'),
    ],
    examples: &[
        ("weir read trace.pcap", "who talked to whom"),
        (
            "weir read --by proto,dst_port --top 10 trace.pcapng.gz",
            "the ten busiest services",
        ),
        (
            "weir read --decode netflow --format csv --output flows.csv exports.pcap",
            "the flow records in a capture of NetFlow or IPFIX, as CSV",
        ),
    ],
    run,
};

fn run(_args: Args) -> Exit {
    out::fail("this build can not read yet")
}
