//! `WSAStartup` and `WSACleanup`.

use std::ffi::{c_char, c_int};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use crate::abi::{self, WSADATA};
use crate::boundary::{answer, guard, guard_status};
use crate::calls::close;
use crate::failure::Failure;
use crate::{reactor, table};

static STARTED: AtomicU32 = AtomicU32::new(0);

const VERSION: u16 = 0x0202;
/// How long the last `WSACleanup` waits for bytes of closed sockets.
const LINGER: Duration = Duration::from_secs(2);

/// Refuses calls before `WSAStartup`.
pub(crate) fn check() -> Result<(), Failure> {
    if STARTED.load(Ordering::Relaxed) == 0 {
        return Err(Failure::fixed(abi::WSANOTINITIALISED, "WSAStartup has not been called"));
    }
    Ok(())
}

/// Starts the use of the library; returns zero, or why not.
///
/// # Safety
///
/// If `data` is not NULL, a `WSADATA` must be writable there.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn WSAStartup(requested: u16, data: *mut WSADATA) -> c_int {
    guard(abi::WSASYSNOTREADY, || {
        if data.is_null() {
            return Ok(abi::WSAEFAULT);
        }
        let (major, minor) = (requested & 0xFF, requested >> 8);
        let version = match (major, minor) {
            (0, _) => VERSION,
            (1, 0) => 0x0001,
            (1, _) => 0x0101,
            (2, 0 | 1) => requested,
            _ => VERSION,
        };
        let mut filled = WSADATA {
            version,
            high_version: VERSION,
            max_sockets: 0,
            max_udp_dg: 0,
            vendor_info: std::ptr::null_mut(),
            description: [0; 257],
            system_status: [0; 129],
        };
        put(&mut filled.description, b"Countersign Winsock 2.2");
        put(&mut filled.system_status, b"Running");
        if major < 2 {
            // As documented for applications of version 1.
            (filled.max_sockets, filled.max_udp_dg) = (32_767, 65_467);
        }
        // SAFETY: the caller vouches.
        unsafe { answer(data, filled) };
        if major == 0 {
            return Ok(abi::WSAVERNOTSUPPORTED);
        }
        STARTED.fetch_add(1, Ordering::Relaxed);
        Ok(0)
    })
}

/// Ends one use of the library. The last one closes every socket that is open, and waits a moment
/// for what closed ones still have to send.
#[unsafe(no_mangle)]
pub extern "C" fn WSACleanup() -> c_int {
    guard_status(|| {
        let down =
            STARTED.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |it| it.checked_sub(1));
        match down {
            Err(_) => Err(Failure::fixed(abi::WSANOTINITIALISED, "WSAStartup has not been called")),
            Ok(1) => {
                for entry in table::all() {
                    close(&entry);
                }
                reactor::wait_for_lingering(LINGER);
                Ok(())
            }
            Ok(_) => Ok(()),
        }
    })
}

fn put(into: &mut [c_char], text: &[u8]) {
    for (to, from) in into.iter_mut().zip(text) {
        *to = from.cast_signed();
    }
}
