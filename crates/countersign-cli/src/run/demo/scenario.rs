//! What was tried and what came of it.

use std::time::Duration;

use countersign::Evidence;

/// One thing that was tried.
#[derive(Debug)]
pub(crate) struct Scenario {
    /// What programs call it.
    pub(crate) name: &'static str,
    /// What people call it.
    pub(crate) tried: String,
    pub(crate) outcome: Outcome,
    /// What else was seen.
    pub(crate) seen: Vec<String>,
    pub(crate) is_as_expected: bool,
    pub(crate) took: Duration,
}

/// What came of it.
#[derive(Debug)]
pub(crate) enum Outcome {
    /// There was a connection, and this is what protected it.
    Connected(Option<Box<Evidence>>),
    /// It cannot be shown here: why, and what would be needed.
    NotShown(String),
    /// There was none; the side that refused says why.
    Refused(String),
}
