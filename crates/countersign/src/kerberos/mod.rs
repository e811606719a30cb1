//! Kerberos, joined to streams: whose tickets and keys, the proof inside a connection, and the
//! threads on which a KDC is waited for.

mod generation;
pub(crate) use generation::{KerberosFiles, keytab};

mod party;
pub(crate) use party::{Party, ProofUnderWay, Step, terms};

mod task;
pub(crate) use task::Task;

mod workers;
pub(crate) use workers::start;

pub use countersign_kerberos::{
    AcceptorCredential, DelegatedCredential, Holder, HostSettings, InitiatorCredential, KeytabKey,
    is_available,
};
