//! The folder of a log: whose it is, and what lies in it beside segments.

use super::Shut;
use std::fs::{self, DirBuilder, File, Permissions, TryLockError};
use std::io::{self, ErrorKind, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::Path;

/// Makes the folder, which nobody else may look into.
///
/// # Errors
/// What the system says.
pub fn make(folder: &Path) -> io::Result<()> {
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(folder)?;
    let open = fs::metadata(folder)?.permissions().mode() & 0o077 != 0;
    if open {
        fs::set_permissions(folder, Permissions::from_mode(0o700))?;
    }
    Ok(())
}

/// Keeps other processes out of the folder.
///
/// # Errors
/// One is there already, or the system says no.
pub fn lock(folder: &Path) -> Result<File, Shut> {
    let path = folder.join("lock");
    let mut options = File::options();
    let options = options.read(true).write(true).create(true).truncate(false);
    let mut file = options
        .mode(0o600)
        .open(&path)
        .map_err(|e| shut(&path, e))?;
    match file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => {
            let who = fs::read_to_string(&path).unwrap_or_default();
            return Err(Shut::Refused(format!(
                "{} is in use by another weir (process {})",
                folder.display(),
                who.trim()
            )));
        }
        Err(TryLockError::Error(e)) => return Err(shut(&path, e)),
    }
    // For the message above alone, so a full disk does no harm.
    if file.set_len(0).is_ok() {
        drop(writeln!(file, "{}", std::process::id()));
    }
    Ok(file)
}

/// Whether the system may say something else later.
pub fn shut(path: &Path, e: io::Error) -> Shut {
    match e.kind() {
        ErrorKind::ReadOnlyFilesystem | ErrorKind::StorageFull | ErrorKind::QuotaExceeded => {
            Shut::Trouble(e)
        }
        _ => Shut::Refused(format!("{}: {e}", path.display())),
    }
}

/// What was written in the day it tells of; after a crash a segment's worth may be missing.
pub fn read_wear(folder: &Path) -> (u64, u64) {
    let text = fs::read_to_string(folder.join("wear")).unwrap_or_default();
    let mut numbers = text.split_whitespace().map(str::parse);
    match (numbers.next(), numbers.next()) {
        (Some(Ok(day)), Some(Ok(bytes))) => (day, bytes),
        _ => (0, 0),
    }
}

/// Notes what was written in a day.
pub fn write_wear(folder: &Path, (day, bytes): (u64, u64)) {
    // Should there be no room for it, the next start counts from zero.
    drop(fs::write(folder.join("wear"), format!("{day} {bytes}\n")));
}
