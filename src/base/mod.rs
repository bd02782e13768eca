//! Pieces with no opinion on networks: bytes, addresses, time, counting, errors.
//!
//! Not for anything that does I/O or knows a format of the wire.

pub mod addr;
pub mod bins;
pub mod channel;
pub mod civil;
pub mod cursor;
pub mod error;
pub mod intern;
pub mod ledger;
pub mod lines;
pub mod lpm;
pub mod offset;
pub mod options;
pub mod part;
pub mod pattern;
pub mod proto;
pub mod sorted;
pub mod text;
pub mod time;
#[cfg(feature = "time-zone")]
pub mod zone;
#[cfg(not(feature = "time-zone"))]
#[path = "utc.rs"]
pub mod zone;

macro_rules! parts {
    ($($(#[doc = $doc:literal])* $name:ident: $feature:literal,)*) => {$(
        $(#[doc = $doc])*
        #[cfg(feature = $feature)]
        pub type $name = part::Here;
        $(#[doc = $doc])*
        #[cfg(not(feature = $feature))]
        pub type $name = part::Absent;
    )*};
}
parts! {
    /// Maps of tags, rates and distinguishers, networks and lists, all from files.
    Maps: "rule-map",
    /// Primitives of the configuration.
    Primitives: "dec-primitive",
    /// Checks of rows and samples of them, between tables and outputs.
    Sieves: "rule-preprocess",
    /// Commands that are run when a file is complete.
    Triggers: "sink-trigger",
}

macro_rules! features {
    ($($name:literal: $sets:literal,)*) => {
        /// Every feature: its name, whether this build has it, and the sets that have it.
        pub static FEATURES: &[(&str, bool, &str)] = &[$(($name, cfg!(feature = $name), $sets)),*];
    };
}
features! {
    "src-savefile": "edge, collector, full",
    "src-capture": "edge, collector, full",
    "src-udp": "edge, collector, full",
    "src-gzip": "collector, full",
    "src-pcap": "full",
    "dec-packet": "edge, collector, full",
    "dec-netflow": "edge, collector, full",
    "dec-sflow": "edge, collector, full",
    "dec-primitive": "collector, full",
    "rule-filter": "edge, collector, full",
    "rule-filter-static": "",
    "rule-map": "collector, full",
    "rule-preprocess": "collector, full",
    "enc-avro": "collector, full",
    "sink-print": "edge, collector, full",
    "sink-file": "edge, collector, full",
    "sink-memory": "edge, collector, full",
    "sink-trigger": "collector, full",
    "sink-sqlite": "collector, full",
    "sink-postgres": "collector, full",
    "sink-mysql": "collector, full",
    "sink-amqp": "collector, full",
    "sink-mqtt": "collector, full",
    "ctl-http": "collector, full",
    "time-zone": "collector, full",
    "cmd-top": "collector, full",
    "cmd-fields": "collector, full",
    "cmd-gen": "collector, full",
    "compat-pmacct": "collector, full",
    "compat-uci": "collector, full",
    "spool": "collector, full",
    "sys-sandbox": "collector, full",
    "sys-crash": "collector, full",
}

/// Whether this build has a feature.
pub fn built(feature: &str) -> bool {
    FEATURES.iter().any(|f| f.0 == feature && f.1)
}

/// What to tell a user who asks for something behind a feature that this build lacks.
pub fn without(feature: &str) -> String {
    let row = FEATURES.iter().find(|f| f.0 == feature);
    match row.map_or("", |f| f.2) {
        "" => format!("this build has no `{feature}`, nor has any set"),
        sets => format!("this build has no `{feature}`; build sets with it: {sets}"),
    }
}
