//! Damaged input: real captures cut, flipped, spliced and with lengths tampered, through every
//! decoder and through the program itself. Nothing may panic, nothing may grow, and the ledger
//! must balance. What is done to the bytes comes from a seeded generator, so a failure repeats;
//! `MUTATIONS=100000 cargo test --test mutate` does more than the usual.
#![cfg(all(
    feature = "src-savefile",
    feature = "dec-netflow",
    feature = "dec-sflow"
))]

mod rig;

use rig::{Rig, Want};
use std::io::Cursor;
use std::net::{IpAddr, Ipv4Addr};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use weir::agg::full::Full;
use weir::base::ledger::{Intake, Reason};
use weir::base::time::Nanos;
use weir::decode::Decode;
use weir::decode::datagram::Unwrap;
use weir::record::Field;
use weir::source::savefile::SavefileSource;
use weir::source::{Frame, Link, Peer, Progress, Source};

/// Numbers that repeat (xorshift).
struct Rng(u64);

impl Rng {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    /// A number below `n`; zero where there is none.
    fn below(&mut self, n: usize) -> usize {
        (self.next() % n.max(1) as u64) as usize
    }
}

/// Rounds of a test: its own number, or what the environment says.
fn rounds(usual: usize) -> usize {
    std::env::var("MUTATIONS")
        .ok()
        .and_then(|n| n.parse().ok())
        .unwrap_or(usual)
}

/// Does one thing to the bytes; `other` is what a splice takes from.
fn damage(rng: &mut Rng, bytes: &mut Vec<u8>, other: &[u8]) {
    let len = bytes.len();
    let at = rng.below(len);
    match rng.below(8) {
        0 => bytes.truncate(at),
        1 | 2 if len > 0 => bytes[at] ^= 1 << rng.below(8),
        3 if len > 0 => bytes[at] = [0, 1, 0x7f, 0x80, 0xff][rng.below(5)],
        // What looks like a length, a count or a type, in both widths.
        4 | 5 if len >= 4 => {
            let at = at.min(len - 4) & !1;
            let near = [
                0,
                1,
                2,
                3,
                4,
                len as u32,
                len as u32 + 1,
                0xfffe,
                0xffff,
                0x7fff_ffff,
            ];
            let value = near[rng.below(near.len())];
            if rng.below(2) == 0 {
                bytes[at..at + 2].copy_from_slice(&(value as u16).to_be_bytes());
            } else {
                bytes[at..at + 4].copy_from_slice(&value.to_be_bytes());
            }
        }
        6 => {
            bytes.truncate(at);
            bytes.extend_from_slice(&other[rng.below(other.len()).min(other.len())..]);
        }
        _ => {
            let end = (at + 1 + rng.below(64)).min(len);
            let part = bytes[at.min(end)..end].to_vec();
            let to = rng.below(len);
            bytes.splice(to..to, part);
        }
    }
}

/// One to four things.
fn damaged(rng: &mut Rng, bytes: &[u8], other: &[u8]) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    for _ in 0..=rng.below(4) {
        damage(rng, &mut bytes, other);
    }
    bytes
}

fn data(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/data")
        .join(name)
}

/// The frames of a capture.
fn frames(name: &str) -> Vec<Vec<u8>> {
    let mut source = SavefileSource::open(data(name)).unwrap();
    let mut frames = Vec::new();
    while source.read(&mut |f| frames.push(f.bytes.to_vec())).unwrap() != Progress::End {}
    frames
}

/// The datagrams in the frames of a capture.
fn datagrams(name: &str) -> Vec<Vec<u8>> {
    let mut unwrap = Unwrap::default();
    let mut ledger = Intake::default();
    let frames = frames(name);
    let payload = |f: &Vec<u8>| {
        let found = unwrap.unwrap(&frame(f, Link::Ethernet, 0), &mut ledger)?;
        Some(found.bytes.to_vec())
    };
    let found: Vec<_> = frames.iter().filter_map(payload).collect();
    assert!(!found.is_empty(), "{name}");
    found
}

/// A frame of these bytes, or a datagram from one of a few exporters.
fn frame(bytes: &[u8], link: Link, from: usize) -> Frame<'_> {
    let ip = IpAddr::V4(Ipv4Addr::new(192, 0, 2, from as u8));
    Frame {
        bytes,
        wire_len: bytes.len() as u32,
        link,
        time: Nanos(1_700_000_000_000_000_000 + from as u64 * 1_000_000_000),
        from: Peer {
            ip,
            port: 2055,
            iface: 0,
        },
    }
}

/// Aggregations that between them want everything, at sizes that fill up.
fn wants() -> Vec<Want> {
    let small = |full| Want {
        memory: 16 << 10,
        full,
        every: Some(60),
        ..Want::everything()
    };
    let both_ends = true;
    vec![
        Want {
            both_ends,
            ..Want::by(&[Field::SrcHost])
        },
        small(Full::Flush),
        small(Full::Fold),
        small(Full::Evict),
    ]
}

/// Whole sequences of damaged datagrams, all exporters through one decoder.
fn datagrams_survive(decode: Decode, captures: &[&str], usual: usize) {
    let all: Vec<Vec<u8>> = captures.iter().flat_map(|name| datagrams(name)).collect();
    let mut rng = Rng(0x5eed_0001 + usual as u64);
    for round in 0..rounds(usual) {
        let mut rig = Rig::new(decode, true, &wants());
        let count = 1 + rng.below(24);
        let batch: Vec<_> = (0..count)
            .map(|_| {
                let (one, other) = (&all[rng.below(all.len())], &all[rng.below(all.len())]);
                let whole = rng.below(3) == 0;
                let bytes = if whole {
                    one.clone()
                } else {
                    damaged(&mut rng, one, other)
                };
                (bytes, rng.below(12))
            })
            .collect();
        rig.feed(
            batch
                .iter()
                .map(|(bytes, from)| frame(bytes, Link::Datagram, *from)),
        );
        rig.finish();
        assert_eq!(rig.ledger.frames, count as u64, "round {round}");
        let saved = rig.saved();
        if let Some(saved) = saved {
            let mut next = Rig::new(decode, true, &wants());
            next.load(&saved).expect("what was saved can be loaded");
            // Damaged, it is refused or taken, and nothing else.
            let _ = next.load(&damaged(&mut rng, &saved, &saved));
            next.finish();
        }
    }
}

#[test]
fn netflow_survives() {
    let captures = [
        "softflowd-v5.pcap",
        "softflowd-v9.pcap",
        "softflowd-ipfix.pcap",
        "ovs-ipfix.pcap",
    ];
    datagrams_survive(Decode::Netflow, &captures, 300);
}

#[test]
fn sflow_survives() {
    datagrams_survive(Decode::Sflow, &["ovs-sflow.pcap"], 300);
}

#[test]
fn packets_survive() {
    const LINKS: [Link; 8] = [
        Link::Ethernet,
        Link::Raw,
        Link::Null,
        Link::Loop,
        Link::Ppp,
        Link::PppEther,
        Link::LinuxSll,
        Link::LinuxSll2,
    ];
    let all = frames("office.pcap");
    let mut rng = Rng(0x5eed_0002);
    for _ in 0..rounds(100) {
        let mut rig = Rig::new(Decode::Packet, false, &wants());
        let batch: Vec<_> = (0..1 + rng.below(200))
            .map(|_| {
                let (one, other) = (&all[rng.below(all.len())], &all[rng.below(all.len())]);
                // Mostly as captured; else the same bytes under another name.
                let link = LINKS[rng.below(16).saturating_sub(8)];
                let skip = if link == Link::Raw { 14 } else { 0 };
                (damaged(&mut rng, &one[skip.min(one.len())..], other), link)
            })
            .collect();
        rig.feed(batch.iter().map(|(bytes, link)| frame(bytes, *link, 0)));
        rig.finish();
        let (page, _) = rig.result();
        assert!(page.decoded.records <= page.frames);
    }
}

/// Frames of a damaged file through a decoder; what the source refuses ends it.
fn read_all(file: Vec<u8>, rig: &mut Rig) {
    let Ok(mut source) = SavefileSource::from_reader(Cursor::new(file)) else {
        return;
    };
    let mut reads = 0;
    loop {
        let more = source.read(&mut |frame| rig.feed(std::iter::once(*frame)));
        reads += 1;
        assert!(reads < 100_000, "a savefile without end");
        if !matches!(more, Ok(Progress::More)) {
            break;
        }
    }
}

/// Blocks of pcapng in either byte order.
struct Blocks {
    big: bool,
    bytes: Vec<u8>,
}

impl Blocks {
    fn number(&self, n: u32) -> [u8; 4] {
        if self.big {
            n.to_be_bytes()
        } else {
            n.to_le_bytes()
        }
    }

    /// One block of these words and, behind them, bytes.
    fn block(&mut self, kind: u32, words: &[u32], rest: &[u8]) {
        let mut body: Vec<u8> = words.iter().flat_map(|n| self.number(*n)).collect();
        body.extend_from_slice(rest);
        body.resize(body.len().next_multiple_of(4), 0);
        let length = self.number(body.len() as u32 + 12);
        for part in [&self.number(kind)[..], &length, &body, &length] {
            self.bytes.extend_from_slice(part);
        }
    }
}

/// The frames as pcapng with all that the format has: two sections, one of each byte order, two
/// interfaces with clocks of their own, every kind of packet block, statistics, and a block that
/// nobody knows.
fn pcapng(frames: &[Vec<u8>]) -> Vec<u8> {
    let mut all = Vec::new();
    for (big, part) in [false, true]
        .into_iter()
        .zip(frames.chunks(frames.len().div_ceil(2)))
    {
        let mut blocks = Blocks {
            big,
            bytes: Vec::new(),
        };
        let (version, half): (u32, fn(u32) -> u32) = if big {
            (1 << 16, |n| n << 16)
        } else {
            (1, |n| n)
        };
        let whole = [0x1a2b_3c4d, version, u32::MAX, u32::MAX];
        blocks.block(0x0a0d_0d0a, &whole, &[]);
        // Ethernet with a snap length and binary fractions of a second, and without either.
        let clock = if big {
            [0, 9, 0, 1, 0x94, 0, 0, 0]
        } else {
            [9, 0, 1, 0, 0x94, 0, 0, 0]
        };
        blocks.block(1, &[half(1), 65_535], &clock);
        blocks.block(1, &[half(1), 0], &[]);
        for (n, frame) in (0u32..).zip(part) {
            let length = frame.len() as u32;
            match n % 4 {
                0 => blocks.block(3, &[length], frame),
                1 => blocks.block(2, &[half(1), 7, n, length, length], frame),
                _ => blocks.block(6, &[n % 2, 7, n, length, length], frame),
            }
            if n % 16 == 0 {
                blocks.block(0x0bad_0bad, &[n], b"nobody knows");
                blocks.block(5, &[1, 7, n], &[]);
            }
        }
        all.extend(blocks.bytes);
    }
    all
}

/// Undamaged, it gives what the plain file gives.
#[test]
fn a_file_of_every_block_is_read() {
    let all = frames("office.pcap");
    let run = |file: Vec<u8>| {
        let mut rig = Rig::new(Decode::Packet, false, &[Want::by(&[Field::SrcHost])]);
        read_all(file, &mut rig);
        rig.finish();
        rig.result().0
    };
    let plain = run(std::fs::read(data("office.pcap")).unwrap());
    let blocks = run(pcapng(&all));
    assert_eq!(
        (blocks.frames, blocks.decoded),
        (plain.frames, plain.decoded)
    );
}

#[test]
fn savefiles_survive() {
    let names = [
        "softflowd-v9.pcap",
        "ovs-sflow.pcap",
        "ovs-ipfix.pcap",
        "office.pcap",
    ];
    let mut files: Vec<Vec<u8>> = names
        .iter()
        .map(|name| std::fs::read(data(name)).unwrap())
        .collect();
    files.push(pcapng(&frames("office.pcap")));
    files.push(pcapng(&frames("ovs-ipfix.pcap")));
    let mut rng = Rng(0x5eed_0003);
    for round in 0..rounds(60) {
        let (one, other) = (
            &files[rng.below(files.len())],
            &files[rng.below(files.len())],
        );
        let end = one.len().min(20_000);
        let file = damaged(&mut rng, &one[..end], &other[..other.len().min(4000)]);
        let decode = [Decode::Packet, Decode::Netflow, Decode::Sflow][round % 3];
        let mut rig = Rig::new(decode, false, &wants());
        read_all(file, &mut rig);
        rig.finish();
    }
}

#[test]
fn a_savefile_may_end_anywhere() {
    let whole = std::fs::read(data("softflowd-v5.pcap")).unwrap();
    let mut records = 0;
    for end in 0..=whole.len() {
        let mut rig = Rig::new(Decode::Netflow, false, &[Want::by(&[Field::SrcHost])]);
        read_all(whole[..end].to_vec(), &mut rig);
        rig.finish();
        assert!(
            rig.ledger.decoded.records >= records,
            "more of the file, fewer records"
        );
        records = rig.ledger.decoded.records;
    }
    assert_eq!(records, 69);
}

/// Frames that come before the damage are good.
#[cfg(feature = "src-gzip")]
#[test]
fn a_damaged_gzip_file_gives_what_came_before() {
    let whole = std::fs::read(data("office.pcapng.gz")).unwrap();
    let frames = |at: usize| {
        let mut file = whole.clone();
        file[at..at + 8].fill(0xff);
        let mut rig = Rig::new(Decode::Packet, false, &[Want::by(&[Field::SrcHost])]);
        read_all(file, &mut rig);
        rig.finish();
        rig.ledger.frames
    };
    let counts = [1000, 20_000, 40_000, 70_000].map(frames);
    // zlib unpacks 2058, 152513, 299558 and 571653 bytes before it; a frame is 149 on average.
    assert!(
        counts[1] > 900 && counts[2] > 1900 && counts[3] > 3700,
        "{counts:?}"
    );
    assert!(counts.is_sorted(), "{counts:?}");
}

/// What one exporter sends broken does not reach what another sends.
#[test]
fn good_exporters_are_unharmed_by_bad_ones() {
    let good: Vec<Vec<u8>> = [
        "softflowd-v9.pcap",
        "softflowd-ipfix.pcap",
        "softflowd-v5.pcap",
    ]
    .iter()
    .flat_map(|name| datagrams(name))
    .collect();
    let run = |parts: &[(&Vec<u8>, usize)]| {
        let mut rig = Rig::new(Decode::Netflow, true, &[Want::by(&[Field::SrcHost])]);
        rig.feed(
            parts
                .iter()
                .map(|(bytes, from)| frame(bytes, Link::Datagram, *from)),
        );
        rig.finish();
        rig.result().0
    };
    let of_good: Vec<_> = good.iter().map(|bytes| (bytes, 1)).collect();
    let alone = run(&of_good);
    // Two of them have one more, of what the exporter says of itself.
    assert_eq!(alone.decoded.records, 138 + 138 + 69);
    let mut rng = Rng(0x5eed_0004);
    for _ in 0..rounds(60) {
        let bad: Vec<Vec<u8>> = good
            .iter()
            .map(|one| damaged(&mut rng, one, &good[0]))
            .collect();
        let of_bad: Vec<_> = bad.iter().map(|bytes| (bytes, 2)).collect();
        let mixed: Vec<_> = of_good
            .iter()
            .zip(&of_bad)
            .flat_map(|(g, b)| [*b, *g, *b])
            .collect();
        let twice: Vec<_> = of_bad.iter().flat_map(|b| [*b, *b]).collect();
        let (mixed, bad) = (run(&mixed), run(&twice));
        assert_eq!(mixed.decoded, alone.decoded + bad.decoded);
        let units = |page: &Intake, why| page.dropped(why).units;
        for why in [
            Reason::NoTemplate,
            Reason::Length,
            Reason::Truncated,
            Reason::Version,
        ] {
            assert_eq!(
                units(&mixed, why),
                units(&alone, why) + units(&bad, why),
                "{}",
                why.name()
            );
        }
    }
}

/// A damaged frame or datagram without a template in it changes what it says itself, and nothing
/// that others say.
#[test]
fn what_is_around_the_damage_is_unharmed() {
    let mut rng = Rng(0x5eed_0006);
    let sets = [
        (Decode::Packet, Link::Ethernet, frames("office.pcap")),
        (Decode::Sflow, Link::Datagram, datagrams("ovs-sflow.pcap")),
        (
            Decode::Netflow,
            Link::Datagram,
            datagrams("softflowd-v5.pcap"),
        ),
    ];
    for (decode, link, all) in sets {
        let run = |parts: &[&[u8]]| {
            let datagrams = link == Link::Datagram;
            let mut rig = Rig::new(decode, datagrams, &[Want::by(&[Field::SrcHost])]);
            rig.feed(parts.iter().map(|bytes| frame(bytes, link, 1)));
            rig.finish();
            rig.result().0
        };
        for _ in 0..rounds(30) {
            let (mut mixed, mut good, mut bad) = (Vec::new(), Vec::new(), Vec::new());
            for one in &all {
                let harm = rng.below(4) == 0;
                let bytes = if harm {
                    damaged(&mut rng, one, &all[0])
                } else {
                    one.clone()
                };
                if harm { &mut bad } else { &mut good }.push(bytes.clone());
                mixed.push(bytes);
            }
            let [mixed, good, bad] =
                [mixed, good, bad].map(|p| run(&p.iter().map(|b| &b[..]).collect::<Vec<_>>()));
            assert_eq!(mixed.decoded, good.decoded + bad.decoded, "{decode:?}");
            assert_eq!(
                mixed.dropped_units(),
                good.dropped_units() + bad.dropped_units()
            );
        }
    }
}

/// The program itself, on a handful: it ends by itself, and its ledger balances.
#[test]
fn the_program_survives() {
    let jobs = [
        ("office.pcap", "packets"),
        ("softflowd-v9.pcap", "netflow"),
        ("ovs-ipfix.pcap", "netflow"),
        ("ovs-sflow.pcap", "sflow"),
        ("office.pcapng.gz", "packets"),
    ];
    let dir = tempfile::tempdir().unwrap();
    let mut rng = Rng(0x5eed_0005);
    for round in 0..15 {
        let (name, decode) = jobs[round % jobs.len()];
        let file = std::fs::read(data(name)).unwrap();
        let path = dir.path().join(format!("{round}-{name}"));
        std::fs::write(&path, damaged(&mut rng, &file, &file)).unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_weir"));
        command.args([
            "read", "--decode", decode, "--format", "json", "--ledger", "json",
        ]);
        command.arg(&path).stdin(Stdio::null());
        let output = command.output().unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        let code = output
            .status
            .code()
            .unwrap_or_else(|| panic!("a signal: {said}"));
        assert!(code <= 2 && !said.contains("panicked"), "{code}: {said}");
        let ledger = said.lines().last().unwrap_or_default();
        if code == 0 {
            assert!(
                ledger.starts_with('{') && ledger.contains("\"balanced\":true"),
                "{said}"
            );
        }
        let rows = String::from_utf8(output.stdout).unwrap();
        assert!(
            rows.lines()
                .all(|row| row.starts_with('{') && row.ends_with('}')),
            "{rows}"
        );
    }
}
