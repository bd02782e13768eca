//! The `pmacct` client: asks a table in memory over the socket of its plugin.

use super::out;
use crate::base::error::Exit;
use std::ffi::OsString;

/// Runs the client.
pub fn main(_args: Vec<OsString>) -> Exit {
    out::fail("not yet")
}
