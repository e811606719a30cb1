//! Which names a certificate proves: DESIGN's X.509 rules, and nothing but them.

use std::net::IpAddr;

use countersign_core::{Host, PeerName, Proof, ProvedPeer, ServiceName};
use rustls_pki_types::ServerName;
use webpki::EndEntityCert;
use x509_parser::certificate::X509Certificate;

use crate::san::{self, AlternativeName};

/// The names that an end-entity certificate states, after its chain has been verified.
///
/// | asked for | proved by |
/// | --- | --- |
/// | `class/host…` | a KRB5PrincipalName that equals it (a realm not asked for may be any) |
/// | `class/host[:port]` | an SRVName `_class.host` |
/// | `class/host[:port]` | a dNSName or iPAddress that covers the host, but only if the certificate states no KRB5PrincipalName and no SRVName: one that was issued for a service must not stand in for another on the same host |
/// | `user@REALM` | a KRB5PrincipalName or user principal name that equals it |
/// | `spiffe://…` | the URI that equals it, if it is the only URI |
///
/// A realm or a service part is proved by a KRB5PrincipalName only, since the other kinds do not
/// state one. The common name is never looked at.
#[derive(Debug)]
pub(crate) struct StatedNames {
    names: Vec<AlternativeName>,
    /// An issuer of the path carries name constraints.
    constrained: bool,
}

impl StatedNames {
    /// Reads the names of `certificate`; `constrained` says that an issuer in its path carries
    /// name constraints.
    ///
    /// # Errors
    ///
    /// Says what cannot be read.
    pub(crate) fn read(
        certificate: &X509Certificate<'_>,
        constrained: bool,
    ) -> Result<Self, String> {
        Ok(Self { names: san::read(certificate)?, constrained })
    }

    /// Of a certificate that states no name.
    #[cfg(test)]
    pub(crate) fn none() -> Self {
        Self { names: Vec::new(), constrained: false }
    }

    /// Returns how many names there are, of whatever kind.
    pub(crate) fn len(&self) -> usize {
        self.names.len()
    }

    /// Returns the proof of `asked`.
    ///
    /// # Errors
    ///
    /// Why the nearest name does not do, where that is not plain from the names themselves.
    pub(crate) fn prove(
        &self,
        asked: &PeerName,
        certificate: &EndEntityCert<'_>,
    ) -> Result<ProvedPeer, Option<String>> {
        match asked {
            PeerName::Service(service) => self.prove_service(asked, service, certificate),
            _ => {
                let found = self.proved().into_iter().find(|proved| proved.name() == asked);
                found.ok_or_else(|| self.why_not(asked))
            }
        }
    }

    fn prove_service(
        &self,
        asked: &PeerName,
        service: &ServiceName,
        certificate: &EndEntityCert<'_>,
    ) -> Result<ProvedPeer, Option<String>> {
        for proved in self.proved() {
            let PeerName::Service(name) = proved.name() else { continue };
            match proved.proof() {
                Proof::CertificateKerberosName if name.satisfies(service) => return Ok(proved),
                Proof::CertificateServiceName
                    if name.is_class(service.class())
                        && name.host() == service.host()
                        && only_class_and_host(service) =>
                {
                    return Ok(ProvedPeer::vouch(asked.clone(), Proof::CertificateServiceName));
                }
                _ => {}
            }
        }
        if self.is_for_services() || !only_class_and_host(service) {
            return Err(self.why_not(asked));
        }
        let (covered, proof) = match service.host() {
            Host::Dns(host) => (self.covers_host(host), Proof::CertificateDnsName),
            Host::Ip(address) => (self.covers_address(*address), Proof::CertificateIpAddress),
            _ => return Err(None),
        };
        // Two matchers must agree: ours, which knows what is asked, and webpki's.
        let second = ServerName::try_from(bare(service.host()))
            .is_ok_and(|name| certificate.verify_is_valid_for_subject_name(&name).is_ok());
        if covered && second {
            Ok(ProvedPeer::vouch(asked.clone(), proof))
        } else {
            Err(self.why_not(asked))
        }
    }

    /// Returns every name that the certificate proves by itself; wildcards prove none.
    pub(crate) fn proved(&self) -> Vec<ProvedPeer> {
        let mut proved = Vec::new();
        let mut uris = self.names.iter().filter_map(|name| match name {
            AlternativeName::Uri(uri) => Some(uri),
            _ => None,
        });
        if let (Some(uri), None, false) = (uris.next(), uris.next(), self.constrained)
            && let Ok(name @ PeerName::Spiffe(_)) = uri.parse()
        {
            proved.push(ProvedPeer::vouch(name, Proof::CertificateSpiffeId));
        }
        for name in &self.names {
            let (name, proof) = match name {
                AlternativeName::Kerberos(name) => {
                    (name.to_peer_name(), Proof::CertificateKerberosName)
                }
                AlternativeName::Service { class, host } => (
                    plain_dns(host).and_then(|host| format!("{class}/{host}").parse().ok()),
                    Proof::CertificateServiceName,
                ),
                AlternativeName::UserPrincipal(text) => (
                    text.parse().ok().filter(|name| matches!(name, PeerName::User(_))),
                    Proof::CertificateUserPrincipalName,
                ),
                _ => continue,
            };
            proved.extend(
                name.filter(|name| self.is_within_constraints(name))
                    .map(|name| ProvedPeer::vouch(name, proof)),
            );
        }
        if !self.is_for_services() {
            proved.extend(self.names.iter().filter_map(|name| {
                let (host, proof) = match name {
                    AlternativeName::Dns(text) => {
                        (Host::Dns(plain_dns(text)?), Proof::CertificateDnsName)
                    }
                    AlternativeName::Ip(address) => {
                        (Host::Ip(plain_ip(*address)?), Proof::CertificateIpAddress)
                    }
                    _ => return None,
                };
                Some(ProvedPeer::vouch(PeerName::Service(ServiceName::of_host(host)), proof))
            }));
        }
        proved
    }

    /// Returns the names as people read them, a bounded number of them.
    pub(crate) fn describe(&self) -> String {
        const SHOWN: usize = 6;
        let mut texts: Vec<String> =
            self.proved().iter().map(|proved| proved.name().to_string()).collect();
        if !self.is_for_services() {
            texts.extend(self.names.iter().filter_map(|name| match name {
                AlternativeName::Dns(text) => {
                    let domain = plain_dns(text.strip_prefix("*.")?)?;
                    Some(format!("host/*.{domain}"))
                }
                _ => None,
            }));
        }
        match texts.len() {
            0 => "no name that it could be known by".to_owned(),
            1..=SHOWN => texts.join(", "),
            more => {
                texts.truncate(SHOWN);
                format!("{} and {} more", texts.join(", "), more - SHOWN)
            }
        }
    }

    /// Says why the names do not do, where the names alone do not say it.
    fn why_not(&self, asked: &PeerName) -> Option<String> {
        let uris = self.names.iter().filter(|name| matches!(name, AlternativeName::Uri(_))).count();
        match asked {
            PeerName::Spiffe(_) if uris > 1 => {
                Some(format!("its certificate states {uris} URIs, and a SPIFFE ID must be alone"))
            }
            _ if self.names.is_empty() => Some(
                "its certificate states no alternative name; the common name is never looked at"
                    .to_owned(),
            ),
            PeerName::Service(service) => {
                let host_fits = match service.host() {
                    Host::Dns(host) => self.covers_host(host),
                    Host::Ip(address) => self.covers_address(*address),
                    _ => false,
                };
                if host_fits && self.is_for_services() {
                    Some(format!(
                        "its certificate is for the host {}, but for other services on it only",
                        service.host()
                    ))
                } else if host_fits && !only_class_and_host(service) {
                    Some(format!(
                        "its certificate is for the host {}, but states neither realm nor service \
                         part; only a KRB5PrincipalName does: leave them out of the name, or use \
                         Kerberos",
                        service.host()
                    ))
                } else {
                    None
                }
            }
            _ => None,
        }
    }

    /// Returns whether the certificate was issued for particular services or principals.
    fn is_for_services(&self) -> bool {
        let specific = |name: &AlternativeName| {
            matches!(name, AlternativeName::Kerberos(_) | AlternativeName::Service { .. })
        };
        self.names.iter().any(specific)
    }

    /// Name constraints on DNS names do not reach otherNames and URIs (RFC 4985 section 2), and
    /// webpki does not check them there. So that an authority for `example.com` cannot make
    /// services elsewhere: under constraints, a service counts only on a host that a dNSName of
    /// the same certificate covers (those are checked), and a user or workload not at all.
    fn is_within_constraints(&self, name: &PeerName) -> bool {
        !self.constrained
            || match name.host() {
                Some(Host::Dns(host)) => self.covers_host(host),
                Some(Host::Ip(address)) => self.covers_address(*address),
                _ => false,
            }
    }

    fn covers_host(&self, host: &str) -> bool {
        self.names.iter().any(|name| match name {
            AlternativeName::Dns(presented) => covers(presented, host),
            _ => false,
        })
    }

    fn covers_address(&self, address: IpAddr) -> bool {
        self.names.iter().any(|name| match name {
            AlternativeName::Ip(presented) => plain_ip(*presented) == Some(address),
            _ => false,
        })
    }
}

/// RFC 9525 section 6.3: equal without regard to case, or a wildcard that is the whole leftmost
/// label and stands for exactly one; of what follows it there must be two labels at least.
fn covers(presented: &str, host: &str) -> bool {
    match presented.strip_prefix("*.") {
        // The cheap comparison comes first: most names are of other hosts.
        None => {
            presented.eq_ignore_ascii_case(host)
                && plain_dns(presented).is_some_and(|presented| presented == host)
        }
        Some(domain) => host.split_once('.').is_some_and(|(label, rest)| {
            !label.is_empty()
                && domain.contains('.')
                && domain.eq_ignore_ascii_case(rest)
                && plain_dns(domain).is_some_and(|domain| domain == rest)
        }),
    }
}

/// Returns a dNSName in lower case, if it is one: ASCII, no wildcard, no final dot, no NUL.
fn plain_dns(text: &str) -> Option<String> {
    if !text.is_ascii() || text.ends_with('.') {
        return None;
    }
    match text.parse() {
        Ok(Host::Dns(name)) if name.eq_ignore_ascii_case(text) => Some(name),
        _ => None,
    }
}

/// Returns an iPAddress, if it is in its own form: an IPv4 address in four octets (RFC 5280 section
/// 4.2.1.6). Mapped into sixteen, it would pass by constraints on IPv4 addresses.
fn plain_ip(address: IpAddr) -> Option<IpAddr> {
    (address.to_canonical() == address).then_some(address)
}

/// Returns whether the name says no more than certificates other than Kerberos' can state. A port
/// is the place where we connect and not a part of the identity (RFC 9525 section 6.1).
fn only_class_and_host(service: &ServiceName) -> bool {
    service.service().is_none() && service.realm().is_none()
}

/// A host without the brackets that it is shown with.
fn bare(host: &Host) -> String {
    match host {
        Host::Ip(address) => address.to_string(),
        _ => host.to_string(),
    }
}
