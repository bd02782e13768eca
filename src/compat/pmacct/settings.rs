//! [`Settings`]: which value each plugin ends up with, when all lines have been applied in order.
//!
//! Keys that share a variable overwrite each other, and a later line without a plugin overwrites
//! an earlier one with: that is how pmacct has it.

use super::daemon::Daemon;
use super::key::{Key, Value};
use super::parse::{Line, Lines};
use crate::base::options::{Place, Problem};
use crate::base::text::nearest;

/// Most plugins.
const PLUGINS_MAX: usize = 32;

/// Types of plugins, and whether this build has them.
pub const TYPES: &[(&str, bool)] = &[
    ("memory", true),
    ("print", true),
    ("sqlite3", true),
    ("mysql", true),
    ("pgsql", true),
    ("nfprobe", false),
    ("sfprobe", false),
    ("tee", false),
    ("amqp", true),
    ("kafka", false),
];

/// A plugin with what is set for it.
#[derive(Clone, Debug)]
pub struct Plugin {
    /// `print`, `memory` …
    pub kind: &'static str,
    /// Its name.
    pub name: String,
    /// Where it is named.
    pub place: Place,
    /// What is set for it.
    pub values: Values,
}

/// What is set for one plugin, or for the core.
#[derive(Clone, Debug, Default)]
pub struct Values {
    lines: Vec<Line>,
}

impl Values {
    fn apply(&mut self, line: &Line) {
        let variable = line.key.variable();
        self.lines.retain(|old| old.key.variable() != variable);
        self.lines.push(line.clone());
    }

    /// The assignment of a variable, by the name of any of its keys.
    pub fn line(&self, name: &str) -> Option<&Line> {
        let variable = super::key::find(name).map(Key::variable);
        let mut lines = self.lines.iter();
        lines.find(|line| Some(line.key.variable()) == variable)
    }

    /// A flag; none where it is not set.
    pub fn flag(&self, name: &str) -> Option<bool> {
        match self.line(name)?.value {
            Value::Flag(flag) => Some(flag),
            _ => None,
        }
    }

    /// Whether a flag is set and true.
    pub fn on(&self, name: &str) -> bool {
        self.flag(name) == Some(true)
    }

    /// A number.
    pub fn number(&self, name: &str) -> Option<u64> {
        match self.line(name)?.value {
            Value::Number(number) => Some(number),
            _ => None,
        }
    }

    /// Text, or one of a few words.
    pub fn text(&self, name: &str) -> Option<&str> {
        match &self.line(name)?.value {
            Value::Text(text) => Some(text),
            Value::Word(word) => Some(word),
            _ => None,
        }
    }

    /// Where the value of a key stands.
    pub fn place(&self, name: &str) -> Place {
        self.line(name).map_or(Place::default(), |l| l.value_at)
    }

    /// All assignments in force.
    pub fn iter(&self) -> impl Iterator<Item = &Line> {
        self.lines.iter()
    }
}

/// Everything that is set.
#[derive(Clone, Debug)]
pub struct Settings {
    /// For which daemon.
    pub daemon: Daemon,
    /// What is set for the core.
    pub core: Values,
    /// Plugins, in order.
    pub plugins: Vec<Plugin>,
    /// All lines, in order.
    pub lines: Vec<Line>,
}

impl Settings {
    /// Applies the lines of a file and then those of a command line.
    pub fn new(
        daemon: Daemon,
        lines: &[Line],
        warnings: &mut Vec<Problem>,
        problems: &mut Vec<Problem>,
    ) -> Self {
        let mut settings = Self {
            daemon,
            core: Values::default(),
            plugins: Vec::new(),
            lines: lines.to_vec(),
        };
        if daemon.flows() {
            settings.plugins(warnings, problems);
        }
        for line in lines.iter().filter(|line| line.key.name != "plugins") {
            settings.apply(line, warnings);
        }
        settings
    }

    fn apply(&mut self, line: &Line, warnings: &mut Vec<Problem>) {
        let Some(name) = &line.plugin else {
            self.core.apply(line);
            self.plugins.iter_mut().for_each(|p| p.values.apply(line));
            return;
        };
        if let Some(plugin) = self.plugins.iter_mut().find(|p| p.name == *name) {
            return plugin.values.apply(line);
        }
        if !self.daemon.flows() {
            // Told already: the key is for other daemons.
            return;
        }
        let near = nearest(name, self.plugins.iter().map(|p| p.name.as_str()));
        let near = near.map(|near| format!("; did you mean `{near}`?"));
        let message = format!(
            "no plugin `{name}`{}; `{}` is passed over",
            near.unwrap_or_default(),
            line.key.name
        );
        let place = line.place;
        warnings.push(Problem { place, message });
    }

    /// The plugins of the first line that names some.
    fn plugins(&mut self, warnings: &mut Vec<Problem>, problems: &mut Vec<Problem>) {
        let lines = self.lines.clone();
        let mut given = lines.iter().filter(|l| l.key.name == "plugins");
        if let Some(line) = given.next() {
            let Value::Text(text) = &line.value else {
                return;
            };
            for item in split(text) {
                let before = (item.as_ptr() as usize).saturating_sub(text.as_ptr() as usize);
                let before = text.get(..before).unwrap_or_default().chars().count();
                let mut place = line.value_at;
                if place.line > 0 {
                    let before = u32::try_from(before).unwrap_or(u32::MAX);
                    place.column = place.column.saturating_add(before);
                }
                self.plugin(item, place, warnings);
            }
        }
        for line in given {
            let message = "plugins are named once; this line is passed over".into();
            let place = line.place;
            warnings.push(Problem { place, message });
        }
        if self.plugins.is_empty() {
            let message = "no plugin: rows go to a table in memory, as with `plugins: memory`";
            warnings.push(Problem {
                place: Place::default(),
                message: message.into(),
            });
            self.add("memory", "default_memory".into(), Place::default());
        }
        if self.plugins.len() > PLUGINS_MAX {
            let place = self.plugins[PLUGINS_MAX].place;
            let message = format!("there may be {PLUGINS_MAX} plugins");
            problems.push(Problem { place, message });
            self.plugins.truncate(PLUGINS_MAX);
        }
    }

    fn plugin(&mut self, item: &str, place: Place, warnings: &mut Vec<Problem>) {
        let mut warn = |message: String| warnings.push(Problem { place, message });
        let (kind, name) = match item.split_once('[') {
            Some((kind, rest)) => (kind.trim(), rest.trim_end_matches(']').trim()),
            None => (item, ""),
        };
        let kind = kind.to_lowercase();
        let Some((kind, _)) = TYPES.iter().find(|(known, _)| *known == kind) else {
            let near = nearest(&kind, TYPES.iter().map(|(known, _)| *known));
            let near = near.map(|near| format!("; did you mean `{near}`?"));
            let near = near.unwrap_or_default();
            return warn(format!("no plugin of type `{kind}`{near}; passed over"));
        };
        let name = match name {
            "" => format!("default_{kind}"),
            name => name.into(),
        };
        if self.plugins.iter().any(|p| p.name == name) {
            return warn(format!("there is a plugin `{name}` already; passed over"));
        }
        self.add(kind, name, place);
    }

    fn add(&mut self, kind: &'static str, name: String, place: Place) {
        self.plugins.push(Plugin {
            kind,
            name,
            place,
            values: Values::default(),
        });
    }

    /// Reads files and command lines together.
    pub fn read(daemon: Daemon, lines: Lines) -> (Self, Vec<Problem>, Vec<Problem>) {
        let (mut problems, mut warnings) = (lines.problems, lines.warnings);
        let settings = Self::new(daemon, &lines.lines, &mut warnings, &mut problems);
        (settings, problems, warnings)
    }
}

/// Parts of a list; commas in brackets do not part.
fn split(text: &str) -> Vec<&str> {
    let mut depth = 0u32;
    let part = |c: char| {
        match c {
            '[' => depth += 1,
            ']' => depth = depth.saturating_sub(1),
            _ => {}
        }
        c == ',' && depth == 0
    };
    let parts = text.split(part).map(str::trim);
    parts.filter(|part| !part.is_empty()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> (Settings, Vec<String>) {
        let (settings, problems, warnings) = Settings::read(Daemon::Nfacctd, Lines::parse(text));
        let all = problems.into_iter().chain(warnings);
        (settings, all.map(|p| p.message).collect())
    }

    #[test]
    fn the_last_line_that_reaches_a_plugin_counts() {
        let (settings, said) = read(
            "plugins: print[a], sqlite3[b]\n\
             print_refresh_time[a]: 10\n\
             sql_refresh_time: 60\n\
             kafka_refresh_time[b]: 30\n\
             sfacctd_port: 9995\n",
        );
        assert!(said.is_empty(), "{said:?}");
        let [a, b] = settings.plugins.as_slice() else {
            panic!("{:?}", settings.plugins);
        };
        assert_eq!((a.kind, b.kind), ("print", "sqlite3"));
        assert_eq!(a.values.number("print_refresh_time"), Some(60));
        assert_eq!(b.values.number("sql_refresh_time"), Some(30));
        assert_eq!(settings.core.number("nfacctd_port"), Some(9995));
    }

    #[test]
    fn plugins_are_named_once_and_have_names() {
        let (settings, said) = read(
            "plugins: print, memory[x], prnt[y], print[x]\nplugins: tee\naggregate[z]: src_host\n",
        );
        let names: Vec<_> = settings.plugins.iter().map(|p| p.name.as_str()).collect();
        assert_eq!(names, ["default_print", "x"]);
        for want in [
            "no plugin of type `prnt`; did you mean `print`?",
            "a plugin `x` already",
            "plugins are named once",
            "no plugin `z`; did you mean `x`?",
        ] {
            assert!(said.iter().any(|s| s.contains(want)), "{want}: {said:?}");
        }
        let (settings, said) = read("daemonize: false\n");
        assert_eq!(settings.plugins[0].kind, "memory");
        assert!(said[0].contains("no plugin"));
    }
}
