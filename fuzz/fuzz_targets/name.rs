//! Any text is a name with one spelling, or an error; a pattern is shown as it is read.
#![no_main]

use countersign_core::{PeerName, PeerPattern};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    if let Ok(name) = text.parse::<PeerName>() {
        let shown = name.to_string();
        assert_eq!(shown.parse::<PeerName>().as_ref(), Ok(&name));
        assert!(PeerPattern::from(name.clone()).matches(&name));
    }
    if let Ok(pattern) = text.parse::<PeerPattern>() {
        assert_eq!(pattern.to_string().parse::<PeerPattern>(), Ok(pattern));
    }
});
