//! The lines of a pmacct configuration: `key: value` and `key[plugin]: value`.
//!
//! Not for what a key means. What pmacct ends on is a problem here, what it warns of a warning.

use super::key::{self, Key, Scope, Value};
use crate::base::options::{Place, Problem};

/// Most lines of a file.
pub const LINES_MAX: usize = 8224;

/// One assignment that may have an effect.
#[derive(Clone, Debug)]
pub struct Line {
    /// The key.
    pub key: &'static Key,
    /// The plugin in brackets.
    pub plugin: Option<String>,
    /// The value.
    pub value: Value,
    /// Where the key stands.
    pub place: Place,
    /// Where the value stands.
    pub value_at: Place,
}

/// What was found.
#[derive(Clone, Debug, Default)]
pub struct Lines {
    /// Assignments, in order.
    pub lines: Vec<Line>,
    /// What pmacct would not start with.
    pub problems: Vec<Problem>,
    /// What pmacct passes over with a warning.
    pub warnings: Vec<Problem>,
}

impl Lines {
    /// Reads a file's text.
    pub fn parse(text: &str) -> Self {
        let mut lines = Self::default();
        for (n, line) in text.lines().enumerate() {
            let number = u32::try_from(n).unwrap_or(u32::MAX).saturating_add(1);
            if n >= LINES_MAX {
                let message = format!("a configuration has {LINES_MAX} lines at the most");
                lines.wrong(place(number, line, line), message);
                break;
            }
            lines.line(number, line);
        }
        lines
    }

    fn wrong(&mut self, place: Place, message: String) {
        self.problems.push(Problem { place, message });
    }

    fn warn(&mut self, place: Place, message: String) {
        self.warnings.push(Problem { place, message });
    }

    fn line(&mut self, number: u32, line: &str) {
        let text = line.trim();
        let at = |part: &str| place(number, line, part);
        if text.is_empty() || text.starts_with(['!', '#']) {
            return;
        }
        let open = text.matches('[').count();
        if open != text.matches(']').count() {
            let message = "brackets do not match: as many `[` as `]` belong into a line";
            return self.wrong(at(text), message.into());
        }
        let Some((left, value)) = text.split_once(':') else {
            let message = format!("`{}` is no `key: value`", cut(text));
            return self.wrong(at(text), message);
        };
        let (left, value) = (left.trim_end(), value.trim());
        let (name, plugin) = match left.split_once('[') {
            None if left.contains(']') => {
                return self.wrong(at(left), format!("`{left}` has a `]` before its `[`"));
            }
            None => (left, None),
            Some((name, rest)) => match rest.strip_suffix(']') {
                Some(plugin) if !plugin.contains(['[', ']']) => (name, Some(plugin.trim())),
                _ => {
                    let message = format!("`{left}` is neither `key` nor `key[plugin]`");
                    return self.wrong(at(left), message);
                }
            },
        };
        let name: String = name.split_whitespace().collect();
        let name = name.to_lowercase();
        if name.is_empty() {
            return self.wrong(at(text), "a key belongs before the `:`".into());
        }
        self.assign(&name, plugin, value, at(text), at(value));
    }

    /// Takes one assignment, from a file or from a command line.
    pub fn assign(
        &mut self,
        name: &str,
        plugin: Option<&str>,
        value: &str,
        place: Place,
        value_at: Place,
    ) {
        let Some(key) = key::find(name) else {
            return self.warn(place, format!("{}; passed over", key::unknown(name)));
        };
        if value.is_empty() {
            return self.warn(value_at, format!("`{name}` has no value; passed over"));
        }
        let plugin = match (key.scope, plugin) {
            (Scope::Core, Some(_)) => {
                self.warn(place, format!("`{name}` is for all plugins alike"));
                None
            }
            (Scope::Plugin, None) => {
                let message =
                    format!("`{name}` is for one plugin: write {name}[PLUGIN]; passed over");
                return self.warn(place, message);
            }
            (_, plugin) => plugin.map(String::from),
        };
        match key.take.read(value) {
            Ok(value) => self.lines.push(Line {
                key,
                plugin,
                value,
                place,
                value_at,
            }),
            Err(takes) => {
                let message = format!("`{name}` is `{}`; it takes {takes}", cut(value));
                // The few that pmacct does not pass over; an address that is not one would
                // open the port to the world.
                if matches!(name, "sql_table_version" | "nfacctd_ip" | "sfacctd_ip") {
                    self.wrong(value_at, message);
                } else {
                    let comment = value.contains(" !") || value.contains(" #");
                    let hint = if comment {
                        "; a comment is a line of its own"
                    } else {
                        ""
                    };
                    self.warn(value_at, format!("{message}{hint}; passed over"));
                }
            }
        }
    }
}

/// Where `part` stands, which is a piece of `line`.
fn place(number: u32, line: &str, part: &str) -> Place {
    let offset = (part.as_ptr() as usize).saturating_sub(line.as_ptr() as usize);
    let before = line.get(..offset).unwrap_or_default();
    let column = u32::try_from(before.chars().count()).unwrap_or(u32::MAX - 1) + 1;
    Place {
        line: number,
        column,
    }
}

/// The beginning of what was read, for messages.
fn cut(text: &str) -> &str {
    text.get(..text.floor_char_boundary(60)).unwrap_or(text)
}
