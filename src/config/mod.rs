//! The one typed configuration that every face compiles into.
//!
//! Each input and output keeps its own [`Options`] for the part that only its own file
//! understands; everything that the engine needs is a field here.

pub mod custom;
pub mod every;
pub mod explain;
pub mod native;
pub mod preprocess;
pub mod primitive;
pub mod rules;
#[cfg(feature = "sys-sandbox")]
pub mod sandbox;
#[cfg(not(feature = "sys-sandbox"))]
#[path = "sandbox/absent.rs"]
pub mod sandbox;
pub mod setting;
pub mod spool;
pub mod toml;
pub mod tree;
pub mod write;

pub use crate::agg::full::Full;
pub use crate::agg::sieve::Rules;
pub use crate::agg::window::RecordTime;
use crate::base::bins::Bins;
pub use crate::base::bins::{Align, Every};
use crate::base::options::{Options, Place};
use crate::base::zone::Zone;
pub use crate::decode::{Decode, Reading};
use crate::record::Field;
use crate::sys::user::Account;
pub use custom::Primitives;
pub use rules::{AggregateRules, InputRules};
pub use sandbox::Sandbox;
pub use spool::Spool;
use std::time::Duration;

/// A whole configuration, valid as far as can be known without opening anything.
#[derive(Clone, Debug)]
pub struct Config {
    /// Memory for tables, templates, fragments, symbols and queues together, in bytes.
    pub memory: u64,
    /// Primitives of its own.
    pub primitives: Primitives,
    /// Inputs, in the order of the file.
    pub inputs: Vec<Input>,
    /// Aggregations, in the order of the file.
    pub aggregates: Vec<Aggregate>,
    /// Outputs, in the order of the file.
    pub outputs: Vec<Output>,
    /// Logging.
    pub log: Log,
    /// Path of the control socket for `weir query`, `status` and `top`; none when not wanted.
    pub control: Option<String>,
    /// Address of the HTTP endpoint with metrics and health; none when not wanted.
    pub http: Option<String>,
    /// Limits of the decoders' stores.
    pub limits: Limits,
    /// File in which templates survive a restart.
    pub templates: Option<String>,
    /// Time zone of calendar bins and printed times: `local`, `UTC`, or a name of the zone
    /// database.
    pub timezone: String,
    /// Whether weir stays when all its files have come to their end.
    pub stay: bool,
    /// Whether a map of which no row can be used is one without rows, rather than a mistake.
    pub empty_maps: bool,
    /// Whom weir becomes when root starts it.
    pub user: Option<Account>,
    /// The group, where it is not the first one of the user.
    pub group: Option<String>,
    /// How much is taken from the process once it has started.
    pub sandbox: Sandbox,
    /// How long a stop may take before what is still queued is given up.
    pub stop_within: Duration,
}

/// A configured input.
#[derive(Clone, Debug)]
pub struct Input {
    /// Its name in the configuration.
    pub name: String,
    /// Which source: a name of the source registry (`udp`, `capture`, `file`, `pcap`).
    pub kind: String,
    /// Which decoder its frames go to.
    pub decode: Decode,
    /// Threads (and sockets) that share it.
    pub workers: u32,
    /// Filter expression that decides which of its frames are looked at; empty for all.
    pub filter: String,
    /// What is done to its records.
    pub rules: InputRules,
    /// How its datagrams are taken.
    pub reading: Reading,
    /// The source's own settings.
    pub options: Options,
    /// Where it stands in the file.
    pub place: Place,
}

/// A configured aggregation.
#[derive(Clone, Debug)]
pub struct Aggregate {
    /// Its name in the configuration.
    pub name: String,
    /// Names of its inputs; empty means all.
    pub from: Vec<String>,
    /// Its keys and merged fields.
    pub by: Vec<Field>,
    /// Whether flows are counted (`flows` in `by`).
    pub flows: bool,
    /// Whether records count under both of their ends (`sum_host` and its sisters in `by`).
    pub both_ends: bool,
    /// Whether fields that no input gives are shown as zero, rather than refused.
    pub absent: bool,
    /// Length of its time bins; none means one bin for the whole run.
    pub every: Option<Every>,
    /// Where bins of a length in seconds begin, other than at midnight or in 1970.
    pub align: Option<Align>,
    /// Seconds by which bins begin later.
    pub offset: u32,
    /// How often rows are handed out; none means with each bin.
    pub flush: Option<Every>,
    /// Seconds by which rows are handed out later than that.
    pub flush_delay: u32,
    /// Which time puts a record into a bin.
    pub time: RecordTime,
    /// Whether the counters of a flow are split over the bins that it spans.
    pub prorate: bool,
    /// Whether rows carry the earliest start and the latest end of their flows.
    pub stitch: bool,
    /// Whether traffic, events and options have rows of their own.
    pub kinds: bool,
    /// Filter expressions of pcap, of which any may pass; none, or an empty one, passes everything.
    pub filter: Vec<String>,
    /// Where they stand.
    pub filter_at: Place,
    /// What is done to what it counts, and what it takes.
    pub rules: AggregateRules,
    /// Its share of the memory in bytes; none means an equal share of what is left.
    pub memory: Option<u64>,
    /// What happens when its table is full.
    pub full: Full,
    /// Whether counters are multiplied by the sampling rate.
    pub renormalise: bool,
    /// What becomes of rows between the table and the outputs; none hands them on as they are.
    pub preprocess: Option<Rules>,
    /// Names of the outputs for rows that do not pass it; without any they go nowhere.
    pub rejects: Vec<String>,
    /// Names of its outputs.
    pub to: Vec<String>,
    /// Where it stands in the file.
    pub place: Place,
}

impl Aggregate {
    /// Its bins, by the wall clock of a zone.
    pub fn bins(&self, zone: &Zone) -> Option<Bins> {
        self.placed(zone, 0)
    }

    /// When rows are handed out, where that is not when a bin ends.
    pub fn pace(&self, zone: &Zone) -> Option<Bins> {
        match (self.flush, self.flush_delay) {
            (Some(every), delay) => Some(Bins::new(every, zone.clone()).placed(None, delay)),
            (None, 0) => None,
            (None, delay) => self.placed(zone, delay),
        }
    }

    /// The bins, so many seconds later.
    fn placed(&self, zone: &Zone, later: u32) -> Option<Bins> {
        let offset = self.offset.saturating_add(later);
        let bins = |every| Bins::new(every, zone.clone()).placed(self.align, offset);
        self.every.map(bins)
    }
}

/// A configured output.
#[derive(Clone, Debug)]
pub struct Output {
    /// Its name in the configuration.
    pub name: String,
    /// Which sink: a name of the sink registry (`print`, `file`, `memory`, `sqlite` …).
    pub kind: String,
    /// Memory for rows waiting, in bytes.
    pub queue: u64,
    /// Disk for rows waiting; none when they wait in memory alone.
    pub spool: Option<Spool>,
    /// The sink's own settings.
    pub options: Options,
    /// Where it stands in the file.
    pub place: Place,
}

/// Logging.
#[derive(Clone, Debug)]
pub struct Log {
    /// Least severe level that is written.
    pub level: log::LevelFilter,
    /// Where lines go.
    pub to: LogTo,
    /// Whether lines to standard error begin with the time.
    pub stamp: bool,
}

/// Where log lines go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LogTo {
    /// Standard error.
    Stderr,
    /// The system's log.
    Syslog {
        /// Its facility, by name.
        facility: String,
        /// What lines begin with.
        ident: String,
    },
    /// A file.
    File(String),
}

/// Limits of the decoders' stores.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Templates.
    pub templates: u32,
    /// Exporters (address and observation domain).
    pub exporters: u32,
    /// Option entries: sampling rates, interface, VRF and application names.
    pub options: u32,
    /// Fragmented packets followed at a time.
    pub fragments: u32,
    /// Bytes for interned texts.
    pub symbols: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            templates: 512,
            exporters: 256,
            options: 2048,
            fragments: 256,
            symbols: 256 << 10,
        }
    }
}

impl Default for Config {
    fn default() -> Self {
        Self {
            memory: 16 << 20,
            primitives: Primitives::default(),
            inputs: Vec::new(),
            aggregates: Vec::new(),
            outputs: Vec::new(),
            log: Log {
                level: log::LevelFilter::Info,
                to: LogTo::Stderr,
                stamp: false,
            },
            control: None,
            http: None,
            limits: Limits::default(),
            templates: None,
            timezone: "local".into(),
            stay: false,
            empty_maps: false,
            user: None,
            group: None,
            sandbox: Sandbox::default(),
            stop_within: Duration::from_secs(10),
        }
    }
}
