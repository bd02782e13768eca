//! sFlow 5: one record for each flow sample.
//!
//! A sample describes one packet out of `sampling_rate`. Its fields come from the sampled header;
//! where an agent sends none, from the sampled IP or Ethernet values; and what only the device
//! knows (VLANs, route, translation) from the extended records. A tag in the header goes before
//! the VLANs of the switch. The record has one packet and its length; multiplying by the rate is
//! a later stage's work.
//!
//! A record that can not be read drops its sample, a sample whose length is wrong the rest of the
//! datagram. Counter samples are passed over, counted. Not for sFlow 2 and 4: an error of version.

mod agent;
mod seen;
mod text;

use super::custom::Pointers;
use super::packet::{HEADERS, HeaderPlan};
use super::{Decoder, Emit, Reading, Setup};
use crate::base::addr::Ip;
use crate::base::intern::Sym;
use crate::base::ledger::Reason;
use crate::record::{Field, FieldSet, FlowRecord};
use crate::source::Frame;
use crate::wire;
use crate::wire::packet::{Plain, V4, V6};
use crate::wire::sflow::record::{RawHeader, format, protocol};
use crate::wire::sflow::{CounterSample, Datagram, FlowSample, Interface, Sample, VERSION, sample};
use agent::{Agents, Totals};
use seen::{Described, Seen};

/// What the aggregations want, as the groups of fields that come from one place.
#[derive(Clone, Copy, Debug)]
struct Want {
    /// What the planner asked for.
    fields: FieldSet,
    /// Fields of the sampled header.
    header: HeaderPlan,
    /// Extended records that have something wanted.
    extended: Extended,
    /// Text of label stacks.
    labels: bool,
    /// Exporter and interfaces.
    whence: bool,
    /// MACs or the EtherType, so that Ethernet values alone make a record.
    link: bool,
    /// Fields of the datagram's header.
    export: bool,
    /// How datagrams are taken.
    reading: Reading,
}

/// A set of formats of extended records, as bits.
#[derive(Clone, Copy, Debug)]
struct Extended(u32);

impl Extended {
    /// The bit of a format; none for those that are not read.
    #[inline]
    fn bit(format: u32) -> u32 {
        match format {
            format::SWITCH..=format::VNI_INGRESS => 1 << (format.wrapping_sub(format::SWITCH) & 31),
            _ => 0,
        }
    }

    /// Those that give any of `fields`.
    fn giving(fields: FieldSet) -> Self {
        let bits = GIVEN.iter().filter(|(_, given)| fields.any(*given));
        Self(bits.fold(0, |set, (format, _)| set | Self::bit(*format)))
    }

    #[inline]
    fn is_empty(self) -> bool {
        self.0 == 0
    }

    #[inline]
    fn has(self, format: u32) -> bool {
        self.0 & Self::bit(format) != 0
    }
}

/// Which fields each extended record gives.
const GIVEN: &[(u32, FieldSet)] = &[
    (
        format::SWITCH,
        FieldSet::of(&[Field::Vlan, Field::InVlan, Field::OutVlan, Field::Cos]),
    ),
    (
        format::ROUTER,
        FieldSet::of(&[
            Field::NextHop,
            Field::PeerDstIp,
            Field::SrcMask,
            Field::DstMask,
        ]),
    ),
    (
        format::GATEWAY,
        FieldSet::of(&[
            Field::SrcAs,
            Field::DstAs,
            Field::PeerSrcAs,
            Field::PeerDstAs,
            Field::PeerDstIp,
            Field::AsPath,
            Field::StdComm,
            Field::LocalPref,
        ]),
    ),
    (
        format::MPLS,
        FieldSet::of(&[
            Field::MplsLabelTop,
            Field::MplsLabelBottom,
            Field::MplsLabelStack,
        ]),
    ),
    (
        format::NAT,
        FieldSet::of(&[Field::PostNatSrcHost, Field::PostNatDstHost]),
    ),
    (
        format::VLAN_TUNNEL,
        FieldSet::of(&[Field::Vlan, Field::InVlan, Field::InCvlan, Field::Cos]),
    ),
    (
        format::NAT_PORT,
        FieldSet::of(&[Field::PostNatSrcPort, Field::PostNatDstPort]),
    ),
    (format::VNI_EGRESS, FieldSet::of(&[Field::Vxlan])),
    (format::VNI_INGRESS, FieldSet::of(&[Field::Vxlan])),
];

const WHENCE: FieldSet = FieldSet::of(&[Field::PeerSrcIp, Field::InIface, Field::OutIface]);
const LINK: FieldSet = FieldSet::of(&[Field::SrcMac, Field::DstMac, Field::Etype]);
const EXPORT: FieldSet = FieldSet::of(&[
    Field::ExportProtoVersion,
    Field::ExportProtoSeqno,
    Field::ExportProtoSysid,
    Field::TimestampArrival,
    Field::SamplingDirection,
    Field::FwdStatus,
    Field::Layout,
]);

impl Want {
    fn new(setup: &Setup) -> Self {
        let fields = setup.wanted;
        Self {
            fields,
            header: HeaderPlan::new(fields).only_ip(setup.reading.only_ip),
            extended: Extended::giving(fields),
            labels: fields.has(Field::MplsLabelStack),
            whence: fields.any(WHENCE),
            link: fields.any(LINK),
            export: fields.any(EXPORT),
            reading: setup.reading,
        }
    }
}

/// What a datagram's header says about all of its samples.
struct Context<'a> {
    frame: &'a Frame<'a>,
    agent: Ip,
    /// Number of the agent among those followed.
    id: u32,
    sub_agent: u32,
    sequence: u32,
}

/// Fields that flow samples can supply.
pub const GIVES: FieldSet = HEADERS.union(FieldSet::of(&[
    Field::AsPath,
    Field::DstAs,
    Field::DstMask,
    Field::ExportProtoSeqno,
    Field::ExportProtoSysid,
    Field::ExportProtoVersion,
    Field::FwdStatus,
    Field::InIface,
    Field::Layout,
    Field::LocalPref,
    Field::NextHop,
    Field::OutIface,
    Field::OutVlan,
    Field::PeerDstAs,
    Field::PeerDstIp,
    Field::PeerSrcAs,
    Field::PeerSrcIp,
    Field::PostNatDstHost,
    Field::PostNatDstPort,
    Field::PostNatSrcHost,
    Field::PostNatSrcPort,
    Field::SamplingDirection,
    Field::SamplingRate,
    Field::SrcAs,
    Field::SrcMask,
    Field::StdComm,
    Field::TimestampArrival,
]));

/// Bytes that the stores of a decoder take.
pub fn memory(setup: &Setup) -> usize {
    agent::memory(setup.exporters_max)
}

/// Decodes sFlow 5 datagrams.
pub struct SflowDecoder {
    want: Want,
    agents: Agents,
    text: Vec<u8>,
    /// Primitives of the configuration.
    pointers: Option<Pointers>,
    /// The protocol of headers whose usual frames take the short way; none where the places of
    /// headers are asked for.
    short: u32,
}

impl SflowDecoder {
    /// Takes all the memory it will ever take.
    pub fn new(setup: &Setup) -> Self {
        let pointers = Pointers::new(setup);
        Self {
            want: Want::new(setup),
            short: match pointers {
                None => protocol::ETHERNET,
                Some(_) => u32::MAX,
            },
            agents: Agents::new(setup.exporters_max),
            text: Vec::with_capacity(Sym::LEN_MAX),
            pointers,
        }
    }

    /// One sample of any kind. An error drops it.
    #[inline]
    fn sample(
        &mut self,
        context: &Context<'_>,
        sample: &Sample<'_>,
        out: &mut Emit<'_>,
    ) -> Result<(), Reason> {
        let flow = match sample.format {
            sample::FLOW => FlowSample::parse(sample.body)?,
            sample::FLOW_EXPANDED => FlowSample::parse_expanded(sample.body)?,
            _ => return pass_over(sample, out),
        };
        self.flow(context, &flow, out)
    }

    /// One flow sample. Most have a header that parses and nothing else that is wanted; those are
    /// done here, the others in [`rich`](Self::rich).
    #[inline]
    fn flow(
        &mut self,
        context: &Context<'_>,
        sample: &FlowSample<'_>,
        out: &mut Emit<'_>,
    ) -> Result<(), Reason> {
        self.account(context.id, sample, out);
        let want = &self.want;
        let header = match seen::header_alone(sample.records, want.extended)? {
            Some(header) => header,
            None => return self.rich(context, sample, out),
        };
        let length = header.frame_length.saturating_sub(header.stripped);
        if header.protocol == self.short
            && (self.usual::<V4>(context, sample, &header, length, out)
                || self.usual::<V6>(context, sample, &header, length, out))
        {
            return Ok(());
        }
        if let Some(start) = seen::start(header.protocol)
            && let Ok(packet) = &want.header.parse(start, header.header, length)
            && want.header.keeps(packet)
        {
            let stack = if want.labels {
                want.header.stack(packet, &mut out.symbols())
            } else {
                None
            };
            let record = out.slot();
            let bytes = if want.reading.frame_bytes {
                header.frame_length
            } else {
                packet.bytes
            };
            count(record, sample, bytes);
            if want.whence {
                whence(record, context, sample);
            }
            if want.export {
                export(record, context, sample);
            }
            want.header.fill(record, packet, stack);
            if let Some(pointers) = &self.pointers {
                pointers.put_last(start, header.header, packet, out);
            }
            return Ok(());
        }
        self.rich(context, sample, out)
    }

    /// A sample of the usual Ethernet frame; false when it is not one.
    #[inline(always)]
    fn usual<const IP: usize>(
        &self,
        context: &Context<'_>,
        sample: &FlowSample<'_>,
        header: &RawHeader<'_>,
        length: u32,
        out: &mut Emit<'_>,
    ) -> bool {
        let want = &self.want;
        let view = Plain::<IP>::of(header.header, length);
        let Some(plain) = &view else {
            return false;
        };
        if !want.header.suits(plain) {
            return false;
        }
        let record = out.slot();
        let bytes = if want.reading.frame_bytes {
            header.frame_length
        } else {
            plain.bytes()
        };
        count(record, sample, bytes);
        if want.whence {
            whence(record, context, sample);
        }
        if want.export {
            export(record, context, sample);
        }
        want.header.fill_plain(record, plain);
        true
    }

    /// A flow sample with any records. Everything is read before the record is taken, so nothing
    /// has to be undone.
    #[inline(never)]
    fn rich(
        &mut self,
        context: &Context<'_>,
        sample: &FlowSample<'_>,
        out: &mut Emit<'_>,
    ) -> Result<(), Reason> {
        let want = self.want;
        let mut seen = Seen::default();
        seen.read(sample.records, &want)?;
        let described = seen.describe(&want)?;
        let stack = match &described {
            Described::Packet(packet) => want.header.stack(packet, &mut out.symbols()),
            _ => None,
        };
        let texts = self.texts(&seen, out);
        let record = out.slot();
        count(
            record,
            sample,
            seen.bytes(&described, want.reading.frame_bytes),
        );
        whence(record, context, sample);
        if want.export {
            export(record, context, sample);
        }
        seen.put_extended(record, want.reading.use_next_hop);
        texts.put(record);
        match &described {
            Described::Packet(packet) => want.header.fill(record, packet, stack),
            Described::Inet(inet) => seen::put_inet(record, inet),
            Described::Ethernet(ethernet) => seen::put_ethernet(record, ethernet),
        }
        if let (Some(pointers), Described::Packet(packet)) = (&self.pointers, &described)
            && let Some((start, bytes)) = seen.sampled()
        {
            pointers.put_last(start, bytes, packet, out);
        }
        Ok(())
    }

    /// What the agent says it lost, and what it has seen.
    #[inline]
    fn account(&mut self, agent: u32, sample: &FlowSample<'_>, out: &mut Emit<'_>) {
        let totals = Totals {
            sequence: sample.sequence,
            pool: sample.pool,
            drops: sample.drops,
        };
        let growth = self.agents.sample(agent, sample.source, totals);
        let ledger = &mut *out.ledger;
        ledger.agent_pool = ledger.agent_pool.wrapping_add(u64::from(growth.pool));
        ledger.agent_lost = ledger.agent_lost.wrapping_add(u64::from(growth.drops));
        if growth.evicted {
            out.drop(Reason::ExporterStore, 0);
        }
    }

    /// Values of variable length in extended records, which only few configurations want.
    fn texts(&mut self, seen: &Seen<'_>, out: &mut Emit<'_>) -> Texts {
        let mut texts = Texts::default();
        let fields = self.want.fields;
        if let Some(gateway) = &seen.gateway {
            if fields.has(Field::AsPath) {
                text::path(gateway.path, &mut self.text);
                texts.path = out.intern(&self.text);
            }
            if fields.has(Field::StdComm) {
                text::communities(gateway.communities, &mut self.text);
                texts.communities = out.intern(&self.text);
            }
        }
        if fields.has(Field::MplsLabelStack) {
            text::labels(seen.labels(), &mut self.text);
            texts.labels = out.intern(&self.text);
        }
        texts
    }
}

impl Decoder for SflowDecoder {
    fn decode(&mut self, frame: &Frame<'_>, out: &mut Emit<'_>) -> Result<(), wire::Error> {
        let datagram = Datagram::parse(frame.bytes)?;
        let agent = datagram.agent.unwrap_or_else(|| frame.from.ip.into());
        let Datagram {
            sub_agent,
            sequence,
            uptime,
            mut samples,
            ..
        } = datagram;
        let gap = self.agents.datagram(agent, sub_agent, sequence, uptime);
        out.ledger.sequence_lost = out.ledger.sequence_lost.wrapping_add(u64::from(gap.lost));
        if gap.evicted {
            out.drop(Reason::ExporterStore, 0);
        }
        let context = Context {
            frame,
            agent: match self.want.reading.ignore_exporter_address {
                true => frame.from.ip.into(),
                false => agent,
            },
            id: gap.agent,
            sub_agent,
            sequence,
        };
        loop {
            let left = samples.left();
            let Some(sample) = samples.next() else { break };
            let sample = match sample {
                Ok(sample) => sample,
                Err(e) => {
                    // What stands before it has been used.
                    out.drop(e.into(), left.saturating_add(frame.missing()));
                    break;
                }
            };
            if let Err(reason) = self.sample(&context, &sample, out) {
                out.drop(reason, sample.body.left());
            }
        }
        Ok(())
    }

    fn usage(&self) -> Vec<(&'static str, usize, usize)> {
        let [agents, sources] = self.agents.usage();
        vec![
            ("sflow_agents", agents.0, agents.1),
            ("sflow_sources", sources.0, sources.1),
        ]
    }
}

/// Counts a sample that makes no record.
fn pass_over(sample: &Sample<'_>, out: &mut Emit<'_>) -> Result<(), Reason> {
    match sample.format {
        sample::COUNTER => drop(CounterSample::parse(sample.body)?),
        sample::COUNTER_EXPANDED => drop(CounterSample::parse_expanded(sample.body)?),
        _ => {}
    }
    out.ledger.passed_over = out.ledger.passed_over.wrapping_add(1);
    Ok(())
}

/// Symbols of a record's texts; empty where there is none.
#[derive(Clone, Copy, Default)]
struct Texts {
    path: Sym,
    communities: Sym,
    labels: Sym,
}

impl Texts {
    #[inline]
    fn put(self, record: &mut FlowRecord) {
        if self.path != Sym::EMPTY {
            record.set_as_path(self.path);
        }
        if self.communities != Sym::EMPTY {
            record.set_std_comm(self.communities);
        }
        if self.labels != Sym::EMPTY {
            record.set_mpls_label_stack(self.labels);
        }
    }
}

/// What every record has: one packet of so many bytes, and one out of how many it is.
#[inline]
fn count(record: &mut FlowRecord, sample: &FlowSample<'_>, bytes: u32) {
    record.packets = 1;
    record.flows = 1;
    record.bytes = u64::from(bytes);
    if sample.rate != 0 {
        record.set_sampling_rate(sample.rate);
    }
}

/// Who sampled it, between which interfaces. A packet that was discarded, sent to several
/// interfaces, or begins or ends in the device has no interface on that side: zero.
#[inline]
fn whence(record: &mut FlowRecord, context: &Context<'_>, sample: &FlowSample<'_>) {
    record.set_peer_src_ip(context.agent);
    record.set_in_iface(sample.input.index());
    record.set_out_iface(sample.output.index());
}

/// Fields about the export itself. The direction is known when the source is one of the two
/// interfaces; a discarded packet has the forwarding status "dropped, unknown" of RFC 7270.
fn export(record: &mut FlowRecord, context: &Context<'_>, sample: &FlowSample<'_>) {
    record.set_export_proto_version(VERSION as u16);
    record.set_export_proto_seqno(context.sequence);
    record.set_export_proto_sysid(context.sub_agent);
    record.set_timestamp_arrival(context.frame.time);
    record.set_layout(sample.format);
    let source = if sample.source.class == 0 {
        sample.source.index
    } else {
        0
    };
    record.set_sampling_direction(match source {
        0 => b'u',
        index if index == sample.input.index() => b'i',
        index if index == sample.output.index() => b'e',
        _ => b'u',
    });
    if let Interface::Discarded(_) = sample.output.interface() {
        record.set_fwd_status(128);
    }
}

#[cfg(test)]
#[allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects
)]
mod tests;
