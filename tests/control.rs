//! A running daemon, asked over its real sockets: a NetFlow datagram goes in, and live table,
//! database, status and metrics all tell of it.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream, UdpSocket};
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

/// Kills the daemon when a test fails.
struct Daemon(Child);

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn weir(dir: &Path, args: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_weir"));
    command.current_dir(dir).args(args).output().expect("weir")
}

fn printed(dir: &Path, args: &[&str]) -> String {
    let output = weir(dir, args);
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{args:?}: {errors}");
    String::from_utf8(output.stdout).unwrap()
}

fn until(what: &str, mut done: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !done() {
        assert!(
            begun.elapsed() < Duration::from_secs(60),
            "{what} takes too long"
        );
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// A port that nobody has now.
fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .port()
}

fn get(port: u16, path: &str) -> String {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
    stream
        .set_read_timeout(Some(Duration::from_secs(60)))
        .unwrap();
    write!(stream, "GET {path} HTTP/1.1\r\nHost: weir\r\n\r\n").unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).unwrap();
    text
}

/// NetFlow v5 with one record: 10.0.0.`host` to 192.0.2.9, port 443, 10 packets, 1500 bytes.
fn datagram(host: u8, sequence: u32) -> Vec<u8> {
    let mut bytes = vec![0, 5, 0, 1, 0, 1, 0, 0];
    bytes.extend(1_767_322_800u32.to_be_bytes());
    bytes.extend([0; 4]);
    bytes.extend(sequence.to_be_bytes());
    bytes.extend([0; 4]);
    bytes.extend([10, 0, 0, host, 192, 0, 2, 9, 0, 0, 0, 0, 0, 1, 0, 2]);
    bytes.extend([0, 0, 0, 10, 0, 0, 0x05, 0xdc, 0, 0, 0x10, 0, 0, 0, 0x20, 0]);
    bytes.extend([0xc0, 0, 1, 0xbb, 0, 0x1b, 6, 0, 0, 0, 0, 0, 24, 24, 0, 0]);
    bytes
}

fn start(dir: &Path, udp: u16, http: u16) -> Daemon {
    let config = format!(
        r#"
        memory = "16 MiB"
        control = "weir.sock"
        http = "127.0.0.1:{http}"
        timezone = "UTC"
        [input.routers]
        kind = "udp"
        listen = "127.0.0.1:{udp}"
        [aggregate.now]
        by = ["src_host", "dst_port", "proto"]
        to = ["live"]
        [aggregate.hosts]
        by = ["src_host"]
        every = "1h"
        to = ["db"]
        [output.live]
        kind = "memory"
        [output.db]
        kind = "sqlite"
        path = "weir.db"
        "#
    );
    std::fs::write(dir.join("weir.toml"), config).unwrap();
    let child = Command::new(env!("CARGO_BIN_EXE_weir"))
        .args(["run", "-c", "weir.toml"])
        .current_dir(dir)
        .stderr(Stdio::null())
        .spawn()
        .expect("weir run");
    let daemon = Daemon(child);
    until("the start", || {
        weir(dir, &["status", "-q", "-s", "weir.sock"])
            .status
            .success()
    });
    daemon
}

#[test]
fn a_datagram_is_seen_through_every_door() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    assert_eq!(
        weir(dir, &["status", "-q", "-s", "weir.sock"])
            .status
            .code(),
        Some(1)
    );
    let udp = UdpSocket::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .port();
    let http = free_port();
    let mut daemon = start(dir, udp, http);

    let router = UdpSocket::bind("127.0.0.1:0").unwrap();
    for (sequence, host) in [(0, 1), (1, 1), (2, 2)] {
        router
            .send_to(&datagram(host, sequence), ("127.0.0.1", udp))
            .unwrap();
    }
    let read = "\"frames\":3,";
    let status = ["status", "--json", "-c", "weir.toml"];
    until("the arrival", || printed(dir, &status).contains(read));

    let rows = printed(
        dir,
        &["query", "live", "--format", "csv", "-s", "weir.sock"],
    );
    let want = "SRC_IP,DST_PORT,PROTOCOL,PACKETS,BYTES\n\
                10.0.0.1,443,tcp,20,3000\n10.0.0.2,443,tcp,10,1500\n";
    assert_eq!(rows, want);
    let one = [
        "--match",
        "src_host=10.0.0.2/32,proto=tcp",
        "--by",
        "proto",
        "--format",
        "json",
    ];
    let one = printed(dir, &[&["query", "-s", "weir.sock"], &one[..]].concat());
    assert_eq!(
        one,
        "{\"ip_proto\":\"tcp\",\"packets\":10,\"bytes\":1500}\n"
    );
    let wrong = weir(dir, &["query", "-s", "weir.sock", "--match", "src_hots=1"]);
    let why = String::from_utf8(wrong.stderr).unwrap();
    assert!(
        !wrong.status.success() && why.contains("did you mean `src_host`?"),
        "{why}"
    );
    let total = [
        "query",
        "-s",
        "weir.sock",
        "--totals",
        "--reset",
        "--format",
        "json",
    ];
    assert!(
        printed(dir, &total).starts_with("{\"rows\":2,\"packets\":30,\"flows\":0,\"bytes\":4500,")
    );
    assert!(printed(dir, &total).starts_with("{\"rows\":0,"));

    let text = printed(dir, &["status", "-s", "weir.sock"]);
    assert!(text.contains("decoded    3 records, 30 packets"), "{text}");
    assert!(
        text.contains("output live (memory)\n  offered    2 rows"),
        "{text}"
    );
    let metrics = get(http, "/metrics");
    assert!(metrics.starts_with("HTTP/1.1 200 OK\r\nContent-Type: text/plain; version=0.0.4"));
    for line in [
        "weir_records_total{input=\"routers\"} 3\n",
        "weir_aggregate_packets_total{aggregate=\"hosts\",stage=\"offered\"} 30\n",
        "weir_aggregate_open_packets{aggregate=\"hosts\"} 30\n",
        "weir_output_bytes_total{output=\"live\",result=\"written\"} 4500\n",
    ] {
        assert!(metrics.contains(line), "{line} in {metrics}");
    }
    assert!(get(http, "/healthz").starts_with("HTTP/1.1 200 OK\r\n"));
    assert!(get(http, "/status").contains(read));

    stop(&mut daemon);
    assert!(!dir.join("weir.sock").exists());
    let db = rusqlite::Connection::open(dir.join("weir.db")).unwrap();
    let sql = "SELECT ip_src || ' ' || bytes FROM hosts ORDER BY ip_src";
    let mut rows = db.prepare(sql).unwrap();
    let rows = rows.query_map([], |row| row.get::<_, String>(0)).unwrap();
    let rows: Vec<_> = rows.map(Result::unwrap).collect();
    assert_eq!(rows, ["10.0.0.1 3000", "10.0.0.2 1500"]);
}

#[test]
fn questions_are_answered_at_once_after_a_reload_that_changes_the_table() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    let udp = UdpSocket::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .port();
    let daemon = start(dir, udp, free_port());
    let router = UdpSocket::bind("127.0.0.1:0").unwrap();
    let send = |host, sequence| {
        let sent = router.send_to(&datagram(host, sequence), ("127.0.0.1", udp));
        sent.unwrap();
    };
    let query = ["query", "live", "--format", "csv", "-s", "weir.sock"];
    send(1, 0);
    until("the first row", || {
        printed(dir, &query).contains("10.0.0.1,")
    });
    let config = std::fs::read_to_string(dir.join("weir.toml")).unwrap();
    let config = config.replace("kind = \"memory\"", "kind = \"memory\"\nsize = \"2 MiB\"");
    std::fs::write(dir.join("weir.toml"), config).unwrap();
    let id = daemon.0.id().to_string();
    let sent = Command::new("kill").args(["-HUP", &id]).status().unwrap();
    assert!(sent.success());
    // The table is a new one: what was in it is gone.
    until("the reload", || !printed(dir, &query).contains("10.0.0.1,"));
    send(2, 1);
    until("the second row", || {
        printed(dir, &query).contains("10.0.0.2,")
    });
    let asked = Instant::now();
    printed(dir, &query);
    let took = asked.elapsed();
    assert!(took < Duration::from_secs(1), "{took:?}");
}

/// SIGTERM, and an end without fault.
fn stop(daemon: &mut Daemon) {
    let id = daemon.0.id().to_string();
    assert!(
        Command::new("kill")
            .args(["-TERM", &id])
            .status()
            .unwrap()
            .success()
    );
    let mut status = None;
    until("the stop", || {
        status = daemon.0.try_wait().unwrap();
        status.is_some()
    });
    assert_eq!(status.and_then(|s| s.code()), Some(0));
}

#[cfg(feature = "cmd-top")]
#[test]
fn top_shows_what_came_in_its_interval() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    let udp = UdpSocket::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .port();
    let _daemon = start(dir, udp, free_port());
    let done = std::sync::atomic::AtomicBool::new(false);
    let text = std::thread::scope(|scope| {
        scope.spawn(|| {
            let router = UdpSocket::bind("127.0.0.1:0").unwrap();
            let mut sequence = 0;
            while !done.load(std::sync::atomic::Ordering::Relaxed) {
                router
                    .send_to(&datagram(7, sequence), ("127.0.0.1", udp))
                    .unwrap();
                sequence += 1;
                std::thread::sleep(Duration::from_millis(5));
            }
        });
        let args = [
            "top",
            "-s",
            "weir.sock",
            "--once",
            "--json",
            "--by",
            "src_host",
            "-i",
            "500ms",
        ];
        let output = weir(dir, &args);
        done.store(true, std::sync::atomic::Ordering::Relaxed);
        String::from_utf8(output.stdout).unwrap()
    });
    assert_eq!(text.lines().count(), 1, "{text}");
    assert!(
        text.starts_with("{\"ip_src\":\"10.0.0.7\",\"packets\":"),
        "{text}"
    );
}
