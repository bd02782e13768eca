//! Rows of `key=value` in the small map files that become sections: interfaces, primitives.

use std::fs::File;
use std::io::Read;

/// Longest file that is read, in bytes.
const LONGEST: u64 = 1 << 20;

/// One row.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Row {
    /// Its line.
    pub line: usize,
    /// Keys with values, in order.
    pub values: Vec<(String, String)>,
}

impl Row {
    /// The value of a key; of several, the first.
    pub fn get(&self, key: &str) -> Option<&str> {
        let found = self.values.iter().find(|(known, _)| known == key);
        found.map(|(_, value)| value.as_str())
    }

    /// All values of a key.
    pub fn all<'a>(&'a self, key: &str) -> impl Iterator<Item = &'a str> {
        let found = self.values.iter().filter(move |(known, _)| known == key);
        found.map(|(_, value)| value.as_str())
    }
}

/// The rows of a file, and what is wrong with those that are passed over.
///
/// # Errors
/// Why the file can not be read.
pub fn read(path: &str, keys: &[&str]) -> Result<(Vec<Row>, Vec<String>), String> {
    let mut text = String::new();
    File::open(path)
        .and_then(|file| file.take(LONGEST).read_to_string(&mut text))
        .map_err(|e| format!("{path}: {e}"))?;
    Ok(parse(path, &text, keys))
}

/// The rows of a text.
pub fn parse(path: &str, text: &str, keys: &[&str]) -> (Vec<Row>, Vec<String>) {
    let (mut rows, mut bad) = (Vec::new(), Vec::new());
    for (n, line) in text.lines().enumerate() {
        let line = line.trim();
        if line.is_empty() || line.starts_with(['!', '#']) {
            continue;
        }
        match row(n + 1, line, keys) {
            Ok(row) => rows.push(row),
            Err(why) => bad.push(format!("{path}:{}: {why}; the row is passed over", n + 1)),
        }
    }
    (rows, bad)
}

fn row(number: usize, line: &str, keys: &[&str]) -> Result<Row, String> {
    let mut row = Row {
        line: number,
        values: Vec::new(),
    };
    for item in line.split_whitespace() {
        let Some((key, value)) = item.split_once('=') else {
            return Err(format!("`{item}` is no `key=value`"));
        };
        let key = key.to_lowercase();
        if !keys.contains(&key.as_str()) {
            let near = crate::base::text::nearest(&key, keys.iter().copied());
            let near = near.map(|near| format!("; did you mean `{near}`?"));
            return Err(format!("no key `{key}`{}", near.unwrap_or_default()));
        }
        row.values.push((key, value.into()));
    }
    Ok(row)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_read_and_bad_ones_passed_over() {
        let text = "! interfaces\nifname=eth0 ifindex=100\n\nifname=eth1 driection=in\nx\n";
        let (rows, bad) = parse("m", text, &["ifname", "ifindex", "direction"]);
        assert_eq!(rows.len(), 1);
        assert_eq!((rows[0].line, rows[0].get("ifindex")), (2, Some("100")));
        assert_eq!(rows[0].all("ifname").count(), 1);
        assert!(bad[0].starts_with("m:4: no key `driection`; did you mean `direction`?"));
        assert!(bad[1].starts_with("m:5: `x` is no `key=value`"));
        assert!(read("/nonexistent", &[]).is_err());
    }
}
