//! `identity`: the embedded store.

use std::path::PathBuf;
use std::time::SystemTime;

use super::{host, now};
use crate::exit::Verdict;
use crate::failure::Failure;
use crate::render::Output;
use crate::request::Identity;

/// Changes or shows the store.
///
/// # Errors
///
/// Those of the store.
pub(super) fn run(
    home: Option<PathBuf>,
    request: Identity,
    output: &Output,
) -> Result<Verdict, Failure> {
    let store = host::store(home)?;
    match request {
        Identity::Export { name, include_key } => {
            let pem = store.export(name.as_ref(), include_key)?;
            output.exported(&pem);
        }
        Identity::Init => {
            store.init()?;
            output.made_authority(&store.show(SystemTime::now())?);
        }
        Identity::Issue { names, validity } => {
            let issued = store.issue(&names, validity, SystemTime::now())?;
            output.issued(&issued, now());
        }
        Identity::Show => output.inventory(&store.show(SystemTime::now())?, now()),
        Identity::Trust { file } => {
            let before = store.show(SystemTime::now())?.trusted;
            store.trust(&file)?;
            let mut added = store.show(SystemTime::now())?.trusted;
            added.retain(|entry| !before.contains(entry));
            output.trusted(&added);
        }
    }
    Ok(Verdict::AsExpected)
}
