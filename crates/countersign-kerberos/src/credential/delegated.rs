//! Credentials that a client handed on.

use std::sync::Arc;

use countersign_core::KerberosFailure;

use crate::diagnose::{At, diagnose};
use crate::library::Credential;

/// Credentials that a client handed on to its server, which may act for the client with them.
#[derive(Clone, Debug)]
pub struct DelegatedCredential(Arc<Credential>);

impl DelegatedCredential {
    pub(crate) fn new(credential: Credential) -> Self {
        Self(Arc::new(credential))
    }

    /// Writes them into a credential cache, such as `FILE:/run/user/1000/krb5cc_1`, over what is
    /// in it. Whoever can read that cache can act as the client. Blocks as files do.
    ///
    /// # Errors
    ///
    /// The cache cannot be written.
    pub fn store(&self, cache: &str) -> Result<(), KerberosFailure> {
        self.0.store(cache).map_err(|call| diagnose(call, &At::Storing))
    }

    pub(crate) fn shared(&self) -> Arc<Credential> {
        Arc::clone(&self.0)
    }
}
