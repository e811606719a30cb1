//! Any bytes are a certificate, or an error; with a key that is not its own, always an error.
#![no_main]

use countersign_lab::{Authority, Issued, Leaf};
use countersign_tls::{Credential, TrustAnchors};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|der: &[u8]| {
    thread_local! {
        static ISSUED: Issued = Authority::new("fuzz").issue(Leaf::new().dns("db1.test"));
    }
    let certificate = der.to_vec().into();
    let _ = TrustAnchors::new([&certificate]);
    ISSUED.with(|issued| {
        assert!(Credential::new(vec![certificate], issued.key.clone_key()).is_err());
    });
});
