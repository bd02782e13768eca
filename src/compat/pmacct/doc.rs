//! `docs/pmacct-keys.md`: what becomes of each key, made of the table.

use super::daemon::{Daemon, Set};
use super::key::{Fate, Key, Scope, Tier};
use super::table;
use std::fmt::Write;

const HEAD: &str = "\
# Keys of pmacct

What becomes of each key of a pmacct configuration under `weir pmacct`, `weir import` and the \
names of pmacct's
programs. This page is made of the table that the compiler works from: `weir gen pmacct-keys`. \
How to move a
configuration over is in [PMACCT.md](PMACCT.md), what the settings of weir mean in \
[CONFIG.md](CONFIG.md).

Each key is one of four:

- **translated** into the setting that is named, by its section; `*` stands for sections made \
of a file's rows;
- **done by the face**: the program of that name does it around the configuration;
- **without effect**, for the reason that is given; the log says so once, when the key is used;
- **not in this build**; the log says so as a warning, and the rest runs.

";

/// The page.
pub fn page() -> String {
    let mut text = String::from(HEAD);
    let (mut kinds, mut all) = ([0usize; 4], 0usize);
    for key in table::all() {
        all += 1;
        let at = match key.fate {
            Fate::To(..) => 0,
            Fate::Face(_) => 1,
            Fate::Idle(_) => 2,
            Fate::Absent(_) => 3,
        };
        if let Some(count) = kinds.get_mut(at) {
            *count += 1;
        }
    }
    let [to, face, idle, absent] = kinds;
    // Writing to a string can not fail.
    let _ = writeln!(
        text,
        "Of {all} keys {to} are translated, {face} done by the face, {idle} without effect \
        here, and {absent} \
         belong to\nparts that this build has not got. Whose a key is: P pmacctd, U uacctd, N \
         nfacctd, S sfacctd, \
         B pmbgpd,\nM pmbmpd, T pmtelemetryd. It stands for all plugins (*all*), for all or for \
         one (*any*, \
         `key[plugin]`), or for\none alone (*one*). A, B and C say how many people use it: \
         most, some, few."
    );
    for (title, keys) in table::PARTS {
        let _ = write!(
            text,
            "\n## {title}\n\n| key | whose | for | | value | here |\n|---|---|---|---|---|---|\n"
        );
        for key in *keys {
            row(&mut text, key);
        }
    }
    text
}

fn row(text: &mut String, key: &Key) {
    let scope = match key.scope {
        Scope::Core => "all",
        Scope::Either => "any",
        Scope::Plugin => "one",
    };
    let tier = match key.tier {
        Tier::A => "A",
        Tier::B => "B",
        Tier::C => "C",
    };
    let here = match key.fate {
        Fate::To(setting, "") => format!("`{}`", place(setting)),
        Fate::To(setting, note) => format!("`{}`, {note}", place(setting)),
        Fate::Face(does) => format!("face: {does}"),
        Fate::Idle(why) => format!("no effect: {why}"),
        Fate::Absent(part) => format!("not in this build: {}", part.why()),
    };
    let (whose, value) = (whose(key.daemons), key.take.words());
    let _ = writeln!(
        text,
        "| `{}` | {whose} | {scope} | {tier} | {value} | {here} |",
        key.name
    );
}

/// A setting with its section as it stands in a file.
fn place(setting: &str) -> String {
    match setting.split_once('.') {
        Some((section @ ("log" | "limits"), name)) => format!("[{section}] {name}"),
        Some((section, "*")) => format!("[{section}.*]"),
        Some((section, name)) => format!("[{section}.NAME] {name}"),
        None => setting.into(),
    }
}

fn whose(daemons: Set) -> String {
    let letters = daemons.iter().map(|daemon| match daemon {
        Daemon::Pmacctd => "P",
        Daemon::Uacctd => "U",
        Daemon::Nfacctd => "N",
        Daemon::Sfacctd => "S",
        Daemon::Pmbgpd => "B",
        Daemon::Pmbmpd => "M",
        Daemon::Pmtelemetryd => "T",
    });
    letters.collect::<Vec<_>>().join(" ")
}
