//! Any bytes are a target name that is shown as it is read, or a documented error.
#![no_main]

use countersign_winsock::{abi, decode};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    match decode::peer_target_name(bytes) {
        Ok(target) => assert_eq!(target.name.to_string().parse(), Ok(target.name)),
        Err(failure) => assert!(
            [abi::WSAEINVAL, abi::WSAEMSGSIZE, abi::WSAEAFNOSUPPORT].contains(&failure.code),
            "{failure:?}"
        ),
    }
});
