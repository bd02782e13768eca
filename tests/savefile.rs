//! Savefiles built by hand, whole, cut at every byte and mutated.
#![cfg(feature = "src-savefile")]

use proptest::prelude::*;
use std::io::Read;
use weir::base::time::Nanos;
use weir::source::savefile::{BUFFER, BURST, MAX_FRAME, SavefileSource};
use weir::source::{Link, Loss, Progress, Source, SourceError};
use weir::wire::savefile::{write_pcap_header, write_pcap_record};

/// What came out of a source, frame by frame, and how it ended.
#[derive(Debug, Default, PartialEq)]
struct Got {
    frames: Vec<(Vec<u8>, u32, Link, Nanos, u32)>,
    error: Option<String>,
    loss: Loss,
}

fn drain(mut source: SavefileSource) -> Got {
    let mut got = Got::default();
    loop {
        let before = got.frames.len();
        let progress = source.read(&mut |f| {
            assert!(f.bytes.len() <= MAX_FRAME);
            assert!(f.wire_len as usize >= f.bytes.len());
            got.frames
                .push((f.bytes.to_vec(), f.wire_len, f.link, f.time, f.from.iface));
        });
        assert!(got.frames.len() - before <= BURST as usize);
        match progress {
            Ok(Progress::More) => (),
            Ok(Progress::End) => break,
            Ok(Progress::Idle) => panic!("a file never idles"),
            Err(SourceError::Format(text)) => {
                assert_eq!(got.error.replace(text), None, "an error comes once");
            }
            Err(SourceError::Io(e)) => panic!("{e}"),
        }
    }
    got.loss = source.loss();
    got
}

fn read(bytes: &[u8]) -> Got {
    read_by(bytes, usize::MAX)
}

/// Reads at the most `most` bytes at a time, as a FIFO may.
fn read_by(bytes: &[u8], most: usize) -> Got {
    struct Slow(std::io::Cursor<Vec<u8>>, usize);
    impl Read for Slow {
        fn read(&mut self, to: &mut [u8]) -> std::io::Result<usize> {
            let n = to.len().min(self.1);
            self.0.read(&mut to[..n])
        }
    }
    match SavefileSource::from_reader(Slow(std::io::Cursor::new(bytes.to_vec()), most)) {
        Ok(source) => drain(source),
        Err(SourceError::Format(text)) => Got {
            error: Some(text),
            ..Got::default()
        },
        Err(SourceError::Io(e)) => panic!("{e}"),
    }
}

/// Puts numbers into a file in its byte order.
#[derive(Clone, Copy)]
struct Order {
    big: bool,
}

impl Order {
    fn n16(self, n: u16) -> [u8; 2] {
        if self.big {
            n.to_be_bytes()
        } else {
            n.to_le_bytes()
        }
    }
    fn n32(self, n: u32) -> [u8; 4] {
        if self.big {
            n.to_be_bytes()
        } else {
            n.to_le_bytes()
        }
    }
    fn n64(self, n: u64) -> [u8; 8] {
        if self.big {
            n.to_be_bytes()
        } else {
            n.to_le_bytes()
        }
    }

    fn pcap(self, magic: u32, snaplen: u32, link: u32) -> Vec<u8> {
        let mut to = self.n32(magic).to_vec();
        to.extend(self.n16(2));
        to.extend(self.n16(4));
        to.extend([0; 8]);
        to.extend(self.n32(snaplen));
        to.extend(self.n32(link));
        to
    }

    fn record(self, to: &mut Vec<u8>, head: [u32; 4], extra: &[u8], bytes: &[u8]) {
        for n in head {
            to.extend(self.n32(n));
        }
        to.extend(extra);
        to.extend(bytes);
    }

    fn block(self, kind: u32, body: &[u8]) -> Vec<u8> {
        let len = self.n32(body.len().next_multiple_of(4) as u32 + 12);
        let mut to = self.n32(kind).to_vec();
        to.extend(len);
        to.extend(body);
        to.resize(body.len().next_multiple_of(4) + 8, 0);
        to.extend(len);
        to
    }

    fn section(self) -> Vec<u8> {
        let mut body = self.n32(0x1a2b_3c4d).to_vec();
        body.extend(self.n16(1));
        body.extend(self.n16(0));
        body.extend(self.n64(u64::MAX));
        self.block(0x0a0d_0d0a, &body)
    }

    fn interface(self, link: u16, snaplen: u32, options: &[(u16, Vec<u8>)]) -> Vec<u8> {
        let mut body = self.n16(link).to_vec();
        body.extend([0; 2]);
        body.extend(self.n32(snaplen));
        self.options(&mut body, options);
        self.block(1, &body)
    }

    fn options(self, body: &mut Vec<u8>, options: &[(u16, Vec<u8>)]) {
        for (code, value) in options {
            body.extend(self.n16(*code));
            body.extend(self.n16(value.len() as u16));
            body.extend(value);
            body.resize(body.len().next_multiple_of(4), 0);
        }
        body.extend([0; 4]);
    }

    fn enhanced(self, iface: u32, ticks: u64, wire: u32, bytes: &[u8]) -> Vec<u8> {
        let mut body = self.n32(iface).to_vec();
        body.extend(self.n32((ticks >> 32) as u32));
        body.extend(self.n32(ticks as u32));
        body.extend(self.n32(bytes.len() as u32));
        body.extend(self.n32(wire));
        body.extend(bytes);
        self.block(6, &body)
    }

    fn obsolete(self, iface: u16, lost: u16, ticks: u64, wire: u32, bytes: &[u8]) -> Vec<u8> {
        let mut body = self.n16(iface).to_vec();
        body.extend(self.n16(lost));
        body.extend(self.n32((ticks >> 32) as u32));
        body.extend(self.n32(ticks as u32));
        body.extend(self.n32(bytes.len() as u32));
        body.extend(self.n32(wire));
        body.extend(bytes);
        self.block(2, &body)
    }

    fn simple(self, wire: u32, bytes: &[u8]) -> Vec<u8> {
        let mut body = self.n32(wire).to_vec();
        body.extend(bytes);
        self.block(3, &body)
    }

    fn statistics(self, iface: u32, options: &[(u16, Vec<u8>)]) -> Vec<u8> {
        let mut body = self.n32(iface).to_vec();
        body.extend([0; 8]);
        self.options(&mut body, options);
        self.block(5, &body)
    }
}

const LITTLE: Order = Order { big: false };
const BIG: Order = Order { big: true };

/// A pcap file of three frames, and where each record ends.
fn pcap(order: Order, magic: u32, extra: &[u8]) -> (Vec<u8>, Vec<usize>) {
    let mut file = order.pcap(magic, 65_535, 1);
    let mut ends = vec![file.len()];
    for (n, len) in [60u32, 0, 5].into_iter().enumerate() {
        let n = n as u32;
        order.record(
            &mut file,
            [10 + n, 7, len, 1500 * n],
            extra,
            &vec![n as u8; len as usize],
        );
        ends.push(file.len());
    }
    (file, ends)
}

#[test]
fn every_pcap_magic_in_both_orders() {
    for order in [LITTLE, BIG] {
        let mut extra = order.n32(3).to_vec();
        extra.extend([0, 8, 4, 0]);
        let flavours: [(u32, &[u8], u64, u32); 3] = [
            (0xa1b2_c3d4, &[], 7000, 0),
            (0xa1b2_3c4d, &[], 7, 0),
            (0xa1b2_cd34, &extra, 7000, 3),
        ];
        for (magic, extra, nanos, iface) in flavours {
            let (file, _) = pcap(order, magic, extra);
            let at = |s: u64| Nanos(s * 1_000_000_000 + nanos);
            let want = vec![
                // The first says it was shorter on the wire than captured.
                (vec![0; 60], 60, Link::Ethernet, at(10), iface),
                (vec![], 1500, Link::Ethernet, at(11), iface),
                (vec![2; 5], 3000, Link::Ethernet, at(12), iface),
            ];
            for most in [usize::MAX, 1, 7] {
                let got = read_by(&file, most);
                assert_eq!(
                    got,
                    Got {
                        frames: want.clone(),
                        ..Got::default()
                    }
                );
            }
        }
    }
}

/// Checks that the frames before a cut come out, and that the error names byte and frames.
fn cut_everywhere(file: &[u8], ends: &[usize], per_end: &[usize], what: &str) {
    let whole = read(file);
    assert_eq!(whole.error, None);
    for cut in 0..=file.len() {
        let got = read(&file[..cut]);
        if cut < ends[0] {
            let error = got.error.expect("a cut file header is an error");
            match cut {
                0 => assert_eq!(error, "the file is empty"),
                1..4 => assert_eq!(error, format!("not a savefile: it has only {cut} bytes")),
                _ => assert!(error.contains(&format!("byte {cut}")), "{error}"),
            }
            continue;
        }
        let last = ends.iter().rposition(|&end| end <= cut).unwrap();
        let frames = per_end[last];
        assert_eq!(got.frames, whole.frames[..frames]);
        if ends[last] == cut {
            assert_eq!(got.error, None, "cut at {cut}");
        } else {
            let error = got.error.expect("a cut frame is an error");
            let start = format!("cut in the middle of a {what} at byte {cut} (");
            assert!(error.starts_with(&start), "{error}");
            assert!(
                error.ends_with(&format!("after {frames} frames")),
                "{error}"
            );
        }
    }
}

#[test]
fn pcap_cut_at_every_byte() {
    for order in [LITTLE, BIG] {
        for (magic, extra) in [(0xa1b2_c3d4, 0), (0xa1b2_3c4d, 0), (0xa1b2_cd34, 8)] {
            let (file, ends) = pcap(order, magic, &vec![0; extra]);
            cut_everywhere(&file, &ends, &[0, 1, 2, 3], "frame");
        }
    }
}

/// Two sections in the two byte orders, with everything in them; beside each end of a block,
/// the frames so far.
fn pcapng() -> (Vec<u8>, Vec<usize>, Vec<usize>) {
    let (a, b) = (LITTLE, BIG);
    let nano = (9, vec![9]);
    let blocks = [
        (a.section(), 0),
        (a.interface(1, 8, &[(2, b"lan0".to_vec())]), 0),
        (a.interface(113, 0, &[nano, (14, a.n64(100).to_vec())]), 0),
        (a.enhanced(0, 5_000_001, 1500, &[1; 9]), 1),
        (a.enhanced(1, 2_000_000_003, 3, &[2; 4]), 2),
        (a.block(4, &[1, 2, 3]), 2),
        (a.simple(20, &[3; 8]), 3),
        (a.obsolete(0, 4, 1_000_000, 70, &[4; 3]), 4),
        (a.obsolete(0, 0xffff, 1_000_000, 70, &[]), 5),
        (a.statistics(0, &[(5, a.n64(3).to_vec())]), 5),
        (
            a.statistics(1, &[(5, a.n64(3).to_vec()), (7, a.n64(7).to_vec())]),
            5,
        ),
        (a.enhanced(2, 9, 1, &[5]), 6),
        (b.section(), 6),
        (b.interface(228, 0, &[(9, vec![0x83])]), 6),
        (b.block(0x8000_0bad, &[]), 6),
        (b.enhanced(0, 20, 44, &[6; 2]), 7),
        (b.statistics(0, &[(5, b.n64(100).to_vec())]), 7),
    ];
    let (mut file, mut ends, mut frames) = (vec![], vec![], vec![]);
    for (block, n) in blocks {
        file.extend(block);
        ends.push(file.len());
        frames.push(n);
    }
    (file, ends, frames)
}

#[test]
fn pcapng_with_everything() {
    let (file, _, _) = pcapng();
    let sll = Link::LinuxSll;
    let want = vec![
        (vec![1; 9], 1500, Link::Ethernet, Nanos(5_000_001_000), 1),
        (vec![2; 4], 4, sll, Nanos(102_000_000_003), 2),
        (vec![3; 8], 20, Link::Ethernet, Nanos(0), 1),
        (vec![4; 3], 70, Link::Ethernet, Nanos(1_000_000_000), 1),
        (vec![], 70, Link::Ethernet, Nanos(1_000_000_000), 1),
        (vec![5], 1, Link::Other(0xffff), Nanos(9_000), 3),
        (vec![6; 2], 44, Link::Other(228), Nanos(2_500_000_000), 1),
    ];
    // Four lost by the packets of the first interface, ten by the second, a hundred by the third.
    let loss = Loss {
        kernel: 114,
        ..Loss::default()
    };
    for most in [usize::MAX, 1, 13] {
        let got = read_by(&file, most);
        assert_eq!(
            got,
            Got {
                frames: want.clone(),
                error: None,
                loss
            }
        );
    }
}

#[test]
fn pcapng_cut_at_every_byte() {
    let (file, ends, frames) = pcapng();
    // The magics of the first block are enough to call it a savefile; from there on a cut is one
    // in the middle of a block, of which the first is passed over by its length.
    let whole = read(&file);
    for cut in 16..ends[0] {
        let error = read(&file[..cut]).error.unwrap();
        assert!(
            error.starts_with(&format!("cut at byte {cut}, ")),
            "{error}"
        );
    }
    for cut in (0..16).chain(ends[0]..=file.len()) {
        let got = read(&file[..cut]);
        let Some(last) = ends.iter().rposition(|&end| end <= cut) else {
            assert!(got.error.is_some());
            continue;
        };
        assert_eq!(got.frames, whole.frames[..frames[last]], "cut at {cut}");
        assert_eq!(
            got.error.is_none(),
            ends[last] == cut,
            "cut at {cut}: {:?}",
            got.error
        );
        if let Some(error) = got.error {
            assert!(error.contains(&format!("at byte {cut}")), "{error}");
            assert!(
                error.ends_with(&format!("after {} frames", frames[last])),
                "{error}"
            );
        }
    }
}

#[test]
fn what_is_no_savefile_is_named() {
    let tell = |bytes: &[u8]| read(bytes).error.unwrap();
    assert_eq!(tell(b""), "the file is empty");
    assert!(tell(b"\x7fELF").starts_with("not a savefile: it begins with 7f 45 4c 46; understood"));
    assert!(tell(&[0x28, 0xb5, 0x2f, 0xfd, 0]).contains("which is zstd: unpack it first"));
    assert!(tell(b"\xfd7zXZ\0").contains("which is xz: unpack it first"));
    assert!(tell(b"snoop\0\0\0").contains("a snoop capture: turn it into pcap"));
    assert!(tell(&[0x0a, 0x0d, 0x0d, 0x0a, 28, 0, 0, 0, 1, 2, 3, 4, 1, 0, 0, 0]).contains("order"));
    let mut three = BIG.pcap(0xa1b2_c3d4, 65_535, 1);
    three[5] = 3;
    assert!(tell(&three).contains("version"));
}

#[test]
fn a_frame_too_long_is_passed_over() {
    let mut file = LITTLE.pcap(0xa1b2_c3d4, 0x0100_0000, 1);
    let long = vec![9; MAX_FRAME + 1];
    LITTLE.record(&mut file, [1, 0, 2, 2], &[], &[1, 1]);
    LITTLE.record(&mut file, [2, 0, long.len() as u32, 0], &[], &long);
    LITTLE.record(&mut file, [3, 0, MAX_FRAME as u32, 0], &[], &long[1..]);
    LITTLE.record(&mut file, [4, 0, 2_000_000, 0], &[], &vec![8; 2_000_000]);
    LITTLE.record(&mut file, [5, 0, 1, 1], &[], &[2]);
    let got = read(&file);
    assert_eq!(got.error, None);
    assert_eq!(got.loss.oversize, 2);
    let lengths: Vec<usize> = got.frames.iter().map(|f| f.0.len()).collect();
    assert_eq!(lengths, [2, MAX_FRAME, 1]);
    let cut = read(&file[..file.len() - 20]);
    let error = cut.error.unwrap();
    assert!(
        error.contains("3 bytes short of the end of a long frame or block"),
        "{error}"
    );
}

#[test]
fn a_snap_length_of_zero_is_no_limit() {
    let mut file = LITTLE.pcap(0xa1b2_c3d4, 0, 1);
    let long = vec![9; MAX_FRAME + 1];
    LITTLE.record(&mut file, [2, 0, long.len() as u32, 0], &[], &long);
    LITTLE.record(&mut file, [5, 0, 1, 1], &[], &[2]);
    let got = read(&file);
    assert_eq!((got.error, got.loss.oversize), (None, 1));
    assert_eq!(got.frames.len(), 1);
}

#[test]
fn a_pcapng_block_too_long_is_passed_over() {
    let a = LITTLE;
    let mut file = [a.section(), a.interface(1, 0, &[])].concat();
    file.extend(a.enhanced(0, 1, 1, &vec![1; MAX_FRAME + 1]));
    file.extend(a.block(0x1234, &vec![2; 3 * BUFFER]));
    file.extend(a.enhanced(0, 1, 1, &vec![3; 2 * BUFFER]));
    file.extend(a.enhanced(0, 1, 1, &vec![4; MAX_FRAME]));
    file.extend(a.enhanced(0, 1, 1, &[5]));
    let got = read(&file);
    assert_eq!(got.error, None);
    assert_eq!(got.loss.oversize, 2);
    assert_eq!(
        got.frames.iter().map(|f| f.0[0]).collect::<Vec<u8>>(),
        [4, 5]
    );
}

#[test]
fn lengths_that_make_no_sense_end_it() {
    let (mut file, ends) = pcap(BIG, 0xa1b2_c3d4, &[]);
    file[ends[1] + 8] = 0x7f;
    let got = read(&file);
    assert_eq!(got.frames.len(), 1);
    let want = "damaged: a frame of 2130706432 bytes at byte 100, after 1 frames";
    assert_eq!(got.error.as_deref(), Some(want));

    let (file, ends, frames) = pcapng();
    // Shorter than a block can be, and no multiple of four.
    for length in [8, 0x3a] {
        let mut file = file.clone();
        file[ends[3] + 4] = length;
        let got = read(&file);
        assert_eq!(got.frames.len(), frames[3]);
        let at = ends[3];
        let what = "damaged: a block whose length makes no sense";
        assert_eq!(
            got.error,
            Some(format!("{what} at byte {at}, after 1 frames"))
        );
    }
    let mut other = file.clone();
    other[ends[3] - 4] ^= 4;
    assert!(
        read(&other)
            .error
            .unwrap()
            .contains("whose two lengths differ at byte")
    );
    // A packet that states more bytes than its block has is there, without bytes.
    let mut more = file;
    more[ends[2] + 8 + 12] = 200;
    let got = read(&more);
    assert_eq!((got.frames[0].0.len(), got.frames[0].1), (0, 1500));
    assert_eq!(got.frames.len(), 7);
}

#[test]
fn interfaces_without_end() {
    let a = LITTLE;
    let mut file = a.section();
    for _ in 0..5000 {
        file.extend(a.interface(1, 0, &[]));
    }
    assert!(
        read(&file)
            .error
            .unwrap()
            .contains("more than 4096 interfaces at byte")
    );
}

#[test]
fn bursts_are_bounded_and_files_of_many_buffers_come_whole() {
    let mut file = write_pcap_header(1).to_vec();
    for n in 0..10_000u32 {
        let len = n % 200;
        file.extend(write_pcap_record(Nanos(u64::from(n)), len, len));
        file.extend(vec![n as u8; len as usize]);
    }
    let got = read(&file);
    assert_eq!(got.error, None);
    assert_eq!(got.frames.len(), 10_000);
    for (n, frame) in got.frames.iter().enumerate() {
        assert_eq!(frame.0, vec![n as u8; n % 200]);
        assert_eq!(frame.3, Nanos(n as u64));
    }
}

#[test]
fn paths_and_positions() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.pcap");
    assert!(matches!(
        SavefileSource::open(&path),
        Err(SourceError::Io(_))
    ));
    assert!(matches!(
        SavefileSource::open(dir.path()),
        Err(SourceError::Io(_))
    ));
    let (file, _) = pcap(LITTLE, 0xa1b2_c3d4, &[]);
    std::fs::write(&path, &file).unwrap();
    let mut source = SavefileSource::open(&path).unwrap();
    assert_eq!(source.fd(), None);
    while source.read(&mut |_| ()).unwrap() != Progress::End {}
    let size = file.len() as u64;
    assert_eq!(source.position(), Some((size, Some(size))));
}

#[cfg(feature = "src-gzip")]
mod gzip {
    use super::*;
    use flate2::{Compression, write::GzEncoder};
    use std::io::Write;

    fn pack(bytes: &[u8]) -> Vec<u8> {
        let mut packer = GzEncoder::new(vec![], Compression::default());
        packer.write_all(bytes).unwrap();
        packer.finish().unwrap()
    }

    #[test]
    fn members_one_behind_the_other() {
        let (file, ends, _) = pcapng();
        let packed = [pack(&file[..ends[4]]), pack(&file[ends[4]..])].concat();
        assert_eq!(read(&packed), read(&file));
        assert_eq!(read_by(&packed, 3), read(&file));
    }

    #[test]
    fn cut_and_damaged_streams() {
        // Noise, so that what is cut off is not a single repeat.
        let noise: Vec<u8> = (0..5000u32)
            .map(|n| (n.wrapping_mul(2_654_435_761) >> 24) as u8)
            .collect();
        let mut file = write_pcap_header(1).to_vec();
        for n in 0..100usize {
            file.extend(write_pcap_record(Nanos(1), 50, 50));
            file.extend(&noise[n * 50..n * 50 + 50]);
        }
        let packed = pack(&file);
        let whole = read(&packed);
        assert_eq!((whole.frames.len(), whole.error), (100, None));
        for cut in 2..packed.len() {
            let got = read(&packed[..cut]);
            let error = got.error.expect("a cut stream is an error");
            assert!(error.contains("gzip stream is cut behind byte"), "{error}");
            assert_eq!(got.frames, whole.frames[..got.frames.len()]);
        }
        let mut damaged = packed.clone();
        let crc = damaged.len() - 5;
        damaged[crc] ^= 1;
        let got = read(&damaged);
        assert_eq!(got.frames.len(), 100);
        assert!(got.error.unwrap().contains("damaged"));
        assert_eq!(read(&pack(b"")).error.unwrap(), "the file is empty");
    }
}

#[cfg(not(feature = "src-gzip"))]
#[test]
fn a_build_without_gzip_says_so() {
    let error = read(&[0x1f, 0x8b, 8, 0]).error.unwrap();
    assert!(error.contains("this build has no `src-gzip`"), "{error}");
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 512,
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    /// Whatever happens to the bytes: no panic, no more frames than fit, and the size of the
    /// reads makes no difference.
    #[test]
    fn mutated(
        ng in any::<bool>(),
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
        splice in any::<Option<(prop::sample::Index, prop::sample::Index)>>(),
        most in 1usize..64,
    ) {
        let mut file = if ng { pcapng().0 } else { pcap(LITTLE, 0xa1b2_c3d4, &[]).0 };
        for (at, value) in changes {
            let at = at.index(file.len());
            file[at] = value;
        }
        if let Some((from, to)) = splice {
            let tail = file[from.index(file.len())..].to_vec();
            file.truncate(to.index(file.len()));
            file.extend(tail);
        }
        let whole = read(&file);
        prop_assert!(whole.frames.len() <= file.len() / 12);
        prop_assert_eq!(read_by(&file, most), whole);
    }
}
