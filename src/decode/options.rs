//! What exporters tell once and mean for many records: sampling rates and names.
//!
//! Bounded. Sampler ids belong to a domain; names of interfaces, VRFs and applications belong to
//! the exporter as a whole, because exporters number those alike in all their domains. Rates are
//! also remembered for the exporter, for records of a domain that never told its own.

use super::custom::Words;
use super::guard::{Guard, Placed};
use crate::base::addr::Ip;
use crate::base::intern::Sym;
use crate::base::time::Nanos;

/// One exporter and observation domain (source id, engine), of one export protocol version.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Domain {
    /// Address the datagrams come from.
    pub exporter: Ip,
    /// Observation domain, source id or engine.
    pub id: u32,
    /// 5, 9 or 10.
    pub version: u16,
}

/// What an option is about; the number identifies it there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum About {
    /// All records without anything more precise.
    Default,
    /// A sampler, by 48 or 302.
    Sampler(u64),
    /// Records that came in by an interface.
    Sampled(u64),
    /// An interface's name.
    Interface(u64),
    /// A VRF's name.
    Vrf(u64),
    /// An application's name.
    Application(u64),
    /// A VRF's route distinguisher.
    Rd(u64),
    /// A primitive of the configuration, by its slot.
    Custom(u64),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Key {
    exporter: Ip,
    /// None: for the exporter as a whole.
    domain: Option<(u32, u16)>,
    about: About,
}

/// The store.
pub struct Options {
    entries: Guard<Key, u64>,
    news: u64,
    /// Whether some entry is about a primitive of the configuration.
    customs: bool,
    /// What was said of the records of the datagram in work.
    pub told: Words,
}

impl Options {
    /// A store of at the most `max` entries.
    pub fn new(max: usize) -> Self {
        Self {
            entries: Guard::new(max),
            news: 0,
            customs: false,
            told: Words::default(),
        }
    }

    /// Grows whenever a sampling rate comes or changes.
    pub fn news(&self) -> u64 {
        self.news
    }

    /// Bytes that a store of at the most `max` entries takes.
    pub fn memory(max: usize) -> usize {
        Guard::<Key, u64>::memory(max)
    }

    /// Remembers a sampling rate; false when something had to go or there was no room.
    pub fn set_rate(&mut self, domain: Domain, about: About, rate: u32, now: Nanos) -> bool {
        let own = self.put(domain, true, about, rate.into(), now);
        let whole = self.put(domain, false, about, rate.into(), now);
        own && whole
    }

    /// Remembers the word of a primitive of the configuration; likewise.
    pub fn set_custom(&mut self, domain: Domain, about: About, word: u64, now: Nanos) -> bool {
        self.customs = true;
        let own = self.put(domain, true, about, word, now);
        let whole = self.put(domain, false, about, word, now);
        own && whole
    }

    /// Remembers the route distinguisher of a VRF; likewise.
    pub fn set_rd(&mut self, domain: Domain, vrf: u64, rd: u64, now: Nanos) -> bool {
        self.put(domain, false, About::Rd(vrf), rd, now)
    }

    /// Remembers a name; false when something had to go or there was no room.
    pub fn set_name(&mut self, domain: Domain, about: About, name: Sym, now: Nanos) -> bool {
        self.put(domain, false, about, name.0.into(), now)
    }

    fn put(&mut self, of: Domain, own: bool, about: About, value: u64, now: Nanos) -> bool {
        let domain = own.then_some((of.id, of.version));
        let key = Key {
            exporter: of.exporter,
            domain,
            about,
        };
        if own && self.entries.lookup(&key) != Some(&value) {
            self.news = self.news.wrapping_add(1);
        }
        self.entries.insert(key, value, now) == Placed::Room
    }

    /// Whether nothing is known.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// A sampling rate, of the domain or else of the exporter.
    pub fn rate(&mut self, domain: Domain, about: About, now: Nanos) -> Option<u32> {
        let rate = self.take(domain, true, about, now);
        let rate = rate.or_else(|| self.take(domain, false, about, now));
        rate.map(|rate| rate as u32)
    }

    /// The word of a primitive of the configuration, of the domain or else of the exporter.
    pub fn custom(&mut self, domain: Domain, about: About, now: Nanos) -> Option<u64> {
        if !self.customs {
            return None;
        }
        self.take(domain, true, about, now)
            .or_else(|| self.take(domain, false, about, now))
    }

    /// Whether any such word is known.
    pub fn has_customs(&self) -> bool {
        self.customs
    }

    /// The route distinguisher of a VRF.
    pub fn rd(&mut self, domain: Domain, vrf: u64, now: Nanos) -> Option<u64> {
        self.take(domain, false, About::Rd(vrf), now)
    }

    /// A name.
    pub fn name(&mut self, domain: Domain, about: About, now: Nanos) -> Option<Sym> {
        self.take(domain, false, about, now)
            .map(|sym| Sym(sym as u32))
    }

    fn take(&mut self, of: Domain, own: bool, about: About, now: Nanos) -> Option<u64> {
        if self.is_empty() {
            return None;
        }
        let domain = own.then_some((of.id, of.version));
        let at = self.entries.find(&Key {
            exporter: of.exporter,
            domain,
            about,
        })?;
        self.entries.touch(at, now);
        self.entries.get(at).copied()
    }

    /// Entries held, and how many there may be.
    pub fn usage(&self) -> (usize, usize) {
        (self.entries.len(), self.entries.max())
    }

    /// The rates of domains, for saving.
    pub fn rates(&self) -> impl Iterator<Item = (Domain, About, u32)> {
        self.entries.iter().filter_map(|(key, rate)| {
            let (id, version) = key.domain?;
            if matches!(key.about, About::Custom(_)) {
                return None;
            }
            Some((
                Domain {
                    exporter: key.exporter,
                    id,
                    version,
                },
                key.about,
                *rate as u32,
            ))
        })
    }
}

#[cfg(test)]
#[allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects
)]
mod tests {
    use super::*;

    const DOMAIN: Domain = Domain {
        exporter: Ip([1; 16]),
        id: 7,
        version: 9,
    };

    #[test]
    fn rates_are_of_the_domain_and_else_of_the_exporter() {
        let mut o = Options::new(64);
        assert!(o.set_rate(DOMAIN, About::Sampler(1), 100, Nanos(1)));
        let other = Domain { id: 8, ..DOMAIN };
        assert!(o.set_rate(other, About::Sampler(1), 200, Nanos(1)));
        assert_eq!(o.rate(DOMAIN, About::Sampler(1), Nanos(2)), Some(100));
        assert_eq!(o.rate(other, About::Sampler(1), Nanos(2)), Some(200));
        let third = Domain { id: 9, ..DOMAIN };
        assert_eq!(o.rate(third, About::Sampler(1), Nanos(2)), Some(200));
        assert_eq!(o.rate(third, About::Sampler(2), Nanos(2)), None);
        let stranger = Domain {
            exporter: Ip([2; 16]),
            ..DOMAIN
        };
        assert_eq!(o.rate(stranger, About::Sampler(1), Nanos(2)), None);
    }

    #[test]
    fn names_are_the_exporters_and_the_store_is_bounded() {
        let mut o = Options::new(16);
        o.set_name(DOMAIN, About::Interface(3), Sym(9), Nanos(1));
        let other = Domain { id: 8, ..DOMAIN };
        assert_eq!(o.name(other, About::Interface(3), Nanos(1)), Some(Sym(9)));
        assert_eq!(o.name(DOMAIN, About::Vrf(3), Nanos(1)), None);
        for n in 0..10_000 {
            o.set_name(DOMAIN, About::Application(n), Sym(1), Nanos(1));
        }
        assert!(o.usage().0 <= 16);
        assert_eq!(
            o.name(DOMAIN, About::Interface(3), Nanos(1)),
            Some(Sym(9)),
            "in use"
        );
    }
}
