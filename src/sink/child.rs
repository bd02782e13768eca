//! Commands that run after something was written: started, never waited for, always reaped.
//!
//! Not for programs whose output or result matters.

use crate::base::Triggers;
use crate::base::part::Witness;
use std::collections::VecDeque;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

/// Runs one command, by the shell, for one file after the other.
#[derive(Debug)]
pub struct Trigger {
    here: Triggers,
    command: String,
    most: usize,
    running: Vec<Child>,
    waiting: VecDeque<PathBuf>,
}

/// Most files whose command waits for its turn; beyond, the oldest is left out, with a warning.
const WAITING_MAX: usize = 1024;

impl Trigger {
    /// `command` is given to `sh -c`; at the most `most` run at a time.
    pub fn new(here: Triggers, command: String, most: usize) -> Self {
        Self {
            here,
            command,
            most: most.max(1),
            running: Vec::new(),
            waiting: VecDeque::new(),
        }
    }

    /// Runs the command for a file, at once or when another one has ended.
    pub fn fire(&mut self, file: &Path) {
        self.here.there();
        self.waiting.push_back(file.into());
        if self.waiting.len() > WAITING_MAX
            && let Some(left) = self.waiting.pop_front()
        {
            log::warn!("no trigger for {}: too many wait", left.display());
        }
        self.turn();
    }

    /// Reaps what has ended and starts what waits; whether anything still runs.
    pub fn turn(&mut self) -> bool {
        self.here.there();
        self.running.retain_mut(|child| match child.try_wait() {
            Ok(None) => true,
            Ok(Some(status)) => {
                if !status.success() {
                    log::warn!("trigger `{}`: {status}", self.command);
                }
                false
            }
            Err(_) => false,
        });
        while self.running.len() < self.most {
            let Some(file) = self.waiting.pop_front() else {
                break;
            };
            let started = Command::new("sh")
                .arg("-c")
                .arg(&self.command)
                .env("WEIR_FILE", &file)
                .stdin(Stdio::null())
                .spawn();
            match started {
                Ok(child) => self.running.push(child),
                Err(e) => log::warn!("trigger `{}`: {e}", self.command),
            }
        }
        !self.running.is_empty()
    }
}

impl Drop for Trigger {
    /// What waits is started, whatever runs: the last file of a run gets its command too.
    fn drop(&mut self) {
        self.most = usize::MAX;
        self.turn();
    }
}
