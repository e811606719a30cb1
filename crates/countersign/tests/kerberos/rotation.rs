//! Keys and policies that change while a server runs.

use std::time::{Duration, Instant};

use countersign::core::KerberosFailure;
use countersign::{Context, Error};

use crate::world::{
    PATIENCE, ROOT, SERVICE, Server, asking, context, failure, in_own_realm, round_trip, serving,
    serving_from,
};

/// Tries until it works.
#[track_caller]
fn eventually(server: &Server, client: &Context) -> Duration {
    let started = Instant::now();
    loop {
        match server.meet(client, SERVICE) {
            Ok(stream) => {
                round_trip(&stream);
                return started.elapsed();
            }
            Err(error) => assert!(started.elapsed() < PATIENCE, "{error}"),
        }
        std::thread::sleep(Duration::from_millis(100));
    }
}

#[test]
fn a_new_key_is_taken_without_a_restart_and_the_old_one_goes_on() {
    in_own_realm(
        |_| {},
        |realm| {
            let server = Server::start(&context(&serving(realm, "")));
            let old = context(&asking(realm, "alice", ""));
            let live = server.meet(&old, SERVICE).unwrap();
            round_trip(&live);

            realm.rotate(SERVICE);
            realm.ticket("bob", "fresh", &[]);
            let fresh = context(&asking(realm, "fresh", ""));
            let why = failure(server.meet(&fresh, SERVICE));
            assert!(matches!(why, KerberosFailure::RefusedByPeer { .. }), "{why}");
            round_trip(&server.meet(&old, SERVICE).unwrap());

            // As administrators do it: the new key is added to the file.
            realm.keytab("db1", &[SERVICE]);
            eventually(&server, &fresh);
            round_trip(&server.meet(&old, SERVICE).unwrap());
            round_trip(&live);
        },
    );
}

#[test]
fn a_keytab_that_is_broken_leaves_the_last_good_one_in_force() {
    in_own_realm(
        |_| {},
        |realm| {
            let context = context(&serving(realm, ""));
            let server = Server::start(&context);
            let alice = crate::world::context(&asking(realm, "alice", ""));
            round_trip(&server.meet(&alice, SERVICE).unwrap());
            std::fs::write(realm.path("db1"), "no keytab").unwrap();
            let deadline = Instant::now() + PATIENCE;
            let why = loop {
                if let Some(why) = context.reload_failure() {
                    break why;
                }
                assert!(Instant::now() < deadline, "nobody noticed");
                std::thread::sleep(Duration::from_millis(100));
            };
            assert!(matches!(*why, Error::Kerberos(_)), "{why}");
            round_trip(&server.meet(&alice, SERVICE).unwrap());
        },
    );
}

#[test]
fn a_policy_that_is_reloaded_drops_what_the_old_one_believed_and_had() {
    in_own_realm(
        |_| {},
        |realm| {
            let file = realm.path("policy.toml");
            std::fs::write(&file, serving(realm, "")).unwrap();
            let builder = Context::builder().policy_file(&file).anchors(ROOT.anchors());
            let server = Server::start(&builder.build().unwrap());
            let alice = context(&asking(realm, "alice", ""));
            let live = server.meet(&alice, SERVICE).unwrap();
            round_trip(&live);

            // The other keytab has the key too; realms are now another's.
            let both = realm.file("both");
            std::fs::write(&file, serving_from(&both, "realms = ['OTHER.TEST']\n")).unwrap();
            std::fs::remove_file(realm.path("db1")).unwrap();
            let deadline = Instant::now() + PATIENCE;
            while let Ok(stream) = server.meet(&alice, SERVICE) {
                drop(stream);
                assert!(Instant::now() < deadline, "the old policy is still in force");
                std::thread::sleep(Duration::from_millis(100));
            }
            round_trip(&live);
            std::fs::write(&file, serving_from(&both, "")).unwrap();
            eventually(&server, &alice);
        },
    );
}
