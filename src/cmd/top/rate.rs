//! Rows as a query gives them, what came to them in a time, and lines to show.

use crate::ctl::status::quote;
use crate::record::{FIELDS, Kind};
use crate::sink::live::Sort;
use std::collections::HashMap;
use std::time::Duration;

/// What was counted for a key.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Count {
    /// Packets.
    pub packets: u64,
    /// Flows; none are counted where all are zero.
    pub flows: u64,
    /// Bytes.
    pub bytes: u64,
}

/// Rows of one moment or of a time between two.
#[derive(Clone, Debug, Default)]
pub struct Rows {
    names: Vec<String>,
    rows: Vec<(Vec<String>, Count)>,
}

impl Rows {
    /// Reads values with tabs between them, under a line with their names.
    pub fn parse(text: &str) -> Self {
        let mut lines = records(text).into_iter();
        let names = lines.next().unwrap_or_default();
        let at = |name: &str| names.iter().position(|n| n == name);
        let counters = [at("PACKETS"), at("FLOWS"), at("BYTES")];
        let stamp = at("STAMP_UPDATED");
        let is_key = |n: usize| !counters.contains(&Some(n)) && stamp != Some(n);
        let keys = |all: &[String]| -> Vec<String> {
            let keys = all.iter().enumerate().filter(|(n, _)| is_key(*n));
            keys.map(|(_, value)| value.clone()).collect()
        };
        let rows = lines.filter(|line| line.len() == names.len());
        let rows = rows.map(|line| {
            let [packets, flows, bytes] = counters.map(|at| {
                let value = at.and_then(|at| line.get(at));
                value.and_then(|v| v.parse().ok()).unwrap_or(0)
            });
            let count = Count {
                packets,
                flows,
                bytes,
            };
            (keys(&line), count)
        });
        Self {
            rows: rows.collect(),
            names: keys(&names),
        }
    }

    /// What came since `before`. A row that has less than before was begun anew.
    pub fn since(&self, before: &Self) -> Self {
        let before: HashMap<&[String], Count> = before
            .rows
            .iter()
            .map(|(key, count)| (key.as_slice(), *count))
            .collect();
        let rows = self.rows.iter().filter_map(|(key, count)| {
            let old = before.get(key.as_slice()).copied().unwrap_or_default();
            let old = if old.bytes > count.bytes || old.packets > count.packets {
                Count::default()
            } else {
                old
            };
            let new = Count {
                packets: count.packets - old.packets,
                flows: count.flows.saturating_sub(old.flows),
                bytes: count.bytes - old.bytes,
            };
            (new != Count::default()).then(|| (key.clone(), new))
        });
        Self {
            rows: rows.collect(),
            names: self.names.clone(),
        }
    }
}

/// Lines of values; a value in quotes may hold what ends others (RFC 4180).
fn records(text: &str) -> Vec<Vec<String>> {
    let mut all = Vec::new();
    let mut line = Vec::new();
    let mut value = String::new();
    let mut quoted = false;
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '"' if quoted && chars.next_if_eq(&'"').is_some() => value.push('"'),
            '"' if quoted => quoted = false,
            '"' if value.is_empty() => quoted = true,
            '\t' if !quoted => line.push(std::mem::take(&mut value)),
            '\n' if !quoted => {
                line.push(std::mem::take(&mut value));
                all.push(std::mem::take(&mut line));
            }
            c => value.push(c),
        }
    }
    all
}

/// Rows of a time, ready to be shown.
#[derive(Clone, Debug)]
pub struct Rates {
    names: Vec<String>,
    /// Keys with what came to them.
    pub rows: Vec<(Vec<String>, Count)>,
    total: Count,
    time: Duration,
}

impl Rates {
    /// Of what came in `time`.
    pub fn new(rows: Rows, time: Duration) -> Self {
        let mut total = Count::default();
        for (_, count) in &rows.rows {
            total.packets = total.packets.saturating_add(count.packets);
            total.flows = total.flows.saturating_add(count.flows);
            total.bytes = total.bytes.saturating_add(count.bytes);
        }
        Self {
            names: rows.names,
            rows: rows.rows,
            total,
            time,
        }
    }

    /// Puts the largest first.
    pub fn sort(&mut self, by: Sort) {
        self.rows.sort_by_key(|(_, count)| {
            let first = match by {
                Sort::Bytes => count.bytes,
                Sort::Packets => count.packets,
                Sort::Flows => count.flows,
            };
            std::cmp::Reverse((first, count.bytes))
        });
    }

    /// All rows together, in one line.
    pub fn summary(&self, name: &str) -> String {
        format!(
            "{name}: {}, {} packets/s in {} rows",
            bits(self.total.bytes, self.time),
            rate(self.total.packets, self.time),
            self.rows.len()
        )
    }

    /// A heading and one line for each row, at the most `height` lines, `width` characters wide.
    pub fn table(&self, width: usize, height: usize) -> Vec<String> {
        let mut lines: Vec<Vec<String>> = Vec::new();
        let mut names = self.names.clone();
        let flows = self.total.flows > 0;
        names.extend(["RATE".into(), "PACKETS/S".into()]);
        if flows {
            names.push("FLOWS/S".into());
        }
        let keys = self.names.len();
        lines.push(names);
        for (key, count) in self.rows.iter().take(height.saturating_sub(1)) {
            let mut line: Vec<String> = key.iter().map(|value| printable(value)).collect();
            line.push(bits(count.bytes, self.time));
            line.push(rate(count.packets, self.time));
            if flows {
                line.push(rate(count.flows, self.time));
            }
            lines.push(line);
        }
        let columns = keys + 2 + usize::from(flows);
        let widths: Vec<usize> = (0..columns)
            .map(|n| {
                let cells = lines.iter().filter_map(|line| line.get(n));
                cells.map(|c| c.chars().count()).max().unwrap_or(0)
            })
            .collect();
        let shown = lines.iter().map(|line| {
            let mut text = String::new();
            for (n, (cell, width)) in line.iter().zip(&widths).enumerate() {
                let room = width.saturating_sub(cell.chars().count());
                let (before, after) = if n >= keys { (room, 0) } else { (0, room) };
                text.extend(std::iter::repeat_n(' ', before));
                text.push_str(cell);
                text.extend(std::iter::repeat_n(' ', after + 2));
            }
            text.trim_end().chars().take(width).collect()
        });
        shown.collect()
    }

    /// One JSON object for each row, keys as in all JSON of weir.
    pub fn json(&self) -> String {
        let mut out = String::new();
        for (key, count) in &self.rows {
            out.push('{');
            for (name, value) in self.names.iter().zip(key) {
                let info = FIELDS.iter().find(|info| info.csv == *name);
                let json = info.map_or(name.as_str(), |info| info.json);
                let number = info.is_some_and(|info| {
                    matches!(info.kind, Kind::U8 | Kind::U16 | Kind::U32 | Kind::U64)
                });
                let value = if number { value.clone() } else { quote(value) };
                out.push_str(&format!("{}:{value},", quote(json)));
            }
            let seconds = self.time.as_secs_f64();
            out.push_str(&format!("\"packets\":{},", count.packets));
            if self.total.flows > 0 {
                out.push_str(&format!("\"flows\":{},", count.flows));
            }
            let bytes = count.bytes;
            out.push_str(&format!("\"bytes\":{bytes},\"seconds\":{seconds:.3}}}\n"));
        }
        out
    }
}

/// Text from outside without what would steer a terminal.
fn printable(text: &str) -> String {
    let plain = |c: char| if c.is_control() { '\u{fffd}' } else { c };
    text.chars().map(plain).collect()
}

fn per_second(count: u64, time: Duration) -> f64 {
    count as f64 / time.as_secs_f64().max(0.001)
}

fn rate(count: u64, time: Duration) -> String {
    scaled(per_second(count, time), ["", "k", "M", "G"])
}

fn bits(bytes: u64, time: Duration) -> String {
    let units = [" bit/s", " kbit/s", " Mbit/s", " Gbit/s"];
    scaled(per_second(bytes, time) * 8.0, units)
}

/// With three digits or so, and the unit that fits.
fn scaled(mut value: f64, units: [&str; 4]) -> String {
    let mut at = 0;
    while value >= 1000.0 && at + 1 < units.len() {
        value /= 1000.0;
        at += 1;
    }
    let digits = usize::from(value < 100.0 && (at > 0 || value.fract() > 0.05));
    format!("{value:.digits$}{}", units[at])
}

#[cfg(test)]
mod tests {
    use super::*;

    const FIRST: &str = "SRC_IP\tDST_PORT\tLABEL\tPACKETS\tFLOWS\tBYTES\n\
        192.0.2.1\t443\t\"a\tb\"\"c\"\t10\t1\t1000\n\
        192.0.2.2\t53\t\t5\t2\t500\n";
    const THEN: &str = "SRC_IP\tDST_PORT\tLABEL\tPACKETS\tFLOWS\tBYTES\n\
        192.0.2.1\t443\t\"a\tb\"\"c\"\t30\t2\t251000\n\
        192.0.2.2\t53\t\t2\t1\t200\n\
        192.0.2.3\t80\t\t1\t1\t40\n";

    fn rates() -> Rates {
        let rows = Rows::parse(THEN).since(&Rows::parse(FIRST));
        let mut rates = Rates::new(rows, Duration::from_secs(2));
        rates.sort(Sort::Bytes);
        rates
    }

    #[test]
    fn what_came_between_two_answers() {
        let rates = rates();
        let got: Vec<_> = (rates.rows.iter())
            .map(|(key, c)| (key[0].as_str(), c.packets, c.flows, c.bytes))
            .collect();
        let want = [
            ("192.0.2.1", 20, 1, 250_000),
            ("192.0.2.2", 2, 1, 200), // begun anew
            ("192.0.2.3", 1, 1, 40),
        ];
        assert_eq!(got, want);
        assert_eq!(rates.rows[0].0[2], "a\tb\"c");
        let same = Rows::parse(THEN).since(&Rows::parse(THEN));
        assert!(same.rows.is_empty());
        assert!(Rows::parse("").rows.is_empty());
    }

    #[test]
    fn tables_fit_and_json_names_its_fields() {
        let rates = rates();
        let table = rates.table(200, 3);
        assert_eq!(table.len(), 3);
        assert!(
            table[0].starts_with("SRC_IP     DST_PORT  LABEL"),
            "{}",
            table[0]
        );
        assert!(
            table[1].contains("1.0 Mbit/s") && table[1].contains("10"),
            "{}",
            table[1]
        );
        assert!(!table.concat().contains('\t'));
        assert!(
            rates
                .table(20, 9)
                .iter()
                .all(|line| line.chars().count() <= 20)
        );
        let json = rates.json();
        let first = "{\"ip_src\":\"192.0.2.1\",\"port_dst\":443,\"label\":\"a\\u0009b\\\"c\",\
            \"packets\":20,\"flows\":1,\"bytes\":250000,\"seconds\":2.000}\n";
        assert!(json.starts_with(first), "{json}");
        assert_eq!(json.lines().count(), 3);
        assert_eq!(
            rates.summary("eth0"),
            "eth0: 1.0 Mbit/s, 11.5 packets/s in 3 rows"
        );
    }
}
