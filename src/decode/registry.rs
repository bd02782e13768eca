//! Every decoder by name, built in or not, and who gets which frame.

use super::custom::Pointers;
use super::datagram::{self, Unwrap};
use super::packet::PointedDecoder;
use super::{Decoder, Emit, Setup};
use crate::base::ledger::Reason;
use crate::record::{Custom, FieldSet};
use crate::source::Frame;
use crate::wire;

/// Builds a decoder.
pub type Build = fn(&Setup) -> Box<dyn Decoder>;

/// A decoder.
pub struct Kind {
    /// Its name in the configuration.
    pub name: &'static str,
    /// The feature it needs.
    pub feature: &'static str,
    /// Builds it; none where this build has not got it.
    pub build: Option<Build>,
    /// Fields it can supply.
    pub gives: FieldSet,
    /// Bytes that its stores take.
    pub memory: fn(&Setup) -> usize,
}

/// Which decoder frames go to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Decode {
    /// By what the bytes are: datagrams by their version, frames as packets.
    #[default]
    Auto,
    /// Frames as packets.
    Packet,
    /// NetFlow and IPFIX, out of captured frames where the source is a capture.
    Netflow,
    /// sFlow, likewise.
    Sflow,
}

impl Decode {
    /// All by the names that configurations give them; of two names of one the first is shown.
    pub const CHOICES: &'static [(&'static str, Self)] = &[
        ("auto", Self::Auto),
        ("packets", Self::Packet),
        ("netflow", Self::Netflow),
        ("sflow", Self::Sflow),
        ("packet", Self::Packet),
    ];

    /// The one of this name.
    pub fn named(name: &str) -> Option<Self> {
        let found = Self::CHOICES.iter().find(|(known, _)| *known == name);
        found.map(|(_, decode)| *decode)
    }

    /// Its name.
    pub fn name(self) -> &'static str {
        let found = Self::CHOICES.iter().find(|(_, decode)| *decode == self);
        found.map_or("", |(name, _)| name)
    }

    /// The kinds that take part for a source of datagrams or of frames.
    fn kinds(self, datagrams: bool) -> impl Iterator<Item = &'static Kind> {
        let names: &[&str] = match self {
            Self::Auto if datagrams => &["netflow", "sflow"],
            Self::Auto | Self::Packet => &["packet"],
            Self::Netflow => &["netflow"],
            Self::Sflow => &["sflow"],
        };
        super::KINDS
            .iter()
            .filter(|kind| names.contains(&kind.name))
    }

    /// Whether frames are packets to be accounted rather than carriers of datagrams.
    fn packets(self, datagrams: bool) -> bool {
        self == Self::Packet || (self == Self::Auto && !datagrams)
    }
}

/// The decoder for a source of datagrams or of frames; the error names the feature that is
/// missing.
///
/// # Errors
/// When this build has no such decoder.
pub fn build(
    decode: Decode,
    datagrams: bool,
    setup: &Setup,
) -> Result<Box<dyn Decoder>, &'static str> {
    let mut built = [None, None];
    let mut missing = "";
    for (slot, kind) in built.iter_mut().zip(decode.kinds(datagrams)) {
        *slot = kind.build.map(|build| build(setup));
        missing = kind.feature;
    }
    let [first, second] = built;
    if decode.packets(datagrams) {
        let decoder = first.ok_or(missing)?;
        return Ok(match Pointers::new(setup) {
            Some(pointers) => Box::new(PointedDecoder::new(decoder, pointers, setup)),
            None => decoder,
        });
    }
    if first.is_none() && second.is_none() {
        return Err(missing);
    }
    let (netflow, sflow) = match decode {
        Decode::Sflow => (None, first),
        _ => (first, second),
    };
    let unwrap = (!datagrams).then(Unwrap::default);
    Ok(Box::new(Export {
        unwrap,
        netflow,
        sflow,
    }))
}

/// Fields that can come from it.
pub fn gives(decode: Decode, datagrams: bool) -> FieldSet {
    let built = decode.kinds(datagrams).filter(|kind| kind.build.is_some());
    built.fold(FieldSet::EMPTY, |all, kind| all.union(kind.gives))
}

/// Whether a primitive of the configuration can come from it: elements from NetFlow and IPFIX,
/// places in packets from whatever has packets or parts of them.
pub fn gives_custom(decode: Decode, datagrams: bool, custom: &Custom) -> bool {
    let mut built = decode.kinds(datagrams).filter(|kind| kind.build.is_some());
    let element = custom.element.is_some();
    built.any(|kind| !custom.pointers.is_empty() || element && kind.name == "netflow")
}

/// Bytes that its stores take.
pub fn memory(decode: Decode, datagrams: bool, setup: &Setup) -> usize {
    let built = decode.kinds(datagrams).filter(|kind| kind.build.is_some());
    let stores = built.fold(0usize, |sum, kind| sum.saturating_add((kind.memory)(setup)));
    if datagrams || decode.packets(datagrams) {
        stores
    } else {
        stores.saturating_add(datagram::DATAGRAMS_MAX.saturating_mul(datagram::DATAGRAM_BYTES))
    }
}

/// Export datagrams, each to the decoder of its version, from a socket or out of frames.
struct Export {
    unwrap: Option<Unwrap>,
    netflow: Option<Box<dyn Decoder>>,
    sflow: Option<Box<dyn Decoder>>,
}

impl Decoder for Export {
    fn decode(&mut self, frame: &Frame<'_>, out: &mut Emit<'_>) -> Result<(), wire::Error> {
        let inner;
        let datagram = match &mut self.unwrap {
            None => frame,
            Some(unwrap) => match unwrap.unwrap(frame, out.ledger) {
                Some(found) => {
                    inner = found;
                    &inner
                }
                None => return Ok(()),
            },
        };
        // sFlow's version is 32 bits wide, NetFlow's and IPFIX's 16, and neither is ever zero.
        let chosen = match datagram.bytes {
            [0, 0, ..] => self.sflow.as_mut(),
            _ => self.netflow.as_mut(),
        };
        match chosen {
            Some(decoder) => decoder.decode(datagram, out),
            None => {
                out.drop(Reason::Version, datagram.bytes.len());
                Ok(())
            }
        }
    }

    fn finish(&mut self, out: &mut Emit<'_>) {
        if let Some(unwrap) = &mut self.unwrap {
            unwrap.finish(out.ledger);
        }
    }

    fn usage(&self) -> Vec<(&'static str, usize, usize)> {
        let unwrap = self.unwrap.iter().map(|unwrap| {
            let (used, most) = unwrap.usage();
            ("datagrams", used, most)
        });
        let both = [&self.netflow, &self.sflow].into_iter().flatten();
        both.flat_map(|decoder| decoder.usage())
            .chain(unwrap)
            .collect()
    }

    fn news(&self) -> u64 {
        self.netflow.as_ref().map_or(0, |decoder| decoder.news())
    }

    fn save(&self) -> Option<Vec<u8>> {
        self.netflow.as_ref()?.save()
    }

    fn load(&mut self, saved: &[u8]) -> Result<(), String> {
        self.netflow
            .as_mut()
            .map_or(Ok(()), |decoder| decoder.load(saved))
    }
}
