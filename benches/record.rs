//! What the parts of the data path cost, and how the costs compare in one run.
//!
//! `cargo bench --bench record` prints nanoseconds, and bytes for each entry of the table. For
//! instructions, run the binary it names with the name of one row and a count under callgrind,
//! twice, and divide the difference: `valgrind --tool=callgrind BINARY sflow 100000`.

#[allow(dead_code)]
#[path = "load/traffic.rs"]
mod traffic;

mod rounds;

use rounds::TUPLE;
use std::hint::black_box;
use std::sync::Arc;
use std::time::Instant;
use traffic::{Format, Traffic, Writer};
use weir::agg::Table;
use weir::base::addr::Ip;
use weir::base::intern::{Interner, SymCache};
use weir::base::ledger::Intake;
use weir::base::time::Nanos;
use weir::decode::registry::{Decode, build};
use weir::decode::{Emit, Setup};
use weir::encode::{self, Encoder, Style};
use weir::record::schema::Options;
use weir::record::{Batch, FIELDS, FieldSet, FlowRecord, Schema};
use weir::source::{Frame, Link, Peer};

/// Bytes of the table in which entries are counted.
const MEMORY: usize = 128 << 20;

fn schema() -> Schema {
    Schema::new(
        "bench",
        &TUPLE,
        Options::default(),
        Arc::new(Interner::new(0)),
    )
}

/// `count` records of `flows` flows.
fn records(count: u64, flows: u32) -> Vec<FlowRecord> {
    let mut traffic = Traffic::new(flows);
    (0..count)
        .map(|_| {
            let flow = traffic.next();
            let mut record = FlowRecord::new();
            record.set_src_host(Ip::v4(flow.number.to_be_bytes()));
            record.set_dst_host(Ip::v4([198, 18, 0, 1]));
            record.set_dst_port(443);
            (record.packets, record.bytes) = (1, flow.bytes.into());
            record
        })
        .collect()
}

/// Nanoseconds for each of `count`, the best of some rounds.
fn best(count: u64, rounds: usize, mut run: impl FnMut()) -> f64 {
    let mut best = f64::MAX;
    for _ in 0..rounds {
        let begin = Instant::now();
        run();
        best = best.min(begin.elapsed().as_nanos() as f64 / count.max(1) as f64);
    }
    best
}

/// Packing the key of a record, and its hash.
fn key(count: u64, rounds: usize) -> f64 {
    let (schema, records) = (schema(), records(1024, 1024));
    let table = Table::new(&schema, 1 << 16, 0, 1);
    let mut key = [0u64; 5];
    best(count, rounds, || {
        for (_, record) in (0..count).zip(records.iter().cycle()) {
            schema.key.pack(black_box(record), &mut key);
            black_box(table.hash(&key));
        }
    })
}

/// Adding to a table with `flows` entries; bytes of memory in use for each.
fn table(flows: u32, count: u64, rounds: usize) -> (f64, f64) {
    let schema = schema();
    let records = records(count.max(flows.into()), flows);
    let mut table = Table::new(&schema, MEMORY, 0, 1);
    let mut key = [0u64; 5];
    let mut run = || {
        for record in &records {
            schema.key.pack(record, &mut key);
            let hash = table.hash(&key);
            black_box(table.add(hash, &key, record, &schema));
        }
    };
    run();
    let time = best(records.len() as u64, rounds, run);
    (time, table.used() as f64 / table.len() as f64)
}

/// Decoding export datagrams or frames into records with `wanted` fields; `again` times counts
/// each batch as further aggregations would.
fn decode(format: Format, wanted: FieldSet, again: usize, count: u64, rounds: usize) -> f64 {
    let (mut writer, mut inputs) = (Writer::new(format, 10_000), Vec::new());
    while writer.records < count {
        let mut bytes = Vec::new();
        writer.next(count - writer.records, &mut bytes);
        inputs.push(bytes);
    }
    let (link, decode, datagrams) = match format {
        Format::Packets => (Link::Ethernet, Decode::Packet, false),
        Format::Sflow => (Link::Datagram, Decode::Sflow, true),
        _ => (Link::Datagram, Decode::Netflow, true),
    };
    let Ok(mut decoder) = build(decode, datagrams, &Setup::new(wanted)) else {
        return f64::NAN;
    };
    let schema = schema();
    let mut tables: Vec<Table> = (0..again)
        .map(|n| Table::new(&schema, 4 << 20, 0, n as u64))
        .collect();
    let mut key = [0u64; 5];
    let mut rest = |batch: &mut Batch, _: &mut Intake| {
        for table in &mut tables {
            for record in batch.records() {
                schema.key.pack(record, &mut key);
                table.add(table.hash(&key), &key, record, &schema);
            }
        }
        black_box(batch.records());
        batch.clear();
    };
    let (mut batch, mut ledger) = (Batch::new(wanted), Intake::default());
    let (symbols, mut cache) = (Interner::new(4096), SymCache::default());
    let mut out = Emit::new(&mut batch, &mut rest, &mut ledger, &symbols, &mut cache);
    best(count, rounds, || {
        for (n, bytes) in inputs.iter().enumerate() {
            let frame = Frame {
                bytes: black_box(bytes),
                wire_len: if format == Format::Packets {
                    1514
                } else {
                    bytes.len() as u32
                },
                link,
                time: Nanos(n as u64 + 1),
                from: Peer::NONE,
            };
            out.time = frame.time;
            if let Err(error) = black_box(decoder.decode(&frame, &mut out)) {
                panic!("{error:?}");
            }
        }
    })
}

/// Writing rows in a format.
fn write(format: encode::Format, count: u64, rounds: usize) -> f64 {
    let schema = Arc::new(schema());
    let mut table = Table::new(&schema, MEMORY, 0, 1);
    let mut key = [0u64; 5];
    for record in records(1000, 1000) {
        schema.key.pack(&record, &mut key);
        table.add(table.hash(&key), &key, &record, &schema);
    }
    let words: Vec<u64> = table.rows().flatten().copied().collect();
    let mut encoder = Encoder::new(format, schema, &Style::default());
    let mut out = Vec::new();
    best(count, rounds, || {
        for _ in 0..count.div_ceil(1000) {
            out.clear();
            encoder.rows(&words, Nanos(0), &mut out);
            encoder.settle(&mut out);
            black_box(&out);
        }
    })
}

/// The five-tuple and 35 fields more, of those that IPFIX and NetFlow give.
fn forty() -> FieldSet {
    let given = weir::decode::registry::gives(Decode::Netflow, true);
    let given = FIELDS
        .iter()
        .map(|i| i.field)
        .filter(|f| given.has(*f) && !TUPLE.contains(f));
    TUPLE.into_iter().chain(given.take(35)).collect()
}

/// Runs the row of this name; nanoseconds.
fn row(name: &str, count: u64, rounds: usize) -> Option<f64> {
    let tuple = FieldSet::of(&TUPLE);
    let format = |name| match name {
        "packets" => Some(Format::Packets),
        "v5" => Some(Format::V5),
        "v9" => Some(Format::V9),
        "ipfix" => Some(Format::Ipfix),
        "sflow" => Some(Format::Sflow),
        _ => None,
    };
    Some(match name {
        "key" => key(count, rounds),
        "csv" => write(encode::Format::Csv, count, rounds),
        "json" => write(encode::Format::Json, count, rounds),
        "avro" => write(encode::Format::Avro, count, rounds),
        "ipfix-40" => decode(Format::Ipfix, forty(), 0, count, rounds),
        "ipfix-one" => decode(Format::Ipfix, tuple, 1, count, rounds),
        "ipfix-two" => decode(Format::Ipfix, tuple, 2, count, rounds),
        other => decode(format(other)?, tuple, 0, count, rounds),
    })
}

const ROWS: [(&str, &str); 12] = [
    ("key", "pack and hash the key of a five-tuple"),
    ("packets", "decode a packet"),
    ("v5", "decode a record of NetFlow v5"),
    ("v9", "decode a record of NetFlow v9"),
    ("ipfix", "decode a record of IPFIX"),
    ("ipfix-40", "the same with 40 fields wanted"),
    ("sflow", "decode a sample of sFlow"),
    ("ipfix-one", "decode a record of IPFIX and count it"),
    (
        "ipfix-two",
        "decode a record of IPFIX and count it in two aggregations",
    ),
    ("csv", "write a row as CSV"),
    ("json", "write a row as JSON"),
    ("avro", "write a row as Avro, as JSON without `enc-avro`"),
];

fn main() {
    if rounds::asked(10_000, |name, rounds| row(name, 10_000, rounds)) {
        return;
    }
    for (name, what) in ROWS {
        let time = row(name, 200_000, 9).unwrap_or(f64::NAN);
        println!("{name:10} {time:6.1} ns  {what}");
    }
    for (name, flows) in [("10 k", 10_000), ("100 k", 100_000), ("1 M", 1_000_000)] {
        let (time, bytes) = table(flows, 1_000_000, 3);
        println!(
            "table      {time:6.1} ns  add to {name} entries of {bytes:.0} bytes each, index included"
        );
    }
}
