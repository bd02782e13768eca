//! Map files, networks files and lists: whatever the bytes, mistakes have places in them, rows are
//! counted, and what was compiled runs on records. The first byte says which kind of file it is.
#![no_main]

use libfuzzer_sys::fuzz_target;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use weir::base::intern::Interner;
use weir::base::lines::{self, Complaints, Rows};
use weir::base::part::Shared;
use weir::enrich::Enricher;
use weir::enrich::list::{self, Listed, Of};
use weir::enrich::networks::{self, Hidden, Located, Method, Settings};
use weir::record::{Batch, FieldSet, TABLE};
use weir::rule::condition::Judge;
use weir::rule::lookup::{self, Distinguishers, Rates};
use weir::rule::map::KINDS;
use weir::rule::tag::{Compiler, Tagger};

/// Bytes of texts; few, so that they run out.
const SYMBOLS: usize = 4096;

fuzz_target!(|input: &[u8]| {
    let Some((which, text)) = input.split_first() else {
        return;
    };
    let which = usize::from(*which) % (KINDS.len() + 4);
    match (KINDS.get(which), which - KINDS.len().min(which)) {
        (Some(kind), _) if kind.name == "tags" => tags(text),
        (Some(kind), _) if ["sampling", "rd"].contains(&kind.name) => {
            let mut compiler = lookup::Compiler::new(kind, judge());
            read(text, &mut compiler);
            let map = shared(compiler.finish());
            if kind.name == "rd" {
                run(&mut Distinguishers(map));
            } else {
                let map = Some(map);
                run(&mut Rates { map, external: 7 });
            }
        }
        (Some(kind), _) => {
            let mut count = |line, column, text: &str, complaints: &mut Complaints| {
                if let Some(row) = kind.row(line, column, text, complaints) {
                    assert!(row.items.len() <= kind.keys.len());
                }
            };
            read(text, &mut count);
        }
        (None, 0) => networks(text),
        (None, n) => {
            let of = [Of::Ports, Of::Protocols, Of::Tos][(n - 1) % 3];
            let mut reader = list::Reader::new(of);
            read(text, &mut reader);
            run(&mut Listed(shared(reader.finish())));
        }
    }
});

/// What a map holds, as its users take it.
fn shared<T>(value: T) -> Shared<T> {
    Shared::of(value).expect("a build with maps")
}

fn everything() -> FieldSet {
    TABLE.iter().map(|info| info.field).collect()
}

fn judge() -> Judge {
    Judge::new(everything(), "fuzzing")
}

/// Reads all rows; every mistake lies within the text.
fn read(text: &[u8], rows: &mut dyn Rows) -> Complaints {
    let mut complaints = Complaints::default();
    let most = text.len() as u64;
    let whole = lines::each(&mut &text[..], most, &mut complaints, rows);
    assert!(whole.is_ok_and(|whole| whole));
    let lines = text.split(|b| *b == b'\n').count();
    for problem in complaints.problems() {
        let (line, column) = (problem.place.line as usize, problem.place.column as usize);
        assert!((1..=lines).contains(&line) && column <= text.len() + 2);
        assert!(problem.message.len() < 5000, "{}", problem.message.len());
    }
    complaints
}

/// Runs an enricher over records of all kinds.
fn run(enricher: &mut dyn Enricher) {
    let mut batch = Batch::new(everything());
    records(&mut batch);
    enricher.enrich(&mut batch);
}

fn records(batch: &mut Batch) {
    for n in 0..Batch::SIZE as u8 {
        let ip = IpAddr::V4(Ipv4Addr::new(192, 0, 2, n)).into();
        let record = batch.slot();
        if n % 2 == 0 {
            record.set_peer_src_ip(ip);
            record.set_in_iface(n.into());
            record.set_export_proto_version([5, 9, 10][usize::from(n) % 3]);
            record.set_export_proto_sysid(n.into());
        }
        if n % 3 == 0 {
            record.set_src_host(ip);
            record.set_dst_host(ip);
            record.set_src_mask(n);
            record.set_proto(n % 18);
        }
        record.set_vlan(n.into());
    }
}

fn tags(text: &[u8]) {
    // libpcap's compiler is its own business, and would ask the name service.
    if text.windows(6).any(|bytes| bytes == b"filter") {
        return;
    }
    let symbols = Arc::new(Interner::new(SYMBOLS));
    let mut compiler = Compiler::new(judge(), symbols);
    let mut complaints = read(text, &mut compiler);
    let refused = compiler.refused();
    let map = shared(compiler.finish(&mut complaints));
    assert!(refused + map.len() <= text.split(|b| *b == b'\n').count());
    let mut tagger = Tagger::new(map, 1, 2);
    run(&mut tagger);
    let (mut batch, mut out) = (Batch::new(everything()), Batch::new(FieldSet::EMPTY));
    records(&mut batch);
    let mut count = 0;
    let copied = tagger.copying(&mut batch, &mut out, &mut |out| {
        count += out.records().len()
    });
    assert_eq!(count as u64, copied.records + Batch::SIZE as u64);
}

fn networks(text: &[u8]) {
    let mut reader = networks::Reader::default();
    let mut complaints = read(text, &mut reader);
    let (file, refused) = reader.finish(&mut complaints);
    assert!(refused + file.len() <= text.split(|b| *b == b'\n').count());
    let file = shared(file);
    run(&mut Hidden(file.clone()));
    for method in [Method::File, Method::Longest] {
        let settings = Settings {
            file: Some(file.clone()),
            net: method,
            asn: method,
            ..Settings::default()
        };
        run(&mut Located::new(settings, everything()));
    }
}
