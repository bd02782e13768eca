//! `weir run`: the daemon.

use super::arg::{Args, Command, Flag, Operands, Take};
use super::{check, out};
use crate::base::error::Exit;
use crate::base::time::wall;
use crate::config::Config;
use crate::ctl::log::Target;
use crate::ctl::status::Report;
use crate::ctl::{self, Doors, Shared};
use crate::pipeline::reload::Kept;
use crate::pipeline::{Mode, Pipeline, Plan, View};
use crate::sys::notify::{Notify, State, watchdog};
use crate::sys::signal::{Signal, Signals};
use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;

/// The table of `weir run`.
pub static COMMAND: Command = Command {
    name: "run",
    doc: "Run the inputs, aggregations and outputs of a configuration",
    about: "Runs in the foreground until SIGTERM or SIGINT, then delivers what is open and stops. \
            SIGHUP reads the configuration anew without losing a record.",
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
    ],
    examples: &[(
        "weir run -c weir.toml",
        "runs what `weir check weir.toml` explains",
    )],
    run,
};

fn run(args: Args) -> Exit {
    let (name, text) = match check::text(&args) {
        Ok(read) => read,
        Err(exit) => return exit,
    };
    let (config, plan) = match check::understand(&name, &text, &mut out::say) {
        Ok(understood) => understood,
        Err(exit) => return exit,
    };
    if let Err(exit) = open_log(&config) {
        return exit;
    }
    // Before the first thread, so that every thread has signals where they belong.
    let signals = match Signals::listen() {
        Ok(signals) => signals,
        Err(e) => return out::fail(&format!("signals: {e}")),
    };
    let shared = Arc::new(Shared::new());
    let mut doors = Doors::default();
    if let Err(why) = doors.set(config.control.as_deref(), config.http.as_deref(), &shared) {
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
    log::info!("runs {name}: {}", summary(&config));
    Daemon {
        name,
        config,
        shared,
        doors,
        notify,
        signals,
    }
    .run()
}

fn summary(config: &Config) -> String {
    let count = |n: usize, what: &str| match n {
        1 => format!("1 {what}"),
        n => format!("{n} {what}s"),
    };
    let parts = [
        count(config.inputs.len(), "input"),
        count(config.aggregates.len(), "aggregation"),
        count(config.outputs.len(), "output"),
    ];
    parts.join(", ")
}

fn open_log(config: &Config) -> Result<(), Exit> {
    let target = if config.log.syslog {
        Target::Syslog {
            path: None,
            facility: DAEMON,
        }
    } else {
        Target::Stderr
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

/// The running daemon: waits for signals and for the end of its inputs.
struct Daemon {
    name: String,
    config: Config,
    shared: Arc<Shared>,
    doors: Doors,
    notify: Notify,
    signals: Signals,
}

impl Daemon {
    fn run(mut self) -> Exit {
        // Twice within the time after which the service manager would think us dead.
        let pause = watchdog().map(|time| time / 2);
        loop {
            let fd = self.signals.fd();
            let ended = self.shared.with(|pipeline| pipeline.wait(Some(fd), pause));
            self.notify.send(State::Watchdog);
            ctl::log::flush();
            match self.signals.take() {
                Some(Signal::Hangup) if self.reload() => {}
                Some(Signal::Hangup) => return Exit::Failure,
                Some(Signal::Terminate | Signal::Interrupt) => return self.stop(true),
                Some(Signal::User1) => {
                    if let Some(report) = Report::fresh(&self.shared) {
                        report.text().lines().for_each(|line| log::info!("{line}"));
                    }
                }
                None if self.shared.with(Pipeline::crashed) == Some(true) => {
                    log::error!("a worker died of a defect; what the others hold is delivered");
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
        let dropped = |view: &View| {
            let rows = view.outputs.iter().map(|o| o.delivery.dropped.records);
            rows.sum::<u64>()
        };
        let (before, patient) = (dropped(&pipeline.view()), pipeline.mode.patient);
        let within = (hurry || !patient).then_some(self.config.stop_within);
        let view = pipeline.stop(within);
        // What was given up long ago has been said then.
        let lost = dropped(&view) > before || (patient && before > 0);
        for (output, health) in self.config.outputs.iter().zip(&view.outputs) {
            let delivery = &health.delivery;
            let spooled = match delivery.spooled.records {
                0 => String::new(),
                rows => format!(", {rows} wait in the spool"),
            };
            log::info!(
                "output {}: {} rows stored, {} dropped{spooled}",
                output.name,
                delivery.written.records,
                delivery.dropped.records
            );
        }
        if lost { Exit::Failure } else { Exit::Fine }
    }

    /// Reads the configuration anew; a wrong one changes nothing. False when nothing runs any more.
    fn reload(&mut self) -> bool {
        self.notify.send(State::Reloading);
        log::info!("reads {} again", self.name);
        let read = std::fs::read_to_string(&self.name);
        let understood = match read {
            Ok(text) => check::understand(&self.name, &text, &mut |line| {
                log::error!("{}", line.trim_end());
            }),
            Err(e) => {
                log::error!("{}: {e}", self.name);
                Err(Exit::Config)
            }
        };
        let running = match understood {
            Ok((config, plan)) => self.replace(config, plan),
            Err(_) => {
                log::error!("{}: the configuration before stays in force", self.name);
                true
            }
        };
        self.notify.send(State::Ready);
        running
    }

    fn replace(&mut self, config: Config, plan: Plan) -> bool {
        let Some(before) = self.shared.take() else {
            return false;
        };
        let mut kept = before.pause();
        match Pipeline::start(config.clone(), plan, mode(&config), &mut kept) {
            Ok(pipeline) => {
                self.shared.set(pipeline);
                kept.end(config.stop_within);
                if open_log(&config).is_err() {
                    log::error!("the log stays where it was");
                }
                let (control, http) = (config.control.as_deref(), config.http.as_deref());
                if let Err(why) = self.doors.set(control, http, &self.shared) {
                    log::error!("{why}");
                }
                log::info!("{} is in force: {}", self.name, summary(&config));
                self.config = config;
                true
            }
            Err(_) => {
                log::error!(
                    "{}: can not start; the configuration before goes on",
                    self.name
                );
                self.go_back(kept)
            }
        }
    }

    /// Starts the configuration before anew, with whatever parts are left.
    fn go_back(&mut self, mut kept: Kept) -> bool {
        let Ok(plan) = Plan::new(&self.config) else {
            kept.end(self.config.stop_within);
            return false;
        };
        let config = self.config.clone();
        match Pipeline::start(config, plan, mode(&self.config), &mut kept) {
            Ok(pipeline) => {
                self.shared.set(pipeline);
                kept.end(self.config.stop_within);
                true
            }
            Err(_) => {
                kept.end(self.config.stop_within);
                false
            }
        }
    }
}
