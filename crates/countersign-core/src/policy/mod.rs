//! What the administrator demands.

mod account;
pub use account::{
    AccountChoice, AccountPattern, AccountRule, AccountTarget, AccountTemplate, UnfitAccount,
};

mod error;
pub use error::PolicyError;

mod kerberos;
pub use kerberos::{KerberosRule, KerberosUse};

mod text;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::{PeerName, PeerPattern, Proof, Sid, TargetTable, fold};

/// What the administrator demands: parsed once, never half valid.
///
/// [`Self::parse`] reads one file; [`Self::overlay`] joins the files of the host and the user, in
/// which a later file may add demands but never take one back.
#[derive(Clone, Debug, Default)]
pub struct Policy {
    pub(crate) identity: Option<IdentityRule>,
    pub(crate) trust: Option<TrustRule>,
    pub(crate) default_is_ipsec: Option<bool>,
    pub(crate) danger_allow_tls12: Option<bool>,
    pub(crate) resumption: Option<bool>,
    pub(crate) client_certificates: Option<ClientCertificates>,
    pub(crate) kerberos: KerberosRule,
    pub(crate) require: Requirements,
    pub(crate) limits: PartialLimits,
    pub(crate) targets: TargetTable,
    pub(crate) allow: Vec<Vec<AllowRule>>,
    pub(crate) accounts: Vec<AccountRule>,
}

/// Who we are.
#[non_exhaustive]
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum IdentityRule {
    /// A chain and its key in PEM files.
    Files {
        /// The chain, end-entity certificate first.
        certificate: PathBuf,
        /// The private key.
        key: PathBuf,
    },
    /// A name that the embedded store has a certificate for.
    Store {
        /// The name.
        name: PeerName,
    },
}

/// Whom we believe.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct TrustRule {
    /// PEM files, or directories of them.
    pub anchors: Vec<PathBuf>,
    /// The authority of the embedded store, and what it was told to trust.
    pub store: bool,
    /// The anchors of the host.
    pub system: bool,
}

/// What a server asks of its clients.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum ClientCertificates {
    /// It does not ask for a certificate.
    None,
    /// It asks, and serves clients without one if no rule says otherwise.
    #[default]
    Request,
    /// It refuses clients without one.
    Require,
}

/// Demands that no program and no later file can take back (SPEC 4.7).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Requirements {
    /// `OPTIONAL_PEER_NAME_VERIFICATION` has no effect.
    pub peer_name: bool,
    /// `ALLOW_INSECURE` has no effect, and sockets on which security was never set are secured.
    pub security: bool,
    /// TLS 1.2 has no chance. It speaks of streams: datagrams are DTLS 1.2 whatever it says.
    pub tls13: bool,
}

/// Bounds in time and number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Limits {
    /// How many handshakes a listener has under way at once.
    pub handshakes: usize,
    /// How long a handshake may take.
    pub handshake_timeout: Duration,
    /// How long a TCP connection may take.
    pub connect_timeout: Duration,
    /// With `ALLOW_INSECURE`: how long a silent peer is waited for before it counts as one that
    /// cannot do security.
    pub insecure_after: Duration,
    /// How many handshakes of one host (one IPv4 address, or one IPv6 network of 64 bits) a
    /// datagram socket has under way at once.
    pub handshakes_per_host: usize,
    /// How many peers a datagram socket has at most.
    pub datagram_peers: usize,
    /// How long an association of datagrams lives on which nothing goes either way.
    pub datagram_idle: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            handshakes: 1024,
            handshake_timeout: Duration::from_secs(10),
            connect_timeout: Duration::from_secs(30),
            insecure_after: Duration::from_secs(3),
            handshakes_per_host: 64,
            datagram_peers: 10_000,
            datagram_idle: Duration::from_secs(600),
        }
    }
}

#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct PartialLimits {
    pub(crate) handshakes: Option<usize>,
    pub(crate) handshake_timeout: Option<Duration>,
    pub(crate) connect_timeout: Option<Duration>,
    pub(crate) insecure_after: Option<Duration>,
    pub(crate) handshakes_per_host: Option<usize>,
    pub(crate) datagram_peers: Option<usize>,
    pub(crate) datagram_idle: Option<Duration>,
}

/// A name for an address: `[[target]]`.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Target {
    /// The address; zero parts stand for any.
    pub address: SocketAddr,
    /// The name that the peer there must prove.
    pub name: PeerName,
}

/// Who may connect: `[[allow]]`.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct AllowRule {
    /// The listening address; zero parts stand for any.
    pub listen: SocketAddr,
    /// The peers.
    pub peers: Vec<PeerPattern>,
    /// Members of these groups too, as their KDC says in their tickets ([MS-PAC]).
    ///
    /// [MS-PAC]: https://learn.microsoft.com/openspecs/windows_protocols/ms-pac
    pub groups: Vec<Sid>,
}

impl AllowRule {
    /// Makes a rule for every listening address.
    pub fn everywhere(peers: Vec<PeerPattern>) -> Self {
        Self { listen: SocketAddr::from(([0, 0, 0, 0], 0)), peers, groups: Vec::new() }
    }

    /// Returns whether the rule holds a peer that proved these names, and whose ticket says that it
    /// is in these groups.
    pub fn holds(&self, names: &[PeerName], groups: &[Sid]) -> bool {
        names.iter().any(|name| self.peers.iter().any(|pattern| pattern.matches(name)))
            || groups.iter().any(|group| self.groups.contains(group))
    }

    /// Returns whether the rule judges clients of a listener on this address; on one for every
    /// address of the host, those that come to the rule's address.
    pub fn judges(&self, listen: SocketAddr) -> bool {
        let everywhere = fold(listen).ip().is_unspecified();
        let at = if everywhere { SocketAddr::new(self.listen.ip(), listen.port()) } else { listen };
        self.covers(at)
    }

    /// Returns whether the rule speaks of the address that a client connected to.
    pub(crate) fn covers(&self, listen: SocketAddr) -> bool {
        let (rule, listen) = (fold(self.listen), fold(listen));
        (rule.ip().is_unspecified() || rule.ip() == listen.ip())
            && (rule.port() == 0 || rule.port() == listen.port())
    }
}

impl Policy {
    /// Reads policy text; `origin` is what errors call it, usually the file's path.
    ///
    /// # Errors
    ///
    /// [`PolicyError`] with line and column, if the text is not TOML, has an unknown key, or a
    /// value that does not mean what its key needs.
    pub fn parse(text: &str, origin: &str) -> Result<Self, PolicyError> {
        text::parse(text, origin)
    }

    /// Puts `next` over this: its values replace, its demands add up, and its allow rules are a
    /// further gate, so that a user's file never opens what the host's file closed.
    #[must_use]
    pub fn overlay(mut self, next: Self) -> Self {
        self.identity = next.identity.or(self.identity);
        self.trust = next.trust.or(self.trust);
        self.default_is_ipsec = next.default_is_ipsec.or(self.default_is_ipsec);
        self.danger_allow_tls12 = next.danger_allow_tls12.or(self.danger_allow_tls12);
        // Who wants every peer to prove itself anew is not overruled.
        self.resumption = match (self.resumption, next.resumption) {
            (Some(below), Some(above)) => Some(below && above),
            (below, above) => above.or(below),
        };
        self.client_certificates = next.client_certificates.max(self.client_certificates);
        self.kerberos = self.kerberos.overlay(next.kerberos);
        self.require.peer_name |= next.require.peer_name;
        self.require.security |= next.require.security;
        self.require.tls13 |= next.require.tls13;
        let (old, new) = (self.limits, next.limits);
        self.limits = PartialLimits {
            handshakes: new.handshakes.or(old.handshakes),
            handshake_timeout: new.handshake_timeout.or(old.handshake_timeout),
            connect_timeout: new.connect_timeout.or(old.connect_timeout),
            insecure_after: new.insecure_after.or(old.insecure_after),
            handshakes_per_host: new.handshakes_per_host.or(old.handshakes_per_host),
            datagram_peers: new.datagram_peers.or(old.datagram_peers),
            datagram_idle: new.datagram_idle.or(old.datagram_idle),
        };
        for (address, name) in next.targets.iter() {
            self.targets.insert(address, name.clone());
        }
        self.allow.extend(next.allow);
        // The first rule that speaks of a peer decides, so the host's come first.
        self.accounts.extend(next.accounts);
        self
    }

    /// Makes every relative path one below `base`, the directory of the policy file.
    #[must_use]
    pub fn with_paths_below(mut self, base: &Path) -> Self {
        if let Some(IdentityRule::Files { certificate, key }) = &mut self.identity {
            *certificate = base.join(&certificate);
            *key = base.join(&key);
        }
        if let Some(trust) = &mut self.trust {
            for anchor in &mut trust.anchors {
                *anchor = base.join(&anchor);
            }
        }
        self.kerberos = self.kerberos.with_paths_below(base);
        self
    }

    /// Says who we are.
    #[must_use]
    pub fn with_identity(mut self, identity: IdentityRule) -> Self {
        self.identity = Some(identity);
        self
    }

    /// Says whom we believe.
    #[must_use]
    pub fn with_trust(mut self, trust: TrustRule) -> Self {
        self.trust = Some(trust);
        self
    }

    /// Adds a gate: of the rules that speak of a listening address, one must hold the peer.
    #[must_use]
    pub fn with_allow(mut self, rules: Vec<AllowRule>) -> Self {
        self.allow.push(rules);
        self
    }

    /// Says what servers ask of their clients.
    #[must_use]
    pub fn with_client_certificates(mut self, demand: ClientCertificates) -> Self {
        self.client_certificates = Some(demand);
        self
    }

    /// Says whether a TLS 1.3 connection may go on from the proof of an earlier one.
    #[must_use]
    pub fn with_resumption(mut self, resumption: bool) -> Self {
        self.resumption = Some(resumption);
        self
    }

    /// Says what part Kerberos has, over what was said before: see [`Self::overlay`].
    #[must_use]
    pub fn with_kerberos(mut self, rule: KerberosRule) -> Self {
        self.kerberos = self.kerberos.overlay(rule);
        self
    }

    /// Bounds time and number.
    #[must_use]
    pub fn with_limits(mut self, limits: Limits) -> Self {
        self.limits = PartialLimits {
            handshakes: Some(limits.handshakes),
            handshake_timeout: Some(limits.handshake_timeout),
            connect_timeout: Some(limits.connect_timeout),
            insecure_after: Some(limits.insecure_after),
            handshakes_per_host: Some(limits.handshakes_per_host),
            datagram_peers: Some(limits.datagram_peers),
            datagram_idle: Some(limits.datagram_idle),
        };
        self
    }

    /// Returns who we are, if the policy says so.
    pub fn identity(&self) -> Option<&IdentityRule> {
        self.identity.as_ref()
    }

    /// Returns whom we believe; by default the embedded store and the anchors of the host.
    pub fn trust(&self) -> TrustRule {
        let default = || TrustRule { anchors: Vec::new(), store: true, system: true };
        self.trust.clone().unwrap_or_else(default)
    }

    /// Returns whether TLS 1.2 may be negotiated.
    pub fn allows_tls12(&self) -> bool {
        self.danger_allow_tls12.unwrap_or(false) && !self.require.tls13
    }

    /// Returns whether a TLS 1.3 connection may go on from the proof of an earlier one. Where TLS
    /// 1.2 is allowed none does: what is old and rare gets a full handshake each time.
    pub fn resumes(&self) -> bool {
        self.resumption.unwrap_or(true) && !self.allows_tls12()
    }

    /// Returns what servers ask of their clients.
    pub fn client_certificates(&self) -> ClientCertificates {
        self.client_certificates.unwrap_or_default()
    }

    /// Returns what part Kerberos has.
    pub fn kerberos(&self) -> &KerberosRule {
        &self.kerberos
    }

    /// Returns the demands that no program can take back.
    pub fn require(&self) -> Requirements {
        self.require
    }

    /// Returns the bounds in time and number.
    pub fn limits(&self) -> Limits {
        let default = Limits::default();
        Limits {
            handshakes: self.limits.handshakes.unwrap_or(default.handshakes),
            handshake_timeout: self.limits.handshake_timeout.unwrap_or(default.handshake_timeout),
            connect_timeout: self.limits.connect_timeout.unwrap_or(default.connect_timeout),
            insecure_after: self.limits.insecure_after.unwrap_or(default.insecure_after),
            handshakes_per_host: self
                .limits
                .handshakes_per_host
                .unwrap_or(default.handshakes_per_host),
            datagram_peers: self.limits.datagram_peers.unwrap_or(default.datagram_peers),
            datagram_idle: self.limits.datagram_idle.unwrap_or(default.datagram_idle),
        }
    }

    /// Returns the names that the policy has for addresses.
    pub fn targets(&self) -> &TargetTable {
        &self.targets
    }

    /// Returns the gates: of each that speaks of a listening address, one rule must hold the
    /// peer.
    pub fn allow(&self) -> &[Vec<AllowRule>] {
        &self.allow
    }

    /// Returns the rules that say which local account acts for a peer, in the order in which they
    /// are tried.
    pub fn accounts(&self) -> &[AccountRule] {
        &self.accounts
    }

    /// Returns the account that the first rule chooses which speaks of a peer with a name that is
    /// proved in this way; `None` if no rule does.
    ///
    /// # Errors
    ///
    /// [`UnfitAccount`] if that rule makes something else than a name for an account of it.
    pub fn account_for(
        &self,
        peer: &PeerName,
        by: Proof,
    ) -> Result<Option<AccountChoice<'_>>, UnfitAccount> {
        for rule in &self.accounts {
            if let Some(choice) = rule.apply(peer, by)? {
                return Ok(Some(choice));
            }
        }
        Ok(None)
    }
}

#[cfg(test)]
mod tests;
