//! Maps, networks files and lists in a real daemon: that they are read again without losing a
//! record, that a broken one changes nothing, and that nobody sees another's tags.
#![cfg(all(feature = "src-udp", feature = "dec-netflow", feature = "rule-map"))]

mod daemon;

use daemon::{Daemon, datagrams, sums, wait_for};
use std::collections::BTreeMap;
use std::fs;
use std::net::UdpSocket;
use std::path::Path;
use std::process::{Command, Output};
use std::rc::Rc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tempfile::TempDir;

/// Packets and bytes that the datagrams of `softflowd-v9.pcap` tell of.
const V9: (u64, u64) = (2085, 1_255_282);

fn send(port: u16, all: &[Vec<u8>]) {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    for datagram in all {
        socket.send_to(datagram, ("127.0.0.1", port)).unwrap();
        // Slow enough for what the kernel holds while a rebuild takes its time.
        std::thread::sleep(Duration::from_millis(3));
    }
}

/// A daemon in a folder that has these files already.
fn start(rest: &str, files: &[(&str, &str)]) -> Daemon {
    let dir = Rc::new(tempfile::tempdir().unwrap());
    for (name, text) in files {
        fs::write(dir.path().join(name), text).unwrap();
    }
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    let port = socket.local_addr().unwrap().port();
    drop(socket);
    Daemon::start_in(dir, port, rest)
}

/// Puts a file into the place of another at once, as one should.
fn replace(dir: &TempDir, name: &str, text: &str) {
    let new = dir.path().join(format!("{name}.new"));
    fs::write(&new, text).unwrap();
    fs::rename(new, dir.path().join(name)).unwrap();
}

/// Packets by the value of the first column of a CSV file.
fn by_first(file: &Path) -> BTreeMap<String, u64> {
    let text = fs::read_to_string(file).unwrap_or_default();
    let mut sums = BTreeMap::new();
    let head: Vec<&str> = text.lines().next().unwrap_or_default().split(',').collect();
    let packets = head.iter().position(|name| *name == "PACKETS").unwrap();
    for line in text.lines().skip(1) {
        let cells: Vec<&str> = line.split(',').collect();
        let packets: u64 = cells[packets].parse().unwrap();
        *sums.entry(cells[0].to_string()).or_default() += packets;
    }
    sums
}

const TAGGED: &str = "tags = \"DIR/tags.map\"\n\
    [aggregate.flows]\nby = [\"tag\", \"label\", \"src_host\"]\nevery = \"1h\"\nto = [\"files\"]\n\
    [output.files]\nkind = \"file\"\nformat = \"csv\"\npath = \"DIR/flows.csv\"\n";

/// A map of ten thousand rows that all records pass, to their end.
fn long(tag: u32) -> String {
    let rows = (1..=10_000u32).map(|n| {
        let [_, _, b, c] = n.to_be_bytes();
        format!("set_tag={n} ip=198.18.{b}.{c}\n")
    });
    rows.chain([format!("set_tag={tag} set_tos=0\n")]).collect()
}

/// Sends the same datagrams over and over while `change` is done; how often that was.
fn under_load(port: u16, all: &[Vec<u8>], change: impl FnOnce()) -> u64 {
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let sender = scope.spawn(|| {
            let mut rounds = 0;
            while !stop.load(Ordering::Relaxed) {
                send(port, all);
                rounds += 1;
            }
            rounds
        });
        change();
        stop.store(true, Ordering::Relaxed);
        sender.join().unwrap()
    })
}

/// Has a map read again, and waits until the log says so for the next time.
fn read_again(daemon: &Daemon, text: &str, said: &str) {
    replace(&daemon.dir(), "tags.map", text);
    let before = daemon.log().matches(said).count();
    daemon.signal("USR2");
    wait_for(|| daemon.log().matches(said).count() > before);
    let log = daemon.log();
    assert_eq!(log.matches(said).count(), before + 1, "{log}");
    std::thread::sleep(Duration::from_millis(30));
}

#[test]
fn reading_a_map_of_ten_thousand_rows_again_loses_no_record() {
    let daemon = start(TAGGED, &[("tags.map", &long(100_001))]);
    let all = datagrams("softflowd-v9.pcap");
    let rounds = under_load(daemon.port, &all, || {
        for tag in 100_002..100_005 {
            read_again(&daemon, &long(tag), "the maps are in force");
        }
    });
    let want = (V9.0 * rounds, V9.1 * rounds);
    wait_for(|| daemon.decoded() >= want);
    let (status, dir) = (daemon.status(), daemon.dir());
    assert!(
        status.contains("\"rows\":10001,\"refused\":0,\"fresh\":true"),
        "{status}"
    );
    let log = daemon.stop();
    // None of them took a rebuild.
    assert!(!log.contains("weir.toml is in force"), "{log}");
    let file = dir.path().join("flows.csv");
    assert_eq!(sums(&file), want, "{log}");
    let tags = by_first(&file);
    let all = [100_001, 100_002, 100_003, 100_004].map(|tag| tag.to_string());
    assert!(tags.keys().eq(all.iter()), "{tags:?}");
}

#[test]
fn a_map_that_asks_for_more_is_taken_up_by_a_rebuild_and_loses_nothing() {
    let daemon = start(TAGGED, &[("tags.map", "set_tag=1\n")]);
    let all = datagrams("softflowd-v9.pcap");
    let rounds = under_load(daemon.port, &all, || {
        // Fields that nobody wanted, then a map too large for what was planned.
        let other = "set_tag=2 ip_proto=6 dst_port=443\nset_tag=3\n";
        for text in [other, &long(4)] {
            read_again(&daemon, text, "weir.toml is in force");
        }
        // This one fits.
        let labels = "set_label=a jeq=next\nset_tag=5\n";
        read_again(&daemon, labels, "the maps are in force");
        send(daemon.port, &all);
    }) + 1;
    let want = (V9.0 * rounds, V9.1 * rounds);
    wait_for(|| daemon.decoded() >= want);
    let (status, dir) = (daemon.status(), daemon.dir());
    let log = daemon.stop();
    let file = dir.path().join("flows.csv");
    assert_eq!(sums(&file), want, "{log}\n{status}");
    let text = fs::read_to_string(&file).unwrap();
    assert!(text.lines().any(|line| line.starts_with("5,a,")), "{text}");
    let tags = by_first(&file);
    let all = ["1", "2", "3", "4", "5"];
    assert!(tags.keys().eq(all.iter()), "{tags:?}");
}

#[test]
fn a_broken_or_missing_map_keeps_the_one_before() {
    let daemon = start(TAGGED, &[("tags.map", "set_tag=7\n")]);
    let dir = daemon.dir();
    let all = datagrams("softflowd-v9.pcap");
    let mut rounds = 0;
    let mut sent = |daemon: &Daemon| {
        send(daemon.port, &all);
        rounds += 1;
        wait_for(|| daemon.decoded() >= (V9.0 * rounds, V9.1 * rounds));
    };
    let stale = |daemon: &Daemon| {
        daemon
            .status()
            .contains("\"rows\":1,\"refused\":0,\"fresh\":false")
    };
    sent(&daemon);
    // Gone, then binary, then rows of which none is right, each told by both signals.
    for (signal, text) in [
        ("USR2", None),
        ("HUP", None),
        ("USR2", Some(vec![0u8, 0xff, 0xfe, b'\n', 0x80])),
        ("HUP", Some(b"set_tga=1\n".to_vec())),
    ] {
        let file = dir.path().join("tags.map");
        match &text {
            None => drop(fs::remove_file(&file)),
            Some(bytes) => fs::write(&file, bytes).unwrap(),
        }
        let before = daemon.log().matches("stays in force").count();
        daemon.signal(signal);
        wait_for(|| daemon.log().matches("stays in force").count() > before);
        wait_for(|| stale(&daemon));
        assert!(stale(&daemon), "{signal} {text:?}: {}", daemon.status());
        sent(&daemon);
    }
    // One bad row does not take the good one with it.
    replace(&dir, "tags.map", "set_tga=1\nset_tag=8\n");
    daemon.signal("USR2");
    wait_for(|| {
        daemon
            .status()
            .contains("\"rows\":1,\"refused\":1,\"fresh\":true")
    });
    sent(&daemon);
    let log = daemon.stop();
    // Said of the last one, and of none that could not be read.
    let last = log.rfind("tags.map:1:1:").unwrap();
    assert!(!log[..last].contains("the maps are in force"), "{log}");
    assert!(
        log.contains("tags.map:1:1: a map of tags has no key `set_tga`"),
        "{log}"
    );
    let tags = by_first(&dir.path().join("flows.csv"));
    let want = [("7".to_string(), 5 * V9.0), ("8".to_string(), V9.0)];
    assert_eq!(tags, want.into_iter().collect(), "{log}");
}

#[test]
fn what_an_aggregation_has_for_itself_nobody_else_sees() {
    let rest = "tags = \"DIR/all.map\"\n\
        [aggregate.plain]\nby = [\"tag\", \"src_host\", \"dst_port\", \"src_net\"]\n\
        to = \"plain\"\n\
        [aggregate.own]\nby = [\"tag\", \"src_host\", \"dst_port\", \"src_net\"]\n\
        tags = \"DIR/own.map\"\nnetworks = \"DIR/networks\"\nnetworks_filter = true\n\
        only_ports = \"DIR/ports\"\ntag_filter = [2]\nto = \"own\"\n\
        [aggregate.again]\nby = [\"tag\", \"src_host\", \"dst_port\", \"src_net\"]\n\
        to = \"again\"\n\
        [output.plain]\nkind = \"file\"\npath = \"DIR/plain.csv\"\n\
        [output.own]\nkind = \"file\"\npath = \"DIR/own.csv\"\n\
        [output.again]\nkind = \"file\"\npath = \"DIR/again.csv\"\n";
    let files = [
        ("all.map", "set_tag=1\n"),
        ("own.map", "set_tag=2 ip_proto=6\nset_tag=3\n"),
        ("networks", "192.0.2.0/24\n"),
        ("ports", "443\n"),
    ];
    let daemon = start(rest, &files);
    send(daemon.port, &datagrams("softflowd-v9.pcap"));
    wait_for(|| daemon.decoded() >= V9);
    let status = daemon.status();
    let dir = daemon.dir();
    let log = daemon.stop();
    let csv = |name: &str| fs::read_to_string(dir.path().join(name)).unwrap();
    assert_eq!(csv("plain.csv"), csv("again.csv"));
    let plain = by_first(&dir.path().join("plain.csv"));
    assert_eq!(
        plain.into_iter().collect::<Vec<_>>(),
        [("1".to_string(), V9.0)]
    );
    let own = by_first(&dir.path().join("own.csv"));
    assert_eq!(own.keys().collect::<Vec<_>>(), ["2"], "{log}");
    let text = csv("own.csv");
    assert!(
        text.contains(",192.0.2.0,") && !text.contains("198.51.100"),
        "{text}"
    );
    // What the list of tags refused is in the ledger, and the ledger balances.
    let page = status.split("\"name\":\"own\"").nth(1).unwrap_or_default();
    let filtered = page
        .split("\"filtered\":{\"records\":")
        .nth(1)
        .unwrap_or_default();
    assert!(!filtered.starts_with('0'), "{status}");
    assert!(
        page.contains("\"imbalance\":{\"packets\":0,\"bytes\":0}"),
        "{status}"
    );
}

fn weir(args: &[&str], dir: &Path) -> (Option<i32>, String, String) {
    let Output {
        status,
        stdout,
        stderr,
    } = Command::new(env!("CARGO_BIN_EXE_weir"))
        .args(args)
        .current_dir(dir)
        .output()
        .unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (status.code(), text(stdout), text(stderr))
}

#[test]
fn maps_are_judged_by_check_and_their_memory_is_part_of_the_plan() {
    let dir = tempfile::tempdir().unwrap();
    let config = "[input.a]\nkind = \"udp\"\nlisten = \"2055\"\ntags = \"t.map\"\n\
        [aggregate.x]\nby = [\"tag\"]\nto = \"p\"\nnetworks = \"nets\"\n\
        [output.p]\nkind = \"print\"\n";
    fs::write(dir.path().join("weir.toml"), config).unwrap();
    let check = |args: &[&str]| weir(&[&["check"], args].concat(), dir.path());
    let (code, _, said) = check(&["weir.toml"]);
    assert_eq!(code, Some(3));
    assert!(
        said.contains("weir.toml:4:8: input.a.tags is \"t.map\": No such file"),
        "{said}"
    );
    assert!(
        said.contains("weir.toml:8:12: aggregate.x.networks is \"nets\": No such"),
        "{said}"
    );
    fs::write(
        dir.path().join("t.map"),
        "set_tag=1 vlan=3\nset_tag=2 vlna=3\n",
    )
    .unwrap();
    fs::write(dir.path().join("nets"), "10.0.0.0/8\n").unwrap();
    let (code, out, said) = check(&["weir.toml"]);
    assert_eq!(code, Some(0), "{said}");
    assert_eq!(
        said.lines().next().map(|line| &line[..70]),
        Some("t.map:2:11: warning: a map of tags has no key `vlna`; did you mean `vl")
    );
    assert!(
        out.contains("input.a.tags") && out.contains("1 rows, twice while"),
        "{out}"
    );
    assert!(out.contains("aggregate.x.networks"), "{out}");
    // One by one, without a configuration.
    let (code, _, said) = check(&["--map", "tags", "t.map"]);
    assert_eq!(code, Some(3));
    assert!(
        said.contains("t.map:2:11: a map of tags") && said.contains("1 mistake;"),
        "{said}"
    );
    let (code, out, _) = check(&["--map", "networks", "nets"]);
    assert_eq!((code, out.as_str()), (Some(0), "nets: ok, 1 row\n"));
    let (code, _, said) = check(&["--map", "tga", "nets"]);
    assert_eq!(code, Some(2));
    assert!(
        said.contains("no kind of maps `tga`; there are tags, sampling"),
        "{said}"
    );
    let (code, out, _) = check(&["--map", "networks_file", "nets"]);
    assert_eq!((code, out.as_str()), (Some(0), "nets: ok, 1 row\n"));
    // A map larger than all memory, and things that are no files.
    fs::write(dir.path().join("t.map"), "! x\n".repeat(5 << 20)).unwrap();
    let (code, _, said) = check(&["weir.toml"]);
    assert!(
        code == Some(3) && said.contains("longer than all of `memory`"),
        "{said}"
    );
    fs::remove_file(dir.path().join("t.map")).unwrap();
    std::os::unix::fs::symlink("/dev/zero", dir.path().join("t.map")).unwrap();
    let (code, _, said) = check(&["weir.toml"]);
    assert!(code == Some(3) && said.contains("it is no file"), "{said}");
    // Rows that take more than there is.
    fs::remove_file(dir.path().join("t.map")).unwrap();
    let many: String = (0..60_000)
        .map(|n| format!("set_tag=1 in={n} out={n}\n"))
        .collect();
    fs::write(dir.path().join("t.map"), many).unwrap();
    let small = format!("memory = \"6 MiB\"\n{config}");
    fs::write(dir.path().join("weir.toml"), small).unwrap();
    let (code, _, said) = check(&["weir.toml"]);
    assert!(code == Some(3) && said.contains("is too small"), "{said}");
    // Labels that find no room.
    let many: String = (0..9000)
        .map(|n| format!("set_label=label-{n} in={n}\n"))
        .collect();
    fs::write(dir.path().join("t.map"), many).unwrap();
    let small = format!("[limits]\nsymbols = 10000\n{config}");
    fs::write(dir.path().join("weir.toml"), small).unwrap();
    let (code, _, said) = check(&["weir.toml"]);
    assert!(
        code == Some(3) && said.contains("limits.symbols = 9.8 KiB has no room"),
        "{said}"
    );
}
