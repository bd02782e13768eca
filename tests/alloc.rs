//! Once warm, the data path allocates nothing: not per record, not per datagram, not per table.
//! Counted by the allocator itself, for every decoder with several exporters and aggregations.
#![cfg(all(
    feature = "src-savefile",
    feature = "dec-netflow",
    feature = "dec-sflow"
))]

#[allow(dead_code, reason = "other tests use the rest of it")]
mod rig;

use rig::{Rig, Want};
use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::net::{IpAddr, Ipv4Addr};
use std::path::Path;
use std::sync::Arc;
use weir::agg::full::Full;
use weir::base::ledger::Intake;
use weir::base::time::Nanos;
use weir::decode::datagram::Unwrap;
use weir::decode::{Decode, Setup};
use weir::record::{Customs, Field, FieldSet};
use weir::source::savefile::SavefileSource;
use weir::source::{Frame, Link, Peer, Progress, Source};

thread_local! {
    static COUNT: Cell<u64> = const { Cell::new(0) };
}

/// The system's allocator, with a count of what this thread asks for.
struct Counting;

// SAFETY: every call is passed on as it is; the count is a plain number of this thread.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let _ = COUNT.try_with(|count| count.set(count.get() + 1));
        // SAFETY: the caller's promise, passed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
        // SAFETY: the caller's promise, passed on.
        unsafe { System.dealloc(at, layout) }
    }

    unsafe fn realloc(&self, at: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        let _ = COUNT.try_with(|count| count.set(count.get() + 1));
        // SAFETY: the caller's promise, passed on.
        unsafe { System.realloc(at, layout, size) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

fn allocations() -> u64 {
    COUNT.with(Cell::get)
}

/// Frames of a capture, or the datagrams in them.
fn items(name: &str, datagrams: bool) -> Vec<Vec<u8>> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/data")
        .join(name);
    let mut source = SavefileSource::open(&path).unwrap();
    let (mut unwrap, mut ledger) = (Unwrap::default(), Intake::default());
    let mut items = Vec::new();
    let mut take = |frame: &Frame<'_>| {
        if !datagrams {
            items.push(frame.bytes.to_vec());
        } else if let Some(found) = unwrap.unwrap(frame, &mut ledger) {
            items.push(found.bytes.to_vec());
        }
    };
    while source.read(&mut take).unwrap() != Progress::End {}
    items
}

/// Three aggregations: the usual one, one with bins by both ends, one by everything whose table
/// is far too small.
fn wants(full: Full) -> [Want; 3] {
    use Field::{DstHost, DstPort, Proto, SrcHost, SrcPort};
    [
        Want::by(&[SrcHost, DstHost, SrcPort, DstPort, Proto]),
        Want {
            both_ends: true,
            every: Some(10),
            prorate: true,
            ..Want::by(&[SrcHost])
        },
        Want {
            full,
            memory: 16 << 10,
            ..Want::everything()
        },
    ]
}

/// One burst: every item from each of four exporters, a second after the last burst.
fn burst(rig: &mut Rig, items: &[Vec<u8>], datagrams: bool, second: u64) {
    let link = if datagrams {
        Link::Datagram
    } else {
        Link::Ethernet
    };
    let frames = items.iter().flat_map(|bytes| {
        (1..=4).map(move |from| {
            let ip = IpAddr::V4(Ipv4Addr::new(192, 0, 2, from));
            let time = Nanos((1_700_000_000 + second) * 1_000_000_000);
            let wire_len = bytes.len() as u32;
            Frame {
                bytes,
                wire_len,
                link,
                time,
                from: Peer {
                    ip,
                    port: 2055,
                    iface: 0,
                },
            }
        })
    });
    rig.feed(frames);
}

/// Most frames of a burst from each exporter: enough, and no more time than needed.
const ITEMS_MAX: usize = 300;

/// Allocations of ten bursts after three that warm up, and how many records those were.
fn warm(decode: Decode, captures: &[&str], wants: &[Want], customs: Customs) -> (u64, u64) {
    let datagrams = decode != Decode::Packet;
    let items: Vec<_> = captures
        .iter()
        .flat_map(|name| items(name, datagrams))
        .take(ITEMS_MAX)
        .collect();
    let stores = Setup {
        customs: Arc::new(customs),
        ..Setup::new(FieldSet::EMPTY)
    };
    let mut rig = Rig::with_stores(decode, datagrams, wants, stores);
    (0..3).for_each(|second| burst(&mut rig, &items, datagrams, second));
    let (before, records) = (allocations(), rig.ledger.decoded.records);
    // Bins of ten seconds end within these.
    (3..13).for_each(|second| burst(&mut rig, &items, datagrams, second));
    let (after, decoded) = (allocations(), rig.ledger.decoded.records);
    rig.finish();
    (after - before, decoded - records)
}

fn allocates_nothing(decode: Decode, captures: &[&str], least: u64) {
    for full in [Full::Flush, Full::Fold] {
        let (allocations, records) = warm(decode, captures, &wants(full), Customs::default());
        assert!(
            records >= least,
            "only {records} records: the test tests nothing"
        );
        assert_eq!(
            allocations, 0,
            "{captures:?}, {full:?}: in {records} records"
        );
    }
    // Evicted rows are handed out in blocks of 256, and a block is what an output owns.
    let (allocations, records) = warm(decode, captures, &wants(Full::Evict), Customs::default());
    assert!(
        allocations <= 1 + records / 256,
        "{captures:?}: {allocations} in {records} records"
    );
}

/// Numbers, addresses, symbols, out of elements and out of packets.
#[test]
fn primitives_of_the_configuration_allocate_nothing() {
    let fields: Vec<Field> = rig::customs().iter().map(|c| c.field).collect();
    let wants = [Want::by(&fields)];
    for (decode, captures) in [
        (Decode::Packet, ["office.pcap"]),
        (Decode::Netflow, ["softflowd-v9.pcap"]),
        (Decode::Netflow, ["ovs-ipfix.pcap"]),
        (Decode::Sflow, ["ovs-sflow.pcap"]),
    ] {
        let (allocations, records) = warm(decode, &captures, &wants, rig::customs());
        assert!(
            records > 500,
            "only {records} records: the test tests nothing"
        );
        assert_eq!(allocations, 0, "{captures:?}: in {records} records");
    }
}

#[test]
fn the_count_counts() {
    let before = allocations();
    let text = std::hint::black_box(vec![1u8; 100]);
    assert_eq!((allocations() - before, text.len()), (1, 100));
}

#[test]
fn packets_allocate_nothing() {
    allocates_nothing(Decode::Packet, &["office.pcap"], 10_000);
}

#[test]
fn netflow_v5_allocates_nothing() {
    allocates_nothing(Decode::Netflow, &["softflowd-v5.pcap"], 2000);
}

#[test]
fn netflow_v9_allocates_nothing() {
    allocates_nothing(Decode::Netflow, &["softflowd-v9.pcap"], 5000);
}

#[test]
fn ipfix_allocates_nothing() {
    allocates_nothing(Decode::Netflow, &["softflowd-ipfix.pcap"], 5000);
    allocates_nothing(Decode::Netflow, &["ovs-ipfix.pcap"], 500);
}

#[test]
fn sflow_allocates_nothing() {
    allocates_nothing(Decode::Sflow, &["ovs-sflow.pcap"], 2000);
}

#[test]
fn all_exports_at_once_allocate_nothing() {
    let captures = [
        "softflowd-v5.pcap",
        "softflowd-v9.pcap",
        "softflowd-ipfix.pcap",
    ];
    allocates_nothing(Decode::Netflow, &captures, 10_000);
}
