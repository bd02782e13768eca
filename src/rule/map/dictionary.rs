//! Every kind of map and its keys, as data. Parser, checks, messages and the manual come from
//! here; what a key does is the business of whoever compiles the map.

use super::value::Takes;

/// What a key is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// A condition: all of a row must hold.
    Match,
    /// A condition that a leading `-` turns round.
    MatchOrNot,
    /// What the row gives.
    Set,
    /// Where to go on.
    Flow,
}

/// One key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Key {
    /// Its name.
    pub name: &'static str,
    /// What it is for.
    pub role: Role,
    /// What it takes.
    pub takes: Takes,
}

/// One kind of map.
#[derive(Clone, Copy, Debug)]
pub struct Kind {
    /// Its name here.
    pub name: &'static str,
    /// What such a map is called in pmacct's configuration.
    pub files: &'static [&'static str],
    /// One sentence.
    pub doc: &'static str,
    /// Its keys.
    pub keys: &'static [Key],
    /// Of each of these lists a row needs one key.
    pub needs: &'static [&'static [&'static str]],
    /// Of each of these lists a row may have one key.
    pub one_of: &'static [&'static [&'static str]],
}

const fn key(name: &'static str, role: Role, takes: Takes) -> Key {
    Key { name, role, takes }
}

/// A condition that can be turned round.
const fn test(name: &'static str, takes: Takes) -> Key {
    key(name, Role::MatchOrNot, takes)
}

/// A condition that can not.
const fn only(name: &'static str, takes: Takes) -> Key {
    key(name, Role::Match, takes)
}

const fn set(name: &'static str, takes: Takes) -> Key {
    key(name, Role::Set, takes)
}

const fn flow(name: &'static str, takes: Takes) -> Key {
    key(name, Role::Flow, takes)
}

const BYTE: Takes = Takes::Number(0, 255);
const SHORT: Takes = Takes::Number(0, 65535);
const LONG: Takes = Takes::Number(0, u32::MAX as u64);
const LABEL: Takes = Takes::Number(0, 0xf_ffff);
const ROA: Takes = Takes::Word(&["u", "i", "v"]);

const IP: Key = only("ip", Takes::Prefix);
const IN: Key = test("in", LONG);
const OUT: Key = test("out", LONG);
const BGP_NEXTHOP: Key = test("bgp_nexthop", Takes::Address);
const FILTER: Key = only("filter", Takes::Filter);

/// Keys of `pre_tag_map`.
const TAGS: &[Key] = &[
    set("set_tag", Takes::Tag),
    set("set_tag2", Takes::Tag),
    set("set_label", Takes::Text),
    set("set_tos", BYTE),
    set("id", Takes::Tag),
    set("id2", Takes::Tag),
    flow("label", Takes::Text),
    flow("jeq", Takes::Text),
    flow("stack", Takes::Word(&["sum", "or"])),
    flow("return", Takes::Flag),
    IP,
    IN,
    OUT,
    test("engine_type", BYTE),
    test("engine_id", LONG),
    test("source_id", LONG),
    test("agent_id", LONG),
    test("flowset_id", SHORT),
    test("sample_type", Takes::Text),
    test("nexthop", Takes::Address),
    BGP_NEXTHOP,
    FILTER,
    test("direction", Takes::Number(0, 1)),
    test("src_mac", Takes::Mac),
    test("dst_mac", Takes::Mac),
    test("vlan", Takes::Number(0, 4095)),
    test("cvlan", Takes::Number(0, 4095)),
    test("src_net", Takes::Prefix),
    test("dst_net", Takes::Prefix),
    test("ip_proto", BYTE),
    test("src_port", SHORT),
    test("dst_port", SHORT),
    test("tcp_flags", Takes::Hex(255)),
    test("is_multicast", Takes::Flag),
    test("is_bi_flow", Takes::Flag),
    test("is_nel", Takes::Flag),
    test("is_nsel", Takes::Flag),
    test("fwd_status", BYTE),
    test("mpls_vpn_id_in", LONG),
    test("mpls_vpn_id_out", LONG),
    test("mpls_vpn_id", LONG),
    test("mpls_pw_id", LONG),
    test("mpls_label_bottom", LABEL),
    test("mpls_vpn_rd", Takes::Distinguisher),
    test("src_as", LONG),
    test("dst_as", LONG),
    test("peer_src_as", LONG),
    test("peer_dst_as", LONG),
    test("src_local_pref", LONG),
    test("local_pref", LONG),
    test("src_comms", Takes::Texts),
    test("comms", Takes::Texts),
    test("src_roa", ROA),
    test("dst_roa", ROA),
];

const AGENTS: &[Key] = &[
    set("bgp_ip", Takes::Address),
    set("bmp_ip", Takes::Address),
    set("id", Takes::Address),
    set("bgp_port", Takes::Number(1, 65535)),
    IP,
    IN,
    OUT,
    FILTER,
];

const DISTINGUISHERS: &[Key] = &[
    set("id", Takes::Distinguisher),
    IP,
    IN,
    OUT,
    BGP_NEXTHOP,
    test("mpls_vpn_id", LONG),
    test("mpls_label_bottom", LABEL),
];

const SOURCES: &[Key] = &[
    set("id", Takes::NumberOr(0, u32::MAX as u64, &["bgp"])),
    IP,
    IN,
    OUT,
    BGP_NEXTHOP,
    test("peer_dst_as", LONG),
    test("src_mac", Takes::Mac),
    test("vlan", Takes::Number(0, 4095)),
    test("src_net", Takes::Prefix),
    test("dst_net", Takes::Prefix),
    FILTER,
];

const RECEIVERS: &[Key] = &[
    set("id", Takes::Number(1, u32::MAX as u64)),
    set("ip", Takes::Endpoints),
    only("tag", Takes::Tags),
    set(
        "balance-alg",
        Takes::Word(&["rr", "hash-tag", "hash-agent", "hash-crc32"]),
    ),
    set("src_port", Takes::Number(1, 65535)),
    set("kafka_broker", Takes::Text),
    set("kafka_topic", Takes::Text),
    set("zmq_address", Takes::Text),
];

const PRIMITIVES: &[Key] = &[
    set("name", Takes::Text),
    set("field_type", Takes::Element),
    set("packet_ptr", Takes::Text),
    set("len", Takes::NumberOr(1, 65535, &["vlen"])),
    set(
        "semantics",
        Takes::Word(&["u_int", "hex", "ip", "mac", "str", "raw"]),
    ),
];

const SOURCE_TAGS: &[Key] = &[
    set("set_tag", Takes::Tag),
    set("set_label", Takes::Text),
    IP,
];

/// Every kind of map.
pub static KINDS: &[Kind] = &[
    Kind {
        name: "tags",
        files: &["pre_tag_map"],
        doc: "Tags, labels and ToS for flows and packets.",
        keys: TAGS,
        needs: &[],
        one_of: &[
            &["set_tag", "set_tag2", "set_label", "id", "id2"],
            &["engine_id", "source_id"],
        ],
    },
    Kind {
        name: "sampling",
        files: &["sampling_map"],
        doc: "Sampling rates by exporter and interface.",
        keys: &[set("id", Takes::Number(1, u32::MAX as u64)), IP, IN, OUT],
        needs: &[&["id"]],
        one_of: &[],
    },
    Kind {
        name: "rd",
        files: &["flow_to_rd_map"],
        doc: "Route distinguishers for flows.",
        keys: DISTINGUISHERS,
        needs: &[&["id"]],
        one_of: &[],
    },
    Kind {
        name: "agents",
        files: &["bgp_agent_map", "bmp_agent_map"],
        doc: "Which routing peer an exporter's flows are looked up with.",
        keys: AGENTS,
        needs: &[&["bgp_ip", "bmp_ip", "id"], &["ip"]],
        one_of: &[&["bgp_ip", "bmp_ip", "id"]],
    },
    Kind {
        name: "sources",
        files: &[
            "bgp_peer_src_as_map",
            "bgp_src_local_pref_map",
            "bgp_src_med_map",
        ],
        doc: "Peer AS, local preference or MED of the source side.",
        keys: SOURCES,
        needs: &[&["id"]],
        one_of: &[],
    },
    Kind {
        name: "nexthops",
        files: &["bgp_peer_dst_ip_map"],
        doc: "Other addresses for the next hops of routes.",
        keys: &[set("id", Takes::Address), IP, BGP_NEXTHOP],
        needs: &[&["id"]],
        one_of: &[],
    },
    Kind {
        name: "interfaces",
        files: &["pcap_interfaces_map"],
        doc: "Interfaces to capture from.",
        keys: &[
            set("ifname", Takes::Text),
            set("ifindex", LONG),
            set("direction", Takes::Word(&["in", "out"])),
        ],
        needs: &[&["ifname"]],
        one_of: &[],
    },
    Kind {
        name: "receivers",
        files: &["tee_receivers"],
        doc: "Pools of receivers of replicated datagrams.",
        keys: RECEIVERS,
        needs: &[&["id"], &["ip", "kafka_broker", "zmq_address"]],
        one_of: &[&["ip", "kafka_broker", "zmq_address"]],
    },
    Kind {
        name: "sessions",
        files: &["bgp_daemon_xconnect_map"],
        doc: "BGP sessions that are passed on.",
        keys: &[
            set("bgp_dst", Takes::Endpoint),
            only("bgp_src", Takes::Prefix),
        ],
        needs: &[&["bgp_dst"], &["bgp_src"]],
        one_of: &[],
    },
    Kind {
        name: "bgp-tags",
        files: &["bgp_daemon_tag_map"],
        doc: "Tags and labels for BGP messages.",
        keys: &[
            set("set_tag", Takes::Tag),
            set("set_label", Takes::Text),
            IP,
            test("comms", Takes::Texts),
            flow("label", Takes::Text),
            flow("jeq", Takes::Text),
        ],
        needs: &[],
        one_of: &[&["set_tag", "set_label"]],
    },
    Kind {
        name: "bmp-tags",
        files: &["bmp_daemon_tag_map"],
        doc: "Tags and labels for BMP messages.",
        keys: SOURCE_TAGS,
        needs: &[&["set_tag", "set_label"]],
        one_of: &[&["set_tag", "set_label"]],
    },
    Kind {
        name: "telemetry-tags",
        files: &["telemetry_daemon_tag_map"],
        doc: "Tags and labels for telemetry.",
        keys: SOURCE_TAGS,
        needs: &[&["set_tag", "set_label"]],
        one_of: &[&["set_tag", "set_label"]],
    },
    Kind {
        name: "primitives",
        files: &["aggregate_primitives"],
        doc: "Fields of one's own.",
        keys: PRIMITIVES,
        needs: &[
            &["name"],
            &["field_type", "packet_ptr"],
            &["len"],
            &["semantics"],
        ],
        one_of: &[],
    },
];

/// The kind of this name, its own or pmacct's.
pub fn kind(name: &str) -> Option<&'static Kind> {
    let known = |kind: &&Kind| kind.name == name || kind.files.contains(&name);
    KINDS.iter().find(known)
}
