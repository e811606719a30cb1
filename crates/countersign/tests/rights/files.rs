//! What the kernel says to the peer's account, and to the server.

use std::fs;
use std::io::ErrorKind;
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::process::Command;

use countersign_lab::on_stage;
use rustix::fs::Access;

use crate::{alice, token};

/// Makes a file with this owner, group and mode.
fn file(directory: &Path, name: &str, owner: u32, group: u32, mode: u32) -> PathBuf {
    let path = directory.join(name);
    fs::write(&path, name).unwrap();
    chown(&path, Some(owner), Some(group)).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
    path
}

/// Who may read it: open(2) asks the file system ids, access(2) the real ones.
fn can_read(path: &Path) -> bool {
    let opens = match fs::read_to_string(path) {
        Ok(_) => true,
        Err(error) if error.kind() == ErrorKind::PermissionDenied => false,
        Err(error) => panic!("{}: {error}", path.display()),
    };
    assert_eq!(opens, rustix::fs::access(path, Access::READ_OK).is_ok(), "{}", path.display());
    opens
}

#[test]
fn the_peers_files_open_and_no_others() {
    on_stage("files::the_peers_files_open_and_no_others", |stage| {
        let acl = |name: &str, entry: &str| {
            let path = file(stage, name, 0, 0, 0o600);
            let set = Command::new("setfacl").args(["-m", entry]).arg(&path).status();
            assert!(set.expect("setfacl is in the package acl").success());
            path
        };
        // (file, alice may, bob may, mallory may)
        let cases = [
            (file(stage, "alices", 2001, 2001, 0o600), [true, false, false]),
            (file(stage, "bobs", 2002, 2002, 0o600), [false, true, false]),
            (file(stage, "of-staff", 0, 3001, 0o640), [true, true, false]),
            (file(stage, "of-eyes", 0, 3002, 0o640), [true, false, false]),
            (file(stage, "roots", 0, 0, 0o600), [false; 3]),
            (file(stage, "of-roots-group", 0, 0, 0o640), [false; 3]),
            (file(stage, "everybodys", 0, 0, 0o644), [true; 3]),
            (file(stage, "not-for-staff", 0, 3001, 0o604), [false, false, true]),
            (acl("acl-user", "u:2001:r"), [true, false, false]),
            (acl("acl-group", "g:3001:r"), [true, true, false]),
            (acl("acl-not-bob", "u:2002:-,g:2003:r,o:r"), [true, false, true]),
        ];
        for (path, expected) in &cases {
            for (user, expected) in ["alice", "bob", "mallory"].iter().zip(expected) {
                let token = token(&format!("{user}@EXAMPLE.COM"));
                let found = token.impersonate(|_| can_read(path)).unwrap();
                assert_eq!(found, *expected, "{user}, {}", path.display());
                assert!(can_read(path), "the server after {user}, {}", path.display());
            }
        }
    });
}

#[test]
fn what_the_peer_makes_is_the_peers() {
    on_stage("files::what_the_peer_makes_is_the_peers", |stage| {
        use std::os::unix::fs::MetadataExt;
        let shared = file(stage, "placeholder", 0, 0, 0o600).with_file_name("shared");
        fs::create_dir(&shared).unwrap();
        fs::set_permissions(&shared, fs::Permissions::from_mode(0o777)).unwrap();
        let made = shared.join("made");
        alice().impersonate(|_| fs::write(&made, "x").unwrap()).unwrap();
        let meta = fs::metadata(&made).unwrap();
        assert_eq!((meta.uid(), meta.gid()), (2001, 2001));
        // No capability that a server of root has.
        let refused = alice().impersonate(|_| chown(&made, Some(2002), None)).unwrap();
        assert_eq!(refused.unwrap_err().kind(), ErrorKind::PermissionDenied);
        let refused = alice().impersonate(|_| std::net::TcpListener::bind("127.0.0.1:1")).unwrap();
        let port = fs::read_to_string("/proc/sys/net/ipv4/ip_unprivileged_port_start").unwrap();
        assert!(refused.is_err() || port.trim() != "1024", "a port of root's");
    });
}
