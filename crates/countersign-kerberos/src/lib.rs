//! The Kerberos proof of Countersign: a peer inside a secure channel proves a principal, and that
//! it means this channel and this name.
//!
//! ```text
//!   client                                                            server
//!   Exchange::initiate(asked, credential, channel, terms)             Exchange::accept(…)
//!      │── request: the name and realm asked, AP-REQ bound to the channel ▶│ whose ticket, for whom
//!      │◀─ reply: AP-REP, confirmation over role, channel and name ───────│
//!      │── confirmation over role, channel and name ─────────────────────▶│
//!    Proved: the service that was asked for                             Proved: the client
//! ```
//!
//! An [`Exchange`] turns bytes into bytes. What asks a KDC, a file or another process is [`Work`]
//! that it hands out: the caller decides on which thread that runs and how long it may take.
//!
//! ```
//! use countersign_core::{KerberosFailure, ServiceName};
//! use countersign_kerberos::{Channel, Exchange, InitiatorCredential, Terms};
//!
//! let asked: ServiceName = "postgres/db1.example.com".parse()?;
//! let channel = Channel::new([0; Channel::EXPORTED_LEN]); // what TLS exports on this connection
//! let nobody = InitiatorCredential::cache("FILE:/nonexistent/cache");
//! let mut client = Exchange::initiate(&asked, nobody, channel, Terms::default());
//! let work = client.take_work().expect("a client begins with work");
//! client.finish(work.run()); // on a thread that may wait
//! let failure = client.poll().unwrap_err();
//! assert!(matches!(
//!     failure,
//!     KerberosFailure::NoCredentials { .. } | KerberosFailure::LibraryMissing { .. }
//! ));
//! # Ok::<(), countersign_core::NameError>(())
//! ```
//!
//! Tokens are those of GSS-API's Kerberos mechanism (RFC 4121), by the host's MIT library, which is
//! opened when it is first needed: this crate builds and runs where there is none. The bindings to
//! the channel are `tls-exporter` (RFC 9266). They alone do not keep a relay out, because nothing
//! makes an acceptor look at them, and a ticket does not say for which of an account's services it
//! was asked; hence the confirmations.
//!
//! This crate opens no socket, though the Kerberos library asks KDCs. It does not use SPNEGO, NTLM,
//! user-to-user tickets, or credentials that nobody named; and it never lets DNS change a name.

#![deny(unsafe_code)]
#![warn(missing_docs, clippy::missing_errors_doc, clippy::missing_panics_doc)]
#![warn(clippy::unwrap_used, clippy::indexing_slicing, clippy::print_stdout, clippy::print_stderr)]

mod exchange;
pub use exchange::Exchange;

mod work;
pub use work::{Awaited, Done, Work};

mod proved;
pub use proved::Proved;

mod terms;
pub use terms::{Delegation, Realms, Terms};

mod channel;
pub use channel::Channel;

mod credential;
pub use credential::{AcceptorCredential, DelegatedCredential, Holder, InitiatorCredential};

mod initiator;

mod acceptor;

mod frame;

mod principal;

mod pac;

mod diagnose;

mod host;
pub use host::{HostSettings, is_available, local_name};

mod library;
pub use library::KeytabKey;

#[cfg(fuzzing)]
#[doc(hidden)]
pub mod fuzzing;

#[cfg(test)]
mod attacks;
