//! The real daemon fed by a real exporter: softflowd reads a capture and exports it over loopback,
//! in every version it speaks. What arrives in the files must equal what the capture holds.

mod daemon;

use daemon::{Daemon, data, sums, wait_for};
use std::process::{Command, Stdio};

/// Packets and bytes in `office.pcap`, by tshark; and those of its IPv4 packets.
const ALL: (u64, u64) = (2085, 1_255_282);
const V4: (u64, u64) = (1706, 1_087_695);

fn softflowd() -> Option<&'static str> {
    ["/usr/sbin/softflowd", "/usr/bin/softflowd"]
        .into_iter()
        .find(|path| std::path::Path::new(path).exists())
}

fn exported(name: &str, version: &str, want: (u64, u64)) {
    let Some(softflowd) = softflowd() else {
        println!("{name} skipped: needs softflowd");
        return;
    };
    let daemon = Daemon::start(
        "[aggregate.flows]\nby = [\"src_host\", \"dst_host\", \"proto\", \"flows\"]\n\
         every = \"1h\"\nto = [\"files\"]\n\
         [output.files]\nkind = \"file\"\nformat = \"csv\"\npath = \"DIR/flows.csv\"\n",
    );
    let status = Command::new(softflowd)
        .args(["-d", "-6", "-v", version, "-r"])
        .arg(data("office.pcap"))
        .args(["-n", &format!("127.0.0.1:{}", daemon.port)])
        // It removes its pid file at the end, so that must be one of its own.
        .arg("-p")
        .arg(daemon.dir().path().join("softflowd.pid"))
        .args(["-c", "none"])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .unwrap();
    assert!(status.success(), "softflowd: {status}");
    wait_for(|| daemon.decoded() >= want);
    let dir = daemon.dir();
    let log = daemon.stop();
    assert_eq!(sums(&dir.path().join("flows.csv")), want, "{log}");
}

#[test]
fn softflowd_version_5() {
    exported("softflowd_version_5", "5", V4);
}

#[test]
fn softflowd_version_9() {
    exported("softflowd_version_9", "9", ALL);
}

#[test]
fn softflowd_ipfix() {
    exported("softflowd_ipfix", "10", ALL);
}
