//! Kerberos, joined to the sockets: whose tickets and keys, the proof inside a connection, and the
//! threads on which a KDC is waited for.

mod checkup;
pub use checkup::Checkup;

mod completions;
pub(crate) use completions::Completions;

mod generation;
pub(crate) use generation::{KerberosFiles, given_by_program, keytab};

mod lanes;
#[cfg(test)]
mod lanes_tests;

mod party;
pub(crate) use party::{Bearer, Party, ProofUnderWay, Step, terms};

mod pool;
pub(crate) use pool::Place;

mod queue;

mod reliance;
pub(crate) use reliance::{relied_on_as_client, still_counts};

mod task;
pub(crate) use task::Task;

mod workers;

pub use countersign_kerberos::{
    AcceptorCredential, DelegatedCredential, Holder, HostSettings, KeytabKey, is_available,
};

/// Ends the process with this status, also while a thread of ours waits for a KDC.
///
/// A process that ends in the usual way (returning from `main`, exit(3)) takes the Kerberos library
/// down, and a thread that is still inside that then aborts the process. A program that gives up a
/// connection because of a silent KDC, and ends within the half minute that the library goes on
/// waiting, should end by this. It returns if there is no such thread; then the usual way is the
/// better one. Standard output of Rust's own is flushed.
pub fn exit_while_waiting(status: u8) {
    if workers::is_busy() {
        use std::io::Write;
        let _ = std::io::stdout().flush();
        let _ = std::io::stderr().flush();
        countersign_sys::exit_at_once(status);
    }
}
