//! What decoding one captured frame costs, from its bytes to its record.
//!
//! `cargo bench --bench packet` prints nanoseconds. For instructions, run the binary it names
//! with a kind and a count under callgrind, twice, and divide the difference:
//! `valgrind --tool=callgrind BINARY tcp4 100000`.

use std::hint::black_box;
use std::time::Instant;
use weir::base::intern::{Interner, SymCache};
use weir::base::ledger::Intake;
use weir::base::time::Nanos;
use weir::decode::packet::PacketDecoder;
use weir::decode::{Decoder, Emit, Setup};
use weir::record::{Batch, FIELDS, Field, FieldSet};
use weir::source::{Frame, Link, Peer};

const KINDS: [&str; 6] = ["tcp4", "udp4", "tcp6", "vlan", "mpls", "vxlan"];

/// IPv4 from host `n`.
fn v4(proto: u8, n: u8, body: &[u8]) -> Vec<u8> {
    let [l, m] = ((20 + body.len()) as u16).to_be_bytes();
    let head = [
        0x45, 0, l, m, 0, 7, 0x40, 0, 64, proto, 0, 0, 192, 0, 2, n, 198, 51, 100, 2,
    ];
    [&head[..], body].concat()
}

fn frame(kind: &str, n: u8) -> Vec<u8> {
    let tcp = [
        0x30, n, 1, 0xbb, 0, 0, 0, 1, 0, 0, 0, 2, 0x50, 0x12, 1, 0, 0, 0, 0, 0,
    ];
    let macs = [2, 0, 0, 0, 0, 0xd, 2, 0, 0, 0, 0, n];
    let plain = || [&macs[..], &[8, 0], &v4(6, n, &tcp)].concat();
    match kind {
        "tcp4" => plain(),
        "udp4" => [&macs[..], &[8, 0], &v4(17, n, &tcp)].concat(),
        "tcp6" => {
            let mut f = [&macs[..], &[0x86, 0xdd, 0x60, 0, 0, 0, 0, 20, 6, 64]].concat();
            f.extend([0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, n]);
            f.extend([0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 1]);
            f.extend(tcp);
            f
        }
        "vlan" => [&macs[..], &[0x81, 0, 0, n, 8, 0], &v4(6, n, &tcp)].concat(),
        "mpls" => [&macs[..], &[0x88, 0x47, 0, 6, 0x41, 64], &v4(6, n, &tcp)].concat(),
        _ => {
            let head = [0xc0, 0, 0x12, 0xb5, 0, 0, 0, 0, 8, 0, 0, 0, 0, 0, n, 0];
            [
                &macs[..],
                &[8, 0],
                &v4(17, n, &[&head[..], &plain()].concat()),
            ]
            .concat()
        }
    }
}

/// Decodes `count` frames of a kind. Returns nanoseconds per frame.
fn run(kind: &str, count: u64, wanted: FieldSet) -> f64 {
    let frames: Vec<Vec<u8>> = (0..64).map(|n| frame(kind, n)).collect();
    let mut decoder = PacketDecoder::new(&Setup::new(wanted));
    let (mut batch, mut ledger) = (Batch::new(wanted), Intake::default());
    let (symbols, mut cache) = (Interner::new(4096), SymCache::default());
    let mut rest = |b: &mut Batch, _: &mut Intake| {
        black_box(b.records());
        b.clear();
    };
    let mut out = Emit::new(&mut batch, &mut rest, &mut ledger, &symbols, &mut cache);
    let begin = Instant::now();
    for (n, bytes) in (0..count).zip(frames.iter().cycle()) {
        let frame = Frame {
            bytes: black_box(bytes),
            wire_len: bytes.len() as u32,
            link: Link::Ethernet,
            time: Nanos(n),
            from: Peer::NONE,
        };
        out.time = frame.time;
        let _ = black_box(decoder.decode(&frame, &mut out));
    }
    begin.elapsed().as_nanos() as f64 / count.max(1) as f64
}

fn main() {
    let tuple = [
        Field::SrcHost,
        Field::DstHost,
        Field::SrcPort,
        Field::DstPort,
        Field::Proto,
    ];
    let tuple = FieldSet::of(&tuple);
    let everything: FieldSet = FIELDS.iter().map(|i| i.field).collect();
    let args: Vec<String> = std::env::args()
        .skip(1)
        .filter(|a| !a.starts_with("--"))
        .collect();
    if let [kind, count, rest @ ..] = &args[..] {
        let wanted = if rest.is_empty() { tuple } else { everything };
        run(kind, count.parse().unwrap_or(100_000), wanted);
        return;
    }
    for kind in KINDS {
        let best = |wanted| {
            (0..5)
                .map(|_| run(kind, 1_000_000, wanted))
                .fold(f64::MAX, f64::min)
        };
        println!(
            "{kind}: 5-tuple {:.1} ns, all fields {:.1} ns",
            best(tuple),
            best(everything)
        );
    }
}
