//! Servers of PostgreSQL that accept and then say nothing, as one that is stopped or behind a proxy
//! that has lost it: no real one can be made to at will.

mod batch;

use batch::{retried, rows, text, usual};
use std::net::TcpListener;
use std::time::{Duration, Instant};
use weir::base::options::{Place, Raw};

#[test]
fn who_is_silent_is_left_for_the_next_host() {
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let second = TcpListener::bind("127.0.0.1:0").unwrap();
    let host = |l: &TcpListener| {
        (
            Raw::Text(l.local_addr().unwrap().to_string()),
            Place::default(),
        )
    };
    let settings = [
        ("host", Raw::List(vec![host(&silent), host(&second)])),
        ("database", text("flows")),
        ("timeout", text("300ms")),
    ];
    // The second one ends what it accepts.
    let asked = std::thread::spawn(move || drop(second.accept().unwrap()));
    let mut sink = batch::open("postgres", "mock", &settings);
    let begun = Instant::now();
    let why = retried(sink.write(&rows(&usual(), 1, 300, &[(1, 2)])));
    assert!(begun.elapsed() < Duration::from_secs(20), "{why}");
    assert!(why.contains("no answer within 0.3 s"), "{why}");
    assert!(asked.is_finished(), "{why}");
    asked.join().unwrap();
}
