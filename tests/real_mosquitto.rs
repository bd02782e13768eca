//! The MQTT output against a real Mosquitto broker: rows, topics, failures that heal.

mod batch;
mod daemon;
mod host;
mod mosquitto;

use batch::{of, retried, rows, schema, text, usual};
use daemon::{Daemon, column, datagrams};
use mosquitto::{Got, PASSWORD, Server};
use std::collections::BTreeSet;
use std::net::UdpSocket;
use std::time::{Duration, Instant};
use weir::base::addr::Ip;
use weir::base::options::Raw;
use weir::record::{Field, FlowRecord};
use weir::sink::Sink;

fn open(server: &Server, more: &[(&'static str, Raw)]) -> Box<dyn Sink> {
    let mut settings = server.settings();
    settings.retain(|(key, _)| more.iter().all(|(other, _)| other != key));
    settings.extend_from_slice(more);
    batch::open("mqtt", "broker", &settings)
}

/// A number of a row in JSON.
fn number(line: &str, name: &str) -> u64 {
    let rest = line.split(&format!("\"{name}\":")).nth(1).unwrap();
    let end = rest.find(|c: char| !c.is_ascii_digit()).unwrap();
    rest[..end].parse().unwrap()
}

/// Packets and bytes of all rows, and how many rows.
fn sums(all: &[Got]) -> (u64, u64, usize) {
    let rows = all.iter().filter(|got| got.text.starts_with('{'));
    rows.fold((0, 0, 0), |sum, got| {
        let (packets, bytes) = (number(&got.text, "packets"), number(&got.text, "bytes"));
        (sum.0 + packets, sum.1 + bytes, sum.2 + 1)
    })
}

const HOSTS: [(u8, u8); 5] = [(1, 0), (2, 0), (3, 0), (4, 0), (5, 0)];

#[test]
fn rows_are_messages_in_both_versions() {
    let Some(server) = Server::start("rows_are_messages_in_both_versions") else {
        return;
    };
    let reader = server.reader("weir/#");
    let schema = usual();
    for (n, version) in ["5", "3.1.1"].into_iter().enumerate() {
        let topic = format!("weir/{n}/$peer_src_ip/%Y");
        let more = [("version", text(version)), ("topic", text(&topic))];
        let mut sink = open(&server, &more);
        sink.write(&rows(&schema, 7, 300, &HOSTS)).unwrap();
        // More than may be under way.
        let many: Vec<_> = (0..250).map(|host| (host, 0)).collect();
        sink.write(&rows(&schema, 8, 300, &many)).unwrap();
        sink.sync().unwrap();
        let of = |all: &[Got]| -> Vec<Got> {
            let here = all
                .iter()
                .filter(|got| got.topic.starts_with(&format!("weir/{n}/")));
            here.cloned().collect()
        };
        let want = (2550, 255_000, 255);
        let all = of(&reader.until(String::new, |all| sums(&of(all)) == want));
        let topics: BTreeSet<_> = all.iter().map(|got| got.topic.as_str()).collect();
        let wanted = (0..3).map(|host| format!("weir/{n}/10.0.0.{host}/1970"));
        assert!(topics.into_iter().eq(wanted));
        if version == "5" {
            let first = all
                .iter()
                .filter(|got| got.id.starts_with("fffffffffffffffa.0.7."));
            assert_eq!(first.count(), HOSTS.len());
        }
    }
}

#[test]
fn whatever_a_row_holds_its_topic_is_one() {
    let Some(server) = Server::start("whatever_a_row_holds_its_topic_is_one") else {
        return;
    };
    let reader = server.reader("#");
    let by = schema(&[Field::SrcHost, Field::Label]);
    let labels = [
        "+",
        "#",
        "a/../b",
        "$SYS",
        "\0",
        "\u{ffff}",
        "\u{1fffe}x",
        "\u{7f}",
        "é",
        "",
    ];
    let long = "x".repeat(70_000);
    for version in ["5", "3.1.1"] {
        let records = labels.iter().copied().chain([long.as_str()]).map(|label| {
            let mut record = FlowRecord::new();
            record.set_src_host(Ip::v4([192, 0, 2, 1]));
            record.set_label(by.symbols.intern(label.as_bytes()));
            (record.packets, record.bytes, record.flows) = (1, 100, 1);
            record
        });
        let batch = of(&by, 0, 300, records);
        let more = [("version", text(version)), ("topic", text("$label/$label"))];
        let mut sink = open(&server, &more);
        sink.write(&batch).unwrap();
        sink.write(&rows(&usual(), 1, 300, &HOSTS)).unwrap();
    }
    let all = reader.until(String::new, |all| {
        sums(all).2 == 2 * (labels.len() + 1 + HOSTS.len())
    });
    let topics: BTreeSet<_> = all.iter().map(|got| got.topic.as_str()).collect();
    for topic in [
        "_/_",
        "_SYS/$SYS",
        "a_.__b/a_.__b",
        "_x/_x",
        "é/é",
        "null/null",
    ] {
        assert!(topics.contains(topic), "{topic}: {topics:?}");
    }
}

#[test]
fn what_a_broker_refuses_is_told_with_what_to_do() {
    let Some(server) = Server::start("what_a_broker_refuses_is_told_with_what_to_do") else {
        return;
    };
    let batch = rows(&usual(), 0, 300, &HOSTS);
    for (more, want) in [
        (vec![("password", text("wrong"))], "weir is not let in: "),
        (
            vec![("password", text("wrong")), ("version", text("3.1.1"))],
            "; set `user` and `password`",
        ),
        (
            vec![("user", text("poor"))],
            "give weir the right to publish there",
        ),
        (
            vec![("port", Raw::Number(host::free_port().into()))],
            "is it running, and are `host` and `port` right?",
        ),
    ] {
        let started = Instant::now();
        let why = retried(open(&server, &more).write(&batch));
        assert!(why.contains(want) && !why.contains('\n'), "{want}: {why}");
        assert!(started.elapsed() < Duration::from_secs(4), "{want}");
    }
    // A second host is taken where the first is away; what it was refused, nobody has.
    let reader = server.reader("weir/#");
    let here = format!("127.0.0.1:{}", server.port);
    let away = format!("127.0.0.1:{}", host::free_port());
    let hosts = [away, here].map(|host| (text(&host), Default::default()));
    open(&server, &[("host", Raw::List(hosts.into()))])
        .write(&batch)
        .unwrap();
    reader.until(String::new, |all| sums(all) == (50, 5000, 5));
}

#[test]
fn a_broker_that_does_not_answer_is_given_up_in_time() {
    let Some(server) = Server::start("a_broker_that_does_not_answer_is_given_up_in_time") else {
        return;
    };
    let reader = server.reader("weir/#");
    let schema = usual();
    for version in ["5", "3.1.1"] {
        let mut sink = open(&server, &[("version", text(version))]);
        sink.write(&rows(&schema, 0, 300, &[(1, 0)])).unwrap();
        for _ in 0..2 {
            // In the midst of it, and then at the beginning.
            server.signal("STOP");
            let started = Instant::now();
            let why = retried(sink.write(&rows(&schema, 1, 300, &HOSTS)));
            assert!(why.contains("no answer"), "{why}");
            assert!(started.elapsed() < Duration::from_secs(5));
            server.signal("CONT");
        }
        sink.write(&rows(&schema, 1, 300, &HOSTS)).unwrap();
    }
    reader.until(String::new, |all| {
        all.iter().any(|got| got.id.ends_with(".1.4"))
    });
}

/// Sends export datagrams to a daemon.
fn send(port: u16, all: &[Vec<u8>]) {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    for datagram in all {
        socket.send_to(datagram, ("127.0.0.1", port)).unwrap();
        std::thread::sleep(Duration::from_millis(1));
    }
}

fn config(server: &Server, more: &str) -> String {
    format!(
        "[aggregate.flows]\nby = [\"src_host\", \"dst_host\", \"src_port\", \"dst_port\"]\n\
         every = \"1s\"\nto = \"broker\"\n[output.broker]\nkind = \"mqtt\"\nhost = \"127.0.0.1\"\n\
         port = {}\nuser = \"weir\"\npassword = \"{PASSWORD}\"\ntimeout = \"2s\"\n\
         status = \"weir/status\"\nkeep_alive = \"5s\"\n{more}",
        server.port
    )
}

#[test]
fn a_broker_that_comes_and_goes_costs_no_row() {
    let Some(mut server) = Server::start("a_broker_that_comes_and_goes_costs_no_row") else {
        return;
    };
    let exports = datagrams("softflowd-v9.pcap");
    let reader = server.reader("weir/#");
    // It is away at the start.
    server.stop("TERM");
    let daemon = Daemon::start(&config(&server, "spool = \"DIR/spool\"\n"));
    send(daemon.port, &exports);
    let waits = || daemon.log().contains("rows wait in the spool");
    daemon::wait_for(waits);
    assert!(waits(), "{}", daemon.log());
    server.resume();
    let come = |want: (u64, u64)| {
        reader.until(|| daemon.log(), |all| (sums(all).0, sums(all).1) == want);
    };
    come(daemon.decoded());
    // It dies in the midst of it.
    let half = exports.len() / 2;
    for how in ["KILL", "TERM", "KILL"] {
        send(daemon.port, &exports[..half]);
        server.stop(how);
        send(daemon.port, &exports[half..]);
        server.resume();
        come(daemon.decoded());
    }
    let want = daemon.decoded();
    assert!(want.0 > 0);
    let log = daemon.stop();
    reader.until(|| log.clone(), |all| (sums(all).0, sums(all).1) == want);
    assert!(
        log.contains(" 0 dropped") && log.contains("works again"),
        "{log}"
    );
    reader.until(
        || log.clone(),
        |all| all.last().is_some_and(|got| got.text == "offline"),
    );
}

#[test]
fn who_is_there_says_so_and_who_dies_is_told() {
    let Some(server) = Server::start("who_is_there_says_so_and_who_dies_is_told") else {
        return;
    };
    let reader = server.reader("weir/#");
    let words = |all: &[Got]| -> Vec<String> {
        let status = all.iter().filter(|got| got.topic == "weir/status");
        status.map(|got| got.text.clone()).collect()
    };
    for version in ["5", "3.1.1"] {
        let before = words(&reader.all()).len();
        let daemon = Daemon::start(&config(&server, &format!("version = \"{version}\"\n")));
        let dir = daemon.dir();
        reader.until(String::new, |all| words(all).len() == before + 1);
        // Longer than it may be silent.
        std::thread::sleep(Duration::from_secs(9));
        daemon.kill();
        reader.until(String::new, |all| words(all).len() == before + 2);
        assert_eq!(words(&reader.all())[before..], ["online", "offline"]);
        drop(dir);
    }
    // Who comes later is told as well.
    drop(reader);
    let later = server.reader("weir/#");
    let kept = |all: &[Got]| all.iter().any(|got| got.kept && got.text == "offline");
    later.until(String::new, kept);
}

#[test]
fn a_broker_that_hangs_does_not_hold_up_the_stop() {
    let Some(server) = Server::start("a_broker_that_hangs_does_not_hold_up_the_stop") else {
        return;
    };
    let exports = datagrams("softflowd-v9.pcap");
    let reader = server.reader("weir/#");
    let text = config(&server, "spool = \"DIR/spool\"\n");
    let text = text.replace("timeout = \"2s\"", "timeout = \"60s\"");
    let daemon = Daemon::start(&text);
    send(daemon.port, &exports);
    let come = |daemon: &Daemon, want: (u64, u64)| {
        reader.until(|| daemon.log(), |all| (sums(all).0, sums(all).1) == want);
    };
    come(&daemon, daemon.decoded());
    server.signal("STOP");
    send(daemon.port, &exports);
    let want = daemon.decoded();
    daemon::wait_for(|| column(&daemon.status(), "offered") == want);
    let (dir, port) = (daemon.dir(), daemon.port);
    let (_, log, took) = daemon.stop_any();
    assert!(took < Duration::from_secs(6), "{took:?}\n{log}");
    // What it has not acknowledged is in the spool, and comes with the next start.
    server.signal("CONT");
    let daemon = Daemon::spawn(dir, port);
    come(&daemon, want);
    daemon.stop();
}
