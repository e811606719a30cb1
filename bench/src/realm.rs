//! A Kerberos realm of the laboratory for one run.

use std::io;
use std::panic::catch_unwind;

use countersign_lab::{Kdc, Realm};

use crate::child::Helper;
use crate::measure::words;

/// Starts a realm with nobody in it.
///
/// # Errors
///
/// Why there is none, such as that no KDC is installed.
pub(crate) fn start() -> io::Result<Kdc> {
    // Tests of the laboratory want the panic; a benchmark wants the reason.
    catch_unwind(Kdc::start)
        .map_err(|panic| io::Error::other(format!("no Kerberos realm: {}", words(&*panic))))
}

/// Starts a child in the realm, since the Kerberos library learns of it from the environment of its
/// process.
pub(crate) fn helper(realm: &Realm, words: &[&str]) -> io::Result<Helper> {
    Helper::start_with(words, &realm.environment())
}
