//! Sockets that someone else has made.

use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsFd, OwnedFd};

use rustix::io::Errno;
use rustix::net::{SocketType, sockopt};

/// A socket that someone else has made, ready to be used by this crate.
#[derive(Debug)]
#[non_exhaustive]
pub struct Adopted {
    /// It.
    pub socket: OwnedFd,
    /// Its local address; with port zero if it has none.
    pub local: SocketAddr,
    /// How far it has come.
    pub progress: Progress,
}

/// How far a socket has come that someone else has made.
#[expect(clippy::exhaustive_enums, reason = "socket(7) has these stages")]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Progress {
    /// It has a local address.
    Bound,
    /// It has a peer, or is on the way to one.
    Connected,
    /// It has no address.
    Fresh,
    /// It takes connections.
    Listening,
}

/// Takes over a TCP or UDP socket. From now on it does not wait, and does not share its port
/// with sockets that are still to come.
///
/// # Errors
///
/// `InvalidInput` if it is neither TCP nor UDP over IP; else as getsockname(2) and setsockopt(2).
pub fn adopt(socket: OwnedFd) -> io::Result<Adopted> {
    let kind = sockopt::socket_type(&socket)?;
    if kind != SocketType::STREAM && kind != SocketType::DGRAM {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    let local: SocketAddr = rustix::net::getsockname(&socket)?
        .try_into()
        .map_err(|_| io::Error::from(io::ErrorKind::InvalidInput))?;
    let progress = if is_connected(&socket)? {
        Progress::Connected
    } else if kind == SocketType::STREAM && sockopt::socket_acceptconn(&socket)? {
        Progress::Listening
    } else if local.port() != 0 {
        Progress::Bound
    } else {
        Progress::Fresh
    };
    sockopt::set_socket_reuseaddr(&socket, false)?;
    sockopt::set_socket_reuseport(&socket, false)?;
    rustix::io::ioctl_fionbio(&socket, true)?;
    Ok(Adopted { socket, local, progress })
}

fn is_connected(socket: impl AsFd) -> io::Result<bool> {
    match rustix::net::getpeername(socket) {
        Ok(peer) => Ok(peer.is_some()),
        Err(Errno::NOTCONN) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

#[cfg(test)]
mod tests {
    use std::net::{TcpListener, TcpStream, UdpSocket};

    use super::{Progress, adopt};

    #[test]
    fn a_stranger_is_taken_as_far_as_it_has_come() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let client = TcpStream::connect(address).unwrap();
        assert_eq!(adopt(client.into()).unwrap().progress, Progress::Connected);
        let listener = adopt(listener.into()).unwrap();
        assert_eq!((listener.progress, listener.local), (Progress::Listening, address));
        let bound = adopt(UdpSocket::bind("127.0.0.1:0").unwrap().into()).unwrap();
        assert_eq!(bound.progress, Progress::Bound);
        let fresh = crate::stream_socket("[::1]:0".parse().unwrap()).unwrap();
        assert_eq!(adopt(fresh).unwrap().progress, Progress::Fresh);
    }
}
