//! A figure as a picture: bars from zero, one panel for each column, ours in a colour of its own.
//!
//! SVG by hand, since bars need rectangles and text and nothing else. It follows the reader's
//! choice of light or dark, and its colours differ in lightness too.

use std::fmt::Write as _;

use crate::results::{Heading, Measured, Position, Row, shown};

const WIDTH: usize = 900;
const MARGIN: usize = 16;
/// Where the bars of the first panel begin.
const LABELS: usize = 252;
/// Room for the number behind the longest bar.
const NUMBER: usize = 62;
const ROW: usize = 22;
const BAR: usize = 14;
const HEAD: usize = 72;

const STYLE: &str = "\
text{font:12px -apple-system,'Segoe UI',Helvetica,Arial,sans-serif;fill:#1f2328}
.title{font-size:15px;font-weight:600}.weak{fill:#59636e}.paper{fill:#ffffff;stroke:#d1d9e0}
.ours{fill:#0a5bc4}.other{fill:#8b949e}.clear{fill:#d1d9e0}.axis{stroke:#818b98}.us{font-weight:600}
@media(prefers-color-scheme:dark){text{fill:#f0f6fc}.weak{fill:#9198a1}.paper{fill:#0d1117;stroke:#3d444d}
.ours{fill:#58a6ff}.other{fill:#6e7681}.clear{fill:#30363d}.axis{stroke:#9198a1}}
";

/// Draws a figure.
pub(crate) fn svg(figure: &Measured) -> String {
    let height = HEAD + figure.rows.len() * ROW + MARGIN;
    let mut text = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height}\" width=\"{WIDTH}\" \
         height=\"{height}\" role=\"img\" aria-label=\"{title}\">\n<title>{title}</title>\n\
         <style>\n{STYLE}</style>\n\
         <rect class=\"paper\" x=\"0.5\" y=\"0.5\" width=\"{}\" height=\"{}\" rx=\"6\"/>\n\
         <text class=\"title\" x=\"{MARGIN}\" y=\"30\">{title}</text>\n",
        WIDTH - 1,
        height - 1,
        title = escaped(&figure.title),
    );
    for (index, row) in figure.rows.iter().enumerate() {
        let y = HEAD + index * ROW + BAR - 2;
        let class = if row.role == Position::Ours { "us" } else { "" };
        put(&mut text, &format!("class=\"{class}\" x=\"{MARGIN}\" y=\"{y}\""), &row.name);
        if let Some(reason) = &row.not_run {
            let place = format!("class=\"weak\" x=\"{LABELS}\" y=\"{y}\"");
            put(&mut text, &place, &format!("not run: {}", first_words(reason)));
        }
    }
    let width = (WIDTH - LABELS) / figure.columns.len().max(1);
    for (index, column) in figure.columns.iter().enumerate() {
        panel(&mut text, figure, column, index, LABELS + index * width, width - NUMBER);
    }
    text += "</svg>\n";
    text
}

/// Draws one column, from `left`, with `room` for the longest bar.
fn panel(
    text: &mut String,
    figure: &Measured,
    column: &Heading,
    index: usize,
    left: usize,
    room: usize,
) {
    let good = if column.lower_is_better { "less is better" } else { "more is better" };
    let place = format!("class=\"weak\" x=\"{left}\" y=\"58\"");
    put(text, &place, &format!("{}, {} ({good})", column.title, column.unit));
    let value = |row: &Row| row.values.get(index).and_then(|value| value.median);
    let longest = figure.rows.iter().filter_map(value).fold(0.0, f64::max);
    for (position, row) in figure.rows.iter().enumerate() {
        let Some(number) = value(row) else { continue };
        let y = HEAD + position * ROW;
        let class = match row.role {
            Position::Clear => "clear",
            Position::Other => "other",
            Position::Ours => "ours",
        };
        let length = if longest > 0.0 { number.max(0.0) / longest * room as f64 } else { 0.0 };
        let _ = writeln!(
            text,
            "<rect class=\"{class}\" x=\"{left}\" y=\"{y}\" width=\"{length:.1}\" height=\"{BAR}\"/>",
        );
        let class = if row.role == Position::Ours { "us" } else { "" };
        let x = left as f64 + length + 5.0;
        let place = format!("class=\"{class}\" x=\"{x:.1}\" y=\"{}\"", y + BAR - 2);
        put(text, &place, &shown(number));
    }
    let bottom = HEAD + figure.rows.len() * ROW - (ROW - BAR) / 2;
    let _ = writeln!(
        text,
        "<line class=\"axis\" x1=\"{left}\" y1=\"{}\" x2=\"{left}\" y2=\"{bottom}\"/>",
        HEAD - 4,
    );
}

fn put(text: &mut String, place: &str, words: &str) {
    let _ = writeln!(text, "<text {place}>{}</text>", escaped(words));
}

/// A reason can be a page; a bar has a line.
fn first_words(reason: &str) -> String {
    let line = reason.lines().next().unwrap_or_default();
    let mut words: String = line.chars().take(80).collect();
    if words.len() < reason.len() {
        words.push('…');
    }
    words
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use super::{escaped, first_words};

    #[test]
    fn what_a_program_says_cannot_become_markup() {
        assert_eq!(escaped("<a b=\"&\">"), "&lt;a b=&quot;&amp;&quot;&gt;");
    }

    #[test]
    fn a_long_reason_is_cut_at_its_first_line() {
        assert_eq!(first_words("short"), "short");
        assert_eq!(first_words("one\ntwo"), "one…");
        assert_eq!(first_words(&"x".repeat(100)).chars().count(), 81);
    }
}
