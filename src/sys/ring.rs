//! Linux' packet socket with a TPACKET_V3 ring: frames in memory shared with the kernel, a block
//! of them at a time. Receiving only. `packet(7)` and the kernel's `packet_mmap.rst` describe it.
//!
//! No C structure with a `timeval` is involved, so the layouts hold on every target.

use std::cell::Cell;
use std::ffi::CString;
use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

/// Bytes in front of every frame that the kernel leaves to us, beside its own gap.
pub(super) const RESERVE: u32 = 32;

/// A block is handed over when it is full or this many milliseconds after its first frame.
pub const RETIRE_MS: u32 = 100;

/// After this time at the latest a frame that has arrived can be read: the kernel looks at a block
/// once in [`RETIRE_MS`], and hands it over when it was the same the time before.
pub const LAG: Duration = Duration::from_millis(RETIRE_MS as u64 * 2);

/// Where in a block's header its status stands (`struct tpacket_block_desc`).
const STATUS: usize = 8;

/// The largest block; a larger one only makes the kernel's search for memory harder.
const BLOCK: usize = 1 << 20;

/// One instruction of classic BPF (`struct sock_filter`), numbers in native order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub struct RawInsn {
    /// Class, size, mode and operation.
    pub code: u16,
    /// Instructions to skip when a condition holds.
    pub jt: u8,
    /// Instructions to skip when it does not.
    pub jf: u8,
    /// The operand.
    pub k: u32,
}

const _: () = assert!(size_of::<RawInsn>() == size_of::<libc::sock_filter>());

/// What is known of a network interface.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Interface {
    /// Its number, from 1.
    pub index: u32,
    /// What kind of hardware, as the `ARPHRD_…` numbers have it.
    pub hardware: u16,
}

/// Looks up an interface by its name.
///
/// # Errors
/// When there is none of that name.
pub fn interface(name: &str) -> io::Result<Interface> {
    let c_name = CString::new(name)?;
    // SAFETY: a C string that lives through the call.
    let index = unsafe { libc::if_nametoindex(c_name.as_ptr()) };
    if index == 0 {
        return Err(io::Error::last_os_error());
    }
    let socket = std::net::UdpSocket::bind((std::net::Ipv4Addr::UNSPECIFIED, 0))?;
    // SAFETY: an all-zero ifreq is valid; its name stays zero-terminated, as if_nametoindex has
    // taken the name it is shorter than IFNAMSIZ; SIOCGIFHWADDR reads that and fills in the union.
    let hardware = unsafe {
        let mut request: libc::ifreq = std::mem::zeroed();
        for (to, from) in request.ifr_name.iter_mut().zip(c_name.as_bytes()) {
            *to = *from as libc::c_char;
        }
        super::check(libc::ioctl(
            socket.as_raw_fd(),
            libc::SIOCGIFHWADDR as _,
            &raw mut request,
        ))?;
        request.ifr_ifru.ifru_hwaddr.sa_family
    };
    Ok(Interface { index, hardware })
}

/// How a ring is opened.
#[derive(Clone, Copy, Debug)]
pub struct Options<'a> {
    /// Number of the interface; 0 for all of them.
    pub interface: u32,
    /// Without link layer header: the kernel takes it off and says what it was.
    pub cooked: bool,
    /// Ask the hardware for frames to others as well.
    pub promiscuous: bool,
    /// Memory of the ring, in bytes.
    pub memory: usize,
    /// Bytes of a frame that are kept.
    pub snap: u32,
    /// Runs in the kernel; returns how many bytes to keep, 0 for none.
    pub filter: &'a [RawInsn],
    /// Share the frames with the other sockets of this group, by flow.
    pub fanout: Option<u16>,
}

/// A frame in the ring.
#[derive(Debug)]
pub struct Packet<'a> {
    /// Room before the frame that may be written to, and the captured bytes.
    pub area: &'a mut [u8],
    /// Where in `area` the captured bytes begin; at least 32.
    pub start: usize,
    /// Length before truncation, in bytes.
    pub length: u32,
    /// Seconds since 1970, UTC.
    pub seconds: u32,
    /// And nanoseconds.
    pub nanos: u32,
    /// VLAN tag that is not in the bytes any more: protocol identifier and tag.
    pub vlan: Option<(u16, u16)>,
    /// Ethernet type of what follows the link layer header.
    pub protocol: u16,
    /// Number of the interface.
    pub interface: u32,
    /// `ARPHRD_…` of the interface.
    pub hardware: u16,
    /// `PACKET_…`: to us, to all, to others, from us.
    pub kind: u8,
    /// Length of the sender's link layer address.
    pub address_len: u8,
    /// The sender's link layer address.
    pub address: [u8; 8],
}

/// An open ring.
pub struct Ring {
    map: Map,
    socket: OwnedFd,
    block: usize,
    count: usize,
    next: usize,
    drops: Cell<u64>,
    /// An error of the socket that waits until what is in the ring has been handed out.
    failed: Option<io::Error>,
}

impl Ring {
    /// Opens a packet socket with a ring and starts it.
    ///
    /// # Errors
    /// What the system says; `PermissionDenied` without CAP_NET_RAW, `ENETDOWN` when the
    /// interface is down, `Unsupported` when the system has no such rings.
    pub fn open(options: &Options<'_>) -> io::Result<Self> {
        let socket = open(options)?;
        let fd = socket.as_raw_fd();
        let version = libc::tpacket_versions::TPACKET_V3 as libc::c_int;
        super::set_option(fd, libc::SOL_PACKET, libc::PACKET_VERSION, &version).map_err(absent)?;
        super::set_option(fd, libc::SOL_PACKET, libc::PACKET_RESERVE, &RESERVE).map_err(absent)?;

        let (block, count) = shape(options.memory, super::memory::page());
        let frame = 2048.min(block);
        let request = libc::tpacket_req3 {
            tp_block_size: block as libc::c_uint,
            tp_block_nr: count as libc::c_uint,
            tp_frame_size: frame as libc::c_uint,
            tp_frame_nr: (block / frame * count) as libc::c_uint,
            tp_retire_blk_tov: RETIRE_MS,
            tp_sizeof_priv: 0,
            tp_feature_req_word: 0,
        };
        super::set_option(fd, libc::SOL_PACKET, libc::PACKET_RX_RING, &request).map_err(absent)?;
        let map = Map::new(fd, block * count).map_err(absent)?;
        start(fd, options)?;
        let ring = Self {
            map,
            socket,
            block,
            count,
            next: 0,
            drops: Cell::new(0),
            failed: None,
        };
        ring.dropped();
        Ok(ring)
    }

    /// The descriptor to wait on.
    pub fn fd(&self) -> RawFd {
        self.socket.as_raw_fd()
    }

    /// Memory of the ring, in bytes.
    pub fn memory(&self) -> usize {
        self.block * self.count
    }

    /// Hands out the frames of the next block, if the kernel has filled one; true when it had.
    ///
    /// # Errors
    /// `ENETDOWN` when the interface has gone or is down, after what was captured before.
    pub fn read(&mut self, to: impl FnMut(Packet<'_>)) -> io::Result<bool> {
        if !self.is_ready() {
            if let Some(error) = self.failed.take() {
                return Err(error);
            }
            self.failed = error(self.fd())?;
            if self.failed.is_none() {
                return Ok(false);
            }
            // What was captured last is handed over when its block's time is up.
            std::thread::sleep(LAG);
            if !self.is_ready() {
                return self.failed.take().map_or(Ok(false), Err);
            }
        }
        frames(self.map.block(self.next * self.block, self.block), to);
        self.map
            .status(self.next * self.block)
            .store(libc::TP_STATUS_KERNEL, Ordering::Release);
        self.next = (self.next + 1) % self.count;
        Ok(true)
    }

    /// Whether the next block is there to be read.
    pub fn is_ready(&self) -> bool {
        let status = self
            .map
            .status(self.next * self.block)
            .load(Ordering::Acquire);
        status & libc::TP_STATUS_USER != 0
    }

    /// Frames the kernel has dropped for want of room, since opening.
    pub fn dropped(&self) -> u64 {
        let news = drops(self.fd());
        self.drops.set(self.drops.get().saturating_add(news));
        self.drops.get()
    }
}

/// A packet socket that receives nothing yet.
pub(super) fn open(options: &Options<'_>) -> io::Result<OwnedFd> {
    let kind = if options.cooked {
        libc::SOCK_DGRAM
    } else {
        libc::SOCK_RAW
    };
    // Protocol 0: nothing arrives before the filter is in place and the socket is bound.
    // SAFETY: no memory involved.
    let fd = super::check(unsafe { libc::socket(libc::AF_PACKET, kind | libc::SOCK_CLOEXEC, 0) })?;
    // SAFETY: just opened, nobody else has it.
    let socket = unsafe { OwnedFd::from_raw_fd(fd) };
    attach(fd, &program(options.filter, options.snap))?;
    Ok(socket)
}

/// Lets it receive.
pub(super) fn start(fd: RawFd, options: &Options<'_>) -> io::Result<()> {
    if options.promiscuous && options.interface != 0 {
        promiscuous(fd, options.interface)?;
    }
    bind(fd, options.interface)?;
    if let Some(error) = error(fd)? {
        return Err(error);
    }
    if let Some(group) = options.fanout {
        let argument = u32::from(group) | (libc::PACKET_FANOUT_HASH << 16);
        super::set_option(fd, libc::SOL_PACKET, libc::PACKET_FANOUT, &argument)?;
    }
    Ok(())
}

/// An error that waits at the socket.
fn error(fd: RawFd) -> io::Result<Option<io::Error>> {
    let mut error = 0_i32;
    super::get_option(fd, libc::SOL_SOCKET, libc::SO_ERROR, &mut error)?;
    Ok((error != 0).then(|| io::Error::from_raw_os_error(error)))
}

/// Frames dropped for want of room since this was asked last: reading sets the kernel's numbers
/// back to zero.
pub(super) fn drops(fd: RawFd) -> u64 {
    let mut stats = libc::tpacket_stats_v3 {
        tp_packets: 0,
        tp_drops: 0,
        tp_freeze_q_cnt: 0,
    };
    let known = super::get_option(fd, libc::SOL_PACKET, libc::PACKET_STATISTICS, &mut stats);
    known.map_or(0, |_| u64::from(stats.tp_drops))
}

/// What is said of a ring, or of its third version, by a system that has none.
fn absent(e: io::Error) -> io::Error {
    match e.raw_os_error() {
        Some(libc::EINVAL | libc::ENOPROTOOPT | libc::EOPNOTSUPP | libc::ENOSYS | libc::ENODEV) => {
            io::Error::new(io::ErrorKind::Unsupported, e)
        }
        _ => e,
    }
}

/// What a ring will take when it is given so many bytes.
pub fn memory(bytes: usize) -> usize {
    let (block, count) = shape(bytes, super::memory::page());
    block * count
}

/// Size and number of blocks for so much memory: an eighth each, between a page and a MiB. A
/// frame has to fit into a block; what is longer is captured in part.
fn shape(memory: usize, page: usize) -> (usize, usize) {
    let eighth = (memory / 8).max(page);
    let block = (1_usize << eighth.ilog2()).clamp(page, BLOCK.max(page));
    (block, (memory / block).clamp(2, 4096))
}

/// The filter as it is attached: first lets through every frame whose VLAN tag was taken off,
/// since the program would look for that tag in the bytes; then the program, with no accepting
/// instruction keeping more than the snap length.
fn program(filter: &[RawInsn], snap: u32) -> Vec<RawInsn> {
    const LOAD: u16 = 0x20; // BPF_LD | BPF_W | BPF_ABS
    const IS: u16 = 0x15; // BPF_JMP | BPF_JEQ | BPF_K
    const RETURN: u16 = 0x06; // BPF_RET | BPF_K
    const TAG_PRESENT: u32 = 0xffff_f000 + 48; // SKF_AD_OFF + SKF_AD_VLAN_TAG_PRESENT
    let accept = RawInsn {
        code: RETURN,
        jt: 0,
        jf: 0,
        k: snap,
    };
    if filter.is_empty() {
        return vec![accept];
    }
    let mut whole = vec![
        RawInsn {
            code: LOAD,
            jt: 0,
            jf: 0,
            k: TAG_PRESENT,
        },
        RawInsn {
            code: IS,
            jt: 1,
            jf: 0,
            k: 0,
        },
        accept,
    ];
    whole.extend(filter.iter().map(|insn| match insn.code {
        RETURN => RawInsn {
            k: insn.k.min(snap),
            ..*insn
        },
        _ => *insn,
    }));
    whole
}

fn attach(fd: RawFd, program: &[RawInsn]) -> io::Result<()> {
    let len = u16::try_from(program.len()).map_err(|_| io::ErrorKind::InvalidInput)?;
    // The kernel copies the program; it does not write to it.
    let argument = libc::sock_fprog {
        len,
        filter: program.as_ptr().cast_mut().cast(),
    };
    super::set_option(fd, libc::SOL_SOCKET, libc::SO_ATTACH_FILTER, &argument)
}

fn promiscuous(fd: RawFd, interface: u32) -> io::Result<()> {
    let request = libc::packet_mreq {
        mr_ifindex: interface as libc::c_int,
        mr_type: libc::PACKET_MR_PROMISC as libc::c_ushort,
        mr_alen: 0,
        mr_address: [0; 8],
    };
    super::set_option(fd, libc::SOL_PACKET, libc::PACKET_ADD_MEMBERSHIP, &request)
}

fn bind(fd: RawFd, interface: u32) -> io::Result<()> {
    // SAFETY: an all-zero sockaddr_ll is valid; pointer and length describe the local variable.
    let r = unsafe {
        let mut at: libc::sockaddr_ll = std::mem::zeroed();
        at.sll_family = libc::AF_PACKET as libc::c_ushort;
        at.sll_protocol = (libc::ETH_P_ALL as u16).to_be();
        at.sll_ifindex = interface as libc::c_int;
        libc::bind(
            fd,
            (&raw const at).cast(),
            size_of_val(&at) as libc::socklen_t,
        )
    };
    super::check(r).map(|_| ())
}

/// Walks the frames of a block that is ours. The numbers are the kernel's and native; each is
/// checked against the block all the same, and the walk ends at the first that makes no sense.
fn frames(block: &mut [u8], mut to: impl FnMut(Packet<'_>)) {
    let number = |at: usize| {
        let bytes = block.get(at..at + 4).and_then(|b| b.first_chunk::<4>());
        bytes.map_or(0, |b| u32::from_ne_bytes(*b))
    };
    let count = number(STATUS + 4);
    let mut at = number(STATUS + 8) as usize;
    for _ in 0..count {
        let Some(rest) = block.get_mut(at..) else {
            return;
        };
        let Some((packet, next)) = frame(rest) else {
            return;
        };
        to(packet);
        if next == 0 {
            return;
        }
        at = at.saturating_add(next);
    }
}

/// The frame that begins here (`tpacket3_hdr`, `sockaddr_ll` at 48) and the distance to the next.
fn frame(bytes: &mut [u8]) -> Option<(Packet<'_>, usize)> {
    const HEAD: usize = 68;
    let (head, area) = bytes.split_first_chunk_mut::<HEAD>()?;
    let head = &*head;
    let wide = |at: usize| u32::from_ne_bytes([head[at], head[at + 1], head[at + 2], head[at + 3]]);
    let short = |at: usize| u16::from_ne_bytes([head[at], head[at + 1]]);
    let (captured, status) = (wide(12) as usize, wide(20));
    // tp_mac counts from the beginning of the header; without link layer it equals tp_net.
    let start = usize::from(short(24)).checked_sub(HEAD)?;
    let area = area.get_mut(..start.checked_add(captured)?)?;
    let vlan = (status & libc::TP_STATUS_VLAN_VALID != 0).then(|| {
        let known = status & libc::TP_STATUS_VLAN_TPID_VALID != 0;
        (if known { short(36) } else { 0x8100 }, wide(32) as u16)
    });
    let mut address = [0; 8];
    address.copy_from_slice(&head[60..68]);
    let packet = Packet {
        area,
        start,
        length: wide(16),
        seconds: wide(4),
        nanos: wide(8),
        vlan,
        protocol: u16::from_be(short(50)),
        interface: wide(52),
        hardware: short(56),
        kind: head[58],
        address_len: head[59],
        address,
    };
    Some((packet, wide(0) as usize))
}

/// The shared memory.
struct Map {
    base: *mut u8,
    len: usize,
}

// SAFETY: memory of the process, not tied to a thread.
unsafe impl Send for Map {}

impl Map {
    fn new(fd: RawFd, len: usize) -> io::Result<Self> {
        // SAFETY: a fresh mapping at a place of the kernel's choice.
        let base = unsafe {
            let protection = libc::PROT_READ | libc::PROT_WRITE;
            libc::mmap(
                std::ptr::null_mut(),
                len,
                protection,
                libc::MAP_SHARED,
                fd,
                0,
            )
        };
        if base == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        Ok(Self {
            base: base.cast(),
            len,
        })
    }

    /// The status word of the block at `offset`, which both sides write to.
    fn status(&self, offset: usize) -> &AtomicU32 {
        assert!(offset + STATUS + 4 <= self.len);
        // SAFETY: within the mapping, as just asserted; blocks begin at page boundaries and STATUS
        // is a multiple of four. `block` borrows mutably, so no slice over these bytes is alive.
        unsafe { AtomicU32::from_ptr(self.base.add(offset + STATUS).cast()) }
    }

    /// A block that the kernel has handed over and does not touch until it is handed back.
    fn block(&mut self, offset: usize, len: usize) -> &mut [u8] {
        assert!(offset + len <= self.len);
        // SAFETY: within the mapping; `&mut self` keeps every other reference of ours away, and
        // the callers have seen TP_STATUS_USER, so that the kernel keeps away as well.
        unsafe { std::slice::from_raw_parts_mut(self.base.add(offset), len) }
    }
}

impl Drop for Map {
    fn drop(&mut self) {
        // SAFETY: the mapping made in `new`; nothing borrows from it any more.
        unsafe { libc::munmap(self.base.cast(), self.len) };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_becomes_blocks() {
        assert_eq!(shape(8 << 20, 4096), (1 << 20, 8));
        assert_eq!(shape(64 << 20, 4096), (1 << 20, 64));
        assert_eq!(shape(2 << 20, 4096), (256 << 10, 8));
        assert_eq!(shape(3 << 20, 4096), (256 << 10, 12));
        assert_eq!(shape(0, 4096), (4096, 2));
        assert_eq!(shape(1 << 20, 65_536), (131_072, 8));
    }

    #[test]
    fn the_snap_length_is_in_every_accepting_instruction() {
        let insn = |code, k| RawInsn {
            code,
            jt: 0,
            jf: 0,
            k,
        };
        assert_eq!(program(&[], 96), [insn(6, 96)]);
        let got = program(&[insn(0x28, 12), insn(6, 262_144), insn(6, 0)], 96);
        assert_eq!(
            got[2..],
            [insn(6, 96), insn(0x28, 12), insn(6, 96), insn(6, 0)]
        );
        assert_eq!(got[1].jt, 1);
    }

    #[test]
    fn a_block_is_walked_within_its_bounds() {
        // Two frames of 4 bytes, at 48 and 48 + 112, each with its data at 100.
        let mut block = vec![0_u8; 48 + 112 + 104];
        let mut put = |at: usize, bytes: &[u8]| block[at..at + bytes.len()].copy_from_slice(bytes);
        put(STATUS + 4, &2_u32.to_ne_bytes());
        put(STATUS + 8, &48_u32.to_ne_bytes());
        for (at, next, byte) in [(48, 112_u32, 1_u8), (160, 0, 2)] {
            put(at, &next.to_ne_bytes());
            put(at + 4, &7_u32.to_ne_bytes());
            put(at + 12, &4_u32.to_ne_bytes());
            put(at + 16, &1500_u32.to_ne_bytes());
            put(at + 20, &(libc::TP_STATUS_VLAN_VALID).to_ne_bytes());
            put(at + 24, &100_u16.to_ne_bytes());
            put(at + 32, &42_u32.to_ne_bytes());
            put(at + 50, &0x0800_u16.to_be_bytes());
            put(at + 52, &3_u32.to_ne_bytes());
            put(at + 100, &[byte; 4]);
        }
        let mut seen = Vec::new();
        let look = |p: Packet<'_>| {
            assert_eq!((p.start, p.length, p.vlan), (32, 1500, Some((0x8100, 42))));
            assert_eq!((p.seconds, p.protocol, p.interface), (7, 0x0800, 3));
            seen.push(p.area[p.start..].to_vec());
        };
        frames(&mut block, look);
        assert_eq!(seen, [[1; 4], [2; 4]]);

        // Whatever the numbers say, nothing outside of the block is touched.
        for at in [STATUS + 8, 48, 48 + 12, 48 + 24, 160] {
            for value in [u32::MAX, 260, 67, 1 << 31] {
                let mut bad = block.clone();
                bad[at..at + 4].copy_from_slice(&value.to_ne_bytes());
                let mut seen = 0;
                frames(&mut bad, |_| seen += 1);
                assert!(seen <= 2);
            }
        }
    }
}
