//! Conditions of map rows, from keys and values to what an [`Index`](super::index) can answer.

use super::filter::Filter;
use super::index::{Conditions, Like, Test};
use super::map::{Item, Role, Row, Value};
use super::pattern::Pattern;
use crate::base::addr::{Ip, Prefix};
use crate::record::{Field, FieldSet, RecordKind};
use crate::source::Link;
use std::collections::HashMap;
use std::sync::Arc;

/// What can be asked of records, and filters compiled so far.
pub struct Judge {
    /// Fields that the records may have.
    given: FieldSet,
    /// Who gives them, for messages.
    giver: String,
    filters: HashMap<String, Arc<Filter>>,
}

/// Why a row can not be used, and the column of the reason.
pub type Refusal = (u32, String);

const VERSION: Field = Field::ExportProtoVersion;
const DOMAIN: Field = Field::ExportProtoSysid;

/// Bits of a route distinguisher that tell one from another: the four above say where it is from.
const DISTINGUISHER: u64 = u64::MAX >> 4;

impl Judge {
    /// For records of which `giver` gives the fields `given`.
    pub fn new(given: FieldSet, giver: &str) -> Self {
        Self {
            given,
            giver: giver.into(),
            filters: HashMap::new(),
        }
    }

    /// The conditions of a row.
    ///
    /// # Errors
    /// What hinders, with the column of the value that does.
    pub fn conditions(&mut self, row: &Row) -> Result<Conditions, Refusal> {
        let mut all = Conditions::none();
        for item in &row.items {
            if matches!(item.key.role, Role::Match | Role::MatchOrNot) {
                self.add(item, &mut all)
                    .map_err(|why| (item.column, format!("`{}` {why}", item.key.name)))?;
            }
        }
        Ok(all)
    }

    fn add(&mut self, item: &Item, all: &mut Conditions) -> Result<(), String> {
        if let (Value::Text(text), "filter") = (&item.value, item.key.name) {
            all.tests.push(Test::Filter(self.filter(text)?));
            return Ok(());
        }
        let like = self.like(item)?;
        if item.negated {
            all.tests.push(Test::Not(like));
        } else if !all.like(&like) {
            return Err("contradicts what stands before it".into());
        }
        Ok(())
    }

    /// What records may be like; what these records can not be like is left out.
    fn like(&self, item: &Item) -> Result<Like, String> {
        let mut like = like(item)?;
        let needs = like.any.first().map_or(FieldSet::EMPTY, Pattern::needs);
        like.any.retain(|pattern| self.given.all(pattern.needs()));
        match needs.minus(self.given).iter().next() {
            Some(_) if like.any.is_empty() && item.key.name == "local_pref" => Err(ROUTES.into()),
            Some(field) if like.any.is_empty() => {
                let (name, giver) = (field.info().name, &self.giver);
                Err(format!("can not be told: {giver} gives no `{name}`"))
            }
            _ => Ok(like),
        }
    }

    /// A filter for records, compiled once for all rows that have it.
    fn filter(&mut self, text: &str) -> Result<Arc<Filter>, String> {
        if let Some(known) = self.filters.get(text) {
            return Ok(known.clone());
        }
        let filter = Filter::compile(text, Link::Datagram).map_err(|e| format!("is none: {e}"))?;
        let filter = Arc::new(filter);
        self.filters.insert(text.into(), filter.clone());
        Ok(filter)
    }

    /// Bytes that the filters take, nearly.
    pub fn size(&self) -> usize {
        let each = |(text, filter): (&String, &Arc<Filter>)| text.len() + filter.size();
        self.filters.iter().map(each).sum()
    }
}

/// The bit of [`Field::Layout`] for counters of both directions.
const BOTH_WAYS: u64 = 1 << 16;

const NO_TYPE: &str = "is no type of samples; it takes flow, flow-ipv4, flow-ipv6, \
                       flow-mpls-ipv4, flow-mpls-ipv6, event, option, or ENTERPRISE:FORMAT of sFlow";
const KEEPS_NOT: &str = "can not be told: weir does not keep it";
const ROUTES: &str = "needs routes from BGP or BMP; weir has no routing plane yet";

/// All addresses of IPv4.
fn four() -> Prefix {
    Prefix::new(Ip::v4([0; 4]), 0)
}

/// What records are like that fulfil a condition; the first pattern is the usual one.
fn like(item: &Item) -> Result<Like, String> {
    let key = item.key.name;
    let any = match &item.value {
        Value::Number(n) => numbers(key, *n)?,
        Value::Flag(is) => match key {
            "is_multicast" => vec![Pattern::multicast(Field::DstMac, *is)],
            "is_nel" => vec![Pattern::has(Field::NatEvent, *is)],
            "is_nsel" => vec![Pattern::has(Field::FwEvent, *is)],
            "is_bi_flow" => both_ways(*is),
            _ => return Err(KEEPS_NOT.into()),
        },
        Value::Prefix(prefix) => {
            let field = match key {
                "ip" => Field::PeerSrcIp,
                "src_net" => Field::SrcHost,
                "dst_net" => Field::DstHost,
                _ => return Err(KEEPS_NOT.into()),
            };
            // Addresses of IPv4 lie inside by their bits and are none of them.
            let but = prefix.spans_v4().then(|| Pattern::prefix(field, four()));
            let any = vec![Pattern::prefix(field, *prefix)];
            return Ok(Like { any, but });
        }
        Value::Address(ip) => vec![match key {
            "nexthop" => Pattern::address(Field::NextHop, *ip),
            "bgp_nexthop" => Pattern::address(Field::PeerDstIp, *ip),
            _ => return Err(KEEPS_NOT.into()),
        }],
        Value::Mac(mac) => vec![match key {
            "src_mac" => Pattern::mac(Field::SrcMac, *mac),
            "dst_mac" => Pattern::mac(Field::DstMac, *mac),
            _ => return Err(KEEPS_NOT.into()),
        }],
        Value::Text(word) if key == "sample_type" => return kinds(word),
        _ => return Err(ROUTES.into()),
    };
    Ok(Like { any, but: None })
}

/// Keys that take a number.
fn numbers(key: &str, n: u64) -> Result<Vec<Pattern>, String> {
    let field = match key {
        "in" => Field::InIface,
        "out" => Field::OutIface,
        "vlan" => Field::Vlan,
        "cvlan" => Field::InCvlan,
        "ip_proto" => Field::Proto,
        "src_port" => Field::SrcPort,
        "dst_port" => Field::DstPort,
        "tcp_flags" => Field::TcpFlags,
        "fwd_status" => Field::FwdStatus,
        "mpls_vpn_id_in" => Field::IngressVrfId,
        "mpls_vpn_id_out" => Field::EgressVrfId,
        "mpls_pw_id" => Field::MplsPwId,
        "mpls_label_bottom" => Field::MplsLabelBottom,
        "src_as" => Field::SrcAs,
        "dst_as" => Field::DstAs,
        "peer_src_as" => Field::PeerSrcAs,
        "peer_dst_as" => Field::PeerDstAs,
        "local_pref" => Field::LocalPref,
        // NetFlow 5 has no templates, and samples of sFlow have no number of one.
        "flowset_id" => return Ok(templates(n).to_vec()),
        "direction" => {
            let letter = if n == 0 { b'i' } else { b'e' };
            return Ok(vec![Pattern::number(
                Field::SamplingDirection,
                letter.into(),
            )]);
        }
        "mpls_vpn_id" => {
            let sides = [Field::IngressVrfId, Field::EgressVrfId];
            return Ok(sides.map(|side| Pattern::number(side, n)).to_vec());
        }
        "mpls_vpn_rd" => {
            return Ok(vec![Pattern::masked(Field::MplsVpnRd, DISTINGUISHER, n)]);
        }
        "engine_type" | "engine_id" | "source_id" | "agent_id" => return Ok(engines(key, n)),
        "src_local_pref" => return Err(ROUTES.into()),
        _ => return Err(KEEPS_NOT.into()),
    };
    Ok(vec![Pattern::number(field, n)])
}

/// Who of the exporter sent it: an engine of NetFlow v5, whose type is the byte above its number,
/// the source of v9, the domain of IPFIX, the sub-agent of sFlow 5.
fn engines(key: &str, n: u64) -> Vec<Pattern> {
    let of = |version: u64, mask: u64, value: u64| {
        Pattern::number(VERSION, version).and(&Pattern::masked(DOMAIN, mask, value))
    };
    let all = u64::MAX;
    let engine = |mask, shift: u32| (n <= 0xff).then(|| of(5, mask, n << shift)).flatten();
    let patterns = match key {
        "engine_type" => vec![engine(0xff00, 8)],
        "agent_id" => vec![of(5, all, n)],
        _ => vec![
            of(10, all, n),
            of(9, all, n),
            engine(0xff, 0),
            of(5, all, n),
        ],
    };
    patterns.into_iter().flatten().collect()
}

/// Records of a template.
fn templates(n: u64) -> [Pattern; 2] {
    [9, 10].map(|version| {
        let own = Pattern::masked(Field::Layout, 0xffff, n);
        own.and(&Pattern::number(VERSION, version)).unwrap_or(own)
    })
}

/// Records that count bytes of both directions, or others.
fn both_ways(is: bool) -> Vec<Pattern> {
    let bit = |is| Pattern::masked(Field::Layout, BOTH_WAYS, if is { BOTH_WAYS } else { 0 });
    if is {
        return vec![bit(true)];
    }
    vec![bit(false), Pattern::has(Field::Layout, false)]
}

/// The format of an sFlow sample as `ENTERPRISE:FORMAT`.
fn sample_format(word: &str) -> Option<Pattern> {
    let (enterprise, format) = word.split_once(':')?;
    let (enterprise, format): (u64, u64) = (enterprise.parse().ok()?, format.parse().ok()?);
    let fits = enterprise < 1 << 20 && format < 1 << 12;
    let own = Pattern::number(Field::Layout, enterprise << 12 | format);
    fits.then(|| own.and(&Pattern::number(VERSION, 5)))
        .flatten()
}

/// Words for what kind of record it is.
fn kinds(word: &str) -> Result<Like, String> {
    let kind = |kind: RecordKind| Pattern::number(Field::RecordKind, kind as u64);
    // Decoders say it of records that are no traffic alone.
    let traffic = [
        Pattern::has(Field::RecordKind, false),
        kind(RecordKind::Traffic),
    ];
    let like = |pattern: Pattern| traffic.iter().filter_map(|t| t.and(&pattern)).collect();
    let any = match word {
        // What pmacct's words for labelled traffic mean is what `flow` means.
        "flow" | "flow-mpls-ipv4" | "flow-mpls-ipv6" => traffic.to_vec(),
        "flow-ipv4" => like(Pattern::prefix(Field::SrcHost, four())),
        "flow-ipv6" => like(Pattern::has(Field::SrcHost, true)),
        "event" => vec![kind(RecordKind::Event)],
        "option" => vec![kind(RecordKind::Options)],
        _ => vec![sample_format(word).ok_or(NO_TYPE)?],
    };
    Ok(Like {
        any,
        but: (word == "flow-ipv6").then(|| Pattern::prefix(Field::SrcHost, four())),
    })
}
