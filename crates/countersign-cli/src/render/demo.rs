//! The demo as it goes on.

use std::time::Duration;

use countersign::PeerName;
use serde_json::{Value, json};

use super::evidence;
use super::output::{Line, Mark, Output};
use super::traffic::milliseconds;
use super::words::took;
use crate::run::{Outcome, Scenario};

impl Output {
    pub(crate) fn demo_begins(&self, asked: &PeerName) {
        if self.is_text() {
            self.lines(vec![
                format!("In each case of TCP the client asks for {asked}.").into(),
                "The sockets are real (loopback), the authorities temporary; nothing stays behind."
                    .into(),
                "".into(),
            ]);
        }
    }

    pub(crate) fn demo_of_kerberos_begins(&self, asked: &PeerName) {
        if self.is_text() {
            self.lines(vec![
                format!("In each case the client asks for {asked}, and alice alone is let in.")
                    .into(),
                "The KDC is real and temporary; nobody has a certificate; nothing stays behind."
                    .into(),
                "".into(),
            ]);
        }
    }

    pub(crate) fn demo_scenario(&self, scenario: &Scenario) {
        if self.is_text() {
            self.lines(text(scenario));
        }
    }

    pub(crate) fn demo_ends(&self, scenarios: &[Scenario], time: Duration) {
        let next = [
            "Next, an authority of your own: countersign identity init",
            "then a certificate for a name:  countersign identity issue NAME",
        ];
        self.sum_up(scenarios, time, &next);
    }

    pub(crate) fn demo_of_kerberos_ends(&self, scenarios: &[Scenario], time: Duration) {
        let next = [
            "Next, with a keytab of your realm: countersign serve NAME --keytab FILE …",
            "and with a ticket (kinit):         countersign connect --kerberos NAME ADDR",
        ];
        self.sum_up(scenarios, time, &next);
    }

    fn sum_up(&self, scenarios: &[Scenario], time: Duration, next: &[&'static str]) {
        let good = scenarios.iter().filter(|scenario| scenario.is_as_expected).count();
        let all = scenarios.len();
        self.result(
            || {
                let mark = if good == all { Mark::Good } else { Mark::Bad };
                let sum = format!("{good} of {all} as expected, in {}", took(time));
                let mut lines = vec![Line::marked(mark, sum), "".into()];
                lines.extend(next.iter().map(|line| Line::from(*line)));
                lines
            },
            || {
                json!({
                    "scenarios": scenarios.iter().map(to_json).collect::<Vec<_>>(),
                    "as_expected": good,
                    "total": all,
                    "milliseconds": milliseconds(time),
                })
            },
        );
    }
}

fn text(scenario: &Scenario) -> Vec<Line> {
    let mark = if scenario.is_as_expected { Mark::Good } else { Mark::Bad };
    let heading = format!("{} ({})", scenario.tried, took(scenario.took));
    let mut lines = vec![Line::marked(mark, heading)];
    match &scenario.outcome {
        Outcome::Connected(evidence) => {
            let evidence = evidence.as_deref();
            lines.push(format!("       connected to {}", evidence::who(evidence)).into());
            lines.push(format!("       protected by {}", evidence::protection(evidence)).into());
        }
        Outcome::NotShown(why) => lines.push(format!("       not shown: {why}").into()),
        Outcome::Refused(why) => lines.push(format!("       refused: {why}").into()),
    }
    lines.extend(scenario.seen.iter().map(|seen| Line::from(format!("       {seen}"))));
    lines.push("".into());
    lines
}

fn to_json(scenario: &Scenario) -> Value {
    let (outcome, why, evidence) = match &scenario.outcome {
        Outcome::Connected(evidence) => ("connected", None, evidence.as_deref()),
        Outcome::NotShown(why) => ("not-shown", Some(why), None),
        Outcome::Refused(why) => ("refused", Some(why), None),
    };
    json!({
        "name": scenario.name,
        "tried": scenario.tried,
        "outcome": outcome,
        "reason": why,
        "evidence": evidence::json(evidence),
        "seen": scenario.seen,
        "as_expected": scenario.is_as_expected,
        "milliseconds": milliseconds(scenario.took),
    })
}
