//! A realm with some people and services in it, and both sides of a proof in one process.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::LazyLock;

use countersign_core::{KerberosFailure, ServiceName};
use countersign_kerberos::{
    AcceptorCredential, Channel, Exchange, InitiatorCredential, Proved, Terms,
};
use countersign_lab::{Kdc, Realm, within};

pub(crate) const SERVER: &str = "host/server.example.test";
pub(crate) const OTHER: &str = "HTTP/other.example.test";

/// Runs a test in a realm that has in it: alice, with a ticket in the cache `alice`; the services
/// above, with a keytab each, `server` and `other`.
#[track_caller]
pub(crate) fn in_realm(body: impl FnOnce(&Realm)) {
    within(|| Realm::clone(shared()), body);
}

/// One KDC serves all tests of this program, and ends with it.
fn shared() -> &'static Realm {
    static KDC: LazyLock<Kdc> = LazyLock::new(|| {
        let kdc = Kdc::start();
        kdc.add(&["alice", "bob", SERVER, OTHER]);
        kdc.keytab("server", &[SERVER]);
        kdc.keytab("other", &[OTHER]);
        kdc.ticket("alice", "alice", &[]);
        kdc.service_ticket("alice", SERVER);
        kdc
    });
    &KDC
}

/// Starts a realm of the test's own.
pub(crate) fn in_own_realm(fill: impl FnOnce(&Kdc), body: impl FnOnce(&Realm)) {
    let mut kdc = None;
    within(
        || {
            let own = kdc.insert(Kdc::start());
            fill(own);
            Realm::clone(own)
        },
        body,
    );
}

pub(crate) fn service(name: &str) -> ServiceName {
    name.parse().expect("a service")
}

pub(crate) fn channel(number: u8) -> Channel {
    Channel::new([number; Channel::EXPORTED_LEN])
}

/// Alice, who asks for a service on channel 1.
pub(crate) fn client(realm: &Realm, asked: &str) -> Exchange {
    client_with(realm, asked, channel(1), Terms::default())
}

pub(crate) fn client_with(realm: &Realm, asked: &str, channel: Channel, terms: Terms) -> Exchange {
    let credential = InitiatorCredential::cache(&realm.file("alice"));
    Exchange::initiate(&service(asked), credential, channel, terms)
}

/// The services of a keytab, on channel 1.
pub(crate) fn server(realm: &Realm, keytab: &str) -> Exchange {
    Exchange::accept(keys(realm, keytab), channel(1), Terms::default())
}

pub(crate) fn keys(realm: &Realm, keytab: &str) -> AcceptorCredential {
    AcceptorCredential::load(Some(&realm.file(keytab)), &[]).expect("a keytab of the realm")
}

/// What each side came to.
#[derive(Debug)]
pub(crate) struct Ending {
    pub(crate) client: Result<Proved, KerberosFailure>,
    pub(crate) server: Result<Proved, KerberosFailure>,
}

/// A side that has not come to anything, and will not.
pub(crate) fn undecided() -> KerberosFailure {
    KerberosFailure::Other { text: "undecided".to_owned() }
}

/// Lets both sides talk until neither has anything to say.
pub(crate) fn talk(client: Exchange, server: Exchange) -> Ending {
    talk_over(client, server, |_, _| {})
}

/// Who sends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum From {
    Client,
    Server,
}

/// The same, with somebody on the way who may change each message.
pub(crate) fn talk_over(
    mut client: Exchange,
    mut server: Exchange,
    mut on_the_way: impl FnMut(From, &mut Vec<u8>),
) -> Ending {
    loop {
        let mut there = Vec::new();
        work(&mut client);
        client.transmit(&mut there);
        on_the_way(From::Client, &mut there);
        give(&mut server, &there);
        let mut back = Vec::new();
        server.transmit(&mut back);
        on_the_way(From::Server, &mut back);
        give(&mut client, &back);
        if there.is_empty() && back.is_empty() {
            return Ending { client: outcome(&mut client), server: outcome(&mut server) };
        }
    }
}

/// Gives bytes to a side, and runs what it has to do then.
pub(crate) fn give(side: &mut Exchange, mut bytes: &[u8]) {
    loop {
        let taken = side.handle_input(bytes);
        bytes = &bytes[taken..];
        work(side);
        if bytes.is_empty() || taken == 0 {
            return;
        }
    }
}

pub(crate) fn work(side: &mut Exchange) {
    while let Some(work) = side.take_work() {
        side.finish(work.run());
    }
}

pub(crate) fn outcome(side: &mut Exchange) -> Result<Proved, KerberosFailure> {
    side.poll().and_then(|proved| proved.ok_or_else(undecided))
}

/// Runs a side over a connection to its end, which is this side's or the peer's.
pub(crate) fn over(stream: &mut TcpStream, mut side: Exchange) -> Result<Proved, KerberosFailure> {
    let mut bytes = [0; 4096];
    loop {
        work(&mut side);
        let mut wire = Vec::new();
        side.transmit(&mut wire);
        stream.write_all(&wire).expect("the other end reads");
        if side.is_concluded() {
            return outcome(&mut side);
        }
        let count = stream.read(&mut bytes).expect("the other end writes");
        if count == 0 {
            return Err(undecided());
        }
        give(&mut side, &bytes[..count]);
    }
}
