//! [`Compiled`]: what a pmacct configuration comes to: the sections of weir's own, what the face
//! has to do around them, and one line for each key that has no effect.

use super::daemon::Daemon;
use super::key::{Fate, Key, Value};
use super::parse::{Line, Lines};
use super::rows::{self, Open};
use super::settings::{self, Plugin, Settings, Values};
use super::{broker, input, output, primitives};
use crate::base::options::{Options, Place, Problem, Raw};
use crate::config::tree::{File, Section, is_name};
use crate::config::write::Remark;
use crate::rule::map;

/// Memory of everything but tables, in bytes: what fits the limits below, with room.
const BASE: u64 = 24 << 20;

/// Memory of a plugin beside its table: its queue and the buffers of its output.
const PLUGIN: u64 = 2 << 20;

/// Memory of one entry of a plugin's cache, in bytes: a row of many fields, in two tables.
const ENTRY: u64 = 512;

/// Entries of a plugin's cache where none are given.
const ENTRIES: u64 = 16_411;

/// Keys that name maps and lists.
const MAPS: &[&str] = &[
    "pre_tag_map",
    "sampling_map",
    "flow_to_rd_map",
    "networks_file",
    "ports_file",
    "protos_file",
    "tos_file",
];

/// Memory of a map for each byte of its file: rows are short, and what is made of them is not.
const MAP: u64 = 4;

/// What is to be known of a key that has no effect, or another one than it says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Note {
    /// Where it stands.
    pub place: Place,
    /// The key.
    pub key: &'static str,
    /// The section that it would have been for; empty for none.
    pub section: String,
    /// What happens instead.
    pub text: String,
    /// Whether something is missing because of it, rather than only done in another way.
    pub missing: bool,
}

/// A plugin that runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Runs {
    /// Its type.
    pub kind: &'static str,
    /// Its name as it was given.
    pub name: String,
    /// The name of its aggregation and of its output.
    pub section: String,
}

/// What the face does beside running the sections.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Face {
    /// Which program it is.
    pub daemon: Daemon,
    /// How log lines call the core.
    pub core: String,
    /// Whether to detach from the terminal.
    pub daemonize: bool,
    /// Where to leave the number of the process.
    pub pidfile: Option<String>,
    /// Plugins that run.
    pub plugins: Vec<Runs>,
    /// Whether SIGUSR2 reloads maps.
    pub reload: bool,
    /// Niceness.
    pub nice: Option<i32>,
    /// Whether to end after looking at the configuration (`config`) or opening all (`setup`).
    pub dry_run: Option<&'static str>,
}

/// What a configuration comes to.
#[derive(Clone, Debug)]
pub struct Compiled {
    /// weir's own sections.
    pub file: File,
    /// What to do around them.
    pub face: Face,
    /// What it can not start with.
    pub problems: Vec<Problem>,
    /// What pmacct warns of, too.
    pub warnings: Vec<Problem>,
    /// One for each key without effect.
    pub notes: Vec<Note>,
}

impl Compiled {
    /// Remarks for the sections as TOML.
    pub fn remarks(&self, name: &str) -> Vec<Remark> {
        let at = |place: Place| match place.line {
            0 => String::new(),
            line => format!("{name}:{line}: "),
        };
        let notes = self.notes.iter().map(|note| Remark {
            section: note.section.clone(),
            text: format!("{}{}: {}", at(note.place), note.key, note.text),
        });
        let warnings = self.warnings.iter().map(|warning| Remark {
            section: String::new(),
            text: format!("{}{}", at(warning.place), warning.message),
        });
        notes.chain(warnings).collect()
    }
}

/// The lines that name maps and lists, of each plugin and of the core.
fn maps(settings: &Settings) -> impl Iterator<Item = &Line> {
    let plugins = settings.plugins.iter().map(|p| &p.values);
    let all = plugins.chain([&settings.core]);
    all.flat_map(|values| values.iter())
        .filter(|line| MAPS.contains(&line.key.name))
}

/// Bytes of the files that they name; a budget has room for what is there at the start.
fn map_files(settings: &Settings) -> u64 {
    let size = |line: &Line| match &line.value {
        Value::Text(path) => std::fs::metadata(path).map_or(0, |file| file.len()),
        _ => 0,
    };
    maps(settings).map(size).fold(0, u64::saturating_add)
}

/// Compiles the lines of a file and a command line for `daemon`. `open` opens the files that become
/// sections themselves; those that the engine reads are left to it.
pub fn compile(daemon: Daemon, lines: Lines, open: &Open) -> Compiled {
    let (settings, problems, warnings) = Settings::read(daemon, lines);
    let mut compiler = Compiler {
        settings: &settings,
        file: File::default(),
        problems,
        warnings,
        notes: Vec::new(),
        plugins: Vec::new(),
        own: Vec::new(),
        open,
    };
    compiler.run();
    let face = compiler.face();
    let mut compiled = Compiled {
        file: compiler.file,
        face,
        problems: compiler.problems,
        warnings: compiler.warnings,
        notes: compiler.notes,
    };
    compiled.problems.sort_by_key(|p| p.place);
    compiled.warnings.sort_by_key(|p| p.place);
    compiled.notes.sort_by_key(|n| n.place);
    compiled
}

/// What is being compiled.
pub struct Compiler<'a> {
    /// What is set.
    pub settings: &'a Settings,
    /// Sections made so far.
    pub file: File,
    /// What can not be started with.
    pub problems: Vec<Problem>,
    /// What pmacct warns of, too.
    pub warnings: Vec<Problem>,
    /// Keys without effect.
    pub notes: Vec<Note>,
    /// Plugins that run.
    pub plugins: Vec<Runs>,
    /// Names of primitives that the configuration defines.
    pub own: Vec<String>,
    /// What opens files.
    pub open: &'a Open,
}

impl Compiler<'_> {
    fn run(&mut self) {
        let daemon = self.settings.daemon;
        if daemon.flows() {
            self.choose();
            self.top();
            primitives::compile(self);
            input::compile(self);
            for at in 0..self.plugins.len() {
                output::compile(self, at);
            }
        }
        self.log();
        for line in &self.settings.lines {
            self.report(line);
        }
    }

    /// The setting of a plugin that runs.
    pub fn plugin(&self, at: usize) -> Option<&Plugin> {
        let name = &self.plugins.get(at)?.name;
        self.settings.plugins.iter().find(|p| p.name == *name)
    }

    /// Says what is wrong.
    pub fn wrong(&mut self, place: Place, message: impl Into<String>) {
        let message = message.into();
        self.problems.push(Problem { place, message });
    }

    /// Says what pmacct warns of, too.
    pub fn warn(&mut self, place: Place, message: impl Into<String>) {
        let message = message.into();
        self.warnings.push(Problem { place, message });
    }

    /// Says what becomes of a key that can not have its effect here.
    pub fn note(&mut self, line: &Line, section: &str, text: impl Into<String>) {
        let note = Note {
            place: line.place,
            key: line.key.name,
            section: section.into(),
            text: text.into(),
            missing: true,
        };
        if !self.notes.contains(&note) {
            self.notes.push(note);
        }
    }

    /// Which plugins run: those whose type this build has.
    fn choose(&mut self) {
        let mut taken: Vec<String> = Vec::new();
        let mut lost = Vec::new();
        for plugin in &self.settings.plugins {
            if !built(plugin.kind) {
                lost.push((plugin.place, plugin.kind, plugin.name.clone()));
                continue;
            }
            let section = section_name(&plugin.name, &taken);
            taken.push(section.clone());
            self.plugins.push(Runs {
                kind: plugin.kind,
                name: plugin.name.clone(),
                section,
            });
        }
        let none = self.plugins.is_empty();
        for (place, kind, name) in lost {
            let why = format!("plugin {name}: {}", without(kind));
            if none {
                self.wrong(place, why);
            } else {
                self.warn(place, format!("{why}; the others run"));
            }
        }
    }

    /// The top of the file: memory, templates, limits that suit a collector.
    fn top(&mut self) {
        let core = &self.settings.core;
        let mut memory = BASE;
        for plugin in self.settings.plugins.iter().filter(|p| built(p.kind)) {
            let entries = plugin.values.number("print_cache_entries");
            let table = entries.unwrap_or(ENTRIES).saturating_mul(ENTRY);
            let live = output::live_size(plugin).saturating_mul(2);
            memory = memory.saturating_add(PLUGIN);
            if plugin.kind == "amqp" {
                memory = memory.saturating_add(broker::memory(&plugin.values));
            }
            memory = memory.saturating_add(if plugin.kind == "memory" { live } else { table });
        }
        memory = memory.saturating_add(map_files(self.settings).saturating_mul(MAP));
        // Whole MiB, so that it reads well.
        let memory = memory.div_ceil(1 << 20);
        let place = core.place("print_cache_entries");
        let text = Raw::Text(format!("{memory} MiB"));
        self.file.top.push("memory", text, place, place);
        if self.settings.daemon == Daemon::Nfacctd
            && let Some(line) = core.line("nfacctd_templates_file")
        {
            push(&mut self.file.top, "templates", line, raw(&line.value));
        }
        // Rows with mistakes are left out there, were it all of them.
        if let Some(line) = maps(self.settings).next() {
            push(&mut self.file.top, "empty_maps", line, Raw::Bool(true));
        }
        if self.settings.daemon.collects() {
            let mut limits = Options::new("limits", Place::default());
            for (name, value) in [
                ("templates", Raw::Number(4096)),
                ("exporters", Raw::Number(1024)),
                ("options", Raw::Number(16_384)),
                ("symbols", Raw::Text("4 MiB".into())),
            ] {
                limits.set(name, value);
            }
            self.file.limits = Some(limits);
        }
    }

    fn log(&mut self) {
        let core = &self.settings.core;
        let mut log = Options::new("log", Place::default());
        if let Some(line) = core.line("debug").filter(|_| core.on("debug")) {
            push(&mut log, "level", line, Raw::Text("debug".into()));
        }
        // A file wins over the system's log, as it does there.
        match (core.line("logfile"), core.line("syslog")) {
            (Some(line), _) => {
                push(&mut log, "to", line, Raw::Text("file".into()));
                push(&mut log, "file", line, raw(&line.value));
            }
            (None, Some(line)) => {
                push(&mut log, "to", line, Raw::Text("syslog".into()));
                push(&mut log, "facility", line, raw(&line.value));
                if let Some(ident) = core.line("syslog_ident") {
                    push(&mut log, "ident", ident, raw(&ident.value));
                }
            }
            (None, None) => {}
        }
        if let Some(line) = core.line("log_stderr_tstamp") {
            push(&mut log, "stamp", line, raw(&line.value));
        }
        if log.given().next().is_some() {
            self.file.log = Some(log);
        }
    }

    fn face(&mut self) -> Face {
        let core = &self.settings.core;
        let nice = core.line("proc_priority").map(|line| &line.value);
        let dry_run = match core.line("dry_run").map(|line| &line.value) {
            Some(Value::Word(word)) => Some(*word),
            _ => None,
        };
        Face {
            daemon: self.settings.daemon,
            core: core.text("core_proc_name").unwrap_or("default").into(),
            daemonize: core.on("daemonize"),
            pidfile: core.text("pidfile").map(String::from),
            plugins: self.plugins.clone(),
            reload: core.flag("maps_refresh") != Some(false),
            nice: nice.and_then(|value| match value {
                Value::Signed(n) => i32::try_from(*n).ok(),
                _ => None,
            }),
            dry_run,
        }
    }

    /// What is said of a key that has no effect.
    fn report(&mut self, line: &Line) {
        let daemon = self.settings.daemon;
        let off = line.value == Value::Flag(false);
        let of_lost = line.plugin.as_ref().is_some_and(|name| {
            let known = self.settings.plugins.iter().any(|p| p.name == *name);
            known && !self.plugins.iter().any(|p| p.name == *name)
        });
        // What belongs to a plugin that does not run has been said of the plugin.
        if of_lost {
            return;
        }
        if !line.key.concerns(daemon) {
            let whose: Vec<_> = line.key.daemons.iter().map(Daemon::name).collect();
            let text = format!(
                "it is for {}; {daemon} does not look at it",
                whose.join(", ")
            );
            return self.remark(line, text, false);
        }
        match line.key.fate {
            Fate::Face(_) | Fate::To(..) if line.plugin.is_some() && whole(line.key) => {
                let text = "it holds for the whole program, so it stands without a plugin's name";
                self.remark(line, text.into(), true);
            }
            Fate::Idle(why) if !off => self.remark(line, why.into(), false),
            Fate::Absent(part) if !off => {
                self.remark(line, part.why().into(), true);
                self.look(line);
            }
            _ => {}
        }
    }

    /// A map that has no effect yet is read all the same: its mistakes are better found now.
    fn look(&mut self, line: &Line) {
        let (Value::Text(path), Some(kind)) = (&line.value, map::kind(line.key.name)) else {
            return;
        };
        let bad = match rows::read(path, kind, self.open) {
            Ok((_, bad)) => bad,
            Err(why) => vec![why],
        };
        for message in bad {
            self.warn(line.value_at, message);
        }
    }

    fn remark(&mut self, line: &Line, text: String, missing: bool) {
        let plugin = line.plugin.as_ref();
        let runs = plugin.and_then(|name| self.plugins.iter().find(|p| p.name == *name));
        let section = runs.map_or(String::new(), |runs| format!("aggregate.{}", runs.section));
        self.notes.push(Note {
            place: line.place,
            key: line.key.name,
            section,
            text,
            missing,
        });
    }
}

/// Whether a key that may stand for one plugin sets something that all plugins share here.
fn whole(key: &Key) -> bool {
    let Fate::To(setting, _) = key.fate else {
        return true;
    };
    let section = setting.split_once('.').map_or("", |(section, _)| section);
    !matches!(section, "aggregate" | "output")
        && !["pre_tag_map"].contains(&key.name)
        && setting != "memory"
}

fn built(kind: &str) -> bool {
    let found = settings::TYPES.iter().find(|(known, _)| *known == kind);
    found.is_some_and(|(_, built)| *built)
}

/// Why a type of plugin can not run.
fn without(kind: &str) -> &'static str {
    use super::key::Part;
    match kind {
        "nfprobe" => Part::Nfprobe.why(),
        "sfprobe" => Part::Sfprobe.why(),
        "tee" => Part::Tee.why(),
        _ => Part::Kafka.why(),
    }
}

/// A name that a section may have, like `given` and not yet taken.
pub fn section_name(given: &str, taken: &[String]) -> String {
    let plain = |c: char| {
        let kept = c.is_ascii_alphanumeric() || c == '_' || c == '-';
        if kept { c } else { '_' }
    };
    let name: String = given.chars().map(plain).take(56).collect();
    let name = if is_name(&name) {
        name
    } else {
        "plugin".into()
    };
    let numbered = (2u32..).map(|n| format!("{name}_{n}"));
    let mut names = std::iter::once(name.clone()).chain(numbered);
    names.find(|name| !taken.contains(name)).unwrap_or(name)
}

/// A value as settings take it.
pub fn raw(value: &Value) -> Raw {
    match value {
        Value::Flag(flag) => Raw::Bool(*flag),
        Value::Number(number) => match i64::try_from(*number) {
            Ok(number) => Raw::Number(number),
            // Sizes and tags take it as text.
            Err(_) => Raw::Text(number.to_string()),
        },
        Value::Signed(number) => Raw::Number(*number),
        Value::Word(word) => Raw::Text((*word).into()),
        Value::Text(text) => Raw::Text(text.clone()),
    }
}

/// Adds a setting that comes from a line.
pub fn push(options: &mut Options, name: &str, line: &Line, value: Raw) {
    options.push(name, value, line.place, line.value_at);
}

/// Adds settings that are the same here and there: the name here, the key there.
pub fn copy(options: &mut Options, values: &Values, pairs: &[(&str, &str)]) {
    for (name, key) in pairs {
        if let Some(line) = values.line(key) {
            push(options, name, line, raw(&line.value));
        }
    }
}

/// A new section.
pub fn section(family: &str, name: &str, place: Place) -> Section {
    Section {
        name: name.into(),
        options: Options::new(&format!("{family}.{name}"), place),
    }
}
