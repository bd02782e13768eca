//! The real daemon as a service: the service manager's socket, the processor when idle, rights it
//! lacks, disks that fill up and are freed, files by value with links and triggers.

mod daemon;

use daemon::{Daemon, datagrams, sums, wait_for};
use std::net::UdpSocket;
use std::os::unix::net::UnixDatagram;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// Packets and bytes that the datagrams of `softflowd-v9.pcap` tell of.
const V9: (u64, u64) = (2085, 1_255_282);

const FILES: &str = "[aggregate.flows]\nby = [\"src_host\", \"dst_host\", \"proto\"]\n\
    every = \"1h\"\nto = [\"files\"]\n\
    [output.files]\nkind = \"file\"\npath = \"DIR/flows.csv\"\n";

fn send(from: &str, port: u16, all: &[Vec<u8>]) {
    let socket = UdpSocket::bind((from, 0)).unwrap();
    for datagram in all {
        socket.send_to(datagram, ("127.0.0.1", port)).unwrap();
        std::thread::sleep(Duration::from_millis(1));
    }
}

fn root() -> bool {
    // SAFETY: a system call without arguments.
    unsafe { libc::geteuid() == 0 }
}

fn signal(pid: u32, name: &str) {
    let arguments = ["-s", name, &pid.to_string()];
    assert!(
        Command::new("kill")
            .args(arguments)
            .status()
            .unwrap()
            .success()
    );
}

/// Ends a child when a test fails.
struct Kill(std::process::Child);

impl Drop for Kill {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn the_service_manager_is_told() {
    let dir = tempfile::tempdir().unwrap();
    let manager = UnixDatagram::bind(dir.path().join("notify")).unwrap();
    manager
        .set_read_timeout(Some(Duration::from_secs(20)))
        .unwrap();
    let hear = || {
        let mut bytes = [0; 512];
        let length = manager.recv(&mut bytes).expect("a message");
        String::from_utf8_lossy(&bytes[..length]).into_owned()
    };
    let port = UdpSocket::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap();
    Daemon::configure(&dir, port.port(), FILES);
    let child = Command::new(env!("CARGO_BIN_EXE_weir"))
        .args(["run", "-c"])
        .arg(dir.path().join("weir.toml"))
        .env("NOTIFY_SOCKET", dir.path().join("notify"))
        .env("WATCHDOG_USEC", "400000")
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut child = Kill(child);
    // The watchdog's messages lie between the others.
    let next = |wanted: &str| {
        let mut watchdogs = 0;
        loop {
            let text = hear();
            if text.lines().any(|line| line == wanted) {
                return (text, watchdogs);
            }
            assert!(text.contains("WATCHDOG=1"), "{wanted}: {text}");
            watchdogs += 1;
        }
    };
    next("READY=1");
    let began = Instant::now();
    next("WATCHDOG=1");
    next("WATCHDOG=1");
    assert!(began.elapsed() < Duration::from_secs(2));
    signal(child.0.id(), "HUP");
    let (text, _) = next("RELOADING=1");
    // Type=notify-reload wants to know when it began.
    assert!(text.contains("MONOTONIC_USEC="), "{text}");
    next("READY=1");
    signal(child.0.id(), "TERM");
    next("STOPPING=1");
    assert!(child.0.wait().unwrap().success());
}

/// Processor time of a process so far, in nanoseconds, all threads together.
fn cpu(pid: u32) -> u64 {
    let tasks = std::fs::read_dir(format!("/proc/{pid}/task")).unwrap();
    let each = tasks.map(|task| {
        let text = std::fs::read_to_string(task.unwrap().path().join("schedstat"));
        let text = text.unwrap_or_default();
        let first = text.split_whitespace().next().map(str::to_owned);
        first.and_then(|n| n.parse::<u64>().ok()).unwrap_or(0)
    });
    each.sum()
}

#[test]
fn an_idle_daemon_uses_no_processor() {
    // As many parts as a large configuration has, with bins that end while it is watched.
    let daemon = Daemon::start(
        "workers = 2\n[aggregate.a]\nby = [\"src_host\"]\nevery = \"1s\"\nto = [\"a\"]\n\
         [aggregate.b]\nby = [\"dst_host\"]\nto = [\"b\"]\n\
         [output.a]\nkind = \"file\"\npath = \"DIR/%s.csv\"\n\
         [output.b]\nkind = \"memory\"\n",
    );
    std::thread::sleep(Duration::from_millis(500));
    let before = cpu(daemon.pid());
    std::thread::sleep(Duration::from_secs(2));
    let used = Duration::from_nanos(cpu(daemon.pid()) - before);
    daemon.stop();
    assert!(
        used < Duration::from_millis(20),
        "{used:?} in two idle seconds"
    );
}

#[test]
fn a_crash_leaves_a_line() {
    let file = "[log]\nto = \"file\"\nfile = \"DIR/log\"\n";
    for (name, to) in [("SEGV", ""), ("ABRT", file)] {
        let daemon = Daemon::start(&format!("{FILES}{to}"));
        daemon.signal(name);
        wait_for(|| daemon.log().contains("dies of"));
        let log = daemon.log();
        let line = log.lines().last().unwrap_or_default();
        // The shell's `kill` sent it; its number is not ours to know.
        let begin = format!("weir: error: dies of SIG{name} sent by process ");
        let end = format!(", thread weir, weir {}", env!("CARGO_PKG_VERSION"));
        assert!(line.starts_with(&begin) && line.ends_with(&end), "{log}");
        let (code, ..) = daemon.stop_any();
        assert_eq!(code, None, "it dies of the signal");
    }
}

#[test]
fn a_full_disk_keeps_rows_until_there_is_room() {
    let daemon = Daemon::start(
        "[aggregate.flows]\nby = [\"src_host\", \"dst_host\", \"src_port\", \"dst_port\"]\n\
         every = \"1s\"\nto = [\"files\"]\n\
         [output.files]\nkind = \"file\"\npath = \"DIR/disk/%s.csv\"\n",
    );
    let dir = daemon.dir();
    let disk = dir.path().join("disk");
    std::fs::create_dir_all(&disk).unwrap();
    let mounted = Command::new("mount")
        .args(["-t", "tmpfs", "-o", "size=64k", "weir-test"])
        .arg(&disk)
        .stderr(Stdio::null())
        .status();
    if !root() || !mounted.is_ok_and(|status| status.success()) {
        println!("a_full_disk_keeps_rows_until_there_is_room skipped: needs root and mount");
        return;
    }
    let unmount = Unmount(disk.clone());
    let filler = disk.join("filler");
    let _ = std::fs::write(&filler, vec![1; 256 << 10]);
    let all = datagrams("softflowd-v9.pcap");
    send("127.0.0.1", daemon.port, &all);
    wait_for(|| daemon.log().contains("rows wait in the queue"));
    let status = daemon.status();
    assert!(daemon.log().contains("rows wait"), "{status}");
    send("127.0.0.1", daemon.port, &all);
    std::fs::remove_file(&filler).unwrap();
    wait_for(|| daemon.log().contains("works again"));
    let want = (V9.0 * 2, V9.1 * 2);
    wait_for(|| daemon.decoded() >= want);
    let log = daemon.stop();
    assert_eq!(folder(&disk), want, "{log}");
    drop(unmount);
}

/// Takes a test's file system away.
struct Unmount(std::path::PathBuf);

impl Drop for Unmount {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}

/// What all complete files of a folder add up to.
fn folder(path: &Path) -> (u64, u64) {
    let files = std::fs::read_dir(path).unwrap();
    let files = files.map(|file| file.unwrap().path());
    let csv = files.filter(|p| p.extension().is_some_and(|e| e == "csv") && !p.is_symlink());
    csv.fold((0, 0), |sum, path| {
        let one = sums(&path);
        (sum.0 + one.0, sum.1 + one.1)
    })
}

#[test]
fn a_user_without_rights_learns_which_one_it_needs() {
    if !root() {
        println!("a_user_without_rights_learns_which_one_it_needs skipped: needs root");
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    // Where that user finds them.
    let open = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    std::fs::set_permissions(dir.path(), open).unwrap();
    let binary = dir.path().join("weir");
    // Copied by another process: a descriptor of ours, open for writing, would be inherited by
    // whatever the other tests start just then, and the system runs no program that is written to.
    let copied = Command::new("cp")
        .arg(env!("CARGO_BIN_EXE_weir"))
        .arg(&binary)
        .status()
        .unwrap();
    assert!(copied.success());
    let text = "[input.here]\nkind = \"capture\"\ninterface = \"lo\"\n\
        [aggregate.all]\nto = [\"out\"]\n[output.out]\nkind = \"print\"\n";
    std::fs::write(dir.path().join("weir.toml"), text).unwrap();
    let out = Command::new(binary)
        .args(["run", "-c"])
        .arg(dir.path().join("weir.toml"))
        .current_dir("/")
        .uid(65_534)
        .gid(65_534)
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&out.stderr);
    assert_eq!(out.status.code(), Some(4), "{said}");
    assert!(
        said.contains("CAP_NET_RAW") && said.contains("here"),
        "{said}"
    );
}

#[test]
fn files_by_exporter_with_a_link_and_a_trigger() {
    let daemon = Daemon::start(
        "[aggregate.flows]\nby = [\"peer_src_ip\", \"src_host\", \"dst_host\"]\nevery = \"1s\"\n\
         to = [\"files\"]\n\
         [output.files]\nkind = \"file\"\npath = \"DIR/$peer_src_ip-%s.csv\"\n\
         latest = \"DIR/latest\"\n\
         trigger = \"echo $WEIR_FILE >> 'DIR/triggered'\"\n",
    );
    let all = datagrams("softflowd-v9.pcap");
    for peer in ["127.0.0.2", "127.0.0.3"] {
        send(peer, daemon.port, &all);
    }
    let want = (V9.0 * 2, V9.1 * 2);
    wait_for(|| daemon.decoded() >= want);
    let dir = daemon.dir();
    let log = daemon.stop();
    assert_eq!(folder(dir.path()), want, "{log}");
    let names = || {
        let entries = std::fs::read_dir(dir.path()).unwrap();
        let names = entries.map(|e| e.unwrap().path().display().to_string());
        let mut names: Vec<_> = names.filter(|name| name.ends_with(".csv")).collect();
        names.sort();
        names
    };
    for peer in ["127.0.0.2", "127.0.0.3"] {
        let mine = names().into_iter().filter(|name| name.contains(peer));
        let sum = mine.fold((0, 0), |sum, name| {
            let one = sums(Path::new(&name));
            (sum.0 + one.0, sum.1 + one.1)
        });
        assert_eq!(sum, V9, "{peer}: {log}");
    }
    let latest = std::fs::read_link(dir.path().join("latest")).unwrap();
    assert!(
        names()
            .iter()
            .any(|n| n.ends_with(latest.to_str().unwrap())),
        "{latest:?}"
    );
    let triggered = || {
        let text = std::fs::read_to_string(dir.path().join("triggered")).unwrap_or_default();
        let mut lines: Vec<_> = text.lines().map(str::to_owned).collect();
        lines.sort();
        lines
    };
    wait_for(|| triggered() == names());
    assert_eq!(triggered(), names());
}

#[test]
fn filters_divide_what_comes_without_loss() {
    let parts = [
        ("tcp", "tcp"),
        ("udp", "udp"),
        ("rest", "not tcp and not udp"),
        ("six", "ip6"),
        ("four", "ip"),
    ];
    let mut text = String::new();
    for (every, (name, filter)) in parts.iter().enumerate() {
        text += &format!(
            "[aggregate.{name}]\nby = [\"src_host\"]\nfilter = \"{filter}\"\nevery = \"{}s\"\n\
             to = [\"{name}\"]\n[output.{name}]\nkind = \"file\"\npath = \"DIR/{name}.csv\"\n",
            every + 1
        );
    }
    let daemon = Daemon::start(&text);
    if daemon.log().contains("libpcap") {
        println!("filters_divide_what_comes_without_loss skipped: needs libpcap0.8");
        return;
    }
    let all = datagrams("softflowd-v9.pcap");
    for _ in 0..3 {
        send("127.0.0.1", daemon.port, &all);
        std::thread::sleep(Duration::from_millis(600));
    }
    let want = (V9.0 * 3, V9.1 * 3);
    wait_for(|| daemon.decoded() >= want);
    let dir = daemon.dir();
    let log = daemon.stop();
    let of = |name: &str| sums(&dir.path().join(format!("{name}.csv")));
    let add = |a: (u64, u64), b: (u64, u64)| (a.0 + b.0, a.1 + b.1);
    assert_eq!(add(add(of("tcp"), of("udp")), of("rest")), want, "{log}");
    assert_eq!(add(of("four"), of("six")), want, "{log}");
    assert!(parts.iter().all(|(name, _)| of(name).0 > 0), "{log}");
}
