//! Reading Rust without a parser: which bytes are code, which lines are tests, where functions end.

use std::path::{Path, PathBuf};

/// Where the repository is.
pub fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// A file: as it is, and with everything but code blanked, byte for byte.
pub struct Source {
    /// Path from the root, with slashes.
    pub path: String,
    raw: String,
    code: String,
    tests: Vec<bool>,
}

/// All Rust files under a directory, in order.
pub fn sources(dir: &str) -> Vec<Source> {
    let mut files = Vec::new();
    collect(&root().join(dir), &mut files);
    files.sort();
    let test_files: Vec<PathBuf> = files.iter().flat_map(|file| test_modules(file)).collect();
    let of_tests = |file: &Path| {
        test_files
            .iter()
            .any(|t| file == t.with_extension("rs") || file.starts_with(t))
    };
    files
        .iter()
        .map(|file| Source::new(file, of_tests(file)))
        .collect()
}

fn collect(dir: &Path, files: &mut Vec<PathBuf>) {
    let Ok(entries) = std::fs::read_dir(dir) else {
        return;
    };
    for entry in entries.map(Result::unwrap) {
        let path = entry.path();
        if path.is_dir() {
            // What builds and fuzzers leave is not ours.
            if !path.ends_with("target") && !path.ends_with("data") {
                collect(&path, files);
            }
        } else if path.extension().is_some_and(|e| e == "rs") {
            files.push(path);
        }
    }
}

/// Paths, without `.rs`, of modules that a file declares for tests only.
fn test_modules(file: &Path) -> Vec<PathBuf> {
    let raw = std::fs::read_to_string(file).unwrap();
    let code = blank(&raw);
    let home = match file.file_stem().unwrap().to_str() {
        Some("mod" | "lib" | "main") => file.parent().unwrap().to_owned(),
        _ => file.with_extension(""),
    };
    let mut modules = Vec::new();
    for (at, _) in code.match_indices("#[cfg(test)]") {
        let item = at..item_end(&code, at);
        let Some((_, name)) = code[item.clone()].rsplit_once("mod ") else {
            continue;
        };
        if !code[item.end..].starts_with(';') {
            continue;
        }
        let path = raw[item]
            .split_once("#[path = \"")
            .and_then(|(_, rest)| rest.split_once(".rs\""));
        modules.push(match path {
            Some((path, _)) => file.with_file_name(path),
            None => home.join(name),
        });
    }
    modules
}

impl Source {
    fn new(file: &Path, test: bool) -> Self {
        let raw = std::fs::read_to_string(file).unwrap();
        let path = file
            .strip_prefix(root())
            .unwrap()
            .to_str()
            .unwrap()
            .replace('\\', "/");
        let code = blank(&raw);
        let all = test || !path.starts_with("src/");
        let mut tests = vec![all; raw.lines().count() + 1];
        for (at, _) in code.match_indices("#[cfg(test)]") {
            let end = item_end(&code, at);
            tests[line_of(&code, at)..=line_of(&code, end)].fill(true);
        }
        Self {
            path,
            raw,
            code,
            tests,
        }
    }

    /// The layer it is in; none for the root of the crate.
    pub fn layer(&self) -> Option<String> {
        let mut parts = self.path.strip_prefix("src/")?.split('/');
        let first = parts.next()?;
        parts.next().map(|_| first.to_owned())
    }

    /// Whether nothing in it is built into the program.
    pub fn is_test(&self) -> bool {
        self.tests.iter().all(|test| *test)
    }

    /// Whether the line, from one, belongs to tests.
    pub fn in_test(&self, line: usize) -> bool {
        self.tests[line - 1]
    }

    /// Lines from one: their code and their text.
    pub fn lines(&self) -> impl Iterator<Item = (usize, &str, &str)> {
        let both = self.code.lines().zip(self.raw.lines());
        both.enumerate()
            .map(|(at, (code, raw))| (at + 1, code, raw))
    }

    /// Every `crate::layer::name` outside tests: line, layer, name; groups taken apart.
    pub fn crate_paths(&self) -> Vec<(usize, String, String)> {
        let mut paths = Vec::new();
        for (at, found) in self.code.match_indices("crate::") {
            let line = line_of(&self.code, at) + 1;
            if self.in_test(line) {
                continue;
            }
            let rest = &self.code[at + found.len()..];
            for path in expand(rest) {
                let mut parts = path.split("::");
                let layer = parts.next().unwrap().to_owned();
                paths.push((line, layer, parts.next().unwrap_or("").to_owned()));
            }
        }
        paths
    }

    /// Functions with a body: line, name, length in lines.
    pub fn functions(&self) -> Vec<(usize, String, usize)> {
        let mut functions = Vec::new();
        for (at, _) in self.code.match_indices("fn ") {
            let starts = at == 0 || !is_word(self.code.as_bytes()[at - 1]);
            let name: String = self.code[at + 3..]
                .chars()
                .take_while(|c| c.is_alphanumeric() || *c == '_')
                .collect();
            if !starts || name.is_empty() {
                continue;
            }
            let end = item_end(&self.code, at);
            if self.code[at..=end].ends_with('}') {
                let (first, last) = (line_of(&self.code, at), line_of(&self.code, end));
                functions.push((first + 1, name, last - first + 1));
            }
        }
        functions
    }
}

/// The paths at the start of `text`, up to their second name: `a::b::c` is itself, `a::{b, c}` are
/// two.
fn expand(text: &str) -> Vec<String> {
    let end = text
        .find(|c: char| !c.is_alphanumeric() && c != '_' && c != ':')
        .unwrap_or(text.len());
    let (head, tail) = text.split_at(end);
    if !tail.starts_with('{') || !(head.is_empty() || head.ends_with("::")) {
        return vec![head.to_owned()];
    }
    let (mut depth, mut parts, mut from) = (0, Vec::new(), 1);
    for (at, c) in tail.char_indices() {
        match c {
            '{' => depth += 1,
            '}' => depth -= 1,
            _ => {}
        }
        if (depth == 1 && c == ',') || depth == 0 {
            parts.push(tail[from..at].trim());
            from = at + 1;
        }
        if depth == 0 {
            break;
        }
    }
    let parts = parts.into_iter().filter(|part| !part.is_empty());
    parts
        .flat_map(expand)
        .map(|part| format!("{head}{part}"))
        .collect()
}

/// Where the item that begins at `from` ends: its closing brace or its semicolon.
fn item_end(code: &str, from: usize) -> usize {
    let (mut braces, mut others) = (0, 0);
    for (at, c) in code.char_indices().skip_while(|(at, _)| *at < from) {
        match c {
            '{' => braces += 1,
            '}' => {
                braces -= 1;
                if braces == 0 {
                    return at;
                }
            }
            '(' | '[' => others += 1,
            ')' | ']' => others -= 1,
            ';' if braces == 0 && others == 0 => return at,
            _ => {}
        }
    }
    code.len() - 1
}

/// Index of the line that byte `at` is in.
fn line_of(text: &str, at: usize) -> usize {
    text.as_bytes()[..at]
        .iter()
        .filter(|b| **b == b'\n')
        .count()
}

fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_'
}

/// Whether `word` occurs and is not the end of a longer one.
pub fn has_word(code: &str, word: &str) -> bool {
    let bytes = code.as_bytes();
    code.match_indices(word)
        .any(|(at, _)| at == 0 || !is_word(bytes[at - 1]))
}

/// The text with comments, and the insides of strings and characters, turned into blanks.
fn blank(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut out = bytes.to_vec();
    let mut at = 0;
    while at < bytes.len() {
        let end = match bytes[at] {
            b'/' if bytes[at..].starts_with(b"//") => until(bytes, at, b"\n"),
            b'/' if bytes[at..].starts_with(b"/*") => until(bytes, at + 2, b"*/") + 2,
            b'r' if at == 0 || !is_word(bytes[at - 1]) || bytes[at - 1] == b'b' => {
                raw_string(bytes, at)
            }
            b'"' => string(bytes, at, b'"'),
            b'\'' => character(bytes, at),
            _ => at,
        };
        if end == at {
            at += 1;
            continue;
        }
        let end = end.min(bytes.len());
        // Quotes stay, so that one sees where a text was.
        let quoted = matches!(bytes[at], b'"' | b'\'' | b'r');
        let inner = if quoted { at + 1..end - 1 } else { at..end };
        for byte in &mut out[inner] {
            if *byte != b'\n' {
                *byte = b' ';
            }
        }
        at = end;
    }
    String::from_utf8(out).unwrap()
}

fn until(bytes: &[u8], from: usize, what: &[u8]) -> usize {
    let found = bytes[from..].windows(what.len()).position(|w| w == what);
    found.map_or(bytes.len(), |at| from + at)
}

fn string(bytes: &[u8], from: usize, quote: u8) -> usize {
    let mut at = from + 1;
    while at < bytes.len() && bytes[at] != quote {
        at += if bytes[at] == b'\\' { 2 } else { 1 };
    }
    at + 1
}

/// The end of a character; a lifetime has none.
fn character(bytes: &[u8], from: usize) -> usize {
    match bytes.get(from + 1) {
        Some(b'\\') => string(bytes, from, b'\''),
        Some(_) => {
            let end = from + 2..(from + 6).min(bytes.len());
            let width = bytes[end].iter().position(|b| *b == b'\'');
            let simple = bytes.get(from + 2) == Some(&b'\'') || bytes[from + 1] >= 0x80;
            width.filter(|_| simple).map_or(from, |w| from + 2 + w + 1)
        }
        None => from,
    }
}

fn raw_string(bytes: &[u8], from: usize) -> usize {
    let hashes = bytes[from + 1..].iter().take_while(|b| **b == b'#').count();
    if bytes.get(from + 1 + hashes) != Some(&b'"') {
        return from;
    }
    let mut close = vec![b'"'];
    close.resize(hashes + 1, b'#');
    until(bytes, from + 2 + hashes, &close) + close.len()
}

#[test]
fn code_is_told_from_texts() {
    let text =
        "let a = \"x // {\"; // }\nlet b = '{'; let c: &'a str = r#\"}\"#; /* fn */ let d = '\\'';";
    let code = blank(text);
    assert_eq!(code.len(), text.len());
    assert!(!code.contains('{') && !code.contains('}') && !code.contains("fn"));
    assert!(code.contains("let b") && code.contains("&'a str") && code.contains("let d"));
    assert_eq!(
        expand("a::{b, c::{d, e}, self};"),
        ["a::b", "a::c::d", "a::c::e", "a::self"]
    );
    assert_eq!(expand("{x::Y, z};"), ["x::Y", "z"]);
    assert_eq!(expand("a::b::C)"), ["a::b::C"]);
}
