//! `explain --peer`: which local account acts for a peer, by which rule, and where it may connect.

use std::net::SocketAddr;
use std::sync::Arc;

use countersign::core::{PeerPattern, Proof};
use countersign::rights::{self, Account, MappedAccount, RightsError};
use countersign::{Error, PeerName, Policy};

use super::explain::{PolicyFile, policy_files};
use super::host::{self, PolicyFiles};
use crate::exit::Verdict;
use crate::failure::Failure;
use crate::render::Output;
use crate::request::ExplainPeer;

/// Who acts for a peer, and where it may connect.
#[derive(Debug)]
pub(crate) struct PeerExplanation {
    pub(crate) peer: PeerName,
    /// One for each way to prove such a name.
    pub(crate) acting: Vec<Acting>,
    /// Why this process could not act for anybody, if so.
    pub(crate) unable: Option<RightsError>,
    /// Each listening address that a rule speaks of, and whether the peer may connect there.
    pub(crate) places: Vec<(SocketAddr, bool)>,
    pub(crate) policy_files: Vec<PolicyFile>,
}

/// Who acts for a peer that has proved its name in one way.
#[derive(Debug)]
pub(crate) struct Acting {
    pub(crate) proof: Proof,
    pub(crate) outcome: Result<(MappedAccount, Arc<Account>), RightsError>,
}

/// Shows it.
///
/// # Errors
///
/// Those of the files; and if nobody acts for the peer, why: then the exit status says so too.
pub(super) fn run(request: &ExplainPeer, output: &Output) -> Result<Verdict, Failure> {
    let context = host::context(&request.host)?;
    let policy = context.policy();
    let acting = proofs(&request.peer).iter().map(|proof| {
        let outcome = rights::map(&policy, &request.peer, *proof)
            .and_then(|mapped| mapped.look_up(&request.peer).map(|account| (mapped, account)));
        Acting { proof: *proof, outcome }
    });
    let explanation = PeerExplanation {
        acting: acting.collect(),
        unable: rights::may_impersonate().err(),
        places: places(&policy, &request.peer),
        policy_files: policy_files(PolicyFiles::of(&request.host)),
        peer: request.peer.clone(),
    };
    output.peer_explanation(&explanation);
    if explanation.acting.iter().any(|acting| acting.outcome.is_ok()) {
        return Ok(Verdict::AsExpected);
    }
    let mut reasons = explanation.acting.into_iter().filter_map(|acting| acting.outcome.err());
    Err(Error::from(reasons.next().unwrap_or(RightsError::NoName)).into())
}

/// The ways in which such a name can be proved.
fn proofs(peer: &PeerName) -> &'static [Proof] {
    match peer {
        PeerName::Spiffe(_) => &[Proof::CertificateSpiffeId],
        PeerName::User(_) => &[
            Proof::KerberosTicket,
            Proof::CertificateKerberosName,
            Proof::CertificateUserPrincipalName,
        ],
        _ => &[
            Proof::KerberosTicket,
            Proof::CertificateDnsName,
            Proof::CertificateServiceName,
            Proof::CertificateKerberosName,
        ],
    }
}

/// Of the gates that speak of a listening address, each must have a rule that holds the peer.
fn places(policy: &Policy, peer: &PeerName) -> Vec<(SocketAddr, bool)> {
    let mut places: Vec<SocketAddr> =
        policy.allow().iter().flatten().map(|rule| rule.listen).collect();
    places.sort_unstable();
    places.dedup();
    let may_connect = |at: SocketAddr| {
        policy.allow().iter().all(|gate| {
            let mut rules = gate.iter().filter(|rule| rule.judges(at)).peekable();
            let holds = |pattern: &PeerPattern| pattern.matches(peer);
            rules.peek().is_none() || rules.any(|rule| rule.peers.iter().any(holds))
        })
    };
    places.into_iter().map(|at| (at, may_connect(at))).collect()
}
