//! Where a server is and who weir is there: what outputs over the network share, whatever they
//! speak.
//!
//! Settings:
//!
//! - `host`: one or several, each a name, an address, either with `:port`, or the path of a socket
//!   where the kind has sockets; the first that can be used is; default `"localhost"`. `port`: that
//!   of the kind.
//! - `user`; `password`, or `password_file` with it in its first line.
//! - `timeout`: for connections and for what a peer does not acknowledge; default 10 s.

use crate::base::options::{Options, Place};
use std::io::Read;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Most bytes of a password file, or a file with a schema.
const FILE: u64 = 1 << 20;

/// Hosts, and who weir is there.
#[derive(Debug)]
pub struct Peer {
    /// Hosts, or sockets, each with its port.
    pub hosts: Vec<(String, u16)>,
    /// Who weir is there.
    pub user: String,
    password: Option<String>,
    password_file: Option<PathBuf>,
    /// How long a connection or an acknowledgement may take.
    pub timeout: Duration,
}

/// Reads the settings; `guest` is who weir is if nobody says, and with which password, where
/// fresh servers let somebody in.
pub fn parse(options: &mut Options, port: u16, guest: Option<&str>) -> Peer {
    let port = options.number("port", 1, 65_535).unwrap_or(port.into()) as u16;
    let hosts = hosts(options, port);
    let user = options.text("user");
    let password = options.text("password");
    let password_file = options.text("password_file");
    if password.is_some() && password_file.is_some() {
        options.wrong("password", "`password` or `password_file`, not both");
    }
    let timeout = options.duration("timeout");
    let unsaid = user.is_none() && password_file.is_none();
    Peer {
        hosts,
        user: user.unwrap_or(guest.unwrap_or("weir").into()),
        password: password.or_else(|| guest.filter(|_| unsaid).map(String::from)),
        password_file: password_file.map(PathBuf::from),
        timeout: timeout.unwrap_or(Duration::from_secs(10)),
    }
}

/// The hosts, each with its port.
fn hosts(options: &mut Options, port: u16) -> Vec<(String, u16)> {
    let given = options.list("host");
    let given = given.unwrap_or_else(|| vec![("localhost".into(), Place::default())]);
    if given.is_empty() {
        options.wrong("host", "`host` is empty; it takes one host or more");
    }
    let mut hosts = Vec::new();
    for (host, place) in given {
        match host_port(&host, port) {
            Some(pair) => hosts.push(pair),
            None => options.problem(
                place,
                format!(
                    "`host` holds {host:?}; it takes \"db.example\", \"192.0.2.1:{port}\", \
                     \"[2001:db8::1]:{port}\", or the path of a socket"
                ),
            ),
        }
    }
    hosts
}

/// A host with its port.
pub(super) fn host_port(host: &str, port: u16) -> Option<(String, u16)> {
    if host.starts_with('/') {
        return (!host.contains('\0')).then(|| (host.into(), port));
    }
    let (name, port) = match host.strip_prefix('[') {
        Some(rest) => match rest.split_once(']')? {
            (name, "") => (name, port),
            (name, rest) => (name, rest.strip_prefix(':')?.parse().ok()?),
        },
        None => match host.split_once(':') {
            // Several colons are an address of IPv6.
            Some((name, rest)) if !rest.contains(':') => (name, rest.parse().ok()?),
            _ => (host, port),
        },
    };
    let fine = !name.is_empty() && !name.contains(|c: char| c.is_whitespace() || c == '\0');
    (fine && port > 0).then(|| (name.into(), port))
}

/// Whether what goes there can be read on no wire.
pub(super) fn near(host: &str) -> bool {
    let loopback = |host: &str| host.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback());
    host.starts_with('/') || host == "localhost" || loopback(host)
}

/// A file of the administrator's, which must be a short one.
pub(super) fn read(path: &Path) -> Result<String, String> {
    let told = |e: std::io::Error| format!("{}: {e}", path.display());
    let file = std::fs::File::open(path).map_err(told)?;
    let mut text = String::new();
    match file.take(FILE).read_to_string(&mut text).map_err(told)? {
        n if (n as u64) < FILE => Ok(text),
        _ => Err(format!("{}: longer than {FILE} bytes", path.display())),
    }
}

impl Peer {
    /// Says which connections others could read.
    pub fn warn(&self, output: &str) {
        for (host, port) in self.hosts.iter().filter(|(host, _)| !near(host)) {
            log::warn!("output {output}: what goes to {host}:{port} is not encrypted");
        }
    }

    /// Takes no paths of sockets.
    pub fn without_sockets(&self, options: &mut Options) {
        if let Some((host, _)) = self.hosts.iter().find(|(host, _)| host.starts_with('/')) {
            let message = format!("`host` holds {host:?}; this kind has no sockets, only ports");
            options.wrong("host", message);
        }
    }

    /// The password, if there is one.
    ///
    /// # Errors
    /// Why its file can not be read.
    pub fn password(&self) -> Result<Option<String>, String> {
        let Some(path) = &self.password_file else {
            return Ok(self.password.clone());
        };
        let text = read(path)?;
        Ok(Some(text.lines().next().unwrap_or_default().into()))
    }
}
