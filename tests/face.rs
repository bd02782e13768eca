//! weir under the names of pmacct's programs: command lines, exit codes, detaching, files with the
//! number of the process, logs and signals.

mod daemon;

use daemon::{data, datagrams, wait_for};
use std::fs;
use std::net::UdpSocket;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

fn weir() -> &'static str {
    env!("CARGO_BIN_EXE_weir")
}

fn run(at: &Path, program: &str, args: &[&str]) -> Output {
    Command::new(weir())
        .args(["pmacct", program])
        .args(args)
        .current_dir(at)
        .env("TZ", "UTC")
        .stdin(Stdio::null())
        .output()
        .unwrap()
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

fn printed(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

#[test]
fn the_name_of_the_program_chooses_the_face() {
    let at = tempfile::tempdir().unwrap();
    for name in ["nfacctd", "pmacctd", "pmtelemetryd", "pmacct"] {
        let link = at.path().join(name);
        std::os::unix::fs::symlink(weir(), &link).unwrap();
        let output = Command::new(&link).arg("-V").output().unwrap();
        assert!(output.status.success());
        assert!(printed(&output).contains(&format!("standing in for {name}")));
        let output = Command::new(&link).arg("-h").output().unwrap();
        assert!(output.status.success() && printed(&output).contains("-V"));
    }
    let primitives = run(at.path(), "nfacctd", &["-a"]);
    assert!(printed(&primitives).lines().any(|line| line == "src_host"));
    let nobody = run(at.path(), "nfactd", &[]);
    assert_eq!(nobody.status.code(), Some(2));
    assert!(said(&nobody).contains("did you mean `nfacctd`?"));
    let unknown = run(at.path(), "nfacctd", &["-x"]);
    assert_eq!(unknown.status.code(), Some(2));
    assert!(said(&unknown).contains("nfacctd has no option -x"));
}

#[test]
fn a_command_line_is_enough() {
    let at = tempfile::tempdir().unwrap();
    let input = data("office.pcap");
    let input = input.to_str().unwrap();
    let args = [
        "-I", input, "-P", "print", "-c", "proto", "-O", "csv", "-u", "tcp", "port", "80",
    ];
    let output = run(at.path(), "pmacctd", &args);
    assert!(output.status.success(), "{}", said(&output));
    let rows = printed(&output);
    assert!(rows.starts_with("PROTOCOL,PACKETS,BYTES\n6,"), "{rows}");
    assert_eq!(rows.lines().count(), 2, "{rows}");
}

#[test]
fn the_plugins_of_the_file_win_and_all_else_of_the_command_line() {
    let at = tempfile::tempdir().unwrap();
    let text = format!(
        "plugins: print\naggregate: proto\nprint_output: json\npcap_savefile: {}\n",
        data("softflowd-v9.pcap").display()
    );
    fs::write(at.path().join("c.conf"), text).unwrap();
    let args = ["-f", "c.conf", "-P", "memory", "-O", "csv", "-c", "none"];
    let output = run(at.path(), "nfacctd", &args);
    assert_eq!(printed(&output), "PACKETS,BYTES\n2085,1255282\n");
    assert!(said(&output).contains("plugins are named once"));
}

#[test]
fn all_mistakes_are_told_at_once_and_end_it() {
    let at = tempfile::tempdir().unwrap();
    let text = "plugins: print\naggregate: src_hots\nprint_output_file: x%Q\nnonsense\n\
                aggregate_filter[default_print]: port\nbogus_key: 1\n";
    fs::write(at.path().join("c.conf"), text).unwrap();
    let output = run(at.path(), "nfacctd", &["-f", "c.conf"]);
    assert_eq!(output.status.code(), Some(3));
    let said = said(&output);
    for want in [
        "c.conf:2:12: no primitive `src_hots`; did you mean `src_host`?",
        "c.conf:3:20: `print_output_file` has `%Q`",
        "c.conf:4:1: `nonsense` is no `key: value`",
        "c.conf: 4 mistakes",
        "WARN ( default/core ): [c.conf:6:1] no key `bogus_key`",
    ] {
        assert!(said.contains(want), "{want}\n{said}");
    }
    let missing = run(at.path(), "nfacctd", &["-f", "none.conf"]);
    assert_eq!(missing.status.code(), Some(3));
}

/// A configuration in which every line has a mistake, and what is said of each.
const THIRTY: &[(&str, &str)] = &[
    (
        "plugins: print[a], memroy[b]",
        "1:20: no plugin of type `memroy`; did you mean `memory`?",
    ),
    (
        "aggregate[a]: dst_host, src_hots",
        "2:25: no primitive `src_hots`; did you mean `src_host`?",
    ),
    (
        "nfacctd_prot: 2055",
        "3:1: no key `nfacctd_prot`; did you mean `nfacctd_port`?",
    ),
    (
        "nfacctd_port: 70000",
        "4:15: `nfacctd_port` is `70000`; it takes a port from 1 to 65535",
    ),
    (
        "nfacctd_ip: 10.0.0.256",
        "5:13: `nfacctd_ip` is `10.0.0.256`; it takes an address",
    ),
    (
        "debug: yes",
        "6:8: `debug` is `yes`; it takes `true` `false`",
    ),
    (
        "daemonize: 1",
        "7:12: `daemonize` is `1`; it takes `true` `false`",
    ),
    (
        "syslog: deamon",
        "8:9: `syslog` is `deamon`; it takes `auth`",
    ),
    (
        "print_output[a]: jsn",
        "9:18: `print_output` is `jsn`; it takes `formatted`",
    ),
    (
        "print_output_file[a]: out/%Q",
        "10:23: `print_output_file` has `%Q`; it takes %d",
    ),
    (
        "print_output_file[x]: out/b",
        "11:1: no plugin `x`; did you mean `a`?",
    ),
    (
        "print_refresh_time: 60s",
        "12:21: `print_refresh_time` is `60s`; it takes whole seconds",
    ),
    (
        "print_history: 90s",
        "13:16: `print_history` is `90s`; it takes a number and one of",
    ),
    (
        "print_history_roundoff: x",
        "14:25: `print_history_roundoff` is `x`; it takes any of the",
    ),
    (
        "print_cache_entries: many",
        "15:22: `print_cache_entries` is `many`; it takes a whole",
    ),
    (
        "aggregate_filter: udp",
        "16:1: `aggregate_filter` is for one plugin: write aggregate_filter[",
    ),
    (
        "aggregate_filter[a]: port port",
        "17:22: aggregate.a: filter `port port`: ",
    ),
    (
        "pre_tag_map: none.map",
        "18:14: input.nfacctd.tags is \"none.map\": ",
    ),
    (
        "pre_tag_filter[a]: 3, 1-",
        "19:23: `tag_filter` is \"1-\"; it takes tags and ranges",
    ),
    (
        "networks_mask: 129",
        "20:16: `networks_mask` is `129`; it takes a whole number from 1 to 128",
    ),
    (
        "nfacctd_as: flie",
        "21:13: `nfacctd_as` is `flie`; it takes `netflow`",
    ),
    (
        "nfacctd_renormalize[a]: true",
        "22:1: `nfacctd_renormalize` is for all plugins alike",
    ),
    (
        "files_umask: 8",
        "23:14: `files_umask` is `8`; it takes an octal number",
    ),
    ("imt_buckets:", "24:13: `imt_buckets` has no value"),
    ("nonsense", "25:1: `nonsense` is no `key: value`"),
    (": 3", "26:1: a key belongs before the `:`"),
    ("print_output_separator[a: x", "27:1: brackets do not match"),
    (
        "print_preprocess[a]: minx=3",
        "28:22: `preprocess` has \"minx=3\": no such check",
    ),
    (
        "nfacctd_disable_checks: true",
        "29:1: `nfacctd_disable_checks` is no key any more: it is",
    ),
    (
        "sql_table_version: 0",
        "30:20: `sql_table_version` is `0`; it takes a whole number from 1 to",
    ),
    (
        "timestamps_utc: true ! x",
        "31:17: `timestamps_utc` is `true ! x`; it takes `true` `false`",
    ),
];

#[test]
fn thirty_mistakes_are_thirty_messages() {
    let at = tempfile::tempdir().unwrap();
    let lines: Vec<&str> = THIRTY.iter().map(|(line, _)| *line).collect();
    fs::write(at.path().join("c.conf"), lines.join("\n")).unwrap();
    let output = run(at.path(), "nfacctd", &["-f", "c.conf"]);
    assert_eq!(output.status.code(), Some(3));
    // A warning has its place in brackets.
    let said = said(&output)
        .replace("[c.conf:", "c.conf:")
        .replace("] ", ": ");
    for (line, want) in THIRTY {
        let want = format!("c.conf:{want}");
        assert_eq!(said.matches(&want).count(), 1, "{line}: {want}\n{said}");
    }
    for near in [
        "did you mean `json`?",
        "did you mean `daemon`?",
        "did you mean `file`?",
    ] {
        assert!(said.contains(near), "{near}\n{said}");
    }
    // One line each, and the count.
    assert_eq!(said.lines().count(), THIRTY.len() + 1, "{said}");
}

#[test]
fn a_map_without_a_right_row_and_jumps_without_an_end_are_told_of_and_start() {
    let at = tempfile::tempdir().unwrap();
    let text = format!(
        "plugins: print\naggregate: tag, proto\nprint_output: csv\nprint_output_file: rows\n\
         pre_tag_map: MAP\npcap_savefile: {}\n",
        data("softflowd-v9.pcap").display()
    );
    let maps = [
        (
            "set_tag=1 vlna=3\n",
            &[
                "bad.map:1:11: ",
                "did you mean `vlan`?",
                "none of its rows can be used",
            ][..],
            "TAG,PROTOCOL,PACKETS,BYTES\n0,tcp,",
        ),
        (
            "set_tag=1 label=a jeq=b\nset_tag=2 label=b jeq=a\nset_tag=3 label=c jeq=c\n",
            &[
                "bad.map:2:",
                "`jeq` is `a`; label `a` is not below",
                "bad.map:3:",
                "so there are no loops",
            ],
            "TAG,PROTOCOL,PACKETS,BYTES\n2,tcp,",
        ),
        (
            "set_tag=7 in=x\nset_tag=8\n",
            &["bad.map:1:14: ", "`in` is `x`; it takes a number"],
            "TAG,PROTOCOL,PACKETS,BYTES\n8,tcp,",
        ),
    ];
    for (map, wants, rows) in maps {
        fs::write(at.path().join("bad.map"), map).unwrap();
        fs::write(at.path().join("c.conf"), text.replace("MAP", "bad.map")).unwrap();
        let output = run(at.path(), "nfacctd", &["-f", "c.conf"]);
        let said = said(&output);
        assert!(output.status.success(), "{said}");
        for want in wants {
            assert!(said.contains(want), "{want}\n{said}");
        }
        let got = fs::read_to_string(at.path().join("rows")).unwrap();
        assert!(got.starts_with(rows), "{got}");
        fs::remove_file(at.path().join("rows")).unwrap();
    }
}

#[test]
#[cfg(feature = "sink-sqlite")]
fn tables_of_a_database_have_the_names_that_the_configuration_gives() {
    let at = tempfile::tempdir().unwrap();
    let text = format!(
        "plugins: sqlite3[a], sqlite3[b], sqlite3[c]\naggregate: proto, src_port\n\
         sql_db: {0}/db\nsql_table[a]: mine\nsql_table_version[b]: 7\n\
         sql_history[c]: 1h\nsql_refresh_time: 60\nsql_preprocess: minp=400\npcap_savefile: {1}\n",
        at.path().display(),
        data("softflowd-v9.pcap").display()
    );
    fs::write(at.path().join("c.conf"), text).unwrap();
    let output = run(at.path(), "nfacctd", &["-f", "c.conf"]);
    assert!(output.status.success(), "{}", said(&output));
    let database = rusqlite::Connection::open(at.path().join("db")).unwrap();
    let sum = |table: &str| -> i64 {
        let ask = format!("SELECT sum(packets) FROM {table} WHERE ip_proto = 'tcp'");
        database.query_row(&ask, [], |row| row.get(0)).unwrap()
    };
    let tables = ["mine", "acct_v7", "acct"].map(sum);
    assert!(
        tables[0] >= 400 && tables.iter().all(|n| *n == tables[0]),
        "{tables:?}"
    );
    let ask = "SELECT count(DISTINCT stamp_inserted) FROM acct";
    let bins: i64 = database.query_row(ask, [], |row| row.get(0)).unwrap();
    assert_eq!(bins, 1);
}

#[test]
fn a_daemon_that_is_not_here_says_so_and_reads_its_options() {
    let at = tempfile::tempdir().unwrap();
    fs::write(at.path().join("c.conf"), "bmp_daemon_port: 1x\n").unwrap();
    for program in ["uacctd", "pmbgpd", "pmbmpd", "pmtelemetryd"] {
        let output = run(at.path(), program, &["-f", "c.conf"]);
        assert_eq!(output.status.code(), Some(3), "{program}");
        let said = said(&output);
        let last = said.lines().last().unwrap();
        assert!(
            last.starts_with(program) && last.contains("this build has no"),
            "{said}"
        );
        assert!(
            said.contains("c.conf:1:18") && said.contains("it takes a port"),
            "{said}"
        );
    }
}

#[test]
fn dry_runs_end_by_themselves() {
    let at = tempfile::tempdir().unwrap();
    let taken = UdpSocket::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port();
    let text = format!(
        "plugins: print\naggregate: proto\nnfacctd_ip: 127.0.0.1\nnfacctd_port: {port}\n\
         print_output_file: rows\npidfile: pid\n"
    );
    fs::write(at.path().join("c.conf"), text).unwrap();
    let output = run(at.path(), "nfacctd", &["-f", "c.conf", "-T", "config"]);
    assert_eq!(output.status.code(), Some(0), "{}", said(&output));
    // `setup` opens the port, which is another's.
    let output = run(at.path(), "nfacctd", &["-f", "c.conf", "-T", "setup"]);
    assert_eq!(output.status.code(), Some(1), "{}", said(&output));
    assert!(said(&output).contains("cannot listen on"));
    drop(taken);
    let output = run(at.path(), "nfacctd", &["-f", "c.conf", "-T", "setup"]);
    assert_eq!(output.status.code(), Some(0), "{}", said(&output));
    assert!(!at.path().join("pid").exists());
}

fn signal(pid: &str, name: &str) -> bool {
    let kill = Command::new("kill")
        .args([&format!("-{name}"), pid])
        .output();
    kill.unwrap().status.success()
}

#[test]
fn a_detached_daemon_lives_by_its_files_and_signals() {
    let at = tempfile::tempdir().unwrap();
    let dir = at.path();
    let port = UdpSocket::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .port();
    let text = format!(
        "core_proc_name: flows\ndaemonize: true\npidfile: {0}/pid\nlogfile: {0}/log\n\
         plugins: print[a], memory[m]\naggregate: proto, tag\nprint_output: csv\n\
         print_output_file[a]: {0}/rows\nprint_refresh_time: 3600\nfiles_umask: 027\n\
         imt_path[m]: {0}/pipe\nnfacctd_ip: 127.0.0.1\nnfacctd_port: {port}\n\
         pre_tag_map: {0}/tags\nnfacctd_allow_file: {0}/allow\n",
        dir.display()
    );
    fs::write(dir.join("c.conf"), text).unwrap();
    fs::write(dir.join("tags"), "set_tag=1\n").unwrap();
    fs::write(dir.join("allow"), "! nobody else\n192.0.2.1\n").unwrap();
    let output = run(dir, "nfacctd", &["-f", "c.conf"]);
    assert!(output.status.success(), "{}", said(&output));
    let read = |name: &str| fs::read_to_string(dir.join(name)).unwrap_or_default();
    wait_for(|| read("log").contains("runs c.conf"));
    let pid = read("pid").trim().to_string();
    for name in ["pid-print-a", "pid-memory-m"] {
        assert_eq!(read(name).trim(), pid);
    }
    assert!(
        read("log").contains(" INFO ( flows/core ): runs c.conf"),
        "{}",
        read("log")
    );

    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    let feed = || {
        for datagram in datagrams("softflowd-v5.pcap") {
            socket.send_to(&datagram, ("127.0.0.1", port)).unwrap();
        }
    };
    let count = || {
        let pipe = dir.join("pipe");
        let args = [
            "-p",
            pipe.to_str().unwrap(),
            "-c",
            "tag",
            "-N",
            "*",
            "-n",
            "packets",
        ];
        printed(&run(dir, "pmacct", &args)).trim().to_string()
    };
    let refused = || {
        signal(&pid, "USR1");
        wait_for(|| read("log").contains("refused"));
        read("log").contains("refused")
    };
    // Nobody who is not in the file may send, until he is.
    feed();
    assert!(refused(), "{}", read("log"));
    assert!(read("log").contains(" NOTICE ( flows/core ): input nfacctd (udp)"));
    assert_eq!(count(), "0");
    fs::write(dir.join("allow"), "127.0.0.0/8\n").unwrap();
    fs::write(dir.join("tags"), "set_tag=2\n").unwrap();
    assert!(signal(&pid, "USR2"));
    wait_for(|| read("log").contains("the maps are in force"));
    feed();
    wait_for(|| count() == "1706");
    assert_eq!(count(), "1706", "{}", read("log"));

    fs::rename(dir.join("log"), dir.join("log.1")).unwrap();
    assert!(signal(&pid, "HUP"));
    wait_for(|| read("log").contains("opened anew"));
    assert!(read("log").contains(" INFO ( flows/core ): the log has been opened anew"));

    assert!(signal(&pid, "TERM"));
    let limit = Instant::now() + Duration::from_secs(15);
    while dir.join("pid").exists() && Instant::now() < limit {
        std::thread::sleep(Duration::from_millis(20));
    }
    assert!(!dir.join("pid").exists() && !dir.join("pid-print-a").exists());
    assert!(!dir.join("pipe").exists());
    let rows = read("rows");
    assert!(
        rows.starts_with("TAG,PROTOCOL,PACKETS,BYTES\n2,tcp,"),
        "{rows}"
    );
    let mode = fs::metadata(dir.join("rows")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o640);
    assert!(
        read("log").contains(" INFO ( a/print ): "),
        "{}",
        read("log")
    );
}

#[test]
fn a_live_table_answers_after_the_savefile_has_ended() {
    let at = tempfile::tempdir().unwrap();
    let pipe = at.path().join("pipe");
    let text = format!(
        "plugins: memory\naggregate: proto\nimt_path: {}\npcap_savefile_wait: true\n\
         pcap_savefile_delay: 1\npcap_savefile: {}\n",
        pipe.display(),
        data("softflowd-v9.pcap").display()
    );
    fs::write(at.path().join("c.conf"), text).unwrap();
    let mut child = Command::new(weir())
        .args(["pmacct", "nfacctd", "-f", "c.conf"])
        .current_dir(at.path())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let ask = |args: &[&str]| {
        let all = [&["-p", pipe.to_str().unwrap()], args].concat();
        printed(&run(at.path(), "pmacct", &all))
    };
    wait_for(|| ask(&["-s", "-O", "csv"]).lines().count() > 3);
    let rows = ask(&["-s", "-T", "packets,2", "-O", "csv"]);
    assert!(
        rows.starts_with("PROTOCOL,PACKETS,BYTES\ntcp,1587,1136569\n"),
        "{rows}"
    );
    assert_eq!(rows.lines().count(), 3);
    assert!(ask(&["-s"]).ends_with("\n\n5 entries\n"));
    assert!(ask(&["-i"]).trim().parse::<u64>().unwrap() < 60);
    assert!(ask(&["-t"]).contains("default_memory"));
    assert!(ask(&["-e"]).starts_with("OK"));
    assert_eq!(ask(&["-c", "proto", "-N", "tcp"]), "0\n");
    let pid = child.id().to_string();
    assert!(signal(&pid, "INT"));
    assert!(child.wait().unwrap().success());
}

#[test]
fn an_import_says_what_needs_attention() {
    let at = tempfile::tempdir().unwrap();
    let text = "plugins: print[a], kafka[k]\naggregate[a]: proto, as_path\naggregate[k]: proto\n\
                print_output_file[a]: rows\nplugin_pipe_zmq: true\nbgp_daemon: true\n\
                nfacctd_port: 2055\nprint_outptu: csv\n";
    fs::write(at.path().join("c.conf"), text).unwrap();
    let import = |args: &[&str]| {
        Command::new(weir())
            .arg("import")
            .args(args)
            .current_dir(at.path())
            .output()
            .unwrap()
    };
    let output = import(&["c.conf"]);
    assert!(output.status.success(), "{}", said(&output));
    let toml = printed(&output);
    for want in [
        "# What nfacctd does with c.conf.\n",
        "# c.conf:5: plugin_pipe_zmq: ",
        "# c.conf:6: bgp_daemon: this build has no BGP yet",
        "# c.conf:2: aggregate: nothing tells as_path here: empty\n[aggregate.a]\n",
        "# c.conf:1: plugin k: this build has no Kafka output yet; the others run",
        "# c.conf:8: no key `print_outptu`; did you mean `print_output`?; passed over",
        "listen = \"[::]:2055\"",
    ] {
        assert!(toml.contains(want), "{want}\n{toml}");
    }
    let output = import(&["c.conf", "--daemon", "sfactd"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(said(&output).contains("did you mean `sfacctd`?"));
    let output = import(&["c.conf", "--daemon", "pmbmpd"]);
    assert_eq!(output.status.code(), Some(3));
    fs::write(at.path().join("plain"), "plugins: print\n").unwrap();
    let output = import(&["plain"]);
    assert!(said(&output).contains("does not tell whose it is"));
}
