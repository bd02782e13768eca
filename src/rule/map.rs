//! Map files: rows of `key=value` that say what is to become of what they match.
//!
//! One grammar for all of them, pmacct's: keys in any order with blanks between, values with
//! blanks in quotes, comments behind `!` or `#`, a leading `-` for "not". A row with a mistake is
//! left out and told of, with its place; the others stand. There is no limit on rows or their
//! length but the file's. Not for what a row does: see [`tag`](super::tag) and
//! [`lookup`](super::lookup).

pub mod dictionary;
pub mod value;

use crate::base::lines::Complaints;
use crate::base::text::nearest;
pub use dictionary::{KINDS, Key, Kind, Role, kind};
pub use value::{Takes, Value};

/// One `key=value` of a row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Item {
    /// The key.
    pub key: &'static Key,
    /// Whether a `-` turns it round.
    pub negated: bool,
    /// The value.
    pub value: Value,
    /// Column of the value.
    pub column: u32,
}

/// A row that is right as far as its grammar goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    /// Its line in the file.
    pub line: u32,
    /// Its items, in the order of the row.
    pub items: Vec<Item>,
}

impl Row {
    /// The item of a key.
    pub fn item(&self, name: &str) -> Option<&Item> {
        self.items.iter().find(|item| item.key.name == name)
    }

    /// The value of a key, where it is text.
    pub fn text(&self, name: &str) -> Option<&str> {
        match &self.item(name)?.value {
            Value::Text(text) => Some(text),
            _ => None,
        }
    }
}

/// The key that may stand in a row several times.
const MANY: &str = "packet_ptr";

/// Text between two blanks, with the column in which it begins.
struct Word<'a> {
    column: u32,
    key: &'a str,
    /// None where there is no `=`.
    value: Option<(u32, &'a str)>,
    /// Whether a quote was not closed, or something follows it.
    broken: bool,
}

/// Splits a row into words; blanks in quotes belong to the word.
fn words(text: &str, first: u32) -> Vec<Word<'_>> {
    let mut words = Vec::new();
    let (mut rest, mut column) = (text, first);
    loop {
        let said = rest.trim_start();
        column += (rest.chars().count() - said.chars().count()) as u32;
        if said.is_empty() {
            return words;
        }
        let end = said.find([' ', '\t', '=']).unwrap_or(said.len());
        let (key, behind) = said.split_at(end);
        let Some(value) = behind.strip_prefix('=') else {
            words.push(Word {
                column,
                key,
                value: None,
                broken: false,
            });
            (rest, column) = (behind, column + key.chars().count() as u32);
            continue;
        };
        let mut at = column + key.chars().count() as u32 + 1;
        let quote = value.chars().next().filter(|c| ['\'', '"'].contains(c));
        let (value, behind, broken) = match quote {
            Some(quote) => {
                let inner = value.get(1..).unwrap_or_default();
                at += 1;
                match inner.split_once(quote) {
                    Some((value, behind)) => (
                        value,
                        behind,
                        !(behind.is_empty() || behind.starts_with([' ', '\t'])),
                    ),
                    None => (inner, "", true),
                }
            }
            None => {
                let end = value.find([' ', '\t']).unwrap_or(value.len());
                let (value, behind) = value.split_at(end);
                (value, behind, false)
            }
        };
        words.push(Word {
            column,
            key,
            value: Some((at, value)),
            broken,
        });
        column =
            at + value.chars().count() as u32 + u32::from(quote.is_some() && !behind.is_empty());
        rest = behind;
    }
}

impl Kind {
    /// Reads one row, which begins in column `first`; nothing when something is wrong with it,
    /// which `complaints` has then.
    pub fn row(
        &self,
        line: u32,
        first: u32,
        text: &str,
        complaints: &mut Complaints,
    ) -> Option<Row> {
        let before = complaints.count();
        let mut items: Vec<Item> = Vec::new();
        for word in words(text, first) {
            match self.read(&word) {
                Ok(item)
                    if item.key.name != MANY
                        && items.iter().any(|i| i.key.name == item.key.name) =>
                {
                    let message = format!("`{}` is there twice", item.key.name);
                    complaints.add(line, word.column, message);
                }
                Ok(item) => items.push(item),
                Err((column, message)) => {
                    complaints.add(line, column, message);
                    if word.broken || word.value.is_none() {
                        // What follows is a piece of this one.
                        break;
                    }
                }
            }
        }
        if complaints.count() != before {
            return None;
        }
        let has = |name: &&str| items.iter().any(|item| item.key.name == *name);
        for list in self.needs.iter().filter(|list| !list.iter().any(has)) {
            complaints.add(line, first, format!("the row has no {}", names(list)));
        }
        for list in self.one_of {
            let given: Vec<&str> = list.iter().copied().filter(has).collect();
            if let [one, other, ..] = given[..] {
                let message = format!("`{one}` and `{other}` exclude each other in one row");
                complaints.add(line, first, message);
            }
        }
        (complaints.count() == before).then_some(Row { line, items })
    }

    fn read(&self, word: &Word<'_>) -> Result<Item, (u32, String)> {
        let Word { column, key, .. } = *word;
        let Some(known) = self.keys.iter().find(|k| k.name == key) else {
            return Err((column, self.unknown(key)));
        };
        let example = || format!("`{key}` has no value; write {key}=VALUE without blanks");
        let Some((at, text)) = word.value.filter(|(_, v)| !v.is_empty()) else {
            return Err((column, example()));
        };
        if word.broken {
            let message =
                format!("the quotes of `{key}` do not end before a blank or the row does");
            return Err((at, message));
        }
        let (negated, bare) = match text.strip_prefix('-') {
            Some(bare) if known.role == Role::MatchOrNot => (true, bare),
            _ => (false, text),
        };
        match known.takes.read(bare) {
            Some(value) => Ok(Item {
                key: known,
                negated,
                value,
                column: at,
            }),
            None => {
                let takes = known.takes.show();
                Err((at, format!("`{key}` is `{}`; it takes {takes}", cut(text))))
            }
        }
    }

    fn unknown(&self, key: &str) -> String {
        let names = || self.keys.iter().map(|k| k.name);
        let kind = self.name;
        let key = cut(key);
        match nearest(&key, names()) {
            Some(near) => format!("a map of {kind} has no key `{key}`; did you mean `{near}`?"),
            None => {
                let all = names().collect::<Vec<_>>().join(", ");
                format!("a map of {kind} has no key `{key}`; it has {all}")
            }
        }
    }
}

/// `a`, `b` or `c`.
fn names(list: &[&str]) -> String {
    let quoted: Vec<String> = list.iter().map(|name| format!("`{name}`")).collect();
    quoted.join(" or ")
}

/// As much of a text as a message shows.
fn cut(text: &str) -> String {
    match text.char_indices().nth(60) {
        Some((at, _)) => format!("{}…", text.get(..at).unwrap_or_default()),
        None => text.into(),
    }
}

#[cfg(test)]
mod test;
