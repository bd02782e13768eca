//! `weir read`: savefiles in, rows out, once.

mod ledger;
mod rows;
mod table;

use super::arg::{Args, Command, Flag, Operands, Take};
use super::{out, wait};
use crate::base::error::Exit;
use crate::base::options::{Options, Place, Raw};
use crate::base::text::{nearest, show_size};
use crate::base::zone::Zone;
use crate::config::{
    Aggregate, Config, Decode, Every, Full, Input, Limits, Output, every, primitive,
};
use crate::ctl;
use crate::ctl::log::Target;
use crate::encode::value::Style;
use crate::pipeline::outlet::Outlet;
use crate::pipeline::reload::{Kept, output_mark};
use crate::pipeline::{Mode, Pipeline, Plan};
use crate::record::schema::What;
use crate::record::{FIELDS, Field};
use crate::sys::signal::Signals;
use ledger::Ledger;
use rows::{Format, Report, Told, Wanted};
use std::ffi::OsString;
use std::io::{ErrorKind, IsTerminal, Write};
use std::path::PathBuf;
use std::sync::PoisonError;
use std::time::Duration;

/// The table of `weir read`.
pub static COMMAND: Command = Command {
    name: "read",
    doc: "Sum up savefiles: who talked to whom",
    about: "Reads savefiles (pcap or pcapng, also compressed with gzip), sums their packets or \
            the flow records in them by the fields you name, and prints the rows. The last line \
            on standard error is the ledger: what was seen, counted and dropped, and why.\n\n\
            With --decode netflow or sflow the UDP payloads in the capture are taken as export \
            datagrams; NetFlow v5, v9 and IPFIX are told apart by their version.",
    operands: Operands {
        name: "FILE",
        least: 1,
        most: usize::MAX,
        take: Take::Path,
        doc: "a savefile; - is standard input",
    },
    flags: &[
        Flag::new("by", Take::Fields, "LIST", "Fields to sum by, with commas; `weir fields` lists them.")
            .short('b')
            .default("src_host,dst_host"),
        Flag::new("decode", Take::Choice(&["packets|packet", "netflow", "sflow"]), "WHAT", "What the savefile holds.")
            .short('d')
            .default("packets"),
        Flag::new("filter", Take::Text, "EXPR", "Count only what passes this pcap filter expression.")
            .short('f'),
        Flag::new("bin", Take::Text, "TIME", "Sum by time bins of this length: 10s, 5m, 1h, day, week, month.")
            .alias("every"),
        Flag::new("sort", Take::Text, "COLUMN", "Sort by this column, the largest of a counter or the smallest of a field first; bytes where --top is given."),
        Flag::new("top", Take::Number, "N", "Print the first N rows only, then one for the others and the total; a table has 20, 0 means all.")
            .short('n'),
        Flag::new("format", Take::Choice(&["table", "csv", "json", "formatted"]), "FORMAT", "How rows are written.")
            .default("table"),
        Flag::new("output", Take::Path, "FILE", "Write rows to this file instead of standard output.")
            .short('o'),
        Flag::new("memory", Take::Size, "SIZE", "Memory for tables and decoders together; by itself at most half of the system's.")
            .short('m')
            .default("64MiB"),
        Flag::new("full", Take::Choice(&["flush", "fold", "evict"]), "POLICY", "What to do when the table is full: deliver early, fold new keys into one row, or deliver the smallest.")
            .default("flush"),
        Flag::new("timezone", Take::Text, "ZONE", "Zone of calendar bins and printed times: local, UTC, or a name of the zone database.")
            .default("local"),
        Flag::new("ledger", Take::Choice(&["text", "json"]), "FORMAT", "How the ledger is written.")
            .default("text"),
        Flag::switch("quiet", "No progress, and no ledger unless something was lost.").short('q'),
    ],
    examples: &[
        ("weir read trace.pcap", "who talked to whom"),
        (
            "weir read --by proto,dst_port --top 10 trace.pcapng.gz",
            "the ten busiest services",
        ),
        (
            "weir read --decode netflow --format csv --output flows.csv exports.pcap",
            "the flow records in a capture of NetFlow or IPFIX, as CSV",
        ),
    ],
    run,
};

fn run(args: Args) -> Exit {
    match job(&args) {
        Ok(job) => job.run(),
        Err(exit) => exit,
    }
}

/// Rows that a table prints unless `--top` says otherwise.
const TABLE_ROWS: u64 = 20;

/// How often the progress is shown anew.
const PROGRESS: Duration = Duration::from_millis(200);

/// One run of the command, with its arguments understood.
struct Job {
    config: Config,
    wanted: Wanted,
    output: Option<PathBuf>,
    /// The files that are read, by their true paths.
    inputs: Vec<PathBuf>,
    json_ledger: bool,
    quiet: bool,
    memory: usize,
    /// What `--memory` says, in bytes.
    total: u64,
}

/// The files that are read, by their true paths.
fn files(args: &Args) -> Vec<PathBuf> {
    let files = args.operands.iter();
    files
        .filter_map(|file| std::fs::canonicalize(file).ok())
        .collect()
}

fn job(args: &Args) -> Result<Job, Exit> {
    let wrong = |message: String| args.wrong(&message);
    let mut problems = Vec::new();
    let items: Vec<_> = args
        .list("by")
        .into_iter()
        .map(|name| (name, Place::default()))
        .collect();
    let by = primitive::list(&items, false, &mut problems);
    if let Some(problem) = problems.first() {
        return Err(wrong(format!("--by: {}", problem.message)));
    }
    let every = args.text("bin").map(every::parse).transpose();
    let every = every.map_err(|why| wrong(format!("--bin: {why}")))?;
    let zone = args.text("timezone").unwrap_or("local");
    let zone = Zone::named(zone).map_err(|why| wrong(format!("--timezone: {why}")))?;
    let format = format(args);
    let sort = args.text("sort").map(column).transpose().map_err(wrong)?;
    let table = format == Format::Table;
    let top = args.number("top").or(table.then_some(TABLE_ROWS));
    let top = top.filter(|n| *n > 0);
    let total = memory(args);
    let sorts = table || sort.is_some() || top.is_some();
    let memory = if sorts { total as usize / 3 } else { 0 };
    let mut config = Config {
        memory: total.saturating_sub(memory as u64),
        timezone: args.text("timezone").unwrap_or("local").into(),
        limits: limits(total / args.operands.len().max(1) as u64),
        ..Config::default()
    };
    config.inputs = inputs(args);
    config.aggregates.push(aggregate(args, &by, every));
    // The command makes this output itself and lends it to the pipeline.
    config.outputs.push(Output {
        name: ROWS.into(),
        kind: String::new(),
        queue: QUEUE as u64,
        spool: None,
        options: Options::default(),
        place: Place::default(),
    });
    let style = Style {
        zone,
        ..Style::default()
    };
    let colour = args.path("output").is_none() && out::colour();
    let wanted = Wanted {
        format,
        sort: sort.or((table || top.is_some()).then_some(What::Bytes)),
        top: top.map(|n| n as usize),
        colour,
        both_ends: by.both_ends,
        style,
    };
    Ok(Job {
        config,
        wanted,
        output: args.path("output").map(PathBuf::from),
        inputs: files(args),
        json_ledger: args.text("ledger") == Some("json"),
        quiet: args.flag("quiet"),
        memory,
        total,
    })
}

fn format(args: &Args) -> Format {
    match args.text("format") {
        Some("csv") => Format::Csv,
        Some("json") => Format::Json,
        Some("formatted") => Format::Formatted,
        _ => Format::Table,
    }
}

/// Limits of the decoders' stores. A savefile may have all that a network exports, and nobody
/// can make it send a template again: where there is room, more of it is kept than by a daemon.
fn limits(each: u64) -> Limits {
    if each < LIMITS_FROM {
        return Limits::default();
    }
    Limits {
        templates: 2048,
        exporters: 2048,
        options: 16_384,
        fragments: 4096,
        symbols: 2 << 20,
    }
}

/// Memory for each file from which there is room for more than the usual.
const LIMITS_FROM: u64 = 32 << 20;

/// An input for each file.
fn inputs(args: &Args) -> Vec<Input> {
    let decode = args.text("decode").and_then(Decode::named);
    let decode = decode.unwrap_or(Decode::Packet);
    let input = |(n, path): (usize, &OsString)| {
        let name = path.to_string_lossy().into_owned();
        let mut options = Options::new(&format!("input.{n}"), Place::default());
        options.set("file", Raw::Text(name.clone()));
        Input {
            name,
            kind: "file".into(),
            decode,
            workers: 1,
            filter: String::new(),
            rules: Default::default(),
            reading: Default::default(),
            options,
            place: Place::default(),
        }
    };
    args.operands.iter().enumerate().map(input).collect()
}

/// The one aggregation.
fn aggregate(args: &Args, by: &primitive::List, every: Option<Every>) -> Aggregate {
    Aggregate {
        name: "rows".into(),
        from: Vec::new(),
        by: by.by.clone(),
        flows: by.flows,
        both_ends: by.both_ends,
        absent: false,
        every,
        align: None,
        offset: 0,
        flush_delay: 0,
        flush: None,
        time: Default::default(),
        prorate: false,
        stitch: false,
        kinds: false,
        filter: args.text("filter").map(String::from).into_iter().collect(),
        filter_at: Place::default(),
        rules: Default::default(),
        memory: None,
        full: match args.text("full") {
            Some("fold") => Full::Fold,
            Some("evict") => Full::Evict,
            _ => Full::Flush,
        },
        renormalise: false,
        preprocess: None,
        rejects: Vec::new(),
        to: vec![ROWS.into()],
        place: Place::default(),
    }
}

/// Name of the one output.
const ROWS: &str = "rows";

/// Bytes of rows that may wait for the output.
const QUEUE: usize = 512 << 10;

fn column(name: &str) -> Result<What, String> {
    match name {
        "packets" => return Ok(What::Packets),
        "bytes" => return Ok(What::Bytes),
        "flows" => return Ok(What::Flows),
        _ => {}
    }
    let field = Field::by_name(name).or_else(|| Field::by_json(name));
    field.map(What::Field).ok_or_else(|| {
        let known = FIELDS
            .iter()
            .map(|i| i.name)
            .chain(["packets", "bytes", "flows"]);
        let near = nearest(name, known).map(|n| format!("did you mean `{n}`?"));
        let all = || "there are packets, bytes, flows, and what --by holds".into();
        format!("--sort: no column `{name}`; {}", near.unwrap_or_else(all))
    })
}

/// How a pipeline of savefiles is run: everything waits.
fn mode() -> Mode {
    Mode {
        patient: true,
        run: crate::base::time::wall().0,
    }
}

impl Job {
    fn run(self) -> Exit {
        if let Err(e) = ctl::log::init(Target::Stderr, log::LevelFilter::Warn) {
            return out::fail(&format!("log: {e}"));
        }
        let mut signals = match Signals::listen() {
            Ok(signals) => signals,
            Err(e) => return out::fail(&format!("signals: {e}")),
        };
        let (plan, to) = match self.plan().and_then(|plan| Ok((plan, self.target()?))) {
            Ok(both) => both,
            Err(exit) => return exit,
        };
        let config = self.config;
        let packets = config.inputs.iter().all(|i| i.decode == Decode::Packet);
        let told = Told::default();
        let report = Report::new(to, self.wanted, self.memory, told.clone());
        let outlet = Outlet::new(ROWS, QUEUE, true);
        let Ok(thread) = outlet.start(Box::new(report)) else {
            return out::fail("no thread left");
        };
        let mode = mode();
        let mut kept = Kept::default();
        let output = &config.outputs[0];
        let mark = output_mark(&config, output, mode.patient);
        kept.add_outlet(output, mark, (outlet, thread));
        let Ok(pipeline) = Pipeline::start(config, plan, mode, &mut kept) else {
            return Exit::Failure;
        };
        let progress = !self.quiet && std::io::stderr().is_terminal();
        let mut interrupted = watch(&pipeline, &mut signals, progress);
        // Whoever takes the rows may not take them.
        let once = || !std::mem::replace(&mut interrupted, true);
        let Some(view) = wait::beside(&mut signals, None, once, || pipeline.stop(None)) else {
            std::process::exit(130);
        };
        if progress {
            out::say("\r\x1b[K");
        }
        let told = std::mem::take(&mut *told.lock().unwrap_or_else(PoisonError::into_inner));
        let trouble = told.trouble.filter(|e| e.kind() != ErrorKind::BrokenPipe);
        let ledger = Ledger::new(&view, packets, trouble.is_some());
        let failed = view.inputs.iter().any(|input| input.failed);
        let exit = match trouble {
            Some(e) => out::fail(&format!("output: {e}")),
            None if failed || interrupted || !ledger.balanced() => Exit::Failure,
            None => Exit::Fine,
        };
        if let Some(hint) = ledger.hint() {
            out::say(&format!("weir read: {hint}\n"));
        }
        if told.beyond > 0 {
            let (rows, given) = (told.beyond, show_size(self.total));
            out::say(&format!(
                "weir read: --memory {given} has no room to sort all rows: {rows} are summed up \
                 as `other`, and the order is an estimate; give it more\n"
            ));
        }
        // The ledger is the last line, whatever else there is to say.
        if !self.quiet || ledger.lost() {
            let line = match self.json_ledger {
                true => ledger.json(),
                false => ledger.text(),
            };
            out::say(&format!("{line}\n"));
        }
        exit
    }

    /// What the arguments mean; what is wrong with them is said.
    fn plan(&self) -> Result<Plan, Exit> {
        let plan = Plan::new(&self.config).map_err(|problems| {
            for problem in &problems {
                let message = own_words(&problem.message, self.total, self.memory > 0);
                out::say(&format!("weir read: {message}\n"));
            }
            Exit::Usage
        })?;
        let schema = &plan.aggregates[0].settings.schema;
        if self
            .wanted
            .sort
            .is_some_and(|what| schema.column(what).is_none())
        {
            let message = "--sort: the column is not among --by";
            return Err(out::usage("weir read", message, "weir read --help"));
        }
        Ok(plan)
    }

    /// Where rows go.
    fn target(&self) -> Result<Box<dyn Write + Send>, Exit> {
        let Some(path) = &self.output else {
            return Ok(Box::new(std::io::stdout()));
        };
        let same = std::fs::canonicalize(path).is_ok_and(|output| self.inputs.contains(&output));
        if same {
            let message = format!("--output: {} is read by this run", path.display());
            return Err(out::usage("weir read", &message, "weir read --help"));
        }
        match std::fs::File::create(path) {
            Ok(file) => Ok(Box::new(file)),
            Err(e) => Err(out::fail(&format!("{}: {e}", path.display()))),
        }
    }
}

/// What `--memory` says, or what suits most machines; a small box has less than that.
fn memory(args: &Args) -> u64 {
    let total = args.size("memory").unwrap_or(64 << 20);
    match crate::sys::memory::total() {
        Some(system) if !args.given("memory") => total.min(system / 2),
        _ => total,
    }
}

/// What is wrong with the plan, in words of the command line: the sections that the plan speaks
/// of are ours, and `--memory` of `total` bytes is what was given.
fn own_words(message: &str, total: u64, sorts: bool) -> String {
    if message.starts_with("memory = ") {
        let given = show_size(total);
        if message.ends_with("can give") {
            return format!("--memory {given} is more than the system can give");
        }
        let need = message
            .split_once("make it ")
            .and_then(|(_, m)| m.split_once(" or more"));
        let need = need.map_or(String::new(), |(need, _)| format!(": they need {need}"));
        let also = if sorts {
            ", and sorting takes half as much again"
        } else {
            ""
        };
        return format!("--memory {given} is too small for buffers, stores and tables{need}{also}");
    }
    let section = format!("aggregate.{ROWS}: ");
    message.strip_prefix(&section).unwrap_or(message).into()
}

/// Waits for the end of the files; true when somebody asked for an earlier one. Then what has been
/// read is delivered, and who can not wait asks twice.
fn watch(pipeline: &Pipeline, signals: &mut Signals, progress: bool) -> bool {
    let mut interrupted = false;
    while !pipeline.wait(Some(signals.fd()), progress.then_some(PROGRESS)) {
        if progress {
            show_progress(pipeline);
        }
        if signals.take().is_none() {
            continue;
        }
        if interrupted {
            std::process::exit(130);
        }
        pipeline.halt();
        interrupted = true;
    }
    interrupted
}

fn show_progress(pipeline: &Pipeline) {
    let view = pipeline.view();
    let frames: u64 = view.inputs.iter().map(|i| i.ledger.frames).sum();
    let done = match view.position {
        Some((at, Some(size))) if size > 0 => format!("{:3} % ", (at * 100 / size).min(100)),
        Some((at, _)) => format!("{} ", show_size(at)),
        None => String::new(),
    };
    out::say(&format!("\r{done}{frames} frames\x1b[K"));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_takes_every_decoder_but_the_one_that_guesses() {
        let flag = COMMAND.flags.iter().find(|flag| flag.name == "decode");
        let mut words = flag.unwrap().words();
        words.sort_by_key(|word| Decode::named(word).map(Decode::name));
        let mut names: Vec<_> = Decode::CHOICES.iter().map(|(_, d)| d.name()).collect();
        names.sort();
        names.dedup();
        names.retain(|name| *name != "auto");
        assert_eq!(words, names);
    }
}
