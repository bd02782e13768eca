//! [`Names`]: which file or table each row goes to, where names are made of time and values.

use super::Rows;
use crate::base::offset::Wall;
use crate::base::options::Options;
use crate::base::pattern::Pattern;
use crate::base::text::nearest;
use crate::encode::Style;
use crate::encode::pen::Pen;
use crate::encode::value::Show;
use crate::record::schema::What;
use crate::record::{Column, FIELDS, Field};
use std::collections::BTreeMap;

/// The name of the aggregation, as a variable.
const AGGREGATE: &str = "aggregate";

/// Takes a pattern whose variables are names of primitives or `aggregate`.
pub fn pattern(options: &mut Options, setting: &str, text: &str) -> Option<Pattern> {
    let pattern = match Pattern::parse(text) {
        Ok(pattern) => pattern,
        Err(message) => {
            options.wrong(setting, format!("`{setting}` is {text:?}: {message}"));
            return None;
        }
    };
    let mut variables = pattern.variables();
    let unknown = variables.find(|v| *v != AGGREGATE && Field::by_name(v).is_none());
    if let Some(variable) = unknown.map(String::from) {
        let names = FIELDS.iter().map(|i| i.name).chain([AGGREGATE]);
        let near = nearest(&variable, names);
        let near = near.map_or_else(String::new, |n| format!("; did you mean `${n}`?"));
        let message = format!("`{setting}` has `${variable}`, which is no field{near}");
        options.wrong(setting, message);
        return None;
    }
    drop(variables);
    Some(pattern)
}

/// What a variable stands for in the rows of one schema.
#[derive(Clone, Copy)]
enum Variable {
    Aggregate,
    Column(Column),
    Absent,
}

/// Names of rows.
pub struct Names {
    pattern: Pattern,
    wall: Wall,
    show: Show,
    /// Most names of one time bin; values beyond are called `other`.
    most: usize,
}

impl Names {
    /// Names by `pattern`, with values and times as `style` says.
    pub fn new(pattern: Pattern, style: &Style, most: usize) -> Self {
        Self {
            pattern,
            wall: Wall::new(style.zone.clone()),
            show: Show::new(style),
            most,
        }
    }

    /// The rows of each name, by their place in the batch. `taken` are the names of the bin so
    /// far.
    pub fn of<'a>(
        &mut self,
        rows: &'a Rows,
        taken: &mut Vec<String>,
    ) -> BTreeMap<String, Vec<&'a [u64]>> {
        let variables: Vec<Variable> = (self.pattern.variables())
            .map(|name| match name {
                AGGREGATE => Variable::Aggregate,
                name => Field::by_name(name)
                    .and_then(|f| rows.schema.column(What::Field(f)))
                    .map_or(Variable::Absent, |c| Variable::Column(*c)),
            })
            .collect();
        let mut groups: BTreeMap<String, Vec<&[u64]>> = BTreeMap::new();
        let by_row = variables.iter().any(|v| matches!(v, Variable::Column(_)));
        if !by_row {
            let first = rows.iter().next().unwrap_or_default();
            let values = self.values(&variables, rows, first, false);
            groups.insert(self.name(rows, &values), rows.iter().collect());
            return groups;
        }
        for row in rows.iter() {
            let values = self.values(&variables, rows, row, false);
            let mut name = self.name(rows, &values);
            if !taken.contains(&name) {
                if taken.len() >= self.most {
                    let values = self.values(&variables, rows, row, true);
                    name = self.name(rows, &values);
                } else {
                    taken.push(name.clone());
                }
            }
            groups.entry(name).or_default().push(row);
        }
        groups
    }

    fn name(&mut self, rows: &Rows, values: &[Vec<u8>]) -> String {
        let civil = self.wall.civil(rows.bin);
        let values = values.iter().map(Vec::as_slice);
        self.pattern.expand(rows.bin, &civil, values)
    }

    fn values(&mut self, of: &[Variable], rows: &Rows, row: &[u64], other: bool) -> Vec<Vec<u8>> {
        let mut out = Vec::with_capacity(of.len());
        for variable in of {
            let mut text = Vec::new();
            match variable {
                Variable::Aggregate => text.extend_from_slice(rows.schema.name.as_bytes()),
                Variable::Column(_) if other => text.extend_from_slice(b"other"),
                Variable::Column(column) => {
                    let mut pen = Pen::new(&mut text);
                    if self.show.value(&mut pen, &rows.schema, column, row) {
                        pen.raw(&self.show.text);
                    }
                }
                Variable::Absent => {}
            }
            out.push(text);
        }
        out
    }
}
