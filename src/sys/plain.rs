//! Linux' packet socket without a ring, a system call for each frame: for kernels that lack the
//! ring of `ring`, or where a sandbox hides it. Receiving only.

use super::ring::{self, Options, Packet, RESERVE};
use crate::base::time::wall;
use std::cell::Cell;
use std::io;
use std::os::fd::{AsRawFd, OwnedFd, RawFd};

/// Frames handed out in one round.
const ROUND: usize = 64;

/// Longest frame: a segment that hardware has glued together, and its headers.
const FRAME: usize = 65_536 + 256;

/// `struct tpacket_auxdata`, which is five words: status, length, captured length, offsets, tag.
type Auxiliary = [u32; 5];

/// An open packet socket.
pub struct Plain {
    socket: OwnedFd,
    buffer: Box<[u8]>,
    drops: Cell<u64>,
    full: bool,
}

impl Plain {
    /// Opens a packet socket and starts it; the memory asked for goes to its receive buffer.
    ///
    /// # Errors
    /// As `Ring::open`.
    pub fn open(options: &Options<'_>) -> io::Result<Self> {
        let socket = ring::open(options)?;
        let fd = socket.as_raw_fd();
        super::set_option(fd, libc::SOL_PACKET, libc::PACKET_AUXDATA, &1_i32)?;
        super::udp::set_receive_buffer(fd, options.memory)?;
        ring::start(fd, options)?;
        ring::drops(fd);
        let snap = usize::try_from(options.snap).unwrap_or(FRAME).min(FRAME);
        Ok(Self {
            socket,
            buffer: vec![0; RESERVE as usize + snap].into_boxed_slice(),
            drops: Cell::new(0),
            full: false,
        })
    }

    /// The descriptor to wait on.
    pub fn fd(&self) -> RawFd {
        self.socket.as_raw_fd()
    }

    /// Memory of our own, in bytes.
    pub fn memory(&self) -> usize {
        self.buffer.len()
    }

    /// Hands out frames that have come, some at a time; true when there were any.
    ///
    /// # Errors
    /// `ENETDOWN` when the interface has gone or is down, after what was captured before.
    pub fn read(&mut self, mut to: impl FnMut(Packet<'_>)) -> io::Result<bool> {
        self.full = false;
        for at in 0..ROUND {
            match self.one() {
                Ok(packet) => to(packet),
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => return Ok(at > 0),
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) => return Err(e),
            }
        }
        self.full = true;
        Ok(true)
    }

    /// Whether the last round ended before the frames did.
    pub fn is_ready(&self) -> bool {
        self.full
    }

    /// Frames the kernel has dropped for want of room, since opening.
    pub fn dropped(&self) -> u64 {
        let news = ring::drops(self.fd());
        self.drops.set(self.drops.get().saturating_add(news));
        self.drops.get()
    }

    /// The next frame.
    fn one(&mut self) -> io::Result<Packet<'_>> {
        let fd = self.socket.as_raw_fd();
        let start = RESERVE as usize;
        let room = self.buffer.get_mut(start..).unwrap_or_default();
        let mut vector = libc::iovec {
            iov_base: room.as_mut_ptr().cast(),
            iov_len: room.len(),
        };
        let mut control = [0_u64; 8];
        // SAFETY: all-zero is a valid value of both structures. The header points to the address,
        // the vector and the control buffer, with their sizes; all of them outlive the call.
        let (got, from, header) = unsafe {
            let mut from: libc::sockaddr_ll = std::mem::zeroed();
            let mut header: libc::msghdr = std::mem::zeroed();
            header.msg_name = (&raw mut from).cast();
            header.msg_namelen = size_of_val(&from) as _;
            header.msg_iov = &raw mut vector;
            header.msg_iovlen = 1;
            header.msg_control = control.as_mut_ptr().cast();
            header.msg_controllen = size_of_val(&control) as _;
            let got = libc::recvmsg(fd, &raw mut header, libc::MSG_DONTWAIT);
            (got, from, header)
        };
        let Ok(captured) = usize::try_from(got) else {
            return Err(io::Error::last_os_error());
        };
        let auxiliary = auxiliary(&header).unwrap_or_default();
        let [tag, identifier] = halves(auxiliary[4]);
        let vlan = (auxiliary[0] & libc::TP_STATUS_VLAN_VALID != 0).then(|| {
            let known = auxiliary[0] & libc::TP_STATUS_VLAN_TPID_VALID != 0;
            (if known { identifier } else { 0x8100 }, tag)
        });
        let now = wall();
        let area = self.buffer.get_mut(..start + captured).unwrap_or_default();
        Ok(Packet {
            area,
            start,
            length: auxiliary[1].max(captured as u32),
            seconds: u32::try_from(now.seconds()).unwrap_or(u32::MAX),
            nanos: now.fraction(),
            vlan,
            protocol: u16::from_be(from.sll_protocol),
            interface: from.sll_ifindex as u32,
            hardware: from.sll_hatype,
            kind: from.sll_pkttype,
            address_len: from.sll_halen,
            address: from.sll_addr,
        })
    }
}

/// The two numbers of 16 bits in a word, in the order of memory.
fn halves(word: u32) -> [u16; 2] {
    let [a, b, c, d] = word.to_ne_bytes();
    [u16::from_ne_bytes([a, b]), u16::from_ne_bytes([c, d])]
}

/// What the kernel says beside the frame.
#[allow(clippy::unnecessary_cast, reason = "the field is 32 bits wide on musl")]
fn auxiliary(header: &libc::msghdr) -> Option<Auxiliary> {
    // SAFETY: the kernel filled in the control buffer and its length; the macros stay within it.
    // The payload is read unaligned and only when it has the five words.
    unsafe {
        let mut at = libc::CMSG_FIRSTHDR(header);
        while let Some(message) = at.as_ref() {
            let whole = libc::CMSG_LEN(size_of::<Auxiliary>() as u32) as usize;
            if message.cmsg_level == libc::SOL_PACKET
                && message.cmsg_type == libc::PACKET_AUXDATA
                && message.cmsg_len as usize >= whole
            {
                return Some(libc::CMSG_DATA(at).cast::<Auxiliary>().read_unaligned());
            }
            at = libc::CMSG_NXTHDR(header, at);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_tag_comes_before_its_identifier() {
        let tag: [u8; 4] = [7_u16.to_ne_bytes(), 0x88a8_u16.to_ne_bytes()].concat()[..]
            .try_into()
            .unwrap();
        assert_eq!(super::halves(u32::from_ne_bytes(tag)), [7, 0x88a8]);
    }
}
