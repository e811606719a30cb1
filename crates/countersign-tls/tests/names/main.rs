//! Which certificates prove which names: every rule, by a real handshake, with those that pass
//! and those that do not.
//!
//! The tables are below: one line is a certificate, the name that is asked for, and what comes of
//! it. A wrong name is never reported as a bad chain, nor a bad chain as a wrong name.

mod chains;
mod hosts;
mod messages;
mod services;
mod users;

use std::sync::LazyLock;

use countersign_core::{Evidence, HandshakeError, PeerName, Proof};
use countersign_lab::{Authority, End, Issued, Leaf, Pair, Scene, Stranger};
use countersign_tls::{Credential, Engine};

/// What comes of a handshake: the way in which the name was proved, or the variant of the error.
type Expected = Result<Proof, &'static str>;

const BY_DNS: Expected = Ok(Proof::CertificateDnsName);
const BY_IP: Expected = Ok(Proof::CertificateIpAddress);
const BY_KERBEROS: Expected = Ok(Proof::CertificateKerberosName);
const BY_SERVICE: Expected = Ok(Proof::CertificateServiceName);
const BY_SPIFFE: Expected = Ok(Proof::CertificateSpiffeId);
const BY_USER: Expected = Ok(Proof::CertificateUserPrincipalName);

const BAD_CERTIFICATE: Expected = Err("BadCertificate");
const EXPIRED: Expected = Err("Expired");
const NOT_YET_VALID: Expected = Err("NotYetValid");
const UNTRUSTED: Expected = Err("UntrustedIssuer");
const WRONG_PEER: Expected = Err("WrongPeer");
const WRONG_USAGE: Expected = Err("WrongUsage");

static ROOT: LazyLock<Authority> = LazyLock::new(|| Authority::new("root"));

/// A server shows this leaf, issued by an authority that the client believes.
#[track_caller]
fn check(leaf: Leaf, asked: &str, expected: Expected) {
    check_issued(&ROOT, &ROOT.issue(leaf), asked, expected);
}

/// A server shows this certificate to a client that believes `believed`.
#[track_caller]
fn check_issued(believed: &Authority, issued: &Issued, asked: &str, expected: Expected) {
    let outcome = meet(believed, issued, asked);
    let came = outcome.as_ref().map(|it| it.peer().expect("it was asked for").proof());
    assert_eq!(came.map_err(variant), expected.map_err(str::to_owned), "{asked}: {outcome:?}");
    if let Ok(evidence) = outcome {
        let asked: PeerName = asked.parse().unwrap();
        assert_eq!(evidence.asked(), Some(&asked));
        assert!(evidence.is_peer_name_verified());
        match (evidence.peer().unwrap().name(), &asked) {
            (PeerName::Service(proved), PeerName::Service(asked)) => {
                assert!(proved.satisfies(asked), "{proved} is not {asked}");
            }
            (proved, asked) => assert_eq!(proved, asked),
        }
    }
}

/// What the client comes to.
fn meet(believed: &Authority, issued: &Issued, asked: &str) -> Result<Evidence, HandshakeError> {
    let scene = Scene::new(believed).asking(asked);
    // Our side does not show what it cannot read; then a stranger shows it.
    if Credential::new(issued.chain.clone(), issued.key.clone_key()).is_ok() {
        finish(scene.server_shows(issued).pair())
    } else {
        finish(Pair::new(scene.client(), Stranger::showing(issued), scene.now()))
    }
}

fn finish<S: End>(mut pair: Pair<Engine, S>) -> Result<Evidence, HandshakeError> {
    let ending = pair.handshake();
    assert_eq!(ending.client.is_ok(), ending.server.is_ok(), "the sides do not agree");
    ending.client
}

/// The name of an error's variant.
fn variant(error: &HandshakeError) -> String {
    format!("{error:?}").split([' ', '(']).next().unwrap().to_owned()
}
