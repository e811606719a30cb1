//! What people and programs get to see: the same values, as text or as JSON. Only here is anything
//! printed.

mod clean;

mod demo;

mod doctor;

mod evidence;

mod explain;

mod explain_peer;

mod identity;

mod log;

mod output;
pub(crate) use output::{Form, Mark, Output};

mod traffic;
pub(crate) use traffic::Traffic;

mod words;
pub(crate) use words::{from_now, span};
