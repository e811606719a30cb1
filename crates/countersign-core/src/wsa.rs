//! Winsock's numbers.

/// A Winsock error code (SPEC 3).
#[expect(missing_docs, reason = "the names are Winsock's, each with its documented meaning")]
#[non_exhaustive]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum WsaError {
    Acces,
    AddrInUse,
    AfNoSupport,
    ConnAborted,
    ConnRefused,
    ConnReset,
    Fault,
    Inval,
    IoPending,
    IsConn,
    MsgSize,
    NotConn,
    NotSock,
    OpNotSupp,
    SysCallFailure,
    TimedOut,
    WouldBlock,
}

impl WsaError {
    /// Returns the number that `WSAGetLastError` gives for it.
    pub fn number(self) -> i32 {
        match self {
            Self::IoPending => 997,
            Self::Acces => 10013,
            Self::Fault => 10014,
            Self::Inval => 10022,
            Self::WouldBlock => 10035,
            Self::NotSock => 10038,
            Self::MsgSize => 10040,
            Self::OpNotSupp => 10045,
            Self::AfNoSupport => 10047,
            Self::AddrInUse => 10048,
            Self::ConnAborted => 10053,
            Self::ConnReset => 10054,
            Self::IsConn => 10056,
            Self::NotConn => 10057,
            Self::TimedOut => 10060,
            Self::ConnRefused => 10061,
            Self::SysCallFailure => 10107,
        }
    }
}
