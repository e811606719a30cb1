//! `select` and `WSAPoll`.

use std::ffi::c_int;
use std::sync::Arc;
use std::time::Duration;

use crate::abi::{self, FdSet, Socket, WSAPOLLFD};
use crate::boundary::{guard, value};
use crate::entry::Entry;
use crate::failure::Failure;
use crate::readiness::{self, Asked, Until};
use crate::{startup, table};

/// More sockets than that in one call are absurd, and so is looking for as many.
const MOST: usize = 1 << 16;

/// One of the sets of `select`, whose sockets were read.
struct Set {
    pointer: *mut FdSet,
    sockets: Vec<Socket>,
}

impl Set {
    /// # Safety
    ///
    /// If `pointer` is not NULL, a count and as many sockets must be readable there.
    unsafe fn read(pointer: *mut FdSet) -> Result<Self, Failure> {
        let mut sockets = Vec::new();
        if !pointer.is_null() {
            // SAFETY: the caller vouches.
            let count = unsafe { value(pointer.cast::<u32>())? } as usize;
            if count > MOST {
                return Err(Failure::fixed(abi::WSAEINVAL, "that many sockets are absurd"));
            }
            for index in 0..count {
                // SAFETY: the caller vouches for as many as the count says.
                sockets.push(unsafe { value(Self::place(pointer, index))? });
            }
        }
        Ok(Self { pointer, sockets })
    }

    /// Where a socket of the set is.
    fn place(pointer: *mut FdSet, index: usize) -> *mut Socket {
        let offset = std::mem::offset_of!(FdSet, fd_array) + index * size_of::<Socket>();
        pointer.wrapping_byte_add(offset).cast()
    }

    /// Leaves the sockets that are ready.
    ///
    /// # Safety
    ///
    /// As [`Self::read`], and it must be writable.
    unsafe fn write(&self, ready: impl Fn(Socket) -> bool) -> usize {
        if self.pointer.is_null() {
            return 0;
        }
        let mut count = 0;
        for socket in self.sockets.iter().copied().filter(|socket| ready(*socket)) {
            // SAFETY: there are no more than there were.
            unsafe { Self::place(self.pointer, count).write_unaligned(socket) };
            count += 1;
        }
        let told = u32::try_from(count).unwrap_or(0);
        // SAFETY: the caller vouches.
        unsafe { self.pointer.cast::<u32>().write_unaligned(told) };
        count
    }
}

/// Waits until one of the sockets is ready; plaintext that has been decrypted counts.
///
/// # Safety
///
/// As far as they are not NULL, the sets must be as documented, and a `timeval` of the system must
/// be at `timeout`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn countersign_ws_select(
    _count: c_int,
    read: *mut FdSet,
    write: *mut FdSet,
    except: *mut FdSet,
    timeout: *const libc::timeval,
) -> c_int {
    guard(abi::SOCKET_ERROR, || {
        startup::check()?;
        // SAFETY: the caller vouches.
        let read = unsafe { Set::read(read)? };
        // SAFETY: the caller vouches.
        let write = unsafe { Set::read(write)? };
        // SAFETY: the caller vouches.
        let except = unsafe { Set::read(except)? };
        let until = if timeout.is_null() {
            Until::Never
        } else {
            // SAFETY: the caller vouches.
            let time = unsafe { value(timeout)? };
            let seconds = u64::try_from(time.tv_sec);
            let (Ok(seconds), Ok(micros)) = (seconds, u64::try_from(time.tv_usec)) else {
                return Err(Failure::fixed(abi::WSAEINVAL, "the time-out is negative"));
            };
            let time = Duration::from_secs(seconds).saturating_add(Duration::from_micros(micros));
            Until::after(time)
        };
        let mut asked: Vec<(Socket, Asked)> = Vec::new();
        for (set, mark) in [(&read, 0), (&write, 1), (&except, 2)] {
            for socket in &set.sockets {
                let one = ask(&mut asked, *socket)?;
                match mark {
                    0 => one.read = true,
                    1 => one.write = true,
                    _ => one.urgent = true,
                }
            }
        }
        if asked.is_empty() {
            let text = "there is no socket in any of the sets";
            return Err(Failure::fixed(abi::WSAEINVAL, text));
        }
        let (sockets, mut asked): (Vec<Socket>, Vec<Asked>) = asked.into_iter().unzip();
        readiness::wait(&mut asked, until)?;
        let ready = |socket: Socket| {
            let at = sockets.iter().position(|it| *it == socket);
            at.and_then(|at| asked.get(at)).map(|one| (one.ready, one.has_failed_to_connect()))
        };
        // SAFETY: the caller vouches.
        let reads = unsafe { read.write(|it| ready(it).is_some_and(|(it, _)| it.read)) };
        let can_write = |it| ready(it).is_some_and(|(it, failed)| it.write && !failed);
        // SAFETY: the caller vouches.
        let writes = unsafe { write.write(can_write) };
        let is_special = |it| ready(it).is_some_and(|(it, failed)| it.urgent || failed);
        // SAFETY: the caller vouches.
        let specials = unsafe { except.write(is_special) };
        Ok(c_int::try_from(reads + writes + specials).unwrap_or(c_int::MAX))
    })
}

/// The one place of a socket that is asked for, however often it is named.
fn ask(asked: &mut Vec<(Socket, Asked)>, socket: Socket) -> Result<&mut Asked, Failure> {
    let at = match asked.iter().position(|(it, _)| *it == socket) {
        Some(at) => at,
        None => {
            asked.push((socket, Asked::new(table::find(socket)?)));
            asked.len() - 1
        }
    };
    asked.get_mut(at).map(|(_, one)| one).ok_or(Failure::NOT_SOCK)
}

/// Waits until one of the sockets is ready; plaintext that has been decrypted counts.
///
/// # Safety
///
/// If `asked` is not NULL, `count` structures must be there.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn WSAPoll(asked: *mut WSAPOLLFD, count: u32, milliseconds: c_int) -> c_int {
    guard(abi::SOCKET_ERROR, || {
        startup::check()?;
        let count = count as usize;
        if asked.is_null() || count == 0 {
            return Err(Failure::fixed(abi::WSAEINVAL, "there is no socket to wait for"));
        }
        if count > MOST {
            return Err(Failure::fixed(abi::WSAEINVAL, "that many sockets are absurd"));
        }
        let mut structures = Vec::with_capacity(count);
        for index in 0..count {
            // SAFETY: the caller vouches for as many as the count says.
            structures.push(unsafe { value(asked.wrapping_add(index).cast_const())? });
        }
        let found = poll(&mut structures, milliseconds)?;
        for (index, structure) in structures.iter().enumerate() {
            let place = asked.wrapping_add(index).wrapping_byte_add(REVENTS).cast::<i16>();
            // SAFETY: the caller vouches for as many as the count says.
            unsafe { place.write_unaligned(structure.revents) };
        }
        Ok(c_int::try_from(found).unwrap_or(c_int::MAX))
    })
}

const REVENTS: usize = std::mem::offset_of!(WSAPOLLFD, revents);

fn poll(structures: &mut [WSAPOLLFD], milliseconds: c_int) -> Result<usize, Failure> {
    const KNOWN: i16 = abi::POLLRDNORM | abi::POLLRDBAND | abi::POLLWRNORM;
    let mut asked: Vec<Asked> = Vec::new();
    let mut places = Vec::new();
    let mut invalid = 0;
    for (place, structure) in structures.iter_mut().enumerate() {
        structure.revents = 0;
        // A negative descriptor is none that is asked for.
        if structure.fd.cast_signed() < 0 {
            continue;
        }
        if structure.events & !KNOWN != 0 {
            let text =
                format!("events {:#x} have bits that cannot be waited for", structure.events);
            return Err(Failure::new(abi::WSAEINVAL, text));
        }
        let entry: Arc<Entry> = match table::find(structure.fd) {
            Ok(entry) => entry,
            Err(_) => {
                structure.revents = abi::POLLNVAL;
                invalid += 1;
                continue;
            }
        };
        let mut one = Asked::new(entry);
        one.read = structure.events & (abi::POLLRDNORM | abi::POLLRDBAND) != 0;
        one.write = structure.events & abi::POLLWRNORM != 0;
        asked.push(one);
        places.push(place);
    }
    let until = if invalid > 0 { Until::Now } else { Until::milliseconds(milliseconds) };
    let found = readiness::wait(&mut asked, until)?;
    for (one, place) in asked.iter().zip(places) {
        if let Some(structure) = structures.get_mut(place) {
            let asked_for = structure.events | abi::POLLHUP | abi::POLLERR | abi::POLLNVAL;
            structure.revents = readiness::poll_bits(one) & asked_for;
        }
    }
    Ok(found + invalid)
}
