//! [`Networks`]: prefixes with the autonomous systems and next hops behind them, from a file; and
//! which source says what about a record: the file, the exporter, or whichever knows the longer
//! prefix.
//!
//! A row is `[NEXTHOP,][[PEERAS_]AS,]PREFIX`. Not for routes, which come with sessions and go.

use super::Enricher;
use crate::base::addr::{Ip, Prefix};
use crate::base::lines::{Complaints, Rows};
use crate::base::lpm::{Lpm, NONE};
use crate::base::part::Shared;
use crate::record::{Batch, Field, FieldSet, FlowRecord};
use std::collections::HashMap;
use std::net::IpAddr;

/// What a row says about its prefix, beside its length.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
struct Said {
    /// The AS, and the neighbour through which it is reached; zero where the row has none.
    asn: u32,
    peer: u32,
    /// Number of the next hop, from 1; zero for none.
    hop: u32,
}

/// A network that an address was found in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Found {
    /// Length of the prefix.
    bits: u8,
    said: Said,
}

/// Bits of a value of the table that number what rows say; those above are the prefix's length.
const NUMBER: u32 = 24;

/// A networks file.
#[derive(Debug)]
pub struct Networks {
    /// Length of the prefix and number of what is said, in one value.
    lpm: Lpm,
    /// What rows say, each once.
    said: Box<[Said]>,
    hops: Box<[Ip]>,
    prefixes: usize,
}

/// A networks file while its rows are read.
#[derive(Default)]
pub struct Reader {
    /// Prefixes with their values and lines.
    prefixes: Vec<(Prefix, u32, u32)>,
    said: HashMap<Said, u32>,
    hops: HashMap<Ip, u32>,
    refused: usize,
}

impl Rows for Reader {
    fn row(&mut self, line: u32, column: u32, text: &str, complaints: &mut Complaints) {
        if let Err((at, message)) = self.read(line, text) {
            complaints.add(line, column + at as u32, message);
            self.refused += 1;
        }
    }
}

impl Reader {
    /// An error with how many characters stand before it.
    fn read(&mut self, line: u32, text: &str) -> Result<(), (usize, String)> {
        let mut at = 0;
        let mut parts: Vec<(usize, &str)> = Vec::new();
        for part in text.split(',') {
            let before = part.chars().count() - part.trim_start().chars().count();
            parts.push((at + before, part.trim()));
            at += part.chars().count() + 1;
        }
        let (at, last) = parts.pop().unwrap_or_default();
        let prefix = Prefix::parse(last).ok_or_else(|| {
            let message = format!("`{last}` is no prefix like 192.0.2.0/24 or 2001:db8::/32");
            (at, message)
        })?;
        let (asn, peer) = match parts.pop() {
            Some((at, text)) => systems(text).ok_or_else(|| {
                let message = format!(
                    "`{text}` is no AS number like 64500, or 64510_64500 with the peer's first"
                );
                (at, message)
            })?,
            None => (0, 0),
        };
        let hop = match parts.pop() {
            Some((at, text)) => {
                let ip = text.parse::<IpAddr>();
                let ip = ip.map_err(|_| (at, format!("`{text}` is no address of a next hop")))?;
                let next = self.hops.len() as u32 + 1;
                *self.hops.entry(ip.into()).or_insert(next)
            }
            None => 0,
        };
        let said = Said { asn, peer, hop };
        let next = self.said.len() as u32;
        let number = *self.said.entry(said).or_insert(next);
        if number >= 1 << NUMBER {
            let message = "there is no room for so many different AS numbers and next hops";
            return Err((0, message.into()));
        }
        let value = u32::from(prefix.len()) << NUMBER | number;
        self.prefixes.push((prefix, value, line));
        Ok(())
    }

    /// The table of all rows, and how many were left out: of equal prefixes the first one counts.
    pub fn finish(mut self, complaints: &mut Complaints) -> (Networks, usize) {
        fn numbered<T>(map: HashMap<T, u32>) -> Box<[T]> {
            let mut all: Vec<(T, u32)> = map.into_iter().collect();
            all.sort_unstable_by_key(|(_, number)| *number);
            all.into_iter().map(|(value, _)| value).collect()
        }
        self.prefixes
            .sort_unstable_by_key(|(prefix, _, line)| (*prefix, *line));
        let (mut before, mut prefixes) = (None, Vec::with_capacity(self.prefixes.len()));
        for (prefix, value, line) in self.prefixes.drain(..) {
            if before == Some(prefix) {
                let message = format!("{prefix} is there already; the first row counts");
                complaints.add(line, 1, message);
                self.refused += 1;
                continue;
            }
            before = Some(prefix);
            prefixes.push((prefix, value));
        }
        let networks = Networks {
            prefixes: prefixes.len(),
            lpm: Lpm::new(prefixes),
            said: numbered(self.said),
            hops: numbered(self.hops),
        };
        (networks, self.refused)
    }
}

/// `AS` or `PEER_AS`.
fn systems(text: &str) -> Option<(u32, u32)> {
    let number = |text: &str| {
        let plain = text.bytes().all(|b| b.is_ascii_digit());
        text.parse::<u32>().ok().filter(|_| plain)
    };
    match text.split_once('_') {
        Some((peer, own)) => Some((number(own)?, number(peer)?)),
        None => Some((number(text)?, 0)),
    }
}

impl Networks {
    /// Bytes for each row while a file is read, beside the table itself.
    pub const READING: usize = Lpm::BUILDING + size_of::<(Prefix, u32, u32)>();

    #[inline]
    fn find(&self, ip: Ip) -> Option<Found> {
        match self.lpm.find(ip) {
            NONE => None,
            value => Some(Found {
                bits: (value >> NUMBER) as u8,
                said: *self.said.get((value & ((1 << NUMBER) - 1)) as usize)?,
            }),
        }
    }

    /// How many prefixes it has.
    pub fn len(&self) -> usize {
        self.prefixes
    }

    /// Whether it has none.
    pub fn is_empty(&self) -> bool {
        self.prefixes == 0
    }

    /// Bytes it takes.
    pub fn size(&self) -> usize {
        let own = self.said.len() * size_of::<Said>() + self.hops.len() * size_of::<Ip>();
        size_of::<Self>() + self.lpm.size() + own
    }
}

/// Who says what network, or what AS, an address belongs to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Method {
    /// The exporter.
    #[default]
    Exporter,
    /// The networks file.
    File,
    /// Whichever of both knows the longer prefix; of equal ones the exporter's.
    Longest,
    /// A prefix length that is configured; for networks alone.
    Mask,
}

/// How networks are found.
#[derive(Clone, Debug, Default)]
pub struct Settings {
    /// The file.
    pub file: Option<Shared<Networks>>,
    /// Who says the network.
    pub net: Method,
    /// Who says the AS.
    pub asn: Method,
    /// The prefix length of [`Method::Mask`].
    pub mask: u8,
    /// Whether what the file knows counts although the exporter knows a longer prefix.
    pub no_lpm: bool,
    /// Whether an address in no network is a network by itself, rather than all zeroes.
    pub whole: bool,
}

/// The fields of one end.
struct End {
    host: Field,
    net: Field,
    mask: Field,
    asn: Field,
    peer: Field,
}

const SRC: End = End {
    host: Field::SrcHost,
    net: Field::SrcNet,
    mask: Field::SrcMask,
    asn: Field::SrcAs,
    peer: Field::PeerSrcAs,
};
const DST: End = End {
    host: Field::DstHost,
    net: Field::DstNet,
    mask: Field::DstMask,
    asn: Field::DstAs,
    peer: Field::PeerDstAs,
};

impl End {
    fn gives(&self, settings: &Settings) -> FieldSet {
        let mut gives = FieldSet::of(&[self.net]);
        if settings.net != Method::Exporter {
            gives.insert(self.mask);
        }
        if settings.asn != Method::Exporter {
            gives.insert(self.asn);
            gives.insert(self.peer);
        }
        gives
    }
}

/// Sets networks, autonomous systems, and next hops of the destination.
pub struct Located {
    settings: Settings,
    src: bool,
    dst: bool,
    hop: bool,
}

impl Located {
    /// For those of `wanted` that it can set.
    pub fn new(settings: Settings, wanted: FieldSet) -> Self {
        let hops = matches!(settings.net, Method::File | Method::Longest);
        let hop = hops && wanted.has(Field::PeerDstIp);
        Self {
            src: wanted.any(SRC.gives(&settings)),
            dst: hop || wanted.any(DST.gives(&settings)),
            hop,
            settings,
        }
    }

    fn ends(&self) -> impl Iterator<Item = &'static End> {
        let ends = [(self.src, &SRC), (self.dst, &DST)];
        ends.into_iter().filter(|(is, _)| *is).map(|(_, end)| end)
    }
}

impl Enricher for Located {
    fn needs(&self) -> FieldSet {
        let Settings { net, asn, .. } = self.settings;
        let exporter = |from| matches!(from, Method::Exporter | Method::Longest);
        let mut needs = FieldSet::EMPTY;
        for end in self.ends() {
            needs.insert(end.host);
            if exporter(net) || asn == Method::Longest {
                needs.insert(end.net);
                needs.insert(end.mask);
            }
            if asn == Method::Longest {
                needs.insert(end.asn);
                needs.insert(end.peer);
            }
        }
        if self.hop {
            needs.insert(Field::PeerDstIp);
        }
        needs
    }

    fn gives(&self) -> FieldSet {
        let ends = self.ends().map(|end| end.gives(&self.settings));
        let hop = FieldSet::of(if self.hop { &[Field::PeerDstIp] } else { &[] });
        ends.fold(hop, FieldSet::union)
    }

    fn replaces(&self) -> FieldSet {
        let Settings { net, asn, .. } = self.settings;
        let mut all = FieldSet::EMPTY;
        for end in self.ends() {
            if matches!(net, Method::File | Method::Mask) {
                all = all.union(FieldSet::of(&[end.net, end.mask]));
            }
            if asn == Method::File {
                all = all.union(FieldSet::of(&[end.asn, end.peer]));
            }
        }
        all
    }

    fn enrich(&mut self, batch: &mut Batch) {
        let settings = &self.settings;
        for record in batch.records_mut() {
            if self.src {
                let end = Exported::src(record);
                let found = settings.find(end.host);
                let (net, mask) = settings.network(&end, found);
                record.set_src_net(net);
                if settings.net != Method::Exporter {
                    record.set_src_mask(mask);
                }
                if settings.asn != Method::Exporter {
                    let (asn, peer) = settings.systems(&end, found);
                    record.set_src_as(asn);
                    record.set_peer_src_as(peer);
                }
            }
            if self.dst {
                let end = Exported::dst(record);
                let found = settings.find(end.host);
                let (net, mask) = settings.network(&end, found);
                record.set_dst_net(net);
                if settings.net != Method::Exporter {
                    record.set_dst_mask(mask);
                }
                if settings.asn != Method::Exporter {
                    let (asn, peer) = settings.systems(&end, found);
                    record.set_dst_as(asn);
                    record.set_peer_dst_as(peer);
                }
                if self.hop
                    && let Some(hop) = settings.hop(&end, found)
                {
                    record.set_peer_dst_ip(hop);
                }
            }
        }
    }
}

/// What the exporter said about one end.
struct Exported {
    host: Ip,
    /// The prefix, where it said one, and its length, where it said that.
    net: Option<Ip>,
    mask: Option<u8>,
    asn: u32,
    peer: u32,
}

impl Exported {
    #[inline]
    fn src(r: &FlowRecord) -> Self {
        let has = |field| r.present.has(field);
        Self {
            host: r.src_host(),
            net: has(SRC.net).then(|| r.src_net()),
            mask: has(SRC.mask).then(|| r.src_mask()).filter(|bits| *bits > 0),
            asn: if has(SRC.asn) { r.src_as() } else { 0 },
            peer: if has(SRC.peer) { r.peer_src_as() } else { 0 },
        }
    }

    #[inline]
    fn dst(r: &FlowRecord) -> Self {
        let has = |field| r.present.has(field);
        Self {
            host: r.dst_host(),
            net: has(DST.net).then(|| r.dst_net()),
            mask: has(DST.mask).then(|| r.dst_mask()).filter(|bits| *bits > 0),
            asn: if has(DST.asn) { r.dst_as() } else { 0 },
            peer: if has(DST.peer) { r.peer_dst_as() } else { 0 },
        }
    }
}

impl Settings {
    #[inline]
    fn find(&self, ip: Ip) -> Option<Found> {
        self.file.as_ref()?.find(ip)
    }

    /// Whether the file's prefix counts rather than the exporter's.
    #[inline]
    fn prefers(&self, end: &Exported, found: Found) -> bool {
        self.no_lpm || end.mask.is_none_or(|bits| found.bits > bits)
    }

    /// The network and its length.
    #[inline]
    fn network(&self, end: &Exported, found: Option<Found>) -> (Ip, u8) {
        let bits = match (self.net, found) {
            (Method::Mask, _) => Some(self.mask),
            (Method::File, found) => found.map(|found| found.bits),
            (Method::Longest, Some(found)) if self.prefers(end, found) => Some(found.bits),
            _ => None,
        };
        let exporter = matches!(self.net, Method::Exporter | Method::Longest);
        match (bits, end.net, end.mask) {
            (Some(bits), ..) => self.cut(end.host, bits),
            (None, Some(net), mask) if exporter && net != net.masked(0) => (net, mask.unwrap_or(0)),
            (None, _, Some(bits)) if exporter => self.cut(end.host, bits),
            _ => self.cut(end.host, 0),
        }
    }

    #[inline]
    fn cut(&self, host: Ip, bits: u8) -> (Ip, u8) {
        match bits {
            0 if self.whole => (host, 0),
            bits => (host.masked(bits), bits),
        }
    }

    /// The AS and the neighbour.
    #[inline]
    fn systems(&self, end: &Exported, found: Option<Found>) -> (u32, u32) {
        let own = (end.asn, end.peer);
        match (self.asn, found) {
            (Method::File, Some(Found { said, .. })) => (said.asn, said.peer),
            (Method::File, None) => (0, 0),
            // A row without an AS says nothing about it; and who says zero does not know.
            (_, Some(Found { said, .. })) if said.asn == 0 => own,
            (_, Some(found)) if end.asn == 0 || self.prefers(end, found) => {
                (found.said.asn, found.said.peer)
            }
            _ => own,
        }
    }

    /// The next hop, where the file has one that counts.
    #[inline]
    fn hop(&self, end: &Exported, found: Option<Found>) -> Option<Ip> {
        let found = found.filter(|found| found.said.hop != 0)?;
        let counts = self.net == Method::File || self.prefers(end, found);
        self.file
            .as_ref()
            .filter(|_| counts)?
            .hops
            .get(found.said.hop as usize - 1)
            .copied()
    }
}

/// Makes hosts that are in no network of the file zero: what is nobody's is nobody.
pub struct Hidden(pub Shared<Networks>);

impl Enricher for Hidden {
    fn needs(&self) -> FieldSet {
        self.gives()
    }

    fn gives(&self) -> FieldSet {
        FieldSet::of(&[Field::SrcHost, Field::DstHost])
    }

    fn enrich(&mut self, batch: &mut Batch) {
        for record in batch.records_mut() {
            let (src, dst) = (record.src_host(), record.dst_host());
            if self.0.find(src).is_none() {
                record.set_src_host(src.masked(0));
            }
            if self.0.find(dst).is_none() {
                record.set_dst_host(dst.masked(0));
            }
        }
    }
}

#[cfg(test)]
mod test;
