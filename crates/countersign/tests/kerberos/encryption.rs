//! Services whose tickets are encrypted with what is broken.

use countersign::TcpListener;
use countersign::core::{Encrypted, EncryptionType, KerberosFailure, KerberosRefusal};
use countersign_lab::{Kdc, Realm};

use crate::world::{
    Server, asking, context, failure, in_own_realm, in_realm, round_trip, serving, serving_from,
};

const OLD: &str = "postgres/old.example.test";
const RC4: &str = "danger-allow-rc4 = true\n";

/// A service that has a key of RC4 only.
fn with_old(kdc: &Kdc) {
    kdc.administer(&format!(
        "addprinc -randkey -e arcfour-hmac:normal {OLD}\nsetstr {OLD} session_enctypes arcfour-hmac\n"
    ));
    kdc.keytab("old", &[OLD]);
}

fn serving_old(realm: &Realm, more: &str) -> String {
    serving_from(&realm.file("old"), &format!("services = ['{OLD}']\n{more}"))
}

#[test]
fn rc4_is_refused_unless_both_policies_say_so() {
    in_own_realm(with_old, |realm| {
        // A server that could take no ticket does not listen.
        let strict = context(&serving_old(realm, ""));
        let why = failure(TcpListener::bind_with(&strict, "127.0.0.1:0"));
        assert!(
            matches!(&why, KerberosFailure::WeakEncryption { what: Encrypted::Keytab, used, .. }
                if *used == EncryptionType::RC4),
            "{why}"
        );
        let server = Server::start(&context(&serving_old(realm, RC4)));
        let client = context(&asking(realm, "alice", ""));
        let why = failure(server.meet(&client, OLD));
        assert!(matches!(why, KerberosFailure::WeakEncryption { .. }), "{why}");
        let hint = why.hint();
        assert!(
            hint.contains("msDS-SupportedEncryptionTypes") && hint.contains("danger"),
            "{hint}"
        );
        server.saw().unwrap_err();

        let lax = context(&asking(realm, "alice", RC4));
        let stream = server.meet(&lax, OLD).unwrap();
        let ours = stream.evidence().unwrap().ticket_encryption().unwrap();
        assert_eq!((ours.ticket, ours.session_key), (EncryptionType::RC4, EncryptionType::RC4));
        assert_eq!(server.saw().unwrap().ticket_encryption(), Some(ours));
        round_trip(&stream);
    });
}

#[test]
fn a_kerberos_that_is_too_weak_is_not_replaced_by_a_certificate() {
    in_own_realm(with_old, |realm| {
        let old = crate::world::ROOT.issue(countersign_lab::Leaf::new().dns("old.example.test"));
        let server = Server::start(&crate::world::showing(&serving_old(realm, RC4), &old));
        // Its certificate would do; but a proof that was begun is final.
        let client = context(&asking(realm, "alice", "client = 'prefer'\n"));
        let why = failure(server.meet(&client, OLD));
        assert!(matches!(why, KerberosFailure::WeakEncryption { .. }), "{why}");
    });
}

#[test]
fn a_list_of_types_is_demanded_by_either_side() {
    in_realm(|realm| {
        let only = "encryption-types = ['aes256-sha2']\n";
        let client = context(&asking(realm, "alice", ""));
        // The keytab has keys of other types only.
        let server = context(&serving(realm, only));
        let why = failure(TcpListener::bind_with(&server, "127.0.0.1:0"));
        assert!(matches!(why, KerberosFailure::WeakEncryption { .. }), "{why}");
        let server =
            Server::start(&context(&serving(realm, "encryption-types = ['aes128-sha1']\n")));
        let why = failure(server.meet(&client, crate::world::SERVICE));
        assert!(
            matches!(
                &why,
                KerberosFailure::RefusedByPeer { reason: KerberosRefusal::WeakEncryption, .. }
            ),
            "{why}"
        );
        let why = server.saw().unwrap_err().to_string();
        assert!(why.contains("aes256-cts-hmac-sha1-96, and accepted here are aes128"), "{why}");
        let strict = context(&asking(realm, "alice", only));
        let server = Server::start(&context(&serving(realm, "")));
        let why = failure(server.meet(&strict, crate::world::SERVICE));
        assert!(matches!(why, KerberosFailure::WeakEncryption { .. }), "{why}");
    });
}
