//! Configurations of pmacct that are run: directories of `tests/pmacct`, staged in a folder of
//! their own.
#![allow(dead_code)] // Every test file uses a part of it.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// Daemons that there are configurations for.
pub const DAEMONS: [&str; 3] = ["nfacctd", "sfacctd", "pmacctd"];

/// Files by name.
pub type Files = BTreeMap<String, Vec<u8>>;

/// The folder of tests.
pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests")
}

/// The daemon that the configuration in a directory is for.
pub fn daemon(dir: &Path) -> &'static str {
    let has = |daemon: &&&str| dir.join(format!("{daemon}.conf")).exists();
    let daemon = DAEMONS.iter().find(has).copied();
    daemon.unwrap_or_else(|| panic!("{}", dir.display()))
}

/// A fresh directory with the files of a case, its input, and an empty `out`.
pub fn stage(dir: &Path) -> tempfile::TempDir {
    let staged = tempfile::tempdir().unwrap();
    for entry in fs::read_dir(dir).unwrap().map(Result::unwrap) {
        if entry.path().is_file() {
            fs::copy(entry.path(), staged.path().join(entry.file_name())).unwrap();
        }
    }
    let conf = fs::read_to_string(dir.join(format!("{}.conf", daemon(dir)))).unwrap();
    let first = conf.lines().next().unwrap_or_default();
    let input = first.strip_prefix("! input: ");
    let input = input.unwrap_or_else(|| panic!("{}", dir.display()));
    fs::copy(root().join(input), staged.path().join("input.pcap")).unwrap();
    fs::create_dir(staged.path().join("out")).unwrap();
    staged
}

/// What is in `out`, and standard output; links by where they lead.
pub fn made(at: &Path, stdout: &[u8]) -> Files {
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
