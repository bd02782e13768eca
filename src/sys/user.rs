//! Who a process is: accounts by name, and becoming another one.

use super::check;
use std::io;

/// An account of the system.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Account {
    /// Its name, or its number where it has none.
    pub name: String,
    /// Its number.
    pub uid: u32,
    /// The number of its first group.
    pub gid: u32,
    /// The numbers of the other groups that have it as a member.
    pub groups: Vec<u32>,
}

/// Files with accounts and groups.
const FILES: [&str; 2] = ["/etc/passwd", "/etc/group"];

fn texts() -> [String; 2] {
    FILES.map(|file| std::fs::read_to_string(file).unwrap_or_default())
}

/// The account of this name or number; a number without an entry has the group of that number.
pub fn account(name: &str) -> Option<Account> {
    let [users, groups] = texts();
    find(name, &users, &groups)
}

/// The number of a group, by name or number.
pub fn group(name: &str) -> Option<u32> {
    let [_, groups] = texts();
    let mut lines = lines(&groups);
    let line = lines.find(|line| line.first() == Some(&name));
    let number = line.and_then(|line| line.get(2)?.parse().ok());
    number.or_else(|| name.parse().ok())
}

/// The name of a number, where it has one.
pub fn name(uid: u32) -> Option<String> {
    let [users, _] = texts();
    let number = uid.to_string();
    let mut lines = lines(&users);
    let line = lines.find(|line| line.get(2) == Some(&number.as_str()))?;
    line.first().map(|name| (*name).to_string())
}

fn lines(text: &str) -> impl Iterator<Item = Vec<&str>> {
    text.lines().map(|line| line.split(':').collect())
}

fn find(name: &str, users: &str, groups: &str) -> Option<Account> {
    let numbers = |line: &[&str]| Some((line.get(2)?.parse().ok()?, line.get(3)?.parse().ok()?));
    let mut entries = lines(users);
    let by_name = entries.find(|line| line.first() == Some(&name) && numbers(line).is_some());
    let entry = by_name.or_else(|| lines(users).find(|line| line.get(2) == Some(&name)));
    let Some((uid, gid)) = entry.as_deref().and_then(numbers) else {
        let number = name.parse().ok()?;
        return Some(Account {
            name: name.into(),
            uid: number,
            gid: number,
            groups: Vec::new(),
        });
    };
    let name = entry.and_then(|line| line.first().copied()).unwrap_or(name);
    let member = |line: &Vec<&str>| line.get(3).is_some_and(|m| m.split(',').any(|m| m == name));
    let others = lines(groups).filter(member);
    let others = others.filter_map(|line| line.get(2)?.parse().ok());
    Some(Account {
        name: name.into(),
        uid,
        gid,
        groups: others.filter(|other| *other != gid).collect(),
    })
}

/// User and group in effect.
pub fn current() -> (u32, u32) {
    // SAFETY: system calls without arguments.
    unsafe { (libc::geteuid(), libc::getegid()) }
}

/// Becomes another account for good. Only root can, and only before there are threads is it true
/// of the whole process at once.
///
/// # Errors
/// What the system says.
pub fn become_account(account: &Account) -> io::Result<()> {
    let mut groups = vec![account.gid];
    groups.extend(&account.groups);
    // SAFETY: the pointer is to as many numbers as are said; the other calls involve no memory.
    unsafe {
        check(libc::setgroups(groups.len() as _, groups.as_ptr()))?;
        check(libc::setgid(account.gid))?;
        check(libc::setuid(account.uid))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const USERS: &str = "root:x:0:0:root:/root:/bin/sh\nbroken\nweir:x:990:991::/:/bin/false\n";
    const GROUPS: &str = "root:x:0:\nlog:x:4:sys,weir\nweir:x:991:weir\nno:x:5:weird\n";

    #[test]
    fn accounts_are_found_by_name_and_number() {
        let weir = Account {
            name: "weir".into(),
            uid: 990,
            gid: 991,
            groups: vec![4],
        };
        assert_eq!(find("weir", USERS, GROUPS), Some(weir.clone()));
        assert_eq!(find("990", USERS, GROUPS), Some(weir));
        let bare = find("77", USERS, GROUPS).unwrap();
        assert_eq!((bare.uid, bare.gid, bare.groups.len()), (77, 77, 0));
        for nobody in ["broken", "wier", "", "-1", "x"] {
            assert_eq!(find(nobody, USERS, GROUPS), None, "{nobody}");
        }
    }
}
