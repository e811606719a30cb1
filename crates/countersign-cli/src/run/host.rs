//! Makes the context of a command from the files of the host and its options.

use std::env;
use std::path::PathBuf;

use countersign::core::{IdentityRule, ProvedPeer};
use countersign::identity::{IdentityError, Store};
use countersign::{Context, Error, PeerName};

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
        // The last of them, unless this process goes by no variable.
        let named = env::var_os("COUNTERSIGN_POLICY").map(PathBuf::from);
        let of_variable = if named.is_some() && optional.last() == named.as_ref() {
            optional.pop()
        } else {
            None
        };
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
                && context.credential().is_some_and(|own| own.prove(name).is_ok())
            {
                return Ok(context);
            }
            match build(request, Some(IdentityRule::Store { name: name.clone() })) {
                // Whoever uses Kerberos knows us by our key.
                Err(Failure::Library(Error::Identity(
                    IdentityError::NoCredential { .. }
                    | IdentityError::NoAuthority { .. }
                    | IdentityError::NoHome,
                ))) if request.has_keytab => build(request, None),
                built => built,
            }
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
    let Err(found) = own.prove(name) else { return Ok(()) };
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
