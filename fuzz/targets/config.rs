//! Configurations: whatever the text, mistakes have places in it; and what was understood, shown
//! as text, is understood again.
#![no_main]

use libfuzzer_sys::fuzz_target;
use weir::config::{explain, native};

fuzz_target!(|text: &str| {
    let outcome = native::parse(text);
    let lines = text.lines().count().max(1);
    for problem in outcome.problems.iter().chain(&outcome.warnings) {
        let shown = native::show("weir.toml", problem);
        let line = problem.place.line as usize;
        assert!(line <= lines + 1, "{shown} of {lines} lines");
    }
    let shown = explain::show(&outcome.config);
    if outcome.problems.is_empty() {
        let again = native::parse(&shown);
        assert!(again.problems.is_empty(), "{shown}\n{:?}", again.problems);
        assert_eq!(explain::show(&again.config), shown);
    }
});
