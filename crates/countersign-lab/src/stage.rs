//! A private user database, and the privilege to act as its accounts.
//!
//! A test that needs one runs again in a process of its own: in a mount namespace where
//! `/etc/passwd` and its neighbours are ours, so that the C library's own look-up is what is tested.
//! As root that is all; anybody else needs a user namespace with a range of ids (subuid(5)), and a
//! test fails, with the reason, where there is none.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Who is in the database beside root: `alice` (2001) and `bob` (2002), who are both in `staff`
/// (3001), alice in `eyes` (3002) too; `mallory` (2003); `expired` (2004), `inactive` (2005);
/// `toor`, who is root under another name; `minus` with the id that is none; `daemon2` (990); and
/// `u0` to `u63` (4000 to 4063), each in `g0` to `g63` (5000 to 5063).
const PASSWD: &str = "\
root:x:0:0::/root:/bin/sh
toor:x:0:0::/root:/bin/sh
daemon2:x:990:990::/:/usr/sbin/nologin
alice:x:2001:2001::/home/alice:/bin/sh
bob:x:2002:2002::/home/bob:/usr/sbin/nologin
mallory:x:2003:2003::/home/mallory:/bin/sh
expired:x:2004:2004::/:/bin/sh
inactive:x:2005:2005::/:/bin/sh
minus:x:4294967295:2006::/:/bin/sh
minusgroup:x:2007:4294967295::/:/bin/sh
";

const GROUP: &str = "\
root:x:0:
staff:x:3001:alice,bob
eyes:x:3002:alice
";

const SHADOW: &str = "\
root:*:19000:0:99999:7:::
alice:!:19000:0:99999:7:::
bob:*:0:0:99999:7:::
expired:*:19000:0:99999:7::1000:
inactive:*:1000:0:10:7:10::
";

const DIRECTORY: &str = "COUNTERSIGN_LAB_STAGE";

/// Runs `body` where the private user database is in force; `test` is the path of the calling test
/// (`module::function`). What the body gets is a directory that every account can enter.
///
/// # Panics
///
/// If the body does, or there can be no such place.
#[track_caller]
pub fn on_stage(test: &str, body: impl FnOnce(&Path)) {
    if let Some(directory) = std::env::var_os(DIRECTORY) {
        let directory = PathBuf::from(directory);
        body(&directory);
        fs::write(directory.join("done"), test).expect("a directory for the stage");
        return;
    }
    let directory = tempfile::tempdir().expect("a directory for the stage");
    fs::set_permissions(directory.path(), fs::Permissions::from_mode(0o755))
        .expect("a directory for the stage");
    write_database(directory.path());
    let output = wrapped(directory.path(), test).output().expect("unshare(1) is in util-linux");
    let said = format!(
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    let hint = "as another user than root this test needs ids in /etc/subuid and /etc/subgid, and \
                newuidmap (package uidmap)";
    assert!(!said.contains("unshare: "), "{hint}:\n{said}");
    assert!(output.status.success(), "{test} on its stage, {}:\n{said}", output.status);
    let done = fs::read_to_string(directory.path().join("done"));
    assert_eq!(done.ok().as_deref(), Some(test), "no test of that path ran:\n{said}");
}

fn wrapped(directory: &Path, test: &str) -> Command {
    let is_root = rustix::process::geteuid().is_root();
    let mut command = Command::new("unshare");
    command.arg("--mount");
    if !is_root {
        command.args(["--user", "--map-root-user", "--map-auto"]);
    }
    let script = "cd \"$1\" && shift && \
         for file in passwd group shadow nsswitch.conf; do \
         mount --bind $file /etc/$file || exit 99; done && exec \"$@\"";
    command.args(["sh", "-c", script, "sh"]).arg(directory);
    command.arg(std::env::current_exe().expect("a test knows its own file")).args([
        "--exact",
        test,
        "--nocapture",
    ]);
    command.env(DIRECTORY, directory);
    command
}

fn write_database(directory: &Path) {
    let (mut passwd, mut group) = (PASSWD.to_owned(), GROUP.to_owned());
    for number in 0..64 {
        passwd += &format!("u{number}:x:{}:{}::/:/bin/sh\n", 4000 + number, 5000 + number);
        group += &format!("g{number}:x:{}:u{number}\n", 6000 + number);
    }
    let sources = "passwd: files\ngroup: files\nshadow: files\n";
    for (file, text) in
        [("passwd", &*passwd), ("group", &*group), ("shadow", SHADOW), ("nsswitch.conf", sources)]
    {
        fs::write(directory.join(file), text).expect("a directory for the stage");
    }
    fs::set_permissions(directory.join("shadow"), fs::Permissions::from_mode(0o600))
        .expect("a directory for the stage");
}

/// What the kernel says of the calling thread (`/proc/thread-self/status`, proc(5)): a judge that
/// has nothing to do with the code under test.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Seen {
    /// Real, effective, saved and file system user id.
    pub uids: Vec<u32>,
    /// The same of the group.
    pub gids: Vec<u32>,
    /// The supplementary groups.
    pub groups: Vec<u32>,
    /// Inheritable, permitted, effective and ambient capabilities, as bits.
    pub capabilities: [u64; 4],
}

impl Seen {
    /// Asks for the calling thread.
    ///
    /// # Panics
    ///
    /// If `/proc` is not there.
    pub fn now() -> Self {
        Self::parse(&fs::read_to_string("/proc/thread-self/status").expect("proc(5) is mounted"))
    }

    /// Reads such a text, for instance one that a child has printed.
    ///
    /// # Panics
    ///
    /// If it is something else.
    pub fn parse(status: &str) -> Self {
        let field = |name: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(name));
            line.unwrap_or_else(|| panic!("no {name} in {status}")).trim().to_owned()
        };
        let ids =
            |name| field(name).split_whitespace().map(|id| id.parse().expect("an id")).collect();
        let bits = |name| u64::from_str_radix(&field(name), 16).expect("bits");
        Self {
            uids: ids("Uid:"),
            gids: ids("Gid:"),
            groups: ids("Groups:"),
            capabilities: [bits("CapInh:"), bits("CapPrm:"), bits("CapEff:"), bits("CapAmb:")],
        }
    }

    /// Returns whether every id is this user's and group's, and no capability can be used or passed
    /// on.
    pub fn is_only(&self, uid: u32, gid: u32, groups: &[u32]) -> bool {
        let [inheritable, _, effective, ambient] = self.capabilities;
        self.uids == [uid; 4]
            && self.gids == [gid; 4]
            && self.groups == groups
            && (inheritable | effective | ambient) == 0
    }
}
