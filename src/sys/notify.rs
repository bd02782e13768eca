//! The service manager's protocol: `sd_notify(3)` states and `sd_listen_fds(3)` sockets.
//!
//! Nothing here needs a service manager to be present: without one all of it is silent.

use std::io;
use std::os::fd::{FromRawFd, OwnedFd};
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::sync::OnceLock;
use std::time::Duration;

/// The first descriptor that a service manager hands over.
const FIRST: i32 = 3;

/// More than this many handed-over sockets is a mistake.
const MOST: i32 = 64;

/// What the service manager may want to know.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State<'a> {
    /// Started, working.
    Ready,
    /// Reading the configuration again; followed by [`Self::Ready`].
    Reloading,
    /// On the way out.
    Stopping,
    /// Still alive.
    Watchdog,
    /// One line for `systemctl status`.
    Status(&'a str),
}

/// A way to the service manager, if there is one.
#[derive(Default)]
pub struct Notify {
    to: Option<(UnixDatagram, SocketAddr)>,
}

impl Notify {
    /// As `NOTIFY_SOCKET` says.
    pub fn from_env() -> Self {
        std::env::var("NOTIFY_SOCKET").map_or_else(|_| Self::default(), |name| Self::to(&name))
    }

    /// To the socket of this name; `@` at its start means Linux' abstract names.
    pub fn to(name: &str) -> Self {
        let open = || {
            let address = address(name)?;
            let socket = UnixDatagram::unbound()?;
            socket.set_nonblocking(true)?;
            io::Result::Ok((socket, address))
        };
        Self { to: open().ok() }
    }

    /// Says it. Failure is of no consequence and is not reported.
    pub fn send(&self, state: State<'_>) {
        let Some((socket, address)) = &self.to else {
            return;
        };
        let text = match state {
            State::Ready => "READY=1".to_owned(),
            State::Reloading => format!("RELOADING=1\nMONOTONIC_USEC={}", monotonic_micros()),
            State::Stopping => "STOPPING=1".to_owned(),
            State::Watchdog => "WATCHDOG=1".to_owned(),
            State::Status(line) => format!("STATUS={}", line.replace('\n', " ")),
        };
        let _ = socket.send_to_addr(text.as_bytes(), address);
    }
}

fn address(name: &str) -> io::Result<SocketAddr> {
    match name.strip_prefix('@') {
        #[cfg(target_os = "linux")]
        Some(rest) => {
            use std::os::linux::net::SocketAddrExt;
            SocketAddr::from_abstract_name(rest.as_bytes())
        }
        _ => SocketAddr::from_pathname(name),
    }
}

/// CLOCK_MONOTONIC, which the manager compares with its own; it is the one clock that
/// `Type=notify-reload` understands.
fn monotonic_micros() -> u64 {
    // SAFETY: an all-zero timespec is valid; the call fills it in. The libc crate's timespec and
    // the symbol it links to agree on every target.
    let now = unsafe {
        let mut now: libc::timespec = std::mem::zeroed();
        libc::clock_gettime(libc::CLOCK_MONOTONIC, &raw mut now);
        now
    };
    (now.tv_sec as u64)
        .saturating_mul(1_000_000)
        .saturating_add(now.tv_nsec as u64 / 1_000)
}

/// How often the manager wants [`State::Watchdog`]: half of what `WATCHDOG_USEC` allows.
pub fn watchdog() -> Option<Duration> {
    if let Ok(pid) = std::env::var("WATCHDOG_PID")
        && pid.parse() != Ok(std::process::id())
    {
        return None;
    }
    let micros: u64 = std::env::var("WATCHDOG_USEC").ok()?.parse().ok()?;
    (micros > 0).then(|| Duration::from_micros(micros / 2))
}

/// A socket that the service manager has opened for us, by its name (`FileDescriptorName=`).
///
/// What is returned is a duplicate: the original stays open, so that it can be asked for again
/// after a reload.
///
/// # Errors
/// `NotFound` when none of that name was handed over.
pub fn inherited(name: &str) -> io::Result<OwnedFd> {
    static ALL: OnceLock<Vec<(String, OwnedFd)>> = OnceLock::new();
    let found = ALL.get_or_init(take_over).iter().find(|(n, _)| n == name);
    let (_, fd) = found.ok_or_else(|| {
        let message = format!("the service manager has handed over no socket `{name}`");
        io::Error::new(io::ErrorKind::NotFound, message)
    })?;
    fd.try_clone()
}

/// Called once: a descriptor has one owner.
fn take_over() -> Vec<(String, OwnedFd)> {
    let env = |name| std::env::var(name).unwrap_or_default();
    let count = listed(&env("LISTEN_PID"), &env("LISTEN_FDS"), std::process::id());
    let names = env("LISTEN_FDNAMES");
    let mut names = names.split(':');
    let mut found = Vec::new();
    for fd in FIRST..FIRST + count {
        let name = names.next().unwrap_or_default().to_owned();
        // SAFETY: fcntl with F_SETFD touches no memory; it fails when the descriptor is not open.
        if unsafe { libc::fcntl(fd, libc::F_SETFD, libc::FD_CLOEXEC) } == 0 {
            // SAFETY: open, as just seen, and ours by the protocol: nobody else closes it.
            found.push((name, unsafe { OwnedFd::from_raw_fd(fd) }));
        }
    }
    found
}

/// How many descriptors the variables promise to the process `own`.
fn listed(pid: &str, fds: &str, own: u32) -> i32 {
    match (pid.parse::<u32>(), fds.parse::<i32>()) {
        (Ok(pid), Ok(count)) if pid == own && count > 0 => count.min(MOST),
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn states_arrive_as_the_protocol_wants_them() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("notify");
        let manager = UnixDatagram::bind(&path).unwrap();
        let notify = Notify::to(path.to_str().unwrap());
        let say = |state| {
            notify.send(state);
            let mut bytes = [0; 200];
            let n = manager.recv(&mut bytes).unwrap();
            String::from_utf8(bytes[..n].to_vec()).unwrap()
        };
        assert_eq!(say(State::Ready), "READY=1");
        assert_eq!(say(State::Stopping), "STOPPING=1");
        assert_eq!(say(State::Watchdog), "WATCHDOG=1");
        assert_eq!(
            say(State::Status("12 flows\nREADY=1")),
            "STATUS=12 flows READY=1"
        );
        let reloading = say(State::Reloading);
        let micros = reloading
            .strip_prefix("RELOADING=1\nMONOTONIC_USEC=")
            .unwrap();
        assert!(micros.parse::<u64>().unwrap() > 0);
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn abstract_names_work() {
        use std::os::linux::net::SocketAddrExt;
        let name = format!("weir-notify-{}", std::process::id());
        let at = SocketAddr::from_abstract_name(&name).unwrap();
        let manager = UnixDatagram::bind_addr(&at).unwrap();
        Notify::to(&format!("@{name}")).send(State::Ready);
        let mut bytes = [0; 20];
        assert_eq!(manager.recv(&mut bytes).unwrap(), 7);
    }

    #[test]
    fn descriptors_of_another_process_are_not_ours() {
        assert_eq!(listed("7", "2", 7), 2);
        assert_eq!(listed("8", "2", 7), 0);
        assert_eq!(listed("7", "-1", 7), 0);
        assert_eq!(listed("7", "1000000000", 7), MOST);
        assert_eq!(listed("", "", 7), 0);
        Notify::default().send(State::Ready);
        assert_eq!(
            inherited("netflow").unwrap_err().kind(),
            io::ErrorKind::NotFound
        );
    }
}
