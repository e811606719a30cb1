//! Strings of C that are UTF-16.

use crate::abi;
use crate::failure::Failure;

/// Longest string that is read: names have 2,048 bytes at most, paths and texts fewer.
const MOST: usize = 32 * 1024;

/// Reads a string that ends in NUL; NULL is none.
///
/// # Errors
///
/// `WSAEINVAL` for a lone surrogate, and for a string without an end.
///
/// # Safety
///
/// `text` must be NULL, or point to units that are readable up to a NUL among them.
pub(crate) unsafe fn read(text: *const u16) -> Result<Option<String>, Failure> {
    if text.is_null() {
        return Ok(None);
    }
    let mut units = Vec::new();
    for index in 0..MOST {
        // SAFETY: no unit before this one was the NUL up to which the string reaches.
        let unit = unsafe { text.add(index) };
        // SAFETY: the same, so it is readable; alignment is not asked for.
        match unsafe { unit.read_unaligned() } {
            0 => {
                let text = String::from_utf16(&units)
                    .map_err(|_| Failure::fixed(abi::WSAEINVAL, "a string has a lone surrogate"))?;
                return Ok(Some(text));
            }
            unit => units.push(unit),
        }
    }
    Err(Failure::fixed(abi::WSAEINVAL, "a string has no end"))
}

/// Encodes a string with its end.
pub(crate) fn ended(text: &str) -> Vec<u16> {
    text.encode_utf16().chain([0]).collect()
}
