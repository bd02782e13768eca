#![cfg(feature = "rule-map")]

use super::keys::{KEYS, Set};
use super::*;
use crate::base::Maps;
use crate::base::addr::Ip;
use crate::base::lines;
use crate::base::part::Only;
use crate::record::TABLE;
use std::net::IpAddr;

pub(super) fn ip(text: &str) -> Ip {
    text.parse::<IpAddr>().unwrap().into()
}

pub(super) fn shared(map: TagMap) -> Shared<TagMap> {
    Shared::of(map).unwrap()
}

pub(super) fn everything() -> FieldSet {
    TABLE.iter().map(|info| info.field).collect()
}

/// A map for records with the fields `given`, and what is wrong with it.
fn compiled(text: &str, given: FieldSet, symbols: &Arc<Interner>) -> (TagMap, Complaints) {
    let mut compiler = Compiler::new(Judge::new(given, "the test"), symbols.clone());
    let mut complaints = Complaints::default();
    let whole = lines::each(
        &mut text.as_bytes(),
        1 << 26,
        &mut complaints,
        &mut compiler,
    );
    assert!(whole.unwrap());
    (compiler.finish(&mut complaints), complaints)
}

/// A map that must be right, on its own.
struct Rig {
    tagger: Tagger,
    symbols: Arc<Interner>,
}

impl Rig {
    fn new(text: &str) -> Self {
        let symbols = Arc::new(Interner::new(1 << 16));
        let (map, complaints) = compiled(text, everything(), &symbols);
        assert!(complaints.is_empty(), "{text}: {complaints:?}");
        Self {
            tagger: Tagger::new(shared(map), 0, 1),
            symbols,
        }
    }

    /// The record as it is tagged.
    fn run(&mut self, set: impl Fn(&mut FlowRecord)) -> FlowRecord {
        let mut batch = Batch::new(everything());
        set(batch.slot());
        self.tagger.enrich(&mut batch);
        batch.records()[0]
    }

    fn label(&self, record: &FlowRecord) -> String {
        let mut text = Vec::new();
        self.symbols.read(record.label(), &mut text);
        String::from_utf8(text).unwrap()
    }
}

/// Whether a record matches a row with this condition.
fn matches(condition: &str, set: impl Fn(&mut FlowRecord)) -> bool {
    let row = format!("set_tag=1 {condition}");
    Rig::new(&row).run(set).tag() == 1
}

#[test]
fn each_key_matches_what_it_says_and_turned_round_what_it_does_not() {
    for (condition, yes, no) in KEYS {
        assert!(matches(condition, yes), "{condition}");
        assert!(!matches(condition, no), "{condition}");
        if condition.starts_with("ip=") {
            continue;
        }
        let turned = condition.replacen('=', "=-", 1);
        assert!(!matches(&turned, yes), "{turned}");
        assert!(matches(&turned, no), "{turned}");
    }
}

#[test]
fn a_field_that_is_not_there_equals_nothing() {
    for (condition, ..) in KEYS {
        if condition.starts_with("sample_type=flow") || condition.ends_with("false") {
            continue;
        }
        assert!(!matches(condition, |_| {}), "{condition}");
    }
    assert!(!matches("vlan=0", |_| {}));
    assert!(matches("vlan=0", |r| r.set_vlan(0)));
    assert!(matches("vlan=-0", |_| {}));
}

#[test]
fn every_key_of_the_dictionary_is_used_or_refused_with_a_reason() {
    let tested = |name: &str| {
        let mut keys = KEYS.iter();
        keys.any(|(condition, ..)| condition.starts_with(&format!("{name}=")))
    };
    let refused = [
        ("src_local_pref=100", "needs routes"),
        ("src_comms=65000:1", "needs routes"),
        ("comms=65000:1", "needs routes"),
        ("src_roa=v", "needs routes"),
        ("dst_roa=i", "needs routes"),
        ("sample_type=flows", "is no type of samples"),
        ("sample_type=1048576:1", "is no type of samples"),
    ];
    let symbols = Arc::new(Interner::new(4096));
    for (condition, said) in refused {
        let row = format!("set_tag=1 {condition}");
        let (map, complaints) = compiled(&row, everything(), &symbols);
        assert!(map.is_empty());
        let message = &complaints.problems()[0].message;
        assert!(message.contains(said), "{condition}: {message}");
    }
    let others = ["filter", "label", "jeq", "stack", "return"];
    for key in kind("tags").unwrap().keys {
        let name = key.name;
        let known = refused
            .iter()
            .any(|(c, _)| c.starts_with(&format!("{name}=")));
        let set = key.role == crate::rule::map::Role::Set;
        assert!(
            tested(name) || known || set || others.contains(&name),
            "{name}"
        );
    }
}

#[test]
fn filters_look_at_the_frame_that_a_record_tells_of() {
    let symbols = Arc::new(Interner::new(4096));
    let (map, complaints) = compiled("set_tag=1 filter='udp port 53'", everything(), &symbols);
    if map.is_empty() {
        // Without libpcap the row is left out, and says what is missing.
        assert!(
            complaints.problems()[0].message.contains("libpcap"),
            "{complaints:?}"
        );
        println!("filters_look_at_the_frame skipped: no libpcap");
        return;
    }
    let udp = |r: &mut FlowRecord, port| {
        r.set_src_host(ip("192.0.2.1"));
        r.set_dst_host(ip("192.0.2.2"));
        r.set_proto(17);
        r.set_dst_port(port);
    };
    assert!(matches("filter='udp port 53'", |r| udp(r, 53)));
    assert!(!matches("filter='udp port 53'", |r| udp(r, 54)));
    let both = "filter='udp port 53' in=3";
    assert!(!matches(both, |r| udp(r, 53)));
    assert!(matches(both, |r| {
        udp(r, 53);
        r.set_in_iface(3);
    }));
    let (map, complaints) = compiled("set_tag=1 filter='prot 80'", everything(), &symbols);
    assert!(map.is_empty());
    let problem = &complaints.problems()[0];
    assert!(problem.message.contains("`filter` is none"), "{problem:?}");
    assert_eq!(problem.place.column, 19);
}

#[test]
fn the_first_row_that_matches_whole_counts() {
    let mut rig = Rig::new(
        "set_tag=1 ip=192.0.2.1 in=3\n\
         set_tag=2 in=3\n\
         set_tag=3 ip=192.0.2.1\n\
         set_tag=4 ip=192.0.2.0/24\n\
         set_tag=5",
    );
    for (exporter, input, want) in [
        ("192.0.2.1", 3, 1),
        ("192.0.2.2", 3, 2),
        ("192.0.2.1", 4, 3),
        ("192.0.2.2", 4, 4),
        ("198.51.100.1", 4, 5),
        ("2001:db8::1", 4, 5),
    ] {
        let record = rig.run(|r| {
            r.set_peer_src_ip(ip(exporter));
            r.set_in_iface(input);
        });
        assert_eq!(record.tag(), want, "{exporter} {input}");
    }
}

#[test]
fn what_matches_nothing_keeps_the_tags_it_came_with() {
    let mut rig = Rig::new("set_tag=1 in=3\nset_label=x in=4\nset_tos=8 in=5");
    let record = |input| {
        move |r: &mut FlowRecord| {
            r.set_in_iface(input);
            r.set_tag(99);
            r.set_tos(184);
        }
    };
    let seen = [3, 4, 5, 6].map(|input| {
        let r = rig.run(record(input));
        (r.tag(), rig.label(&r), r.tos())
    });
    let text = String::from;
    let want = [
        (1, text(""), 184),
        (99, text("x"), 184),
        (99, text(""), 8),
        (99, text(""), 184),
    ];
    assert_eq!(seen, want);
}

#[test]
fn jumps_stack_and_join() {
    for (text, tag, tag2, label) in [
        ("set_tag=1 jeq=next\nset_tag=2", 2, 0, ""),
        ("set_tag=1 jeq=next\nset_tag2=2", 1, 2, ""),
        ("set_tag=1 jeq=x\nset_tag=2\nset_tag2=3 label=x", 1, 3, ""),
        (
            "set_tag=1 jeq=x\nlabel=x set_tag=2 in=9\nlabel=x set_tag=3",
            3,
            0,
            "",
        ),
        (
            "set_tag=1 jeq=x\nset_tag=2 label=x jeq=x\nset_tag=4 stack=sum label=x",
            6,
            0,
            "",
        ),
        ("set_tag=5 jeq=next\nset_tag=6 stack=or", 7, 0, ""),
        ("set_tag=5 stack=sum", 5, 0, ""),
        (
            "set_label=a jeq=next\nset_label=b jeq=next\nset_label=c",
            0,
            0,
            "a,b,c",
        ),
        ("set_label=a jeq=next\nset_tag=1", 1, 0, "a"),
        ("jeq=x\nset_tag=1\nset_tag=2 label=x", 2, 0, ""),
        ("id=7 jeq=next\nid2=8", 7, 8, ""),
        ("set_tag=1 jeq=next\nset_tag=2 in=9", 1, 0, ""),
    ] {
        let mut rig = Rig::new(text);
        // Twice, since joined labels are remembered.
        for _ in 0..2 {
            let r = rig.run(|r| r.set_in_iface(1));
            assert_eq!((r.tag(), r.tag2()), (tag, tag2), "{text}");
            assert_eq!(rig.label(&r), label, "{text}");
        }
    }
}

#[test]
fn counting_tags_give_each_value_once_whoever_counts() {
    let symbols = Arc::new(Interner::new(4096));
    let (map, _) = compiled("set_tag=10++ in=1\nset_tag2=5++", everything(), &symbols);
    let map = shared(map);
    let mut taggers = [0, 1].map(|worker| Tagger::new(map.clone(), worker, 2));
    let mut run = |worker: usize, input| {
        let mut batch = Batch::new(everything());
        batch.slot().set_in_iface(input);
        taggers[worker].enrich(&mut batch);
        let r = batch.records()[0];
        (r.tag(), r.tag2())
    };
    let got = [(0, 1), (0, 1), (1, 1), (0, 2), (1, 1), (1, 2), (0, 1)].map(|(w, i)| run(w, i));
    assert_eq!(
        got,
        [(10, 0), (12, 0), (11, 0), (0, 5), (13, 0), (0, 6), (14, 0)]
    );
}

#[test]
fn jumps_that_lead_nowhere_are_told_and_are_none() {
    let symbols = Arc::new(Interner::new(4096));
    for (text, line, said, tag) in [
        (
            "set_tag=1 jeq=x\nset_tag=2",
            1,
            "no row has the label `x`",
            1,
        ),
        ("set_tag=1 label=x jeq=x", 1, "label `x` is not below", 1),
        (
            "set_tag=9 in=7 label=x\nset_tag=1 jeq=x",
            2,
            "so there are no loops",
            1,
        ),
        ("set_tag=1 jeq=next", 1, "there is no row below", 1),
        ("set_tag=1 label=next", 1, "`label` is `next`", 0),
        ("in=3", 1, "sets nothing and leads nowhere", 0),
    ] {
        let (map, complaints) = compiled(text, everything(), &symbols);
        let [problem] = complaints.problems() else {
            panic!("{text}: {complaints:?}")
        };
        assert!(problem.message.contains(said), "{problem:?}");
        assert_eq!(problem.place.line, line);
        assert!(problem.place.column > 0);
        let mut batch = Batch::new(everything());
        batch.slot();
        Tagger::new(shared(map), 0, 1).enrich(&mut batch);
        assert_eq!(batch.records()[0].tag(), tag, "{text}");
    }
}

#[test]
fn return_hands_out_a_copy_and_goes_on_without_tags() {
    let mut rig = Rig::new(
        "set_tag=1 jeq=next return=true in=1\n\
         set_label=a jeq=next return=true in=1\n\
         set_tag=3 in=1\n\
         set_tag=4 return=true",
    );
    assert!(rig.tagger.copies());
    let mut batch = Batch::new(everything());
    for n in 0..Batch::SIZE as u64 {
        let record = batch.slot();
        record.set_in_iface(n as u32 % 2);
        (record.packets, record.bytes) = (n, 100);
    }
    let (mut out, mut got, mut batches) = (Batch::new(FieldSet::EMPTY), Vec::new(), 0);
    let copied = rig.tagger.copying(&mut batch, &mut out, &mut |out| {
        batches += 1;
        for r in out.records() {
            got.push((r.packets, r.tag(), r.label()));
        }
    });
    let a = rig.symbols.intern(b"a");
    let want: Vec<_> = (0..Batch::SIZE as u64)
        .flat_map(|n| match n % 2 {
            0 => vec![(n, 4, Sym::EMPTY)],
            _ => vec![(n, 1, Sym::EMPTY), (n, 0, a), (n, 3, Sym::EMPTY)],
        })
        .collect();
    assert_eq!(got, want);
    assert_eq!((batches, out.is_empty()), (2, true));
    assert_eq!((copied.records, copied.bytes), (32, 3200));
}

#[test]
fn what_the_records_can_not_have_is_refused_by_row() {
    let symbols = Arc::new(Interner::new(4096));
    let given = FieldSet::of(&[Field::SrcHost, Field::Vlan]);
    let text = "set_tag=1 vlan=3\nset_tag=2 ip=192.0.2.1\nset_tag=3 src_net=::/0 in=3";
    let (map, complaints) = compiled(text, given, &symbols);
    assert_eq!((map.len(), map.needs()), (1, FieldSet::of(&[Field::Vlan])));
    let said: Vec<_> = complaints
        .problems()
        .iter()
        .map(|p| p.message.as_str())
        .collect();
    assert_eq!(
        said,
        [
            "`ip` can not be told: the test gives no `peer_src_ip`",
            "`in` can not be told: the test gives no `in_iface`"
        ]
    );
    // Of two sides one is enough.
    let given = FieldSet::of(&[Field::EgressVrfId]);
    let (map, _) = compiled("set_tag=1 mpls_vpn_id=7", given, &symbols);
    assert_eq!(map.needs(), given);
}

#[test]
fn labels_without_room_are_noticed_and_maps_move_between_stores() {
    let small = Arc::new(Interner::new(300));
    let mut compiler = Compiler::new(Judge::new(everything(), "x"), small.clone());
    let mut complaints = Complaints::default();
    for n in 0..100 {
        compiler.row(
            n,
            1,
            &format!("set_label=label-{n} in={n}"),
            &mut complaints,
        );
    }
    assert!(compiler.homeless());
    let (one, two) = (Arc::new(Interner::new(4096)), Arc::new(Interner::new(4096)));
    two.intern(b"other");
    let (map, _) = compiled("set_label=a in=1\nset_label=b", everything(), &one);
    let map = Arc::new(map);
    assert!(Arc::ptr_eq(&map.clone().moved(&one).unwrap(), &map));
    let moved = Maps::get().map(|here| Only::new(here, map.clone().moved(&two).unwrap()));
    let mut rig = Rig {
        tagger: Tagger::new(moved.unwrap(), 0, 1),
        symbols: two.clone(),
    };
    let (r, s) = (rig.run(|r| r.set_in_iface(1)), rig.run(|_| {}));
    assert_eq!((rig.label(&r), rig.label(&s)), ("a".into(), "b".into()));
    assert!(map.moved(&Arc::new(Interner::new(0))).is_none());
}

#[test]
fn a_hundred_thousand_rows_are_read_in_little_time() {
    let mut text = String::new();
    for n in 0..100_000u32 {
        let [_, a, b, c] = n.to_be_bytes();
        let row = match n % 4 {
            0 => format!("set_tag={} ip=10.{a}.{b}.{c} in={}\n", n + 1, n % 100),
            1 => format!("set_label=nkey%{} ip=10.{a}.{b}.{c}\n", n % 1000),
            2 => format!(
                "set_tag2={} src_net=10.{a}.{b}.{c}/30 vlan=-{}\n",
                n + 1,
                n % 4000
            ),
            _ => format!("set_tag={} dst_as={n} jeq=x{}\n", n + 1, n % 10),
        };
        text.push_str(&row);
    }
    text.push_str(
        &(0..10)
            .map(|n| format!("set_tag=1 label=x{n}\n"))
            .collect::<String>(),
    );
    let symbols = Arc::new(Interner::new(1 << 20));
    let begun = std::time::Instant::now();
    let (map, complaints) = compiled(&text, everything(), &symbols);
    let took = begun.elapsed();
    assert!(complaints.is_empty(), "{complaints:?}");
    assert_eq!(map.len(), 100_010);
    assert!(map.size() < 20 << 20, "{}", map.size());
    // Without optimisation, on a busy machine.
    assert!(took.as_secs() < 60, "{took:?}");
}

#[test]
fn a_row_with_all_that_can_be_asked_at_once_is_found() {
    let mut conditions = Vec::new();
    let mut set: Vec<Set> = Vec::new();
    // One of each key that goes with the others.
    for (condition, yes, _) in KEYS {
        let key = condition.split('=').next().unwrap();
        let apart = [
            "engine_id",
            "engine_type",
            "flowset_id",
            "is_bi_flow",
            "agent_id",
            "sample_type",
            "is_nsel",
            "is_nel",
            "is_multicast",
        ];
        let seen = conditions
            .iter()
            .any(|c: &String| c.starts_with(&format!("{key}=")));
        if !apart.contains(&key) && !seen {
            conditions.push(condition.to_string());
            set.push(*yes);
        }
    }
    assert!(conditions.len() > 25);
    // Two of one kind, so that they are not compared one by one.
    let all = conditions.join(" ");
    let text = format!(
        "set_tag=1 {all}\nset_tag=2 {}\nset_tag=3 {}\nset_tag=4 {}",
        all.replace("vlan=300", "vlan=301"),
        all.replace("vlan=300", "vlan=302"),
        all.replace("vlan=300", "vlan=303")
    );
    let mut rig = Rig::new(&text);
    for (vlan, want) in [(300, 1), (301, 2), (303, 4), (304, 0)] {
        let record = rig.run(|r| {
            set.iter().for_each(|set| set(r));
            r.set_mpls_vpn_rd(65_000 << 32 | 1);
            // Conditions on one field that say different things.
            r.set_ingress_vrf_id(1_610_612_741);
            r.set_egress_vrf_id(7);
            r.set_vlan(vlan);
        });
        assert_eq!(record.tag(), want, "{vlan}");
    }
}
