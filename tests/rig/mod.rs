//! A data path to drive by hand: a decoder, aggregations behind it, and the checks that must hold
//! whatever was fed. Shared by tests and fuzz targets. Not for timing: nothing is threaded here.

use std::sync::{Arc, Mutex};

use weir::agg::full::Full;
use weir::agg::window::{Cause, RecordTime, Tray};
use weir::agg::{Aggregator, Drained, Settings, Table};
use weir::base::bins::{Bins, Every};
use weir::base::intern::{Interner, SymCache};
use weir::base::ledger::{Intake, Sum};
use weir::base::time::Nanos;
use weir::base::zone::Zone;
use weir::decode::{self, Decode, Decoder, Emit, Reading, Setup};
use weir::record::custom::{Element, Layer, Pointer, Shape};
use weir::record::schema::{Options, Schema};
use weir::record::{Batch, Custom, Customs, FIELDS, Field, FieldSet, Form};
use weir::source::Frame;

/// Sums of what one aggregation handed out: rows, packets, bytes.
#[derive(Default)]
pub struct Out(Mutex<Sum>);

impl Out {
    fn add(&self, schema: &Schema, rows: &[u64]) {
        let mut sum = self.0.lock().unwrap();
        for row in rows.chunks_exact(schema.row_words()) {
            let counters = &row[schema.key.len()..];
            // What strangers claim goes round, as in the counters it is compared with.
            sum.records += 1;
            sum.packets = sum.packets.wrapping_add(counters[0]);
            sum.bytes = sum.bytes.wrapping_add(counters[1]);
        }
    }

    /// Rows, packets and bytes handed out so far.
    pub fn sum(&self) -> Sum {
        *self.0.lock().unwrap()
    }
}

/// Adds up what is put on it and gives tables back empty.
struct Sums {
    schema: Arc<Schema>,
    out: Arc<Out>,
    spare: Option<Table>,
}

impl Tray for Sums {
    fn put(&mut self, drained: Drained, _: Cause, _: Nanos) {
        match drained {
            Drained::Table(mut table) => {
                table.rows().for_each(|row| self.out.add(&self.schema, row));
                table.clear();
                self.spare = Some(table);
            }
            Drained::Rows(rows) => self.out.add(&self.schema, &rows),
        }
    }

    fn take(&mut self, _: bool) -> Option<Table> {
        self.spare.take()
    }

    fn ready(&self) -> bool {
        true
    }
}

/// One aggregation to be built.
pub struct Want {
    /// Fields to sum by.
    pub by: Vec<Field>,
    /// Bytes for its tables.
    pub memory: usize,
    /// What it does when a table is full.
    pub full: Full,
    /// Seconds of a bin.
    pub every: Option<u32>,
    /// Whether both ends count.
    pub both_ends: bool,
    /// Whether flows are split over bins.
    pub prorate: bool,
}

impl Want {
    /// By these fields, in one mebibyte.
    pub fn by(by: &[Field]) -> Self {
        let full = Full::Flush;
        Self {
            by: by.to_vec(),
            memory: 1 << 20,
            full,
            every: None,
            both_ends: false,
            prorate: false,
        }
    }

    /// By every field that a decoder can give, and the primitives of [`customs`].
    pub fn everything() -> Self {
        let wire = FIELDS
            .iter()
            .filter(|info| info.giver == weir::record::field::Giver::Wire);
        let wire = wire.map(|info| info.field);
        let customs = customs();
        let own = customs.iter().map(|custom| custom.field);
        Self::by(&wire.chain(own).collect::<Vec<_>>())
    }
}

/// Shape, length, element and places of a primitive.
type Given = (Shape, Option<u16>, u16, &'static [(Layer, u16)]);

/// Primitives of a configuration: elements that exporters send, places in every layer.
pub fn customs() -> Customs {
    use Layer::{L3, L4, Mac, Mpls, Payload, Vlan};
    let pointer = |(layer, offset): &(Layer, u16)| Pointer {
        layer: *layer,
        proto: None,
        offset: *offset,
    };
    let list: [Given; 6] = [
        (Shape::Number, Some(8), 1, &[(L3, 8)]),
        (Shape::Ip, Some(4), 8, &[(L3, 12)]),
        (Shape::Text, None, 82, &[(Payload, 0)]),
        (Shape::Raw, Some(3), 4, &[(Vlan, 0), (Mpls, 0)]),
        (Shape::Raw, Some(20), 315, &[(L4, 0)]),
        (Shape::Mac, Some(6), 56, &[(Mac, 6)]),
    ];
    let custom = |(n, (shape, length, id, places)): (usize, Given)| Custom {
        name: format!("p{n}"),
        shape,
        form: Form::new(shape, length).unwrap(),
        length,
        element: Some(Element { pen: 0, id }),
        options: true,
        pointers: places.iter().map(pointer).collect(),
        field: Field::custom(n).unwrap(),
    };
    Customs::new(list.into_iter().enumerate().map(custom).collect())
}

/// Bytes of texts that a rig keeps.
const SYMBOLS: usize = 64 << 10;

/// The data path.
pub struct Rig {
    decoder: Box<dyn Decoder>,
    aggregates: Vec<(Aggregator, Arc<Out>)>,
    batch: Batch,
    /// Its page of the ledger.
    pub ledger: Intake,
    symbols: Arc<Interner>,
    cache: SymCache,
}

impl Rig {
    /// A decoder for frames or datagrams and the aggregations behind it, with stores so small that
    /// they fill up.
    pub fn new(decode: Decode, datagrams: bool, wants: &[Want]) -> Self {
        let small = Setup {
            templates_max: 32,
            exporters_max: 8,
            options_max: 64,
            fragments_max: 16,
            customs: Arc::new(customs()),
            reading: Reading {
                account_options: true,
                ..Reading::default()
            },
            ..Setup::new(FieldSet::EMPTY)
        };
        Self::with_stores(decode, datagrams, wants, small)
    }

    /// The same with the stores of `setup`.
    pub fn with_stores(decode: Decode, datagrams: bool, wants: &[Want], setup: Setup) -> Self {
        let symbols = Arc::new(Interner::new(SYMBOLS));
        let mut wanted = FieldSet::EMPTY;
        let mut aggregates = Vec::new();
        for want in wants {
            let options = Options {
                flows: true,
                both_ends: want.both_ends,
                binned: want.every.is_some(),
                ..Options::default()
            };
            let schema = Arc::new(Schema::new("rig", &want.by, options, symbols.clone()));
            wanted = wanted
                .union(schema.key.needs())
                .union(schema.counter.needs());
            let settings = Settings {
                schema: schema.clone(),
                memory: want.memory,
                full: want.full,
                time: RecordTime::Start,
                prorate: want.prorate,
                renormalise: true,
                filter: None,
                seed: 7,
            };
            let bins = want.every.map(|s| Bins::new(Every::Seconds(s), Zone::UTC));
            let out = Arc::new(Out::default());
            let spare = Some(Aggregator::table(&settings));
            let tray = Box::new(Sums {
                schema,
                out: out.clone(),
                spare,
            });
            let filling = Aggregator::table(&settings);
            aggregates.push((Aggregator::new(settings, bins, filling, tray, true), out));
        }
        wanted.insert(Field::TimestampStart);
        wanted.insert(Field::SamplingRate);
        let setup = Setup { wanted, ..setup };
        let Ok(decoder) = decode::build(decode, datagrams, &setup) else {
            panic!("this build has no decoder for {decode:?}");
        };
        let cache = SymCache::default();
        let (batch, ledger) = (Batch::new(wanted), Intake::default());
        Self {
            decoder,
            aggregates,
            batch,
            ledger,
            symbols,
            cache,
        }
    }

    /// Lends the parts to `f`, as a worker does.
    fn with(&mut self, f: impl FnOnce(&mut dyn Decoder, &mut Emit<'_>)) {
        let aggregates = &mut self.aggregates;
        let mut run = |batch: &mut Batch, ledger: &mut Intake| {
            let mut now = Nanos(0);
            for record in batch.records() {
                ledger.decoded += Sum::one(record.packets, record.bytes);
                now = record.time;
            }
            aggregates
                .iter_mut()
                .for_each(|(aggregate, _)| aggregate.add(batch, now));
            batch.clear();
        };
        let symbols = &self.symbols;
        let mut emit = Emit::new(
            &mut self.batch,
            &mut run,
            &mut self.ledger,
            symbols,
            &mut self.cache,
        );
        f(&mut *self.decoder, &mut emit);
    }

    /// Decodes frames, as one burst of a source.
    pub fn feed<'a>(&mut self, frames: impl Iterator<Item = Frame<'a>>) {
        self.with(|decoder, emit| {
            for frame in frames {
                emit.ledger.frames += 1;
                emit.ledger.frame_bytes += u64::from(frame.wire_len);
                emit.time = frame.time;
                if let Err(error) = decoder.decode(&frame, emit) {
                    emit.drop(error.into(), frame.wire_len as usize);
                }
            }
            emit.flush();
        });
    }

    /// Ends the input, hands every table out, and checks what must hold.
    pub fn finish(&mut self) {
        self.with(|decoder, emit| {
            decoder.finish(emit);
            emit.flush();
        });
        for (name, used, most) in self.decoder.usage() {
            assert!(used <= most, "{name}: {used} of {most}");
        }
        let (used, most, _) = self.symbols.usage();
        assert!(used <= most, "symbols: {used} of {most}");
        for (aggregate, out) in &mut self.aggregates {
            aggregate.finish(Nanos(u64::MAX / 2));
            let account = aggregate.account();
            assert_eq!(account.imbalance(), (0, 0), "{account:?}");
            let flushed = out.sum();
            assert_eq!(account.open.packets, 0);
            assert_eq!(
                (account.flushed.packets, account.flushed.bytes),
                (flushed.packets, flushed.bytes)
            );
        }
    }

    /// The page and what each aggregation handed out, for comparing two runs.
    pub fn result(&self) -> (Intake, Vec<Sum>) {
        (
            self.ledger,
            self.aggregates.iter().map(|(_, out)| out.sum()).collect(),
        )
    }

    /// What a restart would find again.
    pub fn saved(&self) -> Option<Vec<u8>> {
        self.decoder.save()
    }

    /// Takes back what was saved; damaged bytes are refused.
    pub fn load(&mut self, saved: &[u8]) -> Result<(), String> {
        self.decoder.load(saved)
    }
}
