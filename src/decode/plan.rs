//! A template compiled once into what is done with each of its records.
//!
//! A [`Plan`] holds wanted fields only: a list of small copies from a place in the exported
//! record to a place in ours. Where a template offers several elements for one field, the least
//! preferred is copied first and better ones overwrite it when they are not zero; so exporters
//! that send both families with one of them empty come out right. Not for options records.

use super::time::{Clock, Unit};
use crate::base::addr::V4_MAPPED;
use crate::record::{Field, FieldSet, FlowRecord};

/// Where a value lies: in a fixed template its offset in the record, in a variable one the
/// number of its field.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Loc {
    /// Offset or number.
    pub at: u16,
    /// Bytes, in a fixed template.
    pub len: u16,
}

/// Finds values in one exported record.
pub trait Row<'a>: Copy {
    /// The value's bytes; empty when it is not there.
    fn value(self, loc: Loc) -> &'a [u8];
    /// The first `N` bytes of the value.
    fn array<const N: usize>(self, loc: Loc) -> Option<&'a [u8; N]>;
}

/// A record of constant layout.
#[derive(Clone, Copy)]
pub struct Fixed<'a>(pub &'a [u8]);

impl<'a> Row<'a> for Fixed<'a> {
    #[inline(always)]
    fn value(self, loc: Loc) -> &'a [u8] {
        let rest = self.0.get(usize::from(loc.at)..).unwrap_or_default();
        rest.get(..usize::from(loc.len)).unwrap_or_default()
    }

    #[inline(always)]
    fn array<const N: usize>(self, loc: Loc) -> Option<&'a [u8; N]> {
        self.0.get(usize::from(loc.at)..)?.first_chunk::<N>()
    }
}

/// A record whose values lie at `spans`: offset and length of each field.
#[derive(Clone, Copy)]
pub struct Spans<'a> {
    /// The bytes the offsets count in.
    pub bytes: &'a [u8],
    /// One pair per field of the template.
    pub spans: &'a [(u16, u16)],
}

impl<'a> Row<'a> for Spans<'a> {
    fn value(self, loc: Loc) -> &'a [u8] {
        let (at, len) = self
            .spans
            .get(usize::from(loc.at))
            .copied()
            .unwrap_or_default();
        let rest = self.bytes.get(usize::from(at)..).unwrap_or_default();
        rest.get(..usize::from(len)).unwrap_or_default()
    }

    fn array<const N: usize>(self, loc: Loc) -> Option<&'a [u8; N]> {
        self.value(loc).first_chunk::<N>()
    }
}

/// What a copy does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Act {
    /// Four bytes of an IPv4 address.
    Ip4,
    /// Sixteen bytes as they are.
    Ip6,
    /// Six bytes as they are.
    Mac,
    /// Number of 1, 2, 4, 8 bytes into a slot of the same size.
    Same1,
    Same2,
    Same4,
    Same8,
    /// Number of any width (RFC 7011 §6.2) into a slot of that size; too large is the largest.
    Any1,
    Any2,
    Any4,
    Any8,
    /// Last byte of any width into a slot of 1 or 4 bytes: flags.
    Low1,
    Low4,
    /// Counters of four, eight, any number of bytes.
    Bytes4,
    Bytes8,
    Bytes,
    Packets4,
    Packets8,
    Packets,
    Flows,
    /// Observation direction to a letter.
    Direction,
    /// Start or end (`dst` 0 or 1) of the flow.
    Time(Unit),
    /// Absolute time at which the exporter's uptime was zero.
    Boot,
}

/// One copy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Op {
    pub loc: Loc,
    pub dst: u16,
    pub act: Act,
}

/// The copies for one direction of a template.
#[derive(Clone, Debug, Default)]
pub struct Plan {
    pub(super) ops: Vec<Op>,
    /// Done after `ops`, each only when its value is not all zero.
    pub(super) better: Vec<Op>,
    /// What the record has after all copies; times are added when they are known.
    pub(super) present: FieldSet,
    /// The template offers both families of addresses.
    pub(super) dual: bool,
    /// Which time fields are wanted: start, end.
    pub(super) times: [FieldSet; 2],
}

/// A number of any width, big-endian; more than eight bytes saturate.
#[inline]
pub fn number(value: &[u8]) -> u64 {
    match value {
        [a] => u64::from(*a),
        [a, b] => u64::from(u16::from_be_bytes([*a, *b])),
        [a, b, c, d] => u64::from(u32::from_be_bytes([*a, *b, *c, *d])),
        [a, b, c, d, e, f, g, h] => u64::from_be_bytes([*a, *b, *c, *d, *e, *f, *g, *h]),
        _ => odd(value),
    }
}

fn odd(value: &[u8]) -> u64 {
    let (head, tail) = value.split_at(value.len().saturating_sub(8));
    if head.iter().any(|b| *b != 0) {
        return u64::MAX;
    }
    tail.iter().fold(0, |sum, b| sum << 8 | u64::from(*b))
}

#[inline(always)]
fn four(v: &[u8; 4]) -> u64 {
    u64::from(u32::from_be_bytes(*v))
}

#[inline(always)]
fn eight(v: &[u8; 8]) -> u64 {
    u64::from_be_bytes(*v)
}

#[inline(always)]
fn store<const N: usize>(rec: &mut FlowRecord, dst: u16, bytes: [u8; N]) {
    if let Some(slot) = rec.slot(usize::from(dst), N).first_chunk_mut::<N>() {
        *slot = bytes;
    }
}

impl Plan {
    /// Runs the copies of one exported record. Times that are known go to the record's slots
    /// when wanted, and to its own time in any case; the arrival of the datagram stands in.
    #[inline]
    pub fn run<'a, R: Row<'a>>(&self, row: R, clock: &Clock, rec: &mut FlowRecord) {
        let mut times = [0u64; 2];
        let mut clock = *clock;
        rec.flows = 1;
        for op in &self.ops {
            op.run(row, &mut clock, &mut times, rec);
        }
        rec.present = rec.present.union(self.present);
        if !self.better.is_empty() {
            self.improve(row, &mut clock, &mut times, rec);
        }
        let [start, end] = times;
        if start | end != 0 && !self.times[0].union(self.times[1]).is_empty() {
            self.put_times(start, end, rec);
        }
        rec.time.0 = match (start, end) {
            (0, 0) => clock.export.0,
            (0, end) => end,
            (start, _) => start,
        };
    }

    #[inline(never)]
    fn improve<'a, R: Row<'a>>(
        &self,
        row: R,
        clock: &mut Clock,
        times: &mut [u64; 2],
        rec: &mut FlowRecord,
    ) {
        for op in &self.better {
            if row.value(op.loc).iter().any(|b| *b != 0) {
                op.run(row, clock, times, rec);
            }
        }
        if self.dual {
            // `::` beside an IPv4 address is the IPv4 address zero.
            let (src, dst) = (rec.src_host(), rec.dst_host());
            if src.0 == [0; 16] && dst.as_v4().is_some() {
                rec.set_src_host(crate::base::addr::Ip::v4([0; 4]));
            } else if dst.0 == [0; 16] && src.as_v4().is_some() {
                rec.set_dst_host(crate::base::addr::Ip::v4([0; 4]));
            }
        }
    }

    fn put_times(&self, start: u64, end: u64, rec: &mut FlowRecord) {
        for (fields, (field, value)) in self
            .times
            .iter()
            .zip([(Field::TimestampStart, start), (Field::TimestampEnd, end)])
        {
            if value != 0 && !fields.is_empty() {
                store(rec, field.info().offset as u16, value.to_ne_bytes());
                rec.present = rec.present.union(*fields);
            }
        }
    }

    /// Bytes of memory it takes.
    pub fn size(&self) -> usize {
        let ops = self.ops.len().saturating_add(self.better.len());
        ops.saturating_mul(size_of::<Op>())
            .saturating_add(size_of::<Self>())
    }
}

impl Op {
    #[inline(always)]
    fn run<'a, R: Row<'a>>(
        &self,
        row: R,
        clock: &mut Clock,
        times: &mut [u64; 2],
        rec: &mut FlowRecord,
    ) {
        let (loc, dst) = (self.loc, self.dst);
        match self.act {
            Act::Ip4 => {
                if let Some(&[a, b, c, d]) = row.array::<4>(loc) {
                    let [.., x, y] = V4_MAPPED;
                    store(rec, dst, [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, x, y, a, b, c, d]);
                }
            }
            Act::Ip6 => {
                if let Some(v) = row.array::<16>(loc) {
                    store(rec, dst, *v);
                }
            }
            Act::Mac => {
                if let Some(v) = row.array::<6>(loc) {
                    store(rec, dst, *v);
                }
            }
            Act::Same1 => {
                if let Some(v) = row.array::<1>(loc) {
                    store(rec, dst, *v);
                }
            }
            Act::Same2 => {
                if let Some(v) = row.array::<2>(loc) {
                    store(rec, dst, u16::from_be_bytes(*v).to_ne_bytes());
                }
            }
            Act::Same4 => {
                if let Some(v) = row.array::<4>(loc) {
                    store(rec, dst, u32::from_be_bytes(*v).to_ne_bytes());
                }
            }
            Act::Same8 => {
                if let Some(v) = row.array::<8>(loc) {
                    store(rec, dst, u64::from_be_bytes(*v).to_ne_bytes());
                }
            }
            Act::Bytes4 => rec.bytes = row.array(loc).map_or(0, four),
            Act::Bytes8 => rec.bytes = row.array(loc).map_or(0, eight),
            Act::Packets4 => rec.packets = row.array(loc).map_or(0, four),
            Act::Packets8 => rec.packets = row.array(loc).map_or(0, eight),
            Act::Time(unit) => {
                let at = unit.read(row.value(loc), clock);
                if at != 0
                    && let Some(slot) = times.get_mut(usize::from(dst))
                {
                    *slot = at;
                }
            }
            _ => self.rare(row.value(loc), clock, rec),
        }
    }

    #[inline(never)]
    fn rare(&self, value: &[u8], clock: &mut Clock, rec: &mut FlowRecord) {
        let n = number(value);
        let dst = self.dst;
        match self.act {
            Act::Any1 => store(rec, dst, [n.min(0xff) as u8]),
            Act::Any2 => store(rec, dst, (n.min(0xffff) as u16).to_ne_bytes()),
            Act::Any4 => store(rec, dst, (n.min(0xffff_ffff) as u32).to_ne_bytes()),
            Act::Any8 => store(rec, dst, n.to_ne_bytes()),
            Act::Low1 => store(rec, dst, [n as u8]),
            Act::Low4 => store(rec, dst, (n as u32 & 0xff).to_ne_bytes()),
            Act::Bytes => rec.bytes = n,
            Act::Packets => rec.packets = n,
            Act::Flows => rec.flows = n,
            Act::Direction => {
                let letter = match n {
                    0 => b'i',
                    1 => b'e',
                    _ => b'u',
                };
                store(rec, dst, [letter]);
            }
            Act::Boot => clock.boot = Unit::Milli.read(value, clock),
            _ => {}
        }
    }
}
