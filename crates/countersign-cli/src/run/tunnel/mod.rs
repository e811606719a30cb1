//! Tunnels: a plain connection and a secured one, joined by one task, many of them on few threads.
//!
//! ```text
//!  forward   program ──▶ accept ──▶ dial the peer ───┐
//!                                                    ├──▶ Flow, Flow ──▶ both ended: closed
//!  serve     client ──▶ handshake ──▶ dial the ──────┘                   else: both cut
//!                                     service
//! ```
//!
//! What one side ends is ended for the other, and what is cut is cut: an [`End`] that nobody has
//! declared over is cut when it is dropped, whatever the reason. Names are looked up, and files
//! looked at, on threads for work that blocks; lines of the log are written by another.

mod carriers;

mod dial;
pub(super) use dial::{dial_peer, dial_service};

mod end;
pub(super) use end::{End, SecuredEnd, arrived, travelling};

mod flow;

mod join;
pub(super) use join::{Called, echo, join};

mod limits;

mod stop;

mod tunnels;
pub(super) use tunnels::{Trouble, Tunnels, run};

mod units;
