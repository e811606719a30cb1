//! The embedded authority and everything that it has issued, in one directory.

mod authority;

mod directory;

mod inventory;
pub use inventory::{AuthorityEntry, Inventory, IssuedEntry, Validity};

mod issued;
pub use issued::CredentialPaths;

mod keeper;
pub use keeper::{DEFAULT_VALIDITY, Issued, Store};

mod location;

mod request;

mod slug;

mod trusted;
