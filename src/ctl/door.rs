//! [`Doors`]: the ways in that a configuration opens, kept over a reload that does not move them.

use super::{Shared, http, socket};
use std::sync::Arc;

/// The control socket and the HTTP endpoint, as far as they are open.
#[derive(Default)]
pub struct Doors {
    control: Option<(String, socket::Handle)>,
    http: Option<(String, http::Handle)>,
}

impl Doors {
    /// Opens what is wanted, closes what is not, and leaves alone what stays where it is.
    ///
    /// # Errors
    /// What could not be opened, in words; the rest is open.
    pub fn set(
        &mut self,
        control: Option<&str>,
        http: Option<&str>,
        shared: &Arc<Shared>,
    ) -> Result<(), String> {
        let mut wrong = Vec::new();
        if self.control.as_ref().map(|c| c.0.as_str()) != control {
            self.control = None;
            if let Some(path) = control {
                match socket::start(path, shared.clone()) {
                    Ok(handle) => self.control = Some((path.into(), handle)),
                    Err(e) => wrong.push(format!("control socket {path}: {e}")),
                }
            }
        }
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
