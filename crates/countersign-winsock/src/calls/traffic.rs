//! Sending and receiving.

use std::ffi::c_int;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use crate::abi::{self, CompletionRoutine, Socket, WSABUF, WSAMSG, WSAOVERLAPPED};
use crate::address::Address;
use crate::boundary::{answer, guard, guard_status, value};
use crate::entry::{Direction, Entry};
use crate::failure::Failure;
use crate::operations::{self, Completion, Operation, Sender, What};
use crate::pieces::{self, Piece};
use crate::transfer::{self, Wait};
use crate::{kernel, messages, security, startup, table};

/// How a program wants to learn how a call went.
struct Overlap(*mut WSAOVERLAPPED, CompletionRoutine);

impl Overlap {
    const NONE: Self = Self(std::ptr::null_mut(), None);
}

/// Sends; on a socket that blocks, all of it.
///
/// # Safety
///
/// If `buffer` is not NULL, `length` bytes must be readable there.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn countersign_ws_send(
    socket: Socket,
    buffer: *const u8,
    length: c_int,
    flags: c_int,
) -> c_int {
    guard(abi::SOCKET_ERROR, || {
        let entry = find(socket)?;
        let piece = Piece::of_int(buffer.cast_mut(), length)?;
        // SAFETY: the caller vouches.
        let sent = unsafe { send(&entry, &[piece], None, flags.cast_unsigned(), Overlap::NONE)? };
        Ok(as_int(sent))
    })
}

/// Receives.
///
/// # Safety
///
/// If `buffer` is not NULL, `length` bytes must be writable there.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn countersign_ws_recv(
    socket: Socket,
    buffer: *mut u8,
    length: c_int,
    flags: c_int,
) -> c_int {
    guard(abi::SOCKET_ERROR, || {
        let entry = find(socket)?;
        let piece = Piece::of_int(buffer, length)?;
        let flags = flags.cast_unsigned();
        // SAFETY: the caller vouches.
        let (got, _) = unsafe { receive(&entry, &[piece], flags, Sender::NOBODY, Overlap::NONE)? };
        Ok(as_int(got))
    })
}

/// Sends a datagram to an address.
///
/// # Safety
///
/// If `buffer` is not NULL, `length` bytes must be readable there; the same of `to`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn countersign_ws_sendto(
    socket: Socket,
    buffer: *const u8,
    length: c_int,
    flags: c_int,
    to: *const u8,
    to_length: c_int,
) -> c_int {
    guard(abi::SOCKET_ERROR, || {
        let entry = find(socket)?;
        let piece = Piece::of_int(buffer.cast_mut(), length)?;
        // SAFETY: the caller vouches.
        let to = unsafe { optional(&entry, to, to_length)? };
        // SAFETY: the caller vouches.
        let sent = unsafe { send(&entry, &[piece], to, flags.cast_unsigned(), Overlap::NONE)? };
        Ok(as_int(sent))
    })
}

/// Receives a datagram, and tells who sent it.
///
/// # Safety
///
/// If `buffer` is not NULL, `length` bytes must be writable there; as far as they are not NULL, an
/// int must be at `from_length`, and as many bytes as it says must be writable at `from`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn countersign_ws_recvfrom(
    socket: Socket,
    buffer: *mut u8,
    length: c_int,
    flags: c_int,
    from: *mut u8,
    from_length: *mut c_int,
) -> c_int {
    guard(abi::SOCKET_ERROR, || {
        let entry = find(socket)?;
        let piece = Piece::of_int(buffer, length)?;
        let sender = Sender { name: from, length: from_length, ..Sender::NOBODY };
        let flags = flags.cast_unsigned();
        // SAFETY: the caller vouches.
        let (got, _) = unsafe { receive(&entry, &[piece], flags, sender, Overlap::NONE)? };
        Ok(as_int(got))
    })
}

/// Sends from many buffers, at once or overlapped.
///
/// # Safety
///
/// The pointers must be good for what they are documented to point to; with `overlapped`, until
/// the operation is done.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn WSASend(
    socket: Socket,
    buffers: *const WSABUF,
    count: u32,
    sent: *mut u32,
    flags: u32,
    overlapped: *mut WSAOVERLAPPED,
    routine: CompletionRoutine,
) -> c_int {
    // SAFETY: the caller vouches.
    unsafe {
        WSASendTo(socket, buffers, count, sent, flags, std::ptr::null(), 0, overlapped, routine)
    }
}

/// Sends a datagram to an address, at once or overlapped.
///
/// # Safety
///
/// As [`WSASend`].
#[unsafe(no_mangle)]
pub unsafe extern "C" fn WSASendTo(
    socket: Socket,
    buffers: *const WSABUF,
    count: u32,
    sent: *mut u32,
    flags: u32,
    to: *const u8,
    to_length: c_int,
    overlapped: *mut WSAOVERLAPPED,
    routine: CompletionRoutine,
) -> c_int {
    guard_status(|| {
        let entry = find(socket)?;
        check_count(&entry, sent, overlapped)?;
        // SAFETY: the caller vouches.
        let pieces = unsafe { pieces::read(buffers, count)? };
        // SAFETY: the caller vouches.
        let to = unsafe { optional(&entry, to, to_length)? };
        // SAFETY: the caller vouches.
        let count = unsafe { send(&entry, &pieces, to, flags, Overlap(overlapped, routine))? };
        // SAFETY: the caller vouches.
        unsafe { answer(sent, as_u32(count)) };
        Ok(())
    })
}

/// Receives into many buffers, at once or overlapped.
///
/// # Safety
///
/// As [`WSASend`].
#[unsafe(no_mangle)]
pub unsafe extern "C" fn WSARecv(
    socket: Socket,
    buffers: *const WSABUF,
    count: u32,
    received: *mut u32,
    flags: *mut u32,
    overlapped: *mut WSAOVERLAPPED,
    routine: CompletionRoutine,
) -> c_int {
    let (from, from_length) = (std::ptr::null_mut(), std::ptr::null_mut());
    // SAFETY: the caller vouches.
    unsafe {
        WSARecvFrom(socket, buffers, count, received, flags, from, from_length, overlapped, routine)
    }
}

/// Receives a datagram and tells who sent it, at once or overlapped.
///
/// # Safety
///
/// As [`WSASend`].
#[unsafe(no_mangle)]
pub unsafe extern "C" fn WSARecvFrom(
    socket: Socket,
    buffers: *const WSABUF,
    count: u32,
    received: *mut u32,
    flags: *mut u32,
    from: *mut u8,
    from_length: *mut c_int,
    overlapped: *mut WSAOVERLAPPED,
    routine: CompletionRoutine,
) -> c_int {
    guard_status(|| {
        let entry = find(socket)?;
        check_count(&entry, received, overlapped)?;
        // SAFETY: the caller vouches.
        let asked = unsafe { value(flags)? };
        // SAFETY: the caller vouches.
        let pieces = unsafe { pieces::read(buffers, count)? };
        let sender = Sender { name: from, length: from_length, ..Sender::NOBODY };
        let overlap = Overlap(overlapped, routine);
        // SAFETY: the caller vouches.
        let (count, told) = unsafe { receive(&entry, &pieces, asked, sender, overlap)? };
        // SAFETY: the caller vouches.
        unsafe { answer(received, as_u32(count)) };
        // SAFETY: the caller vouches.
        unsafe { answer(flags, told) };
        Ok(())
    })
}

/// Sends a message. Control information is refused: none of it means anything here.
///
/// # Safety
///
/// As [`WSASend`].
#[unsafe(no_mangle)]
pub unsafe extern "C" fn WSASendMsg(
    socket: Socket,
    message: *const WSAMSG,
    flags: u32,
    sent: *mut u32,
    overlapped: *mut WSAOVERLAPPED,
    routine: CompletionRoutine,
) -> c_int {
    guard_status(|| {
        let entry = find(socket)?;
        check_count(&entry, sent, overlapped)?;
        // SAFETY: the caller vouches.
        let message = unsafe { messages::read(message)? };
        // SAFETY: the caller vouches.
        let pieces = unsafe { pieces::read(message.buffers, message.buffer_count)? };
        if message.control_length > 0 {
            let text = "control information of a message is not supported";
            return Err(Failure::fixed(abi::WSAEOPNOTSUPP, text));
        }
        // SAFETY: the caller vouches.
        let to = unsafe { optional(&entry, message.name, message.name_length)? };
        let overlap = Overlap(overlapped, routine);
        // SAFETY: the caller vouches.
        let count = unsafe { send(&entry, &pieces, to, flags, overlap)? };
        // SAFETY: the caller vouches.
        unsafe { answer(sent, as_u32(count)) };
        Ok(())
    })
}

/// Receives a message, without control information.
///
/// # Safety
///
/// As [`WSASend`].
#[unsafe(no_mangle)]
pub unsafe extern "C" fn WSARecvMsg(
    socket: Socket,
    message: *mut WSAMSG,
    received: *mut u32,
    overlapped: *mut WSAOVERLAPPED,
    routine: CompletionRoutine,
) -> c_int {
    guard_status(|| {
        let entry = find(socket)?;
        check_count(&entry, received, overlapped)?;
        // SAFETY: the caller vouches.
        let asked = unsafe { messages::read(message)? };
        // SAFETY: the caller vouches.
        let pieces = unsafe { pieces::read(asked.buffers, asked.buffer_count)? };
        let sender = Sender { message, ..Sender::NOBODY };
        let overlap = Overlap(overlapped, routine);
        // SAFETY: the caller vouches.
        let (count, _) = unsafe { receive(&entry, &pieces, asked.flags, sender, overlap)? };
        // SAFETY: the caller vouches.
        unsafe { answer(received, as_u32(count)) };
        Ok(())
    })
}

fn find(socket: Socket) -> Result<Arc<Entry>, Failure> {
    startup::check()?;
    let entry = table::find(socket)?;
    if !entry.is_stream() {
        security::follow_policy(&entry)?;
    }
    Ok(entry)
}

/// Without an overlapped structure the place for the count is needed.
fn check_count(
    entry: &Entry,
    count: *const u32,
    overlapped: *const WSAOVERLAPPED,
) -> Result<(), Failure> {
    let waits = overlapped.is_null() || !entry.is_overlapped();
    if waits && count.is_null() { Err(Failure::FAULT) } else { Ok(()) }
}

/// Reads an address that need not be there; streams ignore it.
///
/// # Safety
///
/// If `pointer` is not NULL, `length` bytes must be readable there.
unsafe fn optional(
    entry: &Entry,
    pointer: *const u8,
    length: c_int,
) -> Result<Option<Address>, Failure> {
    if pointer.is_null() || entry.is_stream() {
        return Ok(None);
    }
    // SAFETY: the caller vouches.
    unsafe { Address::read(pointer, length) }.map(Some)
}

/// # Safety
///
/// The pieces must be readable; if it is overlapped, until the operation is done.
unsafe fn send(
    entry: &Arc<Entry>,
    from: &[Piece],
    to: Option<Address>,
    flags: u32,
    overlap: Overlap,
) -> Result<usize, Failure> {
    if entry.is_overlapped()
        // SAFETY: the caller vouches.
        && let Some(completion) = unsafe { Completion::new(overlap.0, overlap.1, false) }
    {
        let what = What::Send { flags, to };
        let started = operations::start(entry, Operation::new(what, from.to_vec(), completion));
        return started.map(|(count, _)| count);
    }
    operations::wait_in_line(entry, Direction::Send)?;
    // SAFETY: the caller vouches.
    unsafe { transfer::send(entry, from, to.as_ref(), flags, Wait::AsSet) }
}

/// # Safety
///
/// The pieces must be writable; if it is overlapped, until the operation is done.
unsafe fn receive(
    entry: &Arc<Entry>,
    into: &[Piece],
    flags: u32,
    from: Sender,
    overlap: Overlap,
) -> Result<(usize, u32), Failure> {
    // SAFETY: the caller vouches.
    unsafe { Address::check_room(from.name, from.length, entry.family())? };
    check_bound(entry)?;
    if entry.is_overlapped()
        // SAFETY: the caller vouches.
        && let Some(completion) = unsafe { Completion::new(overlap.0, overlap.1, false) }
    {
        let what = What::Receive { flags, from };
        return operations::start(entry, Operation::new(what, into.to_vec(), completion));
    }
    operations::wait_in_line(entry, Direction::Receive)?;
    // SAFETY: the caller vouches.
    let arrived = unsafe { transfer::receive(entry, into, flags, Wait::AsSet)? };
    // SAFETY: the caller vouches.
    unsafe { operations::tell_sender(&from, &arrived)? };
    if arrived.is_cut { Err(operations::cut()) } else { Ok((arrived.bytes, 0)) }
}

/// Refuses to receive datagrams where none can arrive: before there is an address for them.
fn check_bound(entry: &Entry) -> Result<(), Failure> {
    if entry.is_stream() || entry.state.is_bound.load(Ordering::Relaxed) {
        return Ok(());
    }
    match kernel::local_address(entry.kernel()) {
        Ok(Address::Ip(address)) if address.port() == 0 && entry.kind() == abi::SOCK_DGRAM => {
            Err(Failure::fixed(abi::WSAEINVAL, "the socket has no address to receive at yet"))
        }
        _ => {
            entry.state.is_bound.store(true, Ordering::Relaxed);
            Ok(())
        }
    }
}

fn as_int(count: usize) -> c_int {
    c_int::try_from(count).unwrap_or(c_int::MAX)
}

fn as_u32(count: usize) -> u32 {
    u32::try_from(count).unwrap_or(u32::MAX)
}
