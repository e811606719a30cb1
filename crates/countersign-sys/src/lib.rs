//! The kernel, made safe for Countersign.
//!
//! What `std::net` does not offer: sockets in stages, exclusive ports, sends that do not wait,
//! waiting for readiness with a deadline, a set of descriptors with timers, datagrams in batches with
//! the address that they came to, the credentials of one thread, the user database, and whether the process was
//! forked. It is over
//! `rustix` where that has the call; the calls that need `unsafe` belong here and nowhere else, each
//! file with the reason at its head.
//!
//! This crate decides nothing and knows no protocol.

#![deny(unsafe_code)]
#![warn(missing_docs, clippy::missing_errors_doc, clippy::missing_panics_doc)]
#![warn(clippy::unwrap_used, clippy::indexing_slicing, clippy::print_stdout, clippy::print_stderr)]

mod accounts;
pub use accounts::{AccountEntry, Ageing, account, groups_of, shadow};

mod adopt;
pub use adopt::{Adopted, Progress, adopt};

mod credentials;
pub use credentials::{Credentials, Identity, Missing, NoSuchId, SwitchError};

mod datagram;
pub use datagram::{
    Arrived, Batch, Complaint, MAX_SEGMENTED, MAX_SEGMENTS, Route, bind_datagrams,
    connect_datagrams, datagram_socket, join_arrivals, local_address, send_along, tell_complaints,
    tell_destination,
};

mod exit;
pub use exit::exit_at_once;

mod lineage;
pub use lineage::lineage;

mod program;
pub use program::set_apart;

mod readiness;
pub use readiness::{Interest, ReadySet, has_error, wait};

mod signal;
pub use signal::Signal;

mod socket;
pub use socket::{
    Exclusive, accept, accept_without_delay, bind_exclusive, listen, receive, start_connect,
    stream_socket, wait_connected,
};

mod wire;
pub use wire::Wire;
