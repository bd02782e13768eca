//! [`TagMap`]: which tags, labels and ToS records get, from the rows of a map.
//!
//! The first row that a record matches counts. A row may send it on to a later one (`jeq`), whose
//! tags then replace, or are added to, what it has so far. Everything is resolved while the map
//! is read: labels are symbols, jumps are numbers of rows, so that a record costs look-ups alone.
//! Not for what decides whether a record counts: that is [`verdict`](super::verdict).

use super::condition::Judge;
use super::index::{Builder, Index};
use super::map::{Row, Value, kind};
use crate::base::intern::{Interner, Sym};
use crate::base::ledger::Sum;
use crate::base::lines::{Complaints, Rows};
use crate::base::part::Shared;
use crate::enrich::Enricher;
use crate::record::{Batch, Field, FieldSet, FlowRecord};
use std::collections::HashMap;
use std::sync::Arc;

/// How a tag meets the one so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Stack {
    #[default]
    Replace,
    Sum,
    Or,
}

/// What a row sets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Sets {
    Nothing,
    /// The first tag.
    Tag,
    /// The second one.
    Tag2,
    /// A tag that grows by one with each match.
    Count,
    Count2,
    /// The label.
    Label,
}

impl Sets {
    /// Which of the two tags it is.
    #[inline]
    fn which(self) -> usize {
        usize::from(matches!(self, Self::Tag2 | Self::Count2))
    }
}

/// No jump.
const NOWHERE: u32 = u32::MAX;

/// What happens when a row matches. Small, since large maps have many.
#[derive(Clone, Copy, Debug)]
struct Action {
    /// The tag, the number of its counter, or the symbol of the label.
    value: u64,
    /// The row to go on with, or [`NOWHERE`].
    jump: u32,
    sets: Sets,
    stack: Stack,
    tos: u8,
    /// Whether there is a `tos`; whether a copy is handed out before the jump.
    flags: u8,
}

const TOS: u8 = 1;
const COPIES: u8 = 2;

const _: () = assert!(size_of::<Action>() == 16);

/// A compiled map.
#[derive(Debug)]
pub struct TagMap {
    index: Arc<Index>,
    /// Where its labels are kept.
    symbols: Arc<Interner>,
    actions: Box<[Action]>,
    /// Where counting tags begin.
    counts: Box<[u64]>,
    gives: FieldSet,
    copies: bool,
    filters: usize,
}

/// The two tags.
const TAGS: [Field; 2] = [Field::Tag, Field::Tag2];

/// A jump to be resolved when all rows are known.
struct Jump {
    row: u32,
    line: u32,
    column: u32,
    to: String,
}

/// A map while its rows are read.
pub struct Compiler {
    judge: Judge,
    symbols: Arc<Interner>,
    rows: Builder,
    actions: Vec<Action>,
    counts: Vec<u64>,
    gives: FieldSet,
    labels: HashMap<String, Vec<u32>>,
    jumps: Vec<Jump>,
    refused: usize,
    homeless: bool,
}

impl Rows for Compiler {
    fn row(&mut self, line: u32, column: u32, text: &str, complaints: &mut Complaints) {
        let row = kind("tags").and_then(|kind| kind.row(line, column, text, complaints));
        let compiled = row.map(|row| (self.compile(&row), row));
        match compiled {
            Some((Ok(()), _)) => {}
            Some((Err((at, why)), _)) => {
                complaints.add(line, if at == 0 { column } else { at }, why);
                self.refused += 1;
            }
            None => self.refused += 1,
        }
    }
}

impl Compiler {
    /// For records that `judge` knows of; labels are kept in `symbols`.
    pub fn new(judge: Judge, symbols: Arc<Interner>) -> Self {
        Self {
            judge,
            symbols,
            rows: Builder::default(),
            actions: Vec::new(),
            counts: Vec::new(),
            gives: FieldSet::EMPTY,
            labels: HashMap::new(),
            jumps: Vec::new(),
            refused: 0,
            homeless: false,
        }
    }

    fn compile(&mut self, row: &Row) -> Result<(), (u32, String)> {
        let conditions = self.judge.conditions(row)?;
        let has = |name| row.item(name).is_some();
        let sets = [
            "set_tag",
            "set_tag2",
            "set_label",
            "set_tos",
            "id",
            "id2",
            "jeq",
        ];
        if !sets.into_iter().any(has) {
            return Err((0, "the row sets nothing and leads nowhere".into()));
        }
        if let Some(label) = row
            .item("label")
            .filter(|_| row.text("label") == Some("next"))
        {
            let message = "`label` is `next`, which `jeq` takes for the row below".to_string();
            return Err((label.column, message));
        }
        let number = self.rows.len() as u32;
        let mut action = Action {
            value: 0,
            jump: NOWHERE,
            sets: Sets::Nothing,
            stack: Stack::Replace,
            tos: 0,
            flags: 0,
        };
        for item in &row.items {
            match (item.key.name, &item.value) {
                ("set_tag" | "id", value) => self.tag(0, value, &mut action),
                ("set_tag2" | "id2", value) => self.tag(1, value, &mut action),
                ("set_label", Value::Text(text)) => {
                    let label = self.symbols.intern(text.as_bytes());
                    self.homeless |= label == Sym::OVERFLOW;
                    self.gives.insert(Field::Label);
                    (action.sets, action.value) = (Sets::Label, u64::from(label.0));
                }
                ("set_tos", Value::Number(tos)) => {
                    self.gives.insert(Field::Tos);
                    action.tos = *tos as u8;
                    action.flags |= TOS;
                }
                ("stack", Value::Word("sum")) => action.stack = Stack::Sum,
                ("stack", _) => action.stack = Stack::Or,
                ("return", Value::Flag(true)) => action.flags |= COPIES,
                ("label", Value::Text(label)) => {
                    self.labels.entry(label.clone()).or_default().push(number);
                }
                ("jeq", Value::Text(to)) => self.jumps.push(Jump {
                    row: number,
                    line: row.line,
                    column: item.column,
                    to: to.clone(),
                }),
                _ => {}
            }
        }
        self.rows.push(conditions);
        self.actions.push(action);
        Ok(())
    }

    fn tag(&mut self, which: usize, value: &Value, action: &mut Action) {
        self.gives.insert(TAGS[which]);
        match value {
            Value::Count(first) => {
                action.value = self.counts.len() as u64;
                action.sets = [Sets::Count, Sets::Count2][which];
                self.counts.push(*first);
            }
            Value::Number(tag) => {
                action.value = *tag;
                action.sets = [Sets::Tag, Sets::Tag2][which];
            }
            _ => {}
        }
    }

    /// Rows that were left out so far.
    pub fn refused(&self) -> usize {
        self.refused
    }

    /// Whether some label found no room.
    pub fn homeless(&self) -> bool {
        self.homeless
    }

    /// The map of all rows. Jumps that lead nowhere are told of, and are none.
    pub fn finish(mut self, complaints: &mut Complaints) -> TagMap {
        for jump in &self.jumps {
            let later = jump.row + 1;
            let target = match jump.to.as_str() {
                "next" => Some(later).filter(|row| (*row as usize) < self.actions.len()),
                label => {
                    let rows = self.labels.get(label).map_or(&[][..], Vec::as_slice);
                    rows.get(rows.partition_point(|row| *row < later)).copied()
                }
            };
            if target.is_none() {
                let why = match jump.to.as_str() {
                    "next" => "there is no row below".to_string(),
                    label if self.labels.contains_key(label) => {
                        format!(
                            "label `{label}` is not below: jumps go forward, so there are no loops"
                        )
                    }
                    label => format!("no row has the label `{label}`"),
                };
                let message = format!("`jeq` is `{}`; {why}. No jump is made", jump.to);
                complaints.add(jump.line, jump.column, message);
            }
            self.actions[jump.row as usize].jump = target.unwrap_or(NOWHERE);
        }
        for action in &mut self.actions {
            // Without a jump there is nothing to go on with after the copy.
            if action.jump == NOWHERE {
                action.flags &= !COPIES;
            }
        }
        TagMap {
            copies: self.actions.iter().any(|a| a.flags & COPIES != 0),
            index: Arc::new(self.rows.build()),
            symbols: self.symbols,
            actions: self.actions.into(),
            counts: self.counts.into(),
            gives: self.gives,
            filters: self.judge.size(),
        }
    }
}

impl TagMap {
    /// How many rows it has.
    pub fn len(&self) -> usize {
        self.index.len()
    }

    /// Whether it has none.
    pub fn is_empty(&self) -> bool {
        self.index.is_empty()
    }

    /// Fields that its rows look at.
    pub fn needs(&self) -> FieldSet {
        self.index.needs()
    }

    /// Fields that it may set.
    pub fn gives(&self) -> FieldSet {
        self.gives
    }

    /// Whether it makes two records of some: `return`.
    pub fn copies(&self) -> bool {
        self.copies
    }

    /// The same map with its labels in another store; nothing when they find no room there.
    pub fn moved(self: Arc<Self>, to: &Arc<Interner>) -> Option<Arc<Self>> {
        if Arc::ptr_eq(&self.symbols, to) {
            return Some(self);
        }
        let (mut actions, mut text) = (self.actions.clone(), Vec::new());
        for action in &mut actions {
            if action.sets == Sets::Label {
                text.clear();
                self.symbols.read(Sym(action.value as u32), &mut text);
                let label = to.intern(&text);
                if label == Sym::OVERFLOW {
                    return None;
                }
                action.value = u64::from(label.0);
            }
        }
        Some(Arc::new(Self {
            index: self.index.clone(),
            symbols: to.clone(),
            actions,
            counts: self.counts.clone(),
            ..*self
        }))
    }

    /// Bytes it takes.
    pub fn size(&self) -> usize {
        let own = self.actions.len() * size_of::<Action>() + self.counts.len() * 8;
        size_of::<Self>() + self.index.size() + own + self.filters
    }
}

/// Joined labels that are remembered.
const JOINS: usize = 256;

/// Sets tags; one for each worker.
pub struct Tagger {
    map: Shared<TagMap>,
    /// The next value of each counting tag, and how far it is to the one after.
    counts: Box<[u64]>,
    step: u64,
    joined: Joined,
    touched: u64,
}

/// What a record has got so far.
#[derive(Clone, Copy, Default)]
struct State {
    tags: [Option<u64>; 2],
    label: Option<Sym>,
    tos: Option<u8>,
}

impl State {
    /// Puts it into the record.
    #[inline]
    fn put(&self, record: &mut FlowRecord) {
        if let Some(tag) = self.tags[0] {
            record.set_tag(tag);
        }
        if let Some(tag) = self.tags[1] {
            record.set_tag2(tag);
        }
        if let Some(label) = self.label {
            record.set_label(label);
        }
        if let Some(tos) = self.tos {
            record.set_tos(tos);
        }
    }

    /// Without tags and label, where it had some.
    fn emptied(self) -> Self {
        Self {
            tags: self.tags.map(|tag| tag.map(|_| 0)),
            label: self.label.map(|_| Sym::EMPTY),
            tos: self.tos,
        }
    }
}

impl Tagger {
    /// The tagger of worker number `worker` of `workers`: counting tags are shared out among
    /// them, so that each value is given once.
    pub fn new(map: Shared<TagMap>, worker: usize, workers: usize) -> Self {
        let own = map.counts.iter().map(|n| n.wrapping_add(worker as u64));
        Self {
            counts: own.collect(),
            step: workers.max(1) as u64,
            joined: Joined::new(map.symbols.clone()),
            touched: 0,
            map,
        }
    }

    /// Whether it makes two records of some.
    pub fn copies(&self) -> bool {
        self.map.copies
    }

    /// Bytes it takes beside the map.
    pub fn bytes(&self) -> usize {
        let joined = self.joined.known.len() * size_of::<(Sym, Sym, Sym)>();
        self.counts.len() * 8 + joined + self.joined.text.capacity()
    }

    /// Sets the tags of one record. `copy` gets it with the tags so far wherever a row says so.
    #[inline]
    fn tag(&mut self, record: &mut FlowRecord, copy: &mut dyn FnMut(&FlowRecord)) {
        self.map.there();
        let map = &*self.map;
        let Some(mut at) = map.index.first(record, 0) else {
            return;
        };
        let mut state = State::default();
        while let Some(action) = map.actions.get(at as usize) {
            match action.sets {
                Sets::Nothing => {}
                Sets::Label => {
                    let label = Sym(action.value as u32);
                    state.label = Some(match state.label {
                        None | Some(Sym::EMPTY) => label,
                        Some(before) => self.joined.join(before, label),
                    });
                }
                sets => {
                    let mut tag = action.value;
                    if matches!(sets, Sets::Count | Sets::Count2) {
                        let next = self.counts.get_mut(tag as usize);
                        tag = next.map_or(0, |next| {
                            std::mem::replace(next, next.wrapping_add(self.step))
                        });
                    }
                    let slot = &mut state.tags[sets.which()];
                    *slot = Some(stack(action.stack, *slot, tag));
                }
            }
            if action.flags & TOS != 0 {
                state.tos = Some(action.tos);
            }
            let from = action.jump;
            if from == NOWHERE {
                break;
            }
            if action.flags & COPIES != 0 {
                let mut other = *record;
                state.put(&mut other);
                copy(&other);
                state = state.emptied();
            }
            match map.index.first(record, from) {
                Some(next) => at = next,
                None => break,
            }
        }
        state.put(record);
    }

    /// Sets the tags of all records in `batch` and hands them, with the copies, through `out` to
    /// `rest`, which empties it. Gives what the copies add up to.
    pub fn copying(
        &mut self,
        batch: &mut Batch,
        out: &mut Batch,
        rest: &mut dyn FnMut(&mut Batch),
    ) -> Sum {
        self.map.there();
        self.touched ^= self.map.index.touch(batch.records());
        let mut sum = Sum::default();
        let mut put = |record: &FlowRecord| {
            if out.is_full() {
                rest(out);
                out.clear();
            }
            *out.slot() = *record;
        };
        for record in batch.records_mut() {
            self.tag(record, &mut |copy| {
                sum += Sum::one(copy.packets, copy.bytes);
                put(copy);
            });
            put(record);
        }
        if !out.is_empty() {
            rest(out);
            out.clear();
        }
        sum
    }
}

#[inline]
fn stack(how: Stack, before: Option<u64>, tag: u64) -> u64 {
    let before = before.unwrap_or(0);
    match how {
        Stack::Replace => tag,
        Stack::Sum => before.wrapping_add(tag),
        Stack::Or => before | tag,
    }
}

impl Enricher for Tagger {
    fn needs(&self) -> FieldSet {
        self.map.needs()
    }

    fn gives(&self) -> FieldSet {
        self.map.gives
    }

    fn enrich(&mut self, batch: &mut Batch) {
        self.touched ^= self.map.index.touch(batch.records());
        for record in batch.records_mut() {
            self.tag(record, &mut |_| {});
        }
    }
}

/// Labels joined by a comma. The same few are joined over and over, so they are remembered here
/// and the store is asked for new ones only. Joined ones are as long as the store keeps them.
struct Joined {
    symbols: Arc<Interner>,
    known: Box<[(Sym, Sym, Sym)]>,
    text: Vec<u8>,
}

impl Joined {
    fn new(symbols: Arc<Interner>) -> Self {
        Self {
            symbols,
            known: vec![(Sym::EMPTY, Sym::EMPTY, Sym::EMPTY); JOINS].into(),
            text: Vec::with_capacity(2 * Sym::LEN_MAX + 1),
        }
    }

    fn join(&mut self, before: Sym, label: Sym) -> Sym {
        let mixed = before.0.wrapping_mul(0x9e37_79b1) ^ label.0;
        let at = mixed.wrapping_mul(0x85eb_ca6b) as usize >> 16;
        let slot = &mut self.known[at % JOINS];
        if (slot.0, slot.1) == (before, label) && slot.2 != Sym::EMPTY {
            return slot.2;
        }
        self.text.clear();
        self.symbols.read(before, &mut self.text);
        self.text.push(b',');
        self.symbols.read(label, &mut self.text);
        let joined = self.symbols.intern(&self.text);
        *slot = (before, label, joined);
        joined
    }
}

#[cfg(test)]
mod keys;
#[cfg(test)]
mod scan;
#[cfg(test)]
mod test;
