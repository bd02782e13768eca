//! The programs of pmacct.

use std::fmt;

/// A program of pmacct.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Daemon {
    /// Packets from interfaces and savefiles.
    Pmacctd,
    /// Packets from the kernel's packet filter.
    Uacctd,
    /// NetFlow and IPFIX.
    Nfacctd,
    /// sFlow.
    Sfacctd,
    /// BGP alone.
    Pmbgpd,
    /// BMP alone.
    Pmbmpd,
    /// Streaming telemetry alone.
    Pmtelemetryd,
}

impl Daemon {
    /// All of them, in the order of pmacct's documents.
    pub const ALL: [Self; 7] = [
        Self::Pmacctd,
        Self::Uacctd,
        Self::Nfacctd,
        Self::Sfacctd,
        Self::Pmbgpd,
        Self::Pmbmpd,
        Self::Pmtelemetryd,
    ];

    /// Its name as a program.
    pub fn name(self) -> &'static str {
        match self {
            Self::Pmacctd => "pmacctd",
            Self::Uacctd => "uacctd",
            Self::Nfacctd => "nfacctd",
            Self::Sfacctd => "sfacctd",
            Self::Pmbgpd => "pmbgpd",
            Self::Pmbmpd => "pmbmpd",
            Self::Pmtelemetryd => "pmtelemetryd",
        }
    }

    /// The daemon of this name.
    pub fn by_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|daemon| daemon.name() == name)
    }

    /// Whether it counts flows and has plugins.
    pub fn flows(self) -> bool {
        matches!(
            self,
            Self::Pmacctd | Self::Uacctd | Self::Nfacctd | Self::Sfacctd
        )
    }

    /// Whether it takes datagrams from exporters.
    pub fn collects(self) -> bool {
        matches!(self, Self::Nfacctd | Self::Sfacctd)
    }

    /// What is not in this build that it would need; none where it can run.
    pub fn missing(self) -> Option<&'static str> {
        Some(match self {
            Self::Uacctd => "packets from the kernel's packet filter (NFLOG)",
            Self::Pmbgpd => "sessions of BGP",
            Self::Pmbmpd => "sessions of BMP",
            Self::Pmtelemetryd => "streaming telemetry",
            Self::Pmacctd | Self::Nfacctd | Self::Sfacctd => return None,
        })
    }

    /// The set of it alone.
    pub fn set(self) -> Set {
        Set(1 << self as u8)
    }
}

impl fmt::Display for Daemon {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A set of daemons.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Set(u8);

impl Set {
    /// `pmacctd` alone; so are the others.
    pub const PMACCTD: Self = Self(1);
    /// See [`PMACCTD`](Self::PMACCTD).
    pub const UACCTD: Self = Self(1 << 1);
    /// See [`PMACCTD`](Self::PMACCTD).
    pub const NFACCTD: Self = Self(1 << 2);
    /// See [`PMACCTD`](Self::PMACCTD).
    pub const SFACCTD: Self = Self(1 << 3);
    /// See [`PMACCTD`](Self::PMACCTD).
    pub const PMBGPD: Self = Self(1 << 4);
    /// See [`PMACCTD`](Self::PMACCTD).
    pub const PMBMPD: Self = Self(1 << 5);
    /// See [`PMACCTD`](Self::PMACCTD).
    pub const PMTELEMETRYD: Self = Self(1 << 6);

    /// Both.
    pub const fn and(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Whether a daemon is in it.
    pub fn has(self, daemon: Daemon) -> bool {
        self.0 & daemon.set().0 != 0
    }

    /// The daemons.
    pub fn iter(self) -> impl Iterator<Item = Daemon> {
        Daemon::ALL.into_iter().filter(move |d| self.has(*d))
    }
}
