//! [`Key`]: what is known of one key, and how its value is read.

use super::daemon::{Daemon, Set};
use super::table;
use crate::base::text::nearest;
use crate::sys::syslog;

/// One key of pmacct.
#[derive(Clone, Copy, Debug)]
pub struct Key {
    /// Its name.
    pub name: &'static str,
    /// Who looks at it.
    pub daemons: Set,
    /// Where it may stand.
    pub scope: Scope,
    /// How many people use it.
    pub tier: Tier,
    /// What its value is.
    pub take: Take,
    /// What becomes of it.
    pub fate: Fate,
}

/// Where a key may stand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// For all; a plugin's name in brackets is passed over with a warning.
    Core,
    /// For all, or for the plugin whose name is in brackets.
    Either,
    /// For one plugin alone.
    Plugin,
}

/// How many people use a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tier {
    /// Most.
    A,
    /// Some.
    B,
    /// Few.
    C,
}

/// What becomes of a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// A setting of weir's configuration, by its section; and what else is to be known.
    To(&'static str, &'static str),
    /// The face itself does what it says.
    Face(&'static str),
    /// It has no effect, for this reason.
    Idle(&'static str),
    /// What it belongs to is not in this build.
    Absent(Part),
}

/// The fate of being translated.
pub const fn to(setting: &'static str, note: &'static str) -> Fate {
    Fate::To(setting, note)
}

/// Parts of pmacct that this build has not got.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// Border gateway protocol.
    Bgp,
    /// BGP monitoring protocol.
    Bmp,
    /// Export datagrams from Kafka or ZeroMQ.
    Bus,
    /// sFlow counters to files.
    Counters,
    /// Output by a library of one's own.
    Custom,
    /// Inspection of packets.
    Dpi,
    /// Encrypted datagrams.
    Dtls,
    /// Programs in the kernel.
    Ebpf,
    /// Places of addresses.
    Geo,
    /// Addresses as numbers.
    Hosts,
    /// The packet inside a tunnel in place of the outer one.
    Inner,
    /// Kafka.
    Kafka,
    /// Groups.
    Multicast,
    /// Packets from the kernel's packet filter.
    Nflog,
    /// Export by NetFlow.
    Nfprobe,
    /// Redis.
    Redis,
    /// Origin validation.
    Rpki,
    /// Export by sFlow.
    Sfprobe,
    /// Commands beside a database.
    SqlTrigger,
    /// Replication.
    Tee,
    /// Streaming telemetry.
    Telemetry,
    /// Templates from and to others.
    Templates,
    /// Encrypted connections to databases.
    Tls,
    /// Trailers of mirrors.
    Trailer,
}

impl Part {
    /// What is said of a key that belongs to it.
    pub fn why(self) -> &'static str {
        match self {
            Self::Bgp => "this build has no BGP yet: what routes would tell is empty",
            Self::Bmp => "this build has no BMP yet: what routes would tell is empty",
            Self::Bus => "this build takes datagrams from sockets and savefiles alone",
            Self::Counters => "sFlow counter samples are not written yet",
            Self::Custom => "there are no outputs by a library of one's own",
            Self::Dpi => "this build does not look for applications in packets yet",
            Self::Dtls => "this build has no DTLS yet",
            Self::Ebpf => "`workers` of an input share a port; no program in the kernel is needed",
            Self::Geo => "this build has no places of addresses yet: their fields are empty",
            Self::Hosts => "addresses are text in databases",
            Self::Inner => "what is inside a tunnel has fields of its own, `tunnel_…`",
            Self::Kafka => "this build has no Kafka output yet",
            Self::Multicast => "this build joins no multicast groups yet",
            Self::Nflog => "this build takes no packets from the kernel's packet filter yet",
            Self::Nfprobe => "this build exports no NetFlow or IPFIX yet",
            Self::Redis => "weir does not register anywhere: each instance stands for itself",
            Self::Rpki => "this build does not validate origins yet: their fields are empty",
            Self::Sfprobe => "this build exports no sFlow yet",
            Self::SqlTrigger => "commands are run for files, not for databases",
            Self::Tee => "this build does not replicate datagrams yet",
            Self::Telemetry => "this build takes no streaming telemetry yet",
            Self::Templates => "templates are not passed on between instances",
            Self::Tls => {
                "connections to databases are not encrypted yet; `pgsql` and `mysql` do not run with it"
            }
            Self::Trailer => "trailers of mirrors are not read",
        }
    }
}

/// What a key's value is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Take {
    /// `true` or `false`.
    Flag,
    /// A whole number, from and to.
    Number(u64, u64),
    /// A whole number that may be negative, from and to.
    Signed(i64, i64),
    /// A number of seconds, from.
    Seconds(u64),
    /// A port.
    Port,
    /// Any text.
    Text,
    /// A file or directory.
    Path,
    /// A name with places for times and values.
    Template,
    /// Texts with commas between them.
    List,
    /// One of a few words.
    Words(&'static [&'static str]),
    /// Any of these letters.
    Letters(&'static str),
    /// Length of time bins.
    Bins,
    /// An expression of libpcap, or several with commas between them.
    Filter,
    /// An address.
    Address,
    /// A number to the base of eight.
    Octal,
    /// A user or group, by name or number.
    User,
    /// A facility of the system's log.
    Facility,
    /// What stands between two values.
    Separator,
    /// A list of plugins.
    Plugins,
}

impl Take {
    /// What it takes, in words.
    pub fn words(self) -> String {
        let listed = |words: &[&str]| {
            let words: Vec<_> = words.iter().map(|w| format!("`{w}`")).collect();
            words.join(" ")
        };
        match self {
            Self::Flag => "`true` `false`".into(),
            Self::Number(least, u64::MAX) => format!("a whole number, {least} or more"),
            Self::Number(least, most) => format!("a whole number from {least} to {most}"),
            Self::Signed(least, i64::MAX) => format!("a whole number, {least} or more"),
            Self::Signed(least, most) => format!("a whole number from {least} to {most}"),
            Self::Seconds(least) => format!("whole seconds, {least} or more"),
            Self::Port => "a port from 1 to 65535".into(),
            Self::Text => "text".into(),
            Self::Path => "a path".into(),
            Self::Template => "a name with times and `$` variables".into(),
            Self::List => "a list with commas".into(),
            Self::Words(words) => listed(words),
            Self::Letters(letters) => format!("any of the letters {letters}"),
            Self::Bins => "a number and one of s m h d w M".into(),
            Self::Filter => "a pcap expression".into(),
            Self::Address => "an address".into(),
            Self::Octal => "an octal number, 002 or more".into(),
            Self::User => "a name or a number".into(),
            Self::Facility => {
                let names: Vec<_> = syslog::FACILITIES.iter().map(|(name, _)| *name).collect();
                listed(&names)
            }
            Self::Separator => "one character, `\\t` or `\\s`".into(),
            Self::Plugins => "a list of TYPE or TYPE[NAME]".into(),
        }
    }

    /// Reads a value.
    ///
    /// # Errors
    /// What it takes, to follow "`key` is …; it takes".
    pub fn read(self, given: &str) -> Result<Value, String> {
        let value = match self {
            Self::Flag => match given.to_ascii_lowercase().as_str() {
                "true" => Some(Value::Flag(true)),
                "false" => Some(Value::Flag(false)),
                _ => None,
            },
            Self::Number(least, most) => between(given, least, most),
            Self::Seconds(least) => between(given, least, u64::MAX),
            Self::Port => between(given, 1, 65_535),
            Self::Signed(least, most) => (given.parse().ok())
                .filter(|n| (least..=most).contains(n))
                .map(Value::Signed),
            Self::Octal => (u32::from_str_radix(given, 8).ok())
                .filter(|n| (0o2..=0o777).contains(n))
                .map(|n| Value::Number(n.into())),
            Self::Words(words) => {
                let given = given.to_ascii_lowercase();
                let found = words.iter().find(|w| **w == given);
                found.map(|w| Value::Word(w))
            }
            Self::Facility => syslog::facility(given).map(|_| Value::Text(given.into())),
            Self::Letters(letters) => {
                let all = !given.is_empty() && given.chars().all(|c| letters.contains(c));
                all.then(|| Value::Text(given.into()))
            }
            Self::Bins => super::bins::read(given).map(|_| Value::Text(given.into())),
            Self::Address => {
                let address = given.parse::<std::net::IpAddr>();
                address.is_ok().then(|| Value::Text(given.into()))
            }
            Self::Separator => match given {
                "\\t" => Some(Value::Text("\t".into())),
                "\\s" => Some(Value::Text(" ".into())),
                one if one.chars().count() == 1 => Some(Value::Text(one.into())),
                _ => None,
            },
            Self::Text
            | Self::Path
            | Self::Template
            | Self::List
            | Self::Filter
            | Self::User
            | Self::Plugins => Some(Value::Text(given.into())),
        };
        value.ok_or_else(|| {
            let words = match self {
                Self::Words(words) => words.to_vec(),
                Self::Facility => syslog::FACILITIES.iter().map(|(name, _)| *name).collect(),
                _ => Vec::new(),
            };
            let near = nearest(&given.to_ascii_lowercase(), words);
            let near = near.map(|n| format!("; did you mean `{n}`?"));
            self.words() + &near.unwrap_or_default()
        })
    }
}

fn between(given: &str, least: u64, most: u64) -> Option<Value> {
    let digits = !given.is_empty() && given.bytes().all(|b| b.is_ascii_digit());
    let number = given.parse().ok().filter(|_| digits)?;
    (least..=most)
        .contains(&number)
        .then_some(Value::Number(number))
}

/// A value that has been read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Value {
    /// True or false.
    Flag(bool),
    /// A number.
    Number(u64),
    /// A number that may be negative.
    Signed(i64),
    /// One of a few words.
    Word(&'static str),
    /// Text.
    Text(String),
}

/// The key of this name.
pub fn find(name: &str) -> Option<&'static Key> {
    table::all().find(|key| key.name == name)
}

/// What to say about a name that is no key: what it was, or what it may have been meant to be.
pub fn unknown(name: &str) -> String {
    if let Some(why) = table::gone(name) {
        return format!("`{name}` is no key any more: {why}");
    }
    match nearest(name, table::all().map(|key| key.name)) {
        Some(near) => format!("no key `{name}`; did you mean `{near}`?"),
        None => format!("no key `{name}`"),
    }
}

impl Key {
    /// The variable that pmacct keeps its value in: keys of one variable overwrite each other.
    pub fn variable(&self) -> &'static str {
        variable(self.name)
    }

    /// Whether a daemon has any use for it: it is made for that daemon, or shares the variable of
    /// a key that is.
    pub fn concerns(&self, daemon: Daemon) -> bool {
        let shares = |key: &Key| key.daemons.has(daemon) && key.variable() == self.variable();
        self.daemons.has(daemon) || table::all().any(shares)
    }
}

/// Keys that share a variable and do not just differ in the word in front.
const TOGETHER: &[&[&str]] = &[
    &[
        "print_output_file",
        "sql_table",
        "kafka_topic",
        "amqp_routing_key",
    ],
    &["sql_db", "amqp_exchange"],
    &["sql_host", "amqp_host", "kafka_broker_host"],
    &["kafka_topic_rr", "amqp_routing_key_rr"],
    &["amqp_history_roundoff", "amqp_time_roundoff"],
    &["timestamps_rfc9557", "timestamps_rfc3339"],
    &["avro_schema_file", "avro_schema_output_file"],
    &["sql_recovery_backup_host", "sql_backup_host"],
    &["nfacctd_as", "nfacctd_as_new", "sfacctd_as_new"],
    &[
        "core_proc_name",
        "nfacctd_proc_name",
        "sfacctd_proc_name",
        "pmacctd_proc_name",
        "uacctd_proc_name",
    ],
];

/// Words in front behind which keys share a variable, if the rest is the same; of each group the
/// first one gives the variable its name.
const FRONTS: &[&[&str]] = &[
    &["nfacctd_", "sfacctd_", "pmacctd_", "uacctd_"],
    &["print_", "sql_", "amqp_", "kafka_"],
];

/// What is behind the plugins' words and shared.
const PLUGINS_SHARE: &[&str] = &[
    "refresh_time",
    "history",
    "history_offset",
    "history_roundoff",
    "startup_delay",
    "cache_entries",
    "max_writers",
    "trigger_exec",
    "trigger_exec_async",
    "preprocess",
    "preprocess_type",
    "num_protos",
    "markers",
    "multi_values",
];

fn variable(name: &'static str) -> &'static str {
    let group = TOGETHER.iter().find(|group| group.contains(&name));
    let name = group.and_then(|group| group.first()).unwrap_or(&name);
    for (n, fronts) in FRONTS.iter().enumerate() {
        let Some(rest) = fronts.iter().find_map(|front| name.strip_prefix(front)) else {
            continue;
        };
        if n == 1 && !PLUGINS_SHARE.contains(&rest) {
            continue;
        }
        let mut same = fronts.iter().filter_map(|front| {
            table::all().find(|k| k.name.strip_prefix(front).is_some_and(|r| r == rest))
        });
        return same.next().map_or(name, |key| key.name);
    }
    name
}
