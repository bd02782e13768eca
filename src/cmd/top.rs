//! `weir top`: the busiest rows, live.
//!
//! An interface is measured by a pipeline of our own, a running weir by asking it twice. Not for
//! keeping anything.

mod rate;
mod screen;

use super::arg::{Args, Command, Flag, Operands, Take};
use super::{check, out, socket};
use crate::base::built;
use crate::base::error::Exit;
use crate::base::time::wall;
use crate::ctl::frame::{self, Request};
use crate::ctl::log::Target;
use crate::ctl::status::quote;
use crate::ctl::{self, Shared, query};
use crate::pipeline::reload::Kept;
use crate::pipeline::{Mode, Pipeline};
use crate::sink::live::Sort;
use crate::sys::terminal;
use rate::{Rates, Rows};
use std::path::PathBuf;
use std::time::{Duration, Instant};

/// The table of `weir top`.
pub static COMMAND: Command = Command {
    name: "top",
    doc: "Watch the busiest rows, live",
    about: "Shows the busiest rows of an interface or of a running weir, and keeps them up to \
            date. b, p and f sort by bytes, packets and flows, q ends it.\n\n\
            Capturing on an interface takes the right to do so (root, or CAP_NET_RAW).",
    operands: Operands {
        name: "IFACE",
        least: 0,
        most: 1,
        take: Take::Text,
        doc: "the interface, or any; without it the running weir is asked",
    },
    flags: &[
        socket::SOCKET,
        socket::CONFIG,
        Flag::new(
            "output",
            Take::Text,
            "OUTPUT",
            "Output of kind memory that is asked; not needed where there is one only.",
        )
        .short('o'),
        Flag::new(
            "by",
            Take::Fields,
            "LIST",
            "Sum by these fields; else by those of the live table, or by hosts and service.",
        )
        .short('b'),
        Flag::new(
            "match",
            Take::List,
            "CONDITIONS",
            "Only rows for which all of these hold, as for weir query.",
        )
        .short('m'),
        Flag::new(
            "sort",
            Take::Choice(&Sort::WORDS),
            "COLUMN",
            "What comes first.",
        )
        .default("bytes"),
        Flag::new(
            "interval",
            Take::Duration,
            "TIME",
            "How long to measure before rows are shown anew.",
        )
        .short('i')
        .default("2s"),
        Flag::new("top", Take::Number, "N", "The first N rows only.").short('n'),
        Flag::switch("once", "Measure once, print, and end.").short('1'),
        Flag::switch("json", "With --once: one JSON object for each row."),
    ],
    examples: &[
        ("weir top eth0", "who talks to whom, right now"),
        (
            "weir top --once --json --by proto eth0",
            "the protocols of two seconds, for a script",
        ),
    ],
    run,
};

/// Keys where nobody says which.
const BY: &str = "src_host,dst_host,proto,dst_port";

/// Shortest interval.
const INTERVAL_MIN: Duration = Duration::from_millis(100);

fn run(args: Args) -> Exit {
    let once = args.flag("once");
    if args.flag("json") && !once {
        return args.wrong("--json goes with --once");
    }
    if !once && !terminal::is(&std::io::stdout()) {
        return args.wrong("standard output is no terminal; --once prints");
    }
    let interval = args.duration("interval").unwrap_or_default();
    if interval < INTERVAL_MIN {
        return args.wrong("--interval takes 100ms or more");
    }
    let mut meter = match Meter::new(&args) {
        Ok(meter) => meter,
        Err(exit) => return exit,
    };
    let exit = match once {
        true => measure_once(&args, &mut meter, interval),
        false => {
            let sort = sort(&args);
            match screen::watch(&mut meter, sort, interval) {
                Ok(()) => Exit::Fine,
                Err(why) => out::fail(&why),
            }
        }
    };
    meter.end();
    exit
}

fn sort(args: &Args) -> Sort {
    args.text("sort").and_then(Sort::named).unwrap_or_default()
}

fn measure_once(args: &Args, meter: &mut Meter, interval: Duration) -> Exit {
    let rates = meter.measure().and_then(|_| {
        std::thread::sleep(interval);
        meter.measure()
    });
    let mut rates = match rates {
        Ok(rates) => rates,
        Err(why) => return out::fail(&why),
    };
    rates.sort(sort(args));
    let top = args.number("top").map(|n| n as usize);
    rates.rows.truncate(top.unwrap_or(usize::MAX));
    if args.flag("json") {
        return out::print(&rates.json());
    }
    let width = usize::MAX;
    let mut text = format!("{}\n", rates.summary(&meter.name));
    for line in rates.table(width, usize::MAX) {
        text.push_str(&line);
        text.push('\n');
    }
    out::print(&text)
}

/// Who is asked.
enum Asked {
    /// A pipeline of our own; its table is emptied each time.
    Own(Shared),
    /// A weir that runs already, and what it said last.
    Other(PathBuf, Option<Rows>),
}

/// What is measured, time and again.
struct Meter {
    name: String,
    asked: Asked,
    request: Request,
    last: Instant,
}

impl Meter {
    fn new(args: &Args) -> Result<Self, Exit> {
        let mut request = Request::new("query").with("format", "tabs");
        for condition in args.list("match") {
            request = request.with("match", &condition);
        }
        let by = args.list("by").join(",");
        let (name, asked) = match args.operand() {
            Some(interface) => {
                let by = if by.is_empty() { BY } else { by.as_str() };
                let shared = own(interface, by)?;
                request = request.with("output", "top").with("reset", "");
                (interface.to_string(), Asked::Own(shared))
            }
            None => {
                let path = socket::path(args)?;
                if !by.is_empty() {
                    request = request.with("by", &by);
                }
                if let Some(output) = args.text("output") {
                    request = request.with("output", output);
                }
                (path.display().to_string(), Asked::Other(path, None))
            }
        };
        Ok(Self {
            name,
            asked,
            request,
            last: Instant::now(),
        })
    }

    /// What there was since the last time.
    fn measure(&mut self) -> Result<Rates, String> {
        let mut text = Vec::new();
        match &self.asked {
            Asked::Own(shared) => {
                let reply = query::answer(&self.request, shared)?;
                reply(&mut text).map_err(|e| e.to_string())?;
            }
            Asked::Other(path, _) => frame::ask(path, &self.request, &mut text)?,
        }
        let now = Instant::now();
        let time = now - self.last;
        self.last = now;
        let rows = Rows::parse(&String::from_utf8_lossy(&text));
        Ok(match &mut self.asked {
            Asked::Own(_) => Rates::new(rows, time),
            Asked::Other(_, before) => {
                let since = before.as_ref().map(|before| rows.since(before));
                *before = Some(rows);
                Rates::new(since.unwrap_or_default(), time)
            }
        })
    }

    fn end(self) {
        if let Asked::Own(shared) = self.asked
            && let Some(pipeline) = shared.take()
        {
            pipeline.stop(Some(Duration::from_secs(1)));
        }
    }
}

/// A pipeline that measures an interface.
fn own(interface: &str, by: &str) -> Result<Shared, Exit> {
    let linux = cfg!(target_os = "linux") && built("src-capture");
    let kind = if linux { "capture" } else { "pcap" };
    let by: Vec<_> = by.split(',').map(quote).collect();
    let text = format!(
        "memory = \"24 MiB\"\n\
         [input.top]\nkind = \"{kind}\"\ninterface = {}\nsnap = 192\n\
         [aggregate.top]\nby = [{}]\nfull = \"fold\"\nto = [\"top\"]\n\
         [output.top]\nkind = \"memory\"\nsize = \"3 MiB\"\n",
        quote(interface),
        by.join(", ")
    );
    let (config, plan) = check::understand("weir top", &text, &mut out::say)?;
    let level = log::LevelFilter::Warn;
    ctl::log::init(Target::Stderr, level).map_err(|e| out::fail(&format!("log: {e}")))?;
    let mode = Mode {
        patient: false,
        run: wall().0,
    };
    let started = Pipeline::start(config, plan, mode, &mut Kept::default());
    ctl::log::flush();
    let shared = Shared::new();
    shared.set(started?);
    Ok(shared)
}
