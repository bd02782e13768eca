//! `weir run`: the daemon.

use super::arg::{Args, Command, Flag, Operands, Take};
use super::wait;
use super::{check, out};
use crate::base::error::Exit;
use crate::base::text::counted;
use crate::base::time::wall;
use crate::config::sandbox::{Need, Needs};
use crate::config::{Config, LogTo, native};
use crate::ctl::log::{LIST, NOTICE, Names, Shape, Target};
use crate::ctl::sandbox::Sandbox;
use crate::ctl::status::Report;
use crate::ctl::{self, Doors, Shared};
use crate::pipeline::outlet::Health;
use crate::pipeline::plan::Held;
use crate::pipeline::reload::{Ending, Kept};
use crate::pipeline::rules::Rules;
use crate::pipeline::{Mode, Pipeline, Plan};
use crate::sys::notify::{Notify, State, watchdog};
use crate::sys::process;
use crate::sys::signal::{self, Signal, Signals};
use crate::sys::syslog;
use std::cell::Cell;
use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;
use std::time::Instant;

/// The table of `weir run`.
pub static COMMAND: Command = Command {
    name: "run",
    doc: "Run the inputs, aggregations and outputs of a configuration",
    about: "Runs in the foreground until SIGTERM or SIGINT, then delivers what is open and stops. \
            SIGHUP reads the configuration anew, SIGUSR2 the maps alone, without losing a record. \
            SIGUSR1 writes the status to the log.",
    operands: Operands {
        name: "FILE",
        least: 0,
        most: 1,
        take: Take::Path,
        doc: "the configuration, as with --config",
    },
    flags: &[
        Flag::new("config", Take::Path, "FILE", "The configuration.")
            .short('c')
            .default("/etc/weir/weir.toml"),
        Flag::switch(
            "restart",
            "When a new configuration needs what the sandbox took at the start: deliver and end, \
             with status 4, for a service manager that starts weir anew.",
        ),
    ],
    examples: &[(
        "weir run -c weir.toml",
        "runs what `weir check weir.toml` explains",
    )],
    run,
};

fn run(args: Args) -> Exit {
    signal::hold();
    let (name, text) = match check::text(&args) {
        Ok(read) => read,
        Err(exit) => return exit,
    };
    match check::understand(&name, &text, &mut out::say) {
        Ok((config, plan)) => {
            let manner = Manner {
                restart: args.flag("restart"),
                ..Manner::default()
            };
            start(name, config, plan, manner)
        }
        Err(exit) => exit,
    }
}

/// What is different when another program's face is put on.
#[derive(Debug, Default)]
pub struct Manner {
    /// How that program's log lines call things.
    pub names: Option<Names>,
    /// SIGHUP opens the log anew, and the configuration stays.
    pub reopen: bool,
    /// SIGUSR2 leaves the maps as they are.
    pub fixed_maps: bool,
    /// Ends as soon as everything is open.
    pub setup: bool,
    /// Ends when a configuration needs what was taken at the start.
    pub restart: bool,
    /// Paths beside those of the configuration.
    pub paths: Vec<Need>,
    /// What is said first, each with whether something is missing because of it.
    pub remarks: Vec<(bool, String)>,
}

/// Runs a configuration until it ends.
pub fn start(name: String, config: Config, plan: Plan, manner: Manner) -> Exit {
    crate::ctl::log::shape(Shape {
        stamp: config.log.stamp,
        names: manner.names.clone(),
    });
    process::open_more();
    let sandbox = match confine(&name, &config, &manner) {
        Ok(sandbox) => sandbox,
        Err(exit) => return exit,
    };
    if let Err(exit) = open_log(&config) {
        return exit;
    }
    ctl::log::guard();
    for note in &sandbox.notes {
        log::warn!(target: LIST, "{note}");
    }
    for (missing, text) in &manner.remarks {
        let level = if *missing {
            log::Level::Warn
        } else {
            log::Level::Info
        };
        log::log!(target: LIST, level, "{text}");
    }
    // Before the first thread, so that every thread has signals where they belong.
    let signals = match Signals::listen() {
        Ok(signals) => signals,
        Err(e) => return out::fail(&format!("signals: {e}")),
    };
    let shared = Arc::new(Shared::new());
    shared.confine(sandbox.confined.clone());
    let mut doors = Doors::default();
    if let Err(why) = doors.set(&config, &shared) {
        log::error!("{why}");
        ctl::log::flush();
        return Exit::Failure;
    }
    let mut kept = Kept::from_file(&config);
    let pipeline = match Pipeline::start(config.clone(), plan, mode(&config), &mut kept) {
        Ok(pipeline) => pipeline,
        Err(exit) => return exit,
    };
    shared.set(pipeline);
    let notify = Notify::from_env();
    notify.send(State::Ready);
    log::info!("{}", sandbox.confined.line());
    log::info!("runs {name}: {}", summary(&config));
    let mut daemon = Daemon {
        name,
        config,
        shared,
        doors,
        notify,
        signals,
        manner,
        ending: Ending::default(),
        asked: false,
        until: None,
        sandbox,
    };
    if daemon.manner.setup {
        return daemon.stop(true);
    }
    daemon.run()
}

/// Takes from the process what it has no use for, before there is a second thread.
fn confine(name: &str, config: &Config, manner: &Manner) -> Result<Sandbox, Exit> {
    let mut also = Needs::default();
    also.paths.extend(manner.paths.iter().cloned());
    also.path("the configuration".into(), name, false);
    Sandbox::enter(config, &also.paths).map_err(|why| {
        out::say(&format!("{why}\n"));
        Exit::Permission
    })
}

fn summary(config: &Config) -> String {
    let parts = [
        counted(config.inputs.len(), "input"),
        counted(config.aggregates.len(), "aggregation"),
        counted(config.outputs.len(), "output"),
    ];
    parts.join(", ")
}

fn open_log(config: &Config) -> Result<(), Exit> {
    let target = match &config.log.to {
        LogTo::Stderr => Target::Stderr,
        LogTo::File(path) => Target::File(path.as_ref()),
        LogTo::Syslog { facility, ident } => Target::Syslog {
            path: None,
            facility: syslog::facility(facility).unwrap_or(DAEMON),
            ident,
        },
    };
    ctl::log::init(target, config.log.level).map_err(|e| out::fail(&format!("log: {e}")))
}

/// The facility *daemon* of RFC 3164.
const DAEMON: u8 = 3;

/// Live input is not held up by a slow output; a configuration of files alone waits.
fn mode(config: &Config) -> Mode {
    let files = config.inputs.iter().all(|input| input.kind == "file");
    Mode {
        patient: files,
        run: RandomState::new().hash_one(wall().0),
    }
}

/// Logs what is wrong with a configuration or a map.
fn complain(line: &str) {
    match line.trim_end() {
        // Somebody asked for all of it: nothing is held back.
        line if line.contains(": warning: ") => {
            log::warn!(target: LIST, "{}", line.replacen("warning: ", "", 1));
        }
        line => log::error!(target: LIST, "{line}"),
    }
}

/// What is to be said of maps that could not be read again.
fn stale(plan: &Plan) -> Option<String> {
    let maps = &plan.rules.maps;
    let stale = maps.iter().filter(|map| !map.fresh).count();
    (stale > 0).then(|| {
        format!(
            "{stale} of {} could not be read again: what was read before stays in force",
            counted(maps.len(), "map")
        )
    })
}

/// What becomes of the daemon after it has read its configuration again.
enum Next {
    /// It goes on, with the new one or the one before.
    Runs,
    /// Nothing runs any more.
    Nothing,
    /// Another process is to begin with the new one.
    Restart,
}

/// The running daemon: waits for signals and for the end of its inputs.
struct Daemon {
    name: String,
    config: Config,
    shared: Arc<Shared>,
    doors: Doors,
    notify: Notify,
    signals: Signals,
    manner: Manner,
    /// What is left of the pipeline before the last reload.
    ending: Ending,
    /// Whether the end has been asked for.
    asked: bool,
    /// When all must be done, where that was in the middle of a reload.
    until: Option<Instant>,
    sandbox: Sandbox,
}

impl Daemon {
    fn run(mut self) -> Exit {
        // Twice within the time after which the service manager would think us dead.
        let pause = watchdog().map(|time| time / 2);
        loop {
            let fd = self.signals.fd();
            if self.asked {
                return self.stop(true);
            }
            let ended = self.shared.with(|pipeline| pipeline.wait(Some(fd), pause));
            self.notify.send(State::Watchdog);
            ctl::log::flush();
            match self.signals.take() {
                Some(Signal::Hangup) if self.manner.reopen => match ctl::log::reopen() {
                    Ok(()) => log::info!("the log has been opened anew"),
                    Err(e) => log::error!("log: {e}"),
                },
                Some(Signal::Hangup) => match self.reload() {
                    Next::Runs => {}
                    Next::Nothing => return Exit::Failure,
                    Next::Restart => {
                        self.stop(true);
                        return Exit::Permission;
                    }
                },
                Some(Signal::User2) if self.manner.fixed_maps || self.read_maps() => {}
                Some(Signal::User2) => return Exit::Failure,
                Some(Signal::Terminate | Signal::Interrupt) => return self.stop(true),
                Some(Signal::User1) => {
                    if let Some(report) = Report::fresh(&self.shared) {
                        let text = report.text();
                        let lines = text.lines().filter(|line| !line.is_empty());
                        lines.for_each(|line| log::info!(target: NOTICE, "{line}"));
                    }
                }
                None if self.shared.with(Pipeline::crashed) == Some(true) => {
                    log::error!(
                        "a thread of the data path died of a defect; what the others hold is \
                         delivered"
                    );
                    self.stop(true);
                    return Exit::Failure;
                }
                None if ended != Some(false) => return self.stop(false),
                None => {}
            }
        }
    }

    /// Delivers what is open: within the configured time when somebody asked us to `hurry`, for as
    /// long as it takes when files have come to their end.
    fn stop(&mut self, hurry: bool) -> Exit {
        self.notify.send(State::Stopping);
        let Some(pipeline) = self.shared.take() else {
            return Exit::Failure;
        };
        let dropped = |outputs: &[Health]| {
            let rows = outputs.iter().map(|o| o.delivery.dropped.records);
            rows.sum::<u64>()
        };
        let (brake, patient) = (pipeline.brake(), pipeline.mode.patient);
        let before = dropped(&brake.outputs());
        // A reload that heard the signal has used up a part of it.
        let left = |until: Instant| until.saturating_duration_since(Instant::now());
        let within = self.until.map_or(self.config.stop_within, left);
        self.asked |= hurry;
        if hurry || !patient {
            brake.pull(Some(within));
        }
        let mut ending = std::mem::take(&mut self.ending);
        let stop = move || {
            ending.wait();
            let view = pipeline.stop(None);
            let failed = view.inputs.iter().any(|input| input.failed);
            (view.outputs, failed)
        };
        let ended = self.beside(|| brake.pull(Some(within)), stop);
        let (outputs, failed) = ended.unwrap_or_else(|| {
            log::warn!("ends at once; rows that wait are lost");
            (brake.outputs(), false)
        });
        // What was given up long ago has been said then.
        let now = dropped(&outputs);
        let queued: u64 = outputs.iter().map(|o| o.delivery.queued.records).sum();
        let lost = now > before || (patient && before > 0) || queued > 0;
        self.tell(&outputs);
        if lost || failed {
            Exit::Failure
        } else {
            Exit::Fine
        }
    }

    /// Tells what has become of the rows of each output.
    fn tell(&self, outputs: &[Health]) {
        for (output, health) in self.config.outputs.iter().zip(outputs) {
            let delivery = &health.delivery;
            let spooled = match delivery.spooled.records {
                0 => String::new(),
                rows => format!(", {rows} wait in the spool"),
            };
            log::info!(
                "output {}: {} rows stored, {} dropped{spooled}",
                output.name,
                delivery.written.records,
                (delivery.dropped + delivery.queued).records
            );
        }
    }

    /// Reads the configuration anew; a wrong one changes nothing.
    fn reload(&mut self) -> Next {
        self.notify.send(State::Reloading);
        log::info!("reads {} again", self.name);
        let read = std::fs::read_to_string(&self.name);
        let held = self.shared.with(Pipeline::rules);
        let understood = match read {
            Ok(text) => self.understand(&text, held.as_deref()),
            Err(e) => {
                log::error!("{}: {e}", self.name);
                Err(Exit::Config)
            }
        };
        let next = match understood {
            Ok((config, plan)) => match self.replace(config, plan) {
                true => Next::Runs,
                false => Next::Nothing,
            },
            Err(Exit::Permission) if self.manner.restart => {
                log::warn!("ends, to be started anew with what {} needs", self.name);
                return Next::Restart;
            }
            Err(_) => {
                log::error!("{}: the configuration before stays in force", self.name);
                Next::Runs
            }
        };
        self.notify.send(State::Ready);
        next
    }

    /// A configuration while this one runs. What was taken from the process at its start stays
    /// away: a configuration that needs it is not tried.
    fn understand(&self, text: &str, held: Option<&Rules>) -> Result<(Config, Plan), Exit> {
        let outcome = check::sections(text);
        let refused = self.sandbox.refuses(&Needs::of(&outcome.config));
        for what in &refused {
            log::error!(
                target: LIST,
                "{}: {what}, which the sandbox has not let through since the start: restart weir",
                self.name
            );
        }
        if !refused.is_empty() {
            // No start is tried with a configuration that is wrong beside.
            if self.manner.restart {
                check::plan(&self.name, outcome, None, &mut complain)?;
            }
            return Err(Exit::Permission);
        }
        let of = |c: &Config| (c.user.clone(), c.group.clone(), c.sandbox);
        if of(&outcome.config) != of(&self.config) {
            log::warn!("`user`, `group` and `sandbox` hold from the next start on");
        }
        check::plan(&self.name, outcome, held, &mut complain)
    }

    /// Reads maps again. The workers take them up as they go where that is possible; where it is
    /// not, because a map asks for other fields or for more memory than was planned, the pipeline
    /// is rebuilt around what the kernel holds. False when nothing runs any more.
    fn read_maps(&mut self) -> bool {
        self.shared.with(Pipeline::refresh_sources);
        let running = |p: &Pipeline| (p.rules(), p.plan.symbols.clone());
        let Some((rules, symbols)) = self.shared.with(running) else {
            return true;
        };
        if rules.maps.is_empty() {
            log::info!("there are no maps to be read again");
            return true;
        }
        log::info!("reads {} again", counted(rules.maps.len(), "map"));
        let with = |symbols| {
            let held = Held {
                rules: &rules,
                symbols,
            };
            Plan::again(&self.config, Some(held))
        };
        let plan = match with(Some(&symbols)) {
            Ok(plan) if self.shared.with(|p| p.follow(&plan)) == Some(true) => {
                check::warn(&plan, &mut complain);
                match stale(&plan) {
                    None => log::info!(target: NOTICE, "the maps are in force"),
                    Some(stale) => log::error!(target: LIST, "{stale}"),
                }
                return true;
            }
            // Texts of maps before may take the room that new ones need.
            _ => with(None),
        };
        match plan {
            Ok(plan) => {
                check::warn(&plan, &mut complain);
                self.replace(self.config.clone(), plan)
            }
            Err(problems) => {
                for problem in problems {
                    log::error!("{}", native::show(&self.name, &problem));
                }
                log::error!("the maps before stay in force");
                self.shared.with(Pipeline::stale);
                true
            }
        }
    }

    /// Does what may take long while signals are heard: the first one that asks for the end does
    /// `hurry`, the second one ends the waiting.
    fn beside<T: Send + 'static>(
        &mut self,
        hurry: impl Fn(),
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Option<T> {
        let asked = &mut self.asked;
        let first = || {
            let first = !std::mem::replace(asked, true);
            if first {
                hurry();
            }
            first
        };
        wait::beside(&mut self.signals, Some(&self.notify), first, work)
    }

    fn replace(&mut self, config: Config, plan: Plan) -> bool {
        // Two pipelines that are gone would be too much memory. Meanwhile this one goes on.
        let mut ending = std::mem::take(&mut self.ending);
        if self.beside(|| (), move || ending.wait()).is_none() {
            return false;
        }
        if self.asked {
            return true;
        }
        let Some(before) = self.shared.take() else {
            return false;
        };
        let (rules, brake) = (before.rules(), before.brake());
        let within = self.config.stop_within;
        let pause = move || before.pause();
        let until = Cell::new(None);
        let hurry = || {
            until.set(Some(Instant::now() + within));
            brake.pull(Some(within));
        };
        let Some(mut kept) = self.beside(hurry, pause) else {
            return false;
        };
        self.until = until.get();
        let stale = stale(&plan);
        match Pipeline::start(config.clone(), plan, mode(&config), &mut kept) {
            Ok(pipeline) => {
                self.shared.set(pipeline);
                self.ending = kept.end(config.stop_within);
                if open_log(&config).is_err() {
                    log::error!("the log stays where it was");
                }
                if let Err(why) = self.doors.set(&config, &self.shared) {
                    log::error!("{why}");
                }
                log::info!("{} is in force: {}", self.name, summary(&config));
                if let Some(stale) = stale {
                    log::error!(target: LIST, "{stale}");
                }
                self.config = config;
                true
            }
            Err(_) => {
                log::error!(
                    "{}: can not start; the configuration before goes on",
                    self.name
                );
                self.go_back(kept, rules)
            }
        }
    }

    /// Starts the configuration before anew, with whatever parts are left.
    fn go_back(&mut self, mut kept: Kept, rules: Arc<Rules>) -> bool {
        let held = Held {
            rules: &rules,
            symbols: None,
        };
        let within = self.config.stop_within;
        let Ok(plan) = Plan::again(&self.config, Some(held)) else {
            kept.end(within).wait();
            return false;
        };
        let config = self.config.clone();
        match Pipeline::start(config, plan, mode(&self.config), &mut kept) {
            Ok(pipeline) => {
                self.shared.set(pipeline);
                self.ending = kept.end(within);
                true
            }
            Err(_) => {
                kept.end(within).wait();
                false
            }
        }
    }
}
