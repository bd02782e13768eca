use super::*;
use crate::base::time::SECOND;
use crate::spool::Since;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use tempfile::TempDir;

const NOW: Nanos = Nanos(1_767_322_800 * SECOND);
const HELD: Keep = Keep {
    held: true,
    at_any_cost: false,
};

fn settings(dir: &TempDir) -> Settings {
    Settings {
        folder: dir.path().join("spool/x"),
        size: 4 << 20,
        age: None,
        sync: Sync::Never,
        daily: None,
    }
}

fn open(settings: &Settings) -> Log {
    Log::open(settings, NOW).unwrap_or_else(|e| panic!("{e:?}"))
}

fn frame(n: u64) -> (Vec<u8>, Sum) {
    let payload = format!("frame {n} {}", "x".repeat(n as usize % 50));
    (payload.into_bytes(), Sum::one(n, n * 100))
}

fn add(log: &mut Log, n: u64, keep: Keep) -> Place {
    let (payload, sum) = frame(n);
    let place = log.append(&payload, sum, NOW, keep);
    place.unwrap_or_else(|e| panic!("{e:?}"))
}

fn rest(log: &mut Log) -> Vec<(Place, u64)> {
    let (mut all, mut buffer) = (Vec::new(), Vec::new());
    while let Some((place, sum)) = log.next(&mut buffer).unwrap() {
        assert_eq!((buffer.clone(), sum), frame(sum.packets));
        all.push((place, sum.packets));
    }
    all
}

fn numbers(log: &mut Log) -> Vec<u64> {
    rest(log).into_iter().map(|(_, n)| n).collect()
}

#[test]
fn frames_come_oldest_first_and_acknowledged_ones_not_again() {
    let dir = tempfile::tempdir().unwrap();
    let settings = settings(&dir);
    let mut log = open(&settings);
    for n in 0..10 {
        add(&mut log, n, Keep::default());
    }
    assert_eq!(log.usage().waiting.records, 10);
    let read = rest(&mut log);
    assert_eq!(read.iter().map(|r| r.1).collect::<Vec<_>>(), {
        (0..10).collect::<Vec<_>>()
    });
    assert_eq!(log.usage().waiting, Sum::default());
    for n in [0, 1, 2, 7, 7] {
        log.ack(read[n].0);
    }
    drop(log);
    let mut log = open(&settings);
    assert_eq!(log.found().records, 6);
    // What is added now comes behind what was there.
    add(&mut log, 99, Keep::default());
    let read = rest(&mut log);
    let left: Vec<u64> = read.iter().map(|r| r.1).collect();
    assert_eq!(left, [3, 4, 5, 6, 8, 9, 99]);
    read.iter().for_each(|(place, _)| log.ack(*place));
    log.close().unwrap();
    let left = fs::read_dir(&settings.folder).unwrap();
    let mut left: Vec<_> = left.map(|e| e.unwrap().file_name()).collect();
    left.sort();
    assert_eq!(left, ["lock", "wear"], "nothing is left behind");
}

#[test]
fn what_somebody_holds_is_not_read_until_the_next_start() {
    let dir = tempfile::tempdir().unwrap();
    let settings = settings(&dir);
    let mut log = open(&settings);
    let first = add(&mut log, 1, HELD);
    add(&mut log, 2, Keep::default());
    add(&mut log, 3, HELD);
    assert_eq!(numbers(&mut log), [2]);
    log.ack(first);
    drop(log);
    assert_eq!(numbers(&mut open(&settings)), [2, 3]);
}

#[test]
fn a_full_log_gives_up_its_oldest_segments_and_counts_them() {
    let dir = tempfile::tempdir().unwrap();
    let settings = Settings {
        size: 1 << 20,
        ..settings(&dir)
    };
    let mut log = open(&settings);
    let payload = vec![7; 10_000];
    let mut held = Vec::new();
    for n in 0..1000 {
        let keep = if n == 3 { HELD } else { Keep::default() };
        let place = log.append(&payload, Sum::one(1, 100), NOW, keep);
        held.push(place.unwrap());
        assert!(log.usage().used <= settings.size);
    }
    let usage = log.usage();
    let gone = usage.given_up[Reason::Size as usize].records;
    assert_eq!(gone + usage.waiting.records, 999);
    assert!(usage.waiting.records > 80, "{usage:?}");
    // Of what is gone an acknowledgement may still come.
    log.ack(held[3]);
    let on_disk = fs::read_dir(&settings.folder).unwrap();
    let on_disk: u64 = on_disk.map(|e| e.unwrap().metadata().unwrap().len()).sum();
    assert!(on_disk <= settings.size + 100, "{on_disk}");
    let mut buffer = Vec::new();
    let mut read = 0;
    while log.next(&mut buffer).unwrap().is_some() {
        read += 1;
    }
    assert_eq!(read, usage.waiting.records);
    let large = vec![0; 2 << 20];
    let refused = log.append(&large, Sum::default(), NOW, Keep::default());
    assert!(matches!(refused, Err(Trouble::TooLarge)));
}

/// A log of frames a minute apart.
fn hour(settings: &Settings, from: Nanos) -> Log {
    let mut log = open(settings);
    for minute in 0..60 {
        let (payload, sum) = frame(minute * 60);
        let at = Nanos(from.0 + minute * 60 * SECOND);
        let kept = log.append(&payload, sum, at, Keep::default());
        kept.unwrap();
    }
    log
}

fn aged(dir: &TempDir) -> Settings {
    Settings {
        age: Some(Duration::from_secs(3600)),
        ..settings(dir)
    }
}

#[test]
fn what_an_earlier_run_wrote_is_given_up_when_its_times_are_too_old() {
    let dir = tempfile::tempdir().unwrap();
    let later = |seconds| Nanos(NOW.0 + seconds * SECOND);
    drop(hour(&aged(&dir), NOW));
    let mut log = open(&aged(&dir));
    let now = Instant::now();
    assert_eq!(log.usage().oldest, Some(Since::Wall(NOW)));
    // A clock that is set is looked at, however long that should be.
    assert_eq!(log.expire(later(0), now), Some(LOOK));
    assert_eq!(log.expire(later(3599), now), Some(LOOK));
    assert_eq!(log.usage().waiting.records, 60);
    log.expire(later(5400), now);
    let usage = log.usage();
    let gone = usage.given_up[Reason::Age as usize].records;
    // A sixteenth of the age is what a segment may have.
    assert!((26..=31).contains(&gone), "{gone}");
    assert_eq!(usage.waiting.records + gone, 60);
    assert_eq!(log.expire(later(99_999), now), None);
    let usage = log.usage();
    assert_eq!((usage.waiting.records, usage.oldest), (0, None));
}

#[test]
fn ages_need_no_clock_that_somebody_sets() {
    let dir = tempfile::tempdir().unwrap();
    let now = Instant::now();
    let hour_later = now + Duration::from_secs(3700);
    // A box starts in 1970, or in the past, and learns the time later: nothing is older for that.
    for from in [Nanos::new(60, 0), Nanos(NOW.0 - 500 * DAY * SECOND)] {
        let mut log = hour(&aged(&dir), from);
        assert!(log.expire(NOW, now).unwrap() > Duration::from_secs(3500));
        assert_eq!(log.usage().waiting.records, 60);
        assert!(matches!(log.usage().oldest, Some(Since::Steady(_))));
        // But an hour is an hour.
        assert_eq!(log.expire(NOW, hour_later), None);
        assert_eq!(log.usage().given_up[Reason::Age as usize].records, 60);
        log.close().unwrap();
    }
    // What an earlier run wrote in 1970 has been there since the start at least, whatever the
    // clock says; and so has what it wrote in the future.
    for from in [Nanos::new(60, 0), Nanos(NOW.0 + 500 * DAY * SECOND)] {
        drop(hour(&aged(&dir), from));
        let mut log = open(&aged(&dir));
        for wall in [Nanos::new(90, 0), NOW] {
            assert_eq!(log.expire(wall, now), Some(LOOK));
        }
        assert_eq!(log.usage().waiting.records, 60);
        assert_eq!(log.expire(NOW, hour_later), None);
        assert_eq!(log.usage().given_up[Reason::Age as usize].records, 60);
        log.close().unwrap();
    }
}

#[test]
fn a_day_has_its_budget_over_a_restart_too() {
    let dir = tempfile::tempdir().unwrap();
    let settings = Settings {
        daily: Some(100_000),
        ..settings(&dir)
    };
    let mut log = open(&settings);
    let payload = vec![1; 1000];
    let put = |log: &mut Log, now: Nanos, at_any_cost| {
        let held = false;
        let keep = Keep { held, at_any_cost };
        log.append(&payload, Sum::one(1, 1), now, keep)
    };
    let mut kept = 0;
    while put(&mut log, NOW, false).is_ok() {
        kept += 1;
    }
    assert!((90..100).contains(&kept), "{kept}");
    assert!(matches!(put(&mut log, NOW, false), Err(Trouble::Spent)));
    put(&mut log, NOW, true).unwrap();
    log.close().unwrap();
    let mut log = open(&settings);
    assert!(matches!(put(&mut log, NOW, false), Err(Trouble::Spent)));
    let tomorrow = Nanos(NOW.0 + DAY * SECOND);
    put(&mut log, tomorrow, false).unwrap();
    assert!(log.usage().wear < 2000);
}

#[test]
fn a_folder_is_one_process_s_and_nobody_else_looks_into_it() {
    let dir = tempfile::tempdir().unwrap();
    let settings = settings(&dir);
    fs::create_dir_all(&settings.folder).unwrap();
    let mut log = open(&settings);
    add(&mut log, 1, Keep::default());
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&settings.folder), 0o700);
    for entry in fs::read_dir(&settings.folder).unwrap() {
        let path = entry.unwrap().path();
        let allowed = if path.ends_with("wear") { 0o644 } else { 0o600 };
        assert_eq!(mode(&path) & !allowed, 0, "{}", path.display());
    }
    let refused = match Log::open(&settings, NOW) {
        Err(Shut::Refused(why)) => why,
        _ => panic!("opened twice"),
    };
    let me = std::process::id().to_string();
    assert!(
        refused.contains("in use") && refused.contains(&me),
        "{refused}"
    );
    drop(log);
    assert_eq!(numbers(&mut open(&settings)), [1]);
}

#[test]
fn a_later_version_is_refused_and_left_alone() {
    let dir = tempfile::tempdir().unwrap();
    let settings = settings(&dir);
    let mut log = open(&settings);
    add(&mut log, 1, Keep::default());
    drop(log);
    let files = fs::read_dir(&settings.folder).unwrap();
    let mut files = files.map(|e| e.unwrap().path());
    let path = files.find(|p| p.extension().is_some()).unwrap();
    let mut bytes = fs::read(&path).unwrap();
    bytes[8] = 2;
    let check = crc32fast::hash(&bytes[..28]).to_le_bytes();
    bytes[28..32].copy_from_slice(&check);
    fs::write(&path, &bytes).unwrap();
    match Log::open(&settings, NOW) {
        Err(Shut::Refused(why)) => assert!(why.contains("later weir (version 2"), "{why}"),
        _ => panic!("opened"),
    }
    assert_eq!(fs::read(&path).unwrap(), bytes);
    // Damage is something else: then the frames tell.
    bytes[28] ^= 1;
    fs::write(&path, &bytes).unwrap();
    let mut log = open(&settings);
    assert_eq!(numbers(&mut log), [1]);
    assert_eq!(log.usage().damaged, HEADER);
}

#[test]
fn what_lies_in_a_payload_is_never_taken_for_a_frame() {
    let dir = tempfile::tempdir().unwrap();
    let settings = settings(&dir);
    let mut log = open(&settings);
    // A whole frame of another segment as the payload of ours.
    let (inner, sum) = frame(7);
    let head = Head {
        len: inner.len() as u32,
        number: 9,
        check: crc32fast::hash(&inner),
        time: NOW,
        sum,
    };
    let payload = [head.bytes(1234), inner].concat();
    log.append(&payload, Sum::one(1, 1), NOW, Keep::default())
        .unwrap();
    add(&mut log, 5, Keep::default());
    drop(log);
    let files = fs::read_dir(&settings.folder).unwrap();
    let mut files = files.map(|e| e.unwrap().path());
    let path = files.find(|p| p.extension().is_some()).unwrap();
    let mut bytes = fs::read(&path).unwrap();
    bytes[HEADER as usize + 5] ^= 1;
    fs::write(&path, bytes).unwrap();
    let mut log = open(&settings);
    assert_eq!(log.found().records, 1);
    assert_eq!(numbers(&mut log), [5]);
    assert_eq!(log.usage().damaged, HEAD + payload.len() as u64);
}

#[test]
fn a_segment_that_is_taken_away_is_counted_and_the_next_one_read() {
    let dir = tempfile::tempdir().unwrap();
    let settings = Settings {
        size: 1 << 20,
        ..settings(&dir)
    };
    let mut log = open(&settings);
    let payload = vec![7; 10_000];
    for _ in 0..20 {
        log.append(&payload, Sum::one(1, 1), NOW, Keep::default())
            .unwrap();
    }
    let first = log.segments[1].name;
    let lost = u64::from(log.segments[1].frames);
    fs::remove_file(first.segment(&settings.folder)).unwrap();
    let (mut buffer, mut read) = (Vec::new(), 0);
    while log.next(&mut buffer).unwrap().is_some() {
        read += 1;
    }
    let usage = log.usage();
    assert_eq!(usage.given_up[Reason::Damaged as usize].records, lost);
    assert_eq!(read + lost, 20);
}

#[test]
fn files_are_forced_to_the_disk_when_their_time_has_come() {
    let dir = tempfile::tempdir().unwrap();
    let settings = Settings {
        sync: Sync::Every(Duration::from_secs(5)),
        ..settings(&dir)
    };
    let mut log = open(&settings);
    let start = Instant::now();
    assert_eq!(log.unsynced(start).1, None);
    add(&mut log, 1, Keep::default());
    let (files, wait) = log.unsynced(Instant::now());
    assert!(files.is_empty() && wait.unwrap() <= Duration::from_secs(5));
    add(&mut log, 2, Keep::default());
    let later = Instant::now() + Duration::from_secs(5);
    assert_eq!(log.unsynced(later).0.len(), 1);
    assert_eq!(log.unsynced(later).1, None);
}

#[test]
fn what_can_not_be_read_for_now_is_not_lost() {
    let dir = tempfile::tempdir().unwrap();
    let settings = settings(&dir);
    for n in 0..3 {
        let mut log = open(&settings);
        add(&mut log, 2 * n, Keep::default());
        add(&mut log, 2 * n + 1, Keep::default());
    }
    let mut log = open(&settings);
    let path = log.segments[1].name.segment(&settings.folder);
    let aside = dir.path().join("aside");
    fs::rename(&path, &aside).unwrap();
    // Neither can be opened, and then not be read, for a reason that says nothing of the bytes.
    let block: [&dyn Fn(); 2] = [
        &|| std::os::unix::fs::symlink(&path, &path).unwrap(),
        &|| fs::create_dir(&path).unwrap(),
    ];
    let unblock: [&dyn Fn(); 2] = [&|| fs::remove_file(&path).unwrap(), &|| {
        fs::remove_dir(&path).unwrap();
    }];
    let mut buffer = Vec::new();
    assert_eq!(log.next(&mut buffer).unwrap().unwrap().1.packets, 0);
    assert_eq!(log.next(&mut buffer).unwrap().unwrap().1.packets, 1);
    for (block, unblock) in block.iter().zip(unblock) {
        block();
        for _ in 0..3 {
            log.next(&mut buffer).unwrap_err();
        }
        let usage = log.usage();
        assert_eq!((usage.frames, usage.damaged), (4, 0));
        assert_eq!(usage.given_up, [Sum::default(); REASONS.len()]);
        unblock();
    }
    fs::rename(&aside, &path).unwrap();
    assert_eq!(numbers(&mut log), [2, 3, 4, 5]);
}

#[test]
fn a_frame_whose_payload_can_not_be_read_for_now_comes_again() {
    let dir = tempfile::tempdir().unwrap();
    let settings = settings(&dir);
    let mut log = open(&settings);
    for n in 0..3 {
        add(&mut log, n, Keep::default());
    }
    drop(log);
    let mut log = open(&settings);
    let path = log.segments[0].name.segment(&settings.folder);
    let mut buffer = Vec::new();
    assert_eq!(log.next(&mut buffer).unwrap().unwrap().1.packets, 0);
    // The file that is open already can not be read.
    let good = log.reading.file.take();
    log.reading.file = Some(Arc::new(File::open(dir.path()).unwrap()));
    log.next(&mut buffer).unwrap_err();
    assert_eq!(log.usage().waiting.records, 2);
    log.reading.file = good;
    assert_eq!(numbers(&mut log), [1, 2]);
    // Cut off behind its head, it is damaged.
    let mut log = {
        drop(log);
        open(&settings)
    };
    let len = fs::metadata(&path).unwrap().len();
    File::options()
        .write(true)
        .open(&path)
        .unwrap()
        .set_len(len - 3)
        .unwrap();
    assert_eq!(numbers(&mut log), [0, 1]);
    assert_eq!(log.usage().given_up[Reason::Damaged as usize].records, 1);
}

#[test]
fn a_start_without_a_clock_begins_no_new_day() {
    let dir = tempfile::tempdir().unwrap();
    let settings = Settings {
        daily: Some(10_000),
        ..settings(&dir)
    };
    let put = |log: &mut Log, now| {
        let kept = log.append(&[1; 9000], Sum::one(1, 1), now, Keep::default());
        kept.is_ok()
    };
    let mut log = open(&settings);
    assert!(put(&mut log, NOW));
    log.close().unwrap();
    // In 1970, then yesterday, then today again.
    let mut log = Log::open(&settings, Nanos::new(60, 0)).unwrap_or_else(|e| panic!("{e:?}"));
    let yesterday = Nanos(NOW.0 - DAY * SECOND);
    for now in [Nanos::new(90, 0), yesterday, NOW] {
        assert!(!put(&mut log, now));
    }
    assert!(put(&mut log, Nanos(NOW.0 + DAY * SECOND)));
    // Where nobody sets it at all, a day is what has passed.
    assert!(!put(&mut log, Nanos::new(90, 0)));
    log.today -= Duration::from_secs(DAY);
    assert!(put(&mut log, Nanos::new(90, 0)));
}

#[test]
fn nothing_is_added_to_a_file_that_did_not_get_to_the_disk() {
    let dir = tempfile::tempdir().unwrap();
    let settings = Settings {
        sync: Sync::Every(Duration::from_secs(5)),
        ..settings(&dir)
    };
    let mut log = open(&settings);
    let first = add(&mut log, 1, Keep::default());
    let later = Instant::now() + Duration::from_secs(5);
    let (files, _) = log.unsynced(later);
    log.distrust(&files[0]);
    let second = add(&mut log, 2, Keep::default());
    assert_eq!((first.segment, second.segment), (1, 2));
    // That the one before failed says nothing of this one.
    log.distrust(&files[0]);
    assert_eq!(add(&mut log, 3, Keep::default()).segment, 2);
    assert_eq!(numbers(&mut log), [1, 2, 3]);
}

#[test]
fn few_files_wait_for_the_disk_and_none_that_is_gone() {
    let dir = tempfile::tempdir().unwrap();
    let settings = Settings {
        size: 1 << 20,
        sync: Sync::Every(Duration::from_secs(3600)),
        ..settings(&dir)
    };
    let mut log = open(&settings);
    let payload = vec![7; 60_000];
    let mut forced = 0;
    for _ in 0..100 {
        let kept = log.append(&payload, Sum::one(1, 1), NOW, Keep::default());
        kept.unwrap();
        assert!(log.unsynced.len() <= UNSYNCED_MAX);
        forced += log.unsynced(Instant::now()).0.len();
    }
    assert!(forced > 80, "{forced}");
    log.append(&payload, Sum::one(1, 1), NOW, Keep::default())
        .unwrap();
    let segments = log.segments.len();
    (0..segments).for_each(|_| log.give_up(Reason::Size));
    assert!(log.unsynced.is_empty());
}

/// Memory that the log takes now, and what is known of its segments told anew.
fn memory(log: &Log) -> u64 {
    let (mut frames, mut waiting) = (0, Sum::default());
    for segment in &log.segments {
        frames += u64::from(segment.unread);
        waiting += segment.waiting;
    }
    let usage = log.usage();
    assert_eq!((usage.frames, usage.waiting), (frames, waiting));
    let spare = log.segments.capacity() - log.segments.len();
    let used: u64 = log.segments.iter().map(Segment::memory).sum();
    used + (spare * size_of::<Segment>()) as u64
}

#[test]
fn memory_is_never_more_than_planned() {
    let dir = tempfile::tempdir().unwrap();
    let settings = Settings {
        size: 2 << 20,
        ..settings(&dir)
    };
    let planned = settings.memory() as u64;
    let mut log = open(&settings);
    let mut most = 0;
    // The smallest frames there are, held, and acknowledged but for a few.
    for n in 0..60_000 {
        let keep = if n % 3 == 0 { Keep::default() } else { HELD };
        let place = log.append(&[], Sum::one(n, n), NOW, keep).unwrap();
        if n % 3 == 2 {
            log.ack(place);
        }
        if n % 1000 == 0 {
            most = most.max(memory(&log));
        }
    }
    let mut buffer = Vec::new();
    for _ in 0..5000 {
        log.next(&mut buffer).unwrap().unwrap();
    }
    most = most.max(memory(&log));
    log.close().unwrap();
    most = most.max(memory(&open(&settings)));
    assert!(most > 15_000, "{most}");
    // Many short runs.
    let dir = tempfile::tempdir().unwrap();
    let settings = Settings {
        folder: dir.path().into(),
        ..settings
    };
    for n in 0..600 {
        let mut log = open(&settings);
        add(&mut log, n, HELD);
        most = most.max(memory(&log));
        assert!(log.segments.len() as u64 <= settings.segments());
    }
    assert!(
        (planned / 2..=planned).contains(&most),
        "{most} of {planned}"
    );
    let mut log = open(&settings);
    let left = numbers(&mut log);
    assert!(left.len() > 200 && left.ends_with(&[598, 599]));
}
