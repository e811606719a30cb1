//! Identities, with the `openssl` command as the stranger who reads and writes the other side.

mod files;
mod policy;
mod store;

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::SystemTime;

use countersign::PeerName;
use countersign::identity::{DEFAULT_VALIDITY, IdentityError, Issued, Store, load_credential};
use tempfile::TempDir;

/// A directory that is thrown away, with a store in it.
struct Scene {
    directory: TempDir,
    store: Store,
}

impl Scene {
    fn empty() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let store = Store::at(directory.path().join("data/store"));
        Self { directory, store }
    }

    fn with_authority() -> Self {
        let scene = Self::empty();
        scene.store.init().unwrap();
        scene
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    fn in_store(&self, name: &str) -> PathBuf {
        self.store.path().join(name)
    }

    fn issue(&self, names: &[&str]) -> Issued {
        let names: Vec<PeerName> = names.iter().map(|name| name.parse().unwrap()).collect();
        self.store.issue(&names, DEFAULT_VALIDITY, SystemTime::now()).unwrap()
    }

    /// Runs a shell script, most of it `openssl`, in the directory; returns what it prints.
    #[track_caller]
    fn shell(&self, script: &str) -> String {
        let (good, text) = self.try_shell(script);
        assert!(good, "{script}: {text}");
        text
    }

    fn try_shell(&self, script: &str) -> (bool, String) {
        let output = Command::new("sh")
            .args(["-ec", script])
            .current_dir(self.directory.path())
            .env("A", self.in_store("authority.pem"))
            .output()
            .unwrap();
        let text = [output.stdout, output.stderr].concat();
        (output.status.success(), String::from_utf8_lossy(&text).into_owned())
    }

    /// Loads a pair by its file names in the directory.
    fn load(&self, certificate: &str, key: &str) -> Result<Vec<String>, IdentityError> {
        let credential = load_credential(&self.path(certificate), &self.path(key))?;
        Ok(credential.names().iter().map(|proved| proved.name().to_string()).collect())
    }

    /// Expects an error; the directory is shown as `~`.
    #[track_caller]
    fn refused<T: std::fmt::Debug>(
        &self,
        found: Result<T, IdentityError>,
        message: &str,
        hint: &str,
    ) {
        let error = found.unwrap_err();
        let short = |text: String| text.replace(&*self.directory.path().to_string_lossy(), "~");
        assert_eq!(short(error.to_string()), message);
        assert_eq!(short(error.hint()), hint);
    }
}

fn name(text: &str) -> PeerName {
    text.parse().unwrap()
}

fn mode(path: impl AsRef<Path>) -> u32 {
    fs::symlink_metadata(path).unwrap().permissions().mode() & 0o7777
}

fn set_mode(path: impl AsRef<Path>, mode: u32) {
    fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
}

/// Runs one test of this file in a process of its own, started by `shell`.
#[track_caller]
fn in_own_process(shell: &str, test: &str) {
    let output = Command::new("sh")
        .args(["-c", &format!("{shell} exec \"$0\" --exact {test}")])
        .arg(std::env::current_exe().unwrap())
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && text.contains("1 passed"), "{shell} {test}: {text}");
}
