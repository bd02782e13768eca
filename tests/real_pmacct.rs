//! Side by side with the original, Debian's pmacct 1.7.7: the same configurations over the same
//! savefiles and datagrams, and the rows compared field by field. What may differ, and why, is one
//! list: `docs/pmacct-differences.md`.

mod daemon;
mod stage;

use daemon::datagrams;
use stage::{Files, made, root, stage};
use std::fs;
use std::net::UdpSocket;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

/// Configurations of `tests/pmacct` that both run, each with the differences that are meant.
const CASES: &[(&str, &[&str])] = &[
    ("absent", &[]),
    ("append", &[]),
    ("csv", &[]),
    ("default", &["unspecified"]),
    ("events", &[]),
    ("external", &["external-rate"]),
    ("filter", &[]),
    ("formatted", &["widths"]),
    ("labels", &[]),
    ("marks", &["processes"]),
    ("net", &["one-ipv6-network", "unspecified"]),
    ("networks", &["one-ipv6-network", "unspecified", "newer"]),
    ("packets", &["filters-of-savefiles", "unspecified"]),
    ("preprocess", &[]),
    ("probe", &["one-ipv6-network", "unspecified"]),
    ("primitives", &["raw-zero"]),
    ("rd", &["newer"]),
    ("sampled", &[]),
    ("savefile", &[]),
    ("scope", &[]),
    ("sflow", &["many-outputs"]),
    ("stitching", &["clock-of-savefiles"]),
];

/// Configurations that the old version can not run, or whose rows have nothing in common.
const APART: &[(&str, &str)] = &[
    ("arrival", "clock-of-savefiles"),
    ("arrays", "newer"),
    ("avro", "newer"),
    ("json", "clock-of-savefiles"),
    ("names", "clock-of-savefiles"),
    ("sampling", "maps-of-savefiles"),
    ("tags", "newer"),
    ("times", "reduced-sizes"),
    ("trigger", "commands"),
];

/// Differences that are known and that no case here shows.
const TOLD: &[&str] = &[
    "alignment",
    "amqp",
    "believable-times",
    "better-times",
    "csv-quotes",
    "daemonized-sigterm",
    "engine-type",
    "initiator-bytes",
    "macs-by-side",
    "memory",
    "mysql",
    "next-hop-of-v5",
    "one-process",
    "primitive-lengths",
    "protocol-names",
    "queries",
    "records-without-ip",
    "sqlite",
    "sum-net",
    "unlabelled",
    "zulu",
];

fn original(name: &str) -> Option<PathBuf> {
    let places = ["/usr/sbin", "/usr/bin"].map(|dir| Path::new(dir).join(name));
    places.into_iter().find(|path| path.exists())
}

/// Whether the original is there; says so where it is not.
fn there(test: &str) -> bool {
    let there = original("nfacctd").is_some();
    if !there {
        println!("{test} skipped: needs nfacctd, package pmacct");
    }
    there
}

/// Waits for a program to end; after some time it is made to.
fn end(mut child: Child) -> Output {
    let limit = Instant::now() + Duration::from_secs(40);
    while child.try_wait().unwrap().is_none() && Instant::now() < limit {
        std::thread::sleep(Duration::from_millis(20));
    }
    let _ = child.kill();
    child.wait_with_output().unwrap()
}

fn spawn(program: &Path, at: &Path, args: &[&str]) -> Child {
    Command::new(program)
        .args(args)
        .current_dir(at)
        .env("TZ", "UTC")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap()
}

fn weir() -> &'static Path {
    Path::new(env!("CARGO_BIN_EXE_weir"))
}

/// One row: names and values, in the order of the names.
type Row = Vec<(String, String)>;

/// The rows of a file, whichever format it has, without regard to their order.
fn rows(text: &str) -> Vec<Row> {
    let mut rows: Vec<Row> = Vec::new();
    let mut head: Vec<String> = Vec::new();
    for line in text.lines().filter(|line| !line.trim().is_empty()) {
        if line.starts_with('{') {
            rows.push(object(line));
            continue;
        }
        if line.starts_with("--") || line.starts_with("-> ") {
            let word = line.split(['(', ')']).next().unwrap_or(line);
            rows.push(vec![("line".into(), word.into())]);
            continue;
        }
        let cells = cells(line);
        if head.is_empty() {
            head = cells;
        } else if head != cells {
            let names = head.iter().cloned();
            rows.push(names.zip(cells).collect());
        }
    }
    rows.iter_mut().for_each(|row| row.sort());
    rows.sort();
    rows
}

fn cells(line: &str) -> Vec<String> {
    let parts: Vec<&str> = match line {
        line if line.contains([',', ';', '\t']) => line.split([',', ';', '\t']).collect(),
        line => line.split_whitespace().collect(),
    };
    parts
        .into_iter()
        .map(|cell| cell.trim().to_string())
        .collect()
}

/// A flat object of JSON; values of other kinds stay as they are written.
fn object(line: &str) -> Row {
    let inner = line.trim().trim_start_matches('{').trim_end_matches('}');
    let mut row = Row::new();
    for pair in inner.split(",\"").flat_map(|part| part.split(", \"")) {
        let (name, value) = pair.split_once("\":").unwrap_or((pair, ""));
        let text = |part: &str| part.trim().trim_matches('"').to_string();
        row.push((text(name), text(value)));
    }
    row
}

/// Takes out of a row what is meant to differ; false when all of it is.
fn meant(difference: &str, row: &mut Row) -> bool {
    match difference {
        "unspecified" => {
            for (_, value) in row
                .iter_mut()
                .filter(|(_, v)| ["::", "-"].contains(&v.as_str()))
            {
                value.clear();
            }
        }
        "processes" => row.retain(|(name, _)| name != "writer_id"),
        "clock-of-savefiles" => {
            let clock = ["stamp_updated", "timestamp_max", "timestamp_min"];
            row.retain(|(name, _)| !clock.contains(&name.as_str()));
        }
        "external-rate" => row.retain(|(name, _)| name != "SAMPLING_RATE"),
        "many-outputs" => row.retain(|(name, _)| name != "OUT_IFACE"),
        "newer" => row.retain(|(name, _)| name != "mpls_vpn_rd_origin"),
        "raw-zero" => row.retain(|(name, _)| name != "flow_end"),
        // Rows without addresses are the same.
        "one-ipv6-network" if !row.iter().any(|(name, _)| name.starts_with("SRC_")) => {}
        "one-ipv6-network" => {
            let has = |c: char| row.iter().any(|(_, value)| value.contains(c));
            return has('.') && !has(':');
        }
        _ => {}
    }
    true
}

/// Files of which nothing is compared: case, file, and the difference that is to blame.
const FILES: &[(&str, &str, &str)] = &[
    ("networks", "ports", "newer"),
    ("packets", "ports", "filters-of-savefiles"),
];

fn plain(case: &str, differences: &[&str], files: &Files) -> Vec<(String, Vec<Row>)> {
    let passed = |name: &str| FILES.iter().any(|(c, file, _)| *c == case && *file == name);
    let kept = files.iter().filter(|(name, _)| !passed(name));
    let plain = kept.map(|(name, content)| {
        let mut rows = rows(&String::from_utf8_lossy(content));
        rows.retain_mut(|row| differences.iter().all(|d| meant(d, row)));
        rows.sort();
        (name.clone(), rows)
    });
    plain.collect()
}

/// What the original makes of a case; its queues are made large enough for a savefile at once.
fn of_original(dir: &Path, daemon: &str) -> Files {
    let staged = stage(dir);
    let conf = staged.path().join(format!("{daemon}.conf"));
    let mut text = fs::read_to_string(&conf).unwrap();
    text.push_str("\nplugin_pipe_size: 40960000\nplugin_buffer_size: 10240\n");
    fs::write(&conf, text).unwrap();
    let conf = conf.file_name().unwrap().to_str().unwrap();
    let program = original(daemon).unwrap();
    let output = end(spawn(&program, staged.path(), &["-f", conf]));
    made(staged.path(), &output.stdout)
}

fn of_weir(dir: &Path, daemon: &str) -> Files {
    let staged = stage(dir);
    let conf = format!("{daemon}.conf");
    let output = end(spawn(
        weir(),
        staged.path(),
        &["pmacct", daemon, "-f", &conf],
    ));
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{}: {said}", dir.display());
    made(staged.path(), &output.stdout)
}

#[test]
fn rows_are_those_of_the_original() {
    if !there("rows_are_those_of_the_original") {
        return;
    }
    let mut report = Vec::new();
    for (case, differences) in CASES {
        let dir = root().join("pmacct").join(case);
        let daemon = stage::daemon(&dir);
        let got = plain(case, differences, &of_weir(&dir, daemon));
        let mut want = Vec::new();
        // The original hands packets of a savefile on faster than a plugin may take them.
        for _ in 0..4 {
            want = plain(case, differences, &of_original(&dir, daemon));
            if got == want {
                break;
            }
        }
        for (want, got) in want.iter().zip(&got).filter(|(want, got)| want != got) {
            let missing: Vec<_> = want.1.iter().filter(|row| !got.1.contains(row)).collect();
            let more: Vec<_> = got.1.iter().filter(|row| !want.1.contains(row)).collect();
            let (file, missing, more) = (&want.0, &missing, &more);
            report.push(format!(
                "{case}/{file}:\n  missing {missing:?}\n  more {more:?}"
            ));
        }
        if want.len() != got.len() {
            let names = |files: &[(String, Vec<Row>)]| -> Vec<String> {
                files.iter().map(|(name, _)| name.clone()).collect()
            };
            report.push(format!(
                "{case}: {:?} and not {:?}",
                names(&got),
                names(&want)
            ));
        }
    }
    assert!(report.is_empty(), "{}", report.join("\n"));
}

#[test]
fn the_list_of_differences_is_the_one_that_is_used() {
    let page = include_str!("../docs/pmacct-differences.md");
    let listed: Vec<&str> = page
        .lines()
        .filter_map(|line| line.strip_prefix("- `")?.split_once('`'))
        .map(|(name, _)| name)
        .collect();
    let used = CASES.iter().flat_map(|(_, ids)| ids.iter().copied());
    let used = used.chain(APART.iter().map(|(_, id)| *id));
    let mut used: Vec<&str> = used.chain(TOLD.iter().copied()).collect();
    used.sort_unstable();
    used.dedup();
    let mut sorted = listed.clone();
    sorted.sort_unstable();
    assert_eq!(sorted, used);
    // Every configuration is in one of the two tables.
    let mut known: Vec<&str> = CASES.iter().map(|(case, _)| *case).collect();
    known.extend(APART.iter().map(|(case, _)| *case));
    known.sort_unstable();
    let entries = fs::read_dir(root().join("pmacct")).unwrap();
    let names = entries.map(|e| e.unwrap().file_name().into_string().unwrap());
    let mut names: Vec<_> = names.collect();
    names.sort();
    assert_eq!(known, names);
}

fn free_port() -> u16 {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    socket.local_addr().unwrap().port()
}

fn interrupt(child: &Child) {
    let pid = child.id().to_string();
    let killed = Command::new("kill").args(["-INT", &pid]).status().unwrap();
    assert!(killed.success());
}

/// Feeds a collector over loopback and gives what it wrote.
fn live(program: &Path, first: &[&str], text: &str) -> Vec<Row> {
    let at = tempfile::tempdir().unwrap();
    let port = free_port();
    let text = text.replace("PORT", &port.to_string());
    fs::write(at.path().join("live.conf"), text).unwrap();
    fs::write(at.path().join("sampling.map"), "id=100 ip=127.0.0.1/32\n").unwrap();
    let tags = "set_tag=3 ip=127.0.0.1/32 src_net=192.0.2.0/24\nset_tag=4 ip=127.0.0.0/8\n";
    fs::write(at.path().join("tags.map"), tags).unwrap();
    let child = spawn(program, at.path(), &[first, &["-f", "live.conf"]].concat());
    std::thread::sleep(Duration::from_secs(3));
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    for datagram in datagrams("softflowd-v9.pcap") {
        socket.send_to(&datagram, ("127.0.0.1", port)).unwrap();
        std::thread::sleep(Duration::from_millis(20));
    }
    std::thread::sleep(Duration::from_secs(1));
    interrupt(&child);
    let output = end(child);
    let said = String::from_utf8_lossy(&output.stderr);
    let text = fs::read_to_string(at.path().join("rows.csv"));
    rows(&text.unwrap_or_else(|e| panic!("{e}: {said}")))
}

#[test]
fn live_datagrams_make_the_rows_of_the_original() {
    if !there("live_datagrams_make_the_rows_of_the_original") {
        return;
    }
    let text = "plugins: print[a]\naggregate: peer_src_ip, proto, tag, sampling_rate, src_mask\n\
                nfacctd_port: PORT\nnfacctd_ip: 127.0.0.1\nnfacctd_renormalize: true\n\
                sampling_map: sampling.map\npre_tag_map: tags.map\nprint_output: csv\n\
                print_output_file: rows.csv\nprint_refresh_time: 3600\n";
    let want = live(&original("nfacctd").unwrap(), &[], text);
    let got = live(weir(), &["pmacct", "nfacctd"], text);
    assert!(want.len() >= 6, "{want:?}");
    assert_eq!(got, want);
}

/// What a client says of a table in memory that a savefile has filled.
fn asked(collector: &Path, first: &[&str], client: &Path, before: &[&str]) -> Vec<String> {
    let at = tempfile::tempdir().unwrap();
    let pipe = at.path().join("pipe");
    let pipe = pipe.to_str().unwrap();
    let input = daemon::data("softflowd-v9.pcap");
    let text = format!(
        "plugins: memory\naggregate: peer_src_ip, proto, dst_port\nimt_path: {pipe}\n\
         imt_mem_pools_number: 0\npcap_savefile: {}\npcap_savefile_wait: true\n",
        input.display()
    );
    fs::write(at.path().join("memory.conf"), text).unwrap();
    let child = spawn(
        collector,
        at.path(),
        &[first, &["-f", "memory.conf"]].concat(),
    );
    std::thread::sleep(Duration::from_secs(5));
    let ask = |args: &[&str]| {
        let mut all = before.to_vec();
        all.extend(["-p", pipe]);
        all.extend(args);
        let output = Command::new(client).args(all).output().unwrap();
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let mut lines: Vec<_> = text.lines().map(String::from).collect();
        lines.sort();
        lines.join("\n")
    };
    let answers = vec![
        ask(&["-s", "-O", "csv"]),
        ask(&["-c", "proto", "-N", "udp", "-n", "all"]),
        ask(&["-c", "proto,dst_port", "-N", "udp,53;tcp,80"]),
        ask(&["-c", "proto", "-N", "udp;tcp", "-S", "-n", "packets"]),
        ask(&["-c", "dst_port", "-M", "53", "-O", "csv", "-u", "-E", ";"]),
        ask(&["-c", "dst_port", "-N", "53", "-r"]),
        ask(&["-c", "dst_port", "-N", "53"]),
        ask(&["-s", "-O", "event_csv"]),
    ];
    interrupt(&child);
    end(child);
    answers
}

#[test]
fn the_client_says_what_the_original_says() {
    if !there("the_client_says_what_the_original_says") {
        return;
    }
    let (collector, client) = (original("nfacctd").unwrap(), original("pmacct").unwrap());
    let want = asked(&collector, &[], &client, &[]);
    let got = asked(
        weir(),
        &["pmacct", "nfacctd"],
        weir(),
        &["pmacct", "pmacct"],
    );
    assert!(want[0].lines().count() > 20, "{want:?}");
    for (want, got) in want.iter().zip(&got) {
        assert_eq!(got, want);
    }
}
