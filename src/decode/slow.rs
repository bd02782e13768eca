//! What is more than a copy: label stacks, names, sampling rates, and options records.
//!
//! A template whose records need none of this has no [`Slow`] and pays nothing for it.

use super::Emit;
use super::compile::{Item, find};
use super::custom::{self, Piece};
use super::options::{About, Domain, Options};
use super::packet::HeaderPlan;
use super::plan::{Loc, Row, number};
use super::vrf::Vrfs;
use crate::base::addr::{Ip, Mac};
use crate::base::intern::Sym;
use crate::base::time::Nanos;
use crate::record::{Field, FieldSet, FlowRecord, Rd};
use crate::wire::packet::{Packet, Start};

/// Most labels of a stack: elements 70 to 79.
const LABELS: usize = 10;
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

    fn is_some(&self) -> bool {
        self.one_in.iter().any(Option::is_some) || self.parts.iter().any(Option::is_some)
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

/// The slow part of a data template: places of the elements, each `None` when nobody wants it.
#[derive(Clone, Debug, Default)]
pub struct Slow {
    wanted: FieldSet,
    labels: [Option<Loc>; LABELS],
    app: Option<Loc>,
    app_name: Option<Loc>,
    ifaces: [Option<Loc>; 2],
    vrfs: Vrfs,
    vrf_name: Option<Loc>,
    text: Option<Loc>,
    srv6: Option<Loc>,
    sampler: Option<Loc>,
    sampled: Option<Loc>,
    rate: Rate,
    segment: Option<Loc>,
    delay_sum: Option<Loc>,
    vlan: Option<(Loc, Loc)>,
    /// MAC addresses behind the device, source and destination, and the direction.
    macs: Option<([Option<Loc>; 2], Loc)>,
    section: Option<Section>,
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
}

/// What the records of a data set have in common.
#[derive(Clone, Copy)]
pub struct Origin {
    /// Whose they are.
    pub domain: Domain,
    /// When the datagram arrived.
    pub now: Nanos,
}

/// Texts of one record; the empty one where there is none.
#[derive(Default)]
pub struct Names {
    stack: Stack,
    list: [(Option<Field>, Sym); 9],
    rate: Option<u32>,
    /// Of the VRF, where the record has none itself.
    rd: Option<Rd>,
    packet: Option<(Packet, Option<Sym>)>,
}

#[derive(Default)]
struct Stack {
    labels: [u32; LABELS],
    len: usize,
}

impl Slow {
    /// `None` when the template has nothing of the kind that is wanted.
    pub(super) fn new(items: &[Item], wanted: FieldSet) -> Option<Self> {
        use Field as F;
        let one = |id| find(items, id, 0);
        let any =
            |fields: &[Field], loc: Option<Loc>| loc.filter(|_| wanted.any(FieldSet::of(fields)));
        let mut slow = Self {
            wanted,
            ..Self::default()
        };
        let mpls = [F::MplsLabelTop, F::MplsLabelBottom, F::MplsLabelStack];
        for (slot, id) in slow.labels.iter_mut().zip(70..) {
            *slot = any(&mpls, one(id));
        }
        slow.app = any(&[F::Class], one(95));
        slow.app_name = any(&[F::Class], one(96));
        let input = one(10).or(one(252));
        slow.ifaces = [
            any(&[F::InIfaceName], input),
            any(&[F::OutIfaceName], one(14).or(one(253))),
        ];
        let vrf = [
            F::VrfName,
            F::IngressVrfName,
            F::EgressVrfName,
            F::MplsVpnRd,
        ];
        slow.vrfs = Vrfs {
            ingress: any(&vrf, one(234)),
            egress: any(&vrf, one(235)),
        };
        slow.vrf_name = any(&[F::VrfName], one(236));
        let label = items.iter().find(|i| i.pen == 43874 && i.id == 3);
        slow.text = any(&[F::Label], label.map(|i| i.loc));
        slow.srv6 = any(&[F::Srv6SegmentList], one(497));
        slow.sampler = any(&[F::SamplingRate], one(48).or(one(302)));
        slow.sampled = any(&[F::SamplingRate], input);
        if wanted.has(F::SamplingRate) {
            slow.rate = Rate::new(items);
        }
        slow.segment = any(&[F::Vxlan, F::Nvgre], one(351));
        if one(600).is_none() {
            slow.delay_sum = any(&[F::PathDelayAvg], one(603));
        }
        slow.vlan = any(&[F::Vlan], one(59).or(one(254))).zip(one(61));
        let behind = [any(&[F::SrcMac], one(81)), any(&[F::DstMac], one(57))];
        let behind = Some(behind).filter(|b| b.iter().any(Option::is_some));
        slow.macs = behind.zip(one(61));
        slow.section = Section::new(items, wanted);
        slow.is_some().then_some(slow)
    }

    fn is_some(&self) -> bool {
        let single = [
            self.app,
            self.app_name,
            self.vrf_name,
            self.text,
            self.srv6,
            self.sampler,
            self.sampled,
            self.segment,
            self.delay_sum,
        ];
        self.labels
            .iter()
            .chain(&single)
            .chain(&self.ifaces)
            .any(Option::is_some)
            || self.rate.is_some()
            || self.vrfs.is_some()
            || self.vlan.is_some()
            || self.macs.is_some()
            || self.section.is_some()
    }

    /// Looks up texts and rates, before the record has its slot.
    #[inline(never)]
    pub fn names<'a, R: Row<'a>>(
        &self,
        row: R,
        origin: &Origin,
        options: &mut Options,
        out: &mut Emit<'_>,
    ) -> Names {
        let mut names = Names::default();
        let Origin { domain, now } = *origin;
        let mut slots = names.list.iter_mut();
        let mut put = |field: Field, sym: Option<Sym>| {
            if let Some(sym) = sym
                && self.wanted.has(field)
                && let Some(slot) = slots.next()
            {
                *slot = (Some(field), sym);
            }
        };
        let id = |loc: Option<Loc>| loc.map(|loc| number(row.value(loc)));
        let app = id(self.app);
        let app = app.and_then(|n| options.name(domain, About::Application(n), now));
        put(
            Field::Class,
            self.app_name.map(|l| intern(row.value(l), out)).or(app),
        );
        for (loc, field) in self
            .ifaces
            .iter()
            .zip([Field::InIfaceName, Field::OutIfaceName])
        {
            put(
                field,
                id(*loc).and_then(|n| options.name(domain, About::Interface(n), now)),
            );
        }
        let own = self.vrf_name.map(|l| intern(row.value(l), out));
        let vrfs = self.vrfs.resolve(row, origin, options);
        names.rd = vrfs.rd;
        put(Field::IngressVrfName, vrfs.ingress);
        put(Field::EgressVrfName, vrfs.egress);
        put(Field::VrfName, own.or(vrfs.own));
        put(Field::Label, self.text.map(|l| intern(row.value(l), out)));
        put(
            Field::Srv6SegmentList,
            self.srv6.map(|l| segments(row.value(l), out)),
        );
        names.stack = self.stack(row);
        if names.stack.len > 0 && self.wanted.has(Field::MplsLabelStack) {
            put(Field::MplsLabelStack, Some(names.stack.text(out)));
        }
        if self.wanted.has(Field::SamplingRate) {
            names.rate = id(self.sampler)
                .and_then(|n| options.rate(domain, About::Sampler(n), now))
                .or_else(|| self.rate.read(row))
                .or_else(|| options.rate(domain, About::Sampled(id(self.sampled)?), now));
        }
        if let Some(section) = &self.section
            && let Some(packet) = section.parse(row)
        {
            let stack = section.plan.stack(&packet, out);
            names.packet = Some((packet, stack));
        }
        names
    }

    /// The packet in the record with its bytes, for primitives of the configuration.
    pub fn packet<'a, 'n, R: Row<'a>>(
        &self,
        row: R,
        names: &'n Names,
    ) -> Option<(Start, &'a [u8], &'n Packet)> {
        let (section, (packet, _)) = (self.section.as_ref()?, names.packet.as_ref()?);
        Some((section.start, row.value(section.bytes), packet))
    }

    /// Writes what the packet in the record says, before the copies: elements of the record are
    /// preferred. Where it has no counters it is one packet.
    #[inline]
    pub fn frame(&self, names: &Names, rec: &mut FlowRecord) {
        let (Some(section), Some((packet, stack))) = (&self.section, &names.packet) else {
            return;
        };
        section.plan.fill(rec, packet, *stack);
        if let Some(ip) = &packet.ip {
            (rec.packets, rec.bytes) = (1, u64::from(ip.bytes));
        }
    }

    /// The labels down to the bottom of the stack; zero entries are not there.
    fn stack<'a, R: Row<'a>>(&self, row: R) -> Stack {
        let mut stack = Stack::default();
        for loc in self.labels.iter().flatten() {
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

    /// Writes what was found into the record, after its copies.
    #[inline(never)]
    pub fn fill<'a, R: Row<'a>>(&self, row: R, names: &Names, rec: &mut FlowRecord) {
        for (field, sym) in &names.list {
            if let Some(field) = field {
                set_text(rec, *field, *sym);
            }
        }
        if let Some(rate) = names.rate {
            rec.set_sampling_rate(rate);
        }
        let labels = names
            .stack
            .labels
            .get(..names.stack.len)
            .unwrap_or_default();
        if let (Some(top), Some(bottom)) = (labels.first(), labels.last()) {
            if self.wanted.has(Field::MplsLabelTop) {
                rec.set_mpls_label_top(*top);
            }
            if self.wanted.has(Field::MplsLabelBottom) {
                rec.set_mpls_label_bottom(*bottom);
            }
        }
        if let Some(loc) = self.segment {
            self.segment(number(row.value(loc)), rec);
        }
        if let Some(rd) = names.rd
            && self.wanted.has(Field::MplsVpnRd)
            && Rd(rec.mpls_vpn_rd()).parts() == (0, 0)
        {
            rec.set_mpls_vpn_rd(rd.0);
        }
        if let Some(loc) = self.delay_sum
            && let Some(mean) = number(row.value(loc)).checked_div(rec.packets)
        {
            rec.set_path_delay_avg(u32::try_from(mean).unwrap_or(u32::MAX));
        }
        if let Some((egress, direction)) = self.vlan
            && number(row.value(direction)) == 1
        {
            rec.set_vlan(number(row.value(egress)) as u16);
        }
        if let Some(([src, dst], direction)) = self.macs
            && number(row.value(direction)) == 1
        {
            let mac = |loc: Option<Loc>| <[u8; 6]>::try_from(row.value(loc?)).ok().map(Mac);
            if let Some(mac) = mac(src).filter(|mac| mac.0 != [0; 6]) {
                rec.set_src_mac(mac);
            }
            if let Some(mac) = mac(dst).filter(|mac| mac.0 != [0; 6]) {
                rec.set_dst_mac(mac);
            }
        }
    }

    /// layer2SegmentId: the type of encapsulation in the top byte (RFC 7133 §3.1).
    fn segment(&self, value: u64, rec: &mut FlowRecord) {
        let id = value as u32 & 0xff_ffff;
        match value >> 56 {
            1 if self.wanted.has(Field::Vxlan) => rec.set_vxlan(id),
            2 if self.wanted.has(Field::Nvgre) => rec.set_nvgre(id),
            _ => {}
        }
    }
}

fn set_text(rec: &mut FlowRecord, field: Field, sym: Sym) {
    match field {
        Field::Class => rec.set_class(sym),
        Field::InIfaceName => rec.set_in_iface_name(sym),
        Field::OutIfaceName => rec.set_out_iface_name(sym),
        Field::IngressVrfName => rec.set_ingress_vrf_name(sym),
        Field::EgressVrfName => rec.set_egress_vrf_name(sym),
        Field::VrfName => rec.set_vrf_name(sym),
        Field::Label => rec.set_label(sym),
        Field::Srv6SegmentList => rec.set_srv6_segment_list(sym),
        Field::MplsLabelStack => rec.set_mpls_label_stack(sym),
        _ => {}
    }
}

/// A text of the wire: without the zeros that pad it to its length.
fn intern(value: &[u8], out: &mut Emit<'_>) -> Sym {
    let end = value.iter().position(|b| *b == 0).unwrap_or(value.len());
    out.intern(value.get(..end).unwrap_or_default())
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
    out: &mut Emit<'_>,
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
    out.intern(text.bytes.get(..text.len).unwrap_or_default())
}

impl Stack {
    fn text(&self, out: &mut Emit<'_>) -> Sym {
        join::<STACK_TEXT>(self.labels.iter().take(self.len), out)
    }
}

/// A basicList of IPv6 addresses (RFC 6313 §4.5.1): semantics, element, length, then the list.
fn segments(value: &[u8], out: &mut Emit<'_>) -> Sym {
    let head = match value {
        [_, id, _, 0, 16, ..] if id & 0x80 == 0 => 5,
        [_, _, _, 0, 16, ..] => 9,
        _ => return Sym::EMPTY,
    };
    let list = value.get(head..).unwrap_or_default().as_chunks::<16>().0;
    join::<{ SEGMENTS * 40 }>(list.iter().take(SEGMENTS).map(|s| Ip(*s)), out)
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
        out: &mut Emit<'_>,
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
                let sym = intern(row.value(name), out);
                full |= !options.set_name(domain, about(n), sym, now);
            }
        }
        if wanted.any(FieldSet::of(&[F::MplsVpnRd, F::VrfName]))
            && let (Some(vrf), Some(rd)) = (id(self.vrf), id(self.rd))
        {
            full |= !options.set_rd(domain, vrf, rd, now);
        }
        if !self.customs.is_empty() {
            full |= !custom::learn(&self.customs, row, (domain, now), options, out);
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
