use super::*;
use crate::base::addr::Ip;
use crate::base::intern::Interner;
use crate::base::options::Raw;
use crate::record::schema::{Options as Choices, Schema, What};
use crate::record::{Field, FlowRecord, Value};
use crate::sink::BatchId;
use crate::sink::live::Sort;

fn schema(fields: &[Field], symbols: &Arc<Interner>) -> Arc<Schema> {
    let choices = Choices {
        flows: true,
        binned: true,
        ..Choices::default()
    };
    Arc::new(Schema::new("talkers", fields, choices, symbols.clone()))
}

fn rows(schema: &Arc<Schema>, bin: u64, all: &[(u8, u16, u64)]) -> Rows {
    let mut words = Vec::new();
    for (host, port, bytes) in all {
        let mut r = FlowRecord::new();
        r.set_src_host(Ip::v4([10, 0, *host, 1]));
        r.set_dst_port(*port);
        r.set_label(schema.symbols.intern(format!("host {host}").as_bytes()));
        r.set_bin(Nanos::new(bin, 0));
        (r.packets, r.bytes, r.flows) = (1, *bytes, 1);
        let mut row = vec![0; schema.row_words()];
        let (key, counters) = row.split_at_mut(schema.key.len());
        schema.key.pack(&r, key);
        schema.counter.add(&r, counters);
        words.extend(row);
    }
    Rows {
        id: BatchId {
            run: 7,
            aggregate: 0,
            sequence: 0,
        },
        schema: schema.clone(),
        bin: Nanos::new(bin, 0),
        flushed: Nanos::new(bin + 60, 0),
        words,
        last: true,
    }
}

fn open(name: &str, settings: &[(&str, Raw)]) -> (Box<dyn Sink>, Arc<dyn Live>) {
    let mut options = Options::new("output.test", Default::default());
    for (key, value) in settings {
        options.set(key, value.clone());
    }
    let opener = parse(&mut options).unwrap();
    assert_eq!(options.finish(), []);
    let context = Context {
        name: name.into(),
        zone: crate::base::zone::Zone::UTC,
        seed: 0,
        again: false,
    };
    (opener.open(&context).unwrap(), live::find(name).unwrap())
}

/// Host (third byte), port and bytes of each row found.
fn seen(found: &Found) -> Vec<(u8, u64, u64)> {
    let value = |what, row: &[u64]| {
        found
            .schema
            .column(what)
            .map(|c| found.schema.value(c, row))
    };
    let number = |what, row: &[u64]| match value(what, row) {
        Some(Value::Number(n)) => n,
        _ => 0,
    };
    let rows = found.words.chunks_exact(found.schema.row_words());
    rows.map(|row| {
        let host = match value(What::Field(Field::SrcHost), row) {
            Some(Value::Ip(ip)) => ip.0[14],
            _ => 0,
        };
        let port = number(What::Field(Field::DstPort), row);
        (host, port, number(What::Bytes, row))
    })
    .collect()
}

#[test]
fn bins_of_one_key_are_added_up_and_ages_kept() {
    let schema = schema(
        &[Field::SrcHost, Field::DstPort],
        &Arc::new(Interner::new(4096)),
    );
    let (mut sink, live) = open("memory-sums", &[]);
    sink.write(&rows(&schema, 100, &[(1, 80, 500), (2, 80, 70)]))
        .unwrap();
    sink.write(&rows(&schema, 160, &[(1, 80, 500), (1, 443, 9000)]))
        .unwrap();
    let found = live.query(&Query::default()).unwrap().remove(0);
    assert_eq!(seen(&found), [(1, 443, 9000), (1, 80, 1000), (2, 80, 70)]);
    assert_eq!(found.ages[1], (Nanos::new(160, 0), Nanos::new(220, 0)));
    assert_eq!((found.total.rows, found.total.bytes), (3, 10_070));
    let query = Query {
        conditions: vec!["dst_port=80".into(), "src_host=10.0.0.0/16".into()],
        sort: Sort::Packets,
        top: Some(1),
        ..Query::default()
    };
    let found = live.query(&query).unwrap().remove(0);
    assert_eq!(seen(&found), [(1, 80, 1000)]);
    assert_eq!((found.total.rows, found.total.packets), (2, 3));
    let query = Query {
        by: vec![Field::SrcHost],
        ..Query::default()
    };
    let found = live.query(&query).unwrap().remove(0);
    assert_eq!(seen(&found), [(1, 0, 10_000), (2, 0, 70)]);
    assert_eq!(found.ages[0], (Nanos::new(160, 0), Nanos::new(220, 0)));
    let wrong = Query {
        by: vec![Field::Vlan],
        ..Query::default()
    };
    assert!(
        live.query(&wrong)
            .unwrap_err()
            .contains("it has src_host, dst_port")
    );
}

#[test]
fn bins_stay_apart_where_that_is_asked_for() {
    let schema = schema(&[Field::SrcHost], &Arc::new(Interner::new(4096)));
    let (mut sink, live) = open("memory-bins", &[("bins", Raw::Bool(true))]);
    for bin in [100, 160, 160] {
        sink.write(&rows(&schema, bin, &[(1, 0, 10)])).unwrap();
    }
    let found = live.query(&Query::default()).unwrap().remove(0);
    assert_eq!(seen(&found), [(1, 0, 20), (1, 0, 10)]);
}

#[test]
fn what_is_taken_out_is_seen_once_and_the_rest_stays() {
    let schema = schema(
        &[Field::SrcHost, Field::DstPort],
        &Arc::new(Interner::new(4096)),
    );
    let (mut sink, live) = open("memory-reset", &[]);
    sink.write(&rows(&schema, 100, &[(1, 80, 5), (2, 80, 6), (3, 443, 7)]))
        .unwrap();
    let query = Query {
        conditions: vec!["dst_port=80".into()],
        reset: true,
        ..Query::default()
    };
    assert_eq!(
        seen(&live.query(&query).unwrap()[0]),
        [(2, 80, 6), (1, 80, 5)]
    );
    assert_eq!(seen(&live.query(&query).unwrap()[0]), []);
    sink.write(&rows(&schema, 100, &[(3, 443, 1), (1, 80, 5)]))
        .unwrap();
    let all = live.query(&Query::default()).unwrap();
    assert_eq!(seen(&all[0]), [(3, 443, 8), (1, 80, 5)]);
    drop(sink);
    drop(live);
    assert!(live::find("memory-reset").is_none());
}

#[test]
fn a_full_table_keeps_its_bound_and_its_totals() {
    let schema = schema(
        &[Field::SrcHost, Field::DstPort],
        &Arc::new(Interner::new(4096)),
    );
    let (mut sink, live) = open("memory-full", &[("size", Raw::Text("32k".into()))]);
    let mut bytes = 0;
    for port in 1..2000u16 {
        sink.write(&rows(&schema, 100, &[(1, port, port.into()), (1, 1, 1)]))
            .unwrap();
        bytes += u64::from(port) + 1;
        let usage = live.usage();
        assert!(usage.used <= usage.most, "{usage:?}");
    }
    let usage = live.usage();
    assert!(usage.rows > 150 && usage.folded > 1000, "{usage:?}");
    let found = live.query(&Query::default()).unwrap().remove(0);
    assert_eq!((found.total.bytes, found.total.packets), (bytes, 2 * 1999));
    assert_eq!(
        seen(&found)[0].0,
        0,
        "the row of zeroes is the largest here"
    );
    let reset = Query {
        reset: true,
        ..Query::default()
    };
    live.query(&reset).unwrap();
    sink.write(&rows(&schema, 100, &[(9, 9, 9)])).unwrap();
    assert_eq!(seen(&live.query(&reset).unwrap()[0]), [(9, 9, 9)]);
}

#[test]
fn old_rows_go() {
    let schema = schema(&[Field::SrcHost], &Arc::new(Interner::new(4096)));
    let (mut sink, live) = open("memory-expire", &[("expire", Raw::Number(3600))]);
    sink.write(&rows(&schema, 100, &[(1, 0, 5)])).unwrap();
    let mut fresh = rows(&schema, 100, &[(2, 0, 5)]);
    fresh.flushed = wall();
    sink.write(&fresh).unwrap();
    let again = sink.idle().unwrap().unwrap();
    assert!(again > Duration::from_secs(3500) && again <= Duration::from_secs(3600));
    assert_eq!(
        seen(&live.query(&Query::default()).unwrap()[0]),
        [(2, 0, 5)]
    );
    let (mut forever, _) = open("memory-forever", &[]);
    assert_eq!(forever.idle().unwrap(), None);
}

#[test]
fn a_reload_keeps_rows_whose_texts_have_other_symbols() {
    let (before, after) = (Arc::new(Interner::new(4096)), Arc::new(Interner::new(4096)));
    after.intern(b"something else");
    let fields = [Field::SrcHost, Field::Label];
    let (mut sink, live) = open("memory-reload", &[]);
    sink.write(&rows(
        &schema(&fields, &before),
        100,
        &[(1, 0, 5), (2, 0, 6)],
    ))
    .unwrap();
    sink.write(&rows(&schema(&fields, &after), 100, &[(1, 0, 5)]))
        .unwrap();
    let query = Query {
        conditions: vec!["label=host 1".into()],
        ..Query::default()
    };
    assert_eq!(seen(&live.query(&query).unwrap()[0]), [(1, 0, 10)]);
    assert_eq!(live.usage().rows, 2);
    let other = schema(&[Field::SrcHost], &after);
    sink.write(&rows(&other, 100, &[(3, 0, 1)])).unwrap();
    assert_eq!(
        seen(&live.query(&Query::default()).unwrap()[0]),
        [(3, 0, 1)]
    );
}

#[test]
fn rows_whose_texts_find_no_room_after_a_reload_are_one() {
    let (before, after) = (Arc::new(Interner::new(4096)), Arc::new(Interner::new(0)));
    let fields = [Field::Label];
    let (mut sink, live) = open("memory-merge", &[]);
    sink.write(&rows(
        &schema(&fields, &before),
        100,
        &[(1, 0, 5), (2, 0, 6), (3, 0, 7)],
    ))
    .unwrap();
    let adopted = schema(&fields, &after);
    sink.write(&rows(&adopted, 100, &[(4, 0, 1)])).unwrap();
    let found = live.query(&Query::default()).unwrap();
    let all = seen(&found[0]);
    assert_eq!(all, [(0, 0, 19)]);
    assert_eq!((found[0].total.rows, found[0].total.bytes), (1, 19));
}

#[test]
fn wrong_settings_are_named() {
    let mut options = Options::new("output.test", Default::default());
    options.set("size", Raw::Number(100));
    options.set("expire", Raw::Number(0));
    parse(&mut options);
    assert_eq!(options.finish().len(), 2);
}
