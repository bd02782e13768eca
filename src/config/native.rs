//! weir's own configuration file: TOML into [`Config`].
//!
//! Every other syntax makes the same sections ([`tree::File`]) and hands them to [`compile`].
//!
//! Nothing stops the reading: all mistakes are found at once, each with its place, what was read,
//! what is allowed, and the nearest name. What a source or sink makes of its own settings is its
//! own business and is checked when the plan is made, as is the memory.

use super::{Aggregate, AggregateRules, Align, Config, Decode, Every, Full, Input, InputRules};
use super::{Limits, Log, LogTo, Output, Primitives, Reading, RecordTime, Spool};
use super::{every, preprocess, primitive, sandbox, toml, tree};
use crate::base::options::{Options, Place, Problem, Raw};
use crate::base::zone::Zone;
use crate::base::{built, text, without};
use crate::record::Field;
use crate::sys::syslog;
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
    /// Whether the file could not be read as a whole, so that more may be in it.
    pub broken: bool,
}

/// Reads a configuration file's text.
pub fn parse(text: &str) -> Outcome {
    let mut problems = Vec::new();
    let file = toml::parse(text, &mut problems);
    let broken = toml::is_broken(&problems);
    if broken && is_pmaccts(text) {
        let message = "this looks like a configuration of pmacct: `weir pmacct nfacctd -f FILE` runs \
                       it, `weir import FILE` writes it as weir's own";
        let mut outcome = compile(tree::File::default(), Vec::new());
        outcome.problems = vec![Problem {
            place: Place::default(),
            message: message.into(),
        }];
        outcome.broken = true;
        return outcome;
    }
    compile_what_is_there(file, problems, broken)
}

/// Whether lines of a text that is no TOML are as pmacct has them: `key: value`.
fn is_pmaccts(text: &str) -> bool {
    let lines = || text.lines().map(str::trim);
    let key = |line: &str| {
        let name = line.split_once(':').map(|(key, _)| key.trim_end());
        name.is_some_and(|name| {
            let plain = |b: u8| b.is_ascii_alphanumeric() || b"_[]".contains(&b);
            name.starts_with(|c: char| c.is_ascii_lowercase()) && name.bytes().all(plain)
        })
    };
    lines().any(key) && !lines().any(|line| line.starts_with('['))
}

/// Makes sense of a file that has been taken apart, by whichever syntax; `problems` are those that
/// its syntax had.
pub fn compile(file: tree::File, problems: Vec<Problem>) -> Outcome {
    compile_what_is_there(file, problems, false)
}

/// The same; of a `broken` file not everything is there, so nothing is said to be missing.
fn compile_what_is_there(mut file: tree::File, problems: Vec<Problem>, broken: bool) -> Outcome {
    let mut reader = Reader {
        problems,
        broken,
        warnings: Vec::new(),
    };
    let mut config = Config::default();
    reader.top(&mut file.top, &mut config);
    config.log = reader.log(file.log);
    config.limits = reader.limits(file.limits);
    for section in file.primitives {
        let (problems, warnings) = (&mut reader.problems, &mut reader.warnings);
        config.primitives.add(section, problems, warnings);
    }
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
        let names = (&mut inputs, &mut outputs);
        let aggregate = reader.aggregate(section, names, &mut config.primitives);
        config.aggregates.push(aggregate);
    }
    config.primitives.loose(&mut reader.warnings);
    if !broken {
        reader.loose(&inputs, &outputs, config.aggregates.len());
    }
    reader.problems.extend(file.top.finish());
    reader.problems.sort_by_key(|p| p.place);
    reader.warnings.sort_by_key(|p| p.place);
    Outcome {
        config,
        problems: reader.problems,
        warnings: reader.warnings,
        broken,
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

/// Words of `time`.
const TIMES: &[(&str, RecordTime)] = &[
    ("arrival", RecordTime::Arrival),
    ("start", RecordTime::Start),
    ("end", RecordTime::End),
];

/// Words of `full`.
const POLICIES: &[(&str, Full)] = &[
    ("flush", Full::Flush),
    ("fold", Full::Fold),
    ("evict", Full::Evict),
];

struct Reader {
    problems: Vec<Problem>,
    warnings: Vec<Problem>,
    broken: bool,
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
        sandbox::parse(top, config);
        config.stay = top.flag("stay").unwrap_or(config.stay);
        config.empty_maps = top.flag("empty_maps").unwrap_or(config.empty_maps);
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
        log.to = log_to(&mut options);
        log.stamp = options.flag("stamp").unwrap_or(log.stamp);
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
        let decode = options.choice("decode", Decode::CHOICES);
        let decode = decode.unwrap_or_default();
        if kind.as_deref() == Some("udp") && decode == Decode::Packet {
            let message = "`decode` is \"packets\", but what a UDP socket receives are export \
                           datagrams: \"netflow\", \"sflow\" or \"auto\"";
            options.wrong("decode", message);
        }
        let workers = options.number("workers", 1, 64).unwrap_or(1) as u32;
        let reading = reading(&mut options);
        let place = options.place;
        let rules = InputRules::take(&mut options);
        let filter = frames(&mut options, kind.as_deref());
        let options = self.rest(options);
        Some(Input {
            name,
            kind: kind?,
            decode,
            workers,
            filter,
            rules,
            reading,
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
        let spool = Spool::read(&mut options, kind.as_deref());
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
        (inputs, outputs): (&mut Known, &mut Known),
        primitives: &mut Primitives,
    ) -> Aggregate {
        let tree::Section { name, mut options } = section;
        let place = options.place;
        let by = match options.list("by") {
            Some(items) => items,
            None => BY.iter().map(|name| (name.to_string(), place)).collect(),
        };
        let mut problems = Vec::new();
        let absent = [("error", false), ("zero", true)];
        let absent = options.choice("absent", &absent).unwrap_or_default();
        let list = primitive::list_with(&by, absent, primitives, &mut problems);
        for problem in problems {
            let message = format!("aggregate.{name}: {}", problem.message);
            options.problem(problem.place, message);
        }
        if by.is_empty() {
            let message = "`by` is empty; for one total of everything write by = [\"none\"]";
            options.wrong("by", message);
        }
        let rules = preprocess::read(&mut options);
        let rejects = self.rejects(&mut options, outputs, rules.as_ref());
        let every = self.every(&mut options);
        let flush = length(&mut options, "flush");
        let mut flag = |name| options.flag(name).unwrap_or_default();
        let [stitch, kinds, prorate] = ["stitch", "kinds", "prorate"].map(&mut flag);
        let renormalise = flag("renormalise");
        let aggregate = Aggregate {
            from: self.from(&mut options, inputs),
            by: list.by,
            flows: list.flows,
            both_ends: list.both_ends,
            absent,
            align: align(&mut options, every),
            offset: later(&mut options, "offset", every.is_some()),
            flush,
            flush_delay: later(&mut options, "flush_delay", every.or(flush).is_some()),
            every,
            time: options.choice("time", TIMES).unwrap_or_default(),
            prorate,
            stitch,
            kinds,
            filter_at: options.place_of("filter"),
            filter: filters(&mut options),
            rules: AggregateRules::take(&mut options),
            memory: options.size("memory"),
            full: options.choice("full", POLICIES).unwrap_or_default(),
            renormalise,
            preprocess: rules,
            to: self.to(&mut options, outputs),
            rejects,
            place,
            name,
        };
        if let Some(both) = aggregate.rejects.iter().find(|r| aggregate.to.contains(r)) {
            let message = format!("`rejects` has {both:?}, which gets the rows that pass");
            options.wrong("rejects", message);
        }
        let asks = aggregate.filter.iter().any(|f| !f.trim().is_empty());
        if asks && !built("rule-filter") {
            options.wrong("filter", format!("`filter`: {}", without("rule-filter")));
        }
        prorating(&mut options, &aggregate);
        self.problems.extend(options.finish());
        aggregate
    }

    fn every(&mut self, options: &mut Options) -> Option<Every> {
        let every = length(options, "every")?;
        if let Every::Seconds(n) = every
            && 86_400 % n != 0
            && !options.has("align")
        {
            let place = options.place_of("every");
            let message = format!(
                "`every` is {:?}, which does not divide a day: bins will not begin at midnight",
                every::show(every)
            );
            self.warnings.push(Problem { place, message });
        }
        Some(every)
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
                None if self.broken => {}
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

    /// Outputs for rows that preprocessing removes.
    fn rejects(
        &mut self,
        options: &mut Options,
        outputs: &mut Known,
        rules: Option<&super::Rules>,
    ) -> Vec<String> {
        let rejects = self.names(options, "rejects", outputs);
        if options.has("rejects") && !rules.is_some_and(super::Rules::removes) {
            let message = "`rejects` is for rows that checks of `preprocess` remove";
            options.wrong("rejects", message);
        }
        rejects
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

/// Where the log goes.
fn log_to(options: &mut Options) -> LogTo {
    let targets = [("stderr", 0), ("syslog", 1), ("file", 2)];
    let to = options.choice("to", &targets).unwrap_or_default();
    let file = options.text("file");
    let facility = options.text("facility");
    let ident = options.text("ident");
    for (name, given, of, word) in [
        ("file", file.is_some(), 2, "file"),
        ("facility", facility.is_some(), 1, "syslog"),
        ("ident", ident.is_some(), 1, "syslog"),
    ] {
        if given && to != of {
            options.wrong(name, format!("`{name}` goes with to = \"{word}\""));
        }
    }
    let facility = facility.unwrap_or_else(|| "daemon".into());
    if syslog::facility(&facility).is_none() {
        let names = syslog::FACILITIES.iter().map(|(name, _)| *name);
        let near = text::nearest(&facility, names.clone());
        let near = near.map(|near| format!("; did you mean {near:?}?"));
        let names: Vec<_> = names.map(|name| format!("{name:?}")).collect();
        let message = format!(
            "`facility` is {facility:?}; it takes {}{}",
            names.join(" or "),
            near.unwrap_or_default()
        );
        options.wrong("facility", message);
    }
    match (to, file) {
        (2, Some(file)) if !file.is_empty() => LogTo::File(file),
        (2, _) => {
            options.wrong("to", "`to` is \"file\": it needs `file`, a path");
            LogTo::Stderr
        }
        (1, _) => LogTo::Syslog {
            facility,
            ident: ident.unwrap_or_else(|| "weir".into()),
        },
        _ => LogTo::Stderr,
    }
}

/// The filter on the frames of an input; libpcap's captures have their own.
fn frames(options: &mut Options, kind: Option<&str>) -> String {
    if kind == Some("pcap") {
        return String::new();
    }
    let filter = options.text("filter").unwrap_or_default();
    if filter.trim().is_empty() {
        return String::new();
    }
    if kind == Some("udp") {
        let message = "`filter` is for frames, and a socket receives datagrams: an aggregation has \
                       a `filter`, too";
        options.wrong("filter", message);
    } else if !built("rule-filter") {
        options.wrong("filter", format!("`filter`: {}", without("rule-filter")));
    }
    filter
}

/// Filters of an aggregation, one or several.
fn filters(options: &mut Options) -> Vec<String> {
    let filters = options.list("filter").unwrap_or_default();
    filters.into_iter().map(|(filter, _)| filter).collect()
}

/// How an input's datagrams are taken.
fn reading(options: &mut Options) -> Reading {
    let default = Reading::default();
    let mut flag = |name, default| options.flag(name).unwrap_or(default);
    Reading {
        account_options: flag("account_options", default.account_options),
        asa_biflow: flag("asa_biflow", default.asa_biflow),
        ignore_exporter_address: flag("ignore_exporter_address", default.ignore_exporter_address),
        use_next_hop: flag("use_next_hop", default.use_next_hop),
        peer_as: flag("peer_as", default.peer_as),
        uptime_seconds: flag("uptime_seconds", default.uptime_seconds),
        frame_bytes: flag("frame_bytes", default.frame_bytes),
        only_ip: flag("only_ip", default.only_ip),
    }
}

/// A length of bins or of what lies between two flushes.
fn length(options: &mut Options, name: &'static str) -> Option<Every> {
    let (raw, _) = options.raw(name)?;
    let given = match raw {
        Raw::Text(t) => t,
        other => other.show(),
    };
    let read = every::parse(&given);
    read.map_err(|why| options.wrong(name, format!("`{name}` {why}")))
        .ok()
}

/// Where bins begin: at every such point of the calendar, and from there on.
fn align(options: &mut Options, every: Option<Every>) -> Option<Align> {
    let align = options.choice("align", Align::WORDS)?;
    let wrong = match every {
        None => Some("goes with `every`"),
        Some(Every::Seconds(n)) if align.suits(n) => None,
        Some(Every::Seconds(_)) => Some("is neither longer than `every` nor a part of it"),
        Some(_) => Some("goes with a duration: calendar bins begin where they are named after"),
    };
    if let Some(why) = wrong {
        options.wrong("align", format!("`align` {why}"));
        return None;
    }
    Some(align)
}

/// Seconds by which something is later than it would be; `paced` where there is such a thing.
fn later(options: &mut Options, name: &'static str, paced: bool) -> u32 {
    let Some(given) = options.duration(name) else {
        return 0;
    };
    let seconds = u32::try_from(given.as_secs()).ok();
    match seconds.filter(|n| *n < 31 * 86_400 && given.subsec_nanos() == 0) {
        Some(_) if !paced && name == "offset" => options.wrong(name, "`offset` goes with `every`"),
        Some(_) if !paced => {
            options.wrong(name, "`flush_delay` goes with `every` or `flush`");
        }
        Some(seconds) => return seconds,
        None => options.wrong(
            name,
            format!("`{name}` takes whole seconds, less than 31 days"),
        ),
    }
    0
}

/// What splitting flows over bins needs, and what it excludes.
fn prorating(options: &mut Options, aggregate: &Aggregate) {
    let ends = [Field::TimestampMin, Field::TimestampMax];
    let stitched = aggregate.stitch || aggregate.by.iter().any(|field| ends.contains(field));
    if aggregate.prorate && aggregate.every.is_none() {
        options.wrong(
            "prorate",
            "`prorate` splits flows over bins: it needs `every`",
        );
    } else if aggregate.prorate && stitched {
        let message = "`prorate` splits flows, and `stitch` keeps their ends: one of them";
        options.wrong("prorate", message);
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
