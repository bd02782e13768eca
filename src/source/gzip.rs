//! Unpacks a gzip stream for [`super::savefile`]. Not for packing, nor for other formats.

use super::savefile::{Input, Raw};
use flate2::read::MultiGzDecoder;
use std::io::Read;

/// A reader of what the gzip members in `raw` hold, one behind the other.
pub fn unpack(raw: Raw) -> Box<dyn Input> {
    Box::new(Unpacked(MultiGzDecoder::new(raw)))
}

struct Unpacked(MultiGzDecoder<Raw>);

impl Read for Unpacked {
    fn read(&mut self, to: &mut [u8]) -> std::io::Result<usize> {
        self.0.read(to)
    }
}

impl Input for Unpacked {
    fn consumed(&self) -> u64 {
        self.0.get_ref().consumed()
    }
}
