//! The same answers as a plain walk over all rows gives, which is what the manual says.

#![cfg(feature = "rule-map")]

use super::test::{everything, ip, shared};
use super::*;
use crate::base::addr::Prefix;
use crate::rule::map::Item;
use proptest::prelude::*;
use proptest::sample::select;

/// Conditions that meet each other often.
const CONDITIONS: &[&str] = &[
    "ip=192.0.2.1",
    "ip=192.0.2.2",
    "ip=192.0.2.77",
    "ip=2001:db8::1",
    "ip=192.0.2.0/24",
    "ip=192.0.2.0/30",
    "ip=0.0.0.0/0",
    "ip=::/0",
    "ip=2001:db8::/32",
    "in=1",
    "in=2",
    "in=0",
    "in=3",
    "in=-1",
    "out=1",
    "out=-2",
    "vlan=0",
    "vlan=1",
    "vlan=-1",
    "src_net=10.0.0.0/8",
    "src_net=10.0.0.0/9",
    "src_net=-10.0.0.0/9",
    "src_net=::/0",
    "dst_net=10.128.0.0/9",
    "dst_net=2001:db8::1",
    "ip_proto=6",
    "ip_proto=-6",
    "dst_port=80",
    "dst_port=443",
    "dst_port=0",
    "tcp_flags=2",
    "is_multicast=true",
    "is_multicast=-true",
    "is_nel=true",
    "is_nel=false",
    "is_nsel=-true",
    "mpls_vpn_id=1",
    "mpls_vpn_id=-1",
    "direction=0",
    "direction=-1",
    "source_id=1",
    "engine_id=1",
    "engine_type=1",
    "agent_id=-1",
    "sample_type=flow",
    "sample_type=event",
    "sample_type=-flow-ipv6",
    "mpls_vpn_rd=0:1:1",
];

const ACTIONS: &[&str] = &[
    "set_tag=1",
    "set_tag=6 stack=sum",
    "set_tag=6 stack=or",
    "set_tag2=2",
    "set_label=a",
    "set_label=b",
    "set_tos=4",
    "set_tag=1 set_tos=8",
];

const FLOWS: &[&str] = &[
    "",
    "",
    "",
    "",
    "jeq=next",
    "jeq=x",
    "jeq=y",
    "label=x",
    "label=y",
    "label=x jeq=y",
];

fn row() -> impl Strategy<Value = String> {
    let conditions = prop::collection::vec(select(CONDITIONS), 0..4);
    (conditions, select(ACTIONS), select(FLOWS)).prop_map(|(mut conditions, action, flow)| {
        let key = |c: &&str| c.split('=').next().unwrap_or_default().to_string();
        conditions.sort_by_key(key);
        conditions.dedup_by_key(|c| key(c));
        // Two words for one thing exclude each other.
        if conditions.contains(&"source_id=1") {
            conditions.retain(|c| *c != "engine_id=1");
        }
        format!("{action} {flow} {}", conditions.join(" "))
    })
}

const FIELDS: &[Field] = &[
    Field::PeerSrcIp,
    Field::InIface,
    Field::OutIface,
    Field::Vlan,
    Field::SrcHost,
    Field::DstHost,
    Field::Proto,
    Field::DstPort,
    Field::TcpFlags,
    Field::DstMac,
    Field::NatEvent,
    Field::FwEvent,
    Field::IngressVrfId,
    Field::EgressVrfId,
    Field::SamplingDirection,
    Field::ExportProtoVersion,
    Field::RecordKind,
    Field::MplsVpnRd,
];

/// Which of a few values a record has in each of the fields.
fn values() -> impl Strategy<Value = Vec<Option<usize>>> {
    prop::collection::vec(prop::option::weighted(0.7, 0..4usize), FIELDS.len())
}

fn record(values: &[Option<usize>]) -> FlowRecord {
    let mut r = FlowRecord::new();
    for (field, n) in FIELDS.iter().zip(values) {
        let Some(n) = *n else { continue };
        let addresses = ["10.1.0.1", "10.200.0.1", "2001:db8::1", "192.0.2.1"];
        match field {
            Field::PeerSrcIp => {
                let exporters = ["192.0.2.1", "192.0.2.2", "192.0.2.77", "2001:db8::1"];
                r.set_peer_src_ip(ip(exporters[n]));
            }
            Field::InIface => r.set_in_iface(n as u32),
            Field::OutIface => r.set_out_iface(n as u32),
            Field::Vlan => r.set_vlan(n as u16),
            Field::SrcHost => r.set_src_host(ip(addresses[n])),
            Field::DstHost => r.set_dst_host(ip(addresses[n])),
            Field::Proto => r.set_proto([6, 17, 1, 0][n]),
            Field::DstPort => r.set_dst_port([80, 443, 0, 1][n]),
            Field::TcpFlags => r.set_tcp_flags([0, 2, 3, 18][n]),
            Field::DstMac => r.set_dst_mac(crate::base::addr::Mac([n as u8, 0, 0, 0, 0, 1])),
            Field::NatEvent => r.set_nat_event(n as u8),
            Field::FwEvent => r.set_fw_event(n as u8),
            Field::IngressVrfId => r.set_ingress_vrf_id(n as u32),
            Field::EgressVrfId => r.set_egress_vrf_id(n as u32),
            Field::SamplingDirection => r.set_sampling_direction([b'i', b'e', b'u', 0][n]),
            Field::ExportProtoVersion => {
                r.set_export_proto_version([5, 9, 10, 5][n]);
                r.set_export_proto_sysid([0x0101, 1, 1, 2][n]);
            }
            _ => r.set_mpls_vpn_rd([1 << 32 | 1, 4 << 60 | 1 << 32 | 1, 2, 0][n]),
        }
    }
    r
}

/// Whether one condition holds, as the manual says it.
fn holds(item: &Item, r: &FlowRecord) -> bool {
    let has = |field| r.present.has(field);
    let number = |field, value: u64, want: u64| has(field) && value == want;
    let within = |field, address, prefix: &Prefix| has(field) && prefix.holds(address);
    let (version, id) = (r.export_proto_version(), u64::from(r.export_proto_sysid()));
    let known = has(Field::ExportProtoVersion);
    let event = has(Field::RecordKind) && r.record_kind() == 1;
    let traffic = !has(Field::RecordKind) || r.record_kind() == 0;
    let is = match (item.key.name, &item.value) {
        ("ip", Value::Prefix(p)) => within(Field::PeerSrcIp, r.peer_src_ip(), p),
        ("src_net", Value::Prefix(p)) => within(Field::SrcHost, r.src_host(), p),
        ("dst_net", Value::Prefix(p)) => within(Field::DstHost, r.dst_host(), p),
        ("in", Value::Number(n)) => number(Field::InIface, r.in_iface().into(), *n),
        ("out", Value::Number(n)) => number(Field::OutIface, r.out_iface().into(), *n),
        ("vlan", Value::Number(n)) => number(Field::Vlan, r.vlan().into(), *n),
        ("ip_proto", Value::Number(n)) => number(Field::Proto, r.proto().into(), *n),
        ("dst_port", Value::Number(n)) => number(Field::DstPort, r.dst_port().into(), *n),
        ("tcp_flags", Value::Number(n)) => number(Field::TcpFlags, r.tcp_flags().into(), *n),
        ("is_multicast", Value::Flag(f)) => has(Field::DstMac) && (r.dst_mac().0[0] & 1 == 1) == *f,
        ("is_nel", Value::Flag(f)) => has(Field::NatEvent) == *f,
        ("is_nsel", Value::Flag(f)) => has(Field::FwEvent) == *f,
        ("mpls_vpn_id", Value::Number(n)) => {
            number(Field::IngressVrfId, r.ingress_vrf_id().into(), *n)
                || number(Field::EgressVrfId, r.egress_vrf_id().into(), *n)
        }
        ("direction", Value::Number(n)) => {
            let letter = [b'i', b'e'][*n as usize];
            has(Field::SamplingDirection) && r.sampling_direction() == letter
        }
        ("engine_type", Value::Number(n)) => known && version == 5 && id >> 8 & 0xff == *n,
        ("agent_id", Value::Number(n)) => known && version == 5 && id == *n,
        ("source_id" | "engine_id", Value::Number(n)) => {
            known && (id == *n || version == 5 && id & 0xff == *n)
        }
        ("sample_type", Value::Text(word)) => match word.as_str() {
            "flow" => traffic,
            "event" => event,
            _ => traffic && has(Field::SrcHost) && r.src_host().as_v4().is_none(),
        },
        ("mpls_vpn_rd", Value::Number(n)) => {
            has(Field::MplsVpnRd) && r.mpls_vpn_rd() << 4 == n << 4
        }
        (key, value) => panic!("{key} {value:?}"),
    };
    is != item.negated
}

/// Tag, second tag, labels and ToS by a walk over the rows.
fn walk(rows: &[Row], r: &FlowRecord) -> (u64, u64, String, u8) {
    let (mut tags, mut labels, mut tos) = ([0u64; 2], Vec::new(), r.tos());
    let conditions = |row: &Row| {
        let role = |i: &&Item| !matches!(i.key.role, crate::rule::map::Role::Set);
        let flows = ["jeq", "label", "stack"];
        let mut items = row.items.iter().filter(role);
        items.all(|i| flows.contains(&i.key.name) || holds(i, r))
    };
    let mut at = 0;
    while let Some(row) = rows.get(at) {
        if !conditions(row) {
            at += 1;
            continue;
        }
        for item in &row.items {
            match (item.key.name, &item.value) {
                ("set_tag", Value::Number(n)) => {
                    tags[0] = match row.item("stack").map(|i| &i.value) {
                        Some(Value::Word("sum")) => tags[0] + n,
                        Some(_) => tags[0] | n,
                        None => *n,
                    }
                }
                ("set_tag2", Value::Number(n)) => tags[1] = *n,
                ("set_label", Value::Text(text)) => labels.push(text.clone()),
                ("set_tos", Value::Number(n)) => tos = *n as u8,
                _ => {}
            }
        }
        let Some(to) = row.text("jeq") else { break };
        let below =
            (at + 1..rows.len()).find(|n| to == "next" || rows[*n].text("label") == Some(to));
        match below {
            Some(n) => at = n,
            None => break,
        }
    }
    (tags[0], tags[1], labels.join(","), tos)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(150))]

    #[test]
    fn the_index_finds_what_a_walk_over_all_rows_finds(
        rows in prop::collection::vec(row(), 1..40),
        records in prop::collection::vec(values(), 32),
    ) {
        let symbols = Arc::new(Interner::new(1 << 16));
        let mut compiler = Compiler::new(Judge::new(everything(), "x"), symbols.clone());
        // Jumps that lead nowhere are told of and stay rows.
        let (mut complaints, mut read) = (Complaints::default(), Vec::new());
        for (n, text) in rows.iter().enumerate() {
            let refused = compiler.refused();
            compiler.row(n as u32 + 1, 1, text, &mut complaints);
            if compiler.refused() == refused {
                read.extend(kind("tags").unwrap().row(1, 1, text, &mut complaints));
            }
        }
        for problem in complaints.problems() {
            prop_assert!(problem.message.contains("contradicts"), "{}", problem.message);
        }
        let mut tagger = Tagger::new(shared(compiler.finish(&mut complaints)), 0, 1);
        let records: Vec<FlowRecord> = records.iter().map(|values| record(values)).collect();
        for chunk in records.chunks(Batch::SIZE) {
            let mut batch = Batch::new(everything());
            chunk.iter().for_each(|r| *batch.slot() = *r);
            tagger.enrich(&mut batch);
            for (before, after) in chunk.iter().zip(batch.records()) {
                let mut label = Vec::new();
                symbols.read(after.label(), &mut label);
                let label = String::from_utf8(label).unwrap();
                let got = (after.tag(), after.tag2(), label, after.tos());
                prop_assert_eq!(got, walk(&read, before), "{:#?}", rows);
            }
        }
    }
}
