//! One segment: a file of frames, and beside it one of acknowledgements.
//!
//! ```text
//! NUMBER-SALT.seg   header (32 bytes), then frames: head (52 bytes), payload
//! NUMBER-SALT.ack   acknowledgements, 8 bytes each
//! ```
//!
//! All numbers are little-endian. The salt is drawn for each segment and goes into the checksums
//! of heads and acknowledgements, so that nothing inside a payload can be taken for a head when a
//! damaged place is searched for the next one.

use crate::base::cursor::{Cursor, Short};
use crate::base::ledger::Sum;
use crate::base::time::Nanos;
use crc32fast::Hasher;
use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// What a segment begins with.
const MAGIC: [u8; 8] = *b"weirspl\n";

/// The version of these formats.
pub const VERSION: u32 = 1;

/// Bytes of a segment's header. In every version its first 32 bytes have this layout.
pub const HEADER: u64 = 32;

/// What the head of a frame begins with.
const FRAME: [u8; 4] = [0xf7, b'w', b'f', b'r'];

/// Bytes of the head of a frame.
pub const HEAD: u64 = 52;

/// Bytes of an acknowledgement.
pub const ACK: u64 = 8;

/// Longest payload of a frame, in bytes.
pub const PAYLOAD_MAX: u32 = 16 << 20;

/// Longest segment that is looked at, in bytes; what lies behind is damage.
const SEGMENT_MAX: u64 = u32::MAX as u64;

/// Bytes that are searched at a time.
const CHUNK: usize = 64 << 10;

/// The name of a segment, which tells its number and salt.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Name {
    /// Counts up.
    pub number: u64,
    /// Drawn when it is made.
    pub salt: u32,
}

impl Name {
    /// The segment or acknowledgements in a file of this name; the latter are `true`.
    pub fn parse(name: &str) -> Option<(Self, bool)> {
        let (stem, acks) = match name.split_once('.')? {
            (stem, "seg") => (stem, false),
            (stem, "ack") => (stem, true),
            _ => return None,
        };
        let (number, salt) = stem.split_once('-').filter(|s| s.0.len() == 16)?;
        let number = u64::from_str_radix(number, 16).ok()?;
        let salt = u32::from_str_radix(salt, 16).ok()?;
        let name = Self { number, salt };
        (name.stem() == stem).then_some((name, acks))
    }

    fn stem(self) -> String {
        format!("{:016x}-{:08x}", self.number, self.salt)
    }

    /// The file of frames.
    pub fn segment(self, folder: &Path) -> PathBuf {
        folder.join(self.stem() + ".seg")
    }

    /// The file of acknowledgements.
    pub fn acks(self, folder: &Path) -> PathBuf {
        folder.join(self.stem() + ".ack")
    }
}

/// What the head of a frame says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Head {
    /// Bytes of its payload.
    pub len: u32,
    /// Which one of its segment it is.
    pub number: u32,
    /// Checksum of its payload.
    pub check: u32,
    /// When it was written.
    pub time: Nanos,
    /// What it counts.
    pub sum: Sum,
}

impl Head {
    /// Bytes of the frame, head and payload.
    pub fn whole(&self) -> u64 {
        HEAD + u64::from(self.len)
    }

    /// As bytes, in a segment of this salt.
    pub fn bytes(&self, salt: u32) -> Vec<u8> {
        let mut out = FRAME.to_vec();
        for number in [self.len, self.number, self.check] {
            out.extend_from_slice(&number.to_le_bytes());
        }
        let sum = &self.sum;
        for number in [self.time.0, sum.records, sum.packets, sum.bytes] {
            out.extend_from_slice(&number.to_le_bytes());
        }
        let check = salted(salt, &out);
        out.extend_from_slice(&check.to_le_bytes());
        out
    }

    fn parse(bytes: &[u8], salt: u32) -> Option<Self> {
        let mut cursor = Cursor::new(bytes);
        let mut read = || -> Result<Option<Self>, Short> {
            let magic = cursor.array::<4>()?;
            let (len, number, check) = (cursor.u32_le()?, cursor.u32_le()?, cursor.u32_le()?);
            let mut next = || cursor.array().map(u64::from_le_bytes);
            let (time, records, packets, bytes_) = (next()?, next()?, next()?, next()?);
            let told = cursor.u32_le()?;
            let head = bytes.get(..HEAD as usize - 4).ok_or(Short)?;
            let right = magic == FRAME && told == salted(salt, head) && len <= PAYLOAD_MAX;
            Ok(right.then_some(Self {
                len,
                number,
                check,
                time: Nanos(time),
                sum: Sum {
                    records,
                    packets,
                    bytes: bytes_,
                },
            }))
        };
        read().ok().flatten()
    }
}

/// A checksum that nobody can make without knowing the salt.
fn salted(salt: u32, bytes: &[u8]) -> u32 {
    let mut hasher = Hasher::new_with_initial(salt);
    hasher.update(bytes);
    hasher.finalize()
}

/// The header of a segment.
pub fn header(number: u64, created: Nanos) -> Vec<u8> {
    let mut out = MAGIC.to_vec();
    out.extend_from_slice(&VERSION.to_le_bytes());
    out.extend_from_slice(&number.to_le_bytes());
    out.extend_from_slice(&created.0.to_le_bytes());
    let check = crc32fast::hash(&out);
    out.extend_from_slice(&check.to_le_bytes());
    out
}

/// The version that a segment says it has; none where its header is damaged.
pub fn version(file: &File) -> Option<u32> {
    let mut bytes = [0; HEADER as usize];
    file.read_exact_at(&mut bytes, 0).ok()?;
    let mut cursor = Cursor::new(&bytes);
    let magic = cursor.array::<8>().ok()?;
    let version = cursor.u32_le().ok()?;
    cursor.skip(16).ok()?;
    let right = cursor.u32_le().ok()? == crc32fast::hash(bytes.get(..28)?);
    (magic == MAGIC && right).then_some(version)
}

/// The frame that begins where the one at `before` ends, or else the next whole one behind the
/// head of that (bytes may be missing in its payload), and where it is; none when there is no more.
/// What lies between is damaged.
///
/// # Errors
/// What the system says.
pub fn seek(
    file: &File,
    salt: u32,
    before: (u64, u64),
    end: u64,
) -> io::Result<Option<(u64, Head)>> {
    let end = end.min(SEGMENT_MAX);
    let (start, from) = before;
    let mut bytes = vec![0; HEAD as usize];
    if from + HEAD <= end {
        file.read_exact_at(&mut bytes, from)?;
        if let Some(head) = Head::parse(&bytes, salt).filter(|h| from + h.whole() <= end) {
            return Ok(Some((from, head)));
        }
    }
    let mut at = (start + HEAD).min(from);
    while at + HEAD <= end {
        let len = (end - at).min(CHUNK as u64) as usize;
        bytes.resize(len, 0);
        file.read_exact_at(&mut bytes, at)?;
        for place in 0..=len - HEAD as usize {
            let rest = bytes.get(place..).unwrap_or_default();
            if rest.starts_with(&FRAME)
                && let Some(head) = Head::parse(rest, salt)
                && at + place as u64 + head.whole() <= end
            {
                return Ok(Some((at + place as u64, head)));
            }
        }
        at += (len - HEAD as usize) as u64 + 1;
    }
    Ok(None)
}

/// Reads the payload of the frame at `at`; false when it is damaged.
///
/// # Errors
/// What the system says.
pub fn payload(file: &File, at: u64, head: &Head, out: &mut Vec<u8>) -> io::Result<bool> {
    out.clear();
    out.resize(head.len as usize, 0);
    file.read_exact_at(out, at + HEAD)?;
    Ok(crc32fast::hash(out) == head.check)
}

/// Bytes of the acknowledgement of a frame.
pub fn ack(salt: u32, frame: u32) -> [u8; ACK as usize] {
    let number = frame.to_le_bytes();
    let check = salted(salt, &number).to_le_bytes();
    let mut out = [0; ACK as usize];
    for (to, from) in out.iter_mut().zip(number.iter().chain(&check)) {
        *to = *from;
    }
    out
}

/// Gives the frames that were acknowledged to `each`; the length of what is whole. What is damaged
/// does not count, so that its frame comes again.
///
/// # Errors
/// What the system says.
pub fn acked(path: &Path, salt: u32, mut each: impl FnMut(u32)) -> io::Result<u64> {
    let file = match File::open(path) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(0),
        file => file?,
    };
    // No segment has so many frames that this is not enough for all.
    let most = SEGMENT_MAX / HEAD * ACK;
    let mut len = 0;
    let mut reader = io::BufReader::new(file.take(most));
    let mut one = [0; ACK as usize];
    loop {
        match reader.read_exact(&mut one) {
            Err(e) if e.kind() == io::ErrorKind::UnexpectedEof => return Ok(len),
            read => read?,
        }
        len += ACK;
        let [a, b, c, d, ..] = one;
        let frame = u32::from_le_bytes([a, b, c, d]);
        if ack(salt, frame) == one {
            each(frame);
        }
    }
}

/// Makes a file that nobody but us may read.
///
/// # Errors
/// What the system says.
pub fn create(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    let options = options.read(true).write(true).create_new(true).mode(0o600);
    options.open(path)
}

/// Opens the acknowledgements of a segment, to add to them; a torn one is cut off.
///
/// # Errors
/// What the system says.
pub fn append_acks(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    let file = options.append(true).create(true).mode(0o600).open(path)?;
    let len = file.metadata()?.len();
    if len % ACK != 0 {
        file.set_len(len - len % ACK)?;
    }
    Ok(file)
}

/// Writes all of `bytes` at the end of `file`, of which `len` bytes are good, or nothing.
///
/// # Errors
/// What the system says; whether the file is as before says the second.
pub fn add(file: &File, len: u64, parts: [&[u8]; 2]) -> Result<(), (io::Error, bool)> {
    let mut at = len;
    for part in parts {
        if let Err(e) = file.write_all_at(part, at) {
            return Err((e, file.set_len(len).is_ok()));
        }
        at += part.len() as u64;
    }
    Ok(())
}

/// Adds one acknowledgement.
///
/// # Errors
/// What the system says.
pub fn add_ack(file: &mut File, salt: u32, frame: u32) -> io::Result<()> {
    file.write_all(&ack(salt, frame))
}
