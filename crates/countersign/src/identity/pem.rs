//! Takes certificates and keys out of PEM text (RFC 7468), whoever wrote it.
//!
//! The text is cut into blocks here, so that only the block that is wanted is decoded (no copy is
//! made of a key that nobody asked for), and so that what is there instead can be named.

use std::path::Path;

use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use zeroize::Zeroizing;

use super::{DerContent, IdentityError};

/// Returns every certificate in `text`, in its order, at least one; `path` is what errors call it.
pub(super) fn certificates(
    text: &[u8],
    path: &Path,
) -> Result<Vec<CertificateDer<'static>>, IdentityError> {
    Ok(certificate_blocks(text, path)?.into_iter().map(|(certificate, _)| certificate).collect())
}

/// Returns every certificate in `text`, and the block that it stands in.
pub(super) fn certificate_blocks<'a>(
    text: &'a [u8],
    path: &Path,
) -> Result<Vec<(CertificateDer<'static>, &'a [u8])>, IdentityError> {
    let blocks = blocks(text, path)?;
    let certificates = blocks
        .iter()
        .filter(|block| block.label == "CERTIFICATE")
        .map(|block| match CertificateDer::from_pem_slice(block.text) {
            Ok(certificate) => Ok((certificate, block.text)),
            Err(_) => Err(block.damaged(path)),
        })
        .collect::<Result<Vec<_>, _>>()?;
    if !certificates.is_empty() {
        return Ok(certificates);
    }
    Err(match der_content(text, DerContent::Certificate) {
        Some(content) if blocks.is_empty() => IdentityError::Der { path: path.to_owned(), content },
        _ => IdentityError::NoCertificate { path: path.to_owned(), found: describe(&blocks) },
    })
}

/// Returns the first private key in `text`; `path` is what errors call it.
pub(super) fn private_key(
    text: &[u8],
    path: &Path,
) -> Result<Zeroizing<PrivateKeyDer<'static>>, IdentityError> {
    let blocks = blocks(text, path)?;
    for block in &blocks {
        match block.label {
            "ENCRYPTED PRIVATE KEY" => {
                return Err(IdentityError::Encrypted { path: path.to_owned() });
            }
            "PRIVATE KEY" | "RSA PRIVATE KEY" | "EC PRIVATE KEY" if block.is_encrypted() => {
                return Err(IdentityError::Encrypted { path: path.to_owned() });
            }
            "PRIVATE KEY" | "RSA PRIVATE KEY" | "EC PRIVATE KEY" => {
                return PrivateKeyDer::from_pem_slice(block.text)
                    .map(Zeroizing::new)
                    .map_err(|_| block.damaged(path));
            }
            _ => {}
        }
    }
    Err(match der_content(text, DerContent::Key) {
        Some(content) if blocks.is_empty() => IdentityError::Der { path: path.to_owned(), content },
        _ => IdentityError::NoKey { path: path.to_owned(), found: describe(&blocks) },
    })
}

/// From one `-----BEGIN` to its `-----END`, both included.
struct Block<'a> {
    label: &'a str,
    text: &'a [u8],
}

impl Block<'_> {
    /// Returns whether the block is encrypted in the manner of RFC 1421, as OpenSSL's traditional
    /// format is: the header `Proc-Type: 4,ENCRYPTED` stands before the data.
    fn is_encrypted(&self) -> bool {
        lines(self.text).any(|line| {
            line.starts_with(b"Proc-Type:") && line.trim_ascii().ends_with(b"ENCRYPTED")
        })
    }

    fn damaged(&self, path: &Path) -> IdentityError {
        let what = format!("the block {} is not base64", printable(self.label));
        IdentityError::BadPem { path: path.to_owned(), what }
    }
}

fn blocks<'a>(text: &'a [u8], path: &Path) -> Result<Vec<Block<'a>>, IdentityError> {
    let open_ended = |label: &str| IdentityError::BadPem {
        path: path.to_owned(),
        what: format!("the block {} has no end", printable(label)),
    };
    let text = text.strip_prefix(BYTE_ORDER_MARK).unwrap_or(text);
    let mut blocks = Vec::new();
    let mut open: Option<(&str, usize)> = None;
    let mut at = 0;
    for line in lines(text) {
        let start = at;
        at += line.len();
        if let Some(label) = label(line, b"-----BEGIN ") {
            if let Some((unfinished, _)) = open {
                return Err(open_ended(unfinished));
            }
            open = Some((label, start));
        } else if let (Some((begun, from)), Some(ended)) = (open, label(line, b"-----END "))
            && begun == ended
        {
            blocks.push(Block { label: begun, text: text.get(from..at).unwrap_or_default() });
            open = None;
        }
    }
    match open {
        Some((unfinished, _)) => Err(open_ended(unfinished)),
        None => Ok(blocks),
    }
}

/// Lines with their ends, which may be LF, CR or both.
fn lines(text: &[u8]) -> impl Iterator<Item = &[u8]> {
    text.split_inclusive(|byte| matches!(byte, b'\n' | b'\r'))
}

fn label<'a>(line: &'a [u8], prefix: &[u8]) -> Option<&'a str> {
    let label = line.strip_prefix(prefix)?.trim_ascii_end().strip_suffix(b"-----")?;
    str::from_utf8(label).ok()
}

/// Says what blocks there are.
fn describe(blocks: &[Block<'_>]) -> Option<String> {
    let first = blocks.first()?;
    let article = if first.label.starts_with(['A', 'E', 'I', 'O']) { "an" } else { "a" };
    Some(format!("{article} {}", printable(first.label)))
}

/// A label as it may be shown: files come from strangers, and terminals obey control characters.
fn printable(label: &str) -> String {
    const SHOWN: usize = 40;
    label.chars().filter(|c| c.is_ascii_graphic() || *c == ' ').take(SHOWN).collect()
}

/// Guesses what a file that is no PEM holds, by how its DER begins.
fn der_content(bytes: &[u8], wanted: DerContent) -> Option<DerContent> {
    let (length, rest) = bytes.strip_prefix(SEQUENCE)?.split_first()?;
    let length_bytes = if *length < 0x80 { 0 } else { usize::from(length & 0x7f) };
    let content = rest.get(length_bytes..)?;
    Some(match content {
        // A version: 3 in PKCS #12, 0 or 1 in the forms of keys.
        [0x02, 0x01, 0x03, ..] => DerContent::Pkcs12,
        [0x02, ..] => DerContent::Key,
        [0x30, ..] => wanted,
        _ => return None,
    })
}

const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";
const SEQUENCE: &[u8] = b"\x30";

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::{certificates, private_key};

    #[track_caller]
    fn refused<T>(
        read: fn(&[u8], &Path) -> Result<T, super::IdentityError>,
        text: impl AsRef<[u8]>,
        expected: &str,
    ) {
        let error = read(text.as_ref(), Path::new("F")).err().map(|error| error.to_string());
        assert_eq!(error.as_deref(), Some(expected));
    }

    const CERTIFICATE: &str = "-----BEGIN CERTIFICATE-----\nAAEC\n-----END CERTIFICATE-----\n";
    const KEY: &str = "-----BEGIN PRIVATE KEY-----\nAwQF\n-----END PRIVATE KEY-----\n";

    #[test]
    fn blocks_are_found_among_others_and_under_any_line_end() {
        let both = format!("subject=x\n\n{KEY}{CERTIFICATE}Bag Attributes\n{CERTIFICATE}");
        for text in [both.clone(), both.replace('\n', "\r\n"), both.replace('\n', "\r")] {
            let found = certificates(text.as_bytes(), Path::new("F")).unwrap();
            assert_eq!(found, [vec![0, 1, 2].into(), vec![0, 1, 2].into()]);
            let key = private_key(text.as_bytes(), Path::new("F")).unwrap();
            assert_eq!(key.secret_der(), [3, 4, 5]);
        }
        let marked = [b"\xef\xbb\xbf", CERTIFICATE.as_bytes()].concat();
        assert_eq!(certificates(&marked, Path::new("F")).unwrap().len(), 1);
    }

    #[test]
    fn what_is_there_instead_is_named() {
        refused(certificates, "", "F holds no certificate");
        refused(certificates, "hello", "F holds no certificate");
        refused(certificates, KEY, "F holds no certificate, but a PRIVATE KEY");
        refused(private_key, CERTIFICATE, "F holds no private key, but a CERTIFICATE");
        let parameters = "-----BEGIN EC PARAMETERS-----\n-----END EC PARAMETERS-----\n";
        refused(private_key, parameters, "F holds no private key, but an EC PARAMETERS");
    }

    #[test]
    fn encrypted_keys_are_told_from_broken_ones() {
        let pkcs8 = KEY.replace("PRIVATE", "ENCRYPTED PRIVATE");
        refused(private_key, &pkcs8, "the private key in F is encrypted");
        let headers = "RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\nDEK-Info: AES-128-CBC,00\n\n";
        let traditional = KEY
            .replacen("PRIVATE KEY-----\n", headers, 1)
            .replace("END PRIVATE", "END RSA PRIVATE");
        refused(private_key, &traditional, "the private key in F is encrypted");
        let both = format!("{CERTIFICATE}{traditional}");
        assert_eq!(certificates(both.as_bytes(), Path::new("F")).unwrap().len(), 1);
        let broken = KEY.replace("AwQF", "Aw!F");
        refused(private_key, &broken, "F is damaged: the block PRIVATE KEY is not base64");
    }

    #[test]
    fn blocks_must_end() {
        let cut = CERTIFICATE.split("-----END").next().unwrap();
        refused(certificates, cut, "F is damaged: the block CERTIFICATE has no end");
        let twice = format!("{cut}{CERTIFICATE}");
        refused(certificates, &twice, "F is damaged: the block CERTIFICATE has no end");
        let wrong = CERTIFICATE.replace("END CERTIFICATE", "END PRIVATE KEY");
        refused(certificates, &wrong, "F is damaged: the block CERTIFICATE has no end");
        let escape = cut.replace("CERTIFICATE", "\u{1b}[2JX");
        refused(certificates, &escape, "F is damaged: the block [2JX has no end");
    }

    #[test]
    fn no_change_of_a_byte_and_no_cut_is_more_than_an_error() {
        let text = format!("{KEY}{CERTIFICATE}");
        for at in 0..text.len() {
            for byte in [0, b'\n', b'-', b'0', 0x80, 0xff] {
                let mut changed = text.clone().into_bytes();
                changed[at] = byte;
                for text in [&changed[..], &changed[at..], &changed[..at]] {
                    let _ = certificates(text, Path::new("F"));
                    let _ = private_key(text, Path::new("F"));
                }
            }
        }
    }

    #[test]
    fn binary_forms_are_recognised() {
        let message = "F is in binary form (DER), and the text form (PEM) is needed";
        for der in
            [&b"\x30\x82\x01\x00\x30\x00"[..], b"\x30\x03\x02\x01\x00", b"\x30\x80\x02\x01\x03"]
        {
            refused(certificates, der, message);
            refused(private_key, der, message);
        }
        // Lengths that point out of the file are not followed.
        refused(private_key, b"\x30\xff\x02", "F holds no private key");
        refused(private_key, b"\x30", "F holds no private key");
        refused(private_key, b"0 is how this text begins", "F holds no private key");
    }
}
