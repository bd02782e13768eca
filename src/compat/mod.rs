//! Other programs' configurations, compiled into the sections of weir's own.
//!
//! A face knows names, rules and quirks of the program it stands for, and nothing of how the engine
//! does its work: it makes a [`File`](crate::config::tree::File), and whatever it wants has a
//! name there. Not for running anything.

#[cfg(feature = "compat-pmacct")]
pub mod pmacct;
#[cfg(feature = "compat-uci")]
pub mod uci;
