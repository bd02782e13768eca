//! The spool of an output: `spool` and what begins with it.

use super::explain::{millis, quote, size};
use crate::base::options::{Options, Raw};
use crate::base::text::{self, show_size};
use crate::base::without;
use crate::spool::{Built, Settings, Sync};
use std::fmt::Write;
use std::path::Path;
use std::time::Duration;

/// The settings, for whoever shows them.
pub const KEYS: &[&str] = &[
    "spool",
    "spool_when",
    "spool_size",
    "spool_age",
    "spool_sync",
    "spool_daily",
];

/// Disk for the rows of an output that wait, in bytes, where nothing is said.
const SIZE: u64 = 64 << 20;

/// Least disk that makes sense.
const SIZE_MIN: u64 = 1 << 20;

/// When rows are forced to the disk where nothing is said.
const SYNC: Duration = Duration::from_secs(5);

/// Longest and shortest time until then.
const SYNC_BOUNDS: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(3600));

/// Shortest age that makes sense.
const AGE_MIN: Duration = Duration::from_secs(60);

/// Disk for the rows of an output that wait.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Spool {
    /// Without the spool there are no settings of one, so nothing looks at them.
    _built: Built,
    /// The folder in which the output has a folder of its own name.
    pub folder: String,
    /// Whether all rows go there first, rather than those that can not go on.
    pub always: bool,
    /// Bytes that it may take.
    pub size: u64,
    /// What is older is given up.
    pub age: Option<Duration>,
    /// When it is forced to the disk.
    pub sync: Sync,
    /// Bytes that may be written in a day.
    pub daily: Option<u64>,
}

impl Spool {
    /// Reads what an output of this kind says of it; none where it has none.
    pub fn read(options: &mut Options, kind: Option<&str>) -> Option<Self> {
        // Known in any case, so that without a spool nobody is told that there are no such keys.
        for key in KEYS {
            options.raw(key);
        }
        let folder = options.text("spool").filter(|folder| !folder.is_empty());
        let Some(folder) = folder else {
            let loose = KEYS.iter().find(|key| options.has(key) && **key != "spool");
            if let Some(key) = loose.filter(|_| !options.has("spool")) {
                let message = format!("`{key}` says how a spool is kept, but there is no `spool`");
                options.wrong(key, message);
            }
            return None;
        };
        let Some(built) = Built::here() else {
            options.wrong("spool", format!("`spool`: {}", without("spool")));
            return None;
        };
        let when = [("needed", false), ("always", true)];
        let always = options.choice("spool_when", &when).unwrap_or(false);
        let size = options.size("spool_size").unwrap_or(SIZE);
        let age = options.duration("spool_age");
        let sync = sync(options);
        let daily = options.size("spool_daily");
        if kind == Some("memory") {
            let message = "`spool` is for outputs that may be away, which a table in memory is not";
            options.wrong("spool", message);
        }
        if size < SIZE_MIN {
            let least = show_size(SIZE_MIN);
            options.wrong("spool_size", format!("`spool_size` takes {least} or more"));
        }
        if age.is_some_and(|age| age < AGE_MIN) {
            options.wrong("spool_age", "`spool_age` takes a minute or more");
        }
        if daily.is_some_and(|daily| daily < SIZE_MIN) {
            let least = show_size(SIZE_MIN);
            options.wrong(
                "spool_daily",
                format!("`spool_daily` takes {least} or more"),
            );
        }
        Some(Self {
            _built: built,
            folder,
            always,
            size: size.max(SIZE_MIN),
            age,
            sync,
            daily,
        })
    }

    /// As the settings of a log, for the output of this name.
    pub fn settings(&self, output: &str) -> Settings {
        Settings {
            folder: Path::new(&self.folder).join(output),
            size: self.size,
            age: self.age,
            sync: self.sync,
            daily: self.daily,
        }
    }

    /// As lines of the configuration, with what is in effect where nothing was said.
    pub fn show(&self) -> String {
        let mut text = format!("spool = {}\n", quote(&self.folder));
        let when = if self.always { "always" } else { "needed" };
        let sync = match self.sync {
            Sync::Always => "always".into(),
            Sync::Never => "never".into(),
            Sync::Every(time) => time_text(time),
        };
        // Writing to a string can not fail.
        let _ = writeln!(text, "spool_when = {}", quote(when));
        let _ = writeln!(text, "spool_size = {}", size(self.size));
        if let Some(age) = self.age {
            let _ = writeln!(text, "spool_age = {}", quote(&time_text(age)));
        }
        let _ = writeln!(text, "spool_sync = {}", quote(&sync));
        if let Some(daily) = self.daily {
            let _ = writeln!(text, "spool_daily = {}", size(daily));
        }
        text
    }
}

/// When rows are forced to the disk.
fn sync(options: &mut Options) -> Sync {
    let usual = Sync::Every(SYNC);
    let Some((raw, _)) = options.raw("spool_sync") else {
        return usual;
    };
    let (least, most) = SYNC_BOUNDS;
    let time = match &raw {
        Raw::Text(word) if word == "always" => return Sync::Always,
        Raw::Text(word) if word == "never" => return Sync::Never,
        Raw::Text(time) => text::duration(time),
        Raw::Number(seconds) => u64::try_from(*seconds).ok().map(Duration::from_secs),
        _ => None,
    };
    match time.filter(|time| (least..=most).contains(time)) {
        Some(time) => Sync::Every(time),
        None => {
            let message = format!(
                "`spool_sync` is {}; it takes \"always\", \"never\", or a duration from 100ms to 1h",
                raw.show()
            );
            options.wrong("spool_sync", message);
            usual
        }
    }
}

/// A duration in the largest unit that shows it exactly.
fn time_text(time: Duration) -> String {
    let millis = millis(time);
    let units = [
        ("d", 86_400_000),
        ("h", 3_600_000),
        ("m", 60_000),
        ("s", 1000),
    ];
    let unit = units.iter().find(|(_, unit)| millis.is_multiple_of(*unit));
    let (name, unit) = unit.copied().unwrap_or(("ms", 1));
    format!("{}{name}", millis / unit)
}

#[cfg(test)]
#[cfg(feature = "spool")]
mod tests {
    use super::super::native;

    const REST: &str = "[input.a]\nkind = \"udp\"\nlisten = \"[::]:2055\"\n\
        [aggregate.x]\nto = \"f\"\n[output.f]\nkind = \"file\"\npath = \"x\"\n";

    #[test]
    fn a_spool_is_shown_as_it_is_in_effect() {
        for (given, shown) in [
            (
                "spool = \"/s\"\n",
                "spool = \"/s\"\nspool_when = \"needed\"\nspool_size = \"64 MiB\"\n\
                 spool_sync = \"5s\"\n",
            ),
            (
                "spool = \"/s\"\nspool_when = \"always\"\nspool_size = \"1 MiB\"\n\
                 spool_age = \"90m\"\nspool_sync = \"250ms\"\nspool_daily = \"50 MiB\"\n",
                "spool = \"/s\"\nspool_when = \"always\"\nspool_size = \"1 MiB\"\n\
                 spool_age = \"90m\"\nspool_sync = \"250ms\"\nspool_daily = \"50 MiB\"\n",
            ),
            (
                "spool = \"/s\"\nspool_sync = \"never\"\n",
                "spool_sync = \"never\"\n",
            ),
        ] {
            let outcome = native::parse(&format!("{REST}{given}"));
            assert_eq!(outcome.problems, []);
            let spool = outcome.config.outputs[0].spool.as_ref().unwrap();
            assert!(spool.show().ends_with(shown), "{}", spool.show());
            let text = super::super::explain::show(&outcome.config);
            let again = native::parse(&text);
            assert_eq!(again.problems, [], "{text}");
            assert_eq!(again.config.outputs[0].spool.as_ref(), Some(spool));
        }
    }

    #[test]
    fn what_is_wrong_with_a_spool_is_named() {
        for (given, want) in [
            ("spool_size = \"2 MiB\"\n", "there is no `spool`"),
            ("spool = \"/s\"\nspool_size = 1000\n", "takes 1.0 MiB"),
            ("spool = \"/s\"\nspool_age = 5\n", "a minute or more"),
            ("spool = \"/s\"\nspool_daily = 5\n", "takes 1.0 MiB"),
            (
                "spool = \"/s\"\nspool_sync = \"often\"\n",
                "from 100ms to 1h",
            ),
            (
                "spool = \"/s\"\nspool_when = \"alway\"\n",
                "did you mean \"always\"?",
            ),
            ("spool = 7\n", "text in quotes"),
            (
                "[output.m]\nkind = \"memory\"\nspool = \"/s\"\n",
                "which a table in memory is not",
            ),
        ] {
            let problems = native::parse(&format!("{REST}{given}")).problems;
            let found = problems.iter().any(|p| p.message.contains(want));
            assert!(found, "{given}: {problems:?}");
        }
    }
}
