//! What was asked for on the command line.

use std::time::Duration;

pub(crate) const USAGE: &str = "\
usage: bench [--seconds S] [--rounds N] [--figure TEXT] [--peer TEXT] [--json FILE]
             [--write-docs | --render]

  --seconds S    about how long one run takes (0.6)
  --rounds N     how often each peer has its turn (5)
  --figure TEXT  only figures whose title or id holds it
  --peer TEXT    only peers whose name holds it
  --json FILE    write the results there
  --write-docs   write docs/benchmarks.* and the README's part about speed, of all figures
  --render       the same from the results that are kept, without measuring";

/// What was asked for.
#[derive(Debug, Default)]
pub(crate) struct Options {
    pub(crate) duration: Duration,
    pub(crate) rounds: usize,
    pub(crate) json: Option<String>,
    pub(crate) figure: String,
    pub(crate) peer: String,
    pub(crate) docs: Docs,
}

/// What becomes of the documents.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Docs {
    #[default]
    Leave,
    Render,
    Write,
}

impl Options {
    pub(crate) fn parse(mut words: impl Iterator<Item = String>) -> Result<Self, String> {
        let mut options =
            Self { duration: Duration::from_millis(600), rounds: 5, ..Self::default() };
        while let Some(word) = words.next() {
            let mut value = || words.next().ok_or_else(|| format!("{word} needs a value"));
            match word.as_str() {
                "--figure" => options.figure = value()?,
                "--json" => options.json = Some(value()?),
                "--peer" => options.peer = value()?,
                "--render" => options.docs = Docs::Render,
                "--rounds" => {
                    let text = value()?;
                    let rounds = text.parse().ok().filter(|rounds| *rounds > 0);
                    options.rounds =
                        rounds.ok_or_else(|| format!("{text:?} is not a number of rounds"))?;
                }
                "--seconds" => {
                    let text = value()?;
                    let seconds: f64 =
                        text.parse().map_err(|_| format!("{text:?} is not a number"))?;
                    let duration = Duration::try_from_secs_f64(seconds).ok();
                    options.duration = duration
                        .filter(|duration| !duration.is_zero())
                        .ok_or_else(|| format!("{text:?} is not a time"))?;
                }
                "--write-docs" => options.docs = Docs::Write,
                other => return Err(format!("{other:?} is not an option")),
            }
        }
        if options.docs == Docs::Write && !(options.figure.is_empty() && options.peer.is_empty()) {
            return Err("--write-docs writes all figures of all peers, not some".to_owned());
        }
        Ok(options)
    }
}

#[cfg(test)]
mod tests {
    use super::{Docs, Options};

    fn parse(words: &str) -> Result<Options, String> {
        Options::parse(words.split_whitespace().map(str::to_owned))
    }

    #[test]
    fn numbers_are_checked() {
        assert_eq!(parse("--rounds 3").unwrap().rounds, 3);
        for wrong in ["--rounds 0", "--rounds x", "--seconds 0", "--seconds -1", "--seconds"] {
            assert!(parse(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn documents_are_of_everything() {
        assert_eq!(parse("--write-docs").unwrap().docs, Docs::Write);
        assert!(parse("--write-docs --figure bulk").is_err());
        assert!(parse("--everything").is_err());
    }
}
