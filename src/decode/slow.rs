//! What is more than a copy: label stacks, names, sampling rates, and options records.
//!
//! A template whose records need none of this has no [`Slow`] and pays nothing for it.

use super::Symbols;
use super::compile::{Item, PEN_TAGS, find};
use super::custom::{self, Piece};
use super::options::{About, Domain, Options};
use super::packet::HeaderPlan;
use super::plan::{number, store};
use super::row::{Loc, Row, Rows};
use super::vrf::Vrfs;
use crate::base::addr::{Ip, Mac};
use crate::base::intern::Sym;
use crate::base::time::Nanos;
use crate::record::{Field, FieldSet, FlowRecord};
use crate::wire::packet::{Packet, Start};
use std::ops::RangeInclusive;

/// Elements of the labels of a stack, its top first.
const LABELS: RangeInclusive<u16> = 70..=79;
/// Most labels of a stack.
const LABELS_MAX: usize = 10;
/// Text of a stack: ten labels of seven digits and what joins them.
const STACK_TEXT: usize = 80;
/// Segments of an SRv6 list that are shown.
const SEGMENTS: usize = 16;

/// Where a record says how it was sampled.
#[derive(Clone, Copy, Debug, Default)]
pub struct Rate {
    /// One in that many: 34, 50.
    one_in: [Option<Loc>; 2],
    /// Looked at, passed over: 305 and 306; looked at, out of: 309 and 310.
    parts: [Option<(Loc, Loc)>; 2],
}

impl Rate {
    pub(super) fn new(items: &[Item]) -> Self {
        let one = |id| find(items, id, 0);
        let pair = |a, b| one(a).zip(one(b));
        Self {
            one_in: [one(34), one(50)],
            parts: [pair(305, 306), pair(309, 310)],
        }
    }

    /// Itself, if a record can state a rate at all.
    fn some(self) -> Option<Self> {
        let one_in = self.one_in.iter().any(Option::is_some);
        (one_in || self.parts.iter().any(Option::is_some)).then_some(self)
    }

    /// The rate a record states; fractions are rounded down. Zero is none.
    fn read<'a, R: Row<'a>>(&self, row: R) -> Option<u32> {
        let get = |loc| number(row.value(loc));
        let [space, population] = self.parts;
        let rates = [
            self.one_in[0].map(get),
            self.one_in[1].map(get),
            space.and_then(|(n, gap)| get(n).saturating_add(get(gap)).checked_div(get(n))),
            population.and_then(|(n, of)| get(of).checked_div(get(n))),
        ];
        let rate = rates.into_iter().flatten().find(|r| *r > 0)?;
        Some(u32::try_from(rate).unwrap_or(u32::MAX))
    }
}

/// The slow part of a data template: what nobody wants and what the template lacks is not there.
#[derive(Clone, Debug)]
pub struct Slow {
    /// In order: a later step takes the place of an earlier one that sets the same field.
    steps: Vec<Step>,
    /// All steps ask for what options told.
    asks: bool,
    section: Option<Box<Section>>,
}

/// One thing to do for each record.
#[derive(Clone, Debug)]
enum Step {
    /// A text in the record.
    Text(Field, Loc),
    /// A name that options gave to a number in the record.
    Name(Field, fn(u64) -> About, Loc),
    /// The segments of an SRv6 list.
    Segments(Loc),
    /// Labels, and which of their fields are wanted.
    Labels(Box<[Loc]>, FieldSet),
    /// A sampling rate that options gave to a number in the record.
    Sampled(fn(u64) -> About, Loc),
    /// A sampling rate in the record.
    Rate(Box<Rate>),
    /// layer2SegmentId: which fields it may set.
    Segment(Loc, FieldSet),
    /// Names and route distinguishers of VRFs, and which of their fields are wanted.
    Vrfs(Vrfs, FieldSet),
    /// A sum of delays, of which the mean is wanted.
    Delay(Loc),
    /// The VLANs of the ingress and of the egress side, and the place that says on which of them
    /// the flow was seen.
    SideVlan([Option<Loc>; 2], Loc),
    /// MAC addresses behind the device, source and destination, likewise.
    Macs([Option<Loc>; 2], Loc),
}

/// The first bytes of an observed packet, exported as they were (elements 315, 104, 313).
#[derive(Clone, Copy, Debug)]
struct Section {
    start: Start,
    bytes: Loc,
    /// Its length on the wire: element 312.
    size: Option<Loc>,
    plan: HeaderPlan,
}

impl Section {
    fn new(items: &[Item], wanted: FieldSet) -> Option<Self> {
        let one = |id| find(items, id, 0);
        let ip = || one(313).map(|loc| (loc, Start::Ip));
        let (bytes, start) = one(315)
            .or(one(104))
            .map(|loc| (loc, Start::Ethernet))
            .or_else(ip)?;
        let size = one(312).filter(|_| start == Start::Ethernet);
        Some(Self {
            start,
            bytes,
            size,
            plan: HeaderPlan::new(wanted),
        })
    }

    fn parse<'a, R: Row<'a>>(&self, row: R) -> Option<Packet> {
        let bytes = row.value(self.bytes);
        let size = self.size.map_or(0, |loc| number(row.value(loc)));
        let size = u32::try_from(size.max(bytes.len() as u64)).unwrap_or(u32::MAX);
        self.plan.parse(self.start, bytes, size).ok()
    }

    /// Writes what the packet says. Where the record has no counters it is one packet.
    #[inline(never)]
    fn fill<'a, R: Row<'a>>(&self, row: R, rec: &mut FlowRecord, symbols: &mut Symbols<'_>) {
        let Some(packet) = self.parse(row) else {
            return;
        };
        let stack = self.plan.stack(&packet, symbols);
        self.plan.fill(rec, &packet, stack);
        if let Some(ip) = &packet.ip {
            (rec.packets, rec.bytes) = (1, u64::from(ip.bytes));
        }
    }
}

/// What the records of a data set have in common.
#[derive(Clone, Copy)]
pub struct Origin {
    /// Whose they are.
    pub domain: Domain,
    /// When the datagram arrived.
    pub now: Nanos,
}

impl Slow {
    /// `None` when the template has nothing of the kind that is wanted.
    pub(super) fn new(items: &[Item], wanted: FieldSet) -> Option<Self> {
        let steps = steps(items, wanted);
        let slow = Self {
            asks: steps.iter().all(Step::asks),
            steps,
            section: Section::new(items, wanted).map(Box::new),
        };
        (!slow.steps.is_empty() || slow.section.is_some()).then_some(slow)
    }

    /// Bytes of memory it takes, nearly.
    pub fn size(&self) -> usize {
        let section = self.section.as_ref().map_or(0, |_| size_of::<Section>());
        let steps = self.steps.iter().fold(0usize, |sum, step| {
            let more = match step {
                Step::Labels(labels, _) => size_of_val(&**labels),
                Step::Rate(_) => size_of::<Rate>(),
                _ => 0,
            };
            sum.saturating_add(more).saturating_add(size_of::<Step>())
        });
        size_of::<Self>()
            .saturating_add(section)
            .saturating_add(steps)
    }

    /// Writes what the packets in the rows say, before the copies: elements of the rows are
    /// preferred.
    #[inline]
    pub fn frames<'a>(
        &self,
        rows: impl Rows<'a>,
        records: &mut [FlowRecord],
        symbols: &mut Symbols<'_>,
    ) {
        if let Some(section) = &self.section {
            rows.zip(records, |row, rec| section.fill(row, rec, symbols));
        }
    }

    /// The packet in the record with its bytes, for primitives of the configuration.
    pub fn packet<'a, R: Row<'a>>(&self, row: R) -> Option<(Start, &'a [u8], Packet)> {
        let section = self.section.as_ref()?;
        Some((section.start, row.value(section.bytes), section.parse(row)?))
    }

    /// Does the rest, after the copies. Most exporters send no options: there is nothing to ask
    /// for then.
    #[inline]
    pub fn run<'a>(
        &self,
        rows: impl Rows<'a>,
        origin: &Origin,
        options: &mut Options,
        records: &mut [FlowRecord],
        symbols: &mut Symbols<'_>,
    ) {
        if self.asks && options.is_empty() {
            return;
        }
        for step in &self.steps {
            step.run(rows, origin, options, records, symbols);
        }
    }
}

/// What is to be done for the fields of `wanted`, in order.
fn steps(items: &[Item], wanted: FieldSet) -> Vec<Step> {
    use Field as F;
    let one = |id| find(items, id, 0);
    let want = |field| wanted.has(field).then_some(field);
    let name = |field: Field, about: fn(u64) -> About, loc: Option<Loc>| {
        Some(Step::Name(want(field)?, about, loc?))
    };
    let text = |field: Field, loc: Option<Loc>| Some(Step::Text(want(field)?, loc?));
    let sampled = |about: fn(u64) -> About, loc: Option<Loc>| {
        want(F::SamplingRate)
            .and(loc)
            .map(|loc| Step::Sampled(about, loc))
    };
    let (input, output) = (one(10).or(one(252)), one(14).or(one(253)));
    let label = items.iter().find(|i| i.pen == PEN_TAGS && i.id == 3);
    let sides = [one(58).or(one(243)), one(59).or(one(254))];
    let vlans = sides.iter().any(Option::is_some).then_some(sides);
    let vlans = vlans.zip(one(61));
    let all = [
        name(F::Class, About::Application, one(95)),
        text(F::Class, one(96)),
        name(F::InIfaceName, About::Interface, input),
        name(F::OutIfaceName, About::Interface, output),
        vrfs(items, wanted),
        text(F::VrfName, one(236)),
        text(F::Label, label.map(|i| i.loc)),
        want(F::Srv6SegmentList).and(one(497)).map(Step::Segments),
        labels(items, wanted),
        sampled(About::Sampled, input),
        want(F::SamplingRate)
            .and_then(|_| Rate::new(items).some())
            .map(|rate| Step::Rate(Box::new(rate))),
        sampled(About::Sampler, one(48).or(one(302))),
        one(351)
            .filter(|_| wanted.any(FieldSet::of(&[F::Vxlan, F::Nvgre])))
            .map(|loc| Step::Segment(loc, wanted)),
        want(F::PathDelayAvg)
            .filter(|_| one(600).is_none())
            .and(one(603))
            .map(Step::Delay),
        want(F::Vlan)
            .and(vlans)
            .map(|(sides, direction)| Step::SideVlan(sides, direction)),
        macs(items, wanted),
    ];
    all.into_iter().flatten().collect()
}

fn labels(items: &[Item], wanted: FieldSet) -> Option<Step> {
    let wanted = wanted.intersection(FieldSet::of(&[
        Field::MplsLabelTop,
        Field::MplsLabelBottom,
        Field::MplsLabelStack,
    ]));
    let labels: Box<[Loc]> = LABELS.filter_map(|id| find(items, id, 0)).collect();
    let any = !wanted.is_empty() && !labels.is_empty();
    any.then_some(Step::Labels(labels, wanted))
}

fn vrfs(items: &[Item], wanted: FieldSet) -> Option<Step> {
    let wanted = wanted.intersection(FieldSet::of(&[
        Field::VrfName,
        Field::IngressVrfName,
        Field::EgressVrfName,
        Field::MplsVpnRd,
    ]));
    let vrfs = Vrfs {
        ingress: find(items, 234, 0),
        egress: find(items, 235, 0),
    };
    (vrfs.is_some() && !wanted.is_empty()).then_some(Step::Vrfs(vrfs, wanted))
}

fn macs(items: &[Item], wanted: FieldSet) -> Option<Step> {
    let want = |field, id| find(items, id, 0).filter(|_| wanted.has(field));
    let behind = [want(Field::SrcMac, 81), want(Field::DstMac, 57)];
    let direction = find(items, 61, 0).filter(|_| behind.iter().any(Option::is_some));
    direction.map(|direction| Step::Macs(behind, direction))
}

impl Step {
    /// Whether it only asks for what options told.
    fn asks(&self) -> bool {
        match self {
            Self::Name(..) | Self::Sampled(..) => true,
            // The number of a VRF stands in for its distinguisher.
            Self::Vrfs(_, wanted) => !wanted.has(Field::MplsVpnRd),
            _ => false,
        }
    }

    /// Does it for rows and their records.
    fn run<'a>(
        &self,
        rows: impl Rows<'a>,
        origin: &Origin,
        options: &mut Options,
        records: &mut [FlowRecord],
        symbols: &mut Symbols<'_>,
    ) {
        let Origin { domain, now } = *origin;
        match self {
            Self::Name(field, about, loc) => {
                let name = |n| options.name(domain, about(n), now);
                ask(rows, *loc, name, records, |rec, name| {
                    set_text(rec, *field, name)
                });
            }
            Self::Sampled(about, loc) => {
                let rate = |n| options.rate(domain, about(n), now);
                ask(rows, *loc, rate, records, FlowRecord::set_sampling_rate);
            }
            Self::Vrfs(vrfs, wanted) => rows.zip(records, |row, rec| {
                vrfs.run(row, origin, options, *wanted, rec);
            }),
            _ => rows.zip(records, |row, rec| self.read(row, rec, symbols)),
        }
    }

    /// What is in the row itself.
    fn read<'a, R: Row<'a>>(&self, row: R, rec: &mut FlowRecord, symbols: &mut Symbols<'_>) {
        let get = |loc: &Loc| number(row.value(*loc));
        match self {
            Self::Name(..) | Self::Sampled(..) | Self::Vrfs(..) => {}
            Self::Text(field, loc) => match intern(row.value(*loc), symbols) {
                // It says nothing: what options told stays.
                Sym::EMPTY => {}
                sym => set_text(rec, *field, sym),
            },
            Self::Segments(loc) => {
                rec.set_srv6_segment_list(segments(row.value(*loc), symbols));
            }
            Self::Labels(labels, wanted) => {
                Stack::read(row, labels).fill(*wanted, rec, symbols);
            }
            Self::Rate(rate) => {
                if let Some(rate) = rate.read(row) {
                    rec.set_sampling_rate(rate);
                }
            }
            Self::Segment(loc, wanted) => set_segment(get(loc), *wanted, rec),
            Self::Delay(loc) => {
                if let Some(mean) = get(loc).checked_div(rec.packets) {
                    rec.set_path_delay_avg(u32::try_from(mean).unwrap_or(u32::MAX));
                }
            }
            Self::SideVlan([ingress, egress], direction) => {
                let side = match get(direction) {
                    0 => ingress,
                    1 => egress,
                    _ => return,
                };
                rec.set_vlan(side.map_or(0, |side| get(&side) as u16));
            }
            Self::Macs([src, dst], direction) => {
                if get(direction) == 1 {
                    if let Some(mac) = mac(row, *src) {
                        rec.set_src_mac(mac);
                    }
                    if let Some(mac) = mac(row, *dst) {
                        rec.set_dst_mac(mac);
                    }
                }
            }
        }
    }
}

/// Sets what is known of a number in each row. Rows that follow each other often have the same
/// one: that is looked up once.
fn ask<'a, T: Copy>(
    rows: impl Rows<'a>,
    loc: Loc,
    mut known: impl FnMut(u64) -> Option<T>,
    records: &mut [FlowRecord],
    set: impl Fn(&mut FlowRecord, T),
) {
    let mut last = None;
    rows.zip(records, |row, rec| {
        let n = number(row.value(loc));
        let answer = match last {
            Some((before, answer)) if before == n => answer,
            _ => known(n),
        };
        last = Some((n, answer));
        if let Some(answer) = answer {
            set(rec, answer);
        }
    });
}

/// A MAC address that is not all zero.
fn mac<'a, R: Row<'a>>(row: R, loc: Option<Loc>) -> Option<Mac> {
    let mac = <[u8; 6]>::try_from(row.value(loc?)).ok()?;
    (mac != [0; 6]).then_some(Mac(mac))
}

/// layer2SegmentId: the type of encapsulation in the top byte (RFC 7133 §3.1).
fn set_segment(value: u64, wanted: FieldSet, rec: &mut FlowRecord) {
    let id = value as u32 & 0xff_ffff;
    match value >> 56 {
        1 if wanted.has(Field::Vxlan) => rec.set_vxlan(id),
        2 if wanted.has(Field::Nvgre) => rec.set_nvgre(id),
        _ => {}
    }
}

pub(super) fn set_text(rec: &mut FlowRecord, field: Field, sym: Sym) {
    store(rec, field.info().offset as u16, sym.0.to_ne_bytes());
    rec.present.insert(field);
}

/// The labels of a record, from the top of the stack to its bottom.
#[derive(Default)]
struct Stack {
    labels: [u32; LABELS_MAX],
    len: usize,
}

impl Stack {
    /// Zero entries are not there.
    fn read<'a, R: Row<'a>>(row: R, labels: &[Loc]) -> Self {
        let mut stack = Self::default();
        for loc in labels {
            // 20 bits label, 3 bits class, 1 bit bottom; with a fourth byte the TTL follows.
            let entry = match row.value(*loc) {
                [a, b, c] | [a, b, c, _] => u32::from_be_bytes([0, *a, *b, *c]),
                _ => 0,
            };
            if entry == 0 {
                continue;
            }
            if let Some(slot) = stack.labels.get_mut(stack.len) {
                *slot = entry >> 4;
                stack.len = stack.len.saturating_add(1);
            }
            if entry & 1 == 1 {
                break;
            }
        }
        stack
    }

    fn fill(&self, wanted: FieldSet, rec: &mut FlowRecord, symbols: &mut Symbols<'_>) {
        let labels = self.labels.get(..self.len).unwrap_or_default();
        let (Some(top), Some(bottom)) = (labels.first(), labels.last()) else {
            return;
        };
        if wanted.has(Field::MplsLabelTop) {
            rec.set_mpls_label_top(*top);
        }
        if wanted.has(Field::MplsLabelBottom) {
            rec.set_mpls_label_bottom(*bottom);
        }
        if wanted.has(Field::MplsLabelStack) {
            rec.set_mpls_label_stack(join::<STACK_TEXT>(labels.iter(), symbols));
        }
    }
}

/// A text of the wire: without the zeros that pad it to its length.
fn intern(value: &[u8], symbols: &mut Symbols<'_>) -> Sym {
    let end = value.iter().position(|b| *b == 0).unwrap_or(value.len());
    symbols.intern(value.get(..end).unwrap_or_default())
}

/// A short text on the stack.
struct Text<const N: usize> {
    bytes: [u8; N],
    len: usize,
}

impl<const N: usize> std::fmt::Write for Text<N> {
    fn write_str(&mut self, s: &str) -> std::fmt::Result {
        let rest = self.bytes.get_mut(self.len..).unwrap_or_default();
        let slot = rest.get_mut(..s.len()).ok_or(std::fmt::Error)?;
        slot.copy_from_slice(s.as_bytes());
        self.len = self.len.saturating_add(s.len());
        Ok(())
    }
}

/// The items as text, joined by underscores, as far as they fit.
fn join<const N: usize>(
    items: impl Iterator<Item = impl std::fmt::Display>,
    symbols: &mut Symbols<'_>,
) -> Sym {
    use std::fmt::Write;
    let mut text = Text {
        bytes: [0; N],
        len: 0,
    };
    for (n, item) in items.enumerate() {
        let joint = if n > 0 { "_" } else { "" };
        if write!(text, "{joint}{item}").is_err() {
            break;
        }
    }
    symbols.intern(text.bytes.get(..text.len).unwrap_or_default())
}

/// A basicList of IPv6 addresses (RFC 6313 §4.5.1): semantics, element, length, then the list.
fn segments(value: &[u8], symbols: &mut Symbols<'_>) -> Sym {
    let head = match value {
        [_, id, _, 0, 16, ..] if id & 0x80 == 0 => 5,
        [_, _, _, 0, 16, ..] => 9,
        _ => return Sym::EMPTY,
    };
    let list = value.get(head..).unwrap_or_default().as_chunks::<16>().0;
    join::<{ SEGMENTS * 40 }>(list.iter().take(SEGMENTS).map(|s| Ip(*s)), symbols)
}

/// What an options template tells; places of the elements that matter.
#[derive(Clone, Debug, Default)]
pub struct OptionPlan {
    pub(super) sampler: Option<Loc>,
    pub(super) iface: Option<Loc>,
    pub(super) app: Option<Loc>,
    pub(super) vrf: Option<Loc>,
    pub(super) rate: Rate,
    pub(super) iface_name: Option<Loc>,
    pub(super) app_name: Option<Loc>,
    pub(super) vrf_name: Option<Loc>,
    pub(super) rd: Option<Loc>,
    pub(super) boot: Option<Loc>,
    pub(super) peer: Option<Loc>,
    /// Primitives of the configuration that hold for all records of the domain.
    pub(super) customs: Box<[Piece]>,
}

/// What one options record says about the exporter itself.
#[derive(Clone, Copy, Debug, Default)]
pub struct Told {
    /// When its uptime was zero, nanoseconds since 1970.
    pub boot: Option<u64>,
    /// The address it wants to be known by.
    pub peer: Option<Ip>,
    /// Something had to go, or found no room.
    pub full: bool,
}

impl OptionPlan {
    /// Bytes of memory it takes.
    pub fn size(&self) -> usize {
        let customs = self.customs.len().saturating_mul(size_of::<Piece>());
        customs.saturating_add(size_of::<Self>())
    }

    /// Takes in one options record.
    pub fn run<'a, R: Row<'a>>(
        &self,
        row: R,
        origin: &Origin,
        wanted: FieldSet,
        options: &mut Options,
        symbols: &mut Symbols<'_>,
    ) -> Told {
        let Origin { domain, now } = *origin;
        let id = |loc: Option<Loc>| loc.map(|loc| number(row.value(loc)));
        let mut full = false;
        if wanted.has(Field::SamplingRate)
            && let Some(rate) = self.rate.read(row)
        {
            let about = match (id(self.sampler), id(self.iface)) {
                (Some(sampler), _) => About::Sampler(sampler),
                (None, Some(iface)) => About::Sampled(iface),
                (None, None) => About::Default,
            };
            full |= !options.set_rate(domain, about, rate, now);
        }
        use Field as F;
        let names = [
            (
                self.iface,
                self.iface_name,
                [F::InIfaceName, F::OutIfaceName, F::OutIfaceName],
            ),
            (self.app, self.app_name, [F::Class, F::Class, F::Class]),
            (
                self.vrf,
                self.vrf_name,
                [F::VrfName, F::IngressVrfName, F::EgressVrfName],
            ),
        ];
        let about: [fn(u64) -> About; 3] = [About::Interface, About::Application, About::Vrf];
        for ((key, name, fields), about) in names.into_iter().zip(about) {
            if let (Some(n), Some(name)) = (id(key), name)
                && wanted.any(FieldSet::of(&fields))
            {
                let sym = intern(row.value(name), symbols);
                full |= !options.set_name(domain, about(n), sym, now);
            }
        }
        if wanted.any(FieldSet::of(&[F::MplsVpnRd, F::VrfName]))
            && let (Some(vrf), Some(rd)) = (id(self.vrf), id(self.rd))
        {
            full |= !options.set_rd(domain, vrf, rd, now);
        }
        if !self.customs.is_empty() {
            full |= !custom::learn(&self.customs, row, (domain, now), options, symbols);
        }
        let boot = id(self.boot)
            .and_then(|ms| ms.checked_mul(1_000_000))
            .filter(|b| *b > 0);
        let peer = self.peer.and_then(|l| address(row.value(l)));
        Told { boot, peer, full }
    }
}

/// An address of either family; none when it is all zero.
fn address(value: &[u8]) -> Option<Ip> {
    if value.iter().all(|b| *b == 0) {
        return None;
    }
    match value {
        [a, b, c, d] => Some(Ip::v4([*a, *b, *c, *d])),
        _ => <[u8; 16]>::try_from(value).ok().map(Ip),
    }
}
