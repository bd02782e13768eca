//! The list of crates that `weir version --licenses` prints, against the manifest and the lock.
//! `UPDATE=1` writes it. Asks cargo, without network.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::Command;

const LIST: &str = "src/cmd/licence/crates.txt";
const SETS: [&str; 4] = ["default", "edge", "collector", "full"];

/// The crates that are linked with a feature, each `name version` with its licence. Those of
/// another system or processor may be a few more or less.
fn crates(feature: &str) -> BTreeMap<String, String> {
    let out = Command::new(env!("CARGO"))
        .args([
            "tree",
            "--offline",
            "--locked",
            "--edges",
            "normal,no-proc-macro",
        ])
        .args(["--target", "x86_64-unknown-linux-musl", "--prefix", "none"])
        .args([
            "--format",
            "{p}\t{l}",
            "--no-default-features",
            "--features",
            feature,
        ])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .unwrap();
    assert!(
        out.status.success(),
        "{}",
        String::from_utf8_lossy(&out.stderr)
    );
    let text = String::from_utf8(out.stdout).unwrap();
    // Above is weir, which is not a part of itself.
    let lines = text
        .lines()
        .skip(1)
        .filter_map(|line| line.split_once('\t'));
    lines
        .map(|(of, licence)| {
            let mut words = of.split(' ');
            let (name, version) = (words.next().unwrap(), words.next().unwrap());
            let licence = licence.trim_end_matches(" (*)").replace('/', " OR ");
            (
                format!("{name} {}", version.trim_start_matches('v')),
                licence,
            )
        })
        .collect()
}

/// Features of the manifest that bring crates along.
fn features() -> Vec<String> {
    let manifest = include_str!("../Cargo.toml");
    let (_, rest) = manifest.split_once("\n[features]\n").unwrap();
    let (features, _) = rest.split_once("\n[").unwrap();
    let lines = features.lines().filter(|line| line.contains("dep:"));
    let names = lines.filter_map(|line| line.split_once(" = "));
    let names = names.map(|(name, _)| name.to_string());
    names
        .filter(|name| !SETS.contains(&name.as_str()))
        .collect()
}

#[test]
fn the_list_is_that_of_the_lock() {
    let always = crates("");
    let mut by_feature: BTreeMap<(String, String), BTreeSet<String>> = BTreeMap::new();
    for (one, licence) in &always {
        by_feature.insert((one.clone(), licence.clone()), BTreeSet::new());
    }
    for feature in features() {
        for (one, licence) in crates(&feature) {
            if !always.contains_key(&one) {
                let features = by_feature.entry((one, licence)).or_default();
                features.insert(feature.clone());
            }
        }
    }
    let mut text = String::new();
    for ((one, licence), features) in by_feature {
        let features: Vec<_> = features.into_iter().collect();
        let (name, version) = one.split_once(' ').unwrap();
        text += &format!("{name}\t{version}\t{licence}\t{}\n", features.join(","));
    }
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(LIST);
    if std::env::var_os("UPDATE").is_some() {
        std::fs::write(&path, &text).unwrap();
    }
    let held = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        held == text,
        "{LIST} is not what the lock says: UPDATE=1 cargo test --test licences"
    );
}

#[test]
fn licences_are_those_that_may_be_linked() {
    let held = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(LIST)).unwrap();
    assert!(held.lines().count() > 10);
    for line in held.lines() {
        let licence = line.split('\t').nth(2).unwrap();
        let fine = [
            "MIT",
            "Apache-2.0",
            "Zlib",
            "BSD-3-Clause",
            "BSD-2-Clause",
            "ISC",
            "0BSD",
        ];
        // One of those that may be chosen from, and every one where all hold.
        let fine = licence.split(" AND ").all(|all| {
            let any = all.trim_matches(['(', ')']).split(" OR ");
            let mut any = any.map(|one| one.trim_matches(['(', ')']));
            any.any(|one| fine.contains(&one) || one == "Unicode-3.0")
        });
        assert!(fine, "{line}");
    }
}
