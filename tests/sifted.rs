//! Preprocessing on the whole way from a savefile to files: rows that pass and rows that do not
//! are together the rows that there were, and the ledger says the same.

use std::collections::BTreeSet;
use std::path::Path;
use weir::base::ledger::{Account, Sum};
use weir::config::native;
use weir::pipeline::reload::Kept;
use weir::pipeline::{Mode, Pipeline, Plan, View};

const CAPTURE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/office.pcap");

/// Runs a configuration with one aggregation to its end.
fn run(dir: &Path, aggregate: &str, outputs: &[&str]) -> View {
    let mut text = format!(
        "timezone = \"UTC\"\n[input.a]\nkind = \"file\"\nfile = \"{CAPTURE}\"\n[aggregate.x]\n\
         by = [\"src_host\", \"dst_host\", \"proto\"]\n{aggregate}\n"
    );
    for name in outputs {
        let path = dir.join(name);
        let more = format!(
            "[output.{name}]\nkind = \"file\"\nstamps = false\npath = \"{}\"\n",
            path.display()
        );
        text.push_str(&more);
    }
    let read = native::parse(&text);
    assert_eq!(read.problems, []);
    let plan = Plan::new(&read.config)
        .map_err(|p| format!("{p:?}"))
        .unwrap();
    let mode = Mode {
        patient: true,
        run: 1,
    };
    let pipeline = Pipeline::start(read.config, plan, mode, &mut Kept::default()).unwrap();
    while !pipeline.wait(None, None) {}
    pipeline.stop(None)
}

fn lines(dir: &Path, name: &str) -> BTreeSet<String> {
    let text = std::fs::read_to_string(dir.join(name)).unwrap_or_default();
    text.lines().skip(1).map(String::from).collect()
}

fn sum(lines: &BTreeSet<String>) -> Sum {
    lines.iter().fold(Sum::default(), |sum, line| {
        let numbers: Vec<u64> = line
            .rsplit(',')
            .take(2)
            .map(|n| n.parse().unwrap())
            .collect();
        sum + Sum::one(numbers[1], numbers[0])
    })
}

/// The page of the aggregation, where all laws hold and all outputs have what it handed out.
#[track_caller]
fn page(view: &View) -> Account {
    let account = view.aggregates[0].0;
    assert_eq!(account.imbalance(), (0, 0), "{account:?}");
    for output in &view.outputs {
        assert_eq!(output.delivery.imbalance(), Sum::default());
        assert_eq!(output.delivery.dropped, Sum::default());
    }
    account
}

#[test]
fn passed_and_rejected_rows_are_all_rows() {
    let dir = tempfile::tempdir().unwrap();
    let plain = run(dir.path(), "to = \"all\"", &["all"]);
    assert_eq!(page(&plain).sifted, None);
    let all = lines(dir.path(), "all");
    let judged = run(
        dir.path(),
        "preprocess = [\"minb=5000\"]\nto = \"large\"\nrejects = \"small\"",
        &["large", "small"],
    );
    let (large, small) = (lines(dir.path(), "large"), lines(dir.path(), "small"));
    assert!(!large.is_empty() && !small.is_empty());
    assert_eq!(large.union(&small).cloned().collect::<BTreeSet<_>>(), all);
    let bytes = |line: &String| -> u64 { line.rsplit(',').next().unwrap().parse().unwrap() };
    assert!(large.iter().all(|l| bytes(l) >= 5000) && small.iter().all(|l| bytes(l) < 5000));
    let account = page(&judged);
    let sifted = account.sifted.unwrap();
    assert_eq!(sifted.taken, sum(&all));
    assert_eq!((sifted.passed, sifted.diverted), (sum(&large), sum(&small)));
    assert_eq!(sifted.removed, Sum::default());
    assert_eq!(account.flushed, sifted.taken);
    assert_eq!(judged.outputs[0].delivery.written, sifted.passed);
    assert_eq!(judged.outputs[1].delivery.written, sifted.diverted);
}

#[test]
fn what_goes_nowhere_and_what_is_changed_is_in_the_ledger() {
    let dir = tempfile::tempdir().unwrap();
    // Frames of Ethernet have 18 bytes around the packet.
    let rules = "preprocess = [\"minp=10\", \"maxbpp=500\", \"adjb=18\", \"usrf=2\"]\n\
                 preprocess_type = \"all\"\nto = \"some\"";
    let view = run(dir.path(), rules, &["some"]);
    let account = page(&view);
    let sifted = account.sifted.unwrap();
    assert_eq!(sifted.taken, account.flushed);
    assert!(sifted.removed.records > 0 && sifted.passed.records > 0);
    let written = sum(&lines(dir.path(), "some"));
    assert_eq!(written, sifted.passed);
    assert_eq!(view.outputs[0].delivery.written, sifted.passed);
    let before = sifted.taken - sifted.removed;
    assert_eq!(sifted.passed.packets, 2 * before.packets);
    assert_eq!(
        sifted.passed.bytes,
        2 * (before.bytes + 18 * before.packets)
    );
}

#[test]
fn samples_of_a_savefile_are_the_same_each_time() {
    let dir = tempfile::tempdir().unwrap();
    let rules = "preprocess = [\"fsrc=5\"]\nto = \"some\"";
    let mut texts = BTreeSet::new();
    for _ in 0..3 {
        let view = run(dir.path(), rules, &["some"]);
        assert_eq!(page(&view).sifted.unwrap().passed.records, 5);
        texts.insert(std::fs::read_to_string(dir.path().join("some")).unwrap());
        std::fs::remove_file(dir.path().join("some")).unwrap();
    }
    assert_eq!(texts.len(), 1);
}

#[test]
fn flows_must_be_counted_by_some_input() {
    let text = |by: &str, file: &str| {
        format!(
            "[input.a]\nkind = \"file\"\nfile = \"{file}\"\ndecode = \"packets\"\n\
             [aggregate.x]\nby = {by}\npreprocess = \"minf=2\"\nto = \"f\"\n\
             [output.f]\nkind = \"print\"\n"
        )
    };
    let read = native::parse(&text("[\"src_host\"]", "x"));
    assert_eq!(read.problems, []);
    let problems = Plan::new(&read.config).err().unwrap();
    assert!(
        problems[0].message.contains("nor can `preprocess`"),
        "{problems:?}"
    );
    let exports = text("[\"src_host\"]", "x").replace("packets", "netflow");
    let plan = Plan::new(&native::parse(&exports).config).ok().unwrap();
    // They are counted, and no column shows them.
    let schema = &plan.aggregates[0].settings.schema;
    assert_eq!(schema.counter.flows_at(), Some(2));
    assert_eq!(schema.columns.len(), 3);
}
