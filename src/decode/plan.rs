//! A template compiled once into what is done with each of its records.
//!
//! A [`Plan`] holds wanted fields only: a list of small copies from a place in the exported
//! record to a place in ours. Where a template offers several elements for one field, the least
//! preferred is copied first and better ones overwrite it when they are not zero; so exporters
//! that send both families with one of them empty come out right. Not for options records.

use super::row::{Loc, Row, Rows};
use super::time::{Clock, milli, ntp};
use crate::base::addr::V4_MAPPED;
use crate::base::time::SECOND;
use crate::record::{Field, FieldSet, FlowRecord, Origin, Rd};
use crate::wire::flowset::VARIABLE;
use crate::wire::packet::{ETYPE_IPV4, ETYPE_IPV6};
use std::slice;

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
    /// Two neighbours at once, in a fixed template: source and destination.
    Ip4Twice,
    Ip6Twice,
    Same1Twice,
    Same2Twice,
    Same4Twice,
    /// Two bytes into a slot of four; and two of them.
    Widen,
    WidenTwice,
    /// Packets and bytes, or bytes and packets, next to each other.
    PacketsBytes4,
    PacketsBytes8,
    BytesPackets4,
    BytesPackets8,
    /// Counters of four or eight bytes.
    Bytes4,
    Bytes8,
    Packets4,
    Packets8,
    /// The rest goes by any width (RFC 7011 §6.2). Into a slot of that size; too large is the
    /// largest.
    Any1,
    Any2,
    Any4,
    Any8,
    /// Route distinguisher of eight bytes, from the exporter.
    Rd,
    /// Last byte into a slot of 1 or 4 bytes: flags.
    Low1,
    Low4,
    /// Counters.
    Bytes,
    Packets,
    Flows,
    /// EtherType, where the value is there: IPv4, IPv6, or by the number of the version.
    IsFour,
    IsSix,
    Version,
    /// Observation direction to a letter.
    Direction,
    /// Start or end (`dst` 0 or 1) of the flow.
    Uptime,
    Milli,
    Second,
    Ntp,
    Delta,
    /// Absolute time at which the exporter's uptime was zero.
    Boot,
}

impl Act {
    /// This and the next of `other` as one, when their values are neighbours.
    fn with(self, other: Self) -> Option<Self> {
        Some(match (self, other) {
            (Self::Ip4, Self::Ip4) => Self::Ip4Twice,
            (Self::Ip6, Self::Ip6) => Self::Ip6Twice,
            (Self::Same1, Self::Same1) => Self::Same1Twice,
            (Self::Same2, Self::Same2) => Self::Same2Twice,
            (Self::Same4, Self::Same4) => Self::Same4Twice,
            (Self::Widen, Self::Widen) => Self::WidenTwice,
            (Self::Packets4, Self::Bytes4) => Self::PacketsBytes4,
            (Self::Packets8, Self::Bytes8) => Self::PacketsBytes8,
            (Self::Bytes4, Self::Packets4) => Self::BytesPackets4,
            (Self::Bytes8, Self::Packets8) => Self::BytesPackets8,
            _ => return None,
        })
    }

    /// Distance of the two slots that such a pair fills; counters have none.
    fn step(self) -> u16 {
        match self {
            Self::Ip4 | Self::Ip6 => 16,
            Self::Same1 => 1,
            Self::Same2 => 2,
            Self::Same4 | Self::Widen => 4,
            _ => 0,
        }
    }
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
    /// Times, the most preferred last.
    pub(super) clocked: Vec<Op>,
    /// What the record has after all copies; times are added when they are known.
    pub(super) present: FieldSet,
    /// Fields whose values may be of no bytes, which is as if they were not there.
    pub(super) perhaps: Vec<(Field, Loc)>,
    /// The template offers both families of addresses.
    pub(super) dual: bool,
    /// Which time fields are wanted: start, end.
    pub(super) times: [FieldSet; 2],
    /// There is something to do after `ops`.
    pub(super) more: bool,
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

/// Rows and the records that they fill.
type Pairs<'r, R> = (R, &'r mut [FlowRecord]);

/// Stores what `make` makes of a value, where the value is there.
#[inline(always)]
fn copy<'a, const N: usize, const M: usize>(
    (from, dst): (Loc, u16),
    (rows, records): Pairs<'_, impl Rows<'a>>,
    make: impl Fn(&[u8; N]) -> [u8; M],
) {
    if !rows.reach(from, N) || !FlowRecord::reach(dst.into(), M) {
        return;
    }
    rows.zip(records, |row, rec| {
        if let Some(value) = row.array(from) {
            store(rec, dst, make(value));
        }
    });
}

/// The same for two neighbours.
#[inline(always)]
fn copy_two<'a, const N: usize, const M: usize>(
    (from, dst): (Loc, u16),
    (rows, records): Pairs<'_, impl Rows<'a>>,
    make: impl Fn(&[u8; N]) -> [[u8; M]; 2],
) {
    if !rows.reach(from, N) || !FlowRecord::reach(dst.into(), M.wrapping_mul(2)) {
        return;
    }
    rows.zip(records, |row, rec| {
        let slot = rec.slot(usize::from(dst), M.wrapping_mul(2));
        if let Some(value) = row.array(from)
            && let Some((first, rest)) = slot.split_first_chunk_mut::<M>()
            && let Some(second) = rest.first_chunk_mut::<M>()
        {
            [*first, *second] = make(value);
        }
    });
}

/// Sets counters; what is not there is zero.
#[inline(always)]
fn count<'a, const N: usize>(
    from: Loc,
    (rows, records): Pairs<'_, impl Rows<'a>>,
    set: impl Fn(&mut FlowRecord, Option<&[u8; N]>),
) {
    rows.zip(records, |row, rec| set(rec, row.array(from)));
}

/// Stores the same number in all records.
#[inline(always)]
fn put_all(dst: u16, records: &mut [FlowRecord], value: u16) {
    for rec in records {
        store(rec, dst, value.to_ne_bytes());
    }
}

#[inline(always)]
fn mapped(v: &[u8; 4]) -> [u8; 16] {
    let ([.., x, y], [a, b, c, d]) = (V4_MAPPED, *v);
    [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, x, y, a, b, c, d]
}

#[inline(always)]
fn two_of_four(v: Option<&[u8; 8]>) -> (u64, u64) {
    let both = v.map_or(0, eight);
    (both >> 32, both & 0xffff_ffff)
}

#[inline(always)]
fn two_of_eight(v: Option<&[u8; 16]>) -> (u64, u64) {
    let both = v.map_or(0, |v| u128::from_be_bytes(*v));
    ((both >> 64) as u64, both as u64)
}

#[inline(always)]
fn two(v: &[u8; 2]) -> u16 {
    u16::from_be_bytes(*v)
}

#[inline(always)]
fn four(v: &[u8; 4]) -> u64 {
    u64::from(u32::from_be_bytes(*v))
}

#[inline(always)]
fn eight(v: &[u8; 8]) -> u64 {
    u64::from_be_bytes(*v)
}

/// Stores a value at its place in the record.
#[inline(always)]
pub(super) fn store<const N: usize>(rec: &mut FlowRecord, dst: u16, bytes: [u8; N]) {
    if let Some(slot) = rec.slot(usize::from(dst), N).first_chunk_mut::<N>() {
        *slot = bytes;
    }
}

/// Start and end of a flow in nanoseconds since 1970, zero when not known; and when the
/// exporter's uptime was zero, where the record says so.
#[derive(Clone, Copy, Default)]
struct Times {
    ends: [u64; 2],
    boot: u64,
}

impl Plan {
    /// Fills records from rows, as many as there are of both: each copy is done for all of them
    /// before the next one, so that what it does is looked up once.
    #[inline]
    pub fn run<'a>(&self, rows: impl Rows<'a>, clock: &Clock, records: &mut [FlowRecord]) {
        Op::run_all(&self.ops, rows, records);
        if self.more {
            for (n, rec) in records.iter_mut().enumerate() {
                self.finish(rows.one(n), clock, rec);
            }
        }
    }

    /// Notes that records have a field which these copies fill, or may have it where each of them
    /// is of variable length.
    pub(super) fn offer(&mut self, field: Field, ops: &[Op]) {
        if ops.iter().any(|op| op.loc.len != VARIABLE) {
            self.present.insert(field);
        } else {
            let places = ops.iter().map(|op| (field, op.loc));
            self.perhaps.extend(places);
        }
    }

    /// Joins copies of neighbours, in a fixed template. Their order is free.
    pub(super) fn fuse(&mut self) {
        self.ops.sort_by_key(|op| op.loc.at);
        let mut fused: Vec<Op> = Vec::with_capacity(self.ops.len());
        for op in self.ops.drain(..) {
            if let Some(last) = fused.last_mut()
                && let Some(act) = last.act.with(op.act)
                && last.loc.at.checked_add(last.loc.len) == Some(op.loc.at)
                && last.dst.checked_add(last.act.step()) == Some(op.dst)
            {
                last.act = act;
            } else {
                fused.push(op);
            }
        }
        self.ops = fused;
    }

    #[inline(never)]
    fn finish<'a>(&self, rows: impl Rows<'a>, clock: &Clock, rec: &mut FlowRecord) {
        let row = rows.first();
        for op in &self.better {
            if row.value(op.loc).iter().any(|b| *b != 0) {
                Op::run_all(slice::from_ref(op), rows, slice::from_mut(rec));
            }
        }
        for (field, loc) in &self.perhaps {
            if !row.value(*loc).is_empty() {
                rec.present.insert(*field);
            }
        }
        let mut times = Times::default();
        for op in &self.clocked {
            op.time(row, clock, &mut times);
        }
        let [start, end] = times.ends;
        self.put_times(start, end, rec);
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
        let ops = [&self.ops, &self.better, &self.clocked].map(Vec::len);
        let ops = ops.iter().fold(0usize, |sum, n| sum.saturating_add(*n));
        let perhaps = self.perhaps.len().saturating_mul(size_of::<(Field, Loc)>());
        ops.saturating_mul(size_of::<Op>())
            .saturating_add(perhaps)
            .saturating_add(size_of::<Self>())
    }
}

impl Op {
    /// Does these for rows and their records. The one place that holds the code of all copies:
    /// they are large, and called once for many rows.
    #[inline(never)]
    fn run_all<'a>(ops: &[Self], rows: impl Rows<'a>, records: &mut [FlowRecord]) {
        for op in ops {
            op.run(rows, records);
        }
    }

    #[inline(always)]
    fn run<'a>(&self, rows: impl Rows<'a>, records: &mut [FlowRecord]) {
        let (loc, dst, pairs) = (self.loc, self.dst, (rows, records));
        match self.act {
            Act::Ip4 => copy((loc, dst), pairs, mapped),
            Act::Ip6 => copy((loc, dst), pairs, |v: &[u8; 16]| *v),
            Act::Mac => copy((loc, dst), pairs, |v: &[u8; 6]| *v),
            Act::Same1 => copy((loc, dst), pairs, |v: &[u8; 1]| *v),
            Act::Same2 => copy((loc, dst), pairs, |v| two(v).to_ne_bytes()),
            Act::Same4 => copy((loc, dst), pairs, |v| (four(v) as u32).to_ne_bytes()),
            Act::Same8 => copy((loc, dst), pairs, |v| eight(v).to_ne_bytes()),
            Act::Widen => copy((loc, dst), pairs, |v| u32::from(two(v)).to_ne_bytes()),
            Act::Ip4Twice => copy_two((loc, dst), pairs, |[a, b, c, d, e, f, g, h]| {
                [mapped(&[*a, *b, *c, *d]), mapped(&[*e, *f, *g, *h])]
            }),
            Act::Ip6Twice => copy((loc, dst), pairs, |v: &[u8; 32]| *v),
            Act::Same1Twice => copy((loc, dst), pairs, |v: &[u8; 2]| *v),
            Act::Same2Twice => copy_two((loc, dst), pairs, |v| {
                let both = four(v);
                [(both >> 16) as u16, both as u16].map(u16::to_ne_bytes)
            }),
            Act::Same4Twice => copy_two((loc, dst), pairs, |v| {
                let both = eight(v);
                [(both >> 32) as u32, both as u32].map(u32::to_ne_bytes)
            }),
            Act::WidenTwice => copy_two((loc, dst), pairs, |v| {
                let both = four(v) as u32;
                [both >> 16, both & 0xffff].map(u32::to_ne_bytes)
            }),
            Act::Bytes4 => count(loc, pairs, |rec, v| rec.bytes = v.map_or(0, four)),
            Act::Bytes8 => count(loc, pairs, |rec, v| rec.bytes = v.map_or(0, eight)),
            Act::Packets4 => count(loc, pairs, |rec, v| rec.packets = v.map_or(0, four)),
            Act::Packets8 => count(loc, pairs, |rec, v| rec.packets = v.map_or(0, eight)),
            Act::PacketsBytes4 => {
                count(loc, pairs, |rec, v| {
                    (rec.packets, rec.bytes) = two_of_four(v)
                });
            }
            Act::BytesPackets4 => {
                count(loc, pairs, |rec, v| {
                    (rec.bytes, rec.packets) = two_of_four(v)
                });
            }
            Act::PacketsBytes8 => {
                count(loc, pairs, |rec, v| {
                    (rec.packets, rec.bytes) = two_of_eight(v)
                });
            }
            Act::BytesPackets8 => {
                count(loc, pairs, |rec, v| {
                    (rec.bytes, rec.packets) = two_of_eight(v)
                });
            }
            Act::IsFour => put_all(dst, pairs.1, ETYPE_IPV4),
            Act::IsSix => put_all(dst, pairs.1, ETYPE_IPV6),
            _ => pairs
                .0
                .zip(pairs.1, |row, rec| self.rare(row.value(loc), rec)),
        }
    }

    #[inline(never)]
    fn rare(&self, value: &[u8], rec: &mut FlowRecord) {
        if value.is_empty() {
            // A place of no bytes in a record of variable length: nothing is said.
            return;
        }
        let n = number(value);
        let dst = self.dst;
        match self.act {
            Act::Any1 => store(rec, dst, [n.min(0xff) as u8]),
            Act::Any2 => store(rec, dst, (n.min(0xffff) as u16).to_ne_bytes()),
            Act::Any4 => store(rec, dst, (n.min(0xffff_ffff) as u32).to_ne_bytes()),
            Act::Any8 => store(rec, dst, n.to_ne_bytes()),
            Act::Rd => store(rec, dst, Rd::new(n, Origin::Flow).0.to_ne_bytes()),
            Act::Low1 => store(rec, dst, [n as u8]),
            Act::Low4 => store(rec, dst, (n as u32 & 0xff).to_ne_bytes()),
            Act::Bytes => rec.bytes = n,
            Act::Packets => rec.packets = n,
            Act::Flows => rec.flows = n,
            Act::Version => {
                let etype = if n == 6 { ETYPE_IPV6 } else { ETYPE_IPV4 };
                store(rec, dst, etype.to_ne_bytes());
            }
            Act::Direction => {
                let letter = match n {
                    0 => b'i',
                    1 => b'e',
                    _ => b'u',
                };
                store(rec, dst, [letter]);
            }
            _ => {}
        }
    }

    /// Reads a time. Better ones follow worse ones, so a known time takes the place of another.
    /// A zero is none, but for times that count from something else: then it is one for want of
    /// a better.
    fn time<'a, R: Row<'a>>(&self, row: R, clock: &Clock, times: &mut Times) {
        let value = row.value(self.loc);
        let n = number(value);
        let at = match self.act {
            Act::Boot => {
                times.boot = milli(n);
                return;
            }
            Act::Uptime => clock.at_uptime(n as u32, times.boot),
            Act::Milli => milli(n),
            Act::Second => n.checked_mul(SECOND).unwrap_or(0),
            Act::Ntp => ntp(n),
            Act::Delta => clock.before_export(n),
            _ => 0,
        };
        let [start, end] = &mut times.ends;
        let slot = if self.dst == 0 { start } else { end };
        let relative = matches!(self.act, Act::Uptime | Act::Delta) && !value.is_empty();
        if at != 0 && (n != 0 || relative && *slot == 0) {
            *slot = at;
        }
    }
}
