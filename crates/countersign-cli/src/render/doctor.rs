//! What `doctor` found.

use serde_json::{Value, json};

use super::output::{Line, Mark, Output};
use crate::run::Check;

impl Output {
    pub(crate) fn diagnosis(&self, checks: &[Check]) {
        let count = |mark| checks.iter().filter(|check| check.mark == mark).count();
        let (bad, warn) = (count(Mark::Bad), count(Mark::Warn));
        self.result(
            || {
                let mut lines: Vec<Line> = checks.iter().flat_map(text).collect();
                let all = checks.len();
                let mark = match (bad, warn) {
                    (0, 0) => Mark::Good,
                    (0, _) => Mark::Warn,
                    _ => Mark::Bad,
                };
                let sum = format!("{all} checks: {bad} failed, {warn} with a warning");
                lines.push(Line::marked(mark, sum));
                lines
            },
            || {
                json!({
                    "checks": checks.iter().map(to_json).collect::<Vec<_>>(),
                    "failed": bad,
                    "warnings": warn,
                })
            },
        );
    }
}

fn text(check: &Check) -> Vec<Line> {
    let mut lines = vec![Line::marked(check.mark, format!("{:<12}{}", check.name, check.what))];
    lines.extend(check.hint.iter().map(|hint| Line::from(format!("       hint: {hint}"))));
    lines
}

fn to_json(check: &Check) -> Value {
    let outcome = match check.mark {
        Mark::Bad => "fail",
        Mark::Good => "ok",
        Mark::Warn => "warn",
    };
    json!({ "check": check.name, "outcome": outcome, "what": check.what, "hint": check.hint })
}
