//! What a verifier needs to know about the connection that it is called for.
//!
//! rustls shares one verifier between all connections of a configuration and calls it with no
//! word about the connection, from inside `process_new_packets`. The question that one connection
//! asks, the time, and the answer therefore travel beside the call, in a slot of the thread that
//! makes it. The slot is empty outside of [`enter`], and every reader of an empty slot refuses.

use std::cell::RefCell;
use std::net::SocketAddr;
use std::sync::Arc;

use countersign_core::{Admission, Asked, HandshakeError, ProvedPeer, Timestamp};

use crate::chain::VerifiedChain;
use crate::exporter::ExporterSecret;
use crate::resumption::Session;

/// What a connection wants to know of its peer.
#[non_exhaustive]
#[derive(Clone, Debug)]
pub enum Question {
    /// We are the client: is this whom I asked for?
    IsServer(Asked),
    /// We are the server: may the client at this address come in?
    MayConnect(Arc<Admission>, SocketAddr),
    /// As [`Self::IsServer`], but a proof inside the connection may stand in for the certificate,
    /// so the verdict on it is deferred.
    MayBeServer(Asked),
    /// As [`Self::MayConnect`], of a client that will prove itself inside the connection: what else
    /// does its certificate prove? Whether it may come in is judged over both.
    WhoElse(Arc<Admission>, SocketAddr),
}

impl Question {
    /// Returns whether a certificate that does not do is noted, and ends nothing yet.
    pub(crate) fn defers(&self) -> bool {
        matches!(self, Self::MayBeServer(_) | Self::WhoElse(..))
    }
}

/// What the peer's certificate proved.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Answer {
    /// First the name that was asked for, if one was, then the others.
    pub names: Vec<ProvedPeer>,
    /// Until when the certificate is good.
    pub expires: Timestamp,
    /// The chain that says so.
    pub(crate) chain: Arc<VerifiedChain>,
}

/// What came of calls: what earlier ones of the same handshake have left goes in, and comes out
/// with what this one adds.
#[derive(Debug, Default)]
pub(crate) struct Outcome {
    pub(crate) answer: Option<Answer>,
    pub(crate) refusal: Option<HandshakeError>,
    /// Why the certificate does not do, where that ends nothing yet.
    pub(crate) deferred: Option<HandshakeError>,
    /// What keying material is exported from.
    pub(crate) exporter: Option<ExporterSecret>,
    /// The session that the connection resumes.
    pub(crate) session: Option<Session>,
    /// A session that rustls was given to resume in this call; whether it does is not known yet.
    pub(crate) offered: Option<Session>,
}

struct Scope {
    question: Option<Arc<Question>>,
    now: Timestamp,
    outcome: Outcome,
}

thread_local! {
    static SCOPE: RefCell<Option<Scope>> = const { RefCell::new(None) };
}

/// Empties the slot, whatever way the call ends.
struct Leave;

impl Drop for Leave {
    fn drop(&mut self) {
        SCOPE.with_borrow_mut(|slot| *slot = None);
    }
}

/// Runs `call` at the time `now` for a connection that asks `question`, if it still asks one;
/// `outcome` is what earlier calls have left.
pub(crate) fn enter<T>(
    question: Option<&Arc<Question>>,
    now: Timestamp,
    outcome: Outcome,
    call: impl FnOnce() -> T,
) -> (T, Outcome) {
    let _leave = Leave;
    SCOPE.with_borrow_mut(|slot| {
        *slot = Some(Scope { question: question.cloned(), now, outcome });
    });
    let result = call();
    let scope = SCOPE.with_borrow_mut(Option::take);
    (result, scope.map(|scope| scope.outcome).unwrap_or_default())
}

/// Returns the time of the call under way.
pub(crate) fn now() -> Option<Timestamp> {
    SCOPE.with_borrow(|slot| slot.as_ref().map(|scope| scope.now))
}

/// Returns the question of the call under way.
pub(crate) fn question() -> Option<Arc<Question>> {
    SCOPE.with_borrow(|slot| slot.as_ref().and_then(|scope| scope.question.clone()))
}

/// Returns why the peer's certificate does not do, if that was found and ended nothing yet.
pub(crate) fn deferred() -> Option<HandshakeError> {
    SCOPE.with_borrow(|slot| slot.as_ref().and_then(|scope| scope.outcome.deferred.clone()))
}

/// Asks about what the peer's certificate has proved, so far as is known.
pub(crate) fn with_answer<T>(ask: impl FnOnce(Option<&Answer>) -> T) -> Option<T> {
    SCOPE.with_borrow(|slot| slot.as_ref().map(|scope| ask(scope.outcome.answer.as_ref())))
}

/// Returns the session that the connection resumes.
pub(crate) fn session() -> Option<Session> {
    SCOPE.with_borrow(|slot| slot.as_ref().and_then(|scope| scope.outcome.session.clone()))
}

/// Returns the session that rustls was given to resume in this call.
pub(crate) fn offered() -> Option<Session> {
    SCOPE.with_borrow(|slot| slot.as_ref().and_then(|scope| scope.outcome.offered.clone()))
}

/// Leaves what session rustls is given to resume: the last one counts.
pub(crate) fn offer(session: Option<Session>) {
    SCOPE.with_borrow_mut(|slot| {
        if let Some(scope) = slot {
            scope.outcome.offered = session;
        }
    });
}

/// Leaves a verdict that ends nothing yet.
pub(crate) fn defer(verdict: HandshakeError) {
    SCOPE.with_borrow_mut(|slot| {
        if let Some(scope) = slot {
            scope.outcome.deferred = Some(verdict);
        }
    });
}

/// Leaves the exporter secret.
pub(crate) fn keep(secret: ExporterSecret) {
    SCOPE.with_borrow_mut(|slot| {
        if let Some(scope) = slot {
            scope.outcome.exporter = Some(secret);
        }
    });
}

/// Leaves what a verifier found.
pub(crate) fn report(found: Result<Answer, HandshakeError>) {
    SCOPE.with_borrow_mut(|slot| {
        let Some(scope) = slot else { return };
        match found {
            Ok(answer) => scope.outcome.answer = Some(answer),
            Err(refusal) => scope.outcome.refusal = Some(refusal),
        }
    });
}
