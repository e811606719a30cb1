//! An authority, certificates and policies for programs to run with.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::{Duration, SystemTime};

use countersign::identity::Store;

use super::build::{Way, command, compile, said};

/// A directory with a store, policies and programs; it goes when the test does.
#[derive(Debug)]
pub(crate) struct World {
    directory: tempfile::TempDir,
}

impl World {
    /// Makes an authority, and certificates for the names that the programs speak of.
    pub(crate) fn new() -> Self {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let world = Self { directory };
        let store = world.store();
        store.init().expect("an authority");
        for names in [
            &["postgres/localhost"][..],
            &["http/localhost"],
            &["localhost"],
            &["alice@EXAMPLE.COM"],
            &["mallory@EXAMPLE.COM"],
            &["statsd/metrics.test", "syslog/logs.test"],
        ] {
            let names: Vec<_> = names.iter().map(|name| name.parse().expect("a name")).collect();
            store.issue(&names, Duration::from_secs(86_400), SystemTime::now()).expect("issued");
        }
        world
    }

    pub(crate) fn store(&self) -> Store {
        Store::at(self.path().join("store"))
    }

    pub(crate) fn path(&self) -> &Path {
        self.directory.path()
    }

    /// Writes a policy and returns its path.
    pub(crate) fn policy(&self, name: &str, text: &str) -> PathBuf {
        let path = self.path().join(format!("{name}.toml"));
        std::fs::write(&path, text).expect("written");
        path
    }

    /// A command for a compiled program with this policy, and no other of the host's.
    pub(crate) fn command(&self, program: &Path, way: Way, policy: &Path) -> Command {
        let mut command = command(program, way);
        command
            .current_dir(self.path())
            .env("COUNTERSIGN_HOME", self.path().join("store"))
            .env("COUNTERSIGN_POLICY", policy)
            .env("HOME", self.path());
        command
    }

    /// Compiles and runs a program of rules; it must succeed.
    #[track_caller]
    pub(crate) fn check(&self, source: &Path, way: Way, policy: &str) -> Output {
        let program = compile(source, way, self.path());
        let policy = self.policy("rules", policy);
        let output = self.command(&program, way, &policy).output().expect("it runs");
        assert!(output.status.success(), "{} {way:?}: {}", source.display(), said(&output));
        output
    }
}
