//! The judgement of a peer's certificate: libssl asks, and the verifier of `countersign-tls`
//! answers, so that streams and datagrams believe the same peers.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use countersign_core::{HandshakeError, Timestamp};
use countersign_tls::{Answer, Question, TrustAnchors, verify_peer};
use openssl::ssl::{SslRef, SslVerifyMode};
use openssl::x509::{X509StoreContextRef, X509VerifyResult};
use rustls_pki_types::CertificateDer;

use crate::libssl;

/// What one association asks of its peer, and what the peer's certificate answered.
#[derive(Clone, Debug)]
pub(crate) struct Verdict(Arc<Mutex<Case>>);

#[derive(Debug)]
struct Case {
    anchors: TrustAnchors,
    question: Option<Question>,
    now: Timestamp,
    found: Option<Result<Answer, HandshakeError>>,
}

impl Verdict {
    pub(crate) fn new(anchors: TrustAnchors) -> Self {
        let case = Case { anchors, question: None, now: Timestamp::default(), found: None };
        Self(Arc::new(Mutex::new(case)))
    }

    /// Has this verdict passed on the peer of `ssl`. Without a question everyone is refused.
    pub(crate) fn judge_peer_of(&self, ssl: &mut SslRef) {
        let verdict = self.clone();
        let demand = SslVerifyMode::PEER | SslVerifyMode::FAIL_IF_NO_PEER_CERT;
        ssl.set_verify_callback(demand, move |_, chain| verdict.pass(chain));
    }

    pub(crate) fn ask(&self, question: Question) {
        self.lock().question = Some(question);
    }

    pub(crate) fn set_now(&self, now: Timestamp) {
        self.lock().now = now;
    }

    pub(crate) fn found(&self) -> Option<Result<Answer, HandshakeError>> {
        self.lock().found.clone()
    }

    /// Returns why the peer was refused, if it was.
    pub(crate) fn refusal(&self) -> Option<HandshakeError> {
        self.lock().found.as_ref().and_then(|found| found.as_ref().err().cloned())
    }

    /// Answers libssl, which asks again for each certificate of the chain.
    fn pass(&self, context: &mut X509StoreContextRef) -> bool {
        let case = &mut *self.lock();
        let found = case.found.get_or_insert_with(|| {
            let question = case.question.as_ref().ok_or_else(|| HandshakeError::OurSide {
                what: "no question was asked".to_owned(),
            })?;
            let chain = chain(context)?;
            verify_peer(&case.anchors, &chain, question, case.now)
        });
        let result = match found {
            Ok(_) => X509VerifyResult::OK,
            Err(refusal) => libssl::verify_result(number(refusal)),
        };
        context.set_error(result);
        found.is_ok()
    }

    fn lock(&self) -> MutexGuard<'_, Case> {
        // A case changes in single steps, so one that a panic left behind is still whole.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The chain as far as libssl strung it together from what the peer sent, end entity first.
fn chain(context: &X509StoreContextRef) -> Result<Vec<CertificateDer<'static>>, HandshakeError> {
    let unreadable = |_| HandshakeError::BadCertificate { why: "it cannot be read".to_owned() };
    let sent = context.chain().into_iter().flatten();
    sent.map(|one| one.to_der().map(CertificateDer::from).map_err(unreadable)).collect()
}

/// Returns the number from which libssl chooses the alert that tells the peer what it may know
/// (`X509_V_ERR_…` of <openssl/x509_vfy.h>).
fn number(refusal: &HandshakeError) -> i32 {
    match refusal {
        HandshakeError::NotYetValid { .. } => 9,
        HandshakeError::Expired { .. } => 10,
        HandshakeError::UntrustedIssuer { .. } => 20,
        HandshakeError::WrongUsage { .. } => 26,
        HandshakeError::NotAllowed { .. } | HandshakeError::OurSide { .. } => 50,
        HandshakeError::WrongPeer { .. } => 62,
        _ => 28,
    }
}
