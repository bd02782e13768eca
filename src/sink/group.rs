//! [`Names`]: which table each row of a batch goes to.

use super::Rows;
use super::name::Variables;
use crate::base::offset::Wall;
use crate::base::pattern::Pattern;
use crate::encode::Style;
use crate::encode::value::Show;
use std::collections::{BTreeMap, BTreeSet};

/// Names of rows.
pub struct Names {
    pattern: Pattern,
    wall: Wall,
    show: Show,
    style: Style,
    /// Most names of one time bin; values beyond are called `other`.
    most: usize,
    /// Makes a value fit for a name.
    fit: fn(&mut [u8]),
}

impl Names {
    /// Names by `pattern`, with values and times as `style` says; `fit` makes a value fit for one.
    pub fn new(pattern: Pattern, style: &Style, most: usize, fit: fn(&mut [u8])) -> Self {
        Self {
            pattern,
            wall: Wall::new(style.zone.clone()),
            show: Show::new(style),
            style: style.clone(),
            most,
            fit,
        }
    }

    /// The rows of each name, by their place in the batch. `taken` are the names of the bin so
    /// far.
    pub fn of<'a>(
        &mut self,
        rows: &'a Rows,
        taken: &mut BTreeSet<String>,
    ) -> BTreeMap<String, Vec<&'a [u64]>> {
        let variables = Variables::new(&self.pattern, &rows.schema, &self.style);
        let mut groups: BTreeMap<String, Vec<&[u64]>> = BTreeMap::new();
        if !variables.by_row() {
            let first = rows.iter().next().unwrap_or_default();
            let name = self.name(rows, &variables, first, false);
            groups.insert(name, rows.iter().collect());
            return groups;
        }
        for row in rows.iter() {
            let mut name = self.name(rows, &variables, row, false);
            if !taken.contains(&name) {
                if taken.len() >= self.most {
                    name = self.name(rows, &variables, row, true);
                } else {
                    taken.insert(name.clone());
                }
            }
            groups.entry(name).or_default().push(row);
        }
        groups
    }

    fn name(&mut self, rows: &Rows, variables: &Variables, row: &[u64], other: bool) -> String {
        let mut values = variables.of(&mut self.show, &rows.schema, row, other);
        values.iter_mut().for_each(|value| (self.fit)(value));
        let civil = self.wall.civil(rows.bin);
        let values = values.iter().map(Vec::as_slice);
        self.pattern.expand(rows.bin, &civil, values)
    }
}
