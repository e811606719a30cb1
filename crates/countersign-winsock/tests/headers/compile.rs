//! Runs compilers.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// Where the headers are.
pub(crate) fn include() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../include/winsock")
}

/// Every header that a program may include, and not the parts below `countersign/`.
pub(crate) fn headers() -> Vec<String> {
    let mut names: Vec<String> = std::fs::read_dir(include())
        .expect("the headers are in the repository")
        .map(|entry| entry.expect("readable").file_name().into_string().expect("ASCII"))
        .filter(|name| name.ends_with(".h"))
        .collect();
    names.sort();
    names
}

/// A source file in a directory of its own, which goes with it.
#[derive(Debug)]
pub(crate) struct Source {
    directory: tempfile::TempDir,
    name: &'static str,
}

impl Source {
    pub(crate) fn new(name: &'static str, text: &str) -> Self {
        let directory = tempfile::tempdir().expect("a temporary directory");
        std::fs::write(directory.path().join(name), text).expect("written");
        Self { directory, name }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// Runs a compiler with our headers first; it must be silent.
    #[track_caller]
    pub(crate) fn compile(&self, compiler: &str, flags: &[&str]) {
        let output = Command::new(compiler)
            .args(flags)
            .arg("-I")
            .arg(include())
            .arg(self.path(self.name))
            .current_dir(self.directory.path())
            .output()
            .unwrap_or_else(|error| panic!("{compiler} cannot be run: {error}"));
        assert!(output.status.success(), "{compiler} {}\n{}", flags.join(" "), errors(&output));
    }

    /// Compiles to a program and returns what it prints.
    #[track_caller]
    pub(crate) fn run(&self, compiler: &str, flags: &[&str], arguments: &[&str]) -> String {
        let flags = [flags, &["-o", "program"]].concat();
        self.compile(compiler, &flags);
        let output = Command::new(self.path("program")).args(arguments).output().expect("runs");
        assert!(output.status.success(), "{:?}\n{}", output.status, errors(&output));
        String::from_utf8(output.stdout).expect("UTF-8")
    }
}

/// What a person needs of a compiler's errors.
fn errors(output: &Output) -> String {
    let text = String::from_utf8_lossy(&output.stderr);
    text.lines().take(30).collect::<Vec<_>>().join("\n")
}
