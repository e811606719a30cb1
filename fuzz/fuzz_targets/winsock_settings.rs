//! Any bytes are security settings, or a documented error; what is too short for its strings is
//! an error of size.
#![no_main]

use countersign_winsock::{abi, decode};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    match decode::settings(bytes) {
        Ok(settings) => assert_eq!(settings.ipsec().is_some(), bytes.len() > 8),
        Err(failure) => {
            assert!([abi::WSAEINVAL, abi::WSAEMSGSIZE].contains(&failure.code), "{failure:?}");
        }
    }
});
