//! `DsMakeSpn`: the name of a service, from its parts.
//!
//! | given | makes |
//! | --- | --- |
//! | no instance | `class/service[:port]` |
//! | no instance, and the service is an IP address, and a referrer | `class/service[:port]/referrer` |
//! | an instance | `class/instance[:port]/service` |
//!
//! As documented for `ntdsapi.h`. A part that would make another name of it (a slash in the class or
//! in the host) is `ERROR_INVALID_PARAMETER`.

use std::ffi::{CStr, c_char};
use std::fmt::Write as _;
use std::net::IpAddr;

use crate::boundary::{answer, value};
use crate::wide;

const ERROR_SUCCESS: u32 = 0;
const ERROR_INVALID_PARAMETER: u32 = 87;
const ERROR_BUFFER_OVERFLOW: u32 = 111;

/// The parts of a name.
#[derive(Clone, Copy, Debug)]
struct Parts<'a> {
    class: &'a str,
    service: &'a str,
    instance: Option<&'a str>,
    port: u16,
    referrer: Option<&'a str>,
}

impl Parts<'_> {
    fn join(&self) -> Option<String> {
        let host = self.instance.unwrap_or(self.service);
        let may_be_part = |part: &str| !part.is_empty() && !part.contains('/');
        if !may_be_part(self.class) || !may_be_part(host) || self.service.is_empty() {
            return None;
        }
        let mut spn = format!("{}/{host}", self.class);
        if self.port != 0 {
            // Writing to a string cannot fail.
            let _ = write!(spn, ":{}", self.port);
        }
        let last = match self.instance {
            Some(_) => Some(self.service),
            None => self.referrer.filter(|_| self.service.parse::<IpAddr>().is_ok()),
        };
        if let Some(last) = last.filter(|last| !last.is_empty()) {
            let _ = write!(spn, "/{last}");
        }
        Some(spn)
    }
}

/// Makes the name of a service, in UTF-16.
///
/// `*length` is the room at `spn` in units, and then the length of the name with its end. A NULL
/// `spn` asks for the length.
///
/// # Safety
///
/// The strings must end in NUL or be NULL; `*length` must be readable and writable, and as many units
/// as it says must be writable at `spn`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn DsMakeSpnW(
    service_class: *const u16,
    service_name: *const u16,
    instance_name: *const u16,
    instance_port: u16,
    referrer: *const u16,
    length: *mut u32,
    spn: *mut u16,
) -> u32 {
    no_panic(|| {
        // SAFETY: the caller vouches for each of the strings.
        let read = |text| unsafe { wide::read(text) };
        let texts =
            [service_class, service_name, instance_name, referrer].map(|text| read(text).ok());
        let [Some(class), Some(service), Some(instance), Some(referrer)] = texts else {
            return ERROR_INVALID_PARAMETER;
        };
        let made = make(class, service, instance, instance_port, referrer);
        let Some(made) = made else { return ERROR_INVALID_PARAMETER };
        let units: Vec<u16> = made.encode_utf16().chain([0]).collect();
        // SAFETY: the caller vouches for the length and the room.
        unsafe { hand_over(&units, length, spn) }
    })
}

/// Makes the name of a service, in UTF-8: as [`DsMakeSpnW`].
///
/// # Safety
///
/// As [`DsMakeSpnW`], in bytes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn DsMakeSpnA(
    service_class: *const c_char,
    service_name: *const c_char,
    instance_name: *const c_char,
    instance_port: u16,
    referrer: *const c_char,
    length: *mut u32,
    spn: *mut c_char,
) -> u32 {
    no_panic(|| {
        // SAFETY: the caller vouches for each of the strings.
        let read = |text| unsafe { read_narrow(text) };
        let texts = [service_class, service_name, instance_name, referrer].map(read);
        let [Some(class), Some(service), Some(instance), Some(referrer)] = texts else {
            return ERROR_INVALID_PARAMETER;
        };
        let made = make(class, service, instance, instance_port, referrer);
        let Some(made) = made else { return ERROR_INVALID_PARAMETER };
        let bytes: Vec<u8> = made.into_bytes().into_iter().chain([0]).collect();
        // SAFETY: the caller vouches for the length and the room.
        unsafe { hand_over(&bytes, length, spn.cast()) }
    })
}

fn make(
    class: Option<String>,
    service: Option<String>,
    instance: Option<String>,
    port: u16,
    referrer: Option<String>,
) -> Option<String> {
    let parts = Parts {
        class: class.as_deref()?,
        service: service.as_deref()?,
        instance: instance.as_deref(),
        port,
        referrer: referrer.as_deref(),
    };
    parts.join()
}

/// The outer option is whether it is text, the inner one whether there is any.
///
/// # Safety
///
/// `text` must end in NUL or be NULL.
unsafe fn read_narrow(text: *const c_char) -> Option<Option<String>> {
    if text.is_null() {
        return Some(None);
    }
    // SAFETY: not NULL, and the caller vouches for its end.
    let text = unsafe { CStr::from_ptr(text) };
    text.to_str().ok().map(|text| Some(text.to_owned()))
}

/// Writes the name with its end, if there is room, and its length.
///
/// # Safety
///
/// As [`DsMakeSpnW`] of `length` and `spn`.
unsafe fn hand_over<T: Copy>(made: &[T], length: *mut u32, spn: *mut T) -> u32 {
    // SAFETY: the caller vouches for `length`.
    let Ok(room) = (unsafe { value(length) }) else { return ERROR_INVALID_PARAMETER };
    let Ok(needed) = u32::try_from(made.len()) else { return ERROR_INVALID_PARAMETER };
    // SAFETY: it was readable, and the caller vouches that it is writable.
    unsafe { answer(length, needed) };
    if spn.is_null() || room < needed {
        return ERROR_BUFFER_OVERFLOW;
    }
    // SAFETY: the caller vouches for `room` elements at `spn`, and there are no more of ours; they
    // do not overlap, since ours are new. As bytes, because alignment is not asked for.
    unsafe {
        spn.cast::<u8>().copy_from_nonoverlapping(made.as_ptr().cast(), size_of_val(made));
    }
    ERROR_SUCCESS
}

fn no_panic(body: impl FnOnce() -> u32) -> u32 {
    // Nothing is left half done that anybody could see: the names are new in each call.
    std::panic::catch_unwind(std::panic::AssertUnwindSafe(body)).unwrap_or(ERROR_INVALID_PARAMETER)
}

#[cfg(test)]
mod tests {
    use super::{
        DsMakeSpnA, DsMakeSpnW, ERROR_BUFFER_OVERFLOW, ERROR_INVALID_PARAMETER, ERROR_SUCCESS,
        Parts,
    };
    use std::ptr::null;

    #[track_caller]
    fn check(parts: (&str, &str, Option<&str>, u16, Option<&str>), expected: Option<&str>) {
        let (class, service, instance, port, referrer) = parts;
        let parts = Parts { class, service, instance, port, referrer };
        assert_eq!(parts.join().as_deref(), expected);
    }

    #[test]
    fn composition() {
        check(("host", "db1", None, 0, None), Some("host/db1"));
        check(("host", "db1", None, 80, None), Some("host/db1:80"));
        check(("host", "db1", None, 80, Some("dns")), Some("host/db1:80"));
        check(("host", "192.0.2.1", None, 0, Some("dns")), Some("host/192.0.2.1/dns"));
        check(("host", "192.0.2.1", None, 80, Some("dns")), Some("host/192.0.2.1:80/dns"));
        check(("ldap", "d.com", Some("dc1.d.com"), 0, None), Some("ldap/dc1.d.com/d.com"));
        check(("ldap", "d.com", Some("dc1"), 389, Some("x")), Some("ldap/dc1:389/d.com"));
        check(("ldap", "CN=a/b", Some("dc1"), 0, None), Some("ldap/dc1/CN=a/b"));
    }

    #[test]
    fn parts_that_would_make_another_name() {
        check(("", "db1", None, 0, None), None);
        check(("host", "", None, 0, None), None);
        check(("ho/st", "db1", None, 0, None), None);
        check(("host", "db1/x", None, 0, None), None);
        check(("host", "db1", Some(""), 0, None), None);
    }

    fn wide(text: &str) -> Vec<u16> {
        text.encode_utf16().chain([0]).collect()
    }

    #[test]
    fn length_needed_is_stored_and_nothing_else() {
        let (class, service) = (wide("host"), wide("db1"));
        let mut room = [7_u16; 16];
        for (given, expected) in [(0, ERROR_BUFFER_OVERFLOW), (8, ERROR_BUFFER_OVERFLOW)] {
            let mut length = given;
            // SAFETY: the strings end in NUL, and the room has more units than `length` says.
            let result = unsafe {
                DsMakeSpnW(
                    class.as_ptr(),
                    service.as_ptr(),
                    null(),
                    0,
                    null(),
                    &raw mut length,
                    room.as_mut_ptr(),
                )
            };
            assert_eq!((result, length, room), (expected, 9, [7; 16]));
        }
        let mut length = 9;
        // SAFETY: as above.
        let result = unsafe {
            DsMakeSpnW(
                class.as_ptr(),
                service.as_ptr(),
                null(),
                0,
                null(),
                &raw mut length,
                room.as_mut_ptr(),
            )
        };
        assert_eq!((result, length), (ERROR_SUCCESS, 9));
        assert_eq!(room[..9], wide("host/db1")[..]);
        assert_eq!(room[9], 7);
    }

    #[test]
    fn absent_parts() {
        let text = c"x".as_ptr();
        let mut length = 0;
        let none = std::ptr::null_mut();
        for (class, service) in [(null(), text), (text, null())] {
            // SAFETY: NULL, or ends in NUL; there is no room, and it says so.
            let result =
                unsafe { DsMakeSpnA(class, service, null(), 0, null(), &raw mut length, none) };
            assert_eq!(result, ERROR_INVALID_PARAMETER);
        }
        // SAFETY: as above.
        let result =
            unsafe { DsMakeSpnA(text, text, null(), 0, null(), std::ptr::null_mut(), none) };
        assert_eq!(result, ERROR_INVALID_PARAMETER);
        // SAFETY: as above.
        let result = unsafe { DsMakeSpnA(text, text, null(), 0, null(), &raw mut length, none) };
        assert_eq!((result, length), (ERROR_BUFFER_OVERFLOW, 4));
    }
}
