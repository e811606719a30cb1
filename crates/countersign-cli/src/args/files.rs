//! Options that name files: who we are, whom we believe, what is demanded.

use std::path::PathBuf;

use clap::Args;

/// Our certificate and key in files, instead of the store's.
#[derive(Clone, Debug, Args)]
pub(crate) struct IdentityFiles {
    /// Show the certificate chain in this PEM file (our own certificate first)
    #[arg(long, value_name = "FILE", requires = "key", help_heading = "Who we are")]
    pub(crate) certificate: Option<PathBuf>,

    /// The private key of the certificate, a PEM file that only its owner can read
    #[arg(long, value_name = "FILE", requires = "certificate", help_heading = "Who we are")]
    pub(crate) key: Option<PathBuf>,
}

/// Whom we believe, instead of whom the policy names.
#[derive(Clone, Debug, Args)]
pub(crate) struct TrustOption {
    /// Believe the authorities in this PEM file or directory, and no others (repeatable)
    ///
    /// Without it: those of the policy, or by default those of the identity store and of the host.
    #[arg(long, value_name = "FILE", help_heading = "Whom we believe")]
    pub(crate) trust: Vec<PathBuf>,
}

/// One more policy file.
#[derive(Clone, Debug, Args)]
pub(crate) struct PolicyOption {
    /// Read this policy over those of the host and the user, instead of $COUNTERSIGN_POLICY
    #[arg(long, value_name = "FILE", help_heading = "Whom we believe")]
    pub(crate) policy: Option<PathBuf>,
}
