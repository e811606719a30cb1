//! The calls of libssl's DTLS that the `openssl` crate does not offer, made safe.
//!
//! Nothing else in this crate is unsafe.

#![expect(unsafe_code, reason = "libssl is C, and the openssl crate lacks these calls")]
#![expect(clippy::needless_pass_by_ref_mut, reason = "libssl changes what Rust does not see")]

use std::ffi::{c_int, c_long, c_uint, c_void};
use std::io::{Read, Write};
use std::ptr;
use std::time::Duration;

use foreign_types::ForeignTypeRef;
use openssl::error::ErrorStack;
use openssl::ssl::{SslContextBuilder, SslRef, SslStream};
use openssl::x509::X509VerifyResult;
use openssl_sys::{SSL, SSL_CTX_ctrl, SSL_ctrl};

/// `BIO_ADDR`, of which only libssl knows what is in it.
#[repr(C)]
struct BioAddr {
    _opaque: [u8; 0],
}

unsafe extern "C" {
    fn BIO_ADDR_free(address: *mut BioAddr);
    fn BIO_ADDR_new() -> *mut BioAddr;
    fn DTLS_set_timer_cb(ssl: *mut SSL, callback: extern "C" fn(*mut SSL, c_uint) -> c_uint);
    fn DTLSv1_listen(ssl: *mut SSL, client: *mut BioAddr) -> c_int;
    fn SSL_certs_clear(ssl: *mut SSL);
}

// Numbers of <openssl/ssl.h>, which C code uses through macros.
const DTLS_CTRL_GET_TIMEOUT: c_int = 73;
const DTLS_CTRL_HANDLE_TIMEOUT: c_int = 74;
const SSL_CTRL_GET_NEGOTIATED_GROUP: c_int = 134;
const SSL_CTRL_SET_MAX_CERT_LIST: c_int = 51;
const SSL_CTRL_SET_MAX_SEND_FRAGMENT: c_int = 52;

/// `struct timeval` where `time_t` has the size of a long, as on every Linux of 64 bits.
#[repr(C)]
struct Timeval {
    secs: c_long,
    micros: c_long,
}

/// Answers a ClientHello without keeping anything of it, unless it carries the right cookie.
///
/// Returns whether the stream has become the peer's. If not, it is as new, and what it wrote is
/// the answer, if there is one.
pub(crate) fn listen<S: Read + Write>(stream: &mut SslStream<S>) -> Result<bool, ErrorStack> {
    // SAFETY: BIO_ADDR_new(3) has no conditions.
    let address = unsafe { BIO_ADDR_new() };
    if address.is_null() {
        return Err(ErrorStack::get());
    }
    // SAFETY: both pointers are valid, and nobody else uses them, since the stream is borrowed
    // exclusively.
    let result = unsafe { DTLSv1_listen(stream.ssl().as_ptr(), address) };
    // SAFETY: it was made above, is freed once, and libssl keeps no pointer to it.
    unsafe { BIO_ADDR_free(address) };
    // A queue of errors that is left behind would be taken for the next call's.
    let errors = ErrorStack::get();
    if result < 0 { Err(errors) } else { Ok(result > 0) }
}

/// Returns how long it is until the flight on the way is to be sent again; zero is now, and so is
/// anything below 15 ms, as libssl counts.
pub(crate) fn timeout<S>(stream: &SslStream<S>) -> Option<Duration> {
    let mut left = Timeval { secs: 0, micros: 0 };
    let into: *mut c_void = ptr::from_mut(&mut left).cast();
    // SAFETY: libssl writes a struct timeval to the pointer, which is to one.
    let set = unsafe { SSL_ctrl(stream.ssl().as_ptr(), DTLS_CTRL_GET_TIMEOUT, 0, into) };
    let (secs, micros) = (u64::try_from(left.secs), u64::try_from(left.micros));
    (set > 0).then(|| {
        Duration::from_secs(secs.unwrap_or(0)) + Duration::from_micros(micros.unwrap_or(0))
    })
}

/// Sends the flight on the way again, if its time is over.
pub(crate) fn handle_timeout<S: Read + Write>(stream: &mut SslStream<S>) -> Result<(), ErrorStack> {
    let ssl = stream.ssl().as_ptr();
    // SAFETY: the pointer is valid and borrowed exclusively; this control takes no argument.
    let result = unsafe { SSL_ctrl(ssl, DTLS_CTRL_HANDLE_TIMEOUT, 0, ptr::null_mut()) };
    let errors = ErrorStack::get();
    if result < 0 { Err(errors) } else { Ok(()) }
}

/// Sets how long the first flight waits for its answer, and that the time doubles then.
pub(crate) fn set_backoff(ssl: &mut SslRef) {
    // SAFETY: the callback is a function that lives as long as the program and does not unwind.
    unsafe { DTLS_set_timer_cb(ssl.as_ptr(), backoff) };
}

/// The first time-out, in microseconds: half of what RFC 6347 section 4.2.4.1 recommends for
/// networks of 2012.
const FIRST_TIMEOUT: c_uint = 500_000;
/// The longest. A handshake has ten seconds in all, so longer pauses would be the end of it; and
/// libssl gives up after a dozen of them anyway.
const LAST_TIMEOUT: c_uint = 4_000_000;

extern "C" fn backoff(_ssl: *mut SSL, before: c_uint) -> c_uint {
    if before == 0 { FIRST_TIMEOUT } else { before.saturating_mul(2).min(LAST_TIMEOUT) }
}

/// Bounds how much a peer's chain of certificates may be.
pub(crate) fn set_max_chain(context: &mut SslContextBuilder, bytes: u16) {
    let context = context.as_ptr();
    // SAFETY: the pointer is valid and borrowed exclusively; this control takes a number.
    unsafe {
        SSL_CTX_ctrl(context, SSL_CTRL_SET_MAX_CERT_LIST, c_long::from(bytes), ptr::null_mut())
    };
}

/// Bounds the plaintext of one record, and so the buffer that each connection holds for writing.
pub(crate) fn set_max_send_fragment(context: &mut SslContextBuilder, bytes: u16) {
    let context = context.as_ptr();
    // SAFETY: the pointer is valid and borrowed exclusively; this control takes a number.
    unsafe {
        SSL_CTX_ctrl(context, SSL_CTRL_SET_MAX_SEND_FRAGMENT, c_long::from(bytes), ptr::null_mut())
    };
}

/// Has a connection show no certificate of ours, where it has not yet.
pub(crate) fn forget_certificate(ssl: &SslRef) {
    // SAFETY: the pointer is valid, and libssl lets certificates be set and cleared from within
    // callbacks of the same connection (SSL_CTX_set_cert_cb(3)); it drops references of its own.
    unsafe { SSL_certs_clear(ssl.as_ptr()) };
}

/// Returns the number (OpenSSL's NID) of the group of the key exchange.
pub(crate) fn negotiated_group<S>(stream: &SslStream<S>) -> Option<c_int> {
    let ssl = stream.ssl().as_ptr();
    // SAFETY: the pointer is valid; this control takes no argument and changes nothing.
    let group = unsafe { SSL_ctrl(ssl, SSL_CTRL_GET_NEGOTIATED_GROUP, 0, ptr::null_mut()) };
    c_int::try_from(group).ok().filter(|group| *group > 0)
}

/// Lends the settings of a stream that has begun.
pub(crate) fn settings<S>(stream: &mut SslStream<S>) -> &mut SslRef {
    let ssl = stream.ssl().as_ptr();
    // SAFETY: the stream owns what the pointer points to, and is borrowed exclusively for as long
    // as the reference lives.
    unsafe { SslRef::from_ptr_mut(ssl) }
}

/// Returns a verification result by its number (`X509_V_ERR_…`), from which libssl chooses the
/// alert.
pub(crate) fn verify_result(number: c_int) -> X509VerifyResult {
    // SAFETY: any number will do; libssl maps those that it does not know to one alert.
    unsafe { X509VerifyResult::from_raw(number) }
}
