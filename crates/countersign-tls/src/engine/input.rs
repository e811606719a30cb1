//! What the peer sends, as far as the handshake.

use std::sync::Arc;

use countersign_core::{HandshakeError, KerberosUse, Timestamp};
use rustls::AlertDescription;

use super::first_bytes::{FIRST_BYTES, not_tls};
use super::{Engine, Link, Phase, Resuming, server_link};
use crate::error::{alert_for, from_rustls};
use crate::link::alert_in_clear;
use crate::scope::Question;

/// The bytes of the wire that may wait in a handshake: a message of 64 KiB, and the record around
/// its end.
const INCOMING: usize = 68 * 1024;

impl Engine {
    /// Takes bytes that arrived from the peer, and returns how many it took. It takes fewer than
    /// all when so many wait already that something must be opened, or when the peer has said that
    /// it is done.
    ///
    /// After the handshake [`Self::open_from`] takes the bytes without a copy.
    ///
    /// # Errors
    ///
    /// Fails when the peer breaks the protocol or proves nothing that we accept. An alert for the
    /// peer may then wait for [`Self::transmit`].
    pub fn handle_input(&mut self, wire: &[u8], now: Timestamp) -> Result<usize, HandshakeError> {
        if let Phase::Failed(error) = &self.phase {
            return Err(error.clone());
        }
        self.heard = now;
        if self.phase == Phase::Handshaking && self.first_bytes.len() < FIRST_BYTES {
            let room = FIRST_BYTES - self.first_bytes.len();
            self.first_bytes.extend(wire.iter().take(room));
        }
        if let Link::Buffered(_) = self.link {
            return self.feed(wire, now);
        }
        let room = INCOMING.saturating_sub(self.incoming.len());
        let taken = wire.get(..wire.len().min(room)).unwrap_or_default();
        self.incoming.extend_from_slice(taken);
        self.process(now)?;
        match self.phase {
            // It is as full as a handshake can make it.
            Phase::Handshaking if taken.is_empty() && !wire.is_empty() => {
                let what = "it sent a handshake message that is far too large".to_owned();
                Err(self.fail(HandshakeError::Protocol { what }))
            }
            _ => Ok(taken.len()),
        }
    }

    /// Goes on with what has arrived.
    pub(super) fn process(&mut self, now: Timestamp) -> Result<(), HandshakeError> {
        if let Link::Greeting(greeting) = &mut self.link {
            match greeting.look(&self.incoming) {
                Ok(None) => return Ok(()),
                Ok(Some(offers_proof)) => self.answer_greeting(offers_proof)?,
                Err((error, alert)) => {
                    let error = self.explain(&error);
                    self.link = Link::Ended(alert);
                    return Err(self.fail(error));
                }
            }
        }
        if let Link::Buffered(_) = self.link {
            let incoming = std::mem::take(&mut self.incoming);
            return self.feed(&incoming, now).map(drop);
        }
        if !matches!(self.link, Link::Handshake(_)) {
            return Ok(());
        }
        let (progress, refusal) = self.within(now, |link, incoming| match link {
            Link::Handshake(handshake) => Some(handshake.process(incoming)),
            _ => None,
        });
        let Some(progress) = progress else { return Ok(()) };
        self.incoming.drain(..progress.used);
        progress.result.map_err(|error| {
            let error = refusal.unwrap_or_else(|| self.explain(&error));
            let error = self.withheld(error);
            self.fail(error)
        })?;
        self.refuse_in_time()
    }

    /// Tells a server to which our certificate is not shown why not, instead of who we are. Where no
    /// proof would follow, its certificate is refused, and that is all there is to say.
    pub(super) fn withheld(&mut self, error: HandshakeError) -> HandshakeError {
        let HandshakeError::CertificateWithheld { why } = error else { return error };
        let is_proof_next = self.has_agreed_on_proof();
        self.link = Link::Ended(alert_in_clear(alert_for(&why)));
        match (is_proof_next, self.inner_proof) {
            (true, _) => HandshakeError::CertificateWithheld { why },
            (false, KerberosUse::Require) => HandshakeError::KerberosRequired,
            (false, _) => *why,
        }
    }

    /// Ends a handshake that no proof will follow on and whose verdict is against the server, before
    /// our last word of it goes out: with that, the server would take us for a client.
    pub(super) fn refuse_in_time(&mut self) -> Result<(), HandshakeError> {
        let is_over = self.phase == Phase::Handshaking && self.is_tls_done();
        if !is_over || !self.is_client || self.has_agreed_on_proof() {
            return Ok(());
        }
        let (verdict, alert) = match (self.inner_proof, &self.deferred) {
            (KerberosUse::Require, _) => {
                (HandshakeError::KerberosRequired, AlertDescription::NoApplicationProtocol)
            }
            (_, Some(verdict)) => (verdict.clone(), alert_for(verdict)),
            (_, None) => return Ok(()),
        };
        self.link = Link::Ended(alert_in_clear(alert));
        Err(self.fail(verdict))
    }

    /// Gives bytes to a connection that rustls carries, and returns how many it took.
    pub(super) fn feed(
        &mut self,
        mut wire: &[u8],
        now: Timestamp,
    ) -> Result<usize, HandshakeError> {
        let offered = wire.len();
        while !wire.is_empty() {
            let (state, refusal) = self.within(now, |link, _| {
                let Link::Buffered(connection) = link else { return None };
                let count = connection.read_tls(&mut wire).unwrap_or(0);
                (count > 0).then(|| connection.process_new_packets())
            });
            let Some(state) = state else { break };
            match state {
                Ok(state) if state.plaintext_bytes_to_read() > 0 => break,
                Ok(_) => {}
                Err(error) => {
                    let error = refusal.unwrap_or_else(|| self.explain(&error));
                    let error = self.withheld(error);
                    return Err(self.fail(error));
                }
            }
            self.refuse_in_time()?;
        }
        Ok(offered - wire.len())
    }

    /// Chooses what to talk to a client with, by what it offers.
    fn answer_greeting(&mut self, offers_proof: bool) -> Result<(), HandshakeError> {
        let config = self.choice.take();
        let plain = config.as_ref().and_then(|config| config.plain.as_ref());
        let (chosen, is_lax) = match (&config, plain) {
            (Some(config), _) if offers_proof => {
                if let Question::MayConnect(admission, peer) = &*self.question {
                    self.question = Arc::new(Question::WhoElse(admission.clone(), *peer));
                }
                (config.proving.clone(), false)
            }
            (Some(config), Some(plain)) if self.inner_proof != KerberosUse::Require => {
                self.inner_proof = KerberosUse::Off;
                self.resuming = config.resumes.as_ref().map(Resuming::new);
                (plain.clone(), config.is_lax)
            }
            _ => {
                self.link = Link::Ended(alert_in_clear(AlertDescription::NoApplicationProtocol));
                return Err(self.fail(HandshakeError::KerberosRequired));
            }
        };
        match server_link(chosen, is_lax) {
            Ok(link) => {
                self.link = link;
                Ok(())
            }
            Err(error) => {
                self.link = Link::Ended(Vec::new());
                Err(self.fail(from_rustls(&error)))
            }
        }
    }

    /// Learns that the peer's bytes have ended.
    ///
    /// # Errors
    ///
    /// [`HandshakeError::Truncated`] unless the peer said before that it is done: without that
    /// word anyone on the path could have cut the conversation short.
    pub fn handle_end_of_input(&mut self) -> Result<(), HandshakeError> {
        match self.phase.clone() {
            Phase::Failed(error) => Err(error),
            Phase::Handshaking if !self.may_be_tls() => Err(self.fail(not_tls(&self.first_bytes))),
            Phase::Secured if self.peer_has_closed() => Ok(()),
            _ => {
                let error = self.record_failure().unwrap_or(HandshakeError::Truncated);
                Err(self.fail(error))
            }
        }
    }
}
