//! Credentials of either side. All may be shared between threads and connections.

mod acceptor;
pub use acceptor::AcceptorCredential;
pub(crate) use acceptor::Own;

mod delegated;
pub use delegated::DelegatedCredential;

mod initiator;
pub(crate) use initiator::Held;
pub use initiator::{Holder, InitiatorCredential};

mod look;
pub(crate) use look::service_of;

mod ready;
pub(crate) use ready::Ready;

mod stamp;
