//! What somebody in the middle can do where one side is less careful than ours: these run the
//! library without some of our checks, against a side that has them all, in a real realm.
//!
//! Each attack is also shown to work against the library alone, so that the check, and nothing
//! else, is what stops it. Channel 1 is the client's, channel 2 the server's.

use countersign_core::{EncryptionType, KerberosFailure, TicketEncryption};
use countersign_lab::{Kdc, Realm, within};

use crate::acceptor::Judged;
use crate::channel::Role;
use crate::frame::{Decoder, Frame};
use crate::library::{Context, Credential, Flags, Name, Usage};
use crate::proved::Found;
use crate::{
    AcceptorCredential, Channel, Exchange, InitiatorCredential, Proved, Terms, Unconfirmed, Work,
};

const SERVER: &str = "host/server.example.test";
const PRINCIPAL: &str = "host/server.example.test@EXAMPLE.TEST";
/// Another service of the same account, so with the same key.
const SHARED: &str = "HTTP/shared.example.test@EXAMPLE.TEST";
const WANTED: Flags =
    Flags(Flags::MUTUAL.0 | Flags::REPLAY.0 | Flags::SEQUENCE.0 | Flags::INTEGRITY.0);

fn in_realm(body: impl FnOnce(&Realm)) {
    let mut kdc = None;
    within(
        || {
            let own = kdc.insert(Kdc::start());
            let salt = "-e aes256-cts-hmac-sha1-96:onlyrealm -pw shared";
            own.administer(&format!("addprinc {salt} {SERVER}\naddprinc {salt} {SHARED}\n"));
            own.add(&["alice"]);
            own.keytab("server", &[SERVER]);
            own.keytab("shared", &[SHARED]);
            own.ticket("alice", "alice", &[]);
            Realm::clone(own)
        },
        body,
    );
}

fn channel(number: u8) -> Channel {
    Channel::new([number; Channel::EXPORTED_LEN])
}

fn our_client(realm: &Realm, channel: Channel) -> Exchange {
    let alice = InitiatorCredential::cache(&realm.file("alice"));
    Exchange::initiate(&SERVER.parse().unwrap(), alice, channel, Terms::default())
}

fn our_server(realm: &Realm, channel: Channel) -> Exchange {
    let keys = AcceptorCredential::load(Some(&realm.file("server")), &[]).unwrap();
    Exchange::accept(keys, channel, Terms::default())
}

/// A client that does without bindings, or binds to what it likes; with its first token.
fn lax_client(realm: &Realm, binding: Option<&[u8]>, flags: Flags) -> (Lax, Vec<u8>) {
    let cache = realm.file("alice");
    let credential = Credential::acquire(None, Usage::Initiate, &[(c"ccache", &cache)]).unwrap();
    let target = Name::principal(PRINCIPAL).unwrap();
    let mut context = Context::new();
    let step = context.initiate(&credential, &target, flags, binding, None).unwrap();
    (Lax { context, credential, target: Some(target) }, step.token)
}

/// A service that does not look at bindings, and takes whatever the library takes; with its
/// answer.
fn lax_server(realm: &Realm, keytab: &str, principal: &str, token: &[u8]) -> (Lax, Vec<u8>) {
    let keytab = realm.file(keytab);
    let store = [(c"keytab", keytab.as_str()), (c"rcache", "none:")];
    let name = Name::principal(principal).unwrap();
    let credential = Credential::acquire(Some(&name), Usage::Accept, &store).unwrap();
    let mut context = Context::new();
    let accepted = context.accept(&credential, None, token, false).unwrap();
    (Lax { context, credential, target: None }, accepted.step.token)
}

/// A side that has only the library.
struct Lax {
    context: Context,
    credential: Credential,
    target: Option<Name>,
}

impl Lax {
    fn conclude(&mut self, binding: Option<&[u8]>, token: &[u8]) {
        let target = self.target.as_ref().unwrap();
        let step =
            self.context.initiate(&self.credential, target, WANTED, binding, Some(token)).unwrap();
        assert!(step.is_complete);
    }

    fn sign(&self, channel: &Channel, role: Role) -> Vec<u8> {
        self.context.sign(&channel.confirmation(role, PRINCIPAL)).unwrap()
    }

    /// Makes our server of it, at the point where it has taken the client's ticket.
    fn judged(self, channel: Channel) -> Judged {
        Judged::new(self.context, channel, PRINCIPAL.to_owned(), nothing())
    }
}

/// What our server would have learned.
fn nothing() -> Unconfirmed {
    let aes = EncryptionType::AES256_SHA1;
    Unconfirmed::new(Found {
        principal: "alice@EXAMPLE.TEST".to_owned(),
        realm: "EXAMPLE.TEST".to_owned(),
        is_own_realm: true,
        peer: None,
        service: PRINCIPAL.parse().unwrap(),
        remaining: None,
        groups: Vec::new(),
        delegated: None,
        encryption: TicketEncryption { ticket: aes, session_key: aes, subkey: aes },
    })
}

fn work(side: &mut Exchange) {
    while let Some(work) = side.take_work() {
        side.finish(Work::run(work));
    }
}

/// Returns the token of our client's first message.
fn request_of(client: &mut Exchange) -> Vec<u8> {
    work(client);
    let mut wire = Vec::new();
    client.transmit(&mut wire);
    match Decoder::default().take(&wire).unwrap() {
        (_, Some(Frame::Request { token, .. })) => token,
        other => panic!("{other:?}"),
    }
}

fn give(side: &mut Exchange, frame: &Frame) -> Result<Option<Proved>, KerberosFailure> {
    let mut wire = Vec::new();
    frame.encode(&mut wire).unwrap();
    side.handle_input(&wire);
    work(side);
    side.poll()
}

fn ask(token: Vec<u8>) -> Frame {
    Frame::Request { asked: SERVER.as_bytes().to_vec(), token }
}

#[test]
fn a_token_without_bindings_is_relayed_to_a_server_that_does_not_look() {
    in_realm(|realm| {
        let (_, token) = lax_client(realm, None, WANTED);
        // The library takes it, with bindings at the server or without: this is the hole.
        let keytab = realm.file("server");
        let name = Name::principal(PRINCIPAL).unwrap();
        let store = [(c"keytab", keytab.as_str()), (c"rcache", "none:")];
        let credential = Credential::acquire(Some(&name), Usage::Accept, &store).unwrap();
        let mut context = Context::new();
        let binding = channel(2).binding();
        let accepted = context.accept(&credential, Some(&binding), &token, false).unwrap();
        assert!(accepted.step.is_complete);
        assert!(!context.inquire().unwrap().flags.has(Flags::CHANNEL_BOUND));
        // Our server does not.
        let (_, token) = lax_client(realm, None, WANTED);
        let failure = give(&mut our_server(realm, channel(2)), &ask(token)).unwrap_err();
        assert_eq!(failure, KerberosFailure::NotBound);
    });
}

#[test]
fn a_service_that_ignores_bindings_is_no_proof_for_the_client() {
    in_realm(|realm| {
        // The client's token is taken by the true service, which does not look at bindings, at
        // the other end of another connection.
        let outcome = |confirm: fn(&Lax) -> Vec<u8>| {
            let mut client = our_client(realm, channel(1));
            let token = request_of(&mut client);
            let (server, token) = lax_server(realm, "server", PRINCIPAL, &token);
            give(&mut client, &Frame::Reply { confirmation: confirm(&server), token })
        };
        // It confirms the connection that it has, or the wrong thing, or nothing.
        let wrong: [fn(&Lax) -> Vec<u8>; 4] = [
            |server| server.sign(&channel(2), Role::Acceptor),
            |server| server.sign(&channel(1), Role::Initiator),
            |_| Vec::new(),
            |_| vec![0; 28],
        ];
        for confirm in wrong {
            let failure = outcome(confirm).unwrap_err();
            let expected = matches!(failure, KerberosFailure::ConfirmationFailed { .. });
            assert!(expected, "{failure:?}");
        }
        // On the client's channel it would be good: it is the confirmation that stops the relay.
        outcome(|server| server.sign(&channel(1), Role::Acceptor)).unwrap().unwrap();
    });
}

#[test]
fn a_client_that_has_only_the_library_believes_that_service() {
    in_realm(|realm| {
        // The hole that the test above closes: an answer without a word about the channel.
        let binding = channel(1).binding();
        let (mut client, token) = lax_client(realm, Some(&binding), WANTED);
        let (_, answer) = lax_server(realm, "server", PRINCIPAL, &token);
        client.conclude(Some(&binding), &answer);
    });
}

#[test]
fn a_service_with_the_same_key_is_no_proof_for_the_client() {
    in_realm(|realm| {
        // The library takes the ticket for a service of the same account.
        let mut client = our_client(realm, channel(1));
        let token = request_of(&mut client);
        let (server, answer) = lax_server(realm, "shared", SHARED, &token);
        // Which confirms its own name, even on the right channel.
        let message = channel(1).confirmation(Role::Acceptor, SHARED);
        let confirmation = server.context.sign(&message).unwrap();
        let reply = Frame::Reply { confirmation, token: answer };
        let failure = give(&mut client, &reply).unwrap_err();
        assert!(matches!(failure, KerberosFailure::ConfirmationFailed { .. }), "{failure:?}");
    });
}

#[test]
fn confirmations_alone_keep_a_relay_out() {
    in_realm(|realm| {
        // Neither side binds, or looks: what is left are the confirmations.
        let exchange = |clients: u8, servers: u8| {
            let (mut client, token) = lax_client(realm, None, WANTED);
            let (server, answer) = lax_server(realm, "server", PRINCIPAL, &token);
            client.conclude(None, &answer);
            let of_server = server.sign(&channel(servers), Role::Acceptor);
            let expected = channel(clients).confirmation(Role::Acceptor, PRINCIPAL);
            let believed = client.context.verify(&expected, &of_server).is_ok();
            let of_client = client.sign(&channel(clients), Role::Initiator);
            let admitted = server.judged(channel(servers)).confirm(&of_client).is_ok();
            (believed, admitted)
        };
        assert_eq!(exchange(1, 2), (false, false));
        assert_eq!(exchange(1, 1), (true, true));
        // The client binds and the server does not look.
        let binding = channel(1).binding();
        let (mut client, token) = lax_client(realm, Some(&binding), WANTED);
        let (server, answer) = lax_server(realm, "server", PRINCIPAL, &token);
        client.conclude(Some(&binding), &answer);
        let code = client.sign(&channel(1), Role::Initiator);
        let failure = server.judged(channel(2)).confirm(&code).unwrap_err();
        assert!(matches!(failure, KerberosFailure::ConfirmationFailed { .. }), "{failure:?}");
    });
}

#[test]
fn a_token_that_is_not_mutual_is_refused() {
    in_realm(|realm| {
        let binding = channel(2).binding();
        let (_, token) = lax_client(realm, Some(&binding), Flags::INTEGRITY);
        let failure = give(&mut our_server(realm, channel(2)), &ask(token)).unwrap_err();
        assert_eq!(failure, KerberosFailure::NotMutual);
    });
}

#[test]
fn a_token_of_another_mechanism_is_refused() {
    in_realm(|realm| {
        // SPNEGO, which would let the client choose the mechanism (RFC 4178).
        let spnego = b"\x60\x1c\x06\x06\x2b\x06\x01\x05\x05\x02\xa0\x12\x30\x10\xa0\x0e\x30\x0c\
                       \x06\x0a\x2b\x06\x01\x04\x01\x82\x37\x02\x02\x0a"
            .to_vec();
        let failure = give(&mut our_server(realm, channel(2)), &ask(spnego)).unwrap_err();
        assert!(
            matches!(
                failure,
                KerberosFailure::KeytabMissing { .. }
                    | KerberosFailure::NotAccepted { .. }
                    | KerberosFailure::Protocol { .. }
            ),
            "{failure:?}"
        );
    });
}

#[test]
fn a_library_that_binds_by_its_own_settings_changes_nothing() {
    in_realm(|realm| {
        if countersign_lab::peer_of_elsewhere().is_some() {
            // Such a client is refused by every server that has bindings.
            let (_, token) = lax_client(realm, None, WANTED);
            let failure = give(&mut our_server(realm, channel(2)), &ask(token)).unwrap_err();
            assert_eq!(failure, KerberosFailure::BindingMismatch);
            let mut client = our_client(realm, channel(1));
            let token = request_of(&mut client);
            give(&mut our_server(realm, channel(1)), &ask(token)).unwrap();
            return;
        }
        let part = "forwardable = true";
        let aware = "forwardable = true\n  client_aware_channel_bindings = true";
        let configuration = realm.other_configuration("aware.conf", part, aware);
        let mut elsewhere = countersign_lab::elsewhere(&[("KRB5_CONFIG", &configuration)], None);
        let status = elsewhere.process.wait(std::time::Duration::from_secs(30)).unwrap();
        assert!(status.success(), "{}", elsewhere.process.said());
    });
}
