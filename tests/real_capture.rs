//! Live capture against the real kernel, in network namespaces made here.
//!
//! Needs root and `ip`. Each test runs in a thread that moves to a fresh namespace, which ends
//! with the thread: nothing is left behind, and no packet leaves the machine.

#![cfg(target_os = "linux")]

use std::net::UdpSocket;
use std::process::Command;
use std::time::{Duration, Instant};
use weir::source::capture::{self, CaptureConfig, CaptureSource, Direction, RawInsn};
use weir::source::{Frame, Link, Source};
use weir::sys::poll::{Interest, Poll};

fn ip(arguments: &str) -> bool {
    let done = Command::new("ip").args(arguments.split(' ')).output();
    done.is_ok_and(|output| output.status.success())
}

/// Runs `test` in a namespace with `w0` (10.77.0.1) wired to `w1`, which is nobody's.
fn with_wire(name: &str, test: fn()) {
    let run = move || {
        // SAFETY: moves this thread alone to a new network namespace.
        let alone = unsafe { libc::unshare(libc::CLONE_NEWNET) } == 0;
        // No packets but ours: neither neighbour discovery nor ARP.
        for which in ["all", "default"] {
            let _ = std::fs::write(format!("/proc/sys/net/ipv6/conf/{which}/disable_ipv6"), "1");
        }
        if !alone || !ip("link add w0 type veth peer name w1") {
            return false;
        }
        wire();
        test();
        true
    };
    let done = std::thread::Builder::new()
        .name(name.to_owned())
        .spawn(run)
        .unwrap()
        .join();
    match done {
        Ok(true) => {}
        Ok(false) => println!("{name} skipped: needs root and ip"),
        Err(panic) => std::panic::resume_unwind(panic),
    }
}

fn wire() {
    for command in [
        "link set lo up",
        "link set w0 up",
        "link set w1 up",
        "addr add 10.77.0.1/24 dev w0",
        "neigh replace 10.77.0.2 lladdr 02:00:00:00:00:02 dev w0 nud permanent",
    ] {
        assert!(ip(command), "ip {command}");
    }
}

fn send(to: &str, port: u16, count: usize, payload: usize) {
    let socket = UdpSocket::bind("0.0.0.0:0").unwrap();
    let bytes: Vec<u8> = (0..payload).map(|i| i as u8).collect();
    for _ in 0..count {
        socket.send_to(&bytes, (to, port)).unwrap();
    }
}

/// Puts frames with VLAN tag 7 on the wire, to UDP port `port`, 146 bytes each. The receiving
/// side of the kernel takes the tag off before anybody sees the frame.
fn send_tagged(port: u16, count: usize) {
    let mut frame = vec![2, 0, 0, 0, 0, 7, 2, 0, 0, 0, 0, 1, 0x81, 0, 0, 7, 8, 0];
    frame.extend([
        0x45, 0, 0, 128, 0, 0, 0x40, 0, 64, 17, 0, 0, 10, 78, 0, 1, 10, 78, 0, 2,
    ]);
    frame.extend([0x30, 0x39, (port >> 8) as u8, port as u8, 0, 108, 0, 0]);
    frame.resize(146, 0xaa);
    let index = weir::sys::ring::interface("w0").unwrap().index;
    // SAFETY: system calls on a socket that is opened and closed here, with addresses and lengths
    // of local variables; an all-zero sockaddr_ll is valid.
    unsafe {
        let fd = libc::socket(libc::AF_PACKET, libc::SOCK_RAW, 0);
        let mut to: libc::sockaddr_ll = std::mem::zeroed();
        to.sll_family = libc::AF_PACKET as u16;
        to.sll_ifindex = index as i32;
        let size = size_of_val(&to) as libc::socklen_t;
        for _ in 0..count {
            let (bytes, to) = (frame.as_ptr().cast(), (&raw const to).cast());
            assert_eq!(libc::sendto(fd, bytes, frame.len(), 0, to, size), 146);
        }
        libc::close(fd);
    }
}

struct Seen {
    bytes: Vec<u8>,
    wire_len: u32,
    iface: u32,
    nanos: u64,
}

fn open(config: CaptureConfig) -> CaptureSource {
    CaptureSource::open(&CaptureConfig {
        memory: 4 << 20,
        ..config
    })
    .unwrap()
}

fn on(interface: &str) -> CaptureConfig {
    CaptureConfig {
        interface: interface.to_owned(),
        ..CaptureConfig::default()
    }
}

/// All that comes until nothing has come for longer than a block waits.
fn all(source: &mut CaptureSource) -> Vec<Seen> {
    let link = source.link();
    let mut seen = Vec::new();
    let mut poll = Poll::new();
    poll.add(source.fd().unwrap(), Interest::Read);
    while poll.wait(Some(Duration::from_millis(400))).unwrap() {
        let mut to = |f: &Frame<'_>| {
            assert_eq!(f.link, link);
            seen.push(Seen {
                bytes: f.bytes.to_vec(),
                wire_len: f.wire_len,
                iface: f.from.iface,
                nanos: f.time.0,
            });
        };
        source.read(&mut to).unwrap();
    }
    seen
}

#[test]
fn packets_and_bytes_are_those_sent() {
    with_wire("packets_and_bytes_are_those_sent", || {
        let mut whole = open(on("w1"));
        let mut short = open(CaptureConfig {
            snap: 60,
            ..on("w1")
        });
        let mut outgoing = open(CaptureConfig {
            direction: Direction::Out,
            ..on("w0")
        });
        let mut incoming = open(CaptureConfig {
            direction: Direction::In,
            ..on("w0")
        });
        let before = weir::base::time::wall().0;
        send("10.77.0.2", 9, 1000, 100);
        send("10.77.0.2", 9, 500, 1400);
        let seen = all(&mut whole);
        let after = weir::base::time::wall().0;
        assert_eq!(whole.link(), Link::Ethernet);
        assert_eq!(seen.len(), 1500);
        let bytes: u64 = seen.iter().map(|s| u64::from(s.wire_len)).sum();
        assert_eq!(bytes, 1000 * 142 + 500 * 1442);
        let index = std::fs::read_to_string("/sys/class/net/w1/ifindex");
        let index = index
            .ok()
            .and_then(|t| t.trim().parse().ok())
            .unwrap_or(seen[0].iface);
        for (i, s) in seen.iter().enumerate() {
            let payload = if i < 1000 { 100 } else { 1400 };
            assert_eq!(s.bytes.len(), 42 + payload);
            assert_eq!(s.bytes[..6], [2, 0, 0, 0, 0, 2]);
            assert!(s.bytes[42..].iter().enumerate().all(|(n, b)| *b == n as u8));
            assert!(s.iface == index && s.iface != 0);
            assert!((before..=after).contains(&s.nanos));
        }
        assert!(seen.is_sorted_by_key(|s| s.nanos));
        assert_eq!(whole.loss().kernel, 0);

        let cut = all(&mut short);
        assert_eq!(cut.len(), 1500);
        assert!(cut.iter().all(|s| s.bytes.len() == 60));
        assert_eq!(
            cut.iter().map(|s| u64::from(s.wire_len)).sum::<u64>(),
            bytes
        );

        assert_eq!(all(&mut outgoing).len(), 1500);
        assert_eq!(all(&mut incoming).len(), 0);
    });
}

#[test]
fn vlan_tags_are_kept() {
    with_wire("vlan_tags_are_kept", || {
        let mut source = open(on("w1"));
        let mut any = open(on("any"));
        send_tagged(9, 50);
        let seen = all(&mut source);
        assert_eq!(seen.len(), 50);
        for s in &seen {
            assert_eq!(s.bytes[..6], [2, 0, 0, 0, 0, 7]);
            assert_eq!(s.bytes[12..20], [0x81, 0, 0, 7, 8, 0, 0x45, 0]);
            assert_eq!((s.bytes.len(), s.wire_len), (146, 146));
        }
        // Out of w0, where the tag is among the bytes, and into w1, where it is not.
        let seen = all(&mut any);
        assert_eq!(seen.len(), 100);
        for s in seen {
            assert_eq!(s.bytes[..4], [0x81, 0, 0, 0]);
            assert_eq!(s.bytes[20..26], [0, 7, 8, 0, 0x45, 0]);
            assert_eq!((s.bytes.len(), s.wire_len), (24 + 128, 24 + 128));
        }
    });
}

#[test]
fn without_a_ring_the_same_frames_come() {
    with_wire("without_a_ring_the_same_frames_come", || {
        let on = |interface: &str, snap| CaptureConfig {
            memory: 4 << 20,
            snap,
            ..on(interface)
        };
        for (interface, snap) in [("w1", 262_144), ("w1", 70), ("any", 262_144)] {
            let mut ring = open(on(interface, snap));
            let mut plain = CaptureSource::open_plain(&on(interface, snap)).unwrap();
            let before = weir::base::time::wall().0;
            send_tagged(9, 40);
            send("10.77.0.2", 9, 40, 200);
            let (want, got) = (all(&mut ring), all(&mut plain));
            let after = weir::base::time::wall().0;
            assert_eq!(want.len(), got.len());
            assert_eq!(got.len(), if interface == "any" { 160 } else { 80 });
            for (want, got) in want.iter().zip(&got) {
                assert_eq!((&want.bytes, want.iface), (&got.bytes, got.iface));
                assert_eq!(want.wire_len, got.wire_len);
                assert!((before..=after).contains(&got.nanos));
            }
            assert_eq!(plain.loss().kernel, 0);
        }
        let mut plain = CaptureSource::open_plain(&on("w1", 262_144)).unwrap();
        assert!(ip("link del w0"));
        let end = Instant::now() + Duration::from_secs(5);
        let error = loop {
            match plain.read(&mut |_| {}) {
                Ok(_) => assert!(Instant::now() < end, "no error"),
                Err(e) => break e.to_string(),
            }
        };
        assert!(error.contains("gone or is down"), "{error}");
    });
}

#[test]
fn what_does_not_fit_is_counted() {
    with_wire("what_does_not_fit_is_counted", || {
        let config = CaptureConfig {
            memory: 64 << 10,
            ..on("w1")
        };
        let mut source = CaptureSource::open(&config).unwrap();
        assert_eq!(source.memory(), 64 << 10);
        for round in 1..=3 {
            send("10.77.0.2", 9, 3000, 200);
            let seen = all(&mut source).len() as u64;
            let lost = source.loss().kernel;
            assert!(seen > 0 && lost > 0);
            // The loss is since opening, so count along.
            let before = SEEN.fetch_add(seen as u32, std::sync::atomic::Ordering::Relaxed);
            assert_eq!(u64::from(before) + seen + lost, round * 3000);
        }
    });
    static SEEN: std::sync::atomic::AtomicU32 = std::sync::atomic::AtomicU32::new(0);
}

#[test]
fn the_kernel_filters_first() {
    with_wire("the_kernel_filters_first", || {
        // Destination port 9, for IPv4 without options: ldh [36]; jeq #9; ret all; ret none.
        let filter = vec![
            RawInsn {
                code: 0x28,
                jt: 0,
                jf: 0,
                k: 36,
            },
            RawInsn {
                code: 0x15,
                jt: 0,
                jf: 1,
                k: 9,
            },
            RawInsn {
                code: 0x06,
                jt: 0,
                jf: 0,
                k: 262_144,
            },
            RawInsn {
                code: 0x06,
                jt: 0,
                jf: 0,
                k: 0,
            },
        ];
        let mut source = open(CaptureConfig {
            filter,
            snap: 50,
            ..on("w1")
        });
        send("10.77.0.2", 9, 30, 100);
        send("10.77.0.2", 10, 40, 100);
        let seen = all(&mut source);
        assert_eq!(seen.len(), 30);
        assert!(
            seen.iter()
                .all(|s| s.bytes[36..38] == [0, 9] && s.bytes.len() == 50)
        );
        // A tag that was taken off: the frame is left to whoever sees the whole of it.
        send_tagged(10, 5);
        assert_eq!(all(&mut source).len(), 5);
    });
}

#[test]
fn any_and_loopback() {
    with_wire("any_and_loopback", || {
        let (mut any, mut lo) = (open(on("any")), open(on("lo")));
        assert_eq!(any.link(), Link::LinuxSll2);
        let sink = UdpSocket::bind("127.0.0.1:0").unwrap();
        send("127.0.0.1", sink.local_addr().unwrap().port(), 20, 100);
        let seen = all(&mut lo);
        assert_eq!(seen.len(), 20);
        assert!(
            seen.iter()
                .all(|s| s.bytes.len() == 142 && s.bytes[12..14] == [8, 0])
        );
        send("10.77.0.2", 9, 10, 100);
        let seen = all(&mut any);
        // Loopback once, the wire at both its ends.
        assert_eq!(seen.len(), 20 + 10 + 10);
        for s in &seen {
            assert_eq!(s.bytes[..4], [8, 0, 0, 0]);
            assert_eq!(s.bytes[4..8], s.iface.to_be_bytes());
            assert_eq!((s.bytes[20], s.wire_len), (0x45, 20 + 128));
        }
        let sent = seen
            .iter()
            .filter(|s| s.bytes[10] == libc::PACKET_OUTGOING)
            .count();
        assert_eq!(sent, 10);
        if ip("tuntap add dev wt0 mode tun") {
            assert_eq!(capture::link("wt0").unwrap(), Link::LinuxSll2);
        }
    });
}

#[test]
fn workers_share_an_interface_by_flow() {
    with_wire("workers_share_an_interface_by_flow", || {
        let config = CaptureConfig {
            fanout: Some(std::process::id() as u16),
            ..on("w1")
        };
        let mut workers: Vec<_> = (0..3).map(|_| open(config.clone())).collect();
        for port in 1..=40 {
            send("10.77.0.2", port, 1, 100);
        }
        let sender = UdpSocket::bind("0.0.0.0:0").unwrap();
        for _ in 0..50 {
            sender.send_to(b"one flow", ("10.77.0.2", 99)).unwrap();
        }
        let (mut total, mut with_flow) = (0, 0);
        for worker in &mut workers {
            let seen = all(worker);
            total += seen.len();
            let flow = seen.iter().filter(|s| s.bytes[36..38] == [0, 99]).count();
            assert!(flow == 0 || flow == 50);
            with_flow += usize::from(flow > 0);
        }
        assert_eq!((total, with_flow), (90, 1));
    });
}

#[test]
fn an_interface_that_goes_is_an_error_and_comes_back() {
    with_wire("an_interface_that_goes_is_an_error_and_comes_back", || {
        let mut source = open(on("w1"));
        send("10.77.0.2", 9, 10, 100);
        assert!(ip("link del w0"));
        let (mut seen, end) = (0, Instant::now() + Duration::from_secs(5));
        let error = loop {
            match source.read(&mut |_| seen += 1) {
                Ok(_) => assert!(Instant::now() < end, "no error"),
                Err(e) => break e.to_string(),
            }
        };
        assert!(
            error.contains("w1") && error.contains("gone or is down"),
            "{error}"
        );
        assert_eq!(seen, 10);
        assert!(CaptureSource::open(&on("w1")).is_err());

        assert!(ip("link add w0 type veth peer name w1"));
        let error = CaptureSource::open(&on("w1")).err().unwrap().to_string();
        assert!(error.contains("down"), "{error}");
        wire();
        let mut source = open(on("w1"));
        send("10.77.0.2", 9, 3, 100);
        assert_eq!(all(&mut source).len(), 3);
    });
}

#[test]
fn a_refusal_names_the_capability() {
    with_wire("a_refusal_names_the_capability", || {
        // SAFETY: the raw system call changes the user of this thread alone.
        let changed = unsafe { libc::syscall(libc::SYS_setresuid, 65_534, 65_534, 65_534) };
        assert_eq!(changed, 0);
        let error = CaptureSource::open(&on("w1")).err().unwrap();
        assert!(error.to_string().contains("CAP_NET_RAW"), "{error}");
        let weir::source::SourceError::Io(error) = error else {
            panic!("{error}")
        };
        assert_eq!(error.kind(), std::io::ErrorKind::PermissionDenied);
    });
}
