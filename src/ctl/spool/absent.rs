//! In place of what tells of spools, where no output can have one.

use super::metric::Page;
use super::status::Report;
use crate::pipeline::backlog::Health;

/// No lines.
pub fn text(_: &Health, _: &mut String) -> std::fmt::Result {
    Ok(())
}

/// No member.
pub fn json(_: &Health) -> String {
    String::new()
}

/// No metrics.
pub fn metrics(_: &Report, _: &mut Page) {}
