//! Many at once, and many in a row.

use std::sync::Barrier;
use std::thread;

use countersign_kerberos::{Exchange, InitiatorCredential, Terms};
use countersign_lab::{Kdc, Realm};
use zeroize::Zeroizing;

use crate::world::{SERVER, channel, in_own_realm, in_realm, keys, service, talk};

const THREADS: u8 = 16;

fn share(realm: &Realm, credential: &InitiatorCredential) {
    let keys = keys(realm, "server");
    let start = Barrier::new(usize::from(THREADS));
    thread::scope(|scope| {
        for thread in 0..THREADS {
            let (credential, keys, start) = (credential.clone(), keys.clone(), &start);
            scope.spawn(move || {
                start.wait();
                for _ in 0..50 {
                    let (credential, keys) = (credential.clone(), keys.clone());
                    let (mine, terms) = (channel(thread), Terms::default);
                    let asked = service(SERVER);
                    let client = Exchange::initiate(&asked, credential, mine.clone(), terms());
                    let ending = talk(client, Exchange::accept(keys, mine, terms()));
                    assert_eq!(ending.server.unwrap().principal(), "alice@EXAMPLE.TEST");
                    ending.client.unwrap();
                }
            });
        }
    });
}

#[test]
fn threads_share_credentials() {
    in_realm(|realm| {
        share(realm, &InitiatorCredential::cache(&realm.file("alice")));
        let keytab = realm.file("alice.client.keytab");
        share(realm, &InitiatorCredential::client_keytab(&keytab, "alice"));
    });
}

#[test]
fn nothing_is_left_behind() {
    in_realm(|realm| {
        let proofs = |count| {
            for number in 0..count {
                let alice = InitiatorCredential::cache(&realm.file("alice"));
                let asked = service(SERVER);
                // Every fourth fails.
                let theirs = channel(if number % 4 == 0 { 2 } else { 1 });
                let client = Exchange::initiate(&asked, alice, channel(1), Terms::default());
                let keys = keys(realm, "server");
                talk(client, Exchange::accept(keys, theirs, Terms::default()));
            }
        };
        proofs(300);
        let before = resident();
        proofs(1500);
        let grown = resident().saturating_sub(before);
        assert!(grown < 1024, "{grown} KiB for 1500 proofs");
    });
}

/// The memory that this process holds, in KiB.
fn resident() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

#[test]
fn keys_leave_memory_with_the_last_who_uses_them() {
    in_realm(|realm| {
        let key = key_of(&std::fs::read(realm.path("server")).unwrap());
        let loaded = keys(realm, "server");
        assert!(is_in_memory(&key), "the test looks in the wrong place");
        drop(loaded);
        assert!(!is_in_memory(&key));
    });
}

#[test]
fn a_password_leaves_memory_with_the_last_who_uses_it() {
    // As `is_in_memory` wants it.
    let changed: Vec<u8> = PASSWORD.iter().map(|byte| !(byte ^ 0x55)).collect();
    let secret = || PASSWORD.iter().map(|byte| char::from(byte ^ 0x55)).collect::<String>();
    let fill = |kdc: &Kdc| {
        kdc.administer(&format!("addprinc -pw {} carol\n", secret()));
        kdc.add(&[SERVER]);
        kdc.keytab("server", &[SERVER]);
    };
    in_own_realm(fill, |realm| {
        let password = Zeroizing::new(secret());
        let carol = InitiatorCredential::password("carol", "EXAMPLE.TEST", password).unwrap();
        let asked = service(SERVER);
        let client = Exchange::initiate(&asked, carol.clone(), channel(1), Terms::default());
        let server = Exchange::accept(keys(realm, "server"), channel(1), Terms::default());
        let ending = talk(client, server);
        assert_eq!(ending.server.unwrap().principal(), "carol@EXAMPLE.TEST");
        assert!(is_in_memory(&changed), "the test looks in the wrong place");
        drop(carol);
        drop(ending.client);
        assert!(!is_in_memory(&changed));
    });
}

/// A password, with some of its bits changed.
const PASSWORD: &[u8] = b"!4'30+!x50'&!:'<;2x!::1";

/// The last sixteen bytes of a keytab but for the version at its end, which are part of its last
/// key, with all their bits changed, so that this itself is not found.
fn key_of(keytab: &[u8]) -> Vec<u8> {
    let end = keytab.len() - 4;
    keytab[end - 16..end].iter().map(|byte| !byte).collect()
}

/// Looks through all that this process can write.
fn is_in_memory(changed: &[u8]) -> bool {
    use std::os::unix::fs::FileExt as _;
    let memory = std::fs::File::open("/proc/self/mem").unwrap();
    let maps = std::fs::read_to_string("/proc/self/maps").unwrap();
    maps.lines().filter(|line| line.contains(" rw")).any(|line| {
        let range = line.split_whitespace().next().unwrap();
        let (start, end) = range.split_once('-').unwrap();
        let start = u64::from_str_radix(start, 16).unwrap();
        let end = u64::from_str_radix(end, 16).unwrap();
        let mut bytes = [0_u8; 4096];
        (start..end).step_by(4096 - 64).any(|at| {
            let count = memory.read_at(&mut bytes, at).unwrap_or(0);
            bytes[..count]
                .windows(changed.len())
                .any(|window| window.iter().zip(changed).all(|(byte, changed)| *byte == !changed))
        })
    })
}
