//! What a process may do beyond its user: capabilities, and whether it can ever get more.
//!
//! All of it is a matter of single threads to the kernel: to be set before there is a second one,
//! so that every later one has it from the first.

use super::check;
use std::io;

/// A set of capabilities, by bit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Rights(pub u64);

/// Names of the capabilities that weir has a use for, with their bits.
const NAMES: [(&str, u32); 8] = [
    ("CAP_CHOWN", 0),
    ("CAP_DAC_OVERRIDE", 1),
    ("CAP_DAC_READ_SEARCH", 2),
    ("CAP_FOWNER", 3),
    ("CAP_FSETID", 4),
    ("CAP_NET_BIND_SERVICE", 10),
    ("CAP_NET_ADMIN", 12),
    ("CAP_NET_RAW", 13),
];

impl Rights {
    /// None at all.
    pub const NONE: Self = Self(0);
    /// Files of whatever owner: what makes root root in the file system.
    pub const FILES: Self = Self(0b1_1111);
    /// Ports below 1024.
    pub const PORTS: Self = Self(1 << 10);
    /// Buffers beyond what the administrator allows.
    pub const BUFFERS: Self = Self(1 << 12);
    /// Packets.
    pub const PACKETS: Self = Self(1 << 13);

    /// Those of both.
    #[must_use]
    pub const fn with(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Those that are in the other as well.
    #[must_use]
    pub const fn within(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }

    /// Those that are not in the other.
    #[must_use]
    pub const fn without(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }

    /// Names, and how many more there are without one here.
    pub fn names(self) -> (Vec<&'static str>, u32) {
        let named = NAMES.iter().filter(|(_, bit)| self.0 & (1 << bit) != 0);
        let names: Vec<_> = named.map(|(name, _)| *name).collect();
        let more = self.0.count_ones() - names.len() as u32;
        (names, more)
    }

    /// As people read it.
    pub fn show(self) -> String {
        match self.names() {
            (names, 0) if names.is_empty() => "none".into(),
            (names, 0) => names.join(" "),
            (names, more) if names.is_empty() => format!("{more}"),
            (names, more) => format!("{} and {more} more", names.join(" ")),
        }
    }
}

/// `_LINUX_CAPABILITY_VERSION_3`: two words of 32 bits for each set.
const VERSION: u32 = 0x2008_0522;

#[repr(C)]
struct Header {
    version: u32,
    pid: i32,
}

#[repr(C)]
#[derive(Clone, Copy, Default)]
struct Sets {
    effective: u32,
    permitted: u32,
    inheritable: u32,
}

const HEADER: Header = Header {
    version: VERSION,
    pid: 0,
};

/// What this thread has at its disposal.
///
/// # Errors
/// What the system says.
pub fn permitted() -> io::Result<Rights> {
    let (mut header, mut sets) = (HEADER, [Sets::default(); 2]);
    // SAFETY: version 3 says that the kernel fills two sets, and there are two.
    check(unsafe { libc::syscall(libc::SYS_capget, &raw mut header, sets.as_mut_ptr()) as _ })?;
    let [low, high] = sets.map(|set| u64::from(set.permitted));
    Ok(Rights(high << 32 | low))
}

/// Has these from now on, in effect, and no others; programs that it starts inherit none.
///
/// # Errors
/// What the system says; more than it had is refused.
pub fn hold(rights: Rights) -> io::Result<()> {
    let mut header = HEADER;
    let set = |half: u32| Sets {
        effective: half,
        permitted: half,
        inheritable: 0,
    };
    let sets = [set(rights.0 as u32), set((rights.0 >> 32) as u32)];
    // SAFETY: as above, the kernel reads two sets.
    check(unsafe { libc::syscall(libc::SYS_capset, &raw mut header, sets.as_ptr()) as _ })
        .map(|_| ())
}

/// Takes from this thread, and from whatever it will start, what is not in `rights`, for good.
/// Needs CAP_SETPCAP.
///
/// # Errors
/// What the system says.
pub fn bound(rights: Rights) -> io::Result<()> {
    for bit in 0..64_u32 {
        // SAFETY: no memory is involved.
        let known = unsafe { libc::prctl(libc::PR_CAPBSET_READ, libc::c_ulong::from(bit)) };
        match known {
            // The kernel has no such capability, nor any after it.
            -1 => break,
            1 if rights.0 & (1 << bit) == 0 => {
                // SAFETY: as above.
                check(unsafe { libc::prctl(libc::PR_CAPBSET_DROP, libc::c_ulong::from(bit)) })?;
            }
            _ => {}
        }
    }
    Ok(())
}

/// Keeps what there is over the next change of the user.
///
/// # Errors
/// What the system says.
pub fn keep() -> io::Result<()> {
    let yes: libc::c_ulong = 1;
    // SAFETY: no memory is involved.
    check(unsafe { libc::prctl(libc::PR_SET_KEEPCAPS, yes) }).map(|_| ())
}

/// From now on no program that is started gives this process, or itself, more than it has.
///
/// # Errors
/// What the system says.
pub fn no_more() -> io::Result<()> {
    let (yes, no): (libc::c_ulong, libc::c_ulong) = (1, 0);
    // SAFETY: no memory is involved.
    check(unsafe { libc::prctl(libc::PR_SET_NO_NEW_PRIVS, yes, no, no, no) }).map(|_| ())
}

/// Whether that is so.
pub fn is_no_more() -> bool {
    let no: libc::c_ulong = 0;
    // SAFETY: no memory is involved.
    unsafe { libc::prctl(libc::PR_GET_NO_NEW_PRIVS, no, no, no, no) == 1 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rights_are_shown_by_name() {
        assert_eq!(Rights::NONE.show(), "none");
        assert_eq!(Rights::PACKETS.show(), "CAP_NET_RAW");
        let all = Rights((1 << 41) - 1).show();
        assert!(all.starts_with("CAP_CHOWN CAP_DAC"), "{all}");
        assert!(all.ends_with("CAP_NET_RAW and 33 more"), "{all}");
        assert_eq!(Rights(1 << 21).show(), "1");
    }

    #[test]
    fn a_thread_can_give_up_what_it_has_and_not_take_it_back() {
        let seen = std::thread::spawn(|| {
            let had = permitted().unwrap();
            let want = Rights::PACKETS.within(had);
            hold(want).unwrap();
            assert_eq!(permitted().unwrap(), want);
            hold(Rights::NONE).unwrap();
            assert!(hold(Rights::PACKETS).is_err());
            no_more().unwrap();
            assert!(is_no_more());
            had
        });
        let had = seen.join().unwrap();
        assert_eq!(permitted().unwrap(), had);
    }
}
