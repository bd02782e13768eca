//! Live capture through libpcap: for systems without a packet ring of ours, and for its filters.
//! Not for files, and on Linux the second choice: `capture` needs no library.

use super::{Frame, Link, Loss, Opener, Peer, Progress, Source, SourceError};
use crate::base::options::Options;
use crate::base::time::Nanos;
use pcap::{Active, Capture};
use std::io;
use std::os::fd::AsRawFd;
use std::sync::Arc;

#[cfg(all(target_env = "musl", target_pointer_width = "32"))]
compile_error!(
    "libpcap's packet header holds a `timeval`, which Rust and C lay out differently on 32-bit \
     musl: build without `src-pcap` and capture with `src-capture`"
);

/// Frames handed out by one call of [`Source::read`].
const BATCH: usize = 256;

/// What to capture.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PcapConfig {
    /// Name of an interface, as libpcap knows it.
    pub interface: String,
    /// Bytes of a frame that are kept.
    pub snap: u32,
    /// Take frames to others as well, where the hardware can.
    pub promiscuous: bool,
    /// The kernel's buffer, in bytes.
    pub memory: usize,
    /// An expression of libpcap's; empty for all frames.
    pub filter: String,
}

impl Default for PcapConfig {
    fn default() -> Self {
        Self {
            interface: "any".to_owned(),
            snap: 262_144,
            promiscuous: true,
            memory: 8 << 20,
            filter: String::new(),
        }
    }
}

/// An interface that is listened to.
pub struct PcapSource {
    capture: Capture<Active>,
    link: Link,
    kernel: u64,
    /// libpcap's own counters, 32 bits wide, as last seen.
    last: (u32, u32),
    name: String,
}

impl PcapSource {
    /// Opens the interface and starts to capture.
    ///
    /// # Errors
    /// What libpcap says, with the interface's name.
    pub fn open(config: &PcapConfig) -> Result<Self, SourceError> {
        let open = || {
            let signed = |n: usize| i32::try_from(n).unwrap_or(i32::MAX);
            let mut capture = Capture::from_device(config.interface.as_str())?
                .snaplen(i32::try_from(config.snap.max(1)).unwrap_or(i32::MAX))
                .promisc(config.promiscuous)
                .buffer_size(signed(config.memory))
                // Milliseconds after which a buffer that is not full is handed over.
                .timeout(100)
                .open()?
                .setnonblock()?;
            if !config.filter.is_empty() {
                capture.filter(&config.filter, true)?;
            }
            Ok(capture)
        };
        let name = config.interface.clone();
        let capture = open().map_err(|e| explain(&name, &e))?;
        let number = u16::try_from(capture.get_datalink().0).unwrap_or(u16::MAX);
        Ok(Self {
            capture,
            link: Link::from_linktype(number),
            kernel: 0,
            last: (0, 0),
            name,
        })
    }

    /// What the frames begin with.
    pub fn link(&self) -> Link {
        self.link
    }

    fn count_drops(&mut self) {
        let Ok(stats) = self.capture.stats() else {
            return;
        };
        let fresh = |now: u32, before: u32| u64::from(now.wrapping_sub(before));
        let (full, hardware) = self.last;
        let lost = fresh(stats.dropped, full).saturating_add(fresh(stats.if_dropped, hardware));
        self.kernel = self.kernel.saturating_add(lost);
        self.last = (stats.dropped, stats.if_dropped);
    }
}

fn explain(interface: &str, e: &pcap::Error) -> io::Error {
    let text = e.to_string();
    let refused = ["permission", "not permitted"]
        .iter()
        .any(|w| text.to_lowercase().contains(w));
    let kind = if refused {
        io::ErrorKind::PermissionDenied
    } else {
        io::ErrorKind::Other
    };
    io::Error::new(kind, format!("capture on {interface}: {text}"))
}

impl Source for PcapSource {
    fn fd(&self) -> Option<i32> {
        Some(self.capture.as_raw_fd())
    }

    fn read(&mut self, to: &mut dyn FnMut(&Frame<'_>)) -> Result<Progress, SourceError> {
        for _ in 0..BATCH {
            let packet = match self.capture.next_packet() {
                Ok(packet) => packet,
                Err(pcap::Error::TimeoutExpired) => {
                    self.count_drops();
                    return Ok(Progress::Idle);
                }
                Err(pcap::Error::NoMorePackets) => return Ok(Progress::End),
                Err(e) => return Err(explain(&self.name, &e).into()),
            };
            let stamp = packet.header.ts;
            let seconds = u64::try_from(stamp.tv_sec).unwrap_or(0);
            let nanos = u32::try_from(stamp.tv_usec)
                .unwrap_or(0)
                .saturating_mul(1000);
            let bytes = packet.data;
            let captured = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
            to(&Frame {
                bytes,
                wire_len: packet.header.len.max(captured),
                link: self.link,
                time: Nanos::new(seconds, nanos),
                from: Peer::NONE,
            });
        }
        self.count_drops();
        Ok(Progress::More)
    }

    fn loss(&self) -> Loss {
        Loss {
            kernel: self.kernel,
            ..Loss::default()
        }
    }
}

impl Opener for PcapConfig {
    fn open(&self) -> Result<Box<dyn Source>, SourceError> {
        Ok(Box::new(PcapSource::open(self)?))
    }

    fn memory(&self) -> usize {
        self.memory
    }

    fn datagrams(&self) -> bool {
        false
    }
}

/// Reads the settings of an input of kind `pcap`: `interface`, `snap`, `promiscuous`, `buffer`
/// (bytes), `filter` (an expression that decides what is captured at all).
pub fn parse(options: &mut Options, _workers: usize) -> Option<Arc<dyn Opener>> {
    let usual = PcapConfig::default();
    let interface = options.required("interface", "en0");
    let snap = options.number("snap", 64, u64::from(usual.snap));
    let promiscuous = options.flag("promiscuous");
    let memory = options.size("buffer");
    let filter = options.text("filter");
    Some(Arc::new(PcapConfig {
        interface: interface?,
        snap: snap
            .and_then(|n| u32::try_from(n).ok())
            .unwrap_or(usual.snap),
        promiscuous: promiscuous.unwrap_or(usual.promiscuous),
        memory: memory
            .and_then(|n| usize::try_from(n).ok())
            .unwrap_or(usual.memory),
        filter: filter.unwrap_or_default(),
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_interface_that_is_not_there_is_named() {
        let config = PcapConfig {
            interface: "nosuch0".into(),
            ..PcapConfig::default()
        };
        let error = PcapSource::open(&config).err().unwrap().to_string();
        assert!(error.contains("nosuch0"), "{error}");
    }

    #[test]
    fn frames_on_loopback() {
        let port = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
        let to = port.local_addr().unwrap();
        let config = PcapConfig {
            interface: "lo".into(),
            filter: format!("udp dst port {}", to.port()),
            ..PcapConfig::default()
        };
        let mut source = match PcapSource::open(&config) {
            Ok(source) => source,
            Err(e) => {
                println!("frames_on_loopback skipped: {e}");
                return;
            }
        };
        let sender = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
        for _ in 0..20 {
            sender.send_to(&[7; 100], to).unwrap();
        }
        let mut poll = crate::sys::poll::Poll::new();
        poll.add(source.fd().unwrap(), crate::sys::poll::Interest::Read);
        let mut lengths = Vec::new();
        while poll
            .wait(Some(std::time::Duration::from_millis(500)))
            .unwrap()
        {
            source
                .read(&mut |f| lengths.push((f.bytes.len(), f.wire_len)))
                .unwrap();
        }
        assert_eq!(lengths, [(142, 142); 20]);
        assert_eq!(source.loss(), Loss::default());
        assert_eq!(source.link(), Link::Ethernet);
    }
}
