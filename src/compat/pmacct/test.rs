//! The table, and what lines of a configuration come to.

use super::compile::{Compiled, compile};
use super::parse::Lines;
use super::{Daemon, doc, key, table};
use crate::config::{native, write};
use std::collections::BTreeSet;
use std::io::ErrorKind;

fn of(daemon: Daemon, text: &str) -> Compiled {
    compile(daemon, Lines::parse(text), &|_| {
        Err(ErrorKind::NotFound.into())
    })
}

/// The sections as TOML, without remarks.
fn toml(daemon: Daemon, text: &str) -> String {
    let compiled = of(daemon, text);
    assert!(compiled.problems.is_empty(), "{:?}", compiled.problems);
    let shown = write::show(&compiled.file, &[]);
    let outcome = native::compile(compiled.file, compiled.problems);
    assert!(
        outcome.problems.is_empty(),
        "{:?}\n{shown}",
        outcome.problems
    );
    shown
}

#[test]
fn the_table_has_every_key_once_and_the_page_is_made_of_it() {
    let names: BTreeSet<_> = table::all().map(|key| key.name).collect();
    assert_eq!((names.len(), table::all().count()), (636, 636));
    for key in table::all() {
        assert!(!key.take.words().is_empty());
        assert!(key.daemons.iter().next().is_some(), "{}", key.name);
        let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
        assert!(key.name.chars().all(plain), "{}", key.name);
    }
    let page = include_str!("../../../docs/pmacct-keys.md");
    let fresh = doc::page();
    let differs = page.lines().zip(fresh.lines()).find(|(a, b)| a != b);
    assert_eq!(differs, None, "weir gen pmacct-keys > docs/pmacct-keys.md");
    assert_eq!(page.len(), fresh.len());
}

#[test]
fn keys_of_one_variable_share_it() {
    for (a, b, same) in [
        ("nfacctd_port", "sfacctd_port", true),
        ("nfacctd_as", "pmacctd_as", true),
        ("nfacctd_as_new", "sfacctd_as", true),
        ("print_refresh_time", "kafka_refresh_time", true),
        ("print_output_file", "sql_table", true),
        ("sql_db", "amqp_exchange", true),
        ("print_output", "kafka_output", false),
        ("sql_user", "amqp_user", false),
        ("timestamps_rfc3339", "timestamps_rfc9557", true),
        ("amqp_time_roundoff", "sql_history_roundoff", true),
    ] {
        let variable = |name| key::find(name).unwrap().variable();
        assert_eq!(variable(a) == variable(b), same, "{a} {b}");
    }
}

#[test]
fn lines_are_read_by_the_rules_of_the_file() {
    let text = "! comment\n # comment\n\nNfacctd _Port : 9995\naggregate[ a ]: SRC_HOST, Proto\n\
                plugins: print[a]\nprint_output[a]: CSV\ndebug: False\n";
    let lines = Lines::parse(text);
    assert!(
        lines.problems.is_empty() && lines.warnings.is_empty(),
        "{lines:?}"
    );
    let keys: Vec<_> = lines.lines.iter().map(|line| line.key.name).collect();
    assert_eq!(
        keys,
        [
            "nfacctd_port",
            "aggregate",
            "plugins",
            "print_output",
            "debug"
        ]
    );
    assert_eq!(lines.lines[1].plugin.as_deref(), Some("a"));
    assert_eq!(lines.lines[1].place.line, 5);
    assert_eq!(lines.lines[1].value_at.column, 17);
}

#[test]
fn what_pmacct_ends_on_is_a_mistake_and_the_rest_a_warning() {
    for (text, want) in [
        ("nonsense", "f:1:1: `nonsense` is no `key: value`"),
        (": x", "f:1:1: a key belongs before"),
        ("aggregate[a: x", "f:1:1: brackets do not match"),
        ("aggregate a]: [x", "f:1:1: `aggregate a]` has a `]`"),
        (
            "sql_table_version: 0",
            "f:1:20: `sql_table_version` is `0`; it takes a whole number",
        ),
        (
            "aggregate: src_hots",
            "f:1:12: no primitive `src_hots`; did you mean `src_host`?",
        ),
        (
            "plugins: print\nprint_output_file: x%Q",
            "f:2:20: `print_output_file` has `%Q`",
        ),
        (
            "plugins: kafka",
            "f:1:10: plugin default_kafka: this build has no Kafka",
        ),
        (
            "plugins: print\ndaemonize: true",
            "it needs `print_output_file`",
        ),
        (
            "nfacctd_ip: 999.1.1.1",
            "f:1:13: `nfacctd_ip` is `999.1.1.1`; it takes an address",
        ),
        (
            "pcap_savefile: x\nnfacctd_ip: ::1",
            "f:2:1: `pcap_savefile` and `nfacctd_ip`",
        ),
    ] {
        let compiled = of(Daemon::Nfacctd, text);
        let said: Vec<_> = compiled
            .problems
            .iter()
            .map(|p| native::show("f", p))
            .collect();
        assert!(said.iter().any(|s| s.contains(want)), "{text}: {said:?}");
    }
    for (text, want) in [
        (
            "nfacctd_prot: 1",
            "f:1:1: no key `nfacctd_prot`; did you mean `nfacctd_port`?",
        ),
        (
            "nfacctd_port: x",
            "f:1:15: `nfacctd_port` is `x`; it takes a port",
        ),
        (
            "debug: yes",
            "f:1:8: `debug` is `yes`; it takes `true` `false`",
        ),
        ("debug: true ! now", "a comment is a line of its own"),
        ("print_refresh_time: 60s", "it takes whole seconds"),
        ("print_history: 90s", "it takes a number and one of"),
        ("print_output: jsn", "did you mean `json`?"),
        (
            "pre_tag_filter: 3",
            "f:1:1: `pre_tag_filter` is for one plugin",
        ),
        ("nfacctd_port[a]: 3", "`nfacctd_port` is for all plugins"),
        ("aggregate:", "`aggregate` has no value"),
        (
            "nfacctd_disable_checks: true",
            "it is `nfacctd_disable_sanity_checks` since 1.7.9",
        ),
        ("mongo_host: x", "MongoDB went"),
        (
            "daemonize: false",
            "no plugin: rows go to a table in memory",
        ),
    ] {
        let compiled = of(Daemon::Nfacctd, text);
        assert_eq!(compiled.problems, [], "{text}");
        let said: Vec<_> = compiled
            .warnings
            .iter()
            .map(|p| native::show("f", p))
            .collect();
        assert!(said.iter().any(|s| s.contains(want)), "{text}: {said:?}");
    }
}

#[test]
fn no_key_is_silently_eaten() {
    // Every key that is not translated and not the face's is told of, with a value it takes.
    let mut told = 0;
    for key in table::all().filter(|key| key.scope != key::Scope::Plugin) {
        let (key::Fate::Idle(_) | key::Fate::Absent(_)) = key.fate else {
            continue;
        };
        let daemon = key.daemons.iter().next().unwrap();
        let value = match key.take {
            key::Take::Flag => "true".into(),
            key::Take::Number(least, _) | key::Take::Seconds(least) => least.max(1).to_string(),
            key::Take::Signed(_, most) => most.min(5).to_string(),
            key::Take::Port => "99".into(),
            key::Take::Words(words) => words[0].into(),
            key::Take::Letters(letters) => letters[..1].into(),
            key::Take::Bins => "5m".into(),
            key::Take::Address => "192.0.2.1".into(),
            _ => "x".to_string(),
        };
        let text = format!(
            "plugins: print\naggregate: src_host\n{}: {value}\n",
            key.name
        );
        let compiled = of(daemon, &text);
        let notes = compiled.notes.iter().filter(|note| note.key == key.name);
        assert_eq!(notes.count(), 1, "{}: {:?}", key.name, compiled.warnings);
        told += 1;
    }
    assert!(told > 400, "only {told}");
}

#[test]
fn a_collector_becomes_sections() {
    let text = "plugins: print[day by day], memory\n\
        aggregate[day by day]: src_host, dst_host\naggregate[default_memory]: proto\n\
        print_output: json\nprint_output_file: /var/spool/%Y-$peer_src_ip\n\
        print_history: 5m\nprint_refresh_time: 300\nnfacctd_port: 2055\nnfacctd_ip: 192.0.2.1\n\
        nfacctd_time_new: true\nprint_cache_entries: 32768\ntimestamps_utc: true\n\
        imt_path: /run/a.pipe\nimt_mem_pools_number: 0\nlogfile: /var/log/a\n";
    let toml = toml(Daemon::Nfacctd, text);
    for want in [
        "memory = \"172 MiB\"",
        "[log]\nto = \"file\"\nfile = \"/var/log/a\"",
        "[input.nfacctd]\nkind = \"udp\"\nlisten = \"192.0.2.1:2055\"\ndecode = \"netflow\"",
        "[aggregate.day_by_day]\nby = [\"src_host\", \"dst_host\"]\nevery = \"5m\"\n",
        "path = \"/var/spool/%Y-null\"\nappend = false\nexisting = \"overwrite\"\nmode = \"0600\"",
        "[output.default_memory]\nkind = \"memory\"\nsocket = \"/run/a.pipe\"\nsize = \"64 MiB\"",
        "timezone = \"UTC\"",
    ] {
        assert!(toml.contains(want), "{want}\n{toml}");
    }
    assert!(
        !toml.contains("flush") && !toml.contains("time = "),
        "{toml}"
    );
}

#[test]
fn a_delay_at_the_start_holds_for_all_that_is_handed_out() {
    let text = |port: &str| {
        format!(
            "plugins: print\naggregate: src_host\nprint_history: 5m\nprint_refresh_time: 300\n\
             sql_startup_delay: 90\n{port}"
        )
    };
    let live = toml(Daemon::Nfacctd, &text("nfacctd_port: 2055\n"));
    assert!(live.contains("flush_delay = \"90s\""), "{live}");
    let file = toml(Daemon::Nfacctd, &text("pcap_savefile: /tmp/a.pcap\n"));
    assert!(!file.contains("flush_delay"), "{file}");
}

#[test]
fn a_primitive_has_a_name_of_its_own() {
    let map = "name=one field_type=234 len=4 semantics=u_int\n\
               name=Proto field_type=235 len=4 semantics=u_int\n\
               name=ONE field_type=235 len=4 semantics=hex\n";
    let lines = Lines::parse("plugins: print\naggregate: one, proto\naggregate_primitives: p\n");
    let there = |_: &str| Ok(Box::new(map.as_bytes()) as Box<dyn std::io::BufRead>);
    let compiled = compile(Daemon::Nfacctd, lines, &there);
    assert_eq!(compiled.problems, []);
    let said: Vec<_> = compiled
        .warnings
        .iter()
        .map(|p| p.message.as_str())
        .collect();
    assert_eq!(
        said,
        [
            "p:2: name `proto` is that of a primitive that is there by itself; the row is left out",
            "p:3: name `one` is that of line 1 already; capitals make no difference; \
             the row is left out",
        ]
    );
    let shown = write::show(&compiled.file, &[]);
    assert_eq!(shown.matches("[primitive.one]").count(), 1);
    assert!(shown.contains("element = 234"), "{shown}");
}

#[test]
fn what_shows_in_no_row_becomes_settings() {
    let probe = "plugins: print\naggregate: proto\npcap_interface: eth0\npcap_ifindex: none\n\
                 pcap_direction: in\npromisc: false\nsnaplen: 200\npmacctd_pipe_size: 4194304\n\
                 debug: true\nsyslog: local3\n";
    let shown = toml(Daemon::Pmacctd, probe);
    for want in [
        "interface = \"eth0\"",
        "index = 0",
        "direction = \"in\"",
        "promiscuous = false",
        "snap = 200",
        "ring = 4194304",
        "level = \"debug\"",
        "to = \"syslog\"\nfacility = \"local3\"",
    ] {
        assert!(shown.contains(want), "{want}\n{shown}");
    }
    let collector = "plugins: print\naggregate: proto\nnfacctd_pipe_size: 4096000\n\
                     nfacctd_allow_file: allow\nnfacctd_templates_file: templates\n\
                     timestamps_utc: true\nprint_cache_entries: 100000\n";
    let shown = toml(Daemon::Nfacctd, collector);
    for want in [
        "memory = \"75 MiB\"",
        "receive_buffer = 4096000",
        "allow_file = \"allow\"",
        "templates = \"templates\"",
        "timezone = \"UTC\"",
    ] {
        assert!(shown.contains(want), "{want}\n{shown}");
    }
    let map = "ifname=eth0 ifindex=7\nifname=eth1 ifindex=8 direction=out\n";
    let lines = "plugins: print\npcap_interfaces_map: i\npcap_ifindex: map\n";
    let there = |_: &str| Ok(Box::new(map.as_bytes()) as Box<dyn std::io::BufRead>);
    let compiled = compile(Daemon::Pmacctd, Lines::parse(lines), &there);
    let shown = write::show(&compiled.file, &[]);
    for want in [
        "[input.eth0]",
        "index = 7",
        "[input.eth1]",
        "index = 8",
        "\"out\"",
    ] {
        assert!(shown.contains(want), "{want}\n{shown}");
    }
}

proptest::proptest! {
    #[test]
    fn no_text_upsets_the_compiler(
        text in "((plugins|aggregate|print_output_file|nfacctd_port|x)(\\[[ab]?\\]?)?[: ]{0,2}\
                 [a-z%$\\[\\],0-9]{0,12}\n){0,8}",
        which in 0usize..7,
    ) {
        let compiled = of(Daemon::ALL[which], &text);
        let lines = text.lines().count() as u32;
        for problem in compiled.problems.iter().chain(&compiled.warnings) {
            proptest::prop_assert!(problem.place.line <= lines.max(1));
        }
    }
}

#[test]
fn the_budget_has_room_for_maps() {
    let dir = tempfile::tempdir().unwrap();
    let map = dir.path().join("tags.map");
    let memory = |rows: usize| {
        std::fs::write(&map, "set_tag=1 ip=192.0.2.1\n".repeat(rows)).unwrap();
        let text = format!("plugins: print\npre_tag_map: {}\n", map.display());
        let compiled = of(Daemon::Nfacctd, &text);
        let file = crate::config::write::show(&compiled.file, &[]);
        let line = file.lines().find(|l| l.starts_with("memory = ")).unwrap();
        let mib: u64 = line
            .chars()
            .filter(char::is_ascii_digit)
            .collect::<String>()
            .parse()
            .unwrap();
        mib
    };
    let (small, large) = (memory(10), memory(100_000));
    // Two places where rows are kept may have it: for the core and for the plugin.
    assert!(large >= small + 8, "{small} {large}");
}
