//! Debian packages that are unpacked below `target/`, and not installed.
//!
//! Some start a server as soon as they are installed, and again with the machine. For a
//! benchmark their files are enough.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::place;
use crate::setup::{apt_get, on_path};
use crate::step::{self, Failure};

/// Unpacks `packages` into a folder called `name`, unless they are there; their programs work if
/// what they depend on is installed.
///
/// # Errors
///
/// What stands in the way; then the folder is not there.
pub(crate) fn packages(name: &str, packages: &[&str]) -> Result<(), Failure> {
    let folder = folder(name)?;
    if folder.is_dir() {
        return Ok(());
    }
    if !on_path("dpkg-deb") {
        let list = packages.join(" ");
        return Err(Failure::new("packages", format!("not Debian, so no {list}")));
    }
    let failed = |error| Failure::io("packages", folder.display(), &error);
    // Complete, or under another name.
    let unfinished = folder.with_extension("unfinished");
    if unfinished.exists() {
        fs::remove_dir_all(&unfinished).map_err(failed)?;
    }
    fs::create_dir_all(&unfinished).map_err(failed)?;
    if download(packages, &unfinished).is_err() {
        // The lists may not be there yet, or be too old.
        let list = packages.join(" ");
        step::run("package lists", &mut apt_get(&["update"], &list)?)?;
        download(packages, &unfinished)?;
    }
    for entry in fs::read_dir(&unfinished).map_err(failed)? {
        let archive = entry.map_err(failed)?.path();
        let mut extract = Command::new("dpkg-deb");
        step::run("packages", extract.arg("--extract").arg(&archive).arg(&unfinished))?;
        fs::remove_file(&archive).map_err(failed)?;
    }
    fs::rename(&unfinished, &folder).map_err(failed)
}

/// Returns where packages are unpacked under this name; `bench` looks there too.
fn folder(name: &str) -> Result<PathBuf, Failure> {
    Ok(place::target()?.join("tools").join(name))
}

/// No root is needed for that.
fn download(packages: &[&str], into: &Path) -> Result<(), Failure> {
    let mut download = Command::new("apt-get");
    step::run("packages", download.arg("download").args(packages).current_dir(into))
}
