//! Who we are, whom we believe, and what is demanded: the context that the options ask for.

use std::path::PathBuf;

use countersign::core::{AllowRule, ClientCertificates, PeerPattern, TrustRule};
use countersign::{PeerName, Policy};

use crate::args::{ClientOptions, IdentityFiles, PolicyOption, ServeArguments, TrustOption};
use crate::failure::Failure;
use crate::request::peer_name;

/// What the context of a command is made of.
#[derive(Clone, Debug, Default)]
pub(crate) struct HostRequest {
    /// The directory of the store, if not the user's.
    pub(crate) home: Option<PathBuf>,
    /// A policy file in the place of `COUNTERSIGN_POLICY`'s.
    pub(crate) policy_file: Option<PathBuf>,
    /// Whose certificate to show.
    pub(crate) own: Own,
    /// What the options demand, over the policy files.
    pub(crate) demands: Policy,
}

/// Whose certificate to show.
#[derive(Clone, Debug, Default)]
pub(crate) enum Own {
    /// The one that the policy names, if it names one.
    #[default]
    AsPolicySays,
    /// The one in these files, which must prove the name if there is one.
    Files { certificate: PathBuf, key: PathBuf, proving: Option<PeerName> },
    /// One that proves this name: the policy's if it does, else the store's.
    Proving(PeerName),
}

impl HostRequest {
    /// Takes the store and the policy file.
    pub(crate) fn new(home: Option<PathBuf>, policy: PolicyOption) -> Self {
        Self { home, policy_file: policy.policy, ..Self::default() }
    }

    /// Takes what the options of a client say.
    pub(crate) fn of_client(
        home: Option<PathBuf>,
        options: ClientOptions,
    ) -> Result<Self, Failure> {
        let mut request = Self::new(home, options.policy).trusting(options.trust);
        request.own = match (options.own_name, files(options.files, None)) {
            (Some(name), _) => Own::Proving(peer_name("--as", &name)?),
            (None, Some(files)) => files,
            (None, None) => Own::AsPolicySays,
        };
        if options.danger_allow_tls12 {
            let text = "tls.danger-allow-tls12 = true";
            let lax = Policy::parse(text, "--danger-allow-tls12");
            request.demands = request.demands.overlay(lax.map_err(countersign::Error::from)?);
        }
        Ok(request)
    }

    /// Takes what the options of a server say, which must prove `name`.
    pub(crate) fn of_server(
        home: Option<PathBuf>,
        name: &PeerName,
        options: &ServeArguments,
    ) -> Result<Self, Failure> {
        let mut request = Self::new(home, options.policy.clone()).trusting(options.trust.clone());
        request.own =
            files(options.files.clone(), Some(name)).unwrap_or_else(|| Own::Proving(name.clone()));
        // For somebody who has proved nothing nobody can act.
        if options.require_client_certificate || options.impersonate {
            request.demands = request.demands.with_client_certificates(ClientCertificates::Require);
        }
        let patterns = options
            .allow
            .iter()
            .map(|typed| typed.parse().map_err(|error| Failure::name("pattern", typed, &error)));
        let patterns: Vec<PeerPattern> = patterns.collect::<Result<_, _>>()?;
        if !patterns.is_empty() {
            request.demands = request.demands.with_allow(vec![AllowRule::everywhere(patterns)]);
        }
        Ok(request)
    }

    /// Believes these files and nobody else, if there are any.
    pub(crate) fn trusting(mut self, option: TrustOption) -> Self {
        if !option.trust.is_empty() {
            let mut rule = TrustRule::default();
            rule.anchors = option.trust;
            self.demands = self.demands.with_trust(rule);
        }
        self
    }
}

fn files(files: IdentityFiles, proving: Option<&PeerName>) -> Option<Own> {
    match (files.certificate, files.key) {
        (Some(certificate), Some(key)) => {
            Some(Own::Files { certificate, key, proving: proving.cloned() })
        }
        _ => None,
    }
}
