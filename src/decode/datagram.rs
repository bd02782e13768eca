//! [`Unwrap`]: export datagrams out of captured frames.
//!
//! A collector that reads a savefile wants what a socket would have given it: the payload of each
//! UDP datagram, and who sent it. Fragments are put together within a fixed bound. Not for
//! accounting the frames themselves: see [`packet`](super::packet).

use super::fragment::{Key, is_over};
use super::packet::start;
use crate::base::addr::Ip;
use crate::base::ledger::{Intake, Reason};
use crate::base::time::Nanos;
use crate::source::{Frame, Link, Peer};
use crate::wire::packet::{self, Fragment, IpLayer};

/// Datagrams that are put together at a time, at the most.
pub const DATAGRAMS_MAX: usize = 16;
/// Bytes that one of them takes, allocated when the first fragment comes.
pub const DATAGRAM_BYTES: usize = 65_536;

const UDP: u8 = 17;
const UDP_HEADER: usize = 8;
/// Fragments are placed in units of eight bytes.
const UNITS: usize = DATAGRAM_BYTES / 8;

/// One datagram in the making.
struct Assembly {
    key: Option<Key>,
    bytes: Vec<u8>,
    /// One bit for each unit that is there.
    units: [u64; UNITS / 64],
    /// Units that are there.
    have: usize,
    /// The farthest end of a fragment so far.
    top: usize,
    /// Length, known from the last fragment on.
    total: Option<usize>,
    begun: Nanos,
}

impl Assembly {
    fn new() -> Self {
        Self {
            key: None,
            bytes: Vec::new(),
            units: [0; UNITS / 64],
            have: 0,
            top: 0,
            total: None,
            begun: Nanos(0),
        }
    }

    /// Begins another datagram in the same memory.
    fn begin(&mut self, key: Key, now: Nanos) {
        self.bytes.resize(DATAGRAM_BYTES, 0);
        self.units = [0; UNITS / 64];
        (self.have, self.top, self.total) = (0, 0, None);
        (self.key, self.begun) = (Some(key), now);
    }

    /// Puts one fragment in its place. What was there first stays, so that a later fragment can
    /// not rewrite what an earlier one said. True when all is there.
    fn put(&mut self, fragment: Fragment, data: &[u8]) -> Result<bool, Reason> {
        let at = usize::from(fragment.offset);
        let end = at.saturating_add(data.len());
        let ragged = fragment.more && !data.len().is_multiple_of(8);
        let beyond = self
            .total
            .is_some_and(|t| end > t || (!fragment.more && end != t));
        // Units behind the end would be counted for some that never came.
        let short = !fragment.more && end < self.top;
        if data.is_empty() || ragged || beyond || short || end > DATAGRAM_BYTES {
            return Err(Reason::Length);
        }
        self.top = self.top.max(end);
        if !fragment.more {
            self.total = Some(end);
        }
        for (unit, eight) in (at / 8..).zip(data.chunks(8)) {
            let bit = 1u64 << (unit % 64);
            let Some(word) = self.units.get_mut(unit / 64) else {
                break;
            };
            if *word & bit != 0 {
                continue;
            }
            *word |= bit;
            self.have = self.have.saturating_add(1);
            let to = unit.saturating_mul(8);
            if let Some(room) = self.bytes.get_mut(to..to.saturating_add(eight.len())) {
                room.copy_from_slice(eight);
            }
        }
        Ok(self.total.is_some_and(|t| self.have >= t.div_ceil(8)))
    }
}

/// Finds the datagram in a frame.
pub struct Unwrap {
    assemblies: Box<[Assembly]>,
}

impl Default for Unwrap {
    fn default() -> Self {
        Self {
            assemblies: (0..DATAGRAMS_MAX).map(|_| Assembly::new()).collect(),
        }
    }
}

impl Unwrap {
    /// The UDP payload of `frame` with its sender; a datagram from a socket as it is.
    ///
    /// Nothing when there is none, which is counted in `ledger`, or when this was a fragment and
    /// others are to come.
    pub fn unwrap<'a>(&'a mut self, frame: &Frame<'a>, ledger: &mut Intake) -> Option<Frame<'a>> {
        if frame.link == Link::Datagram {
            return Some(*frame);
        }
        match self.find(frame, ledger) {
            Ok(found) => found,
            Err(reason) => {
                ledger.drop(reason, frame.wire_len as usize);
                None
            }
        }
    }

    /// Datagrams in the making, and how many there may be.
    pub fn usage(&self) -> (usize, usize) {
        (
            self.assemblies.iter().filter(|a| a.key.is_some()).count(),
            self.assemblies.len(),
        )
    }

    /// At the end of the input: counts the datagrams that never became whole.
    pub fn finish(&mut self, ledger: &mut Intake) {
        for a in self.assemblies.iter_mut() {
            if a.key.take().is_some() {
                ledger.drop(Reason::Fragment, a.have.saturating_mul(8));
            }
        }
    }

    fn find<'a>(
        &'a mut self,
        frame: &Frame<'a>,
        ledger: &mut Intake,
    ) -> Result<Option<Frame<'a>>, Reason> {
        let start = start(frame.link).ok_or(Reason::LinkType)?;
        let packet = packet::parse(start, frame.bytes, frame.wire_len, false)?;
        let ip = packet.ip.ok_or(Reason::NotExport)?;
        // Without the whole IPv6 header chain one can not know, and says so.
        if let Some(why) = ip.stopped {
            return Err(if ip.proto == UDP || ip.version == 6 {
                why.into()
            } else {
                Reason::NotExport
            });
        }
        if ip.proto != UDP {
            return Err(Reason::NotExport);
        }
        let body = frame
            .bytes
            .get(ip.payload as usize..ip.end as usize)
            .unwrap_or_default();
        let Some(fragment) = ip.fragment else {
            // What the IP header promises, for captures that were cut short.
            let room = frame.wire_len.saturating_sub(ip.payload);
            let whole = ip.bytes.saturating_sub(ip.payload.saturating_sub(ip.start));
            let whole = whole.min(room);
            return payload(frame, ip.src, body, whole).map(Some);
        };
        let room = frame.wire_len.saturating_sub(ip.start);
        if ip.end.saturating_sub(ip.start) < ip.bytes.min(room) {
            return Err(Reason::Fragment);
        }
        let Some(whole) = self.assemble(&ip, fragment, body, frame.time, ledger)? else {
            return Ok(None);
        };
        let length = u32::try_from(whole.len()).unwrap_or(u32::MAX);
        payload(frame, ip.src, whole, length).map(Some)
    }

    /// Adds a fragment; the datagram when it is whole now.
    fn assemble(
        &mut self,
        ip: &IpLayer,
        fragment: Fragment,
        body: &[u8],
        now: Nanos,
        ledger: &mut Intake,
    ) -> Result<Option<&[u8]>, Reason> {
        let key = Key::of(ip, fragment.id);
        // Its own place, else a free one, else that of the oldest.
        let rank = |a: &Assembly| match &a.key {
            Some(k) if *k == key && !is_over(a.begun, now) => 0,
            None => 1,
            Some(_) if is_over(a.begun, now) => 2,
            Some(_) => a.begun.0.max(3),
        };
        let place = self
            .assemblies
            .iter_mut()
            .min_by_key(|a| rank(a))
            .ok_or(Reason::Fragment)?;
        if rank(place) != 0 {
            if place.key.is_some() {
                ledger.drop(Reason::Fragment, place.have.saturating_mul(8));
            }
            place.begin(key, now);
        }
        if !place.put(fragment, body)? {
            return Ok(None);
        }
        place.key = None;
        Ok(place.bytes.get(..place.total.unwrap_or(0)))
    }
}

/// Behind the UDP header. `whole` is the length of header and payload on the wire.
fn payload<'a>(frame: &Frame<'_>, src: Ip, udp: &'a [u8], whole: u32) -> Result<Frame<'a>, Reason> {
    let (head, rest) = udp
        .split_first_chunk::<UDP_HEADER>()
        .ok_or(Reason::Truncated)?;
    let [p, q, _, _, l, m, _, _] = *head;
    let said = u32::from(u16::from_be_bytes([l, m])).saturating_sub(8);
    let most = whole.saturating_sub(8);
    // A length of zero or beyond the packet is a lie, and harmless.
    let wire_len = if said == 0 || said > most { most } else { said };
    let bytes = rest.get(..wire_len as usize).unwrap_or(rest);
    let from = Peer {
        ip: src.to_std(),
        port: u16::from_be_bytes([p, q]),
        iface: frame.from.iface,
    };
    Ok(Frame {
        bytes,
        wire_len,
        link: Link::Datagram,
        time: frame.time,
        from,
    })
}

#[cfg(test)]
mod test;
