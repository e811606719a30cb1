//! What the demo of Kerberos tries. Nobody in it has a certificate.

use std::path::Path;
use std::time::Instant;

use countersign::core::{HandshakeError, KerberosFailure, TrustRule};
use countersign::{Context, Policy};

use super::super::attempt::{Attempt, SECRET, attempt};
use super::super::recorder::Recorder;
use super::super::scenario::Scenario;
use super::super::stage::{Seen, Server, name, serve};
use super::realm::{OTHER, SERVICE};
use crate::failure::Failure;

/// Tries one thing in the realm of a directory.
type Try = fn(&Path) -> Result<Scenario, Failure>;

/// In the order in which they are shown.
pub(super) const ALL: [Try; 4] = [with_a_ticket, without_a_ticket, another_service, another_user];

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
        seen.push(match self.secrets {
            0 => "none of the text was on the wire".to_owned(),
            _ => "the text was on the wire in clear".to_owned(),
        });
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

/// Lets a client with these tickets ask for [`SERVICE`], where a server with these keys answers.
fn meet(realm: &Path, (keytab, service): (&str, &str), tickets: &str) -> Result<Found, Failure> {
    let started = Instant::now();
    let keytab = realm.join(keytab).display().to_string();
    let cache = realm.join(tickets).display().to_string();
    let server: Server = serve(context(&format!(
        "[kerberos]\nserver = 'require'\nkeytab = '{keytab}'\nservices = ['{service}']\n\
         [[allow]]\npeers = ['alice@DEMO.EXAMPLE']\n"
    ))?)?;
    let client = context(&format!("[kerberos]\nclient = 'require'\ncache = 'FILE:{cache}'\n"))?;
    let recorder = Recorder::before(server.address())?;
    let attempt = attempt(&client, recorder.address(), &name(SERVICE))?;
    let seen = server.finish()?;
    let secrets = recorder.finish()?.count(SECRET);
    Ok(Found { attempt, seen, secrets, started })
}

/// Nobody here believes a certificate.
fn context(text: &str) -> Result<Context, Failure> {
    let limits = "limits = { handshake-timeout-ms = 5000, connect-timeout-ms = 5000 }\n";
    let policy = Policy::parse(&format!("{limits}{text}"), "the demo");
    let policy = policy.map_err(countersign::Error::from)?.with_trust(TrustRule::default());
    Ok(Context::builder().policy(policy).build()?)
}
