//! What a program asks about the peers of a datagram socket.

use std::net::SocketAddr;
use std::sync::Arc;

use super::UdpSocket;
use super::state::State;
use super::udp::order;
use crate::Error;
use crate::core::{
    Evidence, KerberosUse, QueryAnswer, QueryTemplate, SecurityInfo, SocketKind, WsaError, fold,
};
use crate::kerberos::DelegatedCredential;
use crate::rights::can_act_for;

impl UdpSocket {
    /// Returns what protects the conversation with a peer, and who it is
    /// (`WSAQuerySocketSecurity`, SPEC 7). It never waits.
    ///
    /// # Errors
    ///
    /// [`Error::Order`] with `WSAENOTCONN` for a peer that has not proved who it is.
    pub fn query(&self, peer: SocketAddr) -> Result<SecurityInfo, Error> {
        let state = self.lock();
        let evidence = state.open.as_ref().and_then(|open| open.endpoint.evidence(peer));
        let evidence = evidence.ok_or_else(|| order(&state, "query", WsaError::NotConn))?;
        Ok(SecurityInfo::secured(evidence.clone()))
    }

    /// Asks about a peer as `template` says, which must name its address
    /// (`WSAQuerySocketSecurity`, SPEC 7). It waits for nobody, and for a template with nothing but
    /// the address allocates nothing.
    ///
    /// With [`QueryTemplate::aborting_on`] the association ends rather than be replaced by another
    /// session (the peer restarted; its keys never change without that), and, for `MM_SA_ID`, once a
    /// newer policy or trust would not have it made. The next send, receive or query then fails,
    /// once, with [`Changed`](crate::core::HandshakeError::Changed), `WSAECONNABORTED`; only after that may the
    /// peer come back under another session. Such a peer is not asked whether it has forgotten us.
    ///
    /// # Errors
    ///
    /// [`Error::Order`] with `WSAEINVAL` without an address and port, with `WSAENOTCONN` for a peer that has
    /// not proved who it is, unless a handshake with it failed and the template asks for the ids:
    /// then the answer says why. [`Error::Handshake`] as above.
    pub fn query_with(&self, template: &QueryTemplate) -> Result<QueryAnswer, Error> {
        let mut state = self.lock();
        let refuse = |state: &State, wsa| Err(order(state, "query", wsa));
        if let Err(wsa) = template.check(SocketKind::Datagram) {
            return refuse(&state, wsa);
        }
        let Some(peer) = template.peer() else { return refuse(&state, WsaError::Inval) };
        state.watch(peer, template.abort_on());
        state.follow_policy(|| self.context.current());
        let Some(open) = &mut state.open else { return refuse(&state, WsaError::NotConn) };
        if let Some(ended) = open.take_ended(Some(peer)) {
            return Err(ended);
        }
        if let Some(evidence) = open.endpoint.evidence(peer) {
            let answer = template.answer(Some(evidence), 0);
            let is_impersonable = can_act_for(evidence, &self.context);
            return Ok(if is_impersonable { answer.impersonated() } else { answer });
        }
        match open.last_failure(peer).filter(|_| template.wants_sa_ids()) {
            Some(error) => Ok(QueryAnswer::failed(error)),
            None => refuse(&state, WsaError::NotConn),
        }
    }

    /// Returns the tickets that a peer has handed on to us, if both policies and its KDC let it
    /// (`kerberos.delegate`).
    pub fn delegated(&self, peer: SocketAddr) -> Option<DelegatedCredential> {
        self.proved_by(peer)?.1
    }

    /// Returns what a peer has proved, and what it has handed on in the same session.
    pub(crate) fn proved_by(
        &self,
        peer: SocketAddr,
    ) -> Option<(Arc<Evidence>, Option<DelegatedCredential>)> {
        let state = self.lock();
        let open = state.open.as_ref()?;
        let evidence = open.endpoint.evidence(peer)?.clone();
        let delegated = open.proofs.delegated(fold(peer), evidence.session()).cloned();
        Some((evidence, delegated))
    }

    /// Returns how many bytes one datagram to a peer holds; for one that is not known yet, how
    /// many it surely will.
    pub fn max_datagram_size(&self, peer: SocketAddr) -> usize {
        /// Header, explicit nonce and tag of AES-GCM.
        const OVERHEAD: usize = 13 + 8 + 16;
        let state = self.lock();
        let known = state.open.as_ref().and_then(|open| open.endpoint.max_datagram_size(peer));
        known.unwrap_or_else(|| {
            let generation = self.context.in_force();
            let rule = generation.policy.kerberos();
            let uses = rule.client.max(rule.server).unwrap_or_default();
            // Then a byte tells datagrams from parts of the proof.
            let may_prove = state.given.is_some() || uses != KerberosUse::Off;
            usize::from(state.mtu).saturating_sub(OVERHEAD + usize::from(may_prove))
        })
    }
}
