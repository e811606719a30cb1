//! One mechanism for one peer, chosen by pure functions.

use std::fmt;
use std::net::SocketAddr;

use crate::{
    AllowRule, ClientCertificates, Fault, IpsecFlags, KerberosUse, PeerName, Policy, SecurityFlags,
    SecurityProtocol, SecuritySettings, Sid, TargetTable, WsaError, fold,
};

/// What a connecting socket must do.
#[non_exhaustive]
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ClientPlan {
    /// Security was never asked for, neither by the program nor by policy.
    Clear,
    /// TLS, with this proof from the peer.
    Tls {
        /// Whom the peer must prove to be.
        asked: Asked,
        /// Whether a ticket may or must prove it.
        kerberos: KerberosUse,
        /// Whether cleartext is permitted.
        cleartext: Cleartext,
    },
}

/// Whom the peer must prove to be.
#[non_exhaustive]
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Asked {
    /// Anyone with a certificate that we trust (`OPTIONAL_PEER_NAME_VERIFICATION`).
    AnyTrusted,
    /// This name.
    Name {
        /// The name.
        name: PeerName,
        /// Where it comes from.
        from: AskedFrom,
    },
}

/// Where the name that a peer must prove comes from.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AskedFrom {
    /// The policy's `[[target]]` for this address.
    Policy(SocketAddr),
    /// The program's call for this address.
    Program(SocketAddr),
}

impl fmt::Display for AskedFrom {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (who, address) = match self {
            Self::Policy(address) => ("policy [[target]]", address),
            Self::Program(address) => ("the program", address),
        };
        match (address.ip().is_unspecified(), address.port()) {
            (true, 0) => write!(f, "{who}, for any address"),
            (true, port) => write!(f, "{who}, for port {port} of any address"),
            (false, 0) => write!(f, "{who}, for {} at any port", address.ip()),
            (false, _) => write!(f, "{who}, for {address}"),
        }
    }
}

/// Whether cleartext is permitted.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cleartext {
    /// When the peer cannot do security (SPEC 4.6).
    DangerIfPeerCannot,
    /// Never.
    Never,
}

/// What a listening socket must do.
#[non_exhaustive]
#[derive(Clone, Debug)]
pub enum ServerPlan {
    /// Security was never asked for, neither by the program nor by policy.
    Clear,
    /// TLS, and these conditions for whoever connects.
    Tls {
        /// Who may connect.
        admission: Admission,
        /// Whether cleartext is permitted.
        cleartext: Cleartext,
    },
}

/// Why there is no plan.
#[non_exhaustive]
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PlanError {
    /// Credentials were given, or Kerberos is required, and policy or the kind of the name leaves
    /// no way to use it.
    #[error("Kerberos must prove {asked}, and cannot: {why}")]
    KerberosCannot {
        /// The name that was asked for, or that there is none.
        asked: String,
        /// What stands in the way.
        why: KerberosBar,
    },
    /// IPsec was asked for, and there is none here.
    #[error("IPsec was asked for, and this host provides none")]
    NoIpsec,
    /// No name is known for a peer that must prove one.
    #[error("no name is known for the peer at {peer}, so it cannot prove one")]
    NoName {
        /// The peer's address.
        peer: SocketAddr,
    },
}

/// What keeps Kerberos from proving a name.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KerberosBar {
    /// A program gave credentials to a socket that listens, which proves itself with a keytab.
    Listener,
    /// There is no name to get a ticket for.
    NoName,
    /// A ticket must prove the name of a datagram peer, which greeted us before we greeted it, and
    /// policy has us take none.
    NoServer,
    /// A program gave credentials, and policy has turned Kerberos off.
    Policy,
    /// A workload has no key in a realm.
    Spiffe,
    /// A user's key is a password; both ends would need tickets (user-to-user, RFC 4120 section
    /// 3.7), which is not provided.
    User,
}

impl fmt::Display for KerberosBar {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Listener => "who listens proves itself with a keytab, and not with a password",
            Self::NoName => "tickets are for a name",
            Self::NoServer => {
                "it greeted us first, and policy does not say that we take tickets (kerberos.server)"
            }
            Self::Policy => "policy says kerberos.client = \"off\"",
            Self::Spiffe => "it proves services, and this is a workload",
            Self::User => "it proves services, and this is a user (user-to-user is not provided)",
        })
    }
}

impl KerberosBar {
    /// Returns what keeps a name of this kind from being proved by a ticket, if anything does.
    fn of(name: &PeerName) -> Option<Self> {
        match name {
            PeerName::Service(_) => None,
            PeerName::Spiffe(_) => Some(Self::Spiffe),
            PeerName::User(_) => Some(Self::User),
        }
    }
}

impl PlanError {
    /// Returns who must act.
    pub fn fault(&self) -> Fault {
        match self {
            Self::KerberosCannot { why: KerberosBar::Policy | KerberosBar::NoServer, .. }
            | Self::NoIpsec => Fault::Host,
            Self::KerberosCannot { .. } | Self::NoName { .. } => Fault::Caller,
        }
    }

    /// Returns what to try.
    pub fn hint(&self) -> &'static str {
        match self {
            Self::KerberosCannot { why: KerberosBar::Policy, .. } => {
                "set kerberos.client = \"prefer\" in the policy, or give no credentials"
            }
            Self::KerberosCannot { why: KerberosBar::NoServer, .. } => {
                "set kerberos.server = \"prefer\" and kerberos.services in the policy, or send first"
            }
            Self::KerberosCannot { why: KerberosBar::Listener, .. } => {
                "name a keytab in the policy (kerberos.keytab), and give no credentials"
            }
            Self::KerberosCannot { why: KerberosBar::User, .. } => {
                "name the service (class/host) that runs there: what GSS-API calls service@host is \
                 service/host here; or do not require Kerberos and let a certificate prove the name"
            }
            Self::KerberosCannot { .. } => {
                "name the service (class/host) that runs there, or do not require Kerberos and let a \
                 certificate prove the name"
            }
            Self::NoIpsec => "ask for the default protocol, which is TLS",
            Self::NoName { .. } => {
                "set the peer's target name before connecting, or add a [[target]] to the policy"
            }
        }
    }

    /// Returns the Winsock number (SPEC 4.4, 5.5).
    pub fn wsa(&self) -> WsaError {
        match self {
            Self::NoIpsec => WsaError::OpNotSupp,
            Self::KerberosCannot { .. } | Self::NoName { .. } => WsaError::Acces,
        }
    }
}

impl Policy {
    /// Says whether the host provides the protocol that a program asks for.
    ///
    /// # Errors
    ///
    /// [`PlanError::NoIpsec`]: never silently replaced by something else (SPEC 4.4).
    pub fn check_protocol(&self, settings: &SecuritySettings) -> Result<(), PlanError> {
        match settings.protocol() {
            SecurityProtocol::Default if !self.default_is_ipsec.unwrap_or(false) => Ok(()),
            _ => Err(PlanError::NoIpsec),
        }
    }

    /// Decides what a socket that connects to `peer` must do. `settings` is `None` if security
    /// was never set; `names` are the program's.
    ///
    /// # Errors
    ///
    /// [`PlanError`] if the protocol is not to be had, or no name is known (SPEC 5.5).
    pub fn plan_client(
        &self,
        settings: Option<&SecuritySettings>,
        names: &TargetTable,
        peer: SocketAddr,
    ) -> Result<ClientPlan, PlanError> {
        if settings.is_none() && !names.was_named() && !self.require.security {
            return Ok(ClientPlan::Clear);
        }
        let default = SecuritySettings::default();
        let settings = settings.unwrap_or(&default);
        self.check_protocol(settings)?;
        let asked = match (names.lookup(peer), self.targets.lookup(peer)) {
            (Some((key, name)), _) => {
                Asked::Name { name: name.clone(), from: AskedFrom::Program(key) }
            }
            (None, Some((key, name))) => {
                Asked::Name { name: name.clone(), from: AskedFrom::Policy(key) }
            }
            (None, None) if self.name_is_optional(settings) => Asked::AnyTrusted,
            (None, None) => return Err(PlanError::NoName { peer }),
        };
        let kerberos = self.client_kerberos(settings, &asked)?;
        // Where the administrator wants a name proved, or proved by a ticket, nobody gets by who
        // proves none.
        let by_policy = self.require.peer_name
            || self.targets.lookup(peer).is_some()
            || kerberos == KerberosUse::Require;
        let cleartext = if by_policy { Cleartext::Never } else { self.cleartext(settings) };
        Ok(ClientPlan::Tls { asked, kerberos, cleartext })
    }

    /// Decides what a socket that listens must do with a client that reached it at `listen`;
    /// arguments as for [`Self::plan_client`]. On a socket that listens on every address of the
    /// host, `listen` is the one that the client connected to, so that a rule for it applies.
    ///
    /// # Errors
    ///
    /// [`PlanError`] if the protocol is not to be had.
    pub fn plan_server(
        &self,
        settings: Option<&SecuritySettings>,
        names: &TargetTable,
        listen: SocketAddr,
    ) -> Result<ServerPlan, PlanError> {
        if settings.is_none() && !names.was_named() && !self.require.security {
            return Ok(ServerPlan::Clear);
        }
        let default = SecuritySettings::default();
        let settings = settings.unwrap_or(&default);
        self.check_protocol(settings)?;
        if settings.credentials().is_some() {
            let asked = format!("the socket at {listen}");
            return Err(PlanError::KerberosCannot { asked, why: KerberosBar::Listener });
        }
        let admission = Admission {
            names: names.clone(),
            gates: self.gates(listen),
            demand: self.client_certificates(),
            kerberos: self.kerberos.server.unwrap_or_default(),
        };
        // Cleartext would pass by every rule about who may connect.
        let cleartext = match self.cleartext(settings) {
            Cleartext::DangerIfPeerCannot if admission.admits_anonymous() => {
                Cleartext::DangerIfPeerCannot
            }
            _ => Cleartext::Never,
        };
        Ok(ServerPlan::Tls { admission, cleartext })
    }

    /// Returns what a client that was let in by `before` would have to pass if it came now to
    /// `listen`; the names of the program stay.
    pub fn readmit(&self, before: &Admission, listen: SocketAddr) -> Admission {
        Admission {
            names: before.names.clone(),
            gates: self.gates(listen),
            demand: self.client_certificates(),
            kerberos: self.kerberos.server.unwrap_or_default(),
        }
    }

    /// Returns whether the peer at `peer` would still be asked for the same, where the program
    /// says the same.
    pub fn still_asks(&self, asked: &Asked, peer: SocketAddr) -> bool {
        match asked {
            Asked::AnyTrusted => !self.require.peer_name && self.targets.lookup(peer).is_none(),
            Asked::Name { from: AskedFrom::Program(_), .. } => true,
            Asked::Name { name, from: AskedFrom::Policy(_) } => {
                self.targets.lookup(peer).is_some_and(|(_, now)| now == name)
            }
        }
    }

    /// Decides what the peer at `peer` must prove, who greets a datagram socket on `listen` before
    /// the socket has greeted it.
    ///
    /// A datagram socket talks to some peers by name and serves others, so two rules differ from
    /// those of [`Self::plan_server`]: a peer whose address has no name may come in by a gate that
    /// holds it; and peers must show a certificate or a ticket unless policy says otherwise in so many
    /// words. There is never cleartext. A peer that only a ticket may prove when we greet it proves
    /// itself by a ticket also when it greets us, or else who comes first would choose.
    ///
    /// # Errors
    ///
    /// [`PlanError`] if the protocol is not to be had, or a ticket must prove the peer and policy has
    /// us take none.
    pub fn plan_inbound_datagrams(
        &self,
        settings: Option<&SecuritySettings>,
        names: &TargetTable,
        listen: SocketAddr,
        peer: SocketAddr,
    ) -> Result<Admission, PlanError> {
        let default = SecuritySettings::default();
        let settings = settings.unwrap_or(&default);
        self.check_protocol(settings)?;
        let gates = self.gates_wherever(listen);
        let named = names.lookup(peer).or_else(|| self.targets.lookup(peer));
        let kerberos = self.inbound_kerberos(settings, named)?;
        let names = match named {
            Some((key, name)) => {
                let mut only = TargetTable::default();
                only.insert(key, name.clone());
                only
            }
            None if gates.is_empty() => names.clone(),
            None => TargetTable::default(),
        };
        let demand = self.client_certificates.unwrap_or(ClientCertificates::Require);
        Ok(Admission { names, gates, demand, kerberos })
    }

    /// Decides what part Kerberos has for a datagram peer that greets us, of this name if it has one.
    fn inbound_kerberos(
        &self,
        settings: &SecuritySettings,
        named: Option<(SocketAddr, &PeerName)>,
    ) -> Result<KerberosUse, PlanError> {
        let taken = self.kerberos.server.unwrap_or_default();
        let Some((key, name)) = named else { return Ok(taken) };
        let asked = Asked::Name { name: name.clone(), from: AskedFrom::Program(key) };
        match self.client_kerberos(settings, &asked) {
            Ok(KerberosUse::Require) if taken == KerberosUse::Off => {
                let (asked, why) = (name.to_string(), KerberosBar::NoServer);
                Err(PlanError::KerberosCannot { asked, why })
            }
            Ok(KerberosUse::Require) => Ok(KerberosUse::Require),
            Err(off @ PlanError::KerberosCannot { why: KerberosBar::Policy, .. }) => Err(off),
            // Those whom no ticket proves when we greet them are never greeted by us.
            Ok(_) | Err(_) => Ok(taken),
        }
    }

    /// Decides what part Kerberos has in connecting: required if the program gave credentials,
    /// since they would be ignored in silence otherwise; else as policy says, as far as the name is
    /// one that tickets are for.
    fn client_kerberos(
        &self,
        settings: &SecuritySettings,
        asked: &Asked,
    ) -> Result<KerberosUse, PlanError> {
        let said = self.kerberos.client;
        let is_off = said == Some(KerberosUse::Off);
        let wanted = match settings.credentials() {
            Some(_) => KerberosUse::Require,
            None => said.unwrap_or_default(),
        };
        let (name, why) = match asked {
            Asked::Name { name, .. } => (name.to_string(), KerberosBar::of(name)),
            _ => ("its peer".to_owned(), Some(KerberosBar::NoName)),
        };
        let why = if is_off { Some(KerberosBar::Policy) } else { why };
        match (wanted, why) {
            (KerberosUse::Require, Some(why)) => {
                Err(PlanError::KerberosCannot { asked: name, why })
            }
            (_, Some(_)) => Ok(KerberosUse::Off),
            (wanted, None) => Ok(wanted),
        }
    }

    /// Returns the gates of a datagram socket. Where it is not known at which of the host's
    /// addresses a peer arrived (`listen` is the unspecified one), the peer must pass as if at each.
    fn gates_wherever(&self, listen: SocketAddr) -> Vec<Vec<AllowRule>> {
        let rules = self.allow.iter().flatten().filter(|rule| rule.judges(listen));
        let mut places: Vec<SocketAddr> = match fold(listen).ip().is_unspecified() {
            true => rules.map(|rule| SocketAddr::new(rule.listen.ip(), listen.port())).collect(),
            false => Vec::new(),
        };
        places.push(listen);
        places.sort();
        places.dedup();
        places.into_iter().flat_map(|place| self.gates(place)).collect()
    }

    /// Returns the gates that speak of a listening address.
    fn gates(&self, listen: SocketAddr) -> Vec<Vec<AllowRule>> {
        self.allow
            .iter()
            .map(|gate| gate.iter().filter(|rule| rule.covers(listen)).cloned().collect())
            .filter(|gate: &Vec<AllowRule>| !gate.is_empty())
            .collect()
    }

    fn cleartext(&self, settings: &SecuritySettings) -> Cleartext {
        let asked = settings.flags().contains(SecurityFlags::ALLOW_INSECURE);
        if asked && !self.require.security {
            Cleartext::DangerIfPeerCannot
        } else {
            Cleartext::Never
        }
    }

    fn name_is_optional(&self, settings: &SecuritySettings) -> bool {
        let optional = IpsecFlags::OPTIONAL_PEER_NAME_VERIFICATION;
        !self.require.peer_name
            && settings.ipsec().is_some_and(|ipsec| ipsec.flags.contains(optional))
    }
}

/// Who may connect to a listener.
#[derive(Clone, Debug, Default)]
pub struct Admission {
    names: TargetTable,
    gates: Vec<Vec<AllowRule>>,
    demand: ClientCertificates,
    kerberos: KerberosUse,
}

impl Admission {
    /// Returns what is asked of clients, at least a certificate if any rule needs a name.
    pub fn demand(&self) -> ClientCertificates {
        if !self.names.was_named() && self.gates.is_empty() {
            self.demand
        } else {
            ClientCertificates::Require
        }
    }

    /// Returns whether a client that proves no name is served.
    pub fn admits_anonymous(&self) -> bool {
        self.demand() != ClientCertificates::Require && self.kerberos != KerberosUse::Require
    }

    /// Returns whether clients may or must prove themselves by a ticket.
    pub fn kerberos(&self) -> KerberosUse {
        self.kerberos
    }

    /// Returns what is asked of clients that will prove themselves by a ticket: a certificate may
    /// prove more names, but none is needed.
    pub fn demand_beside_ticket(&self) -> ClientCertificates {
        self.demand.min(ClientCertificates::Request)
    }

    /// Decides whether the peer at `address`, which proved `proved`, may connect: it must hold
    /// the name that the program set for its address (SPEC 5.6), and pass every gate.
    ///
    /// # Errors
    ///
    /// The rule that is missing, as text for the log of this host.
    pub fn admit(&self, address: SocketAddr, proved: &[PeerName]) -> Result<(), String> {
        self.admit_member(address, proved, &[])
    }

    /// Decides as [`Self::admit`] does, for a peer whose ticket says that it is in `groups`.
    ///
    /// # Errors
    ///
    /// As [`Self::admit`].
    pub fn admit_member(
        &self,
        address: SocketAddr,
        proved: &[PeerName],
        groups: &[Sid],
    ) -> Result<(), String> {
        if self.names.was_named() {
            let Some((_, asked)) = self.names.lookup(address) else {
                return Err(format!("the program named no peer at {address}"));
            };
            let pattern = crate::PeerPattern::from(asked.clone());
            if !proved.iter().any(|name| pattern.matches(name)) {
                return Err(format!("the peer at {address} must be {asked}"));
            }
        }
        for gate in &self.gates {
            if !gate.iter().any(|rule| rule.holds(proved, groups)) {
                let peers = gate.iter().flat_map(|rule| &rule.peers).map(ToString::to_string);
                let groups = gate.iter().flat_map(|rule| &rule.groups);
                let groups = groups.map(|group| format!("members of {group}"));
                let all: Vec<String> = peers.chain(groups).collect();
                return Err(format!("allowed are {}", all.join(", ")));
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
