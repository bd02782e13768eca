//! [`FlowRecord`]: one packet or one exported flow, as every stage of the data path sees it.

use super::field::{Field, FieldSet};
use crate::base::time::Nanos;

/// What a record tells of; [`Field::RecordKind`] holds it as a number.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum RecordKind {
    /// Traffic: its counters mean something.
    #[default]
    Traffic,
    /// Something that happened: its template has no counter of bytes and no part of a packet.
    Event,
    /// What an exporter says of itself.
    Options,
}

/// Plain data without pointers, one layout in every build.
///
/// Fields lie at fixed offsets of `data` (see [`FIELDS`](super::FIELDS)), none across a word of
/// eight bytes unless it is an address; so any key is a list of masked words. Numbers are in
/// native order, addresses in network order. Only lines that hold a wanted field are zeroed between
/// two uses ([`KeyLines`](super::key::KeyLines)); a field is valid when it is `present` or wanted.
#[derive(Clone, Copy)]
#[repr(C, align(64))]
pub struct FlowRecord {
    data: [u8; Self::DATA],
    /// Fields a decoder or enricher has set.
    pub present: FieldSet,
    /// Packets.
    pub packets: u64,
    /// Bytes, layer 3.
    pub bytes: u64,
    /// Flows the record stands for.
    pub flows: u64,
    /// The time that decides which bin the record is counted in.
    pub time: Nanos,
    /// One bit for each frame filter that the record's frame passed.
    pub pass: u32,
    /// Counters were already multiplied by the sampling rate, or must not be.
    pub exact: bool,
}

/// What a new record begins with.
#[derive(Clone, Copy, Debug, Default)]
pub struct Start {
    /// Fields that it is going to have.
    pub present: FieldSet,
    /// Flows.
    pub flows: u64,
    /// See [`FlowRecord::time`].
    pub time: Nanos,
    /// See [`FlowRecord::pass`].
    pub pass: u32,
}

impl FlowRecord {
    /// Bytes of the key zones.
    pub const DATA: usize = 640;
    /// Words of eight bytes in the key zones.
    pub const WORDS: usize = Self::DATA / 8;
    /// Bytes that are zeroed at once: a line of most caches.
    pub const LINE: usize = 64;

    /// All zero, nothing present.
    pub const fn new() -> Self {
        Self {
            data: [0; Self::DATA],
            present: FieldSet::EMPTY,
            packets: 0,
            bytes: 0,
            flows: 0,
            time: Nanos(0),
            pass: 0,
            exact: false,
        }
    }

    /// Stores `N` bytes at a fixed offset.
    #[inline]
    pub(super) fn put<const OFF: usize, const N: usize>(&mut self, bytes: [u8; N]) {
        self.data[OFF..OFF + N].copy_from_slice(&bytes);
    }

    /// Reads `N` bytes at a fixed offset.
    #[inline]
    pub(super) fn get<const OFF: usize, const N: usize>(&self) -> [u8; N] {
        let mut out = [0; N];
        out.copy_from_slice(&self.data[OFF..OFF + N]);
        out
    }

    /// The key zones as words of eight bytes, numbers in native order.
    #[inline]
    pub fn words(&self) -> &[[u8; 8]] {
        self.data.as_chunks().0
    }

    /// Sets all that stands beside the key zones, which has no packets and bytes.
    #[inline]
    pub(super) fn begin(&mut self, start: Start) {
        self.present = start.present;
        (self.packets, self.bytes, self.flows) = (0, 0, start.flows);
        self.time = start.time;
        self.pass = start.pass;
        self.exact = false;
    }

    /// Sets line `index` of [`LINE`](Self::LINE) bytes to zero.
    #[inline]
    pub fn clear_line(&mut self, index: usize) {
        if let Some(line) = self.data.as_chunks_mut().0.get_mut(index) {
            *line = [0; Self::LINE];
        }
    }

    /// Whether [`slot`](Self::slot) has such bytes.
    #[inline]
    pub const fn reach(offset: usize, len: usize) -> bool {
        offset.saturating_add(len) <= Self::DATA
    }

    /// The bytes from `offset` on, for copy plans; empty where they do not fit.
    #[inline]
    pub fn slot(&mut self, offset: usize, len: usize) -> &mut [u8] {
        self.data.get_mut(offset..offset + len).unwrap_or_default()
    }

    /// Sets a number of eight bytes, by field.
    #[inline]
    pub fn set_word(&mut self, field: Field, word: u64) {
        let offset = field.info().offset;
        if let Some(slot) = self.slot(offset, 8).first_chunk_mut() {
            *slot = word.to_ne_bytes();
            self.present.insert(field);
        }
    }

    /// Reads bytes at `offset`; empty where they do not fit.
    #[inline]
    pub fn bytes_at(&self, offset: usize, len: usize) -> &[u8] {
        self.data.get(offset..offset + len).unwrap_or_default()
    }
}

impl Default for FlowRecord {
    fn default() -> Self {
        Self::new()
    }
}

const _: () = assert!(size_of::<FlowRecord>().is_multiple_of(64) && size_of::<FlowRecord>() <= 704);
