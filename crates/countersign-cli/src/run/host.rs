//! Makes the context of a command from the files of the host and its options.

use std::env;
use std::path::PathBuf;

use countersign::core::{IdentityRule, Proof, ProvedPeer};
use countersign::identity::Store;
use countersign::{Context, PeerName};

use crate::failure::Failure;
use crate::request::{HostRequest, Own};

/// The policy files that a command reads, in order.
#[derive(Clone, Debug)]
pub(super) struct PolicyFiles {
    /// Those of the host and the user, which need not exist.
    pub(super) optional: Vec<PathBuf>,
    /// The one that `--policy` or `COUNTERSIGN_POLICY` names, which must.
    pub(super) required: Option<PathBuf>,
}

impl PolicyFiles {
    pub(super) fn of(request: &HostRequest) -> Self {
        let mut optional = Context::policy_files();
        let of_variable = env::var_os("COUNTERSIGN_POLICY").and_then(|_| optional.pop());
        Self { optional, required: request.policy_file.clone().or(of_variable) }
    }
}

/// Makes the context.
///
/// # Errors
///
/// Those of the files; [`Failure::Usage`] if the certificate that was named does not prove the
/// name that it must.
pub(super) fn context(request: &HostRequest) -> Result<Context, Failure> {
    match &request.own {
        Own::AsPolicySays => build(request, None),
        Own::Files { certificate, key, proving } => {
            let (certificate, key) = (certificate.clone(), key.clone());
            let shown = certificate.display().to_string();
            let context = build(request, Some(IdentityRule::Files { certificate, key }))?;
            if let Some(name) = proving {
                check_proof(&context, name, &shown)?;
            }
            Ok(context)
        }
        Own::Proving(name) => {
            // What is wrong with the policy's own identity matters only if it is the one needed.
            if let Ok(context) = build(request, None)
                && context.credential().is_some_and(|own| proves(own.names(), name))
            {
                return Ok(context);
            }
            build(request, Some(IdentityRule::Store { name: name.clone() }))
        }
    }
}

/// Returns the store that the command uses.
///
/// # Errors
///
/// If nothing says where it is.
pub(super) fn store(home: Option<PathBuf>) -> Result<Store, Failure> {
    Ok(home.map_or_else(Store::default_location, |home| Ok(Store::at(home)))?)
}

fn build(request: &HostRequest, identity: Option<IdentityRule>) -> Result<Context, Failure> {
    let mut builder = Context::builder();
    let files = PolicyFiles::of(request);
    for path in files.optional {
        builder = builder.optional_policy_file(path);
    }
    if let Some(path) = files.required {
        builder = builder.policy_file(path);
    }
    if let Some(home) = &request.home {
        builder = builder.store(Store::at(home));
    }
    let mut demands = request.demands.clone();
    if let Some(identity) = identity {
        demands = demands.with_identity(identity);
    }
    Ok(builder.policy(demands).build()?)
}

fn check_proof(context: &Context, name: &PeerName, file: &str) -> Result<(), Failure> {
    let Some(own) = context.credential() else { return Ok(()) };
    if proves(own.names(), name) {
        return Ok(());
    }
    let names: Vec<String> = names(own.names()).iter().map(ToString::to_string).collect();
    let found = if names.is_empty() { "no name".to_owned() } else { names.join(", ") };
    Err(Failure::usage(
        format!("asked to serve as {name}, but the certificate in {file} proves {found}"),
        "serve as a name that it proves, or have one issued for the name",
    ))
}

/// Returns the names, each once: there may be several proofs of one.
pub(super) fn names(proved: &[ProvedPeer]) -> Vec<PeerName> {
    let mut names: Vec<PeerName> = Vec::new();
    for one in proved {
        if !names.contains(one.name()) {
            names.push(one.name().clone());
        }
    }
    names
}

/// Returns whether peers that ask for `asked` will take a certificate with these names: as they
/// judge it, a host certificate does for every service on the host, unless it also states
/// particular services.
fn proves(names: &[ProvedPeer], asked: &PeerName) -> bool {
    let has_place_for_host_only = |proved: &ProvedPeer| {
        matches!(proved.proof(), Proof::CertificateDnsName | Proof::CertificateIpAddress)
    };
    let is_for_host = names.iter().all(has_place_for_host_only);
    names.iter().any(|proved| match (proved.name(), asked) {
        (PeerName::Service(name), PeerName::Service(asked)) => {
            let bare = asked.realm().is_none() && asked.service().is_none();
            let same_host = name.host() == asked.host();
            let is_service_name = proved.proof() == Proof::CertificateServiceName;
            name.satisfies(asked)
                || (bare && same_host && is_for_host)
                || (bare && same_host && is_service_name && name.is_class(asked.class()))
        }
        (name, asked) => name == asked,
    })
}

#[cfg(test)]
mod tests {
    use countersign::core::{Proof, ProvedPeer};

    use super::proves;

    #[track_caller]
    fn check(names: &[(&str, Proof)], asked: &str, expected: bool) {
        let names: Vec<ProvedPeer> = names
            .iter()
            .map(|(name, proof)| ProvedPeer::vouch(name.parse().unwrap(), *proof))
            .collect();
        assert_eq!(proves(&names, &asked.parse().unwrap()), expected, "{asked}");
    }

    #[test]
    fn as_peers_judge_it() {
        use Proof::{
            CertificateDnsName as Dns, CertificateKerberosName as Kerberos,
            CertificateServiceName as Service, CertificateSpiffeId as Spiffe,
        };
        check(&[("db1", Dns)], "db1", true);
        check(&[("db1", Dns)], "postgres/db1:5432", true);
        check(&[("db1", Dns)], "db2", false);
        check(&[("db1", Dns)], "postgres/db1@A", false);
        check(&[("postgres/db1", Service)], "postgres/db1:5432", true);
        check(&[("postgres/db1", Service)], "http/db1", false);
        check(&[("postgres/db1", Service)], "db1", false);
        check(&[("postgres/db1@A", Kerberos)], "postgres/db1", true);
        check(&[("spiffe://a/b", Spiffe)], "spiffe://a/b", true);
        check(&[("spiffe://a/b", Spiffe)], "spiffe://a/c", false);
        check(&[], "db1", false);
    }
}
