use super::*;
use crate::base::ledger::{Account, Sifted};
use crate::ctl::metric;
use crate::pipeline::outlet::Health;
use crate::pipeline::worker::InputView;

fn report() -> Report {
    let mut input = InputView {
        open: true,
        usage: vec![("templates", 3, 512)],
        ..InputView::default()
    };
    input.ledger.frames = 10;
    input.ledger.frame_bytes = 12_000;
    input.ledger.decoded = Sum::one(40, 5000);
    input.ledger.drop(Reason::NoTemplate, 120);
    input.ledger.sequence_lost = 4;
    let account = Account {
        offered: Sum::one(40, 5000),
        flushed: Sum::one(40, 5000),
        full: 2,
        ..Account::default()
    };
    let mut health = Health {
        queue: (0, 65536),
        spool: None,
        failing: Some("disk \"x\" is full".into()),
        last_success: Nanos::new(1_700_000_000, 0),
        ..Health::default()
    };
    health.delivery.offered = Sum::one(40, 5000);
    health.delivery.queued = Sum::one(40, 5000);
    Report {
        started: Nanos::new(1_700_000_000, 0),
        uptime: Duration::from_secs(93_784),
        inputs: vec![("routers".into(), "udp".into())],
        aggregates: vec!["talkers".into()],
        outputs: vec![("day".into(), "file".into(), None)],
        maps: vec![("input.routers.tags".into(), "t.map".into(), 7, 1, false)],
        memory: (1 << 24, vec![("aggregate.talkers".into(), 1 << 20)]),
        confined: None,
        view: View {
            inputs: vec![input],
            aggregates: vec![(account, (5, 100))],
            outputs: vec![health],
            symbols: (3, 4096, 0),
            ..View::default()
        },
    }
}

#[test]
fn text_shows_what_is_wrong_first() {
    let text = report().text();
    assert!(text.starts_with(&format!("weir {VERSION}, up 1d 2h\n! output day: disk")));
    for line in [
        "input routers (udp)\n",
        "  dropped    1 no_template (120 B)\n",
        "  4 lost before us, say sequence numbers\n",
        "  templates      3 of 512\n",
        "  offered    1 records, 40 packets, 4.9 KiB\n",
        "  entries    5 of 100, full 2 times\n",
        "  queued     1 rows, 40 packets, 4.9 KiB\n",
        "  queue      0 B of 64.0 KiB\n",
        "map input.routers.tags (t.map)\n  rows       7 in force, 1 left out\n! could not be read",
    ] {
        assert!(text.contains(line), "{line:?} in {text}");
    }
    assert!(!text.contains("IMBALANCE"));
}

#[test]
fn rows_that_are_judged_have_stages_of_their_own() {
    let mut report = report();
    let plain = [report.text(), report.json(), metric::text(&report)];
    assert!(plain.iter().all(|text| !text.contains("removed")));
    report.view.aggregates[0].0.sifted = Some(Sifted {
        taken: Sum::one(40, 5000),
        removed: Sum::one(10, 1000),
        passed: Sum::one(30, 3000),
        ..Sifted::default()
    });
    let text = report.text();
    for line in [
        "  judged     1 rows, 40 packets, 4.9 KiB\n",
        "  removed    1 rows, 10 packets, 1000 B\n",
        "  passed     1 rows, 30 packets, 2.9 KiB\n",
        "  IMBALANCE  0 packets, 1000 bytes\n",
    ] {
        assert!(text.contains(line), "{line:?} in {text}");
    }
    let removed = "\"removed\":{\"records\":1,\"packets\":10,\"bytes\":1000}";
    assert!(report.json().contains(removed));
    let metric = "weir_aggregate_bytes_total{aggregate=\"talkers\",stage=\"removed\"} 1000\n";
    assert!(metric::text(&report).contains(metric));
}

#[test]
fn json_is_one_object_on_one_line() {
    let json = report().json();
    assert_eq!(json.matches('\n').count(), 1);
    assert_eq!(json.matches('{').count(), json.matches('}').count());
    for part in [
        "\"healthy\":false,\"troubles\":[\"output day: disk \\\"x\\\" is full\"]",
        "\"dropped\":{\"no_template\":{\"units\":1,\"bytes\":120}}",
        "\"stores\":{\"templates\":{\"used\":3,\"max\":512}}",
        "\"imbalance\":{\"packets\":0,\"bytes\":0}",
        "\"queued\":{\"records\":1,\"packets\":40,\"bytes\":5000}",
        "\"last_success\":1700000000",
        "\"maps\":[{\"name\":\"input.routers.tags\",\"path\":\"t.map\",\"rows\":7,",
        "\"refused\":1,\"fresh\":false}]",
    ] {
        assert!(json.contains(part), "{part} in {json}");
    }
}

#[test]
fn metrics_have_one_type_each_and_labels_from_the_configuration() {
    let mut report = report();
    report.inputs[0].0 = "a\"b\\c".into();
    let text = metric::text(&report);
    for line in [
        "weir_frames_total{input=\"a\\\"b\\\\c\"} 10\n",
        "weir_dropped_total{input=\"a\\\"b\\\\c\",reason=\"no_template\"} 1\n",
        "weir_templates_used{input=\"a\\\"b\\\\c\"} 3\n",
        "weir_templates_max{input=\"a\\\"b\\\\c\"} 512\n",
        "weir_aggregate_packets_total{aggregate=\"talkers\",stage=\"flushed\"} 40\n",
        "weir_table_entries_max{aggregate=\"talkers\"} 100\n",
        "weir_table_full_total{aggregate=\"talkers\",action=\"flush\"} 2\n",
        "weir_output_rows_total{output=\"day\",result=\"offered\"} 1\n",
        "weir_output_up{output=\"day\"} 0\n",
        "weir_memory_bytes_max{part=\"aggregate.talkers\"} 1048576\n",
        "weir_healthy 0\n",
        "weir_map_last_reload_success{map=\"input.routers.tags\"} 0\n",
        "weir_map_entries{map=\"input.routers.tags\"} 7\n",
        "weir_map_refused{map=\"input.routers.tags\"} 1\n",
    ] {
        assert!(text.contains(line), "{line:?} in {text}");
    }
    let mut types: Vec<_> = text.lines().filter(|l| l.starts_with("# TYPE")).collect();
    let all = types.len();
    types.sort_unstable();
    types.dedup();
    assert_eq!(types.len(), all);
    for line in text.lines().filter(|l| !l.starts_with('#')) {
        let (name, value) = line.rsplit_once(' ').unwrap();
        assert!(
            name.starts_with("weir_") && value.parse::<f64>().is_ok(),
            "{line}"
        );
    }
}

#[test]
fn durations_as_people_read_them() {
    for (seconds, want) in [(0, "0s"), (59, "59s"), (60, "1m 0s"), (7325, "2h 2m")] {
        assert_eq!(show_time(Duration::from_secs(seconds)), want);
    }
}
