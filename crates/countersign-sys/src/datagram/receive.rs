//! Receiving: many datagrams in one call (recvmmsg(2)), and what the network says of those that
//! did not arrive.

#![expect(unsafe_code, reason = "no safe wrapper has recvmmsg(2) with control messages")]

use std::fmt;
use std::io;
use std::mem::MaybeUninit;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::{AsFd, AsRawFd};
use std::ptr;

use libc::{c_int, c_uint};

use super::control::{ADDRESS, Controls, destination, read_address, take};

/// Room for several datagrams, and what arrived in it last.
///
/// Memory is used only as far as datagrams have filled it: each has room for the largest that UDP
/// can carry, of which the kernel provides what is touched.
pub struct Batch {
    bytes: Box<[MaybeUninit<u8>]>,
    slots: [Slot; SLOTS],
    count: usize,
    /// How many it asks for next: the more, the more came.
    wanted: usize,
}

#[derive(Clone, Copy)]
struct Slot {
    length: usize,
    name: [u8; ADDRESS],
    control: [u8; CONTROL],
    control_length: usize,
}

/// A datagram, and how it came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Arrived<'a> {
    /// What it holds.
    pub bytes: &'a [u8],
    /// Who sent it.
    pub from: SocketAddr,
    /// The address of ours that it was sent to, if [`super::tell_destination`] asked for it.
    pub to: Option<IpAddr>,
}

/// What the network says of a datagram that we sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Complaint {
    /// Whom it was sent to.
    pub peer: SocketAddr,
    /// What is wrong there.
    pub kind: io::ErrorKind,
}

/// How many datagrams one call takes at most.
const SLOTS: usize = 16;
/// The largest datagram (RFC 768: the length is 16 bits).
const LARGEST: usize = 1 << 16;
/// Room for the control messages that are asked for, errors with their two addresses included.
const CONTROL: usize = 128;

impl Batch {
    /// Makes an empty one.
    pub fn new() -> Self {
        let slot = Slot { length: 0, name: [0; ADDRESS], control: [0; CONTROL], control_length: 0 };
        Self {
            bytes: Box::new_uninit_slice(SLOTS * LARGEST),
            slots: [slot; SLOTS],
            count: 0,
            wanted: 1,
        }
    }

    /// Receives what is there, without waiting, in place of what was received before. Returns
    /// whether there may be more.
    ///
    /// # Errors
    ///
    /// As recvmmsg(2); `WouldBlock` if nothing is there.
    pub fn receive(&mut self, socket: impl AsFd) -> io::Result<bool> {
        let wanted = self.wanted;
        self.call(socket, wanted, 0)?;
        let is_full = self.count == wanted;
        self.wanted = if is_full { (2 * wanted).min(SLOTS) } else { self.count + 1 };
        Ok(is_full)
    }

    /// Returns what was received.
    pub fn arrived(&self) -> impl Iterator<Item = Arrived<'_>> {
        self.filled().flat_map(|(slot, bytes)| {
            let (mut to, mut segment) = (None, 0);
            for (level, kind, data) in slot.controls() {
                if (level, kind) == (libc::SOL_UDP, libc::UDP_GRO) {
                    segment = take(data, 0).map_or(0, c_int::from_ne_bytes);
                } else {
                    to = destination(level, kind, data).or(to);
                }
            }
            // Without a sender it is no datagram that could be answered.
            let from = read_address(&slot.name);
            let segment = usize::try_from(segment).unwrap_or(0);
            let each = if segment == 0 { bytes.len().max(1) } else { segment };
            from.into_iter().flat_map(move |from| {
                bytes.chunks(each).map(move |bytes| Arrived { bytes, from, to })
            })
        })
    }

    /// Takes what the network has said of datagrams that we sent (IP_RECVERR of ip(7)), until
    /// there is no more of it.
    pub fn complaints(&mut self, socket: impl AsFd, mut tell: impl FnMut(Complaint)) {
        // Whatever else goes wrong with the queue of errors: there is none to be had.
        while self.call(&socket, SLOTS, libc::MSG_ERRQUEUE).is_ok() && self.count > 0 {
            for (slot, _) in self.filled() {
                let error = slot.controls().find_map(|(level, kind, data)| {
                    let is_error = matches!(
                        (level, kind),
                        (libc::IPPROTO_IP, libc::IP_RECVERR)
                            | (libc::IPPROTO_IPV6, libc::IPV6_RECVERR)
                    );
                    // struct sock_extended_err begins with the number of the error.
                    is_error.then(|| take(data, 0).map(c_int::from_ne_bytes)).flatten()
                });
                if let (Some(error), Some(peer)) = (error, read_address(&slot.name)) {
                    tell(Complaint { peer, kind: io::Error::from_raw_os_error(error).kind() });
                }
            }
        }
        self.count = 0;
    }

    fn filled(&self) -> impl Iterator<Item = (&Slot, &[u8])> {
        let slots = self.slots.iter().zip(self.bytes.chunks(LARGEST)).take(self.count);
        slots.map(|(slot, bytes)| {
            let bytes = bytes.get(..slot.length).unwrap_or_default();
            // SAFETY: the kernel has filled the first `length` bytes of each slot that counts.
            (slot, unsafe { std::slice::from_raw_parts(bytes.as_ptr().cast(), bytes.len()) })
        })
    }

    fn call(&mut self, socket: impl AsFd, wanted: usize, flags: c_int) -> io::Result<()> {
        let wanted = wanted.min(SLOTS);
        self.count = 0;
        let none = libc::iovec { iov_base: ptr::null_mut(), iov_len: 0 };
        let mut pieces = [none; SLOTS];
        // SAFETY: a mmsghdr is numbers and pointers, for which zero is a value.
        let empty: libc::mmsghdr = unsafe { std::mem::zeroed() };
        let mut headers = [empty; SLOTS];
        let rooms = self.slots.iter_mut().zip(self.bytes.chunks_mut(LARGEST));
        for ((header, piece), (slot, room)) in
            headers.iter_mut().zip(&mut pieces).zip(rooms).take(wanted)
        {
            *piece = libc::iovec { iov_base: room.as_mut_ptr().cast(), iov_len: room.len() };
            slot.name = [0; ADDRESS];
            let header = &mut header.msg_hdr;
            header.msg_name = slot.name.as_mut_ptr().cast();
            header.msg_namelen = length(ADDRESS);
            header.msg_iov = piece;
            header.msg_iovlen = 1;
            header.msg_control = slot.control.as_mut_ptr().cast();
            header.msg_controllen = CONTROL;
        }
        let count = loop {
            // SAFETY: the first `wanted` headers point to rooms of the lengths that they say, each
            // of them its own, which nobody else uses during the call.
            let count = unsafe {
                libc::recvmmsg(
                    socket.as_fd().as_raw_fd(),
                    headers.as_mut_ptr(),
                    length(wanted),
                    libc::MSG_DONTWAIT | flags,
                    ptr::null_mut(),
                )
            };
            match usize::try_from(count) {
                Ok(count) => break count,
                Err(_) => {
                    let error = io::Error::last_os_error();
                    if error.kind() != io::ErrorKind::Interrupted {
                        return Err(error);
                    }
                }
            }
        };
        for (slot, header) in self.slots.iter_mut().zip(&headers).take(count) {
            // No datagram is larger than its room, so none is cut.
            slot.length = usize::try_from(header.msg_len).unwrap_or(0);
            slot.control_length = header.msg_hdr.msg_controllen;
        }
        self.count = count;
        Ok(())
    }
}

impl Slot {
    fn controls(&self) -> Controls<'_> {
        Controls(self.control.get(..self.control_length).unwrap_or_default())
    }
}

impl Default for Batch {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Batch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Batch").field("count", &self.count).finish_non_exhaustive()
    }
}

fn length(small: usize) -> c_uint {
    c_uint::try_from(small).unwrap_or(c_uint::MAX)
}
