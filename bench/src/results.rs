//! What was measured, as it is kept: medians, ranges and ratios, with the circumstances.

use serde::{Deserialize, Serialize};

use crate::figure::{Against, Better, Case, Column, Figure};
use crate::peers::Role;

/// The numbers of each run of a case, or why there are none.
pub(crate) type Runs = Result<Vec<Vec<f64>>, String>;

/// All figures of one run.
#[derive(Debug, Deserialize, Serialize)]
pub(crate) struct Results {
    /// In UTC, as RFC 3339 writes it.
    pub(crate) date: String,
    pub(crate) commit: String,
    /// What it ran on: a word and what it stands for.
    pub(crate) machine: Vec<(String, String)>,
    /// What ran, and in which version.
    pub(crate) versions: Vec<(String, String)>,
    pub(crate) rounds: usize,
    pub(crate) seconds: f64,
    pub(crate) figures: Vec<Measured>,
}

#[derive(Debug, Deserialize, Serialize)]
pub(crate) struct Measured {
    pub(crate) id: String,
    pub(crate) title: String,
    pub(crate) note: String,
    pub(crate) columns: Vec<Heading>,
    /// Which of the columns stand for it in a summary.
    pub(crate) summary: Vec<usize>,
    pub(crate) rows: Vec<Row>,
}

#[derive(Debug, Deserialize, Serialize)]
pub(crate) struct Heading {
    pub(crate) title: String,
    pub(crate) unit: String,
    pub(crate) lower_is_better: bool,
    /// What the smaller number beside a number is: `part` of that in clear, or `added` to it.
    pub(crate) against: Option<String>,
}

#[derive(Debug, Deserialize, Serialize)]
pub(crate) struct Row {
    pub(crate) name: String,
    /// Without the number of connections or names.
    pub(crate) peer: String,
    pub(crate) count: Option<usize>,
    pub(crate) role: Position,
    pub(crate) is_asynchronous: bool,
    /// For each column; empty if it did not run.
    pub(crate) values: Vec<Value>,
    pub(crate) not_run: Option<String>,
}

#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Position {
    Clear,
    Other,
    Ours,
}

/// One number, over all rounds.
#[derive(Debug, Deserialize, Serialize)]
pub(crate) struct Value {
    /// Absent where the column says nothing of this row.
    pub(crate) median: Option<f64>,
    pub(crate) low: Option<f64>,
    pub(crate) high: Option<f64>,
    /// Part of that in clear, or what was added to it.
    pub(crate) against: Option<f64>,
}

/// Ours beside the best of the others, in one column of a figure.
#[derive(Debug)]
pub(crate) struct Comparison<'a> {
    pub(crate) heading: &'a Heading,
    column: usize,
    pub(crate) ours: &'a Row,
    pub(crate) best: Option<&'a Row>,
    pub(crate) clear: Option<&'a Row>,
}

impl Measured {
    /// Takes the runs of each case, or why there are none.
    pub(crate) fn new(figure: &Figure, runs: Vec<(Case, Runs)>) -> Self {
        let mut rows: Vec<Row> =
            runs.into_iter().map(|(case, runs)| Row::new(figure, case, runs)).collect();
        let clear: Vec<Option<Vec<Option<f64>>>> = rows
            .iter()
            .map(|row| {
                let clear = in_clear(&rows, row)?;
                Some(clear.values.iter().map(|value| value.median).collect())
            })
            .collect();
        for (row, clear) in rows.iter_mut().zip(clear) {
            let Some(clear) = clear else { continue };
            for ((value, clear), column) in row.values.iter_mut().zip(clear).zip(figure.columns) {
                value.against = value.median.zip(clear).and_then(|(median, clear)| {
                    let against = match column.against {
                        Against::Added => median - clear,
                        Against::Nothing => return None,
                        Against::Part => median / clear,
                    };
                    Some(rounded(against))
                });
            }
        }
        Self {
            id: figure.id.to_owned(),
            title: figure.title.to_owned(),
            note: figure.note.to_owned(),
            columns: figure.columns.iter().map(Heading::new).collect(),
            summary: figure.summary.to_vec(),
            rows,
        }
    }

    /// Ours beside the best of those who do the same, for each row of ours and each column that
    /// stands for the figure.
    pub(crate) fn comparisons(&self) -> Vec<Comparison<'_>> {
        let columns = self
            .summary
            .iter()
            .filter_map(|column| self.columns.get(*column).map(|heading| (*column, heading)));
        columns.flat_map(|(column, heading)| self.compared(column, heading)).collect()
    }

    fn compared<'a>(
        &'a self,
        column: usize,
        heading: &'a Heading,
    ) -> impl Iterator<Item = Comparison<'a>> {
        let ours = self.rows.iter().filter(|row| row.role == Position::Ours);
        ours.filter(move |row| row.median(column).is_some()).map(move |ours| {
            let others = self.rows.iter().filter(|row| {
                row.role == Position::Other && row.is_like(ours) && row.median(column).is_some()
            });
            let number = |row: &Row| row.median(column).unwrap_or_default();
            let better = |one: &&Row, other: &&Row| {
                let order = number(one).total_cmp(&number(other));
                if heading.lower_is_better { order.reverse() } else { order }
            };
            let (best, clear) = (others.max_by(better), in_clear(&self.rows, ours));
            Comparison { heading, column, ours, best, clear }
        })
    }
}

impl Comparison<'_> {
    /// How ours relates to the best of the others, above one where ours is the larger number.
    pub(crate) fn ratio(&self) -> Option<f64> {
        Some(self.median(self.ours)? / self.median(self.best?)?)
    }

    /// Whether nobody is better.
    pub(crate) fn is_best(&self) -> bool {
        let at_least =
            |ratio| if self.heading.lower_is_better { ratio <= 1.0 } else { ratio >= 1.0 };
        self.ratio().is_some_and(at_least)
    }

    /// The number of a row in the column that is compared.
    pub(crate) fn median(&self, row: &Row) -> Option<f64> {
        row.median(self.column)
    }
}

impl Heading {
    fn new(column: &Column) -> Self {
        let against = match column.against {
            Against::Added => Some("added"),
            Against::Nothing => None,
            Against::Part => Some("part"),
        };
        Self {
            title: column.title.to_owned(),
            unit: column.unit.to_owned(),
            lower_is_better: column.better == Better::Lower,
            against: against.map(str::to_owned),
        }
    }
}

impl Row {
    fn new(figure: &Figure, case: Case, runs: Runs) -> Self {
        let (values, not_run) = match runs {
            Ok(runs) => {
                let of = |column| runs.iter().filter_map(|run| run.get(column).copied()).collect();
                ((0..figure.columns.len()).map(|column| Value::of(of(column))).collect(), None)
            }
            Err(reason) => (Vec::new(), Some(reason)),
        };
        Self {
            name: case.to_string(),
            peer: case.peer.to_string(),
            count: case.count.map(|count| count.number),
            role: match case.peer.role() {
                Role::Clear => Position::Clear,
                Role::Other => Position::Other,
                Role::Ours => Position::Ours,
            },
            is_asynchronous: case.peer.is_asynchronous(),
            values,
            not_run,
        }
    }

    /// The number in a column.
    pub(crate) fn median(&self, column: usize) -> Option<f64> {
        self.values.get(column)?.median
    }

    fn is_like(&self, other: &Self) -> bool {
        self.is_asynchronous == other.is_asynchronous && self.count == other.count
    }
}

/// The row that does in clear what this one does; none for that row itself.
fn in_clear<'a>(rows: &'a [Row], row: &Row) -> Option<&'a Row> {
    if row.role == Position::Clear {
        return None;
    }
    rows.iter().find(|other| {
        other.role == Position::Clear && other.is_like(row) && other.not_run.is_none()
    })
}

impl Value {
    fn of(mut runs: Vec<f64>) -> Self {
        runs.retain(|run| run.is_finite());
        runs.sort_by(f64::total_cmp);
        let at = |index: usize| runs.get(index).copied();
        let last = runs.len().wrapping_sub(1);
        // Of an even number there are two in the middle.
        let median = at(last / 2).zip(at(runs.len() / 2)).map(|(one, two)| f64::midpoint(one, two));
        let [median, low, high] = [median, at(0), at(last)].map(|number| number.map(rounded));
        Self { median, low, high, against: None }
    }
}

/// Four digits: more would be noise, and would make each new run a change of every line.
fn rounded(number: f64) -> f64 {
    format!("{number:.3e}").parse().unwrap_or(number)
}

/// A number as people read it.
pub(crate) fn shown(number: f64) -> String {
    let size = number.abs();
    if size >= 1000.0 {
        return crate::figure::grouped(number.round().abs() as usize);
    }
    let digits = if size >= 100.0 {
        0
    } else if size >= 10.0 {
        1
    } else if size >= 1.0 {
        2
    } else {
        3
    };
    format!("{number:.digits$}")
}

#[cfg(test)]
mod tests {
    use std::io;

    use super::{Measured, Value, shown};
    use crate::figure::{Against, Case, Column, Figure};
    use crate::peers::Peer;

    const FIGURE: Figure = Figure {
        id: "a",
        title: "a",
        note: "",
        columns: &[Column::lower("time", "us", Against::Added)],
        summary: &[0],
        cases: &[],
        run: |_, _| Err(io::ErrorKind::Unsupported.into()),
    };

    fn measured() -> Measured {
        let runs = |values: &[f64]| Ok(values.iter().map(|value| vec![*value]).collect());
        Measured::new(
            &FIGURE,
            vec![
                (Case::of(Peer::Tcp), runs(&[4.0, 5.0, 3.0])),
                (Case::of(Peer::Countersign), runs(&[6.0])),
                (Case::of(Peer::Rustls), runs(&[8.0])),
                (Case::of(Peer::Openssl), runs(&[7.0])),
                (Case::of(Peer::TokioRustls), runs(&[1.0])),
                (Case::of(Peer::Stunnel), Err("not there".to_owned())),
            ],
        )
    }

    #[test]
    fn the_median_is_that_of_the_runs_and_clear_is_the_measure() {
        let measured = measured();
        assert_eq!(measured.rows[0].median(0), Some(4.0));
        assert_eq!(measured.rows[1].values[0].against, Some(2.0));
        // Nothing asynchronous ran in clear.
        assert_eq!(measured.rows[4].values[0].against, None);
    }

    #[test]
    fn two_in_the_middle_have_a_middle_and_none_has_none() {
        let median = |runs: &[f64]| Value::of(runs.to_vec()).median;
        assert_eq!(median(&[4.0, 1.0, 2.0, 3.0]), Some(2.5));
        assert_eq!(median(&[f64::NAN]), None);
    }

    #[test]
    fn ours_is_compared_with_the_best_of_its_like() {
        let measured = measured();
        let comparisons = measured.comparisons();
        assert_eq!(comparisons.len(), 1);
        assert_eq!(comparisons[0].best.unwrap().peer, "OpenSSL");
        assert_eq!(comparisons[0].ratio(), Some(6.0 / 7.0));
        assert!(comparisons[0].is_best());
    }

    #[test]
    fn who_did_not_run_is_there_with_the_reason() {
        let measured = measured();
        assert_eq!(measured.rows[5].not_run.as_deref(), Some("not there"));
    }

    #[test]
    fn three_digits_are_shown() {
        let shown: Vec<_> = [0.1234, 1.234, 12.34, 123.4, 12345.6].map(shown).into();
        assert_eq!(shown, ["0.123", "1.23", "12.3", "123", "12,346"]);
    }
}
