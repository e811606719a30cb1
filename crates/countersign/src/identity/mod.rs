//! Who we are and whom we believe: certificates, keys and anchors in files.
//!
//! ```text
//! directory of ours ── Store ───────────┐
//!                                       ├──▶ Credential, anchors ──▶ sockets
//! files of any authority ── load_… ─────┘
//! the same files ── Stamp::of ──▶ have they changed, and are they at rest?
//! ```
//!
//! Nothing here opens a connection, starts a thread or prints, and no private key leaves here other
//! than inside a [`Credential`](countersign_tls::Credential), except where
//! [`Store::export`] is asked for it.

mod certificate;

mod environment;
pub(crate) use environment::variable;

mod error;
pub use error::{DerContent, IdentityError};

mod files;
pub(crate) use files::read_policy;
pub use files::{load_anchors, load_credential, system_anchors};

mod hint;

mod open;

mod pem;

mod permissions;

mod store;
pub use store::{
    AuthorityEntry, CredentialPaths, DEFAULT_VALIDITY, Inventory, Issued, IssuedEntry, Store,
    Validity,
};

mod throw_away;
pub(crate) use throw_away::throw_away_credential;

mod watch;
pub use watch::Stamp;
