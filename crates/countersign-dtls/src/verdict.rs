//! The judgement of a peer's certificate: libssl asks, and the verifier of `countersign-tls`
//! answers, so that streams and datagrams believe the same peers.
//!
//! In DTLS 1.2 it is known whether the peers agree on a proof inside the connection before a
//! certificate is seen: the server says so in its first message. So the verdict is put off only
//! where they do, and passed at once everywhere else.

use std::sync::{Arc, LazyLock, Mutex, MutexGuard, PoisonError};

use countersign_core::{ClientCertificates, HandshakeError, KerberosUse, Timestamp};
use countersign_tls::{Answer, PROOF_PROTOCOL, Question, TrustAnchors, verify_peer};
use openssl::ex_data::Index;
use openssl::ssl::{AlpnError, Ssl, SslRef, SslVerifyMode, select_next_proto};
use openssl::x509::{X509StoreContext, X509StoreContextRef, X509VerifyResult};
use rustls_pki_types::CertificateDer;

use crate::libssl;

/// What one association asks of its peer, and what the peer's certificate answered.
#[derive(Clone, Debug)]
pub(crate) struct Verdict(Arc<Mutex<Case>>);

#[derive(Debug)]
struct Case {
    anchors: TrustAnchors,
    question: Option<Question>,
    /// What part a proof inside the connection has for us.
    offer: KerberosUse,
    now: Timestamp,
    found: Option<Result<Answer, HandshakeError>>,
    /// The certificate does not do, and that ends nothing, since a proof follows.
    is_put_off: bool,
}

static VERDICTS: LazyLock<Option<Index<Ssl, Verdict>>> = LazyLock::new(|| Ssl::new_ex_index().ok());

impl Verdict {
    pub(crate) fn new(anchors: TrustAnchors) -> Self {
        Self(Arc::new(Mutex::new(Case {
            anchors,
            question: None,
            offer: KerberosUse::Off,
            now: Timestamp::default(),
            found: None,
            is_put_off: false,
        })))
    }

    /// Has this verdict passed on the peer of `ssl`. Without a question everyone is refused.
    pub(crate) fn judge_peer_of(&self, ssl: &mut SslRef) {
        if let Some(index) = *VERDICTS {
            ssl.set_ex_data(index, self.clone());
        }
        let verdict = self.clone();
        let demand = SslVerifyMode::PEER | SslVerifyMode::FAIL_IF_NO_PEER_CERT;
        ssl.set_verify_callback(demand, move |_, chain| verdict.pass(chain));
    }

    /// Sets what is asked of the peer, and what part a proof inside the connection has.
    pub(crate) fn ask(&self, question: Question, offer: KerberosUse) {
        let mut case = self.lock();
        (case.question, case.offer) = (Some(question), offer);
    }

    pub(crate) fn set_now(&self, now: Timestamp) {
        self.lock().now = now;
    }

    /// Returns what was asked.
    pub(crate) fn question(&self) -> Option<Question> {
        self.lock().question.clone()
    }

    /// Returns what the peer's certificate came to, if it showed one; nothing if it does not do and
    /// a proof follows.
    pub(crate) fn found(&self) -> Option<Result<Answer, HandshakeError>> {
        let case = self.lock();
        if case.is_put_off { None } else { case.found.clone() }
    }

    /// Returns why the peer was refused, if it was.
    pub(crate) fn refusal(&self) -> Option<HandshakeError> {
        self.found().and_then(Result::err)
    }

    /// Agrees on a proof, as a server whose client offers one; returns the certificate that is
    /// asked of such a client.
    fn agree(&self) -> Option<ClientCertificates> {
        let case = &mut *self.lock();
        match case.question.take() {
            Some(Question::MayConnect(admission, peer)) if case.offer != KerberosUse::Off => {
                let demand = admission.demand_beside_ticket();
                case.question = Some(Question::WhoElse(admission, peer));
                Some(demand)
            }
            other => {
                case.question = other;
                None
            }
        }
    }

    /// Answers libssl, which asks again for each certificate of the chain.
    fn pass(&self, context: &mut X509StoreContextRef) -> bool {
        let case = &mut *self.lock();
        let ssl = X509StoreContext::ssl_idx().ok().and_then(|index| context.ex_data(index));
        let is_agreed = ssl.is_some_and(has_agreed_on_proof);
        if case.found.is_none() {
            let found = case.judge(context, is_agreed);
            case.is_put_off = found.is_err() && case.puts_off(is_agreed);
            // Whoever answers would learn who we are.
            if let (true, Some(Question::MayBeServer(_)), Some(ssl)) =
                (case.is_put_off, &case.question, ssl)
            {
                libssl::forget_certificate(ssl);
            }
            case.found = Some(found);
        }
        let result = match &case.found {
            Some(Err(refusal)) if !case.is_put_off => libssl::verify_result(number(refusal)),
            Some(_) => X509VerifyResult::OK,
            None => libssl::verify_result(number(&HandshakeError::NoCertificate)),
        };
        context.set_error(result);
        result == X509VerifyResult::OK
    }

    fn lock(&self) -> MutexGuard<'_, Case> {
        // A case changes in single steps, so one that a panic left behind is still whole.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Case {
    fn judge(
        &self,
        context: &X509StoreContextRef,
        is_agreed: bool,
    ) -> Result<Answer, HandshakeError> {
        let question = self
            .question
            .clone()
            .ok_or_else(|| HandshakeError::OurSide { what: "no question was asked".to_owned() })?;
        let question = match question {
            Question::MayBeServer(_) if !is_agreed && self.offer == KerberosUse::Require => {
                return Err(HandshakeError::KerberosRequired);
            }
            Question::MayBeServer(asked) if !is_agreed => Question::IsServer(asked),
            other => other,
        };
        verify_peer(&self.anchors, &chain(context)?, &question, self.now)
    }

    /// Returns whether a certificate that does not do ends nothing.
    fn puts_off(&self, is_agreed: bool) -> bool {
        is_agreed && self.question.as_ref().is_some_and(Question::defers)
    }
}

/// Returns whether the peers have agreed on a proof inside the connection. A client has offered
/// nothing else, so libssl lets no server choose anything else.
pub(crate) fn has_agreed_on_proof(ssl: &SslRef) -> bool {
    ssl.selected_alpn_protocol() == Some(PROOF_PROTOCOL)
}

/// Returns the list of protocols with the proof in it alone, as ALPN writes it (RFC 7301 section 3.1).
pub(crate) fn proof_protocols() -> Vec<u8> {
    let length = u8::try_from(PROOF_PROTOCOL.len()).unwrap_or(0);
    [&[length], PROOF_PROTOCOL].concat()
}

/// Answers a client's offer of protocols: the proof if both sides want it, and else nothing, so that
/// clients with offers of their own are undisturbed.
pub(crate) fn select<'a>(ssl: &mut SslRef, offered: &'a [u8]) -> Result<&'a [u8], AlpnError> {
    let is_offered = select_next_proto(&proof_protocols(), offered) == Some(PROOF_PROTOCOL);
    let verdict = (*VERDICTS).and_then(|index| ssl.ex_data(index)).cloned();
    let agreed = verdict.filter(|_| is_offered).and_then(|verdict| verdict.agree());
    let demand = agreed.ok_or(AlpnError::NOACK)?;
    ssl.set_verify(verify_mode(demand));
    Ok(PROOF_PROTOCOL)
}

/// Returns how libssl is told what is asked of clients.
pub(crate) fn verify_mode(demand: ClientCertificates) -> SslVerifyMode {
    match demand {
        ClientCertificates::None => SslVerifyMode::NONE,
        ClientCertificates::Request => SslVerifyMode::PEER,
        _ => SslVerifyMode::PEER | SslVerifyMode::FAIL_IF_NO_PEER_CERT,
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
