//! What a peer has proved, judged once more under rules that have changed since.

use countersign_core::{Asked, HandshakeError, KerberosFailure, KerberosUse, PeerName, Timestamp};
use rustls_pki_types::CertificateDer;

use super::{Engine, Proven, is_first, proof};
use crate::credential::TrustAnchors;
use crate::scope::Question;
use crate::verify::verify_peer;

impl Engine {
    /// Judges once more what the peer has proved, as if it were shown now, for this question and
    /// these anchors.
    ///
    /// # Errors
    ///
    /// Why the connection would not be made.
    pub fn judge_anew(
        &self,
        question: &Question,
        anchors: &TrustAnchors,
        now: Timestamp,
    ) -> Result<(), HandshakeError> {
        judge_peer_anew(&self.chain, self.proven.as_deref(), question, anchors, now)
    }
}

/// Judges once more what a peer has proved, by this chain (empty if it showed none) and, if there
/// was one, by this proof inside the connection: for engines of other protocols too.
///
/// # Errors
///
/// Why the connection would not be made.
pub fn judge_peer_anew(
    chain: &[CertificateDer<'_>],
    proven: Option<&Proven>,
    question: &Question,
    anchors: &TrustAnchors,
    now: Timestamp,
) -> Result<(), HandshakeError> {
    let Some(proven) = proven else {
        return judge_certificate_anew(chain, question, anchors, now);
    };
    if proven.expires.is_some_and(|expires| expires < now) {
        let detail = "it was good when the connection was made".to_owned();
        return Err(HandshakeError::Kerberos(KerberosFailure::TicketExpired { detail }));
    }
    let mut names = vec![proven.name.clone()];
    match question {
        Question::IsServer(Asked::Name { name, .. })
        | Question::MayBeServer(Asked::Name { name, .. }) => {
            if is_first(name, &names) {
                return Ok(());
            }
            Err(HandshakeError::WrongPeer {
                asked: Box::new(name.clone()),
                proved: proof::describe(&names),
                why: None,
            })
        }
        Question::IsServer(_) | Question::MayBeServer(_) => Ok(()),
        Question::MayConnect(admission, address) | Question::WhoElse(admission, address) => {
            let also = Question::WhoElse(admission.clone(), *address);
            if let Ok(answer) = verify_peer(anchors, chain, &also, now) {
                names.extend(answer.names);
            }
            let plain: Vec<PeerName> = names.iter().map(|it| it.name().clone()).collect();
            admission
                .admit_member(*address, &plain, &proven.groups)
                .map_err(|why| HandshakeError::NotAllowed { peer: proof::describe(&names), why })
        }
    }
}

fn judge_certificate_anew(
    chain: &[CertificateDer<'_>],
    question: &Question,
    anchors: &TrustAnchors,
    now: Timestamp,
) -> Result<(), HandshakeError> {
    // Only a proof inside the connection could defer the verdict, and there was none.
    let question = match question.clone() {
        Question::MayBeServer(asked) => Question::IsServer(asked),
        Question::WhoElse(admission, address) => Question::MayConnect(admission, address),
        other => other,
    };
    match &question {
        Question::MayConnect(admission, _) if admission.kerberos() == KerberosUse::Require => {
            Err(HandshakeError::KerberosRequired)
        }
        Question::MayConnect(admission, _) if chain.is_empty() && admission.admits_anonymous() => {
            Ok(())
        }
        _ => verify_peer(anchors, chain, &question, now).map(drop),
    }
}
