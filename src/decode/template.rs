//! The templates of all exporters: a bounded store, saved over a restart.
//!
//! The bound holds for their number and for their bytes. What has to go when it is full is the
//! affair of [`Guard`]: templates in use stay, spoofed ones push out each other. Not for what a
//! template means: that is compiled once by [`Compiled`].

use super::Setup;
use super::compile::Compiled;
use super::guard::{Guard, Placed};
use super::options::{About, Domain, Options};
use crate::base::addr::Ip;
use crate::base::cursor::{Cursor, Short};
use crate::base::time::Nanos;
use crate::wire::flowset::{Format, Template};

/// Memory the store may take for each template it may hold, in bytes, on average.
pub const BYTES_EACH: usize = 1024;

/// Name of a template.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Key {
    /// Whose it is.
    pub domain: Domain,
    /// Its id, 256 or more.
    pub id: u16,
}

/// A template as it was received, and what came of it.
pub struct Entry {
    /// What to do with its records.
    pub compiled: Compiled,
    specs: Box<[u8]>,
    fields: u16,
    scopes: u16,
    options: bool,
}

impl Entry {
    fn size(&self) -> usize {
        self.specs.len().saturating_add(self.compiled.size())
    }

    fn is(&self, t: &Template<'_>) -> bool {
        (self.fields, self.scopes, self.options) == (t.fields, t.scopes, t.options)
            && *self.specs == *t.specs
    }
}

/// What became of a template.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Learned {
    /// It was known, with this layout.
    Known,
    /// It is new or has another layout than before.
    New,
    /// It is new, and another one had to go.
    Evicted,
    /// There is no room for it.
    Refused,
    /// No record could be read with it.
    Useless,
}

/// The store.
pub struct Templates {
    guard: Guard<Key, Entry>,
    setup: Setup,
    bytes: usize,
    news: u64,
}

impl Templates {
    /// A store of as many templates as `setup` says, compiled for what it wants.
    pub fn new(setup: &Setup) -> Self {
        Self {
            guard: Guard::new(setup.templates_max),
            setup: setup.clone(),
            bytes: 0,
            news: 0,
        }
    }

    /// Bytes that a store of at the most `max` templates takes.
    pub fn memory(max: usize) -> usize {
        max.saturating_mul(BYTES_EACH)
            .saturating_add(Guard::<Key, Entry>::memory(max))
    }

    /// Takes in a template record.
    pub fn learn(&mut self, domain: Domain, t: &Template<'_>, now: Nanos) -> Learned {
        let key = Key { domain, id: t.id };
        let place = self.guard.find(&key);
        if let Some(old) = place.and_then(|at| self.guard.get(at))
            && old.is(t)
        {
            return Learned::Known;
        }
        let Some(compiled) = Compiled::new(t, &self.setup) else {
            // The exporter means this layout from now on; the old one would misread its data.
            self.forget(&key);
            return Learned::Useless;
        };
        let entry = Entry {
            compiled,
            specs: t.specs.into(),
            fields: t.fields,
            scopes: t.scopes,
            options: t.options,
        };
        self.put(key, entry, now)
    }

    fn put(&mut self, key: Key, entry: Entry, now: Nanos) -> Learned {
        self.news = self.news.wrapping_add(1);
        let (size, room) = (entry.size(), self.room());
        let mut learned = Learned::New;
        if let Some(old) = self.guard.find(&key).and_then(|at| self.guard.get_mut(at)) {
            let rest = self.bytes.saturating_sub(old.size());
            if rest.saturating_add(size) <= room {
                self.bytes = rest.saturating_add(size);
                *old = entry;
                return learned;
            }
            // It has grown past the room there is: it is a newcomer like others. The old layout
            // must not stay in any case.
            self.forget(&key);
        }
        while self.guard.len() >= self.guard.max() || self.bytes.saturating_add(size) > room {
            match self.guard.evict(now) {
                Some(old) => self.bytes = self.bytes.saturating_sub(old.size()),
                None => return Learned::Refused,
            }
            learned = Learned::Evicted;
        }
        if self.guard.insert(key, entry, now) == Placed::Refused {
            return Learned::Refused;
        }
        self.bytes = self.bytes.saturating_add(size);
        learned
    }

    fn room(&self) -> usize {
        self.guard.max().saturating_mul(BYTES_EACH)
    }

    /// Grows whenever a template comes, goes or changes.
    pub fn news(&self) -> u64 {
        self.news
    }

    /// Forgets one template.
    pub fn forget(&mut self, key: &Key) {
        if let Some(old) = self.guard.remove(key) {
            self.news = self.news.wrapping_add(1);
            self.bytes = self.bytes.saturating_sub(old.size());
        }
    }

    /// The template for a data set, which counts as use.
    #[inline]
    pub fn pick(&mut self, key: &Key, now: Nanos) -> Option<&Compiled> {
        let at = self.guard.find(key)?;
        self.guard.touch(at, now);
        self.guard.get(at).map(|e| &e.compiled)
    }

    /// Templates held, how many there may be, bytes they take, bytes they may take.
    pub fn usage(&self) -> [usize; 4] {
        [self.guard.len(), self.guard.max(), self.bytes, self.room()]
    }
}

const MAGIC: &[u8; 8] = b"weirtpl\0";
const VERSION: u16 = 1;

/// Templates and sampling rates in bytes. Big-endian: magic, version, number of templates, the
/// templates, number of rates, the rates, CRC-32 of all before.
pub fn save(templates: &Templates, options: &Options) -> Vec<u8> {
    let mut b = Vec::with_capacity(templates.bytes.saturating_add(64));
    b.extend_from_slice(MAGIC);
    b.extend_from_slice(&VERSION.to_be_bytes());
    b.extend_from_slice(&(templates.guard.len() as u32).to_be_bytes());
    for (key, entry) in templates.guard.iter() {
        put_domain(&mut b, key.domain);
        for n in [key.id, entry.options.into(), entry.fields, entry.scopes] {
            b.extend_from_slice(&n.to_be_bytes());
        }
        b.extend_from_slice(&(entry.specs.len() as u16).to_be_bytes());
        b.extend_from_slice(&entry.specs);
    }
    b.extend_from_slice(&(options.rates().count() as u32).to_be_bytes());
    for (domain, about, rate) in options.rates() {
        put_domain(&mut b, domain);
        let (kind, id) = match about {
            About::Sampler(id) => (1u16, id),
            About::Sampled(id) => (2, id),
            _ => (0, 0),
        };
        b.extend_from_slice(&kind.to_be_bytes());
        b.extend_from_slice(&id.to_be_bytes());
        b.extend_from_slice(&rate.to_be_bytes());
    }
    let sum = crc32(&b);
    b.extend_from_slice(&sum.to_be_bytes());
    b
}

fn put_domain(b: &mut Vec<u8>, domain: Domain) {
    b.extend_from_slice(&domain.exporter.0);
    b.extend_from_slice(&domain.id.to_be_bytes());
    b.extend_from_slice(&domain.version.to_be_bytes());
}

/// Takes back what [`save`] gave; nothing is changed when the bytes are damaged.
///
/// # Errors
/// A sentence that says what is wrong.
pub fn load(
    templates: &mut Templates,
    options: &mut Options,
    saved: &[u8],
) -> Result<(), &'static str> {
    let (body, sum) = saved
        .split_last_chunk::<4>()
        .ok_or("the template file is cut short")?;
    let mut c = Cursor::new(body);
    if c.array::<8>() != Ok(*MAGIC) {
        return Err("this is not a template file");
    }
    if c.u16() != Ok(VERSION) {
        return Err("the template file is of a version this build does not read");
    }
    if crc32(body) != u32::from_be_bytes(*sum) {
        return Err("the template file is damaged: its checksum does not match");
    }
    read(templates, options, &mut c).map_err(|_| "the template file is cut short")
}

fn read(templates: &mut Templates, options: &mut Options, c: &mut Cursor<'_>) -> Result<(), Short> {
    let now = Nanos(0);
    for _ in 0..c.u32()? {
        let domain = take_domain(c)?;
        let (id, opt, fields, scopes) = (c.u16()?, c.u16()? != 0, c.u16()?, c.u16()?);
        let len = c.u16()?;
        let specs = c.take(usize::from(len))?;
        let format = if domain.version == 9 {
            Format::V9
        } else {
            Format::Ipfix
        };
        let t = Template {
            id,
            fields,
            scopes,
            options: opt,
            format,
            specs,
        };
        templates.learn(domain, &t, now);
    }
    for _ in 0..c.u32()? {
        let domain = take_domain(c)?;
        let (kind, id, rate) = (c.u16()?, c.u64()?, c.u32()?);
        let about = match kind {
            1 => About::Sampler(id),
            2 => About::Sampled(id),
            _ => About::Default,
        };
        options.set_rate(domain, about, rate, now);
    }
    Ok(())
}

fn take_domain(c: &mut Cursor<'_>) -> Result<Domain, Short> {
    Ok(Domain {
        exporter: Ip(c.array()?),
        id: c.u32()?,
        version: c.u16()?,
    })
}

/// CRC-32 as in IEEE 802.3, bit by bit: this is for files of a few kilobytes.
fn crc32(bytes: &[u8]) -> u32 {
    let step = |crc: u32, _| {
        if crc & 1 == 1 {
            crc >> 1 ^ 0xedb8_8320
        } else {
            crc >> 1
        }
    };
    let byte = |crc: u32, b: &u8| (0..8).fold(crc ^ u32::from(*b), step);
    !bytes.iter().fold(!0, byte)
}

#[cfg(test)]
#[allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects
)]
mod tests {
    use super::*;

    #[test]
    fn templates_that_grow_by_being_defined_again_stay_within_the_bound_too() {
        let wanted = crate::record::FieldSet::of(&[crate::record::Field::SrcPort]);
        let mut store = Templates::new(&Setup {
            templates_max: 8,
            ..Setup::new(wanted)
        });
        let domain = Domain {
            exporter: Ip([0; 16]),
            id: 1,
            version: 9,
        };
        let fields = |fields: u16| [[0, 7, 0, 2]].repeat(usize::from(fields)).concat();
        let learn = |store: &mut Templates, id: u16, count: u16, now: u64| {
            let specs = fields(count);
            let t = Template {
                id,
                fields: count,
                scopes: 0,
                options: false,
                format: Format::V9,
                specs: &specs,
            };
            store.learn(domain, &t, Nanos(now))
        };
        for id in 256..264 {
            assert_ne!(learn(&mut store, id, 1, 1), Learned::Refused);
            store.pick(&Key { domain, id }, Nanos(1));
        }
        let mut full = false;
        for (now, id) in (2..).zip((256..264).cycle().take(32)) {
            let learned = learn(&mut store, id, 256, now);
            full |= matches!(learned, Learned::Evicted | Learned::Refused);
            let [held, most, bytes, room] = store.usage();
            assert!(held <= most && bytes <= room, "{bytes} of {room}");
        }
        assert!(full, "{:?}", store.usage());
    }

    #[test]
    fn the_checksum_is_the_usual_one() {
        assert_eq!(crc32(b"123456789"), 0xcbf4_3926);
    }
}
