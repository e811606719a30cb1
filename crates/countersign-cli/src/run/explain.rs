//! `explain`: the plan for an address, and where each part of it comes from. No network.

use std::net::SocketAddr;
use std::path::PathBuf;

use countersign::core::{
    AllowRule, Cleartext, ClientPlan, EncryptionRule, KerberosUse, Limits, PlanError, Policy,
    Requirements, ServerPlan, TargetTable, Timestamp, TrustRule,
};
use countersign::{Error, PeerName};

use super::host::{self, PolicyFiles};
use crate::exit::Verdict;
use crate::failure::Failure;
use crate::render::Output;
use crate::request::Explain;

/// What would be done for an address.
#[derive(Debug)]
pub(crate) struct Explanation {
    pub(crate) address: SocketAddr,
    pub(crate) is_listening: bool,
    pub(crate) is_datagrams: bool,
    pub(crate) decision: Option<Decision>,
    /// Why it would be refused, if it would.
    pub(crate) refusal: Option<Error>,
    pub(crate) policy_files: Vec<PolicyFile>,
    /// The names that our certificate proves, and until when; `None` without a certificate.
    pub(crate) own: Option<(Vec<PeerName>, Timestamp)>,
    pub(crate) anchors: usize,
    pub(crate) trust: TrustRule,
    pub(crate) require: Requirements,
    pub(crate) allows_tls12: bool,
    pub(crate) limits: Limits,
    /// How tickets may be encrypted.
    pub(crate) encryption: EncryptionRule,
    /// The gates that speak of this listening address.
    pub(crate) gates: Vec<Vec<AllowRule>>,
}

/// A plan of either side.
#[derive(Debug)]
pub(crate) enum Decision {
    Connect(ClientPlan),
    Listen(ServerPlan),
}

/// A policy file, and whether it is there.
#[derive(Debug)]
pub(crate) struct PolicyFile {
    pub(crate) path: PathBuf,
    pub(crate) exists: bool,
}

/// Shows it.
///
/// # Errors
///
/// Those of the files; and if there is no plan, why: then the exit status says so too.
pub(super) fn run(request: &Explain, output: &Output) -> Result<Verdict, Failure> {
    let context = host::context(&request.host)?;
    let policy = context.policy();
    let decided = decide(&policy, request);
    let gates = policy.allow().iter().map(|gate| {
        gate.iter().filter(|rule| rule.judges(request.address)).cloned().collect::<Vec<_>>()
    });
    let own = context.credential().map(|own| (host::names(own.names()), own.not_after()));
    let (decision, refusal) = match decided {
        Ok(Decision::Listen(ServerPlan::Tls { admission, cleartext })) => {
            let refusal = match admission.kerberos() {
                KerberosUse::Off => own.is_none().then_some(Error::NoCertificate),
                _ => policy.kerberos().lacks_services().then_some(Error::NoService),
            };
            (Some(Decision::Listen(ServerPlan::Tls { admission, cleartext })), refusal)
        }
        Ok(plan) => (Some(plan), None),
        Err(error) => (None, Some(error.into())),
    };
    let explanation = Explanation {
        address: request.address,
        is_listening: request.is_listening,
        is_datagrams: request.is_datagrams,
        decision,
        refusal,
        policy_files: policy_files(PolicyFiles::of(&request.host)),
        own,
        anchors: context.anchors(),
        trust: policy.trust(),
        require: policy.require(),
        allows_tls12: policy.allows_tls12(),
        limits: policy.limits(),
        encryption: policy.kerberos().encryption.clone(),
        gates: gates.filter(|gate| request.is_listening && !gate.is_empty()).collect(),
    };
    output.explanation(&explanation);
    explanation.refusal.map_or(Ok(Verdict::AsExpected), |error| Err(error.into()))
}

fn decide(policy: &Policy, request: &Explain) -> Result<Decision, PlanError> {
    // On a listener the name says who may connect, from wherever.
    let anywhere = SocketAddr::from(([0, 0, 0, 0], 0));
    let mut names = TargetTable::default();
    if let Some(name) = &request.name {
        names.insert(if request.is_listening { anywhere } else { request.address }, name.clone());
    }
    let (settings, address) = (Some(&request.settings), request.address);
    match (request.is_listening, request.is_datagrams) {
        (false, _) => policy.plan_client(settings, &names, address).map(Decision::Connect),
        (true, false) => policy.plan_server(settings, &names, address).map(Decision::Listen),
        (true, true) => {
            let admission = policy.plan_inbound_datagrams(settings, &names, address, anywhere)?;
            let cleartext = Cleartext::Never;
            Ok(Decision::Listen(ServerPlan::Tls { admission, cleartext }))
        }
    }
}

pub(super) fn policy_files(files: PolicyFiles) -> Vec<PolicyFile> {
    let all = files.optional.into_iter().chain(files.required);
    all.map(|path| PolicyFile { exists: path.exists(), path }).collect()
}
