//! Strings, as UTF-16 of the machine's byte order, at any alignment.

use zeroize::Zeroizing;

use super::invalid;
use crate::failure::Failure;

/// Reads a string; `what` names it in errors, which never show what it holds: it may be a secret.
///
/// # Errors
///
/// `WSAEINVAL` for an odd number of bytes, a lone surrogate, or a NUL within (SPEC 2).
pub(super) fn text(bytes: &[u8], what: &str) -> Result<Zeroizing<String>, Failure> {
    if !bytes.len().is_multiple_of(2) {
        let count = bytes.len();
        return Err(invalid(format!("the {what} has {count} bytes, and UTF-16 comes in pairs")));
    }
    // Three bytes of UTF-8 for a unit are the most, so that nothing grows and leaves a copy behind.
    let mut text = Zeroizing::new(String::with_capacity(bytes.len() / 2 * 3));
    for (index, character) in char::decode_utf16(units(bytes)).enumerate() {
        match character {
            Ok('\0') => return Err(invalid(nul(bytes, what, index))),
            Ok(character) => text.push(character),
            Err(_) => {
                let text = format!("the {what} has a lone surrogate after {index} characters");
                return Err(invalid(text));
            }
        }
    }
    Ok(text)
}

/// Returns whether a unit among these is NUL.
pub(super) fn has_nul(bytes: &[u8]) -> bool {
    units(bytes).any(|unit| unit == 0)
}

fn units(bytes: &[u8]) -> impl Iterator<Item = u16> {
    bytes.as_chunks::<2>().0.iter().map(|pair| u16::from_ne_bytes(*pair))
}

/// The commonest reason for a NUL here is a program whose `wchar_t` has 32 bits.
fn nul(bytes: &[u8], what: &str, index: usize) -> String {
    let every_second = units(bytes).skip(1).step_by(2).all(|unit| unit == 0);
    let hint = if bytes.len() >= 4 && every_second {
        ": it looks like UTF-32; compile with -fshort-wchar, or write u\"...\" instead of L\"...\""
    } else {
        ""
    };
    format!("the {what} has a NUL after {index} characters{hint}")
}
