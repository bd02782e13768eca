//! UDP sockets with what `std` does not offer: several on one port, a big receive buffer, the
//! kernel's drop counter, and many datagrams in one system call. Receiving only.
//!
//! On systems other than Linux a batch is filled by one recvfrom(2) per datagram and the kernel's
//! drops are not known. A Linux that has no recvmmsg(2), or a sandbox that does not know it, is
//! asked with one recvmsg(2) per datagram.

use std::io;
use std::net::{SocketAddr, UdpSocket};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};

/// How a socket is set up before it is bound.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// Other sockets of ours may bind to the same port; the kernel shares out by address and port
    /// of the sender.
    pub reuse_port: bool,
    /// Device whose datagrams alone are received; Linux only.
    pub device: Option<String>,
    /// A socket of IPv6 takes no IPv4.
    pub only_ipv6: bool,
    /// Receive buffer in bytes; `None` leaves the system's default.
    pub receive_buffer: Option<usize>,
}

/// A bound, non-blocking UDP socket.
pub struct Socket {
    inner: UdpSocket,
}

/// Binds a socket to a device.
#[cfg(target_os = "linux")]
fn to_device(fd: RawFd, device: &str) -> io::Result<()> {
    let mut name = [0_u8; libc::IFNAMSIZ];
    let Some(room) = name
        .get_mut(..device.len())
        .filter(|r| r.len() < libc::IFNAMSIZ)
    else {
        return Err(io::Error::from_raw_os_error(libc::ENODEV));
    };
    room.copy_from_slice(device.as_bytes());
    super::set_option(fd, libc::SOL_SOCKET, libc::SO_BINDTODEVICE, &name)
}

/// Other systems have no such thing.
#[cfg(not(target_os = "linux"))]
fn to_device(_: RawFd, _: &str) -> io::Result<()> {
    Err(io::ErrorKind::Unsupported.into())
}

impl Socket {
    /// Opens and binds. `[::]` receives IPv4 as well, wherever the system can do that.
    ///
    /// # Errors
    /// What socket(2), setsockopt(2) and bind(2) say.
    pub fn bind(at: SocketAddr, options: &Options) -> io::Result<Self> {
        let family = if at.is_ipv4() {
            libc::AF_INET
        } else {
            libc::AF_INET6
        };
        // SAFETY: no memory involved.
        let fd = super::check(unsafe { libc::socket(family, libc::SOCK_DGRAM, 0) })?;
        // SAFETY: just opened, nobody else has it.
        let fd = unsafe { OwnedFd::from_raw_fd(fd) };
        if at.is_ipv6() {
            super::set_option(
                fd.as_raw_fd(),
                libc::IPPROTO_IPV6,
                libc::IPV6_V6ONLY,
                &i32::from(options.only_ipv6),
            )?;
        }
        if let Some(device) = &options.device {
            to_device(fd.as_raw_fd(), device)?;
        }
        if options.reuse_port {
            reuse_port(fd.as_raw_fd())?;
        }
        let inner = UdpSocket::from(fd);
        bind(inner.as_raw_fd(), at)?;
        Self::set_up(inner, options.receive_buffer)
    }

    /// Takes over a socket that is bound already, for example by the service manager.
    ///
    /// # Errors
    /// When it is no bound IPv4 or IPv6 datagram socket.
    pub fn adopt(fd: OwnedFd, options: &Options) -> io::Result<Self> {
        let mut kind = 0_i32;
        super::get_option(fd.as_raw_fd(), libc::SOL_SOCKET, libc::SO_TYPE, &mut kind)?;
        if kind != libc::SOCK_DGRAM {
            return Err(io::Error::new(
                io::ErrorKind::InvalidInput,
                "not a datagram socket",
            ));
        }
        let inner = UdpSocket::from(fd);
        // Fails when the family is neither IPv4 nor IPv6.
        inner.local_addr()?;
        Self::set_up(inner, options.receive_buffer)
    }

    fn set_up(inner: UdpSocket, receive_buffer: Option<usize>) -> io::Result<Self> {
        let fd = inner.as_raw_fd();
        inner.set_nonblocking(true)?;
        // SAFETY: fcntl with F_SETFD touches no memory.
        super::check(unsafe { libc::fcntl(fd, libc::F_SETFD, libc::FD_CLOEXEC) })?;
        if let Some(bytes) = receive_buffer {
            set_receive_buffer(fd, bytes)?;
        }
        // A system that does not count along still receives.
        #[cfg(target_os = "linux")]
        let _ = super::set_option(fd, libc::SOL_SOCKET, libc::SO_RXQ_OVFL, &1_i32);
        Ok(Self { inner })
    }

    /// The descriptor to wait on.
    pub fn fd(&self) -> RawFd {
        self.inner.as_raw_fd()
    }

    /// The address it is bound to.
    ///
    /// # Errors
    /// What getsockname(2) says.
    pub fn local(&self) -> io::Result<SocketAddr> {
        self.inner.local_addr()
    }

    /// The receive buffer in bytes as the kernel has it. Linux grants twice what is asked for,
    /// to have room for its own bookkeeping, and reports that.
    ///
    /// # Errors
    /// What getsockopt(2) says.
    pub fn receive_buffer(&self) -> io::Result<usize> {
        let mut size = 0_i32;
        super::get_option(self.fd(), libc::SOL_SOCKET, libc::SO_RCVBUF, &mut size)?;
        Ok(usize::try_from(size).unwrap_or(0))
    }

    /// Datagrams the kernel has dropped for this socket so far, modulo 2^32; `None` when the
    /// system does not tell.
    pub fn drops(&self) -> Option<u32> {
        #[cfg(target_os = "linux")]
        {
            // SK_MEMINFO_DROPS is the ninth of the numbers (Linux 4.12).
            let mut info = [0_u32; 9];
            let size =
                super::get_option(self.fd(), libc::SOL_SOCKET, libc::SO_MEMINFO, &mut info).ok()?;
            (size == size_of_val(&info)).then_some(info[8])
        }
        #[cfg(not(target_os = "linux"))]
        None
    }
}

fn reuse_port(fd: RawFd) -> io::Result<()> {
    #[cfg(not(any(target_os = "solaris", target_os = "illumos")))]
    return super::set_option(fd, libc::SOL_SOCKET, libc::SO_REUSEPORT, &1_i32);
    #[cfg(any(target_os = "solaris", target_os = "illumos"))]
    {
        let _ = fd;
        Err(io::Error::new(
            io::ErrorKind::Unsupported,
            "no SO_REUSEPORT here: use one worker",
        ))
    }
}

/// Beyond `net.core.rmem_max` where we have CAP_NET_ADMIN, else up to it.
pub(super) fn set_receive_buffer(fd: RawFd, bytes: usize) -> io::Result<()> {
    let size = i32::try_from(bytes).unwrap_or(i32::MAX);
    #[cfg(target_os = "linux")]
    if super::set_option(fd, libc::SOL_SOCKET, libc::SO_RCVBUFFORCE, &size).is_ok() {
        return Ok(());
    }
    super::set_option(fd, libc::SOL_SOCKET, libc::SO_RCVBUF, &size)
}

fn bind(fd: RawFd, at: SocketAddr) -> io::Result<()> {
    // SAFETY: all-zero C addresses are valid. Pointer and length given to bind(2) describe the
    // local variable of the family's own type.
    let r = unsafe {
        match at {
            SocketAddr::V4(v4) => {
                let mut to: libc::sockaddr_in = std::mem::zeroed();
                to.sin_family = libc::AF_INET as libc::sa_family_t;
                to.sin_port = v4.port().to_be();
                to.sin_addr.s_addr = u32::from_ne_bytes(v4.ip().octets());
                libc::bind(
                    fd,
                    (&raw const to).cast(),
                    size_of_val(&to) as libc::socklen_t,
                )
            }
            SocketAddr::V6(v6) => {
                let mut to: libc::sockaddr_in6 = std::mem::zeroed();
                to.sin6_family = libc::AF_INET6 as libc::sa_family_t;
                to.sin6_port = v6.port().to_be();
                to.sin6_addr.s6_addr = v6.ip().octets();
                to.sin6_scope_id = v6.scope_id();
                libc::bind(
                    fd,
                    (&raw const to).cast(),
                    size_of_val(&to) as libc::socklen_t,
                )
            }
        }
    };
    super::check(r).map(|_| ())
}

/// One received datagram.
#[derive(Clone, Copy, Debug)]
pub struct Datagram<'a> {
    /// What was received; the beginning of it when `truncated`.
    pub bytes: &'a [u8],
    /// The sender; `None` when the kernel gave no address of a known family.
    pub from: Option<SocketAddr>,
    /// It was longer than the buffer.
    pub truncated: bool,
    /// The socket's drops so far, modulo 2^32, where the kernel attached them.
    pub drops: Option<u32>,
}

#[cfg(target_os = "linux")]
pub use linux::Batch;
#[cfg(not(target_os = "linux"))]
pub use portable::Batch;

#[cfg(target_os = "linux")]
mod linux {
    use super::*;
    use std::net::{SocketAddrV4, SocketAddrV6};

    /// Room for control messages: `SO_RXQ_OVFL` takes 24 bytes, others are not asked for.
    type Control = [u64; 8];

    /// Buffers for many datagrams, allocated once.
    pub struct Batch {
        headers: Box<[libc::mmsghdr]>,
        // What the headers point to. Never moved or resized after `new`.
        names: Box<[libc::sockaddr_storage]>,
        controls: Box<[Control]>,
        _vectors: Box<[libc::iovec]>,
        bytes: Box<[u8]>,
        size: usize,
        count: usize,
        /// The system knows no way to receive several at once.
        single: bool,
    }

    // SAFETY: the pointers in the headers and vectors go to the boxes beside them, which move
    // along with their owner; there is no tie to a thread.
    unsafe impl Send for Batch {}

    impl Batch {
        /// Room for `count` datagrams of up to `size` bytes each.
        pub fn new(count: usize, size: usize) -> Self {
            let (count, size) = (count.max(1), size.max(1));
            // SAFETY: all-zero is a valid value of these C structures.
            let (name, header) = unsafe {
                (
                    std::mem::zeroed::<libc::sockaddr_storage>(),
                    std::mem::zeroed::<libc::mmsghdr>(),
                )
            };
            let mut names = vec![name; count].into_boxed_slice();
            let mut controls = vec![Control::default(); count].into_boxed_slice();
            // Zeroed memory is fresh from the system: pages that no datagram reaches cost nothing.
            let mut bytes = vec![0_u8; count.saturating_mul(size)].into_boxed_slice();
            let mut vectors: Box<[libc::iovec]> = bytes
                .chunks_exact_mut(size)
                .map(|b| libc::iovec {
                    iov_base: b.as_mut_ptr().cast(),
                    iov_len: size,
                })
                .collect();
            let mut headers = vec![header; count].into_boxed_slice();
            let parts = names
                .iter_mut()
                .zip(controls.iter_mut())
                .zip(vectors.iter_mut());
            for (header, ((name, control), vector)) in headers.iter_mut().zip(parts) {
                header.msg_hdr.msg_name = std::ptr::from_mut(name).cast();
                header.msg_hdr.msg_control = control.as_mut_ptr().cast();
                header.msg_hdr.msg_iov = vector;
                header.msg_hdr.msg_iovlen = 1;
            }
            Self {
                headers,
                names,
                controls,
                _vectors: vectors,
                bytes,
                size,
                count: 0,
                single: false,
            }
        }

        /// How many datagrams fit.
        pub fn capacity(&self) -> usize {
            self.headers.len()
        }

        /// Receives what is there, up to the capacity, without waiting; zero when there is nothing.
        ///
        /// # Errors
        /// What recvmmsg(2) or recvmsg(2) says, other than that there is nothing or that it was
        /// interrupted.
        pub fn receive(&mut self, socket: &Socket) -> io::Result<usize> {
            self.count = 0;
            for header in &mut self.headers {
                header.msg_hdr.msg_namelen = size_of::<libc::sockaddr_storage>() as _;
                header.msg_hdr.msg_controllen = size_of::<Control>() as _;
                header.msg_hdr.msg_flags = 0;
            }
            if self.single {
                return self.one_by_one(socket);
            }
            loop {
                // SAFETY: every header points to a name, a control buffer and a vector of the
                // sizes written there, all owned by self and borrowed by nobody during the call.
                let n = unsafe {
                    libc::recvmmsg(
                        socket.fd(),
                        self.headers.as_mut_ptr(),
                        self.headers.len() as libc::c_uint,
                        libc::MSG_DONTWAIT as _,
                        std::ptr::null_mut(),
                    )
                };
                match crate::sys::check(n) {
                    Ok(n) => {
                        self.count = usize::try_from(n).unwrap_or(0);
                        return Ok(self.count);
                    }
                    Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                    Err(e) if e.kind() == io::ErrorKind::WouldBlock => return Ok(0),
                    // recvmmsg(2) itself knows no EPERM: that is a sandbox older than the call.
                    Err(e) if matches!(e.raw_os_error(), Some(libc::ENOSYS | libc::EPERM)) => {
                        self.single = true;
                        return self.one_by_one(socket);
                    }
                    Err(e) => return Err(e),
                }
            }
        }

        /// As on a system that can not receive several at once.
        #[cfg(test)]
        pub(super) fn single(&mut self) {
            self.single = true;
        }

        /// As [`Self::receive`], a system call for each datagram; the headers are prepared.
        fn one_by_one(&mut self, socket: &Socket) -> io::Result<usize> {
            for header in &mut self.headers {
                let length = loop {
                    let message = &raw mut header.msg_hdr;
                    // SAFETY: as in `receive`, for one header.
                    let n = unsafe { libc::recvmsg(socket.fd(), message, libc::MSG_DONTWAIT) };
                    let failed = match u32::try_from(n) {
                        Ok(length) => break length,
                        Err(_) => io::Error::last_os_error(),
                    };
                    match failed.kind() {
                        io::ErrorKind::Interrupted => {}
                        io::ErrorKind::WouldBlock => return Ok(self.count),
                        // What was received before is handed out first; the error comes again.
                        _ if self.count > 0 => return Ok(self.count),
                        _ => return Err(failed),
                    }
                };
                header.msg_len = length;
                self.count += 1;
            }
            Ok(self.count)
        }

        /// The datagrams of the last [`Self::receive`], in order of arrival.
        pub fn iter(&self) -> impl Iterator<Item = Datagram<'_>> {
            let parts = self
                .headers
                .iter()
                .zip(&self.names)
                .zip(self.bytes.chunks_exact(self.size));
            parts
                .take(self.count)
                .map(|((header, name), bytes)| Datagram {
                    bytes: bytes.get(..header.msg_len as usize).unwrap_or(bytes),
                    from: address(name),
                    truncated: header.msg_hdr.msg_flags & libc::MSG_TRUNC != 0,
                    drops: drops(&header.msg_hdr),
                })
        }

        /// Bytes of memory this holds at the most.
        pub fn memory(&self) -> usize {
            let each = size_of::<libc::mmsghdr>()
                + size_of::<libc::sockaddr_storage>()
                + size_of::<Control>()
                + size_of::<libc::iovec>();
            self.bytes.len() + self.controls.len() * each
        }
    }

    fn address(name: &libc::sockaddr_storage) -> Option<SocketAddr> {
        let from = std::ptr::from_ref(name);
        match libc::c_int::from(name.ss_family) {
            libc::AF_INET => {
                // SAFETY: the storage is larger and at least as aligned; any bytes are a value.
                let v4 = unsafe { &*from.cast::<libc::sockaddr_in>() };
                let ip = v4.sin_addr.s_addr.to_ne_bytes().into();
                Some(SocketAddrV4::new(ip, u16::from_be(v4.sin_port)).into())
            }
            libc::AF_INET6 => {
                // SAFETY: as above.
                let v6 = unsafe { &*from.cast::<libc::sockaddr_in6>() };
                let (ip, port) = (v6.sin6_addr.s6_addr.into(), u16::from_be(v6.sin6_port));
                Some(SocketAddrV6::new(ip, port, v6.sin6_flowinfo, v6.sin6_scope_id).into())
            }
            _ => None,
        }
    }

    /// The counter of `SO_RXQ_OVFL`, known by its place and its length: other control messages
    /// have lengths that depend on the width of `time_t`.
    #[allow(clippy::unnecessary_cast, reason = "the field is 32 bits wide on musl")]
    fn drops(header: &libc::msghdr) -> Option<u32> {
        // SAFETY: the kernel filled in the control buffer and its length; the macros stay within
        // it. The payload is read unaligned and only when it has four bytes.
        unsafe {
            let mut at = libc::CMSG_FIRSTHDR(header);
            while let Some(message) = at.as_ref() {
                if message.cmsg_level == libc::SOL_SOCKET
                    && message.cmsg_type == libc::SO_RXQ_OVFL
                    && message.cmsg_len as usize == libc::CMSG_LEN(4) as usize
                {
                    return Some(libc::CMSG_DATA(at).cast::<u32>().read_unaligned());
                }
                at = libc::CMSG_NXTHDR(header, at);
            }
        }
        None
    }
}

#[cfg(not(target_os = "linux"))]
mod portable {
    use super::*;

    /// Buffers for many datagrams, allocated once.
    pub struct Batch {
        bytes: Box<[u8]>,
        /// Length and sender of each.
        got: Vec<(usize, SocketAddr)>,
        size: usize,
        capacity: usize,
    }

    impl Batch {
        /// Room for `count` datagrams of up to `size` bytes each.
        pub fn new(count: usize, size: usize) -> Self {
            let (capacity, size) = (count.max(1), size.max(1));
            // One byte more than promised: a datagram that reaches it was too long.
            let bytes = vec![0; capacity.saturating_mul(size + 1)].into_boxed_slice();
            Self {
                bytes,
                got: Vec::with_capacity(capacity),
                size,
                capacity,
            }
        }

        /// How many datagrams fit.
        pub fn capacity(&self) -> usize {
            self.capacity
        }

        /// Receives what is there, up to the capacity, without waiting; zero when there is nothing.
        ///
        /// # Errors
        /// What recvfrom(2) says, other than that there is nothing or that it was interrupted.
        pub fn receive(&mut self, socket: &Socket) -> io::Result<usize> {
            self.got.clear();
            for room in self.bytes.chunks_exact_mut(self.size + 1) {
                match socket.inner.recv_from(room) {
                    Ok(got) => self.got.push(got),
                    Err(e) if e.kind() == io::ErrorKind::Interrupted => break,
                    Err(e) if e.kind() == io::ErrorKind::WouldBlock => break,
                    // What was received before is handed out first; the error comes again.
                    Err(_) if !self.got.is_empty() => break,
                    Err(e) => return Err(e),
                }
            }
            Ok(self.got.len())
        }

        /// The datagrams of the last [`Self::receive`], in order of arrival.
        pub fn iter(&self) -> impl Iterator<Item = Datagram<'_>> {
            self.got
                .iter()
                .zip(self.bytes.chunks_exact(self.size + 1))
                .map(|(got, bytes)| {
                    let (length, from) = *got;
                    Datagram {
                        bytes: bytes.get(..length.min(self.size)).unwrap_or_default(),
                        from: Some(from),
                        truncated: length > self.size,
                        drops: None,
                    }
                })
        }

        /// Bytes of memory this holds at the most.
        pub fn memory(&self) -> usize {
            self.bytes.len() + self.capacity * size_of::<(usize, SocketAddr)>()
        }
    }
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    /// What a batch holds: bytes, sender's port, cut off.
    fn held(batch: &Batch) -> Vec<(Vec<u8>, u16, bool)> {
        let all = batch.iter().map(|d| {
            let from = d.from.expect("a sender");
            (d.bytes.to_vec(), from.port(), d.truncated)
        });
        all.collect()
    }

    #[test]
    fn one_by_one_is_the_same_as_many_at_once() {
        let local = SocketAddr::from(([127, 0, 0, 1], 0));
        let socket = Socket::bind(local, &Options::default()).unwrap();
        let sender = UdpSocket::bind(local).unwrap();
        let send = || {
            for length in [4_usize, 0, 9, 8] {
                let bytes = vec![length as u8; length];
                sender.send_to(&bytes, socket.local().unwrap()).unwrap();
            }
        };
        let mut many = Batch::new(3, 8);
        let mut one = Batch::new(3, 8);
        one.single();
        send();
        assert_eq!(many.receive(&socket).unwrap(), 3);
        let first = held(&many);
        assert_eq!(many.receive(&socket).unwrap(), 1);
        let second = held(&many);
        assert_eq!(many.receive(&socket).unwrap(), 0);
        assert!(first[2].2 && first[2].0.len() == 8 && first[1].0.is_empty());
        send();
        assert_eq!(one.receive(&socket).unwrap(), 3);
        assert_eq!(held(&one), first);
        assert_eq!(one.receive(&socket).unwrap(), 1);
        assert_eq!(held(&one), second);
        assert_eq!(one.receive(&socket).unwrap(), 0);
        assert_eq!(first[0].1, sender.local_addr().unwrap().port());
    }
}
