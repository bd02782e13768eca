//! Names that are made of time and values of rows: their variables, and what these stand for.

use crate::base::options::Options;
use crate::base::pattern::Pattern;
use crate::base::text::nearest;
use crate::encode::Style;
use crate::encode::pen::Pen;
use crate::encode::value::{Entry, Show};
use crate::record::schema::What;
use crate::record::{FIELDS, Field, Schema};

/// The name of the aggregation, as a variable.
pub const AGGREGATE: &str = "aggregate";

/// Whether a name is another one for each aggregation.
pub fn tells_apart(name: &Pattern) -> bool {
    name.variables().any(|variable| variable == AGGREGATE)
}

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
    Column(Entry),
    Absent,
}

/// Values without dots and colons, where that is wanted: as parts of names they are in the way.
pub fn underscored(value: &mut [u8]) {
    for byte in value.iter_mut().filter(|b| b".:".contains(b)) {
        *byte = b'_';
    }
}

/// What the variables of a pattern stand for in the rows of one schema.
pub struct Variables(Vec<Variable>);

impl Variables {
    /// Those of `pattern`; values are shown as `style` says.
    pub fn new(pattern: &Pattern, schema: &Schema, style: &Style) -> Self {
        let meaning = |name: &str| match name {
            AGGREGATE => Variable::Aggregate,
            name => Field::by_name(name)
                .and_then(|f| schema.column(What::Field(f)))
                .map_or(Variable::Absent, |c| {
                    Variable::Column(Entry::new(*c, style))
                }),
        };
        Self(pattern.variables().map(meaning).collect())
    }

    /// Whether rows of one batch may have different values.
    pub fn by_row(&self) -> bool {
        self.0.iter().any(|v| matches!(v, Variable::Column(_)))
    }

    /// The values of a row; those of its fields are `other` if that is asked for.
    pub fn of(&self, show: &mut Show, schema: &Schema, row: &[u64], other: bool) -> Vec<Vec<u8>> {
        let mut value = |variable: &Variable| {
            let mut text = Vec::new();
            match variable {
                Variable::Aggregate => text.extend_from_slice(schema.name.as_bytes()),
                Variable::Column(_) | Variable::Absent if other => text.extend_from_slice(b"other"),
                Variable::Column(entry) => {
                    let mut pen = Pen::new(&mut text);
                    if show.value(&mut pen, schema, entry, row) {
                        pen.raw(&show.text);
                    }
                }
                Variable::Absent => {}
            }
            text
        };
        self.0.iter().map(&mut value).collect()
    }
}
