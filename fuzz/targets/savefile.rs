//! Savefiles: pcap, pcapng, gzip. Reading ends, frames fit into the limits, and how the bytes come
//! in pieces makes no difference.
#![no_main]

use libfuzzer_sys::fuzz_target;
use std::io::{Cursor, Read};
use weir::source::savefile::{MAX_FRAME, SavefileSource};
use weir::source::{Progress, Source};

/// Gives a few bytes at a time.
struct Slow(Cursor<Vec<u8>>);

impl Read for Slow {
    fn read(&mut self, to: &mut [u8]) -> std::io::Result<usize> {
        let most = to.len().min(13);
        self.0.read(&mut to[..most])
    }
}

/// Frames, their bytes, the sum of their times; whether the end was reached.
fn read(from: impl Read + Send + 'static) -> Option<(u64, u64, u64, bool)> {
    let mut source = SavefileSource::from_reader(from).ok()?;
    let (mut frames, mut bytes, mut times) = (0u64, 0u64, 0u64);
    loop {
        let more = source.read(&mut |frame| {
            assert!(frame.bytes.len() <= MAX_FRAME && frame.wire_len as usize >= frame.bytes.len());
            frames += 1;
            bytes += frame.bytes.len() as u64;
            times = times.wrapping_mul(31).wrapping_add(frame.time.0);
        });
        match more {
            Ok(Progress::More | Progress::Idle) => {}
            Ok(Progress::End) => return Some((frames, bytes, times, true)),
            Err(_) => return Some((frames, bytes, times, false)),
        }
    }
}

fuzz_target!(|input: &[u8]| {
    let whole = read(Cursor::new(input.to_vec()));
    let slow = read(Slow(Cursor::new(input.to_vec())));
    assert_eq!(whole, slow);
});
