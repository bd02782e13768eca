//! [`NetflowDecoder`]: NetFlow v5, v9 and IPFIX, told apart by the version in each datagram.
//!
//! v5 is treated as a template of constant layout, so all three share one way of making records.
//! This file has what they share, and v5; [`flowset`](super::flowset) has the walk over sets.
//! Not for finding datagrams in captured frames: see [`datagram`](super::datagram).

use super::compile::{Compiled, Way, What};
use super::guard::{Guard, Placed};
use super::options::{About, Domain, Options};
use super::row::{Packed, Rows};
use super::sequence::{Gap, Sequence};
use super::slow::Origin;
use super::template::{self, Templates};
use super::time::Clock;
use super::{Decoder, Emit, Reading, Setup, Symbols, custom};
use crate::base::addr::Ip;
use crate::base::ledger::Reason;
use crate::base::time::Nanos;
use crate::record::{Customs, Field, FieldSet, FlowRecord, RecordKind};
use crate::source::{Frame, Link};
use crate::wire::flowset::{Format, Template};
use crate::wire::{self, netflow5};
use std::sync::Arc;

/// Fields that are the same in all records of a datagram.
const STAMPED: FieldSet = FieldSet::of(&[
    Field::PeerSrcIp,
    Field::ExportProtoSeqno,
    Field::ExportProtoVersion,
    Field::ExportProtoSysid,
    Field::TimestampExport,
    Field::TimestampArrival,
    Field::SamplingRate,
    Field::SamplingDirection,
]);

/// Stamped as well where times are nfacctd's: a start that nobody states is the export.
const START: FieldSet = FieldSet::of(&[Field::TimestampStart]);

/// Stands among the [`STAMPED`] for all primitives of the configuration that options told.
const TOLD: Field = Field::Custom0;

/// Fields that it can supply.
pub const GIVES: FieldSet = super::packet::HEADERS.union(STAMPED).union(FieldSet::of(&[
    Field::Class,
    Field::Cos,
    Field::DstAs,
    Field::DstHost,
    Field::DstMac,
    Field::DstMask,
    Field::DstNet,
    Field::DstPort,
    Field::EgressVrfId,
    Field::EgressVrfName,
    Field::Etype,
    Field::FlowLabel,
    Field::FwEvent,
    Field::FwdStatus,
    Field::InCvlan,
    Field::InIface,
    Field::InIfaceName,
    Field::InVlan,
    Field::IngressVrfId,
    Field::IngressVrfName,
    Field::Label,
    Field::Layout,
    Field::MplsLabelBottom,
    Field::MplsLabelStack,
    Field::MplsLabelTop,
    Field::MplsPwId,
    Field::MplsVpnRd,
    Field::NatEvent,
    Field::NextHop,
    Field::OutCvlan,
    Field::OutIface,
    Field::OutIfaceName,
    Field::OutVlan,
    Field::PathDelayAvg,
    Field::PathDelayMax,
    Field::PathDelayMin,
    Field::PeerDstAs,
    Field::PeerDstIp,
    Field::PeerSrcAs,
    Field::PostNatDstHost,
    Field::PostNatDstPort,
    Field::PostNatSrcHost,
    Field::PostNatSrcPort,
    Field::Proto,
    Field::RecordKind,
    Field::SrcAs,
    Field::SrcHost,
    Field::SrcMac,
    Field::SrcMask,
    Field::SrcNet,
    Field::SrcPort,
    Field::Srv6SegmentList,
    Field::Tag,
    Field::Tag2,
    Field::TcpFlags,
    Field::TimestampEnd,
    Field::TimestampMax,
    Field::TimestampMin,
    Field::TimestampStart,
    Field::Tos,
    Field::Vlan,
    Field::VrfName,
]));

/// Most fields of variable records that are found before records are made of them; room for a
/// record of any template.
pub(super) const SPANS_MAX: usize = 1024;
const _: () = assert!(SPANS_MAX >= super::compile::FIELDS_MAX);

/// Bytes that the stores of a decoder take.
pub fn memory(setup: &Setup) -> usize {
    Templates::memory(setup.templates_max)
        .saturating_add(SPANS_MAX.saturating_mul(size_of::<(u16, u16)>()))
        .saturating_add(Options::memory(setup.options_max))
        .saturating_add(Guard::<Domain, Exporter>::memory(setup.exporters_max))
}

/// What is known of one exporter and domain.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Exporter {
    pub sequence: Sequence,
    /// When its uptime was zero, from options; nanoseconds since 1970.
    pub boot: u64,
    /// The address it wants to be known by, from options.
    pub peer: Option<Ip>,
}

/// What all records of a datagram have in common.
#[derive(Clone, Copy)]
pub(super) struct Context {
    pub clock: Clock,
    pub origin: Origin,
    pub peer: Ip,
    pub sequence: u32,
    pub rate: u32,
    pub stamped: FieldSet,
}

/// Decodes NetFlow v5, v9 and IPFIX. All its state is bounded by [`Setup`].
pub struct NetflowDecoder {
    pub(super) wanted: FieldSet,
    reading: Reading,
    customs: Arc<Customs>,
    pub(super) templates: Templates,
    pub(super) options: Options,
    pub(super) exporters: Guard<Domain, Exporter>,
    /// Places of the fields of some variable records, refilled over and over.
    pub(super) spans: Vec<(u16, u16)>,
    v5: Option<Compiled>,
}

/// The layout of a v5 record, as v9 would announce it; zero is what carries nothing.
#[rustfmt::skip]
const V5: [(u16, u16); 20] = [
    (8, 4), (12, 4), (15, 4), (10, 2), (14, 2), (2, 4), (1, 4), (22, 4), (21, 4), (7, 2),
    (11, 2), (0, 1), (6, 1), (4, 1), (5, 1), (16, 2), (17, 2), (9, 1), (13, 1), (0, 2),
];

fn compile_v5(setup: &Setup) -> Option<Compiled> {
    let mut specs = Vec::new();
    for (id, len) in V5 {
        specs.extend_from_slice(&id.to_be_bytes());
        specs.extend_from_slice(&len.to_be_bytes());
    }
    let (fields, format) = (V5.len() as u16, Format::V9);
    let t = Template {
        id: 256,
        fields,
        scopes: 0,
        options: false,
        format,
        specs: &specs,
    };
    Compiled::new(&t, setup)
}

impl NetflowDecoder {
    /// A decoder with nothing learned yet.
    pub fn new(setup: &Setup) -> Self {
        Self {
            wanted: setup.wanted,
            reading: setup.reading,
            customs: setup.customs.clone(),
            templates: Templates::new(setup),
            options: Options::new(setup.options_max),
            exporters: Guard::new(setup.exporters_max),
            spans: Vec::with_capacity(SPANS_MAX),
            v5: compile_v5(setup),
        }
    }

    /// Where the exporter is followed; none when there is no room for another one.
    pub(super) fn exporter(&mut self, domain: Domain, out: &mut Emit<'_>) -> Option<usize> {
        if let Some(at) = self.exporters.find(&domain) {
            self.exporters.touch(at, out.time);
            return Some(at);
        }
        if self.exporters.insert(domain, Exporter::default(), out.time) != Placed::Room {
            out.drop(Reason::ExporterStore, 0);
        }
        self.exporters.find(&domain)
    }

    /// What all records of a datagram of this exporter share.
    pub(super) fn context(&mut self, domain: Domain, at: Option<usize>, now: Nanos) -> Context {
        let known = at
            .and_then(|at| self.exporters.get(at))
            .copied()
            .unwrap_or_default();
        let of_all = match self.reading.uptime_seconds {
            true => STAMPED.union(START),
            false => STAMPED,
        };
        let mut stamped = self.wanted.intersection(of_all);
        if self.options.has_customs() {
            self.options.told = custom::recall(&self.customs, domain, now, &mut self.options);
            stamped.insert(TOLD);
        }
        let rate = if stamped.has(Field::SamplingRate) {
            self.options.rate(domain, About::Default, now).unwrap_or(0)
        } else {
            0
        };
        Context {
            clock: Clock {
                boot: known.boot,
                whole: self.reading.uptime_seconds,
                ..Clock::default()
            },
            origin: Origin { domain, now },
            peer: match self.reading.ignore_exporter_address {
                true => domain.exporter,
                false => known.peer.unwrap_or(domain.exporter),
            },
            sequence: 0,
            rate,
            stamped,
        }
    }

    /// Enters what a sequence number says into the ledger.
    pub(super) fn account(
        &mut self,
        at: Option<usize>,
        number: u32,
        units: u32,
        out: &mut Emit<'_>,
    ) {
        let Some(exporter) = at.and_then(|at| self.exporters.get_mut(at)) else {
            return;
        };
        let lost = &mut out.ledger.sequence_lost;
        match exporter.sequence.see(number, units) {
            Gap::Lost(n) => *lost = lost.wrapping_add(u64::from(n)),
            Gap::Late(n) => *lost = lost.wrapping_sub(u64::from(n)),
            Gap::None | Gap::Reset => {}
        }
    }

    fn v5(&mut self, frame: &Frame<'_>, out: &mut Emit<'_>) -> Result<(), wire::Error> {
        let header = netflow5::Header::read(frame.bytes)?;
        let exporter = Ip::from(frame.from.ip);
        let domain = Domain {
            exporter,
            id: u32::from(header.engine),
            version: 5,
        };
        let at = self.exporter(domain, out);
        self.account(at, header.sequence, u32::from(header.count), out);
        let mut context = self.context(domain, at, frame.time);
        let nanos = if context.clock.whole { 0 } else { header.nanos };
        context.clock.export = Nanos::new(u64::from(header.seconds), nanos);
        context.clock.uptime = Some(header.uptime);
        context.sequence = header.sequence;
        if header.sampling_rate() > 0 {
            context.rate = header.sampling_rate();
        }
        let body = frame.bytes.get(netflow5::HEADER..).unwrap_or_default();
        let (rows, rest) = body.as_chunks::<{ netflow5::RECORD }>();
        let count = usize::from(header.count);
        let Some(Compiled {
            what: What::Data(way, _),
            ..
        }) = &self.v5
        else {
            return Ok(());
        };
        let packed = Packed {
            bytes: rows.get(..count).unwrap_or(rows).as_flattened(),
            each: netflow5::RECORD,
        };
        context.emit_all(way, packed, &mut self.options, out);
        if rows.len() < count {
            out.drop(Reason::Truncated, rest.len());
        }
        Ok(())
    }
}

impl Context {
    /// Makes records of all rows; gives their number.
    pub(super) fn emit_all<'a>(
        &self,
        way: &Way,
        rows: impl Rows<'a>,
        options: &mut Options,
        out: &mut Emit<'_>,
    ) -> u32 {
        let (mut rest, mut all) = (rows, 0u32);
        while rest.count() > 0 {
            let made = self.emit(way, rest, options, out).len();
            all = all.wrapping_add(made as u32);
            rest = rest.skip(made);
        }
        all
    }

    /// Makes records of rows, of as many as the batch has room for, which is one at least.
    pub(super) fn emit<'a, 'o>(
        &self,
        way: &Way,
        rows: impl Rows<'a>,
        options: &mut Options,
        out: &'o mut Emit<'_>,
    ) -> &'o mut [FlowRecord] {
        let (records, mut symbols) = out.slots(rows.count(), way.plan.present);
        if !self.stamped.is_empty() {
            self.stamp(records, options);
        }
        if let Some(slow) = &way.slow {
            slow.frames(rows, records, &mut symbols);
        }
        way.plan.run(rows, &self.clock, records);
        if let Some(slow) = &way.slow {
            slow.run(rows, &self.origin, options, records, &mut symbols);
        }
        if way.kind != RecordKind::Traffic || way.layout.is_some() || way.tail.is_some() {
            Self::complete(way, rows, records, &mut symbols);
        }
        records
    }

    /// What most records do not need: their kind where it is not traffic, their template, and
    /// primitives of the configuration that are more than a copy.
    #[inline(never)]
    fn complete<'a>(
        way: &Way,
        rows: impl Rows<'a>,
        records: &mut [FlowRecord],
        symbols: &mut Symbols<'_>,
    ) {
        if way.kind != RecordKind::Traffic {
            for record in &mut *records {
                record.set_record_kind(way.kind as u8);
                if way.kind == RecordKind::Options {
                    // What an exporter says of itself is no traffic, whatever it counts.
                    (record.packets, record.bytes, record.flows) = (0, 0, 0);
                }
            }
        }
        if let Some(layout) = way.layout {
            all(records, true, |r| r.set_layout(layout));
        }
        if let Some(tail) = &way.tail {
            rows.zip(records, |row, record| {
                let packet = way.slow.as_ref().and_then(|slow| slow.packet(row));
                let packet = packet.as_ref().map(|(start, bytes, p)| (*start, *bytes, p));
                tail.run(row, packet, record, symbols);
            });
        }
    }

    /// Writes what all records of a datagram have in common.
    fn stamp(&self, records: &mut [FlowRecord], options: &Options) {
        use Field as F;
        let (domain, has) = (&self.origin.domain, |field| self.stamped.has(field));
        all(records, has(TOLD), |r| options.told.put(r));
        all(records, has(F::PeerSrcIp), |r| r.set_peer_src_ip(self.peer));
        all(records, has(F::ExportProtoSeqno), |r| {
            r.set_export_proto_seqno(self.sequence)
        });
        all(records, has(F::ExportProtoVersion), |r| {
            r.set_export_proto_version(domain.version)
        });
        all(records, has(F::ExportProtoSysid), |r| {
            r.set_export_proto_sysid(domain.id)
        });
        all(records, has(F::TimestampExport), |r| {
            r.set_timestamp_export(self.clock.export)
        });
        all(records, has(F::TimestampStart), |r| {
            r.set_timestamp_start(self.clock.export)
        });
        all(records, has(F::TimestampArrival), |r| {
            r.set_timestamp_arrival(self.origin.now)
        });
        all(records, has(F::SamplingRate), |r| {
            r.set_sampling_rate(self.rate)
        });
        all(records, has(F::SamplingDirection), |r| {
            r.set_sampling_direction(b'u')
        });
    }
}

/// Sets something in all records, where it is wanted.
#[inline(always)]
fn all(records: &mut [FlowRecord], wanted: bool, set: impl Fn(&mut FlowRecord)) {
    if wanted {
        records.iter_mut().for_each(set);
    }
}

impl Decoder for NetflowDecoder {
    fn decode(&mut self, frame: &Frame<'_>, out: &mut Emit<'_>) -> Result<(), wire::Error> {
        if frame.link != Link::Datagram {
            out.drop(Reason::NotExport, frame.wire_len as usize);
            return Ok(());
        }
        match frame.bytes {
            [0, 5, ..] => self.v5(frame, out),
            [0, 9 | 10, ..] => self.sets(frame, out),
            [_, _, ..] => Err(wire::Error::Version),
            _ => Err(wire::Error::Truncated),
        }
    }

    fn usage(&self) -> Vec<(&'static str, usize, usize)> {
        let [templates, most, bytes, room] = self.templates.usage();
        let (options, options_max) = self.options.usage();
        vec![
            ("templates", templates, most),
            ("template_bytes", bytes, room),
            ("options", options, options_max),
            ("exporters", self.exporters.len(), self.exporters.max()),
        ]
    }

    fn news(&self) -> u64 {
        self.templates.news().wrapping_add(self.options.news())
    }

    fn save(&self) -> Option<Vec<u8>> {
        Some(template::save(&self.templates, &self.options))
    }

    fn load(&mut self, saved: &[u8]) -> Result<(), String> {
        template::load(&mut self.templates, &mut self.options, saved).map_err(String::from)
    }
}

#[cfg(test)]
mod test;
