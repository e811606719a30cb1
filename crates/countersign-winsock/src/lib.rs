//! The C interface of Countersign: Winsock's secure socket extensions under their own names.
//!
//! ```text
//! C or C++ ── include/winsock/*.h ──▶ extern "C" ── boundary ──▶ table ──▶ entry ──▶ countersign
//!                                     pointers checked here       │          └── kernel (plain)
//!                                                                 └── reactor: overlapped, events
//! ```
//!
//! A `SOCKET` is a descriptor. Sockets on which neither security nor a name was set are plain
//! ones of the kernel; the others are sockets of the crate `countersign`.
//!
//! Every pointer and length that comes in is an allegation: what cannot be true is answered with
//! the documented error. No panic leaves a function of this crate. What it cannot find out is
//! whether a pointer that is not NULL points to memory that is there.
//!
//! It does not emulate Windows beyond these functions: there are no service providers, no
//! completion ports, no windows that get messages.

#![expect(unsafe_code, reason = "this crate is the boundary to C")]
#![warn(missing_docs, clippy::missing_safety_doc)]
#![warn(clippy::unwrap_used, clippy::indexing_slicing, clippy::print_stdout, clippy::print_stderr)]

pub mod abi;

mod boundary;

#[doc(hidden)]
pub mod decode;

mod encode;

mod failure;
pub use failure::Failure;

pub mod layout;

mod last_error;
pub use last_error::{CountersignLastErrorText, WSAGetLastError, WSASetLastError};

mod spn;
pub use spn::{DsMakeSpnA, DsMakeSpnW};

mod wide;
