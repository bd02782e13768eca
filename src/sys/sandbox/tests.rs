//! In threads of their own, which are all that the limits hold for here.

use super::*;
use std::fs::File;
use std::io::ErrorKind;
use std::net::{TcpListener, TcpStream, UdpSocket};
use std::process::Command;

/// Tries something in a limited thread; nothing where the kernel can not limit it.
fn within<T: Send>(
    limit: fn(&Allowed) -> std::io::Result<String>,
    allowed: &Allowed,
    f: impl FnOnce() -> T + Send,
) -> Option<T> {
    std::thread::scope(|scope| {
        let tried = scope.spawn(move || match limit(allowed) {
            Ok(_) => Some(f()),
            Err(e) if e.kind() == ErrorKind::Unsupported => None,
            Err(e) => panic!("{e}"),
        });
        tried.join().unwrap()
    })
}

#[test]
fn paths_outside_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join(name);
    for folder in ["in", "out", "read"] {
        std::fs::create_dir(at(folder)).unwrap();
        std::fs::write(at(folder).join("file"), "x").unwrap();
    }
    let allowed = Allowed {
        reads: vec![at("read"), at("nothing")],
        writes: vec![at("in")],
        ..Allowed::default()
    };
    within(limit_paths, &allowed, || {
        let refused = |e: std::io::Error| assert_eq!(e.kind(), ErrorKind::PermissionDenied);
        refused(File::open(at("out/file")).unwrap_err());
        refused(std::fs::write(at("out/new"), "x").unwrap_err());
        refused(std::fs::remove_file(at("out/file")).unwrap_err());
        refused(std::fs::write(at("read/file"), "y").unwrap_err());
        refused(std::fs::rename(at("in/file"), at("out/moved")).unwrap_err());
        refused(Command::new("/bin/true").status().unwrap_err());
        assert_eq!(std::fs::read(at("read/file")).unwrap(), b"x");
        std::fs::write(at("in/new"), "x").unwrap();
        std::fs::create_dir(at("in/folder")).unwrap();
        std::fs::rename(at("in/new"), at("in/folder/newer")).unwrap();
        std::os::unix::fs::symlink("folder/newer", at("in/link")).unwrap();
        assert_eq!(std::fs::read(at("in/link")).unwrap(), b"x");
        std::fs::remove_dir_all(at("in/folder")).unwrap();
    });
    assert!(at("out/file").exists() && !at("out/moved").exists());
}

#[test]
fn ports_of_tcp_are_refused_from_version_4_on() {
    let open = TcpListener::bind("127.0.0.1:0").unwrap();
    let to = open.local_addr().unwrap();
    let free = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = free.local_addr().unwrap().port();
    drop(free);
    let mut allowed = Allowed {
        listens: Some(port),
        ..Allowed::default()
    };
    let lacks = std::thread::spawn(|| limit_paths(&Allowed::default()));
    match lacks.join().unwrap() {
        Ok(said) if !said.contains("TCP ports") => {}
        _ => return,
    }
    within(limit_paths, &allowed, || {
        TcpListener::bind(("127.0.0.1", port)).unwrap();
        UdpSocket::bind("127.0.0.1:0").unwrap();
        for kind in [
            TcpListener::bind("127.0.0.1:0").unwrap_err().kind(),
            TcpStream::connect(to).unwrap_err().kind(),
        ] {
            assert_eq!(kind, ErrorKind::PermissionDenied);
        }
    });
    allowed.connects = true;
    within(limit_paths, &allowed, || TcpStream::connect(to).unwrap());
}

#[test]
fn system_calls_without_use_are_refused() {
    // SAFETY: numbers alone, and the descriptor that may come back is closed.
    let socket = |family| unsafe {
        let fd = libc::socket(family, libc::SOCK_DGRAM, 0);
        if fd >= 0 {
            libc::close(fd);
        }
        fd >= 0
    };
    let errno = || std::io::Error::last_os_error().raw_os_error();
    let none = Allowed::default();
    within(limit_calls, &none, || {
        assert!(!socket(libc::AF_VSOCK) && errno() == Some(libc::EPERM));
        assert!(!socket(libc::AF_PACKET) && errno() == Some(libc::EPERM));
        assert!(socket(libc::AF_INET) && socket(libc::AF_UNIX));
        let tried = Command::new("/bin/true").status().unwrap_err();
        assert_eq!(tried.raw_os_error(), Some(libc::EPERM));
        // SAFETY: a number; in the worst case this thread has namespaces of its own.
        assert_eq!(unsafe { libc::unshare(libc::CLONE_NEWUTS) }, -1);
        assert_eq!(errno(), Some(libc::EPERM));
        // Threads, files and the clock go on.
        std::thread::spawn(|| File::open("/dev/null").unwrap())
            .join()
            .unwrap();
    });
    let programs = Allowed {
        programs: true,
        ..Allowed::default()
    };
    within(limit_calls, &programs, || {
        assert!(Command::new("/bin/true").status().unwrap().success());
    });
}
