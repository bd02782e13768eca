//! The command line, on the real binary.

use std::process::{Command, Output, Stdio};

fn weir(args: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_weir"));
    command.args(args).current_dir(env!("CARGO_MANIFEST_DIR"));
    command.stdin(Stdio::null()).output().expect("weir runs")
}

fn out(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).expect("UTF-8")
}

fn err(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).expect("UTF-8")
}

fn code(output: &Output) -> i32 {
    output.status.code().expect("no signal")
}

#[test]
fn alone_it_says_what_it_can_do() {
    let output = weir(&[]);
    assert_eq!(code(&output), 2);
    assert!(err(&output).contains("weir COMMAND") && output.stdout.is_empty());
    for args in [["--help"], ["-h"], ["help"]] {
        let output = weir(&args);
        assert_eq!(code(&output), 0);
        assert!(out(&output).contains("Exit status") && output.stderr.is_empty());
    }
    let output = weir(&["--version"]);
    assert!(out(&output).starts_with(concat!("weir ", env!("CARGO_PKG_VERSION"))));
}

#[test]
fn every_command_explains_itself() {
    for command in weir::cmd::COMMANDS {
        let by_flag = weir(&[command.name, "--help"]);
        let by_name = weir(&["help", command.name]);
        assert_eq!((code(&by_flag), code(&by_name)), (0, 0), "{}", command.name);
        assert_eq!(out(&by_flag), out(&by_name));
        assert!(out(&by_flag).contains(&format!("Usage: weir {}", command.name)));
    }
}

#[test]
fn a_wrong_command_line_gets_one_message_and_one_hint() {
    for (args, want) in [
        (&["red"][..], "no command `red`; did you mean `read`?"),
        (
            &["Cargo.toml"],
            "to read a savefile of that name: weir read Cargo.toml",
        ),
        (
            &["--frobnicate"],
            "no option `--frobnicate` before a command",
        ),
        (&["help", "raed"], "no command `raed`; did you mean `read`?"),
        (&["read"], "FILE is missing"),
        (
            &["read", "--memroy", "1", "x"],
            "no option `--memroy`; did you mean `--memory`?",
        ),
        (
            &["read", "--memory", "lots", "x"],
            "--memory is `lots`; it takes a size",
        ),
        (&["read", "--format", "cvs", "x"], "did you mean `csv`?"),
        (&["check", "a", "b"], "takes at most 1 FILE"),
        (&["check", "a", "-c", "b"], "both name a configuration"),
        #[cfg(feature = "cmd-gen")]
        (&["gen", "fihs"], "did you mean `fish`?"),
        #[cfg(feature = "cmd-fields")]
        (
            &["fields", "src_hots"],
            "no field `src_hots`; did you mean `src_host`?",
        ),
        (&["version", "now"], "takes no operand, but got `now`"),
    ] {
        let output = weir(args);
        assert_eq!(code(&output), 2, "{args:?}");
        assert!(output.stdout.is_empty(), "{args:?}");
        let text = err(&output);
        assert!(text.contains(want), "{args:?}: {text}");
        assert_eq!(text.lines().count(), 2, "{args:?}: {text}");
        assert!(
            text.lines()
                .nth(1)
                .expect("two lines")
                .starts_with("Try `weir"),
            "{text}"
        );
    }
}

#[test]
fn a_reader_that_goes_away_is_no_error() {
    let line = format!("{} fields | head -n 1", env!("CARGO_BIN_EXE_weir"));
    let script = format!("set -o pipefail; for i in 1 2 3 4 5; do {line} || exit 9; done");
    let output = Command::new("bash")
        .args(["-c", &script])
        .output()
        .expect("bash runs");
    assert_eq!(code(&output), 0, "{}", err(&output));
    assert_eq!(err(&output), "");
}

/// A capture of one packet each from `hosts` hosts, then two large ones from one more.
fn crowd(hosts: u32) -> Vec<u8> {
    use weir::base::time::Nanos;
    use weir::wire::savefile::{write_pcap_header, write_pcap_record};
    let mut file = write_pcap_header(101).to_vec();
    let host = |n: u32, length: u16, file: &mut Vec<u8>| {
        let mut packet = vec![0x45, 0, 0, 0, 0, 0, 0, 0, 64, 89, 0, 0];
        packet[2..4].copy_from_slice(&length.to_be_bytes());
        packet.extend((0x0a00_0000 + n).to_be_bytes());
        packet.extend([192, 0, 2, 1]);
        file.extend(write_pcap_record(Nanos(1), 20, u32::from(length)));
        file.extend(packet);
    };
    (0..hosts).for_each(|n| host(n, 20, &mut file));
    (0..2).for_each(|_| host(0x00ff_ffff, 1500, &mut file));
    file
}

/// Rows that nobody takes hold up whoever asks twice for the end no longer.
#[test]
fn a_reader_that_reads_nothing_can_be_interrupted() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("crowd.pcap");
    std::fs::write(&path, crowd(60_000)).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_weir"));
    let command = command.args(["read", "--quiet", "--by", "src_host", "--format", "csv"]);
    let command = command.args(["--top", "0"]).arg(&path).stdin(Stdio::null());
    let mut child = command
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    // Once a row comes, it hears signals.
    let mut rows = child.stdout.take().unwrap();
    std::io::Read::read_exact(&mut rows, &mut [0]).unwrap();
    let id = child.id().to_string();
    let mut ended = None;
    for _ in 0..200 {
        std::thread::sleep(std::time::Duration::from_millis(100));
        ended = child.try_wait().unwrap();
        if ended.is_some() {
            break;
        }
        let sent = Command::new("kill").args(["-INT", &id]).status().unwrap();
        assert!(sent.success());
    }
    child.kill().unwrap();
    assert_eq!(ended.map(|status| status.code()), Some(Some(130)));
}

/// What can not be sorted for want of memory is summed up, and somebody says so.
#[test]
fn rows_that_find_no_room_to_be_sorted_are_not_lost() {
    const HOSTS: u32 = 60_000;
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("crowd.pcap");
    std::fs::write(&path, crowd(HOSTS)).unwrap();
    let path = path.to_str().unwrap();
    let by = ["read", "--by", "src_host", "--format", "csv", "--sort"];
    let all = weir(&[&by[..], &["bytes", path]].concat());
    assert_eq!(out(&all).lines().count() as u32, 1 + HOSTS + 1);
    assert!(!err(&all).contains("no room"));
    for sort in ["bytes", "src_host"] {
        let output = weir(&[&by[..], &[sort, "--memory", "3MiB", path]].concat());
        assert_eq!(code(&output), 0);
        assert!(err(&output).contains("has no room to sort all rows"));
        let text = out(&output);
        let lines: Vec<&str> = text.lines().collect();
        let bytes = |line: &str| line.rsplit(',').next().unwrap().parse::<u64>().unwrap();
        let (total, rows) = lines[1..].split_last().unwrap();
        assert!(total.starts_with("total,"), "{total}");
        assert!(rows.last().unwrap().starts_with("other,"));
        let sum: u64 = rows.iter().map(|row| bytes(row)).sum();
        assert_eq!((sum, bytes(total)), (u64::from(HOSTS) * 20 + 3000, sum));
        // The largest row came last, when there was no room any more.
        let first = if sort == "bytes" {
            "10.255.255.255,2,3000"
        } else {
            "10.0.0.0,1,20"
        };
        assert_eq!(lines[1], first);
    }
}

#[test]
#[cfg(feature = "cmd-fields")]
fn fields_lists_all() {
    let all = weir::record::FIELDS;
    let csv = out(&weir(&["fields", "--format", "csv"]));
    let table = out(&weir(&["fields"]));
    let json = out(&weir(&["fields", "--format", "json"]));
    for text in [&csv, &table] {
        assert_eq!(text.lines().count(), all.len() + 1);
    }
    assert_eq!(json.lines().count(), all.len());
    for info in all {
        assert!(
            csv.lines()
                .any(|l| l.starts_with(&format!("{},{},", info.name, info.json)))
        );
        assert!(
            table
                .lines()
                .any(|l| l.starts_with(&format!("{} ", info.name)))
        );
        assert!(json.contains(&format!("{{\"field\": \"{}\",", info.name)));
    }
    assert!(out(&weir(&["fields", "SRC_IP"])).contains("src_host"));
    assert!(out(&weir(&["fields", "flows"])).starts_with("flows: a counter"));
}

/// Thirty mistakes, each with its line and what must be said there.
const MISTAKES: &[(u32, &str, &str)] = &[
    (1, "memory = \"plenty\"", "it takes a size"),
    (2, "memroy = 3", "did you mean `memory`?"),
    (3, "http = \"here\"", "it takes an address"),
    (4, "timezone = \"Mars/Olympus\"", "time zone"),
    (5, "stop_within = \"a while\"", "it takes a duration"),
    (6, "[log]", ""),
    (7, "level = \"wran\"", "did you mean \"warn\"?"),
    (8, "to = \"paper\"", "it takes \"stderr\" or \"syslog\""),
    (9, "[limits]", ""),
    (10, "templates = -1", "it takes a whole number"),
    (11, "symbols = true", "it takes a size"),
    (12, "exportres = 3", "did you mean `exporters`?"),
    (13, "[inptus.x]", "did you mean [input]?"),
    (14, "[input.a]", "needs `kind`"),
    (15, "workers = 100", "it takes a whole number from 1 to 64"),
    (16, "decode = \"netlfow\"", "did you mean \"netflow\"?"),
    (17, "[input.\"b c\"]", "a name has letters"),
    (18, "kind = \"udp\"", ""),
    (19, "[input.c]", ""),
    (20, "kind = \"upd\"", "did you mean \"udp\"?"),
    (21, "[input.d]", "needs `listen`"),
    (22, "kind = \"udp\"", ""),
    (23, "lisent = \"[::]:2055\"", "did you mean `listen`?"),
    (24, "[aggregate.t]", "has no output"),
    (25, "by = [\"src_hots\"]", "did you mean `src_host`?"),
    (26, "every = \"0s\"", "at least one"),
    (27, "time = \"noon\"", "\"arrival\" or \"start\" or \"end\""),
    (28, "full = \"flod\"", "did you mean \"fold\"?"),
    (29, "memory = 100000", ""),
    (30, "renormalise = 1", "it takes true or false"),
    (
        31,
        "from = [\"aa\", \"d\"]",
        "no input `aa`; did you mean `a`?",
    ),
    (32, "[aggregate.u]", ""),
    (
        33,
        "by = [\"sum_host\", \"proto\"]",
        "`sum_host` excludes `proto`",
    ),
    (
        34,
        "to = [\"fiels\"]",
        "no output `fiels`; did you mean `files`?",
    ),
    (35, "[aggregate.v]", ""),
    (36, "by = [\"src_as_path\"]", "needs routes"),
    (37, "to = [\"files\"]", ""),
    (38, "[output.files]", "needs `kind`"),
    (39, "queue = 1", "or more"),
];

#[test]
fn thirty_mistakes_are_thirty_messages() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("weir.toml");
    let lines: Vec<_> = MISTAKES.iter().map(|(_, line, _)| *line).collect();
    std::fs::write(&path, lines.join("\n")).expect("written");
    let name = path.to_str().expect("UTF-8");
    let output = weir(&["check", name]);
    assert_eq!(code(&output), 3);
    assert!(output.stdout.is_empty());
    let text = err(&output);
    let mut count = 0;
    for (line, source, want) in MISTAKES.iter().filter(|(.., want)| !want.is_empty()) {
        let place = format!("{name}:{line}:");
        let said = text
            .lines()
            .filter(|l| l.starts_with(&place) && l.contains(want));
        assert_eq!(said.count(), 1, "{line}: {source}\n{text}");
        count += 1;
    }
    assert_eq!(count, 30);
    let problems = text.lines().filter(|l| !l.contains(": warning: ")).count();
    assert_eq!(problems, count + 1, "{text}");
    assert!(text.ends_with(": 30 mistakes\n"), "{text}");
}

#[test]
fn what_can_not_be_read_is_said() {
    let output = weir(&["check", "no/such/file.toml"]);
    assert_eq!(code(&output), 3);
    assert!(
        err(&output).starts_with("no/such/file.toml: "),
        "{}",
        err(&output)
    );
    let output = weir(&["check", "-"]);
    assert_eq!(code(&output), 3);
    assert!(err(&output).contains("-: no input"), "{}", err(&output));
}

/// What `weir check` says of a configuration, its path taken out, and how it ends.
fn checked(text: &str) -> (i32, String) {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("weir.toml");
    std::fs::write(&path, text).expect("written");
    let name = path.to_str().expect("UTF-8");
    let output = weir(&["check", "--quiet", name]);
    (code(&output), err(&output).replace(name, "F"))
}

#[test]
fn what_is_broken_is_not_said_to_lack_the_rest() {
    let (exit, said) = checked(
        "[input.routers\nkind = \"udp\"\nlisten = \"[::]:2055\"\n[aggregate.a]\nto = \"p\"\n\
         [output.p]\nkind = \"prnt\"\n",
    );
    assert_eq!(exit, 3, "{said}");
    assert!(said.contains("not TOML: "), "{said}");
    assert!(!said.contains("no input: add one"), "{said}");
    let (exit, said) = checked("! a comment\nplugins: print\naggregate[x]: src_host\n");
    assert_eq!(exit, 3);
    assert!(said.contains("`weir import FILE`"), "{said}");
    assert_eq!(said.lines().count(), 2, "{said}");
}

#[test]
fn aggregations_with_columns_of_their_own_need_places_of_their_own() {
    let text = |output: &str, by: &str| {
        format!(
            "[input.a]\nkind = \"udp\"\nlisten = \"[::]:2055\"\n\
             [aggregate.hosts]\nby = [\"src_host\"]\nto = \"o\"\n\
             [aggregate.more]\nby = [\"{by}\"]\nto = \"o\"\n[output.o]\n{output}\n"
        )
    };
    for (output, setting) in [
        ("kind = \"file\"\npath = \"/tmp/a.csv\"", "path"),
        (
            "kind = \"sqlite\"\npath = \"/tmp/a.db\"\ntable = \"acct\"",
            "table",
        ),
        (
            "kind = \"postgres\"\ndatabase = \"a\"\ntable = \"acct\"",
            "table",
        ),
    ] {
        let (exit, said) = checked(&text(output, "proto"));
        if said.contains("this build") {
            continue;
        }
        let want = format!("go to one {setting}; put $aggregate into `{setting}`");
        assert_eq!(exit, 3, "{said}");
        assert!(
            said.contains("`hosts` and `more`") && said.contains(&want),
            "{said}"
        );
        assert_eq!(checked(&text(output, "src_host")), (0, String::new()));
        let apart = output
            .replace("/tmp/a.csv", "/tmp/$aggregate")
            .replace("acct", "$aggregate");
        assert_eq!(checked(&text(&apart, "proto")), (0, String::new()));
    }
    let json = "kind = \"file\"\npath = \"/tmp/a\"\nformat = \"json\"";
    assert_eq!(checked(&text(json, "proto")), (0, String::new()));
}

#[test]
fn a_wrong_kind_of_maps_is_a_wrong_command_line() {
    let output = weir(&["check", "--map", "tgas", "tests/data/office.pcap"]);
    assert_eq!(code(&output), 2);
    assert!(
        err(&output).contains("did you mean `tags`?"),
        "{}",
        err(&output)
    );
}

#[test]
fn a_file_that_is_not_there_is_a_failure_with_its_name() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("weir.toml");
    let text = "[input.a]\nkind = \"file\"\nfile = \"/no/such.pcap\"\n\
                [aggregate.h]\nto = \"o\"\n[output.o]\nkind = \"print\"\n";
    std::fs::write(&path, text).expect("written");
    let output = weir(&["run", path.to_str().expect("UTF-8")]);
    assert_eq!(code(&output), 1, "{}", err(&output));
    assert!(
        err(&output).contains("input a: /no/such.pcap: "),
        "{}",
        err(&output)
    );
    let output = weir(&["status", "-c", "no/such.toml"]);
    assert_eq!(code(&output), 3, "{}", err(&output));
}

#[test]
fn what_is_not_there_yet_is_told_by_check() {
    let (exit, said) = checked(
        "[input.a]\nkind = \"file\"\nfile = \"/no/such.pcap\"\n[aggregate.h]\nto = \"o\"\n\
         [output.o]\nkind = \"print\"\n",
    );
    assert_eq!(exit, 0, "{said}");
    assert!(
        said.starts_with("F:3:8: warning: `file` is \"/no/such.pcap\": "),
        "{said}"
    );
}

#[test]
fn names_of_other_programs_lead_to_ours() {
    for (given, want) in [
        ("--by=dport", "did you mean `dst_port`?"),
        (
            "--by=ip",
            "did you mean `src_host`, `dst_host` or `sum_host`?",
        ),
        ("--sort=foo", "there are packets, bytes, flows"),
        ("--memory=1k", "they need "),
    ] {
        let output = weir(&["read", given, "tests/data/office.pcap"]);
        assert_eq!(code(&output), 2, "{}", err(&output));
        assert!(err(&output).contains(want), "{}", err(&output));
    }
}

#[test]
fn what_is_read_is_not_written_over() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("office.pcap");
    std::fs::copy("tests/data/office.pcap", &path).unwrap();
    let before = std::fs::read(&path).unwrap();
    let name = path.to_str().unwrap();
    let output = weir(&["read", "--format", "csv", "--output", name, name]);
    assert_eq!(code(&output), 2, "{}", err(&output));
    assert!(err(&output).contains("is read by this run"));
    assert_eq!(std::fs::read(&path).unwrap(), before);
}

#[test]
fn memory_that_no_system_has_is_a_mistake() {
    let huge = if cfg!(target_pointer_width = "64") {
        "1000000 GiB"
    } else {
        "3 GiB"
    };
    let output = weir(&["read", "--memory", huge, "tests/data/office.pcap"]);
    assert_ne!(code(&output), 0);
    assert!(
        err(&output).contains("more than the system can give"),
        "{}",
        err(&output)
    );
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("weir.toml");
    let text = format!(
        "memory = \"{huge}\"\n[input.a]\nkind = \"file\"\nfile = \"x\"\n\
         [aggregate.b]\nby = [\"proto\"]\nto = \"c\"\n[output.c]\nkind = \"print\"\n"
    );
    std::fs::write(&path, text).unwrap();
    let output = weir(&["check", path.to_str().unwrap()]);
    assert_eq!(code(&output), 3, "{}", err(&output));
    assert!(err(&output).contains("more than the system can give"));
}

/// An example is right in every build that has what it uses; where something is not built, that
/// is all there is to say about it.
#[test]
fn every_example_is_right() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/configs");
    let mut count = 0;
    for entry in std::fs::read_dir(folder).expect("configs") {
        let path = entry.expect("an entry").path();
        let name = path.to_str().expect("UTF-8");
        let output = weir(&["check", name]);
        let text = std::fs::read_to_string(&path).expect("readable");
        match missing(&text) {
            0 => {
                assert_eq!(code(&output), 0, "{}", err(&output));
                assert_eq!(err(&output), "");
                assert!(out(&output).contains("[aggregate."));
            }
            missing => {
                assert_eq!(code(&output), 3, "{name}");
                assert_eq!(
                    err(&output).lines().count(),
                    missing + 1,
                    "{}",
                    err(&output)
                );
            }
        }
        count += 1;
    }
    assert!(count >= 4);
}

/// How many things a configuration uses that this build has not got.
fn missing(text: &str) -> usize {
    let inputs = weir::source::KINDS.iter().filter(|k| k.parse.is_some());
    let outputs = weir::sink::KINDS.iter().filter(|k| k.parse.is_some());
    let inputs: Vec<_> = inputs.map(|k| k.name).collect();
    let outputs: Vec<_> = outputs.map(|k| k.name).collect();
    let mut section = "";
    let mut count = 0;
    for line in text.lines() {
        if line.starts_with('[') {
            section = line;
        }
        let has = match line.split_once(" = ") {
            Some(("kind", kind)) => {
                let kinds = if section.starts_with("[input.") {
                    &inputs
                } else {
                    &outputs
                };
                kinds.contains(&kind.trim_matches('"'))
            }
            Some(("http", _)) => weir::base::built("ctl-http"),
            Some(("filter", _)) => weir::base::built("rule-filter"),
            Some(("spool", _)) => weir::base::built("spool"),
            _ => true,
        };
        count += usize::from(!has);
    }
    count
}

#[test]
#[cfg(feature = "cmd-gen")]
fn what_is_generated_can_be_used() {
    let shells = [
        ("bash", "complete -o"),
        ("zsh", "#compdef weir"),
        ("fish", "complete -c weir"),
    ];
    for (shell, want) in shells {
        let text = out(&weir(&["gen", shell]));
        assert!(text.contains(want), "{shell}");
        for command in weir::cmd::COMMANDS {
            assert!(text.contains(command.name), "{shell}: {}", command.name);
            for flag in command.flags {
                assert!(
                    text.contains(flag.name),
                    "{shell}: {} {}",
                    command.name,
                    flag.name
                );
            }
        }
        syntax(shell, &text);
    }
    let page = out(&weir(&["gen", "man"]));
    assert!(page.starts_with(".TH WEIR 1"));
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("weir.1");
    std::fs::write(&path, &page).expect("written");
    let man = Command::new("man")
        .args(["--warnings", "-l"])
        .arg(&path)
        .output();
    if let Ok(man) = man {
        assert_eq!(err(&man), "");
        assert!(out(&man).contains("--memory") && out(&man).contains("EXIT STATUS"));
    }
}

/// Lets the shell read its completions, where it is installed.
#[cfg(feature = "cmd-gen")]
fn syntax(shell: &str, text: &str) {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("completions");
    std::fs::write(&path, text).expect("written");
    if let Ok(output) = Command::new(shell).arg("-n").arg(&path).output() {
        assert_eq!(code(&output), 0, "{shell}: {}", err(&output));
    }
}
