//! Tickets that are at hand: when they are used without a file, a KDC or another thread, and when
//! they must not be.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::thread;
use std::time::{Duration, SystemTime};

use countersign_core::KerberosFailure;
use countersign_kerberos::{Delegation, Exchange, InitiatorCredential, Terms};
use countersign_lab::{Kdc, Realm};
use zeroize::Zeroizing;

use crate::failures::check;
use crate::world::{Ending, OTHER, SERVER, channel, in_own_realm, keys, service, talk, work};

fn fill(kdc: &Kdc) {
    kdc.add(&["alice", "carol", SERVER, OTHER]);
    kdc.keytab("server", &[SERVER]);
    kdc.ticket("alice", "alice", &["-r", "1d"]);
    kdc.ticket("carol", "carol", &[]);
}

fn cache(realm: &Realm, name: &str) -> InitiatorCredential {
    InitiatorCredential::cache(&format!("FILE:{}", realm.file(name)))
}

fn talk_as(realm: &Realm, credential: &InitiatorCredential) -> Ending {
    let terms = Terms::default;
    let client = Exchange::initiate(&service(SERVER), credential.clone(), channel(1), terms());
    talk(client, Exchange::accept(keys(realm, "server"), channel(1), terms()))
}

#[track_caller]
fn proves(realm: &Realm, credential: &InitiatorCredential, principal: &str) {
    let ending = talk_as(realm, credential);
    ending.client.unwrap();
    assert_eq!(ending.server.unwrap().principal(), principal);
}

fn is_ready(credential: &InitiatorCredential) -> bool {
    credential.is_ready_for(&service(SERVER))
}

/// A file that has just been written could be written again and look the same.
fn settle() {
    thread::sleep(Duration::from_millis(150));
}

/// Proves alice until her ticket is at hand.
#[track_caller]
fn alice_ready(realm: &Realm) -> InitiatorCredential {
    let alice = cache(realm, "alice");
    proves(realm, &alice, "alice@EXAMPLE.TEST");
    settle();
    proves(realm, &alice, "alice@EXAMPLE.TEST");
    assert!(is_ready(&alice));
    alice
}

/// Makes a KDC of which nobody answers the realm's.
fn without_kdc(realm: &Realm) {
    let path = realm.path("krb5.conf");
    let text = fs::read_to_string(&path).unwrap();
    let kdc = text.lines().find(|line| line.contains("kdc = 127")).unwrap().to_owned();
    fs::write(&path, text.replace(&kdc, "    kdc = 127.0.0.1:1")).unwrap();
}

#[test]
fn a_ticket_that_was_used_is_at_hand_and_one_that_was_not_is_not() {
    in_own_realm(fill, |realm| {
        let alice = cache(realm, "alice");
        assert!(!is_ready(&alice), "nobody has looked");
        proves(realm, &alice, "alice@EXAMPLE.TEST");
        assert!(!is_ready(&alice), "the file was written just now");
        settle();
        proves(realm, &alice, "alice@EXAMPLE.TEST");
        assert!(is_ready(&alice) && !alice.is_ready_for(&service(OTHER)));
        without_kdc(realm);
        let asked = service(SERVER);
        let mut client = Exchange::initiate(&asked, alice.clone(), channel(1), Terms::default());
        let begin = client.take_work().unwrap();
        assert!(begin.is_local());
        client.finish(begin.step().unwrap());
        let server = Exchange::accept(keys(realm, "server"), channel(1), Terms::default());
        talk(client, server).server.unwrap();
        let mut other = Exchange::initiate(&service(OTHER), alice, channel(1), Terms::default());
        work(&mut other);
        check!(other.poll().unwrap_err(), KerberosFailure::KdcUnreachable { .. }, "EXAMPLE.TEST");
    });
}

#[test]
fn a_ticket_that_was_got_is_in_the_cache_of_the_user() {
    in_own_realm(fill, |realm| {
        proves(realm, &cache(realm, "alice"), "alice@EXAMPLE.TEST");
        without_kdc(realm);
        // Another credential finds it there.
        proves(realm, &cache(realm, "alice"), "alice@EXAMPLE.TEST");
        let list = Command::new("klist").arg(realm.path("alice")).output().unwrap();
        assert!(String::from_utf8_lossy(&list.stdout).contains(SERVER));
    });
}

#[test]
fn what_kinit_and_kdestroy_do_counts_at_once() {
    in_own_realm(fill, |realm| {
        let alice = alice_ready(realm);
        // Another user, of the same length, in the same file.
        realm.ticket("carol", "alice", &[]);
        assert!(!is_ready(&alice));
        proves(realm, &alice, "carol@EXAMPLE.TEST");
        settle();
        proves(realm, &alice, "carol@EXAMPLE.TEST");
        assert!(is_ready(&alice));
        realm.ticket("alice", "alice", &["-r", "1d"]);
        proves(realm, &alice, "alice@EXAMPLE.TEST");
        settle();
        proves(realm, &alice, "alice@EXAMPLE.TEST");
        assert!(is_ready(&alice));
        // Renewed, the file has no ticket for the service any more.
        let renewed =
            Command::new("kinit").args(["-R", "-c"]).arg(realm.path("alice")).status().unwrap();
        assert!(renewed.success() && !is_ready(&alice));
        proves(realm, &alice, "alice@EXAMPLE.TEST");
        settle();
        proves(realm, &alice, "alice@EXAMPLE.TEST");
        assert!(is_ready(&alice));
        let destroyed = Command::new("kdestroy").arg("-c").arg(realm.path("alice")).status();
        assert!(destroyed.unwrap().success() && !is_ready(&alice));
        let failure = talk_as(realm, &alice).client.unwrap_err();
        check!(failure, KerberosFailure::NoCredentials { .. }, "alice");
    });
}

#[test]
fn a_file_that_is_replaced_and_dated_back_is_another() {
    in_own_realm(fill, |realm| {
        proves(realm, &cache(realm, "carol"), "carol@EXAMPLE.TEST");
        let alice = alice_ready(realm);
        let (ours, theirs) = (realm.path("alice"), realm.path("carol"));
        let dated = fs::metadata(&ours).unwrap().modified().unwrap();
        let date = |path: &Path, time: SystemTime| {
            let file = fs::File::options().write(true).open(path).unwrap();
            file.set_times(fs::FileTimes::new().set_modified(time)).unwrap();
        };
        assert_eq!(fs::metadata(&ours).unwrap().len(), fs::metadata(&theirs).unwrap().len());
        fs::copy(&theirs, &ours).unwrap();
        date(&ours, dated);
        proves(realm, &alice, "carol@EXAMPLE.TEST");
    });
}

#[test]
fn no_credential_uses_what_another_has_at_hand() {
    in_own_realm(
        |kdc| {
            fill(kdc);
            kdc.administer("addprinc -pw secret-word dora\n");
        },
        |realm| {
            let alice = alice_ready(realm);
            let password = Zeroizing::new("secret-word".to_owned());
            let dora = InitiatorCredential::password("dora", "", password).unwrap();
            let carol = cache(realm, "carol");
            let again = cache(realm, "alice");
            let nobody = cache(realm, "nowhere");
            for other in [&dora, &carol, &again, &nobody, &InitiatorCredential::ambient()] {
                assert!(!is_ready(other), "{other:?}");
            }
            for _ in 0..2 {
                proves(realm, &dora, "dora@EXAMPLE.TEST");
                proves(realm, &carol, "carol@EXAMPLE.TEST");
                proves(realm, &alice, "alice@EXAMPLE.TEST");
                settle();
            }
            talk_as(realm, &nobody).client.unwrap_err();
            let ambient = talk_as(realm, &InitiatorCredential::ambient()).client.unwrap_err();
            check!(ambient, KerberosFailure::NoCredentials { .. }, "environment");
        },
    );
}

#[test]
fn what_a_key_of_ours_has_brought_is_at_hand() {
    in_own_realm(fill, |realm| {
        let keytab = realm.file("alice.client.keytab");
        let alice = InitiatorCredential::client_keytab(&keytab, "alice");
        proves(realm, &alice, "alice@EXAMPLE.TEST");
        assert!(is_ready(&alice));
        without_kdc(realm);
        proves(realm, &alice, "alice@EXAMPLE.TEST");
    });
}

#[test]
fn a_ticket_that_is_about_to_end_is_not_at_hand() {
    in_own_realm(
        |kdc| {
            fill(kdc);
            kdc.ticket("alice", "short", &["-l", "63s"]);
        },
        |realm| {
            let short = cache(realm, "short");
            proves(realm, &short, "alice@EXAMPLE.TEST");
            settle();
            proves(realm, &short, "alice@EXAMPLE.TEST");
            thread::sleep(Duration::from_secs(4));
            assert!(!is_ready(&short), "less than a minute is left");
            proves(realm, &short, "alice@EXAMPLE.TEST");
            assert!(!is_ready(&short));
        },
    );
}

#[test]
fn who_hands_credentials_on_asks_for_them() {
    in_own_realm(fill, |realm| {
        let alice = alice_ready(realm);
        let terms = Terms::default().with_delegation(Delegation::IfTrusted);
        let mut client = Exchange::initiate(&service(SERVER), alice, channel(1), terms);
        assert!(!client.take_work().unwrap().is_local());
    });
}

#[test]
fn many_threads_share_what_is_at_hand_while_it_changes() {
    in_own_realm(fill, |realm| {
        let alice = alice_ready(realm);
        let keys = keys(realm, "server");
        thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| {
                    for _ in 0..100 {
                        let terms = Terms::default;
                        let client = Exchange::initiate(
                            &service(SERVER),
                            alice.clone(),
                            channel(1),
                            terms(),
                        );
                        let ending =
                            talk(client, Exchange::accept(keys.clone(), channel(1), terms()));
                        ending.client.unwrap();
                        assert_eq!(ending.server.unwrap().principal(), "alice@EXAMPLE.TEST");
                    }
                });
            }
            scope.spawn(|| {
                for _ in 0..10 {
                    let file = fs::File::options().append(true).open(realm.path("alice")).unwrap();
                    file.set_modified(SystemTime::now()).unwrap();
                    thread::sleep(Duration::from_millis(20));
                }
            });
        });
    });
}
