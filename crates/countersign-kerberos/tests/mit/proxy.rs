//! gssproxy holds the keytab, and the server must not read it.

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use countersign_core::{EncryptionType, KerberosFailure, KerberosRefusal, TicketEncryption};
use countersign_kerberos::{AcceptorCredential, Exchange, Terms};
use countersign_lab::{Process, Realm, elsewhere, peer_of_elsewhere};

use crate::failures::check;
use crate::world::{SERVER, channel, client, client_with, in_realm, over, service};

const PATIENCE: Duration = Duration::from_secs(30);
/// Where there is no keytab that this process could read.
const HIDDEN: &str = "/nonexistent/server.keytab";

/// Starts a gssproxy of the realm's, which serves this user with the server's keys.
fn start(realm: &Realm, name: &str) -> Process {
    let user = fs::metadata("/proc/self").unwrap().uid();
    let keytab = realm.file("server");
    let configuration = format!(
        "[gssproxy]\n[service/countersign]\n  mechs = krb5\n  cred_store = keytab:{keytab}\n  \
         cred_usage = accept\n  euid = {user}\n"
    );
    fs::write(realm.path(&format!("{name}.conf")), configuration).unwrap();
    fs::create_dir_all(realm.path(&format!("{name}.d"))).unwrap();
    let mut command = Command::new("/usr/sbin/gssproxy");
    command.arg("-i").args(["-c", &realm.file(&format!("{name}.conf"))]);
    command
        .args(["-C", &realm.file(&format!("{name}.d"))])
        .args(["-s", &realm.file(&format!("{name}.sock"))]);
    let process = Process::start(&mut command).unwrap();
    let deadline = Instant::now() + PATIENCE;
    while !realm.path(&format!("{name}.sock")).exists() {
        assert!(Instant::now() < deadline, "gssproxy does not start: {}", process.said());
        thread::sleep(Duration::from_millis(10));
    }
    process
}

#[test]
fn a_server_that_cannot_read_its_keytab_proves_itself() {
    in_realm(|realm| {
        if let Some(mut stream) = peer_of_elsewhere() {
            let keys = AcceptorCredential::load(Some(HIDDEN), &[service(SERVER)]).unwrap();
            assert!(keys.is_proxied());
            assert!(keys.keys().is_empty());
            let side = Exchange::accept(keys, channel(1), Terms::default());
            let proved = over(&mut stream, side).unwrap();
            assert_eq!(proved.principal(), "alice@EXAMPLE.TEST");
            assert_eq!(proved.service().to_string(), format!("{SERVER}@EXAMPLE.TEST"));
            // What is known of the encryption does not come from the keys.
            let aes = EncryptionType::AES256_SHA1;
            let expected = TicketEncryption { ticket: aes, session_key: aes, subkey: aes };
            assert_eq!(proved.encryption(), expected);
            return;
        }
        let _proxy = start(realm, "proxy-0");
        let mut elsewhere = elsewhere(&environment(realm, "proxy-0"), None);
        let proved = over(&mut elsewhere.stream, client(realm, SERVER));
        drop(elsewhere.stream);
        let status = elsewhere.process.wait(PATIENCE).unwrap();
        assert!(status.success(), "{}", elsewhere.process.said());
        assert_eq!(proved.unwrap().principal(), format!("{SERVER}@EXAMPLE.TEST"));
    });
}

#[test]
fn a_relay_is_found_out_behind_a_proxy_too() {
    in_realm(|realm| {
        if let Some(mut stream) = peer_of_elsewhere() {
            let keys = AcceptorCredential::load(Some(HIDDEN), &[service(SERVER)]).unwrap();
            let side = Exchange::accept(keys, channel(2), Terms::default());
            let failure = over(&mut stream, side).unwrap_err();
            check!(failure, KerberosFailure::BindingMismatch, "another connection");
            return;
        }
        let _proxy = start(realm, "proxy-1");
        let mut elsewhere = elsewhere(&environment(realm, "proxy-1"), None);
        let client = client_with(realm, SERVER, channel(1), Terms::default());
        let failure = over(&mut elsewhere.stream, client).unwrap_err();
        drop(elsewhere.stream);
        let status = elsewhere.process.wait(PATIENCE).unwrap();
        assert!(status.success(), "{}", elsewhere.process.said());
        let expected = KerberosRefusal::BindingMismatch;
        assert!(
            matches!(&failure, KerberosFailure::RefusedByPeer { reason, .. } if *reason == expected),
            "{failure:?}"
        );
    });
}

#[test]
fn work_behind_a_proxy_may_wait() {
    in_realm(|realm| {
        if peer_of_elsewhere().is_some() {
            let keys = AcceptorCredential::load(Some(HIDDEN), &[service(SERVER)]).unwrap();
            let mut server = Exchange::accept(keys, channel(1), Terms::default());
            let mut client = client(realm, SERVER);
            crate::world::work(&mut client);
            let mut wire = Vec::new();
            client.transmit(&mut wire);
            server.handle_input(&wire);
            assert!(!server.take_work().unwrap().is_local());
            return;
        }
        let _proxy = start(realm, "proxy-2");
        let mut elsewhere = elsewhere(&environment(realm, "proxy-2"), None);
        let status = elsewhere.process.wait(PATIENCE).unwrap();
        assert!(status.success(), "{}", elsewhere.process.said());
    });
}

#[test]
fn without_a_proxy_the_keytab_is_missing_and_services_must_be_named_with_one() {
    in_realm(|realm| {
        if peer_of_elsewhere().is_some() {
            let failure = AcceptorCredential::load(Some(HIDDEN), &[]).unwrap_err();
            check!(failure, KerberosFailure::KeytabMissing { .. }, "services must be named");
            // Nobody listens at the socket.
            let services = [service(SERVER)];
            let failure = AcceptorCredential::load(Some(HIDDEN), &services).unwrap_err();
            assert!(
                matches!(
                    failure,
                    KerberosFailure::KeytabMissing { .. } | KerberosFailure::NotInKeytab { .. }
                ),
                "{failure:?}"
            );
            return;
        }
        let services = [service(SERVER)];
        let failure = AcceptorCredential::load(Some(HIDDEN), &services).unwrap_err();
        check!(failure, KerberosFailure::KeytabMissing { .. }, HIDDEN);
        let mut elsewhere = elsewhere(&environment(realm, "nobody"), None);
        let status = elsewhere.process.wait(PATIENCE).unwrap();
        assert!(status.success(), "{}", elsewhere.process.said());
    });
}

/// What a process needs to use the realm's gssproxy. Its plugin keeps something in the cache.
fn environment(realm: &Realm, name: &str) -> [(&'static str, &'static str); 3] {
    let socket: &'static str = realm.file(&format!("{name}.sock")).leak();
    [("GSS_USE_PROXY", "yes"), ("GSSPROXY_SOCKET", socket), ("KRB5CCNAME", "MEMORY:proxy")]
}
