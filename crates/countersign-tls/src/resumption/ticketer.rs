//! A server's tickets: what it would have to remember of a session, sealed and given to the client.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use countersign_core::Timestamp;
use rustls::crypto::aws_lc_rs;
use rustls::server::ProducesTickets;
use zeroize::Zeroizing;

use super::{LIFETIME, Session, SessionPeer};
use crate::chain::ChainDigest;
use crate::scope;
use crate::verify::Verifier;

/// The largest ticket that is made: what is in one must come back in a greeting.
const LARGEST: usize = 16 * 1024;

/// What the plaintext of a ticket begins with, so that a later form is not taken for this one.
const FORM: u8 = 1;

/// How the peer is written.
const ANONYMOUS: u8 = 0;
const ANONYMOUS_THOUGH_ASKED: u8 = 1;
const CERTIFIED: u8 = 2;

/// Seals and opens the tickets of one generation's server.
///
/// The sealing is rustls' (RFC 5077 section 4: AES-256-CBC, then HMAC-SHA-256). Before what rustls
/// remembers stands what we do: since when, and by which chain. Keys are random, never leave the
/// process, and change each [`LIFETIME`] by the time of the connections; the one before opens for
/// as long again. A ticket that cannot be opened, or whose session may not go on here, leads to a
/// full handshake, and nobody is told why.
pub(crate) struct Ticketer {
    verifier: Arc<Verifier>,
    keys: Mutex<Option<Keys>>,
}

struct Keys {
    current: Arc<dyn ProducesTickets>,
    previous: Option<Arc<dyn ProducesTickets>>,
    since: Timestamp,
}

impl Ticketer {
    /// Starts without a key; `verifier` is the one that judges the clients of the same generation.
    pub(crate) fn new(verifier: Arc<Verifier>) -> Self {
        Self { verifier, keys: Mutex::new(None) }
    }

    /// Returns the key that seals now, and the one before it; none if the system gives none.
    #[expect(clippy::type_complexity, reason = "a pair that is taken apart at once")]
    fn keys(
        &self,
        now: Timestamp,
    ) -> Option<(Arc<dyn ProducesTickets>, Option<Arc<dyn ProducesTickets>>)> {
        let mut slot = self.keys.lock().unwrap_or_else(PoisonError::into_inner);
        let before = match slot.take() {
            // What was made in the future is of a clock that has been set back.
            Some(keys) if now < keys.since => None,
            Some(keys) => {
                let age = now.since(keys.since);
                if age < LIFETIME {
                    let pair = (keys.current.clone(), keys.previous.clone());
                    *slot = Some(keys);
                    return Some(pair);
                }
                (age < 2 * LIFETIME).then_some(keys.current)
            }
            None => None,
        };
        let current = aws_lc_rs::Ticketer::new().ok()?;
        *slot = Some(Keys { current: current.clone(), previous: before.clone(), since: now });
        Some((current, before))
    }

    fn seal(&self, plain: &[u8]) -> Option<Vec<u8>> {
        let now = scope::now()?;
        let session = session_of_connection()?;
        session.remaining(now)?;
        let mut whole = Zeroizing::new(Vec::with_capacity(HEADER + plain.len()));
        write(&session, &mut whole);
        whole.extend_from_slice(plain);
        if whole.len() > LARGEST {
            return None;
        }
        let (current, _) = self.keys(now)?;
        current.encrypt(&whole)
    }

    fn open(&self, ticket: &[u8]) -> Option<(Session, Vec<u8>)> {
        let (question, now) = (scope::question()?, scope::now()?);
        let (current, previous) = self.keys(now)?;
        let whole = current
            .decrypt(ticket)
            .or_else(|| previous.and_then(|previous| previous.decrypt(ticket)))
            .map(Zeroizing::new)?;
        let (session, plain) = read(&whole)?;
        session.may_go_on(&self.verifier, &question, now).then(|| (session, plain.to_vec()))
    }
}

/// Returns what the connection under way can be resumed by: the session that it has resumed
/// itself, so that no chain of them lasts longer than the first, or its own.
fn session_of_connection() -> Option<Session> {
    let (question, now) = (scope::question()?, scope::now()?);
    match (scope::offered(), scope::session()) {
        // Whether it is resumed has not been settled.
        (Some(_), _) => None,
        (None, Some(session)) => Some(session),
        (None, None) => {
            scope::with_answer(|answer| Session::of_full_handshake(&question, answer, now))?
        }
    }
}

impl ProducesTickets for Ticketer {
    fn enabled(&self) -> bool {
        true
    }

    /// Seconds, of the session that [`Self::encrypt`] has just sealed.
    fn lifetime(&self) -> u32 {
        let remaining = session_of_connection().zip(scope::now());
        let remaining = remaining.and_then(|(session, now)| session.remaining(now));
        remaining.map_or(0, |it| u32::try_from(it.as_secs()).unwrap_or(0))
    }

    fn encrypt(&self, plain: &[u8]) -> Option<Vec<u8>> {
        self.seal(plain)
    }

    fn decrypt(&self, ticket: &[u8]) -> Option<Vec<u8>> {
        scope::offer(None);
        let (session, plain) = self.open(ticket)?;
        scope::offer(Some(session));
        Some(plain)
    }
}

impl fmt::Debug for Ticketer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Ticketer(not shown)")
    }
}

/// The longest that [`write()`] writes: form, time, peer, time, digest.
const HEADER: usize = 1 + 8 + 1 + 8 + ChainDigest::LEN;

fn write(session: &Session, into: &mut Vec<u8>) {
    into.push(FORM);
    into.extend(session.authenticated.as_secs().to_be_bytes());
    match &session.peer {
        SessionPeer::Anonymous { was_asked: false } => into.push(ANONYMOUS),
        SessionPeer::Anonymous { was_asked: true } => into.push(ANONYMOUS_THOUGH_ASKED),
        SessionPeer::Certified { digest, until } => {
            into.push(CERTIFIED);
            into.extend(until.as_secs().to_be_bytes());
            into.extend(digest.bytes());
        }
    }
}

/// Reads what [`write()`] wrote, and returns it with what follows.
fn read(whole: &[u8]) -> Option<(Session, &[u8])> {
    let (&[form], rest) = whole.split_first_chunk::<1>()?;
    let (authenticated, rest) = read_time(rest)?;
    let (&[peer], rest) = rest.split_first_chunk::<1>()?;
    let (peer, rest) = match (form, peer) {
        (FORM, ANONYMOUS) => (SessionPeer::Anonymous { was_asked: false }, rest),
        (FORM, ANONYMOUS_THOUGH_ASKED) => (SessionPeer::Anonymous { was_asked: true }, rest),
        (FORM, CERTIFIED) => {
            let (until, rest) = read_time(rest)?;
            let (digest, rest) = rest.split_first_chunk()?;
            let digest = ChainDigest::from_bytes(*digest);
            (SessionPeer::Certified { digest, until }, rest)
        }
        _ => return None,
    };
    Some((Session { authenticated, peer }, rest))
}

fn read_time(from: &[u8]) -> Option<(Timestamp, &[u8])> {
    let (secs, rest) = from.split_first_chunk()?;
    Some((Timestamp::from_secs(u64::from_be_bytes(*secs)), rest))
}
