//! What sFlow agents say they lost, and what gaps in their numbering say was lost on the way.
//!
//! Two bounded tables, of agents and of their sources, in sets of [`WAYS`] places: a newcomer
//! takes the place of its set that was used longest ago. All memory is taken when the tables are
//! built. Not for what a sample describes.

use crate::base::addr::Ip;
use crate::wire::sflow::Source;
use foldhash::fast::FixedState;
use std::hash::{BuildHasher, Hash};

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

/// A place of a table.
#[derive(Clone, Copy)]
struct Place<K, V> {
    key: Option<K>,
    used: u32,
    value: V,
}

/// A table of a fixed number of places.
struct Table<K, V> {
    places: Box<[[Place<K, V>; WAYS]]>,
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

impl<K: Copy + Eq + Hash, V: Copy + Default> Table<K, V> {
    fn new(max: usize) -> Self {
        let sets = max.div_ceil(WAYS).max(1).next_power_of_two();
        let empty = Place {
            key: None,
            used: 0,
            value: V::default(),
        };
        Self {
            places: vec![[empty; WAYS]; sets].into(),
            clock: 0,
            used: 0,
        }
    }

    fn max(&self) -> usize {
        self.places.as_flattened().len()
    }

    /// The value of `key`; its place is made when it has none. `None` never happens: a table
    /// has at least one set.
    #[inline]
    fn find(&mut self, key: K) -> Option<Found<'_, V>> {
        const SEED: FixedState = FixedState::with_seed(0x7366_6c6f);
        self.clock = self.clock.wrapping_add(1);
        let at = SEED.hash_one(key) as usize & self.places.len().wrapping_sub(1);
        let clock = self.clock;
        let set = self.places.get_mut(at)?;
        let hit = set.iter().position(|p| p.key == Some(key));
        let at = hit.or_else(|| oldest(set, clock))?;
        let place = set.get_mut(at)?;
        let evicted = hit.is_none() && place.key.is_some();
        if hit.is_none() {
            self.used = self.used.wrapping_add(usize::from(!evicted));
            *place = Place {
                key: Some(key),
                used: 0,
                value: V::default(),
            };
        }
        place.used = clock;
        Some(Found {
            value: &mut place.value,
            new: hit.is_none(),
            evicted,
        })
    }
}

/// The place to give away: an empty one, else the one used longest ago.
fn oldest<K, V>(set: &[Place<K, V>; WAYS], clock: u32) -> Option<usize> {
    let age = |p: &Place<K, V>| {
        p.key
            .as_ref()
            .map_or(u32::MAX, |_| clock.wrapping_sub(p.used))
    };
    (0..WAYS).max_by_key(|at| set.get(*at).map(age))
}

#[derive(Clone, Copy, PartialEq, Eq, Hash)]
struct AgentKey {
    address: Ip,
    sub_agent: u32,
}

#[derive(Clone, Copy, Default)]
struct Agent {
    /// Distinguishes it from all agents before; its sources are filed under it.
    id: u32,
    sequence: u32,
    uptime: u32,
}

#[derive(Clone, Copy, PartialEq, Eq, Hash)]
struct SourceKey {
    agent: u32,
    source: Source,
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
        let Some(found) = self.agents.find(AgentKey { address, sub_agent }) else {
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
            self.next_id = self.next_id.wrapping_add(1);
            agent.id = self.next_id;
        }
        (agent.sequence, agent.uptime) = (sequence, uptime);
        let lost = if begins { 0 } else { ahead.wrapping_sub(1) };
        Gap {
            agent: agent.id,
            lost,
            evicted,
        }
    }

    /// Notes a flow sample of `agent` (from [`Gap`]).
    #[inline]
    pub fn sample(&mut self, agent: u32, source: Source, now: Totals) -> Growth {
        let Some(found) = self.sources.find(SourceKey { agent, source }) else {
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
        assert_eq!(t.datagram(A, 1, 9, 1300).lost, 1);
        assert_eq!(t.usage()[0].0, 2);
    }

    #[test]
    fn numbers_wrap_and_restarts_begin_anew() {
        let mut t = Agents::new(16);
        let first = t.datagram(A, 0, u32::MAX, 900_000).agent;
        assert_eq!(t.datagram(A, 0, 1, 900_100).lost, 1);
        let after = t.datagram(A, 0, 1, 50);
        assert_eq!(after.lost, 0);
        assert_ne!(after.agent, first);
        assert_eq!(t.datagram(A, 0, 3, 150).lost, 1);
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
        assert_eq!(t.datagram(A, 4999, 4, 2).lost, 2);
    }
}
