//! Listeners: clients that are authenticated before they are accepted.

mod table;
use table::{Stage, Table};

mod tcp;
pub use tcp::{Incoming, Refusal, TcpListener};
