//! pmacct's configurations: whatever the text, mistakes have places in it, no key is eaten, and
//! what
//! it was taken for is the same when it is written as TOML and read again. The first byte says
//! which
//! daemon's it is; files it names hold the same text.
#![no_main]

use libfuzzer_sys::fuzz_target;
use std::io::{BufRead, Cursor};
use weir::compat::pmacct::Daemon;
use weir::compat::pmacct::compile::compile;
use weir::compat::pmacct::parse::Lines;
use weir::config::{explain, native, write};

fuzz_target!(|text: &str| {
    let which = text.as_bytes().first().copied().unwrap_or_default();
    let daemon = Daemon::ALL[usize::from(which) % Daemon::ALL.len()];
    let files = text.to_string();
    let open = move |_: &str| Ok(Box::new(Cursor::new(files.clone())) as Box<dyn BufRead>);
    let compiled = compile(daemon, Lines::parse(text), &open);
    let lines = text.lines().count().max(1);
    let said = compiled.problems.iter().chain(&compiled.warnings);
    for place in said
        .map(|p| p.place)
        .chain(compiled.notes.iter().map(|n| n.place))
    {
        assert!(place.line as usize <= lines, "{place:?} of {lines} lines");
    }
    let remarks = compiled.remarks("pmacct.conf");
    let shown = write::show(&compiled.file, &remarks);
    let first = native::compile(compiled.file, compiled.problems);
    if first.problems.is_empty() {
        let second = native::parse(&shown);
        assert!(second.problems.is_empty(), "{shown}\n{:?}", second.problems);
        assert_eq!(explain::show(&first.config), explain::show(&second.config));
    }
});
