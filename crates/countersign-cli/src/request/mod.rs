//! What was meant: names, addresses and patterns parsed, defaults filled in, contradictions refused.

mod address;
pub(crate) use address::Address;

mod host;
pub(crate) use host::{HostRequest, Own};

mod task;
pub(crate) use task::{
    Carried, Connect, Demo, Dial, Doctor, Explain, ExplainPeer, Forward, Generate, Identity, Idle,
    Linger, Patience, Rights, Serve, Service, Task,
};

use countersign::PeerName;

use crate::failure::Failure;

/// Reads a name; `what` is what the command line calls it.
pub(crate) fn peer_name(what: &str, typed: &str) -> Result<PeerName, Failure> {
    typed.parse().map_err(|error| Failure::name(what, typed, &error))
}
