//! The program's buffers, one or many, as pieces of memory of which we know only what it says.

use std::ffi::c_int;

use crate::abi::WSABUF;
use crate::boundary::{bytes, room};
use crate::failure::Failure;
use crate::{abi, kernel};

/// A piece of the program's memory, in the layout of an iovec.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub(crate) struct Piece {
    start: *mut u8,
    length: usize,
}

// SAFETY: it is only a number until one of its unsafe methods is called, whose callers answer for
// the memory.
unsafe impl Send for Piece {}

/// How many buffers one call may have. More is absurd, and so is reading as many.
const MOST: usize = 1 << 16;
/// From this size on we ask the kernel whether a buffer is there, rather than fault.
const ASK_FROM: usize = 1 << 20;

impl Piece {
    /// Takes what C says is a buffer.
    pub(crate) fn new(start: *mut u8, length: usize) -> Result<Self, Failure> {
        if length > 0 && start.is_null() || length > isize::MAX as usize {
            return Err(Failure::FAULT);
        }
        if length >= ASK_FROM && !kernel::is_mapped(start, length) {
            return Err(Failure::fixed(abi::WSAEFAULT, "not all of the buffer is in memory"));
        }
        Ok(Self { start, length })
    }

    pub(crate) fn of_int(start: *mut u8, length: c_int) -> Result<Self, Failure> {
        let length = usize::try_from(length)
            .map_err(|_| Failure::fixed(abi::WSAEFAULT, "the length is negative"))?;
        Self::new(start, length)
    }

    pub(crate) fn len(&self) -> usize {
        self.length
    }

    /// # Safety
    ///
    /// As [`bytes`], of the buffer that it was made of.
    pub(crate) unsafe fn bytes<'a>(self) -> &'a [u8] {
        // SAFETY: the caller vouches.
        unsafe { bytes(self.start, self.length) }.unwrap_or_default()
    }

    /// # Safety
    ///
    /// As [`room`], of the buffer that it was made of.
    pub(crate) unsafe fn room<'a>(self) -> &'a mut [u8] {
        // SAFETY: the caller vouches.
        unsafe { room(self.start, self.length) }.unwrap_or_default()
    }

    /// What is left of it behind `count` bytes.
    fn without(self, count: usize) -> Self {
        let count = count.min(self.length);
        Self { start: self.start.wrapping_add(count), length: self.length - count }
    }
}

/// Reads an array of `WSABUF`.
///
/// # Safety
///
/// If `buffers` is not NULL, `count` of them must be readable there.
pub(crate) unsafe fn read(buffers: *const WSABUF, count: u32) -> Result<Vec<Piece>, Failure> {
    let count = count as usize;
    if count > MOST {
        return Err(Failure::fixed(abi::WSAEINVAL, "that many buffers are absurd"));
    }
    if count > 0 && buffers.is_null() {
        return Err(Failure::FAULT);
    }
    let mut pieces = Vec::with_capacity(count);
    for index in 0..count {
        let at = buffers.wrapping_add(index);
        // SAFETY: the caller vouches for `count` of them; alignment is not asked for.
        let WSABUF { len, buf } = unsafe { at.read_unaligned() };
        pieces.push(Piece::new(buf, len as usize)?);
    }
    Ok(pieces)
}

/// How many bytes they have together.
pub(crate) fn total(pieces: &[Piece]) -> usize {
    pieces.iter().fold(0, |sum, piece| sum.saturating_add(piece.length))
}

/// Leaves out the first `count` bytes.
pub(crate) fn advance(pieces: &mut Vec<Piece>, mut count: usize) {
    pieces.retain_mut(|piece| {
        let here = count.min(piece.length);
        count -= here;
        *piece = piece.without(here);
        piece.length > 0
    });
}

/// Copies all that they hold.
///
/// # Safety
///
/// As [`Piece::bytes`] of each.
pub(crate) unsafe fn gather(pieces: &[Piece]) -> Vec<u8> {
    let mut all = Vec::with_capacity(total(pieces));
    for piece in pieces {
        // SAFETY: the caller vouches.
        all.extend_from_slice(unsafe { piece.bytes() });
    }
    all
}

/// Copies `from` into them, as much as fits.
///
/// # Safety
///
/// As [`Piece::room`] of each.
pub(crate) unsafe fn scatter(mut from: &[u8], pieces: &[Piece]) {
    for piece in pieces {
        let count = from.len().min(piece.length);
        let Some((now, later)) = from.split_at_checked(count) else { return };
        // SAFETY: the caller vouches.
        let into = unsafe { piece.room() };
        if let Some(into) = into.get_mut(..count) {
            into.copy_from_slice(now);
        }
        from = later;
    }
}

#[cfg(test)]
mod tests {
    use super::{Piece, advance, gather, scatter, total};
    use crate::abi;

    #[test]
    fn what_is_not_there_is_a_fault_and_no_crash() {
        let here = 0_u8;
        let start = (&raw const here).cast_mut();
        assert_eq!(Piece::new(std::ptr::null_mut(), 1).unwrap_err().code, abi::WSAEFAULT);
        assert_eq!(Piece::of_int(start, -1).unwrap_err().code, abi::WSAEFAULT);
        assert_eq!(Piece::of_int(start, i32::MAX).unwrap_err().code, abi::WSAEFAULT);
        assert_eq!(Piece::new(start, usize::MAX).unwrap_err().code, abi::WSAEFAULT);
        assert!(Piece::new(std::ptr::null_mut(), 0).is_ok());
    }

    #[test]
    fn pieces_are_one_stretch() {
        let (mut one, mut two) = (*b"abc", *b"defg");
        let mut pieces = vec![
            Piece::new(one.as_mut_ptr(), 3).unwrap(),
            Piece::new(std::ptr::null_mut(), 0).unwrap(),
            Piece::new(two.as_mut_ptr(), 4).unwrap(),
        ];
        // SAFETY: both arrays are there.
        assert_eq!(unsafe { gather(&pieces) }, b"abcdefg");
        advance(&mut pieces, 4);
        assert_eq!(total(&pieces), 3);
        // SAFETY: both arrays are there.
        unsafe { scatter(b"xyzzy", &pieces) };
        assert_eq!(&two, b"dxyz");
    }
}
