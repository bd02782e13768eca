//! Rights on systems without capabilities: a user is all that a process is.

use std::io;

/// A set of capabilities, which is always empty here.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Rights(pub u64);

impl Rights {
    /// None at all.
    pub const NONE: Self = Self(0);
    /// Files of whatever owner.
    pub const FILES: Self = Self(0);
    /// Ports below 1024.
    pub const PORTS: Self = Self(0);
    /// Buffers beyond what the administrator allows.
    pub const BUFFERS: Self = Self(0);
    /// Packets.
    pub const PACKETS: Self = Self(0);

    /// Those of both.
    #[must_use]
    pub const fn with(self, _: Self) -> Self {
        self
    }

    /// Those that are in the other as well.
    #[must_use]
    pub const fn within(self, _: Self) -> Self {
        self
    }

    /// Those that are not in the other.
    #[must_use]
    pub const fn without(self, _: Self) -> Self {
        self
    }

    /// Names, and how many more there are without one here.
    pub fn names(self) -> (Vec<&'static str>, u32) {
        (Vec::new(), 0)
    }

    /// As people read it.
    pub fn show(self) -> String {
        "unknown to this system".into()
    }
}

fn unsupported() -> io::Error {
    io::Error::new(io::ErrorKind::Unsupported, "not on this system")
}

/// What this thread has at its disposal.
///
/// # Errors
/// Always.
pub fn permitted() -> io::Result<Rights> {
    Err(unsupported())
}

/// Has these from now on.
///
/// # Errors
/// Never: there are none.
pub fn hold(_: Rights) -> io::Result<()> {
    Ok(())
}

/// Takes what is not in `rights`, for good.
///
/// # Errors
/// Never: there are none.
pub fn bound(_: Rights) -> io::Result<()> {
    Ok(())
}

/// Keeps what there is over the next change of the user.
///
/// # Errors
/// Never: there is nothing to keep.
pub fn keep() -> io::Result<()> {
    Ok(())
}

/// From now on no program that is started gives this process, or itself, more than it has.
///
/// # Errors
/// Always.
pub fn no_more() -> io::Result<()> {
    Err(unsupported())
}

/// Whether that is so.
pub fn is_no_more() -> bool {
    false
}
