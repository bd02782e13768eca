//! Map files that become sections, or that belong to parts this build has not got: read by the one
//! reader of maps.

use crate::base::lines::{self, Complaints};
use crate::rule::map::{Kind, Row};
use std::fs::File;
use std::io::{self, BufRead, BufReader};

/// Longest file that is read, in bytes.
const LONGEST: u64 = 16 << 20;

/// Opens a file that a configuration names.
pub type Open = dyn Fn(&str) -> io::Result<Box<dyn BufRead>>;

/// Opens files of the system.
///
/// # Errors
/// What the system says.
pub fn open(path: &str) -> io::Result<Box<dyn BufRead>> {
    Ok(Box::new(BufReader::new(File::open(path)?)))
}

/// The rows of a file that are right, and what is wrong with the others.
///
/// # Errors
/// Why the file can not be read.
pub fn read(path: &str, kind: &Kind, open: &Open) -> Result<(Vec<Row>, Vec<String>), String> {
    let named = |e: io::Error| format!("{path}: {e}");
    let mut from = open(path).map_err(named)?;
    let (mut rows, mut complaints) = (Vec::new(), Complaints::default());
    let mut take = |line, column, text: &str, complaints: &mut Complaints| {
        rows.extend(kind.row(line, column, text, complaints));
    };
    let whole = lines::each(&mut *from, LONGEST, &mut complaints, &mut take).map_err(named)?;
    if !whole {
        return Err(format!("{path}: it is longer than {LONGEST} bytes"));
    }
    let bad = complaints.problems().iter().map(|problem| {
        let (line, column) = (problem.place.line, problem.place.column);
        format!(
            "{path}:{line}:{column}: {}; the row is left out",
            problem.message
        )
    });
    Ok((rows, bad.collect()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rule::map;

    #[test]
    fn rows_are_read_and_bad_ones_left_out() {
        let path = "interfaces.map";
        let text = "! interfaces\nifname=eth0 ifindex=100\n\nifname=eth1 driection=in\nx\n";
        let there = move |_: &str| Ok(Box::new(text.as_bytes()) as Box<dyn BufRead>);
        let kind = map::kind("pcap_interfaces_map").unwrap();
        let (rows, bad) = read(path, kind, &there).unwrap();
        assert_eq!((rows.len(), rows[0].line), (1, 2));
        assert_eq!((rows[0].text("ifname"), bad.len()), (Some("eth0"), 2));
        assert!(
            bad[0].contains("map:4:") && bad[0].contains("did you mean `direction`?"),
            "{bad:?}"
        );
        assert!(read("/nonexistent", kind, &open).is_err());
    }
}
