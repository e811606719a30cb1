//! What the numbers mean, for people who have nothing but a number.

use std::ffi::{CStr, c_char, c_int};

/// Number, name, meaning.
macro_rules! texts {
    ($($number:literal $name:literal $meaning:literal,)+) => {
        /// The text of a number.
        fn text(number: c_int) -> &'static CStr {
            let text: &'static [u8] = match number {
                $($number => concat!($name, " (", $number, "): ", $meaning, "\0").as_bytes(),)+
                _ => b"a number without a meaning here\0",
            };
            CStr::from_bytes_until_nul(text).unwrap_or_default()
        }

        #[cfg(test)]
        const NUMBERS: &[c_int] = &[$($number),+];
    };
}

texts! {
    0 "ERROR_SUCCESS" "nothing failed",
    5 "ERROR_ACCESS_DENIED" "access is denied",
    6 "WSA_INVALID_HANDLE" "the handle is none of an open event or token",
    8 "WSA_NOT_ENOUGH_MEMORY" "there is no memory left",
    50 "ERROR_NOT_SUPPORTED" "this is not supported here",
    87 "WSA_INVALID_PARAMETER" "an argument is not valid",
    111 "ERROR_BUFFER_OVERFLOW" "the buffer is too small; the length needed is stored",
    122 "ERROR_INSUFFICIENT_BUFFER" "the buffer is too small",
    258 "WAIT_TIMEOUT" "the time is over",
    995 "WSA_OPERATION_ABORTED" "the operation was cancelled because its socket was closed",
    996 "WSA_IO_INCOMPLETE" "the operation is not complete yet",
    997 "WSA_IO_PENDING" "the operation was started, and its result comes later",
    1314 "ERROR_PRIVILEGE_NOT_HELD" "this process may not take another identity",
    10004 "WSAEINTR" "the call was interrupted",
    10009 "WSAEBADF" "the descriptor is not open",
    10013 "WSAEACCES" "the peer did not prove its name, is not trusted, is not allowed by policy, or refused us; or the system denies access",
    10014 "WSAEFAULT" "a pointer is NULL where one is needed, or a buffer is too small",
    10022 "WSAEINVAL" "an argument is not valid, or not now",
    10024 "WSAEMFILE" "too many descriptors are open",
    10035 "WSAEWOULDBLOCK" "it would have to wait, and the socket is non-blocking",
    10036 "WSAEINPROGRESS" "another call is in progress",
    10037 "WSAEALREADY" "it is under way already",
    10038 "WSAENOTSOCK" "the descriptor is not a socket, or is not open",
    10039 "WSAEDESTADDRREQ" "an address is needed",
    10040 "WSAEMSGSIZE" "a buffer is shorter than what it must hold",
    10041 "WSAEPROTOTYPE" "the protocol does not go with this type of socket",
    10042 "WSAENOPROTOOPT" "the option is not known at this level",
    10043 "WSAEPROTONOSUPPORT" "the protocol is not supported",
    10044 "WSAESOCKTNOSUPPORT" "the type of socket is not supported",
    10045 "WSAEOPNOTSUPP" "this socket, or this host, cannot do that",
    10046 "WSAEPFNOSUPPORT" "the protocol family is not supported",
    10047 "WSAEAFNOSUPPORT" "the address family is not AF_INET or AF_INET6",
    10048 "WSAEADDRINUSE" "the address is taken",
    10049 "WSAEADDRNOTAVAIL" "the address is none of this host",
    10050 "WSAENETDOWN" "the network is down",
    10051 "WSAENETUNREACH" "there is no route to that network",
    10052 "WSAENETRESET" "the network dropped the connection",
    10053 "WSAECONNABORTED" "the connection was ended on this side",
    10054 "WSAECONNRESET" "the peer reset the connection",
    10055 "WSAENOBUFS" "there is no room for more",
    10056 "WSAEISCONN" "the socket is connected",
    10057 "WSAENOTCONN" "the socket is not connected, or the peer is not known",
    10058 "WSAESHUTDOWN" "the socket was shut down in that direction",
    10060 "WSAETIMEDOUT" "the peer did not answer in time",
    10061 "WSAECONNREFUSED" "nothing listens there",
    10063 "WSAENAMETOOLONG" "the name is too long",
    10064 "WSAEHOSTDOWN" "the host is down",
    10065 "WSAEHOSTUNREACH" "there is no route to that host",
    10067 "WSAEPROCLIM" "too many processes use sockets",
    10091 "WSASYSNOTREADY" "the network is not ready",
    10092 "WSAVERNOTSUPPORTED" "that version of Winsock is not offered",
    10093 "WSANOTINITIALISED" "WSAStartup was not called, or did not succeed",
    10101 "WSAEDISCON" "the peer has ended the connection",
    10103 "WSAECANCELLED" "the call was cancelled",
    10107 "WSASYSCALLFAILURE" "a call of the system failed that never should",
    10109 "WSATYPE_NOT_FOUND" "there is no such service",
    11001 "WSAHOST_NOT_FOUND" "there is no such host",
    11002 "WSATRY_AGAIN" "the name server did not answer; try again",
    11003 "WSANO_RECOVERY" "the look-up failed for good",
    11004 "WSANO_DATA" "the name exists, but has no such address",
}

/// Returns what an error number means, in English and UTF-8: never NULL, valid for ever, and ours.
#[unsafe(no_mangle)]
pub extern "C" fn CountersignErrorText(number: c_int) -> *const c_char {
    text(number).as_ptr()
}

#[cfg(test)]
mod tests {
    use super::{NUMBERS, text};

    #[test]
    fn every_text_names_its_number() {
        for number in NUMBERS {
            let text = text(*number).to_str().unwrap();
            assert!(text.contains(&format!("({number})")), "{text}");
            assert!(text.is_ascii(), "FormatMessageW counts on it: {text}");
        }
        assert_eq!(text(-1).to_str(), Ok("a number without a meaning here"));
    }
}
