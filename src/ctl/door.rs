//! [`Doors`]: the ways in that a configuration opens, kept over a reload that does not move them.

use super::{Shared, http, socket};
use crate::base::options::Raw;
use crate::config::Config;
use std::sync::Arc;

/// A control socket: its path, and the output that is meant by who names none.
pub type Way = (String, Option<String>);

/// The control sockets that a configuration wants: its own, and those of its live tables.
pub fn ways(config: &Config) -> Vec<Way> {
    let mut ways: Vec<Way> = config.control.iter().map(|c| (c.clone(), None)).collect();
    for output in config.outputs.iter().filter(|o| o.kind == "memory") {
        let socket = output.options.given().find(|(name, _)| *name == "socket");
        if let Some((_, Raw::Text(path))) = socket {
            ways.push((path.clone(), Some(output.name.clone())));
        }
    }
    ways
}

/// The control sockets and the HTTP endpoint, as far as they are open.
#[derive(Default)]
pub struct Doors {
    /// Each with its path, and the output that is meant where none is named.
    control: Vec<(Way, socket::Handle)>,
    http: Option<(String, http::Handle)>,
}

impl Doors {
    /// Opens what is wanted, closes what is not, and leaves alone what stays where it is.
    ///
    /// # Errors
    /// What could not be opened, in words; the rest is open.
    pub fn set(&mut self, config: &Config, shared: &Arc<Shared>) -> Result<(), String> {
        let mut wrong = Vec::new();
        let wanted = ways(config);
        self.control.retain(|(way, _)| wanted.contains(way));
        for way in wanted {
            if self.control.iter().any(|(open, _)| *open == way) {
                continue;
            }
            match socket::start(&way.0, way.1.clone(), shared.clone()) {
                Ok(handle) => self.control.push((way, handle)),
                Err(e) => wrong.push(format!("control socket {}: {e}", way.0)),
            }
        }
        let http = config.http.as_deref();
        if self.http.as_ref().map(|h| h.0.as_str()) != http {
            self.http = None;
            if let Some(address) = http {
                match http::start(address, shared.clone()) {
                    Ok(handle) => self.http = Some((address.into(), handle)),
                    Err(e) => wrong.push(format!("http {address}: {e}")),
                }
            }
        }
        if wrong.is_empty() {
            Ok(())
        } else {
            Err(wrong.join("; "))
        }
    }
}
