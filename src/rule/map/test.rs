use super::*;
use crate::base::options::Place;

fn read(name: &str, text: &str) -> (Vec<Row>, Complaints) {
    let kind = kind(name).unwrap();
    let (mut rows, mut complaints) = (Vec::new(), Complaints::default());
    let whole = crate::base::lines::each(
        &mut text.as_bytes(),
        1 << 20,
        &mut complaints,
        &mut |line, column, text: &str, complaints: &mut Complaints| {
            rows.extend(kind.row(line, column, text, complaints));
        },
    );
    assert!(whole.unwrap());
    (rows, complaints)
}

/// The one thing that is wrong.
fn wrong(name: &str, text: &str) -> (u32, u32, String) {
    let (rows, complaints) = read(name, text);
    assert!(rows.is_empty(), "{text}");
    let [problem] = complaints.problems() else {
        panic!("{text}: {complaints:?}")
    };
    let Place { line, column } = problem.place;
    (line, column, problem.message.clone())
}

#[test]
fn keys_come_in_any_order_with_blanks_quotes_and_comments() {
    let text = "! pre_tag_map\n\n  # rows\n\
        set_tag=10 ip=192.0.2.0/24\tin=-3\n\
        \t filter='src net 10.0.0.0/8 and port 80'   set_label=nkey%a,pkey%b\r\n\
        label=x jeq=\"next\" vlan=7";
    let (rows, complaints) = read("tags", text);
    assert!(complaints.is_empty(), "{complaints:?}");
    let lines: Vec<u32> = rows.iter().map(|row| row.line).collect();
    assert_eq!(lines, [4, 5, 6]);
    let tag = rows[0].item("set_tag").unwrap();
    assert_eq!((&tag.value, tag.column), (&Value::Number(10), 9));
    let input = rows[0].item("in").unwrap();
    assert_eq!(
        (&input.value, input.negated, input.column),
        (&Value::Number(3), true, 31)
    );
    assert_eq!(
        rows[1].text("filter"),
        Some("src net 10.0.0.0/8 and port 80")
    );
    assert_eq!(rows[1].text("set_label"), Some("nkey%a,pkey%b"));
    assert_eq!(rows[1].item("set_label").unwrap().column, 55);
    assert_eq!(rows[2].text("jeq"), Some("next"));
}

#[test]
fn each_mistake_has_its_place_what_was_read_and_what_is_allowed() {
    for (map, text, line, column, said) in [
        ("tags", "set_tag=1 vlna=3", 1, 11, "did you mean `vlan`?"),
        (
            "tags",
            "\nset_tag=1 quux=3",
            2,
            11,
            "it has set_tag, set_tag2, ",
        ),
        (
            "tags",
            "set_tag=1 vlan=4096",
            1,
            16,
            "`vlan` is `4096`; it takes a number from 0 to 4095",
        ),
        (
            "tags",
            "set_tag=-1",
            1,
            9,
            "it takes a number from 0 to 18446744073709551615, or N++",
        ),
        (
            "tags",
            "set_tag=1 ip=-192.0.2.1",
            1,
            14,
            "an address or a prefix",
        ),
        ("tags", "  set_tag=1 vlan", 1, 13, "write vlan=VALUE"),
        ("tags", "set_tag = 1", 1, 1, "`set_tag` has no value"),
        ("tags", "set_tag=1 vlan=", 1, 11, "`vlan` has no value"),
        (
            "tags",
            "set_tag=1 filter='port 80",
            1,
            19,
            "the quotes of `filter`",
        ),
        (
            "tags",
            "set_tag=1 filter='port'80",
            1,
            19,
            "the quotes of `filter`",
        ),
        (
            "tags",
            "set_tag=1 vlan=1 vlan=2",
            1,
            18,
            "`vlan` is there twice",
        ),
        (
            "tags",
            "set_tag=1 set_label=x",
            1,
            1,
            "`set_tag` and `set_label` exclude each other",
        ),
        ("tags", "set_tag=1 in=ä", 1, 14, "`in` is `ä`"),
        ("sampling", "ip=192.0.2.1", 1, 1, "the row has no `id`"),
        ("sampling", "id=0", 1, 4, "a number from 1 to"),
        ("rd", "id=0:1", 1, 4, "0:AS:NUMBER"),
        ("agents", "bgp_ip=192.0.2.1", 1, 1, "the row has no `ip`"),
        (
            "agents",
            "ip=192.0.2.1",
            1,
            1,
            "the row has no `bgp_ip` or `bmp_ip` or `id`",
        ),
        ("sources", "id=bpg", 1, 4, "or bgp"),
        (
            "receivers",
            "id=1",
            1,
            1,
            "the row has no `ip` or `kafka_broker` or `zmq_address`",
        ),
        ("interfaces", "ifname=eth0 direction=both", 1, 23, "in, out"),
        (
            "sessions",
            "bgp_dst=192.0.2.1 bgp_src=::/0",
            1,
            9,
            "an address and a port",
        ),
        (
            "primitives",
            "name=x len=1 semantics=u_int",
            1,
            1,
            "no `field_type` or `packet_ptr`",
        ),
        (
            "bmp-tags",
            "ip=192.0.2.1",
            1,
            1,
            "no `set_tag` or `set_label`",
        ),
        (
            "telemetry-tags",
            "set_tag=1 in=3",
            1,
            11,
            "no key `in`; did you mean `ip`?",
        ),
    ] {
        let (l, c, message) = wrong(map, text);
        assert!(message.contains(said), "{text}: {message}");
        assert_eq!((l, c), (line, column), "{text}: {message}");
    }
}

#[test]
fn a_bad_row_does_not_take_the_others_with_it() {
    let text = "id=100 ip=192.0.2.1\nid=x y=1\nid=200\n";
    let (rows, complaints) = read("sampling_map", text);
    assert_eq!((rows.len(), complaints.count()), (2, 2));
}

#[test]
fn rows_of_every_kind_of_map_are_read() {
    for (map, text) in [
        (
            "flow_to_rd_map",
            "id=1:10.10.0.33:203  ip=192.168.100.1 mpls_vpn_id=1610612741",
        ),
        (
            "bgp_agent_map",
            "bgp_ip=192.0.2.9 ip=0.0.0.0/0 filter='vlan and ip'",
        ),
        ("bmp_agent_map", "bmp_ip=192.0.2.9 ip=::/0 in=4"),
        (
            "bgp_src_med_map",
            "id=bgp ip=192.0.2.1 in=-4 src_net=10.0.0.0/8",
        ),
        (
            "bgp_peer_dst_ip_map",
            "id=192.0.2.7 ip=192.0.2.1 bgp_nexthop=192.0.2.8",
        ),
        (
            "pcap_interfaces_map",
            "ifname=eth0 ifindex=100 direction=in",
        ),
        (
            "tee_receivers",
            "id=1 ip=192.0.2.1:2100,[::1]:2 tag=1,-2,3-4 balance-alg=rr",
        ),
        (
            "bgp_daemon_xconnect_map",
            "bgp_dst=192.0.2.1:179 bgp_src=192.0.2.0/24",
        ),
        (
            "bgp_daemon_tag_map",
            "set_tag=1 ip=192.0.2.1 comms=-65000:1 jeq=next",
        ),
        ("bmp_daemon_tag_map", "set_label=nkey%x ip=192.0.2.1"),
        ("telemetry_daemon_tag_map", "set_tag=1 ip=192.0.2.1"),
        (
            "aggregate_primitives",
            "name=a field_type=9:12235 len=vlen semantics=str",
        ),
    ] {
        let (rows, complaints) = read(map, text);
        assert!(complaints.is_empty(), "{map}: {complaints:?}");
        assert_eq!(rows.len(), 1, "{map}");
    }
    assert!(kind("nonsense").is_none());
}

#[test]
fn names_are_unique_and_lists_name_keys_that_exist() {
    for (n, kind) in KINDS.iter().enumerate() {
        for other in &KINDS[n + 1..] {
            assert_ne!(kind.name, other.name);
            assert!(kind.files.iter().all(|f| !other.files.contains(f)));
        }
        for (n, key) in kind.keys.iter().enumerate() {
            assert!(
                kind.keys[n + 1..].iter().all(|k| k.name != key.name),
                "{}",
                key.name
            );
        }
        for name in kind.needs.iter().chain(kind.one_of).flat_map(|list| *list) {
            assert!(kind.keys.iter().any(|k| k.name == *name), "{name}");
        }
    }
}

#[test]
fn hostile_rows_are_complained_of_in_bounded_words() {
    let long = "x".repeat(1 << 16);
    for text in [
        long.clone(),
        format!("set_tag={long}"),
        format!("set_label={long}"),
        "='='='='=".into(),
        "= = = =".into(),
        "'' '' ''".into(),
        "filter=' ' ' ' '".into(),
        "vlan=--1".into(),
        "set_tag=1|vlan=2".into(),
        "\u{feff}set_tag=1".into(),
    ] {
        let (rows, complaints) = read("tags", &text);
        assert!(rows.is_empty() && !complaints.is_empty());
        for problem in complaints.problems() {
            assert!(problem.message.len() < 1000, "{}", problem.message.len());
        }
    }
}
