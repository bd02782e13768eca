//! Rules of the house that a machine can check: which way modules may lean on each other, and how
//! long, how safe and how complete their text is. Not for style: rustfmt and clippy see to that.

#[path = "tidy/text.rs"]
mod text;

use text::{Source, sources};

/// Layers in order, and what each may use. `source::{Frame, …}` means: of that layer these names
/// only. Tests inside a module may use everything.
const ARROWS: &[(&str, &[&str])] = &[
    ("base", &[]),
    ("sys", &["base"]),
    ("wire", &["base"]),
    ("record", &["base"]),
    ("source", &["base", "sys", "wire"]),
    (
        "decode",
        &[
            "base",
            "wire",
            "record",
            "source::Frame",
            "source::Link",
            "source::Peer",
        ],
    ),
    ("enrich", &["base", "record"]),
    (
        "rule",
        &[
            "base",
            "sys",
            "record",
            "enrich",
            "source::Link",
            "source::Frame",
        ],
    ),
    ("agg", &["base", "record", "rule"]),
    ("encode", &["base", "record"]),
    ("spool", &["base", "sys"]),
    ("sink", &["base", "sys", "record", "encode"]),
    (
        "config",
        &[
            "base", "sys", "record", "source", "decode", "enrich", "rule", "agg", "encode",
            "spool", "sink",
        ],
    ),
    (
        "compat",
        &["base", "sys", "record", "decode", "rule", "config"],
    ),
    (
        "pipeline",
        &[
            "base", "sys", "wire", "record", "source", "decode", "enrich", "rule", "agg", "encode",
            "spool", "sink", "config",
        ],
    ),
    (
        "ctl",
        &[
            "base", "sys", "record", "source", "decode", "agg", "encode", "spool", "sink",
            "config", "pipeline",
        ],
    ),
    (
        "cmd",
        &[
            "base", "sys", "record", "source", "decode", "rule", "agg", "encode", "sink", "config",
            "compat", "pipeline", "ctl",
        ],
    ),
];

/// Longest line, in characters; a table of texts may go beyond where a line ends in a string.
const LINE_MAX: usize = 100;
/// Longest function, in lines.
const FUNCTION_MAX: usize = 70;
/// Longest file outside tests, in lines.
const FILE_MAX: usize = 700;

/// What is known to break a rule: rule, file, what, and why it may stay. An entry that no longer
/// breaks it fails the test, so that the list can only shrink.
const KNOWN: &[(&str, &str, &str, &str)] = &[
    (
        "long",
        "src/rule/bpf.rs",
        "fn walk,",
        "one match, one arm per instruction",
    ),
    (
        "long",
        "src/source/section.rs",
        "fn frames,",
        "one loop over blocks, one arm per kind",
    ),
];

/// One broken rule: the file and line, what in it, and the rule.
struct Broken {
    path: String,
    line: usize,
    what: String,
    rule: &'static str,
}

fn broken(source: &Source, line: usize, what: impl Into<String>, rule: &'static str) -> Broken {
    Broken {
        path: source.path.clone(),
        line,
        what: what.into(),
        rule,
    }
}

/// Fails with all that is broken and not known, and with all that is known and no longer broken.
fn judge(rule: &'static str, found: Vec<Broken>) {
    let known = |b: &Broken| {
        let mut of_rule = KNOWN.iter().filter(|k| k.0 == rule);
        of_rule.any(|(_, path, what, _)| *path == b.path && b.what.contains(what))
    };
    let mut report: Vec<String> = found
        .iter()
        .filter(|b| !known(b))
        .map(|b| format!("{}:{}: {}: {}", b.path, b.line, b.rule, b.what))
        .collect();
    for (_, path, what, _) in KNOWN.iter().filter(|k| k.0 == rule) {
        if !found
            .iter()
            .any(|b| b.path == *path && b.what.contains(what))
        {
            report.push(format!(
                "{path}: `{what}` is no longer broken; strike it off the list"
            ));
        }
    }
    assert!(
        report.is_empty(),
        "{} broken:\n{}",
        report.len(),
        report.join("\n")
    );
}

#[test]
fn modules_lean_on_the_layers_above_them_only() {
    let mut found = Vec::new();
    let mut uses = 0;
    for source in sources("src") {
        let Some(layer) = source.layer() else {
            continue;
        };
        let Some((_, allowed)) = ARROWS.iter().find(|(name, _)| *name == layer) else {
            found.push(broken(
                &source,
                1,
                &layer,
                "no such layer in the table of arrows",
            ));
            continue;
        };
        for (line, target, name) in source.crate_paths() {
            uses += 1;
            let whole = allowed.contains(&target.as_str());
            let part = allowed.contains(&format!("{target}::{name}").as_str());
            if target != layer && !whole && !part {
                let what = format!("{layer} uses {target}::{name}");
                found.push(broken(&source, line, what, "arrow"));
            }
        }
    }
    assert!(
        uses > 100,
        "only {uses} uses found: the reader of `crate::…` is broken"
    );
    judge("arrow", found);
}

#[test]
fn every_layer_of_the_crate_is_in_the_table() {
    let lib = std::fs::read_to_string(text::root().join("src/lib.rs")).unwrap();
    let mut modules: Vec<&str> = lib
        .lines()
        .filter_map(|l| l.strip_prefix("pub mod ")?.strip_suffix(';'))
        .collect();
    let mut layers: Vec<&str> = ARROWS.iter().map(|(name, _)| *name).collect();
    modules.sort_unstable();
    layers.sort_unstable();
    assert_eq!(modules, layers);
}

/// Words in the lines of a tree that begin with `folder`, and in those indented below it.
fn words_of<'a>(tree: &'a str, folder: &str) -> Vec<&'a str> {
    let lines = tree.lines().skip_while(|line| !line.starts_with(folder));
    let below = lines.enumerate();
    let of_it = below.take_while(|(n, line)| *n == 0 || line.starts_with(' '));
    let words = of_it.flat_map(|(_, line)| line.split(|c: char| !c.is_alphanumeric() && c != '_'));
    words.collect()
}

#[test]
fn every_file_is_named_in_the_tree_of_the_architecture() {
    let text = std::fs::read_to_string(text::root().join("docs/ARCHITECTURE.md")).unwrap();
    let (_, tree) = text.split_once("## Tree\n").unwrap();
    let (tree, _) = tree.split_once("\n## ").unwrap();
    let (mut found, mut files) = (Vec::new(), 0);
    for source in sources("src") {
        let parts: Vec<&str> = source.path.split('/').collect();
        let [_, layer, file] = parts[..] else {
            continue;
        };
        let name = file.trim_end_matches(".rs");
        if source.is_test() || name == "mod" {
            continue;
        }
        files += 1;
        // A source, decoder or sink has its line in a registry.
        let registry = std::fs::read_to_string(text::root().join(format!("src/{layer}/mod.rs")));
        let registered = registry.unwrap().contains(&format!("\": {name} if \""));
        if !registered && !words_of(tree, &format!("src/{layer}/")).contains(&name) {
            found.push(broken(
                &source,
                1,
                name,
                "not in the tree of ARCHITECTURE.md",
            ));
        }
    }
    assert!(
        files > 100,
        "only {files} files found: their reader is broken"
    );
    judge("tree", found);
}

#[test]
fn features_are_asked_for_in_registries_only() {
    let mut found = Vec::new();
    for source in sources("src") {
        let place = source.path == "src/lib.rs" || source.path.ends_with("/mod.rs");
        for (line, code, raw) in source.lines() {
            let asks =
                code.contains("cfg") && (raw.contains("feature =") || raw.contains("feature="));
            if asks && !place && !source.in_test(line) {
                found.push(broken(
                    &source,
                    line,
                    raw.trim(),
                    "feature outside lib.rs and mod.rs",
                ));
            }
        }
    }
    judge("feature", found);
}

#[test]
fn lines_functions_and_files_are_short() {
    let mut found = Vec::new();
    let mut functions = 0;
    for source in ["src", "tests", "benches", "fuzz"]
        .iter()
        .flat_map(|dir| sources(dir))
    {
        for (line, code, raw) in source.lines() {
            let long = raw.chars().count() > LINE_MAX;
            // What rustfmt leaves long: a text that is not to be broken, a row of a table.
            if long && !code.contains('"') {
                found.push(broken(
                    &source,
                    line,
                    raw.trim(),
                    "line over 100 characters",
                ));
            }
        }
        if !source.is_test() && source.lines().count() > FILE_MAX {
            found.push(broken(&source, 1, "the file", "file over 700 lines"));
        }
        for (line, name, length) in source.functions() {
            functions += 1;
            if length > FUNCTION_MAX && !source.in_test(line) {
                let what = format!("fn {name}, {length} lines");
                found.push(broken(&source, line, what, "function over 70 lines"));
            }
        }
    }
    assert!(
        functions > 300,
        "only {functions} functions found: their reader is broken"
    );
    judge("long", found);
}

#[test]
fn nothing_is_left_for_later() {
    let mut found = Vec::new();
    for source in ["src", "tests", "benches", "fuzz"]
        .iter()
        .flat_map(|dir| sources(dir))
    {
        if source.path.starts_with("tests/tidy") {
            continue;
        }
        for (line, _, raw) in source.lines() {
            for word in ["todo!", "unimplemented!", "TODO", "FIXME", "XXX", "HACK"] {
                let at = raw.find(word);
                let whole =
                    at.is_some_and(|at| !raw[at + word.len()..].starts_with(char::is_alphanumeric));
                if whole {
                    found.push(broken(&source, line, raw.trim(), "left for later"));
                }
            }
        }
    }
    judge("left", found);
}

#[test]
fn calls_stay_where_they_belong() {
    /// Words, the directories or files that may have them, whether tests may, and the rule.
    const BOUND: &[(&[&str], &[&str], bool, &str)] = &[
        (&["unsafe "], &["src/sys/"], false, "unsafe outside sys"),
        (
            &["SystemTime"],
            &["src/base/time.rs"],
            true,
            "wall clock outside base/time.rs",
        ),
        (
            &["println!", "print!", "eprint!", "eprintln!"],
            &["src/cmd/"],
            true,
            "printing outside cmd",
        ),
        (&["dbg!"], &[], false, "debugging left in"),
        (
            &["process::exit"],
            &["src/cmd/", "src/sys/"],
            true,
            "exit outside cmd",
        ),
    ];
    let mut found = Vec::new();
    for source in sources("src") {
        for (line, code, raw) in source.lines() {
            for (words, places, tests, rule) in BOUND {
                let here = places.iter().any(|place| source.path.starts_with(place));
                if here || (*tests && source.in_test(line)) {
                    continue;
                }
                if words.iter().any(|word| text::has_word(code, word)) {
                    found.push(broken(&source, line, raw.trim(), rule));
                }
            }
        }
    }
    judge("call", found);
}

#[test]
fn nothing_the_wire_says_can_panic() {
    const CALLS: &[&str] = &[
        ".unwrap()",
        ".expect(",
        "panic!(",
        "unreachable!(",
        "assert!(",
    ];
    let mut found = Vec::new();
    for dir in ["src/wire", "src/decode", "src/source"] {
        for source in sources(dir) {
            for (line, code, raw) in source.lines() {
                let calls = CALLS.iter().any(|call| code.contains(call));
                // What is checked while compiling can not happen later.
                let constant = code.trim_start().starts_with("const ");
                if calls && !constant && !code.contains("debug_assert") && !source.in_test(line) {
                    found.push(broken(&source, line, raw.trim(), "may panic"));
                }
            }
        }
    }
    judge("panic", found);
}
