//! More flows than fit: what a flood of source addresses does to memory and to the ledger.
//!
//! `FLOOD` sets how many sources there are; few enough by default for a build that is not
//! optimised.
#![cfg(all(target_os = "linux", feature = "src-savefile", feature = "dec-packet"))]

#[allow(dead_code)]
#[path = "../benches/load/traffic.rs"]
mod traffic;

use std::io::{BufWriter, Read, Write};
use std::process::{Child, Command, Stdio};
use traffic::{Format, Writer};

/// What `weir read` may use, in MiB.
const MEMORY: u64 = 16;

/// What it may be resident beyond that: its code, stacks, what the system keeps for it.
const BESIDE: u64 = 8;

/// A number of the child's status, in KiB.
fn status(child: &Child, name: &str) -> u64 {
    let text = std::fs::read_to_string(format!("/proc/{}/status", child.id())).expect("it runs");
    let line = text
        .lines()
        .find(|line| line.starts_with(name))
        .expect("the kernel tells");
    let number = line.split_whitespace().nth(1).expect("a number");
    number.parse().expect("a number")
}

/// Sends a flood into `weir read` and gives what was sent, the most that was resident, and the
/// ledger.
fn flood(policy: &str, sources: u64, to: &str) -> ((u64, u64), u64, String) {
    let mut child = Command::new(env!("CARGO_BIN_EXE_weir"))
        .args([
            "read",
            "--by",
            "src_host,dst_host,src_port,dst_port,proto",
            "--format",
            "csv",
        ])
        .args([
            "--memory",
            &format!("{MEMORY}MiB"),
            "--full",
            policy,
            "--ledger",
            "json",
        ])
        .args(["--output", to, "-"])
        .stdin(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("weir runs");
    let mut pipe = BufWriter::with_capacity(1 << 16, child.stdin.take().expect("piped"));
    let mut head = 0xa1b2_c3d4u32.to_be_bytes().to_vec();
    head.extend([
        0, 2, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 0, 0, 0, 1,
    ]);
    pipe.write_all(&head).expect("it reads");
    let mut writer = Writer::new(Format::Packets, sources as u32);
    let (mut frame, mut resident) = (Vec::new(), 0);
    for n in 0..sources {
        let before = writer.bytes;
        writer.next(1, &mut frame);
        let wire = 14 + (writer.bytes - before) as u32;
        for word in [
            1_700_000_000 + (n >> 20) as u32,
            0,
            frame.len() as u32,
            wire,
        ] {
            pipe.write_all(&word.to_be_bytes()).expect("it reads");
        }
        pipe.write_all(&frame).expect("it reads");
        if n % (1 << 16) == 0 {
            resident = resident.max(status(&child, "VmRSS"));
        }
    }
    pipe.flush().expect("it reads");
    resident = resident.max(status(&child, "VmHWM"));
    // The code of a build that is not optimised is much bigger than what it stands for.
    if cfg!(debug_assertions) {
        resident -= status(&child, "RssFile");
    }
    drop(pipe);
    let mut ledger = String::new();
    child
        .stderr
        .take()
        .expect("piped")
        .read_to_string(&mut ledger)
        .expect("text");
    assert!(child.wait().expect("it ends").success(), "{ledger}");
    ((writer.packets, writer.bytes), resident, ledger)
}

#[test]
fn a_flood_of_sources_stays_in_memory_and_is_counted_to_the_byte() {
    let sources = std::env::var("FLOOD")
        .ok()
        .and_then(|n| n.parse().ok())
        .unwrap_or(400_000);
    let dir = tempfile::tempdir().expect("a folder");
    for policy in ["flush", "fold", "evict"] {
        let path = dir.path().join(policy);
        let (sent, resident, ledger) = flood(policy, sources, path.to_str().expect("UTF-8"));
        println!("{policy}: {sources} sources, {resident} KiB resident");
        assert!(ledger.contains("\"balanced\":true"), "{ledger}");
        assert!(
            resident <= (MEMORY + BESIDE) << 10,
            "{policy}: {resident} KiB resident"
        );
        let rows = std::fs::read_to_string(&path).expect("rows");
        let mut sums = (0, 0);
        for row in rows.lines().skip(1) {
            let mut cells = row
                .rsplit(',')
                .map(|cell| cell.parse::<u64>().expect("a number"));
            let bytes = cells.next().expect("bytes");
            let packets = cells.next().expect("packets");
            sums = (sums.0 + packets, sums.1 + bytes);
        }
        assert_eq!(sums, sent, "{policy}: {ledger}");
        // All sources are different, so only a fold row may stand for several.
        let folded = policy == "fold" && rows.lines().count() as u64 <= sources;
        assert!(
            folded || rows.lines().count() as u64 == sources + 1,
            "{policy}: {ledger}"
        );
        assert!(
            policy != "fold" || folded,
            "nothing was folded: the flood is too small"
        );
    }
}
