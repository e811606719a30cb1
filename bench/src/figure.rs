//! What a figure is: who is measured, and what one run of one of them yields.

use std::fmt;
use std::io;
use std::time::Duration;

use crate::material::Material;
use crate::peers::Peer;

/// One thing to measure, on several peers in turn.
#[derive(Debug)]
pub(crate) struct Figure {
    /// Names the chart and the entry in the JSON.
    pub(crate) id: &'static str,
    pub(crate) title: &'static str,
    /// How it is measured, in a sentence or two.
    pub(crate) note: &'static str,
    /// What one run yields.
    pub(crate) columns: &'static [Column],
    /// Which of the columns stand for the figure in a summary.
    pub(crate) summary: &'static [usize],
    pub(crate) cases: &'static [Case],
    /// Yields a number for each column.
    pub(crate) run: fn(&Bench, Case) -> io::Result<Vec<f64>>,
}

/// One of the numbers of a figure.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Column {
    pub(crate) title: &'static str,
    pub(crate) unit: &'static str,
    pub(crate) better: Better,
    pub(crate) against: Against,
}

/// Which way is good.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Better {
    Higher,
    Lower,
}

/// How a number relates to that of the same in clear.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Against {
    /// What is more than in clear was added.
    Added,
    /// Nobody in clear does the same.
    Nothing,
    /// The part of it that is left.
    Part,
}

/// Who is measured, and with how many of something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Case {
    pub(crate) peer: Peer,
    /// How many connections or names, where the figure is about their number.
    pub(crate) count: Option<Count>,
}

/// A number of things.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Count {
    pub(crate) number: usize,
    pub(crate) what: &'static str,
}

/// What all runs share.
#[derive(Debug)]
pub(crate) struct Bench {
    pub(crate) material: Material,
    /// How long one run takes, about.
    pub(crate) duration: Duration,
}

impl Column {
    pub(crate) const fn higher(title: &'static str, unit: &'static str, against: Against) -> Self {
        Self { title, unit, better: Better::Higher, against }
    }

    pub(crate) const fn lower(title: &'static str, unit: &'static str, against: Against) -> Self {
        Self { title, unit, better: Better::Lower, against }
    }
}

impl Case {
    pub(crate) const fn of(peer: Peer) -> Self {
        Self { peer, count: None }
    }

    pub(crate) const fn with(peer: Peer, number: usize, what: &'static str) -> Self {
        Self { peer, count: Some(Count { number, what }) }
    }

    /// How many; one where the figure is about something else.
    pub(crate) fn number(self) -> usize {
        self.count.map_or(1, |count| count.number)
    }
}

impl fmt::Display for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.count {
            None => self.peer.fmt(f),
            Some(Count { number: 1, what }) => {
                write!(f, "{}, 1 {}", self.peer, what.trim_end_matches('s'))
            }
            Some(Count { number, what }) => write!(f, "{}, {} {what}", self.peer, grouped(number)),
        }
    }
}

/// A number with its thousands apart, since ten thousand and a hundred thousand look alike.
pub(crate) fn grouped(number: usize) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::grouped;

    #[test]
    fn thousands_stand_apart() {
        assert_eq!([0, 999, 1000, 1_234_567].map(grouped), ["0", "999", "1,000", "1,234,567"]);
    }
}
