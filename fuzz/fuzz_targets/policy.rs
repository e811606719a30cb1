//! Any text is a policy, or an error that points into the text.
#![no_main]

use countersign_core::Policy;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    if let Err(error) = Policy::parse(text, "fuzz") {
        assert!(error.line <= text.matches('\n').count() + 1 && error.column > 0);
    }
});
