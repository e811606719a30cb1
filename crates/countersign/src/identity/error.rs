//! Why an identity cannot be made, found or read.

use std::path::PathBuf;

use countersign_core::{Fault, PeerName, Timestamp};
use rustix::io::Errno;

/// Why an identity cannot be made, found or read.
#[non_exhaustive]
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum IdentityError {
    /// An address stands among services, and a certificate for services proves no bare address.
    #[error("{name} cannot share a certificate with services")]
    AddressAmongServices {
        /// The name of the address.
        name: Box<PeerName>,
    },
    /// Nobody is left of the authorities that are to be trusted.
    #[error("every authority in {} has expired, the last at {not_after}", .path.display())]
    AnchorsExpired {
        /// The file or directory.
        path: PathBuf,
        /// The last moment of the last one.
        not_after: Timestamp,
    },
    /// There is an authority already.
    #[error("there is an authority already: {}", .path.display())]
    AuthorityExists {
        /// The file that is there.
        path: PathBuf,
    },
    /// The authority is too old to issue anything.
    #[error("the authority {} expired at {not_after}", .path.display())]
    AuthorityExpired {
        /// Its certificate.
        path: PathBuf,
        /// Its last moment.
        not_after: Timestamp,
    },
    /// The key of the authority was asked for.
    #[error("the key of the authority is never exported")]
    AuthorityKeyStays,
    /// A certificate cannot be used.
    #[error("a certificate in {} cannot be used: {what}", .path.display())]
    BadCertificate {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        what: String,
    },
    /// A private key cannot be used.
    #[error("the private key in {} cannot be used: {what}", .path.display())]
    BadKey {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        what: String,
    },
    /// A file is not the PEM that it begins to be.
    #[error("{} is damaged: {what}", .path.display())]
    BadPem {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        what: String,
    },
    /// The certificate of the key is there, but it is not the first.
    #[error("in {} the certificate of the key is number {position}, and it must be the first", .path.display())]
    ChainOrder {
        /// The file with the chain.
        path: PathBuf,
        /// Where the key's certificate stands, counted from 1.
        position: usize,
    },
    /// The clock of this host is beyond every date that a certificate can hold.
    #[error("the time {now} cannot be written into a certificate")]
    ClockOutOfRange {
        /// The time.
        now: Timestamp,
    },
    /// A file is in the binary form.
    #[error("{} is in binary form (DER), and the text form (PEM) is needed", .path.display())]
    Der {
        /// The file.
        path: PathBuf,
        /// What it seems to hold.
        content: DerContent,
    },
    /// The class has a dot, which the name in a certificate could not be told from the host's.
    #[error("the class of {name} holds a dot, which a certificate can state in a realm only")]
    DottedClass {
        /// The name.
        name: Box<PeerName>,
    },
    /// The private key is encrypted.
    #[error("the private key in {} is encrypted", .path.display())]
    Encrypted {
        /// The file.
        path: PathBuf,
    },
    /// There is a certificate for the name, but not for this time.
    #[error(
        "the certificate for {name} is valid from {not_before} to {not_after}, and it is {now}"
    )]
    Expired {
        /// The name that was asked for.
        name: Box<PeerName>,
        /// Its first moment.
        not_before: Timestamp,
        /// Its last moment.
        not_after: Timestamp,
        /// The time here.
        now: Timestamp,
    },
    /// The system refuses.
    #[error("cannot {doing} {}: {errno}", .path.display())]
    Io {
        /// What was tried: a verb.
        doing: &'static str,
        /// On what.
        path: PathBuf,
        /// Why not.
        errno: Errno,
    },
    /// Others can read a private key.
    #[error("others can use the private key {} (mode {mode:04o})", .path.display())]
    KeyReadable {
        /// The file.
        path: PathBuf,
        /// Its mode.
        mode: u32,
    },
    /// The certificate or its key cannot be made.
    #[error("the certificate cannot be made: {what}")]
    Making {
        /// What went wrong.
        what: String,
    },
    /// The key belongs to another certificate.
    #[error("the private key in {} does not belong to the certificate in {}", .key.display(), .certificate.display())]
    Mismatch {
        /// The file with the certificate.
        certificate: PathBuf,
        /// The file with the key.
        key: PathBuf,
    },
    /// Names of users and of others were asked for in one certificate.
    #[error("{user} and {other} cannot share a certificate")]
    MixedNames {
        /// The user.
        user: Box<PeerName>,
        /// The service or workload.
        other: Box<PeerName>,
    },
    /// Without a realm a certificate cannot state this name.
    #[error("{name} has a {part} but no realm, and a certificate can state it in a realm only")]
    NeedsRealm {
        /// The name.
        name: Box<PeerName>,
        /// The part that needs it.
        part: &'static str,
    },
    /// There is no authority yet.
    #[error("there is no authority in {}", .directory.display())]
    NoAuthority {
        /// The directory of the store.
        directory: PathBuf,
    },
    /// A file or directory holds no certificate.
    #[error("{} holds no certificate{}", .path.display(), but(.found))]
    NoCertificate {
        /// The file or directory.
        path: PathBuf,
        /// What it holds instead.
        found: Option<String>,
    },
    /// No certificate was issued that proves the name.
    #[error("no certificate for {name} in {}", .directory.display())]
    NoCredential {
        /// The name that was asked for.
        name: Box<PeerName>,
        /// The directory of the store.
        directory: PathBuf,
    },
    /// Nothing says where the store is.
    #[error("none of COUNTERSIGN_HOME, XDG_DATA_HOME and HOME says where identities are kept")]
    NoHome,
    /// A file holds no private key.
    #[error("{} holds no private key{}", .path.display(), but(.found))]
    NoKey {
        /// The file.
        path: PathBuf,
        /// What it holds instead.
        found: Option<String>,
    },
    /// No name was given.
    #[error("a certificate needs a name, and none was given")]
    NoNames,
    /// Nobody is left of those whom the policy says to believe.
    #[error("there is nobody to believe: the policy's [trust] comes to no authority")]
    NobodyToBelieve,
    /// This host trusts nobody.
    #[error("this host has no trusted authorities: {what}")]
    NoSystemAnchors {
        /// What was found instead.
        what: String,
    },
    /// The validity is shorter than a second.
    #[error("a certificate must be valid for a second at least")]
    NoValidity,
    /// What should be a file or directory is something else.
    #[error("{} is {found}, and a regular file is needed", .path.display())]
    NotAFile {
        /// Where.
        path: PathBuf,
        /// What it is.
        found: &'static str,
    },
    /// A certificate that is offered for trust is not an authority's.
    #[error(
        "{} holds an end-entity certificate, of {subject}, which is not an authority",
        .path.display()
    )]
    NotAuthority {
        /// The file.
        path: PathBuf,
        /// Whose certificate it is.
        subject: String,
        /// Who issued it.
        issuer: String,
    },
    /// A file of the store belongs to someone else.
    #[error("{} belongs to user {owner}, and we are user {us}", .path.display())]
    NotOurs {
        /// The file or directory.
        path: PathBuf,
        /// Its owner.
        owner: u32,
        /// Who we are.
        us: u32,
    },
    /// A service on an address cannot be stated.
    #[error("{name} names a service on an address, which a certificate can state in a realm only")]
    ServiceOnAddress {
        /// The name.
        name: Box<PeerName>,
    },
    /// More than one SPIFFE ID was asked for in one certificate.
    #[error("{first} and {second} cannot share a certificate")]
    SeveralSpiffeIds {
        /// One of them.
        first: Box<PeerName>,
        /// Another.
        second: Box<PeerName>,
    },
    /// A file is larger than any of its kind should be.
    #[error("{} is larger than {limit} bytes", .path.display())]
    TooLarge {
        /// The file.
        path: PathBuf,
        /// The most that is read.
        limit: usize,
    },
    /// A certificate that was just made does not prove what it was made for.
    #[error("the new certificate does not prove {name}")]
    Unproved {
        /// The name.
        name: Box<PeerName>,
    },
    /// Others can change what we believe.
    #[error("others can change {} (mode {mode:04o})", .path.display())]
    Writable {
        /// The file or directory.
        path: PathBuf,
        /// Its mode.
        mode: u32,
    },
}

/// What a file in binary form seems to hold.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DerContent {
    /// A certificate.
    Certificate,
    /// A private key.
    Key,
    /// PKCS #12: certificates and keys under a password.
    Pkcs12,
}

impl IdentityError {
    /// Returns who must act.
    pub fn fault(&self) -> Fault {
        match self {
            Self::AddressAmongServices { .. }
            | Self::AuthorityExists { .. }
            | Self::AuthorityKeyStays
            | Self::DottedClass { .. }
            | Self::MixedNames { .. }
            | Self::NeedsRealm { .. }
            | Self::NoNames
            | Self::NoValidity
            | Self::ServiceOnAddress { .. }
            | Self::SeveralSpiffeIds { .. } => Fault::Caller,
            Self::Making { .. } | Self::Unproved { .. } => Fault::Bug,
            _ => Fault::Host,
        }
    }
}

fn but(found: &Option<String>) -> String {
    found.as_ref().map(|found| format!(", but {found}")).unwrap_or_default()
}
