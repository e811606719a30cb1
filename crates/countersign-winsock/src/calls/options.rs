//! `getsockopt` and `setsockopt`, by Windows' numbers.

use std::ffi::c_int;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use crate::abi::{self, LINGER, Socket};
use crate::boundary::{bytes, guard_status, room, value};
use crate::connect;
use crate::entry::{Entry, Phase, Secured};
use crate::failure::Failure;
use crate::{accept, kernel, startup, table, transfer};

/// Tells an option of a socket.
///
/// # Safety
///
/// As far as they are not NULL, an int must be at `length`, and as many bytes as it says must be
/// writable at `option`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn countersign_ws_getsockopt(
    socket: Socket,
    level: c_int,
    name: c_int,
    option: *mut u8,
    length: *mut c_int,
) -> c_int {
    guard_status(|| {
        startup::check()?;
        let entry = table::find_same(socket)?;
        if option.is_null() {
            return Err(Failure::FAULT);
        }
        // SAFETY: the caller vouches.
        let offered = usize::try_from(unsafe { value(length)? }).map_err(|_| Failure::FAULT)?;
        let told = get(&entry, level, name)?;
        // A flag may be asked for as one byte, as Windows permits.
        let told = match told {
            Told::Flag(flag) if (1..4).contains(&offered) => vec![u8::from(flag)],
            Told::Flag(flag) => c_int::from(flag).to_ne_bytes().to_vec(),
            Told::Number(number) => number.to_ne_bytes().to_vec(),
            Told::Bytes(bytes) => bytes,
        };
        if offered < told.len() {
            return Err(Failure::fixed(abi::WSAEFAULT, "the room for the option is too short"));
        }
        // SAFETY: the caller vouches.
        unsafe { room(option, told.len())? }.copy_from_slice(&told);
        // SAFETY: the caller vouches; alignment is not asked for.
        unsafe { length.write_unaligned(c_int::try_from(told.len()).unwrap_or(0)) };
        Ok(())
    })
}

/// Sets an option of a socket.
///
/// # Safety
///
/// If `option` is not NULL, `length` bytes must be readable there.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn countersign_ws_setsockopt(
    socket: Socket,
    level: c_int,
    name: c_int,
    option: *const u8,
    length: c_int,
) -> c_int {
    guard_status(|| {
        startup::check()?;
        let entry = table::find_same(socket)?;
        let length = usize::try_from(length).map_err(|_| Failure::FAULT)?;
        if level == abi::SOL_SOCKET && ACCEPTED_AND_IGNORED.contains(&name) {
            return Ok(());
        }
        if option.is_null() {
            return Err(Failure::FAULT);
        }
        // SAFETY: the caller vouches.
        set(&entry, level, name, unsafe { bytes(option, length)? })
    })
}

/// What an option says.
enum Told {
    Flag(bool),
    Number(u32),
    Bytes(Vec<u8>),
}

/// Options that change how Windows works inside, and nothing that a program can see.
const ACCEPTED_AND_IGNORED: [c_int; 2] =
    [abi::SO_UPDATE_ACCEPT_CONTEXT, abi::SO_UPDATE_CONNECT_CONTEXT];

/// What an option of Windows is for Linux.
struct Known {
    level: c_int,
    name: c_int,
    linux_level: c_int,
    linux_name: c_int,
    form: Form,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Form {
    Flag,
    Number,
    /// A structure that has the same layout.
    Bytes(usize),
}

const fn known(
    level: c_int,
    name: c_int,
    linux_level: c_int,
    linux_name: c_int,
    form: Form,
) -> Known {
    Known { level, name, linux_level, linux_name, form }
}

const SOCKET: c_int = abi::SOL_SOCKET;
const KNOWN: [Known; 30] = [
    known(SOCKET, abi::SO_DEBUG, libc::SOL_SOCKET, libc::SO_DEBUG, Form::Flag),
    known(SOCKET, abi::SO_KEEPALIVE, libc::SOL_SOCKET, libc::SO_KEEPALIVE, Form::Flag),
    known(SOCKET, abi::SO_DONTROUTE, libc::SOL_SOCKET, libc::SO_DONTROUTE, Form::Flag),
    known(SOCKET, abi::SO_BROADCAST, libc::SOL_SOCKET, libc::SO_BROADCAST, Form::Flag),
    known(SOCKET, abi::SO_OOBINLINE, libc::SOL_SOCKET, libc::SO_OOBINLINE, Form::Flag),
    known(SOCKET, abi::SO_SNDBUF, libc::SOL_SOCKET, libc::SO_SNDBUF, Form::Number),
    known(SOCKET, abi::SO_RCVBUF, libc::SOL_SOCKET, libc::SO_RCVBUF, Form::Number),
    known(SOCKET, abi::SO_RCVLOWAT, libc::SOL_SOCKET, libc::SO_RCVLOWAT, Form::Number),
    known(abi::IPPROTO_TCP, abi::TCP_NODELAY, libc::IPPROTO_TCP, libc::TCP_NODELAY, Form::Flag),
    known(abi::IPPROTO_TCP, abi::TCP_KEEPIDLE, libc::IPPROTO_TCP, libc::TCP_KEEPIDLE, Form::Number),
    known(abi::IPPROTO_TCP, abi::TCP_KEEPCNT, libc::IPPROTO_TCP, libc::TCP_KEEPCNT, Form::Number),
    known(
        abi::IPPROTO_TCP,
        abi::TCP_KEEPINTVL,
        libc::IPPROTO_TCP,
        libc::TCP_KEEPINTVL,
        Form::Number,
    ),
    known(abi::IPPROTO_TCP, abi::TCP_MAXSEG, libc::IPPROTO_TCP, libc::TCP_MAXSEG, Form::Number),
    known(abi::IPPROTO_IP, abi::IP_TOS, libc::IPPROTO_IP, libc::IP_TOS, Form::Number),
    known(abi::IPPROTO_IP, abi::IP_TTL, libc::IPPROTO_IP, libc::IP_TTL, Form::Number),
    known(
        abi::IPPROTO_IP,
        abi::IP_MULTICAST_IF,
        libc::IPPROTO_IP,
        libc::IP_MULTICAST_IF,
        Form::Bytes(4),
    ),
    known(
        abi::IPPROTO_IP,
        abi::IP_MULTICAST_TTL,
        libc::IPPROTO_IP,
        libc::IP_MULTICAST_TTL,
        Form::Number,
    ),
    known(
        abi::IPPROTO_IP,
        abi::IP_MULTICAST_LOOP,
        libc::IPPROTO_IP,
        libc::IP_MULTICAST_LOOP,
        Form::Flag,
    ),
    known(
        abi::IPPROTO_IP,
        abi::IP_ADD_MEMBERSHIP,
        libc::IPPROTO_IP,
        libc::IP_ADD_MEMBERSHIP,
        Form::Bytes(8),
    ),
    known(
        abi::IPPROTO_IP,
        abi::IP_DROP_MEMBERSHIP,
        libc::IPPROTO_IP,
        libc::IP_DROP_MEMBERSHIP,
        Form::Bytes(8),
    ),
    known(abi::IPPROTO_IP, abi::IP_PKTINFO, libc::IPPROTO_IP, libc::IP_PKTINFO, Form::Flag),
    known(
        abi::IPPROTO_IPV6,
        abi::IPV6_UNICAST_HOPS,
        libc::IPPROTO_IPV6,
        libc::IPV6_UNICAST_HOPS,
        Form::Number,
    ),
    known(
        abi::IPPROTO_IPV6,
        abi::IPV6_MULTICAST_IF,
        libc::IPPROTO_IPV6,
        libc::IPV6_MULTICAST_IF,
        Form::Number,
    ),
    known(
        abi::IPPROTO_IPV6,
        abi::IPV6_MULTICAST_HOPS,
        libc::IPPROTO_IPV6,
        libc::IPV6_MULTICAST_HOPS,
        Form::Number,
    ),
    known(
        abi::IPPROTO_IPV6,
        abi::IPV6_MULTICAST_LOOP,
        libc::IPPROTO_IPV6,
        libc::IPV6_MULTICAST_LOOP,
        Form::Flag,
    ),
    known(
        abi::IPPROTO_IPV6,
        abi::IPV6_ADD_MEMBERSHIP,
        libc::IPPROTO_IPV6,
        libc::IPV6_ADD_MEMBERSHIP,
        Form::Bytes(20),
    ),
    known(
        abi::IPPROTO_IPV6,
        abi::IPV6_DROP_MEMBERSHIP,
        libc::IPPROTO_IPV6,
        libc::IPV6_DROP_MEMBERSHIP,
        Form::Bytes(20),
    ),
    known(
        abi::IPPROTO_IPV6,
        abi::IPV6_DONTFRAG,
        libc::IPPROTO_IPV6,
        libc::IPV6_DONTFRAG,
        Form::Flag,
    ),
    known(
        abi::IPPROTO_IPV6,
        abi::IPV6_PKTINFO,
        libc::IPPROTO_IPV6,
        libc::IPV6_RECVPKTINFO,
        Form::Flag,
    ),
    known(abi::IPPROTO_IPV6, abi::IPV6_V6ONLY, libc::IPPROTO_IPV6, libc::IPV6_V6ONLY, Form::Flag),
];

fn find(level: c_int, name: c_int) -> Result<&'static Known, Failure> {
    KNOWN.iter().find(|known| known.level == level && known.name == name).ok_or_else(|| {
        let text = format!("there is no option {name:#x} at level {level:#x}");
        Failure::new(abi::WSAENOPROTOOPT, text)
    })
}

fn get(entry: &std::sync::Arc<Entry>, level: c_int, name: c_int) -> Result<Told, Failure> {
    if level == abi::SOL_SOCKET
        && let Some(told) = get_ours(entry, name)?
    {
        return Ok(told);
    }
    if (level, name) == (abi::IPPROTO_IP, abi::IP_DONTFRAGMENT) {
        let found = number(entry, libc::IPPROTO_IP, libc::IP_MTU_DISCOVER)?;
        return Ok(Told::Flag(found == libc::IP_PMTUDISC_DO.cast_unsigned()));
    }
    let known = find(level, name)?;
    match known.form {
        Form::Flag => Ok(Told::Flag(number(entry, known.linux_level, known.linux_name)? != 0)),
        Form::Number => {
            let found = number(entry, known.linux_level, known.linux_name)?;
            // Linux keeps its own share of a buffer in the number (socket(7)).
            let is_buffer = level == SOCKET && [abi::SO_SNDBUF, abi::SO_RCVBUF].contains(&name);
            Ok(Told::Number(if is_buffer { found / 2 } else { found }))
        }
        Form::Bytes(size) => {
            let mut bytes = vec![0; size];
            let (level, name) = (known.linux_level, known.linux_name);
            let count = kernel::option_raw(entry.kernel(), level, name, &mut bytes);
            bytes.truncate(count.map_err(failed)?);
            Ok(Told::Bytes(bytes))
        }
    }
}

/// The options of a socket that are not the kernel's, or not in its form.
fn get_ours(entry: &std::sync::Arc<Entry>, name: c_int) -> Result<Option<Told>, Failure> {
    let flag = |flag: &AtomicBool| Some(Told::Flag(flag.load(Ordering::Relaxed)));
    let time = |time: &AtomicU32| Some(Told::Number(time.load(Ordering::Relaxed)));
    Ok(match name {
        abi::SO_ACCEPTCONN => Some(Told::Flag(accept::is_listening(entry))),
        abi::SO_TYPE => Some(Told::Number(entry.kind().cast_unsigned())),
        abi::SO_RCVTIMEO => time(&entry.state.read_timeout),
        abi::SO_SNDTIMEO => time(&entry.state.write_timeout),
        abi::SO_EXCLUSIVEADDRUSE if !entry.is_plain() => Some(Told::Flag(true)),
        abi::SO_EXCLUSIVEADDRUSE => flag(&entry.state.exclusive),
        abi::SO_CONDITIONAL_ACCEPT => flag(&entry.state.conditional_accept),
        abi::SO_REUSEADDR if !entry.is_plain() => Some(Told::Flag(false)),
        abi::SO_REUSEADDR => {
            Some(Told::Flag(number(entry, libc::SOL_SOCKET, libc::SO_REUSEADDR)? != 0))
        }
        abi::SO_MAX_MSG_SIZE if entry.is_stream() => Some(Told::Number(u32::MAX)),
        abi::SO_MAX_MSG_SIZE => Some(Told::Number(match entry.secured() {
            Some(Secured::Datagram(socket)) => {
                let anyone = socket.peer_addr();
                let anyone =
                    anyone.unwrap_or_else(|_| std::net::SocketAddr::from(([0, 0, 0, 0], 0)));
                u32::try_from(socket.max_datagram_size(anyone)).unwrap_or(u32::MAX)
            }
            _ => 65_507,
        })),
        abi::SO_ERROR => {
            connect::look_after_plain(entry);
            let noted = entry.state.error.swap(0, Ordering::Relaxed);
            let code = match noted {
                0 => match number(entry, libc::SOL_SOCKET, libc::SO_ERROR)? {
                    0 => 0,
                    errno => crate::failure::from_errno(errno.cast_signed()),
                },
                noted => noted,
            };
            Some(Told::Number(code.cast_unsigned()))
        }
        abi::SO_LINGER => {
            let (is_on, seconds) = linger(entry)?;
            let mut bytes = is_on.to_ne_bytes().to_vec();
            bytes.extend(seconds.to_ne_bytes());
            Some(Told::Bytes(bytes))
        }
        abi::SO_DONTLINGER => Some(Told::Flag(linger(entry)?.0 == 0)),
        abi::SO_GROUP_ID | abi::SO_GROUP_PRIORITY => Some(Told::Number(0)),
        abi::SO_PORT_SCALABILITY | abi::SO_PAUSE_ACCEPT | abi::SO_USELOOPBACK => {
            Some(Told::Flag(false))
        }
        abi::SO_RANDOMIZE_PORT => Some(Told::Flag(true)),
        abi::SO_CONNECT_TIME => Some(Told::Number(connect_time(entry))),
        _ => None,
    })
}

/// Seconds since the connection was made, or all ones without one.
fn connect_time(entry: &Entry) -> u32 {
    if entry.phase() != Phase::Connected {
        return u32::MAX;
    }
    let since = std::time::Instant::now().saturating_duration_since(entry.made());
    u32::try_from(since.as_secs()).unwrap_or(u32::MAX)
}

fn set(
    entry: &std::sync::Arc<Entry>,
    level: c_int,
    name: c_int,
    option: &[u8],
) -> Result<(), Failure> {
    if level == abi::SOL_SOCKET && set_ours(entry, name, option)? {
        return Ok(());
    }
    if (level, name) == (abi::IPPROTO_IP, abi::IP_DONTFRAGMENT) {
        let found = if flag(option)? { libc::IP_PMTUDISC_DO } else { libc::IP_PMTUDISC_DONT };
        return kernel::set_option(entry.kernel(), libc::IPPROTO_IP, libc::IP_MTU_DISCOVER, found)
            .map_err(failed);
    }
    let known = find(level, name)?;
    let (level, name) = (known.linux_level, known.linux_name);
    match known.form {
        Form::Flag => kernel::set_option(entry.kernel(), level, name, c_int::from(flag(option)?)),
        Form::Number => {
            let number = read(option)?;
            let number = c_int::try_from(number).unwrap_or(c_int::MAX);
            kernel::set_option(entry.kernel(), level, name, number)
        }
        Form::Bytes(size) => {
            let bytes = option.get(..size).ok_or(SHORT)?;
            kernel::set_option_raw(entry.kernel(), level, name, bytes)
        }
    }
    .map_err(failed)
}

/// Sets an option that is not the kernel's, or not in its form; returns whether it was one.
fn set_ours(entry: &std::sync::Arc<Entry>, name: c_int, option: &[u8]) -> Result<bool, Failure> {
    match name {
        abi::SO_RCVTIMEO => set_timeout(entry, read(option)?, libc::SO_RCVTIMEO)?,
        abi::SO_SNDTIMEO => set_timeout(entry, read(option)?, libc::SO_SNDTIMEO)?,
        abi::SO_REUSEADDR => set_reuse(entry, flag(option)?)?,
        abi::SO_EXCLUSIVEADDRUSE => {
            let is_exclusive = flag(option)?;
            if !is_exclusive && !entry.is_plain() {
                let text = "a secured socket never shares its port";
                return Err(Failure::fixed(abi::WSAEINVAL, text));
            }
            if is_exclusive && entry.is_plain() {
                kernel::set_option(entry.kernel(), libc::SOL_SOCKET, libc::SO_REUSEADDR, 0)
                    .map_err(failed)?;
            }
            entry.state.exclusive.store(is_exclusive, Ordering::Relaxed);
        }
        abi::SO_CONDITIONAL_ACCEPT => {
            entry.state.conditional_accept.store(flag(option)?, Ordering::Relaxed);
        }
        abi::SO_LINGER => {
            let (Some(on), Some(time)) = (half(option, 0), half(option, 2)) else {
                return Err(SHORT);
            };
            set_linger(entry, on, time)?;
        }
        abi::SO_DONTLINGER => set_linger(entry, u16::from(!flag(option)?), 0)?,
        abi::SO_PORT_SCALABILITY
        | abi::SO_RANDOMIZE_PORT
        | abi::SO_PAUSE_ACCEPT
        | abi::SO_USELOOPBACK
        | abi::SO_GROUP_PRIORITY => {
            read(option)?;
        }
        abi::SO_ACCEPTCONN
        | abi::SO_ERROR
        | abi::SO_TYPE
        | abi::SO_MAX_MSG_SIZE
        | abi::SO_GROUP_ID
        | abi::SO_CONNECT_TIME => {
            return Err(Failure::fixed(abi::WSAENOPROTOOPT, "the option can only be asked for"));
        }
        _ => return Ok(false),
    }
    Ok(true)
}

/// Milliseconds, of which zero is for ever.
fn set_timeout(entry: &Entry, milliseconds: u32, name: c_int) -> Result<(), Failure> {
    let timeout = transfer::timeout(milliseconds);
    if let Some(Secured::Datagram(socket)) = entry.secured() {
        if name == libc::SO_RCVTIMEO {
            socket.set_read_timeout(timeout);
        } else {
            socket.set_write_timeout(timeout);
        }
    }
    let time = libc::timeval {
        tv_sec: i64::from(milliseconds / 1000),
        tv_usec: i64::from(milliseconds % 1000) * 1000,
    };
    let mut bytes = time.tv_sec.to_ne_bytes().to_vec();
    bytes.extend(time.tv_usec.to_ne_bytes());
    kernel::set_option_raw(entry.kernel(), libc::SOL_SOCKET, name, &bytes).map_err(failed)?;
    let place = if name == libc::SO_RCVTIMEO {
        &entry.state.read_timeout
    } else {
        &entry.state.write_timeout
    };
    place.store(milliseconds, Ordering::Relaxed);
    Ok(())
}

fn set_reuse(entry: &Entry, reuse: bool) -> Result<(), Failure> {
    let is_exclusive = !entry.is_plain() || entry.state.exclusive.load(Ordering::Relaxed);
    if reuse && is_exclusive {
        let text = "the port is taken exclusively, and cannot be shared";
        return Err(Failure::fixed(abi::WSAEINVAL, text));
    }
    if is_exclusive {
        return Ok(());
    }
    kernel::set_option(entry.kernel(), libc::SOL_SOCKET, libc::SO_REUSEADDR, c_int::from(reuse))
        .map_err(failed)
}

fn linger(entry: &Entry) -> Result<(u16, u16), Failure> {
    let mut bytes = [0; size_of::<libc::linger>()];
    kernel::option_raw(entry.kernel(), libc::SOL_SOCKET, libc::SO_LINGER, &mut bytes)
        .map_err(failed)?;
    let word = |at: usize| bytes.get(at..).and_then(|it| it.first_chunk().copied());
    let on = u32::from_ne_bytes(word(0).unwrap_or_default());
    let time = u32::from_ne_bytes(word(4).unwrap_or_default());
    Ok((u16::from(on != 0), u16::try_from(time).unwrap_or(u16::MAX)))
}

fn set_linger(entry: &Entry, on: u16, time: u16) -> Result<(), Failure> {
    let mut bytes = u32::from(on).to_ne_bytes().to_vec();
    bytes.extend(u32::from(time).to_ne_bytes());
    kernel::set_option_raw(entry.kernel(), libc::SOL_SOCKET, libc::SO_LINGER, &bytes)
        .map_err(failed)
}

const SHORT: Failure = Failure::fixed(abi::WSAEFAULT, "the option is shorter than its kind");

/// A number of the program: four bytes, or one, as Windows permits for flags.
fn read(option: &[u8]) -> Result<u32, Failure> {
    match (option.first_chunk(), option) {
        (Some(word), _) => Ok(u32::from_ne_bytes(*word)),
        (None, [byte, ..]) => Ok(u32::from(*byte)),
        (None, []) => Err(SHORT),
    }
}

fn flag(option: &[u8]) -> Result<bool, Failure> {
    read(option).map(|number| number != 0)
}

fn half(option: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_ne_bytes(*option.get(at..)?.first_chunk()?))
}

fn number(entry: &Entry, level: c_int, name: c_int) -> Result<u32, Failure> {
    kernel::option(entry.kernel(), level, name).map(c_int::cast_unsigned).map_err(failed)
}

fn failed(error: std::io::Error) -> Failure {
    Failure::from_io("use the option", &error)
}

const _: () = assert!(size_of::<LINGER>() == 4);
