//! What the registries say to a configuration: is there such a source or sink in this build, and
//! are its own settings right?
//!
//! Opens nothing. Not for the grammar of any face of the configuration.

use super::Config;
use crate::base::options::{Options, Problem};
use crate::base::{built, text, without};
use crate::{sink, source};

/// All that is wrong with kinds and their own settings.
pub fn check(config: &Config) -> Vec<Problem> {
    let mut problems = Vec::new();
    for input in &config.inputs {
        let mut options = input.options.clone();
        let kinds = source::KINDS.iter();
        let kinds: Vec<Row> = kinds
            .map(|k| (k.name, k.feature, k.parse.is_some()))
            .collect();
        if kind(&mut options, "input", &input.kind, &kinds) {
            source::parse(&input.kind, &mut options, input.workers as usize);
            problems.extend(options.finish());
        } else {
            problems.extend(options.problems());
        }
    }
    // An output without a kind is one that a command makes itself.
    for output in config.outputs.iter().filter(|o| !o.kind.is_empty()) {
        let mut options = output.options.clone();
        let kinds = sink::KINDS.iter();
        let kinds: Vec<Row> = kinds
            .map(|k| (k.name, k.feature, k.parse.is_some()))
            .collect();
        if kind(&mut options, "output", &output.kind, &kinds) {
            sink::parse(&output.kind, &mut options);
            problems.extend(options.finish());
        } else {
            problems.extend(options.problems());
        }
    }
    problems
}

/// Name, feature, whether this build has it.
type Row = (&'static str, &'static str, bool);

/// Whether this build has the kind; if not, `options` says why.
fn kind(options: &mut Options, what: &str, kind: &str, kinds: &[Row]) -> bool {
    let names = || kinds.iter().map(|(name, ..)| *name);
    let message = match kinds.iter().find(|(name, ..)| *name == kind) {
        Some((.., true)) => return true,
        Some((_, feature, _)) if !built(feature) => {
            format!("`{kind}` exists, but {}", without(feature))
        }
        Some(_) => format!("`{kind}` is not for this system"),
        None => {
            let hint = match text::nearest(kind, names()) {
                Some(near) => format!("did you mean \"{near}\"?"),
                None => format!("there are {}", names().collect::<Vec<_>>().join(", ")),
            };
            format!("no {what} of kind {kind:?}; {hint}")
        }
    };
    options.wrong("kind", message);
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_are_there_or_named_with_what_is_missing() {
        let rows: [Row; 3] = [
            ("udp", "src-udp", true),
            ("kafka", "sink-kafka", false),
            ("file", "src-savefile", false),
        ];
        let said = |name| {
            let mut options = Options::default();
            let is = kind(&mut options, "input", name, &rows);
            assert_eq!(is, name == "udp");
            options
                .problems()
                .pop()
                .map(|p| p.message)
                .unwrap_or_default()
        };
        assert_eq!(said("udp"), "");
        assert!(said("upd").ends_with("did you mean \"udp\"?"));
        assert!(said("carrier pigeon").ends_with("there are udp, kafka, file"));
        assert!(said("kafka").contains("`kafka` exists, but this build has no `sink-kafka`"));
    }
}
