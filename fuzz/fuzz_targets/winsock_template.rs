//! Any bytes are a query template, or a documented error; so is any address.
#![no_main]

use countersign_winsock::{abi, decode};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let codes = [
        decode::query_template(bytes).err().map(|failure| failure.code),
        decode::sockaddr(bytes).err().map(|failure| failure.code),
    ];
    for code in codes.into_iter().flatten() {
        assert!([abi::WSAEINVAL, abi::WSAEMSGSIZE, abi::WSAEAFNOSUPPORT].contains(&code), "{code}");
    }
});
