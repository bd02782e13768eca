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
fn read(from: impl Read + Send + 'static) -> (u64, u64, u64, bool) {
    let Ok(mut source) = SavefileSource::from_reader(from) else {
        return (0, 0, 0, false);
    };
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
            Ok(Progress::End) => return (frames, bytes, times, true),
            Err(_) => return (frames, bytes, times, false),
        }
    }
}

fuzz_target!(|input: &[u8]| {
    let whole = read(Cursor::new(input.to_vec()));
    let slow = read(Slow(Cursor::new(input.to_vec())));
    if input.starts_with(&[0x1f, 0x8b]) && !whole.3 {
        // Where a damaged stream stops giving depends on the pieces in which it comes.
        assert!(!slow.3);
    } else {
        assert_eq!(whole, slow);
    }
});
