//! Calls on plain sockets, by the number of their descriptor.
//!
//! A number may have been closed by the program meanwhile; the kernel then says so, and that is
//! an error like any other.

use std::ffi::c_int;
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};

use crate::address::{Address, KernelAddress};
use crate::pieces::Piece;

/// Which file a descriptor stands for: device and inode.
pub(crate) type Identity = (u64, u64);

/// How many pieces the kernel takes at once (IOV_MAX, sendmsg(2)).
pub(crate) const MOST_PIECES: usize = 1024;

/// Lends a descriptor by its number.
pub(crate) fn borrow(number: RawFd) -> BorrowedFd<'static> {
    // SAFETY: the number is not -1. If nothing is open under it any more, or something else is,
    // system calls on it fail or reach that other thing, as they do for the program itself.
    unsafe { BorrowedFd::borrow_raw(number) }
}

/// Takes the ownership of a descriptor.
///
/// # Safety
///
/// It must be open, and nobody else may own it.
pub(crate) unsafe fn own(number: RawFd) -> OwnedFd {
    // SAFETY: the caller vouches.
    unsafe { OwnedFd::from_raw_fd(number) }
}

fn checked(result: c_int) -> io::Result<c_int> {
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(result) }
}

fn counted(result: isize) -> io::Result<usize> {
    usize::try_from(result).map_err(|_| io::Error::last_os_error())
}

fn retrying<T>(mut call: impl FnMut() -> io::Result<T>) -> io::Result<T> {
    loop {
        match call() {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            other => return other,
        }
    }
}

/// socket(2), closed on exec.
pub(crate) fn socket(family: c_int, kind: c_int, protocol: c_int) -> io::Result<OwnedFd> {
    // SAFETY: no pointers.
    let number = checked(unsafe { libc::socket(family, kind | libc::SOCK_CLOEXEC, protocol) })?;
    // SAFETY: it was just made.
    Ok(unsafe { own(number) })
}

/// fstat(2): which file a descriptor stands for.
pub(crate) fn identity(number: RawFd) -> io::Result<Identity> {
    let stat = rustix::fs::fstat(borrow(number))?;
    Ok((stat.st_dev, stat.st_ino))
}

/// bind(2).
pub(crate) fn bind(number: RawFd, address: &KernelAddress) -> io::Result<()> {
    let (pointer, length) = address.raw();
    // SAFETY: pointer and length are those of one object.
    checked(unsafe { libc::bind(number, pointer, length) })?;
    Ok(())
}

/// listen(2).
pub(crate) fn listen(number: RawFd, backlog: c_int) -> io::Result<()> {
    // SAFETY: no pointers.
    checked(unsafe { libc::listen(number, backlog) })?;
    Ok(())
}

/// accept(2), closed on exec.
pub(crate) fn accept(number: RawFd) -> io::Result<(OwnedFd, Address)> {
    let mut address = KernelAddress::empty();
    let accepted = retrying(|| {
        let (pointer, length) = address.raw_mut();
        // SAFETY: pointer and length are those of one object that outlives the call.
        checked(unsafe { libc::accept4(number, pointer, length, libc::SOCK_CLOEXEC) })
    })?;
    // SAFETY: it was just made.
    Ok((unsafe { own(accepted) }, address.to_address()))
}

/// connect(2).
pub(crate) fn connect(number: RawFd, address: &KernelAddress) -> io::Result<()> {
    let (pointer, length) = address.raw();
    // SAFETY: pointer and length are those of one object.
    checked(unsafe { libc::connect(number, pointer, length) })?;
    Ok(())
}

/// shutdown(2).
pub(crate) fn shutdown(number: RawFd, how: c_int) -> io::Result<()> {
    // SAFETY: no pointers.
    checked(unsafe { libc::shutdown(number, how) })?;
    Ok(())
}

/// Returns whether closing is to reset the connection: `SO_LINGER` with no time (socket(7)).
pub(crate) fn resets_on_close(number: RawFd) -> bool {
    let mut linger = libc::linger { l_onoff: 0, l_linger: 0 };
    let mut length = size_of::<libc::linger>() as libc::socklen_t;
    let pointer = (&raw mut linger).cast();
    // SAFETY: pointer and length are those of `linger`.
    let asked = checked(unsafe {
        libc::getsockopt(number, libc::SOL_SOCKET, libc::SO_LINGER, pointer, &mut length)
    });
    asked.is_ok() && linger.l_onoff != 0 && linger.l_linger == 0
}

/// Ends a TCP connection with a reset: connect(2) to no family.
pub(crate) fn reset(number: RawFd) -> io::Result<()> {
    let nobody = KernelAddress::empty();
    let (pointer, length) = nobody.raw();
    // SAFETY: pointer and length are those of one object that outlives the call.
    checked(unsafe { libc::connect(number, pointer, length) })?;
    Ok(())
}

/// getsockname(2).
pub(crate) fn local_address(number: RawFd) -> io::Result<Address> {
    let mut address = KernelAddress::empty();
    let (pointer, length) = address.raw_mut();
    // SAFETY: pointer and length are those of one object that outlives the call.
    checked(unsafe { libc::getsockname(number, pointer, length) })?;
    Ok(address.to_address())
}

/// getpeername(2).
pub(crate) fn peer_address(number: RawFd) -> io::Result<Address> {
    let mut address = KernelAddress::empty();
    let (pointer, length) = address.raw_mut();
    // SAFETY: pointer and length are those of one object that outlives the call.
    checked(unsafe { libc::getpeername(number, pointer, length) })?;
    Ok(address.to_address())
}

/// What arrived.
#[derive(Clone, Debug)]
pub(crate) struct Arrived {
    pub(crate) bytes: usize,
    pub(crate) from: Option<Address>,
    /// The rest of the datagram is lost.
    pub(crate) is_cut: bool,
}

/// recvmsg(2).
pub(crate) fn receive(number: RawFd, into: &[Piece], flags: c_int) -> io::Result<Arrived> {
    let mut address = KernelAddress::empty();
    // SAFETY: all zero is a value of this structure: no name, no data, no control.
    let mut message: libc::msghdr = unsafe { MaybeUninit::zeroed().assume_init() };
    let (pointer, length) = address.raw_mut();
    message.msg_name = pointer.cast();
    // SAFETY: the length that `raw_mut` gave out is one of ours.
    message.msg_namelen = unsafe { *length };
    // recvmsg reads the vector itself only.
    message.msg_iov = into.as_ptr().cast_mut().cast();
    message.msg_iovlen = into.len().min(MOST_PIECES);
    // SAFETY: everything that the message points to outlives the call; of the program's memory the
    // kernel finds out itself whether it is there.
    let bytes = retrying(|| counted(unsafe { libc::recvmsg(number, &mut message, flags) }))?;
    address.set_length(message.msg_namelen);
    let from = (message.msg_namelen > 0).then(|| address.to_address());
    Ok(Arrived { bytes, from, is_cut: message.msg_flags & libc::MSG_TRUNC != 0 })
}

/// sendmsg(2), without SIGPIPE.
pub(crate) fn send(
    number: RawFd,
    from: &[Piece],
    to: Option<&KernelAddress>,
    flags: c_int,
) -> io::Result<usize> {
    // SAFETY: all zero is a value of this structure: no name, no data, no control.
    let mut message: libc::msghdr = unsafe { MaybeUninit::zeroed().assume_init() };
    if let Some(to) = to {
        let (pointer, length) = to.raw();
        message.msg_name = pointer.cast_mut().cast();
        message.msg_namelen = length;
    }
    // sendmsg writes to none of it.
    message.msg_iov = from.as_ptr().cast_mut().cast();
    message.msg_iovlen = from.len().min(MOST_PIECES);
    let flags = flags | libc::MSG_NOSIGNAL;
    // SAFETY: everything that the message points to outlives the call; of the program's memory the
    // kernel finds out itself whether it is there.
    retrying(|| counted(unsafe { libc::sendmsg(number, &message, flags) }))
}

/// getsockopt(2) of a number.
pub(crate) fn option(number: RawFd, level: c_int, name: c_int) -> io::Result<c_int> {
    let mut value: c_int = 0;
    let mut length = size_of::<c_int>() as libc::socklen_t;
    let pointer = (&raw mut value).cast();
    // SAFETY: pointer and length are those of `value`.
    checked(unsafe { libc::getsockopt(number, level, name, pointer, &mut length) })?;
    Ok(value)
}

/// setsockopt(2) of a number.
pub(crate) fn set_option(number: RawFd, level: c_int, name: c_int, value: c_int) -> io::Result<()> {
    set_option_raw(number, level, name, &value.to_ne_bytes())
}

/// setsockopt(2) of a structure, by its bytes.
pub(crate) fn set_option_raw(
    number: RawFd,
    level: c_int,
    name: c_int,
    value: &[u8],
) -> io::Result<()> {
    let length = libc::socklen_t::try_from(value.len()).unwrap_or(libc::socklen_t::MAX);
    // SAFETY: pointer and length are those of one object.
    checked(unsafe { libc::setsockopt(number, level, name, value.as_ptr().cast(), length) })?;
    Ok(())
}

/// getsockopt(2) of a structure, by its bytes; returns how many there are.
pub(crate) fn option_raw(
    number: RawFd,
    level: c_int,
    name: c_int,
    into: &mut [u8],
) -> io::Result<usize> {
    let mut length = libc::socklen_t::try_from(into.len()).unwrap_or(libc::socklen_t::MAX);
    let pointer = into.as_mut_ptr().cast();
    // SAFETY: pointer and length are those of one object.
    checked(unsafe { libc::getsockopt(number, level, name, pointer, &mut length) })?;
    Ok(length as usize)
}

/// ioctl(2) with FIONREAD: how many bytes, or how large the first datagram is.
pub(crate) fn readable_bytes(number: RawFd) -> io::Result<u32> {
    let mut count: c_int = 0;
    // SAFETY: FIONREAD writes one int.
    checked(unsafe { libc::ioctl(number, libc::FIONREAD, &raw mut count) })?;
    Ok(u32::try_from(count).unwrap_or(0))
}

/// ioctl(2) with FIONBIO.
pub(crate) fn set_nonblocking(number: RawFd, nonblocking: bool) -> io::Result<()> {
    Ok(rustix::io::ioctl_fionbio(borrow(number), nonblocking)?)
}

/// Has `number` stand for what `other` stands for (dup3(2)), closed on exec.
pub(crate) fn replace(number: RawFd, other: BorrowedFd<'_>) -> io::Result<()> {
    // SAFETY: no pointers. Who owns the number keeps owning it.
    checked(unsafe { libc::dup3(other.as_raw_fd(), number, libc::O_CLOEXEC) })?;
    Ok(())
}

/// close(2). If the program has closed the number behind our back, that is no error of ours.
pub(crate) fn close(number: RawFd) {
    // SAFETY: no pointers, and the caller owns the number.
    let _closed = unsafe { libc::close(number) };
}

/// poll(2); `None` waits for ever.
pub(crate) fn poll(asked: &mut [libc::pollfd], milliseconds: Option<u32>) -> io::Result<usize> {
    let time = match milliseconds {
        None => -1,
        Some(time) => c_int::try_from(time).unwrap_or(c_int::MAX),
    };
    let count = asked.len() as libc::nfds_t;
    // SAFETY: pointer and count are those of one slice.
    let ready = checked(unsafe { libc::poll(asked.as_mut_ptr(), count, time) })?;
    Ok(usize::try_from(ready).unwrap_or(0))
}

/// What poll(2) says of one descriptor now.
pub(crate) fn poll_now(number: RawFd, events: i16) -> i16 {
    let mut asked = [libc::pollfd { fd: number, events, revents: 0 }];
    match poll(&mut asked, Some(0)) {
        Ok(_) => asked.map(|one| one.revents)[0],
        Err(_) => 0,
    }
}

/// Whether all of a stretch of memory is mapped (mincore(2)); `true` where that cannot be said.
pub(crate) fn is_mapped(start: *const u8, length: usize) -> bool {
    const PAGE: usize = 4096;
    const PAGES: usize = 1024;
    let mut resident = [0_u8; PAGES];
    let mut at = start.addr() & !(PAGE - 1);
    let Some(end) = start.addr().checked_add(length) else { return false };
    while at < end {
        let size = (end - at).min(PAGE * PAGES);
        let pointer = std::ptr::without_provenance_mut(at);
        // SAFETY: the kernel looks at its tables, not at the memory; it writes a byte for each
        // page of `size`, and `resident` has room for all of them.
        if checked(unsafe { libc::mincore(pointer, size, resident.as_mut_ptr()) }).is_err() {
            return io::Error::last_os_error().raw_os_error() != Some(libc::ENOMEM);
        }
        at += size;
    }
    true
}
