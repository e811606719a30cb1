//! What to do about an error: sentences for people, with commands that can be copied.

use std::ffi::OsStr;
use std::path::Path;

use rustix::io::Errno;

use super::{DerContent, IdentityError};

impl IdentityError {
    /// Returns what to try, with the command to run where there is one.
    pub fn hint(&self) -> String {
        match self {
            Self::AddressAmongServices { name } => {
                format!("issue it alone: countersign identity issue {}", word(&name.to_string()))
            }
            Self::AnchorsExpired { .. } => {
                "get the present certificate of the authority, or check the clock of this host"
                    .into()
            }
            Self::AuthorityExists { path } => format!(
                "keep it: whatever it issued would no longer be believed; to start anew all the \
                 same, move {} away",
                path.parent().unwrap_or(path).display()
            ),
            Self::AuthorityExpired { path, .. } => format!(
                "move {} away and run `countersign identity init`, then issue and trust anew",
                path.parent().unwrap_or(path).display()
            ),
            Self::AuthorityKeyStays => "leave out the key: others need the certificate only".into(),
            Self::BadCertificate { path, .. } => {
                format!("look at it: openssl x509 -noout -text -in {}", shown(path))
            }
            Self::BadKey { path, .. } => format!(
                "keys may be RSA from 2048 bits, ECDSA on P-256, P-384 or P-521, or Ed25519; look \
                 at it: openssl pkey -noout -check -in {}",
                shown(path)
            ),
            Self::BadPem { .. } => {
                "copy the file anew: it must hold whole blocks, from -----BEGIN to -----END".into()
            }
            Self::ChainOrder { .. } => {
                "put the certificate of the key first, then its issuer, and so on".into()
            }
            Self::ClockOutOfRange { .. } => "set the clock of this host".into(),
            Self::Der { path, content } => convert(path, *content),
            Self::DottedClass { .. } => "write class/host@REALM, or a class without a dot".into(),
            Self::Encrypted { path } => format!(
                "decrypt it into a file that only you can read: \
                 (umask 077 && openssl pkey -in {} -out {})",
                shown(path),
                beside(path, "plain")
            ),
            Self::Expired { name, .. } => format!(
                "run `countersign identity issue {}`, or check the clock of this host",
                word(&name.to_string())
            ),
            Self::Io { errno, path, .. } => match *errno {
                Errno::NOENT => "check the path".to_owned(),
                Errno::ACCESS | Errno::PERM => {
                    format!("see who may: ls -ld {}", shown(path))
                }
                _ => "check the file system that it is on".to_owned(),
            },
            Self::KeyReadable { path, .. } => format!("run: chmod 600 {}", shown(path)),
            Self::Making { .. } | Self::Unproved { .. } => "please report it".into(),
            Self::Mismatch { certificate, .. } => format!(
                "give the key with which the certificate was requested; whose it is says: openssl \
                 x509 -noout -subject -in {}",
                shown(certificate)
            ),
            Self::MixedNames { user, other } => format!(
                "issue two: countersign identity issue {}; countersign identity issue {}",
                word(&user.to_string()),
                word(&other.to_string())
            ),
            Self::NeedsRealm { .. } => {
                "add @REALM, or leave it out: a certificate for the class and host serves every \
                 port"
                    .into()
            }
            Self::NoAuthority { .. } => "run `countersign identity init`".into(),
            Self::NoCertificate { .. } => {
                "give a PEM file with a block that begins -----BEGIN CERTIFICATE-----".into()
            }
            Self::NoCredential { name, .. } => {
                format!("run `countersign identity issue {}`", word(&name.to_string()))
            }
            Self::NoHome => "set COUNTERSIGN_HOME to a directory of yours".into(),
            Self::NoKey { .. } => {
                "give a PEM file with a block that begins -----BEGIN PRIVATE KEY-----".into()
            }
            Self::NoNames => "run `countersign identity issue NAME`".into(),
            Self::NobodyToBelieve => {
                "run `countersign identity init` or `countersign identity trust \
                                      FILE`, or name anchors in [trust]; if certificates are to \
                                      prove nothing, say store = false and system = false there"
                    .into()
            }
            Self::NoSystemAnchors { .. } => {
                "install them (on Debian: apt install ca-certificates), or name a file".into()
            }
            Self::NoValidity => "give a longer one".into(),
            Self::NotAFile { .. } => "give the path of a file".into(),
            Self::NotAuthority { subject, issuer, .. } if subject == issuer => {
                "it is self-signed: have an authority issue another in its place, and trust that \
                 authority"
                    .into()
            }
            Self::NotAuthority { issuer, .. } => {
                format!("trust the certificate of its issuer instead: {issuer}")
            }
            Self::NotOurs { path, us, .. } => {
                format!("if it is yours, run: chown {us} {}", shown(path))
            }
            Self::ServiceOnAddress { name } => {
                let host = name.host().map(ToString::to_string).unwrap_or_default();
                format!(
                    "give the host a DNS name, or name the address itself: {}",
                    word(&format!("host/{host}"))
                )
            }
            Self::SeveralSpiffeIds { .. } => "issue one certificate for each SPIFFE ID".into(),
            Self::TooLarge { .. } => "check that it is the file that you mean".into(),
            Self::Writable { path, .. } => format!("run: chmod go-w {}", shown(path)),
        }
    }
}

fn convert(path: &Path, content: DerContent) -> String {
    let (from, to) = (shown(path), beside(path, "pem"));
    match content {
        DerContent::Certificate => {
            format!("convert it: openssl x509 -inform DER -in {from} -out {to}")
        }
        DerContent::Key => {
            format!("convert it: (umask 077 && openssl pkey -inform DER -in {from} -out {to})")
        }
        DerContent::Pkcs12 => format!(
            "it seems to be PKCS #12; convert it: \
             (umask 077 && openssl pkcs12 -in {from} -nodes -out {to})"
        ),
    }
}

fn shown(path: &Path) -> String {
    word(&path.to_string_lossy())
}

/// A path for a new file beside `path`.
fn beside(path: &Path, extension: &str) -> String {
    let mut name = path.file_name().unwrap_or_else(|| OsStr::new("key")).to_owned();
    name.push(".");
    name.push(extension);
    shown(&path.with_file_name(name))
}

/// Quotes a word for the shell, so that a command can be copied as it is.
fn word(text: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./:@%+=,".contains(c);
    if !text.is_empty() && text.chars().all(plain) {
        text.to_owned()
    } else {
        format!("'{}'", text.replace('\'', r"'\''"))
    }
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::{DerContent, IdentityError, word};

    #[test]
    fn commands_survive_the_shell() {
        assert_eq!(word("/etc/ssl/a.key"), "/etc/ssl/a.key");
        assert_eq!(word("/tmp/it's $HOME"), r"'/tmp/it'\''s $HOME'");
        assert_eq!(word(""), "''");
        let error = IdentityError::Encrypted { path: PathBuf::from("/a b/c.key") };
        assert_eq!(
            error.hint(),
            "decrypt it into a file that only you can read: \
             (umask 077 && openssl pkey -in '/a b/c.key' -out '/a b/c.key.plain')"
        );
        let error =
            IdentityError::Der { path: PathBuf::from("a.cer"), content: DerContent::Certificate };
        assert_eq!(error.hint(), "convert it: openssl x509 -inform DER -in a.cer -out a.cer.pem");
    }

    #[test]
    fn messages_name_the_file_and_its_mode() {
        let error = IdentityError::KeyReadable { path: PathBuf::from("/k"), mode: 0o644 };
        assert_eq!(error.to_string(), "others can use the private key /k (mode 0644)");
        assert_eq!(error.hint(), "run: chmod 600 /k");
    }
}
