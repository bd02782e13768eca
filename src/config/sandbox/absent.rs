//! `user`, `group`, `sandbox` in a build that can do nothing about them.

use super::Config;
use crate::base::options::{Options, Raw};
use crate::base::without;
use crate::sys::user::Account;

/// How much is taken from the process once it has started: nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Sandbox {
    /// Nothing.
    #[default]
    Off,
}

/// Takes `user`, `group` and `sandbox` from the top of the file.
pub(super) fn parse(top: &mut Options, _: &mut Config) {
    for key in ["user", "group", "sandbox"] {
        let asks = top
            .raw(key)
            .is_some_and(|(value, _)| value != Raw::Bool(false));
        if asks {
            top.wrong(key, format!("`{key}`: {}", without("sys-sandbox")));
        }
    }
}

/// The settings as text: there are none.
pub(super) fn show(_: &Config, _: &mut dyn FnMut(&str, String)) {}

/// A path that a configuration needs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Need {}

/// What a configuration needs of the system: nobody asks.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Needs {
    /// None.
    pub paths: Vec<Need>,
}

impl Needs {
    /// Of a configuration.
    pub fn of(_: &Config) -> Self {
        Self::default()
    }

    /// Adds the folder of a file.
    pub fn path(&mut self, _: String, _: &str, _: bool) {}
}

/// Where `account` lacks the right to do what a path is needed for: there are no accounts.
pub fn barred(_: &Needs, _: &Account) -> Vec<(String, String)> {
    Vec::new()
}
