//! Credentials of either side. All may be shared between threads and connections.

mod acceptor;
pub use acceptor::AcceptorCredential;
pub(crate) use acceptor::Own;

mod delegated;
pub use delegated::DelegatedCredential;

mod initiator;
pub(crate) use initiator::{Held, service_of};
pub use initiator::{Holder, InitiatorCredential};

mod ready;
pub(crate) use ready::Ready;

mod stamp;
