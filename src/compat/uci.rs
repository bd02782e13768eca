//! UCI, the syntax of OpenWrt's `/etc/config`: the same sections and settings as in TOML.
//!
//! `config weir` holds what stands before the first section of a TOML file; `config input 'lan'` is
//! `[input.lan]`. Values are texts and mean what their setting takes. A section with `option
//! enabled '0'` is left out. The name of a logical interface stands for its device. Not for
//! writing such files.

use crate::base::options::{Options, Place, Problem, Raw};
use crate::config::native::{self, Outcome};
use crate::config::tree::{File, Section, is_name};

/// Where OpenWrt keeps its logical interfaces.
pub const NETWORK: &str = "/etc/config/network";

/// Whether a text is UCI: its first statement says so, which is none in TOML.
pub fn is(text: &str) -> bool {
    let mut lines = text.lines().map(str::trim_start);
    let first = lines.find(|line| !line.is_empty() && !line.starts_with('#'));
    first.is_some_and(|line| {
        let mut words = line.split_whitespace();
        let begins = matches!(words.next(), Some("config" | "package"));
        begins && words.next().is_some_and(|next| !next.starts_with('='))
    })
}

/// Reads a configuration; `network` is the text of [`NETWORK`], empty where there is none.
pub fn parse(text: &str, network: &str) -> Outcome {
    let mut problems = Vec::new();
    let devices = devices(network);
    let mut file = File::default();
    for section in sections(text, &mut problems) {
        let enabled = section
            .word("enabled")
            .map(|(word, at)| (word, on(word), *at));
        if let Some((word, None, place)) = enabled {
            let message = format!("`enabled` is `{word}`; it takes 1 or 0");
            problems.push(Problem { place, message });
        }
        // Whether weir itself is to run is for the init script to ask.
        if matches!(enabled, Some((_, Some(false), _))) && section.kind != "weir" {
            continue;
        }
        put(section, &devices, &mut file, &mut problems);
    }
    native::compile(file, problems)
}

/// `true` and `false` as UCI knows them.
fn on(word: &str) -> Option<bool> {
    match word {
        "1" | "on" | "true" | "yes" | "enabled" => Some(true),
        "0" | "off" | "false" | "no" | "disabled" => Some(false),
        _ => None,
    }
}

/// A word and where it stands.
type Word = (String, Place);

/// `config KIND NAME` and what follows it.
struct Config {
    kind: String,
    name: Option<String>,
    place: Place,
    /// Name, values, and whether it is a list.
    settings: Vec<(Word, Vec<Word>, bool)>,
}

impl Config {
    /// The value of an option.
    fn says(&self, name: &str) -> Option<&str> {
        self.word(name).map(|(value, _)| value.as_str())
    }

    /// The value of an option, and where it stands.
    fn word(&self, name: &str) -> Option<&Word> {
        let mut all = self.settings.iter();
        all.find(|((key, _), ..)| key == name)?.1.first()
    }

    fn set(&mut self, key: Word, value: Word, list: bool) {
        let before = self.settings.iter_mut().find(|(k, ..)| k.0 == key.0);
        match before {
            Some((_, values, true)) if list => values.push(value),
            Some(setting) => *setting = (key, vec![value], list),
            None => self.settings.push((key, vec![value], list)),
        }
    }
}

/// Takes a file apart; what is no UCI goes to `problems`.
fn sections(text: &str, problems: &mut Vec<Problem>) -> Vec<Config> {
    let mut all: Vec<Config> = Vec::new();
    for statement in statements(text, problems) {
        let mut words = statement.into_iter();
        let Some((keyword, place)) = words.next() else {
            continue;
        };
        let rest: Vec<Word> = words.collect();
        let mut wrong = |message: String| problems.push(Problem { place, message });
        match (keyword.as_str(), &rest[..]) {
            ("package", [_]) => {}
            ("config", [(kind, _)] | [(kind, _), _]) => all.push(Config {
                kind: kind.clone(),
                name: rest.get(1).map(|(name, _)| name.clone()),
                place,
                settings: Vec::new(),
            }),
            ("option" | "list", [key, value]) => match all.last_mut() {
                Some(section) => section.set(key.clone(), value.clone(), keyword == "list"),
                None => wrong(format!("`{keyword} {}` stands in no section", key.0)),
            },
            ("package" | "config" | "option" | "list", _) => wrong(format!(
                "`{keyword}` with {} words behind it; it takes {}",
                rest.len(),
                match keyword.as_str() {
                    "package" => "a name",
                    "config" => "a type and perhaps a name",
                    _ => "a name and a value",
                }
            )),
            _ => wrong(format!(
                "`{keyword}` begins no statement of UCI; there are config, option, list"
            )),
        }
    }
    all
}

/// Words of each statement: quotes of both kinds, comments, lines that go on behind a backslash.
fn statements(text: &str, problems: &mut Vec<Problem>) -> Vec<Vec<Word>> {
    let mut all = vec![Vec::new()];
    let mut place = Place { line: 1, column: 0 };
    let mut word: Option<Word> = None;
    let (mut quote, mut comment, mut escaped) = (None, false, false);
    let end = |word: &mut Option<Word>, all: &mut Vec<Vec<Word>>| {
        if let (Some(word), Some(last)) = (word.take(), all.last_mut()) {
            last.push(word);
        }
    };
    for c in text.chars().chain(['\n']) {
        place.column += 1;
        let here = (String::new(), place);
        match (c, quote) {
            _ if escaped => {
                escaped = false;
                if c != '\n' {
                    word.get_or_insert(here).0.push(c);
                }
            }
            ('\n', None) => {
                comment = false;
                end(&mut word, &mut all);
                all.push(Vec::new());
            }
            _ if comment => {}
            ('\\', None | Some('"')) => escaped = true,
            (_, Some(open)) if c == open => quote = None,
            (_, Some(_)) => word.get_or_insert(here).0.push(c),
            ('\'' | '"', None) => {
                quote = Some(c);
                word.get_or_insert(here);
            }
            ('#', None) if word.is_none() => comment = true,
            (';', None) => {
                end(&mut word, &mut all);
                all.push(Vec::new());
            }
            (c, None) if c.is_whitespace() => end(&mut word, &mut all),
            (c, None) => word.get_or_insert(here).0.push(c),
        }
        if c == '\n' {
            place = Place {
                line: place.line + 1,
                column: 0,
            };
        }
    }
    if let Some(open) = quote {
        let (text, place) = word.unwrap_or_default();
        let message = format!("the quote {open} before `{}` is not closed", first(&text));
        problems.push(Problem { place, message });
    }
    all
}

/// The first line, for messages.
fn first(text: &str) -> &str {
    text.lines().next().unwrap_or_default()
}

/// Logical interfaces and the device of each.
fn devices(network: &str) -> Vec<(String, String)> {
    let all = sections(network, &mut Vec::new()).into_iter();
    let interfaces = all.filter(|section| section.kind == "interface");
    let found = interfaces.filter_map(|section| {
        let name = section.name.clone()?;
        let proto = section.says("proto").unwrap_or_default();
        let device = match proto {
            "pppoe" | "ppp" | "pptp" | "l2tp" | "pppoa" | "3g" | "6in4" | "6to4" | "6rd" => {
                format!("{proto}-{name}")
            }
            "wireguard" => name.clone(),
            _ if section.says("type") == Some("bridge") => format!("br-{name}"),
            _ => section
                .says("device")
                .or_else(|| section.says("ifname"))?
                .into(),
        };
        Some((name, device))
    });
    let found: Vec<_> = found.collect();
    // An alias names another interface.
    let of = |name: &str| {
        found
            .iter()
            .find(|(n, _)| n == name)
            .map(|(_, d)| d.clone())
    };
    let each = found.iter().map(|(name, device)| {
        let alias = device.strip_prefix('@').and_then(of);
        (name.clone(), alias.unwrap_or_else(|| device.clone()))
    });
    each.collect()
}

/// What to say about a type of section that there is not.
fn unknown(kind: &str) -> String {
    let all = ["weir", "log", "limits", "input", "aggregate", "output"];
    let near = crate::base::text::nearest(kind, all);
    let hint = near.map_or_else(
        || format!("there are {}", all.join(", ")),
        |near| format!("did you mean `{near}`?"),
    );
    format!("no section of type `{kind}`; {hint}")
}

/// Puts a section where it belongs.
fn put(
    section: Config,
    devices: &[(String, String)],
    file: &mut File,
    problems: &mut Vec<Problem>,
) {
    let place = section.place;
    let Config {
        kind,
        name,
        settings,
        ..
    } = section;
    let mut wrong = |message: String| problems.push(Problem { place, message });
    let fill = |options: &mut Options| {
        for ((key, at), values, list) in settings {
            if key == "enabled" {
                continue;
            }
            let text = |word: String| {
                let logical = key == "interface" && kind == "input";
                let device = devices.iter().find(|(name, _)| logical && *name == word);
                Raw::Text(device.map_or(word, |(_, device)| device.clone()))
            };
            let from = values.first().map_or(at, |(_, place)| *place);
            let mut raws = values.into_iter().map(|(word, place)| (text(word), place));
            let value = match raws.len() {
                1 if !list => raws.next().map_or(Raw::Other("nothing"), |(raw, _)| raw),
                _ => Raw::List(raws.collect()),
            };
            options.push(&key, value, at, from);
        }
    };
    let plain = |section: &str| {
        let mut options = Options::untyped(section, place);
        fill(&mut options);
        options
    };
    match kind.as_str() {
        "weir" => file.top = plain(""),
        "log" => file.log = Some(plain("log")),
        "limits" => file.limits = Some(plain("limits")),
        "input" | "aggregate" | "output" => {
            let to = match kind.as_str() {
                "input" => &mut file.inputs,
                "aggregate" => &mut file.aggregates,
                _ => &mut file.outputs,
            };
            let name = name.unwrap_or_else(|| format!("{kind}{}", to.len() + 1));
            if !is_name(&name) {
                return wrong(format!(
                    "`{name}`: a name has letters, digits and `_`, 64 at most"
                ));
            }
            if to.iter().any(|other| other.name == name) {
                return wrong(format!("there are two sections {kind} '{name}'"));
            }
            let options = plain(&format!("{kind}.{name}"));
            to.push(Section { name, options });
        }
        other => {
            wrong(unknown(other));
        }
    }
}

#[cfg(test)]
#[path = "uci_test.rs"]
mod tests;
