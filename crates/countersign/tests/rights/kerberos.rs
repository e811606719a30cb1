//! Threads that wait for KDCs and files are the server's, whoever makes the first of them start.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::time::Duration;

use countersign::core::KerberosFailure;
use countersign::kerberos::Checkup;
use countersign_lab::on_stage;

use crate::{alice, context};

const PATIENCE: Duration = Duration::from_secs(20);

#[test]
fn a_thread_that_is_started_while_another_acts_for_a_peer_does_not_act_for_it() {
    let name =
        "kerberos::a_thread_that_is_started_while_another_acts_for_a_peer_does_not_act_for_it";
    on_stage(name, |stage| {
        let cache = stage.join("cache");
        fs::write(&cache, "what only the server can read, and is no cache").unwrap();
        fs::set_permissions(&cache, fs::Permissions::from_mode(0o600)).unwrap();
        let policy =
            format!("[kerberos]\nclient = 'require'\ncache = 'FILE:{}'\n", cache.display());
        let checkup = Checkup::of(&context(&policy));
        let alice = alice();
        let tickets = || checkup.tickets(PATIENCE).unwrap_err();
        // No thread has been started before.
        let inside = alice.impersonate(|_| {
            assert!(fs::read(&cache).is_err(), "alice cannot read it");
            tickets()
        });
        let (inside, outside) = (inside.unwrap(), tickets());
        for failure in [inside, outside] {
            assert!(!matches!(failure, KerberosFailure::LibraryMissing { .. }), "{failure}");
            let said = failure.to_string();
            assert!(said.contains("format") && !said.contains("ermission"), "{said}");
        }
    });
}
