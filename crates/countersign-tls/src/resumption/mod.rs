//! Sessions that a later connection goes on from (RFC 8446 section 2.2), so that it costs no
//! signature and no chain.
//!
//! rustls believes whatever session it can resume, and asks no verifier. We do not: a session is
//! only what says *which* chain the peer proved to hold the key of, and *when*. Whether that chain
//! does for this question, at this listener, now, is judged anew in each connection, before it is
//! offered or taken and once more before there is evidence (`engine/resume.rs`).
//!
//! | what binds a session | how |
//! | --- | --- |
//! | one generation of policy, anchors, certificate and key | tickets are sealed with keys of a server's configuration, and kept in a client's; another has others |
//! | the question, on the client | kept by whom was asked for, where, and who said so; sessions of peers without a name are not kept |
//! | the peer's chain | its digest; the chain itself must come with it |
//! | an anonymous client | goes on as one only where it could come in as one |
//! | the proof | certificates only: a proof inside the connection is bound to that connection, and its configuration has no sessions |
//! | time | [`LIFETIME`] from when the peer's key signed, which no resumption extends, and the dates of the chain |
//!
//! A ticket is used once by our clients (RFC 8446 appendix C.4). A server takes one again: without
//! early data, what would be replayed is of no use to who cannot answer with fresh keys. There is
//! no early data, and every resumed connection has a key exchange of its own (psk_dhe_ke).

mod store;
pub(crate) use store::SessionStore;

mod ticketer;
pub(crate) use ticketer::Ticketer;

#[cfg(test)]
mod tests;

use std::time::Duration;

use countersign_core::{Asked, ClientCertificates, HandshakeError, Timestamp};
use rustls_pki_types::CertificateDer;

use crate::chain::{ChainDigest, Usage};
use crate::scope::{Answer, Question};
use crate::verify::Verifier;

/// How long after a full handshake its session can be resumed.
pub(crate) const LIFETIME: Duration = Duration::from_secs(60 * 60);

/// What a connection that resumes a session goes on from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Session {
    /// When the peer proved itself, in a full handshake.
    pub(crate) authenticated: Timestamp,
    /// What it proved itself by.
    pub(crate) peer: SessionPeer,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum SessionPeer {
    /// A client that showed no certificate.
    Anonymous {
        /// It had been asked for one.
        was_asked: bool,
    },
    /// Who holds the key of a chain.
    Certified {
        /// Which chain.
        digest: ChainDigest,
        /// Until when it is good.
        until: Timestamp,
    },
}

impl Session {
    /// Returns the session of a connection that was made at `now` by a full handshake; `None` if it
    /// is none that may be resumed.
    pub(crate) fn of_full_handshake(
        question: &Question,
        answer: Option<&Answer>,
        now: Timestamp,
    ) -> Option<Self> {
        let peer = match (question, answer) {
            (Question::IsServer(Asked::Name { .. }) | Question::MayConnect(..), Some(answer)) => {
                // What the verifier does not remember could only be judged at full cost.
                let chain = answer.chain.is_light().then_some(&answer.chain)?;
                SessionPeer::Certified { digest: chain.digest(), until: chain.good_until() }
            }
            (Question::MayConnect(admission, _), None) => {
                SessionPeer::Anonymous { was_asked: admission.demand() != ClientCertificates::None }
            }
            _ => return None,
        };
        Some(Self { authenticated: now, peer })
    }

    /// Returns how long it may still be resumed; `None` if no longer, or if it was made in the
    /// future: the clock has been set back, and by how much nobody knows.
    pub(crate) fn remaining(&self, now: Timestamp) -> Option<Duration> {
        if now < self.authenticated {
            return None;
        }
        let remaining = LIFETIME.checked_sub(now.since(self.authenticated))?;
        (!remaining.is_zero()).then_some(remaining)
    }

    /// Returns whether a connection that asks this now may try to go on from it. If not, a full
    /// handshake says why, or succeeds.
    pub(crate) fn may_go_on(&self, verifier: &Verifier, asks: &Question, now: Timestamp) -> bool {
        if self.remaining(now).is_none() {
            return false;
        }
        match &self.peer {
            SessionPeer::Anonymous { .. } => self.check_anonymous(asks).is_ok(),
            SessionPeer::Certified { digest, until } => {
                // A chain that is not remembered is judged when it is there.
                let judged = verifier.known(digest, now).map(|chain| chain.answer(asks));
                now <= *until && asks_for_certificate(asks) && !matches!(judged, Some(Err(_)))
            }
        }
    }

    /// Judges who resumed it, by what came with it: the chain, end-entity certificate first, or no
    /// chain. Returns what it proves; nothing of an anonymous client.
    ///
    /// # Errors
    ///
    /// Why the peer would be refused if it showed itself so in a full handshake.
    pub(crate) fn judge(
        &self,
        verifier: &Verifier,
        asks: &Question,
        chain: &[CertificateDer<'_>],
        now: Timestamp,
    ) -> Result<Option<Answer>, HandshakeError> {
        let unfit = |what: &str| HandshakeError::OurSide { what: what.to_owned() };
        match (&self.peer, chain.split_first()) {
            (SessionPeer::Anonymous { .. }, None) => self.check_anonymous(asks).map(|()| None),
            (SessionPeer::Certified { digest, .. }, Some((leaf, intermediates))) => {
                if !asks_for_certificate(asks) {
                    return Err(unfit("a session was resumed for another question"));
                }
                // Not the session's, which this must be.
                let shown = ChainDigest::of(Usage::of(asks), leaf, intermediates);
                if *digest != shown {
                    return Err(unfit("a session was resumed with another chain"));
                }
                verifier.ask_of(&shown, asks, leaf, intermediates, now).map(Some)
            }
            _ => Err(unfit("a session was resumed with another proof")),
        }
    }

    /// A client without a certificate goes on where it would be served, and would not be asked for
    /// one that nobody has asked for before.
    fn check_anonymous(&self, asks: &Question) -> Result<(), HandshakeError> {
        let SessionPeer::Anonymous { was_asked } = self.peer else {
            return Err(HandshakeError::NoCertificate);
        };
        match asks {
            Question::MayConnect(admission, _)
                if admission.admits_anonymous()
                    && (was_asked || admission.demand() == ClientCertificates::None) =>
            {
                Ok(())
            }
            _ => Err(HandshakeError::NoCertificate),
        }
    }
}

/// Returns whether a full handshake that asks this would come to a certificate of the peer that
/// proves a name.
fn asks_for_certificate(asks: &Question) -> bool {
    match asks {
        Question::IsServer(Asked::Name { .. }) => true,
        Question::MayConnect(admission, _) => admission.demand() != ClientCertificates::None,
        _ => false,
    }
}
