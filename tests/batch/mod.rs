//! Batches of rows for outputs to databases, made by hand.
#![allow(dead_code)] // Every test file uses a part of it.

use std::sync::Arc;
use weir::base::addr::Ip;
use weir::base::intern::Interner;
use weir::base::options::{Options, Raw};
use weir::base::time::Nanos;
use weir::base::zone::Zone;
use weir::record::schema::{Options as Choices, Schema};
use weir::record::{Field, FlowRecord};
use weir::sink::{BatchId, Context, Rows, Sink, SinkError};

/// An output of this kind, with these settings.
pub fn open(kind: &str, name: &str, settings: &[(&str, Raw)]) -> Box<dyn Sink> {
    let mut options = Options::new("output.db", Default::default());
    for (key, value) in settings {
        options.set(key, value.clone());
    }
    let opener = weir::sink::parse(kind, &mut options).expect("settings");
    assert_eq!(options.finish(), []);
    let context = Context {
        name: name.into(),
        zone: Zone::UTC,
        seed: 0,
        again: false,
    };
    opener.open(&context).expect("open")
}

/// A setting that is text.
pub fn text(text: &str) -> Raw {
    Raw::Text(text.into())
}

/// Rows by these fields, in bins.
pub fn schema(fields: &[Field]) -> Arc<Schema> {
    let choices = Choices {
        flows: true,
        binned: true,
        ..Choices::default()
    };
    let symbols = Arc::new(Interner::new(4096));
    Arc::new(Schema::new("talkers", fields, choices, symbols))
}

/// Rows by host, exporter and flags.
pub fn usual() -> Arc<Schema> {
    schema(&[Field::SrcHost, Field::PeerSrcIp, Field::TcpFlags])
}

/// Rows of hosts 192.0.2.x with flags, behind exporter 10.0.0.(x % 3), 10 packets and 1000 bytes.
pub fn rows(schema: &Arc<Schema>, sequence: u64, bin: u64, hosts: &[(u8, u8)]) -> Rows {
    let records = hosts.iter().map(|(host, flags)| {
        let mut r = FlowRecord::new();
        r.set_src_host(Ip::v4([192, 0, 2, *host]));
        r.set_peer_src_ip(Ip::v4([10, 0, 0, host % 3]));
        r.set_tcp_flags(*flags);
        (r.packets, r.bytes, r.flows) = (10, 1000, 1);
        r
    });
    of(schema, sequence, bin, records)
}

/// Rows of these records.
pub fn of(
    schema: &Arc<Schema>,
    sequence: u64,
    bin: u64,
    records: impl Iterator<Item = FlowRecord>,
) -> Rows {
    let mut words = Vec::new();
    for mut r in records {
        r.set_bin(Nanos::new(bin, 0));
        let mut row = vec![0; schema.row_words()];
        let (key, counters) = row.split_at_mut(schema.key.len());
        schema.key.pack(&r, key);
        schema.counter.add(&r, counters);
        words.extend(row);
    }
    Rows {
        id: BatchId {
            run: u64::MAX - 5,
            aggregate: 0,
            sequence,
        },
        schema: schema.clone(),
        bin: Nanos::new(bin, 0),
        flushed: Nanos::new(bin + 60, 0),
        words,
        last: true,
    }
}

/// Why rows are to come again.
pub fn retried(result: Result<(), SinkError>) -> String {
    match result {
        Err(SinkError::Retry { why, .. }) => why,
        other => panic!("{other:?}"),
    }
}

/// Why rows are not wanted.
pub fn refused(result: Result<(), SinkError>) -> String {
    match result {
        Err(SinkError::Refused(why)) => why,
        other => panic!("{other:?}"),
    }
}
