//! The words and decisions of Countersign, with no I/O.
//!
//! ```text
//! text, C struct ── parse ──▶ PeerName, SecuritySettings, Policy ── decide ──▶ Plan
//!                                          what a peer has shown ── vouch ──▶ Evidence
//! ```
//!
//! ```
//! use countersign_core::PeerName;
//!
//! let name: PeerName = "postgres/DB1.Example.com".parse()?;
//! assert_eq!(name.to_string(), "postgres/db1.example.com");
//! assert_eq!(name, "POSTGRES/db1.example.com.".parse()?);
//! # Ok::<(), countersign_core::NameError>(())
//! ```
//!
//! This crate reads no clock, file, socket or variable, starts no thread, and never asks a peer
//! for anything: what a peer showed comes in as an argument, and time does too.

#![forbid(unsafe_code)]
#![warn(missing_docs, clippy::missing_errors_doc, clippy::missing_panics_doc)]
#![warn(clippy::unwrap_used, clippy::indexing_slicing, clippy::print_stdout, clippy::print_stderr)]

mod name;
pub use name::{Host, NameError, PeerName, PeerPattern, ServiceName, SpiffeId, UserName};

mod settings;
pub use settings::{
    Credentials, IpsecFlags, IpsecSettings, SecurityFlags, SecurityProtocol, SecuritySettings,
};

mod target;
pub use target::{TargetTable, fold};

mod lifecycle;
pub use lifecycle::{Lifecycle, SocketKind, Stage};

mod wsa;
pub use wsa::WsaError;

mod policy;
pub use policy::{
    AccountChoice, AccountPattern, AccountRule, AccountTarget, AccountTemplate, AllowRule,
    ClientCertificates, IdentityRule, KerberosRule, KerberosUse, Limits, Policy, PolicyError,
    Requirements, Target, TrustRule, UnfitAccount,
};

mod plan;
pub use plan::{
    Admission, Asked, AskedFrom, Cleartext, ClientPlan, KerberosBar, PlanError, ServerPlan,
};

mod evidence;
pub use evidence::{Evidence, InfoFlags, Mechanism, Proof, ProvedPeer, SecurityInfo, SessionId};

mod query;
pub use query::{QueryAnswer, QueryTemplate, SaFields, SaIds, TokenAccess};

mod time;
pub use time::Timestamp;

mod kerberos;
pub use kerberos::{
    Encrypted, EncryptionRule, EncryptionType, KerberosFailure, KerberosRefusal, Outdated, Sid,
    SidError, TicketEncryption, UnknownEncryption,
};

mod error;
pub use error::{Fault, HandshakeError};
