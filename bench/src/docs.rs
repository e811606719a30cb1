//! What a reader sees: the table of a terminal, docs/benchmarks.md with its charts, and the part of
//! the README that speaks of speed. All of it comes from the results, so no figure stands anywhere
//! that was not measured; a test compares.

use std::fmt::Write as _;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use crate::chart;
use crate::results::{Comparison, Heading, Measured, Position, Results, Row, Value, shown};

/// Where the results are kept, below the root of the workspace.
pub(crate) const RESULTS: &str = "docs/benchmarks.json";
const PAGE: &str = "docs/benchmarks.md";
const CHARTS: &str = "docs/benchmarks";
const README: &str = "README.md";

/// The part of the README that is written here stands between these lines.
const BEGIN: &str =
    "<!-- bench: `cargo xtask bench --write-docs` writes what follows; a test compares it -->";
const END: &str = "<!-- /bench -->";

/// The charts that the README shows.
const SHOWN: &[&str] = &["bulk-16-kib", "round-trip", "tunnel-bulk"];

/// Returns the results as they are kept.
pub(crate) fn json(results: &Results) -> String {
    serde_json::to_string_pretty(results).expect("results are plain data") + "\n"
}

/// Reads the results that are kept below `root`.
pub(crate) fn read(root: &Path) -> io::Result<Results> {
    let path = root.join(RESULTS);
    let at = |error: String| io::Error::other(format!("{}: {error}", path.display()));
    let text = fs::read_to_string(&path).map_err(|error| at(error.to_string()))?;
    serde_json::from_str(&text).map_err(|error| at(error.to_string()))
}

/// Writes everything that a reader sees below `root`.
pub(crate) fn write(root: &Path, results: &Results) -> io::Result<()> {
    let charts = root.join(CHARTS);
    // A chart of a figure that is no more would stay.
    match fs::remove_dir_all(&charts) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    fs::create_dir_all(&charts)?;
    fs::write(root.join(RESULTS), json(results))?;
    for (path, text) in pages(results) {
        fs::write(root.join(path), text)?;
    }
    let readme = root.join(README);
    let text = fs::read_to_string(&readme)?;
    fs::write(&readme, with_summary(&text, results)?)
}

/// Every page and chart, by its path below the root.
fn pages(results: &Results) -> Vec<(PathBuf, String)> {
    let mut pages = vec![(PathBuf::from(PAGE), page(results))];
    for figure in &results.figures {
        let path = Path::new(CHARTS).join(format!("{}.svg", figure.id));
        pages.push((path, chart::svg(figure)));
    }
    pages
}

/// Returns the README with its part about speed replaced.
fn with_summary(readme: &str, results: &Results) -> io::Result<String> {
    let missing = || io::Error::other(format!("{README} has no lines `{BEGIN}` and `{END}`"));
    let (before, rest) = readme.split_once(BEGIN).ok_or_else(missing)?;
    let (_, after) = rest.split_once(END).ok_or_else(missing)?;
    Ok(format!("{before}{BEGIN}\n{}{END}{after}", summary(results)))
}

/// The table of a terminal.
pub(crate) fn terminal(results: &Results) -> String {
    let mut text = String::new();
    for figure in &results.figures {
        let _ = write!(text, "\n{}\n  {:<32}", figure.title, "");
        for column in &figure.columns {
            let _ = write!(text, " {:>34}", format!("{}, {}", column.title, column.unit));
        }
        text.push('\n');
        for row in &figure.rows {
            let _ = write!(text, "  {:<32}", row.name);
            if let Some(reason) = &row.not_run {
                let _ = write!(text, " NOT RUN: {reason}");
            }
            for (value, column) in row.values.iter().zip(&figure.columns) {
                let against = against(value, column).map(|it| format!(" {it}")).unwrap_or_default();
                let _ = write!(text, " {:>34}", format!("{}{against}", ranged(value)));
            }
            text.push('\n');
        }
        for comparison in figure.comparisons() {
            if let (Some(ratio), Some(best)) = (comparison.ratio(), comparison.best) {
                let (ours, what) = (&comparison.ours.name, &comparison.heading.title);
                let _ = writeln!(text, "  {what}: {ours} / {}: {ratio:.2}", best.name);
            }
        }
    }
    text
}

fn page(results: &Results) -> String {
    let mut text = format!(
        "# Benchmarks\n\n\
         Written by `cargo xtask bench --write-docs`; the numbers are those of \
         [benchmarks.json](benchmarks.json).\n\n\
         Peers take turns in one run, {} rounds of about {} s each; what is shown is the median of the rounds and, in \
         brackets, their range. All have the same certificates (ECDSA P-256 under one authority), cipher \
         (AES-256-GCM) and, where their library has it, group (X25519MLKEM768). Other work on a machine moves absolute \
         figures; compare within one table.\n\n\
         Measured {} at commit {}.\n\n| | |\n| --- | --- |\n",
        results.rounds,
        results.seconds,
        results.date.replace('T', " "),
        results.commit,
    );
    for (word, fact) in results.machine.iter().chain(&results.versions) {
        let _ = writeln!(text, "| {word} | {fact} |");
    }
    for figure in &results.figures {
        let _ = write!(
            text,
            "\n## {}\n\n{}\n\n![{}](benchmarks/{}.svg)\n\n",
            capital(&figure.title),
            figure.note,
            figure.title,
            figure.id
        );
        text += &table(figure);
    }
    text
}

fn table(figure: &Measured) -> String {
    let (mut head, mut line) = ("| |".to_owned(), "| --- |".to_owned());
    for column in &figure.columns {
        let _ = write!(head, " {}, {} |", column.title, column.unit);
        line += " ---: |";
        if column.against.is_some() {
            let _ = write!(head, " {} |", heading(column));
            line += " ---: |";
        }
    }
    let mut text = format!("{head}\n{line}\n");
    for row in &figure.rows {
        let ours = if row.role == Position::Ours { "**" } else { "" };
        let _ = write!(text, "| {ours}{}{ours} |", row.name);
        if let Some(reason) = &row.not_run {
            let reason = reason.replace('\n', " ").replace('|', "/");
            let _ = write!(text, " not run: {reason} |");
        }
        for (value, column) in row.values.iter().zip(&figure.columns) {
            let _ = write!(text, " {} |", ranged(value));
            if column.against.is_some() {
                let _ = write!(text, " {} |", against(value, column).unwrap_or_default());
            }
        }
        text.push('\n');
    }
    text
}

fn heading(column: &Heading) -> &'static str {
    match column.against.as_deref() {
        Some("added") => "added to clear",
        _ => "of clear",
    }
}

/// What the README says of speed.
fn summary(results: &Results) -> String {
    let fact = |word: &str| {
        let found = results.machine.iter().find(|(it, _)| it == word);
        found.map_or("?", |(_, fact)| fact.as_str())
    };
    let mut text = format!(
        "Medians of {} rounds in one run, {}, commit {}: {}, {} cores, {}. Bold: nobody was better. \
         [docs/benchmarks.md](docs/benchmarks.md) has every number and how it was measured.\n\n\
         | figure | | ours | best of the others | ours / best | in clear |\n\
         | --- | --- | ---: | ---: | ---: | ---: |\n",
        results.rounds,
        results.date.split('T').next().unwrap_or_default(),
        results.commit,
        fact("processor"),
        fact("cores"),
        fact("system"),
    );
    for figure in &results.figures {
        // Of a figure about a number of things, what the largest of them costs.
        let most = figure.rows.iter().filter_map(|row| row.count).max();
        let comparisons = figure.comparisons().into_iter();
        for comparison in comparisons.filter(|comparison| comparison.ours.count == most) {
            text += &summary_line(figure, &comparison);
        }
    }
    for id in SHOWN {
        if let Some(figure) = results.figures.iter().find(|figure| figure.id == *id) {
            let _ = write!(text, "\n![{}]({CHARTS}/{id}.svg)\n", figure.title);
        }
    }
    text
}

fn summary_line(figure: &Measured, comparison: &Comparison<'_>) -> String {
    let column = comparison.heading;
    let cell = |row: &Row| comparison.median(row).map(shown).unwrap_or_default();
    let bold = if comparison.is_best() { "**" } else { "" };
    let mut what = figure.title.clone();
    // Ours is not always the library itself.
    let name = comparison.ours.name.as_str();
    let more = name.strip_prefix("countersign").map_or(Some(name), |rest| rest.strip_prefix(", "));
    if let Some(more) = more {
        let _ = write!(what, " ({more})");
    }
    let good = if column.lower_is_better { "less is better" } else { "more is better" };
    let title =
        if figure.columns.len() > 1 { format!("{}, ", column.title) } else { String::new() };
    format!(
        "| {what} | {title}{}, {good} | {} | {} | {} | {} |\n",
        column.unit,
        cell(comparison.ours),
        comparison.best.map(|best| format!("{} ({})", cell(best), best.peer)).unwrap_or_default(),
        comparison.ratio().map(|ratio| format!("{bold}{ratio:.2}{bold}")).unwrap_or_default(),
        comparison.clear.map(cell).unwrap_or_default(),
    )
}

fn ranged(value: &Value) -> String {
    match (value.median, value.low, value.high) {
        (Some(median), Some(low), Some(high)) => {
            format!("{} ({} to {})", shown(median), shown(low), shown(high))
        }
        _ => "–".to_owned(),
    }
}

/// The smaller number beside a number.
fn against(value: &Value, column: &Heading) -> Option<String> {
    let number = value.against?;
    Some(match column.against.as_deref() {
        Some("added") => format!("{}{}", if number < 0.0 { "" } else { "+" }, shown(number)),
        _ => shown(number),
    })
}

fn capital(text: &str) -> String {
    let mut letters = text.chars();
    let first = letters.next().map(|first| first.to_uppercase().to_string());
    first.unwrap_or_default() + letters.as_str()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::fs;

    use super::{CHARTS, README, RESULTS, json, pages, read, with_summary};
    use crate::host::root;

    const REMEDY: &str = "run `cargo xtask bench --render`, or measure anew with `--write-docs`";

    #[test]
    fn pages_charts_and_readme_say_what_was_measured() {
        let root = root();
        let results = read(&root).unwrap();
        let kept = fs::read_to_string(root.join(RESULTS)).unwrap();
        assert!(kept == json(&results), "{RESULTS} was edited by hand; {REMEDY}");
        let mut charts = BTreeSet::new();
        for (path, text) in pages(&results) {
            let found = fs::read_to_string(root.join(&path)).unwrap_or_default();
            assert!(found == text, "{} is not that of the results; {REMEDY}", path.display());
            charts.insert(path);
        }
        for entry in fs::read_dir(root.join(CHARTS)).unwrap() {
            let path = std::path::Path::new(CHARTS).join(entry.unwrap().file_name());
            assert!(charts.contains(&path), "{} is of no figure; {REMEDY}", path.display());
        }
        let readme = fs::read_to_string(root.join(README)).unwrap();
        let expected = with_summary(&readme, &results).unwrap();
        assert!(readme == expected, "{README} is not that of the results; {REMEDY}");
    }

    #[test]
    fn a_readme_without_the_marks_is_an_error() {
        let results = read(&root()).unwrap();
        let error = with_summary("nothing of it", &results).unwrap_err().to_string();
        assert!(error.contains("README.md has no lines"), "{error}");
    }
}
