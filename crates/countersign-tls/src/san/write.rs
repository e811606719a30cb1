//! Writes the names into a certificate that is about to be issued.

use std::net::IpAddr;

use yasna::models::ObjectIdentifier;
use yasna::tags::TAG_GENERALSTRING;
use yasna::{DERWriter, Tag};

use super::{AlternativeName, KerberosName, oid};

/// Kerberos name types of RFC 4120 section 6.2: a user, and a service on a host.
const NT_PRINCIPAL: i64 = 1;
const NT_SRV_HST: i64 = 3;

/// Returns the DER content of a subjectAltName extension (RFC 5280 section 4.2.1.6).
///
/// # Examples
///
/// ```
/// use countersign_tls::{AlternativeName, encode};
///
/// let content = encode(&[AlternativeName::Dns("a.test".into())]);
/// assert_eq!(content, b"\x30\x08\x82\x06a.test");
/// ```
pub fn encode(names: &[AlternativeName]) -> Vec<u8> {
    yasna::construct_der(|writer| {
        writer.write_sequence(|list| {
            for name in names {
                write_one(list.next(), name);
            }
        });
    })
}

fn write_one(writer: DERWriter<'_>, name: &AlternativeName) {
    match name {
        AlternativeName::Dns(text) => context(writer, 2, text.as_bytes()),
        AlternativeName::Uri(text) => context(writer, 6, text.as_bytes()),
        AlternativeName::Ip(IpAddr::V4(address)) => context(writer, 7, &address.octets()),
        AlternativeName::Ip(IpAddr::V6(address)) => context(writer, 7, &address.octets()),
        AlternativeName::Kerberos(name) => {
            other(writer, oid::KERBEROS, |value| write_kerberos(value, name));
        }
        AlternativeName::Service { class, host } => {
            other(writer, oid::SERVICE, |value| {
                value.write_ia5_string(&format!("_{class}.{host}"))
            });
        }
        AlternativeName::UserPrincipal(text) => {
            other(writer, oid::USER_PRINCIPAL, |value| value.write_utf8_string(text));
        }
    }
}

fn context(writer: DERWriter<'_>, tag: u64, bytes: &[u8]) {
    writer.write_tagged_implicit(Tag::context(tag), |value| value.write_bytes(bytes));
}

fn other(writer: DERWriter<'_>, oid: &[u64], write: impl FnOnce(DERWriter<'_>)) {
    writer.write_tagged_implicit(Tag::context(0), |name| {
        name.write_sequence(|fields| {
            fields.next().write_oid(&ObjectIdentifier::from_slice(oid));
            fields.next().write_tagged(Tag::context(0), write);
        });
    });
}

fn write_kerberos(writer: DERWriter<'_>, name: &KerberosName) {
    let kind = if name.components.len() == 1 { NT_PRINCIPAL } else { NT_SRV_HST };
    writer.write_sequence(|fields| {
        fields.next().write_tagged(Tag::context(0), |realm| general_string(realm, &name.realm));
        fields.next().write_tagged(Tag::context(1), |principal| {
            principal.write_sequence(|fields| {
                fields.next().write_tagged(Tag::context(0), |tag| tag.write_i64(kind));
                fields.next().write_tagged(Tag::context(1), |list| {
                    list.write_sequence(|items| {
                        for component in &name.components {
                            general_string(items.next(), component);
                        }
                    });
                });
            });
        });
    });
}

fn general_string(writer: DERWriter<'_>, text: &str) {
    writer.write_tagged_implicit(TAG_GENERALSTRING, |value| value.write_bytes(text.as_bytes()));
}
