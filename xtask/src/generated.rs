//! The pages that the command writes about itself: manual and shell completions.
//!
//! They come from the definitions that also parse the arguments, so they cannot disagree with the
//! program. `test` checks that they can be made, `dist` packs them.

use std::fs;
use std::path::Path;
use std::process::Command;

use crate::place;
use crate::step::{self, Failure};

/// What the command calls the file of each shell, and where that shell looks below a prefix.
const COMPLETIONS: &[(&str, &str)] = &[
    ("countersign.bash", "share/bash-completion/completions/countersign"),
    ("countersign.fish", "share/fish/vendor_completions.d/countersign.fish"),
    ("_countersign", "share/zsh/site-functions/_countersign"),
];

/// Makes manual and completions below `prefix`, laid out as `/usr/local` is.
///
/// # Errors
///
/// When the release build of the command does not make a page, or makes an empty one.
pub(crate) fn lay_out(prefix: &Path) -> Result<(), Failure> {
    let manual = prefix.join("share/man/man1");
    fresh(&manual)?;
    generate("man", &manual)?;
    let pages = fs::read_dir(&manual).map_err(|error| at(&manual, &error))?;
    let mut names = Vec::new();
    for page in pages {
        let page = page.map_err(|error| at(&manual, &error))?;
        not_empty(&page.path())?;
        names.push(page.file_name());
    }
    if !names.iter().any(|name| name == "countersign.1") {
        return Err(Failure::new("manual", "no page countersign.1 was made"));
    }

    let completions = place::target()?.join("xtask/completions");
    fresh(&completions)?;
    generate("completions", &completions)?;
    for (made, place) in COMPLETIONS {
        let made = completions.join(made);
        not_empty(&made)?;
        copy(&made, &prefix.join(place))?;
    }
    Ok(())
}

/// Makes a folder, empty.
pub(crate) fn fresh(folder: &Path) -> Result<(), Failure> {
    if folder.exists() {
        fs::remove_dir_all(folder).map_err(|error| at(folder, &error))?;
    }
    fs::create_dir_all(folder).map_err(|error| at(folder, &error))
}

/// Copies a file, and makes the folder it goes to.
pub(crate) fn copy(from: &Path, to: &Path) -> Result<(), Failure> {
    if let Some(folder) = to.parent() {
        fs::create_dir_all(folder).map_err(|error| at(folder, &error))?;
    }
    fs::copy(from, to).map(drop).map_err(|error| at(from, &error))
}

fn generate(what: &str, folder: &Path) -> Result<(), Failure> {
    step::run(what, Command::new(place::binary()?).args(["generate", what]).arg(folder))
}

fn not_empty(file: &Path) -> Result<(), Failure> {
    let text = fs::read(file).map_err(|error| at(file, &error))?;
    if text.is_empty() {
        return Err(Failure::new("generated pages", format!("{} is empty", file.display())));
    }
    Ok(())
}

fn at(path: &Path, error: &std::io::Error) -> Failure {
    Failure::io("files", path.display(), error)
}
