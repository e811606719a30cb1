//! A real MIT KDC for the time of a test, and tests that run where the Kerberos library sees it.

mod realm;
pub use realm::Realm;

mod server;
pub use server::Kdc;

mod within;
pub use within::{Elsewhere, elsewhere, peer_of_elsewhere, within};
