use super::read::{Reader, Refused};
use super::*;
use crate::base::addr::Mac;
use crate::encode::sample;
use crate::record::schema::Options;
use crate::record::{FIELDS, Field, FlowRecord};
use proptest::prelude::*;
use std::sync::Arc;

fn frame(schema: &Schema, words: &[u64]) -> Vec<u8> {
    let batch = Batch {
        maker: "box-7",
        id: (u64::MAX - 1, 3, 300),
        schema,
        bin: Nanos::new(1_767_322_800, 0),
        flushed: Nanos::new(1_767_322_860, 5),
        last: true,
        words,
    };
    let mut out = Vec::new();
    write(&batch, &mut out).unwrap();
    out
}

/// Values as anybody sees them, whatever the symbols are.
fn shown(schema: &Schema, words: &[u64]) -> Vec<String> {
    let mut all = Vec::new();
    for row in words.chunks_exact(schema.row_words().max(1)) {
        for column in &schema.columns {
            let value = schema.value(column, row);
            let mut text = Vec::new();
            if let crate::record::Value::Text(symbol) = value {
                schema.symbols.read(symbol, &mut text);
                all.push(format!("{} {text:?}", name(column.what)));
            } else {
                all.push(format!("{} {value:?}", name(column.what)));
            }
        }
    }
    all
}

#[test]
fn a_row_with_values_of_every_kind_comes_back() {
    for binned in [false, true] {
        let (schema, row) = sample::rows(&sample::ALL, binned);
        let words = [row.clone(), row.clone(), row].concat();
        let bytes = frame(&schema, &words);
        let got = Reader::default().read(&bytes).unwrap();
        assert_eq!(got.maker, "box-7");
        assert_eq!(got.id, (u64::MAX - 1, 3, 300));
        assert_eq!(got.bin, Nanos::new(1_767_322_800, 0));
        assert_eq!(got.flushed, Nanos::new(1_767_322_860, 5));
        assert!(got.last);
        assert!(got.schema.is_like(&schema));
        assert_eq!(shown(&got.schema, &got.words), shown(&schema, &words));
    }
}

#[test]
fn the_golden_frame_is_as_the_specification_says() {
    let fields = [Field::SrcHost, Field::DstPort, Field::Label];
    let symbols = Arc::new(Interner::new(4096));
    let schema = Schema::new("a", &fields, Options::default(), symbols.clone());
    let mut words = Vec::new();
    for (host, port) in [(1, 443), (2, 443)] {
        let mut r = FlowRecord::new();
        r.set_src_host(Ip::v4([192, 0, 2, host]));
        r.set_dst_port(port);
        r.set_label(symbols.intern(b"red"));
        (r.packets, r.bytes) = (u64::from(host), 300);
        let mut row = vec![0; schema.row_words()];
        let (key, counters) = row.split_at_mut(schema.key.len());
        schema.key.pack(&r, key);
        schema.counter.add(&r, counters);
        words.extend(row);
    }
    let batch = Batch {
        maker: "b",
        id: (0x0102_0304_0506_0708, 0, 129),
        schema: &schema,
        bin: Nanos(0),
        flushed: Nanos(5),
        last: true,
        words: &words,
    };
    let mut got = Vec::new();
    write(&batch, &mut got).unwrap();
    let want = [
        &b"WRF\x01"[..],
        &[1],                      // flags: last
        b"\x01b",                  // maker
        b"\x01a",                  // aggregation
        &[8, 7, 6, 5, 4, 3, 2, 1], // run
        &[0],                      // aggregation's place
        &[0x81, 1],                // sequence 129
        &[0, 5],                   // bin, flushed
        &[2],                      // rows
        b"\x01\x03red",            // texts
        &[5],                      // columns
        b"\x08src_host\x01\x00\x0a\x04\xc0\x00\x02\x01\x04\xc0\x00\x02\x02",
        b"\x08dst_port\x00\x01\x02\xbb\x03",
        b"\x05label\x03\x01\x01\x02",
        b"\x07packets\x00\x00\x02\x01\x02",
        b"\x05bytes\x00\x01\x02\xac\x02",
    ]
    .concat();
    assert_eq!(got, want);
    let read = Reader::default().read(&want).unwrap();
    assert_eq!(read.id, batch.id);
    assert_eq!(shown(&read.schema, &read.words), shown(&schema, &words));
}

#[test]
fn schemas_are_kept_and_texts_do_not_pile_up() {
    let mut reader = Reader::default();
    let mut last: Option<Arc<Schema>> = None;
    let mut renewed = 0;
    for n in 0..3000u32 {
        let symbols = Arc::new(Interner::new(8192));
        let options = Options::default();
        let schema = Schema::new("a", &[Field::Label], options, symbols.clone());
        let mut r = FlowRecord::new();
        r.set_label(symbols.intern(format!("{n:0100}").as_bytes()));
        let mut row = vec![0; schema.row_words()];
        schema.key.pack(&r, &mut row[..schema.key.len()]);
        let got = reader.read(&frame(&schema, &row)).unwrap();
        assert_eq!(shown(&got.schema, &got.words), shown(&schema, &row));
        renewed += u32::from(last.is_some_and(|l| !Arc::ptr_eq(&l, &got.schema)));
        last = Some(got.schema);
    }
    assert!((3..40).contains(&renewed), "{renewed}");
}

#[test]
fn what_is_no_frame_is_refused_by_name() {
    let (schema, row) = sample::rows(&[Field::SrcHost, Field::DstPort, Field::Label], true);
    let good = frame(&schema, &row);
    let refused = |bytes: &[u8]| Reader::default().read(bytes).err();
    assert_eq!(refused(b"xyz1"), Some(Refused::Magic));
    assert_eq!(refused(b"WRF\x09"), Some(Refused::Version(9)));
    for cut in 4..good.len() {
        assert!(refused(&good[..cut]).is_some(), "{cut}");
    }
    assert_eq!(refused(&[&good[..], &[0]].concat()), Some(Refused::Length));
    let swap = |from: &[u8], to: &[u8]| {
        let at = good.windows(from.len()).position(|w| w == from).unwrap();
        [&good[..at], to, &good[at + from.len()..]].concat()
    };
    let strange = swap(b"dst_port", b"dst_mood");
    assert_eq!(refused(&strange), Some(Refused::Column("dst_mood".into())));
    assert_eq!(refused(&swap(b"packets", b"pockets")).unwrap(), {
        Refused::Column("pockets".into())
    });
    assert_eq!(refused(&swap(b"\x05bytes", b"\x05label")).unwrap(), {
        Refused::Column("label".into())
    });
}

#[test]
fn a_frame_that_unfolds_beyond_all_bounds_is_refused() {
    // A hundred bytes that say they are a billion rows.
    let mut bytes = b"WRF\x01\x00\x00\x01a".to_vec();
    bytes.extend([0; 8]);
    bytes.extend([0, 0, 0, 0]);
    varint(&mut bytes, 1 << 30);
    let mut reader = Reader::default();
    assert_eq!(reader.read(&bytes).err(), Some(Refused::TooLarge));
    let (schema, row) = sample::rows(&[Field::SrcHost], false);
    let many = row.repeat(WORDS_MAX / schema.row_words() + 1);
    let batch = Batch {
        maker: "",
        id: (0, 0, 0),
        schema: &schema,
        bin: Nanos(0),
        flushed: Nanos(0),
        last: false,
        words: &many,
    };
    let mut out = vec![7];
    assert_eq!(write(&batch, &mut out), Err(TooLarge));
    assert_eq!(out, [7]);
}

/// A record with something in the fields of `picks`.
fn record(symbols: &Interner, picks: &[(usize, u64)]) -> FlowRecord {
    let mut r = FlowRecord::new();
    for (at, value) in picks {
        let info = &FIELDS[at % FIELDS.len()];
        let size = info.kind.size();
        let bytes = match info.kind {
            Kind::Text => {
                let text = format!("text {}", value % 7);
                symbols.intern(text.as_bytes()).0.to_ne_bytes().to_vec()
            }
            Kind::Ip if value % 3 == 0 => Ip::v4(value.to_be_bytes()[..4].try_into().unwrap())
                .0
                .to_vec(),
            Kind::Mac => Mac(value.to_be_bytes()[..6].try_into().unwrap()).0.to_vec(),
            _ => [value.to_ne_bytes(), value.to_ne_bytes()].concat()[..size].to_vec(),
        };
        r.slot(info.offset, size).copy_from_slice(&bytes);
    }
    r
}

proptest! {
    #[test]
    fn any_rows_come_back(
        fields in proptest::collection::vec(0..FIELDS.len(), 0..12),
        rows in proptest::collection::vec(
            (proptest::collection::vec((any::<usize>(), any::<u64>()), 0..20), any::<u64>()), 0..20
        ),
        flows: bool,
        binned: bool,
    ) {
        let symbols = Arc::new(Interner::new(16384));
        let fields: Vec<Field> = fields.iter().map(|at| FIELDS[*at].field).collect();
        let options = Options { flows, binned, both_ends: false };
        let schema = Schema::new("some-thing", &fields, options, symbols.clone());
        let mut words = Vec::new();
        for (picks, count) in &rows {
            let mut r = record(&symbols, picks);
            (r.packets, r.bytes, r.flows) = (*count, count.rotate_left(9), 1);
            let mut row = vec![0; schema.row_words()];
            let (key, counters) = row.split_at_mut(schema.key.len());
            schema.key.pack(&r, key);
            schema.counter.add(&r, counters);
            words.extend(row);
        }
        let got = Reader::default().read(&frame(&schema, &words)).unwrap();
        prop_assert!(got.schema.is_like(&schema));
        prop_assert_eq!(shown(&got.schema, &got.words), shown(&schema, &words));
    }

    #[test]
    fn damage_is_refused_or_read_and_never_more(at: usize, with: u8, cut: usize) {
        let (schema, row) = sample::rows(&sample::ALL, true);
        let mut bytes = frame(&schema, &row.repeat(3));
        let len = bytes.len();
        bytes[at % len] = with;
        bytes.truncate(len - cut % 3);
        if let Ok(frame) = Reader::default().read(&bytes) {
            prop_assert!(frame.words.len() <= WORDS_MAX);
            prop_assert_eq!(frame.words.len() % frame.schema.row_words(), 0);
        }
    }
}
