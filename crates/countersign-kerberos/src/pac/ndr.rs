//! Reads network data representation (C706 chapter 14, [MS-RPCE] 2.2.6), as far as a PAC needs it:
//! little endian, one structure, pointers that are followed later.
//!
//! [MS-RPCE]: https://learn.microsoft.com/openspecs/windows_protocols/ms-rpce

use countersign_core::Sid;

/// A cursor over bytes. Whatever does not fit is `None`; nothing is allocated by a count that the
/// bytes do not back.
#[derive(Debug)]
pub(super) struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
}

/// A pointer, of which only is known whether it points to something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Pointer {
    Null,
    Something,
}

impl<'a> Reader<'a> {
    /// Takes the head of a serialized structure off: version 1, little endian, and how many bytes
    /// follow ([MS-RPCE] 2.2.6.1 and 2.2.6.2).
    pub(super) fn begin(bytes: &'a [u8]) -> Option<Self> {
        let (head, body) = bytes.split_first_chunk::<16>()?;
        let [version, order, length_low, length_high, _, _, _, _, size @ .., _, _, _, _] = *head;
        if (version, order, length_low, length_high) != (1, 0x10, 8, 0) {
            return None;
        }
        let size = usize::try_from(u32::from_le_bytes(size)).ok()?;
        Some(Self { bytes: body.get(..size)?, at: 0 })
    }

    pub(super) fn u32(&mut self) -> Option<u32> {
        self.align(4)?;
        let (number, _) = self.bytes.get(self.at..)?.split_first_chunk::<4>()?;
        self.at += 4;
        Some(u32::from_le_bytes(*number))
    }

    /// Passes over so many 32-bit words.
    pub(super) fn skip_words(&mut self, words: usize) -> Option<()> {
        self.align(4)?;
        self.skip(words.checked_mul(4)?)
    }

    pub(super) fn pointer(&mut self) -> Option<Pointer> {
        Some(if self.u32()? == 0 { Pointer::Null } else { Pointer::Something })
    }

    /// Passes over the pointer of a RPC_UNICODE_STRING ([MS-DTYP] 2.3.10), and its lengths.
    pub(super) fn string(&mut self) -> Option<Pointer> {
        self.skip_words(1)?;
        self.pointer()
    }

    /// Passes over the characters of a RPC_UNICODE_STRING, if there are any.
    pub(super) fn skip_characters(&mut self, pointer: Pointer) -> Option<()> {
        if pointer == Pointer::Null {
            return Some(());
        }
        let (_most, offset, count) = (self.u32()?, self.u32()?, self.u32()?);
        if offset != 0 {
            return None;
        }
        self.skip(usize::try_from(count).ok()?.checked_mul(2)?)
    }

    /// Reads the head of an array, which states again how many elements it has, and checks that so
    /// many of `size` bytes can follow.
    pub(super) fn count(&mut self, stated: u32, size: usize) -> Option<usize> {
        let count = self.u32()?;
        let left = self.bytes.len().saturating_sub(self.at);
        let count = usize::try_from(count).ok().filter(|_| count == stated)?;
        (count.checked_mul(size)? <= left).then_some(count)
    }

    /// Reads a RPC_SID ([MS-DTYP] 2.4.2.3).
    pub(super) fn sid(&mut self) -> Option<Sid> {
        let stated = self.u32()?;
        let (head, _) = self.bytes.get(self.at..)?.split_first_chunk::<8>()?;
        self.at += 8;
        let [revision, count, authority @ ..] = *head;
        if revision != 1 || u32::from(count) != stated || usize::from(count) > Sid::MAX_PARTS {
            return None;
        }
        let authority = authority.iter().fold(0, |sum, byte| sum << 8 | u64::from(*byte));
        let parts = (0..count).map(|_| self.u32()).collect::<Option<_>>()?;
        Sid::new(authority, parts).ok()
    }

    fn align(&mut self, to: usize) -> Option<()> {
        self.at = self.at.checked_next_multiple_of(to)?;
        Some(())
    }

    fn skip(&mut self, bytes: usize) -> Option<()> {
        self.at = self.at.checked_add(bytes).filter(|at| *at <= self.bytes.len())?;
        Some(())
    }
}
