//! Tokens: who a peer is, held by a handle that outlives the connection.

use std::ffi::c_int;
use std::sync::Arc;

use countersign::rights::{self, PeerToken};

use crate::abi::{self, Handle};
use crate::boundary::guard;
use crate::failure::Failure;
use crate::handle::{self, Object};
use crate::{last_error, reactor};

/// A token that a query has handed out.
#[derive(Debug)]
pub(crate) struct Token {
    peer: PeerToken,
    access: u32,
}

/// `TOKEN_DUPLICATE` and `TOKEN_IMPERSONATE` (SPEC 7.2).
const DUPLICATE: u32 = 0x2;
const IMPERSONATE: u32 = 0x4;

impl Token {
    /// Makes a handle of a token that is good for `access`.
    pub(crate) fn hand_out(peer: PeerToken, access: u32) -> Result<Handle, Failure> {
        let token = Arc::new(Self { peer, access });
        handle::make(Object::Token(token))
            .ok_or(Failure::fixed(abi::WSAENOBUFS, "too many handles are open"))
    }
}

/// Whether an access mask asks for anything that can be given; bits of other rights are for
/// tokens that Windows has and we have not.
pub(crate) fn check_access(access: u32) -> Result<(), Failure> {
    /// `GENERIC_ALL`, `_EXECUTE`, `_WRITE`, `_READ`, `MAXIMUM_ALLOWED`, and the standard and specific
    /// rights of tokens.
    const KNOWN: u32 = 0xF200_0000 | 0x000F_01FF;
    if access & !KNOWN != 0 {
        let text = format!("the access mask {access:#x} has bits that mean nothing for a token");
        return Err(Failure::new(abi::WSAEINVAL, text));
    }
    Ok(())
}

/// Acts for the peer of a token on this thread, until [`RevertToSelf`].
///
/// The answer is not zero if that succeeded; else `GetLastError` says why.
#[unsafe(no_mangle)]
pub extern "C" fn ImpersonateLoggedOnUser(token: Handle) -> c_int {
    guard(abi::FALSE, || {
        let Some(Object::Token(token)) = handle::find(token) else {
            return Err(Failure::fixed(abi::WSA_INVALID_HANDLE, "the handle is none of a token"));
        };
        let generic = token.access & 0xF200_0000 != 0;
        if !generic && token.access & (IMPERSONATE | DUPLICATE) == 0 {
            let text = "the token was not asked for with TOKEN_IMPERSONATE";
            return Err(Failure::fixed(ERROR_ACCESS_DENIED, text));
        }
        assume(&token.peer)?;
        Ok(abi::TRUE)
    })
}

/// Windows' number for what a token does not permit.
const ERROR_ACCESS_DENIED: i32 = 5;

/// Has this thread be who it was before it acted for a peer; not zero if that succeeded.
#[unsafe(no_mangle)]
pub extern "C" fn RevertToSelf() -> c_int {
    guard(abi::FALSE, || {
        rights::revert();
        Ok(abi::TRUE)
    })
}

/// Closes a handle of a token or an event; not zero if it was one.
#[unsafe(no_mangle)]
pub extern "C" fn CloseHandle(object: Handle) -> c_int {
    guard(abi::FALSE, || {
        if handle::close(object).is_none() {
            last_error::note(Failure::fixed(abi::WSA_INVALID_HANDLE, "the handle is not open"));
            return Ok(abi::FALSE);
        }
        Ok(abi::TRUE)
    })
}

/// Acts for a peer on this thread.
pub(crate) fn assume(peer: &PeerToken) -> Result<(), Failure> {
    // A thread that were started from now on would act for the peer too.
    reactor::start();
    rights::assume(peer).map_err(|error| Failure::from(countersign::Error::from(error)))
}
