//! Who may send: a list of addresses and prefixes. Not for routing and not for mapping values.

use crate::base::addr::Ip;
use crate::base::lines::{self, Complaints};
use std::fs::File;
use std::io::BufReader;
use std::net::IpAddr;

/// Longest file of addresses, in bytes.
const FILE_MAX: u64 = 4 << 20;

/// A compiled list; empty means that everybody may send, unless it is that of a file.
///
/// Both families are ranges of one 128-bit space, IPv4 within its mapped block, sorted and
/// without overlap, so that a long list costs a binary search.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Allow {
    ranges: Vec<(u128, u128)>,
    /// Whether an empty list means nobody.
    closed: bool,
}

impl Allow {
    /// Compiles addresses and prefixes (`192.0.2.1`, `10.0.0.0/8`, `2001:db8::/32`).
    ///
    /// # Errors
    /// A sentence that names the entry which is neither.
    pub fn parse<S: AsRef<str>>(list: &[S]) -> Result<Self, String> {
        let ranges = list
            .iter()
            .map(|entry| {
                let entry = entry.as_ref();
                range(entry).ok_or_else(|| {
                    format!("`{entry}` is neither an address nor a prefix such as 192.0.2.0/24")
                })
            })
            .collect::<Result<Vec<_>, _>>()?;
        Ok(Self {
            ranges: merge(ranges),
            closed: false,
        })
    }

    /// Reads a file with an address or prefix in each row, and says which rows it left out. An
    /// empty file lets nobody in.
    ///
    /// # Errors
    /// Why the file can not be read.
    pub fn read(path: &str) -> Result<(Self, Complaints), String> {
        let named = |e: std::io::Error| format!("{path}: {e}");
        let mut from = BufReader::new(File::open(path).map_err(named)?);
        let (mut entries, mut complaints) = (Vec::new(), Complaints::default());
        let mut take = |line, column, text: &str, complaints: &mut Complaints| match range(text) {
            Some(_) => entries.push(text.to_string()),
            None => complaints.add(
                line,
                column,
                format!("`{text}` is neither an address nor a prefix such as 192.0.2.0/24"),
            ),
        };
        let whole = lines::each(&mut from, FILE_MAX, &mut complaints, &mut take).map_err(named)?;
        if !whole {
            return Err(format!("{path}: it is longer than {FILE_MAX} bytes"));
        }
        let mut allow = Self::parse(&entries)?;
        allow.closed = true;
        Ok((allow, complaints))
    }

    /// Lets in who is in either list.
    pub fn and(&self, other: &Self) -> Self {
        let mut ranges = self.ranges.clone();
        ranges.extend_from_slice(&other.ranges);
        Self {
            ranges: merge(ranges),
            closed: self.closed || other.closed,
        }
    }

    /// Whether this address is in the list, or the list is empty.
    pub fn admits(&self, ip: IpAddr) -> bool {
        if self.ranges.is_empty() {
            return !self.closed;
        }
        let ip = u128::from_be_bytes(Ip::from(ip).0);
        let behind = self.ranges.partition_point(|(first, _)| *first <= ip);
        let at = behind.checked_sub(1).and_then(|i| self.ranges.get(i));
        at.is_some_and(|(_, last)| ip <= *last)
    }
}

/// Sorts ranges and joins those that touch.
fn merge(mut ranges: Vec<(u128, u128)>) -> Vec<(u128, u128)> {
    ranges.sort_unstable();
    let mut merged: Vec<(u128, u128)> = Vec::with_capacity(ranges.len());
    for (first, last) in ranges {
        match merged.last_mut() {
            Some(before) if first <= before.1.saturating_add(1) => {
                before.1 = before.1.max(last);
            }
            _ => merged.push((first, last)),
        }
    }
    merged
}

fn range(entry: &str) -> Option<(u128, u128)> {
    let (address, length) = match entry.trim().split_once('/') {
        Some((address, length)) => (address, Some(length.parse::<u32>().ok()?)),
        None => (entry.trim(), None),
    };
    let ip: IpAddr = address.parse().ok()?;
    let (width, above) = if ip.is_ipv4() { (32, 96) } else { (128, 0) };
    let length = length.unwrap_or(width);
    if length > width {
        return None;
    }
    let host = u128::MAX
        .checked_shr(length.checked_add(above)?)
        .unwrap_or(0);
    let bits = u128::from_be_bytes(Ip::from(ip).0);
    Some((bits & !host, bits | host))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn admits(list: &[&str], ip: &str) -> bool {
        Allow::parse(list).unwrap().admits(ip.parse().unwrap())
    }

    #[test]
    fn a_file_is_a_list_that_may_let_nobody_in() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("allow");
        let read = |text: &str| {
            std::fs::write(&path, text).unwrap();
            Allow::read(path.to_str().unwrap()).unwrap()
        };
        let (list, bad) = read("! routers\n192.0.2.1\n2001:db8::/32\nhouse\n");
        assert_eq!((bad.count(), bad.problems()[0].place.line), (1, 4));
        let may = |list: &Allow, ip: &str| list.admits(ip.parse().unwrap());
        assert!(may(&list, "192.0.2.1") && may(&list, "2001:db8::1"));
        assert!(!may(&list, "192.0.2.2"));
        let (none, _) = read("");
        assert!(!may(&none, "192.0.2.1"));
        let both = none.and(&Allow::parse(&["10.0.0.0/8"]).unwrap());
        assert!(may(&both, "10.1.2.3") && !may(&both, "192.0.2.1"));
        assert!(Allow::read("/nonexistent").is_err());
    }

    #[test]
    fn prefixes_of_both_families() {
        let list = [
            "192.0.2.0/24",
            "10.1.2.3",
            "2001:db8::/32",
            "192.0.2.128/25",
        ];
        for ip in ["192.0.2.0", "192.0.2.255", "10.1.2.3", "2001:db8:ffff::1"] {
            assert!(admits(&list, ip), "{ip}");
        }
        for ip in ["192.0.3.0", "192.0.1.255", "10.1.2.4", "2001:db9::", "::1"] {
            assert!(!admits(&list, ip), "{ip}");
        }
        assert!(admits(&list, "::ffff:10.1.2.3"));
    }

    #[test]
    fn the_ends_of_the_space() {
        assert!(admits(&[], "203.0.113.1"));
        assert!(admits(&["0.0.0.0/0"], "255.255.255.255"));
        assert!(!admits(&["0.0.0.0/0"], "2001:db8::1"));
        assert!(admits(&["::/0"], "0.0.0.0"));
        assert!(admits(&["ffff::/16", "::/0"], "ffff:ffff::"));
        assert_eq!(
            Allow::parse(&["10.0.0.0/9", "10.128.0.0/9"])
                .unwrap()
                .ranges
                .len(),
            1
        );
    }

    #[test]
    fn nonsense_is_named() {
        for bad in ["10.0.0.0/33", "::/129", "host", "10.0.0.0/", "/8", ""] {
            assert!(
                Allow::parse(&["10.0.0.1", bad])
                    .unwrap_err()
                    .contains(&format!("`{bad}`"))
            );
        }
    }
}
