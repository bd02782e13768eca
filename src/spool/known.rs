//! What is known of a segment while its bytes are on the disk.

use super::Since;
use super::segment::{self, HEAD, HEADER, Head, Name};
use crate::base::ledger::Sum;
use crate::base::time::{Nanos, SECOND};
use std::fs::File;
use std::io;
use std::path::Path;
use std::time::{Duration, Instant};

/// A clock before 2024 was never set: times that it gave say nothing about ages.
pub const CLOCK_SET: Nanos = Nanos(1_704_067_200 * SECOND);

/// A set of frame numbers grows by a quarter and so many words, so that what it takes is known.
const WORDS: usize = 4;

/// Memory that sets of so many frames take at the most, in bytes.
pub const fn sets(frames: u64) -> u64 {
    2 * (frames / 64 + 1) * 8 / 4 * 5
}

/// Memory that a segment takes beside its frames' numbers, in bytes.
pub const MEMORY: u64 = (size_of::<Segment>() + 2 * 8 * (WORDS + 1)) as u64;

/// A set of frame numbers.
#[derive(Default)]
pub struct Bits(Vec<u64>);

impl Bits {
    /// Whether it is there.
    pub fn has(&self, n: u32) -> bool {
        let word = self.0.get(n as usize / 64).copied().unwrap_or(0);
        word >> (n % 64) & 1 == 1
    }

    /// Puts it there; whether it was new.
    pub fn set(&mut self, n: u32) -> bool {
        let at = n as usize / 64;
        if self.0.len() <= at {
            if self.0.capacity() <= at {
                self.0.reserve_exact(at + 1 - self.0.len() + at / 4 + WORDS);
            }
            self.0.resize(at + 1, 0);
        }
        let new = !self.has(n);
        self.0[at] |= 1 << (n % 64);
        new
    }
}

/// One segment, as far as it must be known without reading it.
pub struct Segment {
    /// Number and salt.
    pub name: Name,
    /// Bytes of its frames' file.
    pub bytes: u64,
    /// Bytes of its acknowledgements' file.
    pub ack_bytes: u64,
    /// One more than the number of its last frame.
    pub frames: u32,
    /// Frames that are not acknowledged.
    pub left: u32,
    /// Frames that nobody has read nor holds.
    pub unread: u32,
    /// What those count.
    pub waiting: Sum,
    /// Frames that were read, or are held, or acknowledged.
    pub taken: Bits,
    /// Frames that are acknowledged.
    pub acked: Bits,
    /// Where acknowledgements go, once there were some.
    pub acks: Option<File>,
    /// When the first frame was written.
    pub first: Nanos,
    /// When the last one was.
    pub last: Nanos,
    /// When that was by a clock that nobody sets: here, since those of other runs are gone.
    began: Instant,
    seen: Instant,
    /// Whether an earlier run wrote it.
    pub earlier: bool,
    /// Bytes that are no frames, as found when the log was opened.
    pub damaged: u64,
}

impl Segment {
    /// An empty one.
    pub fn new(name: Name, now: Nanos) -> Self {
        Self {
            name,
            bytes: HEADER,
            ack_bytes: 0,
            frames: 0,
            left: 0,
            unread: 0,
            waiting: Sum::default(),
            taken: Bits::default(),
            acked: Bits::default(),
            acks: None,
            first: now,
            last: now,
            began: Instant::now(),
            seen: Instant::now(),
            earlier: false,
            damaged: 0,
        }
    }

    /// Goes from head to head through a segment of an earlier run.
    ///
    /// # Errors
    /// What the system says.
    pub fn scan(folder: &Path, name: Name) -> io::Result<Self> {
        let file = File::open(name.segment(folder))?;
        let mut segment = Self::new(name, Nanos(0));
        segment.bytes = file.metadata()?.len();
        segment.earlier = true;
        let mut acks = Bits::default();
        let most = segment.bytes / HEAD;
        segment.ack_bytes = segment::acked(&name.acks(folder), name.salt, |frame| {
            if u64::from(frame) < most {
                acks.set(frame);
            }
        })?;
        let (mut before, mut at) = (HEADER, HEADER);
        let end = segment.bytes;
        let seek = |before| segment::seek(&file, name.salt, before, end);
        let mut damaged = 0;
        while let Some((found, head)) = seek((before, at))? {
            damaged += found.saturating_sub(at);
            (before, at) = (found, found + head.whole());
            if head.number >= segment.frames && u64::from(head.number) <= found / HEAD {
                segment.frames = head.number + 1;
                segment.add(&head, false);
                if acks.has(head.number) {
                    segment.take(&head);
                    segment.acked.set(head.number);
                    segment.left -= 1;
                }
            }
        }
        segment.damaged = damaged + segment.bytes.saturating_sub(at);
        Ok(segment)
    }

    /// Adds a frame, which somebody may hold.
    pub fn add(&mut self, head: &Head, held: bool) {
        if self.first == Nanos(0) {
            self.first = head.time;
        }
        if self.frames <= 1 {
            self.began = Instant::now();
        }
        self.last = head.time;
        self.seen = Instant::now();
        self.left += 1;
        self.unread += 1;
        self.waiting += head.sum;
        if held {
            self.take(head);
        }
    }

    /// Nobody needs to read it any more; false when that was so before.
    pub fn take(&mut self, head: &Head) -> bool {
        let new = self.taken.set(head.number);
        if new {
            self.unread = self.unread.saturating_sub(1);
            self.waiting = self.waiting - head.sum;
        }
        new
    }

    /// Whether its first frame was written longer ago than that, by any clock.
    pub fn began_before(&self, age: Duration, now: Nanos) -> bool {
        let wall = Duration::from_nanos(now.0.saturating_sub(self.first.0));
        wall > age || self.began.elapsed() > age
    }

    /// How long until its last frame is as old as that. What this run wrote is judged by a clock
    /// that nobody sets: the other one may have jumped since, as in boxes that learn the time from
    /// the network. What an earlier run wrote is as old as the times say where both mean
    /// something, and has been here since the start in any case.
    pub fn left_until(&self, age: Duration, now: Nanos, steady: Instant) -> Duration {
        let here = steady.saturating_duration_since(self.seen);
        let told = match self.earlier && self.last >= CLOCK_SET && now >= CLOCK_SET {
            true => Duration::from_nanos(now.0.saturating_sub(self.last.0)),
            false => Duration::ZERO,
        };
        age.saturating_sub(here.max(told))
    }

    /// Since when its first frame waits.
    pub fn since(&self) -> Since {
        match self.earlier && self.first >= CLOCK_SET {
            true => Since::Wall(self.first),
            false => Since::Steady(self.began),
        }
    }

    /// Memory that it takes, in bytes.
    #[cfg(test)]
    pub fn memory(&self) -> u64 {
        (size_of::<Self>() + 8 * (self.taken.0.capacity() + self.acked.0.capacity())) as u64
    }
}
