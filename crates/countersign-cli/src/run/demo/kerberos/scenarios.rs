//! What the demo of Kerberos tries. Nobody in it has a certificate.

use std::path::Path;
use std::time::Instant;

use countersign::core::{HandshakeError, KerberosFailure, TrustRule};
use countersign::{Context, Error, Policy, UdpSocket};

use super::super::attempt::{Attempt, SECRET, attempt};
use super::super::datagrams::{Server as Peer, exchange, loopback};
use super::super::recorder::Recorder;
use super::super::scenario::{Outcome, Scenario};
use super::super::stage::{PATIENCE, Seen, Server, name, serve};
use super::realm::{OTHER, SERVICE};
use crate::failure::Failure;

/// Tries one thing in the realm of a directory.
type Try = fn(&Path) -> Result<Scenario, Failure>;

/// In the order in which they are shown.
pub(super) const ALL: [Try; 5] =
    [with_a_ticket, without_a_ticket, another_service, another_user, datagrams];

fn with_a_ticket(realm: &Path) -> Result<Scenario, Failure> {
    let found = meet(realm, ("db1.keytab", SERVICE), "alice.tickets")?;
    let knows = |evidence: &countersign::Evidence| {
        evidence.peer().is_some_and(|peer| peer.name().to_string().starts_with("alice@"))
    };
    let (is_known, seen) = match &found.seen {
        Seen::Served(_, Some(evidence)) if knows(evidence) => {
            let client = evidence.peer().map(|peer| peer.name().to_string());
            (true, format!("the server knows the client as {}", client.unwrap_or_default()))
        }
        _ => (false, "the server does not know who the client is".to_owned()),
    };
    let was_echoed = matches!(found.attempt, Attempt::Echoed(Some(_)));
    Ok(found.told("with-a-ticket", "a user with a ticket asks for a service by its name", |_| {
        (was_echoed && is_known, vec![seen.clone()])
    }))
}

fn without_a_ticket(realm: &Path) -> Result<Scenario, Failure> {
    let found = meet(realm, ("db1.keytab", SERVICE), "nobody.tickets")?;
    Ok(found.told("without-a-ticket", "a user without a ticket asks for it", |error| {
        let is_it =
            matches!(error, Some(HandshakeError::Kerberos(KerberosFailure::NoCredentials { .. })));
        (is_it, Vec::new())
    }))
}

fn another_service(realm: &Path) -> Result<Scenario, Failure> {
    let found = meet(realm, ("www.keytab", OTHER), "alice.tickets")?;
    let tried = format!("another service of the realm answers, {OTHER}");
    Ok(found.told("another-service", &tried, |error| {
        let is_it =
            matches!(error, Some(HandshakeError::Kerberos(KerberosFailure::RefusedByPeer { .. })));
        (is_it, Vec::new())
    }))
}

fn another_user(realm: &Path) -> Result<Scenario, Failure> {
    let found = meet(realm, ("db1.keytab", SERVICE), "bob.tickets")?;
    let (is_known, why) = match &found.seen {
        Seen::Refused(error @ HandshakeError::NotAllowed { .. }) => (true, error.to_string()),
        Seen::Refused(error) => (false, error.to_string()),
        Seen::Served(..) => (false, "it served it".to_owned()),
    };
    Ok(found.told("another-user", "a user whom no rule lets in asks for it", |error| {
        let is_told =
            matches!(error, Some(HandshakeError::Kerberos(KerberosFailure::RefusedByPeer { .. })));
        (is_known && is_told, vec![format!("the server says: {why}")])
    }))
}

/// The same over datagrams: one socket, the service, and another one that answers in its place.
fn datagrams(realm: &Path) -> Result<Scenario, Failure> {
    let started = Instant::now();
    let keys = [("db1.keytab", SERVICE), ("www.keytab", OTHER)];
    let [right, wrong] = keys.map(|keys| Peer::start(serving(realm, keys)?));
    let (right, wrong) = (right?, wrong?);
    let socket = UdpSocket::bind_with(&asking(realm, "alice.tickets")?, loopback())?;
    socket.set_read_timeout(Some(PATIENCE));
    for peer in [&right, &wrong] {
        socket.set_peer_target_name(peer.address(), name(SERVICE))?;
    }
    let is_echoed = exchange(&socket, &right)?;
    let evidence = socket.query(right.address())?.evidence().cloned();
    let (is_refused, why) = match socket.send_to(SECRET, wrong.address()) {
        Err(Error::Handshake { source, .. }) => {
            let is_it =
                matches!(source, HandshakeError::Kerberos(KerberosFailure::RefusedByPeer { .. }));
            (is_it, source.to_string())
        }
        Err(error) => return Err(error.into()),
        Ok(_) => (false, "it was not refused".to_owned()),
    };
    drop(socket);
    let [(kept, got), (other_kept, other_got)] = [right, wrong].map(Peer::finish);
    let times = kept.times + other_kept.times;
    Ok(Scenario {
        name: "datagrams",
        tried: format!("the same over datagrams, and {OTHER} answers at another address"),
        is_as_expected: is_echoed && is_refused && (got, other_got, times) == (1, 0, 0),
        outcome: Outcome::Connected(evidence.map(Box::new)),
        seen: vec![format!("the other was refused: {why}"), on_the_wire(times)],
        took: started.elapsed(),
    })
}

/// What came of an attempt, on both sides and on the wire.
struct Found {
    attempt: Attempt,
    seen: Seen,
    secrets: usize,
    started: Instant,
}

impl Found {
    /// Says what it means; `judge` gets the client's error, if it has one.
    fn told(
        self,
        name: &'static str,
        tried: &str,
        judge: impl FnOnce(Option<&HandshakeError>) -> (bool, Vec<String>),
    ) -> Scenario {
        let error = match &self.attempt {
            Attempt::Refused(error) => Some(error),
            _ => None,
        };
        let (is_it, mut seen) = judge(error);
        seen.push(on_the_wire(self.secrets));
        Scenario {
            name,
            tried: tried.to_owned(),
            is_as_expected: is_it && self.secrets == 0,
            outcome: self.attempt.into(),
            seen,
            took: self.started.elapsed(),
        }
    }
}

fn on_the_wire(times: usize) -> String {
    match times {
        0 => "none of the text was on the wire".to_owned(),
        _ => "the text was on the wire in clear".to_owned(),
    }
}

/// Lets a client with these tickets ask for [`SERVICE`], where a server with these keys answers.
fn meet(realm: &Path, keys: (&str, &str), tickets: &str) -> Result<Found, Failure> {
    let started = Instant::now();
    let server: Server = serve(serving(realm, keys)?)?;
    let client = asking(realm, tickets)?;
    let recorder = Recorder::before(server.address())?;
    let attempt = attempt(&client, recorder.address(), &name(SERVICE))?;
    let seen = server.finish()?;
    let secrets = recorder.finish()?.count(SECRET);
    Ok(Found { attempt, seen, secrets, started })
}

/// A server that is this service by the keys in this keytab, and lets alice in.
fn serving(realm: &Path, (keytab, service): (&str, &str)) -> Result<Context, Failure> {
    let keytab = realm.join(keytab).display().to_string();
    context(&format!(
        "[kerberos]\nserver = 'require'\nkeytab = '{keytab}'\nservices = ['{service}']\n\
         [[allow]]\npeers = ['alice@DEMO.EXAMPLE']\n"
    ))
}

/// A client with these tickets.
fn asking(realm: &Path, tickets: &str) -> Result<Context, Failure> {
    let cache = realm.join(tickets).display().to_string();
    context(&format!("[kerberos]\nclient = 'require'\ncache = 'FILE:{cache}'\n"))
}

/// Nobody here believes a certificate.
fn context(text: &str) -> Result<Context, Failure> {
    let limits = "limits = { handshake-timeout-ms = 5000, connect-timeout-ms = 5000 }\n";
    let policy = Policy::parse(&format!("{limits}{text}"), "the demo");
    let policy = policy.map_err(Error::from)?.with_trust(TrustRule::default());
    Ok(Context::builder().policy(policy).build()?)
}
