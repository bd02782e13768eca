//! Savefiles through FIFOs and pipes: as they come, waiting for nobody.
#![cfg(all(
    unix,
    feature = "src-savefile",
    feature = "src-udp",
    feature = "dec-netflow"
))]

mod daemon;

use daemon::{data, sums};
use std::io::Write;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

fn fifo(path: &Path) {
    let made = Command::new("mkfifo").arg(path).status().unwrap();
    assert!(made.success());
}

fn read(from: impl Into<Stdio>, file: &str) -> Child {
    Command::new(env!("CARGO_BIN_EXE_weir"))
        .args(["read", "--format", "csv", "--top", "0", file])
        .stdin(from)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap()
}

fn interrupt(child: &Child) {
    let id = child.id().to_string();
    let sent = Command::new("kill").args(["-INT", &id]).status().unwrap();
    assert!(sent.success());
}

#[test]
fn bytes_may_come_one_by_one() {
    let mut names = vec!["office.pcap"];
    if cfg!(feature = "src-gzip") {
        names.push("office.pcapng.gz");
    }
    for name in names {
        let want = read(Stdio::null(), data(name).to_str().unwrap());
        let want = want.wait_with_output().unwrap();
        assert!(want.status.success());
        let bytes = std::fs::read(data(name)).unwrap();
        let mut child = read(Stdio::piped(), "-");
        let mut to = child.stdin.take().unwrap();
        // The header and the first frames in the smallest pieces, the rest in odd ones.
        let (slow, rest) = bytes.split_at(600);
        for byte in slow {
            to.write_all(&[*byte]).unwrap();
            std::thread::sleep(Duration::from_micros(300));
        }
        for piece in rest.chunks(4097) {
            to.write_all(piece).unwrap();
        }
        drop(to);
        let got = child.wait_with_output().unwrap();
        let said = String::from_utf8_lossy(&got.stderr);
        assert!(got.status.success(), "{name}: {said}");
        assert!(said.contains("balanced"), "{said}");
        assert!(got.stdout == want.stdout, "{name}: other rows");
    }
}

#[test]
fn a_silent_writer_does_not_hold_up_an_interrupt() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("fifo");
    fifo(&path);
    // Nobody has opened it; somebody has and says nothing; somebody stopped in the middle.
    for said in [None, Some(0), Some(3), Some(1000)] {
        let mut child = read(Stdio::null(), path.to_str().unwrap());
        let writer = said.map(|n| {
            let mut to = std::fs::File::create(&path).unwrap();
            to.write_all(&std::fs::read(data("office.pcap")).unwrap()[..n])
                .unwrap();
            to
        });
        std::thread::sleep(Duration::from_millis(300));
        assert!(child.try_wait().unwrap().is_none(), "{said:?}: it waits");
        let since = Instant::now();
        interrupt(&child);
        let out = child.wait_with_output().unwrap();
        assert!(since.elapsed() < Duration::from_secs(2), "{said:?}");
        let text = String::from_utf8_lossy(&out.stderr);
        assert!(text.contains("balanced"), "{said:?}: {text}");
        drop(writer);
    }
}

#[test]
fn what_is_no_savefile_fails_through_a_pipe_too() {
    for (bytes, what) in [
        (&b""[..], "empty"),
        (b"\x7fELF and more than that", "not a savefile"),
    ] {
        let mut child = read(Stdio::piped(), "-");
        child.stdin.take().unwrap().write_all(bytes).unwrap();
        let out = child.wait_with_output().unwrap();
        let said = String::from_utf8_lossy(&out.stderr);
        assert_eq!(out.status.code(), Some(1), "{said}");
        assert!(said.contains(what), "{said}");
    }
}

#[test]
fn a_daemon_reads_a_fifo_while_it_speaks_and_stops_while_it_is_silent() {
    let dir = tempfile::tempdir().unwrap();
    let (path, config) = (dir.path().join("fifo"), dir.path().join("weir.toml"));
    fifo(&path);
    let (at, rows) = (path.display(), dir.path().join("flows.csv"));
    let text = format!(
        "[input.fifo]\nkind = \"file\"\nfile = \"{at}\"\n\
         [aggregate.flows]\nby = [\"src_host\", \"dst_host\"]\nto = [\"files\"]\n\
         [output.files]\nkind = \"file\"\npath = \"{}\"\n",
        rows.display()
    );
    std::fs::write(&config, text).unwrap();
    let mut child = Command::new(env!("CARGO_BIN_EXE_weir"))
        .arg("run")
        .arg(&config)
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut to = std::fs::File::create(&path).unwrap();
    to.write_all(&std::fs::read(data("office.pcap")).unwrap())
        .unwrap();
    std::thread::sleep(Duration::from_secs(1));
    assert!(child.try_wait().unwrap().is_none(), "it waits for more");
    let since = Instant::now();
    interrupt(&child);
    let out = child.wait_with_output().unwrap();
    let log = String::from_utf8_lossy(&out.stderr);
    assert!(out.status.success(), "{log}");
    assert!(since.elapsed() < Duration::from_secs(2), "{log}");
    assert_eq!(sums(&rows), (2085, 1_255_282));
    drop(to);
}
