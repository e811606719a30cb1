//! Medians and ratios, for people and for machines.

use crate::peers::Peer;

/// What was measured.
#[derive(Debug)]
pub(crate) struct Report {
    rounds: usize,
    only_figure: String,
    only_peer: String,
    figures: Vec<Figure>,
}

#[derive(Debug)]
struct Figure {
    title: String,
    rows: Vec<Row>,
}

#[derive(Debug)]
struct Row {
    peer: Peer,
    runs: Vec<f64>,
}

impl Row {
    fn median(&self) -> f64 {
        let mut sorted = self.runs.clone();
        sorted.sort_by(f64::total_cmp);
        sorted[sorted.len() / 2]
    }

    fn range(&self) -> (f64, f64) {
        let low = self.runs.iter().copied().fold(f64::INFINITY, f64::min);
        (low, self.runs.iter().copied().fold(0.0, f64::max))
    }
}

impl Figure {
    /// Our median against the better of the others that do the same.
    fn ratio(&self) -> f64 {
        let of = |wanted: fn(Peer) -> bool| {
            let medians = self.rows.iter().filter(|row| wanted(row.peer)).map(Row::median);
            medians.fold(0.0, f64::max)
        };
        of(|peer| peer == Peer::Countersign)
            / of(|peer| {
                matches!(peer, Peer::Rustls | Peer::Openssl | Peer::SystemCalls | Peer::Winsock)
            })
    }
}

impl Report {
    pub(crate) fn new(rounds: usize, only_figure: String, only_peer: String) -> Self {
        Self { rounds, only_figure, only_peer, figures: Vec::new() }
    }

    /// Runs every peer in turn, as often as there are rounds.
    pub(crate) fn measure(&mut self, title: &str, peers: &[Peer], run: impl Fn(Peer) -> f64) {
        if !title.contains(&self.only_figure) {
            return;
        }
        let wanted = peers.iter().filter(|peer| peer.to_string().contains(&self.only_peer));
        let mut rows: Vec<Row> = wanted.map(|peer| Row { peer: *peer, runs: Vec::new() }).collect();
        for round in 1..=self.rounds {
            for row in &mut rows {
                eprintln!("{title}: {} {round}/{}", row.peer, self.rounds);
                row.runs.push(run(row.peer));
            }
        }
        self.figures.push(Figure { title: title.to_owned(), rows });
    }

    /// Shows the figure that was measured last once more, in another unit.
    pub(crate) fn restate(&mut self, title: &str, factor: f64) {
        let Some(last) = self.figures.last().filter(|last| last.title.contains(&self.only_figure))
        else {
            return;
        };
        let restated = |row: &Row| Row {
            peer: row.peer,
            runs: row.runs.iter().map(|run| run * factor).collect(),
        };
        let rows = last.rows.iter().map(restated).collect();
        self.figures.push(Figure { title: title.to_owned(), rows });
    }

    pub(crate) fn print(&self) {
        for figure in &self.figures {
            println!("\n{}", figure.title);
            for row in &figure.rows {
                let (low, high) = row.range();
                println!("  {:<22} {:>9.0}   ({low:.0} to {high:.0})", row.peer, row.median());
            }
            let ratio = figure.ratio();
            if ratio.is_finite() && ratio > 0.0 {
                println!("  countersign / better of the others: {ratio:.2}");
            }
        }
    }

    pub(crate) fn json(&self) -> String {
        let figures: Vec<_> = self
            .figures
            .iter()
            .map(|figure| {
                let rows: Vec<_> = figure
                    .rows
                    .iter()
                    .map(|row| {
                        serde_json::json!({
                            "peer": row.peer.to_string(), "median": row.median(), "runs": row.runs,
                        })
                    })
                    .collect();
                serde_json::json!({
                    "figure": figure.title, "ratio": figure.ratio(), "rows": rows,
                })
            })
            .collect();
        let whole = serde_json::json!({ "rounds": self.rounds, "figures": figures });
        format!("{whole:#}\n")
    }
}
