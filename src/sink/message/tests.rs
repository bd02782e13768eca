//! How rows are cut into messages, what these are called, and which numbers they have.

use super::*;
use crate::base::addr::Ip;
use crate::base::intern::Interner;
use crate::base::options::{Place, Raw};
use crate::base::zone::Zone;
use crate::record::schema;
use crate::record::{Field, FlowRecord};
use proptest::prelude::*;

fn messages(given: &[(&str, Raw)]) -> Messages {
    let mut options = Options::new("output.x", Place::default());
    given.iter().for_each(|(k, v)| options.set(k, v.clone()));
    let settings = settings(&mut options, ("topic", "$aggregate"), true).unwrap();
    assert_eq!(options.finish(), []);
    let context = Context {
        name: "x".into(),
        zone: Zone::UTC,
        seed: 0,
        again: false,
    };
    Messages::new(settings, &context)
}

/// Rows of these hosts with a label each.
fn rows(hosts: &[(u8, &str)], last: bool) -> Rows {
    let symbols = Arc::new(Interner::new(1 << 16));
    let fields = [Field::SrcHost, Field::Label];
    let schema = Schema::new(
        "talkers",
        &fields,
        schema::Options::default(),
        symbols.clone(),
    );
    let mut words = Vec::new();
    for (host, label) in hosts {
        let mut record = FlowRecord::new();
        record.set_src_host(Ip::v4([192, 0, 2, *host]));
        record.set_label(symbols.intern(label.as_bytes()));
        let mut row = vec![0; schema.row_words()];
        schema.key.pack(&record, &mut row[..schema.key.len()]);
        words.extend(row);
    }
    Rows {
        id: BatchId {
            run: 9,
            aggregate: 1,
            sequence: 3,
        },
        schema: Arc::new(schema),
        bin: Nanos::new(300, 0),
        flushed: Nanos::new(360, 0),
        words,
        last,
    }
}

type Sent = Vec<(String, Number, Vec<u8>)>;

fn sent(messages: &mut Messages, rows: &Rows) -> Sent {
    let mut all = Vec::new();
    let done = messages.each(rows, |message| {
        all.push((message.name.into(), message.number, message.body.to_vec()));
        Ok::<_, std::convert::Infallible>(())
    });
    done.unwrap_or_else(|never| match never {});
    all
}

#[test]
fn a_row_is_a_message_and_comes_again_as_the_same() {
    let mut messages = messages(&[("topic", Raw::Text("t/$src_host".into()))]);
    let batch = rows(&[(2, "b"), (1, "a"), (2, "c")], true);
    let all = sent(&mut messages, &batch);
    let names: Vec<_> = all
        .iter()
        .map(|(name, number, _)| (name.as_str(), *number))
        .collect();
    assert_eq!(
        names,
        [
            ("t/192_0_2_1", Number::Rows(0)),
            ("t/192_0_2_2", Number::Rows(1)),
            ("t/192_0_2_2", Number::Rows(2))
        ]
    );
    let row = b"{\"event_type\":\"purge\",\"label\":\"a\",\"ip_src\":\"192.0.2.1\",";
    assert!(all[0].2.starts_with(row) && all[0].2.ends_with(b"}"));
    assert_eq!(sent(&mut messages, &batch), all);
    assert_eq!(identity(&batch.id, all[2].1), "0000000000000009.1.3.2");
}

#[test]
fn marks_count_the_rows_that_are_stored() {
    let mut messages = messages(&[
        ("markers", Raw::Bool(true)),
        ("message_rows", Raw::Number(10)),
    ]);
    let first = rows(&[(1, "a"), (2, "b")], false);
    for _ in 0..2 {
        // It failed once.
        let all = sent(&mut messages, &first);
        assert_eq!((all.len(), all[0].1), (2, Number::Init));
    }
    messages.stored(&first);
    let last = rows(&[(3, "c")], true);
    let all = sent(&mut messages, &last);
    assert_eq!((all.len(), all[1].1), (2, Number::Close));
    let close = String::from_utf8(all[1].2.clone()).unwrap();
    assert!(close.contains("\"purged_entries\":3,"), "{close}");
    messages.stored(&last);
    assert!(messages.flushes.is_empty());
    // What belongs to nothing marks nothing; the end of a flush may have no rows.
    let empty = rows(&[], true);
    assert!(!messages.any(&empty) && sent(&mut messages, &empty).is_empty());
    messages.stored(&first);
    assert!(messages.any(&empty));
    let all = sent(&mut messages, &empty);
    assert_eq!((all.len(), all[0].1), (1, Number::Close));
}

#[test]
fn flushes_that_never_end_are_bounded() {
    let mut messages = messages(&[("markers", Raw::Bool(true))]);
    for bin in 0..2 * FLUSHES as u64 {
        let mut batch = rows(&[(1, "a")], false);
        batch.bin = Nanos::new(bin, 0);
        messages.stored(&batch);
    }
    assert_eq!(messages.flushes.len(), FLUSHES);
}

#[cfg(feature = "enc-avro")]
#[test]
fn records_of_avro_stand_alone_with_their_marks() {
    let mut messages = messages(&[
        ("format", Raw::Text("avro".into())),
        ("markers", Raw::Bool(true)),
        ("writer", Raw::Text("me".into())),
    ]);
    let all = sent(&mut messages, &rows(&[(1, "\n")], true));
    assert_eq!(all[0].2, b"\x14purge_init\x04me");
    // The label is all of the first field: its newline is not the end of a line.
    assert!(all[1].2.starts_with(b"\x02\n\x12192.0.2.1"), "{:?}", all[1]);
    assert!(all[2].2.starts_with(b"\x16purge_close\x04me\x02\x02"));
}

proptest! {
    #[test]
    fn no_row_is_lost_between_messages(
        labels in proptest::collection::vec(".{0,40}", 1..40),
        most in 1i64..12,
        size in 1024i64..3000,
    ) {
        let hosts: Vec<_> = labels.iter().map(|label| (1, label.as_str())).collect();
        let batch = rows(&hosts, true);
        let whole = sent(&mut messages(&[]), &batch);
        let cut = sent(&mut messages(&[
            ("message_rows", Raw::Number(most)),
            ("message_size", Raw::Number(size)),
        ]), &batch);
        let lines = |sent: &Sent| -> Vec<Vec<u8>> {
            let bodies = sent.iter().flat_map(|(_, _, body)| body.split(|b| *b == b'\n'));
            bodies.map(<[u8]>::to_vec).collect()
        };
        prop_assert_eq!(lines(&whole), lines(&cut));
        for (_, _, body) in &cut {
            let rows = body.split(|b| *b == b'\n').count();
            prop_assert!(rows <= most as usize && (rows == 1 || body.len() <= size as usize));
        }
    }
}
