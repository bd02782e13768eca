//! Real traffic on a real wire, in network namespaces made here: between two hosts TCP, UDP and
//! ICMP over IPv4 and IPv6. What softflowd exports live in every version it speaks, what weir
//! captures, and what weir reads from tcpdump's file must be the same to the packet and byte. Then
//! Open vSwitch samples a flood with sFlow.
//!
//! Needs root and `ip`, and softflowd, tcpdump and ping, or openvswitch-switch.

#![cfg(target_os = "linux")]

mod daemon;

use daemon::{Daemon, wait_for};
use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream, UdpSocket};
use std::os::fd::AsRawFd;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

fn run(command: &str) -> Result<String, String> {
    let words: Vec<&str> = command.split(' ').collect();
    let out = Command::new(words[0]).args(&words[1..]).output();
    let out = out.map_err(|e| format!("{command}: {e}"))?;
    if out.status.success() {
        return Ok(String::from_utf8_lossy(&out.stdout).into_owned());
    }
    let error = String::from_utf8_lossy(&out.stderr);
    Err(format!("{command}: {error}"))
}

fn need(command: &str) -> String {
    run(command).unwrap_or_else(|e| panic!("{e}"))
}

/// A command that runs beside the test, and ends with it.
struct Beside(Child);

impl Beside {
    fn start(command: &str) -> Self {
        let words: Vec<&str> = command.split(' ').collect();
        let child = Command::new(words[0])
            .args(&words[1..])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn();
        Self(child.unwrap_or_else(|e| panic!("{command}: {e}")))
    }

    fn signal(&self, name: &str) {
        need(&format!("kill -s {name} {}", self.0.id()));
    }
}

impl Drop for Beside {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn has(tools: &[&str]) -> bool {
    let folders = ["/usr/sbin", "/usr/bin", "/sbin", "/bin"];
    let found = |tool: &&str| folders.iter().any(|f| Path::new(f).join(tool).exists());
    tools.iter().all(found)
}

/// Runs `test` in a thread with a network of its own, which ends with it.
fn alone(name: &str, tools: &[&str], test: fn()) {
    let run = move || {
        // SAFETY: moves this thread alone to a new network namespace.
        if unsafe { libc::unshare(libc::CLONE_NEWNET) } != 0 {
            return false;
        }
        test();
        true
    };
    if !has(tools) {
        println!("{name} skipped: needs {}", tools.join(", "));
        return;
    }
    let thread = std::thread::Builder::new().name(name.to_owned());
    match thread.spawn(run).unwrap().join() {
        Ok(true) => {}
        Ok(false) => println!("{name} skipped: needs root"),
        Err(panic) => std::panic::resume_unwind(panic),
    }
}

/// Another host: a network namespace that is there as long as this is.
struct Host(Beside);

impl Host {
    /// A host at the far end of a new wire, whose near end is called `near`, with addresses for
    /// its own end.
    fn behind(near: &str, addresses: &[&str]) -> Self {
        let host = Self(Beside::start("unshare -n sleep 600"));
        let mine = std::fs::read_link("/proc/thread-self/ns/net").unwrap();
        let link = format!("/proc/{}/ns/net", host.pid());
        wait_for(|| std::fs::read_link(&link).is_ok_and(|its| its != mine));
        let far = format!("{near}-far");
        need(&format!("ip link add {near} type veth peer name {far}"));
        need(&format!("ip link set {far} netns {}", host.pid()));
        host.need("ip link set lo up");
        for address in addresses {
            let nodad = if address.contains(':') { " nodad" } else { "" };
            host.need(&format!("ip addr add {address} dev {far}{nodad}"));
        }
        host.need(&format!("ip link set {far} up"));
        need(&format!("ip link set {near} up"));
        host
    }

    fn pid(&self) -> u32 {
        self.0.0.id()
    }

    fn need(&self, command: &str) -> String {
        need(&format!("nsenter -t {} -n {command}", self.pid()))
    }

    /// Runs `what` in a thread on that host.
    fn spawn<T: Send + 'static>(
        &self,
        what: impl FnOnce() -> T + Send + 'static,
    ) -> std::thread::JoinHandle<T> {
        let file = std::fs::File::open(format!("/proc/{}/ns/net", self.pid())).unwrap();
        std::thread::spawn(move || {
            // SAFETY: moves this thread alone to a namespace that an open file names.
            let moved = unsafe { libc::setns(file.as_raw_fd(), libc::CLONE_NEWNET) };
            assert_eq!(moved, 0);
            what()
        })
    }
}

/// Packets and bytes by source, destination and protocol, among the two hosts and without filler.
type Talk = BTreeMap<(String, String, String), (u64, u64)>;

/// Destination port of datagrams that fill softflowd's ring: it gets packets by the block, and
/// the last block only when it is full.
const FILLER: &str = "9999";

fn talk(csv: &str) -> Talk {
    let mut lines = csv.lines();
    let head: Vec<&str> = lines.next().unwrap_or_default().split(',').collect();
    let at = |name| head.iter().position(|h| *h == name).expect(name);
    let columns = [
        "SRC_IP", "DST_IP", "PROTOCOL", "DST_PORT", "PACKETS", "BYTES",
    ]
    .map(at);
    let mut talk = Talk::new();
    for line in lines {
        let cells: Vec<&str> = line.split(',').collect();
        let [from, to, proto, port, packets, bytes] = columns.map(|n| cells[n]);
        let ours = |host: &str| host.starts_with("10.9.0.") || host.starts_with("fd09::");
        if ours(from) && ours(to) && !(proto == "udp" && port == FILLER) {
            let key = [from, to, proto].map(str::to_owned);
            let sum = talk.entry(key.into()).or_default();
            sum.0 += packets.parse::<u64>().unwrap();
            sum.1 += bytes.parse::<u64>().unwrap();
        }
    }
    talk
}

/// Everything the two hosts say to each other.
fn converse(there: &Host) {
    let answer = there.spawn(|| {
        let listener = TcpListener::bind("[::]:7000").unwrap();
        let sink = UdpSocket::bind("[::]:7001").unwrap();
        sink.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
        for _ in 0..2 {
            let (mut stream, _) = listener.accept().unwrap();
            let mut bytes = Vec::new();
            stream.read_to_end(&mut bytes).unwrap();
            stream.write_all(&bytes).unwrap();
        }
        let mut bytes = [0; 2000];
        for _ in 0..100 {
            let (length, from) = sink.recv_from(&mut bytes).unwrap();
            sink.send_to(&bytes[..length / 2], from).unwrap();
        }
    });
    std::thread::sleep(Duration::from_millis(300));
    let hosts = ["10.9.0.2", "fd09::2"];
    for host in hosts {
        let mut stream = TcpStream::connect((host, 7000)).unwrap();
        stream.write_all(&vec![7; 100_000]).unwrap();
        stream.shutdown(std::net::Shutdown::Write).unwrap();
        let mut bytes = Vec::new();
        stream.read_to_end(&mut bytes).unwrap();
        assert_eq!(bytes.len(), 100_000);
    }
    for host in hosts {
        let any = if host.contains(':') { "::" } else { "0.0.0.0" };
        let socket = UdpSocket::bind((any, 0)).unwrap();
        for n in 0..50 {
            // One goes in fragments (of IPv6 softflowd counts later ones as protocol 0), and
            // nobody listens on the other port.
            let fragments = n == 7 && any != "::";
            let length = if fragments { 1900 } else { 20 + n * 9 };
            socket.send_to(&vec![1; length], (host, 7001)).unwrap();
            let _ = socket.send_to(b"anybody?", (host, 7002));
            std::thread::sleep(Duration::from_millis(2));
        }
    }
    answer.join().unwrap();
    need("ping -q -c 20 -i 0.01 -s 100 10.9.0.2");
    need("ping -q -c 20 -i 0.01 -s 100 fd09::2");
    let socket = UdpSocket::bind("0.0.0.0:0").unwrap();
    for n in 0..6000 {
        let to = ("10.9.0.2", FILLER.parse().unwrap());
        let _ = socket.send_to(&[0; 1400], to);
        if n % 50 == 0 {
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

fn free_port() -> u16 {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    socket.local_addr().unwrap().port()
}

#[test]
fn exporter_capture_and_savefile_tell_the_same() {
    let name = "exporter_capture_and_savefile_tell_the_same";
    let tools = ["ip", "unshare", "nsenter", "ping", "softflowd", "tcpdump"];
    alone(name, &tools, the_same);
}

fn the_same() {
    need("ip link set lo up");
    let there = Host::behind("w0", &["10.9.0.2/24", "fd09::2/64"]);
    need("ip addr add 10.9.0.1/24 dev w0");
    need("ip addr add fd09::1/64 dev w0 nodad");
    let ports = [free_port(), free_port()];
    let mut rest = String::from("batch = 8\n");
    for (name, port) in ["nine", "ten"].iter().zip(ports) {
        rest +=
            &format!("[input.{name}]\nkind = \"udp\"\nlisten = \"127.0.0.1:{port}\"\nbatch = 8\n");
    }
    rest += "[input.wire]\nkind = \"capture\"\ninterface = \"w0\"\nring = \"2 MiB\"\nsnap = 128\n";
    for input in ["exports", "nine", "ten", "wire"] {
        rest += &format!(
            "[aggregate.{input}]\nfrom = [\"{input}\"]\nto = [\"{input}\"]\n\
             by = [\"src_host\", \"dst_host\", \"proto\", \"src_port\", \"dst_port\"]\n\
             [output.{input}]\nkind = \"file\"\npath = \"DIR/{input}.csv\"\nqueue = \"64k\"\n"
        );
    }
    let daemon = Daemon::start(&rest);
    let dir = daemon.dir();
    let at = dir.path().display();
    let dump = Beside::start(&format!(
        "tcpdump -i w0 -n -U -s 128 -B 8192 -Z root --immediate-mode -w {at}/wire.pcap"
    ));
    let exporters: Vec<_> = ["5", "9", "10"]
        .iter()
        .zip([daemon.port, ports[0], ports[1]])
        .map(|(version, port)| {
            let exporter = Beside::start(&format!(
                "softflowd -d -6 -i w0 -n 127.0.0.1:{port} -v {version} -c {at}/{version}.ctl \
                 -p {at}/{version}.pid"
            ));
            (version, exporter)
        })
        .collect();
    wait_for(|| {
        let ready = |v: &&str| dir.path().join(format!("{v}.ctl")).exists();
        ["5", "9", "10"].iter().all(ready) && dir.path().join("wire.pcap").exists()
    });
    std::thread::sleep(Duration::from_millis(500));
    converse(&there);
    std::thread::sleep(Duration::from_millis(1500));
    for (version, exporter) in exporters {
        need(&format!("softflowctl -c {at}/{version}.ctl shutdown"));
        let mut exporter = exporter;
        wait_for(|| exporter.0.try_wait().unwrap().is_some());
    }
    dump.signal("INT");
    let mut dump = dump;
    assert!(dump.0.wait().unwrap().success());
    std::thread::sleep(Duration::from_millis(300));
    let status = daemon.status();
    let log = daemon.stop();

    let file = |name: &str| {
        let text = std::fs::read_to_string(dir.path().join(name));
        talk(&text.unwrap_or_else(|e| panic!("{name}: {e}\n{log}\n{status}")))
    };
    let wire = file("wire.csv");
    // Both ways, three protocols, two families; ICMP of IPv6 is one of its own.
    assert!(wire.len() >= 12, "{wire:#?}");
    let by = "src_host,dst_host,proto,src_port,dst_port";
    let weir = env!("CARGO_BIN_EXE_weir");
    let read = need(&format!(
        "{weir} read --format csv --by {by} {at}/wire.pcap"
    ));
    assert_eq!(
        talk(&read),
        wire,
        "tcpdump and weir read, against the capture"
    );
    assert_eq!(file("nine.csv"), wire, "NetFlow v9 against the capture");
    assert_eq!(file("ten.csv"), wire, "IPFIX against the capture");
    let four = wire.into_iter().filter(|(key, _)| key.0.contains('.'));
    let four: Talk = four.collect();
    assert_eq!(file("exports.csv"), four, "NetFlow v5 against the capture");
}

#[test]
fn what_was_captured_last_is_counted_at_a_stop() {
    let name = "what_was_captured_last_is_counted_at_a_stop";
    alone(name, &["ip", "unshare", "nsenter"], counted_at_a_stop);
}

/// The kernel holds frames back until their block is full or its time is up.
fn counted_at_a_stop() {
    need("ip link set lo up");
    let _there = Host::behind("w0", &["10.9.0.2/24"]);
    need("ip addr add 10.9.0.1/24 dev w0");
    let daemon = Daemon::start(
        "[input.wire]\nkind = \"capture\"\ninterface = \"w0\"\nring = \"2 MiB\"\n\
         [aggregate.a]\nfrom = [\"wire\"]\nby = [\"dst_port\"]\nto = \"f\"\n\
         [output.f]\nkind = \"file\"\npath = \"DIR/a.csv\"\n",
    );
    let dir = daemon.dir();
    let socket = UdpSocket::bind("10.9.0.1:0").unwrap();
    for _ in 0..50 {
        socket.send_to(b"last words", "10.9.0.2:9").unwrap();
    }
    let log = daemon.stop();
    let rows = std::fs::read_to_string(dir.path().join("a.csv")).unwrap();
    let row = rows.lines().find(|row| row.starts_with("9,"));
    assert_eq!(row, Some("9,50,1900"), "{rows}\n{log}");
}

const RATE: u64 = 10;

#[test]
fn a_switch_samples() {
    let tools = [
        "ip",
        "unshare",
        "nsenter",
        "ovsdb-tool",
        "ovsdb-server",
        "ovs-vswitchd",
        "ovs-vsctl",
        "ovs-ofctl",
    ];
    alone("a_switch_samples", &tools, sampled);
}

fn sampled() {
    need("ip link set lo up");
    let there = Host::behind("p1", &["10.8.0.2/24"]);
    let daemon = Daemon::start(
        "decode = \"sflow\"\n[aggregate.flows]\nrenormalise = true\nto = [\"files\"]\n\
         by = [\"src_host\", \"dst_host\", \"proto\", \"dst_port\"]\n\
         [output.files]\nkind = \"file\"\npath = \"DIR/flows.csv\"\n",
    );
    let dir = daemon.dir();
    let at = dir.path().display();
    let schema = "/usr/share/openvswitch/vswitch.ovsschema";
    need(&format!("ovsdb-tool create {at}/conf.db {schema}"));
    let _db = Beside::start(&format!(
        "ovsdb-server {at}/conf.db --remote=punix:{at}/db.sock --unixctl={at}/db.ctl"
    ));
    wait_for(|| dir.path().join("db.sock").exists());
    let vsctl = format!("ovs-vsctl --db=unix:{at}/db.sock -t 20");
    need(&format!("{vsctl} --no-wait init"));
    let folders = ["RUN", "LOG", "DB", "SYSCONF"].map(|k| format!("OVS_{k}DIR={at}"));
    let _switch = Beside::start(&format!(
        "env {} ovs-vswitchd unix:{at}/db.sock --unixctl={at}/vs.ctl",
        folders.join(" ")
    ));
    need(&format!(
        "{vsctl} add-br br0 -- set bridge br0 datapath_type=netdev -- add-port br0 p1"
    ));
    need("ip addr add 10.8.0.1/24 dev br0");
    need("ip link set br0 up");
    need(&format!(
        "{vsctl} -- --id=@s create sflow agent=lo target=\"127.0.0.1:{}\" header=128 \
         sampling={RATE} polling=0 -- set bridge br0 sflow=@s",
        daemon.port
    ));
    need("ping -q -c 3 -i 0.2 10.8.0.2");
    let sink = there.spawn(|| UdpSocket::bind("10.8.0.2:7001").unwrap());
    let _sink = sink.join().unwrap();
    let sent = 20_000;
    let socket = UdpSocket::bind("10.8.0.1:0").unwrap();
    for n in 0..sent {
        socket.send_to(&[0; 500], ("10.8.0.2", 7001)).unwrap();
        if n % 20 == 0 {
            std::thread::sleep(Duration::from_millis(2));
        }
    }
    // What the tap lost on the way into the switch was never there to be sampled.
    let ports = need(&format!(
        "env {} ovs-ofctl dump-ports br0 LOCAL",
        folders.join(" ")
    ));
    let received = ports.split("rx pkts=").nth(1).unwrap_or_default();
    let received: u64 = received.split(',').next().unwrap().trim().parse().unwrap();
    assert!(received <= sent + 100, "{ports}");
    // The agent sends what it gathered within a second.
    std::thread::sleep(Duration::from_millis(2500));
    let status = daemon.status();
    let log = daemon.stop();
    let text = std::fs::read_to_string(dir.path().join("flows.csv")).unwrap_or_default();
    let flood = text
        .lines()
        .find(|line| line.starts_with("10.8.0.1,10.8.0.2,7001,udp,"));
    let flood = flood.unwrap_or_else(|| panic!("{text}\n{log}\n{status}"));
    let head: Vec<&str> = text.lines().next().unwrap().split(',').collect();
    let cells: Vec<&str> = flood.split(',').collect();
    let number = |name| {
        let at = head.iter().position(|h| *h == name).unwrap();
        cells[at].parse::<u64>().unwrap()
    };
    let (packets, bytes) = (number("PACKETS"), number("BYTES"));
    assert_eq!(packets % RATE, 0, "{flood}");
    assert_eq!(bytes, packets * (500 + 28), "{flood}");
    // Within five standard deviations of a binomial of one in RATE.
    let deviation = (received as f64 * (RATE - 1) as f64).sqrt();
    let off = packets as f64 - received as f64;
    assert!(
        off.abs() < 5.0 * deviation,
        "{packets} of {received}, {deviation}"
    );
    assert!(status.contains("\"sequence_lost\":0"), "{status}");
}
