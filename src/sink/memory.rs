//! Rows in memory, to be asked for over the control socket.
//!
//! Rows of one key are added up for as long as the table lives: bins are not told apart unless
//! `bins` says so. Memory is bounded; what finds no room is counted in a row of zeroes, so that
//! totals stay right. Not for keeping anything over a restart.
//!
//! Settings:
//!
//! - `size`: memory of the table; default 1 MiB. A query takes as much again while it lasts.
//! - `expire`: rows that nothing was added to for so long are removed; default never.
//! - `socket`: a control socket of its own, which is about this table where none is named.
//! - `bins`: whether rows of different time bins stay apart; default false.
//! - those of [`format::values`].

mod table;

use super::condition::Condition;
use super::format::{self, Shape};
use super::live::{self, Found, Live, Query, Usage};
use super::{Context, Opener, Rows, Sink, SinkError};
use crate::base::options::Options;
use crate::base::time::{Nanos, wall};
use crate::encode::Style;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use table::Table;

/// Memory of a table where nothing is said.
const SIZE: u64 = 1 << 20;

/// Least memory of a table.
const SIZE_MIN: u64 = 16 << 10;

struct Settings {
    size: usize,
    expire: Option<Duration>,
    bins: bool,
    shape: Shape,
}

/// Reads the settings of an output of kind `memory`.
pub fn parse(options: &mut Options) -> Option<Box<dyn Opener>> {
    let shape = format::values(options);
    let size = options.size("size").unwrap_or(SIZE);
    if size < SIZE_MIN {
        options.wrong("size", "`size` takes 16 KiB or more");
    }
    let expire = options.duration("expire");
    if expire.is_some_and(|time| time.is_zero()) {
        options.wrong("expire", "`expire` takes a second or more");
    }
    // Whoever serves sockets looks there again.
    if options.text("socket").is_some_and(|path| path.is_empty()) {
        options.wrong("socket", "`socket` takes a path");
    }
    Some(Box::new(Settings {
        size: usize::try_from(size).unwrap_or(usize::MAX / 4),
        expire,
        bins: options.flag("bins").unwrap_or(false),
        shape,
    }))
}

impl Opener for Settings {
    fn open(self: Box<Self>, context: &Context) -> Result<Box<dyn Sink>, String> {
        let style = Style {
            stamps: self.bins,
            event_type: false,
            ..self.shape.style(context)
        };
        let memory = Arc::new(Memory {
            tables: Mutex::default(),
            size: self.size,
            bins: self.bins,
            style,
        });
        let table: Arc<dyn Live> = memory.clone();
        live::register(&context.name, &table);
        Ok(Box::new(MemorySink {
            memory,
            expire: self.expire.map(|time| Nanos(time.as_nanos() as u64)),
        }))
    }

    fn memory(&self) -> usize {
        self.size.saturating_mul(2)
    }
}

/// The tables of one output, one for each aggregation that leads to it.
struct Memory {
    tables: Mutex<Vec<Table>>,
    size: usize,
    bins: bool,
    style: Style,
}

impl Memory {
    fn lock(&self) -> MutexGuard<'_, Vec<Table>> {
        self.tables.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn add(&self, rows: &Rows) {
        let mut tables = self.lock();
        let name = &rows.schema.name;
        let at = tables.iter().position(|t| t.schema().name == *name);
        if let Some(at) = at
            && !tables[at].adopt(&rows.schema)
        {
            log::info!("the live table of `{name}` begins anew: its columns have changed");
            tables.remove(at);
        }
        let known = tables.iter().position(|t| t.schema().name == *name);
        let mut free = self.size;
        for table in tables.iter() {
            free = free.saturating_sub(table.bytes());
        }
        let at = known.unwrap_or_else(|| {
            let table = Table::new(&rows.schema, self.bins, rows.id.run);
            tables.push(table);
            tables.len() - 1
        });
        if let Some(table) = tables.get_mut(at) {
            for row in rows.iter() {
                free = table.add(row, rows.flushed, free);
            }
        }
    }
}

impl Live for Memory {
    fn query(&self, query: &Query) -> Result<Vec<Found>, String> {
        let mut tables = self.lock();
        let mut known = tables.is_empty();
        let mut taken = Vec::new();
        for table in tables.iter_mut() {
            let conditions = query.conditions.iter();
            let conditions: Result<Vec<_>, String> = conditions
                .map(|text| Condition::parse(text, table.schema()))
                .collect();
            // A table without a column that is asked for has no row that matches.
            let Some(conditions) = conditions?.into_iter().collect::<Option<Vec<_>>>() else {
                continue;
            };
            if query.by.iter().any(|field| !table.has(*field)) {
                continue;
            }
            known = true;
            taken.push(table.select(conditions, query.reset));
        }
        if !known {
            let names: Vec<_> = tables.iter().map(Table::fields).collect();
            return Err(format!(
                "the table has no such field; it has {}",
                names.join("; ")
            ));
        }
        drop(tables);
        let found = taken.into_iter();
        Ok(found
            .map(|selected| selected.arrange(query, &self.style))
            .collect())
    }

    fn usage(&self) -> Usage {
        let tables = self.lock();
        let mut usage = Usage {
            most: self.size,
            ..Usage::default()
        };
        for table in tables.iter() {
            usage.rows += table.len();
            usage.used += table.bytes();
            usage.folded = usage.folded.wrapping_add(table.folded());
        }
        usage
    }
}

/// Keeps rows in memory.
struct MemorySink {
    memory: Arc<Memory>,
    expire: Option<Nanos>,
}

impl Sink for MemorySink {
    fn write(&mut self, rows: &Rows) -> Result<(), SinkError> {
        self.memory.add(rows);
        Ok(())
    }

    fn idle(&mut self) -> Result<Option<Duration>, SinkError> {
        let Some(expire) = self.expire else {
            return Ok(None);
        };
        let now = wall();
        let cutoff = Nanos(now.0.saturating_sub(expire.0));
        let mut tables = self.memory.lock();
        let mut oldest: Option<Nanos> = None;
        for table in tables.iter_mut() {
            let next = table.expire(cutoff);
            oldest = [oldest, next].into_iter().flatten().min();
        }
        // Rows that end about the same time go together.
        let wait = oldest.map(|at| at.0.saturating_sub(cutoff.0).max(expire.0 / 16));
        Ok(wait.map(|nanos| Duration::from_nanos(nanos.max(1_000_000))))
    }
}

#[cfg(test)]
mod tests;
