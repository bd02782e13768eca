//! What is done to records before they are counted: maps, networks files, lists, tag filters.
//!
//! Files are named here and read when the plan is made.

use crate::base::options::{Options, Place, Raw};
use crate::base::{Maps, without};
pub use crate::enrich::networks::Method;
pub use crate::rule::verdict::Lists;
use std::fmt::Write;

/// A file that the configuration names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct File {
    /// Its path.
    pub path: String,
    /// Where it is named.
    pub place: Place,
}

/// Rules for all records of an input.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct InputRules {
    /// Map of tags.
    pub tags: Option<File>,
    /// Map of sampling rates.
    pub sampling: Option<File>,
    /// Sampling rate where nothing else says one; zero for none.
    pub sampling_rate: u32,
    /// Map of route distinguishers.
    pub rd: Option<File>,
    /// Whether the first record of each exporter has no label, as that of nfacctd.
    pub first_unlabelled: bool,
}

/// Rules for what one aggregation counts.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AggregateRules {
    /// Map of tags, in place of the inputs'.
    pub tags: Option<File>,
    /// The tag of everything that it counts.
    pub tag: Option<u64>,
    /// Likewise the second one.
    pub tag2: Option<u64>,
    /// Which tags and labels it takes.
    pub lists: Lists,
    /// The same as it was given: tags, second tags, labels.
    pub terms: [Vec<String>; 3],
    /// Networks file.
    pub networks: Option<File>,
    /// Who says the network of an address.
    pub net_from: Method,
    /// Who says its AS.
    pub as_from: Method,
    /// Prefix length where `net_from` is `mask`.
    pub networks_mask: u8,
    /// Whether hosts of no network become zero.
    pub networks_filter: bool,
    /// Whether the file's prefix counts however short it is.
    pub networks_no_lpm: bool,
    /// Whether an address of no network is one by itself.
    pub networks_no_mask_if_zero: bool,
    /// Whether times lose their fractions.
    pub whole_seconds: bool,
    /// Lists of ports, protocols and ToS that are kept.
    pub only: [Option<File>; 3],
}

/// Keys of an input that are rules: a change of one leaves the source as it is.
pub const INPUT_KEYS: &[&str] = &[
    "tags",
    "sampling",
    "sampling_rate",
    "rd",
    "first_unlabelled",
];

/// Keys of the value lists, in the order of [`AggregateRules::only`].
pub const ONLY: [&str; 3] = ["only_ports", "only_protocols", "only_tos"];

const FILTERS: [&str; 3] = ["tag_filter", "tag2_filter", "label_filter"];

fn file(options: &mut Options, name: &'static str) -> Option<File> {
    let path = options.text(name)?;
    let place = options.place_of(name);
    if path.is_empty() {
        options.wrong(
            name,
            format!("`{name}` is empty; it takes the path of a file"),
        );
        return None;
    }
    Some(File { path, place })
}

/// A tag: a number, or text where it is more than TOML can write.
fn tag(options: &mut Options, name: &'static str) -> Option<u64> {
    let (raw, _) = options.raw(name)?;
    let tag = match &raw {
        Raw::Number(n) => u64::try_from(*n).ok(),
        Raw::Text(text) if text.bytes().all(|b| b.is_ascii_digit()) => text.parse().ok(),
        _ => None,
    };
    let tag = tag.filter(|tag| *tag > 0);
    if tag.is_none() {
        let most = u64::MAX;
        let message = format!(
            "`{name}` is {}; it takes a number from 1 to {most}",
            raw.show()
        );
        options.wrong(name, message);
    }
    tag
}

/// Terms of a filter, texts or numbers, each with its place.
fn terms(options: &mut Options, name: &'static str) -> Vec<(String, Place)> {
    let Some((raw, place)) = options.raw(name) else {
        return Vec::new();
    };
    let items = match raw {
        Raw::List(items) => items,
        one => vec![(one, place)],
    };
    let mut terms = Vec::new();
    for (item, place) in items {
        match item {
            Raw::Text(text) => terms.push((text, place)),
            Raw::Number(n) => terms.push((n.to_string(), place)),
            other => {
                let message = format!(
                    "`{name}` holds {}; it takes texts and numbers",
                    other.show()
                );
                options.problem(place, message);
            }
        }
    }
    terms
}

/// Says of those settings that are there that this build does not have what they are for.
fn absent(options: &mut Options, names: &[&'static str]) {
    for name in names {
        if let Some((_, place)) = options.raw(name) {
            options.problem(place, format!("`{name}`: {}", without("rule-map")));
        }
    }
}

impl InputRules {
    /// Takes the keys of an input.
    pub fn take(options: &mut Options) -> Self {
        let rate = options.number("sampling_rate", 1, u32::MAX.into());
        let mut rules = Self {
            sampling_rate: rate.unwrap_or(0) as u32,
            ..Self::default()
        };
        if Maps::get().is_none() {
            absent(options, &["tags", "sampling", "rd", "first_unlabelled"]);
            return rules;
        }
        rules.tags = file(options, "tags");
        rules.sampling = file(options, "sampling");
        rules.rd = file(options, "rd");
        rules.first_unlabelled = options.flag("first_unlabelled").unwrap_or_default();
        rules
    }
}

/// Sources of networks and systems that are known and not there yet.
const ROUTES: [&str; 4] = ["bgp", "bmp", "igp", "bgp-ls"];

fn method(
    options: &mut Options,
    name: &'static str,
    choices: &[(&'static str, Method)],
) -> Option<Method> {
    if let Some((Raw::Text(text), _)) = options.raw(name)
        && ROUTES.contains(&text.as_str())
    {
        let message = format!(
            "`{name}` is {text:?}, which needs routes; weir has no routing plane yet. There are {}",
            choices
                .iter()
                .map(|(word, _)| *word)
                .collect::<Vec<_>>()
                .join(", ")
        );
        options.wrong(name, message);
        return None;
    }
    options.choice(name, choices)
}

/// Settings of an aggregation that ask for maps, beside lists.
const FROM_MAPS: [&str; 8] = [
    "tags",
    "networks",
    "networks_filter",
    "networks_no_lpm",
    "networks_no_mask_if_zero",
    "networks_mask",
    "net_from",
    "as_from",
];

impl AggregateRules {
    /// Takes the keys of an aggregation.
    pub fn take(options: &mut Options) -> Self {
        let mut rules = Self {
            tag: tag(options, "tag"),
            tag2: tag(options, "tag2"),
            whole_seconds: options.flag("whole_seconds").unwrap_or_default(),
            ..Self::default()
        };
        if Maps::get().is_none() {
            absent(options, &FROM_MAPS);
            absent(options, &ONLY);
            absent(options, &FILTERS);
            return rules;
        }
        rules.tags = file(options, "tags");
        rules.networks = file(options, "networks");
        rules.only = ONLY.map(|name| file(options, name));
        rules.lists(options);
        rules.networks(options);
        rules
    }

    fn lists(&mut self, options: &mut Options) {
        for (name, kept) in FILTERS.into_iter().zip(&mut self.terms) {
            for (term, place) in terms(options, name) {
                let read = match name {
                    "tag_filter" => self.lists.tag.push(&term),
                    "tag2_filter" => self.lists.tag2.push(&term),
                    _ => self.lists.label.push(&term),
                };
                match read {
                    Ok(()) => kept.push(term),
                    Err(why) => options.problem(place, format!("`{name}` {why}")),
                }
            }
        }
    }

    fn networks(&mut self, options: &mut Options) {
        let mut flag = |name| options.flag(name).unwrap_or_default();
        self.networks_filter = flag("networks_filter");
        self.networks_no_lpm = flag("networks_no_lpm");
        self.networks_no_mask_if_zero = flag("networks_no_mask_if_zero");
        let mask = options.number("networks_mask", 1, 128);
        self.networks_mask = mask.unwrap_or(0) as u8;
        let with = [
            ("exporter", Method::Exporter),
            ("file", Method::File),
            ("longest", Method::Longest),
        ];
        let nets = [&with[..], &[("mask", Method::Mask)]].concat();
        // What is there is meant to be used, unless it is said how.
        let natural = match (&self.networks, mask) {
            (Some(_), _) => Method::Longest,
            (None, Some(_)) => Method::Mask,
            (None, None) => Method::Exporter,
        };
        let of_file = |method| matches!(method, Method::File | Method::Longest);
        self.net_from = method(options, "net_from", &nets).unwrap_or(natural);
        let natural = if of_file(natural) {
            natural
        } else {
            Method::Exporter
        };
        self.as_from = method(options, "as_from", &with).unwrap_or(natural);
        if self.networks.is_none() {
            for (name, method) in [("net_from", self.net_from), ("as_from", self.as_from)] {
                if method == Method::File {
                    let message =
                        format!("`{name}` needs `networks`, for example networks = \"nets\"");
                    options.wrong(name, message);
                }
            }
            if self.networks_filter {
                options.wrong("networks_filter", "`networks_filter` needs `networks`");
            }
        }
        if self.net_from == Method::Mask && mask.is_none() {
            options.wrong(
                "net_from",
                "`net_from` is \"mask\" and needs `networks_mask`",
            );
        }
    }

    /// What is in effect, as lines of the configuration.
    pub fn show(&self, text: &mut String, quote: &dyn Fn(&str) -> String) {
        let mut line = |key: &str, value: String| {
            // Writing to a string can not fail.
            let _ = writeln!(text, "{key} = {value}");
        };
        let files = [("tags", &self.tags), ("networks", &self.networks)];
        for (key, file) in files.into_iter().chain(ONLY.into_iter().zip(&self.only)) {
            if let Some(file) = file {
                line(key, quote(&file.path));
            }
        }
        for (key, tag) in [("tag", self.tag), ("tag2", self.tag2)] {
            match tag {
                Some(tag) if i64::try_from(tag).is_err() => line(key, quote(&tag.to_string())),
                Some(tag) => line(key, tag.to_string()),
                None => {}
            }
        }
        for (key, terms) in FILTERS.into_iter().zip(&self.terms) {
            if !terms.is_empty() {
                let terms: Vec<String> = terms.iter().map(|term| quote(term)).collect();
                line(key, format!("[{}]", terms.join(", ")));
            }
        }
        if self.networks_mask > 0 {
            line("networks_mask", self.networks_mask.to_string());
        }
        for (key, method) in [("net_from", self.net_from), ("as_from", self.as_from)] {
            line(
                key,
                quote(match method {
                    Method::Exporter => "exporter",
                    Method::File => "file",
                    Method::Longest => "longest",
                    Method::Mask => "mask",
                }),
            );
        }
        for (key, is) in [
            ("networks_filter", self.networks_filter),
            ("networks_no_lpm", self.networks_no_lpm),
            ("networks_no_mask_if_zero", self.networks_no_mask_if_zero),
            ("whole_seconds", self.whole_seconds),
        ] {
            if is {
                line(key, "true".into());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{explain, native};

    const REST: &str = "to = \"p\"\n[output.p]\nkind = \"print\"\n";

    fn parse(input: &str, aggregate: &str) -> native::Outcome {
        native::parse(&format!(
            "[input.a]\nkind = \"udp\"\nlisten = \"2055\"\n{input}\n[aggregate.x]\n{aggregate}\n{REST}"
        ))
    }

    #[test]
    fn rules_are_read_and_shown() {
        let outcome = parse(
            "tags = \"t.map\"\nsampling = \"s.map\"\nsampling_rate = 100\nrd = \"r.map\"",
            "tags = \"own.map\"\ntag = 5\ntag2 = \"18446744073709551615\"\n\
             tag_filter = [10, \"20-29\", -5]\ntag2_filter = \"0\"\n\
             label_filter = [\"null\", \"-a\"]\n\
             networks = \"nets\"\nas_from = \"file\"\nnetworks_filter = true\n\
             only_ports = \"ports\"\nonly_tos = \"tos\"\nfilter = [\"port 80\", \"port 443\"]",
        );
        assert_eq!(outcome.problems, []);
        let input = &outcome.config.inputs[0].rules;
        let path = |file: &Option<File>| file.as_ref().map(|f| f.path.clone());
        assert_eq!(path(&input.tags).as_deref(), Some("t.map"));
        assert_eq!(input.sampling_rate, 100);
        let aggregate = &outcome.config.aggregates[0];
        assert_eq!(aggregate.filter, ["port 80", "port 443"]);
        let rules = &aggregate.rules;
        assert_eq!((rules.tag, rules.tag2), (Some(5), Some(u64::MAX)));
        assert_eq!(rules.terms[0], ["10", "20-29", "-5"]);
        assert_eq!(
            (rules.net_from, rules.as_from),
            (Method::Longest, Method::File)
        );
        let shown = explain::show(&outcome.config);
        let again = native::parse(&shown);
        assert_eq!(again.problems, [], "{shown}");
        assert_eq!(explain::show(&again.config), shown);
        for line in [
            "tags = \"t.map\"",
            "tags = \"own.map\"",
            "tag2 = \"18446744073709551615\"",
            "tag_filter = [\"10\", \"20-29\", \"-5\"]",
            "net_from = \"longest\"",
            "filter = [\"port 80\", \"port 443\"]",
        ] {
            assert!(shown.lines().any(|l| l == line), "{line}\n{shown}");
        }
        let plain = parse("", "").config;
        assert_eq!(plain.aggregates[0].rules.net_from, Method::Exporter);
        let mask = parse("", "networks_mask = 24").config;
        assert_eq!(mask.aggregates[0].rules.net_from, Method::Mask);
    }

    #[test]
    fn each_mistake_has_its_sentence() {
        for (input, aggregate, said) in [
            ("tags = \"\"", "", "`tags` is empty"),
            ("tags = 3", "", "it takes text in quotes"),
            ("sampling_rate = 0", "", "from 1 to 4294967295"),
            ("", "tag = 0", "`tag` is 0; it takes a number from 1"),
            ("", "tag = \"x\"", "`tag` is \"x\""),
            (
                "",
                "tag_filter = [\"9-1\"]",
                "`tag_filter` is \"9-1\"; it takes tags and ranges",
            ),
            ("", "tag_filter = [true]", "`tag_filter` holds true"),
            ("", "label_filter = [\"a,b\"]", "each by itself"),
            ("", "net_from = \"file\"", "`net_from` needs `networks`"),
            ("", "as_from = \"file\"", "`as_from` needs `networks`"),
            ("", "net_from = \"mask\"", "needs `networks_mask`"),
            ("", "net_from = \"bgp\"", "weir has no routing plane yet"),
            ("", "as_from = \"mask\"", "`as_from` is \"mask\"; it takes"),
            (
                "",
                "networks_filter = true",
                "`networks_filter` needs `networks`",
            ),
            ("", "networks_mask = 0", "from 1 to 128"),
            ("", "only_port = \"x\"", "did you mean `only_ports`?"),
            ("", "filter = 3", "`filter` holds 3"),
        ] {
            let problems = parse(input, aggregate).problems;
            let [problem] = &problems[..] else {
                panic!("{input}{aggregate}: {problems:?}")
            };
            assert!(problem.message.contains(said), "{}", problem.message);
        }
    }
}
