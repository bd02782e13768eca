//! No HTTP endpoint in this build.

use super::Shared;
use crate::base::without;
use std::io;
use std::sync::Arc;

/// The HTTP endpoint while it runs: never, here.
pub struct Handle(std::convert::Infallible);

/// Starts nothing.
///
/// # Errors
/// Always: this build has no `ctl-http`.
pub fn start(_address: &str, _shared: Arc<Shared>) -> io::Result<Handle> {
    let why = format!("the HTTP endpoint exists, but {}", without("ctl-http"));
    Err(io::Error::new(io::ErrorKind::Unsupported, why))
}
