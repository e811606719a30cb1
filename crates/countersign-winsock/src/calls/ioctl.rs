//! `ioctlsocket` and `WSAIoctl`.

use std::ffi::c_int;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use crate::abi::{self, CompletionRoutine, Socket, WSAOVERLAPPED};
use crate::boundary::{answer, bytes, guard_status, room, value};
use crate::entry::{Entry, Secured};
use crate::failure::Failure;
use crate::{kernel, startup, table};

use super::security;

/// Sets or asks a property of a socket.
///
/// # Safety
///
/// If `argument` is not NULL, an `u_long` of 32 bits must be there.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn countersign_ws_ioctlsocket(
    socket: Socket,
    command: i32,
    argument: *mut u32,
) -> c_int {
    guard_status(|| {
        startup::check()?;
        let entry = table::find_same(socket)?;
        // SAFETY: the caller vouches.
        let asked = unsafe { value(argument)? };
        if let Some(told) = simple(&entry, command.cast_unsigned(), asked)? {
            // SAFETY: the caller vouches.
            unsafe { answer(argument, told) };
        }
        Ok(())
    })
}

/// The commands that both functions know; returns what is to be told.
fn simple(entry: &Arc<Entry>, command: u32, asked: u32) -> Result<Option<u32>, Failure> {
    match command {
        abi::FIONBIO => set_nonblocking(entry, asked != 0).map(|()| None),
        abi::FIONREAD => readable(entry).map(Some),
        abi::SIOCATMARK => Ok(Some(u32::from(entry.secured().is_some() || at_mark(entry)))),
        other => {
            let text = format!("there is no command {other:#010x} for sockets");
            Err(Failure::new(abi::WSAEOPNOTSUPP, text))
        }
    }
}

fn at_mark(entry: &Entry) -> bool {
    rustix::net::sockopt::socket_type(kernel::borrow(entry.kernel())).is_ok()
        && kernel::poll_now(entry.kernel(), libc::POLLPRI) & libc::POLLPRI == 0
}

/// Has calls on a socket wait, or not.
pub(super) fn set_nonblocking(entry: &Entry, nonblocking: bool) -> Result<(), Failure> {
    if !nonblocking && entry.state.has_events.load(Ordering::Acquire) {
        let text = "WSAEventSelect is in force, and with it the socket does not block";
        return Err(Failure::fixed(abi::WSAEINVAL, text));
    }
    entry.state.nonblocking.store(nonblocking, Ordering::Relaxed);
    if entry.is_plain() {
        kernel::set_nonblocking(entry.kernel(), nonblocking)
            .map_err(|error| Failure::from_io("set the mode", &error))?;
    }
    Ok(())
}

/// How many bytes of plaintext can be read, or how large the first datagram is.
fn readable(entry: &Entry) -> Result<u32, Failure> {
    const MOST: usize = 64 * 1024;
    let count = match entry.secured() {
        Some(Secured::Stream(stream)) => {
            let ahead = stream.look_ahead(MOST);
            ahead.map_err(|error| Failure::from_io("look ahead", &error))?.0
        }
        // An error that the next receive tells is no datagram.
        Some(Secured::Datagram(socket)) => match socket.look_ahead() {
            Ok(Some((size, _))) => size,
            _ => 0,
        },
        Some(Secured::Listener(_)) => {
            return Err(Failure::fixed(abi::WSAEINVAL, "a socket that listens has no bytes"));
        }
        None => {
            return kernel::readable_bytes(entry.kernel())
                .map_err(|error| Failure::from_io("look ahead", &error));
        }
    };
    Ok(u32::try_from(count).unwrap_or(u32::MAX))
}

/// What came of a command.
struct Done {
    entry: Arc<Entry>,
    bytes: u32,
}

/// Sets or asks a property of a socket: the four codes of the security functions, with the same
/// buffers and results, and a few more.
///
/// # Safety
///
/// The pointers must be good for as many bytes as is said; with `overlapped`, until it is done.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn WSAIoctl(
    socket: Socket,
    code: u32,
    input: *const u8,
    input_length: u32,
    output: *mut u8,
    output_length: u32,
    returned: *mut u32,
    overlapped: *mut WSAOVERLAPPED,
    routine: CompletionRoutine,
) -> c_int {
    guard_status(|| {
        startup::check()?;
        let entry = table::find_same(socket)?;
        if returned.is_null() && (overlapped.is_null() || !entry.is_overlapped()) {
            return Err(Failure::FAULT);
        }
        let done = match code {
            abi::SIO_SET_SECURITY => {
                // SAFETY: the caller vouches.
                unsafe { security::set_security(socket, input, input_length)? };
                Done { entry, bytes: 0 }
            }
            abi::SIO_SET_PEER_TARGET_NAME => {
                // SAFETY: the caller vouches.
                unsafe { security::set_name(socket, input, input_length)? };
                Done { entry, bytes: 0 }
            }
            abi::SIO_DELETE_PEER_TARGET_NAME => {
                // SAFETY: the caller vouches.
                unsafe { security::delete_name(socket, input, input_length)? };
                Done { entry, bytes: 0 }
            }
            abi::SIO_QUERY_SECURITY => {
                let mut length = output_length;
                let into = &raw mut length;
                // SAFETY: the caller vouches.
                let asked = unsafe { security::query(socket, input, input_length, output, into) };
                if let Err(failure) = asked {
                    if length != output_length {
                        // SAFETY: the caller vouches.
                        unsafe { answer(returned, length) };
                    }
                    return Err(failure);
                }
                Done { entry, bytes: length }
            }
            abi::SIO_GET_EXTENSION_FUNCTION_POINTER => {
                // SAFETY: the caller vouches.
                let asked = unsafe { bytes(input, input_length as usize)? };
                let pointer = extension(asked)?;
                // SAFETY: the caller vouches.
                let into = unsafe { room(output, output_length as usize)? };
                let bytes = put(into, &pointer.to_ne_bytes())?;
                Done { entry, bytes }
            }
            abi::SIO_KEEPALIVE_VALS => {
                // SAFETY: the caller vouches.
                let asked = unsafe { bytes(input, input_length as usize)? };
                keep_alive(&entry, asked)?;
                Done { entry, bytes: 0 }
            }
            // Whether an unreachable peer is told of: it is, and there is nothing to change.
            abi::SIO_UDP_CONNRESET if !entry.is_stream() => Done { entry, bytes: 0 },
            _ => {
                let asked = if code == abi::FIONBIO {
                    // SAFETY: the caller vouches.
                    let asked = unsafe { bytes(input, input_length as usize)? };
                    let asked = asked.first_chunk::<4>().ok_or(Failure::FAULT)?;
                    u32::from_ne_bytes(*asked)
                } else {
                    0
                };
                let bytes = match simple(&entry, code, asked)? {
                    Some(told) => {
                        // SAFETY: the caller vouches.
                        let into = unsafe { room(output, output_length as usize)? };
                        put(into, &told.to_ne_bytes())?
                    }
                    None => 0,
                };
                Done { entry, bytes }
            }
        };
        // SAFETY: the caller vouches.
        unsafe { answer(returned, done.bytes) };
        // SAFETY: the caller vouches.
        unsafe { security::tell_done(&done.entry, overlapped, routine, done.bytes as usize) };
        Ok(())
    })
}

fn put(into: &mut [u8], told: &[u8]) -> Result<u32, Failure> {
    let Some(into) = into.get_mut(..told.len()) else { return Err(Failure::FAULT) };
    into.copy_from_slice(told);
    Ok(u32::try_from(told.len()).unwrap_or(0))
}

/// Finds a function that Windows has behind a GUID.
fn extension(guid: &[u8]) -> Result<usize, Failure> {
    /// `WSAID_WSARECVMSG` and `WSAID_WSASENDMSG`, as they are in memory.
    const RECEIVE_MESSAGE: [u8; 16] = [
        0xc8, 0xd7, 0x89, 0xf6, 0x1f, 0x6f, 0x6b, 0x43, 0x8a, 0x53, 0xe5, 0x4f, 0xe3, 0x51, 0xc3,
        0x22,
    ];
    const SEND_MESSAGE: [u8; 16] = [
        0x2e, 0x71, 0x41, 0xa4, 0x4f, 0x75, 0xca, 0x43, 0x84, 0xa7, 0x0d, 0xee, 0x44, 0xcf, 0x60,
        0x6d,
    ];
    match guid.first_chunk::<16>() {
        Some(&RECEIVE_MESSAGE) => Ok(super::WSARecvMsg as *const () as usize),
        Some(&SEND_MESSAGE) => Ok(super::WSASendMsg as *const () as usize),
        Some(_) => {
            let text = "there is no such extension function; WSARecvMsg and WSASendMsg exist";
            Err(Failure::fixed(abi::WSAEINVAL, text))
        }
        None => Err(Failure::FAULT),
    }
}

/// `struct tcp_keepalive`: on or off, and two times in milliseconds.
fn keep_alive(entry: &Entry, asked: &[u8]) -> Result<(), Failure> {
    let word = |at: usize| Some(u32::from_ne_bytes(*asked.get(at..)?.first_chunk()?));
    let (Some(on), Some(time), Some(interval)) = (word(0), word(4), word(8)) else {
        return Err(Failure::FAULT);
    };
    let set = |level, name, value: u32| {
        kernel::set_option(
            entry.kernel(),
            level,
            name,
            c_int::try_from(value).unwrap_or(c_int::MAX),
        )
        .map_err(|error| Failure::from_io("set the option", &error))
    };
    if on != 0 && entry.is_stream() {
        set(libc::IPPROTO_TCP, libc::TCP_KEEPIDLE, time.div_ceil(1000).clamp(1, 32_767))?;
        set(libc::IPPROTO_TCP, libc::TCP_KEEPINTVL, interval.div_ceil(1000).clamp(1, 32_767))?;
    }
    set(libc::SOL_SOCKET, libc::SO_KEEPALIVE, u32::from(on != 0))
}
