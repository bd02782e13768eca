//! Unpacks a gzip stream for [`super::savefile`]. Not for packing, nor for other formats.

use super::savefile::{Input, Raw};
use flate2::read::MultiGzDecoder;
use std::io::Read;

/// A reader of what the gzip members in `raw` hold, one behind the other.
pub fn unpack(raw: Raw) -> Box<dyn Input> {
    Box::new(Unpacked(MultiGzDecoder::new(raw)))
}

/// Bytes unpacked in one go. Of a piece in which the stream turns out to be damaged nothing is
/// handed out, so a piece is small: what comes before the damage is good.
const PIECE: usize = 4096;

struct Unpacked(MultiGzDecoder<Raw>);

impl Read for Unpacked {
    fn read(&mut self, to: &mut [u8]) -> std::io::Result<usize> {
        let piece = to.len().min(PIECE);
        self.0.read(to.get_mut(..piece).unwrap_or_default())
    }
}

impl Input for Unpacked {
    fn consumed(&self) -> u64 {
        self.0.get_ref().consumed()
    }
}
