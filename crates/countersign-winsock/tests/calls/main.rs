//! The functions as C calls them, in one process: both ends of each conversation are ours.
#![expect(unsafe_code, reason = "the functions under test are called as C calls them")]

mod closing;
mod datagrams;
mod events;
mod kerberos;
mod overlapped;
mod plain;
mod readiness;
mod streams;
mod world;
