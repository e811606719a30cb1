//! A real KDC for the time of a test, of MIT or of an Active Directory domain, and tests that run where the Kerberos library sees it.

mod realm;
pub use realm::Realm;

mod server;
pub use server::Kdc;

mod domain;
pub use domain::Domain;

mod within;
pub use within::{Elsewhere, elsewhere, peer_of_elsewhere, within};
