//! The real daemon over its life: reloads under load, wrong configurations, outputs that fail,
//! restarts.

mod daemon;

use daemon::{Daemon, datagrams, sums, wait_for};
use std::net::UdpSocket;
use std::rc::Rc;
use std::time::Duration;

const FILES: &str = "[aggregate.flows]\nby = [\"src_host\", \"dst_host\", \"proto\"]\n\
    every = \"1h\"\nto = [\"files\"]\n\
    [output.files]\nkind = \"file\"\nformat = \"csv\"\npath = \"DIR/flows.csv\"\n";

/// Packets and bytes that the datagrams of `softflowd-v9.pcap` tell of.
const V9: (u64, u64) = (2085, 1_255_282);

fn send(port: u16, all: &[Vec<u8>]) {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    for datagram in all {
        socket.send_to(datagram, ("127.0.0.1", port)).unwrap();
        std::thread::sleep(Duration::from_millis(1));
    }
}

#[test]
fn reloads_lose_no_record() {
    let daemon = Daemon::start(FILES);
    let all = datagrams("softflowd-v9.pcap");
    let port = daemon.port;
    let rounds = 20;
    let sender = std::thread::spawn(move || (0..rounds).for_each(|_| send(port, &all)));
    for _ in 0..15 {
        daemon.signal("HUP");
        std::thread::sleep(Duration::from_millis(15));
    }
    sender.join().unwrap();
    let want = (V9.0 * rounds, V9.1 * rounds);
    wait_for(|| daemon.decoded() >= want);
    let dir = daemon.dir();
    let log = daemon.stop();
    assert!(log.contains("again"), "{log}");
    assert_eq!(sums(&dir.path().join("flows.csv")), want, "{log}");
}

#[test]
fn a_wrong_configuration_changes_nothing() {
    let daemon = Daemon::start(FILES);
    let all = datagrams("softflowd-v9.pcap");
    Daemon::configure(&daemon.dir(), daemon.port, &FILES.replace("proto", "porto"));
    daemon.signal("HUP");
    wait_for(|| daemon.log().contains("stays in force"));
    let log = daemon.log();
    assert!(log.contains("did you mean `proto`?"), "{log}");
    send(daemon.port, &all);
    wait_for(|| daemon.decoded() >= V9);
    let dir = daemon.dir();
    daemon.stop();
    assert_eq!(sums(&dir.path().join("flows.csv")), V9);
}

#[test]
fn a_reload_changes_address_key_and_output() {
    let daemon = Daemon::start(FILES);
    let all = datagrams("softflowd-v9.pcap");
    send(daemon.port, &all);
    wait_for(|| daemon.decoded() >= V9);
    let other = UdpSocket::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .port();
    let rest = FILES
        .replace("\"proto\"", "\"dst_port\"")
        .replace("flows.csv", "other.csv");
    Daemon::configure(&daemon.dir(), other, &rest);
    daemon.signal("HUP");
    std::thread::sleep(Duration::from_millis(300));
    send(other, &all);
    let both = (V9.0 * 2, V9.1 * 2);
    wait_for(|| daemon.decoded() >= both);
    let dir = daemon.dir();
    let log = daemon.stop();
    assert_eq!(sums(&dir.path().join("flows.csv")), V9, "{log}");
    assert_eq!(sums(&dir.path().join("other.csv")), V9, "{log}");
    let head = std::fs::read_to_string(dir.path().join("other.csv")).unwrap();
    assert!(head.starts_with("SRC_IP,DST_IP,DST_PORT"), "{head}");
}

#[test]
fn templates_survive_a_restart() {
    let first = Daemon::start(FILES);
    let (dir, port) = (first.dir(), first.port);
    let all = datagrams("softflowd-v9.pcap");
    send(port, &all);
    wait_for(|| first.decoded() >= V9);
    first.stop();
    let before = sums(&dir.path().join("flows.csv"));
    // From another port of the same exporter, and without the datagram that has the templates.
    let second = Daemon::start_in(Rc::clone(&dir), port, FILES);
    send(port, &all[1..]);
    wait_for(|| second.decoded().0 > 0);
    std::thread::sleep(Duration::from_millis(200));
    let decoded = second.decoded();
    second.stop();
    assert!(decoded.0 > V9.0 / 2, "{decoded:?}");
    let after = sums(&dir.path().join("flows.csv"));
    assert_eq!(after, (before.0 + decoded.0, before.1 + decoded.1));
}

#[test]
fn templates_survive_a_kill() {
    let first = Daemon::start(FILES);
    let (dir, port) = (first.dir(), first.port);
    let all = datagrams("softflowd-v9.pcap");
    send(port, &all);
    // Without a stop: what is there is what was written while it ran.
    let saved = dir.path().join("templates.exports");
    wait_for(|| saved.exists());
    // Which kills it.
    drop(first);
    let second = Daemon::start_in(Rc::clone(&dir), port, FILES);
    send(port, &all[1..]);
    wait_for(|| second.decoded().0 > V9.0 / 2);
    second.stop();
}

#[test]
fn an_output_that_fails_is_said_and_does_not_hold_up_the_stop() {
    let daemon = Daemon::start(&FILES.replace("DIR/flows.csv", "/proc/no/such/flows.csv"));
    send(daemon.port, &datagrams("softflowd-v9.pcap"));
    wait_for(|| daemon.decoded() >= V9);
    let (code, log, time) = daemon.stop_any();
    assert_eq!(code, Some(1), "{log}");
    assert!(time < Duration::from_secs(6), "{time:?}");
    assert!(log.contains("given up at the stop"), "{log}");
}

#[test]
fn several_aggregations_each_see_everything() {
    let daemon = Daemon::start(
        "[aggregate.a]\nby = [\"src_host\"]\nevery = \"1h\"\nto = [\"a\"]\n\
         [aggregate.b]\nby = [\"proto\"]\nevery = \"1s\"\nto = [\"b\"]\n\
         [aggregate.c]\nby = [\"src_host\", \"dst_host\", \"src_port\", \"dst_port\"]\n\
         memory = \"16 KiB\"\nfull = \"evict\"\nto = [\"c\"]\n\
         [aggregate.d]\nby = [\"src_host\", \"dst_host\", \"src_port\", \"dst_port\"]\n\
         memory = \"16 KiB\"\nfull = \"fold\"\nto = [\"d\"]\n\
         [aggregate.e]\nby = [\"sum_host\"]\nevery = \"1h\"\nto = [\"e\"]\n\
         [output.a]\nkind = \"file\"\npath = \"DIR/a.csv\"\n\
         [output.b]\nkind = \"file\"\npath = \"DIR/b.csv\"\n\
         [output.c]\nkind = \"file\"\npath = \"DIR/c.csv\"\n\
         [output.d]\nkind = \"file\"\npath = \"DIR/d.csv\"\n\
         [output.e]\nkind = \"file\"\npath = \"DIR/e.csv\"\n",
    );
    let all = datagrams("softflowd-v9.pcap");
    send(daemon.port, &all);
    std::thread::sleep(Duration::from_millis(1200));
    send(daemon.port, &all);
    let want = (V9.0 * 2, V9.1 * 2);
    wait_for(|| daemon.decoded() >= want);
    let dir = daemon.dir();
    let log = daemon.stop();
    for name in ["a", "b", "c", "d"] {
        let file = dir.path().join(format!("{name}.csv"));
        assert_eq!(sums(&file), want, "{name}: {log}");
    }
    assert_eq!(
        sums(&dir.path().join("e.csv")),
        (want.0 * 2, want.1 * 2),
        "{log}"
    );
}

#[test]
fn two_workers_share_a_port() {
    let daemon = Daemon::start(&format!("workers = 2\n{FILES}"));
    let all = datagrams("softflowd-v9.pcap");
    for _ in 0..8 {
        send(daemon.port, &all);
    }
    let want = (V9.0 * 8, V9.1 * 8);
    wait_for(|| daemon.decoded() >= want);
    let dir = daemon.dir();
    let log = daemon.stop();
    assert_eq!(sums(&dir.path().join("flows.csv")), want, "{log}");
}

#[test]
fn an_idle_daemon_sleeps() {
    let daemon = Daemon::start(FILES);
    std::thread::sleep(Duration::from_millis(500));
    let before = daemon.switches();
    std::thread::sleep(Duration::from_secs(2));
    let after = daemon.switches();
    daemon.stop();
    assert!(
        after - before <= 2,
        "{} wake-ups in two idle seconds",
        after - before
    );
}

#[test]
fn a_port_in_use_is_said() {
    let held = UdpSocket::bind("127.0.0.1:0").unwrap();
    let port = held.local_addr().unwrap().port();
    let dir = Rc::new(tempfile::tempdir().unwrap());
    Daemon::configure(&dir, port, FILES);
    let out = std::process::Command::new(env!("CARGO_BIN_EXE_weir"))
        .arg("run")
        .arg(dir.path().join("weir.toml"))
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&out.stderr);
    assert_eq!(out.status.code(), Some(1), "{said}");
    assert!(
        said.contains("exports") && said.contains("in use"),
        "{said}"
    );
}
