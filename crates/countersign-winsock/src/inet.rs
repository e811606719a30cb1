//! Addresses as text: `inet_pton` and its relatives.

use std::cell::RefCell;
use std::ffi::{CStr, c_char, c_int};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::ptr::{null, null_mut};

use crate::abi;
use crate::boundary::{bytes, guard, room};
use crate::failure::Failure;
use crate::wide;

const INADDR_NONE: u32 = u32::MAX;
const ERROR_INVALID_PARAMETER: i32 = 87;

/// The address in a text of this family; `None` if it is none.
fn parse(family: c_int, text: &str) -> Result<Option<Vec<u8>>, Failure> {
    match family {
        abi::AF_INET => Ok(text.parse::<Ipv4Addr>().ok().map(|ip| ip.octets().to_vec())),
        abi::AF_INET6 => Ok(text.parse::<Ipv6Addr>().ok().map(|ip| ip.octets().to_vec())),
        other => Err(unknown(other)),
    }
}

fn unknown(family: c_int) -> Failure {
    Failure::new(abi::WSAEAFNOSUPPORT, format!("family {family} is not AF_INET or AF_INET6"))
}

/// One for an address, zero for a text that is none, and -1 with an error.
///
/// # Safety
///
/// If `into` is not NULL, an address of the family must be writable there.
unsafe fn pton(family: c_int, text: Option<String>, into: *mut u8) -> Result<c_int, Failure> {
    let Some(text) = text else { return Err(Failure::FAULT) };
    let Some(address) = parse(family, &text)? else { return Ok(0) };
    // SAFETY: the caller vouches; the slice is as long as the family's addresses.
    unsafe { room(into, address.len())? }.copy_from_slice(&address);
    Ok(1)
}

/// Reads an address from text.
///
/// # Safety
///
/// `text` must be NULL or end in NUL, and an address of the family must be writable at `into`, if it
/// is not NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn countersign_ws_inet_pton(
    family: c_int,
    text: *const c_char,
    into: *mut u8,
) -> c_int {
    guard(-1, || {
        // SAFETY: the caller vouches.
        let text = (!text.is_null()).then(|| unsafe { CStr::from_ptr(text) });
        let text = text.map(|text| text.to_string_lossy().into_owned());
        // SAFETY: the caller vouches.
        unsafe { pton(family, text, into) }
    })
}

/// As [`countersign_ws_inet_pton`], in UTF-16.
///
/// # Safety
///
/// As [`countersign_ws_inet_pton`].
#[unsafe(no_mangle)]
pub unsafe extern "C" fn InetPtonW(family: c_int, text: *const u16, into: *mut u8) -> c_int {
    guard(-1, || {
        // SAFETY: the caller vouches.
        let text = unsafe { wide::read(text)? };
        // SAFETY: the caller vouches.
        unsafe { pton(family, text, into) }
    })
}

/// # Safety
///
/// If `address` is not NULL, one of the family must be readable there.
unsafe fn ntop(family: c_int, address: *const u8) -> Result<String, Failure> {
    let length = match family {
        abi::AF_INET => 4,
        abi::AF_INET6 => 16,
        other => return Err(unknown(other)),
    };
    // SAFETY: the caller vouches.
    let address = unsafe { bytes(address, length) }.map_err(|_| parameter())?;
    let v4 =
        address.first_chunk::<4>().filter(|_| length == 4).map(|ip| Ipv4Addr::from(*ip).into());
    let v6 = address.first_chunk::<16>().map(|ip| Ipv6Addr::from(*ip).into());
    let ip: Option<IpAddr> = v4.or(v6);
    Ok(ip.map_or_else(String::new, |ip| ip.to_string()))
}

fn parameter() -> Failure {
    Failure::fixed(ERROR_INVALID_PARAMETER, "a pointer is NULL, or the room for the text too short")
}

/// Writes an address as text; NULL with an error.
///
/// # Safety
///
/// If they are not NULL, an address of the family must be readable at `address`, and `size` bytes
/// writable at `into`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn countersign_ws_inet_ntop(
    family: c_int,
    address: *const u8,
    into: *mut c_char,
    size: usize,
) -> *const c_char {
    guard(null(), || {
        // SAFETY: the caller vouches.
        let text = unsafe { ntop(family, address)? };
        if into.is_null() || size <= text.len() {
            return Err(parameter());
        }
        // SAFETY: the caller vouches for no less.
        let to = unsafe { room(into.cast(), text.len() + 1)? };
        for (to, from) in to.iter_mut().zip(text.bytes().chain([0])) {
            *to = from;
        }
        Ok(into.cast_const())
    })
}

/// As [`countersign_ws_inet_ntop`], in UTF-16.
///
/// # Safety
///
/// As [`countersign_ws_inet_ntop`], in units.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn InetNtopW(
    family: c_int,
    address: *const u8,
    into: *mut u16,
    size: usize,
) -> *const u16 {
    guard(null(), || {
        // SAFETY: the caller vouches.
        let text = wide::ended(&unsafe { ntop(family, address)? });
        if into.is_null() || size < text.len() {
            return Err(parameter());
        }
        // SAFETY: the caller vouches for no less.
        let to = unsafe { room(into.cast(), text.len() * 2)? };
        for (to, from) in to.iter_mut().zip(text.iter().flat_map(|unit| unit.to_ne_bytes())) {
            *to = from;
        }
        Ok(into.cast_const())
    })
}

/// Reads an IPv4 address of one to four numbers, each decimal, octal or hexadecimal; all ones if
/// it is none. In network order.
///
/// # Safety
///
/// `text` must be NULL or end in NUL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn countersign_ws_inet_addr(text: *const c_char) -> u32 {
    guard(INADDR_NONE, || {
        if text.is_null() {
            return Ok(INADDR_NONE);
        }
        // SAFETY: not NULL, and the caller vouches for its end.
        let text = unsafe { CStr::from_ptr(text) }.to_string_lossy();
        Ok(classic(&text).map_or(INADDR_NONE, u32::to_be))
    })
}

/// The old forms of an address: `a.b.c.d`, `a.b.c` with 16 bits last, `a.b` with 24, `a` with 32.
fn classic(text: &str) -> Option<u32> {
    let numbers: Vec<u32> = text.trim_end().split('.').map(number).collect::<Option<_>>()?;
    let (last, first) = numbers.split_last()?;
    let rest = 32_u32.checked_sub(8 * u32::try_from(first.len()).ok()?)?;
    if first.len() > 3 || first.iter().any(|byte| *byte > 255) {
        return None;
    }
    if rest < 32 && *last >= 1 << rest {
        return None;
    }
    let high = first.iter().fold(0_u32, |all, byte| all << 8 | byte);
    Some(if rest == 32 { *last } else { high << rest | last })
}

fn number(text: &str) -> Option<u32> {
    let (digits, radix) = match text.as_bytes() {
        [b'0', b'x' | b'X', ..] => (text.get(2..)?, 16),
        [b'0', _, ..] => (text.get(1..)?, 8),
        _ => (text, 10),
    };
    let is_digits = !digits.is_empty() && digits.chars().all(|c| c.is_digit(radix));
    is_digits.then(|| u32::from_str_radix(digits, radix).ok())?
}

thread_local! {
    static SHOWN: RefCell<[u8; 16]> = const { RefCell::new([0; 16]) };
}

/// Writes an IPv4 address, in network order, as text. What is answered is ours, and good until the
/// thread calls again.
#[unsafe(no_mangle)]
pub extern "C" fn countersign_ws_inet_ntoa(address: u32) -> *mut c_char {
    guard(null_mut(), || {
        let text = Ipv4Addr::from(address.to_ne_bytes()).to_string();
        let shown = SHOWN.try_with(|shown| {
            let mut shown = shown.borrow_mut();
            for (to, from) in shown.iter_mut().zip(text.bytes().chain([0])) {
                *to = from;
            }
            shown.as_mut_ptr().cast()
        });
        Ok(shown.unwrap_or(null_mut()))
    })
}

#[cfg(test)]
mod tests {
    use super::classic;

    #[track_caller]
    fn check(text: &str, expected: Option<[u8; 4]>) {
        assert_eq!(classic(text), expected.map(u32::from_be_bytes), "{text}");
    }

    #[test]
    fn classic_forms() {
        check("192.0.2.1", Some([192, 0, 2, 1]));
        check("127.1", Some([127, 0, 0, 1]));
        check("10.1.258", Some([10, 1, 1, 2]));
        check("0x7f.0.0.01", Some([127, 0, 0, 1]));
        check("2130706433", Some([127, 0, 0, 1]));
        check("255.255.255.255", Some([255; 4]));
        for text in ["", "1.2.3.4.5", "256.1.1.1", "1.2.3.256", "1..2", "a", "1.2.3.08", "-1", "+1"]
        {
            check(text, None);
        }
    }
}
