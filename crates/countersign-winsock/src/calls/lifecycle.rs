//! From `socket` to `closesocket`.

use std::ffi::{c_int, c_void};
use std::net::Shutdown;
use std::os::fd::AsRawFd as _;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use crate::abi::{self, ConditionProc, Socket, WSABUF};
use crate::address::{Address, KernelAddress};
use crate::boundary::{guard, guard_status};
use crate::entry::{Entry, Phase, Secured, Type};
use crate::failure::Failure;
use crate::{
    accept, connect, kernel, network_events, operations, reactor, security, startup, table,
};

/// Makes a socket; it has the overlapped attribute, as on Windows.
#[unsafe(no_mangle)]
pub extern "C" fn countersign_ws_socket(family: c_int, kind: c_int, protocol: c_int) -> Socket {
    guard(abi::INVALID_SOCKET, || make(family, kind, protocol, abi::WSA_FLAG_OVERLAPPED))
}

/// Makes a socket.
#[unsafe(no_mangle)]
pub extern "C" fn WSASocketW(
    family: c_int,
    kind: c_int,
    protocol: c_int,
    info: *const c_void,
    _group: u32,
    flags: u32,
) -> Socket {
    guard(abi::INVALID_SOCKET, || {
        if !info.is_null() {
            let text = "sockets of other processes cannot be taken over: the protocol \
                        information must be NULL";
            return Err(Failure::fixed(abi::WSAEINVAL, text));
        }
        make(family, kind, protocol, flags)
    })
}

/// As [`WSASocketW`].
#[unsafe(no_mangle)]
pub extern "C" fn WSASocketA(
    family: c_int,
    kind: c_int,
    protocol: c_int,
    info: *const c_void,
    group: u32,
    flags: u32,
) -> Socket {
    WSASocketW(family, kind, protocol, info, group, flags)
}

fn make(family: c_int, kind: c_int, protocol: c_int, flags: u32) -> Result<Socket, Failure> {
    const FLAGS: u32 =
        abi::WSA_FLAG_OVERLAPPED | abi::WSA_FLAG_NO_HANDLE_INHERIT | abi::WSA_FLAG_REGISTERED_IO;
    startup::check()?;
    if flags & !FLAGS != 0 {
        let text = format!("the flags {flags:#x} ask for what sockets here cannot do");
        return Err(Failure::new(abi::WSAEINVAL, text));
    }
    let (family, kind, protocol) = complete(family, kind, protocol)?;
    let linux = if family == abi::AF_INET6 { libc::AF_INET6 } else { family };
    let descriptor = kernel::socket(linux, kind, protocol)
        .map_err(|error| Failure::from_io("make a socket", &error))?;
    if family == abi::AF_INET6 {
        // The default of Windows.
        kernel::set_option(descriptor.as_raw_fd(), libc::IPPROTO_IPV6, libc::IPV6_V6ONLY, 1)
            .map_err(|error| Failure::from_io("make a socket", &error))?;
    }
    let is_overlapped = flags & abi::WSA_FLAG_OVERLAPPED != 0;
    let entry = Entry::new(descriptor, Type { family, kind, protocol, is_overlapped })?;
    let socket = entry.number() as Socket;
    table::enter(Arc::new(entry))?;
    Ok(socket)
}

/// Fills in what zero leaves to us, and refuses what does not fit together.
fn complete(family: c_int, kind: c_int, protocol: c_int) -> Result<(c_int, c_int, c_int), Failure> {
    let family = match family {
        abi::AF_UNSPEC if kind != 0 || protocol != 0 => abi::AF_INET,
        abi::AF_INET | abi::AF_INET6 | abi::AF_UNIX => family,
        other => {
            let text = format!("there are no sockets of address family {other} here");
            return Err(Failure::new(abi::WSAEAFNOSUPPORT, text));
        }
    };
    let kind = match (kind, protocol) {
        (0, abi::IPPROTO_TCP) => abi::SOCK_STREAM,
        (0, abi::IPPROTO_UDP) => abi::SOCK_DGRAM,
        (0, 0) => abi::SOCK_STREAM,
        (abi::SOCK_STREAM | abi::SOCK_DGRAM | abi::SOCK_RAW, _) => kind,
        (abi::SOCK_SEQPACKET, _) if family == abi::AF_UNIX => kind,
        (other, _) => {
            let text = format!("there are no sockets of type {other} here");
            return Err(Failure::new(abi::WSAESOCKTNOSUPPORT, text));
        }
    };
    let fits = match (kind, protocol) {
        (_, 0) | (abi::SOCK_RAW, _) => true,
        (abi::SOCK_STREAM, abi::IPPROTO_TCP) | (abi::SOCK_DGRAM, abi::IPPROTO_UDP) => {
            family != abi::AF_UNIX
        }
        _ => false,
    };
    if !fits {
        let text = format!("protocol {protocol} is none for sockets of type {kind}");
        return Err(Failure::new(abi::WSAEPROTONOSUPPORT, text));
    }
    Ok((family, kind, protocol))
}

/// Takes a local address; a secured socket has its port for itself (SPEC 4.8).
///
/// # Safety
///
/// If `name` is not NULL, `length` bytes must be readable there.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn countersign_ws_bind(
    socket: Socket,
    name: *const u8,
    length: c_int,
) -> c_int {
    guard_status(|| {
        startup::check()?;
        let entry = table::find_same(socket)?;
        // SAFETY: the caller vouches.
        let address = unsafe { Address::read(name, length)? };
        if let Address::Ip(ip) = &address
            && (ip.is_ipv4() != (entry.family() == abi::AF_INET))
        {
            let text = "the address is of another family than the socket";
            return Err(Failure::fixed(abi::WSAEFAULT, text));
        }
        security::follow_policy(&entry)?;
        bind(&entry, &address)
    })
}

fn bind(entry: &Arc<Entry>, address: &Address) -> Result<(), Failure> {
    match (entry.secured(), address.ip()) {
        (Some(Secured::Datagram(socket)), Some(ip)) => return Ok(socket.bind_to(ip)?),
        (Some(_), _) => {
            return Err(Failure::fixed(abi::WSAEINVAL, "the socket has an address already"));
        }
        _ => {}
    }
    if entry.phase() == Phase::UnderWay {
        return Err(Failure::fixed(abi::WSAEINVAL, "a connection is being made"));
    }
    if entry.is_staged() {
        let ip = address.ip().ok_or(Failure::fixed(abi::WSAEFAULT, "the address is not of IP"))?;
        if let Some(socket) = &mut entry.stage().socket {
            return Ok(socket.bind(ip)?);
        }
    }
    let number = entry.kernel();
    if is_bound(entry) {
        return Err(Failure::fixed(abi::WSAEINVAL, "the socket has an address already"));
    }
    let kernel_address = KernelAddress::from(address);
    let mut bound = kernel::bind(number, &kernel_address);
    let is_taken = |it: &std::io::Result<()>| {
        it.as_ref().is_err_and(|error| error.raw_os_error() == Some(libc::EADDRINUSE))
    };
    let set_reuse = |on| kernel::set_option(number, libc::SOL_SOCKET, libc::SO_REUSEADDR, on);
    let reuses = kernel::option(number, libc::SOL_SOCKET, libc::SO_REUSEADDR).unwrap_or(0) != 0;
    if is_taken(&bound) && entry.is_stream() && !reuses && set_reuse(1).is_ok() {
        // On Windows old connections of that port do not hinder, while a listener does; here that
        // is so with SO_REUSEADDR, which nobody else needs to see.
        bound = kernel::bind(number, &kernel_address);
        let _as_before = set_reuse(0);
    }
    bound.map_err(|error| Failure::from_io(&format!("bind {address:?}"), &error))
}

/// Whether a plain socket has a local address.
fn is_bound(entry: &Entry) -> bool {
    match kernel::local_address(entry.kernel()) {
        Ok(Address::Ip(address)) => address.port() != 0,
        Ok(Address::Local(path)) => path.iter().any(|byte| *byte != 0),
        Err(_) => false,
    }
}

/// Listens; clients of a secured socket have proved who they are when they are accepted.
#[unsafe(no_mangle)]
pub extern "C" fn countersign_ws_listen(socket: Socket, backlog: c_int) -> c_int {
    guard_status(|| {
        startup::check()?;
        let entry = table::find_same(socket)?;
        security::follow_policy(&entry)?;
        match entry.secured() {
            Some(Secured::Listener(_)) => return Ok(()),
            Some(Secured::Stream(_)) => {
                return Err(Failure::fixed(abi::WSAEISCONN, "the socket is connected"));
            }
            Some(Secured::Datagram(_)) => return Err(not_a_stream()),
            None => {}
        }
        if !entry.is_stream() && entry.kind() != abi::SOCK_SEQPACKET {
            return Err(not_a_stream());
        }
        if entry.phase() == Phase::UnderWay {
            return Err(Failure::fixed(abi::WSAEINVAL, "a connection is being made"));
        }
        if entry.is_staged() {
            let mut stage = entry.stage();
            if let Some(socket) = &mut stage.socket {
                socket.listen(backlog)?;
                return entry.leave_stage(&mut stage);
            }
        }
        if kernel::peer_address(entry.kernel()).is_ok() {
            return Err(Failure::fixed(abi::WSAEISCONN, "the socket is connected"));
        }
        if !is_bound(&entry) {
            return Err(Failure::fixed(abi::WSAEINVAL, "the socket has no address to listen on"));
        }
        kernel::listen(entry.kernel(), backlog).map_err(|error| Failure::from_io("listen", &error))
    })
}

fn not_a_stream() -> Failure {
    Failure::fixed(abi::WSAEOPNOTSUPP, "a datagram socket does not listen")
}

/// Accepts a connection.
///
/// # Safety
///
/// As far as they are not NULL, an int must be at `length`, and as many bytes as it says must be
/// writable at `address`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn countersign_ws_accept(
    socket: Socket,
    address: *mut u8,
    length: *mut c_int,
) -> Socket {
    guard(abi::INVALID_SOCKET, || {
        startup::check()?;
        let entry = table::find_same(socket)?;
        // SAFETY: the caller vouches.
        unsafe { Address::check_room(address, length, entry.family())? };
        let (accepted, from) = accept::accept(&entry)?;
        // SAFETY: the caller vouches.
        unsafe { from.write(address, length)? };
        Ok(accepted.number() as Socket)
    })
}

/// Accepts a connection, if a function of the program agrees.
///
/// # Safety
///
/// As [`countersign_ws_accept`]; `condition` must be a function as documented.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn WSAAccept(
    socket: Socket,
    address: *mut u8,
    length: *mut c_int,
    condition: ConditionProc,
    data: usize,
) -> Socket {
    guard(abi::INVALID_SOCKET, || {
        startup::check()?;
        let entry = table::find_same(socket)?;
        // SAFETY: the caller vouches.
        unsafe { Address::check_room(address, length, entry.family())? };
        let taken = accept::take(&entry)?;
        if let (Some(condition), Some(from)) = (condition, accept::peer(&taken)) {
            let mut caller = from.encode();
            let callee = kernel::local_address(entry.kernel()).map(|it| it.encode());
            let mut callee = callee.unwrap_or_default();
            let buffer = |bytes: &mut Vec<u8>| WSABUF {
                len: u32::try_from(bytes.len()).unwrap_or(0),
                buf: bytes.as_mut_ptr(),
            };
            let (mut caller, mut callee) = (buffer(&mut caller), buffer(&mut callee));
            let mut nothing = WSABUF { len: 0, buf: std::ptr::null_mut() };
            let mut group = 0_u32;
            let nobody = std::ptr::null_mut();
            // SAFETY: the caller vouches for the function; what it is given lives as long as the call.
            let decision = unsafe {
                condition(
                    &raw mut caller,
                    &raw mut nothing,
                    nobody,
                    nobody,
                    &raw mut callee,
                    std::ptr::null_mut(),
                    &raw mut group,
                    data,
                )
            };
            match decision {
                abi::CF_ACCEPT => {}
                abi::CF_DEFER => {
                    accept::defer(&entry, taken);
                    return Err(Failure::fixed(abi::WSATRY_AGAIN, "the connection is deferred"));
                }
                _ => {
                    let text = "the condition function has rejected the connection";
                    return Err(Failure::fixed(abi::WSAECONNREFUSED, text));
                }
            }
        }
        let (accepted, from) = accept::enter(&entry, taken)?;
        // SAFETY: the caller vouches.
        unsafe { from.write(address, length)? };
        Ok(accepted.number() as Socket)
    })
}

/// Connects; on a secured socket, until the peer has proved who it is.
///
/// # Safety
///
/// If `name` is not NULL, `length` bytes must be readable there.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn countersign_ws_connect(
    socket: Socket,
    name: *const u8,
    length: c_int,
) -> c_int {
    guard_status(|| {
        startup::check()?;
        let entry = table::find_same(socket)?;
        // SAFETY: the caller vouches.
        let address = unsafe { Address::read(name, length)? };
        connect::connect(&entry, &address)
    })
}

/// As `connect`; there is no quality of service, and TCP carries no data with a connect.
///
/// # Safety
///
/// As [`countersign_ws_connect`].
#[unsafe(no_mangle)]
pub unsafe extern "C" fn WSAConnect(
    socket: Socket,
    name: *const u8,
    length: c_int,
    _caller_data: *mut WSABUF,
    _callee_data: *mut WSABUF,
    _quality: *mut c_void,
    _group_quality: *mut c_void,
) -> c_int {
    // SAFETY: the caller vouches.
    unsafe { countersign_ws_connect(socket, name, length) }
}

/// Says that no more will be sent, or received.
#[unsafe(no_mangle)]
pub extern "C" fn countersign_ws_shutdown(socket: Socket, how: c_int) -> c_int {
    guard_status(|| {
        startup::check()?;
        let entry = table::find_same(socket)?;
        let (std_how, receive, send) = match how {
            abi::SD_RECEIVE => (Shutdown::Read, true, false),
            abi::SD_SEND => (Shutdown::Write, false, true),
            abi::SD_BOTH => (Shutdown::Both, true, true),
            _ => return Err(Failure::fixed(abi::WSAEINVAL, "there is no such way to shut down")),
        };
        match entry.secured() {
            Some(Secured::Stream(stream)) => {
                let _cannot_fail = stream.set_nonblocking(entry.is_nonblocking());
                let result = stream.shutdown(std_how);
                let _cannot_fail = stream.set_nonblocking(false);
                match result {
                    Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {
                        // The last word is queued, and goes out behind what was sent before.
                        reactor::attend(&entry);
                    }
                    other => other.map_err(|error| Failure::from_io("shut down", &error))?,
                }
            }
            // Associations of a datagram socket end when it is closed.
            Some(Secured::Datagram(socket)) => {
                socket.peer_addr().map_err(|_| security::not_connected())?;
            }
            Some(Secured::Listener(_)) => return Err(security::not_connected()),
            None if entry.is_staged() => return Err(security::not_connected()),
            // Linux would answer the same, and mark the socket as shut all the same.
            None if entry.is_stream() && kernel::peer_address(entry.kernel()).is_err() => {
                return Err(security::not_connected());
            }
            None => kernel::shutdown(entry.kernel(), how)
                .map_err(|error| Failure::from_io("shut down", &error))?,
        }
        entry.state.receive_shut.fetch_or(receive, Ordering::Relaxed);
        entry.state.send_shut.fetch_or(send, Ordering::Relaxed);
        Ok(())
    })
}

/// As `shutdown` for sending; TCP carries no data with it.
#[unsafe(no_mangle)]
pub extern "C" fn WSASendDisconnect(socket: Socket, _data: *mut WSABUF) -> c_int {
    countersign_ws_shutdown(socket, abi::SD_SEND)
}

/// As `shutdown` for receiving; TCP carries no data with it.
#[unsafe(no_mangle)]
pub extern "C" fn WSARecvDisconnect(socket: Socket, _data: *mut WSABUF) -> c_int {
    countersign_ws_shutdown(socket, abi::SD_RECEIVE)
}

/// Closes a socket. Calls that wait on it end, operations under way are cancelled, and what was
/// sent goes out.
#[unsafe(no_mangle)]
pub extern "C" fn countersign_ws_closesocket(socket: Socket) -> c_int {
    guard_status(|| {
        startup::check()?;
        let entry = table::find_same(socket)?;
        if close(&entry) { Ok(()) } else { Err(Failure::NOT_SOCK) }
    })
}

/// Closes a socket; returns whether it was open.
pub(crate) fn close(entry: &Arc<Entry>) -> bool {
    if !table::remove(entry) {
        return false;
    }
    entry.state.is_closed.store(true, Ordering::SeqCst);
    if matches!(entry.secured(), Some(Secured::Stream(_)))
        && kernel::resets_on_close(entry.kernel())
    {
        // No good-bye: the peer must not take for an end what the program calls a reset.
        let _gone_all_the_same = kernel::reset(entry.kernel());
    }
    operations::cancel(entry);
    network_events::forget(entry);
    let reads = entry.state.readers.load(Ordering::SeqCst) > 0;
    let writes = entry.state.writers.load(Ordering::SeqCst) > 0;
    if reads || writes {
        interrupt(entry, writes);
    }
    entry.wake_watchers();
    if let Some(Secured::Stream(stream)) = entry.secured()
        && entry.is_nonblocking()
        && stream.interest().len() > 1
    {
        reactor::linger(entry.clone());
    }
    true
}

/// Ends the calls that wait on a socket.
fn interrupt(entry: &Entry, writes: bool) {
    let how = if writes { libc::SHUT_RDWR } else { libc::SHUT_RD };
    match entry.secured() {
        Some(Secured::Datagram(socket)) => socket.interrupt(),
        Some(Secured::Stream(stream)) if !writes => {
            let _woken_all_the_same = stream.shutdown(Shutdown::Read);
        }
        // A socket without a peer wakes its calls although it says that it has none.
        _ => {
            let _woken_all_the_same = kernel::shutdown(entry.kernel(), how);
        }
    }
}

/// Tells the address of this end.
///
/// # Safety
///
/// As far as they are not NULL, an int must be at `length`, and as many bytes as it says must be
/// writable at `name`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn countersign_ws_getsockname(
    socket: Socket,
    name: *mut u8,
    length: *mut c_int,
) -> c_int {
    guard_status(|| {
        startup::check()?;
        let entry = table::find_same(socket)?;
        if name.is_null() || length.is_null() {
            return Err(Failure::FAULT);
        }
        let address = kernel::local_address(entry.kernel())
            .map_err(|error| Failure::from_io("find the address", &error))?;
        if address.ip().is_some_and(|ip| ip.port() == 0) && entry.kind() != abi::SOCK_RAW {
            return Err(Failure::fixed(abi::WSAEINVAL, "the socket has no address yet"));
        }
        // SAFETY: the caller vouches.
        unsafe { address.write(name, length) }
    })
}

/// Tells the address of the peer.
///
/// # Safety
///
/// As [`countersign_ws_getsockname`].
#[unsafe(no_mangle)]
pub unsafe extern "C" fn countersign_ws_getpeername(
    socket: Socket,
    name: *mut u8,
    length: *mut c_int,
) -> c_int {
    guard_status(|| {
        startup::check()?;
        let entry = table::find_same(socket)?;
        if name.is_null() || length.is_null() {
            return Err(Failure::FAULT);
        }
        let address = kernel::peer_address(entry.kernel())
            .map_err(|error| Failure::from_io("find the peer", &error))?;
        // SAFETY: the caller vouches.
        unsafe { address.write(name, length) }
    })
}

/// Refuses to give a socket to another process: its security is in this one.
#[unsafe(no_mangle)]
pub extern "C" fn WSADuplicateSocketW(socket: Socket, _process: u32, _info: *mut c_void) -> c_int {
    guard_status(|| {
        startup::check()?;
        table::find_same(socket)?;
        let text = "a socket cannot be given to another process: the keys that protect it are in \
                    this one; let the other process connect, or accept, itself";
        Err(Failure::fixed(abi::WSAEOPNOTSUPP, text))
    })
}

/// As [`WSADuplicateSocketW`].
#[unsafe(no_mangle)]
pub extern "C" fn WSADuplicateSocketA(socket: Socket, process: u32, info: *mut c_void) -> c_int {
    WSADuplicateSocketW(socket, process, info)
}
