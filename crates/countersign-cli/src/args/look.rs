//! Commands that look and tell: `demo`, `explain`, `doctor`, and the hidden `generate`.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::{PolicyOption, TicketOptions, TrustOption};

/// See the main job done, and every way in which it is refused
///
/// Uses a temporary authority and real sockets on the loopback interface; needs no root, network or
/// configuration, and leaves nothing behind. Exits with 1 if any outcome is not the expected one.
#[derive(Debug, Args)]
#[command(after_long_help = "\
Examples:
  For people, and for programs:
    countersign demo
    countersign demo --json | jq '.scenarios[] | {name, outcome}'

  No certificates, but tickets:
    countersign demo --kerberos")]
pub(crate) struct DemoArguments {
    /// Show Kerberos instead, with a throw-away KDC (Debian: krb5-kdc, krb5-admin-server, krb5-user)
    #[arg(long)]
    pub(crate) kerberos: bool,
}

/// Show what would be done for an address, and which file says so
///
/// Prints the plan: who must prove what, where that name comes from, what is required, which policy
/// files were read, who we would show and whom we believe. Nothing is sent: the address must be
/// numeric, since looking up a name uses the network.
#[derive(Debug, Args)]
#[command(after_long_help = "\
Examples:
  What happens when a program connects there:
    countersign explain 10.0.0.5:5432

  The same, if the program names its peer:
    countersign explain 10.0.0.5:5432 --name postgres/db1.example.com

  Who may connect here, and what they will see:
    countersign explain 0.0.0.0:5433 --listen --as postgres/db1.example.com

  The same for datagrams:
    countersign explain 0.0.0.0:8125 --listen --udp --as statsd/m.example.com

  Which local account acts for a client, by which rule, and where it may connect:
    countersign explain --peer alice@EXAMPLE.COM")]
pub(crate) struct ExplainArguments {
    /// The address: IP:PORT
    #[arg(value_name = "ADDR", required_unless_present = "peer")]
    pub(crate) address: Option<String>,

    /// Say instead which local account acts for this peer, and where it may connect
    #[arg(
        long,
        value_name = "NAME",
        conflicts_with_all = ["address", "listen", "udp", "name", "own_name", "danger_allow_insecure"]
    )]
    pub(crate) peer: Option<String>,

    /// We listen there, instead of connecting
    #[arg(long)]
    pub(crate) listen: bool,

    /// With datagrams
    #[arg(long)]
    pub(crate) udp: bool,

    /// The name that the program sets for its peer
    #[arg(long, value_name = "NAME")]
    pub(crate) name: Option<String>,

    /// We show the store's certificate for this name, as `serve NAME` and `connect --as NAME` do
    #[arg(long = "as", value_name = "NAME", help_heading = "Who we are")]
    pub(crate) own_name: Option<String>,

    #[command(flatten)]
    pub(crate) tickets: TicketOptions,

    #[command(flatten)]
    pub(crate) policy: PolicyOption,

    #[command(flatten)]
    pub(crate) trust: TrustOption,

    /// The program permits cleartext
    #[arg(long, help_heading = "Danger")]
    pub(crate) danger_allow_insecure: bool,
}

/// Check this host: policy, store, certificates, clock, Kerberos, and a handshake with itself
///
/// Each check is ok, a warning or a failure, and the last two say what to do. Exits with 1 if any
/// check fails.
#[derive(Debug, Args)]
#[command(after_long_help = "\
Examples:
  For people, and for programs:
    countersign doctor
    countersign doctor --json | jq '.checks[] | select(.outcome != \"ok\")'

  Why does Kerberos not work: our ticket, the keytab, the KDC and the clock:
    countersign doctor --kerberos --keytab /etc/postgres.keytab")]
pub(crate) struct DoctorArguments {
    #[command(flatten)]
    pub(crate) tickets: TicketOptions,

    /// Look at the keys in this keytab too, and whether a ticket fits them
    #[arg(long, value_name = "FILE", help_heading = "Kerberos")]
    pub(crate) keytab: Option<PathBuf>,

    #[command(flatten)]
    pub(crate) policy: PolicyOption,
}

/// Make the manual or the shell completions from the definition of the command line
#[derive(Debug, Args)]
#[command(after_long_help = "\
Examples:
  For packagers:
    countersign generate man ./man1
    countersign generate completions ./completions")]
pub(crate) struct GenerateArguments {
    #[command(subcommand)]
    pub(crate) kind: GenerateKind,
}

#[derive(Debug, Subcommand)]
pub(crate) enum GenerateKind {
    /// Manual pages, one for each command
    #[command(after_long_help = "\
Examples:
  countersign generate man ./man1")]
    Man {
        /// Where to write them
        #[arg(value_name = "DIR")]
        directory: PathBuf,
    },
    /// Completions for bash, fish and zsh
    #[command(after_long_help = "\
Examples:
  countersign generate completions ./completions")]
    Completions {
        /// Where to write them
        #[arg(value_name = "DIR")]
        directory: PathBuf,
    },
}
