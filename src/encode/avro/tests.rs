//! Tests of Avro, with an implementation that is not ours reading what was written.

use super::super::{Arrays, Encoder, Format, sample};
use super::*;
use crate::record::Field::*;
use apache_avro::types::Value;
use proptest::prelude::*;

/// Everything that is a list, a map or in words.
fn rich() -> Style {
    Style {
        arrays: Arrays {
            tcp_flags: true,
            as_path: true,
            communities: true,
            mpls_labels: true,
        },
        label_map: true,
        forwarding: true,
        ..Style::default()
    }
}

fn container(schema: &Arc<Schema>, style: &Style, batches: &[&[u64]]) -> Vec<u8> {
    let mut encoder = Encoder::new(Format::Avro, schema.clone(), style);
    let mut out = Vec::new();
    encoder.begin(true, &mut out);
    let mut count = 0;
    for words in batches {
        encoder.rows(words, Nanos::new(1_767_323_101, 5), &mut out);
        encoder.settle(&mut out);
        count += words.len() / schema.row_words();
    }
    encoder.finish(&mut out);
    encoder.end(count as u64, 3, &mut out);
    out
}

fn read(bytes: &[u8]) -> Vec<Value> {
    let reader = apache_avro::Reader::new(bytes).unwrap();
    reader.map(|value| value.unwrap()).collect()
}

/// A record as text, in the order of its fields.
fn shown(value: &Value) -> String {
    let list = |items: Vec<String>| items.join(", ");
    match value {
        Value::Union(branch, inside) => format!("{branch}:{}", shown(inside)),
        Value::Record(fields) => {
            let fields = fields.iter().map(|(k, v)| format!("{k}={}", shown(v)));
            fields.collect::<Vec<_>>().join(" ")
        }
        Value::Array(items) => format!("[{}]", list(items.iter().map(shown).collect())),
        Value::Map(map) => {
            let mut pairs: Vec<_> = map
                .iter()
                .map(|(k, v)| format!("{k}:{}", shown(v)))
                .collect();
            pairs.sort();
            format!("{{{}}}", list(pairs))
        }
        Value::String(text) => format!("{text:?}"),
        Value::Long(n) => n.to_string(),
        Value::Int(n) => format!("{n}i"),
        Value::Double(n) => format!("{n:?}"),
        Value::Null => "null".into(),
        other => format!("{other:?}"),
    }
}

#[test]
fn another_reader_reads_every_kind_of_field() {
    let (schema, row) = sample::rows(&sample::ALL, true);
    let read = read(&container(&schema, &Style::default(), &[&row]));
    assert_eq!(
        read.iter().map(shown).collect::<Vec<_>>(),
        [
            "tag=-1 label=\"a,\\\"b\\\"\\n\" class=\"unknown\" mac_src=\"00:1b:21:0a:0b:0c\" vlan=7 \
          etype=\"86dd\" as_src=4200000001 as_path=\"\" peer_ip_dst=\"\" \
          mpls_vpn_rd=\"0:65000:100\" mpls_vpn_rd_origin=\"flow\" ip_src=\"192.0.2.1\" \
          ip_dst=\"2001:db8::1\" port_src=51514 port_dst=443 tcp_flags=27 fwd_status=\"64\" \
          mpls_label_stack=\"16001_24\" srv6_seg_ipv6_list=[\"0-2001:db8::a\", \
          \"1-2001:db8::b\"] vrf_name=\"red\" ip_proto=\"tcp\" tos=46 sampling_direction=\"u\" \
          tunnel_tcp_flags=\"18\" timestamp_start=\"2026-01-02 03:00:04.678901\" \
          timestamp_end=\"0000-00-00 00:00:00.000000\" \
          stamp_inserted=1:\"2026-01-02 03:00:00\" stamp_updated=1:\"2026-01-02 03:05:01\" \
          packets=1:12 flows=1:1 bytes=1:9000"
        ]
    );
}

#[test]
fn lists_maps_small_numbers_and_places() {
    let fields = [
        Label,
        StdComm,
        SrcAsPath,
        AsPath,
        MplsLabelStack,
        TcpFlags,
        TunnelTcpFlags,
        FwdStatus,
        FlowLabel,
        SrcHostCoords,
        TimestampMin,
    ];
    let (schema, row) = sample::rows(&fields, false);
    let style = Style {
        counters: false,
        times: super::super::Times::Epoch,
        ..rich()
    };
    let read = read(&container(&schema, &style, &[&row]));
    assert_eq!(
        read.iter().map(shown).collect::<Vec<_>>(),
        [
            "label={a:\"\\\"b\\\"\\n\"} comms=[\"65000:1\", \"65000:2\"] as_path=[] \
          as_path_src=[\"64496\", \"{1,2}\", \"65000\"] lat_ip_src=47.3769 lon_ip_src=-8.5417 \
          tcp_flags=[\"ACK\", \"PSH\", \"SYN\", \"FIN\"] fwd_status=\"FORWARDED Unknown\" \
          mpls_label_stack=[\"0-16001\", \"1-24\"] flow_label=0i \
          tunnel_tcp_flags=[\"ACK\", \"SYN\"] timestamp_min=1:\"1767322804.678901\" \
          packets=0:null flows=0:null bytes=0:null"
        ]
    );
}

#[test]
fn marks_are_records_of_their_own() {
    let (schema, row) = sample::rows(&[DstPort], false);
    let style = Style {
        markers: Some("edge/7".into()),
        ..Style::default()
    };
    let read = read(&container(&schema, &style, &[&row, &row]));
    assert_eq!(
        read.iter().map(shown).collect::<Vec<_>>(),
        [
            "1:event_type=\"purge_init\" writer_id=\"edge/7\"",
            "0:port_dst=443 packets=1:12 flows=1:1 bytes=1:9000",
            "0:port_dst=443 packets=1:12 flows=1:1 bytes=1:9000",
            "2:event_type=\"purge_close\" writer_id=\"edge/7\" purged_entries=2 \
             total_entries=2 duration=3i",
        ]
    );
}

#[test]
fn the_schema_by_itself_and_without_flows() {
    let symbols = Arc::new(crate::base::intern::Interner::new(0));
    let options = crate::record::schema::Options::default();
    let schema = Schema::new("t", &[SrcHost, Tag], options, symbols);
    assert_eq!(
        Format::AvroJson
            .describe(&schema, &Style::default())
            .unwrap(),
        "{\"type\":\"record\",\"name\":\"acct_data\",\"fields\":[\
         {\"name\":\"tag\",\"type\":\"long\"},{\"name\":\"ip_src\",\"type\":\"string\"},\
         {\"name\":\"packets\",\"type\":[\"null\",\"long\"]},\
         {\"name\":\"flows\",\"type\":[\"null\",\"long\"]},\
         {\"name\":\"bytes\",\"type\":[\"null\",\"long\"]}]}"
    );
    assert_eq!(Format::Json.describe(&schema, &Style::default()), None);
    let row = vec![0; schema.row_words()];
    let schema = Arc::new(schema);
    let read = read(&container(&schema, &Style::default(), &[&row]));
    assert_eq!(
        shown(&read[0]),
        "tag=0 ip_src=\"\" packets=1:0 flows=0:null bytes=1:0"
    );
}

#[test]
fn json_wraps_what_may_be_null() {
    let (schema, row) = sample::rows(&[SrcHost, Label, TimestampMax, TcpFlags], true);
    let mut encoder = Encoder::new(Format::AvroJson, schema, &rich());
    let mut out = Vec::new();
    encoder.begin(true, &mut out);
    encoder.rows(&row, Nanos::new(1_767_323_101, 5), &mut out);
    encoder.finish(&mut out);
    assert_eq!(
        String::from_utf8(out).unwrap(),
        "{\"label\":{\"a\":\"\\\"b\\\"\\n\"},\"ip_src\":\"192.0.2.1\",\
         \"tcp_flags\":[\"ACK\",\"PSH\",\"SYN\",\"FIN\"],\
         \"timestamp_max\":{\"string\":\"0000-00-00 00:00:00.000000\"},\
         \"stamp_inserted\":{\"string\":\"2026-01-02 03:00:00\"},\
         \"stamp_updated\":{\"string\":\"2026-01-02 03:05:01\"},\
         \"packets\":{\"long\":12},\"flows\":{\"long\":1},\"bytes\":{\"long\":9000}}\n"
    );
    let (schema, row) = sample::rows(&[DstPort], false);
    let style = Style {
        counters: false,
        ..Style::default()
    };
    let mut out = Vec::new();
    json(schema, &style).unwrap().rows(&row, Nanos(1), &mut out);
    assert_eq!(
        out,
        b"{\"port_dst\":443,\"packets\":null,\"flows\":null,\"bytes\":null}\n"
    );
}

#[test]
fn primitives_of_the_configuration_are_texts() {
    let line = |(schema, row): (Arc<Schema>, Vec<u64>)| {
        let read = read(&container(&schema, &Style::default(), &[&row]));
        read.iter().map(shown).collect::<String>()
    };
    assert_eq!(
        line(sample::customs(false, sample::values)),
        "port_dst=443 number=\"1610612736\" hex=\"ab\" ip4=\"192.0.2.1\" ip6=\"2001:db8::9\" \
         mac=\"00:01:02:03:04:05\" word=\"ab\\\"\" text=\"caf\u{e9}\\n\" octets=\"01-00-FF\" \
         raw=\"09-A0\" odd=\"\" packets=1:12 flows=1:1 bytes=1:9000"
    );
    // Longer than a length of one byte says.
    let long = |record: &mut crate::record::FlowRecord, symbols: &crate::base::intern::Interner| {
        let sym = symbols.intern(&[0xab; 100]);
        record.set_word(Field::custom(9).unwrap(), u64::from(sym.0));
    };
    let want = format!("raw=\"{}\" odd", vec!["AB"; 100].join("-"));
    let got = line(sample::customs(false, long));
    assert!(got.contains(&want), "{got}");
}

#[test]
fn counters_of_events_are_null() {
    let (schema, traffic) = sample::customs(false, sample::values);
    let mut event = traffic.clone();
    schema.kind.unwrap().set_number(&mut event, 1);
    let read = read(&container(
        &schema,
        &Style::default(),
        &[&traffic, &event, &traffic],
    ));
    let ends: Vec<String> = (read.iter().map(shown))
        .map(|line| line.split_once("odd=\"\" ").unwrap().1.into())
        .collect();
    let full = "packets=1:12 flows=1:1 bytes=1:9000";
    let bare = "packets=0:null flows=0:null bytes=0:null";
    assert_eq!(ends, [full, bare, full]);
    let mut out = Vec::new();
    let mut lines = json(schema, &Style::default()).unwrap();
    lines.rows(&[traffic, event].concat(), Nanos(1), &mut out);
    let out = String::from_utf8(out).unwrap();
    let mut lines = out.lines();
    let full = "\"packets\":{\"long\":12},\"flows\":{\"long\":1},\"bytes\":{\"long\":9000}}";
    assert!(lines.next().unwrap().ends_with(full), "{out}");
    let bare = "\"odd\":\"\",\"packets\":null,\"flows\":null,\"bytes\":null}";
    assert!(lines.next().unwrap().ends_with(bare), "{out}");
}

#[test]
fn what_a_failed_batch_left_is_not_in_the_file() {
    let (schema, row) = sample::rows(&[DstPort], false);
    let mut encoder = Encoder::new(Format::Avro, schema.clone(), &Style::default());
    let mut out = Vec::new();
    encoder.begin(true, &mut out);
    encoder.rows(&row, Nanos(1), &mut out);
    encoder.forget();
    encoder.rows(&row, Nanos(1), &mut out);
    encoder.finish(&mut out);
    assert_eq!(read(&out).len(), 1);
    // Many rows are several blocks.
    let many = row.repeat(20_000);
    let bytes = container(&schema, &Style::default(), &[&many, &row]);
    assert_eq!(read(&bytes).len(), 20_001);
    let sync = &bytes[bytes.len() - 16..];
    assert!(bytes.windows(16).filter(|w| *w == sync).count() > 3);
}

proptest! {
    /// Any row of any columns comes back as the numbers it was made of.
    #[test]
    fn any_numbers_come_back(words: Vec<u64>, seed: u64) {
        let fields = [SrcPort, DstPort, SrcAs, Tag, Med, TimestampStart, PeerSrcIp, MplsVpnRd];
        let (schema, mut row) = sample::rows(&fields, false);
        for (slot, word) in row.iter_mut().zip(&words) {
            *slot = *word;
        }
        let style = Style { seed, ..Style::default() };
        let read = read(&container(&schema, &style, &[&row]));
        let Value::Record(record) = &read[0] else { panic!() };
        for (key, value) in record {
            let column = schema.columns.iter().find(|c| match c.what {
                What::Field(field) => field.info().json == *key,
                other => Out::Row(other).json(&schema) == *key,
            });
            let Some(column) = column else { continue };
            match value {
                Value::Long(n) => prop_assert_eq!(*n, column.number(&row) as i64),
                Value::Union(1, n) => {
                    let most = column.number(&row).min(i64::MAX as u64);
                    prop_assert_eq!(&**n, &Value::Long(most as i64));
                }
                Value::String(_) => {}
                other => prop_assert!(false, "{:?}", other),
            }
        }
    }
}

#[test]
fn rows_of_another_store_of_texts_go_on_in_the_block() {
    let with = |word: &str| {
        let symbols = Arc::new(crate::base::intern::Interner::new(4096));
        let mut record = crate::record::FlowRecord::new();
        record.set_label(symbols.intern(word.as_bytes()));
        let schema = Schema::new("a", &[Label], Default::default(), symbols);
        let mut row = vec![0; schema.row_words()];
        schema.key.pack(&record, &mut row[..schema.key.len()]);
        (Arc::new(schema), row)
    };
    let (one, red) = with("red");
    let (two, green) = with("green");
    let mut encoder = Encoder::new(Format::Avro, one, &Style::default());
    let mut out = Vec::new();
    encoder.begin(true, &mut out);
    encoder.rows(&red, Nanos(1), &mut out);
    encoder.adopt(two, &mut out);
    encoder.rows(&green, Nanos(1), &mut out);
    encoder.finish(&mut out);
    let labels = read(&out).into_iter().map(|row| {
        let text = shown(&row);
        text.split(' ').next().unwrap().to_string()
    });
    assert_eq!(
        labels.collect::<Vec<_>>(),
        ["label=\"red\"", "label=\"green\""]
    );
}
