//! Who a thread is to the kernel, and how it becomes somebody else for a while (credentials(7)).
//!
//! The kernel keeps credentials for each thread. The C library hides that: its setuid(2) and
//! relatives change all threads, by a signal. Here only the kernel's own calls are made, so
//! nothing but the calling thread changes.

mod capabilities;

mod fork;

mod identity;
pub use identity::{Identity, NoSuchId};

mod keyring;

mod snapshot;
pub use snapshot::{Credentials, Missing};

mod switch;
pub use switch::SwitchError;
