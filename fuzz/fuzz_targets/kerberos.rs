//! Any bytes are messages of the Kerberos proof, or an error; and what a ticket says of groups is
//! read, or nothing.
#![no_main]

use countersign_kerberos::fuzzing;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: (u8, Vec<u8>)| {
    let (piece, bytes) = input;
    fuzzing::messages(&bytes, usize::from(piece));
    if let Some(groups) = fuzzing::groups(&bytes) {
        // Each identifier takes at least eight bytes of what was read.
        assert!(groups.len() <= bytes.len() / 8 + 2);
    }
});
