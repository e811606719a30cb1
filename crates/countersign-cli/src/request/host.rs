//! Who we are, whom we believe, and what is demanded: the context that the options ask for.

use std::path::PathBuf;

use countersign::core::{
    AllowRule, ClientCertificates, KerberosRule, KerberosUse, PeerPattern, ServiceName, TrustRule,
};
use countersign::{PeerName, Policy};

use crate::args::{
    ClientOptions, IdentityFiles, KerberosWord, KeytabOptions, PolicyOption, ServeArguments,
    TicketOptions, TrustOption,
};
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
    /// A keytab may prove the name, so there need not be a certificate.
    pub(crate) has_keytab: bool,
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
        request = request.with_tickets(options.tickets);
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
        request = request.with_keytab(name, &options.keytab)?;
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

    /// Uses Kerberos as a client, if the options say so.
    pub(crate) fn with_tickets(mut self, options: TicketOptions) -> Self {
        let names_tickets = options.ticket_cache.is_some() || options.client_keytab.is_some();
        let mut rule = KerberosRule::default();
        rule.client = match options.kerberos {
            Some(word) => Some(word.into()),
            None => names_tickets.then_some(KerberosUse::Require),
        };
        rule.cache = options.ticket_cache;
        rule.client_keytab = options.client_keytab;
        rule.principal = options.principal;
        self.demands = self.demands.with_kerberos(rule);
        self
    }

    /// Has this keytab, whatever it holds.
    pub(crate) fn with_keys(mut self, keytab: Option<PathBuf>) -> Self {
        if keytab.is_some() {
            let mut rule = KerberosRule::default();
            rule.server = Some(KerberosUse::Prefer);
            rule.keytab = keytab;
            self.demands = self.demands.with_kerberos(rule);
        }
        self
    }

    /// Uses Kerberos as a server, if the options say so.
    fn with_keytab(mut self, name: &PeerName, options: &KeytabOptions) -> Result<Self, Failure> {
        let word = match (options.kerberos, &options.keytab) {
            (Some(word), _) => word.into(),
            (None, Some(_)) => KerberosUse::Prefer,
            (None, None) if options.also.is_empty() && options.realm.is_empty() => {
                return Ok(self);
            }
            (None, None) => {
                let what = "--as and --realm are for Kerberos, which nothing asks for";
                return Err(Failure::usage(what, "add --keytab FILE, or --kerberos"));
            }
        };
        let mut rule = KerberosRule::default();
        rule.server = Some(word);
        rule.keytab = options.keytab.clone();
        rule.services = vec![service(name)?];
        for also in &options.also {
            rule.services.push(service(&peer_name("--as", also)?)?);
        }
        if !options.realm.is_empty() {
            rule.realms = Some(options.realm.clone());
        }
        self.demands = self.demands.with_kerberos(rule);
        self.has_keytab = true;
        Ok(self)
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

/// Keytabs hold keys of services.
fn service(name: &PeerName) -> Result<ServiceName, Failure> {
    match name {
        PeerName::Service(service) => Ok(service.clone()),
        _ => Err(Failure::usage(
            format!("{name} is no service, so no keytab proves it"),
            "name a host or class/host, or leave Kerberos out",
        )),
    }
}

impl From<KerberosWord> for KerberosUse {
    fn from(word: KerberosWord) -> Self {
        match word {
            KerberosWord::Prefer => Self::Prefer,
            KerberosWord::Require => Self::Require,
        }
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
