//! Policy as people write it.

use std::fmt::Display;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use serde::de::{Deserialize, Deserializer, Error as _};

use super::{
    AccountPattern, AccountRule, AccountTarget, AccountTemplate, AllowRule, ClientCertificates,
    IdentityRule, KerberosRule, KerberosUse, PartialLimits, Policy, PolicyError, Requirements,
    Target, TrustRule,
};
use crate::{
    EncryptionRule, EncryptionType, PeerName, PeerPattern, Proof, ServiceName, Sid, TargetTable,
};

/// Reads policy text.
pub(super) fn parse(text: &str, origin: &str) -> Result<Policy, PolicyError> {
    let at = |offset: usize, what: String| {
        let before = text.get(..offset).unwrap_or(text);
        let column = before.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
        let line = before.matches('\n').count() + 1;
        PolicyError { origin: origin.to_owned(), line, column, what }
    };
    let file: File = toml::from_str(text).map_err(|error| {
        at(error.span().map_or(0, |span| span.start), error.message().replace('\n', "; "))
    })?;

    let mut targets = TargetTable::default();
    for target in file.target {
        let offset = target.span().start;
        let Target { address, name } = target.into_inner().into();
        if let Some(other) = targets.insert(address, name.clone()) {
            return Err(at(offset, format!("{address} has two names, {other} and {name}")));
        }
    }
    let mut accounts = Vec::new();
    for rule in file.account {
        let here = at(rule.span().start, String::new());
        let wrong = |what: String| PolicyError { what, ..here.clone() };
        let place = format!("{origin}, line {}", here.line);
        accounts.push(rule.into_inner().into_rule(place).map_err(wrong)?);
    }
    let mut allow = Vec::new();
    for rule in file.allow {
        let offset = rule.span().start;
        let AllowText { listen, peers, groups } = rule.into_inner();
        if peers.is_none() && groups.is_none() {
            return Err(at(offset, "[[allow]] needs peers, groups or both".to_owned()));
        }
        let (peers, groups) =
            (unwrap(peers.unwrap_or_default()), unwrap(groups.unwrap_or_default()));
        allow.push(AllowRule { listen: listen.0, peers, groups });
    }
    let identity = match file.identity {
        None => None,
        Some(identity) => {
            let offset = identity.span().start;
            let rule = identity.into_inner();
            Some(match (rule.certificate, rule.key, rule.name) {
                (Some(certificate), Some(key), None) => IdentityRule::Files { certificate, key },
                (None, None, Some(name)) => IdentityRule::Store { name: name.0 },
                _ => {
                    let what = "[identity] needs certificate and key, or name alone";
                    return Err(at(offset, what.to_owned()));
                }
            })
        }
    };
    let trust = match file.trust {
        None => None,
        Some(trust) => {
            let offset = trust.span().start;
            Some(trust.into_inner().into_rule().map_err(|what| at(offset, what.to_owned()))?)
        }
    };
    let kerberos = match file.kerberos {
        None => KerberosRule::default(),
        Some(kerberos) => {
            let offset = kerberos.span().start;
            kerberos.into_inner().into_rule().map_err(|what| at(offset, what.to_owned()))?
        }
    };
    Ok(Policy {
        identity,
        trust,
        default_is_ipsec: file.protocol.default.map(|word| matches!(word, Protocol::Ipsec)),
        danger_allow_tls12: file.tls.danger_allow_tls12,
        client_certificates: file.server.client_certificates.map(|word| match word {
            Demand::None => ClientCertificates::None,
            Demand::Request => ClientCertificates::Request,
            Demand::Require => ClientCertificates::Require,
        }),
        kerberos,
        require: Requirements {
            peer_name: file.require.peer_name,
            security: file.require.security,
            tls13: file.require.tls13,
        },
        limits: PartialLimits {
            handshakes: file.limits.handshakes.map(Positive::into_usize),
            handshake_timeout: file.limits.handshake_timeout_ms.map(Positive::into_millis),
            connect_timeout: file.limits.connect_timeout_ms.map(Positive::into_millis),
            insecure_after: file.limits.insecure_after_ms.map(Positive::into_millis),
            handshakes_per_host: file.limits.handshakes_per_host.map(Positive::into_usize),
            datagram_peers: file.limits.datagram_peers.map(Positive::into_usize),
            datagram_idle: file.limits.datagram_idle_ms.map(Positive::into_millis),
        },
        targets,
        allow: if allow.is_empty() { Vec::new() } else { vec![allow] },
        accounts,
    })
}

#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct File {
    identity: Option<toml::Spanned<IdentityText>>,
    trust: Option<toml::Spanned<TrustText>>,
    #[serde(default)]
    protocol: ProtocolText,
    #[serde(default)]
    tls: TlsText,
    #[serde(default)]
    server: ServerText,
    kerberos: Option<toml::Spanned<KerberosText>>,
    #[serde(default)]
    require: RequireText,
    #[serde(default)]
    limits: LimitsText,
    #[serde(default)]
    target: Vec<toml::Spanned<TargetText>>,
    #[serde(default)]
    allow: Vec<toml::Spanned<AllowText>>,
    #[serde(default)]
    account: Vec<toml::Spanned<AccountText>>,
}

#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct IdentityText {
    certificate: Option<PathBuf>,
    key: Option<PathBuf>,
    name: Option<Parsed<PeerName>>,
}

#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct TrustText {
    #[serde(default)]
    anchors: Vec<PathBuf>,
    store: Option<bool>,
    system: Option<bool>,
}

impl TrustText {
    /// Who says whom to believe believes nobody else. Who only says whom not to believe goes on with
    /// the others that hold by default.
    fn into_rule(self) -> Result<TrustRule, &'static str> {
        let Self { anchors, store, system } = self;
        let names_somebody = !anchors.is_empty() || store == Some(true) || system == Some(true);
        if !names_somebody && store.is_none() && system.is_none() {
            return Err("[trust] names nobody to believe; if certificates are to prove nothing, \
                        write store = false and system = false");
        }
        let others = !names_somebody;
        let (store, system) = (store.unwrap_or(others), system.unwrap_or(others));
        Ok(TrustRule { anchors, store, system })
    }
}

#[derive(Default, serde::Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct ProtocolText {
    default: Option<Protocol>,
}

#[derive(serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Protocol {
    Ipsec,
    Tls,
}

#[derive(Default, serde::Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct TlsText {
    danger_allow_tls12: Option<bool>,
}

#[derive(Default, serde::Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct ServerText {
    client_certificates: Option<Demand>,
}

#[derive(serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Demand {
    None,
    Request,
    Require,
}

#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct KerberosText {
    client: Option<Use>,
    server: Option<Use>,
    #[serde(default)]
    services: Vec<Parsed<ServiceName>>,
    keytab: Option<PathBuf>,
    cache: Option<String>,
    client_keytab: Option<PathBuf>,
    principal: Option<String>,
    realms: Option<Vec<String>>,
    delegate: Option<bool>,
    encryption_types: Option<Vec<Parsed<EncryptionType>>>,
    danger_allow_rc4: Option<bool>,
}

impl KerberosText {
    fn into_rule(self) -> Result<KerberosRule, &'static str> {
        if self.client_keytab.is_some() != self.principal.is_some() {
            return Err("[kerberos] needs client-keytab and principal, or neither");
        }
        if self.client_keytab.is_some() && self.cache.is_some() {
            return Err("[kerberos] needs cache or client-keytab, not both");
        }
        if self.realms.as_ref().is_some_and(|realms| realms.iter().any(|it| !is_realm(it))) {
            return Err("[kerberos] has a realm with a character that no realm has");
        }
        let listed = self.encryption_types.map(unwrap);
        let allows_rc4 = self.danger_allow_rc4.unwrap_or(false);
        for it in listed.iter().flatten() {
            if *it == EncryptionType::RC4 && !allows_rc4 {
                return Err("[kerberos] lists RC4, which takes danger-allow-rc4 = true beside it");
            }
            if *it != EncryptionType::RC4 && it.is_weak() {
                return Err("[kerberos] lists an encryption type that is broken");
            }
        }
        if listed.as_ref().is_some_and(Vec::is_empty) {
            return Err("[kerberos] has encryption-types with none in it");
        }
        Ok(KerberosRule {
            client: self.client.map(KerberosUse::from),
            server: self.server.map(KerberosUse::from),
            services: unwrap(self.services),
            keytab: self.keytab,
            cache: self.cache,
            client_keytab: self.client_keytab,
            principal: self.principal,
            realms: self.realms,
            delegate: self.delegate,
            encryption: EncryptionRule::new(listed, self.danger_allow_rc4),
        })
    }
}

/// Returns whether a realm is one that [`PeerName`] can hold. There is no pattern here: a realm is
/// believed by name.
fn is_realm(text: &str) -> bool {
    matches!(format!("x@{text}").parse(), Ok(PeerName::User(name)) if name.realm() == text)
}

#[derive(serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Use {
    Off,
    Prefer,
    Require,
}

impl From<Use> for KerberosUse {
    fn from(word: Use) -> Self {
        match word {
            Use::Off => Self::Off,
            Use::Prefer => Self::Prefer,
            Use::Require => Self::Require,
        }
    }
}

#[derive(Default, serde::Deserialize)]
#[serde(deny_unknown_fields, default, rename_all = "kebab-case")]
struct RequireText {
    peer_name: bool,
    security: bool,
    tls13: bool,
}

#[derive(Default, serde::Deserialize)]
#[serde(deny_unknown_fields, default, rename_all = "kebab-case")]
struct LimitsText {
    handshakes: Option<Positive>,
    handshake_timeout_ms: Option<Positive>,
    connect_timeout_ms: Option<Positive>,
    insecure_after_ms: Option<Positive>,
    handshakes_per_host: Option<Positive>,
    datagram_peers: Option<Positive>,
    datagram_idle_ms: Option<Positive>,
}

#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct TargetText {
    address: Address,
    name: Parsed<PeerName>,
}

impl From<TargetText> for Target {
    fn from(text: TargetText) -> Self {
        Self { address: text.address.0, name: text.name.0 }
    }
}

#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct AllowText {
    #[serde(default)]
    listen: Address,
    peers: Option<Vec<Parsed<PeerPattern>>>,
    groups: Option<Vec<Parsed<Sid>>>,
}

#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct AccountText {
    peer: Parsed<AccountPattern>,
    account: Option<Parsed<AccountTemplate>>,
    #[serde(default)]
    local_name: bool,
    proof: Option<ProofText>,
    lowest_uid: Option<u32>,
}

#[derive(Clone, Copy, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
enum ProofText {
    DnsName,
    KerberosTicket,
    KerberosPrincipalName,
    ServiceName,
    SpiffeId,
    UserPrincipalName,
}

impl AccountText {
    fn into_rule(self, place: String) -> Result<AccountRule, String> {
        let peer = self.peer.0;
        let account = match (self.account, self.local_name) {
            (Some(Parsed(template)), false) => AccountTarget::Named(template),
            (None, true) => AccountTarget::LocalName,
            _ => return Err("[[account]] needs account, or local-name = true alone".to_owned()),
        };
        if let AccountTarget::Named(template) = &account
            && let Some(capture) = template.unknown_capture(&peer)
        {
            return Err(format!("account has {{{capture}}}, which is not captured by {peer}"));
        }
        let proof = self.proof.map(|word| match word {
            ProofText::DnsName => Proof::CertificateDnsName,
            ProofText::KerberosTicket => Proof::KerberosTicket,
            ProofText::KerberosPrincipalName => Proof::CertificateKerberosName,
            ProofText::ServiceName => Proof::CertificateServiceName,
            ProofText::SpiffeId => Proof::CertificateSpiffeId,
            ProofText::UserPrincipalName => Proof::CertificateUserPrincipalName,
        });
        let lowest_uid = self.lowest_uid.unwrap_or(AccountRule::LOWEST_UID);
        Ok(AccountRule { peer, proof, account, lowest_uid, place })
    }
}

/// A string that means something.
struct Parsed<T>(T);

impl<'de, T: FromStr<Err: Display>> Deserialize<'de> for Parsed<T> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        String::deserialize(from)?.parse().map(Self).map_err(D::Error::custom)
    }
}

fn unwrap<T>(list: Vec<Parsed<T>>) -> Vec<T> {
    list.into_iter().map(|Parsed(it)| it).collect()
}

/// `ADDRESS:PORT`, `ADDRESS`, `*:PORT` or `*`; what is left out is zero, which is any.
struct Address(SocketAddr);

impl Default for Address {
    fn default() -> Self {
        Self(SocketAddr::from(([0, 0, 0, 0], 0)))
    }
}

impl<'de> Deserialize<'de> for Address {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let text = String::deserialize(from)?;
        let bare = text.strip_prefix('[').and_then(|t| t.strip_suffix(']')).unwrap_or(&text);
        if let Ok(ip) = bare.parse::<IpAddr>() {
            return Ok(Self(SocketAddr::new(ip, 0)));
        }
        let full = match text.strip_prefix('*') {
            Some("") => "0.0.0.0:0".to_owned(),
            Some(port) => format!("0.0.0.0{port}"),
            None => text.clone(),
        };
        full.parse().map(Self).map_err(|_| {
            let forms = "ADDRESS:PORT, ADDRESS, *:PORT or *";
            D::Error::custom(format_args!("{text:?} is not an address; write {forms}"))
        })
    }
}

/// A whole number above zero.
#[derive(Clone, Copy)]
struct Positive(u32);

impl Positive {
    fn into_usize(self) -> usize {
        usize::try_from(self.0).unwrap_or(usize::MAX)
    }

    fn into_millis(self) -> Duration {
        Duration::from_millis(u64::from(self.0))
    }
}

impl<'de> Deserialize<'de> for Positive {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        match u32::deserialize(from)? {
            0 => Err(D::Error::custom("it must be above zero")),
            number => Ok(Self(number)),
        }
    }
}
