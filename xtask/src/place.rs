//! Where things are: the root of the workspace and what Cargo builds below `target/`.

use std::env;
use std::path::{Path, PathBuf};

use crate::step::{self, Failure};

/// Returns the root of the workspace, wherever `cargo xtask` was typed.
pub(crate) fn root() -> PathBuf {
    // Cargo says where our manifest is now; the compiled-in answer is for a debugger.
    let ours = env::var_os("CARGO_MANIFEST_DIR");
    let ours = ours.map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")), PathBuf::from);
    ours.parent().map(Path::to_owned).expect("xtask lies one folder below the root")
}

/// Returns the folder that Cargo builds into.
///
/// It is known from where we run ourselves (`target/debug/xtask`), so every way to configure
/// it is honoured and nobody has to parse `cargo metadata`.
pub(crate) fn target() -> Result<PathBuf, Failure> {
    let ours = env::current_exe();
    let ours = ours.map_err(|error| Failure::io("target folder", "our own path", &error))?;
    let target = ours.parent().and_then(Path::parent).map(Path::to_owned);
    target.ok_or_else(|| Failure::new("target folder", "run me as `cargo xtask`"))
}

/// Returns `countersign` as a release builds it.
pub(crate) fn binary() -> Result<PathBuf, Failure> {
    Ok(target()?.join("release").join("countersign"))
}

/// Returns the names of the packages of the workspace.
pub(crate) fn packages() -> Result<Vec<String>, Failure> {
    let words = ["tree", "--workspace", "--depth=0", "--prefix=none", "--edges=normal"];
    let text = step::ask("list of packages", &mut step::cargo(&words))?;
    let first_words = text.lines().filter_map(|line| line.split_whitespace().next());
    Ok(first_words.map(str::to_owned).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_root_holds_the_workspace() {
        let manifest = std::fs::read_to_string(root().join("Cargo.toml")).unwrap();
        assert!(manifest.contains("[workspace]"));
    }

    #[test]
    fn the_packages_are_those_of_the_folders() {
        let packages = packages().unwrap();
        let mut folders = vec!["bench".to_owned(), "instructions".to_owned(), "xtask".to_owned()];
        for folder in std::fs::read_dir(root().join("crates")).unwrap() {
            folders.push(folder.unwrap().file_name().into_string().unwrap());
        }
        folders.sort();
        assert_eq!(packages, folders);
    }
}
