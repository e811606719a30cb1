//! What programs hand over, read from bytes.
//!
//! ```text
//! bytes of a structure ──▶ sizes (WSAEMSGSIZE) ──▶ values (WSAEAFNOSUPPORT, WSAEINVAL) ──▶ types of core
//! ```
//!
//! Pure and total: any bytes give a value or a failure. Every size is checked before any value is
//! looked at, in the order of SPEC 3, so a caller that gets `WSAEMSGSIZE` has seen all there is
//! to see of sizes.

mod address;
pub use address::sockaddr;

mod name;
pub use name::{TargetName, peer_target_name};

mod settings;
pub use settings::settings;

mod template;
pub use template::{QueryTemplate, SecondForm, query_template};

mod utf16;

use crate::abi;
use crate::failure::Failure;

/// Takes `N` bytes at an offset.
fn take<const N: usize>(bytes: &[u8], at: usize) -> Result<[u8; N], Failure> {
    bytes
        .get(at..)
        .and_then(|rest| rest.first_chunk())
        .copied()
        .ok_or_else(|| short(bytes.len(), at.saturating_add(N)))
}

/// Takes a number of C's, at any alignment.
fn number(bytes: &[u8], at: usize) -> Result<u32, Failure> {
    take(bytes, at).map(u32::from_ne_bytes)
}

/// Takes a length that a structure declares; one that no buffer can have stays absurd.
fn length(bytes: &[u8], at: usize) -> Result<usize, Failure> {
    Ok(usize::try_from(number(bytes, at)?).unwrap_or(usize::MAX))
}

/// Refuses a buffer shorter than its structure.
fn at_least(bytes: &[u8], size: usize) -> Result<(), Failure> {
    if bytes.len() < size { Err(short(bytes.len(), size)) } else { Ok(()) }
}

fn short(given: usize, needed: usize) -> Failure {
    Failure::new(
        abi::WSAEMSGSIZE,
        format!("the buffer has {given} bytes, and what it should hold needs {needed}"),
    )
}

fn invalid(text: impl Into<String>) -> Failure {
    Failure::new(abi::WSAEINVAL, text.into())
}

#[cfg(test)]
mod tests;
