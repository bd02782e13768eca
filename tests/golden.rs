//! From bytes to rows, one feature per directory of `tests/golden`: `input.pcap`, the arguments of
//! `weir read` (one on each line), the rows and the ledger that must come out. Where there is a
//! `weir.toml` instead of arguments, `weir run` runs it in the directory, and what it says about
//! the files of rules there is compared as well. `UPDATE=1` writes the inputs, rows and ledgers
//! anew; look at the difference before believing it.
#![cfg(all(
    feature = "src-savefile",
    feature = "dec-netflow",
    feature = "dec-sflow"
))]

#[path = "golden/build.rs"]
mod build;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// Largest input, in bytes.
const INPUT_MAX: usize = 8000;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden")
}

fn cases() -> Vec<String> {
    let entries = fs::read_dir(root()).unwrap().map(Result::unwrap);
    let dirs = entries.filter(|entry| entry.path().is_dir());
    let mut names: Vec<String> = dirs.map(|d| d.file_name().into_string().unwrap()).collect();
    names.sort();
    assert!(names.len() >= 20, "only {names:?}");
    names
}

/// Compares a file with what it should be, or writes it; says what differs.
fn same(path: &Path, got: &[u8], report: &mut Vec<String>) {
    if std::env::var_os("UPDATE").is_some() {
        fs::write(path, got).unwrap();
    } else if fs::read(path).unwrap_or_default() != got {
        let want = fs::read(path).unwrap_or_default();
        let (want, got) = (String::from_utf8_lossy(&want), String::from_utf8_lossy(got));
        report.push(format!(
            "{}:\n--- expected\n{want}--- got\n{got}",
            path.display()
        ));
    }
}

#[test]
fn inputs_are_what_the_builder_makes() {
    let mut report = Vec::new();
    for name in cases() {
        let input = build::input(&name).unwrap_or_else(|| panic!("no input for {name}"));
        assert!(input.len() <= INPUT_MAX, "{name}: {} bytes", input.len());
        same(&root().join(&name).join("input.pcap"), &input, &mut report);
    }
    assert!(report.is_empty(), "{} differ", report.len());
}

#[test]
fn rows_and_ledger_are_as_expected() {
    let mut report = Vec::new();
    for name in cases() {
        let dir = root().join(&name);
        if dir.join("weir.toml").exists() {
            continue;
        }
        let args = fs::read_to_string(dir.join("args")).unwrap();
        let mut args: Vec<&str> = args.lines().collect();
        let format = match args.iter().find_map(|arg| arg.strip_prefix("--format=")) {
            Some("json") => "jsonl",
            Some("formatted" | "table") => "txt",
            _ => "csv",
        };
        if format == "csv" {
            args.push("--format=csv");
        }
        let input = dir.join("input.pcap");
        if std::env::var_os("UPDATE").is_some() {
            fs::write(&input, build::input(&name).unwrap()).unwrap();
        }
        let mut command = Command::new(env!("CARGO_BIN_EXE_weir"));
        command
            .arg("read")
            .args(&args)
            .args(["--timezone=UTC", "--ledger=json"])
            .arg(&input);
        let output = command.stdin(Stdio::null()).output().unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        assert!(output.status.success(), "{name}: {said}");
        let ledger = said.lines().last().unwrap_or_default();
        assert!(ledger.contains("\"balanced\":true"), "{name}: {said}");
        same(
            &dir.join(format!("expected.{format}")),
            &output.stdout,
            &mut report,
        );
        same(
            &dir.join("ledger.json"),
            format!("{ledger}\n").as_bytes(),
            &mut report,
        );
    }
    assert!(report.is_empty(), "{}", report.join("\n"));
}

#[test]
fn configurations_give_the_rows_that_are_expected() {
    let (mut report, mut count) = (Vec::new(), 0);
    for name in cases() {
        let dir = root().join(&name);
        if !dir.join("weir.toml").exists() {
            continue;
        }
        count += 1;
        if std::env::var_os("UPDATE").is_some() {
            fs::write(dir.join("input.pcap"), build::input(&name).unwrap()).unwrap();
        }
        let mut command = Command::new(env!("CARGO_BIN_EXE_weir"));
        command.args(["run", "weir.toml"]).current_dir(&dir);
        let output = command.stdin(Stdio::null()).output().unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        assert!(output.status.success(), "{name}: {said}");
        let json = output.stdout.first() == Some(&b'{');
        let rows = if json {
            "expected.jsonl"
        } else {
            "expected.csv"
        };
        same(&dir.join(rows), &output.stdout, &mut report);
        let warnings = said.lines().filter(|line| line.contains(": warning: "));
        let warnings: String = warnings.map(|line| format!("{line}\n")).collect();
        if !warnings.is_empty() || dir.join("warnings").exists() {
            same(&dir.join("warnings"), warnings.as_bytes(), &mut report);
        }
    }
    assert!(count >= 5, "only {count} configurations");
    assert!(report.is_empty(), "{}", report.join("\n"));
}

/// Rows of a table that is too small, as key and (packets, bytes), and the ledger.
fn crowded(policy: &str) -> (Vec<(String, u64, u64)>, String) {
    // Keys as wide as packets give, so that few of them fill a table.
    let by = "--by=src_host,dst_host,src_port,dst_port,proto,tunnel_src_host,tunnel_dst_host,\
              timestamp_start,timestamp_end,src_mac,dst_mac,vlan,flow_label";
    let dir = tempfile::tempdir().unwrap();
    let input = dir.path().join("many.pcap");
    fs::write(&input, build::many()).unwrap();
    // The least memory that is accepted gives the smallest tables.
    for kib in (256..8192).step_by(8) {
        let (memory, full) = (format!("--memory={kib}K"), format!("--full={policy}"));
        let mut command = Command::new(env!("CARGO_BIN_EXE_weir"));
        command
            .args(["read", by, &memory, &full, "--format=csv", "--ledger=json"])
            .arg(&input);
        let output = command.stdin(Stdio::null()).output().unwrap();
        if !output.status.success() {
            continue;
        }
        let text = String::from_utf8(output.stdout).unwrap();
        let rows = text.lines().skip(1).map(|line| {
            let mut cells: Vec<&str> = line.split(',').collect();
            let bytes = cells.pop().unwrap().parse().unwrap();
            let packets = cells.pop().unwrap().parse().unwrap();
            (cells.join(","), packets, bytes)
        });
        return (rows.collect(), String::from_utf8(output.stderr).unwrap());
    }
    panic!("no memory is enough");
}

#[test]
fn a_table_that_is_too_small_loses_nothing() {
    for policy in ["flush", "fold", "evict"] {
        let (rows, ledger) = crowded(policy);
        let packets: u64 = rows.iter().map(|(_, packets, _)| packets).sum();
        let bytes: u64 = rows.iter().map(|(_, _, bytes)| bytes).sum();
        // 120 packets, headers of 28 bytes, payloads of 0 to 7 bytes in turn.
        assert_eq!(
            (packets, bytes),
            (120, 120 * 28 + 15 * 28),
            "{policy}: {ledger}"
        );
        assert!(ledger.contains("\"balanced\":true"), "{policy}: {ledger}");
        let folded: Vec<_> = rows.iter().filter(|(_, packets, _)| *packets > 1).collect();
        if policy == "fold" {
            let [(key, packets, _)] = folded[..] else {
                panic!("fold rows: {folded:?}")
            };
            assert!(*packets < 120 && !key.contains("192.0.2"), "{key}");
            assert!(
                ledger.contains(&format!("\"folded\":{{\"records\":{packets}")),
                "{ledger}"
            );
            assert_eq!(rows.len() as u64, 121 - packets);
        } else {
            assert_eq!((rows.len(), folded.len()), (120, 0), "{policy}");
        }
    }
}
