//! Those who are compared.

use std::fmt;
use std::io;

/// Who is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Peer {
    Countersign,
    /// By tickets inside TLS, where the others use certificates.
    CountersignKerberos,
    CountersignTokio,
    Haproxy,
    Nginx,
    Openssl,
    Rustls,
    /// With its limit on buffered records at 48 KiB, where the default is 64 KiB: below one
    /// segment of the loopback interface.
    RustlsTuned,
    Stunnel,
    /// What the kernel does for the same end, and nothing else.
    SystemCalls,
    Tcp,
    /// A tunnel of a page: tokio-rustls, and what tokio has to join two streams.
    TokioRelay,
    TokioRustls,
    TokioTcp,
    Udp,
    Winsock,
}

impl Peer {
    const ALL: &[Self] = &[
        Self::Countersign,
        Self::CountersignKerberos,
        Self::CountersignTokio,
        Self::Haproxy,
        Self::Nginx,
        Self::Openssl,
        Self::Rustls,
        Self::RustlsTuned,
        Self::Stunnel,
        Self::SystemCalls,
        Self::Tcp,
        Self::TokioRelay,
        Self::TokioRustls,
        Self::TokioTcp,
        Self::Udp,
        Self::Winsock,
    ];

    /// Finds a peer by the name that it is shown under.
    pub(crate) fn find(name: &str) -> io::Result<Self> {
        let found = Self::ALL.iter().find(|peer| peer.to_string() == name);
        found.copied().ok_or_else(|| io::Error::other(format!("{name:?} is no peer")))
    }
}

/// What a peer is in a comparison.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Role {
    Clear,
    Other,
    Ours,
}

impl Peer {
    pub(crate) fn role(self) -> Role {
        match self {
            Self::Countersign
            | Self::CountersignKerberos
            | Self::CountersignTokio
            | Self::Winsock => Role::Ours,
            Self::Tcp | Self::TokioTcp | Self::Udp => Role::Clear,
            _ => Role::Other,
        }
    }

    /// Whether it is for programs on tokio; those are compared with each other.
    pub(crate) fn is_asynchronous(self) -> bool {
        matches!(self, Self::CountersignTokio | Self::TokioRustls | Self::TokioTcp)
    }
}

impl fmt::Display for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Countersign => "countersign",
            Self::CountersignKerberos => "countersign, Kerberos",
            Self::CountersignTokio => "countersign, tokio",
            Self::Haproxy => "HAProxy",
            Self::Nginx => "nginx",
            Self::Openssl => "OpenSSL",
            Self::Rustls => "rustls",
            Self::RustlsTuned => "rustls, 48 KiB limit",
            Self::Stunnel => "stunnel",
            Self::SystemCalls => "system calls alone",
            Self::Tcp => "TCP in clear",
            Self::TokioRelay => "tokio-rustls, copy_bidirectional",
            Self::TokioRustls => "tokio-rustls",
            Self::TokioTcp => "tokio TCP in clear",
            Self::Udp => "UDP in clear",
            Self::Winsock => "the C interface",
        })
    }
}
