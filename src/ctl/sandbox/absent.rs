//! A build that takes nothing from the process.

use crate::config::Config;
use crate::config::sandbox::{Need, Needs};
use std::sync::Arc;

/// What is in force: nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Confined;

impl Confined {
    /// In one line.
    pub fn line(&self) -> String {
        "this build has no `sys-sandbox`".into()
    }

    /// As a part of the status.
    ///
    /// # Errors
    /// Never.
    pub fn text(&self, to: &mut String) -> std::fmt::Result {
        to.push_str("\nthis build has no `sys-sandbox`\n");
        Ok(())
    }

    /// As a JSON object.
    pub fn json(&self) -> String {
        "null".into()
    }
}

/// What was taken from the process: nothing.
#[derive(Clone, Debug)]
pub struct Sandbox {
    /// For whoever asks.
    pub confined: Arc<Confined>,
    /// None.
    pub notes: Vec<String>,
}

impl Sandbox {
    /// Takes nothing.
    ///
    /// # Errors
    /// Never.
    pub fn enter(_: &Config, _: &[Need]) -> Result<Self, String> {
        Ok(Self {
            confined: Arc::new(Confined),
            notes: Vec::new(),
        })
    }

    /// What of a configuration's needs is not let through: nothing.
    pub fn refuses(&self, _: &Needs) -> Vec<String> {
        Vec::new()
    }
}
