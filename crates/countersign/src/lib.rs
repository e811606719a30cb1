//! Sockets that name the peer they talk to, and prove it.
//!
//! An IP address says where, not who. Give a socket the *name* that its peer must prove, and the
//! connection is authenticated and encrypted, or refused with a reason.
//!
//! ```text
//!  name, address ──▶ Socket ── Plan ──▶ TLS engine ⇄ kernel
//!                       │
//!                       └── query ──▶ Evidence: who the peer proved to be, and what protects it
//! ```
//!
//! ```no_run
//! use std::io::{Read, Write};
//! use countersign::TcpStream;
//!
//! let mut stream = TcpStream::connect("db1.example.com:5432", "postgres/db1.example.com")?;
//! stream.write_all(b"hello")?;
//! println!("{} is at the other end", stream.evidence().and_then(|e| e.peer()).unwrap().name());
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! It does not resolve names to trust: DNS says where to connect, never who answers. It does not
//! send a byte in clear unless `ALLOW_INSECURE` is set, policy permits it, and the peer cannot do
//! better; [`TcpStream::query`] then says so.

#![forbid(unsafe_code)]
#![warn(missing_docs, clippy::missing_errors_doc, clippy::missing_panics_doc)]
#![warn(clippy::unwrap_used, clippy::indexing_slicing, clippy::print_stdout, clippy::print_stderr)]

pub use countersign_core as core;
pub use countersign_core::{Evidence, Fault, PeerName, Policy, SecurityInfo, SecuritySettings};

mod clock;

mod context;
pub use context::{Context, ContextBuilder};

mod datagram;
pub use datagram::{Received, UdpSocket};

mod entropy;

mod error;
pub use error::Error;

pub mod identity;

pub mod kerberos;

mod listener;
pub use listener::{Incoming, Refusal, TcpListener};

pub mod rights;

mod socket;
pub use socket::Socket;

mod stream;
pub use stream::TcpStream;

mod sync;

#[cfg(feature = "tokio")]
pub mod tokio;

pub use countersign_sys::Interest;
