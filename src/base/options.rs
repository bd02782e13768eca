//! [`Options`]: the settings of one configured thing, before it has read them.
//!
//! Every face of the configuration (TOML, and others) fills this; every source, sink and stage
//! takes from it what it knows, typed. Whatever nobody takes is an error, with the nearest name
//! among those that were asked for. All problems are collected, none stops the reading.

use super::text;
use std::time::Duration;

/// Where in the configuration something stands; both count from 1, 0 where unknown.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// Line.
    pub line: u32,
    /// Column, in characters.
    pub column: u32,
}

/// A value as the configuration's syntax gives it.
#[derive(Clone, Debug, PartialEq)]
pub enum Raw {
    /// Text.
    Text(String),
    /// A whole number.
    Number(i64),
    /// A number with a point, as it is written: no setting takes one.
    Real(String),
    /// True or false.
    Bool(bool),
    /// A list, each with its place.
    List(Vec<(Raw, Place)>),
    /// Something that no setting takes, in words: a table, a date.
    Other(&'static str),
}

impl Raw {
    /// How it was written, for messages.
    pub fn show(&self) -> String {
        match self {
            Self::Text(t) => format!("{t:?}"),
            Self::Number(n) => n.to_string(),
            Self::Real(r) => r.clone(),
            Self::Bool(b) => b.to_string(),
            Self::Other(what) => (*what).to_string(),
            Self::List(l) => {
                let items: Vec<_> = l.iter().map(|(raw, _)| raw.show()).collect();
                format!("[{}]", items.join(", "))
            }
        }
    }
}

/// One thing that is wrong with a configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// Where.
    pub place: Place,
    /// What was read, what is allowed, and the nearest name where one is near.
    pub message: String,
}

#[derive(Clone, Debug)]
struct Entry {
    name: String,
    value: Raw,
    key: Place,
    place: Place,
    taken: bool,
}

/// The settings of one configured thing.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// How messages call it: `input.routers`.
    pub section: String,
    /// Where it begins.
    pub place: Place,
    entries: Vec<Entry>,
    known: Vec<&'static str>,
    problems: Vec<Problem>,
    /// The syntax knows texts alone, and what they are is for the setting to say.
    untyped: bool,
}

impl Options {
    /// Without any setting yet.
    pub fn new(section: &str, place: Place) -> Self {
        Self {
            section: section.into(),
            place,
            ..Self::default()
        }
    }

    /// As [`Self::new`], for a syntax in which numbers and truths are written as texts are.
    pub fn untyped(section: &str, place: Place) -> Self {
        Self {
            untyped: true,
            ..Self::new(section, place)
        }
    }

    /// Adds a setting.
    pub fn push(&mut self, name: &str, value: Raw, key: Place, place: Place) {
        self.entries.push(Entry {
            name: name.into(),
            value,
            key,
            place,
            taken: false,
        });
    }

    /// Adds a setting that has no place, as command lines and tests do.
    pub fn set(&mut self, name: &str, value: Raw) {
        self.push(name, value, Place::default(), Place::default());
    }

    /// Whether a setting was given.
    pub fn has(&self, name: &str) -> bool {
        self.entries.iter().any(|e| e.name == name)
    }

    /// The settings as they were given, in the order of the file.
    pub fn given(&self) -> impl Iterator<Item = (&str, &Raw)> {
        self.entries.iter().map(|e| (e.name.as_str(), &e.value))
    }

    /// The settings without their places, and without those of these names: equal when and only
    /// when they say the same.
    pub fn mark(&self, without: &[&str]) -> String {
        let mut all: Vec<_> = self
            .entries
            .iter()
            .filter(|e| !without.contains(&e.name.as_str()))
            .map(|e| format!("{}={}", e.name, e.value.show()))
            .collect();
        all.sort();
        all.join(" ")
    }

    /// Where a setting's value stands; the section's place when it was not given.
    pub fn place_of(&self, name: &str) -> Place {
        self.entries
            .iter()
            .find(|e| e.name == name)
            .map_or(self.place, |e| e.place)
    }

    /// Reports something wrong at a place.
    pub fn problem(&mut self, place: Place, message: impl Into<String>) {
        self.problems.push(Problem {
            place,
            message: message.into(),
        });
    }

    /// Reports something wrong with the value of `name`.
    pub fn wrong(&mut self, name: &str, message: impl Into<String>) {
        let place = self.place_of(name);
        self.problem(place, message);
    }

    /// Takes the value of `name` as it is.
    pub fn raw(&mut self, name: &'static str) -> Option<(Raw, Place)> {
        if !self.known.contains(&name) {
            self.known.push(name);
        }
        let entry = self.entries.iter_mut().find(|e| e.name == name)?;
        entry.taken = true;
        Some((entry.value.clone(), entry.place))
    }

    /// What a text may be in a syntax without types.
    fn guess(&self, raw: &Raw) -> Vec<Raw> {
        let Raw::Text(word) = raw else {
            return Vec::new();
        };
        if !self.untyped {
            return Vec::new();
        }
        let truth = match word.as_str() {
            "1" | "on" | "true" | "yes" | "enabled" => Some(true),
            "0" | "off" | "false" | "no" | "disabled" => Some(false),
            _ => None,
        };
        let number = word.parse().ok().map(Raw::Number);
        [number, truth.map(Raw::Bool)]
            .into_iter()
            .flatten()
            .collect()
    }

    fn typed<T>(
        &mut self,
        name: &'static str,
        want: &str,
        read: impl Fn(&Raw) -> Option<T>,
    ) -> Option<T> {
        let (raw, place) = self.raw(name)?;
        let value = read(&raw).or_else(|| self.guess(&raw).iter().find_map(&read));
        if value.is_none() {
            self.problem(
                place,
                format!("`{name}` is {}; it takes {want}", raw.show()),
            );
        }
        value
    }

    /// Text.
    pub fn text(&mut self, name: &'static str) -> Option<String> {
        self.typed(name, "text in quotes", |raw| match raw {
            Raw::Text(t) => Some(t.clone()),
            _ => None,
        })
    }

    /// Text that must be there.
    pub fn required(&mut self, name: &'static str, example: &str) -> Option<String> {
        let value = self.text(name);
        if value.is_none() && !self.has(name) {
            let message = format!(
                "`{}` needs `{name}`, for example {name} = {example:?}",
                self.section
            );
            self.problem(self.place, message);
        }
        value
    }

    /// True or false.
    pub fn flag(&mut self, name: &'static str) -> Option<bool> {
        self.typed(name, "true or false", |raw| match raw {
            Raw::Bool(b) => Some(*b),
            _ => None,
        })
    }

    /// A whole number between `least` and `most`.
    pub fn number(&mut self, name: &'static str, least: u64, most: u64) -> Option<u64> {
        let want = format!("a whole number from {least} to {most}");
        self.typed(name, &want, |raw| match raw {
            Raw::Number(n) => u64::try_from(*n)
                .ok()
                .filter(|n| (least..=most).contains(n)),
            _ => None,
        })
    }

    /// A size in bytes, as a number or as text like `16 MiB`.
    pub fn size(&mut self, name: &'static str) -> Option<u64> {
        self.typed(name, "a size like \"16 MiB\"", |raw| match raw {
            Raw::Number(n) => u64::try_from(*n).ok(),
            Raw::Text(t) => text::size(t),
            _ => None,
        })
    }

    /// A duration, as a number of seconds or as text like `5m`.
    pub fn duration(&mut self, name: &'static str) -> Option<Duration> {
        self.typed(name, "a duration like \"30s\" or \"5m\"", |raw| match raw {
            Raw::Number(n) => u64::try_from(*n).ok().map(Duration::from_secs),
            Raw::Text(t) => text::duration(t),
            _ => None,
        })
    }

    /// A list of texts; a single text counts as a list of one.
    pub fn list(&mut self, name: &'static str) -> Option<Vec<(String, Place)>> {
        let (raw, place) = self.raw(name)?;
        let items = match raw {
            Raw::List(items) => items,
            one => vec![(one, place)],
        };
        let mut out = Vec::new();
        for (item, place) in items {
            match item {
                Raw::Text(t) => out.push((t, place)),
                other => {
                    let message =
                        format!("`{name}` holds {}; it takes texts in quotes", other.show());
                    self.problem(place, message);
                }
            }
        }
        Some(out)
    }

    /// One of a few words.
    pub fn choice<T: Copy>(
        &mut self,
        name: &'static str,
        choices: &[(&'static str, T)],
    ) -> Option<T> {
        let (raw, place) = self.raw(name)?;
        let given = match &raw {
            Raw::Text(t) => t.as_str(),
            _ => "",
        };
        let found = choices.iter().find(|(word, _)| *word == given);
        if found.is_none() {
            let words: Vec<_> = choices
                .iter()
                .map(|(word, _)| format!("\"{word}\""))
                .collect();
            let near = text::nearest(given, choices.iter().map(|(word, _)| *word));
            let near = near
                .map(|n| format!("; did you mean \"{n}\"?"))
                .unwrap_or_default();
            let message = format!(
                "`{name}` is {}; it takes {}{near}",
                raw.show(),
                words.join(" or ")
            );
            self.problem(place, message);
        }
        found.map(|(_, value)| *value)
    }

    /// Hands over the problems found so far, for settings that several parts read in turn.
    pub fn problems(&mut self) -> Vec<Problem> {
        std::mem::take(&mut self.problems)
    }

    /// Ends the reading: every setting that nobody took becomes a problem.
    pub fn finish(mut self) -> Vec<Problem> {
        for entry in self.entries.iter().filter(|e| !e.taken) {
            let near = text::nearest(&entry.name, self.known.iter().copied());
            let near = near
                .map(|n| format!("; did you mean `{n}`?"))
                .unwrap_or_else(|| {
                    let mut known = self.known.clone();
                    known.sort_unstable();
                    format!("; it knows {}", known.join(", "))
                });
            let message = match self.section.as_str() {
                "" => format!("no setting `{}`{near}", entry.name),
                section => format!("`{section}` has no setting `{}`{near}", entry.name),
            };
            self.problems.push(Problem {
                place: entry.key,
                message,
            });
        }
        self.problems
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_problems_are_found_at_once() {
        let mut o = Options::new("output.x", Place { line: 3, column: 1 });
        o.set("paht", Raw::Text("x".into()));
        o.set("every", Raw::Text("soon".into()));
        o.set("format", Raw::Text("jsno".into()));
        assert_eq!(o.required("path", "x.csv"), None);
        assert_eq!(o.duration("every"), None);
        assert_eq!(o.choice("format", &[("json", 1), ("csv", 2)]), None);
        let all: Vec<_> = o.finish().into_iter().map(|p| p.message).collect();
        assert_eq!(all.len(), 4);
        assert!(all[0].contains("needs `path`"));
        assert!(all[1].contains("`every` is \"soon\""));
        assert!(all[2].contains("did you mean \"json\"?"));
        assert!(all[3].contains("did you mean `path`?"));
    }
}
