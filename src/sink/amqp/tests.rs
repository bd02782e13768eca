//! Settings and keys. What a broker does with messages is seen in `tests/real_rabbitmq.rs`.

use super::*;
use crate::base::options::{Place, Raw};

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
        (vec![("host", text("/run/rabbit"))], "has no sockets"),
        (vec![("exchange_type", text("headers"))], "\"topic\""),
        (vec![("exchange", text(&"x".repeat(256)))], "255 bytes"),
        (vec![("heartbeat", text("1 day"))], "18 hours"),
        (vec![("frame", text("1 KiB"))], "from 4 KiB"),
        (
            vec![("routing_key", text("$src_hots"))],
            "did you mean `$src_host`?",
        ),
        (vec![("format", text("table"))], "for people"),
        (vec![("message_size", text("2 MiB"))], "to 1 MiB"),
        (
            vec![("markers", Raw::Bool(true)), ("routing_key", text("$tag"))],
            "need a `routing_key` without values of rows",
        ),
    ] {
        let said = problems(&given);
        assert!(said.contains(want), "{want}: {said}");
    }
    assert_eq!(problems(&[]), "");
    assert_eq!(
        problems(&[("exchange", text("")), ("heartbeat", text("0s"))]),
        ""
    );
}

#[test]
fn keys_have_the_room_that_the_protocol_gives_them() {
    assert_eq!(key("a.b", 0, 5), "a.b");
    assert_eq!(key("a.b", 3, 5), "a.b_2");
    let long = "é".repeat(200);
    let cut = key(&long, 0, 0);
    assert!(cut.len() == 254 && long.starts_with(&cut));
    let cut = key(&long, 1024, 1023);
    assert!(cut.len() <= SHORT && cut.ends_with("é_1023"));
}

#[test]
fn memory_is_that_of_frames_both_ways() {
    let memory = |frame: &str| {
        let mut options = Options::new("output.x", Place::default());
        options.set("frame", text(frame));
        parse(&mut options).unwrap().memory()
    };
    assert_eq!(memory("128 KiB") - memory("16 KiB"), 64 * (112 << 10));
    assert!(memory("16 KiB") < 3 << 20);
}
