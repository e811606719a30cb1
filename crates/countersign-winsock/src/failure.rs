//! Why a call failed: Winsock's number for the program, and a text for people.

use std::borrow::Cow;
use std::io;

use crate::abi;
use countersign::core::{HandshakeError, WsaError};

/// Why a call failed.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Failure {
    /// What `WSAGetLastError` answers.
    pub code: i32,
    /// What `CountersignLastErrorText` answers.
    pub text: Cow<'static, str>,
}

impl Failure {
    /// States a number and why.
    pub fn new(code: i32, text: impl Into<Cow<'static, str>>) -> Self {
        Self { code, text: text.into() }
    }

    pub(crate) const fn fixed(code: i32, text: &'static str) -> Self {
        Self { code, text: Cow::Borrowed(text) }
    }

    pub(crate) fn is_would_block(&self) -> bool {
        self.code == abi::WSAEWOULDBLOCK
    }

    /// The operation would have to wait.
    pub(crate) const WOULD_BLOCK: Self =
        Self::fixed(abi::WSAEWOULDBLOCK, "the operation would have to wait");
    /// A pointer is NULL, or cannot be one.
    pub(crate) const FAULT: Self =
        Self::fixed(abi::WSAEFAULT, "a pointer that is needed is NULL or misaligned");
    /// The descriptor is none of a socket.
    pub(crate) const NOT_SOCK: Self =
        Self::fixed(abi::WSAENOTSOCK, "the descriptor is not an open socket");

    /// What the last system call said.
    pub(crate) fn last_os(doing: &str) -> Self {
        Self::from_io(doing, &io::Error::last_os_error())
    }

    /// What the system, or `countersign` by way of an `io::Error`, said.
    pub(crate) fn from_io(doing: &str, error: &io::Error) -> Self {
        if error.kind() == io::ErrorKind::WouldBlock {
            return Self::WOULD_BLOCK;
        }
        if let Some(inner) = error.get_ref()
            && let Some(ours) = inner.downcast_ref::<countersign::Error>()
        {
            return Self::of(ours);
        }
        let code = match error.raw_os_error() {
            Some(errno) => from_errno(errno),
            None => from_kind(error.kind()),
        };
        Self::new(code, format!("cannot {doing}: {error}"))
    }

    fn of(error: &countersign::Error) -> Self {
        use countersign::Error;
        let code = match error {
            Error::Io { source, .. } if source.kind() == io::ErrorKind::WouldBlock => {
                return Self::WOULD_BLOCK;
            }
            Error::Io { source, .. } => match source.raw_os_error() {
                Some(errno) => from_errno(errno),
                None => from_kind(source.kind()),
            },
            // The end of a conversation that was protected, and not a peer that proved nothing.
            Error::Handshake { source: HandshakeError::Truncated, .. } => abi::WSAECONNRESET,
            _ => error.wsa().number(),
        };
        Self::new(code, format!("{error}; {}", error.hint()))
    }
}

impl From<countersign::Error> for Failure {
    fn from(error: countersign::Error) -> Self {
        Self::of(&error)
    }
}

impl From<WsaError> for Failure {
    fn from(error: WsaError) -> Self {
        Self::new(error.number(), text_of(error.number()))
    }
}

/// Winsock's number for one of Linux.
pub(crate) fn from_errno(errno: i32) -> i32 {
    match errno {
        libc::EACCES | libc::EPERM => abi::WSAEACCES,
        libc::EADDRINUSE => abi::WSAEADDRINUSE,
        libc::EADDRNOTAVAIL => abi::WSAEADDRNOTAVAIL,
        libc::EAFNOSUPPORT => abi::WSAEAFNOSUPPORT,
        libc::EAGAIN | libc::EINPROGRESS => abi::WSAEWOULDBLOCK,
        libc::EALREADY => abi::WSAEALREADY,
        libc::EBADF | libc::ENOTSOCK => abi::WSAENOTSOCK,
        libc::ECONNABORTED => abi::WSAECONNABORTED,
        libc::ECONNREFUSED => abi::WSAECONNREFUSED,
        libc::ECONNRESET => abi::WSAECONNRESET,
        libc::EDESTADDRREQ => abi::WSAEDESTADDRREQ,
        libc::EFAULT => abi::WSAEFAULT,
        libc::EHOSTDOWN => abi::WSAEHOSTDOWN,
        libc::EHOSTUNREACH => abi::WSAEHOSTUNREACH,
        libc::EINTR => abi::WSAEINTR,
        libc::EISCONN => abi::WSAEISCONN,
        libc::EMFILE | libc::ENFILE => abi::WSAEMFILE,
        libc::EMSGSIZE => abi::WSAEMSGSIZE,
        libc::ENETDOWN => abi::WSAENETDOWN,
        libc::ENETRESET => abi::WSAENETRESET,
        libc::ENETUNREACH => abi::WSAENETUNREACH,
        libc::ENOBUFS | libc::ENOMEM => abi::WSAENOBUFS,
        libc::ENOPROTOOPT => abi::WSAENOPROTOOPT,
        libc::ENOTCONN => abi::WSAENOTCONN,
        libc::EOPNOTSUPP => abi::WSAEOPNOTSUPP,
        libc::EPIPE => abi::WSAESHUTDOWN,
        libc::EPROTONOSUPPORT => abi::WSAEPROTONOSUPPORT,
        libc::EPROTOTYPE => abi::WSAEPROTOTYPE,
        libc::ESOCKTNOSUPPORT => abi::WSAESOCKTNOSUPPORT,
        libc::ETIMEDOUT => abi::WSAETIMEDOUT,
        libc::EINVAL => abi::WSAEINVAL,
        _ => abi::WSASYSCALLFAILURE,
    }
}

fn from_kind(kind: io::ErrorKind) -> i32 {
    use io::ErrorKind as Kind;
    match kind {
        Kind::AddrInUse => abi::WSAEADDRINUSE,
        Kind::AddrNotAvailable => abi::WSAEADDRNOTAVAIL,
        Kind::BrokenPipe => abi::WSAESHUTDOWN,
        Kind::ConnectionAborted => abi::WSAECONNABORTED,
        Kind::ConnectionRefused => abi::WSAECONNREFUSED,
        Kind::ConnectionReset | Kind::UnexpectedEof => abi::WSAECONNRESET,
        Kind::HostUnreachable => abi::WSAEHOSTUNREACH,
        Kind::InvalidInput => abi::WSAEINVAL,
        Kind::NetworkUnreachable => abi::WSAENETUNREACH,
        Kind::NotConnected => abi::WSAENOTCONN,
        Kind::PermissionDenied => abi::WSAEACCES,
        Kind::TimedOut => abi::WSAETIMEDOUT,
        Kind::WouldBlock => abi::WSAEWOULDBLOCK,
        _ => abi::WSASYSCALLFAILURE,
    }
}

/// What a number means, where nothing more is known.
pub(crate) fn text_of(code: i32) -> &'static str {
    match code {
        0 => "no call has failed",
        abi::WSAEACCES => "access denied: the peer did not prove its name, or policy forbids it",
        abi::WSAEFAULT => "a pointer that is needed is NULL",
        abi::WSAEINVAL => "a value is not valid, or not in this state of the socket",
        abi::WSAEWOULDBLOCK => "the operation would have to wait",
        abi::WSAENOTSOCK => "the descriptor is not an open socket",
        abi::WSAEMSGSIZE => "a buffer is too short",
        abi::WSAEOPNOTSUPP => "the operation is not supported on this socket or host",
        abi::WSAEAFNOSUPPORT => "the address family is neither AF_INET nor AF_INET6",
        abi::WSAECONNRESET => "the peer has reset the connection",
        abi::WSAEISCONN => "the socket is connected",
        abi::WSAENOTCONN => "the socket is not connected",
        abi::WSANOTINITIALISED => "WSAStartup has not been called",
        abi::WSA_IO_PENDING => "the operation was started and is under way",
        abi::WSA_OPERATION_ABORTED => "the operation was cancelled because the socket was closed",
        _ => "the call failed",
    }
}

#[cfg(test)]
mod tests {
    use std::io;

    use super::Failure;
    use crate::abi;

    #[test]
    fn truncation_is_a_reset_and_not_a_stranger() {
        let peer = "127.0.0.1:1".parse().unwrap();
        let source = countersign::core::HandshakeError::Truncated;
        let error = io::Error::from(countersign::Error::Handshake { peer, source });
        assert_eq!(Failure::from_io("receive", &error).code, abi::WSAECONNRESET);
    }

    #[test]
    fn text_of_a_refusal_has_both_the_reason_and_what_to_try() {
        let failure = Failure::from(countersign::Error::NoCertificate);
        assert_eq!(failure.code, abi::WSAEACCES);
        assert!(failure.text.contains("no certificate") && failure.text.contains("identity issue"));
    }
}
