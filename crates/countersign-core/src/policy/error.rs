//! Why a text is not a policy.

use crate::Fault;

/// Why a text is not a policy.
#[non_exhaustive]
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{origin}, line {line}, column {column}: {what}")]
pub struct PolicyError {
    /// What the text is called, usually a path.
    pub origin: String,
    /// The line, from 1.
    pub line: usize,
    /// The column in characters, from 1.
    pub column: usize,
    /// What is wrong there.
    pub what: String,
}

impl PolicyError {
    /// Returns who must act: whoever wrote the policy.
    pub fn fault(&self) -> Fault {
        Fault::Caller
    }

    /// Returns what to try.
    pub fn hint(&self) -> &'static str {
        "correct the policy there; until then the last good one stays in force, or nothing connects"
    }
}
