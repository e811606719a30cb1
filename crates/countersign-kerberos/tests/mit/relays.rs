//! Somebody stands between an honest client and an honest server: on the client's side the channel
//! is one, on the server's side another. What he does with peers that are less careful than ours
//! is tested inside the crate, in `attacks.rs`.

use countersign_core::{KerberosFailure, KerberosRefusal};
use countersign_kerberos::{Exchange, Terms};

use crate::failures::{asking_instead, check};
use crate::world::{
    From, SERVER, channel, client, client_with, give, in_own_realm, in_realm, keys, outcome,
    server, talk, talk_over, work,
};

#[test]
fn a_relay_is_found_out_by_the_server() {
    in_realm(|realm| {
        let server = Exchange::accept(keys(realm, "server"), channel(2), Terms::default());
        let ending = talk(client(realm, SERVER), server);
        check!(ending.server.unwrap_err(), KerberosFailure::BindingMismatch, "another connection");
        let failure = ending.client.unwrap_err();
        let expected = KerberosRefusal::BindingMismatch;
        assert!(
            matches!(&failure, KerberosFailure::RefusedByPeer { reason, .. } if *reason == expected),
            "{failure:?}"
        );
    });
}

#[test]
fn a_token_that_is_sent_back_is_no_answer() {
    in_realm(|realm| {
        let mut client = client(realm, SERVER);
        work(&mut client);
        let mut wire = Vec::new();
        client.transmit(&mut wire);
        let name = usize::from(u16::from_be_bytes([wire[5], wire[6]]));
        let body = [[0, 28].as_slice(), &[0; 28], &wire[7 + name..]].concat();
        let length = u32::try_from(body.len()).unwrap().to_be_bytes();
        give(&mut client, &[length.as_slice(), b"R", &body].concat());
        check!(outcome(&mut client).unwrap_err(), KerberosFailure::Protocol { .. }, "no AP-REP");
    });
}

#[test]
fn a_confirmation_that_is_sent_back_confirms_nothing() {
    in_realm(|realm| {
        let (mut client, mut server) = (client(realm, SERVER), server(realm, "server"));
        work(&mut client);
        let mut wire = Vec::new();
        client.transmit(&mut wire);
        give(&mut server, &wire);
        let mut reply = Vec::new();
        server.transmit(&mut reply);
        let code = usize::from(u16::from_be_bytes([reply[5], reply[6]]));
        let length = u32::try_from(code).unwrap().to_be_bytes();
        let own = &reply[7..7 + code];
        give(&mut server, &[length.as_slice(), b"M", own].concat());
        let failure = outcome(&mut server).unwrap_err();
        check!(failure, KerberosFailure::ConfirmationFailed { .. }, SERVER);
        // The client may have begun to send plaintext, so it hears nothing of it here.
        let mut wire = Vec::new();
        server.transmit(&mut wire);
        assert!(wire.is_empty());
    });
}

#[test]
fn recorded_messages_are_worth_nothing() {
    in_realm(|realm| {
        let mut recorded = Vec::new();
        let ending = talk_over(client(realm, SERVER), server(realm, "server"), |from, wire| {
            if from == From::Client && !wire.is_empty() {
                recorded.push(wire.clone());
            }
        });
        ending.server.unwrap();
        let [request, confirmation] = recorded.try_into().unwrap();
        // On another connection.
        let mut other = Exchange::accept(keys(realm, "server"), channel(2), Terms::default());
        give(&mut other, &request);
        check!(outcome(&mut other).unwrap_err(), KerberosFailure::BindingMismatch, "connection");
        // And even on one that exports the same, which there is not.
        let mut same = server(realm, "server");
        give(&mut same, &request);
        give(&mut same, &confirmation);
        let failure = outcome(&mut same).unwrap_err();
        check!(failure, KerberosFailure::ConfirmationFailed { .. }, SERVER);
    });
}

/// Two services of one account, as Active Directory knows them: they have the same key.
const ONE: &str = "host/one.example.test";
const TWO: &str = "HTTP/two.example.test";

fn fill_shared(kdc: &countersign_lab::Kdc) {
    let salt = "-e aes256-cts-hmac-sha1-96:onlyrealm -pw shared";
    kdc.administer(&format!("addprinc {salt} {ONE}\naddprinc {salt} {TWO}\n"));
    kdc.add(&["alice"]);
    kdc.keytab("one", &[ONE]);
    kdc.keytab("two", &[TWO]);
    kdc.ticket("alice", "alice", &[]);
}

#[test]
fn another_service_with_the_same_key_does_not_stand_in() {
    in_own_realm(fill_shared, |realm| {
        talk(client(realm, ONE), server(realm, "one")).client.unwrap();
        // Honest, it says that it is another.
        let ending = talk(client(realm, ONE), server(realm, "two"));
        check!(ending.server.unwrap_err(), KerberosFailure::WrongService { .. }, TWO);
        // With a lie about what was asked for, the ticket is good, for it is the same key; but the
        // server confirms the lie, and the client does not believe that.
        let ending = talk_over(client(realm, ONE), server(realm, "two"), |from, wire| {
            if from == From::Client && wire.get(4) == Some(&b'T') {
                *wire = asking_instead(wire, TWO);
            }
        });
        check!(ending.client.unwrap_err(), KerberosFailure::ConfirmationFailed { .. }, ONE);
        let reason = KerberosRefusal::ConfirmationFailed;
        let refused = KerberosFailure::RefusedByPeer { reason, detail: None };
        assert_eq!(ending.server.unwrap_err(), refused);
    });
}

#[test]
fn a_relay_to_a_service_with_the_same_key_is_found_out() {
    in_own_realm(fill_shared, |realm| {
        let two = Exchange::accept(keys(realm, "two"), channel(2), Terms::default());
        let client = client_with(realm, ONE, channel(1), Terms::default());
        let ending = talk_over(client, two, |from, wire| {
            if from == From::Client && wire.get(4) == Some(&b'T') {
                *wire = asking_instead(wire, TWO);
            }
        });
        check!(ending.server.unwrap_err(), KerberosFailure::BindingMismatch, "another connection");
        ending.client.unwrap_err();
    });
}
