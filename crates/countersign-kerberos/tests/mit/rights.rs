//! Nobody needs to be root for any of this.

use std::env;
use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::process::Command;
use std::thread;

use countersign_lab::Kdc;

use crate::world::{SERVER, client, in_own_realm, server, talk};

/// The user that has no rights, `nobody`.
const NOBODY: &str = "65534";

#[test]
fn a_user_without_rights_runs_a_realm_and_proves_itself_in_it() {
    if fs::metadata("/proc/self").unwrap().uid() == 0 {
        return as_nobody();
    }
    let fill = |kdc: &Kdc| {
        kdc.add(&["alice", SERVER]);
        kdc.keytab("server", &[SERVER]);
        kdc.ticket("alice", "alice", &[]);
    };
    in_own_realm(fill, |realm| {
        assert_ne!(fs::metadata("/proc/self").unwrap().uid(), 0);
        talk(client(realm, SERVER), server(realm, "server")).server.unwrap();
    });
}

/// Runs the same test as another user, from a copy of this program that he may read.
fn as_nobody() {
    let folder = tempfile::tempdir().unwrap();
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
    let program = folder.path().join("test");
    fs::copy(env::current_exe().unwrap(), &program).unwrap();
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
    let mut command = Command::new("setpriv");
    command.arg(format!("--reuid={NOBODY}")).arg(format!("--regid={NOBODY}"));
    command.args(["--clear-groups", "--no-new-privs"]).arg(&program);
    command.args(["--exact", thread::current().name().unwrap()]).current_dir("/");
    let output = command.output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned()
        + &String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && said.contains("1 passed"), "as nobody:\n{said}");
}
