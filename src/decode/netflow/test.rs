//! Datagrams in, records out.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects
)]

mod bad;
mod custom;
mod option;
mod value;

use super::*;
use crate::base::intern::{Interner, Sym, SymCache};
use crate::base::ledger::Intake;
use crate::base::time::SECOND;
use crate::record::Batch;
use crate::source::Peer;
use std::net::{IpAddr, Ipv4Addr};

/// Seconds since 1970 in every header made here.
const EXPORTED: u32 = 1_700_000_000;
/// Uptime in every v9 header made here, milliseconds.
const UPTIME: u32 = 100_000;

/// A decoder with the pipeline around it.
struct Rig {
    decoder: NetflowDecoder,
    ledger: Intake,
    symbols: Interner,
    cache: SymCache,
    wanted: FieldSet,
    exporter: IpAddr,
    now: Nanos,
}

impl Rig {
    fn new(wanted: &[Field]) -> Self {
        Self::with(&Setup::new(FieldSet::of(wanted)))
    }

    fn with(setup: &Setup) -> Self {
        Self {
            decoder: NetflowDecoder::new(setup),
            ledger: Intake::default(),
            symbols: Interner::new(1 << 16),
            cache: SymCache::default(),
            wanted: setup.wanted,
            exporter: Ipv4Addr::new(192, 0, 2, 1).into(),
            now: Nanos(u64::from(EXPORTED) * SECOND),
        }
    }

    /// All records of one datagram.
    fn feed(&mut self, bytes: &[u8]) -> Vec<FlowRecord> {
        self.feed_cut(bytes, bytes.len() as u32)
    }

    /// All records of the begin of a datagram that had `wire_len` bytes.
    fn feed_cut(&mut self, bytes: &[u8], wire_len: u32) -> Vec<FlowRecord> {
        let mut all = Vec::new();
        let mut batch = Batch::new(self.wanted);
        let mut run = |batch: &mut Batch, _: &mut Intake| {
            all.extend_from_slice(batch.records());
            batch.clear();
        };
        let mut out = Emit::new(
            &mut batch,
            &mut run,
            &mut self.ledger,
            &self.symbols,
            &mut self.cache,
        );
        out.time = self.now;
        let from = Peer {
            ip: self.exporter,
            ..Peer::NONE
        };
        let (link, time) = (Link::Datagram, self.now);
        let frame = Frame {
            bytes,
            wire_len,
            link,
            time,
            from,
        };
        if let Err(e) = self.decoder.decode(&frame, &mut out) {
            out.drop(e.into(), bytes.len());
        }
        out.flush();
        all
    }

    fn text(&self, sym: Sym) -> String {
        let mut bytes = Vec::new();
        self.symbols.read(sym, &mut bytes);
        String::from_utf8(bytes).unwrap()
    }

    fn dropped(&self, reason: Reason) -> u64 {
        self.ledger.dropped(reason).units
    }
}

fn be(values: &[u16]) -> Vec<u8> {
    values.iter().flat_map(|v| v.to_be_bytes()).collect()
}

fn set(id: u16, body: &[u8]) -> Vec<u8> {
    let mut b = be(&[id, body.len() as u16 + 4]);
    b.extend_from_slice(body);
    b
}

/// A template record of IANA elements.
fn template(id: u16, fields: &[(u16, u16)]) -> Vec<u8> {
    let mut b = be(&[id, fields.len() as u16]);
    for (ie, len) in fields {
        b.extend(be(&[*ie, *len]));
    }
    b
}

/// An IPFIX options template record; the first `scopes` fields are scopes.
fn options_template(id: u16, scopes: u16, fields: &[(u16, u16)]) -> Vec<u8> {
    let mut b = be(&[id, fields.len() as u16, scopes]);
    for (ie, len) in fields {
        b.extend(be(&[*ie, *len]));
    }
    b
}

fn ipfix_at(sequence: u32, domain: u32, sets: &[Vec<u8>]) -> Vec<u8> {
    let body = sets.concat();
    let mut b = be(&[10, body.len() as u16 + 16]);
    for v in [EXPORTED, sequence, domain] {
        b.extend_from_slice(&v.to_be_bytes());
    }
    b.extend(body);
    b
}

fn ipfix(sets: &[Vec<u8>]) -> Vec<u8> {
    ipfix_at(0, 1, sets)
}

fn v9_at(sequence: u32, domain: u32, sets: &[Vec<u8>]) -> Vec<u8> {
    let mut b = be(&[9, sets.len() as u16]);
    for v in [UPTIME, EXPORTED, sequence, domain] {
        b.extend_from_slice(&v.to_be_bytes());
    }
    b.extend(sets.concat());
    b
}

fn v9(sets: &[Vec<u8>]) -> Vec<u8> {
    v9_at(0, 1, sets)
}

/// A v5 datagram of `count` equal records: 10.0.0.1:1000 → 192.0.2.7:443, 5 packets, 512 bytes.
fn v5_at(sequence: u32, count: u16) -> Vec<u8> {
    let mut b = be(&[5, count]);
    for v in [UPTIME, EXPORTED, 0, sequence] {
        b.extend_from_slice(&v.to_be_bytes());
    }
    b.extend(be(&[0x0102, 0x4064]));
    for _ in 0..count {
        b.extend([10, 0, 0, 1, 192, 0, 2, 7, 10, 0, 0, 254, 0, 3, 0, 4]);
        for v in [5u32, 512, 90_000, 95_000] {
            b.extend_from_slice(&v.to_be_bytes());
        }
        b.extend([
            0x03, 0xe8, 1, 0xbb, 0, 0x1b, 6, 0xb8, 0xfd, 0xe8, 0xfd, 0xe9, 24, 16, 0, 0,
        ]);
    }
    b
}

/// Addresses, ports, protocol, 32-bit counters: 21 bytes.
const FIVE: &[(u16, u16)] = &[(8, 4), (12, 4), (7, 2), (11, 2), (4, 1), (2, 4), (1, 4)];

/// A record of that template; the last byte of the source tells them apart.
fn five(n: u8) -> Vec<u8> {
    let mut b = vec![10, 0, 0, n, 192, 0, 2, 7, 0x30, 0x39, 1, 0xbb, 6];
    b.extend([0, 0, 0, n, 0, 0, 1, n]);
    b
}

const KEY: &[Field] = &[
    Field::SrcHost,
    Field::DstHost,
    Field::SrcPort,
    Field::DstPort,
    Field::Proto,
];

fn v4(a: u8, b: u8, c: u8, d: u8) -> Ip {
    Ip::v4([a, b, c, d])
}

#[test]
fn v5_records_come_out_whole() {
    let all: Vec<Field> = crate::record::FIELDS.iter().map(|i| i.field).collect();
    let mut rig = Rig::new(&all);
    let records = rig.feed(&v5_at(7, 2));
    assert_eq!(records.len(), 2);
    let r = &records[1];
    assert_eq!(
        (r.src_host(), r.dst_host()),
        (v4(10, 0, 0, 1), v4(192, 0, 2, 7))
    );
    assert_eq!(
        (r.src_port(), r.dst_port(), r.proto(), r.tos()),
        (1000, 443, 6, 0xb8)
    );
    assert_eq!((r.packets, r.bytes, r.flows), (5, 512, 1));
    assert_eq!((r.in_iface(), r.out_iface(), r.tcp_flags()), (3, 4, 0x1b));
    assert_eq!(
        (r.src_as(), r.dst_as(), r.src_mask(), r.dst_mask()),
        (65000, 65001, 24, 16)
    );
    assert_eq!(r.peer_dst_ip(), v4(10, 0, 0, 254));
    assert_eq!(r.peer_src_ip(), v4(192, 0, 2, 1));
    let base = u64::from(EXPORTED) * SECOND;
    assert_eq!(r.timestamp_start(), Nanos(base - 10 * SECOND));
    assert_eq!(r.timestamp_end(), Nanos(base - 5 * SECOND));
    assert_eq!((r.time, r.timestamp_export()), (rig.now, Nanos(base)));
    assert_eq!(
        (r.export_proto_version(), r.export_proto_sysid()),
        (5, 0x0102)
    );
    assert_eq!((r.export_proto_seqno(), r.sampling_rate()), (7, 100));
    assert_eq!(r.sampling_direction(), b'u');
    assert!(!r.present.has(Field::SrcMac));
    assert_eq!(rig.ledger.dropped_units(), 0);
}

#[test]
fn v9_and_ipfix_records_come_out_whole() {
    for make in [v9, ipfix] {
        let mut rig = Rig::new(KEY);
        let tpl = if make(&[])[1] == 9 { 0 } else { 2 };
        let data = [five(1), five(2), vec![0, 0, 0]].concat();
        let records = rig.feed(&make(&[set(tpl, &template(256, FIVE)), set(256, &data)]));
        assert_eq!(records.len(), 2);
        let r = &records[1];
        assert_eq!(
            (r.src_host(), r.dst_host()),
            (v4(10, 0, 0, 2), v4(192, 0, 2, 7))
        );
        assert_eq!((r.src_port(), r.dst_port(), r.proto()), (12345, 443, 6));
        assert_eq!((r.packets, r.bytes, r.flows), (2, 258, 1));
        assert_eq!(r.time.seconds(), u64::from(EXPORTED));
        assert!(r.present.all(FieldSet::of(KEY)));
        assert_eq!(rig.ledger.dropped_units(), 0);
    }
}

#[test]
fn templates_belong_to_exporter_domain_and_protocol() {
    let mut rig = Rig::new(KEY);
    let learn = ipfix(&[set(2, &template(256, FIVE))]);
    let data = [set(256, &five(1))];
    rig.feed(&learn);
    assert_eq!(rig.feed(&ipfix(&data)).len(), 1);
    assert_eq!(rig.feed(&ipfix_at(0, 2, &data)).len(), 0, "another domain");
    assert_eq!(rig.feed(&v9(&data)).len(), 0, "another protocol");
    rig.exporter = Ipv4Addr::new(192, 0, 2, 2).into();
    assert_eq!(rig.feed(&ipfix(&data)).len(), 0, "another exporter");
    assert_eq!(rig.dropped(Reason::NoTemplate), 3);
    let units = rig.ledger.dropped(Reason::NoTemplate);
    assert_eq!(units.bytes, 3 * 21);
}

#[test]
fn another_layout_replaces_and_a_withdrawal_is_ignored() {
    let mut rig = Rig::new(KEY);
    let data = set(256, &five(9));
    let mut turned = FIVE.to_vec();
    turned.swap(0, 1);
    assert_eq!(
        rig.feed(&ipfix(&[set(2, &template(256, FIVE)), data.clone()]))
            .len(),
        1
    );
    let again = rig.feed(&ipfix(&[set(2, &template(256, &turned)), data.clone()]));
    assert_eq!(again[0].dst_host(), v4(10, 0, 0, 9));
    assert_eq!(rig.decoder.templates.usage()[0], 1);
    // Anybody can forge these over UDP; of one template, then of all, each many times.
    let all = [be(&[256, 0]), be(&[2, 0]).repeat(4000)].concat();
    rig.feed(&ipfix(&[set(2, &all), set(3, &be(&[3, 0]))]));
    assert_eq!(rig.decoder.templates.usage()[0], 1);
    assert_eq!(rig.feed(&ipfix(&[data])).len(), 1);
}

#[test]
fn a_flood_of_templates_spares_those_in_use() {
    let mut setup = Setup::new(FieldSet::of(KEY));
    (setup.templates_max, setup.exporters_max) = (64, 16);
    let mut rig = Rig::with(&setup);
    let learn = ipfix(&[set(2, &template(256, FIVE)), set(256, &five(1))]);
    assert_eq!(rig.feed(&learn).len(), 1);
    let real = rig.exporter;
    for n in 0..20_000u32 {
        rig.exporter = Ipv4Addr::from(0x0a00_0000 + n).into();
        let id = 256 + (n % 1000) as u16;
        rig.feed(&ipfix_at(0, n, &[set(2, &template(id, FIVE))]));
    }
    let [used, most, bytes, room] = rig.decoder.templates.usage();
    assert!(used <= most && bytes <= room);
    assert!(rig.decoder.exporters.len() <= 16);
    assert!(rig.dropped(Reason::TemplateStore) > 19_000);
    rig.exporter = real;
    assert_eq!(rig.feed(&ipfix(&[set(256, &five(1))])).len(), 1);
}

#[test]
fn gaps_are_accounted_by_what_each_protocol_counts() {
    let mut rig = Rig::new(KEY);
    rig.feed(&v5_at(u32::MAX - 9, 10));
    rig.feed(&v5_at(5, 10));
    assert_eq!(rig.ledger.sequence_lost, 5, "v5 counts flows, and wraps");
    let mut rig = Rig::new(KEY);
    rig.feed(&v9_at(10, 1, &[set(0, &template(256, FIVE))]));
    rig.feed(&v9_at(13, 1, &[set(256, &[five(1), five(2)].concat())]));
    rig.feed(&v9_at(900, 2, &[]));
    assert_eq!(
        rig.ledger.sequence_lost, 2,
        "v9 counts datagrams of each source id"
    );
    rig.feed(&v9_at(11, 1, &[]));
    assert_eq!(rig.ledger.sequence_lost, 1, "one was late");
    let mut rig = Rig::new(KEY);
    rig.feed(&ipfix_at(
        100,
        1,
        &[set(2, &template(256, FIVE)), set(256, &five(1))],
    ));
    rig.feed(&ipfix_at(101, 1, &[set(256, &[five(1), five(2)].concat())]));
    assert_eq!(rig.ledger.sequence_lost, 0);
    rig.feed(&ipfix_at(107, 1, &[set(256, &five(1))]));
    assert_eq!(rig.ledger.sequence_lost, 4, "IPFIX counts data records");
    rig.feed(&ipfix_at(108, 1, &[set(999, &five(1))]));
    rig.feed(&ipfix_at(500, 1, &[set(256, &five(1))]));
    assert_eq!(
        rig.ledger.sequence_lost, 4,
        "what could not be counted is not guessed"
    );
}

#[test]
fn a_restart_decodes_at_once() {
    let mut rig = Rig::new(&[Field::SrcHost, Field::SamplingRate]);
    let option = set(3, &options_template(300, 1, &[(149, 4), (34, 4)]));
    let told = set(300, &[0, 0, 0, 1, 0, 0, 0, 50]);
    rig.feed(&ipfix(&[set(2, &template(256, FIVE)), option, told]));
    rig.feed(&v9(&[set(0, &template(260, FIVE))]));
    let saved = rig.decoder.save().unwrap();
    let mut new = Rig::new(&[Field::SrcHost, Field::SamplingRate]);
    new.decoder.load(&saved).unwrap();
    let records = new.feed(&ipfix(&[set(256, &five(3))]));
    assert_eq!((records.len(), records[0].sampling_rate()), (1, 50));
    assert_eq!(new.feed(&v9(&[set(260, &five(3))])).len(), 1);
    assert_eq!(new.decoder.save().unwrap().len(), saved.len());
    for cut in 0..saved.len() {
        let mut none = Rig::new(KEY);
        assert!(none.decoder.load(&saved[..cut]).is_err());
        assert_eq!(none.decoder.templates.usage()[0], 0);
    }
    for at in 0..saved.len() {
        let mut bent = saved.clone();
        bent[at] ^= 1;
        assert!(Rig::new(KEY).decoder.load(&bent).is_err());
    }
}
