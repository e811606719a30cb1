//! `serve`: we are the server.

use std::ffi::OsString;
use std::num::NonZeroU32;

use clap::{ArgGroup, Args};

use super::{DatagramOptions, IdentityFiles, KeytabOptions, PolicyOption, TrustOption};

/// Listen under a name, and hand authenticated clients to a program, a plain service, or an echo
///
/// The certificate for NAME comes from the identity store, or from --certificate and --key, which must
/// then prove NAME. With --keytab, clients that use Kerberos know NAME by its key instead, and are
/// known by their tickets. Others are asked for a certificate; those without one are served unless
/// --require-client-certificate, --allow or the policy says otherwise. Every client, served or
/// refused, is a line in the log on stderr.
///
/// A program started by --exec finds its peer on stdin and stdout, and in its environment
/// COUNTERSIGN_PEER (the proved name, absent for a client that proved none), COUNTERSIGN_PROOF (how
/// it was proved) and COUNTERSIGN_PEER_ADDRESS.
///
/// With --impersonate the program of each client runs as the local account that the rules of the
/// policy (account) choose for the client: with its user, groups and home, and nothing of this
/// server's environment but the path and the language. It has a session of its own and no open
/// files but the standard ones. Clients for whom nobody acts get none. This needs CAP_SETUID and
/// CAP_SETGID.
///
/// SIGTERM and SIGINT stop --to and --echo gently: no more clients are taken, those that are there may end
/// by themselves for --drain-ms, and what is left then is broken off, which is never an end for
/// either side. A second signal breaks it off at once.
///
/// With --udp clients send datagrams (DTLS 1.2), and each has a plain UDP socket of its own to the
/// service of --to, until both have been silent for --idle-ms. Those without a certificate are
/// refused unless the policy says otherwise.
#[derive(Debug, Args)]
#[command(
    group = ArgGroup::new("service").required(true).args(["echo", "to", "exec"]),
    after_long_help = "\
Examples:
  Send everything back, to try it out:
    countersign serve echo/localhost --listen 127.0.0.1:7000 --echo

  Protect a plain service on this host, for two kinds of clients only:
    countersign serve postgres/db1.example.com --listen 0.0.0.0:5433 --to 127.0.0.1:5432 \\
        --allow 'alice@EXAMPLE.COM' --allow 'spiffe://prod/*'

  One process for each client, which learns who it is:
    countersign serve hello/localhost --listen 7001 --exec sh -c 'echo hello $COUNTERSIGN_PEER'

  The same, each process as the client's own account ([[account]] in the policy says which):
    countersign serve files/localhost --listen 7001 --policy /etc/countersign/files.toml \\
        --impersonate --exec sh

  A certificate of any authority:
    countersign serve www.example.com --listen 0.0.0.0:443 --to 127.0.0.1:8080 \\
        --certificate /etc/ssl/www.pem --key /etc/ssl/private/www.key

  The keytab of a Kerberos realm, and no certificate at all; for users of the realm:
    countersign serve postgres/db1.example.com --listen 0.0.0.0:5433 --to 127.0.0.1:5432 \\
        --keytab /etc/postgres.keytab --allow '*@EXAMPLE.COM'

  Protect a plain UDP service on this host:
    countersign serve statsd/m.example.com --udp --listen 0.0.0.0:8125 --to 127.0.0.1:8126"
)]
pub(crate) struct ServeArguments {
    /// The name that we prove: a host, class/host or spiffe://domain/path
    #[arg(value_name = "NAME")]
    pub(crate) name: String,

    /// Where to listen: PORT (of 127.0.0.1) or ADDRESS:PORT; port 0 is any
    #[arg(long, value_name = "ADDR")]
    pub(crate) listen: String,

    /// Send back what clients send
    #[arg(long, help_heading = "What clients reach")]
    pub(crate) echo: bool,

    /// Relay clients to this plain TCP (or UDP) service: HOST:PORT
    #[arg(long, value_name = "ADDR", help_heading = "What clients reach")]
    pub(crate) to: Option<String>,

    /// Start this program for each client; must be the last option
    #[arg(
        long,
        value_names = ["CMD", "ARGS"],
        num_args = 1..,
        allow_hyphen_values = true,
        help_heading = "What clients reach"
    )]
    pub(crate) exec: Vec<OsString>,

    /// Run it as the client's local account
    #[arg(long, help_heading = "What clients reach")]
    pub(crate) impersonate: bool,

    /// Serve only clients that prove a name of this pattern (repeatable): *, class/*.domain,
    /// */host, *@REALM, spiffe://domain/path/*, or a name
    #[arg(long, value_name = "PATTERN", help_heading = "Whom we believe")]
    pub(crate) allow: Vec<String>,

    /// Refuse clients that show no certificate
    #[arg(long, help_heading = "Whom we believe")]
    pub(crate) require_client_certificate: bool,

    #[command(flatten)]
    pub(crate) files: IdentityFiles,

    #[command(flatten)]
    pub(crate) keytab: KeytabOptions,

    #[command(flatten)]
    pub(crate) trust: TrustOption,

    #[command(flatten)]
    pub(crate) policy: PolicyOption,

    #[command(flatten)]
    pub(crate) datagrams: DatagramOptions,

    /// Serve one client, then exit
    #[arg(long)]
    pub(crate) once: bool,

    /// Serve at most this many clients at once; more wait, and datagrams of more are lost
    #[arg(long, value_name = "N", default_value = "1024")]
    pub(crate) max_connections: NonZeroU32,

    /// When stopped (SIGTERM, SIGINT), let clients go on for this long [default: 10000]
    #[arg(long, value_name = "N", conflicts_with = "udp")]
    pub(crate) drain_ms: Option<u32>,
}
