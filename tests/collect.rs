//! `weir run` over a savefile of IPFIX: primitives of the configuration, rows handed out while
//! their bins go on, flows split over bins, events and options apart. The rows are given in full.
#![cfg(all(
    feature = "src-savefile",
    feature = "dec-netflow",
    feature = "sink-file"
))]

use std::path::Path;
use std::process::Command;
use weir::base::time::{Nanos, SECOND};
use weir::wire::savefile::{write_pcap_header, write_pcap_record};

/// 2023-11-14 22:13:20 UTC, the begin of a bin of 20 seconds.
const BEGIN: u64 = 1_700_000_000;

fn be(values: &[u16]) -> Vec<u8> {
    values.iter().flat_map(|v| v.to_be_bytes()).collect()
}

fn set(id: u16, body: &[u8]) -> Vec<u8> {
    [&be(&[id, body.len() as u16 + 4])[..], body].concat()
}

/// A template of elements with lengths; before them what `head` says.
fn template(head: &[u16], fields: &[(u16, u16)]) -> Vec<u8> {
    let fields = fields.iter().flat_map(|(id, len)| be(&[*id, *len]));
    be(head).into_iter().chain(fields).collect()
}

/// An IPFIX datagram of 192.0.2.1 in an Ethernet frame.
fn frame(sets: &[Vec<u8>]) -> Vec<u8> {
    let body = sets.concat();
    let mut ipfix = be(&[10, body.len() as u16 + 16]);
    for word in [BEGIN as u32, 0, 7] {
        ipfix.extend(word.to_be_bytes());
    }
    ipfix.extend(body);
    let length = ipfix.len() as u16;
    let mut frame = vec![2; 12];
    frame.extend([8, 0, 0x45, 0]);
    frame.extend((length + 28).to_be_bytes());
    frame.extend([0, 9, 0, 0, 64, 17, 0, 0, 192, 0, 2, 1, 192, 0, 2, 2]);
    frame.extend(be(&[4739, 4739, length + 8, 0]));
    frame.extend(ipfix);
    frame
}

/// A flow from 10.0.0.`host` through VRF 0x60000001, from and to milliseconds after the begin.
fn flow(host: u8, bytes: u32, from: u64, to: u64) -> Vec<u8> {
    let mut record = vec![10, 0, 0, host, 0x60, 0, 0, 1];
    record.extend(bytes.to_be_bytes());
    record.extend([0, 0, 0, 9]);
    record.extend((BEGIN * 1000 + from).to_be_bytes());
    record.extend((BEGIN * 1000 + to).to_be_bytes());
    record
}

/// The savefile: seconds after the begin, and sets.
fn savefile(path: &Path) {
    let flows = template(
        &[256, 6],
        &[(8, 4), (234, 4), (1, 4), (2, 4), (152, 8), (153, 8)],
    );
    let events = template(&[257, 2], &[(8, 4), (230, 1)]);
    let options = template(&[258, 3, 1], &[(149, 4), (2000, 4), (234, 4)]);
    let datagrams = [
        (
            0,
            vec![
                set(2, &[flows, events].concat()),
                set(256, &flow(1, 100, 0, 0)),
            ],
        ),
        (4, vec![set(257, &[10, 0, 0, 1, 4])]),
        (
            6,
            vec![
                set(3, &options),
                set(258, &[0, 0, 0, 7, b'l', b'a', b'b', 0, 0x60, 0, 0, 9]),
            ],
        ),
        (12, vec![set(256, &flow(1, 50, 2_000, 11_000))]),
        (19, vec![set(256, &flow(2, 60, 1_000, 18_000))]),
        // Nine seconds of it in the first bin, three in the second.
        (25, vec![set(256, &flow(1, 1200, 11_000, 23_000))]),
    ];
    let mut file = write_pcap_header(1).to_vec();
    for (second, sets) in datagrams {
        let bytes = frame(&sets);
        let time = Nanos((BEGIN + second) * SECOND);
        let length = bytes.len() as u32;
        file.extend(write_pcap_record(time, length, length));
        file.extend(bytes);
    }
    std::fs::write(path, file).unwrap();
}

const PRIMITIVES: &str = r#"
[primitive.vrf]
element = 234
length = 4
kind = "hex"

[primitive.Site]
element = 2000
options = true
length = 4
kind = "text"
"#;

/// Runs a configuration and gives what it wrote.
fn run(input: &str, aggregate: &str, output: &str) -> String {
    let dir = tempfile::tempdir().unwrap();
    savefile(&dir.path().join("in.pcap"));
    let text = format!(
        "timezone = \"UTC\"\n{PRIMITIVES}\n[input.f]\nkind = \"file\"\nfile = \"in.pcap\"\n\
         decode = \"netflow\"\n{input}\n[aggregate.a]\nto = \"o\"\n{aggregate}\n\
         [output.o]\nkind = \"file\"\npath = \"out\"\n{output}\n"
    );
    std::fs::write(dir.path().join("weir.toml"), &text).unwrap();
    let weir = |args: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_weir"));
        let output = command.args(args).current_dir(dir.path()).output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "{text}\n{said}");
        String::from_utf8(output.stdout).unwrap()
    };
    // What is in effect means the same.
    let shown = weir(&["check", "weir.toml"]);
    std::fs::write(dir.path().join("weir.toml"), shown).unwrap();
    weir(&["run", "-c", "weir.toml"]);
    std::fs::read_to_string(dir.path().join("out")).unwrap()
}

#[test]
fn rows_are_handed_out_while_bins_go_on() {
    let aggregate = "by = [\"src_host\", \"vrf\"]\nevery = \"20s\"\nflush = \"10s\"\nstitch = true";
    let got = run(
        "",
        aggregate,
        "format = \"csv\"\nfraction = false\ntimes = \"epoch\"",
    );
    assert_eq!(
        got,
        "SRC_IP,TIMESTAMP_MIN,TIMESTAMP_MAX,vrf,STAMP_INSERTED,STAMP_UPDATED,PACKETS,BYTES\n\
         10.0.0.1,1700000000,1700000000,60000001,1700000000,1700000012,9,100\n\
         10.0.0.1,1700000004,1700000004,0,1700000000,1700000012,0,0\n\
         10.0.0.1,1700000002,1700000011,60000001,1700000000,1700000025,9,50\n\
         10.0.0.2,1700000001,1700000018,60000001,1700000000,1700000025,9,60\n\
         10.0.0.1,1700000011,1700000023,60000001,1700000020,1700000025,9,1200\n"
    );
}

#[test]
fn flows_are_split_by_time_and_kinds_stay_apart() {
    let input = "account_options = true";
    let aggregate = "by = [\"src_host\", \"site\", \"nat_event\", \"flows\"]\nevery = \"20s\"\n\
                     prorate = true\nkinds = true";
    let got = run(
        input,
        aggregate,
        "format = \"json\"\nevent_type = false\nstamps = false",
    );
    let lines = [
        r#"{"ip_src":"10.0.0.1","nat_event":0,"site":"","flows":1,"packets":9,"bytes":100}"#,
        r#"{"ip_src":"10.0.0.1","nat_event":4,"site":""}"#,
        r#"{"ip_src":"","nat_event":0,"site":"lab"}"#,
        // What the options said holds for all that follow.
        r#"{"ip_src":"10.0.0.1","nat_event":0,"site":"lab","flows":1,"packets":9,"bytes":50}"#,
        r#"{"ip_src":"10.0.0.2","nat_event":0,"site":"lab","flows":1,"packets":9,"bytes":60}"#,
        r#"{"ip_src":"10.0.0.1","nat_event":0,"site":"lab","flows":1,"packets":6,"bytes":900}"#,
        r#"{"ip_src":"10.0.0.1","nat_event":0,"site":"lab","flows":0,"packets":3,"bytes":300}"#,
    ];
    let got: Vec<_> = got.lines().collect();
    assert_eq!(got, lines);
}

#[test]
fn without_bins_a_flush_has_no_stamps_but_a_time() {
    let aggregate = "by = \"vrf\"\nflush = \"20s\"\nkinds = false";
    let got = run("", aggregate, "format = \"csv\"");
    assert_eq!(
        got,
        "vrf,PACKETS,BYTES\n60000001,27,210\n0,0,0\n60000001,9,1200\n"
    );
}
