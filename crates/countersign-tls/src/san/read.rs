//! Reads the names out of a certificate that has been verified.

use std::net::IpAddr;

use x509_parser::certificate::X509Certificate;
use x509_parser::extensions::{GeneralName, ParsedExtension};
use yasna::tags::TAG_GENERALSTRING;
use yasna::{ASN1Result, BERReader, Tag};

use super::{AlternativeName, KerberosName, oid};

/// The most names that a certificate may state. Some are compared with each other, so that a peer
/// could keep us busy with the tens of thousands that fit into a handshake.
const LIMIT: usize = 1000;

/// Returns the names that `certificate` states; kinds that name no peer are left out.
///
/// # Errors
///
/// Says what is wrong when there are two lists, more than 1000 names, or a name of a kind that we go by cannot be
/// read: passing over it could turn a certificate for one service into one for the whole host.
pub(crate) fn read(certificate: &X509Certificate<'_>) -> Result<Vec<AlternativeName>, String> {
    let extension = certificate
        .subject_alternative_name()
        .map_err(|_| "its list of alternative names is there twice or cannot be read".to_owned())?;
    let unparsed = certificate.extensions().iter().any(|extension| {
        extension.oid == x509_parser::oid_registry::OID_X509_EXT_SUBJECT_ALT_NAME
            && !matches!(extension.parsed_extension(), ParsedExtension::SubjectAlternativeName(_))
    });
    if unparsed {
        return Err("its list of alternative names cannot be read".to_owned());
    }
    let Some(extension) = extension else { return Ok(Vec::new()) };
    let count = extension.value.general_names.len();
    if count > LIMIT {
        return Err(format!("it states {count} alternative names, and {LIMIT} are the most"));
    }
    let mut names = Vec::new();
    for name in &extension.value.general_names {
        names.extend(read_one(name)?);
    }
    Ok(names)
}

fn read_one(name: &GeneralName<'_>) -> Result<Option<AlternativeName>, String> {
    let unreadable = |kind: &str| format!("its {kind} cannot be read");
    Ok(Some(match name {
        GeneralName::DNSName(text) => AlternativeName::Dns((*text).to_owned()),
        GeneralName::URI(text) => AlternativeName::Uri((*text).to_owned()),
        GeneralName::IPAddress(bytes) => {
            let v4 = <[u8; 4]>::try_from(*bytes).map(IpAddr::from);
            let v6 = || <[u8; 16]>::try_from(*bytes).map(IpAddr::from);
            AlternativeName::Ip(v4.or_else(|_| v6()).map_err(|_| unreadable("iPAddress"))?)
        }
        GeneralName::OtherName(kind, value) => {
            let Some(arcs) = kind.iter().map(Iterator::collect::<Vec<u64>>) else {
                return Ok(None);
            };
            match arcs.as_slice() {
                oid::KERBEROS => AlternativeName::Kerberos(
                    in_tag_0(value, kerberos).map_err(|_| unreadable("KRB5PrincipalName"))?,
                ),
                oid::SERVICE => {
                    let text = in_tag_0(value, |text| text.read_ia5_string())
                        .map_err(|_| unreadable("SRVName"))?;
                    let (class, host) = text
                        .strip_prefix('_')
                        .and_then(|text| text.split_once('.'))
                        .filter(|(class, _)| is_word(class))
                        .ok_or_else(|| unreadable("SRVName"))?;
                    AlternativeName::Service { class: class.to_owned(), host: host.to_owned() }
                }
                oid::USER_PRINCIPAL => AlternativeName::UserPrincipal(
                    in_tag_0(value, |text| text.read_utf8string())
                        .map_err(|_| unreadable("user principal name"))?,
                ),
                _ => return Ok(None),
            }
        }
        GeneralName::Invalid(..) => return Err(unreadable("list of alternative names")),
        _ => return Ok(None),
    }))
}

/// A class is one label (RFC 4985 section 2, RFC 2782): with a slash in it, it would pass for a
/// class and a host, or for a SPIFFE ID, when it is joined to the host.
fn is_word(class: &str) -> bool {
    !class.is_empty() && class.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
}

/// The value of an otherName is wrapped in an explicit context tag 0 (RFC 5280).
fn in_tag_0<T>(
    value: &[u8],
    read: impl FnOnce(BERReader<'_, '_>) -> ASN1Result<T>,
) -> ASN1Result<T> {
    yasna::parse_der(value, |reader| reader.read_tagged(Tag::context(0), read))
}

/// `KRB5PrincipalName` of RFC 4556 section 3.2.2 over `PrincipalName` of RFC 4120 section 5.2.2.
fn kerberos(reader: BERReader<'_, '_>) -> ASN1Result<KerberosName> {
    reader.read_sequence(|fields| {
        let realm = fields.next().read_tagged(Tag::context(0), general_string)?;
        let components = fields.next().read_tagged(Tag::context(1), |name| {
            name.read_sequence(|fields| {
                fields.next().read_tagged(Tag::context(0), |kind| kind.read_i64())?;
                fields
                    .next()
                    .read_tagged(Tag::context(1), |list| list.collect_sequence_of(general_string))
            })
        })?;
        Ok(KerberosName { realm, components })
    })
}

fn general_string(reader: BERReader<'_, '_>) -> ASN1Result<String> {
    let bytes = reader.read_tagged_implicit(TAG_GENERALSTRING, |text| text.read_bytes())?;
    String::from_utf8(bytes).map_err(|_| yasna::ASN1Error::new(yasna::ASN1ErrorKind::Invalid))
}
