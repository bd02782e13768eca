//! From a template's field specifiers to the plans for its records.
//!
//! Runs once per template, so clarity goes before speed. What is not wanted leaves no trace in
//! the result. Not for keeping templates.

use super::custom::Tail;
use super::plan::{Act, Op, Plan};
use super::row::Loc;
use super::slow::{OptionPlan, Rate, Slow};
use super::{RecordKind, Setup};
use crate::record::custom::Element;
use crate::record::{Custom, Field, FieldSet, Form, Kind};
use crate::wire::flowset::{PEN_REVERSE, Spec, Template, VARIABLE};

/// Most fields of a template; one with more is refused.
pub const FIELDS_MAX: usize = 256;
/// Enterprise number under which weir and pmacct export tags and labels.
pub(super) const PEN_TAGS: u32 = 43874;

/// What to do with the records of one direction.
#[derive(Clone, Debug, Default)]
pub struct Way {
    /// The copies.
    pub plan: Plan,
    /// What is more than a copy; there also where only the rest of this is.
    pub slow: Option<Box<Slow>>,
    /// Primitives of the configuration that are more than a copy.
    pub tail: Option<Box<Tail>>,
    /// What its records are, where somebody wants to know.
    pub kind: RecordKind,
    /// [`Field::Layout`], where somebody wants to know.
    pub layout: Option<u32>,
}

/// A compiled template.
#[derive(Clone, Debug)]
pub struct Compiled {
    /// Bytes of a record; for a variable one, the fewest it can have.
    pub len: usize,
    /// Declared lengths of the fields of a variable template; empty for a fixed one.
    pub lens: Box<[u16]>,
    /// What its records are.
    pub what: What,
}

/// Data or options.
#[derive(Clone, Debug)]
pub enum What {
    /// Flow records: the way there, and for biflows the way back (RFC 5103).
    Data(Box<Way>, Option<Box<Way>>),
    /// Options records, and what makes them records of ours where that is wanted.
    Options(Box<OptionPlan>, Option<Box<Way>>),
}

impl What {
    /// Has all records tell what described them.
    fn describe(&mut self, layout: u32) {
        let ways = match self {
            Self::Data(there, back) => [Some(there), back.as_mut()],
            Self::Options(_, record) => [record.as_mut(), None],
        };
        for way in ways.into_iter().flatten() {
            way.layout = Some(layout);
        }
    }
}

/// [`Field::Layout`] of a template: its number, and whether it counts bytes of both directions.
fn layout(id: u16, items: &[Item]) -> u32 {
    let has = |id| items.iter().any(|item| item.pen == 0 && item.id == id);
    u32::from(id) | u32::from(has(INITIATOR) && has(RESPONDER)) << 16
}

impl Compiled {
    /// Compiles a template; `None` when no record could ever be read with it.
    pub fn new(template: &Template<'_>, setup: &Setup) -> Option<Self> {
        let specs: Vec<Spec> = template.iter().take(FIELDS_MAX.saturating_add(1)).collect();
        if specs.is_empty() || specs.len() > FIELDS_MAX {
            return None;
        }
        let variable = specs.iter().any(|s| s.len == VARIABLE);
        let mut at = 0usize;
        let mut items = Vec::with_capacity(specs.len());
        for (n, spec) in specs.iter().enumerate() {
            let place = if variable { n } else { at };
            let loc = Loc {
                at: u16::try_from(place).ok()?,
                len: spec.len,
            };
            let nth = items.iter().filter(|i: &&Item| i.same(spec)).count();
            let Spec { id, pen, scope, .. } = *spec;
            items.push(Item {
                id,
                pen,
                scope,
                loc,
                nth,
            });
            at = at.checked_add(if spec.len == VARIABLE {
                1
            } else {
                usize::from(spec.len)
            })?;
        }
        if at == 0 || at > usize::from(u16::MAX) {
            return None;
        }
        inside_out(&mut items);
        let lens = if variable {
            specs.iter().map(|s| s.len).collect()
        } else {
            Box::default()
        };
        let mut what = if template.options {
            options(&items, setup, template.format.version() == 9, !variable)
        } else {
            let there = Way::new(&items, setup, !variable);
            What::Data(
                Box::new(there),
                way_back(&items, setup, !variable).map(Box::new),
            )
        };
        if setup.wanted.has(Field::Layout) {
            what.describe(layout(template.id, &items));
        }
        Some(Self {
            len: at,
            lens,
            what,
        })
    }

    /// Bytes of memory it takes, nearly.
    pub fn size(&self) -> usize {
        let way = |way: &Way| {
            let slow = way.slow.as_ref().map_or(0, |slow| slow.size());
            let tail = way.tail.as_ref().map_or(0, |tail| tail.size());
            way.plan.size().saturating_add(slow).saturating_add(tail)
        };
        let what = match &self.what {
            What::Data(there, back) => {
                way(there).saturating_add(back.as_ref().map_or(0, |b| way(b)))
            }
            What::Options(plan, record) => {
                let record = record.as_ref().map_or(0, |record| way(record));
                plan.size().saturating_add(record)
            }
        };
        what.saturating_add(self.lens.len().saturating_mul(2))
            .saturating_add(size_of::<Self>())
    }
}

/// Headers of two packets in one template, as Cisco exports what SRv6 carries: the inner packet,
/// which comes later (RFC 7011 §8), is the flow, and the outer one the tunnel.
fn inside_out(items: &mut [Item]) {
    let at = |id: u16, nth: usize| {
        items
            .iter()
            .position(|i| i.pen == 0 && !i.scope && i.id == id && i.nth == nth)
    };
    let twice = |ids: &[u16]| ids.iter().all(|id| at(*id, 1).is_some());
    let mut swap: Vec<u16> = Vec::new();
    // The addresses of the outer packet, where the other packet is of the other family.
    let mut outer: &[u16] = &[];
    if [8, 12, 27, 28].iter().any(|id| twice(&[*id])) {
        swap.extend([8, 12, 27, 28].into_iter().filter(|id| twice(&[*id])));
    } else if let (Some(four), Some(six), true) = (at(8, 0), at(27, 0), twice(&[4])) {
        outer = if six < four { &[27, 28] } else { &[8, 12] };
    } else {
        return;
    }
    swap.extend([4, 5, 6, 7, 11, 31].into_iter().filter(|id| twice(&[*id])));
    for item in items.iter_mut().filter(|i| i.pen == 0 && i.nth < 2) {
        if outer.contains(&item.id) {
            item.nth = 1;
        } else if swap.contains(&item.id) {
            item.nth ^= 1;
        }
    }
}

/// One field of the template with its place.
#[derive(Clone, Copy, Debug)]
pub(super) struct Item {
    pub id: u16,
    pub pen: u32,
    pub scope: bool,
    pub loc: Loc,
    /// How many fields of the same element came before.
    pub nth: usize,
}

impl Item {
    fn same(&self, spec: &Spec) -> bool {
        (self.id, self.pen, self.scope) == (spec.id, spec.pen, spec.scope)
    }
}

/// The `nth` field of the IANA element `id`.
pub(super) fn find(items: &[Item], id: u16, nth: usize) -> Option<Loc> {
    let mut hits = items
        .iter()
        .filter(|i| i.pen == 0 && i.id == id && i.nth == nth);
    hits.next().map(|i| i.loc).filter(|l| l.len > 0)
}

fn private(items: &[Item], id: u16) -> Option<Loc> {
    own(items, Element { pen: PEN_TAGS, id })
}

/// The first field of an element of any enterprise.
pub(super) fn own(items: &[Item], element: Element) -> Option<Loc> {
    let Element { pen, id } = element;
    let mut hits = items.iter().filter(|i| i.pen == pen && i.id == id);
    hits.next().map(|i| i.loc).filter(|l| l.len > 0)
}

/// Elements beside those of the table of fields, less preferred: Cisco ASA.
const EXTRA: &[(Field, &[u16])] = &[
    (Field::PostNatSrcHost, &[40001]),
    (Field::PostNatDstHost, &[40002]),
    (Field::PostNatSrcPort, &[40003]),
    (Field::PostNatDstPort, &[40004]),
    (Field::NatEvent, &[40005]),
    (Field::FwEvent, &[40005]),
];

/// What stands in for the elements of a field where the AS numbers of the records are those of the
/// neighbours.
const PEER_AS: &[(Field, &[u16])] = &[
    (Field::SrcAs, &[]),
    (Field::DstAs, &[]),
    (Field::PeerSrcAs, &[16]),
    (Field::PeerDstAs, &[17]),
];

/// Fields whose value is the second occurrence of an element.
const TUNNEL: FieldSet = FieldSet::of(&[
    Field::TunnelSrcHost,
    Field::TunnelDstHost,
    Field::TunnelProto,
    Field::TunnelTos,
    Field::TunnelFlowLabel,
    Field::TunnelSrcPort,
    Field::TunnelDstPort,
    Field::TunnelTcpFlags,
]);

/// Fields that are more than a copy, see [`Slow`], or are written once per datagram.
const NOT_COPIED: FieldSet = FieldSet::of(&[
    Field::SamplingRate,
    Field::Vxlan,
    Field::Nvgre,
    Field::MplsLabelTop,
    Field::MplsLabelBottom,
    Field::MplsLabelStack,
    Field::TimestampStart,
    Field::TimestampEnd,
    Field::TimestampMin,
    Field::TimestampMax,
]);

const BYTES: &[u16] = &[1, 85, 23, 352, INITIATOR];
/// Bytes of the responder, counted by nobody unless asked for.
const RESPONDER: u16 = 232;

/// Bytes of the initiator (RFC 5103 has another way to say it).
const INITIATOR: u16 = 231;
/// The first bytes of a packet: a record with one of these is traffic without any counter.
pub(super) const SECTIONS: &[u16] = &[315, 104, 313];
/// IP next hops, where there is none of BGP.
const NEXT_HOPS: &[u16] = &[15, 62];
/// The exporter's address as it states it.
const EXPORTER: &[u16] = &[130, 131];
const PACKETS: &[u16] = &[2, 86, 24, 298];
const START: &[(u16, Act)] = &[
    (22, Act::Uptime),
    (152, Act::Milli),
    (323, Act::Milli),
    (154, Act::Ntp),
    (156, Act::Ntp),
    (150, Act::Second),
    (158, Act::Delta),
    (324, Act::Ntp),
    (325, Act::Ntp),
    (322, Act::Second),
];
const END: &[(u16, Act)] = &[
    (21, Act::Uptime),
    (153, Act::Milli),
    (155, Act::Ntp),
    (157, Act::Ntp),
    (151, Act::Second),
    (159, Act::Delta),
];

impl Way {
    fn new(items: &[Item], setup: &Setup, fixed: bool) -> Self {
        let wanted = setup.wanted;
        let (all, items) = (items, &left(items, setup)[..]);
        let mut plan = Plan::default();
        for field in wanted.minus(NOT_COPIED).iter() {
            let ops = match setup.customs.of(field) {
                Some(custom) => custom_ops(all, custom),
                None => match candidates(items, field, setup) {
                    ops if ops.is_empty() && field == Field::Etype => etype(items),
                    ops => ops,
                },
            };
            if !ops.is_empty() {
                plan.offer(field, &ops);
                plan.add(&ops);
            }
        }
        let pick = |id: u16| find(items, id, 0);
        let packets: &[u16] = if setup.reading.asa_biflow && pick(RESPONDER).is_some() {
            &[RESPONDER]
        } else {
            PACKETS
        };
        plan.add(&counters(
            BYTES,
            [Act::Bytes4, Act::Bytes8, Act::Bytes],
            pick,
        ));
        plan.add(&counters(
            packets,
            [Act::Packets4, Act::Packets8, Act::Packets],
            pick,
        ));
        plan.add(&counters(&[3], [Act::Flows, Act::Flows, Act::Flows], pick));
        let both = |a, b| pick(a).is_some() && pick(b).is_some();
        plan.dual = wanted.all(FieldSet::of(&[Field::SrcHost, Field::DstHost]))
            && (both(8, 27) || both(12, 28));
        plan.add_times(items, wanted);
        let better = !plan.better.is_empty() || !plan.clocked.is_empty();
        plan.more = better || !plan.perhaps.is_empty();
        if fixed {
            plan.fuse();
        }
        let counted = BYTES.iter().chain(&[RESPONDER]).chain(SECTIONS);
        let event = !counted.copied().any(|id| pick(id).is_some());
        let kind = match event && wanted.has(Field::RecordKind) {
            true => RecordKind::Event,
            false => RecordKind::Traffic,
        };
        let tail = Tail::new(all, setup);
        let slow = Slow::new(items, wanted);
        Self {
            plan,
            slow: slow.map(Box::new),
            tail: tail.map(Box::new),
            kind,
            layout: None,
        }
    }
}

impl Plan {
    /// Adds the copies that fill one field, the most preferred first.
    fn add(&mut self, ops: &[Op]) {
        if let Some((last, better)) = ops.split_last() {
            self.ops.push(*last);
            self.better.extend(better.iter().rev());
        }
    }

    fn add_times(&mut self, items: &[Item], wanted: FieldSet) {
        const STARTS: FieldSet = FieldSet::of(&[Field::TimestampStart, Field::TimestampMin]);
        const ENDS: FieldSet = FieldSet::of(&[Field::TimestampEnd, Field::TimestampMax]);
        let ops = |list: &[(u16, Act)], dst: u16| -> Vec<Op> {
            let op = |(id, act): &(u16, Act)| {
                Some(Op {
                    loc: find(items, *id, 0)?,
                    dst,
                    act: *act,
                })
            };
            list.iter().rev().filter_map(op).collect()
        };
        let (start, end) = (ops(START, 0), ops(END, 1));
        self.times = [wanted.intersection(STARTS), wanted.intersection(ENDS)];
        let by_uptime =
            wanted.any(STARTS.union(ENDS)) && find(items, 21, 0).or(find(items, 22, 0)).is_some();
        if by_uptime && let Some(loc) = find(items, 160, 0) {
            self.clocked.push(Op {
                loc,
                dst: 0,
                act: Act::Boot,
            });
        }
        if wanted.any(STARTS) {
            self.clocked.extend(start);
        }
        if wanted.any(ENDS) {
            self.clocked.extend(end);
        }
    }
}

fn counters(ids: &[u16], acts: [Act; 3], pick: impl Fn(u16) -> Option<Loc>) -> Vec<Op> {
    let [four, eight, any] = acts;
    let op = |loc: Loc| {
        let act = match loc.len {
            4 => four,
            8 => eight,
            _ => any,
        };
        Op { loc, dst: 0, act }
    };
    ids.iter().filter_map(|id| pick(*id)).map(op).collect()
}

/// The copies that can fill `field`, the most preferred first.
fn candidates(items: &[Item], field: Field, setup: &Setup) -> Vec<Op> {
    let info = field.info();
    let nth = usize::from(TUNNEL.has(field));
    let of = |list: &[(Field, &'static [u16])]| {
        let mut list = list.iter();
        list.find(|(f, _)| *f == field).map(|(_, ids)| *ids)
    };
    let (own, extra) = match of(PEER_AS).filter(|_| setup.reading.peer_as) {
        Some(ids) => (ids, &[][..]),
        None => (info.elements, of(EXTRA).unwrap_or_default()),
    };
    let elements = own
        .iter()
        .chain(extra)
        .filter_map(|id| find(items, *id, nth));
    let tag = match field {
        Field::Tag => private(items, 1),
        Field::Tag2 => private(items, 2),
        _ => None,
    };
    let op = |loc: Loc| {
        let act = act(field, info.kind, loc.len)?;
        Some(Op {
            loc,
            dst: info.offset as u16,
            act,
        })
    };
    elements.chain(tag).filter_map(op).collect()
}

/// Where no element has the EtherType, it is that of the IP version; most preferred first.
fn etype(items: &[Item]) -> Vec<Op> {
    const FROM: [(u16, Act); 9] = [
        (60, Act::Version),
        (8, Act::IsFour),
        (12, Act::IsFour),
        (44, Act::IsFour),
        (45, Act::IsFour),
        (27, Act::IsSix),
        (28, Act::IsSix),
        (170, Act::IsSix),
        (169, Act::IsSix),
    ];
    let dst = Field::Etype.info().offset as u16;
    let op = |nth: usize| {
        move |(id, act): &(u16, Act)| {
            let (loc, act) = (find(items, *id, nth)?, *act);
            Some(Op { loc, dst, act })
        }
    };
    // Of a packet inside another one of the other family, the outer one is the frame's.
    let outer = |from: &&(u16, Act)| find(items, from.0, 0).is_none();
    let tunnel = FROM.iter().filter(outer);
    let tunnel: Vec<Op> = tunnel.filter_map(op(1)).collect();
    let mut ops = match tunnel.is_empty() {
        true => FROM.iter().filter_map(op(0)).collect(),
        false => tunnel,
    };
    // Where there is one family only, whatever its value is will do.
    if let Some(first) = ops.first().copied()
        && first.act != Act::Version
        && ops.iter().all(|op| op.act == first.act)
    {
        ops.truncate(1);
    }
    ops
}

/// Those fields of a template that this input takes.
fn left(items: &[Item], setup: &Setup) -> Vec<Item> {
    let reading = &setup.reading;
    let refused = |item: &Item| {
        item.pen == 0
            && (!reading.use_next_hop && NEXT_HOPS.contains(&item.id)
                || reading.ignore_exporter_address && EXPORTER.contains(&item.id))
    };
    items
        .iter()
        .filter(|item| !refused(item))
        .copied()
        .collect()
}

/// The copy that fills a primitive of the configuration, where a copy does.
fn custom_ops(items: &[Item], custom: &Custom) -> Vec<Op> {
    let found = custom.element.and_then(|element| own(items, element));
    let op = |loc: Loc| {
        let act = match (custom.form, loc.len) {
            (Form::Number | Form::Hex, _) | (Form::Ip4, 4) | (Form::Mac, 6) => Act::Any8,
            (Form::Ip6, 4) => Act::Ip4,
            (Form::Ip6, 16) => Act::Ip6,
            _ => return None,
        };
        let dst = custom.field.info().offset as u16;
        Some(Op { loc, dst, act })
    };
    found.and_then(op).into_iter().collect()
}

fn act(field: Field, kind: Kind, len: u16) -> Option<Act> {
    Some(match (field, kind, len) {
        (Field::SamplingDirection, ..) => Act::Direction,
        (Field::TcpFlags, _, 1) => Act::Same1,
        (Field::TcpFlags, ..) => Act::Low1,
        (Field::TunnelTcpFlags, ..) => Act::Low4,
        (_, Kind::Ip, 4) => Act::Ip4,
        (_, Kind::Ip, 16) => Act::Ip6,
        (_, Kind::Mac, 6) => Act::Mac,
        (_, Kind::U8 | Kind::Proto, 1) => Act::Same1,
        (_, Kind::U16 | Kind::EtherType, 2) => Act::Same2,
        (_, Kind::U32 | Kind::NumberText, 4) => Act::Same4,
        (_, Kind::U32 | Kind::NumberText, 2) => Act::Widen,
        (_, Kind::Rd, 8) => Act::Rd,
        (_, Kind::U64, 8) => Act::Same8,
        (_, Kind::U8 | Kind::Proto, _) => Act::Any1,
        (_, Kind::U16 | Kind::EtherType, _) => Act::Any2,
        (_, Kind::U32 | Kind::NumberText, _) => Act::Any4,
        (_, Kind::U64, _) => Act::Any8,
        _ => return None,
    })
}

/// Elements that change places when the direction does.
const SWAP: &[(u16, u16)] = &[
    (8, 12),
    (27, 28),
    (7, 11),
    (180, 181),
    (182, 183),
    (10, 14),
    (252, 253),
    (16, 17),
    (9, 13),
    (29, 30),
    (44, 45),
    (170, 169),
    (56, 80),
    (81, 57),
    (58, 59),
    (243, 254),
    (245, 255),
    (128, 129),
    (225, 226),
    (227, 228),
    (281, 282),
    (234, 235),
];

/// Elements that belong to the forward direction alone.
const FORWARD: &[u16] = &[6, 61, 3];

fn swapped(id: u16) -> u16 {
    let other = |(a, b): &(u16, u16)| match id {
        _ if id == *a => Some(*b),
        _ if id == *b => Some(*a),
        _ => None,
    };
    SWAP.iter().find_map(other).unwrap_or(id)
}

/// The way back of a biflow: reverse elements as they are, the ends swapped, and what belongs
/// to the way there left out. None when the template has no reverse counter.
fn way_back(items: &[Item], setup: &Setup, fixed: bool) -> Option<Way> {
    let reverse = |i: &&Item| i.pen == PEN_REVERSE;
    let counter = |i: &Item| BYTES.contains(&i.id) || PACKETS.contains(&i.id);
    if !items.iter().filter(reverse).any(counter) {
        return None;
    }
    let mut back: Vec<Item> = items
        .iter()
        .filter(reverse)
        .map(|i| Item { pen: 0, ..*i })
        .collect();
    let own = back.clone();
    for item in items.iter().filter(|i| i.pen != PEN_REVERSE) {
        let iana = item.pen == 0;
        let id = if iana { swapped(item.id) } else { item.id };
        let forward = iana && (counter(item) || FORWARD.contains(&id));
        if !forward && !own.iter().any(|o| iana && o.id == id) {
            back.push(Item { id, ..*item });
        }
    }
    Some(Way::new(&back, setup, fixed))
}

/// Scope type "interface" of NetFlow v9 (RFC 3954 §6.1).
const SCOPE_INTERFACE: u16 = 2;

/// Scope type "system" of NetFlow v9.
const SCOPE_SYSTEM: u16 = 1;
/// Scopes of IPFIX that are the exporter as a whole, or its observation domain.
const SCOPES_WHOLE: &[u16] = &[130, 131, 143, 144, 149];

/// What an options template tells, and what its records are worth by themselves.
fn options(items: &[Item], setup: &Setup, v9: bool, fixed: bool) -> What {
    // In v9 a scope is a type of its own numbering, not an element.
    let foreign = |i: &&Item| !(v9 && i.scope && i.id <= 5);
    let elements: Vec<Item> = items.iter().filter(foreign).copied().collect();
    let whole = |i: &Item| match v9 {
        true => i.id == SCOPE_SYSTEM,
        false => i.pen == 0 && SCOPES_WHOLE.contains(&i.id),
    };
    let mut plan = option_plan(items, &elements, v9);
    if items.iter().filter(|i| i.scope).all(whole) {
        plan.customs = Tail::told(&elements, setup);
    }
    let record = setup.reading.account_options.then(|| {
        let mut way = Way::new(&elements, setup, fixed);
        way.kind = RecordKind::Options;
        Box::new(way)
    });
    What::Options(Box::new(plan), record)
}

fn option_plan(items: &[Item], elements: &[Item], v9: bool) -> OptionPlan {
    let elements: Vec<Item> = (elements.iter().map(|i| Item { nth: 0, ..*i })).collect();
    let interface = items
        .iter()
        .find(|i| v9 && i.scope && i.id == SCOPE_INTERFACE);
    let one = |id: u16| find(&elements, id, 0);
    OptionPlan {
        sampler: one(48).or(one(302)),
        iface: one(10)
            .or(one(252))
            .or(one(14))
            .or(interface.map(|i| i.loc)),
        app: one(95),
        vrf: one(234).or(one(235)),
        rate: Rate::new(&elements),
        iface_name: one(82).or(one(83)),
        app_name: one(96).or(one(94)),
        vrf_name: one(236),
        rd: one(90),
        boot: one(160),
        peer: one(130).or(one(131)),
        customs: Box::default(),
    }
}
