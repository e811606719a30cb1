//! `WSAEventSelect`: an event that is set when the network has something to say.

use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError};

use crate::abi;
use crate::entry::{Entry, Phase, Secured};
use crate::event::Event;
use crate::reactor::{self, Want};
use crate::{accept, kernel};

/// What a program wants to be told of a socket, and what it has not asked for yet.
#[derive(Clone, Debug)]
pub(crate) struct NetworkEvents {
    event: Arc<Event>,
    mask: i32,
    /// What may be told: each once, until a call re-enables it.
    enabled: i32,
    pending: i32,
    errors: [i32; abi::FD_MAX_EVENTS],
}

/// Starts to tell a program by `event` of what `mask` names; an empty mask ends it. The socket
/// does not block from now on.
pub(crate) fn select(entry: &Arc<Entry>, event: Option<Arc<Event>>, mask: i32) {
    let mut events = entry.events.lock().unwrap_or_else(PoisonError::into_inner);
    *events = event.filter(|_| mask != 0).map(|event| NetworkEvents {
        event,
        mask,
        enabled: mask,
        pending: 0,
        errors: [0; abi::FD_MAX_EVENTS],
    });
    entry.state.has_events.store(events.is_some(), Ordering::Release);
    drop(events);
    reactor::attend(entry);
}

/// Tells nobody of a socket that is being closed.
pub(crate) fn forget(entry: &Entry) {
    *entry.events.lock().unwrap_or_else(PoisonError::into_inner) = None;
    entry.state.has_events.store(false, Ordering::Release);
}

/// An accepted socket is selected as its listener is.
pub(crate) fn inherit(entry: &Arc<Entry>, listener: &Entry) {
    let inherited = listener.events.lock().unwrap_or_else(PoisonError::into_inner).clone();
    if let Some(NetworkEvents { event, mask, .. }) = inherited {
        select(entry, Some(event), mask & !abi::FD_ACCEPT);
    }
}

/// Returns what has been told of since the last time, and forgets it.
pub(crate) fn take(entry: &Entry) -> (i32, [i32; abi::FD_MAX_EVENTS]) {
    let mut events = entry.events.lock().unwrap_or_else(PoisonError::into_inner);
    let Some(events) = &mut *events else { return (0, [0; abi::FD_MAX_EVENTS]) };
    let taken = (events.pending, events.errors);
    (events.pending, events.errors) = (0, [0; abi::FD_MAX_EVENTS]);
    taken
}

/// Has something be told again that a call has just dealt with.
pub(crate) fn reenable(entry: &Arc<Entry>, bit: i32) {
    if !entry.state.has_events.load(Ordering::Acquire) {
        return;
    }
    let mut events = entry.events.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(events) = &mut *events {
        events.enabled |= bit & events.mask;
    }
    drop(events);
    reactor::attend(entry);
}

/// Tells of a connection that was made, or of why it was not.
pub(crate) fn connected(entry: &Entry, error: i32) {
    tell(entry, abi::FD_CONNECT, error);
    if error == 0 {
        tell(entry, abi::FD_WRITE, 0);
    }
}

fn tell(entry: &Entry, bit: i32, error: i32) {
    let mut events = entry.events.lock().unwrap_or_else(PoisonError::into_inner);
    let Some(events) = &mut *events else { return };
    if events.enabled & bit == 0 {
        return;
    }
    events.enabled &= !bit;
    events.pending |= bit;
    if let Some(place) = events.errors.get_mut(bit.trailing_zeros() as usize) {
        *place = error;
    }
    events.event.set();
}

/// Finds out what there is to tell, and what to wait for.
pub(crate) fn advance(entry: &Arc<Entry>) -> Want {
    let enabled = {
        let events = entry.events.lock().unwrap_or_else(PoisonError::into_inner);
        events.as_ref().map_or(0, |events| events.enabled)
    };
    if enabled == 0 {
        return Want::default();
    }
    if accept::is_listening(entry) {
        if enabled & abi::FD_ACCEPT != 0 && accept::look_ahead(entry) {
            tell(entry, abi::FD_ACCEPT, 0);
            return Want::default();
        }
        return Want { read: enabled & abi::FD_ACCEPT != 0, ..Want::default() };
    }
    if entry.is_stream() && entry.phase() != Phase::Connected {
        return Want::default();
    }
    let mut want = Want::default();
    if enabled & abi::FD_WRITE != 0 {
        if kernel::poll_now(entry.kernel(), libc::POLLOUT) & libc::POLLOUT != 0 {
            tell(entry, abi::FD_WRITE, 0);
        } else {
            want.write = true;
        }
    }
    if enabled & (abi::FD_READ | abi::FD_CLOSE) != 0 {
        look(entry, enabled, &mut want);
    }
    want
}

/// What can be received.
enum Found {
    Bytes,
    End(i32),
    Nothing,
}

fn look(entry: &Arc<Entry>, enabled: i32, want: &mut Want) {
    match find(entry) {
        Found::Bytes if enabled & abi::FD_READ != 0 => tell(entry, abi::FD_READ, 0),
        // Bytes that were told of and are not taken yet: the end comes after them.
        Found::Bytes => want.hang_up = enabled & abi::FD_CLOSE != 0 && !has_hung_up(entry),
        Found::End(error) => tell(entry, abi::FD_CLOSE, error),
        Found::Nothing => want.read = true,
    }
}

fn has_hung_up(entry: &Entry) -> bool {
    kernel::poll_now(entry.number(), libc::POLLRDHUP) & (libc::POLLRDHUP | libc::POLLHUP) != 0
}

fn find(entry: &Arc<Entry>) -> Found {
    match entry.secured() {
        Some(Secured::Stream(stream)) => match stream.look_ahead(1) {
            Ok((0, false)) => Found::Nothing,
            Ok((0, true)) => {
                // Whether it is an end or a failure shows when it is read; a peek does not take it.
                let reset = stream.query().is_err();
                Found::End(if reset { abi::WSAECONNRESET } else { 0 })
            }
            Ok(_) => Found::Bytes,
            Err(_) => Found::End(abi::WSAECONNABORTED),
        },
        Some(Secured::Datagram(socket)) => match socket.look_ahead() {
            Ok(None) => Found::Nothing,
            _ => Found::Bytes,
        },
        Some(Secured::Listener(_)) => Found::Nothing,
        None => {
            let mut byte = [0_u8];
            let piece = crate::pieces::Piece::new(byte.as_mut_ptr(), 1);
            let flags = libc::MSG_PEEK | libc::MSG_DONTWAIT;
            match piece.map(|piece| kernel::receive(entry.kernel(), &[piece], flags)) {
                Ok(Ok(arrived)) if arrived.bytes == 0 && entry.is_stream() => Found::End(0),
                Ok(Err(error)) if error.kind() == std::io::ErrorKind::WouldBlock => Found::Nothing,
                Ok(Err(error)) if entry.is_stream() => {
                    let errno = error.raw_os_error().unwrap_or(libc::EIO);
                    Found::End(crate::failure::from_errno(errno))
                }
                _ => Found::Bytes,
            }
        }
    }
}
