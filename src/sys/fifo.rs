//! Named pipes: opened for writing without waiting for somebody who reads.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::fs::{FileTypeExt, OpenOptionsExt};
use std::path::Path;

/// Whether there is a named pipe of this name.
pub fn is(path: &Path) -> bool {
    std::fs::metadata(path).is_ok_and(|m| m.file_type().is_fifo())
}

/// Opens a named pipe for writing; writes wait for room in it.
///
/// # Errors
/// What the system says; an error of its own when nobody reads.
pub fn open(path: &Path) -> io::Result<File> {
    let file = OpenOptions::new()
        .write(true)
        .custom_flags(libc::O_NONBLOCK)
        .open(path)
        .map_err(|e| match e.raw_os_error() {
            Some(libc::ENXIO) => io::Error::other("nobody reads it"),
            _ => e,
        })?;
    // SAFETY: fcntl with F_SETFL touches no memory.
    super::check(unsafe { libc::fcntl(file.as_raw_fd(), libc::F_SETFL, 0) })?;
    Ok(file)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Read, Write};

    #[test]
    fn a_pipe_is_opened_when_somebody_reads() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("pipe");
        let made = std::process::Command::new("mkfifo").arg(&path).status();
        assert!(made.unwrap().success());
        assert!(is(&path) && !is(dir.path()));
        let why = open(&path).unwrap_err().to_string();
        assert!(why.contains("nobody reads"), "{why}");
        let reader = {
            let path = path.clone();
            std::thread::spawn(move || {
                let mut bytes = Vec::new();
                File::open(path).unwrap().read_to_end(&mut bytes).unwrap();
                bytes
            })
        };
        let mut file = loop {
            match open(&path) {
                Ok(file) => break file,
                Err(_) => std::thread::sleep(std::time::Duration::from_millis(1)),
            }
        };
        // More than a pipe holds: the write waits.
        file.write_all(&vec![b'x'; 1 << 20]).unwrap();
        drop(file);
        assert_eq!(reader.join().unwrap().len(), 1 << 20);
    }
}
