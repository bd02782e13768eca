//! Every key that pmacct's parser knows, as data: who takes it, where it may stand, what its value
//! is, and what becomes of it here.
//!
//! The compiler, the hints, the reports and `docs/pmacct-keys.md` are made from these rows; a key
//! that has no row does not exist.

use super::daemon::Set;
use super::key::Fate::{Absent, Face, Idle};
use super::key::Take::*;
use super::key::{Key, Part, Scope, Tier, to};

/// Rows: name, daemons, scope and tier, value, fate.
macro_rules! keys {
    ($($key:literal: $set:ident $scope:ident $tier:ident, $take:expr => $fate:expr;)*) => {
        /// The rows.
        pub static ROWS: &[Key] = &[$(Key {
            name: $key,
            daemons: $set,
            scope: Scope::$scope,
            tier: Tier::$tier,
            take: $take,
            fate: $fate,
        }),*];
    };
}

mod flow;
mod lane;
mod plugin;
mod route;

const P: Set = Set::PMACCTD;
const U: Set = Set::UACCTD;
const N: Set = Set::NFACCTD;
const S: Set = Set::SFACCTD;
const PMB: Set = Set::PMBGPD;
const PMM: Set = Set::PMBMPD;
const PMT: Set = Set::PMTELEMETRYD;
const PU: Set = P.and(U);
const NS: Set = N.and(S);
const FLOW: Set = PU.and(NS);
const ALL: Set = FLOW.and(PMB).and(PMM).and(PMT);
const FLOW_B: Set = FLOW.and(PMB);
const FLOW_T: Set = FLOW.and(PMT);
const FLOW_BM: Set = FLOW_B.and(PMM);
const NSM: Set = NS.and(PMM);
const PNS: Set = P.and(NS);
const PUN: Set = PU.and(N);
const PUS: Set = PU.and(S);
const PM: Set = P.and(PMM);
const PNSM: Set = PNS.and(PMM);

/// The rows, in parts with a title each.
pub static PARTS: &[(&str, &[Key])] = &[
    (
        "Processes, capture, collectors, maps, tables in memory",
        flow::ROWS,
    ),
    ("Outputs", plugin::ROWS),
    ("Routing, telemetry, places, classes", route::ROWS),
    ("Brokers for what is not flows", lane::ROWS),
];

/// All rows.
pub fn all() -> impl Iterator<Item = &'static Key> {
    PARTS.iter().flat_map(|(_, rows)| *rows)
}

/// Beginnings of keys of earlier versions that later ones do not know any more, with what to say.
static GONE: &[(&str, &str)] = &[
    (
        "geoip_ipv",
        "places of GeoIP v1 went in 1.7.9; `geoipv2_file` is their key",
    ),
    ("igp_daemon", "IS-IS went in 1.8.0"),
    ("isis_daemon", "IS-IS went in 1.8.0"),
    (
        "imt_passwd",
        "the password of the memory plugin went in 1.7.9; the socket has rights",
    ),
    ("mongo_", "MongoDB went in 1.8.0"),
    (
        "nfacctd_disable_checks",
        "it is `nfacctd_disable_sanity_checks` since 1.7.9",
    ),
    (
        "sfacctd_disable_checks",
        "it is `sfacctd_disable_sanity_checks` since 1.7.9",
    ),
    (
        "telemetry_daemon_kafka_",
        "telemetry over Kafka went in 1.7.9",
    ),
    (
        "telemetry_daemon_zmq_",
        "telemetry over ZeroMQ went in 1.7.9",
    ),
    ("redis_passwd", "pmacct documents it and does not know it"),
    (
        "sfacctd_ipv6_only",
        "pmacct documents it and does not know it",
    ),
    (
        "telemetry_daemon_rp_ebpf_prog",
        "it is `telemetry_daemon_udp_notif_rp_ebpf_prog`",
    ),
    (
        "sfacctd_counter_persistent_msg",
        "it is `sfacctd_counter_amqp_persistent_msg`",
    ),
    (
        "sfactd_counter_amqp_exchange_type",
        "it is `sfacctd_counter_amqp_exchange_type`",
    ),
];

/// What became of a key that pmacct once had, or documents and does not have.
pub fn gone(name: &str) -> Option<&'static str> {
    let mut gone = GONE.iter();
    gone.find(|(begin, _)| name.starts_with(begin))
        .map(|(_, why)| *why)
}
