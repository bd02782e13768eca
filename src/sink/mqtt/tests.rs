//! Settings and topics. What a broker does with messages is seen in `tests/real_mosquitto.rs`.

use super::*;
use crate::base::options::{Place, Raw};
use proptest::prelude::*;

fn problems(given: &[(&str, Raw)]) -> String {
    let mut options = Options::new("output.x", Place::default());
    given.iter().for_each(|(k, v)| options.set(k, v.clone()));
    let _ = parse(&mut options);
    let problems = options.finish().into_iter().map(|p| p.message);
    problems.collect::<Vec<_>>().join("; ")
}

fn text(text: &str) -> Raw {
    Raw::Text(text.into())
}

#[test]
fn wrong_settings_are_named() {
    for (given, want) in [
        (vec![("host", text("/run/mqtt"))], "has no sockets"),
        (vec![("topic", text("a/+/$tag"))], "`topic` is no topic"),
        (vec![("topic", text("$$SYS/x"))], "`topic` is no topic"),
        (
            vec![("topic", text("$src_hots"))],
            "did you mean `$src_host`?",
        ),
        (vec![("status", text("weir/#"))], "`status` is no topic"),
        (vec![("version", text("4"))], "\"3.1.1\""),
        (vec![("keep_alive", text("1s"))], "from 5 seconds"),
        (vec![("client_id", text("a\nb"))], "no control characters"),
        (vec![("format", text("table"))], "for people"),
    ] {
        let said = problems(&given);
        assert!(said.contains(want), "{want}: {said}");
    }
    assert_eq!(problems(&[]), "");
    let fine = [
        ("topic", text("a/$src_host/%Y$$")),
        ("status", text("a/status")),
    ];
    assert_eq!(problems(&fine), "");
}

#[test]
fn topics_have_nothing_that_a_broker_hangs_up_for() {
    assert_eq!(topic("weir/flows"), "weir/flows");
    assert_eq!(topic("$SYS/+/#"), "_SYS/_/_");
    assert_eq!(topic("a$\u{ffff}\u{fdd0}\u{1fffe}\u{7f}é"), "a$____é");
    assert!(topic(&"é".repeat(2000)).len() <= TOPIC);
}

proptest! {
    #[test]
    fn any_value_makes_a_topic(value: String) {
        let topic = topic(&value);
        prop_assert!(!topic.starts_with('$') && !topic.chars().any(odd));
    }
}
