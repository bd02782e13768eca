//! Savefiles: pcap and pcapng, from a file, a FIFO or standard input, plain or gzip.
//!
//! One buffer of [`BUFFER`] bytes is taken when the file is opened; frames are slices of it, and
//! no length that the file states makes it any bigger. Not for live capture, and not for formats
//! that are no savefiles of libpcap's: those are named in the error.
#![deny(clippy::indexing_slicing, clippy::unwrap_used, clippy::expect_used)]
#![deny(clippy::arithmetic_side_effects, clippy::panic)]

use super::again::{Again, Times};
use super::section::Section;
use super::{Frame, Link, Loss, Peer, Progress, Source, SourceError};
use crate::base::options::Options;
use crate::base::time::Nanos;
use crate::wire::savefile::{self, Magic, Pcap};
use crate::wire::{Error, pcapng};
use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, ErrorKind, Read};
use std::sync::Arc;
use std::time::Duration;

/// The longest frame that is handed out, in bytes; what libpcap believes of Ethernet too.
/// Longer ones are passed over by their length and counted as oversize.
pub const MAX_FRAME: usize = 256 * 1024;
/// The longest frame that is passed over, in bytes: past it a length is taken for damage.
pub const MAX_CLAIM: u32 = 128 * 1024 * 1024;
/// Size of the buffer: the longest frame and as much again as headers and options may need.
pub const BUFFER: usize = MAX_FRAME + 64 * 1024;

/// Bytes read at once: few enough that they are still in a small cache when they are decoded.
const PIECE: usize = 64 * 1024;
/// Most interfaces in a section of a pcapng file.
pub const MAX_INTERFACES: usize = 4096;
/// The longest time to wait before a file is read.
pub const DELAY_MAX: Duration = Duration::from_secs(86_400);
/// Most frames that one [`Source::read`] hands out.
pub const BURST: u32 = 256;

/// Frames from a savefile.
///
/// `Frame.from.iface` is the interface's number in its section plus one for pcapng, the kernel's
/// index for modified pcap, and zero (not known) for plain pcap. A pcapng frame whose interface
/// was never described has `Link::Other(65535)`; one that states more bytes than its block has is
/// handed out without bytes: so both meet the decoder, which counts them under a reason. A simple
/// packet block has no time: it is zero, *not known*.
pub struct SavefileSource {
    input: Box<dyn Input>,
    buffer: Box<[u8]>,
    /// The part of the buffer that is read and not yet handed out.
    from: usize,
    to: usize,
    /// Bytes of the unpacked file before `buffer[from]`.
    offset: u64,
    /// Bytes to pass over before the next record or block.
    skip: u64,
    format: Format,
    /// Frames handed out.
    frames: u64,
    oversize: u64,
    size: Option<u64>,
    /// Whether the file header has been read.
    begun: bool,
    ended: bool,
}

enum Format {
    Pcap(Pcap),
    Pcapng(Section),
}

/// Why handing out stopped, and how far it came.
pub(super) struct Step {
    pub(super) used: usize,
    pub(super) frames: u32,
    pub(super) stop: Stop,
}

pub(super) enum Stop {
    /// [`BURST`] frames are out.
    Full,
    /// The next record or block is not wholly there.
    Short,
    /// The next record or block is a frame of so many bytes, too long for the buffer.
    Oversize(u64),
    /// The next block is of no interest and has so many bytes.
    Skip(u64),
    /// The next block begins a section.
    Section,
    /// It makes no sense.
    Bad(String),
}

/// Where bytes come from, and how many of the file's own bytes were taken so far.
pub trait Input: Read + Send {
    /// Bytes read from the file itself, before any unpacking.
    fn consumed(&self) -> u64;
}

/// The file as it is, with the bytes that were read to tell its format put back in front.
pub struct Raw {
    file: Box<dyn Read + Send>,
    head: [u8; 4],
    /// Bytes of `head` that are valid, and given again.
    valid: usize,
    given: usize,
    consumed: u64,
}

impl Raw {
    pub(super) fn new(file: Box<dyn Read + Send>) -> Self {
        Self {
            file,
            head: [0; 4],
            valid: 0,
            given: 0,
            consumed: 0,
        }
    }

    /// Reads what tells the format. May be called again after it would have had to wait.
    pub(super) fn look(&mut self) -> Result<(), SourceError> {
        while let Some(space) = self.head.get_mut(self.valid..).filter(|s| !s.is_empty()) {
            match self.file.read(space) {
                Ok(0) => break,
                Ok(n) => self.valid = self.valid.saturating_add(n),
                Err(e) if e.kind() == ErrorKind::Interrupted => (),
                Err(e) => return Err(e.into()),
            }
        }
        Ok(())
    }
}

impl Read for Raw {
    fn read(&mut self, to: &mut [u8]) -> std::io::Result<usize> {
        let again = self.head.get(self.given..self.valid).unwrap_or(&[]);
        let n = if again.is_empty() {
            self.file.read(to)?
        } else {
            let n = (&mut &*again).read(to)?;
            self.given = self.given.saturating_add(n);
            n
        };
        self.consumed = self.consumed.saturating_add(n as u64);
        Ok(n)
    }
}

impl Input for Raw {
    fn consumed(&self) -> u64 {
        self.consumed
    }
}

impl SavefileSource {
    /// Opens a file by its path. Reads its first bytes, so on a FIFO it waits for them.
    ///
    /// # Errors
    /// `Io` when it cannot be opened or read; `Format` when it is no savefile, and then the text
    /// says what it is instead.
    pub fn open(path: impl AsRef<OsStr>) -> Result<Self, SourceError> {
        let file = File::open(path.as_ref())?;
        let size = file.metadata().ok().filter(|m| m.is_file());
        Self::start(Box::new(file), size.map(|m| m.len()))
    }

    /// Reads a savefile from wherever bytes come.
    ///
    /// # Errors
    /// As [`SavefileSource::open`].
    pub fn from_reader(reader: impl Read + Send + 'static) -> Result<Self, SourceError> {
        Self::start(Box::new(reader), None)
    }

    pub(super) fn start(
        file: Box<dyn Read + Send>,
        size: Option<u64>,
    ) -> Result<Self, SourceError> {
        let mut raw = Raw::new(file);
        raw.look()?;
        let mut source = Self::of(raw, size)?;
        source.begin()?;
        Ok(source)
    }

    /// Of what [`Raw::look`] has looked at; the file header is still to be read.
    pub(super) fn of(raw: Raw, size: Option<u64>) -> Result<Self, SourceError> {
        let input: Box<dyn Input> = if raw.valid < 2 || savefile::magic(raw.head) != Magic::Gzip {
            Box::new(raw)
        } else if let Some(unpack) = super::UNPACK {
            unpack(raw)
        } else {
            let what = "a gzip file, and this build has no `src-gzip`: unpack it with `gzip -dc`";
            return Err(SourceError::Format(what.into()));
        };
        Ok(Self {
            input,
            buffer: vec![0; BUFFER].into_boxed_slice(),
            from: 0,
            to: 0,
            offset: 0,
            skip: 0,
            format: Format::Pcapng(Section::default()),
            frames: 0,
            oversize: 0,
            size,
            begun: false,
            ended: false,
        })
    }

    /// Reads the file header of pcap; of pcapng only looks at the first block. May be called again
    /// after it would have had to wait.
    pub(super) fn begin(&mut self) -> Result<(), SourceError> {
        self.fill_to(4)?;
        let window = self.window();
        let Some(&first) = window.first_chunk::<4>() else {
            return Err(SourceError::Format(match window.len() {
                0 => "the file is empty".into(),
                n => format!("not a savefile: it has only {n} bytes"),
            }));
        };
        let magic = savefile::magic(first);
        let needed = if magic == Magic::Pcapng {
            16
        } else {
            savefile::HEADER
        };
        match magic {
            Magic::Pcap(_) | Magic::Pcapng => self.fill_to(needed)?,
            other => return Err(SourceError::Format(not_a_savefile(other, first))),
        }
        if magic == Magic::Pcapng {
            pcapng::section(self.window()).map_err(|e| self.bad_header(e))?;
            self.begun = true;
            return Ok(());
        }
        let pcap = savefile::header(self.window()).map_err(|e| self.bad_header(e))?;
        self.format = Format::Pcap(pcap);
        self.advance(needed);
        self.begun = true;
        Ok(())
    }

    /// Whether the file header has been read.
    pub(super) fn begun(&self) -> bool {
        self.begun
    }

    fn bad_header(&self, e: Error) -> SourceError {
        SourceError::Format(match e {
            Error::Truncated => format!("cut at byte {}, inside the file header", self.end()),
            Error::Version => "a savefile of a version nobody wrote: not 2.x of pcap, not 1.x of \
                               pcapng"
                .into(),
            _ => "not a savefile: it begins like pcapng, but its byte order is neither".into(),
        })
    }

    fn window(&self) -> &[u8] {
        self.buffer.get(self.from..self.to).unwrap_or(&[])
    }

    /// Offset behind the last byte read.
    fn end(&self) -> u64 {
        self.offset.saturating_add(self.window().len() as u64)
    }

    fn advance(&mut self, n: usize) {
        self.from = self.from.saturating_add(n).min(self.to);
        self.offset = self.offset.saturating_add(n as u64);
    }

    /// Reads until `n` bytes are there or the file ends.
    fn fill_to(&mut self, n: usize) -> Result<(), SourceError> {
        while self.window().len() < n {
            match self.fill() {
                Ok(0) => break,
                Ok(_) => (),
                Err(e) if e.kind() == ErrorKind::Interrupted => (),
                Err(e) => return Err(self.trouble(e)),
            }
        }
        Ok(())
    }

    /// Moves what is left to the front and reads once. Zero at the end of the file.
    fn fill(&mut self) -> std::io::Result<usize> {
        self.buffer.copy_within(self.from..self.to, 0);
        (self.from, self.to) = (0, self.to.saturating_sub(self.from));
        let space = self.buffer.get_mut(self.to..).unwrap_or(&mut []);
        let most = space.len().min(PIECE);
        let n = self.input.read(space.get_mut(..most).unwrap_or(&mut []))?;
        self.to = self.to.saturating_add(n);
        Ok(n)
    }

    /// An error of the unpacker is one of the format.
    fn trouble(&self, e: std::io::Error) -> SourceError {
        let (at, frames) = (self.end(), self.frames);
        match e.kind() {
            ErrorKind::UnexpectedEof => SourceError::Format(format!(
                "the gzip stream is cut behind byte {at} of what it holds, after {frames} frames"
            )),
            ErrorKind::InvalidData | ErrorKind::InvalidInput => SourceError::Format(format!(
                "the gzip stream is damaged behind byte {at} of what it holds, after {frames} \
                 frames ({e})"
            )),
            _ => SourceError::Io(e),
        }
    }

    /// Drops what is to be passed over, as far as it is in the buffer; true when all is.
    fn pass_over(&mut self) -> bool {
        let there = u64::try_from(self.window().len()).unwrap_or(u64::MAX);
        let n = self.skip.min(there);
        self.skip = self.skip.saturating_sub(n);
        self.advance(usize::try_from(n).unwrap_or(usize::MAX));
        self.skip == 0
    }

    /// Hands out what is in the buffer.
    fn step(&mut self, to: &mut dyn FnMut(&Frame<'_>)) -> Step {
        let window = self.buffer.get(self.from..self.to).unwrap_or(&[]);
        match &mut self.format {
            Format::Pcap(pcap) if pcap.flavour.big => pcap_frames::<true>(pcap, window, to),
            Format::Pcap(pcap) => pcap_frames::<false>(pcap, window, to),
            Format::Pcapng(section) if section.big => section.frames::<true>(window, to),
            Format::Pcapng(section) => section.frames::<false>(window, to),
        }
    }

    /// The file has no more bytes: was it between two frames?
    fn finish(&mut self) -> Result<Progress, SourceError> {
        self.ended = true;
        let (end, at, frames) = (self.end(), self.offset, self.frames);
        if self.skip > 0 {
            let missing = self.skip;
            return Err(SourceError::Format(format!(
                "cut at byte {end}, {missing} bytes short of the end of a long frame or block, \
                 after {frames} frames"
            )));
        }
        if end == at {
            return Ok(Progress::End);
        }
        let what = match &self.format {
            Format::Pcap(_) => "frame",
            Format::Pcapng(_) => "block",
        };
        Err(SourceError::Format(format!(
            "cut in the middle of a {what} at byte {end} (it begins at byte {at}), after {frames} \
             frames"
        )))
    }
}

impl Source for SavefileSource {
    fn fd(&self) -> Option<i32> {
        None
    }

    /// As [`Source::read`]; a file that is cut or damaged gives all frames before the damage,
    /// then a `Format` error that says where, then `End`.
    fn read(&mut self, to: &mut dyn FnMut(&Frame<'_>)) -> Result<Progress, SourceError> {
        loop {
            if self.ended {
                return Ok(Progress::End);
            }
            if self.pass_over() {
                let step = self.step(to);
                self.advance(step.used);
                self.frames = self.frames.saturating_add(u64::from(step.frames));
                match step.stop {
                    Stop::Full => return Ok(Progress::More),
                    Stop::Short => (),
                    Stop::Oversize(n) => {
                        self.oversize = self.oversize.saturating_add(1);
                        self.skip = n;
                        continue;
                    }
                    Stop::Skip(n) => {
                        self.skip = n;
                        continue;
                    }
                    Stop::Section => {
                        if self.begin_section()? {
                            continue;
                        }
                    }
                    Stop::Bad(what) => {
                        self.ended = true;
                        let (at, frames) = (self.offset, self.frames);
                        let text = format!("{what} at byte {at}, after {frames} frames");
                        return Err(SourceError::Format(text));
                    }
                }
                if step.frames > 0 {
                    return Ok(Progress::More);
                }
            }
            match self.fill() {
                Ok(0) => return self.finish(),
                Ok(_) => (),
                // A signal came while a FIFO had nothing: whoever calls wants to know.
                Err(e) if e.kind() == ErrorKind::Interrupted => return Ok(Progress::More),
                Err(e) if e.kind() == ErrorKind::WouldBlock => return Ok(Progress::Idle),
                Err(e) => {
                    self.ended = true;
                    return Err(self.trouble(e));
                }
            }
        }
    }

    /// `kernel` is what the statistics blocks of a pcapng file say was dropped.
    fn loss(&self) -> Loss {
        let kernel = match &self.format {
            Format::Pcap(_) => 0,
            Format::Pcapng(section) => section.drops(),
        };
        Loss {
            kernel,
            refused: 0,
            oversize: self.oversize,
        }
    }

    fn position(&self) -> Option<(u64, Option<u64>)> {
        Some((self.input.consumed(), self.size))
    }
}

impl SavefileSource {
    /// Takes note of the section header that the window begins with; false when it is cut.
    fn begin_section(&mut self) -> Result<bool, SourceError> {
        let (offset, window) = (
            self.offset,
            self.buffer.get(self.from..self.to).unwrap_or(&[]),
        );
        let Format::Pcapng(section) = &mut self.format else {
            return Ok(true);
        };
        let parsed = pcapng::section(window).and_then(|big| {
            let (_, len) = if big {
                pcapng::head::<true>(window)
            } else {
                pcapng::head::<false>(window)
            }?;
            // Type, length, magic, version, length of the section, and the length again.
            if len < 28 {
                Err(Error::Length)
            } else {
                Ok((big, len))
            }
        });
        match parsed {
            Ok((big, len)) => {
                section.begin(big);
                self.skip = u64::from(len);
                Ok(true)
            }
            Err(Error::Truncated) => Ok(false),
            Err(e) => {
                self.ended = true;
                let what = match e {
                    Error::Length => "its length makes no sense",
                    Error::Version => "its version is not 1",
                    _ => "its byte order is neither",
                };
                let frames = self.frames;
                Err(SourceError::Format(format!(
                    "a section header at byte {offset} is damaged: {what}, after {frames} frames"
                )))
            }
        }
    }
}

fn not_a_savefile(magic: Magic, first: [u8; 4]) -> String {
    const UNDERSTOOD: &str = "understood are pcap (micro- and nanoseconds, modified, both byte \
                              orders) and pcapng, plain or gzip";
    let [a, b, c, d] = first;
    let what = format!("not a savefile: it begins with {a:02x} {b:02x} {c:02x} {d:02x}");
    match magic {
        Magic::Other(Some(name @ ("zstd" | "xz" | "bzip2" | "lz4" | "zip"))) => {
            format!("{what}, which is {name}: unpack it first; {UNDERSTOOD}")
        }
        Magic::Other(Some(name @ ("snoop" | "netmon"))) => format!(
            "{what}, a {name} capture: turn it into pcap with `editcap -F pcap`; {UNDERSTOOD}"
        ),
        Magic::Other(Some(name)) => format!("{what}, a file of {name}; {UNDERSTOOD}"),
        Magic::Gzip => format!("{what}, gzip within gzip; {UNDERSTOOD}"),
        _ => format!("{what}; {UNDERSTOOD}"),
    }
}

/// Hands out the frames of a pcap file that are wholly in `window`.
fn pcap_frames<const BIG: bool>(
    pcap: &Pcap,
    window: &[u8],
    to: &mut dyn FnMut(&Frame<'_>),
) -> Step {
    let link = Link::from_linktype(pcap.linktype);
    let mut frame = Frame {
        bytes: &[],
        wire_len: 0,
        link,
        time: Nanos(0),
        from: Peer::NONE,
    };
    let (mut rest, mut frames) = (window, 0u32);
    let stop = loop {
        if frames == BURST {
            break Stop::Full;
        }
        let Some((record, behind)) = pcap.record::<BIG>(rest) else {
            break Stop::Short;
        };
        let caplen = record.caplen as usize;
        if caplen > MAX_FRAME {
            let head = rest.len().saturating_sub(behind.len());
            break too_long(pcap, record.caplen, head);
        }
        let Some((bytes, next)) = behind.split_at_checked(caplen) else {
            break Stop::Short;
        };
        frame.bytes = bytes;
        frame.wire_len = record.wire_len.max(record.caplen);
        frame.time = record.time;
        frame.from.iface = record.iface;
        to(&frame);
        rest = next;
        frames = frames.wrapping_add(1);
    };
    Step {
        used: window.len().saturating_sub(rest.len()),
        frames,
        stop,
    }
}

/// A frame that the buffer cannot hold: a big one where the file said there may be, else damage.
#[cold]
fn too_long(pcap: &Pcap, caplen: u32, head: usize) -> Stop {
    // A snap length of zero sets no limit.
    if (caplen <= pcap.snaplen || pcap.snaplen == 0) && caplen <= MAX_CLAIM {
        Stop::Oversize(u64::from(caplen).saturating_add(head as u64))
    } else {
        Stop::Bad(format!("damaged: a frame of {caplen} bytes"))
    }
}

/// What the system refuses is said with the file's name.
fn open(path: &str) -> Result<Box<dyn Source>, SourceError> {
    super::pipe::source(path).map_err(|error| match error {
        SourceError::Io(e) => io::Error::new(e.kind(), format!("{path}: {e}")).into(),
        other => other,
    })
}

struct Path {
    path: String,
    times: Times,
}

impl super::Opener for Path {
    fn open(&self) -> Result<Box<dyn Source>, SourceError> {
        if self.times == Times::ONCE {
            return open(&self.path);
        }
        let path = self.path.clone();
        let open = Box::new(move || open(&path));
        Ok(Box::new(Again::new(open, self.times)?))
    }

    fn memory(&self) -> usize {
        BUFFER
    }

    fn datagrams(&self) -> bool {
        false
    }

    fn live(&self) -> bool {
        false
    }
}

/// Reads the settings of an input of kind `file`: `file`, a path, or `-` for standard input;
/// `repeat`, how often it is read; `delay`, how long to wait before each time.
pub fn parse(options: &mut Options, _workers: usize) -> Option<Arc<dyn super::Opener>> {
    let path = options.required("file", "trace.pcap");
    let repeat = options.number("repeat", 0, u64::from(u32::MAX));
    let delay = options.duration("delay");
    let times = Times {
        repeat: repeat.unwrap_or(Times::ONCE.repeat),
        delay: delay.unwrap_or(Times::ONCE.delay).min(DELAY_MAX),
    };
    let path = path?;
    if path == "-" && times.repeat != 1 {
        options.wrong("repeat", "`repeat`: standard input can be read once only");
        return None;
    }
    Some(Arc::new(Path { path, times }))
}
