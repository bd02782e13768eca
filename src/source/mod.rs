//! Sources bring frames in. They never look inside one.
//!
//! Adding one: a file here, a line in the registry below, a line in `Cargo.toml`.

#[cfg(feature = "src-savefile")]
pub mod again;
#[cfg(feature = "src-udp")]
pub mod allow;
#[cfg(all(feature = "src-capture", target_os = "linux"))]
pub mod capture;
#[cfg(feature = "src-gzip")]
mod gzip;
#[cfg(feature = "src-pcap")]
pub mod libpcap;
#[cfg(feature = "src-savefile")]
mod pipe;
#[cfg(feature = "src-savefile")]
pub mod savefile;
#[cfg(feature = "src-savefile")]
mod section;
#[cfg(feature = "src-udp")]
pub mod udp;

pub mod registry;

use crate::base::time::Nanos;
pub use registry::{Kind, Opener, parse};
use std::net::{IpAddr, Ipv6Addr};
use std::time::Duration;

macro_rules! registry {
    ($($name:literal: $module:ident if $feature:literal $(and $os:meta)?;)*) => {
        /// Every kind of source, built in or not.
        pub static KINDS: &[Kind] = &[$(Kind {
            name: $name,
            feature: $feature,
            #[cfg(all(feature = $feature $(, $os)?))]
            parse: Some($module::parse),
            #[cfg(not(all(feature = $feature $(, $os)?)))]
            parse: None,
        }),*];
    };
}

registry! {
    "file": savefile if "src-savefile";
    "udp": udp if "src-udp";
    "capture": capture if "src-capture" and target_os = "linux";
    "pcap": libpcap if "src-pcap";
}

/// What unpacks a gzip savefile.
#[cfg(feature = "src-savefile")]
type Unpack = fn(savefile::Raw) -> Box<dyn savefile::Input>;
/// `None` in a build that cannot.
#[cfg(feature = "src-gzip")]
const UNPACK: Option<Unpack> = Some(gzip::unpack);
/// `None` in a build that cannot.
#[cfg(all(feature = "src-savefile", not(feature = "src-gzip")))]
const UNPACK: Option<Unpack> = None;

/// What the first byte of a frame is. Link types are those of the pcap LINKTYPE registry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Link {
    /// BSD loopback, family in host order (`LINKTYPE_NULL`, 0).
    Null,
    /// Ethernet (1).
    Ethernet,
    /// Raw IPv4 or IPv6, told apart by their version (12, 14, 101).
    Raw,
    /// PPP, with or without HDLC framing (9).
    Ppp,
    /// OpenBSD loopback, family in network order (108).
    Loop,
    /// Linux cooked capture v1 (113).
    LinuxSll,
    /// Linux cooked capture v2 (276).
    LinuxSll2,
    /// PPPoE session packet without Ethernet header (51).
    PppEther,
    /// The payload of one UDP datagram, as a socket hands it out.
    Datagram,
    /// Any other number of the registry. weir decodes few of them, some because libpcap's filters
    /// tell them from a relative above: PPP in HDLC framing (50), IPv4 (228), IPv6 (229).
    Other(u16),
}

impl Link {
    /// From the number of the pcap LINKTYPE / DLT registry.
    pub fn from_linktype(number: u16) -> Self {
        match number {
            0 => Self::Null,
            1 => Self::Ethernet,
            12 | 14 | 101 => Self::Raw,
            9 => Self::Ppp,
            51 => Self::PppEther,
            108 => Self::Loop,
            113 => Self::LinuxSll,
            276 => Self::LinuxSll2,
            other => Self::Other(other),
        }
    }

    /// The registry's number, for libpcap's filter compiler.
    pub fn linktype(self) -> u16 {
        match self {
            Self::Null => 0,
            Self::Ethernet => 1,
            Self::Raw | Self::Datagram => 101,
            Self::Ppp => 9,
            Self::PppEther => 51,
            Self::Loop => 108,
            Self::LinuxSll => 113,
            Self::LinuxSll2 => 276,
            Self::Other(n) => n,
        }
    }
}

/// Who sent a frame, as far as the source knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Peer {
    /// Address of the sender of a datagram; unspecified for captured frames.
    pub ip: IpAddr,
    /// UDP source port; zero for captured frames.
    pub port: u16,
    /// Index of the interface the frame was seen on; zero when not known.
    pub iface: u32,
}

impl Peer {
    /// Nobody known.
    pub const NONE: Self = Self {
        ip: IpAddr::V6(Ipv6Addr::UNSPECIFIED),
        port: 0,
        iface: 0,
    };
}

/// One captured frame or received datagram, borrowed from the source's buffer.
#[derive(Clone, Copy, Debug)]
pub struct Frame<'a> {
    /// The captured bytes.
    pub bytes: &'a [u8],
    /// Length on the wire, in bytes; at least `bytes.len()`.
    pub wire_len: u32,
    /// What `bytes` begins with.
    pub link: Link,
    /// When it was captured or received.
    pub time: Nanos,
    /// Who sent it.
    pub from: Peer,
}

impl Frame<'_> {
    /// Bytes that were on the wire and are not here.
    pub fn missing(&self) -> usize {
        (self.wire_len as usize).saturating_sub(self.bytes.len())
    }
}

/// What one call of [`Source::read`] achieved.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Progress {
    /// Frames were delivered; there may be more at once.
    More,
    /// Nothing more for now: wait for the descriptor.
    Idle,
    /// The input has ended.
    End,
}

/// What was lost before the source could read it, since it was opened.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Loss {
    /// Frames or datagrams the kernel dropped because its buffer was full.
    pub kernel: u64,
    /// Frames or datagrams refused by the allow list.
    pub refused: u64,
    /// Frames or datagrams longer than the receive buffer.
    pub oversize: u64,
}

/// Why a source can not go on.
#[derive(Debug)]
pub enum SourceError {
    /// The system said no.
    Io(std::io::Error),
    /// The input's bytes make no sense from here on; what and where, for the log.
    Format(String),
}

impl From<std::io::Error> for SourceError {
    fn from(e: std::io::Error) -> Self {
        Self::Io(e)
    }
}

impl std::fmt::Display for SourceError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Io(e) => write!(f, "{e}"),
            Self::Format(what) => f.write_str(what),
        }
    }
}

/// Brings frames in. Never looks inside.
pub trait Source: Send {
    /// The descriptor to wait on; `None` for a file, which is always ready.
    fn fd(&self) -> Option<i32>;
    /// Hands out the frames that are ready, at the most one bounded batch of them.
    ///
    /// # Errors
    /// When the source can not go on; frames handed out before stay valid.
    fn read(&mut self, to: &mut dyn FnMut(&Frame<'_>)) -> Result<Progress, SourceError>;
    /// What was lost before us, in total since opening.
    fn loss(&self) -> Loss;
    /// How long what has arrived may take until it can be read.
    fn lag(&self) -> Duration {
        Duration::ZERO
    }
    /// Reads again what it has from files beside its settings, when maps are read again.
    fn refresh(&mut self) {}
    /// Bytes of the input consumed so far and its size where known, for a progress display.
    fn position(&self) -> Option<(u64, Option<u64>)> {
        None
    }
}
