//! Options that name files: who we are, whom we believe, what is demanded.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

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

/// How much to rely on Kerberos.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum KerberosWord {
    /// Use it with peers that do too, and certificates with others
    Prefer,
    /// Refuse peers that do not use it
    Require,
}

/// Tickets, and how much to rely on them.
#[derive(Clone, Debug, Args)]
pub(crate) struct TicketOptions {
    /// The peer proves its name by Kerberos, and we prove who we are with a ticket (see kinit(1));
    /// alone it means =require
    #[arg(
        long,
        value_name = "HOW",
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = "require",
        help_heading = "Kerberos"
    )]
    pub(crate) kerberos: Option<KerberosWord>,

    /// Use the tickets in this credential cache (default: $KRB5CCNAME, as klist(1) shows it)
    #[arg(long, value_name = "CACHE", conflicts_with = "client_keytab", help_heading = "Kerberos")]
    pub(crate) ticket_cache: Option<String>,

    /// Get tickets with the keys in this keytab
    #[arg(long, value_name = "FILE", requires = "principal", help_heading = "Kerberos")]
    pub(crate) client_keytab: Option<PathBuf>,

    /// Whose keys they are: name@REALM
    #[arg(long, value_name = "NAME", requires = "client_keytab", help_heading = "Kerberos")]
    pub(crate) principal: Option<String>,
}

/// Keys of a service.
#[derive(Clone, Debug, Args)]
pub(crate) struct KeytabOptions {
    /// Prove NAME by Kerberos too, with the keys in this keytab; a certificate for it is then not
    /// needed
    #[arg(long, value_name = "FILE", help_heading = "Kerberos")]
    pub(crate) keytab: Option<PathBuf>,

    /// Prove NAME by Kerberos too, with the keytab of the host or the policy unless --keytab names
    /// one; =require turns clients away that show no ticket
    #[arg(
        long,
        value_name = "HOW",
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = "prefer",
        help_heading = "Kerberos"
    )]
    pub(crate) kerberos: Option<KerberosWord>,

    /// Prove this service too, by Kerberos (repeatable)
    #[arg(long = "as", value_name = "NAME", help_heading = "Kerberos")]
    pub(crate) also: Vec<String>,

    /// Serve only principals of this realm (repeatable; default: of our own)
    #[arg(long, value_name = "REALM", help_heading = "Kerberos")]
    pub(crate) realm: Vec<String>,
}
