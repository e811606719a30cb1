//! Sockets that prove themselves by Kerberos, against a real MIT KDC. Each test runs in a process
//! of its own, which lives in the realm (see `countersign_lab::within`).

mod accounts;
mod adversary;
mod domain;
mod middle;
mod proofs;
mod proxied;
mod refusals;
mod rotation;
mod silence;
mod strangers;
mod world;
