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

/// What a connection wants to know of its peer.
#[non_exhaustive]
#[derive(Clone, Debug)]
pub enum Question {
    /// We are the client: is this whom I asked for?
    IsServer(Asked),
    /// We are the server: may the client at this address come in?
    MayConnect(Arc<Admission>, SocketAddr),
}

/// What the peer's certificate proved.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Answer {
    /// First the name that was asked for, if one was, then the others.
    pub names: Vec<ProvedPeer>,
    /// Until when the certificate is good.
    pub expires: Timestamp,
}

/// What came of a call.
#[derive(Debug, Default)]
pub(crate) struct Outcome {
    pub(crate) answer: Option<Answer>,
    pub(crate) refusal: Option<HandshakeError>,
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

/// Runs `call` at the time `now` for a connection that asks `question`, if it still asks one.
pub(crate) fn enter<T>(
    question: Option<&Arc<Question>>,
    now: Timestamp,
    call: impl FnOnce() -> T,
) -> (T, Outcome) {
    let _leave = Leave;
    SCOPE.with_borrow_mut(|slot| {
        *slot = Some(Scope { question: question.cloned(), now, outcome: Outcome::default() });
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
