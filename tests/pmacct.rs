//! pmacct's configurations, each a directory of `tests/pmacct`: `DAEMON.conf`, whose first line
//! says
//! which savefile is its `input.pcap`, the maps it names, and in `expected` the files that it must
//! make in `out`, with `stdout`. The same comes from what `weir import` makes of it. `UPDATE=1`
//! writes `expected` anew; look at the difference before believing it.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

const DAEMONS: [&str; 3] = ["nfacctd", "sfacctd", "pmacctd"];

/// Files by name.
type Files = BTreeMap<String, Vec<u8>>;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests")
}

/// Directory, daemon.
fn cases() -> Vec<(PathBuf, &'static str)> {
    let entries = fs::read_dir(root().join("pmacct")).unwrap();
    let mut cases: Vec<_> = entries
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.is_dir())
        .map(|dir| {
            let has = |daemon: &&&str| dir.join(format!("{daemon}.conf")).exists();
            let daemon = DAEMONS.iter().find(has).copied();
            (
                dir.clone(),
                daemon.unwrap_or_else(|| panic!("{}", dir.display())),
            )
        })
        .collect();
    cases.sort();
    assert!(cases.len() >= 15, "only {cases:?}");
    cases
}

/// A fresh directory with the files of a case, its input, and an empty `out`.
fn stage(dir: &Path, daemon: &str) -> tempfile::TempDir {
    let staged = tempfile::tempdir().unwrap();
    for entry in fs::read_dir(dir).unwrap().map(Result::unwrap) {
        if entry.path().is_file() {
            fs::copy(entry.path(), staged.path().join(entry.file_name())).unwrap();
        }
    }
    let conf = fs::read_to_string(dir.join(format!("{daemon}.conf"))).unwrap();
    let first = conf.lines().next().unwrap_or_default();
    let input = first
        .strip_prefix("! input: ")
        .unwrap_or_else(|| panic!("{}", dir.display()));
    fs::copy(root().join(input), staged.path().join("input.pcap")).unwrap();
    fs::create_dir(staged.path().join("out")).unwrap();
    staged
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

/// What is in `out`, and standard output; links by where they lead.
fn made(at: &Path, stdout: &[u8]) -> Files {
    let mut files = Files::new();
    for entry in fs::read_dir(at.join("out")).unwrap().map(Result::unwrap) {
        let name = entry.file_name().into_string().unwrap();
        let path = entry.path();
        let content = match fs::read_link(&path) {
            Ok(target) => format!("-> {}\n", target.display()).into_bytes(),
            Err(_) => fs::read(&path).unwrap(),
        };
        files.insert(name, content);
    }
    if !stdout.is_empty() {
        files.insert("stdout".into(), stdout.to_vec());
    }
    files
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
    let staged = stage(dir, daemon);
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
        let staged = stage(&dir, daemon);
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
