//! cmd.
use crate::base::error::Exit;
/// Runs the command line.
pub fn main(_args: Vec<std::ffi::OsString>) -> Exit {
    Exit::Fine
}
