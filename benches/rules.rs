//! What maps and networks files cost for each record, by how many rows they have.
//!
//! `cargo bench --bench rules` prints nanoseconds for each record, and time and bytes for reading.
//! For instructions, run the binary it names with the name of one row and a count under callgrind,
//! twice, and divide the difference: `valgrind --tool=callgrind BINARY tags-10000 100000`. The
//! records are made anew for each batch, which `none` does alone.

#[allow(dead_code, reason = "others use the rest of it")]
mod rounds;

use std::hint::black_box;
use std::sync::Arc;
use std::time::Instant;
use weir::base::addr::Ip;
use weir::base::intern::Interner;
use weir::base::lines::{Complaints, Rows};
use weir::base::part::Shared;
use weir::enrich::Enricher;
use weir::enrich::networks::{self, Located, Method, Networks, Settings};
use weir::record::{Batch, Field, FieldSet, TABLE};
use weir::rule::condition::Judge;
use weir::rule::tag::{Compiler, TagMap, Tagger};

fn everything() -> FieldSet {
    TABLE.iter().map(|info| info.field).collect()
}

/// A number for a number, scattered, the same in every run.
fn mix(n: u32) -> u32 {
    let n = (n ^ n >> 16).wrapping_mul(0x7feb_352d);
    let n = (n ^ n >> 15).wrapping_mul(0x846c_a68b);
    n ^ n >> 16
}

/// The exporter and interface of row `n` of a map.
fn place(n: u32) -> ([u8; 4], u32) {
    let [_, a, b, c] = (n / 8).to_be_bytes();
    ([10, a, b, c], n % 8)
}

/// A map by exporter and interface, a shorter one by prefix, and a row for all others.
fn map(rows: u32) -> TagMap {
    let symbols = Arc::new(Interner::new(1 << 20));
    let mut compiler = Compiler::new(Judge::new(everything(), "bench"), symbols);
    let mut complaints = Complaints::default();
    for n in 0..rows.saturating_sub(rows / 10 + 1) {
        let ([a, b, c, d], input) = place(n);
        let row = format!("set_tag={} ip={a}.{b}.{c}.{d} in={input}", n + 1);
        compiler.row(n, 1, &row, &mut complaints);
    }
    for n in 0..rows / 10 {
        let row = format!(
            "set_label=label-{} ip=172.16.{}.{}/30",
            n % 100,
            n / 64,
            n % 64 * 4
        );
        compiler.row(n, 1, &row, &mut complaints);
    }
    compiler.row(rows, 1, "set_tag=1 set_tos=0", &mut complaints);
    let map = compiler.finish(&mut complaints);
    assert!(complaints.is_empty(), "{complaints:?}");
    map
}

/// A networks file of `rows` prefixes, four of five of them IPv4.
fn prefixes(rows: u32) -> Networks {
    let (mut reader, mut complaints) = (networks::Reader::default(), Complaints::default());
    for n in 0..rows {
        let [a, b, c, d] = mix(n).to_be_bytes();
        let asn = mix(n) % 70_000;
        let row = match n % 5 {
            0 => format!("{asn},2001:{a:x}{b:02x}:{c:x}{d:02x}::/{}", 40 + n % 9),
            _ => format!("{asn},{a}.{b}.{c}.{d}/{}", 18 + n % 7),
        };
        reader.row(n, 1, &row, &mut complaints);
    }
    reader.finish(&mut complaints).0
}

/// Fills a batch with records that come from the places of a map of `rows` rows, in turn.
fn fill(batch: &mut Batch, rows: u32, round: u32) {
    for n in 0..Batch::SIZE as u32 {
        let number = mix(round.wrapping_mul(32).wrapping_add(n));
        let (exporter, input) = place(number % rows.max(1));
        let record = batch.slot();
        record.set_peer_src_ip(Ip::v4(exporter));
        record.set_in_iface(input);
        record.set_src_host(Ip::v4(number.to_be_bytes()));
        record.set_dst_host(Ip::v4(mix(number).to_be_bytes()));
        (record.packets, record.bytes) = (1, 100);
    }
}

/// Nanoseconds for each record, the best of some rounds; `work` gets each batch.
fn best(count: u32, rounds: usize, rows: u32, mut work: impl FnMut(&mut Batch)) -> f64 {
    let mut batch = Batch::new(everything());
    let mut best = f64::MAX;
    for _ in 0..rounds {
        let begin = Instant::now();
        for round in 0..count / Batch::SIZE as u32 {
            fill(&mut batch, rows, round);
            work(&mut batch);
            black_box(batch.records());
            batch.clear();
        }
        best = best.min(begin.elapsed().as_nanos() as f64 / f64::from(count));
    }
    best
}

fn tagging(rows: u32, count: u32, rounds: usize) -> f64 {
    let mut tagger = Tagger::new(Shared::of(map(rows)).expect("maps are built"), 0, 1);
    best(count, rounds, rows, |batch| tagger.enrich(batch))
}

fn locating(rows: u32, count: u32, rounds: usize) -> f64 {
    let settings = Settings {
        file: Shared::of(prefixes(rows)),
        net: Method::File,
        asn: Method::File,
        ..Settings::default()
    };
    let wanted = FieldSet::of(&[Field::SrcNet, Field::DstNet, Field::SrcAs, Field::DstAs]);
    let mut located = Located::new(settings, wanted);
    best(count, rounds, 1000, |batch| located.enrich(batch))
}

/// Runs the row of this name; nanoseconds.
fn row(name: &str, count: u32, rounds: usize) -> Option<f64> {
    let (kind, rows) = name.split_once('-').unwrap_or((name, "1"));
    let rows = rows.parse().ok()?;
    Some(match kind {
        "none" => best(count, rounds, rows, |_| {}),
        "tags" => tagging(rows, count, rounds),
        "networks" => locating(rows, count, rounds),
        _ => return None,
    })
}

fn main() {
    if rounds::asked(9_600, |name, rounds| row(name, 9_600, rounds)) {
        return;
    }
    for (name, what) in [
        ("none-10", "make a record that a map of 10 rows knows"),
        ("none-10000", "of 10 000 rows"),
        ("tags-10", "the same, and its tag from a map of 10 rows"),
        ("tags-100", "of 100"),
        ("tags-10000", "of 10 000"),
        ("tags-100000", "of 100 000"),
        (
            "networks-1000",
            "the same, and both of its networks, of 1000 prefixes",
        ),
        ("networks-1000000", "of a million"),
    ] {
        let time = row(name, 192_000, 9).unwrap_or(f64::NAN);
        println!("{name:16} {time:7.1} ns  {what}");
    }
    for rows in [10_000, 100_000] {
        let begin = Instant::now();
        let map = map(rows);
        let time = begin.elapsed().as_secs_f64() * 1e3;
        let each = map.size() as f64 / map.len() as f64;
        println!("read {rows:11} {time:7.1} ms  rows of a map, {each:.0} bytes each");
    }
    let begin = Instant::now();
    let networks = prefixes(1_000_000);
    let time = begin.elapsed().as_secs_f64() * 1e3;
    let each = networks.size() as f64 / networks.len() as f64;
    let count = networks.len();
    println!("read {count:11} {time:7.1} ms  prefixes, {each:.1} bytes each");
}
