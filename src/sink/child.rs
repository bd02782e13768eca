//! Commands that run after something was written: started, never waited for, always reaped.
//!
//! Not for programs whose output or result matters.

use crate::base::Triggers;
use crate::base::part::Witness;
use std::collections::VecDeque;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};

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
                told(&self.command, status);
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
    /// What waits is started, whatever runs: the last file of a run gets its command too. Where
    /// weir goes on without this output, somebody has to reap what runs.
    fn drop(&mut self) {
        self.most = usize::MAX;
        if !self.turn() {
            return;
        }
        let running = std::mem::take(&mut self.running);
        let command = std::mem::take(&mut self.command);
        let builder = std::thread::Builder::new().name("trigger".into());
        let reaper = builder.stack_size(64 << 10).spawn(move || {
            for mut child in running {
                if let Ok(status) = child.wait() {
                    told(&command, status);
                }
            }
        });
        if let Err(e) = reaper {
            log::debug!("nobody waits for triggers: {e}");
        }
    }
}

/// Says that a command failed.
fn told(command: &str, status: ExitStatus) {
    if !status.success() {
        log::warn!("trigger `{command}`: {status}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::{Duration, Instant};

    #[cfg(target_os = "linux")]
    #[test]
    fn what_runs_when_its_output_goes_is_reaped() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("pid");
        let command = "echo $$ > \"$WEIR_FILE~\"; mv \"$WEIR_FILE~\" \"$WEIR_FILE\"";
        let made = Triggers::get().map(|here| Trigger::new(here, command.into(), 1));
        if made.is_none() {
            // A build without commands has nothing to reap.
            return;
        }
        made.into_iter().for_each(|mut trigger| trigger.fire(&file));
        let end = Instant::now() + Duration::from_secs(20);
        let pid = loop {
            let pid = std::fs::read_to_string(&file).ok();
            if let Some(pid) = pid {
                break pid;
            }
            assert!(Instant::now() < end);
            std::thread::sleep(Duration::from_millis(10));
        };
        let process = Path::new("/proc").join(pid.trim());
        while process.exists() {
            assert!(Instant::now() < end, "it is dead and still there");
            std::thread::sleep(Duration::from_millis(10));
        }
    }
}
