//! How the command ends: one number for each party that must act.

use std::process::ExitCode;

use countersign::Fault;

use crate::failure::Failure;

/// What a command that did its work found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// Everything is as it should be.
    AsExpected,
    /// `demo` or `doctor` found something that is not.
    Different,
}

/// Returns the exit status of a command line that nobody understands.
pub(crate) fn usage() -> ExitCode {
    ExitCode::from(USAGE)
}

/// Returns the exit status; `countersign --help` lists them.
pub(crate) fn number(ending: &Result<Verdict, Failure>) -> u8 {
    match ending {
        Ok(Verdict::AsExpected) => 0,
        Ok(Verdict::Different) => 1,
        Err(failure) => match failure.fault() {
            Fault::Caller => USAGE,
            Fault::Peer => 3,
            Fault::Host => 4,
            Fault::Bug => 5,
        },
    }
}

/// What shells and clap use too.
const USAGE: u8 = 2;

#[cfg(test)]
mod tests {
    use clap::CommandFactory;
    use countersign::Error;
    use countersign::core::HandshakeError;

    use super::{Verdict, number};
    use crate::args::Arguments;
    use crate::failure::Failure;

    #[test]
    fn the_fault_decides() {
        let peer = "127.0.0.1:1".parse().unwrap();
        let peer = Error::Handshake { peer, source: HandshakeError::NoCertificate };
        assert_eq!(number(&Ok(Verdict::AsExpected)), 0);
        assert_eq!(number(&Ok(Verdict::Different)), 1);
        assert_eq!(number(&Err(Failure::usage("a", "b"))), 2);
        assert_eq!(number(&Err(peer.into())), 3);
        assert_eq!(number(&Err(Error::NoCertificate.into())), 4);
    }

    #[test]
    fn help_lists_every_status() {
        let help = Arguments::command().get_after_long_help().unwrap().to_string();
        for status in 0..=5 {
            assert!(help.contains(&format!("\n  {status}  ")), "{status}");
        }
    }
}
