//! The AMQP output against a real RabbitMQ server: rows, identities, failures that heal.

mod batch;
mod daemon;
mod host;
mod rabbit;

use batch::{retried, rows, text, usual};
use daemon::{Daemon, column, datagrams};
use rabbit::{Got, PASSWORD, Server};
use std::collections::BTreeSet;
use std::net::UdpSocket;
use std::process::Command;
use std::time::{Duration, Instant};
use weir::base::options::Raw;
use weir::sink::Sink;

fn open(server: &Server, more: &[(&'static str, Raw)]) -> Box<dyn Sink> {
    let mut settings = server.settings();
    settings.retain(|(key, _)| more.iter().all(|(other, _)| other != key));
    settings.extend_from_slice(more);
    batch::open("amqp", "queue", &settings)
}

/// A number of a row in JSON.
fn number(line: &str, name: &str) -> u64 {
    let rest = line.split(&format!("\"{name}\":")).nth(1).unwrap();
    let end = rest.find(|c: char| !c.is_ascii_digit()).unwrap();
    rest[..end].parse().unwrap()
}

/// Packets and bytes of all rows, and how many rows.
fn sums(all: &[Got]) -> (u64, u64, usize) {
    let lines: Vec<&str> = all.iter().flat_map(|got| got.text().lines()).collect();
    let sum = |name| lines.iter().map(|line| number(line, name)).sum();
    (sum("packets"), sum("bytes"), lines.len())
}

/// Those of each identity once.
fn once(all: &[Got]) -> Vec<Got> {
    let mut seen = BTreeSet::new();
    let fresh = |got: &&Got| seen.insert(got.id.clone());
    all.iter().filter(fresh).cloned().collect()
}

const HOSTS: [(u8, u8); 5] = [(1, 0), (2, 0), (3, 0), (4, 0), (5, 0)];

#[test]
fn rows_are_messages_with_keys_and_identities() {
    let Some(server) = Server::start("rows_are_messages_with_keys_and_identities") else {
        return;
    };
    let reader = server.reader();
    let schema = usual();
    // It makes its exchange, and rows wait for a queue.
    let mut sink = open(&server, &[("routing_key", text("flows.$peer_src_ip.%Y"))]);
    let batch = rows(&schema, 7, 300, &HOSTS);
    let why = retried(sink.write(&batch));
    assert!(
        why.contains("no queue takes messages with the key \"flows.10_0_0_"),
        "{why}"
    );
    reader.bind("some", "weir", "flows.10_0_0_1.*");
    assert!(retried(sink.write(&batch)).contains("mandatory = false"));
    reader.bind("all", "weir", "#");
    sink.write(&batch).unwrap();
    // What a queue took is not sent to it again when the rest comes.
    let some = reader.take("some");
    assert_eq!(sums(&some), (20, 2000, 2));
    let all = reader.take("all");
    assert_eq!(sums(&all), (30, 3000, 3));
    let ids: BTreeSet<_> = some.iter().chain(&all).map(|got| got.id.clone()).collect();
    let want = (0..5).map(|n| format!("fffffffffffffffa.0.7.{n}"));
    assert!(ids.into_iter().eq(want));
    assert!(
        all.iter()
            .all(|got| got.persistent && got.content == "application/json")
    );
    assert!(
        all.iter()
            .all(|got| got.key.ends_with("_0.1970") || got.key.ends_with("_2.1970"))
    );
    // Several rows a message, in turn over keys, to queues by name.
    reader.bind("one_0", "weir", "none");
    reader.bind("one_1", "weir", "none");
    let mut sink = open(
        &server,
        &[
            ("exchange", text("")),
            ("routing_key", text("one")),
            ("routing_keys", Raw::Number(2)),
            ("message_rows", Raw::Number(2)),
            ("persistent", Raw::Bool(false)),
        ],
    );
    sink.write(&rows(&schema, 8, 300, &HOSTS)).unwrap();
    sink.sync().unwrap();
    let (zero, one) = (reader.take("one_0"), reader.take("one_1"));
    assert_eq!((zero.len(), one.len()), (2, 1));
    assert_eq!(sums(&[zero.clone(), one].concat()), (50, 5000, 5));
    assert!(!zero[0].persistent && zero[0].content == "application/x-ndjson");
}

#[test]
fn encodings_and_marks() {
    let Some(server) = Server::start("encodings_and_marks") else {
        return;
    };
    let (reader, schema) = (server.reader(), usual());
    reader.exchange("weir", lapin::ExchangeKind::Topic, true);
    reader.bind("q", "weir", "#");
    let mut sink = open(
        &server,
        &[("markers", Raw::Bool(true)), ("writer", text("me"))],
    );
    let mut first = rows(&schema, 0, 300, &HOSTS);
    first.last = false;
    sink.write(&first).unwrap();
    sink.write(&rows(&schema, 1, 300, &[(9, 0)])).unwrap();
    let got = reader.take("q");
    let texts: Vec<_> = got.iter().map(Got::text).collect();
    assert_eq!(texts.len(), 8, "{texts:?}");
    assert_eq!(
        texts[0],
        "{\"event_type\":\"purge_init\",\"writer_id\":\"me\"}"
    );
    assert_eq!(
        texts[7],
        "{\"event_type\":\"purge_close\",\"writer_id\":\"me\",\"purged_entries\":6,\
         \"total_entries\":6,\"duration\":0}"
    );
    assert!(got[0].id.ends_with(".0.init") && got[7].id.ends_with(".1.close"));
    // CSV has no header there: rows are alike.
    let mut sink = open(&server, &[("format", text("csv"))]);
    sink.write(&rows(&schema, 2, 300, &[(1, 2)])).unwrap();
    let got = reader.take("q");
    assert_eq!(
        got[0].text(),
        "10.0.0.1,192.0.2.1,2,1970-01-01 00:05:00,1970-01-01 00:06:00,10,1,1000"
    );
    // Records of Avro, read with the schema that is written beside.
    let at = tempfile::tempdir().unwrap();
    let file = at.path().join("schema").display().to_string();
    let more = [
        ("format", text("avro")),
        ("message_rows", Raw::Number(3)),
        ("schema", text(&file)),
    ];
    let mut sink = open(&server, &more);
    sink.write(&rows(&schema, 3, 300, &HOSTS)).unwrap();
    let schema = apache_avro::Schema::parse_str(&std::fs::read_to_string(file).unwrap()).unwrap();
    let mut packets = 0;
    for got in reader.take("q") {
        assert_eq!(got.content, "application/avro");
        let mut rest = got.body.as_slice();
        while !rest.is_empty() {
            #[expect(deprecated, reason = "what takes its place reads one record alone")]
            let row = apache_avro::from_avro_datum(&schema, &mut rest, None).unwrap();
            packets += format!("{row:?}").matches("Long(10)").count();
        }
    }
    assert_eq!(packets, HOSTS.len());
}

#[test]
fn what_a_broker_refuses_is_told_with_what_to_do() {
    let Some(server) = Server::start("what_a_broker_refuses_is_told_with_what_to_do") else {
        return;
    };
    let reader = server.reader();
    let batch = rows(&usual(), 0, 300, &HOSTS);
    reader.exchange("other", lapin::ExchangeKind::Fanout, true);
    server.control(&["add_user", "poor", "x"]);
    server.control(&["set_permissions", "poor", "^$", "^$", "^$"]);
    for (more, want) in [
        (vec![("password", text("wrong"))], "weir is not let in: "),
        (
            vec![("password", text("wrong"))],
            "; set `user` and `password`",
        ),
        (vec![("vhost", text("none"))], "rabbitmqctl add_vhost"),
        (
            vec![("exchange", text("other"))],
            "set `exchange_type` and `persistent`",
        ),
        (
            vec![("exchange", text("none")), ("declare", Raw::Bool(false))],
            "declare = true makes the exchange",
        ),
        (
            vec![("user", text("poor")), ("password", text("x"))],
            "poor needs the rights",
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
    // A second host is taken where the first is away.
    reader.bind("q", "other", "");
    let here = format!("127.0.0.1:{}", server.port);
    let away = format!("127.0.0.1:{}", host::free_port());
    let hosts = [away, here].map(|host| (text(&host), Default::default()));
    let more = [
        ("host", Raw::List(hosts.into())),
        ("exchange", text("other")),
        ("exchange_type", text("fanout")),
    ];
    open(&server, &more).write(&batch).unwrap();
    assert_eq!(sums(&reader.take("q")), (50, 5000, 5));
}

#[test]
fn a_broker_that_does_not_answer_is_given_up_in_time() {
    let Some(server) = Server::start("a_broker_that_does_not_answer_is_given_up_in_time") else {
        return;
    };
    let (reader, schema) = (server.reader(), usual());
    let mut sink = open(&server, &[("mandatory", Raw::Bool(false))]);
    sink.write(&rows(&schema, 0, 300, &HOSTS)).unwrap();
    reader.bind("q", "weir", "#");
    for round in 1..3 {
        // In the midst of it, and then at the beginning.
        server.signal("STOP");
        let started = Instant::now();
        let why = retried(sink.write(&rows(&schema, round, 300, &HOSTS)));
        assert!(why.contains("no answer within 2 s"), "{why}");
        assert!(started.elapsed() < Duration::from_secs(5));
        server.signal("CONT");
    }
    sink.write(&rows(&schema, 2, 300, &HOSTS)).unwrap();
    let want = (50, 5000, 5);
    let of = |got: &Got, batch: &str| got.id.starts_with(&format!("fffffffffffffffa.0.{batch}."));
    let all = once(&reader.take("q"));
    let second: Vec<_> = all.into_iter().filter(|got| of(got, "2")).collect();
    assert_eq!(sums(&second), want);
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
         every = \"1s\"\nto = \"queue\"\n[output.queue]\nkind = \"amqp\"\nhost = \"127.0.0.1\"\n\
         port = {}\nuser = \"weir\"\npassword = \"{PASSWORD}\"\ntimeout = \"2s\"\n{more}",
        server.port
    )
}

/// Takes what a queue has until each message once makes this sum.
fn until(server: &Server, all: &mut Vec<Got>, want: (u64, u64), log: impl Fn() -> String) {
    let end = Instant::now() + Duration::from_secs(60);
    let reader = server.reader();
    loop {
        all.extend(reader.take("q"));
        let (packets, bytes, _) = sums(&once(all));
        if (packets, bytes) == want {
            return;
        }
        assert!(
            Instant::now() < end,
            "{packets} {bytes} of {want:?}\n{}",
            log()
        );
        std::thread::sleep(Duration::from_millis(100));
    }
}

#[test]
fn a_broker_that_comes_and_goes_costs_no_row() {
    let Some(mut server) = Server::start("a_broker_that_comes_and_goes_costs_no_row") else {
        return;
    };
    let exports = datagrams("softflowd-v9.pcap");
    let reader = server.reader();
    reader.exchange("weir", lapin::ExchangeKind::Topic, true);
    reader.bind("q", "weir", "flows");
    drop(reader);
    // It is away at the start.
    server.stop("TERM");
    let daemon = Daemon::start(&config(&server, "spool = \"DIR/spool\"\n"));
    send(daemon.port, &exports);
    let waits = || daemon.log().contains("rows wait in the spool");
    daemon::wait_for(waits);
    assert!(waits(), "{}", daemon.log());
    server.resume();
    let mut all = Vec::new();
    until(&server, &mut all, daemon.decoded(), || daemon.log());
    // It dies in the midst of it.
    let half = exports.len() / 2;
    for how in ["KILL", "TERM"] {
        send(daemon.port, &exports[..half]);
        server.stop(how);
        send(daemon.port, &exports[half..]);
        server.resume();
        until(&server, &mut all, daemon.decoded(), || daemon.log());
    }
    let want = daemon.decoded();
    assert!(want.0 > 0);
    let log = daemon.stop();
    until(&server, &mut all, want, || log.clone());
    assert!(
        log.contains(" 0 dropped") && log.contains("works again"),
        "{log}"
    );
}

#[test]
fn a_broker_that_hangs_does_not_hold_up_the_stop() {
    let Some(server) = Server::start("a_broker_that_hangs_does_not_hold_up_the_stop") else {
        return;
    };
    let exports = datagrams("softflowd-v9.pcap");
    let reader = server.reader();
    reader.exchange("weir", lapin::ExchangeKind::Topic, true);
    reader.bind("q", "weir", "flows");
    let text = config(&server, "spool = \"DIR/spool\"\n");
    let text = text.replace("timeout = \"2s\"", "timeout = \"60s\"");
    let daemon = Daemon::start(&text);
    send(daemon.port, &exports);
    let mut all = Vec::new();
    until(&server, &mut all, daemon.decoded(), || daemon.log());
    server.signal("STOP");
    send(daemon.port, &exports);
    let want = daemon.decoded();
    daemon::wait_for(|| column(&daemon.status(), "offered") == want);
    let (dir, port) = (daemon.dir(), daemon.port);
    let (_, log, took) = daemon.stop_any();
    assert!(took < Duration::from_secs(6), "{took:?}\n{log}");
    // What it has not confirmed is in the spool, and comes with the next start.
    server.signal("CONT");
    let daemon = Daemon::spawn(dir, port);
    until(&server, &mut all, want, || daemon.log());
    daemon.stop();
}

#[test]
fn a_configuration_of_pmacct_publishes_rows() {
    let Some(server) = Server::start("a_configuration_of_pmacct_publishes_rows") else {
        return;
    };
    let at = tempfile::tempdir().unwrap();
    let reader = server.reader();
    reader.exchange("pmacct", lapin::ExchangeKind::Direct, false);
    reader.exchange("flows", lapin::ExchangeKind::Topic, true);
    reader.bind("q", "pmacct", "acct");
    reader.bind("keys", "flows", "by.127_0_0_1.7");
    let text = format!(
        "plugins: amqp[a], amqp[b], print[c]\naggregate: src_host, proto, peer_src_ip, tag\n\
         amqp_host: 127.0.0.1\namqp_port: {}\namqp_user: weir\namqp_passwd: {PASSWORD}\n\
         amqp_multi_values[a]: 40000\namqp_markers[a]: true\namqp_exchange[b]: flows\n\
         amqp_exchange_type[b]: topic\namqp_routing_key[b]: by.$peer_src_ip.$tag\n\
         amqp_persistent_msg[b]: true\npost_tag: 7\namqp_history: 1h\nprint_output[c]: csv\n\
         print_output_file[c]: {}\npcap_savefile: {}\namqp_num_protos: true\n\
         amqp_heartbeat_interval: 20\namqp_frame_max: 8192\n",
        server.port,
        at.path().join("rows").display(),
        daemon::data("softflowd-v9.pcap").display()
    );
    let file = at.path().join("c.conf");
    std::fs::write(&file, text).unwrap();
    let output = Command::new("timeout")
        .args(["-k", "1", "60", env!("CARGO_BIN_EXE_weir")])
        .args(["pmacct", "nfacctd", "-f"])
        .arg(&file)
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    let want = daemon::sums(&at.path().join("rows"));
    assert!(want.0 > 0);
    let mut got = reader.take("q");
    assert!(got.remove(0).text().contains("\"purge_init\""));
    assert!(got.pop().unwrap().text().contains("\"purge_close\""));
    let (packets, bytes, rows) = sums(&got);
    assert_eq!((packets, bytes), want);
    assert!(
        got.len() < rows
            && got
                .iter()
                .all(|got| !got.persistent && got.body.len() <= 40_000)
    );
    // Longer than a frame.
    assert!(got.iter().any(|got| got.body.len() > 8192));
    assert!(
        got[0].text().contains("\"ip_proto\":\"17\""),
        "{}",
        got[0].text()
    );
    let keys = reader.take("keys");
    let (packets, bytes, rows) = sums(&keys);
    assert_eq!(((packets, bytes), rows), (want, keys.len()));
}
