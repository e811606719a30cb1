//! Tickets that a server may send: which are kept, which are not, and which end the conversation.

use std::sync::{Arc, Mutex};

use countersign_core::HandshakeError;
use countersign_lab::{Authority, Leaf, Stranger};
use rustls::client::{
    ClientSessionStore, Resumption, Tls12ClientSessionValue, Tls13ClientSessionValue,
    UnbufferedClientConnection,
};
use rustls::crypto::aws_lc_rs::default_provider;
use rustls::server::UnbufferedServerConnection;
use rustls::version::TLS13;
use rustls::{ClientConfig, NamedGroup, ServerConfig};
use rustls_pki_types::ServerName;

use super::{Pieces, Records, content};
use crate::handshake::Handshake;

/// Counts what is kept.
#[derive(Debug, Default)]
struct Counter(Mutex<usize>);

impl ClientSessionStore for Counter {
    fn insert_tls13_ticket(&self, _: ServerName<'static>, _: Tls13ClientSessionValue) {
        *self.0.lock().unwrap() += 1;
    }

    fn take_tls13_ticket(&self, _: &ServerName<'static>) -> Option<Tls13ClientSessionValue> {
        None
    }

    fn set_kx_hint(&self, _: ServerName<'static>, _: NamedGroup) {}

    fn kx_hint(&self, _: &ServerName<'_>) -> Option<NamedGroup> {
        None
    }

    fn set_tls12_session(&self, _: ServerName<'static>, _: Tls12ClientSessionValue) {}

    fn tls12_session(&self, _: &ServerName<'_>) -> Option<Tls12ClientSessionValue> {
        None
    }

    fn remove_tls12_session(&self, _: &ServerName<'static>) {}
}

/// A client's records, the server's, and what the client keeps.
struct Talk {
    client: Records,
    server: Records,
    kept: Arc<Counter>,
}

fn configs(kept: &Arc<Counter>) -> (Arc<ClientConfig>, Arc<ServerConfig>) {
    let authority = Authority::new("root");
    let issued = authority.issue(Leaf::new().dns("db1.test"));
    let mut client = Stranger::client_config(&authority, None, default_provider(), &[&TLS13]);
    let mut server = Stranger::server_config(&issued, default_provider(), &[&TLS13]);
    client.resumption = Resumption::store(kept.clone());
    client.enable_secret_extraction = true;
    server.enable_secret_extraction = true;
    server.send_tls13_tickets = 0;
    (Arc::new(client), Arc::new(server))
}

impl Talk {
    fn start() -> Self {
        let kept = Arc::new(Counter::default());
        let (client, server) = configs(&kept);
        let name = "db1.test".try_into().unwrap();
        let mut client = Handshake::client(UnbufferedClientConnection::new(client, name).unwrap());
        let mut server = Handshake::server(UnbufferedServerConnection::new(server).unwrap());
        let (mut to_client, mut to_server) = (Vec::new(), Vec::new());
        while client.common().is_handshaking() || server.common().is_handshaking() {
            step(&mut client, &mut to_client, &mut to_server);
            step(&mut server, &mut to_server, &mut to_client);
        }
        let client = client.into_records().unwrap();
        Self { client, server: server.into_records().unwrap(), kept }
    }

    /// Lets the server send a ticket as it is, and the client do with it what it does.
    fn send(&mut self, body: &[u8]) -> Result<(), HandshakeError> {
        let length = u32::try_from(body.len()).unwrap().to_be_bytes();
        let message = [&[super::post::NEW_SESSION_TICKET], &length[1..], body].concat();
        for piece in message.chunks(16_000) {
            self.server.sealer.seal(content::HANDSHAKE, piece).unwrap();
        }
        self.server.sealer.seal_data(&mut Pieces::one(b"x")).unwrap();
        let mut wire = Vec::new();
        while self.server.wants_transmit() {
            self.server.transmit(&mut wire).unwrap();
        }
        let mut into = [0; 10];
        self.client.open(&mut wire, &mut into)?;
        if let Some(ticket) = self.client.take_ticket() {
            self.client.remember(&ticket);
        }
        self.client.failure().cloned().map_or(Ok(()), Err)
    }

    fn kept(&self) -> usize {
        *self.kept.0.lock().unwrap()
    }
}

fn step(end: &mut Handshake, from: &mut Vec<u8>, to: &mut Vec<u8>) {
    let progress = end.process(from);
    progress.result.unwrap();
    from.drain(..progress.used);
    while end.wants_transmit() {
        end.transmit(to).unwrap();
    }
}

/// A ticket of so many bytes that is good for so long (RFC 8446 section 4.6.1).
fn ticket(lifetime: u32, size: usize) -> Vec<u8> {
    let mut body = lifetime.to_be_bytes().to_vec();
    body.extend([1, 2, 3, 4]);
    body.extend([2, 0, 1]);
    body.extend(u16::try_from(size).unwrap().to_be_bytes());
    body.extend(vec![7; size]);
    body.extend([0, 0]);
    body
}

#[test]
fn ticket_is_kept_where_it_is_wanted() {
    let mut talk = Talk::start();
    talk.send(&ticket(3_600, 100)).unwrap();
    assert_eq!(talk.kept(), 0);
    talk.client.want_tickets();
    talk.send(&ticket(3_600, 100)).unwrap();
    talk.send(&ticket(1, 16_000)).unwrap();
    assert_eq!(talk.kept(), 2);
}

#[test]
fn ticket_that_is_good_for_no_time_or_very_large_is_not() {
    let mut talk = Talk::start();
    talk.client.want_tickets();
    talk.send(&ticket(0, 100)).unwrap();
    talk.send(&ticket(3_600, 20_000)).unwrap();
    talk.send(&ticket(3_600, 60_000)).unwrap();
    assert_eq!(talk.kept(), 0);
}

#[test]
fn ticket_that_cannot_be_read_ends_the_conversation() {
    let whole = ticket(3_600, 100);
    let longer = [&whole[..], &[0]].concat();
    let nothing = ticket(3_600, 0);
    for body in [&whole[..whole.len() - 1], &whole[..9], &[1], &[], &longer, &nothing] {
        let mut talk = Talk::start();
        talk.client.want_tickets();
        let what = "it sent a ticket that cannot be read".to_owned();
        assert_eq!(talk.send(body), Err(HandshakeError::Protocol { what }), "{body:?}");
        assert_eq!(talk.kept(), 0);
        // And the server hears of it.
        let mut wire = Vec::new();
        while talk.client.wants_transmit() {
            talk.client.transmit(&mut wire).unwrap();
        }
        let error = talk.server.open(&mut wire, &mut [0; 10]).unwrap_err();
        assert_eq!(error, HandshakeError::RefusedByPeer { alert: "decode_error".to_owned() });
    }
}

#[test]
fn the_last_of_many_tickets_is_kept() {
    let mut talk = Talk::start();
    talk.client.want_tickets();
    for size in 1..40 {
        talk.send(&ticket(3_600, size)).unwrap();
    }
    assert_eq!(talk.kept(), 39, "one at a time");
    // What comes in one piece is one.
    let body = ticket(3_600, 10);
    let length = u32::try_from(body.len()).unwrap().to_be_bytes();
    let message = [&[super::post::NEW_SESSION_TICKET], &length[1..], &body].concat();
    for _ in 0..9 {
        talk.server.sealer.seal(content::HANDSHAKE, &message).unwrap();
    }
    talk.send(&body).unwrap();
    assert_eq!(talk.kept(), 40);
}
