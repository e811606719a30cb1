//! From the number of a descriptor to what we know of it.
//!
//! A slot for each number, in pieces that are made when they are first needed and then stay. Each
//! slot has its own lock, held for as long as it takes to copy a pointer, and its own cache line:
//! threads that work on different sockets never meet.

use std::os::fd::RawFd;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use crate::abi::Socket;
use crate::entry::Entry;
use crate::failure::Failure;

/// How many slots are made at once.
const PIECE: usize = 1 << 10;
/// How many pieces there may be: 2^26 descriptors, more than nr_open allows (proc(5)).
const PIECES: usize = 1 << 16;

#[repr(align(64))]
#[derive(Default)]
struct Slot(Mutex<Option<Arc<Entry>>>);

static TABLE: [OnceLock<Box<[Slot]>>; PIECES] = [const { OnceLock::new() }; PIECES];

/// Returns what we know of a socket. One that was made without us is none: the C library's own
/// calls would reach it beside ours, and what they send is in clear.
///
/// # Errors
///
/// `WSAENOTSOCK` if the number is none of an open socket of this library.
pub(crate) fn find(socket: Socket) -> Result<Arc<Entry>, Failure> {
    let number = RawFd::try_from(socket).map_err(|_| Failure::NOT_SOCK)?;
    let slot = slot(number).ok_or(Failure::NOT_SOCK)?;
    lock(slot).clone().ok_or(Failure::NOT_SOCK)
}

/// As [`find`], and makes sure that the number still stands for the same socket: a program may
/// have used close(2) in place of closesocket, and the number may mean something else now.
///
/// # Errors
///
/// As [`find`].
pub(crate) fn find_same(socket: Socket) -> Result<Arc<Entry>, Failure> {
    let entry = find(socket)?;
    if entry.is_same() {
        return Ok(entry);
    }
    forget(&entry);
    Err(Failure::NOT_SOCK)
}

/// Enters a socket under its number.
pub(crate) fn enter(entry: Arc<Entry>) -> Result<(), Failure> {
    let slot = slot_or_new(entry.number()).ok_or(Failure::NOT_SOCK)?;
    let former = lock(slot).replace(entry);
    if let Some(former) = former {
        // Its number has been closed behind our back, and is this socket's now.
        former.disown();
    }
    Ok(())
}

/// Takes a socket out, so that no call finds it any more.
pub(crate) fn remove(entry: &Arc<Entry>) -> bool {
    let Some(slot) = slot(entry.number()) else { return false };
    let mut slot = lock(slot);
    if slot.as_ref().is_some_and(|it| Arc::ptr_eq(it, entry)) {
        *slot = None;
        return true;
    }
    false
}

/// Returns every socket.
pub(crate) fn all() -> Vec<Arc<Entry>> {
    let pieces = TABLE.iter().filter_map(OnceLock::get);
    pieces.flat_map(|piece| piece.iter().filter_map(|slot| lock(slot).clone())).collect()
}

/// Takes out a socket whose number has been closed behind our back.
fn forget(entry: &Arc<Entry>) {
    entry.disown();
    remove(entry);
}

fn slot(number: RawFd) -> Option<&'static Slot> {
    let number = usize::try_from(number).ok()?;
    TABLE.get(number / PIECE)?.get()?.get(number % PIECE)
}

fn slot_or_new(number: RawFd) -> Option<&'static Slot> {
    let number = usize::try_from(number).ok()?;
    let piece = TABLE.get(number / PIECE)?;
    piece.get_or_init(|| (0..PIECE).map(|_| Slot::default()).collect()).get(number % PIECE)
}

/// A slot is changed in one step, so one that a panic left behind is whole.
fn lock(slot: &Slot) -> MutexGuard<'_, Option<Arc<Entry>>> {
    slot.0.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::net::UdpSocket;
    use std::os::fd::{AsFd, AsRawFd};
    use std::sync::Arc;

    use super::{enter, find, find_same};
    use crate::abi;
    use crate::entry::{Entry, Type};
    use crate::kernel;

    #[test]
    fn what_is_no_socket_of_ours_is_not_found() {
        let file = std::fs::File::open("/dev/null").unwrap();
        let strange = UdpSocket::bind("127.0.0.1:0").unwrap();
        let numbers = [file.as_raw_fd() as usize, strange.as_raw_fd() as usize];
        for socket in numbers.into_iter().chain([usize::MAX, 1 << 40, 99_999_999]) {
            assert_eq!(find(socket).unwrap_err().code, abi::WSAENOTSOCK, "{socket}");
        }
    }

    #[test]
    fn a_number_that_means_another_socket_now_is_none_of_ours() {
        let descriptor = kernel::socket(libc::AF_INET, libc::SOCK_DGRAM, 0).unwrap();
        let of = Type { family: 2, kind: 2, protocol: 0, is_overlapped: false };
        let entry = Arc::new(Entry::new(descriptor, of).unwrap());
        let number = entry.number();
        enter(entry).unwrap();
        assert!(find_same(number as usize).is_ok());
        let other = UdpSocket::bind("127.0.0.1:0").unwrap();
        // As if the program had closed ours by close(2), and `other` had got its number.
        kernel::replace(number, other.as_fd()).unwrap();
        assert_eq!(find_same(number as usize).unwrap_err().code, abi::WSAENOTSOCK);
        // What is there now has not been closed.
        let (there, here) = (kernel::identity(number), kernel::identity(other.as_raw_fd()));
        assert_eq!(there.unwrap(), here.unwrap());
        // SAFETY: nobody else owns it any more.
        drop(unsafe { kernel::own(number) });
    }
}
