//! Tests of the file sink, on a folder of their own.

use super::*;
use crate::base::addr::Ip;
use crate::base::intern::Interner;
use crate::base::options::{Place, Raw};
use crate::base::zone::Zone;
use crate::record::{Field, FlowRecord, Schema, schema};
use std::fs;
use std::sync::{Arc, LazyLock};
use tempfile::TempDir;

const HEAD: &str = "SRC_IP,DST_PORT,PACKETS,BYTES\n";

/// Rows of (last byte of the address, port); packets and bytes are the port's.
fn rows(sequence: u64, bin: u64, hosts: &[(u8, u16)], last: bool) -> Rows {
    static SCHEMA: LazyLock<Arc<Schema>> = LazyLock::new(|| by(&[Field::SrcHost, Field::DstPort]));
    of(SCHEMA.clone(), sequence, bin, hosts, last)
}

fn by(fields: &[Field]) -> Arc<Schema> {
    let symbols = Arc::new(Interner::new(0));
    let options = schema::Options::default();
    Arc::new(Schema::new("talkers", fields, options, symbols))
}

fn of(schema: Arc<Schema>, sequence: u64, bin: u64, hosts: &[(u8, u16)], last: bool) -> Rows {
    let mut words = Vec::new();
    for (host, port) in hosts {
        let mut r = FlowRecord::new();
        r.set_src_host(Ip::v4([192, 0, 2, *host]));
        r.set_dst_port(*port);
        (r.packets, r.bytes) = (u64::from(*port), u64::from(*port) * 100);
        let mut row = vec![0; schema.row_words()];
        let (key, counters) = row.split_at_mut(schema.key.len());
        schema.key.pack(&r, key);
        schema.counter.add(&r, counters);
        words.extend(row);
    }
    Rows {
        id: BatchId {
            run: 1,
            aggregate: 0,
            sequence,
        },
        schema,
        bin: Nanos::new(bin, 0),
        flushed: Nanos::new(bin + 300, 0),
        words,
        last,
    }
}

fn sink(folder: &Path, path: &str, more: &[(&str, Raw)]) -> Box<dyn Sink> {
    let mut options = Options::new("output.x", Place::default());
    let path = folder.join(path).to_string_lossy().into_owned();
    options.set("path", Raw::Text(path));
    more.iter().for_each(|(k, v)| options.set(k, v.clone()));
    let opener = parse(&mut options);
    assert_eq!(options.finish(), []);
    let context = Context {
        name: "x".into(),
        zone: Zone::UTC,
        seed: 0,
        again: false,
    };
    opener.unwrap().open(&context).unwrap()
}

fn text(word: &str) -> Raw {
    Raw::Text(word.into())
}

/// All files below `folder` with their contents, links by where they lead.
fn tree(folder: &Path) -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        if path.is_symlink() {
            let to = fs::read_link(&path).unwrap();
            found.insert(name, format!("-> {}", to.display()));
        } else if path.is_dir() {
            let below = tree(&path).into_iter();
            found.extend(below.map(|(n, t)| (format!("{name}/{n}"), t)));
        } else {
            found.insert(name, fs::read_to_string(&path).unwrap());
        }
    }
    found
}

fn files<const N: usize>(files: [(&str, String); N]) -> BTreeMap<String, String> {
    files.map(|(n, t)| (n.to_string(), t)).into()
}

#[test]
fn a_file_has_its_name_when_it_is_complete() {
    let dir = TempDir::new().unwrap();
    let latest = dir.path().join("latest.csv").to_string_lossy().into_owned();
    let more = [("latest", Raw::Text(latest)), ("sync", Raw::Bool(true))];
    let mut sink = sink(dir.path(), "%Y/t-%H%M.csv", &more);
    sink.write(&rows(0, 300, &[(1, 80)], false)).unwrap();
    let (one, two) = ("192.0.2.1,80,80,8000\n", "192.0.2.2,443,443,44300\n");
    let part = files([("1970/.t-0005.csv.part", format!("{HEAD}{one}"))]);
    assert_eq!(tree(dir.path()), part);
    sink.write(&rows(1, 300, &[(2, 443)], true)).unwrap();
    let to = dir.path().join("1970/t-0005.csv");
    let link = ("latest.csv", format!("-> {}", to.display()));
    let done = ("1970/t-0005.csv", format!("{HEAD}{one}{two}"));
    assert_eq!(tree(dir.path()), files([done.clone(), link]));
    // The same bin again, as when a table was full: nothing is lost.
    sink.write(&rows(2, 300, &[(1, 80)], true)).unwrap();
    let text = &tree(dir.path())["1970/t-0005.csv"];
    assert_eq!(*text, format!("{HEAD}{one}{two}{one}"));
    // No rows, no file.
    sink.write(&rows(3, 600, &[], true)).unwrap();
    assert_eq!(tree(dir.path()).len(), 2);
}

#[test]
fn earlier_files_are_continued_or_replaced_and_torn_lines_ended() {
    let row = "192.0.2.1,80,80,8000\n";
    for (existing, want) in [
        ("continue", format!("{HEAD}old\n{row}{row}")),
        ("replace", format!("{HEAD}{row}{row}")),
    ] {
        let dir = TempDir::new().unwrap();
        fs::write(dir.path().join("t-0005"), format!("{HEAD}old")).unwrap();
        let mut sink = sink(dir.path(), "t-%H%M", &[("existing", text(existing))]);
        for n in 0..2 {
            sink.write(&rows(n, 300, &[(1, 80)], true)).unwrap();
        }
        assert_eq!(tree(dir.path()), files([("t-0005", want)]));
    }
}

#[test]
fn appended_files_have_one_header() {
    let dir = TempDir::new().unwrap();
    let row = "192.0.2.1,80,80,8000\n";
    for n in 0..2 {
        let mut sink = sink(dir.path(), "all.csv", &[]);
        sink.write(&rows(n, 300 * n, &[(1, 80)], true)).unwrap();
    }
    let want = files([("all.csv", format!("{HEAD}{row}{row}"))]);
    assert_eq!(tree(dir.path()), want);
}

#[test]
fn values_split_rows_over_files_with_few_of_them_open() {
    let dir = TempDir::new().unwrap();
    let more = [("open", Raw::Number(2)), ("files", Raw::Number(5))];
    let mut sink = sink(dir.path(), "$aggregate/$src_host-%s-$vlan.csv", &more);
    let hosts: Vec<_> = (0..20).map(|n| (n % 7, u16::from(n))).collect();
    sink.write(&rows(0, 300, &hosts, false)).unwrap();
    sink.write(&rows(1, 300, &hosts, true)).unwrap();
    let tree = tree(dir.path());
    let names: Vec<_> = tree.keys().map(String::as_str).collect();
    assert_eq!(
        names,
        [
            "talkers/192.0.2.0-300-null.csv",
            "talkers/192.0.2.1-300-null.csv",
            "talkers/192.0.2.2-300-null.csv",
            "talkers/192.0.2.3-300-null.csv",
            "talkers/192.0.2.4-300-null.csv",
            "talkers/other-300-other.csv",
        ]
    );
    let lines = |text: &String| text.lines().filter(|l| *l != HEAD.trim_end()).count();
    assert_eq!(tree.values().map(lines).sum::<usize>(), 40);
    assert!(tree.values().all(|t| t.matches("SRC_IP").count() == 1));
    assert_eq!(lines(&tree[names[0]]), 6);
}

#[test]
fn nothing_counts_twice_after_a_failure() {
    let dir = TempDir::new().unwrap();
    // Rows of host 1 find their folder, those of host 2 find a file in its place.
    fs::create_dir(dir.path().join("192.0.2.1")).unwrap();
    fs::write(dir.path().join("192.0.2.2"), "").unwrap();
    for format in ["csv", "json", "table"] {
        let path = format!("$src_host/{format}");
        let more = [("format", text(format)), ("append", Raw::Bool(false))];
        let mut sink = sink(dir.path(), &path, &more);
        sink.write(&rows(0, 300, &[(1, 80)], false)).unwrap();
        let batch = rows(1, 300, &[(1, 443), (2, 53)], true);
        for _ in 0..2 {
            let answer = sink.write(&batch);
            assert!(matches!(answer, Err(SinkError::Retry { .. })), "{answer:?}");
        }
        fs::remove_file(dir.path().join("192.0.2.2")).unwrap();
        sink.write(&batch).unwrap();
        let tree = tree(dir.path());
        let heading = usize::from(format != "json");
        let one = &tree[&format!("192.0.2.1/{format}")];
        assert_eq!(one.lines().count(), heading + 2, "{one}");
        let two = &tree[&format!("192.0.2.2/{format}")];
        assert_eq!(two.lines().count(), heading + 1, "{two}");
        fs::remove_dir_all(dir.path().join("192.0.2.2")).unwrap();
        fs::write(dir.path().join("192.0.2.2"), "").unwrap();
    }
}

#[cfg(target_os = "linux")]
#[test]
fn a_full_disk_is_tried_again() {
    let mut sink = sink(Path::new("/dev"), "full", &[]);
    for _ in 0..2 {
        match sink.write(&rows(0, 0, &[(1, 80)], true)) {
            Err(SinkError::Retry { why, .. }) => assert!(why.contains("space"), "{why}"),
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn a_trigger_runs_for_each_complete_file() {
    let dir = TempDir::new().unwrap();
    let more = [
        ("trigger", text("cp \"$WEIR_FILE\" \"$WEIR_FILE.copy\"")),
        ("triggers", Raw::Number(1)),
    ];
    let mut sink = sink(dir.path(), "t-%H%M", &more);
    for n in 0..3 {
        sink.write(&rows(n, 300 * n, &[(1, 80)], true)).unwrap();
    }
    let tries = (0..200).find(|_| {
        std::thread::sleep(Duration::from_millis(50));
        sink.idle().unwrap().is_none()
    });
    assert!(tries.is_some());
    let tree = tree(dir.path());
    assert_eq!(tree.len(), 6, "{tree:?}");
    assert_eq!(tree["t-0010.copy"], tree["t-0010"]);
}

#[test]
fn a_flush_may_begin_the_file_anew() {
    let dir = TempDir::new().unwrap();
    let more = [("existing", text("overwrite"))];
    let mut sink = sink(dir.path(), "now.csv", &more);
    let row = |host: u8| format!("192.0.2.{host},80,80,8000\n");
    sink.write(&rows(0, 300, &[(1, 80)], false)).unwrap();
    sink.write(&rows(1, 300, &[(2, 80)], true)).unwrap();
    let want = files([("now.csv", format!("{HEAD}{}{}", row(1), row(2)))]);
    assert_eq!(tree(dir.path()), want);
    sink.write(&rows(2, 600, &[(3, 80)], true)).unwrap();
    let want = files([("now.csv", format!("{HEAD}{}", row(3)))]);
    assert_eq!(tree(dir.path()), want);
    // A flush without rows leaves the file of the last one that had some.
    sink.write(&rows(3, 900, &[], true)).unwrap();
    assert_eq!(tree(dir.path()), want);
}

/// The files of a folder, where those that had to make room have `NAME.N`.
fn beside(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    let files = fs::read_dir(folder).unwrap().map(|entry| {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        let name = match name.rsplit_once('.') {
            Some((name, number)) if number.parse::<u64>().is_ok() => format!("{name}.N"),
            _ => name,
        };
        (name, fs::read(path).unwrap())
    });
    files.collect()
}

#[test]
fn columns_that_change_in_the_middle_of_a_flush_lose_nothing() {
    for existing in ["overwrite", "replace", "continue"] {
        let dir = TempDir::new().unwrap();
        let mut sink = sink(dir.path(), "t-%s.csv", &[("existing", text(existing))]);
        sink.write(&rows(0, 300, &[(1, 80)], false)).unwrap();
        let other = by(&[Field::DstPort]);
        sink.write(&of(other.clone(), 1, 300, &[(1, 443)], false))
            .unwrap();
        sink.write(&of(other, 2, 300, &[(1, 53)], true)).unwrap();
        let old = format!("{HEAD}192.0.2.1,80,80,8000\n");
        let new = "DST_PORT,PACKETS,BYTES\n443,443,44300\n53,53,5300\n".to_string();
        let want = [("t-300.csv", new), ("t-300.csv.N", old)];
        let want = want.map(|(name, text)| (name.into(), text.into_bytes()));
        assert_eq!(beside(dir.path()), want.into(), "{existing}");
    }
}

#[test]
fn columns_that_come_in_turn_have_a_file_each() {
    let formats = ["csv", "avro"].into_iter().filter(|format| {
        // Where this build has it.
        *format == "csv" || crate::base::built("enc-avro")
    });
    for (format, path) in formats.flat_map(|f| [(f, "all"), (f, "at-%M")]) {
        let dir = TempDir::new().unwrap();
        let mut sink = sink(dir.path(), path, &[("format", text(format))]);
        let other = by(&[Field::DstPort]);
        let mut sequence = 0;
        let mut next = || {
            sequence += 1;
            sequence
        };
        for turn in 0..5 {
            let last = turn % 2 == 0;
            sink.write(&rows(next(), 300, &[(1, 80)], last)).unwrap();
            let new = of(other.clone(), next(), 300, &[(1, 443), (2, 443)], last);
            sink.write(&new).unwrap();
        }
        sink.sync().unwrap();
        let there = beside(dir.path());
        let count = fs::read_dir(dir.path()).unwrap().count();
        assert_eq!(count, 2, "{format} {path}: {there:?}");
        if format == "csv" {
            let lines = there
                .values()
                .map(|text| text.split(|b| *b == b'\n').count() - 2);
            assert_eq!(lines.collect::<Vec<_>>(), [10, 5]);
        }
    }
}

#[test]
fn files_of_other_columns_make_room_over_a_restart_as_well() {
    let row = |host: u8| format!("192.0.2.{host},80,80,8000\n");
    let new = || of(by(&[Field::DstPort]), 0, 300, &[(1, 443)], true);
    for (marks, path, left) in [
        (false, "all.csv", None),
        (true, "all.csv", None),
        (false, "%s.csv", None),
        // As a crash leaves it: a copy of what is there, and more.
        (false, "%s.csv", Some(".300.csv.part")),
    ] {
        let dir = TempDir::new().unwrap();
        let more = [("markers", Raw::Bool(marks))];
        let mut first = sink(dir.path(), path, &more);
        first.write(&rows(0, 300, &[(1, 80)], true)).unwrap();
        let (name, old) = beside(dir.path()).pop_first().unwrap();
        if let Some(left) = left {
            let text = [&old[..], row(2).as_bytes()].concat();
            fs::write(dir.path().join(left), text).unwrap();
        }
        let mut second = sink(dir.path(), path, &more);
        second.write(&new()).unwrap();
        let there = beside(dir.path());
        assert_eq!(there[&format!("{name}.N")], old);
        assert_eq!(there.len(), 2 + usize::from(left.is_some()), "{there:?}");
        let heads = |text: &[u8]| String::from_utf8_lossy(text).matches("PACKETS").count();
        assert!(there.values().all(|text| heads(text) == 1), "{there:?}");
        assert!(String::from_utf8_lossy(&there[&name]).contains("\n443,443,44300\n"));
    }
    // A name that has room for no number.
    let dir = TempDir::new().unwrap();
    let long = "x".repeat(249);
    fs::write(dir.path().join(&long), "old\n").unwrap();
    sink(dir.path(), &long, &[]).write(&new()).unwrap();
    assert!(beside(dir.path()).values().any(|text| text == b"old\n"));
}

#[test]
fn empty_files_where_they_are_asked_for() {
    for (format, append, want) in [
        ("csv", false, HEAD),
        ("json", false, ""),
        ("json", true, ""),
    ] {
        let dir = TempDir::new().unwrap();
        let more = [
            ("empty_files", Raw::Bool(true)),
            ("format", text(format)),
            ("append", Raw::Bool(append)),
        ];
        let mut sink = sink(dir.path(), "$aggregate-%s", &more);
        sink.write(&rows(0, 300, &[], true)).unwrap();
        assert_eq!(tree(dir.path()), files([("talkers-300", want.into())]));
        // Once there are rows nothing is added for none.
        sink.write(&rows(1, 600, &[(1, 80)], false)).unwrap();
        sink.write(&rows(2, 600, &[], true)).unwrap();
        let lines = tree(dir.path())["talkers-600"].lines().count();
        assert_eq!(lines, 1 + HEAD.len().min(want.len()) / HEAD.len());
    }
}

#[test]
fn marks_stand_around_each_flush() {
    let dir = TempDir::new().unwrap();
    let more = [("markers", Raw::Bool(true))];
    let mut sink = sink(dir.path(), "all.csv", &more);
    for n in 0..2 {
        sink.write(&rows(n, 300 * n, &[(1, 80)], true)).unwrap();
    }
    let (pid, row) = (std::process::id(), "192.0.2.1,80,80,8000\n");
    let (start, end) = (format!("--START ({pid})--\n"), format!("--END ({pid})--\n"));
    let want = format!("{start}{HEAD}{row}{end}{start}{row}{end}");
    assert_eq!(tree(dir.path()), files([("all.csv", want)]));
}

#[test]
fn marks_in_json_count_the_rows_that_are_there() {
    let dir = TempDir::new().unwrap();
    let more = [
        ("markers", Raw::Bool(true)),
        ("format", text("json")),
        ("writer", text("edge")),
    ];
    let mut sink = sink(dir.path(), "t-%s", &more);
    sink.write(&rows(0, 300, &[(1, 80), (2, 80)], false))
        .unwrap();
    sink.write(&rows(1, 300, &[(3, 80)], true)).unwrap();
    let text = &tree(dir.path())["t-300"];
    let lines: Vec<_> = text.lines().collect();
    assert_eq!(lines.len(), 5, "{text}");
    assert_eq!(
        lines[0],
        "{\"event_type\":\"purge_init\",\"writer_id\":\"edge\"}"
    );
    assert_eq!(
        lines[4],
        "{\"event_type\":\"purge_close\",\"writer_id\":\"edge\",\"purged_entries\":3,\
         \"total_entries\":3,\"duration\":0}"
    );
}

#[test]
fn links_follow_values_of_the_path() {
    let dir = TempDir::new().unwrap();
    let latest = dir.path().join("last-$src_host");
    let more = [("latest", Raw::Text(latest.to_string_lossy().into_owned()))];
    let mut sink = sink(dir.path(), "$src_host-%s", &more);
    sink.write(&rows(0, 300, &[(1, 80), (2, 80)], true))
        .unwrap();
    sink.write(&rows(1, 600, &[(1, 80)], true)).unwrap();
    sink.write(&rows(2, 300, &[(1, 80)], true)).unwrap(); // late
    let tree = tree(dir.path());
    assert_eq!(tree["last-192.0.2.1"], "-> 192.0.2.1-600");
    assert_eq!(tree["last-192.0.2.2"], "-> 192.0.2.2-300");
}

#[test]
fn files_have_the_mode_that_is_asked_for() {
    use std::os::unix::fs::MetadataExt;
    let dir = TempDir::new().unwrap();
    let mut sink = sink(dir.path(), "in/t-%s", &[("mode", text("0640"))]);
    sink.write(&rows(0, 300, &[(1, 80)], true)).unwrap();
    let mode = |name: &str| fs::metadata(dir.path().join(name)).unwrap().mode() & 0o777;
    assert_eq!((mode("in"), mode("in/t-300")), (0o750, 0o640));
}

#[test]
fn what_the_system_refuses_is_said_with_the_file() {
    let dir = TempDir::new().unwrap();
    fs::write(dir.path().join("held"), "no folder").unwrap();
    let path = dir.path().join("held/t-300");
    let mut sink = sink(dir.path(), "held/t-%s", &[]);
    match sink.write(&rows(0, 300, &[(1, 80)], true)) {
        Err(SinkError::Retry { why, .. }) => {
            let name = format!("{}: ", path.display());
            assert!(why.starts_with(&name) && why.contains("move that"), "{why}");
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_named_pipe_gets_each_flush_when_somebody_reads() {
    let dir = TempDir::new().unwrap();
    let path = dir.path().join("pipe.csv");
    let made = std::process::Command::new("mkfifo").arg(&path).status();
    assert!(made.unwrap().success());
    let mut sink = sink(dir.path(), "pipe.csv", &[("append", Raw::Bool(false))]);
    let batch = rows(0, 300, &[(1, 80)], true);
    match sink.write(&batch) {
        Err(SinkError::Retry { why, .. }) => {
            assert_eq!(why, format!("{}: nobody reads it", path.display()));
        }
        other => panic!("{other:?}"),
    }
    for n in 0..2 {
        let path = path.clone();
        let reader = std::thread::spawn(move || fs::read_to_string(path).unwrap());
        while sink.write(&rows(n, 300, &[(1, 80)], true)).is_err() {
            std::thread::sleep(Duration::from_millis(1));
        }
        assert_eq!(
            reader.join().unwrap(),
            format!("{HEAD}192.0.2.1,80,80,8000\n")
        );
    }
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
}

#[cfg(feature = "enc-avro")]
#[test]
fn containers_are_continued_after_a_crash_and_have_their_schema_beside_them() {
    let dir = TempDir::new().unwrap();
    let schema = dir
        .path()
        .join("$aggregate.avsc")
        .to_string_lossy()
        .into_owned();
    let more = [
        ("format", text("avro")),
        ("append", Raw::Bool(true)),
        ("schema", Raw::Text(schema)),
    ];
    let records = |bytes: &[u8]| apache_avro::Reader::new(bytes).unwrap().flatten().count();
    let file = dir.path().join("all.avro");
    let mut first = sink(dir.path(), "all.avro", &more);
    first.write(&rows(0, 0, &[(1, 80), (2, 80)], true)).unwrap();
    first.write(&rows(1, 300, &[(3, 80)], true)).unwrap();
    let whole = fs::read(&file).unwrap();
    assert_eq!(records(&whole), 3);
    // The last block is cut, as a crash cuts it.
    fs::write(&file, &whole[..whole.len() - 5]).unwrap();
    let mut second = sink(dir.path(), "all.avro", &more);
    second.write(&rows(2, 600, &[(4, 80)], true)).unwrap();
    assert_eq!(records(&fs::read(&file).unwrap()), 3);
    let written = fs::read_to_string(dir.path().join("talkers.avsc")).unwrap();
    assert!(written.starts_with("{\"type\":\"record\",\"name\":\"acct_data\""));
    assert!(apache_avro::Schema::parse_str(&written).is_ok());
    // A file with other columns makes room, also in the middle of a flush.
    let other = || by(&[Field::DstPort]);
    second.write(&rows(3, 900, &[(5, 80)], false)).unwrap();
    second
        .write(&of(other(), 4, 900, &[(1, 80), (2, 80)], false))
        .unwrap();
    second
        .write(&of(other(), 5, 900, &[(3, 80)], true))
        .unwrap();
    let there = beside(dir.path());
    assert_eq!(records(&there["all.avro.N"]), 4);
    assert_eq!(records(&there["all.avro"]), 3);
}

#[test]
fn wrong_settings_are_problems() {
    let message = |name: &str, value: &str| {
        let mut options = Options::new("output.x", Place::default());
        options.set("path", text("x"));
        if name == "path" {
            options = Options::new("output.x", Place::default());
        }
        options.set(name, text(value));
        let _ = parse(&mut options);
        options
            .finish()
            .into_iter()
            .map(|p| p.message)
            .collect::<Vec<_>>()
            .join("; ")
    };
    assert!(message("path", "%Q").contains("`%Q`"));
    assert!(message("path", "$src_hots").contains("did you mean `$src_host`?"));
    assert!(message("latest", "$tag").contains("not in `path`"));
    assert!(message("separator", "").contains("tab"));
    assert!(message("existing", "overwite").contains("did you mean"));
    assert!(message("mode", "rw").contains("octal"));
    assert!(message("timezone", "Europe/Atlantis").contains("Atlantis"));
    assert!(message("formt", "json").contains("did you mean `format`?"));
}

#[test]
fn a_folder_that_is_removed_holds_up_nothing_that_comes_later() {
    let dir = TempDir::new().unwrap();
    let mut sink = sink(dir.path(), "in/%s.csv", &[]);
    sink.write(&rows(0, 0, &[(1, 80)], false)).unwrap();
    fs::remove_dir_all(dir.path().join("in")).unwrap();
    sink.write(&rows(1, 0, &[(2, 80)], true)).unwrap();
    sink.write(&rows(2, 300, &[(3, 80)], true)).unwrap();
    assert!(dir.path().join("in/300.csv").exists());
}

/// Rows with a text whose symbol is the same in every store and means something else in each.
fn labelled(sequence: u64, word: &str, last: bool) -> Rows {
    let symbols = Arc::new(Interner::new(4096));
    let mut record = FlowRecord::new();
    record.set_label(symbols.intern(word.as_bytes()));
    let options = schema::Options::default();
    let schema = Schema::new("talkers", &[Field::Label], options, symbols);
    let mut words = vec![0; schema.row_words()];
    schema.key.pack(&record, &mut words[..schema.key.len()]);
    Rows {
        schema: Arc::new(schema),
        words,
        ..rows(sequence, 300, &[], last)
    }
}

#[test]
fn texts_of_several_stores_are_one_file() {
    const FORMATS: [(&str, &str); 3] = [
        ("csv", "LABEL,PACKETS,BYTES\nred,0,0\ngreen,0,0\nblue,0,0\n"),
        (
            "json",
            "{\"event_type\":\"purge\",\"label\":\"red\",\"packets\":0,\"bytes\":0}\n\
             {\"event_type\":\"purge\",\"label\":\"green\",\"packets\":0,\"bytes\":0}\n\
             {\"event_type\":\"purge\",\"label\":\"blue\",\"packets\":0,\"bytes\":0}\n",
        ),
        (
            "table",
            "LABEL  PACKETS  BYTES\nred          0      0\ngreen        0      0\n\
             blue         0      0\n",
        ),
    ];
    for (format, want) in FORMATS {
        for file in ["f-%M", "f"] {
            let dir = TempDir::new().unwrap();
            let mut sink = sink(dir.path(), file, &[("format", text(format))]);
            sink.write(&labelled(0, "red", false)).unwrap();
            let complete = file == "f" && format != "table";
            assert_eq!(sink.holds(), !complete, "{format} {file}");
            sink.write(&labelled(1, "green", false)).unwrap();
            sink.write(&labelled(2, "blue", true)).unwrap();
            assert!(!sink.holds());
            let got = tree(dir.path()).into_values().next().unwrap();
            assert_eq!(got, want, "{format}");
        }
    }
}

#[test]
fn what_is_stored_is_a_whole_file_at_the_end_and_goes_on_in_the_next_sink() {
    let row = |host: u8| format!("192.0.2.{host},80,80,8000\n");
    for existing in ["continue", "replace", "overwrite"] {
        let dir = TempDir::new().unwrap();
        let more = [("existing", text(existing))];
        let mut first = sink(dir.path(), "t-%s", &more);
        first.write(&rows(0, 300, &[(1, 80)], false)).unwrap();
        first.sync().unwrap();
        let want = files([("t-300", format!("{HEAD}{}", row(1)))]);
        assert_eq!(tree(dir.path()), want, "{existing}");
        assert!(!first.holds());
        drop(first);
        // As after a reload: the flush goes on with another sink.
        let mut second = sink(dir.path(), "t-%s", &more);
        second.write(&rows(1, 300, &[(2, 80)], true)).unwrap();
        let want = files([("t-300", format!("{HEAD}{}{}", row(1), row(2)))]);
        assert_eq!(tree(dir.path()), want, "{existing}");
    }
}

#[test]
fn what_a_crash_left_is_gone_on_with() {
    let row = |host: u8| format!("192.0.2.{host},80,80,8000\n");
    let (one, two) = (row(1), row(2));
    let old = format!("{HEAD}old\n");
    for (held, left, want) in [
        ("", format!("{HEAD}{one}"), format!("{HEAD}{one}{two}")),
        // It began as a copy of what was there,
        (
            old.as_str(),
            format!("{old}{one}"),
            format!("{old}{one}{two}"),
        ),
        // but did not come far.
        (&old, "SR".into(), format!("{old}{two}")),
    ] {
        let dir = TempDir::new().unwrap();
        if !held.is_empty() {
            fs::write(dir.path().join("t-300"), held).unwrap();
        }
        fs::write(dir.path().join(".t-300.part"), left).unwrap();
        let mut sink = sink(dir.path(), "t-%s", &[]);
        sink.write(&rows(0, 300, &[(2, 80)], true)).unwrap();
        assert_eq!(tree(dir.path()), files([("t-300", want)]));
    }
    // What is something else is kept aside.
    let dir = TempDir::new().unwrap();
    let new = format!("{HEAD}new\n");
    fs::write(dir.path().join("t-300"), &new).unwrap();
    fs::write(dir.path().join(".t-300.part"), "old\n").unwrap();
    let mut sink = sink(dir.path(), "t-%s", &[]);
    sink.write(&rows(0, 300, &[(2, 80)], true)).unwrap();
    let texts: Vec<String> = tree(dir.path()).into_values().collect();
    assert_eq!(texts, ["old\n".to_string(), format!("{new}{two}")]);
}

#[test]
#[cfg(feature = "enc-avro")]
fn what_a_crash_left_and_rows_can_not_follow_is_kept_aside() {
    let dir = TempDir::new().unwrap();
    fs::write(dir.path().join(".t-300.part"), "no container").unwrap();
    let mut sink = self::sink(dir.path(), "t-%s", &[("format", text("avro"))]);
    sink.write(&rows(0, 300, &[(2, 80)], true)).unwrap();
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 2);
}

#[test]
fn a_value_whose_file_can_not_be_costs_its_own_rows_alone() {
    for (append, existing) in [
        (true, None),
        (false, Some("continue")),
        (false, Some("replace")),
    ] {
        let dir = TempDir::new().unwrap();
        fs::create_dir(dir.path().join("192.0.2.2")).unwrap();
        let mut more = vec![("append", Raw::Bool(append))];
        more.extend(existing.map(|existing| ("existing", text(existing))));
        let mut sink = sink(dir.path(), "$src_host", &more);
        let hosts = [(1, 80), (2, 443), (3, 80)];
        sink.write(&rows(0, 300, &hosts, true)).unwrap();
        let (sum, why) = sink.refused().unwrap();
        assert_eq!((sum.records, sum.packets, sum.bytes), (1, 443, 44_300));
        let name = dir.path().join("192.0.2.2");
        assert!(why.starts_with(&format!("{}: ", name.display())), "{why}");
        assert!(sink.refused().is_none());
        let names: Vec<String> = tree(dir.path()).into_keys().collect();
        assert_eq!(names, ["192.0.2.1", "192.0.2.3"]);
        sink.write(&rows(1, 300, &[(1, 80)], true)).unwrap();
        assert!(sink.refused().is_none());
    }
    // Where the name has no values it is a matter of the configuration, and rows wait.
    let dir = TempDir::new().unwrap();
    fs::create_dir(dir.path().join("all")).unwrap();
    let mut sink = sink(dir.path(), "all", &[]);
    match sink.write(&rows(0, 300, &[(1, 80)], true)) {
        Err(SinkError::Retry { why, .. }) => assert!(why.contains("a folder has this name")),
        other => panic!("{other:?}"),
    }
}

/// Rows of another aggregation with the same place in the configuration, or the other way round.
fn named(name: &str, aggregate: u32, sequence: u64, bin: u64, last: bool) -> Rows {
    let symbols = Arc::new(Interner::new(0));
    let fields = [Field::SrcHost, Field::DstPort];
    let schema = Schema::new(name, &fields, schema::Options::default(), symbols);
    let mut rows = of(Arc::new(schema), sequence, bin, &[(1, 80)], last);
    rows.id.aggregate = aggregate;
    rows
}

#[test]
fn a_file_belongs_to_an_aggregation_wherever_that_stands() {
    let dir = TempDir::new().unwrap();
    let mut sink = sink(dir.path(), "$aggregate-%s", &[]);
    sink.write(&named("a", 0, 0, 300, false)).unwrap();
    sink.write(&named("b", 1, 0, 300, false)).unwrap();
    // A reload takes another one in before them.
    sink.write(&named("a", 1, 1, 300, true)).unwrap();
    let names: Vec<String> = tree(dir.path()).into_keys().collect();
    assert_eq!(names, [".b-300.part", "a-300"]);
}

#[test]
fn files_whose_flush_never_ends_are_bounded() {
    let dir = TempDir::new().unwrap();
    let mut sink = sink(dir.path(), "t-%s", &[("files", Raw::Number(1))]);
    for n in 0..100 {
        sink.write(&rows(n, 300 * n, &[(1, 80)], false)).unwrap();
    }
    let parts =
        |tree: &BTreeMap<String, String>| tree.keys().filter(|n| n.starts_with('.')).count();
    let now = tree(dir.path());
    assert_eq!((now.len(), parts(&now)), (100, FEW + 1));
    sink.write(&rows(100, 0, &[(2, 80)], true)).unwrap();
    let text = &tree(dir.path())["t-0"];
    assert_eq!(text.lines().count(), 3, "{text}");
}

#[test]
fn many_files_cost_no_more_memory_than_planned() {
    let mut options = Options::new("output.x", Place::default());
    options.set("path", text("/x/$src_host"));
    let by_value = parse(&mut options).unwrap().memory();
    assert_eq!(by_value, 1025 * PART + 32 * OPEN);
    options.set("files", Raw::Number(65_536));
    assert_eq!(
        parse(&mut options).unwrap().memory(),
        65_537 * PART + 32 * OPEN
    );
    let mut options = Options::new("output.x", Place::default());
    options.set("path", text("/x/%H"));
    assert_eq!(
        parse(&mut options).unwrap().memory(),
        (FEW + 1) * PART + FEW_OPEN * OPEN
    );
}
