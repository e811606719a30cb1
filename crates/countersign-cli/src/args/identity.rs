//! `identity`: the embedded store of certificates.

use std::num::NonZeroU32;
use std::path::PathBuf;

use clap::{Args, Subcommand};

/// Make, show and exchange certificates: an authority of your own in a directory of yours
///
/// The store is a directory that only you can change. `init` makes an authority in it, `issue` makes
/// certificates under that authority, `trust` adds authorities of others. Nothing is sent anywhere. A
/// program may as well use certificates of any other authority (--certificate and --key).
#[derive(Debug, Args)]
#[command(after_long_help = "\
Examples:
  On the server:
    countersign identity init
    countersign identity issue postgres/db1.example.com
    countersign identity export > authority.pem

  On each client, with the file from the server:
    countersign identity trust authority.pem

  What is there, and until when:
    countersign identity show")]
pub(crate) struct IdentityArguments {
    #[command(subcommand)]
    pub(crate) command: IdentityCommand,
}

#[derive(Debug, Subcommand)]
pub(crate) enum IdentityCommand {
    /// Make an authority in the store
    ///
    /// Its key never leaves the store. It is made once: a second `init` is refused, because what the
    /// first authority issued would no longer be believed.
    #[command(after_long_help = "\
Examples:
  In the usual place:
    countersign identity init

  In a directory of its own:
    countersign --home ./identity identity init")]
    Init,

    Issue(IssueArguments),

    /// Show the authority, the certificates and whom the store trusts
    ///
    /// Whatever has expired, or will within 30 days, is marked.
    #[command(after_long_help = "\
Examples:
  For people, and for programs:
    countersign identity show
    countersign identity show --json")]
    Show,

    Trust(TrustArguments),

    Export(ExportArguments),
}

/// Issue a certificate that proves these names
///
/// A certificate for a service (postgres/db1.example.com) is good for that service only, not for others
/// on the same host. Issuing a name again replaces its certificate; running programs take the new
/// one within a second.
#[derive(Debug, Args)]
#[command(after_long_help = "\
Examples:
  A service, a host, a user, a workload:
    countersign identity issue postgres/db1.example.com
    countersign identity issue db1.example.com
    countersign identity issue alice@EXAMPLE.COM
    countersign identity issue spiffe://prod/billing

  Several names in one certificate, for a week:
    countersign identity issue www.example.com example.com --days 7")]
pub(crate) struct IssueArguments {
    /// The names that it proves
    #[arg(value_name = "NAME", required = true)]
    pub(crate) names: Vec<String>,

    /// For how many days from now
    #[arg(long, value_name = "N")]
    pub(crate) days: Option<NonZeroU32>,
}

/// Believe the authorities in a PEM file
#[derive(Debug, Args)]
#[command(after_long_help = "\
Examples:
  Another host's authority, from its `countersign identity export`:
    countersign identity trust authority.pem")]
pub(crate) struct TrustArguments {
    /// The file
    #[arg(value_name = "FILE")]
    pub(crate) file: PathBuf,
}

/// Write a certificate to stdout as PEM: the authority's, or the chain for a name
#[derive(Debug, Args)]
#[command(after_long_help = "\
Examples:
  The authority's certificate, for others to trust:
    countersign identity export > authority.pem

  Chain and key for a program that wants files:
    countersign identity export www.example.com > www.pem
    (umask 077 && countersign identity export www.example.com --include-key > www-with-key.pem)")]
pub(crate) struct ExportArguments {
    /// Whose certificate; without it, the authority's
    #[arg(value_name = "NAME")]
    pub(crate) name: Option<String>,

    /// Write the private key too; never the authority's
    #[arg(long)]
    pub(crate) include_key: bool,
}
