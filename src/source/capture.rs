//! Live capture on Linux, through a ring shared with the kernel. Not for other systems and not
//! for files: `libpcap` and `savefile` do those.
//!
//! Ethernet and loopback interfaces give whole Ethernet frames. On everything else (PPP, tunnels,
//! radio, and on `any`, where kinds are mixed) the kernel takes the link layer off, and what it
//! knew about it is put in front as a Linux cooked header v2 (`LINKTYPE_LINUX_SLL2`), so that the
//! decoder learns protocol, interface and direction.
//!
//! A VLAN tag that hardware or kernel took off is put back into the frame, in the ring itself.
//! On a loopback interface a frame is seen once, as it comes in.
//!
//! With `fanout` several sources share an interface by flow hash, both directions of a flow
//! together. Fragments of a datagram go together with each other, but not always with the rest
//! of their flow.

use super::{Frame, Link, Loss, Opener, Peer, Progress, Source, SourceError};
use crate::base::options::Options;
use crate::base::time::Nanos;
use crate::sys::plain::Plain;
use crate::sys::ring::{self, Packet, Ring};
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::Duration;

pub use crate::sys::ring::RawInsn;

/// Which frames, as seen from this machine.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Direction {
    /// All.
    #[default]
    Both,
    /// Received ones.
    In,
    /// Sent ones.
    Out,
}

/// What to capture.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CaptureConfig {
    /// Name of an interface, or `any` for all of them.
    pub interface: String,
    /// Bytes of a frame that are kept; the rest is known by its length alone.
    pub snap: u32,
    /// Take frames to others as well, where the hardware can; without effect on `any`.
    pub promiscuous: bool,
    /// Memory of the ring, in bytes; locked in RAM by the kernel.
    pub memory: usize,
    /// Sent frames, received ones, or both.
    pub direction: Direction,
    /// A first filter, run by the kernel: a program for Ethernet frames, empty for none.
    ///
    /// It saves work and does not decide: frames whose VLAN tag was taken off pass it, and it is
    /// not used where frames are cooked. Run the same filter on what comes out.
    pub filter: Vec<RawInsn>,
    /// Which interface frames are said to have come by, in place of the one that the system says.
    pub index: Option<u32>,
    /// Share the interface's frames with the other sources of this number. A number is taken by
    /// one program on one interface; the process id will do.
    pub fanout: Option<u16>,
}

impl Default for CaptureConfig {
    fn default() -> Self {
        Self {
            interface: "any".to_owned(),
            snap: 262_144,
            promiscuous: true,
            memory: 8 << 20,
            direction: Direction::Both,
            filter: Vec::new(),
            index: None,
            fanout: None,
        }
    }
}

/// What the frames of this interface will begin with: [`Link::Ethernet`] or [`Link::LinuxSll2`].
///
/// # Errors
/// When there is no such interface.
pub fn link(interface: &str) -> Result<Link, SourceError> {
    Ok(place(interface)?.1)
}

/// The index of the interface (0 for all) and how its frames are handed out.
fn place(interface: &str) -> Result<(u32, Link), SourceError> {
    if interface == "any" {
        return Ok((0, Link::LinuxSll2));
    }
    let found = ring::interface(interface)
        .map_err(|e| io::Error::new(e.kind(), format!("interface {interface}: {e}")))?;
    let ethernet = matches!(found.hardware, libc::ARPHRD_ETHER | libc::ARPHRD_LOOPBACK);
    Ok((
        found.index,
        if ethernet {
            Link::Ethernet
        } else {
            Link::LinuxSll2
        },
    ))
}

/// Where the frames come from.
enum Tap {
    Ring(Ring),
    /// A system call for each frame, where the kernel has no ring.
    Plain(Plain),
}

impl Tap {
    fn is_ready(&self) -> bool {
        match self {
            Self::Ring(ring) => ring.is_ready(),
            Self::Plain(plain) => plain.is_ready(),
        }
    }
}

/// An interface that is listened to.
pub struct CaptureSource {
    tap: Tap,
    link: Link,
    direction: Direction,
    index: Option<u32>,
    name: String,
}

impl CaptureSource {
    /// Opens the ring and starts to capture.
    ///
    /// # Errors
    /// When the interface is not there or is down, or the system refuses; the message says what
    /// to do about a refusal. Trying again later is in order.
    pub fn open(config: &CaptureConfig) -> Result<Self, SourceError> {
        Self::with(config, |options| match Ring::open(options) {
            Err(e) if e.kind() == io::ErrorKind::Unsupported => {
                let name = &config.interface;
                log::warn!("capture on {name}: no packet ring here ({e}); frame by frame instead");
                Plain::open(options).map(Tap::Plain)
            }
            opened => opened.map(Tap::Ring),
        })
    }

    /// As [`Self::open`], as on a kernel that has no rings.
    ///
    /// # Errors
    /// As [`Self::open`].
    pub fn open_plain(config: &CaptureConfig) -> Result<Self, SourceError> {
        Self::with(config, |options| Plain::open(options).map(Tap::Plain))
    }

    fn with(
        config: &CaptureConfig,
        open: impl Fn(&ring::Options<'_>) -> io::Result<Tap>,
    ) -> Result<Self, SourceError> {
        let (interface, link) = place(&config.interface)?;
        let cooked = link != Link::Ethernet;
        let tap = open(&ring::Options {
            interface,
            cooked,
            promiscuous: config.promiscuous,
            memory: config.memory,
            // Zero would keep no frame at all.
            snap: config.snap.max(1),
            filter: if cooked { &[] } else { &config.filter },
            fanout: config.fanout,
        })
        .map_err(|e| explain(&config.interface, &e))?;
        let name = config.interface.clone();
        Ok(Self {
            tap,
            link,
            direction: config.direction,
            index: config.index,
            name,
        })
    }

    /// What the frames begin with.
    pub fn link(&self) -> Link {
        self.link
    }

    /// Memory that is shared with the kernel or read into, in bytes.
    pub fn memory(&self) -> usize {
        match &self.tap {
            Tap::Ring(ring) => ring.memory(),
            Tap::Plain(plain) => plain.memory(),
        }
    }
}

fn explain(interface: &str, e: &io::Error) -> io::Error {
    let hint = match e.raw_os_error() {
        Some(libc::EPERM | libc::EACCES) => {
            " (needs CAP_NET_RAW: run as root, or `setcap cap_net_raw+ep` the program)"
        }
        Some(libc::ENETDOWN) => " (the interface has gone or is down)",
        Some(libc::ENOMEM) => " (no memory for the ring: make it smaller)",
        _ => "",
    };
    io::Error::new(e.kind(), format!("capture on {interface}: {e}{hint}"))
}

impl Source for CaptureSource {
    fn fd(&self) -> Option<i32> {
        Some(match &self.tap {
            Tap::Ring(ring) => ring.fd(),
            Tap::Plain(plain) => plain.fd(),
        })
    }

    fn read(&mut self, to: &mut dyn FnMut(&Frame<'_>)) -> Result<Progress, SourceError> {
        let (link, direction, index) = (self.link, self.direction, self.index);
        let hand_out = |packet: Packet<'_>| {
            if !wanted(&packet, direction) {
                return;
            }
            let from = Peer {
                iface: index.unwrap_or(packet.interface),
                ..Peer::NONE
            };
            let time = Nanos::new(u64::from(packet.seconds), packet.nanos);
            let length = packet.length;
            let (bytes, added) = if link == Link::Ethernet {
                ethernet(packet)
            } else {
                cooked(packet)
            };
            // Segments that the hardware has glued together may be longer than the kernel says.
            let captured = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
            let wire_len = length.saturating_add(added).max(captured);
            to(&Frame {
                bytes,
                wire_len,
                link,
                time,
                from,
            });
        };
        let read = match &mut self.tap {
            Tap::Ring(ring) => ring.read(hand_out),
            Tap::Plain(plain) => plain.read(hand_out),
        };
        match read {
            Ok(true) if self.tap.is_ready() => Ok(Progress::More),
            Ok(_) => Ok(Progress::Idle),
            Err(e) => Err(explain(&self.name, &e).into()),
        }
    }

    fn lag(&self) -> Duration {
        match &self.tap {
            Tap::Ring(_) => ring::LAG,
            Tap::Plain(_) => Duration::ZERO,
        }
    }

    fn loss(&self) -> Loss {
        Loss {
            kernel: match &self.tap {
                Tap::Ring(ring) => ring.dropped(),
                Tap::Plain(plain) => plain.dropped(),
            },
            ..Loss::default()
        }
    }
}

fn wanted(packet: &Packet<'_>, direction: Direction) -> bool {
    let sent = packet.kind == libc::PACKET_OUTGOING;
    // What loopback sends it receives as well.
    if sent && packet.hardware == libc::ARPHRD_LOOPBACK {
        return false;
    }
    match direction {
        Direction::Both => true,
        Direction::In => !sent,
        Direction::Out => sent,
    }
}

/// An Ethernet frame with its VLAN tag where it was, and the number of bytes that were added.
fn ethernet(packet: Packet<'_>) -> (&[u8], u32) {
    const ADDRESSES: usize = 12;
    const TAG: usize = 4;
    let Packet {
        area, start, vlan, ..
    } = packet;
    let whole = (start.checked_sub(TAG), start.checked_add(ADDRESSES));
    if let (Some((identifier, tag)), (Some(from), Some(end))) = (vlan, whole)
        && let Some(head) = area.get_mut(from..end)
    {
        // The addresses move forward, the tag fills the gap behind them.
        head.copy_within(TAG.., 0);
        if let Some(gap) = head.last_chunk_mut::<TAG>() {
            let ([a, b], [c, d]) = (identifier.to_be_bytes(), tag.to_be_bytes());
            *gap = [a, b, c, d];
        }
        return (area.get(from..).unwrap_or_default(), TAG as u32);
    }
    (area.get(start..).unwrap_or_default(), 0)
}

/// A packet behind a Linux cooked header v2, and the number of bytes that were added.
fn cooked(packet: Packet<'_>) -> (&[u8], u32) {
    const HEADER: usize = 20;
    let Packet {
        area,
        start,
        vlan,
        protocol,
        ..
    } = packet;
    let mut header = [0_u8; HEADER + 4];
    let mut used = 0;
    let first = vlan.map_or(protocol, |(identifier, _)| identifier);
    let mut put = |bytes: &[u8]| {
        if let Some(room) = header
            .get_mut(used..)
            .and_then(|h| h.get_mut(..bytes.len()))
        {
            room.copy_from_slice(bytes);
        }
        used = used.saturating_add(bytes.len());
    };
    put(&first.to_be_bytes());
    put(&[0, 0]);
    put(&packet.interface.to_be_bytes());
    put(&packet.hardware.to_be_bytes());
    put(&[packet.kind, packet.address_len]);
    put(&packet.address);
    if let Some((_, tag)) = vlan {
        put(&tag.to_be_bytes());
        put(&protocol.to_be_bytes());
    }
    let header = header.get(..used).unwrap_or_default();
    let from = start.saturating_sub(used);
    // The ring leaves more room than that before every frame; see `ring::Packet::start`.
    if let Some(room) = area.get_mut(from..start).filter(|room| room.len() == used) {
        room.copy_from_slice(header);
    }
    (area.get(from..).unwrap_or_default(), used as u32)
}

impl Opener for CaptureConfig {
    fn open(&self) -> Result<Box<dyn Source>, SourceError> {
        Ok(Box::new(CaptureSource::open(self)?))
    }

    fn memory(&self) -> usize {
        ring::memory(self.memory)
    }

    fn datagrams(&self) -> bool {
        false
    }

    fn shares(&self) -> bool {
        true
    }
}

/// Reads the settings of an input of kind `capture`: `interface`, `snap`, `promiscuous`, `ring`
/// (bytes, for each worker), `direction`, `index`.
pub fn parse(options: &mut Options, workers: usize) -> Option<Arc<dyn Opener>> {
    let usual = CaptureConfig::default();
    let interface = options.required("interface", "eth0");
    let snap = options.number("snap", 64, u64::from(usual.snap));
    let promiscuous = options.flag("promiscuous");
    let memory = options.size("ring");
    let directions = [
        ("both", Direction::Both),
        ("in", Direction::In),
        ("out", Direction::Out),
    ];
    let direction = options.choice("direction", &directions);
    let index = options.number("index", 0, u64::from(u32::MAX));
    Some(Arc::new(CaptureConfig {
        interface: interface?,
        index: index.and_then(|n| u32::try_from(n).ok()),
        snap: snap
            .and_then(|n| u32::try_from(n).ok())
            .unwrap_or(usual.snap),
        promiscuous: promiscuous.unwrap_or(usual.promiscuous),
        memory: memory
            .and_then(|n| usize::try_from(n).ok())
            .unwrap_or(usual.memory),
        direction: direction.unwrap_or_default(),
        filter: Vec::new(),
        fanout: (workers > 1).then(group),
    }))
}

/// A number for a fan-out group that no other program is likely to have.
fn group() -> u16 {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let [high, low, ..] = std::process::id().to_le_bytes();
    u16::from_le_bytes([high, low]).wrapping_add(NEXT.fetch_add(1, Ordering::Relaxed))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn packet(area: &mut [u8], vlan: Option<(u16, u16)>) -> Packet<'_> {
        Packet {
            area,
            start: 32,
            length: 100,
            seconds: 1,
            nanos: 2,
            vlan,
            protocol: 0x0800,
            interface: 3,
            hardware: libc::ARPHRD_ETHER,
            kind: libc::PACKET_OUTGOING,
            address_len: 6,
            address: [9, 8, 7, 6, 5, 4, 0, 0],
        }
    }

    fn area(data: &[u8]) -> Vec<u8> {
        [&[0xee; 32], data].concat()
    }

    #[test]
    fn the_tag_comes_back() {
        let frame = [1, 2, 3, 4, 5, 6, 11, 12, 13, 14, 15, 16, 8, 0, 0x45];
        let mut bytes = area(&frame);
        assert_eq!(ethernet(packet(&mut bytes, None)), (&frame[..], 0));
        let want = [
            1, 2, 3, 4, 5, 6, 11, 12, 13, 14, 15, 16, 0x88, 0xa8, 0x20, 7, 8, 0, 0x45,
        ];
        let got = ethernet(packet(&mut bytes, Some((0x88a8, 0x2007))));
        assert_eq!(got, (&want[..], 4));
        // Cut off within the addresses: nowhere to put it.
        let mut short = area(&frame[..11]);
        assert_eq!(
            ethernet(packet(&mut short, Some((0x8100, 1)))),
            (&frame[..11], 0)
        );
    }

    #[test]
    fn cooked_frames_say_what_the_kernel_knew() {
        let mut bytes = area(&[0x45, 0]);
        let head = [0, 0, 0, 3, 0, 1, 4, 6, 9, 8, 7, 6, 5, 4, 0, 0];
        let mut whole = vec![8, 0, 0, 0];
        whole.extend_from_slice(&head);
        whole.extend_from_slice(&[0x45, 0]);
        assert_eq!(cooked(packet(&mut bytes, None)), (&whole[..], 20));
        whole[..2].copy_from_slice(&[0x81, 0]);
        whole.splice(20..20, [0, 5, 8, 0]);
        assert_eq!(
            cooked(packet(&mut bytes, Some((0x8100, 5)))),
            (&whole[..], 24)
        );
    }

    #[test]
    fn directions() {
        let mut bytes = area(&[]);
        let mut p = packet(&mut bytes, None);
        assert!(wanted(&p, Direction::Both) && wanted(&p, Direction::Out));
        assert!(!wanted(&p, Direction::In));
        p.hardware = libc::ARPHRD_LOOPBACK;
        assert!(!wanted(&p, Direction::Both) && !wanted(&p, Direction::Out));
        p.kind = libc::PACKET_HOST;
        assert!(wanted(&p, Direction::Both) && wanted(&p, Direction::In));
    }

    #[test]
    fn an_interface_that_is_not_there_is_named() {
        let config = CaptureConfig {
            interface: "nosuch0".into(),
            ..CaptureConfig::default()
        };
        let error = CaptureSource::open(&config).err().unwrap().to_string();
        assert!(error.contains("nosuch0"), "{error}");
        assert_eq!(link("any").unwrap(), Link::LinuxSll2);
        assert_eq!(link("lo").unwrap(), Link::Ethernet);
    }

    #[test]
    fn settings_become_a_capture() {
        use crate::base::options::{Place, Raw};
        let mut good = Options::new("input.lan", Place::default());
        good.set("interface", Raw::Text("nosuch0".into()));
        good.set("ring", Raw::Text("1 MiB".into()));
        good.set("direction", Raw::Text("in".into()));
        good.set("promiscuous", Raw::Bool(false));
        let opener = parse(&mut good, 2).unwrap();
        assert_eq!(good.finish(), []);
        assert_eq!(opener.memory(), 1 << 20);
        assert!(opener.shares() && !opener.datagrams());
        assert!(opener.open().err().unwrap().to_string().contains("nosuch0"));
        let mut bad = Options::new("input.lan", Place::default());
        assert!(parse(&mut bad, 1).is_none());
        assert!(bad.finish()[0].message.contains("needs `interface`"));
    }
}
