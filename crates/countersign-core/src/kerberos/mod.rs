//! Words of the Kerberos proof that policy, sockets and reports share.

mod encryption;
pub use encryption::{
    Encrypted, EncryptionRule, EncryptionType, TicketEncryption, UnknownEncryption,
};

mod failure;
pub use failure::{KerberosFailure, Outdated};

mod refusal;
pub use refusal::KerberosRefusal;

mod sid;
pub use sid::{Sid, SidError};
