//! weir's own configuration file: TOML into [`Config`].
//!
//! Nothing stops the reading: all mistakes are found at once, each with its place, what was read,
//! what is allowed, and the nearest name. What a source or sink makes of its own settings is its
//! own business and is checked when the plan is made, as is the memory.

use super::{Aggregate, Config, Decode, Full, Input, Limits, Log, Output, RecordTime, Spool};
use super::{every, primitive, tree};
use crate::base::options::{Options, Place, Problem, Raw};
use crate::base::zone::Zone;
use crate::base::{built, text, without};
use log::LevelFilter;
use std::net::SocketAddr;
use std::time::Duration;

/// What came out of reading a configuration.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// The configuration; parts that are wrong are left out or at their defaults.
    pub config: Config,
    /// What is wrong, in the order of the file.
    pub problems: Vec<Problem>,
    /// What is allowed but most likely not meant.
    pub warnings: Vec<Problem>,
}

/// Reads a configuration file's text.
pub fn parse(text: &str) -> Outcome {
    let mut reader = Reader {
        problems: Vec::new(),
        warnings: Vec::new(),
    };
    let mut file = tree::parse(text, &mut reader.problems);
    let mut config = Config::default();
    reader.top(&mut file.top, &mut config);
    config.log = reader.log(file.log);
    config.limits = reader.limits(file.limits);
    let mut inputs = Known::new("input", &file.inputs);
    let mut outputs = Known::new("output", &file.outputs);
    config.inputs = file
        .inputs
        .into_iter()
        .filter_map(|s| reader.input(s))
        .collect();
    config.outputs = file
        .outputs
        .into_iter()
        .filter_map(|s| reader.output(s))
        .collect();
    for section in file.aggregates {
        let aggregate = reader.aggregate(section, &mut inputs, &mut outputs);
        config.aggregates.push(aggregate);
    }
    reader.loose(&inputs, &outputs, config.aggregates.len());
    reader.problems.extend(file.top.finish());
    reader.problems.sort_by_key(|p| p.place);
    reader.warnings.sort_by_key(|p| p.place);
    Outcome {
        config,
        problems: reader.problems,
        warnings: reader.warnings,
    }
}

/// A problem as it is printed: `weir.toml:12:9: message`.
pub fn show(file: &str, problem: &Problem) -> String {
    match problem.place {
        Place { line: 0, .. } => format!("{file}: {}", problem.message),
        Place { line, column } => format!("{file}:{line}:{column}: {}", problem.message),
    }
}

/// Memory for rows that wait for an output, in bytes, where none is configured.
pub const QUEUE: u64 = 1 << 20;

/// Least such memory, in bytes: less does not hold one delivery.
const QUEUE_MIN: u64 = 16 << 10;

/// Longest time a stop may take.
const STOP_MAX: Duration = Duration::from_secs(3_600);

/// What is summed by where `by` is not given.
const BY: &[&str] = &["src_host", "dst_host"];

struct Reader {
    problems: Vec<Problem>,
    warnings: Vec<Problem>,
}

impl Reader {
    fn wrong(&mut self, place: Place, message: String) {
        self.problems.push(Problem { place, message });
    }

    /// The top of the file; what nobody takes is reported later, when all names are known.
    fn top(&mut self, top: &mut Options, config: &mut Config) {
        if let Some(memory) = top.size("memory") {
            config.memory = memory;
            if usize::try_from(memory).is_err() {
                top.wrong("memory", "`memory` is more than this machine can address");
            }
        }
        config.control = top.text("control").filter(|c| !c.is_empty());
        config.templates = top.text("templates").filter(|t| !t.is_empty());
        config.http = top.text("http").filter(|h| !h.is_empty());
        if let Some(http) = &config.http {
            if http.parse::<SocketAddr>().is_err() {
                let message = format!(
                    "`http` is {http:?}; it takes an address and a port like \"127.0.0.1:9090\" \
                     or \"[::1]:9090\""
                );
                top.wrong("http", message);
            } else if !built("ctl-http") {
                top.wrong(
                    "http",
                    format!("`http` can not be served: {}", without("ctl-http")),
                );
            }
        }
        if let Some(zone) = top.text("timezone") {
            match Zone::named(&zone) {
                Ok(_) => config.timezone = zone,
                Err(why) => top.wrong("timezone", why),
            }
        }
        if let Some(stop) = top.duration("stop_within") {
            config.stop_within = stop.min(STOP_MAX);
            if stop > STOP_MAX {
                top.wrong("stop_within", "`stop_within` is an hour at most");
            }
        }
    }

    fn log(&mut self, section: Option<Options>) -> Log {
        let mut log = Config::default().log;
        let Some(mut options) = section else {
            return log;
        };
        let levels = [
            ("off", LevelFilter::Off),
            ("error", LevelFilter::Error),
            ("warn", LevelFilter::Warn),
            ("info", LevelFilter::Info),
            ("debug", LevelFilter::Debug),
            ("trace", LevelFilter::Trace),
        ];
        log.level = options.choice("level", &levels).unwrap_or(log.level);
        let targets = [("stderr", false), ("syslog", true)];
        log.syslog = options.choice("to", &targets).unwrap_or(log.syslog);
        self.problems.extend(options.finish());
        log
    }

    fn limits(&mut self, section: Option<Options>) -> Limits {
        let mut limits = Limits::default();
        let Some(mut options) = section else {
            return limits;
        };
        let mut count = |name, least, limit: &mut u32| {
            if let Some(n) = options.number(name, least, 1 << 20) {
                *limit = n as u32;
            }
        };
        count("templates", 1, &mut limits.templates);
        count("exporters", 1, &mut limits.exporters);
        count("options", 0, &mut limits.options);
        count("fragments", 0, &mut limits.fragments);
        if let Some(symbols) = options.size("symbols") {
            limits.symbols = symbols;
            if symbols > 1 << 30 {
                options.wrong("symbols", "`symbols` is 1 GiB at most");
            }
        }
        self.problems.extend(options.finish());
        limits
    }

    fn input(&mut self, section: tree::Section) -> Option<Input> {
        let tree::Section { name, mut options } = section;
        let kind = options.required("kind", "udp");
        let decoders = [
            ("auto", Decode::Auto),
            ("packets", Decode::Packet),
            ("netflow", Decode::Netflow),
            ("sflow", Decode::Sflow),
            ("packet", Decode::Packet),
        ];
        let decode = options.choice("decode", &decoders).unwrap_or_default();
        if kind.as_deref() == Some("udp") && decode == Decode::Packet {
            let message = "`decode` is \"packets\", but what a UDP socket receives are export \
                           datagrams: \"netflow\", \"sflow\" or \"auto\"";
            options.wrong("decode", message);
        }
        let workers = options.number("workers", 1, 64).unwrap_or(1) as u32;
        let place = options.place;
        let options = self.rest(options);
        Some(Input {
            name,
            kind: kind?,
            decode,
            workers,
            options,
            place,
        })
    }

    fn output(&mut self, section: tree::Section) -> Option<Output> {
        let tree::Section { name, mut options } = section;
        let kind = options.required("kind", "file");
        let mut queue = options.size("queue").unwrap_or(QUEUE);
        if queue < QUEUE_MIN {
            let least = text::show_size(QUEUE_MIN);
            options.wrong(
                "queue",
                format!("`queue` is {queue} bytes; it takes {least} or more"),
            );
            queue = QUEUE;
        }
        let spool = Spool::read(&mut options);
        let place = options.place;
        let options = self.rest(options);
        Some(Output {
            name,
            kind: kind?,
            queue,
            spool,
            options,
            place,
        })
    }

    /// Takes the problems out of settings of which the rest is somebody else's.
    fn rest(&mut self, mut options: Options) -> Options {
        self.problems.extend(options.problems());
        options
    }

    fn aggregate(
        &mut self,
        section: tree::Section,
        inputs: &mut Known,
        outputs: &mut Known,
    ) -> Aggregate {
        let tree::Section { name, mut options } = section;
        let place = options.place;
        let by = match options.list("by") {
            Some(items) => items,
            None => BY.iter().map(|name| (name.to_string(), place)).collect(),
        };
        let mut problems = Vec::new();
        let list = primitive::list(&by, &mut problems);
        for problem in problems {
            let message = format!("aggregate.{name}: {}", problem.message);
            options.problem(problem.place, message);
        }
        if by.is_empty() {
            let message = "`by` is empty; for one total of everything write by = [\"none\"]";
            options.wrong("by", message);
        }
        let every = self.every(&mut options);
        let times = [
            ("arrival", RecordTime::Arrival),
            ("start", RecordTime::Start),
            ("end", RecordTime::End),
        ];
        let policies = [
            ("flush", Full::Flush),
            ("fold", Full::Fold),
            ("evict", Full::Evict),
        ];
        let aggregate = Aggregate {
            from: self.from(&mut options, inputs),
            by: list.by,
            flows: list.flows,
            both_ends: list.both_ends,
            every,
            time: options.choice("time", &times).unwrap_or_default(),
            filter: options.text("filter").unwrap_or_default(),
            memory: options.size("memory"),
            full: options.choice("full", &policies).unwrap_or_default(),
            renormalise: options.flag("renormalise").unwrap_or_default(),
            to: self.to(&mut options, outputs),
            place,
            name,
        };
        if !aggregate.filter.trim().is_empty() && !built("rule-filter") {
            options.wrong("filter", format!("`filter`: {}", without("rule-filter")));
        }
        self.problems.extend(options.finish());
        aggregate
    }

    fn every(&mut self, options: &mut Options) -> Option<super::Every> {
        let (raw, _) = options.raw("every")?;
        let given = match raw {
            Raw::Text(t) => t,
            other => other.show(),
        };
        let read = every::parse(&given);
        if let Ok(super::Every::Seconds(n)) = read
            && 86_400 % n != 0
        {
            let place = options.place_of("every");
            let message = format!(
                "`every` is {given:?}, which does not divide a day: bins will not begin at midnight"
            );
            self.warnings.push(Problem { place, message });
        }
        read.map_err(|why| options.wrong("every", format!("`every` {why}")))
            .ok()
    }

    /// Names of inputs or outputs that an aggregation refers to; those that exist are kept.
    fn names(
        &mut self,
        options: &mut Options,
        key: &'static str,
        known: &mut Known,
    ) -> Vec<String> {
        let mut names = Vec::new();
        for (name, place) in options.list(key).unwrap_or_default() {
            match known.names.iter_mut().find(|(n, ..)| *n == name) {
                Some((.., used)) => {
                    *used = true;
                    names.push(name);
                }
                None => {
                    let message = format!("{}: {}", options.section, known.missing(&name));
                    options.problem(place, message);
                }
            }
        }
        names
    }

    /// Inputs of an aggregation; none named are all of them.
    fn from(&mut self, options: &mut Options, inputs: &mut Known) -> Vec<String> {
        let from = self.names(options, "from", inputs);
        if from.is_empty() {
            inputs.names.iter_mut().for_each(|(.., used)| *used = true);
        }
        from
    }

    /// Outputs of an aggregation; there must be one.
    fn to(&mut self, options: &mut Options, outputs: &mut Known) -> Vec<String> {
        let given = options.has("to");
        let to = self.names(options, "to", outputs);
        if !given || matches!(options.raw("to"), Some((Raw::List(l), _)) if l.is_empty()) {
            let names: Vec<_> = outputs
                .names
                .iter()
                .map(|(n, ..)| format!("{n:?}"))
                .collect();
            let example = match names.as_slice() {
                [] => "there is none yet; add one, for example [output.files]".into(),
                names => format!("write to = [{}]", names.join(", ")),
            };
            let message = format!("`{}` has no output: {example}", options.section);
            options.wrong("to", message);
        }
        to
    }

    /// What is missing altogether, and what is there and used by nobody.
    fn loose(&mut self, inputs: &Known, outputs: &Known, aggregates: usize) {
        let mut missing = |message: &str| self.wrong(Place::default(), message.into());
        if inputs.names.is_empty() {
            missing(
                "no input: add one, for example [input.routers] with kind = \"udp\" and \
                 listen = \"[::]:2055\"",
            );
        }
        if aggregates == 0 {
            missing(
                "no aggregation: add one, for example [aggregate.talkers] with \
                 by = [\"src_host\", \"dst_host\"]",
            );
        }
        for known in [inputs, outputs] {
            for (name, place, used) in &known.names {
                if !used {
                    let message = format!("`{}.{name}` is used by no aggregation", known.what);
                    self.warnings.push(Problem {
                        place: *place,
                        message,
                    });
                }
            }
        }
    }
}

/// Names of one family, each with its place and whether somebody refers to it.
struct Known {
    what: &'static str,
    names: Vec<(String, Place, bool)>,
}

impl Known {
    fn new(what: &'static str, sections: &[tree::Section]) -> Self {
        let names = sections
            .iter()
            .map(|s| (s.name.clone(), s.options.place, false));
        Self {
            what,
            names: names.collect(),
        }
    }

    fn missing(&self, name: &str) -> String {
        let names = || self.names.iter().map(|(n, ..)| n.as_str());
        let hint = match text::nearest(name, names()) {
            Some(near) => format!("did you mean `{near}`?"),
            None if self.names.is_empty() => "there is none at all".into(),
            None => format!("there are {}", names().collect::<Vec<_>>().join(", ")),
        };
        format!("no {} `{name}`; {hint}", self.what)
    }
}

#[cfg(test)]
#[path = "native_test.rs"]
mod tests;
