//! Who may read what is written: mode, owner and group of files and of folders made for them.

use crate::base::options::Options;
use std::fs::{self, DirBuilder, File, Permissions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt, chown, fchown};
use std::path::{Path, PathBuf};

/// Mode, owner and group; what is not said stays as the system makes it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Access {
    /// Permission bits of files.
    pub mode: Option<u32>,
    owner: Option<u32>,
    group: Option<u32>,
}

/// Takes the settings:
///
/// - `mode`: permission bits of files in octal, like `"0640"`; folders get what goes with it.
/// - `owner`, `group`: a name of `/etc/passwd` or `/etc/group`, or a number.
pub fn parse(options: &mut Options) -> Access {
    let mode = options.text("mode").and_then(|text| {
        let bits = u32::from_str_radix(&text, 8).ok();
        let bits = bits.filter(|bits| *bits <= 0o777 && bits & 0o200 != 0);
        if bits.is_none() {
            let message = format!(
                "`mode` is {text:?}; it takes permissions in octal that let the owner write, like \
                 \"0640\""
            );
            options.wrong("mode", message);
        }
        bits
    });
    Access {
        mode,
        owner: id(options, "owner", "/etc/passwd"),
        group: id(options, "group", "/etc/group"),
    }
}

/// A number, or the number of a name in a file of the system.
fn id(options: &mut Options, key: &'static str, file: &str) -> Option<u32> {
    let name = options.text(key)?;
    if let Ok(number) = name.parse() {
        return Some(number);
    }
    let text = fs::read_to_string(file).unwrap_or_default();
    let found = number_of(&name, &text);
    if found.is_none() {
        let message = format!("`{key}` is {name:?}, which is not in {file}; a number will do");
        options.wrong(key, message);
    }
    found
}

/// The number in the line of a name: `name:x:number:…`.
fn number_of(name: &str, text: &str) -> Option<u32> {
    let mut lines = text.lines().map(|line| line.split(':'));
    let mut line = lines.find_map(|mut parts| (parts.next() == Some(name)).then_some(parts))?;
    line.nth(1)?.parse().ok()
}

impl Access {
    /// Gives an open file what is said of it. Rows are worth more than their owner: what the
    /// system refuses is logged.
    pub fn apply(&self, file: &File, path: &Path) {
        let mode = self.mode.map_or(Ok(()), |mode| {
            file.set_permissions(Permissions::from_mode(mode))
        });
        told(mode, "mode", path);
        if self.owner.is_some() || self.group.is_some() {
            told(fchown(file, self.owner, self.group), "owner", path);
        }
    }

    /// Makes a folder and those above it that are missing.
    ///
    /// # Errors
    /// What the system says.
    pub fn folder(&self, folder: &Path) -> io::Result<()> {
        let missing: Vec<PathBuf> = (folder.ancestors())
            .take_while(|f| !f.as_os_str().is_empty() && !f.exists())
            .map(PathBuf::from)
            .collect();
        if missing.is_empty() {
            return Ok(());
        }
        // Who may read files may look for them.
        let mode = self.mode.map(|mode| mode | 0o700 | (mode & 0o444) >> 2);
        let mut builder = DirBuilder::new();
        builder.recursive(true).mode(mode.unwrap_or(0o777));
        builder.create(folder)?;
        for made in missing {
            if let Some(mode) = mode {
                told(
                    fs::set_permissions(&made, Permissions::from_mode(mode)),
                    "mode",
                    &made,
                );
            }
            if self.owner.is_some() || self.group.is_some() {
                told(chown(&made, self.owner, self.group), "owner", &made);
            }
        }
        Ok(())
    }
}

fn told(done: io::Result<()>, what: &str, path: &Path) {
    if let Err(e) = done {
        log::warn!("{what} of {}: {e}", path.display());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::options::{Place, Raw};
    use std::os::unix::fs::MetadataExt;

    fn parsed(key: &str, value: &str) -> Result<Access, String> {
        let mut options = Options::new("output.x", Place::default());
        options.set(key, Raw::Text(value.into()));
        let access = parse(&mut options);
        match options.finish().pop() {
            None => Ok(access),
            Some(problem) => Err(problem.message),
        }
    }

    #[test]
    fn modes_and_names() {
        assert_eq!(parsed("mode", "0640").unwrap().mode, Some(0o640));
        assert_eq!(parsed("owner", "root").unwrap().owner, Some(0));
        assert_eq!(parsed("group", "4711").unwrap().group, Some(4711));
        for (key, value) in [
            ("mode", "rw-r-----"),
            ("mode", "0440"),
            ("mode", "4644"),
            ("owner", "nobody else"),
            ("group", "-1"),
        ] {
            assert!(parsed(key, value).unwrap_err().contains(value), "{value}");
        }
        let passwd = "root:x:0:0:root:/root:/bin/sh\nweir:x:999:998::/:/bin/false\nbad\n";
        assert_eq!(number_of("weir", passwd), Some(999));
        assert_eq!(number_of("wei", passwd), None);
        assert_eq!(number_of("bad", passwd), None);
    }

    #[test]
    fn folders_may_be_entered_by_who_may_read() {
        let dir = tempfile::tempdir().unwrap();
        let folder = dir.path().join("a/b");
        let access = parsed("mode", "0640").unwrap();
        access.folder(&folder).unwrap();
        access.folder(&folder).unwrap();
        for made in [folder.clone(), dir.path().join("a")] {
            assert_eq!(fs::metadata(made).unwrap().mode() & 0o777, 0o750);
        }
        let path = folder.join("file");
        let file = File::create(&path).unwrap();
        access.apply(&file, &path);
        assert_eq!(fs::metadata(path).unwrap().mode() & 0o777, 0o640);
    }
}
