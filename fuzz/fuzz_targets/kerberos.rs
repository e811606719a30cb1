//! Any bytes are messages of the Kerberos proof, or an error; what a ticket says of groups is read, or
//! nothing, and so is what a token says of its encryption.
#![no_main]

use countersign_kerberos::fuzzing;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: (u8, Vec<u8>)| {
    let (piece, bytes) = input;
    fuzzing::messages(&bytes, usize::from(piece));
    let _ = fuzzing::kinds(&bytes);
    if let Some(groups) = fuzzing::groups(&bytes) {
        // Each identifier takes at least eight bytes of what was read.
        assert!(groups.len() <= bytes.len() / 8 + 2);
    }
});
