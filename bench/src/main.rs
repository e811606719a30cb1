//! How fast Countersign is, beside those who do the same, in one run.
//!
//! ```text
//!  FIGURES ── measure, round by round ──▶ Results ──┬─▶ terminal, --json
//!  bulk, round_trips, tunnels, …                    └─▶ --write-docs: docs/benchmarks.*, README
//! ```
//!
//! Each figure is a module with a list `FIGURES`: who takes part, what one run yields, how to run
//! it once. A peer that cannot run is named, with the reason, wherever it would have stood. Compare
//! the figures of one run only: other work on the machine moves the absolute ones.

mod asynchronous;
mod blocking;
mod bulk;
mod chart;
mod child;
mod cpu;
mod datagrams;
mod docs;
mod figure;
mod handshakes;
mod host;
mod kerberos;
mod limits;
mod material;
mod measure;
mod memory;
mod options;
mod peers;
mod query;
mod realm;
mod results;
mod rights;
mod round_trips;
mod scaling;
mod targets;
mod tickets;
mod tunnels;
mod winsock;

use std::io;
use std::process::ExitCode;

use figure::Figure;
use options::{Docs, Options, USAGE};

/// In the order in which a reader wants them.
const FIGURES: &[&[Figure]] = &[
    bulk::FIGURES,
    round_trips::FIGURES,
    handshakes::FIGURES,
    memory::FIGURES,
    tunnels::FIGURES,
    datagrams::FIGURES,
    query::FIGURES,
    tickets::FIGURES,
    kerberos::FIGURES,
    rights::FIGURES,
    winsock::FIGURES,
    scaling::FIGURES,
    targets::FIGURES,
];

fn main() -> ExitCode {
    let mut words = std::env::args().skip(1).peekable();
    let outcome = if words.next_if_eq("--child").is_some() {
        child::main(&words.collect::<Vec<_>>())
    } else {
        match Options::parse(words) {
            Ok(options) => run(&options),
            Err(what) => {
                eprintln!("bench: {what}\n{USAGE}");
                return ExitCode::from(2);
            }
        }
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("bench: {error}");
            ExitCode::from(4)
        }
    }
}

fn run(options: &Options) -> io::Result<()> {
    let root = host::root();
    if options.docs == Docs::Render {
        return docs::write(&root, &docs::read(&root)?);
    }
    let results = measure::all(FIGURES.iter().copied().flatten(), options)?;
    print!("{}", docs::terminal(&results));
    if let Some(path) = &options.json {
        std::fs::write(path, docs::json(&results))?;
    }
    if options.docs == Docs::Write {
        docs::write(&root, &results)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::FIGURES;
    use crate::figure::Case;
    use crate::peers::Peer;
    use crate::{docs, host};

    #[test]
    fn every_peer_is_found_by_its_name() {
        for case in FIGURES.iter().copied().flatten().flat_map(|figure| figure.cases) {
            assert_eq!(Peer::find(&case.peer.to_string()).unwrap(), case.peer);
        }
    }

    #[test]
    fn every_figure_in_the_documents_is_one_that_is_measured() {
        let results = docs::read(&host::root()).unwrap();
        for kept in &results.figures {
            let mut figures = FIGURES.iter().copied().flatten();
            let figure = figures.find(|figure| figure.id == kept.id);
            let figure = figure.unwrap_or_else(|| panic!("nobody measures {}", kept.id));
            assert_eq!((figure.title, figure.note), (kept.title.as_str(), kept.note.as_str()));
            let columns = |title: &str| figure.columns.iter().any(|column| column.title == title);
            assert!(kept.columns.iter().all(|column| columns(&column.title)), "{}", kept.id);
            let cases: BTreeSet<String> = figure.cases.iter().map(Case::to_string).collect();
            assert!(kept.rows.iter().all(|row| cases.contains(&row.name)), "{}", kept.id);
        }
    }

    #[test]
    fn ids_are_names_of_files_and_of_one_figure_each() {
        let mut ids = BTreeSet::new();
        for figure in FIGURES.iter().copied().flatten() {
            let id = figure.id;
            assert!(id.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-'), "{id}");
            assert!(ids.insert(id), "{id} is there twice");
            assert!(!figure.columns.is_empty() && !figure.cases.is_empty(), "{id}");
        }
    }
}
