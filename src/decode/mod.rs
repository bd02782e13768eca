//! Decoders turn frames into records. They own their state, all of it bounded, and do no I/O.
//!
//! Adding one: a file here, a line in the registry, a line in `Cargo.toml`.
#![deny(clippy::indexing_slicing, clippy::unwrap_used, clippy::expect_used)]
#![deny(clippy::arithmetic_side_effects, clippy::panic, unsafe_code)]

pub mod compile;
pub mod custom;
pub mod datagram;
pub mod flowset;
pub mod fragment;
pub mod guard;
pub mod netflow;
pub mod options;
pub mod packet;
pub mod plan;
pub mod row;
pub mod sequence;
pub mod sflow;
pub mod slow;
pub mod template;
pub mod time;
pub mod vrf;

pub mod registry;

use crate::base::intern::{Interner, Sym, SymCache};
use crate::base::ledger::{Intake, Reason};
use crate::base::time::Nanos;
use crate::record::flow::Start;
use crate::record::{Batch, Customs, FieldSet, FlowRecord, RecordKind};
use crate::source::Frame;
use crate::wire;
pub use registry::{Decode, Kind, build, gives, gives_custom, memory};
use std::sync::Arc;

macro_rules! registry {
    ($($name:literal: $module:ident :: $decoder:ident if $feature:literal;)*) => {
        /// Every decoder, built in or not.
        pub static KINDS: &[Kind] = &[$(Kind {
            name: $name,
            feature: $feature,
            #[cfg(feature = $feature)]
            build: Some(|setup| Box::new($module::$decoder::new(setup))),
            #[cfg(not(feature = $feature))]
            build: None,
            #[cfg(feature = $feature)]
            gives: $module::GIVES,
            #[cfg(not(feature = $feature))]
            gives: FieldSet::EMPTY,
            #[cfg(feature = $feature)]
            memory: $module::memory,
            #[cfg(not(feature = $feature))]
            memory: |_| 0,
        }),*];
    };
}

registry! {
    "packet": packet::PacketDecoder if "dec-packet";
    "netflow": netflow::NetflowDecoder if "dec-netflow";
    "sflow": sflow::SflowDecoder if "dec-sflow";
}

/// Turns frames into records.
pub trait Decoder: Send {
    /// Decodes one frame; records go to `out`.
    ///
    /// Whatever could be decoded stays decoded: a decoder drops the smallest unit it can name,
    /// counts it in `out.ledger`, and goes on. It returns an error only when nothing more of the
    /// frame can be read; the caller counts that one.
    ///
    /// # Errors
    /// The reason why the rest of the frame is unreadable.
    fn decode(&mut self, frame: &Frame<'_>, out: &mut Emit<'_>) -> Result<(), wire::Error>;

    /// The input has ended: what is half put together is counted as dropped.
    fn finish(&mut self, _out: &mut Emit<'_>) {}

    /// Bounded things it holds: name, used, most. For status and metrics.
    fn usage(&self) -> Vec<(&'static str, usize, usize)> {
        Vec::new()
    }

    /// Grows with every change of what [`save`](Self::save) would give.
    fn news(&self) -> u64 {
        0
    }

    /// Saves what a restart should find again (templates), to a file of the configuration.
    ///
    /// # Errors
    /// When the bytes can not be produced.
    fn save(&self) -> Option<Vec<u8>> {
        None
    }

    /// Takes back what [`save`](Self::save) gave. Damaged bytes are refused as a whole.
    ///
    /// # Errors
    /// A sentence that says what is wrong with the bytes.
    fn load(&mut self, _saved: &[u8]) -> Result<(), String> {
        Ok(())
    }
}

/// What a decoder is built from.
#[derive(Clone, Debug)]
pub struct Setup {
    /// Fields that some aggregation, filter or enricher wants; nothing else is decoded.
    pub wanted: FieldSet,
    /// Most templates kept.
    pub templates_max: usize,
    /// Most exporters (address, domain) followed.
    pub exporters_max: usize,
    /// Most option entries (sampling rates, names) kept.
    pub options_max: usize,
    /// Most fragmented packets followed at a time.
    pub fragments_max: usize,
    /// How datagrams are taken.
    pub reading: Reading,
    /// The primitives of the configuration that are wanted.
    pub customs: Arc<Customs>,
}

/// How the datagrams of an input are taken, where there is a choice.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reading {
    /// NetFlow, IPFIX: options records are records as well.
    pub account_options: bool,
    /// NetFlow, IPFIX: bytes of the responder (element 232) are counted as packets.
    pub asa_biflow: bool,
    /// The exporter is who sent the datagram, whatever address it states.
    pub ignore_exporter_address: bool,
    /// Where there is no BGP next hop that of IP takes its place.
    pub use_next_hop: bool,
    /// NetFlow, IPFIX: AS numbers of source and destination (16, 17) are those of the neighbours,
    /// and nothing tells the others.
    pub peer_as: bool,
    /// NetFlow, IPFIX: times counted from the exporter's start are as coarse as nfacctd's.
    pub uptime_seconds: bool,
    /// sFlow: bytes are those of the sampled frame, its link layer and checksum included, rather
    /// than those of layer 3.
    pub frame_bytes: bool,
    /// Packets, sFlow: frames without IP are no records, also where fields below IP are wanted.
    pub only_ip: bool,
}

impl Default for Reading {
    fn default() -> Self {
        Self {
            account_options: false,
            asa_biflow: false,
            ignore_exporter_address: false,
            use_next_hop: true,
            peer_as: false,
            uptime_seconds: false,
            frame_bytes: false,
            only_ip: false,
        }
    }
}

impl Setup {
    /// Decode `wanted` with the limits a small box can afford.
    pub fn new(wanted: FieldSet) -> Self {
        Self {
            wanted,
            templates_max: 512,
            exporters_max: 256,
            options_max: 2048,
            fragments_max: 256,
            reading: Reading::default(),
            customs: Arc::default(),
        }
    }
}

/// Where a decoder puts its records, and what it may use while decoding.
pub struct Emit<'a> {
    batch: &'a mut Batch,
    run: &'a mut dyn FnMut(&mut Batch, &mut Intake),
    /// The input's page of the ledger.
    pub ledger: &'a mut Intake,
    symbols: &'a Interner,
    cache: &'a mut SymCache,
    /// Frame filters the current frame passed, one bit each; copied into its records.
    pub pass: u32,
    /// When the current frame arrived; the time of its records until a decoder says otherwise.
    pub time: Nanos,
}

impl<'a> Emit<'a> {
    /// Joins the parts a worker owns. `run` is the rest of the pipeline: it empties the batch.
    pub fn new(
        batch: &'a mut Batch,
        run: &'a mut dyn FnMut(&mut Batch, &mut Intake),
        ledger: &'a mut Intake,
        symbols: &'a Interner,
        cache: &'a mut SymCache,
    ) -> Self {
        Self {
            batch,
            run,
            ledger,
            symbols,
            cache,
            pass: 0,
            time: Nanos(0),
        }
    }

    /// The next free record, clean in all wanted fields. When the batch is full the rest of the
    /// pipeline runs first, so a decoder never stops in the middle of a datagram. The record
    /// counts unless [`undo`](Self::undo) takes it back.
    #[inline]
    pub fn slot(&mut self) -> &mut FlowRecord {
        if self.batch.is_full() {
            (self.run)(self.batch, self.ledger);
        }
        let record = self.batch.slot();
        record.pass = self.pass;
        record.time = self.time;
        record
    }

    /// The same for up to `most` records at once, at least one: exported flows that have all of
    /// `present`. With them comes what makes symbols of texts.
    #[inline]
    pub fn slots(&mut self, most: usize, present: FieldSet) -> (&mut [FlowRecord], Symbols<'_>) {
        if self.batch.is_full() {
            (self.run)(self.batch, self.ledger);
        }
        let start = Start {
            present,
            flows: 1,
            time: self.time,
            pass: self.pass,
        };
        let records = self.batch.slots(most, start);
        let symbols = Symbols {
            store: self.symbols,
            cache: self.cache,
            ledger: self.ledger,
        };
        (records, symbols)
    }

    /// Takes the last record back.
    #[inline]
    pub fn undo(&mut self) {
        self.batch.undo();
    }

    /// The last record, for what could not be known while it was made.
    #[inline]
    pub fn last(&mut self) -> Option<&mut FlowRecord> {
        self.batch.records_mut().last_mut()
    }

    /// The same, and with it what makes symbols of texts.
    #[inline]
    pub fn last_with_symbols(&mut self) -> Option<(&mut FlowRecord, Symbols<'_>)> {
        let record = self.batch.records_mut().last_mut()?;
        let symbols = Symbols {
            store: self.symbols,
            cache: self.cache,
            ledger: self.ledger,
        };
        Some((record, symbols))
    }

    /// Runs the rest of the pipeline over what the batch holds.
    pub fn flush(&mut self) {
        if !self.batch.is_empty() {
            (self.run)(self.batch, self.ledger);
        }
    }

    /// The symbol of a text; counted when it found no room.
    #[inline]
    pub fn intern(&mut self, text: &[u8]) -> Sym {
        self.symbols().intern(text)
    }

    /// What makes symbols of texts.
    #[inline]
    pub fn symbols(&mut self) -> Symbols<'_> {
        Symbols {
            store: self.symbols,
            cache: self.cache,
            ledger: self.ledger,
        }
    }

    /// Counts one dropped unit of `bytes` bytes.
    #[inline]
    pub fn drop(&mut self, reason: Reason, bytes: usize) {
        self.ledger.drop(reason, bytes);
    }
}

/// Makes symbols of texts.
pub struct Symbols<'a> {
    store: &'a Interner,
    cache: &'a mut SymCache,
    ledger: &'a mut Intake,
}

impl Symbols<'_> {
    /// The symbol of a text; counted when it found no room.
    #[inline]
    pub fn intern(&mut self, text: &[u8]) -> Sym {
        let sym = self.cache.intern(text, self.store);
        if sym == Sym::OVERFLOW {
            self.ledger.drop(Reason::SymbolStore, text.len());
        }
        sym
    }
}

impl From<wire::Error> for Reason {
    fn from(e: wire::Error) -> Self {
        match e {
            wire::Error::Truncated => Self::Truncated,
            wire::Error::Length => Self::Length,
            wire::Error::Version => Self::Version,
            wire::Error::Type => Self::Type,
            wire::Error::Count => Self::Count,
            wire::Error::Loop => Self::Loop,
        }
    }
}
