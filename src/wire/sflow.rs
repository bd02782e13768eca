//! sFlow version 5 datagrams, as sflow.org specifies them ("sFlow Version 5", July 2004).
//!
//! Everything is XDR (RFC 4506): big-endian numbers of four bytes, lists with a count in front,
//! opaque bytes padded to four. So a datagram is read as a slice of four-byte words, and one
//! check covers a whole structure. Counts and lengths of the wire only bound loops: each is
//! checked against the words that are left.
//!
//! The layers are views: [`Datagram`] → [`Samples`] → [`FlowSample`] or [`CounterSample`] →
//! [`Records`] → the structures of [`record`]. Not for sFlow 2 and 4, whose samples carry no
//! lengths, and not for building datagrams.

pub mod record;

use super::Error;
use crate::base::addr::Ip;

/// The version this module speaks.
pub const VERSION: u32 = 5;

/// Formats of samples with enterprise 0 (section 5, `sample_data`).
pub mod sample {
    /// Flow sample.
    pub const FLOW: u32 = 1;
    /// Counter sample.
    pub const COUNTER: u32 = 2;
    /// Flow sample with wide interface numbers.
    pub const FLOW_EXPANDED: u32 = 3;
    /// Counter sample with wide interface numbers.
    pub const COUNTER_EXPANDED: u32 = 4;
}

/// A position in XDR data, read forward by words of four bytes.
#[derive(Clone, Copy, Debug)]
pub struct Xdr<'a> {
    rest: &'a [[u8; 4]],
}

impl<'a> Xdr<'a> {
    /// Starts at the first byte; up to three bytes behind the last whole word are not seen.
    #[inline]
    pub fn new(bytes: &'a [u8]) -> Self {
        Self {
            rest: bytes.as_chunks::<4>().0,
        }
    }

    /// True when nothing is left.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    /// Bytes left to read.
    #[inline]
    pub fn left(&self) -> usize {
        self.rest.as_flattened().len()
    }

    /// One number.
    #[inline]
    pub fn u32(&mut self) -> Result<u32, Error> {
        let [n] = self.words::<1>()?;
        Ok(n)
    }

    /// The next `N` numbers.
    #[inline]
    pub fn words<const N: usize>(&mut self) -> Result<[u32; N], Error> {
        Ok(self.raw::<N>()?.map(u32::from_be_bytes))
    }

    /// The next `N` words as they are on the wire.
    #[inline]
    pub fn raw<const N: usize>(&mut self) -> Result<&'a [[u8; 4]; N], Error> {
        let (head, tail) = self.rest.split_first_chunk::<N>().ok_or(Error::Truncated)?;
        self.rest = tail;
        Ok(head)
    }

    /// A list: a count, then so many words.
    #[inline]
    pub fn list(&mut self) -> Result<&'a [[u8; 4]], Error> {
        let count = self.u32()? as usize;
        let (head, tail) = self.rest.split_at_checked(count).ok_or(Error::Count)?;
        self.rest = tail;
        Ok(head)
    }

    /// So many bytes, padded to four, of which the length was already read.
    #[inline]
    pub fn opaque(&mut self, len: u32) -> Result<&'a [u8], Error> {
        self.nested(len)?
            .rest
            .as_flattened()
            .get(..len as usize)
            .ok_or(Error::Length)
    }

    /// So many bytes that hold XDR themselves. The padding counts as theirs, since some agents
    /// leave the padding of the last member out of the length.
    #[inline]
    pub fn nested(&mut self, len: u32) -> Result<Xdr<'a>, Error> {
        let words = (len >> 2).wrapping_add(u32::from(len & 3 != 0));
        let (head, tail) = self
            .rest
            .split_at_checked(words as usize)
            .ok_or(Error::Length)?;
        self.rest = tail;
        Ok(Xdr { rest: head })
    }

    /// An address: a type, then 4 or 16 bytes; type 0 is "unknown" and has none.
    #[inline]
    pub fn address(&mut self) -> Result<Option<Ip>, Error> {
        match self.u32()? {
            0 => Ok(None),
            1 => Ok(Some(self.ipv4()?)),
            2 => Ok(Some(self.ipv6()?)),
            _ => Err(Error::Type),
        }
    }

    /// Four bytes of an IPv4 address.
    #[inline]
    pub fn ipv4(&mut self) -> Result<Ip, Error> {
        let [address] = *self.raw::<1>()?;
        Ok(Ip::v4(address))
    }

    /// Sixteen bytes of an IPv6 address.
    #[inline]
    pub fn ipv6(&mut self) -> Result<Ip, Error> {
        let mut address = [0; 16];
        address.copy_from_slice(self.raw::<4>()?.as_flattened());
        Ok(Ip(address))
    }
}

/// A datagram's header and its samples (`sample_datagram_v5`).
#[derive(Clone, Copy, Debug)]
pub struct Datagram<'a> {
    /// Address of the agent; `None` when it says that it is unknown.
    pub agent: Option<Ip>,
    /// Distinguishes independent streams of one agent.
    pub sub_agent: u32,
    /// Counts the datagrams of this sub-agent.
    pub sequence: u32,
    /// Milliseconds since the device started.
    pub uptime: u32,
    /// The samples.
    pub samples: Samples<'a>,
}

impl<'a> Datagram<'a> {
    /// Reads the header.
    ///
    /// # Errors
    /// [`Error::Version`] for any version but 5, [`Error::Type`] for an unknown kind of address,
    /// [`Error::Truncated`] when the header does not fit.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, Error> {
        let mut xdr = Xdr::new(bytes);
        if xdr.u32()? != VERSION {
            return Err(Error::Version);
        }
        let agent = xdr.address()?;
        let [sub_agent, sequence, uptime, count] = xdr.words()?;
        Ok(Self {
            agent,
            sub_agent,
            sequence,
            uptime,
            samples: Samples { xdr, count },
        })
    }
}

/// One sample, not yet looked into.
#[derive(Clone, Copy, Debug)]
pub struct Sample<'a> {
    /// Enterprise (upper 20 bits) and format (lower 12 bits); see [`sample`].
    pub format: u32,
    /// The sample's structure.
    pub body: Xdr<'a>,
}

/// The samples of a datagram. An error ends the iteration: behind a wrong length nothing can be
/// found again.
#[derive(Clone, Copy, Debug)]
pub struct Samples<'a> {
    xdr: Xdr<'a>,
    count: u32,
}

impl Samples<'_> {
    /// Bytes that no sample has been made of yet.
    #[inline]
    pub fn left(&self) -> usize {
        self.xdr.left()
    }
}

impl<'a> Iterator for Samples<'a> {
    type Item = Result<Sample<'a>, Error>;

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        self.count = self.count.checked_sub(1)?;
        let sample = tagged(&mut self.xdr).map(|(format, body)| Sample { format, body });
        if sample.is_err() {
            self.count = 0;
        }
        Some(sample)
    }
}

/// A tag of enterprise and format, then a nested structure.
#[inline]
fn tagged<'a>(xdr: &mut Xdr<'a>) -> Result<(u32, Xdr<'a>), Error> {
    let [format, len] = xdr.words()?;
    Ok((format, xdr.nested(len)?))
}

/// Where an agent samples (`sflow_data_source`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Source {
    /// 0 interface (ifIndex), 1 VLAN, 2 physical entity, 3 logical entity.
    pub class: u32,
    /// Number within the class.
    pub index: u32,
}

impl Source {
    /// From the compact form: eight bits of class, 24 of index.
    #[inline]
    fn compact(word: u32) -> Self {
        Self {
            class: word >> 24,
            index: word & 0xff_ffff,
        }
    }
}

/// What an agent says of one side of a packet's way; [`Port::interface`] tells what it means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Port {
    format: u32,
    value: u32,
}

/// An interface as a flow sample names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Interface {
    /// One interface, by ifIndex; zero when the agent does not know it.
    Index(u32),
    /// None: the packet began or ended in the device itself.
    Internal,
    /// The packet was discarded; below 256 the code of the ICMP unreachable message, above a
    /// reason of the specification.
    Discarded(u32),
    /// So many interfaces; zero when their number is not known.
    Multiple(u32),
    /// A format that the specification does not have.
    Unknown,
}

impl Port {
    /// Largest value of the compact form, which says "none".
    const NONE: u32 = 0x3fff_ffff;

    #[inline]
    fn compact(word: u32) -> Self {
        Self {
            format: word >> 30,
            value: word & Self::NONE,
        }
    }

    /// What it is. Agents use both maxima for "none" in the wide form, the one of the compact
    /// form and that of the word.
    pub fn interface(self) -> Interface {
        match (self.format, self.value) {
            (0, Self::NONE | u32::MAX) => Interface::Internal,
            (0, index) => Interface::Index(index),
            (1, reason) => Interface::Discarded(reason),
            (2, count) => Interface::Multiple(count),
            _ => Interface::Unknown,
        }
    }

    /// The ifIndex if it is one interface that the agent knows, else zero.
    #[inline]
    pub fn index(self) -> u32 {
        let none = self.value == Self::NONE || self.value == u32::MAX;
        if self.format == 0 && !none {
            self.value
        } else {
            0
        }
    }
}

/// A sampled packet and what the agent knows of it (`flow_sample`, `flow_sample_expanded`).
#[derive(Clone, Copy, Debug)]
pub struct FlowSample<'a> {
    /// Enterprise (upper 20 bits) and format (lower 12 bits); see [`sample`].
    pub format: u32,
    /// Counts the samples of this source.
    pub sequence: u32,
    /// Where it was sampled.
    pub source: Source,
    /// One of so many packets is sampled.
    pub rate: u32,
    /// Packets that could have been sampled at this source, ever.
    pub pool: u32,
    /// Samples that this source lost for want of resources, ever.
    pub drops: u32,
    /// Where the packet came in.
    pub input: Port,
    /// Where the packet went.
    pub output: Port,
    /// The description of the packet.
    pub records: Records<'a>,
}

impl<'a> FlowSample<'a> {
    /// Reads the compact form ([`sample::FLOW`]).
    ///
    /// # Errors
    /// [`Error::Truncated`].
    #[inline]
    pub fn parse(mut xdr: Xdr<'a>) -> Result<Self, Error> {
        let [sequence, source, rate, pool, drops, input, output, count] = xdr.words()?;
        Ok(Self {
            format: sample::FLOW,
            sequence,
            source: Source::compact(source),
            rate,
            pool,
            drops,
            input: Port::compact(input),
            output: Port::compact(output),
            records: Records { xdr, count },
        })
    }

    /// Reads the wide form ([`sample::FLOW_EXPANDED`]).
    ///
    /// # Errors
    /// [`Error::Truncated`].
    #[inline]
    pub fn parse_expanded(mut xdr: Xdr<'a>) -> Result<Self, Error> {
        let [sequence, class, index, rate, pool, drops] = xdr.words()?;
        let [in_format, input, out_format, output, count] = xdr.words()?;
        Ok(Self {
            format: sample::FLOW_EXPANDED,
            sequence,
            source: Source { class, index },
            rate,
            pool,
            drops,
            input: Port {
                format: in_format,
                value: input,
            },
            output: Port {
                format: out_format,
                value: output,
            },
            records: Records { xdr, count },
        })
    }
}

/// Counters of a source (`counters_sample`, `counters_sample_expanded`).
#[derive(Clone, Copy, Debug)]
pub struct CounterSample<'a> {
    /// Counts the counter samples of this source.
    pub sequence: u32,
    /// What the counters belong to.
    pub source: Source,
    /// Blocks of counters; see [`record::IfCounters`] for the one that is read here.
    pub records: Records<'a>,
}

impl<'a> CounterSample<'a> {
    /// Reads the compact form ([`sample::COUNTER`]).
    ///
    /// # Errors
    /// [`Error::Truncated`].
    pub fn parse(mut xdr: Xdr<'a>) -> Result<Self, Error> {
        let [sequence, source, count] = xdr.words()?;
        Ok(Self {
            sequence,
            source: Source::compact(source),
            records: Records { xdr, count },
        })
    }

    /// Reads the wide form ([`sample::COUNTER_EXPANDED`]).
    ///
    /// # Errors
    /// [`Error::Truncated`].
    pub fn parse_expanded(mut xdr: Xdr<'a>) -> Result<Self, Error> {
        let [sequence, class, index, count] = xdr.words()?;
        Ok(Self {
            sequence,
            source: Source { class, index },
            records: Records { xdr, count },
        })
    }
}

/// One record of a sample, not yet looked into.
#[derive(Clone, Copy, Debug)]
pub struct Record<'a> {
    /// Enterprise (upper 20 bits) and format (lower 12 bits); see [`record::format`].
    pub format: u32,
    /// The record's structure.
    pub body: Xdr<'a>,
}

/// The records of a sample. An error ends the iteration.
#[derive(Clone, Copy, Debug)]
pub struct Records<'a> {
    xdr: Xdr<'a>,
    count: u32,
}

impl<'a> Iterator for Records<'a> {
    type Item = Result<Record<'a>, Error>;

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        self.count = self.count.checked_sub(1)?;
        let record = tagged(&mut self.xdr).map(|(format, body)| Record { format, body });
        if record.is_err() {
            self.count = 0;
        }
        Some(record)
    }
}

#[cfg(test)]
#[allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects
)]
mod tests;
