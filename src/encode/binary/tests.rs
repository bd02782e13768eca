use super::read::{Reader, Refused};
use super::*;
use crate::base::addr::Mac;
use crate::encode::sample;
use crate::record::custom::{SLOTS, Shape as Means};
use crate::record::schema::Options;
use crate::record::{Custom, Customs, FIELDS, Field, FlowRecord};
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
        for column in &schema.places() {
            let value = schema.value(column, row);
            let mut text = Vec::new();
            if let crate::record::Value::Text(symbol) = value {
                schema.symbols.read(symbol, &mut text);
                all.push(format!("{} {text:?}", schema.field_name(column.what)));
            } else {
                all.push(format!("{} {value:?}", schema.field_name(column.what)));
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

/// Reads a frame of the rows back: the same columns with the same values.
fn comes_back(schema: &Schema, words: &[u64]) {
    let got = Reader::default().read(&frame(schema, words)).unwrap();
    assert!(got.schema.is_like(schema), "{schema:?}");
    assert_eq!(got.schema.places(), schema.places());
    assert_eq!(got.schema.row_words(), schema.row_words());
    assert_eq!(shown(&got.schema, &got.words), shown(schema, words));
}

/// A row of `schema` out of `record`.
fn row(schema: &Schema, record: &FlowRecord) -> Vec<u64> {
    let mut row = vec![0; schema.row_words()];
    let (key, counters) = row.split_at_mut(schema.key.len());
    schema.key.pack(record, key);
    schema.counter.add(record, counters);
    row
}

#[test]
fn every_field_comes_back_alone_and_with_all_others() {
    let symbols = Arc::new(Interner::new(1 << 20));
    let all: Vec<Field> = FIELDS.iter().map(|info| info.field).collect();
    let picks = |seed: u64| -> Vec<(usize, u64)> {
        let number = |at: usize| (at as u64 + 1).wrapping_mul(seed);
        (0..FIELDS.len()).map(|at| (at, number(at))).collect()
    };
    let records = [0x9e37_79b9_7f4a_7c15, 3, u64::MAX].map(|seed| {
        let mut r = record(&symbols, &picks(seed));
        (r.packets, r.bytes, r.flows) = (seed, seed >> 9, 1);
        r
    });
    for kinds in [false, true] {
        let options = Options {
            flows: !kinds,
            hidden_flows: kinds,
            kinds,
            ..Options::default()
        };
        let ones = all.iter().map(std::slice::from_ref);
        for fields in ones.chain([&all[..], &[]]) {
            let schema = Schema::new("a", fields, options, symbols.clone());
            let rows = records.iter().map(|r| row(&schema, r));
            comes_back(&schema, &rows.collect::<Vec<_>>().concat());
        }
    }
}

#[test]
#[cfg(feature = "dec-primitive")]
fn primitives_of_the_configuration_come_back_with_names_and_forms() {
    for event in [false, true] {
        let (schema, mut row) = sample::customs(event, sample::values);
        comes_back(&schema, &row);
        let words = |columns: &[Column]| columns.iter().filter(|c| c.kind == Kind::Custom).count();
        assert_eq!(words(&schema.columns), 10);
        let (other, none) = sample::customs(!event, |_, _| ());
        comes_back(&other, &none);
        row.extend(row.clone());
        comes_back(&schema, &row);
    }
}

#[test]
fn a_primitive_is_read_where_primitives_are_built_and_refused_by_name_elsewhere() {
    let symbols = Arc::new(Interner::new(0));
    let schema = Schema::new("it", &[Field::SrcPort], Options::default(), symbols);
    let mut row = vec![0; schema.row_words()];
    schema.places()[0].set_number(&mut row, 7);
    let bytes = frame(&schema, &row);
    // The port's column as that of a primitive, a number in the first slot.
    let name: &[u8] = b"\x08src_port\x00";
    let at = bytes.windows(name.len()).position(|w| w == name).unwrap();
    let rest = &bytes[at + name.len()..];
    let bytes = [&bytes[..at], b"\x04site\x10\x00", rest].concat();
    let read = Reader::default().read(&bytes);
    if crate::base::built("dec-primitive") {
        let shown = shown(
            &read.as_ref().unwrap().schema,
            &read.as_ref().unwrap().words,
        );
        assert_eq!(shown[0], "site Number(7)");
    } else {
        let why = read.unwrap_err();
        assert_eq!(why, Refused::Column("site".into()));
        // It stays on the disk for a weir that has them.
        assert!(why.is_of_later());
    }
}

#[test]
#[cfg(feature = "dec-primitive")]
fn primitives_without_a_place_are_refused() {
    let (schema, row) = sample::customs(false, sample::values);
    let good = frame(&schema, &row);
    let with = |name: &[u8], behind: &[u8]| {
        let at = good.windows(name.len()).position(|w| w == name).unwrap() + name.len();
        [&good[..at], behind, &good[at + behind.len()..]].concat()
    };
    let refused = |bytes: &[u8]| Reader::default().read(bytes).err();
    assert_eq!(refused(&good), None);
    // Beyond the last slot, in that of another, in the second of an address, and an address
    // without a second.
    for (name, behind, why) in [
        (
            &b"\x03hex"[..],
            &[0x11, 16][..],
            Refused::Column("hex".into()),
        ),
        (b"\x03hex", &[0x11, 0], Refused::Columns),
        (b"\x03hex", &[0x11, 4], Refused::Columns),
        (b"\x03ip6", &[0x13, 15], Refused::Columns),
        (b"\x03hex", &[0x1f], Refused::Column("hex".into())),
        (b"\x03hex", &[0x28], Refused::Column("hex".into())),
    ] {
        assert_eq!(
            refused(&with(name, behind)),
            Some(why),
            "{name:?} {behind:?}"
        );
    }
    // Nine bytes in a word of eight.
    let short = b"\x04word\x15\x06\x00\x04\x03ab\"";
    let at = good.windows(short.len()).position(|w| w == short).unwrap();
    let long = b"\x04word\x15\x06\x00\x0a\x09123456789";
    let long = [&good[..at], long, &good[at + short.len()..]].concat();
    assert_eq!(refused(&long), Some(Refused::Value("word".into())));
    let twice = with(b"\x03", b"hex");
    assert_ne!(refused(&twice), None);
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

/// Primitives of these shapes and lengths, where there are such, as far as slots go.
fn customs(forms: &[(usize, u16)]) -> Customs {
    let shapes = [
        Means::Number,
        Means::Hex,
        Means::Ip,
        Means::Mac,
        Means::Text,
        Means::Raw,
    ];
    let (mut list, mut slot) = (Vec::new(), 0);
    for (n, (shape, length)) in forms.iter().enumerate() {
        let shape = shapes[*shape];
        let length = Some(*length).filter(|length| *length < 19);
        let Ok(form) = Form::new(shape, length) else {
            continue;
        };
        if slot + form.size() / 8 > SLOTS {
            break;
        }
        let field = Field::custom(slot).unwrap();
        slot += form.size() / 8 + n % 2;
        let name = format!("own_{n}");
        list.push(Custom::plain(&name, (shape, length), form, field));
    }
    Customs::new(list)
}

proptest! {
    #[test]
    fn any_rows_come_back(
        fields in proptest::collection::vec(0..FIELDS.len(), 0..12),
        rows in proptest::collection::vec(
            (proptest::collection::vec((any::<usize>(), any::<u64>()), 0..20), any::<u64>()), 0..20
        ),
        forms in proptest::collection::vec((0..6usize, 1..20u16), 0..8),
        flows: bool,
        hidden: bool,
        kinds: bool,
        binned: bool,
    ) {
        let symbols = Arc::new(Interner::new(16384));
        let fields: Vec<Field> = fields.iter().map(|at| FIELDS[*at].field).collect();
        let customs = customs(&forms);
        let mut fields = fields;
        fields.extend(customs.iter().map(|custom| custom.field));
        let options = Options { flows, binned, hidden_flows: hidden, kinds, both_ends: false };
        let customs = Arc::new(customs);
        let schema = Schema::with_customs("it", &fields, options, symbols.clone(), customs.clone());
        let mut words = Vec::new();
        for (picks, count) in &rows {
            let mut r = record(&symbols, picks);
            for custom in customs.iter() {
                let value = [count.to_be_bytes(), count.rotate_left(13).to_be_bytes()].concat();
                let value = &value[..(*count % 17) as usize];
                let word = custom.form.word(custom.cut(value), |text| symbols.intern(text));
                r.set_word(custom.field, word);
                if let (Form::Ip6, Some(second)) = (custom.form, custom.fields().nth(1)) {
                    r.set_word(custom.field, *count);
                    r.set_word(second, count.rotate_left(9));
                }
            }
            r.set_record_kind((count % 3) as u8);
            (r.packets, r.bytes, r.flows) = (*count, count.rotate_left(9), 1);
            words.extend(row(&schema, &r));
        }
        comes_back(&schema, &words);
    }

    #[test]
    fn damage_is_refused_or_read_and_never_more(at: usize, with: u8, cut: usize) {
        let (schema, row) = match at % 2 {
            0 => sample::rows(&sample::ALL, true),
            _ => sample::customs(true, sample::values),
        };
        let mut bytes = frame(&schema, &row.repeat(3));
        let len = bytes.len();
        bytes[at / 2 % len] = with;
        bytes.truncate(len - cut % 3);
        if let Ok(frame) = Reader::default().read(&bytes) {
            prop_assert!(frame.words.len() <= WORDS_MAX);
            prop_assert_eq!(frame.words.len() % frame.schema.row_words(), 0);
        }
    }
}
