//! The TLS engine of Countersign: bytes in, bytes out, and a proved name.
//!
//! ```text
//!   wire ── handle_input ──▶ ┌────────┐ ── open ────▶ plaintext
//!                            │ Engine │
//!   wire ◀──── transmit ──── └────────┘ ◀── seal ──── plaintext
//!                                │
//!                                └── poll ──▶ Evidence, once, before any plaintext
//! ```
//!
//! Two ends may agree (by ALPN) on a proof inside the connection, such as Kerberos'. After the
//! handshake `poll` then says so, and between that and the evidence only the proof's own bytes
//! pass, by `proof_input` and `seal_proof`. What they mean is not known here.
//!
//! TLS 1.3 over rustls and aws-lc-rs, TLS 1.2 only where policy opts in; AEAD suites only,
//! X25519MLKEM768 preferred; no resumption, no early data. Chains are verified by rustls-webpki;
//! which name a good certificate proves is decided in `names.rs`, after the chain, so that
//! neither failure is reported as the other.
//!
//! This crate opens no socket, sees no file name and reads no clock: wire bytes and the time come
//! in as arguments.

#![forbid(unsafe_code)]
#![warn(missing_docs, clippy::missing_errors_doc, clippy::missing_panics_doc)]
#![warn(clippy::unwrap_used, clippy::indexing_slicing, clippy::print_stdout, clippy::print_stderr)]

mod config;
pub use config::{ClientConfig, PROOF_PROTOCOL, ServerConfig};

mod credential;
pub use credential::{Credential, CredentialError, TrustAnchors};

mod engine;
pub use engine::{
    Engine, Opened, Output, ProofBinding, Proven, foresee_admission, join_proof, judge_peer_anew,
};

mod error;

mod exporter;

mod handshake;

mod link;

mod names;

mod provider;

mod record;

mod san;
pub use san::{AlternativeName, KerberosName, encode};

mod scope;
pub use scope::{Answer, Question};

mod verify;
pub use verify::verify_peer;

mod withhold;
