//! [`Args`]: a command's arguments, read by its table of flags.
//!
//! Every value is checked against its [`Take`] while parsing, so the accessors can not fail: a
//! command that asks for a size gets one. Not for what a value means to its command.

use super::out;
use crate::base::error::Exit;
use crate::base::text;
use lexopt::{Arg, Parser};
use std::ffi::{OsStr, OsString};
use std::path::Path;
use std::time::Duration;

/// What a flag's value is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Take {
    /// No value: it is there or not.
    Switch,
    /// Any text.
    Text,
    /// A file or directory.
    Path,
    /// A whole number.
    Number,
    /// A size in bytes, like `16MiB`.
    Size,
    /// A duration, like `30s` or `5m`.
    Duration,
    /// Texts with commas between them; given twice, the lists are joined.
    List,
    /// A list of primitives.
    Fields,
    /// One of a few words; `packets|packet` takes both and means the first.
    Choice(&'static [&'static str]),
}

/// One flag of a command.
#[derive(Clone, Copy, Debug)]
pub struct Flag {
    /// Long name, without the dashes.
    pub name: &'static str,
    /// Another long name that does the same, not shown in the help; empty for none.
    pub alias: &'static str,
    /// Letter of the short form.
    pub short: Option<char>,
    /// What its value is.
    pub take: Take,
    /// How the help calls its value; empty for a switch.
    pub value: &'static str,
    /// Value when it is not given; empty for none.
    pub default: &'static str,
    /// One sentence.
    pub doc: &'static str,
}

impl Flag {
    /// A flag with a value.
    pub const fn new(
        name: &'static str,
        take: Take,
        value: &'static str,
        doc: &'static str,
    ) -> Self {
        Self {
            name,
            alias: "",
            short: None,
            take,
            value,
            default: "",
            doc,
        }
    }

    /// A flag without a value.
    pub const fn switch(name: &'static str, doc: &'static str) -> Self {
        Self::new(name, Take::Switch, "", doc)
    }

    /// With a short form.
    pub const fn short(mut self, letter: char) -> Self {
        self.short = Some(letter);
        self
    }

    /// With a default.
    pub const fn default(mut self, default: &'static str) -> Self {
        self.default = default;
        self
    }

    /// With another name.
    pub const fn alias(mut self, alias: &'static str) -> Self {
        self.alias = alias;
        self
    }

    fn is(&self, name: &str) -> bool {
        self.name == name || (!self.alias.is_empty() && self.alias == name)
    }

    /// The words of a choice, each by its first spelling.
    pub fn words(&self) -> Vec<&'static str> {
        match self.take {
            Take::Choice(words) => words.iter().map(|w| first(w)).collect(),
            _ => Vec::new(),
        }
    }

    /// The value as it is meant, or what is wrong with it.
    fn check(&self, value: OsString) -> Result<OsString, String> {
        if matches!(self.take, Take::Switch | Take::Path) {
            return Ok(value);
        }
        let wrong = |want: &str| {
            let got = value.to_string_lossy();
            Err(format!("--{} is `{got}`; it takes {want}", self.name))
        };
        let Some(given) = value.to_str() else {
            return wrong("text in UTF-8");
        };
        match self.take {
            Take::Number if given.parse::<u64>().is_err() => wrong("a whole number"),
            Take::Size if text::size(given).is_none() => wrong("a size like 16MiB"),
            Take::Duration if text::duration(given).is_none() => wrong("a duration like 30s or 5m"),
            Take::Choice(words) => match words.iter().find(|w| w.split('|').any(|w| w == given)) {
                Some(word) => Ok(first(word).into()),
                None => {
                    let words = self.words();
                    let near = text::nearest(given, words.iter().copied());
                    let near = near.map(|n| format!("; did you mean `{n}`?"));
                    wrong(&format!("{}{}", words.join(", "), near.unwrap_or_default()))
                }
            },
            _ => Ok(value),
        }
    }
}

fn first(word: &'static str) -> &'static str {
    word.split('|').next().unwrap_or(word)
}

/// What a command takes besides flags.
#[derive(Clone, Copy, Debug)]
pub struct Operands {
    /// How the help calls one.
    pub name: &'static str,
    /// How many there must be at least.
    pub least: usize,
    /// How many there may be at most.
    pub most: usize,
    /// What each is, for completions.
    pub take: Take,
    /// One sentence; empty where there are none.
    pub doc: &'static str,
}

impl Operands {
    /// A command that takes none.
    pub const NONE: Self = Self {
        name: "",
        least: 0,
        most: 0,
        take: Take::Text,
        doc: "",
    };
}

/// One command.
#[derive(Clone, Copy, Debug)]
pub struct Command {
    /// The word that calls it.
    pub name: &'static str,
    /// What it does, in a few words, for the list of commands.
    pub doc: &'static str,
    /// What it does, in sentences; paragraphs are separated by an empty line.
    pub about: &'static str,
    /// What it takes besides flags.
    pub operands: Operands,
    /// Its flags; `-h` and `--help` are there in any case.
    pub flags: &'static [Flag],
    /// Command lines as examples, each with what it does.
    pub examples: &'static [(&'static str, &'static str)],
    /// Does it.
    pub run: fn(Args) -> Exit,
}

/// A command's arguments, all valid by its table.
#[derive(Clone, Debug)]
pub struct Args {
    command: &'static Command,
    values: Vec<(&'static Flag, OsString)>,
    /// Operands, in order.
    pub operands: Vec<OsString>,
    /// Whether `--help` was among them; then nothing else is checked.
    pub help: bool,
}

impl Args {
    /// Reads `words`, the command line after the command's name.
    ///
    /// # Errors
    /// What is wrong, as a sentence for the user.
    pub fn parse(
        command: &'static Command,
        words: impl IntoIterator<Item = OsString>,
    ) -> Result<Self, String> {
        let mut args = Self {
            command,
            values: Vec::new(),
            operands: Vec::new(),
            help: false,
        };
        let mut parser = Parser::from_args(words);
        while let Some(arg) = parser.next().map_err(surplus)? {
            let flag = match arg {
                Arg::Short('h') | Arg::Long("help") => {
                    args.help = true;
                    return Ok(args);
                }
                Arg::Value(operand) => {
                    args.operands.push(operand);
                    continue;
                }
                Arg::Short(letter) => find_short(command, letter)?,
                Arg::Long(name) => find_long(command, name)?,
            };
            let value = match flag.take {
                // A value behind `=` fails at the next call of `next`.
                Take::Switch => OsString::new(),
                _ => parser.value().map_err(|_| missing(flag))?,
            };
            args.values.push((flag, flag.check(value)?));
        }
        args.count()?;
        Ok(args)
    }

    fn count(&self) -> Result<(), String> {
        let want = self.command.operands;
        if self.operands.len() < want.least {
            return Err(format!("{} is missing: {}", want.name, want.doc));
        }
        match self.operands.get(want.most) {
            Some(extra) if want.most == 0 => Err(format!(
                "takes no operand, but got `{}`",
                extra.to_string_lossy()
            )),
            Some(extra) => Err(format!(
                "takes at most {} {}, but got `{}` too",
                want.most,
                want.name,
                extra.to_string_lossy()
            )),
            None => Ok(()),
        }
    }

    /// Whether the flag is on the command line.
    pub fn given(&self, name: &str) -> bool {
        self.values.iter().any(|(f, _)| f.name == name)
    }

    /// Whether a switch is on. A sister of [`given`](Self::given), for reading well.
    pub fn flag(&self, name: &str) -> bool {
        self.given(name)
    }

    /// The value of a flag, else its default, as the system gave it.
    pub fn raw(&self, name: &str) -> Option<&OsStr> {
        let flag = self.command.flags.iter().find(|f| f.name == name);
        debug_assert!(flag.is_some(), "no flag --{name} in the table");
        let given = self.values.iter().rfind(|(f, _)| f.name == name);
        match given {
            Some((_, value)) => Some(value),
            None => flag
                .map(|f| f.default)
                .filter(|d| !d.is_empty())
                .map(OsStr::new),
        }
    }

    /// A text, or the word of a choice.
    pub fn text(&self, name: &str) -> Option<&str> {
        self.raw(name)?.to_str()
    }

    /// A file or directory.
    pub fn path(&self, name: &str) -> Option<&Path> {
        self.raw(name).map(Path::new)
    }

    /// A whole number.
    pub fn number(&self, name: &str) -> Option<u64> {
        self.text(name)?.parse().ok()
    }

    /// A size in bytes.
    pub fn size(&self, name: &str) -> Option<u64> {
        text::size(self.text(name)?)
    }

    /// A duration.
    pub fn duration(&self, name: &str) -> Option<Duration> {
        text::duration(self.text(name)?)
    }

    /// The items of a list, trimmed, without empty ones, of all times the flag is given.
    pub fn list(&self, name: &str) -> Vec<String> {
        let given: Vec<&str> = self
            .values
            .iter()
            .filter(|(f, _)| f.name == name)
            .filter_map(|(_, v)| v.to_str())
            .collect();
        let all = if given.is_empty() {
            self.text(name).unwrap_or_default().to_string()
        } else {
            given.join(",")
        };
        let items = all.split(',').map(str::trim).filter(|i| !i.is_empty());
        items.map(String::from).collect()
    }

    /// The first operand as text, for commands that take a word.
    pub fn operand(&self) -> Option<&str> {
        self.operands.first()?.to_str()
    }

    /// Reports a wrong command line that only the command itself could notice.
    pub fn wrong(&self, message: &str) -> Exit {
        let name = format!("weir {}", self.command.name);
        out::usage(&name, message, &format!("{name} --help"))
    }
}

fn find_short(command: &'static Command, letter: char) -> Result<&'static Flag, String> {
    let mut flags = command.flags.iter();
    let found = flags.find(|f| f.short == Some(letter));
    found.ok_or_else(|| format!("no option `-{letter}`"))
}

fn find_long(command: &'static Command, name: &str) -> Result<&'static Flag, String> {
    if let Some(flag) = command.flags.iter().find(|f| f.is(name)) {
        return Ok(flag);
    }
    let names = command.flags.iter().map(|f| f.name).chain(["help"]);
    let near = text::nearest(name, names);
    let near = near.map(|n| format!("; did you mean `--{n}`?"));
    Err(format!("no option `--{name}`{}", near.unwrap_or_default()))
}

fn surplus(error: lexopt::Error) -> String {
    match error {
        lexopt::Error::UnexpectedValue { option, .. } => format!("{option} takes no value"),
        other => other.to_string(),
    }
}

fn missing(flag: &Flag) -> String {
    format!(
        "--{} needs a value: --{} {}",
        flag.name, flag.name, flag.value
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    static COMMAND: Command = Command {
        name: "try",
        doc: "",
        about: "",
        operands: Operands {
            name: "FILE",
            least: 1,
            most: 2,
            take: Take::Path,
            doc: "a file to read",
        },
        flags: &[
            Flag::new("by", Take::Fields, "LIST", "Key.")
                .short('b')
                .default("src_host,dst_host"),
            Flag::new("memory", Take::Size, "SIZE", "Memory.").default("16MiB"),
            Flag::new("bin", Take::Duration, "TIME", "Bin.").alias("every"),
            Flag::new("top", Take::Number, "N", "Rows.").short('n'),
            Flag::new(
                "decode",
                Take::Choice(&["packets|packet", "sflow"]),
                "WHAT",
                "Decoder.",
            ),
            Flag::switch("quiet", "Less.").short('q'),
        ],
        examples: &[],
        run: |_| Exit::Fine,
    };

    fn parse(words: &[&str]) -> Result<Args, String> {
        Args::parse(&COMMAND, words.iter().map(OsString::from))
    }

    #[test]
    fn values_are_typed_and_defaults_fill_in() {
        let words = [
            "-qn5",
            "--every=5m",
            "a",
            "--decode",
            "packet",
            "--by",
            "proto, tos",
            "b",
        ];
        let args = parse(&words).unwrap();
        assert!(args.flag("quiet"));
        assert_eq!(args.number("top"), Some(5));
        assert_eq!(args.duration("bin"), Some(Duration::from_secs(300)));
        assert_eq!(args.text("decode"), Some("packets"));
        assert_eq!(args.size("memory"), Some(16 << 20));
        assert_eq!(args.list("by"), ["proto", "tos"]);
        assert_eq!(args.operands, ["a", "b"]);
        assert!(!args.given("memory"));
        let args = parse(&["a", "--by", "proto", "-b", "tos"]).unwrap();
        assert_eq!(args.list("by"), ["proto", "tos"]);
        assert_eq!(parse(&["a"]).unwrap().list("by"), ["src_host", "dst_host"]);
        assert_eq!(parse(&["--", "-q"]).unwrap().operands, ["-q"]);
        assert!(parse(&["--help", "--nonsense"]).unwrap().help);
    }

    #[test]
    fn each_mistake_is_named_with_what_is_allowed() {
        for (words, want) in [
            (
                &["a", "--memroy", "1"][..],
                "no option `--memroy`; did you mean `--memory`?",
            ),
            (&["a", "-x"], "no option `-x`"),
            (
                &["a", "--memory", "much"],
                "--memory is `much`; it takes a size like 16MiB",
            ),
            (
                &["a", "--top", "-1"],
                "--top is `-1`; it takes a whole number",
            ),
            (
                &["a", "--decode=sflw"],
                "it takes packets, sflow; did you mean `sflow`?",
            ),
            (&["a", "--quiet=yes"], "--quiet takes no value"),
            (&["a", "--bin"], "--bin needs a value: --bin TIME"),
            (&[], "FILE is missing: a file to read"),
            (&["a", "b", "c"], "takes at most 2 FILE, but got `c` too"),
        ] {
            let message = parse(words).unwrap_err();
            assert!(message.contains(want), "{words:?}: {message}");
        }
    }
}
