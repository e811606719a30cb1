//! What was typed: the one definition that makes the parser, the help, the manual and the
//! completions. Nothing here knows what a name or an address is; that is `request`'s.

mod connect;
pub(crate) use connect::{ClientOptions, ConnectArguments, DatagramOptions, ForwardArguments};

mod files;
pub(crate) use files::{
    IdentityFiles, KerberosWord, KeytabOptions, PolicyOption, TicketOptions, TrustOption,
};

mod identity;
pub(crate) use identity::{IdentityArguments, IdentityCommand};

mod look;
pub(crate) use look::{
    DemoArguments, DoctorArguments, ExplainArguments, GenerateArguments, GenerateKind,
};

mod serve;
pub(crate) use serve::ServeArguments;

use std::path::PathBuf;

use clap::{Parser, Subcommand};

/// Sockets that name the peer they talk to, and prove it
///
/// An IP address says where, not who. Countersign connects to a peer by the name that it must prove
/// with a certificate or by Kerberos, and the connection is authenticated and encrypted (TLS 1.3), or refused with
/// a reason and a hint. Under any other name nothing is sent, not a byte.
///
/// A name is a host (db1.example.com), a service on a host (postgres/db1.example.com), a user
/// (alice@EXAMPLE.COM) or a workload (spiffe://prod/billing).
#[derive(Debug, Parser)]
#[command(
    name = "countersign",
    version,
    after_help = "`countersign --help` shows examples; so does `countersign COMMAND --help`.",
    after_long_help = EXAMPLES,
    max_term_width = 100,
    propagate_version = true
)]
pub(crate) struct Arguments {
    #[command(flatten)]
    pub(crate) shared: SharedOptions,
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// What every command understands.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct SharedOptions {
    /// Use the identity store in this directory
    ///
    /// Without it: $COUNTERSIGN_HOME, else countersign below $XDG_DATA_HOME or ~/.local/share.
    #[arg(long, global = true, value_name = "DIR", help_heading = "Global options")]
    pub(crate) home: Option<PathBuf>,

    /// Write JSON for programs instead of text for people
    #[arg(long, global = true, help_heading = "Global options")]
    pub(crate) json: bool,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    Demo(DemoArguments),
    Connect(ConnectArguments),
    Serve(ServeArguments),
    Forward(ForwardArguments),
    Identity(IdentityArguments),
    Explain(ExplainArguments),
    Doctor(DoctorArguments),
    #[command(hide = true)]
    Generate(GenerateArguments),
}

const EXAMPLES: &str = "\
Examples:
  See it work, and see it refuse, in a second:
    countersign demo

  Make an authority of your own and a certificate, then serve and connect:
    countersign identity init
    countersign identity issue echo/localhost
    countersign serve echo/localhost --listen 127.0.0.1:7000 --echo
    echo hello | countersign connect echo/localhost 127.0.0.1:7000

  Put a plain program behind a name, and another plain program in front of it:
    countersign serve postgres/db1.example.com --listen 0.0.0.0:5433 --to 127.0.0.1:5432
    countersign forward --listen 127.0.0.1:5432 --to db1.example.com:5433 \\
        --name postgres/db1.example.com

Exit status:
  0  done
  1  demo or doctor found something that is not as it should be
  2  the command line or the policy asks for what cannot be
  3  the peer did not prove its name, refused us, or is not there
  4  this host: a file, a key, a port, the network
  5  a bug of ours; please report it

Files:
  /etc/countersign/policy.toml, then $XDG_CONFIG_HOME/countersign/policy.toml, then the file that
  $COUNTERSIGN_POLICY or --policy names: what the administrator demands. A later file may add
  demands, and never takes one back. `countersign explain` shows the outcome.";

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::Arguments;

    #[test]
    fn the_definition_is_consistent() {
        Arguments::command().debug_assert();
    }

    #[test]
    fn every_command_teaches_by_example() {
        fn check(command: &clap::Command) {
            let help = command.get_after_long_help().map(ToString::to_string).unwrap_or_default();
            assert!(help.contains("Examples:\n"), "{} has no example", command.get_name());
            assert!(help.contains("countersign "), "{} shows no command", command.get_name());
            command.get_subcommands().filter(|it| it.get_name() != "help").for_each(check);
        }
        check(&Arguments::command());
    }

    #[test]
    fn whatever_weakens_protection_says_danger() {
        fn check(command: &clap::Command) {
            for argument in command.get_arguments() {
                let Some(long) = argument.get_long() else { continue };
                let weakens = ["insecure", "tls12"].iter().any(|word| long.contains(word));
                assert!(!weakens || long.starts_with("danger-"), "--{long}");
            }
            command.get_subcommands().for_each(check);
        }
        check(&Arguments::command());
    }
}
