//! Every capture of `tests/data` against what tshark counted in it.
#![cfg(feature = "src-gzip")]

use std::path::Path;
use weir::source::savefile::SavefileSource;
use weir::source::{Link, Loss, Progress, Source};

/// Frames in all, and on each interface.
fn count(path: &Path) -> (u64, [u64; 3]) {
    let mut source = SavefileSource::open(path).unwrap();
    let (mut frames, mut by_iface, mut last) = (0, [0; 3], [0; 3]);
    while source
        .read(&mut |f| {
            assert_eq!(f.link, Link::Ethernet);
            let iface = f.from.iface as usize;
            assert!(
                f.time.0 >= last[iface],
                "frame {frames} is older than the one before it"
            );
            last[iface] = f.time.0;
            by_iface[iface] += 1;
            frames += 1;
        })
        .unwrap()
        != Progress::End
    {}
    assert_eq!(source.loss(), Loss::default());
    let (done, size) = source.position().unwrap();
    assert_eq!(Some(done), size);
    (frames, by_iface)
}

#[test]
fn as_many_frames_as_tshark_counts() {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data");
    let totals = std::fs::read_to_string(dir.join("totals.tsv")).unwrap();
    let mut files = 0;
    for line in totals.lines().filter(|l| !l.starts_with('#')) {
        let columns: Vec<&str> = line.split('\t').collect();
        let (frames, by_iface) = count(&dir.join(columns[0]));
        assert_eq!(frames.to_string(), columns[1], "{}", columns[0]);
        // Plain pcap knows no interfaces; of pcapng they count from one.
        assert_eq!(by_iface[0] == 0, columns[0].contains("pcapng"));
        files += 1;
    }
    assert_eq!(files, 7);
}
