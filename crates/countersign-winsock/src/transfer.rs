//! Sending and receiving, whatever the socket is: plain or protected, stream or datagrams.

use std::ffi::c_int;
use std::io::{self, Read as _, Write as _};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use countersign::{TcpStream, UdpSocket};

use crate::address::{Address, KernelAddress};
use crate::entry::{Direction, Entry, Phase, Secured};
use crate::failure::Failure;
use crate::kernel::{self, Arrived};
use crate::pieces::{self, Piece};
use crate::{abi, network_events, reactor};

/// Whether a call may wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wait {
    /// As the mode of the socket says.
    AsSet,
    /// Not at all.
    Never,
}

/// The flags of a receive that mean something to a socket of ours.
const RECEIVE_FLAGS: u32 =
    abi::MSG_PEEK | abi::MSG_WAITALL | abi::MSG_PUSH_IMMEDIATE | abi::MSG_PARTIAL | abi::MSG_OOB;
const SEND_FLAGS: u32 = abi::MSG_OOB | abi::MSG_DONTROUTE | abi::MSG_PARTIAL;
/// Up to here, many small buffers become one record.
const COALESCE: usize = 64 * 1024;

/// Receives into the program's buffers.
///
/// # Safety
///
/// As [`Piece::room`] of each.
pub(crate) unsafe fn receive(
    entry: &Arc<Entry>,
    into: &[Piece],
    flags: u32,
    wait: Wait,
) -> Result<Arrived, Failure> {
    check_flags(flags, RECEIVE_FLAGS)?;
    if entry.state.receive_shut.load(Ordering::Relaxed) {
        return Err(Failure::fixed(abi::WSAESHUTDOWN, "receiving was shut down"));
    }
    let may_wait = wait == Wait::AsSet && !entry.is_nonblocking();
    let _waiting = may_wait.then(|| entry.waiting(Direction::Receive));
    let received = match entry.secured() {
        // SAFETY: the caller vouches.
        Some(Secured::Stream(stream)) => unsafe { from_stream(stream, into, flags, may_wait) },
        // SAFETY: the caller vouches.
        Some(Secured::Datagram(socket)) => unsafe { from_peers(socket, into, flags, may_wait) }
            .map(|arrived| Arrived {
                from: arrived.from.map(|it| it.into_family(entry.family())),
                ..arrived
            }),
        Some(Secured::Listener(_)) => Err(not_connected()),
        None if entry.is_staged() => Err(not_connected()),
        None => plain_receive(entry, into, flags, may_wait),
    };
    if received.is_ok() || received.as_ref().is_err_and(Failure::is_would_block) {
        network_events::reenable(entry, abi::FD_READ);
    }
    ended(entry, may_wait, received)
}

/// Sends the program's buffers.
///
/// # Safety
///
/// As [`Piece::bytes`] of each.
pub(crate) unsafe fn send(
    entry: &Arc<Entry>,
    from: &[Piece],
    to: Option<&Address>,
    flags: u32,
    wait: Wait,
) -> Result<usize, Failure> {
    check_flags(flags, SEND_FLAGS)?;
    if entry.state.send_shut.load(Ordering::Relaxed) {
        return Err(Failure::fixed(abi::WSAESHUTDOWN, "sending was shut down"));
    }
    let may_wait = wait == Wait::AsSet && !entry.is_nonblocking();
    let _waiting = may_wait.then(|| entry.waiting(Direction::Send));
    let sent = match entry.secured() {
        Some(Secured::Stream(stream)) => {
            // SAFETY: the caller vouches.
            let sent = unsafe { to_stream(stream, from, flags, may_wait) };
            if !may_wait && stream.interest().len() > 1 {
                // Bytes that were accepted go out also if the program does not call again.
                reactor::attend(entry);
            }
            sent
        }
        Some(Secured::Datagram(socket)) => {
            // SAFETY: the caller vouches.
            unsafe { to_peer(socket, from, to.and_then(Address::ip), flags, may_wait) }
        }
        Some(Secured::Listener(_)) => Err(not_connected()),
        None if entry.is_staged() => Err(not_connected()),
        None => plain_send(entry, from, to, flags, may_wait),
    };
    if sent.as_ref().is_err_and(Failure::is_would_block) {
        network_events::reenable(entry, abi::FD_WRITE);
    }
    ended(entry, may_wait, sent)
}

/// Says what a wait in vain means, and that another thread has closed the socket.
fn ended<T>(entry: &Entry, may_wait: bool, result: Result<T, Failure>) -> Result<T, Failure> {
    if entry.is_closed() && may_wait {
        let text = "another thread closed the socket during the call";
        return Err(Failure::fixed(abi::WSAECONNABORTED, text));
    }
    match result {
        Err(failure) if may_wait && failure.is_would_block() => {
            Err(Failure::fixed(abi::WSAETIMEDOUT, "the time-out of the socket is over"))
        }
        Err(failure) if failure.code == abi::WSAESHUTDOWN => {
            Err(Failure::new(abi::WSAECONNRESET, failure.text))
        }
        other => other,
    }
}

fn check_flags(flags: u32, known: u32) -> Result<(), Failure> {
    if flags & !known != 0 {
        let text = format!("flags {flags:#x} have bits that mean nothing here");
        return Err(Failure::new(abi::WSAEOPNOTSUPP, text));
    }
    if flags & abi::MSG_PEEK != 0 && flags & abi::MSG_WAITALL != 0 {
        let text = "MSG_PEEK and MSG_WAITALL exclude each other";
        return Err(Failure::fixed(abi::WSAEOPNOTSUPP, text));
    }
    Ok(())
}

fn not_connected() -> Failure {
    Failure::fixed(abi::WSAENOTCONN, "the socket is not connected")
}

fn not_out_of_band() -> Failure {
    Failure::fixed(abi::WSAEOPNOTSUPP, "a protected connection has no out-of-band data")
}

/// # Safety
///
/// As [`Piece::room`] of each.
unsafe fn from_stream(
    stream: &TcpStream,
    into: &[Piece],
    flags: u32,
    may_wait: bool,
) -> Result<Arrived, Failure> {
    let failed = |error: &io::Error| Failure::from_io("receive", error);
    if flags & abi::MSG_OOB != 0 {
        return Err(not_out_of_band());
    }
    let arrived = |bytes| Ok(Arrived { bytes, from: None, is_cut: false });
    if flags & abi::MSG_PEEK != 0 {
        // SAFETY: the caller vouches.
        return unsafe { peek_stream(stream, into, may_wait) }.and_then(arrived);
    }
    let wants_all = flags & abi::MSG_WAITALL != 0;
    let mut done = 0;
    for piece in into {
        // SAFETY: the caller vouches.
        let room = unsafe { piece.room() };
        let mut filled = 0;
        while let Some(rest) = room.get_mut(filled..)
            && !rest.is_empty()
        {
            let result = if may_wait && (done == 0 || wants_all) {
                (&*stream).read(rest)
            } else {
                stream.try_read(rest)
            };
            match result {
                Ok(0) => return arrived(done),
                Ok(count) => (filled, done) = (filled + count, done + count),
                // What was received counts; what went wrong is said next time.
                Err(_) if done > 0 => return arrived(done),
                Err(error) => return Err(failed(&error)),
            }
            if !wants_all && filled < room.len() {
                return arrived(done);
            }
        }
    }
    arrived(done)
}

/// # Safety
///
/// As [`Piece::room`] of each.
unsafe fn peek_stream(
    stream: &TcpStream,
    into: &[Piece],
    may_wait: bool,
) -> Result<usize, Failure> {
    let failed = |error: io::Error| Failure::from_io("receive", &error);
    let total = pieces::total(into).min(COALESCE);
    let mut seen = vec![0; total];
    if !may_wait && stream.look_ahead(total).map_err(failed)? == (0, false) {
        return Err(Failure::WOULD_BLOCK);
    }
    let count = stream.peek(&mut seen).map_err(failed)?;
    // SAFETY: the caller vouches.
    unsafe { pieces::scatter(seen.get(..count).unwrap_or_default(), into) };
    Ok(count)
}

/// # Safety
///
/// As [`Piece::bytes`] of each.
unsafe fn to_stream(
    stream: &TcpStream,
    from: &[Piece],
    flags: u32,
    may_wait: bool,
) -> Result<usize, Failure> {
    if flags & abi::MSG_OOB != 0 {
        return Err(not_out_of_band());
    }
    if from.len() > 1 && pieces::total(from) <= COALESCE {
        // SAFETY: the caller vouches.
        return write(stream, &unsafe { pieces::gather(from) }, may_wait);
    }
    let mut done = 0;
    for piece in from {
        // SAFETY: the caller vouches.
        match write(stream, unsafe { piece.bytes() }, may_wait) {
            Ok(count) => {
                done += count;
                if count < piece.len() {
                    break;
                }
            }
            Err(_) if done > 0 => break,
            Err(failure) => return Err(failure),
        }
    }
    Ok(done)
}

/// Writes all of it, or as much as goes without waiting.
fn write(stream: &TcpStream, bytes: &[u8], may_wait: bool) -> Result<usize, Failure> {
    let mut done = 0;
    while let Some(rest) = bytes.get(done..)
        && !rest.is_empty()
    {
        let result = if may_wait { (&*stream).write(rest) } else { stream.try_write(rest) };
        match result {
            Ok(count) if may_wait && count > 0 => done += count,
            Ok(count) => return Ok(done + count),
            Err(_) if done > 0 => break,
            Err(error) => return Err(Failure::from_io("send", &error)),
        }
    }
    Ok(done)
}

/// # Safety
///
/// As [`Piece::room`] of each.
unsafe fn from_peers(
    socket: &UdpSocket,
    into: &[Piece],
    flags: u32,
    may_wait: bool,
) -> Result<Arrived, Failure> {
    if flags & (abi::MSG_OOB | abi::MSG_WAITALL) != 0 {
        let text = "datagrams are neither out of band nor waited for in full";
        return Err(Failure::fixed(abi::WSAEOPNOTSUPP, text));
    }
    let mut copy = Vec::new();
    let room = match into {
        // SAFETY: the caller vouches.
        [only] => unsafe { only.room() },
        _ => {
            copy.resize(pieces::total(into).min(1 << 16), 0);
            copy.as_mut_slice()
        }
    };
    let received = if flags & abi::MSG_PEEK != 0 {
        loop {
            match socket.try_peek_from(room)? {
                Some(found) => break Some(found),
                None if may_wait => socket.wait_for_datagram()?,
                None => break None,
            }
        }
    } else if may_wait {
        Some(socket.recv_cut_from(room)?)
    } else {
        socket.try_recv_from(room)?
    };
    let Some((size, from)) = received else { return Err(Failure::WOULD_BLOCK) };
    let bytes = size.min(room.len());
    let is_cut = size > room.len();
    if into.len() != 1 {
        // SAFETY: the caller vouches.
        unsafe { pieces::scatter(copy.get(..bytes).unwrap_or_default(), into) };
    }
    Ok(Arrived { bytes, from: Some(Address::Ip(from)), is_cut })
}

/// # Safety
///
/// As [`Piece::bytes`] of each.
unsafe fn to_peer(
    socket: &UdpSocket,
    from: &[Piece],
    to: Option<std::net::SocketAddr>,
    flags: u32,
    may_wait: bool,
) -> Result<usize, Failure> {
    if flags & abi::MSG_OOB != 0 {
        return Err(not_out_of_band());
    }
    let copy;
    let datagram = match from {
        // SAFETY: the caller vouches.
        [only] => unsafe { only.bytes() },
        _ if pieces::total(from) > 1 << 16 => {
            let text = "the datagram is larger than any datagram can be";
            return Err(Failure::fixed(abi::WSAEMSGSIZE, text));
        }
        _ => {
            // SAFETY: the caller vouches.
            copy = unsafe { pieces::gather(from) };
            copy.as_slice()
        }
    };
    let peer = match to {
        Some(peer) => peer,
        None => socket.peer_addr().map_err(|_| not_connected())?,
    };
    let sent =
        if may_wait { socket.send_to(datagram, peer) } else { socket.try_send_to(datagram, peer) };
    Ok(sent?)
}

fn plain_receive(
    entry: &Arc<Entry>,
    into: &[Piece],
    flags: u32,
    may_wait: bool,
) -> Result<Arrived, Failure> {
    let _call = entry.plain().pass()?;
    if entry.is_stream() && entry.phase() == Phase::UnderWay {
        crate::connect::look_after_plain(entry);
    }
    let is_waitall = flags & abi::MSG_WAITALL != 0 && entry.is_stream();
    let kernel_flags = translate(flags) | if may_wait { 0 } else { libc::MSG_DONTWAIT };
    let received = kernel::receive(entry.kernel(), into, kernel_flags);
    match received {
        Ok(arrived) => Ok(arrived),
        // A peer that is not there answers by ICMP; Winsock calls that a reset.
        Err(error) if error.raw_os_error() == Some(libc::ECONNREFUSED) && !entry.is_stream() => {
            Err(Failure::fixed(abi::WSAECONNRESET, "nobody listens at the peer's port"))
        }
        Err(error) if is_waitall && error.kind() == io::ErrorKind::WouldBlock => {
            Err(Failure::WOULD_BLOCK)
        }
        Err(error) => Err(Failure::from_io("receive", &error)),
    }
}

fn plain_send(
    entry: &Arc<Entry>,
    from: &[Piece],
    to: Option<&Address>,
    flags: u32,
    may_wait: bool,
) -> Result<usize, Failure> {
    let _call = entry.plain().pass()?;
    if entry.is_stream() && entry.phase() == Phase::UnderWay {
        crate::connect::look_after_plain(entry);
        if entry.phase() == Phase::UnderWay {
            return Err(not_connected());
        }
    }
    // Winsock ignores the address where there is a connection.
    let to = to.filter(|_| !entry.is_stream()).map(KernelAddress::from);
    let kernel_flags = translate(flags) | if may_wait { 0 } else { libc::MSG_DONTWAIT };
    let total = pieces::total(from);
    let mut rest = from.to_vec();
    let mut done = 0;
    loop {
        match kernel::send(entry.kernel(), &rest, to.as_ref(), kernel_flags) {
            Ok(count) => {
                done += count;
                // Blocking calls of Winsock send all of it, or fail.
                if !entry.is_stream() || done >= total || !may_wait || count == 0 {
                    return Ok(done);
                }
                pieces::advance(&mut rest, count);
            }
            Err(_) if done > 0 => return Ok(done),
            Err(error) if error.raw_os_error() == Some(libc::EDESTADDRREQ) => {
                return Err(Failure::fixed(abi::WSAENOTCONN, "the socket has no peer"));
            }
            // The kernel knows no difference between a peer that never was and one that is gone.
            Err(error)
                if error.raw_os_error() == Some(libc::EPIPE) && entry.phase() == Phase::None =>
            {
                return Err(not_connected());
            }
            Err(error) => return Err(Failure::from_io("send", &error)),
        }
    }
}

/// Gives Winsock's flags Linux' numbers.
fn translate(flags: u32) -> c_int {
    let pairs = [
        (abi::MSG_OOB, libc::MSG_OOB),
        (abi::MSG_PEEK, libc::MSG_PEEK),
        (abi::MSG_DONTROUTE, libc::MSG_DONTROUTE),
        (abi::MSG_WAITALL, libc::MSG_WAITALL),
    ];
    pairs.iter().filter(|(ours, _)| flags & ours != 0).fold(0, |all, (_, theirs)| all | theirs)
}

/// Returns a time-out of the program: zero is for ever.
pub(crate) fn timeout(milliseconds: u32) -> Option<Duration> {
    (milliseconds > 0).then(|| Duration::from_millis(milliseconds.into()))
}
