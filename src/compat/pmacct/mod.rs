//! pmacct's configuration files and command lines, as they are.

pub mod args;
pub mod bins;
mod broker;
pub mod compile;
pub mod daemon;
mod database;
pub mod doc;
mod input;
pub mod key;
mod name;
mod output;
pub mod parse;
mod primitives;
pub mod rows;
pub mod settings;
pub mod table;

pub use daemon::Daemon;

#[cfg(test)]
mod test;
