//! Listeners: clients that are authenticated before they are accepted.

mod completions;
use completions::Completions;

mod queue;

mod table;
use table::{Stage, Table};

mod tcp;
#[cfg(feature = "tokio")]
pub(crate) use tcp::Turn;
pub use tcp::{Incoming, Refusal, TcpListener};
