//! The real daemon without what it does not need: who it is, what the kernel says of it, what
//! reloads may still do, what commands inherit. Linux, and mostly root, who has something to lose.
#![cfg(target_os = "linux")]

mod daemon;

use daemon::{Daemon, datagrams, sums, wait_for};
use std::net::UdpSocket;
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::Path;
use std::process::Command;
use std::rc::Rc;
use std::time::Duration;
use tempfile::TempDir;
use weir::sys::user::{self, Account};

/// Packets and bytes that the datagrams of `softflowd-v9.pcap` tell of.
const V9: (u64, u64) = (2085, 1_255_282);

/// A folder of this account, with a port that is free.
fn folder(of: &Account) -> (Rc<TempDir>, u16) {
    let dir = tempfile::tempdir().unwrap();
    chown(dir.path(), Some(of.uid), Some(of.gid)).unwrap();
    let port = UdpSocket::bind("127.0.0.1:0").unwrap();
    (Rc::new(dir), port.local_addr().unwrap().port())
}

/// Writes a configuration; `top` is what stands before its sections.
fn configure(dir: &TempDir, port: u16, top: &str, rest: &str) {
    let at = dir.path().display().to_string();
    let text = format!(
        "memory = \"24 MiB\"\ncontrol = \"{at}/sock\"\nstop_within = \"3s\"\n{top}\n\
         [input.exports]\nkind = \"udp\"\nlisten = \"127.0.0.1:{port}\"\n{rest}\n\
         [aggregate.flows]\nby = [\"src_host\", \"dst_host\"]\nevery = \"1s\"\n\
         from = [\"exports\"]\nto = [\"files\"]\n"
    );
    std::fs::write(dir.path().join("weir.toml"), text.replace("DIR", &at)).unwrap();
}

const FILES: &str = "[output.files]\nkind = \"file\"\npath = \"DIR/out/%s.csv\"\n";

const CAPTURE: &str = "[input.lo]\nkind = \"capture\"\ninterface = \"lo\"\n\
    [aggregate.seen]\nby = [\"proto\"]\nevery = \"1s\"\nfrom = [\"lo\"]\nto = [\"seen\"]\n\
    [output.seen]\nkind = \"file\"\npath = \"DIR/seen/%s.csv\"\n";

/// The account that tests become; none where we are not root, who alone can.
fn nobody(test: &str) -> Option<Account> {
    let nobody = user::account("nobody").filter(|n| user::current().0 == 0 && n.uid != 0);
    if nobody.is_none() {
        println!("{test} skipped: needs root, and an account `nobody`");
    }
    nobody
}

fn send(daemon: &Daemon) {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    for datagram in datagrams("softflowd-v9.pcap") {
        socket
            .send_to(&datagram, ("127.0.0.1", daemon.port))
            .unwrap();
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// A line of the status that the kernel keeps of each thread of a process.
fn of_threads(pid: u32, name: &str) -> Vec<String> {
    let tasks = std::fs::read_dir(format!("/proc/{pid}/task")).unwrap();
    let mut all: Vec<String> = tasks
        // A thread may end meanwhile.
        .filter_map(|task| {
            let text = std::fs::read_to_string(task.ok()?.path().join("status")).ok()?;
            let mut lines = text.lines();
            let line = lines.find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
            let words = line.unwrap_or_default().split_whitespace();
            Some(words.collect::<Vec<_>>().join(" "))
        })
        .collect();
    all.dedup();
    all
}

/// All rows of a folder.
fn written(dir: &Path, folder: &str) -> (u64, u64) {
    let files = std::fs::read_dir(dir.join(folder)).into_iter().flatten();
    files.fold((0, 0), |sum, file| {
        let one = sums(&file.unwrap().path());
        (sum.0 + one.0, sum.1 + one.1)
    })
}

/// Whether the status says that a part is on; where the kernel has it.
fn is_on(status: &str, part: &str) -> bool {
    status.contains(&format!("\"{part}\":{{\"on\":true"))
}

#[test]
fn root_becomes_nobody_and_keeps_what_the_inputs_need() {
    let Some(nobody) = nobody("root_becomes_nobody_and_keeps_what_the_inputs_need") else {
        return;
    };
    let (dir, port) = folder(&nobody);
    let top = "user = \"nobody\"";
    configure(&dir, port, top, &format!("{FILES}{CAPTURE}"));
    let daemon = Daemon::spawn(dir.clone(), port);
    let pid = daemon.pid();
    let ids = vec![[nobody.uid.to_string().as_str(); 4].join(" ")];
    let status = daemon.status();
    assert_eq!(of_threads(pid, "Uid"), ids, "{}", daemon.log());
    assert_eq!(of_threads(pid, "NoNewPrivs"), ["1"]);
    // Packets and nothing else: the port is a high one.
    for set in ["CapPrm", "CapEff", "CapBnd"] {
        assert_eq!(of_threads(pid, set), ["0000000000002000"], "{set}");
    }
    assert_eq!(of_threads(pid, "CapAmb"), ["0000000000000000"]);
    if is_on(&status, "seccomp") {
        assert_eq!(of_threads(pid, "Seccomp"), ["2"]);
    }
    for part in [
        "\"user\":\"nobody\"",
        "\"capabilities\":[\"CAP_NET_RAW\"],\"capabilities_more\":0",
        "\"no_new_privs\":true",
    ] {
        assert!(status.contains(part), "{part}: {status}");
    }
    // Another ring and another port are opened under way.
    send(&daemon);
    // A ring that is given up takes along what it has not handed out yet.
    std::thread::sleep(Duration::from_millis(500));
    let again = format!("{FILES}{CAPTURE}").replace("\"lo\"\n[", "\"lo\"\nsnap = 128\n[");
    configure(&dir, port, top, &again);
    daemon.signal("HUP");
    wait_for(|| daemon.log().contains("is in force"));
    assert!(daemon.log().contains("is in force"), "{}", daemon.log());
    send(&daemon);
    let both = (V9.0 * 2, V9.1 * 2);
    wait_for(|| daemon.decoded() >= both);
    std::thread::sleep(Duration::from_millis(500));
    let log = daemon.stop();
    assert_eq!(written(dir.path(), "out"), both, "{log}");
    // The capture has seen the datagrams, before and after.
    let (sent, seen) = (
        datagrams("softflowd-v9.pcap").len(),
        written(dir.path(), "seen"),
    );
    assert!(
        seen.0 >= 2 * sent as u64,
        "{seen:?} of {sent}, twice: {log}"
    );
    let owner = std::os::unix::fs::MetadataExt::uid(&dir.path().join("out").metadata().unwrap());
    assert_eq!(owner, nobody.uid);
}

#[test]
fn a_reload_that_needs_more_is_refused_by_name_and_the_rest_goes_on() {
    let outside = tempfile::tempdir().unwrap();
    let (dir, port) = folder(&user::account(&user::current().0.to_string()).unwrap());
    configure(&dir, port, "", FILES);
    let daemon = Daemon::spawn(dir.clone(), port);
    let status = daemon.status();
    let (seccomp, landlock) = (is_on(&status, "seccomp"), is_on(&status, "landlock"));
    let out = outside.path().display().to_string();
    let mut refused = 0;
    for (top, rest, said, how) in [
        (
            "",
            FILES.replace("DIR/out", &out),
            format!("`output.files.path` writes in {out}, which the sandbox"),
            landlock,
        ),
        (
            &format!("templates = \"{out}/templates\""),
            FILES.into(),
            format!("`templates` writes in {out}, which the sandbox"),
            landlock,
        ),
        (
            "http = \"127.0.0.1:19099\"",
            FILES.into(),
            "`http` serves at port 19099, which the sandbox".into(),
            landlock,
        ),
        (
            "",
            format!("{FILES}trigger = \"touch DIR/triggered\"\n"),
            "`output.files.trigger` runs commands, which the sandbox".into(),
            seccomp,
        ),
        (
            "",
            format!("{FILES}{CAPTURE}"),
            "`input.lo.kind` captures packets (CAP_NET_RAW), which the sandbox".into(),
            seccomp,
        ),
    ] {
        if !how {
            println!("not refused by this kernel: {said}");
            continue;
        }
        configure(&dir, port, top, &rest);
        daemon.signal("HUP");
        refused += 1;
        let stays = |log: &str| log.matches("stays in force").count() == refused;
        wait_for(|| stays(&daemon.log()));
        let log = daemon.log();
        assert!(stays(&log) && log.contains(&said), "{said}: {log}");
    }
    // Less, and what is within, is taken up.
    configure(&dir, port, "", &FILES.replace("%s", "%s-new"));
    daemon.signal("HUP");
    wait_for(|| daemon.log().contains("is in force"));
    send(&daemon);
    wait_for(|| daemon.decoded() >= V9);
    let log = daemon.stop();
    assert_eq!(written(dir.path(), "out"), V9, "{log}");
    assert_eq!(outside.path().read_dir().unwrap().count(), 0, "{log}");
    assert!(!dir.path().join("triggered").exists());
}

/// A configuration and an output that are links to other folders, as managers of either make them.
#[test]
fn what_links_lead_to_is_let_through() {
    let outside = tempfile::tempdir().unwrap();
    let (dir, port) = folder(&user::account(&user::current().0.to_string()).unwrap());
    let (rows, file) = (dir.path().join("rows.csv"), dir.path().join("weir.toml"));
    std::os::unix::fs::symlink(outside.path().join("rows.csv"), &rows).unwrap();
    let rest = FILES.replace("out/%s.csv", "rows.csv") + "append = true\n";
    configure(&dir, port, "", &rest);
    let real = outside.path().join("real.toml");
    std::fs::rename(&file, &real).unwrap();
    std::os::unix::fs::symlink(&real, &file).unwrap();
    let daemon = Daemon::spawn(dir.clone(), port);
    daemon.signal("HUP");
    wait_for(|| daemon.log().contains("is in force"));
    send(&daemon);
    wait_for(|| daemon.decoded() >= V9);
    let log = daemon.stop();
    assert!(!log.contains("denied"), "{log}");
    assert_eq!(sums(&outside.path().join("rows.csv")), V9, "{log}");
}

#[test]
fn it_ends_for_a_configuration_that_needs_more_where_a_manager_starts_it_anew() {
    let (dir, port) = folder(&user::account(&user::current().0.to_string()).unwrap());
    configure(&dir, port, "", FILES);
    let daemon = Daemon::spawn_with(dir.clone(), port, &["--restart"]);
    if !is_on(&daemon.status(), "seccomp") {
        println!("restart_of_the_sandbox skipped: this kernel has no seccomp");
        return;
    }
    send(&daemon);
    wait_for(|| daemon.decoded() >= V9);
    let more = format!("{FILES}trigger = \"touch DIR/triggered\"\n");
    // Wrong beside: it would not start with that.
    configure(
        &dir,
        port,
        "",
        &format!("{more}[output.more]\nkind = \"nowhere\"\n"),
    );
    daemon.signal("HUP");
    wait_for(|| daemon.log().contains("stays in force"));
    configure(&dir, port, "", &more);
    daemon.signal("HUP");
    let (status, log) = daemon.ended();
    assert_eq!(status, Some(4), "{log}");
    assert!(
        log.contains("which the sandbox has not let through"),
        "{log}"
    );
    assert!(log.contains("ends, to be started anew"), "{log}");
    assert_eq!(log.matches("stays in force").count(), 1, "{log}");
    assert_eq!(written(dir.path(), "out"), V9, "{log}");
    // As a service manager would.
    let daemon = Daemon::spawn_with(dir.clone(), port, &["--restart"]);
    let log = daemon.stop();
    assert!(!log.contains("error"), "{log}");
}

#[test]
fn commands_are_as_free_as_before_and_confined_when_strict() {
    let Some(nobody) = nobody("commands_are_as_free_as_before_and_confined_when_strict") else {
        return;
    };
    let outside = tempfile::tempdir().unwrap();
    let free = std::fs::Permissions::from_mode(0o777);
    std::fs::set_permissions(outside.path(), free).unwrap();
    let out = outside.path().display().to_string();
    let rest = format!(
        "{FILES}trigger = \"id -u > DIR/id; grep -E 'NoNewPrivs|Seccomp:' /proc/self/status > \
         DIR/has; touch {out}/made; echo done > DIR/done\"\n"
    );
    for strict in [false, true] {
        let (dir, port) = folder(&nobody);
        let top = if strict {
            "user = \"nobody\"\nsandbox = \"strict\""
        } else {
            "user = \"nobody\""
        };
        configure(&dir, port, top, &rest);
        let daemon = Daemon::spawn(dir.clone(), port);
        if strict && !daemon.log().contains("runs as nobody") {
            let log = daemon.log();
            assert!(log.contains("`sandbox` is \"strict\": no "), "{log}");
            println!("strict: skipped: {log}");
            continue;
        }
        send(&daemon);
        let read = |name: &str| std::fs::read_to_string(dir.path().join(name)).unwrap_or_default();
        wait_for(|| read("done") == "done\n");
        let (id, has) = (read("id"), read("has"));
        let made = outside.path().join("made").exists();
        let log = daemon.stop();
        assert_eq!(id.trim(), nobody.uid.to_string(), "{log}");
        let flat: String = has.split_whitespace().collect();
        let want = if strict {
            "NoNewPrivs:1Seccomp:2"
        } else {
            "NoNewPrivs:0Seccomp:0"
        };
        assert_eq!(flat, want, "{log}");
        assert_eq!(made, !strict, "{log}");
        let _ = std::fs::remove_file(outside.path().join("made"));
        let reason = "`output.files.trigger` runs commands";
        assert!(strict || daemon_says(&dir, port, top, &rest).contains(reason));
    }
}

/// The status as text, of a daemon that is started for it.
fn daemon_says(dir: &Rc<TempDir>, port: u16, top: &str, rest: &str) -> String {
    configure(dir, port, top, rest);
    let daemon = Daemon::spawn(dir.clone(), port);
    let out = Command::new(env!("CARGO_BIN_EXE_weir"))
        .args(["status", "--socket"])
        .arg(dir.path().join("sock"))
        .output()
        .unwrap();
    daemon.stop();
    String::from_utf8_lossy(&out.stdout).into_owned()
}

#[test]
fn without_a_sandbox_nothing_is_taken() {
    let (dir, port) = folder(&user::account(&user::current().0.to_string()).unwrap());
    configure(&dir, port, "sandbox = false", FILES);
    let daemon = Daemon::spawn(dir, port);
    let own = |name: &str| of_threads(std::process::id(), name);
    for name in ["Uid", "CapEff", "CapBnd", "NoNewPrivs", "Seccomp"] {
        assert_eq!(of_threads(daemon.pid(), name), own(name), "{name}");
    }
    let status = daemon.status();
    assert!(
        status.contains("\"says\":\"`sandbox` is false\""),
        "{status}"
    );
    daemon.stop();
}

#[test]
fn strict_does_not_start_as_root_and_check_says_who_can_not_write() {
    let Some(nobody) = nobody("strict_does_not_start_as_root_and_check_says_who_can_not_write")
    else {
        return;
    };
    let (dir, port) = folder(&nobody);
    let weir = |command: &str| {
        let out = Command::new(env!("CARGO_BIN_EXE_weir"))
            .arg(command)
            .arg(dir.path().join("weir.toml"))
            .output()
            .unwrap();
        let text = String::from_utf8_lossy(&out.stderr).into_owned();
        (out.status.code(), text)
    };
    configure(&dir, port, "sandbox = \"strict\"", FILES);
    let (code, said) = weir("run");
    assert_eq!(code, Some(4), "{said}");
    assert!(said.contains("\"strict\""), "{said}");
    let shut = tempfile::tempdir().unwrap();
    let shut = shut.path().display().to_string();
    let rest = FILES.replace("DIR/out", &shut);
    configure(&dir, port, "user = \"nobody\"", &rest);
    let (code, said) = weir("check");
    assert_eq!(code, Some(0), "{said}");
    let want = format!("warning: output.files.path: {shut} can not be written by user nobody");
    assert!(said.contains(&want), "{said}");
    configure(&dir, port, "user = \"nobody\"", FILES);
    let (_, said) = weir("check");
    assert_eq!(said, "");
}
