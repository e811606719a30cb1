//! The one place that writes to stdout and stderr, other than what a peer sends through us.

use std::env;
use std::io::{self, IsTerminal, Write};
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};

use super::clean::{clean, clean_json};
use super::log::Log;
use crate::failure::Failure;

/// Where results, events and errors go, and in which form.
///
/// What cannot be written is lost without a word: there is nobody left to tell.
#[derive(Clone, Debug)]
pub(crate) struct Output {
    form: Form,
    stdout: Stream,
    stderr: Stream,
    /// Writes what happens meanwhile, where nobody may wait for that.
    log: Option<Arc<Log>>,
}

/// For whom.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    /// Programs: one JSON object a line.
    Json,
    /// People.
    Text,
}

/// One line for people.
#[derive(Clone, Debug)]
pub(crate) struct Line {
    mark: Option<Mark>,
    text: String,
}

/// How something stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mark {
    Bad,
    Good,
    Warn,
}

/// What a stream can show.
#[derive(Clone, Copy, Debug)]
struct Stream {
    is_terminal: bool,
    has_colour: bool,
}

impl Output {
    pub(crate) fn new(form: Form) -> Self {
        Self {
            form,
            stdout: Stream::of(io::stdout().is_terminal()),
            stderr: Stream::of(io::stderr().is_terminal()),
            log: None,
        }
    }

    /// Returns one whose events a thread of their own writes, so that nobody who has one to tell
    /// waits for whoever reads stderr.
    ///
    /// # Errors
    ///
    /// If there can be no thread.
    pub(crate) fn queued(&self) -> io::Result<Self> {
        Ok(Self { log: Some(Arc::new(Log::start()?)), ..self.clone() })
    }

    /// Returns whether so many events wait to be written that there should be no more.
    pub(crate) fn is_behind(&self) -> bool {
        self.log.as_ref().is_some_and(|log| log.is_behind())
    }

    /// Waits until all events have been written, but no longer than `patience`.
    pub(crate) fn settle(&self, patience: Duration) {
        if let Some(log) = &self.log {
            log.settle(patience);
        }
    }

    /// Returns whether text is for people.
    pub(crate) fn is_text(&self) -> bool {
        self.form == Form::Text
    }

    /// Returns whether someone watches stderr.
    pub(crate) fn is_watched(&self) -> bool {
        self.is_text() && self.stderr.is_terminal
    }

    /// Writes what was asked for, to stdout.
    pub(super) fn result(&self, lines: impl FnOnce() -> Vec<Line>, json: impl FnOnce() -> Value) {
        let text = self.shape(self.stdout, lines, json);
        let _ = io::stdout().lock().write_all(text.as_bytes());
    }

    /// Writes a part of the result for people, to stdout.
    pub(super) fn lines(&self, lines: Vec<Line>) {
        let text: String = lines.iter().map(|line| line.shape(self.stdout)).collect();
        let _ = io::stdout().lock().write_all(text.as_bytes());
    }

    /// Writes what happens meanwhile, to stderr.
    pub(super) fn event(&self, lines: impl FnOnce() -> Vec<Line>, json: impl FnOnce() -> Value) {
        let mut text = self.shape(self.stderr, lines, json);
        if self.is_watched() {
            // A rate may stand on the line.
            text.insert_str(0, CLEAR_LINE);
        }
        match &self.log {
            Some(log) => log.push(text),
            None => drop(io::stderr().lock().write_all(text.as_bytes())),
        }
    }

    /// Shows a line that the next one replaces, if someone watches; an empty one is none.
    pub(super) fn passing(&self, text: &str) {
        if self.is_watched() {
            let _ = write!(io::stderr().lock(), "{CLEAR_LINE}{}", clean(text));
        }
    }

    /// Writes text of ours that is neither a line nor a value, to stdout: a certificate.
    pub(super) fn verbatim(&self, text: &str) {
        let mut stdout = io::stdout().lock();
        let _ = stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush());
    }

    /// Says why the command failed, and what to try.
    pub(crate) fn failure(&self, failure: &Failure) {
        self.event(
            || {
                let hint = failure.hint();
                let what = Line::from(format!("countersign: {failure}"));
                vec![what, Line::from(format!("  hint: {hint}"))]
            },
            || failure_json(failure),
        );
    }

    /// Says that a command line was not understood; clap has put it well for people.
    pub(crate) fn usage(&self, error: &clap::Error) {
        if self.is_text() || !error.use_stderr() {
            let _ = error.print();
            return;
        }
        let text = error.render().to_string();
        let first = text.split("\n\n").next().unwrap_or_default();
        let first = first.split_whitespace().collect::<Vec<_>>().join(" ");
        let what = first.strip_prefix("error: ").unwrap_or(&first);
        let hint = "run `countersign --help`, or `countersign COMMAND --help`";
        self.failure(&Failure::usage(what, hint));
    }

    fn shape(
        &self,
        stream: Stream,
        lines: impl FnOnce() -> Vec<Line>,
        json: impl FnOnce() -> Value,
    ) -> String {
        match self.form {
            Form::Json => clean_json(&json()) + "\n",
            Form::Text => lines().iter().map(|line| line.shape(stream)).collect(),
        }
    }
}

impl Line {
    pub(crate) fn marked(mark: Mark, text: impl Into<String>) -> Self {
        Self { mark: Some(mark), text: text.into() }
    }

    fn shape(&self, stream: Stream) -> String {
        let text = clean(&self.text);
        match self.mark {
            None => format!("{text}\n"),
            Some(mark) => format!("{} {text}\n", mark.shape(stream)),
        }
    }
}

impl<T: Into<String>> From<T> for Line {
    fn from(text: T) -> Self {
        Self { mark: None, text: text.into() }
    }
}

impl Mark {
    fn shape(self, stream: Stream) -> String {
        let (sign, word, colour) = match self {
            Self::Bad => ("✗", "FAIL", 31),
            Self::Good => ("✓", "ok  ", 32),
            Self::Warn => ("!", "warn", 33),
        };
        match (stream.is_terminal, stream.has_colour) {
            (true, true) => format!("\u{1b}[{colour}m{sign}\u{1b}[0m"),
            (true, false) => sign.to_owned(),
            (false, _) => word.to_owned(),
        }
    }
}

impl Stream {
    /// Colour is for terminals whose user has nothing against it (<https://no-color.org>).
    fn of(is_terminal: bool) -> Self {
        let is_set = |name| env::var_os(name).is_some_and(|value| !value.is_empty());
        let is_dumb = env::var_os("TERM").is_some_and(|term| term == "dumb");
        Self { is_terminal, has_colour: is_terminal && !is_set("NO_COLOR") && !is_dumb }
    }
}

/// Returns a failure as programs read it.
pub(super) fn failure_json(failure: &Failure) -> Value {
    json!({
        "error": failure.to_string(),
        "hint": failure.hint(),
        "fault": fault(failure.fault()),
        "wsa": failure.wsa().number(),
    })
}

fn fault(fault: countersign::Fault) -> &'static str {
    match fault {
        countersign::Fault::Caller => "caller",
        countersign::Fault::Peer => "peer",
        countersign::Fault::Host => "host",
        countersign::Fault::Bug => "bug",
    }
}

const CLEAR_LINE: &str = "\r\u{1b}[K";

#[cfg(test)]
mod tests {
    use super::{Line, Mark, Stream};

    #[test]
    fn marks_are_words_where_nobody_sees_colours() {
        let line = Line::marked(Mark::Bad, "a\nb");
        let shape = |is_terminal, has_colour| line.shape(Stream { is_terminal, has_colour });
        assert_eq!(shape(false, false), "FAIL a\u{fffd}b\n");
        assert_eq!(shape(true, false), "✗ a\u{fffd}b\n");
        assert_eq!(shape(true, true), "\u{1b}[31m✗\u{1b}[0m a\u{fffd}b\n");
    }
}
