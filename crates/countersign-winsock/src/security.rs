//! What the security functions do, once their arguments have been read (SPEC 3 to 8).

use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, PoisonError};

use countersign::core::{PeerName, SecuritySettings, WsaError};
use countersign::{Context, Socket, UdpSocket};

use crate::entry::{Entry, Phase, Secured, Stage};
use crate::failure::Failure;
use crate::{abi, kernel};

/// Refuses a socket of another family or type than IP's streams and datagrams (SPEC 3).
pub(crate) fn check_type(entry: &Entry) -> Result<(), Failure> {
    if entry.family() != abi::AF_INET && entry.family() != abi::AF_INET6 {
        return Err(NOT_A_FAMILY);
    }
    if entry.kind() != abi::SOCK_STREAM && entry.kind() != abi::SOCK_DGRAM {
        return Err(NOT_A_TYPE);
    }
    Ok(())
}

/// Finds a socket for a security function: what is wrong with a socket that was made without us is
/// said as precisely as of one of ours.
pub(crate) fn find(socket: abi::Socket) -> Result<Arc<Entry>, Failure> {
    crate::table::find_same(socket).map_err(|failure| {
        let option = |name| {
            let number = i32::try_from(socket).ok()?;
            kernel::option(number, libc::SOL_SOCKET, name).ok()
        };
        match (option(libc::SO_DOMAIN), option(libc::SO_TYPE)) {
            (Some(libc::AF_INET | libc::AF_INET6), Some(libc::SOCK_STREAM | libc::SOCK_DGRAM)) => {
                let text = "the socket was made without this library: what other calls send on it \
                            would be in clear";
                Failure::fixed(abi::WSAENOTSOCK, text)
            }
            (Some(libc::AF_INET | libc::AF_INET6), Some(_)) => NOT_A_TYPE,
            (Some(_), _) => NOT_A_FAMILY,
            _ => failure,
        }
    })
}

const NOT_A_FAMILY: Failure =
    Failure::fixed(abi::WSAEAFNOSUPPORT, "the socket is neither of AF_INET nor of AF_INET6");
const NOT_A_TYPE: Failure =
    Failure::fixed(abi::WSAEINVAL, "the socket is neither a stream nor a datagram socket");

/// Refuses to set anything on a socket that is connected, or on the way.
fn check_unconnected(entry: &Entry) -> Result<(), Failure> {
    let is_connected = match entry.secured() {
        Some(Secured::Stream(_)) => true,
        Some(Secured::Datagram(socket)) => socket.peer_addr().is_ok(),
        Some(Secured::Listener(_)) => false,
        None if entry.is_staged() => false,
        None => kernel::peer_address(entry.kernel()).is_ok(),
    };
    if is_connected {
        return Err(Failure::fixed(abi::WSAEISCONN, "the socket is connected"));
    }
    if entry.phase() == Phase::UnderWay {
        return Err(Failure::fixed(abi::WSAEINVAL, "a connection is being made"));
    }
    Ok(())
}

/// Checks that security may be set now (SPEC 4.1).
pub(crate) fn check_set_security(entry: &Arc<Entry>) -> Result<(), Failure> {
    check_type(entry)?;
    check_unconnected(entry)
}

/// Sets security (SPEC 4).
pub(crate) fn set_security(
    entry: &Arc<Entry>,
    settings: Option<SecuritySettings>,
) -> Result<(), Failure> {
    match entry.secured() {
        Some(Secured::Stream(_)) => {
            return Err(Failure::fixed(abi::WSAEISCONN, "the socket is connected"));
        }
        Some(Secured::Listener(_)) => {
            return Err(Failure::fixed(abi::WSAEINVAL, "the socket listens"));
        }
        Some(Secured::Datagram(socket)) => return Ok(socket.set_security(settings)?),
        None => {}
    }
    let mut stage = entry.stage();
    if let Some(socket) = &mut stage.socket {
        return Ok(socket.set_security(settings)?);
    }
    secure(entry, &mut stage, |made| match made {
        Made::Stream(socket) => socket.set_security(settings),
        Made::Datagram(socket) => socket.set_security(settings),
    })
}

/// Checks that a name may be set now (SPEC 5.1).
pub(crate) fn check_set_name(entry: &Arc<Entry>) -> Result<(), Failure> {
    check_type(entry)?;
    check_unconnected(entry)
}

/// Says who the peer at an address must be (SPEC 5).
pub(crate) fn set_name(
    entry: &Arc<Entry>,
    address: SocketAddr,
    name: PeerName,
) -> Result<(), Failure> {
    match entry.secured() {
        Some(Secured::Stream(_)) => {
            return Err(Failure::fixed(abi::WSAEISCONN, "the socket is connected"));
        }
        Some(Secured::Listener(listener)) => {
            return Ok(listener.set_peer_target_name(address, name)?);
        }
        Some(Secured::Datagram(socket)) => return Ok(socket.set_peer_target_name(address, name)?),
        None => {}
    }
    let mut stage = entry.stage();
    if let Some(socket) = &mut stage.socket {
        return Ok(socket.set_peer_target_name(address, name)?);
    }
    secure(entry, &mut stage, |made| match made {
        Made::Stream(socket) => socket.set_peer_target_name(address, name),
        Made::Datagram(socket) => socket.set_peer_target_name(address, name),
    })
}

/// Checks that a name may be deleted now (SPEC 6).
pub(crate) fn check_delete_name(entry: &Arc<Entry>) -> Result<(), Failure> {
    check_type(entry)?;
    if entry.is_stream() { check_unconnected(entry) } else { Ok(()) }
}

/// Removes the name of an address (SPEC 6).
pub(crate) fn delete_name(entry: &Arc<Entry>, address: SocketAddr) -> Result<(), Failure> {
    match entry.secured() {
        Some(Secured::Stream(_)) => Err(Failure::fixed(abi::WSAEISCONN, "the socket is connected")),
        Some(Secured::Listener(listener)) => Ok(listener.delete_peer_target_name(address)?),
        Some(Secured::Datagram(socket)) => Ok(socket.delete_peer_target_name(address)?),
        None => match &mut entry.stage().socket {
            Some(socket) => Ok(socket.delete_peer_target_name(address)?),
            // It never had a name: unknown, and so a success that changes nothing.
            None => Ok(()),
        },
    }
}

/// Secures a plain socket before its first use if policy demands that of every socket (SPEC 4.7).
pub(crate) fn follow_policy(entry: &Arc<Entry>) -> Result<(), Failure> {
    if entry.state.may_be_plain.load(Ordering::Acquire) || !entry.is_plain() {
        return Ok(());
    }
    let is_ours = check_type(entry).is_ok();
    if is_ours && security_is_required()? {
        let mut stage = entry.stage();
        if stage.socket.is_none() && entry.secured().is_none() {
            secure(entry, &mut stage, |_| Ok(()))?;
        }
        return Ok(());
    }
    entry.state.may_be_plain.store(true, Ordering::Release);
    Ok(())
}

/// Whether policy demands security of every socket. It is asked anew when it has changed.
fn security_is_required() -> Result<bool, Failure> {
    static KNOWN: Mutex<Option<(u64, bool)>> = Mutex::new(None);
    let context = Context::host()?;
    let generation = context.generation();
    let mut known = KNOWN.lock().unwrap_or_else(PoisonError::into_inner);
    match *known {
        Some((of, required)) if of == generation => Ok(required),
        _ => {
            let required = context.policy().require().security;
            *known = Some((generation, required));
            Ok(required)
        }
    }
}

/// A socket of `countersign` that was made of a plain one.
enum Made {
    Stream(Box<Socket>),
    Datagram(Box<UdpSocket>),
}

/// Has a plain socket be one of `countersign`, if `first`, which sets what made it so, succeeds. If
/// it does not, the socket is as it was.
fn secure(
    entry: &Arc<Entry>,
    stage: &mut Stage,
    first: impl FnOnce(&mut Made) -> Result<(), countersign::Error>,
) -> Result<(), Failure> {
    let context = Context::host()?;
    entry.plain().shut()?;
    let number = entry.kernel();
    let reuse = kernel::option(number, libc::SOL_SOCKET, libc::SO_REUSEADDR).unwrap_or(0);
    let result = make(entry, &context).and_then(|mut made| {
        first(&mut made)?;
        commit(entry, stage, made)
    });
    if result.is_err() {
        // The descriptor is shared with what was just given up.
        let _as_before = kernel::set_nonblocking(number, entry.is_nonblocking());
        let _as_before = kernel::set_option(number, libc::SOL_SOCKET, libc::SO_REUSEADDR, reuse);
        if entry.is_plain() {
            entry.plain().reopen();
        }
    }
    result
}

fn make(entry: &Entry, context: &Context) -> Result<Made, Failure> {
    let copy: OwnedFd = kernel::borrow(entry.kernel())
        .try_clone_to_owned()
        .map_err(|error| Failure::from_io("duplicate the descriptor", &error))?;
    if entry.is_stream() {
        return Ok(Made::Stream(Box::new(Socket::adopt(context, copy)?)));
    }
    let socket = UdpSocket::adopt(context, copy)?;
    let timeout = |timeout: &std::sync::atomic::AtomicU32| {
        crate::transfer::timeout(timeout.load(Ordering::Relaxed))
    };
    socket.set_read_timeout(timeout(&entry.state.read_timeout));
    socket.set_write_timeout(timeout(&entry.state.write_timeout));
    Ok(Made::Datagram(Box::new(socket)))
}

fn commit(entry: &Arc<Entry>, stage: &mut Stage, made: Made) -> Result<(), Failure> {
    match made {
        Made::Datagram(socket) => entry.become_datagram(socket),
        Made::Stream(socket) => {
            entry.put_on_stage(stage, socket);
            // A socket that listens already does so with security from now on.
            entry.leave_stage(stage)
        }
    }
}

/// Returns the peer of a query or an impersonation: a stream has one, a datagram socket is told.
pub(crate) fn not_connected() -> Failure {
    WsaError::NotConn.into()
}
