//! [`Log`]: segments in order, one of them being written, one of them being read.

use super::folder::{self, shut};
use super::known::Segment;
use super::segment::{self, ACK, HEAD, HEADER, Head, Name};
use super::{Keep, Place, REASONS, Reason, SEGMENTS, Settings, Shut, Sync, Trouble, Usage};
use crate::base::ledger::Sum;
use crate::base::time::{Nanos, SECOND};
use std::collections::VecDeque;
use std::fs::{self, File};
use std::hash::{BuildHasher, RandomState};
use std::io;
use std::os::unix::fs::FileExt;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// A clock before 2024 was never set: times that it gave say nothing about ages.
const CLOCK_SET: Nanos = Nanos(1_704_067_200 * SECOND);

const DAY: u64 = 86_400;

/// Memory that knowing a segment takes, in bytes: those in the middle of a log have no sets.
pub const SEGMENT_MEMORY: u64 = size_of::<Segment>() as u64;

/// Is there in builds that have the spool.
pub struct Built(());

impl Built {
    /// It is.
    pub fn here() -> Option<Self> {
        Some(Self(()))
    }
}

/// Where reading has come to.
#[derive(Default)]
struct Reading {
    number: u64,
    /// Where the frame before begins, and the next one should.
    before: u64,
    at: u64,
    file: Option<Arc<File>>,
    damaged: u64,
}

/// A spool.
pub struct Log {
    settings: Settings,
    /// Held as long as the log is open.
    _lock: File,
    segments: VecDeque<Segment>,
    /// The file of the last segment, while that is written to.
    tail: Option<Arc<File>>,
    next: u64,
    reading: Reading,
    used: u64,
    /// A day since 1970 and the bytes written in it.
    wear: (u64, u64),
    given_up: [Sum; REASONS.len()],
    damaged: u64,
    found: Sum,
    unsynced: Vec<Arc<File>>,
    dirty: Option<Instant>,
}

impl Log {
    /// Opens the log in its folder, which is made where it is not there.
    ///
    /// # Errors
    /// Another process has it, a later weir wrote it, or the system says no.
    pub fn open(settings: &Settings, now: Nanos) -> Result<Self, Shut> {
        let folder = &settings.folder;
        folder::make(folder).map_err(|e| shut(folder, e))?;
        let lock = folder::lock(folder)?;
        let mut names = Vec::new();
        let entries = fs::read_dir(folder).map_err(|e| shut(folder, e))?;
        for entry in entries {
            let entry = entry.map_err(|e| shut(folder, e))?;
            let name = entry.file_name();
            names.extend(name.to_str().and_then(Name::parse));
        }
        names.sort_unstable();
        let mut log = Self {
            settings: settings.clone(),
            _lock: lock,
            segments: VecDeque::new(),
            tail: None,
            next: names.last().map_or(1, |(n, _)| n.number.saturating_add(1)),
            reading: Reading::default(),
            used: 0,
            wear: (0, 0),
            given_up: Default::default(),
            damaged: 0,
            found: Sum::default(),
            unsynced: Vec::new(),
            dirty: None,
        };
        let is_segment = |name: &Name| names.contains(&(*name, false));
        for (name, acks) in &names {
            if *acks && !is_segment(name) {
                // Its segment was deleted in the moment of a crash.
                drop(fs::remove_file(name.acks(folder)));
            } else if !acks {
                log.adopt(*name)?;
            }
        }
        log.wear = folder::read_wear(folder);
        log.roll(now);
        Ok(log)
    }

    /// Takes over a segment of an earlier run.
    fn adopt(&mut self, name: Name) -> Result<(), Shut> {
        let folder = &self.settings.folder;
        let path = name.segment(folder);
        let file = File::open(&path).map_err(|e| shut(&path, e))?;
        let version = segment::version(&file);
        if let Some(version) = version.filter(|v| *v > segment::VERSION) {
            return Err(Shut::Refused(format!(
                "{} was written by a later weir (version {version} of its form, this one reads \
                 {}): run that one until it is empty, or move the folder away",
                path.display(),
                segment::VERSION
            )));
        }
        let segment = Segment::scan(folder, name).map_err(|e| shut(&path, e))?;
        self.damaged += segment.damaged;
        if version.is_none() {
            self.damaged += HEADER.min(segment.bytes);
        }
        self.found += segment.waiting;
        self.used += segment.bytes + segment.ack_bytes;
        self.segments.push_back(segment);
        self.tidy(self.segments.len() - 1);
        Ok(())
    }

    /// What was found that nobody had acknowledged.
    pub fn found(&self) -> Sum {
        self.found
    }

    /// Adds a frame.
    ///
    /// # Errors
    /// Why it is not kept; then nothing has changed but what had to make room.
    pub fn append(
        &mut self,
        payload: &[u8],
        sum: Sum,
        now: Nanos,
        keep: Keep,
    ) -> Result<Place, Trouble> {
        self.roll(now);
        let len = u32::try_from(payload.len()).unwrap_or(u32::MAX);
        let whole = HEAD + u64::from(len);
        if len > segment::PAYLOAD_MAX || whole + HEADER > self.settings.size {
            return Err(Trouble::TooLarge);
        }
        let spent = |daily| self.wear.1 + whole > daily;
        if self.settings.daily.is_some_and(spent) && !keep.at_any_cost {
            return Err(Trouble::Spent);
        }
        while self.used + whole + HEADER > self.settings.size && !self.segments.is_empty() {
            self.give_up(Reason::Size);
        }
        let file = self.writable(whole, now).map_err(Trouble::Io)?;
        let Some(segment) = self.segments.back_mut() else {
            return Err(Trouble::TooLarge);
        };
        let head = Head {
            len,
            number: segment.frames,
            check: crc32fast::hash(payload),
            time: now,
            sum,
        };
        let bytes = head.bytes(segment.name.salt);
        let before = segment.bytes;
        if let Err((e, back)) = segment::add(&file, before, [&bytes, payload]) {
            if !back {
                self.tail = None;
            }
            return Err(Trouble::Io(e));
        }
        if self.settings.sync == Sync::Always
            && let Err(e) = file.sync_data()
        {
            // What the system has of this file is not to be trusted any more.
            drop(file.set_len(before));
            self.tail = None;
            return Err(Trouble::Io(e));
        }
        segment.bytes += whole;
        segment.frames += 1;
        segment.add(&head, keep.held);
        let segment = segment.name.number;
        self.used += whole;
        self.wear.1 += whole;
        if let Sync::Every(_) = self.settings.sync {
            self.dirty.get_or_insert_with(Instant::now);
            if !self.unsynced.iter().any(|f| Arc::ptr_eq(f, &file)) {
                self.unsynced.push(file);
            }
        }
        let frame = head.number;
        Ok(Place { segment, frame })
    }

    /// The file to which a frame of `whole` bytes is added.
    fn writable(&mut self, whole: u64, now: Nanos) -> io::Result<Arc<File>> {
        let size = self.settings.segment();
        let age = self
            .settings
            .age
            .map(|age| age.as_nanos() as u64 / SEGMENTS);
        if let (Some(file), Some(tail)) = (&self.tail, self.segments.back()) {
            let old = age.is_some_and(|age| now.0.saturating_sub(tail.first.0) > age);
            let full = tail.bytes + whole > size || old;
            if !full || tail.frames == 0 {
                return Ok(file.clone());
            }
            self.tail = None;
            self.tidy(self.segments.len() - 1);
        }
        let folder = &self.settings.folder;
        let number = self.next;
        let salt = RandomState::new().hash_one(number) as u32;
        let name = Name { number, salt };
        let file = segment::create(&name.segment(folder))?;
        let made = file
            .write_all_at(&segment::header(number, now), 0)
            .and_then(|()| match self.settings.sync {
                Sync::Never => Ok(()),
                _ => File::open(folder).and_then(|folder| folder.sync_all()),
            });
        if let Err(e) = made {
            drop(fs::remove_file(name.segment(folder)));
            return Err(e);
        }
        folder::write_wear(folder, self.wear);
        self.next = self.next.saturating_add(1);
        self.used += HEADER;
        self.wear.1 += HEADER;
        self.segments.push_back(Segment::new(name, now));
        let file = Arc::new(file);
        self.tail = Some(file.clone());
        Ok(file)
    }

    /// The oldest frame that nobody has read nor holds, its payload in `buffer`.
    pub fn next(&mut self, buffer: &mut Vec<u8>) -> Option<(Place, Sum)> {
        loop {
            let from = self.reading.number;
            let at = self.segments.partition_point(|s| s.name.number < from);
            let last = at + 1 == self.segments.len();
            let segment = self.segments.get_mut(at)?;
            if segment.name.number != from {
                self.reading = Reading {
                    number: segment.name.number,
                    before: HEADER,
                    at: HEADER,
                    ..Reading::default()
                };
            }
            if segment.unread == 0 {
                if last && self.tail.is_some() {
                    return None;
                }
                self.leave(at);
                continue;
            }
            let file = match (&self.reading.file, &self.tail) {
                (Some(file), _) => file.clone(),
                (None, Some(tail)) if last => tail.clone(),
                _ => match File::open(segment.name.segment(&self.settings.folder)) {
                    Ok(file) => Arc::new(file),
                    Err(_) => {
                        self.leave(at);
                        continue;
                    }
                },
            };
            self.reading.file = Some(file.clone());
            let from = self.reading.at;
            let before = (self.reading.before, from);
            let found = segment::seek(&file, segment.name.salt, before, segment.bytes);
            let Ok(Some((place, head))) = found else {
                self.reading.damaged += segment.bytes.saturating_sub(from);
                self.leave(at);
                continue;
            };
            self.reading.damaged += place.saturating_sub(from);
            (self.reading.before, self.reading.at) = (place, place + head.whole());
            if head.number >= segment.frames || !segment.take(&head) {
                continue;
            }
            let number = Place {
                segment: segment.name.number,
                frame: head.number,
            };
            if let Ok(true) = segment::payload(&file, place, &head, buffer) {
                return Some((number, head.sum));
            }
            self.damaged += head.whole();
            self.lose(number, head.sum, Reason::Damaged);
        }
    }

    /// Done with reading a segment: what of it could not be found is lost.
    fn leave(&mut self, at: usize) {
        if at + 1 == self.segments.len() {
            self.tail = None;
        }
        if let Some(segment) = self.segments.get_mut(at) {
            let more = self.reading.damaged.saturating_sub(segment.damaged);
            self.damaged += more;
            let lost = &mut self.given_up[Reason::Damaged as usize];
            *lost += std::mem::take(&mut segment.waiting);
            segment.left = segment
                .left
                .saturating_sub(std::mem::take(&mut segment.unread));
            self.reading = Reading {
                number: segment.name.number.saturating_add(1),
                before: HEADER,
                at: HEADER,
                ..Reading::default()
            };
            self.tidy(at);
        }
    }

    /// A frame that was read, or held, has arrived where it was to go.
    pub fn ack(&mut self, place: Place) {
        let number = place.segment;
        let at = self.segments.partition_point(|s| s.name.number < number);
        let Some(segment) = self
            .segments
            .get_mut(at)
            .filter(|s| s.name.number == number)
        else {
            return; // given up meanwhile
        };
        if place.frame >= segment.frames || !segment.acked.set(place.frame) {
            return;
        }
        segment.left = segment.left.saturating_sub(1);
        if self.tidy(at) {
            return;
        }
        let (folder, tail) = (&self.settings.folder, at + 1 == self.segments.len());
        let Some(segment) = self.segments.get_mut(at) else {
            return;
        };
        let file = match segment.acks.take() {
            Some(file) => Ok(file),
            None => segment::append_acks(&segment.name.acks(folder)),
        };
        // Without room for it the frame comes again after a crash, which is allowed.
        if let Ok(mut file) = file
            && segment::add_ack(&mut file, segment.name.salt, place.frame).is_ok()
        {
            segment.ack_bytes += ACK;
            self.used += ACK;
            self.wear.1 += ACK;
            // Of other segments there may be many.
            let reading = self.reading.number;
            let near = number == reading || number.saturating_add(1) == reading;
            segment.acks = Some(file).filter(|_| tail || near);
        }
    }

    /// A frame that was read can not be used.
    pub fn lose(&mut self, place: Place, sum: Sum, why: Reason) {
        self.given_up[why as usize] += sum;
        self.ack(place);
    }

    /// A frame that was read is for a later weir: it stays, and is no business of this one.
    pub fn pass(&mut self, sum: Sum) {
        self.given_up[Reason::Later as usize] += sum;
    }

    /// Gives up what is too old; the time until there will be more of it.
    pub fn expire(&mut self, now: Nanos) -> Option<Duration> {
        let age = self.settings.age?.as_nanos() as u64;
        loop {
            let oldest = self.segments.front()?;
            if oldest.last < CLOCK_SET {
                return None;
            }
            let end = oldest.last.0.saturating_add(age);
            if end > now.0 {
                return Some(Duration::from_nanos(end - now.0));
            }
            self.give_up(Reason::Age);
        }
    }

    /// Files that are to be forced to the disk now, by whoever asks; else when to ask again.
    pub fn unsynced(&mut self, now: Instant) -> (Vec<Arc<File>>, Option<Duration>) {
        let Sync::Every(pause) = self.settings.sync else {
            return (Vec::new(), None);
        };
        match self.dirty.map(|since| now.saturating_duration_since(since)) {
            Some(passed) if passed >= pause => {
                self.dirty = None;
                (std::mem::take(&mut self.unsynced), None)
            }
            passed => (Vec::new(), passed.map(|passed| pause - passed)),
        }
    }

    /// How full it is.
    pub fn usage(&self) -> Usage {
        let (mut frames, mut waiting) = (0, Sum::default());
        for segment in &self.segments {
            frames += u64::from(segment.unread);
            waiting += segment.waiting;
        }
        let oldest = self.segments.iter().find(|s| s.unread > 0);
        Usage {
            used: self.used,
            most: self.settings.size,
            frames,
            waiting,
            oldest: oldest.map_or(Nanos(0), |s| s.first),
            wear: self.wear.1,
            wear_most: self.settings.daily,
            given_up: self.given_up,
            damaged: self.damaged,
        }
    }

    /// Ends it: forced to the disk, and nothing left behind where everything has arrived.
    pub fn close(mut self) {
        if self.settings.sync != Sync::Never {
            self.unsynced.extend(self.tail.take());
            for file in &self.unsynced {
                drop(file.sync_data());
            }
        }
        self.tail = None;
        (0..self.segments.len()).rev().for_each(|at| {
            self.tidy(at);
        });
        folder::write_wear(&self.settings.folder, self.wear);
    }

    /// Deletes a segment of which nothing is left, but for the one being written; whether it did.
    fn tidy(&mut self, at: usize) -> bool {
        let tail = at + 1 == self.segments.len() && self.tail.is_some();
        let done = self.segments.get(at).is_some_and(|s| s.left == 0);
        if tail || !done {
            return false;
        }
        if let Some(segment) = self.segments.remove(at) {
            self.delete(&segment);
        }
        true
    }

    /// Gives up the oldest segment.
    fn give_up(&mut self, why: Reason) {
        if self.segments.len() == 1 {
            self.tail = None;
        }
        if let Some(segment) = self.segments.pop_front() {
            self.given_up[why as usize] += segment.waiting;
            self.delete(&segment);
        }
    }

    /// The frames first: acknowledgements without a segment say nothing, a segment without them
    /// would come again as a whole.
    fn delete(&mut self, segment: &Segment) {
        let folder = &self.settings.folder;
        drop(fs::remove_file(segment.name.segment(folder)));
        drop(fs::remove_file(segment.name.acks(folder)));
        self.used = (self.used).saturating_sub(segment.bytes + segment.ack_bytes);
        if self.reading.number == segment.name.number {
            self.reading.file = None;
        }
    }

    /// Begins a new day.
    fn roll(&mut self, now: Nanos) {
        let day = now.seconds() / DAY;
        if self.wear.0 != day {
            self.wear = (day, 0);
        }
    }
}

#[cfg(test)]
mod tests;
