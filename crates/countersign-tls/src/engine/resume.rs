//! Sessions of earlier connections, as one connection meets them.
//!
//! rustls takes a session for proof enough. Here it is none: the chain that came with it is judged
//! as if it had just been shown, before there is evidence.

use std::sync::Arc;

use countersign_core::{HandshakeError, Timestamp};
use rustls::HandshakeKind;
use rustls_pki_types::CertificateDer;

use super::{Engine, Link, Phase};
use crate::resumption::Session;
use crate::scope::{self, Outcome};
use crate::verify::Verifier;

/// What a handshake needs to resume a session.
#[derive(Debug)]
pub(super) struct Resuming {
    /// Who judges whoever resumes it.
    verifier: Arc<Verifier>,
    /// The session that rustls has been given; it goes on from this one or from none.
    session: Option<Session>,
}

impl Resuming {
    /// For a connection whose configuration resumes sessions.
    pub(super) fn new(verifier: &Arc<Verifier>) -> Box<Self> {
        Box::new(Self { verifier: Arc::clone(verifier), session: None })
    }
}

impl Engine {
    /// Lets rustls work on a connection, which asks its question as long as it is in the handshake.
    /// Returns why a verifier refused, too, if it did.
    pub(super) fn within<T>(
        &mut self,
        now: Timestamp,
        work: impl FnOnce(&mut Link, &mut [u8]) -> T,
    ) -> (T, Option<HandshakeError>) {
        let carried = self.carried();
        let question = (self.phase == Phase::Handshaking).then_some(&self.question);
        let (link, incoming) = (&mut self.link, &mut self.incoming);
        let (done, outcome) = scope::enter(question, now, carried, || work(link, incoming));
        (done, self.keep(outcome))
    }

    /// Takes what earlier calls of the handshake have left.
    fn carried(&mut self) -> Outcome {
        let session = self.resuming.as_ref().and_then(|resuming| resuming.session.as_ref());
        Outcome {
            answer: self.answer.take(),
            deferred: self.deferred.take(),
            exporter: self.exporter.take(),
            session: session.filter(|_| self.is_resumed()).cloned(),
            ..Outcome::default()
        }
    }

    /// Keeps what a call has left, and returns why a verifier refused, if it did.
    pub(super) fn keep(&mut self, outcome: Outcome) -> Option<HandshakeError> {
        let Outcome { answer, refusal, deferred, exporter, offered, .. } = outcome;
        (self.answer, self.deferred, self.exporter) = (answer, deferred, exporter);
        if let (Some(resuming), Some(_)) = (&mut self.resuming, &offered) {
            resuming.session = offered;
        }
        refusal
    }

    /// Returns whether rustls has resumed a session; false as long as that is open.
    fn is_resumed(&self) -> bool {
        self.link.common().and_then(|common| common.handshake_kind())
            == Some(HandshakeKind::Resumed)
    }

    /// Judges the peer of a handshake that is over, if it resumed a session. Of every other one the
    /// verifier has judged what it showed. A client notes what its tickets will be good for.
    ///
    /// # Errors
    ///
    /// Why the peer would be refused if it showed itself now.
    pub(super) fn settle_resumption(&mut self, now: Timestamp) -> Result<(), HandshakeError> {
        let is_resumed = self.is_resumed();
        let resuming = self.resuming.take();
        let session = match (is_resumed, &resuming) {
            (false, None) => return Ok(()),
            (false, Some(_)) => {
                Session::of_full_handshake(&self.question, self.answer.as_ref(), now)
            }
            (true, resuming) => {
                // Nothing but this may answer: no verifier was asked in this handshake.
                self.answer = None;
                let given = resuming.as_deref().map(|it| (&it.verifier, it.session.as_ref()));
                let Some((verifier, Some(session))) = given else { return Err(unasked()) };
                self.answer = session.judge(verifier, &self.question, &self.chain, now)?;
                if let Some(answer) = &self.answer {
                    self.chain = Arc::clone(answer.chain.certificates());
                }
                let authenticated = session.authenticated;
                let protection = self.protection.take();
                self.protection =
                    protection.map(|evidence| Box::new(evidence.resumed_from(authenticated)));
                Some(session.clone())
            }
        };
        self.session = session.filter(|_| self.is_client).map(Box::new);
        Ok(())
    }

    /// Keeps a ticket that has arrived, for a later connection that asks the same.
    pub(super) fn keep_ticket(&mut self, now: Timestamp) {
        let Link::Records(records) = &mut self.link else { return };
        let Some(ticket) = records.take_ticket() else { return };
        let session = self.session.as_deref().cloned();
        let outcome = Outcome { session, ..Outcome::default() };
        // What is wrong with it ends the conversation, and is said there.
        scope::enter(Some(&self.question), now, outcome, || records.remember(&ticket));
    }
}

fn unasked() -> HandshakeError {
    let what = "a session was resumed that nobody has given out".to_owned();
    HandshakeError::OurSide { what }
}

/// The chain of a peer as rustls holds it.
pub(super) fn shown(chain: Option<&[CertificateDer<'static>]>) -> Arc<[CertificateDer<'static>]> {
    chain.unwrap_or_default().into()
}
