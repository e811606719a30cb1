//! Any plaintexts are records of an association that has agreed on a proof, or an error; and what a
//! peer makes us hold by them is bounded.
#![no_main]

use countersign_dtls::fuzzing;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: (Vec<Vec<u8>>, Vec<u8>)| {
    let (plaintexts, ours) = input;
    fuzzing::frames(&plaintexts, &ours);
});
