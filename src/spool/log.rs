//! [`Log`]: segments in order, one of them being written, one of them being read.

use super::folder::{self, shut};
use super::known::{self, CLOCK_SET, Segment};
use super::segment::{self, ACK, HEAD, HEADER, Head, Name};
use super::{Keep, Place, REASONS, Reason, SEGMENTS, Settings, Shut, Sync, Trouble, Usage};
use crate::base::ledger::Sum;
use crate::base::time::Nanos;
use std::collections::VecDeque;
use std::fs::{self, File};
use std::hash::{BuildHasher, RandomState};
use std::io::{self, ErrorKind};
use std::os::unix::fs::FileExt;
use std::sync::Arc;
use std::time::{Duration, Instant};

const DAY: u64 = 86_400;

/// What is as old as it may be by a clock that somebody may set is looked at so often.
const LOOK: Duration = Duration::from_secs(60);

/// Files that are not on the disk yet are so many at the most.
const UNSYNCED_MAX: usize = 8;

/// Segments for which room is made at a time.
const ROOM: usize = 16;

/// Memory that knowing a full log of so many segments takes, in bytes.
pub fn memory(settings: &Settings, segments: u64) -> u64 {
    (segments + ROOM as u64) * known::MEMORY + known::sets(settings.size / HEAD)
}

/// Is there in builds that have the spool.
#[derive(Clone, Debug, PartialEq, Eq)]
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

impl Reading {
    /// At the beginning of a segment.
    fn of(number: u64) -> Self {
        Self {
            number,
            before: HEADER,
            at: HEADER,
            ..Self::default()
        }
    }
}

/// Whether what the system says is of the moment (no descriptors left, a disk that does not
/// answer, no permission) rather than of what is there.
fn is_passing(e: &io::Error) -> bool {
    !matches!(e.kind(), ErrorKind::NotFound | ErrorKind::UnexpectedEof)
}

/// A spool.
pub struct Log {
    settings: Settings,
    /// Held as long as the log is open.
    _lock: folder::Lock,
    segments: VecDeque<Segment>,
    /// The file of the last segment, while that is written to.
    tail: Option<Arc<File>>,
    next: u64,
    reading: Reading,
    used: u64,
    /// Of all segments: frames that nobody has read nor holds, and what they count.
    frames: u64,
    waiting: Sum,
    /// A day since 1970 and the bytes written in it.
    wear: (u64, u64),
    /// When that day began, or this run.
    today: Instant,
    given_up: [Sum; REASONS.len()],
    damaged: u64,
    found: Sum,
    unsynced: Vec<(u64, Arc<File>)>,
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
            frames: 0,
            waiting: Sum::default(),
            wear: (0, 0),
            today: Instant::now(),
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
        self.frames += u64::from(segment.unread);
        self.waiting += segment.waiting;
        self.push(segment);
        self.tidy(self.segments.len() - 1);
        Ok(())
    }

    /// Adds a segment; memory for them grows in small steps, as it is planned.
    fn push(&mut self, segment: Segment) {
        if self.segments.len() == self.segments.capacity() {
            self.segments.reserve_exact(ROOM);
        }
        self.used += segment.bytes + segment.ack_bytes;
        self.segments.push_back(segment);
    }

    /// Changes what is known of a segment, and so of them all.
    fn change<T>(&mut self, at: usize, how: impl FnOnce(&mut Segment) -> T) -> Option<T> {
        let segment = self.segments.get_mut(at)?;
        let (frames, waiting) = (segment.unread, segment.waiting);
        let done = how(segment);
        self.frames = self.frames + u64::from(segment.unread) - u64::from(frames);
        self.waiting = self.waiting + segment.waiting - waiting;
        Some(done)
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
        let segment = segment.name.number;
        self.change(self.segments.len() - 1, |segment| {
            segment.bytes += whole;
            segment.frames += 1;
            segment.add(&head, keep.held);
        });
        self.used += whole;
        self.wear.1 += whole;
        if let Sync::Every(_) = self.settings.sync {
            self.dirty.get_or_insert_with(Instant::now);
            if self.unsynced.iter().all(|(number, _)| *number != segment) {
                self.unsynced.push((segment, file));
            }
        }
        let frame = head.number;
        Ok(Place { segment, frame })
    }

    /// The file to which a frame of `whole` bytes is added.
    fn writable(&mut self, whole: u64, now: Nanos) -> io::Result<Arc<File>> {
        let size = self.settings.segment();
        let age = self.settings.age.map(|age| age / SEGMENTS as u32);
        if let (Some(file), Some(tail)) = (&self.tail, self.segments.back()) {
            let old = age.is_some_and(|age| tail.began_before(age, now));
            let full = tail.bytes + whole > size || old;
            if !full || tail.frames == 0 {
                return Ok(file.clone());
            }
            self.tail = None;
            self.tidy(self.segments.len() - 1);
        }
        while self.segments.len() as u64 >= self.settings.segments() {
            self.give_up(Reason::Size);
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
        self.wear.1 += HEADER;
        self.push(Segment::new(name, now));
        let file = Arc::new(file);
        self.tail = Some(file.clone());
        Ok(file)
    }

    /// The oldest frame that nobody has read nor holds, its payload in `buffer`. What is damaged
    /// is counted and left out.
    ///
    /// # Errors
    /// The system can not read it now, which says nothing of what is there: it is tried again
    /// with the next call.
    pub fn next(&mut self, buffer: &mut Vec<u8>) -> io::Result<Option<(Place, Sum)>> {
        while let Some(at) = self.turn() {
            let found = match self.seek(at) {
                Err(e) if is_passing(&e) => return Err(self.put_down(e)),
                found => found.ok().flatten(),
            };
            let Some((file, place, head)) = found else {
                if let Some(segment) = self.segments.get(at) {
                    self.reading.damaged += segment.bytes.saturating_sub(self.reading.at);
                }
                self.leave(at);
                continue;
            };
            let new = |s: &Segment| head.number < s.frames && !s.taken.has(head.number);
            let Some(segment) = self.segments.get(at).filter(|s| new(s)) else {
                self.pass_by(place, &head);
                continue;
            };
            let number = Place {
                segment: segment.name.number,
                frame: head.number,
            };
            let whole = match segment::payload(&file, place, &head, buffer) {
                Err(e) if is_passing(&e) => return Err(self.put_down(e)),
                whole => whole.unwrap_or(false),
            };
            self.pass_by(place, &head);
            self.change(at, |segment| segment.take(&head));
            if whole {
                return Ok(Some((number, head.sum)));
            }
            self.damaged += head.whole();
            self.lose(number, head.sum, Reason::Damaged);
        }
        Ok(None)
    }

    /// The segment whose frames are next; those before it that have none left are left behind.
    fn turn(&mut self) -> Option<usize> {
        loop {
            let from = self.reading.number;
            let at = self.at(from);
            let segment = self.segments.get(at)?;
            if segment.name.number != from {
                self.reading = Reading::of(segment.name.number);
            }
            if segment.unread > 0 {
                return Some(at);
            }
            if at + 1 == self.segments.len() && self.tail.is_some() {
                return None;
            }
            self.leave(at);
        }
    }

    /// The frame that is next in a segment, and where; none when there is no more.
    fn seek(&mut self, at: usize) -> io::Result<Option<(Arc<File>, u64, Head)>> {
        let last = at + 1 == self.segments.len();
        let Some(segment) = self.segments.get(at) else {
            return Ok(None);
        };
        let file = match (&self.reading.file, &self.tail) {
            (Some(file), _) => file.clone(),
            (None, Some(tail)) if last => tail.clone(),
            _ => Arc::new(File::open(segment.name.segment(&self.settings.folder))?),
        };
        self.reading.file = Some(file.clone());
        let from = (self.reading.before, self.reading.at);
        let found = segment::seek(&file, segment.name.salt, from, segment.bytes)?;
        Ok(found.map(|(place, head)| (file, place, head)))
    }

    /// The next attempt opens the file again.
    fn put_down(&mut self, e: io::Error) -> io::Error {
        self.reading.file = None;
        e
    }

    /// Goes on behind the frame at `place`.
    fn pass_by(&mut self, place: u64, head: &Head) {
        self.reading.damaged += place.saturating_sub(self.reading.at);
        (self.reading.before, self.reading.at) = (place, place + head.whole());
    }

    /// Whether an earlier run wrote a frame.
    pub fn is_earlier(&self, place: Place) -> bool {
        self.known(place).is_some_and(|s| s.earlier)
    }

    /// Whether frames that an earlier run wrote are to be read.
    pub fn has_earlier(&self) -> bool {
        let mut earlier = self.segments.iter().take_while(|s| s.earlier);
        earlier.any(|s| s.unread > 0)
    }

    /// Whether a frame is there and will come again, should nobody acknowledge it.
    pub fn holds(&self, place: Place) -> bool {
        let left = |s: &Segment| place.frame < s.frames && !s.acked.has(place.frame);
        self.known(place).is_some_and(left)
    }

    /// Where the segment of this number is, or the next one behind it.
    fn at(&self, number: u64) -> usize {
        self.segments.partition_point(|s| s.name.number < number)
    }

    fn known(&self, place: Place) -> Option<&Segment> {
        let segment = self.segments.get(self.at(place.segment));
        segment.filter(|s| s.name.number == place.segment)
    }

    /// Done with reading a segment: what of it could not be found is lost.
    fn leave(&mut self, at: usize) {
        if at + 1 == self.segments.len() {
            self.tail = None;
        }
        let left = self.change(at, |segment| {
            let unread = std::mem::take(&mut segment.unread);
            segment.left = segment.left.saturating_sub(unread);
            let lost = std::mem::take(&mut segment.waiting);
            (segment.name.number, segment.damaged, lost)
        });
        if let Some((number, known, lost)) = left {
            self.damaged += self.reading.damaged.saturating_sub(known);
            self.given_up[Reason::Damaged as usize] += lost;
            self.reading = Reading::of(number.saturating_add(1));
            self.tidy(at);
        }
    }

    /// A frame that was read, or held, has arrived where it was to go.
    pub fn ack(&mut self, place: Place) {
        let number = place.segment;
        let at = self.at(number);
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

    /// Gives up what is too old; the time after which to ask again.
    pub fn expire(&mut self, now: Nanos, steady: Instant) -> Option<Duration> {
        let age = self.settings.age?;
        loop {
            let oldest = self.segments.front()?;
            let left = oldest.left_until(age, now, steady);
            if !left.is_zero() {
                return Some(if oldest.earlier { left.min(LOOK) } else { left });
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
            Some(passed) if passed >= pause || self.unsynced.len() >= UNSYNCED_MAX => {
                self.dirty = None;
                let files = std::mem::take(&mut self.unsynced).into_iter();
                (files.map(|(_, file)| file).collect(), None)
            }
            passed => (Vec::new(), passed.map(|passed| pause - passed)),
        }
    }

    /// How full it is.
    pub fn usage(&self) -> Usage {
        let oldest = self
            .segments
            .range(self.at(self.reading.number)..)
            .find(|s| s.unread > 0);
        Usage {
            used: self.used,
            most: self.settings.size,
            frames: self.frames,
            waiting: self.waiting,
            oldest: oldest.filter(|_| self.frames > 0).map(Segment::since),
            wear: self.wear.1,
            wear_most: self.settings.daily,
            given_up: self.given_up,
            damaged: self.damaged,
        }
    }

    /// What was to be forced to the disk did not get there: what the system has of this file is
    /// not to be trusted any more, so nothing is added to it.
    pub fn distrust(&mut self, file: &Arc<File>) {
        if self.tail.as_ref().is_some_and(|t| Arc::ptr_eq(t, file)) {
            self.tail = None;
            self.tidy(self.segments.len().saturating_sub(1));
        }
    }

    /// Ends it: forced to the disk, and nothing left behind where everything has arrived.
    ///
    /// # Errors
    /// Something did not get to the disk.
    pub fn close(mut self) -> io::Result<()> {
        let mut result = Ok(());
        if self.settings.sync != Sync::Never {
            let files = self.unsynced.iter().map(|(_, file)| file);
            for file in files.chain(&self.tail) {
                result = result.and(file.sync_data());
            }
        }
        self.tail = None;
        (0..self.segments.len()).rev().for_each(|at| {
            self.tidy(at);
        });
        folder::write_wear(&self.settings.folder, self.wear);
        result
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
        self.frames = self.frames.saturating_sub(segment.unread.into());
        self.waiting = self.waiting - segment.waiting;
        self.unsynced.retain(|(n, _)| *n != segment.name.number);
        if self.reading.number == segment.name.number {
            self.reading.file = None;
        }
    }

    /// Begins a new day. A clock that was never set, or that was set back, does not begin one, or
    /// every start of a box without a clock would; then a day is what has passed.
    fn roll(&mut self, now: Nanos) {
        let day = now.seconds() / DAY;
        let later = now >= CLOCK_SET && day > self.wear.0;
        if later || self.today.elapsed() >= Duration::from_secs(DAY) {
            self.wear = (day.max(self.wear.0), 0);
            self.today = Instant::now();
        }
    }
}

#[cfg(test)]
mod tests;
