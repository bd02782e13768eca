//! Writes the seeds of the fuzz targets from the captures of `tests/data`: a few hundred bytes to
//! a few kilobytes each, as many kinds as there are.

use std::fs;
use std::path::Path;
use std::sync::Arc;
use weir::base::addr::Ip;
use weir::base::intern::Interner;
use weir::base::ledger::Intake;
use weir::base::time::Nanos;
use weir::decode::datagram::Unwrap;
use weir::encode::binary::{self, Batch};
use weir::record::custom::Shape;
use weir::record::schema::Options;
use weir::record::{Custom, Customs, FIELDS, Field, FlowRecord, Form, Schema};
use weir::source::savefile::SavefileSource;
use weir::source::{Progress, Source};
use weir_fuzz::part;

/// Largest seed, in bytes.
const SEED_MAX: usize = 5000;

fn home() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn write(target: &str, name: &str, bytes: &[u8]) {
    let dir = home().join("seeds").join(target);
    fs::create_dir_all(&dir).expect("seeds can be written");
    fs::write(dir.join(name), bytes).expect("seeds can be written");
}

/// Frames of a capture, or the datagrams in them.
fn items(name: &str, datagrams: bool) -> Vec<Vec<u8>> {
    let path = home().join("../tests/data").join(name);
    let mut source = SavefileSource::open(&path).expect("a capture of tests/data");
    let (mut unwrap, mut ledger) = (Unwrap::default(), Intake::default());
    let mut items = Vec::new();
    let mut take = |frame: &weir::source::Frame<'_>| {
        if !datagrams {
            items.push(frame.bytes.to_vec());
        } else if let Some(found) = unwrap.unwrap(frame, &mut ledger) {
            items.push(found.bytes.to_vec());
        }
    };
    while source.read(&mut take).expect("it can be read") != Progress::End {}
    items
}

/// The first items that fit, joined.
fn conversation(items: &[Vec<u8>], from: u8) -> Vec<u8> {
    let mut seed = Vec::new();
    for item in items {
        if seed.len() + item.len() + 3 > SEED_MAX {
            break;
        }
        seed.extend(part(from, item));
    }
    assert!(!seed.is_empty(), "no item fits into a seed");
    seed
}

/// Frames that differ in what their headers say, one of each.
fn kinds(frames: &[Vec<u8>]) -> Vec<Vec<u8>> {
    let mut seen = std::collections::BTreeSet::new();
    let kind = |f: &Vec<u8>| {
        let at = |n: usize| f.get(n).copied().unwrap_or(0);
        // EtherType, the one behind a tag, protocols of both families, fragments.
        (
            at(12),
            at(13),
            at(16),
            at(17),
            at(23),
            at(20),
            at(21) & 0x20,
            f.len() > 100,
        )
    };
    frames
        .iter()
        .filter(|f| seen.insert(kind(f)))
        .cloned()
        .collect()
}

/// A classic pcap file of Ethernet frames.
fn pcap(frames: &[Vec<u8>], nanos: bool) -> Vec<u8> {
    let magic: u32 = if nanos { 0xa1b2_3c4d } else { 0xa1b2_c3d4 };
    let mut file = [
        &magic.to_be_bytes()[..],
        &[0, 2, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0],
    ]
    .concat();
    file.extend([0, 4, 0, 0, 0, 0, 0, 1]);
    for (n, frame) in frames.iter().enumerate() {
        let len = frame.len() as u32;
        for number in [1_700_000_000 + n as u32, 999, len, len] {
            file.extend(number.to_be_bytes());
        }
        file.extend(frame);
    }
    file
}

/// Primitives of the configuration, one of each form but that of no value.
fn customs() -> Customs {
    let kinds = [
        (Shape::Number, Some(4)),
        (Shape::Hex, Some(2)),
        (Shape::Ip, Some(4)),
        (Shape::Ip, Some(16)),
        (Shape::Mac, Some(6)),
        (Shape::Text, Some(8)),
        (Shape::Text, None),
        (Shape::Raw, Some(3)),
        (Shape::Raw, None),
    ];
    let mut slot = 0;
    let list = kinds.into_iter().map(|(shape, length)| {
        let form = Form::new(shape, length).expect("a form");
        let field = Field::custom(slot).expect("a slot");
        slot += form.size() / 8;
        Custom::plain(&format!("own_{slot}"), (shape, length), form, field)
    });
    Customs::new(list.collect())
}

/// Frames of rows: all fields, a usual five-tuple in bins, and primitives of the configuration
/// beside what tells traffic and events apart.
fn rows() {
    let all: Vec<Field> = FIELDS.iter().map(|info| info.field).collect();
    let tuple = [Field::SrcHost, Field::DstHost, Field::DstPort, Field::Label];
    let customs = Arc::new(customs());
    let own: Vec<Field> = customs.iter().map(|custom| custom.field).collect();
    for (name, fields, binned) in [
        ("all", &all[..], false),
        ("tuple", &tuple[..], true),
        ("own", &own[..], false),
    ] {
        let symbols = Arc::new(Interner::new(4096));
        let options = Options {
            flows: true,
            binned,
            kinds: name == "own",
            ..Options::default()
        };
        let customs = customs.clone();
        let schema = Schema::with_customs(name, fields, options, symbols.clone(), customs.clone());
        let mut words = Vec::new();
        for n in 1..4u8 {
            let mut record = FlowRecord::new();
            record.set_src_host(Ip::v4([192, 0, 2, n]));
            record.set_dst_host(Ip([n; 16]));
            record.set_dst_port(443);
            record.set_label(symbols.intern(&[b'a' + n; 3]));
            for custom in customs.iter() {
                let word = custom.form.word(&[n; 3], |text| symbols.intern(text));
                record.set_word(custom.field, word);
            }
            record.set_record_kind(n / 2);
            (record.packets, record.bytes, record.flows) = (1, 1000 * u64::from(n), 1);
            let mut row = vec![0; schema.row_words()];
            let (key, counters) = row.split_at_mut(schema.key.len());
            schema.key.pack(&record, key);
            schema.counter.add(&record, counters);
            words.extend(row);
        }
        let batch = Batch {
            maker: "box",
            id: (7, 1, 300),
            schema: &schema,
            bin: Nanos::new(1_767_322_800, 0),
            flushed: Nanos::new(1_767_322_860, 0),
            last: true,
            words: &words,
        };
        let mut out = Vec::new();
        binary::write(&batch, &mut out).expect("it fits");
        write("frame", name, &out);
    }
}

fn main() {
    for (name, file) in [
        ("v5", "softflowd-v5.pcap"),
        ("v9", "softflowd-v9.pcap"),
        ("ipfix", "softflowd-ipfix.pcap"),
        ("ovs-ipfix", "ovs-ipfix.pcap"),
    ] {
        write("netflow", name, &conversation(&items(file, true), 1));
    }
    let sflow = items("ovs-sflow.pcap", true);
    write("sflow", "ovs", &conversation(&sflow, 1));
    write(
        "sflow",
        "ovs-later",
        &conversation(&sflow[sflow.len() / 2..], 2),
    );
    let frames = kinds(&items("office.pcap", false));
    write("packet", "kinds", &conversation(&frames, 0));
    write(
        "packet",
        "more",
        &conversation(&frames[frames.len() / 2..], 0),
    );
    write(
        "packet",
        "export",
        &conversation(&items("softflowd-v5.pcap", false), 0),
    );
    write("savefile", "micros.pcap", &pcap(&frames[..4], false));
    write("savefile", "nanos.pcap", &pcap(&frames[..4], true));
    rows();
    let whole = fs::read(home().join("../tests/data/office.pcapng.gz")).expect("a capture");
    write("savefile", "start.pcapng.gz", &whole[..2000]);
    // ip proto 6 and port 53, as libpcap compiles such things: load, compare, return.
    let program: [[u8; 8]; 6] = [
        [0x28, 0, 0, 0, 12, 0, 0, 0],
        [0x15, 0, 0, 3, 0, 8, 0, 0],
        [0x30, 0, 0, 0, 23, 0, 0, 0],
        [0x15, 0, 0, 1, 6, 0, 0, 0],
        [0x06, 0, 0, 0, 0xff, 0xff, 0, 0],
        [0x06, 0, 0, 0, 0, 0, 0, 0],
    ];
    let program = [&[0, 6][..], program.as_flattened(), &frames[0]].concat();
    write("filter", "program", &program);
    write(
        "filter",
        "expression",
        &[&[1, 5][..], &[13, 0, 5, 9, 51], &frames[0]].concat(),
    );
    maps();
}

/// Files of rules, the byte that says which kind before each.
fn maps() {
    let golden = home().join("../tests/golden");
    for (seed, which, file) in [
        ("tags", 0, "rules_tags/tags.map"),
        ("return", 0, "rules_return/tags.map"),
        ("sampling", 1, "rules_sampling/sampling.map"),
        ("networks", 13, "rules_networks/networks"),
        ("ports", 14, "rules_lists/ports"),
        ("protocols", 15, "rules_lists/protocols"),
    ] {
        let text = fs::read(golden.join(file)).expect("a golden file");
        write("map", seed, &[&[which][..], &text].concat());
    }
    let rows: [(&str, u8, &str); 5] = [
        (
            "keys",
            0,
            "set_tag2=7++ ip=2001:db8::/32 in=1 out=-2 engine_type=1 source_id=7 \
            direction=0 src_mac=2:0:0:0:0:1 vlan=-7 src_net=10.0.0.0/8 tcp_flags=0x12 \
            is_multicast=true mpls_vpn_id=5 mpls_vpn_rd=1:10.0.0.1:7 src_as=64500\n",
        ),
        (
            "rd",
            2,
            "id=0:65000:1 ip=192.0.2.1 in=1\nid=1:10.0.0.1:2 mpls_vpn_id=7\n",
        ),
        (
            "agents",
            3,
            "bgp_ip=192.0.2.9 ip=0.0.0.0/0 filter='vlan and ip'\n",
        ),
        (
            "receivers",
            7,
            "id=1 ip=192.0.2.1:2100,[::1]:2 tag=1,-2,3-4 balance-alg=rr\n",
        ),
        (
            "primitives",
            12,
            "name=a field_type=9:12235 len=vlen semantics=str\n",
        ),
    ];
    for (seed, which, text) in rows {
        write("map", seed, &[&[which][..], text.as_bytes()].concat());
    }
}
