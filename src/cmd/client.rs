//! The `pmacct` client: asks the table in memory of a plugin over its socket.
//!
//! Its switches are those of the client that it stands in for; what they ask travels in weir's own
//! language. Not for `weir query`, which can do more.

use super::out;
use crate::base::error::Exit;
use crate::base::text::nearest;
use crate::base::time::wall;
use crate::config::primitive;
use crate::ctl::frame::{self, Request};
use std::ffi::OsString;
use std::path::PathBuf;

/// Where a table is asked if nothing is said.
const SOCKET: &str = "/tmp/collect.pipe";

/// Most bytes of a file of questions.
const FILE_MAX: u64 = 1 << 20;

/// Most questions at a time.
const ENTRIES_MAX: usize = 4096;

const HELP: &str = "Usage: weir pmacct pmacct [OPTION]...

  -s             all rows
  -M ENTRIES     rows that match; needs -c
  -N ENTRIES     a counter of what matches; needs -c
  -c LIST        the primitives that entries give values for
  -n COUNTER     bytes, packets, flows or all, for -N
  -S             one sum for all entries, for -N
  -T WHAT[,N]    the N largest rows by bytes, packets or flows
  -r             take what matches out of the table, for -M and -N
  -e             empty the table
  -i             seconds since it was emptied
  -t             how the program does, and how full its tables are
  -p PATH        the socket [/tmp/collect.pipe]
  -O FORMAT      formatted, csv, json, event_formatted or event_csv
  -E CHARACTER   separator of csv
  -I             times in seconds since 1970
  -0             times in UTC
  -u             protocols as numbers
  -V, -h         version, this

Entries are values with commas, in the order of -c, with `;` between them; `*` matches all. \
`file:PATH`
reads them from a file, one on each line.
";

/// What is to be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Do {
    Rows,
    Match,
    Count,
    Empty,
    Since,
    Status,
    Version,
    Help,
}

/// A command line, taken apart.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Asked {
    what: Option<Do>,
    by: Vec<String>,
    entries: String,
    counter: String,
    sum: bool,
    reset: bool,
    sort: Option<String>,
    top: Option<String>,
    socket: PathBuf,
    format: String,
    /// What goes with every question for rows.
    dress: Vec<(&'static str, String)>,
}

/// Letters that have a value.
const VALUED: &str = "MNcnTpOE";

impl Asked {
    fn parse(args: impl IntoIterator<Item = OsString>) -> Result<Self, String> {
        let mut asked = Self {
            socket: SOCKET.into(),
            counter: "bytes".into(),
            format: "formatted".into(),
            ..Self::default()
        };
        let mut args = args.into_iter();
        while let Some(arg) = args.next() {
            let text = arg.to_string_lossy().into_owned();
            let Some(letters) = text.strip_prefix('-') else {
                return Err(format!("`{text}` is no option"));
            };
            let mut rest = letters.chars();
            while let Some(letter) = rest.next() {
                if !VALUED.contains(letter) {
                    asked.switch(letter)?;
                    continue;
                }
                let value = match rest.as_str() {
                    "" => args.next().map(|v| v.to_string_lossy().into_owned()),
                    value => Some(value.into()),
                };
                let value = value.ok_or_else(|| format!("-{letter} needs a value"))?;
                asked.value(letter, value)?;
                break;
            }
        }
        asked.check()
    }

    /// Switches that say how, not what.
    fn manner(&mut self, letter: char) {
        match letter {
            'S' => self.sum = true,
            'r' => self.reset = true,
            'I' => self.dress.push(("times", "epoch".into())),
            '0' => self.dress.push(("timezone", "UTC".into())),
            'u' => self.dress.push(("protocols", "numbers".into())),
            // A table is never locked for longer than it takes to copy it, and has no columns
            // but its own.
            _ => {}
        }
    }

    fn switch(&mut self, letter: char) -> Result<(), String> {
        let what = match letter {
            's' => Do::Rows,
            'e' => Do::Empty,
            'i' => Do::Since,
            't' => Do::Status,
            'V' => Do::Version,
            'h' => Do::Help,
            'S' | 'r' | 'I' | '0' | 'u' | 'l' | 'a' => {
                self.manner(letter);
                return Ok(());
            }
            'C' => return Err("-C: classes are text in rows; there is no table of them".into()),
            'U' => return Err("-U: `weir check` shows the primitives of a configuration".into()),
            other => return Err(format!("there is no option -{other}")),
        };
        self.what = self.what.or(Some(what));
        Ok(())
    }

    fn value(&mut self, letter: char, value: String) -> Result<(), String> {
        match letter {
            'M' | 'N' => {
                let what = if letter == 'M' { Do::Match } else { Do::Count };
                // Rows that are asked for with conditions are those that match.
                self.what = Some(what);
                self.entries = value;
            }
            'c' => {
                let by = value.split(',').map(|word| word.trim().to_lowercase());
                self.by = by.collect();
            }
            'n' => self.counter = word("-n", value, &["bytes", "packets", "flows", "all"])?,
            'T' => {
                let (sort, top) = match value.split_once(',') {
                    Some((sort, top)) => (sort, Some(top.trim().to_string())),
                    None => (value.as_str(), None),
                };
                self.sort = Some(word(
                    "-T",
                    sort.trim().into(),
                    &["bytes", "packets", "flows"],
                )?);
                self.top = top;
            }
            'p' => self.socket = value.into(),
            'O' => {
                let words = ["formatted", "csv", "json", "event_formatted", "event_csv"];
                self.format = word("-O", value, &words)?;
            }
            _ => {
                let separator = match value.as_str() {
                    "\\t" => "tab".into(),
                    "\\s" => " ".into(),
                    _ => value,
                };
                self.dress.push(("separator", separator));
            }
        }
        Ok(())
    }

    fn check(self) -> Result<Self, String> {
        match self.what {
            None => return Err("one of -s, -M, -N, -e, -i, -t is needed".into()),
            Some(Do::Match | Do::Count) if self.by.is_empty() => {
                return Err("-M and -N need -c, the primitives to match".into());
            }
            _ => {}
        }
        for name in &self.by {
            if !primitive::words().any(|word| word == name) {
                let near = nearest(name, primitive::words());
                let near = near.map(|near| format!("; did you mean `{near}`?"));
                return Err(format!("no primitive `{name}`{}", near.unwrap_or_default()));
            }
        }
        Ok(self)
    }

    /// The conditions of each entry.
    fn conditions(&self) -> Result<Vec<Vec<String>>, String> {
        let text = match self.entries.strip_prefix("file:") {
            Some(path) => {
                let read = std::fs::metadata(path).and_then(|meta| {
                    if meta.len() > FILE_MAX {
                        return Err(std::io::ErrorKind::FileTooLarge.into());
                    }
                    std::fs::read_to_string(path)
                });
                let text = read.map_err(|e| format!("{path}: {e}"))?;
                text.lines().collect::<Vec<_>>().join(";")
            }
            None => self.entries.clone(),
        };
        let entries = text.split(';').map(str::trim).filter(|e| !e.is_empty());
        let entries: Result<Vec<_>, String> = entries.map(|entry| self.entry(entry)).collect();
        let entries = entries?;
        if entries.len() > ENTRIES_MAX {
            return Err(format!("{ENTRIES_MAX} entries may be asked for at a time"));
        }
        Ok(entries)
    }

    fn entry(&self, entry: &str) -> Result<Vec<String>, String> {
        let values: Vec<_> = entry.split(',').map(str::trim).collect();
        if values.len() != self.by.len() {
            return Err(format!(
                "`{entry}` has {} values, -c names {} primitives",
                values.len(),
                self.by.len()
            ));
        }
        let pairs = self
            .by
            .iter()
            .zip(values)
            .filter(|(_, value)| *value != "*");
        Ok(pairs
            .map(|(name, value)| format!("{}={value}", field(name)))
            .collect())
    }

    fn request(&self) -> Request {
        let dress = self.dress.iter();
        dress.fold(Request::new("query"), |request, (name, value)| {
            request.with(name, value)
        })
    }
}

/// Sums of both ends are held under the source's name.
fn field(name: &str) -> &str {
    match name {
        "sum_host" => "src_host",
        "sum_net" => "src_net",
        "sum_port" => "src_port",
        "sum_as" => "src_as",
        "sum_mac" => "src_mac",
        name => name,
    }
}

fn word(option: &str, value: String, words: &[&str]) -> Result<String, String> {
    let value = value.to_lowercase();
    if words.contains(&value.as_str()) {
        return Ok(value);
    }
    Err(format!(
        "{option} is `{value}`; it takes {}",
        words.join(", ")
    ))
}

/// Runs the client.
pub fn main(args: Vec<OsString>) -> Exit {
    let asked = match Asked::parse(args) {
        Ok(asked) => asked,
        Err(message) => return out::usage("pmacct", &message, "weir pmacct pmacct -h"),
    };
    let done = match asked.what {
        Some(Do::Help) => return out::print(HELP),
        Some(Do::Version) => {
            let version = env!("CARGO_PKG_VERSION");
            return out::print(&format!("weir {version}, standing in for pmacct\n"));
        }
        Some(Do::Status) => ask(&asked, &Request::new("status")),
        Some(Do::Empty) => empty(&asked),
        Some(Do::Since) => since(&asked),
        Some(Do::Count) => count(&asked),
        _ => rows(&asked),
    };
    match done {
        Ok(text) => out::print(&text),
        Err(why) => out::fail(&why),
    }
}

fn ask(asked: &Asked, request: &Request) -> Result<String, String> {
    let mut answer = Vec::new();
    frame::ask(&asked.socket, request, &mut answer)?;
    Ok(String::from_utf8_lossy(&answer).into_owned())
}

/// What rows hold together: rows, packets, flows, bytes, and since when.
fn totals(asked: &Asked, request: Request) -> Result<[u64; 5], String> {
    let request = request
        .with("total", "")
        .with("format", "tabs")
        .with("times", "epoch");
    let answer = ask(asked, &request)?;
    let mut all = [0u64; 5];
    // A table that several aggregations lead to has a line for each.
    let lines = answer
        .lines()
        .filter(|l| l.starts_with(|c: char| c.is_ascii_digit()));
    for line in lines {
        for (n, (sum, text)) in all.iter_mut().zip(line.split('\t')).enumerate() {
            let number = text.parse().unwrap_or(0);
            *sum = if n == 4 {
                number
            } else {
                sum.wrapping_add(number)
            };
        }
    }
    Ok(all)
}

fn empty(asked: &Asked) -> Result<String, String> {
    totals(asked, Request::new("query").with("reset", ""))?;
    Ok("OK: the table is empty\n".into())
}

fn since(asked: &Asked) -> Result<String, String> {
    let [.., since] = totals(asked, Request::new("query"))?;
    Ok(format!("{}\n", wall().seconds().saturating_sub(since)))
}

fn count(asked: &Asked) -> Result<String, String> {
    let mut lines = Vec::new();
    for conditions in asked.conditions()? {
        let mut request = asked.request();
        for condition in conditions {
            request = request.with("match", &condition);
        }
        if asked.reset {
            request = request.with("reset", "");
        }
        // A table without such a column has nothing that matches.
        let [rows, packets, flows, bytes, _] = match totals(asked, request) {
            Err(why) if why.starts_with("the table has no such field") => [0; 5],
            other => other?,
        };
        lines.push([packets, bytes, flows, rows]);
    }
    if asked.sum {
        let add = |a: [u64; 4], b: &[u64; 4]| std::array::from_fn(|n| a[n].wrapping_add(b[n]));
        lines = vec![lines.iter().fold([0; 4], add)];
    }
    let show = |[packets, bytes, flows, rows]: &[u64; 4]| match asked.counter.as_str() {
        "packets" => format!("{packets}\n"),
        "flows" => format!("{flows}\n"),
        "all" => format!("{packets} {bytes} {flows} {rows}\n"),
        _ => format!("{bytes}\n"),
    };
    Ok(lines.iter().map(show).collect())
}

fn rows(asked: &Asked) -> Result<String, String> {
    let (format, bare) = match asked.format.as_str() {
        "csv" => ("csv", false),
        "event_csv" => ("csv", true),
        "json" => ("json", false),
        "event_formatted" => ("table", true),
        _ => ("table", false),
    };
    let mut entries = vec![Vec::new()];
    if asked.what == Some(Do::Match) {
        entries = asked.conditions()?;
    }
    let mut text = String::new();
    let mut count = 0usize;
    for conditions in entries {
        let mut request = asked.request().with("format", format);
        for condition in conditions {
            request = request.with("match", &condition);
        }
        for (name, value) in [("sort", &asked.sort), ("top", &asked.top)] {
            if let Some(value) = value {
                request = request.with(name, value);
            }
        }
        if asked.reset && asked.what == Some(Do::Match) {
            request = request.with("reset", "");
        }
        if bare {
            request = request.with("counters", "false");
        }
        let answer = ask(asked, &request)?;
        let header = usize::from(format != "json");
        count += answer.lines().count().saturating_sub(header);
        // The names of the columns once.
        let again = if text.is_empty() { 0 } else { header };
        for line in answer.lines().skip(again) {
            text.push_str(line);
            text.push('\n');
        }
    }
    if format == "table" {
        text.push_str(&format!("\n{count} entries\n"));
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(line: &str) -> Result<Asked, String> {
        Asked::parse(line.split_whitespace().map(OsString::from))
    }

    #[test]
    fn switches_are_those_of_the_client() {
        let asked = parse("-c src_host,dst_port -N 10.0.0.1,53;10.0.0.2,* -Sn all -r").unwrap();
        assert_eq!(asked.what, Some(Do::Count));
        assert!(asked.sum && asked.reset && asked.counter == "all");
        let want = [
            vec!["src_host=10.0.0.1".to_string(), "dst_port=53".into()],
            vec!["src_host=10.0.0.2".into()],
        ];
        assert_eq!(asked.conditions().unwrap(), want);
        let asked = parse("-s -T packets,5 -p /x -O csv -E ; -I -u").unwrap();
        assert_eq!(asked.sort.as_deref(), Some("packets"));
        assert_eq!(asked.top.as_deref(), Some("5"));
        assert_eq!(asked.socket, PathBuf::from("/x"));
        let line = asked.request().line().unwrap();
        assert!(
            line.contains("times=epoch") && line.contains("separator=;"),
            "{line}"
        );
        let asked = parse("-c sum_host -M 10.0.0.1 -s").unwrap();
        assert_eq!(asked.what, Some(Do::Match));
        assert_eq!(asked.conditions().unwrap(), [["src_host=10.0.0.1"]]);
    }

    #[test]
    fn what_is_wrong_is_said() {
        for (line, want) in [
            ("", "one of -s"),
            ("-N 10.0.0.1", "need -c"),
            ("-c src_hots -N x", "did you mean `src_host`?"),
            ("-x", "no option -x"),
            ("-C", "classes are text"),
            ("-T size", "it takes bytes"),
            ("-s -O xml", "it takes formatted"),
            ("-p", "needs a value"),
            ("rows", "is no option"),
        ] {
            let said = parse(line).unwrap_err();
            assert!(said.contains(want), "{line}: {said}");
        }
        let asked = parse("-c src_host,proto -M 10.0.0.1").unwrap();
        assert!(asked.conditions().unwrap_err().contains("has 1 values"));
    }
}
