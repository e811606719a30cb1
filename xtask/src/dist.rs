//! `dist`: the archive that a release publishes.
//!
//! Laid out as a prefix, so that unpacking it over `/usr/local` (`--strip-components=1`) installs it:
//!
//! ```text
//! countersign-VERSION-ARCH-linux/
//! ├── bin/countersign
//! ├── include/countersign-winsock  lib  the C interface, see `winsock`
//! └── share/  man/man1  bash-completion  fish  zsh  doc/countersign
//! ```

use std::env;
use std::fs::{self, File};
use std::path::Path;
use std::process::{Command, ExitCode};

use crate::step::{self, Failure};
use crate::{generated, launch, place, setup, winsock};

/// What a user reads; the licences ask to travel with every copy.
const DOCUMENTS: &[&str] = &["CHANGELOG.md", "LICENSE-APACHE", "LICENSE-MIT", "README.md"];

pub(crate) fn run(arguments: &[String]) -> Result<ExitCode, Failure> {
    if !arguments.is_empty() {
        return Err(Failure::new("arguments", "dist takes none"));
    }
    setup::packages(setup::BUILD)?;
    launch::build()?;

    // Every crate inherits the one version of the workspace, ours too.
    let name = format!("countersign-{}-{}-linux", env!("CARGO_PKG_VERSION"), env::consts::ARCH);
    let dist = place::target()?.join("dist");
    let tree = dist.join(&name);
    generated::fresh(&tree)?;
    generated::lay_out(&tree)?;
    generated::copy(&place::binary()?, &tree.join("bin/countersign"))?;
    winsock::install(&tree)?;
    for document in DOCUMENTS {
        let to = tree.join("share/doc/countersign").join(document);
        generated::copy(&place::root().join(document), &to)?;
    }

    let archive = format!("{name}.tar.gz");
    pack(&dist, &name, &archive)?;
    let sum = format!("{archive}.sha256");
    let file = File::create(dist.join(&sum));
    let file = file.map_err(|error| Failure::io("checksum", &sum, &error))?;
    let mut sha256sum = Command::new("sha256sum");
    step::run("checksum", sha256sum.arg(&archive).current_dir(&dist).stdout(file))?;
    let size = fs::metadata(dist.join(&archive));
    let size = size.map_err(|error| Failure::io("archive", &archive, &error))?.len();
    eprintln!("dist: {} and its .sha256, {} KiB", dist.join(&archive).display(), size / 1024);
    Ok(ExitCode::SUCCESS)
}

/// Packs with no trace of who packed it, and the time of the commit as the time of the files, so
/// that the same commit and toolchain make the same archive.
fn pack(dist: &Path, name: &str, archive: &str) -> Result<(), Failure> {
    let mut tar = Command::new("tar");
    tar.args(["--sort=name", "--owner=0", "--group=0", "--numeric-owner", "--mode=u=rwX,go=rX"]);
    if let Some(time) = time_of_commit() {
        tar.arg(format!("--mtime=@{time}"));
    }
    tar.args(["--create", "--gzip", "--file", archive, name]);
    step::run("archive", tar.current_dir(dist))
}

/// Seconds since 1970, or `None` outside a repository (a source archive is then packed as of now).
fn time_of_commit() -> Option<String> {
    let asked = env::var("SOURCE_DATE_EPOCH").ok();
    let time = asked.or_else(|| {
        let mut log = step::program("git", &["log", "-1", "--format=%ct"]);
        step::ask("time of the commit", &mut log).ok()
    })?;
    let time = time.trim();
    let is_number = !time.is_empty() && time.bytes().all(|byte| byte.is_ascii_digit());
    is_number.then(|| time.to_owned())
}
