//! Datagrams from exporters: NetFlow, IPFIX, sFlow over UDP. Not for TCP, and it never looks
//! into a datagram.
//!
//! Several workers may listen on one port: each opens its own socket with `workers > 1`, and the
//! kernel picks the socket by a hash over both addresses and both ports. So all datagrams of one
//! exporter socket meet the same worker, and with them its templates. An exporter that sends from
//! several source ports may be served by several workers, which is fine as templates are scoped
//! to the transport session (RFC 7011 §8). The assignment changes when a socket of the group is
//! opened or closed: workers start and end together.

use super::allow::Allow;
use super::{Frame, Link, Loss, Opener, Peer, Progress, Source, SourceError};
use crate::base::options::Options;
use crate::base::time;
use crate::sys::notify;
use crate::sys::udp::{self, Batch, Socket};
use std::cell::Cell;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::fd::OwnedFd;
use std::sync::Arc;

/// Where and how to listen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UdpConfig {
    /// Address and port. `[::]` takes both families, and is IPv4 alone on a system without IPv6.
    pub listen: SocketAddr,
    /// Sockets that share the port (`SO_REUSEPORT`); 1 keeps the port for ourselves.
    pub workers: usize,
    /// Device whose datagrams alone are received.
    pub device: Option<String>,
    /// Whether `[::]` takes no IPv4.
    pub only_ipv6: bool,
    /// The kernel's receive buffer, in bytes; `None` leaves the system's default.
    pub receive_buffer: Option<usize>,
    /// Longest datagram taken, in bytes; longer ones are counted as oversize.
    pub datagram: usize,
    /// Datagrams fetched with one system call.
    pub batch: usize,
    /// Who may send: addresses and prefixes; empty is everybody.
    pub allow: Allow,
    /// A file with more of them.
    pub allow_file: Option<String>,
}

impl Default for UdpConfig {
    fn default() -> Self {
        Self {
            listen: SocketAddr::new(IpAddr::V6(Ipv6Addr::UNSPECIFIED), 0),
            workers: 1,
            device: None,
            only_ipv6: false,
            receive_buffer: None,
            datagram: 16_384,
            batch: 32,
            allow: Allow::default(),
            allow_file: None,
        }
    }
}

/// A socket that exporters send to.
pub struct UdpSource {
    socket: Socket,
    batch: Batch,
    /// Who may send, without and with those of the file.
    fixed: Allow,
    file: Option<String>,
    allow: Allow,
    refused: u64,
    oversize: u64,
    kernel: Drops,
}

impl UdpSource {
    /// Opens a socket and binds it.
    ///
    /// # Errors
    /// When the address can not be had; the message names it.
    pub fn open(config: &UdpConfig) -> Result<Self, SourceError> {
        let options = options(config);
        let bound = Socket::bind(config.listen, &options).or_else(|e| {
            // A kernel without IPv6 has no such sockets.
            match config.listen {
                SocketAddr::V6(v6)
                    if v6.ip().is_unspecified() && lacks_family(&e) && !config.only_ipv6 =>
                {
                    let any = IpAddr::V4(Ipv4Addr::UNSPECIFIED);
                    Socket::bind(SocketAddr::new(any, v6.port()), &options)
                }
                _ => Err(e),
            }
        });
        let socket = bound.map_err(|e| {
            let device = config.device.as_ref().map(|d| format!(" of {d}"));
            let at = format!("{}{}", config.listen, device.unwrap_or_default());
            io::Error::new(
                e.kind(),
                format!("cannot listen on {at}: {e}{}", hint(&e, config)),
            )
        })?;
        Self::with(socket, config)
    }

    /// Takes over an open socket, as from [`crate::sys::notify::inherited`]; `config.listen` and
    /// `config.workers` are not looked at.
    ///
    /// # Errors
    /// When the descriptor is no bound UDP socket.
    pub fn adopt(fd: OwnedFd, config: &UdpConfig) -> Result<Self, SourceError> {
        Self::with(Socket::adopt(fd, &options(config))?, config)
    }

    fn with(socket: Socket, config: &UdpConfig) -> Result<Self, SourceError> {
        let file = config.allow_file.clone();
        let allow = allowed(&config.allow, file.as_deref()).map_err(io::Error::other)?;
        // An adopted socket may have dropped something before it was ours; that counts as well.
        Ok(Self {
            socket,
            batch: Batch::new(config.batch, config.datagram),
            fixed: config.allow.clone(),
            file,
            allow,
            refused: 0,
            oversize: 0,
            kernel: Drops::default(),
        })
    }

    /// The address and port listened on.
    ///
    /// # Errors
    /// What getsockname(2) says.
    pub fn local(&self) -> io::Result<SocketAddr> {
        self.socket.local()
    }

    /// What the kernel gave as receive buffer, in bytes; on Linux twice the size asked for when
    /// all of it was granted.
    ///
    /// # Errors
    /// What getsockopt(2) says.
    pub fn receive_buffer(&self) -> io::Result<usize> {
        self.socket.receive_buffer()
    }

    /// Memory of the receive buffers of our own, in bytes; pages never reached are not resident.
    pub fn memory(&self) -> usize {
        self.batch.memory()
    }
}

impl Source for UdpSource {
    fn refresh(&mut self) {
        if self.file.is_none() {
            return;
        }
        match allowed(&self.fixed, self.file.as_deref()) {
            Ok(allow) => self.allow = allow,
            Err(why) => log::error!("{why}; who might send before may go on"),
        }
    }

    fn fd(&self) -> Option<i32> {
        Some(self.socket.fd())
    }

    fn read(&mut self, to: &mut dyn FnMut(&Frame<'_>)) -> Result<Progress, SourceError> {
        let count = self.batch.receive(&self.socket)?;
        if count == 0 {
            return Ok(Progress::Idle);
        }
        let time = time::wall();
        for datagram in self.batch.iter() {
            if let Some(drops) = datagram.drops {
                self.kernel.saw(drops);
            }
            let from = peer(datagram.from);
            if !self.allow.admits(from.ip) {
                self.refused = self.refused.saturating_add(1);
                continue;
            }
            if datagram.truncated {
                self.oversize = self.oversize.saturating_add(1);
                continue;
            }
            let bytes = datagram.bytes;
            let wire_len = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
            to(&Frame {
                bytes,
                wire_len,
                link: Link::Datagram,
                time,
                from,
            });
        }
        let full = count == self.batch.capacity();
        Ok(if full { Progress::More } else { Progress::Idle })
    }

    fn loss(&self) -> Loss {
        // The number that comes with a datagram is as old as that datagram; the socket has it new.
        if let Some(drops) = self.socket.drops() {
            self.kernel.saw(drops);
        }
        Loss {
            kernel: self.kernel.total.get(),
            refused: self.refused,
            oversize: self.oversize,
        }
    }
}

/// Who may send, those of a file among them; rows that are wrong are told of.
fn allowed(fixed: &Allow, file: Option<&str>) -> Result<Allow, String> {
    let Some(path) = file else {
        return Ok(fixed.clone());
    };
    let (listed, complaints) = Allow::read(path)?;
    for problem in complaints.problems() {
        let (line, column) = (problem.place.line, problem.place.column);
        log::warn!(
            "{path}:{line}:{column}: {}; the row is left out",
            problem.message
        );
    }
    Ok(fixed.and(&listed))
}

fn options(config: &UdpConfig) -> udp::Options {
    udp::Options {
        reuse_port: config.workers > 1,
        device: config.device.clone(),
        only_ipv6: config.only_ipv6,
        receive_buffer: config.receive_buffer,
    }
}

/// What to do about a refusal.
fn hint(e: &io::Error, config: &UdpConfig) -> &'static str {
    match e.kind() {
        io::ErrorKind::PermissionDenied if config.listen.port() < 1024 => {
            " (a port below 1024 needs CAP_NET_BIND_SERVICE: run as root, or \
             `setcap cap_net_bind_service+ep` the program)"
        }
        _ => "",
    }
}

fn lacks_family(e: &io::Error) -> bool {
    e.raw_os_error() == Some(libc::EAFNOSUPPORT)
}

/// IPv4 that came over an IPv6 socket is IPv4.
fn peer(from: Option<SocketAddr>) -> Peer {
    match from {
        Some(SocketAddr::V6(v6)) => {
            let ip = v6.ip().to_canonical();
            Peer {
                ip,
                port: v6.port(),
                iface: v6.scope_id(),
            }
        }
        Some(SocketAddr::V4(v4)) => Peer {
            ip: IpAddr::V4(*v4.ip()),
            port: v4.port(),
            iface: 0,
        },
        None => Peer::NONE,
    }
}

/// A counter of the kernel's, 32 bits wide and running round, as a total of our own.
#[derive(Debug, Default)]
struct Drops {
    last: Cell<u32>,
    total: Cell<u64>,
}

impl Drops {
    fn saw(&self, now: u32) {
        // Datagrams carry the counter as it was when they were queued, so after a fresh look at
        // the socket an older number may come: half the circle is "back", and is passed over.
        let step = now.wrapping_sub(self.last.get());
        if step <= u32::MAX / 2 {
            self.last.set(now);
            self.total
                .set(self.total.get().saturating_add(u64::from(step)));
        }
    }
}

/// Opens the sockets of one input.
struct Listener {
    config: UdpConfig,
    /// Name of a socket of the service manager's, in place of one of our own.
    socket: Option<String>,
}

impl Opener for Listener {
    fn open(&self) -> Result<Box<dyn Source>, SourceError> {
        Ok(Box::new(match &self.socket {
            Some(name) => UdpSource::adopt(notify::inherited(name)?, &self.config)?,
            None => UdpSource::open(&self.config)?,
        }))
    }

    fn memory(&self) -> usize {
        self.config.batch.saturating_mul(self.config.datagram)
    }

    fn datagrams(&self) -> bool {
        true
    }

    fn shares(&self) -> bool {
        // Several readers of one socket would tear an exporter's templates from its data.
        self.socket.is_none()
    }
}

/// Reads the settings of an input of kind `udp`: `listen` (address and port, or a port alone for
/// all addresses) or `socket` (a name, from the service manager), `device`, `only_ipv6`, `allow`,
/// `allow_file`, `receive_buffer`, `datagram`, `batch`.
pub fn parse(options: &mut Options, workers: usize) -> Option<Arc<dyn Opener>> {
    let socket = options.text("socket");
    let usual = UdpConfig::default();
    let listen = match (&socket, options.has("listen")) {
        (Some(_), false) => Some(usual.listen),
        (Some(_), true) => {
            options.wrong("listen", "`listen` and `socket` exclude each other");
            None
        }
        (None, _) => address(options),
    };
    let allow = options.list("allow").unwrap_or_default();
    let allow: Vec<_> = allow
        .into_iter()
        .filter_map(|(entry, place)| match Allow::parse(&[&entry]) {
            Ok(_) => Some(entry),
            Err(message) => {
                options.problem(place, message);
                None
            }
        })
        .collect();
    let allow_file = options.text("allow_file").filter(|f| !f.is_empty());
    let receive_buffer = options
        .size("receive_buffer")
        .and_then(|n| usize::try_from(n).ok());
    let number = |n: Option<u64>| n.and_then(|n| usize::try_from(n).ok());
    // All are taken before anything is given up: what nobody takes counts as unknown.
    let datagram = number(options.number("datagram", 64, 65_535));
    let batch = number(options.number("batch", 1, 1024));
    let device = options.text("device").filter(|d| !d.is_empty());
    let only_ipv6 = options.flag("only_ipv6").unwrap_or(usual.only_ipv6);
    let config = UdpConfig {
        device,
        only_ipv6,
        listen: listen?,
        workers,
        receive_buffer,
        datagram: datagram.unwrap_or(usual.datagram),
        batch: batch.unwrap_or(usual.batch),
        allow: Allow::parse(&allow).ok()?,
        allow_file,
    };
    Some(Arc::new(Listener { config, socket }))
}

fn address(options: &mut Options) -> Option<SocketAddr> {
    let text = options.required("listen", "[::]:2055")?;
    let any = IpAddr::V6(Ipv6Addr::UNSPECIFIED);
    let port = text.parse().map(|port: u16| SocketAddr::new(any, port));
    let found = text.parse().ok().or(port.ok());
    if found.is_none() {
        let message =
            format!("`listen` is {text:?}; it takes an address with a port like \"[::]:2055\"");
        options.wrong("listen", message);
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::poll::{Interest, Poll};
    use std::net::UdpSocket;
    use std::time::Duration;

    fn at(listen: &str) -> UdpConfig {
        UdpConfig {
            listen: listen.parse().unwrap(),
            ..UdpConfig::default()
        }
    }

    type Got = (Vec<u8>, Peer, Link);

    /// Reads until nothing comes for a while.
    fn all(source: &mut UdpSource) -> Vec<Got> {
        let mut got = Vec::new();
        let mut poll = Poll::new();
        poll.add(source.fd().unwrap(), Interest::Read);
        while poll.wait(Some(Duration::from_millis(100))).unwrap() {
            let mut to = |f: &Frame<'_>| {
                assert!(f.time.seconds() > 1_600_000_000);
                assert_eq!(f.wire_len as usize, f.bytes.len());
                got.push((f.bytes.to_vec(), f.from, f.link));
            };
            while source.read(&mut to).unwrap() == Progress::More {}
        }
        got
    }

    #[test]
    fn batches_in_order_of_arrival() {
        let mut source = UdpSource::open(&at("127.0.0.1:0")).unwrap();
        let sender = UdpSocket::bind("127.0.0.1:0").unwrap();
        sender.connect(source.local().unwrap()).unwrap();
        for i in 0..100_u32 {
            sender.send(&i.to_be_bytes()).unwrap();
        }
        let mut first = 0;
        assert_eq!(source.read(&mut |_| first += 1).unwrap(), Progress::More);
        assert_eq!(first, 32);
        let got = all(&mut source);
        let want: Vec<_> = (32..100_u32).map(|i| i.to_be_bytes().to_vec()).collect();
        assert_eq!(got.iter().map(|g| g.0.clone()).collect::<Vec<_>>(), want);
        let port = sender.local_addr().unwrap().port();
        let from = Peer {
            ip: "127.0.0.1".parse().unwrap(),
            port,
            iface: 0,
        };
        assert!(got.iter().all(|g| g.1 == from && g.2 == Link::Datagram));
        assert_eq!(source.loss(), Loss::default());
    }

    #[test]
    fn one_socket_for_both_families() {
        let Ok(mut source) = UdpSource::open(&at("[::]:0")) else {
            return;
        };
        let local = source.local().unwrap();
        let v4 = UdpSocket::bind("127.0.0.1:0").unwrap();
        v4.send_to(b"four", ("127.0.0.1", local.port())).unwrap();
        let mut want = vec![(b"four".to_vec(), IpAddr::V4(Ipv4Addr::LOCALHOST))];
        // Not every machine has IPv6 on its loopback.
        if let Ok(v6) = UdpSocket::bind("[::1]:0") {
            v6.send_to(b"six", ("::1", local.port())).unwrap();
            want.push((b"six".to_vec(), IpAddr::V6(Ipv6Addr::LOCALHOST)));
        }
        let got: Vec<_> = all(&mut source)
            .into_iter()
            .map(|g| (g.0, g.1.ip))
            .collect();
        assert_eq!(got, want);
    }

    #[test]
    fn too_long_and_not_allowed_are_counted_and_not_delivered() {
        let allow = Allow::parse(&["127.0.0.1"]).unwrap();
        let config = UdpConfig {
            datagram: 100,
            allow,
            ..at("127.0.0.1:0")
        };
        let mut source = UdpSource::open(&config).unwrap();
        let to = source.local().unwrap();
        let good = UdpSocket::bind("127.0.0.1:0").unwrap();
        for size in [100, 101, 1000, 0, 1] {
            good.send_to(&vec![7; size], to).unwrap();
        }
        #[cfg(target_os = "linux")]
        let strangers = {
            // Linux has the whole of 127/8 on its loopback.
            let bad = UdpSocket::bind("127.0.0.2:0").unwrap();
            bad.send_to(&[8; 10], to).unwrap();
            bad.send_to(&[8; 101], to).unwrap();
            2
        };
        #[cfg(not(target_os = "linux"))]
        let strangers = 0;
        let sizes: Vec<_> = all(&mut source).iter().map(|g| g.0.len()).collect();
        assert_eq!(sizes, [100, 0, 1]);
        assert_eq!(
            source.loss(),
            Loss {
                kernel: 0,
                refused: strangers,
                oversize: 2
            }
        );
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn what_the_kernel_dropped_is_known() {
        let config = UdpConfig {
            receive_buffer: Some(8192),
            ..at("127.0.0.1:0")
        };
        let mut source = UdpSource::open(&config).unwrap();
        if source.socket.drops().is_none() {
            println!("what_the_kernel_dropped_is_known skipped: this system does not tell");
            return;
        }
        assert_eq!(source.receive_buffer().unwrap(), 16_384);
        let sender = UdpSocket::bind("127.0.0.1:0").unwrap();
        let to = source.local().unwrap();
        let burst = |n: u32| {
            for _ in 0..n {
                sender.send_to(&[1; 500], to).unwrap();
            }
        };
        burst(1000);
        let first = all(&mut source).len() as u64;
        assert!(first < 1000);
        assert_eq!(first + source.loss().kernel, 1000);
        // And again, with the number that comes along with the datagrams.
        burst(500);
        let second = all(&mut source).len() as u64;
        burst(1);
        let third = all(&mut source).len() as u64;
        assert_eq!(first + second + third + source.kernel.total.get(), 1501);
        assert_eq!(source.loss().kernel, source.kernel.total.get());
    }

    #[test]
    fn the_counter_runs_round() {
        let drops = Drops::default();
        for now in [5, 4, u32::MAX / 2, u32::MAX - 1, 3, u32::MAX] {
            drops.saw(now);
        }
        assert_eq!(drops.total.get(), (1 << 32) + 3);
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn an_exporter_stays_with_its_worker() {
        let config = UdpConfig {
            workers: 3,
            ..at("127.0.0.1:0")
        };
        let mut workers = vec![UdpSource::open(&config).unwrap()];
        let same = UdpConfig {
            listen: workers[0].local().unwrap(),
            ..config
        };
        workers.push(UdpSource::open(&same).unwrap());
        workers.push(UdpSource::open(&same).unwrap());
        let senders: Vec<_> = (0..24)
            .map(|_| UdpSocket::bind("127.0.0.1:0").unwrap())
            .collect();
        for _ in 0..5 {
            for sender in &senders {
                sender.send_to(b"x", same.listen).unwrap();
            }
        }
        let mut seen = Vec::new();
        for worker in &mut workers {
            let mut ports: Vec<_> = all(worker).iter().map(|g| g.1.port).collect();
            ports.sort_unstable();
            // Each exporter has sent all five or none to this worker.
            assert!(ports.chunk_by(|a, b| a == b).all(|run| run.len() == 5));
            ports.dedup();
            seen.append(&mut ports);
        }
        assert_eq!(seen.len(), senders.len());
        assert!(UdpSource::open(&UdpConfig { workers: 1, ..same }).is_err());
    }

    #[test]
    fn an_open_socket_can_be_handed_over() {
        let open = UdpSocket::bind("127.0.0.1:0").unwrap();
        let to = open.local_addr().unwrap();
        let mut source = UdpSource::adopt(open.into(), &UdpConfig::default()).unwrap();
        UdpSocket::bind("127.0.0.1:0")
            .unwrap()
            .send_to(b"hello", to)
            .unwrap();
        assert_eq!(all(&mut source)[0].0, b"hello");
        let tcp = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        assert!(UdpSource::adopt(tcp.into(), &UdpConfig::default()).is_err());
    }

    #[test]
    fn settings_become_a_listener() {
        use crate::base::options::{Place, Raw};
        let text = |t: &str| Raw::Text(t.to_owned());
        let mut good = Options::new("input.routers", Place::default());
        good.set("listen", text("127.0.0.1:0"));
        good.set(
            "allow",
            Raw::List(vec![(text("127.0.0.0/8"), Place::default())]),
        );
        good.set("datagram", Raw::Number(2048));
        let opener = parse(&mut good, 1).unwrap();
        assert!(opener.datagrams() && opener.shares());
        assert_eq!(opener.memory(), 32 * 2048);
        assert!(opener.open().unwrap().fd().is_some());
        assert_eq!(good.finish(), []);

        let problems = |settings: &[(&str, Raw)]| {
            let mut bad = Options::new("input.routers", Place::default());
            settings
                .iter()
                .for_each(|(name, value)| bad.set(name, value.clone()));
            let made = parse(&mut bad, 1).is_some();
            let problems = bad.finish();
            assert!(!made || !problems.is_empty());
            problems
                .into_iter()
                .map(|p| p.message)
                .collect::<Vec<_>>()
                .join("; ")
        };
        assert!(problems(&[]).contains("needs `listen`"));
        assert!(problems(&[("listen", text("localhost"))]).contains("[::]:2055"));
        assert!(problems(&[("socket", text("a")), ("listen", text("9"))]).contains("exclude"));
        let wrong = problems(&[("listen", text("2055")), ("allow", text("router1"))]);
        assert!(wrong.contains("`router1`"), "{wrong}");

        let mut handed = Options::new("input.routers", Place::default());
        handed.set("socket", text("netflow"));
        let opener = parse(&mut handed, 1).unwrap();
        assert!(!opener.shares());
        let error = opener.open().err().unwrap().to_string();
        assert!(error.contains("`netflow`"), "{error}");
    }
}
