//! The outputs of a pipeline at its start: those that go on after a reload, and those that are new.

use super::Pipeline;
use super::backlog::Backlog;
use super::outlet::{Open, Outlet};
use super::reload::{Kept, output_mark};
use crate::base::error::Exit;
use crate::config::Output;
use crate::sink::{self, Sink};
use std::sync::Arc;
use std::thread::JoinHandle;

/// An output at a start: it goes on, or is to be started.
pub enum Opened {
    /// Its thread goes on.
    Runs(JoinHandle<()>),
    /// It has none yet.
    New {
        /// What takes the rows.
        sink: Box<dyn Sink>,
        /// Outputs whose end it waits for.
        before: Vec<Arc<Outlet>>,
        /// What opens its spool then.
        spool: Option<Open>,
    },
    /// It has one now.
    Begun(JoinHandle<()>),
    /// The system has none for it.
    Failed,
}

impl Opened {
    /// Its thread.
    pub fn thread(self) -> Option<JoinHandle<()>> {
        match self {
            Self::Runs(thread) | Self::Begun(thread) => Some(thread),
            Self::New { .. } | Self::Failed => None,
        }
    }
}

impl Pipeline {
    /// Opens all outputs, or takes over those from before, which are known first: they are not
    /// among those whose end somebody waits for.
    pub(super) fn open_sinks(
        &mut self,
        sinks: &mut Vec<Opened>,
        kept: &mut Kept,
    ) -> Result<(), Exit> {
        let outputs = self.config.outputs.iter();
        let running = outputs.map(|output| kept.outlet(&output.name, &self.mark(output)));
        let running: Vec<_> = running.collect();
        let mut result = Ok(());
        for (at, running) in running.into_iter().enumerate() {
            let output = &self.config.outputs[at];
            match running {
                Some(running) if result.is_err() => {
                    kept.add_outlet(output, self.mark(output), running);
                }
                Some((outlet, thread)) => {
                    outlet.hurry(None);
                    self.outlets.push(outlet);
                    sinks.push(Opened::Runs(thread));
                }
                None if result.is_err() => {}
                None => match self.open_sink(output, kept) {
                    Ok((outlet, opened)) => {
                        self.outlets.push(outlet);
                        sinks.push(opened);
                    }
                    Err(exit) => result = Err(exit),
                },
            }
        }
        result
    }

    /// What must be equal after a reload for an output to go on.
    pub(super) fn mark(&self, output: &Output) -> String {
        output_mark(&self.config, output, self.mode.patient)
    }

    fn open_sink(&self, output: &Output, kept: &Kept) -> Result<(Arc<Outlet>, Opened), Exit> {
        let mut options = output.options.clone();
        let context = sink::Context {
            zone: self.plan.zone.clone(),
            name: output.name.clone(),
            seed: self.mode.seed(),
            again: output.spool.as_ref().is_some_and(|spool| spool.always),
        };
        let opener = sink::parse(&output.kind, &mut options).ok_or(Exit::Failure)?;
        let sink = opener.open(&context).map_err(|why| {
            log::error!("output {}: {why}", output.name);
            Exit::Failure
        })?;
        let (before, shared) = kept.before(output);
        let run = kept.run;
        let its = output.clone();
        let open = move || {
            let backlog = Backlog::of(&its)?;
            Ok(backlog.map(|backlog| match run {
                Some(run) => backlog.over_a_reload(run),
                None => backlog,
            }))
        };
        let (backlog, later) = match shared {
            true => (None, Some(Box::new(open) as Open)),
            false => match open() {
                Ok(backlog) => (backlog, None),
                Err(why) => {
                    log::error!("output {}: spool: {why}", output.name);
                    return Err(Exit::Failure);
                }
            },
        };
        let (queue, patient) = (output.queue as usize, self.mode.patient);
        let outlet = Outlet::with(&output.name, queue, patient, backlog);
        let spool = later;
        Ok((
            outlet,
            Opened::New {
                sink,
                before,
                spool,
            },
        ))
    }

    /// Starts the threads of outputs that are new. One that writes to the place of another waits
    /// until that has come to its end.
    pub(super) fn start_sinks(&self, sinks: &mut Vec<Opened>) -> Result<(), Exit> {
        let mut result = Ok(());
        let all = self.outlets.iter().zip(std::mem::take(sinks));
        sinks.extend(all.map(|(outlet, opened)| match opened {
            Opened::New {
                sink,
                before,
                spool,
            } if result.is_ok() => match outlet.start_after(before, spool, sink) {
                Ok(thread) => Opened::Begun(thread),
                Err(e) => {
                    log::error!("output {}: {e}", outlet.name);
                    result = Err(Exit::Failure);
                    Opened::Failed
                }
            },
            opened => opened,
        }));
        result
    }
}
