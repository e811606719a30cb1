//! `connect` and `forward`: we are the client.

use std::num::NonZeroU32;

use clap::Args;

use super::{IdentityFiles, PolicyOption, TicketOptions, TrustOption};

/// Connect to a peer that must prove its name, and join it to stdin and stdout
///
/// What is read from stdin goes to the peer, what the peer sends goes to stdout, and who the peer
/// proved to be is written to stderr. At the end of stdin the peer is told that no more will come; the
/// command goes on until the peer ends too. A connection that is cut off by someone else is an
/// error, never an end.
///
/// With --udp each line of stdin, its line end included, is one datagram (DTLS 1.2); a longer line than
/// one holds is several. Datagrams have no end: once stdin has ended, the command waits until nothing
/// has come for --linger-ms.
#[derive(Debug, Args)]
#[command(after_long_help = "\
Examples:
  Talk to whoever proves to be the service `echo` on localhost:
    echo hello | countersign connect echo/localhost 127.0.0.1:7000

  An ordinary TLS server of the Internet, by its host name:
    printf 'GET / HTTP/1.0\\r\\nHost: example.com\\r\\n\\r\\n' | \\
        countersign connect example.com example.com:443

  Show who we are (the store must have a certificate for it), and believe one authority only:
    countersign connect postgres/db1.example.com 10.0.0.5:5432 \\
        --as alice@EXAMPLE.COM --trust /etc/ssl/prod-root.pem

  A service of our Kerberos realm, with the ticket that kinit got; no certificates:
    countersign connect --kerberos postgres/db1.example.com db1.example.com:5433

  What the peer proved, for a script:
    countersign connect --json db1.example.com 10.0.0.5:443 < /dev/null 2> evidence.json

  One line, one datagram:
    echo requests:1 | countersign connect statsd/m.example.com 10.0.0.5:8125 --udp \\
        --as web/a.example.com")]
pub(crate) struct ConnectArguments {
    /// The name that the peer must prove: a host, class/host, user@REALM or spiffe://domain/path
    #[arg(value_name = "NAME")]
    pub(crate) name: String,

    /// Where it is: HOST:PORT
    #[arg(value_name = "ADDR")]
    pub(crate) address: String,

    /// Send datagrams, one for each line
    #[arg(long, help_heading = "Datagrams")]
    pub(crate) udp: bool,

    /// After the end of stdin, wait until nothing has come for this long
    #[arg(
        long,
        value_name = "N",
        default_value = "1000",
        requires = "udp",
        help_heading = "Datagrams"
    )]
    pub(crate) linger_ms: u32,

    #[command(flatten)]
    pub(crate) options: ClientOptions,
}

/// Let plain programs on this host reach a secured peer: they connect here, we connect there
///
/// A program that knows nothing of security connects to the listening address, which is on the
/// loopback interface unless you say otherwise. Each of its connections becomes one to a peer that
/// must prove its name. If it does not, the program's connection is closed without a byte, and the
/// reason is logged.
///
/// SIGTERM and SIGINT stop it gently: no more connections are taken, those that are there may end by themselves
/// for --drain-ms, and what is left then is broken off, which is never an end for either side. A
/// second signal breaks it off at once.
///
/// With --udp, programs send plain datagrams here, and each program (address and port) has a secured
/// socket of its own there, until it and the peer have been silent for --idle-ms. Datagrams of a
/// program whose peer is refused are lost.
#[derive(Debug, Args)]
#[command(after_long_help = "\
Examples:
  psql on this host reaches the database, which must prove its name:
    countersign forward --listen 127.0.0.1:5432 --to db1.example.com:5433 \\
        --name postgres/db1.example.com
    psql -h 127.0.0.1

  A port of the loopback interface can be written alone:
    countersign forward --listen 8080 --to www.example.com:443 --name www.example.com

  Programs on this host send metrics as they always did:
    countersign forward --udp --listen 8125 --to 10.0.0.5:8125 --name statsd/m.example.com \\
        --as web/a.example.com")]
pub(crate) struct ForwardArguments {
    /// Where plain programs connect to: PORT (of 127.0.0.1) or ADDRESS:PORT; port 0 is any
    #[arg(long, value_name = "ADDR")]
    pub(crate) listen: String,

    /// Where the secured peer is: HOST:PORT
    #[arg(long, value_name = "ADDR")]
    pub(crate) to: String,

    /// The name that the peer must prove
    #[arg(long, value_name = "NAME")]
    pub(crate) name: String,

    #[command(flatten)]
    pub(crate) datagrams: DatagramOptions,

    #[command(flatten)]
    pub(crate) options: ClientOptions,

    /// Serve at most this many connections at once; more wait, and datagrams of more are lost
    #[arg(long, value_name = "N", default_value = "1024")]
    pub(crate) max_connections: NonZeroU32,

    /// When stopped (SIGTERM, SIGINT), let connections go on for this long [default: 10000]
    #[arg(long, value_name = "N", conflicts_with = "udp")]
    pub(crate) drain_ms: Option<u32>,
}

/// What relays of datagrams share.
#[derive(Clone, Debug, Args)]
pub(crate) struct DatagramOptions {
    /// Carry datagrams (DTLS 1.2 over UDP), not connections
    #[arg(long, help_heading = "Datagrams")]
    pub(crate) udp: bool,

    /// Forget whoever has been silent for this long; break off a connection on which both sides have
    /// been [default: 60000 for datagrams, never for connections]
    #[arg(long, value_name = "N")]
    pub(crate) idle_ms: Option<NonZeroU32>,
}

/// What both share.
#[derive(Clone, Debug, Args)]
pub(crate) struct ClientOptions {
    /// Show the store's certificate for this name, if the peer asks who we are
    #[arg(
        long = "as",
        value_name = "NAME",
        conflicts_with = "certificate",
        help_heading = "Who we are"
    )]
    pub(crate) own_name: Option<String>,

    #[command(flatten)]
    pub(crate) files: IdentityFiles,

    #[command(flatten)]
    pub(crate) tickets: TicketOptions,

    #[command(flatten)]
    pub(crate) trust: TrustOption,

    #[command(flatten)]
    pub(crate) policy: PolicyOption,

    /// Give TCP, and then the handshake, this long (policy: limits)
    #[arg(long, value_name = "N")]
    pub(crate) timeout_ms: Option<NonZeroU32>,

    /// Send and take cleartext if the peer cannot do security, unless policy forbids it
    #[arg(long, help_heading = "Danger")]
    pub(crate) danger_allow_insecure: bool,

    /// Accept TLS 1.2 too, unless policy forbids it
    #[arg(long, help_heading = "Danger")]
    pub(crate) danger_allow_tls12: bool,
}
