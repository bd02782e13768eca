//! What sFlow agents say they lost, and what gaps in their numbering say was lost on the way.
//!
//! Two bounded tables, of agents and of their sources, in sets of [`WAYS`] places: a newcomer
//! takes the place of its set that was used longest ago. All memory is taken when the tables are
//! built. Not for what a sample describes.

use crate::base::addr::Ip;
use crate::wire::sflow::Source;

/// Places of one set.
const WAYS: usize = 4;
/// Sources followed for each agent that may be followed. A switch has more, but a table that is
/// too small only forgets, counted, what some sources said last.
const SOURCES_PER_AGENT: usize = 8;
/// Gaps longer than this are taken for a restart.
const GAP_MAX: u32 = 1 << 16;
/// A datagram that is behind in number and not further behind in uptime was overtaken, in
/// milliseconds.
const LATE_MAX: u32 = 10_000;

/// What a table finds its places by.
trait Key: Copy + Eq {
    /// No key of anything that is followed.
    const NONE: Self;
    /// Spread over 64 bits; the upper ones choose the set.
    fn hash(self) -> u64;
}

/// An odd number without pattern, to spread keys by multiplication.
const SPREAD: u64 = 0x9e37_79b9_7f4a_7c15;

/// A place of a table.
#[derive(Clone, Copy)]
struct Place<K, V> {
    key: K,
    used: u32,
    value: V,
}

/// A table of a fixed number of places.
struct Table<K, V> {
    places: Box<[[Place<K, V>; WAYS]]>,
    shift: u32,
    clock: u32,
    used: usize,
}

/// What a lookup found.
struct Found<'a, V> {
    value: &'a mut V,
    /// It was not there, so it is new.
    new: bool,
    /// Another one had to go for it.
    evicted: bool,
}

impl<K: Key, V: Copy + Default> Table<K, V> {
    fn new(max: usize) -> Self {
        let sets = Self::sets(max);
        let empty = Place {
            key: K::NONE,
            used: 0,
            value: V::default(),
        };
        let shift = 64u32.saturating_sub(sets.trailing_zeros());
        Self {
            places: vec![[empty; WAYS]; sets].into(),
            shift,
            clock: 0,
            used: 0,
        }
    }

    /// Sets for about `max` places; at least two, so that the shift stays below 64.
    fn sets(max: usize) -> usize {
        max.div_ceil(WAYS).max(2).next_power_of_two()
    }

    fn memory(max: usize) -> usize {
        Self::sets(max).saturating_mul(size_of::<[Place<K, V>; WAYS]>())
    }

    fn max(&self) -> usize {
        self.places.as_flattened().len()
    }

    /// The value of `key`; its place is made when it has none. `None` never happens: the hash
    /// is shifted to the number of sets.
    #[inline]
    fn find(&mut self, key: K) -> Option<Found<'_, V>> {
        self.clock = self.clock.wrapping_add(1);
        let at = key.hash() >> (self.shift & 63);
        let set = self.places.get_mut(at as usize)?;
        if let Some(at) = set.iter().position(|p| p.key == key) {
            let place = set.get_mut(at)?;
            place.used = self.clock;
            return Some(Found {
                value: &mut place.value,
                new: false,
                evicted: false,
            });
        }
        let place = oldest(set, self.clock)?;
        let evicted = place.key != K::NONE;
        self.used = self.used.wrapping_add(usize::from(!evicted));
        *place = Place {
            key,
            used: self.clock,
            value: V::default(),
        };
        Some(Found {
            value: &mut place.value,
            new: true,
            evicted,
        })
    }
}

/// The place to give away: an empty one, else the one used longest ago.
#[cold]
fn oldest<K: Key, V>(set: &mut [Place<K, V>; WAYS], clock: u32) -> Option<&mut Place<K, V>> {
    set.iter_mut()
        .max_by_key(|place| match place.key == K::NONE {
            true => u32::MAX,
            false => clock.wrapping_sub(place.used),
        })
}

/// An agent: its address in two halves, and the sub-agent in one word more, which is never zero.
#[derive(Clone, Copy, PartialEq, Eq)]
struct AgentKey([u64; 3]);

impl AgentKey {
    fn new(address: Ip, sub_agent: u32) -> Self {
        let address = u128::from_be_bytes(address.0);
        Self([
            (address >> 64) as u64,
            address as u64,
            u64::from(sub_agent) | 1 << 32,
        ])
    }
}

impl Key for AgentKey {
    const NONE: Self = Self([0; 3]);

    fn hash(self) -> u64 {
        self.0.into_iter().fold(0, |h: u64, half| {
            (h.rotate_left(29) ^ half).wrapping_mul(SPREAD)
        })
    }
}

#[derive(Clone, Copy, Default)]
struct Agent {
    /// Distinguishes it from all agents before; its sources are filed under it. Never zero.
    id: u32,
    sequence: u32,
    uptime: u32,
    /// Smallest step seen from one number to the next; zero before the second.
    step: u32,
}

/// A source: the agent's id, then two bits of class and thirty of number. Two sources of an
/// agent that differ in nothing else are one.
#[derive(Clone, Copy, PartialEq, Eq)]
struct SourceKey(u64);

impl SourceKey {
    #[inline]
    fn new(agent: u32, source: Source) -> Self {
        Self(u64::from(agent) << 32 | u64::from(source.class << 30 ^ source.index))
    }
}

impl Key for SourceKey {
    const NONE: Self = Self(0);

    #[inline]
    fn hash(self) -> u64 {
        self.0.wrapping_mul(SPREAD)
    }
}

/// What a source has counted since it was started.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    /// Samples.
    pub sequence: u32,
    /// Packets that could have been sampled.
    pub pool: u32,
    /// Samples dropped.
    pub drops: u32,
}

/// What a datagram's header says about those before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Gap {
    /// The agent, for [`Agents::sample`].
    pub agent: u32,
    /// Datagrams lost before this one.
    pub lost: u32,
    /// Another agent had to be forgotten.
    pub evicted: bool,
}

/// What a flow sample says about its source since the sample before it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Growth {
    /// Packets that could have been sampled.
    pub pool: u32,
    /// Samples that the agent dropped.
    pub drops: u32,
    /// Another source had to be forgotten.
    pub evicted: bool,
}

/// The agents and sources that are followed.
pub struct Agents {
    agents: Table<AgentKey, Agent>,
    sources: Table<SourceKey, Totals>,
    next_id: u32,
}

/// Bytes that following about `max` agents takes.
pub fn memory(max: usize) -> usize {
    let sources = max.saturating_mul(SOURCES_PER_AGENT);
    Table::<AgentKey, Agent>::memory(max)
        .saturating_add(Table::<SourceKey, Totals>::memory(sources))
}

impl Agents {
    /// Follows about `max` agents, rounded up to a power of two.
    pub fn new(max: usize) -> Self {
        let sources = max.saturating_mul(SOURCES_PER_AGENT);
        Self {
            agents: Table::new(max),
            sources: Table::new(sources),
            next_id: 0,
        }
    }

    /// Agents followed and how many there may be, then the same of sources.
    pub fn usage(&self) -> [(usize, usize); 2] {
        [
            (self.agents.used, self.agents.max()),
            (self.sources.used, self.sources.max()),
        ]
    }

    /// Notes a datagram of (`address`, `sub_agent`) with its `sequence` number and `uptime`.
    pub fn datagram(&mut self, address: Ip, sub_agent: u32, sequence: u32, uptime: u32) -> Gap {
        let Some(found) = self.agents.find(AgentKey::new(address, sub_agent)) else {
            return Gap {
                agent: 0,
                lost: 0,
                evicted: false,
            };
        };
        let (new, evicted, agent) = (found.new, found.evicted, found.value);
        let ahead = sequence.wrapping_sub(agent.sequence);
        let behind = ahead.wrapping_neg();
        if !new && behind < GAP_MAX && agent.uptime.abs_diff(uptime) < LATE_MAX {
            // It was overtaken, or came twice: nothing new is known.
            return Gap {
                agent: agent.id,
                lost: 0,
                evicted,
            };
        }
        let begins = new || uptime < agent.uptime || ahead > GAP_MAX;
        if begins {
            // Sources are filed under the id, so they begin anew as well.
            self.next_id = self.next_id.wrapping_add(1).max(1);
            agent.id = self.next_id;
        }
        (agent.sequence, agent.uptime) = (sequence, uptime);
        if begins {
            agent.step = 0;
            return Gap {
                agent: agent.id,
                lost: 0,
                evicted,
            };
        }
        // Some agents (Open vSwitch) count each datagram twice, so the step is learned.
        agent.step = agent
            .step
            .wrapping_sub(1)
            .min(ahead.wrapping_sub(1))
            .wrapping_add(1);
        let lost = ahead.checked_div(agent.step).unwrap_or(1).saturating_sub(1);
        Gap {
            agent: agent.id,
            lost,
            evicted,
        }
    }

    /// Notes a flow sample of `agent` (from [`Gap`]).
    #[inline]
    pub fn sample(&mut self, agent: u32, source: Source, now: Totals) -> Growth {
        let Some(found) = self.sources.find(SourceKey::new(agent, source)) else {
            return Growth::default();
        };
        let evicted = found.evicted;
        let last = if found.new { now } else { *found.value };
        if now.sequence.wrapping_sub(last.sequence) > u32::MAX / 2 {
            return Growth {
                evicted,
                ..Growth::default()
            };
        }
        *found.value = now;
        Growth {
            pool: grown(now.pool, last.pool),
            drops: grown(now.drops, last.drops),
            evicted,
        }
    }
}

/// By how much a counter that may wrap has grown; nothing when it was set back.
#[inline]
fn grown(now: u32, last: u32) -> u32 {
    let by = now.wrapping_sub(last);
    if by > u32::MAX / 2 { 0 } else { by }
}

#[cfg(test)]
#[allow(clippy::arithmetic_side_effects)]
mod tests {
    use super::*;

    const A: Ip = Ip([1; 16]);
    const PORT: Source = Source { class: 0, index: 3 };

    fn totals(sequence: u32, pool: u32, drops: u32) -> Totals {
        Totals {
            sequence,
            pool,
            drops,
        }
    }

    #[test]
    fn gaps_are_counted_and_latecomers_are_not() {
        let mut t = Agents::new(16);
        assert_eq!(t.datagram(A, 0, 100, 1000).lost, 0);
        assert_eq!(t.datagram(A, 0, 101, 1100).lost, 0);
        assert_eq!(t.datagram(A, 0, 105, 1200).lost, 3);
        assert_eq!(t.datagram(A, 0, 103, 1150).lost, 0);
        assert_eq!(t.datagram(A, 0, 105, 1200).lost, 0);
        assert_eq!(t.datagram(A, 0, 106, 1300).lost, 0);
        // Another sub-agent counts by itself.
        assert_eq!(t.datagram(A, 1, 7, 1300).lost, 0);
        assert_eq!(t.datagram(A, 1, 8, 1300).lost, 0);
        assert_eq!(t.datagram(A, 1, 10, 1300).lost, 1);
        assert_eq!(t.usage()[0].0, 2);
    }

    #[test]
    fn an_agent_that_counts_by_two_loses_nothing() {
        let mut t = Agents::new(16);
        let lost = |t: &mut Agents, sequence| t.datagram(A, 0, sequence, 5000).lost;
        assert_eq!(
            [1, 3, 5, 7, 11, 13].map(|n| lost(&mut t, n)),
            [0, 0, 0, 0, 1, 0]
        );
        // It was a gap after all.
        assert_eq!([14, 17, 18].map(|n| lost(&mut t, n)), [0, 2, 0]);
    }

    #[test]
    fn numbers_wrap_and_restarts_begin_anew() {
        let mut t = Agents::new(16);
        t.datagram(A, 0, u32::MAX - 1, 899_900);
        let first = t.datagram(A, 0, u32::MAX, 900_000).agent;
        assert_eq!(t.datagram(A, 0, 1, 900_100).lost, 1);
        let after = t.datagram(A, 0, 1, 50);
        assert_eq!(after.lost, 0);
        assert_ne!(after.agent, first);
        assert_eq!(t.datagram(A, 0, 2, 100).lost, 0);
        assert_eq!(t.datagram(A, 0, 4, 150).lost, 1);
        assert_eq!(t.datagram(A, 0, 1_000_000, 250).lost, 0);
    }

    #[test]
    fn sources_grow_by_what_they_say() {
        let mut t = Agents::new(16);
        let a = t.datagram(A, 0, 1, 1).agent;
        assert_eq!(t.sample(a, PORT, totals(1, 5000, 10)), Growth::default());
        let growth = t.sample(a, PORT, totals(2, 5400, 12));
        assert_eq!(
            growth,
            Growth {
                pool: 400,
                drops: 2,
                evicted: false
            }
        );
        // Overtaken: nothing. Wrapped: the difference. Set back: nothing.
        assert_eq!(t.sample(a, PORT, totals(1, 5000, 10)), Growth::default());
        t.sample(a, PORT, totals(3, u32::MAX, 12));
        assert_eq!(t.sample(a, PORT, totals(4, 9, 12)).pool, 10);
        assert_eq!(t.sample(a, PORT, totals(5, 9, 0)).drops, 0);
        assert_eq!(
            t.sample(a, Source { class: 1, ..PORT }, totals(9, 9, 9)),
            Growth::default()
        );
        assert_eq!(t.usage()[1].0, 2);
    }

    #[test]
    fn the_tables_stay_as_large_as_they_were_built() {
        let mut t = Agents::new(10);
        let [(_, agents), (_, sources)] = t.usage();
        assert_eq!((agents, sources), (16, 128));
        let mut evicted = 0;
        for n in 0..5000 {
            let gap = t.datagram(A, n, 1, 1);
            evicted += usize::from(gap.evicted);
            t.sample(gap.agent, PORT, totals(1, 1, 1));
        }
        assert_eq!(t.usage(), [(16, 16), (128, 128)]);
        assert_eq!(evicted, 5000 - 16);
        // Who was heard of last is still known.
        assert_eq!(t.datagram(A, 4999, 2, 2).lost, 0);
        assert_eq!(t.datagram(A, 4999, 5, 3).lost, 2);
    }
}
