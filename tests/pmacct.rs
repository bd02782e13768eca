//! pmacct's configurations, each a directory of `tests/pmacct`: `DAEMON.conf`, whose first line
//! says
//! which savefile is its `input.pcap`, the maps it names, and in `expected` the files that it must
//! make in `out`, with `stdout`. The same comes from what `weir import` makes of it. `UPDATE=1`
//! writes `expected` anew; look at the difference before believing it.

mod stage;

use stage::{Files, daemon, made, root, stage};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};
use weir::compat::pmacct::key::{Fate, Tier};
use weir::compat::pmacct::table;

/// Directory, daemon.
fn cases() -> Vec<(PathBuf, &'static str)> {
    let entries = fs::read_dir(root().join("pmacct")).unwrap();
    let mut cases: Vec<_> = entries
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.is_dir())
        .map(|dir| {
            let daemon = daemon(&dir);
            (dir, daemon)
        })
        .collect();
    cases.sort();
    assert!(cases.len() >= 15, "only {cases:?}");
    cases
}

fn weir(at: &Path, args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_weir"))
        .args(args)
        .current_dir(at)
        .env("TZ", "UTC")
        .stdin(Stdio::null())
        .output()
        .unwrap()
}

/// The number of a process is another each time.
fn plain(bytes: &[u8], pid: u32) -> Vec<u8> {
    let text = String::from_utf8_lossy(bytes);
    let text = text.replace(&format!("/{pid}\""), "/PID\"");
    text.replace(&format!("({pid})"), "(PID)").into_bytes()
}

/// Runs a command to its end; its output, and the number of its process.
fn run(at: &Path, args: &[&str]) -> (Output, u32) {
    let child = Command::new(env!("CARGO_BIN_EXE_weir"))
        .args(args)
        .current_dir(at)
        .env("TZ", "UTC")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let pid = child.id();
    (child.wait_with_output().unwrap(), pid)
}

fn results(dir: &Path, daemon: &str) -> Files {
    let staged = stage(dir);
    let conf = format!("{daemon}.conf");
    let (output, pid) = run(staged.path(), &["pmacct", daemon, "-f", &conf]);
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{}: {said}", dir.display());
    let files = made(staged.path(), &output.stdout).into_iter();
    files
        .map(|(name, content)| (name, plain(&content, pid)))
        .collect()
}

fn differ(name: &str, want: &Files, got: &Files, report: &mut Vec<String>) {
    let names = |files: &Files| files.keys().cloned().collect::<Vec<_>>();
    if names(want) != names(got) {
        report.push(format!(
            "{name}: files {:?}, expected {:?}",
            names(got),
            names(want)
        ));
    }
    for (file, want) in want {
        let Some(got) = got.get(file).filter(|got| *got != want) else {
            continue;
        };
        let (want, got) = (String::from_utf8_lossy(want), String::from_utf8_lossy(got));
        report.push(format!(
            "{name}/{file}:\n--- expected\n{want}--- got\n{got}"
        ));
    }
}

#[test]
fn every_configuration_makes_what_is_expected() {
    let mut report = Vec::new();
    for (dir, daemon) in cases() {
        let got = results(&dir, daemon);
        let expected = dir.join("expected");
        if std::env::var_os("UPDATE").is_some() {
            let _ = fs::remove_dir_all(&expected);
            fs::create_dir(&expected).unwrap();
            for (name, content) in &got {
                fs::write(expected.join(name), content).unwrap();
            }
            continue;
        }
        let mut want = Files::new();
        for entry in fs::read_dir(&expected).unwrap().map(Result::unwrap) {
            let name = entry.file_name().into_string().unwrap();
            want.insert(name, fs::read(entry.path()).unwrap());
        }
        let name = dir.file_name().unwrap().to_string_lossy();
        differ(&name, &want, &got, &mut report);
    }
    assert!(report.is_empty(), "{}", report.join("\n"));
}

#[test]
fn an_imported_configuration_does_the_same_to_the_byte() {
    let mut report = Vec::new();
    for (dir, daemon) in cases() {
        let name = dir.file_name().unwrap().to_string_lossy();
        let want = results(&dir, daemon);
        let staged = stage(&dir);
        let at = staged.path();
        let conf = format!("{daemon}.conf");
        let imported = weir(at, &["import", &conf]);
        let said = String::from_utf8_lossy(&imported.stderr);
        assert!(imported.status.success(), "{name}: {said}");
        fs::write(at.join("weir.toml"), &imported.stdout).unwrap();
        let checked = weir(at, &["check", "-q", "weir.toml"]);
        let said = String::from_utf8_lossy(&checked.stderr);
        assert!(checked.status.success(), "{name}: {said}");
        let (output, pid) = run(at, &["run", "weir.toml"]);
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{name}: {said}");
        let files = made(at, &output.stdout).into_iter();
        let got = files
            .map(|(name, content)| (name, plain(&content, pid)))
            .collect();
        differ(&name, &want, &got, &mut report);
    }
    assert!(report.is_empty(), "{}", report.join("\n"));
}

/// Keys of tier A whose effect no golden can show, each with where it is shown instead.
const ELSEWHERE: &[(&str, &str)] = &[
    ("daemonize", "tests/face.rs: a detached daemon"),
    ("debug", "tests/face.rs: lines in the log"),
    ("dry_run", "tests/face.rs: dry runs"),
    (
        "syslog",
        "tests/real_service.rs: a service's log; the face gives its sections alone",
    ),
    ("logfile", "tests/face.rs: a detached daemon"),
    ("pidfile", "tests/face.rs: a detached daemon"),
    ("core_proc_name", "tests/face.rs: a detached daemon"),
    (
        "files_umask",
        "tests/face.rs: a detached daemon; rights are no content",
    ),
    (
        "pcap_interface",
        "needs an interface: src/compat/pmacct/test.rs",
    ),
    (
        "pcap_interfaces_map",
        "needs interfaces: src/compat/pmacct/test.rs",
    ),
    (
        "pcap_ifindex",
        "needs interfaces: src/compat/pmacct/test.rs",
    ),
    (
        "pcap_direction",
        "needs an interface: src/compat/pmacct/test.rs",
    ),
    ("promisc", "needs an interface: src/compat/pmacct/test.rs"),
    ("snaplen", "needs an interface: src/compat/pmacct/test.rs"),
    (
        "pmacctd_pipe_size",
        "memory of a ring: src/compat/pmacct/test.rs",
    ),
    ("nfacctd_port", "tests/real_pmacct.rs: live datagrams"),
    ("sfacctd_port", "the same variable"),
    ("nfacctd_ip", "tests/real_pmacct.rs: live datagrams"),
    ("sfacctd_ip", "the same variable"),
    (
        "nfacctd_pipe_size",
        "memory of the kernel: src/compat/pmacct/test.rs",
    ),
    ("sfacctd_pipe_size", "the same variable"),
    ("nfacctd_allow_file", "tests/face.rs: a detached daemon"),
    ("sfacctd_allow_file", "the same variable"),
    (
        "nfacctd_templates_file",
        "a second start: src/compat/pmacct/test.rs",
    ),
    ("maps_refresh", "tests/face.rs: signals"),
    (
        "timestamps_utc",
        "goldens run in UTC: src/compat/pmacct/test.rs",
    ),
    (
        "print_cache_entries",
        "memory is no content: src/compat/pmacct/test.rs",
    ),
    ("sql_cache_entries", "the same variable"),
    ("amqp_cache_entries", "the same variable"),
    ("kafka_cache_entries", "the same variable"),
    ("sql_db", "a database is no text: tests/face.rs"),
    ("sql_host", "a server of its own: tests/real_postgres.rs"),
    ("sql_user", "likewise: tests/real_postgres.rs"),
    ("sql_passwd", "likewise: tests/real_postgres.rs"),
    ("sql_dont_try_update", "likewise: tests/real_postgres.rs"),
    ("sql_table_version", "a database is no text: tests/face.rs"),
    (
        "amqp_multi_values",
        "a broker of its own: tests/real_rabbitmq.rs",
    ),
];

/// The configuration without the lines of a key; none where it has none.
fn without(conf: &str, key: &str) -> Option<String> {
    let is = |line: &&str| {
        let name = line.split([':', '[']).next().unwrap_or_default();
        name.trim() == key
    };
    let kept: Vec<&str> = conf.lines().filter(|line| !is(line)).collect();
    (kept.len() < conf.lines().count()).then(|| kept.join("\n") + "\n")
}

/// What a case makes with another configuration; none where it ends with a mistake, or not at all.
fn changed(dir: &Path, daemon: &str, conf: &str) -> Option<Files> {
    let staged = stage(dir);
    let name = format!("{daemon}.conf");
    fs::write(staged.path().join(&name), conf).unwrap();
    let mut child = Command::new(env!("CARGO_BIN_EXE_weir"))
        .args(["pmacct", daemon, "-f", &name])
        .current_dir(staged.path())
        .env("TZ", "UTC")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let pid = child.id();
    let limit = Instant::now() + Duration::from_secs(10);
    while child.try_wait().unwrap().is_none() {
        if Instant::now() > limit {
            let _ = child.kill();
            let _ = child.wait();
            return None;
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    let output = child.wait_with_output().unwrap();
    let files = made(staged.path(), &output.stdout).into_iter();
    let files = files.map(|(name, content)| (name, plain(&content, pid)));
    output.status.success().then(|| files.collect())
}

#[test]
fn what_most_people_set_shows_in_some_expected_output() {
    let keys = table::all().filter(|key| key.tier == Tier::A);
    let keys = keys.filter(|key| matches!(key.fate, Fate::To(..) | Fate::Face(_)));
    let (mut missing, mut count) = (Vec::new(), 0);
    let cases = cases().into_iter().map(|(dir, daemon)| {
        let conf = fs::read_to_string(dir.join(format!("{daemon}.conf"))).unwrap();
        let made = Some(results(&dir, daemon));
        (dir, daemon, conf, made)
    });
    let cases: Vec<_> = cases.collect();
    for key in keys {
        count += 1;
        // Keys of one variable are one.
        let shown = table::all()
            .filter(|other| other.variable() == key.variable())
            .any(|key| {
                cases.iter().any(|(dir, daemon, conf, made)| {
                    let conf = without(conf, key.name);
                    conf.is_some_and(|conf| changed(dir, daemon, &conf) != *made)
                })
            });
        let elsewhere = ELSEWHERE.iter().any(|(name, _)| *name == key.name);
        match (shown, elsewhere) {
            (false, false) => missing.push(format!("{} shows nowhere", key.name)),
            (true, true) => missing.push(format!("{} shows, and is an exception", key.name)),
            _ => {}
        }
    }
    assert!(count > 60, "only {count}");
    let known = |name: &str| table::all().any(|key| key.name == name && key.tier == Tier::A);
    let strangers = ELSEWHERE.iter().filter(|(name, _)| !known(name));
    missing.extend(strangers.map(|(name, _)| format!("{name} is no such key")));
    assert!(missing.is_empty(), "{}", missing.join("\n"));
}
